"""What stands along a street: houses, walls, fences, trees, poles, signals, signs and clutter.

Houses, walls and fences run along +x from the origin, their front at y = 0 facing -y; the rest stands on the origin.
"""

import numpy as np

from wsss.datasets.miniature.engine.shapes import (
    Color,
    Look,
    Mesh,
    ball,
    box,
    circle,
    foliage,
    join,
    polygon,
    quads,
    tube,
)
from wsss.datasets.miniature.engine.textures import Interval, Number

Rng = np.random.Generator

FACADES = {  # material: the ground floor that goes with it
    "plaster windows": "plaster entrance",
    "framed windows": "plaster entrance",
    "wide windows": "plaster entrance",
    "brick windows": "brick entrance",
    "brown windows": "brick entrance",
    "stone windows": "shop",
    "office": "shop",
}
PLASTER: tuple[Color, ...] = (
    (1.0, 0.98, 0.94),
    (0.98, 0.88, 0.66),
    (0.93, 0.78, 0.62),
    (0.80, 0.80, 0.80),
    (0.72, 0.76, 0.80),
    (0.88, 0.66, 0.56),
    (0.70, 0.76, 0.62),
    (0.62, 0.60, 0.58),
    (0.95, 0.92, 0.84),
)
GREENS: tuple[Color, ...] = ((0.9, 1.0, 0.8), (0.75, 0.85, 0.7), (1.1, 1.05, 0.7), (0.7, 0.8, 0.55), (1.25, 0.95, 0.55))


def pick(rng: Rng, colors: tuple[Color, ...]) -> Color:
    """One of several colours, slightly varied."""
    return tuple(float(c) for c in np.asarray(colors[int(rng.integers(len(colors)))]) * rng.uniform(0.92, 1.06))  # type: ignore[return-value]


def _walls(width: Number, depth: Number, z: Interval, look: Look) -> Mesh:
    """The four outer walls of a house; the texture starts anew on each."""
    a, b, c, d = (0, 0), (width, 0), (width, depth), (0, depth)
    return quads([[(*p, z[0]), (*q, z[0]), (*q, z[1]), (*p, z[1])] for p, q in ((a, b), (b, c), (c, d), (d, a))], look)


def house(rng: Rng, width: Number, storeys: int, depth: Number = 11.0) -> Mesh:
    """A house of one style: ground floor, upper floors, cornice, balconies, roof."""
    names = list(FACADES)
    facade = names[int(rng.choice(len(names), p=[0.24, 0.2, 0.12, 0.14, 0.1, 0.1, 0.1]))]
    ground = "shop" if rng.random() < 0.3 and storeys > 2 else FACADES[facade]
    tint = pick(rng, PLASTER)
    base, floor = (3.8 if ground == "shop" else 3.4), 3.1
    top = base + floor * (storeys - 1)
    parts = [_walls(width, depth, (0, base), Look("building", ground, tint))]
    if storeys > 1:
        parts.append(_walls(width, depth, (base, top), Look("building", facade, tint)))
    trim = Look("building", "concrete", pick(rng, PLASTER))
    parts.append(box((-0.1, width + 0.1), (-0.28, depth), (top, top + 0.32), trim))
    if ground == "shop" or rng.random() < 0.4:
        parts.append(box((0, width), (-0.14, 0), (base - 0.12, base + 0.1), trim))
    if ground == "shop" and rng.random() < 0.6:
        awning = Look(
            "building",
            "cloth",
            (float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.15, 0.6)), float(rng.uniform(0.15, 0.5))),
        )
        x0 = rng.uniform(0.5, 0.3 * width)
        x1 = min(width - 0.3, x0 + rng.uniform(3, 7))
        parts.append(quads([[(x0, -1.3, 2.5), (x1, -1.3, 2.5), (x1, 0, 3.2), (x0, 0, 3.2)]], awning))
    if storeys > 2 and rng.random() < 0.35:
        for level in range(1, storeys):
            for x in np.arange(2.0, width - 2.0, 5.6):
                z = base + floor * (level - 1)
                parts.append(box((x - 1.2, x + 1.2), (-1.0, 0), (z, z + 0.15), trim))
                parts.append(
                    box(
                        (x - 1.2, x + 1.2),
                        (-1.0, -0.95),
                        (z + 0.15, z + 1.0),
                        Look("building", "railing", (0.5, 0.5, 0.5)),
                    )
                )
    parts.append(_roof(rng, width, depth, top + 0.32, flat=facade in ("office", "wide windows")))
    return join(parts)


def _roof(rng: Rng, width: Number, depth: Number, z: Number, flat: bool) -> Mesh:
    if flat:
        return box((0.2, width - 0.2), (0.2, depth), (z, z + 0.5), Look("building", "concrete", (0.8, 0.8, 0.8)))
    ridge = z + rng.uniform(2.2, 4.5)
    tile = Look("building", "roof", pick(rng, ((1.0, 1.0, 1.0), (0.62, 0.62, 0.66), (0.85, 0.7, 0.6))))
    eave, middle = -0.3, depth / 2
    slopes = [
        [(-0.1, eave, z), (width + 0.1, eave, z), (width + 0.1, middle, ridge), (-0.1, middle, ridge)],
        [(width + 0.1, depth, z), (-0.1, depth, z), (-0.1, middle, ridge), (width + 0.1, middle, ridge)],
    ]
    gable = Look("building", "concrete", (0.95, 0.93, 0.88))
    parts = [quads(slopes, tile)]
    parts += [polygon([(x, 0, z), (x, depth, z), (x, middle, ridge)], gable) for x in (0.0, width)]
    for x in np.arange(2.5, width - 2, 4.5):
        if rng.random() < 0.4:  # dormers and chimneys
            parts.append(
                box((x, x + 1.4), (1.0, 3.0), (z + 0.4, z + 1.9), Look("building", "plaster windows", (1, 1, 1)))
            )
        elif rng.random() < 0.3:
            parts.append(
                box((x, x + 0.7), (middle - 0.4, middle + 0.4), (ridge - 0.5, ridge + 1.2), Look("building", "brick"))
            )
    return join(parts)


def wall(rng: Rng, width: Number) -> Mesh:
    """A free-standing wall with a coping."""
    material = ("brick", "concrete", "slabs", "brick")[int(rng.integers(4))]
    height = rng.uniform(1.3, 2.6)
    look = Look("wall", material, pick(rng, PLASTER) if material != "brick" else (1.0, 1.0, 1.0))
    return join(
        [
            box((0, width), (0, 0.3), (0, height), look),
            box((0, width), (-0.05, 0.35), (height, height + 0.1), Look("wall", "concrete", (0.9, 0.9, 0.9))),
        ]
    )


def fence(rng: Rng, width: Number) -> Mesh:
    """A fence of boards, sheet or bars between posts."""
    material = ("planks", "sheet", "railing", "railing")[int(rng.integers(4))]
    height = {"planks": 1.6, "sheet": 1.9, "railing": 1.2}[material] * rng.uniform(0.85, 1.15)
    colors = ((1.0, 1.0, 1.0), (0.5, 0.62, 0.48), (0.45, 0.46, 0.48), (0.75, 0.6, 0.45), (0.30, 0.34, 0.32))
    look = Look("fence", material, pick(rng, colors))
    scale = 1.2 / height if material == "railing" else 1.0
    panel = quads(
        [[(0, 0, 0.05), (width, 0, 0.05), (width, 0, height), (0, 0, height)]],
        look,
        [[(0, 0), (width * scale, 0), (width * scale, height * scale), (0, height * scale)]],
    )
    post = Look("fence", "plain", tuple(0.8 * c for c in look.color))  # type: ignore[arg-type]
    posts = [box((x - 0.05, x + 0.05), (-0.06, 0.04), (0, height + 0.08), post) for x in np.arange(0, width + 0.1, 2.4)]
    return join([panel, *posts])


def tree(rng: Rng, height: Number, detail: float = 1.0) -> Mesh:
    """A broad-leaved tree: trunk, a few branches, and a crown of leaf clumps, fewer and larger for less ``detail``."""
    leaf = 0.045 * height / np.sqrt(detail)
    bark = Look("vegetation", "bark", pick(rng, ((1.0, 1.0, 1.0), (0.8, 0.8, 0.85), (1.2, 1.15, 1.1))))
    trunk = height * rng.uniform(0.28, 0.38)
    radius = 0.017 * height + 0.03
    crown, color = 0.30 * height * rng.uniform(0.85, 1.25), pick(rng, GREENS)
    look = Look("vegetation", "leaves", color)
    parts = [
        tube((0, 0, 0), (0.05, 0, trunk), (radius * 1.25, radius), bark, 8),
        tube((0.05, 0, trunk), (0, 0, 0.75 * height), (radius, 0.3 * radius), bark, 6),
    ]
    for _ in range(4):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 0.8) * crown
        tip = (reach * np.cos(angle), reach * np.sin(angle), trunk + rng.uniform(0.3, 0.6) * (height - trunk))
        parts.append(tube((0.05, 0, trunk * 0.95), tip, (0.5 * radius, 0.15 * radius), bark, 5))
    centre = trunk + 0.52 * (height - trunk)
    parts.append(
        foliage(rng, (0, 0, centre), (0.8 * crown, 0.8 * crown, 0.48 * (height - trunk)), int(420 * detail), leaf, look)
    )
    for _ in range(6):
        offset = rng.normal(0, 0.5, 3) * (crown, crown, 0.4 * (height - trunk))
        size = crown * rng.uniform(0.40, 0.62)
        parts.append(
            foliage(rng, offset + np.array([0, 0, centre]), (size, size, 0.8 * size), int(100 * detail), leaf, look)
        )
    return join(parts)


def bush(rng: Rng, radii: tuple[float, float, float]) -> Mesh:
    """A shrub or a piece of hedge."""
    look = Look("vegetation", "leaves", pick(rng, GREENS))
    core = Look("vegetation", "leaves", tuple(0.5 * c for c in look.color))  # type: ignore[arg-type]
    count = int(60 + 60 * radii[0])
    return join(
        [
            ball((0, 0, 0.9 * radii[2]), tuple(0.8 * r for r in radii), core, 8, 4),
            foliage(rng, (0, 0, radii[2]), radii, count, 0.28, look),
        ]
    )


def hedge(rng: Rng, width: Number) -> Mesh:
    """A clipped hedge."""
    height, look = rng.uniform(0.9, 1.8), Look("vegetation", "leaves", pick(rng, GREENS))
    body = box((0, width), (0, 0.8), (0, height), look)
    tufts = foliage(rng, (width / 2, 0.4, height * 0.55), (width / 2, 0.5, height * 0.55), int(12 * width), 0.2, look)
    return join([body, tufts])


POLE_GREYS: tuple[Color, ...] = ((0.42, 0.43, 0.44), (0.58, 0.59, 0.60), (0.25, 0.28, 0.26), (0.34, 0.36, 0.38))


def lamp(rng: Rng) -> Mesh:
    """A street lamp whose arm reaches towards -y."""
    look, height, arm = Look("pole", "plain", pick(rng, POLE_GREYS)), rng.uniform(5.5, 8.5), rng.uniform(0.8, 2.2)
    return join(
        [
            tube((0, 0, 0), (0, 0, height), (0.10, 0.065), look, 8),
            tube((0, 0, 0), (0, 0, 1.0), 0.13, look, 8),
            tube((0, 0, height), (0, -arm, height + 0.3), 0.05, look, 5),
            box((-0.16, 0.16), (-arm - 0.5, -arm + 0.1), (height + 0.2, height + 0.36), look),
        ]
    )


def signal(rng: Rng, arm: Number = 0.0) -> Mesh:
    """A traffic light facing -x on a pole; with ``arm`` a second one hangs that far towards +y."""
    grey = Look("pole", "plain", pick(rng, POLE_GREYS))
    height = 5.4 if arm else 3.3
    parts = [tube((0, 0, 0), (0, 0, height), 0.075, grey, 8)]
    heads = [(0.0, 0.0, 2.3)]
    if arm:
        parts.append(tube((0, 0, height - 0.2), (0, arm, height), 0.06, grey, 6))
        heads.append((0.0, arm, height - 1.0))
    case = Look("traffic light", "plain", (0.12, 0.14, 0.12))
    for x, y, z in heads:
        parts.append(box((x - 0.28, x - 0.08), (y - 0.15, y + 0.15), (z, z + 0.85), case))
        face = [(x - 0.29, y + s * 0.15, z + q) for s, q in ((1, 0.0), (-1, 0.0), (-1, 0.85), (1, 0.85))]
        parts.append(quads([face], Look("traffic light", "signal"), [[(0, 0), (1, 0), (1, 1), (0, 1)]]))
    return join(parts)


def sign(rng: Rng) -> Mesh:
    """One or two traffic signs facing -x on a post."""
    grey = Look("pole", "plain", (0.55, 0.56, 0.57))
    parts, z = [tube((0, 0, 0), (0, 0, 2.2), 0.04, grey, 6)], 2.1
    for _ in range(1 + int(rng.random() < 0.4)):
        which, half = int(rng.integers(5)), rng.uniform(0.30, 0.40)
        outline = {0: circle(1, 12), 2: np.array([(-1, 0.85), (0, -0.95), (1, 0.85)])}.get(
            which, np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        )
        wide = half * (1.8 if which == 3 else 1.0)
        points = np.c_[np.full(len(outline), -0.06), -outline[:, 0] * wide, z + half + outline[:, 1] * half]
        face = polygon(points, Look("traffic sign", f"sign {which}"))
        share = (np.stack([-face.corners[..., 1] / wide, (face.corners[..., 2] - z - half) / half], -1) + 1) / 2
        face.uv[:] = np.clip(share, 0.005, 0.995)
        back = polygon(
            points + np.array([0.012, 0, 0]), Look("sign back", "plain", (0.5, 0.51, 0.52))
        )  # nobody labels backs
        parts += [face, back, tube((0, 0, 2.0), (0, 0, z + 2 * half), 0.04, grey, 6)]
        z += 2 * half + 0.08
    return join(parts)


def clutter(rng: Rng) -> Mesh:
    """Something that belongs to no class: bins, boxes, a cabinet, a bench, bags."""
    which = int(rng.integers(4))
    color = pick(
        rng, ((0.35, 0.36, 0.36), (0.22, 0.30, 0.24), (0.55, 0.50, 0.42), (0.70, 0.62, 0.20), (0.25, 0.30, 0.45))
    )
    look = Look("static", "plain", color)
    if which == 0:  # a wheeled bin
        return join(
            [
                box((-0.3, 0.3), (-0.28, 0.28), (0.05, 0.95), look, top=1.12),
                box((-0.36, 0.36), (-0.34, 0.34), (0.95, 1.03), look),
            ]
        )
    if which == 1:  # a switch cabinet
        return box((-0.5, 0.5), (-0.2, 0.2), (0, 1.2), look)
    if which == 2:  # a bench
        wood = Look("static", "planks")
        return join(
            [
                box((-0.9, 0.9), (-0.25, 0.25), (0.4, 0.47), wood),
                box((-0.9, 0.9), (0.22, 0.28), (0.5, 0.9), wood),
                box((-0.7, -0.6), (-0.2, 0.2), (0, 0.4), look),
                box((0.6, 0.7), (-0.2, 0.2), (0, 0.4), look),
            ]
        )
    bags = Look("dynamic", "cloth", color)
    return join(
        [ball((0, 0, 0.28), (0.32, 0.28, 0.3), bags, 7, 4), ball((0.5, 0.1, 0.22), (0.28, 0.26, 0.24), bags, 7, 4)]
    )


def post(rng: Rng) -> Mesh:
    """A bollard or a bare mast."""
    look = Look("pole", "plain", pick(rng, (*POLE_GREYS, (0.60, 0.18, 0.15))))
    return tube((0, 0, 0), (0, 0, float(rng.choice([0.95, 0.95, 5.0]))), 0.06, look, 7)

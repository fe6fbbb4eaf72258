"""Furniture of living rooms, bedrooms and offices.

Each function gives what belongs together and is counted one by one, the piece itself first: standing on z = 0, its back
at the lowest x, its middle at y = 0, facing +x.
"""

from itertools import pairwise

import numpy as np

from wsss.datasets.miniature.engine.shapes import Look, Mesh, circle, join, prism, tube
from wsss.datasets.miniature.engine.textures import Color, Number
from wsss.datasets.miniature.rooms.parts import (
    CLOTHS,
    METALS,
    PAINTS,
    WOODS,
    Rng,
    boxes,
    cushion,
    facing,
    folds,
    legs,
    shade,
    tint,
)

Things = list[Mesh]


def wooden(rng: Rng, kind: str) -> Look:
    """A wooden or painted surface."""
    if rng.random() < 0.2:
        return Look(kind, "lacquer", tint(rng, PAINTS))
    return Look(kind, "wood" if rng.random() < 0.7 else "smooth wood", tint(rng, WOODS))


def cloth(rng: Rng, kind: str, patterned: Number = 0.3) -> Look:
    """Upholstery or bedding."""
    if rng.random() < patterned:
        material = ("flowered cloth", "striped cloth", "quilt")[int(rng.integers(3))]
        return Look(kind, material, tint(rng, CLOTHS[:3] + CLOTHS[6:13]))
    return Look(kind, ("weave", "cloth")[int(rng.integers(2))], tint(rng, CLOTHS))


def bed(rng: Rng) -> Things:
    """A bed with its head at the wall, pillows and perhaps a folded blanket."""
    double = rng.random() < 0.6
    half, long, top = (rng.uniform(0.75, 0.95) if double else 0.48), 2.05, rng.uniform(0.45, 0.6)
    frame, cover, sheet = wooden(rng, "bed"), cloth(rng, "bed", 0.5), Look("bed", "cloth", tint(rng, CLOTHS[:2]))
    parts = [
        boxes([(0, 0.06, -half - 0.03, half + 0.03, 0, rng.uniform(0.75, 1.25))], frame),
        boxes([(long, long + 0.05, -half - 0.03, half + 0.03, 0, top * rng.uniform(0.6, 1.2))], frame),
        boxes([(0.06, long, -half - 0.02, half + 0.02, 0.12, 0.3)], frame),
        cushion((long / 2 + 0.03, 0, top - 0.14), (long - 0.06, 2 * half, 0.28), sheet),
        cushion((long / 2 + 0.32, 0, top - 0.09), (long - 0.62, 2 * half + 0.05, 0.24), cover),
    ]
    side = -1 if rng.random() < 0.5 else 1
    drop = folds(long - 0.7, top - 0.15, 0.012, 9, cover).placed(long / 2 + 0.3, side * (half + 0.035), 0.12, np.pi / 2)
    things = [join([*parts, drop])]
    count = 2 if double else 1
    for row in range(1 + int(rng.random() < 0.4)):
        look = cloth(rng, "pillow")
        for k in range(count):
            y = 0.0 if count == 1 else (k - 0.5) * half
            size = (0.16, 0.62 if count == 2 else 0.66, 0.42 - 0.06 * row)
            pillow = cushion((0, 0, 0), size, look)
            things.append(_tilted(pillow, 0.95).placed(0.24 + 0.17 * row, y, top + 0.19))
    if rng.random() < 0.35:
        things.append(cushion((1.7, 0, top + 0.07), (0.5, 1.7 * half, 0.1), cloth(rng, "blanket", 0.6)))
    return things


def _tilted(mesh: Mesh, angle: Number) -> Mesh:
    """Turned about the y axis, the upper end towards -x."""
    cos, sin = np.cos(angle - np.pi / 2), np.sin(angle - np.pi / 2)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
    return Mesh(
        (mesh.corners @ turn.T).astype(np.float32), mesh.uv, (mesh.normals @ turn.T).astype(np.float32),
        mesh.material, mesh.color, mesh.kind, mesh.instance,
    )  # fmt: skip


def sofa(rng: Rng, kind: str = "sofa") -> Things:
    """A sofa with one to three seats, or an armchair, with loose pillows."""
    seats = 1 if kind == "armchair" else int(rng.integers(2, 4))
    half, deep, seat = 0.33 * seats + 0.02, rng.uniform(0.82, 0.95), rng.uniform(0.38, 0.46)
    leather = rng.random() < 0.3
    body = Look(kind, "leather", tint(rng, CLOTHS[1:5] + CLOTHS[12:14])) if leather else cloth(rng, kind, 0.2)
    arm, back = rng.uniform(0.14, 0.22), rng.uniform(0.74, 0.92)
    parts = [
        boxes([(0.05, deep - 0.03, -half - arm, half + arm, 0.06, 0.26)], body),
        cushion((0.12, 0, back / 2 + 0.05), (0.26, 2 * (half + arm), back - 0.1), body),
    ]
    rest = (deep, arm + 0.03, rng.uniform(0.5, 0.58))
    parts += [cushion((deep / 2, side * (half + arm / 2), 0.35), rest, body) for side in (-1, 1)]
    for k in range(seats):
        y = (k - (seats - 1) / 2) * 0.66
        parts.append(cushion((0.16 + deep / 2, y, seat - 0.08), (deep - 0.3, 0.65, 0.2), shade(body, 1.05)))
        parts.append(cushion((0.27, y, seat + 0.2), (0.2, 0.62, 0.42), shade(body, 1.03)))
    things = [join(parts)]
    if kind == "sofa" or rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 2 + seats))):
            pillow = _tilted(cushion((0, 0, 0), (0.13, 0.42, 0.40), cloth(rng, "pillow", 0.5)), 1.2)
            y = rng.uniform(-1, 1) * max(half - 0.2, 0.05)
            things.append(pillow.placed(0.44, y, seat + 0.2, rng.uniform(-0.2, 0.2)))
    return things


def chair(rng: Rng) -> Things:
    """A kitchen or dining chair."""
    look, seat, half = wooden(rng, "chair"), 0.45, rng.uniform(0.20, 0.23)
    soft = cloth(rng, "chair", 0.3) if rng.random() < 0.5 else shade(look, 1.06)
    top = rng.uniform(0.84, 1.05)
    parts = [
        legs((-0.2, 0.2), (-half, half), seat, 0.04, look),
        boxes([(-0.21, 0.22, -half - 0.01, half + 0.01, seat - 0.03, seat + 0.025)], soft),
        boxes([(-0.21, -0.175, s * half - 0.02, s * half + 0.02, seat, top) for s in (-1, 1)], look),
    ]
    style = int(rng.integers(3))
    if style == 0:
        parts.append(
            boxes([(-0.21, -0.18, -half, half, z, z + 0.07) for z in (seat + 0.14, seat + 0.27, top - 0.08)], look)
        )
    elif style == 1:
        slats = [(-0.205, -0.185, y - 0.015, y + 0.015, seat, top) for y in np.linspace(-half, half, 6)]
        parts.append(boxes([*slats, (-0.21, -0.18, -half, half, top - 0.07, top)], look))
    else:
        parts.append(boxes([(-0.225, -0.175, -half, half, seat + 0.1, top)], soft))
    return [join(parts)]


def office_chair(rng: Rng) -> Things:
    """A swivel chair on castors."""
    dark = Look("office chair", "plain", tint(rng, METALS[1:3]))
    soft = Look("office chair", "weave", tint(rng, CLOTHS[3:8]))
    parts = [tube((0, 0, 0.08), (0, 0, 0.45), 0.035, dark, 6)]
    for x, y in circle(0.30, 5):
        parts.append(tube((0, 0, 0.13), (x, y, 0.06), (0.03, 0.025), dark, 4))
    parts += [
        cushion((0, 0, 0.49), (0.48, 0.50, 0.10), soft),
        cushion((-0.24, 0, 0.86), (0.09, 0.46, rng.uniform(0.5, 0.66)), soft),
        boxes([(-0.24, -0.2, -0.03, 0.03, 0.45, 0.75)], dark),
    ]
    if rng.random() < 0.7:
        arms = [(-0.15, 0.15, s * 0.27 - 0.03, s * 0.27 + 0.03, 0.66, 0.69) for s in (-1, 1)]
        posts = [(-0.02, 0.02, s * 0.27 - 0.02, s * 0.27 + 0.02, 0.46, 0.67) for s in (-1, 1)]
        parts.append(boxes(arms + posts, dark))
    return [join(parts)]


def table(rng: Rng, kind: str, long: Number, deep: Number, height: Number) -> Things:
    """A table centred on the origin, ``long`` along y; coffee tables may be of glass or round."""
    look = wooden(rng, kind)
    if kind != "dining table" and rng.random() < 0.2 and long < 1.3:
        parts = [prism(circle(deep / 2, 14), height - 0.03, height, look), tube((0, 0, 0), (0, 0, height), 0.05, look)]
        return [join([*parts, prism(circle(deep / 3, 10), 0, 0.03, look)])]
    x, y = deep / 2, long / 2
    parts = [
        boxes([(-x, x, -y, y, height - 0.035, height)], look),
        legs((-x + 0.04, x - 0.04), (-y + 0.04, y - 0.04), height - 0.03, rng.uniform(0.04, 0.08), look),
    ]
    if rng.random() < 0.6:
        frame = [(-x + 0.06, -x + 0.08, -y + 0.06, y - 0.06, height - 0.12, height - 0.03)]
        frame += [(x - 0.08, x - 0.06, -y + 0.06, y - 0.06, height - 0.12, height - 0.03)]
        parts.append(boxes(frame, shade(look, 0.9)))
    if kind == "coffee table" and rng.random() < 0.5:
        parts.append(boxes([(-x + 0.06, x - 0.06, -y + 0.06, y - 0.06, 0.12, 0.14)], look))
    return [join(parts)]


def desk(rng: Rng) -> tuple[Things, float]:
    """A desk with drawers on one side, its back at x = 0; and the height of its top."""
    look, half, deep, height = (
        wooden(rng, "desk"),
        rng.uniform(0.6, 0.9),
        rng.uniform(0.6, 0.75),
        rng.uniform(0.71, 0.77),
    )
    side = -1 if rng.random() < 0.5 else 1
    low, high = sorted((side * half, side * (half - 0.42)))
    parts = [
        boxes([(0, deep, -half, half, height - 0.03, height), (0.02, 0.04, -half, half, 0.3, height)], look),
        boxes(
            [(0, deep - 0.03, s * half - 0.03 * (s > 0), s * half + 0.03 * (s < 0), 0, height) for s in (-1, 1)], look
        ),
        boxes([(0.02, deep - 0.05, low, high, 0.05, height - 0.03)], look),
        drawers(rng, "desk", (low, high), (0.07, height - 0.05), deep - 0.05, shade(look, 1.04), 3, 1),
    ]
    return [join(parts)], height


def drawers(rng: Rng, kind: str, y: tuple[Number, Number], z: tuple[Number, Number], x: Number, look: Look, rows: int,
            columns: int) -> Mesh:  # fmt: skip
    """Fronts of drawers or doors, with handles, on the face of a carcase at x."""
    metal = Look(kind, "metal", tint(rng, METALS))
    fronts, handles = [], []
    wide, high = (y[1] - y[0]) / columns, (z[1] - z[0]) / rows
    for c in range(columns):
        for r in range(rows):
            y0, z0 = y[0] + c * wide + 0.008, z[0] + r * high + 0.008
            y1, z1 = y0 + wide - 0.016, z0 + high - 0.016
            fronts.append((x, x + 0.018, y0, y1, z0, z1))
            if high > 0.45:  # a door: the handle at its edge
                at = y1 - 0.05 if c % 2 == 0 else y0 + 0.03
                middle = z1 - 0.15 if z0 < 0.9 else z0 + 0.15
                handles.append((x + 0.018, x + 0.045, at, at + 0.02, middle - 0.07, middle + 0.07))
            else:
                middle = (y0 + y1) / 2
                handles.append((x + 0.018, x + 0.045, middle - 0.07, middle + 0.07, z1 - 0.06, z1 - 0.04))
    gap = facing((float(y[0]), float(y[1])), (float(z[0]), float(z[1])), x + 0.002, shade(look, 0.4))
    return join([boxes(fronts, look), boxes(handles, metal), gap])


def carcase(rng: Rng, kind: str, half: Number, deep: Number, height: Number, rows: int, columns: int) -> Things:
    """A chest of drawers, cupboard, wardrobe, night stand or sideboard."""
    look = wooden(rng, kind)
    front = shade(look, rng.uniform(0.95, 1.08))
    body = boxes(
        [(0, deep, -half, half, 0.06, height - 0.025), (0.02, deep - 0.04, -half + 0.03, half - 0.03, 0, 0.06)], look
    )
    top = boxes([(0, deep + 0.02, -half - 0.015, half + 0.015, height - 0.025, height)], look)
    face = drawers(rng, kind, (-half + 0.01, half - 0.01), (0.08, height - 0.04), deep, front, rows, columns)
    return [join([body, top, face])]


def shelves(rng: Rng, kind: str, half: Number, height: Number, filled: Number) -> Things:
    """A bookcase with rows of books and other things; each run of books is one."""
    look, deep = wooden(rng, kind), rng.uniform(0.26, 0.34)
    count = max(2, round(height / 0.36))
    levels = np.linspace(0.06, height - 0.02, count + 1)
    boards = [(0, deep, -half, half, z - 0.012, z + 0.012) for z in levels]
    sides = [(0, deep, s * half - 0.012, s * half + 0.012, 0, height) for s in (-1, 1)]
    things = [join([boxes(boards + sides, look), boxes([(0, 0.012, -half, half, 0.06, height)], shade(look, 0.8))])]
    for low, high in pairwise(levels):
        y = -half + 0.03
        while y < half - 0.12:
            wide = min(rng.uniform(0.2, 0.6), half - 0.03 - y)
            if rng.random() < filled:
                things.append(row_of_books(rng, wide, min(high - low - 0.03, 0.32)).placed(0.03, y, low + 0.013))
            elif rng.random() < 0.5 and wide > 0.18:
                color: Color = tint(rng, CLOTHS)
                tall = rng.uniform(0.4, 0.8) * (high - low)
                kind_of = ("box", "vase", "toy", "bowl")[int(rng.integers(4))]
                material = "cardboard" if kind_of == "box" else "plain"
                things.append(boxes([(0.05, deep - 0.06, y + 0.03, y + min(wide, 0.3) - 0.03, low + 0.012, low + tall)],
                                    Look(kind_of, material, color)))  # fmt: skip
            y += wide + 0.01
    return things


def row_of_books(rng: Rng, wide: Number, tall: Number) -> Mesh:
    """Standing books from y = 0 to ``wide``, their backs towards +x, as one thing."""
    look, start = Look("book", "spines"), rng.uniform(0, 1)
    paper = Look("book", "plain", (0.86, 0.83, 0.76))
    front = facing((0, wide), (0, tall), 0.2, look)
    front.uv[..., 0] = front.uv[..., 0] * np.float32(wide / 1.0) + np.float32(start)
    front.uv[..., 1] = np.clip(front.uv[..., 1] * 0.8, 0.02, 0.98)
    ends = Look("book", "plain", tint(rng, CLOTHS))
    return join([front, boxes([(0, 0.199, 0, wide, 0, 0.9 * tall)], paper), boxes([(0, 0.2, 0, 0.02, 0, tall)], ends)])

"""What is built in or hangs: kitchens, bathrooms, doors, windows, curtains, pictures, lamps.

Each function gives what belongs together and is counted one by one, its back at the lowest x, facing +x. What
stands has its foot on z = 0; what hangs has its origin where its docstring says.
"""

import numpy as np

from wsss.datasets.miniature.engine.shapes import Look, Mesh, ball, circle, join, loft, polygon, prism, tube
from wsss.datasets.miniature.engine.textures import Color, Number
from wsss.datasets.miniature.rooms.furniture import Things, cloth, drawers, wooden
from wsss.datasets.miniature.rooms.parts import (
    CLOTHS,
    METALS,
    PAINTS,
    WOODS,
    Box,
    Rng,
    boxes,
    cushion,
    facing,
    folds,
    shade,
    tint,
)

WHITE: Color = (1.05, 1.05, 1.04)


def kitchen_run(rng: Rng, length: Number, look: Look, top: Look) -> tuple[Things, dict[str, float]]:
    """Base cabinets under a counter with a sink, a stove or dishwasher; and the middles (y) of sink and stove."""
    half, deep, high = length / 2, 0.58, 0.90
    things: Things = []
    spots = {"sink": float(rng.uniform(-half + 0.45, half - 0.45))}
    x, fronts = -half, []
    stove = rng.random() < 0.75 and length > 1.9
    other = 0.0
    if stove:
        spots["stove"] = other = float(
            np.clip(spots["sink"] + (1.1 if spots["sink"] < 0 else -1.1), -half + 0.3, half - 0.3)
        )
    gap = (other - 0.3, other + 0.3) if stove else (half, half)
    for low, high_y in ((x, gap[0]), (gap[1], half)):
        if high_y - low > 0.1:
            columns = max(1, round((high_y - low) / 0.5))
            fronts.append(
                boxes([(0, deep, low, high_y, 0.1, high - 0.04), (0, deep - 0.06, low, high_y, 0, 0.1)], look)
            )
            fronts.append(drawers(rng, "cabinet", (low, high_y), (0.12, 0.66), deep, look, 1, columns))
            fronts.append(drawers(rng, "cabinet", (low, high_y), (0.67, 0.85), deep, look, 1, columns))
    things.append(join(fronts))
    slabs = [(0, 0.62, low, y, high - 0.04, high) for low, y in ((-half, gap[0]), (gap[1], half)) if y - low > 0.02]
    things.append(boxes(slabs, top))
    if stove:
        things.append(_stove(rng).placed(0, other))
    basin = Look("sink", "metal" if rng.random() < 0.7 else "ceramic", tint(rng, METALS[:1]))
    s = spots["sink"]
    things.append(
        join([
            boxes([(0.10, 0.52, s - 0.32, s + 0.32, high, high + 0.012)], basin),
            boxes([(0.15, 0.47, s - 0.27, s + 0.12, high + 0.012, high + 0.014)], shade(basin, 0.55)),
        ])
    )  # fmt: skip
    things.append(faucet(rng).placed(0.08, s, high))
    return things, spots


def faucet(rng: Rng) -> Mesh:
    """A tap whose spout reaches towards +x."""
    look = Look("faucet", "metal", tint(rng, METALS[:1]))
    tall = rng.uniform(0.14, 0.26)
    return join(
        [tube((0, 0, 0), (0, 0, tall), 0.018, look, 6), tube((0, 0, tall), (0.16, 0, tall - 0.03), 0.015, look, 5)]
    )


def _stove(rng: Rng) -> Mesh:
    look = Look("stove", "lacquer", tint(rng, ((1.0, 1.0, 0.98), (0.62, 0.63, 0.64), (0.2, 0.2, 0.21))))
    dark = Look("stove", "dark screen")
    plates = [prism(circle(0.085, 10, (x, y)), 0.905, 0.915, dark) for x in (0.18, 0.44) for y in (-0.14, 0.14)]
    oven = facing((-0.22, 0.22), (0.28, 0.62), 0.603, dark)
    bar = boxes([(0.6, 0.64, -0.25, 0.25, 0.69, 0.71)], Look("stove", "metal", METALS[0]))
    return join([boxes([(0, 0.6, -0.3, 0.3, 0, 0.905), (0, 0.05, -0.3, 0.3, 0.9, 1.02)], look), oven, bar, *plates])


def wall_cabinets(rng: Rng, length: Number, look: Look, gap: tuple[Number, Number] | None) -> Things:
    """A row of cupboards from z = 0 up to 0.7, left out over ``gap`` (y) for a range hood."""
    half = length / 2
    spans = [(-half, half)] if gap is None else [(-half, gap[0]), (gap[1], half)]
    things: Things = []
    for low, high in spans:
        if high - low > 0.25:
            columns = max(1, round((high - low) / 0.45))
            body = boxes([(0, 0.33, low, high, 0, 0.7)], look)
            things.append(join([body, drawers(rng, "cabinet", (low, high), (0, 0.7), 0.33, look, 1, columns)]))
    if gap is not None:
        metal = Look("range hood", "metal", tint(rng, METALS[:2]))
        y = (gap[0] + gap[1]) / 2
        hood = [(0, 0.45, y - 0.29, y + 0.29, 0.02, 0.12), (0, 0.28, y - 0.13, y + 0.13, 0.12, 0.7)]
        things.append(boxes(hood, metal))
    return things


def refrigerator(rng: Rng) -> Things:
    """A refrigerator with one or two doors, papers stuck to it now and then."""
    look = Look("refrigerator", ("lacquer", "metal")[int(rng.random() < 0.4)],
                tint(rng, ((1.02, 1.02, 1.0), (0.72, 0.73, 0.74), (0.24, 0.24, 0.25), (0.96, 0.92, 0.82))))  # fmt: skip
    half, high = rng.uniform(0.3, 0.42), rng.uniform(1.55, 1.85)
    split = high * rng.uniform(0.3, 0.7)
    doors = [(0.62, 0.66, -half, half, 0.06, split - 0.008), (0.62, 0.66, -half, half, split, high)]
    handle = [(0.66, 0.70, half - 0.09, half - 0.06, split + 0.06, split + 0.4)]
    handle += [(0.66, 0.70, half - 0.09, half - 0.06, split - 0.42, split - 0.06)]
    things = [join([boxes([(0, 0.61, -half, half, 0, high)], shade(look, 0.93)), boxes(doors, look),
                    boxes(handle, Look("refrigerator", "metal", METALS[0]))])]  # fmt: skip
    for _ in range(int(rng.integers(1, 6))):
        y, z = rng.uniform(-half + 0.02, half - 0.3), rng.uniform(0.9, high - 0.3)
        things.append(facing((y, y + 0.16), (z, z + 0.2), 0.664, Look("paper", "page", tint(rng, PAINTS[:6]))))
    return things


def toilet(rng: Rng) -> Things:
    """A toilet with its tank, lid closed."""
    look = Look("toilet", "ceramic", tint(rng, (WHITE, (1.0, 0.95, 0.86))))
    bowl = [np.c_[circle(1, 12) * (a, b) + [0.44, 0], np.full(12, z)]
            for z, a, b in ((0, 0.17, 0.12), (0.2, 0.16, 0.12), (0.39, 0.25, 0.19))]  # fmt: skip
    lid = [np.c_[circle(1, 12) * (0.26, 0.2) + [0.44, 0], np.full(12, z)] for z in (0.39, 0.43)]
    tank = boxes(
        [(0, 0.18, -0.21, 0.21, 0.38, 0.76), (0, 0.2, -0.22, 0.22, 0.76, 0.79), (0.05, 0.3, -0.1, 0.1, 0, 0.38)], look
    )
    return [join([loft(np.stack(bowl), look), loft(np.stack(lid), shade(look, 0.97)), tank])]


def bathtub(rng: Rng, length: Number = 1.6) -> Things:
    """A tub along the wall."""
    look, half = Look("bathtub", "ceramic", tint(rng, (WHITE, (0.98, 0.94, 0.86)))), length / 2
    rim = [(0, 0.08, -half, half, 0, 0.56), (0.66, 0.74, -half, half, 0, 0.56), (0, 0.74, -half, -half + 0.08, 0, 0.56)]
    rim += [(0, 0.74, half - 0.08, half, 0, 0.56), (0.08, 0.66, -half, half, 0, 0.18)]
    return [boxes(rim, look), faucet(rng).placed(0.37, -half + 0.04, 0.56, np.pi / 2)]


def shower_curtain(rng: Rng, width: Number, height: Number) -> Things:
    """A gathered curtain about the origin, hanging from a rod."""
    look = Look("shower curtain", ("cloth", "flowered cloth", "striped cloth", "lacquer")[int(rng.integers(4))],
                tint(rng, (*PAINTS[:5], *CLOTHS[:3])))  # fmt: skip
    return [folds(width, height, 0.035, int(5 + 6 * width), look)]


def washbasin(rng: Rng, width: Number) -> Things:
    """A vanity with a basin and tap."""
    half, look = width / 2, wooden(rng, "cabinet")
    top = Look("counter", ("granite", "ceramic")[int(rng.integers(2))], tint(rng, (*PAINTS[:4], (0.5, 0.42, 0.36))))
    body = boxes([(0, 0.5, -half, half, 0.08, 0.8), (0, 0.44, -half, half, 0, 0.08)], look)
    face = drawers(rng, "cabinet", (-half, half), (0.1, 0.8), 0.5, look, 1, max(1, round(width / 0.45)))
    white = Look("sink", "ceramic", WHITE)
    profile = ((0.838, 0.14, 0.19), (0.875, 0.17, 0.24), (0.875, 0.15, 0.215), (0.845, 0.10, 0.14))
    rings = [np.c_[circle(1, 14) * (a, b) + [0.28, 0], np.full(14, z)] for z, a, b in profile]
    slab = boxes([(0, 0.54, -half - 0.01, half + 0.01, 0.8, 0.84)], top)
    return [join([body, face]), slab, loft(np.stack(rings), white), faucet(rng).placed(0.06, 0, 0.84)]


def towel(rng: Rng) -> Things:
    """A towel on a rail; the origin is at its lower edge."""
    width, high = rng.uniform(0.3, 0.6), rng.uniform(0.45, 0.8)
    look = Look("towel", "terry", tint(rng, (*CLOTHS, *PAINTS[:4])))
    hung = boxes(
        [(0.03, 0.055, -width / 2, width / 2, 0, high), (0.005, 0.03, -width / 2, width / 2, 0.12, high)], look
    )
    return [join([hung, folds(0.9 * width, 0.9 * high, 0.008, 3, look).placed(0.055, 0, 0.02)])]


def mirror(rng: Rng, width: Number, height: Number) -> Things:
    """A mirror; the origin is at its lower edge."""
    frame = wooden(rng, "mirror") if rng.random() < 0.6 else Look("mirror", "metal", METALS[0])
    w = width / 2
    glass = facing((-w + 0.03, w - 0.03), (0.03, height - 0.03), 0.022, Look("mirror", "looking glass"))
    return [join([boxes([(0, 0.02, -w, w, 0, height)], frame), glass])]


def clock(rng: Rng) -> Things:
    """A round clock; the origin is at its middle."""
    case, dial = Look("clock", "plain", tint(rng, METALS)), Look("clock", "plain", (0.95, 0.95, 0.92))
    ring = np.c_[np.zeros(12), circle(rng.uniform(0.11, 0.17), 12)]
    hands = boxes([(0.028, 0.03, -0.006, 0.006, 0, 0.09), (0.028, 0.03, 0, 0.06, -0.006, 0.006)], case)
    face = polygon(ring * 0.85 + [0.027, 0, 0], dial)
    return [join([loft(np.stack([ring, ring + np.array([0.025, 0, 0])]), case), face, hands])]


def picture(rng: Rng, width: Number, height: Number, frame: bool = True) -> Things:
    """A picture in a frame, or a poster without; the origin is at its lower edge."""
    w, which = width / 2, f"picture {int(rng.integers(9))}"
    face = Look("picture", which, (1, 1, 1))
    if not frame:
        return [facing((-w, w), (0, height), 0.004, face)]
    look, rim = wooden(rng, "picture"), rng.uniform(0.015, 0.04)
    return [join([boxes([(0, 0.025, -w, w, 0, height)], look),
                  facing((-w + rim, w - rim), (rim, height - rim), 0.027, face)])]  # fmt: skip


def whiteboard(rng: Rng, width: Number, height: Number) -> Things:
    """A whiteboard; the origin is at its lower edge."""
    w, frame = width / 2, Look("whiteboard", "metal", METALS[0])
    face = facing((-w + 0.02, w - 0.02), (0.02, height - 0.02), 0.022, Look("whiteboard", "board"))
    return [join([boxes([(0, 0.02, -w, w, 0, height), (0, 0.07, -w, w, -0.015, 0)], frame), face])]


def television(rng: Rng, width: Number) -> Things:
    """A flat television on a foot, its screen dark or lit."""
    w, high = width / 2, 0.58 * width
    case = Look("television", "plain", (0.12, 0.12, 0.13))
    face = Look("television", "dark screen" if rng.random() < 0.65 else "lit screen")
    return [join([boxes([(0.0, 0.05, -w, w, 0.06, high + 0.06), (-0.06, 0.12, -0.2, 0.2, 0, 0.02),
                         (0, 0.04, -0.05, 0.05, 0, 0.08)], case),
                  facing((-w + 0.02, w - 0.02), (0.08, high + 0.04), 0.052, face)])]  # fmt: skip


def door(rng: Rng, look: Look, width: Number, height: Number, ajar: Number) -> Things:
    """A door in its frame; ``ajar`` radians open, hinged on the left."""
    w, frame = width / 2, shade(look, rng.uniform(0.9, 1.1))
    jamb: list[Box] = [(-0.1, 0.03, s * w - 0.08 * (s < 0), s * w + 0.08 * (s > 0), 0, height + 0.08) for s in (-1, 1)]
    jamb.append((-0.1, 0.03, -w, w, height, height + 0.08))
    panels = [(0.0, 0.008, -width + 0.13, -0.13, low, high) for low, high in ((0.15, 0.85), (1.0, height - 0.15))]
    knob = ball((0.06, -width + 0.07, 1.0), (0.03, 0.03, 0.03), Look("door", "metal", METALS[1]), 6, 4)
    leaf = [boxes([(-0.04, 0, -width, 0, 0.01, height)], look), knob]
    if rng.random() < 0.6:
        leaf.append(boxes(panels, shade(look, rng.choice([0.88, 1.08]))))
    return [join([boxes(jamb, frame), join(leaf).placed(0, w, 0, ajar)])]


def window(rng: Rng, width: Number, height: Number, look: Look) -> Things:
    """Frame, mullions and sill about an opening whose lower edge is the origin; the middle of the glass stays open."""
    w = width / 2
    bars: list[Box] = [(-0.09, 0.02, y, y + 0.07, -0.05, height + 0.07) for y in (-w - 0.07, w)]
    bars += [(-0.09, 0.02, -w, w, height, height + 0.07), (-0.09, 0.06, -w - 0.1, w + 0.1, -0.06, 0.0)]
    panes = 1 if width < 0.8 else int(rng.integers(2, 4))
    bars += [(-0.07, -0.03, y - 0.025, y + 0.025, 0, height) for y in np.linspace(-w, w, panes + 1)]
    levels = (0.0, 0.5, 1.0) if rng.random() < 0.5 else (0.0, 1.0)
    bars += [(-0.07, -0.03, -w, w, z * height - 0.025, z * height + 0.025) for z in levels]
    return [boxes(bars, look)]


def blinds(rng: Rng, width: Number, drop: Number) -> Things:
    """Slats that hang ``drop`` metres down from the origin."""
    look = Look("blinds", "slats", tint(rng, (*PAINTS, *WOODS[:3])))
    w = width / 2
    count = max(2, int(drop / 0.06))
    body = facing((-w, w), (-drop, 0), 0.0, look)
    body.uv[..., 0] *= np.float32(width)
    body.uv[..., 1] *= np.float32(count / 32)
    return [join([body, boxes([(-0.02, 0.03, -w, w, 0, 0.05), (-0.01, 0.01, -w, w, -drop - 0.02, -drop)], look)])]


def curtains(rng: Rng, width: Number, height: Number, look: Look | None = None) -> Things:
    """Two halves drawn aside, or one, before an opening of some width; the origin is at the lower edge."""
    look = look or cloth(rng, "curtain", 0.35)
    w, share = width / 2 + 0.12, rng.uniform(0.25, 0.6)
    sides = (-1, 1) if rng.random() < 0.8 else (1,)
    wide = w * share
    halves = [folds(wide, height, 0.03, max(3, int(wide / 0.09)), look, rng.uniform(0.9, 1.05))
              .placed(0.05, s * (w - wide / 2)) for s in sides]  # fmt: skip
    rod = tube(
        (0.08, -w - 0.1, height + 0.02), (0.08, w + 0.1, height + 0.02), 0.015, Look("curtain", "metal", METALS[1]), 5
    )
    halves[0] = join([halves[0], rod])
    return halves


def radiator(rng: Rng, width: Number) -> Things:
    """A ribbed radiator under a window."""
    look = Look("radiator", "lacquer", tint(rng, PAINTS[:3]))
    ribs = [(0.03, 0.12, y, y + 0.045, 0.12, 0.62) for y in np.arange(-width / 2, width / 2, 0.065)]
    return [
        boxes(
            [*ribs, (0.05, 0.1, -width / 2, width / 2, 0.15, 0.2), (0.05, 0.1, -width / 2, width / 2, 0.55, 0.6)], look
        )
    ]


def ceiling_lamp(rng: Rng, long: bool) -> Things:
    """A light hanging from z = 0."""
    bright = Look("light", "plain", (2.2, 2.15, 1.95))
    if long:
        case = boxes([(-0.62, 0.62, -0.1, 0.1, -0.07, 0)], Look("light", "lacquer", WHITE))
        return [join([case, boxes([(-0.6, 0.6, -0.08, 0.08, -0.085, -0.07)], bright)])]
    drop = rng.uniform(0.1, 0.5)
    cord = tube((0, 0, 0), (0, 0, -drop), 0.012, Look("light", "plain", METALS[2]), 4)
    if rng.random() < 0.5:
        return [join([cord, ball((0, 0, -drop), (0.18, 0.18, 0.12), bright, 10, 5)])]
    return [
        join([cord, prism(circle(0.22, 12), -drop - 0.16, -drop, Look("light", "cloth", tint(rng, CLOTHS[:3])), 0.5)])
    ]


def cushion_seat(rng: Rng) -> Things:
    """An ottoman or pouffe."""
    return [cushion((0, 0, 0.2), (0.55, 0.6, 0.4), cloth(rng, "ottoman", 0.4))]

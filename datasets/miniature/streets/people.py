"""People on foot and on two wheels. Each stands on z = 0, centred, facing +x; ``rng`` decides the details."""

import numpy as np

from wsss.datasets.miniature.engine.shapes import Color, Look, Mesh, ball, box, circle, join, loft, prism, tube
from wsss.datasets.miniature.engine.textures import Number
from wsss.datasets.miniature.streets.vehicles import PAINTS, Rng, bicycle, motorcycle, pick

CLOTHES: tuple[Color, ...] = (
    (0.14, 0.14, 0.17),
    (0.22, 0.27, 0.40),
    (0.35, 0.35, 0.36),
    (0.62, 0.60, 0.56),
    (0.85, 0.84, 0.82),
    (0.58, 0.18, 0.18),
    (0.28, 0.36, 0.24),
    (0.46, 0.36, 0.28),
    (0.75, 0.62, 0.25),
    (0.36, 0.22, 0.36),
    (0.25, 0.45, 0.55),
)
SKIN: tuple[Color, ...] = ((0.85, 0.68, 0.57), (0.74, 0.56, 0.44), (0.50, 0.36, 0.27), (0.36, 0.25, 0.19))
HAIR: tuple[Color, ...] = ((0.12, 0.10, 0.09), (0.30, 0.21, 0.14), (0.62, 0.52, 0.36), (0.60, 0.60, 0.60))


def _head(kind: str, rng: Rng, x: Number, z: Number, helmet: bool) -> list[Mesh]:
    top = pick(rng, PAINTS) if helmet else pick(rng, HAIR)
    return [
        ball((x, 0, z), (0.10, 0.085, 0.13), Look(kind, "plain", pick(rng, SKIN)), 7, 5),
        ball((x - 0.02, 0, z + 0.035), (0.115, 0.10, 0.12), Look(kind, "plain", top), 7, 5),
    ]


def person(rng: Rng) -> Mesh:
    """Somebody who walks or stands."""
    shirt, trousers = Look("person", "cloth", pick(rng, CLOTHES)), Look("person", "cloth", pick(rng, CLOTHES[:7]))
    skin = Look("person", "plain", pick(rng, SKIN))
    stride = rng.uniform(0.02, 0.30)
    wide = rng.uniform(0.9, 1.15)
    parts = []
    for side, step in ((-1, stride), (1, -stride)):
        parts.append(tube((step, side * 0.10, 0.06), (0.4 * step, side * 0.10, 0.48), (0.06, 0.075), trousers))
        parts.append(tube((0.4 * step, side * 0.10, 0.46), (0, side * 0.09, 0.92), (0.075, 0.10), trousers))
        parts.append(
            box(
                (step - 0.08, step + 0.17),
                (side * 0.10 - 0.05, side * 0.10 + 0.05),
                (0, 0.09),
                Look("person", "plain", (0.12, 0.1, 0.1)),
            )
        )
        hand = (-0.9 * step + 0.04, side * 0.27 * wide, 0.85)
        parts.append(tube((0, side * 0.23 * wide, 1.42), hand, (0.062, 0.045), shirt, 5))
        parts.append(ball(hand, (0.05, 0.05, 0.07), skin, 5, 3))
    trunk = ((0.13, 0.18 * wide, 0.84), (0.12, 0.165 * wide, 1.05), (0.135, 0.22 * wide, 1.32), (0.07, 0.11, 1.52))
    parts.append(loft(np.stack([np.c_[circle(1, 8) * (x, y), np.full(8, z)] for x, y, z in trunk]), shirt))
    if rng.random() < 0.25:  # a long coat or skirt
        parts.append(prism(circle(1, 8) * (0.17, 0.22 * wide), 0.45, 0.95, shirt, top=0.8))
    if rng.random() < 0.3:  # a rucksack or bag
        parts.append(
            box((-0.30, -0.12), (-0.15, 0.15), (1.05, 1.45), Look("pedestrian object", "cloth", pick(rng, CLOTHES)))
        )
    parts.append(tube((0, 0, 1.48), (0.01, 0, 1.60), 0.055, skin, 5))
    return join(parts + _head("person", rng, 0.02, 1.66, helmet=False))


def rider(rng: Rng, on: str) -> Mesh:
    """Somebody on a ``bicycle`` or ``motorcycle``, the vehicle included."""
    cycle = on == "bicycle"
    kind = "rider" if cycle else "motorcyclist"
    vehicle = (bicycle(rng) if cycle else motorcycle(rng)).all_of(f"ridden {on}")
    shirt, trousers = Look(kind, "cloth", pick(rng, CLOTHES)), Look(kind, "cloth", pick(rng, CLOTHES[:7]))
    seat, bar, foot = (-0.24, 0.92), (0.34, 1.06), (-0.05, 0.28)
    lean = 0.16 if cycle else 0.10
    parts = [vehicle]
    for side, pedal in ((-1, 0.12), (1, -0.10)):
        knee = (0.16, side * 0.14, 0.62 + pedal)
        parts.append(tube((seat[0], side * 0.10, seat[1]), knee, (0.10, 0.08), trousers))
        parts.append(tube(knee, (foot[0], side * 0.13, foot[1] + pedal), (0.075, 0.06), trousers))
        parts.append(tube((seat[0] + lean, side * 0.20, 1.42), (bar[0], side * 0.24, bar[1]), (0.06, 0.045), shirt, 5))
    trunk = ((0.0, 0.18, 0.86), (0.5 * lean, 0.18, 1.10), (lean, 0.22, 1.38), (lean, 0.1, 1.54))
    shells = [np.c_[circle(1, 8) * (0.13, y) + [seat[0] + x, 0], np.full(8, z)] for x, y, z in trunk]
    parts.append(loft(np.stack(shells), shirt))
    helmet = not cycle or rng.random() < 0.5
    return join(parts + _head(kind, rng, seat[0] + lean + 0.06, 1.68, helmet))

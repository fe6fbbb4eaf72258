"""What lies flat: road and markings, parking bays, curbs, verges, sidewalks, side streets, meadows."""

import numpy as np

from wsss.datasets.miniature.engine.shapes import Look, circle, polygon, quads
from wsss.datasets.miniature.streets import scenery
from wsss.datasets.miniature.streets.street import Rng, World

_LANE, _MARK = Look("lane marker", "marking"), Look("road marker", "marking")


def lay(rng: Rng, world: World) -> None:
    """Everything flat."""
    span, (right, left) = world.span, world.sides
    every = np.arange(span[0], span[1] + 30, 3.0)
    grey = float(rng.uniform(0.8, 1.25))
    road = Look("road", "asphalt", (grey, grey, grey * float(rng.uniform(0.95, 1.04))))
    world.parts.append(world.ribbon(every, (right.edge, 0), (left.edge, 0), road))
    meadow = Look("terrain", "grass", scenery.pick(rng, scenery.GREENS))
    low, high = world.path.points.min(0) - 150, world.path.points.max(0) + 150
    plane = [(low[0], low[1], -0.03), (high[0], low[1], -0.03), (high[0], high[1], -0.03), (low[0], high[1], -0.03)]
    world.parts.append(quads([plane], meadow))
    paving = Look(
        "sidewalk",
        ("slabs", "slabs", "clay", "cobble", "asphalt")[int(rng.integers(5))],
        scenery.pick(rng, ((1.0, 1.0, 1.0), (0.9, 0.88, 0.84), (1.1, 1.1, 1.1))),
    )
    curb = Look("sidewalk", "curb")
    for side in world.sides:
        if side.parking and rng.random() < 0.4:
            bay = Look("parking", "cobble" if rng.random() < 0.6 else "asphalt", (1.0, 0.98, 0.96))
            world.parts.append(world.ribbon(every, (side.edge, 0.012), (side.out(-2.0), 0.012), bay))
        verge = 0.15 + side.verge
        profile = [
            (side.edge, 0.0),
            (side.edge, 0.12),
            (side.out(0.15), 0.12),
            (side.out(verge), 0.12),
            (side.out(side.depth), 0.12),
            (side.out(side.depth + 14), 0.12),
        ]
        looks = [curb, curb, meadow, paving, meadow]
        for a, b in world.open(0):
            along = np.linspace(a, b, max(2, int((b - a) / 3)))
            for start, end, look in zip(profile[:-1], profile[1:], looks, strict=True):
                if start != end:
                    world.parts.append(world.ribbon(along, start, end, look))
        for a, b in world.crossings:
            world.parts.append(world.ribbon(np.linspace(a, b, 4), (side.out(-0.4), 0.004), (side.out(70), 0.004), road))
            for pavement in ((a - 2.2, a), (b, b + 2.2)):
                world.parts.append(
                    world.ribbon(np.array(pavement), (side.out(side.depth), 0.125), (side.out(70), 0.125), paving)
                )
    _lines(rng, world)
    _stains(rng, world)


def _lines(rng: Rng, world: World) -> None:
    """Centre line, edge lines, zebra crossings and stop lines."""
    right, left = (side.out(-2.1 if side.parking else 0.0) for side in world.sides)
    dash, gap = float(rng.choice([3.0, 4.0, 6.0])), float(rng.choice([3.0, 6.0, 9.0]))
    bordered = rng.random() < 0.5
    for a, b in world.open(6):
        for start in np.arange(a, b - dash, dash + gap):
            world.parts.append(world.ribbon(np.linspace(start, start + dash, 3), (1.55, 0.014), (1.69, 0.014), _LANE))
        along = np.linspace(a, b, max(2, int((b - a) / 3)))
        for edge in (right + 0.15, left - 0.27) if bordered else ():
            world.parts.append(world.ribbon(along, (edge, 0.014), (edge + 0.12, 0.014), _LANE))
    for a, _ in world.crossings:
        if rng.random() < 0.75:
            for stripe in np.arange(right + 0.4, left - 0.5, 1.0):
                world.parts.append(
                    world.ribbon(np.array([a - 4.0, a - 1.0]), (stripe, 0.014), (stripe + 0.5, 0.014), _MARK)
                )
            world.parts.append(world.ribbon(np.array([a - 5.6, a - 5.2]), (-1.55, 0.014), (1.5, 0.014), _MARK))


def _stains(rng: Rng, world: World) -> None:
    """Manholes and patches of newer asphalt."""
    for along in np.arange(world.span[0], world.span[1], 14.0) + rng.uniform(0, 10):
        if rng.random() < 0.6:
            point, _ = world.path.at(along, rng.uniform(-1.2, 4.5))
            rim = np.c_[circle(0.36, 10) + point, np.full(10, 0.013)]
            world.parts.append(polygon(rim, Look("road", "plain", (0.3, 0.29, 0.28))))
        else:
            start, left, dark = along + rng.uniform(-4, 4), rng.uniform(-1.5, 3.2), float(rng.uniform(0.6, 0.9))
            piece = np.linspace(start, start + rng.uniform(2, 9), 4)
            look = Look("road", "asphalt", (dark, dark, dark))
            world.parts.append(world.ribbon(piece, (left, 0.008), (left + rng.uniform(0.8, 1.8), 0.008), look))

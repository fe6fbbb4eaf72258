"""Things that only some datasets tell apart: cones, excavators, what people push and pull, dogs, pigeons, and riders.

They are drawn from a stream of their own and added to a finished world, so that worlds without them stay as they are.
"""

import numpy as np

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature.engine.shapes import Color, Look, Mesh, ball, box, circle, join, prism, tube
from wsss.datasets.miniature.streets.roadside import HEIGHT
from wsss.datasets.miniature.streets.street import Rng, Side, World, some
from wsss.datasets.miniature.streets.vehicles import PAINTS, pick

_ORANGE: Color = (0.96, 0.36, 0.10)
_WHITE: Color = (0.92, 0.92, 0.90)
_FURS: tuple[Color, ...] = ((0.62, 0.46, 0.30), (0.30, 0.22, 0.16), (0.16, 0.15, 0.15), (0.80, 0.76, 0.68))


def scatter(world: World, start: float, end: float) -> None:
    """Put extras along a piece of the street, in metres of its path, but not where side streets leave."""
    rng = stream(world.seed, "extras")
    for side in world.sides:
        inner = 0.15 + side.verge
        for put, count in ((_works, int(rng.random() < 0.65)), (_large, int(rng.random() < 0.4)), (_walker, 2),
                           (_rider, int(rng.random() < 0.8)), (_dog, 1)):  # fmt: skip
            for at in rng.uniform(start, end, count):
                if not any(a - 3 < at < b + 3 for a, b in world.crossings):
                    put(rng, world, side, float(at))
        at = float(rng.uniform(start, end))
        if not any(a - 3 < at < b + 3 for a, b in world.crossings):
            _flock(rng, world, at, side.out(inner + rng.uniform(0.5, 2.0)), HEIGHT)
    _flock(rng, world, float(rng.uniform(start + 14, end)), float(rng.uniform(1.0, 2.2)), 0.0)


def _works(rng: Rng, world: World, side: Side, start: float) -> None:
    """A row of cones or of marker posts along the curb, on the road unless vehicles park there."""
    left, z = (side.out(0.35), HEIGHT) if side.parking else (side.out(-0.3), 0.0)
    make = cone if rng.random() < 0.6 else marker_post
    thing = make(rng)
    for along in start + rng.uniform(1.4, 2.4) * np.arange(int(rng.integers(4, 9))):
        if not any(a < along < b for a, b in world.crossings):
            world.parts.append(world.stand(thing, along, left + rng.normal(0, 0.06), rng.uniform(0, 6.28), z))


def _large(rng: Rng, world: World, side: Side, at: float) -> None:
    """An excavator or a trailer on the pavement."""
    thing, kind = (excavator(rng), "excavator") if rng.random() < 0.5 else (some(rng, "trailer", 40), "trailer")
    turn = float(rng.choice([0.0, np.pi])) + rng.normal(0, 0.1)
    world.parts.append(world.stand(world.count(thing, kind), at, side.out(1.5), turn, HEIGHT))


def _rider(rng: Rng, world: World, side: Side, at: float) -> None:
    """A cyclist or a motorcyclist close to the curb."""
    vehicle = "bicycle" if rng.random() < 0.55 else "motorcycle"
    thing = world.count(some(rng, f"rider {vehicle}", 24), "rider", vehicle)
    turn = (0.0 if side.sign < 0 else np.pi) + rng.normal(0, 0.1)
    world.parts.append(world.stand(thing, at, side.out(rng.uniform(0.6, 1.2)), turn, HEIGHT))


def _dog(rng: Rng, world: World, side: Side, at: float) -> None:
    across = 0.15 + side.verge + rng.uniform(0.4, side.sidewalk)
    animal = world.count(dog(rng), "ground animal")
    world.parts.append(world.stand(animal, at, side.out(across), rng.uniform(0, 6.28), HEIGHT))


def _walker(rng: Rng, world: World, side: Side, at: float) -> None:
    """Somebody with a pram, a suitcase or a shopping trolley."""
    across = 0.15 + side.verge + rng.uniform(0.7, max(side.sidewalk - 0.5, 0.9))
    way = float(rng.choice([-1.0, 1.0]))
    turn = 0.0 if way > 0 else np.pi
    person = world.count(some(rng, "person", 40), "person")
    world.parts.append(world.stand(person, at, side.out(across), turn, HEIGHT))
    thing, ahead, aside = (pram(rng), 0.75, 0.0) if rng.random() < 0.5 else (suitcase(rng), -0.45, 0.3)
    thing = world.count(thing, "pedestrian object")
    world.parts.append(world.stand(thing, at + way * ahead, side.out(across + aside), turn, HEIGHT))


def _flock(rng: Rng, world: World, along: float, left: float, z: float) -> None:
    for _ in range(int(rng.integers(4, 9))):
        bird = world.count(pigeon(rng), "bird")
        at, aside = along + rng.normal(0, 0.7), left + rng.normal(0, 0.4)
        world.parts.append(world.stand(bird, at, aside, rng.uniform(0, 6.28), z))


def excavator(rng: Rng) -> Mesh:
    """A small excavator; its arm reaches forward."""
    paint = Look("excavator", "paint", pick(rng, ((0.93, 0.68, 0.12), (0.90, 0.45, 0.12), (0.85, 0.82, 0.75))))
    dark = Look("excavator", "plain", (0.13, 0.13, 0.14))
    parts = [box((-1.2, 1.2), (s - 0.2, s + 0.2), (0, 0.6), dark) for s in (-0.75, 0.75)]
    parts += [
        box((-1.1, 0.9), (-0.85, 0.85), (0.65, 1.3), paint),
        box((-0.3, 0.8), (-0.8, 0.1), (1.3, 2.4), Look("excavator", "glass"), top=0.9),
        box((-0.35, 0.8), (-0.82, 0.12), (2.4, 2.52), paint),
        tube((0.8, 0.4, 1.1), (2.1, 0.4, 2.7), (0.2, 0.15), paint, 6),
        tube((2.1, 0.4, 2.7), (3.0, 0.4, 1.2), (0.15, 0.1), paint, 6),
        box((2.7, 3.2), (0.05, 0.75), (0.55, 1.2), dark, top=0.6),
    ]
    return join(parts)


def cone(rng: Rng) -> Mesh:
    """A traffic cone."""
    height = float(rng.uniform(0.7, 0.95))
    orange, white = Look("cone", "plain", _ORANGE), Look("cone", "marking", _WHITE)
    radius = (0.17, 0.12, 0.075, 0.03)
    levels = (0.04, 0.4 * height, 0.7 * height, height)
    parts = [box((-0.22, 0.22), (-0.22, 0.22), (0, 0.05), orange)]
    for k, look in enumerate((orange, white, orange)):
        parts.append(prism(circle(radius[k], 8), levels[k], levels[k + 1], look, top=radius[k + 1] / radius[k]))
    return join(parts)


def marker_post(rng: Rng) -> Mesh:
    """A striped post of a building site on a heavy foot."""
    orange, white = Look("cone", "plain", _ORANGE), Look("cone", "marking", _WHITE)
    parts = [box((-0.35, 0.35), (-0.2, 0.2), (0, 0.1), Look("cone", "plain", (0.2, 0.2, 0.2)))]
    bands = [(0.1 + 0.2 * k, 0.3 + 0.2 * k) for k in range(5)]
    parts += [box((-0.03, 0.03), (-0.13, 0.13), band, white if k % 2 else orange) for k, band in enumerate(bands)]
    return join(parts)


def pram(rng: Rng) -> Mesh:
    """A pram; its handle points backwards."""
    cloth = Look("pedestrian object", "cloth", pick(rng, PAINTS))
    dark = Look("pedestrian object", "plain", (0.12, 0.12, 0.13))
    parts = [
        box((-0.28, 0.38), (-0.24, 0.24), (0.42, 0.72), cloth, top=1.15),
        ball((0.18, 0, 0.76), (0.26, 0.26, 0.28), cloth, 7, 4),
        tube((-0.25, -0.2, 0.6), (-0.55, -0.2, 1.02), 0.025, dark, 4),
        tube((-0.25, 0.2, 0.6), (-0.55, 0.2, 1.02), 0.025, dark, 4),
        tube((-0.55, -0.22, 1.02), (-0.55, 0.22, 1.02), 0.025, dark, 4),
    ]
    for x in (-0.24, 0.3):
        for y in (-0.25, 0.25):
            parts.append(tube((x, y - 0.025, 0.14), (x, y + 0.025, 0.14), 0.14, dark, 10))
            parts.append(tube((x, y, 0.14), (0.05, y, 0.45), 0.02, dark, 4))
    return join(parts)


def suitcase(rng: Rng) -> Mesh:
    """A suitcase on wheels."""
    shell = Look("pedestrian object", "paint", pick(rng, PAINTS))
    handle = Look("pedestrian object", "plain", (0.2, 0.2, 0.2))
    return join([
        box((-0.15, 0.15), (-0.23, 0.23), (0.06, float(rng.uniform(0.6, 0.8))), shell),
        tube((0.1, -0.1, 0.6), (0.16, -0.1, 1.0), 0.015, handle, 4),
        tube((0.1, 0.1, 0.6), (0.16, 0.1, 1.0), 0.015, handle, 4),
        tube((0.16, -0.12, 1.0), (0.16, 0.12, 1.0), 0.02, handle, 4),
    ])  # fmt: skip


def dog(rng: Rng) -> Mesh:
    """A dog of medium size."""
    fur, size = Look("ground animal", "cloth", pick(rng, _FURS)), float(rng.uniform(0.8, 1.2))
    parts = [
        ball((0, 0, 0.45), (0.38, 0.15, 0.17), fur, 8, 5),
        ball((0.44, 0, 0.64), (0.15, 0.10, 0.11), fur, 7, 4),
        tube((0.3, 0, 0.5), (0.42, 0, 0.64), 0.08, fur, 6),
        tube((0.5, 0, 0.61), (0.64, 0, 0.59), (0.06, 0.04), fur, 5),
        tube((-0.34, 0, 0.5), (-0.58, 0, 0.68), (0.04, 0.02), fur, 5),
    ]
    parts += [tube((x, y, 0), (x, y, 0.4), 0.045, fur, 5) for x in (-0.26, 0.26) for y in (-0.09, 0.09)]
    return join(parts).placed(0.0, 0.0, scale=size)


def pigeon(rng: Rng) -> Mesh:
    """A pigeon."""
    grey = float(rng.uniform(0.25, 0.5))
    look = Look("bird", "plain", (grey, grey, 1.1 * grey))
    return join([
        ball((0, 0, 0.14), (0.15, 0.08, 0.08), look, 7, 4),
        ball((0.13, 0, 0.25), (0.05, 0.04, 0.05), Look("bird", "plain", (0.5 * grey, 0.7 * grey, 0.6 * grey)), 6, 4),
        box((-0.30, -0.1), (-0.05, 0.05), (0.11, 0.15), look),
        tube((0.02, 0, 0), (0.02, 0, 0.1), 0.015, Look("bird", "plain", (0.7, 0.3, 0.25)), 4),
    ])  # fmt: skip

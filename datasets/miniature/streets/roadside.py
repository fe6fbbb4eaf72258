"""What stands beside and on the road: houses, gardens, furniture, people, parked vehicles, traffic."""

import numpy as np

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature.engine.shapes import Mesh
from wsss.datasets.miniature.engine.textures import Number
from wsss.datasets.miniature.streets import scenery
from wsss.datasets.miniature.streets.street import Rng, Side, World, some

HEIGHT = 0.12
"""Of the sidewalk above the road, metres."""


def edge(rng: Rng, world: World, side: Side) -> None:
    """The line of houses, gardens, walls, fences, hedges and parks."""
    kinds, weights = list(world.character.edge), np.array(list(world.character.edge.values()))
    left = side.out(side.depth)
    for start, end in world.open(2.5):
        along = start
        while end - along > 4:
            what = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
            width = min(float(rng.uniform(9, 20) if what == "houses" else rng.uniform(8, 22)), end - along)
            _plot(rng, world, side, what, along, width, left)
            along += width + (0.0 if what == "houses" and rng.random() < 0.8 else float(rng.uniform(0.5, 3)))
    for a, b in world.crossings:  # houses and trees along the side street
        for near in (12.0, 30.0, 48.0):
            for at, turn in ((a - 3.0, 1), (b + 3.0, -1)):
                if rng.random() < 0.4:
                    _tree(rng, world, at + turn * 1.2, side.out(side.depth + near), rng.uniform(5, 9))
        block = scenery.house(rng, 24.0, int(rng.integers(2, 5)))
        world.parts.append(world.front(block, (a + b) / 2 - 12, 24.0, side.sign, side.out(62), 0.0))


def _plot(rng: Rng, world: World, side: Side, what: str, along: Number, width: Number, left: Number) -> None:
    """One piece of the line, ``width`` metres from ``along``."""
    if what == "houses":
        house = scenery.house(rng, width, int(rng.integers(world.character.storeys[0], world.character.storeys[1] + 1)))
        world.parts.append(
            world.front(house, along, width, side.sign, left + side.sign * float(rng.choice([0.0, 0.0, 0.6])), HEIGHT)
        )
        return
    fronts = {"wall": scenery.wall, "fence": scenery.fence, "hedge": scenery.hedge}
    front = fronts.get(what) or (None if what == "park" else fronts[("fence", "hedge", "wall")[int(rng.integers(3))]])
    if front is not None:
        world.parts.append(world.front(front(rng, width), along, width, side.sign, left, HEIGHT))
    behind = left + side.sign * float(rng.uniform(6, 11))
    if (what == "garden" or rng.random() < 0.5) and width > 8:
        house = scenery.house(rng, width - 2.0, int(rng.integers(2, 4)))
        world.parts.append(world.front(house, along + 1.0, width - 2.0, side.sign, behind, HEIGHT))
    for _ in range(int(rng.integers(1, 3) + width // (5 if what == "park" else 8))):
        near = float(rng.uniform(1.0, 5.0 if what != "park" else 14.0))
        _tree(rng, world, along + rng.uniform(1, max(width - 1, 1.1)), left + side.sign * near, rng.uniform(4, 10))
    for _ in range(int(width // 4)):
        at = along + rng.uniform(0.5, width)
        bush = some(rng, "bush")
        world.parts.append(
            world.stand(
                bush,
                at,
                left + side.sign * float(rng.uniform(1.2, 4.5)),
                rng.uniform(0, 6),
                HEIGHT,
                rng.uniform(0.8, 1.6),
            )
        )
    if what == "park":  # a line of trees closes the view
        for at in np.arange(along, along + width, 5.0):
            _tree(
                rng, world, at + rng.uniform(-2, 2), left + side.sign * float(rng.uniform(20, 34)), rng.uniform(8, 13)
            )


def _tree(rng: Rng, world: World, along: Number, left: Number, height: Number, name: str = "distant tree") -> None:
    tree = some(rng, name, 24)
    world.parts.append(world.stand(tree, along, left, rng.uniform(0, 6.28), HEIGHT, height / 8.0))


def furniture(rng: Rng, world: World, side: Side) -> None:
    """Poles, signs, signals, trees, cycles, clutter and people on the sidewalk; parked vehicles along the curb."""
    away = 0.0 if side.sign > 0 else np.pi
    lamps = rng.uniform(18, 30)
    next_lamp = world.span[0] + rng.uniform(0, lamps)
    for start, end in world.open(2.0):
        for along in np.arange(start + 1, end - 2, 3.6):
            at = float(along + rng.uniform(0, 1.5))
            if at > next_lamp:
                world.parts.append(world.stand(some(rng, "lamp"), at, side.out(0.55), away, HEIGHT))
                next_lamp = at + lamps
            elif rng.random() < world.character.trees:
                _tree(rng, world, at, side.out(0.15 + max(0.5, side.verge / 2)), rng.uniform(6, 11), "tree")
            else:
                _small(rng, world, side, at)
        _people(rng, world, side, start, end)
        if side.parking:
            _parked(rng, world, side, start, end)
    for a, b in world.crossings:
        facing, at = (0.0, a - 2.2) if side.sign < 0 else (np.pi, b + 2.2)
        if rng.random() < 0.75:
            signal = some(rng, "signal arm" if rng.random() < 0.45 else "signal", 6)
            world.parts.append(world.stand(signal, at, side.out(0.5), facing, HEIGHT))
            other, there = (0.0, b + 1.8) if side.sign > 0 else (0.0, b + 2.5)
            world.parts.append(world.stand(some(rng, "signal", 6), there, side.out(0.6), other, HEIGHT))
        else:
            world.parts.append(world.stand(some(rng, "sign"), at, side.out(0.5), facing, HEIGHT))


def _small(rng: Rng, world: World, side: Side, at: Number) -> None:
    """Perhaps a sign, a cycle or some clutter near the curb."""
    draw = rng.random()
    left, facing = side.out(0.55), 0.0 if side.sign < 0 or rng.random() < 0.3 else np.pi
    if draw < 0.13:
        world.parts.append(world.stand(some(rng, "sign"), at, left, facing + rng.uniform(-0.15, 0.15), HEIGHT))
    elif draw < 0.25:
        for k in range(int(rng.integers(1, 4))):
            cycle = world.count(some(rng, "bicycle"), "bicycle")
            turn = np.pi / 2 + rng.uniform(-0.25, 0.25) if rng.random() < 0.5 else rng.uniform(-0.2, 0.2)
            world.parts.append(world.stand(cycle, at + 0.7 * k, side.out(0.9), turn, HEIGHT))
    elif draw < 0.29:
        cycle = world.count(some(rng, "motorcycle"), "motorcycle")
        world.parts.append(world.stand(cycle, at, side.out(0.8), rng.uniform(-0.4, 0.4), HEIGHT))
    elif draw < 0.35:
        world.parts.append(world.stand(some(rng, "clutter"), at, left, rng.uniform(0, 6.28), HEIGHT))
    elif draw < 0.40:
        world.parts.append(world.stand(scenery.post(rng), at, side.out(0.35), 0.0, HEIGHT))


def _people(rng: Rng, world: World, side: Side, start: Number, end: Number) -> None:
    for _ in range(rng.poisson(1.6 * (end - start) / world.character.people)):
        at, across = rng.uniform(start, end), side.verge + rng.uniform(0.8, max(side.sidewalk, 1.0))
        turn = float(rng.choice([0.0, np.pi])) + rng.normal(0, 0.35)
        for k in range(1 + int(rng.random() < 0.3)):
            person = world.count(some(rng, "person", 40), "person")
            world.parts.append(
                world.stand(person, at + 0.1 * k, side.out(across + 0.6 * k), turn, HEIGHT, rng.uniform(0.92, 1.06))
            )


def _parked(rng: Rng, world: World, side: Side, start: Number, end: Number) -> None:
    along, heading = start + rng.uniform(1, 6), 0.0 if side.sign < 0 else np.pi
    while along < end - 4:
        if rng.random() > world.character.parked:
            along += rng.uniform(3, 7)
            continue
        name = ("car", "truck", "motorcycle", "trailer")[int(rng.choice(4, p=[0.895, 0.035, 0.055, 0.015]))]
        thing = world.count(some(rng, name, 40), name)
        length = float(np.ptp(thing.corners[:, :, 0]))
        if along + length > end:
            break
        world.parts.append(world.stand(thing, along + length / 2, side.out(-1.02), heading + rng.normal(0, 0.02)))
        along += length + rng.uniform(0.7, 1.8)


def traffic(world: World, stop: int) -> list[Mesh]:
    """Vehicles on the lanes as they stand when the observer passes a stop."""
    rng, here = stream(world.seed, "stop", stop), world.stops[stop]
    world.counted = 10_000 * (stop + 1)  # the same numbers whichever stop is asked for first
    lanes = [(0.0, 0.0, here + rng.uniform(11, 60)), (3.3, np.pi, here + rng.uniform(6, 40))]
    parts = []  # a lane is its left coordinate, its heading and its next free metre
    weights = [0.60, 0.07, 0.08, 0.01, 0.13, 0.11]
    names = ["car", "truck", "bus", "train", "rider bicycle", "rider motorcycle"]
    for left, heading, along in lanes:
        while along < here + 110:
            name = names[int(rng.choice(6, p=weights))]
            kinds = ("rider", name.removeprefix("rider ")) if name.startswith("rider") else (name,)
            thing = world.count(some(rng, name, 24), *kinds)
            length = float(np.ptp(thing.corners[:, :, 0]))
            aside = float(rng.normal(0, 0.15)) - (
                np.cos(heading) * rng.uniform(0.6, 1.2) if kinds[0] == "rider" else 0.0
            )
            parts.append(world.stand(thing, along + length / 2, left + aside, heading + rng.normal(0, 0.02)))
            along += length + rng.uniform(4, 50)
    for a, _ in world.crossings:  # people on the zebra
        for _ in range(rng.poisson(0.7)):
            person = world.count(some(rng, "person", 40), "person")
            left = rng.uniform(world.sides[0].edge, world.sides[1].edge)
            if a - 2.5 - here > 7:
                parts.append(
                    world.stand(person, a - rng.uniform(1.3, 3.7), left, float(rng.choice([-1, 1])) * np.pi / 2)
                )
    return parts

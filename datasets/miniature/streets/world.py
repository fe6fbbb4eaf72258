"""A world from a seed: a street, what lies and stands along it, its traffic and its weather."""

import numpy as np

from wsss.benchmark.randomness import seed_of, stream
from wsss.datasets.miniature.engine.render import Light
from wsss.datasets.miniature.engine.shapes import Mesh, join
from wsss.datasets.miniature.engine.textures import Interval
from wsss.datasets.miniature.streets import drive, ground, roadside, scenery
from wsss.datasets.miniature.streets.street import BEFORE, BEHIND, CHARACTERS, Rng, Side, World


def weather(rng: Rng, seed: int) -> Light:
    """Sunny, low sun, broken clouds or overcast."""
    which = int(rng.choice(4, p=[0.3, 0.2, 0.2, 0.3]))
    azimuth, height = rng.uniform(0, 2 * np.pi), (0.85, 0.32, 0.7, 0.9)[which] * rng.uniform(0.8, 1.2)
    strength = (2.1, 1.9, 1.3, 0.0)[which]
    sun = np.array([(1, 0.95, 0.86), (1, 0.80, 0.56), (1, 0.96, 0.9), (0, 0, 0)][which]) * strength
    ambient = np.array([(0.34, 0.40, 0.50), (0.30, 0.34, 0.44), (0.46, 0.50, 0.56), (0.86, 0.89, 0.93)][which])
    horizon = np.array([(0.86, 0.92, 1.0), (1.0, 0.92, 0.82), (0.95, 0.97, 1.0), (1.25, 1.27, 1.3)][which])
    zenith = np.array([(0.22, 0.42, 0.82), (0.24, 0.38, 0.66), (0.36, 0.52, 0.82), (0.95, 0.98, 1.03)][which])
    white = np.array([1.0, 1.0, 1.0]) + rng.uniform(-0.07, 0.07) * np.array([1, 0.15, -1])
    return Light(
        towards_sun=(float(np.cos(azimuth)), float(np.sin(azimuth)), float(height)),
        sun=tuple(sun), ambient=tuple(ambient), horizon=tuple(horizon), zenith=tuple(zenith),
        clouds=float((0.25, 0.35, 0.5, 0.8)[which] * rng.uniform(0.7, 1.2)), haze=float(np.exp(rng.uniform(5.9, 7.8))),
        exposure=float(rng.uniform(0.85, 1.4)), white=tuple(white), noise=float(rng.uniform(0.006, 0.014)), seed=seed,
    )  # fmt: skip


def build(seed: int, name: str, stops: int = 4) -> World:
    """The world of that name, with a number of places where a labelled picture is taken, at least 26 m apart."""
    rng = stream(seed, "miniature world", name)
    gap = rng.uniform(30, 44)
    places = tuple(float(v) for v in 12 + gap * np.arange(stops) + rng.uniform(-2, 2, stops))
    sharpest = float(rng.choice([0.001, 0.005, 0.009]))
    street = drive.path(rng, places[0] - BEFORE - 60, places[-1] + BEHIND + 60, sharpest)
    character = CHARACTERS[int(rng.choice(len(CHARACTERS), p=[0.32, 0.28, 0.18, 0.22]))]
    first, every = places[0] + rng.uniform(10, 45), rng.uniform(55, 85)
    crossings = tuple(
        (float(s), float(s) + float(rng.uniform(8, 11))) for s in np.arange(first, places[-1] + 110, every)
    )
    light = weather(rng, seed_of(seed, "light", name))
    sides = (
        _side(rng, -1, -1.7, character.sidewalk, character.verge),
        _side(rng, 1, 4.95, character.sidewalk, character.verge),
    )
    world = World(street, light, places, seed_of(seed, "traffic", name), character, sides, crossings)
    ground.lay(rng, world)
    for side in sides:
        roadside.edge(rng, world, side)
        roadside.furniture(rng, world, side)
    _end(rng, world)
    return world


def _side(rng: Rng, sign: int, lane: float, sidewalk: Interval, verge: float) -> Side:
    parking = bool(rng.random() < 0.55)
    grass = float(rng.uniform(1.2, 2.4)) * float(rng.random() < verge)
    return Side(sign, lane + sign * 2.1 * parking, parking, grass, float(rng.uniform(*sidewalk)))


def _end(rng: Rng, world: World) -> None:
    """A house across the far end of the street."""
    point, heading = world.path.at(world.span[1] + 25)
    block = scenery.house(rng, 60.0, int(rng.integers(3, 6)))
    yaw = float(heading) - np.pi / 2
    x, y = point - 30 * np.array([np.cos(yaw), np.sin(yaw)])
    world.parts.append(block.placed(float(x), float(y), 0.0, yaw))


def around(world: World, stop: int, reach: float = 170.0, behind: float = 12.0) -> Mesh:
    """What can be seen from a stop, so many metres ahead and behind, its momentary traffic included."""
    mesh = join([*world.parts, *roadside.traffic(world, stop)])
    point, heading = world.path.at(world.stops[stop])
    offset = mesh.corners[:, :, :2] - point.astype(np.float32)
    ahead = offset[..., 0] * np.float32(np.cos(heading)) + offset[..., 1] * np.float32(np.sin(heading))
    return mesh.where((ahead.max(1) > -behind) & (ahead.min(1) < reach))

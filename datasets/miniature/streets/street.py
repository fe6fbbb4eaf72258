"""A street under construction: its cross-section, its coordinates, and the stock of things to put there.

Street coordinates are metres along the observer's path and metres to the left of it; the observer drives on the right.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature.engine.render import Light
from wsss.datasets.miniature.engine.shapes import Look, Mesh, quads
from wsss.datasets.miniature.engine.textures import Interval, Number
from wsss.datasets.miniature.streets import drive, people, scenery, vehicles

Rng = np.random.Generator

BEFORE, BEHIND = 15.0, 150.0
"""Metres of street in front of the first and beyond the last stop."""


@dataclass(frozen=True)
class Character:
    """What a neighbourhood is like."""

    storeys: tuple[int, int]
    sidewalk: tuple[float, float]
    """Width in metres."""
    edge: dict[str, float]
    """How often the street is lined by each of houses, garden, wall, fence, hedge, park."""
    trees: float
    """Share of the places at the curb that hold one."""
    parked: float
    """Share of the places along the curb that hold a vehicle."""
    people: float
    """Metres of sidewalk per person."""
    verge: float
    """Chance of a strip of grass between road and sidewalk."""


CHARACTERS = (
    Character((3, 6), (3.6, 5.6), {"houses": 0.78, "wall": 0.05, "fence": 0.11, "park": 0.06}, 0.16, 0.6, 9.0, 0.1),
    Character(
        (3, 5),
        (3.0, 4.6),
        {"houses": 0.58, "garden": 0.1, "wall": 0.10, "fence": 0.15, "park": 0.07},
        0.22,
        0.5,
        14.0,
        0.3,
    ),
    Character(
        (2, 3),
        (2.4, 3.6),
        {"houses": 0.2, "garden": 0.34, "wall": 0.14, "fence": 0.22, "hedge": 0.10},
        0.22,
        0.4,
        24.0,
        0.4,
    ),
    Character(
        (3, 6),
        (3.0, 4.6),
        {"houses": 0.4, "wall": 0.15, "fence": 0.21, "hedge": 0.06, "park": 0.18},
        0.32,
        0.25,
        20.0,
        0.85,
    ),
)


@dataclass(frozen=True)
class Side:
    """What lies between the road and the houses on one side."""

    sign: int
    """1 on the left, -1 on the right."""
    edge: float
    """Left coordinate of the curb."""
    parking: bool
    """Whether the road's outermost two metres are for parking."""
    verge: float
    """Width of the strip of grass, 0 for none."""
    sidewalk: float
    """Width."""

    def out(self, metres: Number) -> float:
        """Left coordinate that far beyond the curb."""
        return self.edge + self.sign * metres

    @property
    def depth(self) -> float:
        """Metres from the curb to the line of houses."""
        return 0.15 + self.verge + self.sidewalk


@dataclass
class World:
    """A street under construction; ``parts`` grow until ``mesh`` joins them."""

    path: drive.Path
    light: Light
    stops: tuple[float, ...]
    """Metres along the path of the labelled frames."""
    seed: int
    character: Character
    sides: tuple["Side", "Side"]
    """Right and left."""
    crossings: tuple[Interval, ...]
    """Intervals along the path where side streets leave."""
    parts: list[Mesh] = field(default_factory=list)
    counted: int = 0

    def stand(
        self, mesh: Mesh, along: Number, left: Number, turn: Number = 0.0, z: Number = 0.0, scale: Number = 1.0
    ) -> Mesh:
        """An object at street coordinates, turned from the street's heading."""
        point, heading = self.path.at(along, left)
        return mesh.placed(float(point[0]), float(point[1]), z, float(heading) + turn, scale)

    def count(self, mesh: Mesh, *kinds: str) -> Mesh:
        """Give the faces of each kind an instance number of their own."""
        for kind in kinds:
            self.counted += 1
            mesh = mesh.owned(self.counted, kind)
        return mesh

    def front(self, mesh: Mesh, along: Number, width: Number, side: int, left: Number, z: Number) -> Mesh:
        """Something with a front, ``width`` long, beside the street: its middle touches the line at ``left``."""
        point, heading = self.path.at(along + width / 2, left)
        yaw = float(heading) + (0 if side > 0 else np.pi)
        x, y = point - np.array([np.cos(yaw), np.sin(yaw)]) * width / 2
        return mesh.placed(float(x), float(y), z, yaw)

    def ribbon(self, along: np.ndarray, right: Interval, left: Interval, look: Look) -> Mesh:
        """A strip along the street between two (left coordinate, height) lines."""
        a, b = self.path.at(along, right[0])[0], self.path.at(along, left[0])[0]
        low, high = np.c_[a, np.full(len(a), right[1])], np.c_[b, np.full(len(b), left[1])]
        reach = abs(left[0] - right[0]) + abs(left[1] - right[1])
        u = np.stack([along[:-1], along[1:], along[1:], along[:-1]], -1)
        v = right[0] + np.broadcast_to([0, 0, reach, reach], u.shape)
        return quads(np.stack([low[:-1], low[1:], high[1:], high[:-1]], 1), look, np.stack([u, v], -1))

    def open(self, margin: Number) -> list[tuple[float, float]]:
        """Intervals of the street without its crossings and ``margin`` metres around them."""
        cursor, found = self.span[0], []
        for a, b in (*self.crossings, (self.span[1] + margin, 0.0)):
            if a - margin - cursor > 1:
                found.append((cursor, a - margin))
            cursor = b + margin
        return found

    @property
    def span(self) -> tuple[float, float]:
        """First and last metre of the street."""
        return self.stops[0] - BEFORE, self.stops[-1] + BEHIND


@cache
def model(name: str, variant: int) -> Mesh:
    """One of a fixed stock of objects, so that worlds are built quickly."""
    rng = stream(0, "miniature model", name, variant)
    makers = {
        "car": vehicles.car,
        "truck": vehicles.truck,
        "bus": vehicles.bus,
        "train": vehicles.tram,
        "person": people.person,
        "trailer": vehicles.trailer,
        "bicycle": vehicles.bicycle,
        "motorcycle": vehicles.motorcycle,
        "lamp": scenery.lamp,
        "sign": scenery.sign,
        "clutter": scenery.clutter,
    }
    if name in makers:
        return makers[name](rng)
    if name.startswith("rider "):
        return people.rider(rng, name.removeprefix("rider "))
    if name == "tree":
        return scenery.tree(rng, 8.0)
    if name == "distant tree":
        return scenery.tree(rng, 8.0, detail=0.3)
    if name == "bush":
        return scenery.bush(rng, (rng.uniform(0.5, 1.2), rng.uniform(0.5, 1.0), rng.uniform(0.4, 0.9)))
    return scenery.signal(rng, arm=3.2 if name == "signal arm" else 0.0)


def some(rng: Rng, name: str, variants: int = 20) -> Mesh:
    """A random one of the stock."""
    return model(name, int(rng.integers(variants)))

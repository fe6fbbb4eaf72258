"""An indoor world from a seed: a furnished room, its light, and walks through it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from wsss.benchmark.randomness import seed_of, stream
from wsss.datasets.miniature.engine.render import Light
from wsss.datasets.miniature.engine.shapes import Mesh, join
from wsss.datasets.miniature.rooms import homes, shell, walk, workrooms
from wsss.datasets.miniature.rooms.floorplan import Plan
from wsss.datasets.miniature.rooms.indoor import CLASSES_40 as CLASSES_40

Rng = np.random.Generator


@dataclass(frozen=True)
class _Kind:
    """What rooms of a scene type are like."""

    furnish: Callable[[Plan], None]
    share: float
    """Of all rooms."""
    long: tuple[float, float]
    """Metres."""
    short: tuple[float, float]
    windows: float
    """Chance."""


_KINDS = {
    "bedroom": _Kind(homes.bedroom, 0.24, (3.3, 4.4), (3.0, 3.7), 0.85),
    "living_room": _Kind(homes.living_room, 0.18, (3.8, 5.4), (3.3, 4.2), 0.9),
    "kitchen": _Kind(workrooms.kitchen, 0.15, (3.1, 4.4), (2.6, 3.4), 0.75),
    "office": _Kind(workrooms.office, 0.10, (3.3, 4.8), (3.0, 3.8), 0.6),
    "bathroom": _Kind(workrooms.bathroom, 0.11, (2.7, 3.5), (2.3, 2.9), 0.5),
    "dining_room": _Kind(homes.dining_room, 0.10, (3.5, 4.7), (3.2, 3.9), 0.85),
    "study": _Kind(workrooms.study, 0.07, (3.1, 4.2), (2.9, 3.6), 0.7),
    "classroom": _Kind(workrooms.classroom, 0.05, (4.6, 6.0), (3.9, 5.0), 0.7),
}
SCENE_TYPES = tuple(_KINDS)
"""As NYUv2 calls them."""


@dataclass(frozen=True)
class Room:
    """A furnished room. Its floor is z = 0, from the origin to ``size``."""

    mesh: Mesh
    light: Light
    scene_type: str
    size: tuple[float, float, float]
    """Metres."""
    clearance: Float32[np.ndarray, "columns rows"]
    """Metres from each cell of the floor to what stands next to it."""

    def path(self, rng: Rng, frames: int, seconds: float, stops: Sequence[int]) -> Float[np.ndarray, "f 4 4"]:
        """world_from_camera at equal intervals of a walk with a hand-held camera, chosen for what its stops show."""
        return walk.walk(rng, self.mesh, self.clearance, seconds, frames, stops)


def build(seed: int, name: str, scene_type: str | None = None) -> Room:
    """The room of that name, of a scene type that its name decides unless told."""
    rng = stream(seed, "miniature room", name)
    kinds = list(_KINDS)
    drawn = kinds[int(rng.choice(len(kinds), p=[_KINDS[k].share for k in kinds]))]
    scene_type = scene_type or drawn
    kind = _KINDS[scene_type]
    sides = rng.permutation([rng.uniform(*kind.long), rng.uniform(*kind.short)])
    plan = Plan(rng, float(sides[0]), float(sides[1]), float(rng.uniform(2.4, 2.95)))
    panels, frames = shell.trim(rng)
    for _ in range(1 + int(rng.random() < 0.4)):
        shell.door(plan, panels)
    found = shell.windows(plan, scene_type, frames) if rng.random() < kind.windows else []
    light = shell.light(plan, found, seed_of(seed, "light", name), scene_type in ("office", "classroom"))
    if scene_type != "bathroom":
        _stand_free(plan)
    kind.furnish(plan)
    shell.surfaces(plan, scene_type)
    shell.outside(plan, found)
    size = (plan.width, plan.depth, plan.height)
    mesh = join(plan.parts)
    mesh = mesh.where((mesh.normals * mesh.normals).sum(1) > 0.5)  # without the empty faces at the poles of balls
    return Room(mesh, light, scene_type, size, plan.clearance())


def _stand_free(plan: Plan) -> None:
    """Keep a square metre for somebody with a camera: where much of the room is in front of him."""
    side, reach = 1.1, np.array([plan.width, plan.depth])
    x, y = (plan.rng.random(2) < 0.5) * (reach - side - 0.5) + 0.25
    plan.keep.append(np.array([x, y, x + side, y + side]))

"""A room under construction: walls with openings, and a place for every piece of furniture.

The floor spans x in [0, width] and y in [0, depth] at z = 0. Wall k faces inwards; along a wall one counts
metres to the left as seen by who stands with the back to it, and ``yaw`` turns +x to face the room.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float, Float32

from wsss.datasets.miniature.engine.shapes import Look, Mesh, quads
from wsss.datasets.miniature.engine.textures import Interval, Number

Rng = np.random.Generator
Things = Sequence[Mesh]
"""What belongs together and is counted one by one; the first is the largest and stands on the floor."""

CELL = 0.05
"""Side in metres of the cells in which free floor is measured."""


@dataclass(frozen=True)
class Place:
    """Where something stands: own axes, x to the front, y to the left."""

    x: float
    y: float
    yaw: float
    box: Float[np.ndarray, "2 3"]
    """Lowest and highest corner in own axes."""

    def at(self, x: Number, y: Number) -> tuple[float, float]:
        """Floor coordinates of a point in own axes."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return float(self.x + cos * x - sin * y), float(self.y + sin * x + cos * y)

    def area(self, front: Number = 0.0) -> Float[np.ndarray, "4"]:
        """Bounds (x0, y0, x1, y1) on the floor, enlarged by some metres to the front."""
        (x0, y0, _), (x1, y1, _) = self.box
        corners = np.array([self.at(x, y) for x in (x0, x1 + front) for y in (y0, y1)])
        return np.concatenate([corners.min(0), corners.max(0)])


def extent(things: Iterable[Mesh]) -> Float[np.ndarray, "2 3"]:
    """Lowest and highest corner."""
    corners = np.concatenate([m.corners.reshape(-1, 3) for m in things]).astype(np.float64)
    return np.stack([corners.min(0), corners.max(0)])


def _meet(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


@dataclass
class Plan:
    """The floor, the walls and what has been put there."""

    rng: Rng
    width: float
    depth: float
    height: float
    parts: list[Mesh] = field(default_factory=list)
    counted: int = 0
    feet: list[np.ndarray] = field(default_factory=list)
    """Bounds on the floor of what stands there."""
    keep: list[np.ndarray] = field(default_factory=list)
    """Bounds on the floor that people need."""
    hung: dict[int, list[np.ndarray]] = field(default_factory=lambda: {k: [] for k in range(4)})
    """Bounds (along, z, along, z) of what covers each wall."""
    holes: dict[int, list[np.ndarray]] = field(default_factory=lambda: {k: [] for k in range(4)})
    """Bounds (along, z, along, z) of the openings of each wall."""

    def length(self, wall: int) -> float:
        """Metres."""
        return (self.depth, self.width)[wall % 2]

    def on_wall(self, wall: int, along: Number, away: Number = 0.0) -> tuple[float, float, float]:
        """x, y and yaw of a place at a wall."""
        corner = ((0, 0), (self.width, 0), (self.width, self.depth), (0, self.depth))[wall]
        yaw = wall * np.pi / 2
        x = corner[0] - np.sin(yaw) * along + np.cos(yaw) * away
        y = corner[1] + np.cos(yaw) * along + np.sin(yaw) * away
        return float(x), float(y), float(yaw)

    def behind(self, place: Place) -> tuple[int, float]:
        """The wall that something has its back to, and the place of its middle along that wall."""
        wall = round(place.yaw / (np.pi / 2)) % 4
        middle, corner = place.at(0.0, float(place.box[:, 1].mean())), self.on_wall(wall, 0.0)
        return wall, float(np.abs([middle[0] - corner[0], middle[1] - corner[1]])[(wall + 1) % 2])

    def put(self, things: Things, x: Number, y: Number, z: Number = 0.0, yaw: Number = 0.0) -> None:
        """Add counted things without asking whether there is room."""
        for thing in things:
            self.counted += 1
            self.parts.append(thing.owned(self.counted).placed(x, y, z, yaw))

    def _fits(self, place: Place, front: Number, kept: bool = True) -> bool:
        foot, wide = place.area(), place.area(front)
        inside = foot[0] >= -1e-6 and foot[1] >= -1e-6 and foot[2] <= self.width + 1e-6 and foot[3] <= self.depth + 1e-6
        return (
            bool(inside)
            and not any(_meet(wide, other) for other in self.feet)
            and not (kept and any(_meet(foot, other) for other in self.keep))
        )

    def _settle(self, things: Things, place: Place, front: Number) -> Place:
        self.put(things, place.x, place.y, 0.0, place.yaw)
        self.feet.append(place.area())
        if front:
            self.keep.append(place.area(front))
        return place

    def against(self, things: Things, walls: Iterable[int] | None = None, front: Number = 0.4, gap: Number = 0.01,
                corner: bool = False) -> Place | None:  # fmt: skip
        """Stand something with its back to a wall, ``front`` metres free before it; None if no place is found.

        Args:
            things: What; the bounds of all together count.
            walls: Where it may stand, in order of preference; any wall by default.
            front: Metres that people need before it.
            gap: Metres behind it.
            corner: Whether it should stand at an end of the wall.
        """
        box = extent(things)
        half, middle = (box[1, 1] - box[0, 1]) / 2, (box[1, 1] + box[0, 1]) / 2
        for wall in self.rng.permutation(4).tolist() if walls is None else walls:
            for attempt in range(16):
                low, high = half + 0.02, self.length(wall) - half - 0.02
                if high <= low:
                    break
                along = (low, high)[attempt % 2] if corner and attempt < 2 else self.rng.uniform(low, high)
                cover = np.array([along - half, 0.0, along + half, box[1, 2]])
                if any(_meet(cover, other) for other in self.hung[wall]):
                    continue
                x, y, yaw = self.on_wall(wall, along - middle, gap - box[0, 0])
                place = Place(x, y, yaw, box)
                if self._fits(place, front):
                    self.hung[wall].append(cover)
                    return self._settle(things, place, front)
        return None

    def stand(self, things: Things, area: Sequence[Interval] | None = None, yaw: Number | None = None,
              margin: Number = 0.0, kept: bool = True) -> Place | None:  # fmt: skip
        """Stand something anywhere within ((x0, x1), (y0, y1)), turned by a multiple of 90 degrees unless told.

        ``kept`` floor, which people need, stays free.
        """
        box = extent(things)
        box = box + np.array([[-margin, -margin, 0], [margin, margin, 0]])
        (x0, x1), (y0, y1) = area or ((0, self.width), (0, self.depth))
        for _ in range(12):
            turn = int(self.rng.integers(4)) * np.pi / 2 if yaw is None else float(yaw)
            place = Place(float(self.rng.uniform(x0, x1)), float(self.rng.uniform(y0, y1)), turn, box)
            if self._fits(place, 0.0, kept):
                return self._settle(things, place, 0.0)
        return None

    def beside(self, things: Things, place: Place, x: Number, y: Number, turn: Number = 0.0) -> bool:
        """Stand something at a point in another thing's axes, turned from it; False if it does not fit."""
        there = Place(*place.at(x, y), place.yaw + turn, extent(things))
        if self._fits(there, 0.0):
            self._settle(things, there, 0.0)
            return True
        return False

    def near(self, things: Things, place: Place, x: Number, y: Number, z: Number = 0.0, turn: Number = 0.0) -> None:
        """Put something on, in or under another thing, in whose axes the point is given."""
        self.put(things, *place.at(x, y), z, place.yaw + turn)

    def hang(self, things: Things, z: Number, walls: Iterable[int] | None = None, along: Number | None = None,
             margin: Number = 0.06) -> bool:  # fmt: skip
        """Fix something to a wall with its origin at height z; False if no place is found."""
        box = extent(things)
        half, middle = (box[1, 1] - box[0, 1]) / 2, (box[1, 1] + box[0, 1]) / 2
        for wall in self.rng.permutation(4).tolist() if walls is None else walls:
            room = self.length(wall) - 2 * half - 0.1
            if room <= 0:
                continue
            for _ in range(1 if along is not None else 5):
                at = float(self.rng.uniform(0, room)) + half + 0.05 if along is None else float(along)
                cover = np.array([at - half, z + box[0, 2], at + half, z + box[1, 2]])
                wide = cover + np.array([-1, -1, 1, 1]) * margin
                if not any(_meet(wide, other) for other in self.hung[wall]):
                    self.hung[wall].append(cover)
                    x, y, yaw = self.on_wall(wall, at - middle, 0.012 - box[0, 0])
                    self.put(things, x, y, z, yaw)
                    return True
        return False

    def open(self, wall: int, along: Interval, z: Interval, margin: Number = 0.08) -> bool:
        """Cut an opening into a wall; False if it is covered there."""
        hole = np.array([along[0], z[0], along[1], z[1]])
        wide = hole + np.array([-1, -1, 1, 1]) * margin
        if hole[0] < 0.1 or hole[2] > self.length(wall) - 0.1 or any(_meet(wide, o) for o in self.hung[wall]):
            return False
        self.hung[wall].append(wide)
        self.holes[wall].append(hole)
        return True

    def build_wall(self, wall: int, look: Look, z: Interval, enlarged: Number = 1.0) -> Mesh:
        """A band of a wall around its openings, in pieces of about half a metre, so that corners darken evenly.

        Its texture is ``enlarged`` so many times.
        """
        steps = max(2, round(self.length(wall) / 0.5))
        along, rise = set(np.linspace(0, self.length(wall), steps + 1).tolist()), {*map(float, z)}
        for a0, z0, a1, z1 in self.holes[wall]:
            along |= {float(a0), float(a1)}
            rise |= {float(v) for v in (z0, z1) if z[0] < v < z[1]}
        a, b = np.array(sorted(along)), np.array(sorted(rise))
        a0, b0 = np.meshgrid(a[:-1], b[:-1], indexing="ij")
        a1, b1 = np.meshgrid(a[1:], b[1:], indexing="ij")
        free = np.ones(a0.shape, bool)
        for hole in self.holes[wall]:
            x, y = (a0 + a1) / 2, (b0 + b1) / 2
            free &= ~((x > hole[0]) & (x < hole[2]) & (y > hole[1]) & (y < hole[3]))
        # seen from inside, the wall's left end is at the viewer's right
        uv = np.stack([np.stack(c, -1)[free] for c in ((a1, b0), (a0, b0), (a0, b1), (a1, b1))], 1)
        yaw = wall * np.pi / 2
        x, y, _ = self.on_wall(wall, 0.0)
        points = np.stack([x - np.sin(yaw) * uv[..., 0], y + np.cos(yaw) * uv[..., 0], uv[..., 1]], -1)
        return quads(points, look, uv * [-1, 1] / enlarged + [7.3 * wall, 0])

    def clearance(self) -> Float32[np.ndarray, "columns rows"]:
        """Metres from the middle of each cell of the floor to what stands next to it."""
        grid = np.ones((int(np.ceil(self.width / CELL)) + 2, int(np.ceil(self.depth / CELL)) + 2), np.uint8)
        grid[[0, -1]] = 0
        grid[:, [0, -1]] = 0
        for x0, y0, x1, y1 in np.array(self.feet).reshape(-1, 4) / CELL:
            grid[max(int(x0) + 1, 0) : int(np.ceil(x1)) + 1, max(int(y0) + 1, 0) : int(np.ceil(y1)) + 1] = 0
        return cv2.distanceTransform(grid, cv2.DIST_L2, 5)[1:-1, 1:-1] * np.float32(CELL)

"""Triangle soups whose faces know what they are: class, instance, material, colour and texture coordinates.

Objects are built around their own origin, standing on z = 0 and facing +x (x forward, y left, z up), and then placed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Int16, Int32, UInt8

from wsss.datasets.miniature.engine import materials
from wsss.datasets.miniature.engine.textures import Color, Interval, Number
from wsss.datasets.miniature.rooms.indoor import CLASSES_40

KINDS = (
    "sky", "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "parking", "static",
    "dynamic", "trailer", "ego vehicle", "lane marker", "road marker", "motorcyclist", "ridden bicycle",
    "ridden motorcycle", "pedestrian object", "sign back", "cone", "ground animal", "bird",
    "excavator",
)  # fmt: skip
"""What a face can be; a ray that hits nothing sees the first. A rider sits on a bicycle, a motorcyclist does not."""
BROADER = {
    "lane marker": "road", "road marker": "road", "motorcyclist": "rider", "ridden bicycle": "bicycle",
    "ridden motorcycle": "motorcycle", "pedestrian object": "person", "sign back": "static",
    "cone": "dynamic", "ground animal": "dynamic", "bird": "dynamic", "excavator": "truck",
}  # fmt: skip
"""What a finer kind counts as where a dataset does not tell it apart: ``BROADER.get(kind, kind)``."""

INDOOR = tuple(kind for kind in CLASSES_40 if kind not in KINDS)
KINDS += INDOOR


Numbers = np.ndarray | Sequence
"""An array, or nested sequences of numbers."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a surface is made of and what it is."""

    kind: str
    material: str = "plain"
    color: Color = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Mesh:
    """m triangles."""

    corners: Float32[np.ndarray, "m 3 3"]
    """Metres."""
    uv: Float32[np.ndarray, "m 3 2"]
    """Texture coordinates of the corners in metres, u to the right and v up."""
    normals: Float32[np.ndarray, "m 3"]
    """Unit normals for shading; foliage carries those of its crown."""
    material: Int16[np.ndarray, " m"]
    color: Float32[np.ndarray, "m 3"]
    kind: UInt8[np.ndarray, " m"]
    instance: Int32[np.ndarray, " m"]
    """0 for what is not counted; else unique in a world."""

    def __len__(self) -> int:
        return len(self.corners)

    def placed(self, x: Number, y: Number, z: Number = 0.0, yaw: Number = 0.0, scale: Number = 1.0) -> "Mesh":
        """Scaled about the own origin, turned left by ``yaw`` radians, and moved."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)
        moved = (self.corners * np.float32(scale)) @ turn.T + np.array([x, y, z], np.float32)
        return replace(self, corners=moved.astype(np.float32), normals=(self.normals @ turn.T).astype(np.float32))

    def owned(self, instance: int, kind: str | None = None) -> "Mesh":
        """As one counted thing; with ``kind`` only the faces of that kind, finer ones included."""
        own = [index for index, name in enumerate(KINDS) if kind in (None, name, BROADER.get(name))]
        mine = np.isin(self.kind, own)
        return replace(self, instance=np.where(mine, np.int32(instance), self.instance).astype(np.int32))

    def all_of(self, kind: str) -> "Mesh":
        """With every face of that kind."""
        return replace(self, kind=np.full(len(self), KINDS.index(kind), np.uint8))

    def where(self, keep: np.ndarray) -> "Mesh":
        """The faces that a boolean mask selects."""
        return Mesh(*(getattr(self, name)[keep] for name in Mesh.__dataclass_fields__))


def join(meshes: Iterable[Mesh]) -> Mesh:
    """All faces of several meshes (at least one)."""
    meshes = list(meshes)
    return Mesh(*(np.concatenate([getattr(m, name) for m in meshes]) for name in Mesh.__dataclass_fields__))


def _mesh(corners: np.ndarray, uv: np.ndarray, look: Look, facing: np.ndarray | None = None) -> Mesh:
    corners = np.asarray(corners, np.float32)
    normals = facing
    if normals is None:
        a, b = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
        normals = np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], axis=1)
    normals = normals / np.maximum(np.sqrt((normals * normals).sum(1, keepdims=True)), 1e-9)
    m = len(corners)
    return Mesh(
        corners=corners,
        uv=np.asarray(uv, np.float32),
        normals=normals.astype(np.float32),
        material=np.full(m, materials.index(look.material), np.int16),
        color=np.broadcast_to(np.asarray(look.color, np.float32), (m, 3)).copy(),
        kind=np.full(m, KINDS.index(look.kind), np.uint8),
        instance=np.zeros(m, np.int32),
    )


def quads(points: Numbers, look: Look, uv: Numbers | None = None) -> Mesh:
    """Quadrilaterals (k, 4, 3), corners in turn, the first edge being the texture's bottom.

    ``uv`` (k, 4, 2) replaces coordinates measured along the edges.
    """
    p = np.asarray(points, np.float64).reshape(-1, 4, 3)
    if uv is None:
        width, height = np.linalg.norm(p[:, 1] - p[:, 0], axis=1), np.linalg.norm(p[:, 3] - p[:, 0], axis=1)
        zero = np.zeros_like(width)
        uv = np.stack([zero, zero, width, zero, width, height, zero, height], axis=1).reshape(-1, 4, 2)
    uv = np.asarray(uv, np.float64).reshape(-1, 4, 2)
    return _mesh(
        np.concatenate([p[:, [0, 1, 2]], p[:, [0, 2, 3]]]), np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]]), look
    )


def polygon(points: Numbers, look: Look) -> Mesh:
    """A convex planar polygon (k, 3); its texture is laid along the two widest axes."""
    p = np.asarray(points, np.float64)
    fan = np.stack([np.repeat(p[:1], len(p) - 2, axis=0), p[1:-1], p[2:]], axis=1)
    axes = np.sort(np.argsort(np.ptp(p, axis=0))[1:])
    return _mesh(fan, fan[:, :, axes], look)


def loft(rings: Numbers, look: Look, caps: bool = True) -> Mesh:
    """A skin over rings (r, k, 3) of corresponding points, closed by end caps."""
    rings = np.asarray(rings, np.float64)
    around = np.roll(rings, -1, axis=1)
    p = np.stack([rings[:-1], around[:-1], around[1:], rings[1:]], axis=2)
    edge = np.linalg.norm(around - rings, axis=2)
    u1 = np.cumsum(edge, axis=1)[:-1]
    u0 = u1 - edge[:-1]
    v1 = np.cumsum(np.linalg.norm(rings[1:] - rings[:-1], axis=2).mean(1))[:, None] + 0 * u1
    v0 = np.concatenate([0 * v1[:1], v1[:-1]])
    uv = np.stack([np.stack([u0, v0], -1), np.stack([u1, v0], -1), np.stack([u1, v1], -1), np.stack([u0, v1], -1)], 2)
    parts = [quads(p.reshape(-1, 4, 3), look, uv)]
    if caps:
        parts += [polygon(ring, look) for ring in (rings[0], rings[-1]) if np.ptp(ring, axis=0).max() > 1e-6]
    return join(parts)


def prism(outline: Numbers, z0: Number, z1: Number, look: Look, top: Number = 1.0, caps: bool = True) -> Mesh:
    """An outline (k, 2) raised from z0 to z1, its upper end scaled by ``top`` about the outline's centre."""
    outline = np.asarray(outline, np.float64)
    centre = outline.mean(0)
    rings = [
        np.c_[outline, np.full(len(outline), z0)],
        np.c_[centre + (outline - centre) * top, np.full(len(outline), z1)],
    ]
    return loft(np.stack(rings), look, caps)


def box(x: Interval, y: Interval, z: Interval, look: Look, top: Number = 1.0) -> Mesh:
    """An axis-parallel box between the given bounds."""
    return prism([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])], z[0], z[1], look, top)


def circle(radius: Number, sides: int = 8, centre: Interval = (0.0, 0.0)) -> Float[np.ndarray, "k 2"]:
    """A regular polygon as an outline."""
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    return np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], axis=1)


def tube(start: Numbers, end: Numbers, radius: Number | Interval, look: Look, sides: int = 6) -> Mesh:
    """A round bar between two points, its radius given once or for both ends."""
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    along = (end - start) / np.linalg.norm(end - start)
    side = np.cross(along, [0.0, 0.0, 1.0] if abs(along[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    ring = circle(1.0, sides) @ np.stack([side, np.cross(along, side)])
    r0, r1 = radius if isinstance(radius, tuple) else (radius, radius)
    return loft(np.stack([start + r0 * ring, end + r1 * ring]), look)


def ball(centre: Numbers, radii: Numbers, look: Look, sides: int = 8, rings: int = 5) -> Mesh:
    """An ellipsoid."""
    polar = np.linspace(np.pi, 0, rings + 1)
    unit = circle(1.0, sides)
    shells = np.stack([np.c_[np.sin(a) * unit, np.full(sides, np.cos(a))] for a in polar])
    return loft(shells * np.asarray(radii) + np.asarray(centre), look, caps=False)


def foliage(rng: np.random.Generator, centre: Numbers, radii: Numbers, count: int, size: Number,
            look: Look) -> Mesh:  # fmt: skip
    """Leaf clumps: ``count`` loose triangles of about ``size`` metres in the outer part of an ellipsoid."""
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    middle = np.asarray(centre) + direction * np.asarray(radii) * rng.uniform(0.45, 1.0, (count, 1)) ** 0.6
    corners = middle[:, None] + size * rng.uniform(-1, 1, (count, 3, 3))
    uv = rng.uniform(0, 4, (count, 1, 2)) + size * rng.uniform(-1, 1, (count, 3, 2))
    mesh = _mesh(corners, uv, look, direction + 0.35 * rng.standard_normal((count, 3)) + [0, 0, 0.3])
    shade = rng.uniform(0.75, 1.2, (count, 1)).astype(np.float32)
    return replace(mesh, color=(mesh.color * shade).astype(np.float32))

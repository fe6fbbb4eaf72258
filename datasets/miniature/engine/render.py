"""Pictures of a scene by ray casting: colour, depth, kind and instance of every pixel.

Colour is sampled at the centre and at the four corners of each pixel, weighing 1/2 and 1/8 each; corners are shared
between neighbours, so that five samples cost two rays. Depth, kind and instance are those of the centre ray alone.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Float, Float32, Int32, UInt8

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature.engine import materials, textures
from wsss.datasets.miniature.engine.lamps import Lamp, lamplight
from wsss.datasets.miniature.engine.optics import Hood, Rays, hood_hits, pinhole, turn
from wsss.datasets.miniature.engine.shapes import KINDS, Color, Mesh

_GLOSS = materials.gloss()
_FOLIAGE = np.array([name in materials.FOLIAGE for name in materials.MATERIALS])
_CONTACT_CELL = 0.25


@dataclass(frozen=True, kw_only=True)
class Light:
    """Weather and camera exposure; colours are linear RGB."""

    towards_sun: tuple[float, float, float]
    sun: Color
    """Zero under clouds."""
    ambient: Color
    horizon: Color
    zenith: Color
    clouds: float
    """Share of the sky that they cover."""
    haze: float
    """Distance in metres at which 63 % of a surface's light is replaced by the horizon's."""
    exposure: float
    white: Color
    """White balance."""
    noise: float
    """Standard deviation of the sensor noise at mid grey, in display units."""
    seed: int
    lamps: tuple[Lamp, ...] = ()
    """Sources inside a room."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One picture and its ground truth."""

    rgb: UInt8[np.ndarray, "h w 3"]
    depth: Float32[np.ndarray, "h w"]
    """z in metres; infinite where a ray meets nothing."""
    kind: UInt8[np.ndarray, "h w"]
    """Index into ``shapes.KINDS``."""
    instance: Int32[np.ndarray, "h w"]
    intrinsics: Float[np.ndarray, "3 3"]
    world_from_camera: Float[np.ndarray, "4 4"]


@dataclass(frozen=True, slots=True)
class _Hits:
    """What n rays met: face (-1 for nothing), distance in lengths of the direction, barycentric coordinates."""

    face: np.ndarray
    distance: np.ndarray
    u: np.ndarray
    v: np.ndarray


class Scene:
    """A mesh ready for casting, lit.

    Args:
        mesh: Everything that can be seen, in world axes, z up.
        light: Weather.
    """

    def __init__(self, mesh: Mesh, light: Light) -> None:
        self.mesh, self.light = mesh, light
        self._embree = EmbreeScene(robust=True)
        TriangleMesh(self._embree, np.ascontiguousarray(mesh.corners))
        self._sun = np.asarray(light.towards_sun, np.float32) / np.float32(np.linalg.norm(light.towards_sun))
        self._contact, self._corner = _contact_shade(mesh)
        rng = stream(light.seed, "clouds")
        octaves = [textures.noise(rng, cells) / weight for cells, weight in ((4, 1), (8, 2), (16, 3), (32, 5), (64, 9))]
        self._clouds = np.stack(octaves).sum(0)

    def cast(self, origin: np.ndarray, directions: Float32[np.ndarray, "n 3"]) -> _Hits:
        """The first face along each ray, from one point (3,) or from one per ray (n, 3)."""
        origins = np.broadcast_to(np.asarray(origin, np.float32), directions.shape)
        out = self._embree.run(np.ascontiguousarray(origins), np.ascontiguousarray(directions), output=True)
        return _Hits(out["primID"], out["tfar"], out["u"], out["v"])

    def view(
        self,
        intrinsics: Float[np.ndarray, "3 3"],
        size: tuple[int, int],
        world_from_camera: Float[np.ndarray, "4 4"],
        key: str,
        hood: Hood | None = None,
        traced: Rays | None = None,
    ) -> View:
        """A picture of (rows, columns) from a pose; ``key`` seeds its sensor noise, ``traced`` replaces its rays."""
        height, width = size
        centre = pinhole(intrinsics, np.arange(height), np.arange(width))
        corner = pinhole(intrinsics, np.arange(height + 1) - 0.5, np.arange(width + 1) - 0.5)
        rays = np.concatenate([centre, corner])
        directions = turn(world_from_camera, rays)
        origin = world_from_camera[:3, 3]
        if traced is not None:
            origin, directions = traced.origins, traced.directions
        hits = self.cast(origin, directions)
        color = self._shade(origin, directions, hits, np.float32(1 / intrinsics[0, 0]))
        n = height * width
        face = hits.face[:n]
        seen = face >= 0
        depth = np.where(seen, hits.distance[:n], np.inf).astype(np.float32)
        kind = np.where(seen, self.mesh.kind[face], 0).astype(np.uint8)
        instance = np.where(seen, self.mesh.instance[face], 0).astype(np.int32)
        if hood is not None:
            distance, normal = hood_hits(hood, rays)
            covered = np.isfinite(distance)
            reflected = self._mirror(directions[covered], turn(world_from_camera, normal[covered]))
            color[covered] = 0.02 * np.asarray(self.light.ambient, np.float32) + 0.35 * reflected
            depth = np.where(covered[:n], distance[:n], depth).astype(np.float32)
            kind = np.where(covered[:n], KINDS.index("ego vehicle"), kind).astype(np.uint8)
            instance = np.where(covered[:n], 0, instance).astype(np.int32)
        around = color[n:].reshape(height + 1, width + 1, 3)
        around = around[:-1, :-1] + around[1:, :-1] + around[:-1, 1:] + around[1:, 1:]
        linear = color[:n].reshape(height, width, 3) / 2 + around / 8
        return View(
            rgb=self._develop(linear, key),
            depth=depth.reshape(size),
            kind=kind.reshape(size),
            instance=instance.reshape(size),
            intrinsics=np.asarray(intrinsics, np.float64),
            world_from_camera=world_from_camera,
        )

    def _shade(self, origin: np.ndarray, directions: np.ndarray, hits: _Hits, pixel: np.float32) -> np.ndarray:
        """Linear RGB (n, 3) of each ray."""
        color = np.empty((len(directions), 3), np.float32)
        missed, seen = np.flatnonzero(hits.face < 0), np.flatnonzero(hits.face >= 0)
        color[missed] = self._sky(directions[missed])
        face, ray = hits.face[seen], directions[seen]
        distance = hits.distance[seen, None]
        start = np.asarray(origin, np.float32)
        points = (start if start.ndim == 1 else start[seen]) + ray * distance
        length = np.linalg.norm(ray, axis=1, keepdims=True)
        normals, material = self.mesh.normals[face], self.mesh.material[face]
        cosine = np.einsum("ij,ij->i", normals, ray)[:, None] / length
        away = (cosine[:, 0] > 0) & ~_FOLIAGE[material]
        normals = np.where(away[:, None], -normals, normals)
        uv = self.mesh.uv[face]
        u, v = hits.u[seen, None], hits.v[seen, None]
        uv = uv[:, 0] * (1 - u - v) + uv[:, 1] * u + uv[:, 2] * v
        footprint = (distance * pixel)[:, 0] / np.sqrt(np.maximum(np.abs(cosine[:, 0]), 0.05))
        texel = materials.lookup(material, uv, footprint)
        albedo = texel[:, :3] * (1 + texel[:, 3:] * (self.mesh.color[face] - 1))
        albedo *= albedo
        up = normals[:, 2:]
        light = np.asarray(self.light.ambient, np.float32) * (0.72 + 0.28 * up) * self._occlusion(points)[:, None]
        light = light + self._sunlight(points, normals, material)
        if self.light.lamps:
            light += lamplight(self.light.lamps, points, normals, self._blocked)
        lit = albedo * light
        mirror = _GLOSS[material]
        shiny = np.flatnonzero(mirror)
        fresnel = mirror[shiny, None] * (0.35 + 0.65 * (1 - np.abs(cosine[shiny])) ** 2)
        lit[shiny] += fresnel * (self._mirror(ray[shiny], normals[shiny]) - 0.5 * lit[shiny])
        veil = 1 - np.exp(-distance * length / np.float32(self.light.haze))
        color[seen] = lit + veil * (np.asarray(self.light.horizon, np.float32) - lit)
        return color

    def _sunlight(self, points: np.ndarray, normals: np.ndarray, material: np.ndarray) -> np.ndarray:
        sun = np.asarray(self.light.sun, np.float32)
        if not sun.any():
            return np.zeros((len(points), 3), np.float32)
        incidence = np.einsum("ij,j->i", normals, self._sun)
        leaf = _FOLIAGE[material]
        incidence = np.where(leaf, 0.35 + 0.65 * incidence, incidence)  # leaves let light through
        facing = np.flatnonzero(incidence > 0)
        start = (
            points[facing]
            + 0.02 * normals[facing]
            + self._sun * np.where(leaf[facing, None], 0.35, 0.01).astype(np.float32)
        )
        towards = np.broadcast_to(self._sun, start.shape)
        blocked = self._embree.run(np.ascontiguousarray(start), np.ascontiguousarray(towards), query="OCCLUDED")
        amount = np.zeros((len(points), 1), np.float32)
        amount[facing, 0] = incidence[facing] * np.where(blocked == 0, np.where(leaf[facing], 0.25, 0.0), 1.0)
        return amount * sun

    def _blocked(self, start: np.ndarray, steps: np.ndarray) -> np.ndarray:
        reach = np.full(len(start), 0.99, np.float32)
        hit = self._embree.run(np.ascontiguousarray(start), np.ascontiguousarray(steps), reach, query="OCCLUDED")
        return hit == 0

    def _occlusion(self, points: np.ndarray) -> np.ndarray:
        """Share of the sky's light that reaches points near the ground between things that stand on it."""
        cell = (points[:, :2] - self._corner) / _CONTACT_CELL
        column = np.clip(cell[:, 0], 0, self._contact.shape[0] - 1).astype(np.int64)
        row = np.clip(cell[:, 1], 0, self._contact.shape[1] - 1).astype(np.int64)
        return 1 - 0.75 * self._contact[column, row] * np.exp(-np.maximum(points[:, 2], 0) / np.float32(0.45))

    def _sky(self, directions: np.ndarray) -> np.ndarray:
        unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        height = np.clip(unit[:, 2:], 0, 1)
        horizon, zenith = np.asarray(self.light.horizon, np.float32), np.asarray(self.light.zenith, np.float32)
        clear = horizon + np.sqrt(height) * (zenith - horizon)
        where = unit[:, :2] / (height + 0.12) * 40 + 128
        where = np.mod(where, textures.SIZE)
        pattern = materials.bilinear(self._clouds, where[:, 0], where[:, 1])
        cover = np.clip((pattern + 2 * self.light.clouds - 1) * 2.5, 0, 1) * np.clip(height * 12, 0.2, 1)
        white = horizon.mean() * np.float32(1.15) * (0.85 + 0.15 * pattern)
        glow = (
            np.clip(np.einsum("ij,j->i", unit, self._sun), 0, 1)[:, None] ** 12
            * np.asarray(self.light.sun, np.float32)
            * 0.12
        )
        return (clear + cover * (white - clear) + glow).astype(np.float32)

    def _mirror(self, directions: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """What a mirror of that normal shows: the sky above, dark surroundings below and around."""
        unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        bounced = unit - 2 * np.einsum("ij,ij->i", unit, normals)[:, None] * normals
        open_sky = np.clip(bounced[:, 2:] * 2.2 - 0.35, 0, 1)
        below = 0.10 * np.asarray(self.light.ambient, np.float32)
        return (below + open_sky * (self._sky(bounced) * 0.9 - below)).astype(np.float32)

    def _develop(self, linear: Float32[np.ndarray, "h w 3"], key: str) -> UInt8[np.ndarray, "h w 3"]:
        """Exposure, white balance, film curve, sensor noise."""
        exposed = linear * np.asarray(self.light.white, np.float32) * np.float32(self.light.exposure)
        display = np.sqrt(1 - np.exp(-1.35 * np.maximum(exposed, 0)))
        grain = stream(self.light.seed, "sensor", key).standard_normal(display.shape, dtype=np.float32)
        display = display + np.float32(self.light.noise) * np.sqrt(0.4 + 1.2 * display) * grain
        return np.round(255 * np.clip(display, 0, 1)).astype(np.uint8)


def _contact_shade(mesh: Mesh) -> tuple[Float32[np.ndarray, "columns rows"], Float32[np.ndarray, " 2"]]:
    """Where low things crowd the ground, blurred, in [0, 1], on a grid with the given corner."""
    flat = ("road", "lane marker", "road marker", "sidewalk", "terrain", "parking", "building", "floor", "rug")
    ground = [KINDS.index(k) for k in flat]
    low = (mesh.corners[:, :, 2].mean(1) < 0.75) & ~np.isin(mesh.kind, ground)
    soup = mesh.corners[low][:, :, :2]
    corner = mesh.corners.reshape(-1, 3)[:, :2].min(0) if not len(soup) else soup.reshape(-1, 2).min(0) - 3
    spots = np.concatenate([soup.reshape(-1, 2), soup.mean(1), (soup + np.roll(soup, 1, axis=1)).reshape(-1, 2) / 2])
    cells = ((spots - corner) / _CONTACT_CELL).astype(np.int64)
    shape = cells.max(0) + 12 if len(cells) else np.array([1, 1])
    grid = np.zeros(shape, np.float32)
    grid[cells[:, 0], cells[:, 1]] = 1
    return np.clip(1.6 * cv2.GaussianBlur(grid, (0, 0), 0.45 / _CONTACT_CELL), 0, 1), corner.astype(np.float32)

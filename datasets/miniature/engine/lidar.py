"""A spinning LiDAR in a miniature world: what each of its rays meets, and how much light comes back.

The caller decides where every ray starts and points, and so how the sensor turns and moves while it measures.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, UInt8

from wsss.datasets.miniature.engine import materials
from wsss.datasets.miniature.engine.render import Scene

NOISE = 0.01
"""Standard deviation of a measured range in metres."""
LOST = 0.02
"""Share of the returns that a real sensor fails to notice."""

_LUMINANCE = np.array([0.30, 0.59, 0.11], np.float32)
_RETROREFLECTIVE = tuple(name for name in materials.MATERIALS if name.startswith("sign ") or name == "marking")


@dataclass(frozen=True, slots=True)
class Returns:
    """What n rays met; where ``range`` is 0, nothing came back and the other columns are 0."""

    range: Float64[np.ndarray, " n"]
    """Metres from the ray's origin."""
    kind: UInt8[np.ndarray, " n"]
    """Index into ``shapes.KINDS``."""
    instance: Int32[np.ndarray, " n"]
    intensity: Float32[np.ndarray, " n"]
    """Reflected light in [0, 1]: bright and frontal surfaces give most."""

    @property
    def hit(self) -> Bool[np.ndarray, " n"]:
        """Whether something came back."""
        return self.range > 0


def cast(
    scene: Scene,
    origins: Float[np.ndarray, "n 3"],
    directions: Float[np.ndarray, "n 3"],
    *,
    far: float,
    near: float = 1.0,
    rng: np.random.Generator | None = None,
) -> Returns:
    """The first surface along each ray, between ``near`` and ``far`` metres.

    Args:
        scene: The world; its mesh is float32, so add large world offsets after casting.
        origins: Of the rays, in the world's axes, metres.
        directions: Of the rays, of any length.
        far: Metres beyond which nothing comes back.
        near: Metres below which nothing comes back, though it still blocks the ray.
        rng: Draws range noise of ``NOISE`` metres and loses ``LOST`` of the returns; None for a perfect sensor.
    """
    unit = directions / np.sqrt((directions**2).sum(1, keepdims=True))
    rays = unit.astype(np.float32)
    hits = scene.cast(origins, rays)
    distance = np.where(hits.face >= 0, hits.distance, 0).astype(np.float64)
    back = (distance >= near) & (distance <= far)
    if rng is not None:  # drawn for every ray, so that one more hit moves no other draw
        noise, luck = rng.normal(0, NOISE, len(rays)), rng.random(len(rays))
        distance, back = distance + noise, back & (luck >= LOST)
    face, mesh = hits.face[back], scene.mesh
    columns = {"range": np.float64, "kind": np.uint8, "instance": np.int32, "intensity": np.float32}
    found = {name: np.zeros(len(rays), dtype) for name, dtype in columns.items()}
    found["range"][back] = distance[back]
    found["kind"][back] = mesh.kind[face]
    found["instance"][back] = mesh.instance[face]
    found["intensity"][back] = _intensity(scene, face, rays[back], hits.u[back, None], hits.v[back, None])
    return Returns(found["range"], found["kind"], found["instance"], found["intensity"])


def _intensity(
    scene: Scene, face: np.ndarray, rays: np.ndarray, u: np.ndarray, v: np.ndarray
) -> Float32[np.ndarray, " n"]:
    """Albedo of the spot times a Lambertian share of its incidence; signs and markings throw light straight back."""
    mesh = scene.mesh
    material, corners = mesh.material[face], mesh.uv[face]
    uv = corners[:, 0] * (1 - u - v) + corners[:, 1] * u + corners[:, 2] * v
    texel = materials.lookup(material, uv, np.full(len(face), 0.05, np.float32))
    albedo = (texel[:, :3] * (1 + texel[:, 3:] * (mesh.color[face] - 1)) * _LUMINANCE).sum(1)
    cosine = np.abs(np.einsum("ij,ij->i", mesh.normals[face], rays))
    shiny = np.isin(material, [materials.index(name) for name in _RETROREFLECTIVE])
    share = np.where(shiny, np.float32(1.0), 0.2 + 0.6 * cosine)
    return np.clip(albedo * share, 0, 1).astype(np.float32)

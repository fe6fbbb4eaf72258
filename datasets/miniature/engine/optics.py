"""The rays of cameras, and the bonnet that some of them meet."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32


@dataclass(frozen=True, kw_only=True)
class Hood:
    """The observer's own bonnet: an ellipsoid fixed to the camera, in its axes."""

    camera_from_hood: Float[np.ndarray, "4 4"]
    radii: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Rays:
    """Where the rays of a camera that is no resting pinhole run: through all pixels' centres, then all corners."""

    origins: Float32[np.ndarray, "n 3"]
    directions: Float32[np.ndarray, "n 3"]
    """In world axes, one metre long along the optical axis of the ray's own moment."""


def turn(a_from_b: np.ndarray, vectors: np.ndarray) -> Float32[np.ndarray, "n 3"]:
    """Rotated vectors, summed without BLAS, whose last digits depend on the number of threads."""
    vectors, columns = vectors.astype(np.float32), a_from_b[:3, :3].T.astype(np.float32)
    turned = vectors[:, 0:1] * columns[0] + vectors[:, 1:2] * columns[1] + vectors[:, 2:3] * columns[2]
    return turned


def pinhole(intrinsics: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Float[np.ndarray, "n 3"]:
    """Directions with z = 1 in camera axes, row by row."""
    x = (columns - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (rows - intrinsics[1, 2]) / intrinsics[1, 1]
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    return np.stack([grid_x, grid_y, np.ones_like(grid_x)], -1).reshape(-1, 3)


def hood_hits(hood: Hood, rays: Float[np.ndarray, "n 3"]) -> tuple[np.ndarray, Float32[np.ndarray, "n 3"]]:
    """Depth (infinite where missed) and normals of the bonnet in camera axes."""
    radii, hood_from_camera = np.asarray(hood.radii), np.linalg.inv(hood.camera_from_hood)
    distance, normal = np.full(len(rays), np.inf), np.zeros((len(rays), 3), np.float32)
    low = np.flatnonzero(rays[:, 1] > 0.1)  # it never rises above that
    start, along = hood_from_camera[:3, 3] / radii, turn(hood_from_camera, rays[low]).astype(np.float64) / radii
    a, b, c = (along**2).sum(1), (along * start).sum(1), float((start**2).sum()) - 1
    root = b * b - a * c
    hit = root > 0
    low, along, near = low[hit], along[hit], (-b[hit] - np.sqrt(root[hit])) / a[hit]
    outward = turn(hood.camera_from_hood, (start + along * near[:, None]) / radii)
    distance[low] = near
    normal[low] = outward / np.sqrt((outward**2).sum(1, keepdims=True))
    return distance, normal

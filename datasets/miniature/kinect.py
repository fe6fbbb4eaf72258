"""What a hand-held Kinect records in a room: pictures through its lens, and depth of its second camera.

Depth is measured by a pattern that a projector throws 75 mm to the right of the depth camera: what the projector does
not reach is a shadow without depth, as are panes, mirrors, surfaces seen at a grazing angle, and what is far.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, UInt8, UInt16
from scipy import ndimage

from wsss.datasets import _nyuv2_toolbox as toolbox
from wsss.datasets.miniature.engine.optics import Rays, turn
from wsss.datasets.miniature.engine.render import Scene, View
from wsss.datasets.miniature.engine.shapes import KINDS

Pose = Float[np.ndarray, "4 4"]
Size = tuple[int, int]

NEAR, FAR = 0.5, 8.0
"""Metres between which depth is found."""
_PROJECTOR = 0.075
_GRAZING = 0.17
"""Cosine of the angle to the normal below which the pattern is smeared."""
_NOISE = 0.35
"""Standard deviation of a raw value."""
_WITHOUT_DEPTH = [KINDS.index(kind) for kind in ("sky", "window", "mirror")]


def pinhole_view(scene: Scene, size: Size, world_from_color: Pose, key: str) -> View:
    """The colour camera's picture without its lens's distortion, with its exact depth and labels."""
    return scene.view(toolbox.color_intrinsics(size), size, world_from_color, key)


def picture(scene: Scene, size: Size, world_from_color: Pose, key: str) -> UInt8[np.ndarray, "h w 3"]:
    """The colour camera's picture as it is recorded, through the lens."""
    directions = turn(world_from_color, _lens_rays(size))
    origins = np.broadcast_to(world_from_color[:3, 3].astype(np.float32), directions.shape)
    traced = Rays(origins=origins, directions=directions)
    return scene.view(toolbox.color_intrinsics(size), size, world_from_color, key, traced=traced).rgb


def true_depth(scene: Scene, size: Size, world_from_color: Pose) -> Float32[np.ndarray, "h w"]:
    """Depth along the optical axis in the pixels of the undistorted picture; infinite where nothing is."""
    directions = turn(world_from_color, toolbox.rays(toolbox.color_intrinsics(size), None, size))
    hits = scene.cast(world_from_color[:3, 3], directions)
    return np.where(hits.face >= 0, hits.distance, np.inf).astype(np.float32).reshape(size)


def raw_depth(scene: Scene, size: Size, world_from_color: Pose, rng: np.random.Generator) -> UInt16[np.ndarray, "h w"]:
    """The depth camera's image in the Kinect's own 11 bits, through its lens; 2047 where it found nothing."""
    world_from_depth = world_from_color @ toolbox.COLOR_FROM_DEPTH
    centre, right = world_from_depth[:3, 3], world_from_depth[:3, 0]
    rays = toolbox.rays(toolbox.depth_intrinsics(size), toolbox.DEPTH_DISTORTION, size)
    directions = turn(world_from_depth, rays)
    hits = scene.cast(centre, directions)
    hit = hits.face >= 0
    depth = np.where(hit, hits.distance, np.float32(FAR + 1))
    projector = centre + _PROJECTOR * right
    steps = (centre - projector).astype(np.float32) + directions * depth[:, None]
    lit = scene.cast(projector, steps).distance > 0.985
    normals = scene.mesh.normals[hits.face]
    cosine = np.abs((normals * directions).sum(1)) / np.sqrt((directions * directions).sum(1))
    blind = np.isin(scene.mesh.kind[hits.face], _WITHOUT_DEPTH)
    found = hit & lit & ~blind & (cosine > _GRAZING) & (depth > NEAR) & (depth < FAR)
    exact = 1092.5 - 351.3 / depth.astype(np.float64)
    noisy = np.rint(exact + rng.normal(0, _NOISE, len(exact)))
    return np.where(found, noisy, toolbox.INVALID).astype(np.uint16).reshape(size)


def aligned(raw: UInt16[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Depth in metres in the pixels of the undistorted picture, 0 where it is missing."""
    points = toolbox.project(raw)
    depth = np.zeros(raw.shape, np.float32)
    depth[points.pixel[:, 0], points.pixel[:, 1]] = points.depth
    return depth


def filled(depth: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Missing depth taken from the nearest pixel that has some."""
    if not depth.any():
        return depth
    nearest = ndimage.distance_transform_edt(depth == 0, return_distances=False, return_indices=True)
    return depth[tuple(np.asarray(nearest))]


@lru_cache(maxsize=2)
def _lens_rays(size: Size) -> Float[np.ndarray, "n 3"]:
    """Directions of the recorded picture's pixels: all centres, then all corners."""
    matrix = toolbox.color_intrinsics(size)
    corners = matrix.copy()
    corners[:2, 2] += 0.5  # a picture one larger, whose centres are the corners
    centre = toolbox.rays(matrix, toolbox.COLOR_DISTORTION, size)
    return np.concatenate([centre, toolbox.rays(corners, toolbox.COLOR_DISTORTION, (size[0] + 1, size[1] + 1))])

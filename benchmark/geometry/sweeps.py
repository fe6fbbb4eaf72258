"""Sweeps of a range sensor seen from a camera: which points are not hidden, and several sweeps as one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry.cameras import Projection, project
from wsss.benchmark.types import Camera, Scene, Sweep

SLACK = 0.05
"""Share of its depth by which a point may lie behind its neighbours and still be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The points of a sweep that an image shows."""

    point: Int32[np.ndarray, " n"]
    """Rows of the sweep."""
    pixel: Int32[np.ndarray, "n 2"]
    """(row, column)."""
    depth: Float[np.ndarray, " n"]
    """Along the optical axis, metres."""


def seen(sweep: Sweep, camera: Camera, size: tuple[int, int]) -> Seen:
    """The points of a sweep that an image of ``size`` (rows, columns) shows.

    A LiDAR stands beside the camera, so that it sees surfaces that are hidden from it; its points are sparse, so that
    a hidden one may lie in the gaps between those that hide it. A point counts as hidden if others, nearer by more than
    ``SLACK``, lie on opposite sides of it within the samples' typical distance in the image.
    """
    found = project(sweep.xyz, camera, size)
    if sweep.pixel is not None:
        kept = np.flatnonzero(found.depth > 0)
        return Seen(point=kept.astype(np.int32), pixel=sweep.pixel[kept], depth=found.depth[kept])
    kept = np.flatnonzero(found.inside)
    pixel = np.round(found.pixel[kept]).astype(np.int32)
    shown = visible(found, size)[kept]
    return Seen(point=kept[shown].astype(np.int32), pixel=pixel[shown], depth=found.depth[kept][shown])


def depth_image(
    dataset: Dataset, scene: Scene, index: int, camera: Camera | None, size: tuple[int, int]
) -> Float[np.ndarray, "h w"] | None:
    """Depth along the optical axis that the range sensor measured for a frame, the nearest where a pixel has several.

    Args:
        dataset: Whose.
        scene: Of the frame.
        index: Of the frame in it.
        camera: That took the frame, if anybody knows.
        size: Rows and columns of the picture.

    Returns:
        Metres, NaN at pixels without a sample; None where this copy lacks the sensor's files or the camera, or where
        nobody knows where the camera stands in the sweep's world.

    Raises:
        DatasetError: A file is damaged.
    """
    try:
        sweep = dataset.sweep(scene, index)
    except Unsupported:
        return None
    if sweep is None or camera is None or (sweep.in_world and camera.world_from_camera is None):
        return None
    found = seen(sweep, camera if sweep.in_world else replace(camera, world_from_camera=None), size)
    nearest = np.full(size, np.inf)
    np.minimum.at(nearest, tuple(found.pixel.T), found.depth)
    return np.where(np.isfinite(nearest), nearest, np.nan)


def visible(found: Projection, size: tuple[int, int]) -> Bool[np.ndarray, " n"]:
    """Which projected points nothing nearer hides, by a depth buffer over the points themselves."""
    inside = np.flatnonzero(found.inside)
    result = np.zeros(len(found.inside), bool)
    if not len(inside):
        return result
    row, column = np.round(found.pixel[inside]).astype(np.int64).T
    buffer = np.full(size, np.inf, np.float32)
    np.minimum.at(buffer, (row, column), found.depth[inside].astype(np.float32))
    reach = int(np.ceil(np.sqrt(size[0] * size[1] / len(inside))))  # the typical distance between samples
    limit = found.depth[inside] / (1 + SLACK)
    # Arms of a cross: a road's next nearer points lie below and beside a point alike, but never above it.
    arms = [np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8) for _ in range(4)]
    middle = slice(reach - 1, reach + 2)
    arms[0][:reach, middle], arms[1][-reach:, middle], arms[2][reach, :reach], arms[3][reach, -reach:] = 1, 1, 1, 1
    above, below, left, right = (_least(buffer, arm)[row, column] < limit for arm in arms)
    result[inside] = ~((buffer[row, column] < limit) | (above & below) | (left & right))
    return result


def _least(buffer: Float[np.ndarray, "h w"], window: UInt8[np.ndarray, "k l"]) -> Float[np.ndarray, "h w"]:
    """The least depth in a window around each pixel."""
    return cv2.erode(buffer, window, borderType=cv2.BORDER_CONSTANT, borderValue=float("inf"))


def accumulate(dataset: Dataset, scene: Scene, indices: Sequence[int]) -> Sweep | None:
    """The sweeps of several frames as one, from where the first of them was taken; None if there is none.

    Sweeps are free of the sensor's own motion and stand in the world, so that they only need to be joined; what moves
    leaves a trail. Frames of several cameras share a sweep, which is taken once.
    """
    found: list[Sweep] = []
    for index in indices:
        sweep = dataset.sweep(scene, index)
        if sweep is None or not sweep.in_world:
            continue
        if not any(np.array_equal(sweep.origin, other.origin) for other in found):
            found.append(sweep)
    if not found:
        return None
    return Sweep(xyz=np.concatenate([sweep.xyz for sweep in found]), origin=found[0].origin, in_world=True)

"""A scene's cloud from what its frames contribute: one place that sorts, colours, centres and checks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32, UInt8

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.geometry.cameras import unproject
from wsss.benchmark.types import Camera, PointCloud, Scene

FRAMES = 60
"""Frames of a scene that points are made from where nothing else is said, see ``around_labels``."""
UPWARDS = np.array([0.0, 0.0, 1.0])
"""Against gravity in the world of every dataset that gives poses (Waymo, KITTI-360, Cityscapes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPoints:
    """What one frame contributes."""

    frame: int
    """Index into ``Scene.frames``; -1 for points that no frame saw."""
    xyz: Float[np.ndarray, "n 3"]
    """World axes; float64, because worlds reach 40 km."""
    pixel: Int32[np.ndarray, "n 2"]
    """(row, column) of the stored image; -1 where the frame is."""
    confidence: Float[np.ndarray, " n"]
    """Positive."""
    rgb: UInt8[np.ndarray, "n 3"] | None = None
    """None: the colours of the pixels. Needed where no frame saw the points."""


def around_labels(scene: Scene, most: int) -> tuple[int, ...]:
    """The frames that points are made from: every labelled one, and the others nearest to them up to ``most`` in all.

    Nearness counts frames of the same camera, so that a labelled frame first gets its neighbours in the video.
    """
    rows: dict[str, list[int]] = {}
    for index, frame in enumerate(scene.frames):
        rows.setdefault(frame.camera, []).append(index)
    distance: dict[int, int] = {}
    for row in rows.values():
        labelled = [place for place, index in enumerate(row) if scene.frames[index].labelled]
        for place, index in enumerate(row):
            distance[index] = min((abs(place - other) for other in labelled), default=len(scene.frames))
    order = sorted(distance, key=lambda index: (distance[index], index))
    count = max(most, sum(frame.labelled for frame in scene.frames))
    return tuple(sorted(order[:count]))


def from_depth(
    frame: int, depth: Float[np.ndarray, "h w"], confidence: Float[np.ndarray, "h w"], camera: Camera
) -> ViewPoints:
    """The points of a frame's depth image, which has the size of the stored image.

    Args:
        frame: Index into ``Scene.frames``.
        depth: Along the optical axis; a pixel where it is not finite or not positive gives no point.
        confidence: Positive where there is depth.
        camera: The frame's camera; without a pose the points are in its own axes.
    """
    pixel = np.argwhere(np.isfinite(depth) & (depth > 0)).astype(np.int32)
    row, column = pixel.T
    size = (depth.shape[0], depth.shape[1])
    xyz = unproject(pixel.astype(np.float64), depth[row, column].astype(np.float64), camera, size)
    return ViewPoints(frame=frame, xyz=xyz, pixel=pixel, confidence=confidence[row, column])


def empty(up: Float[np.ndarray, "3"], *, metric: bool = False) -> PointCloud:
    """A cloud without points, of a scene that could not be reconstructed.

    Args:
        up: Unit vector against gravity, in world axes.
        metric: Whether the lengths of the world that the points would be in are metres.
    """
    return PointCloud(
        xyz=np.zeros((0, 3), np.float32),
        rgb=np.zeros((0, 3), np.uint8),
        confidence=np.zeros(0, np.float32),
        frame=np.zeros(0, np.int32),
        pixel=np.zeros((0, 2), np.int32),
        origin=np.zeros(3),
        up=np.asarray(up, np.float64),
        metric=metric,
    )


def assemble(
    dataset: Dataset, scene: Scene, views: Sequence[ViewPoints], *, up: Float[np.ndarray, "3"], metric: bool
) -> PointCloud:
    """The cloud of a scene: its points by frame, coloured by the pixels that they came from.

    The origin is the median of the points on whole metres, from where float32 keeps a millimetre up to 16 km away.

    Args:
        dataset: Whose images give the colours.
        scene: The frames that ``ViewPoints.frame`` counts.
        views: In any order; several may belong to one frame.
        up: Against gravity, in world axes; any length.
        metric: Whether lengths are metres.

    Raises:
        ValueError: A coordinate is not finite, a confidence is not positive, or a pixel is outside its image.
        DatasetError: An image is damaged or missing.
    """
    views = sorted((view for view in views if len(view.xyz)), key=lambda view: view.frame)
    up = np.asarray(up, np.float64) / np.linalg.norm(up)
    if not views:
        return empty(up, metric=metric)
    for view in views:
        _check(view, scene)
    origin = np.round(np.median(np.concatenate([view.xyz for view in views]), axis=0))
    return PointCloud(
        xyz=np.concatenate([(view.xyz - origin).astype(np.float32) for view in views]),
        rgb=np.concatenate([_colours(dataset, scene, view) for view in views]),
        confidence=np.concatenate([view.confidence.astype(np.float32) for view in views]),
        frame=np.concatenate([np.full(len(view.xyz), view.frame, np.int32) for view in views]),
        pixel=np.concatenate([view.pixel for view in views]),
        origin=origin,
        up=up,
        metric=metric,
    )


def _check(view: ViewPoints, scene: Scene) -> None:
    if not -1 <= view.frame < len(scene.frames):
        raise ValueError(f"scene {scene.id} has no frame {view.frame}")
    if not np.isfinite(view.xyz).all():
        raise ValueError(f"scene {scene.id}: points of frame {view.frame} are not finite")
    # As float32, which is how they are kept: a tiny float64 would become zero there.
    confidence = view.confidence.astype(np.float32)
    if not (np.isfinite(confidence) & (confidence > 0)).all():
        raise ValueError(f"scene {scene.id}: confidences of frame {view.frame} are not positive and finite")


def _colours(dataset: Dataset, scene: Scene, view: ViewPoints) -> UInt8[np.ndarray, "n 3"]:
    if view.rgb is not None:
        return view.rgb
    if view.frame < 0:
        raise ValueError(f"scene {scene.id}: points that no frame saw have no colour")
    image = dataset.image(scene.frames[view.frame])
    row, column = view.pixel.T
    if (view.pixel < 0).any() or row.max() >= image.shape[0] or column.max() >= image.shape[1]:
        raise ValueError(f"scene {scene.id}: pixels of frame {view.frame} are outside its image")
    return image[row, column]

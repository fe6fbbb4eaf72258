"""Points that a range sensor measured: LiDAR, a depth camera, or, where there is neither, a stereo pair.

Every point belongs to the frame of its own moment whose picture shows it, by the occlusion test of ``sweeps.py``: what
moves is then where the picture has it. Colour and weak label are those of that pixel. The sweeps of the moments before
and after, freed of the car's motion, are context: points of their own frames, or of none. What no picture of its own
moment shows takes its colour, and nothing else, from the nearest moment that does, and is grey where none does. Rewis3d
says of its variant on real 3D only that it has no confidence; ours is 1.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import UsageError
from wsss.benchmark.geometry.clouds import FRAMES, UPWARDS, ViewPoints, around_labels, assemble
from wsss.benchmark.geometry.poses import APART, Placement, placed
from wsss.benchmark.geometry.sweeps import seen
from wsss.benchmark.types import Camera, PointCloud, Scene, Sweep

GREY = 128
"""Of points that no picture shows."""

Moment = tuple[int, ...]
"""Frames that were taken at one time by different cameras, which share a sweep."""
Picture = Callable[[int], UInt8[np.ndarray, "h w 3"]]


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """The range sensor's points around the labelled frames of a scene."""

    VERSION: ClassVar[int] = 2
    MEASURES: ClassVar[bool] = True

    neighbours: int = 2
    """Sweeps before and after that of each labelled frame that are used too."""

    def __post_init__(self) -> None:
        if self.neighbours < 0:
            raise UsageError(f"Sensor: neighbours must not be negative, not {self.neighbours}")

    def points(self, dataset: Dataset, scene: Scene) -> PointCloud:
        """The points of a scene; metric, unless a scene without poses could not be scaled.

        Frames of a depth camera without poses are placed by ``poses.placed``. A scene without sweeps is empty.

        Raises:
            Unsupported: The dataset has no range sensor, or its files are not there.
            DatasetError: A file is damaged or missing.
        """
        moments = _moments(scene)
        used = [k for k in range(len(moments)) if self._near(scene, moments, k)]
        sweeps = {k: sweep for k in used if (sweep := _sweep(dataset, scene, moments[k])) is not None}
        if not any(sweep.in_world for sweep in sweeps.values()):
            return _unposed(dataset, scene, [moments[k][0] for k in sweeps])
        cameras = dataset.cameras(scene)
        picture: Picture = lru_cache(maxsize=4 * (2 * self.neighbours + 1))(
            lambda index: dataset.image(scene.frames[index])
        )
        views: list[ViewPoints] = []
        for k, sweep in sweeps.items():
            if not sweep.in_world:  # its frame has no pose, unlike others
                continue
            around = sorted(
                range(k - self.neighbours, k + self.neighbours + 1), key=lambda other: (abs(other - k), other)
            )
            others = [index for other in around if other != k and 0 <= other < len(moments) for index in moments[other]]
            views += _views(scene, sweep, moments[k], others, cameras, picture)
        return assemble(dataset, scene, views, up=UPWARDS, metric=True)

    def _near(self, scene: Scene, moments: Sequence[Moment], k: int) -> bool:
        """Whether a labelled frame is at most ``neighbours`` moments away."""
        around = moments[max(k - self.neighbours, 0) : k + self.neighbours + 1]
        return any(scene.frames[index].labelled for moment in around for index in moment)


def _moments(scene: Scene) -> list[Moment]:
    """The frames of a scene by time; a frame without a time is alone."""
    moments: list[list[int]] = []
    for index, frame in enumerate(scene.frames):
        last = scene.frames[moments[-1][0]] if moments else None
        if last is not None and frame.time is not None and frame.time == last.time and frame.camera != last.camera:
            moments[-1].append(index)
        else:
            moments.append([index])
    return [tuple(moment) for moment in moments]


def _sweep(dataset: Dataset, scene: Scene, moment: Moment) -> Sweep | None:
    """The sweep of a moment, asked of its frames in turn."""
    return next((sweep for index in moment if (sweep := dataset.sweep(scene, index)) is not None), None)


def _views(
    scene: Scene,
    sweep: Sweep,
    moment: Moment,
    others: Sequence[int],
    cameras: Sequence[Camera | None],
    picture: Picture,
) -> Iterator[ViewPoints]:
    """The points of a sweep by the frames of its moment, labelled ones first, and those of no frame."""
    free = np.ones(len(sweep.xyz), bool)
    for index in sorted(moment, key=lambda i: not scene.frames[i].labelled):
        rows, pixel = _shown(sweep, cameras[index], picture(index))
        own = free[rows]
        free[rows] = False
        yield _points(index, sweep.xyz[rows[own]], pixel[own], _colours(picture(index), pixel[own]))
    rgb = np.full((len(free), 3), GREY, np.uint8)
    grey = free.copy()
    for index in others:
        if sweep.pixel is not None or not grey.any():
            break
        rows, pixel = _shown(sweep, cameras[index], picture(index))
        wanted = grey[rows]
        rgb[rows[wanted]] = _colours(picture(index), pixel[wanted])
        grey[rows] = False
    if sweep.pixel is None:
        yield _points(-1, sweep.xyz[free], np.full((int(free.sum()), 2), -1, np.int32), rgb[free])


def _shown(
    sweep: Sweep, camera: Camera | None, image: UInt8[np.ndarray, "h w 3"]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, "n 2"]]:
    """Rows of a sweep that an image shows, and the pixels that show them; none where nobody knows the camera."""
    if camera is None or camera.world_from_camera is None:
        return np.zeros(0, np.int32), np.zeros((0, 2), np.int32)
    found = seen(sweep, camera, (image.shape[0], image.shape[1]))
    return found.point, found.pixel


def _colours(image: UInt8[np.ndarray, "h w 3"], pixel: Int[np.ndarray, "n 2"]) -> UInt8[np.ndarray, "n 3"]:
    return image[pixel[:, 0], pixel[:, 1]]


def _points(
    frame: int, xyz: Float[np.ndarray, "n 3"], pixel: Int[np.ndarray, "n 2"], rgb: UInt8[np.ndarray, "n 3"]
) -> ViewPoints:
    return ViewPoints(frame=frame, xyz=xyz, pixel=pixel.astype(np.int32), confidence=np.ones(len(xyz)), rgb=rgb)


def _unposed(dataset: Dataset, scene: Scene, frames: Sequence[int]) -> PointCloud:
    """The points of depth images whose frames the dataset does not place."""
    if not frames:
        return assemble(dataset, scene, [], up=UPWARDS, metric=True)
    # Of the frames that a reconstruction places too: their poses, which take most of the time, are then there already.
    placement = placed(dataset, scene, sorted({*frames, *around_labels(scene, FRAMES)}))
    cameras = dataset.cameras(scene)
    views: list[ViewPoints] = []
    for place, index in enumerate(frames):
        sweep, camera, pose = dataset.sweep(scene, index), cameras[index], _pose(placement, index, place)
        if sweep is None or sweep.pixel is None or camera is None or pose is None:
            continue
        image = dataset.image(scene.frames[index])
        found = seen(sweep, replace(camera, world_from_camera=None), (image.shape[0], image.shape[1]))
        xyz = sweep.xyz[found.point] @ pose[:3, :3].T + pose[:3, 3]
        views.append(_points(index, xyz, found.pixel, _colours(image, found.pixel)))
    return assemble(dataset, scene, views, up=placement.up, metric=True)


def _pose(placement: Placement, index: int, place: int) -> Float[np.ndarray, "4 4"] | None:
    """Where a frame stands; None where it could not be placed.

    Where estimated poses have no scale, distances between them do not fit those that the sensor measured: the frames
    then stand apart, upright but alone.
    """
    camera = placement.cameras[index]
    if camera is None or camera.world_from_camera is None or placement.metric:
        return None if camera is None else camera.world_from_camera
    alone = camera.world_from_camera.copy()
    alone[:3, 3] = (APART * place, 0, 0)
    return alone

"""How far away what a picture shows is, and where another picture of the scene shows the same: for evaluation alone.

Both are functions of the dataset, not of a method, so that every method is measured on the same pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import distance_transform_edt

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.geometry import true_depth
from wsss.benchmark.geometry.cameras import project, unproject
from wsss.benchmark.geometry.sweeps import depth_image
from wsss.benchmark.types import Camera, Scene

SENSORS = frozenset({"lidar", "depth", "stereo"})
OFFSETS = (-2, 2, -3, 3, -4, 4, -1, 1)
"""Which other frame is compared with, as steps among the frames of the same camera: the first that will do. A direct
neighbour, which shows nearly the same picture, comes last."""
LEAST = 0.1
"""Share of the pixels of known depth that the other frame must show for it to do."""
CLOSE = 0.05
"""Relative difference of depth up to which two frames show the same surface."""

MOST = 4096
"""Pixels of a frame that are looked for in another, spread evenly over those of known depth: neighbours say the same,
and the lens and shutter of a camera make each dear."""

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Pixels of a frame and of another that show the same points of surfaces."""

    other: int
    """Index of the other frame in the scene."""
    here: Int[np.ndarray, "n 2"]
    """(row, column)."""
    there: Int[np.ndarray, "n 2"]


class Surfaces:
    """The depth of a dataset's frames, and the matches between them.

    Cameras are kept for one scene: ask for its frames one after another.

    Args:
        dataset: Whose.
    """

    source: Literal["truth", "sensor"] | None
    """Where depth comes from: a miniature's own truth, else a range sensor (a stereo pair is one), else nowhere."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._truth = true_depth.of(dataset)
        self.source = "truth" if self._truth is not None else "sensor" if dataset.sources & SENSORS else None
        self._cameras = lru_cache(maxsize=1)(dataset.cameras)

    def depth(self, scene: Scene, index: int, size: Size) -> Float[np.ndarray, "h w"] | None:
        """Depth along the optical axis, metres, NaN where it is unknown or no surface is; None if nobody knows any.

        A sensor's is sparse, see ``sweeps.depth_image``.

        Args:
            scene: Of the frame.
            index: Of the frame in it.
            size: Rows and columns of its picture.

        Raises:
            DatasetError: A file is damaged.
        """
        if self._truth is not None:
            known = self._truth(scene.frames[index])
            return None if known is None else np.where(np.isfinite(known), known, np.nan)
        if self.source is None:
            return None
        return depth_image(self._dataset, scene, index, self._cameras(scene)[index], size)

    def match(self, scene: Scene, index: int, depth: Float[np.ndarray, "h w"]) -> Match | None:
        """Which pixels of another frame show the same points of surfaces as pixels of known depth of this one.

        The other frame is the first in the order of ``OFFSETS`` that shows at least ``LEAST`` of them; None where none
        does, or where the dataset gives no poses: estimated ones would make the measure hang on the estimate. A point
        is shown if the other frame's depth where it projects is its own to ``CLOSE``. That leaves out what is hidden
        there, and what moves unless it has hardly come nearer or gone away: then the same thing still shows.

        Args:
            scene: Of the frame.
            index: Of the frame in it.
            depth: Of the frame; NaN where it is unknown.

        Raises:
            DatasetError: A file is damaged.
        """
        here = np.argwhere(np.isfinite(depth))
        if "poses" not in self._dataset.sources or not len(here):
            return None
        here = here[np.linspace(0, len(here) - 1, min(MOST, len(here))).astype(int)]
        size = (depth.shape[0], depth.shape[1])
        camera = self._posed(scene, index)
        if camera is None:
            return None
        xyz = unproject(here.astype(np.float64), depth[tuple(here.T)], camera, size)
        for other in _others(scene, index):
            camera = self._posed(scene, other)
            known = None if camera is None else self.depth(scene, other, size)
            if camera is None or known is None:
                continue
            found = project(xyz, camera, size)
            inside = np.flatnonzero(found.inside)
            there, away = np.round(found.pixel[inside]).astype(np.int64), found.depth[inside]
            shown = np.abs(_filled(known)[tuple(there.T)] - away) <= CLOSE * away
            if shown.sum() >= LEAST * len(here):
                return Match(other=other, here=here[inside[shown]], there=there[shown])
        return None

    def _posed(self, scene: Scene, index: int) -> Camera | None:
        camera = self._cameras(scene)[index]
        return None if camera is None or camera.world_from_camera is None else camera


def _others(scene: Scene, index: int) -> Iterator[int]:
    """Frames of the same camera, in the order in which they are tried."""
    frames = scene.frames
    row = [i for i, frame in enumerate(frames) if frame.camera == frames[index].camera]
    place = row.index(index)
    return (row[place + step] for step in OFFSETS if 0 <= place + step < len(row))


def _filled(depth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """A sparse sensor's depth between its samples: the nearest one's, within their typical distance; NaN beyond.

    A picture in which most pixels are known stays as it is.
    """
    unknown = np.isnan(depth)
    reach = int(np.sqrt(depth.size / max(depth.size - np.count_nonzero(unknown), 1)))
    if reach <= 1:
        return depth
    away, nearest = distance_transform_edt(unknown, return_indices=True)  # pyright: ignore[reportGeneralTypeIssues]
    return np.where(away < reach, depth[tuple(nearest)], np.nan)

"""What a reconstruction network sees: which frames together, on which grid of pixels, and which of its points count.

Settings of the paper's release stand in ``SELECTIONS``, one row per dataset.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from jaxtyping import Float, Int32, UInt8
from PIL import Image

from wsss.benchmark.errors import UsageError
from wsss.benchmark.geometry.clouds import ViewPoints
from wsss.benchmark.types import Frame, Scene

Chunk = tuple[int, ...]
"""Indices into ``Scene.frames`` of the images that a network sees together."""
Size = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which frames of a scene a network sees, and how many together."""

    most: int
    """Images in one chunk."""
    every: int = 1
    """Take every n-th timestamp, and all with a labelled frame; 0 takes the labelled frames alone."""
    spread: bool = False
    """One chunk per scene: the labelled frames and others evenly between them, rather than several consecutive runs."""
    cameras: tuple[str, ...] = ()
    """Take the frames of these alone; empty for every camera."""


SELECTIONS = {
    "waymo": Selection(most=180, every=4, cameras=("FRONT", "FRONT_LEFT", "FRONT_RIGHT")),
    "kitti360": Selection(most=100),
    "nyuv2": Selection(most=180, spread=True),
    "cityscapes": Selection(most=1, every=0),
}
"""As in the configurations released with Rewis3d (arXiv 2603.06374); its text speaks of more than 200 images."""
OTHERWISE = Selection(most=100)
"""For a dataset that the paper does not use."""


def chunks(scene: Scene, selection: Selection) -> tuple[Chunk, ...]:
    """The images of a scene that a network sees together, in the scene's order.

    Frames of one timestamp stay together, chunks are of nearly equal length, and one without a labelled frame is left
    out, because nothing is learned from it.

    Raises:
        UsageError: A chunk is too small for the cameras of one timestamp, or a number is negative.
    """
    if selection.most < 1 or selection.every < 0:
        raise UsageError(f"selection of frames: most={selection.most} must be positive and every={selection.every} not")
    moments = _moments(scene, selection)
    found = [_spread(scene, moments, selection.most)] if selection.spread else _runs(moments, selection.most)
    return tuple(chunk for chunk in found if any(scene.frames[index].labelled for index in chunk))


def _moments(scene: Scene, selection: Selection) -> list[Chunk]:
    """The frames of each timestamp that a selection takes; a frame without a time is a timestamp of its own."""
    taken = [i for i, frame in enumerate(scene.frames) if not selection.cameras or frame.camera in selection.cameras]
    if selection.every == 0:
        return [(index,) for index in taken if scene.frames[index].labelled]

    def moment(index: int) -> tuple[float, int]:
        time = scene.frames[index].time
        return (-1.0, index) if time is None else (time, -1)

    every = [tuple(group) for _, group in groupby(taken, key=moment)]
    return [
        indices
        for place, indices in enumerate(every)
        if place % selection.every == 0 or any(scene.frames[index].labelled for index in indices)
    ]


def _runs(moments: Sequence[Chunk], most: int) -> list[Chunk]:
    """Consecutive timestamps in runs of nearly equal length, the longer ones first."""
    if not moments:
        return []
    together = max(map(len, moments))
    if together > most:
        raise UsageError(f"selection of frames: one timestamp has {together} images, more than most={most}")
    count = -(-len(moments) // (most // together))
    return [tuple(i for moment in part for i in moment) for part in _split(moments, count)]


def _split(moments: Sequence[Chunk], count: int) -> list[Sequence[Chunk]]:
    short, longer = divmod(len(moments), count)
    ends = np.cumsum([short + (place < longer) for place in range(count)])
    return [moments[end - short - (place < longer) : end] for place, end in enumerate(ends)]


def _spread(scene: Scene, moments: Sequence[Chunk], most: int) -> Chunk:
    """All labelled frames, thinned evenly if they are too many, and others evenly in what is left."""
    indices = [index for moment in moments for index in moment]
    labelled = [index for index in indices if scene.frames[index].labelled]
    others = [index for index in indices if not scene.frames[index].labelled]
    kept = _evenly(labelled, most)
    return tuple(sorted([*kept, *_evenly(others, most - len(kept))]))


def _evenly(indices: Sequence[int], count: int) -> list[int]:
    if len(indices) <= count:
        return list(indices)
    return [indices[place] for place in np.linspace(0, len(indices) - 1, count).round().astype(int)]


def halves(frames: Sequence[Frame], chunk: Chunk) -> tuple[Chunk, Chunk]:
    """A chunk in two, between two timestamps where it holds more than one.

    Raises:
        ValueError: The chunk is a single frame.
    """
    if len(chunk) < 2:
        raise ValueError("a single frame has no halves")
    middle = len(chunk) / 2
    cuts = [
        place
        for place in range(1, len(chunk))
        if frames[chunk[place]].time is None or frames[chunk[place]].time != frames[chunk[place - 1]].time
    ]
    cut = min(cuts or range(1, len(chunk)), key=lambda place: abs(place - middle))
    return chunk[:cut], chunk[cut:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How a network's grid of pixels lies on a stored image: the image is resized, then cropped.

    An integer is the centre of a pixel on both sides, so that the map has a half-pixel term, which the release's own
    lacks.
    """

    source: Size
    """Of the stored image."""
    resized: Size
    offset: tuple[int, int]
    """Rows and columns cut off at the top and on the left."""
    size: Size
    """Of the grid."""

    def to_source(self, pixel: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Stored image's (row, column), not rounded, of the grid's."""
        return (np.asarray(pixel, np.float64) + self.offset + 0.5) / self._scale() - 0.5

    def to_grid(self, pixel: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Grid's (row, column), not rounded, of the stored image's."""
        return (np.asarray(pixel, np.float64) + 0.5) * self._scale() - 0.5 - self.offset

    def pixels(self) -> Int32[np.ndarray, "h w 2"]:
        """The stored image's (row, column) nearest to every grid pixel."""
        positions = np.argwhere(np.ones(self.size, bool)).astype(np.float64)
        nearest = np.clip(np.round(self.to_source(positions)), 0, np.array(self.source) - 1)
        return nearest.astype(np.int32).reshape(*self.size, 2)

    def image(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "gh gw 3"]:
        """The part of a stored image that the network sees: Lanczos to shrink, bicubic to enlarge."""
        enlarges = self.resized[0] >= self.source[0]
        method = Image.Resampling.BICUBIC if enlarges else Image.Resampling.LANCZOS
        whole = np.asarray(Image.fromarray(image).resize((self.resized[1], self.resized[0]), method))
        top, left = self.offset
        return np.ascontiguousarray(whole[top : top + self.size[0], left : left + self.size[1]])

    def intrinsics(self, matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
        """The stored image's intrinsic matrix in pixels of the grid."""
        return self._affine() @ np.asarray(matrix, np.float64)

    def source_intrinsics(self, matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
        """The grid's intrinsic matrix in pixels of the stored image."""
        return np.linalg.inv(self._affine()) @ np.asarray(matrix, np.float64)

    def _scale(self) -> Float[np.ndarray, "2"]:
        return np.array(self.resized) / np.array(self.source)

    def _affine(self) -> Float[np.ndarray, "3 3"]:
        down, right = self._scale()
        top, left = self.offset
        return np.array([[right, 0, 0.5 * right - 0.5 - left], [0, down, 0.5 * down - 0.5 - top], [0, 0, 1]])


def covering(source: Size, size: Size) -> Grid:
    """The grid of an image that is resized to cover ``size`` and cropped at its centre, as MapAnything does."""
    scale = max(size[0] / source[0], size[1] / source[1]) + 1e-8  # its own guard against one pixel too few
    resized = (int(source[0] * scale), int(source[1] * scale))
    return Grid(
        source=source, resized=resized, offset=((resized[0] - size[0]) // 2, (resized[1] - size[1]) // 2), size=size
    )


def stretched(source: Size, longest: int, multiple: int) -> Grid:
    """The grid of an image whose longer side becomes ``longest`` and each side a multiple, as in Depth Anything 3."""
    scale = longest / max(source)
    fitted = [max(1, round(side * scale)) for side in source]
    rows, columns = (max(multiple, (side + multiple // 2) // multiple * multiple) for side in fitted)
    return Grid(source=source, resized=(rows, columns), offset=(0, 0), size=(rows, columns))


def best(view: ViewPoints, dropped: float) -> ViewPoints:
    """The points of a view without the least confident ones, at most one per pixel.

    Args:
        view: Any number of points.
        dropped: Percentile of the view's own confidences below which a point is dropped.
    """
    if not len(view.xyz):
        return view
    kept = np.flatnonzero(view.confidence >= np.percentile(view.confidence, dropped))
    # A grid that is finer than the image has several points in a pixel: the most confident stays.
    order = kept[np.argsort(-view.confidence[kept], kind="stable")]
    place = view.pixel[order].astype(np.int64) @ [1 << 32, 1]  # one number per pixel, in the pixels' order
    rows = order[np.unique(place, return_index=True)[1]]
    return replace(view, xyz=view.xyz[rows], pixel=view.pixel[rows], confidence=view.confidence[rows])

"""How good the points of a scene are: how much of the labelled pictures they cover, and how true their depth is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry.cameras import project
from wsss.benchmark.geometry.poses import Placement
from wsss.benchmark.geometry.sweeps import seen
from wsss.benchmark.types import IGNORE, Frame, PointCloud, Scene

Depth = Callable[[Frame], Float[np.ndarray, "h w"] | None]
"""The true depth of a frame's picture in metres, infinite where there is nothing; None where it is not known."""

CLOSE = 0.05
"""Relative error within which a point counts as right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Of the points that the labelled frames of a scene saw."""

    frames: int
    """Labelled frames."""
    covered: int
    """Of these, how many have points."""
    pixels: int
    """Of these frames."""
    points: int
    """That these frames saw."""
    labelled: int
    """Points with a weak label, of all the scene's."""
    error: Float[np.ndarray, " m"]
    """Relative errors of the depth of those points that can be compared."""

    @property
    def density(self) -> float:
        """Points per pixel of the labelled frames."""
        return self.points / max(self.pixels, 1)

    @property
    def right(self) -> float | None:
        """Share of the compared points within ``CLOSE``; None if nothing could be compared."""
        return float((self.error < CLOSE).mean()) if len(self.error) else None

    @property
    def absrel(self) -> float | None:
        """Mean relative error of the depth."""
        return float(self.error.mean()) if len(self.error) else None


def measure(
    dataset: Dataset,
    scene: Scene,
    cloud: PointCloud,
    labels: UInt8[np.ndarray, " n"] | None,
    placement: Placement,
    truth: Depth | None,
) -> Quality:
    """Measure one scene.

    Args:
        dataset: Whose scene it is.
        scene: The scene.
        cloud: Its points.
        labels: One weak label per point.
        placement: Where the cameras stand in the cloud's world.
        truth: The true depth; the range sensor's depth is compared with where there is none. If the cloud's lengths are
            not metres, one factor per scene is taken out first.
    """
    frames = [index for index, frame in enumerate(scene.frames) if frame.labelled]
    covered = points = pixels = 0
    pairs: list[np.ndarray] = []
    for index in frames:
        image = dataset.image(scene.frames[index])
        pixels += image.shape[0] * image.shape[1]
        own = cloud.view(index)
        count = own.stop - own.start
        covered, points = covered + (count > 0), points + count
        if count:
            pairs.append(_pairs(dataset, scene, index, cloud, placement, truth, (image.shape[0], image.shape[1])))
    both = np.concatenate(pairs) if pairs else np.zeros((0, 2))
    if len(both) and not cloud.metric:
        both = both * (np.median(both[:, 1] / both[:, 0]), 1.0)
    return Quality(
        frames=len(frames),
        covered=covered,
        pixels=pixels,
        points=points,
        labelled=0 if labels is None else int((labels != IGNORE).sum()),
        error=np.abs(both[:, 0] - both[:, 1]) / both[:, 1],
    )


def depth_of(
    cloud: PointCloud, frame: int, placement: Placement, size: tuple[int, int]
) -> Float[np.ndarray, " m"] | None:
    """Depth along the optical axis of the points that a frame saw; None where the frame has no camera."""
    camera = placement.cameras[frame]
    if camera is None:
        return None
    return project(cloud.xyz[cloud.view(frame)].astype(np.float64) + cloud.origin, camera, size).depth


def _pairs(
    dataset: Dataset,
    scene: Scene,
    index: int,
    cloud: PointCloud,
    placement: Placement,
    truth: Depth | None,
    size: tuple[int, int],
) -> Float[np.ndarray, "m 2"]:
    """Depth of a frame's points, and what it should be."""
    depth, pixel = depth_of(cloud, index, placement, size), cloud.pixel[cloud.view(index)]
    known = None if truth is None else truth(scene.frames[index])
    if known is None:
        known = _sensed(dataset, scene, index, size)
    if depth is None or known is None:
        return np.zeros((0, 2))
    there = known[pixel[:, 0], pixel[:, 1]]
    use = np.isfinite(there) & (depth > 0)
    return np.stack([depth[use], there[use]], -1)


def _sensed(dataset: Dataset, scene: Scene, index: int, size: tuple[int, int]) -> Float[np.ndarray, "h w"] | None:
    """The range sensor's depth at the pixels that it hit, infinite elsewhere."""
    camera = dataset.cameras(scene)[index]
    try:
        sweep = dataset.sweep(scene, index)
    except Unsupported:
        return None
    if sweep is None or camera is None:
        return None
    found = seen(sweep, camera, size)
    result = np.full(size, np.inf)
    np.minimum.at(result, tuple(found.pixel.T), found.depth)
    return result


def total(parts: Sequence[Quality]) -> Quality:
    """Several scenes as one."""
    return Quality(
        frames=sum(one.frames for one in parts),
        covered=sum(one.covered for one in parts),
        pixels=sum(one.pixels for one in parts),
        points=sum(one.points for one in parts),
        labelled=sum(one.labelled for one in parts),
        error=np.concatenate([one.error for one in parts]) if parts else np.zeros(0),
    )

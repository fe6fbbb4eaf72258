"""How good the points of a scene are: how much of the labelled pictures they cover, and how true their depth is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.geometry.cameras import project
from wsss.benchmark.geometry.poses import Placement
from wsss.benchmark.geometry.sweeps import depth_image
from wsss.benchmark.geometry.true_depth import Depth
from wsss.benchmark.types import IGNORE, PointCloud, Scene

CLOSE = 0.05
"""Relative error within which a point counts as right."""
AWAY = 0.02
"""Share of the image's longer side up to which a point may typically be shown beside its pixel."""


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
    cameras = dataset.cameras(scene)
    covered = points = pixels = 0
    pairs: list[np.ndarray] = []
    for index in frames:
        size = dataset.image(scene.frames[index]).shape[:2]
        pixels += size[0] * size[1]
        own = cloud.view(index)
        count = own.stop - own.start
        covered, points = covered + (count > 0), points + count
        if count:
            known = None if truth is None else truth(scene.frames[index])
            if known is None:
                known = depth_image(dataset, scene, index, cameras[index], (size[0], size[1]))
            pairs.append(_pairs(cloud, index, depth_of(cloud, index, placement, size), known))
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
    """Depth along the optical axis of the points that a frame saw.

    None where the frame saw no points or has no camera, or one that does not show the points at their pixels: the cloud
    is then in another world, as that of a network which saw the images alone.
    """
    camera, rows = placement.cameras[frame], cloud.view(frame)
    if camera is None or rows.start == rows.stop:
        return None
    found = project(cloud.xyz[rows].astype(np.float64) + cloud.origin, camera, size)
    away = np.linalg.norm(found.pixel - cloud.pixel[rows], axis=1)
    # Not a number where a point is behind the camera, which is not at its pixel either.
    return found.depth if np.median(np.nan_to_num(away, nan=np.inf)) <= AWAY * max(size) else None


def _pairs(
    cloud: PointCloud,
    frame: int,
    depth: Float[np.ndarray, " m"] | None,
    known: Float[np.ndarray, "h w"] | None,
) -> Float[np.ndarray, "k 2"]:
    """Depth of a frame's points, and what it should be."""
    if depth is None or known is None:
        return np.zeros((0, 2))
    row, column = cloud.pixel[cloud.view(frame)].T
    there = known[row, column]
    use = np.isfinite(there) & (depth > 0)
    return np.stack([depth[use], there[use]], -1)


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

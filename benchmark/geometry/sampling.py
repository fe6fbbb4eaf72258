"""Which points of a scene a network sees beside one image: most from the image itself, the rest from around it.

Rewis3d, section on view-aware sampling; the rules are those of its release (``random_radius`` and ``random_uniform``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from wsss.benchmark.errors import UsageError
from wsss.benchmark.geometry.index import BLOCK, Extent, Index
from wsss.benchmark.types import PointCloud

_AT_ONCE = 4096
"""Blocks that are read at a time where a whole ball is searched."""
_SPARSE = 64
"""From how many numbers per chosen one on sorting them is faster than marking them in a list of all."""
_SPARE = 1.05
"""Rows drawn per row wanted, for those that are drawn twice."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the points of a training sample are chosen."""

    kind: Literal["view", "uniform", "alone"] = "view"
    """``view`` prefers the target view, ``uniform`` draws from the whole scene alike, ``alone`` takes the view's own
    points and no others."""
    budget: int = 120_000
    """Points in a sample, fewer where the scene has no more."""
    share: float = 0.6
    """The most of the budget that comes from the target view at first; the release has 0.7."""
    reach: float = 1.5
    """Radius of the ball from which the rest comes, as a multiple of the view's own."""
    box: tuple[float, float, float] = (70.0, 70.0, 30.0)
    """Half the sides of the box around the view beyond which points are dropped: metres, in the network's frame."""

    def __post_init__(self) -> None:
        if self.budget < 1 or not 0 <= self.share <= 1 or self.reach < 1 or min(self.box) <= 0:
            raise UsageError(
                f"Sampling: budget and box must be positive, share in [0, 1], reach at least 1, not {self}"
            )


def draw(
    cloud: PointCloud, index: Index, frame: int, sampling: Sampling, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Rows of a sample for a target view, in rising order and without repetition.

    First at most ``share`` of the budget from the view, uniformly; then, unless it shall be alone, from what else lies
    in the ball around it; what is then missing from all that was not chosen, the view's own included. Where the view
    has no points all come from the whole scene.

    Args:
        cloud: Of the scene; its arrays may be memory maps, of which little more than the sample is read.
        index: Of that cloud.
        frame: The target view.
        sampling: The settings.
        rng: All that the draw depends on beside the arguments.
    """
    total, view, extent = len(cloud.xyz), index.rows(frame), index.extent(frame)
    seen = view.stop - view.start
    most = min(seen, int(sampling.share * sampling.budget))
    if sampling.kind == "alone":
        return view.start + _choose(seen, most, rng)
    if total <= sampling.budget:
        return np.arange(total)
    if sampling.kind == "uniform" or extent is None:
        return _choose(total, sampling.budget, rng)
    own = view.start + _choose(seen, most, rng)
    around = _around(cloud, index, extent, sampling, view, sampling.budget - len(own), rng)
    before = np.searchsorted(around, view.start)
    return _filled(np.concatenate([around[:before], own, around[before:]]), total, sampling.budget, rng)


def _choose(total: int, count: int, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """``count`` different numbers below ``total``, rising, every subset as likely as any other."""
    if count >= total:
        return np.arange(total)
    if count * _SPARSE < total:
        return np.sort(rng.choice(total, count, replace=False, shuffle=False))
    few = min(count, total - count)  # to take or, where that are fewer, to leave
    mask = np.full(total, few < count)
    mask[rng.choice(total, few, replace=False, shuffle=False)] = few == count
    return np.flatnonzero(mask)


def _filled(rows: Int[np.ndarray, " n"], total: int, budget: int, rng: np.random.Generator) -> Int[np.ndarray, " m"]:
    """Rising rows and as many others as the budget lacks."""
    if len(rows) == budget:
        return rows
    ranks = _choose(total - len(rows), budget - len(rows), rng)  # among the rows that were not chosen
    others = ranks + np.searchsorted(rows - np.arange(len(rows)), ranks, side="right")
    return np.sort(np.concatenate([rows, others]))


def _around(
    cloud: PointCloud,
    index: Index,
    extent: Extent,
    sampling: Sampling,
    view: slice,
    count: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, " n"]:
    """At most ``count`` rows of points in the ball that are not the view's, uniformly.

    Rows are drawn from the blocks that touch the ball, and those outside it are rejected. That comes to an end soon
    where many blocks lie wholly inside; elsewhere the ball is searched.
    """
    radius = sampling.reach * extent.radius
    touching, inside = _blocks(index, extent, radius, view)
    inside &= (touching + 1) * BLOCK <= len(cloud.xyz)  # the last may be short
    sure = int(inside.sum())
    if sure * BLOCK < 2 * count:
        found = np.concatenate([np.zeros(0, np.int64), *_search(cloud, touching, extent, radius, view)])
        return found[_choose(len(found), count, rng)]
    found, places = np.zeros(0, np.int64), len(touching) * BLOCK
    narrow = np.int32 if places <= np.iinfo(np.int32).max else np.int64  # sorted in half the time
    while len(found) < count:
        tries = int((count - len(found)) * len(touching) / sure * _SPARE) + 64
        ranks = np.sort(rng.integers(places, size=tries, dtype=narrow))
        ranks = ranks[np.diff(ranks, prepend=-1) > 0]
        block = ranks // BLOCK
        rows = touching[block] * BLOCK + ranks % BLOCK
        doubtful = np.flatnonzero(~inside[block])
        if len(doubtful):  # only these need to be read
            rows = np.delete(rows, doubtful[~_inside(cloud, rows[doubtful], extent, radius, view)])
        found = np.sort(np.concatenate([found, rows[~np.isin(rows, found)]])) if len(found) else rows
    return found[_choose(len(found), count, rng)]  # which are too many is for chance to say, else low rows are favoured


def _blocks(
    index: Index, extent: Extent, radius: float, view: slice
) -> tuple[Int[np.ndarray, " k"], Bool[np.ndarray, " k"]]:
    """The blocks that touch a ball and are not the view's alone, and which of them are wholly inside and not its."""
    low, high = index.blocks[:, 0] - extent.centre, index.blocks[:, 1] - extent.centre
    nearest = np.maximum(np.maximum(low, -high), 0)
    farthest = np.maximum(np.abs(low), np.abs(high))
    starts = np.arange(len(low)) * BLOCK
    foreign = (starts < view.start) | (starts + BLOCK > view.stop)
    touching = np.flatnonzero((np.einsum("ij,ij->i", nearest, nearest) <= radius**2) & foreign)
    apart = (starts[touching] >= view.stop) | (starts[touching] + BLOCK <= view.start)
    farthest = farthest[touching]
    return touching, (np.einsum("ij,ij->i", farthest, farthest) <= radius**2) & apart


def _search(
    cloud: PointCloud, touching: Int[np.ndarray, " k"], extent: Extent, radius: float, view: slice
) -> Iterator[Int[np.ndarray, " n"]]:
    """All rows of points in the ball that are not the view's, some blocks at a time."""
    for start in range(0, len(touching), _AT_ONCE):
        rows = (touching[start : start + _AT_ONCE, None] * BLOCK + np.arange(BLOCK)).ravel()
        yield rows[_inside(cloud, rows, extent, radius, view)]


def _inside(
    cloud: PointCloud, rows: Int[np.ndarray, " n"], extent: Extent, radius: float, view: slice
) -> Bool[np.ndarray, " n"]:
    """Which rows exist, are not the view's and lie in the ball; the last block may be short."""
    apart = np.take(cloud.xyz, rows, axis=0, mode="clip") - extent.centre.astype(np.float32)
    result = np.einsum("ij,ij->i", apart, apart) <= radius**2
    result &= (rows < view.start) | (rows >= view.stop)
    return result & (rows < len(cloud.xyz))

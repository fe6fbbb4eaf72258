"""Where the points of a large cloud are, so that a draw from it reads only what it needs.

The points of a view are neighbours already; within a view they are put into an order in which neighbours in the cloud
are neighbours in space. A block is a run of ``BLOCK`` rows with the box that holds them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

from wsss.benchmark.types import PointCloud

BLOCK = 512
"""Rows; the boxes of 60 million points take 3 MB."""
FLOOR = 0.05
"""The share of a view's points below what counts as its floor; a reconstruction leaves a few below the ground."""
_BITS = 10
VIEW = np.dtype(
    [("start", "<i8"), ("stop", "<i8"), ("centre", "<f8", 3), ("radius", "<f8"), ("spread", "<f8"), ("floor", "<f8")]
)
"""A view's rows and the Extent of its points, NaN where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Where a set of points is, in the axes of ``PointCloud.xyz``."""

    centre: Float[np.ndarray, "3"]
    """Mean of the points."""
    radius: float
    """Distance of the farthest point from the centre."""
    spread: float
    """Root of the mean square distance from it."""
    floor: float
    """Height along ``PointCloud.up`` of the lowest ``FLOOR`` of the points, above the centre: mostly negative."""

    @classmethod
    def of(cls, xyz: Float[np.ndarray, "n 3"], up: Float[np.ndarray, "3"]) -> "Extent":
        """The extent of at least one point."""
        centre = xyz.mean(0, dtype=np.float64)
        apart = xyz - centre
        square = np.einsum("ij,ij->i", apart, apart)
        floor = float(np.quantile(apart @ up, FLOOR))
        return cls(
            centre=centre, radius=float(np.sqrt(square.max())), spread=float(np.sqrt(square.mean())), floor=floor
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The blocks and views of one cloud."""

    blocks: Float32[np.ndarray, "b 2 3"]
    """Lowest and highest coordinates of every run of ``BLOCK`` rows; the last may be shorter."""
    views: Shaped[np.ndarray, " f"]
    """Of type ``VIEW``, one per frame of the scene."""

    @classmethod
    def of(cls, cloud: PointCloud, frames: int) -> "Index":
        """Read a whole cloud once.

        Args:
            cloud: In any order within its views; in that of ``order`` the boxes are small.
            frames: How many frames its scene has.
        """
        views = np.zeros(frames, VIEW)
        for number in range(frames):
            rows = cloud.view(number)
            extent = (np.nan,) * 3, np.nan, np.nan, np.nan
            if rows.stop > rows.start:
                found = Extent.of(cloud.xyz[rows], cloud.up)
                extent = tuple(found.centre), found.radius, found.spread, found.floor
            views[number] = (rows.start, rows.stop, *extent)
        starts = np.arange(0, len(cloud.xyz), BLOCK)
        blocks = np.empty((len(starts), 2, 3), np.float32)
        if len(starts):
            blocks[:, 0] = np.minimum.reduceat(cloud.xyz, starts, axis=0)
            blocks[:, 1] = np.maximum.reduceat(cloud.xyz, starts, axis=0)
        return cls(blocks=blocks, views=views)

    def rows(self, frame: int) -> slice:
        """The rows of the points that a frame saw."""
        return slice(int(self.views["start"][frame]), int(self.views["stop"][frame]))

    def extent(self, frame: int) -> Extent | None:
        """The extent of a view; None where it has no points."""
        view = self.views[frame]
        if view["start"] == view["stop"]:
            return None
        radius, spread, floor = (float(view[name]) for name in ("radius", "spread", "floor"))
        return Extent(centre=view["centre"].copy(), radius=radius, spread=spread, floor=floor)


def order(cloud: PointCloud) -> Iterator[tuple[slice, Int[np.ndarray, " n"]]]:
    """The rows of every view, and the order within them that runs through space along Morton's curve.

    What no frame saw comes first, as one view. Points of one cell keep their order, so that a second pass changes
    nothing.
    """
    numbers, starts = np.unique(cloud.frame, return_index=True)
    for start, stop in zip(starts, [*starts[1:], len(cloud.frame)], strict=True) if len(numbers) else ():
        rows = slice(int(start), int(stop))
        yield rows, np.argsort(_curve(cloud.xyz[rows]), kind="stable")


def _curve(xyz: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """The place of each point along the curve: the bits of its cell's three coordinates, interleaved."""
    low, high = xyz.min(0), xyz.max(0)
    side = max(float((high - low).max()), 1e-6)
    cells = np.minimum((xyz - low) * (2**_BITS / side), 2**_BITS - 1).astype(np.uint32)
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        cells = (cells | (cells << np.uint32(shift))) & np.uint32(mask)
    return (cells[:, 0] | (cells[:, 1] << np.uint32(1)) | (cells[:, 2] << np.uint32(2))).astype(np.int64)

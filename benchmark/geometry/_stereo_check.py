"""Which of the depths that plane sweeping found are right: what the other views and the neighbouring pixels say."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from wsss.benchmark.geometry._stereo import Match, Swept, Warp

FARTHEST = 3.0
"""Multiple of the allowed disagreement beyond which more makes no difference."""
SURFACE = (4, 0.05, 0.04, 15.0)
"""Half the window in pixels, slope and slack with which neighbours are taken for one plane, and the difference in grey
that halves a neighbour's weight; see ``fit_surfaces``."""

WEIGHTS = (0.5, 0.6, 1.8, 0.3, 0.6, 0.5)
OFFSET = 2.7
"""Of ``cues``: a logistic regression, rounded, on training scenes of the miniatures of KITTI-360, Waymo and Cityscapes,
for the depth being right to 5 %."""


def surfaces(
    inverse_depth: Float32[np.ndarray, "h w"], kept: Bool[np.ndarray, "h w"], grey: UInt8[np.ndarray, "h w"]
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Planes through neighbouring depths, and how many neighbours lie on them; see ``_stereo_loops.fit_surfaces``."""
    from wsss.benchmark.geometry import _stereo_loops as loops  # numba: too slow to import for those who list providers

    return loops.fit_surfaces(inverse_depth, kept, grey, *SURFACE)


def compared(
    swept: Sequence[Swept | None], found: Swept, reprojection: float, depth: float
) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """How many sources agree with a view's depth, and how far they are off: 1 is what is allowed, 3 the most.

    Args:
        swept: All views.
        found: The view.
        reprojection: Pixels allowed, after the way through another view's depth and back.
        depth: Relative difference allowed between the depths of two views.
    """
    shape = found.parallax.shape
    votes, asked, error = np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape)
    for source, warp, back in zip(found.sources, found.warps, found.backs, strict=True):
        other = swept[source]
        if other is None:
            continue
        pixels, relative, shown = _return(found.match, other.match, warp, back)
        off = np.maximum(pixels / reprojection, relative / depth)
        votes += shown & (off < 1)
        asked += shown
        error += np.where(shown, np.minimum(off, FARTHEST), 0)
    return votes, np.where(asked > 0, error / np.maximum(asked, 1), FARTHEST)


def probability(
    found: Swept,
    support: Float32[np.ndarray, "h w"],
    error: Float[np.ndarray, "h w"],
    contrast: Float[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w"]:
    """How likely the depth of each pixel is right to 5 %: odds that are a product of powers of what is known.

    Args:
        found: The view.
        support: Weighted share of the neighbours, of those that another view agrees with, on one plane with the pixel.
        error: How far other views are off.
        contrast: Standard deviation of the grey levels in the window.
    """
    odds = np.tensordot(WEIGHTS, cues(found, support, error, contrast), 1) + OFFSET
    return (1 / (1 + np.exp(-odds))).astype(np.float32)


def cues(
    found: Swept,
    support: Float32[np.ndarray, "h w"],
    error: Float[np.ndarray, "h w"],
    contrast: Float[np.ndarray, "h w"],
) -> Float[np.ndarray, "6 h w"]:
    """What ``WEIGHTS`` weighs.

    Contrast counts relative to the picture's, and against a pixel: with as good a correlation it is rather an edge.
    """
    return np.stack(
        [
            -error,
            np.log(support + 0.1),
            np.log(found.smooth + 0.1),
            np.log(np.clip(found.match.correlation, 0, 1) + 0.05),
            np.log(-np.expm1(-np.maximum(found.parallax, 1e-3) / 4)),
            -np.log(contrast / (np.median(contrast) + 0.5) + 0.1),
        ]
    )


def _return(
    here: Match, there: Match, warp: Warp, back: Warp
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Goes to another view by this one's depth and back by that one's.

    Returns:
        How far from the start it ends in pixels, how far the depths differ (relative), and where the other view shows
        the point at all.
    """
    height, width = here.inverse_depth.shape
    far_height, far_width = there.inverse_depth.shape
    row, column = np.mgrid[:height, :width].astype(np.float64)
    pixel = np.stack([column, row, np.ones_like(row)])
    with np.errstate(divide="ignore", invalid="ignore"):
        place, ahead = warp.apply(pixel, here.inverse_depth)
        shown = (ahead > 0) & (place[0] >= 0) & (place[0] <= far_width - 1)
        shown &= (place[1] >= 0) & (place[1] <= far_height - 1)
        place = np.where(shown, place, 1)
        x, y = place[:2].astype(np.float32)
        found = cv2.remap(there.inverse_depth, x, y, cv2.INTER_NEAREST)
        end, ratio = back.apply(place, found)
        shown &= ratio > 0
        relative = np.abs(ratio * here.inverse_depth / found - 1)
        return np.hypot(end[0] - column, end[1] - row), relative, shown


def contrast(grey: UInt8[np.ndarray, "h w"], window: int) -> Float[np.ndarray, "h w"]:
    """Standard deviation of the grey levels around each pixel."""
    mean = cv2.blur(grey.astype(np.float32), (window, window))
    square = cv2.sqrBoxFilter(grey, cv2.CV_32F, (window, window), normalize=True)
    return np.sqrt(np.maximum(square - mean**2, 0))

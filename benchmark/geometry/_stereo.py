"""What the plane-sweep matchers for the CPU and for torch devices share: their input, their output, their constants."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

NOISE = 1.6
"""Grey levels of 255 that count as the camera's noise: windows with less contrast do not correlate."""
SHARPNESS = 12.5
"""Inverse temperature that turns correlations into the shares of the planes."""

OUTSIDE = -1.0
"""The correlation where a source does not reach; with ``NOISE`` no window correlates as badly."""

PATHS = (0.05, 0.5, 10.0)
"""Of the semi-global paths: costs of a step to the next plane and of a jump, where the costs of a match go from 0 to 1;
and the grey levels between two pixels that halve the cost of a jump."""


PARTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Steps from plane to plane at which the neighbourhood of a surface is searched."""
LEAST = 0.1
"""Steps of inverse depth from infinity: nothing is farther."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warp:
    """Where a source shows the reference's pixel (x, y, 1) at inverse depth w: the homography ``A + B w``."""

    at_infinity: Float[np.ndarray, "3 3"]
    per_inverse_depth: Float[np.ndarray, "3 3"]

    def apply(
        self, pixel: Float[np.ndarray, "3 h w"], inverse_depth: Float[np.ndarray, "h w"]
    ) -> tuple[Float[np.ndarray, "3 h w"], Float[np.ndarray, "h w"]]:
        """Where pixels (x, y, 1) appear, likewise, and the ratio of their depth there to that here."""
        far, step = (np.tensordot(matrix, pixel, 1) for matrix in (self.at_infinity, self.per_inverse_depth))
        place = far + step * inverse_depth
        return place / place[2], place[2]

    def lines(self, size: tuple[int, int]) -> tuple[Float32[np.ndarray, "3 h w"], Float32[np.ndarray, "3 h w"]]:
        """Where each pixel appears at infinity, and what is added to that per unit of inverse depth; homogeneous."""
        row, column = np.mgrid[: size[0], : size[1]]
        pixel = np.stack([column, row, np.ones_like(row)]).astype(np.float64)
        far, step = (np.tensordot(matrix, pixel, 1) for matrix in (self.at_infinity, self.per_inverse_depth))
        return far.astype(np.float32), step.astype(np.float32)

    def parallax(self, size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
        """Pixels that each pixel's match moves per unit of inverse depth, at infinity; zero at the epipole."""
        row, column = np.mgrid[: size[0], : size[1]]
        pixel = np.stack([column, row, np.ones_like(row)]).reshape(3, -1).astype(np.float64)
        far = self.at_infinity @ pixel
        step = self.per_inverse_depth @ pixel
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = (step[:2] - step[2] * far[:2] / far[2]) / far[2]
        length = np.hypot(*moved)
        return np.where(np.isfinite(length) & (far[2] > 0), length, 0).reshape(size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The outcome of one view's sweep, before any check."""

    inverse_depth: Float[np.ndarray, "h w"]
    """Along the optical axis; between planes by the parabola through the three best scores."""
    correlation: Float[np.ndarray, "h w"]
    """Mean zero-mean normalised cross-correlation with the best two sources; 0 where the best plane is an outer one."""
    mass: Float[np.ndarray, "h w"]
    """Share of all planes' softmax that the best plane and its two neighbours hold: 1 is unambiguous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A view's depth before the views are compared."""

    match: Match
    """Refined around the surfaces that the sweep found."""
    smooth: Float[np.ndarray, "h w"]
    """Weighted share of each pixel's neighbours whose depths, as the sweep found them, lie on a plane with its own."""
    sources: tuple[int, ...]
    warps: tuple[Warp, ...]
    """To each source."""
    backs: tuple[Warp, ...]
    """From each source."""
    parallax: Float[np.ndarray, "h w"]
    """Pixels, to the best source, at the depth that was found."""

"""Plane-sweep matching on the CPU: OpenCV's integer warps and box filters. ``_stereo_torch`` computes the same."""

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt, UInt8

from wsss.benchmark.geometry._stereo import NOISE, OUTSIDE, PATHS, SHARPNESS, Match, Warp

Planes = Float[np.ndarray, " d"]


def match(
    reference: UInt8[np.ndarray, "h w"],
    sources: Sequence[UInt8[np.ndarray, "_ _"]],
    warps: Sequence[Warp],
    planes: Planes,
    window: int,
) -> Match:
    """The inverse depth of every pixel whose plane the sources agree on best. See ``_stereo.Match``."""
    volume = np.empty((len(planes), *reference.shape), np.float32)
    for number, plane in enumerate(planes.tolist()):
        volume[number] = _best_two(_correlations(reference, sources, warps, plane, window))
    return _winner(volume, reference, planes)


def _best_two(scores: Iterable[Float[np.ndarray, "h w"]]) -> Float[np.ndarray, "h w"]:
    """The mean of the two best sources, because others may be hidden; of the best where no second one reaches."""
    scores = iter(scores)
    best = next(scores)
    second: np.ndarray | None = None
    for score in scores:
        low = np.minimum(best, score)
        second = low if second is None else np.maximum(second, low, out=second)
        best = np.maximum(best, score, out=best)
    return best if second is None else np.where(second > OUTSIDE, (best + second) / 2, best)


def _correlations(
    reference: UInt8[np.ndarray, "h w"],
    sources: Sequence[UInt8[np.ndarray, "_ _"]],
    warps: Sequence[Warp],
    plane: float,
    window: int,
) -> Iterator[Float[np.ndarray, "h w"]]:
    """Zero-mean normalised cross-correlation with each source on one plane; -1 where the source does not reach."""
    sums = _Sums(window)
    total, spread = sums.of(reference), sums.spread(reference)
    fill = np.clip(np.round(total / window**2), 1, 255).astype(np.uint8)
    for source, warp in zip(sources, warps, strict=True):
        matrix = warp.at_infinity + warp.per_inverse_depth * plane
        # Grey values are at least 1, so that 0 says outside.
        warped = cv2.warpPerspective(
            source, matrix, reference.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=0
        )
        outside = warped == 0
        warped[outside] = fill[outside]  # a neutral value: windows beside the border stay usable
        product = sums.of(cv2.multiply(warped, reference, dtype=cv2.CV_16U))
        score = (window**2 * product - sums.of(warped) * total) / np.sqrt(sums.spread(warped) * spread)
        score[outside] = OUTSIDE
        yield score


class _Sums:
    """Sums over a square window around each pixel, in integers as long as it goes."""

    def __init__(self, window: int) -> None:
        self.size = (window, window)
        self.area = window**2

    def of(self, image: UInt[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        return cv2.boxFilter(image, cv2.CV_32F, self.size, normalize=False, borderType=cv2.BORDER_REPLICATE)

    def spread(self, image: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        """The variance times the squared area, with the noise that keeps flat windows from agreeing."""
        squares = cv2.sqrBoxFilter(image, cv2.CV_32F, self.size, normalize=False, borderType=cv2.BORDER_REPLICATE)
        return np.maximum(self.area * squares - self.of(image) ** 2, 0) + (self.area * NOISE) ** 2


def _winner(volume: Float32[np.ndarray, "d h w"], grey: UInt8[np.ndarray, "h w"], planes: Planes) -> Match:
    """The best plane, refined by the parabola through its neighbours, and how the scores are spread over planes."""
    from wsss.benchmark.geometry import _stereo_loops as loops  # numba: too slow to import for those who list providers

    cost = np.ascontiguousarray((1 - volume.transpose(1, 2, 0)) / 2)
    scores = 1 - 2 * loops.aggregate(cost, grey, *PATHS)
    index = scores.argmax(2)
    inner = np.clip(index, 1, len(planes) - 2)
    before, best, after = (np.take_along_axis(scores, (inner + step)[..., None], 2)[..., 0] for step in (-1, 0, 1))
    bend = before - 2 * best + after
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.where((inner == index) & (bend < -1e-6), np.clip((before - after) / (2 * bend), -0.5, 0.5), 0)
    peak = scores.max(2, keepdims=True)
    scores -= peak
    scores *= SHARPNESS
    total = np.exp(scores, out=scores).sum(2)
    near = sum(np.exp(SHARPNESS * (score - peak[..., 0])) for score in (before, best, after))
    raw = np.take_along_axis(volume, index[None], 0)[0]
    return Match(
        inverse_depth=(planes[index] + offset * (planes[1] - planes[0])).astype(np.float32),
        correlation=np.where(inner == index, raw, 0).astype(np.float32),
        mass=(near / total).astype(np.float32),
    )

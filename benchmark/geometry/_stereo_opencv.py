"""Plane-sweep matching on the CPU: OpenCV's integer warps and box filters. ``_stereo_torch`` computes the same."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt, UInt8

from wsss.benchmark.geometry._stereo import LEAST, NOISE, OUTSIDE, PARTS, PATHS, SHARPNESS, Match, Warp

Planes = Float[np.ndarray, " d"]


def match(
    reference: UInt8[np.ndarray, "h w"],
    sources: Sequence[UInt8[np.ndarray, "_ _"]],
    warps: Sequence[Warp],
    planes: Planes,
    window: int,
) -> Match:
    """The inverse depth of every pixel whose plane the sources agree on best. See ``_stereo.Match``."""
    here = _Reference(reference, window)
    volume = np.empty((len(planes), *reference.shape), np.float32)
    for number, plane in enumerate(planes.tolist()):
        volume[number] = _best_two(
            here.correlation(_on_plane(source, warp, plane, reference.shape))
            for source, warp in zip(sources, warps, strict=True)
        )
    return _winner(volume, reference, planes)


def refine(
    reference: UInt8[np.ndarray, "h w"],
    sources: Sequence[UInt8[np.ndarray, "_ _"]],
    warps: Sequence[Warp],
    surface: Float32[np.ndarray, "h w"],
    step: float,
    window: int,
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Inverse depth near a surface, which need not face the camera as a plane does, and its correlation.

    Args:
        reference: Grey levels, at least 1.
        sources: Likewise.
        warps: To each source.
        surface: Inverse depth.
        step: Of inverse depth, from plane to plane.
        window: Side of the window.
    """
    here = _Reference(reference, window)
    lines = [warp.lines(reference.shape) for warp in warps]
    volume = np.stack(
        [
            _best_two(
                here.correlation(_on_surface(source, *line, np.maximum(surface + part * step, LEAST * step)))
                for source, line in zip(sources, lines, strict=True)
            )
            for part in PARTS
        ]
    )
    index = volume.argmax(0)
    offset = _between(*_around(volume, index, 0))
    inverse = surface + (np.array(PARTS)[index] + offset * (PARTS[1] - PARTS[0])) * step
    return np.maximum(inverse, LEAST * step).astype(np.float32), volume.max(0)


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


def _on_plane(
    source: UInt8[np.ndarray, "_ _"], warp: Warp, plane: float, size: tuple[int, int]
) -> UInt8[np.ndarray, "h w"]:
    """The source as the reference would show it; 0 outside, as grey values are at least 1."""
    matrix = warp.at_infinity + warp.per_inverse_depth * plane
    return cv2.warpPerspective(source, matrix, size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=0)


def _on_surface(
    source: UInt8[np.ndarray, "_ _"],
    far: Float32[np.ndarray, "3 h w"],
    step: Float32[np.ndarray, "3 h w"],
    surface: Float32[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w"]:
    """As ``_on_plane``."""
    x, y, ahead = far + step * surface
    behind = ahead <= 0
    ahead[behind] = 1
    x[behind] = -9
    return cv2.remap(source, x / ahead, y / ahead, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


class _Reference:
    """A picture that others, warped to it, are correlated with; sums stay integers as long as it goes."""

    def __init__(self, grey: UInt8[np.ndarray, "h w"], window: int) -> None:
        self.grey = grey
        self.size = (window, window)
        self.area = window**2
        self.total, self.spread = self._sums(grey)
        # A neutral value for what a source does not show: windows beside its border stay usable.
        self.fill = np.clip(np.round(self.total / self.area), 1, 255).astype(np.uint8)

    def correlation(self, warped: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        """Zero-mean normalised cross-correlation with a source; -1 where that does not reach."""
        outside = warped == 0
        np.copyto(warped, self.fill, where=outside)
        total, spread = self._sums(warped)
        score = self._box(cv2.multiply(warped, self.grey, dtype=cv2.CV_16U))
        score *= self.area
        total *= self.total
        score -= total
        spread *= self.spread
        score /= np.sqrt(spread, out=spread)
        np.copyto(score, OUTSIDE, where=outside)
        return score

    def _sums(self, image: UInt8[np.ndarray, "h w"]) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
        """Sums over the windows, and the variance times the squared area, with the noise of flat windows."""
        total = self._box(image)
        spread = cv2.sqrBoxFilter(image, cv2.CV_32F, self.size, normalize=False, borderType=cv2.BORDER_REPLICATE)
        spread *= self.area
        spread -= total**2
        np.maximum(spread, 0, out=spread)
        spread += (self.area * NOISE) ** 2
        return total, spread

    def _box(self, image: UInt[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
        return cv2.boxFilter(image, cv2.CV_32F, self.size, normalize=False, borderType=cv2.BORDER_REPLICATE)


def _winner(volume: Float32[np.ndarray, "d h w"], grey: UInt8[np.ndarray, "h w"], planes: Planes) -> Match:
    """The best plane, refined by the parabola through its neighbours, and how the scores are spread over planes."""
    from wsss.benchmark.geometry import _stereo_loops as loops  # numba: too slow to import for those who list providers

    cost = np.ascontiguousarray((1 - volume.transpose(1, 2, 0)) / 2)
    scores = 1 - 2 * loops.aggregate(cost, grey, *PATHS)
    index = scores.argmax(2)
    inside = (index > 0) & (index < len(planes) - 1)
    before, best, after = around = _around(scores, index, 2)
    offset = _between(*around)
    peak = scores.max(2, keepdims=True)
    scores -= peak
    scores *= SHARPNESS
    total = np.exp(scores, out=scores).sum(2)
    near = sum(np.exp(SHARPNESS * (score - peak[..., 0])) for score in (before, best, after))
    raw = np.take_along_axis(volume, index[None], 0)[0]
    return Match(
        inverse_depth=(planes[index] + offset * (planes[1] - planes[0])).astype(np.float32),
        correlation=np.where(inside, raw, 0).astype(np.float32),
        mass=(near / total).astype(np.float32),
    )


def _around(
    scores: Float32[np.ndarray, "_ _ _"], index: Int[np.ndarray, "h w"], axis: int
) -> tuple[Float32[np.ndarray, "h w"], ...]:
    """The best score and those before and after it; of the next inner one if it is an outer one."""
    inner = np.clip(index, 1, scores.shape[axis] - 2)
    places = (np.expand_dims(inner + step, axis) for step in (-1, 0, 1))
    before, best, after = (np.take_along_axis(scores, place, axis).squeeze(axis) for place in places)
    return before, best, after


def _between(
    before: Float32[np.ndarray, "h w"], best: Float32[np.ndarray, "h w"], after: Float32[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Where the parabola through three scores, the middle one the best, has its top, in steps; 0 where it has none."""
    bend = before - 2 * best + after
    peaked = (bend < -1e-6) & (best > before) & (best >= after)  # and so not where the best is an outer one
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(peaked, np.clip((before - after) / (2 * bend), -0.5, 0.5), 0)

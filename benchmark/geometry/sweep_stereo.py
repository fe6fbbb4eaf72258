"""Depth of posed images by plane sweeping: images, intrinsics and poses in; depth, confidence and mask out.

For each view, every plane of a stack parallel to its image is warped into neighbouring views; a pixel's depth is the
plane on which the windows around it correlate best (Collins, "A space-sweep approach to true multi-image matching",
CVPR 1996), made even by semi-global paths. A depth survives if the depths that neighbouring views found for themselves
agree with it and if it lies on a plane with its neighbours. The world has to stand still, to have texture, and the
camera has to move: elsewhere there is no depth rather than a wrong one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from wsss.benchmark.geometry import _stereo_opencv
from wsss.benchmark.geometry._stereo import Match, Warp
from wsss.benchmark.geometry.cameras import inverse

Device = Literal["cpu", "cuda"]

ANGLE = 10.0
"""Degrees between the rays to a point from which on the picture changes too much to be matched well."""
ENOUGH = 1.5
"""Pixels of parallax from which on more no longer makes a source better."""
STILL = 1e-9
"""Share of its distance from the world's origin by which a camera must have moved to have moved at all."""
USELESS = 0.02
"""Score of a source that shows next to nothing of use."""
STEP = 1.0
"""Pixels of typical parallax from plane to plane."""
FARTHEST = 3.0
"""Multiple of the allowed disagreement beyond which more makes no difference."""
SURFACE = (4, 0.05, 0.04)
"""Half the window in pixels, slope and slack with which neighbours are taken for one plane; see ``fit_surfaces``."""
ALONE = 0.1
"""The support that a depth without a plane counts with in the confidence."""
LEAST_PARALLAX = 0.5
"""Pixels of typical parallax on the farthest plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An undistorted image with its pose. Poses of all views share a world, whose unit the depths have."""

    image: UInt8[np.ndarray, "h w 3"]
    intrinsics: Float[np.ndarray, "3 3"]
    world_from_camera: Float[np.ndarray, "4 4"]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to match, and what to keep."""

    planes: int = 64
    """Depth hypotheses for an image 320 pixels wide; wider ones get more in proportion."""
    window: int = 5
    """Side of the window that is correlated, pixels, odd."""
    sources: int = 4
    """Views that each view is compared with."""
    agreeing: int = 2
    """Views whose own depth must agree; where a view has fewer sources, all of them."""
    correlation: float = 0.2
    """Least correlation."""
    parallax: float = 8.0
    """Least parallax in pixels between a view and the best of its sources: matches are right to some 0.2 pixels."""
    texture: float = 1.5
    """Least standard deviation of the grey levels (of 255) in the window: what has less may be sky."""
    reprojection: float = 1.0
    """Most pixels that a point may be off after the way through another view's depth and back."""
    depth: float = 0.04
    """Most that the depths of two views may differ, relative."""
    support: float = 0.8
    """Least share of the 9 x 9 neighbours that lie on one plane with the pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What was found for one view."""

    depth: Float32[np.ndarray, "h w"]
    """Along the optical axis, for every pixel; wrong in many of those outside the mask. Positive."""
    confidence: Float32[np.ndarray, "h w"]
    """From 0 to 1; ranks pixels by how likely they are right. Geometric mean of the best planes' share and their
    correlation, x exp(-reprojection error), x squared share of the neighbours on one plane, x a factor for parallax."""
    mask: Bool[np.ndarray, "h w"]
    """Where the depth can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Swept:
    """A view's depth before the views are compared."""

    match: Match
    sources: tuple[int, ...]
    warps: tuple[Warp, ...]
    """To each source."""
    backs: tuple[Warp, ...]
    """From each source."""
    parallax: Float[np.ndarray, "h w"]
    """Pixels, to the best source, at the depth that was found."""


def reconstruct(views: Sequence[View], settings: Settings, device: Device = "cpu") -> list[Depth | None]:
    """The depth of every view.

    Args:
        views: Images that see one place; they need not have one size.
        settings: How.
        device: ``cuda`` matches in torch, with the same result but for rounding.

    Returns:
        Per view its depth; None where no other view saw the same with another parallax.
    """
    grey = [np.maximum(cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY), 1) for view in views]
    swept = [_sweep(views, grey, index, settings, device) for index in range(len(views))]
    return [_checked(swept, grey, index, settings) for index in range(len(views))]


def choose_sources(views: Sequence[View], index: int, count: int) -> tuple[int, ...]:
    """The views to compare a view with, best first: those that see much of the same, from elsewhere but not far away.

    Each candidate scores, over a grid of pixels and depths, the share that it shows, weighted by parallax (up to
    ``ENOUGH``) and by the angle between the rays (less than ``ANGLE``). Which depths count follows from the rig: 5 to
    25 distances to the nearest other view.
    """
    centre = views[index].world_from_camera[:3, 3]
    apart = np.array([np.linalg.norm(view.world_from_camera[:3, 3] - centre) for view in views])
    moved = apart[apart > STILL * (1 + np.abs(centre).max())]
    if not len(moved):
        return ()
    points = _samples(views[index], np.geomspace(5, 25, 5) * moved.min())
    scores = [0.0 if other == index else _usefulness(points, views[index], views[other]) for other in range(len(views))]
    order = sorted(range(len(views)), key=lambda other: -scores[other])
    return tuple(other for other in order[:count] if scores[other] > USELESS)


def _samples(view: View, depths: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n 3"]:
    """World points on a grid of pixels at some depths."""
    row, column = np.meshgrid(*(np.linspace(0.05, 0.95, 8) * length for length in view.size), indexing="ij")
    rays = np.stack([column, row, np.ones_like(row)], -1).reshape(-1, 3) @ np.linalg.inv(view.intrinsics).T
    local = (rays * depths[:, None, None]).reshape(-1, 3)
    return local @ view.world_from_camera[:3, :3].T + view.world_from_camera[:3, 3]


def _usefulness(points: Float[np.ndarray, "n 3"], view: View, other: View) -> float:
    a, b = (points - one.world_from_camera[:3, 3] for one in (view, other))
    local = b @ other.world_from_camera[:3, :3]
    image, far = local @ other.intrinsics.T, a @ other.world_from_camera[:3, :3] @ other.intrinsics.T
    with np.errstate(divide="ignore", invalid="ignore"):
        pixel = image[:, :2] / image[:, 2:]
        parallax = np.linalg.norm(pixel - far[:, :2] / far[:, 2:], axis=1)
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    inside = (image[:, 2] > 0) & (far[:, 2] > 0) & (pixel >= 0).all(1) & (pixel < other.size[::-1]).all(1)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    weight = np.minimum(parallax / ENOUGH, 1) * np.exp(-((angle / ANGLE) ** 2) / 2)
    return float(np.where(inside, weight, 0).mean())


def _warp(view: View, other: View) -> Warp:
    other_from_view = inverse(other.world_from_camera) @ view.world_from_camera
    from_pixel = np.linalg.inv(view.intrinsics)
    shift = np.outer(other.intrinsics @ other_from_view[:3, 3], [0, 0, 1]) @ from_pixel
    return Warp(at_infinity=other.intrinsics @ other_from_view[:3, :3] @ from_pixel, per_inverse_depth=shift)


def _sweep(
    views: Sequence[View], grey: Sequence[UInt8[np.ndarray, "_ _"]], index: int, settings: Settings, device: Device
) -> _Swept | None:
    view = views[index]
    sources = choose_sources(views, index, settings.sources)
    if not sources:
        return None
    warps = tuple(_warp(view, views[other]) for other in sources)
    parallax = np.stack([warp.parallax(view.size) for warp in warps])
    typical = float(np.median(parallax, axis=(1, 2)).max())
    if not typical > 0:
        return None
    count = max(8, round(settings.planes * view.size[1] / 320))
    # From half a pixel of typical parallax, beyond which all is far, in steps that the parabola can divide.
    planes = LEAST_PARALLAX / typical + np.arange(count) * (STEP / typical)
    there = [grey[other] for other in sources]
    if device == "cpu":
        match = _stereo_opencv.match(grey[index], there, warps, planes, settings.window)
    else:
        from wsss.benchmark.geometry import _stereo_torch  # a CPU's user needs no torch for points

        match = _stereo_torch.match(grey[index], there, warps, planes, settings.window, device)
    return _Swept(
        match=match,
        sources=sources,
        warps=warps,
        backs=tuple(_warp(views[other], view) for other in sources),
        parallax=parallax.max(0) * match.inverse_depth,
    )


def _checked(
    swept: Sequence[_Swept | None], grey: Sequence[UInt8[np.ndarray, "_ _"]], index: int, settings: Settings
) -> Depth | None:
    """A view's depth with what the other views and the neighbouring pixels say about it."""
    from wsss.benchmark.geometry import _stereo_loops as loops  # numba: too slow to import for those who list providers

    found = swept[index]
    if found is None:
        return None
    votes, error = _compared(swept, found, settings)
    correlation = np.clip(found.match.correlation, 0, 1)
    surface, support = loops.fit_surfaces(found.match.inverse_depth, votes > 0, *SURFACE)
    mask = (
        (votes >= min(settings.agreeing, len(found.sources)))
        & (correlation > settings.correlation)
        & (_contrast(grey[index], settings.window) > settings.texture)
        & (found.parallax > settings.parallax)
        & (support > settings.support)
    )
    confidence = np.sqrt(found.match.mass * correlation) * np.exp(-error)
    confidence *= np.maximum(support, ALONE) ** 2 * -np.expm1(-found.parallax / settings.parallax)
    return Depth(depth=1 / surface, confidence=confidence.astype(np.float32), mask=mask & (confidence > 0))


def _compared(
    swept: Sequence[_Swept | None], found: _Swept, settings: Settings
) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """How many sources agree with a view's depth, and how far they are off: 1 is what is allowed, 3 the most."""
    shape = found.parallax.shape
    votes, asked, error = np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape)
    for source, warp, back in zip(found.sources, found.warps, found.backs, strict=True):
        other = swept[source]
        if other is None:
            continue
        pixels, relative, shown = _return(found.match, other.match, warp, back)
        off = np.maximum(pixels / settings.reprojection, relative / settings.depth)
        votes += shown & (off < 1)
        asked += shown
        error += np.where(shown, np.minimum(off, FARTHEST), 0)
    return votes, np.where(asked > 0, error / np.maximum(asked, 1), FARTHEST)


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


def _contrast(grey: UInt8[np.ndarray, "h w"], window: int) -> Float[np.ndarray, "h w"]:
    """Standard deviation of the grey levels around each pixel."""
    mean = cv2.blur(grey.astype(np.float32), (window, window))
    square = cv2.sqrBoxFilter(grey, cv2.CV_32F, (window, window), normalize=True)
    return np.sqrt(np.maximum(square - mean**2, 0))

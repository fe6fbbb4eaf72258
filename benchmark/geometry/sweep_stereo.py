"""Depth of posed images by plane sweeping: images, intrinsics and poses in; depth, confidence and mask out.

For each view, every plane of a stack parallel to its image is warped into neighbouring views; a pixel's depth is the
plane on which the windows around it correlate best (Collins, "A space-sweep approach to true multi-image matching",
CVPR 1996), made even by semi-global paths. Around the surfaces so found it is searched once more, with windows that lie
on them. A depth survives if the depths that neighbouring views found for themselves, its neighbours and its own
correlation make it likely to be right. The world has to stand still, to have texture, and the camera has to move:
elsewhere there is no depth rather than a wrong one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from wsss.benchmark.geometry import _stereo_check as check
from wsss.benchmark.geometry import _stereo_opencv
from wsss.benchmark.geometry._stereo import Match, Swept, Warp
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
WIDER = 2
"""Pixels by which the window on a surface is wider than that on a plane, as it bends with what it shows."""
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
    """Side of the window that is correlated on planes, pixels, odd; on surfaces it is ``WIDER``."""
    sources: int = 4
    """Views that each view is compared with."""
    agreeing: int = 1
    """Views whose own depth must agree; where a view has fewer sources, all of them."""
    texture: float = 1.5
    """Least standard deviation of the grey levels (of 255) in the window: what has less may be sky."""
    reprojection: float = 1.0
    """Most pixels that a point may be off after the way through another view's depth and back."""
    depth: float = 0.04
    """Most that the depths of two views may differ, relative."""
    confidence: float = 0.86
    """Least confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What was found for one view."""

    depth: Float32[np.ndarray, "h w"]
    """Along the optical axis, for every pixel; wrong in many of those outside the mask. Positive."""
    confidence: Float32[np.ndarray, "h w"]
    """Estimated probability that the depth is right to 5 %; see ``_stereo_check.probability``."""
    mask: Bool[np.ndarray, "h w"]
    """Where the depth can be used."""


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
    return [
        None if found is None else _checked(swept, found, levels, settings)
        for found, levels in zip(swept, grey, strict=True)
    ]


def _checked(swept: Sequence[Swept | None], found: Swept, grey: UInt8[np.ndarray, "h w"], settings: Settings) -> Depth:
    """A view's depth with what the other views and the neighbouring pixels say about it."""
    votes, error = check.compared(swept, found, settings.reprojection, settings.depth)
    surface, support = check.surfaces(found.match.inverse_depth, votes > 0, grey)
    contrast = check.contrast(grey, settings.window)
    confidence = check.probability(found, support, error, contrast)
    mask = votes >= min(settings.agreeing, len(found.sources))
    mask &= (contrast > settings.texture) & (confidence >= settings.confidence)
    return Depth(depth=1 / surface, confidence=confidence, mask=mask)


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
) -> Swept | None:
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
    match = _match(device)(grey[index], there, warps, planes, settings.window)
    rough, smooth = check.surfaces(match.inverse_depth, np.ones(view.size, bool), grey[index])
    inverse, correlation = _refine(device)(grey[index], there, warps, rough, STEP / typical, settings.window + WIDER)
    # An outer plane's correlation is 0, and its neighbourhood's says no more: the depth may lie beyond.
    correlation = np.where(match.correlation > 0, correlation, 0).astype(np.float32)
    return Swept(
        match=Match(inverse_depth=inverse, correlation=correlation, mass=match.mass),
        smooth=smooth,
        sources=sources,
        warps=warps,
        backs=tuple(_warp(views[other], view) for other in sources),
        parallax=parallax.max(0) * inverse,
    )


def _match(device: Device) -> Callable[..., Match]:
    if device == "cpu":
        return _stereo_opencv.match
    from wsss.benchmark.geometry import _stereo_torch  # a CPU's user needs no torch for points

    return partial(_stereo_torch.match, device=device)


def _refine(device: Device) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    if device == "cpu":
        return _stereo_opencv.refine
    from wsss.benchmark.geometry import _stereo_torch

    return partial(_stereo_torch.refine, device=device)

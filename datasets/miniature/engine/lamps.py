"""Light sources of a room: lamps under the ceiling and the daylight of windows."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from wsss.datasets.miniature.engine.textures import Color

_HALF = 1.6
_BOUNCE = 0.3

Blocked = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Whether something stands between points (n, 3) and the points that lie ``steps`` (n, 3) further."""


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """A small source; its light falls to a half at 1.6 m, softer than a point's, as walls reflect some."""

    position: tuple[float, float, float]
    color: Color
    """Linear RGB on a surface near by that faces it."""
    normal: tuple[float, float, float] | None = None
    """A window shines in this direction, with its cosine; a lamp shines everywhere."""


def lamplight(
    lamps: Iterable[Lamp], points: Float32[np.ndarray, "n 3"], normals: Float32[np.ndarray, "n 3"], blocked: Blocked
) -> Float32[np.ndarray, "n 3"]:
    """Linear RGB that reaches surfaces at ``points`` with unit ``normals``; shadows keep some reflected light."""
    total = np.zeros_like(points)
    for lamp in lamps:
        start = points + np.float32(0.015) * normals
        step = np.asarray(lamp.position, np.float32) - start
        distance = np.sqrt((step * step).sum(1))
        share = np.einsum("ij,ij->i", step, normals) / np.maximum(distance, 1e-3)
        share = np.maximum(share, 0.12)  # what faces away is lit by the room
        if lamp.normal is not None:
            towards = -np.einsum("ij,j->i", step, np.asarray(lamp.normal, np.float32)) / np.maximum(distance, 1e-3)
            share = share * np.clip(towards, 0.1, 1)
        share = share / (1 + (distance / np.float32(_HALF)) ** 2)
        share = np.where(blocked(start, step), np.float32(_BOUNCE), np.float32(1)) * share
        total += share[:, None] * np.asarray(lamp.color, np.float32)
    return total

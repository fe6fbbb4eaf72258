"""Building blocks of furniture: many boxes at once, colours of woods, cloths and paints."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wsss.datasets.miniature.engine.shapes import Look, Mesh, loft, quads
from wsss.datasets.miniature.engine.textures import Color, Interval, Number

Rng = np.random.Generator

Box = Sequence[Number]
"""x0, x1, y0, y1, z0, z1."""

_FACES = np.array([  # which of the low (0) and high (1) bounds each corner takes, seen from outside
    [(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)],
    [(0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0)],
    [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)],
    [(0, 1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1)],
    [(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)],
    [(1, 1, 0), (0, 1, 0), (0, 1, 1), (1, 1, 1)],
])  # fmt: skip

WOODS: tuple[Color, ...] = (
    (0.92, 0.80, 0.62), (0.78, 0.60, 0.42), (0.62, 0.45, 0.31), (0.45, 0.31, 0.22), (0.33, 0.24, 0.19),
    (0.70, 0.48, 0.34), (0.86, 0.84, 0.80), (0.58, 0.52, 0.45), (0.24, 0.20, 0.18),
)  # fmt: skip
PAINTS: tuple[Color, ...] = (
    (1.0, 0.99, 0.95), (0.96, 0.92, 0.82), (0.88, 0.89, 0.88), (0.80, 0.86, 0.88), (0.86, 0.90, 0.80),
    (0.98, 0.88, 0.72), (0.92, 0.82, 0.76), (0.76, 0.72, 0.66), (0.64, 0.70, 0.66), (0.82, 0.72, 0.60),
    (0.70, 0.76, 0.84), (0.90, 0.76, 0.62),
)  # fmt: skip
"""Walls, doors and painted furniture share them."""
CLOTHS: tuple[Color, ...] = (
    (0.92, 0.90, 0.85), (0.80, 0.74, 0.64), (0.60, 0.55, 0.50), (0.42, 0.40, 0.40), (0.26, 0.25, 0.27),
    (0.34, 0.40, 0.52), (0.52, 0.60, 0.68), (0.58, 0.28, 0.26), (0.70, 0.48, 0.36), (0.46, 0.50, 0.38),
    (0.64, 0.68, 0.56), (0.50, 0.38, 0.44), (0.82, 0.68, 0.46), (0.36, 0.30, 0.26), (0.30, 0.42, 0.42),
)  # fmt: skip
METALS: tuple[Color, ...] = ((0.78, 0.79, 0.80), (0.60, 0.61, 0.62), (0.20, 0.20, 0.21), (0.90, 0.90, 0.88))


def tint(rng: Rng, colors: Sequence[Color]) -> Color:
    """One of several colours, slightly varied."""
    r, g, b = np.asarray(colors[int(rng.integers(len(colors)))]) * rng.uniform(0.88, 1.1) * rng.uniform(0.97, 1.03, 3)
    return float(r), float(g), float(b)


def shade(look: Look, factor: Number) -> Look:
    """The same surface, lighter or darker."""
    r, g, b = look.color
    return Look(look.kind, look.material, (factor * r, factor * g, factor * b))


def boxes(bounds: Sequence[Box] | np.ndarray, look: Look) -> Mesh:
    """Axis-parallel boxes (k, 6) of one look; the texture lies in the coordinates, so that neighbours join."""
    b = np.asarray(bounds, np.float64).reshape(-1, 1, 1, 3, 2)
    points = np.where(_FACES[None] == 1, b[..., 1], b[..., 0]).reshape(-1, 4, 3)
    axes = np.array([(0, 1), (0, 1), (1, 2), (1, 2), (0, 2), (0, 2)])
    columns = np.tile(axes, (len(b), 1))[:, None]
    uv = np.take_along_axis(points, np.broadcast_to(columns, (len(points), 4, 2)), axis=2)
    return quads(points, look, uv)


def legs(x: Interval, y: Interval, height: Number, side: Number, look: Look) -> Mesh:
    """Four legs at the corners of a rectangle."""
    corners = [(a, b) for a in (x[0], x[1] - side) for b in (y[0], y[1] - side)]
    return boxes([(a, a + side, b, b + side, 0, height) for a, b in corners], look)


def facing(y: Interval, z: Interval, x: Number, look: Look) -> Mesh:
    """An upright rectangle that faces +x and shows one whole tile of its texture."""
    corners = [(x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])]
    return quads([corners], look, [[(0, 0), (1, 0), (1, 1), (0, 1)]])


def lying(x: Interval, y: Interval, z: Number, look: Look) -> Mesh:
    """A level rectangle with one whole tile of its texture, upright to who stands in front and looks to -x."""
    corners = [(x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z), (x[0], y[0], z)]
    return quads([corners], look, [[(0, 0), (1, 0), (1, 1), (0, 1)]])


def cushion(centre: Float[np.ndarray, "3"] | Sequence[Number], size: Sequence[Number], look: Look) -> Mesh:
    """A soft block of about the given full size: thick in the middle, flat at the rim."""
    turn = 2 * np.pi * np.arange(16) / 16
    outline = np.stack([np.cos(turn), np.sin(turn)], 1)
    outline = np.sign(outline) * np.abs(outline) ** 0.45
    shells = [(-0.5, 0.80), (-0.25, 0.97), (0.25, 0.97), (0.5, 0.80)]
    half = np.asarray(size, np.float64) / 2
    rings = [np.c_[outline * half[:2] * wide, np.full(16, 2 * half[2] * z)] for z, wide in shells]
    mesh = loft(np.stack(rings) + np.asarray(centre, np.float64), look)
    return mesh


def folds(width: Number, height: Number, depth: Number, count: int, look: Look, gather: Number = 1.0) -> Mesh:
    """Hanging cloth about y = 0 from z = 0 up to ``height``, its lower edge ``gather`` times as wide."""
    steps = 6 * count
    y = np.linspace(-0.5, 0.5, steps + 1) * width
    wave = depth * np.sin(2 * np.pi * count * np.linspace(0, 1, steps + 1))
    top, low = np.c_[wave + depth, y, 0 * y + height], np.c_[1.3 * wave + depth, y * gather, 0 * y]
    points = np.stack([low[:-1], low[1:], top[1:], top[:-1]], axis=1)
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(wave), np.diff(y)))])
    u = np.stack([length[:-1], length[1:], length[1:], length[:-1]], 1)
    v = np.broadcast_to(np.array([0, 0, height, height], np.float64), u.shape)
    return quads(points, look, np.stack([u, v], -1))

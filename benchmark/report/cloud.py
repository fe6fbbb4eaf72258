"""One scene's points as a picture: what a view saw, the cloud from above, and the range sensor's beside it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsss.benchmark.report.pictures import paint
from wsss.benchmark.report.style import remark
from wsss.benchmark.types import IGNORE, PointCloud

INCHES = 3.2
SHOWN = 60_000
"""Points drawn of a cloud, evenly chosen."""
REACH = 0.99
"""Share of a view's points that the pictures from above take in."""


def draw(
    title: str,
    image: UInt8[np.ndarray, "h w 3"],
    frame: int,
    depth: Float[np.ndarray, " m"] | None,
    cloud: PointCloud,
    labels: UInt8[np.ndarray, " n"] | None,
    colors: Sequence[tuple[int, int, int]],
    sensor: PointCloud | None = None,
) -> Figure:
    """A sheet of nine panels: three of the view, six from above.

    Args:
        title: Of the sheet.
        image: Of the view shown.
        frame: Its place in the scene.
        depth: Of the view's points along its optical axis, metres; the rows of ``cloud.view(frame)``. None: unknown.
        cloud: The points of the scene.
        labels: One train id per point, IGNORE where unlabelled.
        colors: Of the classes.
        sensor: The range sensor's points, where there are any.
    """
    own = cloud.view(frame)
    pixel, confidence = cloud.pixel[own], cloud.confidence[own]
    height = INCHES * image.shape[0] / image.shape[1]
    figure = Figure(figsize=(3 * INCHES, height + 2 * INCHES + 1.0), layout="constrained", dpi=200)
    grid = figure.subplots(3, 3, height_ratios=(height, INCHES, INCHES))
    grid[0, 0].imshow(image, interpolation="nearest")
    grid[0, 0].set_title("image")
    shape = (image.shape[0], image.shape[1])
    density = f"{len(pixel) / (shape[0] * shape[1]):.0%} of the pixels"
    if depth is None:
        remark(grid[0, 1], f"no pose, so no depth; {density}")
    else:
        _values(grid[0, 1], f"depth: {density}", pixel, depth, shape, "m" if cloud.metric else "units")
    _values(grid[0, 2], "confidence", pixel, confidence, shape, "")
    ids = np.full(len(cloud.xyz), IGNORE, np.uint8) if labels is None else labels
    share = float((ids != IGNORE).mean()) if len(ids) else 0.0
    painted = paint(ids[None], np.array(colors, np.uint8))[0]
    window = _window(cloud, own)
    _above(grid[1, 0], f"from above: {len(cloud.xyz):,} points", cloud, cloud.rgb / 255, window)
    _above(grid[1, 1], f"labels: {share:.1%} of the points", cloud, painted / 255, window, front=ids != IGNORE)
    _above(grid[1, 2], "confidence", cloud, cloud.confidence, window)
    _above(grid[2, 0], "height", cloud, (cloud.xyz @ cloud.up).astype(np.float64), window)
    _above(grid[2, 1], "which view saw it", cloud, cloud.frame.astype(np.float64), window)
    if sensor is None:
        remark(grid[2, 2], "no range sensor beside it")
    else:
        moved = sensor.xyz + (sensor.origin - cloud.origin).astype(np.float32)
        beside = _Flat(moved, cloud.up)
        _scatter(grid[2, 2], beside, sensor.rgb / 255, window)
        grid[2, 2].set_title(f"range sensor: {len(sensor.xyz):,} points")
    for axes in grid.ravel():
        axes.set_axis_off()
    figure.suptitle(title)
    return figure


class _Flat:
    """Points along the two axes across ``up``; (n, 2)."""

    def __init__(self, xyz: np.ndarray, up: np.ndarray) -> None:
        first = np.cross(up, (0.0, 1.0, 0.0) if abs(up[1]) < 0.9 else (1.0, 0.0, 0.0))
        first /= np.linalg.norm(first)
        self.xy = np.stack([xyz @ first, xyz @ np.cross(up, first)], -1)


def _window(cloud: PointCloud, own: slice) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a square around what a view saw, half as large again."""
    shown = cloud.xyz[own] if own.stop > own.start else cloud.xyz
    if not len(shown):
        return (-1.0, 1.0, -1.0, 1.0)
    flat = _Flat(shown, cloud.up).xy
    low, high = np.quantile(flat, (1 - REACH, REACH), axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2 * 1.5, 1e-3)
    return (middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half)


def _values(axes: Axes, title: str, pixel: np.ndarray, values: np.ndarray, shape: tuple[int, int], unit: str) -> None:
    """Values at their pixels over grey."""
    picture = np.full(shape, np.nan)
    picture[pixel[:, 0], pixel[:, 1]] = values
    low, high = np.nanquantile(picture, (0.02, 0.98)) if len(values) else (0.0, 1.0)
    shown = axes.imshow(picture, cmap="turbo_r" if unit else "viridis", vmin=low, vmax=high, interpolation="nearest")
    axes.set_title(title)
    axes.figure.colorbar(shown, ax=axes, fraction=0.03, pad=0.01, label=unit)


def _above(
    axes: Axes,
    title: str,
    cloud: PointCloud,
    values: np.ndarray,
    window: tuple[float, float, float, float],
    front: np.ndarray | None = None,
) -> None:
    _scatter(axes, _Flat(cloud.xyz, cloud.up), values, window, front)
    axes.set_title(title)


def _scatter(
    axes: Axes, flat: _Flat, values: np.ndarray, window: tuple[float, ...], front: np.ndarray | None = None
) -> None:
    inside = np.flatnonzero(((flat.xy > window[::2]) & (flat.xy < window[1::2])).all(1))
    every = inside[np.linspace(0, len(inside) - 1, min(SHOWN, len(inside))).astype(int)]
    if front is not None:  # few points are labelled: draw all of them, last
        every = np.concatenate([every, np.flatnonzero(front)])
    colours = {"c": values[every]} if values.ndim == 2 else {"c": values[every], "cmap": "viridis"}
    axes.scatter(*flat.xy[every].T, s=0.6, linewidths=0, **colours)
    axes.set_xlim(window[0], window[1])
    axes.set_ylim(window[2], window[3])
    axes.set_aspect("equal")

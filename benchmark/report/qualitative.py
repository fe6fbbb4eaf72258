"""The figure of predictions: fixed frames, every method, and a closer look where the methods differ most."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from wsss.benchmark.report.pictures import (
    IGNORE_GREY,
    Sample,
    overlay_weak,
    paint,
    read_samples,
    shown_column,
    zoom_window,
)
from wsss.benchmark.report.results import Results
from wsss.benchmark.report.style import hide_ticks, plain_text
from wsss.benchmark.types import IGNORE

FRAMES = 4
"""Rows of the figure, at most."""
PANEL = 1.5
"""Width of a picture in inches."""
GAP = 0.04
"""Between pictures, in inches."""
LINE = 0.16
"""Height of a line of the legend, in inches."""
OUTLINE: list[AbstractPathEffect] = [withStroke(linewidth=1.8, foreground="black")]
"""Under the white frames, so that they are seen on bright pictures too."""


def qualitative(results: Results, dataset: str) -> Figure | None:
    """Image, weak labels, one column per method, truth; None if no pictures are stored."""
    column = shown_column(results, dataset)
    samples = read_samples(results, column)[:FRAMES] if column else []
    samples = [sample for sample in samples if sample.predictions]
    if column is None or not samples:
        return None
    methods = [
        name
        for name in (*results.weak_methods, *results.ceilings)
        if any(name in sample.predictions for sample in samples)
    ]
    titles = ["Image", f"Labels: {column.labels}", *map(results.method_title, methods), "Ground truth"]
    colors = np.array(results.plan.datasets[dataset]["colors"], dtype=np.uint8)
    figure, grid = _canvas(samples, len(titles), _legend_lines(results, dataset, samples, len(titles)))
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(plain_text(_shorten(title)), fontsize=8, pad=3)
    for line, sample in zip(grid, samples, strict=True):
        window = zoom_window(sample)
        pictures = [sample.image, overlay_weak(sample.image, sample.weak, column.labels, colors)]
        known = [sample.predictions.get(name) for name in methods]
        pictures += [None if ids is None else paint(ids, colors) for ids in known]
        pictures.append(paint(sample.truth, colors))
        for axes, picture in zip(line, pictures, strict=True):
            _draw(axes, picture, window)
    _legend(figure, results, dataset, samples, len(titles))
    return figure


def _shorten(title: str, length: int = 24) -> str:
    return title if len(title) <= length else f"{title[: length - 1]}…"


def _canvas(samples: list[Sample], across: int, legend_lines: int) -> tuple[Figure, list[list[Axes]]]:
    """Axes placed by hand, so that every picture keeps its shape and gaps are equal in both directions."""
    heights = [PANEL * sample.image.shape[0] / sample.image.shape[1] for sample in samples]
    width = across * PANEL + (across - 1) * GAP
    below, above = 0.12 + LINE * legend_lines, 0.22
    height = below + sum(heights) + GAP * (len(samples) - 1) + above
    figure = Figure(figsize=(width, height))
    grid, top = [], height - above
    for tall in heights:
        top -= tall
        line = []
        for index in range(across):
            left = index * (PANEL + GAP)
            line.append(figure.add_axes((left / width, top / height, PANEL / width, tall / height)))
        grid.append(line)
        top -= GAP
    return figure, grid


def _draw(axes: Axes, picture: np.ndarray | None, window: tuple[int, int, int, int]) -> None:
    hide_ticks(axes)
    if picture is None:
        axes.text(0.5, 0.5, "–", transform=axes.transAxes, ha="center", va="center", color="#777777")
        return
    axes.imshow(picture, interpolation="nearest" if _flat(picture) else "antialiased", aspect="auto")
    row, column, rows, columns = window
    corner = (column - 0.5, row - 0.5)
    outline = Rectangle(corner, columns, rows, fill=False, edgecolor="white", linewidth=0.9)
    outline.set_path_effects(OUTLINE)
    axes.add_patch(outline)
    # The inset takes the corner farthest from what it shows.
    height, width = picture.shape[:2]
    left = 0.0 if column + columns / 2 > width / 2 else 0.55
    bottom = 0.0 if row + rows / 2 < height / 2 else 0.55
    inset = axes.inset_axes((left, bottom, 0.45, 0.45))
    inset.imshow(picture[row : row + rows, column : column + columns], interpolation="nearest", aspect="auto")
    inset.set_xticks([])
    inset.set_yticks([])
    inset.grid(False)
    for spine in inset.spines.values():
        spine.set(visible=True, edgecolor="white", linewidth=0.9, path_effects=OUTLINE)


def _flat(picture: np.ndarray) -> bool:
    return len(np.unique(picture.reshape(-1, 3)[::97], axis=0)) < 60


def _hex(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _present(results: Results, dataset: str, samples: list[Sample]) -> list[int]:
    number = len(results.plan.datasets[dataset]["classes"])
    seen = {int(i) for s in samples for ids in (s.truth, *s.predictions.values()) for i in np.unique(ids)}
    return sorted(i for i in seen if i < number)


def _per_line(results: Results, dataset: str, across: int) -> int:
    longest = max(len(name) for name in results.plan.datasets[dataset]["classes"])
    return max(1, int(across * PANEL / (0.42 + 0.062 * longest)))


def _legend_lines(results: Results, dataset: str, samples: list[Sample], across: int) -> int:
    return -(-(len(_present(results, dataset, samples)) + 1) // _per_line(results, dataset, across))


def _legend(figure: Figure, results: Results, dataset: str, samples: list[Sample], across: int) -> None:
    about = results.plan.datasets[dataset]
    handles = [
        Patch(
            facecolor=_hex(about["colors"][i]),
            edgecolor="#888888",
            linewidth=0.4,
            label=plain_text(about["classes"][i]),
        )
        for i in _present(results, dataset, samples)
    ]
    if any((sample.truth == IGNORE).any() for sample in samples):
        handles.append(Patch(facecolor=_hex(IGNORE_GREY), label="not annotated"))
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=min(len(handles), _per_line(results, dataset, across)),
        fontsize=7.5,
        handlelength=1.1,
        handleheight=0.9,
        columnspacing=1.2,
        borderaxespad=0.1,
    )

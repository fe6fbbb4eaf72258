"""The figures of predictions: fixed frames, every method, and a closer look where the methods differ most."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from wsss.benchmark.report.pictures import (
    ERROR_COLORS,
    IGNORE_GREY,
    Sample,
    accuracy,
    errors,
    overlay_weak,
    paint,
    read_samples,
    reduced,
    shown_column,
    visible,
    zoom_window,
)
from wsss.benchmark.report.results import TEACHER, Results
from wsss.benchmark.report.sheet import Sheet, draw_legend, legend_height
from wsss.benchmark.report.style import plain_text
from wsss.benchmark.suites import FLOOR
from wsss.benchmark.types import IGNORE

FRAMES = 4
"""Frames of a dataset's own figure, at most."""
WIDEST = 6
"""Pictures in a line of it; more are broken into two lines."""
IN_PAPER = (TEACHER, "tel", "rewis3d")
"""The methods of the paper's comparison, in its order."""
ROWS = ("waymo", "cityscapes", "kitti360", "nyuv2")
"""Its datasets, in its order; others follow."""
INSET, RIM = 0.38, 0.015
"""Side of an inset and its distance from the picture's edge, as shares of the picture's sides; with windows of a fifth
no inset covers what it magnifies."""
OUTLINE: list[AbstractPathEffect] = [withStroke(linewidth=1.6, foreground="black")]
"""Under the white frames, so that they are seen on bright pictures too."""

Window = tuple[int, int, int, int]
Panel = tuple[str, np.ndarray | None, str]
"""Title, picture, and a remark in its corner."""
Legend = tuple[list[str], list[tuple[int, ...]]]


def comparison(results: Results) -> Figure | None:
    """The paper's layout: a row per dataset, columns image, EMA, TEL, Rewis3d and truth; None without pictures.

    The frame is the middle one of those stored; without any of the three methods all that are there stand in a row.
    """
    return _rows(results, _compared)


def mistakes(results: Results) -> Figure | None:
    """Beside it: weak labels, the floor's prediction, and where each method is wrong; None without pictures."""
    return _rows(results, _mistaken)


def _compared(results: Results, dataset: str, sample: Sample, methods: list[str]) -> list[Panel]:
    colors = _colors(results, dataset)
    chosen = [name for name in methods if name in IN_PAPER] or methods
    return [("Image", sample.image, ""), *_painted(results, sample, chosen, colors), _truth(sample, colors)]


def _mistaken(results: Results, dataset: str, sample: Sample, methods: list[str]) -> list[Panel]:
    column = shown_column(results, dataset)
    colors = _colors(results, dataset)
    chosen = [name for name in methods if name in (FLOOR, *IN_PAPER)] or methods
    floor = [name for name in chosen if name == FLOOR]
    weak = overlay_weak(sample.image, sample.weak, column.labels if column else "", colors)
    panels: list[Panel] = [("Weak labels", weak, ""), *_painted(results, sample, floor, colors)]
    for name in chosen:
        title, ids = f"{results.method_title(name)}, errors", sample.predictions.get(name)
        if ids is None:
            panels.append((title, None, ""))
        else:
            wrong = paint(errors(ids, sample.truth), np.array(ERROR_COLORS, np.uint8))
            panels.append((title, wrong, f"{accuracy(ids, sample.truth):.0%} right"))
    return panels


def _rows(results: Results, panels_of: Callable[[Results, str, Sample, list[str]], list[Panel]]) -> Figure | None:
    """One row per dataset that has pictures of a weakly-supervised method."""
    samples: dict[str, Sample] = {}
    for dataset in sorted(results.plan.datasets, key=lambda name: ROWS.index(name) if name in ROWS else len(ROWS)):
        column = shown_column(results, dataset)
        found = [sample for sample in read_samples(results, column) if sample.predictions] if column else []
        if found:
            samples[dataset] = found[len(found) // 2]
    methods = [name for name in _order(results) if any(name in sample.predictions for sample in samples.values())]
    if not samples:
        return None
    lines = {dataset: panels_of(results, dataset, sample, methods) for dataset, sample in samples.items()}
    legends = [_legend(results, dataset, [sample]) for dataset, sample in samples.items()]
    shapes = [sample.image.shape[0] / sample.image.shape[1] for sample in samples.values()]
    across = len(next(iter(lines.values())))
    key = legend_height(["right"]) if panels_of is _mistaken else 0.0
    sheet = Sheet(shapes, across, [legend_height(names) for names, _ in legends], below=key)
    for place, (dataset, panels) in enumerate(lines.items()):
        sheet.name_row(place, results.dataset_title(dataset))
        _line(sheet.grid[place], panels, zoom_window(samples[dataset]), titled=place == 0)
        draw_legend(sheet.figure, *legends[place], top=sheet.bottoms[place])
    if key:
        draw_legend(sheet.figure, ("right", "wrong", "not annotated"), ERROR_COLORS, top=key)
    return sheet.figure


def qualitative(results: Results, dataset: str) -> Figure | None:
    """A dataset's frames: image, weak labels, every method, truth; None if no pictures are stored."""
    column = shown_column(results, dataset)
    samples = read_samples(results, column)[:FRAMES] if column else []
    samples = [sample for sample in samples if sample.predictions]
    if column is None or not samples:
        return None
    colors = _colors(results, dataset)
    methods = [name for name in _order(results) if any(name in sample.predictions for sample in samples)]
    frames: list[list[list[Panel]]] = []
    for sample in samples:
        weak = overlay_weak(sample.image, sample.weak, column.labels, colors)
        panels = [("Image", sample.image, ""), (f"Labels: {column.labels}", weak, "")]
        panels += [*_painted(results, sample, methods, colors), _truth(sample, colors)]
        across = len(panels) if len(panels) <= WIDEST else -(-len(panels) // 2)
        frames.append([panels[start : start + across] for start in range(0, len(panels), across)])
    folded = len(frames[0])
    names, painted = _legend(results, dataset, samples)
    shapes = [sample.image.shape[0] / sample.image.shape[1] for sample in samples for _ in range(folded)]
    titled = range(len(shapes)) if folded > 1 else (0,)
    legends = [0.0] * (len(shapes) - 1) + [legend_height(names)]
    sheet = Sheet(shapes, len(frames[0][0]), legends, named=False, titled=titled)
    for place, line in enumerate(sheet.grid):
        frame, part = divmod(place, folded)
        _line(line, frames[frame][part], zoom_window(samples[frame]), titled=place in titled)
    draw_legend(sheet.figure, names, painted, top=sheet.bottoms[-1], left=0.0)
    return sheet.figure


def _order(results: Results) -> list[str]:
    """All methods: the floor, those of the paper in its order, the others, the ceilings."""
    first = [name for name in (FLOOR, *IN_PAPER) if name in results.weak_methods]
    return [*first, *(name for name in results.weak_methods if name not in first), *results.ceilings]


def _colors(results: Results, dataset: str) -> np.ndarray:
    return np.array(results.plan.datasets[dataset]["colors"], dtype=np.uint8)


def _painted(results: Results, sample: Sample, methods: Sequence[str], colors: np.ndarray) -> list[Panel]:
    found = [(results.method_title(name), sample.predictions.get(name)) for name in methods]
    return [(title, None if ids is None else paint(ids, colors), "") for title, ids in found]


def _truth(sample: Sample, colors: np.ndarray) -> Panel:
    return "Ground truth", paint(sample.truth, colors), ""


def _legend(results: Results, dataset: str, samples: Sequence[Sample]) -> Legend:
    """Names and colours of the classes that can be seen in the pictures of some frames."""
    about = results.plan.datasets[dataset]
    shown = [ids for sample in samples for ids in (sample.truth, *sample.predictions.values())]
    seen = visible(shown, len(about["classes"]))
    names, colors = [str(about["classes"][i]) for i in seen], [tuple(about["colors"][i]) for i in seen]
    if any((sample.truth == IGNORE).any() for sample in samples):
        return [*names, "not annotated"], [*colors, IGNORE_GREY]
    return names, colors


def _line(line: Sequence[Axes], panels: Sequence[Panel], window: Window, *, titled: bool) -> None:
    for axes in line[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, picture, note) in zip(line, panels, strict=False):
        if titled:
            axes.set_title(plain_text(_shorten(title)), fontsize=7, pad=2.5)
        _draw(axes, picture, window)
        if note:
            text = axes.text(0.02, 0.04, note, transform=axes.transAxes, fontsize=6, color="white", va="bottom")
            text.set_path_effects(OUTLINE)


def _shorten(title: str, length: int = 21) -> str:
    return title if len(title) <= length else f"{title[: length - 1]}…"


def inset_corner(shape: tuple[int, int], window: Window) -> tuple[float, float]:
    """Left and bottom of the inset in shares of the picture: the corner farthest from what it shows.

    Args:
        shape: Rows and columns of the picture.
        window: First row, first column, rows and columns of what is magnified.
    """
    row, column, rows, columns = window
    left = RIM if column + columns / 2 > shape[1] / 2 else 1 - INSET - RIM
    bottom = RIM if row + rows / 2 < shape[0] / 2 else 1 - INSET - RIM
    return left, bottom


def _draw(axes: Axes, picture: np.ndarray | None, window: Window) -> None:
    axes.set_axis_off()
    if picture is None:
        axes.text(0.5, 0.5, "–", transform=axes.transAxes, ha="center", va="center", color="#777777")
        return
    height, width = picture.shape[:2]
    # All pictures have the axes of the stored one, however many of its pixels are drawn.
    small = reduced(picture)
    interpolation = "nearest" if _flat(small) else "antialiased"
    axes.imshow(small, interpolation=interpolation, aspect="auto", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    row, column, rows, columns = window
    left, bottom = inset_corner((height, width), window)
    # An image in the same axes: axes of their own take as long to make and draw as all the rest.
    part = reduced(picture[row : row + rows, column : column + columns])
    right, top = left + INSET, bottom + INSET
    place = (left * width - 0.5, right * width - 0.5, (1 - bottom) * height - 0.5, (1 - top) * height - 0.5)
    axes.imshow(part, interpolation="nearest", aspect="auto", extent=place, zorder=2)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    _frame(axes, (column - 0.5, row - 0.5), columns, rows)
    _frame(axes, (place[0], place[3]), INSET * width, INSET * height)


def _frame(axes: Axes, corner: tuple[float, float], width: float, height: float) -> None:
    frame = Rectangle(corner, width, height, fill=False, edgecolor="white", linewidth=0.8, zorder=3)
    frame.set_path_effects(OUTLINE)
    axes.add_patch(frame)


def _flat(picture: np.ndarray) -> bool:
    return len(np.unique(picture.reshape(-1, 3)[::97], axis=0)) < 60

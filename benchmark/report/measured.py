"""What the paper says in words, as curves: boundaries by width, mIoU by distance, and accuracy by probability.

Panels are the columns of the tables whose runs stored the measure; where none did there is no figure.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsss.benchmark import measure_statistics, statistics
from wsss.benchmark.intervals import Estimate
from wsss.benchmark.measure_shapes import RANGES, WIDTHS
from wsss.benchmark.report.results import Column, Results
from wsss.benchmark.report.style import WIDTH, colors, legend_of_methods, markers, plain_text

ACROSS = 4
"""Panels in a line."""
PANEL = 1.45
"""Height of a line of panels in inches."""
SPREAD = 0.5
"""Share of the space between two places on the axis over which the methods stand side by side, so that intervals do not
cover each other."""
FEW_PIXELS = 100
"""A bin of the reliability diagram with fewer is not drawn: its accuracy says nothing."""


def boundaries(results: Results) -> Figure | None:
    """Boundary IoU, and mIoU near boundaries, by width: two lines of panels."""
    names = [f"{width}" for width in WIDTHS]
    draw = {
        measure: lambda axes, results, column, measure=measure: _by_part(axes, results, column, measure, names)
        for measure in ("boundary", "trimap")
    }
    titles = {"boundary": "Boundary IoU (%)", "trimap": "mIoU at boundaries (%)"}
    return _grid(results, draw, titles, "width in pixels")


def ranges(results: Results) -> Figure | None:
    """The mIoU by distance from the camera."""
    names = [f"{low}–{high}" for low, high in pairwise(RANGES)] + [f"≥{RANGES[-1]}"]
    draw = {"ranges": lambda axes, results, column: _by_part(axes, results, column, "ranges", names)}
    return _grid(results, draw, {"ranges": "mIoU (%)"}, "distance in metres", across=2)


def reliability(results: Results) -> Figure | None:
    """How often a prediction of a probability is right, with intervals; under the diagonal it is too sure of itself."""
    return _grid(results, {"calibration": _reliable}, {"calibration": "accuracy"}, "probability of the predicted class")


Draw = Callable[[Axes, Results, Column], None]


def _grid(
    results: Results, draw: dict[str, Draw], titles: dict[str, str], below: str, across: int = ACROSS
) -> Figure | None:
    """A panel per column of the tables and measure, measures under each other."""
    columns = [column for column in results.columns if any(_methods(results, column, name) for name in draw)]
    if not columns:
        return None
    across = min(across, len(columns))
    down = -(-len(columns) // across)
    wide = WIDTH if across > 1 else WIDTH / 2
    figure = Figure(figsize=(wide, 0.5 + PANEL * down * len(draw)), layout="constrained")
    grid = figure.subplots(down * len(draw), across, squeeze=False)
    for block, (measure, panel) in enumerate(draw.items()):
        panels = grid[block * down : (block + 1) * down].ravel()
        for axes, column in zip(panels, columns, strict=False):
            panel(axes, results, column)
            if not block or down > 1:  # else the panel's column has its title already
                axes.set_title(plain_text(results.title(column)), fontsize=7.5, pad=3)
            axes.tick_params(labelsize=6.5)
        for axes in panels[len(columns) :]:
            axes.set_axis_off()
        for line in range(down):
            grid[block * down + line, 0].set_ylabel(titles[measure], fontsize=7.5)
    figure.supxlabel(below, fontsize=8)
    every = [name for name in results.plan.methods for column in columns if name in _methods(results, column, *draw)]
    legend_of_methods(figure, results, list(dict.fromkeys(every)))
    return figure


def _methods(results: Results, column: Column, *measures: str) -> list[str]:
    """The methods of a column with a finished run that stored one of the measures."""
    names = (*results.weak_methods, *results.ceilings)
    return [name for name in names if any(_sums(results, column, name, measure) for measure in measures)]


def _sums(results: Results, column: Column, name: str, measure: str) -> list[np.ndarray]:
    """Of the runs that stored the measure, per scene."""
    return [run.measures[measure] for run in results.done(column, name).values() if measure in run.measures]


def _by_part(axes: Axes, results: Results, column: Column, measure: str, names: Sequence[str]) -> None:
    """A line per method with an interval at each part of a measure; parts without a pixel are left out."""
    methods = _methods(results, column, measure)
    found: dict[str, list[Estimate]] = {}
    for name in methods:
        measured = results.measured(column, name, measure)
        assert measured is not None
        found[name] = list(measured.estimates.values())
    kept = [place for place in range(len(names)) if any(not np.isnan(found[name][place].value) for name in methods)]
    palette, shapes = colors(list(results.plan.methods)), markers(list(results.plan.methods))
    for rank, name in enumerate(methods):
        shift = SPREAD * (rank / max(len(methods) - 1, 1) - 0.5)
        x = np.arange(len(kept)) + shift
        value, low, high = 100 * np.array([[e.value, e.low, e.high] for place in kept for e in [found[name][place]]]).T
        axes.plot(x, value, color=palette[name], linewidth=0.8, alpha=0.6)
        axes.vlines(x, low, high, color=palette[name], linewidth=0.9)
        axes.plot(
            x, value, shapes[name], color=palette[name], markersize=3.4, markeredgecolor="white", markeredgewidth=0.4
        )
    axes.set_xticks(range(len(kept)), [names[place] for place in kept])
    axes.set_xlim(-0.5, len(kept) - 0.5)
    axes.grid(axis="x", visible=False)


def _reliable(axes: Axes, results: Results, column: Column) -> None:
    palette, shapes = colors(list(results.plan.methods)), markers(list(results.plan.methods))
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.7, linestyle="--", zorder=0)
    for name in _methods(results, column, "calibration"):
        sums = _sums(results, column, name, "calibration")
        diagram = measure_statistics.reliability(sums, results.weights(len(sums[0])))
        kept = np.flatnonzero(diagram.pixels >= FEW_PIXELS)
        every = statistics.class_estimates(diagram.accuracy)
        bars = [(every[place].value, every[place].low, every[place].high) for place in kept]
        x, (y, low, high) = diagram.confidence[kept], np.array(bars).reshape(-1, 3).T
        axes.vlines(x, low, high, color=palette[name], linewidth=0.6, alpha=0.6)
        axes.plot(x, y, color=palette[name], linewidth=0.9, marker=shapes[name], markersize=2.6, markeredgewidth=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])

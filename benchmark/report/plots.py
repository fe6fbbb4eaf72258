"""The figures of numbers: summary (forest plot), IoU per class (dot plot), training curves."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsss.benchmark.intervals import Estimate
from wsss.benchmark.report.curve import GRID
from wsss.benchmark.report.results import FEW_IMAGES, Column, Results
from wsss.benchmark.report.style import WIDTH, colors, legend_of_methods, markers, plain_text
from wsss.benchmark.suites import FLOOR

RATE = "lr"
"""The column of the learning rate, which is no loss."""
ACROSS = (5, 4, 3)
"""Panels of curves in a line: the number that leaves the fewest places empty, of equal ones the first."""
MANY_CLASSES = 20
"""With more classes than these the dot plot has two columns."""


def summary(results: Results) -> Figure | None:
    """The mIoU of every method with its interval, one panel per dataset and kind of labels."""
    columns = [column for column in results.columns if results.finished(column)]
    if not columns:
        return None
    methods = [*results.weak_methods, *results.ceilings]
    across = 2 if len(columns) == 4 else min(3, len(columns))
    down = -(-len(columns) // across)
    size = (1.1 + (2.6 if across < 3 else 2.1) * across, 0.35 + down * (0.55 + 0.2 * len(methods)))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    for axes, column in zip(grid.flat, columns, strict=False):
        _forest(axes, results, column, methods)
    for axes in grid.flat[len(columns) :]:
        axes.remove()
    figure.supxlabel("mIoU (%), 95 % interval over scenes", fontsize=8)
    return figure


def _forest(axes: Axes, results: Results, column: Column, methods: Sequence[str]) -> None:
    palette, shapes = colors(list(results.plan.methods)), markers(list(results.plan.methods))
    for place, name in enumerate(methods):
        estimate = results.estimate(column, name)
        if estimate is None:
            skipped = any(cell.skip for cell in results.cells(column, name))
            text, where = "n/a" if skipped else "–", axes.get_yaxis_transform()
            axes.text(0.5, place, text, transform=where, ha="center", va="center", backgroundcolor="white")
            continue
        _dots(axes, [estimate], [place], palette[name], shapes[name])
        if name == FLOOR or name in results.ceilings:
            style = ":" if name == FLOOR else "--"
            axes.axvline(100 * estimate.value, color=palette[name], linestyle=style, linewidth=0.8, zorder=0)
    axes.set_title(plain_text(results.title(column)))
    axes.set_yticks(range(len(methods)), [plain_text(results.method_title(name)) for name in methods])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.08)


def _dots(
    axes: Axes, estimates: Sequence[Estimate], y: Sequence[float], color: str, marker: str, alpha: float = 1.0
) -> None:
    """Values with their intervals: one line, broken where an interval ends, takes a tenth of the time of many."""
    ends = np.array([[100 * e.low, 100 * e.high, np.nan] for e in estimates])
    axes.plot(ends.ravel(), np.repeat(y, 3), color=color, linewidth=1.2, alpha=alpha)
    dot = {"color": color, "markeredgecolor": "white", "markeredgewidth": 0.4}
    axes.plot([100 * e.value for e in estimates], y, marker, markersize=3.8, alpha=alpha, **dot)


def per_class(results: Results, column: Column) -> Figure | None:
    """IoU of every class that occurs, sorted by the ceiling, one marker per method."""
    methods = results.finished(column)
    scored = {name: results.class_estimates(column, name) for name in methods}
    if not methods:
        return None
    reference = next((name for name in results.ceilings if name in scored), methods[0])
    names = results.plan.datasets[column.dataset]["classes"]
    images = results.dataset_runs(column.dataset)[0].images
    present = [i for i in range(len(names)) if images[i] > 0]
    order = sorted(present, key=lambda i: (-scored[reference][i].value, i))
    panels = 2 if len(order) > MANY_CLASSES else 1
    tall = -(-len(order) // panels)
    height = 0.7 + tall * max(0.16, 0.055 * len(methods))
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    for panel, axes in enumerate(figure.subplots(1, panels, squeeze=False)[0]):
        shown = order[panel * tall : (panel + 1) * tall]
        rare = [bool(images[i] < FEW_IMAGES) for i in shown]
        _classes(axes, results, {name: [scored[name][i] for i in shown] for name in methods}, rare)
        axes.set_yticks(range(len(shown)), [f"{plain_text(names[i])} ({images[i]})" for i in shown])
        for label, few in zip(axes.get_yticklabels(), rare, strict=True):
            label.set_color("#999999" if few else "#222222")
        axes.set_ylim(tall - 0.5, -0.5)
    figure.supxlabel("IoU (%) with 95 % interval over scenes (images that hold the class)", fontsize=8)
    figure.axes[0].set_title(plain_text(results.title(column)), loc="left")
    legend_of_methods(figure, results, methods)
    return figure


def _classes(axes: Axes, results: Results, scored: dict[str, list[Estimate]], rare: Sequence[bool]) -> None:
    palette, shapes = colors(list(results.plan.methods)), markers(list(results.plan.methods))
    step = 0.8 / len(scored)
    for rank, (name, estimates) in enumerate(scored.items()):
        shift = (rank - (len(scored) - 1) / 2) * step
        for few, alpha in ((False, 1.0), (True, 0.3)):
            places = [place for place in range(len(estimates)) if rare[place] == few]
            if places:
                found, y = [estimates[place] for place in places], [place + shift for place in places]
                _dots(axes, found, y, palette[name], shapes[name], alpha)
    for place in range(1, len(rare), 2):
        axes.axhspan(place - 0.5, place + 0.5, color="#F5F5F5", linewidth=0, zorder=-1)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-1, 101)
    axes.grid(axis="y", visible=False)


def curves(results: Results, dataset: str) -> Figure | None:
    """Every loss term and the learning rate against progress, a block per kind of labels; seeds thin, mean thick."""
    columns = [column for column in results.columns if column.dataset == dataset]
    read = {
        (column, name): [run.curve for run in results.done(column, name).values()]
        for column in columns
        for name in results.finished(column)
    }
    users = Counter(term for found in read.values() for term in {term for curve in found for term in curve})
    # What all methods minimise comes first, what only one does comes last, then their total and the learning rate.
    terms = sorted(users, key=lambda term: (term == RATE, term == "total", -users[term], term))
    columns = [column for column in columns if any(key[0] == column for key in read)]
    if not terms:
        return None
    across = min(*ACROSS, key=lambda number: -len(terms) % number) if len(terms) > max(ACROSS) else len(terms)
    down = -(-len(terms) // across)
    figure = Figure(figsize=(WIDTH, 0.45 + 1.2 * down * len(columns)), layout="constrained")
    grid = figure.subplots(down * len(columns), across, sharex=True, squeeze=False)
    palette = colors(list(results.plan.methods))
    for block, column in enumerate(columns):
        panels = grid[block * down : (block + 1) * down].ravel()
        for axes, term in zip(panels, terms, strict=False):
            for (place, name), found in read.items():
                if place == column:
                    _draw_curves(axes, [curve[term] for curve in found if term in curve], palette[name])
            axes.set_title("learning rate" if term == RATE else plain_text(term.replace("_", " ")), fontsize=7.5, pad=2)
            if term == RATE:
                axes.set_ylim(bottom=0)
                axes.ticklabel_format(axis="y", scilimits=(-2, 3))
                axes.yaxis.offsetText.set_fontsize(6)
            axes.set_xlim(0, 1)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.tick_params(labelsize=6.5)
        for axes in [*panels[len(terms) :], *(axes for axes in panels if not axes.lines)]:
            axes.set_axis_off()
        if len(columns) > 1:
            panels[0].set_ylabel(column.labels)
    figure.supxlabel(f"progress ({plain_text(results.dataset_title(dataset))})", fontsize=8)
    drawn = [name for name in results.plan.methods if any(name == key[1] for key in read)]
    legend_of_methods(figure, results, drawn, line=True)
    return figure


def _draw_curves(axes: Axes, seeds: list[Float64[np.ndarray, " grid"]], color: str) -> None:
    if not seeds:
        return
    for values in seeds if len(seeds) > 1 else []:
        axes.plot(GRID, values, color=color, linewidth=0.5, alpha=0.45)
    axes.plot(GRID, np.mean(seeds, axis=0), color=color)

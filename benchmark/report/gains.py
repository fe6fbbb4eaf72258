"""What each method adds to a reference, per dataset and kind of labels: the bars beside the paper's first figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from wsss.benchmark.intervals import ALPHA
from wsss.benchmark.report.results import TEACHER, Column, Results
from wsss.benchmark.report.style import WIDTH, colors, plain_text, remark
from wsss.benchmark.suites import FLOOR
from wsss.benchmark.types import LABEL_KINDS

PANEL = 1.75
"""Height of a row of panels in inches."""
USED, WIDEST = 0.84, 0.22
"""Share of a dataset's place that its bars take together, and one at most."""
MOST = 6
"""Groups of bars that fit in a line."""


def gains(results: Results) -> Figure | None:
    """Paired differences in mIoU: a row per reference (floor, EMA), a panel per kind of labels, a group per dataset.

    None where no method can be compared with a reference.
    """
    references = [name for name in (FLOOR, TEACHER) if name in results.weak_methods]
    references = [name for name in references if _methods(results, name)]
    if not references:
        return None
    kinds = [kind for kind in LABEL_KINDS if _of(results, kind, references)]
    lines = _lines(results, kinds, references)
    figure = Figure(figsize=(WIDTH, 0.3 + PANEL * len(references) * len(lines)), layout="constrained")
    parts = figure.subfigures(len(references) * len(lines), 1, squeeze=False)
    for place, part in enumerate(np.ravel(parts)):
        reference, line = references[place // len(lines)], lines[place % len(lines)]
        widths = [len(_of(results, kind, references)) + 0.3 for kind in line]
        empty = 0.0 if len(lines) == 1 else max(0.0, MOST + 0.6 - sum(widths))
        widths += [empty] if empty else []
        axes = part.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
        for unused in axes[len(line) :]:
            unused.set_visible(False)
        for panel, kind in zip(axes, line, strict=False):
            _panel(panel, results, _of(results, kind, references), reference)
            panel.set_title(kind)
        axes[0].set_ylabel(f"mIoU above {plain_text(results.method_title(reference))}")
    named = [name for name in results.weak_methods if any(name in _methods(results, ref) for ref in references)]
    palette = colors(list(results.plan.methods))
    handles = [Patch(facecolor=palette[name], label=plain_text(results.method_title(name))) for name in named]
    longest = max(len(results.method_title(name)) for name in named)
    across = max(1, min(len(handles), int(WIDTH / (0.45 + 0.062 * longest))))
    figure.legend(handles=handles, loc="outside upper center", ncols=across, handlelength=1.0, handleheight=0.8)
    return figure


def _methods(results: Results, reference: str) -> list[str]:
    """The weakly-supervised methods that share a seed with a reference anywhere."""
    others = [name for name in results.weak_methods if name != reference]
    return [name for name in others if any(results.shared(column, name, reference) for column in results.columns)]


def _of(results: Results, kind: str, references: Sequence[str]) -> list[Column]:
    """The columns of a kind of labels in which something can be compared."""
    mine = [column for column in results.columns if column.labels == kind]
    return [column for column in mine if any(results.done(column, name) for name in references)]


def _lines(results: Results, kinds: Sequence[str], references: Sequence[str]) -> list[list[str]]:
    """Kinds of labels from left to right, in lines of at most ``MOST`` groups."""
    lines: list[list[str]] = [[]]
    room = MOST
    for kind in kinds:
        need = len(_of(results, kind, references))
        if lines[-1] and need > room:
            lines, room = [*lines, []], MOST
        lines[-1].append(kind)
        room -= need
    return lines


def _panel(axes: Axes, results: Results, columns: Sequence[Column], reference: str) -> None:
    palette = colors(list(results.plan.methods))
    methods = _methods(results, reference)
    wide = min(USED / max(len(methods), 1), WIDEST)
    for group, column in enumerate(columns):
        found = results.gains(column, methods, reference)
        for rank, name in enumerate(methods):
            x = group + (rank - (len(methods) - 1) / 2) * wide
            if name not in found:
                skipped = any(cell.skip for cell in results.cells(column, name))
                axes.text(x, 0, "n/a" if skipped else "–", rotation=90, fontsize=6, ha="center", va="center",
                          color="#666666", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})  # fmt: skip
                continue
            gain = found[name]
            sure = gain.p < ALPHA
            axes.bar(x, 100 * gain.value, 0.92 * wide, color=palette[name], alpha=1.0 if sure else 0.45, linewidth=0)
            if not np.isnan(gain.low):
                axes.plot([x, x], [100 * gain.low, 100 * gain.high], color="#222222", linewidth=0.8)
    if not methods:
        remark(axes, "nothing to compare")
    axes.axhline(0, color="#222222", linewidth=0.7)
    names = [results.dataset_title(column.dataset) for column in columns]
    axes.set_xticks(range(len(columns)), [plain_text(name).replace(" ", "\n", 1) for name in names])
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", visible=False)

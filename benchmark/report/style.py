"""One look for all figures: colours and markers fixed per method, bytes that do not change between builds."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wsss.benchmark.report.fonts import families
from wsss.benchmark.report.results import Results

PINNED = {
    "partial": "#999999",
    "full": "#000000",
    "ema": "#56B4E9",
    "tel": "#E69F00",
    "rewis3d": "#D55E00",
    "rewis3d_lidar": "#0072B2",
}
"""Okabe and Ito's colours, safe for colour-blind readers; the methods of the paper always have the same."""
FREE = ("#009E73", "#CC79A7", "#F0E442")
"""For other methods in the plan's order; beyond these, markers tell them apart."""
MARKERS = "osD^vph<>*"
WIDTH = 6.875
"""Inches: the text of a page in two columns, as in CVPR's style."""


@contextmanager
def paper_style(text: str = "") -> Iterator[None]:
    """The style sheet over matplotlib's own defaults, whatever the user's configuration says.

    Args:
        text: What figures will print beside this package's own words, in any script.
    """
    with matplotlib.rc_context(), as_file(files("wsss.benchmark.report") / "paper.mplstyle") as sheet:
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(matplotlib.rc_params_from_file(sheet, use_default_template=False))
        matplotlib.rcParams["font.family"] = families(text)
        yield


def colors(methods: Sequence[str]) -> dict[str, str]:
    """Colour of every method of a plan, in the plan's order."""
    others = [name for name in methods if name not in PINNED]
    free = {name: FREE[i % len(FREE)] for i, name in enumerate(others)}
    return {name: PINNED.get(name) or free[name] for name in methods}


def markers(methods: Sequence[str]) -> dict[str, str]:
    """Marker of every method of a plan, in the plan's order."""
    return {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(methods)}


def render(figure: Figure) -> dict[str, bytes]:
    """The figure as ``pdf`` and ``png``, without dates or versions in the files."""
    metadata = {
        "pdf": {"CreationDate": None, "Creator": "wsss", "Producer": "wsss"},
        "png": {"Software": None},
    }
    if layout := figure.get_layout_engine():  # once, so that both files look the same; saving would draw for it twice
        layout.execute(figure)
        figure.set_layout_engine(None)
    rendered = {}
    for suffix, fields in metadata.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, metadata=fields)
        rendered[suffix] = buffer.getvalue()
    return rendered


def plain_text(text: str) -> str:
    """Text that matplotlib prints as it stands: a dollar sign starts no formula."""
    return text.replace("$", r"\$")


def legend_of_methods(figure: Figure, results: Results, methods: Sequence[str], line: bool = False) -> None:
    """A legend over the figure, in as many lines as its width demands."""
    palette, shapes = colors(list(results.plan.methods)), markers(list(results.plan.methods))
    handles = [
        Line2D(
            [],
            [],
            color=palette[name],
            marker="" if line else shapes[name],
            linestyle="-" if line else "",
            label=plain_text(results.method_title(name)),
        )
        for name in methods
    ]
    longest = max(len(results.method_title(name)) for name in methods)
    columns = max(1, min(len(handles), int(figure.get_figwidth() / (0.5 + 0.065 * longest))))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, handletextpad=0.5)


def hide_ticks(axes: Axes) -> None:
    """A picture needs no axes."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def remark(axes: Axes, text: str) -> None:
    """Words in the middle of a panel: why it shows nothing."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", bbox=box, wrap=True)

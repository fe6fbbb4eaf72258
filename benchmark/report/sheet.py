"""Pictures in rows: axes placed by hand, so that every picture keeps its shape and all gaps are equal."""

from collections.abc import Sequence
from functools import cache

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath

from wsss.benchmark.report.style import WIDTH, plain_text

GAP = 0.03
"""Between pictures, in inches."""
EDGE = 0.01
"""Right of the last picture, so that its frame is whole."""
NAMES = 0.16
"""Width of the names of the rows."""
TITLES = 0.19
"""Height of the titles of a row of pictures."""
TEXT = 6.5
"""Size of a legend's text in points."""
LINE = 0.125
"""Height of a line of a legend."""
SWATCH, SPACE = 0.11, 0.1
"""Inches: side of a legend's square; from one entry to the next."""


class Sheet:
    """A figure of the page's width with rows of equally wide pictures, and room for a legend under each row.

    Args:
        shapes: Height over width of the pictures of every row.
        across: Pictures in a row.
        legends: Inches under every row.
        below: Inches under everything.
        named: Whether the rows have names at the left.
        titled: Rows with titles above their pictures.
    """

    def __init__(
        self,
        shapes: Sequence[float],
        across: int,
        legends: Sequence[float],
        *,
        below: float = 0.0,
        named: bool = True,
        titled: Sequence[int] = (0,),
    ) -> None:
        self.left = NAMES if named else 0.0
        self.panel = (WIDTH - self.left - EDGE - (across - 1) * GAP) / across
        heights = [self.panel * shape for shape in shapes]
        self.height = below + sum(heights) + sum(legends) + GAP * (len(shapes) - 1) + TITLES * len(titled)
        self.below = below
        self.figure = Figure(figsize=(WIDTH, self.height))
        self.grid: list[list[Axes]] = []
        self.bottoms: list[float] = []
        """Of every row's pictures, in inches."""
        top = self.height
        for place, (tall, legend) in enumerate(zip(heights, legends, strict=True)):
            top -= tall + TITLES * (place in titled)
            self.grid.append([self._axes(self.left + i * (self.panel + GAP), top, tall) for i in range(across)])
            self.bottoms.append(top)
            top -= legend + GAP

    def _axes(self, left: float, bottom: float, height: float) -> Axes:
        return self.figure.add_axes((left / WIDTH, bottom / self.height, self.panel / WIDTH, height / self.height))

    def name_row(self, place: int, text: str) -> None:
        """Write a row's name, upright, at its left."""
        axes = self.grid[place][0]
        axes.annotate(
            plain_text(text), (0, 0.5), (-3, 0), xycoords="axes fraction", textcoords="offset points",
            rotation=90, ha="right", va="center", fontsize=7, fontweight="bold", annotation_clip=False,
        )  # fmt: skip

    def under(self, column: int, height: float, gap: float) -> Axes:
        """Axes as wide as a column, in the room under everything."""
        left = self.left + column * (self.panel + GAP)
        return self.figure.add_axes(
            (left / WIDTH, (self.below - gap - height) / self.height, self.panel / WIDTH, height / self.height)
        )


def legend_height(names: Sequence[str], width: float = WIDTH) -> float:
    """Inches that a legend of classes needs."""
    return 0.05 + LINE * len(_lines(names, width))


def draw_legend(
    figure: Figure, names: Sequence[str], colors: Sequence[tuple[int, ...]], top: float, left: float = NAMES
) -> None:
    """Squares and names from left to right, in as many lines as they need.

    Args:
        figure: Of the page's width.
        names: Of the classes.
        colors: Of the classes, 0 to 255.
        top: Inches from the figure's lower edge to the legend's upper one.
        left: Inches from the figure's left edge.
    """
    width, height = figure.get_size_inches()
    painted = dict(zip(names, colors, strict=True))
    for number, line in enumerate(_lines(names, width)):
        middle = top - 0.03 - LINE * (number + 0.5)
        for x, name in line:
            corner = ((left + x) / width, (middle - SWATCH * 0.4) / height)
            face = tuple(channel / 255 for channel in painted[name])
            size = (SWATCH / width, SWATCH * 0.8 / height)
            figure.add_artist(Rectangle(corner, *size, facecolor=face, edgecolor="#777777", linewidth=0.3))
            place = ((left + x + SWATCH + 0.04) / width, middle / height)
            figure.text(*place, plain_text(name), fontsize=TEXT, va="center_baseline", ha="left")


def _lines(names: Sequence[str], width: float) -> list[list[tuple[float, str]]]:
    """The names of each line, with their distance from the left in inches."""
    lines: list[list[tuple[float, str]]] = [[]]
    x = 0.0
    for name in names:
        long = SWATCH + 0.04 + _inches(name)
        if lines[-1] and NAMES + x + long + 0.06 > width:
            lines, x = [*lines, []], 0.0
        lines[-1].append((x, name))
        x += long + SPACE
    return lines


@cache
def _inches(text: str) -> float:
    """How wide a legend's text is."""
    return float(TextPath((0, 0), plain_text(text), size=TEXT).get_extents().width) / 72

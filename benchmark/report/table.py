"""What a table is, before anybody decides how to print it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from wsss.benchmark.intervals import Estimate

NOT_RUN = "–"
"""Printed for a planned run that is not finished; never a number."""
IMPOSSIBLE = "n/a"
"""Printed for a run that cannot exist; the reason is the entry's note."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One cell: what is printed, and the raw numbers behind it (IoU as a fraction)."""

    text: str
    detail: str = ""
    """Printed small behind the text: interval, p-value, n."""
    note: str = ""
    """Footnote; the same text gets the same letter throughout a table."""
    bold: bool = False
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int | None = None
    scenes: int | None = None
    images: int | None = None
    p: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line; ``apart`` sets it off from the lines above by a rule."""

    titles: tuple[str, ...]
    entries: tuple[Entry, ...]
    apart: bool = False
    note: str = ""
    """Footnote on the last title."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table ready to be written as Markdown, LaTeX, CSV and HTML."""

    name: str
    """File name without suffix."""
    title: str
    caption: str
    heads: tuple[str, ...]
    """Over the titles of the rows."""
    groups: tuple[tuple[str, int], ...]
    """Title and width of each group of columns, together as wide as ``columns``."""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """Remarks on the table as a whole."""

    def __post_init__(self) -> None:
        width = sum(span for _, span in self.groups)
        if width != len(self.columns) or any(len(row.entries) != width for row in self.rows):
            raise ValueError(f"table {self.name}: groups, columns and rows differ in width")
        if any(len(row.titles) != len(self.heads) for row in self.rows):
            raise ValueError(f"table {self.name}: a row needs as many titles as there are heads")

    @cached_property
    def footnotes(self) -> dict[str, str]:
        """Letter of every distinct note, in reading order: ``{"Cityscapes has no range sensor": "a"}``."""
        notes = [note for row in self.rows for note in (row.note, *(entry.note for entry in row.entries))]
        return {note: _letters(i) for i, note in enumerate(dict.fromkeys(filter(None, notes)))}

    def column_groups(self) -> Iterator[tuple[str, str]]:
        """Group and title of every column."""
        titles = [title for title, span in self.groups for _ in range(span)]
        yield from zip(titles, self.columns, strict=True)


def _letters(index: int) -> str:
    return ("" if index < 26 else _letters(index // 26 - 1)) + chr(ord("a") + index % 26)


def percent(value: float, signed: bool = False) -> str:
    """A fraction as per cent with one decimal; a signed zero is printed without its sign."""
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return text[1:] if text in ("-0.0", "+0.0") else text


def p_value(p: float) -> str:
    """``p=0.012``, ``p<0.001``."""
    return "p<0.001" if p < 0.001 else f"p={p:.3f}"


def sample_size(seeds: int, scenes: int, images: int | None) -> str:
    """``n=3×24/72``: seeds x scenes / images."""
    return f"n={seeds}×{scenes}" + ("" if images is None else f"/{images}")


def estimate_entry(
    estimate: Estimate,
    *,
    planned: int,
    images: int | None = None,
    signed: bool = False,
    bold: bool = False,
    brief: bool = False,
) -> Entry:
    """An estimate in per cent with its interval, its p-value if it has one, and n.

    Args:
        estimate: As a fraction.
        planned: Seeds that the suite plans; a note says where fewer are there.
        images: That the number was counted on.
        signed: Print the sign, for differences.
        bold: Set in bold.
        brief: Leave interval and n to the CSV file.
    """
    counted = {"seeds": estimate.seeds, "scenes": estimate.scenes, "images": images}
    if math.isnan(estimate.value):
        return Entry(text=NOT_RUN, note="no class of this table's split is labelled", **counted)
    parts = []
    if not brief:
        if not math.isnan(estimate.low):
            parts.append(f"[{percent(estimate.low, signed)}, {percent(estimate.high, signed)}]")
        if not math.isnan(estimate.p):
            parts.append(p_value(estimate.p))
        parts.append(sample_size(estimate.seeds, estimate.scenes, images))
    return Entry(
        text=percent(estimate.value, signed),
        detail=" ".join(parts),
        note=f"{estimate.seeds} of {planned} seeds" if estimate.seeds < planned else "",
        bold=bold,
        estimate=estimate.value,
        low=_number(estimate.low),
        high=_number(estimate.high),
        p=_number(estimate.p),
        **counted,
    )


def plain_entry(text: str, value: float | None = None, seeds: int | None = None) -> Entry:
    """A cell without an interval."""
    return Entry(text=text, estimate=value, seeds=seeds)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value

"""The four ways to write a table: Markdown, LaTeX (booktabs), CSV with the raw numbers, HTML."""

import csv
import io
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wsss.benchmark.report.table import Entry, Row, Table

SUFFIXES = ("md", "tex", "csv", "html")
"""One file of each per table."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "·": r"$\cdot$",
    "∞": r"$\infty$",
    "\n": " ",
}
_MARKDOWN = {"\\": "\\\\", "|": "\\|", "<": "&lt;", ">": "&gt;", "*": "\\*", "`": "\\`", "\n": " "}


def write(table: Table) -> dict[str, str]:
    """The table in every format, by file suffix."""
    return {"md": markdown(table), "tex": latex(table), "csv": csv_text(table), "html": html(table)}


def markdown(table: Table) -> str:
    """A GitHub table with caption and footnotes."""

    def escape(text: str) -> str:
        return "".join(_MARKDOWN.get(c, c) for c in text)

    def cell(entry: Entry) -> str:
        text = f"**{escape(entry.text)}**" if entry.bold else escape(entry.text)
        return " ".join(filter(None, [text + superscript(entry.note), escape(entry.detail)]))

    def superscript(note: str) -> str:
        return f"<sup>{table.footnotes[note]}</sup>" if note else ""

    heads = [*map(escape, table.heads)]
    for group, column in table.column_groups():
        heads.append(escape(" · ".join(filter(None, [group, column]))))
    lines = [_line(heads), _line([":--"] * len(table.heads) + ["--:"] * len(table.columns))]
    for row in table.rows:
        titles = [*map(escape, row.titles)]
        titles[-1] += superscript(row.note)
        lines.append(_line(titles + [cell(entry) for entry in row.entries]))
    notes = [f"<sup>{letter}</sup> {escape(note)}." for note, letter in table.footnotes.items()]
    remarks = [*map(escape, table.notes), *notes]
    tail = [""] + [f"- {remark}" for remark in remarks] if remarks else []
    return "\n".join([f"**{escape(table.title)}.** {escape(table.caption)}", "", *lines, *tail, ""])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_LATEX.get(c, c) for c in text)


def latex(table: Table) -> str:
    """A complete table environment; it shrinks to the line if it is wider."""
    body = []
    for row in table.rows:
        body += [r"\midrule"] if row.apart else []
        titles = [*map(escape_latex, row.titles)]
        titles[-1] += _latex_mark(table, row.note)
        body.append(" & ".join(titles + [_latex_cell(table, entry) for entry in row.entries]) + r" \\")
    notes = [*map(escape_latex, table.notes)]
    notes += [f"{_latex_mark(table, note)} {escape_latex(note)}." for note in table.footnotes]
    foot = [r"\par\smallskip\footnotesize " + r" \\ ".join(notes)] if notes else []
    return "\n".join(
        [
            r"% \usepackage{booktabs,graphicx} \usepackage[utf8]{inputenc}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{\textbf{{{escape_latex(table.title)}.}} {escape_latex(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{@{{}}{'l' * len(table.heads)}{'r' * len(table.columns)}@{{}}}}",
            r"\toprule",
            *_latex_heads(table),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            *foot,
            r"\end{table}",
            "",
        ]
    )


def _latex_heads(table: Table) -> list[str]:
    lines = []
    if any(group for group, _ in table.groups):
        spans = [rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(group)}}}" for group, span in table.groups]
        lines.append(" & ".join([""] * len(table.heads) + spans) + r" \\")
        start, rules = len(table.heads) + 1, []
        for group, span in table.groups:
            rules += [rf"\cmidrule(lr){{{start}-{start + span - 1}}}"] if group else []
            start += span
        lines.append(" ".join(rules))
    return [*lines, " & ".join(map(escape_latex, [*table.heads, *table.columns])) + r" \\"]


def _latex_mark(table: Table, note: str) -> str:
    return rf"\textsuperscript{{{table.footnotes[note]}}}" if note else ""


def _latex_cell(table: Table, entry: Entry) -> str:
    text = escape_latex(entry.text)
    text = rf"\textbf{{{text}}}" if entry.bold else text
    detail = rf" {{\scriptsize {escape_latex(entry.detail)}}}" if entry.detail else ""
    return text + _latex_mark(table, entry.note) + detail


def csv_text(table: Table) -> str:
    """One line per cell with the unrounded numbers; IoU and its differences are fractions, not per cent."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    numbers = ("estimate", "low", "high", "n_seeds", "n_scenes", "n_images", "p")
    writer.writerow([*(head.lower() for head in table.heads), "group", "column", *numbers, "printed", "note"])
    for row in table.rows:
        for (group, column), e in zip(table.column_groups(), row.entries, strict=True):
            raw = [_raw(value) for value in (e.estimate, e.low, e.high, e.seeds, e.scenes, e.images, e.p)]
            writer.writerow([*row.titles, group, column, *raw, e.text, e.note or row.note])
    return buffer.getvalue()


def _raw(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


@cache
def environment() -> Environment:
    """The templates, escaping all that they are given."""
    return Environment(
        loader=PackageLoader("wsss.benchmark.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def html(table: Table) -> Markup:
    """A figure element with a sortable table; lines set apart are not sorted."""
    sections: list[list[Row]] = [[]]
    for row in table.rows:
        if row.apart and sections[-1]:
            sections.append([])
        sections[-1].append(row)
    return Markup(environment().get_template("table.html.j2").render(table=table, sections=sections))

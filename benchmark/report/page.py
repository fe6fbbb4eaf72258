"""The page: every table and figure, failures, gaps and the provenance of each run, in one file without a network."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from PIL import Image

from wsss.benchmark.report.formats import environment, html
from wsss.benchmark.report.results import Results
from wsss.benchmark.report.runs import Run
from wsss.benchmark.report.table import Table

IMAGE_BUDGET = 4_000_000
"""Bytes of all inlined pictures before base64 adds a third: the page stays below 6 MB."""
WIDEST = 1800
"""Pixels of an inlined picture; the files in ``figures/`` are larger."""

PROVENANCE_FIRST = ("git", "dirty", "device")
"""Shown first among the facts that differ between runs."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished figure."""

    name: str
    """File name without suffix."""
    title: str
    caption: str
    files: dict[str, bytes]
    """By suffix: pdf, png."""


def page(results: Results, tables: Sequence[Table], figures: Sequence[Picture]) -> str:
    """The page's HTML.

    Args:
        results: Of the suite.
        tables: In the order in which they are shown; the first is the main one.
        figures: In the order in which they are shown.
    """
    runs = [run for dataset in results.plan.datasets for run in results.dataset_runs(dataset)]
    facts = {run.folder: flat(run.record.provenance) for run in runs}
    shared, differing = split_facts(list(facts.values()))
    per_class = [table for table in tables if table.name.startswith("per_class-")]
    return environment().get_template("page.html.j2").render(
        plan=results.plan,
        main=html(tables[0]) if tables else Markup(""),
        sections=[(table.name, table.title, html(table)) for table in tables[1:] if table not in per_class],
        per_class=[(table.title, html(table)) for table in per_class],
        figures=inline(figures),
        progress=_progress(results),
        failures=results.failures,
        skipped=sorted({(c.skip, c.dataset, c.labels, c.method) for c in results.skipped}, key=str),
        pending=results.pending,
        runs=[(run, _cell(run), facts[run.folder]) for run in runs],
        shared=shared,
        differing=differing,
        methods=[(name, about, safe_url(about.get("url"))) for name, about in results.plan.methods.items()],
    )  # fmt: skip


def _cell(run: Run) -> str:
    return f"{run.cell.dataset}/{run.cell.labels}/{run.cell.method}/{run.cell.seed}"


def _progress(results: Results) -> str:
    done = sum(len(seeds) for seeds in results.runs.values())
    wanted = sum(cell.skip is None for cell in results.plan.cells)
    return f"{done} of {wanted} runs finished"


def safe_url(url: Any) -> str | None:
    """A link that leads to the web, or None: escaping does not stop ``javascript:``."""
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else None


def flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested facts as one level: ``{"git": {"sha": "a"}}`` becomes ``{"git.sha": "a"}``."""
    found: dict[str, str] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None and value != "":
            found[f"{prefix}{name}"] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return found


def split_facts(facts: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], list[str]]:
    """What all runs have in common, and the names of what tells them apart."""
    names = sorted({name for one in facts for name in one})
    shared = {name: facts[0][name] for name in names if len({one.get(name) for one in facts}) == 1}
    first = [name for name in PROVENANCE_FIRST if name in names]
    order = first + [name for name in names if name not in first]
    return shared, [name for name in order if name not in shared]


def inline(figures: Sequence[Picture]) -> list[tuple[Picture, str, int, int]]:
    """Every figure with data URI, width and height, scaled down until all fit the budget together."""
    widest = WIDEST
    while True:
        scaled = [_scaled(figure.files["png"], widest) for figure in figures]
        if sum(len(data) for data, _, _ in scaled) <= IMAGE_BUDGET or widest < 300:
            break
        widest = round(widest * 0.8)
    return [
        (figure, f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}", width, height)
        for figure, (data, width, height) in zip(figures, scaled, strict=True)
    ]


def _scaled(data: bytes, widest: int) -> tuple[bytes, int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        if picture.width <= widest:
            return data, picture.width, picture.height
        size = (widest, round(picture.height * widest / picture.width))
        small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, format="PNG", optimize=True)
        return buffer.getvalue(), *size

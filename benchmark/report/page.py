"""The page: every table and figure, failures, gaps and the provenance of each run, in one file without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from wsss.benchmark.report import embedded
from wsss.benchmark.report.captions import data_sentence
from wsss.benchmark.report.formats import environment, html
from wsss.benchmark.report.page_curves import curves, progress
from wsss.benchmark.report.page_frames import frames
from wsss.benchmark.report.page_scenes import scenes
from wsss.benchmark.report.results import Results
from wsss.benchmark.report.runs import Run
from wsss.benchmark.report.table import Table

IMAGE_BUDGET = 1_800_000
"""Bytes of all inlined figures before base64 adds a third: with frames and points the page stays below 6 MB."""

PROVENANCE_FIRST = ("git", "dirty", "device")
"""Shown first among the facts that differ between runs."""

SECTIONS = {
    "figures": ("Figures", ()),
    "predictions": ("Predictions", ("qualitative", "errors")),
    "reconstruction": ("Reconstruction", ("reconstruction", "gallery", "points")),
    "training": ("Training", ("curves",)),
}
"""Title of each section with pictures, and the kinds of figures in it; what no section names stands in the first."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished figure."""

    name: str
    """File name without suffix: its kind, and behind a hyphen what it is of."""
    title: str
    caption: str
    files: dict[str, bytes]
    """By suffix: pdf, png."""


Inlined = tuple[Picture, str, int, int]
"""A figure with data URI, width and height."""


def page(results: Results, tables: Sequence[Table], figures: Sequence[Picture]) -> str:
    """The page's HTML.

    Args:
        results: Of the suite.
        tables: In the order in which they are shown; the first is the main one.
        figures: In the order in which they are shown.

    Raises:
        BenchmarkError: A stored picture, curve or file of points is damaged.
    """
    runs = [run for dataset in results.plan.datasets for run in results.dataset_runs(dataset)]
    facts = {run.folder: flat(run.record.provenance) for run in runs}
    shared, differing = split_facts(list(facts.values()))
    per_class = [table for table in tables if table.name.startswith("per_class-")]
    interactive = {"frames": frames(results), "scenes": scenes(results), "curves": curves(results)}
    scripts = [embedded.inlined(f"page_{name}.js") for name in ("tables", "figures")]
    scripts += [embedded.inlined(f"page_{name}.js") for name, data in interactive.items() if data]
    return environment().get_template("page.html.j2").render(
        plan=results.plan,
        data=data_sentence(results),
        policy=_policy(scripts),
        style=embedded.inlined("page.css"),
        scripts=scripts,
        embedded=_embedded(results, interactive),
        **interactive,
        main=html(tables[0]) if tables else Markup(""),
        shown=_sections(inline(figures), interactive),
        sections=[html(table) for table in tables[1:] if table not in per_class],
        per_class=[(table.title, html(table)) for table in per_class],
        progress=_progress(results),
        failures=results.failures,
        skipped=sorted({(c.skip, c.dataset, c.labels, c.method) for c in results.skipped}, key=str),
        pending=results.pending,
        runs=[(run, _cell(run), _seconds(run), facts[run.folder]) for run in runs],
        shared=shared,
        differing=differing,
        methods=[(name, about, safe_url(about.get("url"))) for name, about in results.plan.methods.items()],
    )  # fmt: skip


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: the browser itself refuses every request, and every script but ours."""
    hashes = " ".join(embedded.script_hash(script) for script in scripts)
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}; "
        "base-uri 'none'; form-action 'none'"
    )


def _embedded(results: Results, interactive: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """The values that the scripts read, by the id of their element."""
    words = {
        "Dataset": list(dict.fromkeys(results.dataset_title(name) for name in results.plan.datasets)),
        "Labels": list(dict.fromkeys(column.labels for column in results.columns)),
    }
    plain: dict[str, Any] = {"vocabulary": words, **{name: data for name, data in interactive.items() if data}}
    if "curves" in plain:
        plain["curves"] = {"progress": progress(), "curves": plain["curves"]}
    return [(name, embedded.values(data)) for name, data in plain.items()]


def _sections(figures: Sequence[Inlined], interactive: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sections that have something to show, each with its figures grouped by kind."""
    own = {"predictions": "frames", "reconstruction": "scenes", "training": "curves"}
    home = {kind: section for section, (_, kinds) in SECTIONS.items() for kind in kinds}
    kinds: dict[str, list[Inlined]] = {}
    for figure in figures:
        kinds.setdefault(figure[0].name.partition("-")[0], []).append(figure)
    found = []
    for section, (title, _) in SECTIONS.items():
        groups = [_group(members) for kind, members in kinds.items() if home.get(kind, "figures") == section]
        if groups or (section in own and interactive[own[section]]):
            found.append({"id": section, "title": title, "groups": groups})
    return found


def _group(members: list[Inlined]) -> dict[str, Any]:
    """Figures of one kind: ``Predictions: Waymo Open`` is the choice ``Waymo Open`` of ``Predictions``."""
    titles = [figure.title.partition(": ") for figure, *_ in members]
    return {"title": titles[0][0], "names": [last or "all" for _, _, last in titles], "pictures": members}


def _cell(run: Run) -> str:
    return f"{run.cell.dataset}/{run.cell.labels}/{run.cell.method}/{run.cell.seed}"


def _seconds(run: Run) -> float:
    return sum(run.record.seconds.get(part, 0.0) for part in ("train", "evaluate"))


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


def inline(figures: Sequence[Picture]) -> list[Inlined]:
    """Every figure with data URI, width and height, reduced until all fit the budget together."""
    fitted = embedded.fitting([figure.files["png"] for figure in figures], IMAGE_BUDGET)
    return [
        (figure, embedded.data_uri(data), width, height)
        for figure, (data, width, height) in zip(figures, fitted, strict=True)
    ]

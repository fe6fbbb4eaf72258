"""What the verbs list and plan do."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from wsss.benchmark import discovery
from wsss.benchmark.dataset import DatasetMissing
from wsss.benchmark.options import Place, Selection
from wsss.benchmark.suites import SUITES, suite
from wsss.benchmark.types import LABEL_KINDS
from wsss.benchmark.workplace import Workplace

if TYPE_CHECKING:
    from wsss.benchmark.planning import Run


def show_list(console: Console, labels: bool) -> int:
    """Print methods, datasets and suites; with ``labels`` what the labels made so far offer."""
    for kind in ("methods", "datasets"):
        table = Table(title=kind, title_justify="left", box=None, show_header=False)
        for name in discovery.names(kind):
            table.add_row(name, discovery.summary(kind, name))
        console.print(table)
    table = Table(title="suites", title_justify="left", box=None, show_header=False)
    for name, value in SUITES.items():
        table.add_row(name, value.title)
    console.print(table)
    console.print(f"labels   {', '.join(LABEL_KINDS)}", highlight=False)
    return _show_labels(console) if labels else 0


def _show_labels(console: Console) -> int:
    from wsss.benchmark.supervision import stored

    table = Table("dataset", "labels", "images", "labelled", "correct", "coverage", "worst class", "source", box=None)
    for (dataset, labels), found in stored(Path("build/labels")):
        covered = [value for value in found.coverage if value is not None]
        mean, worst = sum(covered) / max(1, len(covered)), min(covered, default=0.0)
        shares = (f"{found.share:.3%}", f"{found.correct:.1%}", f"{mean:.0%}", f"{worst:.0%}")
        table.add_row(dataset, labels, str(found.images), *shares, found.source)
    for column in table.columns:
        column.no_wrap, column.overflow = True, "fold"
    if table.row_count:
        console.print(table)
    else:
        console.print("no labels were made yet; `wsss run` makes them")
    return 0


def show_plan(console: Console, selection: Selection, place: Place) -> int:
    """Print every run of a suite with its state."""
    from wsss.benchmark import planning

    chosen = suite(selection.suite)
    filters = planning.filters(chosen, selection)
    runs = planning.plan(chosen, Workplace(results=place.results, data_root=place.data_root), filters)
    console.print(chosen.title, markup=False)
    table = Table("dataset", "labels", "method", "seed", "state", box=None)
    states: Counter[str] = Counter()
    for run in (run for run in runs if filters.match(run.cell)):
        state, reason = _state(run, place.results)
        states[state] += 1
        cell = run.cell
        table.add_row(cell.dataset, cell.labels, cell.method, str(cell.seed), f"{state}  {reason}".strip())
    console.print(table)
    console.print(", ".join(f"{count} {state}" for state, count in sorted(states.items())), highlight=False)
    return 0


def _state(run: "Run", results: Path) -> tuple[str, str]:
    """The state of a run in a word, and what stands in its way."""
    if run.cell.skip:
        return "n/a", run.cell.skip
    if isinstance(run.obstacle, DatasetMissing):
        return "data missing", f"{run.obstacle.missing} does not exist"
    if run.obstacle is not None:
        return "blocked", str(run.obstacle)
    folder = run.folder(results)
    return (folder.state if folder else "to run"), ""

"""What the verbs list and plan do."""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wsss.benchmark import discovery
from wsss.benchmark.errors import UsageError
from wsss.benchmark.options import Place, Selection
from wsss.benchmark.records import COMMITTED
from wsss.benchmark.suites import SUITES, suite
from wsss.benchmark.types import LABEL_KINDS
from wsss.benchmark.workplace import Workplace

if TYPE_CHECKING:
    from wsss.benchmark.estimate import Cost
    from wsss.benchmark.grid import Suite
    from wsss.benchmark.planning import Run
    from wsss.benchmark.states import State, States


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


def show_plan(console: Console, selection: Selection, place: Place, tflops: float) -> int:
    """Print every run of a suite with its state, what is missing on this disk, and what the runs will cost."""
    from wsss.benchmark import estimate, missing

    chosen, meant, states = _planned(selection, place)
    console.print(chosen.title, markup=False)
    table = Table("dataset", "labels", "method", "seed", "state", box=None)
    found = list(states.look())
    for run, state in found:
        cell = run.cell
        table.add_row(cell.dataset, cell.labels, cell.method, str(cell.seed), f"{state.word}  {state.detail}".strip())
    console.print(table)
    console.print(_count(state for _, state in found), highlight=False)
    for sentence in missing.missing(meant):
        console.print(f"missing: {sentence}", markup=False, highlight=False)
    _show_costs(console, estimate.costs(meant, place.results, (place.results, COMMITTED), tflops), tflops)
    return 0


def watch_plan(console: Console, selection: Selection, place: Place, every: float) -> int:
    """Show the runs of a suite that are not done, anew every so many seconds, until nothing is left to run."""
    from wsss.benchmark.states import OPEN

    if not every > 0:
        raise UsageError(f"--every must be positive, not {every}")
    chosen, _, states = _planned(selection, place)
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                found = list(states.look())
                live.update(_picture(chosen.title, found, console.height if console.is_terminal else 0), refresh=True)
                if not any(state.word in OPEN for _, state in found):
                    return 0
                time.sleep(every)
    except KeyboardInterrupt:  # the usual way to stop looking
        return 0


def _planned(selection: Selection, place: Place) -> "tuple[Suite, list[Run], States]":
    from wsss.benchmark import planning
    from wsss.benchmark.states import States

    chosen = suite(selection.suite)
    filters = planning.filters(chosen, selection)
    runs = planning.plan(chosen, Workplace(results=place.results, data_root=place.data_root), filters)
    meant = [run for run in runs if filters.match(run.cell)]
    return chosen, meant, States(meant, place.results)


def _picture(title: str, found: "list[tuple[Run, State]]", height: int) -> Group:
    """The count of all runs and those that are not done, the running ones first, as far as the screen reaches."""
    from wsss.benchmark.states import OPEN

    order = {word: place for place, word in enumerate(("running", "failed", *OPEN))}
    shown = sorted((pair for pair in found if pair[1].word in order), key=lambda pair: order[pair[1].word])
    rows = max(1, height - 5) if height else len(shown)
    table = Table("run", "state", "", box=None)
    for run, state in shown[:rows]:
        table.add_row(Text(run.name), state.word, Text(state.detail, style="dim"))
    rest = [Text(f"and {len(shown) - rows} more")] if len(shown) > rows else []
    return Group(Text(f"{title}, {time.strftime('%H:%M:%S')}"), Text(_count(state for _, state in found)), table, *rest)


def _count(states: "Iterable[State]") -> str:
    counts = Counter(state.word for state in states)
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))


def _show_costs(console: Console, costs: "list[Cost]", tflops: float) -> None:
    """Print the time that is left, per row and dataset and in all, and what it rests on."""
    if not costs:
        return
    table = Table("time of", "on", "runs", "steps", "TFLOP", "a run", "all", "from", box=None)
    for cost in costs:
        flops = "" if cost.flops is None else f"{cost.flops / 1e12:.1f}"
        times = ("unknown", "") if cost.seconds is None else (_time(cost.seconds), _time(cost.seconds * cost.runs))
        table.add_row(cost.row, cost.dataset, str(cost.runs), f"{cost.steps:,}", flops, *times, cost.source)
    for column in table.columns[:-1]:
        column.no_wrap = True
    console.print(table, highlight=False)
    for counted in (False, True):
        found = [cost for cost in costs if cost.seconds is not None and (cost.flops is not None) == counted]
        total, runs = sum((cost.seconds or 0) * cost.runs for cost in found), sum(cost.runs for cost in found)
        what = f"{_time(total)} on one GPU, counted" if counted else f"{_time(total)}, one run after another"
        if found:
            console.print(f"{runs} of {sum(cost.runs for cost in costs)} runs: {what}", highlight=False)
    if any(cost.flops is not None for cost in costs):
        console.print(
            f"counted: operations of the networks in a step (TFLOP), forth and back where they are trained, at an "
            f"assumed {tflops:g} TFLOP/s sustained (--tflops); losses, loading, evaluation and making points add to it",
            highlight=False,
        )


def _time(seconds: float) -> str:
    """A duration with two digits or more: ``66 s``, ``12 min``, ``2.1 h``, ``989 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36_000 else f"{seconds / 3600:,.0f} h"

"""What the verbs that train do: run and train."""

import dataclasses
import os
import shlex
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console

from wsss.benchmark import discovery, planning
from wsss.benchmark.console import Display
from wsss.benchmark.errors import BenchmarkError, UsageError, unknown_name
from wsss.benchmark.options import Execution, Place, Selection
from wsss.benchmark.planning import Filters, Run
from wsss.benchmark.records import Record
from wsss.benchmark.runner import execute_all
from wsss.benchmark.spec import EvalConfig, NetworkConfig, TrainConfig
from wsss.benchmark.suites import SUITES, Column, Suite, suite
from wsss.benchmark.trainer import Runtime
from wsss.benchmark.types import LABEL_KINDS, WEAK_KINDS
from wsss.benchmark.workplace import Workplace


def run_suite(console: Console, selection: Selection, place: Place, execution: Execution) -> int:
    """Execute what is missing of a suite; the exit code says whether a run failed."""
    chosen = suite(selection.suite)
    filters = planning.filters(chosen, selection)
    replay = f"wsss run --suite {chosen.name}"
    return _run(console, chosen, filters, {}, place, execution, lambda run: f"{replay} {_filters_of(run)}")


def train_one(console: Console, method: str, arguments: list[str]) -> int:
    """Train and score one method on one dataset, with every setting open to change."""
    cls = discovery.method(method)
    options = _options(cls, arguments)
    chosen = tyro.cli(options, prog=f"wsss train {method}", description=cls.__doc__, args=arguments)
    if chosen.dataset not in discovery.names("datasets"):
        raise unknown_name("dataset", chosen.dataset, discovery.names("datasets"))
    if chosen.labels == "full" and cls.supervision == "weak":
        raise UsageError(f"labels full are for methods with dense supervision; {method} takes {', '.join(WEAK_KINDS)}")
    data = _data_of(chosen.place.data_root)
    column = Column(
        dataset=chosen.dataset, labels=() if chosen.labels == "full" else (chosen.labels,),
        train=chosen.train, network=chosen.network, evaluate=chosen.evaluate,
    )  # fmt: skip
    custom = Suite(
        name=f"custom-{data}", title=f"Runs of `wsss train` on {data} data", data=data, columns=(column,),
        seeds=(chosen.seed,), grows=True,
    )  # fmt: skip
    command = shlex.join(["wsss", "train", method, *arguments])
    filters = Filters(method=(method,))
    return _run(console, custom, filters, {method: chosen.method}, chosen.place, chosen.execution, lambda run: command)


def _run(
    console: Console,
    chosen: Suite,
    filters: Filters,
    configs: dict[str, Any],
    place: Place,
    execution: Execution,
    command_of: Any,
) -> int:
    """Plan, write the plan down, execute the wanted runs that are not done, and tell how each ended."""
    jobs = execution.jobs
    workplace = Workplace(results=place.results, data_root=place.data_root, jobs=jobs)
    with Display(0, console) as display:
        runs = planning.plan(chosen, workplace, filters, display.stage, configs)
    planning.write_plan(chosen, runs, filters, workplace.results)
    wanted = [run for run in runs if filters.match(run.cell)]
    for reason in sorted({f"{run.name}: n/a, {run.cell.skip}" for run in wanted if run.cell.skip}):
        console.print(reason, markup=False, highlight=False)
    possible = [run for run in wanted if not run.cell.skip]
    missing = [run for run in possible if not ((folder := run.folder(place.results)) and folder.finished)]
    console.print(f"{chosen.name}: {len(possible) - len(missing)} of {len(possible)} runs are done", highlight=False)
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else 0
    runtime = Runtime(device=execution.device, workers=execution.workers, threads=threads)
    failed = 0
    with Display(len(missing), console) as display:
        for run, outcome in execute_all(missing, workplace, runtime, display.stage, command_of):
            failed += not isinstance(outcome, Record)
            display.finished(f"{run.name}: {_outcome(outcome)}")
    results = "" if place.results == Place().results else f" --results {shlex.quote(str(place.results))}"
    console.print(f"next: wsss report --suite {chosen.name}{results}", markup=False, highlight=False)
    return 1 if failed else 0


def _outcome(outcome: Record | BaseException) -> str:
    if isinstance(outcome, Record):
        scores = ", ".join(f"{name} {value['miou']:.1%}" for name, value in outcome.scores.items())
        seconds = outcome.seconds
        return f"mIoU {scores}  ({seconds['train']:.0f} s of training, {seconds['images_per_second']:.1f} images/s)"
    if isinstance(outcome, BenchmarkError):
        return f"FAILED: {outcome}"
    return f"FAILED: {type(outcome).__name__}: {outcome} (its failure.json holds the traceback)"


def _filters_of(run: Run) -> str:
    cell = run.cell
    return f"--dataset {cell.dataset} --labels {cell.labels} --method {cell.method} --seed {cell.seed}"


def _data_of(data_root: Path | None) -> Literal["miniature", "real"]:
    return "real" if data_root or os.environ.get("WSSS_DATA") else "miniature"


def _options(cls: type, arguments: list[str]) -> type:
    """The options of `wsss train METHOD`: settings default to those of the suite that trains this dataset."""
    name = _peek(arguments, "--dataset")
    root = _peek(arguments, "--data-root")
    data = _data_of(Path(root) if root else None)
    columns = {c.dataset: c for s in SUITES.values() if s.data == data and s.size == "full" for c in s.columns}
    column = columns.get(name or "")
    labels = "full" if cls.supervision == "dense" else dataclasses.MISSING
    fields: list[Any] = [
        ("dataset", str),
        _field("labels", Literal[LABEL_KINDS], labels),
        _field("seed", int, 0),
        _field("method", cls.Config, cls.Config()),
        _field("train", TrainConfig, column.train if column else dataclasses.MISSING),
        _field("network", NetworkConfig, column.network if column else NetworkConfig()),
        _field("evaluate", EvalConfig, column.evaluate if column else EvalConfig()),
        _field("place", tyro.conf.OmitArgPrefixes[Place], Place()),
        _field("execution", tyro.conf.OmitArgPrefixes[Execution], Execution()),
    ]
    return dataclasses.make_dataclass("Options", fields, frozen=True, kw_only=True)


def _field(name: str, kind: Any, default: Any) -> Any:
    return (name, kind) if default is dataclasses.MISSING else (name, kind, dataclasses.field(default=default))


def _peek(arguments: list[str], option: str) -> str | None:
    """The value of an option before the parser runs, since other options' defaults hang on it."""
    for place, argument in enumerate(arguments):
        if argument == option and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(option + "="):
            return argument.split("=", 1)[1]
    return None

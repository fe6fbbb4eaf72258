"""What the verbs that train do: run and train."""

import dataclasses
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console

from wsss.benchmark import discovery, planning, point_sources
from wsss.benchmark.console import Display
from wsss.benchmark.errors import BenchmarkError, UsageError, unknown_name
from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.grid import Column, Suite
from wsss.benchmark.launch import execute_all
from wsss.benchmark.method import Method
from wsss.benchmark.options import Execution, Place, Selection
from wsss.benchmark.planning import Filters, Run
from wsss.benchmark.records import Record
from wsss.benchmark.spec import EvalConfig, NetworkConfig, PointNetworkConfig, PointsConfig, TrainConfig, to_plain
from wsss.benchmark.suites import SUITES, suite
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
        train=chosen.train, network=chosen.network, evaluate=chosen.evaluate, points=_points_of(cls, chosen),
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
    workplace = Workplace(results=place.results, data_root=place.data_root)
    with Display(0, console) as display:
        runs = planning.plan(chosen, workplace, filters, display.stage, configs)
    planning.write_plan(chosen, runs, filters, workplace.results)
    wanted = [run for run in runs if filters.match(run.cell)]
    for reason in sorted({f"{run.name}: n/a, {run.cell.skip}" for run in wanted if run.cell.skip}):
        console.print(reason, markup=False, highlight=False)
    possible = [run for run in wanted if not run.cell.skip]
    missing = [run for run in possible if not ((folder := run.folder(place.results)) and folder.finished)]
    console.print(f"{chosen.name}: {len(possible) - len(missing)} of {len(possible)} runs are done", highlight=False)
    jobs = execution.jobs or max(1, min(_most_jobs(execution.device), len(missing)))
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else 0
    runtime = Runtime(device=execution.device, workers=execution.workers, threads=threads)
    failed = 0
    with Display(len(missing), console) as display:
        for run, outcome in execute_all(missing, replace(workplace, jobs=jobs), runtime, display.stage, command_of):
            failed += not isinstance(outcome, Record)
            display.finished(f"{run.name}: {_outcome(outcome)}")
    results = "" if place.results == Place().results else f" --results {shlex.quote(str(place.results))}"
    console.print(f"next: wsss report --suite {chosen.name}{results}", markup=False, highlight=False)
    return 1 if failed else 0


def _most_jobs(device: str) -> int:
    """Runs that share a CPU by its cores, which is faster than one run on all of them, or a GPU."""
    on_cpu = device == "cpu" or (device == "auto" and not torch.accelerator.is_available())
    return (os.cpu_count() or 1) if on_cpu else 1


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


def _options(cls: type[Method], arguments: list[str]) -> type:
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
        *_point_options(cls, arguments, column.points if column else PointsConfig()),
        _field("place", tyro.conf.OmitArgPrefixes[Place], Place()),
        _field("execution", tyro.conf.OmitArgPrefixes[Execution], Execution()),
    ]
    return dataclasses.make_dataclass("Options", fields, frozen=True, kw_only=True)


def _point_options(cls: type[Method], arguments: list[str], points: PointsConfig) -> list[Any]:
    """The options of a method that learns from points; those of the provider hang on its name."""
    if cls.geometry is None:
        return []
    named = _peek(arguments, "--geometry")
    resolved = point_sources.resolve(cls.geometry, replace(points, geometry=named, settings={}) if named else points)
    assert resolved is not None
    source = point_sources.provider(resolved)
    return [
        _field("geometry", Literal[(resolved.geometry,)] if cls.geometry == "sensor" else str, resolved.geometry),
        _field("provider", type(source), source),
        _field("sampling", Sampling, resolved.sampling),
        _field("point_network", PointNetworkConfig, resolved.network),
    ]


def _points_of(cls: type[Method], chosen: Any) -> PointsConfig:
    """What the options of ``_point_options`` said."""
    if cls.geometry is None:
        return PointsConfig()
    settings = to_plain(chosen.provider)
    return PointsConfig(
        geometry=chosen.geometry, settings=settings, sampling=chosen.sampling, network=chosen.point_network
    )


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

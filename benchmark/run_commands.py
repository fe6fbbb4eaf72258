"""What the verbs that train do: run and train."""

import dataclasses
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console

from wsss.benchmark import discovery, locks, planning, point_sources, showcase, slurm, slurm_queue
from wsss.benchmark.console import Display, tell_maker, tell_owner
from wsss.benchmark.errors import BenchmarkError, UsageError, unknown_name
from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.grid import Column, Suite
from wsss.benchmark.launch import Elsewhere, Outcome, execute_all, gpus_of
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
    command_of: Callable[[Run], str],
) -> int:
    """Plan, write the plan down, execute the wanted runs that are not done, and tell how each ended."""
    workplace = Workplace(results=place.results, data_root=place.data_root)
    if execution.launcher == "slurm":
        slurm.check()
    runs = _planned(console, chosen, filters, configs, workplace)
    wanted = [run for run in runs if filters.match(run.cell)]
    for reason in sorted({f"{run.name}: n/a, {run.cell.skip}" for run in wanted if run.cell.skip}):
        console.print(reason, markup=False, highlight=False)
    possible = [run for run in wanted if not run.cell.skip]
    missing = [run for run in possible if not run.finished(workplace.results)]
    console.print(f"{chosen.name}: {len(possible) - len(missing)} of {len(possible)} runs are done", highlight=False)
    jobs = execution.jobs or max(1, min(_most_jobs(execution), len(missing)))
    runtime = Runtime(
        device=execution.device, devices=execution.devices, workers=execution.workers, threads=_threads(jobs),
        compile=execution.compile, checkpointing=execution.checkpointing, tensorboard=execution.tensorboard,
    )  # fmt: skip
    if execution.launcher == "slurm":
        return _submit(console, missing, workplace, runtime, execution, command_of)
    failed = _execute(console, missing, replace(workplace, jobs=jobs), runtime, command_of)
    _tell_of_page(console, chosen, place, possible)
    return 1 if failed else 0


def _planned(
    console: Console, chosen: Suite, filters: Filters, configs: dict[str, Any], workplace: Workplace
) -> list[Run]:
    """The runs of a suite with all that they need made, and the plan written down; one command at a time."""
    names = [c.dataset for c in chosen.columns if not filters.dataset or c.dataset in filters.dataset]
    with Display(0, console) as display:
        with workplace.making(chosen.kind, names, partial(tell_maker, console)):
            runs = planning.plan(chosen, workplace, filters, display.stage, configs)
            finished = [run for run in runs if filters.match(run.cell) and run.finished(workplace.results)]
            showcase.complete(finished, workplace, display.stage)
        with locks.in_turn(workplace.results / chosen.name, lambda owner: tell_owner(console, owner, "the plan")):
            planning.write_plan(chosen, runs, filters, workplace.results)
    return runs


def _execute(
    console: Console, missing: list[Run], workplace: Workplace, runtime: Runtime, command_of: Callable[[Run], str]
) -> int:
    """Execute runs and tell how each ended; the number of those that failed."""
    failed, elsewhere = 0, []
    with Display(len(missing), console) as display:
        for run, outcome in execute_all(missing, workplace, runtime, display.stage, command_of):
            if isinstance(outcome, Elsewhere) and outcome.owner is not None:
                elsewhere.append(f"{run.name} by {outcome.owner}")
                continue
            failed += isinstance(outcome, BaseException)
            display.finished(f"{run.name}: {_outcome(outcome)}")
    if elsewhere:
        count = "1 run is" if len(elsewhere) == 1 else f"{len(elsewhere)} runs are"
        console.print(f"{count} executed elsewhere: {', '.join(elsewhere)}", markup=False, highlight=False)
    return failed


def _submit(
    console: Console, missing: list[Run], workplace: Workplace, runtime: Runtime, execution: Execution,
    command_of: Callable[[Run], str],
) -> int:  # fmt: skip
    """Submit to SLURM what nobody is at, and say where to watch it."""
    if not missing:
        return 0
    suite = workplace.results / missing[0].suite.name
    failed = 0
    with locks.in_turn(suite, lambda owner: None):  # two commands must not submit the same
        queued, fresh = slurm_queue.waiting(suite), []
        for run in missing:
            folder = run.folder(workplace.results)
            if run.obstacle is not None or folder is None:
                failed += 1
                console.print(f"{run.name}: FAILED: {run.obstacle}", markup=False, highlight=False)
                continue
            owner = locks.owner_of(folder.path)
            if run.cell.folder not in queued and (owner is None or owner.gone):
                fresh.append(run)
        submitted = slurm.submit(fresh, workplace, runtime, execution.slurm, command_of) if fresh else {}
    others = len(missing) - failed - len(fresh)
    already = f"; {others} are queued or running already" if others else ""
    jobs = sorted({job.split("_")[0] for job in submitted.values()})
    as_job = f" as job {', '.join(jobs)}" if jobs else ""
    console.print(f"{len(submitted)} runs submitted{as_job}{already}; logs in {suite / 'slurm'}", highlight=False)
    option = _results_option(workplace.results)
    console.print(f"next: wsss plan --suite {suite.name}{option} --watch", markup=False, highlight=False)
    return 1 if failed else 0


def _tell_of_page(console: Console, chosen: Suite, place: Place, possible: list[Run]) -> None:
    """Where the page of a suite is, if it knows of every finished run, or how to make it."""
    page = place.results / chosen.name / "index.html"
    done = [folder.path / "run.json" for run in possible if (folder := run.folder(place.results)) and folder.finished]
    if page.is_file() and all(path.stat().st_mtime <= page.stat().st_mtime for path in done):
        console.print(f"page: {page}", markup=False, highlight=False)
    report = f"wsss report --suite {chosen.name}{_results_option(place.results)}"
    console.print(f"next: {report}  (makes {page})", markup=False, highlight=False)


def _results_option(results: Path) -> str:
    return "" if results == Place().results else f" --results {shlex.quote(str(results))}"


def _most_jobs(execution: Execution) -> int:
    """Runs that share the GPUs, or a CPU by its cores, which is faster than one run on all of them."""
    on_cpu = execution.device == "cpu" or (execution.device == "auto" and not torch.accelerator.is_available())
    units = (os.cpu_count() or 1) if on_cpu else len(gpus_of(execution.device))
    return max(1, units // max(1, execution.devices))


def _threads(jobs: int) -> int:
    """CPU threads of each of several runs; 0 leaves one run torch's choice."""
    return max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else 0


def _outcome(outcome: Outcome) -> str:
    if isinstance(outcome, Elsewhere):
        assert outcome.record is not None
        return f"{_outcome(outcome.record)}, executed elsewhere"
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

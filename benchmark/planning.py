"""From a suite to its runs: which exist, which cannot, and the fingerprint and folder of each."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from wsss.benchmark import discovery, point_sources
from wsss.benchmark.atomic import write_text
from wsss.benchmark.dataset import Dataset, DatasetMissing
from wsss.benchmark.errors import BenchmarkError, Unsupported, UsageError, unknown_name
from wsss.benchmark.geometry import providers
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.grid import Column, Row, Suite
from wsss.benchmark.method import Method
from wsss.benchmark.networks import image_network, presence, weights
from wsss.benchmark.options import Selection
from wsss.benchmark.records import Cell, Plan, RunFolder, read_plan
from wsss.benchmark.spec import NetworkConfig, RunSpec, fingerprint, to_plain
from wsss.benchmark.suites import FLOOR
from wsss.benchmark.supervision import Statistics, Supervision
from wsss.benchmark.types import LABEL_KINDS, LabelKind
from wsss.benchmark.workplace import OnProgress, Workplace


@dataclass(frozen=True, kw_only=True)
class Run:
    """One planned run with all that it takes to execute it."""

    cell: Cell
    suite: Suite
    column: Column
    row: Row
    method: type[Method]
    spec: RunSpec | None = None
    """None if skipped, or if data or labels are not there yet."""
    dataset: Dataset | None = None
    supervision: Supervision | None = None
    labels: Statistics | None = None
    clouds: Clouds | None = None
    """Of the scenes that it learns from, for a method that learns from points."""
    digests: dict[str, str] = field(default_factory=dict)
    obstacle: BenchmarkError | None = None
    """Why the run cannot be planned further at the moment."""

    @property
    def name(self) -> str:
        """``cityscapes/scribbles/ema/0``: what a person calls this run."""
        cell = self.cell
        return f"{cell.dataset}/{cell.labels}/{cell.method}/{cell.seed}"

    @cached_property
    def key(self) -> str:
        """The run's fingerprint."""
        assert self.spec is not None
        return fingerprint(self.spec, self.digests, self.method.version)

    def folder(self, results: Path) -> RunFolder | None:
        """Where the run's files are; None while that is unknown."""
        return None if self.cell.folder is None else RunFolder(results / self.suite.name / self.cell.folder)

    def finished(self, results: Path) -> bool:
        """Whether it is known to be done."""
        return bool((folder := self.folder(results)) and folder.finished)


@dataclass(frozen=True)
class Filters:
    """Which runs of a suite are meant; an empty tuple means all."""

    method: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    seed: tuple[int, ...] = ()

    def match(self, cell: Cell) -> bool:
        """Whether a cell is meant. A ceiling is meant by every kind of label, since it closes every column."""
        pairs = ((self.method, cell.method), (self.dataset, cell.dataset), (self.seed, cell.seed))
        if not all(not wanted or value in wanted for wanted, value in pairs):
            return False
        return not self.labels or cell.labels in (*self.labels, "full")


def filters(suite: Suite, selection: Selection) -> Filters:
    """The filters of a selection.

    Raises:
        UsageError: One of them names what does not exist, or what the suite does not hold.
    """
    held = {"method": [row.name for row in rows(suite)], "dataset": [column.dataset for column in suite.columns]}
    for kind, wanted in (("method", selection.method), ("dataset", selection.dataset)):
        known = {*discovery.names(f"{kind}s"), *held[kind]}
        for name in wanted:
            if name not in known:
                raise unknown_name(kind, name, known)
            if name not in held[kind]:
                raise UsageError(f"suite {suite.name} has no {name}: see `wsss plan --suite {suite.name}`")
    for name in selection.labels:
        if name not in LABEL_KINDS:
            raise unknown_name("kind of label", name, LABEL_KINDS)
    return Filters(selection.method, selection.dataset, selection.labels, selection.seed)


def methods() -> dict[str, type[Method]]:
    """Every method, the floor first and the ceilings last.

    A module that cannot be imported raises its own error: a table must not lack a row silently.
    """
    found = {name: discovery.method(name) for name in discovery.names("methods")}
    return dict(sorted(found.items(), key=lambda item: (item[1].supervision == "dense", item[0] != FLOOR, item[0])))


def rows(suite: Suite) -> tuple[Row, ...]:
    """The rows of a suite's tables: those that it names, else one for every method there is."""
    return suite.rows or tuple(Row(name=name, method=name) for name in methods() if name not in suite.without)


def plan(
    suite: Suite,
    workplace: Workplace,
    filters: Filters = Filters(),
    on_progress: OnProgress | None = None,
    configs: dict[str, Any] | None = None,
) -> list[Run]:
    """The runs of a suite, in the order of its tables.

    Args:
        suite: What to plan.
        workplace: Where things are.
        filters: Which runs are meant; what the others need is not made.
        on_progress: If given, miniature data, labels and points that are missing are made and progress is told.
        configs: Per method name a Config to use in place of the default one.
    """
    runs = list(_cells(suite))
    meant = [run.cell for run in runs if filters.match(run.cell)]
    data = {cell.dataset for cell in meant}
    labels = {(cell.dataset, cell.labels, cell.seed) for cell in meant}
    datasets: dict[str, Dataset | BenchmarkError] = {}
    for column in suite.columns:
        make = on_progress if column.dataset in data else None
        try:
            datasets[column.dataset] = workplace.open(column.dataset, suite, make)
        except (DatasetMissing, UsageError) as error:
            if make is not None:
                raise
            datasets[column.dataset] = error
    planned: list[Run] = []
    told: dict[tuple[str, str, int], tuple[Supervision, Statistics]] = {}
    adapters = {column.dataset: discovery.dataset(column.dataset) for column in suite.columns}
    for run in runs:
        cell = run.cell
        if reason := _impossible(run.method, adapters[cell.dataset], cell.labels, run.column.network):
            planned.append(replace(run, cell=replace(cell, skip=reason)))
            continue
        make = on_progress if (cell.dataset, cell.labels, cell.seed) in labels else None
        complete = _complete(run, datasets[cell.dataset], workplace, make, (configs or {}).get(cell.method), told)
        if on_progress is not None and filters.match(cell) and not complete.finished(workplace.results):
            complete = with_points(complete, workplace, on_progress)
        planned.append(complete)
    return planned


def _cells(suite: Suite) -> Iterator[Run]:
    known = methods()
    for column in suite.columns:
        for row in rows(suite):
            method = known[row.method]
            kinds: tuple[LabelKind, ...] = ("full",) if method.supervision == "dense" else column.labels
            for kind in kinds:
                for seed in suite.seeds:
                    cell = Cell(dataset=column.dataset, labels=kind, method=row.name, seed=seed, folder=None)
                    yield Run(cell=cell, suite=suite, column=column, row=row, method=method)


def _complete(
    run: Run,
    dataset: Dataset | BenchmarkError,
    workplace: Workplace,
    on_progress: OnProgress | None,
    config: Any,
    told: dict[tuple[str, str, int], tuple[Supervision, Statistics]],
) -> Run:
    """Add to a run what can be known of it, its specification and folder; ``told`` keeps labels that were read."""
    cell = run.cell
    if isinstance(dataset, BenchmarkError):
        to_be_built = run.suite.data == "miniature" and isinstance(dataset, DatasetMissing)
        return run if to_be_built else replace(run, obstacle=dataset)
    spec = RunSpec(
        dataset=cell.dataset, data=run.suite.data, labels=cell.labels, method=run.row.method, seed=cell.seed,
        train=run.column.train, network=run.column.network, evaluate=run.column.evaluate,
        config=to_plain(run.method.Config(**run.row.config) if config is None else config),
        points=point_sources.resolve(run.method.geometry, run.row.points or run.column.points),
    )  # fmt: skip
    key = (cell.dataset, cell.labels, cell.seed)
    if on_progress is None and presence.missing(spec.network) is not None:
        return replace(run, dataset=dataset)  # the rest would have to be fetched
    if key not in told:
        supervision = Supervision(dataset, cell.labels, cell.seed, workplace.work / "labels")
        if on_progress is None and not supervision.ready:
            return replace(run, dataset=dataset)  # or made
        stage = f"labels {cell.dataset} {cell.labels} {cell.seed}"
        tell = None if on_progress is None else lambda done, total: on_progress(stage, done, total, "")
        told[key] = supervision, supervision.prepare(workplace.makers, tell)
    supervision, labels = told[key]
    splits = {"train": dataset.digest("train"), "evaluate": dataset.digest(spec.evaluate.split)}
    digests = {**splits, "labels": labels.digest}
    clouds = None
    try:
        digests["weights"] = _initial_weights(spec.network, len(dataset.classes), spec.seed)
        if spec.points is not None:
            geometry = point_sources.provider(spec.points)
            clouds = Clouds(dataset, geometry, workplace.work / "points")
            digests["points"] = providers.digest(geometry)
            digests["point_weights"] = point_sources.initial_weights(spec.points.network, dataset.classes, spec.seed)
    except UsageError as error:
        return replace(run, dataset=dataset, obstacle=error)
    run = replace(
        run, spec=spec, dataset=dataset, supervision=supervision, labels=labels, clouds=clouds, digests=digests
    )
    folder = f"runs/{cell.dataset}/{cell.labels}/{cell.method}/{cell.seed}-{run.key}"
    return replace(run, cell=replace(cell, folder=folder))


def with_points(run: Run, workplace: Workplace, on_progress: OnProgress) -> Run:
    """The run with its clouds made; with the reason why it cannot be executed if that failed."""
    if run.clouds is None or run.obstacle is not None:
        return run
    stage = f"points {run.cell.dataset} {providers.name_of(run.clouds.geometry)}"
    tell = lambda done, total: on_progress(stage, done, total, "")  # noqa: E731
    return replace(run, obstacle=point_sources.prepare(run.clouds, workplace.makers, tell))


@cache
def _initial_weights(network: NetworkConfig, classes: int, seed: int) -> str:
    return weights.digest(image_network(network, classes, seed))


def _impossible(method: type[Method], dataset: type[Dataset], kind: LabelKind, network: NetworkConfig) -> str | None:
    """Why a run cannot exist, as tables print it; None if it can."""
    if kind != "full" and kind not in dataset.labels:
        return f"{dataset.title} has no {kind}"
    if method.geometry == "sensor" and not dataset.sources & {"lidar", "depth"}:
        return f"{dataset.title} has no range sensor"
    return method.obstacle(network)


def write_plan(suite: Suite, runs: list[Run], filters: Filters, results: Path) -> None:
    """Write the plan that the report reads; cells that the filters leave out keep what an earlier plan knew of them."""
    folder = results / suite.name
    earlier = read_plan(folder) if (folder / "plan.json").is_file() else None
    cells = {} if earlier is None else {cell.identity: cell for cell in earlier.cells}
    meant = {run.cell.identity: run.cell for run in runs if filters.match(run.cell)}
    if suite.grows:
        cells = {**cells, **meant}
    else:
        cells = {key: meant.get(key) or cells.get(key, run.cell) for run in runs if (key := run.cell.identity)}
    named = {cell.method for cell in cells.values()}
    used = dict.fromkeys(cell.dataset for cell in cells.values())
    plan = Plan(
        suite=suite.name,
        title=suite.title,
        data=suite.data,
        methods={run.row.name: describe_method(run.method, run.row) for run in runs if run.row.name in named},
        datasets={name: describe_dataset(discovery.dataset(name)) for name in used},
        cells=tuple(cells.values()),
    )
    write_text(folder / "plan.json", json.dumps(to_plain(plan), indent=1) + "\n")


def describe_method(method: type[Method], row: Row) -> dict[str, Any]:
    """What a report says of a row."""
    names = ("title", "paper", "url", "supervision", "geometry", "version")
    facts = {name: getattr(method, name) for name in names}
    return facts if row.title is None else {**facts, "title": row.title}


def describe_dataset(dataset: type[Dataset]) -> dict[str, Any]:
    """What a report says of a dataset."""
    classes = dataset.classes
    return {
        "title": dataset.title,
        "classes": list(classes.names),
        "colors": [list(color) for color in classes.colors],
        "things": sorted(classes.things),
    }


def require(run: Run) -> Run:
    """The run itself if it can be executed.

    Raises:
        BenchmarkError: What stands in its way.
    """
    if run.cell.skip:
        raise Unsupported(run.cell.skip)
    if run.obstacle is not None:
        raise run.obstacle
    return run

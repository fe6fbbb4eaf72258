"""What the runs of a suite will cost: measured on runs of the same kind, or operations over an assumed speed."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.benchmark.errors import BenchmarkError, UsageError
from wsss.benchmark.operations import step_flops
from wsss.benchmark.planning import Run
from wsss.benchmark.records import SCHEMA
from wsss.benchmark.spec import PROTOCOL, canonical, to_plain

LEAST = 1e11
"""Operations of a step below which counting says nothing: such a step is made of calls and copies."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of the runs of one row on one dataset, all kinds of labels and seeds together."""

    dataset: str
    row: str
    runs: int
    """That are not finished."""
    steps: int
    flops: float | None
    """Of a step; None where seconds were measured, or are unknown."""
    seconds: float | None
    """Of one run."""
    source: str
    """``counted``, ``unknown``, or the device and the number of the runs that were measured."""


@dataclass(frozen=True, slots=True)
class _Times:
    """Means over finished runs of one shape on one device."""

    device: str
    runs: int
    step: float
    evaluation: float


def costs(runs: Iterable[Run], results: Path, stored: Sequence[Path], tflops: float) -> list[Cost]:
    """What is left of a suite to be paid for, one entry per dataset and row, in the order of the tables.

    Args:
        runs: Planned ones; those that cannot exist or are finished cost nothing.
        results: Where these runs are finished.
        stored: Results folders whose finished runs tell how long one takes.
        tflops: Sustained operations per second, in units of 1e12, of the device that the suite is meant for.

    Raises:
        UsageError: ``tflops`` is not positive.
    """
    if not tflops > 0:
        raise UsageError(f"--tflops must be positive, not {tflops}")
    left: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if not run.cell.skip and not run.finished(results):
            left.setdefault((run.cell.dataset, run.row.name), []).append(run)
    known = _measured(stored)
    return [_cost(group, known, tflops) for group in left.values()]


def _cost(group: list[Run], known: dict[str, _Times], tflops: float) -> Cost:
    run, steps = group[0], group[0].column.train.steps
    times, flops, seconds, source = known.get(_shape_of(run)), None, None, "unknown"
    if times is not None:
        seconds = times.step * steps + times.evaluation
        source = f"{times.runs} run{'s' * (times.runs > 1)} on {times.device}"
    elif run.suite.data == "real" and (counted := step_flops(run)) >= LEAST:
        flops, seconds, source = counted, steps * counted / (tflops * 1e12), "counted"
    return Cost(
        dataset=run.cell.dataset, row=run.row.name, runs=len(group), steps=steps, flops=flops, seconds=seconds,
        source=source,
    )  # fmt: skip


def _shape_of(run: Run) -> str:
    points = None if run.method.geometry is None else to_plain(run.row.points or run.column.points)
    train, network = to_plain(run.column.train), to_plain(run.column.network)
    return _shape(run.suite.data, run.cell.dataset, run.row.name, train, network, points)


def _shape(*named: Any) -> str:
    """What the seconds of a step hang on beside the device: data, dataset, row, and the sizes of what is learned."""
    *names, train, network, points = named
    sizes = {name: train[name] for name in ("crop", "batch", "precision")}
    return canonical([*names, sizes, network, points and [points["sampling"]["budget"], points["network"]]])


def _measured(folders: Sequence[Path]) -> dict[str, _Times]:
    """Times by shape, on the device that most runs of the shape were on; runs of other versions do not count."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for path in sorted(path for folder in folders for path in folder.glob("*/runs/*/*/*/*/run.json")):
        try:
            record = json.loads(path.read_text("utf-8"))
            if (record["schema"], record["protocol"]) != (SCHEMA, PROTOCOL):
                continue
            spec, seconds, device = record["spec"], record["seconds"], record["provenance"]["device"]
            names, sizes = (spec["data"], spec["dataset"], path.parts[-3]), (spec["train"], spec["network"])
            shape = _shape(*names, *sizes, spec.get("points"))
            times = seconds["train"] / spec["train"]["steps"], seconds["evaluate"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchmarkError(f"{path}: cannot be read ({error!r}); delete {path.parent} and rerun") from error
        found.setdefault(shape, {}).setdefault(device, []).append(times)
    return {shape: _means(*max(devices.items(), key=lambda item: len(item[1]))) for shape, devices in found.items()}


def _means(device: str, times: list[tuple[float, float]]) -> _Times:
    step, evaluation = (sum(column) / len(times) for column in zip(*times, strict=True))
    return _Times(device, len(times), step, evaluation)

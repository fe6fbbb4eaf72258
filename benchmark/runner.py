"""One run from beginning to end: train, evaluate, keep what the report needs, declare it done.

Whatever is written is written so that a kill at any moment loses nothing and doubles nothing: the next call goes on
from the last checkpoint, evaluates again, or finds ``run.json`` and returns at once.
"""

import datetime
import time
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric import Fabric

from wsss.benchmark import distributed, memory, planning, processes, samples, showcase
from wsss.benchmark.atomic import write_text
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.devices import check_devices, fabric_of, facts_of, name_of, threads_of_rank
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.evaluate import evaluate
from wsss.benchmark.loader import TrainingSet
from wsss.benchmark.method import Method, Task
from wsss.benchmark.networks import image_network, point_network
from wsss.benchmark.planning import Run
from wsss.benchmark.provenance import environment, provenance
from wsss.benchmark.records import Counts, Record, RunFolder
from wsss.benchmark.samples import Predicted, sample_frames
from wsss.benchmark.spec import RunSpec, TrainConfig, from_plain
from wsss.benchmark.statistics import iou, miou
from wsss.benchmark.trainer import OnStep, Runtime, lr_factor, train
from wsss.benchmark.workplace import OnProgress

if TYPE_CHECKING:
    from wsss.benchmark.board import Board


def execute(run: Run, results: Path, runtime: Runtime, on_progress: OnProgress, command: str) -> Record:
    """Bring one run to its end and return its record; at once if it is finished.

    With several devices each has a process of its own, which this one starts and waits for.

    Raises:
        BenchmarkError: The run failed or cannot exist; its folder says so too.
    """
    folder = planning.require(run).folder(results)
    if folder is None or run.spec is None or run.dataset is None or run.supervision is None:
        raise BenchmarkError(f"{run.cell}: its data or labels are not there yet")
    if folder.finished:
        return folder.read_record()
    folder.tidy()
    folder.write("spec.json", run.spec)
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        check_devices(runtime, run.spec.train.batch)
        work = (run, results, runtime, command, started)
        if runtime.devices == 1:
            record = _bring_to_end(*work, on_progress)
        else:
            record = processes.on_each(runtime.devices, _bring_to_end, work, on_progress)
        assert record is not None  # rank 0's
    except Exception as error:
        failure = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        folder.write("failure.json", {**failure, "step": getattr(error, "step", None)})
        raise
    on_progress("finish", 1, 1, "")  # whoever holds the folder's lock makes sure of it once more
    return folder.finish(record)


def _bring_to_end(
    run: Run, results: Path, runtime: Runtime, command: str, started: str, on_progress: OnProgress
) -> Record | None:
    """What each process of a run does: train and evaluate. Rank 0 writes, and has the record."""
    folder = run.folder(results)
    assert folder is not None and run.spec is not None and run.dataset is not None and run.supervision is not None
    first = distributed.rank() == 0
    if threads := threads_of_rank(runtime):
        torch.set_num_threads(threads)
    fabric = fabric_of(runtime, run.spec.train.precision)
    memory.forget_peak(fabric.device)
    method = build(run.method, run.spec, run.dataset)
    sampling = None if run.spec.points is None else run.spec.points.sampling
    training = TrainingSet(run.supervision, run.spec.train, run.spec.seed, method.preparation(), run.clouds, sampling)
    with _board(run, folder) if runtime.tensorboard and first else nullcontext() as board:
        tell = _training_news(on_progress, run.spec.train, board)
        seconds = train(method, training, run.spec, folder, fabric, runtime, tell)
        begun = time.monotonic()
        counts, predicted = _score(method, run, fabric, on_progress)
        peak = max(distributed.gathered(memory.peak_mb(fabric.device)))
        if not first:
            return None
        _write_evaluation(run, folder, results, counts, predicted)
        if board is not None:
            _show(board, run, predicted)
    seconds["evaluate"] = time.monotonic() - begun
    write_text(folder.path / "environment.txt", environment())
    facts = {**provenance(name_of(fabric.device), torch.get_num_threads()), "execution": facts_of(runtime, fabric)}
    return _record(run, method, counts, seconds, peak, facts, command, started)


def build(method: type[Method], spec: RunSpec, dataset: Dataset) -> Method:
    """A method with its networks, initial weights a function of the specification alone."""
    classes, points = dataset.classes, spec.points
    task = Task(
        classes=classes,
        image_network=lambda: image_network(spec.network, len(classes), spec.seed),
        point_network=None
        if points is None
        else lambda: point_network(points.network, len(classes.on_surfaces), spec.seed),
    )
    config = from_plain(method.Config, spec.config, f"{spec.method}: config")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        return method(config, task)


def _score(method: Method, run: Run, fabric: Fabric, on_progress: OnProgress) -> tuple[Counts, Predicted]:
    """Evaluate every predictor; the counts, and what is predicted of the sample frames."""
    assert run.spec is not None and run.dataset is not None
    method.eval()
    config = run.spec.evaluate
    shown = {frame.id for frame in sample_frames(run.dataset, config)}
    with fabric.autocast():
        return evaluate(
            method.predictors(), run.dataset, config, fabric.device, shown,
            lambda done, total: on_progress("evaluate", done, total, ""),
        )  # fmt: skip


def _write_evaluation(run: Run, folder: RunFolder, results: Path, counts: Counts, predicted: Predicted) -> None:
    """Store counts and samples, of pictures and of points."""
    samples.write_predicted(folder, predicted)
    samples.write_shared(run, results)
    showcase.write(run, results)
    folder.write_counts(counts)


def _record(
    run: Run,
    method: Method,
    counts: Counts,
    seconds: dict[str, float],
    peak: float,
    facts: dict[str, Any],
    command: str,
    started: str,
) -> Record:
    assert run.spec is not None and run.dataset is not None and run.labels is not None
    scores = {}
    for name, table in counts.tables.items():
        classes = [None if np.isnan(value) else float(value) for value in iou(table.sum(0))]
        scores[name] = {"miou": miou(table), "classes": classes}
    return Record(
        spec=run.spec,
        fingerprint=run.key,
        suite=run.suite.name,
        method=planning.describe_method(run.method, run.row),
        dataset=planning.describe_dataset(type(run.dataset)),
        labels={
            "source": run.labels.source, "images": run.labels.images,
            "share": run.labels.share, "correct": run.labels.correct, "coverage": run.labels.coverage,
        },
        digests=run.digests,
        scores=scores,
        parameters=sum(p.numel() for p in method.parameters() if p.requires_grad),
        seconds=seconds,
        peak_memory_mb=peak,
        provenance=facts,
        command=command,
        started=started,
    )  # fmt: skip


def _board(run: Run, folder: RunFolder) -> "Board":
    from wsss.benchmark.board import Board  # it draws with what reports draw with, which takes long to import

    assert run.spec is not None
    return Board(folder.path, run.spec.train.batch)


def _show(board: "Board", run: Run, predicted: Predicted) -> None:
    """The sample frames for a watcher."""
    from wsss.benchmark.board import predictions

    assert run.spec is not None and run.dataset is not None
    frames = sample_frames(run.dataset, run.spec.evaluate)
    sheets = predictions(run.dataset, frames, predicted, run.spec.labels, run.spec.seed)
    board.images(run.spec.train.steps, sheets)


def _training_news(on_progress: OnProgress, config: TrainConfig, board: "Board | None") -> OnStep:
    """Progress of training with its speed since now and its losses, and the same for a watcher's board."""
    begun, first = time.monotonic(), 0

    def tell(step: int, steps: int, losses: Mapping[str, float]) -> None:
        nonlocal begun, first
        if not first:  # a resumed run starts in the middle, and the first step warms up
            begun, first = time.monotonic(), step
        rate = (step - first) * config.batch / max(time.monotonic() - begun, 1e-9)
        speed = f"{rate:.1f} images/s  " if step > first else ""
        on_progress("train", step, steps, speed + "  ".join(f"{name} {value:.3f}" for name, value in losses.items()))
        if board is not None:
            board.scalars(step, steps, losses, config.lr * lr_factor(config, step - 1))

    return tell

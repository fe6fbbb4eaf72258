"""One run from beginning to end: train, evaluate, keep what the report needs, declare it done.

Whatever is written is written so that a kill at any moment loses nothing and doubles nothing: the next call goes on
from the last checkpoint, evaluates again, or finds ``run.json`` and returns at once.
"""

import datetime
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from lightning_fabric import Fabric

from wsss.benchmark import memory, planning, showcase
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.evaluate import evaluate, frames_of
from wsss.benchmark.loader import TrainingSet
from wsss.benchmark.method import Method, Task
from wsss.benchmark.networks import image_network, point_network
from wsss.benchmark.planning import Run
from wsss.benchmark.provenance import environment, provenance
from wsss.benchmark.records import Counts, Record, RunFolder, replacing, write_text
from wsss.benchmark.spec import EvalConfig, RunSpec, from_plain
from wsss.benchmark.statistics import iou, miou
from wsss.benchmark.trainer import OnStep, Runtime, train
from wsss.benchmark.types import Frame
from wsss.benchmark.workplace import OnProgress

SAMPLES = 3
"""Frames per dataset whose predictions are kept for the qualitative figure, evenly spaced over the split."""


def execute(run: Run, results: Path, runtime: Runtime, on_progress: OnProgress, command: str) -> Record:
    """Bring one run to its end and return its record; at once if it is finished.

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
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    try:
        fabric = Fabric(accelerator=runtime.device, devices=1, precision=run.spec.train.precision)
        memory.forget_peak(fabric.device)
        method = build(run.method, run.spec, run.dataset)
        sampling = None if run.spec.points is None else run.spec.points.sampling
        training = TrainingSet(
            run.supervision, run.spec.train, run.spec.seed, method.preparation(), run.clouds, sampling
        )
        tell = _training_news(on_progress, run.spec.train.batch)
        seconds = train(method, training, run.spec, folder, fabric, runtime, tell)
        seconds["evaluate"], counts = _score(method, run, folder, results, fabric, on_progress)
        write_text(folder.path / "environment.txt", environment())
        record = _record(run, method, counts, seconds, fabric.device, command, started)
    except Exception as error:
        failure = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        folder.write("failure.json", {**failure, "step": getattr(error, "step", None)})
        raise
    folder.finish(record)
    return record


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


def _score(
    method: Method, run: Run, folder: RunFolder, results: Path, fabric: Fabric, on_progress: OnProgress
) -> tuple[float, Counts]:
    """Evaluate every predictor and store counts and samples, of pictures and of points."""
    assert run.spec is not None and run.dataset is not None
    begun = time.monotonic()
    method.eval()
    config = run.spec.evaluate
    samples = sample_frames(run.dataset, config)
    with fabric.autocast():
        counts, predicted = evaluate(
            method.predictors(), run.dataset, config, fabric.device, {frame.id for frame in samples},
            lambda done, total: on_progress("evaluate", done, total, ""),
        )  # fmt: skip
    for name, image in predicted.items():
        _write_png(folder.samples / f"{name}.png", image)
    _write_shared_samples(run, results / run.suite.name / "samples" / run.spec.dataset, samples)
    showcase.write(run, results)
    folder.write_counts(counts)
    return time.monotonic() - begun, counts


def sample_frames(dataset: Dataset, config: EvalConfig) -> list[Frame]:
    """The frames of the qualitative figure: evenly spaced, whatever the results."""
    frames = [frame for _, frame in frames_of(dataset, config)]
    places = np.unique(((np.arange(SAMPLES) + 0.5) / SAMPLES * len(frames)).astype(int))
    return [frames[i] for i in places]


def _write_shared_samples(run: Run, folder: Path, frames: list[Frame]) -> None:
    """Image, truth and the weak labels that such a frame would carry in training, once for all runs."""
    assert run.spec is not None and run.dataset is not None
    for frame in frames:
        dense = run.dataset.dense(frame)
        assert dense is not None
        pictures = {"image": run.dataset.image(frame)[..., ::-1], "truth": dense}
        if run.spec.labels != "full":
            weak = run.dataset.weak(frame, run.spec.labels, run.spec.seed)
            pictures[f"weak-{run.spec.labels}-{run.spec.seed}"] = weak
        for name, picture in pictures.items():
            path = folder / frame.id / f"{name}.png"
            if not path.is_file():
                _write_png(path, picture)


def _write_png(path: Path, image: UInt8[np.ndarray, "..."]) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes())


def _record(
    run: Run,
    method: Method,
    counts: Counts,
    seconds: dict[str, float],
    device: torch.device,
    command: str,
    started: str,
) -> Record:
    assert run.spec is not None and run.dataset is not None and run.labels is not None
    scores = {}
    for name, table in counts.tables.items():
        classes = [None if np.isnan(value) else float(value) for value in iou(table.sum(0))]
        scores[name] = {"miou": miou(table), "classes": classes}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
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
        peak_memory_mb=memory.peak_mb(device),
        provenance=provenance(name, torch.get_num_threads()),
        command=command,
        started=started,
    )  # fmt: skip


def _training_news(on_progress: OnProgress, batch: int) -> OnStep:
    """Progress of training with its speed since now and its losses."""
    begun, first = time.monotonic(), 0

    def tell(step: int, steps: int, losses: Mapping[str, float]) -> None:
        nonlocal begun, first
        if not first:  # a resumed run starts in the middle, and the first step warms up
            begun, first = time.monotonic(), step
        rate = (step - first) * batch / max(time.monotonic() - begun, 1e-9)
        speed = f"{rate:.1f} images/s  " if step > first else ""
        on_progress("train", step, steps, speed + "  ".join(f"{name} {value:.3f}" for name, value in losses.items()))

    return tell

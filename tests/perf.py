"""Measures the hot paths and prints one Markdown table: `nox -s perf [-- name ...]`.

A benchmark is a function whose docstring says what is measured; a baseline does the same work in the plain way. Times
are those of the processor, so that other work on the machine disturbs them less. Those of the harness stand here,
those of the tree filter, datasets, clouds, stereo, the point network and Rewis3d in the perf_*.py beside it.
"""

import inspect
import sys
import tempfile
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from fake_results import write_suite
from toy import spec

from wsss.benchmark import discovery, labels, statistics
from wsss.benchmark.devices import fabric_of
from wsss.benchmark.errors import unknown_name
from wsss.benchmark.evaluate import evaluate
from wsss.benchmark.loader import TrainingSet
from wsss.benchmark.records import RunFolder
from wsss.benchmark.report import build as build_report
from wsss.benchmark.runner import build
from wsss.benchmark.suites import QUICK
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.trainer import Runtime, train
from wsss.datasets import miniature

COLUMN = QUICK.columns[0]
Result = tuple[float, str, float | None]  # a number, its unit, and what the baseline reaches
FOLDER = tempfile.TemporaryDirectory(prefix="wsss-perf-")


def seconds(work, repeat=1) -> float:
    """Processor time of the fastest of ``repeat`` runs."""
    times = []
    for _ in range(repeat):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def in_turns(*works, repeat=5) -> list[float]:
    """The fastest of ``repeat`` runs of each; what disturbs one disturbs its neighbour too."""
    rounds = [[seconds(work) for work in works] for _ in range(repeat + 1)]
    return np.array(rounds[1:]).min(0).tolist()  # the first round compiles and fills caches


@cache
def tiny():
    """The tiny miniature of Cityscapes, its prepared scribbles, and the seconds that building it took."""
    took = seconds(lambda: miniature.build(Path(FOLDER.name), "cityscapes", "tiny", jobs=1))
    dataset = discovery.dataset("cityscapes")(Path(FOLDER.name) / "cityscapes")
    supervision = Supervision(dataset, "scribbles", 0, Path(FOLDER.name) / "labels")
    supervision.prepare()
    return dataset, supervision, took


def derived(kind: str, size: tuple[int, int]) -> Result:
    dataset = tiny()[0]
    frame = next(dataset.labelled("train"))[1]
    enlarge = lambda ids: cv2.resize(ids, size[::-1], interpolation=cv2.INTER_NEAREST)  # noqa: E731
    dense, instances = enlarge(dataset.dense(frame)), enlarge(dataset.instances(frame))
    return seconds(lambda: labels.derive(kind, dense, instances, seed=0, key="perf"), repeat=3), "s", None


def scribbles(size=(1024, 2048)) -> Result:
    """Scribbles of one image of 1024 x 2048, a miniature street enlarged"""
    return derived("scribbles", size)


def points(size=(1024, 2048)) -> Result:
    """Points of the same image"""
    return derived("points", size)


def coarse(size=(1024, 2048)) -> Result:
    """Coarse labels of the same image"""
    return derived("coarse", size)


def loader(samples=40) -> Result:
    """Augmented samples of the tiny miniature, one process; baseline: scribbles derived for every sample"""
    dataset, supervision, _ = tiny()
    training = TrainingSet(supervision, COLUMN.train, 0)
    keys = [(step, 0, step % len(training)) for step in range(samples)]
    cached = seconds(lambda: [training[key] for key in keys])
    again = seconds(lambda: [dataset.weak(training.frames[index], "scribbles", 0) for _, _, index in keys])
    return samples / cached, "samples/s", samples / (cached + again)


def floor(steps: int):
    """The floor with the suites' network and training on the miniature, and its specification."""
    run = spec(dataset="cityscapes", train=replace(COLUMN.train, steps=steps), network=COLUMN.network)
    return build(discovery.method(run.method), run, tiny()[0]), run


def training(steps=20) -> Result:
    """A step of the floor with loading and a 20th of a checkpoint; outside: all but the network forth and back"""
    method, run = floor(steps)
    image = torch.rand(run.train.batch, 3, *run.train.crop)
    alone = seconds(lambda: [method.train().predict(image).mean().backward() for _ in range(steps)], repeat=2)
    data, folder = TrainingSet(tiny()[1], run.train, run.seed), RunFolder(Path(tempfile.mkdtemp(dir=FOLDER.name)))
    fabric, runtime = fabric_of(Runtime(device="cpu"), "32-true"), Runtime(device="cpu")
    took = seconds(lambda: train(method, data, run, folder, fabric, runtime, lambda *news: None))
    return 1000 * took / steps, f"ms, {1 - alone / took:.0%} outside the network", None


def evaluation() -> Result:
    """Predicting and counting the validation images of the tiny miniature, 64 x 128 each"""
    method, run = floor(1)
    networks, dataset = method.eval().predictors(), tiny()[0]
    score = lambda: evaluate(networks, dataset, run.evaluate, torch.device("cpu"), set(), lambda *news: None)  # noqa: E731
    return len(list(dataset.labelled("val"))) / seconds(score, repeat=3), "images/s", None


def bootstrap(images=4000, draws=2000) -> Result:
    """2,000 draws of 4,000 images, 25 classes, 3 seeds; baseline: 20 draws that copy the images drawn, times 100"""
    counts = np.random.default_rng(0).integers(0, 2000, (3, images, 25, 3))
    taken = np.random.default_rng(1).integers(0, images, (20, images))
    product = seconds(lambda: statistics.resample(counts, statistics.scene_weights(images, draws)))
    loop = seconds(lambda: [statistics.iou(counts[:, rows].sum(1)) for rows in taken])
    return product, "s", loop * draws / len(taken)


def report() -> Result:
    """All tables, figures and the page of an invented suite of 2 datasets, 5 methods and 3 seeds"""
    suite = write_suite(Path(tempfile.mkdtemp(dir=FOLDER.name)))
    return seconds(lambda: build_report(suite)), "s", None


def frames() -> Result:
    """Labelled frames of the tiny miniature with their snippets, rendered and written by one process"""
    return sum(1 for split in ("train", "val") for _ in tiny()[0].labelled(split)) / tiny()[2], "frames/s", None


BENCHMARKS = {
    f.__name__: f for f in (scribbles, points, coarse, loader, training, evaluation, bootstrap, report, frames)
}


def main(names: list[str]) -> None:
    """Print the rows of the benchmarks named, all by default, and what a GPU does if there is one."""
    import perf_clouds
    import perf_datasets
    import perf_geometry
    import perf_points
    import perf_report
    import perf_rewis3d
    import perf_tree

    benchmarks = dict(BENCHMARKS)
    for module in (perf_tree, perf_datasets, perf_clouds, perf_geometry, perf_points, perf_rewis3d, perf_report):
        benchmarks |= module.BENCHMARKS
    if unknown := set(names) - benchmarks.keys():
        raise SystemExit(str(unknown_name("benchmark", unknown.pop(), benchmarks)))
    print(f"| benchmark | measured, {torch.get_num_threads()} thread | value | baseline | times faster |")
    print("|---|---|---:|---:|---:|")
    for name in names or benchmarks:
        value, unit, baseline = benchmarks[name]()
        faster = "" if baseline is None else f"{value / baseline if unit.endswith('/s') else baseline / value:.3g}"
        plain = "" if baseline is None else f"{baseline:.3g} {unit}"
        print(f"| {name} | {inspect.getdoc(benchmarks[name])} | {value:.3g} {unit} | {plain} | {faster} |", flush=True)
    if not names or perf_tree.BENCHMARKS.keys() & names:
        perf_tree.print_gpu()
    if not names or perf_points.BENCHMARKS.keys() & names:
        perf_points.print_gpu()


if __name__ == "__main__":
    import perf  # this file as the module that the others import, so that they share its miniature

    perf.main(sys.argv[1:])

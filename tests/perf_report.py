"""Rows of tests/perf.py for the report: a large suite from stored results to tables and figures."""

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from fake_results import fake_measures, write_suite

from wsss.benchmark.atomic import write_text
from wsss.benchmark.records import Counts, Record, RunFolder

Result = tuple[float, str, float | None]

KINDS = ("scribbles", "points", "coarse")
DATASETS = tuple(f"place{number}" for number in range(6))
METHODS = ("partial", "ema", "tel", "rewis3d", "rewis3d_lidar", "sasformer", "gated_crf", "mine", "theirs", "full")
CLASSES, IMAGES, SCENES = 25, 72, 24


def large_suite(folder: Path) -> int:
    """Write 504 runs: 6 datasets, 18 columns, 9 weak methods and the ceiling, 3 seeds; 25 classes, 72 images.

    Returns:
        How many runs.
    """
    seed = write_suite(folder.parent / "template", seeds=(0,), datasets=("town",), samples=False)
    plan = json.loads((seed / "plan.json").read_text())
    template = RunFolder(next((seed / "runs").rglob("run.json")).parent).read_record()
    curve = next((seed / "runs").rglob("curve.csv")).read_text()
    cells = []
    for number, dataset in enumerate(DATASETS):
        for method in METHODS:
            for kind in ("full",) if method == "full" else KINDS:
                for one in range(3):
                    cell = {"dataset": dataset, "labels": kind, "method": method, "seed": one}
                    path = f"runs/{dataset}/{kind}/{method}/{one}-00000000"
                    _run(RunFolder(folder / path), replace(template, suite=folder.name), cell, curve, number)
                    cells.append({**cell, "folder": path, "skip": None})
    names = [f"class {number}" for number in range(CLASSES)]
    about = {"title": "T", "classes": names, "colors": [[9 * n, 255 - 9 * n, 80] for n in range(CLASSES)], "things": []}
    weak = {"paper": "", "url": "", "supervision": "weak"}
    plan["datasets"] = {name: {**about, "title": name.capitalize()} for name in DATASETS}
    plan["methods"] = {name: {**weak, "title": name} for name in METHODS}
    plan["methods"]["full"]["supervision"] = "dense"
    write_text(folder / "plan.json", json.dumps({**plan, "suite": folder.name, "cells": cells}))
    return len(cells)


def _run(run: RunFolder, record: Record, cell: dict, curve: str, number: int) -> None:
    truth = np.random.default_rng(number)
    labelled = truth.integers(400, 4000, (IMAGES, CLASSES))
    rng = np.random.default_rng([number, METHODS.index(cell["method"]), cell["seed"], len(cell["labels"])])
    hit = rng.binomial(labelled, 0.5 + 0.03 * METHODS.index(cell["method"]))
    table = np.stack([hit, hit + np.roll(labelled - hit, 1, axis=1), labelled], -1).astype(np.int64)
    scenes = [f"s{image * SCENES // IMAGES:02d}" for image in range(IMAGES)]
    counts = Counts(
        image_ids=[str(image) for image in range(IMAGES)], scene_ids=scenes, tables={"network": table},
        measures={"network": fake_measures("town", table)}, depth_source="truth",
    )  # fmt: skip
    run.write_counts(counts)
    write_text(run.curve, curve)
    spec, labels = replace(record.spec, **cell), {**record.labels, "coverage": [0.9] * CLASSES}
    scores = {"network": {"miou": 0.5, "classes": [0.5] * CLASSES}}
    run.finish(replace(record, spec=spec, labels=labels, scores=scores))


def large_report() -> Result:
    """504 runs, 25 classes, 72 images: read, all tables, all figures, page; processor time, then peak memory"""
    with tempfile.TemporaryDirectory(prefix="wsss-perf-") as folder:
        suite = Path(folder) / "large"
        large_suite(suite)
        code = (
            "import resource, sys; from pathlib import Path; from wsss.benchmark.report import build; "
            "build(Path(sys.argv[1])); use = resource.getrusage(resource.RUSAGE_SELF); "
            "print(use.ru_utime + use.ru_stime, use.ru_maxrss / 1024)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(suite)], capture_output=True, text=True, check=True)
        took, memory = map(float, done.stdout.split())
    return took, f"s, {memory:.0f} MB", None


BENCHMARKS = {"large_report": large_report}

"""What grows, and how fast, measured at three sizes on generated metadata: `python tests/perf_scale.py [name ...]`.

Each row doubles its size twice and fits a power of it; `docs/scale.md` reads the table and says what comes next.
Times are those of the processor but where a row says otherwise. No picture is drawn and nothing is trained.
"""

import inspect
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import kitti360_tree
import numpy as np
from fake_results import fake_measures, write_suite
from perf_datasets import DRIVE, fill, write_kitti360_lists
from toy_clouds import Scattered, driven

from wsss.benchmark import discovery, locks, planning
from wsss.benchmark.atomic import write_text
from wsss.benchmark.errors import unknown_name
from wsss.benchmark.geometry import stored
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.grid import Row
from wsss.benchmark.records import Cell, Counts, Plan, RunFolder, read_plan
from wsss.benchmark.report.build import all_tables
from wsss.benchmark.report.results import Results
from wsss.benchmark.spec import to_plain
from wsss.benchmark.suites import SMOKE
from wsss.benchmark.types import PointCloud, Scene
from wsss.benchmark.workplace import Workplace
from wsss.datasets import miniature

FOLDER = tempfile.TemporaryDirectory(prefix="wsss-scale-")
SEEDS = (0, 1, 2)
Measured = tuple[float, float]
"""Seconds, and megabytes by which the process grew."""


@contextmanager
def measured(found: list[float]) -> Iterator[None]:
    """Append seconds of the processor, and megabytes that the process's peak rose by."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    yield
    found += [time.process_time() - begun, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024]


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(dir=FOLDER.name))


# Runs


@cache
def tiny_work() -> Path:
    """A working folder with the tiny miniature of Cityscapes."""
    work = Path(FOLDER.name) / "work"
    miniature.build(work / "data" / "miniature-tiny", "cityscapes", "tiny", jobs=1)
    return work


def plan(runs: int) -> Measured:
    """Planning a suite whose rows are one method with many settings; data and labels are there"""
    rows = tuple(Row(name=f"row{i}", method="ema", config={"momentum": 0.9 + i / 1e6}) for i in range(runs // 3))
    column = next(column for column in SMOKE.columns if column.dataset == "cityscapes")
    columns = (replace(column, labels=("scribbles",)),)
    suite = replace(SMOKE, name="many", columns=columns, seeds=SEEDS, rows=rows)
    workplace = Workplace(results=Path(FOLDER.name) / "results", work=tiny_work())
    few = replace(suite, rows=rows[:1])
    planning.plan(few, workplace, on_progress=lambda *news: None)  # makes the labels
    found: list[float] = []
    with measured(found):
        planned = planning.plan(suite, workplace)
    assert len(planned) == runs and all(run.cell.folder for run in planned)
    return found[0], found[1]


@cache
def many_runs(runs: int) -> Path:
    """A suite of so many finished runs, of rows with three seeds; 8 classes, 24 images, and a curve of 100 lines."""
    template = write_suite(new_folder() / "template", seeds=(0,), datasets=("town",), samples=False)
    old = read_plan(template)
    record = RunFolder(next((template / "runs").rglob("run.json")).parent).read_record()
    curve = next((template / "runs").rglob("curve.csv")).read_text()
    folder, cells = new_folder() / "many", []
    labelled = np.random.default_rng(0).integers(400, 4000, (24, 8))
    for row in range(runs // 3):
        for seed in SEEDS:
            rng = np.random.default_rng([row, seed])
            hit = rng.binomial(labelled, 0.6 + 0.2 * row / runs)
            table = np.stack([hit, labelled, labelled], -1).astype(np.int64)
            cell = {"dataset": "town", "labels": "scribbles", "method": f"row{row}", "seed": seed}
            run = RunFolder(folder / "runs" / "town" / "scribbles" / f"row{row}" / f"{seed}-00000000")
            ids, scenes = [str(i) for i in range(24)], [f"s{i // 2:02}" for i in range(24)]
            measures = {"network": fake_measures("town", table)}
            run.write_counts(Counts(image_ids=ids, scene_ids=scenes, tables={"network": table}, measures=measures))
            write_text(run.curve, curve)
            scores = {"network": {"miou": 0.5, "classes": [0.5] * 8}}
            labels = {**record.labels, "coverage": [0.9] * 8}
            run.finish(replace(record, spec=replace(record.spec, **cell), scores=scores, labels=labels))
            cells.append(Cell(**cell, folder=run.path.relative_to(folder).as_posix()))
    about = {"title": "Town", "classes": [f"class {i}" for i in range(8)], "colors": [[9 * i] * 3 for i in range(8)]}
    methods = {f"row{row}": {**old.methods["ema"], "title": f"Row {row}"} for row in range(runs // 3)}
    new = Plan(suite="many", title="Many", data="miniature", methods=methods, datasets={"town": about}, cells=(*cells,))
    write_text(folder / "plan.json", json.dumps(to_plain(new)))
    return folder


def read_results(runs: int) -> Measured:
    """Reading plan, records and counts of finished runs"""
    folder, found = many_runs(runs), []
    with measured(found):
        Results(folder)
    return found[0], found[1]


def tables(runs: int) -> Measured:
    """Every table of them, read before: intervals, paired tests, claims"""
    results, found = Results(many_runs(runs)), []
    with measured(found):
        all_tables(results, None)
    return found[0], found[1]


# Many processes on one folder


def rewrite(folder: Path, gate) -> None:
    gate.wait()
    with locks.in_turn(folder, lambda owner: None):
        text = json.dumps(to_plain(read_plan(folder)), indent=1)
        write_text(folder / "plan.json", text)


def jobs(processes: int, cells=10_000) -> Measured:
    """Processes that at the same time want to rewrite a plan of 10,000 cells; elapsed time until all did"""
    folder = new_folder() / "many"
    fake = read_plan(write_suite(new_folder() / "one", seeds=(0,), datasets=("town",), samples=False))
    rows = tuple(replace(fake.cells[0], method="ema", seed=seed) for seed in range(cells))
    write_text(folder / "plan.json", json.dumps(to_plain(replace(fake, suite="many", cells=rows)), indent=1))
    context = multiprocessing.get_context("fork")
    gate = context.Event()
    started = [context.Process(target=rewrite, args=(folder, gate)) for _ in range(processes)]
    for process in started:
        process.start()
    begun = time.monotonic()
    gate.set()
    for process in started:
        process.join()
    assert all(process.exitcode == 0 for process in started) and len(read_plan(folder).cells) == cells
    return time.monotonic() - begun, 0.0


# Frames


@cache
def many_frames(frames: int) -> Path:
    """One drive of KITTI-360 with so many annotated frames, hard links to one empty file."""
    root = new_folder() / "kitti360"
    kitti360_tree.write_calibration(root / "calibration")
    annotations = root / "data_2d_semantics/train" / DRIVE / "image_00"
    for folder in (
        root / "data_2d_raw" / DRIVE / "image_00/data_rect",
        annotations / "semantic",
        annotations / "instance",
    ):
        for start in range(0, frames, 20_000):  # a file has 65,000 links at most
            fill(folder, (f"{i:010}.png" for i in range(start, min(start + 20_000, frames))))
    write_kitti360_lists(root, [*range(frames)])
    return root


def index(frames: int) -> Measured:
    """Opening KITTI-360 with so many annotated frames, three files each; memory of the scenes"""
    root, found = many_frames(frames), []
    with measured(found):
        dataset = discovery.dataset("kitti360")(root)
        held = sum(len(dataset.scenes(split)) for split in ("train", "val"))
    assert held
    return found[0], found[1]


def split_digest(frames: int) -> Measured:
    """Digest of its training split: the size of every file"""
    dataset, found = discovery.dataset("kitti360")(many_frames(frames)), []
    dataset.scenes("train")
    with measured(found):
        dataset.digest("train")
    return found[0], found[1]


# Points


def look_up(scenes: int) -> Measured:
    """Finding the clouds of so many scenes on disk: the digest of their contents, manifest, sizes of seven files"""
    dataset = driven(new_folder())
    clouds = Clouds(dataset, Scattered(every=50, context=5), new_folder())
    first = dataset.scenes("train")[0]
    (made,) = clouds.prepare([first])
    assert made.made
    many = [Scene(id=f"scene{i}", frames=first.frames) for i in range(scenes)]
    for scene in many:
        shutil.copytree(clouds.place(first), clouds.place(scene))
    fresh, found = Clouds(dataset, clouds.geometry, clouds.folder.parent), []
    with measured(found):
        results = fresh.prepare(many)
    assert not any(result.made for result in results)
    return found[0], found[1]


def checksums(megabytes: int) -> Measured:
    """Reading so many megabytes of one cloud to compare checksums"""
    number = megabytes * 1_000_000 // 31  # bytes of a point: 12 + 3 + 4 + 4 + 8
    rng, folder = np.random.default_rng(0), new_folder()
    cloud = PointCloud(
        xyz=rng.normal(size=(number, 3)).astype(np.float32), rgb=np.zeros((number, 3), np.uint8),
        confidence=np.ones(number, np.float32), frame=np.zeros(number, np.int32),
        pixel=np.zeros((number, 2), np.int32), origin=np.zeros(3), up=np.array([0.0, 0, 1]), metric=True,
    )  # fmt: skip
    facts = stored.Facts(dataset="d", scene="s", geometry="g", version=1, settings={}, digest="0", frames=("f",))
    stored.write(folder, cloud, facts, 0.0)
    found: list[float] = []
    with measured(found):
        assert stored.fault(folder, checksums=True) is None
    return found[0], found[1]


BENCHMARKS: dict[str, tuple[Callable[[int], Measured], tuple[int, ...], int]] = {
    "plan": (plan, (150, 300, 600), 10_000),
    "read_results": (read_results, (150, 300, 600), 10_000),
    "tables": (tables, (150, 300, 600), 10_000),
    "jobs": (jobs, (4, 8, 16), 64),
    "index": (index, (10_000, 20_000, 40_000), 1_000_000),
    "split_digest": (split_digest, (10_000, 20_000, 40_000), 1_000_000),
    "look_up": (look_up, (100, 200, 400), 10_000),
    "checksums": (checksums, (25, 50, 100), 1_000_000),
}
"""Measure, sizes, and the size that is extrapolated to."""


def main(names: list[str]) -> None:
    """Print the rows named, all by default: seconds at each size, the power of the size that fits, and what follows."""
    if unknown := set(names) - BENCHMARKS.keys():
        raise SystemExit(str(unknown_name("benchmark", unknown.pop(), BENCHMARKS)))
    print("| row | measured | sizes | seconds | power | MB | at | seconds |\n|---|---|---|---|---:|---:|---:|---:|")
    for name in names or BENCHMARKS:
        work, sizes, target = BENCHMARKS[name]
        work(sizes[0])  # imports, and the kernel's caches
        took, grew = np.array([work(size) for size in sizes]).T
        power = np.polyfit(np.log(sizes), np.log(took), 1)[0]
        there = took[-1] * (target / sizes[-1]) ** max(power, 1)
        cells = (", ".join(f"{size:,}" for size in sizes), ", ".join(f"{value:.3g}" for value in took))
        print(
            f"| {name} | {inspect.getdoc(work)} | {cells[0]} | {cells[1]} | {power:.2f} | {grew.max():.0f} "
            f"| {target:,} | {there:,.3g} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])

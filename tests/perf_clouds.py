"""Measures the points' share of loading; part of the table that `python tests/perf.py` prints."""

import resource
import subprocess
import sys
import tempfile
import timeit
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from time import process_time
from typing import ClassVar

import cv2
import numpy as np
from toy_clouds import Driven

from wsss.benchmark import discovery
from wsss.benchmark.geometry import stored
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.providers.sensor import Sensor
from wsss.benchmark.geometry.sampling import Sampling, draw
from wsss.benchmark.geometry.stored import Facts
from wsss.benchmark.loader import TrainingSet, collate
from wsss.benchmark.randomness import stream
from wsss.benchmark.spec import TrainConfig
from wsss.benchmark.suites import QUICK
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import PointCloud
from wsss.datasets import miniature

Result = tuple[float, str, float | None]  # a number, its unit, and what the baseline reaches
FOLDER = tempfile.TemporaryDirectory(prefix="wsss-perf-clouds-")
SIZE = (376, 1408)
"""Of a full-size image, about that of KITTI-360."""


def seconds(work, repeat=1) -> float:
    """The processor's time for the fastest of ``repeat`` runs."""
    return min(timeit.repeat(work, number=1, repeat=repeat, timer=process_time))


def drive(views: int, size: tuple[int, int] = SIZE) -> PointCloud:
    """A cloud of a drive, one point per pixel of every view: 0.8 m ahead from view to view, a street of 60 m length."""
    count = size[0] * size[1]
    rng = np.random.default_rng(0)
    xyz = np.empty((views * count, 3), np.float32)
    pixel = np.stack(np.divmod(np.arange(count), size[1]), 1).astype(np.int32)
    for view in range(views):
        place = rng.random((count, 3), np.float32)
        place[:, 0] = np.square(place[:, 0]) * 60 + 4 + 0.8 * view
        place[:, 1] = (pixel[:, 1] / size[1] - 0.5) * 30
        place[:, 2] *= 4
        xyz[view * count : (view + 1) * count] = place
    return PointCloud(
        xyz=xyz,
        rgb=rng.integers(0, 256, xyz.shape, np.uint8),
        confidence=np.ones(len(xyz), np.float32),
        frame=np.repeat(np.arange(views, dtype=np.int32), count),
        pixel=np.tile(pixel, (views, 1)),
        origin=np.zeros(3),
        up=np.array([0.0, 0.0, 1.0]),
        metric=True,
    )


def write_drive(folder: str, views: str) -> None:
    """Write such a cloud as the cache does."""
    facts = Facts(dataset="-", scene="-", geometry="-", version=1, settings={}, digest="-", frames=("",) * int(views))
    stored.write(Path(folder), drive(int(views)), facts, 0.0)


def large(views: int) -> stored.Stored:
    """Open a drive that another process wrote, whose memory is not to be measured here."""
    folder = Path(FOLDER.name) / f"drive-{views}"
    if not folder.exists():
        folder.mkdir()
        subprocess.run([sys.executable, __file__, "write_drive", str(folder), str(views)], check=True)
    return stored.read(folder)


def one_draw(views: int = 114, plain: bool = True) -> Result:
    """Milliseconds of a view-aware draw of 120,000 points from 60 million; baseline: Python lists, from 1 million"""
    found = large(views)
    draws = [
        seconds(lambda frame=frame: draw(found.cloud, found.index, frame, Sampling(), stream(0, frame)))
        for frame in range(5, views - 5, 10)
    ]
    base = seconds(lambda: lists(drive(2), 1)) * len(found.cloud.xyz) / (2 * SIZE[0] * SIZE[1]) if plain else None
    return 1000 * float(np.median(draws)), "ms", None if base is None else 1000 * base


def lists(cloud: PointCloud, frame: int, budget: int = 120_000) -> list[int]:
    """The same rules over lists of points."""
    rng = np.random.default_rng(0)
    points, view = cloud.xyz.tolist(), cloud.view(frame)
    own = points[view]
    middle = [sum(axis) / len(own) for axis in zip(*own, strict=True)]
    square = lambda point: sum((a - b) ** 2 for a, b in zip(point, middle, strict=True))  # noqa: E731
    radius = 1.5**2 * max(map(square, own))
    ball = [row for row, point in enumerate(points) if not view.start <= row < view.stop and square(point) <= radius]
    chosen = rng.permutation(list(range(view.start, view.stop)))[: int(0.6 * budget)].tolist()
    return chosen + rng.permutation(ball)[: budget - len(chosen)].tolist()


def draw_memory(views: int = 114) -> Result:
    """Peak memory of a process that draws from 60 million points at ten views"""
    large(views)
    folder = str(Path(FOLDER.name) / f"drive-{views}")
    done = subprocess.run([sys.executable, __file__, "peak", folder], check=True, capture_output=True, text=True)
    return float(done.stdout), "GB", None


def peak(folder: str) -> None:
    """Draw and print the peak memory in GB."""
    found = stored.read(Path(folder))
    for frame in range(5, len(found.index.views) - 5, 10):
        rows = draw(found.cloud, found.index, frame, Sampling(), stream(0, frame))
        for name in ("xyz", "rgb", "confidence"):
            np.take(getattr(found.cloud, name), rows, axis=0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


class Large(Driven):
    """Toy's pictures enlarged."""

    def _draw(self, frame):
        image, dense = super()._draw(frame)
        enlarge = lambda picture: cv2.resize(picture, SIZE[::-1], interpolation=cv2.INTER_NEAREST)  # noqa: E731
        return enlarge(image), enlarge(dense)


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A point for every pixel of every frame."""

    VERSION: ClassVar[int] = 1

    def points(self, dataset, scene):
        return drive(len(scene.frames))


def points_of_a_large_sample(repeat: int = 12) -> Result:
    """Milliseconds that 120,000 points with pixel pairs add to a sample of 376 x 1408, from a warm cache"""
    folder = Path(FOLDER.name) / "large"
    folder.mkdir()
    dataset = Large(folder)
    supervision = Supervision(dataset, "scribbles", 0, folder / "labels")
    supervision.prepare()
    clouds = Clouds(dataset, Drive(), folder / "clouds")
    clouds.prepare(dataset.scenes("train"))
    train = TrainConfig(steps=1, crop=(376, 512))
    load = lambda data: [data[step, 0, step % len(data)] for step in range(4)]  # noqa: E731
    full = TrainingSet(supervision, train, 0, clouds=clouds, sampling=Sampling(box=(1000.0, 1000.0, 100.0)))
    plain = TrainingSet(supervision, train, 0)
    assert len(load(full)[0].points.xyz) == 120_000
    times = [(seconds(partial(load, full)), seconds(partial(load, plain))) for _ in range(repeat)]
    return 1000 / 4 * (min(t[0] for t in times) - min(t[1] for t in times)), "ms", None


@cache
def tiny():
    """A tiny miniature with its scribbles and the sensor's clouds."""
    miniature.build(Path(FOLDER.name), "kitti360", "tiny", jobs=1)
    dataset = discovery.dataset("kitti360")(Path(FOLDER.name) / "kitti360")
    supervision = Supervision(dataset, "scribbles", 0, Path(FOLDER.name) / "labels")
    supervision.prepare()
    clouds = Clouds(dataset, Sensor(), Path(FOLDER.name) / "clouds")
    clouds.prepare(dataset.scenes("train"))
    return supervision, clouds


def points_of_batches(steps: int = 30) -> Result:
    """Milliseconds of loading a miniature training batch with the points of suite quick; baseline: without them"""
    supervision, clouds = tiny()
    column = QUICK.columns[0]
    train = column.train
    plain, full = (
        TrainingSet(supervision, train, 0),
        TrainingSet(supervision, train, 0, clouds=clouds, sampling=column.points.sampling),
    )
    keys = [[(s, p, (s + p) % len(plain)) for p in range(train.batch)] for s in range(steps)]

    def load(data: TrainingSet) -> None:
        for step in keys:
            collate([data[key] for key in step])

    load(full)
    times = [(seconds(partial(load, full)), seconds(partial(load, plain))) for _ in range(5)]
    return 1000 / steps * min(t[0] for t in times), "ms", 1000 / steps * min(t[1] for t in times)


BENCHMARKS = {f.__name__: f for f in (one_draw, draw_memory, points_of_a_large_sample, points_of_batches)}

if __name__ == "__main__":
    {f.__name__: f for f in (write_drive, peak)}[sys.argv[1]](*sys.argv[2:])

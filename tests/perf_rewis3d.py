"""Where a step of Rewis3d spends its time, part by part."""

import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from perf import COLUMN, FOLDER, Result, tiny
from toy import spec

from wsss.benchmark import discovery
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.providers import load
from wsss.benchmark.loader import TrainingSet, collate
from wsss.benchmark.runner import build
from wsss.benchmark.spec import to_plain

STEPS = 8
PARTS = ("student", "teacher", "point_student", "point_teacher")


class Stopwatch:
    """Processor time by part; a part inside another is not counted twice."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.running: list[str] = []
        self.since = 0.0

    @contextmanager
    def part(self, name: str):
        self._close()
        self.running.append(name)
        yield
        self._close()
        self.running.pop()

    def _close(self) -> None:
        now = time.process_time()
        if self.running:
            self.spent[self.running[-1]] = self.spent.get(self.running[-1], 0.0) + now - self.since
        self.since = now

    def around(self, name: str, work: Callable) -> Callable:
        """The same function, its time booked on a part."""

        def timed(*arguments):
            with self.part(name):
                return work(*arguments)

        return timed


def training_set() -> TrainingSet:
    """The tiny miniature with its true depth as points."""
    dataset, supervision, _ = tiny()
    clouds = Clouds(dataset, load("truth")(), Path(FOLDER.name) / "points")
    clouds.prepare(dataset.scenes("train"))
    return TrainingSet(supervision, COLUMN.train, 0, None, clouds, COLUMN.points.sampling)


def parts(name: str = "rewis3d") -> dict[str, float]:
    """Milliseconds of processor time per step and part of a method on the miniature's crop, batch and points."""
    cls, watch, data = discovery.method(name), Stopwatch(), training_set()
    points = None if cls.geometry is None else COLUMN.points
    run = spec(
        dataset="cityscapes", train=COLUMN.train, network=COLUMN.network, method=name,
        config=to_plain(cls.Config()), points=points,
    )  # fmt: skip
    method = build(cls, run, tiny()[0]).train()
    optimiser = torch.optim.AdamW(method.parameter_groups(1e-4))
    with ExitStack() as stack:
        for part in PARTS:
            if hasattr(method, part):
                module = getattr(method, part)
                stack.enter_context(patch.object(module, "forward", watch.around(part, module.forward)))
        for step in range(STEPS + 1):
            if step == 1:  # the first one warms up
                watch.spent.clear()
            with watch.part("loader"):
                samples = [data[step, place, (4 * step + place) % len(data)] for place in range(COLUMN.train.batch)]
                batch = collate(samples)
            with watch.part("losses"):
                terms = method.losses(batch, 1.0)
            with watch.part("backward"):
                torch.stack(list(terms.values())).sum().backward()
            with watch.part("optimiser and teachers"):
                optimiser.step()
                optimiser.zero_grad()
                method.after_step(step + 1)
    return {part: 1000 * spent / STEPS for part, spent in watch.spent.items()}


def rewis3d_step() -> Result:
    """A step of Rewis3d and its loading, by part, on the miniature's crop and batch, and one of EMA"""
    ours, theirs = parts("rewis3d"), parts("ema")
    total = sum(ours.values())
    split = ", ".join(f"{part} {spent / total:.0%}" for part, spent in ours.items())
    return total, f"ms ({split}); EMA {sum(theirs.values()):.0f} ms", None


BENCHMARKS = {"rewis3d_step": rewis3d_step}

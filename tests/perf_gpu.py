"""Measures every method on a GPU at the paper's sizes: `nox -s perf_gpu [-- method ...]`.

Batches are invented and lie on the GPU, so that images/s are those of the step alone; how fast the loader would have to
be stands beside it, and how fast it is, measured on pictures and points of the paper's size. Without a GPU it says so.
"""

import math
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from unittest.mock import patch

import torch
from torch import Tensor

import wsss.benchmark.torchvision_on_cpu  # noqa: F401
from wsss.benchmark import IGNORE, Batch, Classes, Method, Points, Task, UsageError, discovery, memory
from wsss.benchmark.augment import Augment
from wsss.benchmark.devices import fabric_of
from wsss.benchmark.errors import unknown_name
from wsss.benchmark.grid import Column, Row
from wsss.benchmark.loader import collate
from wsss.benchmark.networks import ImageNetwork, PointNetwork, image_network, point_network
from wsss.benchmark.networks.economy import compiled, recompute
from wsss.benchmark.operations import corridor
from wsss.benchmark.paper import PAPER
from wsss.benchmark.spec import from_plain, to_plain
from wsss.benchmark.trainer import Runtime

STORED = (1280, 1920)
"""Rows and columns of Waymo's front pictures."""
CLASSES = Classes(
    names=(*map(str, range(24)), "sky"), colors=((0, 0, 0),) * 25, without_surface=frozenset({"sky"})
)  # fmt: skip
LABELLED = 0.05
VISIBLE = 0.6
"""Share of the points that lie on a pixel."""
WARM, STEPS = 5, 20
LOADED = 3
"""Samples that the loader's time is taken from."""
EXTRAS = ((), ("checkpointing",), ("compile",))


def main(names: list[str]) -> None:
    """Print one Markdown table."""
    column, rows = PAPER.columns[0], {row.name: row for row in PAPER.rows}
    if unknown := set(names) - rows.keys():
        raise unknown_name("method of the suite paper", unknown.pop(), rows)
    if not torch.cuda.is_available():
        print("No GPU is at hand (torch sees none), so nothing was measured: run this where there is one.")
        return
    train = column.train
    size = f"{train.crop[0]} x {train.crop[1]}, batch {train.batch}, {train.precision}"
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}"
    print(f"{torch.cuda.get_device_name()}, {versions}; {size}, {column.points.sampling.budget:,} points an image\n")
    print("| method | options | images/s | peak GiB | outside networks | loader, ms an image | processes for 95 % |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name in names or rows:
        for extras in EXTRAS:
            print(line(column, rows[name], extras), flush=True)


def line(column: Column, row: Row, extras: tuple[str, ...]) -> str:
    """A method's row; memory that does not suffice is a result too."""
    what = f"| {row.name} | {', '.join(extras) or 'none'} |"
    try:
        rate, peak, outside = step(column, row, "checkpointing" in extras, "compile" in extras)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return f"{what} out of memory | | | | |"
    slow = loading(column, row)
    processes = math.ceil(0.95 * rate * slow)  # of the loader, that keep the GPU busy 95 % of the time
    share = "" if outside is None else f"{outside:.0%}"
    return f"{what} {rate:.2f} | {peak:.1f} | {share} | {1000 * slow:.0f} | {processes} |"


def step(column: Column, row: Row, checkpointing: bool, compile: bool) -> tuple[float, float, float | None]:
    """Images/s, the most memory in GiB, and the share of the time that is not a pass of a network forth or back.

    The share is None for compiled networks, inside of which no clock can be read.
    """
    runtime = Runtime(device="cuda", checkpointing=checkpointing, compile=compile)
    fabric = fabric_of(runtime, column.train.precision)
    method = built(column, row, checkpointing)
    preparation = method.preparation()
    batches = [invented(column, points=method.geometry is not None, seed=seed) for seed in (0, 1)]
    if preparation is not None:
        batches = [replace(batch, prepared=preparation(batch)) for batch in batches]
    there = [batch.to(fabric.device) for batch in batches]
    optimiser = torch.optim.AdamW(method.parameter_groups(column.train.lr), fused=True)
    module, optimiser = fabric.setup(method, optimiser)
    module.mark_forward_method("losses")
    module.train()

    def work(number: int) -> None:
        terms = module.losses(there[number % 2], 1.0)
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        optimiser.zero_grad()
        fabric.backward(loss)
        optimiser.step()
        method.after_step(number + 1)

    with compiled(method, fabric.device, compile):
        for number in range(WARM):
            work(number)
        memory.forget_peak(fabric.device)
        took = seconds(lambda: [work(number) for number in range(STEPS)]) / STEPS
        peak = memory.peak_mb(fabric.device) / 1024
        if compile:
            return column.train.batch / took, peak, None
        worth = 4 if checkpointing else 3  # forward passes that forth and back come to
        inside = passes(method, lambda: [work(number) for number in range(STEPS)], worth) / STEPS
    return column.train.batch / took, peak, max(0.0, 1 - inside / took)


def built(column: Column, row: Row, checkpointing: bool) -> Method:
    """The method as the paper's suite trains it, from random weights."""
    cls = discovery.method(row.method)
    network = replace(column.network, weights="none")
    points = replace(column.points.network, checkpointing=checkpointing)
    task = Task(
        classes=CLASSES,
        image_network=lambda: image_network(network, len(CLASSES), 0),
        point_network=None if cls.geometry is None else lambda: point_network(points, len(CLASSES.on_surfaces), 0),
    )
    config = from_plain(cls.Config, {**to_plain(cls.Config()), **row.config}, row.name)
    method = cls(config, task)
    if checkpointing:
        recompute(method)
    return method


def invented(column: Column, points: bool, seed: int) -> Batch:
    """A batch of noise with labels, on the CPU."""
    train, generator = column.train, torch.Generator().manual_seed(seed)
    image = torch.rand(train.batch, 3, *train.crop, generator=generator)
    labels = torch.randint(0, len(CLASSES), (train.batch, *train.crop), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) > LABELLED] = IGNORE
    table = [cloud(column, generator, train.crop, number) for number in range(train.batch)] if points else []
    return Batch(
        image=image, strong=image.clone(), labels=labels, valid=torch.ones(labels.shape, dtype=torch.bool),
        points=joined(table) if table else None,
    )  # fmt: skip


def cloud(column: Column, generator: torch.Generator, size: tuple[int, int], number: int = 0) -> Points:
    """The points of one image: a corridor, as the paper's budget fills it."""
    xyz = corridor(column.points.sampling)
    pixel = torch.stack([torch.randint(0, side, (len(xyz),), generator=generator) for side in size], 1)
    pixel[torch.rand(len(xyz), generator=generator) > VISIBLE] = -1
    labels = torch.randint(0, len(CLASSES), (len(xyz),), generator=generator)
    labels[torch.rand(len(xyz), generator=generator) > LABELLED] = IGNORE
    return Points(
        xyz=xyz, strong=xyz.clone(), rgb=torch.rand(len(xyz), 3, generator=generator),
        confidence=1 + torch.rand(len(xyz), generator=generator), labels=labels, pixel=pixel,
        image=torch.full((len(xyz),), number),
    )  # fmt: skip


def joined(tables: list[Points]) -> Points:
    """The points of all images as one table."""
    return Points(**{name: torch.cat([getattr(one, name) for one in tables]) for name in Points.__slots__})


def seconds(work: Callable[[], object]) -> float:
    """Time until the GPU has done it."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def passes(method: Method, work: Callable[[], object], worth: int) -> float:
    """Seconds of the GPU inside networks: those of their passes forth, of those that learn ``worth`` times.

    The backward pass of a network is two products for each of the forward's; it cannot be timed apart from the losses'.
    """
    events: list[tuple[torch.cuda.Event, torch.cuda.Event, int]] = []

    @contextmanager
    def timed(forward: Callable[..., object]) -> Iterator[None]:
        def around(*inputs: Tensor) -> object:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            result = forward(*inputs)
            end.record()
            events.append((begin, end, worth if torch.is_grad_enabled() else 1))
            return result

        with patch.object(module, "forward", around):
            yield

    with ExitStack() as stack:
        for module in method.modules():
            if isinstance(module, ImageNetwork | PointNetwork):
                stack.enter_context(timed(module.forward))
        seconds(work)
    return sum(begin.elapsed_time(end) * worth for begin, end, worth in events) / 1000


def loading(column: Column, row: Row) -> float:
    """Seconds in which one process makes a sample of a stored picture, without reading its file."""
    preparation = built(replace(column, network=replace(column.network, encoder="mit_b0")), row, False).preparation()
    generator, augment = torch.Generator().manual_seed(0), Augment(column.train, 0)
    image = torch.randint(0, 256, (3, *STORED), generator=generator, dtype=torch.uint8)
    labels = torch.full(STORED, IGNORE, dtype=torch.uint8)
    labels[:: round(1 / LABELLED)] = 0
    points = None if discovery.method(row.method).geometry is None else cloud(column, generator, STORED)
    void = torch.zeros(STORED, dtype=torch.bool)
    begun = time.perf_counter()
    for number in range(LOADED):
        sample = augment(image, labels, void, points=False, step=number, position=0, cloud=points)
        collate([sample], preparation)
    return (time.perf_counter() - begun) / LOADED


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UsageError as error:
        raise SystemExit(str(error)) from None

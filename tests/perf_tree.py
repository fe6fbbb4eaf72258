"""Benchmarks of the tree filter and of TEL's step; see perf.py. With a GPU a second table shows the filter there."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import scipy.sparse
import torch
from perf import COLUMN, Result, in_turns, tiny
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from toy import batch as given
from toy import spec

from wsss.benchmark import Classes, Task, discovery
from wsss.benchmark.loader import TrainingSet, batches
from wsss.benchmark.networks import image_network
from wsss.benchmark.runner import build
from wsss.benchmark.spec import NetworkConfig, to_plain
from wsss.methods._tree_filter import grid_distances, spanning_tree, tree_filter

SIGMA, CLASSES = 0.002, 20


@cache
def pictures(size: tuple[int, int], images: int) -> torch.Tensor:
    """Images of the tiny miniature, enlarged or not."""
    dataset = tiny()[0]
    frames = [frame for _, frame in dataset.labelled("train")]
    chosen = [cv2.resize(dataset.image(frames[i % len(frames)]), size[::-1]) for i in range(images)]
    return torch.from_numpy(np.stack(chosen)).permute(0, 3, 1, 2).float() / 255


def signal(size: tuple[int, int], images: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images, CLASSES, *size, generator=generator).softmax(1)


def scipy_tree(guide: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Breadth-first order and parents by SciPy; distances become ranks, for it takes 0 for no edge."""
    height, width = guide.shape[-2:]
    index = np.arange(height * width).reshape(height, width)
    u = np.concatenate([index[:-1].ravel(), index[:, :-1].ravel()])
    v = np.concatenate([index[1:].ravel(), index[:, 1:].ravel()])
    orders, parents = [], []
    for distances in grid_distances(guide, None).numpy():
        rank = np.empty(len(u))
        rank[np.argsort(distances, kind="stable")] = np.arange(1, len(u) + 1)
        grid = scipy.sparse.csr_array((rank, (u, v)), shape=(index.size, index.size))
        order, parent = breadth_first_order(minimum_spanning_tree(grid), 0, directed=False)
        orders.append(order)
        parents.append(np.where(parent < 0, 0, parent))
    return np.stack(orders), np.stack(parents)


class Levels(torch.autograd.Function):
    """The filter as one scatter or gather per depth of the forest, with the backward in closed form."""

    @staticmethod
    def forward(ctx, x, weight, parent, levels):
        z = sweep(x.new_ones(len(x), 1), weight, parent, levels)
        ctx.save_for_backward(weight, parent, z)
        ctx.levels = levels
        return sweep(x, weight, parent, levels) / z

    @staticmethod
    def backward(ctx, g):  # pyright: ignore[reportIncompatibleMethodOverride]
        weight, parent, z = ctx.saved_tensors
        return sweep(g / z, weight, parent, ctx.levels), None, None, None


def sweep(x, weight, parent, levels):
    x = x.clone()
    for nodes in reversed(levels[1:]):
        x.index_add_(0, parent[nodes], x[nodes] * weight[nodes])
    for nodes in levels[1:]:
        w = weight[nodes]
        x[nodes] = x[nodes] * (1 - w * w) + w * x[parent[nodes]]
    return x


def by_levels(x: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
    """The filter with SciPy's tree and a loop over depths."""
    orders, parents = scipy_tree(guide)
    images, nodes = parents.shape
    depth = np.zeros((images, nodes), np.int64)
    for image in range(images):
        for node in orders[image][1:]:
            depth[image, node] = depth[image, parents[image, node]] + 1
    parent = torch.from_numpy(parents + np.arange(images)[:, None] * nodes).flatten()
    levels = torch.split(
        torch.from_numpy(np.argsort(depth.ravel(), kind="stable")), np.bincount(depth.ravel()).tolist()
    )
    colours = guide.flatten(2).transpose(1, 2).flatten(0, 1)
    weight = torch.exp((colours - colours[parent]).square().sum(1, keepdim=True) / -SIGMA)
    rows = x.flatten(2).transpose(1, 2).flatten(0, 1)
    return Levels.apply(rows, weight, parent, levels).view(images, nodes, -1).transpose(1, 2).reshape_as(x)  # pyright: ignore[reportAttributeAccessIssue]


def tree(size=(128, 256), images=4) -> Result:
    """Spanning trees of 4 images of 128 x 256, rooted; baseline: SciPy"""
    guide = pictures(size, images)
    ours, theirs = in_turns(lambda: spanning_tree(guide), lambda: scipy_tree(guide))
    return 1000 * ours, "ms", 1000 * theirs


def low(size=(128, 256), images=4) -> Result:
    """Those trees and the filter of 20 channels, forth and back; baseline: SciPy and torch, one step per depth"""
    guide, x = pictures(size, images), signal(size, images).requires_grad_()
    g = torch.rand_like(x)
    ours, theirs = in_turns(
        lambda: tree_filter(x, guide, SIGMA).backward(g), lambda: by_levels(x, guide).backward(g), repeat=3
    )
    return 1000 * ours, "ms", 1000 * theirs


def sweeps(size=(128, 256), images=4) -> Result:
    """The filter alone, forth and back, the tree being there; baseline: path doubling in torch"""
    guide, x = pictures(size, images), signal(size, images).requires_grad_()
    made, g = spanning_tree(guide), torch.rand_like(x)
    ours, theirs = in_turns(
        lambda: tree_filter(x, guide, SIGMA, tree=made).backward(g),
        lambda: tree_filter(x, guide, SIGMA, tree=made, algorithm="doubling").backward(g),
    )
    return 1000 * ours, "ms", 1000 * theirs


def high(size=(128, 256), images=4, width=64) -> Result:
    """Tree and filter of 20 channels along 64 features, with the gradient to both; baseline: path doubling in torch"""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(images, width, *size, generator=generator).relu_().requires_grad_()
    x = signal(size, images).requires_grad_()
    g = torch.rand_like(x)
    ours, theirs = in_turns(
        lambda: tree_filter(x, features, 1.0).backward(g),
        lambda: tree_filter(x, features, 1.0, algorithm="doubling").backward(g),
        repeat=3,
    )
    return 1000 * ours, "ms", 1000 * theirs


def step_of(name: str, steps: int):
    """A function that trains a method by one step each time it is called, loading included."""
    cls = discovery.method(name)
    config = replace(COLUMN.train, steps=steps)
    run = spec(dataset="cityscapes", train=config, network=COLUMN.network, method=name, config=to_plain(cls.Config()))
    method = build(cls, run, tiny()[0]).train()
    optimiser = torch.optim.AdamW(method.parameter_groups(1e-4))
    ahead = iter(batches(TrainingSet(tiny()[1], config, 0, method.preparation()), config, 0, 0, 0, pin=False))

    def step():
        optimiser.zero_grad()
        torch.stack(list(method.losses(next(ahead), 1.0).values())).sum().backward()
        optimiser.step()
        method.after_step(1)

    return step


def tel_step(repeat=8) -> Result:
    """A step of TEL with its loading in the same process, at the miniature's crop and batch; baseline: one of EMA"""
    ours, theirs = in_turns(step_of("tel", repeat + 1), step_of("ema", repeat + 1), repeat=repeat)
    return 1000 * ours, "ms", 1000 * theirs


BENCHMARKS = {f.__name__: f for f in (tree, low, sweeps, high, tel_step)}


def on_gpu(work, repeat=20) -> float:
    """Milliseconds of a call on the GPU, the median of ``repeat``."""
    times = []
    for _ in range(repeat + 3):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return float(np.median(times[3:]))


def filter_on_gpu(size: tuple[int, int], images=8) -> None:
    """A row: the low filter, the high one, its topology on the host, and the time that moving the bytes takes.

    The floor reads and writes the signal once per sweep, forth and back: 8 passes at the speed of a copy on the device.
    """
    guide, x = torch.rand(images, 3, *size, device="cuda"), signal(size, images).cuda().requires_grad_()
    features = torch.rand(images, 64, *size, device="cuda", requires_grad=True)
    made, g, features_tree = spanning_tree(guide), torch.rand_like(x), spanning_tree(features)
    low_filter = on_gpu(lambda: tree_filter(x, guide, SIGMA, tree=made).backward(g))
    high_filter = on_gpu(lambda: tree_filter(x, features, 1.0, tree=features_tree).backward(g))
    topology = on_gpu(lambda: spanning_tree(features))
    floor = 4 * on_gpu(lambda: g.clone())
    print(
        f"| {size[0]} x {size[1]} | {low_filter:.2f} | {high_filter:.2f} | {topology:.2f} | {floor:.3f} |", flush=True
    )


def share_of_step(images=2) -> None:
    """The share of both filters in a step of TEL on SegFormer-B4 at 512 x 1024, 19 classes."""
    classes = Classes(names=tuple(map(str, range(19))), colors=((0, 0, 0),) * 19)
    network = NetworkConfig(architecture="Segformer", encoder="mit_b4", weights="none", channels=256)
    task = Task(classes=classes, image_network=lambda: image_network(network, 19, 0))
    cls = discovery.method("tel")
    method = cls(cls.Config(width=256), task).train()
    batch = given(size=(512, 1024), images=images, classes=19)
    batch = replace(batch, prepared=method.preparation()(batch)).to(torch.device("cuda"))
    method.cuda()

    def step(weight):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            terms = method.losses(batch, 1.0) if weight else {"plain": method.student(batch.strong).logits.mean()}
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        method.zero_grad()

    whole, plain = on_gpu(lambda: step(1), 10), on_gpu(lambda: step(0), 10)
    print(f"\nSegFormer-B4, 512 x 1024, batch {images}: {whole:.1f} ms a step, {1 - plain / whole:.1%} of it for TEL")


def print_gpu() -> None:
    """What a GPU does, if there is one."""
    if not torch.cuda.is_available():
        print("\nNo GPU is at hand: nothing was measured on one.")
        return
    print(f"\n| {torch.cuda.get_device_name()}, batch 8, 20 channels, ms | low | high | its tree | bytes moved |")
    print("|---|---:|---:|---:|---:|")
    for size in ((128, 128), (128, 256)):
        filter_on_gpu(size)
    share_of_step()

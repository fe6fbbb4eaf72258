"""Benchmarks of the network of points; see perf.py. With a GPU a second table shows the paper's size there."""

from functools import cache

import numpy as np
import torch
from perf import Result, in_turns, seconds
from perf_tree import on_gpu

from wsss.benchmark.networks import PointNetwork, point_network
from wsss.benchmark.networks.point_convolution import Pairs, find_pairs, sparse_convolution
from wsss.benchmark.networks.point_level import voxelise
from wsss.benchmark.spec import PointNetworkConfig

CLASSES = 19


@cache
def street(points: int, images: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What cameras 1.5 m above a road see between two walls with boxes ahead: few points, metres apart far away."""
    rng = np.random.default_rng(0)
    clouds = []
    for _ in range(images):
        ray = np.stack([rng.uniform(-0.8, 0.8, points // images), np.ones(points // images),
                        rng.uniform(-0.4, 0.3, points // images)], 1)  # fmt: skip
        reach = np.full(len(ray), 60.0)
        for axis, plane in ((2, -1.5), (0, rng.uniform(5, 9)), (0, rng.uniform(-9, -5))):
            distance = plane / ray[:, axis]
            reach = np.where((distance > 0) & (distance < reach), distance, reach)
        for _ in range(8):
            middle, ahead, half = rng.uniform(-5, 5), rng.uniform(5, 30), rng.uniform(0.3, 2)
            inside = (np.abs(ahead * ray[:, 0] - middle) < half) & (ahead * ray[:, 2] < 0.5)
            reach = np.where(inside & (ahead < reach), ahead, reach)
        clouds.append(ray * reach[:, None] + [0, 0, 1.5])
    xyz = torch.from_numpy(np.concatenate(clouds)).float()
    image = torch.arange(images).repeat_interleave(points // images)
    return xyz, torch.rand(len(xyz), 3, generator=torch.Generator().manual_seed(0)), image


def network(config: PointNetworkConfig) -> PointNetwork:
    return point_network(config, CLASSES, 0).train()


def step(points: int) -> Result:
    """Milliseconds of a forward and backward pass of the tiny network over four streets."""
    net = network(PointNetworkConfig())
    work = lambda: net(*street(points)).sum().backward()  # noqa: E731
    work()
    return 1000 * seconds(work, repeat=5), "ms", None


def points_2k() -> Result:
    """The tiny network of points forth and back, 4 images of 500 points"""
    return step(2000)


def points_8k() -> Result:
    """The same with 4 images of 2,000 points"""
    return step(8000)


def points_20k() -> Result:
    """The same with 4 images of 5,000 points"""
    return step(20_000)


def tap_by_tap(x: torch.Tensor, weight: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """The convolution as autograd would have it."""
    out = x @ weight[:, weight.shape[1] // 2].T
    for tap, (begin, end) in enumerate(zip(pairs.bounds, pairs.bounds[1:], strict=False)):
        if begin < end:
            out = out.index_add(0, pairs.target[begin:end], x[pairs.source[begin:end]] @ weight[:, tap].T)
    return out


def point_convolution(channels=64) -> Result:
    """A sparse convolution of 64 channels forth and back, 20,000 points in 0.2 m voxels; baseline: plain autograd"""
    xyz, _, image = street(20_000)
    level = voxelise(xyz, image, 0.2).level
    pairs = find_pairs(level.cells, level.image, 3)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(level), channels, generator=generator).requires_grad_()
    weight = torch.randn(channels, 27, channels, generator=generator).requires_grad_()
    g = torch.randn(len(level), channels, generator=generator)
    ours, theirs = in_turns(
        lambda: sparse_convolution(x, weight, pairs).backward(g), lambda: tap_by_tap(x, weight, pairs).backward(g)
    )
    return 1000 * ours, "ms", 1000 * theirs


BENCHMARKS = {f.__name__: f for f in (points_2k, points_8k, points_20k, point_convolution)}


def print_gpu() -> None:
    """Time and memory of a step of the paper's size in bfloat16, if there is a GPU."""
    if not torch.cuda.is_available():
        print("\nNo GPU is at hand: the paper's network of points was not measured on one.")
        return
    print(f"\n| {torch.cuda.get_device_name()}, paper's size, bfloat16, 2 images | ms | ms checkpointing | GiB | GiB |")
    print("|---|---:|---:|---:|---:|")
    for points in (24_000, 240_000):
        found = [_on_gpu(points, checkpointing) for checkpointing in (False, True)]
        print(
            f"| {points:,} points | " + " | ".join(f"{value:.1f}" for value in (*zip(*found, strict=True),)[0]), end=""
        )
        print(" | " + " | ".join(f"{memory:.2f}" for _, memory in found) + " |", flush=True)


def _on_gpu(points: int, checkpointing: bool) -> tuple[float, float]:
    """Milliseconds of a step and the most memory it takes, in GiB."""
    net = network(PointNetworkConfig(size="paper", checkpointing=checkpointing)).cuda()
    there = [column.cuda() for column in street(points, 2)]

    def work() -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            logits = net(*there)
        logits.mean().backward()

    torch.cuda.reset_peak_memory_stats()
    return on_gpu(work, 10), torch.cuda.max_memory_allocated() / 2**30

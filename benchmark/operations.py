"""Floating-point operations of a training step, counted from shapes: two per multiplication and addition.

Counted are the networks that a method holds: a forward pass of each, times three for one that is trained. Losses, side
branches, loading and evaluation are not.
"""

import copy
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.method import Method, Task
from wsss.benchmark.networks import ImageNetwork, PointNetwork, image_network, point_network
from wsss.benchmark.networks.point_level import Level, voxelise
from wsss.benchmark.networks.points import SIZES
from wsss.benchmark.planning import Run
from wsss.benchmark.randomness import stream
from wsss.benchmark.spec import NetworkConfig, PointNetworkConfig
from wsss.benchmark.types import Classes

FORTH_AND_BACK = 3
"""Forward passes that a training step is worth: the backward one is two, for the inputs and for the weights."""
CLASSES = 19
"""Outputs of the networks that are counted. The last layer is less than a hundredth of the work."""


def step_flops(run: Run) -> float:
    """Operations of one step of a run, of the whole batch."""
    column, points = run.column, run.row.points or run.column.points
    network = replace(column.network, weights="none")
    total = 0.0
    for kind, trained in _networks(run.method, run.method.Config(**run.row.config), network):
        if kind is ImageNetwork:
            total += image_flops(network, column.train.crop) * (FORTH_AND_BACK if trained else 1)
        else:
            again = points.network.checkpointing  # what was not kept is computed once more
            total += point_flops(points.network, points.sampling) * (FORTH_AND_BACK + again if trained else 1)
    return column.train.batch * total


@cache
def _networks(
    method: type[Method], config: Any, network: NetworkConfig
) -> list[tuple[type[ImageNetwork | PointNetwork], bool]]:
    """The networks that a method holds, and whether it trains them: asked of one on meta tensors, without values."""
    built = _image_network(network)
    task = Task(
        classes=Classes(names=tuple(map(str, range(CLASSES))), colors=((0, 0, 0),) * CLASSES),
        image_network=lambda: copy.deepcopy(built),
        point_network=lambda: point_network(PointNetworkConfig(), CLASSES, 0),
    )
    with torch.device("meta"):
        modules = list(method(config, task).modules())
    trained = [any(parameter.requires_grad for parameter in module.parameters()) for module in modules]
    return [
        (kind, learns)
        for module, learns in zip(modules, trained, strict=True)
        for kind in (ImageNetwork, PointNetwork)
        if isinstance(module, kind)
    ]


@cache
def _image_network(config: NetworkConfig) -> ImageNetwork:
    return image_network(config, CLASSES, 0).to("meta")


@cache
@torch.no_grad()
def image_flops(config: NetworkConfig, crop: tuple[int, int]) -> float:
    """Operations of a forward pass of the image network for one crop."""
    network = _image_network(config)
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, *crop, device="meta"))
    return float(counter.get_total_flops())


@cache
def point_flops(config: PointNetworkConfig, sampling: Sampling) -> float:
    """Operations of a forward pass of the network of points for one cloud with all the points a sample may have."""
    return cloud_flops(config, corridor(sampling))


def corridor(sampling: Sampling) -> Float[Tensor, "n 3"]:
    """Points that a camera sees of floor, walls and end of a corridor: metres, as dense as its pixels make them.

    It is a quarter as wide as the box in which points are kept, and as long as the half of it.
    """
    rays = stream(0, "operations").uniform((-1, 1, -0.5), (1, 1, 0.2), (sampling.budget, 3))
    wall = sampling.box[0] / 8 / abs(rays[:, 0]).clip(1e-9)
    floor = 1.6 / (-rays[:, 2]).clip(1e-9)
    distance = wall.clip(max=floor).clip(max=sampling.box[1])
    return torch.from_numpy(rays * distance[:, None]).float()


@torch.no_grad()
def cloud_flops(config: PointNetworkConfig, xyz: Float[Tensor, "n 3"]) -> float:
    """Operations of a forward pass of the network of points for one cloud, from its voxels at each resolution."""
    of = SIZES[config.size]
    levels = [voxelise(xyz, torch.zeros(len(xyz), dtype=torch.long), config.voxel).level]
    for halvings in of.halvings:
        levels.append(levels[-1].pool(halvings)[0])
    counts, widths = [len(level) for level in levels], of.encoder_channels
    total = _convolution(levels[0], 5, 6, widths[0])  # metres and colours
    for depth, width, level in zip(of.encoder_depths, widths, levels, strict=True):
        total += depth * _block(level, width, of.patch, of.widening)
    for fine, (width, wider) in enumerate(pairwise(widths)):
        total += _linear(counts[fine], width, wider)
    below = (*of.decoder_channels[1:], widths[-1])
    for fine, (depth, width) in enumerate(zip(of.decoder_depths, of.decoder_channels, strict=True)):
        total += _linear(counts[fine + 1], below[fine], width) + _linear(counts[fine], widths[fine], width)
        total += depth * _block(levels[fine], width, of.patch, of.widening)
    return float(total + _linear(counts[0], of.decoder_channels[0], CLASSES))


def _block(level: Level, width: int, patch: int, widening: int) -> int:
    """A block's convolution and its projection, attention, and perceptron."""
    patches = level.patches(0, patch)
    attention = 2 * 2 * len(patches.voxel) * patches.size * width
    return (
        _convolution(level, 3, width, width)
        + attention
        + _linear(len(level), width, (1 + 3 + 1) * width)
        + 2 * _linear(len(level), width, widening * width)
    )


def _convolution(level: Level, kernel: int, inputs: int, outputs: int) -> int:
    return _linear(len(level) + len(level.pairs(kernel).source), inputs, outputs)


def _linear(rows: int, inputs: int, outputs: int) -> int:
    return 2 * rows * inputs * outputs

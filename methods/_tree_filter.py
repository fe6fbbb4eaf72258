"""The tree filter: an average over all pixels, weighted by how cheaply the spanning tree of an image connects them.

Song et al., Learnable Tree Filter for Structure-preserving Feature Transform, NeurIPS 2019, as used by Liang et al.,
Tree Energy Loss, CVPR 2022. Exact, in time linear in the pixels, with gradients in closed form, on any
device, without a compiler.

A tree is an int32 tensor ``(b, 3, n)`` over the n = h * w pixels in reading order. Its rows are the nodes, every parent
before its children; the parent of every node, the root being its own; and the index of the grid edge between the two,
e at the root, which no edge has. The e = 2hw - h - w edges are all vertical ones, by row, then all horizontal ones.
"""

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int32
from torch import Tensor
from torch.autograd.function import once_differentiable

from wsss.benchmark import BenchmarkError, UsageError

Algorithm = Literal["sweeps", "doubling"]
"""Two sweeps over the nodes, compiled for CPUs; or log2(n) rounds of gathers in plain torch, for any device."""


def tree_filter(
    x: Float[Tensor, "b c h w"],
    guide: Float[Tensor, "b d h w"],
    sigma: float,
    *,
    valid: Bool[Tensor, "b h w"] | None = None,
    tree: Int32[Tensor, "b 3 n"] | None = None,
    algorithm: Algorithm | None = None,
) -> Float[Tensor, "b c h w"]:
    """Average ``x`` over the image with weights that fall along the minimum spanning tree of ``guide``.

    ``y_i = sum_j S_ij x_j / sum_j S_ij`` with ``S_ij`` the product, over the edges of the tree's path from i to j, of
    ``exp(-|guide_u - guide_v|^2 / sigma)``. The gradient reaches ``x``, and ``guide`` through these weights; the
    choice of the tree has none. On a CPU the result is the same bit for bit at every call; on a GPU atomic additions
    change its last bits.

    Args:
        x: Any signal, for example class probabilities. Half precision is filtered in float32.
        guide: Image or features on the grid of ``x``; its distances are taken in at least float32.
        sigma: Of the affinity, in units of the guide squared; positive.
        valid: Pixels that are False are cut off: nothing flows from, to or through them. None for all True.
        tree: What ``spanning_tree`` made of this guide and ``valid``; None to make it here.
        algorithm: None for sweeps on a CPU and doubling elsewhere.

    Returns:
        The filtered signal, float32 or float64.

    Raises:
        UsageError: ``sigma`` is not positive, or images, sizes or devices do not fit together.
        BenchmarkError: The guide holds NaN where it is valid.
    """
    algorithm = algorithm or ("sweeps" if x.device.type == "cpu" else "doubling")
    if not sigma > 0:
        raise UsageError(f"tree filter: sigma must be positive, not {sigma}")
    if algorithm == "sweeps" and x.device.type != "cpu":
        raise UsageError(f"tree filter: sweeps run on a CPU alone, the signal is on {x.device}; use doubling")
    _check_fit(x, guide, valid, tree)
    distances = grid_distances(guide, valid)
    if tree is None:
        tree = tree_of_distances(distances, (x.shape[-2], x.shape[-1]))
    lengths = F.pad(distances, (0, 1), value=torch.inf).gather(1, tree[:, 2].long())  # nothing flows out of the root
    signal = _at_least_float32(x)
    weight = torch.exp(lengths / -sigma).to(signal.dtype)
    rows = signal.flatten(2).transpose(1, 2)
    function = _Sweeps if algorithm == "sweeps" else _Doubling
    filtered: Tensor = function.apply(rows, weight, tree)  # pyright: ignore[reportAssignmentType]
    return filtered.transpose(1, 2).reshape_as(x)


def spanning_tree(
    guide: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"] | None = None, root: int = 0
) -> Int32[Tensor, "b 3 n"]:
    """The minimum spanning tree of every image's grid of 4 neighbours, by Boruvka's algorithm on the CPU.

    Of equal distances the edge with the lower index counts as shorter, so that there is one tree and no other.

    Args:
        guide: Image or features; the distance of two neighbours is the squared difference over all channels.
        valid: Edges at pixels that are False are longer than all others.
        root: The pixel that all parents lead to; it does not change what the filter computes.

    Returns:
        As the module says, on the guide's device.

    Raises:
        BenchmarkError: The guide holds NaN where it is valid.
    """
    return tree_of_distances(grid_distances(guide, valid).detach(), (guide.shape[-2], guide.shape[-1]), root)


def tree_of_distances(distances: Float[Tensor, "b e"], size: tuple[int, int], root: int = 0) -> Int32[Tensor, "b 3 n"]:
    """The minimum spanning tree of grids of ``size`` (rows, columns) whose edges have these distances.

    Raises:
        UsageError: ``root`` is not a pixel of the grid.
        BenchmarkError: A distance is NaN.
    """
    from wsss.methods import _tree_kernels as kernels  # numba: too slow to import for those who list methods

    nodes = size[0] * size[1]
    if not 0 <= root < nodes:
        raise UsageError(f"tree filter: root must be one of the {nodes} pixels, not {root}")
    images = distances.shape[0]
    on_host = distances.detach().cpu().contiguous().numpy()
    tree = np.empty((images, 3, nodes), np.int32)
    shape = np.array([(*size, root)] * images, np.int32).reshape(images, 3)
    if not all(kernels.each_image(kernels.span, images, on_host, shape, tree[:, 0], tree[:, 1], tree[:, 2])):
        raise BenchmarkError(
            "tree filter: the guide holds NaN; where it is made of features training has diverged: lower --train.lr or "
            "--train.clip, or use --train.precision 32-true"
        )
    return torch.from_numpy(tree).to(distances.device)


def grid_distances(guide: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"] | None) -> Float[Tensor, "b e"]:
    """Squared distances between neighbours, in the order of the edges; infinite at pixels that are not valid.

    Differentiable, and computed once for tree and weights, so that no later step runs over the channels.
    """
    guide = _at_least_float32(guide)
    down = (guide[:, :, :-1] - guide[:, :, 1:]).square().sum(1).flatten(1)
    right = (guide[..., :-1] - guide[..., 1:]).square().sum(1).flatten(1)
    distances = torch.cat([down, right], 1)
    if valid is None:
        return distances
    whole = torch.cat([(valid[:, :-1] & valid[:, 1:]).flatten(1), (valid[..., :-1] & valid[..., 1:]).flatten(1)], 1)
    return distances.masked_fill(~whole, torch.inf)


def _check_fit(x: Tensor, guide: Tensor, valid: Tensor | None, tree: Tensor | None) -> None:
    images, _, height, width = x.shape
    fitting = {
        "guide": (guide, (images, guide.shape[1], height, width)),
        "valid": (valid, (images, height, width)),
        "tree": (tree, (images, 3, height * width)),
    }
    for name, (given, shape) in fitting.items():
        if given is not None and (given.shape != shape or given.device != x.device):
            raise UsageError(
                f"tree filter: the {name} must be {shape} on {x.device}, as the signal is {tuple(x.shape)}, "
                f"not {tuple(given.shape)} on {given.device}"
            )


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


class _Sweeps(torch.autograd.Function):
    """Both sweeps compiled; signals are ``(b, n, c)``, weights ``(b, n)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tree: Tensor) -> Tensor:
        from wsss.methods import _tree_kernels as kernels

        x, weight = x.detach().contiguous(), weight.detach().contiguous()
        y, z, ups = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
        up = torch.empty_like(x) if ctx.needs_input_grad[1] else y  # only the weights' gradient asks for it again
        kernels.each_image(
            kernels.smooth, len(x), *map(Tensor.numpy, (x, weight, tree[:, 0], tree[:, 1], up, ups, y, z))
        )
        ctx.save_for_backward(weight, tree, z, *((up, ups, y) if ctx.needs_input_grad[1] else ()))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        from wsss.methods import _tree_kernels as kernels

        weight, tree, z, *forth = ctx.saved_tensors
        g = g.contiguous()
        gx = torch.empty_like(g)
        given = (g, weight, tree[:, 0], tree[:, 1])
        if not forth:
            kernels.each_image(kernels.smooth_back, len(g), *map(Tensor.numpy, (*given, z, gx)))
            return gx, None, None
        gw = torch.empty_like(weight)
        kernels.each_image(kernels.smooth_back_both, len(g), *map(Tensor.numpy, (*given, *forth, z, gx, gw)))
        return gx, gw, None


class _Doubling(torch.autograd.Function):
    """Both sweeps as triangular solves; signals are ``(b, n, c)``, weights ``(b, n)``.

    The upward sweep is ``(I - W^T)^-1``, the downward one ``(I - W)^-1``, and ``(I - W)^-1`` is the product over k of
    ``I + W^(2^k)``, where ``W^(2^k)`` holds each node's 2^k-th ancestor and the product of the weights up to it: a
    gather downwards, a scatter upwards. The images are one forest, with all nodes in one column.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tree: Tensor) -> Tensor:
        ones = x.new_ones(*x.shape[:2], 1)
        forest = _Forest(weight, tree)
        up, filtered = forest.filter(torch.cat([x, ones], 2).flatten(0, 1))
        z = filtered[:, -1:]
        y = filtered[:, :-1] / z
        ctx.save_for_backward(weight, tree, z, *((up, filtered, y) if ctx.needs_input_grad[1] else ()))
        return y.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        weight, tree, z, *forth = ctx.saved_tensors
        forest = _Forest(weight, tree)
        scaled = g.flatten(0, 1) / z
        if not forth:
            return forest.filter(scaled)[1].view_as(g), None, None
        up, filtered, y = forth
        up_g, filtered_g = forest.filter(torch.cat([scaled, -(scaled * y).sum(1, keepdim=True)], 1))
        column = forest.weight[:, None]
        gw = up_g * (filtered[forest.parent] - column * up) + up * (filtered_g[forest.parent] - column * up_g)
        return filtered_g[:, :-1].reshape_as(g), gw.sum(1).view_as(weight), None


class _Forest:
    """All trees of a batch as one, and its ladder: the 2^k-th ancestors and the weights on the way there."""

    def __init__(self, weight: Tensor, tree: Tensor) -> None:
        images, nodes = weight.shape
        first = torch.arange(images, device=tree.device)[:, None] * nodes
        self.weight, self.parent = weight.flatten(), (tree[:, 1] + first).flatten()
        self.ladder = [(self.weight, self.parent)]
        for _ in range(1, max(1, (nodes - 1).bit_length())):  # a node has at most n - 1 ancestors
            products, ancestors = self.ladder[-1]
            self.ladder.append((products * products[ancestors], ancestors[ancestors]))

    def filter(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The sums of the upward sweep, and after both."""
        for products, ancestors in self.ladder:
            x = x.index_add(0, ancestors, x * products[:, None])
        y = x * (1 - self.weight.square())[:, None]
        for products, ancestors in self.ladder:
            y = y.addcmul(products[:, None], y[ancestors])
        return x, y

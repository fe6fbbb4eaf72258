"""The layers of the point network: voxels as rows, levels of them as looked up in ``point_level``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from wsss.benchmark.distributed import number_of, world
from wsss.benchmark.networks.point_convolution import SparseConvolution, add_rows
from wsss.benchmark.networks.point_level import Level, Patches
from wsss.benchmark.networks.shared_norm import normalise


def take_rows(x: Float[Tensor, "n c"], index: Int64[Tensor, " m"]) -> Float[Tensor, "m c"]:
    """``x[index]``, whose gradient is summed in float32 or wider; on a CPU many times as fast as indexing."""
    return _TakeRows.apply(x, index)  # pyright: ignore[reportReturnType]  (apply has no types)


class _TakeRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = len(x)
        return x.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        g = gradients[0]
        wide = torch.promote_types(g.dtype, torch.float32)
        return add_rows(g.new_zeros(ctx.rows, g.shape[1], dtype=wide), ctx.saved_tensors[0], g).to(g.dtype), None


class VoxelNorm(nn.BatchNorm1d):
    """Batch normalisation over all ranks' voxels. One voxel has no variance: it is normalised as in evaluation."""

    shares_statistics = True

    def __init__(self, channels: int, momentum: float) -> None:
        super().__init__(channels, eps=1e-3, momentum=momentum)
        self.counting = True
        """Whether this rank's voxels count in the statistics."""

    def forward(self, input: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """Normalise; a single voxel leaves the running statistics alone."""
        counted = input if self.counting else input[:0]
        if self.training and number_of(len(counted)) < 2:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input) if world() == 1 else normalise(self, input, counted)


@contextmanager
def uncounted(network: nn.Module) -> Iterator[None]:
    """Within it what a network is given has no part in the statistics of its batches."""
    norms = [one for one in network.modules() if isinstance(one, VoxelNorm)]
    for norm in norms:
        norm.counting = False
    try:
        yield
    finally:
        for norm in norms:
            norm.counting = True


class DropPath(nn.Module):
    """Leaves out a branch for random voxels, in training (Huang et al., "Deep Networks with Stochastic Depth")."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """Rows are dropped, and those that stay are scaled so that the mean remains."""
        if not self.training or not self.probability:
            return x
        kept = 1 - self.probability
        return x * x.new_empty(len(x), 1).bernoulli_(kept).div_(kept)


class Attention(nn.Module):
    """Self-attention among the voxels of a patch."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Float[Tensor, "n c"], patches: Patches) -> Float[Tensor, "n c"]:
        """Attend; ``heads`` divides the channels."""
        rows = take_rows(self.qkv(x), patches.voxel)
        q, k, v = rows.view(-1, patches.size, 3, self.heads, x.shape[1] // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=patches.real)
        return self.proj(take_rows(y.transpose(1, 2).reshape(-1, x.shape[1]), patches.place))


class Perceptron(nn.Module):
    """Two layers, voxel by voxel."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """Widen and narrow."""
        return self.fc2(F.gelu(self.fc1(x)))


class Pool(nn.Module):
    """The maximum over the voxels that fall into one of the next level."""

    def __init__(self, inputs: int, outputs: int, halvings: int, momentum: float) -> None:
        super().__init__()
        self.halvings = halvings
        self.proj = nn.Linear(inputs, outputs)
        self.norm = nn.Sequential(VoxelNorm(outputs, momentum))

    def forward(self, x: Float[Tensor, "n i"], level: Level) -> tuple[Tensor, Level, Int64[Tensor, " n"]]:
        """Features of the next level, that level, and the voxel of it that each of this one falls into."""
        coarse, cluster = level.pool(self.halvings)
        if self.training:
            coarse.shuffle()
        y = self.proj(x)
        index = cluster[:, None].expand_as(y)
        y = y.new_full((len(coarse), y.shape[1]), -torch.inf).scatter_reduce(0, index, y, "amax")
        return F.gelu(self.norm(y)), coarse, cluster


class Unpool(nn.Module):
    """Features from below, spread over the voxels of a level, beside its own from the encoder."""

    def __init__(self, below: int, skip: int, outputs: int, momentum: float) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.Linear(below, outputs), VoxelNorm(outputs, momentum))
        self.proj_skip = nn.Sequential(nn.Linear(skip, outputs), VoxelNorm(outputs, momentum))

    def forward(self, x: Tensor, skip: Tensor, cluster: Int64[Tensor, " n"]) -> tuple[Tensor, Tensor]:
        """Their sum, and the projected skip connection alone."""
        local = F.gelu(self.proj_skip(skip))
        return local + take_rows(F.gelu(self.proj(x)), cluster), local


class Stem(nn.Module):
    """The first convolution, 5 voxels a side."""

    def __init__(self, inputs: int, outputs: int, momentum: float) -> None:
        super().__init__()
        self.conv = SparseConvolution(inputs, outputs, 5, bias=False)
        self.norm = VoxelNorm(outputs, momentum)

    def forward(self, x: Float[Tensor, "n i"], level: Level) -> Float[Tensor, "n o"]:
        """Convolve, normalise, bend."""
        return F.gelu(self.norm(self.conv(x, level.pairs(5))))

"""Point Transformer V3 in plain torch, after Wu et al., CVPR 2024 (arXiv 2312.10035), with Pointcept's parameter names.

Checkpoints of Pointcept's ``PT-v3m1`` load. Where its code does what its paper does not say, this follows the code:

* The first block of a decoder stage convolves the projected skip connection alone, not the sum with the features from
  below: unpooling updates ``point.feat`` and leaves ``point.sparse_conv_feat`` (here the argument ``local``).
* Drop path drops voxels, not clouds: a row is a voxel.
* An image with fewer voxels than a patch attends within itself (masked keys), as with FlashAttention; without it the
  reference shortens the patches of the whole batch.

It departs in three things: orders are shuffled in training alone (the reference's pooling shuffles in evaluation too,
which makes predictions random), an image's curves do not depend on the rest of the batch (``point_level.voxelise``),
and batch normalisation of a single voxel uses the running statistics.
"""

from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from wsss.benchmark.networks.point_convolution import SparseConvolution
from wsss.benchmark.networks.point_layers import Attention, DropPath, Perceptron, Pool, Stem, Unpool
from wsss.benchmark.networks.point_level import Level


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Widths and depths, from the finest stage to the coarsest; the decoder has no coarsest stage of its own."""

    encoder_depths: tuple[int, ...]
    """Blocks of each stage."""
    encoder_channels: tuple[int, ...]
    encoder_heads: tuple[int, ...]
    decoder_depths: tuple[int, ...]
    decoder_channels: tuple[int, ...]
    decoder_heads: tuple[int, ...]
    halvings: tuple[int, ...]
    """How often the resolution is halved between two stages."""
    patch: int
    """Voxels that attend to each other."""
    widening: int = 4
    """Hidden channels of a block's perceptron, as a multiple of its channels."""
    momentum: float = 0.01
    """Share of a batch in the running mean and variance; the reference's needs hundreds of steps until they hold."""
    drop_path: float = 0.3
    """Probability that the last block leaves a voxel as it is; rises from 0 at the first, over encoder and decoder."""


class Block(nn.Module):
    """Conditional positional encoding by a sparse convolution, then attention and perceptron, all residual."""

    def __init__(self, channels: int, heads: int, order: int, drop_path: float, of: Architecture) -> None:
        super().__init__()
        self.order, self.patch = order, of.patch
        self.cpe = nn.Sequential(
            SparseConvolution(channels, channels, 3), nn.Linear(channels, channels), nn.LayerNorm(channels)
        )
        self.norm1 = nn.Sequential(nn.LayerNorm(channels))
        self.attn = Attention(channels, heads)
        self.norm2 = nn.Sequential(nn.LayerNorm(channels))
        self.mlp = nn.Sequential(Perceptron(channels, of.widening * channels))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "n c"], local: Float[Tensor, "n c"], level: Level) -> Float[Tensor, "n c"]:
        """Refine the features of a level; ``local`` is what the positional encoding convolves, ``x`` but once."""
        convolve, project, normalise = self.cpe
        x = x + normalise(project(convolve(local, level.pairs(3))))
        x = x + self.drop_path(self.attn(self.norm1(x), level.patches(self.order, self.patch)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Stage(nn.Module):
    """Blocks at one resolution behind the step that leads there: ``down``, ``up``, or none."""

    def __init__(self, blocks: list[Block], down: Pool | None = None, up: Unpool | None = None) -> None:
        super().__init__()
        self.down, self.up = down, up
        self.depth = len(blocks)
        for i, block in enumerate(blocks):
            self.add_module(f"block{i}", block)

    def refine(self, x: Tensor, local: Tensor, level: Level, checkpointing: bool) -> Tensor:
        """All blocks; with ``checkpointing`` their activations are computed again in the backward pass."""
        for i in range(self.depth):
            block = self.get_submodule(f"block{i}")
            if checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, local if i == 0 else x, level, use_reentrant=False)
            else:
                x = block(x, local if i == 0 else x, level)
        return x


class PointTransformer(nn.Module):
    """The backbone: a U-Net over levels of voxels.

    Args:
        inputs: Channels of a voxel's features.
        of: Widths and depths.
        checkpointing: Whether blocks keep no activations.
    """

    def __init__(self, inputs: int, of: Architecture, checkpointing: bool = False) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        width = of.encoder_channels
        self.embedding = nn.ModuleDict({"stem": Stem(inputs, width[0], of.momentum)})
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        for i, (blocks, heads) in enumerate(
            zip(_rates(of.encoder_depths, of.drop_path), of.encoder_heads, strict=True)
        ):
            made = [Block(width[i], heads, j, rate, of) for j, rate in enumerate(blocks)]
            down = Pool(width[i - 1], width[i], of.halvings[i - 1], of.momentum) if i else None
            self.enc[f"enc{i}"] = Stage(made, down=down)
        outputs = (*of.decoder_channels, width[-1])
        rates = _rates(of.decoder_depths, of.drop_path)
        for i in reversed(range(len(of.decoder_depths))):
            made = [Block(outputs[i], of.decoder_heads[i], j, r, of) for j, r in enumerate(reversed(rates[i]))]
            self.dec[f"dec{i}"] = Stage(made, up=Unpool(outputs[i + 1], width[i], outputs[i], of.momentum))

    def forward(self, features: Float[Tensor, "n i"], level: Level) -> Float[Tensor, "n o"]:
        """Features of the voxels of the finest level, as many as the finest decoder stage has channels."""
        if self.training:
            level.shuffle()
        x = self.embedding["stem"](features, level)
        skips = []
        for stage in self.enc.values():
            assert isinstance(stage, Stage)
            if stage.down is not None:
                fine, finer = x, level
                x, level, cluster = stage.down(fine, finer)
                skips.append((fine, finer, cluster))
            x = stage.refine(x, x, level, self.checkpointing)
        for stage in self.dec.values():
            assert isinstance(stage, Stage) and stage.up is not None
            skip, level, cluster = skips.pop()
            x, local = stage.up(x, skip, cluster)
            x = stage.refine(x, local, level, self.checkpointing)
        return x


def _rates(depths: tuple[int, ...], last: float) -> list[list[float]]:
    """Drop-path rates, rising over all blocks, by stage."""
    rates = [last * i / max(sum(depths) - 1, 1) for i in range(sum(depths))]
    return [rates[end - depth : end] for depth, end in zip(depths, accumulate(depths), strict=True)]

"""The network of points: a Point Transformer V3 on voxels, whose logits go back to the points."""

from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from wsss.benchmark.networks.point_layers import take_rows, uncounted
from wsss.benchmark.networks.point_level import voxelise
from wsss.benchmark.networks.point_transformer import Architecture, PointTransformer
from wsss.benchmark.networks.point_weights import load
from wsss.benchmark.randomness import seed_of
from wsss.benchmark.spec import PointNetworkConfig

SIZES = {
    "tiny": Architecture(
        encoder_depths=(1, 1, 1, 1),
        encoder_channels=(16, 32, 64, 128),
        encoder_heads=(1, 2, 4, 8),
        decoder_depths=(1, 1, 1),
        decoder_channels=(32, 32, 64),
        decoder_heads=(2, 2, 4),
        halvings=(2, 2, 1),
        patch=128,
        momentum=0.1,
    ),
    "small": Architecture(
        encoder_depths=(1, 1, 2, 2, 1),
        encoder_channels=(32, 64, 96, 128, 192),
        encoder_heads=(2, 4, 6, 8, 12),
        decoder_depths=(1, 1, 1, 1),
        decoder_channels=(48, 64, 96, 128),
        decoder_heads=(3, 4, 6, 8),
        halvings=(1, 1, 1, 1),
        patch=256,
    ),
    "paper": Architecture(
        encoder_depths=(2, 2, 2, 6, 2),
        encoder_channels=(32, 64, 128, 256, 512),
        encoder_heads=(2, 4, 8, 16, 32),
        decoder_depths=(2, 2, 2, 2),
        decoder_channels=(64, 64, 128, 256),
        decoder_heads=(4, 4, 8, 16),
        halvings=(1, 1, 1, 1),
        patch=1024,
    ),
}
"""``tiny`` for a CPU, ``small`` between, ``paper`` as in Rewis3d's released configuration: Pointcept's base model.

``tiny`` halves the resolution twice at a time (voxels of 0.05, 0.2, 0.8 and 1.6 m): a few thousand points of a street
are so far apart that most voxels of 0.1 m hold one point, and that level would cost as much as the finest. Its
schedules are short, so its running statistics follow ten times as fast.
"""

_INPUTS = 6


class PointNetwork(nn.Module):
    """A segmenter of coloured points.

    Args:
        of: Widths and depths of the backbone.
        classes: Outputs.
        voxel: Side of a voxel, metres.
        checkpointing: Whether blocks keep no activations.
    """

    def __init__(self, of: Architecture, classes: int, voxel: float, checkpointing: bool = False) -> None:
        super().__init__()
        self.voxel = voxel
        self.backbone = PointTransformer(_INPUTS, of, checkpointing)
        self.seg_head = nn.Linear(of.decoder_channels[0], classes)

    def forward(
        self, xyz: Float[Tensor, "n 3"], rgb: Float[Tensor, "n 3"], image: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n classes"]:
        """Logits of each point, float32 or wider.

        Points of one voxel share their logits; points of different images never meet. Without points the result has no
        rows, and its gradient is zero for every parameter.

        Args:
            xyz: Metres, z up.
            rgb: In [0, 1].
            image: Whose cloud each point belongs to: any numbers, in any order.

        Raises:
            UsageError: A coordinate is not finite, or an image is too wide for its voxels.
        """
        if not len(xyz):
            one = xyz.new_zeros(1, 3)
            with uncounted(self):  # all layers all the same, because other ranks may have points and wait in them
                return self(one, one, image.new_zeros(1))[:0]
        voxels = voxelise(xyz, image, self.voxel)
        features = voxels.mean(torch.cat([xyz, rgb], 1))
        logits = self.seg_head(self.backbone(features, voxels.level))
        return take_rows(logits.to(torch.promote_types(logits.dtype, torch.float32)), voxels.of_point)


def point_network(config: PointNetworkConfig, classes: int, seed: int) -> PointNetwork:
    """Build the network with initial weights that depend on ``config``, ``classes`` and ``seed`` alone.

    Raises:
        UsageError: The weights cannot be had or do not fit; never another set of weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "initial weights of points"))
        network = PointNetwork(SIZES[config.size], classes, config.voxel, config.checkpointing)
    if config.weights != "none":
        load(network, Path(config.weights))
    return network

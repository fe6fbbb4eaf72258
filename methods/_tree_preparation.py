"""The low-level guide of the tree energy loss: the image on the grid of the logits, and its tree.

It imports no network, because the loader's processes import it to build the trees ahead of the training step.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from wsss.benchmark import Batch
from wsss.methods._tree_filter import spanning_tree


@dataclass(frozen=True, kw_only=True)
class LowTree:
    """Builds the trees of a batch's images at the resolution of a network's logits."""

    multiple: int
    """The network pads both sides of an image to a multiple of this by repeating its border."""
    stride: int
    """Pixels of the padded image per logit, along a side."""
    void: bool
    """Whether pixels that belong to no class take part like all others; else they are cut off."""

    def __call__(self, batch: Batch) -> Int32[Tensor, "b 3 n"]:
        """The minimum spanning tree of every weak view, which no colour jitter has touched."""
        guide, taking_part = self.guide(batch)
        return spanning_tree(guide, taking_part)

    def guide(self, batch: Batch) -> tuple[Float[Tensor, "b 3 h w"], Bool[Tensor, "b h w"]]:
        """RGB in [0, 1] on the grid of the logits, bilinear, and which of its pixels take part."""
        below, right = (-side % self.multiple for side in batch.image.shape[-2:])
        image = F.pad(batch.image, (0, right, 0, below), mode="replicate")
        size = [side // self.stride for side in image.shape[-2:]]
        guide = F.interpolate(image, size, mode="bilinear", align_corners=False)
        return guide, self.on_grid(batch.valid) | self.void

    def on_grid(self, mask: Bool[Tensor, "b H W"]) -> Bool[Tensor, "b h w"]:
        """A mask on the grid of the logits, nearest; False where the network pads."""
        below, right = (-side % self.multiple for side in mask.shape[-2:])
        return F.pad(mask, (0, right, 0, below))[:, :: self.stride, :: self.stride]

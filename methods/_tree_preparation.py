"""The low-level guide of the tree energy loss: the image on the grid of the logits, and its tree.

It imports no network, because the loader's processes import it to build the trees ahead of the training step.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from wsss.benchmark import IGNORE, Batch
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
        return spanning_tree(self.colours(batch), self.taking_part(batch))

    def colours(self, batch: Batch) -> Float[Tensor, "b 3 h w"]:
        """RGB in [0, 1] on the grid of the logits, bilinear."""
        image = F.pad(batch.image, self._padding(batch), mode="replicate")
        size = [side // self.stride for side in image.shape[-2:]]
        return F.interpolate(image, size, mode="bilinear", align_corners=False)

    def taking_part(self, batch: Batch) -> Bool[Tensor, "b h w"]:
        """Which pixels of the grid have a place in the trees."""
        return self._on_grid(batch.valid, batch) | self.void

    def unlabelled(self, batch: Batch) -> Bool[Tensor, "b h w"]:
        """Which of the pixels that take part have no label; none where the network pads."""
        return self._on_grid(batch.labels == IGNORE, batch) & self.taking_part(batch)

    def _on_grid(self, mask: Bool[Tensor, "b H W"], batch: Batch) -> Bool[Tensor, "b h w"]:
        """A mask on the grid of the logits, nearest; False where the network pads."""
        return F.pad(mask, self._padding(batch))[:, :: self.stride, :: self.stride]

    def _padding(self, batch: Batch) -> tuple[int, int, int, int]:
        below, right = (-side % self.multiple for side in batch.image.shape[-2:])
        return 0, right, 0, below

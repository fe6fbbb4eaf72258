"""What points teach the pixels that they were made of, and pixels the points: targets, weights, and the loss on them.

The cross-modal consistency of Rewis3d, as small functions of tensors. K is the set of pairs of a point n and the pixel
u that it lies on, q2 and q3 are the probabilities of the teachers of pixels and of points, s2 and s3 the logits of the
students, c the reconstruction's confidence:

    3D -> 2D:  sum over K of w CE(s2(u), argmax q3(n)) / D,  w = max q3(n) c(n)
    2D -> 3D:  sum over K of w CE(s3(n), argmax q2(u)) / D,  w = max q2(u) c(n)

Everything is a gather or a scatter through the pairs, so a step costs the same however the points are spread.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from wsss.benchmark import IGNORE, Points
from wsss.benchmark.distributed import mean_over, world

Confidence = Literal["none", "prediction", "reconstruction", "both"]
Normalisation = Literal["weights", "pairs", "none"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which point lies on which pixel."""

    point: Int64[Tensor, " p"]
    """Row in the table of points, rising."""
    place: Int64[Tensor, " p"]
    """Index into the B*H*W pixels of the batch."""

    def __len__(self) -> int:
        return len(self.point)


@dataclass(frozen=True, slots=True)
class Targets:
    """What the other side says of every pixel, or of every point."""

    label: Int64[Tensor, "..."]
    """IGNORE where it says nothing."""
    weight: Float[Tensor, "..."]
    """0 there."""


def pairs_of(points: Points, valid: Bool[Tensor, "b h w"]) -> Pairs:
    """The points that lie on a valid pixel of their image, with that pixel."""
    _, height, width = valid.shape
    row, column = points.pixel.unbind(1)
    place = ((points.image * height + row) * width + column).masked_fill(row < 0, 0)
    point = torch.nonzero((row >= 0) & valid.flatten()[place]).squeeze(1)
    return Pairs(point, place[point])


def rank(confidence: Float[Tensor, " p"], image: Int64[Tensor, " p"]) -> Float[Tensor, " p"]:
    """The share of an image's points with no more confidence than this one, in (0, 1]: 1 for all if all are equal.

    It makes providers comparable, whose scales differ by orders of magnitude.

    Args:
        confidence: Positive and finite.
        image: Whose each point is.
    """
    # The bits of a positive float rise with its value, so that one integer orders by image and by confidence.
    key = (image << 32) + confidence.float().contiguous().view(torch.int32)
    _, place, counts = torch.unique(key, return_inverse=True, return_counts=True)
    of_image = torch.bincount(image)
    before = of_image.cumsum(0) - of_image
    return (counts.cumsum(0)[place] - before[image]) / of_image[image]


def weights(
    kind: Confidence, prediction: Float[Tensor, " p"], reconstruction: Float[Tensor, " p"]
) -> Float[Tensor, " p"]:
    """The weight of every pair: the teacher's probability times the reconstruction's confidence, or one of the two."""
    if kind == "none":
        return torch.ones_like(prediction)
    if kind == "both":
        return prediction * reconstruction
    return prediction if kind == "prediction" else reconstruction


def onto_pixels(
    pairs: Pairs,
    label: Int64[Tensor, " p"],
    weight: Float[Tensor, " p"],
    confidence: Float[Tensor, " p"],
    shape: torch.Size,
) -> Targets:
    """Targets of an array of pixels of ``shape`` (B, H, W).

    Of several points on one pixel the one with the highest ``confidence`` speaks, of equal ones the first of the table.

    Args:
        pairs: Where the points lie.
        label: What each says, IGNORE if nothing.
        weight: How much that counts.
        confidence: The reconstruction's own, positive.
        shape: Of the pixels.
    """
    # Integers order by confidence, then by row from the last; their maximum does not depend on the order of writing.
    later = torch.iinfo(torch.int32).max - pairs.point
    key = (confidence.float().contiguous().view(torch.int32).long() << 32) + later
    highest = key.new_full((shape.numel(),), -1).scatter_reduce_(0, pairs.place, key, "amax")
    speaks = highest[pairs.place] == key
    place = pairs.place[speaks]
    return Targets(
        *(column.reshape(shape) for column in _scattered(place, label[speaks], weight[speaks], shape.numel()))
    )


def onto_points(pairs: Pairs, label: Int64[Tensor, " p"], weight: Float[Tensor, " p"], number: int) -> Targets:
    """Targets of a table of ``number`` points, from what the pixels say and how much that counts."""
    return Targets(*_scattered(pairs.point, label, weight, number))


def _scattered(place: Tensor, label: Tensor, weight: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Labels and weights at their places, which are all different, among ``number``."""
    labels, every = label.new_full((number,), IGNORE), weight.new_zeros(number)
    labels[place], every[place] = label, weight.masked_fill(label == IGNORE, 0)
    return labels, every


def cross_entropy(logits: Float[Tensor, "b c ..."], targets: Targets, normalise: Normalisation) -> Float[Tensor, ""]:
    """Sum over K of w CE(s, target) / D, where D is the sum of the weights, the number of pairs, or 1."""
    each = F.cross_entropy(logits, targets.label, ignore_index=IGNORE, reduction="none")
    total = (each * targets.weight).sum()
    if normalise == "none":
        return total * world()  # what is averaged over ranks here is a sum
    divisor = targets.weight if normalise == "weights" else (targets.label != IGNORE).float()
    return mean_over(total, divisor.sum(), least=torch.finfo(torch.float32).tiny)

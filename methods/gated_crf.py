"""Gated CRF loss: pixels that lie close together and look alike should get the same class.

Obukhov, Georgoulis, Dai and Van Gool, Gated CRF Loss for Weakly Supervised Semantic Image Segmentation, 2019, with the
settings of the code released beside it, which are the defaults here. It is the energy of a conditional random field
with Potts compatibility, cut to a window so that it needs no high-dimensional filtering, and gated so that some pixels
neither send nor receive.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from wsss.benchmark import IGNORE, Batch, UsageError
from wsss.benchmark.distributed import divisor
from wsss.benchmark.networks import Prediction
from wsss.benchmark.networks.weights import IMAGENET
from wsss.methods.partial import Partial, partial_cross_entropy


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the Gated CRF loss."""

    weight: float = 0.1
    """Of the energy."""
    start: float = 0.005
    """Share of training before the energy joins, so that it does not freeze what a new classifier says by chance."""
    stride: int = 4
    """Side in pixels of the cells on which the energy is taken (release: a grid of 64 for crops of 256)."""
    radius: int = 5
    """Of the square window around a cell, in cells."""
    sigma_xy: float = 6.0
    """Width of both kernels in space, in cells."""
    sigma_rgb: float = 0.1
    """Width of the appearance kernel in colour, in standard deviations of ImageNet's colours (about 0.225 of RGB)."""
    appearance: float = 1.0
    """Weight of the kernel over place and colour."""
    smoothness: float = 0.0
    """Weight of the kernel over place alone."""
    receivers: Literal["valid", "unlabelled"] = "valid"
    """Cells whose energy counts: all, as in the released training, or those where nobody labelled; all valid cells
    send."""

    def __post_init__(self) -> None:
        if self.radius < 1 or self.stride < 1 or min(self.sigma_xy, self.sigma_rgb) <= 0:
            raise UsageError(f"gated_crf: radius, stride, sigma_xy and sigma_rgb must be positive, not {self}")


MIXTURE = Config(appearance=0.9, smoothness=0.1)
"""The two kernels that the released loss describes as its example; its training uses the first alone."""
UNLABELLED = Config(receivers="unlabelled")
"""As the paper's abstract has it: cross-entropy for the labelled pixels, the energy for the unlabelled ones."""


class GatedCRF(Partial):
    """The floor plus a CRF energy of the prediction.

    Two things differ from the release. Colours come from the view without colour jitter. Cells that touch padding or
    void neither send nor receive, where the release's gate lets those at the edge receive.
    """

    title = "Gated CRF"
    paper = "Obukhov et al., Gated CRF Loss for Weakly Supervised Semantic Image Segmentation, arXiv 2019"
    url = "https://arxiv.org/abs/1906.04651"
    Config = Config

    def losses(self, batch: Batch, progress: float) -> Mapping[str, Tensor]:
        """Cross-entropy on labelled pixels, and the energy of the whole prediction."""
        prediction = self.student(batch.strong)
        terms = {"supervised": partial_cross_entropy(prediction.logits, batch.labels)}
        if progress > self.config.start:
            terms["crf"] = self.config.weight * self.energy(prediction, batch)
        return terms

    def energy(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """Mean energy of a receiving cell, on the grid of the configured stride."""
        (rows, columns), stride = prediction.padded, self.config.stride
        grid = (math.ceil(rows / stride), math.ceil(columns / stride))

        def touched(mask: Bool[Tensor, "b h w"], outside: bool) -> Bool[Tensor, "b y x"]:
            """Cells with at least one pixel of the mask."""
            return F.adaptive_max_pool2d(prediction.pad(mask[:, None].float(), float(outside)), grid)[:, 0] > 0

        senders = receivers = ~touched(~batch.valid, outside=True)
        if self.config.receivers == "unlabelled":
            receivers = senders & ~touched(batch.labels != IGNORE, outside=False)
        colours = F.adaptive_avg_pool2d(prediction.pad(batch.image, 0.0), grid).float()
        colours = colours / colours.new_tensor(IMAGENET[1]).view(1, 3, 1, 1)
        logits = _resize(prediction.low.float(), grid)
        return gated_crf(logits.softmax(1), colours, senders, receivers, self.config)


def gated_crf(
    probabilities: Float[Tensor, "b c h w"],
    colours: Float[Tensor, "b 3 h w"],
    senders: Bool[Tensor, "b h w"],
    receivers: Bool[Tensor, "b h w"],
    config: Config,
) -> Float[Tensor, ""]:
    """Sum over receivers i and senders j != i of their window of ``k_ij (1 - p_i . p_j)``, per receiver.

    ``k_ij = exp(-|xy_i - xy_j|^2 / 2 sigma_xy^2) (appearance exp(-|rgb_i - rgb_j|^2 / 2 sigma_rgb^2) + smoothness)``.
    The gradient reaches the probabilities alone. Memory is that of one window offset, not of the whole window.

    Args:
        probabilities: p, classes summing to 1, fp32 or fp64.
        colours: rgb in the unit of ``sigma_rgb``.
        senders: The source gate.
        receivers: The destination gate.
        config: Kernels and radius.
    """
    return _Energy.apply(probabilities, colours, senders, receivers, config)


class _Energy(torch.autograd.Function):
    """The energy is quadratic in p, so one pass over the window gives both its value and its gradient.

    With symmetric pair weights w and ``m_i = sum_j w_ij p_j`` it is ``sum_i (sum_j w_ij - p_i . m_i) / 2``, and its
    gradient by p_i is ``-m_i``.
    """

    @staticmethod
    def forward(ctx: Any, p: Tensor, colours: Tensor, senders: Tensor, receivers: Tensor, config: Config) -> Tensor:
        sends, receives = senders[:, None].to(p.dtype), receivers[:, None].to(p.dtype)
        message, degree = torch.zeros_like(p), torch.zeros_like(sends)
        for square, here, there in _pairs(config.radius, p.shape[-2], p.shape[-1]):
            difference = (colours[here] - colours[there]).square().sum(1, keepdim=True)
            kernel = config.appearance * torch.exp(difference / (-2 * config.sigma_rgb**2)) + config.smoothness
            kernel *= math.exp(square / (-2 * config.sigma_xy**2))
            kernel *= receives[here] * sends[there] + receives[there] * sends[here]
            message[here].addcmul_(kernel, p[there])
            message[there].addcmul_(kernel, p[here])
            degree[here] += kernel
            degree[there] += kernel
        count = divisor(receives.sum())
        ctx.save_for_backward(message / count)
        return (degree - (p * message).sum(1, keepdim=True)).sum() / (2 * count)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  (the decorator forgets the names)
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, None, None, None, None]:
        (message,) = ctx.saved_tensors
        return -gradients[0] * message, None, None, None, None


def _pairs(radius: int, height: int, width: int) -> Iterator[tuple[int, tuple[Any, ...], tuple[Any, ...]]]:
    """Every pair of cells in one window once: squared distance, and where the two cells of such pairs are."""
    for down in range(min(radius, height - 1) + 1):
        for right in range(-min(radius, width - 1), min(radius, width - 1) + 1):
            if (down, right) > (0, 0):
                rows = slice(0, height - down), slice(down, height)
                columns = slice(max(0, -right), width - max(0, right)), slice(max(0, right), width + min(0, right))
                yield down**2 + right**2, (..., rows[0], columns[0]), (..., rows[1], columns[1])


def _resize(logits: Float[Tensor, "b c h w"], grid: tuple[int, int]) -> Float[Tensor, "b c y x"]:
    """Average of what lies in a cell where cells are larger than the network's own, bilinear where they are smaller."""
    if logits.shape[-2] < grid[0]:
        return F.interpolate(logits, grid, mode="bilinear", align_corners=False)
    return F.adaptive_avg_pool2d(logits, grid)

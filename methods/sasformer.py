"""SASFormer: what a patch attends to should say what the patch says.

Su et al., SASFormer: Transformers for Sparsely Annotated Semantic Segmentation, ICME 2023, and the code released beside
it. The attention maps of a SegFormer's encoder spread the prediction at the keys over the queries of each stage, and on
unlabelled pixels the spread prediction and the prediction should agree. It needs an encoder with self-attention; on any
other network its row is ``n/a``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from wsss.benchmark import IGNORE, Batch, UsageError
from wsss.benchmark.distributed import mean_over
from wsss.benchmark.networks import Attention, Prediction, has_attention
from wsss.benchmark.spec import NetworkConfig
from wsss.methods.partial import Partial, partial_cross_entropy


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of SASFormer."""

    weight: float = 1.2
    """Of the affinity loss, which is summed over the stages (release; the paper's for scribbles)."""
    stages: int = 4
    """How many of the encoder's stages take part, from the finest: 1 to 4 (release: 4)."""
    double_softmax: bool = True
    """Pass both predictions, which are probabilities already, through a second softmax, as paper and release do. It
    shrinks all differences, the more so the more classes there are; False compares the probabilities themselves."""
    detach: bool = False
    """Whether the spread prediction is a fixed target. The release learns through it, the attention included."""

    def __post_init__(self) -> None:
        if not 1 <= self.stages <= 4:
            raise UsageError(f"sasformer: stages must lie in [1, 4], not {self.stages}")


PAPER = Config(weight=1.2 / 4)
"""The paper averages over the stages where the released code sums."""
PAPER_POINTS = Config(weight=0.2 / 4)
"""The paper's weight for point labels, averaged in the same way."""
EPSILON = 1e-6
"""The least divisor: shares may be 0, and below this a gradient could overflow."""


class SASFormer(Partial):
    """The floor plus agreement with what the encoder's attention makes of the prediction.

    The harness owns the network, so the last stage has stride 32 and not 16 as in the release. Grids follow the crop,
    which need not be square; void and padding count at neither end of the attention.
    """

    title = "SASFormer"
    paper = "Su et al., SASFormer: Transformers for Sparsely Annotated Semantic Segmentation, ICME 2023"
    url = "https://arxiv.org/abs/2212.02019"
    Config = Config

    @classmethod
    def obstacle(cls, network: NetworkConfig) -> str | None:
        """A network without self-attention has nothing to agree with."""
        if has_attention(network):
            return None
        return f"the network, {network.architecture} on {network.encoder}, has no self-attention"

    def losses(self, batch: Batch, progress: float) -> Mapping[str, Tensor]:
        """Cross-entropy on labelled pixels, and the affinity loss on unlabelled ones."""
        prediction, attention = self.student.attend(batch.strong)
        return {
            "supervised": partial_cross_entropy(prediction.logits, batch.labels),
            "affinity": self.config.weight * self.affinity(prediction, attention, batch),
        }

    def affinity(self, prediction: Prediction, attention: Sequence[Attention], batch: Batch) -> Float[Tensor, ""]:
        """Sum over stages of the mean L1 distance between spread prediction and prediction on unlabelled queries."""
        grid = (prediction.low.shape[-2], prediction.low.shape[-1])
        # A cell of the decoder is used if all of its pixels are valid, and counts as much as is unlabelled of it.
        invalid = prediction.pad((~batch.valid[:, None]).float(), 1.0)
        valid = (F.adaptive_max_pool2d(invalid, grid) == 0).float()
        unlabelled = prediction.pad((batch.labels[:, None] == IGNORE).float(), 0.0)
        wanted = valid * F.adaptive_avg_pool2d(unlabelled, grid)

        logits = prediction.low.float()
        total = logits.new_zeros(())
        with torch.autocast(logits.device.type, enabled=False):
            for stage in attention[: self.config.stages]:
                here, _ = probabilities(logits, valid, stage.queries)
                there, share = probabilities(logits, valid, stage.keys)
                spread = attended(stage.weights.float(), there, share)
                distance = self.distance(spread.detach() if self.config.detach else spread, here)
                weights = F.adaptive_avg_pool2d(wanted, stage.queries).flatten(1)
                total = total + mean_over((distance * weights).sum(), weights.sum(), least=EPSILON)
        return total

    def distance(self, spread: Float[Tensor, "b q c"], here: Float[Tensor, "b q c"]) -> Float[Tensor, "b q"]:
        """L1 distance of two distributions, after the release's second softmax if so configured."""
        if self.config.double_softmax:
            spread, here = spread.softmax(-1), here.softmax(-1)
        return (spread - here).abs().sum(-1)


def probabilities(
    logits: Float[Tensor, "b c h w"], valid: Float[Tensor, "b 1 h w"], grid: tuple[int, int]
) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b n"]]:
    """Softmax of the mean logits over the valid part of each cell of ``grid``, and how large a part that is."""
    share = F.adaptive_avg_pool2d(valid, grid)
    mean = F.adaptive_avg_pool2d(logits * valid, grid) / share.clamp(min=EPSILON)
    return mean.flatten(2).transpose(1, 2).softmax(-1), share.flatten(1)


def attended(
    weights: Float[Tensor, "b q k"], values: Float[Tensor, "b k c"], share: Float[Tensor, "b k"]
) -> Float[Tensor, "b q c"]:
    """Mean of the values under attention, in which a key counts as much as is valid of it."""
    total = weights @ share[..., None]
    return weights @ (values * share[..., None]) / total.clamp(min=EPSILON)

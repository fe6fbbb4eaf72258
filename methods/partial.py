"""Cross-entropy on the labelled pixels alone: the floor that every method has to beat."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from wsss.benchmark import IGNORE, Batch, Method, Task
from wsss.benchmark.distributed import mean_over


@dataclass(frozen=True, kw_only=True)
class Config:
    """Nothing to choose: it is the floor."""


class Partial(Method):
    """One network, trained where somebody put a label."""

    title = "Partial CE"
    paper = "Tang et al., Normalized Cut Loss for Weakly-Supervised CNN Segmentation, CVPR 2018, Eq. 1"
    url = "https://arxiv.org/abs/1804.01346"
    Config = Config

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        self.student = task.image_network()

    def losses(self, batch: Batch, progress: float) -> Mapping[str, Tensor]:
        """Cross-entropy of the strong view on the labelled pixels."""
        logits = self.student(batch.strong).logits
        return {"supervised": partial_cross_entropy(logits, batch.labels)}

    def predict(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Logits of the network."""
        return self.student(image).logits


def partial_cross_entropy(logits: Float[Tensor, "b c ..."], labels: Int64[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """Mean cross-entropy over the labelled pixels, or points, of the batch; 0, not NaN, where nothing is labelled."""
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return mean_over(total, (labels != IGNORE).sum())

"""Tree energy loss: unlabelled pixels agree with those that the image's spanning trees connect them to.

Liang et al., Tree Energy Loss: Towards Sparsely Annotated Semantic Segmentation, CVPR 2022. The class probabilities
are filtered along the tree of the colours, then along that of learned features; the loss is their distance to the
result. Exact, on any device, without the original's CUDA extension: see ``_tree_filter.py``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsss.benchmark import Batch, Task, UsageError
from wsss.benchmark.batch import Preparation
from wsss.benchmark.distributed import mean_over
from wsss.benchmark.networks import Prediction
from wsss.methods._tree_filter import tree_filter
from wsss.methods._tree_preparation import LowTree
from wsss.methods.partial import Partial, partial_cross_entropy


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the tree energy loss."""

    weight: float = 0.4
    """Of the tree energy (lambda)."""
    sigma: float = 0.002
    """Of the affinity of colours in [0, 1] squared: the released settings for Cityscapes and ADE20K; VOC has 0.02."""
    feature_sigma: float = 1.0
    """Of the affinity of features."""
    width: int = 64
    """Channels of the branch that makes the features; the paper's 256 belong to backbones with 256 and more."""
    high: bool = True
    """Whether the features' tree is used beside the colours'."""
    detach: bool = False
    """Whether the filtered probabilities are a fixed target, and the branch stays as it was made; in the paper the
    gradient flows through both filters."""
    void: bool = False
    """Whether pixels that belong to no class take part, as in the released code, and padding, which that leaves out."""

    def __post_init__(self) -> None:
        for name in ("sigma", "feature_sigma", "width"):
            if not getattr(self, name) > 0:
                raise UsageError(f"tel: {name} must be positive, not {getattr(self, name)}")


PAPER = Config(width=256)
"""The paper's branch; all else is the default."""
CODE = Config(width=256, void=True)
"""The released code, for crops that need no padding."""

PROBE = (97, 129)
"""One more than 3 and 4 times 32: for every power of two up to 64 these sides are padded to coprime multiples."""


class TEL(Partial):
    """The floor plus the tree energy of the unlabelled pixels."""

    title = "TEL"
    paper = "Liang et al., Tree Energy Loss: Towards Sparsely Annotated Semantic Segmentation, CVPR 2022"
    url = "https://arxiv.org/abs/2203.10739"
    Config = Config

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.low_tree = _low_tree(self.student, config.void)
        self.branch = _branch(self.student.classifier, config.width) if config.high else None

    def preparation(self) -> Preparation:
        """The trees of the images, which do not depend on the network."""
        return self.low_tree

    def losses(self, batch: Batch, progress: float) -> Mapping[str, Tensor]:
        """Cross-entropy on labelled pixels, and the tree energy of unlabelled ones."""
        prediction = self.student(batch.strong)
        return {
            "supervised": partial_cross_entropy(prediction.logits, batch.labels),
            "tree": self.config.weight * self.tree_energy(prediction, batch),
        }

    def tree_energy(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """Distance of the probabilities to what both filters make of them, at the stride of the logits.

        The sum over classes of absolute differences, averaged over the unlabelled pixels of the batch; 0 without such.
        """
        probabilities = prediction.low.float().softmax(1)
        smooth = self.propagate(probabilities, prediction.features, batch)
        if self.config.detach:
            smooth = smooth.detach()
        unlabelled = self.low_tree.unlabelled(batch)
        return mean_over(((probabilities - smooth).abs().sum(1) * unlabelled).sum(), unlabelled.sum())

    def propagate(
        self, x: Float[Tensor, "b c h w"], features: Float[Tensor, "b d h w"] | None, batch: Batch
    ) -> Float[Tensor, "b c h w"]:
        """Filter ``x``, on the grid of the logits, along the tree of the colours, then that of the features if any."""
        colours, taking_part = self.low_tree.colours(batch), self.low_tree.taking_part(batch)
        smooth = tree_filter(x, colours, self.config.sigma, valid=taking_part, tree=batch.prepared)
        if self.branch is None or features is None:
            return smooth
        # Batch statistics must not depend on what the network makes of pixels that take no part.
        learned = self.branch(features.masked_fill(~taking_part[:, None], 0))
        return tree_filter(smooth, learned, self.config.feature_sigma, valid=taking_part)


def _branch(classifier: Tensor | nn.Module, width: int) -> nn.Sequential:
    """Features for the second tree from those of the classifier; without running statistics: it is never tested."""
    assert isinstance(classifier, nn.Conv2d)
    return nn.Sequential(
        nn.Conv2d(classifier.in_channels, width, 1, bias=False),
        nn.BatchNorm2d(width, track_running_stats=False),
        nn.ReLU(),
    )


def _low_tree(network: nn.Module, void: bool) -> LowTree:
    """How the network pads and strides, asked of an image whose padded sides share no other factor."""
    training = network.training
    with torch.no_grad():
        prediction: Prediction = network.eval()(torch.zeros(1, 3, *PROBE))
    network.train(training)
    stride = prediction.padded[0] // prediction.low.shape[-2]
    return LowTree(multiple=math.gcd(*prediction.padded), stride=stride, void=void)

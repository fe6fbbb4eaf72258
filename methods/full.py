"""Cross-entropy on dense labels: the ceiling that weak labels are measured against."""

from wsss.methods.partial import Config, Partial

__all__ = ["Config", "Full"]


class Full(Partial):
    """The floor's network and schedule; only the labels differ."""

    title = "Fully supervised"
    paper = "Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015"
    url = "https://arxiv.org/abs/1411.4038"
    supervision = "dense"

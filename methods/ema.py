"""Mean teacher: the student learns on unlabelled pixels what a slow average of itself says of a cleaner view.

Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017, with the per-pixel confidence gate of
FixMatch (Sohn et al., NeurIPS 2020). It is the baseline that Rewis3d builds on; ``PAPER`` and ``CODE`` hold the
settings of its paper and of its released code where these differ from the defaults.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from wsss.benchmark import IGNORE, Batch, Task, UsageError
from wsss.benchmark.distributed import mean_over, total_of
from wsss.benchmark.method import Predictor
from wsss.methods.partial import Partial, partial_cross_entropy


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the mean teacher."""

    momentum: float = 0.99
    """Of the teacher, in [0, 1): it moves by min(1 - 1/(t+1), momentum) at step t."""
    threshold: float = 0.95
    """The teacher's probability from which it counts as confident, in [0, 1]."""
    target: Literal["hard", "soft"] = "hard"
    """Cross-entropy with the teacher's class, or Kullback-Leibler divergence from its distribution."""
    gate: Literal["pixel", "share"] = "pixel"
    """Use confident pixels only, or all of them weighted by the share of confident pixels in the batch (Rewis3d)."""
    per_class: bool = False
    """Divide the divergence by the number of classes too, as Rewis3d's released 2D branch does."""
    consistency: float = 1.0
    """Weight of the consistency term."""
    supervised: float = 1.0
    """Weight of the cross-entropy on labelled pixels."""
    start: float = 0.05
    """Share of training before the consistency term joins."""
    teacher_mode: Literal["eval", "train"] = "eval"
    """Whether the teacher predicts with running statistics, or with dropout and batch statistics (released code)."""
    reset_every: int = 0
    """Restart the teacher's average every so many steps (released code: once per epoch); 0 for never."""
    scored: Literal["teacher", "student"] = "student"
    """Which network stands in the tables (Rewis3d's paper and code: the student); the other is scored beside it."""

    def __post_init__(self) -> None:
        for name in ("momentum", "threshold", "start"):
            if not 0 <= getattr(self, name) <= 1:
                method = type(self).__module__.rpartition(".")[2]
                raise UsageError(f"{method}: {name} must lie in [0, 1], not {getattr(self, name)}")


PAPER = Config(target="soft", gate="share", momentum=0.99, start=0.0)
"""Rewis3d's paper: L_S + L_U with the share of confident pixels as weight, one continuous average."""
CODE = Config(
    target="soft", gate="share", per_class=True, consistency=0.5, supervised=0.5, momentum=0.999, start=0.0,
    teacher_mode="train",
)  # fmt: skip
"""Rewis3d's released code, but for ``reset_every``, which there is the number of steps in an epoch."""


class EMA(Partial):
    """The floor plus a consistency term with a mean teacher on unlabelled pixels."""

    title = "EMA"
    paper = "Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017"
    url = "https://arxiv.org/abs/1703.01780"
    Config = Config

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def losses(self, batch: Batch, progress: float) -> Mapping[str, Tensor]:
        """Cross-entropy on labelled pixels, and agreement with the teacher on unlabelled ones."""
        logits = self.student(batch.strong).logits
        teacher = self.teach(batch.image) if progress >= self.config.start else None
        return branch(self.config, logits, teacher, batch.labels, batch.valid)

    @torch.no_grad()
    def teach(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """The teacher's class probabilities of the weak view."""
        self.teacher.train(self.config.teacher_mode == "train")
        return self.teacher(image).logits.float().softmax(1)

    def after_step(self, step: int) -> None:
        """Move the teacher."""
        move(self.teacher, self.student, momentum_at(self.config, step))

    def predictors(self) -> Mapping[str, Predictor]:
        """Teacher and student, the scored one first."""
        networks: dict[str, Predictor] = {
            "teacher": lambda image: self.teacher(image).logits,
            "student": lambda image: self.student(image).logits,
        }
        return {name: networks[name] for name in sorted(networks, key=lambda name: name != self.config.scored)}

    def predict(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Logits of the scored network."""
        return self.predictors()[self.config.scored](image)


def branch(
    config: Config,
    logits: Float[Tensor, "b c ..."],
    teacher: Float[Tensor, "b c ..."] | None,
    labels: Int64[Tensor, "b ..."],
    valid: Bool[Tensor, "b ..."],
) -> dict[str, Tensor]:
    """The terms of one student, of pixels or of points.

    Args:
        config: Weights and kind of the terms.
        logits: The student's, of the strong view.
        teacher: Probabilities of the weak view; None before the consistency term joins.
        labels: IGNORE where there is none.
        valid: What the consistency term may use.
    """
    terms = {"supervised": config.supervised * partial_cross_entropy(logits, labels)}
    if teacher is not None:
        terms["consistency"] = config.consistency * consistency(config, logits, teacher, labels, valid)
    return terms


def consistency(
    config: Config,
    logits: Float[Tensor, "b c ..."],
    teacher: Float[Tensor, "b c ..."],
    labels: Int64[Tensor, "b ..."],
    valid: Bool[Tensor, "b ..."],
) -> Float[Tensor, ""]:
    """Disagreement of the student's logits with the teacher's probabilities, averaged over what has no label.

    What lies below the threshold counts in the average's denominator: an unsure teacher makes a small loss, so the
    term needs no ramp.
    """
    confidence, hard = teacher.max(1)
    confident = (confidence >= config.threshold).float()
    if config.target == "hard":
        each = F.cross_entropy(logits, hard, reduction="none")
    else:
        each = F.kl_div(logits.float().log_softmax(1), teacher, reduction="none").sum(1)
    if config.per_class:
        each = each / logits.shape[1]
    weight = confident if config.gate == "pixel" else _share(confident * valid, valid)
    where = valid & (labels == IGNORE)
    return mean_over((each * weight * where).sum(), where.sum())


def _share(some: Float[Tensor, "..."], of: Bool[Tensor, "..."]) -> Float[Tensor, ""]:
    """The share of some in all of the batch."""
    return total_of(some.sum()) / total_of(of.sum()).clamp(min=1)


def momentum_at(config: Config, step: int) -> float:
    """The share of itself that a teacher keeps after step number ``step`` (from 1)."""
    since_reset = (step - 1) % config.reset_every if config.reset_every else step
    return min(1 - 1 / (since_reset + 1), config.momentum)


@torch.no_grad()
def move(teacher: nn.Module, student: nn.Module, keep: float) -> None:
    """Move a teacher towards its student: parameters and running statistics are averaged, counters copied."""
    fast, slow = student.state_dict(), teacher.state_dict()
    moving = [name for name, value in slow.items() if value.is_floating_point()]
    for name in slow.keys() - moving:
        slow[name].copy_(fast[name])
    # One call for all: one by one, the hundreds of small tensors of a network cost a tenth of a step.
    targets = [fast[name].to(slow[name].dtype) for name in moving]
    get_ema_multi_avg_fn(keep)([slow[name] for name in moving], targets, None)

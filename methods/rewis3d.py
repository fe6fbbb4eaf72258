"""Rewis3d: a mean teacher for pixels and one for points, each of which also learns from the other's teacher.

Ernst et al., Rewis3d: Reconstruction Improves Weakly-Supervised Semantic Segmentation, CVPR 2026. The points come from
a reconstruction of the scene and know the pixels they were made of; at test time the image network is alone. With both
cross-modal weights at 0 the image network is trained as EMA's, bit for bit. ``PAPER`` and ``CODE`` hold the settings of
the paper and of the released code where these differ from the defaults; the share of points that lie in the picture
itself (paper 0.6, code 0.7) belongs to the sampling and not to the method.
"""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from wsss.benchmark import IGNORE, Batch, BenchmarkError, Points, Task, UsageError
from wsss.benchmark.distributed import anywhere, total_of
from wsss.methods import _cross_modal, ema
from wsss.methods._cross_modal import Confidence, Normalisation, Pairs, Targets


@dataclass(frozen=True, kw_only=True)
class Config(ema.Config):
    """Settings of the mean teachers, both of which obey them, and of what passes between them."""

    to_image: float = 0.1
    """Weight of what points teach pixels (lambda; paper 0.1, code 0.075 to 0.1); 0 for none."""
    to_points: float = 0.1
    """Weight of what pixels teach points (paper 0.1, code 0.125 to 0.25); 0 for none."""
    cross_start: float = 0.3
    """Share of training before the two join (paper: epoch 15 of 50)."""
    ramp: float = 0.1
    """Share of training over which their weights then rise (paper: 5 epochs of 50)."""
    confidence: Confidence = "both"
    """What a pair counts with: the teacher's probability, the reconstruction's confidence, or both (paper and code)."""
    reconstruction_scale: Literal["rank", "raw"] = "rank"
    """The reconstruction's confidence as rank among an image's pairs, so that providers mean the same, or as it is
    (paper and code)."""
    normalise: Normalisation = "weights"
    """Divide the weighted sum by the sum of the weights (code), by the number of pairs, or not at all."""
    point_lr: float = 1.0
    """Learning rate of the point network over that of the image network. A Point Transformer is trained with AdamW at
    1e-3 to 6e-3, which is where the suites' rate already is; the paper's 20 goes with its 5e-5 for a SegFormer."""
    sky_teacher: bool = False
    """Whether a frozen copy of the image teacher, made when the two join, says where there is sky among the pixels
    without a point (one configuration of the code): no point ever teaches it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cross_start", "ramp"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"rewis3d: {name} must lie in [0, 1], not {getattr(self, name)}")
        for name in ("to_image", "to_points"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"rewis3d: {name} must not be negative, but is {getattr(self, name)}")
        if not self.point_lr > 0:
            raise UsageError(f"rewis3d: point_lr must be positive, not {self.point_lr}")

    def strength(self, progress: float) -> float:
        """The share of their weights that the cross-modal terms have at this progress."""
        passed = progress - self.cross_start
        return 0.0 if passed < 0 else 1.0 if passed >= self.ramp else passed / self.ramp


PAPER = Config(**asdict(ema.PAPER), reconstruction_scale="raw", normalise="pairs", point_lr=20.0)
"""The paper's formulas. Its weighted sum has no divisor; taken literally (``normalise="none"``) it would grow with the
number of pixels and drown the other terms, so that here it is the mean over the pairs."""
CODE = Config(
    **asdict(ema.CODE), to_image=0.075, to_points=0.125, cross_start=15 / 35, ramp=5 / 35, reconstruction_scale="raw",
    sky_teacher=True,
)  # fmt: skip
"""The released code's settings for KITTI-360, the only ones that run as released, but for ``reset_every``, the number
of steps in an epoch. Its transformer blocks, which hold most weights, learn at one rate in both networks."""


class Rewis3d(ema.EMA):
    """EMA on pixels, EMA on points, and hard labels of each teacher for the other's student."""

    title = "Rewis3d"
    paper = "Ernst et al., Rewis3d: Reconstruction Improves Weakly-Supervised Semantic Segmentation, CVPR 2026"
    url = "https://arxiv.org/abs/2603.06374"
    Config = Config
    geometry = "reconstruction"

    config: Config
    output_of: Tensor
    """The point network's output of every train id; IGNORE for sky and for IGNORE itself."""
    train_id_of: Tensor
    """The train id of each output of the point network."""

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        if task.point_network is None:
            raise UsageError(f"{self.title} needs a network of points: give Task a point_network")
        self.point_student = task.point_network()
        self.point_teacher = copy.deepcopy(self.point_student).requires_grad_(False)
        # The released code divides the divergence by the number of classes for pixels alone.
        self.point_config = replace(config, per_class=False)
        train_id_of, output_of = torch.tensor(task.classes.on_surfaces), torch.full((IGNORE + 1,), IGNORE)
        output_of[train_id_of] = torch.arange(len(train_id_of))
        self.register_buffer("train_id_of", train_id_of, persistent=False)
        self.register_buffer("output_of", output_of, persistent=False)
        if config.sky_teacher:
            self.sky_teacher = copy.deepcopy(self.teacher)
            self.register_buffer("sky_teacher_made", torch.tensor(False))

    def losses(self, batch: Batch, progress: float) -> Mapping[str, Tensor]:
        """The terms of EMA; then, as far as the batch has what they need, the same of the points and the cross-modal.

        Without points there are only EMA's terms; without a labelled point, or a point on a valid pixel, those that
        live on it are missing. They are not 0, because the curve's means are over the batches that have a term.

        Raises:
            BenchmarkError: A confidence is not positive and finite.
            UsageError: The batch was loaded without a table of points.
        """
        config, points = self.config, _checked(batch.points)
        strength = config.strength(progress) if config.to_image or config.to_points else 0.0
        consistent = progress >= config.start
        asked = consistent or strength > 0

        # First all that EMA does, in its order: what is drawn at random here must not depend on the points.
        logits = self.student(batch.strong).logits
        teacher = self.teach(batch.image) if asked else None
        terms = ema.branch(config, logits, teacher if consistent else None, batch.labels, batch.valid)
        if not anywhere(len(points.xyz) > 0):
            return terms

        pairs = _cross_modal.pairs_of(points, batch.valid)
        point_logits = self.point_student(points.strong, points.rgb, points.image)
        point_teacher = self.teach_points(points) if asked else None
        terms |= self.point_terms(points, pairs, point_logits, point_teacher if consistent else None)
        if strength and teacher is not None and point_teacher is not None and anywhere(len(pairs) > 0):
            reconstruction = self.reconstruction(points, pairs)
            to_image = self.pixel_targets(batch, points, pairs, reconstruction, point_teacher)
            to_points = self.point_targets(points, pairs, reconstruction, teacher)
            terms |= self.term("to_image", strength * config.to_image, logits, to_image)
            terms |= self.term("to_points", strength * config.to_points, point_logits, to_points)
        return terms

    @torch.no_grad()
    def teach_points(self, points: Points) -> Float[Tensor, "n c"]:
        """The point teacher's class probabilities of the weak view."""
        self.point_teacher.train(self.config.teacher_mode == "train")
        return self.point_teacher(points.xyz, points.rgb, points.image).float().softmax(1)

    def point_terms(
        self, points: Points, pairs: Pairs, logits: Float[Tensor, "n c"], teacher: Float[Tensor, "n c"] | None
    ) -> Mapping[str, Tensor]:
        """EMA's terms on points. One on a pixel that is not valid has no say, as the pixel has none."""
        labels = self.output_of[points.labels]
        valid = points.pixel[:, 0] < 0
        valid[pairs.point] = True
        terms = ema.branch(self.point_config, logits, teacher, labels, valid)
        if not anywhere((labels != IGNORE).any()):
            del terms["supervised"]
        return {f"points_{name}": term for name, term in terms.items()}

    def reconstruction(self, points: Points, pairs: Pairs) -> Float[Tensor, " p"]:
        """The confidence c of every pair, in the scale that the configuration wants."""
        confidence = points.confidence[pairs.point].float()
        if self.config.reconstruction_scale == "raw":
            return confidence
        return _cross_modal.rank(confidence, points.image[pairs.point])

    @torch.no_grad()
    def pixel_targets(
        self,
        batch: Batch,
        points: Points,
        pairs: Pairs,
        reconstruction: Float[Tensor, " p"],
        teacher: Float[Tensor, "n c"],
    ) -> Targets:
        """What the point teacher says of the pixels that points lie on, and the sky teacher, if any, of the others."""
        prediction, output = teacher[pairs.point].max(1)
        weight = _cross_modal.weights(self.config.confidence, prediction, reconstruction)
        label, confidence = self.train_id_of[output], points.confidence[pairs.point]
        targets = _cross_modal.onto_pixels(pairs, label, weight, confidence, batch.valid.shape)
        return self.with_sky(batch, targets) if self.config.sky_teacher else targets

    def with_sky(self, batch: Batch, targets: Targets) -> Targets:
        """The targets, and where no point lies sky, if the frozen teacher sees some.

        As in the released code it counts with its probability times the share of pixels that have a point.
        """
        if not self.sky_teacher_made:
            self.sky_teacher.load_state_dict(self.teacher.state_dict())
            self.sky_teacher_made.fill_(True)
        prediction, label = self.sky_teacher.eval()(batch.image).logits.float().softmax(1).max(1)
        hit = targets.label != IGNORE
        sky = (self.output_of[label] == IGNORE) & batch.valid & ~hit
        weight = prediction * (total_of(hit.sum()) / total_of(batch.valid.sum()))
        return Targets(torch.where(sky, label, targets.label), torch.where(sky, weight, targets.weight))

    @torch.no_grad()
    def point_targets(
        self,
        points: Points,
        pairs: Pairs,
        reconstruction: Float[Tensor, " p"],
        teacher: Float[Tensor, "b c h w"],
    ) -> Targets:
        """What the image teacher says of the points that lie on pixels; nothing where it sees sky."""
        prediction, label = (column.flatten()[pairs.place] for column in teacher.max(1))
        weight = _cross_modal.weights(self.config.confidence, prediction, reconstruction)
        return _cross_modal.onto_points(pairs, self.output_of[label], weight, len(points.xyz))

    def term(self, name: str, weight: float, logits: Tensor, targets: Targets) -> Mapping[str, Tensor]:
        """A cross-modal term by its name; nothing if it is switched off or has no target."""
        if not weight or not anywhere((targets.label != IGNORE).any()):
            return {}
        return {name: weight * _cross_modal.cross_entropy(logits, targets, self.config.normalise)}

    def after_step(self, step: int) -> None:
        """Move both teachers alike."""
        super().after_step(step)
        ema.move(self.point_teacher, self.point_student, ema.momentum_at(self.config, step))

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """The image network at ``lr``, the point network at ``lr`` times ``point_lr``."""
        return [
            {"params": list(self.student.parameters()), "lr": lr},
            {"params": list(self.point_student.parameters()), "lr": lr * self.config.point_lr},
        ]


def _checked(points: Points | None) -> Points:
    """The batch's points, whose confidences are weights that a loss divides by."""
    if points is None:
        raise UsageError("the batch has no table of points: give the TrainingSet the clouds of its scenes")
    wrong = int((~(torch.isfinite(points.confidence) & (points.confidence > 0))).sum())
    if wrong:
        raise BenchmarkError(
            f"{wrong} of {len(points.confidence)} points of a batch have a confidence that is not positive and finite: "
            f"their clouds are damaged; delete build/points and run `wsss points DATASET`, which checks every value"
        )
    return points

"""IoU from stored counts, its uncertainty over scenes, and fair comparisons of methods. NumPy only.

The primary number is the dataset-level mIoU: pixels are summed over the whole split before anything is
divided, so that the order and the number of images that hold a class are irrelevant. Frames of one drive are
nearly copies of each other, so uncertainty comes from resampling *scenes*, and the seeds of training where there are
several (``intervals.py``). The same resampled scenes and the same seeds serve both methods of a comparison.

Counts are ``(..., C, 3)``: intersection, predicted and labelled pixels. Their sums stay below 2**53,
hence exact in float64 whatever the order of summation: every machine draws the same intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Num

from wsss.benchmark.intervals import DRAWS, Estimate, estimate
from wsss.benchmark.randomness import stream

CHUNK = 250
"""Draws in one matrix product: what bounds the memory of ``resample`` beside its result."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """IoU of one method on one split, observed and in every bootstrap draw; NaN where a class is absent.

    Means are over the same classes in every draw: a class that a draw happens to lack keeps its observed IoU there.
    Leaving it out instead would change what is averaged from draw to draw. In a simulation of splits with rare classes
    that makes intervals up to twice as wide for 1 to 2 points of coverage (0.92-0.95 against 0.90-0.94).
    """

    observed: Float64[np.ndarray, "seeds classes"]
    draws: Float64[np.ndarray, "seeds draws classes"]
    scenes: int
    held: Int[np.ndarray, " classes"]
    """In how many scenes each class is labelled."""

    @cached_property
    def means(self) -> Float64[np.ndarray, "seeds draws"]:
        """The mean over classes in every draw."""
        present = self.held > 0
        if not present.any():
            return np.full(self.draws.shape[:2], np.nan)
        draws, observed = self.draws, self.observed
        if not present.all():
            draws, observed = draws[..., present], observed[:, present]
        if (self.held[present] < self.scenes).any():  # else every draw has every class
            draws = np.where(np.isnan(draws), observed[:, None], draws)
        return draws.mean(axis=-1)

    def mean(self) -> "Scores":
        """The mean over classes as scores of one column: the same estimates and differences of it, in less memory."""
        observed, held = mean_present(self.observed), np.array([self.scenes])
        return replace(self, observed=observed[:, None], draws=self.means[..., None], held=held)

    def seeds(self, keep: Sequence[int]) -> "Scores":
        """The same scores for the seeds at the positions ``keep``."""
        rows = list(keep)
        if rows == list(range(len(self.observed))):
            return self
        return replace(self, observed=self.observed[rows], draws=self.draws[rows])


def iou(counts: Num[np.ndarray, "*batch classes 3"]) -> Float64[np.ndarray, "*batch classes"]:
    """Intersection over union per class; NaN for a class without a labelled pixel, even if predicted."""
    intersection, predicted, labelled = np.moveaxis(counts.astype(np.float64), -1, 0)
    union = predicted + labelled - intersection
    return np.divide(intersection, union, out=np.full_like(union, np.nan), where=labelled > 0)


def mean_present(values: Float[np.ndarray, "*batch classes"]) -> Float64[np.ndarray, "*batch"]:
    """Mean over the classes that are not NaN; NaN if all are."""
    present = ~np.isnan(values)
    total = np.where(present, values, 0.0).sum(-1)
    number = present.sum(-1)
    return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)


def miou(counts: Int[np.ndarray, "images classes 3"]) -> float:
    """Dataset-level mIoU: one sum over images, then IoU, then the mean over classes that occur."""
    return float(mean_present(iou(counts.sum(axis=0))))


def image_miou(counts: Int[np.ndarray, "images classes 3"]) -> float:
    """Secondary number: mean over images of the mIoU inside an image.

    In an image a class counts if it is labelled or predicted, so that a false alarm costs (Wang et al.,
    "Revisiting Evaluation Metrics for Semantic Segmentation", 2023). Images without labels are left out.
    """
    intersection, predicted, labelled = np.moveaxis(counts.astype(np.float64), -1, 0)
    union = predicted + labelled - intersection
    per_class = np.divide(intersection, union, out=np.full_like(union, np.nan), where=union > 0)
    per_image = mean_present(per_class)[labelled.sum(-1) > 0]
    return float(mean_present(per_image))


def absent(counts: Int[np.ndarray, "images classes 3"]) -> Bool[np.ndarray, " classes"]:
    """Which classes have no labelled pixel in the split: excluded from the mean, and to be listed."""
    return counts[..., 2].sum(axis=0) == 0


def scene_sums(
    counts: Num[np.ndarray, "images ..."], scene_ids: Sequence[str]
) -> tuple[list[str], Num[np.ndarray, "scenes ..."]]:
    """Counts summed within scenes, with the scenes' ids in sorted order."""
    scenes, index = np.unique(np.array(scene_ids, dtype=str), return_inverse=True)
    sums = np.zeros((len(scenes), *counts.shape[1:]), np.result_type(counts.dtype, np.int64))
    np.add.at(sums, index, counts)
    return scenes.tolist(), sums


def scene_weights(scenes: int, draws: int = DRAWS, seed: int = 0) -> Float64[np.ndarray, "draws scenes"]:
    """How often each bootstrap draw takes each scene; the same for every method and seed of a split."""
    rng = stream(seed, "statistics", "scene bootstrap")
    return rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=draws).astype(np.float64)


def resample(sums: Int[np.ndarray, "seeds scenes classes 3"], weights: Float64[np.ndarray, "draws scenes"]) -> Scores:
    """IoU per seed and class over all scenes and in every draw: matrix products, no resampled arrays."""
    seeds, scenes, classes, _ = sums.shape
    hits, predicted, labelled = np.moveaxis(sums.astype(np.float64), -1, 0)
    unions = predicted + labelled - hits
    drawn = np.empty((seeds, len(weights), classes))
    rare = np.flatnonzero((labelled == 0).any(axis=(0, 1)))  # all others are in every draw
    for start in range(0, len(weights), CHUNK):
        part, rows = weights[start : start + CHUNK], slice(start, start + CHUNK)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.divide(part @ hits, part @ unions, out=drawn[:, rows])
        for column in rare:
            found[..., column][labelled[..., column] @ part.T <= 0] = np.nan
    return Scores(observed=iou(sums.sum(axis=1)), draws=drawn, scenes=scenes, held=(sums[0, ..., 2] > 0).sum(axis=0))


def mean_estimate(scores: Scores) -> Estimate:
    """Mean IoU averaged over seeds."""
    return estimate(mean_present(scores.observed), scores.means, scores.scenes, bounds=(0.0, 1.0))


def class_estimates(scores: Scores) -> list[Estimate]:
    """IoU of every class averaged over seeds; NaN for an absent class. Only scenes that hold the class count."""
    return [
        estimate(scores.observed[:, c], scores.draws[..., c], int(scores.held[c]), bounds=(0.0, 1.0))
        for c in range(len(scores.held))
    ]


def difference(a: Scores, b: Scores) -> Estimate:
    """Mean IoU of ``a`` minus that of ``b``, tested and paired: the same seeds in the same order, the same scenes.

    Raises:
        ValueError: The two were not resampled alike.
    """
    if a.draws.shape != b.draws.shape or a.scenes != b.scenes:
        raise ValueError(f"difference: {a.draws.shape} and {b.draws.shape} are not a pair")
    observed = mean_present(a.observed) - mean_present(b.observed)
    return estimate(observed, a.means - b.means, a.scenes, tested=True)


def gap_closed(value: float, floor: float, ceiling: float) -> float:
    """Share of the way from the floor to the ceiling; NaN where the ceiling is not above the floor."""
    return (value - floor) / (ceiling - floor) if ceiling > floor else float("nan")


def share_of_ceiling(value: float, ceiling: float) -> float:
    """SS/FS: the share of the fully-supervised score; NaN where that is zero."""
    return value / ceiling if ceiling > 0 else float("nan")

"""IoU from stored counts, its uncertainty over scenes, and fair comparisons of methods. NumPy only.

The primary number is the dataset-level mIoU: pixels are summed over the whole split before anything is
divided, so that the order and the number of images that hold a class are irrelevant. Frames of one drive are
nearly copies of each other, so uncertainty comes from resampling *scenes*. The same resampled scenes and the
same seeds serve both methods of a comparison.

Counts are ``(..., C, 3)``: intersection, predicted and labelled pixels. Their sums stay below 2**53,
hence exact in float64 whatever the order of summation: every machine draws the same intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Num

from wsss.benchmark.randomness import stream

DRAWS = 2000
"""Bootstrap draws; also the floor of a p-value, 1 / DRAWS."""
LEVEL = 0.95
"""Coverage of every interval."""
ALPHA = 0.05
"""Corrected p-values below it are called significant."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; NaN bounds where fewer than two scenes leave nothing to resample."""

    value: float
    low: float
    high: float
    seeds: int
    scenes: int
    p: float = float("nan")
    """Two-sided p-value of "no difference", uncorrected; NaN for anything but a comparison."""


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

    @property
    def means(self) -> Float64[np.ndarray, "seeds draws"]:
        """The mean over classes in every draw."""
        return mean_present(np.where(np.isnan(self.draws), self.observed[:, None], self.draws))

    def seeds(self, keep: Sequence[int]) -> "Scores":
        """The same scores for the seeds at the positions ``keep``."""
        rows = list(keep)
        return Scores(observed=self.observed[rows], draws=self.draws[rows], scenes=self.scenes)


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
    counts: Int[np.ndarray, "images classes 3"], scene_ids: Sequence[str]
) -> tuple[list[str], Int[np.ndarray, "scenes classes 3"]]:
    """Counts summed within scenes, with the scenes' ids in sorted order."""
    scenes, index = np.unique(np.array(scene_ids, dtype=str), return_inverse=True)
    sums = np.zeros((len(scenes), *counts.shape[1:]), dtype=np.int64)
    np.add.at(sums, index, counts)
    return scenes.tolist(), sums


def scene_weights(scenes: int, draws: int = DRAWS, seed: int = 0) -> Float64[np.ndarray, "draws scenes"]:
    """How often each bootstrap draw takes each scene; the same for every method and seed of a split."""
    rng = stream(seed, "statistics", "scene bootstrap")
    return rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=draws).astype(np.float64)


def resample(sums: Int[np.ndarray, "seeds scenes classes 3"], weights: Float64[np.ndarray, "draws scenes"]) -> Scores:
    """IoU per seed and class over all scenes and in every draw: matrix products, no resampled arrays."""
    seeds, scenes, classes, _ = sums.shape
    totals = weights @ sums.reshape(seeds, scenes, classes * 3).astype(np.float64)
    drawn = iou(totals.reshape(seeds, len(weights), classes, 3))
    return Scores(observed=iou(sums.sum(axis=1)), draws=drawn, scenes=scenes)


def interval(draws: Float[np.ndarray, " draws"], scenes: int) -> tuple[float, float]:
    """The central 95 % of the draws that have a value; NaN with fewer than two scenes to draw from."""
    valid = draws[~np.isnan(draws)]
    if scenes < 2 or not len(valid):
        return float("nan"), float("nan")
    low, high = np.quantile(valid, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_estimate(scores: Scores, resample_seeds: bool = False) -> Estimate:
    """Mean IoU averaged over seeds, with seeds averaged inside every draw.

    Args:
        scores: Of one method.
        resample_seeds: Draw seeds with replacement too, so that the interval also covers the choice of seeds.
    """
    draws = scores.means
    number = len(draws)
    if resample_seeds:
        chosen = stream(0, "statistics", "seed bootstrap").integers(number, size=draws.shape)
        draws = np.take_along_axis(draws, chosen, axis=0)
    low, high = interval(draws.mean(axis=0), scores.scenes)
    value = float(mean_present(scores.observed).mean())
    return Estimate(value=value, low=low, high=high, seeds=number, scenes=scores.scenes)


def class_estimates(scores: Scores) -> list[Estimate]:
    """IoU of every class averaged over seeds; NaN for an absent class."""
    observed, draws = scores.observed.mean(axis=0), scores.draws.mean(axis=0)
    bounds = [interval(draws[:, c], scores.scenes) for c in range(len(observed))]
    return [
        Estimate(value=float(value), low=low, high=high, seeds=len(scores.observed), scenes=scores.scenes)
        for value, (low, high) in zip(observed, bounds, strict=True)
    ]


def difference(a: Scores, b: Scores) -> Estimate:
    """Mean IoU of ``a`` minus that of ``b``, paired: the same seeds in the same order, the same drawn scenes.

    The p-value is twice the smaller share of draws on either side of zero, at least 1 / draws and at most 1; NaN with
    fewer than two scenes.

    Raises:
        ValueError: The two were not resampled alike.
    """
    if a.draws.shape != b.draws.shape or a.scenes != b.scenes:
        raise ValueError(f"difference: {a.draws.shape} and {b.draws.shape} are not a pair")
    draws = (a.means - b.means).mean(axis=0)
    low, high = interval(draws, a.scenes)
    value = float((mean_present(a.observed) - mean_present(b.observed)).mean())
    p = float("nan") if np.isnan(low) else two_sided_p(draws)
    return Estimate(value=value, low=low, high=high, seeds=len(a.observed), scenes=a.scenes, p=p)


def two_sided_p(draws: Float[np.ndarray, " draws"]) -> float:
    """Twice the smaller share of draws at or beyond zero, between 1 / draws and 1."""
    valid = draws[~np.isnan(draws)]
    share = 2 * min(float((valid <= 0).mean()), float((valid >= 0).mean()))
    return min(1.0, max(share, 1 / len(valid)))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down correction of one family of p-values; NaN stays NaN and does not count."""
    adjusted = [float("nan")] * len(p)
    tested = sorted((value, i) for i, value in enumerate(p) if not np.isnan(value))
    largest = 0.0
    for rank, (value, i) in enumerate(tested):
        largest = max(largest, min(1.0, value * (len(tested) - rank)))
        adjusted[i] = largest
    return adjusted


def gap_closed(value: float, floor: float, ceiling: float) -> float:
    """Share of the way from the floor to the ceiling; NaN where the ceiling is not above the floor."""
    return (value - floor) / (ceiling - floor) if ceiling > floor else float("nan")


def share_of_ceiling(value: float, ceiling: float) -> float:
    """SS/FS: the share of the fully-supervised score; NaN where that is zero."""
    return value / ceiling if ceiling > 0 else float("nan")

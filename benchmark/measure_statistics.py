"""Scores from the statistics of measures.py, with the same bootstrap and the same pairing as statistics.py.

All that is needed are sums per scene (``statistics.scene_sums``). Every score becomes a ``Scores`` of one column, whose
mean over columns is the score itself, so that ``mean_estimate`` and ``difference`` of statistics.py give its interval
and its paired comparison. All are shares in [0, 1]; more is better, but of the calibration error less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float64, Int, Num

from wsss.benchmark.measure_shapes import RANGES, WIDTHS
from wsss.benchmark.statistics import Scores, mean_present, resample

_WIDTHS = tuple(f"{width} px" for width in WIDTHS)
PARTS: dict[str, tuple[str, ...]] = {
    "boundary": _WIDTHS,
    "trimap": _WIDTHS,
    "ranges": (*(f"{a}-{b} m" for a, b in pairwise(RANGES)), f"over {RANGES[-1]} m"),
    "calibration": ("ECE",),
    "views": ("agreement",),
}
"""The scores of each measure, as printed: one per width or bin of distance where it has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """How much a score rests on, by part of its measure."""

    pixels: Int[np.ndarray, " parts"]
    """That count: for ``boundary`` those of the true masks, for ``views`` those whose surface another frame shows."""
    rows: Int[np.ndarray, " parts"]
    """How many scenes, or images if the array has a row per image, have at least one of them."""


def support(measure: str, array: Num[np.ndarray, "rows ..."]) -> Support:
    """What the parts of a measure rest on.

    Args:
        measure: A key of ``PARTS``.
        array: Its statistics, a row per scene or per image.
    """
    if measure == "views":
        pixels = array[:, :1]
    elif measure == "calibration":
        pixels = array[..., 0].sum(axis=1, keepdims=True).astype(np.int64)
    else:
        pixels = array[..., 2].sum(axis=-1)
    return Support(pixels=pixels.sum(axis=0), rows=(pixels > 0).sum(axis=0))


def scores(
    runs: Sequence[Num[np.ndarray, "scenes ..."]], measure: str, weights: Float64[np.ndarray, "draws scenes"]
) -> dict[str, Scores]:
    """The scores of a measure by part, in the order of ``PARTS``.

    For ``boundary``, ``trimap`` and ``ranges`` a score is the mean IoU over the classes that are labelled in that part
    of the split, which for every part may be others: bins of distance are not to be compared with each other as if
    they held the same. A part without a labelled pixel is NaN. ``Scores.scenes`` are those that have a say in it.

    Args:
        runs: Sums per scene of a method's runs, in the order of their seeds.
        measure: A key of ``PARTS``.
        weights: ``statistics.scene_weights``, the same for all that is compared.
    """
    sums = np.stack(runs)
    if measure == "calibration":
        found = [_calibration(sums, weights)]
    elif measure == "views":
        found = [_means(_shares(sums[..., 1:], sums[..., :1]), weights)]
    else:
        found = [_means(sums[:, :, place], weights) for place in range(len(PARTS[measure]))]
    scenes = support(measure, sums[0]).rows.tolist()
    # One column is a fraction of the memory that all classes take.
    return {
        part: Scores(observed=observed[:, None], draws=draws[..., None], scenes=number, held=np.array([number]))
        for part, (observed, draws), number in zip(PARTS[measure], found, scenes, strict=True)
    }


def calibration_error(counts: Num[np.ndarray, "*batch bins 3"]) -> Float64[np.ndarray, "*batch"]:
    """Expected calibration error: how far probability and accuracy are apart, bins weighted by their pixels.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eq. 3. NaN without any pixel.
    """
    number, sure, right = np.moveaxis(counts.astype(np.float64), -1, 0)
    total, apart = number.sum(axis=-1), np.abs(sure - right).sum(axis=-1)
    return np.divide(apart, total, out=np.full(np.shape(total), np.nan), where=total > 0)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A reliability diagram, a column per bin of the predicted class's probability."""

    confidence: Float64[np.ndarray, " bins"]
    """Mean probability over all seeds; NaN in an empty bin."""
    pixels: Int[np.ndarray, " bins"]
    """In all seeds together."""
    accuracy: Scores
    """``statistics.class_estimates`` gives an estimate per bin."""


def reliability(
    runs: Sequence[Float[np.ndarray, "scenes bins 3"]], weights: Float64[np.ndarray, "draws scenes"]
) -> Reliability:
    """Accuracy by probability.

    Args:
        runs: Sums per scene of ``calibration`` of a method's runs.
        weights: ``statistics.scene_weights``.
    """
    sums = np.stack(runs)
    number, sure, _ = np.moveaxis(sums.sum(axis=(0, 1)), -1, 0)
    whole = sums.astype(np.int64)  # pixels and right pixels are; the sum of probabilities plays no part
    return Reliability(
        confidence=np.divide(sure, number, out=np.full(len(number), np.nan), where=number > 0),
        pixels=number.astype(np.int64),
        accuracy=resample(_shares(whole[..., 2], whole[..., 0]), weights),
    )


def _shares(part: Int[np.ndarray, "*batch n"], whole: Int[np.ndarray, "*batch n"]) -> Int[np.ndarray, "*batch n 3"]:
    """Counts whose IoU is the share ``part`` / ``whole``: NaN where the whole is 0."""
    return np.stack([part, part, whole], axis=-1)


_Drawn = tuple[Float64[np.ndarray, " seeds"], Float64[np.ndarray, "seeds draws"]]
"""A score over all scenes and in every draw."""


def _means(sums: Int[np.ndarray, "seeds scenes classes 3"], weights: Float64[np.ndarray, "draws scenes"]) -> _Drawn:
    """The mean IoU over classes."""
    found = resample(sums, weights)
    return mean_present(found.observed), found.means


def _calibration(
    sums: Float[np.ndarray, "seeds scenes bins 3"], weights: Float64[np.ndarray, "draws scenes"]
) -> _Drawn:
    seeds, scenes, bins, _ = sums.shape
    drawn = (weights @ sums.reshape(seeds, scenes, -1)).reshape(seeds, len(weights), bins, 3)
    return calibration_error(sums.sum(axis=1)), calibration_error(drawn)

"""What a prediction is like, in numbers that add up over images. Scores are made from them in measure_statistics.py.

Each function gives the sufficient statistics of one image, in this module's order of axes. Three rules hold for all:

- A pixel whose truth is IGNORE is never counted, and what is predicted there has no influence on anything: it is taken
  out of the prediction too, before contours are looked for.
- A contour runs between two pixels that both have a class. Neither the border of the picture nor that of an ignored
  region is one: nothing says that an object ends there. The code of Cheng et al. pads the picture, so that a mask also
  ends at its border; it knows no ignored pixels.
- Distances are in pixels of the label's own size, and are the larger of the rows and columns between two pixels: what
  ``d`` erosions by 3 x 3 reach, as in Cheng et al.'s code. A pixel beside a contour is at distance 1.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Integer, UInt8

from wsss.benchmark.measure_shapes import BINS, RANGES, WIDTHS
from wsss.benchmark.types import IGNORE

FRACTION = 1 << 16
"""Sums of probabilities are stored in this fraction of a pixel: whatever the order of summation, sums of up to 10^11
pixels are then exact, and every machine draws the same intervals."""

LabelMap = UInt8[np.ndarray, "h w"]


def count(predicted: LabelMap, dense: LabelMap, classes: int) -> Int[np.ndarray, "c 3"]:
    """Per class the intersection, predicted and labelled pixels, all among pixels that have a class.

    Raises:
        ValueError: A predicted class is not one of them.
    """
    known = dense != IGNORE
    truth, guess = dense[known], _checked(predicted[known], classes)
    return _triple(truth[truth == guess], guess, truth, classes)


def boundary(predicted: LabelMap, dense: LabelMap, classes: int) -> Int[np.ndarray, "widths c 3"]:
    """The counts of Boundary IoU per width (Cheng et al., "Boundary IoU", CVPR 2021, eq. 2).

    Of every mask only the pixels count that lie within a width of its own contour: those of the prediction's mask near
    the prediction's contour, those of the true mask near the true one, and, as intersection, those that are both.
    """
    known = dense != IGNORE
    _checked(predicted[known], classes)
    guess = np.where(known, predicted, np.uint8(IGNORE))
    right = guess == dense
    result = np.zeros((len(WIDTHS), classes, 3), np.int64)
    for row, width in enumerate(WIDTHS):
        near_truth, near_guess = near_contour(dense, width), near_contour(guess, width)
        result[row] = _triple(dense[right & near_truth & near_guess], guess[near_guess], dense[near_truth], classes)
    return result


def trimap(predicted: LabelMap, dense: LabelMap, classes: int) -> Int[np.ndarray, "widths c 3"]:
    """The counts among pixels within a width of a true contour, on either side (Kohli et al., IJCV 2009).

    Kohli's band lies around the border that PASCAL's annotators left void; here it lies between two classes.
    """
    bands = (near_contour(dense, width) for width in WIDTHS)
    return np.stack([count(predicted[band][None], dense[band][None], classes) for band in bands])


def near_contour(labels: LabelMap, width: int) -> Bool[np.ndarray, "h w"]:
    """Pixels with a class that have a pixel of another class within ``width`` rows and columns.

    Such a pixel lies in its mask, but not in the mask's erosion: all masks' inner boundary regions at once.
    """
    known = labels != IGNORE
    window = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    # OpenCV's own border is neutral. An ignored pixel is so too as the largest value and as the smallest.
    least, most = cv2.erode(labels, window), cv2.dilate(np.where(known, labels, np.uint8(0)), window)
    return known & (least != most)


def ranges(
    predicted: LabelMap, dense: LabelMap, depth: Float[np.ndarray, "h w"], classes: int
) -> Int[np.ndarray, "bins c 3"]:
    """The counts among pixels of known distance, per bin.

    Args:
        predicted: Train ids.
        dense: The truth.
        depth: Along the optical axis, metres; not finite where it is unknown, or where there is no surface.
        classes: How many there are.
    """
    known = (dense != IGNORE) & np.isfinite(depth) & (depth >= RANGES[0])
    # Classes of different bins are different classes, so that one count serves all.
    first = np.digitize(depth[known], RANGES[1:]) * classes
    truth, guess = first + dense[known], first + _checked(predicted[known], classes)
    return _triple(truth[truth == guess], guess, truth, len(RANGES) * classes).reshape(len(RANGES), classes, 3)


def calibration(
    predicted: LabelMap, probability: Float[np.ndarray, "h w"], dense: LabelMap
) -> Float64[np.ndarray, "bins 3"]:
    """Per bin of the predicted class's probability: pixels, the sum of that probability, right pixels.

    The bins of the expected calibration error (Guo et al., ICML 2017); the last one holds probability 1.

    Raises:
        ValueError: A probability is not one.
    """
    known = dense != IGNORE
    sure = probability[known].astype(np.float64)
    if not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError("predicted probabilities must lie in [0, 1]: is every output of the network finite?")
    place = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    weights = (None, sure, (predicted == dense)[known])
    result = np.stack([np.bincount(place, weight, minlength=BINS) for weight in weights], -1).astype(np.float64)
    result[:, 1] = np.round(result[:, 1] * FRACTION) / FRACTION
    return result


def views(
    predicted: LabelMap,
    elsewhere: LabelMap,
    dense: LabelMap,
    here: Int[np.ndarray, "n 2"],
    there: Int[np.ndarray, "n 2"],
) -> Int[np.ndarray, "2"]:
    """Pixels whose surface another frame shows too, and those of them for which the same class is predicted there.

    Args:
        predicted: Train ids of the frame that is scored.
        elsewhere: Of the other frame.
        dense: The truth of the frame that is scored; what is right plays no part, only what is ignored.
        here: (row, column) in the frame that is scored.
        there: In the other, of the same surface points.
    """
    known = dense[tuple(here.T)] != IGNORE
    agreeing = predicted[tuple(here[known].T)] == elsewhere[tuple(there[known].T)]
    return np.array([known.sum(), agreeing.sum()], np.int64)


def _checked(guess: UInt8[np.ndarray, " n"], classes: int) -> UInt8[np.ndarray, " n"]:
    if guess.size and guess.max() >= classes:
        raise ValueError(f"predicted class {guess.max()} of {classes}: predictions must lie in 0..{classes - 1}")
    return guess


def _triple(
    hits: Integer[np.ndarray, " h"], guess: Integer[np.ndarray, " g"], truth: Integer[np.ndarray, " t"], classes: int
) -> Int[np.ndarray, "c 3"]:
    """How often each class occurs in each of three lists."""
    return np.stack([np.bincount(ids, minlength=classes) for ids in (hits, guess, truth)], 1)

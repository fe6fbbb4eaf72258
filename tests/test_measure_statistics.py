"""Scores of measures whose answers are known, their intervals and paired differences."""

import numpy as np
import pytest

from wsss.benchmark.measure_shapes import BINS, RANGES, WIDTHS
from wsss.benchmark.measure_statistics import PARTS, calibration_error, reliability, scores, support
from wsss.benchmark.statistics import class_estimates, difference, mean_estimate, resample, scene_sums, scene_weights

SCENES = 8
WEIGHTS = scene_weights(SCENES)


def tables(seed, parts, hit, classes=3):
    """Counts per scene in which a share ``hit`` of the labelled pixels is right and nothing else is predicted."""
    labelled = np.random.default_rng(seed).integers(50, 500, (SCENES, parts, classes))
    right = np.round(labelled * hit).astype(np.int64)
    return np.stack([right, right, labelled], axis=-1)


def diagram(rng, bias):
    """Pixels, probability and right pixels per scene and bin, where the probability is too high by ``bias``."""
    number = rng.integers(100, 1000, (SCENES, BINS)).astype(float)
    sure = number * (np.arange(BINS) + 0.5) / BINS
    return np.stack([number, sure, np.round(sure - bias * number).clip(0)], axis=-1)


@pytest.mark.parametrize(("measure", "parts"), [("boundary", WIDTHS), ("trimap", WIDTHS), ("ranges", RANGES)])
def test_iou_of_every_part(measure, parts):
    good, bad = ([tables(seed, len(parts), hit) for seed in range(3)] for hit in (0.8, 0.5))
    found, other = scores(good, measure, WEIGHTS), scores(bad, measure, WEIGHTS)
    assert tuple(found) == PARTS[measure] and len(found) == len(parts)
    for place, (part, one) in enumerate(found.items()):
        value = mean_estimate(one)
        assert value.value == pytest.approx(0.8, abs=0.01) and value.low <= value.value <= value.high
        assert (value.seeds, value.scenes) == (3, SCENES)
        assert value.value == mean_estimate(resample(np.stack(good)[:, :, place], WEIGHTS)).value
        apart = difference(one, other[part])
        assert apart.value == pytest.approx(0.3, abs=0.02) and apart.low > 0.2 and apart.p < 0.05


def test_a_part_is_averaged_over_the_classes_that_it_holds():
    runs = [tables(0, len(RANGES), 0.5)]
    runs[0][:, 0, 1] = 0  # nobody labelled class 1 below two metres
    runs[0][:, 0, 0, :2] = 0  # and class 0 was missed there
    runs[0][:, 1] = 0
    runs[0][1:, 2] = 0
    found = scores(runs, "ranges", WEIGHTS)
    assert mean_estimate(found["0-2 m"]).value == pytest.approx(0.25, abs=0.01)
    empty, alone = mean_estimate(found["2-4 m"]), mean_estimate(found["4-8 m"])
    assert np.isnan(empty.value) and empty.scenes == 0
    assert alone.value == pytest.approx(0.5, abs=0.01) and alone.scenes == 1 and np.isnan(alone.low)
    held = support("ranges", runs[0])
    assert held.rows.tolist() == [SCENES, 0, 1, *[SCENES] * 4]
    assert held.pixels.tolist() == runs[0][..., 2].sum(axis=(0, 2)).tolist()


def test_support_counts_images_too():
    array = np.zeros((5, 2), np.int64)
    array[1:3] = 10, 7
    assert (support("views", array).pixels.tolist(), support("views", array).rows.tolist()) == ([20], [2])
    assert support("views", scene_sums(array, list("aabbb"))[1]).rows.tolist() == [2]


@pytest.mark.parametrize("bias", [0.0, 0.1])
def test_calibration_error_is_the_bias(bias):
    rng = np.random.default_rng(0)
    runs = [diagram(rng, bias) for _ in range(2)]
    runs = [np.delete(run, [0, 1], axis=1) for run in runs]  # where less than nothing would be right
    runs = [np.concatenate([np.zeros((SCENES, 2, 3)), run], axis=1) for run in runs]
    found = mean_estimate(scores(runs, "calibration", WEIGHTS)["ECE"])
    assert found.value == pytest.approx(bias, abs=0.002) and found.seeds == 2
    picture = reliability(runs, WEIGHTS)
    assert np.isnan(picture.confidence[:2]).all() and picture.pixels[:2].tolist() == [0, 0]
    assert picture.pixels.sum() == sum(run[..., 0].sum() for run in runs)
    bins = class_estimates(picture.accuracy)
    assert np.allclose(picture.confidence[2:], (np.arange(2, BINS) + 0.5) / BINS)
    assert np.allclose([one.value for one in bins[2:]], picture.confidence[2:] - bias, atol=0.002)
    assert np.isnan(bins[0].value) and all(one.low <= one.value <= one.high for one in bins[2:])


def test_errors_of_different_bins_do_not_cancel():
    counts = np.zeros((BINS, 3))
    counts[3], counts[12] = (100, 25, 45), (300, 250, 230)
    assert calibration_error(counts) == (20 + 20) / 400
    assert np.isnan(calibration_error(np.zeros((BINS, 3))))


def test_agreement_is_a_share_of_all_pixels_and_its_difference_is_paired():
    rng = np.random.default_rng(1)
    number = rng.integers(100, 5000, SCENES)
    hard = rng.uniform(0.5, 0.9, SCENES)  # scenes differ far more than methods
    a, b = ([np.stack([number, np.round(number * (hard + more))], axis=1).astype(np.int64)] for more in (0.02, 0.0))
    found, other = scores(a, "views", WEIGHTS)["agreement"], scores(b, "views", WEIGHTS)["agreement"]
    value, apart = mean_estimate(found), difference(found, other)
    assert value.value == a[0][:, 1].sum() / number.sum()
    assert value.high - value.low > 0.05 > apart.high - apart.low
    assert apart.value == pytest.approx(0.02, abs=0.001) and apart.p < 0.05


def test_agreement_of_nothing_is_zero_and_without_pixels_unknown():
    none = np.zeros((SCENES, 2), np.int64)
    some = none.copy()
    some[:, 0] = 9
    assert mean_estimate(scores([some], "views", WEIGHTS)["agreement"]).value == 0
    assert np.isnan(mean_estimate(scores([none], "views", WEIGHTS)["agreement"]).value)


def test_a_method_does_not_differ_from_itself():
    rng = np.random.default_rng(2)
    for measure, run in (("boundary", tables(0, 3, 0.7)), ("calibration", diagram(rng, 0.03))):
        for one in scores([run], measure, WEIGHTS).values():
            same = difference(one, one)
            assert same.value == 0 and same.p == 1


def test_intervals_cover_a_known_truth():
    """Of the agreement over infinitely many scenes like these; the tolerance is four binomial standard deviations."""
    hits, rounds = 0, 200
    weights = scene_weights(20, draws=400)
    for number in range(rounds):
        rng = np.random.default_rng([3, number])
        pixels = rng.integers(500, 1500, 20)
        agreeing = rng.binomial(pixels, rng.beta(8, 2, 20))
        run = np.stack([pixels, agreeing], axis=1)
        found = mean_estimate(scores([run], "views", weights)["agreement"])
        hits += found.low <= 0.8 <= found.high
    assert abs(hits / rounds - 0.95) < 4 * (0.95 * 0.05 / rounds) ** 0.5

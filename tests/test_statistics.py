"""Statistics against numbers worked out by hand, and against simulations whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.benchmark import statistics
from wsss.benchmark.statistics import (
    difference,
    gap_closed,
    holm,
    image_miou,
    iou,
    mean_estimate,
    miou,
    resample,
    scene_sums,
    scene_weights,
    share_of_ceiling,
    two_sided_p,
)


def counts_of(truth: list[int], predicted: list[int], classes: int) -> np.ndarray:
    """(classes, 3) of one image, counted one pixel at a time."""
    table = np.zeros((classes, 3), dtype=np.int64)
    for t, p in zip(truth, predicted, strict=True):
        table[p, 1] += 1
        table[t, 2] += 1
        table[t, 0] += t == p
    return table


def test_iou_by_hand() -> None:
    # truth 0 0 0 1 1 2, predicted 0 0 1 1 2 2
    table = counts_of([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2], 3)
    np.testing.assert_allclose(iou(table), [2 / 3, 1 / 3, 1 / 2])
    assert miou(table[None]) == pytest.approx((2 / 3 + 1 / 3 + 1 / 2) / 3)


def test_absent_class_is_nan_even_if_predicted_and_a_missed_class_is_zero() -> None:
    table = counts_of([0, 0, 1], [0, 2, 0], 4)[None]
    np.testing.assert_allclose(iou(table[0]), [1 / 3, 0, np.nan, np.nan])
    assert statistics.absent(table).tolist() == [False, False, True, True]
    assert miou(table) == pytest.approx((1 / 3 + 0) / 2)
    assert math.isnan(miou(np.zeros((2, 3, 3), dtype=np.int64)))


def test_dataset_level_is_not_the_mean_of_images() -> None:
    images = np.stack(
        [counts_of([0] * 9 + [1], [0] * 9 + [0], 2), counts_of([1] * 10, [1] * 10, 2), np.zeros((2, 3), int)]
    )
    # Dataset: class 0 has 9 / 10, class 1 has 10 / 11. Images: (0.9 + 0) / 2, then 1; the empty one is none.
    assert miou(images) == pytest.approx((9 / 10 + 10 / 11) / 2)
    assert image_miou(images) == pytest.approx((0.45 + 1) / 2)


def test_a_false_alarm_costs_in_the_image_mean() -> None:
    assert image_miou(counts_of([0, 0], [0, 1], 2)[None]) == pytest.approx((1 / 2 + 0) / 2)


def test_scene_sums_group_by_id_in_sorted_order() -> None:
    counts = np.arange(4 * 2 * 3).reshape(4, 2, 3)
    scenes, sums = scene_sums(counts, ["b", "a", "b", "c"])
    assert scenes == ["a", "b", "c"]
    np.testing.assert_array_equal(sums, [counts[1], counts[0] + counts[2], counts[3]])


def test_weights_equal_explicit_resampling() -> None:
    rng = np.random.default_rng(0)
    sums = simulated(rng, scenes=5, seeds=2, quality=[0.7, 0.8])
    weights = scene_weights(5, draws=20)
    assert weights.sum(axis=1).tolist() == [5] * 20
    scores = resample(sums, weights)
    for draw in range(20):
        chosen = np.repeat(np.arange(5), weights[draw].astype(int))
        np.testing.assert_allclose(scores.draws[:, draw], iou(sums[:, chosen].sum(axis=1)))


def test_draws_are_fixed_and_independent_of_the_number_of_methods() -> None:
    np.testing.assert_array_equal(scene_weights(7), scene_weights(7))
    assert not np.array_equal(scene_weights(7), scene_weights(7, seed=1))


def simulated(rng: np.random.Generator, *, scenes: int, seeds: int, quality: list[float]) -> np.ndarray:
    """Binary worlds (seeds, scenes, 2, 3): each scene has its own difficulty, shared by the seeds."""
    labelled = np.full((scenes, 2), 200)
    hit = np.clip(np.asarray(quality) + 0.1 * rng.standard_normal((scenes, 1)), 0.01, 0.99)
    correct = rng.binomial(labelled, hit, size=(seeds, scenes, 2))
    predicted = correct + (labelled - correct)[..., ::-1]
    return np.stack([correct, predicted, np.broadcast_to(labelled, correct.shape)], axis=-1)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth = float(mean_estimate(resample(simulated(rng, scenes=20_000, seeds=1, quality=[0.6, 0.7]),
                                         np.ones((1, 20_000)))).value)  # fmt: skip
    weights = scene_weights(40, draws=400)
    trials = 400
    hits = 0
    for _ in range(trials):
        estimate = mean_estimate(resample(simulated(rng, scenes=40, seeds=3, quality=[0.6, 0.7]), weights))
        hits += estimate.low <= truth <= estimate.high
    # The percentile interval of 40 scenes is slightly short; three binomial deviations are 0.033.
    assert 0.90 <= hits / trials <= 0.98


def test_paired_test_rarely_cries_wolf_and_sees_a_difference() -> None:
    rng = np.random.default_rng(2)
    weights = scene_weights(40, draws=400)
    trials = 400
    alarms = found = 0
    for _ in range(trials):
        both = simulated(rng, scenes=40, seeds=2, quality=[0.6, 0.6])
        a, b = resample(both[:1], weights), resample(both[1:], weights)
        alarms += difference(a, b).p < 0.05
        better = resample(simulated(rng, scenes=40, seeds=1, quality=[0.75, 0.75]), weights)
        found += difference(better, b).p < 0.05
    assert 0.02 <= alarms / trials <= 0.09
    assert found / trials > 0.95


def test_difference_is_paired_and_antisymmetric() -> None:
    rng = np.random.default_rng(3)
    weights = scene_weights(30, draws=500)
    a = simulated(rng, scenes=30, seeds=3, quality=[0.6, 0.7])
    b = a.copy()
    b[..., 0] -= 2  # a little worse in every scene: unpaired intervals overlap, the paired one excludes zero
    ours, theirs = resample(a, weights), resample(b, weights)
    one, other = difference(ours, theirs), difference(theirs, ours)
    assert mean_estimate(ours).low < mean_estimate(theirs).high
    assert one.low > 0
    assert one.p == pytest.approx(1 / 500)
    assert other.value == pytest.approx(-one.value)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
    assert difference(ours, ours).p == 1.0
    with pytest.raises(ValueError, match="not a pair"):
        difference(ours, theirs.seeds([0, 1]))


def test_class_that_a_draw_lacks_keeps_its_observed_iou_in_the_mean() -> None:
    sums = np.array([[[5, 10, 10], [0, 0, 0]], [[8, 10, 10], [3, 4, 4]]])[None]  # class 1 lives in scene 1 only
    scores = resample(sums, np.array([[2.0, 0.0], [0.0, 2.0]]))
    np.testing.assert_allclose(scores.draws[0], [[10 / 30, np.nan], [8 / 12, 3 / 5]])
    estimate = mean_estimate(scores)
    low, high = (10 / 30 + 3 / 5) / 2, (8 / 12 + 3 / 5) / 2  # class 1 counts 3/5 in both draws
    np.testing.assert_allclose(scores.means, [[low, high]])
    assert low <= estimate.low <= estimate.high <= high
    assert difference(scores, scores).value == 0


def test_one_scene_gives_no_interval_and_no_p() -> None:
    rng = np.random.default_rng(4)
    scores = resample(simulated(rng, scenes=1, seeds=2, quality=[0.5, 0.5]), scene_weights(1))
    assert math.isnan(mean_estimate(scores).low)
    assert math.isnan(difference(scores, scores).p)


def test_resampling_seeds_widens_the_interval() -> None:
    rng = np.random.default_rng(5)
    seeds = [simulated(rng, scenes=30, seeds=1, quality=[q, q])[0] for q in (0.5, 0.6, 0.7)]
    scores = resample(np.stack(seeds), scene_weights(30))
    narrow, wide = mean_estimate(scores), mean_estimate(scores, resample_seeds=True)
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_p_value_by_hand() -> None:
    assert two_sided_p(np.array([1.0, 2.0, -1.0, 3.0, 0.5, 4.0, 1.0, 1.0])) == pytest.approx(2 / 8)
    assert two_sided_p(np.ones(50)) == 1 / 50
    assert two_sided_p(np.zeros(50)) == 1.0


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.06 after the running maximum.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    mixed = holm([0.01, float("nan"), 0.03])
    assert mixed[0] == pytest.approx(0.02)
    assert math.isnan(mixed[1])
    assert mixed[2] == pytest.approx(0.03)
    assert holm([]) == []


@given(st.lists(st.floats(0.0005, 1), min_size=1, max_size=8))
def test_holm_keeps_order_and_never_lowers(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(q >= value and q <= 1 for q, value in zip(adjusted, p, strict=True))
    order = np.argsort(p, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= 0)


def test_gap_and_share() -> None:
    assert gap_closed(0.6, 0.5, 0.7) == pytest.approx(0.5)
    assert math.isnan(gap_closed(0.6, 0.7, 0.7))
    assert share_of_ceiling(0.6, 0.8) == pytest.approx(0.75)
    assert math.isnan(share_of_ceiling(0.6, 0.0))

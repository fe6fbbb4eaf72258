"""Statistics against numbers worked out by hand, and against simulations whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wsss.benchmark import statistics
from wsss.benchmark.intervals import ALPHA, LEVEL, estimate, holm
from wsss.benchmark.statistics import (
    difference,
    gap_closed,
    image_miou,
    iou,
    mean_estimate,
    miou,
    resample,
    scene_sums,
    scene_weights,
    share_of_ceiling,
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


# Simulations ----------------------------------------------------------------------------------------------
# Worlds with a known truth: scenes differ in size and difficulty, classes in frequency, seeds in quality.
# Each case runs TRIALS worlds of 400 draws; the tolerance is the central 99.8 % of the binomial distribution of as
# many trials.

TRIALS = 400


def worlds(
    rng: np.random.Generator, scenes: int, quality: np.ndarray, presence: tuple[float, ...] = (1, 1, 0.9, 0.8)
) -> np.ndarray:
    """(seeds, scenes, classes, 3); quality is (seeds, classes) in log odds."""
    present = rng.random((scenes, len(presence))) < presence
    labelled = np.where(present, np.exp(7 + rng.standard_normal(present.shape)), 0).astype(int)
    difficulty = 0.4 * rng.standard_normal((scenes, 1)) + 0.5 * rng.standard_normal(present.shape)
    alone = 0.15 * rng.standard_normal((len(quality), *present.shape))
    correct = (labelled / (1 + np.exp(-(quality[:, None] + difficulty + alone)))).astype(int)
    predicted = correct + np.roll(labelled - correct, 1, axis=-1)
    return np.stack([correct, predicted, np.broadcast_to(labelled, correct.shape)], axis=-1)


def qualities(rng: np.random.Generator, seeds: int, spread: float) -> np.ndarray:
    """Classes from hard to easy; seeds differ in all classes together and in each."""
    common, single = rng.standard_normal((seeds, 1)), rng.standard_normal((seeds, 4))
    return np.array([2.0, 1.2, 0.8, 0.4]) + spread * (common + single)


def weights_of(rng: np.random.Generator, scenes: int) -> np.ndarray:
    return rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=400).astype(float)


CASES = [(6, 1, 0.0), (9, 3, 0.2), (24, 1, 0.0), (24, 3, 0.1), (48, 3, 0.2)]


@pytest.mark.parametrize(("scenes", "seeds", "spread"), CASES)
def test_interval_covers_the_truth_in_95_per_cent_of_worlds(scenes: int, seeds: int, spread: float) -> None:
    rng = np.random.default_rng([scenes, seeds])
    large = [worlds(rng, 4000, qualities(rng, 1, spread)) for _ in range(150 if spread else 5)]
    truth = float(np.mean([statistics.mean_present(iou(world[0].sum(axis=0))) for world in large]))
    hits = 0
    for _ in range(TRIALS):
        found = mean_estimate(resample(worlds(rng, scenes, qualities(rng, seeds, spread)), weights_of(rng, scenes)))
        hits += found.low <= truth <= found.high
    low, high = stats.binom.ppf([0.001, 0.999], TRIALS, LEVEL)
    assert low <= hits <= high, hits / TRIALS


@pytest.mark.parametrize(("scenes", "seeds", "spread"), CASES)
def test_paired_test_cries_wolf_in_5_per_cent_of_worlds(scenes: int, seeds: int, spread: float) -> None:
    rng = np.random.default_rng([scenes, seeds, 1])
    alarms = 0
    for _ in range(TRIALS):
        both = worlds(rng, scenes, qualities(rng, 2 * seeds, spread))  # two methods that are equally good
        weights = weights_of(rng, scenes)
        alarms += difference(resample(both[:seeds], weights), resample(both[seeds:], weights)).p < ALPHA
    low, high = stats.binom.ppf([0.001, 0.999], TRIALS, ALPHA)
    assert low <= alarms <= high, alarms / TRIALS


def test_paired_test_sees_a_difference() -> None:
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(100):
        quality = qualities(rng, 3, 0.1)
        both, weights = worlds(rng, 24, np.concatenate([quality + 0.5, quality])), weights_of(rng, 24)
        found += difference(resample(both[:3], weights), resample(both[3:], weights)).p < ALPHA
    assert found > 95


@given(st.integers(2, 30), st.integers(1, 4), st.integers(0, 10**6))
def test_p_is_below_alpha_where_the_interval_leaves_out_zero(scenes: int, seeds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    observed = rng.normal(0.5, 1, seeds)
    found = estimate(observed, observed[:, None] + rng.gamma(2, 0.3, (seeds, 200)) - 0.6, scenes, tested=True)
    assert (found.p < ALPHA) == (not found.low <= 0 <= found.high)
    assert found.low <= found.value <= found.high


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
    assert one.p < 0.001
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
    assert 0 <= estimate.low < estimate.value < estimate.high <= 1
    assert difference(scores, scores).value == 0


def test_one_scene_gives_no_interval_and_no_p() -> None:
    rng = np.random.default_rng(4)
    scores = resample(simulated(rng, scenes=1, seeds=2, quality=[0.5, 0.5]), scene_weights(1))
    assert math.isnan(mean_estimate(scores).low)
    assert math.isnan(difference(scores, scores).p)


def test_seeds_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    seeds = [simulated(rng, scenes=30, seeds=1, quality=[q, q])[0] for q in (0.5, 0.6, 0.7)]
    scores = resample(np.stack(seeds), scene_weights(30))
    one, three = mean_estimate(scores.seeds([1])), mean_estimate(scores)
    assert three.high - three.low > 2 * (one.high - one.low)
    error = math.sqrt(float(np.var(scores.observed.mean(1), ddof=1)) / 3)  # far above the error from scenes
    assert three.high - three.value > 3 * error


def test_interval_and_p_by_hand() -> None:
    # One seed, normal draws of standard deviation 0.1, 5 scenes: 0.1 * sqrt(5 / 4) * t(0.975, 4) = 0.1118 * 2.776.
    draws = 0.3 + 0.1 * np.array([stats.norm.ppf((np.arange(2000) + 0.5) / 2000)])
    found = estimate(np.array([0.3]), draws, 5, tested=True)
    assert found.high - 0.3 == pytest.approx(0.3104, rel=0.01)
    assert found.p == pytest.approx(2 * stats.t.sf(0.3 / 0.1118, 4), rel=0.02)
    exact = estimate(np.array([0.3, 0.3]), np.full((2, 50), 0.3), 5, tested=True)
    assert (exact.low, exact.high, exact.p) == (0.3, 0.3, 0.0)
    assert estimate(np.zeros(2), np.zeros((2, 50)), 5, tested=True).p == 1.0
    cut = estimate(np.array([0.1]), draws - 0.2, 5, bounds=(0.0, 1.0))
    assert cut.low == 0.0


def test_class_in_one_scene_has_no_interval_and_one_in_few_a_wide_one() -> None:
    rng = np.random.default_rng(6)
    sums = simulated(rng, scenes=20, seeds=2, quality=[0.6, 0.6])
    few, single = sums.copy(), sums.copy()
    few[:, 3:, 1], single[:, 1:, 1] = 0, 0
    whole, scarce, alone = (statistics.class_estimates(resample(s, scene_weights(20)))[1] for s in (sums, few, single))
    assert scarce.scenes == 3
    assert scarce.high - scarce.low > 1.5 * (whole.high - whole.low)
    assert math.isnan(alone.low)


def test_chunks_of_draws_give_the_same() -> None:
    sums = simulated(np.random.default_rng(7), scenes=9, seeds=2, quality=[0.5, 0.7])
    weights = scene_weights(9, draws=3 * statistics.CHUNK + 7)
    one = iou((weights @ sums.reshape(2, 9, 6).astype(float)).reshape(2, -1, 2, 3))
    np.testing.assert_array_equal(resample(sums, weights).draws, one)


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

"""What is counted, against plain loops written from the definitions, and where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsss.benchmark import IGNORE
from wsss.benchmark.measure_shapes import BINS, RANGES, WIDTHS, by_predictor, shapes
from wsss.benchmark.measures import FRACTION, boundary, calibration, count, ranges, trimap, views
from wsss.benchmark.statistics import iou

CLASSES = 3


@st.composite
def pictures(draw):
    """A prediction and a truth, some of which is ignored, of a few pixels each."""
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    predicted = draw(arrays(np.uint8, size, elements=st.integers(0, CLASSES - 1)))
    kind = draw(st.sampled_from([(0, 1, 2, IGNORE), (0, 0, 0, 0, 0, 1, IGNORE)]))
    return predicted, draw(arrays(np.uint8, size, elements=st.sampled_from(kind)))


def pixels(mask):
    return {tuple(p) for p in np.argwhere(mask).tolist()}


def near(mask, known, width):
    """Pixels of a mask from which a pixel with a class, but outside the mask, is at most ``width`` away."""
    inside, outside = pixels(mask & known), pixels(known & ~mask)
    return {p for p in inside if any(max(abs(p[0] - q[0]), abs(p[1] - q[1])) <= width for q in outside)}


@given(pictures())
@settings(deadline=None)
def test_boundary_is_its_definition(both):
    predicted, dense = both
    found, known = boundary(predicted, dense, CLASSES), dense != IGNORE
    for row, width in enumerate(WIDTHS):
        for c in range(CLASSES):
            guess, truth = near(predicted == c, known, width), near(dense == c, known, width)
            assert found[row, c].tolist() == [len(guess & truth), len(guess), len(truth)]


@given(pictures())
@settings(deadline=None)
def test_trimap_is_its_definition(both):
    predicted, dense = both
    found, known = trimap(predicted, dense, CLASSES), dense != IGNORE
    for row, width in enumerate(WIDTHS):
        band = set().union(*(near(dense == c, known, width) for c in range(CLASSES)))
        for c in range(CLASSES):
            guess, truth = pixels(predicted == c) & band, pixels(dense == c) & band
            assert found[row, c].tolist() == [len(guess & truth), len(guess), len(truth)]


@given(pictures(), st.data())
@settings(deadline=None)
def test_ranges_are_their_definition(both, data):
    predicted, dense = both
    some = st.sampled_from([*map(float, RANGES), 1.99, 3.5, 63.9, 1e4, np.nan, np.inf])
    depth = data.draw(arrays(np.float64, dense.shape, elements=some))
    found = ranges(predicted, dense, depth, CLASSES)
    ends = (*RANGES[1:], np.inf)
    for row, (first, end) in enumerate(zip(RANGES, ends, strict=True)):
        within = np.array([[first <= z < end for z in line] for line in depth.tolist()]).reshape(dense.shape)
        assert np.array_equal(found[row], count(predicted, np.where(within, dense, IGNORE), CLASSES))


@given(pictures(), st.data())
@settings(deadline=None)
def test_calibration_is_its_definition(both, data):
    predicted, dense = both
    probability = data.draw(arrays(np.float32, dense.shape, elements=st.floats(0, 1, width=32)))
    expected = np.zeros((BINS, 3))
    for guess, truth, p in zip(predicted.ravel(), dense.ravel(), probability.ravel().tolist(), strict=True):
        if truth != IGNORE:
            expected[min(int(p * BINS), BINS - 1)] += (1, p, guess == truth)
    found = calibration(predicted, probability, dense)
    assert np.array_equal(found[:, [0, 2]], expected[:, [0, 2]])
    assert np.abs(found[:, 1] - expected[:, 1]).max() <= 0.51 / FRACTION
    assert np.array_equal(found * FRACTION, np.round(found * FRACTION)), "sums add up exactly"


@given(pictures(), st.data())
@settings(deadline=None)
def test_views_are_their_definition(both, data):
    predicted, dense = both
    elsewhere = data.draw(arrays(np.uint8, dense.shape, elements=st.integers(0, CLASSES - 1)))
    place = st.tuples(st.integers(0, dense.shape[0] - 1), st.integers(0, dense.shape[1] - 1))
    pairs = data.draw(st.lists(st.tuples(place, place), max_size=12))
    here, there = (np.array([pair[k] for pair in pairs], np.int64).reshape(-1, 2) for k in (0, 1))
    counted = [(a, b) for a, b in pairs if dense[a] != IGNORE]
    same = sum(bool(predicted[a] == elsewhere[b]) for a, b in counted)
    assert views(predicted, elsewhere, dense, here, there).tolist() == [len(counted), same]


@given(pictures(), st.data())
@settings(deadline=None)
def test_what_is_predicted_where_nobody_knows_changes_nothing(both, data):
    predicted, dense = both
    other = data.draw(arrays(np.uint8, dense.shape, elements=st.integers(0, 254)))
    changed = np.where(dense == IGNORE, other, predicted)
    for measure in (count, boundary, trimap):
        assert np.array_equal(measure(predicted, dense, CLASSES), measure(changed, dense, CLASSES))
    depth, sure = np.full(dense.shape, 5.0), np.full(dense.shape, 0.5)
    assert np.array_equal(ranges(predicted, dense, depth, CLASSES), ranges(changed, dense, depth, CLASSES))
    assert np.array_equal(calibration(predicted, sure, dense), calibration(changed, sure, dense))


def test_a_half_plane_has_one_straight_contour():
    dense = np.zeros((10, 20), np.uint8)
    dense[:, 10:] = 1
    for found in (boundary(dense, dense, 2), trimap(dense, dense, 2)):
        assert found.tolist() == [[[10 * width] * 3] * 2 for width in WIDTHS], "the picture's border is no contour"
    assert not boundary(np.zeros_like(dense), dense, 2)[..., :2].any(), (
        "a single class has no contour to be right about"
    )


def test_the_border_of_an_ignored_region_is_no_contour():
    dense = np.zeros((10, 20), np.uint8)
    dense[:, 10:14], dense[:, 14:] = IGNORE, 1
    assert not boundary(dense, dense, 2)[:2].any() and not trimap(dense, dense, 2)[:2].any()
    assert boundary(dense, dense, 2)[2].tolist() == [[0, 0, 0]] * 2, "five columns lie between the two classes"
    dense[:, 10:13], dense[:, 13:] = IGNORE, 1
    assert boundary(dense, dense, 2)[2].tolist() == [[10] * 3] * 2, "but distance reaches over a narrow one"


def test_a_square_shifted_by_a_pixel():
    side = 20
    dense, predicted = np.zeros((2, 40, 40), np.uint8)
    dense[10 : 10 + side, 10 : 10 + side] = 1
    predicted[10 : 10 + side, 11 : 11 + side] = 1
    assert iou(count(predicted, dense, 2))[1] == (side - 1) / (side + 1)
    ring = 4 * side - 4
    found = boundary(predicted, dense, 2)[0, 1]
    assert found.tolist() == [2 * (side - 1), ring, ring]
    assert iou(found[None])[0] == pytest.approx(1 / 3), "a third of the contour, where the mask has nine tenths"


def test_trimap_sees_only_the_band():
    dense = np.zeros((30, 30), np.uint8)
    dense[:, 15:] = 1
    far = dense.copy()
    far[:, :10] = 1
    assert np.array_equal(trimap(far, dense, 2), trimap(dense, dense, 2)), "an error five pixels away"
    close = dense.copy()
    close[:, 14] = 1
    assert [iou(part)[0] for part in trimap(close, dense, 2)] == [0, 1 / 2, 3 / 4]


def test_sure_and_always_right_is_calibrated():
    dense = np.array([[0, 1, IGNORE]], np.uint8)
    found = calibration(np.array([[0, 1, 1]], np.uint8), np.ones((1, 3)), dense)
    assert found[-1].tolist() == [2, 2, 2] and not found[:-1].any()


@pytest.mark.parametrize("wrong", [np.nan, 1.5, -0.1])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="must lie in"):
        calibration(np.zeros((1, 1), np.uint8), np.full((1, 1), wrong), np.zeros((1, 1), np.uint8))


def test_a_class_outside_the_label_space_is_refused():
    predicted, dense = np.array([[7, 0]], np.uint8), np.array([[0, 1]], np.uint8)
    for measure in (count, boundary, trimap, lambda p, d, c: ranges(p, d, np.ones(d.shape), c)):
        with pytest.raises(ValueError, match="predicted class 7 of 3"):
            measure(predicted, dense, 3)


def test_arrays_are_told_apart_by_their_names_and_refused_by_their_shapes():
    stored = {f"{name}_big_net": np.zeros((4, *shape)) for name, shape in shapes(5).items()}
    found = by_predictor(stored, 4)
    assert set(found) == {"big_net"} and set(found["big_net"]) == set(shapes(5))
    for key, array in stored.items():
        for wrong in (array[:3], array[..., :1], array[None]):
            with pytest.raises(ValueError, match=r"array .*big_net of shape"):
                by_predictor({**stored, key: wrong}, 4)
    for key in ("views_other", "sharpness_big_net"):
        with pytest.raises(ValueError, match=f"array {key}"):
            by_predictor({**stored, key: np.zeros((4, 2))}, 4)

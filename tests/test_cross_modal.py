"""The cross-modal loss against plain loops written from its formulas."""

import itertools
from collections import defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_points import rows, table

from wsss.benchmark import IGNORE
from wsss.methods._cross_modal import Pairs, Targets, cross_entropy, onto_pixels, onto_points, pairs_of, rank, weights

SIZE = (24, 32)


def valid():
    mask = torch.ones(2, *SIZE, dtype=torch.bool)
    mask[..., -4:] = False
    return mask


def test_pairs_are_the_points_on_valid_pixels():
    points, mask = table(), valid()
    expected = []
    for number, (image, (row, column)) in enumerate(zip(points.image.tolist(), points.pixel.tolist(), strict=True)):
        if row >= 0 and mask[image, row, column]:
            expected.append((number, (image * SIZE[0] + row) * SIZE[1] + column))
    pairs = pairs_of(points, mask)
    assert 0 < len(pairs) < int((points.pixel[:, 0] >= 0).sum()) < len(points.xyz)
    assert list(zip(pairs.point.tolist(), pairs.place.tolist(), strict=True)) == expected


def test_no_points_and_none_in_the_crop_make_no_pairs():
    points = table()
    assert len(pairs_of(rows(points, torch.zeros(0, dtype=torch.long)), valid())) == 0
    assert len(pairs_of(rows(points, points.pixel[:, 0] < 0), valid())) == 0
    assert len(pairs_of(points, torch.zeros_like(valid()))) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1e-9, 0.5, 0.75, 1.0, 3.0, 1e4, 3e38])), max_size=30))
def test_rank_is_the_share_of_the_image_with_no_more_confidence(rows):
    image = torch.tensor([whose for whose, _ in rows], dtype=torch.long)
    confidence = torch.tensor([value for _, value in rows], dtype=torch.float32)
    expected = []
    for whose, value in zip(image.tolist(), confidence.tolist(), strict=True):
        others = [c for i, c in zip(image.tolist(), confidence.tolist(), strict=True) if i == whose]
        expected.append(sum(other <= value for other in others) / len(others))
    torch.testing.assert_close(rank(confidence, image), torch.tensor(expected, dtype=torch.float32))


def test_ranks_forget_the_scale_of_a_provider_and_a_sensor_counts_fully():
    points = table()
    ranks = rank(points.confidence, points.image)
    assert torch.equal(ranks, rank(1e3 * points.confidence.double().square().float(), points.image))
    assert torch.equal(rank(torch.ones(7), torch.tensor([0, 2, 0, 2, 2, 0, 0])), torch.ones(7))


def test_weights_are_the_factors_that_are_chosen():
    prediction, reconstruction = torch.tensor([0.5, 0.25]), torch.tensor([0.1, 8.0])
    assert weights("none", prediction, reconstruction).tolist() == [1, 1]
    assert torch.equal(weights("prediction", prediction, reconstruction), prediction)
    assert torch.equal(weights("reconstruction", prediction, reconstruction), reconstruction)
    assert torch.equal(weights("both", prediction, reconstruction), prediction * reconstruction)


def test_the_most_confident_point_of_a_pixel_speaks_and_of_equals_the_first():
    generator = torch.Generator().manual_seed(0)
    number = 200
    place = torch.randint(0, 20, (number,), generator=generator)
    point = torch.randperm(1000, generator=generator)[:number].sort().values
    confidence = torch.randint(1, 4, (number,), generator=generator).float()
    label, weight = torch.randint(0, 9, (number,), generator=generator), torch.rand(number, generator=generator)
    best: dict[int, int] = {}
    for row in range(number):
        here = best.setdefault(int(place[row]), row)
        if confidence[row] > confidence[here]:
            best[int(place[row])] = row
    shape = torch.Size((2, 4, 5))
    targets = onto_pixels(Pairs(point, place), label, weight, confidence, shape)
    assert targets.label.shape == targets.weight.shape == shape
    for where in range(40):
        if where in best:
            assert targets.label.flatten()[where] == label[best[where]]
            assert targets.weight.flatten()[where] == weight[best[where]]
        else:
            assert targets.label.flatten()[where] == IGNORE and targets.weight.flatten()[where] == 0
    for _ in range(3):  # the order in which pairs are given has no say
        order = torch.randperm(number, generator=generator)
        again = onto_pixels(Pairs(point[order], place[order]), label[order], weight[order], confidence[order], shape)
        assert torch.equal(again.label, targets.label) and torch.equal(again.weight, targets.weight)


def test_points_without_a_pair_or_an_answer_have_no_target():
    pairs = Pairs(torch.tensor([1, 4]), torch.tensor([7, 7]))
    targets = onto_points(pairs, torch.tensor([2, IGNORE]), torch.tensor([0.5, 0.9]), 6)
    assert targets.label.tolist() == [IGNORE, 2, IGNORE, IGNORE, IGNORE, IGNORE]
    assert targets.weight.tolist() == [0, 0.5, 0, 0, 0, 0]


@pytest.mark.parametrize("normalise", ["weights", "pairs", "none"])
def test_the_loss_is_the_weighted_sum_of_the_formula(normalise):
    points, mask = table(), valid()
    pairs = pairs_of(points, mask)
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, *SIZE, generator=generator)
    q3 = (3 * torch.randn(len(points.xyz), 3, generator=generator)).softmax(1)
    prediction, label = q3[pairs.point].max(1)
    reconstruction = points.confidence[pairs.point]
    spoken = onto_pixels(pairs, label, prediction * reconstruction, reconstruction, mask.shape)

    by_pixel = defaultdict(list)
    for n, (image, (row, column)) in enumerate(zip(points.image.tolist(), points.pixel.tolist(), strict=True)):
        if row >= 0 and mask[image, row, column]:
            by_pixel[image, row, column].append(n)
    assert any(len(several) > 1 for several in by_pixel.values())
    total = weight = 0.0
    for (image, row, column), several in by_pixel.items():
        n = min(several, key=lambda one: (-float(points.confidence[one]), one))
        w = float(q3[n].max() * points.confidence[n])
        total += w * -float(logits[image, :, row, column].log_softmax(0)[q3[n].argmax()])
        weight += w
    divisor = {"weights": weight, "pairs": len(by_pixel), "none": 1}[normalise]
    assert float(cross_entropy(logits, spoken, normalise)) == pytest.approx(total / divisor, rel=1e-5)


@pytest.mark.parametrize("normalise", ["weights", "pairs", "none"])
def test_without_targets_the_loss_is_zero_and_has_a_gradient(normalise):
    for shape in ((0,), (5,)):
        logits = torch.randn(*shape, 3, requires_grad=True)
        loss = cross_entropy(logits, Targets(torch.full(shape, IGNORE), torch.zeros(shape)), normalise)
        loss.backward()
        assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_only_ratios_of_weights_matter_where_the_sum_is_divided_by_them():
    generator = torch.Generator().manual_seed(0)
    logits, label = torch.randn(50, 4, generator=generator), torch.randint(0, 4, (50,), generator=generator)
    weight = torch.rand(50, generator=generator)
    for normalise, factor in itertools.product(("weights", "pairs", "none"), (1e-3, 1e3)):
        one, other = (cross_entropy(logits, Targets(label, w), normalise) for w in (weight, factor * weight))
        torch.testing.assert_close(other, one if normalise == "weights" else factor * one)

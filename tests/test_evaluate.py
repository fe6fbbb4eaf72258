"""Counting against hand-made numbers, and the ways an image can reach the network."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from toy import Toy, toy

from wsss.benchmark import IGNORE, UsageError
from wsss.benchmark.evaluate import count, evaluate, predict, tiled
from wsss.benchmark.spec import EvalConfig


def test_counts_of_a_three_by_three_image_by_hand():
    dense = np.array([[0, 0, 1], [1, 1, 2], [IGNORE, IGNORE, 2]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 2], [2, 0, 0]], np.uint8)
    assert count(predicted, dense, 4).tolist() == [[1, 3, 2], [2, 3, 3], [1, 1, 2], [0, 0, 0]]


def test_a_class_outside_the_label_space_is_refused():
    with pytest.raises(ValueError, match="predicted class 7 of 3"):
        count(np.array([[7]], np.uint8), np.array([[0]], np.uint8), 3)


def nearest_color(image):
    """A perfect predictor of Toy: minus the distance to every class's colour."""
    colors = torch.tensor(Toy.classes.colors).view(1, 3, 3, 1, 1) / 255
    return -50 * (image[:, None] - colors).square().sum(2)


def test_a_perfect_predictor_scores_perfectly_and_its_samples_are_kept(tmp_path):
    dataset = toy(tmp_path)
    news = []
    counts, kept = evaluate(
        {"best": nearest_color, "worst": lambda x: torch.eye(3)[2].view(1, 3, 1, 1).expand(-1, -1, *x.shape[-2:])},
        dataset, EvalConfig(), torch.device("cpu"), {"val1-2"}, lambda done, total: news.append((done, total)),
    )  # fmt: skip
    best = counts.tables["best"].sum(0)
    assert (best[:, 0] == best[:, 2]).all() and (best[:, 1] == best[:, 2]).all()
    assert counts.tables["worst"][:, :2, 0].sum() == 0
    assert counts.image_ids == [f"val{s}-{f}" for s in range(2) for f in range(3)]
    assert counts.scene_ids == ["val0"] * 3 + ["val1"] * 3
    assert set(kept) == {"val1-2"} and news[-1] == (6, 6)


def test_logits_are_brought_to_the_size_of_the_label():
    image = torch.rand(1, 3, 20, 30)
    assert predict(lambda x: x, image, EvalConfig(scale=0.5), (40, 60)).shape == (40, 60)
    assert predict(lambda x: x, image, EvalConfig(tile=(16, 16)), (20, 30)).shape == (20, 30)


def test_tiles_of_a_pixelwise_network_give_what_the_whole_image_gives():
    image = torch.rand(1, 3, 37, 53)
    seen = torch.zeros(37, 53)
    result = tiled(lambda x: 3 * x, image, (16, 24))
    torch.testing.assert_close(result, F.log_softmax(3 * image, 1))
    assert seen.shape == result.shape[-2:]


def test_a_split_that_does_not_exist_is_named(tmp_path):
    class NoTest(Toy):
        def scenes(self, split):
            if split == "test":
                raise UsageError("Toy has no split 'test'")
            return super().scenes(split)

    toy(tmp_path)
    with pytest.raises(UsageError, match="no split 'test'"):
        evaluate({}, NoTest(tmp_path / "toy"), EvalConfig(split="test"), torch.device("cpu"), set(), print)

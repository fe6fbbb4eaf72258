"""Counting against hand-made numbers, the ways an image can reach the network, and what is measured beside it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from toy import Toy, toy
from toy_clouds import driven

from wsss.benchmark import IGNORE, BenchmarkError, DatasetError, UsageError, discovery
from wsss.benchmark import evaluate as evaluation
from wsss.benchmark.evaluate import evaluate, probability_of_winners, scores_of, tiled, winners
from wsss.benchmark.geometry.surfaces import Surfaces
from wsss.benchmark.measure_shapes import shapes
from wsss.benchmark.measures import count
from wsss.benchmark.spec import EvalConfig
from wsss.datasets import miniature

CPU = torch.device("cpu")


def silent(done, total):
    """Nobody is told."""


def nearest_color(image):
    """A perfect predictor of Toy: minus the distance to every class's colour."""
    colors = torch.tensor(Toy.classes.colors).view(1, 3, 3, 1, 1) / 255
    return -50 * (image[:, None] - colors).square().sum(2)


def always(category, classes=3):
    """A predictor that sees nothing."""
    return lambda x: torch.eye(classes)[category].view(1, -1, 1, 1).expand(-1, -1, *x.shape[-2:])


def test_counts_of_a_three_by_three_image_by_hand():
    dense = np.array([[0, 0, 1], [1, 1, 2], [IGNORE, IGNORE, 2]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 2], [2, 0, 0]], np.uint8)
    assert count(predicted, dense, 4).tolist() == [[1, 3, 2], [2, 3, 3], [1, 1, 2], [0, 0, 0]]


def test_a_perfect_predictor_scores_perfectly_and_its_samples_are_kept(tmp_path):
    news = []
    counts, kept = evaluate(
        {"best": nearest_color, "worst": always(2)},
        toy(tmp_path), EvalConfig(), CPU, {"val1-2"}, lambda done, total: news.append((done, total)),
    )  # fmt: skip
    best = counts.tables["best"].sum(0)
    assert (best[:, 0] == best[:, 2]).all() and (best[:, 1] == best[:, 2]).all()
    assert counts.tables["worst"][:, :2, 0].sum() == 0
    assert counts.image_ids == [f"val{s}-{f}" for s in range(2) for f in range(3)]
    assert counts.scene_ids == ["val0"] * 3 + ["val1"] * 3
    assert set(kept) == {"val1-2"} and news[-1] == (6, 6)
    assert np.array_equal(kept["val1-2"][3:], toy(tmp_path)._draw(toy(tmp_path)._frame("val1-2"))[1][3:])


def test_what_is_measured_of_pictures_alone(tmp_path):
    counts, _ = evaluate({"best": nearest_color, "worst": always(2)}, toy(tmp_path), EvalConfig(), CPU, set(), silent)
    assert counts.depth_source is None
    for name, found in counts.measures.items():
        table = counts.tables[name]
        assert set(found) == {"boundary", "trimap", "calibration"}
        assert {measure: array.shape[1:] for measure, array in found.items()}.items() <= shapes(3).items()
        for measure in ("boundary", "trimap"):
            widening = np.concatenate([found[measure][..., 2], table[:, None, :, 2]], axis=1)
            assert (np.diff(widening, axis=1) >= 0).all() and widening[:, 0].sum() > 0
            assert np.array_equal(found[measure][..., 2], counts.measures["best"][measure][..., 2]), "the same truth"
        pixels, sure, right = np.moveaxis(found["calibration"].sum(1), -1, 0)
        assert np.array_equal(pixels, table[..., 2].sum(1)) and np.array_equal(right, table[..., 0].sum(1))
        assert ((sure > pixels / 3) & (sure <= pixels)).all()
    perfect = counts.measures["best"]["boundary"]
    assert (perfect[..., 0] == perfect[..., 2]).all() and (perfect[..., 1] == perfect[..., 2]).all()
    assert not counts.measures["worst"]["boundary"][..., :2].any(), "a single class has no contour"


def test_distances_and_a_second_view_come_from_the_sensor(tmp_path):
    dataset = driven(tmp_path)
    predictors = {"seeing": nearest_color, "blind": always(1)}
    counts, _ = evaluate(predictors, dataset, EvalConfig(), CPU, set(), silent)
    assert counts.depth_source == "sensor"
    found = counts.measures["seeing"]
    # The wall stands 12 and 11 m away.
    assert found["ranges"][:, 3].sum() > 0 and not np.delete(found["ranges"], 3, axis=1).any()
    assert "views" not in counts.measures["blind"], "a second prediction of the first alone"
    surfaces, row = Surfaces(dataset), 0
    for scene in dataset.scenes("val"):
        guess = [winners(nearest_color(torch.tensor(dataset.image(frame)).permute(2, 0, 1)[None] / 255)[0])
                 for frame in scene.frames]  # fmt: skip
        for index, other in ((0, 2), (1, 0)):  # two after; one before for want of any farther away
            dense = dataset.dense(scene.frames[index])
            assert dense is not None
            depth = surfaces.depth(scene, index, (dense.shape[0], dense.shape[1]))
            assert depth is not None
            match = surfaces.match(scene, index, depth)
            assert match is not None and match.other == other
            known = dense[tuple(match.here.T)] != IGNORE
            same = guess[index][tuple(match.here.T)] == guess[other][tuple(match.there.T)]
            assert found["views"][row].tolist() == [known.sum(), (same & known).sum()]
            assert 0 < found["views"][row, 1] < found["views"][row, 0]
            row += 1
    assert row == len(counts.image_ids)


def test_what_was_predicted_before_changes_nothing(tmp_path, monkeypatch):
    dataset = driven(tmp_path)
    before, _ = evaluate({"seeing": nearest_color}, dataset, EvalConfig(), CPU, set(), silent)
    monkeypatch.setattr(evaluation, "REMEMBERED", 2)
    after, _ = evaluate({"seeing": nearest_color}, dataset, EvalConfig(), CPU, set(), silent)
    assert np.array_equal(before.measures["seeing"]["views"], after.measures["seeing"]["views"])


def test_one_who_sees_nothing_agrees_with_itself(tmp_path):
    counts, _ = evaluate({"blind": always(1)}, driven(tmp_path), EvalConfig(), CPU, set(), silent)
    views = counts.measures["blind"]["views"]
    assert (views[:, 0] > 0).all() and np.array_equal(views[:, 0], views[:, 1])


@pytest.mark.parametrize("name", miniature.DATASETS)
def test_miniatures_are_measured_against_their_true_depth(tiny, name):
    dataset = discovery.dataset(name)(tiny(name))
    classes = len(dataset.classes)
    counts, _ = evaluate({"student": always(0, classes)}, dataset, EvalConfig(), CPU, set(), silent)
    found, table = counts.measures["student"], counts.tables["student"]
    posed = {"views"} if "poses" in dataset.sources else set()
    assert set(found) == {"boundary", "trimap", "calibration", "ranges"} | posed
    assert counts.depth_source == "truth"
    assert {measure: array.shape[1:] for measure, array in found.items()}.items() <= shapes(classes).items()
    within = found["ranges"].sum(1)
    assert (within <= table).all() and within[..., 2].sum() > 0.5 * table[..., 2].sum()
    sky = [i for i, one in enumerate(dataset.classes.names) if one in dataset.classes.without_surface]
    assert within[:, sky, 2].sum() <= 0.05 * max(table[:, sky, 2].sum(), 1), "the sky is at no distance"
    if posed:
        assert found["views"][:, 0].sum() > 0


def test_a_frame_without_truth_is_named(tmp_path, monkeypatch):
    dataset = toy(tmp_path)
    monkeypatch.setattr(Toy, "dense", lambda self, frame: None)
    with pytest.raises(DatasetError, match="frame val0-0 has no dense labels"):
        evaluate({"best": nearest_color}, dataset, EvalConfig(), CPU, set(), silent)


def test_a_network_that_gives_no_numbers_is_refused(tmp_path):
    def broken(image):
        return nearest_color(image) * float("nan")

    with pytest.raises(BenchmarkError, match=r"broken predicts no number in 100\.0% of val0-0: train with a lower"):
        evaluate({"broken": broken}, toy(tmp_path), EvalConfig(), CPU, set(), silent)


def test_of_equal_scores_the_first_class_wins():
    scores = torch.tensor([[1.0, 0.0], [1.0, 2.0], [0.0, 2.0]])[..., None]
    assert winners(scores).tolist() == [[0], [1]]
    assert probability_of_winners(scores)[:, 0] == pytest.approx(scores.softmax(0)[[0, 1], [0, 1], 0].numpy())


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_probabilities_are_the_softmax_of_what_wins(kind):
    scores = (5 * torch.randn(7, 11, 13, generator=torch.Generator().manual_seed(0))).to(kind)
    best = scores.float().softmax(0).amax(0).numpy()
    assert probability_of_winners(scores) == pytest.approx(best, abs=1e-6)
    assert np.array_equal(winners(scores), scores.argmax(0).numpy())


def test_logits_are_brought_to_the_size_of_the_label():
    image = torch.rand(1, 3, 20, 30)
    assert scores_of(lambda x: x, image, EvalConfig(scale=0.5), (40, 60)).shape == (3, 40, 60)
    assert scores_of(lambda x: x, image, EvalConfig(tile=(16, 16)), (20, 30)).shape == (3, 20, 30)


def test_tiles_of_a_pixelwise_network_give_what_the_whole_image_gives():
    image = torch.rand(1, 3, 37, 53)
    seen = torch.zeros(37, 53)
    result = tiled(lambda x: 3 * x, image, (16, 24))
    torch.testing.assert_close(result, F.log_softmax(3 * image, 1))
    assert seen.shape == result.shape[-2:]
    probability = probability_of_winners(scores_of(lambda x: 3 * x, image, EvalConfig(tile=(16, 24)), (37, 53)))
    assert probability == pytest.approx((3 * image).softmax(1).amax(1)[0].numpy(), abs=1e-5)


def test_a_split_that_does_not_exist_is_named(tmp_path):
    class NoTest(Toy):
        def scenes(self, split):
            if split == "test":
                raise UsageError("Toy has no split 'test'")
            return super().scenes(split)

    toy(tmp_path)
    with pytest.raises(UsageError, match="no split 'test'"):
        evaluate({}, NoTest(tmp_path / "toy"), EvalConfig(split="test"), CPU, set(), print)

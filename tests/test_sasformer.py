"""SASFormer's affinity loss on a real SegFormer and on hand-made attention, and n/a where there is no attention."""

from dataclasses import replace

import pytest
import torch
from toy import NETWORK, TRAIN, TRANSFORMER, Toy, batch, pixelwise_task

from wsss.benchmark import IGNORE, Task, Unsupported, UsageError, discovery
from wsss.benchmark.grid import Column
from wsss.benchmark.networks import Attention, Prediction, image_network
from wsss.benchmark.planning import Filters, plan, require
from wsss.benchmark.spec import NetworkConfig
from wsss.benchmark.suites import SMOKE
from wsss.benchmark.workplace import Workplace
from wsss.methods.sasformer import Config, SASFormer, attended, probabilities

SINGLE = Config(double_softmax=False)
SIZE = (64, 96)
"""Not square: keys of 2 x 3 for every stage."""


def segformer(config):
    """On random weights, without the randomness of dropped paths."""
    task = Task(classes=Toy.classes, image_network=lambda: image_network(TRANSFORMER, len(Toy.classes), 0))
    return SASFormer(config, task).eval()


def affinity(config, seed=0):
    return segformer(config).losses(batch(seed, SIZE), 0.0)["affinity"]


def by_hand(attention, low, given=None):
    """The loss of one stage of given attention and logits over an image of four by four pixels."""
    given = batch(size=(4, 4), images=1) if given is None else given
    everywhere = torch.ones_like(given.valid)
    given = replace(given, valid=everywhere, labels=torch.full_like(given.labels, IGNORE))
    prediction = Prediction(low, low, (4, 4), (4, 4))
    return prediction, attention, given


def test_the_loss_is_the_distance_of_spread_prediction_and_prediction():
    """Two columns of two classes; the left attends to the right, the right to itself."""
    low = torch.zeros(1, 2, 4, 4)
    low[:, 0, :, :2], low[:, 1, :, 2:] = 50.0, 50.0
    weights = torch.tensor([[[0.0, 1.0], [0.25, 0.75]]])
    prediction, stages, given = by_hand((Attention(weights, (1, 2), (1, 2)),), low)
    method = SASFormer(SINGLE, pixelwise_task())
    assert float(method.affinity(prediction, stages, given)) == pytest.approx((2.0 + 0.5) / 2)
    assert float(method.affinity(prediction, (*stages, *stages), given)) == pytest.approx(2.0 + 0.5)
    one = SASFormer(Config(stages=1, double_softmax=False), pixelwise_task())
    assert float(one.affinity(prediction, (*stages, *stages), given)) == pytest.approx((2.0 + 0.5) / 2)
    same = Prediction(0 * low + low[..., :1, :1], low, (4, 4), (4, 4))
    assert float(method.affinity(same, stages, given)) == pytest.approx(0, abs=1e-6)
    left = given.labels.clone()
    left[..., :2] = 1
    assert float(method.affinity(prediction, stages, replace(given, labels=left))) == pytest.approx(0.5)


def test_the_second_softmax_is_that_of_the_release_and_shrinks():
    low = torch.zeros(1, 2, 4, 4)
    low[:, 0, :, :2], low[:, 1, :, 2:] = 50.0, 50.0
    weights = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    prediction, stages, given = by_hand((Attention(weights, (1, 2), (1, 2)),), low)
    twice = torch.tensor([1.0, 0.0]).softmax(0)
    expected = (twice - twice.flip(0)).abs().sum() / 2
    assert float(SASFormer(Config(), pixelwise_task()).affinity(prediction, stages, given)) == pytest.approx(
        float(expected)
    )
    assert 0 < affinity(Config()) < affinity(SINGLE)


def test_keys_count_as_much_as_is_valid_of_them():
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(2, 5, 4, generator=generator).softmax(-1)
    values = torch.rand(2, 4, 3, generator=generator)
    whole = torch.ones(2, 4)
    torch.testing.assert_close(attended(weights, values, whole), weights @ values)
    torch.testing.assert_close(attended(weights, torch.ones(2, 4, 1), torch.rand(2, 4)), torch.ones(2, 5, 1))
    part = whole.clone()
    part[:, 1] = 0
    other = values.clone()
    other[:, 1] = 9
    assert torch.equal(attended(weights, values, part), attended(weights, other, part))
    assert not attended(weights, values, 0 * whole).any()


def test_attention_that_has_left_all_valid_keys_has_finite_gradients():
    """A softmax underflows to exactly 0, or to less than a gradient can be divided by."""
    for score in (60.0, 88.0, 200.0):
        scores = torch.tensor([[[score, 0.0]]], requires_grad=True)
        values = torch.tensor([[[0.5, 0.5], [0.9, 0.1]]], requires_grad=True)
        spread = attended(scores.softmax(-1), values, torch.tensor([[0.0, 1.0]]))
        (65536 * spread * torch.tensor([1.0, -2.0])).sum().backward()
        for leaf in (scores, values):
            assert leaf.grad is not None and bool(torch.isfinite(leaf.grad).all()), score


def test_cells_average_over_their_valid_part_alone():
    logits = torch.randn(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(1, 1, 4, 6)
    valid[..., 3:] = 0
    mean, share = probabilities(logits, valid, (2, 3))
    assert share.tolist() == [[1.0, 0.5, 0.0, 1.0, 0.5, 0.0]]
    torch.testing.assert_close(mean[0, 1], logits[0, :, :2, 2].mean(-1).softmax(0))
    torch.testing.assert_close(mean.sum(-1), torch.ones(1, 6))
    finest, _ = probabilities(logits, valid, (4, 6))
    torch.testing.assert_close(finest[0, 0], logits[0, :, 0, 0].softmax(0))


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (50, 71), (32, 32)])
@pytest.mark.parametrize("config", [Config(), SINGLE])
def test_any_crop_gives_finite_terms_that_move_the_network(size, config):
    method = segformer(config).train()
    terms = method.losses(batch(size=size), 0.5)
    for term, value in terms.items():
        assert bool(torch.isfinite(value)) and value > 0, term
        gradients = torch.autograd.grad(value, list(method.parameters()), retain_graph=True, allow_unused=True)
        assert any(g is not None and bool(g.any()) for g in gradients), term


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_every_stage_pulls_at_its_own_attention(stage):
    """With the logits held, the affinity loss still moves the queries of its stage and of no later one."""
    method = segformer(Config())
    given = batch(size=SIZE)
    prediction, attention = method.student.attend(given.strong)
    held = replace(prediction, low=prediction.low.detach())
    loss = method.affinity(held, [attention[stage]], given)
    layers = [block[-1].attn.q.weight for block in (getattr(method.student.encoder, f"block{i}") for i in (1, 2, 3, 4))]
    gradients = torch.autograd.grad(loss, layers, allow_unused=True)
    assert [g is not None and bool(g.any()) for g in gradients] == [place <= stage for place in range(4)]


def test_every_option_changes_loss_or_gradient():
    plain = affinity(Config())
    for config in (SINGLE, Config(stages=3), Config(weight=0.6)):
        assert not torch.isclose(affinity(config), plain, rtol=1e-3), config
    gradients = []
    for config in (Config(), Config(detach=True)):
        method = segformer(config)
        loss = method.losses(batch(0, SIZE), 0.0)["affinity"]
        torch.testing.assert_close(loss, plain)
        gradients += torch.autograd.grad(loss, list(method.student.classifier.parameters()))[:1]
    assert not torch.allclose(*gradients, rtol=1e-2)


@pytest.mark.parametrize("config", [Config(), SINGLE, Config(detach=True)])
def test_one_step_downhill_lowers_every_term(config):
    for term in ("supervised", "affinity"):
        method, given = segformer(config), batch(3, SIZE)
        optimiser = torch.optim.SGD(method.parameters(), lr=1e-3)
        before = method.losses(given, 0.0)[term]
        before.backward()
        optimiser.step()
        assert float(method.losses(given, 0.0)[term].detach()) < float(before.detach()), term


def test_a_network_without_attention_is_an_obstacle_with_a_reason():
    assert SASFormer.obstacle(TRANSFORMER) is None
    assert SASFormer.obstacle(NetworkConfig(architecture="FPN", encoder="mit_b4", weights="imagenet")) is None
    reason = SASFormer.obstacle(NetworkConfig())
    assert reason == "the network, FPN on tu-tf_efficientnet_lite0, has no self-attention"
    task = Task(classes=Toy.classes, image_network=lambda: image_network(NETWORK, 3, 0))
    with pytest.raises(Unsupported, match="no self-attention"):
        SASFormer(Config(), task).losses(batch(), 0.0)


def test_a_suite_plans_it_as_impossible_or_as_a_run(tmp_path, tiny_miniature):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "miniature-tiny").symlink_to(tiny_miniature.parent)
    workplace = Workplace(results=tmp_path / "results", work=tmp_path)
    for network in (NETWORK, TRANSFORMER):
        reason = SASFormer.obstacle(network)
        column = Column(dataset="cityscapes", labels=("scribbles",), train=TRAIN, network=network)
        runs = plan(replace(SMOKE, columns=(column,)), workplace, Filters(method=("none",)))
        assert {run.cell.skip for run in runs if run.cell.method == "sasformer"} == {reason}
        assert not [run.cell.skip for run in runs if run.cell.method == "partial" and run.cell.skip]
        if reason:
            with pytest.raises(Unsupported, match=reason):
                require(next(run for run in runs if run.cell.method == "sasformer"))
    assert all(discovery.method(name).obstacle(NETWORK) is None for name in ("partial", "full", "ema", "gated_crf"))


@pytest.mark.parametrize("stages", [0, 5])
def test_impossible_settings_are_refused(stages):
    with pytest.raises(UsageError, match=r"sasformer: stages must lie in \[1, 4\]"):
        Config(stages=stages)

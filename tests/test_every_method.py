"""The contract of a method, tested over whatever ``methods/`` holds: a new file is tested by being there."""

import ast
import dataclasses
import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch
from toy import NETWORK, TRAIN, TRANSFORMER, pixelwise_task, spec, toy
from toy import batch as toy_batch
from toy_clouds import Scattered

from wsss.benchmark import IGNORE, discovery
from wsss.benchmark.devices import fabric_of
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.loader import TrainingSet
from wsss.benchmark.networks import image_network
from wsss.benchmark.records import RunFolder
from wsss.benchmark.runner import build
from wsss.benchmark.spec import PointsConfig, from_plain, to_plain
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.trainer import Runtime, train

pytestmark = pytest.mark.parametrize("name", discovery.names("methods"))

SURE = 200.0
"""Sharpness of a network that is sure of itself, so that terms gated by confidence speak."""


def make(name, task):
    cls = discovery.method(name)
    return cls(cls.Config(), task)


def batch(name, seed=0):
    """Random pixels, and points for a method that learns from them."""
    return toy_batch(seed, points=discovery.method(name).geometry is not None)


def total(terms):
    return torch.stack(list(terms.values())).sum()


def disturbed(name, sharpness=SURE):
    """A method whose frozen networks differ from the trained ones, as they do in the midst of training."""
    method = make(name, pixelwise_task(sharpness=sharpness))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            if not parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator) * parameter.std(correction=0))
    return method


def test_says_who_it_is(name):
    cls = discovery.method(name)
    for field in ("title", "paper", "url"):
        assert getattr(cls, field, ""), f"{name} has no {field}"
    assert cls.url.startswith("https://")


def test_config_is_frozen_documented_and_plain(name):
    config: Any = discovery.method(name).Config
    defaults = config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        defaults.anything = 1
    assert from_plain(config, to_plain(defaults)) == defaults
    (cls,) = ast.parse(inspect.getsource(config)).body
    assert isinstance(cls, ast.ClassDef)
    for place, node in enumerate(cls.body):
        if isinstance(node, ast.AnnAssign):
            documented = place + 1 < len(cls.body) and isinstance(cls.body[place + 1], ast.Expr)
            assert documented, f"{name}.Config: {ast.unparse(node)} has no docstring below it"


def test_losses_are_finite_named_scalars(name):
    method = disturbed(name)
    for seed in (0, 1):
        terms = method.losses(batch(name, seed), 1.0)
        assert terms
        for term, value in terms.items():
            assert isinstance(term, str) and value.shape == () and bool(torch.isfinite(value)), term
    assert list(terms) == list(method.losses(batch(name, 2), 1.0))


def test_every_term_moves_a_trainable_weight(name):
    """The bite test: a term without gradient is a row of the table that does not do what its name says."""
    method = disturbed(name)
    trainable = [p for p in method.parameters() if p.requires_grad]
    for term in method.losses(batch(name), 1.0):
        gradients = torch.autograd.grad(method.losses(batch(name), 1.0)[term], trainable, allow_unused=True)
        assert any(g is not None and bool((g != 0).any()) for g in gradients), f"{name}: {term} moves nothing"


def test_gradient_reaches_every_trainable_weight_and_no_other(name):
    method = disturbed(name)
    total(method.losses(batch(name), 1.0)).backward()
    for path, parameter in method.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, path


def test_unlabelled_pixels_cannot_reach_the_supervised_term(name):
    method = disturbed(name)
    given = batch(name)
    unlabelled = (given.labels == IGNORE)[:, None].expand_as(given.strong)
    changed = replace(given, strong=torch.where(unlabelled, 1 - given.strong, given.strong))
    before, after = (method.losses(b, 1.0)["supervised"] for b in (given, changed))
    assert torch.equal(before, after)


def test_invalid_pixels_cannot_reach_any_term(name):
    method = disturbed(name)
    given = batch(name)
    invalid = ~given.valid[:, None].expand_as(given.strong)
    flip = lambda image: torch.where(invalid, 1 - image, image)  # noqa: E731
    changed = replace(given, strong=flip(given.strong), image=flip(given.image))
    before, after = method.losses(given, 1.0), method.losses(changed, 1.0)
    for term in before:
        assert torch.equal(before[term], after[term]), term


def test_a_batch_without_labels_is_finite(name):
    method = disturbed(name)
    given = batch(name)
    for labels, valid in ((IGNORE, True), (IGNORE, False), (0, True)):
        empty = replace(given, labels=torch.full_like(given.labels, labels), valid=torch.full_like(given.valid, valid))
        loss = total(method.losses(empty, 1.0))
        loss.backward()
        assert bool(torch.isfinite(loss))
        assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None)


def test_prediction_has_logits_at_image_size_and_ignores_its_batch_mates(name):
    task = replace(pixelwise_task(), image_network=lambda: image_network(NETWORK, 3, 0))
    method = make(name, task).eval()
    images = torch.rand(3, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for predictor in method.predictors().values():
            together = predictor(images)
            assert together.shape == (3, 3, 40, 56)
            alone = torch.cat([predictor(image[None]) for image in images])
            torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    first = next(iter(method.predictors().values()))
    with torch.no_grad():
        assert torch.equal(first(images), method.predict(images))


def test_after_step_leaves_trainable_weights_alone(name):
    method = disturbed(name)
    before = {path: p.clone() for path, p in method.named_parameters() if p.requires_grad}
    method.after_step(1)
    for path, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert torch.equal(before[path], parameter), path


def test_twenty_steps_reduce_the_loss(name):
    method = make(name, pixelwise_task())
    optimiser = torch.optim.Adam(method.parameter_groups(0.02), lr=0.02)
    given = batch(name)
    given = replace(given, labels=torch.where(given.labels == IGNORE, IGNORE, (given.strong[:, 0] > 0.5).long()))
    values = []
    for step in range(20):
        loss = method.losses(given, 0.0)["supervised"]
        values.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        method.after_step(step + 1)
    assert values[-1] < 0.8 * values[0]


class Killed(Exception):
    """Stands for a kill at that moment: nothing after it runs."""


def train_on_toy(name, folder, stop_after=None):
    """Weights after training on Toy; with ``stop_after`` the run is cut there."""
    cls = discovery.method(name)
    kind = "full" if cls.supervision == "dense" else "scribbles"
    dataset = toy(folder.parent)
    network = NETWORK if cls.obstacle(NETWORK) is None else TRANSFORMER
    points = None if cls.geometry is None else PointsConfig(sampling=Sampling(budget=300))
    run = spec(method=name, labels=kind, config=to_plain(cls.Config()), network=network, points=points)
    method = build(cls, run, dataset)
    clouds = None if points is None else Clouds(dataset, Scattered(), folder.parent / "points")
    supervision = Supervision(dataset, kind, 0, folder.parent / "labels")
    supervision.prepare()

    def on_step(step, steps, losses):
        if step == stop_after:
            raise Killed

    runtime = Runtime(device="cpu", checkpoint_seconds=0.0)
    fabric = fabric_of(runtime, run.train.precision)
    if clouds is not None:
        clouds.prepare(dataset.scenes("train"))
    training = TrainingSet(supervision, run.train, run.seed, None, clouds, Sampling(budget=300))
    train(method, training, run, RunFolder(folder), fabric, runtime, on_step)
    return method.state_dict()


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(name, tmp_path):
    whole = train_on_toy(name, tmp_path / "whole")
    with pytest.raises(Killed):
        train_on_toy(name, tmp_path / "cut", stop_after=TRAIN.steps - 2)
    assert (tmp_path / "cut" / "last.pt").is_file()
    resumed = train_on_toy(name, tmp_path / "cut")
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key
    assert (tmp_path / "cut" / "curve.csv").read_bytes() == (tmp_path / "whole" / "curve.csv").read_bytes()

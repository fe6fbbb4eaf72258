"""The loop: its schedule, its errors, its checkpoints."""

import csv
import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn
from toy import TRAIN, spec, toy

from wsss.benchmark import BenchmarkError
from wsss.benchmark.dataset import DatasetMissing
from wsss.benchmark.devices import fabric_of
from wsss.benchmark.loader import TrainingSet
from wsss.benchmark.records import RunFolder
from wsss.benchmark.runner import build
from wsss.benchmark.spec import TrainConfig
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.trainer import NonFiniteLoss, Runtime, _clip, lr_factor, train
from wsss.methods.partial import Partial


class Diverging(Partial):
    """Its second term becomes NaN at half time."""

    title = "Diverging"

    def losses(self, batch, progress):
        terms = dict(super().losses(batch, progress))
        return {**terms, "wild": terms["supervised"] * (float("nan") if progress >= 0.5 else 1.0)}


def run(tmp_path, method=Partial, checkpoint_seconds=0.0, **changes):
    given = spec(**changes)
    dataset = toy(tmp_path)
    supervision = Supervision(dataset, "scribbles", 0, tmp_path / "labels")
    supervision.prepare()
    made = build(method, given, dataset)
    folder = RunFolder(tmp_path / "run")
    runtime = Runtime(device="cpu", checkpoint_seconds=checkpoint_seconds)
    fabric = fabric_of(runtime, given.train.precision)
    training = TrainingSet(supervision, given.train, given.seed)
    return made, train(made, training, given, folder, fabric, runtime, lambda *news: None)


def test_a_term_that_is_not_finite_is_named_with_its_step_and_the_checkpoint_stays(tmp_path):
    with pytest.raises(NonFiniteLoss, match=r"term wild is not finite at step 3: lower --train\.lr"):
        run(tmp_path, Diverging)
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["state"]["step"] == 3


def test_a_term_that_is_not_finite_leaves_the_curve_that_led_to_it(tmp_path):
    with pytest.raises(NonFiniteLoss):
        run(tmp_path, Diverging, checkpoint_seconds=1000.0)
    with (tmp_path / "run" / "curve.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert not (tmp_path / "run" / "last.pt").exists()


def test_curve_has_a_row_per_interval_and_a_column_per_term(tmp_path):
    _, timing = run(tmp_path)
    with (tmp_path / "run" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, TRAIN.steps + 1))
    assert set(rows[0]) == {"step", "progress", "lr", "supervised", "total"}
    assert float(rows[-1]["progress"]) == 1 and float(rows[-1]["lr"]) < float(rows[1]["lr"])
    assert timing["train"] > 0 and timing["images_per_second"] > 0


def test_a_damaged_checkpoint_is_an_error_that_says_what_to_delete(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(BenchmarkError, match=r"last\.pt is damaged .* delete it and the run starts anew"):
        run(tmp_path)


def test_no_pickle_is_read_from_a_checkpoint(tmp_path):
    (tmp_path / "run").mkdir()
    torch.save({"method": Planted()}, tmp_path / "run" / "last.pt")
    with pytest.raises(BenchmarkError, match="damaged"):
        run(tmp_path)


class Planted:
    """What must never be rebuilt from a file."""


def test_bf16_trains_to_nearly_the_same_weights(tmp_path):
    (exact, _), (mixed, _) = run(tmp_path / "a"), run(tmp_path / "b", train=replace(TRAIN, precision="bf16-mixed"))
    for one, other in zip(exact.parameters(), mixed.parameters(), strict=True):
        assert bool(torch.isfinite(other).all())
        assert (one - other).abs().mean().item() < 0.01


@pytest.mark.parametrize("schedule", ["onecycle", "poly"])
def test_learning_rate_rises_then_falls_to_almost_nothing(schedule):
    config = TrainConfig(steps=200, crop=(8, 8), schedule=schedule, warmup=0.1)
    factors = [lr_factor(config, step) for step in range(200)]
    peak = factors.index(max(factors))
    assert peak == 20 and factors[peak] == pytest.approx(1)
    assert factors[:21] == sorted(factors[:21]) and factors[20:] == sorted(factors[20:], reverse=True)
    assert 0 < factors[-1] < 0.02


def test_groups_of_parameters_are_clipped_apart():
    """A branch with large gradients must not shorten the steps of one that shares no weight with it."""
    small, large = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    optimiser = torch.optim.SGD([{"params": [small]}, {"params": [large]}], lr=1.0)
    small.grad, large.grad = torch.tensor([0.3, 0.4]), torch.tensor([300.0, 400.0])
    _clip(fabric_of(Runtime(device="cpu"), "32-true"), optimiser, 1.0)
    assert torch.equal(small.grad, torch.tensor([0.3, 0.4]))
    torch.testing.assert_close(large.grad, torch.tensor([0.6, 0.8]))


def test_clipping_bounds_the_step(tmp_path):
    (free, _), (clipped, _) = (
        run(tmp_path / "a", train=replace(TRAIN, clip=0.0)),
        run(tmp_path / "b", train=replace(TRAIN, clip=1e-9)),
    )
    start = build(Partial, spec(), toy(tmp_path))

    def moved(method):
        pairs = zip(start.parameters(), method.parameters(), strict=True)
        return sum((a - b).abs().sum().item() for a, b in pairs)

    assert moved(clipped) < moved(free)


def test_errors_leave_their_process_whole(tmp_path):
    """An exception that cannot be built from its text alone would end the pool instead of one run."""
    for error in (NonFiniteLoss(["wild"], 3), DatasetMissing(type(toy(tmp_path)), tmp_path)):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)

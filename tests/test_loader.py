"""Batches are a function of (seed, step, position), whatever the number of workers and wherever a run resumes."""

import multiprocessing
import os
import signal
from dataclasses import fields, replace

import pytest
import torch
from toy import TRAIN, Brightness, toy

from wsss.benchmark import IGNORE
from wsss.benchmark.batch import Points
from wsss.benchmark.loader import Steps, TrainingSet, batches
from wsss.benchmark.supervision import Supervision


@pytest.fixture
def supervision(tmp_path):
    made = Supervision(toy(tmp_path), "scribbles", 0, tmp_path / "labels")
    made.prepare()
    return made


def collected(training, start=0, workers=0):
    return list(batches(training, TRAIN, 0, start, workers, pin=False))


def same(a, b):
    return all(
        torch.equal(getattr(a, field.name), getattr(b, field.name))
        for field in fields(a)
        if getattr(a, field.name) is not None
    )


def test_workers_and_resuming_change_nothing(supervision):
    training = TrainingSet(supervision, TRAIN, 0)
    whole = collected(training)
    assert len(whole) == TRAIN.steps
    for one, other in zip(whole, collected(training, workers=2), strict=True):
        assert same(one, other)
    for one, other in zip(whole[4:], collected(training, start=4), strict=True):
        assert same(one, other)


def test_loaders_outlive_the_announcement_of_a_jobs_end(supervision):
    """SLURM sends it to every process; the training one still needs batches to reach its next checkpoint."""
    made = iter(batches(TrainingSet(supervision, TRAIN, 0), TRAIN, 0, 0, 1, pin=False))
    first = next(made)
    for child in multiprocessing.active_children():
        assert child.pid is not None
        os.kill(child.pid, signal.SIGUSR2)
    assert same(first, collected(TrainingSet(supervision, TRAIN, 0))[0])
    assert len(list(made)) == TRAIN.steps - 1


def test_a_preparation_is_applied_by_whoever_makes_the_batch(supervision):
    plain = collected(TrainingSet(supervision, TRAIN, 0))
    training = TrainingSet(supervision, TRAIN, 0, Brightness(2.0))
    for workers in (0, 2):
        for one, other in zip(collected(training, workers=workers), plain, strict=True):
            assert other.prepared is None
            assert one.prepared is not None and torch.equal(one.prepared, 2 * one.image.mean(1))
            assert same(replace(one, prepared=None), other)
            moved = one.to(torch.device("meta")).prepared
            assert moved is not None and moved.device.type == "meta"


def test_the_points_go_where_the_batch_goes(supervision):
    one = collected(TrainingSet(supervision, TRAIN, 0))[0]
    whose = torch.zeros(5, dtype=torch.int64)
    points = Points(
        xyz=torch.rand(5, 3), strong=torch.rand(5, 3), rgb=torch.rand(5, 3), confidence=torch.ones(5),
        labels=whose, image=whose, pixel=whose[:, None].expand(5, 2),
    )  # fmt: skip
    moved = replace(one, points=points).to(torch.device("meta"))
    assert moved.points is not None and moved.prepared is None
    assert all(getattr(moved.points, field.name).device.type == "meta" for field in fields(points))
    assert moved.image.device.type == "meta" and one.image.device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_was_prepared_is_pinned_with_the_batch(supervision):
    for one in batches(TrainingSet(supervision, TRAIN, 0, Brightness(2.0)), TRAIN, 0, 0, 0, pin=True):
        assert one.prepared.is_pinned() and one.image.is_pinned()


def test_every_pass_sees_every_frame_once():
    keys = [key for step in Steps(6, TRAIN, 0, 0) for key in step]
    assert sorted(index for _, _, index in keys[:6]) == list(range(6))
    assert sorted(index for _, _, index in keys[6:12]) == list(range(6))
    assert [index for _, _, index in keys[:6]] != [index for _, _, index in keys[6:12]]
    assert [(step, position) for step, position, _ in keys] == [(s, p) for s in range(6) for p in range(2)]


def test_batch_holds_images_in_range_and_labels_within_valid_pixels(supervision):
    for one in collected(TrainingSet(supervision, TRAIN, 0)):
        for view in (one.image, one.strong):
            assert view.shape == (2, 3, 32, 32) and 0 <= float(view.min()) <= float(view.max()) <= 1
        assert bool(one.valid[one.labels != IGNORE].all())

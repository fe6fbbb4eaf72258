"""Draws keep the paper's rules, are uniform where they should be, and their pixels stay exact to the last crop."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import TRAIN
from toy_clouds import Scattered, driven

from wsss.benchmark import IGNORE
from wsss.benchmark.augment import Augment
from wsss.benchmark.batch import Points
from wsss.benchmark.errors import BenchmarkError, UsageError
from wsss.benchmark.geometry import sampling as module
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.index import Extent, Index
from wsss.benchmark.geometry.network_frame import SPREAD, to_network, upright, within
from wsss.benchmark.geometry.samples import sample
from wsss.benchmark.geometry.sampling import Sampling, draw
from wsss.benchmark.loader import TrainingSet, batches
from wsss.benchmark.randomness import stream
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import PointCloud


def cloud(counts, context=0, seed=0, apart=3.0):
    """Views of normally distributed points, ``apart`` metres from each other along x, and context around them."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(-1, len(counts)), [context, *counts])
    middle = np.stack([frame * apart, 0 * frame, 0 * frame], 1)
    xyz = np.where((frame < 0)[:, None], rng.uniform(-30, 30, (len(frame), 3)), rng.normal(middle, 1.0))
    pixel = np.where((frame < 0)[:, None], -1, rng.integers(0, 48, (len(frame), 2)))
    return PointCloud(
        xyz=xyz.astype(np.float32),
        rgb=np.zeros((len(frame), 3), np.uint8),
        confidence=np.ones(len(frame), np.float32),
        frame=frame.astype(np.int32),
        pixel=pixel.astype(np.int32),
        origin=np.zeros(3),
        up=np.array([0.0, 0.0, 1.0]),
        metric=True,
    )


def drawn(scene, frame, seed=0, **changes):
    index = Index.of(scene, int(scene.frame.max()) + 1)
    return draw(scene, index, frame, Sampling(**changes), stream(seed, "test"))


def ball(scene, frame, reach=1.5):
    """Rows in the ball around a view that are not its own."""
    view = scene.xyz[scene.frame == frame].astype(float)
    radius = np.linalg.norm(view - view.mean(0), axis=1).max()
    apart = np.linalg.norm(scene.xyz - view.mean(0), axis=1)
    return np.flatnonzero((apart <= reach * radius) & (scene.frame != frame))


@pytest.mark.parametrize("rejecting", [True, False])
def test_the_budget_is_shared_between_the_view_and_its_ball(rejecting):
    scene = cloud([20_000] * 5, context=30_000) if rejecting else cloud([3000] * 5, context=3000)
    budget = 5000 if rejecting else 4000
    rows = drawn(scene, 2, budget=budget)
    near = ball(scene, 2)
    assert len(near) > 2 * budget if rejecting else len(near) > 0.4 * budget
    assert (np.diff(rows) > 0).all() and len(rows) == budget
    own = scene.frame[rows] == 2
    assert own.sum() == 0.6 * budget
    assert np.isin(rows[~own], near).all()


def test_what_the_view_lacks_comes_from_the_ball():
    scene = cloud([4000, 100, 4000])
    rows = drawn(scene, 1, budget=1000, reach=2.0)
    assert (scene.frame[rows] == 1).sum() == 100
    assert np.isin(rows, np.concatenate([ball(scene, 1, 2.0), np.flatnonzero(scene.frame == 1)])).all()


def test_what_the_ball_lacks_comes_from_everywhere_even_from_the_view():
    scene = cloud([2000, 2000, 2000], apart=1000.0)
    rows = drawn(scene, 0, budget=1500)
    counts = np.bincount(scene.frame[rows], minlength=3)
    assert counts.sum() == 1500 and (np.diff(rows) > 0).all()
    # 900 from the view; of the 600 that the empty ball lacks the 1100 other points of the view get their part of 5100.
    assert abs(counts[0] - 900 - 600 * 1100 / 5100) < 40 and abs(counts[1] - 600 * 2000 / 5100) < 50


def test_a_small_scene_is_taken_whole_and_an_unseen_view_draws_from_all():
    assert (drawn(cloud([50, 60]), 0, budget=110) == np.arange(110)).all()
    scene = cloud([3000, 0, 3000])
    counts = np.bincount(scene.frame[drawn(scene, 1, budget=1000)], minlength=3)
    assert counts.sum() == 1000 and abs(counts[0] - 500) < 70


def test_a_view_alone_has_the_share_of_its_own_points_and_no_others():
    scene = cloud([400, 400, 0, 5])
    for budget, number in ((200, 120), (600, 360), (5000, 400)):
        rows = drawn(scene, 1, kind="alone", budget=budget)
        assert len(rows) == number and (scene.frame[rows] == 1).all() and (np.diff(rows) > 0).all()
    assert len(drawn(scene, 2, kind="alone", budget=200)) == 0


def test_uniform_draws_from_all_alike():
    scene = cloud([500] * 10)
    counts = np.bincount(scene.frame[drawn(scene, 0, kind="uniform", budget=2000)], minlength=10)
    assert counts.sum() == 2000 and (abs(counts - 200) < 50).all()


@pytest.mark.parametrize("rejecting", [True, False])
def test_every_point_of_the_ball_is_as_likely_as_any_other(rejecting):
    scene = cloud([1500, 1500, 1500], context=1500, apart=1.0)
    index, near, view = Index.of(scene, 3), ball(scene, 1), slice(3000, 4500)
    extent = index.extent(1)
    assert extent is not None
    count = 300 if rejecting else 2000
    times = np.zeros(len(scene.xyz), int)
    for seed in range(400):
        rows = module._around(scene, index, extent, Sampling(), view, count, stream(seed))
        assert len(rows) == min(count, len(near)) and (np.diff(rows) > 0).all()
        times[rows] += 1
    assert np.flatnonzero(times).tolist() == near.tolist()
    expected = 400 * min(count, len(near)) / len(near)
    spread = expected * (1 - min(count, len(near)) / len(near))
    chi = ((times[near] - expected) ** 2).sum() / spread
    assert abs(chi - len(near)) < 5 * np.sqrt(2 * len(near))  # five standard deviations of chi squared
    halves = times[near[: len(near) // 2]].mean() / times[near].mean()
    assert abs(halves - 1) < 0.02


def test_draws_are_a_function_of_their_stream():
    scene = cloud([3000] * 3, context=1000)
    assert (drawn(scene, 1, 5, budget=900) == drawn(scene, 1, 5, budget=900)).all()
    assert (drawn(scene, 1, 5, budget=900) != drawn(scene, 1, 6, budget=900)).any()


def test_settings_that_make_no_sense_are_refused():
    wrongs: tuple[dict[str, Any], ...] = ({"budget": 0}, {"share": 1.2}, {"reach": 0.5}, {"box": (1.0, 0.0, 1.0)})
    for wrong in wrongs:
        with pytest.raises(UsageError, match="Sampling"):
            Sampling(**wrong)


@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_up_becomes_z(direction):
    up = np.array(direction) / np.linalg.norm(direction)
    turn = upright(up)
    assert np.allclose(turn @ up, (0, 0, 1), atol=1e-9)
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-9) and np.isclose(np.linalg.det(turn), 1)


def test_the_network_sees_metres_above_the_floor_around_the_views_middle():
    rng = np.random.default_rng(0)
    up = np.array([0.0, -1.0, 0.0])
    street = rng.uniform((-3, -4, 5), (7, 0, 25), (4000, 3))  # y down: the floor is at y = 0
    extent = Extent.of(street, up)
    local = to_network(street.astype(np.float32), extent, up, True)
    assert np.allclose(local[:, :2].mean(0), 0, atol=1e-3) and np.allclose(np.quantile(local[:, 2], 0.05), 0, atol=1e-3)
    assert np.allclose(np.ptp(local[:, 2]), np.ptp(street[:, 1]), atol=1e-4)
    pairs = np.linalg.norm(np.diff(local, axis=0), axis=1), np.linalg.norm(np.diff(street, axis=0), axis=1)
    assert np.allclose(*pairs, atol=1e-4)
    scaled = to_network((7 * street).astype(np.float32), Extent.of(7 * street, up), up, False)
    assert np.isclose(np.sqrt(np.square(scaled - scaled.mean(0)).sum(1).mean()), SPREAD, rtol=1e-4)
    kept = within(local, (2.0, 3.0, 1.0))
    assert 0 < kept.sum() < len(local) and (np.abs(local[kept]) <= (2, 3, 1)).all()


@pytest.fixture
def training(tmp_path):
    dataset = driven(tmp_path)
    supervision = Supervision(dataset, "scribbles", 0, tmp_path / "labels")
    supervision.prepare()
    clouds = Clouds(dataset, Scattered(), tmp_path / "clouds")
    clouds.prepare(dataset.scenes("train"))
    return TrainingSet(supervision, TRAIN, 0, clouds=clouds, sampling=Sampling(budget=1500))


def test_a_sample_holds_the_views_own_pixels_labels_and_colours(training):
    scene, number = training.views[1]
    found = sample(training.clouds, training.supervision, scene, number, training.sampling, stream(0))
    seen = (found.pixel >= 0).all(1)
    row, column = found.pixel[seen].T
    frame = scene.frames[number]
    assert len(found.xyz) == 1500 and int(seen.sum()) >= 900
    assert (found.labels[seen].numpy() == training.supervision.read(frame)[row, column]).all()
    assert np.allclose(found.rgb[seen].numpy(), training.dataset.image(frame)[row, column] / 255)
    assert (found.labels[~seen] != IGNORE).any(), "labels of the scene's other views"
    raw = training.clouds.open(scene).confidence
    assert float(found.confidence.max()) > 5 and np.isin(found.confidence.numpy(), raw).all()
    small = replace(training.sampling, box=(1.0, 1.0, 1.0))
    cropped = sample(training.clouds, training.supervision, scene, number, small, stream(0))
    assert 0 < len(cropped.xyz) < 1500 and float(cropped.xyz.abs().max()) <= 1


def test_batches_carry_points_with_any_number_of_workers(training):
    one, other = (list(batches(training, TRAIN, 0, 0, workers, pin=False)) for workers in (0, 2))
    for a, b in zip(one, other, strict=True):
        assert a.points is not None and b.points is not None
        for name in ("xyz", "rgb", "confidence", "labels", "image", "pixel"):
            assert torch.equal(getattr(a.points, name), getattr(b.points, name))
        assert torch.bincount(a.points.image).tolist() == [1500, 1500]
        row, column = a.points.pixel.T
        assert bool(((row < 0) == (column < 0)).all()) and int(row.max()) < 32 and int(column.max()) < 32
    plain = TrainingSet(training.supervision, TRAIN, 0)
    for a, b in zip(one, batches(plain, TRAIN, 0, 0, 0, pin=False), strict=True):
        assert b.points is None and torch.equal(a.image, b.image) and torch.equal(a.labels, b.labels)


def test_a_scene_without_points_stops_the_loader(training):
    failed = Clouds(training.dataset, Scattered(broken="train1"), training.clouds.folder.parent)
    failed.prepare(training.dataset.scenes("train"))
    training.clouds = failed
    with pytest.raises(BenchmarkError, match=r"train1 has no points: this scene is too dark"):
        training[0, 0, len(training) - 1]


def table(pixel):
    number = len(pixel)
    return Points(
        xyz=torch.zeros(number, 3),
        strong=torch.zeros(number, 3),
        rgb=torch.zeros(number, 3),
        confidence=torch.ones(number),
        labels=torch.full((number,), IGNORE),
        image=torch.zeros(number, dtype=torch.long),
        pixel=pixel,
    )


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(5, 60), st.integers(5, 60)),
    crop=st.tuples(st.integers(4, 48), st.integers(4, 48)),
    scale=st.floats(0.5, 2.5),
    step=st.integers(0, 1000),
    points=st.booleans(),
)
def test_a_marked_pixel_is_where_its_point_says(size, crop, scale, step, points):
    """Every pixel has a point; masks that spell rows and columns go through the same augmentation and tell it."""
    augment = Augment(replace(TRAIN, crop=crop, scale=(scale, scale), jitter=0.0, cutout=0.0), 0)
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    pixel = torch.stack([rows, columns], -1).reshape(-1, 2)
    pixel = torch.cat([pixel, torch.full((3, 2), -1)])
    image, void = torch.zeros(3, *size, dtype=torch.uint8), torch.zeros(size, dtype=torch.bool)

    def views(labels, points=False):
        labels = labels.to(torch.uint8)
        return augment(image, labels, void, points=points, step=step, position=1, cloud=table(pixel))

    source = torch.stack([views(rows).labels, views(columns).labels], -1)
    moved = views(torch.where((rows + columns) % 7 == 0, 1, IGNORE), points=points).points
    assert moved is not None
    landed = moved.pixel
    inside = (landed >= 0).all(1)
    assert bool((landed[~inside] == -1).all()) and not bool(inside[-3:].any())
    stretch = [max(1, round(side * scale)) / side for side in size]
    slack = torch.tensor([0 if factor >= 1 else 1 for factor in stretch])
    there = source[landed[inside][:, 0], landed[inside][:, 1]]
    assert bool(((there - pixel[inside]).abs() <= slack).all())
    shown = source[(source != IGNORE).all(-1)]
    within_shown = ((pixel > shown.min(0).values) & (pixel < shown.max(0).values)).all(1)
    assert bool(inside[within_shown].all()), "what lies in the crop has its point there"

"""The geometry checks pass on every miniature and fail when a transform is wrong; sweeps seen from a camera."""

from dataclasses import replace

import numpy as np
import pytest

from wsss.benchmark import discovery
from wsss.benchmark.geometry.cameras import project
from wsss.benchmark.geometry.check import agrees, check
from wsss.benchmark.geometry.sweeps import Seen, accumulate, seen
from wsss.benchmark.geometry.true_depth import read_truth
from wsss.benchmark.types import Camera, Sweep
from wsss.datasets import miniature

MATRIX = np.array([[50.0, 0, 31.5], [0, 50, 23.5], [0, 0, 1]])
SIZE = (48, 64)
CAMERA = Camera(intrinsics=MATRIX, world_from_camera=np.eye(4))


def wall(depth: float, half: float, spacing: float) -> np.ndarray:
    """Points of a square wall across the view, its half side and their spacing in metres."""
    x, y = np.meshgrid(np.arange(-half, half, spacing), np.arange(-half, half, spacing))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, depth)], -1)


def test_what_a_nearer_wall_hides_is_not_seen():
    near, far = wall(5, 1, 0.2), wall(20, 8, 0.4)
    sweep = Sweep(xyz=np.concatenate([near, far]), origin=np.zeros(3), in_world=True)
    found = seen(sweep, CAMERA, SIZE)
    is_far = found.point >= len(near)
    assert np.count_nonzero(~is_far) == len(near), "nothing hides the near wall"
    behind = np.abs(found.pixel[is_far] - (23.5, 31.5)).max(1) < 8  # well within the near wall's outline
    assert is_far.any() and not behind.any()
    assert np.allclose(found.depth, np.where(is_far, 20, 5))


def test_points_that_carry_their_pixel_keep_it():
    pixel = np.array([[3, 4], [10, 60]], np.int32)
    xyz = np.array([[0.0, 0, 5], [0, 0, 7]])
    found = seen(Sweep(xyz=xyz, origin=np.zeros(3), in_world=False, pixel=pixel), CAMERA, SIZE)
    assert np.array_equal(found.pixel, pixel) and np.array_equal(found.depth, (5, 7))


def test_agreement_is_within_one_pixel_and_the_tolerance():
    depth = np.full(SIZE, 10.0)
    depth[:, 30:] = np.inf
    points = Seen(
        point=np.arange(5, dtype=np.int32),
        pixel=np.array([[0, 0], [5, 29], [5, 30], [5, 31], [47, 5]], np.int32),
        depth=np.array([10.1, 9.9, 10.0, 10.0, 10.5]),
    )
    assert agrees(points, depth, 0.02).tolist() == [True, True, True, False, False]


@pytest.fixture(scope="module", params=miniature.DATASETS)
def dataset(request, tiny):
    return discovery.dataset(request.param)(tiny(request.param))


def findings(dataset):
    root = dataset.root
    found = check(dataset, "train", scenes=2, truth=lambda frame: read_truth(root, frame.id))
    return {one.check: one.good for one in found}


def test_every_miniature_is_right(dataset):
    found = findings(dataset)
    assert False not in found.values(), found
    assert any(name.startswith("true depth") and good for name, good in found.items())
    if "poses" in dataset.sources:
        assert found["poses are rigid"] and found["poses chain back"] and found["consecutive sweeps coincide"]


def test_a_turned_camera_fails(dataset, monkeypatch):
    cls, right = type(dataset), type(dataset).cameras
    angle = np.radians(4.0)
    turn = np.eye(4)
    turn[0, 0], turn[0, 2], turn[2, 0], turn[2, 2] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    if "poses" not in dataset.sources:
        pytest.skip("points that come with their pixels need no pose")

    def turned(self, scene):
        return tuple(
            None
            if one is None
            else one
            if one.world_from_camera is None
            else replace(one, world_from_camera=one.world_from_camera @ turn)
            for one in right(self, scene)
        )

    if "lidar" in dataset.sources:
        monkeypatch.setattr(cls, "cameras", turned)
        assert not all(findings(dataset).values())


def test_a_bent_pose_and_a_flying_camera_fail(dataset, monkeypatch):
    if "poses" not in dataset.sources:
        pytest.skip("no poses")
    cls, right = type(dataset), type(dataset).cameras
    bent = np.diag([1.001, 1, 1, 1])

    def changed(change):
        def cameras(self, scene):
            return tuple(
                one if one is None or one.world_from_camera is None else change(i, one)
                for i, one in enumerate(right(self, scene))
            )

        return cameras

    monkeypatch.setattr(
        cls, "cameras", changed(lambda i, one: replace(one, world_from_camera=one.world_from_camera @ bent))
    )
    assert findings(dataset)["poses are rigid"] is False
    leap = lambda i: np.array([[1, 0, 0, 1e3 * i], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])  # noqa: E731
    monkeypatch.setattr(
        cls, "cameras", changed(lambda i, one: replace(one, world_from_camera=leap(i) @ one.world_from_camera))
    )
    timed = any(frame.time for scene in dataset.scenes("train") for frame in scene.frames)
    assert findings(dataset)["speed"] is (False if timed else None)


def test_sweeps_of_neighbours_join_in_the_world(dataset):
    scene = dataset.scenes("train")[0]
    indices = range(len(scene.frames))
    joined = accumulate(dataset, scene, indices)
    if "poses" not in dataset.sources:
        assert joined is None
        return
    assert joined is not None
    sweeps = [sweep for index in indices if (sweep := dataset.sweep(scene, index)) is not None and sweep.in_world]
    places = {tuple(sweep.origin) for sweep in sweeps}
    if "lidar" in dataset.sources:
        assert len(joined.xyz) == sum(
            len(next(sweep.xyz for sweep in sweeps if tuple(sweep.origin) == place)) for place in places
        )
    camera = next(
        camera for camera in dataset.cameras(scene) if camera is not None and camera.world_from_camera is not None
    )
    assert project(joined.xyz, camera, SIZE).depth.max() > 1

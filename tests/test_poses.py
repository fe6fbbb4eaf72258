"""Cameras are placed as they stood: on rendered scenes whose true poses are hidden, and on input that tells nothing."""

import importlib.util
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import kitti_raw
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from wsss.benchmark import discovery
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry import placement, poses
from wsss.benchmark.geometry._poses_bundle import Bundle, adjust, errors
from wsss.benchmark.geometry._poses_ground import LEAST_POINTS, height
from wsss.benchmark.geometry._poses_growth import Piece
from wsss.benchmark.geometry._poses_pycolmap import installed
from wsss.benchmark.geometry.providers import plane_sweep
from wsss.benchmark.geometry.rotations import smallest_turn
from wsss.benchmark.types import Camera, Frame, Scene, Sweep

SIZE = (96, 160)
MATRIX = np.array([[120.0, 0, 79.5], [0, 120, 47.5], [0, 0, 1]])
ESTIMATORS = (
    "opencv",
    pytest.param("pycolmap", marks=pytest.mark.skipif(not installed(), reason="the extra sfm is not installed")),
)


def relief(seed, shift, ahead=0.0):
    """Picture and depth of textured planks of several depths, seen from ``shift`` metres to the right."""
    rng = np.random.default_rng(seed)
    result, depth = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, np.inf)
    for far in (16.0, 12.0, 9.0, 7.0, 5.0):
        plank = cv2.GaussianBlur(rng.integers(0, 256, (240, 400, 3), np.uint8), (0, 0), 1.6)
        plank = cv2.convertScaleAbs(plank, alpha=3.0, beta=-256)
        middle = rng.integers(130, 270)
        mask = np.zeros((240, 400), np.uint8)
        mask[:, slice(None) if far == 16.0 else slice(middle - 30, middle + 30)] = 255
        near = far / (far - ahead)
        warp = np.array(
            [[near, 0, 79.5 - 200 * near - MATRIX[0, 0] / (far - ahead) * shift], [0, near, 47.5 - 120 * near]]
        )
        seen = cv2.warpAffine(mask, warp, SIZE[::-1]) > 127
        result[seen] = cv2.warpAffine(plank, warp, SIZE[::-1])[seen]
        depth[seen] = far - ahead
    return result, depth


class Film(Dataset):
    """Pictures with or without calibration and a depth sensor."""

    def __init__(self, views, *, matrix: np.ndarray | None = MATRIX, sensor=False):
        super().__init__(Path(tempfile.mkdtemp(dir=placement.FOLDER)))
        self.views, self.matrix, self.sensor = views, matrix, sensor
        for i, (picture, _) in enumerate(views):
            cv2.imwrite(str(self.root / f"{i}.png"), picture)
        frames = tuple(Frame(id=f"f{i}", image=self.root / f"{i}.png", labelled=i == 0) for i in range(len(views)))
        self.scene = Scene(id="film", frames=frames)

    def scenes(self, split):
        return [self.scene]

    def dense(self, frame):
        return None

    def cameras(self, scene):
        return (None if self.matrix is None else Camera(intrinsics=self.matrix),) * len(scene.frames)

    def image(self, frame):
        return self.views[int(frame.image.stem)][0]

    def sweep(self, scene, index):
        if not self.sensor:
            raise Unsupported("no sensor")
        depth = self.views[index][1]
        pixel = np.argwhere(np.isfinite(depth)).astype(np.int32)
        row, column = pixel.T
        local = np.stack([column, row, np.ones(len(row))], -1) @ np.linalg.inv(MATRIX).T
        return Sweep(xyz=local * depth[row, column][:, None], origin=np.zeros(3), in_world=False, pixel=pixel)


class Poseless(Dataset):
    """A dataset that keeps its poses for itself."""

    title = "Poseless"

    def __init__(self, dataset):
        super().__init__(dataset.root)
        self.dataset = dataset

    def scenes(self, split):
        return self.dataset.scenes(split)

    def dense(self, frame):
        return self.dataset.dense(frame)

    def image(self, frame):
        return self.dataset.image(frame)

    def cameras(self, scene):
        return tuple(replace(one, world_from_camera=None, shutter=None) for one in self.dataset.cameras(scene))


def place(film, frames=None):
    return poses.placed(film, film.scene, frames)


def pose(camera: Camera | None) -> np.ndarray:
    assert camera is not None and camera.world_from_camera is not None
    return camera.world_from_camera


def known(camera: Camera | None) -> bool:
    return camera is not None and camera.world_from_camera is not None


def world(cameras):
    return [pose(camera) for camera in cameras]


def centres(cameras):
    return np.array([pose[:3, 3] for pose in world(cameras)])


def beside(count):
    """The true poses of ``relief`` in steps of a quarter of a metre."""
    result = np.tile(np.eye(4), (count, 1, 1))
    result[:, 0, 3] = 0.25 * np.arange(count)
    return result


def deviation(estimated, true):
    """Root mean square distance over the length of the path, and the largest rotation in degrees, once aligned."""
    total = sum(b[:3, :3] @ a[:3, :3].T for a, b in zip(estimated, true, strict=True))
    u, _, v = np.linalg.svd(total)
    turn = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    a, b = (np.array([pose[:3, 3] for pose in every]) for every in (estimated, true))
    a, b = (a - a.mean(0)) @ turn.T, b - b.mean(0)
    scale = (a * b).sum() / (a * a).sum()
    path = np.linalg.norm(np.diff(b, axis=0), axis=1).sum()
    left = [turn @ p[:3, :3] @ q[:3, :3].T for p, q in zip(estimated, true, strict=True)]
    angles = [np.degrees(Rotation.from_matrix(one).magnitude()) for one in left]
    return float(np.sqrt(((scale * a - b) ** 2).sum(1).mean()) / path), float(max(angles))


@pytest.fixture(scope="module")
def sideways():
    return [relief(1, 0.25 * step) for step in range(5)]


def drive(count=5):
    """Pictures of ``relief``'s planks on the way towards them, drifting to the right, and the true poses."""
    true = np.tile(np.eye(4), (count, 1, 1))
    true[:, 0, 3], true[:, 2, 3] = 0.12 * np.arange(count), 0.3 * np.arange(count)
    return [relief(3, *pose[[0, 2], 3]) for pose in true], true


@pytest.mark.parametrize("by", ESTIMATORS)
def test_a_drive_is_recovered_from_its_pictures(by, monkeypatch, tmp_path):
    views, true = drive()
    film = Film(views)
    found = poses.placed(film, film.scene, by=by)
    assert not found.failed and set(found.piece) == {0}
    path, angle = deviation(world(found.cameras), true)
    assert path < 0.02 and angle < 0.3, (path, angle)
    assert not found.metric and found.method == by and found.error is not None and found.error < 1
    kept = poses.placed(film, film.scene, by=by)
    monkeypatch.setattr(placement, "FOLDER", tmp_path)
    again = poses.placed(film, film.scene, by=by)
    for other, why in ((kept, "what was kept is what was found"), (again, "two runs give the same")):
        assert np.array_equal(centres(found.cameras), centres(other.cameras)), why


@pytest.mark.parametrize("by", ESTIMATORS)
def test_small_pictures_are_placed_rightly_or_not_at_all(tiny, by):
    wrong, right = [], 0
    for name in ("cityscapes", "kitti360"):
        dataset = discovery.dataset(name)(tiny(name))
        for scene in dataset.scenes("train"):
            found = poses.placed(Poseless(dataset), scene, by=by)
            own = dataset.cameras(scene)
            both = [i for i, one in enumerate(own) if known(one) and i not in found.failed]
            if len(both) > 1:
                path, angle = deviation(world(found.cameras[i] for i in both), world(own[i] for i in both))
                wrong += [(scene.id, path, angle)] if path > 0.1 or angle > 3 else []
                right += 1
            assert len(found.failed) + sum(known(one) for one in found.cameras) == len(own)
    assert not wrong, (wrong, right)


def test_who_estimated_is_recorded_and_a_missing_package_is_no_fallback(sideways, monkeypatch):
    film = Film(sideways)
    assert poses.estimator() == ("pycolmap" if installed() else "opencv")
    assert place(film).method == poses.estimator() and poses.placed(film, film.scene, by="opencv").method == "opencv"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert place(film).method == "opencv"
    with pytest.raises(Unsupported, match=r"wsss-benchmark\[sfm\]"):
        poses.placed(film, film.scene, by="pycolmap")


def test_a_stated_height_gives_the_scale():
    rng = np.random.default_rng(0)
    angle = np.radians(3)  # the camera looks down a little
    ground = np.stack([rng.uniform(-2, 2, 300), np.full(300, 1.65), rng.uniform(3, 15, 300)], -1)
    clutter = np.stack([rng.uniform(-3, 3, 200), rng.uniform(-1, 1.5, 200), rng.uniform(3, 15, 200)], -1)
    turn = Rotation.from_rotvec([angle, 0, 0]).as_matrix()
    local = np.concatenate([ground + rng.normal(0, 0.01, ground.shape), clutter]) @ turn.T / 2.5
    count = len(local)

    def piece(local):
        return Piece(
            pictures=np.array([0, 1]),
            camera_from_world=np.tile(np.eye(4), (2, 1, 1)),
            focal=100.0,
            picture=np.zeros(len(local), np.int64),
            pixel=np.zeros((len(local), 2)),
            local=local,
            parallax=np.ones(len(local)),
            replaced=False,
            error=0.0,
        )

    found = height(piece(local), 0)
    assert found is not None and abs(found * 2.5 / 1.65 - 1) < 0.02
    assert height(piece(local[300:]), 0) is None, "clutter is no ground"
    assert height(piece(local[: LEAST_POINTS - 1]), 0) is None and count == 500


def test_the_smallest_turn_takes_one_direction_to_another():
    rng = np.random.default_rng(0)
    for a, b in rng.normal(size=(50, 2, 3)):
        a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
        for target in (b, a, -a):
            turn = smallest_turn(a, target)
            assert np.allclose(turn @ a, target) and np.allclose(turn @ turn.T, np.eye(3))
            assert np.isclose(np.linalg.det(turn), 1)
        if a @ b > 0:
            assert np.isclose((np.trace(smallest_turn(a, b)) - 1) / 2, a @ b), "by no more than the angle between them"


def test_the_datasets_own_poses_stay_as_they_are(tiny):
    dataset = discovery.dataset("kitti360")(tiny("kitti360"))
    scene = dataset.scenes("train")[0]
    found = poses.placed(dataset, scene)
    assert found.method == "dataset" and found.metric and np.array_equal(found.up, (0, 0, 1))
    for i, (own, one) in enumerate(zip(dataset.cameras(scene), found.cameras, strict=True)):
        assert (i in found.failed) == (not known(own))
        assert i in found.failed or np.array_equal(pose(own), pose(one))
    some = poses.placed(dataset, scene, [1, 2])
    assert set(some.failed) >= set(range(len(scene.frames))) - {1, 2}


def test_a_depth_sensor_gives_the_scale(sideways):
    found = place(Film(sideways, sensor=True))
    assert found.metric and not found.failed
    assert np.allclose(np.linalg.norm(np.diff(centres(found.cameras), axis=0), axis=1), 0.25, rtol=0.08)
    path, angle = deviation(world(found.cameras), beside(5))
    assert path < 0.01 and angle < 0.3, (path, angle)


def test_without_a_sensor_the_scale_is_said_to_be_unknown(sideways):
    found = place(Film(sideways))
    assert not found.metric and not found.failed
    assert deviation(world(found.cameras), beside(5))[0] < 0.01


def test_depths_that_do_not_fit_the_poses_leave_every_frame_alone(sideways):
    noise = np.random.default_rng(0)
    views = [(picture, depth * np.exp(noise.normal(0, 0.5, depth.shape))) for picture, depth in sideways]
    assert place(Film(views, sensor=True)).piece == (0, 1, 2, 3, 4)


def test_placing_twice_gives_the_same(sideways):
    first, again = place(Film(sideways)), place(Film(sideways))
    assert np.array_equal(centres(first.cameras), centres(again.cameras))


def test_a_focal_length_is_found_where_none_is_known():
    views = []
    for step, degrees in enumerate((0, 4, 8, 4, 0, -4)):  # without a turn it cannot be told
        picture, depth = relief(1, 0.25 * step)
        turn = Rotation.from_rotvec([0, np.radians(degrees), 0]).as_matrix()
        views.append((cv2.warpPerspective(picture, MATRIX @ turn @ np.linalg.inv(MATRIX), SIZE[::-1]), depth))
    found = place(Film(views, matrix=None))
    assert not found.failed and not found.metric
    assert all(camera and 0.8 < camera.intrinsics[0, 0] / MATRIX[0, 0] < 1.25 for camera in found.cameras)


def test_the_halves_of_a_cut_stand_apart(sideways):
    found = place(Film([*sideways, *(relief(7, 0.25 * step) for step in range(4))]))
    assert found.piece == (0,) * 5 + (1,) * 4 and not found.failed
    first, second = found.cameras[:5], found.cameras[5:]
    assert np.linalg.norm(centres(first).mean(0) - centres(second).mean(0)) > 0.9 * poses.APART
    assert deviation(world(first), beside(5))[0] < 0.01 and deviation(world(second), beside(4))[0] < 0.01


def test_a_single_frame_stands_at_the_identity(sideways):
    found = place(Film(sideways[:1], sensor=True))
    assert np.array_equal(pose(found.cameras[0]), np.eye(4)) and found.metric and not found.failed
    assert not place(Film(sideways[:1])).metric


def test_frames_that_tell_nothing_fail_or_stand_alone(sideways):
    plain = (np.full((*SIZE, 3), 128, np.uint8), np.full(SIZE, 5.0))
    for views in ([sideways[0], sideways[0]], [plain, plain, plain]):
        found = place(Film(views))
        every = tuple(range(len(views)))
        assert found.failed == every and not any(known(one) for one in found.cameras)
        alone = place(Film(views, sensor=True))
        assert alone.piece == every and alone.metric
    unknown = place(Film([plain, plain], matrix=None))
    assert unknown.cameras == (None, None) and unknown.failed == (0, 1)


def test_a_frame_of_something_else_fails_alone(sideways):
    found = place(Film([*sideways[:3], relief(9, 0.0), *sideways[3:]]))
    assert found.failed == (3,) and found.piece == (0, 0, 0, -1, 0, 0)


def test_only_the_frames_asked_for_are_placed(sideways):
    assert place(Film(sideways), [0, 2, 4]).failed == (1, 3)


def test_adjustment_finds_back_what_was_moved():
    rng = np.random.default_rng(0)
    point = rng.uniform((-3, -2, 5), (3, 2, 12), (60, 3))
    turn = Rotation.from_rotvec([(0, 0, 0), (0, 0.1, 0), (0.05, 0.2, 0), (0, 0.1, 0.1)]).as_matrix()
    shift = np.array([[0.0, 0, 0], [0.5, 0, 0], [1, 0.1, 0], [1.5, 0, 0.4]])
    camera, seen = (index.ravel() for index in np.indices((4, 60)))
    local = np.einsum("mij,mj->mi", turn[camera], point[seen]) + shift[camera]
    plane = 100 * local[:, :2] / local[:, 2:]
    moved = Bundle(
        rotation=turn,
        translation=shift * 1.1,
        point=point + rng.normal(0, 0.2, point.shape),
        focal=110.0,
        camera=camera,
        seen=seen,
        plane=plane,
    )
    assert np.median(errors(moved)) > 1
    found = adjust(moved, 200, free_focal=True)
    assert errors(found).max() < 0.1 and abs(found.focal - 100) < 2


@pytest.mark.skipif(not kitti_raw.FOLDER.is_dir(), reason="the KITTI drive is not there")
@pytest.mark.parametrize("by", ESTIMATORS)
def test_a_real_drive_fits_the_lidar(by, monkeypatch):
    drive = kitti_raw.KittiRaw()
    placement = poses.placed(drive, drive.drive, by=by)
    assert not placement.failed and placement.method in (by, "mixed") and placement.metric
    step = np.diff(centres(placement.cameras), axis=0)
    length = np.linalg.norm(step, axis=1)
    assert length.max() < 1.5 * length.min() and (step[:, 2] > 0.95 * length).all(), "forward, without jumps"
    monkeypatch.setattr(plane_sweep, "placed", lambda *_: placement)  # these poses, not those of another estimator
    cloud = plane_sweep.PlaneSweep().points(drive, drive.drive)
    absrel, delta, factor, count = kitti_raw.against_lidar(drive, cloud, placement)
    print(f"{by}: AbsRel {absrel:.3f}, delta1 {delta:.3f} over {count:,}; metres {factor:.3f} of what they should be")
    assert count > 2000 and absrel < 0.15 and delta > 0.85, (absrel, delta, count)
    assert 0.8 < factor < 1.25, "the camera's height gives metres"

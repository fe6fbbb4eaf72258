"""Cameras are placed as they stood: on rendered scenes whose true poses are hidden, and on input that tells nothing."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from wsss.benchmark import discovery
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry import poses
from wsss.benchmark.geometry._poses_bundle import Bundle, adjust, errors
from wsss.benchmark.types import Camera, Frame, Scene, Sweep

SIZE = (96, 160)
MATRIX = np.array([[120.0, 0, 79.5], [0, 120, 47.5], [0, 0, 1]])
KITTI = Path(__file__).parents[2] / "shared/data/kitti_raw_2011_09_26"


def relief(seed, shift):
    """Picture and depth of textured planks of several depths, seen from ``shift`` metres to the right."""
    rng = np.random.default_rng(seed)
    result, depth = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, np.inf)
    for far in (16.0, 12.0, 9.0, 7.0, 5.0):
        plank = cv2.GaussianBlur(rng.integers(0, 256, (240, 400, 3), np.uint8), (0, 0), 1.6)
        plank = cv2.convertScaleAbs(plank, alpha=3.0, beta=-256)
        middle = rng.integers(130, 270)
        mask = np.zeros((240, 400), np.uint8)
        mask[:, slice(None) if far == 16.0 else slice(middle - 30, middle + 30)] = 255
        warp = np.array([[1.0, 0, 79.5 - 200 - MATRIX[0, 0] / far * shift], [0, 1.0, 47.5 - 120]])
        seen = cv2.warpAffine(mask, warp, SIZE[::-1]) > 127
        result[seen] = cv2.warpAffine(plank, warp, SIZE[::-1])[seen]
        depth[seen] = far
    return result, depth


class Film(Dataset):
    """Pictures in memory, with or without calibration and a depth sensor."""

    def __init__(self, views, *, matrix: np.ndarray | None = MATRIX, sensor=False):
        super().__init__(Path())
        self.views, self.matrix, self.sensor = views, matrix, sensor
        frames = tuple(Frame(id=f"f{i}", image=Path(str(i)), labelled=i == 0) for i in range(len(views)))
        self.scene = Scene(id="film", frames=frames)

    def scenes(self, split):
        return [self.scene]

    def dense(self, frame):
        return None

    def cameras(self, scene):
        return (None if self.matrix is None else Camera(intrinsics=self.matrix),) * len(scene.frames)

    def image(self, frame):
        return self.views[int(frame.image.name)][0]

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


def test_a_drive_is_recovered_from_its_pictures(tiny):
    dataset = discovery.dataset("kitti360")(tiny("kitti360"))
    scene = dataset.scenes("train")[0]
    own = dataset.cameras(scene)
    found = poses.placed(Poseless(dataset), scene)
    assert len(found.failed) <= 0.2 * len(own) and set(found.piece) <= {0, -1}
    both = [i for i, camera in enumerate(own) if known(camera) and i not in found.failed]
    path, angle = deviation(world(found.cameras[i] for i in both), world(own[i] for i in both))
    assert path < 0.02 and angle < 0.6, (path, angle)  # of pictures half as large as the full miniature's
    assert not found.metric and found.method == "features" and found.error is not None and found.error < 1
    up = pose(found.cameras[both[0]])[:3, :3].T @ found.up
    assert up @ (pose(own[both[0]])[:3, :3].T @ (0, 0, 1)) > np.cos(np.radians(10))


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


@pytest.mark.skipif(not KITTI.is_dir(), reason="the KITTI drive is not there")
def test_a_real_drive_is_smooth():
    matrix = np.array([[721.5377, 0, 609.5593], [0, 721.5377, 172.8540], [0, 0, 2]]) / 2
    files = sorted((KITTI / "image_02").glob("*.jpg"))[:8]
    whole = [np.asarray(Image.open(file)) for file in files]
    half = [cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for picture in whole]
    found = place(Film([(picture, None) for picture in half], matrix=matrix))
    assert not found.failed
    step = np.diff(centres(found.cameras), axis=0)
    length = np.linalg.norm(step, axis=1)
    assert length.max() < 1.2 * length.min() and (step[:, 2] > 0.95 * length).all(), "at nearly one speed, forward"

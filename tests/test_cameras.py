"""Projection against OpenCV, round trips, and the rolling shutter against a camera that really moves."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from wsss.benchmark.geometry.cameras import inverse, project, unproject
from wsss.benchmark.types import Camera, RollingShutter

SIZE = (120, 160)
MATRIX = np.array([[140.0, 0, 81.3], [0, 141.0, 58.2], [0, 0, 1]])
LENS = np.array([0.21, -0.59, 0.0007, 0.001, 0.5])  # the strongest of the four datasets: NYUv2's Kinect


def pose(seed: int, far: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    result = np.eye(4)
    result[:3, :3] = Rotation.from_rotvec(rng.normal(0, 1, 3)).as_matrix()
    result[:3, 3] = far * rng.normal(0, 1, 3)
    return result


def shutter(towards: Any = "left", seconds: float = 0.044) -> RollingShutter:
    return RollingShutter(
        towards=towards,
        first=0.004,
        readout=seconds,
        linear=np.array([11.0, -4.0, 0.5]),
        angular=np.array([0.01, -0.02, 0.4]),
    )


def seen(camera: Camera, count: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random pixels and depths and the world points there."""
    rng = np.random.default_rng(0)
    pixel = rng.uniform((-0.4, -0.4), (SIZE[0] - 0.6, SIZE[1] - 0.6), (count, 2))
    depth = rng.uniform(1, 60, count)
    return pixel, depth, unproject(pixel, depth, camera, SIZE)


@pytest.mark.parametrize("distortion", [None, LENS])
def test_projects_as_opencv_does(distortion):
    world_from_camera = pose(1)
    camera = Camera(intrinsics=MATRIX, distortion=distortion, world_from_camera=world_from_camera)
    _, _, xyz = seen(camera)
    camera_from_world = inverse(world_from_camera)
    turn, shift = cv2.Rodrigues(camera_from_world[:3, :3])[0], camera_from_world[:3, 3]
    expected = cv2.projectPoints(xyz, turn, shift, MATRIX, distortion)[0][:, 0, ::-1]
    assert np.allclose(project(xyz, camera, SIZE).pixel, expected, atol=1e-6)


@given(seed=st.integers(0, 50), bent=st.booleans(), rolling=st.booleans())
def test_unproject_is_the_inverse_of_project(seed, bent, rolling):
    # 40 km from the origin, where float32 would be off by millimetres.
    camera = Camera(
        intrinsics=MATRIX,
        distortion=LENS if bent else None,
        world_from_camera=pose(seed, 4e4),
        shutter=shutter() if rolling else None,
    )
    pixel, depth, xyz = seen(camera)
    found = project(xyz, camera, SIZE)
    # The steps of the shutter's fixed point contract by the share of the image that moves during the readout.
    far = depth > 8 if rolling else np.ones(len(depth), bool)
    assert np.abs(found.pixel - pixel)[far].max() < (0.01 if rolling else 1e-6)
    assert np.abs(found.depth - depth)[far].max() < (0.001 if rolling else 1e-6)
    assert found.inside[far & (pixel > 0).all(1) & (pixel < np.subtract(SIZE, 2)).all(1)].all()


@pytest.mark.parametrize("towards", ["left", "right", "top", "bottom"])
def test_the_rolling_shutter_is_the_pose_at_each_lines_time(towards):
    rolling = shutter(towards)
    start = pose(3)
    camera = Camera(intrinsics=MATRIX, world_from_camera=start, shutter=rolling)
    pixel, _, xyz = seen(camera, 30)
    axis = int(towards in ("left", "right"))
    for place, point in zip(pixel, xyz, strict=True):
        share = (place[axis] + 0.5) / SIZE[axis]
        time = rolling.first + rolling.readout * (share if towards in ("right", "bottom") else 1 - share)
        moved = start.copy()
        moved[:3, :3] = Rotation.from_rotvec(rolling.angular * time).as_matrix() @ start[:3, :3]
        moved[:3, 3] += rolling.linear * time
        exact = project(point[None], Camera(intrinsics=MATRIX, world_from_camera=moved), SIZE).pixel[0]
        assert np.allclose(exact, place, atol=1e-6)


def test_without_the_shutter_the_same_points_land_elsewhere():
    camera = Camera(intrinsics=MATRIX, world_from_camera=pose(3), shutter=shutter())
    pixel, depth, xyz = seen(camera)
    still = project(xyz, Camera(intrinsics=MATRIX, world_from_camera=pose(3)), SIZE).pixel
    assert np.median(np.linalg.norm(still - pixel, axis=1)[depth < 20]) > 1


def test_what_is_behind_or_beyond_the_lens_is_not_inside():
    behind = project(np.array([[0.0, 0, -5], [0, 0, 0]]), Camera(intrinsics=MATRIX), SIZE)
    assert not behind.inside.any() and np.isnan(behind.pixel).all()
    # The polynomial folds far outside the field of view: such points would come back into the image.
    wild = project(np.array([[20.0, 0, 1]]), Camera(intrinsics=MATRIX, distortion=LENS), SIZE)
    assert not wild.inside.any() and np.isnan(wild.pixel).all()
    none = project(np.zeros((0, 3)), Camera(intrinsics=MATRIX, world_from_camera=pose(0), shutter=shutter()), SIZE)
    assert none.pixel.shape == (0, 2)


def test_an_integer_is_the_centre_of_a_pixel():
    camera = Camera(intrinsics=np.array([[100.0, 0, 0], [0, 100, 0], [0, 0, 1]]))
    pixel = np.array([[-0.5, -0.5], [-0.51, 3], [SIZE[0] - 0.51, 3], [SIZE[0] - 0.49, 3]])
    found = project(unproject(pixel, np.ones(4), camera, SIZE), camera, SIZE)
    assert found.inside.tolist() == [True, False, True, False]


def test_inverse_is_exact():
    assert np.allclose(inverse(pose(5, 4e4)) @ pose(5, 4e4), np.eye(4), atol=1e-10)

"""Intrinsics, mounting and odometry of Cityscapes' camera; after csCalibration.pdf of cityscapesScripts.

Vehicle frame (ISO 8855): origin on the ground below the rear axle, x forward, y left, z up.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from wsss.benchmark.errors import DatasetError
from wsss.benchmark.geometry.cameras import unproject
from wsss.benchmark.types import Camera, Sweep
from wsss.datasets._files import number

Pose = Float[np.ndarray, "4 4"]

FARTHEST = 80.0
"""Metres beyond which a point from the stereo pair is not trusted."""

_RELEASED_SIZE = (1024, 2048)
_OPENCV_FROM_VEHICLE_AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
"""From x forward, y left, z up to x right, y down, z forward."""


def intrinsics(path: Path, values: dict[str, Any], size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """Pinhole matrix for an image of ``size`` (rows, columns) from camera.json.

    Scaled copies of the images usually keep the released camera.json; its principal point, which lies near the
    centre, tells whether it counts pixels of the image or of the release. It is taken to count from the centre of
    the first pixel; the publisher does not say so.

    Raises:
        DatasetError: A field is missing or no number, or the file fits neither size.
    """
    fx, fy, u0, v0 = (number(path, values, "intrinsic", field) for field in ("fx", "fy", "u0", "v0"))
    for rows, columns in (size, _RELEASED_SIZE):
        if abs(u0 / columns - 0.5) < 0.15 and abs(v0 / rows - 0.5) < 0.15:
            down, across = size[0] / rows, size[1] / columns
            # What scales is the distance to the image's edge, half a pixel before the first pixel's centre.
            column, row = (u0 + 0.5) * across - 0.5, (v0 + 0.5) * down - 0.5
            return np.array([[fx * across, 0, column], [0, fy * down, row], [0, 0, 1]])
    raise DatasetError(
        f"{path}: the principal point ({u0}, {v0}) is far from the centre of an image of {size[1]} x {size[0]} pixels; "
        f"take the file from the archive of the images"
    )


def vehicle_from_camera(path: Path, values: dict[str, Any]) -> Pose:
    """Pose of the camera, in OpenCV axes, on the vehicle, from camera.json.

    Raises:
        DatasetError: A field is missing or no number.
    """
    angles = [number(path, values, "extrinsic", field) for field in ("yaw", "pitch", "roll")]
    place = [number(path, values, "extrinsic", field) for field in ("x", "y", "z")]
    return _rigid(angles, place) @ np.linalg.inv(_OPENCV_FROM_VEHICLE_AXES)


def dead_reckoning(motions: Iterable[tuple[float, float, float] | None]) -> list[Pose | None]:
    """World from vehicle by planar integration; the world is the vehicle at the first known motion.

    Args:
        motions: Per frame its time in seconds, speed in m/s and yaw rate in rad/s, or None where unknown. Between
            known ones the mean of both speeds and yaw rates is taken to hold.
    """
    poses: list[Pose | None] = []
    x = y = heading = 0.0
    last: tuple[float, float, float] | None = None
    for motion in motions:
        if motion is None:
            poses.append(None)
            continue
        if last is not None:
            duration = motion[0] - last[0]
            distance = duration * (motion[1] + last[1]) / 2
            turn = duration * (motion[2] + last[2]) / 2
            x += distance * np.cos(heading + turn / 2)
            y += distance * np.sin(heading + turn / 2)
            heading += turn
        last = motion
        poses.append(_rigid((heading, 0.0, 0.0), (x, y, 0.0)))
    return poses


def stereo_points(disparity: Float[np.ndarray, "h w"], camera: Camera, baseline: float) -> Sweep:
    """The points that a stereo pair sees, each with its pixel.

    Args:
        disparity: In pixels of the image, NaN where unknown.
        camera: The left camera; without a pose the points stay in its axes.
        baseline: Metres between the two cameras.
    """
    near = camera.intrinsics[0, 0] * baseline / FARTHEST
    # One pixel of the release is less than one of a scaled copy; below that the matcher reports noise.
    least = max(near, disparity.shape[1] / _RELEASED_SIZE[1])
    with np.errstate(invalid="ignore"):
        pixel = np.argwhere(disparity >= least).astype(np.int32)
    depth = camera.intrinsics[0, 0] * baseline / disparity[pixel[:, 0], pixel[:, 1]]
    pose = np.eye(4) if camera.world_from_camera is None else camera.world_from_camera
    xyz = unproject(pixel.astype(np.float64), depth, camera, (disparity.shape[0], disparity.shape[1]))
    return Sweep(xyz=xyz, origin=pose[:3, 3], in_world=camera.world_from_camera is not None, pixel=pixel)


def _rigid(yaw_pitch_roll: Sequence[float], translation: Sequence[float]) -> Pose:
    """Rz(yaw) Ry(pitch) Rx(roll) and a translation."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("ZYX", yaw_pitch_roll).as_matrix()
    pose[:3, 3] = translation
    return pose

"""Calibration, poses and Velodyne sweeps of KITTI-360; after its documentation and kitti360scripts.

Frames: ``pose`` is the GPS/IMU body (x forward, y right, z down), ``velo`` the Velodyne (x forward, y left, z up),
``cam0`` the left perspective camera as mounted and ``rect`` the same camera after rectification, both in OpenCV axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation, Slerp

from wsss.benchmark.errors import DatasetError

Pose = Float[np.ndarray, "4 4"]

_AGREEMENT = (2e-3, 0.05)
"""Radians and metres by which poses.txt and cam0_to_world.txt may differ; a forgotten R_rect_00 makes 8e-3."""
_REACH = 200.0
"""Metres; a Velodyne HDL-64E sees 120."""
_LARGEST = 1e9
"""No number of these files comes near; beyond lie damaged exponents."""
_OWN_CAR = ((-3.0, -1.0), (2.5, 1.0))
"""Corners (x, y) in metres of what the recording car covers around its sensor; real sweeps hold returns from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How the left camera and the Velodyne are mounted."""

    intrinsics: Float[np.ndarray, "3 3"]
    size: tuple[int, int]
    """Rows and columns of the rectified images."""
    pose_from_rect: Pose
    pose_from_velo: Pose


def read_calibration(folder: Path) -> Calibration:
    """The calibration folder.

    Raises:
        DatasetError: A file or key is missing, damaged, or describes another camera.
    """
    path = folder / "perspective.txt"
    values = _keyed(path)
    width, height = _numbers(path, values, "S_rect_00", 2)
    projection = _numbers(path, values, "P_rect_00", 12).reshape(3, 4)
    intrinsics = projection[:, :3]
    pinhole = np.array([[intrinsics[0, 0], 0, intrinsics[0, 2]], [0, intrinsics[1, 1], intrinsics[1, 2]], [0, 0, 1]])
    centred = 0 < intrinsics[0, 2] < width and 0 < intrinsics[1, 2] < height
    if np.any(intrinsics != pinhole) or np.any(projection[:, 3]) or not centred or min(np.diag(intrinsics)) <= 0:
        raise _damaged(path, "P_rect_00 is no pinhole camera at the origin that fits S_rect_00")
    if width != int(width) or height != int(height):
        raise _damaged(path, "S_rect_00 must be the width and height of the images")
    cam0_from_rect = np.linalg.inv(_rigid(path, "R_rect_00", _numbers(path, values, "R_rect_00", 9).reshape(3, 3)))
    path = folder / "calib_cam_to_pose.txt"
    pose_from_cam0 = _mounting(path, "image_00", _numbers(path, _keyed(path), "image_00", 12))
    path = folder / "calib_cam_to_velo.txt"
    velo_from_cam0 = _mounting(path, "the line", _floats(path, "the line", _lines(path)[0].split(), 12))
    return Calibration(
        intrinsics=intrinsics,
        size=(int(height), int(width)),
        pose_from_rect=pose_from_cam0 @ cam0_from_rect,
        pose_from_velo=pose_from_cam0 @ np.linalg.inv(velo_from_cam0),
    )


@dataclass(frozen=True)
class Trajectory:
    """The poses of one drive; frames during which the car stood still have none."""

    frames: Int[np.ndarray, " f"]
    """Strictly increasing."""
    world_from_pose: Float[np.ndarray, "f 4 4"]

    @cached_property
    def _place(self) -> dict[int, int]:
        return {frame: place for place, frame in enumerate(self.frames.tolist())}

    def at(self, frame: int, bridge: float = 0.0) -> Pose | None:
        """world_from_pose, or None where there is no pose.

        Args:
            frame: Its number.
            bridge: Inside gaps across which the car moved at most this far, in metres, the pose is interpolated:
                linearly in position, spherically in rotation.
        """
        if frame in self._place:
            return self.world_from_pose[self._place[frame]]
        after = int(np.searchsorted(self.frames, frame))
        if not 0 < after < len(self.frames):
            return None
        around = self.world_from_pose[after - 1 : after + 1]
        if np.linalg.norm(around[1, :3, 3] - around[0, :3, 3]) > bridge:
            return None
        first, last = self.frames[after - 1 : after + 1].tolist()
        share, pose = (frame - first) / (last - first), np.eye(4)
        pose[:3, :3] = Slerp([0, 1], Rotation.from_matrix(around[:, :3, :3]))(share).as_matrix()
        pose[:3, 3] = (1 - share) * around[0, :3, 3] + share * around[1, :3, 3]
        return pose


def read_trajectory(folder: Path, calibration: Calibration) -> Trajectory:
    """``poses.txt`` of a drive, checked against ``cam0_to_world.txt`` wherever both have a frame.

    Raises:
        DatasetError: A file is missing or damaged, or the two disagree.
    """
    frames, matrices = _numbered(folder / "poses.txt", 12)
    world_from_pose = _poses(folder / "poses.txt", frames, matrices)
    known, matrices = _numbered(folder / "cam0_to_world.txt", 16)
    if np.any(matrices[:, 12:] != (0, 0, 0, 1)):
        raise _damaged(folder / "cam0_to_world.txt", "the last four numbers of a line must be 0 0 0 1")
    world_from_rect = _poses(folder / "cam0_to_world.txt", known, matrices[:, :12])
    both, mine, theirs = np.intersect1d(frames, known, assume_unique=True, return_indices=True)
    apart = np.abs(world_from_pose[mine] @ calibration.pose_from_rect - world_from_rect[theirs])
    wrong = (apart[:, :3, :3].max((1, 2)) > _AGREEMENT[0]) | (apart[:, :3, 3].max(1) > _AGREEMENT[1])
    if not len(both) or wrong.any():
        where = f"at frame {both[wrong][0]}" if len(both) else "in every frame number"
        raise DatasetError(
            f"{folder}: poses.txt, through the calibration, and cam0_to_world.txt disagree {where}; "
            f"take data_poses and calibration from the same release"
        )
    return Trajectory(frames, world_from_pose)


def read_velodyne(path: Path) -> Float[np.ndarray, "n 3"] | None:
    """Points of a sweep in the axes of the sensor, without the recording car; None where the file is missing.

    Raises:
        DatasetError: The file is empty, damaged, or no sweep.
    """
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error})") from error
    if not stored or len(stored) % 16:
        raise _damaged(path, f"a Velodyne sweep is 16 bytes per point, found {len(stored)} bytes")
    points = np.frombuffer(stored, "<f4").reshape(-1, 4)
    with np.errstate(invalid="ignore", over="ignore"):
        fits = np.all(np.abs(points[:, :3]) < _REACH) and np.all((points[:, 3] >= 0) & (points[:, 3] <= 1))
    if not fits:
        raise _damaged(path, f"x, y, z must lie within {_REACH:.0f} m and the reflectance in [0, 1]")
    low, high = _OWN_CAR
    own = np.all((points[:, :2] > low) & (points[:, :2] < high), axis=1)
    return points[~own, :3].astype(np.float64)


def uncurl(points: Float[np.ndarray, "n 3"], velo_from_previous: Pose) -> Float[np.ndarray, "n 3"]:
    """Points as if all had been measured when the sensor faced forward, at constant motion.

    Args:
        points: In the axes of the sensor while it turns clockwise from rear to rear, metres.
        velo_from_previous: From the sensor's axes one frame earlier to those of this frame.
    """
    share = np.arctan2(points[:, 1], points[:, 0])[:, None] / (2 * np.pi)
    turn = Rotation.from_matrix(velo_from_previous[:3, :3]).as_rotvec()
    return Rotation.from_rotvec(share * turn).apply(points) + share * velo_from_previous[:3, 3]


def _damaged(path: Path, what: str) -> DatasetError:
    return DatasetError(f"{path}: {what}; download and unpack its archive again")


def _lines(path: Path) -> list[str]:
    """The lines of a text file that hold something; at least one."""
    try:
        lines = [line for line in path.read_text("ascii").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; its archive is unpacked incompletely: unpack it again") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, f"it is no text ({error})") from error
    if not lines:
        raise _damaged(path, "it is empty")
    return lines


def _keyed(path: Path) -> dict[str, list[str]]:
    """The words behind each ``key:``."""
    pairs = [line.partition(":") for line in _lines(path)]
    return {key.strip(): rest.split() for key, _, rest in pairs}


def _numbers(path: Path, values: dict[str, list[str]], key: str, count: int) -> Float[np.ndarray, " n"]:
    if key not in values:
        raise _damaged(path, f"it has no line {key}:")
    return _floats(path, key, values[key], count)


def _floats(path: Path, what: str, words: Sequence[str], count: int) -> Float[np.ndarray, " n"]:
    """That many finite numbers."""
    try:
        found = np.array([float(word) for word in words])
    except ValueError as error:
        raise _damaged(path, f"{what} must hold {count} numbers ({error})") from error
    if len(found) != count:
        raise _damaged(path, f"{what} must hold {count} numbers, found {len(found)}")
    if not np.all(np.abs(found) < _LARGEST):
        raise _damaged(path, f"{what} must hold finite numbers, found {' '.join(words)[:80]}")
    return found


def _rigid(path: Path, what: str, rotation: np.ndarray, translation: Sequence[float] | np.ndarray = (0, 0, 0)) -> Pose:
    """A rigid transform whose rotation, rounded in the file, is made exact."""
    if not _are_rotations(rotation[None])[0]:
        raise _damaged(path, f"the left 3 x 3 part of {what} is no rotation")
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_matrix(rotation).as_matrix()
    pose[:3, 3] = translation
    return pose


def _mounting(path: Path, what: str, values: Float[np.ndarray, "12"]) -> Pose:
    """Where a sensor sits on the car."""
    matrix = values.reshape(3, 4)
    if np.abs(matrix[:, 3]).max() > 5:
        raise _damaged(path, f"{what} puts a sensor {np.abs(matrix[:, 3]).max():.0f} m off the car")
    return _rigid(path, what, matrix[:, :3], matrix[:, 3])


def _are_rotations(matrices: Float[np.ndarray, "f 3 3"]) -> Bool[np.ndarray, " f"]:
    """Which are, up to what rounding to three decimals does to them."""
    square = matrices @ matrices.transpose(0, 2, 1)
    return (np.abs(square - np.eye(3)).max((1, 2)) < 2e-3) & (np.linalg.det(matrices) > 0)


def _numbered(path: Path, count: int) -> tuple[Int[np.ndarray, " f"], Float[np.ndarray, "f n"]]:
    """Lines of a frame number and ``count`` numbers."""
    rows = [_floats(path, f"line {i}", line.split(), count + 1) for i, line in enumerate(_lines(path), 1)]
    table = np.stack(rows)
    frames = table[:, 0].astype(np.int64)
    if np.any(frames != table[:, 0]) or frames[0] < 0 or np.any(np.diff(frames) <= 0):
        raise _damaged(path, "lines must begin with frame numbers in rising order")
    return frames, table[:, 1:]


def _poses(path: Path, frames: np.ndarray, values: Float[np.ndarray, "f 12"]) -> Float[np.ndarray, "f 4 4"]:
    """Rigid transforms from rows of a 3 x 4 matrix."""
    matrices = values.reshape(-1, 3, 4)
    if not (good := _are_rotations(matrices[:, :, :3])).all():
        raise _damaged(path, f"the left 3 x 3 part of frame {frames[~good][0]} is no rotation")
    poses = np.tile(np.eye(4), (len(matrices), 1, 1))
    poses[:, :3, :3] = Rotation.from_matrix(matrices[:, :, :3]).as_matrix()
    poses[:, :3, 3] = matrices[:, :, 3]
    return poses

"""Waymo Open's geometry: calibration and image pose to a camera, range images to points of the world.

Vehicle: x forward, y left, z up. World: z up. Camera as stored: x forward (the optical axis), y left, z up.
Source: the projection and range image operations of the official waymo-open-dataset code, in NumPy.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from wsss.benchmark.types import Camera, RollingShutter
from wsss.datasets._waymo_records import TOP, CameraCalibration, Faulty, ImagePose, Laser, LaserCalibration, Scan, rigid

_OPENCV_FROM_CAMERA = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
_TOWARDS: dict[int, Literal["bottom", "top", "right", "left"]] = {1: "bottom", 2: "right", 3: "top", 4: "left"}
_WITHOUT_SHUTTER = frozenset({0, 5})


def camera(calibration: CameraCalibration, pose: ImagePose) -> Camera:
    """The camera of one image, from the image's own pose and not its frame's, which is up to 70 ms older.

    Raises:
        Faulty: The calibration or the clock is impossible.
    """
    f_u, f_v, c_u, c_v = calibration.intrinsic[:4]
    rows, columns = calibration.size
    if not (f_u > 0 and f_v > 0 and 0 < c_u < columns and 0 < c_v < rows):
        raise Faulty(
            "camera_calibration",
            f"focal lengths {f_u}, {f_v} and centre {c_u}, {c_v} do not fit {columns} x {rows} pixels",
        )
    return Camera(
        # Waymo counts pixels from the left edge of the first one, we from its centre.
        intrinsics=np.array([[f_u, 0, c_u - 0.5], [0, f_v, c_v - 0.5], [0, 0, 1]]),
        distortion=calibration.intrinsic[4:].copy(),
        world_from_camera=pose.world_from_vehicle @ calibration.vehicle_from_camera @ _OPENCV_FROM_CAMERA.T,
        shutter=_shutter(calibration, pose),
    )


def _shutter(calibration: CameraCalibration, pose: ImagePose) -> RollingShutter | None:
    """The rolling shutter, with the motion of the camera instead of the vehicle's."""
    if calibration.direction in _WITHOUT_SHUTTER:
        return None
    if calibration.direction not in _TOWARDS:
        raise Faulty(
            "camera_calibration", f"unknown rolling shutter direction {calibration.direction}, expected 0 to 5"
        )
    pose_time, exposure, trigger, done = pose.clock
    readout = done - trigger - exposure
    if exposure < 0 or readout < 0:
        raise Faulty("camera_image", f"exposure of {exposure} s and readout of {readout} s; neither can be negative")
    turn = pose.world_from_vehicle[:3, :3]
    angular = turn @ pose.angular
    return RollingShutter(
        towards=_TOWARDS[calibration.direction],
        first=float(trigger + exposure / 2 - pose_time),
        readout=float(readout),
        linear=pose.linear + np.cross(angular, turn @ calibration.vehicle_from_camera[:3, 3]),
        angular=angular,
    )


def world_points(scan: Scan) -> Float[np.ndarray, "n 3"]:
    """The points of all LiDARs and returns of a scan in the world, float64, TOP's first.

    Raises:
        Faulty: A LiDAR has no calibration, TOP no poses, or an image does not fit.
    """
    found = [np.zeros((0, 3))]
    for number, laser in sorted(scan.lasers.items()):
        if number not in scan.calibrations:
            raise Faulty("lidar_calibration", f"LiDAR {number} has no calibration")
        if number == TOP and laser.poses is None:
            raise Faulty("lidar_pose", "LiDAR TOP has no pose per pixel")
        calibration = scan.calibrations[number]
        found += [_returned(image, laser, calibration, scan.world_from_vehicle) for image in laser.returns]
    return np.concatenate(found)


def top_position(scan: Scan) -> Float[np.ndarray, "3"]:
    """Where LiDAR TOP stood in the world, in the middle of its turn.

    Raises:
        Faulty: TOP has no calibration.
    """
    if TOP not in scan.calibrations:
        raise Faulty("lidar_calibration", "LiDAR TOP has no calibration")
    return (scan.world_from_vehicle @ scan.calibrations[TOP].vehicle_from_laser)[:3, 3]


def _returned(
    image: Float[np.ndarray, "h w c"],
    laser: Laser,
    calibration: LaserCalibration,
    world_from_vehicle: Float[np.ndarray, "4 4"],
) -> Float[np.ndarray, "n 3"]:
    """World points of the pixels of a range image from which something came back."""
    distance = image[..., 0]
    if not np.isfinite(distance).all():
        raise Faulty("lidar", "a range image holds a distance that is not finite")
    returned = distance > 0
    directions = _directions(calibration, image.shape[:2], returned)
    pose = calibration.vehicle_from_laser
    vehicle = (directions * distance[returned][:, None].astype(np.float64)) @ pose[:3, :3].T + pose[:3, 3]
    if laser.poses is None:
        return vehicle @ world_from_vehicle[:3, :3].T + world_from_vehicle[:3, 3]
    if laser.poses.shape[:2] != image.shape[:2]:
        raise Faulty("lidar_pose", f"poses of {laser.poses.shape[:2]} pixels for a range image of {image.shape[:2]}")
    poses = laser.poses[returned].astype(np.float64)
    if not np.isfinite(poses).all():
        raise Faulty("lidar_pose", "the pose of a LiDAR's pixel is not finite")
    return _moved(vehicle, poses)


def _directions(
    calibration: LaserCalibration, shape: tuple[int, int], chosen: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "n 3"]:
    """Unit vectors, in the LiDAR's axes, along which the chosen pixels of a range image look.

    Rows run from the highest beam down, columns from straight behind clockwise, seen from above; the azimuth is the
    vehicle's, so the mounting's own turn is taken off.
    """
    height, width = shape
    inclinations = calibration.inclinations
    if inclinations is None:
        span = calibration.highest - calibration.lowest
        inclinations = calibration.lowest + (np.arange(height) + 0.5) / height * span
    if len(inclinations) != height:
        raise Faulty("lidar_calibration", f"{len(inclinations)} beam inclinations for a range image of {height} rows")
    inclinations = inclinations[::-1]
    mounting = calibration.vehicle_from_laser
    turned = np.arctan2(mounting[1, 0], mounting[0, 0])
    azimuths = (2 * (width - np.arange(width) - 0.5) / width - 1) * np.pi - turned
    row, column = np.nonzero(chosen)
    flat = np.cos(inclinations)[row]
    return np.stack(
        [flat * np.cos(azimuths)[column], flat * np.sin(azimuths)[column], np.sin(inclinations)[row]], axis=-1
    )


def _moved(vehicle: Float[np.ndarray, "n 3"], poses: Float[np.ndarray, "n 6"]) -> Float[np.ndarray, "n 3"]:
    """Vehicle points in the world, each with its own pose: R = Rz(yaw) Ry(pitch) Rx(roll)."""
    (roll, pitch, yaw), (x, y, z) = poses[:, :3].T, vehicle.T
    sine, cosine = np.sin(roll), np.cos(roll)
    y, z = cosine * y - sine * z, sine * y + cosine * z
    sine, cosine = np.sin(pitch), np.cos(pitch)
    x, z = cosine * x + sine * z, cosine * z - sine * x
    sine, cosine = np.sin(yaw), np.cos(yaw)
    x, y = cosine * x - sine * y, sine * x + cosine * y
    return np.stack([x, y, z], axis=-1) + poses[:, 3:]


def laser_calibration(
    transform: np.ndarray, inclinations: np.ndarray, lowest: float, highest: float
) -> LaserCalibration:
    """A LiDAR's calibration from the numbers of a file; no ``inclinations`` means evenly spread.

    Raises:
        ValueError: The numbers are impossible.
    """
    if not (np.isfinite(inclinations).all() and np.isfinite([lowest, highest]).all()):
        raise ValueError("the beam inclinations of a LiDAR are not finite")
    if not len(inclinations) and not lowest < highest:
        raise ValueError(f"a LiDAR's beams run from {lowest} to {highest} rad, expected a lower and a higher")
    return LaserCalibration(
        vehicle_from_laser=rigid(transform, "the extrinsic of a LiDAR"),
        inclinations=inclinations.astype(np.float64) if len(inclinations) else None,
        lowest=float(lowest),
        highest=float(highest),
    )

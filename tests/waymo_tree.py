"""A small Waymo Open, both releases: a car drives a curve at 12 m/s towards a wall that everything measures exactly.

Every pixel and every laser pulse has its own time, and the vehicle's pose at that time is exact, not linearised.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SEGMENTS = {
    "training": ("1024360143612057520_3580_000_3600_000", "2036908808378190283_4340_000_4360_000"),
    "validation": ("1071392229495085036_1844_790_1864_790",),
}
UNLABELLED = "3002379261592154728_2256_691_2276_691"
"""A training segment without any 2D label."""
START = 1553735853462203
STEPS = 3
LABELLED = (0, 2)
SPEED, TURN = 12.0, 0.3
ORIGIN = np.array([12000.0, -35000.0, 40.0])
WALL, WALL_HEIGHT = 25.0, 6.0
"""Metres ahead of the start, and high; the ground is z = 0 and the sky is behind."""
PATCH = ((-4.0, -1.0), (-1.0, 2.0), (17.0, 22.0))
"""Cars, two of them side by side: from where to where on the wall; from the ground up to 2 m."""

CAMERAS = {1: ("FRONT", 0.0, 0.052), 2: ("FRONT_LEFT", 0.75, 0.042), 3: ("FRONT_RIGHT", -0.75, 0.062)}
CAMERAS |= {4: ("SIDE_LEFT", 1.5, 0.022), 5: ("SIDE_RIGHT", -1.5, 0.072)}
"""Number: name, yaw, seconds from the frame's timestamp to the pose of the image."""
DIRECTIONS = {1: 2, 2: 4, 3: 1, 4: 3, 5: 2}
DIVISORS = {1: 1000, 2: 500, 3: 1000, 4: 1000, 5: 1000}
WIDTH, HEIGHT, SIDE_HEIGHT = 96, 64, 44
EXPOSURE, READOUT = 0.004, 0.044
DISTORTION = (0.03, -0.01, 0.0008, -0.0006, 0.002)
BEAMS = np.array([-0.3, -0.2, -0.12, -0.07, -0.03, -0.01, 0.01, 0.03])
TOP_SHAPE, SHORT_SHAPE = (8, 96), (6, 16)
SHORT_BEAMS = (-np.pi / 2, np.pi / 6)


def rotation(roll, pitch, yaw):
    (sr, sp, sy), (cr, cp, cy) = np.sin([roll, pitch, yaw]), np.cos([roll, pitch, yaw])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def transform(turn, shift):
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, shift
    return pose


ATTITUDE = (0.01, -0.02)
"""Constant roll and pitch of the vehicle."""


def vehicle_numbers(t):
    """Roll, pitch, yaw, x, y, z of the vehicle, t seconds after the start: an arc."""
    yaw = 0.4 + TURN * t
    radius = SPEED / TURN
    x, y = radius * (np.sin(yaw) - np.sin(0.4)), radius * (np.cos(0.4) - np.cos(yaw))
    return np.array([*ATTITUDE, yaw, *(ORIGIN + np.array([x, y, 0]))])


def vehicle(t):
    numbers = vehicle_numbers(t)
    return transform(rotation(*numbers[:3]), numbers[3:])


def velocity(t):
    """Linear in world axes, angular in vehicle axes."""
    numbers = vehicle_numbers(t)
    linear = SPEED * np.array([np.cos(numbers[2]), np.sin(numbers[2]), 0])
    return linear, rotation(*numbers[:3]).T @ (0, 0, TURN)


VEHICLE_FROM_CAMERA = {
    i: transform(rotation(0.01, 0.02, yaw), (1.5, 2 * yaw / 15, 2.1)) for i, (_, yaw, _) in CAMERAS.items()
}
VEHICLE_FROM_TOP = transform(rotation(0.002, -0.004, 2.6), (1.43, 0, 2.18))
VEHICLE_FROM_SHORT = transform(rotation(0, 0, 0.1), (4.0, 0, 0.7))


def hit(origins, directions):
    """Where rays of the world end, and the panoptic class and instance there; sky ends nowhere."""
    turn = rotation(0, 0, 0.5)  # the wall's normal
    local_o, local_d = (origins - ORIGIN) @ turn, directions @ turn
    with np.errstate(divide="ignore", invalid="ignore"):
        to_wall = (WALL - local_o[..., 0]) / local_d[..., 0]
        to_ground = -local_o[..., 2] / local_d[..., 2]
        on_wall = local_o + to_wall[..., None] * local_d
    far = 120.0
    wall = (to_wall > 0) & (to_wall < far) & (on_wall[..., 2] < WALL_HEIGHT) & (on_wall[..., 2] > 0)
    ground = ~wall & (to_ground > 0) & (to_ground < far)
    distance = np.where(wall, to_wall, np.where(ground, to_ground, np.inf))
    category = np.where(wall, 19, np.where(ground, 20, 25))
    instance = np.zeros_like(category)
    for number, (left, right) in enumerate(PATCH, 1):
        car = wall & (on_wall[..., 1] > left) & (on_wall[..., 1] < right) & (on_wall[..., 2] < 2)
        category, instance = np.where(car, 2, category), np.where(car, number, instance)
    return distance, category, instance


def size(camera):
    return (SIDE_HEIGHT if camera > 3 else HEIGHT), WIDTH


def intrinsic(camera):
    rows, columns = size(camera)
    return np.array([103.0, 102.5, columns / 2 + 1.3, rows / 2 - 0.7, *DISTORTION])


def undistorted(u, v):
    """Invert the lens by iteration: image plane to ray (1, u, v) in Waymo's left and up."""
    k1, k2, p1, p2, k3 = DISTORTION
    x, y = u, v
    for _ in range(50):
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        x = (u - 2 * p1 * x * y - p2 * (r2 + 2 * x * x)) / radial
        y = (v - p1 * (r2 + 2 * y * y) - 2 * p2 * x * y) / radial
    return x, y


def pixel_times(camera, t):
    """Seconds after the start at which each pixel is exposed, by the middle of its line."""
    rows, columns = size(camera)
    row, column = np.mgrid[0.5:rows, 0.5:columns]
    share = {1: row / rows, 2: column / columns, 3: 1 - row / rows, 4: 1 - column / columns}[DIRECTIONS[camera]]
    return trigger(camera, t) + EXPOSURE / 2 + READOUT * share


def trigger(camera, t):
    return t + CAMERAS[camera][2] - EXPOSURE / 2 - 0.6 * READOUT


def rendered(camera, t):
    """World point seen by each pixel (inf: sky), class and instance."""
    rows, columns = size(camera)
    f_u, f_v, c_u, c_v = intrinsic(camera)[:4]
    row, column = np.mgrid[0.5:rows, 0.5:columns]  # the centre of the first pixel is at 0.5
    u, v = undistorted((column - c_u) / f_u, (row - c_v) / f_v)
    rays = np.stack([np.ones_like(u), -u, -v], -1)
    times = pixel_times(camera, t)
    origins, directions = np.empty((rows, columns, 3)), np.empty((rows, columns, 3))
    for time in np.unique(times):
        pose = vehicle(time) @ VEHICLE_FROM_CAMERA[camera]
        now = times == time
        origins[now], directions[now] = pose[:3, 3], rays[now] @ pose[:3, :3].T
    distance, category, instance = hit(origins, directions)
    with np.errstate(invalid="ignore"):
        return origins + distance[..., None] * directions, category, instance


def beam_directions(shape, beams, vehicle_from_laser):
    """Rays in the LiDAR's axes: rows from the highest beam down, columns from behind, clockwise."""
    columns = shape[1]
    heading = np.pi - 2 * np.pi * (np.arange(columns) + 0.5) / columns
    heading = heading - np.arctan2(vehicle_from_laser[1, 0], vehicle_from_laser[0, 0])
    up = np.broadcast_to(beams[::-1, None], shape)
    return np.stack([np.cos(up) * np.cos(heading), np.cos(up) * np.sin(heading), np.sin(up)], -1)


def range_image(shape, beams, mounting, poses):
    """[H, W, 4]: range, intensity, elongation, no-label zone; ``poses`` of the vehicle per column."""
    rays = beam_directions(shape, beams, mounting)
    image = np.zeros((*shape, 4), np.float32)
    for column, pose in enumerate(poses):
        world = pose @ mounting
        origins = np.broadcast_to(world[:3, 3], rays[:, column].shape)
        distance = hit(origins, rays[:, column] @ world[:3, :3].T)[0]
        image[:, column, 0] = np.where(np.isfinite(distance), distance, -1)
    image[..., 1], image[..., 3] = 0.5, -1
    return image


def short_beams():
    rows = SHORT_SHAPE[0]
    return SHORT_BEAMS[0] + (np.arange(rows) + 0.5) / rows * (SHORT_BEAMS[1] - SHORT_BEAMS[0])


@dataclass(frozen=True)
class Shot:
    """One camera's image."""

    jpeg: bytes
    label: bytes | None
    cover: bytes | None


@dataclass(frozen=True)
class Moment:
    time: int
    pose: np.ndarray
    shots: dict[int, Shot]
    top: np.ndarray
    top_second: np.ndarray
    top_poses: np.ndarray
    short: np.ndarray


def encoded(pixels, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def shot(camera, t, labelled):
    point, category, instance = rendered(camera, t)
    colors = np.array(
        [[0, 0, 0]] * 2 + [[0, 0, 142]] + [[0, 0, 0]] * 16 + [[70] * 3, [128, 64, 128]] + [[70, 130, 180]] * 5
    )
    checker = (np.floor(np.nan_to_num(point, posinf=0, neginf=0)).sum(-1) % 2 * 20)[..., None]
    jpeg = encoded((colors[category] + checker).astype(np.uint8), "JPEG", quality=95)
    if not labelled:
        return Shot(jpeg, None, None)
    panoptic = (category * DIVISORS[camera] + instance).astype(np.uint16)
    panoptic[-3:] = DIVISORS[camera]  # the ego vehicle
    panoptic[0, :4] = 40 * DIVISORS[camera]  # which the format does not define
    return Shot(jpeg, encoded(panoptic, "PNG"), encoded(np.ones(panoptic.shape, np.uint8), "PNG"))


@cache
def moment(step, labelled):
    t = step * 0.1
    columns = np.arange(TOP_SHAPE[1])
    numbers = [vehicle_numbers(t + 0.1 * column / len(columns)) for column in columns]
    poses = [transform(rotation(*n[:3]), n[3:]) for n in numbers]
    top = range_image(TOP_SHAPE, BEAMS, VEHICLE_FROM_TOP, poses)
    second = top.copy()
    second[:, ::2, 0] = -1
    return Moment(
        time=START + step * 100_000,
        pose=vehicle(t),
        shots={camera: shot(camera, t, labelled) for camera in CAMERAS},
        top=top,
        top_second=second,
        top_poses=np.broadcast_to(np.array(numbers, np.float32), (*TOP_SHAPE, 6)).copy(),
        short=range_image(SHORT_SHAPE, short_beams(), VEHICLE_FROM_SHORT, [vehicle(t)] * SHORT_SHAPE[1]),
    )


def clock(camera, moment):
    """Time of the pose, exposure, trigger and end of readout, seconds since 1970."""
    frame = moment.time * 1e-6
    begin = frame + CAMERAS[camera][2] - EXPOSURE / 2 - 0.6 * READOUT
    return frame + CAMERAS[camera][2], EXPOSURE, begin, begin + EXPOSURE + READOUT


def image_time(camera, moment):
    return (moment.time - START) * 1e-6 + CAMERAS[camera][2]


def write_waymo(root, *, release="v2", names="int8", poses="double"):
    """Waymo Open as downloaded; older parquet files have strings as names of cameras, and poses of type float."""
    moments = {flag: [moment(step, flag and step in LABELLED) for step in range(STEPS)] for flag in (True, False)}
    for split, segments in SEGMENTS.items():
        for segment in (*segments, *([UNLABELLED] if split == "training" else [])):
            content = moments[segment != UNLABELLED]
            if release in ("v2", "both"):
                _write_v2(Path(root) / split, segment, content, names, pa.type_for_alias(poses))
            if release in ("v1", "both"):
                path = Path(root) / split / f"segment-{segment}_with_camera_labels.tfrecord"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"".join(tfrecord(_frame(segment, one)) for one in content))
    return root


def write_parquet(path, columns, rows=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"index": [f"row {i}" for i in range(len(next(iter(columns.values()))))], **columns})
    pq.write_table(table, path, row_group_size=rows, compression="snappy", write_page_checksum=True)


def _write_v2(folder, segment, moments, names, pose_type):
    def put(tag, component, keys, rows, columns):
        """``columns``: name -> (type, value of a row)."""
        data = {"key.segment_context_name": pa.array([segment] * len(rows), pa.string())}
        for name, value in keys.items():
            values = [value(row) for row in rows]
            sensor = pa.int8() if names == "int8" or name == "key.laser_name" else pa.string()
            if sensor == pa.string() and name == "key.camera_name":
                values = [CAMERAS[value][0] for value in values]
            data[name] = pa.array(values, pa.int64() if "micros" in name else sensor)
        for name, (kind, value) in columns.items():
            data[f"[{component}].{name}"] = pa.array([value(row) for row in rows], kind)
        write_parquet(folder / tag / f"{segment}.parquet", data)

    real, whole, matrix = pa.float64(), pa.int32(), pa.list_(pose_type, 16)
    time = {"key.frame_timestamp_micros": lambda row: row[0].time}
    camera = {"key.camera_name": lambda row: row[1]}
    laser = {"key.laser_name": lambda row: row[1]}
    shots = [(one, number) for one in moments for number in (1, 2, 4, 3, 5)]
    at = lambda row: image_time(row[1], row[0])  # noqa: E731
    columns: dict[str, Any] = {
        "image": (pa.binary(), lambda row: row[0].shots[row[1]].jpeg),
        "pose.transform": (matrix, lambda row: vehicle(at(row)).ravel()),
    }
    for i, axis in enumerate("xyz"):
        columns[f"velocity.linear_velocity.{axis}"] = (pa.float32(), lambda row, i=i: velocity(at(row))[0][i])
        columns[f"velocity.angular_velocity.{axis}"] = (real, lambda row, i=i: velocity(at(row))[1][i])
    clocks = ("pose_timestamp", *(f"rolling_shutter_params.{n}" for n in ("shutter", "camera_trigger_time")))
    for i, name in enumerate((*clocks, "rolling_shutter_params.camera_readout_done_time")):
        columns[name] = (real, lambda row, i=i: clock(row[1], row[0])[i])
    put("camera_image", "CameraImageComponent", time | camera, shots, columns)
    columns = {
        "panoptic_label_divisor": (whole, lambda row: DIVISORS[row[1]]),
        "panoptic_label": (pa.binary(), lambda row: row[0].shots[row[1]].label),
        "sequence_id": (pa.string(), lambda row: "0"),
        "num_cameras_covered": (pa.binary(), lambda row: row[0].shots[row[1]].cover),
    }
    labelled = [row for row in shots if row[0].shots[row[1]].label]
    put("camera_segmentation", "CameraSegmentationLabelComponent", time | camera, labelled, columns)
    columns = {"extrinsic.transform": (matrix, lambda row: VEHICLE_FROM_CAMERA[row[1]].ravel())}
    for i, name in enumerate(("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")):
        columns[f"intrinsic.{name}"] = (real, lambda row, i=i: intrinsic(row[1])[i])
    columns["width"] = (whole, lambda row: size(row[1])[1])
    columns["height"] = (whole, lambda row: size(row[1])[0])
    columns["rolling_shutter_direction"] = (pa.int8(), lambda row: DIRECTIONS[row[1]])
    put("camera_calibration", "CameraCalibrationComponent", camera, [(None, i) for i in (5, 3, 1, 2, 4)], columns)
    columns = {"world_from_vehicle.transform": (matrix, lambda row: row[0].pose.ravel())}
    put("vehicle_pose", "VehiclePoseComponent", time, [(one,) for one in moments], columns)
    values, shape = pa.list_(pa.float32()), pa.list_(whole, 3)
    columns = {
        "range_image_return1.values": (values, lambda row: (row[0].top if row[1] == 1 else row[0].short).ravel()),
        "range_image_return1.shape": (shape, lambda row: (row[0].top if row[1] == 1 else row[0].short).shape),
        "range_image_return2.values": (values, lambda row: row[0].top_second.ravel() if row[1] == 1 else None),
        "range_image_return2.shape": (shape, lambda row: row[0].top_second.shape if row[1] == 1 else None),
    }
    put("lidar", "LiDARComponent", time | laser, [(one, i) for one in moments for i in (2, 1)], columns)
    columns = {
        "range_image_return1.values": (values, lambda row: row[0].top_poses.ravel()),
        "range_image_return1.shape": (shape, lambda row: row[0].top_poses.shape),
    }
    put("lidar_pose", "LiDARPoseComponent", time | laser, [(one, 1) for one in moments], columns)
    mounting = {1: VEHICLE_FROM_TOP, 2: VEHICLE_FROM_SHORT}
    columns = {
        "extrinsic.transform": (matrix, lambda row: mounting[row[1]].ravel()),
        "beam_inclination.min": (real, lambda row: BEAMS[0] if row[1] == 1 else SHORT_BEAMS[0]),
        "beam_inclination.max": (real, lambda row: BEAMS[-1] if row[1] == 1 else SHORT_BEAMS[1]),
        "beam_inclination.values": (pa.list_(real), lambda row: BEAMS if row[1] == 1 else None),
    }
    put("lidar_calibration", "LiDARCalibrationComponent", laser, [(None, 2), (None, 1)], columns)


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, value):
    """One field: int as varint, float as double, float32 as float, bytes by length."""
    if type(value) is np.float32:
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def doubles(number, values):
    return b"".join(field(number, float(value)) for value in values)


def masked_crc(data):
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def tfrecord(payload):
    length = struct.pack("<Q", len(payload))
    return length + masked_crc(length) + payload + masked_crc(payload)


def _matrix(array):
    shape = b"".join(field(1, n) for n in array.shape)
    return zlib.compress(field(1, array.astype("<f4").tobytes()) + field(2, shape))


def _frame(segment, moment):
    context = field(1, segment.encode())
    for camera in (5, 3, 1, 2, 4):
        rows, columns = size(camera)
        context += field(
            2,
            field(1, camera)
            + doubles(2, intrinsic(camera))
            + field(3, doubles(1, VEHICLE_FROM_CAMERA[camera].ravel()))
            + field(4, columns)
            + field(5, rows)
            + field(6, DIRECTIONS[camera]),
        )
    short = doubles(3, SHORT_BEAMS[:1]) + doubles(4, SHORT_BEAMS[1:]) + field(5, doubles(1, VEHICLE_FROM_SHORT.ravel()))
    top = doubles(2, BEAMS) + doubles(3, BEAMS[:1]) + doubles(4, BEAMS[-1:])
    context += field(3, field(1, 2) + short)
    context += field(3, field(1, 1) + top + field(5, doubles(1, VEHICLE_FROM_TOP.ravel())))
    frame = field(1, context) + field(2, moment.time) + field(3, doubles(1, moment.pose.ravel()))
    for camera in (1, 2, 4, 3, 5):
        frame += field(4, _image(camera, moment))
    first = field(2, _matrix(moment.top)) + field(4, _matrix(moment.top_poses))
    frame += field(5, field(1, 2) + field(2, field(2, _matrix(moment.short))))
    frame += field(5, field(1, 1) + field(2, first) + field(3, field(2, _matrix(moment.top_second))))
    return frame + field(6, field(3, b"a box")) + field(8, b"")


def _image(camera, moment):
    shot, t = moment.shots[camera], image_time(camera, moment)
    linear, angular = velocity(t)
    motion = b"".join(field(i, np.float32(v)) for i, v in enumerate(linear, 1))
    motion += b"".join(field(i, float(v)) for i, v in enumerate(angular, 4))
    times = b"".join(field(i, float(v)) for i, v in enumerate(clock(camera, moment), 5))
    image = field(1, camera) + field(2, shot.jpeg) + field(3, doubles(1, vehicle(t).ravel())) + field(4, motion) + times
    if shot.label is None:
        return image
    label = field(1, DIVISORS[camera]) + field(2, shot.label) + field(4, b"0") + field(5, shot.cover)
    return image + field(10, label)

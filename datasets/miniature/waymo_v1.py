"""The bytes of the Waymo Open Dataset's first release: one tfrecord per segment, a protocol buffer per frame.

Only the fields that benchmarks use are written; numbers are those of ``dataset.proto`` and ``label.proto``.
"""

import struct
import zlib
from pathlib import Path

import google_crc32c
import numpy as np

from wsss.benchmark.errors import DatasetError
from wsss.datasets.miniature import files
from wsss.datasets.miniature.waymo_rig import CameraModel, LaserModel
from wsss.datasets.miniature.waymo_scan import DIVISOR, Moment, Picture, Recording, Scan
from wsss.datasets.miniature.waymo_v2 import sequence


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _whole(number: int, value: int) -> bytes:
    """A field of a non-negative integer, an enumeration or a bool."""
    return _varint(number << 3) + _varint(int(value))


def _double(number: int, *values: float) -> bytes:
    """A field of a double, repeated and not packed."""
    return b"".join(_varint(number << 3 | 1) + struct.pack("<d", value) for value in values)


def _float(number: int, value: float) -> bytes:
    return _varint(number << 3 | 5) + struct.pack("<f", value)


def _bytes(number: int, content: bytes) -> bytes:
    """A field of a string, of bytes, of a message, or of packed numbers."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _transform(number: int, a_from_b: np.ndarray) -> bytes:
    return _bytes(number, _double(1, *a_from_b.ravel()))


def _matrix(number: int, values: np.ndarray) -> bytes:
    """A compressed MatrixFloat."""
    shape = b"".join(_whole(1, side) for side in values.shape)
    return _bytes(number, zlib.compress(_bytes(1, values.astype("<f4").tobytes()) + _bytes(2, shape), 6))


def _camera_calibration(camera: CameraModel) -> bytes:
    return (
        _whole(1, camera.name) + _double(2, *camera.intrinsic) + _transform(3, camera.vehicle_from_camera)
        + _whole(4, camera.width) + _whole(5, camera.height) + _whole(6, camera.direction)
    )  # fmt: skip


def _laser_calibration(laser: LaserModel) -> bytes:
    return (
        _whole(1, laser.name) + _double(2, *(laser.inclinations or ())) + _double(3, laser.low)
        + _double(4, laser.high) + _transform(5, laser.vehicle_from_laser)
    )  # fmt: skip


def _context(recording: Recording) -> bytes:
    content = _bytes(1, recording.context.encode())
    for camera in recording.cameras:
        content += _bytes(2, _camera_calibration(camera))
    for laser in reversed(recording.lasers):  # repeated fields have no order: readers must go by name
        content += _bytes(3, _laser_calibration(laser))
    return content


def _image(recording: Recording, picture: Picture) -> bytes:
    velocity = b"".join(_float(k + 1, value) for k, value in enumerate(picture.linear))
    velocity += b"".join(_double(k + 4, value) for k, value in enumerate(picture.angular))
    content = (
        _whole(1, picture.camera) + _bytes(2, files.jpeg(picture.rgb, 95)) + _transform(3, picture.pose)
        + _bytes(4, velocity) + _double(5, picture.pose_time) + _double(6, picture.shutter)
        + _double(7, picture.trigger) + _double(8, picture.done)
    )  # fmt: skip
    label = picture.label
    if label is None:
        return content
    panoptic = _whole(1, DIVISOR) + _bytes(2, files.png(label.panoptic))
    for local, everywhere in zip(label.local, label.everywhere, strict=True):
        panoptic += _bytes(3, _whole(1, local) + _whole(2, everywhere) + _whole(3, True))
    panoptic += _bytes(4, sequence(recording).encode()) + _bytes(5, files.png(label.covered))
    return content + _bytes(10, panoptic)


def _laser(scan: Scan) -> bytes:
    first, second = _matrix(2, scan.image), _matrix(2, np.full(scan.image.shape, -1, np.float32))
    if scan.poses is not None:
        first += _matrix(4, scan.poses)
    return _whole(1, scan.laser) + _bytes(2, first) + _bytes(3, second)


def _frame(recording: Recording, frame: Moment) -> bytes:
    content = _bytes(1, _context(recording)) + _whole(2, frame.timestamp) + _transform(3, frame.pose)
    content += b"".join(_bytes(4, _image(recording, picture)) for picture in (*frame.pictures[1:], frame.pictures[0]))
    return content + b"".join(_bytes(5, _laser(scan)) for scan in frame.scans)


def _masked(content: bytes) -> int:
    """The checksum that TensorFlow's record files use."""
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def tfrecord(recording: Recording) -> bytes:
    """The file of a segment."""
    out = []
    for frame in recording.frames:
        payload = _frame(recording, frame)
        length = struct.pack("<Q", len(payload))
        out += [length, struct.pack("<I", _masked(length)), payload, struct.pack("<I", _masked(payload))]
    return b"".join(out)


def check(path: Path) -> int:
    """The number of records of a file whose lengths and checksums all hold.

    Raises:
        DatasetError: One does not.
    """
    content, start, count = path.read_bytes(), 0, 0
    while start < len(content):
        head = content[start : start + 12]
        end = start + 16 + (struct.unpack("<Q", head[:8])[0] if len(head) == 12 else len(content))
        payload, tail = content[start + 12 : end - 4], content[end - 4 : end]
        if end > len(content) or head[8:] + tail != struct.pack("<II", _masked(head[:8]), _masked(payload)):
            raise DatasetError(f"{path} is damaged at byte {start}; delete it and build the miniature again")
        start, count = end, count + 1
    return count

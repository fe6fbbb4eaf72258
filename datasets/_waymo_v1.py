"""Waymo Open 1.4: one tfrecord per segment, ``<split>/segment-<context>_with_camera_labels.tfrecord``.

A tfrecord is a row of records, each a length and a message with a CRC32C of both; a message is a protocol buffer
``Frame``. What is decoded comes from whole records whose checksums are right. Listings of a file (its frames, its
poses) skip over images and range images by their lengths and so must trust the bytes; every image that is then read
proves those of its record.
"""

import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsss.benchmark.errors import DatasetError
from wsss.datasets._files import listing
from wsss.datasets._index import cached
from wsss.datasets._waymo_geometry import laser_calibration
from wsss.datasets._waymo_records import (
    CAMERAS,
    LASERS,
    TOP,
    CameraCalibration,
    ImagePose,
    Index,
    Key,
    Laser,
    Scan,
    finite,
    image_grid,
    numbered,
    reading,
    rigid,
)
from wsss.datasets._waymo_wire import Message, fields, mapped, records, whole

_NAME = re.compile(r"segment-([\w.-]+)_with_camera_labels\.tfrecord", re.ASCII)
_CONTEXT, _TIME, _POSE, _IMAGES, _LASERS = 1, 2, 3, 4, 5
"""Fields of ``Frame``."""


class TfRecords:
    """Release 1.4 of the dataset; see ``Release``. It travels to another process without what it holds."""

    def __init__(self) -> None:
        self._indices: dict[Path, Index] = {}
        self._latest: tuple[Path, int, Message] | None = None

    def __reduce__(self) -> tuple[type["TfRecords"], tuple[()]]:
        return type(self), ()

    def index(self, folder: Path) -> Index:
        """See ``Release``; skips over the bytes of images and LiDARs."""
        if folder not in self._indices:
            segments = [_segment(folder, name) for name in listing(folder) if name.endswith(".tfrecord")]
            paths = [_path(folder, segment) for segment in segments]
            self._indices[folder] = cached(f"waymo-v1-{folder.name}", paths, lambda: _index(folder, segments))
        return self._indices[folder]

    def files(self, key: Key) -> tuple[Path, ...]:
        """See ``Release``: one file holds everything."""
        return (_path(key.folder, key.segment),)

    def part(self, key: Key, component: str) -> Path:
        """See ``Release``."""
        return _path(key.folder, key.segment)

    def image(self, key: Key) -> bytes:
        """See ``Release``."""
        image = self._image(key)
        with reading(_path(key.folder, key.segment)):
            return bytes(image.bytes(2))

    def annotation(self, key: Key) -> tuple[bytes, int]:
        """See ``Release``."""
        image = self._image(key)
        with reading(_path(key.folder, key.segment)):
            label = image.message(10)
            return bytes(label.bytes(2)), label.integer(1)

    def calibrations(self, folder: Path, segment: str) -> Mapping[int, CameraCalibration] | None:
        """See ``Release``; every record repeats them, the first one's are taken."""
        with reading(_path(folder, segment)):
            _, record = next(records(mapped(_path(folder, segment))))
            context = Message(_head(record, segment)[0])
            return dict(map(_camera_calibration, context.messages(2)))

    def poses(self, folder: Path, segment: str) -> Mapping[tuple[int, int], ImagePose]:
        """See ``Release``."""
        found = {}
        with reading(_path(folder, segment)):
            for _, record in records(mapped(_path(folder, segment))):
                _, time, images = _head(record, segment)
                for camera, image in images.items():
                    found[time, camera] = _image_pose(image, f"the image of camera {camera} at {time}")
        return found

    def scan(self, key: Key, *, second: bool) -> Scan:
        """See ``Release``."""
        frame = self._frame(key)
        with reading(_path(key.folder, key.segment)):
            lasers = {}
            for laser in frame.messages(_LASERS):
                number = numbered(laser.integer(1), LASERS, "LiDAR")
                if number in lasers:
                    raise ValueError(f"LiDAR {number} twice at {key.time}")
                lasers[number] = _laser(laser, number, second)
            if TOP not in lasers:
                raise ValueError(f"no LiDAR TOP at {key.time}")
            calibrations = {}
            for laser in frame.message(_CONTEXT).messages(3):
                calibrations[numbered(laser.integer(1), LASERS, "LiDAR")] = laser_calibration(
                    laser.message(5).numbers(1, "<f8"),
                    laser.numbers(2, "<f8"),
                    laser.number(3, "<d"),
                    laser.number(4, "<d"),
                )
            pose = rigid(frame.message(_POSE).numbers(1, "<f8"), f"the pose of the frame at {key.time}")
            return Scan(world_from_vehicle=pose, lasers=lasers, calibrations=calibrations)

    def _image(self, key: Key) -> Message:
        frame = self._frame(key)
        with reading(_path(key.folder, key.segment)):
            for image in frame.messages(_IMAGES):
                if image.integer(1) == key.camera:
                    return image
            raise ValueError(f"no image of camera {key.camera} at {key.time}")

    def _frame(self, key: Key) -> Message:
        """The whole record of a frame, its checksum proved; the latest one is kept."""
        path = _path(key.folder, key.segment)
        with reading(path):
            offset, cameras = self._find(key)
            latest = self._latest
            if latest is None or latest[:2] != (path, offset):
                frame = Message(whole(path, offset))
                seen = sorted(image.integer(1) for image in frame.messages(_IMAGES))
                if (frame.integer(_TIME), seen) != (key.time, cameras):
                    raise ValueError(f"the record at byte {offset} is of another frame than listed")
                latest = self._latest = (path, offset, frame)
            return latest[2]

    def _find(self, key: Key) -> tuple[int, list[int]]:
        """Offset of a frame's record, and its cameras."""
        index = self.index(key.folder)
        number = int(np.searchsorted(index["segments"], key.segment))
        if key.segment not in index["segments"][number : number + 1]:
            raise ValueError("no frame with an annotation")
        first, last = np.searchsorted(index["segment"], [number, number + 1])
        first, last = first + np.searchsorted(index["time"][first:last], [key.time, key.time + 1])
        if first == last:
            raise ValueError(f"no frame at {key.time}")
        return int(index["offset"][first]), index["camera"][first:last].tolist()


def _segment(folder: Path, name: str) -> str:
    found = _NAME.fullmatch(name)
    if found is None:
        raise DatasetError(
            f"{folder / name} is not segment-<context>_with_camera_labels.tfrecord; remove it, or download release "
            f"1.4.2 or later"
        )
    return found[1]


def _path(folder: Path, segment: str) -> Path:
    return folder / f"segment-{segment}_with_camera_labels.tfrecord"


def _index(folder: Path, segments: list[str]) -> Index:
    names: list[str] = []
    rows: list[tuple[int, ...]] = []
    for segment in sorted(segments):
        found: list[tuple[int, int, bool, int]] = []
        with reading(_path(folder, segment)):
            for offset, record in records(mapped(_path(folder, segment))):
                _, time, images = _head(record, segment)
                found += [(time, camera, bool(image.message(10).bytes(2)), offset) for camera, image in images.items()]
            if len({row[:2] for row in found}) < len(found):
                raise ValueError("two records of one time")
            if not found:
                raise ValueError("no record holds an image")
        if any(row[2] for row in found):
            rows += [(len(names), *row) for row in sorted(found)]
            names.append(segment)
    table = np.array(rows, np.int64).reshape(-1, 5)
    return {
        "segments": np.array(names, np.str_),
        "segment": table[:, 0].astype(np.int32),
        "time": table[:, 1].copy(),
        "camera": table[:, 2].astype(np.int8),
        "labelled": table[:, 3].astype(np.bool_),
        "offset": table[:, 4].copy(),
    }


def _head(record: memoryview, segment: str) -> tuple[memoryview, int, dict[int, Message]]:
    """Context, time and images of a frame; stops before the LiDARs, which writers put behind."""
    context, time, images = None, None, {}
    for number, value in fields(record):
        if number > _IMAGES and images:
            break
        if number == _TIME and isinstance(value, int):
            time = value
        elif number == _CONTEXT and not isinstance(value, int):
            context = value
        elif number == _IMAGES and not isinstance(value, int):
            image = Message(value)
            camera = numbered(image.integer(1), CAMERAS, "camera")
            if camera in images:
                raise ValueError(f"camera {camera} twice at {time}")
            images[camera] = image
    if context is None or time is None or not 0 < time < 1 << 62:
        raise ValueError("a frame has no context or no timestamp")
    if (name := bytes(Message(context).bytes(1)).decode("utf-8")) != segment:
        raise ValueError(f"a frame of segment {name!r}")
    return context, time, images


def _camera_calibration(message: Message) -> tuple[int, CameraCalibration]:
    camera = numbered(message.integer(1), CAMERAS, "camera")
    return camera, CameraCalibration(
        intrinsic=finite(message.numbers(2, "<f8"), 9, f"the intrinsic of camera {camera}"),
        vehicle_from_camera=rigid(message.message(3).numbers(1, "<f8"), f"the extrinsic of camera {camera}"),
        size=(message.integer(5), message.integer(4)),
        direction=message.integer(6),
    )


def _image_pose(image: Message, what: str) -> ImagePose:
    if absent := [number for number in (3, 4, 5, 6, 7, 8) if number not in image]:
        raise ValueError(f"{what} lacks field {absent[0]}")
    velocity = image.message(4)
    motion = [velocity.number(i, "<f") for i in (1, 2, 3)] + [velocity.number(i, "<d") for i in (4, 5, 6)]
    clock = np.array([image.number(i, "<d") for i in (5, 6, 7, 8)])
    return ImagePose(
        world_from_vehicle=rigid(image.message(3).numbers(1, "<f8"), f"the pose of {what}"),
        linear=finite(np.array(motion[:3]), 3, f"the velocity of {what}"),
        angular=finite(np.array(motion[3:]), 3, f"the angular velocity of {what}"),
        clock=finite(clock, 4, f"the clock of {what}"),
    )


def _laser(message: Message, number: int, second: bool) -> Laser:
    first = message.message(2)
    returns = [_matrix(first, 2, 4)]
    if second and len(message.message(3).bytes(2)):
        returns.append(_matrix(message.message(3), 2, 4))
    return Laser(returns=tuple(returns), poses=_matrix(first, 4, 6) if number == TOP else None)


def _matrix(message: Message, field: int, channels: int) -> np.ndarray:
    """A compressed MatrixFloat as (H, W, channels)."""
    if field not in message:
        raise ValueError(f"a range image lacks field {field}")
    matrix = Message(memoryview(zlib.decompress(message.bytes(field))))
    return image_grid(matrix.numbers(1, "<f4"), matrix.message(2).integers(1), channels, "a range image")

"""The bytes of the Waymo Open Dataset's second release: one parquet file per segment and component."""

import functools
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wsss.benchmark.errors import DatasetError
from wsss.datasets.miniature import files
from wsss.datasets.miniature.waymo_scan import DIVISOR, Moment, Picture, Recording, Scan

_KEYS = {
    "segment_context_name": pa.string(),
    "frame_timestamp_micros": pa.int64(),
    "camera_name": pa.int8(),
    "laser_name": pa.int8(),
}
_MATRIX, _NUMBER, _FLOATS = pa.list_(pa.float64(), 16), pa.float64(), pa.list_(pa.float32())
_INTRINSIC = ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
_TYPES: dict[str, tuple[str, dict[str, pa.DataType]]] = {
    "camera_image": ("CameraImageComponent", {
        "image": pa.binary(), "pose.transform": _MATRIX,
        **{f"velocity.linear_velocity.{axis}": pa.float32() for axis in "xyz"},
        **{f"velocity.angular_velocity.{axis}": _NUMBER for axis in "xyz"},
        "pose_timestamp": _NUMBER,
        **{f"rolling_shutter_params.{what}": _NUMBER
           for what in ("shutter", "camera_trigger_time", "camera_readout_done_time")},
    }),
    "camera_segmentation": ("CameraSegmentationLabelComponent", {
        "panoptic_label_divisor": pa.int32(), "panoptic_label": pa.binary(),
        "instance_id_to_global_id_mapping.local_instance_ids": pa.list_(pa.int32()),
        "instance_id_to_global_id_mapping.global_instance_ids": pa.list_(pa.int32()),
        "instance_id_to_global_id_mapping.is_tracked": pa.list_(pa.bool_()),
        "sequence_id": pa.string(), "num_cameras_covered": pa.binary(),
    }),
    "camera_calibration": ("CameraCalibrationComponent", {
        **{f"intrinsic.{name}": _NUMBER for name in _INTRINSIC},
        "extrinsic.transform": _MATRIX, "width": pa.int32(), "height": pa.int32(),
        "rolling_shutter_direction": pa.int8(),
    }),
    "vehicle_pose": ("VehiclePoseComponent", {"world_from_vehicle.transform": _MATRIX}),
    "lidar": ("LiDARComponent", {
        f"range_image_return{k}.{what}": kind
        for k in (1, 2) for what, kind in (("values", _FLOATS), ("shape", pa.list_(pa.int32(), 3)))
    }),
    "lidar_pose": ("LiDARPoseComponent", {
        "range_image_return1.values": _FLOATS, "range_image_return1.shape": pa.list_(pa.int32(), 3),
    }),
    "lidar_calibration": ("LiDARCalibrationComponent", {
        "extrinsic.transform": _MATRIX, "beam_inclination.min": _NUMBER, "beam_inclination.max": _NUMBER,
        "beam_inclination.values": pa.list_(pa.float64()),
    }),
}  # fmt: skip
_ROWS = {"camera_image": 6, "camera_segmentation": 6, "lidar": 4, "lidar_pose": 4}
"""Rows of a group, so that readers can skip groups; the small tables are one group."""

COMPONENTS = tuple(_TYPES)
"""The components that are written."""

_Row = tuple[dict[str, Any], list[Any]]
"""Keys, and values in the order of the component's columns."""


def maker(component: str) -> Callable[[Recording], bytes]:
    """What makes the file of a component."""
    return functools.partial(parquet, component)


def parquet(component: str, recording: Recording) -> bytes:
    """The file of a component."""
    rows, (name, types) = list(_rows(component, recording)), _TYPES[component]
    keys = ["segment_context_name", *rows[0][0]]
    schema = [pa.field("index", pa.string()), *(pa.field(f"key.{key}", _KEYS[key]) for key in keys)]
    schema += [pa.field(f"[{name}].{column}", kind) for column, kind in types.items()]
    listed = []
    for key, values in rows:
        full = [recording.context, *key.values()]
        listed.append([";".join(map(str, full)), *full, *values])
    columns = [pa.array(column, field.type) for column, field in zip(zip(*listed, strict=True), schema, strict=True)]
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=pa.schema(schema)), sink, compression="zstd", compression_level=9,
        row_group_size=_ROWS.get(component, 1000), use_dictionary=False,
    )  # fmt: skip
    return sink.getvalue()


def _rows(component: str, recording: Recording) -> Iterator[_Row]:
    if component == "camera_calibration":
        for camera in recording.cameras:
            yield {"camera_name": camera.name}, [
                *camera.intrinsic, camera.vehicle_from_camera.ravel(), camera.width, camera.height, camera.direction
            ]  # fmt: skip
    if component == "lidar_calibration":
        for laser in recording.lasers:
            yield {"laser_name": laser.name}, [
                laser.vehicle_from_laser.ravel(), laser.low, laser.high, laser.inclinations
            ]  # fmt: skip
    for frame in recording.frames:
        key = {"frame_timestamp_micros": frame.timestamp}
        if component == "vehicle_pose":
            yield key, [frame.pose.ravel()]
        for picture in frame.pictures:
            if component == "camera_image":
                yield {**key, "camera_name": picture.camera}, _image(picture)
            if component == "camera_segmentation" and picture.label is not None:
                yield {**key, "camera_name": picture.camera}, _segmentation(recording, frame, picture)
        for scan in frame.scans:
            if component == "lidar":
                yield {**key, "laser_name": scan.laser}, _returns(scan)
            if component == "lidar_pose" and scan.poses is not None:
                yield {**key, "laser_name": scan.laser}, [scan.poses.ravel(), scan.poses.shape]


def _image(picture: Picture) -> list[Any]:
    times = picture.pose_time, picture.shutter, picture.trigger, picture.done
    return [files.jpeg(picture.rgb, 95), picture.pose.ravel(), *picture.linear, *picture.angular, *times]


def sequence(recording: Recording) -> str:
    """The name of a run of labels with common instance numbers."""
    return hashlib.md5(recording.context.encode(), usedforsecurity=False).hexdigest()[:16]


def _segmentation(recording: Recording, frame: Moment, picture: Picture) -> list[Any]:
    label = picture.label
    assert label is not None, frame.timestamp
    return [
        DIVISOR, files.png(label.panoptic), label.local, label.everywhere, [True] * len(label.local),
        sequence(recording), files.png(label.covered),
    ]  # fmt: skip


def _returns(scan: Scan) -> list[Any]:
    return [scan.image.ravel(), scan.image.shape, np.full(scan.image.size, -1, np.float32), scan.image.shape]


def digest(root: Path, tables: Iterable[Path], pictures: Iterable[Path], note: str) -> str:
    """A sha256 of what files say: parquet tables with decoded images, PNG pictures, and a note."""
    sha = hashlib.sha256()
    for path in tables:
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{path} is damaged; delete it and build the miniature again") from error
        sha.update(f"{path.relative_to(root)} {table.num_rows}\n".encode())
        for name in table.column_names:
            sha.update(f"{name} {table.schema.field(name).type}\n".encode())
            for content in _contents(table[name].combine_chunks(), path):
                sha.update(content)
    for path in pictures:
        sha.update(f"{path.relative_to(root)}\n".encode())
        sha.update(_pixels(path.read_bytes(), path))
    sha.update(note.encode())
    return sha.hexdigest()


def _contents(column: pa.Array, path: Path) -> Iterator[bytes]:
    if pa.types.is_binary(column.type):
        yield from (_pixels(value, path) for value in column.to_pylist())
        return
    while pa.types.is_nested(column.type):
        column = column.flatten()
    if pa.types.is_string(column.type):
        yield "\n".join(column.to_pylist()).encode()
    else:
        yield column.to_numpy(zero_copy_only=False).tobytes()


def _pixels(encoded: bytes, path: Path) -> bytes:
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED) if encoded else None
    if image is None:
        raise DatasetError(f"{path} is damaged; delete it and build the miniature again")
    return f"{image.shape} {image.dtype}\n".encode() + image.tobytes()

"""Waymo Open 2.0: one parquet file per segment and component, ``<split>/<component>/<context>.parquet``."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsss.benchmark.errors import DatasetError, Unsupported
from wsss.datasets._files import listing
from wsss.datasets._index import cached
from wsss.datasets._waymo_geometry import laser_calibration
from wsss.datasets._waymo_parquet import CAMERA, LASER, TIME, Component, floats, grid, of, spelled, transform
from wsss.datasets._waymo_records import (
    TOP,
    CameraCalibration,
    ImagePose,
    Index,
    Key,
    Laser,
    LaserCalibration,
    Scan,
    reading,
)

_MOTION = tuple(f"velocity.{kind}_velocity.{axis}" for kind in ("linear", "angular") for axis in "xyz")
_CLOCK = (
    "pose_timestamp",
    "rolling_shutter_params.shutter",
    "rolling_shutter_params.camera_trigger_time",
    "rolling_shutter_params.camera_readout_done_time",
)
_INTRINSIC = tuple(f"intrinsic.{name}" for name in ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3"))


class Parquet:
    """Release 2.0 of the dataset; see ``Release``. It travels to another process without what it holds open."""

    def __init__(self) -> None:
        image, label = "CameraImageComponent", "CameraSegmentationLabelComponent"
        range_images = tuple(f"range_image_return{i}.{part}" for i in (1, 2) for part in ("values", "shape"))
        self._image = Component("camera_image", image, (TIME, CAMERA), ("image",))
        self._label = Component(
            "camera_segmentation", label, (TIME, CAMERA), ("panoptic_label", "panoptic_label_divisor")
        )
        self._calibration = Component("camera_calibration", "CameraCalibrationComponent", (CAMERA,), ())
        self._vehicle = Component("vehicle_pose", "VehiclePoseComponent", (TIME,), ("world_from_vehicle.transform",))
        self._lidar = Component("lidar", "LiDARComponent", (TIME, LASER), range_images[:2])
        self._lidar_second = Component("lidar", "LiDARComponent", (TIME, LASER), range_images[2:])
        self._lidar_pose = Component("lidar_pose", "LiDARPoseComponent", (TIME, LASER), range_images[:2])
        self._lidar_calibration = Component("lidar_calibration", "LiDARCalibrationComponent", (LASER,), ())

    def __reduce__(self) -> tuple[type["Parquet"], tuple[()]]:
        return type(self), ()

    def index(self, folder: Path) -> Index:
        """See ``Release``; reads key columns alone, and those of images only where a segment is labelled.

        A segment without labels has a file of labels without rows, or none.
        """
        images, labels = (
            {Path(name).stem for name in listing(folder / tag) if name.endswith(".parquet")}
            for tag in (self._image.tag, self._label.tag)
        )
        paths = [self._label.path(folder, segment) for segment in sorted(labels)]
        paths += [self._image.path(folder, segment) for segment in sorted(images & labels)]
        return cached(f"waymo-v2-{folder.name}", paths, lambda: self._index(folder, sorted(labels)))

    def _index(self, folder: Path, segments: list[str]) -> Index:
        names: list[str] = []
        rows: list[tuple[int, int, int, bool]] = []
        for segment in segments:
            labelled = self._label.opened(folder, segment).place
            if not labelled:
                continue
            opened = self._image.opened(folder, segment)
            if absent := sorted(labelled.keys() - opened.place.keys()):
                with reading(opened.path):
                    raise ValueError(f"no row for the labelled {spelled(self._image.keys, absent[0])}")
            rows += [(len(names), *key, key in labelled) for key in sorted(opened.place)]  # pyright: ignore
            names.append(segment)
        table = np.array(rows, np.int64).reshape(-1, 4)
        return {
            "segments": np.array(names, np.str_),
            "segment": table[:, 0].astype(np.int32),
            "time": table[:, 1],
            "camera": table[:, 2].astype(np.int8),
            "labelled": table[:, 3].astype(np.bool_),
            "offset": np.zeros(len(table), np.int64),
        }

    def files(self, key: Key) -> tuple[Path, ...]:
        """See ``Release``."""
        return self._image.path(key.folder, key.segment), self._label.path(key.folder, key.segment)

    def part(self, key: Key, component: str) -> Path:
        """See ``Release``."""
        return key.folder / component / f"{key.segment}.parquet"

    def image(self, key: Key) -> bytes:
        """See ``Release``."""
        row = self._image.row(key.folder, key.segment, (key.time, key.camera))
        with reading(self._image.path(key.folder, key.segment)):
            return of(bytes, row["image"], "image")

    def annotation(self, key: Key) -> tuple[bytes, int]:
        """See ``Release``."""
        row = self._label.row(key.folder, key.segment, (key.time, key.camera))
        with reading(self._label.path(key.folder, key.segment)):
            label = of(bytes, row["panoptic_label"], "panoptic_label")
            return label, of(int, row["panoptic_label_divisor"], "panoptic_label_divisor")

    def calibrations(self, folder: Path, segment: str) -> Mapping[int, CameraCalibration] | None:
        """See ``Release``."""
        if not (folder / self._calibration.tag).is_dir():
            return None
        sizes = ("width", "height", "rolling_shutter_direction")
        columns = (*_INTRINSIC, *sizes, "extrinsic.transform")
        found = {}
        for (camera,), row in self._calibration.rows(folder, segment, columns):
            with reading(self._calibration.path(folder, segment)):
                width, height, direction = (of(int, row[name], name) for name in sizes)
                found[camera] = CameraCalibration(
                    intrinsic=floats(row, _INTRINSIC, f"the intrinsic of camera {camera}"),
                    vehicle_from_camera=transform(row, "extrinsic.transform"),
                    size=(height, width),
                    direction=direction,
                )
        return found

    def poses(self, folder: Path, segment: str) -> Mapping[tuple[int, int], ImagePose]:
        """See ``Release``."""
        found = {}
        for (time, camera), row in self._image.rows(folder, segment, ("pose.transform", *_MOTION, *_CLOCK)):
            with reading(self._image.path(folder, segment)):
                motion = floats(row, _MOTION, f"the velocity at {time}")
                found[time, camera] = ImagePose(
                    world_from_vehicle=transform(row, "pose.transform"),
                    linear=motion[:3],
                    angular=motion[3:],
                    clock=floats(row, _CLOCK, f"the clock at {time}"),
                )
        return found

    def scan(self, key: Key, *, second: bool) -> Scan:
        """See ``Release``."""
        if not (key.folder / self._lidar.tag).is_dir():
            raise Unsupported(
                f"Waymo Open without {key.folder / self._lidar.tag}: download component lidar of {key.folder.name}"
            )
        for component in (self._lidar_pose, self._lidar_calibration, self._vehicle):
            if not (key.folder / component.tag).is_dir():
                raise DatasetError(
                    f"{key.folder / component.tag} does not exist, but lidar cannot be placed in the world without; "
                    f"download component {component.tag} of {key.folder.name}"
                )
        place = self._lidar.opened(key.folder, key.segment).place
        lasers = [laser for time, laser in place if time == key.time]
        if TOP not in lasers:
            with reading(self._lidar.path(key.folder, key.segment)):
                raise ValueError(f"no row for {spelled(self._lidar.keys, (key.time, TOP))}")
        vehicle = self._vehicle.row(key.folder, key.segment, (key.time,))
        with reading(self._vehicle.path(key.folder, key.segment)):
            pose = transform(vehicle, "world_from_vehicle.transform")
        return Scan(
            world_from_vehicle=pose,
            lasers={laser: self._laser(key, laser, second) for laser in lasers},
            calibrations=self._laser_calibrations(key),
        )

    def _laser(self, key: Key, laser: int, second: bool) -> Laser:
        row = self._lidar.row(key.folder, key.segment, (key.time, laser))
        with reading(self._lidar.path(key.folder, key.segment)):
            returns = [grid(row, "range_image_return1", 4)]
        if second:
            row = self._lidar_second.row(key.folder, key.segment, (key.time, laser))
            with reading(self._lidar.path(key.folder, key.segment)):
                values = row["range_image_return2.values"]
                if values is not None and len(values):
                    returns.append(grid(row, "range_image_return2", 4))
        poses = None
        if laser == TOP:
            row = self._lidar_pose.row(key.folder, key.segment, (key.time, laser))
            with reading(self._lidar_pose.path(key.folder, key.segment)):
                poses = grid(row, "range_image_return1", 6)
        return Laser(returns=tuple(returns), poses=poses)

    def _laser_calibrations(self, key: Key) -> dict[int, LaserCalibration]:
        beams = tuple(f"beam_inclination.{name}" for name in ("min", "max", "values"))
        found = {}
        rows = self._lidar_calibration.rows(key.folder, key.segment, ("extrinsic.transform", *beams))
        for (laser,), row in rows:
            with reading(self._lidar_calibration.path(key.folder, key.segment)):
                lowest, highest = floats(row, beams[:2], f"beam_inclination of LiDAR {laser}")
                values = row[beams[2]] if row[beams[2]] is not None else np.zeros(0)
                extrinsic = of(np.ndarray, row["extrinsic.transform"], "extrinsic.transform")
                found[laser] = laser_calibration(extrinsic, values, lowest, highest)
        return found

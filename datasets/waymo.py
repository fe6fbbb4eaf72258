"""Waymo Open: 25 classes, cameras FRONT, FRONT_LEFT and FRONT_RIGHT, five LiDARs, exact poses.

Reads release 2.0.0 or later (parquet) or 1.4.2 or later (tfrecord): those before have no, or faulty, 2D labels. Of
release 2.0 images and labels need the components ``camera_image`` and ``camera_segmentation``; cameras also
``camera_calibration``; LiDAR also ``lidar``, ``lidar_pose``, ``lidar_calibration`` and ``vehicle_pose``. The tfrecords
of release 1.4 hold everything. For training in random order, rewrite ``camera_image`` with small row groups
(``pyarrow.parquet.write_table(..., row_group_size=4)``): a row group is decoded as a whole.

Sources: Sun et al., "Scalability in Perception for Autonomous Driving: Waymo Open Dataset" (CVPR 2020); Mei et al.,
"Waymo Open Dataset: Panoramic Video Panoptic Segmentation" (ECCV 2022); the official code and its message formats.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Int32, UInt8, UInt16

from wsss.benchmark.dataset import Dataset, DatasetMissing
from wsss.benchmark.errors import DatasetError, UsageError, unknown_name
from wsss.benchmark.types import WEAK_KINDS, Camera, Classes, Frame, Scene, Split, Sweep, WeakKind
from wsss.datasets._waymo_geometry import camera, top_position, world_points
from wsss.datasets._waymo_labels import (
    TABLE,
    THINGS,
    VALUES,
    count_unknown,
    image_size,
    read_jpeg,
    read_panoptic,
    train_ids,
)
from wsss.datasets._waymo_records import CAMERAS as NUMBERS
from wsss.datasets._waymo_records import CameraCalibration, Faulty, Key, Release, blaming, reading

CAMERAS = ("FRONT", "FRONT_LEFT", "FRONT_RIGHT")
"""The cameras of Rewis3d's protocol; SIDE_LEFT and SIDE_RIGHT are 886 instead of 1280 rows high."""

_FOLDERS: dict[str, str] = {"train": "training", "val": "validation"}

Version = Literal["v1", "v2"]


class Waymo(Dataset):
    """Waymo Open; one scene per segment that has an annotated image, all its frames labelled or not.

    Segments without any 2D label (102 of 798 in training, 182 of 202 in validation) are left out; in release 2.0 they
    have an empty file of labels, or none. Both releases give the same frames, images, labels, cameras and sweeps.

    Args:
        root: Folder with ``training`` and ``validation``.
        release: ``v2`` (parquet) or ``v1`` (tfrecord); None reads v2 where a split has ``camera_image``, else v1.
        cameras: Those whose images make up the scenes.
        both_returns: Whether a sweep also holds what a LiDAR pulse met second.

    Raises:
        UsageError: An unknown camera, or none.
    """

    title: ClassVar[str] = "Waymo Open"
    classes: ClassVar[Classes] = Classes(
        names=tuple(name for _, name, _ in TABLE),
        colors=tuple(color for _, _, color in TABLE),
        things=THINGS,
        without_surface=frozenset({"sky"}),
    )
    labels: ClassVar[frozenset[WeakKind]] = frozenset(WEAK_KINDS)
    sources: ClassVar[frozenset[str]] = frozenset({"video", "poses", "lidar"})
    homepage: ClassVar[str] = "https://waymo.com/open"
    license: ClassVar[str] = "Waymo Dataset License Agreement for Non-Commercial Use"
    layout: ClassVar[str] = """
waymo/
  {training,validation}/camera_image/<context>.parquet            release 2.0.0 or later: images
  {training,validation}/camera_segmentation/<context>.parquet     labels
  {training,validation}/camera_calibration/<context>.parquet      optional: cameras
  {training,validation}/{lidar,lidar_pose,lidar_calibration,vehicle_pose}/<context>.parquet    optional: LiDAR
or
  {training,validation}/segment-<context>_with_camera_labels.tfrecord    release 1.4.2 or later: everything
"""

    def __init__(
        self,
        root: Path,
        *,
        release: Version | None = None,
        cameras: Sequence[str] = CAMERAS,
        both_returns: bool = False,
    ) -> None:
        super().__init__(root)
        for name in cameras:
            if name not in NUMBERS:
                raise unknown_name("camera of Waymo Open", name, NUMBERS)
        if not cameras:
            raise UsageError("Waymo Open needs at least one camera")
        self._release: Version | None = release
        self._cameras = {NUMBERS[name]: name for name in sorted(set(cameras), key=NUMBERS.__getitem__)}
        self._both_returns = both_returns
        self._releases: dict[Version, Release] = {}
        self._scenes: dict[str, tuple[Scene, ...]] = {}
        self._calibrated: dict[tuple[Path, str], Mapping[int, CameraCalibration] | None] = {}
        self._latest: tuple[Key, Sweep] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_latest": None, "_calibrated": {}}

    def scenes(self, split: Split) -> Sequence[Scene]:
        """One scene per segment with labels; the official test split is not offered, its labels are withheld."""
        if split not in _FOLDERS:
            raise UsageError(f"Waymo Open has no split {split!r} with public labels; use train or val")
        if split not in self._scenes:
            self._scenes[split] = self._open(self.root / _FOLDERS[split])
        return self._scenes[split]

    def image(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        """The camera's image as stored, lens distortion and rolling shutter included."""
        key, release = self._find(frame)
        calibration = (self._calibrations(key, release) or {}).get(key.camera)
        data = release.image(key)
        with reading(frame.image):
            return read_jpeg(data, None if calibration is None else calibration.size, f"the image {frame.id}")

    def dense(self, frame: Frame) -> UInt8[np.ndarray, "h w"] | None:
        """The class of every pixel as train id."""
        if not frame.labelled:
            return None
        values, divisor = self._panoptic(frame)
        return train_ids(divisor)[values]

    def instances(self, frame: Frame) -> Int32[np.ndarray, "h w"] | None:
        """The panoptic label: class * divisor + instance; parts of a class without instance (0) share one id."""
        return self._panoptic(frame)[0].astype(np.int32) if frame.labelled else None

    def unknown_ids(self, frame: Frame) -> dict[int, int]:
        """Pixels per class id of an annotation that the format does not define."""
        return count_unknown(*self._panoptic(frame))

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """The files of image and label: one tfrecord, or two parquet files; each holds its whole segment."""
        key, release = self._find(frame)
        return release.files(key)

    def cameras(self, scene: Scene) -> tuple[Camera | None, ...]:
        """One camera per image, at the image's own pose; None without the component ``camera_calibration``.

        Raises:
            DatasetError: A camera or a pose is missing, not finite, or no rigid transform.
        """
        first, release = self._find(scene.frames[0])
        calibrations = self._calibrations(first, release)
        if calibrations is None:
            return (None,) * len(scene.frames)
        poses = release.poses(first.folder, first.segment)
        found = []
        with blaming(release, first):
            for frame in scene.frames:
                key, _ = self._find(frame)
                if key.camera not in calibrations:
                    raise Faulty("camera_calibration", f"camera {frame.camera} has no calibration")
                if (key.time, key.camera) not in poses:
                    raise Faulty("camera_image", f"the image {frame.id} has no pose")
                found.append(camera(calibrations[key.camera], poses[key.time, key.camera]))
        return tuple(found)

    def sweep(self, scene: Scene, index: int) -> Sweep | None:
        """All LiDARs around a frame's timestamp: in the world, each point of TOP placed by the pose of its own time.

        Raises:
            Unsupported: Component ``lidar`` was not downloaded.
            DatasetError: Another component that places the points is absent, or a file is damaged.
        """
        key, release = self._find(scene.frames[index])
        around = Key(folder=key.folder, segment=key.segment, time=key.time, camera=0)
        if self._latest is None or self._latest[0] != around:  # the cameras of one timestamp share it
            scan = release.scan(around, second=self._both_returns)
            with blaming(release, key):
                sweep = Sweep(xyz=world_points(scan), origin=top_position(scan), in_world=True)
            self._latest = (around, sweep)
        return self._latest[1]

    def _reader(self, release: Version) -> Release:
        """The reader of a release; imported when needed, because pyarrow takes a while."""
        if release not in self._releases:
            if release == "v1":
                from wsss.datasets._waymo_v1 import TfRecords

                self._releases[release] = TfRecords()
            else:
                from wsss.datasets._waymo_v2 import Parquet

                self._releases[release] = Parquet()
        return self._releases[release]

    def _open(self, folder: Path) -> tuple[Scene, ...]:
        release = self._release or ("v2" if (folder / "camera_image").is_dir() else "v1")
        if release == "v2":
            needed = [folder / tag for tag in ("camera_image", "camera_segmentation")]
            found = [path for path in needed if path.is_dir()]
        else:
            needed = [folder]
            found = [path for path in needed if any(path.glob("*.tfrecord"))]
        if found != needed:
            raise DatasetMissing(type(self), next(path for path in needed if path not in found))
        index = self._reader(release).index(folder)
        chosen = np.isin(index["camera"], list(self._cameras))
        index = {name: column if name == "segments" else column[chosen] for name, column in index.items()}
        with_labels = np.unique(index["segment"][index["labelled"]]).tolist()
        if not with_labels:
            raise DatasetError(
                f"{folder} has no image with a 2D label; download release 1.4.2 or later, or component "
                f"camera_segmentation of {folder.name}"
            )
        return tuple(self._scene(release, folder, index, number) for number in with_labels)

    def _scene(self, release: Version, folder: Path, index: Mapping[str, np.ndarray], number: int) -> Scene:
        """One segment; ``index`` holds the chosen cameras alone."""
        segment = str(index["segments"][number])
        path = self._reader(release).files(Key(folder=folder, segment=segment, time=0, camera=0))[0]
        rows = slice(*np.searchsorted(index["segment"], [number, number + 1]))
        times, cameras, labelled = (index[name][rows].tolist() for name in ("time", "camera", "labelled"))
        frames = [
            Frame(
                id=f"{segment}_{time}_{self._cameras[camera]}",
                image=path,
                labelled=is_labelled,
                time=(time - times[0]) * 1e-6,
                camera=self._cameras[camera],
            )
            for time, camera, is_labelled in zip(times, cameras, labelled, strict=True)
        ]
        return Scene(id=segment, frames=tuple(frames))

    def _find(self, frame: Frame) -> tuple[Key, Release]:
        """Where a frame of this dataset stands, and the reader of its release."""
        segment, _, time = frame.id.removesuffix(f"_{frame.camera}").rpartition("_")
        parquet = frame.image.suffix == ".parquet"
        folder = frame.image.parents[1 if parquet else 0]
        key = Key(folder=folder, segment=segment, time=int(time), camera=NUMBERS[frame.camera])
        return key, self._reader("v2" if parquet else "v1")

    def _calibrations(self, key: Key, release: Release) -> Mapping[int, CameraCalibration] | None:
        """The calibrations of a segment, kept: they are few and small."""
        where = key.folder, key.segment
        if where not in self._calibrated:
            self._calibrated[where] = release.calibrations(*where)
        return self._calibrated[where]

    def _panoptic(self, frame: Frame) -> tuple[UInt16[np.ndarray, "h w"], int]:
        """Class * divisor + instance of every pixel, and the divisor, which every label states anew."""
        key, release = self._find(frame)
        data, divisor = release.annotation(key)
        image = release.image(key)
        with reading(frame.image):
            size = image_size(image)
        with reading(release.part(key, "camera_segmentation")):
            if not 0 < divisor < VALUES:
                raise ValueError(f"a divisor of {divisor}")
            return read_panoptic(data, size, f"the label of {frame.id}"), divisor

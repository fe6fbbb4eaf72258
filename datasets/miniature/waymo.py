"""Miniature Waymo Open Dataset: segments of a moving vehicle with three rolling-shutter cameras and two lasers.

A segment is one world. Both releases of the dataset are written below one root: v2 (parquet) and v1 (tfrecord).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature import files, waymo_v1, waymo_v2
from wsss.datasets.miniature.files import SizeName, Unit
from wsss.datasets.miniature.waymo_rig import CAMERAS
from wsss.datasets.miniature.waymo_scan import Plan, Recording, record

VERSION = 1
"""Raise it when what is written changes."""

_Split = Literal["training", "validation"]


@dataclass(frozen=True)
class Size:
    """How large a miniature is."""

    width: int
    height: int
    columns: int
    """Of the top laser's range image."""
    segments: dict[_Split, int]
    frames: int
    """Timestamps of a segment, a tenth of a second apart."""
    labelled: dict[_Split, tuple[int, ...]]
    """Indices of the timestamps with labels: in training as in the real groups of five, in validation at 5 Hz."""


SHAPES: dict[SizeName, Size] = {
    "full": Size(240, 160, 256, {"training": 12, "validation": 6}, 13,
                 {"training": (0, 4, 6, 8, 12), "validation": (0, 2, 4, 6, 8, 10, 12)}),
    "half": Size(240, 160, 256, {"training": 6, "validation": 6}, 13,
                 {"training": (0, 4, 6, 8, 12), "validation": (0, 2, 4, 6, 8, 10, 12)}),
    "tiny": Size(120, 80, 128, {"training": 2, "validation": 1}, 5,
                 {"training": (0, 4), "validation": (0, 4)}),
}  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """A run of frames: its place in the dataset and its name."""

    split: _Split
    number: int
    context: str


def segments(size: SizeName, seed: int) -> tuple[Segment, ...]:
    """The segments of a miniature, with context names like the real ones."""
    found = []
    for split, count in SHAPES[size].segments.items():
        for number in range(count):
            rng = stream(seed, "miniature waymo context", split, number)
            begin = 20 * int(rng.integers(2, 290))
            code = int(rng.integers(10**15, 9 * 10**18))
            found.append(Segment(split, number, f"{code}_{begin}_000_{begin + 20}_000"))
    return tuple(found)


def plan(size: SizeName, seed: int, segment: Segment) -> Plan:
    """What to record of a segment. Shutters run to the left in every other one."""
    shape = SHAPES[size]
    return Plan(
        seed=seed, context=segment.context, width=shape.width, height=shape.height, columns=shape.columns,
        frames=shape.frames, labelled=shape.labelled[segment.split], towards="left" if segment.number % 2 else "right",
    )  # fmt: skip


def units(size: SizeName, seed: int) -> tuple[Unit, ...]:
    """One unit a segment."""
    labelled = SHAPES[size].labelled
    return tuple(Unit(s.context, len(CAMERAS) * len(labelled[s.split])) for s in segments(size, seed))


def write(root: Path, size: SizeName, seed: int, unit: str) -> str:
    """Write what is missing of a segment; returns a digest of what its files say."""
    segment = next(s for s in segments(size, seed) if s.context == unit)
    folder, todo = root / segment.split, plan(size, seed, segment)
    makers: dict[Path, Callable[[Recording], bytes]] = {
        folder / name / f"{unit}.parquet": waymo_v2.maker(name) for name in waymo_v2.COMPONENTS
    }
    makers[folder / f"segment-{unit}_with_camera_labels.tfrecord"] = waymo_v1.tfrecord
    truth = {name: files.truth_path(root, name) for name in todo.pictures()}
    if not all(path.is_file() for path in (*makers, *truth.values())):
        recording = record(todo)
        for path, make in makers.items():
            if not path.is_file():
                files.write(path, make(recording))
        for frame in recording.frames:
            for picture in frame.pictures:
                if not truth[picture.name].is_file():
                    files.write_truth(root, picture.name, picture.depth)
    *tables, old = makers
    frames = waymo_v1.check(old)  # it says the same as the tables, in bytes that depend on the version of zlib
    return waymo_v2.digest(root, tables, truth.values(), f"{frames} frames")


def finish(root: Path, size: SizeName, seed: int) -> None:
    """Nothing: every file belongs to one segment."""


def facts(size: SizeName) -> dict[str, Any]:
    """For ``miniature.json``: the size of the pictures and the number of labelled ones per split."""
    shape = SHAPES[size]
    counts = {split: len(CAMERAS) * shape.segments[split] * len(shape.labelled[split]) for split in shape.segments}
    return {
        "width": shape.width, "height": shape.height, "train": counts["training"], "val": counts["validation"]
    }  # fmt: skip

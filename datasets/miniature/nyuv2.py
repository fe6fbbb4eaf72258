"""The miniature NYU Depth v2: rooms filmed by a hand-held Kinect, in the files and names of the release.

A unit is a room, filmed on one walk of which some pictures are labelled. Labelled frames wait in ``.parts`` until all
rooms are there, because the release keeps those of all rooms in one file. Of the Kinect's 20 to 30 pictures in a second
every tenth or so is kept, so that the camera moves by a hand's breadth from one to the next.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8, UInt16

from wsss.benchmark.errors import DatasetError
from wsss.benchmark.randomness import stream
from wsss.datasets import _nyuv2_toolbox as toolbox
from wsss.datasets.miniature import files, kinect, nyuv2_mat
from wsss.datasets.miniature.engine.render import Scene, View
from wsss.datasets.miniature.engine.shapes import KINDS
from wsss.datasets.miniature.files import SizeName, Unit
from wsss.datasets.miniature.rooms import rooms
from wsss.datasets.miniature.rooms.indoor import CLASSES_40

VERSION = 2
"""Raise it when what is written changes."""

NAMES: tuple[str, ...] = tuple(sorted(set(CLASSES_40) - {"sky"}))
"""Fine names in the order of the file; a label is the position plus 1."""

_TICK = 0.01
"""Seconds between the poses of a walk; pictures and depth images are taken at different ones."""
_GAP = 40
"""Poses between two pictures of the video: 2.5 Hz."""
_START = 1_294_880_000
"""Unix time at which the first room is filmed."""


@dataclass(frozen=True)
class Size:
    """How large a miniature is."""

    width: int
    height: int
    rooms: int
    pictures: int
    """Raw pictures of a room's walk, those of the labelled frames among them."""
    labelled: tuple[int, ...]
    """Which of them are labelled."""

    @property
    def steps(self) -> int:
        """Poses of the walk."""
        return self.pictures * _GAP

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width


SIZES: dict[SizeName, Size] = {
    "full": Size(160, 120, 60, 12, (2, 9)),
    "half": Size(160, 120, 40, 12, (2, 9)),
    "tiny": Size(80, 60, 6, 4, (2,)),
}


def _is_test(number: int) -> bool:
    """Whether a room belongs to the test split; its frames stand between the others, as in the release."""
    return number % 5 in (2, 4)


def units(size: SizeName, seed: int) -> tuple[Unit, ...]:
    """The rooms."""
    return tuple(Unit(f"room_{number:04}", len(SIZES[size].labelled)) for number in range(1, SIZES[size].rooms + 1))


def facts(size: SizeName) -> dict[str, Any]:
    """For ``miniature.json``."""
    shape = SIZES[size]
    test = sum(_is_test(number) for number in range(1, shape.rooms + 1))
    count = len(shape.labelled)
    counts = {"train": (shape.rooms - test) * count, "val": test * count}
    return {"width": shape.width, "height": shape.height, **counts, "video": shape.rooms * (shape.pictures - count)}


@dataclass(frozen=True)
class Moment:
    """A raw picture and the raw depth image next to it."""

    pose: Float[np.ndarray, "4 4"]
    """World from colour camera when the picture was taken."""
    depth_pose: Float[np.ndarray, "4 4"]
    """The same when the depth image was."""
    picture: str
    """Name without ending."""
    depth: str


def write(root: Path, size: SizeName, seed: int, unit: str) -> str:
    """Write what is missing of a room and return a digest of its content."""
    shape, number = SIZES[size], int(unit.rpartition("_")[2])
    room = rooms.build(seed, unit)
    name = f"{room.scene_type}_{number:04}"
    moments = shots(room, shape, seed, unit)
    labelled = [moments[place] for place in shape.labelled]
    part, sha = _part(root, unit), hashlib.sha256()
    scene = Scene(room.mesh, room.light)
    if not part.is_file():
        frames = [_labelled(scene, shape, seed, moment) for moment in labelled]
        columns = {key: np.stack([frame[key] for frame in frames]) for key in frames[0]}
        columns["rawRgbFilenames"] = np.array([f"{name}/{moment.picture}.ppm" for moment in labelled])
        columns["rawDepthFilenames"] = np.array([f"{name}/{moment.depth}.pgm" for moment in labelled])
        columns |= {"scenes": np.array([name] * len(frames)), "sceneTypes": np.array([room.scene_type] * len(frames))}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **columns)  # pyright: ignore[reportArgumentType]
        files.write(part, buffer.getvalue())
    for key, column in sorted(_read(part).items()):
        sha.update(f"{key} {column.dtype} {column.shape}\n".encode() + column.tobytes())
    first = (number - 1) * len(labelled) + 1
    truths = {moment.picture: f"{first + k:04}" for k, moment in enumerate(labelled)}
    for moment in moments:
        truth = truths.get(moment.picture, f"{name}__{moment.picture}")
        for content in _video(root, scene, shape, seed, name, moment, truth):
            sha.update(content)
    return sha.hexdigest()


def shots(room: rooms.Room, shape: Size, seed: int, unit: str) -> list[Moment]:
    """The pictures of a room's walk; those of ``shape.labelled`` have their depth image at the same moment."""
    stops = [_when(place) for place in shape.labelled]
    poses = room.path(stream(seed, "miniature nyuv2 walk", unit), shape.steps, shape.steps * _TICK, stops)
    rng, start = stream(seed, "miniature nyuv2 shots", unit), _START + 3600 * int(unit.rpartition("_")[2])
    moments = []
    for place in range(shape.pictures):
        exact = place in shape.labelled
        when = _when(place) + (0 if exact else int(rng.integers(-1, 2)))
        later = when + (0 if exact else int(rng.integers(-1, 3)))
        times = [start + _TICK * k + float(rng.uniform(0, 0.0009)) for k in (when, later)]
        names = [f"{kind}-{t:.6f}-{int(t * 6e7) % 2**32}" for kind, t in zip("rd", times, strict=True)]
        moments.append(Moment(poses[when], poses[later], *names))
    return moments


def _when(place: int) -> int:
    """At which pose of the walk a picture is due."""
    return place * _GAP + _GAP // 2


def _labelled(scene: Scene, shape: Size, seed: int, moment: Moment) -> dict[str, np.ndarray]:
    """A labelled frame in the release's terms: what the lens leaves empty is white and unlabelled."""
    view = kinect.pinhole_view(scene, shape.shape, moment.pose, moment.picture)
    raw = _raw_depth(scene, shape, seed, moment)
    empty = np.any(toolbox.undistort(np.zeros_like(view.rgb)) > 0, axis=2)
    labels = np.where(empty, 0, _LABELS[view.kind]).astype(np.uint16)
    aligned = kinect.aligned(raw)
    return {
        "images": np.where(empty[..., None], np.uint8(255), view.rgb),
        "labels": labels,
        "instances": _instances(view, labels),
        "rawDepths": aligned,
        "depths": kinect.filled(aligned),
        "accelData": _acceleration(moment.pose),
    }


def _labels() -> UInt16[np.ndarray, " kinds"]:
    """Label by kind of face; what a window shows belongs to the window."""
    table = np.zeros(len(KINDS), np.uint16)
    for label, name in enumerate(NAMES, 1):
        table[KINDS.index(name)] = label
    table[KINDS.index("sky")] = table[KINDS.index("window")]
    return table


_LABELS = _labels()


def _instances(view: View, labels: UInt16[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Numbers from 1 that count anew for each label, 0 for what is not counted."""
    result = np.zeros(labels.shape, np.uint8)
    for label in np.unique(labels[labels > 0]):
        mask = (labels == label) & (view.instance > 0)
        result[mask] = np.minimum(np.unique(view.instance[mask], return_inverse=True)[1] + 1, 255)
    return result


def _acceleration(pose: Float[np.ndarray, "4 4"]) -> np.ndarray:
    """Roll, yaw, pitch and tilt of the camera in radians; an accelerometer knows no yaw."""
    right, forward = pose[2, 0], pose[2, 2]
    return np.array([np.arcsin(right), 0, np.arcsin(-forward), np.arccos(np.clip(-pose[2, 1], -1, 1))], np.float32)


def _raw_depth(scene: Scene, shape: Size, seed: int, moment: Moment) -> UInt16[np.ndarray, "h w"]:
    rng = stream(seed, "miniature nyuv2 depth", moment.depth)
    return kinect.raw_depth(scene, shape.shape, moment.depth_pose, rng)


def _video(
    root: Path, scene: Scene, shape: Size, seed: int, name: str, moment: Moment, truth: str
) -> tuple[bytes, bytes]:
    """Write what is missing of a raw picture, its depth image and its true depth; the bytes of the first two.

    ``truth`` is the frame's id.
    """
    color = root / "raw" / name / f"{moment.picture}.ppm"
    depth = root / "raw" / name / f"{moment.depth}.pgm"
    if not color.is_file():
        head = b"P6\n%d %d\n255\n" % (shape.width, shape.height)
        files.write(color, head + kinect.picture(scene, shape.shape, moment.pose, moment.picture).tobytes())
    if not depth.is_file():
        head = b"P5\n%d %d\n65535\n" % (shape.width, shape.height)
        files.write(depth, head + _raw_depth(scene, shape, seed, moment).astype("<u2").tobytes())
    gravity = root / "raw" / name / f"a{moment.picture[1:]}.dump"
    if not gravity.is_file():
        files.write(gravity, _acceleration(moment.pose).astype("<f4").tobytes())
    if not files.truth_path(root, truth).is_file():
        files.write_truth(root, truth, kinect.true_depth(scene, shape.shape, moment.pose))
    return color.read_bytes(), depth.read_bytes()


def finish(root: Path, size: SizeName, seed: int) -> None:
    """Merge the rooms' labelled frames into the files of the release; rooms whose parts are gone were merged before."""
    parts = [_part(root, unit.name) for unit in units(size, seed)]
    written = [root / name for name in (nyuv2_mat.FRAMES, nyuv2_mat.SPLITS, nyuv2_mat.MAPPING)]
    if all(path.is_file() for path in written) and not any(part.is_file() for part in parts):
        return
    nyuv2_mat.write_frames(written[0], [_read(part) for part in parts], NAMES)
    count = len(SIZES[size].labelled)
    numbers = range(1, SIZES[size].rooms * count + 1)
    test = [n for n in numbers if _is_test((n - 1) // count + 1)]
    nyuv2_mat.write_splits(written[1], sorted(set(numbers) - set(test)), test)
    nyuv2_mat.write_mapping(written[2], NAMES)
    for part in parts:
        part.unlink()
    parts[0].parent.rmdir()


def _part(root: Path, unit: str) -> Path:
    return root / ".parts" / f"{unit}.npz"


def _read(part: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(part, allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:  # a damaged archive raises nearly anything
        raise DatasetError(f"{part} is damaged ({error}); delete it and build the miniature again") from error

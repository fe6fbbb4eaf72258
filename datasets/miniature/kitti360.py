"""The miniature KITTI-360: its files, written one by one; what they show is in ``kitti360_views``."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from wsss.benchmark.errors import DatasetError
from wsss.datasets.miniature.files import SizeName, Unit, png, truth_path, write_truth
from wsss.datasets.miniature.files import write as write_file
from wsss.datasets.miniature.kitti360_views import (
    CAM0_FROM_RECT,
    DRIVES,
    POSE_FROM_CAM0,
    SHAPES,
    VELO_FROM_CAM0,
    Place,
    intrinsics,
    places,
    pose_from_rect,
    render_view,
    street_from_pose,
    velodyne,
    without_pose,
    world_from_street,
)  # fmt: skip

VERSION = 1

_LISTS = "data_2d_semantics/train/2013_05_28_drive_{}_frames.txt"


def units(size: SizeName, seed: int) -> tuple[Unit, ...]:
    """The drives."""
    shape = SHAPES[size]
    return tuple(Unit(name, shape.places * shape.listed) for name in DRIVES[: shape.drives])


def write(root: Path, size: SizeName, seed: int, unit: str) -> str:
    """Write what is missing of a drive; returns a digest of its content."""
    for place in places(size, seed, unit):
        for index in range(SHAPES[size].frames):
            labelled, frame = index not in SHAPES[size].video, place.first + index
            if not all((root / path).is_file() for path in _paths(unit, frame, labelled)):
                for path, content in _files(root, size, seed, place, frame, labelled):
                    write_file(root / path, content)
    for path in _pose_paths(unit):
        if not (root / path).is_file():
            write_file(root / path, _pose_file(size, seed, unit, path))
    return _digest(root, size, seed, unit)


def finish(root: Path, size: SizeName, seed: int) -> None:
    """The frame lists and the calibration."""
    lines: dict[str, list[str]] = {"train": [], "val": []}
    for unit in units(size, seed):
        for place in places(size, seed, unit.name):
            listed = [place.first + k for k in range(SHAPES[size].frames) if k not in SHAPES[size].video]
            pairs = [_paths(unit.name, frame, True)[:2] for frame in listed]
            lines["val" if place.val else "train"] += [f"{image} {semantic}\n" for image, semantic in pairs]
    for side, listed in lines.items():
        write_file(root / _LISTS.format(side), "".join(listed).encode())
    for name, text in _calibration(size).items():
        write_file(root / "calibration" / name, text.encode())


def facts(size: SizeName) -> dict[str, Any]:
    """For ``miniature.json``."""
    shape = SHAPES[size]
    labelled = shape.drives * shape.listed
    return {
        "width": shape.width,
        "height": shape.height,
        "train": labelled * (shape.places - 1),
        "val": labelled,
        "frames": shape.drives * shape.places * shape.frames,
    }


def confidence(semantic: UInt8[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """How sure a transfer of labels from 3D could be: less within a few pixels of another class."""
    borders = np.zeros(semantic.shape, bool)
    across, down = semantic[:, 1:] != semantic[:, :-1], semantic[1:] != semantic[:-1]
    borders[:, 1:] |= across
    borders[:, :-1] |= across
    borders[1:] |= down
    borders[:-1] |= down
    away = cv2.distanceTransform((~borders).astype(np.uint8), cv2.DIST_L1, 3)
    sure = 1 - 0.7 * np.exp(-away.astype(np.float64) / 2)
    return np.round(65535 * np.round(40 * sure) / 40).astype(np.uint16)


def _paths(unit: str, frame: int, labelled: bool) -> list[str]:
    """Every file of a frame, relative to the root; image and semantic ids first."""
    image, annotations = f"data_2d_raw/{unit}/image_00/data_rect", f"data_2d_semantics/train/{unit}/image_00"
    paths = [f"{image}/{frame:010}.png"]
    if labelled:
        paths += [f"{annotations}/{kind}/{frame:010}.png" for kind in ("semantic", "instance", "confidence")]
    return [
        *paths,
        f"data_3d_raw/{unit}/velodyne_points/data/{frame:010}.bin",
        truth_path(Path(), f"{unit}_{frame:010}").as_posix(),
    ]


def _pose_paths(unit: str) -> tuple[str, str]:
    return f"data_poses/{unit}/poses.txt", f"data_poses/{unit}/cam0_to_world.txt"


def _files(
    root: Path, size: SizeName, seed: int, place: Place, frame: int, labelled: bool
) -> Iterator[tuple[str, bytes]]:
    """Relative path and content of the files of a frame; the true depth is written on the way."""
    seen = render_view(size, seed, place, frame)
    write_truth(root, f"{place.drive}_{frame:010}", seen.depth)
    pictures = [seen.rgb]
    if labelled:
        pictures += [seen.semantic, seen.instance.astype(np.uint16), confidence(seen.semantic)]
    paths = _paths(place.drive, frame, labelled)
    for path, picture in zip(paths, pictures, strict=False):
        yield path, png(picture)
    points, _ = velodyne(size, seed, place, frame)
    yield paths[len(pictures)], points.astype("<f4").tobytes()


def _pose_file(size: SizeName, seed: int, unit: str, path: str) -> bytes:
    """Poses of the frames of all places and of those next to them, through which the car drove too."""
    camera = path.endswith("cam0_to_world.txt")
    world, missing, lines = world_from_street(seed, unit), without_pose(size, seed, unit), []
    for place in places(size, seed, unit):
        for frame in range(place.first - 1, place.first + SHAPES[size].frames + 1):
            if frame in missing:
                continue
            pose = world @ street_from_pose(size, seed, place, frame)
            values = (pose @ pose_from_rect()).ravel() if camera else pose[:3].ravel()
            lines.append(f"{frame} " + " ".join(f"{value:.10f}" for value in values) + "\n")
    return "".join(lines).encode()


def _calibration(size: SizeName) -> dict[str, str]:
    """The three files that a reader of the left camera and the LiDAR needs."""
    shape, matrix = SHAPES[size], intrinsics(size)
    values = {
        "S_rect_00": np.array([shape.width, shape.height], float),
        "R_rect_00": CAM0_FROM_RECT.T,
        "P_rect_00": np.column_stack([matrix, np.zeros(3)]),
    }
    lines = [f"{key}: " + " ".join(f"{value:.6f}" for value in array.ravel()) for key, array in values.items()]
    pose, velo = (" ".join(f"{v:.12g}" for v in a[:3].ravel()) for a in (POSE_FROM_CAM0, VELO_FROM_CAM0))
    return {
        "perspective.txt": "calib_time: miniature\n" + "\n".join(lines) + "\n",
        "calib_cam_to_pose.txt": f"image_00: {pose}\n",
        "calib_cam_to_velo.txt": f"{velo}\n",
    }


def _digest(root: Path, size: SizeName, seed: int, unit: str) -> str:
    """Of pixels and numbers, not of how they are compressed."""
    sha = hashlib.sha256()
    frames = [
        (p.first + k, k not in SHAPES[size].video) for p in places(size, seed, unit) for k in range(SHAPES[size].frames)
    ]
    paths = [path for frame, labelled in frames for path in _paths(unit, frame, labelled)]
    for path in (*paths, *_pose_paths(unit)):
        content = (root / path).read_bytes()
        if path.endswith(".png"):
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
            if pixels is None:
                raise DatasetError(f"{root / path} is damaged; delete it and build the miniature again")
            content = f"{pixels.shape} {pixels.dtype}\n".encode() + pixels.tobytes()
        sha.update(f"{path} {len(content)}\n".encode())
        sha.update(content)
    return sha.hexdigest()

"""Benchmarks of the dataset adapters, on trees of the real sizes that hold miniature streets enlarged; see perf.py.

Every baseline is written the plain way and must give the same arrays before it is timed.
"""

import io
import multiprocessing
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import h5py
import kitti360_tree
import numpy as np
import nyuv2_tree
import pandas as pd
import pyarrow as pa
import waymo_tree
from layouts import write_png, write_text
from perf import FOLDER, Result, in_turns, seconds, tiny
from PIL import Image
from scipy.spatial.transform import Rotation

from wsss.benchmark import discovery
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.geometry.cameras import NEAR, project
from wsss.benchmark.types import IGNORE, Camera, RollingShutter, Scene
from wsss.datasets import _index, cityscapes, kitti360, waymo

_index.FOLDER = Path(FOLDER.name) / "index"
SIZES = {"waymo": (1280, 1920), "kitti360": (376, 1408), "nyuv2": (480, 640), "cityscapes": (1024, 2048)}
TOP, SHORT = (64, 2650), (200, 600)
"""Rows and columns of Waymo's range images."""
POINTS = 120_000
"""Of a Velodyne sweep."""
DRIVE, FIRST = "2013_05_28_drive_0000_sync", 1000
IMAGE, LABEL = "[CameraImageComponent].image", "[CameraSegmentationLabelComponent].panoptic_label"
KEYS = ["key.frame_timestamp_micros", "key.camera_name"]
NATIVE: dict[str, dict[int, int]] = {
    "waymo": {row[0]: train_id for train_id, row in enumerate(waymo.TABLE)},
    "kitti360": {id: train_id for train_id, (_, ids, _) in enumerate(kitti360.TABLE) for id in ids},
    "cityscapes": {row[0]: train_id for train_id, row in enumerate(cityscapes.TABLE)},
    "nyuv2": {place: target - 1 for place, target in enumerate(nyuv2_tree.MAP, 1)},
}
"""Train id by the id of a file."""


# Trees


@cache
def street(number: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """One of 8 streets with a camera's noise, which makes files about as large as real ones, and ids of the format."""
    dataset = tiny()[0]
    frame = [frame for _, frame in dataset.labelled("train")][number % 8]
    size = SIZES[name][::-1]
    smooth = cv2.resize(dataset.image(frame), size, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(number).normal(0, 2, smooth.shape)
    small = dataset.dense(frame)
    assert small is not None
    dense = cv2.resize(small, size, interpolation=cv2.INTER_NEAREST)
    ids = np.array(list(NATIVE[name]), np.uint8)[dense % len(NATIVE[name])]
    return np.clip(smooth + noise, 0, 255).astype(np.uint8), np.where(dense == IGNORE, 0, ids).astype(np.uint8)


def write_linked(path: Path, number: int, pixels: np.ndarray) -> None:
    """A PNG; from the 9th on they are hard links, for only the names must differ."""
    store = path.parent / f".{number % 8}.png"
    if not store.is_file():
        write_png(store, pixels)
    os.link(store, path)


def write_cityscapes(root: Path, frames: int) -> None:
    for i in range(frames):
        image, ids = street(i % 8, "cityscapes")
        stem = f"ulm_{i:06}_000019"
        write_linked(root / f"leftImg8bit/train/ulm/{stem}_leftImg8bit.png", i, image)
        write_linked(root / f"gtFine/train/ulm/{stem}_gtFine_labelIds.png", i, ids)


def write_kitti360(root: Path, frames: int) -> None:
    with patch.object(kitti360_tree, "SIZE", SIZES["kitti360"]):
        kitti360_tree.write_calibration(root / "calibration", 1.0)
    numbers = range(FIRST, FIRST + frames)
    kitti360_tree._write_poses(root / "data_poses" / DRIVE, tuple(numbers))
    annotations = root / "data_2d_semantics/train" / DRIVE / "image_00"
    for i in numbers:
        image, ids = street(i % 8, "kitti360")
        write_linked(root / f"data_2d_raw/{DRIVE}/image_00/data_rect/{i:010}.png", i, image)
        write_linked(annotations / "semantic" / f"{i:010}.png", i, ids)
        write_linked(annotations / "instance" / f"{i:010}.png", i, ids.astype(np.uint16) * 1000)
    rng = np.random.default_rng(0)
    sweeps = root / "data_3d_raw" / DRIVE / "velodyne_points/data"
    sweeps.mkdir(parents=True)
    for i in numbers[:4]:
        around, far = rng.uniform(-np.pi, np.pi, POINTS), rng.uniform(4, 80, POINTS)
        xyz = np.stack([far * np.cos(around), far * np.sin(around), rng.uniform(-2, 4, POINTS)], -1)
        (sweeps / f"{i:010}.bin").write_bytes(np.insert(xyz, 3, 0.3, axis=1).astype("<f4").tobytes())
    write_kitti360_lists(root, [*numbers])


def write_kitti360_lists(root: Path, numbers: list[int]) -> None:
    """All but the last frame are for training."""
    for side, chosen in (("train", numbers[:-1]), ("val", numbers[-1:])):
        lines = "".join(kitti360_tree.line(DRIVE, i) + "\n" for i in chosen)
        write_text(root / f"data_2d_semantics/train/2013_05_28_drive_{side}_frames.txt", lines)


def write_nyuv2(root: Path, frames: int) -> None:
    streets = [street(i % 8, "nyuv2") for i in range(frames)]
    write_mat(
        root,
        [(f"room_{i:04}", float(i)) for i in range(frames)],
        np.stack([image.transpose(2, 1, 0) for image, _ in streets]),
        np.stack([ids.T for _, ids in streets]).astype(np.uint16),
        chunks=(1, *SIZES["nyuv2"][::-1]),
    )


def write_mat(root: Path, labelled: list[tuple[str, float]], images: np.ndarray, labels: np.ndarray, chunks) -> None:
    """NYUv2's three files; ``chunks`` of one frame each, compressed, or None."""
    root.mkdir(parents=True, exist_ok=True)
    options = {} if chunks is None else {"compression": 3, "shuffle": True}
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file.create_dataset("images", data=images, chunks=chunks and (1, 3, *chunks[1:]), **options)
        file.create_dataset("labels", data=labels, chunks=chunks, **options)
        file.create_dataset("instances", data=np.zeros(labels.shape, np.uint8), chunks=chunks, **options)
        file.create_dataset("rawDepths", data=np.ones(labels.shape, np.float32), chunks=chunks, **options)
        nyuv2_tree.cells(file, "names", list(nyuv2_tree.FINE))
        nyuv2_tree.cells(file, "scenes", [room for room, _ in labelled])
        names = [f"{room}/{nyuv2_tree.raw_name('r', time)}.ppm" for room, time in labelled]
        nyuv2_tree.cells(file, "rawRgbFilenames", names)
    count = len(labelled)
    nyuv2_tree.write_lists(root, train=tuple(range(1, count)), test=(count,))


def write_waymo(root: Path, frames: int) -> None:
    """Release 2, both segments in training; five cameras, three of them read."""
    plain = waymo_tree.moment(0, False)  # small range images; nobody reads them here
    rows, columns = SIZES["waymo"]
    with patch.multiple(waymo_tree, HEIGHT=rows, WIDTH=columns, SIDE_HEIGHT=886):
        for segment in waymo_tree.SEGMENTS["training"]:
            moments = [at(plain, step, {i: shot(step + i, i) for i in range(1, 6)}) for step in range(-(-frames // 6))]
            waymo_tree._write_v2(root / "training", segment, moments, "int8", pa.float64())


def at(moment: waymo_tree.Moment, step: int, shots: dict[int, waymo_tree.Shot]) -> waymo_tree.Moment:
    """The moment so many tenths of a second after the start, with other images."""
    return replace(moment, time=waymo_tree.START + 100_000 * step, shots=shots)


def shot(number: int, camera: int) -> waymo_tree.Shot:
    """One of 8 annotated images; those of the side cameras are lower."""
    return _shot(number % 8, waymo_tree.size(camera)[0], waymo_tree.DIVISORS[camera])


@cache
def _shot(number: int, rows: int, divisor: int) -> waymo_tree.Shot:
    image, ids = (pixels[:rows] for pixels in street(number, "waymo"))
    panoptic = (ids.astype(np.int32) * divisor + ids % 5).astype(np.uint16)
    return waymo_tree.Shot(
        waymo_tree.encoded(image, "JPEG", quality=85), waymo_tree.encoded(panoptic, "PNG"), bytes(10)
    )


@cache
def tree(name: str, frames: int) -> Path:
    """The root of a tree with so many labelled frames of the real size."""
    root = Path(FOLDER.name) / f"{name}-{frames}"
    {"waymo": write_waymo, "kitti360": write_kitti360, "nyuv2": write_nyuv2, "cityscapes": write_cityscapes}[name](
        root, frames
    )
    return root


# Decoding

Decoded = Iterator[tuple[np.ndarray, np.ndarray]]


def mapped(ids: np.ndarray, name: str) -> np.ndarray:
    """Train ids by a Python dict, one comparison of the image per entry."""
    dense = np.full(ids.shape, IGNORE, np.uint8)
    for id, train_id in NATIVE[name].items():
        dense[ids == id] = train_id
    return dense


def plain_waymo(root: Path) -> Decoded:
    for path in sorted((root / "training/camera_segmentation").iterdir()):
        both: Any = pd.read_parquet(path).merge(pd.read_parquet(root / "training/camera_image" / path.name), on=KEYS)
        both = both[both["key.camera_name"] <= 3].sort_values(KEYS)
        divisors = both["[CameraSegmentationLabelComponent].panoptic_label_divisor"]
        for jpeg, png, divisor in zip(both[IMAGE], both[LABEL], divisors, strict=True):
            panoptic = np.array(Image.open(io.BytesIO(png)))
            yield np.array(Image.open(io.BytesIO(jpeg))), mapped(panoptic // divisor, "waymo")


def plain_files(root: Path, name: str) -> Decoded:
    """KITTI-360 or Cityscapes."""
    images, labels = {
        "kitti360": ("data_2d_raw/*/image_00/data_rect/0*.png", "data_2d_semantics/train/*/image_00/semantic/0*.png"),
        "cityscapes": ("leftImg8bit/train/*/u*.png", "gtFine/train/*/u*_labelIds.png"),
    }[name]
    for image, label in zip(sorted(root.glob(images)), sorted(root.glob(labels)), strict=True):
        yield np.array(Image.open(image)), mapped(np.array(Image.open(label)), name)


def plain_nyuv2(root: Path) -> Decoded:
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as file:
        images, labels = np.array(file["images"]), np.array(file["labels"])
    for image, ids in zip(images.transpose(0, 3, 2, 1), labels.transpose(0, 2, 1), strict=True):
        yield np.ascontiguousarray(image), mapped(ids, "nyuv2")


def decode(name: str, frames=24) -> Result:
    root = tree(name, frames)
    dataset = discovery.dataset(name)(root)
    chosen = [frame for split in ("train", "val")[: 1 + (name in ("kitti360", "nyuv2"))]
              for _, frame in dataset.labelled(split)]  # fmt: skip

    def ours() -> Decoded:
        for frame in chosen:
            dense = dataset.dense(frame)
            assert dense is not None
            yield dataset.image(frame), dense

    if name == "waymo":
        plain = partial(plain_waymo, root)
    else:
        plain = partial(plain_nyuv2, root) if name == "nyuv2" else partial(plain_files, root, name)
    for mine, theirs in zip(ours(), plain(), strict=True):
        assert mine[0].shape[:2] == SIZES[name]
        assert all(map(np.array_equal, mine, theirs))
    value, baseline = in_turns(lambda: exhaust(ours()), lambda: exhaust(plain()), repeat=3)
    return len(chosen) / value, "frames/s", len(chosen) / baseline


def exhaust(iterator: Iterator) -> None:
    for _ in iterator:
        pass


def decode_waymo() -> Result:
    """Image and labels of Waymo, 1920 x 1280, JPEG and 16-bit PNG in parquet; baseline: pandas, whole files, Pillow"""
    return decode("waymo")


def decode_kitti360() -> Result:
    """Image and labels of KITTI-360, 1408 x 376, two PNG; baseline: Pillow, checksums unread"""
    return decode("kitti360")


def decode_nyuv2() -> Result:
    """Image and labels of NYUv2, 640 x 480, HDF5 of compressed frames; baseline: h5py, whole arrays"""
    return decode("nyuv2")


def decode_cityscapes() -> Result:
    """Image and labels of Cityscapes, 2048 x 1024, two PNG; baseline: Pillow, checksums unread"""
    return decode("cityscapes")


# Points


def waymo_scans(frames=4) -> Path:
    """A segment whose range images have the real sizes: TOP and one of the four short LiDARs, two returns of TOP."""
    root = Path(FOLDER.name) / "waymo-scans"
    if not root.is_dir():
        beams = np.linspace(-0.31, 0.04, TOP[0])
        with patch.multiple(waymo_tree, TOP_SHAPE=TOP, SHORT_SHAPE=SHORT, BEAMS=beams, LABELLED=range(frames)):
            moments = [waymo_tree.moment(step, True) for step in range(frames)]
            segment = waymo_tree.SEGMENTS["training"][0]
            waymo_tree._write_v2(root / "training", segment, moments, "int8", pa.float64())
    return root


def matrices(turns: Rotation, shifts: np.ndarray) -> np.ndarray:
    """One 4 x 4 pose per point."""
    poses = np.zeros((len(shifts), 4, 4))
    poses[:, :3, :3], poses[:, :3, 3], poses[:, 3, 3] = turns.as_matrix(), shifts, 1
    return poses


def homogeneous(xyz: np.ndarray) -> np.ndarray:
    return np.concatenate([xyz, np.ones((*xyz.shape[:-1], 1))], -1)


def plain_scans(root: Path) -> Iterator[np.ndarray]:
    """World points per timestamp: pandas for the files, homogeneous coordinates and a matrix per pixel of TOP."""
    tags = ("lidar", "lidar_pose", "lidar_calibration", "vehicle_pose")
    tables: list[Any] = [
        pd.read_parquet(next((root / "training" / tag).iterdir())).rename(columns=lambda c: c.rpartition("].")[2])
        for tag in tags
    ]
    lidar, poses, calibration, vehicle = tables
    for time, rows in lidar.groupby("key.frame_timestamp_micros"):
        found = []
        now = vehicle[vehicle["key.frame_timestamp_micros"] == time].iloc[0]["world_from_vehicle.transform"]
        for _, row in rows.sort_values("key.laser_name").iterrows():
            laser = row["key.laser_name"]
            distance = np.reshape(row["range_image_return1.values"], row["range_image_return1.shape"])[..., 0]
            mounted = calibration[calibration["key.laser_name"] == laser].iloc[0]
            vehicle_from_laser = np.reshape(mounted["extrinsic.transform"], (4, 4))
            height, width = distance.shape
            low, high = mounted["beam_inclination.min"], mounted["beam_inclination.max"]
            listed = mounted["beam_inclination.values"]
            beams = low + (np.arange(height) + 0.5) / height * (high - low) if listed is None else listed
            up = beams[::-1, None]
            turned = np.arctan2(vehicle_from_laser[1, 0], vehicle_from_laser[0, 0])
            around = np.pi - 2 * np.pi * (np.arange(width) + 0.5) / width - turned
            rays = np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up) + 0 * around], -1)
            points = np.einsum("ij,hwj->hwi", vehicle_from_laser, homogeneous(rays * distance[..., None]))
            if laser == 1:
                numbers = poses[poses["key.frame_timestamp_micros"] == time].iloc[0]["range_image_return1.values"]
                numbers = numbers.reshape(-1, 6).astype(np.float64)
                world = matrices(Rotation.from_euler("xyz", numbers[:, :3]), numbers[:, 3:])
                points = np.einsum("hwij,hwj->hwi", world.reshape(height, width, 4, 4), points)
            else:
                points = np.einsum("ij,hwj->hwi", np.reshape(now, (4, 4)), points)
            found.append(points[distance > 0][:, :3])
        yield np.concatenate(found)


def lidar(ours, plain) -> Result:
    """Millions of points per second of two functions that yield the same world points per sweep."""
    count = 0
    for mine, theirs in zip(ours(), plain(), strict=True):
        assert np.allclose(mine, theirs, rtol=0, atol=1e-5)
        count += len(mine) / 1e6
    value, baseline = in_turns(lambda: exhaust(ours()), lambda: exhaust(plain()), repeat=5)
    return count / value, "M points/s", count / baseline


def points(dataset: Dataset, scene: Scene, index: int) -> np.ndarray:
    sweep = dataset.sweep(scene, index)
    assert sweep is not None
    return sweep.xyz


def lidar_waymo() -> Result:
    """Sweeps of Waymo, 64 x 2650 and 200 x 600, from parquet; baseline: pandas, a 4 x 4 matrix per pixel, einsum"""
    root = waymo_scans()
    dataset = discovery.dataset("waymo")(root)
    (scene,) = dataset.scenes("train")
    front = [i for i, frame in enumerate(scene.frames) if frame.camera == "FRONT"]
    return lidar(lambda: (points(dataset, scene, i) for i in front), lambda: plain_scans(root))


def plain_velodyne(root: Path) -> Iterator[np.ndarray]:
    """World points per sweep, each with the pose of its share of the turn as a matrix."""
    for path in sorted(root.glob(f"data_3d_raw/{DRIVE}/velodyne_points/data/*.bin")):
        number = int(path.stem)
        now = kitti360_tree.world_from_pose(number, FIRST)
        before = kitti360_tree.world_from_pose(number - 1, FIRST)
        xyz = np.fromfile(path, np.float32).reshape(-1, 4)[:, :3].astype(np.float64)
        velo = kitti360_tree.POSE_FROM_VELO
        moved = np.linalg.inv(velo) @ np.linalg.inv(now) @ before @ velo
        share = np.arctan2(xyz[:, 1], xyz[:, 0])[:, None] / (2 * np.pi)
        poses = matrices(
            Rotation.from_rotvec(share * Rotation.from_matrix(moved[:3, :3]).as_rotvec()), share * moved[:3, 3]
        )
        yield np.einsum("nij,nj->ni", (now @ velo) @ poses, homogeneous(xyz))[:, :3]


def lidar_kitti360() -> Result:
    """Velodyne sweeps of 120,000 points, checked, de-skewed; baseline: unchecked, a 4 x 4 matrix per point, einsum"""
    root = tree("kitti360", 24)
    dataset = discovery.dataset("kitti360")(root)
    scene = dataset.scenes("train")[0]
    return lidar(lambda: (points(dataset, scene, i) for i in range(4)), lambda: plain_velodyne(root))


def plain_projection(xyz: np.ndarray, camera: Camera, size: tuple[int, int]) -> np.ndarray:
    """Pixels, with the camera of every point's line as a matrix; a shutter towards the bottom."""
    pose, shutter, matrix = camera.world_from_camera, camera.shutter, camera.intrinsics
    assert pose is not None and shutter is not None and camera.distortion is not None
    k1, k2, p1, p2, k3 = camera.distortion
    poses = np.tile(pose, (len(xyz), 1, 1))
    pixel = np.zeros((len(xyz), 2))
    for step in range(4):
        if step:
            times = shutter.first + shutter.readout * np.clip((pixel[:, 0] + 0.5) / size[0], 0, 1)
            turns = Rotation.from_rotvec(times[:, None] * shutter.angular)
            poses = matrices(turns, np.zeros_like(xyz)) @ np.block([[pose[:3, :3], np.zeros((3, 1))], [0, 0, 0, 1]])
            poses[:, :3, 3] = pose[:3, 3] + times[:, None] * shutter.linear
        local = np.einsum("nij,nj->ni", np.linalg.inv(poses), homogeneous(xyz))
        x, y = local[:, 0] / local[:, 2], local[:, 1] / local[:, 2]
        r2 = x**2 + y**2
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
        bent_y = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
        pixel = np.stack([matrix[1, 1] * bent_y + matrix[1, 2], matrix[0, 0] * bent_x + matrix[0, 2]], -1)
    return pixel


def projection(points=150_000) -> Result:
    """Points into a Waymo image with distortion and rolling shutter; baseline: a 4 x 4 matrix per point, inv, einsum"""
    rng, size = np.random.default_rng(0), SIZES["waymo"]
    pose = waymo_tree.transform(waymo_tree.rotation(-1.5, 0.1, 0.4), waymo_tree.ORIGIN)
    shutter = RollingShutter(
        towards="bottom", first=-0.02, readout=0.044, linear=np.array([11.0, 4, 0]), angular=np.array([0.01, 0.02, 0.3])
    )
    camera = Camera(
        intrinsics=np.array([[2055.0, 0, 960], [0, 2050, 640], [0, 0, 1]]),
        distortion=np.array(waymo_tree.DISTORTION),
        world_from_camera=pose,
        shutter=shutter,
    )
    depth = rng.uniform(max(4, NEAR), 75, points)
    local = np.stack([rng.uniform(-0.5, 0.5, points) * depth, rng.uniform(-0.35, 0.35, points) * depth, depth], -1)
    xyz = local @ pose[:3, :3].T + pose[:3, 3]
    mine = project(xyz, camera, size)
    assert mine.inside.mean() > 0.5
    assert np.allclose(mine.pixel[mine.inside], plain_projection(xyz, camera, size)[mine.inside], rtol=0, atol=1e-4)
    value, baseline = in_turns(lambda: project(xyz, camera, size), lambda: plain_projection(xyz, camera, size))
    return points / value / 1e6, "M points/s", points / baseline / 1e6


# Opening 50,000 frames


def fill(folder: Path, names: Iterator[str], content: bytes = b"") -> None:
    """Hard links to one file: nothing but its name, size and content is looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    first = folder / next(names)
    first.write_bytes(content)
    for name in names:
        os.link(first, folder / name)


def names_cityscapes(root: Path) -> None:
    """1,667 snippets of 30 frames in 20 cities, each frame with its timestamp."""
    for i in range(20):
        city = f"city{chr(97 + i)}"
        ids = [f"{city}_{k:06}" for k in range(84 if i < 7 else 83)]
        fill(root / f"leftImg8bit/train/{city}", (f"{id}_000019_leftImg8bit.png" for id in ids))
        fill(root / f"gtFine/train/{city}", (f"{id}_000019_gtFine_labelIds.png" for id in ids))
        every = [f"{id}_{n:06}" for id in ids for n in range(30)]
        fill(root / f"leftImg8bit_sequence/train/{city}", (f"{id}_leftImg8bit.png" for id in every))
        fill(root / f"timestamp_sequence/train/{city}", (f"{id}_timestamp.txt" for id in every), b"1500000000000")


def names_kitti360(root: Path) -> None:
    """One drive of 50,000 annotated frames."""
    kitti360_tree.write_calibration(root / "calibration")
    numbers = [*range(50_000)]
    annotations = root / "data_2d_semantics/train" / DRIVE / "image_00"
    images = root / "data_2d_raw" / DRIVE / "image_00/data_rect"
    for folder in (images, annotations / "semantic", annotations / "instance"):
        fill(folder, (f"{i:010}.png" for i in numbers))
    write_kitti360_lists(root, numbers)


def names_nyuv2(root: Path) -> None:
    """500 rooms of 3 annotated frames with 100 raw pictures and depth images around them."""
    rooms = [f"room_{i:04}" for i in range(500)]
    labelled = [(room, 10.0 * i + 0.7 * k) for i, room in enumerate(rooms) for k in range(3)]
    images = np.zeros((len(labelled), 3, 8, 6), np.uint8)
    write_mat(root, labelled, images, np.ones((len(labelled), 8, 6), np.uint16), None)
    for i, room in enumerate(rooms):
        times = [10.0 * i - 1 + k / 30 for k in range(100)]
        fill(root / "raw" / room, (f"{nyuv2_tree.raw_name('r', t)}.ppm" for t in times), bytes(200))
        fill(root / "raw" / room, (f"{nyuv2_tree.raw_name('d', t + 0.012)}.pgm" for t in times), bytes(200))


def names_waymo(root: Path, release: str, rows: int = 0) -> None:
    """85 segments of 198 timestamps, as long as real ones; five cameras, three of them read: 50,490 images.

    ``rows`` of a row group of release 2.
    """
    shots = {i: waymo_tree.Shot(b"j", b"p", b"c") for i in range(1, 6)}
    start = waymo_tree.moment(0, False)
    moments = [at(start, step, shots) for step in range(198)]
    folder = root / "training"
    names = [f"{i:019}_000_000_020_000" for i in range(85)]
    if release == "v2":
        waymo_tree._write_v2(folder, names[0], moments, "int8", pa.float64())
        for tag in ("camera_image", "camera_segmentation"):
            table = pd.read_parquet(folder / tag / f"{names[0]}.parquet")
            for name in names:
                table["key.segment_context_name"] = name
                waymo_tree.write_parquet(folder / tag / f"{name}.parquet", dict(table.drop(columns="index")), rows)
        return
    folder.mkdir(parents=True, exist_ok=True)
    records = b"".join(waymo_tree.tfrecord(waymo_tree._frame(names[0], moment)) for moment in moments)
    for name in names:  # of equal length; a listing reads no checksum of a payload
        path = folder / f"segment-{name}_with_camera_labels.tfrecord"
        path.write_bytes(records.replace(names[0].encode(), name.encode()))


def opening(name: str, write, **options) -> Result:
    """``options`` go to the adapter."""
    root = Path(tempfile.mkdtemp(dir=FOLDER.name))
    write(root)
    frames = 0

    def work() -> None:
        nonlocal frames
        dataset: Dataset = discovery.dataset(name)(root, **options)
        splits = ("train", "val") if name in ("kitti360", "nyuv2") else ("train",)
        frames = sum(len(scene.frames) for split in splits for scene in dataset.scenes(split))

    def first() -> None:
        shutil.rmtree(_index.FOLDER, ignore_errors=True)
        work()

    work()  # imports, and the kernel's caches
    anew, again = seconds(first, repeat=2), seconds(work, repeat=5)
    assert frames >= 50_000, frames
    return anew, f"s, then {again:.2g} s", None


def opening_waymo_v2() -> Result:
    """50,490 images of Waymo, release 2, 85 segments of one row group each; then from the cached index"""
    return opening("waymo", partial(names_waymo, release="v2", rows=1000), release="v2")


def opening_waymo_small() -> Result:
    """The same rewritten with 4 rows to a group, as training in random order wants it; then from the cached index"""
    return opening("waymo", partial(names_waymo, release="v2", rows=4), release="v2")


def opening_waymo_v1() -> Result:
    """The same of release 1, from the heads of 16,830 records; then from the cached index"""
    return opening("waymo", partial(names_waymo, release="v1"), release="v1")


def opening_kitti360() -> Result:
    """50,000 annotated frames of KITTI-360, from lists and folders, uncached; then once more"""
    return opening("kitti360", names_kitti360)


def opening_nyuv2() -> Result:
    """1,500 annotated and 48,500 or more video frames of NYUv2; then from the cached index"""
    return opening("nyuv2", names_nyuv2)


def opening_cityscapes() -> Result:
    """50,010 frames of 1,667 snippets of Cityscapes with their timestamps, uncached; then once more"""
    return opening("cityscapes", names_cityscapes)


# Memory


def megabytes(field: str) -> float:
    """VmRSS or VmHWM, its peak; Linux alone tells."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found is not None
    return int(found[1]) / 1024


def peaks(name: str, root: Path, passes: int) -> list[float]:
    """Peak memory after each pass over the labelled training frames, above that of the opened dataset."""
    dataset = discovery.dataset(name)(root)
    frames = [frame for _, frame in dataset.labelled("train")]
    opened, found = megabytes("VmRSS"), []
    for _ in range(passes):
        for frame in frames:
            dataset.image(frame)
            dataset.dense(frame)
        found.append(megabytes("VmHWM") - opened)
    return found


def memory(name: str, frames=100, passes=3) -> Result:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:  # a peak of its own
        found = pool.submit(peaks, name, tree(name, frames), passes).result()
    return found[0], f"MB, then {found[-1] - found[0]:+.1f} MB", None


def memory_waymo() -> Result:
    """Peak memory above the opened Waymo, decoding 100 images; what two more passes add"""
    return memory("waymo")


def memory_kitti360() -> Result:
    """Peak memory above the opened KITTI-360, decoding 100 images; what two more passes add"""
    return memory("kitti360")


def memory_nyuv2() -> Result:
    """Peak memory above the opened NYUv2, decoding 100 images; what two more passes add"""
    return memory("nyuv2")


def memory_cityscapes() -> Result:
    """Peak memory above the opened Cityscapes, decoding 100 images; what two more passes add"""
    return memory("cityscapes")


DECODING = (decode_waymo, decode_kitti360, decode_nyuv2, decode_cityscapes, lidar_waymo, lidar_kitti360, projection)
OPENING = (opening_waymo_v2, opening_waymo_small, opening_waymo_v1, opening_kitti360, opening_nyuv2, opening_cityscapes)
MEMORY = (memory_waymo, memory_kitti360, memory_nyuv2, memory_cityscapes)
BENCHMARKS = {f.__name__: f for f in (*DECODING, *OPENING, *MEMORY)}

"""A small KITTI-360 in its native format: two drives, one of them on both sides of the split, with known geometry."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

SIZE = (47, 176)
"""An eighth of 376 x 1408."""
DRIVE, OFFSET_DRIVE = "2013_05_28_drive_0000_sync", "2013_05_28_drive_0002_sync"
FRAMES = tuple(range(250, 262))
TRAIN, VAL, VIDEO = (250, 251, 252, 253, 258, 260, 261), (254, 255, 256, 257), (259,)
OFFSET_FRAMES = (4391, 4392, 4393)
MISSING = (251, 256, 261)
"""Frames of DRIVE without a pose."""
PERSPECTIVE = {
    "R_rect_00": "0.999974 -0.007141 -0.000089 0.007141 0.999969 -0.003247 0.000112 0.003247 0.999995",
    "P_rect_00": "552.554261 0.000000 682.049453 0.000000 0.000000 552.554261 238.769549 0.000000 0 0 1 0",
    "P_rect_01": "552.554261 0.000000 682.049453 -328.318735 0.000000 552.554261 238.769549 0.000000 0 0 1 0",
}
CAM_TO_POSE = (
    "0.0371783278 -0.0986182135 0.9944306009 1.5752681039 0.9992675562 -0.0053553387 -0.0378902567 0.0043914093 "
    "0.0090621821 0.9951109327 0.0983468786 -0.6500000000"
)
CAM_TO_VELO = (
    "0.04307104361 -0.08829286498 0.995162929 0.8043914418 -0.999004371 0.007784614041 0.04392796942 0.2993489574 "
    "-0.01162548558 -0.9960641394 -0.08786966659 -0.1770225824"
)
POINTS = 150
"""In a sweep."""
START = np.array([1033.25, 3826.5, 115.125])
STEP, TURN = 1.0, 0.02
"""Metres and radians to the left from frame to frame."""


def write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def matrix(text: str) -> np.ndarray:
    """4x4 from 9 or 12 numbers, its rotation made exact."""
    values = np.array([float(word) for word in text.split()])
    pose = np.eye(4)
    pose[:3, : len(values) // 3] = values.reshape(3, -1)
    pose[:3, :3] = Rotation.from_matrix(pose[:3, :3]).as_matrix()
    return pose


R_RECT, POSE_FROM_CAM0, VELO_FROM_CAM0 = matrix(PERSPECTIVE["R_rect_00"]), matrix(CAM_TO_POSE), matrix(CAM_TO_VELO)
POSE_FROM_VELO = POSE_FROM_CAM0 @ np.linalg.inv(VELO_FROM_CAM0)


def world_from_pose(frame: float, origin: int = FRAMES[0]) -> np.ndarray:
    """A level car on a circle; the body has y to the right and z down, the world z up."""
    heading = 0.5 + TURN * (frame - origin)
    radius, pose = STEP / TURN, np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0, 0, heading]).as_matrix() @ np.diag([1.0, -1.0, -1.0])
    pose[:3, 3] = START + radius * np.array([np.sin(heading) - np.sin(0.5), np.cos(0.5) - np.cos(heading), 0])
    return pose


def surroundings() -> np.ndarray:
    """World points around the middle of the drive, none straight behind, where a turn begins and ends."""
    rng = np.random.default_rng(5)
    angle, far = 0.6 + rng.uniform(-2.8, 2.8, POINTS), rng.uniform(15, 40, POINTS)
    middle = world_from_pose(FRAMES[6])[:3, 3]
    return middle + np.stack([far * np.cos(angle), far * np.sin(angle), rng.uniform(-1, 4, POINTS)], -1)


def measured(points: np.ndarray, frame: int, origin: int = FRAMES[0]) -> np.ndarray:
    """The points as a sensor sees them that turns clockwise from rear to rear while the car drives."""
    late, seen = np.zeros(len(points)), points
    for _ in range(5):
        poses = np.stack([world_from_pose(frame + share, origin) for share in late]) @ POSE_FROM_VELO
        seen = np.einsum("nji,nj->ni", poses[:, :3, :3], points - poses[:, :3, 3])
        late = -np.arctan2(seen[:, 1], seen[:, 0]) / (2 * np.pi)
    return seen


def semantic_ids() -> np.ndarray:
    """Sky over road, two cars side by side, houses, a pole, and ids that are ignored or not defined."""
    ids = np.full(SIZE, 23, np.uint8)
    ids[20:] = 7
    ids[22:34, 20:60] = 26
    ids[5:20, 70:100], ids[5:20, 100:110] = 11, 34
    ids[8:20, 120:128], ids[:30, 140:142] = 35, 37
    ids[25:35, 150:156], ids[25:35, 160:170] = 25, 28
    ids[30, 30:34] = 255
    ids[0, :3] = 77
    return ids


def instance_ids() -> np.ndarray:
    """``id * 1000 + number``, for which 8 bits are not enough."""
    instances = semantic_ids().astype(np.uint16) * np.uint16(1000)
    instances[semantic_ids() == 255] = 26000
    instances[semantic_ids() == 77] = 0
    instances[22:34, 20:40] += 1
    instances[22:34, 40:60] += 2
    return instances


def confidences() -> np.ndarray:
    return np.linspace(0, 65535, SIZE[0] * SIZE[1]).astype(np.uint16).reshape(SIZE)


def scribbles() -> np.ndarray:
    """Native ids on a background of 0."""
    drawn = np.zeros(SIZE, np.uint8)
    drawn[40, 10:100], drawn[2, 10:60], drawn[10, 75:109] = 7, 23, 11
    drawn[10, 100:109] = 34
    return drawn


def image(frame: int) -> np.ndarray:
    return np.random.default_rng(frame).integers(0, 256, (*SIZE, 3), np.uint8)


def write_kitti360(
    root: Path, *, scribbles_of: tuple[int, ...] = TRAIN + OFFSET_FRAMES, velodyne: bool = True, poses: bool = True
) -> Path:
    """KITTI-360 as its archives unpack, with the published calibration at an eighth of the size."""
    write_calibration(root / "calibration")
    for drive, frames in ((DRIVE, FRAMES), (OFFSET_DRIVE, OFFSET_FRAMES)):
        if poses:
            _write_poses(root / "data_poses" / drive, frames)
        for frame in frames:
            name, annotations = f"{frame:010}.png", root / "data_2d_semantics" / "train" / drive / "image_00"
            write_png(root / "data_2d_raw" / drive / "image_00" / "data_rect" / name, image(frame))
            if frame not in VIDEO:
                write_png(annotations / "semantic" / name, semantic_ids())
                write_png(annotations / "instance" / name, instance_ids())
                write_png(annotations / "confidence" / name, confidences())
            if frame in scribbles_of:
                write_png(annotations / "scribble" / name, scribbles())
            if velodyne:
                path = root / "data_3d_raw" / drive / "velodyne_points" / "data" / f"{frame:010}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                points = np.full((POINTS, 4), 0.25, "<f4")
                points[:, :3] = measured(surroundings() + _shift(frames), frame, frames[0])
                path.write_bytes(points.tobytes())
    sides = {"train": [*((DRIVE, f) for f in TRAIN), *((OFFSET_DRIVE, f) for f in OFFSET_FRAMES)],
             "val": [(DRIVE, f) for f in VAL]}  # fmt: skip
    for side, listed in sides.items():
        lines = [line(drive, frame) for drive, frame in listed]
        write_text(root / f"data_2d_semantics/train/2013_05_28_drive_{side}_frames.txt", "\n".join(lines) + "\n")
    return root


def _shift(frames: tuple[int, ...]) -> np.ndarray:
    """Each drive starts at START; the shorter one is surrounded just as well."""
    return world_from_pose(frames[len(frames) // 2], frames[0])[:3, 3] - world_from_pose(FRAMES[6])[:3, 3]


def line(drive: str, frame: int) -> str:
    return (
        f"data_2d_raw/{drive}/image_00/data_rect/{frame:010}.png "
        f"data_2d_semantics/train/{drive}/image_00/semantic/{frame:010}.png"
    )


def write_calibration(folder: Path, scale: float = 1 / 8) -> None:
    lines = ["calib_time: 09-Jan-2012 13:57:47", "corner_dist: 9.950000e-02"]
    lines += [f"S_rect_00: {SIZE[1]:e} {SIZE[0]:e}", f"R_rect_00: {PERSPECTIVE['R_rect_00']}"]
    for key in ("P_rect_00", "P_rect_01"):
        projection = np.array([float(word) for word in PERSPECTIVE[key].split()]).reshape(3, 4)
        projection[:2] *= scale
        projection[:2, 2] += 0.5 * scale - 0.5
        lines.append(f"{key}: " + " ".join(f"{value:.6f}" for value in projection.ravel()))
    write_text(folder / "perspective.txt", "\n".join(lines) + "\n")
    write_text(folder / "calib_cam_to_pose.txt", "".join(f"image_0{k}: {CAM_TO_POSE}\n" for k in range(2)))
    write_text(folder / "calib_cam_to_velo.txt", CAM_TO_VELO + "\n")


def _write_poses(folder: Path, frames: tuple[int, ...]) -> None:
    poses, cameras = [], []
    for frame in frames:
        if frame in MISSING:
            continue
        pose = world_from_pose(frame, frames[0])
        poses.append(f"{frame} " + " ".join(f"{value:.10f}" for value in pose[:3].ravel()))
        camera = pose @ POSE_FROM_CAM0 @ np.linalg.inv(R_RECT)
        cameras.append(f"{frame} " + " ".join(f"{value:.10f}" for value in camera.ravel()))
    write_text(folder / "poses.txt", "\n".join(poses) + "\n")
    write_text(folder / "cam0_to_world.txt", "\n".join(cameras) + " \n")

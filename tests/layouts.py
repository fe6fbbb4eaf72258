"""Small trees in the native formats of the datasets, a few kilobytes each, for tests to read and to damage."""

import json
from functools import partial
from pathlib import Path

import numpy as np
from kitti360_tree import write_kitti360, write_png, write_text
from nyuv2_tree import write_nyuv2
from waymo_tree import write_waymo

SIZE = (32, 64)
CAMERA = {
    "intrinsic": {"fx": 2262.5, "fy": 2265.3, "u0": 1096.98, "v0": 513.14},
    "extrinsic": {"baseline": 0.21, "pitch": 0.038, "roll": 0.0, "yaw": -0.02, "x": 1.7, "y": 0.1, "z": 1.22},
}
SPEED, YAW_RATE, SECONDS_PER_FRAME = 10.0, 0.2, 0.06
DISPARITY = 2.5
"""Pixels, everywhere but in the left strip: a wall across the street."""


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def cityscapes_ids() -> np.ndarray:
    """Sky over road, two cars side by side, a pole, the ego vehicle, and one id that the format does not define."""
    ids = np.full(SIZE, 23, np.uint8)
    ids[16:] = 7
    ids[18:24, 10:30] = 26
    ids[:20, 40:42] = 17
    ids[30:] = 1
    ids[0, :3] = 77
    return ids


def cityscapes_instances() -> np.ndarray:
    instances = cityscapes_ids().astype(np.uint16)
    instances[18:24, 10:20] = 26000
    instances[18:24, 20:30] = 26001
    return instances


def disparity() -> np.ndarray:
    stored = np.full(SIZE, round(DISPARITY * 256) + 1, np.uint16)
    stored[:, :8] = 0
    return stored


def write_cityscapes(
    root: Path,
    annotated: tuple[str, ...] = ("train/ulm_000000_000019", "train/ulm_000003_000294", "val/bonn_000000_000019"),
    *,
    video: bool = False,
    coarse: bool = False,
) -> Path:
    """Cityscapes as its archives unpack; ``video`` adds snippets with camera, timestamps and a constant-turn drive."""
    for seed, name in enumerate(annotated):
        split, _, frame = name.partition("/")
        sequence, _, number = frame.rpartition("_")
        place = f"{split}/{frame.partition('_')[0]}"
        write_png(root / f"leftImg8bit/{place}/{frame}_leftImg8bit.png", picture(seed))
        write_png(root / f"gtFine/{place}/{frame}_gtFine_labelIds.png", cityscapes_ids())
        write_png(root / f"gtFine/{place}/{frame}_gtFine_instanceIds.png", cityscapes_instances())
        write_png(root / f"gtFine/{place}/{frame}_gtFine_color.png", picture(seed))
        if coarse:
            ids = np.zeros(SIZE, np.uint8)
            ids[2:14, 4:36] = 23
            write_png(root / f"gtCoarse/{place}/{frame}_gtCoarse_labelIds.png", ids)
        if video:
            write_text(root / f"camera/{place}/{frame}_camera.json", json.dumps(CAMERA))
            write_png(root / f"disparity/{place}/{frame}_disparity.png", disparity())
            for step in range(30):
                _write_video_frame(root, place, f"{sequence}_{int(number) - 19 + step:06}", step)
    return root


def _write_video_frame(root: Path, place: str, frame: str, step: int) -> None:
    write_png(root / f"leftImg8bit_sequence/{place}/{frame}_leftImg8bit.png", picture(step))
    write_png(root / f"disparity_sequence/{place}/{frame}_disparity.png", disparity())
    motion = {"speed": SPEED, "yawRate": YAW_RATE, "gpsLatitude": 48.4, "outsideTemperature": 9}
    write_text(root / f"vehicle_sequence/{place}/{frame}_vehicle.json", json.dumps(motion))
    write_text(root / f"timestamp_sequence/{place}/{frame}_timestamp.txt", str(round(step * SECONDS_PER_FRAME * 1e9)))


CAMVID_FRAMES = {
    "train": ("0001TP_006690", "0001TP_006900", "0001TP_007170", "0006R0_f00930", "0016E5_07650"),
    "val": ("0016E5_07959", "0016E5_07961"),
    "test": ("0001TP_008550", "Seq05VD_f00000", "Seq05VD_f00030"),
}
"""The official folders put frames of a drive on several sides."""


def camvid_ids() -> np.ndarray:
    ids = np.zeros(SIZE, np.uint8)
    ids[16:] = 3
    ids[18:24, 10:30] = 8
    ids[30:] = 11
    ids[0, :4] = 40
    return ids


def write_camvid(root: Path, *, flat: bool, frames: dict[str, tuple[str, ...]] = CAMVID_FRAMES) -> Path:
    """CamVid in the layout published with SegNet (``flat``), or with images and labels below each split."""
    for folder, names in frames.items():
        for seed, name in enumerate(names):
            image = f"{folder}/{name}.png" if flat else f"{folder}/images/{name}.jpg"
            write_png(root / image, picture(seed))
            write_png(root / (f"{folder}annot" if flat else f"{folder}/labels") / f"{name}.png", camvid_ids())
    return root


WRITERS = {
    "camvid": partial(write_camvid, flat=True),
    "cityscapes": partial(write_cityscapes, video=True, coarse=True),
    "kitti360": write_kitti360,
    "nyuv2": write_nyuv2,
    "waymo": write_waymo,
}
"""Per adapter, the fullest tree of its format: ``WRITERS[name](root)`` writes it into ``root`` and returns that."""

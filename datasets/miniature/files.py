"""What the writers of all formats share: sizes, units of work, encoders, atomic writing, and the true depth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, Shaped

from wsss.benchmark.atomic import replacing
from wsss.benchmark.errors import DatasetError
from wsss.benchmark.geometry.true_depth import UNITS, truth_path

SizeName = Literal["full", "half", "tiny"]
"""``full`` for the grids, ``half`` with fewer scenes of the same kind for the quick one, ``tiny`` for tests."""
SIZES: tuple[SizeName, ...] = ("full", "half", "tiny")


@dataclass(frozen=True)
class Unit:
    """A part of a miniature that is written independently of the others."""

    name: str
    frames: int
    """Labelled frames, for the progress bar."""


def write(path: Path, content: bytes) -> None:
    """Write a file by atomic rename, with its folder.

    Raises:
        BenchmarkError: The disk is full, or the folder cannot be written.
    """
    with replacing(path, durable=False) as temporary:
        temporary.write_bytes(content)


def png(image: Shaped[np.ndarray, "h w *channels"]) -> bytes:
    """PNG bytes of a grey or RGB(A) image of 8 or 16 bits."""
    return _encoded(".png", image, [])


def jpeg(image: Shaped[np.ndarray, "h w 3"], quality: int = 95) -> bytes:
    """JPEG bytes of an RGB image."""
    return _encoded(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encoded(kind: str, image: np.ndarray, options: list[int]) -> bytes:
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    good, data = cv2.imencode(kind, image, options)
    if not good:
        raise DatasetError(f"OpenCV could not encode a picture of shape {image.shape}")
    return data.tobytes()


def write_truth(root: Path, frame: str, depth: Float[np.ndarray, "h w"]) -> None:
    """Store depth along the optical axis in metres, infinite where there is nothing, as KITTI does: 256 per metre.

    Rounded to 9 binary digits, a thousandth of the depth, which makes the files a fifth smaller.
    """
    units = np.where(depth < 255, depth * UNITS, 0.0)
    step = 2.0 ** np.maximum(np.floor(np.log2(np.maximum(units, 1))) - 9, 0)
    stored = np.minimum(np.round(units / step) * step, 65535).astype(np.uint16)
    write(truth_path(root, frame), png(stored))

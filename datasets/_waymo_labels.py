"""Waymo Open's 25 classes, and its images and panoptic labels from bytes.

Sources: the enum of the 2D labels in the official message formats; Rewis3d's evaluation for the train ids.
"""

import io
from functools import cache

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from wsss.datasets._files import lookup_table

TABLE: tuple[tuple[int, str, tuple[int, int, int]], ...] = (
    (2, "car", (0, 0, 142)),
    (3, "truck", (0, 0, 70)),
    (4, "bus", (0, 60, 100)),
    (5, "other large vehicle", (61, 133, 198)),
    (6, "bicycle", (119, 11, 32)),
    (7, "motorcycle", (0, 0, 230)),
    (8, "trailer", (111, 168, 220)),
    (9, "pedestrian", (220, 20, 60)),
    (10, "cyclist", (255, 0, 0)),
    (11, "motorcyclist", (180, 0, 0)),
    (12, "bird", (127, 96, 0)),
    (13, "ground animal", (91, 15, 0)),
    (14, "construction cone or pole", (230, 145, 56)),
    (15, "pole", (153, 153, 153)),
    (16, "pedestrian object", (234, 153, 153)),
    (17, "sign", (246, 178, 107)),
    (18, "traffic light", (250, 170, 30)),
    (19, "building", (70, 70, 70)),
    (20, "road", (128, 64, 128)),
    (23, "sidewalk", (244, 35, 232)),
    (24, "vegetation", (107, 142, 35)),
    (26, "ground", (102, 102, 102)),
    (21, "lane marker", (234, 209, 220)),
    (22, "road marker", (217, 210, 233)),
    (25, "sky", (70, 130, 180)),
)
"""2D class id, name and official colour; the position is the train id. The ids of the 3D labels are others."""

THINGS = frozenset({"car", "truck", "bus", "other large vehicle", "trailer", "pedestrian", "cyclist", "motorcyclist"})
"""Classes with instances in the 2D labels (deeplab2's description of the dataset)."""
DEFINED_IDS = frozenset(range(29))
"""Ids of the format; undefined 0, ego vehicle 1, dynamic 27 and static 28 are ignored."""

VALUES = 1 << 16
"""Of a pixel in a panoptic label."""
_TRAIN_IDS = lookup_table({row[0]: train_id for train_id, row in enumerate(TABLE)})


@cache
def train_ids(divisor: int) -> UInt8[np.ndarray, "65536"]:
    """The train id of every value of a panoptic label."""
    return _TRAIN_IDS[np.minimum(np.arange(VALUES) // divisor, 255)]


def count_unknown(values: UInt16[np.ndarray, "h w"], divisor: int) -> dict[int, int]:
    """Pixels per class id that the format does not define."""
    counts = np.bincount(np.arange(VALUES) // divisor, np.bincount(values.ravel(), minlength=VALUES))
    return {int(i): int(counts[i]) for i in np.flatnonzero(counts) if int(i) not in DEFINED_IDS}


def read_jpeg(data: bytes, size: tuple[int, int] | None, what: str) -> UInt8[np.ndarray, "h w 3"]:
    """An RGB image.

    Raises:
        OSError: The bytes are damaged or no JPEG.
        ValueError: It is not RGB, or not of ``size``.
    """
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        _check(image, "RGB", size, what)
        return np.array(image)


def read_panoptic(data: bytes, size: tuple[int, int], what: str) -> UInt16[np.ndarray, "h w"]:
    """Class * divisor + instance of every pixel; a default OpenCV read would leave 8 of the 16 bits.

    Raises:
        OSError: The bytes are damaged or no PNG.
        ValueError: It does not have one channel of 16 bits, or is not of ``size``.
    """
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        _check(image, "I;16", size, what)
        return np.array(image, np.uint16)


def image_size(data: bytes) -> tuple[int, int]:
    """Rows and columns of a JPEG, from its header.

    Raises:
        OSError: The bytes are no JPEG.
    """
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return image.height, image.width


def _check(image: Image.Image, mode: str, size: tuple[int, int] | None, what: str) -> None:
    if image.mode != mode:
        raise ValueError(f"{what} has mode {image.mode}, expected {mode}")
    if size is not None and (image.height, image.width) != size:
        raise ValueError(f"{what} has {image.height} x {image.width} pixels, expected {size[0]} x {size[1]}")

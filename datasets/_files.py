"""Checked reading of images, labels, JSON and folders: a damaged file raises one sentence, never a wrong array.

Pillow decodes everything: it refuses truncated files in every version, keeps the indices of palette images and the
depth of 16-bit ones, and never turns an image by its EXIF tag; a default OpenCV read does none of that.
"""

import json
import os
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, UnidentifiedImageError

from wsss.benchmark.errors import DatasetError
from wsss.benchmark.types import IGNORE

_DEPTHS = {"L": np.uint8, "P": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.int32}
"""Pillow's modes with one channel."""
_FORMATS = ("PNG", "JPEG", "PPM")
"""Those of the datasets: of some others the decoder starts programs."""


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image whose pixels are not decoded yet; what goes wrong in the block is told as the file's fault."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; its archive is unpacked incompletely: unpack it again") from error
    except UnidentifiedImageError as error:
        raise DatasetError(f"{path} is not an image; download and unpack its archive again") from error
    except DatasetError:
        raise
    except Exception as error:  # on damaged bytes Pillow raises nearly anything
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path} cannot be decoded ({reason}); download and unpack its archive again") from error


def _decoded(path: Path) -> tuple[Shaped[np.ndarray, "h w *channels"], str]:
    """Pixels and mode of an image whose checksums are right: decoding alone lets a flipped bit pass in a PNG."""
    with _opened(path) as image:
        if image.format == "PNG":
            image.verify()  # leaves the image unusable
    with _opened(path) as image:
        return np.array(image), image.mode


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """An RGB image as stored.

    Raises:
        DatasetError: The file is missing, damaged, no image, or not 8-bit RGB.
    """
    pixels, mode = _decoded(path)
    if mode != "RGB":
        raise DatasetError(f"{path} is an image of mode {mode}, expected 8-bit RGB; is it a label file?")
    return pixels


def image_size(path: Path) -> tuple[int, int]:
    """Rows and columns of an image, read from its header alone.

    Raises:
        DatasetError: The file is missing or no image.
    """
    with _opened(path) as image:
        return image.height, image.width


def read_ids(path: Path, *, size: tuple[int, int], bits: int = 8) -> Shaped[np.ndarray, "h w"]:
    """One integer per pixel as stored: class or instance ids.

    Args:
        path: The file.
        size: Rows and columns of the image that it annotates.
        bits: 8 for uint8; 16 for int32, which 16-bit ids do not overflow.

    Raises:
        DatasetError: The file is missing, damaged, no image, of another size or depth, or has several channels.
    """
    ids, mode = _decoded(path)
    if mode not in _DEPTHS:
        raise DatasetError(
            f"{path} has mode {mode}, expected one channel of ids; is it the coloured version of the annotation?"
        )
    if bits == 8 and _DEPTHS[mode] != np.uint8:
        raise DatasetError(f"{path} has 16 bits per pixel, expected 8-bit class ids; is it a file of instances?")
    if bits == 16 and _DEPTHS[mode] == np.uint8:
        raise DatasetError(f"{path} has 8 bits per pixel, expected 16; is it a file of class ids?")
    if ids.shape != size:
        raise DatasetError(
            f"{path} has {ids.shape[0]} x {ids.shape[1]} pixels, its image {size[0]} x {size[1]}; "
            f"take both from the same release"
        )
    return ids if bits == 8 else ids.astype(np.int32)


def lookup_table(train_ids: Mapping[int, int]) -> UInt8[np.ndarray, "256"]:
    """A table that maps 8-bit ids of a file to train ids, and every other value to IGNORE."""
    table = np.full(256, IGNORE, np.uint8)
    table[list(train_ids)] = list(train_ids.values())
    return table


def count_unknown(ids: UInt8[np.ndarray, "h w"], known: frozenset[int]) -> dict[int, int]:
    """Pixels per id that the format does not define; such ids are ignored in training and scoring."""
    counts = np.bincount(ids.ravel())
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts) if int(value) not in known}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        DatasetError: The file is missing, malformed, or holds something else.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; its archive is unpacked incompletely: unpack it again") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON ({error}); download and unpack its archive again") from error
    if not isinstance(values, dict):
        raise DatasetError(f"{path} holds no JSON object; download and unpack its archive again")
    return values


def number(path: Path, values: Any, *fields: str) -> float:
    """The finite number at ``values[fields[0]][fields[1]]...``, where ``values`` came from ``path``.

    Raises:
        DatasetError: The field is missing or no finite number; the text names it.
    """
    for field in fields:
        values = values.get(field) if isinstance(values, dict) else None
    if isinstance(values, bool) or not isinstance(values, int | float) or not np.isfinite(values):
        raise DatasetError(
            f"{path}: field {'.'.join(fields)} must be a number, found {values!r}; "
            f"download and unpack its archive again"
        )
    return float(values)


def listing(folder: Path) -> list[str]:
    """Sorted names in a folder, by one directory scan, without hidden ones; none where it is absent or a file.

    Raises:
        DatasetError: It is there and cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DatasetError(f"{folder} cannot be listed ({error.strerror}); mend its permissions or its disk") from error


def check_pairs(images: Path, annotations: Path, image_ids: Set[str], annotation_ids: Set[str]) -> None:
    """Require an annotation for every image and the reverse: half an archive would be another, smaller dataset.

    Raises:
        DatasetError: Names the first frame, in order, that one of the folders lacks.
    """
    if unpaired := sorted(image_ids ^ annotation_ids):
        id = unpaired[0]
        lacking, having = (annotations, images) if id in image_ids else (images, annotations)
        raise DatasetError(f"{lacking} has no file of frame {id}, which {having} holds; unpack its archive again")

"""Checked reading of NYU Depth v2's MATLAB files: the labelled frames, the splits and the mapping to 40 classes."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float, Int32, UInt8

from wsss.benchmark.errors import DatasetError
from wsss.benchmark.types import IGNORE
from wsss.datasets import _matlab5 as matlab5

_ARRAYS = {"images": np.uint8, "rawDepths": np.float32, "labels": np.uint16, "instances": np.uint8}
_LONGEST_NAME = 1000


@contextmanager
def _reading(path: Path, field: str) -> Iterator[None]:
    """Tell what goes wrong in the block as the file's fault; on damaged bytes h5py raises nearly anything."""
    try:
        yield
    except DatasetError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DatasetError(f"{path}: {field} cannot be read ({reason}); download the file again") from error


class LabelledFrames:
    """``nyu_depth_v2_labeled.mat``: HDF5 whose axes h5py shows in reverse, because MATLAB stores columns first.

    One frame is read at a time. The file is opened on first use and anew in every process.

    Raises:
        DatasetError: The file is damaged, or its parts do not fit each other; so do all methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: h5py.File | None = None
        self._process = 0
        shapes = {}
        for field, kind in _ARRAYS.items():
            with _reading(path, field):
                array = self._array(field)
                shapes[field] = array.shape
                if array.dtype != kind:
                    raise DatasetError(f"{path}: {field} holds {array.dtype}, expected {np.dtype(kind)}; "
                                       f"download the file again")  # fmt: skip
        images = shapes["images"]
        if len(images) != 4 or images[1] != 3 or min(images) < 1:
            raise DatasetError(f"{path}: images has shape {images}, expected (frames, 3, columns, rows); "
                               f"download the file again")  # fmt: skip
        self.count: int = images[0]
        self.size: tuple[int, int] = (images[3], images[2])
        """Rows and columns."""
        for field in _ARRAYS.keys() - {"images"}:
            if shapes[field] != (images[0], *images[2:]):
                raise DatasetError(f"{path}: {field} has shape {shapes[field]}, which does not fit images {images}; "
                                   f"download the file again")  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def image(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """The undistorted picture."""
        return np.ascontiguousarray(self._frame("images", index).transpose(2, 1, 0))

    def labels(self, index: int) -> Int32[np.ndarray, "h w"]:
        """Position in ``names`` plus 1; 0 where nobody annotated."""
        return self._frame("labels", index).T.astype(np.int32)

    def instances(self, index: int) -> Int32[np.ndarray, "h w"]:
        """Instance numbers, counted anew for each label."""
        return self._frame("instances", index).T.astype(np.int32)

    def raw_depth(self, index: int) -> Float[np.ndarray, "h w"]:
        """Depth of the Kinect in metres, in the pixels of the picture; 0 where it is missing."""
        return np.ascontiguousarray(self._frame("rawDepths", index).T)

    def strings(self, field: str, count: int | None = None) -> list[str]:
        """The texts of a cell array, whose elements are references to arrays of characters."""
        with _reading(self.path, field):
            references = self._array(field)[()].ravel()
            if count is not None and len(references) != count:
                raise DatasetError(f"{self.path}: {field} has {len(references)} texts for {count} frames; "
                                   f"download the file again")  # fmt: skip
            return [self._text(field, place, reference) for place, reference in enumerate(references)]

    def _text(self, field: str, place: int, reference: Any) -> str:
        characters: Any = self._open()[reference]
        if characters.dtype.kind != "u" or not 0 < characters.size <= _LONGEST_NAME:
            raise DatasetError(f"{self.path}: {field}[{place}] is no text; download the file again")
        return "".join(map(chr, characters[()].ravel()))

    def _frame(self, field: str, index: int) -> np.ndarray:
        with _reading(self.path, f"{field}[{index}]"):
            return self._array(field)[index]

    def _array(self, field: str) -> Any:
        array = self._open()[field]
        if not isinstance(array, h5py.Dataset):
            raise DatasetError(f"{self.path}: {field} is no array; download the file again")
        return array

    def _open(self) -> h5py.File:
        if self._file is None or self._process != os.getpid():
            self._file, self._process = h5py.File(self.path, "r"), os.getpid()
        return self._file


def _numbers(path: Path, *fields: str) -> list[np.ndarray]:
    """Arrays of whole numbers in a MATLAB file of version 5."""
    with _reading(path, ", ".join(fields)):
        values = matlab5.read(path)
        arrays = [np.asarray(values[field]).ravel() for field in fields]
        for field, array in zip(fields, arrays, strict=True):
            if array.dtype.kind not in "uif" or not np.all(np.isfinite(array) & (array == np.floor(array))):
                raise DatasetError(f"{path}: {field} holds no whole numbers; download the file again")
        return arrays


def _texts(path: Path, *fields: str) -> list[list[str]]:
    """Cell arrays of texts in a MATLAB file of version 5."""
    with _reading(path, ", ".join(fields)):
        values = matlab5.read(path)
        return [[_letters(text) for text in values[field]] for field in fields]


def read_splits(path: Path, count: int) -> dict[str, list[int]]:
    """``splits.mat``: the frames of ``train`` and ``val`` (its test frames), numbered from 1.

    Raises:
        DatasetError: The file is damaged, or its numbers are not each of 1 ... ``count`` once.
    """
    train, test = ([int(number) for number in values] for values in _numbers(path, "trainNdxs", "testNdxs"))
    if sorted(train + test) != list(range(1, count + 1)):
        raise DatasetError(
            f"{path} must name each of the {count} labelled frames once, counted from 1; "
            f"take it from the release of nyu_depth_v2_labeled.mat"
        )
    return {"train": sorted(train), "val": sorted(test)}


def read_mapping(path: Path, names: list[str], classes: tuple[str, ...]) -> UInt8[np.ndarray, " n"]:
    """``classMapping40.mat`` as a table from label (0 = unlabelled, else position in ``names`` plus 1) to train id.

    Raises:
        DatasetError: The file is damaged, or made for other names or classes.
    """
    (targets,) = _numbers(path, "mapClass")
    found, fine = _texts(path, "className", "allClassName")
    if found != [_letters(name) for name in classes]:
        raise DatasetError(f"{path}: className is not the official list of {len(classes)} classes; download it again")
    same = sum(ours == theirs for ours, theirs in zip(map(_letters, names), fine, strict=False))
    if not len(targets) == len(fine) == len(names) or same < 0.9 * len(names):
        raise DatasetError(
            f"{path}: maps {len(targets)} names, which are not the {len(names)} names of nyu_depth_v2_labeled.mat; "
            f"take both from the same release"
        )
    if not np.all((targets >= 1) & (targets <= len(classes))):
        raise DatasetError(f"{path}: mapClass must lie within 1 ... {len(classes)}; download it again")
    table = np.full(len(names) + 1, IGNORE, np.uint8)
    table[1:] = targets - 1
    return table


def _letters(name: str) -> str:
    """A name without case and punctuation, in which the files may differ."""
    return re.sub(r"\W|_", "", name.casefold())

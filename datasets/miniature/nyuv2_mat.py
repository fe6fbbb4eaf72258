"""The MATLAB files of a miniature NYU Depth v2, written without a trace of when and where."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

from wsss.benchmark.atomic import replacing
from wsss.datasets.miniature import files
from wsss.datasets.miniature.rooms.indoor import CLASSES_40, NAMES_40

FRAMES, SPLITS, MAPPING = "nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"

_HEADER = b"MATLAB 7.3 MAT-file, HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\x00\x02IM"
_HEADER_5 = b"MATLAB 5.0 MAT-file".ljust(116)
_ARRAYS = {"images": "uint8", "depths": "single", "rawDepths": "single", "labels": "uint16", "instances": "uint8"}
_CELLS = ("scenes", "sceneTypes", "rawRgbFilenames", "rawDepthFilenames")


def write_frames(path: Path, parts: Sequence[dict[str, np.ndarray]], names: Sequence[str]) -> None:
    """``nyu_depth_v2_labeled.mat``: HDF5 below a MATLAB header, axes reversed, texts as references.

    Args:
        path: Where.
        parts: Per room its frames (n, rows, columns, ...) and texts (n,), by the names of the file.
        names: Of the fine labels, from 1.
    """
    with replacing(path) as temporary:
        # Whoever replaces a file holds its lock already, against which HDF5's own would run.
        with h5py.File(temporary, "w", userblock_size=512, locking=False) as file:
            for name, kind in _ARRAYS.items():
                # (n, rows, columns, channels) becomes (n, channels, columns, rows)
                frames = np.concatenate([part[name].transpose(0, *range(part[name].ndim - 1, 0, -1)) for part in parts])
                options = {"chunks": (1, *frames.shape[1:]), "compression": 6, "shuffle": True}
                _called(file.create_dataset(name, data=frames, **options), kind)
            acceleration = np.concatenate([part["accelData"] for part in parts]).T
            _called(file.create_dataset("accelData", data=acceleration), "single")
            for name in _CELLS:
                _cell(file, name, np.concatenate([part[name] for part in parts]).tolist())
            _cell(file, "names", names)
        with temporary.open("r+b") as stream:
            stream.write(_HEADER)


def _called(array: h5py.Dataset, kind: str) -> None:
    array.attrs["MATLAB_class"] = np.bytes_(kind)


def _cell(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    references = np.empty((1, len(texts)), h5py.ref_dtype)
    for place, text in enumerate(texts):
        letters = np.array([[ord(letter)] for letter in text], np.uint16)
        array = file.create_dataset(f"#refs#/{name}_{place}", data=letters)
        _called(array, "char")
        array.attrs["MATLAB_int_decode"] = np.int32(2)
        references[0, place] = array.ref
    _called(file.create_dataset(name, data=references, dtype=h5py.ref_dtype), "cell")


def write_splits(path: Path, train: Sequence[int], test: Sequence[int]) -> None:
    """``splits.mat``: numbers of the frames, from 1."""
    _write_5(path, {"trainNdxs": np.array([train], np.uint16).T, "testNdxs": np.array([test], np.uint16).T})


def write_mapping(path: Path, names: Sequence[str]) -> None:
    """``classMapping40.mat``: for each fine name the number of its class, from 1."""
    numbers = np.array([[CLASSES_40[name] for name in names]], np.uint8)
    _write_5(path, {"mapClass": numbers, "className": _texts(NAMES_40), "allClassName": _texts(names)})


def _texts(texts: Sequence[str]) -> np.ndarray:
    cell = np.empty((1, len(texts)), object)
    cell[0] = list(texts)
    return cell


def _write_5(path: Path, values: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    savemat(buffer, values, do_compression=True)
    files.write(path, _HEADER_5 + buffer.getvalue()[len(_HEADER_5) :])  # instead of platform and date

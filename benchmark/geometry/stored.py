"""One cloud on disk: plain arrays in a folder, and a manifest that says what they are.

xyz.npy rgb.npy confidence.npy frame.npy pixel.npy    the columns of PointCloud, in the order of index.py
blocks.npy views.npy                                  its Index
labels-<kind>-<seed>-<digest>.npy                     one weak label per point, made when first asked for
labels-<kind>-<seed>-<digest>.json                    its checksum and statistics
manifest.json                                         or, where making it failed, failure.json instead of all
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Shaped, UInt8
from numpy.lib import format as npy

from wsss.benchmark.atomic import replacing, write_text
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.geometry.index import Index, order
from wsss.benchmark.spec import from_plain
from wsss.benchmark.types import PointCloud

COLUMNS = ("xyz", "rgb", "confidence", "frame", "pixel")
INDEX = ("blocks", "views")
REMOVING = ".removing-"
"""Beginning of the name of a folder that is being removed."""
_ROWS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Where a cloud comes from: what its folder's name stands for, and what was learned by making it."""

    dataset: str
    scene: str
    geometry: str
    """The provider's name."""
    version: int
    settings: dict[str, Any]
    digest: str
    """Of the provider and its settings."""
    frames: tuple[str, ...]
    """Their ids."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Package, version and weights of a provider that learned; empty for others."""
    remarks: tuple[str, ...] = ()
    """What the log was warned of meanwhile: chunks that memory could not hold, or that could not be placed."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a cloud is."""

    facts: Facts
    points: int
    counts: tuple[int, ...]
    """Points per frame; those that no frame saw come on top."""
    origin: tuple[float, ...]
    up: tuple[float, ...]
    metric: bool
    seconds: float
    """That making it took."""
    sizes: dict[str, int]
    """Bytes per file."""
    checksums: dict[str, str]
    """SHA-256 per file."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A cloud whose arrays are memory maps, and its index."""

    manifest: Manifest
    cloud: PointCloud
    index: Index


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """What the labels of a cloud's points are."""

    labelled: int
    """Points that have one."""
    checksum: str


def write(folder: Path, cloud: PointCloud, facts: Facts, seconds: float) -> Manifest:
    """Write a cloud into a folder that exists; its points are reordered within their views.

    Raises:
        OSError: The disk is full.
    """
    orders = list(order(cloud))
    checksums = {}
    for name in COLUMNS:
        column = getattr(cloud, name)
        parts = (column[rows][places] for rows, places in orders)
        checksums[name] = _save(folder / f"{name}.npy", column.dtype, column.shape, parts)
    columns = {name: _map(folder, name) for name in COLUMNS}
    index = Index.of(
        PointCloud(**columns, origin=cloud.origin, up=cloud.up, metric=cloud.metric), frames=len(facts.frames)
    )
    for name in INDEX:
        array = getattr(index, name)
        checksums[name] = _save(folder / f"{name}.npy", array.dtype, array.shape, [array])
    manifest = Manifest(
        facts=facts,
        points=len(cloud.xyz),
        counts=tuple(int(view["stop"] - view["start"]) for view in index.views),
        origin=tuple(cloud.origin.tolist()),
        up=tuple(cloud.up.tolist()),
        metric=cloud.metric,
        seconds=round(seconds, 3),
        sizes={name: (folder / f"{name}.npy").stat().st_size for name in checksums},
        checksums=checksums,
    )
    write_text(folder / "manifest.json", json.dumps(asdict(manifest), indent=1) + "\n")
    return manifest


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where there is none or it is damaged."""
    manifest = _read_json(Manifest, folder / "manifest.json")
    whole = manifest is not None and all(
        isinstance(kept, dict) and set(kept) == {*COLUMNS, *INDEX} for kept in (manifest.sizes, manifest.checksums)
    )
    return manifest if whole else None


def fault(folder: Path, checksums: bool = False) -> str | None:
    """What is wrong with a folder, None if nothing: sizes at first, checksums if wanted.

    Labels that do not have their checksum are removed, to be made again when they are asked for.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return "manifest.json is missing or damaged"
    for name, size in manifest.sizes.items():
        path = folder / f"{name}.npy"
        if not path.is_file():
            return f"{path.name} is missing"
        if path.stat().st_size != size:
            return f"{path.name} has {path.stat().st_size} bytes instead of {size}"
    if not checksums:
        return None
    for path in folder.glob("labels-*.npy"):
        known = _read_label_facts(path)
        if known is None or _checksum(path) != known.checksum:
            path.unlink(missing_ok=True)
    wrong = (name for name, value in manifest.checksums.items() if _checksum(folder / f"{name}.npy") != value)
    name = next(wrong, None)
    return None if name is None else f"{name}.npy does not have its checksum"


def read(folder: Path) -> Stored:
    """Open a cloud; its arrays are read when they are used.

    Raises:
        BenchmarkError: The folder is incomplete or its files do not have their sizes.
    """
    wrong, manifest = fault(folder), read_manifest(folder)
    if wrong or manifest is None:
        raise BenchmarkError(f"{folder} is damaged ({wrong}); `wsss points` makes it again")
    try:
        arrays = {name: _map(folder, name) for name in (*COLUMNS, *INDEX)}
    except (OSError, ValueError, EOFError) as error:  # of its size, and yet no array of numbers
        raise BenchmarkError(f"{folder} is damaged ({error}); delete it and `wsss points` makes it again") from error
    columns = {name: arrays.pop(name) for name in COLUMNS}
    cloud = PointCloud(**columns, origin=np.array(manifest.origin), up=np.array(manifest.up), metric=manifest.metric)
    return Stored(manifest=manifest, cloud=cloud, index=Index(**arrays))


def write_labels(path: Path, labels: UInt8[np.ndarray, " n"], labelled: int) -> None:
    """Store the labels of a cloud's points beside it."""
    with replacing(path) as temporary:
        checksum = _save(temporary, labels.dtype, labels.shape, [labels])
    write_text(path.with_suffix(".json"), json.dumps(asdict(LabelFacts(labelled=labelled, checksum=checksum))) + "\n")


def read_labels(path: Path, points: int) -> UInt8[np.ndarray, " n"] | None:
    """Labels stored before; None where there are none or their number is wrong."""
    try:
        labels = npy.open_memmap(path, mode="r").view(np.ndarray)
    except (OSError, ValueError, EOFError):
        return None
    return labels if labels.shape == (points,) and labels.dtype == np.uint8 and _read_label_facts(path) else None


def install(made: Path, place: Path) -> None:
    """Rename a finished folder; where another process was faster and its cloud is whole, that one stays."""
    while True:
        try:
            made.rename(place)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if fault(place) is None:
            return
        remove(place)


def remove(place: Path) -> None:
    """Remove a folder that others may be looking at: at once, by renaming it."""
    aside = Path(tempfile.mkdtemp(prefix=REMOVING, dir=place.parent))
    with contextlib.suppress(FileNotFoundError):  # somebody else was faster
        place.replace(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _read_label_facts(path: Path) -> LabelFacts | None:
    return _read_json(LabelFacts, path.with_suffix(".json"))


def _read_json(cls: Any, path: Path) -> Any:
    """One of the classes above; None where the file is missing or holds something else."""
    try:
        return from_plain(cls, json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, BenchmarkError):
        return None


def _map(folder: Path, name: str) -> Shaped[np.ndarray, "..."]:
    """An array as a memory map, as a plain array: slices of ``np.memmap`` cost ten times as much."""
    return npy.open_memmap(folder / f"{name}.npy", mode="r").view(np.ndarray)  # which reads no pickle


def _save(path: Path, dtype: np.dtype, shape: tuple[int, ...], parts: Any) -> str:
    """Write the rows of an array, part by part, and return the file's SHA-256.

    Plain writing: on a full disk it raises, where writing to a memory map would kill the process.
    """
    with path.open("wb") as file:
        hashed = _Hashed(file)
        npy.write_array_header_1_0(hashed, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})  # pyright: ignore[reportArgumentType]
        for part in parts:
            for start in range(0, len(part), _ROWS):
                hashed.write(np.ascontiguousarray(part[start : start + _ROWS], dtype).tobytes())
        file.flush()
        os.fsync(file.fileno())
    return hashed.sha.hexdigest()


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha = file, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.sha.update(data)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

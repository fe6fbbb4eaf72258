"""Miniature datasets: procedural worlds, ray cast and written to disk in the native formats of the real datasets.

A seed and a format's ``VERSION`` decide every byte, whatever the number of processes. Pictures come from float32
arithmetic, so another processor or library version may move single pixels; ``miniature.json`` holds a digest.

A format is a module of this folder that gives

- ``VERSION: int``, raised when what it writes changes,
- ``units(size, seed) -> tuple[Unit, ...]``, its parts,
- ``write(root, size, seed, unit) -> str``, which writes what is missing of a part and returns a digest of its content,
- ``finish(root, size, seed)``, which writes the files that need all parts, and
- ``facts(size) -> dict``, for ``miniature.json``.
"""

import hashlib
import importlib
import json
import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from wsss.benchmark.atomic import write_text
from wsss.benchmark.errors import UsageError, unknown_name
from wsss.benchmark.orphans import end_with_parent
from wsss.datasets.miniature.files import SIZES, SizeName, Unit

DATASETS: tuple[str, ...] = ("cityscapes", "kitti360", "nyuv2", "waymo")
"""Whose formats there are."""


@runtime_checkable
class Format(Protocol):
    """What a module of this folder offers that writes a dataset; see above."""

    VERSION: int

    units: Callable[[SizeName, int], tuple[Unit, ...]]
    write: Callable[[Path, SizeName, int, str], str]
    finish: Callable[[Path, SizeName, int], None]
    facts: Callable[[SizeName], dict[str, Any]]


def build(
    folder: Path,
    dataset: str = "cityscapes",
    size: SizeName = "full",
    *,
    seed: int = 0,
    jobs: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a miniature dataset, or what is missing of it, and return its root ``folder/dataset``.

    Args:
        folder: Where to put it.
        dataset: One of ``DATASETS``.
        size: One of ``SIZES``.
        seed: Of the worlds.
        jobs: Number of processes.
        progress: Called with the number of finished and of all labelled frames.

    Raises:
        UsageError: Unknown dataset or size, or the root holds files that are not a miniature.
    """
    if dataset not in DATASETS:
        raise unknown_name("miniature dataset", dataset, DATASETS)
    if size not in SIZES:
        raise unknown_name("size", size, SIZES)
    root, format = Path(folder) / dataset, _format(dataset)
    wanted = {"version": format.VERSION, "dataset": dataset, "size": size, "seed": seed}
    if _stands(root, wanted):
        return root
    parts = format.units(size, seed)
    digests = _write(root, dataset, size, seed, parts, jobs, progress or (lambda done, total: None))
    format.finish(root, size, seed)
    sha = hashlib.sha256("".join(digests[part.name] for part in parts).encode())
    manifest = {**wanted, **format.facts(size), "sha256": sha.hexdigest()}
    write_text(root / "miniature.json", json.dumps(manifest, indent=1) + "\n")
    return root


def _format(dataset: str) -> Format:
    module: Any = importlib.import_module(f"wsss.datasets.miniature.{dataset}")
    return module


def _stands(root: Path, wanted: dict[str, Any]) -> bool:
    """Whether a finished miniature of this kind is there; clears one of another kind and marks a new beginning."""
    finished, marker = root / "miniature.json", root / ".miniature"
    aside = root.with_name(f".{root.name}.removed")  # a kill must not leave half of it without its marker
    shutil.rmtree(aside, ignore_errors=True)
    if root.is_dir() and any(root.iterdir()):
        if not marker.is_file():
            raise UsageError(f"{root} holds files that are not a miniature; choose another folder")
        try:
            found = json.loads(marker.read_text("utf-8"))
        except ValueError:
            found = None
        if found == wanted:
            return finished.is_file()
        root.rename(aside)
        shutil.rmtree(aside)
    write_text(marker, json.dumps(wanted) + "\n")
    return False


def _write(
    root: Path,
    dataset: str,
    size: SizeName,
    seed: int,
    parts: Sequence[Unit],
    jobs: int,
    progress: Callable[[int, int], None],
) -> dict[str, str]:
    """Write all parts and return their digests."""
    total, done, digests = sum(part.frames for part in parts), 0, {}
    if jobs <= 1:
        for part in parts:
            digests[part.name] = _part(root, dataset, size, seed, part.name)
            done += part.frames
            progress(done, total)
        return digests
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=end_with_parent) as pool:
        running = {pool.submit(_part, root, dataset, size, seed, part.name): part for part in parts}
        for future in as_completed(running):
            digests[running[future].name] = future.result()
            done += running[future].frames
            progress(done, total)
    return digests


def _part(root: Path, dataset: str, size: SizeName, seed: int, name: str) -> str:
    return _format(dataset).write(root, size, seed, name)

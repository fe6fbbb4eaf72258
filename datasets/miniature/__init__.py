"""Miniature datasets: procedural worlds, ray cast and written to disk in the native formats of the real datasets.

A seed and ``VERSION`` decide every byte, whatever the number of processes. Pictures come from float32 arithmetic, so
another processor or library version may move single pixels; ``miniature.json`` holds a digest to compare.
"""

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from wsss.benchmark.errors import UsageError, unknown_name
from wsss.benchmark.records import write_text
from wsss.datasets.miniature import cityscapes_tree
from wsss.datasets.miniature.cityscapes import SIZES, SizeName, Spec, spec

VERSION = 1
"""Raise it when what is written changes."""

DATASETS: tuple[str, ...] = ("cityscapes",)
"""Whose formats there are."""


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
        size: ``full`` for the benchmark, ``tiny`` for tests.
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
    root, plan = Path(folder) / dataset, spec(size, seed)
    wanted = {"version": VERSION, "dataset": dataset, "size": size, "seed": seed}
    if _stands(root, wanted):
        return root
    cities = list(dict.fromkeys(snippet.city for snippet in plan.snippets))
    digests = _write(root, plan, cities, jobs, progress or (lambda done, total: None))
    shape, sha = SIZES[size], hashlib.sha256()
    for city in cities:
        for digest in digests[city]:
            sha.update(digest.encode())
    manifest = {
        **wanted,
        "width": shape.width,
        "height": shape.height,
        "train": shape.train * shape.stops,
        "val": shape.val * shape.stops,
        "views": list(shape.views),
        "sha256": sha.hexdigest(),
    }
    write_text(root / "miniature.json", json.dumps(manifest, indent=1) + "\n")
    return root


def _stands(root: Path, wanted: dict[str, Any]) -> bool:
    """Whether a finished miniature of this kind is there; clears one of another kind and marks a new beginning."""
    finished, marker = root / "miniature.json", root / ".miniature"
    if root.is_dir() and any(root.iterdir()):
        if not marker.is_file():
            raise UsageError(f"{root} holds files that are not a miniature; choose another folder")
        try:
            found = json.loads(marker.read_text("utf-8"))
        except ValueError:
            found = None
        if found == wanted:
            return finished.is_file()
        finished.unlink(missing_ok=True)
        shutil.rmtree(root)
    write_text(marker, json.dumps(wanted) + "\n")
    return False


def _write(
    root: Path, plan: Spec, cities: list[str], jobs: int, progress: Callable[[int, int], None]
) -> dict[str, list[str]]:
    """Write all cities and return their digests."""
    total, done, digests = len(plan.snippets), 0, {}
    if jobs <= 1:
        for city in cities:
            digests[city] = cityscapes_tree.write_city(root, plan, city)
            done += len(digests[city])
            progress(done, total)
        return digests
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(cityscapes_tree.write_city, root, plan, city): city for city in cities}
        for future in as_completed(running):
            digests[running[future]] = future.result()
            done += len(digests[running[future]])
            progress(done, total)
    return digests

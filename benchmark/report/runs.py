"""One stored run, reduced to what tables need, and one failure."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int, Num

from wsss.benchmark import measure_statistics, statistics
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.records import Cell, Record, RunFolder
from wsss.benchmark.report.curve import read_curve


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run, reduced to what tables need; the first predictor is the one that is compared."""

    cell: Cell
    record: Record
    folder: Path
    scenes: list[str]
    frames: int
    """Images of the split."""
    sums: dict[str, Int[np.ndarray, "scenes classes 3"]]
    image_mious: dict[str, float]
    images: Int[np.ndarray, " classes"]
    """In how many images of the split each class is labelled."""
    measures: dict[str, Num[np.ndarray, "scenes ..."]]
    """Sums per scene of what else was counted for the first predictor: ``boundary``, ``ranges``, ... (measures.py)."""
    measure_images: dict[str, list[int]]
    """On how many images each part of a measure, a width or a bin, rests."""
    depth_source: str | None
    """Where the depth behind ``ranges`` and ``views`` comes from."""

    @property
    def predictor(self) -> str:
        """The predictor in the tables."""
        return next(iter(self.record.scores))

    @cached_property
    def curve(self) -> dict[str, Float64[np.ndarray, " grid"]]:
        """Its loss terms at ``curve.GRID``, read when they are first asked for."""
        return read_curve(self.folder)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that ended in an exception."""

    cell: Cell
    error: str
    step: int | None


def read_run(cell: Cell, path: Path) -> Run:
    """Read a finished run and reduce its counts to sums per scene.

    Raises:
        BenchmarkError: A file is damaged or changed, or the counts lack a predictor that the record names.
    """
    folder = RunFolder(path)
    record = folder.read_record()
    folder.check(record)
    counts = folder.read_counts()
    missing = set(record.scores) - set(counts.tables)
    if missing or not record.scores:
        raise BenchmarkError(f"{path}/counts.npz lacks the predictor {sorted(missing)}; delete {path} and rerun")
    tables = {name: counts.tables[name] for name in record.scores}
    summed = {name: statistics.scene_sums(table, counts.scene_ids) for name, table in tables.items()}
    first = tables[next(iter(record.scores))]
    more = counts.measures.get(next(iter(record.scores)), {})
    return Run(
        cell=cell,
        record=record,
        folder=path,
        scenes=next(iter(summed.values()))[0],
        frames=len(counts.image_ids),
        sums={name: sums for name, (_, sums) in summed.items()},
        image_mious={name: statistics.image_miou(table) for name, table in tables.items()},
        images=(first[..., 2] > 0).sum(axis=0),
        measures={name: statistics.scene_sums(array, counts.scene_ids)[1] for name, array in more.items()},
        measure_images={name: measure_statistics.support(name, array).rows.tolist() for name, array in more.items()},
        depth_source=counts.depth_source,
    )


def read_failure(cell: Cell, path: Path) -> Failure:
    """Read ``failure.json``: the last line of the error and the step at which it happened.

    Raises:
        BenchmarkError: The file is damaged.
    """
    try:
        plain = json.loads(path.read_text("utf-8"))
        text, step = str(plain["error"]).strip(), plain["step"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: cannot be read ({error}); delete it and rerun") from error
    return Failure(cell=cell, error=text.splitlines()[-1] if text else "no message", step=step)

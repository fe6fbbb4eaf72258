"""The results store: one folder per run, plain files only, and ``run.json`` exists if and only if the run finished.

    <results>/<suite>/plan.json                                             what the suite consists of
    <results>/<suite>/samples/<dataset>/<frame>/{image,truth,weak-...}.png  shared by all runs
    <results>/<suite>/runs/<dataset>/<labels>/<method>/<seed>-<fingerprint>/
        spec.json       first: enough to replay the run
        curve.csv       while training: step, progress, lr, one column per loss term
        last.pt         while training: the checkpoint, never committed
        counts.npz      after evaluation: sufficient statistics per image and class
        samples/        after evaluation: predicted train ids of the dataset's fixed frames
        environment.txt the packages
        run.json        last, by atomic rename
        failure.json    instead, after an exception; the run is tried again next time

``results/README.md`` explains every field. This module needs no torch.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Num

from wsss.benchmark.atomic import replacing, write_text
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.measure_shapes import by_predictor
from wsss.benchmark.names import is_safe
from wsss.benchmark.spec import PROTOCOL, RunSpec, check_kinds, from_plain, to_plain
from wsss.benchmark.types import LabelKind

COMMITTED = Path("results")
"""Committed results, beside which a report sets new ones; their finished runs tell how long one takes."""
SCHEMA = 1
"""Version of the files' layout."""
KEPT = ("spec.json", "curve.csv", "counts.npz", "environment.txt", "samples/**/*.png")
"""What a finished run keeps beside its record."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Sufficient statistics of one evaluation.

    ``tables`` holds, per predictor, int64 (images, classes, 3): intersection, predicted and labelled pixels,
    all counted on labelled pixels only.
    """

    image_ids: list[str]
    scene_ids: list[str]
    """The scene of each image: the unit of the bootstrap."""
    tables: dict[str, Int[np.ndarray, "images classes 3"]]
    measures: dict[str, dict[str, Num[np.ndarray, "images ..."]]] = dataclasses.field(default_factory=dict)
    """Per predictor and measure (``boundary``, ``trimap``, ``ranges``, ``calibration``, ``views``) the statistics of
    measures.py with a row per image; a measure that the dataset or an older version did not allow is not there."""
    depth_source: str | None = None
    """Where the depth of ``ranges`` and ``views`` comes from: ``truth`` or ``sensor``; None where nobody knows it."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """All that a report needs to know of a finished run beside its counts; written as ``run.json``."""

    spec: RunSpec
    fingerprint: str
    suite: str
    method: dict[str, Any]
    """title, paper, url, supervision, geometry, version."""
    dataset: dict[str, Any]
    """title, classes (names), colors, things."""
    labels: dict[str, Any]
    """source, images, share of labelled pixels, share of those that are correct, coverage: per class, the share of the
    images that hold it in which it is labelled."""
    digests: dict[str, str]
    scores: dict[str, dict[str, Any]]
    """Per predictor, the tables' one first: miou and classes (None where the split lacks the class), in [0, 1]."""
    parameters: int
    seconds: dict[str, float]
    """train, evaluate."""
    peak_memory_mb: float
    provenance: dict[str, Any]
    command: str
    """Replays this run."""
    started: str
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    """SHA-256 of what the run keeps beside this file, by path within its folder; known when it is finished."""
    schema: int = SCHEMA
    protocol: int = PROTOCOL


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One planned run; ``skip`` is the reason why it cannot exist, printed beside ``n/a``."""

    dataset: str
    labels: LabelKind
    method: str
    seed: int
    folder: str | None
    """Relative to the suite's folder; None if skipped, or while data or labels are not there yet."""
    skip: str | None = None

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """What tells it from the other cells of its suite, in whatever state it is."""
        return self.dataset, self.labels, self.method, self.seed


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a suite consists of, in the order of its tables; written as ``plan.json`` before the first run."""

    suite: str
    title: str
    """One sentence that says which data this is; printed over everything."""
    data: str
    """``miniature`` or ``real``."""
    methods: dict[str, dict[str, Any]]
    """Per method name: title, paper, url, supervision."""
    datasets: dict[str, dict[str, Any]]
    """Per dataset name: title, classes (names), colors, things."""
    cells: tuple[Cell, ...]
    schema: int = SCHEMA
    protocol: int = PROTOCOL


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curve = path / "curve.csv"
        self.checkpoint = path / "last.pt"
        self.samples = path / "samples"

    @property
    def finished(self) -> bool:
        """Whether ``run.json`` exists."""
        return (self.path / "run.json").is_file()

    @property
    def state(self) -> str:
        """``done``, ``failed``, ``resumable`` or ``to run``."""
        if self.finished:
            return "done"
        if (self.path / "failure.json").is_file():
            return "failed"
        return "resumable" if self.checkpoint.is_file() else "to run"

    def tidy(self) -> None:
        """Remove the half-written files that a kill left behind."""
        for path in self.path.glob(".*.*"):
            path.unlink()

    def write(self, name: str, value: Any) -> None:
        """Write one of the folder's JSON files atomically."""
        write_text(self.path / name, json.dumps(to_plain(value), indent=1, allow_nan=False) + "\n")

    def finish(self, record: Record) -> Record:
        """Declare the run finished: the last write, after which checkpoint and failure are of no use."""
        record = dataclasses.replace(record, files=self._digests())
        self.write("run.json", record)
        self.checkpoint.unlink(missing_ok=True)
        (self.path / "failure.json").unlink(missing_ok=True)
        return record

    def write_counts(self, counts: Counts) -> None:
        """Write ``counts.npz`` atomically."""
        arrays: dict[str, Any] = {f"counts_{name}": table for name, table in counts.tables.items()}
        for name, found in counts.measures.items():
            arrays |= {f"{measure}_{name}": array for measure, array in found.items()}
        if counts.depth_source is not None:
            arrays["depth_source"] = np.array(counts.depth_source)
        with replacing(self.path / "counts.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, image_ids=np.array(counts.image_ids), scene_ids=np.array(counts.scene_ids), **arrays
            )

    def read_counts(self) -> Counts:
        """Read ``counts.npz``.

        Raises:
            BenchmarkError: The file is missing or damaged, or an array has a shape that it cannot have.
        """
        path = self.path / "counts.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = dict(stored)
            images, scenes = arrays.pop("image_ids").tolist(), arrays.pop("scene_ids").tolist()
            source = arrays.pop("depth_source", None)
            found = by_predictor(arrays, len(images))
        except Exception as error:  # a damaged archive raises nearly anything
            raise BenchmarkError(f"{path}: cannot be read ({error}); delete {self.path} and rerun") from error
        return Counts(
            image_ids=images,
            scene_ids=scenes,
            tables={name: arrays.pop("counts") for name, arrays in found.items()},
            measures=found,
            depth_source=None if source is None else str(source),
        )

    def check(self, record: Record) -> None:
        """Make sure that the files are those that the run left.

        Raises:
            BenchmarkError: One is damaged, changed or missing.
        """
        found = self._digests()
        for name, digest in record.files.items():
            if found.get(name) != digest:
                what = "is not as the run left it" if name in found else "is missing"
                raise BenchmarkError(f"{self.path / name} {what}; restore it, or delete {self.path} and rerun")

    def read_record(self) -> Record:
        """Read ``run.json``.

        Raises:
            BenchmarkError: The file is damaged, or of another schema or protocol.
        """
        record = _read(self.path / "run.json", Record, f"delete {self.path} and rerun")
        assert isinstance(record, Record)
        return record

    def _digests(self) -> dict[str, str]:
        """SHA-256 of the files to keep, by path within the folder."""
        paths = sorted(path for pattern in KEPT for path in self.path.glob(pattern))
        return {path.relative_to(self.path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def read_plan(suite: Path) -> Plan:
    """The plan of a suite's results folder.

    Raises:
        BenchmarkError: There is none, or it is damaged or of another schema or protocol.
    """
    path = suite / "plan.json"
    if not path.is_file():
        raise BenchmarkError(
            f"{path} does not exist: nothing was run there yet; start with `wsss run --suite {suite.name}`"
        )
    plan = _read(path, Plan, "delete it and run the suite again: finished runs are kept")
    assert isinstance(plan, Plan)
    for name in (*plan.datasets, *plan.methods, *(name for cell in plan.cells for name in _names(cell))):
        if not is_safe(name):
            raise BenchmarkError(f"{path}: {name[:80]!r} cannot be a name; delete the file and run the suite again")
    return plan


def _names(cell: Cell) -> tuple[str, ...]:
    """What of a cell becomes part of a path."""
    return cell.dataset, cell.labels, cell.method, *(cell.folder or "none").split("/")


def _read(path: Path, cls: type, remedy: str) -> Any:
    try:
        plain = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BenchmarkError(f"{path}: cannot be read ({error}); {remedy}") from error
    for field, ours in (("schema", SCHEMA), ("protocol", PROTOCOL)):
        if not isinstance(plain, Mapping) or plain.get(field) != ours:
            found = plain.get(field) if isinstance(plain, Mapping) else None
            raise BenchmarkError(
                f"{path}: {field} {found}, this version reads {ours}. Results of different {field}s never mix: "
                f"choose another folder with --results, or use the version that wrote it"
            )
    try:
        read = from_plain(cls, plain, str(path))
        check_kinds(read)
    except (AttributeError, TypeError, ValueError) as error:  # JSON of another shape
        raise BenchmarkError(f"{path}: is damaged ({error}); {remedy}") from error
    return read

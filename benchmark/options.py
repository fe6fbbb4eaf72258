"""The options that several verbs of the command line share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which runs are meant."""

    suite: str = "quick"
    """Which suite."""
    method: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Only this method; may be repeated."""
    dataset: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Only this dataset; may be repeated."""
    labels: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Only this kind of label (points, scribbles, coarse) and the dense ceiling; may be repeated."""
    seed: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Only this seed; may be repeated."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where data and results are."""

    results: Path = Path("build/results")
    """Folder of the results."""
    data_root: Path | None = None
    """Folder that holds a folder per real dataset; WSSS_DATA by default."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How runs are executed; nothing here changes a score."""

    jobs: int = 0
    """Runs at a time, each in its own process; 0 for as many as a CPU has cores, or one on a GPU."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    workers: int = 0
    """Loader processes per run."""

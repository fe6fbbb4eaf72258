"""The options that several verbs of the command line share."""

from dataclasses import dataclass, field
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
class Slurm:
    """What a run gets on a SLURM cluster, with --launcher slurm; the cluster's own defaults where nothing is said."""

    partition: str | None = None
    """Partition, or several with commas between them."""
    account: str | None = None
    """Account that pays."""
    hours: float = 24.0
    """Time limit of a run; one that reaches it is requeued and goes on from its last checkpoint."""
    gpus: int | None = None
    """GPUs of a run; by default as many as --devices, and none with --device cpu."""
    cpus: int = 8
    """Processor cores of a run, for training, loading and scoring."""
    memory: float | None = None
    """Main memory of a run in GB."""
    parallel: int = 256
    """At most so many runs at a time."""
    parameter: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Any other option of sbatch as key=value, such as constraint=a100; may be repeated."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How runs are executed; nothing here changes a score beyond the tolerance that docs/decisions states."""

    jobs: int = 0
    """Runs at a time, each in its own process; 0 for one on each GPU, or as many as a CPU has cores."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    devices: int = 1
    """GPUs, or processes on a CPU, that share every batch of a run."""
    workers: int = 0
    """Loader processes per run and device."""
    compile: bool = False
    """Train the image networks through torch.compile."""
    checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, more time."""
    tensorboard: bool = False
    """Also write curves and sample predictions for TensorBoard, into each run's folder."""
    launcher: Literal["local", "slurm"] = "local"
    """Execute the runs here, or submit them to a SLURM cluster as one array."""
    slurm: Slurm = field(default_factory=Slurm)
    """What a run gets there."""

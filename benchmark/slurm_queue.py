"""Which runs SLURM has in hand: what was submitted, checked against its queue.

<results>/<suite>/slurm.json    which job executes which run's folder, as it was submitted
"""

import json
import subprocess
from pathlib import Path

from wsss.benchmark.atomic import write_text
from wsss.benchmark.errors import BenchmarkError


def waiting(suite: Path) -> dict[str, str]:
    """The runs of a suite's folder that SLURM has in hand: by their folder, ``queued (job 12_3)``.

    Where there is no squeue to ask, they are called ``submitted``.

    Raises:
        BenchmarkError: slurm.json is damaged.
    """
    jobs = read(suite)
    if not jobs:
        return {}
    listed = _listed()
    if listed is None:
        return {name: f"submitted (job {job})" for name, job in jobs.items()}
    return {name: f"queued (job {job})" for name, job in jobs.items() if job in listed}


def _listed() -> set[str] | None:
    """The jobs of this user that SLURM knows and that have not ended; None where it cannot be asked."""
    try:
        done = subprocess.run(
            ["squeue", "--noheader", "--array", "--me", "--format=%i"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return set(done.stdout.split()) if done.returncode == 0 else None


def read(suite: Path) -> dict[str, str]:
    """The job of each run that was submitted, by the run's folder.

    Raises:
        BenchmarkError: slurm.json is damaged.
    """
    path = suite / "slurm.json"
    if not path.is_file():
        return {}
    try:
        jobs = json.loads(path.read_text("utf-8"))
        return {str(name): str(job) for name, job in jobs.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise BenchmarkError(f"{path} cannot be read ({error}); delete it, runs are not lost by that") from error


def write(suite: Path, jobs: dict[str, str]) -> None:
    """Write down the job of each run that was submitted."""
    write_text(suite / "slurm.json", json.dumps(jobs, indent=1) + "\n")

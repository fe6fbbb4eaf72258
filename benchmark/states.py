"""The state of every run of a suite: what its folder says, who is at it, and what a cluster has in its queue."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wsss.benchmark import slurm_queue
from wsss.benchmark.dataset import DatasetMissing
from wsss.benchmark.lock_owner import owner_of
from wsss.benchmark.locks import Watch
from wsss.benchmark.planning import Run
from wsss.benchmark.records import RunFolder, read_plan

OPEN = ("running", "queued", "submitted", "resumable", "to run")
"""States of which something is still to be expected."""


@dataclass(frozen=True)
class State:
    """Of one run."""

    word: str
    """One of ``OPEN``, or done, failed, n/a, blocked, data missing."""
    detail: str = ""
    """How far it is and who is at it; why it cannot be."""


class States:
    """The states of a suite's runs, as often as they are asked for.

    Args:
        runs: As planned once.
        results: Folder of the results.
    """

    def __init__(self, runs: Iterable[Run], results: Path) -> None:
        self.runs, self.results = list(runs), results
        self._watches: dict[Path, Watch] = {}

    def look(self) -> Iterator[tuple[Run, State]]:
        """Every run with its state now."""
        suites = {run.suite.name for run in self.runs}
        queued = {name: slurm_queue.waiting(self.results / name) for name in suites}
        planned = {name: self._folders(name) for name in suites}
        for run in self.runs:
            name, cell = run.suite.name, run.cell
            folder = cell.folder or planned[name].get(cell.identity)
            yield run, self._state(run, folder, queued[name])

    def _folders(self, suite: str) -> dict[tuple[str, str, str, int], str | None]:
        """The folders of runs that were planned when their data were not there, by the plan of whoever made these."""
        lacking = any(run.cell.folder is None and run.cell.skip is None for run in self.runs)
        if not lacking or not (self.results / suite / "plan.json").is_file():
            return {}
        cells = read_plan(self.results / suite).cells
        return {cell.identity: cell.folder for cell in cells}

    def _state(self, run: Run, name: str | None, queued: dict[str, str]) -> State:
        if run.cell.skip:
            return State("n/a", run.cell.skip)
        if run.obstacle is not None:
            return State("data missing" if isinstance(run.obstacle, DatasetMissing) else "blocked")
        if name is None:
            return State("to run")
        folder = RunFolder(self.results / run.suite.name / name)
        if folder.finished:
            return State("done")
        if owner := self._at_work(folder.path):
            return State("running", f"{_progress(folder.curve, run.column.train.steps)}, {owner}")
        word, _, job = queued.get(name, "").partition(" ")
        return State(word, job) if word else State(folder.state)

    def _at_work(self, folder: Path) -> str | None:
        """Who is at a run; None if nobody is, or nobody that gives signs of life."""
        if owner_of(folder) is None:
            self._watches.pop(folder, None)
            return None
        view = self._watches.setdefault(folder, Watch(folder))
        view.look()
        return None if view.owner is None or view.silent else str(view.owner)


def _progress(curve: Path, steps: int) -> str:
    """How far a running run is, by the last row of its curve, which is written with every checkpoint."""
    try:
        rows = list(csv.DictReader(curve.read_text("utf-8").splitlines()))
        step = int(rows[-1]["step"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return f"step 0/{steps}"  # none is written yet
    return "evaluation" if step >= steps else f"step {step}/{steps}"

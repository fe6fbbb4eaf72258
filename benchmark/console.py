"""What a person sees while things run: live bars on a terminal, plain lines everywhere else."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10.0


def tell_owner(console: Console, owner: object, what: str) -> None:
    """Say who is waited for, and what is in their hands."""
    console.print(f"waiting for {owner}, which is at {what}", markup=False, highlight=False)


def tell_maker(console: Console, name: str, owner: object) -> None:
    """Say who makes things of a dataset, for ``Workplace.making``."""
    tell_owner(console, owner, f"data, labels or points of {name}")


class Display:
    """Progress of the runs and of the stage in hand.

    Args:
        total: Number of runs; 0 where there are stages only.
        console: Where to write.
    """

    def __init__(self, total: int, console: Console) -> None:
        self.console = console
        self.total = total
        self.done = 0
        self._last = (("", 0), 0.0)
        self._bars: Progress | None = None
        self._stage: TaskID | None = None
        if console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TimeRemainingColumn(), TextColumn("{task.fields[note]}", style="dim"), console=console,
            )  # fmt: skip
            if total:
                self._runs = self._bars.add_task("runs", total=total, note="")
            self._stage = self._bars.add_task("starting", total=None, note="")

    def __enter__(self) -> "Display":
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()

    def stage(self, name: str, done: int, total: int, note: str) -> None:
        """Tell how far the stage in hand is."""
        if self._bars is not None:
            assert self._stage is not None
            self._bars.update(self._stage, description=name, completed=done, total=total, note=note)
            return
        (last, _), when = self._last
        if name != last or done == total or time.monotonic() - when >= SECONDS_BETWEEN_LINES:
            self._last = ((name, done), time.monotonic())
            self.console.print(f"  {name}: {done}/{total}  {note}".rstrip(), markup=False, highlight=False)

    def finished(self, line: str) -> None:
        """Tell that a run ended, well or badly."""
        self.done += 1
        if self._bars is not None and self.total:
            self._bars.update(self._runs, completed=self.done)
        self.console.print(f"[{self.done}/{self.total}] {line}", markup=False, highlight=False)

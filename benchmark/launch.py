"""Many runs: one after another, or several at a time, each in a process of its own."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any

from wsss.benchmark import discovery
from wsss.benchmark.planning import Run
from wsss.benchmark.records import Record
from wsss.benchmark.runner import execute
from wsss.benchmark.trainer import Runtime
from wsss.benchmark.workplace import OnProgress, Workplace

Outcome = Record | BaseException


def execute_all(
    runs: list[Run],
    workplace: Workplace,
    runtime: Runtime,
    on_progress: OnProgress,
    command_of: Callable[[Run], str],
) -> Iterator[tuple[Run, Outcome]]:
    """Execute runs, ``workplace.jobs`` at a time, and yield each with its record or the exception that ended it.

    A failed run does not stop the others; an interrupt does.
    """
    if workplace.jobs == 1:
        for run in runs:
            try:
                yield run, execute(run, workplace.results, runtime, _named(run, on_progress), command_of(run))
            except Exception as error:
                yield run, error
        return
    with ProcessPoolExecutor(workplace.jobs, get_context("spawn"), initializer=_begin_worker) as pool:
        waiting = {pool.submit(execute, run, workplace.results, runtime, _silent, command_of(run)): run for run in runs}
        try:
            for done in as_completed(waiting):
                error = done.exception()
                yield waiting[done], done.result() if error is None else error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _named(run: Run, on_progress: OnProgress) -> OnProgress:
    return lambda stage, done, total, note: on_progress(f"{run.name} {stage}", done, total, note)


def _begin_worker() -> None:
    """Make methods out of the tree known, and end this worker when its parent is killed.

    An orphan would train on beside the command that is run next.
    """
    discovery.names("methods")
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _silent(*news: Any) -> None:
    """Progress inside a worker process is told by its finished runs."""

"""Many runs: one after another, or several at a time, each in a process of its own, and no run twice."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from wsss.benchmark import discovery, locks, planning
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.lock_owner import Owner
from wsss.benchmark.orphans import end_with_parent
from wsss.benchmark.planning import Run
from wsss.benchmark.records import Record
from wsss.benchmark.runner import execute
from wsss.benchmark.trainer import Runtime
from wsss.benchmark.workplace import OnProgress, Workplace


@dataclass(frozen=True)
class Elsewhere:
    """A run that another process executes, or that it finished before we came to it."""

    owner: Owner | None = None
    """Who is at it; None if it is finished."""
    record: Record | None = None
    """Of a finished run."""


Outcome = Record | Elsewhere | BaseException
Task = tuple[Run, Owner | None]
"""A run, and the holder of its lock if that was watched and is silent."""


def execute_all(
    runs: list[Run],
    workplace: Workplace,
    runtime: Runtime,
    on_progress: OnProgress,
    command_of: Callable[[Run], str],
) -> Iterator[tuple[Run, Outcome]]:
    """Execute runs, ``workplace.jobs`` at a time, and yield each with its record or the exception that ended it.

    A run that another process holds is left out and looked at again when the others are done: it is finished then, or
    its holder is dead and the run is ours, or it is yielded as being elsewhere. A failed run does not stop the others;
    an interrupt does.
    """
    elsewhere = []
    for run, outcome in _executed([(run, None) for run in runs], workplace, runtime, on_progress, command_of):
        if isinstance(outcome, Elsewhere) and outcome.owner is not None:
            elsewhere.append(run)
        else:
            yield run, outcome
    if not elsewhere:
        return
    on_progress("watching runs of other processes", 0, len(elsewhere), "")
    tasks: list[Task] = []
    for run, view in zip(elsewhere, locks.watch(_path(run, workplace.results) for run in elsewhere), strict=True):
        if view.alive:
            yield run, Elsewhere(view.owner)
        else:
            tasks.append((run, view.owner))
    yield from _executed(tasks, workplace, runtime, on_progress, command_of)


def execute_alone(
    run: Run, results: Path, runtime: Runtime, on_progress: OnProgress, command: str, silent: Owner | None = None
) -> Record | Elsewhere:
    """Execute one run, unless it is finished or in other hands.

    Args:
        run: What to execute.
        results: Folder of the results.
        runtime: How to execute it.
        on_progress: Told how far it is.
        command: Replays the run.
        silent: A holder of its lock that was watched and gives no signs of life.

    Raises:
        BenchmarkError: The run failed or cannot exist, or another process took it over from this one.
    """
    folder = planning.require(run).folder(results)
    if folder is None:
        raise BenchmarkError(f"{run.name}: its data or labels are not there yet")
    if folder.finished:
        return Elsewhere(record=folder.read_record())
    try:
        with locks.held(folder.path, silent) as lock:

            def tell(stage: str, done: int, total: int, note: str) -> None:
                lock.check()
                on_progress(stage, done, total, note)

            if folder.finished:
                return Elsewhere(record=folder.read_record())
            return execute(run, results, runtime, tell, command)
    except locks.Held as error:
        return Elsewhere(error.owner)
    except locks.TakenOver as error:
        raise BenchmarkError(str(error)) from error


def gpus_of(device: str) -> list[str]:
    """The GPUs that runs may use, as CUDA_VISIBLE_DEVICES calls them; none if they train elsewhere."""
    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(gpu) for gpu in range(torch.cuda.device_count())]


def share_of(gpus: list[str], job: int, devices: int) -> str:
    """The GPUs of one job among several, in turn; a machine may have fewer than all jobs want.

    >>> [share_of(["0", "1", "2"], job, 1) for job in range(4)]
    ['0', '1', '2', '0']
    >>> [share_of(["0", "1", "2", "3"], job, 2) for job in range(2)]
    ['0,1', '2,3']
    """
    wanted = (gpus[(job * devices + place) % len(gpus)] for place in range(devices))
    return ",".join(dict.fromkeys(wanted))


def _executed(
    tasks: list[Task],
    workplace: Workplace,
    runtime: Runtime,
    on_progress: OnProgress,
    command_of: Callable[[Run], str],
) -> Iterator[tuple[Run, Outcome]]:
    if workplace.jobs == 1 or not tasks:
        for run, silent in tasks:
            try:
                told = _named(run, on_progress)
                yield run, execute_alone(run, workplace.results, runtime, told, command_of(run), silent)
            except Exception as error:
                yield run, error
        return
    context = get_context("spawn")
    numbers = context.SimpleQueue()
    for number in range(workplace.jobs):
        numbers.put(number)
    prepared = (numbers, gpus_of(runtime.device), runtime.devices)
    with ProcessPoolExecutor(workplace.jobs, context, _begin_worker, prepared) as pool:
        waiting = {
            pool.submit(execute_alone, run, workplace.results, runtime, _silent, command_of(run), silent): (run, silent)
            for run, silent in tasks
        }
        finished, broken = 0, []
        try:
            for done in as_completed(waiting):
                error = done.exception()
                if isinstance(error, BrokenProcessPool):
                    broken.append(waiting[done])
                    continue
                finished += 1
                yield waiting[done][0], done.result() if error is None else error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if finished:  # one that was killed takes the others with it, so these are tried again while there is progress
        yield from _executed(broken, workplace, runtime, on_progress, command_of)
        return
    for run, _ in broken:
        text = "a process was killed, as one is that is out of memory; run the same command again with fewer --jobs"
        yield run, BenchmarkError(text)


def _path(run: Run, results: Path) -> Path:
    folder = run.folder(results)
    assert folder is not None
    return folder.path


def _named(run: Run, on_progress: OnProgress) -> OnProgress:
    return lambda stage, done, total, note: on_progress(f"{run.name} {stage}", done, total, note)


def _begin_worker(numbers: Any, gpus: list[str], devices: int) -> None:
    """Give this worker its GPUs, make methods out of the tree known, and end it when its parent is killed.

    An orphan would train on beside the command that is run next.
    """
    number = numbers.get()
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = share_of(gpus, number, devices)  # read when CUDA is first used
    discovery.names("methods")
    end_with_parent()


def _silent(*news: Any) -> None:
    """Progress inside a worker process is told by its finished runs."""

"""The processes of one run on several devices: started, joined into one group, watched, and ended together.

The caller stays outside the group. It hands each process the same work, tells what the first one tells, and returns
what the first one returns; whatever ends one of them ends all, as a single error.
"""

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch import distributed
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from wsss.benchmark import discovery
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.orphans import end_with_parent

LOOPBACK = "127.0.0.1"
PATIENCE = timedelta(hours=6)
"""How long a process waits for another, which may be scoring larger scenes; one that is dead is noticed at once."""
GRACE = 2.0
"""Seconds in which the death of a process explains the error of another that talked to it."""
OnNews = Callable[..., None]


class ProcessDied(BenchmarkError):
    """A process of the run ended without a word."""


class _Elsewhere(Exception):
    """The traceback of an exception in another process, as text."""


def on_each(devices: int, work: Callable[..., Any], arguments: Sequence[Any], on_news: OnNews) -> Any:
    """Call ``work(*arguments, tell)`` in a process for each device, and return what that of rank 0 returned.

    Args:
        devices: How many processes; inside, ``distributed.rank`` and ``distributed.world`` say which of them it is.
        work: A function that other processes can import.
        arguments: Sent to each process; classes in them may come from methods out of the tree.
        on_news: Called with whatever rank 0 gives to ``tell``.

    Raises:
        ProcessDied: One ended without an exception, for example killed for want of memory.
        Exception: What the first process to fail raised.
    """
    context = get_context("spawn")
    store = TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False)  # on a port that is free
    ends: list[Any] = []
    started: list[BaseProcess] = []
    try:
        for rank in range(devices):
            ours, theirs = context.Pipe()
            process = context.Process(target=_member, args=(theirs, rank, devices, store.port), name=f"rank {rank}")
            with _quiet():
                process.start()
            theirs.close()
            started.append(process)
            ends.append(ours)
        for end in ends:
            _send(end, (work, arguments))
        return _results(ends, started, on_news)[0]
    finally:
        for process in started:
            process.kill()
        for process, end in zip(started, ends, strict=False):
            process.join()
            end.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Processes started within it do not log that a search for unused parameters found none, as it mostly does."""
    before = os.environ.get("TORCH_CPP_LOG_LEVEL")
    os.environ["TORCH_CPP_LOG_LEVEL"] = before or "ERROR"  # torch reads it once, when it is imported
    try:
        yield
    finally:
        if before is None:
            del os.environ["TORCH_CPP_LOG_LEVEL"]


def _results(ends: list[Any], started: list[BaseProcess], on_news: OnNews) -> list[Any]:
    """What the processes returned, as soon as all have."""
    results: dict[int, Any] = {}  # None but for rank 0
    while len(results) < len(ends):
        pending = [end for rank, end in enumerate(ends) if rank not in results]
        for end in wait(pending):
            rank = ends.index(end)
            try:
                kind, value = ends[rank].recv()
            except (EOFError, OSError):
                raise _died(rank, started) from None
            if kind == "news":
                on_news(*value)
            elif kind == "result":
                results[rank] = value
            else:
                _look_for_the_dead(rank, started)
                error, text = pickle.loads(value)
                raise error from _Elsewhere(f"\n{text}")
    return [results[rank] for rank in range(len(ends))]


def _look_for_the_dead(failed: int, started: list[BaseProcess]) -> None:
    """Blame a process that died at the same time: that the one which failed lost its connection is not the cause."""
    others = {process.sentinel: rank for rank, process in enumerate(started) if rank != failed}
    for sentinel in wait(list(others), GRACE):
        raise _died(others[sentinel], started)  # pyright: ignore[reportArgumentType]  (an int, as those given were)


def _died(rank: int, started: list[BaseProcess]) -> ProcessDied:
    started[rank].join()
    return ProcessDied(
        f"process {rank} of the run's {len(started)} ended with exit code {started[rank].exitcode}, as one does that "
        f"is killed or out of memory; run the same command again, it goes on from the last checkpoint"
    )


def _send(end: Any, message: Any) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it died, which is noticed where its answer is awaited
        end.send(message)


def _member(end: Connection, rank: int, devices: int, port: int) -> None:
    """One process: joins the group, does the work, says how it went, and waits for its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller, who is interrupted too, ends all
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # with which SLURM announces the end to every process of a job
    end_with_parent()
    try:
        discovery.names("methods")  # else those out of the tree could not be received
        work, arguments = end.recv()
        _join_group(rank, devices, port)
        tell = (lambda *news: end.send(("news", news))) if rank == 0 else _silent
        result = work(*arguments, tell)
        end.send(("result", result if rank == 0 else None))
    except BaseException as error:
        end.send(("error", _portable(error)))
    # No connection of the group is closed before the caller knows how everybody fared.
    threading.Event().wait()


def _join_group(rank: int, devices: int, port: int) -> None:
    os.environ["LOCAL_RANK"] = str(rank)  # says to Fabric that there are processes already
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "cpu:gloo"
    store = TCPStore(LOOPBACK, port, is_master=False)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=devices, timeout=PATIENCE)


def _portable(error: BaseException) -> bytes:
    """The exception and its traceback for another process; only its text if it cannot be built again there."""
    text = "".join(traceback.format_exception(error))
    try:
        sent = pickle.dumps((error, text))
        pickle.loads(sent)
    except Exception:
        sent = pickle.dumps((RuntimeError(f"{type(error).__name__}: {error}"), text))
    return sent


def _silent(*news: Any) -> None:
    """Rank 0 alone tells of the run."""

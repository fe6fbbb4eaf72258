"""Files and folders that are there whole or not at all, whoever is killed and whoever writes at the same time."""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsss.benchmark.errors import BenchmarkError

ABANDONED = 86_400.0
"""Seconds after which an unfinished folder counts as left behind, on a file system without locks."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where nothing more can be written."""


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block succeeds and vanishes when it does not.

    The name of the temporary file follows from ``path`` and its writer holds a lock on it: what a killed process left
    is taken over by the next that writes the same file, and two that write it at once do so one after the other.

    Args:
        path: The file; its folder is made.
        durable: Whether it has to outlast a power failure too; without, many small files are written much faster.

    Raises:
        BenchmarkError: The disk is full, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _claimed(path) as temporary:
            yield temporary
            if durable:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        if error.errno in FULL:
            raise BenchmarkError(
                f"no space left while writing {path}; free some and run the same command again"
            ) from error
        raise BenchmarkError(
            f"{path} cannot be written ({error.strerror or error}); mend that or choose another --results folder"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        BenchmarkError: The disk is full, or the folder cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


@contextmanager
def new_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder of our own to fill and then to rename; what is still there under its name at the end is removed.

    Args:
        parent: Where to put it.
        prefix: Of its name, for ``tidy``.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        handle = os.open(path, os.O_RDONLY)
        try:
            _lock(handle, wait=True)
            if not _leads_to(path, handle):  # tidied away before it was locked
                continue
            path.chmod(0o755)
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
            return
        finally:
            os.close(handle)


def tidy(parent: Path, prefix: str) -> None:
    """Remove the folders of ``new_folder`` whose makers were killed."""
    for path in parent.glob(f"{prefix}*"):
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:  # somebody else was faster
            continue
        try:
            if _lock(handle, wait=False) or os.fstat(handle).st_mtime < time.time() - ABANDONED:
                shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:  # it is being filled
            continue
        finally:
            os.close(handle)


def _lock(handle: int, wait: bool) -> bool:
    """Lock an open file or folder until it is closed, or its process is gone; False where a file system has no locks.

    Raises:
        BlockingIOError: Another process holds the lock, and we are not to wait.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


@contextmanager
def _claimed(path: Path) -> Iterator[Path]:
    """An empty file beside ``path`` that is this block's alone; it is removed if the block fails."""
    temporary = path.with_name(f".{path.name}.part")
    while True:
        with temporary.open("ab") as file:
            if not _lock(file.fileno(), wait=True):
                temporary.unlink(missing_ok=True)
                temporary = _unique(path)
            elif _leads_to(temporary, file.fileno()):
                file.truncate(0)
            else:  # who held it before has moved it to its place
                continue
            try:
                yield temporary
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            return


def _unique(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    Path(name).chmod(0o644)
    return Path(name)


def _leads_to(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False

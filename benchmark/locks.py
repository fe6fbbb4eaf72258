"""Locks between processes, on one host or on many that share a folder.

    <folder>/lock.json           who holds the folder, and a number that rises every few seconds
    <folder>/lock-<token>.json   for a moment: who takes over from the holder of that token

A file appears whole, by a hard link that fails where one is already, which NFS keeps too. The holder is found by going
from ``lock.json`` along the files that are named after each holder's random token: so only one process can take over
from a holder, and one that judged too late names its file after somebody who is gone, which nobody reads.

A holder is given up at once if its process ended on this very machine, else when its number has not risen for
``SILENT_SECONDS`` of the looker's own monotonic clock: no clock of two hosts is compared, nor any file's time.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.lock_owner import Owner, beat_field, here, owner_of, to_bytes

BEAT_SECONDS = 5.0
"""Between two signs of life."""
SILENT_SECONDS = 60.0
"""Without a sign of life after which a holder is given up; a suspended process is silent too."""
_GAP = 4
"""A looker that was away for this part of ``SILENT_SECONDS`` may have been suspended itself, and counts anew."""


class Held(BenchmarkError):
    """Another process holds the folder."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        super().__init__(folder, owner)
        self.folder, self.owner = folder, owner

    def __str__(self) -> str:
        return f"{self.folder} is in the hands of {self.owner}; wait for it, or end it"


class TakenOver(BaseException):
    """Another process took the folder over while this one was suspended.

    Not an Exception, since it must pass whatever declares a run failed: the run is in other hands.
    """


class Lock:
    """A folder in our hands; a thread gives signs of life until ``release``."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        self.folder, self.owner = folder, owner
        self._looked = time.monotonic()
        self._lost = False
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lock of {folder}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that the folder is still ours; cheap enough for every step.

        Raises:
            TakenOver: It is not.
        """
        if not self._lost and time.monotonic() - self._looked > 2 * BEAT_SECONDS:
            self._look()
        if self._lost:
            raise TakenOver(f"{self.folder} was taken over while this process was suspended; the other one goes on")

    def release(self) -> None:
        """Give the folder back; no lock but our own is removed."""
        self._released.set()
        self._thread.join()
        self._look()
        if not self._lost:
            (self.folder / "lock.json").unlink(missing_ok=True)

    def _look(self) -> None:
        now, owner = time.monotonic(), owner_of(self.folder)
        self._lost = self._lost or owner is None or owner.token != self.owner.token
        self._looked = now

    def _beat(self) -> None:
        beat = 0
        while not self._released.wait(BEAT_SECONDS):
            try:
                self._look()
                if self._lost:
                    return
                beat += 1
                with (self.folder / "lock.json").open("r+b") as file:  # in place: never brings a removed lock back
                    file.write(beat_field(beat))
            except OSError:
                continue  # no sign of life could be given; who takes over for that is found by the next look


@dataclass
class Watch:
    """Whether the holder of a folder gives signs of life, seen over several looks."""

    folder: Path
    owner: Owner | None = None
    alive: bool = False
    """Whether its number rose since the first look."""
    silent: bool = False
    """Whether it has ended, or its number did not rise for too long."""
    _since: float = field(default=0.0, init=False)
    _looked: float = field(default=0.0, init=False)

    def look(self) -> None:
        """Look once more; the folder is free where ``owner`` is None then."""
        now, found, last = time.monotonic(), owner_of(self.folder), self.owner
        if found != last or now - self._looked > SILENT_SECONDS / _GAP:
            self._since = now
        self.alive = found is not None and last is not None and found.token == last.token and found.beat != last.beat
        self.silent = found is not None and (found.gone or now - self._since >= SILENT_SECONDS)
        self.owner, self._looked = found, now

    @property
    def decided(self) -> bool:
        """Whether it is known if somebody is at work."""
        return self.owner is None or self.alive or self.silent


def watch(folders: Iterable[Path]) -> list[Watch]:
    """Look at folders, all at the same time, until it is known of each whether its holder is alive."""
    watches = [Watch(folder) for folder in folders]
    undecided = watches
    while undecided:
        for one in undecided:
            one.look()
        undecided = [one for one in undecided if not one.decided]
        if undecided:
            time.sleep(min(0.5, BEAT_SECONDS / 4))
    return watches


@contextmanager
def held(folder: Path, silent: Owner | None = None) -> Iterator[Lock]:
    """Hold a folder, which is made if it is not there.

    Args:
        folder: What nobody else shall work in.
        silent: A holder that was watched and gives no signs of life.

    Raises:
        Held: Another process holds it.
        BenchmarkError: The folder cannot be written.
    """
    lock = Lock(folder, _taken(folder, silent))
    try:
        yield lock
    finally:
        lock.release()


@contextmanager
def in_turn(folder: Path, tell: Callable[[Owner], None]) -> Iterator[Lock]:
    """Hold a folder once nobody else does; ``tell`` is called once with whoever is waited for."""
    view, told = Watch(folder), False
    while True:
        view.look()
        try:
            lock = Lock(folder, _taken(folder, view.owner if view.silent else None))
            break
        except Held as error:
            if not told:
                tell(error.owner)
                told = True
            time.sleep(min(0.5, BEAT_SECONDS / 4))
    try:
        yield lock
    finally:
        lock.release()


def _taken(folder: Path, silent: Owner | None) -> Owner:
    """Become the owner of a folder that is free, or whose owner is gone or silent."""
    us = here()
    try:
        while True:
            owner = owner_of(folder)
            if owner is None:
                _create(folder / "lock.json", us)
            elif owner.token == us.token:
                break
            elif owner.gone or owner == silent:
                _take_over(folder, owner, us)
            else:
                raise Held(folder, owner)
    except OSError as error:
        raise BenchmarkError(
            f"{folder / 'lock.json'} cannot be written ({error.strerror or error}); mend that or choose another "
            f"--results folder"
        ) from error
    return us


def _take_over(folder: Path, from_whom: Owner, us: Owner) -> None:
    """Take the place of an owner; somebody else may have been faster."""
    claim = folder / f"lock-{from_whom.token}.json"
    if not _create(claim, us):
        return
    owner = owner_of(folder)
    if owner is None or owner.token != us.token:
        claim.unlink(missing_ok=True)
        return
    try:
        claim.replace(folder / "lock.json")
    except FileNotFoundError:  # we were suspended in between, and were taken over ourselves
        return
    for path in folder.glob("lock-*"):  # of processes that were killed on their way here
        path.unlink(missing_ok=True)


def _create(path: Path, owner: Owner) -> bool:
    """Write a lock that appears whole; False if there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"lock-{owner.token}.tmp")
    data = to_bytes(owner)
    try:
        temporary.write_bytes(data)
        os.link(temporary, path)
    except (FileExistsError, FileNotFoundError):  # the latter: tidied away by whoever was faster
        return False
    except OSError:
        try:  # a file system without hard links: it is empty for a moment, which reads as an owner that is not known
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError:
            return False
    finally:
        temporary.unlink(missing_ok=True)
    return True

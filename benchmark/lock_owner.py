"""Who holds a lock: what its file says, and whether that process is still there. locks.py says how it is held."""

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import uuid
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that holds a folder."""

    host: str
    pid: int
    machine: str
    """Where a process id means this process: the host since its last start, and the namespace; "" for nobody knows."""
    began: str
    """When the process began in the system's own count, since process ids come again; "" where that is unknown."""
    token: str
    """32 random hex digits."""
    beat: int = 0

    def __str__(self) -> str:
        return f"pid {self.pid} on host {self.host}" if self.pid else "a process that left a damaged lock"

    @property
    def gone(self) -> bool:
        """Whether the process is known to have ended: it ran on this machine, and is not there any more."""
        if not self.machine or self.machine != _machine():
            return False
        found = _began(self.pid)
        return found is None or bool(found and self.began and found != self.began)


def here() -> Owner:
    """This process, with a token of its own."""
    pid = os.getpid()
    token = secrets.token_hex(16)
    return Owner(host=platform.node(), pid=pid, machine=_machine(), began=_began(pid) or "", token=token)


def owner_of(folder: Path) -> Owner | None:
    """Who holds a folder; None if nobody does."""
    path, owner, seen = folder / "lock.json", None, set()
    while (found := _read(path)) is not None and found.token not in seen:
        owner = found
        seen.add(found.token)
        path = folder / f"lock-{found.token}.json"
    return owner


def to_bytes(owner: Owner) -> bytes:
    """What a lock's file says."""
    rest = {name: value for name, value in asdict(owner).items() if name != "beat"}
    return beat_field(owner.beat) + json.dumps(rest)[1:].encode() + b"\n"


def beat_field(beat: int) -> bytes:
    """The beginning of a lock's JSON, of a constant length."""
    return f'{{"beat": {beat:12d}, '.encode()


def _read(path: Path) -> Owner | None:
    """The owner that a file names; one that nobody knows if it is damaged, and None if there is no file."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ESTALE:  # NFS: it was replaced while it was read
            return _read(path)
        raise
    unknown = Owner(host="", pid=0, machine="", began="", token=hashlib.sha256(data).hexdigest()[:32])
    try:
        owner = Owner(**json.loads(data))
        return owner if re.fullmatch("[0-9a-f]{32}", owner.token) and isinstance(owner.pid, int) else unknown
    except (ValueError, TypeError):
        return unknown


@cache
def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.is_file():
        return f"{boot.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    return f"{platform.node()} {uuid.getnode():x}"


def _began(pid: int) -> str | None:
    """When a process began, in ticks since the system did; "" if that is unknown, None if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return "" if _exists(pid) else None
    state, *fields = text[text.rindex(")") + 2 :].split()
    return None if state in "ZX" else fields[18]


def _exists(pid: int) -> bool:
    if os.name != "posix":  # there, signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True

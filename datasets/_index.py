"""Indices of datasets too large to list at every start, kept in ``build/index`` and made anew when a file changes."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from wsss.benchmark.atomic import replacing
from wsss.benchmark.errors import DatasetError

FOLDER = Path("build/index")
"""Below the working folder; safe to delete."""


def cached(
    name: str, sources: Iterable[Path], make: Callable[[], dict[str, np.ndarray]], version: int = 1
) -> dict[str, np.ndarray]:
    """The columns that ``make`` returns, from disk if none of the ``sources`` has changed since.

    Args:
        name: Of the dataset, for the file's name.
        sources: The files that the index describes; path, size and time of change identify them.
        make: Builds the columns; numbers or strings, no objects.
        version: Raise it when the columns mean something else.

    Raises:
        DatasetError: A source is not there, such as a link that leads nowhere.
    """
    sha = hashlib.sha256(f"{version}\n".encode())
    for path in sources:
        try:
            stat = path.stat()
        except OSError as error:
            raise DatasetError(f"{path} cannot be read ({error.strerror}); download it again") from error
        sha.update(f"{path.absolute()}\x1f{stat.st_size}\x1f{stat.st_mtime_ns}\n".encode())
    file = FOLDER / f"{name}-{sha.hexdigest()[:16]}.npz"
    if (stored := _read(file)) is not None:
        return stored
    columns = make()
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **columns)  # pyright: ignore[reportArgumentType]
    return columns


def _read(file: Path) -> dict[str, np.ndarray] | None:
    """The columns of a file; None where there is none, or a damaged one, which holds nothing that cannot be made."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return dict(stored)
    except Exception:  # a damaged archive raises nearly anything
        return None

"""Whether a report still stands: its files are those that this code made from these results. Then nothing is drawn."""

import hashlib
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

from wsss.benchmark.records import write_text

STAMP = ".report.json"
"""Beside the page, never committed: a digest of all that the report was made from, and of each of its files."""
LIBRARIES = ("fonttools", "jinja2", "markupsafe", "matplotlib", "numpy", "pandas", "pillow", "scipy")
_MADE = ("tables", "figures", "index.html")


def summary(suite: Path, committed: Path | None) -> str | None:
    """What the terminal showed when the report was made; None if it has to be made anew.

    Args:
        suite: ``<results>/<suite>``.
        committed: The folder that the report sets beside it, or None.
    """
    try:
        stamp = json.loads((suite / STAMP).read_text("utf-8"))
        if stamp["digests"] != _digests(suite) or stamp["source"] != _source(suite, committed):
            return None
        return str(stamp["summary"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no stamp, or none of ours: whoever asks makes the report again


def remember(suite: Path, committed: Path | None, summary: str) -> None:
    """Stamp the report that was just made."""
    stamp = {"source": _source(suite, committed), "digests": _digests(suite), "summary": summary}
    write_text(suite / STAMP, json.dumps(stamp, indent=1) + "\n")


def _digests(suite: Path) -> dict[str, str]:
    """Of every file of the report, by path."""
    made = [path for name in _MADE for path in (suite / name, *(suite / name).glob("*"))]
    return {path.relative_to(suite).as_posix(): _sha(path) for path in sorted(made) if path.is_file()}


def _source(suite: Path, committed: Path | None) -> str:
    """Of results, published numbers, this package and the libraries that draw."""
    digest = hashlib.sha256(sys.version.encode())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    with as_file(files("wsss.benchmark")) as package:
        roots = [package, suite, *([] if committed is None else [committed])]
        for root in roots:
            for path in _read(root):
                digest.update(f"{path.relative_to(root).as_posix()} {_sha(path)}\n".encode())
    for table in {suite.parent / "reported.csv", Path("results/reported.csv")}:
        digest.update((_sha(table) if table.is_file() else "none").encode())
    return digest.hexdigest()


def _read(root: Path) -> Iterator[Path]:
    """The files below a folder that a report may read, sorted; of checkpoints it asks only whether they are there."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_file() and parts[0] not in _MADE and not path.name.startswith(".") and "__pycache__" not in parts:
            yield path


def _sha(path: Path) -> str:
    return "there" if path.suffix == ".pt" else hashlib.sha256(path.read_bytes()).hexdigest()

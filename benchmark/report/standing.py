"""Whether a report still stands: its files are those that this code made from these results. Then nothing is drawn."""

import hashlib
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

from wsss.benchmark.atomic import write_text
from wsss.benchmark.report import reported
from wsss.benchmark.report.build import stored

STAMP = ".report.json"
"""Beside the page, never committed: a digest of all that the report was made from, and of each of its files."""
LIBRARIES = ("fonttools", "jinja2", "markupsafe", "matplotlib", "numpy", "pandas", "pillow", "scipy")
READ = ("plan.json", "runs", "samples", "points")
"""What a report is made from, of a suite's folder."""


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
    return {name: _sha(suite / name) for name in stored(suite)}


def _source(suite: Path, committed: Path | None) -> str:
    """Of results, published numbers, this package and the libraries that draw."""
    digest = hashlib.sha256(sys.version.encode())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    for table in reported.places(suite):
        digest.update(f"{_sha(table) if table.is_file() else 'none'}\n".encode())
    with as_file(files("wsss.benchmark")) as package:
        found = [(package, path) for path in sorted(package.rglob("*")) if "__pycache__" not in path.parts]
        for folder in (suite, committed):
            found += [] if folder is None else [(folder, path) for path in _read(folder)]
        for root, path in found:
            if path.is_file():
                digest.update(f"{path.relative_to(root).as_posix()} {_sha(path)}\n".encode())
    return digest.hexdigest()


def _read(suite: Path) -> Iterator[Path]:
    """What a report may read of a suite's folder; of checkpoints it asks only whether they are there."""
    for name in READ:
        for path in (suite / name, *sorted((suite / name).rglob("*"))):
            if "board" not in path.parts and not path.name.startswith((".", "lock")):
                yield path


def _sha(path: Path) -> str:
    return "there" if path.suffix == ".pt" else hashlib.sha256(path.read_bytes()).hexdigest()

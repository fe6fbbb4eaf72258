"""Where data, made things and results are, and how a dataset is opened there."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wsss.benchmark import discovery, locks
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import UsageError
from wsss.benchmark.grid import Suite
from wsss.benchmark.lock_owner import Owner
from wsss.datasets import miniature

OnProgress = Callable[[str, int, int, str], None]
"""Told (stage, done, total, note)."""


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where data, made things and results are."""

    results: Path = Path("build/results")
    work: Path = Path("build")
    """For what can be made again: miniature data and derived labels."""
    data_root: Path | None = None
    """A folder with a folder per dataset; WSSS_DATA if None."""
    jobs: int = 1
    """Runs at a time."""

    @property
    def makers(self) -> int:
        """Processes that make data and labels, before anything trains."""
        return os.cpu_count() or 1

    @contextmanager
    def making(self, kind: str, names: Iterable[str], tell: Callable[[str, Owner], None]) -> Iterator[None]:
        """Nobody else makes data, labels or points of these datasets meanwhile.

        Args:
            kind: ``Suite.kind`` of the data.
            names: Of the datasets.
            tell: Told the dataset and who is at it, where somebody must be waited for.

        Raises:
            BenchmarkError: The folder of made things cannot be written.
        """
        with ExitStack() as stack:
            for name in sorted(set(names)):  # everybody in the same order, or two could wait for each other
                folder = self.work / "locks" / f"{kind}-{name}"
                stack.enter_context(locks.in_turn(folder, lambda owner, name=name: tell(name, owner)))
            yield

    def root(self, name: str, suite: Suite) -> Path:
        """Where a suite expects a dataset.

        Raises:
            UsageError: A real dataset is wanted and no folder was named, or a miniature one and one was.
        """
        if suite.data == "miniature":
            if self.data_root is not None:
                raise UsageError(
                    f"suite {suite.name} is made of miniature data; --data-root is for suites of real data"
                )
            return self.work / "data" / suite.kind / name
        folder = self.data_root or os.environ.get("WSSS_DATA")
        if folder is None:
            raise UsageError(
                f"suite {suite.name} needs real data: name the folder that holds {name}/ with --data-root or WSSS_DATA"
            )
        return Path(folder) / name

    def open(self, name: str, suite: Suite, on_progress: OnProgress | None = None) -> Dataset:
        """Open a dataset; with ``on_progress`` the miniature is built first if it is not there.

        Raises:
            DatasetMissing: The data is not there.
        """
        root = self.root(name, suite)
        adapter = discovery.dataset(name)
        if suite.data == "miniature" and on_progress is not None:
            miniature.build(
                root.parent,
                name,
                suite.size,
                jobs=self.makers,
                progress=lambda d, n: on_progress(f"data {name}", d, n, ""),
            )
        return adapter(root)

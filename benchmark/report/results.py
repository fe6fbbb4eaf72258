"""A suite's stored results, read once: what is finished, what failed, what cannot exist, and the scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from wsss.benchmark import measure_statistics, statistics
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.intervals import ALPHA, Estimate, corrected, holm
from wsss.benchmark.records import Cell, RunFolder, read_plan
from wsss.benchmark.report.runs import Failure, Run, read_failure, read_run
from wsss.benchmark.statistics import Scores

TEACHER = "ema"
"""Name of the second reference: the mean teacher that the 3D methods build on."""
FEW_IMAGES = 10
"""A class labelled in fewer images than this is marked: its IoU rests on a handful of places."""
CEILING = "dense"
"""The supervision that makes a method the ceiling of its dataset, whatever its name."""


@dataclass(frozen=True, slots=True)
class Column:
    """One dataset with one kind of labels: a column group of the tables."""

    dataset: str
    labels: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measure beside the mIoU, of one method in one column."""

    seeds: list[int]
    scores: dict[str, Scores]
    """By part: a width or a bin of distance."""
    images: list[int]
    """That have a say, by part."""

    def of(self, part: str, seeds: list[int]) -> Scores:
        """The scores of one part for some of the seeds."""
        return self.scores[part].seeds([self.seeds.index(seed) for seed in seeds])

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """By part, of all seeds."""
        return {part: statistics.mean_estimate(scores) for part, scores in self.scores.items()}


class Results:
    """The results of one suite.

    Args:
        folder: ``<results>/<suite>``, holding ``plan.json``.

    Raises:
        BenchmarkError: There is no plan, a file is damaged, or two runs scored different splits.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = read_plan(folder)
        self.runs: dict[tuple[str, str, str], dict[int, Run]] = {}
        self.failures: list[Failure] = []
        self.pending: list[Cell] = []
        self.skipped: list[Cell] = []
        self._cells: dict[tuple[str, str, str], list[Cell]] = {}
        self._of_dataset: dict[str, list[Run]] = {name: [] for name in self.plan.datasets}
        self._weights: dict[int, np.ndarray] = {}
        self._scores: dict[tuple[str, str, str, str], Scores] = {}
        self._estimates: dict[tuple[str, str, str], Estimate | None] = {}
        self._classes: dict[tuple[str, str, str], list[Estimate]] = {}
        self._compared: dict[tuple[str, str, str, str], Estimate | None] = {}
        self._measured: dict[tuple[str, str, str, str], Measured | None] = {}
        for cell in self.plan.cells:
            self._read(cell)
        for key, seeds in self.runs.items():
            self._of_dataset[key[0]] += seeds.values()
        for dataset in self.plan.datasets:
            self._check_split(dataset)

    def _read(self, cell: Cell) -> None:
        if cell.method not in self.plan.methods or cell.dataset not in self.plan.datasets:
            raise BenchmarkError(
                f"{self.folder / 'plan.json'}: the cell {cell.dataset}/{cell.labels}/{cell.method} names a "
                f"method or dataset that the plan does not describe; run the suite again to write a new plan"
            )
        self._cells.setdefault((cell.dataset, cell.labels, cell.method), []).append(cell)
        if cell.folder is None:  # without a reason: what it trains on was not there yet to be fingerprinted
            (self.skipped if cell.skip else self.pending).append(cell)
            return
        path = self.folder / cell.folder
        state = RunFolder(path).state
        if state == "done":
            key = (cell.dataset, cell.labels, cell.method)
            self.runs.setdefault(key, {})[cell.seed] = read_run(cell, path)
        elif state == "failed":
            self.failures.append(read_failure(cell, path / "failure.json"))
        else:
            self.pending.append(cell)

    def _check_split(self, dataset: str) -> None:
        runs = self.dataset_runs(dataset)
        classes = self.plan.datasets[dataset]["classes"]
        for run in runs:
            table = run.sums[run.predictor]
            if table.shape[1] != len(classes):
                raise BenchmarkError(
                    f"{run.folder}/counts.npz counts {table.shape[1]} classes, the plan {len(classes)}; "
                    f"delete the folder and rerun"
                )
            first = runs[0].sums[runs[0].predictor]
            if run.scenes != runs[0].scenes or not np.array_equal(table[..., 2], first[..., 2]):
                raise BenchmarkError(
                    f"{run.folder} was scored on other labels than {runs[0].folder}, so they cannot be "
                    f"compared; delete the older folder and rerun"
                )

    # What there is ------------------------------------------------------------------------------------------

    @cached_property
    def ceilings(self) -> list[str]:
        """The methods trained with dense labels."""
        return [name for name, method in self.plan.methods.items() if method["supervision"] == CEILING]

    @cached_property
    def weak_methods(self) -> list[str]:
        """All other methods, in the plan's order."""
        return [name for name in self.plan.methods if name not in self.ceilings]

    @cached_property
    def columns(self) -> list[Column]:
        """Datasets with the label kinds that weakly-supervised methods use, in the plan's order.

        A dataset that only a ceiling is planned for has the one column ``full``.
        """
        found = []
        for name in self.plan.datasets:
            mine = [(labels, method) for dataset, labels, method in self._cells if dataset == name]
            weak = [labels for labels, method in mine if method not in self.ceilings]
            kinds = weak or [labels for labels, _ in mine]
            found += [Column(name, kind) for kind in dict.fromkeys(kinds)]
        return found

    def title(self, column: Column) -> str:
        """``KITTI-360, scribbles``."""
        return f"{self.dataset_title(column.dataset)}, {column.labels}"

    def dataset_title(self, dataset: str) -> str:
        """As printed: ``KITTI-360``."""
        return str(self.plan.datasets[dataset]["title"])

    def method_title(self, method: str) -> str:
        """As printed: ``Rewis3d``."""
        return str(self.plan.methods[method]["title"])

    def _key(self, column: Column, method: str) -> tuple[str, str, str]:
        # The ceiling knows one kind of labels and stands in every column of its dataset.
        return column.dataset, "full" if method in self.ceilings else column.labels, method

    def cells(self, column: Column, method: str) -> list[Cell]:
        """The planned runs behind one entry of a table."""
        return self._cells.get(self._key(column, method), [])

    def done(self, column: Column, method: str) -> dict[int, Run]:
        """The finished runs behind one entry of a table, by seed in increasing order."""
        return dict(sorted(self.runs.get(self._key(column, method), {}).items()))

    def finished(self, column: Column) -> list[str]:
        """The methods with a finished run in a column, the ceilings last."""
        return [name for name in (*self.weak_methods, *self.ceilings) if self.done(column, name)]

    def dataset_runs(self, dataset: str) -> list[Run]:
        """All finished runs on a dataset, in the plan's order and then by seed."""
        return self._of_dataset[dataset]

    def point_files(self, dataset: str, suffix: str) -> list[Path]:
        """What runs left of a dataset's points, ``points/<dataset>-<source><suffix>``, by name."""
        longer = [name for name in self.plan.datasets if name.startswith(f"{dataset}-")]
        every = sorted((self.folder / "points").glob(f"{dataset}-*{suffix}"))
        # Of two names of datasets that fit, the longer one is meant.
        return [path for path in every if not any(path.name.startswith(f"{name}-") for name in longer)]

    def images(self, dataset: str) -> int | None:
        """Images that a dataset's runs were scored on; None before the first is finished."""
        runs = self.dataset_runs(dataset)
        return runs[0].frames if runs else None

    def shared(self, column: Column, method: str, reference: str) -> list[int]:
        """The seeds that both methods finished, in increasing order."""
        return [seed for seed in self.done(column, method) if seed in self.done(column, reference)]

    # What it scores -----------------------------------------------------------------------------------------

    def weights(self, scenes: int) -> np.ndarray:
        """The bootstrap's draws for a split of so many scenes, shared by all that is compared on it."""
        if scenes not in self._weights:
            self._weights[scenes] = statistics.scene_weights(scenes)
        return self._weights[scenes]

    def scores(self, column: Column, method: str, predictor: str | None = None) -> Scores | None:
        """The mIoU of a method over its finished seeds, in increasing order of seed; None if there are none.

        One column, as ``Scores.mean`` has it: with all classes, those of 500 runs would fill 200 MB.

        Args:
            column: Where it was trained.
            method: Which.
            predictor: One that all its runs have; None for the one in the tables.
        """
        runs = list(self.done(column, method).values())
        if not runs:
            return None
        name = predictor or runs[0].predictor
        key = (*self._key(column, method), name)
        if key not in self._scores:
            sums = np.stack([run.sums[name] for run in runs])
            self._scores[key] = statistics.resample(sums, self.weights(sums.shape[1])).mean()
        return self._scores[key]

    def class_estimates(self, column: Column, method: str) -> list[Estimate]:
        """The IoU of every class; empty if no run is finished."""
        runs = list(self.done(column, method).values())
        key = self._key(column, method)
        if runs and key not in self._classes:
            sums = np.stack([run.sums[runs[0].predictor] for run in runs])
            scores = statistics.resample(sums, self.weights(sums.shape[1]))
            self._classes[key] = statistics.class_estimates(scores)
        return self._classes.get(key, [])

    def measured(self, column: Column, method: str, measure: str) -> Measured | None:
        """A measure of a method over the seeds that stored it; None if none did."""
        key = (*self._key(column, method), measure)
        if key not in self._measured:
            runs = {seed: run for seed, run in self.done(column, method).items() if measure in run.measures}
            sums = [run.measures[measure] for run in runs.values()]
            self._measured[key] = (
                None
                if not runs
                else Measured(
                    seeds=list(runs),
                    scores=measure_statistics.scores(sums, measure, self.weights(len(sums[0]))),
                    images=next(iter(runs.values())).measure_images[measure],
                )
            )
        return self._measured[key]

    def estimate(self, column: Column, method: str) -> Estimate | None:
        """The mIoU of a method; None if no run is finished."""
        key = self._key(column, method)
        if key not in self._estimates:
            scores = self.scores(column, method)
            self._estimates[key] = None if scores is None else statistics.mean_estimate(scores)
        return self._estimates[key]

    def compare(self, column: Column, method: str, reference: str) -> Estimate | None:
        """The paired difference of two methods over the seeds that both finished; None if they share none."""
        key = (column.dataset, column.labels, method, reference)
        if key not in self._compared:
            self._compared[key] = self._compare(column, method, reference)
        return self._compared[key]

    def _compare(self, column: Column, method: str, reference: str) -> Estimate | None:
        a, b = self.scores(column, method), self.scores(column, reference)
        ours, theirs = list(self.done(column, method)), list(self.done(column, reference))
        shared = self.shared(column, method, reference)
        if a is None or b is None or not shared:
            return None
        return statistics.difference(
            a.seeds([ours.index(seed) for seed in shared]), b.seeds([theirs.index(seed) for seed in shared])
        )

    def tied_best(self, column: Column) -> list[str]:
        """The best weakly-supervised method and all that are not significantly worse after Holm.

        Empty where nothing can be tested: one method, or fewer than two scenes.
        """
        found = {name: e for name in self.weak_methods if (e := self.estimate(column, name)) is not None}
        if len(found) < 2:
            return []
        best = max(found, key=lambda name: found[name].value)
        others = [name for name in found if name != best]
        tests = [self.compare(column, best, name) for name in others]
        adjusted = holm([float("nan") if test is None else test.p for test in tests])
        if all(np.isnan(adjusted)):
            return []
        return [best, *(name for name, p in zip(others, adjusted, strict=True) if p >= ALPHA)]

    def gains(self, column: Column, methods: Sequence[str], reference: str) -> dict[str, Estimate]:
        """Paired differences to a reference, their p-values corrected by Holm over the column's methods."""
        found = {name: e for name in methods if (e := self.compare(column, name, reference)) is not None}
        return corrected(found)

"""The paper's words as tables: sharper boundaries, long range, agreeing views, calibration; beside the mean teacher's.

"Sharper boundaries" is Boundary IoU and the mIoU in a trimap, "long-range consistency" the mIoU by distance and the
agreement of two views. Values and paired differences come from measure_statistics.py, over stored counts alone.
"""

from dataclasses import dataclass

from wsss.benchmark import measure_statistics, statistics
from wsss.benchmark.intervals import corrected
from wsss.benchmark.measure_shapes import BINS
from wsss.benchmark.report.captions import protocol, score_entry
from wsss.benchmark.report.results import TEACHER, Column, Measured, Results
from wsss.benchmark.report.table import NOT_RUN, Entry, Row, Table

OLD = "its runs are of a version that did not count it"
NO_DEPTH = "its depth is not known"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One measure as it is printed."""

    title: str
    score: str
    """Over the values."""
    short: str
    meaning: str
    lack: str = OLD
    """Why a dataset with newer runs has none."""


CLAIMS = {
    "boundary": Claim(
        title="Boundary IoU in per cent",
        score="Boundary IoU",
        short="Boundary IoU",
        meaning="Mean IoU of the masks' pixels within 1, 2 or 4 px of their own contours (Cheng et al., CVPR 2021).",
    ),
    "trimap": Claim(
        title="Trimap mIoU in per cent",
        score="mIoU",
        short="trimap mIoU",
        meaning="Mean IoU among the pixels within 1, 2 or 4 px of a true border of two classes.",
    ),
    "ranges": Claim(
        title="Mean IoU by distance, in per cent",
        score="mIoU",
        short="mIoU by distance",
        meaning="Mean over the classes that a bin of depth holds: bins hold other classes, so compare within a bin.",
        lack=NO_DEPTH,
    ),
    "views": Claim(
        title="Agreement of two views in per cent",
        score="agreement",
        short="agreement of views",
        meaning=(
            "Of the pixels whose surface another frame shows too, the share that is given the same class there, "
            "right or wrong."
        ),
        lack="its depth, its poses or a second view are not known",
    ),
    "calibration": Claim(
        title="Calibration error in points",
        score="ECE",
        short="calibration",
        meaning=(
            f"Expected calibration error of the predicted class's probability in {BINS} bins (Guo et al., ICML 2017); "
            f"less is better."
        ),
    ),
}


def tables(results: Results) -> list[Table]:
    """A table for every measure that some run has."""
    found = [_table(results, measure, claim) for measure, claim in CLAIMS.items()]
    return [table for table in found if table is not None]


def unmeasured(results: Results) -> str:
    """A sentence that names what no run of the suite has counted; empty if there is none, or no run."""
    runs = [run for name in results.plan.datasets for run in results.dataset_runs(name)]
    missing = [claim.short for name, claim in CLAIMS.items() if not any(name in run.measures for run in runs)]
    why = "their version counted fewer things, or depth is not known"
    return f"Not measured in these runs: {', '.join(missing)} ({why})." if missing and runs else ""


def _table(results: Results, measure: str, claim: Claim) -> Table | None:
    parts = measure_statistics.PARTS[measure]
    rows, notes = [], []
    for column in results.columns:
        methods = results.finished(column)
        measured = {name: m for name in methods if (m := results.measured(column, name, measure)) is not None}
        if methods and not measured:
            old = not any(run.measures for run in results.dataset_runs(column.dataset))
            notes.append(f"{results.title(column)}: left out, {OLD if old else claim.lack}.")
        elif measured:
            rows += _rows(results, column, measured, parts)
    if not rows:
        return None
    gain = f"− {results.method_title(TEACHER)}" if TEACHER in results.plan.methods else ""
    sources = dict.fromkeys(s for name in results.plan.datasets for s in _depth_sources(results, name))
    depth = f" Depth: {', '.join(sources)}." if measure in ("ranges", "views") and sources else ""
    return Table(
        name=measure,
        title=claim.title,
        caption=(
            f"{claim.meaning}{depth} Differences from the mean teacher are paired, their p-values corrected by Holm "
            f"over the methods of a column. n: seeds × scenes / images that have such pixels. "
            f"{protocol(results, results.columns)}"
        ),
        heads=("Data", "Method"),
        groups=tuple((part, 2 if gain else 1) for part in parts),
        columns=((claim.score, gain) if gain else (claim.score,)) * len(parts),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _depth_sources(results: Results, dataset: str) -> list[str]:
    found = {run.depth_source for run in results.dataset_runs(dataset) if run.depth_source is not None}
    return [f"{results.dataset_title(dataset)} {source}" for source in sorted(found)]


def _rows(results: Results, column: Column, measured: dict[str, Measured], parts: tuple[str, ...]) -> list[Row]:
    entries: dict[str, list[Entry]] = {name: [] for name in measured}
    for place, part in enumerate(parts):
        gains = _gains(measured, part)
        for name, one in measured.items():
            images = one.images[place]
            if not images:
                entries[name].append(Entry(text=NOT_RUN, note="the split has no such pixels"))
            else:
                entries[name].append(score_entry(results, column, name, one.estimates[part], images=images))
            if TEACHER in results.plan.methods:
                gain = gains.get(name) if images else None
                told = gain is not None
                entries[name].append(
                    score_entry(results, column, name, gain, images=images, signed=True) if told else Entry(text="")
                )
    titles = {name: (results.title(column), results.method_title(name)) for name in measured}
    return [Row(titles=titles[name], entries=tuple(cells)) for name, cells in entries.items()]


def _gains(measured: dict[str, Measured], part: str) -> dict[str, statistics.Estimate]:
    """Paired differences from the mean teacher over the seeds that both have, corrected by Holm over the methods."""
    if TEACHER not in measured:
        return {}
    teacher, found = measured[TEACHER], {}
    for name, one in measured.items():
        shared = [seed for seed in one.seeds if seed in teacher.seeds]
        if name != TEACHER and shared:
            found[name] = statistics.difference(one.of(part, shared), teacher.of(part, shared))
    return corrected(found)

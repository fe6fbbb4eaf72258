"""How good the points are that methods learn from, beside what they give: reconstruction and range sensor."""

import json
from pathlib import Path
from typing import Any

from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.report.captions import data_sentence, score_entry
from wsss.benchmark.report.results import Results
from wsss.benchmark.report.table import NOT_RUN, Entry, Row, Table, percent, plain_entry

NUMBERS = ("coverage", "points_per_frame", "within_5", "abs_rel", "auroc")
"""Of a source of points, as the run that made them wrote them; None where nobody can know."""


def quality(results: Results) -> Table | None:
    """Coverage, accuracy and worth of the confidence of every source of points, beside the mIoU that it gives.

    None if no run has left ``points/<dataset>-<provider>.json``.

    Raises:
        BenchmarkError: Such a file is damaged.
    """
    rows = []
    for dataset in results.plan.datasets:
        for path in results.point_files(dataset, ".json"):
            rows += _rows(results, dataset, _read(path))
    if not rows:
        return None
    return Table(
        name="points_quality",
        title="Points, and what they give",
        caption=(
            f"{data_sentence(results)} Coverage: share of the pixels of labelled training frames that have a point. "
            f"Within 5 %, relative error: of the depth, where true or measured depth is known. AUROC: how well "
            f"confidence tells the points within 5 % from the others; 50 is chance, and a source without a confidence "
            f"of its own has none. The mIoU is that of the other tables. n: scenes / frames looked at; for mIoU "
            f"seeds × scenes / images."
        ),
        heads=("Data", "Source of points", "Method"),
        groups=(("points", 6), ("", 1)),
        columns=("coverage %", "points / frame", "within 5 %, %", "relative error %", "AUROC", "n", "mIoU"),
        rows=tuple(rows),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text("utf-8"))
        wrong = [key for key in (*NUMBERS, "scenes", "frames") if not isinstance(facts[key], int | float | None)]
        wrong += [key for key, kind in (("provider", str), ("settings", dict)) if not isinstance(facts[key], kind)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: cannot be read ({error!r}); delete it and run the suite again") from error
    if wrong:
        raise BenchmarkError(f"{path}: {wrong[0]} is {facts[wrong[0]]!r}; delete it and run the suite again")
    return facts


def _rows(results: Results, dataset: str, facts: dict[str, Any]) -> list[Row]:
    """A row per column and method that learned from these points; one without a score if none did."""
    source, settings, numbers = facts["provider"], facts["settings"], _numbers(facts)
    rows = []
    for column in (column for column in results.columns if column.dataset == dataset):
        for name in results.weak_methods:
            points = [run.record.spec.points for run in results.done(column, name).values()]
            estimate = results.estimate(column, name)
            if estimate is not None and any(p and (p.geometry, p.settings) == (source, settings) for p in points):
                score = score_entry(results, column, name, estimate)
                titles = (results.title(column), source, results.method_title(name))
                rows.append(Row(titles=titles, entries=(*numbers, score)))
    nobody = Row(titles=(results.dataset_title(dataset), source, NOT_RUN), entries=(*numbers, Entry(text=NOT_RUN)))
    return rows or [nobody]


def _numbers(facts: dict[str, Any]) -> tuple[Entry, ...]:
    texts = {key: NOT_RUN if facts[key] is None else percent(facts[key]) for key in NUMBERS}
    texts["points_per_frame"] = f"{facts['points_per_frame']:,.0f}"
    cells = [
        Entry(text=texts[key], estimate=facts[key], scenes=facts["scenes"], images=facts["frames"]) for key in NUMBERS
    ]
    return (*cells, plain_entry(f"{facts['scenes']}/{facts['frames']}"))

"""Published numbers, read strictly from ``results/reported.csv``, beside what a suite reached; never in one column."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wsss.benchmark import statistics
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.report.captions import missing_entry, protocol, score_entry
from wsss.benchmark.report.results import TEACHER, Column, Results
from wsss.benchmark.report.table import Entry, Row, Table, percent, plain_entry
from wsss.benchmark.report.tables import PAIRED
from wsss.benchmark.suites import FLOOR

FILE = "reported.csv"
COLUMNS = ("method", "dataset", "labels", "backbone", "supervision_3d", "metric", "value", "source", "note")
METRICS = ("mIoU", "SS/FS", "gain over best competitor")
"""All in per cent, or points of it."""
ELSEWHERE = Path("results")
"""Where published numbers lie when a suite's own results folder has none."""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """One published number; methods and datasets have the names of their files here where they have one."""

    method: str
    dataset: str
    labels: str
    backbone: str
    supervision_3d: str
    metric: str
    value: float
    """In per cent."""
    source: str
    """Paper and table."""
    note: str
    """What is odd about it, such as two numbers of the paper that disagree."""


def read(path: Path) -> list[Reported]:
    """Every published number.

    Raises:
        BenchmarkError: A column, a value or a source is missing, a number is none, or two rows say the same.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: cannot be read ({error}); restore it from the repository") from error
    if tuple(frame.columns) != COLUMNS:
        raise BenchmarkError(f"{path}: its columns are {', '.join(frame.columns)}; they must be {', '.join(COLUMNS)}")
    found, seen = [], {}
    for index, texts in enumerate(frame.to_dict("records")):
        row = _row(path, index + 2, {str(key): str(text) for key, text in texts.items()})
        key = (row.method, row.dataset, row.labels, row.backbone, row.supervision_3d, row.metric, row.source)
        if key in seen:
            raise BenchmarkError(f"{path}, line {index + 2}: says the same as line {seen[key]}; remove one of them")
        seen[key] = index + 2
        found.append(row)
    return found


def _row(path: Path, line: int, texts: dict[str, str]) -> Reported:
    empty = [name for name in COLUMNS if not texts[name].strip() and name != "note"]
    if empty:
        raise BenchmarkError(f"{path}, line {line}: {empty[0]} is empty; every column but note needs a text")
    if texts["metric"] not in METRICS:
        raise BenchmarkError(f"{path}, line {line}: metric {texts['metric']!r} is none of {', '.join(METRICS)}")
    try:
        value = float(texts["value"])
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 120:
        raise BenchmarkError(f"{path}, line {line}: value {texts['value']!r} is no number of per cent from 0 to 120")
    return Reported(**{**texts, "value": value})  # pyright: ignore[reportArgumentType]


def find(suite: Path) -> list[Reported]:
    """The published numbers beside a suite's results, else those of the repository; none where neither is there."""
    return next((read(path) for path in places(suite) if path.is_file()), [])


def places(suite: Path) -> tuple[Path, ...]:
    """Where published numbers may lie for a suite; the first that is there counts."""
    return suite.parent / FILE, ELSEWHERE / FILE


def beside(results: Results, published: list[Reported]) -> Table | None:
    """Our mIoU and the published one, each with its share of the ceiling and its gain over the mean teacher.

    None if no published number belongs to a row and column of the suite.
    """
    ours = f"this suite, {results.plan.data}"
    rows, notes = [], []
    for column in results.columns:
        scores = {name: row for name in results.plan.methods if (row := _published(published, results, column, name))}
        if any(results.done(column, name) for name in scores if name not in results.ceilings):
            gains = results.gains(column, [n for n in results.weak_methods if n not in (FLOOR, TEACHER)], TEACHER)
            rows += [_beside(results, column, name, scores, gains.get(name)) for name in scores]
            notes.append(_order(results, column, scores))
    if not rows:
        return None
    heads = ("mIoU", "SS/FS", f"− {results.method_title(TEACHER) if TEACHER in results.plan.methods else TEACHER}")
    return Table(
        name="reported",
        title="Reproduced against reported",
        caption=(
            f"Left: {ours}. Right: as published for the real datasets, with the backbone, 3D supervision and source "
            f"named in the row. Their images, labels, networks and schedules differ, so that only orders and signs can "
            f"be compared. SS/FS: share of dense labels, the published ones recomputed. {PAIRED} "
            f"{protocol(results, results.columns)}"
        ),
        heads=("Data", "Method", "Published backbone", "Published 3D", "Source"),
        groups=((ours, 3), ("published, real", 3)),
        columns=(*(f"{head}, {results.plan.data}" for head in heads), *(f"{head}, published" for head in heads)),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _published(published: list[Reported], results: Results, column: Column, method: str) -> Reported | None:
    """The first score that the file has for an entry: the order of the file is the order of trust."""
    labels = "full" if method in results.ceilings else column.labels
    wanted = (method, column.dataset, labels, "mIoU")
    return next((r for r in published if (r.method, r.dataset, r.labels, r.metric) == wanted), None)


def _beside(
    results: Results, column: Column, name: str, scores: dict[str, Reported], gain: statistics.Estimate | None
) -> Row:
    row = scores[name]
    estimate = results.estimate(column, name)
    most = next((found.value for top in results.ceilings if (found := results.estimate(column, top))), None)
    entries = [
        missing_entry(results, column, name) if estimate is None else score_entry(results, column, name, estimate),
        _percent(None if estimate is None or not most else statistics.share_of_ceiling(estimate.value, most)),
        Entry(text="") if gain is None else score_entry(results, column, name, gain, signed=True),
    ]
    dense = next((scores[top].value for top in results.ceilings if top in scores), None)
    teacher = scores[TEACHER].value if TEACHER in scores and name != TEACHER else None
    published = [
        plain_entry(percent(row.value / 100), row.value / 100),
        _percent(None if not dense else row.value / dense),
        _percent(None if teacher is None else (row.value - teacher) / 100, signed=True),
    ]
    titles = (results.title(column), results.method_title(name), row.backbone, row.supervision_3d, row.source)
    return Row(titles=titles, entries=(*entries, *published), note=row.note)


def _percent(value: float | None, signed: bool = False) -> Entry:
    return Entry(text="") if value is None else plain_entry(percent(value, signed), value)


def _order(results: Results, column: Column, scores: dict[str, Reported]) -> str:
    """Best first, here and as published, over the weakly-supervised methods that both have."""
    here = {n: e.value for n in scores if n not in results.ceilings and (e := results.estimate(column, n)) is not None}
    ours = sorted(here, key=lambda name: -here[name])
    theirs = sorted(here, key=lambda name: -scores[name].value)
    if ours == theirs:
        return f"{results.title(column)}: the order of the methods is the published one."
    text = [" > ".join(map(results.method_title, names)) for names in (ours, theirs)]
    return f"{results.title(column)}: {text[0]} here, {text[1]} as published."

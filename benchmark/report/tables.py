"""The tables of scores: all of a suite, the paper's per kind of labels, gains, ablations; with their captions."""

from collections.abc import Sequence
from dataclasses import replace

from wsss.benchmark import intervals, statistics
from wsss.benchmark.report.captions import backbone, missing_entry, protocol, scene_notes, score_entry
from wsss.benchmark.report.claims import unmeasured
from wsss.benchmark.report.results import TEACHER, Column, Results
from wsss.benchmark.report.table import IMPOSSIBLE, NOT_RUN, Entry, Row, Table, percent
from wsss.benchmark.suites import FLOOR
from wsss.benchmark.types import WEAK_KINDS

SHARE = "SS/FS: share of what dense labels reach."
BOLD = (
    f"Bold: the best weakly-supervised method and all that are not significantly worse (paired bootstrap, "
    f"Holm-corrected within a column, {intervals.ALPHA})."
)

PAIRED = (
    "Paired differences on the same scenes and the same seeds, with the p-value corrected by Holm over the methods "
    "of a column."
)


def groups(results: Results, columns: Sequence[Column], width: int) -> tuple[tuple[str, int], ...]:
    """Titles over ``width`` columns for every dataset and kind of labels."""
    return tuple((results.title(column), width) for column in columns)


def rows_of(results: Results, entries: dict[str, list[Entry]], about: dict[str, tuple[str, ...]]) -> tuple[Row, ...]:
    """One row per method with what is said about it, the ceilings set apart at the end."""
    first = next(iter(results.ceilings), None)
    return tuple(
        Row(titles=(results.method_title(name), *about.get(name, ())), entries=tuple(cells), apart=name == first)
        for name, cells in entries.items()
    )


def ceiling(results: Results, column: Column) -> statistics.Estimate | None:
    """What the first method with dense labels reaches; None without a finished run of one."""
    found = [e for name in results.ceilings if (e := results.estimate(column, name)) is not None]
    return found[0] if found else None


def main(results: Results, brief: bool = False) -> Table:
    """The mIoU and SS/FS of every method; ``brief`` leaves out the intervals, for a terminal."""
    table = _scores(results, results.columns, "main", "Mean IoU in per cent", brief=brief)
    missing = "" if brief else unmeasured(results)
    return replace(table, notes=(*table.notes, missing)) if missing else table


def of_kinds(results: Results) -> list[Table]:
    """The paper's tables: one per kind of labels over the datasets, with backbone and 3D supervision (its Table 1).

    A dataset with every kind of weak labels (the paper's Cityscapes) has a table of its own and is left out of those.
    """
    found, columns = [], results.columns
    kinds = {
        name: [c for c in columns if c.dataset == name and c.labels in WEAK_KINDS] for name in results.plan.datasets
    }
    whole = {name: own for name, own in kinds.items() if len(own) == len(WEAK_KINDS)}
    others = [column for column in columns if column.labels in WEAK_KINDS and column.dataset not in whole]
    for kind in dict.fromkeys(column.labels for column in others):
        chosen = [column for column in others if column.labels == kind]
        title = f"{kind.capitalize()}: mean IoU in per cent"
        found.append(_scores(results, chosen, kind, title, about=_about(results, chosen)))
    for name, own in whole.items():
        title = f"{results.dataset_title(name)}, every kind of labels: mean IoU in per cent"
        found.append(_scores(results, own, f"kinds-{name}", title, about=_about(results, own)))
    return found


def _about(results: Results, columns: Sequence[Column]) -> dict[str, tuple[str, ...]]:
    """Backbone and 3D supervision of every method, as its finished runs had them."""
    found = {}
    for name in results.plan.methods:
        specs = [run.record.spec for column in columns for run in results.done(column, name).values()]
        networks = dict.fromkeys(map(backbone, specs))
        points = dict.fromkeys(s.points.geometry.replace("_", " ") for s in specs if s.points is not None)
        found[name] = ("; ".join(networks) or NOT_RUN, "; ".join(points) or ("none" if specs else NOT_RUN))
    return found


def _scores(
    results: Results,
    columns: Sequence[Column],
    name: str,
    title: str,
    *,
    brief: bool = False,
    about: dict[str, tuple[str, ...]] | None = None,
) -> Table:
    entries: dict[str, list[Entry]] = {name: [] for name in (*results.weak_methods, *results.ceilings)}
    for column in columns:
        tied, most = results.tied_best(column), ceiling(results, column)
        for method, cells in entries.items():
            estimate = results.estimate(column, method)
            if estimate is None:
                cells += [missing_entry(results, column, method), Entry(text="")]
                continue
            cells.append(score_entry(results, column, method, estimate, bold=method in tied, brief=brief))
            share = float("nan") if most is None else statistics.share_of_ceiling(estimate.value, most.value)
            cells.append(_ratio(results, column, estimate, share))
    heads = ("Method",) if about is None else ("Method", "Backbone", "3D supervision")
    return Table(
        name=name,
        title=title,
        caption=f"{protocol(results, columns)} {SHARE} {BOLD}",
        heads=heads,
        groups=groups(results, columns, 2),
        columns=("mIoU", "SS/FS") * len(columns),
        rows=rows_of(results, entries, about or {}),
        notes=(*scene_notes(results, columns), *_legend(entries)),
    )


def _ratio(results: Results, column: Column, estimate: statistics.Estimate, value: float) -> Entry:
    """A ratio of scores in per cent; its n stands beside the score, and in the CSV file."""
    if value != value:  # NaN is not itself
        return Entry(text="")
    images = results.images(column.dataset)
    return Entry(text=percent(value), estimate=value, seeds=estimate.seeds, scenes=estimate.scenes, images=images)


def _legend(entries: dict[str, list[Entry]]) -> list[str]:
    printed = {entry.text for cells in entries.values() for entry in cells}
    meanings = {NOT_RUN: "not run yet", IMPOSSIBLE: "cannot exist"}
    found = [f"{sign} {meaning}" for sign, meaning in meanings.items() if sign in printed]
    return [f"{'; '.join(found)}."] if found else []


def gain(results: Results) -> Table | None:
    """Paired differences to the floor and to the mean teacher; None if the suite plans neither."""
    references = [name for name in (FLOOR, TEACHER) if name in results.weak_methods]
    methods = [name for name in results.weak_methods if name != FLOOR]
    if not references or not methods:
        return None
    entries: dict[str, list[Entry]] = {name: [] for name in methods}
    for column in results.columns:
        for reference in references:
            tested = results.gains(column, [name for name in methods if name != reference], reference)
            for name in methods:
                entries[name].append(_gain_entry(results, column, name, reference, tested))
        if FLOOR in references:
            for name in methods:
                entries[name].append(_gap_entry(results, column, name))
    heads = [f"− {results.method_title(name)}" for name in references]
    heads += ["gap closed"] if FLOOR in references else []
    return Table(
        name="gain",
        title="Gain in points of mIoU",
        caption=(
            f"{PAIRED} Gap closed: share of the way from {_floor_title(results)} to dense labels, in per cent. "
            f"{protocol(results, results.columns)}"
        ),
        heads=("Method",),
        groups=groups(results, results.columns, len(heads)),
        columns=tuple(heads) * len(results.columns),
        rows=rows_of(results, entries, {}),
        notes=tuple(scene_notes(results, results.columns)),
    )


def _floor_title(results: Results) -> str:
    return results.method_title(FLOOR) if FLOOR in results.plan.methods else "the floor"


def _gain_entry(
    results: Results, column: Column, name: str, reference: str, tested: dict[str, statistics.Estimate]
) -> Entry:
    if name == reference:
        return Entry(text="")
    if name in tested:
        return score_entry(results, column, name, tested[name], signed=True)
    if results.estimate(column, name) is None:
        return missing_entry(results, column, name)
    return Entry(text=NOT_RUN, note=f"no seed finished in common with {results.method_title(reference)}")


def _gap_entry(results: Results, column: Column, name: str) -> Entry:
    floor, most = results.estimate(column, FLOOR), ceiling(results, column)
    estimate = results.estimate(column, name)
    if estimate is None or floor is None or most is None:
        return Entry(text="")
    closed = statistics.gap_closed(estimate.value, floor.value, most.value)
    if closed != closed:
        return Entry(text=NOT_RUN, note="the ceiling is not above the floor")
    return _ratio(results, column, estimate, closed)


def ablations(results: Results) -> Table | None:
    """Rows of one method with other settings, in the suite's order, and their differences from it; None without any."""
    bases = _bases(results)
    if not bases:
        return None
    methods = [name for name in results.weak_methods if name not in bases.values()]
    base = next(iter(dict.fromkeys(bases.values())))
    entries: dict[str, list[Entry]] = {name: [] for name in results.plan.methods}
    for column in results.columns:
        tested = results.gains(column, methods, base)
        for name, cells in entries.items():
            estimate = results.estimate(column, name)
            if estimate is None:
                cells += [missing_entry(results, column, name), Entry(text="")]
                continue
            cells.append(score_entry(results, column, name, estimate))
            in_test = name in tested and name not in results.ceilings
            cells.append(score_entry(results, column, name, tested[name], signed=True) if in_test else Entry(text=""))
    title = results.method_title(base)
    return Table(
        name="ablations",
        title=f"Parts of {title}: mean IoU in per cent",
        caption=f"Difference: from {title}, in points. {PAIRED} {protocol(results, results.columns)}",
        heads=("Row",),
        groups=groups(results, results.columns, 2),
        columns=("mIoU", f"− {title}") * len(results.columns),
        rows=rows_of(results, entries, {}),
        notes=(*scene_notes(results, results.columns), *_legend(entries)),
    )


def _bases(results: Results) -> dict[str, str]:
    """The method of every row that is a method with other settings, where the method itself is a row too."""
    runs = [run for name in results.plan.datasets for run in results.dataset_runs(name)]
    pairs = [(run.cell.method, run.record.spec.method) for run in runs]
    return {row: name for row, name in pairs if row != name and name in results.plan.methods}

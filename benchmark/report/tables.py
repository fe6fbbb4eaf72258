"""The tables of scores: main, gain, per class, predictors; captions stand beside the code they describe."""

from collections.abc import Sequence

from wsss.benchmark import statistics
from wsss.benchmark.report.captions import missing_entry, planned, protocol, scene_notes
from wsss.benchmark.report.results import TEACHER, Column, Results
from wsss.benchmark.report.table import (
    IMPOSSIBLE,
    NOT_RUN,
    Entry,
    Row,
    Table,
    estimate_entry,
    percent,
    plain_entry,
)
from wsss.benchmark.suites import FLOOR

FEW_IMAGES = 10
"""A class labelled in fewer images than this is marked: its IoU rests on a handful of places."""


def _groups(results: Results, columns: Sequence[Column], width: int) -> tuple[tuple[str, int], ...]:
    return tuple((results.title(column), width) for column in columns)


def _rows(results: Results, entries: dict[str, list[Entry]]) -> tuple[Row, ...]:
    """One row per method, the ceilings set apart at the end."""
    first = next(iter(results.ceilings), None)
    return tuple(
        Row(titles=(results.method_title(name),), entries=tuple(cells), apart=name == first)
        for name, cells in entries.items()
    )


def _ceiling(results: Results, column: Column) -> statistics.Estimate | None:
    found = [e for name in results.ceilings if (e := results.estimate(column, name)) is not None]
    return found[0] if found else None


def main(results: Results, brief: bool = False) -> Table:
    """The mIoU and SS/FS of every method; ``brief`` leaves out the intervals, for a terminal."""
    entries: dict[str, list[Entry]] = {name: [] for name in (*results.weak_methods, *results.ceilings)}
    for column in results.columns:
        tied, ceiling = results.tied_best(column), _ceiling(results, column)
        for name, cells in entries.items():
            estimate = results.estimate(column, name)
            if estimate is None:
                cells += [missing_entry(results, column, name), Entry(text="")]
                continue
            number = planned(results, column, name)
            cells.append(estimate_entry(estimate, planned=number, bold=name in tied, brief=brief))
            share = float("nan")
            if ceiling is not None:
                share = statistics.share_of_ceiling(estimate.value, ceiling.value)
            known = share == share  # NaN is not itself
            cells.append(plain_entry(percent(share) if known else "", share if known else None))
    return Table(
        name="main",
        title="Mean IoU in per cent",
        caption=(
            f"{protocol(results, results.columns)} SS/FS: share of the method trained with dense labels. "
            f"Bold: the best weakly-supervised method and all that are not significantly worse (paired "
            f"bootstrap over scenes, Holm-corrected within a column, {statistics.ALPHA}). n: seeds finished "
            f"where some are missing."
        ),
        heads=("Method",),
        groups=_groups(results, results.columns, 2),
        columns=("mIoU", "SS/FS") * len(results.columns),
        rows=_rows(results, entries),
        notes=(*scene_notes(results, results.columns), *_legend(entries)),
    )


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
            f"Paired differences on the same scenes and the same seeds, with the p-value corrected by Holm "
            f"over the methods of a column. Gap closed: share of the way from {_floor_title(results)} to "
            f"dense labels, in per cent. {protocol(results, results.columns)}"
        ),
        heads=("Method",),
        groups=_groups(results, results.columns, len(heads)),
        columns=tuple(heads) * len(results.columns),
        rows=_rows(results, entries),
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
        number = planned(results, column, name)
        return estimate_entry(tested[name], planned=number, signed=True)
    if results.estimate(column, name) is None:
        return missing_entry(results, column, name)
    return Entry(text=NOT_RUN, note=f"no seed finished in common with {results.method_title(reference)}")


def _gap_entry(results: Results, column: Column, name: str) -> Entry:
    floor, ceiling = results.estimate(column, FLOOR), _ceiling(results, column)
    estimate = results.estimate(column, name)
    if estimate is None or floor is None or ceiling is None:
        return Entry(text="")
    closed = statistics.gap_closed(estimate.value, floor.value, ceiling.value)
    if closed != closed:
        return Entry(text=NOT_RUN, note="the ceiling is not above the floor")
    return plain_entry(percent(closed), closed)


def per_class(results: Results, column: Column) -> Table | None:
    """IoU of every class that occurs in the split; None if no run of the column is finished."""
    methods = [name for name in (*results.weak_methods, *results.ceilings) if results.done(column, name)]
    if not methods:
        return None
    scored = {name: statistics.class_estimates(s) for name in methods if (s := results.scores(column, name))}
    images = results.dataset_runs(column.dataset)[0].images
    names = results.plan.datasets[column.dataset]["classes"]
    rows = []
    for index, name in enumerate(names):
        if images[index] == 0:
            continue
        cells = [estimate_entry(scored[m][index], planned=planned(results, column, m)) for m in methods]
        few = f"labelled in fewer than {FEW_IMAGES} images of the split" if images[index] < FEW_IMAGES else ""
        count = plain_entry(str(images[index]), float(images[index]))
        rows.append(Row(titles=(name,), entries=(count, *cells), note=few))
    rows.append(_mean_row(results, column, methods))
    rows.append(_image_mean_row(results, column, methods))
    gone = [name for name, number in zip(names, images, strict=True) if number == 0]
    return Table(
        name=f"per_class-{column.dataset}-{column.labels}",
        title=f"IoU per class in per cent: {results.title(column)}",
        caption=protocol(results, [column]),
        heads=("Class",),
        groups=(("", len(methods) + 1),),
        columns=("images", *map(results.method_title, methods)),
        rows=tuple(rows),
        notes=(
            *scene_notes(results, [column]),
            f"Absent from the split and from every mean: {', '.join(gone) or 'none'}.",
        ),
    )


def _mean_row(results: Results, column: Column, methods: list[str]) -> Row:
    found = [(name, results.estimate(column, name)) for name in methods]
    cells = [estimate_entry(e, planned=planned(results, column, name)) for name, e in found if e is not None]
    return Row(titles=("mIoU",), entries=(Entry(text=""), *cells), apart=True)


def _image_mean_row(results: Results, column: Column, methods: list[str]) -> Row:
    cells = []
    for name in methods:
        runs = results.done(column, name).values()
        value = sum(run.image_mious[run.predictor] for run in runs) / len(runs)
        cells.append(plain_entry(percent(value), value, len(runs)))
    return Row(titles=("mean of images",), entries=(Entry(text=""), *cells))


def predictors(results: Results) -> Table | None:
    """Student against teacher wherever runs scored more than one predictor; None if none did."""
    rows, names = [], _predictor_names(results)
    for column in results.columns:
        for method in results.weak_methods:
            runs = list(results.done(column, method).values())
            if not runs or len(runs[0].sums) < 2:
                continue
            scores = {name: results.scores(column, method, name) for name in runs[0].sums}
            number = planned(results, column, method)
            means = {n: statistics.mean_estimate(s) for n, s in scores.items() if s}
            cells = [
                estimate_entry(means[n], planned=number, bold=n == runs[0].predictor) if n in means else Entry(text="")
                for n in names
            ]
            first, second = [s for s in scores.values() if s][:2]
            gap = estimate_entry(statistics.difference(first, second), planned=number, signed=True)
            titles = (results.title(column), results.method_title(method))
            rows.append(Row(titles=titles, entries=(*cells, gap)))
    if not rows:
        return None
    return Table(
        name="predictors",
        title="Mean IoU of every predictor in per cent",
        caption=(
            f"Bold: the predictor that the method declares and that all other tables show. Difference: the "
            f"declared one minus the other, paired. {protocol(results, results.columns)}"
        ),
        heads=("Data", "Method"),
        groups=(("", len(names) + 1),),
        columns=(*names, "difference"),
        rows=tuple(rows),
        notes=tuple(scene_notes(results, results.columns)),
    )


def _predictor_names(results: Results) -> list[str]:
    runs = [run for dataset in results.plan.datasets for run in results.dataset_runs(dataset)]
    return list(dict.fromkeys(name for run in runs if len(run.sums) > 1 for name in run.sums))

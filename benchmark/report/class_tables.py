"""Tables behind the mean: IoU of every class, and student against teacher."""

from wsss.benchmark import statistics
from wsss.benchmark.report.captions import protocol, scene_notes, score_entry
from wsss.benchmark.report.results import FEW_IMAGES, Column, Results
from wsss.benchmark.report.table import Entry, Row, Table, percent, plain_entry

_NONE = Entry(text="")


def per_class(results: Results, column: Column) -> Table | None:
    """IoU of every class that occurs in the split; None if no run of the column is finished."""
    methods = results.finished(column)
    if not methods:
        return None
    scored = {name: results.class_estimates(column, name) for name in methods}
    images = results.dataset_runs(column.dataset)[0].images
    names = results.plan.datasets[column.dataset]["classes"]
    rows = []
    for index, name in enumerate(names):
        if images[index] == 0:
            continue
        number = int(images[index])
        cells = [score_entry(results, column, m, scored[m][index], images=number) for m in methods]
        few = f"labelled in fewer than {FEW_IMAGES} images of the split" if number < FEW_IMAGES else ""
        count = plain_entry(str(number), float(number))
        rows.append(Row(titles=(name,), entries=(count, *cells), note=few))
    rows.append(_mean_row(results, column, methods))
    rows.append(_image_mean_row(results, column, methods))
    gone = [name for name, number in zip(names, images, strict=True) if number == 0]
    return Table(
        name=f"per_class-{column.dataset}-{column.labels}",
        title=f"IoU per class in per cent: {results.title(column)}",
        caption=f"{protocol(results, [column])} In a class's row: scenes and images that hold it.",
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
    cells = [score_entry(results, column, name, e) for name, e in found if e is not None]
    return Row(titles=("mIoU",), entries=(Entry(text=""), *cells), apart=True)


def _image_mean_row(results: Results, column: Column, methods: list[str]) -> Row:
    cells = []
    for name in methods:
        runs = results.done(column, name).values()
        value = sum(run.image_mious[run.predictor] for run in runs) / len(runs)
        cells.append(Entry(text=percent(value), estimate=value, seeds=len(runs), images=results.images(column.dataset)))
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
            means = {n: statistics.mean_estimate(s) for n, s in scores.items() if s}
            cells = [
                score_entry(results, column, method, means[n], bold=n == runs[0].predictor) if n in means else _NONE
                for n in names
            ]
            first, second = [s for s in scores.values() if s][:2]
            gap = score_entry(results, column, method, statistics.difference(first, second), signed=True)
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

"""The tables about runs rather than scores: labels, cost, and whether committed numbers were reproduced."""

import math
from statistics import fmean

from wsss.benchmark import statistics
from wsss.benchmark.report.captions import backbone, data_sentence, protocol
from wsss.benchmark.report.results import Column, Results
from wsss.benchmark.report.runs import Run
from wsss.benchmark.report.table import NOT_RUN, Entry, Row, Table, estimate_entry, percent, plain_entry


def labels(results: Results) -> Table | None:
    """Where labels come from and how much of the training split they cover; None without a finished run."""
    rows = []
    for column in results.columns:
        runs: dict[int, Run] = {}
        for method in results.weak_methods:
            for seed, run in results.done(column, method).items():
                runs.setdefault(seed, run)
        if runs:
            rows.append(_label_row(results, column, list(runs.values())))
    if not rows:
        return None
    return Table(
        name="labels",
        title="Weak labels of the training split",
        caption=(
            f"{data_sentence(results)} Labelled: share of the pixels that belong to a class. Correct: share of the "
            f"labelled pixels whose label is the dense one. Coverage: of the images that hold a class, the share in "
            f"which it is labelled. Means over label seeds, whose number is n."
        ),
        heads=("Data", "Source"),
        groups=(("", 6),),
        columns=("labelled %", "correct %", "mean coverage %", "worst class", "its coverage %", "n"),
        rows=tuple(rows),
    )


def _label_row(results: Results, column: Column, runs: list[Run]) -> Row:
    names = results.plan.datasets[column.dataset]["classes"]
    shares = [run.record.labels["share"] for run in runs]
    coverage = {}
    for index, name in enumerate(names):
        known = [c for run in runs if (c := run.record.labels["coverage"][index]) is not None]
        if known:
            coverage[name] = fmean(known)
    worst = min(coverage, key=lambda name: coverage[name]) if coverage else None
    share, number = fmean(shares), len(runs)
    correct = fmean(run.record.labels["correct"] for run in runs)
    mean = fmean(coverage.values()) if coverage else None
    source = ", ".join(dict.fromkeys(str(run.record.labels["source"]) for run in runs))
    return Row(
        titles=(results.title(column), source),
        entries=(
            plain_entry(_share(share), share, number),
            plain_entry(percent(correct), correct, number),
            plain_entry(NOT_RUN if mean is None else percent(mean), mean, number),
            plain_entry(worst or NOT_RUN),
            plain_entry(percent(coverage[worst]) if worst else NOT_RUN, coverage[worst] if worst else None, number),
            plain_entry(str(number), float(number)),
        ),
    )


def _share(share: float) -> str:
    # One point per object is thousandths of a per cent: one decimal would print it as nothing.
    return percent(share) if share >= 0.001 else f"{100 * share:.2g}"


def cost(results: Results) -> Table | None:
    """Time, memory and size of a training run; None without a finished run."""
    rows = []
    for dataset in results.plan.datasets:
        for method in (*results.weak_methods, *results.ceilings):
            runs = [run for run in results.dataset_runs(dataset) if run.cell.method == method]
            if runs:
                titles = (results.dataset_title(dataset), results.method_title(method))
                rows.append(Row(titles=titles, entries=_cost_entries(runs)))
    if not rows:
        return None
    return Table(
        name="cost",
        title="Cost of one run",
        caption=(
            f"{data_sentence(results)} Means over label kinds and seeds, whose number is n. Parameters: all that are "
            f"trained, those that only help to train included. Times compare only where runs had the same machine to "
            f"themselves; the provenance of each run names its device."
        ),
        heads=("Dataset", "Method"),
        groups=(("Training", 6), ("Evaluation", 1), ("", 1)),
        columns=("s", "h", "s / step", "images / s", "peak MB", "parameters M", "s / predictor", "n"),
        rows=tuple(rows),
        notes=tuple(_inference(results)),
    )


def _inference(results: Results) -> list[str]:
    """Whether all rows of a dataset predict at the same cost: with one and the same image network."""
    notes = []
    for dataset in results.plan.datasets:
        specs = [run.record.spec for run in results.dataset_runs(dataset)]
        networks = dict.fromkeys(backbone(spec) for spec in specs)
        if networks:
            same = f"the same for all rows ({next(iter(networks))}, image alone)"
            cost = same if len(networks) == 1 else f"not the same for all rows: {'; '.join(networks)}"
            notes.append(f"{results.dataset_title(dataset)}: the cost of a prediction is {cost}.")
    return notes


def _cost_entries(runs: list[Run]) -> tuple[Entry, ...]:
    seconds = [run.record.seconds["train"] for run in runs]
    steps = [run.record.spec.train.steps for run in runs]
    images = [run.record.spec.train.batch * n for run, n in zip(runs, steps, strict=True)]
    per_step = sum(seconds) / sum(steps)
    rate = sum(images) / sum(seconds) if sum(seconds) > 0 else None
    evaluate = fmean(run.record.seconds["evaluate"] / len(run.record.scores) for run in runs)
    memory = fmean(run.record.peak_memory_mb for run in runs)
    size = fmean(run.record.parameters for run in runs) / 1e6
    number = len(runs)
    return (
        plain_entry(f"{fmean(seconds):,.0f}", fmean(seconds), number),
        plain_entry(f"{fmean(seconds) / 3600:,.3g}", fmean(seconds) / 3600, number),
        plain_entry(f"{per_step:.3f}", per_step, number),
        plain_entry(NOT_RUN if rate is None else f"{rate:.1f}", rate, number),
        plain_entry(f"{memory:,.0f}", memory, number),
        plain_entry(f"{size:.2f}", size, number),
        plain_entry(f"{evaluate:,.1f}", evaluate, number),
        plain_entry(str(number), float(number)),
    )


def reproduced(results: Results, committed: Results) -> Table | None:
    """Committed numbers beside this run's, over the seeds that both finished; None if they share no cell."""
    rows = []
    for column in results.columns:
        for method in (*results.weak_methods, *results.ceilings):
            entries = _reproduced_entries(results, committed, column, method)
            if entries:
                titles = (results.title(column), results.method_title(method))
                rows.append(Row(titles=titles, entries=entries))
    if not rows:
        return None
    return Table(
        name="reproduced",
        title="Committed results and this run, mIoU in per cent",
        caption=(
            f"Over the seeds that both finished. Reproduced: this run's number lies inside the committed 95 "
            f"% interval; identical: the numbers are equal. "
            f"{protocol(results, results.columns)}"
        ),
        heads=("Data", "Method"),
        groups=(("", 4),),
        columns=("committed", "this run", "difference", "verdict"),
        rows=tuple(rows),
    )


def _reproduced_entries(results: Results, committed: Results, column: Column, method: str) -> tuple[Entry, ...] | None:
    known = column.dataset in committed.plan.datasets and method in committed.plan.methods
    ours, theirs = results.done(column, method), committed.done(column, method) if known else {}
    shared = [seed for seed in ours if seed in theirs]
    a, b = results.scores(column, method), committed.scores(column, method) if known else None
    if a is None or b is None or not shared:
        return None
    old = statistics.mean_estimate(b.seeds([list(theirs).index(seed) for seed in shared]))
    new = statistics.mean_estimate(a.seeds([list(ours).index(seed) for seed in shared]))
    number = len(theirs)
    gap = new.value - old.value
    moved = any(ours[seed].record.fingerprint != theirs[seed].record.fingerprint for seed in shared)
    return (
        estimate_entry(old, planned=number, images=committed.images(column.dataset)),
        plain_entry(percent(new.value), new.value, new.seeds),
        plain_entry(percent(gap, signed=True), gap, new.seeds),
        Entry(
            text=verdict(old, new),
            note="other fingerprint: specification, labels or data differ from the committed run" if moved else "",
        ),
    )


def verdict(committed: statistics.Estimate, new: statistics.Estimate) -> str:
    """``identical``, ``reproduced`` (inside the committed interval) or ``not reproduced``."""
    if new.value == committed.value:
        return "identical"
    if math.isnan(committed.low):
        return "no interval to compare with"
    return "reproduced" if committed.low <= new.value <= committed.high else "not reproduced"

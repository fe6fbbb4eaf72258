"""What every table says beside its numbers: captions, warnings, and what stands where a number is missing."""

from collections.abc import Sequence

from wsss.benchmark import intervals
from wsss.benchmark.report.results import Column, Results
from wsss.benchmark.report.table import IMPOSSIBLE, NOT_RUN, Entry, estimate_entry
from wsss.benchmark.spec import RunSpec

FEW_SCENES = 10
"""A bootstrap over fewer scenes than this is marked: they hardly show what other scenes would be like."""

NAMED = 6
"""Rare classes that are named under a table of several columns."""
RARE_SCENES = 4
"""A class in k scenes is missing from about exp(-k) of the draws; below this it is worth a remark."""


def data_sentence(results: Results) -> str:
    """Which data the numbers are of, with one full stop."""
    return f"{results.plan.title.rstrip('. ')}."


def protocol(results: Results, columns: Sequence[Column]) -> str:
    """What every caption says: data, split, how a prediction is scored, how many seeds and scenes."""
    datasets = dict.fromkeys(column.dataset for column in columns)
    runs = {name: found for name in datasets if (found := results.dataset_runs(name))}
    if not runs:
        return f"{data_sentence(results)} No run is finished."
    every = [run for found in runs.values() for run in found]
    splits = ", ".join(sorted({run.record.spec.evaluate.split for run in every}))
    seeds = sorted({run.cell.seed for run in every})
    scenes = ", ".join(f"{results.dataset_title(name)} {len(found[0].scenes)}" for name, found in runs.items())
    drawn = "seeds, then scenes" if len(seeds) > 1 else "scenes alone, as there is one seed"
    return (
        f"{data_sentence(results)} Split: {splits}; last step, single scale, no flip, native label size, one "
        f"confusion over the split. Mean over {len(seeds)} seed{'s' * (len(seeds) > 1)} "
        f"({', '.join(map(str, seeds))}); in brackets the 95 % interval of {intervals.DRAWS:,} bootstrap "
        f"draws of {drawn}, widened for their small number ({scenes} scenes). n: seeds × scenes / images."
    )


def scene_notes(results: Results, columns: Sequence[Column]) -> list[str]:
    """Warnings for splits with too few scenes to resample."""
    notes = []
    for name in dict.fromkeys(column.dataset for column in columns):
        runs = results.dataset_runs(name)
        scenes = len(runs[0].scenes) if runs else FEW_SCENES
        if scenes == 1:
            notes.append(f"{results.dataset_title(name)}: one scene, so neither interval nor test.")
        elif scenes < FEW_SCENES:
            notes.append(f"{results.dataset_title(name)}: only {scenes} scenes to draw from.")
        if runs and scenes > 1 and (rare := _rare(results, name)):
            whole = len(rare) <= NAMED or len(columns) == 1  # a table of its classes names them all
            which = ", ".join(rare) if whole else f"{len(rare)} classes, named in the table of its classes,"
            notes.append(
                f"{results.dataset_title(name)}: {which} in fewer than {RARE_SCENES} scenes; a "
                f"draw without such a class keeps its observed IoU."
            )
    return notes


def _rare(results: Results, dataset: str) -> list[str]:
    run = results.dataset_runs(dataset)[0]
    scenes = (run.sums[run.predictor][..., 2] > 0).sum(axis=0)
    names = results.plan.datasets[dataset]["classes"]
    return [name for name, number in zip(names, scenes, strict=True) if 0 < number < RARE_SCENES]


def missing_entry(results: Results, column: Column, method: str) -> Entry:
    """What stands where there is no number: not run, failed, impossible, or never planned."""
    cells = results.cells(column, method)
    reasons = list(dict.fromkeys(cell.skip for cell in cells if cell.skip))
    if reasons:
        return Entry(text=IMPOSSIBLE, note="; ".join(reason.rstrip(".") for reason in reasons))
    failed = [failure for failure in results.failures if failure.cell in cells]
    if failed:
        return Entry(text=NOT_RUN, note=f"{len(failed)} of {len(cells)} runs failed, none finished")
    return Entry(text=NOT_RUN, note="" if cells else "not part of this suite")


def backbone(spec: RunSpec) -> str:
    """The image network as printed: ``FPN, tf_efficientnet_lite0``."""
    return f"{spec.network.architecture}, {spec.network.encoder.removeprefix('tu-')}"


def planned(results: Results, column: Column, method: str) -> int:
    """How many seeds the suite wants of an entry."""
    return sum(cell.skip is None for cell in results.cells(column, method))


def score_entry(
    results: Results,
    column: Column,
    method: str,
    estimate: intervals.Estimate,
    *,
    images: int | None = None,
    signed: bool = False,
    bold: bool = False,
    brief: bool = False,
) -> Entry:
    """An estimate with its interval and n; ``images`` of the split unless said."""
    return estimate_entry(
        estimate,
        planned=planned(results, column, method),
        images=results.images(column.dataset) if images is None else images,
        signed=signed,
        bold=bold,
        brief=brief,
    )

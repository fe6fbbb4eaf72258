"""A fair benchmark of semantic segmentation learned from points, scribbles and coarse labels.

Exit codes: 0 done, 1 a run failed, 2 usage, 3 data missing or damaged, 130 interrupted.
"""

import difflib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from wsss.benchmark.errors import BenchmarkError, UsageError
from wsss.benchmark.options import Execution, Place, Selection
from wsss.benchmark.types import Split, WeakKind

console = Console(soft_wrap=True)


def list_(*, labels: bool = False) -> int:
    """Show the methods, datasets and suites there are.

    Args:
        labels: Also show what each kind of label offers: share of pixels, coverage of classes.
    """
    from wsss.benchmark import commands

    return commands.show_list(console, labels)


def plan(selection: Selection, place: Place, *, tflops: float = 100.0, watch: bool = False, every: float = 5.0) -> int:
    """Show the runs of a suite and the state of each, what they lack on this disk, and the hours that they will take.

    A run is done, running (and by whom), queued on a cluster, resumable, failed, to run, or n/a and why. Hours come
    from finished runs of the same kind; for real data without such they are counted.

    Args:
        selection: Which runs.
        place: Where things are.
        tflops: What a GPU sustains, in 1e12 operations a second, for hours that are counted. Nothing was measured: the
            default is a tenth of what an H100 reaches on dense bf16 matrices (989).
        watch: Show instead, again and again, how far the runs are, until nothing is left to run or Ctrl-C.
        every: Seconds between two looks of --watch.
    """
    from wsss.benchmark import commands

    if watch:
        return commands.watch_plan(console, selection, place, every)
    return commands.show_plan(console, selection, place, tflops)


def run(selection: Selection, place: Place, execution: Execution) -> int:
    """Run what is missing of a suite; run it again and it goes on where it was."""
    from wsss.benchmark import run_commands  # imports torch

    return run_commands.run_suite(console, selection, place, execution)


def report(
    *, suite: str = "quick", results: Path = Path("build/results"), check: bool = False, readme: Path | None = None
) -> int:
    """Rebuild a suite's tables, figures and page from its results; needs no torch, no data and no GPU.

    Args:
        suite: Which suite.
        results: Folder of the results.
        check: Write nothing; fail if what is there is not what would be written.
        readme: Instead fill the tables and figures between the markers of this page from the committed results.
    """
    from wsss.benchmark.report import command

    if readme is not None:
        return command.make_readme(console, readme, command.COMMITTED, check)
    return command.make_report(console, suite, results, check)


def data(
    dataset: Annotated[str | None, tyro.conf.Positional] = None,
    *,
    check: bool = False,
    show: bool = False,
    frame: str | None = None,
    miniature: bool = False,
    data_root: Path | None = None,
) -> int:
    """Show whether a dataset is there and whole, where to get it, and which tree is expected.

    Args:
        dataset: Which one; all by default.
        check: Check the geometry instead: poses, calibration and range sensor against images and labels.
        show: Draw one frame instead: image, dense and weak labels, sensor points; written below build/shown.
        frame: Which frame to draw; the first labelled one by default.
        miniature: Build the embedded miniature, and mean that one.
        data_root: Folder that holds a folder per dataset; WSSS_DATA by default.
    """
    from wsss.benchmark import data_commands

    where = data_commands.Where(name=dataset, miniature=miniature, data_root=data_root)
    if show:
        return data_commands.show_frame(console, where, frame)
    if check:
        return data_commands.check_data(console, where)
    return data_commands.show_data(console, where)


def points(
    dataset: Annotated[str, tyro.conf.Positional],
    *,
    geometry: str = "plane_sweep",
    scene: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    split: Split = "train",
    labels: WeakKind = "scribbles",
    seed: int = 0,
    show: bool = False,
    view: bool = False,
    rrd: bool = False,
    predictions: Path | None = None,
    miniature: bool = False,
    data_root: Path | None = None,
    jobs: int = 0,
) -> int:
    """Make the point clouds of a dataset's scenes, and say how good they are; what was made is kept in build/points.

    Args:
        dataset: Which one.
        geometry: Where the points come from: plane_sweep, sensor, map_anything, depth_anything_3 or truth.
        scene: Only this scene; may be repeated.
        split: Whose scenes.
        labels: The weak labels that the points take from their pixels.
        seed: Of derived weak labels.
        show: Also draw each scene and write its cloud as PLY, below build/shown.
        view: Also open each cloud in a window.
        rrd: Also write each scene with its cameras and pictures as a recording of rerun, below build/shown.
        predictions: Folder of a finished run whose predictions the recordings show; only scenes that it kept some of.
        miniature: Mean the embedded miniature, and build it if it is not there.
        data_root: Folder that holds a folder per dataset; WSSS_DATA by default.
        jobs: Processes; one per core by default.
    """
    from wsss.benchmark import data_commands, points_command

    where = data_commands.Where(name=dataset, miniature=miniature, data_root=data_root)
    wanted = points_command.Wanted(
        geometry=geometry, scenes=scene, split=split, labels=labels, seed=seed, show=show, view=view, rrd=rrd,
        predictions=predictions, jobs=jobs,
    )  # fmt: skip
    return points_command.make_points(console, where, wanted)


def train(method: Annotated[str, tyro.conf.Positional]) -> int:
    """Train and score one method: wsss train METHOD --dataset D --labels L [--method.x ...].

    Args:
        method: One of `wsss list`; `wsss train METHOD --help` shows its options.
    """
    raise UsageError(f"`wsss train` takes the method first: wsss train {method} --dataset D --labels L")


COMMANDS: dict[str, Callable[..., int]] = {
    "list": list_, "plan": plan, "run": run, "train": train, "report": report, "data": data,
    "points": points,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``wsss`` command; always leaves through SystemExit with one of the exit codes above."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except BenchmarkError as error:
        Console(stderr=True, soft_wrap=True).print(f"wsss: {error}", markup=False, highlight=False)
        code = error.exit_code
    except KeyboardInterrupt:
        text = "interrupted; finished runs are kept, and the same command goes on from the last checkpoint"
        print(f"\nwsss: {text}", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"wsss: {where}{error.strerror or error}; mend that and run the same command again", file=sys.stderr)
        code = 1
    sys.exit(code)


def _dispatch(arguments: list[str]) -> int:
    first = arguments[0] if arguments else "--help"
    if not first.startswith("-") and first not in COMMANDS:
        close = difflib.get_close_matches(first, COMMANDS, n=1)
        hint = f"did you mean `wsss {close[0]}`? " if close else ""
        raise UsageError(f"unknown command {first!r}: {hint}commands are {', '.join(COMMANDS)}")
    if first == "train" and len(arguments) > 1 and not arguments[1].startswith("-"):
        from wsss.benchmark import run_commands

        return run_commands.train_one(console, arguments[1], arguments[2:])
    return tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="wsss",
        description=__doc__,
        args=arguments or ["--help"],
        config=(tyro.conf.OmitArgPrefixes,),
    )

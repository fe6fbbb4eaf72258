"""A kill at any moment loses nothing and doubles nothing: the rerun ends with the bytes of an undisturbed run."""

import os
import signal
import subprocess
import sys
from functools import partial, partialmethod
from typing import Any

import pytest

from wsss.benchmark import run_commands
from wsss.benchmark.cli import main
from wsss.benchmark.console import Display
from wsss.benchmark.records import RunFolder
from wsss.benchmark.trainer import Runtime

COMMAND = ["run", "--suite", "smoke", "--dataset", "cityscapes", "--labels", "scribbles", "--method", "ema"]


def die() -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def at_news(display, stage, count, name, done, total, note):
    """Stands in for Display.stage: dies when a stage has come so far."""
    if stage in name and done >= count:
        die()


def run(folder, where):
    """Run the suite in a process of its own that dies at a chosen moment, or never."""
    os.chdir(folder)
    run_commands.Runtime = partial(Runtime, checkpoint_seconds=0.0)  # a checkpoint at every chance
    if where == "before run.json":
        RunFolder.finish = lambda self, record: die()
    elif where == "before counts.npz":
        RunFolder.write_counts = lambda self, counts: die()
    elif where != "never":
        stage, count = where.split()
        setattr(Display, "stage", partialmethod(at_news, stage, int(count)))  # noqa: B010
    main(COMMAND)


def process(folder, where):
    return subprocess.run([sys.executable, __file__, str(folder), where], check=False, timeout=300).returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_miniature):
    folder = desk(tmp_path_factory.mktemp("undisturbed"), tiny_miniature)
    assert process(folder, "never") == 0
    return contents(folder)


def desk(folder, tiny_miniature):
    (folder / "build" / "data").mkdir(parents=True)
    (folder / "build" / "data" / "miniature-tiny").symlink_to(tiny_miniature.parent)
    return folder


def contents(folder):
    """Every file that a report reads, by relative path; run.json only by its scores, since it tells the time."""
    (record,) = (folder / "build" / "results").rglob("run.json")
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / "build" / "results").rglob("*"))
        if path.is_file() and path.name != "run.json"
    }
    return files, RunFolder(record.parent).read_record().scores


@pytest.mark.parametrize(
    "where", ["labels 3", "train 1", "train 3", "evaluate 2", "before counts.npz", "before run.json"]
)
def test_after_a_kill_the_same_command_ends_as_if_nothing_had_happened(tmp_path, tiny_miniature, undisturbed, where):
    folder = desk(tmp_path, tiny_miniature)
    assert process(folder, where) == -signal.SIGKILL
    assert not list(folder.rglob("run.json"))
    assert process(folder, "never") == 0
    assert contents(folder) == undisturbed


if __name__ == "__main__":
    run(*sys.argv[1:])

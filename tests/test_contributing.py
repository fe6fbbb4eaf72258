"""The complete method that CONTRIBUTING.md shows, used as it says: from a folder out of the tree."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wsss.benchmark.cli import COMMANDS
from wsss.benchmark.records import read_plan
from wsss.benchmark.suites import SUITES

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
(METHOD,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)

MAIN = """
import sys
from pathlib import Path
from wsss.benchmark.cli import main
from wsss.benchmark.report.build import summary_text

def wsss(*arguments):
    try:
        main(arguments)
    except SystemExit as leaving:
        if leaving.code:
            raise

if __name__ == "__main__":
    wsss("list")
    smoke = ("--suite", "smoke", "--dataset", "cityscapes", "--labels", "scribbles", "--jobs", "1", "--device", "cpu")
    wsss("run", *smoke, "--method", "entropy")
    print(summary_text(Path("build/results/smoke")))
"""


@pytest.fixture
def run(tmp_path, tiny_miniature):
    """Run Python in a folder with the tiny miniature, where the method lies out of the tree; what it printed."""
    (tmp_path / "drive.py").write_text(MAIN)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "entropy.py").write_text(METHOD)
    (tmp_path / "build" / "data").mkdir(parents=True)
    (tmp_path / "build" / "data" / "miniature-tiny").symlink_to(tiny_miniature.parent)
    variables = {**os.environ, "WSSS_METHODS": str(tmp_path / "mine"), "OMP_NUM_THREADS": "1"}

    def run(*arguments, folder=tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_it_is_as_short_as_is_said():
    assert len(METHOD.splitlines()) <= 40


def test_it_is_listed_trained_and_in_the_table(run, tmp_path):
    text = run("drive")
    assert re.search(r"^ *entropy +Entropy minimisation: be sure of yourself", text, re.M)
    assert "cityscapes/scribbles/entropy/0: mIoU student" in text
    assert re.search(r"^\| Entropy \|.*\d", text, re.M)
    folder = tmp_path / "build" / "results" / "smoke"
    (cell,) = (c for c in read_plan(folder).cells if (c.method, c.labels) == ("entropy", "scribbles") and c.folder)
    head = (folder / str(cell.folder) / "curve.csv").read_text().splitlines()[0]
    assert head == "step,progress,lr,entropy,supervised,total"


def test_it_keeps_the_contract(run):
    text = run("pytest", "tests/test_every_method.py", "-q", "-k", "entropy", "-p", "no:cacheprovider", folder=ROOT)
    assert re.search(r"^\d+ passed", text, re.M)


def test_files_and_commands_that_are_named_exist():
    for path in re.findall(r"`((?:benchmark|datasets|methods|tests|docs)/[\w./]+\.(?:py|md))`", TEXT):
        assert (ROOT / path).is_file(), path
    for command in re.findall(r"`wsss (\w+)", TEXT):
        assert command in COMMANDS
    for suite in re.findall(r"--suite ([a-z]\w*)", TEXT):
        assert suite in SUITES

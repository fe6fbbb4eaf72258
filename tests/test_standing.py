"""When a report need not be made again, and when it must."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wsss.benchmark.report import standing


@pytest.fixture
def suite(tmp_path):
    """A suite's folder with a report and its stamp."""
    folder = tmp_path / "results" / "quick"
    for name in ("plan.json", "runs/a/run.json", "runs/a/last.pt", "tables/main.md", "figures/gain.png", "index.html"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    standing.remember(folder, None, "the main table")
    return folder


def test_a_report_of_unchanged_results_stands(suite):
    assert standing.summary(suite, None) == "the main table"
    (suite / "runs/a/last.pt").write_text("a later checkpoint, which no table shows")
    (suite / "runs/a/.half-written").write_text("what a kill left")
    assert standing.summary(suite, None) == "the main table"


@pytest.mark.parametrize(
    "name", ["plan.json", "runs/a/run.json", "runs/b/failure.json", "tables/main.md", "figures/new.pdf", "index.html"]
)
def test_whatever_is_other_or_new_makes_it_anew(suite, name):
    (suite / name).parent.mkdir(parents=True, exist_ok=True)
    (suite / name).write_text("other")
    assert standing.summary(suite, None) is None


@pytest.mark.parametrize("name", ["runs/a/run.json", "runs/a/last.pt", "figures/gain.png", standing.STAMP])
def test_whatever_is_gone_makes_it_anew(suite, name):
    (suite / name).unlink()
    assert standing.summary(suite, None) is None


def test_published_numbers_and_committed_results_count(suite, tmp_path):
    committed = tmp_path / "committed"
    committed.mkdir()
    (committed / "plan.json").write_text("theirs")
    assert standing.summary(suite, committed) is None
    standing.remember(suite, committed, "both")
    assert standing.summary(suite, committed) == "both"
    (suite.parent / "reported.csv").write_text("a row")
    assert standing.summary(suite, committed) is None


def test_other_libraries_make_it_anew(suite, monkeypatch):
    monkeypatch.setattr(standing, "version", lambda name: "99")
    assert standing.summary(suite, None) is None


@pytest.mark.parametrize("text", ["", "[]", '{"source": 1}', "null", json.dumps({"digests": {}, "summary": "x"})])
def test_a_damaged_stamp_makes_it_anew(suite, text):
    Path(suite / standing.STAMP).write_text(text)
    assert standing.summary(suite, None) is None


def test_the_stamp_is_the_same_in_every_process(suite):
    """Nothing in it may hang on the order of a set, which is another in every process."""
    ask = "import pathlib, sys; from wsss.benchmark.report import standing as s; "
    ask += "print(s.summary(pathlib.Path(sys.argv[1]), None))"
    for seed in ("1", "2", "3", "4"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", ask, str(suite)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == "the main table\n"

"""The README shows what is committed, word for word, and its commands exist."""

import re
from pathlib import Path

import pytest

from wsss.benchmark.cli import COMMANDS
from wsss.benchmark.suites import SUITES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("suite", ["camvid", "quick"])
def test_tables_are_those_of_the_committed_results(suite):
    shown = re.search(rf"<!-- table {suite} -->\n(.*?)<!-- end -->", README, re.S)
    table = (ROOT / "results" / suite / "tables" / "main.md").read_text("utf-8")
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert shown and shown[1].strip().splitlines() == rows


def test_commands_suites_and_linked_files_exist():
    for command in re.findall(r"^wsss (\w+)", README, re.M):
        assert command in COMMANDS
    for suite in re.findall(r"--suite (\w+)", README):
        assert suite in SUITES
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target

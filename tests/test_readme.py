"""The README shows what is committed, word for word, and its commands exist."""

import re
import shutil
from pathlib import Path

import pytest

from wsss.benchmark import BenchmarkError, UsageError
from wsss.benchmark.cli import COMMANDS, main
from wsss.benchmark.report import readme
from wsss.benchmark.suites import SUITES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_tables_and_figures_are_those_of_the_committed_results():
    assert readme.filled(README, ROOT / "results", ROOT) == README, "run `wsss report --readme README.md`"


def test_commands_suites_and_linked_files_exist():
    for command in re.findall(r"^wsss (\w+)", README, re.M):
        assert command in COMMANDS
    for suite in re.findall(r"--suite (\w+)", README):
        assert suite in SUITES
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target


PAGE = """# A page
<!-- table miniature -->
old
<!-- end -->
between <!-- a remark -->
<!-- figure miniature -->
<!-- end -->
after
"""


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a page and the committed results of one suite."""
    for name in ("plan.json", "tables/main.md"):
        (tmp_path / "results/miniature" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "results/miniature" / name, tmp_path / "results/miniature" / name)
    (tmp_path / "results/miniature/figures").mkdir()
    for name in ("qualitative-b.png", "qualitative-a.png", "curves.png"):
        (tmp_path / "results/miniature/figures" / name).write_bytes(b"")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page.md").write_text(PAGE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_only_what_stands_between_markers_changes(desk):
    text = readme.filled(PAGE, desk / "results", desk / "docs")
    rows = [line for line in (desk / "results/miniature/tables/main.md").read_text().splitlines() if line[:1] == "|"]
    assert "old" not in text and "\n".join(["<!-- table miniature -->", *rows, "<!-- end -->"]) in text
    assert "](../results/miniature/figures/qualitative-a.png)\n\n*Miniature data" in text
    assert text.startswith("# A page\n<!-- table miniature -->\n") and text.endswith("<!-- end -->\nafter\n")
    assert "\nbetween <!-- a remark -->\n" in text
    assert readme.filled(text, desk / "results", desk / "docs") == text


def test_a_table_and_a_figure_may_be_named(desk):
    shutil.copy(ROOT / "results/miniature/tables/cost.md", desk / "results/miniature/tables")
    page = PAGE.replace("table miniature", "table miniature/cost")
    page = page.replace("figure miniature", "figure miniature/curves")
    text = readme.filled(page, desk / "results", desk)
    assert "<!-- table miniature/cost -->\n| Dataset | Method | Training" in text
    assert "](results/miniature/figures/curves.png)\n\n*Miniature data" in text
    with pytest.raises(BenchmarkError, match=r"figures/gone\.png does not exist"):
        readme.filled(page.replace("miniature/curves", "miniature/gone"), desk / "results", desk)


def test_a_missing_report_and_a_broken_marker_are_told(desk):
    with pytest.raises(BenchmarkError, match=r"other/tables/main\.md does not exist; write it with `wsss report"):
        readme.filled(PAGE.replace("table miniature", "table other"), desk / "results", desk)
    for broken in (PAGE.replace("<!-- end -->\nb", "b"), PAGE + "<!-- end -->\n"):
        with pytest.raises(UsageError, match="a marker has no partner"):
            readme.filled(broken, desk / "results", desk)
    with pytest.raises(UsageError, match="block, closed by"):
        readme.filled("# A page\n", desk / "results", desk)
    with pytest.raises(UsageError, match=r"nowhere\.md does not exist"):
        readme.update(desk / "nowhere.md", desk / "results", only_check=True)


def test_the_command_checks_and_mends(desk, capsys):
    def wsss(*arguments):
        with pytest.raises(SystemExit) as leaving:
            main(("report", "--readme", "docs/page.md", *arguments))
        return leaving.value.code, capsys.readouterr().out

    code, text = wsss("--check")
    assert code == 1 and "docs/page.md is not what" in text and (desk / "docs/page.md").read_text() == PAGE
    assert wsss()[0] == 0 and (desk / "docs/page.md").read_text() != PAGE
    code, text = wsss("--check")
    assert code == 0 and "is as the results have it" in text

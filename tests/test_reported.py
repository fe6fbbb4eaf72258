"""Published numbers: the file itself, its reader's errors, and the table in which they never mix with ours."""

import re
from pathlib import Path

import pytest
from fake_results import write_suite

from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.report import formats, reported
from wsss.benchmark.report.reported import COLUMNS, Reported, beside, find, read
from wsss.benchmark.report.results import Results

FILE = Path(__file__).parent.parent / "results" / "reported.csv"
HEAD = ",".join(COLUMNS)
GOOD = "ema,town,scribbles,B4,none,mIoU,49.4,A paper,"


def value(rows: list[Reported], method: str, dataset: str, labels: str, metric: str = "mIoU") -> float:
    """Of Rewis3d's paper."""
    key = (method, dataset, labels, metric)
    found = [r for r in rows if (r.method, r.dataset, r.labels, r.metric) == key and r.source.startswith("Rewis3d")]
    assert len(found) == 1, key
    return found[0].value


def test_published_ratios_follow_from_published_scores_or_a_note_says_why_not() -> None:
    rows = read(FILE)
    ratios = [row for row in rows if row.metric == "SS/FS"]
    assert len(ratios) == 15
    inconsistent = []
    for row in ratios:
        ours, dense = value(rows, row.method, row.dataset, row.labels), value(rows, "full", row.dataset, "full")
        least, most = (
            100 * (ours - 0.05) / (dense + 0.05),
            100 * (ours + 0.05) / (dense - 0.05),
        )  # all three are rounded
        if not least - 0.05 <= row.value <= most + 0.05:
            inconsistent.append((row.method, row.dataset))
            assert "inconsistent" in row.note and f"{100 * ours / dense:.1f}" in row.note
    assert inconsistent == [("rewis3d", "kitti360")]


def test_published_gains_follow_from_published_scores_or_a_note_says_why_not() -> None:
    rows = read(FILE)
    gains = [row for row in rows if row.metric == "gain over best competitor"]
    assert len(gains) == 8
    inconsistent = []
    for row in gains:
        rivals = [r for r in rows if (r.dataset, r.labels, r.metric) == (row.dataset, row.labels, "mIoU")]
        names = {"ema", "tel", "sasformer", "best_competitor"}
        best = max(r.value for r in rivals if r.method in names and r.source.startswith("Rewis3d"))
        if abs(value(rows, row.method, row.dataset, row.labels) - best - row.value) > 0.051:
            inconsistent.append((row.dataset, row.labels))
            assert "inconsistent" in row.note
    assert inconsistent == [("waymo", "scribbles")]


def test_headline_numbers_and_their_sources() -> None:
    rows = read(FILE)
    assert value(rows, "rewis3d", "waymo", "scribbles") == 53.3
    assert value(rows, "rewis3d_lidar", "nyuv2", "scribbles") == 44.7
    assert value(rows, "tel", "cityscapes", "coarse") == 64.9
    assert value(rows, "no_confidence", "waymo", "scribbles") == 51.9
    assert all(row.source for row in rows)
    assert {"waymo", "kitti360", "nyuv2", "cityscapes"} <= {row.dataset for row in rows}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method,value\nema,1\n", "its columns are method, value"),
        (f"{HEAD}\n{GOOD.replace('49.4', 'about 50')}\n", "line 2: value 'about 50' is no number"),
        (f"{HEAD}\n{GOOD.replace('49.4', '494')}\n", "line 2: value '494' is no number of per cent"),
        (f"{HEAD}\n{GOOD.replace('49.4', 'nan')}\n", "line 2: value 'nan' is no number"),
        (f"{HEAD}\n{GOOD.replace('A paper', '')}\n", "line 2: source is empty"),
        (f"{HEAD}\n{GOOD.replace('mIoU', 'accuracy')}\n", "line 2: metric 'accuracy' is none of mIoU"),
        (f"{HEAD}\n{GOOD}\n{GOOD}\n", "line 3: says the same as line 2"),
        (f"{HEAD}\n{GOOD},more,and more\n", "reported"),
        ("", "cannot be read"),
    ],
)
def test_a_bad_file_gets_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "reported.csv"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match=re.escape(message)) as error:
        read(path)
    assert str(path) in str(error.value)


def test_our_numbers_and_published_ones_never_share_a_column(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "fake", samples=False)
    lines = [HEAD, GOOD, "partial,town,scribbles,B4,none,mIoU,45.0,A paper,odd"]
    lines += ["full,town,full,B4,none,mIoU,59.0,A paper,", "ema,moon,scribbles,B4,none,mIoU,1.0,A paper,"]
    (tmp_path / "reported.csv").write_text("\n".join(lines) + "\n")
    results = Results(folder)
    table = beside(results, find(folder))
    assert table is not None
    assert table.groups == (("this suite, miniature", 3), ("published, real", 3))
    assert len(set(table.columns)) == len(table.columns)
    assert table.columns[0] != table.columns[3]
    assert table.rows[0].titles[:2] == ("Town, scribbles", "Partial CE")
    partial, ema, full = table.rows
    ours = results.estimate(results.columns[0], "ema")
    assert ours is not None and ema.entries[0].estimate == ours.value
    assert [entry.text for entry in ema.entries[3:]] == ["49.4", "83.7", ""]
    assert [entry.text for entry in partial.entries[3:]] == ["45.0", "76.3", "-4.4"]
    assert [entry.text for entry in full.entries[3:]] == ["59.0", "100.0", "+9.6"]
    assert partial.note == "odd"
    assert any("the order of the methods is the published one" in note for note in table.notes)
    assert "published, real" in formats.latex(table)


def test_nothing_published_gives_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_suite(tmp_path / "fake", seeds=(0,), datasets=("town",), samples=False)
    assert beside(Results(folder), read(FILE)) is None
    monkeypatch.chdir(tmp_path)
    assert find(folder) == []
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / reported.FILE).write_text(f"{HEAD}\n{GOOD}\n")
    assert [row.method for row in find(folder)] == ["ema"]

"""The report of an invented suite: every number, every gap, every escape, and the same bytes each time."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_results import ABSENT, CLASSES, METHODS, REASON, fake_counts, write_suite

from wsss.benchmark import intervals, report, statistics
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.records import RunFolder
from wsss.benchmark.report import (
    claims,
    class_tables,
    formats,
    pictures,
    point_tables,
    run_tables,
    style,
    tables,
)
from wsss.benchmark.report.page import flat, safe_url, split_facts
from wsss.benchmark.report.results import Column, Results
from wsss.benchmark.report.table import Entry, Row, Table, estimate_entry, p_value, percent
from wsss.benchmark.spec import PointsConfig, to_plain

TOWN = Column("town", "scribbles")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("results") / "fake")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("committed") / "fake", shift=0.2, samples=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, committed: Path) -> Path:
    folder = write_suite(tmp_path_factory.mktemp("built") / "fake", datasets=("town",))
    written = report.build(folder, committed)
    assert all(path.is_file() for path in written)
    return folder


@pytest.fixture(scope="module")
def results(suite: Path) -> Results:
    return Results(suite)


def empty_suite(folder: Path) -> Path:
    """A planned suite of which nothing was run: its report has no figures and is quick to build."""
    suite = write_suite(folder / "empty", samples=False)
    shutil.rmtree(suite / "runs")
    return suite


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# Numbers --------------------------------------------------------------------------------------------------


def test_csv_numbers_equal_a_calculation_by_hand(built: Path) -> None:
    rows = read_csv((built / "tables/main.csv").read_text())
    row = next(r for r in rows if (r["method"], r["group"], r["column"]) == ("EMA", "Town, scribbles", "mIoU"))
    counts = [fake_counts("town", "ema", "scribbles", seed).tables["teacher"] for seed in range(3)]
    by_hand = []
    for table in counts:
        total = table.sum(axis=0)
        present = [c for c in range(len(CLASSES)) if total[c, 2] > 0]
        by_hand.append(np.mean([total[c, 0] / (total[c, 1] + total[c, 2] - total[c, 0]) for c in present]))
    assert float(row["estimate"]) == pytest.approx(np.mean(by_hand), rel=1e-8)
    assert row["n_seeds"] == "3"
    assert row["printed"] == f"{100 * np.mean(by_hand):.1f}"

    weights = statistics.scene_weights(12)
    drawn = []
    for draw in weights.astype(int):
        images = np.concatenate([np.repeat(np.arange(s * 3, s * 3 + 3), n) for s, n in enumerate(draw)])
        drawn.append([miou_of_draw(table, images) for table in counts])
    observed = np.array([miou_of_draw(table, np.arange(36)) for table in counts])
    expected = intervals.estimate(observed, np.array(drawn).T, 12)
    assert [float(row["low"]), float(row["high"])] == pytest.approx([expected.low, expected.high], rel=1e-8)
    assert (row["n_scenes"], row["n_images"]) == ("12", "36")
    assert "n=3×12/36" in (built / "tables/main.md").read_text()


def miou_of_draw(table: np.ndarray, images: np.ndarray) -> float:
    """By hand: a class that the drawn images lack keeps the IoU of the whole split."""
    drawn, whole = (statistics.iou(part.sum(axis=0)) for part in (table[images], table))
    return float(np.nanmean(np.where(np.isnan(drawn), whole, drawn)))


def test_gain_is_the_paired_difference_with_holm(results: Results) -> None:
    table = tables.gain(results)
    assert table is not None
    rows = read_csv(formats.csv_text(table))
    tested = {r["method"]: r for r in rows if (r["group"], r["column"]) == ("Town, scribbles", "− Partial CE")}
    gains = [results.compare(TOWN, name, "partial") for name in ("ema", "script")]
    adjusted = intervals.holm([gain.p for gain in gains if gain])
    for gain, p, title in zip(gains, adjusted, ("EMA", METHODS["script"][0]), strict=True):
        assert gain is not None
        assert float(tested[title]["estimate"]) == pytest.approx(gain.value)
        assert float(tested[title]["p"]) == pytest.approx(p)
    gap = next(r for r in rows if (r["method"], r["group"], r["column"]) == ("EMA", "Town, scribbles", "gap closed"))
    scores = {n: e.value for n in METHODS if (e := results.estimate(TOWN, n))}
    expected = (scores["ema"] - scores["partial"]) / (scores["full"] - scores["partial"])
    assert float(gap["estimate"]) == pytest.approx(expected)


def test_comparisons_use_shared_seeds_only(results: Results) -> None:
    one = results.compare(Column("town", "points"), "script", "ema")
    assert one is not None
    assert one.seeds == 1
    script, ema = (
        statistics.miou(fake_counts("town", name, "points", 0).tables[predictor])
        for name, predictor in (("script", "network"), ("ema", "teacher"))
    )
    assert one.value == pytest.approx(script - ema)


def test_ceiling_stands_in_every_column_of_its_dataset_and_is_never_bold(results: Results) -> None:
    main = tables.main(results)
    last = main.rows[-1]
    assert last.apart
    assert last.titles == ("Dense labels",)
    assert [entry.text for entry in last.entries[1::2]] == ["100.0"] * 4
    assert not any(entry.bold for entry in last.entries)
    bold = [any(row.entries[i].bold for row in main.rows) for i in range(0, 8, 2)]
    assert bold == [True] * 4


def test_tie_group_holds_all_that_are_not_significantly_worse(results: Results) -> None:
    tied = results.tied_best(TOWN)
    values = {name: e.value for name in results.weak_methods if (e := results.estimate(TOWN, name))}
    assert set(values) == {"partial", "ema", "script"}
    best = max(values, key=lambda name: values[name])
    others = [name for name in values if name != best]
    tests = [results.compare(TOWN, best, name) for name in others]
    p = intervals.holm([test.p for test in tests if test])
    assert tied == [best, *(name for name, value in zip(others, p, strict=True) if value >= 0.05)]


def test_predictors_compare_the_declared_one_with_the_other(results: Results) -> None:
    table = class_tables.predictors(results)
    assert table is not None
    assert table.columns == ("teacher", "student", "difference")
    assert {row.titles[1] for row in table.rows} == {"EMA"}
    teacher, student, gap = table.rows[0].entries
    assert teacher.bold
    assert teacher.estimate is not None and student.estimate is not None
    assert gap.estimate == pytest.approx(teacher.estimate - student.estimate)


def test_labels_and_cost(results: Results) -> None:
    labels, cost = run_tables.labels(results), run_tables.cost(results)
    assert labels is not None and cost is not None
    share, correct, mean, worst, its, number = labels.rows[1].entries
    assert correct.text == "99.8"
    assert (share.text, mean.text, worst.text, its.text) == ("0.006", "69.0", "100% pole", "30.0")
    assert number.text == "3"
    seconds, hours, per_step, rate, *_ = cost.rows[0].entries
    assert seconds.estimate == pytest.approx(32.5)
    assert hours.estimate == pytest.approx(32.5 / 3600)
    assert (
        "Town: the cost of a prediction is the same for all rows (FPN, tf_efficientnet_lite0, image alone)."
        in cost.notes
    )
    assert per_step.estimate == pytest.approx(32.5 / 200)
    assert rate.estimate == pytest.approx(4 * 200 / 32.5)


def test_reproduced_has_three_verdicts(results: Results, committed: Path, tmp_path: Path) -> None:
    def verdicts(other: Path) -> set[str]:
        table = run_tables.reproduced(results, Results(other))
        assert table is not None
        return {row.entries[-1].text for row in table.rows}

    assert verdicts(results.folder) == {"identical"}
    assert verdicts(write_suite(tmp_path / "near", shift=0.002, samples=False)) == {"reproduced"}
    assert "not reproduced" in verdicts(committed)


# What is missing ------------------------------------------------------------------------------------------


def test_missing_skipped_failed_and_partial_cells(results: Results) -> None:
    main = tables.main(results)
    rows = {row.titles[0]: row.entries for row in main.rows}
    points, never, impossible = rows[METHODS["script"][0]][2], rows["TEL"][0], rows["TEL"][2]
    assert points.detail.endswith("n=1×12/36")
    assert points.seeds == 1
    assert points.note == "1 of 3 seeds"
    assert (never.text, never.note) == ("–", "")
    assert (impossible.text, impossible.note) == ("n/a", REASON)
    assert main.footnotes == {"1 of 3 seeds": "a", REASON: "b"}
    assert f"<sup>b</sup> {REASON}." in formats.markdown(main)


def test_page_lists_failures_gaps_and_provenance(built: Path) -> None:
    page = (built / "index.html").read_text()
    assert "town/points/script/1, step 7: <code>RuntimeError: loss is &lt;nan&gt;</code>" in page
    assert f"town/points/tel: {REASON}" in page
    assert "<li>town/points/script/2</li>" in page
    assert "wsss train ema --dataset town --seed 1" in page
    assert "<dt>git</dt><dd>0123456789abcdef</dd>" in page
    assert ">dirty</th>" in page
    assert "<strong>Not the real datasets.</strong> Invented numbers" in page


def test_suite_without_a_finished_run_still_has_a_report(tmp_path: Path) -> None:
    folder = empty_suite(tmp_path)
    written = {path.relative_to(folder).as_posix() for path in report.build(folder, tmp_path / "nothing")}
    names = ("main", "gain", "scribbles", "points")
    assert written == {"index.html", *(f"tables/{n}.{suffix}" for n in names for suffix in formats.SUFFIXES)}
    assert "No run is finished." in report.summary_text(folder)


def test_one_scene_prints_no_interval_and_says_so(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "one", seeds=(0,), samples=False)
    for path in folder.rglob("counts.npz"):
        run = RunFolder(path.parent)
        counts = run.read_counts()
        run.write_counts(type(counts)(image_ids=counts.image_ids, scene_ids=["all"] * 36, tables=counts.tables))
        run.finish(run.read_record())
    main = tables.main(Results(folder))
    assert main.rows[0].entries[0].detail == "n=1×1/36"
    assert main.rows[0].entries[0].low is None
    assert not any(entry.bold for row in main.rows for entry in row.entries)
    assert "Town: one scene, so neither interval nor test." in main.notes


def test_absent_and_rare_classes_are_named(results: Results) -> None:
    table = class_tables.per_class(results, TOWN)
    assert table is not None
    titles = [row.titles[0] for row in table.rows]
    assert titles == [*CLASSES[:ABSENT], "mIoU", "mean of images"]
    assert "Absent from the split and from every mean: tram." in table.notes
    pole = table.rows[3]
    assert pole.entries[0].text == "5"
    assert pole.note == "labelled in fewer than 10 images of the split"
    assert [row.note for row in table.rows if row is not pole] == [""] * (len(table.rows) - 1)


@pytest.mark.parametrize("name", ["main", "points", "gain", "per_class-town-points", "boundary", "reproduced"])
def test_captions_say_what_the_numbers_are(built: Path, name: str) -> None:
    text = (built / f"tables/{name}.md").read_text()
    for part in (
        "Invented numbers on procedural miniature data",
        "Split: val",
        "last step, single scale, no flip, native label size, one confusion over the split",
        "3 seeds (0, 1, 2)",
        "2,000 bootstrap draws of seeds, then scenes",
        "Town 12",
    ):
        assert part in text


# The paper's tables ---------------------------------------------------------------------------------------


def test_a_table_per_kind_of_labels_says_backbone_and_points(results: Results) -> None:
    scribbles, points = tables.of_kinds(results)
    assert (scribbles.name, points.name) == ("scribbles", "points")
    assert [group for group, _ in points.groups] == ["Town, points", "Room, points"]
    assert scribbles.heads == ("Method", "Backbone", "3D supervision")
    assert scribbles.rows[0].titles == ("Partial CE", "FPN, tf_efficientnet_lite0", "none")
    main = tables.main(results)
    assert scribbles.rows[0].entries == (*main.rows[0].entries[:2], *main.rows[0].entries[4:6])


def test_dataset_with_every_kind_has_a_table_of_its_own(tmp_path: Path) -> None:
    folder = empty_suite(tmp_path)
    plan = json.loads((folder / "plan.json").read_text())
    more = [{**c, "labels": "coarse"} for c in plan["cells"] if (c["dataset"], c["labels"]) == ("town", "points")]
    plan["cells"] += more
    (folder / "plan.json").write_text(json.dumps(plan))
    found = {table.name: [group for group, _ in table.groups] for table in tables.of_kinds(Results(folder))}
    assert found == {
        "scribbles": ["Room, scribbles"],
        "points": ["Room, points"],
        "kinds-town": ["Town, scribbles", "Town, points", "Town, coarse"],
    }


def test_ablations_stand_in_order_with_differences_from_their_method(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "parts", samples=False, datasets=("town",))
    assert tables.ablations(Results(folder)) is None
    for path in (folder / "runs/town/scribbles/script").glob("*/run.json"):
        record = json.loads(path.read_text())
        record["spec"]["method"] = "ema"
        path.write_text(json.dumps(record))
    results = Results(folder)
    table = tables.ablations(results)
    assert table is not None
    assert [row.titles[0] for row in table.rows] == [title for title, _ in METHODS.values()]
    difference = table.rows[2].entries[1]
    expected = results.compare(TOWN, "script", "ema")
    assert expected is not None
    assert difference.estimate == pytest.approx(expected.value)
    adjusted = intervals.holm([e.p for n in ("partial", "script") if (e := results.compare(TOWN, n, "ema"))])
    assert difference.p == pytest.approx(adjusted[1])
    assert table.rows[1].entries[1].text == ""


def test_claims_have_values_by_hand_and_paired_differences(results: Results) -> None:
    found = {table.name: table for table in claims.tables(results)}
    assert list(found) == ["boundary", "trimap", "ranges", "views", "calibration"]
    runs = results.done(TOWN, "ema")
    rows = {row.titles: row.entries for row in found["boundary"].rows}
    by_hand = [statistics.miou(run.measures["boundary"][:, 1]) for run in runs.values()]
    ema, script = rows["Town, scribbles", "EMA"], rows["Town, scribbles", METHODS["script"][0]]
    assert ema[2].estimate == pytest.approx(np.mean(by_hand))
    assert (ema[2].seeds, ema[2].scenes, ema[2].images) == (3, 12, 36)
    assert ema[3].text == ""
    theirs = [statistics.miou(run.measures["boundary"][:, 1]) for run in results.done(TOWN, "script").values()]
    assert script[3].estimate == pytest.approx(np.mean(theirs) - np.mean(by_hand))
    assert script[3].p is not None
    sums = np.sum([run.measures["views"].sum(0) for run in runs.values()], axis=0)
    agreement = {row.titles: row.entries for row in found["views"].rows}["Town, scribbles", "EMA"][0]
    assert agreement.estimate == pytest.approx(sums[1] / sums[0])
    wrong = {row.titles: row.entries for row in found["calibration"].rows}["Town, scribbles", "EMA"][0]
    assert wrong.estimate == pytest.approx(abs(0.7 - sums[1] / sums[0]), abs=1e-3)


def test_claims_say_what_is_not_there(results: Results, tmp_path: Path) -> None:
    ranges = next(table for table in claims.tables(results) if table.name == "ranges")
    assert {row.titles[0] for row in ranges.rows} == {"Town, scribbles", "Town, points"}
    assert "Room, scribbles: left out, its depth is not known." in ranges.notes
    assert "Depth: Town truth." in ranges.caption
    assert {row.entries[-2].note for row in ranges.rows} == {"the split has no such pixels"}
    assert ranges.groups[-1] == ("over 64 m", 2)
    old = Results(write_suite(tmp_path / "old", seeds=(0,), samples=False, measured=False))
    assert claims.tables(old) == []
    assert (
        tables.main(old).notes[-1].startswith("Not measured in these runs: Boundary IoU, trimap mIoU, mIoU by distance")
    )


def test_points_stand_beside_what_they_give(results: Results, tmp_path: Path) -> None:
    assert point_tables.quality(results) is None
    folder = write_suite(tmp_path / "points", seeds=(0,), samples=False)
    for path in (folder / "runs/town/scribbles/script").glob("*/run.json"):
        record = json.loads(path.read_text())
        record["spec"]["points"] = to_plain(PointsConfig(geometry="plane_sweep", settings={"planes": 64}))
        path.write_text(json.dumps(record))
    facts = {"coverage": 0.5, "within_5": 0.8, "abs_rel": 0.04, "auroc": None, "points_per_frame": 1200.4}
    facts |= {"scenes": 8, "frames": 8, "provider": "plane_sweep", "settings": {"planes": 64}}
    place = folder / "points" / "town-plane_sweep.json"
    place.parent.mkdir()
    place.write_text(json.dumps(facts))
    place.with_name("town-sensor.json").write_text(json.dumps({**facts, "provider": "sensor", "settings": {}}))
    table = point_tables.quality(Results(folder))
    assert table is not None
    assert [row.titles for row in table.rows] == [
        ("Town, scribbles", "plane_sweep", METHODS["script"][0]),
        ("Town", "sensor", "–"),
    ]
    texts = [entry.text for entry in table.rows[0].entries]
    assert texts[:6] == ["50.0", "1,200", "80.0", "4.0", "–", "8/8"]
    score = Results(folder).estimate(TOWN, "script")
    assert score is not None and table.rows[0].entries[-1].estimate == score.value
    place.write_text(json.dumps({**facts, "coverage": "half"}))
    with pytest.raises(BenchmarkError, match="coverage is 'half'"):
        point_tables.quality(Results(folder))


# Formats --------------------------------------------------------------------------------------------------


def nasty() -> Table:
    return Table(
        name="nasty",
        title="A & B",
        caption="50 % of #1_x {y} ~ ^ \\",
        heads=("a|b", "c"),
        groups=(("G_1", 1), ("", 1)),
        columns=("x%", "<i>"),
        rows=(
            Row(titles=("m_1", "<b>"), entries=(Entry(text="1.0", bold=True), Entry(text="n/a", note="why & how"))),
            Row(titles=("$x$", "*"), entries=(Entry(text="–"), Entry(text="")), apart=True, note="why & how"),
        ),
    )


def test_latex_is_escaped_and_every_line_has_the_same_width() -> None:
    text = formats.latex(nasty())
    assert r"\caption{\textbf{A \& B.} 50 \% of \#1\_x \{y\} \textasciitilde{} \textasciicircum{}" in text
    for needed in (r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule(lr){3-3}", r"\textbf{1.0}", r"\$x\$"):
        assert needed in text
    assert text.count(r"\textsuperscript{a}") == 3
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {3}
    assert text.count(r"\begin{") == text.count(r"\end{")


def test_built_latex_has_balanced_braces(built: Path) -> None:
    for path in sorted((built / "tables").glob("*.tex")):
        bare = re.sub(r"\\[{}]", "", path.read_text())
        assert bare.count("{") == bare.count("}")
        assert not re.search(r"(?<!\\)[#_]", bare.split(r"\label")[0]), path.name


def test_markdown_and_html_are_escaped() -> None:
    markdown, html = formats.markdown(nasty()), formats.html(nasty())
    assert "| a\\|b | c | G_1 · x% | &lt;i&gt; |" in markdown
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}
    assert widths == {5}
    assert "&lt;i&gt;" in html
    assert "<i>" not in html
    assert html.count("<tbody>") == 2


def test_method_title_cannot_inject_html(built: Path) -> None:
    for path in (built / "index.html", built / "tables/main.html"):
        text = path.read_text()
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 50%_x#" in text
    assert safe_url("javascript:alert(1)") is None
    assert safe_url("https://example.org") == "https://example.org"


def test_a_table_of_uneven_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in width"):
        Table(name="x", title="", caption="", heads=("a",), groups=(("", 2),), columns=("b",), rows=())


def test_page_needs_no_network_and_stays_small(built: Path) -> None:
    page = (built / "index.html").read_bytes()
    assert len(page) < 6_000_000
    assert not re.search(rb"<(script|link|img)[^>]+(src|href)=[\"']https?:", page)
    assert page.count(b"data:image/png;base64,") >= len(list((built / "figures").glob("*.png")))


def test_numbers_as_text() -> None:
    assert percent(0.12345) == "12.3"
    assert percent(-0.0001, signed=True) == "0.0"
    assert percent(0.021, signed=True) == "+2.1"
    assert (p_value(0.0005), p_value(0.0123)) == ("p<0.001", "p=0.012")
    nan = float("nan")
    unknown = estimate_entry(intervals.Estimate(value=nan, low=nan, high=nan, seeds=2, scenes=3), planned=2)
    assert unknown.text == "–"
    assert unknown.note


# Figures --------------------------------------------------------------------------------------------------


def test_figures_are_there_in_both_formats(built: Path) -> None:
    names = {path.name for path in (built / "figures").iterdir()}
    stems = ["summary", "qualitative-town", "curves-town", "per_class-town-scribbles", "per_class-town-points"]
    assert names >= {f"{stem}.{suffix}" for stem in stems for suffix in ("pdf", "png")}
    assert {name.removesuffix(".png") for name in names if name.endswith(".png")} == {
        name.removesuffix(".pdf") for name in names if name.endswith(".pdf")
    }


def test_colors_are_fixed_per_method() -> None:
    one = style.colors(["partial", "mine", "rewis3d"])
    other = style.colors(["rewis3d", "ema", "mine", "theirs"])
    assert one["rewis3d"] == other["rewis3d"] == style.PINNED["rewis3d"]
    assert one["mine"] == other["mine"] != other["theirs"]
    assert len(set(style.PINNED.values()) | set(style.FREE)) == len(style.PINNED) + len(style.FREE)


def test_zoom_goes_where_methods_differ_and_skips_the_unknown() -> None:
    truth = np.zeros((50, 100), np.uint8)
    truth[:25, :50] = 255
    a, b = np.zeros_like(truth), np.zeros_like(truth)
    b[:25, :50] = 1  # a difference that nobody can judge
    b[35:40, 72:78] = 1
    sample = pictures.Sample(
        frame="f", image=np.zeros((50, 100, 3), np.uint8), weak=truth, truth=truth, predictions={"a": a, "b": b}
    )
    row, column, rows, columns = pictures.zoom_window(sample)
    assert (rows, columns) == (10, 20)
    assert row <= 35 and row + rows >= 40
    assert column <= 72 and column + columns >= 78


def test_points_are_grown_and_never_overwrite_a_label() -> None:
    weak = np.full((60, 60), 255, np.uint8)
    weak[30, 30], weak[30, 31] = 1, 0
    sample = pictures.Sample(
        frame="f", image=np.full((60, 60, 3), 200, np.uint8), weak=weak, truth=weak, predictions={}
    )
    colors = np.array([[250, 0, 0], [0, 250, 0]], np.uint8)
    shown = pictures.overlay_weak(sample.image, sample.weak, "points", colors)
    assert shown[30, 30].tolist() == [0, 250, 0]
    assert shown[29, 32].tolist() == [250, 0, 0]
    assert shown[10, 10].tolist() == [180, 180, 180]
    assert pictures.paint(np.array([[255]], np.uint8), colors)[0, 0].tolist() == list(pictures.IGNORE_GREY)


# Robustness and reproducibility ---------------------------------------------------------------------------


def test_rebuild_is_identical_without_torch_and_under_another_hash_seed(built: Path, committed: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from wsss.benchmark import report\n"
        f"print(report.check(Path({str(built)!r}), Path({str(committed)!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_check_names_what_differs_and_build_mends_it(tmp_path: Path) -> None:
    folder = empty_suite(tmp_path)
    report.build(folder)
    assert report.check(folder) == []
    page = (folder / "index.html").read_bytes()
    (folder / "tables/main.csv").write_text((folder / "tables/main.csv").read_text().replace("EMA", "MEA"))
    (folder / "index.html").unlink()
    (folder / "figures").mkdir()
    (folder / "figures/old.png").write_text("of an earlier report")
    (folder / "tables/README.txt").write_text("mine")
    assert report.check(folder) == ["figures/old.png", "index.html", "tables/main.csv"]
    report.build(folder)
    assert report.check(folder) == []
    assert (folder / "tables/README.txt").exists()
    assert (folder / "index.html").read_bytes() == page


def test_only_planned_cells_count(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "fewer", seeds=(0, 1), samples=False)
    plan = json.loads((folder / "plan.json").read_text())
    plan["cells"] = [cell for cell in plan["cells"] if cell["seed"] == 0]
    (folder / "plan.json").write_text(json.dumps(plan))
    estimate = Results(folder).estimate(TOWN, "ema")
    assert estimate is not None
    assert estimate.seeds == 1


def test_cell_without_folder_and_reason_waits_for_its_data(tmp_path: Path) -> None:
    folder = empty_suite(tmp_path)
    plan = json.loads((folder / "plan.json").read_text())
    plan["cells"][0]["folder"] = None
    (folder / "plan.json").write_text(json.dumps(plan))
    results = Results(folder)
    assert [cell.seed for cell in results.pending[:2]] == [0, 1]
    assert {cell.skip for cell in results.skipped} == {REASON}


def test_damaged_or_incomparable_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"plan\.json does not exist"):
        report.build(tmp_path)
    folder = write_suite(tmp_path / "split", seeds=(0, 1), samples=False)
    run = RunFolder(next((folder / "runs/town/scribbles/ema").glob("1-*")))
    counts = run.read_counts()
    for table in counts.tables.values():
        table[0, 0, 2] += 1
    run.write_counts(counts)
    with pytest.raises(BenchmarkError, match=r"counts\.npz is not as the run left it; restore it, or delete"):
        Results(folder)
    run.finish(run.read_record())
    with pytest.raises(BenchmarkError, match="scored on other labels"):
        Results(folder)


def test_damaged_failure_file_is_named(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "broken", seeds=(0, 1), samples=False)
    path = next(folder.rglob("failure.json"))
    path.write_text("{")
    with pytest.raises(BenchmarkError, match=r"failure\.json: cannot be read"):
        Results(folder)


def test_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "sizes", seeds=(0,))
    truth = folder / "samples/town/frame-0/truth.png"
    shutil.copy(folder / "samples/town/frame-0/image.png", truth)
    with pytest.raises(BenchmarkError, match="8-bit picture of train ids"):
        pictures.read_samples(Results(folder), TOWN)


def test_summary_for_a_terminal_leaves_out_intervals(built: Path) -> None:
    text = report.summary_text(built)
    assert "| Partial CE | 48." in text
    assert "[4" not in text


def test_provenance_is_split_into_shared_and_differing() -> None:
    facts = [flat({"git": {"sha": "a", "dirty": flag}, "gpus": [1, 2], "none": None}) for flag in (True, False)]
    shared, differing = split_facts(facts)
    assert shared == {"git.sha": "a", "gpus": "1, 2"}
    assert differing == ["git.dirty"]

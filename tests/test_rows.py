"""Rows of an ablation: one method several times, with settings and points of its own, each under its own name."""

from dataclasses import replace

import pytest
import torch

from wsss.benchmark import UsageError, discovery, planning, point_sources
from wsss.benchmark.grid import Row
from wsss.benchmark.options import Selection
from wsss.benchmark.report import build as build_report
from wsss.benchmark.runner import execute
from wsss.benchmark.spec import PointsConfig, from_plain, to_plain
from wsss.benchmark.suites import ABLATIONS, QUICK, SMOKE, SUITES
from wsss.benchmark.trainer import Runtime
from wsss.benchmark.workplace import Workplace


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_every_row_names_a_method_and_settings_that_exist(suite):
    found = planning.rows(suite)
    assert len({row.name for row in found}) == len(found)
    for row in found:
        cls = discovery.method(row.method)
        config = cls.Config(**row.config)
        assert from_plain(cls.Config, to_plain(config)) == config
        for column in suite.columns:
            points = point_sources.resolve(cls.geometry, row.points or column.points)
            assert (points is None) == (cls.geometry is None)
            assert points is None or points.settings == to_plain(point_sources.provider(points))


def test_an_ablation_changes_one_thing_at_a_time():
    plain = next(row for row in ABLATIONS.rows if row.name == "rewis3d")
    usual = ABLATIONS.columns[0].points
    for row in ABLATIONS.rows:
        if row.method == "rewis3d" and row != plain:
            assert row.title and bool(row.config) != (row.points is not None)
            if row.points is not None:
                assert row.points.network == usual.network and row.points != usual


def test_a_suite_can_leave_methods_out():
    named = {row.name for row in planning.rows(QUICK)}
    assert {"partial", "full", "ema", "tel", "rewis3d", "rewis3d_lidar"} <= named and "gated_crf" not in named
    with pytest.raises(UsageError, match="suite quick has no gated_crf: see `wsss plan"):
        planning.filters(QUICK, Selection(method=("gated_crf",)))


def test_unknown_sources_of_points_and_settings_are_told():
    with pytest.raises(UsageError, match="unknown geometry 'plain_sweep': did you mean 'plane_sweep'"):
        point_sources.resolve("reconstruction", PointsConfig(geometry="plain_sweep"))
    with pytest.raises(UsageError, match="settings of plane_sweep: unknown field 'plains'"):
        point_sources.resolve("reconstruction", PointsConfig(settings={"plains": 3}))
    sensor = point_sources.resolve("sensor", PointsConfig(settings={"planes": 32}))
    assert sensor is not None and sensor.geometry == "sensor" and "planes" not in sensor.settings


@pytest.fixture
def planned(tiny, tmp_path):
    """A small ablation on the tiny miniature, planned with all that it needs made."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "miniature-tiny").symlink_to(tiny("kitti360").parent)
    (column,) = (column for column in SMOKE.columns if column.dataset == "kitti360")
    small = replace(column, train=replace(column.train, steps=2))
    rows = (
        Row(name="ema", method="ema"),
        Row(name="rewis3d", method="rewis3d"),
        Row(name="literal", method="rewis3d", title="Rewis3d, literally", config={"normalise": "none"}),
        Row(name="truth", method="rewis3d", title="True depth", points=replace(column.points, geometry="truth")),
    )
    suite = replace(SMOKE, name="small", columns=(small,), rows=rows)
    workplace = Workplace(results=tmp_path / "results", work=tmp_path)
    told = []
    runs = planning.plan(suite, workplace, on_progress=lambda *news: told.append(news[0]))
    planning.write_plan(suite, runs, planning.Filters(), workplace.results)
    return suite, workplace, runs, told


def test_rows_of_one_method_are_trained_apart_and_stand_in_the_table(planned):
    suite, workplace, runs, told = planned
    assert {name for name in told if name.startswith("points")} == {
        "points kitti360 plane_sweep", "points kitti360 truth",
    }  # fmt: skip
    folders = {run.cell.folder for run in runs}
    assert len(folders) == len(runs) == 4 and len({run.key for run in runs}) == 4
    torch.set_num_threads(1)
    for run in runs:
        record = execute(run, workplace.results, Runtime(device="cpu"), lambda *news: None, "wsss run")
        assert record.method["title"] == (run.row.title or run.method.title)
        assert ("points" in record.digests) == (run.method.geometry is not None)
    build_report(workplace.results / suite.name)
    table = (workplace.results / suite.name / "tables" / "main.md").read_text()
    assert "Rewis3d, literally" in table and "True depth" in table and "EMA" in table


def test_points_are_made_for_the_runs_that_are_meant_and_not_done(planned):
    suite, workplace, _, _ = planned
    told = []
    tell = lambda *news: told.append(news[0])  # noqa: E731
    planning.plan(suite, workplace, planning.Filters(method=("ema",)), tell)
    assert not any(name.startswith("points") for name in told)


def test_a_source_that_fails_is_an_obstacle_that_names_the_scene(planned):
    suite, workplace, _, _ = planned
    broken = PointsConfig(geometry="map_anything")
    rows = (Row(name="rewis3d", method="rewis3d", points=broken),)
    (run,) = planning.plan(replace(suite, rows=rows), workplace, on_progress=lambda *news: None)
    assert run.obstacle is not None and "of 2 scenes of kitti360 have no points of map_anything" in str(run.obstacle)
    with pytest.raises(type(run.obstacle), match="the first is"):
        planning.require(run)

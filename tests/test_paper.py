"""The paper's suite: its numbers are those of the facts that they come from, and it can be planned anywhere."""

import dataclasses

import pytest

from wsss.benchmark import discovery, paper, planning
from wsss.benchmark.networks.points import SIZES
from wsss.benchmark.options import Selection
from wsss.benchmark.spec import from_plain, to_plain
from wsss.benchmark.workplace import Workplace
from wsss.methods import ema, rewis3d, sasformer, tel

SUITE = paper.PAPER
ROWS = {row.name: row for row in SUITE.rows}


def difference(config):
    """The fields of a Config that are not its defaults."""
    usual = dataclasses.asdict(type(config)())
    return {name: value for name, value in dataclasses.asdict(config).items() if value != usual[name]}


@pytest.mark.parametrize(
    ("row", "preset"),
    [
        ("ema", ema.PAPER),
        ("rewis3d", rewis3d.PAPER),
        ("rewis3d_lidar", rewis3d.PAPER),
        ("tel", tel.PAPER),
        ("sasformer", sasformer.PAPER),
    ],
)
def test_rows_have_the_presets_of_their_papers(row, preset):
    config = discovery.method(ROWS[row].method).Config(**ROWS[row].config)
    assert difference(config) == pytest.approx(difference(preset))


def test_rows_without_a_preset_have_the_defaults():
    assert [row.name for row in SUITE.rows if not row.config] == ["partial", "gated_crf", "full"]


def test_steps_are_epochs_of_the_real_splits():
    assert {r.dataset: r.epochs * r.images / 12 for r in paper.RECIPES} == pytest.approx(
        {column.dataset: column.train.steps for column in SUITE.columns}, abs=1
    )


def test_every_train_sample_fits_the_recipe():
    """The pictures are never smaller than the crop once resized, so that no padding is learned from."""
    stored = {"waymo": (1280, 1920), "kitti360": (376, 1408), "nyuv2": (480, 640), "cityscapes": (1024, 2048)}
    for column in SUITE.columns:
        least = column.train.scale[0]
        assert column.evaluate.scale == least
        for side, crop in zip(stored[column.dataset], column.train.crop, strict=True):
            assert round(side * least) >= crop


def test_it_is_written_down_as_values_and_read_back():
    for column in SUITE.columns:
        assert from_plain(type(column.train), to_plain(column.train)) == column.train
        assert column.points.network.size in SIZES


def test_without_data_every_run_is_planned_and_says_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.delenv("WSSS_DATA", raising=False)
    runs = planning.plan(SUITE, Workplace(results=tmp_path, work=tmp_path), planning.filters(SUITE, Selection()))
    weak = sum(len(column.labels) for column in SUITE.columns)
    assert len(runs) == 3 * (weak * 7 + 4)
    possible = [run for run in runs if not run.cell.skip]
    assert {run.cell.dataset for run in runs if run.cell.skip} == {"cityscapes"}
    assert all("suite paper needs real data" in str(run.obstacle) for run in possible)

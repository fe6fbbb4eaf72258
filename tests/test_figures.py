"""Every figure of an invented suite, the same bytes each time; and what a run leaves for them."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from fake_results import write_suite
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy_clouds import Driven, driven

from wsss.benchmark import discovery, showcase
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.clouds import UPWARDS, assemble, from_depth
from wsss.benchmark.geometry.providers.sensor import Sensor
from wsss.benchmark.grid import Row
from wsss.benchmark.planning import Run
from wsss.benchmark.records import Cell
from wsss.benchmark.report import figures, gains, gallery, measured, pictures, qualitative
from wsss.benchmark.report.raised_view import Outlook, render
from wsss.benchmark.report.results import Results
from wsss.benchmark.report.sheet import legend_height
from wsss.benchmark.report.style import WIDTH, paper_style
from wsss.benchmark.report.style import render as files_of
from wsss.benchmark.spec import RunSpec, TrainConfig
from wsss.benchmark.suites import SMOKE
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import IGNORE
from wsss.benchmark.workplace import Workplace

SHAPE = (24, 40)
DPI = 200


@dataclass(frozen=True, kw_only=True)
class Walled:
    """The wall ahead in every pixel: at its true depth and sure of it, or, left of column 16, too far and unsure."""

    VERSION: ClassVar[int] = 1

    wrong: float = 1.2

    def points(self, dataset, scene):
        views = []
        for index, camera in enumerate(dataset.cameras(scene)):
            size = dataset.image(scene.frames[index]).shape[:2]
            depth, confidence = np.full(size, 12.0 - index), np.full(size, 9.0)
            depth[:, :16] *= self.wrong
            confidence[:, :16] = 1.0
            views.append(from_depth(index, depth, confidence, camera))
        return assemble(dataset, scene, views, up=UPWARDS, metric=True)


def invented_points(folder: Path, name: str, number: int = 300) -> None:
    """Points of no scene, in the files that a run leaves."""
    rng = np.random.default_rng(number)
    camera = np.eye(4, dtype=np.float32)
    camera[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    depth = np.where(rng.random(SHAPE) < 0.5, np.nan, rng.uniform(1, 30, SHAPE))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / f"{name}.npz",
        xyz=rng.normal((0, 9, 0), 2, (number, 3)).astype(np.float16),
        rgb=rng.integers(0, 255, (number, 3), dtype=np.uint8),
        label=rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), number),
        weak=np.full(number, IGNORE, np.uint8),
        confidence=rng.random(number).astype(np.float16),
        pixel=np.stack([rng.integers(-1, side, number) for side in SHAPE], 1).astype(np.int16),
        image=rng.integers(0, 255, (*SHAPE, 3), dtype=np.uint8),
        depth=depth.astype(np.float16),
        depth_confidence=np.where(np.isnan(depth), np.nan, 0.5).astype(np.float16),
        camera=camera,
        focal=np.float32(30),
    )
    (folder / f"{name}.json").write_text(json.dumps({"metric": True}))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = write_suite(tmp_path_factory.mktemp("figures") / "fake", seeds=(0,), datasets=("town",))
    for name in ("town-plane_sweep", "town-truth", "town-sensor"):
        invented_points(folder / "points", name)
    return Results(folder)


@pytest.fixture(scope="module")
def drawn(results: Results) -> dict[str, dict[str, bytes]]:
    return {figure.name: figure.files for figure in figures.all_figures(results)}


def width_of(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    with Image.open(path) as picture:
        return picture.width


def test_every_figure_is_there_as_pdf_and_png(drawn: dict[str, dict[str, bytes]]) -> None:
    single = {"summary", "gains", "qualitative", "errors", "boundary", "ranges", "reliability", "gallery"}
    several = {"qualitative-town", "curves-town", "per_class-town-scribbles", "per_class-town-points"}
    assert set(drawn) == single | several
    for files in drawn.values():
        assert files["pdf"].startswith(b"%PDF") and files["png"].startswith(b"\x89PNG")
        assert b"CreationDate" not in files["pdf"]


def test_figures_are_as_wide_as_the_page(drawn: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    for name in ("gains", "qualitative", "errors", "qualitative-town", "gallery", "per_class-town-points"):
        assert width_of(tmp_path / "a.png", drawn[name]["png"]) == WIDTH * DPI, name


def test_figures_are_the_same_each_time(results: Results, drawn: dict[str, dict[str, bytes]]) -> None:
    again = Results(results.folder)
    with paper_style():
        for name, draw in {"gains": gains.gains, "errors": qualitative.mistakes, "gallery": gallery.gallery}.items():
            figure = draw(again)
            assert figure is not None and files_of(figure) == drawn[name], name


def test_what_is_not_stored_is_not_drawn(tmp_path: Path) -> None:
    bare = Results(write_suite(tmp_path / "bare", seeds=(0,), samples=False, measured=False))
    for draw in (qualitative.comparison, qualitative.mistakes, gallery.gallery):
        assert draw(bare) is None
    for draw in (measured.boundaries, measured.ranges, measured.reliability):
        assert draw(bare) is None


def test_damaged_points_are_named(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "damaged", seeds=(0,), samples=False)
    invented_points(folder / "points", "town-truth")
    path = folder / "points" / "town-truth.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BenchmarkError, match=r"town-truth\.npz: cannot be read"):
        gallery.read(Results(folder), "town")


@given(st.integers(20, 400), st.integers(20, 400), st.floats(0, 1), st.floats(0, 1))
def test_inset_lies_in_the_picture_and_covers_nothing_that_it_shows(
    height: int, width: int, down: float, across: float
) -> None:
    rows, columns = max(1, height // pictures.ZOOM), max(1, width // pictures.ZOOM)
    row, column = round(down * (height - rows)), round(across * (width - columns))
    left, bottom = qualitative.inset_corner((height, width), (row, column, rows, columns))
    right, top = left + qualitative.INSET, bottom + qualitative.INSET
    assert left > 0 and bottom > 0 and right < 1 and top < 1
    beside = left >= (column + columns) / width or right <= column / width
    above_or_below = 1 - top >= (row + rows) / height or 1 - bottom <= row / height
    assert beside or above_or_below


def test_errors_are_right_wrong_or_ignored() -> None:
    truth = np.array([[0, 1, IGNORE], [2, 2, IGNORE]], np.uint8)
    prediction = np.array([[0, 2, 0], [2, 0, IGNORE]], np.uint8)
    right, wrong, ignored = pictures.RIGHT, pictures.WRONG, pictures.IGNORED
    assert pictures.errors(prediction, truth).tolist() == [[right, wrong, ignored], [right, wrong, ignored]]
    assert pictures.accuracy(prediction, truth) == 0.5
    assert np.isnan(pictures.accuracy(prediction, np.full_like(truth, IGNORE)))


def test_visible_classes_fill_a_share_of_some_picture() -> None:
    ids = np.zeros((100, 100), np.uint8)
    ids[0, :10] = 3  # 0.1 %
    ids[1, :30] = 1
    ids[2:4] = IGNORE
    assert pictures.visible([ids], 5) == [0, 1]
    assert pictures.visible([ids, np.full((10, 10), 4, np.uint8)], 5) == [0, 1, 4]


def test_large_pictures_are_drawn_coarser() -> None:
    picture = np.arange(3 * 2 * 1700, dtype=np.uint32).astype(np.uint8).reshape(2, 1700, 3)
    assert pictures.reduced(picture).shape == (1, 567, 3)
    assert pictures.reduced(picture[:, :800]).shape == (2, 800, 3)


def test_legend_takes_the_lines_that_it_needs() -> None:
    assert legend_height(["road"]) < legend_height(["a class with a long name"] * 8)


def test_nearer_points_hide_farther_ones() -> None:
    xyz = np.array([[0, 5, 0], [0, 10, 0], [2, 10, 0], [0, -50, 0]], np.float64)
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    ahead = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)
    outlook = Outlook(eye=np.zeros(3), rotation=ahead, reach=1.0, window=(0.0, 0.0, 1.0, 1.0))
    picture = render(xyz, colors, outlook, (100, 100))
    assert picture[50, 50].tolist() == [255, 0, 0]
    assert picture[50, 60].tolist() == [0, 0, 255]
    assert {tuple(color) for color in picture.reshape(-1, 3).tolist()} == {(255, 255, 255), (255, 0, 0), (0, 0, 255)}


def learning(dataset: Driven, clouds: Clouds | None, folder: Path) -> Run:
    """A run on a toy's points."""
    cell = Cell(dataset="driven", labels="scribbles", method="rewis3d", seed=0, folder=None)
    return Run(
        cell=cell,
        suite=SMOKE,
        column=SMOKE.columns[0],
        row=Row(name="rewis3d", method="rewis3d"),
        method=discovery.method("rewis3d"),
        dataset=dataset,
        supervision=Supervision(dataset, "scribbles", 0, folder / "labels"),
        clouds=clouds,
    )


def clouds_of(dataset: Driven, geometry, folder: Path) -> Clouds:
    clouds = Clouds(dataset, geometry, folder / "points")
    clouds.prepare(dataset.scenes("train"))
    return clouds


def test_a_run_leaves_points_and_their_quality(tmp_path: Path) -> None:
    dataset = driven(tmp_path)
    run = learning(dataset, clouds_of(dataset, Walled(), tmp_path), tmp_path)
    path = showcase.write(run, tmp_path / "results")
    assert path is not None and path.parent == tmp_path / "results" / "smoke" / "points"
    assert path.stat().st_size < 400_000
    facts = json.loads(path.with_suffix(".json").read_text())
    assert (facts["dataset"], facts["settings"], facts["metric"]) == (dataset.name, {"wrong": 1.2}, True)
    assert (facts["scenes"], facts["frames"], facts["coverage"]) == (2, 2, 1.0)
    assert facts["against"] == "sensor" and facts["auroc"] == 1.0
    assert facts["abs_rel"] == pytest.approx(0.2 * (1 - facts["within_5"]))
    assert 0.5 < facts["within_5"] < 0.9
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    assert len(arrays["xyz"]) == facts["points"] <= 20_000
    own = (arrays["pixel"] >= 0).all(1)
    image = arrays["image"][tuple(arrays["pixel"][own].T)]
    assert np.array_equal(image, arrays["rgb"][own])
    # The camera looks along +x from 1.5 m above the origin: its points lie in front of it at their depth.
    away = (arrays["xyz"][own].astype(float) - arrays["camera"][:3, 3]) @ arrays["camera"][:3, :3].astype(float)
    depth = arrays["depth"][tuple(arrays["pixel"][own].T)].astype(float)
    assert np.allclose(away[:, 2], depth, atol=0.02)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert showcase.write(run, tmp_path / "results") == path
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    again = showcase.write(run, tmp_path / "elsewhere")
    assert again is not None and again.read_bytes() == before[0]


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_what_finished_runs_left_is_made_again_where_it_is_gone(tmp_path: Path, suffix: str) -> None:
    dataset = driven(tmp_path)
    clouds = clouds_of(dataset, Walled(), tmp_path)
    train = TrainConfig(steps=1, crop=(32, 32))
    run = replace(
        learning(dataset, clouds, tmp_path),
        spec=RunSpec(dataset=dataset.name, data="real", labels="full", method="rewis3d", seed=0, train=train),
    )
    place = Workplace(results=tmp_path / "results", work=tmp_path)
    told = []
    showcase.complete([run], place, lambda *news: told.append(news))
    made = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")}
    assert {path.suffix for path in made} == {".npz", ".json", ".png"}
    next(path for path in made if path.suffix == suffix).unlink()
    next(path for path in made if path.name == "truth.png").unlink()
    showcase.complete([run], place, lambda *news: told.append(news))
    assert {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")} == made
    before = len(told)
    showcase.complete([run], place, lambda *news: told.append(news))
    assert before == len(told) > 0


def test_sources_with_other_settings_have_other_names(tmp_path: Path) -> None:
    dataset = driven(tmp_path)
    plain = showcase.source_name(Clouds(dataset, Sensor(), tmp_path))
    other = showcase.source_name(Clouds(dataset, Sensor(neighbours=1), tmp_path))
    assert plain == "sensor" and other.startswith("sensor-") and len(other) == len("sensor-") + 8


def test_a_sensor_is_not_measured_against_itself(tmp_path: Path) -> None:
    dataset = driven(tmp_path)
    path = showcase.write(learning(dataset, clouds_of(dataset, Sensor(), tmp_path), tmp_path), tmp_path / "results")
    assert path is not None and path.name.endswith("-sensor.npz")
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["against"] is None and facts["within_5"] is None and facts["auroc"] is None
    assert 0 < facts["coverage"] < 1


def test_a_run_without_points_leaves_nothing(tmp_path: Path) -> None:
    assert showcase.write(learning(driven(tmp_path), None, tmp_path), tmp_path / "results") is None
    assert not (tmp_path / "results").exists()

"""What a plan says beside its runs: what is missing on this disk, and the time that they will take."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from toy import NETWORK, TRANSFORMER

from wsss.benchmark import UsageError, estimate, missing, operations, paper, planning
from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.networks import image_network, point_network, presence
from wsss.benchmark.options import Selection
from wsss.benchmark.spec import PointNetworkConfig
from wsss.benchmark.suites import QUICK
from wsss.benchmark.workplace import Workplace

COMMITTED = Path(__file__).parents[1] / "results"


@pytest.mark.parametrize(("size", "points"), [("tiny", 1500), ("tiny", 50), ("small", 300)])
def test_operations_of_points_are_those_that_a_real_pass_makes(size, points):
    config = PointNetworkConfig(size=size, voxel=0.3)
    network = point_network(config, operations.CLASSES, 0).eval()
    xyz = torch.rand(points, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([15.0, 15.0, 3.0])
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(xyz, torch.zeros(points, 3), torch.zeros(points, dtype=torch.long))
    assert operations.cloud_flops(config, xyz) == counter.get_total_flops()


def test_operations_of_images_are_those_that_a_real_pass_makes():
    network = image_network(NETWORK, operations.CLASSES, 0).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 64, 96))
    assert operations.image_flops(NETWORK, (64, 96)) == counter.get_total_flops() > 0


def test_the_invented_points_are_as_many_as_a_sample_has_and_lie_in_its_box():
    sampling = Sampling(budget=5000, box=(15.0, 20.0, 10.0))
    cloud = operations.corridor(sampling)
    assert cloud.shape == (5000, 3) and bool((cloud.abs() <= torch.tensor(sampling.box) + 1e-3).all())
    assert float(cloud[:, 2].min()) == pytest.approx(-1.6, abs=0.01)


def small_paper():
    """The paper's grid with networks that are counted in no time, planned without data."""
    suite = paper.PAPER
    columns = tuple(
        replace(
            column,
            network=TRANSFORMER,
            points=replace(column.points, sampling=Sampling(budget=2000), network=PointNetworkConfig(voxel=0.3)),
        )
        for column in suite.columns[:1]
    )
    return replace(suite, columns=columns)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Runs of that grid by row, and where they would be."""
    monkeypatch.delenv("WSSS_DATA", raising=False)
    suite = small_paper()
    runs = planning.plan(suite, Workplace(results=tmp_path, work=tmp_path), planning.filters(suite, Selection()))
    return {run.row.name: run for run in runs}, tmp_path


def test_a_step_is_made_of_the_networks_that_a_method_holds(planned):
    runs, _ = planned
    column = runs["partial"].column
    image = operations.image_flops(column.network, column.train.crop)
    points = operations.point_flops(column.points.network, column.points.sampling)
    step = {name: operations.step_flops(run) / column.train.batch for name, run in runs.items()}
    assert step["partial"] == step["full"] == step["tel"] == 3 * image
    assert step["ema"] == 4 * image
    assert step["rewis3d"] == step["rewis3d_lidar"] == 4 * image + 4 * points


def test_hours_are_operations_over_the_speed_that_was_named(planned):
    runs, place = planned
    (cost,) = estimate.costs([runs["ema"]], place, [], tflops=50)
    assert cost.source == "counted" and cost.flops == operations.step_flops(runs["ema"])
    assert cost.seconds == pytest.approx(cost.steps * operations.step_flops(runs["ema"]) / 50e12)
    with pytest.raises(UsageError, match="--tflops must be positive"):
        estimate.costs([], place, [], tflops=0)


def record(place, run, seed, steps, seconds, device):
    """A finished run of the same shape as far as an estimate reads it."""
    train = {"steps": steps, "crop": list(run.column.train.crop), "batch": 12, "precision": "bf16-mixed"}
    spec = {
        "dataset": "waymo", "data": "real", "train": train, "points": None,
        "network": {"architecture": "Segformer", "encoder": "mit_b0", "weights": "none", "channels": 16},
    }  # fmt: skip
    content = {
        "schema": 1, "protocol": 1, "spec": spec, "seconds": {"train": seconds, "evaluate": 5.0},
        "provenance": {"device": device},
    }  # fmt: skip
    folder = place / "paper" / "runs" / "waymo" / "scribbles" / run.row.name / f"{seed}-0000000{seed}"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(content))
    return folder / "run.json"


def test_finished_runs_of_the_same_shape_speak_before_any_counting(planned):
    runs, place = planned
    run = runs["ema"]
    for seed, seconds in enumerate((20.0, 40.0)):
        record(place, run, seed, 10, seconds, "a gpu")
    record(place, run, 2, 10, 9000.0, "cpu")
    cost, other = estimate.costs([run, runs["partial"]], place, [place], tflops=100)
    assert cost.source == "2 runs on a gpu" and cost.flops is None and other.source == "counted"
    assert cost.seconds == pytest.approx(3.0 * cost.steps + 5.0)


def test_a_damaged_record_is_named(planned):
    runs, place = planned
    path = record(place, runs["ema"], 0, 10, 1.0, "cpu")
    path.write_text("{")
    with pytest.raises(Exception, match=r"run\.json: cannot be read .* delete .* and rerun"):
        estimate.costs([runs["ema"]], place, [place], tflops=100)


def test_miniature_suites_cost_what_committed_runs_took_and_else_nobody_knows(tmp_path):
    runs = planning.plan(QUICK, Workplace(results=tmp_path, work=tmp_path), planning.filters(QUICK, Selection()))
    known = {(c.dataset, c.row): c for c in estimate.costs(runs, tmp_path, [COMMITTED], 100)}
    cost = known["cityscapes", "partial"]
    assert cost.source == f"{len(list(COMMITTED.glob('*/runs/cityscapes/*/partial/*/run.json')))} runs on cpu"
    assert cost.seconds is not None and 1 < cost.seconds < 10_000
    assert {c.source for c in estimate.costs(runs, tmp_path, [], 100)} == {"unknown"}
    assert ("cityscapes", "rewis3d_lidar") not in known, "what cannot exist costs nothing"


def test_what_is_missing_is_told_once_each(planned, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    runs, _ = planned
    told = missing.missing([*runs.values(), *runs.values()])
    assert len(told) == len(set(told))
    assert "suite paper needs real data: name the folder that holds waymo/" in told[0]
    assert any("facebook/map-anything-v1" in sentence for sentence in told)
    assert not any("facebook" in sentence for sentence in missing.missing([runs["rewis3d_lidar"], runs["ema"]]))


def test_missing_weights_are_told_and_not_fetched(tmp_path):
    assert presence.missing(NETWORK) is None
    assert "no such file" in str(presence.missing(replace(NETWORK, weights=str(tmp_path / "x.pth"))))
    (tmp_path / "x.pth").write_bytes(b"")
    assert presence.missing(replace(NETWORK, weights=str(tmp_path / "x.pth"))) is None


def test_sensor_and_poses_are_looked_for_where_the_data_is(tiny, tmp_path):
    suite = replace(QUICK, size="tiny", columns=QUICK.columns[1:2])
    work = tmp_path / "data" / "miniature-tiny"
    work.mkdir(parents=True)
    (work / "kitti360").symlink_to(tiny("kitti360"))
    runs = planning.plan(suite, Workplace(results=tmp_path, work=tmp_path), planning.filters(suite, Selection()))
    assert {run.cell.dataset for run in runs} == {"kitti360"} and missing.missing(runs) == []

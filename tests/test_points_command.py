"""`wsss points` as a user types it: clouds are made once, measured and drawn; a failed scene is told and not hidden."""

import json
import os
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from wsss.benchmark import discovery, locks
from wsss.benchmark.cli import main
from wsss.benchmark.geometry import quality
from wsss.benchmark.geometry.poses import placed
from wsss.benchmark.geometry.providers import load
from wsss.benchmark.geometry.true_depth import read_truth
from wsss.benchmark.workplace import Workplace


@pytest.fixture
def wsss(tmp_path, monkeypatch, capsys, tiny):
    """Run a command over the tiny miniature of KITTI-360; returns (exit code, what was printed)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kitti360").symlink_to(tiny("kitti360"))

    def run(*arguments):
        with pytest.raises(SystemExit) as leaving:
            main(["points", *arguments, "--data-root", str(tmp_path / "data"), "--jobs", "1"])
        printed = capsys.readouterr()
        return leaving.value.code, printed.out + printed.err

    return run


def test_points_are_made_once_measured_and_drawn(wsss, tmp_path, tiny):
    scene = discovery.dataset("kitti360")(tiny("kitti360")).scenes("train")[0]
    code, text = wsss("kitti360", "--geometry", "sensor", "--scene", scene.id, "--show")
    assert code == 0 and "labelled frames have points" in text and "with a weak label" in text
    assert "of true depth" in text
    (manifest,) = (tmp_path / "build/points").rglob("manifest.json")
    made = manifest.stat().st_mtime_ns
    assert json.loads(manifest.read_text())["points"] > 1000
    shown = {path.suffix: path for path in (tmp_path / "build/shown").iterdir()}
    assert shown[".png"].stat().st_size > 50_000 and shown[".ply"].stat().st_size > 50_000
    assert wsss("kitti360", "--geometry", "sensor", "--scene", scene.id)[0] == 0
    assert manifest.stat().st_mtime_ns == made


def test_a_command_that_makes_the_same_is_waited_for(wsss, tiny, monkeypatch):
    scene = discovery.dataset("kitti360")(tiny("kitti360")).scenes("train")[0]
    other = ExitStack()
    other.enter_context(Workplace().making("real", ["kitti360"], lambda name, owner: None))
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: other.close())  # it ends while we wait
    code, text = wsss("kitti360", "--geometry", "sensor", "--scene", scene.id)
    said = " ".join(text.split())
    assert code == 0 and f"waiting for pid {os.getpid()}" in said
    assert "which is at data, labels or points of kitti360" in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("kitti36", "--geometry", "sensor"), 2, "did you mean 'kitti360'"),
        (("kitti360", "--geometry", "sensors"), 2, "did you mean 'sensor'"),
        (("kitti360", "--geometry", "sensor", "--scene", "nowhere"), 2, "unknown scene 'nowhere'"),
    ],
)
def test_a_mistake_is_one_sentence(wsss, arguments, code, message):
    got, text = wsss(*arguments)
    assert got == code and message in text.replace("\n", " ") and "Traceback" not in text


def test_a_scene_that_fails_is_told_and_the_command_fails(wsss, tmp_path):
    code, text = wsss("kitti360", "--geometry", "map_anything")  # the package is not there, or its weights are not
    assert code == 1 and "FAILED" in text and "install" in text.lower()
    assert list((tmp_path / "build/points").rglob("failure.json"))


def test_quality_of_exact_points_is_perfect_and_of_moved_ones_is_not(tiny):
    dataset = discovery.dataset("kitti360")(tiny("kitti360"))
    scene, truth = dataset.scenes("train")[0], lambda frame: read_truth(dataset.root, frame.id)
    cloud, placement = load("truth")().points(dataset, scene), placed(dataset, scene)
    exact = quality.measure(dataset, scene, cloud, None, placement, truth)
    assert exact.right == 1 and exact.absrel is not None and exact.absrel < 1e-3
    assert exact.covered == exact.frames and exact.density > 0.5
    farther = cloud.xyz.copy()
    for index, camera in enumerate(placement.cameras):  # along the lines of sight, so that every point keeps its pixel
        if camera is not None and camera.world_from_camera is not None:
            own, eye = cloud.view(index), (camera.world_from_camera[:3, 3] - cloud.origin).astype(np.float32)
            farther[own] = eye + np.float32(1.3) * (farther[own] - eye)
    worse = quality.measure(dataset, scene, replace(cloud, xyz=farther), None, placement, truth)
    assert worse.right is not None and worse.right < 0.5
    assert worse.absrel is not None and worse.absrel > 0.05
    elsewhere = quality.measure(dataset, scene, replace(cloud, xyz=cloud.xyz[:, [1, 2, 0]]), None, placement, truth)
    assert elsewhere.right is None and elsewhere.absrel is None and elsewhere.density == exact.density
    both = quality.total([exact, worse])
    assert both.frames == 2 * exact.frames and len(both.error) == len(exact.error) + len(worse.error)

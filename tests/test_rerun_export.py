"""Recordings of rerun, read back by rerun: every point, camera and picture stands where our conventions put it."""

import dataclasses
import importlib
import json
import sys
from collections import defaultdict

import cv2
import numpy as np
import pytest
from toy import spec
from toy_clouds import Scattered, driven

from wsss.benchmark import discovery
from wsss.benchmark.cli import main
from wsss.benchmark.errors import BenchmarkError, UsageError
from wsss.benchmark.geometry import rerun_scene
from wsss.benchmark.geometry.clouds import UPWARDS, assemble, from_depth
from wsss.benchmark.geometry.poses import placed
from wsss.benchmark.geometry.providers import load
from wsss.benchmark.geometry.rerun_export import read_predictions, write_rrd
from wsss.benchmark.geometry.rerun_scene import Content
from wsss.benchmark.records import Record, RunFolder
from wsss.benchmark.types import IGNORE

chunks = pytest.importorskip("rerun.chunk", reason="the package rerun-sdk is not installed")
CAMERA = "/world/camera/camera"
DISTORTION = np.array([-0.3, 0.1, 0.002, -0.001, 0.0])


def read(path):
    """By entity and component: the values by frame, or under None what is static; a cleared layer is None."""
    reader = chunks.RrdReader(path)
    (recording,) = reader.recordings()
    assert len(reader.blueprints()) == 1
    found = defaultdict(lambda: defaultdict(dict))
    for chunk in reader.stream(store=recording):
        batch = chunk.to_record_batch()
        frames = [None] * batch.num_rows if chunk.is_static else batch.column("frame").to_pylist()
        for name in batch.schema.names:
            if ":" in name:
                found[chunk.entity_path][name] |= dict(zip(frames, batch.column(name).to_pylist(), strict=True))
    return found


def points(found, path):
    """Positions of an entity's points."""
    return np.array(found[path]["Points3D:positions"][None], np.float64).reshape(-1, 3)


def pose(found, index):
    """world_from_camera of a frame, relative to the cloud's origin, and its intrinsics as we write them."""
    own = found[CAMERA]
    result = np.eye(4)
    result[:3, :3] = np.array(own["Transform3D:mat3x3"][index][0]).reshape(3, 3).T  # column by column
    result[:3, 3] = own["Transform3D:translation"][index][0]
    matrix = np.array(own["Pinhole:image_from_camera"][index][0]).reshape(3, 3).T
    matrix[:2, 2] -= 0.5
    return result, matrix


def pixels(found, xyz, index):
    """(row, column) at which a frame's camera shows points."""
    world_from_camera, matrix = pose(found, index)
    local = (xyz - world_from_camera[:3, 3]) @ world_from_camera[:3, :3]
    assert (local[:, 2] > 0).all()
    shown = local @ matrix.T
    return (shown[:, :2] / shown[:, 2:])[:, ::-1]


def ids(found, layer, index):
    """A picture of train ids."""
    own = found[f"{CAMERA}/{layer}"]
    shape = own["SegmentationImage:format"][index][0]
    return np.array(own["SegmentationImage:buffer"][index][0], np.uint8).reshape(shape["height"], shape["width"])


@pytest.fixture
def scene(tiny):
    """A scene of KITTI-360's miniature with its true points, and all that goes into a recording of it."""
    dataset = discovery.dataset("kitti360")(tiny("kitti360"))
    one = dataset.scenes("train")[0]
    cloud = load("truth")().points(dataset, one)
    frames = tuple(range(len(one.frames)))
    labels = np.full(len(cloud.xyz), IGNORE, np.uint8)
    labels[::7] = 2
    return Content(
        dataset=dataset, scene=one, geometry="truth", cloud=cloud, placement=placed(dataset, one), frames=frames,
        labels=labels, sensor=load("sensor")().points(dataset, one),
    )  # fmt: skip


def test_points_cameras_and_pictures_stand_where_the_scene_has_them(tmp_path, scene):
    write_rrd(tmp_path / "scene.rrd", scene)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.rrd"]
    found, cloud = read(tmp_path / "scene.rrd"), scene.cloud
    assert np.array_equal(points(found, "/world/points/picture").astype(np.float32), cloud.xyz)
    assert len(points(found, "/world/points/confidence")) == len(cloud.xyz)
    colors = np.array(found["/world/points/picture"]["Points3D:colors"][None], np.uint32)
    assert np.array_equal(np.stack([colors >> 24, colors >> 16 & 255, colors >> 8 & 255], -1), cloud.rgb)
    weak = points(found, "/world/points/weak")
    assert np.array_equal(weak.astype(np.float32), cloud.xyz[::7])
    assert set(found["/world/points/weak"]["Points3D:class_ids"][None]) == {2}
    sensor = scene.sensor
    assert np.allclose(points(found, "/world/sensor") + cloud.origin, sensor.xyz + sensor.origin, atol=1e-2)

    # A camera that was read back shows every point of its frame at the pixel that the point comes from.
    seen = [index for index in scene.frames if cloud.view(index).stop > cloud.view(index).start]
    assert seen
    for index in seen:
        rows = cloud.view(index)
        shown = pixels(found, cloud.xyz[rows].astype(np.float64), index)
        assert np.abs(shown - cloud.pixel[rows]).max() < 0.02
        image = scene.dataset.image(scene.scene.frames[index])
        blob = np.array(found[f"{CAMERA}/picture"]["EncodedImage:blob"][index][0], np.uint8)
        decoded = cv2.imdecode(blob, cv2.IMREAD_COLOR)
        assert decoded is not None
        apart = [np.abs(picture.astype(int) - image).mean() for picture in (decoded[..., ::-1], decoded)]
        assert apart[0] < 8 and apart[0] < apart[1]  # a JPEG, and not with red for blue
        assert found[CAMERA]["Pinhole:resolution"][index][0] == [image.shape[1], image.shape[0]]
        own = found[f"{CAMERA}/depth"]
        depth = np.array(own["DepthImage:buffer"][index][0], np.uint8).view(np.float32).reshape(image.shape[:2])
        world_from_camera, _ = pose(found, index)
        along = (cloud.xyz[rows] - world_from_camera[:3, 3]) @ world_from_camera[:3, 2]
        assert np.allclose(depth[tuple(cloud.pixel[rows].T)], along, atol=1e-3)
        assert own["DepthImage:meter"][index] == [1.0]


def test_axes_are_opencvs_and_up_is_up(tmp_path, scene):
    leaning = np.array([0.6, 0.0, 0.8])
    write_rrd(tmp_path / "scene.rrd", dataclasses.replace(scene, cloud=dataclasses.replace(scene.cloud, up=leaning)))
    found = read(tmp_path / "scene.rrd")
    turn = np.array(found["/world"]["Transform3D:mat3x3"][None][0]).reshape(3, 3).T
    assert np.allclose(turn @ leaning, [0, 0, 1], atol=1e-6) and np.isclose(np.linalg.det(turn), 1)
    # rerun's own codes: up 1, down 2, right 3, left 4, forward 5, back 6.
    assert found["/"]["ViewCoordinates:xyz"][None] == [[3, 5, 1]]
    assert set(map(str, found[CAMERA]["Pinhole:camera_xyz"].values())) == {"[[3, 2, 5]]"}
    (classes,) = found["/"]["AnnotationContext:context"][None]
    named = [one["class_description"]["info"]["label"] for one in classes]
    assert named == [*scene.dataset.classes.names, "unlabelled"]


def test_a_lens_is_straightened_in_pictures_and_ids_alike(tmp_path):
    dataset = driven(tmp_path)
    one = dataset.scenes("train")[0]
    (camera, *_), image = dataset.cameras(one), dataset.image(one.frames[0])
    bent = dataclasses.replace(camera, distortion=DISTORTION)
    row, column = np.mgrid[: image.shape[0], : image.shape[1]]
    blocks = (row // 12 * 6 + column // 12).astype(np.uint8)  # which block a pixel lies in
    flat = np.full(blocks.shape, 5.0)
    cloud = assemble(dataset, one, [from_depth(0, flat, np.ones_like(flat), bent)], up=UPWARDS, metric=True)
    placement = dataclasses.replace(placed(dataset, one), cameras=(bent, *dataset.cameras(one)[1:]))
    content = Content(
        dataset=dataset, scene=one, geometry="toy", cloud=cloud, placement=placement, frames=(0,),
        predictions={one.frames[0].id: blocks},
    )  # fmt: skip
    write_rrd(tmp_path / "bent.rrd", content)
    found = read(tmp_path / "bent.rrd")
    straight = ids(found, "prediction", 0)
    shown = np.round(pixels(found, cloud.xyz.astype(np.float64), 0)).astype(int)
    inside = ((shown >= 0) & (shown < blocks.shape)).all(1)
    meant, there = blocks[tuple(cloud.pixel[inside].T)], tuple(shown[inside].T)
    wrong = (straight[there] != meant).mean()
    # What is left is rounded over a block's edge; with the picture as it was stored it would be far more.
    assert inside.mean() > 0.5 and wrong < 0.08 and wrong < 0.6 * (blocks[there] != meant).mean()


def test_what_a_frame_lacks_does_not_stay_from_the_one_before(tmp_path):
    dataset = driven(tmp_path)
    one = dataset.scenes("train")[0]  # its last frame has no label
    cameras = dataset.cameras(one)
    placement = dataclasses.replace(
        placed(dataset, one), cameras=(cameras[0], dataclasses.replace(cameras[1], world_from_camera=None), cameras[2])
    )
    cloud = assemble(
        dataset, one, [from_depth(0, np.full((48, 64), 5.0), np.ones((48, 64)), cameras[0])], up=UPWARDS, metric=False
    )
    weak = np.full((48, 64), IGNORE, np.uint8)
    content = Content(
        dataset=dataset, scene=one, geometry="toy", cloud=cloud, placement=placement, frames=(0, 1, 2),
        weak=lambda frame: weak, predictions={one.frames[0].id: weak},
    )  # fmt: skip
    write_rrd(tmp_path / "scene.rrd", content)
    found = read(tmp_path / "scene.rrd")
    assert sorted(found[CAMERA]["Pinhole:resolution"]) == [0, 2]
    assert found[CAMERA]["Clear:is_recursive"] == {1: [True]}
    for layer in ("depth", "weak", "prediction", "truth"):
        assert found[f"{CAMERA}/{layer}"]["Clear:is_recursive"] == {2: [False]}, layer
    (way,) = found["/world/path/camera"]["LineStrips3D:strips"][None]
    assert np.allclose(np.array(way) + cloud.origin, [[0, 0, 1.5], [2, 0, 1.5]])
    (text,) = found["/about"]["TextDocument:text"][None]
    assert "2 of 3 pictures" in text and "unknown scale" in text and "predictions of 1" in text


def test_cameras_that_do_not_fit_to_the_points_are_left_out(tmp_path):
    dataset = driven(tmp_path)
    one = dataset.scenes("train")[0]
    cloud = Scattered().points(dataset, one)  # its points lie anywhere but at their pixels
    content = Content(
        dataset=dataset, scene=one, geometry="toy", cloud=cloud, placement=placed(dataset, one), frames=(0, 1, 2)
    )
    write_rrd(tmp_path / "scene.rrd", content)
    found = read(tmp_path / "scene.rrd")
    assert "Pinhole:resolution" not in found[CAMERA] and len(points(found, "/world/points/picture")) == len(cloud.xyz)
    assert "0 of 3 pictures" in found["/about"]["TextDocument:text"][None][0]


def test_a_large_cloud_is_thinned_evenly_and_says_so(tmp_path, scene, monkeypatch):
    monkeypatch.setattr(rerun_scene, "MOST", 500)
    write_rrd(tmp_path / "scene.rrd", dataclasses.replace(scene, frames=()))
    found = read(tmp_path / "scene.rrd")
    assert len(points(found, "/world/points/picture")) == 500 and len(points(found, "/world/sensor")) <= 500
    assert f"500 of {len(scene.cloud.xyz):,} points" in found["/about"]["TextDocument:text"][None][0]


def finished(folder, dataset, predictions):
    """A finished run's folder with these samples."""
    run = RunFolder(folder)
    for name, picture in predictions.items():
        (run.samples).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(run.samples / f"{name}.png"), picture)
    record = Record(
        spec=spec(dataset=dataset), fingerprint="0" * 8, suite="smoke", method={}, dataset={}, labels={}, digests={},
        scores={}, parameters=0, seconds={}, peak_memory_mb=0.0, provenance={}, command="", started="",
    )  # fmt: skip
    run.finish(record)
    return folder


@pytest.fixture
def wsss(tmp_path, monkeypatch, capsys, tiny):
    """Run `wsss points` over the tiny miniature of KITTI-360; returns (exit code, what was printed)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kitti360").symlink_to(tiny("kitti360"))

    def run(*arguments):
        with pytest.raises(SystemExit) as leaving:
            main(["points", "kitti360", "--geometry", "sensor", *arguments, "--data-root", "data", "--jobs", "1"])
        printed = capsys.readouterr()
        return leaving.value.code, " ".join((printed.out + printed.err).split())

    return run


def test_the_verb_shows_a_runs_predictions_in_the_scenes_that_have_some(wsss, tmp_path, tiny):
    dataset = discovery.dataset("kitti360")(tiny("kitti360"))
    one = dataset.scenes("val")[-1]
    index = next(place for place, frame in enumerate(one.frames) if frame.labelled)
    size = dataset.image(one.frames[index]).shape[:2]
    run = finished(tmp_path / "run", "kitti360", {one.frames[index].id: np.full(size, 3, np.uint8)})
    code, text = wsss("--rrd", "--predictions", str(run), "--split", "val")
    assert code == 0 and "rerun build/shown/points-kitti360-sensor" in text
    (written,) = (tmp_path / "build/shown").iterdir()
    assert one.id in written.name
    assert (ids(read(written), "prediction", index) == 3).all()

    code, text = wsss("--rrd", "--predictions", str(run))  # of the training split
    assert code == 2 and "choose another --split or --scene" in text and "Traceback" not in text
    code, text = wsss("--predictions", str(run))
    assert code == 2 and "name --rrd too" in text


def test_predictions_of_anything_but_a_finished_run_of_the_dataset_are_refused(tmp_path, tiny):
    dataset = discovery.dataset("kitti360")(tiny("kitti360"))
    with pytest.raises(UsageError, match=r"no run\.json"):
        read_predictions(tmp_path, dataset)
    with pytest.raises(UsageError, match="a run on waymo, not on kitti360"):
        read_predictions(finished(tmp_path / "other", "waymo", {}), dataset)
    damaged = finished(tmp_path / "damaged", "kitti360", {"frame": np.zeros((4, 4), np.uint8)})
    (damaged / "samples" / "frame.png").write_bytes(b"\x89PNG")
    with pytest.raises(BenchmarkError, match=r"frame\.png: not an 8-bit picture"):
        read_predictions(damaged, dataset)
    assert json.loads((damaged / "run.json").read_text())["spec"]["dataset"] == "kitti360"


def test_without_the_package_one_sentence_names_the_extra_before_anything_is_made(wsss, tmp_path, monkeypatch):
    real = importlib.import_module
    monkeypatch.delitem(sys.modules, "rerun")

    def absent(name, package=None):
        if name == "rerun":
            raise ModuleNotFoundError("No module named 'rerun'")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    code, text = wsss("--rrd")
    assert code == 2 and "pip install 'wsss-benchmark[rerun]'" in text and "Traceback" not in text
    assert not (tmp_path / "build").exists()

"""Clouds are made once, found again, rebuilt when damaged, and never missing in silence."""

import json
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from toy_clouds import Driven, Scattered, driven, wall

from wsss.benchmark import IGNORE
from wsss.benchmark.errors import BenchmarkError, DatasetError, Unsupported
from wsss.benchmark.geometry import poses, stored
from wsss.benchmark.geometry.cache import Clouds, Failure
from wsss.benchmark.geometry.clouds import assemble, empty
from wsss.benchmark.geometry.index import BLOCK, Index, order
from wsss.benchmark.geometry.providers.sensor import Sensor
from wsss.benchmark.geometry.stored import Manifest
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import RollingShutter, Sweep


@pytest.fixture
def clouds(tmp_path):
    return Clouds(driven(tmp_path), Scattered(), tmp_path / "clouds")


def scenes(clouds):
    return clouds.dataset.scenes("train")


def rows(cloud):
    """A cloud's points as a sorted table, whatever their order."""
    table = np.column_stack([cloud.frame, cloud.pixel, cloud.xyz, cloud.rgb, cloud.confidence])
    return table[np.lexsort(table.T)]


def test_what_comes_back_is_what_was_made(clouds):
    scene = scenes(clouds)[0]
    with pytest.raises(BenchmarkError, match="not made yet"):
        clouds.open(scene)
    told = []
    first = clouds.prepare(scenes(clouds), progress=lambda *news: told.append(news))
    assert [one.made for one in first] == [True, True] and told == [(0, 2), (1, 2), (2, 2)]
    assert [one.made for one in clouds.prepare(scenes(clouds))] == [False, False]
    made, found = clouds.geometry.points(clouds.dataset, scene), clouds.open(scene)
    assert (rows(made) == rows(found)).all()
    assert (np.diff(found.frame) >= 0).all() and found.metric
    for name in ("origin", "up"):
        assert (getattr(made, name) == getattr(found, name)).all()
    manifest = first[0].outcome
    assert isinstance(manifest, Manifest)
    assert manifest.points == len(made.xyz) == sum(manifest.counts) + 200
    assert manifest.facts.frames == tuple(frame.id for frame in scene.frames)
    assert manifest == stored.read_manifest(clouds.place(scene))


def test_a_second_object_finds_them_and_other_settings_do_not(clouds, tmp_path):
    clouds.prepare(scenes(clouds))
    again = Clouds(driven(tmp_path), Scattered(), tmp_path / "clouds")
    assert not any(one.made for one in again.prepare(scenes(again)))
    assert all(
        one.made for one in Clouds(again.dataset, Scattered(every=2), tmp_path / "clouds").prepare(scenes(again))
    )


def test_another_image_is_another_cloud(clouds):
    scene = scenes(clouds)[0]
    before = clouds.place(scene)
    scene.frames[0].image.write_bytes(b"another")
    again = Clouds(clouds.dataset, clouds.geometry, clouds.folder.parent)
    assert again.place(scene) != before
    scene.frames[0].image.unlink()
    with pytest.raises(DatasetError, match=r"train0-0 is missing"):
        Clouds(clouds.dataset, clouds.geometry, clouds.folder.parent).place(scene)


def place(clouds, geometry=None, **changed):
    """Where the first scene's cloud is, with some of the dataset's functions changed."""
    dataset = driven(clouds.folder.parent.parent)
    for name, function in changed.items():
        setattr(dataset, name, function)
    return Clouds(dataset, geometry or clouds.geometry, clouds.folder.parent).place(scenes(clouds)[0])


SHUTTER = RollingShutter(towards="bottom", first=0.0, readout=0.02, linear=np.zeros(3), angular=np.zeros(3))


@pytest.mark.parametrize(
    "change",
    [
        lambda camera: replace(camera, intrinsics=camera.intrinsics + 1e-9),
        lambda camera: replace(camera, distortion=np.zeros(5)),
        lambda camera: replace(camera, world_from_camera=camera.world_from_camera + 1e-9),
        lambda camera: replace(camera, shutter=replace(SHUTTER, readout=0.03)),
        lambda camera: replace(camera, shutter=replace(SHUTTER, linear=np.ones(3))),
        lambda camera: None,
    ],
    ids=["intrinsics", "distortion", "pose", "readout", "motion", "unknown"],
)
def test_other_cameras_are_another_cloud(clouds, change):
    cameras = clouds.dataset.cameras(scenes(clouds)[0])
    with_shutter = (replace(cameras[0], shutter=SHUTTER), *cameras[1:])
    before = [place(clouds, cameras=lambda scene, known=known: known) for known in (cameras, with_shutter)]
    assert before[0] == place(clouds)
    assert place(clouds, cameras=lambda scene: (change(cameras[0]), *cameras[1:])) not in before


def unplaced(clouds):
    """The dataset's cameras without poses."""
    known = Driven.cameras(clouds.dataset, scenes(clouds)[0])
    return {"cameras": lambda scene: tuple(replace(camera, world_from_camera=None) for camera in known)}


def test_how_poses_are_estimated_counts_where_they_are(clouds, monkeypatch):
    before = place(clouds), place(clouds, **unplaced(clouds))
    monkeypatch.setattr(poses, "VERSION", poses.VERSION + 1)
    after = place(clouds), place(clouds, **unplaced(clouds))
    assert before[0] == after[0] and before[1] != after[1] != after[0]


def test_sweeps_count_where_points_come_from_them(clouds):
    moved = {"sweep": lambda scene, index: Sweep(xyz=wall() + 1e-6, origin=np.zeros(3), in_world=True)}
    assert place(clouds) == place(clouds, **moved), "the points are not the sensor's"
    assert place(clouds, Sensor()) != place(clouds, Sensor(), **moved)
    assert place(clouds, **unplaced(clouds)) != place(clouds, **unplaced(clouds), **moved), "depth gives the scale"


def test_damaged_cameras_fail_their_scene_alone(clouds):
    whole = clouds.dataset.cameras

    def damaged(scene):
        if scene.id == "train0":
            raise DatasetError("poses.txt is damaged")
        return whole(scene)

    clouds.dataset.cameras = damaged
    sensor = Clouds(clouds.dataset, Sensor(), clouds.folder.parent)
    bad, good = sensor.prepare(scenes(clouds))
    assert isinstance(bad.outcome, Failure) and bad.outcome.error == "poses.txt is damaged"
    assert isinstance(good.outcome, Manifest)
    clouds.dataset.cameras = whole
    mended = Clouds(clouds.dataset, Sensor(), clouds.folder.parent)
    assert all(isinstance(one.outcome, Manifest) for one in mended.prepare(scenes(clouds)))


@pytest.mark.parametrize("metric", [True, False])
def test_an_empty_cloud_says_whether_its_world_has_metres(clouds, metric):
    cloud = assemble(clouds.dataset, scenes(clouds)[0], [], up=np.array([0.0, 0.0, 2.0]), metric=metric)
    assert len(cloud.xyz) == 0 and cloud.metric is metric and cloud.up.tolist() == [0, 0, 1]
    assert not empty(cloud.up).metric, "nobody knows unless told"


def cut(path):
    path.write_bytes(path.read_bytes()[:-4])


def lose(path):
    path.unlink()


@pytest.mark.parametrize("damage", [cut, lose])
@pytest.mark.parametrize("name", ["xyz.npy", "views.npy", "manifest.json"])
def test_a_damaged_cloud_is_noticed_and_made_again(clouds, damage, name):
    scene = scenes(clouds)[0]
    clouds.prepare(scenes(clouds))
    damage(clouds.place(scene) / name)
    with pytest.raises(BenchmarkError, match=r"damaged .*wsss points"):
        Clouds(clouds.dataset, clouds.geometry, clouds.folder.parent).open(scene)
    assert [one.made for one in clouds.prepare(scenes(clouds))] == [True, False]
    assert (rows(clouds.open(scene)) == rows(clouds.geometry.points(clouds.dataset, scene))).all()
    assert not list(clouds.folder.glob(".*"))


def test_checksums_find_what_sizes_do_not(clouds):
    scene = scenes(clouds)[1]
    clouds.prepare(scenes(clouds))
    assert clouds.verify(scenes(clouds)) == {}
    path = clouds.place(scene) / "rgb.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert not any(one.made for one in clouds.prepare(scenes(clouds)))
    assert clouds.verify(scenes(clouds)) == {scene.id: "rgb.npy does not have its checksum"}
    assert [one.made for one in clouds.prepare(scenes(clouds))] == [False, True]


def test_a_failed_scene_is_told_kept_and_tried_again(clouds):
    failing = Clouds(clouds.dataset, Scattered(broken="train1"), clouds.folder.parent)
    for _ in range(2):
        good, bad = failing.prepare(scenes(failing))
        assert isinstance(good.outcome, Manifest) and bad.made
        assert isinstance(bad.outcome, Failure) and bad.outcome.error == "this scene is too dark"
        with pytest.raises(Unsupported, match=r"scene train1 has no points: this scene is too dark"):
            failing.open(scenes(failing)[1])
    kept = json.loads((failing.place(scenes(failing)[1]) / "failure.json").read_text())
    assert kept["kind"] == "Unsupported" and "Traceback" in kept["traceback"]


def test_a_failure_gives_way_to_a_cloud(clouds):
    first = Clouds(clouds.dataset, Scattered(broken="train1"), clouds.folder.parent)
    first.prepare(scenes(first))
    object.__setattr__(first.geometry, "broken", "")  # the machine was at fault, not the settings
    assert [one.made for one in first.prepare(scenes(first))] == [False, True]
    assert len(first.open(scenes(first)[1]).xyz)


def fill(folder, barrier, queue):
    made = Clouds(driven(folder), Scattered(), folder / "clouds")
    barrier.wait()
    queue.put([type(one.outcome).__name__ for one in made.prepare(scenes(made))])


def test_two_processes_fill_one_cache(clouds, tmp_path):
    context = get_context("fork")
    barrier, queue = context.Barrier(2), context.Queue()
    both = [context.Process(target=fill, args=(tmp_path, barrier, queue)) for _ in range(2)]
    for one in both:
        one.start()
    assert [queue.get(timeout=60) for _ in both] == [["Manifest"] * 2] * 2
    for one in both:
        one.join(60)
        assert one.exitcode == 0
    assert clouds.verify(scenes(clouds)) == {} and not list(clouds.folder.glob(".*"))
    assert not any(one.made for one in clouds.prepare(scenes(clouds)))


def test_who_comes_second_throws_its_own_away(clouds, tmp_path):
    scene = scenes(clouds)[0]
    clouds.prepare([scene])
    before = (clouds.place(scene) / "manifest.json").stat().st_ino
    assert clouds._make(scene).made  # as if the first had not been there when this one began
    assert (clouds.place(scene) / "manifest.json").stat().st_ino == before
    assert not list(clouds.folder.glob(".*"))


def test_several_jobs_make_what_one_makes(clouds, tmp_path):
    clouds.prepare(scenes(clouds))
    other = Clouds(clouds.dataset, clouds.geometry, tmp_path / "other")
    assert all(one.made for one in other.prepare(scenes(other), jobs=2))
    for scene in scenes(clouds):
        ours, theirs = (stored.read_manifest(one.place(scene)) for one in (clouds, other))
        assert ours is not None and theirs is not None and ours.checksums == theirs.checksums


def test_labels_are_those_of_the_pixels_that_made_the_points(clouds, tmp_path):
    supervision = Supervision(clouds.dataset, "scribbles", 0, tmp_path / "labels")
    supervision.prepare()
    clouds.prepare(scenes(clouds))
    scene = scenes(clouds)[0]
    cloud, labels = clouds.open(scene), clouds.labels(scene, supervision)
    for index, frame in enumerate(scene.frames):
        view = cloud.view(index)
        expected = np.full(view.stop - view.start, IGNORE)
        if frame.labelled:
            expected = supervision.read(frame)[tuple(cloud.pixel[view].T)]
            assert (expected != IGNORE).any()
        assert (labels[view] == expected).all()
    assert (labels[cloud.frame < 0] == IGNORE).all()
    (path,) = clouds.place(scene).glob("labels-scribbles-0-*.npy")
    assert json.loads(path.with_suffix(".json").read_text())["labelled"] == int((labels != IGNORE).sum())


def test_damaged_labels_are_made_again(clouds, tmp_path):
    supervision = Supervision(clouds.dataset, "scribbles", 0, tmp_path / "labels")
    supervision.prepare()
    scene = scenes(clouds)[0]
    clouds.prepare([scene])
    good = clouds.labels(scene, supervision).copy()
    (path,) = clouds.place(scene).glob("labels-*.npy")
    for damage in (lambda: cut(path), lambda: path.write_bytes(path.read_bytes()[:-1] + b"\7")):
        damage()
        fresh = Clouds(clouds.dataset, clouds.geometry, clouds.folder.parent)
        assert fresh.verify([scene]) == {}
        assert (fresh.labels(scene, supervision) == good).all()


def test_a_cloud_without_points(clouds):
    scene = scenes(clouds)[0]
    folder = Path(clouds.folder.parent / "empty")
    folder.mkdir(parents=True)
    stored.write(folder, empty(np.array([0.0, 0.0, 1.0])), clouds._facts(scene), 0.0)
    found = stored.read(folder)
    assert found.cloud.xyz.shape == (0, 3) and found.index.extent(0) is None and found.manifest.points == 0


def test_blocks_hold_their_points_and_views_are_kept(clouds):
    scene = scenes(clouds)[0]
    cloud = clouds.geometry.points(clouds.dataset, scene)
    index = Index.of(cloud, len(scene.frames))
    for number, (low, high) in enumerate(index.blocks):
        part = cloud.xyz[number * BLOCK : (number + 1) * BLOCK]
        assert (part.min(0) == low).all() and (part.max(0) == high).all()
    assert [index.rows(i) for i in range(3)] == [cloud.view(i) for i in range(3)]
    places = [(rows.start, np.sort(inside)) for rows, inside in order(cloud)]
    assert sum(len(inside) for _, inside in places) == len(cloud.xyz)
    assert all((inside == np.arange(len(inside))).all() for _, inside in places)
    extent, view = index.extent(1), cloud.xyz[cloud.view(1)].astype(float)
    assert extent is not None and np.allclose(extent.centre, view.mean(0))
    assert np.isclose(extent.radius, np.linalg.norm(view - view.mean(0), axis=1).max())


def test_stored_order_makes_small_boxes(clouds):
    scene = scenes(clouds)[0]
    cloud = Scattered(every=1, context=20_000).points(clouds.dataset, scene)
    folder = clouds.folder.parent / "boxes"
    folder.mkdir(parents=True)
    stored.write(folder, cloud, clouds._facts(scene), 0.0)
    volume = lambda index: np.median((index.blocks[:, 1] - index.blocks[:, 0]).prod(1))  # noqa: E731
    assert volume(stored.read(folder).index) < volume(Index.of(cloud, 3)) / 8

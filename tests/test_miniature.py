"""The miniature Cityscapes: same bytes every time, native files, and geometry that agrees with what the files say."""

import inspect
import json
import shutil

import cv2
import numpy as np
import pytest

from wsss.benchmark.errors import UsageError
from wsss.datasets import miniature
from wsss.datasets.miniature import cityscapes, cityscapes_views
from wsss.datasets.miniature.streets import drive

SPEC = cityscapes_views.spec("tiny", 0)


def read(path):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def tree(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def stored(root, snippet, kind, suffix, index=cityscapes_views.LABELLED):
    return root / kind / snippet.split / snippet.city / f"{snippet.name(index)}_{suffix}"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return miniature.build(tmp_path_factory.mktemp("one"), size="tiny", jobs=2)


@pytest.fixture(scope="module")
def labels(root):
    return {s: read(stored(root, s, "gtFine", "gtFine_labelIds.png")) for s in SPEC.snippets}


def test_one_process_writes_the_same_bytes_as_two(root, tmp_path):
    seen = []
    other = miniature.build(tmp_path, size="tiny", jobs=1, progress=lambda done, total: seen.append((done, total)))
    assert tree(other) == tree(root)
    assert seen[-1] == (12, 12)


def test_interrupted_build_resumes_to_the_same_bytes(root, tmp_path):
    copy = tmp_path / "cityscapes"
    shutil.copytree(root, copy)
    whole = tree(copy)
    lost = [p for p in whole if "weidenfurt" in p or "amselgrund" in p or p == "miniature.json"]
    assert len(lost) > 50
    for path in lost:
        (copy / path).unlink()
    kept = next((copy / "leftImg8bit" / "train").rglob("*.png"))
    before = kept.stat().st_mtime_ns
    assert miniature.build(tmp_path, size="tiny", jobs=1) == copy
    assert tree(copy) == whole
    assert kept.stat().st_mtime_ns == before


def test_finished_root_is_left_alone_and_other_version_is_rebuilt(root, tmp_path, monkeypatch):
    copy = tmp_path / "cityscapes"
    shutil.copytree(root, copy)
    (copy / "extra").write_text("mine")
    miniature.build(tmp_path, size="tiny")
    assert (copy / "extra").exists()
    monkeypatch.setattr(cityscapes, "VERSION", cityscapes.VERSION + 1)
    miniature.build(tmp_path, size="tiny", jobs=1)
    assert not (copy / "extra").exists()
    assert json.loads((copy / "miniature.json").read_text())["version"] == cityscapes.VERSION


def test_seed_changes_the_pictures():
    snippet = SPEC.snippets[0]
    other = cityscapes_views.spec("tiny", 1)
    assert (
        cityscapes_views.render_view(SPEC, snippet, 19).rgb != cityscapes_views.render_view(other, snippet, 19).rgb
    ).mean() > 0.5


def test_unknown_names_and_foreign_folders_are_refused(tmp_path):
    with pytest.raises(UsageError, match="cityscapes"):
        miniature.build(tmp_path, "cityscape")
    with pytest.raises(UsageError, match="tiny"):
        inspect.unwrap(miniature.build)(tmp_path, size="tiney")  # past the type checker of the tests
    (tmp_path / "cityscapes").mkdir()
    (tmp_path / "cityscapes" / "README").write_text("real data")
    with pytest.raises(UsageError, match="not a miniature"):
        miniature.build(tmp_path, size="tiny")
    assert (tmp_path / "cityscapes" / "README").exists()


def test_tree_and_names_are_native(root):
    assert {p.name for p in root.iterdir() if p.is_dir()} == {
        "camera", "disparity", "disparity_sequence", "gtCoarse", "gtFine", "leftImg8bit", "leftImg8bit_sequence",
        "timestamp_sequence", "vehicle", "vehicle_sequence", "truth",
    }  # fmt: skip
    assert {s.frame == 19 for s in SPEC.snippets} == {True, False}
    cities = {split: {p.name for p in (root / "leftImg8bit" / split).iterdir()} for split in ("train", "val")}
    assert not cities["train"] & cities["val"]
    counts = {split: len(list((root / "leftImg8bit" / split).rglob("*_leftImg8bit.png"))) for split in cities}
    assert counts == {"train": 8, "val": 4}
    manifest = json.loads((root / "miniature.json").read_text())
    assert (manifest["train"], manifest["val"], manifest["width"], manifest["height"]) == (8, 4, 128, 64)
    for snippet in SPEC.snippets:
        image = read(stored(root, snippet, "leftImg8bit", "leftImg8bit.png"))
        assert image.shape == (64, 128, 3) and image.dtype == np.uint8
        for what in ("labelIds", "instanceIds", "color"):
            for kind in ("gtFine", "gtCoarse"):
                assert read(stored(root, snippet, kind, f"{kind}_{what}.png")).shape[:2] == (64, 128)
        for index in (17, 19, 21):
            assert stored(root, snippet, "leftImg8bit_sequence", "leftImg8bit.png", index).is_file()
        times = [int(stored(root, snippet, "timestamp_sequence", "timestamp.txt", k).read_text()) for k in range(30)]
        assert times[0] == 0 and np.all(np.abs(np.diff(times) - 1e9 / 17) < 3e6)
    assert [p.name for p in root.rglob(".*")] == [".miniature"]  # no temporary file is left


def test_label_ids_and_colors_are_official(labels):
    official = pytest.importorskip("cityscapesscripts.helpers.labels")
    names = {label.name: label for label in official.labels}
    assert all(names[kind].id == value for kind, value in cityscapes_views.IDS.items())
    counted = {label.id for label in official.labels if label.hasInstances and label.id >= 0}
    assert counted == cityscapes_views.COUNTED
    for value in cityscapes_views.IDS.values():
        assert tuple(cityscapes.PALETTE[value]) == official.id2label[value].color
    assert set(np.unique(np.stack(list(labels.values())))) <= set(cityscapes_views.IDS.values())


def test_instances_agree_with_labels(root, labels):
    several = 0
    for snippet, label in labels.items():
        instances = read(stored(root, snippet, "gtFine", "gtFine_instanceIds.png"))
        assert instances.dtype == np.uint16
        counted = np.isin(label, list(cityscapes_views.COUNTED))
        np.testing.assert_array_equal(np.where(counted, instances // 1000, instances), label)
        for value in np.unique(label[counted]):
            ranks = np.unique(instances[label == value]) % 1000
            np.testing.assert_array_equal(ranks, np.arange(len(ranks)))
            several += len(ranks) > 1
    assert several > 5


def projection(root, snippet):
    """Pixel from a point in vehicle axes, as the dataset's calibration document defines it."""
    camera = json.loads(stored(root, snippet, "camera", "camera.json").read_text())
    outer, inner = camera["extrinsic"], camera["intrinsic"]
    turn = np.eye(3)
    for angle, (i, j) in ((outer["yaw"], (0, 1)), (outer["pitch"], (2, 0)), (outer["roll"], (1, 2))):
        axis = np.eye(3)
        axis[i, i] = axis[j, j] = np.cos(angle)
        axis[i, j], axis[j, i] = -np.sin(angle), np.sin(angle)
        turn = turn @ axis

    def project(points):
        x, y, z = ((points - [outer["x"], outer["y"], outer["z"]]) @ turn).T
        return np.stack([inner["u0"] - inner["fx"] * y / x, inner["v0"] - inner["fy"] * z / x], -1)

    return project


def test_camera_file_projects_rendered_points_back(root):
    snippet = SPEC.snippets[3]
    seen = cityscapes_views.render_view(SPEC, snippet, 21)
    rows, columns = np.nonzero(np.isfinite(seen.depth))
    depth = seen.depth[rows, columns].astype(float)
    rays = np.linalg.solve(seen.intrinsics, np.stack([columns, rows, np.ones(len(rows))]))
    world = seen.world_from_camera @ np.vstack([rays * depth, np.ones(len(rows))])
    vehicle = np.linalg.inv(cityscapes_views.motion(SPEC, snippet).world_from_vehicle[21]) @ world
    error = projection(root, snippet)(vehicle[:3].T) - np.stack([columns, rows], -1)
    assert np.abs(error).max() < 0.01


def test_two_views_agree_on_the_ground(root):
    """The road seen in one view, warped by depth and pose, has the other view's depth."""
    snippet = SPEC.snippets[0]
    a, b = (cityscapes_views.render_view(SPEC, snippet, k) for k in (17, 21))
    rows, columns = np.nonzero((a.label_ids == cityscapes_views.IDS["road"]) & (a.depth < 25))
    rays = np.linalg.solve(a.intrinsics, np.stack([columns, rows, np.ones(len(rows))])) * a.depth[rows, columns]
    there = np.linalg.inv(b.world_from_camera) @ a.world_from_camera @ np.vstack([rays, np.ones(len(rows))])
    u, v, _ = b.intrinsics @ there[:3] / there[2]
    near = (u > 0) & (u < 127) & (v > 0) & (v < 63)
    column, row = np.round(u[near]).astype(int), np.round(v[near]).astype(int)
    same = b.label_ids[row, column] == cityscapes_views.IDS["road"]
    relative = np.abs(b.depth[row, column] - there[2, near])[same] / there[2, near][same]
    assert same.sum() > 200 and np.median(relative) < 0.03


@pytest.mark.parametrize("number", [0, 2, 11])
def test_dead_reckoning_reproduces_the_poses(root, number):
    snippet = SPEC.snippets[number]
    readings = [json.loads(stored(root, snippet, "vehicle_sequence", "vehicle.json", k).read_text()) for k in range(30)]
    times = [int(stored(root, snippet, "timestamp_sequence", "timestamp.txt", k).read_text()) for k in range(30)]
    poses = cityscapes_views.motion(SPEC, snippet).world_from_vehicle
    pose = poses[0]
    for k in range(1, 30):
        seconds = (times[k] - times[k - 1]) / 1e9
        way = seconds * (readings[k]["speed"] + readings[k - 1]["speed"]) / 2
        turn = seconds * (readings[k]["yawRate"] + readings[k - 1]["yawRate"]) / 2
        pose = pose @ drive.planar(way * np.cos(turn / 2), way * np.sin(turn / 2), turn)
        assert np.linalg.norm((pose - poses[k])[:3, 3]) < 0.02
        assert np.degrees(np.abs((pose[:3, :3].T @ poses[k][:3, :3])[1, 0])) < 0.2
    assert 8 < np.linalg.norm(poses[29, :3, 3] - poses[0, :3, 3]) < 26
    label = json.loads(stored(root, snippet, "vehicle", "vehicle.json").read_text())
    assert label == readings[19]


def test_vehicle_stays_on_the_street():
    for snippet in SPEC.snippets:
        street = cityscapes_views._world(SPEC.seed, snippet.city, 2)
        moved = cityscapes_views.motion(SPEC, snippet)
        way = np.linalg.norm(np.diff(moved.world_from_vehicle[19:, :2, 3], axis=0), axis=1).sum()
        point, _ = street.path.at(street.stops[snippet.stop] + way)
        assert np.linalg.norm(point - moved.world_from_vehicle[29, :2, 3]) < 0.1


def test_disparity_agrees_with_depth(root):
    for snippet in SPEC.snippets[:3]:
        encoded = read(stored(root, snippet, "disparity", "disparity.png"))
        camera = json.loads(stored(root, snippet, "camera", "camera.json").read_text())
        seen = cityscapes_views.render_view(SPEC, snippet, 19)
        assert encoded.dtype == np.uint16
        assert not encoded[np.isinf(seen.depth)].any()
        valid = encoded > 0
        assert 0.4 < valid.mean() < 0.95
        found = (encoded[valid].astype(float) - 1) / 256
        exact = camera["intrinsic"]["fx"] * camera["extrinsic"]["baseline"] / seen.depth[valid]
        assert np.abs(found - exact).mean() < 0.05 and np.abs(found - exact).max() < 0.3


def test_coarse_labels_are_sparse_and_nearly_right(root, labels):
    fine = np.stack(list(labels.values()))
    coarse = np.stack([read(stored(root, s, "gtCoarse", "gtCoarse_labelIds.png")) for s in labels])
    drawn = coarse > 0
    assert 0.5 < drawn.mean() < 0.8
    assert 0.95 < (coarse == fine)[drawn].mean() < 0.9995
    for snippet, image in zip(labels, coarse, strict=True):
        instances = read(stored(root, snippet, "gtCoarse", "gtCoarse_instanceIds.png"))
        np.testing.assert_array_equal(np.where(instances >= 1000, instances // 1000, instances), image)


def test_classes_are_covered(labels):
    scored = set(cityscapes_views.IDS) - {"train", "static", "dynamic", "parking", "trailer", "ego vehicle"}
    for split in ("train", "val"):
        pictures = np.stack([label for snippet, label in labels.items() if snippet.split == split])
        shares = {kind: (pictures == value).mean() for kind, value in cityscapes_views.IDS.items()}
        assert 0.2 < shares["road"] < 0.5 and shares["building"] > 0.05 and shares["vegetation"] > 0.04
        assert sum(shares[kind] > 0 for kind in scored) >= 15

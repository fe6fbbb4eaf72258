"""The miniature NYU Depth v2: native files, the same bytes every time, and a Kinect that measures what is there."""

import json
import shutil

import cv2
import h5py
import numpy as np
import pytest
from nyuv2_tree import like_the_toolbox

from wsss.benchmark.geometry.true_depth import read_truth
from wsss.benchmark.types import IGNORE
from wsss.datasets import _nyuv2_toolbox as toolbox
from wsss.datasets import miniature
from wsss.datasets._files import read_image
from wsss.datasets._nyuv2_video import WINDOW
from wsss.datasets.miniature import kinect
from wsss.datasets.miniature import nyuv2 as format
from wsss.datasets.miniature.engine.render import Scene
from wsss.datasets.miniature.engine.shapes import KINDS
from wsss.datasets.miniature.rooms import rooms
from wsss.datasets.miniature.rooms.indoor import CLASSES_40
from wsss.datasets.nyuv2 import NYUv2

SIZE, FULL = format.SIZES["tiny"], format.SIZES["full"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def root(tiny):
    return tiny("nyuv2")


@pytest.fixture
def dataset(root):
    return NYUv2(root)


def tree(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def views(dataset):
    """Every frame with its scene and place in it."""
    for split in ("train", "val"):
        for scene in dataset.scenes(split):
            for index, frame in enumerate(scene.frames):
                yield scene, index, frame


def test_two_processes_write_the_same_bytes_as_one(root, tmp_path):
    assert tree(miniature.build(tmp_path, "nyuv2", "tiny", jobs=2)) == tree(root)


def test_an_interrupted_build_resumes_to_the_same_bytes(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "nyuv2")
    whole = tree(copy)
    kept = sorted((copy / "raw").rglob("*.ppm"))[0]
    before = kept.stat().st_mtime_ns
    lost = [path for path in sorted(copy.rglob("*.p?m"))[1::2] if path != kept]
    lost += [copy / "miniature.json", copy / "nyu_depth_v2_labeled.mat", copy / "truth/0001.png"]
    for path in lost:
        path.unlink()
    miniature.build(tmp_path, "nyuv2", "tiny", jobs=1)
    assert tree(copy) == whole and kept.stat().st_mtime_ns == before


def test_finish_can_be_repeated(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "nyuv2")
    whole = tree(copy)
    format.finish(copy, "tiny", 0)
    assert tree(copy) == whole


def test_files_and_counts_are_native(root, dataset):
    assert {p.name for p in root.iterdir()} == {
        "nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat", "raw", "truth", "miniature.json", ".miniature",
    }  # fmt: skip
    manifest = json.loads((root / "miniature.json").read_text())
    counts = {split: len(list(dataset.labelled(split))) for split in ("train", "val")}
    assert counts == {"train": 4, "val": 2} == {split: manifest[split] for split in counts}
    assert (manifest["width"], manifest["height"]) == (80, 60)
    assert sum(not frame.labelled for *_, frame in views(dataset)) == manifest["video"] == 18
    assert not dataset.left_out()
    assert (root / "nyu_depth_v2_labeled.mat").read_bytes()[124:128] == b"\x00\x02IM"


def test_every_room_of_both_splits_is_filmed(dataset):
    for scene, *_ in views(dataset):
        assert [frame.labelled for frame in scene.frames] == [k in SIZE.labelled for k in range(SIZE.pictures)]


@pytest.fixture(scope="module")
def walks():
    """Some rooms at full size with the pictures of their walks."""
    names = [f"room_{number:04}" for number in (1, 2, 4, 9, 18, 25, 33, 42)]
    made = [(name, rooms.build(0, name)) for name in names]
    return [(room, format.shots(room, FULL, 0, name)) for name, room in made]


def poses_of(moments):
    return np.stack([moment.pose for moment in moments])


def test_walks_are_the_same_every_time(walks):
    room, moments = walks[0]
    again = format.shots(room, FULL, 0, "room_0001")
    assert [(m.picture, m.depth) for m in again] == [(m.picture, m.depth) for m in moments]
    np.testing.assert_array_equal(poses_of(again), poses_of(moments))
    assert not np.allclose(poses_of(format.shots(room, FULL, 1, "room_0001")), poses_of(moments))


def test_labelled_frames_have_video_on_both_sides_within_reach_of_the_adapter(walks):
    for _, moments in walks:
        assert len(moments) == FULL.pictures
        times = np.array([toolbox.seconds(moment.picture) for moment in moments])
        for place in FULL.labelled:
            assert 2 <= place < FULL.pictures - 2
        assert np.abs(times[:, None] - times[list(FULL.labelled)]).min(1).max() < WINDOW


def test_the_camera_moves_as_stereo_needs_it(walks):
    """Steps of a hand's breadth, small turns, and parallax that is neither too small nor too large to match."""
    small, step, turn, parallax, overlap = (30, 40), [], [], [], []
    matrix = toolbox.color_intrinsics(small)
    rays = toolbox.rays(matrix, None, small)
    for room, moments in walks:
        scene, poses = Scene(room.mesh, room.light), poses_of(moments)
        step += np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).tolist()
        relative = np.linalg.inv(poses[:-1]) @ poses[1:]
        turn += np.degrees(np.arccos(np.clip((np.trace(relative, axis1=1, axis2=2) - 2) / 2, -1, 1))).tolist()
        for place, pose in enumerate(poses[:-2]):
            xyz = rays * np.minimum(kinect.true_depth(scene, small, pose), 1e3).reshape(-1, 1)
            for ahead, found in ((1, overlap), (2, parallax)):
                other = np.linalg.inv(poses[place + ahead]) @ pose
                image, far = (xyz @ other[:3, :3].T + shift for shift in (other[:3, 3], 0.0))
                pixel, still = (p @ matrix.T / p[:, 2:] for p in (image, far))
                inside = (pixel >= -0.5).all(1) & (pixel[:, 0] < 39.5) & (pixel[:, 1] < 29.5) & (image[:, 2] > 0)
                moved = np.linalg.norm(pixel - still, axis=1)[inside] * FULL.width / small[1]
                found.append(inside.mean() if ahead == 1 else np.median(moved))
    assert min(step) > 0.08 and max(step) < 0.22 and 0.11 < np.mean(step) < 0.18
    assert max(turn) < 9 and np.mean(turn) < 5
    assert min(overlap) > 0.6 and np.mean(overlap) > 0.8
    assert min(parallax) > 4 and 8 < np.mean(parallax) < 35


def test_the_numbers_of_both_splits_are_mixed():
    sides = [format._is_test(number) for number in range(1, 61)]
    assert sum(sides) == 24 and any(sides[:3]) and not all(sides[-3:])


def test_every_picture_has_its_true_depth(root, dataset):
    for _, _, frame in views(dataset):
        depth = read_truth(root, frame.id)
        assert depth is not None and depth.shape == dataset.image(frame).shape[:2]
        assert np.isfinite(depth).mean() > 0.5 and depth.min() > 0.05


def test_labels_are_complete_but_for_the_border(dataset):
    for _, _, frame in views(dataset):
        if frame.labelled:
            dense = dataset.dense(frame)
            assert np.all(dense[2:-2, 2:-2] != IGNORE) and not dataset.unknown_ids(frame)
            border = dense == IGNORE
            assert 0 < border.mean() < 0.15 and np.all(dataset.image(frame)[border] == 255)
            instances = dataset.instances(frame)
            for id in np.unique(instances[instances % 256 > 0]):
                assert len(np.unique(dense[instances == id])) == 1


def test_classes_are_covered(dataset):
    found = set()
    for _, _, frame in views(dataset):
        if frame.labelled:
            found |= set(np.unique(dataset.dense(frame)).tolist())
    assert len(found - {IGNORE}) >= 12 and {0, 1} <= found


def hits(dataset, root, shift=None):
    """Share of the Kinect's points whose pixel shows the true depth, by whether the frame is labelled.

    ``shift`` is a wrong step in metres before the points are projected.
    """
    good = {True: [], False: []}
    for scene, index, frame in views(dataset):
        sweep, truth = dataset.sweep(scene, index), read_truth(root, frame.id)
        assert sweep is not None and truth is not None and len(sweep.xyz) > 0.35 * truth.size
        xyz = sweep.xyz if shift is None else sweep.xyz + shift
        matrix = toolbox.color_intrinsics(truth.shape)
        image = xyz @ matrix.T
        column, row = np.rint(image[:, :2] / image[:, 2:]).astype(int).T
        inside = (row >= 0) & (row < truth.shape[0]) & (column >= 0) & (column < truth.shape[1])
        exact, found = truth[row[inside], column[inside]], xyz[inside, 2]
        step = exact**2 / 351.3  # of one raw value
        good[frame.labelled].append(np.mean(np.abs(found - exact) <= 0.02 * exact + 1.5 * step))
    return {labelled: float(np.mean(shares)) for labelled, shares in good.items()}


def test_points_of_the_kinect_lie_on_what_their_pixel_shows(dataset, root):
    right = hits(dataset, root)
    assert min(right.values()) > 0.97, right
    wrong = hits(dataset, root, shift=np.array([0.05, 0, 0]))  # the translation with the other sign
    assert max(wrong.values()) < 0.9, wrong


def test_points_of_the_kinect_have_the_class_of_their_pixel(dataset):
    """What the depth camera sees along a point's ray is what the annotation says at its pixel."""
    right, wrong = [], []
    for unit in format.units("tiny", 0):
        room = rooms.build(0, unit.name)
        moment = format.shots(room, SIZE, 0, unit.name)[SIZE.labelled[0]]
        scene = next(scene for scene, *_ in views(dataset) if scene.id.endswith(unit.name[-5:]))
        index = [frame.labelled for frame in scene.frames].index(True)
        sweep, dense = dataset.sweep(scene, index), dataset.dense(scene.frames[index])
        to_world = moment.pose[:3, :3].T
        start = sweep.origin @ to_world + moment.pose[:3, 3]
        rays = ((sweep.xyz - sweep.origin) @ to_world).astype(np.float32)
        hit = Scene(room.mesh, room.light).cast(start, rays)
        seen = np.array([CLASSES_40.get(KINDS[kind], 0) - 1 for kind in room.mesh.kind[hit.face]])
        for shares, shift in ((right, 0), (wrong, round(0.05 * 64.9 / 2.5))):
            row, column = sweep.pixel[:, 0], np.clip(sweep.pixel[:, 1] + shift, 0, SIZE.width - 1)
            shown = dense[row, column]
            shares.append(np.mean((seen == shown)[shown != IGNORE]))
    assert np.mean(right) > 0.97 > 0.95 > np.mean(wrong), (right, wrong)


def test_raw_depth_falls_on_raw_depths_of_the_same_moment(root, dataset):
    """As the publisher's toolbox has it, in its own words; with its sign or its rotation misread it does not."""
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as file:
        raw_depths = np.asarray(file["rawDepths"])
        names = np.asarray(file["rawDepthFilenames"]).ravel()
        paths = ["".join(map(chr, np.asarray(file[name]).ravel())) for name in names]
    compared = 0
    for stored, path in zip(raw_depths, paths, strict=True):
        if not (root / "raw" / path).is_file():
            continue
        raw = toolbox.read_depth(root / "raw" / path, SIZE.shape)
        errors = {}
        for sign in (-1, 1):
            expected = like_the_toolbox(raw, sign=sign)
            both = (expected > 0) & (stored.T > 0)
            errors[sign] = np.mean((np.abs(expected - stored.T) > 0.05 * stored.T)[both])
        assert errors[-1] < 0.05 and errors[-1] < errors[1], errors
        compared += 1
    assert compared == 6


def test_depth_has_the_holes_of_a_kinect_and_depths_are_filled(root):
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as file:
        raw, filled = np.asarray(file["rawDepths"]), np.asarray(file["depths"])
    assert 0.02 < np.mean(raw == 0) < 0.6
    assert filled.min() > 0 and np.array_equal(filled[raw > 0], raw[raw > 0])
    assert np.all((raw == 0) | ((raw > 0.5) & (raw < 8.2)))


def test_pictures_and_depth_images_are_not_synchronised(root):
    for folder in (root / "raw").iterdir():
        times = {kind: sorted(toolbox.seconds(p.stem) or 0.0 for p in folder.glob(f"{kind}-*.p?m")) for kind in "rd"}
        assert len(times["r"]) == len(times["d"]) == SIZE.pictures
        gaps = np.diff(times["r"])
        assert gaps.min() > 0.37 and gaps.max() < 0.43
        apart = np.subtract(times["d"], times["r"])
        assert np.abs(apart).max() < 0.025 and np.abs(apart).max() > 1e-5


def test_raw_pictures_pass_the_lens(root, dataset):
    """Undistorted by the adapter, a raw picture shows what the pinhole camera of its true depth sees."""
    labelled = next(frame for frame in dataset.scenes("train")[0].frames if frame.labelled)
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as file:
        name = np.asarray(file["rawRgbFilenames"]).ravel()[int(labelled.id) - 1]
        path = root / "raw" / "".join(map(chr, np.asarray(file[name]).ravel()))
    stored, exact = read_image(path), dataset.image(labelled)
    smooth = [
        cv2.GaussianBlur(image.astype(float), (0, 0), 1.2) for image in (toolbox.undistort(stored), stored, exact)
    ]
    ring = np.ones(SIZE.shape, bool)
    ring[10:-10, 10:-10], ring[:4], ring[-4:], ring[:, :4], ring[:, -4:] = False, False, False, False, False
    errors = [np.abs(image - smooth[2])[ring].mean() for image in smooth[:2]]
    assert errors[0] < 0.6 * errors[1]

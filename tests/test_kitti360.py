"""KITTI-360's adapter on a small tree of its format: what it reads, the traps of the format, and damaged files."""

import re
import shutil

import kitti360_tree as tree
import numpy as np
import pytest
from kitti360_tree import DRIVE, MISSING, OFFSET_DRIVE, SIZE, TRAIN, VAL, VIDEO, write_kitti360, write_png
from PIL import Image

from wsss.benchmark.dataset import DatasetMissing
from wsss.benchmark.errors import DatasetError, Unsupported, UsageError
from wsss.benchmark.geometry.cameras import project
from wsss.benchmark.types import IGNORE
from wsss.datasets import _kitti360_lists
from wsss.datasets._kitti360_calibration import read_calibration
from wsss.datasets.kitti360 import DEFINED_IDS, OFFICIAL, TABLE, Kitti360

ANNOTATIONS = f"data_2d_semantics/train/{DRIVE}/image_00"
POSES = f"data_poses/{DRIVE}"
SWEEPS = f"data_3d_raw/{DRIVE}/velodyne_points/data"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tree that no test changes."""
    return write_kitti360(tmp_path_factory.mktemp("kitti360"))


@pytest.fixture
def root(whole, tmp_path):
    """One that a test may change."""
    return shutil.copytree(whole, tmp_path / "kitti360")


def number(frame):
    return int(frame.id[-10:])


def find(dataset, wanted, drive=DRIVE):
    """Scene and index of a frame."""
    for split in ("train", "val"):
        for scene in dataset.scenes(split):
            for index, frame in enumerate(scene.frames):
                if frame.id == f"{drive}_{wanted:010}":
                    return scene, index
    raise AssertionError(wanted)


def frame_of(dataset, wanted):
    scene, index = find(dataset, wanted)
    return scene.frames[index]


def sweep_or_none(dataset, wanted, drive=DRIVE):
    return dataset.sweep(*find(dataset, wanted, drive))


def sweep_of(dataset, wanted, drive=DRIVE):
    sweep = sweep_or_none(dataset, wanted, drive)
    assert sweep is not None
    return sweep


def camera_of(dataset, wanted, drive=DRIVE):
    scene, index = find(dataset, wanted, drive)
    camera = dataset.cameras(scene)[index]
    assert camera is not None
    return camera


def pose_of(dataset, wanted, drive=DRIVE):
    pose = camera_of(dataset, wanted, drive).world_from_camera
    assert pose is not None
    return pose


def instances_of(dataset, frame):
    instances = dataset.instances(frame)
    assert instances is not None
    return instances


def dense_of(dataset, frame):
    dense = dataset.dense(frame)
    assert dense is not None
    return dense


def confidence_of(dataset, frame):
    confidence = dataset.confidence(frame)
    assert confidence is not None
    return confidence


def rewrite(path, change):
    path.write_text(change(path.read_text()))


def test_the_table_is_the_official_one():
    official = pytest.importorskip("kitti360scripts.helpers.labels").labels
    rows = [(label.id, label.name, label.trainId) for label in official if 0 <= label.trainId < 19]
    assert sorted(rows) == list(OFFICIAL)
    assert {label.id % 256 for label in official} == DEFINED_IDS
    by_name = {label.name: label for label in official}
    for name, ids, color in TABLE:
        assert by_name[name].color == color
        assert {label.id for label in official if label.trainId == by_name[name].trainId} == set(ids)


def test_the_16_classes_are_the_papers_in_its_order():
    assert Kitti360.classes.names == (
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
        "terrain", "person", "car", "truck", "motorcycle", "bicycle", "sky",
    )  # fmt: skip
    scored = {name for _, name, train_id in OFFICIAL if OFFICIAL[train_id][1] == name}
    assert scored - set(Kitti360.classes.names) == {"rider", "bus", "train"}


def test_interleaved_lists_split_by_line_and_not_by_drive(whole):
    dataset = Kitti360(whole)
    train = [[number(frame) for frame in scene.frames] for scene in dataset.scenes("train")]
    val = [[number(frame) for frame in scene.frames] for scene in dataset.scenes("val")]
    assert train == [[250, 251, 252, 253], [258, 259, 260, 261], [4391, 4392, 4393]]
    assert val == [[254, 255, 256, 257]]
    assert [scene.id for scene in dataset.scenes("val")] == [f"{DRIVE}_0000000254"]
    flags = {number(frame): frame.labelled for scene in dataset.scenes("train") for frame in scene.frames}
    assert {n for n, labelled in flags.items() if not labelled} == set(VIDEO)


def test_unlisted_images_join_only_inside_a_run(root):
    folder = root / f"data_2d_raw/{DRIVE}/image_00/data_rect"
    for extra in (249, 262):
        write_png(folder / f"{extra:010}.png", tree.image(extra))
    lists = root / "data_2d_semantics/train"
    rewrite(lists / "2013_05_28_drive_train_frames.txt", lambda text: re.sub(r".*0000000253.*\n", "", text))
    rewrite(lists / "2013_05_28_drive_val_frames.txt", lambda text: re.sub(r".*0000000255.*\n", "", text))
    dataset = Kitti360(root)
    assert [[number(f) for f in scene.frames] for scene in dataset.scenes("train")][:2] == [
        [250, 251, 252], [258, 259, 260, 261],
    ]  # fmt: skip
    (scene,) = dataset.scenes("val")
    assert [(number(f), f.labelled) for f in scene.frames] == [(254, True), (255, False), (256, True), (257, True)]
    (folder / "0000000255.png").unlink()
    (scene,) = Kitti360(root).scenes("val")
    assert [number(f) for f in scene.frames] == [254, 256, 257], "a missing video frame does not end the scene"


def test_long_runs_are_cut_into_at_most_100_frames_and_at_gaps_of_a_second(tmp_path):
    root = write_kitti360(tmp_path, scribbles_of=(), velodyne=False)
    source = root / f"data_2d_raw/{DRIVE}/image_00/data_rect/0000000250.png"
    listed = [*range(1000, 1250), *range(1259, 1265), *range(1275, 1280)]
    for frame in listed:
        for folder in (source.parent, root / ANNOTATIONS / "semantic", root / ANNOTATIONS / "instance"):
            (folder / f"{frame:010}.png").symlink_to(source)
    with (root / "data_2d_semantics/train/2013_05_28_drive_train_frames.txt").open("a") as file:
        file.writelines(tree.line(DRIVE, frame) + "\n" for frame in reversed(listed))
    scenes = [scene for scene in Kitti360(root).scenes("train") if number(scene.frames[0]) >= 1000][:-1]
    assert [len(scene.frames) for scene in scenes] == [88, 88, 80, 5]
    assert [number(frame) for scene in scenes for frame in scene.frames] == listed
    assert [scene.id for scene in scenes][-1] == f"{DRIVE}_0000001275"


def test_the_offset_of_drive_0002_is_no_missing_data(whole):
    dataset = Kitti360(whole)
    scene, index = find(dataset, 4391, OFFSET_DRIVE)
    assert index == 0 and np.array_equal(dataset.image(scene.frames[0]), tree.image(4391))
    assert np.allclose(pose_of(dataset, 4391, OFFSET_DRIVE)[:3, 3], tree.START, atol=3)
    assert len(sweep_of(dataset, 4391, OFFSET_DRIVE).xyz)


def test_image_and_annotation_are_read_as_stored(whole):
    dataset = Kitti360(whole)
    frame = frame_of(dataset, 250)
    assert np.array_equal(dataset.image(frame), tree.image(250))
    dense, ids = dense_of(dataset, frame), tree.semantic_ids()
    names = np.array([*dataset.classes.names, "ignored"])[np.minimum(dense, 16)]
    for id, name in ((23, "sky"), (7, "road"), (26, "car"), (11, "building"), (34, "building"), (35, "fence")):
        assert np.all(names[ids == id] == name), name
    assert np.all(names[ids == 37] == "pole")


def test_files_hold_ids_and_neither_kitti_ids_nor_train_ids(root):
    published = {
        7: 0, 8: 1, 11: 2, 34: 2, 12: 3, 13: 4, 35: 4, 17: 5, 37: 5, 19: 6, 20: 7, 21: 8, 22: 9, 24: 10, 26: 11,
        27: 12, 32: 13, 33: 14, 23: 15,
    }  # fmt: skip
    ids = np.arange(256, dtype=np.uint8)[np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 256]
    write_png(root / ANNOTATIONS / "semantic/0000000250.png", ids)
    dataset = Kitti360(root)
    dense = dense_of(dataset, frame_of(dataset, 250))
    assert [dense[ids == id].max() for id in range(256)] == [published.get(id, IGNORE) for id in range(256)]


def test_every_other_id_is_ignored(root):
    """The lookup table defaults to 255, so that the license plate's -1, rider, bus and unknown ids all become it."""
    ids = np.arange(256, dtype=np.uint8)[np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 256]
    write_png(root / ANNOTATIONS / "semantic/0000000250.png", ids)
    dataset = Kitti360(root)
    frame = frame_of(dataset, 250)
    dense = dense_of(dataset, frame)
    kept = {id for _, ids_of_class, _ in TABLE for id in ids_of_class}
    assert {int(id) for id in np.unique(ids[dense != IGNORE])} == kept
    assert np.all(dense[ids == 255] == IGNORE) and np.all(dense[ids == 25] == IGNORE)
    assert set(dataset.unknown_ids(frame)) == set(range(45, 255))


def test_unknown_ids_are_counted_and_the_license_plate_is_known(whole):
    dataset = Kitti360(whole)
    assert dataset.unknown_ids(frame_of(dataset, 250)) == {77: 3}


def test_instances_keep_16_bits(whole):
    dataset = Kitti360(whole)
    instances = instances_of(dataset, frame_of(dataset, 250))
    assert instances.dtype == np.int32 and instances.max() == 37000
    assert np.array_equal(instances, tree.instance_ids())


def test_touching_cars_get_a_point_each(whole):
    dataset = Kitti360(whole)
    weak = dataset.weak(frame_of(dataset, 250), "points", 0)
    car = dataset.classes.names.index("car")
    assert np.count_nonzero(weak[:, 20:40] == car) == np.count_nonzero(weak[:, 40:60] == car) == 1


def test_confidence_has_16_bits_and_an_archive_of_its_own(root):
    dataset = Kitti360(root)
    frame = frame_of(dataset, 250)
    confidence = confidence_of(dataset, frame)
    assert confidence.dtype == np.float32 and confidence.max() == 1 and confidence.min() == 0
    assert np.allclose(confidence, tree.confidences() / 65535)
    assert dataset.confidence(frame_of(dataset, VIDEO[0])) is None
    path = root / ANNOTATIONS / "confidence/0000000250.png"
    write_png(path, (tree.confidences() // 256).astype(np.uint8))
    with pytest.raises(DatasetError, match="8 bits per pixel, expected 16"):
        dataset.confidence(frame)
    path.unlink()
    with pytest.raises(DatasetError, match="does not exist"):
        dataset.confidence(frame)
    for folder in root.glob("data_2d_semantics/train/*/image_00/confidence"):
        shutil.rmtree(folder)
    assert Kitti360(root).confidence(frame) is None


def test_scribbles_are_official_where_a_split_has_them_all(whole):
    dataset = Kitti360(whole)
    frame = frame_of(dataset, 250)
    weak, drawn = dataset.weak(frame, "scribbles", 0), tree.scribbles()
    names = np.array([*dataset.classes.names, "ignored"])[np.minimum(weak, 16)]
    assert np.all(weak[drawn == 0] == IGNORE), "the background 0 is unlabelled and not road, the class 0"
    assert np.all(names[drawn == 7] == "road") and np.all(names[np.isin(drawn, (11, 34))] == "building")
    assert np.array_equal(weak, dataset.weak(frame, "scribbles", 1))
    assert dataset.weak_source("scribbles").startswith("s4KITTI360 as shipped for train, else derived")
    assert dataset.weak_source("points").startswith("derived")
    derived = dataset.weak(frame_of(dataset, VAL[0]), "scribbles", 0)
    assert np.any(derived != weak) and np.any(derived != IGNORE)
    assert any("scribble" in path.parts for path in dataset.files(frame))


@pytest.mark.parametrize(("of", "source"), [((), "derived"), (TRAIN + VAL + tree.OFFSET_FRAMES, "s4KITTI360 as shi")])
def test_scribbles_of_no_or_of_both_splits(tmp_path, of, source):
    dataset = Kitti360(write_kitti360(tmp_path, scribbles_of=of, velodyne=False))
    assert dataset.weak_source("scribbles").startswith(source) and "else" not in dataset.weak_source("scribbles")


def test_half_a_set_of_scribbles_is_an_error_and_not_mixed(root):
    path = root / ANNOTATIONS / "scribble/0000000252.png"
    path.unlink()
    dataset = Kitti360(root)
    frame = frame_of(dataset, 250)
    for ask in (lambda: dataset.weak(frame, "scribbles", 0), lambda: dataset.weak_source("scribbles")):
        with pytest.raises(DatasetError, match=f"{path} does not exist, while 9 other frames of train have scribbles"):
            ask()
    assert np.any(dataset.weak(frame, "points", 0) != IGNORE)
    assert dataset.digest("train")


def test_unlabelled_frames_have_none(whole):
    dataset = Kitti360(whole)
    frame = frame_of(dataset, VIDEO[0])
    assert dataset.dense(frame) is None and dataset.instances(frame) is None
    with pytest.raises(Unsupported, match=frame.id):
        dataset.weak(frame, "scribbles", 0)


def test_the_published_calibration_projects_as_published(tmp_path):
    """The numbers of the fact sheet: a point 10 m ahead on the ground, and points to its left and right."""
    tree.write_calibration(tmp_path, scale=1)
    rewrite(tmp_path / "perspective.txt", lambda text: re.sub(r"S_rect_00: .*", "S_rect_00: 1408 376", text))
    calibration = read_calibration(tmp_path)
    rect_from_velo = np.linalg.inv(calibration.pose_from_rect) @ calibration.pose_from_velo
    points = rect_from_velo @ np.array([[10, 0, -1.7, 1], [10, 3, 0, 1], [10, -3, 0, 1]]).T
    u, v, _ = calibration.intrinsics @ points[:3] / points[2]
    assert np.allclose((u[0], v[0], points[2, 0]), (724, 279, 9.27), atol=0.6)
    assert np.allclose(u[1:], (545, 909), atol=0.6)
    assert np.allclose(calibration.pose_from_velo[:3, 3], (0.77, 0.30, -0.84), atol=0.01)
    assert np.allclose(calibration.pose_from_velo[:3, :3], np.diag([1, -1, -1]), atol=0.03)


def test_poses_are_those_of_the_rectified_camera(whole):
    """R_rect_00 must be applied: without it the camera is turned by 8 milliradians."""
    dataset = Kitti360(whole)
    stored = np.loadtxt(whole / POSES / "cam0_to_world.txt")
    for row in stored:
        pose = pose_of(dataset, int(row[0]))
        assert np.allclose(pose, row[1:].reshape(4, 4), atol=1e-5)
    without = tree.world_from_pose(250) @ tree.POSE_FROM_CAM0
    assert np.abs(pose_of(dataset, 250) - without)[:3, :3].max() > 5e-3


def test_frames_without_pose_have_a_camera_without_one(whole):
    dataset = Kitti360(whole)
    for frame in tree.FRAMES:
        camera = camera_of(dataset, frame)
        assert (camera.world_from_camera is None) == (frame in MISSING)
        assert camera.intrinsics[0, 0] == pytest.approx(552.554261 / 8)
        assert camera.intrinsics[0, 2] == pytest.approx((682.049453 + 0.5) / 8 - 0.5)
        scene, index = find(dataset, frame)
        assert not dataset.interpolated(scene)[index]


def test_short_gaps_are_bridged_on_demand_and_flagged(whole):
    dataset = Kitti360(whole, bridge=3.0)
    for frame in (251, 256):
        pose = pose_of(dataset, frame)
        truth = tree.world_from_pose(frame) @ tree.POSE_FROM_CAM0 @ np.linalg.inv(tree.R_RECT)
        assert np.abs(pose - truth)[:3, 3].max() < 0.02 and np.abs(pose - truth)[:3, :3].max() < 1e-4
        scene, index = find(dataset, frame)
        assert [i for i, flag in enumerate(dataset.interpolated(scene)) if flag] == [index]
    assert camera_of(dataset, 261).world_from_camera is None, "nothing follows it"
    assert camera_of(Kitti360(whole, bridge=1.0), 251).world_from_camera is None, "the car moved two metres"


def test_sweeps_are_uncurled_into_the_world(whole):
    """Also where the frame before has no pose and the frame after tells the motion; without both, the car stood."""
    dataset = Kitti360(whole)
    truth = tree.surroundings()
    for frame in set(tree.FRAMES) - {250, *MISSING}:
        sweep = sweep_of(dataset, frame)
        assert sweep.in_world and sweep.pixel is None and sweep.xyz.dtype == np.float64
        assert np.abs(sweep.xyz - truth).max() < 0.02
        sensor = tree.world_from_pose(frame) @ tree.POSE_FROM_VELO
        assert np.allclose(sweep.origin, sensor[:3, 3], atol=1e-4)
    sensor = tree.world_from_pose(250) @ tree.POSE_FROM_VELO
    raw = tree.measured(truth, 250) @ sensor[:3, :3].T + sensor[:3, 3]
    assert np.abs(raw - truth).max() > 0.4, "the test would not see the motion"
    assert np.allclose(sweep_of(dataset, 250).xyz, raw, atol=1e-3)


def test_sweeps_fall_on_the_pixels_of_what_they_hit(whole):
    dataset = Kitti360(whole)
    found = project(sweep_of(dataset, 255).xyz, camera_of(dataset, 255), SIZE)
    exact = project(tree.surroundings(), camera_of(dataset, 255), SIZE)
    assert exact.inside.sum() > 20 and np.array_equal(found.inside, exact.inside)
    assert np.abs(found.pixel - exact.pixel)[exact.inside].max() < 0.1


def test_a_frame_without_pose_or_file_has_no_sweep(root):
    dataset = Kitti360(root)
    assert all(sweep_or_none(dataset, frame) is None for frame in MISSING)
    assert len(sweep_of(Kitti360(root, bridge=3.0), 251).xyz)
    (root / SWEEPS / "0000000252.bin").unlink()
    assert sweep_or_none(dataset, 252) is None


def test_the_recording_car_is_cut_out(root):
    path = root / SWEEPS / "0000000252.bin"
    points = np.array([[0.5, 0.3, -0.6, 0], [-2, -0.9, -0.5, 0], [3, 0.5, -1, 0], [0, 1.5, -1, 0]], "<f4")
    path.write_bytes(points.tobytes())
    assert len(sweep_of(Kitti360(root), 252).xyz) == 2


def test_missing_archives_are_named_with_their_size(root):
    shutil.rmtree(root / "data_3d_raw" / OFFSET_DRIVE)
    with pytest.raises(DatasetError, match=f"{OFFSET_DRIVE}.*unpack the Velodyne sweeps of this drive"):
        sweep_of(Kitti360(root), 4391, OFFSET_DRIVE)
    shutil.rmtree(root / "data_poses")
    dataset = Kitti360(root)
    assert camera_of(dataset, 250).world_from_camera is None
    with pytest.raises(Unsupported, match=r"data_poses does not exist.*8\.9 MB"):
        sweep_of(dataset, 250)
    shutil.rmtree(root / "data_3d_raw")
    with pytest.raises(Unsupported, match=r"data_3d_raw does not exist.*119 GB"):
        sweep_of(dataset, 250)


@pytest.mark.parametrize(
    "part", ["calibration", "data_2d_raw", "data_2d_semantics/train/2013_05_28_drive_val_frames.txt"]
)
def test_missing_parts_are_named(root, part):
    path = root / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DatasetMissing, match=re.escape(str(path))):
        Kitti360(root)


def test_the_test_split_is_not_public(whole):
    with pytest.raises(UsageError, match="train or val"):
        Kitti360(whole).scenes("test")


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (
            f"data_2d_raw/{DRIVE}/image_00/data_rect/0000000254.png",
            "data_rect lacks 0000000254.png and 0 more of the 11",
        ),
        (f"{ANNOTATIONS}/semantic/0000000254.png", "semantic lacks 0000000254.png"),
        (f"{ANNOTATIONS}/instance/0000000254.png", "instance lacks 0000000254.png"),
        (f"data_2d_raw/{DRIVE}", f"{DRIVE}/image_00/data_rect does not exist, but the frame lists name its drive"),
    ],
)
def test_half_an_archive_is_an_error(root, path, what):
    shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()
    with pytest.raises(DatasetError, match=what):
        Kitti360(root).scenes("train")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: "", "is empty"),
        (lambda text: text[:-20], "line 10 must be 'data_2d_raw"),
        (lambda text: text.replace("image_00", "image_01", 1), "line 1 must be"),
        (lambda text: text.replace("0000000251.png\n", "0000000252.png\n"), "line 2 must be"),
        (lambda text: text.replace(" ", "", 1), "line 1 must be"),
        (lambda text: text + text.splitlines()[3] + "\n", "line 11 names a frame for the second time"),
        (lambda text: text.replace("0000000253", "0000000254"), "line 1 names a frame for the second time"),
        (lambda text: "\u00e9" + text, "cannot be read as text"),
    ],
)
def test_malformed_lists_are_errors(root, change, what):
    rewrite(root / "data_2d_semantics/train/2013_05_28_drive_train_frames.txt", change)
    with pytest.raises(DatasetError, match=what):
        Kitti360(root).scenes("train")


@pytest.mark.parametrize(
    ("path", "change", "what"),
    [
        ("calibration/perspective.txt", lambda t: t.replace("R_rect_00", "R_rect_07"), "has no line R_rect_00:"),
        (
            "calibration/perspective.txt",
            lambda t: t.replace("P_rect_00", "x").replace("P_rect_01", "P_rect_00"),
            "no pin",
        ),
        ("calibration/perspective.txt", lambda t: t.replace("0.999974", "0.909974"), "R_rect_00 is no rotation"),
        ("calibration/perspective.txt", lambda t: t.replace("0.999974", "nan"), "finite numbers, found nan"),
        ("calibration/calib_cam_to_pose.txt", lambda t: t.replace("image_00", "image_02"), "has no line image_00:"),
        ("calibration/calib_cam_to_pose.txt", lambda t: t.replace("1.5752", "9.5752"), "puts a sensor 10 m off"),
        ("calibration/calib_cam_to_pose.txt", lambda t: t.replace("1.5752", "1.7752"), "disagree at frame 250"),
        ("calibration/calib_cam_to_velo.txt", lambda t: "R: " + t, "must hold 12 numbers"),
        (f"{POSES}/poses.txt", lambda t: t.replace("250 ", "250 nan ", 1), "line 1 must hold 13 numbers, found 14"),
        (f"{POSES}/poses.txt", lambda t: re.sub(r"^250 \S+", "250 nan", t), "line 1 must hold finite numbers"),
        (f"{POSES}/poses.txt", lambda t: re.sub(r"^250 \S+", "250 2.0", t), "frame 250 is no rotation"),
        (f"{POSES}/poses.txt", lambda t: "\n".join(reversed(t.splitlines())), "frame numbers in rising order"),
        (f"{POSES}/poses.txt", lambda t: re.sub(r"(?m)^\d+", lambda n: str(int(n[0]) + 1), t), "disagree at frame"),
        (f"{POSES}/poses.txt", lambda t: re.sub(r"(?m)^2", "9", t), "disagree in every frame number"),
        (f"{POSES}/cam0_to_world.txt", lambda t: t.replace("0.0000000000 1.0000000000", "0 2", 1), "must be 0 0 0 1"),
    ],
)
def test_wrong_geometry_is_an_error(root, path, change, what):
    before = (root / path).read_text()
    rewrite(root / path, change)
    assert (root / path).read_text() != before
    with pytest.raises(DatasetError, match=what):
        dataset = Kitti360(root)
        dataset.cameras(dataset.scenes("train")[0])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "found 0 bytes"),
        (b"\0" * 40, "found 40 bytes"),
        (np.array([[1, np.nan, 0, 0]], "<f4").tobytes(), "must lie within 200 m"),
        (np.array([[1, 1e30, 0, 0]], "<f4").tobytes(), "must lie within 200 m"),
        (np.array([[1, 1, 0, 99]], "<f4").tobytes(), "the reflectance in"),
    ],
)
def test_damaged_sweeps_are_errors(root, content, what):
    path = root / SWEEPS / "0000000252.bin"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=what) as raised:
        sweep_of(Kitti360(root), 252)
    assert str(path) in str(raised.value)


FILES = {
    "image": f"data_2d_raw/{DRIVE}/image_00/data_rect/0000000252.png",
    "semantic": f"{ANNOTATIONS}/semantic/0000000252.png",
    "instance": f"{ANNOTATIONS}/instance/0000000252.png",
    "confidence": f"{ANNOTATIONS}/confidence/0000000252.png",
    "scribble": f"{ANNOTATIONS}/scribble/0000000252.png",
    "sweep": f"{SWEEPS}/0000000252.bin",
    "poses": f"{POSES}/poses.txt",
    "world": f"{POSES}/cam0_to_world.txt",
    "perspective": "calibration/perspective.txt",
    "pose": "calibration/calib_cam_to_pose.txt",
    "velo": "calibration/calib_cam_to_velo.txt",
    "list": "data_2d_semantics/train/2013_05_28_drive_train_frames.txt",
}


def read_all(root):
    """Everything that an adapter can say about frame 252."""
    dataset = Kitti360(root)
    frame = frame_of(dataset, 252)
    return {
        "image": dataset.image(frame),
        "semantic": dense_of(dataset, frame),
        "instance": instances_of(dataset, frame),
        "confidence": confidence_of(dataset, frame),
        "scribble": dataset.weak(frame, "scribbles", 0),
        "intrinsics": camera_of(dataset, 252).intrinsics,
        "pose": pose_of(dataset, 252),
        "sweep": sweep_of(dataset, 252).xyz,
    }


def damaged(content, other, rng):
    """A file's content, damaged in each way that must never pass unnoticed."""
    yield "empty", b""
    yield "cut in half", content[: len(content) // 2 - 3]
    yield "cut in the first line", content[:11]
    yield "of another kind", other
    yield "noise", rng.bytes(len(content))
    yield "lengthened", b"\xff" * 7 + content


@pytest.mark.parametrize("kind", FILES)
def test_every_damage_to_every_file_is_an_error(root, kind):
    path, rng = root / FILES[kind], np.random.default_rng(0)
    content = path.read_bytes()
    others = [name for name in FILES if name != kind]
    for other in others:
        # These hold the same kind of numbers.
        if {kind, other} == {"semantic", "scribble"} or {kind, other} == {"instance", "confidence"}:
            continue
        for damage, broken in damaged(content, (root / FILES[other]).read_bytes(), rng):
            if damage != "of another kind" and other != others[0]:
                continue
            if damage == "cut in half" and kind == "pose":  # only the other camera's line is lost
                continue
            path.write_bytes(broken)
            with pytest.raises(DatasetError) as raised:
                read_all(root)
                pytest.fail(f"{kind} {damage} {other}")
            assert "; " in str(raised.value), "the sentence ends with the next step"
            assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in ("sweep", "list")])
def test_a_flipped_bit_is_an_error_or_changes_nothing_much(root, kind):
    """PNG files have checksums, two files of poses guard each other; focal length and LiDAR mounting have neither."""
    path, rng = root / FILES[kind], np.random.default_rng(1)
    content, sound = path.read_bytes(), read_all(root)
    noticed = 0
    for place in rng.choice(len(content), min(25, len(content)), replace=False):
        broken = bytearray(content)
        broken[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(broken))
        try:
            found = read_all(root)
        except DatasetError:
            noticed += 1
            continue
        for name, value in found.items():
            close = {"pose": 0.06, "sweep": np.inf if kind == "velo" else 0.5, "intrinsics": np.inf}.get(name, 0)
            assert np.isfinite(value).all() and np.abs(value.astype(float) - sound[name]).max() <= close, name
    assert noticed > (20 if path.suffix == ".png" else 1)


@pytest.mark.parametrize("kind", ["image", "semantic", "instance", "confidence", "scribble"])
def test_pictures_of_another_size_are_errors(root, kind):
    path = root / FILES[kind]
    with Image.open(path) as image:
        pixels = np.array(image)
    write_png(path, np.ascontiguousarray(pixels[:-1]))
    with pytest.raises(DatasetError, match="46 x 176 pixels") as raised:
        read_all(root)
    assert str(path) in str(raised.value)


def test_a_large_dataset_is_read_with_one_scan_per_folder(root, monkeypatch):
    """61,000 lines open in a second because no annotation is asked about by itself."""
    asked = []
    scan = _kitti360_lists.listing
    monkeypatch.setattr(_kitti360_lists, "listing", lambda folder: asked.append(folder) or scan(folder))
    Kitti360(root).scenes("train")
    assert len(asked) == len(set(asked)) == 2 * 3

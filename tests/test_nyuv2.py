"""NYU Depth v2: what is read, from which pixel it counts, and how damage is told."""

import pickle
import re
import shutil

import cv2
import h5py
import numpy as np
import pytest
from nyuv2_tree import (
    CLASSES,
    COLOR_LENS,
    DEPTH_LENS,
    FINE,
    LABELLED,
    MAP,
    SIZE,
    START,
    instances,
    labels,
    like_the_toolbox,
    picture,
    raw_depth,
    raw_name,
    write_lists,
    write_mat,
    write_nyuv2,
    write_pgm,
    write_ppm,
)
from scipy.io import loadmat, savemat

from wsss.benchmark.dataset import DatasetMissing
from wsss.benchmark.errors import BenchmarkError, DatasetError, Unsupported, UsageError
from wsss.benchmark.types import IGNORE
from wsss.datasets import _index
from wsss.datasets import _matlab5 as matlab5
from wsss.datasets import _nyuv2_toolbox as toolbox
from wsss.datasets._files import read_image
from wsss.datasets._nyuv2_video import KNOWN_BAD, WINDOW, windows
from wsss.datasets.nyuv2 import LABELS_13, NAMES, NAMES_13, NYUv2

MAT = "nyu_depth_v2_labeled.mat"


@pytest.fixture(autouse=True)
def index(tmp_path, monkeypatch):
    """Where the index is kept: for every test anew."""
    monkeypatch.setattr(_index, "FOLDER", tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def root(tmp_path):
    return write_nyuv2(tmp_path / "nyuv2")


def scene_of(dataset, room):
    return next(s for split in ("train", "val") for s in dataset.scenes(split) if s.id == room)


def seconds_in(frame):
    time = toolbox.seconds(frame.image.stem)
    assert time is not None
    return time


def labelled_of(dataset, number):
    frames = [f for split in ("train", "val") for _, f in dataset.labelled(split)]
    return next(f for f in frames if f.id == f"{number:04}")


def test_the_names_are_the_official_ones():
    assert NAMES == CLASSES and len(NAMES) == 40
    assert NAMES.index("blinds") == 12 and NAMES.index("shower curtain") == 27


def test_thirteen_classes_group_the_forty():
    groups = {name: NAMES_13[LABELS_13[k]] for k, name in enumerate(NAMES)}
    same = {"bed", "books", "ceiling", "chair", "floor", "picture", "sofa", "table", "wall", "window"}
    assert all(groups[name] == name for name in same)
    assert groups["television"] == "tv" and groups["desk"] == "table" and groups["floor mat"] == "floor"
    assert groups["dresser"] == groups["toilet"].replace("objects", "furniture") == "furniture"
    assert set(LABELS_13[40:]) == {IGNORE} and LABELS_13.max() == IGNORE


def test_numbers_in_splits_count_from_one(root):
    dataset = NYUv2(root)
    ids = {split: {frame.id for _, frame in dataset.labelled(split)} for split in ("train", "val")}
    assert ids == {"train": {"0001", "0002", "0004"}, "val": {"0003"}}
    for number in (1, 2, 3, 4):
        assert np.array_equal(dataset.image(labelled_of(dataset, number)), picture(number - 1))


def test_axes_are_reversed_in_the_file_and_right_in_the_arrays(root):
    dataset = NYUv2(root)
    frame = labelled_of(dataset, 3)
    with h5py.File(root / MAT) as file:
        assert np.asarray(file["images"]).shape == (4, 3, SIZE[1], SIZE[0])
        assert np.asarray(file["labels"]).shape == (4, SIZE[1], SIZE[0])
    assert dataset.image(frame).shape == (*SIZE, 3)
    dense = dataset.dense(frame)
    assert dense is not None and dense.shape == SIZE


def test_labels_become_train_ids_and_unlabelled_is_ignored(root):
    dataset = NYUv2(root)
    dense, fine = dataset.dense(labelled_of(dataset, 1)), labels()
    assert dense is not None
    for label, (name, target) in enumerate(zip(FINE, MAP, strict=True), 1):
        assert set(dense[fine == label]) <= {target - 1}, name
    assert np.all(dense[fine == 0] == IGNORE) and np.all(dense[fine == 99] == IGNORE)
    assert np.all(dense[fine == 1] == 0), "wall is 0, not 1"
    assert np.all(dense[fine == 4] == 39), "otherprop is the last class and not cut off"


def test_video_frames_have_no_labels(root):
    dataset = NYUv2(root)
    frame = next(frame for frame in scene_of(dataset, "office_0002").frames if not frame.labelled)
    assert dataset.dense(frame) is None and dataset.instances(frame) is None
    with pytest.raises(Unsupported, match=frame.id):
        dataset.weak(frame, "points", 0)


def test_instance_ids_of_high_labels_do_not_overflow(root):
    for field, value in (("labels", 894), ("instances", 255)):
        replaced(field, lambda values, value=value: np.full_like(values, value))(root)
    dataset = NYUv2(root)
    found = dataset.instances(labelled_of(dataset, 1))
    assert found is not None and set(found.ravel()) == {256 * 894 + 255}


def test_labels_beyond_the_names_are_counted(root):
    dataset = NYUv2(root)
    assert dataset.unknown_ids(labelled_of(dataset, 1)) == {99: 16}


def test_instances_count_anew_for_each_label(root):
    dataset = NYUv2(root)
    found, fine, numbers = dataset.instances(labelled_of(dataset, 1)), labels(), instances()
    assert found is not None
    assert np.unique(found[20:40, 10:30][found[20:40, 10:30] > 0]).size == 2, "two chairs numbered 1"
    for ids in np.unique(found):
        assert len({(int(a), int(b)) for a, b in zip(fine[found == ids], numbers[found == ids], strict=True)}) == 1
    assert np.all(found[fine == 0] == 0)


def test_scenes_hold_labelled_frames_and_the_video_around_in_order_of_time(root):
    dataset = NYUv2(root)
    assert [scene.id for scene in dataset.scenes("train")] == ["bedroom_0001a", "kitchen_0003"]
    assert [scene.id for scene in dataset.scenes("val")] == ["office_0002"]
    bedroom, kitchen = dataset.scenes("train")
    assert [frame.id for frame in kitchen.frames] == ["0001"], "rooms without a raw folder have only their frames"
    times = [frame.time for frame in bedroom.frames]
    # 14 pictures, of which 2 are the labelled ones and 2 overlap
    assert times == pytest.approx([k / 10 for k in range(12)], abs=1e-5)
    assert [frame.id for frame in bedroom.frames if frame.labelled] == ["0002", "0004"]
    assert times[[frame.id for frame in bedroom.frames].index("0004")] == pytest.approx(0.8, abs=1e-5)
    assert all(frame.image.suffix == (".mat" if frame.labelled else ".ppm") for frame in bedroom.frames)


def test_a_room_on_both_sides_of_the_split_is_a_scene_on_each(root):
    write_lists(root, train=(1, 3, 2), test=(4,))
    dataset = NYUv2(root)
    assert [scene.id for scene in dataset.scenes("train")] == ["bedroom_0001a-train", "kitchen_0003", "office_0002"]
    assert [scene.id for scene in dataset.scenes("val")] == ["bedroom_0001a-val"]
    train, val = scene_of(dataset, "bedroom_0001a-train"), scene_of(dataset, "bedroom_0001a-val")
    assert [[f.id for f in scene.frames if f.labelled] for scene in (train, val)] == [["0002"], ["0004"]]
    shared = {frame.id for frame in train.frames} & {frame.id for frame in val.frames}
    assert not shared and len(train.frames) + len(val.frames) == 12
    middle = (LABELLED[1][1] + LABELLED[3][1]) / 2 + START
    assert all(seconds_in(frame) <= middle + 1e-4 for frame in train.frames if not frame.labelled)
    assert all(seconds_in(frame) >= middle - 1e-4 for frame in val.frames if not frame.labelled)


def test_the_raw_picture_of_a_labelled_frame_is_not_given_twice(root):
    dataset = NYUv2(root)
    stems = [frame.image.stem for frame in scene_of(dataset, "office_0002").frames if not frame.labelled]
    assert raw_name("r", LABELLED[2][1]) not in stems and len(stems) == len(set(stems)) == 6


def test_video_far_from_labelled_frames_and_repeated_moments_are_left_out(root):
    folder = root / "raw/office_0002"
    for seconds in (400, 497.5, 503):
        write_ppm(folder / f"{raw_name('r', seconds)}.ppm", picture(0))
    write_ppm(folder / f"r-{START + 500.35:.6f}-1.ppm", picture(0))
    write_ppm(folder / f"r-{START + 501:.6f}-1.ppm", picture(0))
    frames = scene_of(NYUv2(root), "office_0002").frames
    assert len(frames) == 8 and frames[-1].id == f"office_0002__r-{START + 501:.6f}-1"


def test_order_is_that_of_time_and_not_of_names(tmp_path):
    for seconds in ("999999999.9", "1000000000.1", "1000000000.05"):
        write_ppm(tmp_path / f"r-{seconds}-7.ppm", picture(0))
    video, damaged = windows(tmp_path, np.array([1e9]), frozenset(), SIZE)
    assert [stem for _, stem, _, _ in video] == ["r-999999999.9-7", "r-1000000000.05-7", "r-1000000000.1-7"]
    assert not damaged


def test_windows_are_what_a_loop_over_all_pairs_finds(tmp_path):
    rng = np.random.default_rng(0)
    labelled = np.array([5.0, 2.0, 9.5])
    times = {kind: [f"{t:.3f}" for t in np.unique(rng.uniform(0, 14, 60).round(3))] for kind in "rd"}
    for time in times["r"]:
        (tmp_path / f"r-{time}-1.ppm").write_bytes(bytes(4))
    for time in times["d"]:
        (tmp_path / f"d-{time}-1.pgm").write_bytes(bytes(4))
    expected = []
    for time in sorted(times["r"], key=float):
        apart = [abs(float(time) - moment) for moment in labelled]
        depth = min(times["d"], key=lambda other: abs(float(other) - float(time)))
        beside = f"d-{depth}-1" if abs(float(depth) - float(time)) <= toolbox.SLACK else ""
        if min(apart) <= WINDOW:
            expected.append((apart.index(min(apart)), f"r-{time}-1", float(time), beside))
    assert {bool(row[3]) for row in expected} == {True, False} and len(expected) < len(times["r"])
    assert windows(tmp_path, labelled, frozenset(), (1, 1)) == (expected, [])
    assert windows(tmp_path / "absent", labelled, frozenset(), (1, 1)) == ([], [])


def test_the_pointer_of_the_toolbox_finds_the_nearest():
    rng = np.random.default_rng(0)
    times, others = np.sort(rng.uniform(0, 10, 300)), np.sort(rng.uniform(0, 10, 200))
    pointer, expected = 0, []
    for time in times:
        while pointer + 1 < len(others) and abs(others[pointer + 1] - time) < abs(others[pointer] - time):
            pointer += 1
        expected.append(pointer)
    assert np.array_equal(toolbox.nearest(times, others), expected)
    assert np.array_equal(toolbox.nearest(times, others[:1]), np.zeros(300))


@pytest.mark.parametrize("raw", ["raw", "."])
def test_raw_folders_may_lie_below_raw_or_beside_the_files(tmp_path, raw):
    dataset = NYUv2(write_nyuv2(tmp_path / "nyuv2", raw))
    assert len(scene_of(dataset, "office_0002").frames) == 7


def test_raw_pictures_are_undistorted_to_the_camera_of_the_labelled_ones(tmp_path):
    """A grid seen through the lens is straight again, where the stated pinhole camera sees its corners."""
    root = write_nyuv2(tmp_path / "nyuv2")
    frame = next(f for f in scene_of(NYUv2(root), "office_0002").frames if not f.labelled)
    camera = NYUv2(root).cameras(scene_of(NYUv2(root), "office_0002"))[0]
    assert camera is not None and camera.distortion is None and camera.world_from_camera is None
    rows, columns = np.indices(SIZE, np.float64)
    x, y = (columns - camera.intrinsics[0, 2]) / camera.intrinsics[0, 0], (rows - camera.intrinsics[1, 2])
    y = y / camera.intrinsics[1, 1]
    flat = cv2.undistortPoints(np.stack([x, y], -1).reshape(-1, 1, 2), np.eye(3), np.array(COLOR_LENS)).reshape(
        *SIZE, 2
    )  # what each raw pixel looks at

    def pattern(x, y):
        return (120 + 60 * np.sin(9 * x) + 60 * np.cos(8 * y)).astype(np.uint8)

    write_ppm(frame.image, np.stack([pattern(flat[..., 0], flat[..., 1])] * 3, -1))
    seen = NYUv2(root).image(frame)[4:-4, 4:-4, 0].astype(int)
    error = np.abs(seen - pattern(x, y)[4:-4, 4:-4])
    as_stored = np.abs(read_image(frame.image)[4:-4, 4:-4, 0].astype(int) - pattern(x, y)[4:-4, 4:-4])
    assert np.percentile(error, 99) <= 4 < np.percentile(as_stored, 99)


def test_the_principal_point_counts_from_zero_and_scales_about_the_edge():
    full = toolbox.color_intrinsics((480, 640))
    assert full[0, 2] == pytest.approx(324.58244941119034) and full[1, 2] == pytest.approx(252.73616633400465)
    half = toolbox.color_intrinsics((240, 320))
    assert half[0, 2] + 0.5 == pytest.approx((full[0, 2] + 0.5) / 2) and half[0, 0] == pytest.approx(full[0, 0] / 2)


@pytest.mark.parametrize("size", [(480, 640), SIZE])
def test_projection_is_the_toolboxes(size):
    """Same depth at the same pixels, but for its nearest-neighbour sampling of the depth image."""
    raw = raw_depth(0, size)
    points = toolbox.project(raw)
    found = np.zeros(size)
    found[points.pixel[:, 0], points.pixel[:, 1]] = points.depth
    compared = {}
    for name, sign, transpose in (("right", -1, False), ("translation", 1, False), ("rotation", -1, True)):
        expected = like_the_toolbox(raw, sign=sign, transpose=transpose)
        both = (found > 0) & (expected > 0)
        assert both.mean() > 0.6
        steps = np.abs(np.diff(expected, axis=1, append=0)) > 0.5  # the box's edges and the holes
        compared[name] = (
            np.mean((expected > 0)[:, 1:] & ~steps[:, 1:] & (found == 0)[:, 1:]),
            np.mean(np.abs(found - expected)[both] > 0.3),
        )
    assert compared["right"][1] < (0.002 if size == (480, 640) else 0.015)
    assert compared["translation"][1] > 3 * compared["right"][1]
    if size == (480, 640):
        assert compared["rotation"][1] > 3 * compared["right"][1]


def test_rays_of_the_depth_camera_pass_its_lens():
    """Through the published lens, each pixel's ray meets that pixel, which the publisher counts from 1."""
    rays = toolbox.rays(toolbox.depth_intrinsics((480, 640)), toolbox.DEPTH_DISTORTION, (480, 640))
    published = np.array([[582.62448167737955, 0, 313.04475870804731], [0, 582.69103270988637, 238.44389626620386],
                          [0, 0, 1]])  # fmt: skip
    pixels = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), published, np.array(DEPTH_LENS))[0]
    rows, columns = np.indices((480, 640))
    assert np.abs(pixels[:, 0] - np.column_stack([columns.ravel(), rows.ravel()]) - 1).max() < 0.01


def test_the_colour_camera_is_to_the_right_of_the_depth_camera():
    centre = np.linalg.inv(toolbox.COLOR_FROM_DEPTH)[:3, 3]
    assert centre == pytest.approx([0.025, 0, 0], abs=0.0012)
    assert np.linalg.det(toolbox.COLOR_FROM_DEPTH[:3, :3]) == pytest.approx(1, abs=1e-6)


def test_raw_and_labelled_depth_of_one_moment_coincide(root):
    """The fact that a wrong sign or a wrong endianness breaks: a raw depth image falls on ``rawDepths``."""
    write_pgm(next((root / "raw/office_0002").glob(f"{raw_name('d', 500.362)}.pgm")), raw_depth(2))
    dataset = NYUv2(root)
    scene = scene_of(dataset, "office_0002")
    here = [frame.labelled for frame in scene.frames].index(True)
    sweeps = [dataset.sweep(scene, index) for index in (here, here + 1)]
    maps = []
    for sweep in sweeps:
        assert sweep is not None and sweep.pixel is not None and not sweep.in_world
        depth = np.zeros(SIZE)
        depth[sweep.pixel[:, 0], sweep.pixel[:, 1]] = sweep.xyz[:, 2]
        maps.append(depth)
    both = (maps[0] > 0) & (maps[1] > 0)
    assert both.mean() > 0.6
    assert np.mean(np.abs(maps[0] - maps[1])[both] > 0.05) < 0.03


def test_points_lie_on_the_rays_of_their_pixels(root):
    dataset = NYUv2(root)
    for split in ("train", "val"):
        for scene in dataset.scenes(split):
            camera = dataset.cameras(scene)[0]
            assert camera is not None
            for index, frame in enumerate(scene.frames):
                sweep = dataset.sweep(scene, index)
                assert sweep is not None and sweep.pixel is not None
                image = sweep.xyz @ camera.intrinsics.T
                error = np.abs(image[:, :2] / image[:, 2:] - sweep.pixel[:, ::-1])
                assert error.max() < (1e-6 if frame.labelled else 0.5 + 1e-6)
                assert len(np.unique(sweep.pixel, axis=0)) == len(sweep.pixel) > 1000
                assert np.allclose(sweep.origin, [-0.025, 0.0003, -0.0007], atol=1e-4)


def test_missing_and_saturated_depth_gives_no_point(root):
    def change(depths):
        depths[0, :10], depths[0, 10:20], depths[0, 20:] = 0, 10, 3
        return depths

    replaced("rawDepths", change)(root)
    dataset = NYUv2(root)
    sweep = dataset.sweep(scene_of(dataset, "kitchen_0003"), 0)
    assert sweep is not None and sweep.pixel is not None
    assert sweep.pixel[:, 1].min() == 20 and len(sweep.pixel) == 44 * 48 and np.allclose(sweep.xyz[:, 2], 3)
    assert toolbox.project(np.full(SIZE, 2047, np.uint16)).xyz.shape == (0, 3)
    assert toolbox.project(np.full(SIZE, 1080, np.uint16)).xyz.shape == (0, 3)


def test_depth_more_than_40_ms_away_is_none(root):
    (frame,) = (f for f in scene_of(NYUv2(root), "office_0002").frames if f.image.stem == raw_name("r", 500.35))
    (root / f"raw/office_0002/{raw_name('d', 500.362)}.pgm").unlink()
    dataset = NYUv2(root)
    scene = scene_of(dataset, "office_0002")
    gone = [index for index in range(len(scene.frames)) if dataset.sweep(scene, index) is None]
    assert [scene.frames[index].id for index in gone] == [frame.id]


def test_bytes_of_depth_are_little_endian(root):
    path = next((root / "raw/office_0002").glob("d-*.pgm"))
    assert toolbox.read_depth(path, SIZE).max() == 2047
    head, _, body = path.read_bytes().partition(b"65535\n")
    path.write_bytes(head + b"65535\n" + np.frombuffer(body, "<u2").astype(">u2").tobytes())
    with pytest.raises(DatasetError, match=rf"{path} holds .* its bytes are swapped"):
        toolbox.read_depth(path, SIZE)


def test_files_that_cannot_hold_a_picture_are_left_out_and_told(root):
    folder = root / "raw/office_0002"
    color, depth = sorted(folder.glob("r-*.ppm"))[0], sorted(folder.glob("d-*.pgm"))[-1]
    color.write_bytes(b"")
    depth.write_bytes(depth.read_bytes()[:100])
    (folder / "r-late.ppm").write_bytes(color.read_bytes())
    dataset = NYUv2(root)
    scene = scene_of(dataset, "office_0002")
    assert color.stem not in {frame.id.partition("__")[2] for frame in scene.frames} and len(scene.frames) == 6
    assert dataset.sweep(scene, len(scene.frames) - 1) is None
    assert set(dataset.left_out()) == {color, depth, folder / "r-late.ppm"}


def test_the_depth_image_known_to_be_bad_is_left_out(tmp_path):
    (name,) = KNOWN_BAD
    time = toolbox.seconds(name[:-4]) or 0.0
    write_pgm(tmp_path / name, raw_depth())
    write_ppm(tmp_path / f"r-{time}-1.ppm", picture(0))
    video, damaged = windows(tmp_path, np.array([time]), frozenset(), SIZE)
    assert damaged == [name] and [depth for *_, depth in video] == [""]


def test_the_index_is_kept_and_made_anew_when_a_folder_changes(root, index):
    assert len(scene_of(NYUv2(root), "office_0002").frames) == 7
    kept = list(index.iterdir())
    assert len(kept) == 1
    assert all(array.dtype.kind in "iUf" for array in np.load(kept[0], allow_pickle=False).values()), "no pickles"
    assert scene_of(NYUv2(root), "office_0002") == scene_of(NYUv2(root), "office_0002")
    write_ppm(root / f"raw/office_0002/{raw_name('r', 501)}.ppm", picture(0))
    assert len(scene_of(NYUv2(root), "office_0002").frames) == 8


def test_an_opened_dataset_can_be_sent_to_another_process(root):
    dataset = NYUv2(root)
    frame = labelled_of(dataset, 1)
    dataset.image(frame)
    other = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(other.image(frame), dataset.image(frame))


def test_a_test_split_is_not_offered(root):
    with pytest.raises(UsageError, match="no split 'test'; use train or val"):
        NYUv2(root).scenes("test")


@pytest.mark.parametrize("name", [MAT, "splits.mat", "classMapping40.mat"])
def test_a_missing_file_is_named_with_the_expected_tree(root, name):
    (root / name).unlink()
    with pytest.raises(DatasetMissing, match=rf"{root / name} does not exist(.|\n)*splits.mat"):
        NYUv2(root)


def use(dataset):
    """Read everything."""
    for split in ("train", "val"):
        for scene in dataset.scenes(split):
            dataset.cameras(scene)
            for index, frame in enumerate(scene.frames):
                image, dense = dataset.image(frame), dataset.dense(frame)
                assert image.shape == (*SIZE, 3) and (dense is None or dense.shape == SIZE)
                dataset.instances(frame)
                sweep = dataset.sweep(scene, index)
                assert sweep is None or np.isfinite(sweep.xyz).all()


def edit(change):
    def apply(root):
        with h5py.File(root / MAT, "r+") as file:
            change(file)

    return apply


def replaced(field, make):
    def change(file):
        values = file[field][()]
        del file[field]
        file[field] = make(values)

    return edit(change)


def pointing_at(target):
    def change(file):
        references = file["scenes"][()]
        references[0, 1] = h5py.Reference() if target is None else file[target].ref
        file["scenes"][...] = references

    return change


def absolute_name(file):
    reference = file["rawRgbFilenames"][0, 1]
    del file["#refs#/rawRgbFilenames1"]
    text = np.array([[ord(c)] for c in "../../etc/r-1.0-1.ppm"], np.uint16)
    references = file["rawRgbFilenames"][()]
    references[0, 1] = file.create_dataset("#refs#/other", data=text).ref
    file["rawRgbFilenames"][...] = references
    assert reference


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda root: (root / MAT).write_bytes(b"<html>Please log in</html>"), f"{MAT}: images cannot be read"),
        (lambda root: (root / MAT).write_bytes(b""), f"{MAT}: images cannot be read"),
        (lambda root: (root / MAT).write_bytes((root / "splits.mat").read_bytes()), f"{MAT}: images cannot be read"),
        (edit(lambda file: file.pop("labels")), f"{MAT}: labels cannot be read"),
        (edit(lambda file: file.pop("names")), f"{MAT}: names cannot be read"),
        (edit(lambda file: file.pop("scenes")), f"{MAT}: scenes cannot be read"),
        (replaced("labels", lambda values: values[:, :-1]), f"{MAT}: labels has shape .* does not fit images"),
        (replaced("rawDepths", lambda values: values[:-1]), f"{MAT}: rawDepths has shape .* does not fit images"),
        (replaced("images", lambda values: values.transpose(0, 2, 3, 1)), f"{MAT}: images has shape"),
        (replaced("images", lambda values: values[0]), f"{MAT}: images has shape"),
        (replaced("labels", lambda values: values.astype(np.int64)), f"{MAT}: labels holds int64, expected uint16"),
        (replaced("scenes", lambda values: np.zeros(4)), f"{MAT}: scenes cannot be read"),
        (replaced("scenes", lambda values: "bedroom"), f"{MAT}: scenes"),
        (edit(lambda file: (file.pop("labels"), file.create_group("labels"))), f"{MAT}: labels is no array"),
        (edit(pointing_at(None)), f"{MAT}: scenes cannot be read"),
        (edit(pointing_at("#refs#")), f"{MAT}: scenes cannot be read"),
        (edit(pointing_at("images")), rf"{MAT}: scenes\[1\] is no text"),
        (edit(absolute_name), rf"{MAT}: rawRgbFilenames\[1\] is '\.\./\.\./etc"),
        (lambda root: write_lists(root, train=(0, 1, 3), test=(2,)), "splits.mat must name each of the 4"),
        (lambda root: write_lists(root, train=(1, 2, 4, 5)), "splits.mat must name each of the 4"),
        (lambda root: write_lists(root, train=(1, 2)), "splits.mat must name each of the 4"),
        (lambda root: write_lists(root, train=(1, 2, 3, 4)), "splits.mat must name each of the 4"),
        (lambda root: (root / "splits.mat").write_bytes((root / "classMapping40.mat").read_bytes()),
         "splits.mat: trainNdxs, testNdxs cannot be read"),
        (lambda root: (root / "splits.mat").write_bytes(b""), "splits.mat: trainNdxs, testNdxs cannot be read"),
        (lambda root: (root / "classMapping40.mat").write_bytes(b"MATLAB"), "classMapping40.mat: mapClass"),
        (lambda root: write_mat(root / MAT, labelled=LABELLED[:3]), "splits.mat must name each of the 3"),
    ],
)  # fmt: skip
def test_damage_is_told_with_file_and_field(root, damage, complaint):
    damage(root)
    with pytest.raises(DatasetError, match=complaint) as raised:
        use(NYUv2(root))
    assert "\n" not in str(raised.value) and re.search(r"download|release", str(raised.value))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"mapClass": np.array([MAP[:-1]])}, "maps 6 names, which are not the 7"),
        ({"mapClass": np.array([(0, *MAP[1:])])}, r"mapClass must lie within 1 \.\.\. 40"),
        ({"mapClass": np.array([(41, *MAP[1:])])}, r"mapClass must lie within 1 \.\.\. 40"),
        ({"className": CLASSES[1:]}, "className is not the official list of 40"),
        ({"className": (*CLASSES[1:], "wall")}, "className is not the official list of 40"),
        ({"allClassName": FINE[::-1]}, "which are not the 7 names"),
    ],
)
def test_a_mapping_for_other_names_is_refused(root, values, complaint):
    whole = {"mapClass": np.array([MAP]), "className": CLASSES, "allClassName": FINE, **values}
    cells = {}
    for name, value in whole.items():
        if isinstance(value, tuple):
            array = np.empty((1, len(value)), object)
            array[0] = value
            value = array
        cells[name] = value
    savemat(root / "classMapping40.mat", cells)
    with pytest.raises(DatasetError, match=complaint):
        use(NYUv2(root))


@pytest.mark.parametrize("kind", ["r-*.ppm", "d-*.pgm"])
def test_a_raw_file_that_is_damaged_inside_is_told_when_it_is_read(root, kind):
    for path in sorted((root / "raw/office_0002").glob(kind)):
        content = path.read_bytes()
        path.write_bytes(content[:-1])
    dataset = NYUv2(root)
    scene = scene_of(dataset, "office_0002")
    index = [frame.labelled for frame in scene.frames].index(False)
    with pytest.raises(DatasetError, match=r"office_0002/.* (truncated|cannot be decoded)"):
        dataset.image(scene.frames[index])
        dataset.sweep(scene, index)


def test_raw_pictures_of_another_size_are_refused(root):
    for path in (root / "raw/office_0002").iterdir():
        if path.suffix == ".ppm":
            write_ppm(path, np.zeros((96, 128, 3), np.uint8))
        elif path.suffix == ".pgm":
            write_pgm(path, raw_depth(0, (96, 128)))
    dataset = NYUv2(root)
    scene = scene_of(dataset, "office_0002")
    index = [frame.labelled for frame in scene.frames].index(False)
    with pytest.raises(DatasetError, match="has 96 x 128 pixels, the labelled frames 48 x 64"):
        dataset.image(scene.frames[index])
    with pytest.raises(DatasetError, match="has 96 x 128 pixels up to 65535, expected 48 x 64"):
        dataset.sweep(scene, index)


@pytest.mark.parametrize("compressed", [True, False])
def test_files_of_version_5_are_read_as_scipy_reads_them(root, compressed):
    write_lists(root, compressed=compressed)
    ours, theirs = matlab5.read(root / "splits.mat"), loadmat(root / "splits.mat")
    for name in ("trainNdxs", "testNdxs"):
        assert np.array_equal(ours[name], theirs[name]) and theirs[name].shape == np.shape(ours[name])
    mapping = matlab5.read(root / "classMapping40.mat")
    assert tuple(mapping["className"]) == CLASSES and tuple(mapping["allClassName"]) == FINE
    assert np.array_equal(mapping["mapClass"], [MAP])
    values = {"a": np.arange(6.0).reshape(2, 3), "b": -300, "long": "text", "flag": True, "c": {"no": 1}, "z": 1j}
    savemat(root / "other.mat", values, do_compression=compressed)
    other = matlab5.read(root / "other.mat")
    assert np.array_equal(other["a"], values["a"]) and other["b"] == [[-300]] and other["long"] == "text"


@pytest.mark.parametrize(
    "name", [MAT, "splits.mat", "classMapping40.mat", "splits.mat uncompressed", "classMapping40.mat uncompressed",
             "ppm", "pgm"]
)  # fmt: skip
def test_any_damage_gives_a_benchmark_error_or_arrays(root, index, name):
    """Truncated anywhere, with flipped bytes anywhere, or in the place of another file."""
    write_lists(root, compressed=not name.endswith("uncompressed"))
    name = name.partition(" ")[0]
    path = root / name if name.endswith("mat") else next(iter(sorted((root / "raw/office_0002").glob(f"*.{name}"))))
    whole, rng = path.read_bytes(), np.random.default_rng(len(name))
    damaged = [whole[: int(rng.integers(len(whole)))] for _ in range(6)] + [b"", b"\0" * len(whole)]
    damaged += [other.read_bytes() for other in (root / MAT, root / "splits.mat", next(root.rglob("*.pgm")))]
    for round in range(24):
        content = np.frombuffer(whole, np.uint8).copy()
        reach = len(content) if round % 2 else min(len(content), 4096 if name.endswith("mat") else 16)  # the header
        places = rng.integers(0, reach, 3)
        content[places] ^= (1 << rng.integers(0, 8, 3)).astype(np.uint8)
        damaged.append(content.tobytes())
    told = 0
    for content in damaged:
        path.write_bytes(content)
        shutil.rmtree(index, ignore_errors=True)
        try:
            use(NYUv2(root))
        except BenchmarkError as error:
            assert "\n" not in str(error) and str(root) in str(error)
            told += 1
    assert told >= 8

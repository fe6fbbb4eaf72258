import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import waymo_tree as tree
from waymo_tree import CAMERAS, DIVISORS, LABELLED, SEGMENTS, START, STEPS, UNLABELLED, write_waymo

from wsss.benchmark.dataset import DatasetMissing
from wsss.benchmark.errors import DatasetError, Unsupported, UsageError
from wsss.benchmark.geometry.cameras import project
from wsss.benchmark.randomness import stream
from wsss.benchmark.types import IGNORE
from wsss.datasets._waymo_geometry import camera as to_camera
from wsss.datasets._waymo_geometry import world_points
from wsss.datasets._waymo_labels import DEFINED_IDS, TABLE, read_jpeg, train_ids
from wsss.datasets._waymo_records import CameraCalibration, ImagePose, Laser, LaserCalibration, Scan, reading
from wsss.datasets.waymo import Waymo

RELEASES = pytest.mark.parametrize("release", ["v1", "v2"])
FIRST, SECOND = SEGMENTS["training"]
LIDAR = ("lidar", "lidar_pose", "lidar_calibration", "vehicle_pose")
COMPONENTS = ("camera_image", "camera_segmentation", "camera_calibration", *LIDAR)


@pytest.fixture(autouse=True)
def own_working_folder(tmp_path, monkeypatch):
    """Where indices are cached."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tree in both releases that no test changes."""
    return write_waymo(tmp_path_factory.mktemp("whole") / "waymo", release="both")


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "waymo")


def opened(root, **options) -> Any:
    """The dataset, untyped: what may be None is there in these trees."""
    return Waymo(root, **options)


def file_of(root, part, segment=FIRST, split="training"):
    if part == "tfrecord":
        return root / split / f"segment-{segment}_with_camera_labels.tfrecord"
    return root / split / part / f"{segment}.parquet"


def plain(camera):
    if camera is None:
        return None
    shutter = camera.shutter
    moved = (
        None
        if shutter is None
        else (shutter.towards, shutter.first, shutter.readout, *shutter.linear, *shutter.angular)
    )
    return camera.intrinsics.tobytes(), camera.distortion.tobytes(), camera.world_from_camera.tobytes(), moved


def everything(dataset, *, lidar=True, cameras=True):
    """All that a dataset says about its training scenes, comparable."""
    found = []
    for scene in dataset.scenes("train"):
        found += [scene.id, [plain(camera) for camera in dataset.cameras(scene)] if cameras else None]
        for index, frame in enumerate(scene.frames):
            found += [frame.id, frame.labelled, frame.time, frame.camera, dataset.image(frame).tobytes()]
            for label in (dataset.dense(frame), dataset.instances(frame)):
                found.append(None if label is None else label.tobytes())
            if lidar:
                sweep = dataset.sweep(scene, index)
                found += [sweep.xyz.tobytes(), sweep.origin.tobytes(), sweep.in_world]
    return found


def frame_of(dataset, camera="FRONT", labelled=True, split="train"):
    scene = dataset.scenes(split)[0]
    index = next(i for i, f in enumerate(scene.frames) if f.camera == camera and f.labelled == labelled)
    return scene, index, scene.frames[index]


def number_of(frame):
    return next(number for number, (name, *_) in CAMERAS.items() if name == frame.camera)


def seconds_of(frame):
    """Since the tree's start."""
    return (int(frame.id.removesuffix(f"_{frame.camera}").rpartition("_")[2]) - START) * 1e-6


@pytest.mark.parametrize("both_returns", [False, True])
def test_both_releases_say_the_same(whole, both_returns):
    found = [everything(opened(whole, release=release, both_returns=both_returns)) for release in ("v1", "v2")]
    assert found[0] == found[1]


def test_the_parquet_release_is_preferred_and_the_other_found(whole, tmp_path):
    assert frame_of(opened(whole))[2].image.suffix == ".parquet"
    assert frame_of(opened(write_waymo(tmp_path / "old", release="v1")))[2].image.suffix == ".tfrecord"


@RELEASES
def test_a_scene_is_a_segment_with_labels(whole, release):
    dataset = opened(whole, release=release)
    for split, folder in (("train", "training"), ("val", "validation")):
        assert [scene.id for scene in dataset.scenes(split)] == sorted(SEGMENTS[folder])  # and not UNLABELLED
    for scene in dataset.scenes("train"):
        cameras = ["FRONT", "FRONT_LEFT", "FRONT_RIGHT"]
        times = [START + step * 100_000 for step in range(STEPS)]
        assert [frame.id for frame in scene.frames] == [
            f"{scene.id}_{time}_{name}" for time in times for name in cameras
        ]
        assert [frame.time for frame in scene.frames] == pytest.approx([0, 0, 0, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2])
        assert [frame.labelled for frame in scene.frames] == [
            step in LABELLED for step in range(STEPS) for _ in cameras
        ]


@RELEASES
def test_an_unlabelled_frame_has_none(whole, release):
    dataset = opened(whole, release=release)
    frame = frame_of(dataset, labelled=False)[2]
    assert dataset.dense(frame) is None and dataset.instances(frame) is None
    with pytest.raises(Unsupported, match=frame.id):
        dataset.weak(frame, "points", 0)


@RELEASES
def test_side_cameras_are_lower(whole, release):
    dataset = opened(whole, release=release, cameras=["SIDE_RIGHT", "FRONT"])
    scene = dataset.scenes("train")[0]
    assert [frame.camera for frame in scene.frames[:2]] == ["FRONT", "SIDE_RIGHT"]
    assert [dataset.image(frame).shape[0] for frame in scene.frames[:2]] == [tree.HEIGHT, tree.SIDE_HEIGHT]
    assert dataset.dense(scene.frames[1]).shape == (tree.SIDE_HEIGHT, tree.WIDTH)


def test_unknown_cameras_are_refused(whole):
    with pytest.raises(UsageError, match=r"FRONT_LEFFT.*did you mean 'FRONT_LEFT'"):
        opened(whole, cameras=["FRONT_LEFFT"])
    with pytest.raises(UsageError, match="at least one"):
        opened(whole, cameras=[])


def test_the_test_split_has_no_labels(whole):
    with pytest.raises(UsageError, match="public labels"):
        opened(whole).scenes("test")


def test_the_classes_are_those_of_the_evaluation():
    ids = [row[0] for row in TABLE]
    assert len(ids) == len(set(ids)) == 25
    assert frozenset(range(29)) - set(ids) == {0, 1, 27, 28} and frozenset(range(29)) == DEFINED_IDS
    assert Waymo.classes.names == (
        "car", "truck", "bus", "other large vehicle", "bicycle", "motorcycle", "trailer", "pedestrian", "cyclist",
        "motorcyclist", "bird", "ground animal", "construction cone or pole", "pole", "pedestrian object", "sign",
        "traffic light", "building", "road", "sidewalk", "vegetation", "ground", "lane marker", "road marker", "sky",
    )  # fmt: skip


def test_ids_become_train_ids_and_every_other_id_is_ignored():
    published = {
        2: 0, 3: 1, 4: 2, 5: 3, 6: 4, 7: 5, 8: 6, 9: 7, 10: 8, 11: 9, 12: 10, 13: 11, 14: 12, 15: 13, 16: 14, 17: 15,
        18: 16, 19: 17, 20: 18, 23: 19, 24: 20, 26: 21, 21: 22, 22: 23, 25: 24,
    }  # fmt: skip
    for divisor in (1000, 500, 256):
        table = train_ids(divisor)
        for value in (0, 1, divisor - 1):  # whatever the instance
            ids = range((1 << 16) // divisor)
            assert [table[id * divisor + value] for id in ids] == [published.get(id, IGNORE) for id in ids]
    assert set(train_ids(1)[29:]) == {IGNORE}, "ids beyond 8 bits too"


@RELEASES
def test_images_are_jpeg_and_their_channels_red_green_blue(whole, release):
    dataset = opened(whole, release=release)
    _, _, frame = frame_of(dataset)
    image, category = dataset.image(frame), tree.rendered(1, seconds_of(frame))[1]
    assert image.dtype == np.uint8
    for id, color in ((20, (128, 64, 128)), (25, (70, 130, 180))):
        assert np.abs(np.median(image[category == id], 0) - color).max() <= 25  # of which 20 are the checker's
    with pytest.raises(OSError, match="cannot identify"):
        read_jpeg(tree.encoded(image, "PNG"), None, "a PNG")


@RELEASES
def test_labels_are_16_bit_and_every_row_has_its_divisor(whole, release):
    dataset = opened(whole, release=release)
    for camera in ("FRONT", "FRONT_LEFT"):
        _, _, frame = frame_of(dataset, camera)
        number = number_of(frame)
        _, category, instance = tree.rendered(number, seconds_of(frame))
        train = np.full(256, IGNORE)
        train[[row[0] for row in TABLE]] = range(25)
        expected = train[category]
        expected[-3:], expected[0, :4] = IGNORE, IGNORE  # the ego vehicle, and an id that is not defined
        assert np.array_equal(dataset.dense(frame), expected)
        assert {0, 17, 18} <= set(np.unique(expected))
        instances = dataset.instances(frame)
        inside = np.s_[1:-3]
        assert np.array_equal(instances[inside], (category * DIVISORS[number] + instance)[inside])
        cars = {1, 2} if camera == "FRONT" else {3}
        assert {2 * DIVISORS[number] + car for car in cars} <= set(np.unique(instances))
        assert dataset.unknown_ids(frame) == {40: 4}


@RELEASES
def test_calibration_is_found_by_number_and_not_by_order(whole, release):
    dataset = opened(whole, release=release)
    scene = dataset.scenes("train")[0]
    directions = {1: "bottom", 2: "right", 3: "top", 4: "left"}
    for frame, camera in zip(scene.frames, dataset.cameras(scene), strict=True):
        number, t = number_of(frame), seconds_of(frame) + CAMERAS[number_of(frame)][2]
        f_u, f_v, c_u, c_v, *distortion = tree.intrinsic(number)
        assert np.array_equal(camera.intrinsics, [[f_u, 0, c_u - 0.5], [0, f_v, c_v - 0.5], [0, 0, 1]])
        assert np.array_equal(camera.distortion, distortion)
        pose = tree.vehicle(t) @ tree.VEHICLE_FROM_CAMERA[number]
        axes = camera.world_from_camera[:3, :3]
        assert np.allclose(axes, np.stack([-pose[:3, 1], -pose[:3, 2], pose[:3, 0]], axis=-1), atol=1e-12)
        assert np.array_equal(camera.world_from_camera[:3, 3], pose[:3, 3])
        shutter = camera.shutter
        assert shutter.towards == directions[tree.DIRECTIONS[number]]
        assert shutter.first == pytest.approx(-0.6 * tree.READOUT, abs=1e-6)
        assert shutter.readout == pytest.approx(tree.READOUT, abs=1e-6)
        step = 1e-4
        centre = [(tree.vehicle(t + dt) @ tree.VEHICLE_FROM_CAMERA[number])[:3, 3] for dt in (-step, step)]
        assert shutter.linear == pytest.approx((centre[1] - centre[0]) / (2 * step), abs=1e-5)
        assert shutter.angular == pytest.approx([0, 0, tree.TURN], abs=1e-9)


def test_angular_velocity_is_read_in_vehicle_axes():
    """On the side of a hill: the vehicle's own axes are far from the world's."""
    turn = tree.rotation(0.5, -0.7, 1.9)
    calibration = CameraCalibration(
        intrinsic=tree.intrinsic(1), vehicle_from_camera=tree.VEHICLE_FROM_CAMERA[2], size=(64, 96), direction=2
    )
    linear, angular = np.array([3.0, -2, 1]), np.array([0.3, -0.2, 0.9])
    pose = ImagePose(
        world_from_vehicle=tree.transform(turn, np.array([5.0, 6, 7])),
        linear=linear,
        angular=angular,
        clock=np.array([1, 0.01, 0.9, 1]),
    )
    shutter = to_camera(calibration, pose).shutter
    assert shutter is not None
    assert shutter.angular == pytest.approx(turn @ angular)
    lever = tree.VEHICLE_FROM_CAMERA[2][:3, 3]
    assert shutter.linear == pytest.approx(linear + turn @ np.cross(angular, lever))


@pytest.mark.parametrize("direction", [0, 5])
def test_a_global_or_unknown_shutter_is_none(direction):
    calibration = CameraCalibration(
        intrinsic=tree.intrinsic(1), vehicle_from_camera=np.eye(4), size=(64, 96), direction=direction
    )
    pose = ImagePose(world_from_vehicle=np.eye(4), linear=np.zeros(3), angular=np.zeros(3), clock=np.zeros(4))
    assert to_camera(calibration, pose).shutter is None


def wall_error(dataset, scene, index, camera, points):
    """99th percentile of the distance, in pixels, from points to what the picture shows where they appear."""
    frame = scene.frames[index]
    shown, _, _ = tree.rendered(number_of(frame), seconds_of(frame))
    seen = project(points, camera, shown.shape[:2])
    row, column = seen.pixel[seen.inside].T
    depth, target = seen.depth[seen.inside], points[seen.inside]
    inner = (row > 0) & (row < shown.shape[0] - 1) & (column > 0) & (column < shown.shape[1] - 1)
    row, column, depth, target = row[inner], column[inner], depth[inner], target[inner]
    top, left = row.astype(int), column.astype(int)
    down, right = (row - top)[:, None], (column - left)[:, None]
    corners = [shown[top + i, left + j] for i in (0, 1) for j in (0, 1)]
    weights = [(down if i else 1 - down) * (right if j else 1 - right) for i in (0, 1) for j in (0, 1)]
    with np.errstate(invalid="ignore"):
        hit = sum(corner * weight for corner, weight in zip(corners, weights, strict=True))
        spread = np.max([np.linalg.norm(corner - corners[0], axis=-1) for corner in corners], axis=0)
    smooth = spread < 0.05 * depth  # on one surface, and seen steeply enough to interpolate
    pixels = np.linalg.norm(hit - target, axis=-1)[smooth] / depth[smooth] * tree.intrinsic(1)[0]
    assert len(pixels) > 30
    return np.quantile(pixels, 0.99)


@pytest.mark.parametrize("camera", ["FRONT", "FRONT_LEFT", "FRONT_RIGHT"])
def test_lidar_falls_on_the_wall_that_the_picture_shows(whole, camera):
    dataset = opened(whole)
    scene, index, _ = frame_of(dataset, camera)
    assert wall_error(dataset, scene, index, dataset.cameras(scene)[index], dataset.sweep(scene, index).xyz) < 0.1


@pytest.mark.parametrize("camera", ["FRONT", "FRONT_LEFT", "FRONT_RIGHT"])
def test_the_pose_of_the_frame_is_not_that_of_its_images(whole, camera):
    dataset = opened(whole)
    scene, index, frame = frame_of(dataset, camera)
    right = dataset.cameras(scene)[index]
    number = number_of(frame)
    wrong = tree.vehicle(seconds_of(frame)) @ tree.VEHICLE_FROM_CAMERA[number]
    late = tree.vehicle(seconds_of(frame) + CAMERAS[number][2]) @ tree.VEHICLE_FROM_CAMERA[number]
    wrong = replace(right, world_from_camera=wrong @ np.linalg.inv(late) @ right.world_from_camera)
    assert wall_error(dataset, scene, index, wrong, dataset.sweep(scene, index).xyz) > 1


def test_top_is_placed_by_the_pose_of_every_pixel(copy):
    """With the frame's pose in place of each pixel's, the wall bends."""
    path = file_of(copy, "lidar_pose")
    table = pq.read_table(path)
    name = "[LiDARPoseComponent].range_image_return1.values"
    pixels = tree.TOP_SHAPE[0] * tree.TOP_SHAPE[1]
    poses = [np.tile(np.float32(tree.vehicle_numbers(0.1 * step)), pixels) for step in range(STEPS)]
    column = table.column_names.index(name)
    pq.write_table(table.set_column(column, name, pa.array(poses, table.field(name).type)), path)
    for camera in ("FRONT", "FRONT_LEFT", "FRONT_RIGHT"):
        dataset = opened(copy, release="v2")
        scene, index, _ = frame_of(dataset, camera)
        placed = dataset.cameras(scene)[index], dataset.sweep(scene, index).xyz
        assert wall_error(dataset, scene, index, *placed) > 1, camera


@RELEASES
def test_every_point_lies_on_the_wall_or_the_ground(whole, release):
    """Where rows were upside down, or azimuths off by the mounting's turn, points would leave both."""
    dataset = opened(whole, release=release, both_returns=True)
    scene = dataset.scenes("train")[1]
    sweep, first = dataset.sweep(scene, 3), opened(whole, release=release).sweep(scene, 3)
    assert len(first.xyz) < len(sweep.xyz) < 2 * len(first.xyz)
    assert sweep.xyz.dtype == np.float64 and sweep.in_world and sweep.pixel is None
    local = (sweep.xyz - tree.ORIGIN) @ tree.rotation(0, 0, 0.5)
    beside = np.minimum(np.abs(local[:, 0] - tree.WALL), np.abs(local[:, 2]))
    assert beside.max() < 0.02  # poses per pixel are float32, 35 km from the origin
    assert 0.2 < np.mean(np.abs(local[:, 0] - tree.WALL) < 0.02) < 0.8
    assert np.array_equal(sweep.origin, (tree.vehicle(0.1) @ tree.VEHICLE_FROM_TOP)[:3, 3])
    sizes = {len(dataset.sweep(scene, index).xyz) for index in (3, 4, 5)}
    assert sizes == {len(sweep.xyz)}  # the cameras of one timestamp share it
    assert not np.array_equal(dataset.sweep(scene, 6).xyz, dataset.sweep(scene, 3).xyz)


def test_camera_keys_of_strings_and_poses_of_float32_are_read(whole, tmp_path):
    """As in older files."""
    old = write_waymo(tmp_path / "old", names="string", poses="float")
    before, after = opened(whole, release="v2"), opened(old)
    assert [s.frames[0].id for s in after.scenes("train")] == [s.frames[0].id for s in before.scenes("train")]
    for scene, same in zip(after.scenes("train"), before.scenes("train"), strict=True):
        for index, frame in enumerate(scene.frames):
            assert np.array_equal(after.image(frame), before.image(same.frames[index]))
            poses = [d.cameras(s)[index].world_from_camera for d, s in ((after, scene), (before, same))]
            assert poses[0].dtype == np.float64 and np.abs(poses[0] - poses[1]).max() < 0.01
        assert np.abs(after.sweep(scene, 0).xyz - before.sweep(same, 0).xyz).max() < 0.01


def test_the_index_column_may_be_there_or_not(copy):
    before = everything(opened(copy, release="v2"))
    for path in copy.rglob("*.parquet"):
        table = pq.read_table(path)
        assert table.column_names[0] == "index"
        pq.write_table(table.drop_columns(["index"]), path)
    assert everything(opened(copy, release="v2")) == before


def test_row_groups_may_be_uneven_and_empty(copy):
    before = everything(opened(copy, release="v2"))
    for path in copy.rglob("*.parquet"):
        table = pq.read_table(path)
        with pq.ParquetWriter(path, table.schema) as writer:
            for first, last in ((0, 1), (1, 1), (1, 4), (4, max(4, len(table)))):
                writer.write_table(table.slice(first, last - first))
        groups = pq.ParquetFile(path).metadata
        assert groups.num_row_groups >= 3 or not len(table)
    assert everything(opened(copy, release="v2")) == before


def short_lidar(inclinations=None, turn=0.0):
    mounting = tree.transform(tree.rotation(0, 0, turn), (0, 0, 0))
    return LaserCalibration(vehicle_from_laser=mounting, inclinations=inclinations, lowest=-0.3, highest=0.3)


def points_of(calibration, pose, columns=4):
    image = np.zeros((3, columns, 4), np.float32)
    image[..., 0] = 10
    scan = Scan(world_from_vehicle=pose, lasers={2: Laser(returns=(image,), poses=None)}, calibrations={2: calibration})
    return world_points(scan).reshape(3, columns, 3)


@pytest.mark.parametrize("inclinations", [None, np.array([-0.2, 0.0, 0.2])])
def test_beam_inclinations_are_reversed(inclinations):
    heights = points_of(short_lidar(inclinations), np.eye(4))[:, 0, 2]
    assert heights == pytest.approx(10 * np.sin([0.2, 0, -0.2])), "row 0 is the highest beam"


def test_the_turn_of_a_lidars_mounting_is_taken_off_its_azimuths():
    straight, turned = (points_of(short_lidar(turn=turn), np.eye(4)) for turn in (0.0, 2.6))
    assert np.allclose(straight, turned, atol=1e-12)
    assert np.all(straight[:, 0, 0] < 0) and np.all(straight[:, 0, 1] > 0), "from behind on, clockwise: left first"


def test_worlds_are_float64_and_keep_millimetres_40_km_from_their_origin():
    near, far = np.eye(4), np.eye(4)
    far[:3, 3] = (40_000.001, -40_000.002, 50.003)
    points = [points_of(short_lidar(), pose) for pose in (near, far)]
    assert points[1].dtype == np.float64
    assert np.allclose(points[1] - points[0], far[:3, 3], rtol=0, atol=1e-9)


def test_images_and_labels_alone_are_enough(copy):
    for split in SEGMENTS:
        for part in ("camera_calibration", *LIDAR):
            shutil.rmtree(copy / split / part)
    dataset = opened(copy, release="v2")
    scene, index, frame = frame_of(dataset)
    assert dataset.dense(frame).shape == dataset.image(frame).shape[:2]
    assert dataset.cameras(scene) == (None,) * len(scene.frames)
    with pytest.raises(Unsupported, match="download component lidar of training"):
        dataset.sweep(scene, index)


@pytest.mark.parametrize("part", LIDAR[1:])
@pytest.mark.parametrize("folder", [True, False])
def test_lidar_without_what_places_it_is_an_error(copy, part, folder):
    shutil.rmtree(copy / "training" / part) if folder else file_of(copy, part).unlink()
    dataset = opened(copy, release="v2")
    scene, index, frame = frame_of(dataset)
    assert dataset.image(frame).any()
    with pytest.raises(DatasetError, match=rf"{part}.*does not exist.*download component {part} of training"):
        dataset.sweep(scene, index)


@pytest.mark.parametrize("part", ["camera_image", "camera_segmentation"])
def test_a_missing_component_is_named(copy, part):
    shutil.rmtree(copy / "training" / part)
    with pytest.raises(DatasetMissing) as raised:
        opened(copy, release="v2").scenes("train")
    assert raised.value.missing == copy / "training" / part


def test_labels_without_their_images_are_named(copy):
    file_of(copy, "camera_image").unlink()
    with pytest.raises(
        DatasetError, match=rf"camera_image/{FIRST}.parquet does not exist; download component camera_image of"
    ):
        opened(copy, release="v2").scenes("train")


def test_segments_without_labels_have_a_file_without_rows_or_columns_or_none(copy):
    before = [scene.id for scene in opened(copy, release="v2").scenes("train")]
    path = file_of(copy, "camera_segmentation", UNLABELLED)
    assert pq.ParquetFile(path).metadata.num_rows == 0
    pq.write_table(pa.table({}), path)
    assert [scene.id for scene in opened(copy, release="v2").scenes("train")] == before
    path.unlink()
    assert [scene.id for scene in opened(copy, release="v2").scenes("train")] == before == [FIRST, SECOND]


@RELEASES
def test_a_split_without_any_label_is_an_error_and_not_empty(copy, release):
    for segment in (FIRST, SECOND):
        for part in ("camera_segmentation", "tfrecord"):
            file_of(copy, part, segment).unlink()
    with pytest.raises(DatasetError, match=r"training has no image with a 2D label; download release 1\.4\.2"):
        opened(copy, release=release).scenes("train")


def test_images_of_unlabelled_segments_need_not_be_there(copy):
    before = everything(opened(copy, release="v2"))
    file_of(copy, "camera_image", UNLABELLED).unlink()
    assert everything(opened(copy, release="v2")) == before


def change(root, part, name, cell, row=0):
    """Replace one cell, or with None as ``cell`` the whole row, in a segment's file."""
    path = file_of(root, part)
    table = pq.read_table(path)
    full = next(column for column in table.column_names if column == name or column.endswith(f"].{name}"))
    if cell is None:
        pq.write_table(pa.concat_tables([table.slice(0, row), table.slice(row + 1)]), path)
        return
    values = table.column(full).to_pylist()
    values[row] = cell(values[row])
    column = pa.array(values, table.field(full).type)
    pq.write_table(table.set_column(table.column_names.index(full), full, column), path)


def nan(values):
    return [np.nan, *values[1:]]


@pytest.mark.parametrize(
    ("part", "name", "cell", "complaint"),
    [
        ("camera_image", "pose.transform", nan, "no finite rigid transform"),
        ("camera_image", "pose.transform", lambda v: [2 * x for x in v[:12]] + v[12:], "holds no rotation"),
        ("camera_image", "pose.transform", lambda v: None, "pose.transform holds NoneType"),
        ("camera_image", "velocity.linear_velocity.x", lambda v: np.inf, "velocity.*finite"),
        ("camera_image", "rolling_shutter_params.camera_readout_done_time", lambda v: 0.0, "neither can be negative"),
        ("camera_image", "key.camera_name", lambda v: 7, "unknown camera 7, known are 1 FRONT"),
        ("camera_image", "key.camera_name", lambda v: 2, "several rows with one key"),
        ("camera_image", "image", None, "no row for the labelled key.frame_timestamp_micros .* key.camera_name 1"),
        ("camera_image", "image", lambda v: v[:300], "image"),
        ("camera_image", "image", lambda v: b"", "cannot identify image"),
        ("camera_image", "image", lambda v: None, "image holds NoneType"),
        ("camera_image", "image", lambda v: jpeg((30, 40, 3)), "30 x 40 pixels, expected 64 x 96"),
        ("camera_image", "image", lambda v: jpeg((64, 96)), "mode L, expected RGB"),
        ("camera_image", "key.segment_context_name", lambda v: SECOND, f"rows of segment '{SECOND}'"),
        ("camera_segmentation", "panoptic_label", lambda v: png((30, 40), np.uint16), "expected 64 x 96"),
        (
            "camera_segmentation",
            "panoptic_label",
            lambda v: png((64, 96), np.uint8),
            "mode L, expected I;16",
        ),
        ("camera_segmentation", "panoptic_label", lambda v: v[:-60], "label|truncated|broken"),
        ("camera_segmentation", "panoptic_label", lambda v: jpeg((64, 96, 3)), "cannot identify image"),
        ("camera_segmentation", "panoptic_label_divisor", lambda v: 0, "a divisor of 0"),
        (
            "camera_segmentation",
            "key.frame_timestamp_micros",
            lambda v: 5,
            "camera_image.*no row for the labelled .* 5,",
        ),
        ("camera_calibration", "intrinsic.f_u", lambda v: -1.0, "focal lengths"),
        ("camera_calibration", "intrinsic.k1", lambda v: np.nan, "must be 9 finite numbers"),
        ("camera_calibration", "width", lambda v: 640, "expected 64 x 640"),
        ("camera_calibration", "rolling_shutter_direction", lambda v: 9, "unknown rolling shutter direction 9"),
        ("camera_calibration", "extrinsic.transform", None, "camera FRONT has no calibration"),
        ("vehicle_pose", "world_from_vehicle.transform", nan, "no finite rigid transform"),
        ("vehicle_pose", "world_from_vehicle.transform", None, "no row for key.frame_timestamp_micros"),
        ("lidar", "range_image_return1.values", lambda v: v[:-4], "values and shape"),
        ("lidar", "range_image_return1.values", nan, "a distance that is not finite"),
        ("lidar", "range_image_return1.shape", lambda v: [8, 96, 6], "expected .rows, columns, 4."),
        ("lidar", "key.laser_name", None, "no row for key.frame_timestamp_micros .* key.laser_name 1"),
        ("lidar", "key.laser_name", lambda v: 9, "unknown LiDAR 9"),
        ("lidar_pose", "range_image_return1.values", None, "no row for"),
        ("lidar_pose", "range_image_return1.shape", lambda v: [96, 8, 6], "poses of"),
        (
            "lidar_pose",
            "range_image_return1.values",
            lambda v: [np.nan] * len(v),
            "pose of a LiDAR's pixel is not finite",
        ),
        ("lidar_calibration", "beam_inclination.values", lambda v: v[1:], "7 beam inclinations for a range image of 8"),
        ("lidar_calibration", "beam_inclination.values", nan, "beam inclinations of a LiDAR are not finite"),
        ("lidar_calibration", "extrinsic.transform", None, "LiDAR TOP has no calibration|LiDAR 1 has no calibration"),
        ("lidar_calibration", "extrinsic.transform", lambda v: [0.0] * 16, "no finite rigid transform"),
    ],
)
def test_impossible_values_are_named_with_their_file(copy, part, name, cell, complaint):
    row = {"camera_calibration": 2, "lidar": 1, "lidar_calibration": 1}.get(part, 0)  # FRONT, and TOP
    change(copy, part, name, cell, row)
    with pytest.raises(DatasetError, match=complaint) as raised:
        everything(opened(copy, release="v2"))
    blamed = "camera_image" if name in ("width", "key.frame_timestamp_micros") else part
    assert f"training/{blamed}/{FIRST}.parquet" in str(raised.value)
    assert f"; download component {blamed} of training again" in str(raised.value)


def encoded(shape, dtype, kind):
    pixels = stream(0, "picture").integers(0, 256, shape).astype(dtype)
    return tree.encoded(pixels, kind)


def jpeg(shape):
    return encoded(shape, np.uint8, "JPEG")


def png(shape, dtype):
    return encoded(shape, dtype, "PNG")


def test_damaged_tfrecords_are_named(copy):
    path = file_of(copy, "tfrecord")
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    name = data.index(FIRST.encode())
    cases = {
        "the record at byte 0 is cut off": data[: length // 2],
        f"the record at byte {length + 16} is cut off": data[: length + 20],
        "wrong checksum of the record's length at byte 0": bytes([data[0] ^ 1]) + data[1:],
        "wrong checksum of the record at byte 0": data[: length // 2]
        + bytes([data[length // 2] ^ 4])
        + data[length // 2 + 1 :],
        "a frame of segment": data[:name] + b"9" + data[name + 1 :],
        "empty file": b"",
        "two records of one time": data[: length + 16] + data,
    }
    for complaint, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=complaint) as raised:
            everything(opened(copy, release="v1"))
        assert f"{path} is damaged" in str(raised.value) and "; download training again" in str(raised.value)


def test_too_little_memory_is_told_as_that(copy):
    path = file_of(copy, "lidar")
    with pytest.raises(DatasetError, match=r"lidar.*more memory than there is; .*smaller row groups"), reading(path):
        raise pa.ArrowMemoryError("malloc of size 9223372036854775807 failed")


def test_an_older_tfrecord_is_named(copy):
    path = file_of(copy, "tfrecord")
    path.rename(path.with_name(f"segment-{FIRST}.tfrecord"))
    with pytest.raises(
        DatasetError, match=rf"segment-{FIRST}\.tfrecord is not .*_with_camera_labels.tfrecord.*1\.4\.2"
    ):
        opened(copy, release="v1").scenes("train")


def test_the_index_is_made_anew_when_a_file_changes(copy, tmp_path):
    for release, part in (("v1", "tfrecord"), ("v2", "camera_segmentation")):
        assert len(opened(copy, release=release).scenes("train")) == 2
        file_of(copy, part).unlink()
        if release == "v2":
            file_of(copy, "camera_image").unlink()
        assert [scene.id for scene in opened(copy, release=release).scenes("train")] == [SECOND]


@RELEASES
def test_it_travels_to_another_process_with_open_files(whole, release):
    dataset = opened(whole, release=release)
    scene, index, frame = frame_of(dataset)
    image, sweep = dataset.image(frame), dataset.sweep(scene, index)
    copied = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(copied.image(frame), image) and np.array_equal(copied.sweep(scene, index).xyz, sweep.xyz)
    assert len(pickle.dumps(dataset)) < 10_000


def test_importing_it_does_not_import_pyarrow():
    command = "import sys, wsss.datasets.waymo; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def damaged(data, kind, rng):
    place = int(rng.integers(len(data)))
    if kind == "truncated":
        return data[:place]
    if kind == "empty":
        return b""
    if kind == "flipped":
        return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]
    if kind == "flipped at the end":  # where parquet keeps what describes the rest
        place = max(0, len(data) - 1 - int(rng.integers(3000)))
        return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]
    if kind == "overwritten":
        return data[:place] + bytes(32) + data[place + 32 :]
    return data[:place] + data[place + 1 :]


KINDS = {"truncated": 3, "empty": 1, "flipped": 6, "flipped at the end": 6, "overwritten": 3, "one byte short": 2}


@pytest.mark.parametrize("part", [*COMPONENTS, "tfrecord"])
def test_damage_is_told_or_changes_nothing(copy, part):
    release = "v1" if part == "tfrecord" else "v2"
    for path in copy.rglob("*.*"):
        if FIRST not in path.name:
            path.unlink()  # to be quick
    right = everything(opened(copy, release=release))
    path = file_of(copy, part)
    content = path.read_bytes()
    rng = stream(0, "damage", part)
    told = 0
    for kind, times in KINDS.items():
        for _ in range(times):
            path.write_bytes(damaged(content, kind, rng))
            try:
                found = everything(opened(copy, release=release))
            except DatasetError as error:
                told += 1
                assert str(path) in str(error)
                assert "; download" in str(error)
            else:
                assert found == right, kind
    assert told >= 10


@pytest.mark.parametrize("part", [*COMPONENTS, "tfrecord"])
def test_swapped_files_are_told(copy, whole, part):
    """A file of another segment, and of another component, under this one's name."""
    release = "v1" if part == "tfrecord" else "v2"
    others = [file_of(whole, part, SECOND)]
    others += [file_of(whole, other) for other in (*COMPONENTS, "tfrecord") if other != part]
    for other in others:
        shutil.copy(other, file_of(copy, part))
        with pytest.raises(DatasetError, match=str(file_of(copy, part))):
            everything(opened(copy, release=release))

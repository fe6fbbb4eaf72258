import json

import numpy as np
import pytest
from layouts import (
    CAMERA,
    DISPARITY,
    SECONDS_PER_FRAME,
    SIZE,
    SPEED,
    YAW_RATE,
    cityscapes_ids,
    cityscapes_instances,
    picture,
    write_cityscapes,
    write_png,
    write_text,
)
from PIL import Image

from wsss.benchmark.dataset import DatasetMissing
from wsss.benchmark.errors import DatasetError, Unsupported, UsageError
from wsss.benchmark.geometry.cameras import project
from wsss.benchmark.geometry.true_depth import read_truth
from wsss.benchmark.types import IGNORE
from wsss.datasets._files import read_image
from wsss.datasets.cityscapes import DEFINED_IDS, TABLE, THINGS, Cityscapes

ULM = "train/ulm/ulm_000000_000019"


def open_first(root):
    dataset = Cityscapes(root)
    scene = dataset.scenes("train")[0]
    return dataset, scene, next(frame for frame in scene.frames if frame.labelled)


def test_the_table_is_the_official_one():
    official = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    rows = sorted((label for label in official if 0 <= label.trainId < 19), key=lambda label: label.trainId)
    assert [(label.id, label.name, label.color) for label in rows] == list(TABLE)
    assert {label.name for label in rows if label.hasInstances} == THINGS
    assert {label.id for label in official if label.id >= 0} == DEFINED_IDS


def test_files_hold_ids_and_not_train_ids(tmp_path):
    root = write_cityscapes(tmp_path)
    ids = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint8)
    write_png(root / "gtFine" / f"{ULM}_gtFine_labelIds.png", ids)
    write_png(root / "gtFine" / f"{ULM}_gtFine_labelTrainIds.png", ids)  # of the official tool; not read
    dataset, _, frame = open_first(root)
    published = {
        7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
        28: 15, 31: 16, 32: 17, 33: 18,
    }  # fmt: skip
    dense = np.asarray(dataset.dense(frame))
    found = [set(dense[ids == id].tolist()) for id in range(256)]
    assert found == [{published.get(id, IGNORE)} for id in range(256)], "every other id is ignored"


def test_it_has_stereo_and_no_lidar():
    assert "stereo" in Cityscapes.sources and not Cityscapes.sources & {"lidar", "depth"}


def test_hidden_files_and_files_among_the_cities_are_passed_over(tmp_path):
    root = write_cityscapes(tmp_path)
    for path in (
        "train/.DS_Store",
        "train/README",
        "train/ulm/.DS_Store",
        "train/ulm/._ulm_000000_000019_leftImg8bit.png",
    ):
        write_text(root / "leftImg8bit" / path, "not ours")
    assert len(Cityscapes(root).scenes("train")) == 2


def test_an_image_of_absurd_size_is_named(tmp_path):
    path = tmp_path / "absurd.ppm"
    path.write_bytes(b"P6\n64000 48000\n255\n")
    with pytest.raises(DatasetError, match=r"absurd\.ppm cannot be decoded .*exceeds limit"):
        read_image(path)


def test_scenes_are_the_annotated_images_in_order(tmp_path):
    dataset = Cityscapes(write_cityscapes(tmp_path))
    assert [scene.id for scene in dataset.scenes("train")] == ["ulm_000000_000019", "ulm_000003_000294"]
    assert [scene.id for scene in dataset.scenes("val")] == ["bonn_000000_000019"]
    assert all(len(scene.frames) == 1 and scene.frames[0].time is None for scene in dataset.scenes("train"))
    assert dataset.name == "cityscapes"


def test_image_and_annotation_are_read_as_stored(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    assert np.array_equal(dataset.image(frame), picture(0))
    dense = dataset.dense(frame)
    assert dense is not None and dense.dtype == np.uint8
    names = np.array([*dataset.classes.names, "ignored"])[np.minimum(dense, 19)]
    ids = cityscapes_ids()
    for id, name in ((23, "sky"), (7, "road"), (26, "car"), (17, "pole"), (1, "ignored"), (77, "ignored")):
        assert np.all(names[ids == id] == name), name
    assert np.all(dense[names == "ignored"] == IGNORE)


def test_instances_keep_16_bits(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    instances = dataset.instances(frame)
    assert instances is not None and instances.dtype == np.int32
    assert np.array_equal(instances, cityscapes_instances())


def test_touching_cars_get_a_point_each(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    weak = dataset.weak(frame, "points", 0)
    car = dataset.classes.names.index("car")
    assert np.count_nonzero(weak[:, 10:20] == car) == np.count_nonzero(weak[:, 20:30] == car) == 1


def test_unknown_ids_are_counted(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    assert dataset.unknown_ids(frame) == {77: 3}


def test_coarse_labels_are_official_where_they_are_there(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path, coarse=True))
    weak = dataset.weak(frame, "coarse", 0)
    assert dataset.weak_source("coarse") == "gtCoarse as shipped"
    assert dataset.weak_source("points").startswith("derived")
    sky = dataset.classes.names.index("sky")
    assert np.all(weak[2:14, 4:36] == sky)
    assert np.count_nonzero(weak != IGNORE) == 12 * 32
    assert np.array_equal(weak, dataset.weak(frame, "coarse", 1))


def test_coarse_labels_are_derived_elsewhere(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    assert dataset.weak_source("coarse").startswith("derived")
    assert np.any(dataset.weak(frame, "coarse", 0) != IGNORE)


def test_a_missing_official_coarse_file_is_an_error_and_not_derived(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path, coarse=True))
    path = tmp_path / "gtCoarse" / f"{ULM}_gtCoarse_labelIds.png"
    path.unlink()
    with pytest.raises(DatasetError, match=f"{path} does not exist"):
        dataset.weak(frame, "coarse", 0)


def test_scribbles_are_official_where_they_are_there(tmp_path):
    root = write_cityscapes(tmp_path)
    derived = Cityscapes(root).digest("train")
    ids = np.zeros(SIZE, np.uint8)
    ids[4, 4:30] = 23
    ids[20, 40:60] = 7
    for name in ("ulm_000000_000019", "ulm_000003_000294"):
        write_png(root / f"scribbles/gtFine/train/ulm/{name}_gtFine_labelIds.png", ids)
    dataset, _, frame = open_first(root)
    assert dataset.weak_source("scribbles") == "s4Cityscapes as shipped" and dataset.digest("train") != derived
    weak = dataset.weak(frame, "scribbles", 0)
    names = dataset.classes.names
    assert np.all(weak[4, 4:30] == names.index("sky")) and np.all(weak[20, 40:60] == names.index("road"))
    assert np.count_nonzero(weak != IGNORE) == 46, "background 0 is not a class"
    ((_, unscribbled),) = dataset.labelled("val")  # the set covers training only
    assert np.any(dataset.weak(unscribbled, "scribbles", 0) != IGNORE)


def test_half_a_set_of_official_scribbles_is_an_error(tmp_path):
    root = write_cityscapes(tmp_path)
    write_png(root / "scribbles/gtFine/train/ulm/ulm_000003_000294_gtFine_labelIds.png", np.zeros(SIZE, np.uint8))
    dataset, _, frame = open_first(root)
    with pytest.raises(DatasetError, match=r"ulm_000000_000019_gtFine_labelIds\.png"):
        dataset.weak(frame, "scribbles", 0)
    with pytest.raises(DatasetError, match=r"ulm_000000_000019_gtFine_labelIds\.png is missing"):
        dataset.digest("train")


def test_a_snippet_is_30_frames_around_the_annotated_one(tmp_path):
    dataset = Cityscapes(write_cityscapes(tmp_path, video=True))
    for scene, first in zip(dataset.scenes("train"), (0, 275), strict=True):
        assert [int(frame.id[-6:]) for frame in scene.frames] == list(range(first, first + 30))
        assert [frame.labelled for frame in scene.frames] == [i == 19 for i in range(30)]
        assert [frame.time for frame in scene.frames] == pytest.approx([i * SECONDS_PER_FRAME for i in range(30)])
        assert scene.frames[19].image.parts[-4] == "leftImg8bit"
        assert scene.frames[18].image.parts[-4] == "leftImg8bit_sequence"
        assert all(frame.image.is_file() for frame in scene.frames)
    ids = [frame.id for split in ("train", "val") for scene in dataset.scenes(split) for frame in scene.frames]
    assert len(ids) == len(set(ids)) == 90


def test_frames_that_are_not_on_disk_are_left_out(tmp_path):
    root = write_cityscapes(tmp_path, video=True)
    video = root / "leftImg8bit_sequence/train/ulm"
    for number in (0, 5, 19, 29):
        (video / f"ulm_000000_{number:06}_leftImg8bit.png").unlink()
    _, scene, frame = open_first(root)
    assert [int(f.id[-6:]) for f in scene.frames] == [n for n in range(30) if n not in (0, 5, 29)]
    assert scene.frames[0].time == 0
    assert frame.time == pytest.approx(18 * SECONDS_PER_FRAME)


def test_video_frames_have_no_labels(tmp_path):
    dataset, scene, _ = open_first(write_cityscapes(tmp_path, video=True))
    assert dataset.dense(scene.frames[0]) is None
    assert dataset.instances(scene.frames[0]) is None
    with pytest.raises(Unsupported, match="no annotation to derive points from"):
        dataset.weak(scene.frames[0], "points", 0)


def test_released_intrinsics_scale_with_a_copy_of_the_images(tmp_path):
    dataset, scene, _ = open_first(write_cityscapes(tmp_path, video=True))
    camera = dataset.cameras(scene)[0]
    assert camera is not None
    scale = SIZE[1] / 2048
    assert camera.intrinsics[0, 0] == pytest.approx(CAMERA["intrinsic"]["fx"] * scale)
    assert camera.intrinsics[1, 1] == pytest.approx(CAMERA["intrinsic"]["fy"] * scale)
    # The left edge of the first pixel is at -0.5 in every size.
    assert camera.intrinsics[0, 2] + 0.5 == pytest.approx((CAMERA["intrinsic"]["u0"] + 0.5) * scale)
    assert camera.intrinsics[1, 2] + 0.5 == pytest.approx((CAMERA["intrinsic"]["v0"] + 0.5) * scale)


def test_intrinsics_of_the_image_itself_are_kept(tmp_path):
    path = write_cityscapes(tmp_path, video=True) / "camera/train/ulm/ulm_000000_000019_camera.json"
    own = {"fx": 70.0, "fy": 71.0, "u0": 33.5, "v0": 16.2}
    write_text(path, json.dumps({**CAMERA, "intrinsic": own}))
    dataset, scene, _ = open_first(tmp_path)
    camera = dataset.cameras(scene)[0]
    assert camera is not None
    assert np.allclose(camera.intrinsics, [[70, 0, 33.5], [0, 71, 16.2], [0, 0, 1]])
    write_text(path, json.dumps({**CAMERA, "intrinsic": own | {"u0": 300}}))
    with pytest.raises(DatasetError, match=rf"{path}: the principal point .* 64 x 32"):
        dataset.cameras(scene)


def test_dead_reckoning_follows_a_circle(tmp_path):
    dataset, scene, _ = open_first(write_cityscapes(tmp_path, video=True))
    poses = [camera.world_from_camera for camera in dataset.cameras(scene) if camera is not None]
    first, last = poses[0], poses[29]
    assert first is not None and last is not None
    extrinsic = CAMERA["extrinsic"]
    assert np.allclose(first[:3, 3], [extrinsic["x"], extrinsic["y"], extrinsic["z"]])
    forward, down = first[:3, 2], first[:3, 1]
    assert np.allclose(forward, [np.cos(0.038) * np.cos(-0.02), np.cos(0.038) * np.sin(-0.02), -np.sin(0.038)])
    assert down[2] < -0.99  # the image's y axis points to the ground
    turned = last @ np.linalg.inv(first)
    angle, radius = YAW_RATE * 29 * SECONDS_PER_FRAME, SPEED / YAW_RATE
    assert np.arctan2(turned[1, 0], turned[0, 0]) == pytest.approx(angle)
    assert np.allclose(turned[:3, 3], [radius * np.sin(angle), radius * (1 - np.cos(angle)), 0], atol=1e-3)


def test_cameras_without_files(tmp_path):
    dataset, scene, _ = open_first(write_cityscapes(tmp_path))
    assert dataset.cameras(scene) == (None,)


def test_poses_are_unknown_where_odometry_is_missing(tmp_path):
    root = write_cityscapes(tmp_path, video=True)
    (root / "vehicle_sequence/train/ulm/ulm_000000_000007_vehicle.json").unlink()
    (root / "timestamp_sequence/train/ulm/ulm_000000_000009_timestamp.txt").unlink()
    dataset, scene, _ = open_first(root)
    unknown = [i for i, c in enumerate(dataset.cameras(scene)) if c is not None and c.world_from_camera is None]
    assert unknown == [7, 9]
    assert all(camera is not None for camera in dataset.cameras(scene))


def test_the_black_image_is_left_out(tmp_path):
    root = write_cityscapes(tmp_path, ("train/troisdorf_000000_000073", "train/ulm_000000_000019"))
    assert [scene.id for scene in Cityscapes(root).scenes("train")] == ["ulm_000000_000019"]


def test_there_is_no_test_split(tmp_path):
    dataset, _, _ = open_first(write_cityscapes(tmp_path))
    with pytest.raises(UsageError, match="no split 'test'"):
        dataset.scenes("test")


def test_the_digest_knows_files_and_not_paths(tmp_path):
    one, _, _ = open_first(write_cityscapes(tmp_path / "a"))
    two, _, frame = open_first(write_cityscapes(tmp_path / "b"))
    assert one.digest("train") == two.digest("train") != one.digest("val")
    write_png(two.files(frame)[1], np.zeros(SIZE, np.uint8))
    assert one.digest("train") != Cityscapes(tmp_path / "b").digest("train")
    assert all(path.is_file() for path in two.files(frame))


@pytest.mark.parametrize("missing", ["", "leftImg8bit", "gtFine", "gtFine/train", "leftImg8bit/train"])
def test_a_missing_folder_is_named_with_the_expected_tree(tmp_path, missing):
    root = write_cityscapes(tmp_path / "data")
    (root / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetMissing, match=rf"{root / missing} does not exist(.|\n)*labelIds"):
        Cityscapes(root).scenes("train")


@pytest.mark.parametrize(
    ("file", "lacking"),
    [("gtFine/{}_gtFine_labelIds.png", "gtFine"), ("leftImg8bit/{}_leftImg8bit.png", "leftImg8bit")],
)
def test_half_a_pair_is_an_error(tmp_path, file, lacking):
    root = write_cityscapes(tmp_path)
    (root / file.format(ULM)).unlink()
    with pytest.raises(DatasetError, match=rf"{root / lacking}.* has no file of frame ulm_000000_000019"):
        Cityscapes(root).scenes("train")


@pytest.mark.parametrize("read", ["image", "dense", "instances"])
def test_a_truncated_file_is_named(tmp_path, read):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    path = dict(zip(("image", "dense", "instances"), dataset.files(frame), strict=True))[read]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DatasetError, match=rf"{path} cannot be decoded .*; download"):
        getattr(dataset, read)(frame)
    path.write_bytes(b"<html>Please log in</html>")
    with pytest.raises(DatasetError, match=f"{path} is not an image"):
        getattr(dataset, read)(frame)
    path.unlink()
    with pytest.raises(DatasetError, match=f"{path} does not exist"):
        getattr(dataset, read)(frame)


def test_wrong_kinds_of_annotation_are_named(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    path = dataset.files(frame)[1]
    write_png(path, np.zeros((SIZE[0] // 2, SIZE[1]), np.uint8))
    with pytest.raises(DatasetError, match=f"{path} has 16 x 64 pixels, its image 32 x 64"):
        dataset.dense(frame)
    write_png(path, picture(0))
    with pytest.raises(DatasetError, match=f"{path} has mode RGB, expected one channel"):
        dataset.dense(frame)
    write_png(path, cityscapes_instances())
    with pytest.raises(DatasetError, match=f"{path} has 16 bits per pixel"):
        dataset.dense(frame)


def test_a_palette_image_is_read_by_its_indices(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    before = dataset.dense(frame)
    palette = Image.fromarray(cityscapes_ids())
    palette.putpalette(list(np.random.default_rng(0).integers(0, 256, 768)))
    palette.save(dataset.files(frame)[1])
    after = dataset.dense(frame)
    assert before is not None and after is not None
    assert np.array_equal(after, before)


def test_a_label_in_the_place_of_an_image_is_named(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    write_png(frame.image, cityscapes_ids())
    with pytest.raises(DatasetError, match="mode L, expected 8-bit RGB"):
        dataset.image(frame)


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("camera/train/ulm/{}_camera.json", "{", "is not JSON"),
        ("camera/train/ulm/{}_camera.json", "[1]", "holds no JSON object"),
        ("camera/train/ulm/{}_camera.json", "{}", r"field intrinsic\.fx must be a number, found None"),
        (
            "camera/train/ulm/{}_camera.json",
            json.dumps({"intrinsic": CAMERA["intrinsic"], "extrinsic": {"yaw": "0"}}),
            r"field extrinsic\.yaw must be a number, found '0'",
        ),
        ("vehicle_sequence/train/ulm/{}_vehicle.json", '{"speed": 3}', "field yawRate must be a number"),
        ("vehicle_sequence/train/ulm/{}_vehicle.json", '{"speed": NaN}', "field speed must be a number, found nan"),
        ("timestamp_sequence/train/ulm/{}_timestamp.txt", "soon", "one integer of nanoseconds"),
    ],
)
def test_damaged_camera_and_vehicle_files_are_named(tmp_path, file, text, complaint):
    path = write_cityscapes(tmp_path, video=True) / file.format("ulm_000000_000019")
    write_text(path, text)
    with pytest.raises(DatasetError, match=rf"{path}.*{complaint}"):
        dataset, scene, _ = open_first(tmp_path)
        dataset.cameras(scene)


def test_a_file_with_a_foreign_name_is_named(tmp_path):
    write_cityscapes(tmp_path, ("train/ulm_000000_000019", "train/ulm_000000_copy"))
    with pytest.raises(DatasetError, match="ulm_000000_copy is not <city>_<sequence>_<frame>"):
        Cityscapes(tmp_path).scenes("train")


def test_disparity_is_in_pixels_and_unknown_where_nothing_matched(tiny_miniature):
    dataset = Cityscapes(tiny_miniature)
    scene = dataset.scenes("val")[0]
    for frame in scene.frames:
        disparity = dataset.disparity(frame)
        assert disparity is not None and disparity.shape == dataset.image(frame).shape[:2]
        known = disparity[~np.isnan(disparity)]
        assert 0.5 < known.size / disparity.size < 1 and known.min() >= 0 and known.max() < 64
    (labelled,) = (frame for frame in scene.frames if frame.labelled)
    dense, disparity = dataset.dense(labelled), dataset.disparity(labelled)
    assert dense is not None and disparity is not None
    assert np.isnan(disparity[dense == dataset.classes.names.index("sky")]).mean() > 0.9


def test_disparity_that_is_not_there_is_none(tmp_path):
    dataset, _, frame = open_first(write_cityscapes(tmp_path))
    assert dataset.disparity(frame) is None


def test_stereo_points_have_the_depth_that_their_disparity_says(tmp_path):
    dataset, scene, _ = open_first(write_cityscapes(tmp_path, video=True))
    sweep, camera = dataset.sweep(scene, 19), dataset.cameras(scene)[19]
    assert sweep is not None and sweep.in_world and sweep.pixel is not None and camera is not None
    seen = project(sweep.xyz, camera, SIZE)
    assert np.allclose(seen.pixel, sweep.pixel) and np.all(sweep.pixel[:, 1] >= 8), "the left strip has no partner"
    assert np.allclose(seen.depth, camera.intrinsics[0, 0] * CAMERA["extrinsic"]["baseline"] / DISPARITY)
    assert dataset.sweep(scene, 3) is not None


def test_without_disparity_there_are_no_stereo_points(tmp_path):
    dataset, scene, _ = open_first(write_cityscapes(tmp_path))
    assert dataset.sweep(scene, 0) is None


def test_stereo_points_of_the_miniature_lie_on_the_true_surfaces(tiny_miniature):
    dataset = Cityscapes(tiny_miniature)
    for scene in dataset.scenes("val"):
        for index, frame in enumerate(scene.frames):
            sweep, camera = dataset.sweep(scene, index), dataset.cameras(scene)[index]
            truth = read_truth(tiny_miniature, frame.id)
            assert sweep is not None and sweep.pixel is not None and camera is not None and truth is not None
            rows, columns = sweep.pixel.T
            depth = project(sweep.xyz, camera, truth.shape).depth
            # A twentieth of a pixel of disparity, the matcher's noise, is five percent at one pixel.
            near = depth < 15
            assert np.median(np.abs(depth / truth[rows, columns] - 1)[near]) < 0.03

from pathlib import Path

import numpy as np
import pytest
from layouts import CAMVID_FRAMES, SIZE, camvid_ids, picture, write_camvid, write_png

from wsss.benchmark.dataset import DatasetMissing
from wsss.benchmark.errors import DatasetError, Unsupported
from wsss.benchmark.types import IGNORE, WEAK_KINDS
from wsss.datasets.camvid import CamVid

REAL = Path(__file__).parents[2] / "shared/data/camvid"


@pytest.fixture(params=[True, False], ids=["flat", "nested"])
def dataset(request, tmp_path):
    return CamVid(write_camvid(tmp_path, flat=request.param))


def frames(dataset, split):
    return {scene.id: [frame.id for frame in scene.frames] for scene in dataset.scenes(split)}


def test_scenes_are_blocks_of_ten_seconds_of_a_drive(dataset):
    assert frames(dataset, "train") == {
        "0001TP_022": ["0001TP_006690"],
        "0001TP_023": ["0001TP_006900", "0001TP_007170"],
        "0001TP_028": ["0001TP_008550"],
        "0016E5_025": ["0016E5_07650"],
        "0016E5_026": ["0016E5_07959", "0016E5_07961"],
    }
    times = [frame.time for scene in dataset.scenes("train") for frame in scene.frames]
    assert times == pytest.approx([0, 0, 9, 0, 0, 0, 2 / 30])


def test_no_drive_is_on_two_sides(dataset):
    drives = {split: {scene.id.split("_")[0] for scene in dataset.scenes(split)} for split in ("train", "val", "test")}
    assert drives == {"train": {"0001TP", "0016E5"}, "val": {"0006R0"}, "test": {"Seq05VD"}}
    ids = [frame.id for split in drives for scene in dataset.scenes(split) for frame in scene.frames]
    assert sorted(ids) == sorted(name for names in CAMVID_FRAMES.values() for name in names)


def test_image_and_annotation_are_read_as_stored(tmp_path):
    dataset = CamVid(write_camvid(tmp_path, flat=True))
    frame = dataset.scenes("train")[0].frames[0]
    assert np.array_equal(dataset.image(frame), picture(0))
    dense = dataset.dense(frame)
    ids = camvid_ids()
    assert dense is not None and dense.dtype == np.uint8
    assert np.array_equal(dense[ids < 11], ids[ids < 11])
    assert np.all(dense[ids >= 11] == IGNORE)
    assert dataset.unknown_ids(frame) == {40: 4}
    assert dataset.instances(frame) is None


def test_weak_labels_are_derived(dataset):
    frame = dataset.scenes("val")[0].frames[0]
    dense = dataset.dense(frame)
    for kind in WEAK_KINDS:
        weak = dataset.weak(frame, kind, 0)
        assert weak.shape == SIZE
        assert np.any(weak != IGNORE)
        assert np.all(weak[dense == IGNORE] == IGNORE)
        assert dataset.weak_source(kind).startswith("derived")


def test_there_are_no_cameras_and_no_range_sensor(dataset):
    scene = dataset.scenes("val")[0]
    assert dataset.cameras(scene) == (None,) * len(scene.frames)
    with pytest.raises(Unsupported, match="CamVid has no range sensor"):
        dataset.sweep(scene, 0)


def test_the_digest_knows_files_and_not_paths(tmp_path):
    one = CamVid(write_camvid(tmp_path / "a", flat=True))
    two = CamVid(write_camvid(tmp_path / "b", flat=True))
    frame = two.scenes("val")[0].frames[0]
    assert one.digest("val") == two.digest("val")
    two.files(frame)[1].write_bytes(b"")
    assert one.digest("val") != CamVid(tmp_path / "b").digest("val")


def test_missing_data_is_named_with_the_expected_tree(tmp_path):
    with pytest.raises(DatasetMissing, match=rf"{tmp_path / 'nothing'} does not exist(.|\n)*trainannot"):
        CamVid(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetMissing, match=rf"{tmp_path / 'empty' / 'train'} does not exist"):
        CamVid(tmp_path / "empty")
    partial = CamVid(write_camvid(tmp_path / "part", flat=True, frames={"val": CAMVID_FRAMES["val"]}))
    assert len(partial.scenes("train")) == 1
    with pytest.raises(DatasetMissing, match=r"train/0006R0_\* does not exist"):
        partial.scenes("val")
    with pytest.raises(DatasetMissing, match=r"test/Seq05VD_\* does not exist"):
        partial.scenes("test")


@pytest.mark.parametrize(("position", "lacking"), [(0, "val"), (1, "valannot")])
def test_half_a_pair_is_an_error(tmp_path, position, lacking):
    dataset = CamVid(write_camvid(tmp_path, flat=True))
    frame = dataset.scenes("train")[-1].frames[0]
    dataset.files(frame)[position].unlink()
    with pytest.raises(DatasetError, match=f"{tmp_path / lacking} has no file of frame 0016E5_07959"):
        CamVid(tmp_path)


def test_damaged_files_are_named(dataset):
    frame = dataset.scenes("val")[0].frames[0]
    for path, read in zip(dataset.files(frame), (dataset.image, dataset.dense), strict=True):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(DatasetError, match=f"{path} cannot be decoded"):
            read(frame)
        path.write_bytes(content)


def test_an_annotation_of_another_size_or_kind_is_named(dataset):
    frame = dataset.scenes("val")[0].frames[0]
    path = dataset.files(frame)[1]
    write_png(path, np.zeros((8, 8), np.uint8))
    with pytest.raises(DatasetError, match=f"{path} has 8 x 8 pixels, its image 32 x 64"):
        dataset.dense(frame)
    write_png(path, picture(0))
    with pytest.raises(DatasetError, match=f"{path} has mode RGB"):
        dataset.dense(frame)


def test_foreign_and_repeated_frames_are_named(tmp_path):
    write_camvid(tmp_path / "a", flat=True, frames={"train": ("holiday_001",)})
    with pytest.raises(DatasetError, match=r"holiday_001\.png is not named <drive>_<frame>"):
        CamVid(tmp_path / "a")
    write_camvid(tmp_path / "b", flat=True, frames={"train": ("0016E5_07959",), "val": ("0016E5_07959",)})
    with pytest.raises(DatasetError, match=r"val/0016E5_07959\.png is also at .*train/0016E5_07959\.png"):
        CamVid(tmp_path / "b")


@pytest.mark.skipif(not REAL.is_dir(), reason="CamVid is not here")
def test_real_files():
    dataset = CamVid(REAL)
    sizes = {split: sum(len(scene.frames) for scene in dataset.scenes(split)) for split in ("train", "val")}
    assert sizes == {"train": 367, "val": 101}
    frame = dataset.scenes("val")[0].frames[0]
    dense = dataset.dense(frame)
    assert dense is not None
    assert dataset.image(frame).shape == (360, 480, 3)
    assert dataset.unknown_ids(frame) == {}
    assert {"road", "building"} <= {dataset.classes.names[i] for i in np.unique(dense) if i != IGNORE}

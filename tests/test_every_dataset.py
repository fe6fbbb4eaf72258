"""The contract of an adapter, tested over whatever ``datasets/`` holds on the trees that ``layouts.WRITERS`` writes."""

import inspect
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import get_args

import numpy as np
import pytest
from layouts import WRITERS

from wsss.benchmark import IGNORE, DatasetError, DatasetMissing, Unsupported, UsageError, discovery
from wsss.benchmark.geometry.cameras import project
from wsss.benchmark.types import WEAK_KINDS, Split

pytestmark = pytest.mark.parametrize("name", discovery.names("datasets"))

SOURCES = {"video", "poses", "stereo", "lidar", "depth"}
RANGES = {"lidar", "depth", "stereo"}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Per dataset, a tree that no test changes."""
    return {name: write(tmp_path_factory.mktemp(name) / name) for name, write in WRITERS.items()}


@pytest.fixture
def dataset(name, trees):
    assert name in trees, f"tests/layouts.py has no writer of a tiny {name} in WRITERS"
    return discovery.dataset(name)(trees[name])


def splits(dataset):
    """The scenes of each split that the dataset has."""
    found = {}
    for split in get_args(Split):
        try:
            found[split] = dataset.scenes(split)
        except UsageError:
            assert split == "test", f"{dataset.title} must have a split {split}"
    return found


def scenes(dataset):
    return [scene for found in splits(dataset).values() for scene in found]


def frames(dataset):
    return [frame for scene in scenes(dataset) for frame in scene.frames]


def labelled(dataset):
    return [frame for frame in frames(dataset) if frame.labelled]


def test_states_its_facts(name):
    cls = discovery.dataset(name)
    for fact in ("title", "homepage", "license", "layout"):
        assert getattr(cls, fact).strip(), f"{name} has no {fact}"
    assert cls.homepage.startswith("https://")
    assert cls.labels and cls.labels <= set(WEAK_KINDS)
    assert cls.sources <= SOURCES
    names, colors = cls.classes.names, cls.classes.colors
    assert 1 < len(names) == len(set(names)) <= IGNORE
    assert len(set(colors)) == len(colors), "two classes of one colour cannot be told apart in a figure"
    assert all(0 <= channel <= 255 for color in colors for channel in color)


def test_is_named_after_its_file(name, dataset):
    assert dataset.name == name
    assert not discovery.summary("datasets", name).startswith("("), "the list of datasets shows the module's docstring"


@pytest.mark.parametrize("folder", ["absent", "empty"])
def test_missing_data_are_named_with_tree_and_homepage(name, folder, tmp_path):
    cls = discovery.dataset(name)
    (tmp_path / "empty").mkdir()
    root = tmp_path / folder
    with pytest.raises(DatasetMissing) as raised:
        cls(root).scenes("train")
    text, missing = str(raised.value), raised.value.missing
    assert missing == root if folder == "absent" else missing.is_relative_to(root)
    assert str(missing) in text and cls.homepage in text
    assert all(line.strip() in text for line in cls.layout.strip().splitlines())


def test_an_unknown_split_is_a_usage_error(name, dataset):
    with pytest.raises(UsageError, match="holdout"):
        inspect.unwrap(type(dataset).scenes)(dataset, "holdout")  # past the type checker of the tests


def test_scenes_are_sorted_and_on_one_side(name, dataset):
    sides = {split: [scene.id for scene in found] for split, found in splits(dataset).items()}
    for split, ids in sides.items():
        assert ids and ids == sorted(set(ids)), split
        assert any(True for _ in dataset.labelled(split)), f"the tree of {name} has no labelled frame in {split}"
    together = [id for ids in sides.values() for id in ids]
    assert len(together) == len(set(together))


def test_frames_are_unique_in_order_of_time_and_safe_as_file_names(name, dataset):
    ids = [frame.id for frame in frames(dataset)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"\w[\w.-]*", id, re.ASCII) for id in ids)
    for scene in scenes(dataset):
        times = [frame.time for frame in scene.frames if frame.time is not None]
        assert times == sorted(times)
        assert scene.frames[0].time in (None, 0)


def test_images_and_dense_labels_fit(name, dataset):
    for frame in labelled(dataset):
        image, dense = dataset.image(frame), dataset.dense(frame)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert dense.dtype == np.uint8 and dense.shape == image.shape[:2]
        ids = set(np.unique(dense).tolist())
        assert ids - {IGNORE}, f"nothing is labelled in {frame.id}"
        assert max(ids - {IGNORE}) < len(dataset.classes)
        instances = dataset.instances(frame)
        assert instances is None or (instances.dtype == np.int32 and instances.shape == dense.shape)


def test_an_unlabelled_frame_has_none_and_never_zeros(name, dataset):
    for frame in frames(dataset):
        if not frame.labelled:
            assert dataset.image(frame).ndim == 3
            assert dataset.dense(frame) is None and dataset.instances(frame) is None
            for kind in dataset.labels:
                with pytest.raises(Unsupported, match=frame.id):
                    dataset.weak(frame, kind, 0)


@pytest.mark.parametrize("kind", WEAK_KINDS)
def test_weak_labels_are_seeded_and_fit_the_dense_ones(name, dataset, kind):
    if kind not in dataset.labels:
        pytest.skip(f"{dataset.title} has no {kind}")
    assert dataset.weak_source(kind)
    again = type(dataset)(dataset.root)
    found = {frame.id: dataset.weak(frame, kind, 0) for frame in labelled(dataset)}
    for frame in labelled(dataset):
        weak, dense = found[frame.id], dataset.dense(frame)
        assert weak.dtype == np.uint8 and weak.shape == dense.shape
        assert np.array_equal(weak, again.weak(frame, kind, 0))
        assert all(id < len(dataset.classes) or id == IGNORE for id in np.unique(weak).tolist())
        if kind != "coarse":
            assert np.array_equal(weak[weak != IGNORE], dense[weak != IGNORE])
    assert any(np.any(weak != IGNORE) for weak in found.values())
    if kind != "coarse" and dataset.weak_source(kind).startswith("derived"):
        assert any(np.any(dataset.weak(frame, kind, 1) != found[frame.id]) for frame in labelled(dataset))


def test_the_digest_is_of_the_data_and_not_of_the_place(name, dataset, tmp_path):
    root = shutil.copytree(dataset.root, tmp_path / "copy")
    copy = type(dataset)(root)
    for split in splits(dataset):
        assert dataset.digest(split) == type(dataset)(dataset.root).digest(split) == copy.digest(split)
    frame = next(frame for _, frame in copy.labelled("train"))
    files = copy.files(frame)
    assert files
    for path in files:
        assert path.is_file() and path.is_relative_to(root)
        with path.open("ab") as file:
            file.write(b"\0")
        try:  # a container may be read when it is opened, and be found damaged
            assert type(dataset)(root).digest("train") != dataset.digest("train"), f"{path.name} is not in the digest"
        except DatasetError as error:
            assert path.name in str(error)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 1)


def test_cameras_are_pinholes_with_rigid_poses(name, dataset):
    poses = 0
    for scene in scenes(dataset):
        cameras = dataset.cameras(scene)
        assert len(cameras) == len(scene.frames)
        for frame, camera in zip(scene.frames, cameras, strict=True):
            if camera is None:
                continue
            rows, columns = dataset.image(frame).shape[:2]
            matrix = camera.intrinsics
            assert matrix.shape == (3, 3) and np.array_equal(matrix[2], (0, 0, 1))
            assert matrix[0, 0] > 0 and matrix[1, 1] > 0
            assert -0.5 < matrix[0, 2] < columns - 0.5 and -0.5 < matrix[1, 2] < rows - 0.5
            if camera.world_from_camera is not None:
                poses += 1
                pose = camera.world_from_camera
                assert pose.shape == (4, 4) and pose.dtype == np.float64 and np.array_equal(pose[3], (0, 0, 0, 1))
                assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6)
                assert np.linalg.det(pose[:3, :3]) > 0
    assert (poses > 0) == ("poses" in dataset.sources)


def test_the_range_sensor_gives_points_or_a_reason(name, dataset):
    swept = 0
    for scene in scenes(dataset):
        if not dataset.sources & RANGES:
            with pytest.raises(Unsupported, match=re.escape(dataset.title)):
                dataset.sweep(scene, 0)
            continue
        cameras = dataset.cameras(scene)
        for index, frame in enumerate(scene.frames):
            sweep = dataset.sweep(scene, index)
            if sweep is None:
                continue
            swept += 1
            number = len(sweep.xyz)
            assert number and sweep.xyz.shape == (number, 3) and np.isfinite(sweep.xyz).all()
            assert sweep.xyz.dtype == np.float64 and sweep.origin.shape == (3,)
            assert sweep.in_world == (cameras[index] is not None and cameras[index].world_from_camera is not None)
            if sweep.pixel is not None:
                size = dataset.image(frame).shape[:2]
                assert sweep.pixel.shape == (number, 2)
                assert np.all((sweep.pixel >= 0) & (sweep.pixel < size))
                seen = project(sweep.xyz, cameras[index], size)
                assert np.abs(seen.pixel - sweep.pixel).max() < 0.51, "a point lies beside its pixel's ray"
    assert swept or not dataset.sources & RANGES


@pytest.fixture(scope="module")
def process():
    """A worker as the loader starts it: it imports everything anew."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def test_an_adapter_works_in_a_spawned_process(name, dataset, process):
    _, frame = next(dataset.labelled("train"))
    assert np.array_equal(process.submit(dataset.image, frame).result(), dataset.image(frame))
    assert process.submit(dataset.digest, "val").result() == dataset.digest("val")

"""The miniature KITTI-360: same bytes every time, native files, and geometry that no part may be left out of."""

import json
import shutil
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from wsss.benchmark.errors import DatasetError
from wsss.benchmark.geometry.cameras import project
from wsss.benchmark.geometry.true_depth import read_truth
from wsss.benchmark.types import Camera
from wsss.datasets import _kitti360_calibration as calibration
from wsss.datasets import kitti360 as adapter
from wsss.datasets._kitti360_lists import SIDES
from wsss.datasets.kitti360 import Kitti360
from wsss.datasets.miniature import files, kitti360, kitti360_views
from wsss.datasets.miniature.engine.shapes import BROADER, KINDS, join
from wsss.datasets.miniature.kitti360_views import DRIVES, IDS, SHAPES
from wsss.datasets.miniature.streets import roadside

ZERO, TWO = DRIVES[:2]
SEMANTIC = np.array([IDS.get(BROADER.get(kind, kind), 0) for kind in KINDS])
PLACES = [place for name in (ZERO, TWO) for place in kitti360_views.places("tiny", 0, name)]


@pytest.fixture(scope="module")
def root(tiny):
    return tiny("kitti360")


def tree(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_drive_has_the_same_bytes_in_any_order(root, tmp_path):
    digests = {name: kitti360.write(tmp_path, "tiny", 0, name) for name in (TWO, ZERO)}
    kitti360.finish(tmp_path, "tiny", 0)
    whole = {path: data for path, data in tree(root).items() if path not in ("miniature.json", ".miniature")}
    assert tree(tmp_path) == whole
    assert digests[ZERO] == kitti360.write(root, "tiny", 0, ZERO) != digests[TWO]


def test_only_what_is_missing_is_written_again(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "kitti360")
    whole = tree(copy)
    lost = [p for p in whole if p.endswith(("004651.bin", "004651.png", "poses.txt"))]
    assert len(lost) == 6 + 2
    for path in lost:
        (copy / path).unlink()
    kept = copy / f"data_2d_raw/{ZERO}/image_00/data_rect"
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    for name in (ZERO, TWO):
        kitti360.write(copy, "tiny", 0, name)
    assert tree(copy) == whole
    assert before == {path: path.stat().st_mtime_ns for path in kept.iterdir()}


def test_a_damaged_picture_is_named(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "kitti360")
    path = next((copy / "data_2d_raw" / ZERO).rglob("*.png"))
    path.write_bytes(b"damaged")
    with pytest.raises(DatasetError, match=f"{path} is damaged; delete it"):
        kitti360.write(copy, "tiny", 0, ZERO)


def test_another_seed_is_another_world(root):
    place, other = (kitti360_views.places("tiny", seed, ZERO)[0] for seed in (0, 1))
    pictures = [kitti360_views.render_view("tiny", s, p, p.first).rgb for s, p in ((0, place), (1, other))]
    assert (pictures[0] != pictures[1]).mean() > 0.5


def test_facts_units_and_lists_agree(root):
    facts = json.loads((root / "miniature.json").read_text())
    dataset = Kitti360(root)
    counts = {split: sum(1 for _ in dataset.labelled(split)) for split in SIDES}
    assert counts == {"train": 6, "val": 6} == {split: facts[split] for split in counts}
    assert sum(unit.frames for unit in kitti360.units("tiny", 0)) == 12
    frames = [frame for split in SIDES for scene in dataset.scenes(split) for frame in scene.frames]
    assert len(frames) == facts["frames"] == 16 and sum(not frame.labelled for frame in frames) == 4
    assert dataset.image(frames[0]).shape == (facts["height"], facts["width"], 3)


def test_every_drive_is_on_both_sides(root):
    sizes: list[tuple[files.SizeName, int]] = [("tiny", 0), ("full", 0), ("full", 5)]
    for size, seed in sizes:
        shape = SHAPES[size]
        for unit in kitti360.units(size, seed):
            found = kitti360_views.places(size, seed, unit.name)
            assert [place.val for place in found].count(True) == 1 and len(found) == shape.places
            assert all(b.first - a.first > shape.frames + 10 for a, b in pairwise(found))
            missing = kitti360_views.without_pose(size, seed, unit.name)
            assert len(missing) == shape.missing
            inner = {p.first + k for p in found for k in range(1, shape.frames - 1)}
            assert missing <= inner
        assert kitti360_views.places(size, seed, TWO)[0].first > 4390
    assert len(kitti360.units("full", 0)) == 9
    assert {kitti360.facts("full")[name] for name in ("train", "val", "frames")} == {216, 72, 360}


def test_names_and_depths_of_files_are_native(root):
    names = {p.name for p in root.iterdir() if p.is_dir()}
    assert names == {
        "calibration", "data_2d_raw", "data_2d_semantics", "data_3d_raw", "data_poses", "truth",
    }  # fmt: skip
    assert not list(root.rglob(".*.png.*")), "no temporary file is left"
    dataset = Kitti360(root)
    for _, frame in dataset.labelled("val"):
        instances, dense, sure = dataset.instances(frame), dataset.dense(frame), dataset.confidence(frame)
        assert instances is not None and dense is not None and sure is not None
        stored = dataset._ids(frame, "semantic")
        assert np.array_equal(instances // 1000, stored), "1000 times an id needs more than the id's 8 bits"
        counted = np.isin(stored, list(kitti360_views.COUNTED))
        assert np.all(instances[~counted] % 1000 == 0) and np.all(instances[counted] % 1000 > 0)
        assert not dataset.unknown_ids(frame)
        assert 0 < sure.min() < 0.5 and sure.max() > 0.9
        assert sure[:, 1:][dense[:, 1:] != dense[:, :-1]].max() < 0.5


def test_no_two_things_of_a_drive_share_a_number():
    shape = SHAPES["full"]
    for name in DRIVES[:2]:
        street = kitti360_views._world(0, name, shape.places)
        found = [np.unique(join(street.parts).instance)]
        found += [np.unique(join(roadside.traffic(street, stop)).instance) for stop in range(shape.places)]
        things = np.unique(np.concatenate(found))
        numbers = kitti360_views.number(things)
        assert len(set(numbers.tolist())) == len(things) > 50
        assert numbers[0] == things[0] == 0 and numbers.max() < 1000, "16 bits hold 65 classes of 1000 things"


def test_sweeps_have_the_proportions_of_the_sensor(root):
    sweeps = sorted((root / "data_3d_raw").rglob("*.bin"))
    assert len(sweeps) == 16
    for path in sweeps:
        points = np.fromfile(path, "<f4").reshape(-1, 4)
        reach = np.linalg.norm(points[:, :3], axis=1)
        elevation = np.degrees(np.arcsin(points[:, 2] / reach))
        azimuth = np.arctan2(points[:, 1], points[:, 0])
        assert 0.5 * 64 * 64 < len(points) < 64 * 64
        assert reach.max() <= 80.1 and elevation.min() > -24.9 and elevation.max() < 2.1
        assert points[:, 3].min() >= 0 and 0.3 < points[:, 3].max() <= 1
        # The sensor turns clockwise.
        assert np.all(np.diff(azimuth) < 1e-3) and azimuth[0] > 1 and azimuth[-1] < -1


def around(image, pixel):
    """The 3 x 3 pixels (n, 3, 3) around each place."""
    row, column = np.round(pixel).astype(int).T
    padded = np.pad(image, 1, mode="edge")
    return np.stack([padded[row + i, column + j] for i in range(3) for j in range(3)], -1).reshape(-1, 3, 3)


def agrees(truth, pixel, depth):
    """Whether a pixel within one of each place has its depth to 2 %, or a place between two pixels of one surface.

    On the road, pixels above each other differ by more than 2 % from a few metres on.
    """
    near, depth = around(truth, pixel), depth[:, None, None]
    right = (np.abs(near - depth) < 0.02 * depth).any((1, 2))
    for a, b in ((near[:, 1:], near[:, :-1]), (near[:, :, 1:], near[:, :, :-1])):
        low, high = np.minimum(a, b), np.maximum(a, b)
        right |= ((high < 1.5 * low) & (0.98 * low < depth) & (depth < 1.02 * high)).any((1, 2))
    return right


def plane(truth, pixel):
    """The depth at each place on the plane through the four nearest pixels: inverse depth is linear in the image."""
    (height, width), inverse = truth.shape, 1 / truth
    y, x = np.clip(pixel[:, 0], 0, height - 1.001), np.clip(pixel[:, 1], 0, width - 1.001)
    i, j = y.astype(int), x.astype(int)
    a, b = y - i, x - j
    upper = inverse[i, j] * (1 - b) + inverse[i, j + 1] * b
    lower = inverse[i + 1, j] * (1 - b) + inverse[i + 1, j + 1] * b
    return 1 / np.maximum(upper * (1 - a) + lower * a, 1e-6)


@cache
def simulated(place, frame):
    """Where the returns of a sweep came from, in the world; which the camera sees; and their semantic ids."""
    origins, directions, _ = kitti360_views.fire("tiny", 0, place, frame)
    _, back = kitti360_views.velodyne("tiny", 0, place, frame)
    points = (origins + directions * back.range[:, None])[back.hit]
    eye = (kitti360_views.street_from_pose("tiny", 0, place, frame) @ kitti360_views.pose_from_rect())[:3, 3]
    rays = (points - eye).astype(np.float32)  # reaches its point at a distance of 1
    hits = kitti360_views.scene_of("tiny", 0, place).cast(eye, rays)
    unoccluded = (hits.face < 0) | (hits.distance > 1 - 0.05 / np.linalg.norm(rays, axis=1))
    world = kitti360_views.world_from_street(0, place.drive)
    return points @ world[:3, :3].T + world[:3, 3], unoccluded, SEMANTIC[back.kind[back.hit]]


@cache
def rendered(place, frame):
    return kitti360_views.render_view("tiny", 0, place, frame)


def compare(root, dataset):
    """Over all sweeps: depth agrees, class agrees, and medians of relative error of depth and of distance in 3D."""
    depth_hits, class_hits, errors, apart = [], [], [], []
    for scene in (*dataset.scenes("train"), *dataset.scenes("val")):
        for index, frame in enumerate(scene.frames):
            sweep, camera = dataset.sweep(scene, index), dataset.cameras(scene)[index]
            if sweep is None:
                continue
            drive, _, number = frame.id.rpartition("_")
            place = next(p for p in PLACES if p.drive == drive and 0 <= int(number) - p.first < 4)
            points, unoccluded, semantic = simulated(place, int(number))
            apart.append(np.linalg.norm(sweep.xyz - points, axis=1))
            truth = read_truth(root, frame.id)
            assert truth is not None and camera is not None
            seen = project(sweep.xyz, camera, truth.shape)
            chosen = seen.inside & unoccluded
            pixel, depth = seen.pixel[chosen], seen.depth[chosen]
            depth_hits.append(agrees(truth, pixel, depth))
            errors.append(np.abs(plane(truth, pixel) / depth - 1))
            labels = rendered(place, int(number)).semantic
            class_hits.append((around(labels, pixel) == semantic[chosen][:, None, None]).any((1, 2)))
    return *map(np.concatenate, (depth_hits, class_hits)), *(
        float(np.median(np.concatenate(e))) for e in (errors, apart)
    )


@pytest.fixture(scope="module")
def compared(root):
    return compare(root, Kitti360(root))


def test_points_fall_on_their_depth_and_class(compared):
    depth_hits, class_hits, error, apart = compared
    assert len(depth_hits) > 20_000
    assert depth_hits.mean() >= 0.97 and class_hits.mean() >= 0.97
    assert error < 0.002 and apart < 0.005


def without_motion(points, velo_from_previous):
    return points


def backwards(points, velo_from_previous):
    return calibration.uncurl(points, np.linalg.inv(velo_from_previous))


@pytest.mark.parametrize("uncurl", [without_motion, backwards])
def test_sweeps_must_be_uncurled(root, compared, monkeypatch, uncurl):
    """What the motion moves ahead of the car moves along the rays: pictures show less of it than space."""
    monkeypatch.setattr(adapter, "uncurl", uncurl)
    _, _, error, apart = compare(root, Kitti360(root))
    assert error > 1.2 * compared[2] and apart > 5 * compared[3]


class WithoutRectification(Kitti360):
    """The camera as mounted."""

    def cameras(self, scene):
        turned = np.eye(4)
        turned[:3, :3] = kitti360_views.CAM0_FROM_RECT.T
        return tuple(moved(c, turned) for c in super().cameras(scene))


class WithoutMounting(Kitti360):
    """``poses.txt`` taken for the poses of the camera, its axes aside."""

    def cameras(self, scene):
        axes = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], np.float64)
        turned = np.linalg.inv(kitti360_views.pose_from_rect()) @ axes
        return tuple(moved(c, turned) for c in super().cameras(scene))


def moved(camera, camera_from_wrong):
    pose = camera.world_from_camera
    return Camera(
        intrinsics=camera.intrinsics, world_from_camera=None if pose is None else pose @ camera_from_wrong
    )  # fmt: skip


@pytest.mark.parametrize("wrong", [WithoutRectification, WithoutMounting])
def test_the_calibration_must_be_applied(root, compared, wrong):
    _, _, error, _ = compare(root, wrong(root))
    assert error > 5 * compared[2]

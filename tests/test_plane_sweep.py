"""Plane-sweep stereo, the true depth, and how clouds are put together: on small pictures whose depth is known."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.stats import rankdata

from wsss.benchmark import discovery
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import DatasetError, Unsupported, UsageError
from wsss.benchmark.geometry import _stereo_check as check
from wsss.benchmark.geometry import _stereo_loops as loops
from wsss.benchmark.geometry import _stereo_opencv, _stereo_torch, providers
from wsss.benchmark.geometry._stereo import Match, Swept
from wsss.benchmark.geometry.cameras import project, unproject
from wsss.benchmark.geometry.clouds import UPWARDS, ViewPoints, around_labels, assemble, empty, from_depth
from wsss.benchmark.geometry.providers.plane_sweep import PlaneSweep
from wsss.benchmark.geometry.providers.truth import Truth
from wsss.benchmark.geometry.sweep_stereo import Depth, Settings, View, _warp, choose_sources, reconstruct
from wsss.benchmark.randomness import stream
from wsss.benchmark.types import Camera, Frame, Scene

SIZE = (72, 128)
FOCAL = 110.0
INTRINSICS = np.array([[FOCAL, 0, 63.5], [0, FOCAL, 35.5], [0, 0, 1]])
WALL, BOX = 8.0, 4.0


def noise(name, size=(900, 900)):
    """A picture with detail of every size down to two pixels."""
    rng = stream(0, "plane sweep", name)
    layers = [
        cv2.resize(rng.normal(size=(size[0] // k, size[1] // k)), size[::-1], interpolation=cv2.INTER_CUBIC)
        for k in (2, 4, 9)
    ]
    grey = np.sum(layers, axis=0)
    return np.clip(128 + 40 * grey / grey.std(), 0, 255).astype(np.uint8)


def texture_at(picture, x, y):
    """Colours of a plane's points, 60 texels per metre."""
    place = [(60 * axis + 450).reshape(SIZE).astype(np.float32) for axis in (x, y)]
    return cv2.remap(picture, place[0], place[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def rendered(pose):
    """A wall with a box before it, seen from a camera that only moves; and the depth."""
    rays = np.stack(np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0])), -1).reshape(-1, 2) - INTRINSICS[:2, 2]
    rays = rays / FOCAL
    on_wall, on_box = (pose[:2, 3] + rays * (z - pose[2, 3]) for z in (WALL, BOX))
    box = (np.abs(on_box[:, 0]) < 0.8).reshape(SIZE) & (np.abs(on_box[:, 1]) < 0.7).reshape(SIZE)
    image = np.where(box, texture_at(noise("box"), *on_box.T), texture_at(noise("wall"), *on_wall.T))
    return np.stack([image] * 3, -1), np.where(box, BOX, WALL) - pose[2, 3]


def moved(*shift):
    pose = np.eye(4)
    pose[:3, 3] = shift
    return pose


@pytest.fixture(scope="module")
def views():
    """Five steps sideways and a little forward."""
    poses = [moved(0.4 * k, 0, 0.1 * k) for k in range(-2, 3)]
    return [View(image=rendered(pose)[0], intrinsics=INTRINSICS, world_from_camera=pose) for pose in poses]


@pytest.fixture(scope="module")
def depths(views):
    return reconstruct(views, Settings())


def auroc(confidence, right):
    rank, positive = rankdata(confidence), int(right.sum())
    return (rank[right].sum() - positive * (positive + 1) / 2) / (positive * (len(right) - positive))


def test_depth_is_right_where_it_is_kept(views, depths):
    for view, found in zip(views, depths, strict=True):
        truth = rendered(view.world_from_camera)[1]
        wrong = np.abs(found.depth / truth - 1)
        assert found.mask.mean() > 0.5
        assert (wrong[found.mask] < 0.05).mean() > 0.95
        assert np.median(wrong[found.mask]) < 0.015


def test_confidence_ranks_pixels_by_being_right(views, depths):
    right = [
        np.abs(found.depth / rendered(view.world_from_camera)[1] - 1) < 0.05
        for view, found in zip(views, depths, strict=True)
    ]
    confidence = np.concatenate([found.confidence.ravel() for found in depths])
    assert auroc(confidence, np.concatenate([one.ravel() for one in right])) > 0.85
    assert confidence.min() >= 0 and confidence.max() <= 1
    assert all((found.confidence[found.mask] > 0).all() for found in depths)


def matched(views) -> list[Depth]:
    """The depths of views that all have one."""
    found = [depth for depth in reconstruct(views, Settings()) if depth is not None]
    assert len(found) == len(views)
    return found


def test_twice_the_same(views, depths):
    for first, second in zip(depths, matched(views), strict=True):
        assert np.array_equal(first.depth, second.depth)
        assert np.array_equal(first.confidence, second.confidence)
        assert np.array_equal(first.mask, second.mask)


def test_units_do_not_matter(views, depths):
    larger = [replace(view, world_from_camera=moved(*(1000 + 7 * view.world_from_camera[:3, 3]))) for view in views]
    for one, other in zip(depths, matched(larger), strict=True):
        assert (one.mask == other.mask).mean() > 0.97
        both = one.mask & other.mask
        assert np.median(np.abs(other.depth[both] / one.depth[both] / 7 - 1)) < 1e-3


def test_torch_agrees_with_opencv(views):
    grey = [cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY).clip(1) for view in views]
    warps = [_warp(views[2], views[other]) for other in (1, 3, 0)]
    planes = np.arange(1, 40) / 60
    there = [grey[other] for other in (1, 3, 0)]
    one = _stereo_opencv.match(grey[2], there, warps, planes, 5)
    other = _stereo_torch.match(grey[2], there, warps, planes, 5, "cpu")
    apart = np.abs(one.inverse_depth - other.inverse_depth) / (planes[1] - planes[0])
    assert (apart < 0.1).mean() > 0.97
    assert np.median(np.abs(one.correlation - other.correlation)) < 0.01
    assert np.median(np.abs(one.mass - other.mass)) < 0.01


def test_paths_agree_with_torch():
    rng = stream(0, "paths")
    cost = rng.random((9, 12, 7)).astype(np.float32)
    grey = rng.integers(1, 255, (9, 12)).astype(np.uint8)
    torch = pytest.importorskip("torch")
    mine = _stereo_torch._aggregate(torch.as_tensor(cost).permute(2, 0, 1), torch.as_tensor(grey).float())
    assert np.allclose(loops.aggregate(cost, grey, *_stereo_torch.PATHS), mine.permute(1, 2, 0).numpy(), atol=1e-5)


def test_torch_agrees_with_opencv_around_a_surface(views):
    grey = [cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY).clip(1) for view in views]
    warps = [_warp(views[2], views[other]) for other in (1, 3, 0)]
    there = [grey[other] for other in (1, 3, 0)]
    step = 1 / 60
    true = 1 / rendered(views[2].world_from_camera)[1]
    surface = (true + 0.7 * step * np.sin(np.arange(SIZE[1]) / 9)).astype(np.float32)
    one, correlation = _stereo_opencv.refine(grey[2], there, warps, surface, step, 7)
    other, also = _stereo_torch.refine(grey[2], there, warps, surface, step, 7, "cpu")
    assert (np.abs(one - other) / step < 0.1).mean() > 0.97
    assert np.median(np.abs(correlation - also)) < 0.01
    inner = np.s_[8:-8, 16:-16]
    assert np.median(np.abs(one - true)[inner]) < 0.25 * np.median(np.abs(surface - true)[inner])


def test_what_lies_behind_a_source_is_outside_in_both_matchers(views):
    grey = cv2.cvtColor(views[0].image, cv2.COLOR_RGB2GRAY).clip(1)
    forwards = _warp(views[0], replace(views[0], world_from_camera=moved(0, 0, 5.0)))
    surface = np.where(np.arange(SIZE[1]) < 64, 1 / 3, 1 / 8).astype(np.float32) * np.ones((SIZE[0], 1), np.float32)
    for found in (
        _stereo_opencv.refine(grey, [grey], [forwards], surface, 1e-3, 7)[1],
        _stereo_torch.refine(grey, [grey], [forwards], surface, 1e-3, 7, "cpu")[1],
    ):
        assert (found[:, :64] == -1).all() and (found[30:40, 66:70] > -1).all()


SURFACE = (4, 0.05, 0.04, 15.0)


def test_surfaces_lie_on_slanted_planes_and_stop_at_edges():
    row, column = np.mgrid[:30, :40]
    near = column >= 20
    exact = np.where(near, 0.5, 0.1 + 0.002 * row + 0.001 * column).astype(np.float32)
    rough = (exact * (1 + 0.01 * stream(0, "rough").normal(size=exact.shape))).astype(np.float32)
    even = np.full(rough.shape, 90, np.uint8)
    surface, support = loops.fit_surfaces(rough, np.ones(rough.shape, bool), even, *SURFACE)
    inner = np.s_[5:-5, 5:-5]
    assert np.abs(surface / exact - 1)[inner].mean() < 0.5 * np.abs(rough / exact - 1)[inner].mean()
    assert support[10, 8] > 0.9 and 0.4 < support[10, 19] < 0.7
    alone = np.zeros(rough.shape, bool)
    alone[3, 3] = True
    assert loops.fit_surfaces(rough, alone, even, *SURFACE)[1].max() == 0


def test_depth_that_ends_beside_the_edge_of_the_picture_has_little_support():
    grey = np.where(np.arange(40) < 20, 60, 200).astype(np.uint8) * np.ones((30, 1), np.uint8)
    depth = np.where(np.arange(40) < 23, 0.2, 0.1).astype(np.float32) * np.ones((30, 1), np.float32)  # 3 pixels too far
    support = loops.fit_surfaces(depth, np.ones(depth.shape, bool), grey, *SURFACE)[1]
    plain = loops.fit_surfaces(depth, np.ones(depth.shape, bool), np.full_like(grey, 60), *SURFACE)[1]
    assert support[15, 21] < 0.55 and plain[15, 21] > 0.65
    assert support[15, 19] > plain[15, 19]


@pytest.mark.parametrize(
    "better", [{"error": 0.2}, {"support": 0.9}, {"smooth": 0.9}, {"correlation": 0.9}, {"parallax": 9.0}]
)
def test_every_cue_makes_a_depth_likelier(better):
    usual = {"error": 1.0, "support": 0.5, "smooth": 0.5, "correlation": 0.5, "parallax": 5.0}
    before, after = probability(**usual), probability(**(usual | better))
    assert before.min() > 0 and after.max() < 1
    assert (after > before).all()


def probability(error, support, smooth, correlation, parallax):
    flat = np.ones((2, 3), np.float32)
    match = Match(inverse_depth=flat, correlation=correlation * flat, mass=flat)
    found = Swept(match=match, smooth=smooth * flat, sources=(), warps=(), backs=(), parallax=parallax * flat)
    return check.probability(found, support * flat, error * flat, 5 * flat)


def test_sources_are_those_that_see_the_same_from_elsewhere(views):
    back = np.diag([-1.0, 1.0, -1.0, 1.0])
    crowd = [*views, replace(views[2], world_from_camera=back), views[2]]
    assert set(choose_sources(crowd, 2, 4)) == {0, 1, 3, 4}
    assert choose_sources(crowd, 2, 2) and len(choose_sources(crowd, 2, 2)) == 2
    assert choose_sources([views[0]], 0, 4) == ()
    assert choose_sources([views[0], views[0]], 0, 4) == ()


@pytest.mark.parametrize("kind", ["one", "same pose", "flat", "turned", "none"])
def test_nothing_is_found_where_nothing_can_be(views, kind):
    flat = np.full((*SIZE, 3), 120, np.uint8)
    turn = np.eye(4)
    turn[:3, :3] = cv2.Rodrigues(np.array([0.0, 0.1, 0.0]))[0]
    some = {
        "none": [],
        "one": views[:1],
        "same pose": [views[0], views[0], views[0]],
        "flat": [replace(view, image=flat) for view in views],
        "turned": [views[2], replace(views[2], world_from_camera=turn)],
    }[kind]
    found = reconstruct(some, Settings())
    assert len(found) == len(some)
    assert all(one is None or not one.mask.any() for one in found)


def test_views_may_differ_in_size(views):
    double = replace(
        views[1],
        image=cv2.resize(views[1].image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
        intrinsics=np.array([[2 * FOCAL, 0, 127.5], [0, 2 * FOCAL, 71.5], [0, 0, 1]]),
    )
    found = matched([views[0], double, *views[2:]])[2]
    assert found.mask.mean() > 0.4
    assert (np.abs(found.depth / rendered(views[2].world_from_camera)[1] - 1)[found.mask] < 0.05).mean() > 0.95


def test_real_stereo():
    data = pytest.importorskip("skimage.data", reason="scikit-image, whose wheel has the pictures, is not installed")
    left, right, disparity = data.stereo_motorcycle()
    scale = 0.5
    size = (370, 250)
    images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (left, right)]
    disparity = scale * cv2.resize(disparity, size, interpolation=cv2.INTER_NEAREST)
    focal, offset, baseline = 994.978 * scale, 31.086 * scale, 0.193001
    first = np.array([[focal, 0, 311.193 * scale], [0, focal, 254.877 * scale], [0, 0, 1]])
    second = first + np.array([[0, 0, offset], [0, 0, 0], [0, 0, 0]])
    pair = [
        View(image=images[0], intrinsics=first, world_from_camera=np.eye(4)),
        View(image=images[1], intrinsics=second, world_from_camera=moved(baseline, 0, 0)),
    ]
    found = matched(pair)[0]
    known = np.isfinite(disparity)
    right_there = np.abs(focal * baseline / found.depth - offset - disparity) < 2
    assert found.mask[known].mean() > 0.7
    assert right_there[found.mask & known].mean() > 0.95
    assert auroc(found.confidence[known], right_there[known]) > 0.91


@pytest.fixture(params=["kitti360", "waymo", "cityscapes"])
def posed(request, tiny):
    """A tiny miniature whose dataset gives poses."""
    return discovery.dataset(request.param)(tiny(request.param))


def check_cloud(dataset, scene, cloud):
    """What holds for the cloud of every provider of which frames see every point."""
    assert (np.diff(cloud.frame) >= 0).all() and cloud.frame.min() >= 0
    assert (cloud.confidence > 0).all() and np.isfinite(cloud.xyz).all()
    for index in np.unique(cloud.frame).tolist():
        image, rows = dataset.image(scene.frames[index]), cloud.view(index)
        row, column = cloud.pixel[rows].T
        assert np.array_equal(cloud.rgb[rows], image[row, column])
        camera = dataset.cameras(scene)[index]
        found = project(cloud.xyz[rows].astype(np.float64) + cloud.origin, camera, image.shape[:2])
        # A rolling shutter is undone by fixed-point steps that leave a few hundredths of a pixel.
        assert np.abs(found.pixel - cloud.pixel[rows]).max() < 0.55


def test_points_of_a_miniature(posed):
    scene = posed.scenes("train")[0]
    cloud = PlaneSweep(confidence=0.7).points(posed, scene)
    assert len(cloud.xyz) > 100 and cloud.metric
    assert np.array_equal(cloud.up, UPWARDS)
    check_cloud(posed, scene, cloud)
    depth = [
        (
            project(cloud.xyz[rows].astype(float) + cloud.origin, posed.cameras(scene)[i], true.shape).depth,
            true[row, column],
        )
        for i in np.unique(cloud.frame).tolist()
        for rows in [cloud.view(i)]
        for row, column in [cloud.pixel[rows].T]
        for true in [true_depth(posed, scene.frames[i])]
    ]
    found, true = np.concatenate(depth, axis=1)
    assert (
        np.median(np.abs(found / true - 1)) < 0.08
    )  # pictures 60 pixels high; the full ones stand in docs/geometry.md


def true_depth(dataset, frame):
    stored = cv2.imread(str(dataset.root / "truth" / f"{frame.id}.png"), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    return np.where(stored > 0, stored / 256, np.inf)


def test_larger_images_are_matched_smaller_and_points_keep_their_pixels(tiny):
    dataset = discovery.dataset("waymo")(tiny("waymo"))
    scene = dataset.scenes("train")[0]
    check_cloud(dataset, scene, PlaneSweep(width=100, confidence=0.6).points(dataset, scene))


def test_truth_of_a_miniature(posed):
    scene = posed.scenes("train")[0]
    cloud = Truth().points(posed, scene)
    check_cloud(posed, scene, cloud)
    assert (cloud.confidence == 1).all()
    index = int(cloud.frame[0])
    true = true_depth(posed, scene.frames[index])
    rows = cloud.view(index)
    assert rows.stop - rows.start == np.isfinite(true).sum()
    found = project(cloud.xyz[rows].astype(float) + cloud.origin, posed.cameras(scene)[index], true.shape)
    assert np.allclose(found.depth, true[tuple(cloud.pixel[rows].T)], rtol=2e-3, atol=2e-3)


def test_noise_of_the_truth_is_relative_and_repeats(tiny):
    dataset = discovery.dataset("cityscapes")(tiny("cityscapes"))
    scene = dataset.scenes("train")[0]
    exact, noisy, again = (Truth(noise=noise).points(dataset, scene) for noise in (0.0, 0.05, 0.05))
    assert np.array_equal(noisy.xyz, again.xyz) and len(noisy.xyz) == len(exact.xyz)
    rows, camera = exact.view(0), dataset.cameras(scene)[0]
    assert camera is not None
    a, b = (project(c.xyz[rows].astype(float) + c.origin, camera, (64, 128)).depth for c in (exact, noisy))
    assert 0.045 < np.std(b / a - 1) < 0.055


def test_truth_is_refused_outside_a_miniature(tmp_path):
    dataset = Still(tmp_path, [moved(0, 0, 0)])
    with pytest.raises(Unsupported, match="is not a miniature"):
        Truth().points(dataset, dataset.scenes("train")[0])


class Still(Dataset):
    """Frames that show the wall, some without a pose or with a broken one."""

    title = "Still"
    sources = frozenset({"poses"})

    def __init__(self, root: Path, poses):
        super().__init__(root)
        self.poses = poses

    def scenes(self, split):
        frames = tuple(Frame(id=str(k), image=self.root / str(k), labelled=k == 2) for k in range(len(self.poses)))
        return [Scene(id="still", frames=frames)]

    def image(self, frame):
        return rendered(moved(0.4 * int(frame.id), 0, 0))[0]

    def dense(self, frame):
        return None

    def cameras(self, scene):
        return tuple(Camera(intrinsics=INTRINSICS, world_from_camera=pose) for pose in self.poses)


def test_frames_without_a_pose_contribute_nothing(tmp_path):
    broken = moved(1.2, 0, 0)
    broken[0, 0] = np.nan
    dataset = Still(tmp_path, [moved(0, 0, 0), None, moved(0.8, 0, 0), broken, moved(1.6, 0, 0)])
    cloud = PlaneSweep().points(dataset, dataset.scenes("train")[0])
    assert set(cloud.frame.tolist()) == {0, 2, 4}


def test_one_posed_frame_gives_an_empty_cloud(tmp_path):
    dataset = Still(tmp_path, [None, None, moved(0.8, 0, 0)])
    cloud = PlaneSweep().points(dataset, dataset.scenes("train")[0])
    assert len(cloud.xyz) == 0 and cloud.xyz.shape == (0, 3)


def test_settings_are_checked():
    wrongs: tuple[dict[str, Any], ...] = (
        {"planes": 3}, {"window": 4}, {"sources": 0}, {"width": 5}, {"confidence": -1.0},
    )  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(UsageError, match=next(iter(wrong))):
            PlaneSweep(**wrong)
    with pytest.raises(UsageError, match="noise"):
        Truth(noise=-0.1)


def test_providers_are_found():
    for name, provider in (("plane_sweep", PlaneSweep), ("truth", Truth)):
        assert providers.load(name) is provider
        assert providers.digest(provider()) != providers.digest(replace(provider(), frames_per_scene=9))


def test_a_provider_is_listed_without_numba():
    code = "import sys, wsss.benchmark.geometry.providers.plane_sweep; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def scene_of(labelled, cameras=None):
    cameras = cameras or [""] * len(labelled)
    frames = [
        Frame(id=str(k), image=Path("x"), labelled=bool(one), camera=cameras[k]) for k, one in enumerate(labelled)
    ]
    return Scene(id="s", frames=tuple(frames))


def test_frames_around_the_labelled_ones():
    assert around_labels(scene_of([0, 0, 0, 1, 0, 0, 0]), 3) == (2, 3, 4)
    assert around_labels(scene_of([1, 0, 0, 0, 0, 1, 0]), 5) == (0, 1, 4, 5, 6)
    assert around_labels(scene_of([1, 1, 1, 0]), 1) == (0, 1, 2)
    assert around_labels(scene_of([1, 0, 0, 0], ["a", "b", "a", "b"]), 2) == (0, 2)
    assert around_labels(scene_of([0, 0]), 9) == (0, 1)


def test_assembling_sorts_colours_and_centres(tmp_path):
    dataset = Still(tmp_path, [moved(0, 0, 0)] * 3)
    scene = dataset.scenes("train")[0]
    pixel = np.array([[3, 4], [70, 120]], np.int32)
    far = np.array([[40000.0, 1.0, 2.0], [40002.0, 1.5, 2.0]])
    views = [ViewPoints(frame=k, xyz=far + k, pixel=pixel, confidence=np.array([0.5, 2.0])) for k in (2, 0)]
    loose = ViewPoints(
        frame=-1, xyz=far, pixel=np.full((2, 2), -1, np.int32), confidence=np.ones(2), rgb=np.zeros((2, 3), np.uint8)
    )
    cloud = assemble(dataset, scene, [*views, loose], up=np.array([0, 0, 2.0]), metric=False)
    assert cloud.frame.tolist() == [-1, -1, 0, 0, 2, 2] and not cloud.metric
    assert np.allclose(cloud.xyz[4:].astype(float) + cloud.origin, far + 2, atol=1e-3)
    assert np.array_equal(cloud.rgb[2:4], dataset.image(scene.frames[0])[pixel[:, 0], pixel[:, 1]])
    assert np.array_equal(cloud.up, UPWARDS)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"xyz": np.array([[np.nan, 0, 0]])}, "finite"),
        ({"confidence": np.zeros(1)}, "positive"),
        ({"confidence": np.array([1e-60])}, "positive"),
        ({"pixel": np.array([[500, 0]], np.int32)}, "outside"),
        ({"frame": 7}, "no frame 7"),
        ({"frame": -1}, "no colour"),
    ],
)
def test_bad_points_are_refused(tmp_path, change, text):
    dataset = Still(tmp_path, [moved(0, 0, 0)])
    good = ViewPoints(frame=0, xyz=np.zeros((1, 3)), pixel=np.zeros((1, 2), np.int32), confidence=np.ones(1))
    with pytest.raises(ValueError, match=text):
        assemble(dataset, dataset.scenes("train")[0], [replace(good, **change)], up=UPWARDS, metric=True)


def test_points_of_a_depth_image():
    depth = np.array([[np.inf, 2.0], [0.0, np.nan]])
    camera = Camera(intrinsics=np.eye(3))
    view = from_depth(4, depth, np.ones((2, 2)), camera)
    assert view.pixel.tolist() == [[0, 1]] and view.frame == 4
    assert np.allclose(view.xyz, unproject(np.array([[0.0, 1.0]]), np.array([2.0]), camera, (2, 2)))
    assert len(empty(UPWARDS).xyz) == 0


def test_a_damaged_truth_is_named(tmp_path):
    (tmp_path / "miniature.json").write_text("{}")
    dataset = Still(tmp_path, [moved(0, 0, 0)])
    with pytest.raises(DatasetError, match=r"0\.png is missing or damaged"):
        Truth().points(dataset, dataset.scenes("train")[0])

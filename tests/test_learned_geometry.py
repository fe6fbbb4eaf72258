"""Reconstruction networks: what they see, where their points land, and what becomes of chunks.

The packages are optional. Where one is not installed, a module with the outputs' exact keys, shapes and types takes its
place, whose "network" has seen the true scene; where MapAnything is, its own code runs with small random weights.
"""

import importlib.util
import json
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported, UsageError
from wsss.benchmark.geometry import pretrained, providers, stored, views, worlds
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.cameras import inverse, project
from wsss.benchmark.geometry.clouds import ViewPoints
from wsss.benchmark.geometry.providers.depth_anything_3 import DepthAnything3
from wsss.benchmark.geometry.providers.map_anything import GRIDS, MapAnything
from wsss.benchmark.geometry.stored import Manifest
from wsss.benchmark.geometry.views import Grid, Selection, chunks
from wsss.benchmark.types import Camera, Classes, Frame, Scene

SIZES = [(376, 1408), (1280, 1920), (480, 640), (1024, 2048), (128, 256)]
SMALL = (60, 80)
MATRIX = np.array([[70.0, 0, 39.2], [0, 71.0, 30.4], [0, 0, 1]])
FAR = np.array([3000.0, -5000.0, 120.0])


def camera_pose(place, yaw=0.0):
    """world_from_camera of a level camera in a world with z up; it looks along y where ``yaw`` is 0."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("z", yaw).as_matrix() @ [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    pose[:3, 3] = place
    return pose


class Street(Dataset):
    """Frames of one scene before a wall 10 m ahead of the first camera, at y = 10."""

    title, homepage, license, layout = "Street", "-", "-", "-"
    classes = Classes(names=("a",), colors=((0, 0, 0),))
    labels = frozenset()
    sources = frozenset()

    def __init__(self, root, poses, *, labelled=None, size=SMALL, given=True):
        super().__init__(root)
        self.poses, self.size, self.given = poses, size, given
        count = len(poses)
        kept = range(count) if labelled is None else labelled
        frames = tuple(Frame(id=f"{i:03d}", image=root / "-", labelled=i in kept, time=float(i)) for i in range(count))
        self.scene = Scene(id="street", frames=frames)

    def scenes(self, split):
        return (self.scene,)

    def image(self, frame):
        rows, columns = np.indices(self.size)
        red = np.full(self.size, int(frame.id))
        return np.stack([red, rows % 256, columns % 256], -1).astype(np.uint8)

    def dense(self, frame):
        return None

    def cameras(self, scene):
        poses = self.poses if self.given else [None] * len(self.poses)
        return tuple(Camera(intrinsics=MATRIX, world_from_camera=pose) for pose in poses)


def wall_depth(pose, grid):
    """True depth of the wall on a grid's own positions: an independent ray cast."""
    row, column = np.indices(grid.size)
    exact = grid.to_source(np.stack([row.ravel(), column.ravel()], -1).astype(float))
    rays = np.stack([(exact[:, 1] - 39.2) / 70, (exact[:, 0] - 30.4) / 71, np.ones(len(exact))], -1)
    return ((10 + FAR[1] - pose[1, 3]) / (rays @ pose[:3, :3].T)[:, 1]).reshape(grid.size)


def moving(count):
    return [camera_pose(FAR + np.array([0.3 * i, 0.4 * i, 0]), 0.02 * i) for i in range(count)]


# ---------------------------------------------------------------------------------------------------------------------
# Which frames


def scene_of(labelled, cameras=("",), times=True):
    frames = [
        Frame(id=f"{t}{c}", image=Path("-"), labelled=bool(flag), time=float(t) if times else None, camera=c)
        for t, flag in enumerate(labelled)
        for c in cameras
    ]
    return Scene(id="s", frames=tuple(frames))


def test_waymo_takes_every_fourth_timestamp_and_all_labelled_ones_of_three_cameras():
    cameras = ("FRONT", "FRONT_LEFT", "FRONT_RIGHT", "SIDE_LEFT")
    scene = scene_of([i == 6 for i in range(12)], cameras)
    (chunk,) = chunks(scene, views.SELECTIONS["waymo"])
    assert {scene.frames[i].time for i in chunk} == {0, 4, 6, 8}
    assert {scene.frames[i].camera for i in chunk} == set(cameras[:3])
    assert len(chunk) == 12


def test_waymo_chunks_never_split_a_timestamp():
    scene = scene_of([True] * 70, ("FRONT", "FRONT_LEFT", "FRONT_RIGHT"))
    found = chunks(scene, views.SELECTIONS["waymo"])
    assert [len(chunk) for chunk in found] == [105, 105]
    assert [index for chunk in found for index in chunk] == list(range(210))
    assert all(chunk[0] % 3 == 0 for chunk in found)


def test_kitti360_has_runs_of_nearly_equal_length_the_longer_first():
    assert [len(c) for c in chunks(scene_of([True] * 301, times=False), views.SELECTIONS["kitti360"])] == [
        76,
        75,
        75,
        75,
    ]


def test_nyuv2_keeps_all_labelled_frames_and_fills_evenly():
    scene = scene_of([i % 100 == 50 for i in range(1000)])
    (chunk,) = chunks(scene, views.SELECTIONS["nyuv2"])
    assert len(chunk) == len(set(chunk)) == 180 and list(chunk) == sorted(chunk)
    assert {i for i in range(1000) if i % 100 == 50} <= set(chunk)
    assert np.diff(chunk).max() <= 7  # 990 others, 170 places


def test_nyuv2_thins_labelled_frames_that_are_too_many():
    (chunk,) = chunks(scene_of([True] * 400), views.SELECTIONS["nyuv2"])
    assert len(chunk) == 180 and chunk[0] == 0 and chunk[-1] == 399


def test_cityscapes_takes_the_labelled_image_alone():
    assert chunks(scene_of([False, True, False]), views.SELECTIONS["cityscapes"]) == ((1,),)


def test_a_chunk_without_a_labelled_frame_is_left_out():
    assert chunks(scene_of([False] * 4 + [True] * 4), Selection(most=4)) == ((4, 5, 6, 7),)
    assert chunks(scene_of([False] * 4), Selection(most=4)) == ()


@pytest.mark.parametrize("selection", [Selection(most=2), Selection(most=0), Selection(most=3, every=-1)])
def test_a_selection_that_cannot_be_is_an_error(selection):
    with pytest.raises(UsageError, match="selection of frames"):
        chunks(scene_of([True], ("a", "b", "c")), selection)


@given(st.integers(1, 60), st.integers(1, 3), st.integers(3, 20), st.integers(1, 5))
def test_chunks_hold_each_frame_once_and_are_never_too_large(count, cameras, most, every):
    scene = scene_of([True] * count, tuple("abc"[:cameras]))
    found = chunks(scene, Selection(most=most, every=every))
    assert sorted(i for chunk in found for i in chunk) == list(range(len(scene.frames)))
    moments = [len(chunk) // cameras for chunk in found]
    assert max(map(len, found)) <= most and max(moments) - min(moments) <= 1


def test_halves_part_between_timestamps():
    frames = scene_of([True] * 3, ("a", "b", "c")).frames
    assert views.halves(frames, tuple(range(9))) in (((0, 1, 2), tuple(range(3, 9))), (tuple(range(6)), (6, 7, 8)))
    assert views.halves(frames, (0, 1, 2)) == ((0,), (1, 2))
    with pytest.raises(ValueError):
        views.halves(frames, (0,))


# ---------------------------------------------------------------------------------------------------------------------
# Pixels


def grids():
    nearest = {size: min(GRIDS, key=lambda ratio: abs(ratio - size[1] / size[0])) for size in SIZES}
    covering = [views.covering(size, GRIDS[nearest[size]]) for size in SIZES]
    return [*covering, *(views.stretched(size, 504, 14) for size in SIZES)]


def test_networks_see_images_on_the_grids_of_their_packages():
    assert [grid.size for grid in grids()] == [
        *[(168, 518), (336, 518), (392, 518), (252, 518), (252, 518)],
        *[(140, 504), (336, 504), (378, 504), (252, 504), (252, 504)],
    ]


@pytest.mark.parametrize("grid", grids(), ids=lambda grid: f"{grid.source} {grid.size}")
def test_pixels_round_trip(grid):
    rows, columns = np.indices(grid.size)
    positions = np.stack([rows.ravel(), columns.ravel()], -1).astype(float)
    exact = grid.to_source(positions)
    assert np.abs(grid.to_grid(exact) - positions).max() < 1e-9
    assert np.abs(grid.pixels().reshape(-1, 2) - exact).max() <= 0.5 + 1e-9
    assert (exact > -0.5).all() and (exact < np.array(grid.source) - 0.5).all()


@pytest.mark.parametrize("grid", grids(), ids=lambda grid: f"{grid.source} {grid.size}")
def test_a_mark_in_the_image_is_where_the_map_says(grid):
    """The map describes what the resampling does: a blob's centre of mass stays on it, to a twentieth of a pixel."""
    rows, columns = np.indices(grid.source)
    for share in ((0.3, 0.4), (0.62, 0.71)):
        centre = np.array(grid.source) * share
        spread = min(grid.source) / 20
        blob = 255 * np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * spread**2))
        seen = grid.image(np.repeat(np.round(blob).astype(np.uint8)[..., None], 3, -1))[..., 0].astype(float)
        where = np.array([(axis * seen).sum() for axis in np.indices(grid.size)]) / seen.sum()
        assert np.abs(where - grid.to_grid(centre[None])[0]).max() < 0.05


@pytest.mark.parametrize("grid", grids(), ids=lambda grid: f"{grid.source} {grid.size}")
def test_intrinsics_of_the_grid_project_to_the_same_place(grid):
    rng = np.random.default_rng(0)
    rays = np.column_stack([rng.uniform(-0.3, 0.3, (20, 2)), np.ones(20)])
    matrix = np.array([[900.0, 0, grid.source[1] / 2], [0, 950, grid.source[0] / 2], [0, 0, 1]])
    there, here = rays @ matrix.T, rays @ grid.intrinsics(matrix).T
    assert np.abs(grid.to_grid(there[:, 1::-1]) - here[:, 1::-1]).max() < 1e-9
    assert np.allclose(grid.source_intrinsics(grid.intrinsics(matrix)), matrix)


def test_kitti360_loses_its_left_and_right_borders():
    """The 82.3 % of the image that the fact sheet of the release gives."""
    columns = grids()[0].pixels()[..., 1]
    assert abs(columns.min() - (1408 - 1 - columns.max())) <= 2, "as much on the left as on the right"
    assert (columns.max() - columns.min()) / 1408 == pytest.approx(0.823, abs=2e-3)


@pytest.mark.parametrize(
    ("size", "most"), [((376, 1408), 78_321), ((1280, 1920), 156_643), ((480, 640), 182_750), ((1024, 2048), 117_482)]
)
def test_a_view_has_as_many_points_as_in_the_release(size, most):
    grid = next(grid for grid in grids() if grid.source == size)
    pixel = grid.pixels().reshape(-1, 2)
    confidence = 1 + np.random.default_rng(0).random(len(pixel))
    view = ViewPoints(frame=0, xyz=np.zeros((len(pixel), 3)), pixel=pixel, confidence=confidence)
    assert len(views.best(view, 10).xyz) == pytest.approx(most, abs=1)


def test_the_least_confident_points_go_and_a_pixel_keeps_its_best():
    pixel = np.array([[i // 2, 0] for i in range(20)], np.int32)
    view = ViewPoints(frame=0, xyz=np.arange(60.0).reshape(20, 3), pixel=pixel, confidence=np.arange(1.0, 21))
    best = views.best(view, 10)
    assert best.confidence.tolist() == [4, 6, 8, 10, 12, 14, 16, 18, 20]
    assert (best.xyz[:, 0] / 3 + 1 == best.confidence).all() and best.pixel[:, 0].tolist() == list(range(1, 10))
    assert (
        len(views.best(replace(view, pixel=np.column_stack([np.arange(20), np.arange(20)]).astype(np.int32)), 10).xyz)
        == 18
    )


# ---------------------------------------------------------------------------------------------------------------------
# Worlds


def moved(poses, scale, rotation, shift):
    result = np.array(poses)
    result[:, :3, :3] = rotation @ result[:, :3, :3]
    result[:, :3, 3] = scale * result[:, :3, 3] @ rotation.T + shift
    return result


@pytest.mark.parametrize("path", ["curve", "straight"])
def test_a_similarity_is_found_even_from_a_straight_drive(path):
    step = [0.0, 0.8, 0.0]
    poses = moving(6) if path == "curve" else [camera_pose(FAR + i * np.array(step)) for i in range(6)]
    rotation = Rotation.from_rotvec([0.5, -0.7, 1.1]).as_matrix()
    fit = worlds.similarity(np.array(poses), moved(poses, 2.5, rotation, [4, 5, 6]), metric=False)
    assert fit is not None and fit.scale == pytest.approx(2.5) and np.allclose(fit.rotation, rotation)
    points = FAR + np.random.default_rng(0).normal(size=(5, 3))
    assert np.allclose(fit(points), 2.5 * points @ rotation.T + [4, 5, 6], atol=1e-6)


def test_a_camera_that_stands_still_gives_no_scale():
    poses = np.array([camera_pose(FAR, 0.1 * i) for i in range(3)])
    known = moved(poses, 1, Rotation.from_rotvec([0, 0, 1]).as_matrix(), [1, 2, 3])
    assert worlds.similarity(poses, known, metric=False) is None
    fit = worlds.similarity(poses, known, metric=True)
    assert fit is not None and fit.scale == 1 and np.allclose(fit(FAR[None]), known[0, :3, 3], atol=1e-9)


def test_paths_that_contradict_each_other_have_no_similarity():
    poses = np.array([camera_pose(FAR + np.array([0, i, 0])) for i in range(4)])
    backwards = np.array([camera_pose(FAR - np.array([0, i, 0])) for i in range(4)])
    assert worlds.similarity(poses, poses, metric=False) is not None
    assert worlds.similarity(poses, backwards, metric=False) is None


def flat(frame, pose, size=9):
    """A view with points on a small square before its camera."""
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size)), -1).reshape(-1, 2)
    local = np.column_stack([grid, np.full(len(grid), 5.0)])
    pixel = np.stack([np.arange(len(grid)) // size, np.arange(len(grid)) % size], -1).astype(np.int32)
    xyz = local @ pose[:3, :3].T + pose[:3, 3]
    return ViewPoints(frame=frame, xyz=xyz, pixel=pixel, confidence=np.ones(len(grid)))


def part(frames, poses):
    poses = np.array(poses)
    found = tuple(flat(frame, pose) for frame, pose in zip(frames, poses, strict=True))
    return worlds.Reconstruction(frames=tuple(frames), world_from_camera=poses, views=found, metric=True)


def test_chunks_without_a_common_world_stand_upright_and_apart(tmp_path):
    dataset = Street(tmp_path, moving(4), given=False)
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_euler("x", 0.4).as_matrix()
    found = [part((0, 1), [np.eye(4)] * 2), part((2,), [tilt]), part((3,), [np.eye(4)])]
    cloud = worlds.together(dataset, dataset.scene, found, align=False)
    assert np.allclose(cloud.up, [0, -1, 0]) and cloud.metric
    world = cloud.xyz + cloud.origin
    assert np.allclose(world[cloud.view(0)], found[0].views[0].xyz, atol=1e-3), "the first chunk's world is the scene's"
    upright = world[cloud.view(2)]
    assert np.ptp(upright @ np.array([0, 0, 1.0])) < 1e-3, "its square was upright before its tilted camera"
    groups = [world[np.isin(cloud.frame, frames)] for frames in ((0, 1), (2,), (3,))]
    widest = max(np.linalg.norm(np.ptp(group, axis=0)) for group in groups)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        distance = np.linalg.norm(groups[a][:, None] - groups[b][None], axis=-1).min()
        assert distance > 1.5 * widest


def test_aligning_without_poses_says_so(tmp_path, caplog):
    dataset = Street(tmp_path, moving(2), given=False)
    cloud = worlds.together(dataset, dataset.scene, [part((0, 1), [np.eye(4)] * 2)], align=True)
    assert "gives no poses of scene street" in caplog.text and len(cloud.xyz)


def test_a_chunk_that_cannot_be_placed_is_left_out_and_named(tmp_path, caplog):
    dataset = Street(tmp_path, [*moving(2), None])
    found = [part((0, 1), dataset.poses[:2]), part((2,), [np.eye(4)])]
    cloud = worlds.together(dataset, dataset.scene, found, align=True)
    assert set(cloud.frame) == {0, 1} and "1 frames from 002 on" in caplog.text


def test_a_scene_without_chunks_is_an_empty_cloud(tmp_path):
    dataset = Street(tmp_path, moving(2))
    assert len(worlds.together(dataset, dataset.scene, [], align=False).xyz) == 0


def test_a_chunk_too_large_for_the_gpu_is_halved_with_a_warning(caplog):
    frames = scene_of([True] * 8).frames
    tried = []

    def run(chunk):
        tried.append(chunk)
        if len(chunk) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return part(chunk, [np.eye(4)] * len(chunk))

    found = worlds.reconstruct(frames, [tuple(range(8))], run)
    assert [one.frames for one in found] == [(0, 1), (2, 3), (4, 5), (6, 7)] and len(tried) == 7
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 3 and warned[0].startswith(
        "out of GPU memory with 8 images from frame 0 on: halved into 4 and 4"
    )


def test_one_image_too_large_is_an_error():
    def run(chunk):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(Unsupported, match="frame 0 alone does not fit"):
        worlds.reconstruct(scene_of([True]).frames, [(0,)], run)


# ---------------------------------------------------------------------------------------------------------------------
# Packages and weights


def test_a_missing_package_says_how_to_install_it(monkeypatch, tmp_path):
    dataset = Street(tmp_path, moving(2))
    for provider, module, command in (
        (MapAnything(), "mapanything.models", "github.com/facebookresearch/map-anything@"),
        (DepthAnything3(), "depth_anything_3.api", "depth-anything-3==0.1.1"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(Unsupported, match=f"install it with: .*{command}"):
            provider.points(dataset, dataset.scene)


def test_missing_weights_say_how_to_download_them(monkeypatch, tmp_path):
    with pytest.raises(Unsupported, match=r"download them with: hf download wsss/none --revision abc$"):
        pretrained.folder("wsss/none", "abc", None)
    with pytest.raises(Unsupported, match=r"holds no model\.safetensors"):
        pretrained.folder(str(tmp_path), None, None)


def test_weights_are_pinned_by_their_hash(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    known = "9a1b5d85f3ac5d6aeb1bd2b0cd7d45fd8c2ba9f1d1d4f4c0b7a1f3f4d1ac5e61"
    found = pretrained.digest(tmp_path)
    assert pretrained.folder(str(tmp_path), None, found) == tmp_path
    with pytest.raises(Unsupported, match=f"has SHA-256 {found}, the settings say {known}"):
        pretrained.folder(str(tmp_path), None, known)
    cached = tmp_path / "snapshot"
    cached.mkdir()
    (tmp_path / known).write_bytes(b"other")
    (cached / "model.safetensors").symlink_to(tmp_path / known)
    assert pretrained.digest(cached) == known, "the hub's cache names files by their hash"


def test_a_package_cannot_change_the_numerics_of_the_process(monkeypatch, tmp_path):
    (tmp_path / "tf32_package.py").write_text("import torch\ntorch.backends.cuda.matmul.allow_tf32 = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = torch.backends.cuda.matmul.allow_tf32
    pretrained.package("tf32_package", "-")
    assert "tf32_package" in sys.modules and torch.backends.cuda.matmul.allow_tf32 == before is False


@pytest.mark.parametrize("provider", [MapAnything, DepthAnything3])
def test_settings_enter_the_digest(provider):
    assert isinstance(provider(), providers.Geometry) and providers.name_of(provider()) in providers.names()
    settings = [
        {},
        {"weights": "a"},
        {"sha256": "b"},
        {"posed": True},
        {"dropped": 20},
        {"selection": Selection(most=9)},
    ]
    assert len({providers.digest(provider(**setting)) for setting in settings}) == len(settings)


# ---------------------------------------------------------------------------------------------------------------------
# MapAnything


@pytest.fixture
def weights(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"none")
    yield str(folder)
    pretrained.release()


def stand_in(monkeypatch, name, **content):
    """A package in the place of one that is not installed."""
    parent, _, _ = name.partition(".")
    for module in (parent, name):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    vars(sys.modules[name]).update(content)


class Recorded:
    """The recorded structure of MapAnything's outputs, with a wall where the truth has one.

    World: the first view's camera, as in the package; lengths are a ``factor`` off, as in any estimate.
    """

    poses: dict
    factor = 1.0
    calls: list

    @classmethod
    def from_pretrained(cls, folder):
        assert (Path(folder) / "model.safetensors").is_file()
        cls.calls = []
        return cls()

    def to(self, device):
        return self

    def eval(self):
        return self

    def infer(self, views, **settings):
        self.calls.append((views, settings))
        allowed = {"img", "data_norm_type", "intrinsics", "camera_poses", "is_metric_scale"}
        assert all(set(view) <= allowed and view["img"].dtype == torch.float32 for view in views)
        numbers = [round(float(view["img"][0, 0].mean()) * 255 * 0.229 + 255 * 0.485) for view in views]
        first = inverse(self.poses[numbers[0]])
        return [
            self._output(view, first @ self.poses[n], self.poses[n]) for view, n in zip(views, numbers, strict=True)
        ]

    def _output(self, view, relative, pose):
        size = tuple(view["img"].shape[-2:])
        grid = views.covering(SMALL, size)
        depth = wall_depth(pose, grid)
        row, column = np.indices(size)
        inner = grid.intrinsics(MATRIX)
        rays = np.stack([(column - inner[0, 2]) / inner[0, 0], (row - inner[1, 2]) / inner[1, 1], np.ones(size)], -1)
        local = self.factor * depth[..., None] * rays
        here = relative.copy()
        here[:3, 3] *= self.factor
        mask = np.ones(size, bool)
        mask[: size[0] // 4] = False  # the sky
        confidence = 1 + np.exp(np.linspace(-1, 3, size[1]))[None] * np.ones(size)

        def tensor(values):
            return torch.from_numpy(np.ascontiguousarray(values)).float()[None]

        world = (local @ here[:3, :3].T + here[:3, 3]) * mask[..., None]
        quaternion = Rotation.from_matrix(here[:3, :3]).as_quat()
        return {
            "pts3d": tensor(world),
            "pts3d_cam": tensor(local * mask[..., None]),
            "depth_z": tensor(local[..., 2:] * mask[..., None]),
            "depth_along_ray": tensor(np.linalg.norm(local, axis=-1, keepdims=True) * mask[..., None]),
            "ray_directions": tensor(rays / np.linalg.norm(rays, axis=-1, keepdims=True)),
            "conf": tensor(confidence),
            "mask": torch.from_numpy(mask)[None, ..., None],
            "non_ambiguous_mask": torch.from_numpy(mask)[None],
            "non_ambiguous_mask_logits": tensor(np.where(mask, 5.0, -5.0)),
            "intrinsics": tensor(inner),
            "camera_poses": tensor(here),
            "cam_trans": tensor(here[:3, 3]),
            "cam_quats": tensor(quaternion),
            "metric_scaling_factor": torch.ones(1, 1),
            "img_no_norm": tensor(np.zeros((*size, 3))),
        }


@pytest.fixture
def recorded(monkeypatch):
    network = type("Recorded", (Recorded,), {"poses": dict(enumerate(moving(9)))})
    stand_in(monkeypatch, "mapanything.models", MapAnything=network)
    return network


def reprojection(cloud, dataset, world=np.eye):
    """Pixels between where a point is seen and where its camera shows it."""
    errors = []
    for index, pose in enumerate(dataset.poses):
        rows = cloud.view(index)
        shown = project(cloud.xyz[rows] + cloud.origin, Camera(intrinsics=MATRIX, world_from_camera=pose), SMALL)
        errors.append(np.abs(shown.pixel - cloud.pixel[rows]).max())
    return max(errors)


def test_map_anything_from_images_alone(recorded, weights, tmp_path):
    dataset = Street(tmp_path, moving(3))
    cloud = MapAnything(weights=weights, selection=Selection(most=9)).points(dataset, dataset.scene)
    ((seen, settings),) = recorded.calls
    assert all(set(view) == {"img", "data_norm_type"} and view["img"].shape == (1, 3, 392, 518) for view in seen)
    assert settings == {
        "memory_efficient_inference": True,
        "use_amp": torch.cuda.is_available(),
        "amp_dtype": "bf16",
        "apply_mask": True,
        "mask_edges": True,
        "apply_confidence_mask": False,
    }
    relative = Street(tmp_path, [inverse(dataset.poses[0]) @ pose for pose in dataset.poses])
    assert reprojection(cloud, relative) < 0.51, "the world is the first camera"
    ahead = (cloud.xyz + cloud.origin)[:, 2]
    assert np.abs(ahead - 10).max() < 1e-3 and cloud.metric
    assert np.allclose(cloud.up, -np.mean([pose[:3, 1] for pose in relative.poses], 0), atol=1e-3)


def test_map_anything_drops_the_sky_and_the_least_confident(recorded, weights, tmp_path):
    dataset = Street(tmp_path, moving(1))
    cloud = MapAnything(weights=weights).points(dataset, dataset.scene)
    grid = views.covering(SMALL, (392, 518))
    assert cloud.pixel[:, 0].min() == round(grid.to_source(np.array([[98.0, 0]]))[0, 0])
    assert cloud.pixel[:, 1].min() == pytest.approx(0.1 * 80, abs=1), "confidence rises to the right"
    assert len(cloud.xyz) == len(np.unique(cloud.pixel, axis=0)) == pytest.approx(0.9 * 0.75 * 80 * 60, rel=0.03)
    assert cloud.confidence.min() > 1
    assert (cloud.rgb[:, 1:] == cloud.pixel).all()


def test_map_anything_aligned_to_the_poses(recorded, weights, tmp_path):
    recorded.factor = 0.8
    dataset = Street(tmp_path, moving(6))
    provider = MapAnything(weights=weights, selection=Selection(most=3), align=True)
    cloud = provider.points(dataset, dataset.scene)
    assert len(recorded.calls) == 2
    assert reprojection(cloud, dataset) < 0.51
    assert np.abs((cloud.xyz + cloud.origin)[:, 1] - FAR[1] - 10).max() < 0.01 and (cloud.up == [0, 0, 1]).all()


def test_map_anything_keeps_chunks_apart_as_the_paper_does(recorded, weights, tmp_path):
    dataset = Street(tmp_path, moving(6))
    cloud = MapAnything(weights=weights, selection=Selection(most=3)).points(dataset, dataset.scene)
    first, second = (cloud.xyz[np.isin(cloud.frame, frames)] for frames in ((0, 1, 2), (3, 4, 5)))
    widest = max(np.linalg.norm(np.ptp(part, axis=0)) for part in (first, second))
    assert max((second.min(0) - first.max(0)).max(), (first.min(0) - second.max(0)).max()) > 1.5 * widest


def test_map_anything_with_poses_is_told_them_relative_to_the_first(recorded, weights, tmp_path):
    dataset = Street(tmp_path, [*moving(4)])
    dataset.poses = [None, *dataset.poses[1:]]
    cloud = MapAnything(weights=weights, selection=Selection(most=9), posed=True).points(dataset, dataset.scene)
    ((seen, _),) = recorded.calls
    assert ["camera_poses" in view for view in seen] == [True, True, True, False], "the first view must have one"
    assert torch.allclose(seen[0]["camera_poses"][0], torch.eye(4), atol=1e-7)
    expected = inverse(dataset.poses[1]) @ dataset.poses[3]
    assert np.allclose(seen[2]["camera_poses"][0], expected, atol=1e-6) and seen[2]["is_metric_scale"].tolist() == [
        True
    ]
    assert np.allclose(seen[3]["intrinsics"][0], views.covering(SMALL, (392, 518)).intrinsics(MATRIX))
    assert set(cloud.frame) == {0, 1, 2, 3}
    dataset.poses[0] = moving(1)[0]
    assert reprojection(cloud, dataset) < 0.51, "the frame without a pose is placed by the others"


def test_poses_that_are_not_there_cannot_be_handed_over(recorded, weights, tmp_path):
    dataset = Street(tmp_path, moving(2), given=False)
    with pytest.raises(Unsupported, match="posed=False"):
        MapAnything(weights=weights, posed=True).points(dataset, dataset.scene)


def test_map_anything_names_its_weights(recorded, weights, tmp_path):
    facts = MapAnything(weights=weights).provenance()
    assert facts["package"] == "mapanything" and facts["weights_sha256"] == pretrained.digest(Path(weights))


def prepared(provider, dataset, folder):
    """The manifest of the scene's cloud in a cache."""
    (dataset.root / "-").touch()
    (result,) = Clouds(dataset, provider, folder / "clouds").prepare([dataset.scene])
    assert isinstance(result.outcome, Manifest) and result.outcome == stored.read_manifest(
        Clouds(dataset, provider, folder / "clouds").place(dataset.scene)
    )
    return result.outcome


def test_a_manifest_names_the_weights_and_says_what_memory_could_not_hold(recorded, weights, tmp_path, monkeypatch):
    whole = recorded.infer

    def infer(self, views, **settings):
        if len(views) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, views, **settings)

    dataset = Street(tmp_path, moving(4))
    provider = MapAnything(weights=weights, selection=Selection(most=4))
    assert prepared(provider, dataset, tmp_path / "enough").facts.remarks == ()
    monkeypatch.setattr(recorded, "infer", infer)
    facts = prepared(provider, dataset, tmp_path / "short").facts
    assert facts.provenance == {
        "weights": weights,
        "package": "mapanything",
        "version": pretrained.provenance("mapanything", Path(weights))["version"],
        "weights_sha256": pretrained.digest(Path(weights)),
    }
    (remark,) = facts.remarks
    assert "with 4 images from frame 000 on: halved into 2 and 2" in remark
    assert facts.settings["weights"] == weights


TINY = """
{"name": "mapanything", "encoder_config": {"encoder_str": "croco", "name": "tiny", "data_norm_type": "dinov2",
"patch_embed_cls": "PatchEmbedDust3R", "img_size": [224, 224], "patch_size": 14, "enc_embed_dim": 64, "enc_depth": 1,
"enc_num_heads": 2, "uses_torch_hub": false}, "info_sharing_config": {"model_type": "alternating_attention",
"model_return_type": "intermediate_features", "custom_positional_encoding": null, "module_args": {"name": "aat",
"indices": [1, 2], "norm_intermediate": true, "size": null, "depth": 4, "distinguish_ref_and_non_ref_views": true,
"gradient_checkpointing": false, "dim": 64, "num_heads": 2, "mlp_ratio": 2, "qkv_bias": true, "qk_norm": false,
"init_values": 1e-05}}, "pred_head_config": {"type": "dpt+pose", "feature_head": {"feature_dim": 32, "hooks": [0, 1,
2, 3], "checkpoint_gradient": false, "layer_dims": [16, 16, 32, 32]}, "regressor_head": {"output_dim": 6,
"checkpoint_gradient": false}, "pose_head": {"num_resconv_block": 1, "rot_representation_dim": 4}, "scale_head":
{"output_dim": 1}, "adaptor_type": "raydirs+depth+pose+confidence+mask", "dpt_adaptor": {"name": "a",
"ray_directions_mode": "linear", "ray_directions_normalize_to_unit_sphere": true,
"ray_directions_normalize_to_unit_image_plane": false, "ray_directions_vmin": -Infinity, "ray_directions_vmax":
Infinity, "ray_directions_clamp_min_of_z_dir": false, "ray_directions_z_dir_min": -Infinity, "depth_mode": "exp",
"depth_vmin": 0, "depth_vmax": Infinity, "confidence_type": "exp", "confidence_vmin": 1, "confidence_vmax": Infinity},
"pose_adaptor": {"name": "b", "cam_trans_mode": "linear", "cam_trans_vmin": -Infinity, "cam_trans_vmax": Infinity,
"quaternions_mode": "linear", "quaternions_normalize": true, "quaternions_vmin": -Infinity, "quaternions_vmax":
Infinity}, "scale_adaptor": {"name": "c", "mode": "exp", "vmin": 1e-08, "vmax": Infinity}}, "geometric_input_config":
{"ray_dirs_encoder_config": {"name": "r", "in_chans": 3, "encoder_str": "dense_rep_encoder", "intermediate_dims": [16,
16, 16], "apply_pe": false}, "depth_encoder_config": {"name": "d", "in_chans": 1, "encoder_str": "dense_rep_encoder",
"intermediate_dims": [16, 16, 16], "apply_pe": false}, "cam_rot_encoder_config": {"name": "q", "in_chans": 4,
"encoder_str": "global_rep_encoder"}, "cam_trans_encoder_config": {"name": "t", "in_chans": 3, "encoder_str":
"global_rep_encoder"}, "scale_encoder_config": {"name": "s", "in_chans": 1, "encoder_str": "global_rep_encoder"},
"overall_prob": 0, "dropout_prob": 1, "ray_dirs_prob": 0, "depth_prob": 0, "cam_prob": 0, "sparse_depth_prob": 0,
"sparsification_removal_percent": 0, "depth_scale_norm_all_prob": 0, "pose_scale_norm_all_prob": 0},
"use_register_tokens_from_encoder": false, "info_sharing_mlp_layer_str": "mlp"}
"""


def tiny_map_anything(module, folder):
    """A small network with random weights, in a folder that ``from_pretrained`` loads."""
    from safetensors.torch import save_model

    folder.mkdir()
    (folder / "config.json").write_text(TINY)
    save_model(module.MapAnything(**json.loads(TINY)), str(folder / "model.safetensors"))
    return str(folder)


@pytest.mark.skipif(importlib.util.find_spec("mapanything") is None, reason="mapanything is not installed")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("posed", [False, True])
def test_the_package_itself_runs_with_random_weights(tmp_path, posed):
    torch.manual_seed(0)
    weights = tiny_map_anything(pretrained.package("mapanything.models", "-"), tmp_path / "tiny")
    dataset = Street(tmp_path, moving(3))
    try:
        cloud = MapAnything(weights=weights, posed=posed).points(dataset, dataset.scene)
    finally:
        pretrained.release()
    assert np.isfinite(cloud.xyz).all() and (cloud.confidence >= 1).all() and set(cloud.frame) <= {0, 1, 2}


@pytest.mark.skipif(importlib.util.find_spec("mapanything") is None, reason="mapanything is not installed")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("size", SIZES)
def test_the_package_prepares_images_as_we_do(size):
    from wsss.benchmark.geometry.providers import map_anything

    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    prepared = pretrained.package("mapanything.utils.image", "-").preprocess_inputs([{"img": torch.from_numpy(image)}])
    (grid,) = map_anything._grids([size])
    assert torch.allclose(prepared[0]["img"], map_anything._input(image, grid)["img"], atol=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# Depth Anything 3


@dataclass
class Prediction:
    """The fields of the package's own."""

    depth: np.ndarray
    is_metric: int
    sky: np.ndarray | None
    conf: np.ndarray | None
    extrinsics: np.ndarray | None
    intrinsics: np.ndarray | None


class Depths:
    """The package's outputs for the wall: z-depth, extrinsics from the first camera's world, the grid's intrinsics."""

    poses: dict
    factor = 0.5
    metric = 0

    @classmethod
    def from_pretrained(cls, folder):
        cls.calls = []
        return cls()

    def to(self, device):
        return self

    def eval(self):
        return self

    def inference(self, image, extrinsics=None, intrinsics=None, process_res=504, process_res_method=""):
        self.calls.append(SimpleNamespace(extrinsics=extrinsics, intrinsics=intrinsics))
        grid = Grid(source=SMALL, resized=(378, 504), offset=(0, 0), size=(378, 504))
        poses = [self.poses[int(one[0, 0, 0])] for one in image]
        depth = np.stack([wall_depth(pose, grid) for pose in poses]).astype(np.float32)
        w2c = np.stack([inverse(inverse(poses[0]) @ pose) for pose in poses]).astype(np.float32)
        confidence = np.broadcast_to(1.5 + np.linspace(0, 3, 504), depth.shape).astype(np.float32).copy()
        confidence[:, :40] = 1.0  # the sky of the nested network
        if extrinsics is not None:
            scaled = np.asarray(intrinsics) * np.array([[504 / 80], [378 / 60], [1]])
            return Prediction(depth, self.metric, None, confidence, extrinsics[:, :3], scaled)
        w2c[:, :3, 3] *= self.factor
        inner = np.stack([grid.intrinsics(MATRIX)] * len(poses)).astype(np.float32)
        return Prediction(self.factor * depth, self.metric, None, confidence, w2c[:, :3], inner)


@pytest.fixture
def depths(monkeypatch):
    network = type("Depths", (Depths,), {"poses": dict(enumerate(moving(9)))})
    stand_in(monkeypatch, "depth_anything_3.api", DepthAnything3=network)
    return network


def test_depth_anything_3_applies_the_extrinsics(depths, weights, tmp_path):
    dataset = Street(tmp_path, moving(4))
    cloud = DepthAnything3(weights=weights).points(dataset, dataset.scene)
    assert depths.calls[0].extrinsics is None and not cloud.metric
    assert np.abs((cloud.xyz + cloud.origin)[:, 2] - 5).max() < 1e-3, "one wall for all views, at half the distance"
    relative = Street(tmp_path, [inverse(dataset.poses[0]) @ pose for pose in dataset.poses])
    for pose in relative.poses:
        pose[:3, 3] *= 0.5
    assert reprojection(cloud, relative) < 0.51
    sky = views.stretched(SMALL, 504, 14).to_source(np.array([[40.0, 0]]))[0, 0]
    assert cloud.pixel[:, 0].min() == round(sky) and cloud.pixel[:, 1].min() == pytest.approx(8, abs=1)


@pytest.mark.parametrize("settings", [{"align": True}, {"posed": True}])
def test_depth_anything_3_in_the_world_of_the_poses(depths, weights, tmp_path, settings):
    dataset = Street(tmp_path, moving(6))
    cloud = DepthAnything3(weights=weights, selection=Selection(most=3), **settings).points(dataset, dataset.scene)
    assert len(depths.calls) == 2 and cloud.metric and reprojection(cloud, dataset) < 0.51
    assert np.abs((cloud.xyz + cloud.origin)[:, 1] - FAR[1] - 10).max() < 0.01
    if settings.get("posed"):
        scaled = depths.calls[0].intrinsics[0] * np.array([[504 / 80], [378 / 60], [1]])
        assert np.allclose(scaled, views.stretched(SMALL, 504, 14).intrinsics(MATRIX), atol=1e-4)
        assert np.allclose(depths.calls[1].extrinsics[0], np.eye(4))


def test_depth_anything_3_cannot_use_the_poses_of_a_camera_that_stands_still(depths, weights, tmp_path, caplog):
    depths.metric = 1
    dataset = Street(tmp_path, [moving(1)[0]] * 3)
    depths.poses = dict(enumerate(dataset.poses))
    depths.factor = 1.0
    cloud = DepthAnything3(weights=weights, posed=True).points(dataset, dataset.scene)
    assert "stand still: reconstructed from their images alone" in caplog.text
    assert depths.calls[0].extrinsics is None and reprojection(cloud, dataset) < 0.51


def test_depth_anything_3_refuses_images_of_several_sizes(depths, weights, tmp_path):
    dataset = Street(tmp_path, moving(2))
    sizes = iter([SMALL, (50, 80)])
    dataset.image = lambda frame: np.zeros((*next(sizes), 3), np.uint8)
    with pytest.raises(Unsupported, match="images of 2 sizes"):
        DepthAnything3(weights=weights).points(dataset, dataset.scene)


def test_a_manifest_names_the_weights_of_depth_anything_3(depths, weights, tmp_path):
    facts = prepared(DepthAnything3(weights=weights), Street(tmp_path, moving(3)), tmp_path).facts
    assert facts.provenance["package"] == "depth-anything-3" and facts.provenance["weights"] == weights
    assert facts.provenance["weights_sha256"] == pretrained.digest(Path(weights)) and facts.remarks == ()


def test_depth_alone_is_not_enough(depths, weights, tmp_path, monkeypatch):
    dataset = Street(tmp_path, moving(1))
    whole = depths.inference
    monkeypatch.setattr(depths, "inference", lambda *a, **k: replace(whole(*a, **k), extrinsics=None))
    with pytest.raises(Unsupported, match="any-view network"):
        DepthAnything3(weights=weights).points(dataset, dataset.scene)

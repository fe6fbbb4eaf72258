"""Depth of pixels and the same surface in another frame: on a wall whose geometry is known, and on miniatures."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from toy import SIZE
from toy_clouds import INTRINSICS, Driven, driven

from wsss.benchmark import Frame, Scene, Unsupported, discovery
from wsss.benchmark.geometry.surfaces import LEAST, MOST, Surfaces
from wsss.benchmark.geometry.true_depth import UNITS, truth_path


def wall(index):
    """The depth of the wall, 12 m ahead of the first frame, in a frame that is ``index`` metres farther on."""
    return np.full(SIZE, 12.0 - index)


def painted(folder, depths):
    """Driven with a frame per picture of depth, all of one scene, which is a miniature's truth."""

    class Painted(Driven):
        def scenes(self, split):
            frames = tuple(Frame(id=f"f{i}", image=self.root / f"f{i}", labelled=True) for i in range(len(depths)))
            return [Scene(id="s", frames=frames)]

    root = driven(folder).root
    (root / "miniature.json").write_text("{}")
    for i, depth in enumerate(depths):
        path = truth_path(root, f"f{i}")
        path.parent.mkdir(exist_ok=True)
        stored = np.where(np.isfinite(depth), np.nan_to_num(depth, posinf=0) * UNITS, 0).astype(np.uint16)
        cv2.imwrite(str(path), stored)
    dataset = Painted(root)
    return dataset, dataset.scenes("val")[0]


def depth_of(surfaces, scene, index):
    depth = surfaces.depth(scene, index, SIZE)
    assert depth is not None
    return depth


def match_of(dataset, scene, index=0):
    surfaces = Surfaces(dataset)
    found = surfaces.match(scene, index, depth_of(surfaces, scene, index))
    assert found is not None
    return found


def has_no_match(dataset, scene):
    surfaces = Surfaces(dataset)
    return surfaces.match(scene, 0, depth_of(surfaces, scene, 0)) is None


def expected(pixel, near, far):
    """Where the wall's point at a pixel shows when its distance goes from ``near`` to ``far``."""
    centre = INTRINSICS[[1, 0], [2, 2]]
    return np.round(centre + (pixel - centre) * near / far)


def test_the_sensors_depth_is_that_of_what_it_hit(tmp_path):
    dataset = driven(tmp_path)
    surfaces, scene = Surfaces(dataset), dataset.scenes("val")[0]
    assert surfaces.source == "sensor"
    for index in range(3):
        depth = depth_of(surfaces, scene, index)
        assert 50 < np.isfinite(depth).sum() < depth.size / 2
        assert np.allclose(depth[np.isfinite(depth)], 12 - index)


def test_a_sparse_sensors_points_are_found_where_geometry_says(tmp_path):
    dataset = driven(tmp_path)
    scene = dataset.scenes("val")[0]
    found = match_of(dataset, scene)
    assert found.other == 2 and len(found.here) > 100
    assert np.array_equal(found.there, expected(found.here, 12, 10))


def test_of_true_depth_every_pixel_may_be_looked_for(tmp_path):
    dataset, scene = painted(tmp_path, [wall(0), wall(1), wall(2)])
    found = match_of(dataset, scene)
    assert Surfaces(dataset).source == "truth"
    assert np.array_equal(found.there, expected(found.here, 12, 10))
    there = expected(np.argwhere(np.ones(SIZE)), 12, 10)
    assert len(found.here) == ((there >= 0) & (there < SIZE)).all(1).sum() <= MOST


def test_what_is_hidden_in_the_other_frame_is_left_out(tmp_path):
    hidden = wall(2)
    hidden[10:20, 20:40] = 3.0
    dataset, scene = painted(tmp_path, [wall(0), wall(1), hidden])
    everywhere = match_of(*painted(tmp_path / "open", [wall(0), wall(1), wall(2)]))
    found = match_of(dataset, scene)
    box = (found.there >= (10, 20)).all(1) & (found.there < (20, 40)).all(1)
    assert not box.any() and len(everywhere.here) - len(found.here) >= 100


def test_what_came_nearer_is_left_out(tmp_path):
    before, after = wall(0), wall(2)
    before[20:30, 20:30], after[15:35, 15:35] = 6.0, 3.0  # stood still, it would be 4 m away
    found = match_of(*painted(tmp_path, [before, wall(1), after]))
    assert not ((found.here >= 20) & (found.here < 30)).all(1).any()


def test_where_no_surface_is_there_is_no_depth(tmp_path):
    sky = wall(0)
    sky[:10] = np.inf
    dataset, scene = painted(tmp_path, [sky, wall(1), wall(2)])
    depth = depth_of(Surfaces(dataset), scene, 0)
    assert np.isnan(depth[:10]).all() and np.isfinite(depth[10:]).all()
    assert match_of(dataset, scene).here[:, 0].min() == 10


def test_the_other_frame_is_two_before_and_else_two_after(tmp_path):
    dataset, scene = painted(tmp_path, [wall(i) for i in range(6)])
    assert [match_of(dataset, scene, i).other for i in range(6)] == [2, 3, 0, 1, 2, 3]


def test_a_frame_that_shows_too_little_is_passed_over(tmp_path):
    blocked = np.full(SIZE, 1.0)
    blocked[: int(SIZE[0] * LEAST / 2)] = 12
    dataset, scene = painted(tmp_path, [blocked, wall(1), wall(2), wall(3), blocked])
    assert match_of(dataset, scene, 2).other == 1, "neither of those two steps away, so a neighbour"
    dataset, scene = painted(tmp_path / "none", [wall(0), blocked, blocked])
    assert has_no_match(dataset, scene)


def test_frames_of_other_cameras_do_not_count(tmp_path):
    dataset, scene = painted(tmp_path, [wall(i) for i in range(6)])
    frames = tuple(replace(frame, camera="LR"[i % 2]) for i, frame in enumerate(scene.frames))
    assert match_of(dataset, Scene(id="s", frames=frames), 1).other == 5


def test_without_poses_or_without_the_sensors_files_there_is_nothing(tmp_path, monkeypatch):
    dataset = driven(tmp_path)
    scene = dataset.scenes("val")[0]
    monkeypatch.setattr(type(dataset), "sources", frozenset({"video", "lidar"}))
    assert has_no_match(dataset, scene)

    def absent(self, scene, index):
        raise Unsupported("not downloaded")

    monkeypatch.setattr(type(dataset), "sweep", absent)
    assert Surfaces(dataset).depth(scene, 0, SIZE) is None
    monkeypatch.setattr(type(dataset), "sources", frozenset({"video", "poses"}))
    assert Surfaces(dataset).source is None


@pytest.mark.parametrize("name", ["waymo", "kitti360", "cityscapes"])
@pytest.mark.parametrize("sensed", [False, True])
def test_the_same_surface_has_the_same_colour(tiny, name, sensed):
    dataset = discovery.dataset(name)(tiny(name))
    surfaces = Surfaces(dataset)
    if sensed:
        surfaces.source, surfaces._truth = "sensor", None
    apart, unmoved = [], []
    for scene, frame in dataset.labelled("val"):
        index, image = scene.frames.index(frame), dataset.image(frame).astype(int)
        depth = surfaces.depth(scene, index, image.shape[:2])
        found = None if depth is None else surfaces.match(scene, index, depth)
        if found is not None:
            other = dataset.image(scene.frames[found.other]).astype(int)
            apart.append(np.abs(image[tuple(found.here.T)] - other[tuple(found.there.T)]).mean(1))
            unmoved.append(np.abs(image[tuple(found.here.T)] - other[tuple(found.here.T)]).mean(1))
    apart, unmoved = np.concatenate(apart), np.concatenate(unmoved)
    assert len(apart) > 1000 and apart.mean() < 0.6 * unmoved.mean()

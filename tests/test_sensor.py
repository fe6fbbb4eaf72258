"""The sensor's points lie where they were measured, on the pixels that show them, and know nothing they should not."""

from dataclasses import replace

import numpy as np
import pytest
from toy import SIZE, toy
from toy_clouds import Driven, driven, wall

from wsss.benchmark import discovery
from wsss.benchmark.errors import Unsupported, UsageError
from wsss.benchmark.geometry import providers
from wsss.benchmark.geometry.cameras import project
from wsss.benchmark.geometry.providers.sensor import GREY, Sensor
from wsss.benchmark.types import PointCloud, Scene, Sweep


def world(cloud: PointCloud):
    return cloud.xyz + cloud.origin


def test_points_belong_to_the_pixels_that_show_them(tmp_path):
    dataset = driven(tmp_path)
    scene = dataset.scenes("train")[0]
    cloud = Sensor().points(dataset, scene)
    assert cloud.metric and (cloud.confidence == 1).all() and len(cloud.xyz) == 3 * len(wall())
    for index, (frame, camera) in enumerate(zip(scene.frames, dataset.cameras(scene), strict=True)):
        rows = cloud.view(index)
        found = project(world(cloud)[rows].astype(float), camera, SIZE)
        assert found.inside.all() and rows.stop > rows.start
        assert np.abs(found.pixel - cloud.pixel[rows]).max() <= 0.5 + 1e-3
        assert (cloud.rgb[rows] == dataset.image(frame)[tuple(cloud.pixel[rows].T)]).all()
        hidden = project(wall(), camera, SIZE).inside.sum()
        assert rows.stop - rows.start == hidden


def test_context_takes_colours_from_other_moments_and_is_grey_elsewhere(tmp_path):
    dataset = driven(tmp_path)
    scene = dataset.scenes("train")[0]
    cloud = Sensor().points(dataset, scene)
    none = cloud.frame == -1
    assert none.any() and (cloud.pixel[none] == -1).all()
    anywhere = np.zeros(int(none.sum()), bool)
    for camera in dataset.cameras(scene):
        anywhere |= project(world(cloud)[none].astype(float), camera, SIZE).inside
    grey = (cloud.rgb[none] == GREY).all(1)
    assert grey[~anywhere].all() and (~anywhere).any()
    assert not grey[anywhere].any() and anywhere.any()  # no pixel of Toy is exactly grey
    alone = Sensor(neighbours=0).points(dataset, scene)
    assert (alone.rgb[alone.frame == -1] == GREY).all()


def test_neighbours_say_how_far_context_reaches(tmp_path):
    class Sparse(Driven):
        def scenes(self, split):
            one = super().scenes(split)[0]
            frames = [replace(one.frames[0], id=f"f{i}", labelled=i == 3) for i in range(8)]
            return [replace(one, frames=tuple(frames))]

    (tmp_path / "sparse").mkdir()
    dataset = Sparse(tmp_path / "sparse")
    scene = dataset.scenes("train")[0]
    for neighbours, used in ((0, {3}), (2, {1, 2, 3, 4, 5}), (9, set(range(8)))):
        cloud = Sensor(neighbours=neighbours).points(dataset, scene)
        assert set(cloud.frame.tolist()) - {-1} == used
    with pytest.raises(UsageError, match="neighbours"):
        Sensor(neighbours=-1)


def test_cameras_of_one_moment_share_a_sweep(tmp_path):
    class Pair(Driven):
        asked = 0

        def scenes(self, split):
            one = super().scenes(split)[0].frames[0]
            frames = (
                replace(one, id="l", camera="left", time=0.0, labelled=False),
                replace(one, camera="right", time=0.0),
            )
            return [replace(super().scenes(split)[0], frames=frames)]

        def pose(self, index):
            return super().pose(0)

        def sweep(self, scene, index):
            self.asked += 1
            return super().sweep(scene, index)

    (tmp_path / "pair").mkdir()
    dataset = Pair(tmp_path / "pair")
    cloud = Sensor().points(dataset, dataset.scenes("train")[0])
    assert dataset.asked == 1 and len(cloud.xyz) == len(wall())
    assert set(cloud.frame.tolist()) == {-1, 1}, "both show the same; the labelled one has it"


def test_what_the_wall_hides_is_context(tmp_path):
    class Hidden(Driven):
        def sweep(self, scene, index):
            behind = wall() * (2, 2, 1) + (0, 0, 0)
            return Sweep(xyz=np.concatenate([wall(0.25), behind]), origin=self.pose(index)[:3, 3], in_world=True)

    (tmp_path / "hidden").mkdir()
    dataset = Hidden(tmp_path / "hidden")
    cloud = Sensor().points(dataset, dataset.scenes("train")[0])
    far = world(cloud)[:, 0] > 20
    seen = cloud.frame >= 0
    assert far.any() and (seen & far).sum() < 0.02 * seen.sum()


def test_a_dataset_without_a_sensor_says_so(tmp_path):
    dataset = toy(tmp_path)
    with pytest.raises(Unsupported, match="no range sensor"):
        Sensor().points(dataset, dataset.scenes("train")[0])


def test_a_scene_without_sweeps_is_empty(tmp_path):
    class Silent(Driven):
        def sweep(self, scene: Scene, index: int) -> Sweep | None:
            return None

    (tmp_path / "silent").mkdir()
    dataset = Silent(tmp_path / "silent")
    assert len(Sensor().points(dataset, dataset.scenes("train")[0]).xyz) == 0


def test_the_folder_knows_it():
    assert providers.load("sensor") is Sensor and providers.name_of(Sensor()) == "sensor"
    assert providers.digest(Sensor()) != providers.digest(Sensor(neighbours=1))


@pytest.mark.parametrize("name", ["waymo", "kitti360", "nyuv2", "cityscapes"])
def test_labelled_views_of_a_miniature_have_points_of_the_right_class(tiny, name):
    dataset = discovery.dataset(name)(tiny(name))
    scene = dataset.scenes("train")[0]
    cloud = Sensor().points(dataset, scene)
    hits = []
    for index, frame in enumerate(scene.frames):
        if frame.labelled:
            rows = cloud.view(index)
            assert rows.stop - rows.start > 200
            dense = dataset.dense(frame)
            assert dense is not None
            hits.append(dense[tuple(cloud.pixel[rows].T)])
            assert (cloud.rgb[rows] == dataset.image(frame)[tuple(cloud.pixel[rows].T)]).all()
    sky = [i for i, one in enumerate(dataset.classes.names) if one in dataset.classes.without_surface]
    assert cloud.metric and np.isin(np.concatenate(hits), sky).mean() < 0.05
    assert np.isclose(np.linalg.norm(cloud.up), 1) and (np.diff(cloud.frame) >= 0).all()
    if "lidar" in dataset.sources:
        assert (cloud.frame == -1).any()

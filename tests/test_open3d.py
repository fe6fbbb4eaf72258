"""PLY files through Open3D, on machines with and without libusb."""

import numpy as np
import pytest

from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.geometry import open3d
from wsss.benchmark.types import IGNORE, PointCloud


def cloud(n=200) -> PointCloud:
    rng = np.random.default_rng(0)
    return PointCloud(
        xyz=rng.normal(0, 5, (n, 3)).astype(np.float32),
        rgb=rng.integers(0, 256, (n, 3), dtype=np.uint8),
        confidence=rng.uniform(0.1, 1, n).astype(np.float32),
        frame=np.sort(rng.integers(-1, 3, n)).astype(np.int32),
        pixel=rng.integers(0, 50, (n, 2)).astype(np.int32),
        origin=np.array([4.1e4, -2.0e3, 12.0]),
        up=np.array([0.0, 0.0, 1.0]),
        metric=True,
    )


def test_a_ply_holds_every_column_in_world_coordinates(tmp_path):
    pytest.importorskip("libusb_package")
    written, labels = cloud(), np.full(200, IGNORE, np.uint8)
    labels[:20] = 3
    open3d.write_ply(tmp_path / "deep" / "scene.ply", written, labels)
    read = open3d.module().t.io.read_point_cloud(str(tmp_path / "deep" / "scene.ply")).point
    assert np.array_equal(read.positions.numpy(), written.xyz.astype(np.float64) + written.origin)
    assert np.array_equal(read.colors.numpy(), written.rgb)
    assert np.array_equal(read.confidence.numpy()[:, 0], written.confidence)
    assert np.array_equal(read.frame.numpy()[:, 0], written.frame)
    assert np.array_equal(read.label.numpy()[:, 0], labels)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["scene.ply"]


def test_without_open3d_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    real = open3d.importlib.import_module

    def absent(name):
        if name == "open3d":
            raise ModuleNotFoundError("No module named 'open3d'")
        return real(name)

    monkeypatch.setattr(open3d.importlib, "import_module", absent)
    with pytest.raises(BenchmarkError, match="pip install open3d"):
        open3d.write_ply(tmp_path / "scene.ply", cloud())


def test_a_view_is_a_slice_of_the_cloud():
    points = cloud()
    for frame in range(-1, 4):
        assert np.array_equal(np.flatnonzero(points.frame == frame), np.arange(200)[points.view(frame)])

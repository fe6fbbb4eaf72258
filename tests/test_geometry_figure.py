"""The pictures of docs/geometry.md: drawn from data, and what they say is what the points are."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.figure import Figure
from PIL import Image

from wsss.benchmark.report.style import paper_style

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
RAW = Path(__file__).parents[2] / "shared" / "data" / "kitti_raw_2011_09_26"


@pytest.fixture(scope="module")
def script():
    """The script that draws the pictures, as a module."""
    pytest.importorskip("skimage.data", reason="scikit-image, whose wheel has the stereo pair, is not installed")
    spec = importlib.util.spec_from_file_location("geometry_figures", FIGURES / "geometry.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_miniature_is_drawn_with_what_its_points_are(script, tiny, tmp_path):
    one = script.miniature(tiny("kitti360").parent, "kitti360")
    known = np.isfinite(one.depth)
    own = one.cloud.view(one.frame)
    assert known.sum() == own.stop - own.start > 100 and np.isfinite(one.confidence).sum() == known.sum()
    assert np.nanmedian(one.error) < 0.1
    with paper_style():
        figure = script.miniatures([one])
        script.write(figure, tmp_path / "drawn.png")
    said = {axes.get_xlabel() for axes in figure.axes}
    assert f"{known.mean():.0%} of the pixels" in said
    with Image.open(tmp_path / "drawn.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100


def test_the_verdict_counts_kept_pixels_alone(script):
    axes = Figure().subplots()
    known = np.array([[True, True, True, True, False]])
    kept, off = np.array([[True, True, False, False, False]]), np.array([[True, False, True, False, True]])
    script._verdict(axes, kept, off, known)
    assert axes.get_xlabel() == "50% kept, 50.0% of these off"
    (drawn,) = axes.get_images()
    red, green = (colors.to_rgba(code) for code in ("#D55E00", "#009E73"))
    assert np.allclose(np.asarray(drawn.to_rgba(np.asarray(drawn.get_array())))[0, :2], [red, green])


@pytest.mark.skipif(not RAW.is_dir(), reason="the frames of KITTI raw are not there")
def test_lidar_lies_on_what_the_image_shows(script):
    dataset = script.KittiRaw(RAW)
    (scene,) = dataset.scenes("val")
    assert len(scene.frames) == 24 and sum(frame.labelled for frame in scene.frames) == 6
    depth = script.lidar_depth(dataset, 0, (375, 1242))
    rows = np.isfinite(depth).sum(1)
    assert rows[:60].sum() == 0 < rows[200:].min(), "the LiDAR looks at most two degrees up, and on the truck beside"
    assert np.nanmedian(depth[340:]) < np.nanmedian(depth[200:240])


@pytest.mark.parametrize("name", ["miniatures", "motorcycle", "kitti"])
def test_committed_pictures_are_small(name):
    path = FIGURES / f"geometry_{name}.png"
    with Image.open(path) as picture:
        assert picture.width > 900
    assert path.stat().st_size < 400_000

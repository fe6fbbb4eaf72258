"""The figure of what TEL's trees do: its propagation beats no propagation, and its files are what they say."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wsss.benchmark import IGNORE, discovery

SCRIPT = Path(__file__).parents[1] / "docs" / "figures" / "tree_energy.py"


@pytest.fixture(scope="module")
def script():
    """The script that draws the figure, as a module."""
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_figure_is_written_as_png_and_pdf(script, tiny_miniature, tmp_path):
    script.main(str(tiny_miniature), str(tmp_path / "trees"))
    with Image.open(tmp_path / "trees.png") as picture:
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colours) > 1000
    assert (tmp_path / "trees.pdf").read_bytes().startswith(b"%PDF")


@pytest.fixture
def method(script, tiny_miniature):
    return script.trained(discovery.dataset("cityscapes")(tiny_miniature), 0)


def test_scribbles_spread_to_the_borders_of_colours(script, method):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, 48:] = 255
    weak = np.full((64, 96), IGNORE, np.uint8)
    weak[8:12, 8:12], weak[40:44, 80:84] = 3, 5
    colours, both = script.spread(method, image, weak)
    expected = np.where(np.arange(96) < 48, 3, 5)
    assert colours.shape == both.shape == (64, 96)
    assert (colours == expected).all()
    assert set(np.unique(both)) <= {3, 5}


def test_training_steps_change_the_features(script, tiny_miniature):
    dataset = discovery.dataset("cityscapes")(tiny_miniature)
    untrained, trained = (script.trained(dataset, steps) for steps in (0, 1))
    name = "student.classifier.weight"
    assert not torch.equal(untrained.get_parameter(name), trained.get_parameter(name))

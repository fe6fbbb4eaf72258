"""The figure of what TEL's trees do: its propagation beats no propagation, and its files are what they say."""

import numpy as np
import pytest
import torch
from PIL import Image

from wsss.benchmark import IGNORE, discovery
from wsss.methods import _tree_figure


def test_the_figure_is_written_as_png_and_pdf(tiny_miniature, tmp_path):
    _tree_figure.main(str(tiny_miniature), str(tmp_path / "trees"))
    with Image.open(tmp_path / "trees.png") as picture:
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colours) > 1000
    assert (tmp_path / "trees.pdf").read_bytes().startswith(b"%PDF")


@pytest.fixture
def method(tiny_miniature):
    return _tree_figure.trained(discovery.dataset("cityscapes")(tiny_miniature), 0)


def test_scribbles_spread_to_the_borders_of_colours(method):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, 48:] = 255
    weak = np.full((64, 96), IGNORE, np.uint8)
    weak[8:12, 8:12], weak[40:44, 80:84] = 3, 5
    colours, both = _tree_figure.spread(method, image, weak)
    expected = np.where(np.arange(96) < 48, 3, 5)
    assert colours.shape == both.shape == (64, 96)
    assert (colours == expected).all()
    assert set(np.unique(both)) <= {3, 5}


def test_training_steps_change_the_features(tiny_miniature):
    dataset = discovery.dataset("cityscapes")(tiny_miniature)
    untrained, trained = (_tree_figure.trained(dataset, steps) for steps in (0, 1))
    name = "student.classifier.weight"
    assert not torch.equal(untrained.get_parameter(name), trained.get_parameter(name))

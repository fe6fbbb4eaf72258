"""Fixtures that many tests share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside the tests: toy, layouts, fake_results

import torch

import wsss.benchmark.torchvision_on_cpu  # noqa: F401
from wsss.datasets import miniature

torch.set_num_threads(1)  # the tests themselves run in parallel


@pytest.fixture(scope="session")
def tiny_miniature(tmp_path_factory):
    """The tiny miniature of Cityscapes, built once a test process."""
    return miniature.build(tmp_path_factory.mktemp("miniature"), "cityscapes", "tiny", jobs=1)

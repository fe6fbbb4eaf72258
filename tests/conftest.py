"""Fixtures that many tests share."""

import os
import sys
from pathlib import Path

import pytest
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside the tests: toy, layouts, fake_results

import torch

import wsss.benchmark.torchvision_on_cpu  # noqa: F401
from wsss.benchmark.geometry import placement
from wsss.datasets import _index, miniature

torch.set_num_threads(1)  # the tests themselves run in parallel


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A function that gives the root of a dataset's tiny miniature; one process builds it for all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "miniature-tiny"
    folder.mkdir(exist_ok=True)

    def root(dataset):
        with FileLock(folder / f"{dataset}.lock"):
            return miniature.build(folder, dataset, "tiny", jobs=1)

    return root


@pytest.fixture(scope="session")
def tiny_miniature(tiny):
    """The tiny miniature of Cityscapes; tests only read it."""
    return tiny("cityscapes")


@pytest.fixture(scope="session", autouse=True)
def index_folder(tmp_path_factory):
    """Indices of the tests' small trees do not stay in the working folder."""
    _index.FOLDER = tmp_path_factory.mktemp("index")


@pytest.fixture(autouse=True)
def poses_folder(tmp_path_factory, monkeypatch):
    """Nor do poses, which must not pass from one test's invented pictures to another's of the same name."""
    monkeypatch.setattr(placement, "FOLDER", tmp_path_factory.mktemp("poses"))

"""results/README.md explains everything that a run writes, and what is committed holds nothing else."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.measure_shapes import shapes
from wsss.benchmark.records import Record
from wsss.benchmark.report import reported
from wsss.benchmark.spec import EvalConfig, NetworkConfig, PointNetworkConfig, PointsConfig, RunSpec, TrainConfig

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "results" / "README.md").read_text("utf-8")
SECTIONS = {part.splitlines()[0]: part for part in PAGE.split("\n## ")[1:]}
OPEN = ("config", "settings", "packages", "scores", "files")
"""Their keys are the method's, the source's, the environment's, the predictors' and paths."""


def explained(section):
    """The words that a section sets as code."""
    (text,) = (text for title, text in SECTIONS.items() if title.startswith(section))
    return set(re.findall(r"`([^`]+)`", text))


def keys(value):
    """Every key of nested JSON, but for those below ``OPEN``."""
    for key, inner in value.items():
        yield key
        if key in OPEN:
            continue
        if isinstance(inner, dict):
            yield from keys(inner)


def committed(pattern):
    """Files of committed results, by a pattern below a suite's folder."""
    return sorted((ROOT / "results").glob(f"*/{pattern}"))


def test_every_key_of_a_committed_run_is_explained():
    paths = committed("runs/*/*/*/*/run.json")
    assert paths
    found = {key for path in paths for key in keys(json.loads(path.read_text()))}
    found |= {key for path in paths for score in json.loads(path.read_text())["scores"].values() for key in score}
    assert found <= explained("run.json") | explained("spec.json")


def test_every_field_of_a_record_and_its_specification_is_explained():
    assert {field.name for field in dataclasses.fields(Record)} <= explained("run.json")
    classes = (RunSpec, TrainConfig, NetworkConfig, EvalConfig, PointsConfig, PointNetworkConfig, Sampling)
    for cls in classes:
        assert {field.name for field in dataclasses.fields(cls)} <= explained("spec.json"), cls


def test_every_array_of_counts_is_explained():
    words = explained("counts.npz")
    told = dict(re.findall(r"^\| `(\w+)_<name>` \| \(images, ([^)]+)\)", SECTIONS["counts.npz"], re.M))
    sizes = {name: text.replace("classes", "99").split(", ") for name, text in told.items()}
    assert {name: tuple(map(int, size)) for name, size in sizes.items()} == shapes(99)
    for path in committed("runs/*/*/*/*/counts.npz"):
        with np.load(path, allow_pickle=False) as stored:
            names = set(json.loads((path.parent / "run.json").read_text())["scores"])
            for key in stored.files:
                measure, _, predictor = key.partition("_")
                general = f"{measure}_<name>" if predictor in names else key
                assert general in words, f"{path}: {key}"


@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_every_fact_of_stored_points_is_explained(suffix):
    paths = committed(f"points/*.{suffix}")
    if not paths:
        pytest.skip("no suite has stored points yet")
    for path in paths:
        if suffix == "json":
            found = set(keys(json.loads(path.read_text())))
        else:
            with np.load(path, allow_pickle=False) as stored:
                found = set(stored.files)
        assert found <= explained("points/"), path


def test_every_column_of_published_numbers_is_explained():
    assert set(reported.COLUMNS) <= explained("reported.csv")
    head = (ROOT / "results" / "reported.csv").read_text("utf-8").splitlines()[0]
    assert head == ",".join(reported.COLUMNS)


def test_every_column_of_a_curve_is_explained_or_a_loss_term():
    general = {"step", "progress", "lr", "total"}
    assert general <= explained("A run's folder")
    for path in committed("runs/*/*/*/*/curve.csv"):
        assert general < set(path.read_text().splitlines()[0].split(","))

"""The store: what is written is whole, what is damaged or foreign is refused with the next step."""

import errno
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from toy import spec

from wsss.benchmark import BenchmarkError
from wsss.benchmark.atomic import replacing, write_text
from wsss.benchmark.measure_shapes import shapes
from wsss.benchmark.records import Counts, Record, RunFolder, read_plan

COUNTS = Counts(image_ids=["a", "b"], scene_ids=["s", "s"], tables={"student": np.arange(12).reshape(2, 2, 3)})


def record(**changes):
    values = {
        "spec": spec(), "fingerprint": "0" * 8, "suite": "toy", "method": {}, "dataset": {}, "labels": {},
        "digests": {}, "scores": {"student": {"miou": 0.5, "classes": [0.5, None]}}, "parameters": 1,
        "seconds": {"train": 1.0},
        "peak_memory_mb": 1.0, "provenance": {}, "command": "wsss", "started": "2026-01-01",
    }  # fmt: skip
    return Record(**{**values, **changes})


def test_a_run_goes_through_its_states(tmp_path):
    folder = RunFolder(tmp_path / "0-abc")
    assert folder.state == "to run"
    folder.write("spec.json", spec())
    folder.checkpoint.write_bytes(b"x")
    assert folder.state == "resumable"
    folder.write("failure.json", {"error": "x", "traceback": "x"})
    assert folder.state == "failed"
    folder.write_counts(COUNTS)
    finished = folder.finish(record())
    assert folder.state == "done"
    assert not folder.checkpoint.exists() and not (folder.path / "failure.json").exists()
    assert folder.read_record() == finished == record(files=finished.files)
    assert sorted(finished.files) == ["counts.npz", "spec.json"]


@pytest.mark.parametrize("name", ["curve.csv", "samples/a.png", "samples/deep/b.png", "counts.npz"])
def test_what_a_finished_run_keeps_is_known_by_its_digest(tmp_path, name):
    folder = RunFolder(tmp_path)
    folder.write_counts(COUNTS)
    write_text(folder.curve, "step\n")
    for picture in ("a.png", "deep/b.png"):
        write_text(folder.samples / picture, "picture")
    write_text(tmp_path / "board" / "events", "nobody's")
    finished = folder.finish(record())
    folder.check(finished)
    write_text(tmp_path / "board" / "events", "changed")
    folder.check(finished)
    os.truncate(tmp_path / name, (tmp_path / name).stat().st_size - 1)
    with pytest.raises(BenchmarkError, match=rf"{name} is not as the run left it; restore it, or delete {tmp_path}"):
        folder.check(finished)
    (tmp_path / name).unlink()
    with pytest.raises(BenchmarkError, match=rf"{name} is missing"):
        folder.check(finished)


def test_counts_round_trip_without_pickles(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_counts(COUNTS)
    read = folder.read_counts()
    assert read.image_ids == ["a", "b"] and read.scene_ids == ["s", "s"]
    assert np.array_equal(read.tables["student"], COUNTS.tables["student"])
    np.savez(tmp_path / "counts.npz", image_ids=np.array([object()]), scene_ids=np.array(["s"]))
    with pytest.raises(BenchmarkError, match=r"counts\.npz"):
        folder.read_counts()


def test_measures_round_trip_and_old_counts_have_none(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_counts(COUNTS)
    assert folder.read_counts().measures == {"student": {}} and folder.read_counts().depth_source is None
    found = {name: np.full((2, *shape), 7) for name, shape in shapes(2).items() if name != "counts"}
    found["calibration"] = found["calibration"] / 2
    folder.write_counts(replace(COUNTS, measures={"student": found}, depth_source="truth"))
    read = folder.read_counts()
    assert read.depth_source == "truth" and set(read.tables) == {"student"}
    assert set(read.measures["student"]) == set(found)
    for name, array in found.items():
        assert read.measures["student"][name].dtype == array.dtype
        assert np.array_equal(read.measures["student"][name], array)


@pytest.mark.parametrize(
    ("array", "shape"),
    [("boundary_student", (2, 3, 1, 3)), ("views_student", (2, 3)), ("ranges_teacher", (2, 7, 2, 3))],
)
def test_an_array_that_does_not_fit_is_named(tmp_path, array, shape):
    measure, _, name = array.partition("_")
    RunFolder(tmp_path).write_counts(replace(COUNTS, measures={name: {measure: np.zeros(shape, np.int64)}}))
    with pytest.raises(BenchmarkError, match=rf"counts\.npz: .*array {array} of shape .*delete .* and rerun"):
        RunFolder(tmp_path).read_counts()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"\x93NUMPY"])
def test_damaged_counts_are_named_with_the_next_step(tmp_path, content):
    (tmp_path / "counts.npz").write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"counts\.npz.*delete .* and rerun"):
        RunFolder(tmp_path).read_counts()


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"'])
def test_damaged_records_are_named_with_the_next_step(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(BenchmarkError, match=r"run\.json"):
        RunFolder(tmp_path).read_record()


@pytest.mark.parametrize("field", ["schema", "protocol"])
def test_results_of_another_schema_or_protocol_never_mix(tmp_path, field):
    folder = RunFolder(tmp_path)
    folder.finish(record())
    plain = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**plain, field: 99}))
    with pytest.raises(BenchmarkError, match=f"{field} 99, this version reads 1.*--results"):
        folder.read_record()


def test_a_missing_plan_says_how_to_start(tmp_path):
    with pytest.raises(BenchmarkError, match=r"nothing was run there yet; start with `wsss run --suite quick`"):
        read_plan(tmp_path / "quick")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    write_text(tmp_path / "x.json", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "x.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "x.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "no space left while writing .*x.json; free some and run the same command again"),
        (errno.EROFS, "x.json cannot be written .*--results"),
    ],
)
def test_a_full_or_read_only_disk_is_one_sentence(tmp_path, code, message):
    with pytest.raises(BenchmarkError, match=message), replacing(tmp_path / "x.json"):
        raise OSError(code, os.strerror(code))

"""Labels are made once, kept byte for byte, and their digest names exactly their content."""

import numpy as np
import pytest
from toy import Toy, toy

from wsss.benchmark import IGNORE, DatasetError, Unsupported
from wsss.benchmark.supervision import Supervision, stored


@pytest.mark.parametrize("kind", ["points", "scribbles", "coarse", "full"])
def test_what_is_read_is_what_was_derived(tmp_path, kind):
    dataset = toy(tmp_path)
    supervision = Supervision(dataset, kind, 3, tmp_path / "labels")
    assert not supervision.ready
    statistics = supervision.prepare()
    assert supervision.ready and statistics.images == 6
    for _, frame in dataset.labelled("train"):
        expected = dataset.dense(frame) if kind == "full" else dataset.weak(frame, kind, 3)
        assert expected is not None and np.array_equal(supervision.read(frame), expected)
    assert 0 < statistics.share <= 1 and (statistics.share == 1) == (kind == "full")
    assert all(value is None or 0 <= value <= 1 for value in statistics.coverage)
    assert Supervision(dataset, kind, 3, tmp_path / "labels").prepare() == statistics
    assert [item[1] for item in stored(tmp_path / "labels")] == [statistics]


def test_digest_follows_the_seed_and_the_kind(tmp_path):
    dataset = toy(tmp_path)
    seen = {
        Supervision(dataset, kind, seed, tmp_path / "labels").prepare().digest
        for kind in ("points", "scribbles", "coarse")
        for seed in (0, 1)
    }
    assert len(seen) >= 5  # synthetic coarse polygons have no random part on rectangles


def test_interrupted_making_starts_over(tmp_path):
    supervision = Supervision(toy(tmp_path), "points", 0, tmp_path / "labels")
    with pytest.raises(KeyboardInterrupt):
        supervision.prepare(progress=interrupt)
    assert not supervision.ready
    assert supervision.prepare().images == 6


def interrupt(done, total):
    if done == 3:
        raise KeyboardInterrupt


def test_damaged_cache_is_named_with_the_next_step(tmp_path):
    dataset = toy(tmp_path)
    supervision = Supervision(dataset, "scribbles", 0, tmp_path / "labels")
    supervision.prepare()
    _, frame = next(dataset.labelled("train"))
    (supervision.folder / f"{frame.id}.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"train0-0\.png is missing or damaged; delete"):
        supervision.read(frame)


def test_kind_that_a_dataset_lacks_is_unsupported(tmp_path, monkeypatch):
    monkeypatch.setattr(Toy, "labels", frozenset({"points"}))
    with pytest.raises(Unsupported, match="Toy has no coarse"):
        Supervision(toy(tmp_path), "coarse", 0, tmp_path)


def test_void_is_never_labelled(tmp_path):
    dataset = toy(tmp_path)
    for _, frame in dataset.labelled("train"):
        void = dataset.dense(frame) == IGNORE
        for kind in ("points", "scribbles", "coarse"):
            assert (dataset.weak(frame, kind, 0)[void] == IGNORE).all()


def test_a_damaged_list_of_labels_is_named(tmp_path):
    dataset = toy(tmp_path)
    supervision = Supervision(dataset, "scribbles", 0, tmp_path / "labels")
    supervision.prepare()
    (supervision.folder / "labels.json").write_text('{"digest": ')
    with pytest.raises(DatasetError, match=r"labels\.json is damaged .*; delete"):
        supervision.prepare()

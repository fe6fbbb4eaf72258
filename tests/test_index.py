"""The cached index is made once, made anew when a file changes, and mended when it is damaged."""

import numpy as np
import pytest

from wsss.datasets import _index


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A function that asks for an index over one file, and the list of times it was made."""
    monkeypatch.setattr(_index, "FOLDER", tmp_path / "index")
    source = tmp_path / "listed.txt"
    source.write_text("one two")
    made = []

    def make():
        made.append(source.read_text())
        return {"name": np.array(source.read_text().split()), "size": np.arange(len(made[-1].split()))}

    return source, made, lambda version=1: _index.cached("words", [source], make, version)


def test_it_is_made_once_and_read_afterwards(index):
    _, made, ask = index
    first, second = ask(), ask()
    assert len(made) == 1
    assert first["name"].tolist() == second["name"].tolist() == ["one", "two"]
    assert second["size"].dtype == first["size"].dtype


def test_a_changed_file_or_another_version_makes_it_anew(index):
    source, made, ask = index
    ask()
    source.write_text("one two three")
    assert ask()["name"].tolist() == ["one", "two", "three"]
    ask(2)
    assert len(made) == 3


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", b"\0" * 5000])
def test_a_damaged_index_is_replaced(index, damage):
    _, made, ask = index
    ask()
    (file,) = _index.FOLDER.iterdir()
    file.write_bytes(damage)
    assert ask()["name"].tolist() == ["one", "two"] and len(made) == 2
    assert ask()["name"].tolist() == ["one", "two"] and len(made) == 2


def test_a_truncated_index_is_replaced(index):
    _, made, ask = index
    ask()
    (file,) = _index.FOLDER.iterdir()
    file.write_bytes(file.read_bytes()[:-30])
    assert ask()["size"].tolist() == [0, 1] and len(made) == 2


def test_objects_are_never_read(index):
    _, made, ask = index
    ask()
    (file,) = _index.FOLDER.iterdir()
    with file.open("wb") as stream:
        np.savez(stream, name=np.array([{"a": 1}], dtype=object))
    assert ask()["name"].tolist() == ["one", "two"] and len(made) == 2

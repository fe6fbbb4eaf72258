"""Estimates of poses are kept as they are, and what is damaged is made again."""

import numpy as np
import pytest

from wsss.benchmark.geometry import placement as module
from wsss.benchmark.geometry.placement import Placement, kept
from wsss.benchmark.types import Camera, Scene

SCENE = Scene(id="a/room 1", frames=())
MATRIX = np.array([[120.0, 0, 79.5], [0, 120, 47.5], [0, 0, 1]])


def estimate(error: float | None = 0.4) -> Placement:
    """A frame that is placed, one that is not, and one whose camera nobody knows."""
    pose = np.eye(4)
    pose[:3, 3] = 1, 2, 3
    cameras = (
        Camera(intrinsics=MATRIX, distortion=np.array([0.1, 0, 0, 0, 0.2]), world_from_camera=pose),
        Camera(intrinsics=MATRIX),
        None,
    )
    return Placement(
        cameras=cameras, up=np.array([0.0, -1, 0]), metric=True, piece=(0, -1, -1), failed=(1, 2), method="opencv",
        error=error,
    )  # fmt: skip


def same(one: Placement, other: Placement) -> bool:
    for mine, yours in zip(one.cameras, other.cameras, strict=True):
        if (mine is None) != (yours is None):
            return False
        for field in ("intrinsics", "distortion", "world_from_camera"):
            a, b = getattr(mine, field, None), getattr(yours, field, None)
            if (a is None) != (b is None) or not np.array_equal(0 if a is None else a, 0 if b is None else b):
                return False
    fields = ("metric", "piece", "failed", "method", "error")
    return np.array_equal(one.up, other.up) and all(getattr(one, f) == getattr(other, f) for f in fields)


def refuse() -> Placement:
    raise AssertionError("it was there")


@pytest.mark.parametrize("error", [0.4, None])
def test_what_was_estimated_is_not_estimated_again(error):
    assert same(kept("film", SCENE, ("pictures", 1), lambda: estimate(error)), estimate(error))
    assert same(kept("film", SCENE, ("pictures", 1), refuse), estimate(error))


def test_what_hangs_on_something_else_is():
    kept("film", SCENE, ("pictures", 1), estimate)
    for dataset, depends in (("film", ("pictures", 2)), ("movie", ("pictures", 1))):
        with pytest.raises(AssertionError, match="it was there"):
            kept(dataset, SCENE, depends, refuse)


@pytest.mark.parametrize("damage", [b"", b"PK no archive", None])
def test_what_is_damaged_is_estimated_again(damage):
    kept("film", SCENE, (), estimate)
    (file,) = module.FOLDER.iterdir()
    file.write_bytes(file.read_bytes()[:-40] if damage is None else damage)
    assert same(kept("film", SCENE, (), estimate), estimate())
    assert same(kept("film", SCENE, (), refuse), estimate())

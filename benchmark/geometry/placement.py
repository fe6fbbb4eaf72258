"""Where the cameras of a scene stand, and estimates of it kept on disk, because they take seconds per scene."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from wsss.benchmark.atomic import replacing
from wsss.benchmark.geometry.scene_contents import file_name
from wsss.benchmark.types import Camera, Scene

FOLDER = Path("build/poses")
"""Below the working folder; safe to delete."""

Estimator = Literal["opencv", "pycolmap"]
"""Who estimates poses: our own structure from motion, or COLMAP's, which the extra ``sfm`` installs."""
Method = Literal["dataset", "mixed"] | Estimator


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The cameras of a scene in one world."""

    cameras: tuple[Camera | None, ...]
    """One per frame; ``world_from_camera`` is None (or the whole camera is) where the frame could not be placed."""
    up: Float[np.ndarray, "3"]
    """Unit vector against gravity, in world axes."""
    metric: bool
    """Whether lengths are metres."""
    piece: tuple[int, ...]
    """Which piece each frame belongs to, counted from the largest; -1 where it could not be placed."""
    failed: tuple[int, ...]
    """Indices of the frames that could not be placed."""
    method: Method
    """Where the poses come from; ``mixed`` where pycolmap estimated, and our own looking replaced a motion of its that
    explained the pictures clearly worse."""
    error: float | None
    """Root mean square reprojection error in pixels, of the largest piece; None where nothing was estimated."""


def kept(dataset: str, scene: Scene, depends: tuple[object, ...], make: Callable[[], Placement]) -> Placement:
    """The placement that ``make`` estimates, from disk if it was estimated before.

    Args:
        dataset: Its name.
        scene: Which.
        depends: All that the estimate hangs on, as values whose text tells them apart.
        make: Estimates it, without rolling shutters.
    """
    digest = hashlib.sha256(repr(depends).encode()).hexdigest()[:16]
    file = FOLDER / f"{file_name(f'{dataset}-{scene.id}')}-{digest}.npz"
    if (found := _read(file)) is not None:
        return found
    placement = make()
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **_columns(placement))  # pyright: ignore[reportArgumentType]
    return placement


def _columns(placement: Placement) -> dict[str, np.ndarray]:
    """A placement as arrays, NaN where a frame has no camera, no distortion or no pose."""
    cameras = placement.cameras
    assert all(camera is None or camera.shutter is None for camera in cameras)

    def stacked(field: str, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        values = [None if camera is None else getattr(camera, field) for camera in cameras]
        return np.stack([np.full(shape, np.nan) if value is None else value for value in values])

    return {
        "intrinsics": stacked("intrinsics", (3, 3)),
        "distortion": stacked("distortion", (5,)),
        "world_from_camera": stacked("world_from_camera", (4, 4)),
        "up": placement.up,
        "metric": np.array(placement.metric),
        "piece": np.array(placement.piece, np.int64),
        "failed": np.array(placement.failed, np.int64),
        "method": np.array(placement.method),
        "error": np.array(np.nan if placement.error is None else placement.error),
    }


def _read(file: Path) -> Placement | None:
    """A placement that was kept; None where there is none, or a damaged one, which is then estimated anew."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            columns = dict(stored)
        method: Any = str(columns["method"])
        if method not in ("dataset", "mixed", *get_args(Estimator)):
            return None
        return Placement(
            cameras=_cameras(columns),
            up=columns["up"],
            metric=bool(columns["metric"]),
            piece=tuple(columns["piece"].tolist()),
            failed=tuple(columns["failed"].tolist()),
            method=method,
            error=None if np.isnan(columns["error"]) else float(columns["error"]),
        )
    except Exception:  # a damaged archive raises nearly anything
        return None


def _cameras(columns: dict[str, np.ndarray]) -> tuple[Camera | None, ...]:
    def some(values: np.ndarray) -> np.ndarray | None:
        return None if np.isnan(values).any() else values

    rows = zip(columns["intrinsics"], columns["distortion"], columns["world_from_camera"], strict=True)
    return tuple(
        None
        if some(intrinsics) is None
        else Camera(intrinsics=intrinsics, distortion=some(distortion), world_from_camera=some(pose))
        for intrinsics, distortion, pose in rows
    )

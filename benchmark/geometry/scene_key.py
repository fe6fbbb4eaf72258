"""What the points of a scene depend on beside their provider, as a short name: the cache finds clouds by it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import BenchmarkError, DatasetError
from wsss.benchmark.geometry import poses
from wsss.benchmark.geometry.providers import Geometry, Measuring
from wsss.benchmark.types import Camera, Frame, RollingShutter, Scene, Sweep


def scene_key(dataset: Dataset, geometry: Geometry, scene: Scene) -> str:
    """16 hex digits that change with the scene's frames, the sizes of their images, their cameras and its sweeps.

    Where no frame has a pose, who estimates them and from what counts too. Of the sweeps the first labelled frame's
    stands for all, where the points depend on them: reading all would take about as long as making the points. Only
    what writes every sweep anew, as another release or reader does, is therefore sure to be noticed.

    Raises:
        DatasetError: An image is missing.
    """
    sha = hashlib.sha256(json.dumps([dataset.name, scene.id, list(_images(dataset, scene))]).encode())
    placed = False
    try:
        cameras = dataset.cameras(scene)
        placed = any(camera is not None and camera.world_from_camera is not None for camera in cameras)
        sha.update("\n".join(map(_text, cameras)).encode())
    except BenchmarkError as error:  # whoever needs the cameras will say so; mended, they are another key
        sha.update(f"no cameras: {error}".encode())
    if not placed:
        sha.update(f"poses {poses.VERSION} {poses.estimator()} {dataset.camera_height}".encode())
    if not placed or (isinstance(geometry, Measuring) and geometry.MEASURES):
        sha.update(f"sweep {_sweep(dataset, scene)}".encode())
    return sha.hexdigest()[:16]


def _images(dataset: Dataset, scene: Scene) -> Iterator[tuple[str, bool, str, int]]:
    sizes = {}
    for frame in scene.frames:
        if frame.image not in sizes:  # a file may hold many images
            sizes[frame.image] = _size(dataset, frame)
        yield frame.id, frame.labelled, frame.camera, sizes[frame.image]


def _size(dataset: Dataset, frame: Frame) -> int:
    if not frame.image.is_file():
        raise DatasetError(f"{frame.image} is missing; `wsss data {dataset.name}` shows what is expected")
    return frame.image.stat().st_size


def _sweep(dataset: Dataset, scene: Scene) -> str:
    """The sweep of the first labelled frame; what keeps it from being read where that is so."""
    index = next((index for index, frame in enumerate(scene.frames) if frame.labelled), None)
    try:
        return _text(None if index is None else dataset.sweep(scene, index))
    except BenchmarkError as error:
        return str(error)


def _text(value: Camera | RollingShutter | Sweep | None) -> str:
    """Every field of a noun by name, arrays by their bytes."""
    if value is None:
        return "none"
    parts = []
    for field in fields(value):
        content = getattr(value, field.name)
        if isinstance(content, np.ndarray):
            content = f"{content.dtype}{content.shape}{hashlib.sha256(content.tobytes()).hexdigest()}"
        parts.append(f"{field.name}={_text(content) if isinstance(content, RollingShutter) else content}")
    return ";".join(parts)

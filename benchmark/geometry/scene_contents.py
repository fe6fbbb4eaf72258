"""What a scene consists of as text, for the names of what is made from it and kept."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import BenchmarkError, DatasetError
from wsss.benchmark.types import Camera, Frame, RollingShutter, Scene, Sweep


@dataclass(frozen=True, slots=True)
class Contents:
    """What was found."""

    text: str
    posed: bool
    """Whether the dataset gives any frame a pose; if not, points hang on how poses are estimated too."""


def file_name(name: str) -> str:
    """A name, say of a scene, as the beginning of a file's: any two may come out alike, so a digest has to follow."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:80]


def contents(dataset: Dataset, scene: Scene, *, measured: bool) -> Contents:
    """A text that changes with the scene's frames, the sizes of their images and their cameras.

    Where they are ``measured``, or no frame has a pose, so that depth may give the scale, the first labelled frame's
    sweep stands for all: reading every one would take about as long as making the points. Only what writes all sweeps
    anew, as another release or reader does, is therefore sure to be noticed.

    Raises:
        DatasetError: An image is missing.
    """
    parts = [json.dumps([dataset.name, scene.id, list(_images(dataset, scene))])]
    posed = False
    try:
        cameras = dataset.cameras(scene)
        posed = any(camera is not None and camera.world_from_camera is not None for camera in cameras)
        parts += map(_text, cameras)
    except BenchmarkError as error:  # whoever needs the cameras will say so; mended, they are another text
        parts.append(f"no cameras: {error}")
    if measured or not posed:
        parts.append(f"sweep {_sweep(dataset, scene)}")
    return Contents("\n".join(parts), posed)


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

"""The harness. It knows no method and no dataset by name.

The names below are what a method or an adapter needs; they are imported when first used, so that commands which need
no torch start without it.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss.benchmark.batch import Batch, Points
    from wsss.benchmark.dataset import Dataset, DatasetMissing
    from wsss.benchmark.errors import BenchmarkError, DatasetError, Unsupported, UsageError
    from wsss.benchmark.method import Method, Task
    from wsss.benchmark.randomness import stream
    from wsss.benchmark.types import IGNORE, Camera, Classes, Frame, PointCloud, RollingShutter, Scene, Sweep

os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # which file is damaged is said once, by whoever reads it

_HOME = {
    "batch": ("Batch", "Points"),
    "dataset": ("Dataset", "DatasetMissing"),
    "errors": ("BenchmarkError", "DatasetError", "Unsupported", "UsageError"),
    "method": ("Method", "Task"),
    "randomness": ("stream",),
    "types": ("IGNORE", "Camera", "Classes", "Frame", "PointCloud", "RollingShutter", "Scene", "Sweep"),
}

__all__ = [
    "IGNORE",
    "Batch",
    "BenchmarkError",
    "Camera",
    "Classes",
    "Dataset",
    "DatasetError",
    "DatasetMissing",
    "Frame",
    "Method",
    "PointCloud",
    "Points",
    "RollingShutter",
    "Scene",
    "Sweep",
    "Task",
    "Unsupported",
    "UsageError",
    "stream",
]


def __getattr__(name: str) -> Any:
    for module, members in _HOME.items():
        if name in members:
            return getattr(importlib.import_module(f"wsss.benchmark.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

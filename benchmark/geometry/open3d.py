"""Open3D, imported where it is used: PLY files and the viewer.

Its wheels link to libusb, which bare machines lack; the copy in the package ``libusb-package`` serves then. A machine
on which Open3D cannot be imported at all loses these files and the viewer, and nothing else.
"""

import ctypes
import importlib
from pathlib import Path
from typing import Any

import numpy as np

from wsss.benchmark.atomic import replacing
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.types import PointCloud


def module() -> Any:
    """The module ``open3d``.

    Raises:
        BenchmarkError: It is not installed, or a library of the system is missing.
    """
    try:
        return importlib.import_module("open3d")
    except ModuleNotFoundError as error:
        raise BenchmarkError(f"{error}: pip install open3d") from error
    except ImportError as error:
        if "libusb" not in str(error):
            raise _missing(error) from error
    _supply_libusb()
    try:
        return importlib.import_module("open3d")
    except ImportError as error:
        raise _missing(error) from error


def _supply_libusb() -> None:
    package: Any = importlib.import_module("libusb_package")
    ctypes.CDLL(str(package.get_library_path()), mode=ctypes.RTLD_GLOBAL)


def _missing(error: ImportError) -> BenchmarkError:
    return BenchmarkError(
        f"Open3D needs a library of the system ({error}); on Debian: apt-get install libgl1 libegl1 libx11-6"
    )


def write_ply(path: Path, cloud: PointCloud, labels: np.ndarray | None = None) -> None:
    """Write a cloud as PLY: positions in float64 world coordinates, colours, and confidence, frame and label columns.

    Args:
        path: Of the file.
        cloud: What to write.
        labels: One train id per point, IGNORE where unlabelled; (n,) uint8.

    Raises:
        BenchmarkError: Open3D cannot be imported, or the file cannot be written.
    """
    o3d = module()
    points = o3d.t.geometry.PointCloud(np.ascontiguousarray(cloud.xyz.astype(np.float64) + cloud.origin))
    columns = {
        "colors": cloud.rgb,
        "confidence": cloud.confidence[:, None],
        "frame": cloud.frame[:, None],
        **({} if labels is None else {"label": labels[:, None].astype(np.int32)}),
    }
    for name, column in columns.items():
        points.point[name] = o3d.core.Tensor(np.ascontiguousarray(column))
    with replacing(path) as temporary:
        named = temporary.with_suffix(".ply")  # the writer goes by the suffix
        if not o3d.t.io.write_point_cloud(str(named), points):
            raise BenchmarkError(f"{path} could not be written by Open3D; is the disk full?")
        named.replace(temporary)


def view(cloud: PointCloud, title: str) -> None:
    """Open a window with the cloud in its colours.

    Raises:
        BenchmarkError: There is no display, or Open3D cannot be imported.
    """
    o3d = module()
    points = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(cloud.xyz.astype(np.float64)))
    points.colors = o3d.utility.Vector3dVector(cloud.rgb / 255)
    window = o3d.visualization.Visualizer()
    if not window.create_window(window_name=title):
        raise BenchmarkError("no display to open a window on; look at the .png and .ply files instead")
    window.add_geometry(points)
    window.run()
    window.destroy_window()

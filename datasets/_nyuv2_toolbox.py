"""The Kinect of NYU Depth v2: calibration, depth in metres, projection into the colour image, synchronisation.

Constants and steps are those of the publisher's toolbox (``camera_params``, ``project_depth_map``), which counts pixels
from 1; here an integer is the centre of a pixel and the first one is 0. Two steps are done more exactly: a depth pixel
is carried along its own undistorted ray instead of resampling the depth image, which invents points between an edge
and what lies behind it; and depth at the toolbox's cap of 10 m is missing, because it only says "or farther".
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8, UInt16

from wsss.benchmark.errors import DatasetError

Size = tuple[int, int]
"""Rows and columns."""

RELEASED_SIZE: Size = (480, 640)
COLOR_DISTORTION = np.array(
    [2.0796615318809061e-01, -5.8613825163911781e-01, 7.2231363135888329e-04, 1.0479627195765181e-03,
     4.9856986684705107e-01]
)  # fmt: skip
"""OpenCV's k1, k2, p1, p2, k3 of the colour camera; the .mat's images are free of it, the raw video's are not."""
DEPTH_DISTORTION = np.array(
    [-9.9897236553084481e-02, 3.9065324602765344e-01, 1.9290592870229277e-03, -1.9422022475975055e-03,
     -5.1031725053400578e-01]
)  # fmt: skip
NEAREST, FARTHEST = 600, 1057
"""Raw values that are measurements: below lies what the toolbox rejects, above what it caps at 10 m; 2047 is none."""
INVALID = 2047
SLACK = 0.040
"""Seconds between a picture and a depth image that still count as one moment; about one frame of the Kinect."""

_COLOR = (518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465)
_DEPTH = (582.62448167737955, 582.69103270988637, 313.04475870804731, 238.44389626620386)
"""fx, fy, cx, cy at the released size, counted from 1."""
_TURN = np.array(
    [
        [9.9997798940829263e-01, 5.0518419386157446e-03, 4.3011152014118693e-03],
        [-5.0359919480810989e-03, 9.9998051861143999e-01, -3.6879781309514218e-03],
        [-4.3196624923060242e-03, 3.6662365748484798e-03, 9.9998394948385538e-01],
    ]
)
_SHIFT = np.array([2.5031875059141302e-02, -2.9342312935846411e-04, 6.6238747008330102e-04])
_NAME = re.compile(r"(?:r|d)-(\d+\.\d+)-\d+\Z", re.ASCII)
_HEADER = re.compile(rb"P5\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(\d+)\s")
_LONGEST_HEADER = 1024


def _color_from_depth() -> Float[np.ndarray, "4 4"]:
    """The toolbox computes ``-inv(M) p + T`` and then divides x and y by z, so that the point's sign cancels.

    The rotation of the point in front of the camera is therefore ``inv(M)`` and its translation ``-T``: the colour
    camera sits 25 mm to the right of the depth camera. T's second and third number are called z and y there.
    """
    pose = np.eye(4)
    pose[:3, :3] = np.linalg.inv(_TURN)
    pose[:3, 3] = -_SHIFT
    return pose


COLOR_FROM_DEPTH = _color_from_depth()


def _intrinsics(values: tuple[float, float, float, float], size: Size) -> Float[np.ndarray, "3 3"]:
    down, across = size[0] / RELEASED_SIZE[0], size[1] / RELEASED_SIZE[1]
    fx, fy, cx, cy = values
    # Counted from 1, the first pixel's outer edge lies at 0.5; what scales is the distance from that edge.
    return np.array([[fx * across, 0, (cx - 0.5) * across - 0.5], [0, fy * down, (cy - 0.5) * down - 0.5], [0, 0, 1]])


def color_intrinsics(size: Size) -> Float[np.ndarray, "3 3"]:
    """Pinhole matrix of the colour camera for images of ``size``, scaled from the released one where they differ."""
    return _intrinsics(_COLOR, size)


def depth_intrinsics(size: Size) -> Float[np.ndarray, "3 3"]:
    """The same of the depth camera."""
    return _intrinsics(_DEPTH, size)


def rays(intrinsics: Float[np.ndarray, "3 3"], distortion: np.ndarray | None, size: Size) -> Float[np.ndarray, "n 3"]:
    """Directions with z = 1 of all pixels, row by row, in the camera's axes."""
    grid = np.indices(size, np.float64)[::-1].reshape(2, -1).T[:, None]
    flat = cv2.undistortPoints(grid, intrinsics, np.zeros(5) if distortion is None else distortion)[:, 0]
    return np.column_stack([flat, np.ones(len(flat))])


@lru_cache(maxsize=4)
def _color_rays(size: Size) -> Float[np.ndarray, "n 3"]:
    return rays(color_intrinsics(size), None, size)


@lru_cache(maxsize=4)
def _depth_rays(size: Size) -> Float[np.ndarray, "n 3"]:
    return rays(depth_intrinsics(size), DEPTH_DISTORTION, size)


@lru_cache(maxsize=4)
def _lens(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Where an undistorted colour image finds its pixels in the raw one."""
    matrix = color_intrinsics(size)
    return cv2.initUndistortRectifyMap(matrix, COLOR_DISTORTION, None, matrix, size[::-1], cv2.CV_32FC1)


def undistort(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """A raw colour image as the pinhole camera of the labelled images sees it; white where it shows nothing."""
    across, down = _lens(image.shape[:2])
    return cv2.remap(image, across, down, cv2.INTER_LINEAR, borderValue=(255, 255, 255))


@dataclass(frozen=True, slots=True)
class Points:
    """Depth measurements in the axes of the colour camera, at most one per pixel of its image."""

    xyz: Float[np.ndarray, "n 3"]
    pixel: Int32[np.ndarray, "n 2"]
    """(row, column) in the undistorted colour image."""
    depth: Float[np.ndarray, " n"]
    """Along the axis of the depth camera: what the toolbox writes into ``rawDepths``."""


def unproject(depth: Float[np.ndarray, "h w"]) -> Points:
    """The points of a depth image that is aligned with the colour image, as ``rawDepths`` is; 0 is missing.

    Like the toolbox it takes the stored depth for one along the axis of the colour camera; they differ by 0.3 %.
    """
    flat = depth.ravel().astype(np.float64)
    found = np.flatnonzero((flat > 0) & (flat < 10))
    pixel = np.column_stack(np.divmod(found, depth.shape[1])).astype(np.int32)
    return Points(_color_rays(depth.shape)[found] * flat[found, None], pixel, flat[found])


def measured(raw: UInt16[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Which raw values are measurements."""
    return (raw >= NEAREST) & (raw <= FARTHEST)


def metres(raw: UInt16[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Depth along the optical axis of raw values that are measurements."""
    return 351.3 / (1092.5 - raw.astype(np.float64))


def project(raw: UInt16[np.ndarray, "h w"]) -> Points:
    """A raw depth image in the pixels of the undistorted colour image, the nearest point of each pixel."""
    size = raw.shape
    found = np.flatnonzero(measured(raw))
    depth = metres(raw.ravel()[found])
    xyz = (_depth_rays(size)[found] * depth[:, None]) @ COLOR_FROM_DEPTH[:3, :3].T + COLOR_FROM_DEPTH[:3, 3]
    matrix = color_intrinsics(size)
    column, row = (np.rint(xyz[:, k] / xyz[:, 2] * matrix[k, k] + matrix[k, 2]).astype(np.int64) for k in (0, 1))
    inside = np.flatnonzero((row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1]))
    far_to_near = inside[np.argsort(-depth[inside], kind="stable")]
    nearest = np.full(size, -1, np.int64)
    nearest[row[far_to_near], column[far_to_near]] = far_to_near
    pixel = np.argwhere(nearest >= 0)
    chosen = nearest[pixel[:, 0], pixel[:, 1]]
    return Points(xyz[chosen], pixel.astype(np.int32), depth[chosen])


def seconds(stem: str) -> float | None:
    """Unix time in the name of a raw file, ``r-<seconds>-<ticks>``; None where it is no such name.

    Names are not in order of time: their lengths differ.
    """
    match = _NAME.match(stem)
    return float(match[1]) if match else None


def nearest(times: Float[np.ndarray, " n"], others: Float[np.ndarray, " m"]) -> np.ndarray:
    """For each time the index of the nearest of ``others``, which ascend and are at least one.

    The toolbox's pointer, which only moves forward through both sorted lists, finds the same.
    """
    after = np.clip(np.searchsorted(others, times), 1, max(len(others) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(others) - 1)
    return np.where(times - others[before] <= others[after] - times, before, after)


def read_depth(path: Path, size: Size) -> UInt16[np.ndarray, "h w"]:
    """Raw values of a depth image. Its bytes are little-endian, although PGM says otherwise.

    Raises:
        DatasetError: The file is missing, damaged, truncated, of another size, or not from the Kinect.
    """
    again = "unpack its part of nyu_depth_v2_raw.zip again, or delete the file"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); {again}") from error
    header = _HEADER.match(content, 0, _LONGEST_HEADER)
    if header is None:
        raise DatasetError(f"{path} is not a binary PGM; {again}")
    columns, rows, largest = (int(number) for number in header.groups())
    if (rows, columns) != size or largest < 256:
        raise DatasetError(
            f"{path} has {rows} x {columns} pixels up to {largest}, expected {size[0]} x {size[1]} of 16 bits; {again}"
        )
    if len(content) - header.end() < 2 * rows * columns:
        raise DatasetError(f"{path} is truncated; {again}")
    raw = np.frombuffer(content, "<u2", rows * columns, header.end()).reshape(size).astype(np.uint16)
    if raw.max() > INVALID:
        raise DatasetError(f"{path} holds {raw.max()}, beyond the Kinect's 11 bits: its bytes are swapped; {again}")
    return raw

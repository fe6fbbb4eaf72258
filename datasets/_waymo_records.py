"""What both releases of Waymo Open say about a frame, in the dataset's own terms, and how their damage is told."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL.Image import DecompressionBombError

from wsss.benchmark.errors import DatasetError

CAMERAS: Mapping[str, int] = {"FRONT": 1, "FRONT_LEFT": 2, "FRONT_RIGHT": 3, "SIDE_LEFT": 4, "SIDE_RIGHT": 5}
LASERS: Mapping[str, int] = {"TOP": 1, "FRONT": 2, "SIDE_LEFT": 3, "SIDE_RIGHT": 4, "REAR": 5}
TOP = LASERS["TOP"]

Index = dict[str, np.ndarray]
"""Columns of a split: ``segments`` (names, sorted) and, per image, ``segment`` (position in ``segments``), ``time``
(microseconds), ``camera``, ``labelled`` and ``offset`` (of its record in a tfrecord; 0 for parquet)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Which image is meant: the folder of its split, its segment, the frame's timestamp and the camera."""

    folder: Path
    segment: str
    time: int
    camera: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraCalibration:
    """A camera of one segment."""

    intrinsic: Float[np.ndarray, "9"]
    """f_u, f_v, c_u, c_v, k1, k2, p1, p2, k3; pixel 0 begins at coordinate 0."""
    vehicle_from_camera: Float[np.ndarray, "4 4"]
    """The camera's x axis is the optical one, y points left, z up."""
    size: tuple[int, int]
    """Rows and columns."""
    direction: int
    """Of the rolling shutter: 1 to the bottom, 2 right, 3 top, 4 left; 5 all at once, 0 unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePose:
    """Where the vehicle was, and how it moved, when one image was taken."""

    world_from_vehicle: Float[np.ndarray, "4 4"]
    linear: Float[np.ndarray, "3"]
    """m/s in world axes."""
    angular: Float[np.ndarray, "3"]
    """rad/s in vehicle axes, as the official camera model reads it; its own comment says otherwise."""
    clock: Float[np.ndarray, "4"]
    """Seconds: time of the pose, length of exposure, trigger, end of readout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaserCalibration:
    """A LiDAR of one segment."""

    vehicle_from_laser: Float[np.ndarray, "4 4"]
    inclinations: Float[np.ndarray, " beams"] | None
    """Radians, from the lowest beam up; None: spread evenly between ``lowest`` and ``highest``."""
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Laser:
    """What one LiDAR measured around one timestamp."""

    returns: tuple[Float[np.ndarray, "_ _ 4"], ...]
    """Range images; channel 0 is the distance in metres, not positive where nothing came back."""
    poses: Float[np.ndarray, "_ _ 6"] | None
    """TOP only: the vehicle in the world (roll, pitch, yaw, x, y, z) when each pixel was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What all LiDARs measured around one timestamp, by their number."""

    world_from_vehicle: Float[np.ndarray, "4 4"]
    lasers: Mapping[int, Laser]
    calibrations: Mapping[int, LaserCalibration]


@runtime_checkable
class Release(Protocol):
    """One of the two on-disk forms of the dataset. ``folder`` is that of a split."""

    def index(self, folder: Path) -> Index:
        """All images of the split's labelled segments, in order of segment, time and camera."""
        ...

    def files(self, key: Key) -> tuple[Path, ...]:
        """The files of the image and its annotation, the image's first."""
        ...

    def part(self, key: Key, component: str) -> Path:
        """The file that holds a component of the image's segment."""
        ...

    def image(self, key: Key) -> bytes:
        """The JPEG file."""
        ...

    def annotation(self, key: Key) -> tuple[bytes, int]:
        """The panoptic PNG file and its divisor."""
        ...

    def calibrations(self, folder: Path, segment: str) -> Mapping[int, CameraCalibration] | None:
        """The segment's cameras by number; None where their component was not downloaded."""
        ...

    def poses(self, folder: Path, segment: str) -> Mapping[tuple[int, int], ImagePose]:
        """Per (timestamp, camera)."""
        ...

    def scan(self, key: Key, *, second: bool) -> Scan:
        """The LiDARs' range images around the image's timestamp; ``second`` adds the second returns."""
        ...


class Faulty(ValueError):
    """Values that cannot be, and the component that they come from."""

    def __init__(self, component: str, text: str) -> None:
        super().__init__(text)
        self.component = component


@contextmanager
def blaming(release: Release, key: Key) -> Iterator[None]:
    """Tell what the block finds ``Faulty`` as the fault of the file that holds it.

    Raises:
        DatasetError: The block found something ``Faulty``.
    """
    try:
        yield
    except Faulty as error:
        with reading(release.part(key, error.component)):
            raise


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell what goes wrong in the block as the fault of ``path``, with the part to download again.

    Raises:
        DatasetError: The block found the file missing, or a value that cannot be.
    """
    split, part = path.parts[-3:-1] if path.suffix == ".parquet" else (path.parent.name, "")
    again = f"download {f'component {part} of ' if part else ''}{split} again"
    try:
        yield
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; {again}") from error
    except MemoryError as error:
        smaller = " or rewrite it in smaller row groups" if part else ""
        raise DatasetError(
            f"{path} needs more memory than there is; {again} if it is damaged, else free memory{smaller}"
        ) from error
    except (OSError, ValueError, ArithmeticError, SyntaxError, struct.error, zlib.error) as error:
        text = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path} is damaged or incomplete ({text}); {again}") from error
    except DecompressionBombError as error:
        raise DatasetError(f"{path} holds an image of absurd size; {again}") from error


def rigid(values: np.ndarray, what: str) -> Float[np.ndarray, "4 4"]:
    """A rigid transform from 16 numbers, row by row.

    Raises:
        ValueError: They are not 16, not finite, or no rotation and translation; the text names ``what``.
    """
    if values.size != 16:
        raise ValueError(f"{what} has {values.size} numbers, expected 16")
    pose = values.astype(np.float64).reshape(4, 4)
    turn = pose[:3, :3]
    if not np.isfinite(pose).all() or not np.array_equal(pose[3], (0, 0, 0, 1)) or np.linalg.det(turn) < 0:
        raise ValueError(f"{what} is no finite rigid transform")
    if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3:
        raise ValueError(f"{what} holds no rotation")
    return pose


def finite(values: np.ndarray, number: int, what: str) -> Float[np.ndarray, " n"]:
    """``number`` finite numbers as float64.

    Raises:
        ValueError: They are not; the text names ``what``.
    """
    if values.shape != (number,) or not np.isfinite(values).all():
        raise ValueError(f"{what} must be {number} finite numbers, found {values.tolist()[:12]}")
    return values.astype(np.float64)


def numbered(value: int | str, table: Mapping[str, int], what: str) -> int:
    """The number of a camera or LiDAR, which some files write as a name.

    Raises:
        ValueError: It is neither; the text names ``what``.
    """
    number = table.get(value, -1) if isinstance(value, str) else value
    if number not in table.values():
        raise ValueError(f"unknown {what} {value!r}, known are {', '.join(f'{n} {name}' for name, n in table.items())}")
    return number


def image_grid(values: np.ndarray, shape: list[int], channels: int, what: str) -> Float[np.ndarray, "h w c"]:
    """Values of an image of a LiDAR in its shape.

    Raises:
        ValueError: The shape is not (H, W, ``channels``), or holds another number of values.
    """
    if len(shape) != 3 or min(shape) < 1 or shape[2] != channels or values.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{what} has {values.size} values and shape {shape}, expected [rows, columns, {channels}]")
    return values.reshape(shape)

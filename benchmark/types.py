"""The nouns of the benchmark and the conventions that every module obeys.

Images are ``(3, H, W)`` tensors or ``(H, W, 3)`` arrays; rows come before columns, ``pixel = (row, column)`` and an
integer is the centre of a pixel. Lengths are metres, times are seconds. The camera frame is OpenCV's: x right, y down,
z forward. Rigid transforms are 4x4 float64 matrices named ``a_from_b``, so that a wrong chain reads wrong.

Shape letters: B batch, C classes, H W image, N points, D features, F frames.

This module needs no torch; the two nouns of a training step, Batch and Points, stand in ``batch.py``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, UInt8

IGNORE = 255
"""The label of a pixel that nobody annotated, or that belongs to no class."""

LabelKind = Literal["points", "scribbles", "coarse", "full"]
WeakKind = Literal["points", "scribbles", "coarse"]
Split = Literal["train", "val", "test"]

LABEL_KINDS: tuple[LabelKind, ...] = get_args(LabelKind)
WEAK_KINDS: tuple[WeakKind, ...] = get_args(WeakKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The label space of one dataset: position in ``names`` is the train id.

    ``things`` are the classes with countable instances; ``without_surface`` those that no point cloud can hold (sky).
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    things: frozenset[str] = frozenset()
    without_surface: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if len(self.names) != len(self.colors):
            raise ValueError(f"Classes: {len(self.names)} names but {len(self.colors)} colors")
        unknown = (self.things | self.without_surface) - set(self.names)
        if unknown:
            raise ValueError(f"Classes: {sorted(unknown)} are not among the names")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def on_surfaces(self) -> tuple[int, ...]:
        """Train ids of the classes that a point can belong to."""
        return tuple(i for i, name in enumerate(self.names) if name not in self.without_surface)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingShutter:
    """How a camera moves while it exposes its image line by line."""

    towards: Literal["bottom", "top", "right", "left"]
    """The edge that is exposed last."""
    first: float
    """Seconds from the time of ``Camera.world_from_camera`` to the middle of the first line's exposure."""
    readout: float
    """Seconds from the first to the last line."""
    linear: Float[np.ndarray, "3"]
    """Velocity of the camera's centre in world axes, m/s."""
    angular: Float[np.ndarray, "3"]
    """Angular velocity in world axes, rad/s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A camera in OpenCV axes; ``world_from_camera`` is None where a dataset gives no pose."""

    intrinsics: Float[np.ndarray, "3 3"]
    """In pixels of the stored image; an integer is the centre of a pixel."""
    distortion: Float[np.ndarray, "5"] | None = None
    """OpenCV's k1, k2, p1, p2, k3; None for a pinhole."""
    world_from_camera: Float[np.ndarray, "4 4"] | None = None
    shutter: RollingShutter | None = None
    """None where the whole image is exposed at once, or nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One image and where it is stored: paths, never pixels."""

    id: str
    """Unique in the dataset, stable, and safe as a file name."""
    image: Path
    """The file that holds the image, alone or with others."""
    labelled: bool
    """Whether a dense annotation exists; a frame without one only serves reconstruction."""
    time: float | None = None
    """Seconds since the first frame of the scene."""
    camera: str = ""
    """Which of a scene's cameras took it; empty where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Frames that see one place, in order of time. The unit that the bootstrap resamples."""

    id: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a range sensor measured around the time of one frame: a LiDAR's turn, or one depth image."""

    xyz: Float[np.ndarray, "n 3"]
    """Metres; float64, because worlds reach 40 km."""
    origin: Float[np.ndarray, "3"]
    """Where the sensor stood, in the same axes."""
    in_world: bool
    """Whether the axes are the scene's world; else those of the frame's camera, for want of poses."""
    pixel: Int32[np.ndarray, "n 2"] | None = None
    """(row, column) in the frame's image where the sensor measures per pixel of it; None: project the points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointCloud:
    """The points of one scene, sorted by frame, so that the points of a view are neighbours.

    A scene may have tens of millions: the arrays are often memory maps, and float32 is enough because ``origin`` takes
    the distance from the world's own origin out of them.
    """

    xyz: Float32[np.ndarray, "n 3"]
    """World axes, relative to ``origin``; metres where ``metric``."""
    rgb: UInt8[np.ndarray, "n 3"]
    confidence: Float32[np.ndarray, " n"]
    """Positive, in the provider's own scale; only ratios may matter. 1 for a sensor."""
    frame: Int32[np.ndarray, " n"]
    """Index into ``Scene.frames`` of the view that saw the point, in rising order; -1, first, if none did."""
    pixel: Int32[np.ndarray, "n 2"]
    """(row, column) in that frame, -1 if none."""
    origin: Float64[np.ndarray, "3"]
    """Where xyz is zero, in the scene's world."""
    up: Float64[np.ndarray, "3"]
    """Unit vector against gravity, in world axes."""
    metric: bool
    """Whether lengths are metres: measured, from poses in metres, or estimated by a network that was trained to; only
    ratios count otherwise."""

    def view(self, frame: int) -> slice:
        """The rows of the points that a frame saw."""
        return slice(*np.searchsorted(self.frame, (frame, frame + 1)).tolist())

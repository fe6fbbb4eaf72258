"""Where the street runs and how the observer moves along it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

Rng = np.random.Generator

_STEP = 0.5


@dataclass(frozen=True)
class Path:
    """The line that the observer's rear axle follows, sampled every half metre from ``start``."""

    start: float
    points: Float[np.ndarray, "n 2"]
    heading: Float[np.ndarray, " n"]
    """Radians, counted to the left from +x."""
    curvature: Float[np.ndarray, " n"]
    """Radians per metre, positive to the left."""

    def at(self, along: float | np.ndarray, left: float | np.ndarray = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """World position (..., 2) of street coordinates in metres, and the street's heading there."""
        along = np.asarray(along, np.float64)
        where = self.start + _STEP * np.arange(len(self.heading))
        heading = np.asarray(np.interp(along, where, self.heading))
        point = np.stack([np.interp(along, where, self.points[:, k]) for k in (0, 1)], -1)
        sideways = np.stack([-np.sin(heading), np.cos(heading)], -1)
        return point + np.asarray(left)[..., None] * sideways, heading

    def bend(self, along: np.ndarray) -> np.ndarray:
        """Curvature at distances along the path."""
        return np.interp(along, self.start + _STEP * np.arange(len(self.heading)), self.curvature)


def path(rng: Rng, start: float, end: float, sharpest: float) -> Path:
    """A street with gentle curves of at least ``1 / sharpest`` metres radius."""
    along = np.arange(start, end + _STEP, _STEP)
    curvature = np.zeros_like(along)
    for _ in range(3):
        curvature += rng.uniform(-1, 1) * np.sin(2 * np.pi * along / rng.uniform(110, 300) + rng.uniform(0, 2 * np.pi))
    curvature = np.clip(curvature * sharpest / 1.5, -sharpest, sharpest)
    heading = np.concatenate([[0], np.cumsum((curvature[1:] + curvature[:-1]) / 2 * _STEP)])
    middle = (heading[1:] + heading[:-1]) / 2
    steps = _STEP * np.stack([np.cos(middle), np.sin(middle)], -1)
    return Path(start, np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)]), heading, curvature)


@dataclass(frozen=True)
class Motion:
    """The frames of a snippet as a vehicle's sensors tell them."""

    time: Int[np.ndarray, " f"]
    """Nanoseconds since the first frame."""
    speed: Float[np.ndarray, " f"]
    """Metres per second, rounded as written."""
    yaw_rate: Float[np.ndarray, " f"]
    """Radians per second to the left, rounded as written."""
    world_from_vehicle: Float[np.ndarray, "f 4 4"]


def planar(x: float, y: float, heading: float) -> Float[np.ndarray, "4 4"]:
    """world_from_vehicle on level ground."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, 0], [0, 0, 0, 1]], np.float64)


def snippet(rng: Rng, street: Path, along: float, frames: int = 30, anchor: int = 19) -> Motion:
    """A drive whose frame ``anchor`` stands at distance ``along`` of the street.

    The poses are dead-reckoned from the rounded sensor values: mean speed and mean yaw rate between consecutive
    frames, a step along the chord.
    """
    gaps = np.round(1e9 / 17 + rng.normal(0, 2e5, frames - 1)).astype(np.int64)
    time = np.concatenate([[0], np.cumsum(gaps)])
    seconds = (time - time[anchor]) / 1e9
    speed = np.round(np.clip(rng.uniform(5, 13) + rng.uniform(-1, 1) * seconds, 4, 14), 3)
    travelled = along + speed[anchor] * seconds
    yaw_rate = np.round(speed * street.bend(travelled) + rng.normal(0, 5e-4, frames), 5)
    point, heading = street.at(along)
    poses = [np.eye(4) for _ in range(frames)]
    poses[anchor] = planar(point[0], point[1], float(heading))
    for k in range(anchor, frames - 1):
        poses[k + 1] = poses[k] @ _step(speed[k : k + 2], yaw_rate[k : k + 2], int(gaps[k]))
    for k in reversed(range(anchor)):
        poses[k] = poses[k + 1] @ np.linalg.inv(_step(speed[k : k + 2], yaw_rate[k : k + 2], int(gaps[k])))
    return Motion(time, speed, yaw_rate, np.stack(poses))


def _step(speed: np.ndarray, yaw_rate: np.ndarray, nanoseconds: int) -> Float[np.ndarray, "4 4"]:
    """The move between two frames, in the axes of the first."""
    way, turn = speed.mean() * nanoseconds / 1e9, yaw_rate.mean() * nanoseconds / 1e9
    return planar(way * np.cos(turn / 2), way * np.sin(turn / 2), turn)

"""How a miniature Waymo vehicle drives, and the cameras and lasers that it carries.

Cameras have the dataset's axes here (x forward along the optical axis, y left, z up), and pixel coordinates in which 0
is the left edge of the first pixel. Seconds count from the first frame of a segment.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature.streets import drive

CAMERAS = {1: "FRONT", 2: "FRONT_LEFT", 3: "FRONT_RIGHT"}
"""Names by the number that the dataset gives them."""
TOP, FRONT_LASER = 1, 2
"""Numbers of the lasers."""
SPIN = 0.1
"""Seconds in which the top laser turns once, and between frames."""
READOUT = 0.044
"""Seconds in which a camera reads its columns."""

_STEP = 0.004  # seconds, of the central differences
_CAMERA_FACTS = {  # focal length, principal point, k1, k2, p1, p2 at 1920 x 1280; seconds after the frame; yaw; x, y, z
    1: ((2059.6, 936.1, 635.1, 0.0379, -0.3367, 0.0018, -0.0004), 0.052, 0.0, (1.544, -0.022, 2.115)),
    2: ((2063.0, 958.9, 641.7, 0.0415, -0.3401, 0.0007, 0.0006), 0.042, 0.786, (1.497, 0.095, 2.115)),
    3: ((2061.2, 968.4, 657.1, 0.0352, -0.3289, -0.0011, 0.0003), 0.062, -0.783, (1.495, -0.096, 2.116)),
}


@dataclass(frozen=True)
class Ride:
    """How a vehicle moves along a street; its world lies kilometres from the street's origin."""

    path: drive.Path
    start: float
    """Metres along the path at second 0."""
    speed: float
    """At second 0, m/s."""
    acceleration: float
    phases: tuple[float, float, float]
    """Of the small swaying in roll, pitch and height."""
    world_from_street: Float[np.ndarray, "4 4"]

    def travelled(self, seconds: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Metres along the path."""
        return self.start + self.speed * seconds + self.acceleration * seconds**2 / 2

    def six(self, seconds: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 6"]:
        """Roll, pitch, yaw, x, y, z of the vehicle in the world."""
        point, heading = self.path.at(self.travelled(seconds))
        offset, street = self.world_from_street[:3, 3], self.world_from_street[:2, :2]
        x, y = (point[:, 0] * street[k, 0] + point[:, 1] * street[k, 1] + offset[k] for k in (0, 1))
        yaw = heading + np.arctan2(street[1, 0], street[0, 0])
        roll = 0.008 * np.sin(5.6 * seconds + self.phases[0])
        pitch = 0.006 * np.sin(8.1 * seconds + self.phases[1])
        z = offset[2] + 0.02 * np.sin(7.3 * seconds + self.phases[2])
        return np.stack([roll, pitch, np.mod(yaw + np.pi, 2 * np.pi) - np.pi, x, y, z], -1)

    def poses(self, seconds: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 4 4"]:
        """world_from_vehicle."""
        return matrices(self.six(seconds))

    def pose(self, second: float) -> Float[np.ndarray, "4 4"]:
        """world_from_vehicle at one time."""
        return self.poses(np.array([second]))[0]

    def velocity(self, second: float) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """Linear velocity in world axes (m/s) and angular velocity in the vehicle's axes (rad/s)."""
        before, now, after = self.poses(second + _STEP * np.array([-1.0, 0.0, 1.0]))
        change = (after - before) / (2 * _STEP)
        skew = now[:3, :3].T @ change[:3, :3]
        return change[:3, 3], np.array([skew[2, 1] - skew[1, 2], skew[0, 2] - skew[2, 0], skew[1, 0] - skew[0, 1]]) / 2


def matrices(six: Float[np.ndarray, "n 6"]) -> Float[np.ndarray, "n 4 4"]:
    """Rigid transforms from roll, pitch, yaw, x, y, z: turned about x, then y, then z."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(six[:, :3].T), np.sin(six[:, :3].T)
    result = np.zeros((len(six), 4, 4))
    result[:, 0, :3] = np.stack([cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr], -1)
    result[:, 1, :3] = np.stack([sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr], -1)
    result[:, 2, :3] = np.stack([-sp, cp * sr, cp * cr], -1)
    result[:, :3, 3], result[:, 3, 3] = six[:, 3:], 1
    return result


@dataclass(frozen=True, kw_only=True)
class CameraModel:
    """A camera of the rig."""

    name: int
    intrinsic: tuple[float, ...]
    """f_u, f_v, c_u, c_v, k1, k2, p1, p2, k3."""
    vehicle_from_camera: Float[np.ndarray, "4 4"]
    width: int
    height: int
    towards: Literal["right", "left"]
    """The edge that is read last."""
    delay: float
    """Seconds from a frame's timestamp to the time of the image's pose."""
    early: float
    """Seconds from the middle of the exposure to that time."""
    shutter: float
    """Seconds that each column is exposed."""

    @property
    def direction(self) -> int:
        """The dataset's number for the rolling shutter's direction."""
        return 2 if self.towards == "right" else 4

    @property
    def trigger(self) -> float:
        """Seconds from a frame's timestamp to the first column's exposure."""
        return self.delay - self.early - (self.shutter + READOUT) / 2

    def moments(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Seconds after a frame's timestamp at which columns are exposed (middle of the exposure)."""
        share = x / self.width if self.towards == "right" else (self.width - x) / self.width
        return self.trigger + self.shutter / 2 + READOUT * share

    def rays(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Directions, 1 long along the optical axis, of what falls on pixel coordinates."""
        fu, fv, cu, cv, k1, k2, p1, p2, k3 = self.intrinsic
        goal_u, goal_v = (x - cu) / fu, (y - cv) / fv
        u, v = goal_u, goal_v
        for _ in range(12):  # a weak distortion: each round wins more than a digit
            r2 = u * u + v * v
            radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            u, v = (
                (goal_u - 2 * p1 * u * v - p2 * (r2 + 2 * u * u)) / radial,
                (goal_v - p1 * (r2 + 2 * v * v) - 2 * p2 * u * v) / radial,
            )
        return np.stack([np.ones_like(u), -u, -v], -1)


@dataclass(frozen=True, kw_only=True)
class LaserModel:
    """A laser of the rig; its range images have the shape (beams, columns)."""

    name: int
    vehicle_from_laser: Float[np.ndarray, "4 4"]
    low: float
    high: float
    inclinations: tuple[float, ...] | None
    """Radians from the lowest beam to the highest; None: evenly spaced between low and high."""
    shape: tuple[int, int]
    far: float

    def directions(self) -> Float[np.ndarray, "n 3"]:
        """Unit rays in vehicle axes, row by row from the highest beam, turning clockwise from behind the vehicle."""
        beams, columns = self.shape
        even = self.low + (np.arange(beams) + 0.5) / beams * (self.high - self.low)
        up = (even if self.inclinations is None else np.array(self.inclinations))[::-1, None]
        correction = np.arctan2(self.vehicle_from_laser[1, 0], self.vehicle_from_laser[0, 0])
        turn = ((2 * (columns - np.arange(columns) - 0.5) / columns - 1) * np.pi - correction)[None]
        rays = np.stack([np.cos(up) * np.cos(turn), np.cos(up) * np.sin(turn), np.sin(up) + 0 * turn], -1)
        return rotate(self.vehicle_from_laser[None], rays.reshape(-1, 3))


def rotate(a_from_b: Float[np.ndarray, "#n 4 4"], vectors: Float[np.ndarray, "#n 3"]) -> Float[np.ndarray, "n 3"]:
    """Vectors turned by one transform each, summed without BLAS."""
    return sum(a_from_b[:, :3, k] * vectors[:, k, None] for k in range(3))  # type: ignore[return-value]


def placed(yaw: float, pitch: float, roll: float, where: tuple[float, float, float]) -> Float[np.ndarray, "4 4"]:
    """A rigid transform."""
    return matrices(np.array([[roll, pitch, yaw, *where]]))[0]


def cameras(seed: int, context: str, width: int, height: int, towards: Literal["right", "left"]
            ) -> tuple[CameraModel, ...]:  # fmt: skip
    """The three cameras of a segment."""
    rng, scale, models = stream(seed, "miniature waymo cameras", context), width / 1920, []
    for name, ((focal, cu, cv, *bend), delay, yaw, where) in _CAMERA_FACTS.items():
        focal *= rng.uniform(0.995, 1.005)
        cu, cv = (cu + rng.uniform(-15, 15)) * scale, (cv + rng.uniform(-15, 15)) * scale
        small = rng.normal(0, 0.004, 3)
        models.append(CameraModel(
            name=name, intrinsic=(focal * scale, focal * scale, cu, cv, *bend, 0.0),
            vehicle_from_camera=placed(yaw + small[0], small[1], small[2], where), width=width, height=height,
            towards=towards, delay=delay,
            early=float(rng.uniform(-0.004, 0.004)), shutter=float(rng.uniform(0.001, 0.009)),
        ))  # fmt: skip
    return tuple(models)


def lasers(seed: int, context: str, columns: int) -> tuple[LaserModel, ...]:
    """The top laser with uneven beams and a short-range one in front."""
    rng = stream(seed, "miniature waymo lasers", context)
    low, high = -0.3105 + rng.normal(0, 0.0007), 0.0405 + rng.normal(0, 0.0007)
    spread = np.cumsum(np.concatenate([[0], np.interp(np.arange(63), [0, 20, 45, 63], [1.6, 1.3, 0.55, 0.5])]))
    beams = low + (high - low) * spread / spread[-1]
    beams[1:-1] += rng.normal(0, 0.0003, 62)
    yaw, pitch, roll = (float(v) for v in np.array([2.58, 0.0, 0.0]) + rng.normal(0, (0.02, 0.006, 0.006)))
    top = LaserModel(
        name=TOP, vehicle_from_laser=placed(yaw, pitch, roll, (1.43, 0.0, 2.184)),
        low=float(beams[0]), high=float(beams[-1]), inclinations=tuple(float(b) for b in beams), shape=(64, columns),
        far=75.0,
    )  # fmt: skip
    front = LaserModel(
        name=FRONT_LASER, vehicle_from_laser=placed(0.01, 0.0, -0.006, (4.07, 0.0, 0.691)), low=-np.pi / 2,
        high=np.pi / 6, inclinations=None, shape=(20, columns // 4), far=20.0,
    )  # fmt: skip
    return top, front

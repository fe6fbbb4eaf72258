"""What the miniature KITTI-360 shows: streets as a car with a camera and a spinning LiDAR on its roof drives through.

A drive is one world. The car records at a few places of it, eight labelled frames each with video between them, and
some places belong to the validation list: both sides of the split share every drive, as in the real lists.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int32, UInt8

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature.engine import lidar
from wsss.datasets.miniature.engine.render import Scene, View
from wsss.datasets.miniature.engine.shapes import BROADER, KINDS
from wsss.datasets.miniature.files import SizeName
from wsss.datasets.miniature.streets import drive, world

IDS = {
    "sky": 23, "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28,
    "train": 31, "motorcycle": 32, "bicycle": 33, "parking": 9, "static": 41, "dynamic": 44, "trailer": 30,
    "ego vehicle": 1,
}  # fmt: skip
"""Official ids of what the worlds hold: 41 is a box, 44 an unknown object."""
COUNTED = frozenset(range(24, 34))
"""Ids with instances."""

DRIVES = tuple(f"2013_05_28_drive_{number:04}_sync" for number in (0, 2, 3, 4, 5, 6, 7, 9, 10))
OFFSET = 4391
"""Where the frames of drive 0002 begin; what came before became a drive of the test split."""
PERIOD = 0.1
"""Seconds from frame to frame and of a turn of the LiDAR."""
BEAMS = np.radians(np.concatenate([np.linspace(2.0, -8.33, 32), np.linspace(-8.83, -24.8, 32)]))
"""Elevations of an HDL-64E: its upper block is denser."""
FAR = 80.0
"""Metres that the LiDAR reaches."""
ASIDE = np.radians(60.0)
"""Azimuth up to which it is recorded: the camera sees 52 degrees, and whole turns would be three times as large."""


@dataclass(frozen=True)
class Size:
    """How large a miniature is."""

    width: int
    height: int
    drives: int
    places: int
    """In a drive."""
    listed: int
    """Labelled frames of a place."""
    video: tuple[int, ...]
    """Indices of a place's other frames."""
    missing: int
    """Frames of a drive without a pose."""
    columns: int
    """Directions in which the LiDAR fires its beams during a whole turn."""

    @property
    def frames(self) -> int:
        """Frames of a place."""
        return self.listed + len(self.video)


SHAPES: dict[SizeName, Size] = {
    "full": Size(352, 96, 9, 4, 8, (3, 6), 3, 288),
    "half": Size(352, 96, 8, 3, 8, (3, 6), 3, 288),
    "tiny": Size(176, 48, 2, 2, 3, (1,), 1, 192),
}

CAM0_FROM_RECT = np.array(
    [[0.999974, 0.007141, 0.000112], [-0.007141, 0.999969, 0.003247], [-0.000089, -0.003247, 0.999995]]
)
"""The transpose of R_rect_00 as published."""
POSE_FROM_CAM0 = np.array([
    [0.0371783278, -0.0986182135, 0.9944306009, 1.5752681039],
    [0.9992675562, -0.0053553387, -0.0378902567, 0.0043914093],
    [0.0090621821, 0.9951109327, 0.0983468786, -0.6500000000],
    [0, 0, 0, 1],
])  # fmt: skip
VELO_FROM_CAM0 = np.array([
    [0.04307104361, -0.08829286498, 0.995162929, 0.8043914418],
    [-0.999004371, 0.007784614041, 0.04392796942, 0.2993489574],
    [-0.01162548558, -0.9960641394, -0.08786966659, -0.1770225824],
    [0, 0, 0, 1],
])  # fmt: skip
VEHICLE_FROM_POSE = np.array([[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0.93], [0, 0, 0, 1]], np.float64)
"""The GPS/IMU body, x forward, y right, z down, over the middle of the rear axle."""


@dataclass(frozen=True)
class Place:
    """A short run of frames."""

    drive: str
    number: int
    """In the drive."""
    first: int
    """Number of its first frame."""
    val: bool


@dataclass(frozen=True)
class Rendered:
    """A picture with labels in the numbers of KITTI-360."""

    rgb: UInt8[np.ndarray, "h w 3"]
    depth: Float[np.ndarray, "h w"]
    """z in metres; infinite in the sky."""
    semantic: UInt8[np.ndarray, "h w"]
    instance: Int32[np.ndarray, "h w"]
    """1000 times the id, plus a number for what is counted."""


def intrinsics(size: SizeName) -> Float[np.ndarray, "3 3"]:
    """The published camera for pictures of this size, a little higher than an even scale would make them."""
    shape = SHAPES[size]
    scale = shape.width / 1408
    focal, margin = round(552.554261 * scale, 6), (shape.height - 376 * scale) / 2
    column = round((682.049453 + 0.5) * scale - 0.5, 6)
    row = round((238.769549 + 0.5) * scale - 0.5 + margin, 6)
    return np.array([[focal, 0, column], [0, focal, row], [0, 0, 1]])


def pose_from_rect() -> Float[np.ndarray, "4 4"]:
    """The rectified camera on the body."""
    turned = np.eye(4)
    turned[:3, :3] = _nearest_rotation(CAM0_FROM_RECT)
    return exact(POSE_FROM_CAM0) @ turned


def pose_from_velo() -> Float[np.ndarray, "4 4"]:
    """The LiDAR on the body."""
    return exact(POSE_FROM_CAM0) @ np.linalg.inv(exact(VELO_FROM_CAM0))


def exact(pose: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """A rigid transform without the rounding of its rotation."""
    result = pose.copy()
    result[:3, :3] = _nearest_rotation(pose[:3, :3])
    return result


def _nearest_rotation(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    left, _, right = np.linalg.svd(matrix)
    return left @ right


@lru_cache(maxsize=16)
def places(size: SizeName, seed: int, name: str) -> tuple[Place, ...]:
    """Where a drive records; one place of it, another in each drive, is for validation."""
    shape, number = SHAPES[size], DRIVES.index(name)
    rng = stream(seed, "miniature kitti360 places", name)
    first, found = (OFFSET if "_0002_" in name else 0) + int(rng.integers(1, 300)), []
    for place in range(shape.places):
        found.append(Place(name, place, first, place == (number + 1) % shape.places))
        first += shape.frames + int(rng.integers(40, 90))
    return tuple(found)


def without_pose(size: SizeName, seed: int, name: str) -> frozenset[int]:
    """The frames of a drive that lack a pose, at most one in a place and never its first or last."""
    rng, shape = stream(seed, "miniature kitti360 poses", name), SHAPES[size]
    chosen = rng.permutation(len(places(size, seed, name)))[: shape.missing]
    return frozenset(
        places(size, seed, name)[place].first + int(rng.integers(1, shape.frames - 1)) for place in chosen.tolist()
    )


@lru_cache(maxsize=2)
def _world(seed: int, name: str, stops: int) -> world.World:
    return world.build(seed, f"kitti360 {name}", stops)


@lru_cache(maxsize=1)
def scene(seed: int, name: str, stops: int, stop: int) -> Scene:
    """What surrounds a place, in the axes of its world."""
    street = _world(seed, name, stops)
    return Scene(world.around(street, stop), street.light)


def scene_of(size: SizeName, seed: int, place: Place) -> Scene:
    """What surrounds a place, in the axes of its world."""
    return scene(seed, place.drive, SHAPES[size].places, place.number)


def street_from_pose(size: SizeName, seed: int, place: Place, frame: float) -> Float[np.ndarray, "4 4"]:
    """The body in the street's axes at a frame of a place, or between frames: 6 to 10 m/s along the path."""
    street = _world(seed, place.drive, SHAPES[size].places)
    rng = stream(seed, "miniature kitti360 motion", place.drive, place.number)
    speed, gain = rng.uniform(6, 10), rng.uniform(-0.5, 0.5)
    seconds = PERIOD * (frame - place.first - (SHAPES[size].frames - 1) / 2)
    point, heading = street.path.at(street.stops[place.number] + speed * seconds + gain * seconds**2 / 2)
    return drive.planar(point[0], point[1], float(heading)) @ VEHICLE_FROM_POSE


def world_from_street(seed: int, name: str) -> Float[np.ndarray, "4 4"]:
    """The world of a drive's pose files is kilometres from its street and turned against it."""
    rng = stream(seed, "miniature kitti360 world", name)
    turned = drive.planar(rng.uniform(600, 4000), rng.uniform(600, 4000), rng.uniform(-np.pi, np.pi))
    turned[2, 3] = rng.uniform(100, 130)
    return turned


def render_view(size: SizeName, seed: int, place: Place, frame: int) -> Rendered:
    """The left camera's picture of a frame with its depth and labels."""
    shape = SHAPES[size]
    pose = street_from_pose(size, seed, place, frame) @ pose_from_rect()
    key = f"{place.drive}_{frame:010}"
    seen = scene_of(size, seed, place).view(intrinsics(size), (shape.height, shape.width), pose, key)
    semantic = np.array([IDS.get(BROADER.get(kind, kind), 0) for kind in KINDS], np.uint8)[seen.kind]
    return Rendered(seen.rgb, seen.depth, semantic, _numbered(semantic, seen))


def _numbered(semantic: UInt8[np.ndarray, "h w"], seen: View) -> Int32[np.ndarray, "h w"]:
    """``id * 1000 + number``; a thing keeps its number throughout its drive, and 0 is no thing."""
    counted = np.isin(semantic, list(COUNTED))
    return 1000 * semantic.astype(np.int32) + np.where(counted, number(seen.instance), 0)


def number(instance: Int32[np.ndarray, "..."]) -> Int32[np.ndarray, "..."]:
    """Instances of a world, whose traffic at place k counts from 10,000 (k + 1), below 1000."""
    traffic = instance // 10_000
    return np.where(traffic > 0, 500 + 100 * traffic + instance % 10_000, instance).astype(np.int32)


def fire(size: SizeName, seed: int, place: Place, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rays of a turn's front: origins and directions in the street's axes, directions in the moving sensor's own.

    The sensor turns clockwise from rear to rear and faces forward at the time of the picture; all beams of a
    direction are fired at once.
    """
    columns = SHAPES[size].columns
    azimuth = np.pi - 2 * np.pi * (np.arange(columns) + 0.5) / columns
    azimuth = azimuth[np.abs(azimuth) < ASIDE]
    poses = np.stack([
        street_from_pose(size, seed, place, frame - turn / (2 * np.pi)) @ pose_from_velo() for turn in azimuth
    ])  # fmt: skip
    angle, beam = (grid.ravel() for grid in np.meshgrid(azimuth, BEAMS, indexing="ij"))
    local = np.stack([np.cos(beam) * np.cos(angle), np.cos(beam) * np.sin(angle), np.sin(beam)], -1)
    poses = np.repeat(poses, len(BEAMS), axis=0)
    return poses[:, :3, 3], np.einsum("nij,nj->ni", poses[:, :3, :3], local), local


def velodyne(size: SizeName, seed: int, place: Place, frame: int) -> tuple[Float[np.ndarray, "n 4"], lidar.Returns]:
    """A turn as its file holds it, (x, y, z, reflectance) in the sensor's axes, and the returns of all its rays."""
    origins, directions, local = fire(size, seed, place, frame)
    rng = stream(seed, "miniature kitti360 velodyne", place.drive, frame)
    back = lidar.cast(scene_of(size, seed, place), origins, directions, far=FAR, rng=rng)
    xyz = np.round(local[back.hit] * back.range[back.hit, None], 3)
    return np.column_stack([xyz, np.round(back.intensity[back.hit], 2)]).astype("<f4"), back

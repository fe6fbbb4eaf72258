"""What the vehicle of a miniature Waymo segment records: pictures, labels, range images, poses and their times."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8, UInt16

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature import waymo_rig
from wsss.datasets.miniature.engine import lidar
from wsss.datasets.miniature.engine.optics import Rays
from wsss.datasets.miniature.engine.render import Scene, View
from wsss.datasets.miniature.engine.shapes import INDOOR, KINDS
from wsss.datasets.miniature.streets import extras, world
from wsss.datasets.miniature.waymo_rig import CAMERAS, READOUT, SPIN, CameraModel, LaserModel, Ride

IDS = {
    "ego vehicle": 1, "car": 2, "truck": 3, "bus": 4, "train": 5, "excavator": 5, "bicycle": 6, "motorcycle": 7,
    "trailer": 8, "person": 9, "rider": 10, "ridden bicycle": 10, "motorcyclist": 11, "ridden motorcycle": 11,
    "bird": 12, "ground animal": 13, "cone": 14, "pole": 15, "pedestrian object": 16, "traffic sign": 17,
    "sign back": 17, "traffic light": 18, "building": 19, "wall": 19, "fence": 19, "road": 20, "parking": 20,
    "lane marker": 21, "road marker": 22, "sidewalk": 23, "vegetation": 24, "sky": 25, "terrain": 26, "dynamic": 27,
    "static": 28,
}  # fmt: skip
"""Ids of the dataset's panoptic labels; trams and excavators are other large vehicles, walls and fences buildings."""
COUNTED = (2, 3, 4, 5, 8, 9, 10, 11)
"""Ids with instances: vehicles, pedestrians and riders."""
DIVISOR = 1000
"""The value of a panoptic label is this times the id, plus the instance."""

_STOP, _STOPS, _BEHIND = 1, 2, 45.0  # the second place of a world: there is street behind it
_MIDDLE = SPIN / 2  # the pose of a frame is that of the middle of the top laser's turn


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to record of which world."""

    seed: int
    context: str
    width: int
    height: int
    columns: int
    """Of the top laser's range image."""
    frames: int
    labelled: tuple[int, ...]
    towards: Literal["right", "left"]
    """The edge that all shutters reach last."""

    @property
    def begin(self) -> int:
        """The first timestamp in microseconds."""
        return int(stream(self.seed, "miniature waymo time", self.context).integers(15_060, 15_700) * 10**11 + 283_511)

    def timestamp(self, frame: int) -> int:
        """Microseconds."""
        return self.begin + 100_000 * frame

    def pictures(self) -> list[str]:
        """Ids of all pictures."""
        return [self.picture(frame, camera) for frame in range(self.frames) for camera in CAMERAS]

    def picture(self, frame: int, camera: int) -> str:
        """Id of a picture."""
        return f"{self.context}_{self.timestamp(frame)}_{CAMERAS[camera]}"


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """The panoptic label of a picture."""

    panoptic: UInt16[np.ndarray, "h w"]
    local: tuple[int, ...]
    """Instances of this picture, unique among its classes."""
    everywhere: tuple[int, ...]
    """The same things' numbers in all pictures of the segment."""
    covered: UInt8[np.ndarray, "h w"]
    """How many cameras see what the pixel shows."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image and when and where it was taken; times are absolute seconds."""

    name: str
    camera: int
    rgb: UInt8[np.ndarray, "h w 3"]
    depth: Float[np.ndarray, "h w"]
    """Metres along the optical axis at each pixel's own time; infinite in the sky."""
    kind: UInt8[np.ndarray, "h w"]
    pose: Float[np.ndarray, "4 4"]
    """world_from_vehicle at ``pose_time``."""
    linear: Float[np.ndarray, "3"]
    angular: Float[np.ndarray, "3"]
    pose_time: float
    shutter: float
    trigger: float
    done: float
    label: Segmentation | None


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A turn of one laser."""

    laser: int
    image: Float32[np.ndarray, "beams columns 4"]
    """Range, intensity, elongation, inside a no-label zone; -1 where nothing came back."""
    poses: Float32[np.ndarray, "beams columns 6"] | None
    """Roll, pitch, yaw, x, y, z of the vehicle in the world when each pixel was measured."""
    kind: UInt8[np.ndarray, "beams columns"]
    """What was hit, for tests; in no file."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """All that belongs to one timestamp."""

    timestamp: int
    pose: Float[np.ndarray, "4 4"]
    pictures: tuple[Picture, ...]
    scans: tuple[Scan, ...]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A segment."""

    context: str
    cameras: tuple[CameraModel, ...]
    lasers: tuple[LaserModel, ...]
    frames: tuple[Moment, ...]


def record(plan: Plan) -> Recording:
    """Drive through the world of a segment and record it."""
    street = world.build(plan.seed, plan.context, _STOPS)
    here = street.stops[_STOP]
    extras.scatter(street, here - 2, here + 45)
    scene = Scene(world.around(street, _STOP, behind=_BEHIND), street.light)
    drive = ride(plan, street)
    cameras = waymo_rig.cameras(plan.seed, plan.context, plan.width, plan.height, plan.towards)
    lasers = waymo_rig.lasers(plan.seed, plan.context, plan.columns)
    frames = tuple(
        Moment(
            timestamp=plan.timestamp(number),
            pose=drive.pose(SPIN * number + _MIDDLE),
            pictures=tuple(_picture(plan, scene, drive, cameras, camera, number) for camera in cameras),
            scans=tuple(_scan(plan, scene, drive, laser, number) for laser in lasers),
        )
        for number in range(plan.frames)
    )
    return Recording(context=plan.context, cameras=cameras, lasers=lasers, frames=frames)


def ride(plan: Plan, street: world.World) -> Ride:
    """A drive that ends a little behind the stop, where the road ahead is free."""
    rng = stream(plan.seed, "miniature waymo ride", plan.context)
    speed, acceleration = rng.uniform(7, 12), rng.uniform(-0.8, 0.8)
    seconds = SPIN * plan.frames
    end = street.stops[_STOP] + 5
    phases = rng.uniform(0, 6.28, 3)
    where = (*(rng.choice([-1, 1], 2) * rng.uniform(2e3, 9e3, 2)), rng.uniform(-40, 120))
    return Ride(
        path=street.path, start=float(end - speed * seconds - acceleration * seconds**2 / 2), speed=float(speed),
        acceleration=float(acceleration), phases=(float(phases[0]), float(phases[1]), float(phases[2])),
        world_from_street=waymo_rig.placed(float(rng.uniform(-np.pi, np.pi)), 0.0, 0.0, where),
    )  # fmt: skip


def _exposed(drive: Ride, camera: CameraModel, second: float) -> Rays:
    """The rays of a frame, each from where the camera was when its column was read."""
    x, y = np.arange(camera.width), np.arange(camera.height)
    street_from_world = np.linalg.inv(drive.world_from_street)
    origins, directions = [], []
    for columns, rows in ((x + 0.5, y + 0.5), (np.arange(camera.width + 1.0), np.arange(camera.height + 1.0))):
        poses = drive.poses(second + camera.moments(columns))
        poses = np.stack([street_from_world @ pose @ camera.vehicle_from_camera for pose in poses])
        grid_y, grid_x = np.meshgrid(rows, columns, indexing="ij")
        each = np.tile(np.arange(len(columns)), len(rows))
        origins.append(poses[each, :3, 3])
        directions.append(waymo_rig.rotate(poses[each], camera.rays(grid_x.ravel(), grid_y.ravel())))
    return Rays(np.concatenate(origins).astype(np.float32), np.concatenate(directions).astype(np.float32))


def _picture(
    plan: Plan, scene: Scene, drive: Ride, cameras: tuple[CameraModel, ...], camera: CameraModel, number: int
) -> Picture:
    name, start, absolute = plan.picture(number, camera.name), SPIN * number, plan.timestamp(number) / 1e6
    pose = drive.pose(start + camera.delay)
    linear, angular = drive.velocity(start + camera.delay)
    focal_u, focal_v, centre_u, centre_v = camera.intrinsic[:4]
    pinhole = np.array([[focal_u, 0, centre_u - 0.5], [0, focal_v, centre_v - 0.5], [0, 0, 1]])
    rays = _exposed(drive, camera, start)
    seen = scene.view(pinhole, (camera.height, camera.width), pose, name, traced=rays)
    label = _label(seen, cameras, camera) if number in plan.labelled else None
    return Picture(
        name=name, camera=camera.name, rgb=seen.rgb, depth=seen.depth, kind=seen.kind, pose=pose, linear=linear,
        angular=angular, pose_time=absolute + camera.delay, shutter=camera.shutter, trigger=absolute + camera.trigger,
        done=absolute + camera.trigger + camera.shutter + READOUT, label=label,
    )  # fmt: skip


def _label(seen: View, cameras: tuple[CameraModel, ...], camera: CameraModel) -> Segmentation:
    ids = np.array([IDS[kind] if kind not in INDOOR else 0 for kind in KINDS], np.int64)[seen.kind]
    ridden = np.isin(seen.kind, [KINDS.index("ridden bicycle"), KINDS.index("ridden motorcycle")])
    thing = seen.instance - ridden  # roadside.traffic numbers the rider first, then what is ridden: here they are one
    key = np.where(np.isin(ids, COUNTED), 32 * thing.astype(np.int64) + ids, 0)
    everywhere, local = np.unique(np.concatenate([[0], key.ravel()]), return_inverse=True)
    panoptic = DIVISOR * ids + local[1:].reshape(ids.shape)
    return Segmentation(
        panoptic=panoptic.astype(np.uint16), local=tuple(range(1, len(everywhere))),
        everywhere=tuple(int(k) for k in everywhere[1:]), covered=_covered(cameras, camera),
    )  # fmt: skip


def _covered(cameras: tuple[CameraModel, ...], camera: CameraModel) -> UInt8[np.ndarray, "h w"]:
    """How many cameras look along the ray of each pixel, the camera itself included."""
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = waymo_rig.rotate(camera.vehicle_from_camera[None], camera.rays(columns.ravel(), rows.ravel()))
    count = np.ones(rows.size, np.uint8)
    for other in cameras:
        if other is not camera:
            x, y, z = waymo_rig.rotate(np.linalg.inv(other.vehicle_from_camera)[None], rays).T
            ahead = np.maximum(x, 1e-3)
            focal_u, focal_v, centre_u, centre_v = other.intrinsic[:4]
            u, v = centre_u - focal_u * y / ahead, centre_v - focal_v * z / ahead
            count += (x > 0.1) & (u >= 0) & (u < other.width) & (v >= 0) & (v < other.height)
    return count.reshape(rows.shape)


def _scan(plan: Plan, scene: Scene, drive: Ride, laser: LaserModel, number: int) -> Scan:
    """A turn of a laser; only the top one tells how the vehicle moved meanwhile."""
    rng = stream(plan.seed, "miniature waymo lidar", plan.context, number, laser.name)
    beams, columns = laser.shape
    top = laser.name == waymo_rig.TOP
    share = (np.arange(columns) + 0.5) / columns if top else np.full(columns, 0.5)
    six = drive.six(SPIN * (number + share))
    street_from_world = np.linalg.inv(drive.world_from_street)
    poses = np.stack([street_from_world @ pose for pose in waymo_rig.matrices(six)])[np.tile(np.arange(columns), beams)]
    rays, centre = laser.directions(), laser.vehicle_from_laser[:3, 3]
    origins = waymo_rig.rotate(poses, np.broadcast_to(centre, rays.shape)) + poses[:, :3, 3]
    near = 1.2 if top else 0.4
    found = lidar.cast(scene, origins, waymo_rig.rotate(poses, rays), far=laser.far, near=near, rng=rng)
    back = found.hit & (top | (rays[:, 0] > -0.05))  # the vehicle itself hides what is behind the laser in its bumper
    image = np.full((beams * columns, 4), -1, np.float32)
    image[back, 0] = np.round(found.range[back] * 128) / 128  # a multiple of a power of two: such floats compress
    image[back, 1] = np.round(found.intensity[back] * 64) / 64
    image[back, 2:] = 0
    return Scan(
        laser=laser.name, image=image.reshape(beams, columns, 4), kind=found.kind.reshape(laser.shape),
        poses=np.broadcast_to(six.astype(np.float32), (beams, columns, 6)) if top else None,
    )  # fmt: skip

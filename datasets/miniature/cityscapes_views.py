"""What the miniature Cityscapes shows: the worlds as stereo snippets with the names, ids and calibration of Cityscapes.

A city is one world. Each labelled frame is the 20th of a 30-frame snippet; a few of its views are written as pictures.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int32, UInt8

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature.engine.render import Hood, Scene, View
from wsss.datasets.miniature.engine.shapes import BROADER, KINDS
from wsss.datasets.miniature.files import SizeName
from wsss.datasets.miniature.streets import drive, world

FRAMES, LABELLED = 30, 19
"""Frames of a snippet, and the index of the labelled one."""

IDS = {
    "sky": 23, "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28,
    "train": 31, "motorcycle": 32, "bicycle": 33, "parking": 9, "static": 4, "dynamic": 5, "trailer": 30,
    "ego vehicle": 1,
}  # fmt: skip
"""Official label ids of what the worlds hold."""
COUNTED = frozenset(range(24, 34))
"""Ids with instances."""

_TRAIN = (
    "aldenbruck", "barnfeld", "corvenau", "dornhagen", "eschwalde", "falkmoor", "grenztal", "hohenrode", "ilmenau-ost",
    "jarlsburg", "kestrin", "lindwerth", "marbeck", "nordhain", "oberlund", "pfalzow", "quellstadt", "rehmsdorf",
    "steinfurth", "tannroda", "ulmenfeld", "vossberg", "wielenau", "zeltheim",
)  # fmt: skip
_VAL = (
    "amselgrund", "birkhold", "drachenau", "ellerbek", "finsterau", "galgenried",
    "havelsund", "krahnberg", "lohmark", "muldental", "rosskamp", "weidenfurt",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How large a miniature is."""

    width: int
    height: int
    train: int
    """Cities."""
    val: int
    """Cities."""
    stops: int
    """Labelled frames in a city."""
    views: tuple[int, ...]
    """Indices of a snippet's frames that are written as pictures."""


SHAPES: dict[SizeName, Size] = {
    "full": Size(256, 128, 24, 12, 4, (15, 17, 19, 21, 23)),
    "half": Size(256, 128, 12, 12, 4, (15, 17, 19, 21, 23)),
    "tiny": Size(128, 64, 4, 2, 2, (17, 19, 21)),
}


@dataclass(frozen=True)
class Snippet:
    """A labelled frame and the 29 around it."""

    split: Literal["train", "val"]
    city: str
    sequence: int
    frame: int
    """Number of the labelled frame in the file names."""
    stop: int
    """Which of the world's places it shows."""

    def name(self, index: int = LABELLED) -> str:
        """``{city}_{sequence}_{frame}`` of the frame at that index."""
        return f"{self.city}_{self.sequence:06}_{self.frame - LABELLED + index:06}"


@dataclass(frozen=True)
class Spec:
    """Everything that decides the content of a miniature."""

    size: SizeName
    seed: int
    snippets: tuple[Snippet, ...]


@dataclass(frozen=True)
class Rendered:
    """A view with labels in the numbers of Cityscapes."""

    rgb: UInt8[np.ndarray, "h w 3"]
    depth: Float[np.ndarray, "h w"]
    """z in metres; infinite in the sky."""
    label_ids: UInt8[np.ndarray, "h w"]
    instance_ids: Int32[np.ndarray, "h w"]
    """The label id, or 1000 times it plus a number for what is counted."""
    intrinsics: Float[np.ndarray, "3 3"]
    world_from_camera: Float[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Calibration:
    """The fields of ``camera.json`` in radians and metres; the vehicle's axes are x forward, y left, z up."""

    fx: float
    fy: float
    u0: float
    v0: float
    baseline: float
    pitch: float
    roll: float
    yaw: float
    x: float
    y: float
    z: float

    @property
    def intrinsics(self) -> Float[np.ndarray, "3 3"]:
        """Camera matrix."""
        return np.array([[self.fx, 0, self.u0], [0, self.fy, self.v0], [0, 0, 1]], np.float64)

    @property
    def vehicle_from_camera(self) -> Float[np.ndarray, "4 4"]:
        """From OpenCV's camera axes."""
        (cr, sr), (cp, sp), (cy, sy) = ((np.cos(a), np.sin(a)) for a in (self.roll, self.pitch, self.yaw))
        about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
        about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        result = np.eye(4)
        result[:3, :3] = about_z @ about_y @ about_x @ np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
        result[:3, 3] = self.x, self.y, self.z
        return result


def spec(size: SizeName = "full", seed: int = 0) -> Spec:
    """The snippets of a miniature. Every fourth city is one long sequence, elsewhere each stop has its own number."""
    shape, snippets = SHAPES[size], []
    splits: dict[Literal["train", "val"], tuple[str, ...]]
    splits = {"train": _TRAIN[: shape.train], "val": _VAL[: shape.val]}
    for split, cities in splits.items():
        for number, city in enumerate(cities):
            rng = stream(seed, "miniature cityscapes", city)
            frame = 294
            for stop in range(shape.stops):
                long = number % 4 == 1
                snippets.append(Snippet(split, city, 0 if long else stop, frame if long else LABELLED, stop))
                frame += int(rng.integers(60, 130))
    return Spec(size, seed, tuple(snippets))


def calibration(spec: Spec, city: str) -> Calibration:
    """The camera of a city's recording vehicle."""
    rng, scale = stream(spec.seed, "miniature camera", city), SHAPES[spec.size].width / 2048
    u0, v0 = 1096.98 + rng.uniform(-30, 30), 513.14 + rng.uniform(-20, 20)
    values = {
        "fx": 2262.52 * scale, "fy": 2265.30 * scale, "u0": (u0 + 0.5) * scale - 0.5, "v0": (v0 + 0.5) * scale - 0.5,
        "baseline": 0.209313, "pitch": 0.038 + rng.uniform(-0.006, 0.006), "roll": rng.uniform(-0.006, 0.006),
        "yaw": rng.uniform(-0.02, 0.01), "x": 1.7, "y": 0.1, "z": 1.22 + rng.uniform(-0.03, 0.03),
    }  # fmt: skip
    return Calibration(**{name: round(float(value), 6) for name, value in values.items()})


@lru_cache(maxsize=2)
def _world(seed: int, city: str, stops: int) -> world.World:
    return world.build(seed, city, stops)


@lru_cache(maxsize=1)
def _scene(seed: int, city: str, stops: int, stop: int) -> Scene:
    street = _world(seed, city, stops)
    return Scene(world.around(street, stop), street.light)


def motion(spec: Spec, snippet: Snippet) -> drive.Motion:
    """How the vehicle moves through a snippet."""
    street = _world(spec.seed, snippet.city, SHAPES[spec.size].stops)
    rng = stream(spec.seed, "miniature drive", snippet.name())
    return drive.snippet(rng, street.path, street.stops[snippet.stop], FRAMES, LABELLED)


def render_view(spec: Spec, snippet: Snippet, view: int) -> Rendered:
    """The frame at index ``view`` of a snippet with its exact depth, labels and pose."""
    size, camera = SHAPES[spec.size], calibration(spec, snippet.city)
    scene = _scene(spec.seed, snippet.city, size.stops, snippet.stop)
    pose = motion(spec, snippet).world_from_vehicle[view] @ camera.vehicle_from_camera
    bonnet = np.eye(4)
    bonnet[:3, 3] = 2.7, 0.0, 0.60
    hood = Hood(camera_from_hood=np.linalg.inv(camera.vehicle_from_camera) @ bonnet, radii=(1.25, 0.95, 0.31))
    seen = scene.view(camera.intrinsics, (size.height, size.width), pose, snippet.name(view), hood)
    # things of rooms, which no street holds, would be 0, unlabeled
    labels = np.array([IDS.get(BROADER.get(kind, kind), 0) for kind in KINDS], np.uint8)[seen.kind]
    return Rendered(seen.rgb, seen.depth, labels, _number(labels, seen), camera.intrinsics, pose)


def _number(labels: np.ndarray, seen: View) -> Int32[np.ndarray, "h w"]:
    """Instances counted from 0 in each picture and class, as the dataset encodes them."""
    result = labels.astype(np.int32)
    for label in COUNTED.intersection(np.unique(labels).tolist()):
        mask = labels == label
        _, rank = np.unique(seen.instance[mask], return_inverse=True)
        result[mask] = 1000 * label + rank
    return result

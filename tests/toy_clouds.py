"""A dataset of pictures on a plain, whose depth is a formula, and a source of points made from it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from toy import SIZE, Toy

from wsss.benchmark import Frame, Scene
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry.clouds import UPWARDS, ViewPoints, assemble
from wsss.benchmark.randomness import stream
from wsss.benchmark.types import Camera, Sweep

INTRINSICS = np.array([[40.0, 0, 31.5], [0, 40.0, 23.5], [0, 0, 1]])
LEVEL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""world_from_camera of a camera that looks along +x."""


def wall(step: float = 0.5) -> np.ndarray:
    """Points of a wall across the way, 12 m ahead of the world's origin, 20 m wide and 6 m high."""
    y, z = np.meshgrid(np.arange(-10, 10, step), np.arange(-1, 5, step))
    return np.stack([np.full(y.size, 12.0), y.ravel(), z.ravel()], -1)


class Driven(Toy):
    """Toy's pictures from a car that drives 1 m per frame towards a wall, the last frame unlabelled; with a sensor."""

    title = "Driven"
    sources = frozenset({"video", "poses", "lidar"})

    def scenes(self, split):
        found = []
        for scene in super().scenes(split):
            *labelled, last = scene.frames
            found.append(Scene(id=scene.id, frames=(*labelled, Frame(id=last.id, image=last.image, labelled=False))))
        return found

    def dense(self, frame: Frame) -> np.ndarray | None:
        return super().dense(frame) if frame.labelled else None

    def pose(self, index):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = LEVEL, (float(index), 0.0, 1.5)
        return pose

    def cameras(self, scene):
        return tuple(
            Camera(intrinsics=INTRINSICS, world_from_camera=self.pose(index)) for index in range(len(scene.frames))
        )

    def sweep(self, scene: Scene, index: int) -> Sweep | None:
        return Sweep(xyz=wall(), origin=self.pose(index)[:3, 3], in_world=True)


@dataclass(frozen=True, kw_only=True)
class Scattered:
    """Points at random depths of every ``every``-th pixel, and some that no frame saw."""

    VERSION: ClassVar[int] = 1

    every: int = 3
    context: int = 200
    broken: str = ""
    """A scene that fails."""

    def points(self, dataset, scene):
        if scene.id == self.broken:
            raise Unsupported("this scene is too dark")
        rng = stream(0, "scattered", scene.id)
        views = []
        for index in range(len(scene.frames)):
            flat = np.arange(0, SIZE[0] * SIZE[1], self.every)
            pixel = np.stack(np.divmod(flat, SIZE[1]), 1).astype(np.int32)
            xyz = rng.normal((index, 0, 0), (1, 3, 1), (len(flat), 3))
            views.append(ViewPoints(frame=index, xyz=xyz, pixel=pixel, confidence=rng.uniform(1, 9, len(flat))))
        around = rng.uniform(-20, 20, (self.context, 3))
        none = np.full((self.context, 2), -1, np.int32)
        grey = np.full((self.context, 3), 128, np.uint8)
        views.append(ViewPoints(frame=-1, xyz=around, pixel=none, confidence=np.ones(self.context), rgb=grey))
        return assemble(dataset, scene, views, up=UPWARDS, metric=True)


def driven(folder):
    """The dataset in a folder of its own."""
    root = folder / "driven"
    root.mkdir(parents=True, exist_ok=True)
    return Driven(root)

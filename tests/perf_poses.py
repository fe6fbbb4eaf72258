"""Measures estimated poses against true ones, and what comes of them on a real drive; prints docs/poses.md's tables.

Run as ``python tests/perf_poses.py --data FOLDER`` with full-size miniatures below FOLDER, which ``wsss data
--miniature`` builds. Their true poses are hidden from the estimation.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from time import process_time

import cv2
import kitti_raw
import numpy as np
from test_poses import deviation, world

from wsss.benchmark import discovery
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.geometry import poses
from wsss.benchmark.geometry._poses_pycolmap import installed
from wsss.benchmark.geometry.providers import plane_sweep
from wsss.benchmark.types import Scene

CASES = (("kitti360", 1.0), ("waymo", 1.0), ("cityscapes", 1.0), ("kitti360", 0.5), ("waymo", 0.5), ("cityscapes", 0.5))
WRONG = 0.05, 2.0
"""Share of the path and degrees from which a placement counts as wrong."""


class Hidden(Dataset):
    """The front camera of a dataset that keeps its poses for itself, in smaller pictures."""

    title = "Hidden"

    def __init__(self, dataset, size, split):
        super().__init__(dataset.root)
        self.dataset, self.size, self.split = dataset, size, split

    def scenes(self, split):
        return [self.front(scene) for scene in self.dataset.scenes(split)]

    def front(self, scene):
        return Scene(id=scene.id, frames=tuple(one for one in scene.frames if one.camera in ("", "FRONT")))

    def true(self, scene):
        (whole,) = (one for one in self.dataset.scenes(self.split) if one.id == scene.id)
        pairs = zip(whole.frames, self.dataset.cameras(whole), strict=True)
        return [camera for frame, camera in pairs if frame.camera in ("", "FRONT")]

    def dense(self, frame):
        return None

    def image(self, frame):
        whole = self.dataset.image(frame)
        small = cv2.resize(whole, None, fx=self.size, fy=self.size, interpolation=cv2.INTER_AREA)
        return whole if self.size == 1 else np.asarray(small)

    def cameras(self, scene):
        shrink = np.array([[self.size, 0, self.size / 2 - 0.5], [0, self.size, self.size / 2 - 0.5], [0, 0, 1]])
        every = self.true(scene)
        return tuple(one and replace(one, intrinsics=shrink @ one.intrinsics, world_from_camera=None) for one in every)


def miniature(root, name, size, split, count, by):
    """A row: share of frames placed, median and worst error of path and rotation, wrong pieces, seconds per frame."""
    dataset = Hidden(discovery.dataset(name)(root / name), size, split)
    scenes = dataset.scenes(split)
    errors, frames, done, wrong, took = [], 0, 0, 0, 0.0
    for k in np.unique(np.linspace(0, len(scenes) - 1, count).astype(int)):
        start = process_time()
        found = poses.placed(dataset, scenes[k], by=by)
        took += process_time() - start
        frames, done = frames + len(found.cameras), done + len(found.cameras) - len(found.failed)
        true = [None if one is None else one.world_from_camera for one in dataset.true(scenes[k])]
        for piece in set(found.piece) - {-1}:
            both = [i for i, own in enumerate(true) if own is not None and found.piece[i] == piece]
            if len(both) > 1:
                errors.append(deviation(world(found.cameras[i] for i in both), [true[i] for i in both]))
                wrong += errors[-1][0] > WRONG[0] or errors[-1][1] > WRONG[1]
    path, turn = np.array(errors or [(np.nan, np.nan)]).T
    return (
        f"{done} of {frames} | {np.median(path):.2%} | {path.max():.2%} | {np.median(turn):.2f} | {turn.max():.2f} | "
        f"{wrong} of {len(errors)} | {took / frames:.2f}"
    )


def drive(by):
    """A row: who placed, error, AbsRel, delta1, factor to metres, points compared, seconds."""
    dataset, start = kitti_raw.KittiRaw(), process_time()
    placement = poses.placed(dataset, dataset.drive, by=by)
    took = process_time() - start
    plane_sweep.placed = lambda *_: placement
    cloud = plane_sweep.PlaneSweep().points(dataset, dataset.drive)
    absrel, delta, factor, count = kitti_raw.against_lidar(dataset, cloud, placement)
    return (
        f"{placement.method} | {len(placement.failed)} | {placement.error:.2f} | {absrel:.3f} | {delta:.3f} | "
        f"{factor:.3f} | {count:,} | {took:.0f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of full-size miniatures")
    parser.add_argument("--split", default="val", help="whose scenes; the thresholds were chosen on those of train")
    parser.add_argument("--scenes", type=int, default=6, help="scenes per miniature")
    arguments = parser.parse_args()
    for by in ("opencv", "pycolmap") if installed() else ("opencv",):
        if kitti_raw.FOLDER.is_dir():
            print(f"KITTI raw | {by} | {drive(by)}", flush=True)
        for name, size in CASES if arguments.data else ():
            row = miniature(arguments.data, name, size, arguments.split, arguments.scenes, by)
            print(f"| {name} | {size} | {by} | {row} |", flush=True)


if __name__ == "__main__":
    main()

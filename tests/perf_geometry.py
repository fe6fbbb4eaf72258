"""Measures plane-sweep stereo against known depth; prints the tables of docs/geometry.md.

Run as ``python tests/perf_geometry.py --data FOLDER`` with full-size miniatures below FOLDER, which ``wsss data
--miniature`` builds; without it only what needs no data is measured. The Motorcycle pair is in scikit-image's wheel.
"""

import argparse
from pathlib import Path
from time import process_time

import cv2
import numpy as np
import skimage.data
from scipy.stats import rankdata

from wsss.benchmark import discovery
from wsss.benchmark.geometry.clouds import around_labels
from wsss.benchmark.geometry.poses import placed
from wsss.benchmark.geometry.providers import plane_sweep
from wsss.benchmark.geometry.providers.plane_sweep import PlaneSweep
from wsss.benchmark.geometry.sweep_stereo import Settings, View, reconstruct
from wsss.benchmark.geometry.true_depth import read_truth
from wsss.benchmark.randomness import stream

Result = tuple[float, str, float | None]  # a number, its unit, and what the baseline reaches
DATASETS = ("kitti360", "waymo", "cityscapes", "nyuv2")


def auroc(confidence, right):
    """How often a right pixel is ranked above a wrong one."""
    rank, positive = rankdata(confidence), int(right.sum())
    return (rank[right].sum() - positive * (positive + 1) / 2) / (positive * (len(right) - positive))


def motorcycle(scale, settings):
    """Density, share off by more than two pixels, AUROC and seconds on a pair of real pictures."""
    left, right, disparity = skimage.data.stereo_motorcycle()
    size = (round(741 * scale), round(500 * scale))
    images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (left, right)]
    disparity = scale * cv2.resize(disparity, size, interpolation=cv2.INTER_NEAREST)
    focal, offset, baseline = 994.978 * scale, 31.086 * scale, 0.193001
    first = np.array([[focal, 0, 311.193 * scale], [0, focal, 254.877 * scale], [0, 0, 1]])
    second = first + np.array([[0, 0, offset], [0, 0, 0], [0, 0, 0]])
    other = np.eye(4)
    other[0, 3] = baseline
    pair = [
        View(image=images[0], intrinsics=first, world_from_camera=np.eye(4)),
        View(image=images[1], intrinsics=second, world_from_camera=other),
    ]
    start = process_time()
    found = reconstruct(pair, settings)[0]
    took = process_time() - start
    assert found is not None
    known = np.isfinite(disparity)
    good = np.abs(focal * baseline / found.depth - offset - disparity) < 2
    density, bad = found.mask[known].mean(), 1 - good[found.mask & known].mean()
    return density, bad, auroc(found.confidence[known], good[known]), took


def plane_sweep_stereo() -> Result:
    """Depth of five views of 192 x 320 by plane sweeping, 64 planes; compilation apart, target 3 s"""
    picture = stream(0, "perf").integers(0, 255, (192, 400, 3)).astype(np.uint8)
    views = []
    for k in range(5):
        pose = np.eye(4)
        pose[0, 3] = 0.2 * k
        view = np.ascontiguousarray(picture[:, 8 * k : 8 * k + 320])
        intrinsics = np.array([[250.0, 0, 159.5], [0, 250, 95.5], [0, 0, 1]])
        views.append(View(image=view, intrinsics=intrinsics, world_from_camera=pose))
    reconstruct([views[0], views[1]], Settings(planes=8))
    start = process_time()
    reconstruct(views, Settings())
    return process_time() - start, "s", None


BENCHMARKS = {plane_sweep_stereo.__name__: plane_sweep_stereo}


def miniature(root, name, split, count, camera):
    """Density, share of the kept within 5 % and 10 %, AUROC on all pixels with a depth, and seconds per frame."""
    dataset, provider = discovery.dataset(name)(root / name), PlaneSweep()
    scenes = dataset.scenes(split)
    frames, took = 0, 0.0
    errors, confidences, masks = [], [], []
    for k in np.unique(np.linspace(0, len(scenes) - 1, count).astype(int)):
        scene, start = scenes[k], process_time()
        used = around_labels(scene, provider.frames_per_scene)
        placement = placed(dataset, scene, used)
        for group in plane_sweep._groups(scene, placement, used):
            if scene.frames[group[0]].camera not in ("", camera):
                continue
            pictures = [provider._picture(dataset, scene, placement, index) for index in group]
            depths = reconstruct([picture.view for picture in pictures], provider._settings())
            for index, picture, found in zip(group, pictures, depths, strict=True):
                truth = read_truth(dataset.root, scene.frames[index].id)
                if truth is None or found is None:
                    continue
                row, column = np.clip(np.round(picture.pixel), 0, np.array(truth.shape) - 1).astype(int).T
                true = truth[row.T, column.T]
                known = np.isfinite(true) & picture.inside
                errors.append(np.abs(found.depth[known] / true[known] - 1))
                confidences.append(found.confidence[known])
                masks.append(found.mask[known])
            frames += len(group)
        took += process_time() - start
    if not errors:
        return None
    error, confidence, mask = (np.concatenate(part) for part in (errors, confidences, masks))
    kept = error[mask]
    return mask.mean(), (kept < 0.05).mean(), (kept < 0.1).mean(), auroc(confidence, error < 0.05), took / frames


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of full-size miniatures")
    parser.add_argument("--split", default="val", help="whose scenes; the settings were chosen on those of train")
    parser.add_argument("--scenes", type=int, default=6, help="scenes per miniature")
    arguments = parser.parse_args()
    print(f"5 views of 192 x 320, 64 planes: {plane_sweep_stereo()[0]:.2f} s")
    print("\n| Motorcycle | least confidence | density | off by > 2 px | AUROC | s |\n|---|---:|---:|---:|---:|---:|")
    for scale in (0.5, 1.0):
        for confidence in (0.86, 0.7):
            density, bad, rank, took = motorcycle(scale, Settings(confidence=confidence))
            size = f"{round(741 * scale)} x {round(500 * scale)}"
            print(f"| {size} | {confidence} | {density:.3f} | {bad:.3f} | {rank:.3f} | {took:.2f} |")
    if arguments.data is None:
        return
    print("\n| miniature | density | within 5 % | within 10 % | AUROC | s per frame |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in DATASETS:
        if (arguments.data / name).is_dir():
            values = miniature(arguments.data, name, arguments.split, arguments.scenes, "FRONT")
            row = " | ".join(f"{value:.3f}" for value in values) if values else "no frame had sources | | | |"
            print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()

"""Is the geometry of a dataset right? Checks that a wrong chain of transforms, a wrong axis or a wrong file fails.

They need nothing but the data. On a miniature, whose true depth is known, points are compared with it too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry.cameras import inverse
from wsss.benchmark.geometry.sweeps import Seen, seen
from wsss.benchmark.geometry.true_depth import Depth
from wsss.benchmark.types import Camera, Frame, Scene, Split, Sweep

ROUND_TRIP = 1e-6
FASTEST = 60.0
"""Metres per second; no camera car drives faster in a city."""
SKY = 0.03
"""Share of the points that may show in the sky: leaves, wires, and the label's own imprecision."""
APART = 0.05
"""Median distance to the next point of the following sweep, as a share of the range."""
NEAR = 25.0
"""Metres within which consecutive sweeps are compared."""
TRUTH = {"lidar": (0.02, 0.97), "depth": (0.03, 0.97), "stereo": (0.10, 0.90)}
"""Relative error within which a point agrees with the true depth, and the share of points that must."""
CONTINUOUS = 1.3
"""Ratio of the depths of neighbouring pixels up to which they show one surface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check."""

    check: str
    found: str
    """What was measured, over how much."""
    wanted: str
    good: bool | None
    """None where the data cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A frame with what its range sensor saw."""

    frame: Frame
    camera: Camera
    sweep: Sweep
    seen: Seen
    labels: np.ndarray | None
    size: tuple[int, int]


def check(
    dataset: Dataset, split: Split, scenes: int = 12, frames: int = 4, truth: Depth | None = None
) -> list[Finding]:
    """Check the geometry of some scenes of a split, spread evenly.

    Args:
        dataset: Which.
        split: Whose scenes.
        scenes: How many of them.
        frames: How many frames of each, consecutive ones around a labelled frame.
        truth: The true depth, where it is known.

    Raises:
        DatasetError: A file is damaged or missing.
    """
    every = dataset.scenes(split)
    chosen = [every[i] for i in np.unique(np.linspace(0, len(every) - 1, scenes).astype(int))]
    found = [*_poses(dataset, chosen)]
    if not dataset.sources & set(TRUTH):
        return [*found, Finding(check="range sensor", found=f"{dataset.title} has none", wanted="", good=None)]
    views = [list(_views(dataset, scene, frames)) for scene in chosen]
    together = [view for group in views for view in group]
    if not together:
        return [*found, Finding(check="range sensor", found="no frame with a sweep", wanted="at least one", good=False)]
    found.append(_sky(dataset, together))
    found.append(_follow(views))
    if truth is not None:
        found.append(_true(dataset, together, truth))
    return found


def _views(dataset: Dataset, scene: Scene, count: int) -> Iterator[_View]:
    """Frames of one camera of a scene around its first labelled frame, with their sweeps."""
    start = next(index for index, frame in enumerate(scene.frames) if frame.labelled)
    camera_name = scene.frames[start].camera
    indices = [i for i, frame in enumerate(scene.frames) if frame.camera == camera_name]
    place = max(0, min(indices.index(start), len(indices) - count))
    cameras = dataset.cameras(scene)
    for index in indices[place : place + count]:
        frame, camera = scene.frames[index], cameras[index]
        try:
            sweep = dataset.sweep(scene, index)
        except Unsupported:  # this copy lacks the sensor's files
            return
        if sweep is None or camera is None:
            continue
        image = dataset.image(frame)
        size = (image.shape[0], image.shape[1])
        labels = dataset.dense(frame)
        yield _View(frame=frame, camera=camera, sweep=sweep, seen=seen(sweep, camera, size), labels=labels, size=size)


def _poses(dataset: Dataset, scenes: Sequence[Scene]) -> Iterator[Finding]:
    """Poses are rigid, chain back to where they began, and no camera flies."""
    if "poses" not in dataset.sources:
        yield Finding(check="poses", found=f"{dataset.title} gives none", wanted="", good=None)
        return
    bent, drift, count = 0.0, 0.0, 0
    speeds: list[float] = []
    for scene in scenes:
        known: dict[str, list[tuple[Frame, np.ndarray]]] = {}
        for frame, camera in zip(scene.frames, dataset.cameras(scene), strict=True):
            if camera is not None and camera.world_from_camera is not None:
                known.setdefault(frame.camera, []).append((frame, camera.world_from_camera))
        for chain in known.values():
            count += len(chain)
            bent = max(bent, *(float(np.abs(pose[:3, :3] @ pose[:3, :3].T - np.eye(3)).max()) for _, pose in chain))
            drift = max(drift, _drift([pose for _, pose in chain]))
            speeds += _speeds(chain)
    if not count:
        yield Finding(check="poses", found="no frame has one", wanted="at least one", good=False)
        return
    limit = f"at most {ROUND_TRIP:g}"
    yield Finding(check="poses are rigid", found=f"{bent:.1e} ({count} poses)", wanted=limit, good=bent <= ROUND_TRIP)
    yield Finding(check="poses chain back", found=f"{drift:.1e} m", wanted=limit, good=drift <= ROUND_TRIP)
    if not speeds:
        yield Finding(check="speed", found="frames have no time", wanted="", good=None)
        return
    fastest = max(speeds)
    yield Finding(check="speed", found=f"{fastest:.1f} m/s", wanted=f"at most {FASTEST:g}", good=fastest <= FASTEST)


def _drift(poses: list[np.ndarray]) -> float:
    """How far the product of all steps and the way back at once end from the start, in metres."""
    result = inverse(poses[-1]) @ poses[0]
    for a, b in pairwise(poses):
        result = result @ (inverse(a) @ b)
    return float(np.abs(result - np.eye(4)).max()) if len(poses) > 1 else 0.0


def _speeds(chain: list[tuple[Frame, np.ndarray]]) -> list[float]:
    """Metres per second between consecutive frames whose times are known."""
    speeds = []
    for (before, a), (after, b) in pairwise(chain):
        if before.time is not None and after.time is not None and after.time > before.time:
            speeds.append(float(np.linalg.norm(b[:3, 3] - a[:3, 3])) / (after.time - before.time))
    return speeds


def _sky(dataset: Dataset, views: Sequence[_View]) -> Finding:
    """Hardly any point shows where there is no surface."""
    name = "points in the sky"
    empty = [i for i, one in enumerate(dataset.classes.names) if one in dataset.classes.without_surface]
    labelled = [view for view in views if view.labels is not None]
    if not empty or not labelled:
        return Finding(check=name, found="no class without surface, or no labels", wanted="", good=None)
    hits = np.concatenate([_under(view) for view in labelled])
    share = float(np.isin(hits, empty).mean()) if len(hits) else 1.0
    return Finding(check=name, found=f"{share:.2%} of {len(hits):,}", wanted=f"at most {SKY:.0%}", good=share <= SKY)


def _under(view: _View) -> np.ndarray:
    assert view.labels is not None
    return view.labels[view.seen.pixel[:, 0], view.seen.pixel[:, 1]]


def _follow(groups: Sequence[Sequence[_View]]) -> Finding:
    """The points of one sweep lie on those of the next: poses and sensor agree over time."""
    name, apart = "consecutive sweeps coincide", []
    for group in groups:
        for a, b in pairwise(group):
            if not (a.sweep.in_world and b.sweep.in_world) or np.array_equal(a.sweep.origin, b.sweep.origin):
                continue
            shown = a.sweep.xyz[a.seen.point]
            distance = np.linalg.norm(shown - a.sweep.origin, axis=1)
            near = distance < NEAR
            if near.any():
                apart.append(KDTree(b.sweep.xyz).query(shown[near])[0] / distance[near])
    if not apart:
        return Finding(check=name, found="no two sweeps in one world", wanted="", good=None)
    median = float(np.median(np.concatenate(apart)))
    return Finding(
        check=name,
        found=f"{median:.2%} of the range, {len(apart)} pairs",
        wanted=f"at most {APART:.0%}",
        good=median <= APART,
    )


def _true(dataset: Dataset, views: Sequence[_View], truth: Depth) -> Finding:
    """Points that show in the image have the true depth of a pixel next to theirs."""
    sensor = next(name for name in TRUTH if name in dataset.sources)
    tolerance, least = TRUTH[sensor]
    agreeing = [agrees(view.seen, depth, tolerance) for view in views if (depth := truth(view.frame)) is not None]
    every = np.concatenate(agreeing) if agreeing else np.zeros(0, bool)
    share = float(every.mean()) if len(every) else 0.0
    return Finding(
        check=f"true depth within 1 px and {tolerance:.0%}",
        found=f"{share:.2%} of {len(every):,}",
        wanted=f"at least {least:.0%}",
        good=share >= least,
    )


def agrees(points: Seen, depth: Float[np.ndarray, "h w"], tolerance: float) -> Bool[np.ndarray, " n"]:
    """Whether the surface within one pixel of each point's has its depth, to a relative ``tolerance``.

    Pictures sample the depth at pixel centres, which on a road far ahead lie metres apart: where a pixel and its
    neighbour are one surface, which ``CONTINUOUS`` decides, what lies between them counts too.
    """
    padded = np.pad(depth, 1, constant_values=np.inf)
    row, column = points.pixel.T
    here = padded[row + 1, column + 1]
    result = np.zeros(len(points.depth), bool)
    for down in range(3):
        for right in range(3):
            there = padded[row + down, column + right]
            near, far = np.minimum(here, there), np.maximum(here, there)
            one = far <= CONTINUOUS * near
            low, high = np.where(one, near, there), np.where(one, far, there)
            result |= (points.depth >= (1 - tolerance) * low) & (points.depth <= (1 + tolerance) * high)
    return result & np.isfinite(points.depth)

"""One world per scene from a network's chunks, each of which has a world, and perhaps a scale, of its own."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry import clouds
from wsss.benchmark.geometry.clouds import ViewPoints
from wsss.benchmark.geometry.rotations import smallest_turn
from wsss.benchmark.geometry.views import Chunk, halves
from wsss.benchmark.types import Camera, Frame, PointCloud, Scene

LOGGER = logging.getLogger(__name__)

STANDSTILL = 0.1
"""Metres that cameras must lie from their mean for their distances to give a scale."""
APART = 2.0
"""Gap between chunks of unknown relative pose, in diameters of the largest: the view-aware sampling takes points up to
1.5 radii from a view's own, and so never those of another chunk."""

Poses = Float[np.ndarray, "f 4 4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What a network made of one chunk, in the chunk's own world."""

    frames: Chunk
    world_from_camera: Poses
    """Of those frames, as the network sees them."""
    views: tuple[ViewPoints, ...]
    metric: bool
    """Whether the network means metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """x -> scale * rotation @ x + shift."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, "3"]

    def __call__(self, xyz: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """The points in the other world."""
        return self.scale * (xyz @ self.rotation.T) + self.shift


def reconstruct(
    frames: Sequence[Frame], parts: Sequence[Chunk], run: Callable[[Chunk], Reconstruction]
) -> list[Reconstruction]:
    """Run a network over chunks; one that the GPU's memory cannot hold is halved, with a warning in the log.

    Raises:
        Unsupported: Not even one image fits.
    """
    found: list[Reconstruction] = []
    waiting = list(reversed(parts))
    while waiting:
        chunk = waiting.pop()
        if not any(frames[index].labelled for index in chunk):
            continue
        try:
            found.append(run(chunk))
            continue
        except torch.OutOfMemoryError as error:
            if len(chunk) == 1:
                name = frames[chunk[0]].id
                raise Unsupported(f"frame {name} alone does not fit into the GPU's memory; use a larger GPU") from error
        # Outside the handler, whose traceback would keep the tensors of the failed run alive.
        torch.cuda.empty_cache()
        first, second = halves(frames, chunk)
        LOGGER.warning(
            "out of GPU memory with %d images from frame %s on: halved into %d and %d, whose points are reconstructed "
            "apart; set most=%d to choose this for every scene",
            *(len(chunk), frames[chunk[0]].id, len(first), len(second), max(len(first), len(second))),
        )
        waiting += [second, first]
    return found


def together(dataset: Dataset, scene: Scene, found: Sequence[Reconstruction], *, align: bool) -> PointCloud:
    """The cloud of a scene from its chunks.

    Aligned, chunks are laid by a similarity onto the dataset's poses, and one that cannot be is left out with a
    warning. Otherwise, and where the dataset has no poses, the world is the first camera of the first chunk, and
    further chunks stand upright beside it, so far away that no view-aware sample mixes them: as in the paper, which
    reconstructs every chunk alone.
    """
    if not found:
        return clouds.empty(clouds.UPWARDS)
    if align:
        cameras = dataset.cameras(scene)
        if any(camera is not None and camera.world_from_camera is not None for camera in cameras):
            return _aligned(dataset, scene, found, cameras)
        LOGGER.warning("%s gives no poses of scene %s: chunks are kept apart", dataset.title, scene.id)
    views, up = _apart(found)
    return clouds.assemble(dataset, scene, views, up=up, metric=all(part.metric for part in found))


def _aligned(
    dataset: Dataset, scene: Scene, found: Sequence[Reconstruction], cameras: Sequence[Camera | None]
) -> PointCloud:
    views: list[ViewPoints] = []
    for part in found:
        known = [None if (c := cameras[index]) is None else c.world_from_camera for index in part.frames]
        there = [place for place, pose in enumerate(known) if pose is not None]
        targets = [pose for pose in known if pose is not None]
        fit = similarity(part.world_from_camera[there], np.stack(targets), metric=part.metric) if targets else None
        if fit is None:
            LOGGER.warning(
                "scene %s: %d frames from %s on have too few poses, or poses too close together, to be placed",
                *(scene.id, len(part.frames), scene.frames[part.frames[0]].id),
            )
            continue
        views += [replace(view, xyz=fit(view.xyz)) for view in part.views]
    return clouds.assemble(dataset, scene, views, up=clouds.UPWARDS, metric=True)


def similarity(estimated: Poses, known: Poses, *, metric: bool) -> Similarity | None:
    """The similarity that lays estimated cameras onto known ones, after Umeyama (PAMI 1991).

    The cameras' axes count beside their centres: centres on a line, those of a straight drive, leave the roll open.

    Args:
        estimated: world_from_camera by a network.
        known: world_from_camera of the same frames.
        metric: Whether the estimate is in metres, so that a camera that stands still needs no scale.

    Returns:
        None if no camera moves and the estimate is not metric, or if the two paths have nothing in common.
    """
    centres, targets = estimated[:, :3, 3], known[:, :3, 3]
    middle, aim = centres.mean(0), targets.mean(0)
    before, after = centres - middle, targets - aim
    extent = float(np.sqrt((before**2).sum(1).mean())), float(np.sqrt((after**2).sum(1).mean()))
    moves = min(extent) > 0 and extent[1] > STANDSTILL
    if not moves and not metric:
        return None
    agreement = np.einsum("fij,fkj->ik", known[:, :3, :3], estimated[:, :3, :3])
    if moves:
        agreement = agreement + after.T @ before / (extent[0] * extent[1])
    u, _, vt = np.linalg.svd(agreement)
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    scale = float(((before @ rotation.T) * after).sum() / (before**2).sum()) if moves else 1.0
    if scale <= 0:
        return None
    return Similarity(scale=scale, rotation=rotation, shift=aim - scale * rotation @ middle)


def _apart(found: Sequence[Reconstruction]) -> tuple[list[ViewPoints], Float[np.ndarray, "3"]]:
    """The chunks side by side, all with the first one's up, and that up."""
    up = _up(found[0])
    turns = [np.eye(3), *(smallest_turn(_up(part), up) for part in found[1:])]
    turned = [
        [replace(view, xyz=view.xyz @ turn.T) for view in part.views if len(view.xyz)]
        for part, turn in zip(found, turns, strict=True)
    ]
    turned = [part for part in turned if part]
    if len(turned) < 2:
        return [view for part in turned for view in part], up
    side = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    side /= np.linalg.norm(side)
    points = [np.concatenate([view.xyz for view in part]) for part in turned]
    spans = [(float((xyz @ side).min()), float((xyz @ side).max())) for xyz in points]
    gap = APART * max(float(np.linalg.norm(np.ptp(xyz, axis=0))) for xyz in points)
    views: list[ViewPoints] = []
    start = spans[0][0]
    for part, (low, high) in zip(turned, spans, strict=True):
        views += [replace(view, xyz=view.xyz + (start - low) * side) for view in part]
        start += high - low + gap
    return views, up


def _up(part: Reconstruction) -> Float[np.ndarray, "3"]:
    """Against gravity, from cameras that are held level: the mean of their -y axes."""
    mean = -part.world_from_camera[:, :3, 1].mean(0)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 1e-6 else np.array([0.0, -1.0, 0.0])

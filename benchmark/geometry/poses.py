"""Where the cameras of a scene stand: the dataset's poses, or, where it gives none, structure from motion.

Poses are estimated from the pictures alone: SIFT tracks over neighbouring frames, an essential matrix to begin with,
resection and triangulation frame by frame, and bundle adjustment (Hartley and Zisserman, "Multiple View Geometry",
2004, chapters 9 to 12 and 18). What moves is an outlier; the world is taken to stand still.

A scene's frames need not hang together: a video has cuts, and the labelled frames of a room are minutes apart. Each
*piece* that does hang together gets a world of its own, level, and the pieces stand ``APART`` from each other, because
nobody knows how they lie; the neighbourhood of a view never reaches into another piece.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry import _poses_opencv, _poses_pycolmap
from wsss.benchmark.geometry._poses_ground import height
from wsss.benchmark.geometry._poses_growth import Piece
from wsss.benchmark.geometry._poses_pictures import Pictures, pairs, prepared
from wsss.benchmark.geometry._poses_tracks import Tracks, track
from wsss.benchmark.geometry.cameras import inverse
from wsss.benchmark.geometry.clouds import UPWARDS
from wsss.benchmark.geometry.placement import Estimator, Placement, kept
from wsss.benchmark.geometry.rotations import smallest_turn
from wsss.benchmark.geometry.scene_contents import contents
from wsss.benchmark.randomness import seed_of
from wsss.benchmark.types import Camera, Scene, Sweep

LOGGER = logging.getLogger(__name__)
VERSION = 2
"""Raised when the same scene comes to be placed otherwise."""
APART = 1000.0
"""Units between the pieces of a scene, across and level."""
TYPICAL_DEPTH = 10.0
"""Median depth of a piece of unknown scale: about that of a street, so that its units are near a metre."""
UP = np.array([0.0, -1.0, 0.0])
"""Against gravity in the estimated world: the mean of the cameras' own up."""
SCALE_FRAMES = 6
"""Frames of a piece whose measured depths give its scale."""
LEAST_DEPTHS = 20
"""Of tracked points, without which there is no scale."""
LARGEST_SPREAD = 0.1
"""Median absolute logarithm of measured over triangulated depths beyond which a piece's poses are wrong: hardly any
parallax, or a mirror. In the miniature of NYUv2 most right pieces stay below 0.08, most wrong ones are above."""
SHARP_PARALLAX = 4.0
"""Pixels of parallax from which a point's depth is compared with a sensor's."""


def estimator() -> Estimator:
    """Who estimates poses where nobody is named: pycolmap where it is installed."""
    return "pycolmap" if _poses_pycolmap.installed() else "opencv"


def identity(dataset: Dataset) -> str:
    """What estimated poses hang on beside the pictures."""
    return f"poses {VERSION} {estimator()} {dataset.camera_height}"


def placed(
    dataset: Dataset,
    scene: Scene,
    frames: Sequence[int] | None = None,
    *,
    seed: int = 0,
    by: Estimator | None = None,
) -> Placement:
    """Place the cameras of a scene.

    The dataset's own poses are taken as they are, and a frame without one among them stays without. Where there is none
    at all, poses are estimated, once, and kept on disk; a rolling shutter is not modelled then, and frames whose motion
    is in doubt fail. The scale comes from depth that a sensor measured in the camera's own axes, else from the camera's
    height above the ground where the dataset states ``camera_height``; without, it is arbitrary. A frame that no other
    shares its view with stands alone where its scene has no other frame or a sensor gives it points.

    Args:
        dataset: Which.
        scene: One of its scenes.
        frames: Indices of the frames to place, where the pictures of all would take too long; the others fail.
        seed: Of the random samples.
        by: Who estimates poses; None for ``estimator()``. ``Placement.method`` says who did.

    Raises:
        DatasetError: A file is damaged or missing.
        Unsupported: pycolmap is asked for and not installed.
    """
    cameras = dataset.cameras(scene)
    if any(camera is not None and camera.world_from_camera is not None for camera in cameras):
        return _given(cameras, range(len(cameras)) if frames is None else frames)
    chosen = sorted(set(range(len(cameras)) if frames is None else frames))
    by = by or estimator()
    if by == "pycolmap" and not _poses_pycolmap.installed():
        raise Unsupported("pycolmap is not installed; `pip install 'wsss-benchmark[sfm]'` brings it")
    depends = (contents(dataset, scene, measured=False).text, identity(dataset), by, seed, chosen)
    placement = kept(dataset.name, scene, depends, lambda: _estimated(dataset, scene, cameras, chosen, by, seed))
    if lost := [i for i in placement.failed if i in chosen]:
        LOGGER.warning("%s: %d of %d frames could not be placed", scene.id, len(lost), len(chosen))
    return placement


def _estimated(
    dataset: Dataset, scene: Scene, cameras: tuple[Camera | None, ...], chosen: Sequence[int], by: Estimator, seed: int
) -> Placement:
    """Poses from the pictures."""
    number = seed_of(seed, "poses", scene.id) % 2**31
    cv2.setRNGSeed(number)
    pictures = prepared(dataset, scene, cameras, chosen)
    tracks = track(pictures.features, pairs(scene, chosen), pictures.focal if pictures.known else None)
    return _arranged(dataset, scene, cameras, chosen, pictures, _pieces(tracks, pictures, by, number), by)


def _given(cameras: tuple[Camera | None, ...], frames: Sequence[int]) -> Placement:
    """The dataset's own poses."""
    wanted = set(frames)
    kept = tuple(
        camera if i in wanted or camera is None else replace(camera, world_from_camera=None, shutter=None)
        for i, camera in enumerate(cameras)
    )
    failed = tuple(i for i, one in enumerate(kept) if one is None or one.world_from_camera is None)
    piece = tuple(-1 if i in failed else 0 for i in range(len(kept)))
    return Placement(
        cameras=kept, up=UPWARDS.copy(), metric=True, piece=piece, failed=failed, method="dataset", error=None
    )


def _pieces(tracks: Tracks, pictures: Pictures, estimator: Estimator, seed: int) -> list[Piece]:
    """Pieces of what hangs together, the largest first."""
    if estimator == "pycolmap":
        found = _poses_pycolmap.pieces(tracks, pictures.focal, pictures.known, seed)
    else:
        found = _poses_opencv.pieces(tracks, pictures.focal, pictures.known)
    return sorted(found, key=lambda piece: -len(piece.pictures))


def _arranged(
    dataset: Dataset,
    scene: Scene,
    cameras: tuple[Camera | None, ...],
    chosen: Sequence[int],
    pictures: Pictures,
    pieces: Sequence[Piece],
    by: Estimator,
) -> Placement:
    """One world for all pieces."""
    scales = [
        _scale(dataset, scene, chosen, pictures, piece) or _scale_of_height(dataset, scene, piece) for piece in pieces
    ]
    metric = any(scale is not None for scale in scales) or any(_depth(dataset, scene, i) is not None for i in chosen)
    result = [None if one is None else replace(one, world_from_camera=None, shutter=None) for one in cameras]
    number, kept = [-1] * len(cameras), []
    for piece, scale in zip(pieces, scales, strict=True):
        if metric and scale is None:  # lengths that fit to nothing; its frames may yet stand alone
            continue
        poses = _level(piece, TYPICAL_DEPTH / float(np.median(piece.depth)) if scale is None else scale)
        poses[:, 0, 3] += APART * len(kept)
        for place, pose in zip(piece.pictures.tolist(), poses, strict=True):
            camera = _camera(cameras[chosen[place]], pictures, place, piece.focal)
            result[chosen[place]], number[chosen[place]] = replace(camera, world_from_camera=pose), len(kept)
        kept.append(piece)
    alone = max(number) + 1
    for i in chosen:
        camera = result[i]
        if number[i] < 0 and camera is not None and (len(cameras) == 1 or _depth(dataset, scene, i) is not None):
            pose = np.eye(4)
            pose[0, 3] = APART * alone
            result[i], number[i] = replace(camera, world_from_camera=pose), alone
            alone += 1
    return Placement(
        cameras=tuple(result),
        up=UP.copy(),
        metric=metric,
        piece=tuple(number),
        failed=tuple(i for i, one in enumerate(number) if one < 0),
        method="mixed" if by == "pycolmap" and any(piece.replaced for piece in kept) else by,
        error=kept[0].error if kept else None,
    )


def _camera(camera: Camera | None, pictures: Pictures, place: int, focal: float) -> Camera:
    """The frame's camera, or the one that was estimated where none was known."""
    if pictures.known and camera is not None:
        return replace(camera, shutter=None)
    height, width = pictures.sizes[place]
    return Camera(intrinsics=np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]))


def _level(piece: Piece, scale: float) -> Float[np.ndarray, "c 4 4"]:
    """World from camera in the given scale: the cameras' mean up is ``UP``, the first one stands at zero."""
    poses = np.stack([inverse(pose) for pose in piece.camera_from_world])
    up = -poses[:, :3, 1].mean(0)
    up /= np.linalg.norm(up)
    # In the first camera's axes, so that it is only tilted.
    own = poses[0, :3, :3].T
    turn = smallest_turn(own @ up, UP) @ own
    result = np.tile(np.eye(4), (len(poses), 1, 1))
    result[:, :3, :3] = turn @ poses[:, :3, :3]
    result[:, :3, 3] = scale * (poses[:, :3, 3] - poses[0, :3, 3]) @ turn.T
    return result


def _depth(dataset: Dataset, scene: Scene, index: int) -> Sweep | None:
    """What a sensor measured per pixel in the axes of a frame's camera."""
    try:
        sweep = dataset.sweep(scene, index)
    except Unsupported:  # without a sensor the scale stays unknown, which ``metric`` says
        return None
    return None if sweep is None or sweep.in_world or sweep.pixel is None else sweep


def _scale(dataset: Dataset, scene: Scene, chosen: Sequence[int], pictures: Pictures, piece: Piece) -> float | None:
    """Metres per unit of a piece: the median ratio of measured to triangulated depths.

    None for want of depths, or where the two do not fit each other.
    """
    ratios = []
    asked = piece.pictures[np.unique(np.linspace(0, len(piece.pictures) - 1, SCALE_FRAMES).astype(int))]
    for place in asked.tolist():
        sweep = _depth(dataset, scene, chosen[place])
        if sweep is None or sweep.pixel is None:
            continue
        measured = np.full(pictures.sizes[place], np.nan)
        measured[tuple(sweep.pixel.T)] = sweep.xyz[:, 2]
        mine = (piece.picture == place) & (piece.parallax >= SHARP_PARALLAX)
        row, column = np.round(piece.pixel[mine]).astype(int).T
        ratios.append(measured[row, column] / piece.depth[mine])
    found = np.concatenate(ratios) if ratios else np.zeros(0)
    found = found[np.isfinite(found)]
    if len(found) < LEAST_DEPTHS:
        return None
    scale = float(np.median(found))
    spread = float(np.median(np.abs(np.log(found / scale))))
    return scale if spread <= LARGEST_SPREAD else None


def _scale_of_height(dataset: Dataset, scene: Scene, piece: Piece) -> float | None:
    """Metres per unit of a piece whose dataset states how high its camera stands above the road."""
    if dataset.camera_height is None:
        return None
    found = height(piece, seed_of(0, "poses", scene.id))
    return None if found is None else dataset.camera_height / found

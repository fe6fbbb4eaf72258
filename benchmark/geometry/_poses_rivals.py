"""Whether the motion that was found is the only one that explains the pictures.

A step forward and a step to the side with a little turn look alike in a narrow or coarse picture. A solver that took
one for the other ends with errors of half a pixel all the same, so that no residual, inlier count or triangulation
angle tells. Hence *rivals*: the same pictures as if the camera had gone elsewhere, each adjusted until it explains them
as well as it can. The cheapest wins; where one that went elsewhere is not clearly worse, nobody knows.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from wsss.benchmark.geometry._poses_bundle import adjust_points, errors
from wsss.benchmark.geometry._poses_growth import TOLERANCE, Growth, Piece
from wsss.benchmark.geometry._poses_tracks import Tracks
from wsss.benchmark.geometry.cameras import inverse

DIRECTIONS = ((0.0, 0.0, 1.0), (1.0, 0.0, 0.3), (-1.0, 0.0, 0.3), (0.0, 1.0, 0.3), (0.0, -1.0, 0.3))
"""Where rivals go, in the axes of the first camera."""
MOST_TRACKS = 300
"""Tracks, the longest, by which rivals are compared."""
SAME_PATH = 0.05
"""Share of its length by which two paths may differ and be the same."""
SAME_TURN = 2.0
"""Degrees likewise."""
CLEAR = 2.0
"""Standard errors by which a rival must be worse. In training scenes of the miniatures of Cityscapes and KITTI-360,
made two or three times smaller, wrong motions reached 1.6; in full-size ones right motions had 6.7 and more, over all
tracks."""
_ROUNDS = 3


def settled(growth: Growth, other: Growth | None = None) -> Piece | None:
    """The piece with the motion that explains its pictures best.

    Args:
        growth: What was found.
        other: What another way of looking made of the same pictures; without some of them it is no rival.

    Returns:
        None if fewer than two pictures remain, or a different motion explains them about as well.
    """
    pictures = np.flatnonzero(growth.placed)
    if len(pictures) < 2 or not growth.agrees.any():
        return None
    tracks = _longest(growth)
    every = [_seated(tracks, growth, growth.pose[pictures])]
    every += [rival for way in DIRECTIONS if (rival := _rival(every[0], growth, np.array(way))) is not None]
    if other is not None and other.placed[pictures].all():
        every.append(_seated(tracks, growth, other.pose[pictures]))
    costs = [_cost(one) for one in every]
    best = int(np.argmin([cost.sum() for cost in costs]))
    for rival, cost in zip(every, costs, strict=True):
        if _differ(every[best], rival) and _clearness(cost - costs[best]) < CLEAR:
            return None
    replaced = _differ(every[best], every[0])
    if replaced:
        growth.focal = every[best].focal
        growth.seat(pictures, every[best].pose[pictures])
        for _ in range(2):
            growth.adjust(20)
            growth.triangulate()
    piece = growth.result(replaced)
    return piece if len(piece.pictures) >= 2 else None


def _longest(growth: Growth) -> Tracks:
    """The longest tracks of the placed pictures, all of whose observations count, whether they agree or not."""
    tracks = growth.tracks
    rows = np.flatnonzero(growth.placed[tracks.picture])
    length = np.bincount(tracks.point[rows], minlength=tracks.points)
    chosen = np.zeros(tracks.points, bool)
    chosen[np.argsort(-length, kind="stable")[:MOST_TRACKS]] = True
    rows = rows[(chosen & (length >= 2))[tracks.point[rows]]]
    point = np.unique(tracks.point[rows], return_inverse=True)[1]
    return replace(
        tracks,
        picture=tracks.picture[rows],
        point=point,
        plane=tracks.plane[rows],
        pixel=tracks.pixel[rows],
        points=int(point.max(initial=-1)) + 1,
        pairs=(),
    )


def _seated(tracks: Tracks, growth: Growth, camera_from_world: Float[np.ndarray, "c 4 4"]) -> Growth:
    """The pictures of a piece at other poses."""
    result = Growth(tracks, growth.focal, growth.free_focal)
    result.seat(np.flatnonzero(growth.placed), camera_from_world)
    return result


def _rival(first: Growth, growth: Growth, way: Float[np.ndarray, "3"]) -> Growth | None:
    """The same pictures as if the camera had gone ``way``, and turned so that it sees about the same."""
    pictures = np.flatnonzero(first.placed)
    poses = first.pose[pictures]
    centre = -np.einsum("cji,cj->ci", poses[:, :3, :3], poses[:, :3, 3])
    away = np.linalg.norm(centre - centre[0], axis=1)
    moved = centre[0] + away[:, None] * (poses[0, :3, :3].T @ way / np.linalg.norm(way))
    result = np.tile(np.eye(4), (len(pictures), 1, 1))
    for place, picture in enumerate(pictures.tolist()):
        rows = np.flatnonzero((first.tracks.picture == picture) & first.agrees)
        seen = first.point[first.tracks.point[rows]] - moved[place]
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
        ray = np.concatenate([first.tracks.plane[rows] / first.focal, np.ones((len(rows), 1))], 1)
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        turn = nearest_rotation(ray.T @ seen)
        result[place, :3, :3], result[place, :3, 3] = turn, -turn @ moved[place]
    rival = _seated(first.tracks, growth, result)
    for _ in range(_ROUNDS):
        if not rival.agrees.any():
            return None
        rival.adjust(10)
        rival.triangulate()
    return rival


def _cost(growth: Growth) -> Float[np.ndarray, " p"]:
    """What every track costs, in square pixels: all observations count, bad ones alike."""
    rows = np.arange(len(growth.tracks.picture))
    growth.point[:] = np.nan
    growth.intersect(rows)
    bundle, _ = growth.bundle(rows)
    error = np.minimum(errors(adjust_points(bundle, 8)), 2 * TOLERANCE)
    cost = np.where(error < 1, error**2, 2 * error - 1)
    return np.bincount(growth.tracks.point, cost, minlength=growth.tracks.points)


def _clearness(worse: Float[np.ndarray, " p"]) -> float:
    """By how many standard errors the tracks speak against a rival (Vuong, Econometrica 1989)."""
    return float(worse.sum() / max(np.sqrt(len(worse)) * worse.std(), 1e-12))


def _differ(a: Growth, b: Growth) -> bool:
    """Whether two motions are not the same up to a similarity."""
    pictures = np.flatnonzero(a.placed)
    first, second = (np.stack([inverse(pose) for pose in one.pose[pictures]]) for one in (a, b))
    turn = nearest_rotation(np.einsum("cij,ckj->ik", second[:, :3, :3], first[:, :3, :3]))
    left = (first[:, :3, 3] - first[:, :3, 3].mean(0)) @ turn.T
    right = second[:, :3, 3] - second[:, :3, 3].mean(0)
    scale = (left * right).sum() / max((left * left).sum(), 1e-12)
    apart = np.sqrt(((scale * left - right) ** 2).sum(1).mean())
    path = np.linalg.norm(np.diff(right, axis=0), axis=1).sum()
    cosine = (np.einsum("ij,cjk,cik->c", turn, first[:, :3, :3], second[:, :3, :3]) - 1) / 2
    return bool(apart > SAME_PATH * path or cosine.min() < np.cos(np.radians(SAME_TURN)))


def nearest_rotation(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation with the largest inner product with a matrix."""
    u, _, v = np.linalg.svd(matrix)
    return u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v

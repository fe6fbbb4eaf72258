"""Structure from motion with OpenCV: two pictures with parallax begin, the others join one by one."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float

from wsss.benchmark.geometry._poses_growth import LEAST_POINTS, Growth, Piece
from wsss.benchmark.geometry._poses_rivals import settled
from wsss.benchmark.geometry._poses_tracks import Pair, Tracks

START_PARALLAX = 3.0
"""The median that the two first pictures need: a forward drive at 10 Hz has it, a turn on the spot has not."""
ENOUGH_PARALLAX = 20.0
"""More than that makes no better start."""
STARTS = 4
"""Pairs of pictures that are tried as a start."""
TRIAL = 5
"""Pictures with which starts, and guesses of the focal length, are compared."""
CLEARLY = 0.97
"""How many times less a less likely focal length must miss: on a straight drive all are alike."""
FOCAL_GUESSES = (1.15, 0.8, 1.7)
"""Focal lengths to start from where none is known, the likeliest first, as shares of the picture's width: 47, 64 and 33
degrees."""


def pieces(tracks: Tracks, focal: float, known: bool) -> list[Piece]:
    """Everything that hangs together and whose motion is beyond doubt, piece by piece.

    Args:
        tracks: Of all pictures.
        focal: Of the plane; the pictures' width where ``known`` is False, and it is to be found.
        known: Whether the focal length is.
    """
    left = np.ones(tracks.pictures, bool)
    focals = [focal * share for share in ((1.0,) if known else FOCAL_GUESSES)]
    found = []
    while left.sum() >= 2:
        growth = grown(tracks, left, focals, free_focal=not known)
        if growth is None:
            break
        before = growth.placed.copy()
        piece = settled(growth)
        left &= ~(before if piece is None else growth.placed)
        if piece is not None:
            found.append(piece)
    return found


def grown(tracks: Tracks, allowed: Bool[np.ndarray, " f"], focals: Sequence[float], free_focal: bool) -> Growth | None:
    """The largest piece around the best start among the allowed pictures; None if no two of them have parallax.

    Two pictures alone can be mistaken about their motion, above all in a narrow view, where a step forward and one to
    the side look alike: several starts grow a little, and the one that misses least goes on.
    """
    best = None
    for focal in focals:
        start = _best_start(tracks, allowed, focal, free_focal)
        if start is not None and (best is None or start.miss() < CLEARLY * best.miss()):
            best = start
    if best is None:
        return None
    best.run(allowed, tracks.pictures)
    for _ in range(2):
        best.adjust(20)
        best.triangulate()
    return best


def _best_start(tracks: Tracks, allowed: Bool[np.ndarray, " f"], focal: float, free_focal: bool) -> Growth | None:
    """The start that misses least once it has grown a little."""
    best = None
    for pair, relative in _starts(tracks, allowed, focal)[:STARTS]:
        growth = Growth(tracks, focal, free_focal)
        if not growth.begin(pair, relative):
            continue
        growth.run(allowed, TRIAL)
        growth.adjust(10)
        growth.triangulate()
        best = growth if best is None or growth.miss() < best.miss() else best
    return best


def _starts(
    tracks: Tracks, allowed: Bool[np.ndarray, " f"], focal: float
) -> list[tuple[Pair, Float[np.ndarray, "4 4"]]]:
    """Pairs with their relative poses, those with the most points of most parallax first."""
    found = []
    for pair in tracks.pairs:
        if not (allowed[pair.first] and allowed[pair.second]):
            continue
        matrix = np.diag([focal, focal, 1.0]) @ pair.fundamental @ np.diag([focal, focal, 1.0])
        a, b = pair.a / focal, pair.b / focal
        count, turn, shift, _ = cv2.recoverPose(matrix, a, b, np.eye(3))
        if count < LEAST_POINTS:
            continue
        # What a turn of the camera leaves of the motion is parallax.
        before = np.concatenate([a, np.ones((len(a), 1))], 1) @ turn.T
        apart = np.linalg.norm(_unit(before) - _unit(np.concatenate([b, np.ones((len(b), 1))], 1)), axis=1) * focal
        if np.median(apart) >= START_PARALLAX:
            relative = np.eye(4)
            relative[:3, :3], relative[:3, 3] = turn, shift[:, 0]
            found.append((float(np.minimum(apart, ENOUGH_PARALLAX).sum()) * count / len(a), pair, relative))
    found.sort(key=lambda one: -one[0])
    return [(pair, relative) for _, pair, relative in found]


def _unit(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

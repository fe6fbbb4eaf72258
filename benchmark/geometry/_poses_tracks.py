"""Points of the world followed through the pictures of a scene: SIFT, matched in pairs and joined into tracks.

All positions are in the *plane*: (x, y) from the principal point, free of the lens's distortion, scaled to one focal
length for the whole scene, so that its unit is about a pixel. Where intrinsics are unknown they are pixels from the
picture's centre.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

FEATURES = 2000
"""The strongest of a picture."""
RATIO = 0.8
"""Distance to the nearest over that to the second nearest descriptor (Lowe, IJCV 2004, section 7.1)."""
TOLERANCE = 1.5
"""Pixels by which a match may leave its epipolar line."""
LEAST_MATCHES = 16
"""Two pictures with fewer consistent matches are taken to show different things."""
_STILL = 2
"""Grey values within which a pixel counts as the same in all pictures."""
_MARGIN = 4
"""Pixels around such pixels where features would only describe their outline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What one picture offers to matching."""

    pixel: Float[np.ndarray, "n 2"]
    """(row, column)."""
    plane: Float[np.ndarray, "n 2"]
    descriptor: Float[np.ndarray, "n 128"]
    """Unit vectors: the square roots of SIFT's shares (Arandjelovic and Zisserman, CVPR 2012)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two pictures that show the same things."""

    first: int
    second: int
    a: Float[np.ndarray, "n 2"]
    """In the plane of the first."""
    b: Float[np.ndarray, "n 2"]
    fundamental: Float[np.ndarray, "3 3"]
    """Maps the first plane's points to lines of the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Which picture sees which point where: one row per observation."""

    picture: Int[np.ndarray, " m"]
    point: Int[np.ndarray, " m"]
    plane: Float[np.ndarray, "m 2"]
    pixel: Float[np.ndarray, "m 2"]
    """(row, column) in the stored picture."""
    pictures: int
    points: int
    pairs: tuple[Pair, ...]


def changing(pictures: Sequence[UInt8[np.ndarray, "h w"]]) -> UInt8[np.ndarray, "h w"]:
    """Where features are sought, as a mask of 0 and 255: pixels that never change (a border, a logo) show no motion."""
    if len(pictures) < 2:
        return np.full(pictures[0].shape, 255, np.uint8)
    low, high = pictures[0].copy(), pictures[0].copy()
    for picture in pictures[1:]:
        np.minimum(low, picture, out=low)
        np.maximum(high, picture, out=high)
    still = (high - low <= _STILL).astype(np.uint8)
    # A patch without texture stays the same wherever the camera goes; only what has an outline is taken away.
    kernel = np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8)
    return np.where(cv2.dilate(cv2.erode(still, np.ones((3, 3), np.uint8)), kernel) > 0, 0, 255).astype(np.uint8)


def describe(
    picture: UInt8[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 128"]]:
    """The pixels (row, column) and descriptors of a picture's features."""
    # A low threshold: of a small picture every corner is needed, and matching sorts out the weak ones.
    keys, sift = cv2.SIFT.create(FEATURES, contrastThreshold=0.01).detectAndCompute(picture, mask)
    if sift is None or not len(keys):
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    pixel = np.array([key.pt[::-1] for key in keys], np.float64)
    descriptor = np.sqrt(sift / np.maximum(sift.sum(1, keepdims=True), 1e-9))
    return pixel, descriptor.astype(np.float32)


def track(features: Sequence[Features], candidates: Sequence[tuple[int, int]], focal: float | None) -> Tracks:
    """Match pairs of pictures and join what belongs together.

    Args:
        features: Of every picture.
        candidates: The pairs to try.
        focal: Focal length of the plane; None where it is unknown, so that matches are checked without.
    """
    starts = np.cumsum([0, *(len(one.pixel) for one in features)])
    pairs, links = [], []
    for first, second in candidates:
        a, b = _matches(features[first].descriptor, features[second].descriptor)
        kept, fundamental = _consistent(features[first].plane[a], features[second].plane[b], focal)
        if fundamental is None:
            continue
        a, b = a[kept], b[kept]
        plane = features[first].plane[a], features[second].plane[b]
        pairs.append(Pair(first=first, second=second, a=plane[0], b=plane[1], fundamental=fundamental))
        links.append(np.stack([starts[first] + a, starts[second] + b]))
    total = int(starts[-1])
    row, column = np.concatenate(links, 1) if links else np.zeros((2, 0), np.int64)
    _, label = connected_components(coo_matrix((np.ones(len(row), np.int8), (row, column)), (total, total)), False)
    return _joined(features, label, tuple(pairs))


def _joined(features: Sequence[Features], label: np.ndarray, pairs: tuple[Pair, ...]) -> Tracks:
    """Tracks of two pictures or more; those that a picture shows twice are wrong and left out."""
    picture = np.repeat(np.arange(len(features)), [len(one.pixel) for one in features])
    shown = np.unique(np.stack([label, picture], 1), axis=0)
    count = label.max(initial=-1) + 1
    length = np.bincount(label, minlength=count)
    good = (length >= 2) & (length == np.bincount(shown[:, 0], minlength=count))
    rows = np.flatnonzero(good[label]) if count else np.zeros(0, np.int64)
    rows = rows[np.lexsort((picture[rows], label[rows]))]
    point = np.unique(label[rows], return_inverse=True)[1].reshape(-1)
    return Tracks(
        picture=picture[rows],
        point=point,
        plane=np.concatenate([one.plane for one in features])[rows],
        pixel=np.concatenate([one.pixel for one in features])[rows],
        pictures=len(features),
        points=int(good.sum()),
        pairs=pairs,
    )


def _matches(a: Float[np.ndarray, "n 128"], b: Float[np.ndarray, "m 128"]) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are each other's nearest, clearly nearer than the second nearest."""
    if len(a) < 2 or len(b) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    alike = a @ b.T
    back = alike.argmax(0)
    nearest = alike.argmax(1)
    rows = np.arange(len(a))
    best = alike[rows, nearest]
    alike[rows, nearest] = -1
    second = alike.max(1)
    kept = (back[nearest] == rows) & (1 - best < RATIO**2 * (1 - second))
    return rows[kept], nearest[kept]


def _consistent(
    a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "n 2"], focal: float | None
) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, "3 3"] | None]:
    """Which matches agree on one motion between two pictures, and its fundamental matrix; None where too few do."""
    none = np.zeros(len(a), bool), None
    if len(a) < LEAST_MATCHES:
        return none
    if focal is None:
        matrix, mask = cv2.findFundamentalMat(a, b, cv2.FM_RANSAC, TOLERANCE, 0.999, 1000)
    else:
        matrix, mask = cv2.findEssentialMat(
            a / focal, b / focal, np.eye(3), method=cv2.RANSAC, prob=0.999, threshold=TOLERANCE / focal, maxIters=1000
        )
    if matrix is None or matrix.shape != (3, 3) or mask is None or np.count_nonzero(mask) < LEAST_MATCHES:
        return none
    scale = np.diag([1 / focal, 1 / focal, 1.0]) if focal is not None else np.eye(3)
    return mask.reshape(-1) > 0, scale @ matrix @ scale


def by_picture(tracks: Tracks) -> Mapping[int, np.ndarray]:
    """The rows of each picture's observations."""
    order = np.argsort(tracks.picture, kind="stable")
    bounds = np.searchsorted(tracks.picture[order], np.arange(tracks.pictures + 1))
    return {i: order[bounds[i] : bounds[i + 1]] for i in range(tracks.pictures)}

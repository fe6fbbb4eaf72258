"""Structure from motion: two pictures with parallax begin, the others join one by one, bundle adjustment in between."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from wsss.benchmark.geometry._poses_bundle import Bundle, adjust, adjust_points, errors, summed
from wsss.benchmark.geometry._poses_tracks import Pair, Tracks, by_picture

TOLERANCE = 2.5
"""Pixels by which an observation may miss its point."""
LEAST_PARALLAX = 0.2
"""Pixels of parallax below which a point is left out; those with little hold the rotation, not the translation."""
START_PARALLAX = 3.0
"""The median that the two first pictures need: a forward drive at 10 Hz has it, a turn on the spot has not."""
ENOUGH_PARALLAX = 20.0
"""More than that makes no better start."""
LEAST_POINTS = 12
"""Points that a picture must share with those already placed."""
FAR = 300.0
"""Baselines at which a point without depth is put."""
STARTS = 4
"""Pairs of pictures that are tried as a start."""
TRIAL = 5
"""Pictures with which starts, and guesses of the focal length, are compared."""
CLEARLY = 0.97
"""How many times less a less likely focal length must miss: on a straight drive all are alike."""
_GROWTH = 1.3
"""How many times more pictures there are when everything is adjusted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Pictures placed in one world of unknown scale."""

    pictures: Int[np.ndarray, " c"]
    camera_from_world: Float[np.ndarray, "c 4 4"]
    focal: float
    picture: Int[np.ndarray, " m"]
    """Of each observation that agrees with the result."""
    pixel: Float[np.ndarray, "m 2"]
    """(row, column) in the stored picture."""
    depth: Float[np.ndarray, " m"]
    """Along the optical axis."""
    parallax: Float[np.ndarray, " m"]
    """Pixels, of each one's point."""
    error: float
    """Root mean square of the distances between where points should be and where they are, in pixels."""


class Growth:
    """A piece while it grows."""

    def __init__(self, tracks: Tracks, focal: float, free_focal: bool) -> None:
        self.tracks, self.focal, self.free_focal = tracks, focal, free_focal
        self.pose = np.tile(np.eye(4), (tracks.pictures, 1, 1))
        self.placed = np.zeros(tracks.pictures, bool)
        self.point = np.full((tracks.points, 3), np.nan)
        self.agrees = np.zeros(len(tracks.picture), bool)
        self._miss = np.inf
        self._rows = by_picture(tracks)

    def begin(self, pair: Pair, relative: Float[np.ndarray, "4 4"]) -> bool:
        """Place two pictures; False if too few points come of it."""
        self.pose[pair.second] = relative
        self.placed[[pair.first, pair.second]] = True
        self.triangulate()
        if np.count_nonzero(self._known()) < LEAST_POINTS:
            return False
        self.adjust(10)
        self.triangulate()
        return int(np.count_nonzero(self._known())) >= LEAST_POINTS

    def extend(self, allowed: Bool[np.ndarray, " f"]) -> bool:
        """Place the picture that shows most of the points; False when none can be placed."""
        known = self._known()
        rows = np.flatnonzero(known[self.tracks.point])
        shown = np.bincount(self.tracks.picture[rows], minlength=self.tracks.pictures)
        shown[self.placed | ~allowed] = 0
        for picture in np.argsort(-shown, kind="stable").tolist():
            if shown[picture] < LEAST_POINTS:
                return False
            pose = self._resected(picture, known)
            if pose is not None:
                self.pose[picture], self.placed[picture] = pose, True
                self.triangulate()
                return True
        return False

    def _resected(self, picture: int, known: Bool[np.ndarray, " p"]) -> Float[np.ndarray, "4 4"] | None:
        rows = self._rows[picture]
        rows = rows[known[self.tracks.point[rows]]]
        point, plane = self.point[self.tracks.point[rows]], self.tracks.plane[rows] / self.focal
        good, turn, shift, inliers = cv2.solvePnPRansac(
            point, plane, np.eye(3), np.zeros(0),
            iterationsCount=300, reprojectionError=TOLERANCE / self.focal, confidence=0.999, flags=cv2.SOLVEPNP_EPNP,
        )  # fmt: skip
        if not good or inliers is None or len(inliers) < max(LEAST_POINTS, 0.3 * len(rows)):
            return None
        chosen = np.ravel(inliers).astype(np.int64)
        turn, shift = cv2.solvePnPRefineLM(point[chosen], plane[chosen], np.eye(3), np.zeros(0), turn, shift)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(turn)[0], np.ravel(shift)
        return pose if np.isfinite(pose).all() else None

    def run(self, allowed: Bool[np.ndarray, " f"], most: int) -> None:
        """Place pictures until there are ``most``, or none can be placed."""
        adjusted = int(self.placed.sum())
        while self.placed.sum() < most and self.extend(allowed):
            if self.placed.sum() >= _GROWTH * adjusted:
                self.adjust(6)
                self.triangulate()
                adjusted = int(self.placed.sum())

    def miss(self) -> float:
        """Median distance of all observations from where they should be, in pixels.

        The share that fits would mislead: a step to the side explains with some depth what a step forward, of which
        the noise may turn the depths around, does not explain at all.
        """
        return self._miss

    def triangulate(self) -> None:
        """Find every point anew from the placed pictures, and which observations agree with it."""
        rows = np.flatnonzero(self.placed[self.tracks.picture])
        self.point[:] = np.nan
        self.agrees[:] = False
        for attempt in range(2):
            count = np.bincount(self.tracks.point[rows], minlength=self.tracks.points)
            rows = rows[count[self.tracks.point[rows]] >= 2]
            if not len(rows):
                self.point[:] = np.nan
                return
            self._intersect(rows)
            bundle, which = self._bundle(rows)
            bundle = adjust_points(bundle, 3)
            self.point[which] = bundle.point
            error = errors(bundle)
            if attempt == 0:
                self._miss = float(np.median(error))
            rows = rows[error <= TOLERANCE]
        count = np.bincount(self.tracks.point[rows], minlength=self.tracks.points)
        good = (count >= 2) & (self.parallax(rows) >= LEAST_PARALLAX)
        self.point[~good] = np.nan
        self.agrees[rows[good[self.tracks.point[rows]]]] = True

    def _rays(self, rows: Int[np.ndarray, " m"]) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"]]:
        """Unit directions of observations and where they come from, in world axes."""
        pose = self.pose[self.tracks.picture[rows]]
        direction = np.concatenate([self.tracks.plane[rows] / self.focal, np.ones((len(rows), 1))], 1)
        direction = np.einsum("mji,mj->mi", pose[:, :3, :3], direction)
        centre = -np.einsum("mji,mj->mi", pose[:, :3, :3], pose[:, :3, 3])
        return direction / np.linalg.norm(direction, axis=1, keepdims=True), centre

    def _intersect(self, rows: Int[np.ndarray, " m"]) -> None:
        """The points nearest to the rays of their observations."""
        direction, centre = self._rays(rows)
        across = np.eye(3) - direction[:, :, None] * direction[:, None, :]
        which, inverse = np.unique(self.tracks.point[rows], return_inverse=True)
        right = summed(np.einsum("mij,mj->mi", across, centre), inverse, len(which))
        matrix = summed(across, inverse, len(which)) + 1e-9 * np.eye(3)
        point = np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
        # Rays that hardly differ may meet behind the camera: what they show is far away.
        behind = summed((np.einsum("mj,mj->m", point[inverse] - centre, direction) <= 0) * 1.0, inverse, len(which)) > 0
        ahead = summed(direction, inverse, len(which))
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        far = FAR * float(np.ptp(centre, axis=0).max())
        self.point[which] = np.where(behind[:, None], centre.mean(0) + far * ahead, point)

    def parallax(self, rows: Int[np.ndarray, " m"]) -> Float[np.ndarray, " p"]:
        """Pixels by which the directions to each point differ the most from the first one's."""
        result = np.zeros(self.tracks.points)
        if not len(rows):
            return result
        direction, _ = self._rays(rows)
        point = self.tracks.point[rows]  # rows are in order of points
        first = np.searchsorted(point, point)
        apart = np.linalg.norm(direction - direction[first], axis=1) * self.focal
        np.maximum.at(result, point, apart)
        return result

    def adjust(self, steps: int) -> None:
        """Bundle adjustment over the observations that agree."""
        rows = np.flatnonzero(self.agrees)
        bundle, which = self._bundle(rows)
        bundle = adjust(bundle, steps, free_focal=self.free_focal)
        pictures = np.flatnonzero(self.placed)
        self.pose[pictures, :3, :3], self.pose[pictures, :3, 3] = bundle.rotation, bundle.translation
        self.point[which], self.focal = bundle.point, bundle.focal

    def _bundle(self, rows: Int[np.ndarray, " m"]) -> tuple[Bundle, Int[np.ndarray, " p"]]:
        pictures = np.flatnonzero(self.placed)
        which, seen = np.unique(self.tracks.point[rows], return_inverse=True)
        return Bundle(
            rotation=self.pose[pictures, :3, :3],
            translation=self.pose[pictures, :3, 3],
            point=self.point[which],
            focal=self.focal,
            camera=np.searchsorted(pictures, self.tracks.picture[rows]),
            seen=seen,
            plane=self.tracks.plane[rows],
        ), which

    def _known(self) -> Bool[np.ndarray, " p"]:
        return np.isfinite(self.point[:, 0])

    def result(self) -> Piece:
        """What has grown; pictures that lost their points in the end are left out."""
        rows = np.flatnonzero(self.agrees)
        shown = np.bincount(self.tracks.picture[rows], minlength=self.tracks.pictures)
        self.placed &= shown >= LEAST_POINTS
        rows = rows[self.placed[self.tracks.picture[rows]]]
        point = self.point[self.tracks.point[rows]]
        pose = self.pose[self.tracks.picture[rows]]
        depth = np.einsum("mj,mj->m", pose[:, 2, :3], point) + pose[:, 2, 3]
        bundle, _ = self._bundle(rows)
        error = errors(bundle)
        pictures = np.flatnonzero(self.placed)
        return Piece(
            pictures=pictures,
            camera_from_world=self.pose[pictures],
            focal=self.focal,
            picture=self.tracks.picture[rows],
            pixel=self.tracks.pixel[rows],
            depth=depth,
            parallax=self.parallax(rows)[self.tracks.point[rows]],
            error=float(np.sqrt(np.mean(error**2))) if len(error) else np.inf,
        )


def grow(tracks: Tracks, allowed: Bool[np.ndarray, " f"], focals: Sequence[float], free_focal: bool) -> Piece | None:
    """The largest piece around the best start among the allowed pictures; None if no two of them have parallax.

    Two pictures alone can be mistaken about their motion, above all in a narrow view, where a step forward and one to
    the side look alike: several starts grow a little, and the one that misses least goes on.

    Args:
        tracks: Of all pictures.
        allowed: Those that may be used.
        focals: Of the plane: the one, or guesses.
        free_focal: Whether they are guesses, to be improved.
    """
    best = None
    for focal in focals:
        grown = _best_start(tracks, allowed, focal, free_focal)
        if grown is not None and (best is None or grown.miss() < CLEARLY * best.miss()):
            best = grown
    if best is None:
        return None
    best.run(allowed, tracks.pictures)
    for _ in range(2):
        best.adjust(20)
        best.triangulate()
    piece = best.result()
    return piece if len(piece.pictures) >= 2 else None


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

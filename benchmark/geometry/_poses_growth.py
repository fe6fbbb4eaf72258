"""A piece of a scene while it grows: pictures join one by one, with bundle adjustment in between."""

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
LEAST_SHARE = 0.5
"""Of the points that a picture shows, how many it must show where they should be."""
LEAST_POINTS = 12
"""Points that a picture must share with those already placed."""
FAR = 300.0
"""Baselines at which a point without depth is put."""
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
    local: Float[np.ndarray, "m 3"]
    """Each one's point, in the axes of its camera."""
    parallax: Float[np.ndarray, " m"]
    """Pixels, of each one's point."""
    replaced: bool
    """Whether the motion first found was given up for a rival."""
    error: float
    """Root mean square of the distances between where points should be and where they are, in pixels."""

    @property
    def depth(self) -> Float[np.ndarray, " m"]:
        """Of each observation, along the optical axis."""
        return self.local[:, 2]


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

    def seat(self, pictures: Int[np.ndarray, " c"], camera_from_world: Float[np.ndarray, "c 4 4"]) -> None:
        """Place pictures where somebody found that they stand, and find the points from there."""
        self.pose[pictures], self.placed[pictures] = camera_from_world, True
        self.triangulate()

    def drop_strays(self) -> None:
        """Take pictures away that miss most of the points that they show."""
        rows = np.flatnonzero(self.placed[self.tracks.picture])
        rows = rows[self._known()[self.tracks.point[rows]]]
        shown = np.bincount(self.tracks.picture[rows], minlength=self.tracks.pictures)
        agree = np.bincount(self.tracks.picture[rows], self.agrees[rows], minlength=self.tracks.pictures)
        self.placed &= agree >= np.maximum(LEAST_POINTS, LEAST_SHARE * shown)

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
            self.intersect(rows)
            bundle, which = self.bundle(rows)
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

    def intersect(self, rows: Int[np.ndarray, " m"]) -> None:
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
        bundle, which = self.bundle(rows)
        bundle = adjust(bundle, steps, free_focal=self.free_focal)
        pictures = np.flatnonzero(self.placed)
        self.pose[pictures, :3, :3], self.pose[pictures, :3, 3] = bundle.rotation, bundle.translation
        self.point[which], self.focal = bundle.point, bundle.focal

    def bundle(self, rows: Int[np.ndarray, " m"]) -> tuple[Bundle, Int[np.ndarray, " p"]]:
        """What the adjustment takes: the placed pictures, some observations, and whose points these show."""
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

    def result(self, replaced: bool) -> Piece:
        """What has grown; pictures that lost their points in the end are left out."""
        rows = np.flatnonzero(self.agrees)
        shown = np.bincount(self.tracks.picture[rows], minlength=self.tracks.pictures)
        self.placed &= shown >= LEAST_POINTS
        rows = rows[self.placed[self.tracks.picture[rows]]]
        point = self.point[self.tracks.point[rows]]
        pose = self.pose[self.tracks.picture[rows]]
        local = np.einsum("mij,mj->mi", pose[:, :3, :3], point) + pose[:, :3, 3]
        bundle, _ = self.bundle(rows)
        error = errors(bundle)
        pictures = np.flatnonzero(self.placed)
        return Piece(
            pictures=pictures,
            camera_from_world=self.pose[pictures],
            focal=self.focal,
            picture=self.tracks.picture[rows],
            pixel=self.tracks.pixel[rows],
            local=local,
            parallax=self.parallax(rows)[self.tracks.point[rows]],
            replaced=replaced,
            error=float(np.sqrt(np.mean(error**2))) if len(error) else np.inf,
        )

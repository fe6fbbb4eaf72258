"""How high the cameras of a piece stand above the ground, so that a known height gives the scale."""

import numpy as np
from jaxtyping import Bool, Float

from wsss.benchmark.geometry._poses_growth import Piece
from wsss.benchmark.randomness import stream

REACH = 12.0
"""Heights ahead up to which points are taken for the ground: farther away they hardly look down on it."""
WIDTH = 1.5
"""Heights to either side: beyond is the pavement."""
THICKNESS = 0.03
"""Share of the height by which a point may miss the ground."""
TILT = 10.0
"""Degrees between the cameras' own down and the ground's."""
LEAST_POINTS = 40
"""On the ground, without which there is none."""
LEAST_SHARE = 0.3
"""Of the points that may be ground by where they are."""
_TRIPLES = 1000


def height(piece: Piece, seed: int) -> float | None:
    """Distance from the cameras to the plane that they drive over, in units of the piece; None where none is seen.

    All cameras are taken to look at the ground alike, as one that is fixed to a car does.
    """
    # From a pinhole's axes alone: below the camera, near enough, and not far to the side.
    x, y, z = piece.local.T
    near = piece.local[(y > 0) & (z > 0) & (z < REACH * y) & (np.abs(x) < WIDTH * y)]
    if len(near) < LEAST_POINTS:
        return None
    rng = stream(seed, "ground")
    best = np.zeros(len(near), bool)
    for _ in range(_TRIPLES):
        plane = _plane(near[rng.choice(len(near), 3, replace=False)])
        on = np.zeros(0, bool) if plane is None else _on(near, plane)
        best = on if np.count_nonzero(on) > np.count_nonzero(best) else best
    if np.count_nonzero(best) < max(LEAST_POINTS, LEAST_SHARE * len(near)):
        return None
    plane = _plane(near[best])
    return None if plane is None else float(1 / np.linalg.norm(plane))


def _plane(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3"] | None:
    """The vector whose product with every point of a plane is 1; None where the plane is not below, or too steep."""
    found, _, rank, _ = np.linalg.lstsq(points, np.ones(len(points)), rcond=None)
    length = np.linalg.norm(found)
    return found if rank == 3 and found[1] >= np.cos(np.radians(TILT)) * length else None


def _on(points: Float[np.ndarray, "n 3"], plane: Float[np.ndarray, "3"]) -> Bool[np.ndarray, " n"]:
    return np.abs(points @ plane - 1) < THICKNESS

"""Bundle adjustment: poses, points and, where asked, the focal length that explain all observations best.

Levenberg and Marquardt's steps on a robust cost; the points, which do not depend on each other, are eliminated first
(Triggs et al., "Bundle Adjustment: A Modern Synthesis", 1999, section 6), so that a scene takes a fraction of a second.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import bsr_array, csr_array
from scipy.spatial.transform import Rotation

ROBUST = 1.0
"""Pixels beyond which an observation pulls no harder (Huber)."""
FOCAL_PRIOR = 0.5
"""Standard deviation of the logarithm of a focal length around its guess: a straight drive does not tell it."""
_CONVERGED = 1e-4
"""Relative gain of a step after which there is nothing left to gain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Cameras, points, and who saw what where; the first camera stays where it is."""

    rotation: Float[np.ndarray, "c 3 3"]
    """Camera from world."""
    translation: Float[np.ndarray, "c 3"]
    point: Float[np.ndarray, "p 3"]
    focal: float
    camera: Int[np.ndarray, " m"]
    seen: Int[np.ndarray, " m"]
    """The point of each observation."""
    plane: Float[np.ndarray, "m 2"]


@dataclass(frozen=True, slots=True)
class _System:
    """The normal equations, in blocks of cameras (and the focal length, last) and points."""

    cameras: Float[np.ndarray, "k k"]
    points: Float[np.ndarray, "p 3 3"]
    mixed: csr_array
    camera_side: Float[np.ndarray, " k"]
    point_side: Float[np.ndarray, "p 3"]


def project(bundle: Bundle) -> tuple[Float[np.ndarray, "m 2"], Float[np.ndarray, "m 3"]]:
    """Where the observations should be in the plane, and their points in camera axes."""
    local = np.einsum("mij,mj->mi", bundle.rotation[bundle.camera], bundle.point[bundle.seen])
    local += bundle.translation[bundle.camera]
    depth = np.maximum(local[:, 2:], 1e-9)
    return bundle.focal * local[:, :2] / depth, local


def errors(bundle: Bundle) -> Float[np.ndarray, " m"]:
    """Distance of every observation from where it should be, in pixels; infinite behind the camera."""
    where, local = project(bundle)
    return np.where(local[:, 2] > 0, np.linalg.norm(where - bundle.plane, axis=1), np.inf)


def adjust(bundle: Bundle, steps: int, *, free_focal: bool = False) -> Bundle:
    """Minimise the robust reprojection error.

    Args:
        bundle: Where to start.
        steps: At most that many.
        free_focal: Whether the focal length may change; the one at the start is the guess.
    """
    guess, damping, cost = bundle.focal, 1e-3, _cost(bundle, bundle.focal, free_focal)
    system = None
    for _ in range(steps):
        system = system or _linearised(bundle, guess, free_focal)
        moved = _step(bundle, system, damping)
        new = np.inf if moved is None else _cost(moved, guess, free_focal)
        if moved is None or not new < cost:
            damping *= 8
            if damping > 1e8:
                break
            continue
        gain, bundle, cost, damping, system = (cost - new) / cost, moved, new, max(damping / 5, 1e-9), None
        if gain < _CONVERGED:
            break
    return bundle


def adjust_points(bundle: Bundle, steps: int) -> Bundle:
    """The same for the points alone, each by itself."""
    for _ in range(steps):
        residual, weight, _, _, by_local = _derivatives(bundle)
        by_point = by_local @ bundle.rotation[bundle.camera]
        weighted = by_point.transpose(0, 2, 1) * weight[:, None, None]
        matrix = summed(weighted @ by_point, bundle.seen, len(bundle.point))
        diagonal = np.arange(3)
        matrix[:, diagonal, diagonal] = matrix[:, diagonal, diagonal] * 1.001 + 1e-9
        side = summed((weighted @ residual[:, :, None])[:, :, 0], bundle.seen, len(bundle.point))
        bundle = replace(bundle, point=bundle.point - np.linalg.solve(matrix, side[:, :, None])[:, :, 0])
    return bundle


def _cost(bundle: Bundle, guess: float, free_focal: bool) -> float:
    error = errors(bundle)
    if not np.all(np.isfinite(error)):
        error = np.where(np.isfinite(error), error, 1e3)
    cost = float(np.where(error < ROBUST, error**2, 2 * ROBUST * error - ROBUST**2).sum())
    return cost + (np.log(bundle.focal / guess) / FOCAL_PRIOR) ** 2 if free_focal else cost


def _derivatives(bundle: Bundle) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Residuals (m, 2), weights (m,), projections (m, 2), points in camera axes (m, 3) and what these do (m, 2, 3)."""
    where, local = project(bundle)
    residual = where - bundle.plane
    size = np.linalg.norm(residual, axis=1)
    weight = np.where(local[:, 2] > 0, np.minimum(1, ROBUST / np.maximum(size, 1e-12)), 0.0)
    inverse = 1 / np.maximum(local[:, 2], 1e-9)
    by_local = np.zeros((len(residual), 2, 3))
    by_local[:, 0, 0] = by_local[:, 1, 1] = bundle.focal * inverse
    by_local[:, :, 2] = -where * inverse[:, None]
    return residual, weight, where, local, by_local


def _linearised(bundle: Bundle, guess: float, free_focal: bool) -> _System:
    residual, weight, where, local, by_local = _derivatives(bundle)
    turned = local - bundle.translation[bundle.camera]
    by_camera = np.concatenate([-by_local @ _cross(turned), by_local], 2)
    by_camera *= (bundle.camera > 0)[:, None, None]
    by_point = by_local @ bundle.rotation[bundle.camera]
    by_focal = where * float(free_focal)  # with respect to the logarithm of the focal length
    return _blocks(bundle, residual, weight, by_camera, by_point, by_focal, free_focal * np.log(bundle.focal / guess))


def _blocks(
    bundle: Bundle,
    residual: Float[np.ndarray, "m 2"],
    weight: Float[np.ndarray, " m"],
    by_camera: Float[np.ndarray, "m 2 6"],
    by_point: Float[np.ndarray, "m 2 3"],
    by_focal: Float[np.ndarray, "m 2"],
    from_guess: float,
) -> _System:
    cameras, points, count = len(bundle.rotation), len(bundle.point), len(residual)
    every = np.concatenate([by_camera, by_focal[:, :, None]], 2)
    pulled = every.transpose(0, 2, 1) * weight[:, None, None]
    own = pulled @ every
    side = (pulled @ residual[:, :, None])[:, :, 0]
    cross = pulled @ by_point
    last = 6 * cameras
    matrix, right = np.zeros((last + 1, last + 1)), np.zeros(last + 1)
    blocks = summed(own, bundle.camera, cameras)
    for camera in range(cameras):
        rows = slice(6 * camera, 6 * camera + 6)
        matrix[rows, rows] = blocks[camera, :6, :6]
        matrix[rows, last] = matrix[last, rows] = blocks[camera, :6, 6]
    right[:last] = summed(side[:, :6], bundle.camera, cameras).ravel()
    matrix[last, last] = blocks[:, 6, 6].sum() + 1 / FOCAL_PRIOR**2
    right[last] = side[:, 6].sum() + from_guess / FOCAL_PRIOR**2
    column = np.broadcast_to((3 * bundle.seen[:, None] + np.arange(3))[:, None, :], (count, 7, 3))
    row = np.concatenate([6 * bundle.camera[:, None] + np.arange(6), np.full((count, 1), last)], 1)
    row = np.broadcast_to(row[:, :, None], (count, 7, 3))
    mixed = csr_array((cross.ravel(), (row.ravel(), column.ravel())), (last + 1, 3 * points))
    weighted = by_point.transpose(0, 2, 1) * weight[:, None, None]
    return _System(
        matrix,
        summed(weighted @ by_point, bundle.seen, points),
        mixed,
        right,
        summed((weighted @ residual[:, :, None])[:, :, 0], bundle.seen, points),
    )


def summed(values: np.ndarray, group: Int[np.ndarray, " m"], groups: int) -> np.ndarray:
    """Sums of the rows of each group, of shape (groups, ...)."""
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    sums = [np.bincount(group, flat[:, k], minlength=groups) for k in range(flat.shape[1])]
    return np.stack(sums, -1).reshape(groups, *values.shape[1:])


def _step(bundle: Bundle, system: _System, damping: float) -> Bundle | None:
    """The damped step; None where the equations do not determine one."""
    points = system.points.copy()
    diagonal = np.arange(3)
    points[:, diagonal, diagonal] *= 1 + damping
    points[:, diagonal, diagonal] += 1e-9
    inverse = np.linalg.inv(points)
    cameras = system.cameras.copy()
    place = np.arange(len(cameras))
    own = cameras[place, place]
    cameras[place, place] = np.where(own > 0, own * (1 + damping), 1.0)
    count = len(inverse)
    spread = bsr_array((inverse, np.arange(count), np.arange(count + 1)), (3 * count, 3 * count))
    mixed = csr_array(system.mixed @ spread)
    reduced = cameras - csr_array(mixed @ system.mixed.T).toarray()
    try:
        move = cho_solve(cho_factor(reduced), mixed @ system.point_side.ravel() - system.camera_side)
    except LinAlgError:
        return None
    shift = -(inverse @ (system.point_side + (system.mixed.T @ move).reshape(-1, 3))[:, :, None])[:, :, 0]
    by_camera = move[:-1].reshape(-1, 6)
    return replace(
        bundle,
        rotation=Rotation.from_rotvec(by_camera[:, :3]).as_matrix() @ bundle.rotation,
        translation=bundle.translation + by_camera[:, 3:],
        point=bundle.point + shift,
        focal=float(bundle.focal * np.exp(np.clip(move[-1], -0.5, 0.5))),
    )


def _cross(vectors: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "m 3 3"]:
    """The matrices that take the cross product with each vector."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)

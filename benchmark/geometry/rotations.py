"""Turning one direction into another."""

import numpy as np
from jaxtyping import Float


def smallest_turn(a: Float[np.ndarray, "3"], b: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """The smallest rotation that takes one unit vector to another.

    Where they are more than 90 degrees apart, the smallest after half a turn about an axis across ``b``, x if that
    is: near opposite directions the smallest of all depends on the last digit.
    """
    if a @ b < 0:
        x = np.array([1.0, 0.0, 0.0])
        axis = x - (x @ b) * b
        if np.linalg.norm(axis) < 0.5:
            axis = np.array([0.0, 1.0, 0.0]) - b[1] * b
        axis /= np.linalg.norm(axis)
        over = 2 * np.outer(axis, axis) - np.eye(3)
        return smallest_turn(over @ a, b) @ over
    x, y, z = np.cross(a, b)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + cross + cross @ cross / (1 + a @ b)  # Rodrigues' formula

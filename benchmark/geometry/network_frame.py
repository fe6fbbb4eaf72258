"""The axes in which networks see points: z against gravity, the target view's middle above the origin, metres."""

import numpy as np
from jaxtyping import Bool, Float, Float32

from wsss.benchmark.geometry.index import Extent
from wsss.benchmark.geometry.rotations import smallest_turn

SPREAD = 10.0
"""What the spread of a view becomes where nobody knows how long a metre is."""


def upright(up: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """The turn that takes a unit vector to +z."""
    return smallest_turn(up, np.array([0.0, 0.0, 1.0]))


def to_network(
    xyz: Float[np.ndarray, "n 3"], extent: Extent, up: Float[np.ndarray, "3"], metric: bool
) -> Float32[np.ndarray, "n 3"]:
    """Points of a cloud in the network's frame.

    z is the height above the floor of the target view, which unlike its mean height does not depend on how much of
    the houses is seen; x and y are centred at the mean of the view's points. Where lengths are unknown the view's
    spread becomes ``SPREAD``.

    Args:
        xyz: As ``PointCloud.xyz``.
        extent: Of the target view.
        up: As ``PointCloud.up``.
        metric: As ``PointCloud.metric``.
    """
    scale = 1.0 if metric else SPREAD / max(extent.spread, 1e-9)
    local = (xyz - extent.centre.astype(np.float32)) @ (upright(up) * scale).T.astype(np.float32)
    local[:, 2] -= np.float32(scale * extent.floor)
    return local


def within(xyz: Float[np.ndarray, "n 3"], box: tuple[float, float, float]) -> Bool[np.ndarray, " n"]:
    """Which points of the network's frame lie in a box around its origin with these half sides.

    Points outside are to be dropped: clamping, which the release of Rewis3d does, presses streets flat on the walls.
    """
    inside = np.abs(xyz[:, 0]) <= box[0]  # column by column: rows of three are slow to compare
    for axis in (1, 2):
        inside &= np.abs(xyz[:, axis]) <= box[axis]
    return inside

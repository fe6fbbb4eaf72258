"""The loops of plane-sweep stereo that numpy cannot express: paths over a volume of scores, planes through depths."""

import inspect
from collections.abc import Callable

import numba
import numpy as np
from jaxtyping import Bool, Float32, UInt8


def _compiled(function: Callable) -> Callable:
    function = inspect.unwrap(function)  # numba cannot compile the type check that the tests put around a function
    try:
        return numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})(function)
    except RuntimeError:  # no folder to keep the machine code in: compile anew in every process
        return numba.njit(nogil=True, fastmath={"contract", "reassoc"})(function)


def aggregate(
    cost: Float32[np.ndarray, "h w d"], grey: UInt8[np.ndarray, "h w"], low: float, high: float, contrast: float
) -> Float32[np.ndarray, "h w d"]:
    """Semi-global matching: the mean of the costs along four straight paths to each pixel.

    On a path a step to the next plane costs ``low``; a jump costs more, but less where the image has an edge
    (Hirschmueller, "Stereo processing by semiglobal matching and mutual information", PAMI 2008, section 2.3).

    Args:
        cost: Per pixel and plane.
        grey: The image.
        low: Cost of a step to the next plane.
        high: Cost of a jump in even grey.
        contrast: Grey levels between two pixels that halve the cost of a jump.
    """
    total = np.zeros_like(cost)
    costs = np.float32(low), np.float32(high), np.float32(contrast)
    for reverse in (False, True):
        _along(cost, grey, *costs, reverse, total)
        _along(cost.transpose(1, 0, 2), grey.T, *costs, reverse, total.transpose(1, 0, 2))
    total /= 4
    return total


def fit_surfaces(
    inverse_depth: Float32[np.ndarray, "h w"],
    kept: Bool[np.ndarray, "h w"],
    grey: UInt8[np.ndarray, "h w"],
    reach: int,
    slope: float,
    slack: float,
    alike: float,
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Planes through the kept neighbours of each kept pixel; a plane in space is one in inverse depth too.

    A neighbour weighs less the less it looks like the pixel, so that the plane is that of the pixel's own side of an
    edge, and so that depth that does not end where the picture has its edge finds little support.

    Args:
        inverse_depth: Per pixel.
        kept: Which of them count.
        grey: The image.
        reach: Half the side of the window, pixels.
        slope: Relative change of inverse depth per pixel up to which a neighbour may belong to the same surface.
        slack: Relative distance from the plane up to which it does.
        alike: Difference in grey that halves a neighbour's weight.

    Returns:
        The plane's inverse depth at the pixel, and the weighted share of the window, within the image, that lies on
        it; 0 where there are too few to fit one.
    """
    surface, support = inverse_depth.copy(), np.zeros_like(inverse_depth)
    weights = (1 / (1 + np.arange(256) / alike)).astype(np.float32)
    _surfaces(inverse_depth, kept, grey, weights, reach, slope, slack, surface, support)
    return surface, support


@_compiled
def _step(last: np.ndarray, cost: np.ndarray, low: float, high: float, here: np.ndarray, total: np.ndarray) -> None:
    """One pixel further along a path: ``last`` are the path's costs at the pixel before, ``here`` those at this one."""
    count = len(cost)
    least = last.min()
    for plane in range(count):
        best = min(last[plane], least + high)
        if plane > 0:
            best = min(best, last[plane - 1] + low)
        if plane < count - 1:
            best = min(best, last[plane + 1] + low)
        here[plane] = cost[plane] + best - least
        total[plane] += here[plane]


@_compiled
def _along(
    cost: np.ndarray, grey: np.ndarray, low: float, high: float, contrast: float, reverse: bool, total: np.ndarray
) -> None:
    """Adds the paths along the second axis, forwards or backwards."""
    lines, length, planes = cost.shape
    for line in range(lines):
        last, here = np.zeros(planes, np.float32), np.zeros(planes, np.float32)
        jump = low
        for i in range(length):
            at = length - 1 - i if reverse else i
            if i > 0:
                edge = abs(np.float32(grey[line, at]) - np.float32(grey[line, at + 1 if reverse else at - 1]))
                jump = max(low, high / (1 + edge / contrast))
            _step(last, cost[line, at], low, jump, here, total[line, at])
            last, here = here, last


@_compiled
def _plane(
    depth: np.ndarray,
    kept: np.ndarray,
    grey: np.ndarray,
    weights: np.ndarray,
    row: int,
    column: int,
    reach: int,
    plane: tuple,
    slope: float,
    slack: float,
) -> tuple:
    """The plane (height, slopes) through the neighbours near another plane, and their share of the weight; 0 if few.

    Heights are relative to the middle's; a neighbour may be off by ``slack``, and by ``slope`` per pixel of distance.
    """
    count, whole, n, sx, sy, sz, xx, xy, yy, xz, yz = 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    level, height = np.int64(grey[row, column]), depth[row, column]
    for y in range(max(-reach, -row), min(reach, depth.shape[0] - 1 - row) + 1):
        for x in range(max(-reach, -column), min(reach, depth.shape[1] - 1 - column) + 1):
            w = weights[abs(np.int64(grey[row + y, column + x]) - level)]
            whole += w
            if not kept[row + y, column + x]:
                continue
            z = depth[row + y, column + x] / height - 1
            if abs(z - plane[0] - plane[1] * x - plane[2] * y) > slack + slope * (abs(x) + abs(y)):
                continue
            count, n, sx, sy, sz = count + 1, n + w, sx + w * x, sy + w * y, sz + w * z
            xx, xy, yy, xz, yz = xx + w * x * x, xy + w * x * y, yy + w * y * y, xz + w * x * z, yz + w * y * z
    a, b, c = xx * yy - xy * xy, sx * yy - xy * sy, sx * xy - xx * sy
    determinant = n * a - sx * b + sy * c
    if count < 6 or determinant < 1e-4 * n:
        return (0.0, 0.0, 0.0), 0.0
    top = sz * a - sx * (xz * yy - xy * yz) + sy * (xz * xy - xx * yz)
    along_x = n * (xz * yy - xy * yz) - sz * b + sy * (sx * yz - xz * sy)
    along_y = n * (xx * yz - xz * xy) - sx * (sx * yz - xz * sy) + sz * c
    return (top / determinant, along_x / determinant, along_y / determinant), n / whole


@_compiled
def _surfaces(
    depth: np.ndarray,
    kept: np.ndarray,
    grey: np.ndarray,
    weights: np.ndarray,
    reach: int,
    slope: float,
    slack: float,
    surface: np.ndarray,
    support: np.ndarray,
) -> None:
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            if not kept[row, column]:
                continue
            plane, share = _plane(depth, kept, grey, weights, row, column, reach, (0.0, 0.0, 0.0), slope, slope)
            for _ in range(1):
                if share > 0:
                    plane, share = _plane(depth, kept, grey, weights, row, column, reach, plane, 0.0, slack)
            if share > 0 and plane[0] > -0.5:
                surface[row, column] = depth[row, column] * (1 + plane[0])
                support[row, column] = share

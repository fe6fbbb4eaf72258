"""One stroke of a pen inside a mask: the geometry of derived scribbles.

After the generator of Boettcher et al., "Scribbles for All" (NeurIPS 2024 Datasets and Benchmarks): a
parabola between two far ends by way of the centre and the skeleton, accepted only if it stays inside. Here
the drawn line is verified, not samples of its centre; a straight mark serves what is too thin (poles).

Positions are (row, column) of pixel centres.
"""

from math import sqrt

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, Int64
from scipy import ndimage

Mask = Bool[np.ndarray, "h w"]
Depth = Float[np.ndarray, "h w"]
Pixels = Int64[np.ndarray, "_ 2"]

EIGHT = np.ones((3, 3), np.uint8)
"""Neighbours that share a side or a corner."""
_TRIES = 20
"""Curves tried before more of the piece is eroded; the generator's ``patience``."""


def depth_of(mask: Mask) -> Depth:
    """Distance of every pixel of a mask to its outside; beyond the border of the array is outside.

    SciPy's, because OpenCV's precise transform differs in its last bits from call to call.
    """
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)), np.float32)
    return depth[1:-1, 1:-1]


def number_pieces(mask: Mask) -> Int32[np.ndarray, "h w"]:
    """The 8-connected pieces of a mask, numbered from 1 in raster order; 0 outside."""
    numbered = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, EIGHT, output=numbered)
    return numbered


def stroke(
    piece: Mask, mask: Mask, depth: Depth, *, pen: int, length: float, erosion: float, rng: np.random.Generator
) -> Mask | None:
    """A curve through a piece of a mask; where none fits, through the largest rest that more erosion leaves.

    Args:
        piece: Where the centre of the line must run.
        mask: Where every pixel of it must stay; holds ``piece``.
        depth: ``depth_of(mask)``.
        pen: Thickness of the line in pixels.
        length: Share of the way between two far ends that is drawn, in (0, 1].
        erosion: Depth to remove after every 20 failures.
        rng: Draws the curves.

    Returns:
        The pixels drawn, or None where nothing fits.
    """
    margin = float(depth[piece].min())
    while piece.any():
        ridge = np.argwhere(piece & _peaks(depth))
        edge = np.argwhere(piece & (cv2.erode(piece.astype(np.uint8), EIGHT, borderValue=0) == 0))
        centre = np.argwhere(piece).mean(axis=0)
        spread = sqrt(np.count_nonzero(piece)) / 20
        for _ in range(_TRIES):
            curve = _curve(edge, ridge, rng.normal(centre, spread), spread, length, rng)
            if curve is not None and _inside(curve, piece):
                drawn = _draw(curve, mask.shape, pen)
                if mask[drawn].all():
                    return drawn
        margin += erosion
        piece = _largest(piece & (depth > margin))
    return None


def mark(mask: Mask, depth: Depth, *, pen: int, rng: np.random.Generator) -> Mask:
    """The longest of 100 straight lines between ridge pixels that stays inside, one pixel thin if need be."""
    ridge = np.argwhere(mask & _peaks(depth))
    pairs = ridge[rng.integers(len(ridge), size=(100, 2))]
    longest_first = pairs[np.argsort(-((pairs[:, 0] - pairs[:, 1]) ** 2).sum(axis=1), kind="stable")]
    for line in longest_first:
        for width in (pen, 1):
            drawn = _draw(line, mask.shape, width)
            if mask[drawn].all():
                return drawn
    return _draw(ridge[:1], mask.shape, 1)


def _curve(
    edge: Pixels,
    ridge: Pixels,
    centre: Float[np.ndarray, "2"],
    spread: float,
    drawn: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "samples 2"] | None:
    """A parabola between two far edge pixels by way of centre and ridge; None where the ends coincide."""
    sample = edge[rng.integers(len(edge), size=25)]
    start = _farthest(sample, sample[0])
    along = _farthest(sample, start) - start
    length = float(np.linalg.norm(along))
    if length == 0 or len(ridge) == 0:
        return None
    frame = np.stack([along, along[::-1] * (1, -1)]) / length
    knots = np.array([(0, 0), frame @ (centre - start), (length, 0)])
    stops = rng.uniform(0.2, 0.8, size=2) * length
    via = np.stack([stops, _parabola(knots, stops)], axis=1) @ frame + start + rng.normal(0, spread, (2, 2))
    snapped = [ridge[np.argmin(((ridge - point) ** 2).sum(axis=1))] for point in np.round(via, 4)]
    knots = np.concatenate([knots, (np.array(snapped) - start) @ frame.T])
    places = np.linspace((0.5 - drawn / 2) * length, (0.5 + drawn / 2) * length, 100)
    # Linear algebra differs in its last bits from process to process; on a tie such a bit would move a pixel.
    return np.round(np.stack([places, _parabola(knots, places)], axis=1) @ frame + start, 4)


def _farthest(candidates: Pixels, point: Int64[np.ndarray, "2"]) -> Int64[np.ndarray, "2"]:
    return candidates[np.argmax(((candidates - point) ** 2).sum(axis=1))]


def _parabola(knots: Float[np.ndarray, "n 2"], places: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Height at ``places`` of the least-squares parabola through ``knots`` (place, height)."""
    coefficients = np.linalg.lstsq(np.vander(knots[:, 0], 3), knots[:, 1], rcond=None)[0]
    return np.vander(places, 3) @ coefficients


def _peaks(depth: Depth) -> Mask:
    """The skeleton as far as a snap needs it: pixels no shallower than their neighbours."""
    return depth >= cv2.dilate(depth, EIGHT)


def _largest(mask: Mask) -> Mask:
    """The largest connected piece of a mask, in a mask of the same size; empty where there is none."""
    numbered = number_pieces(mask)
    areas = np.bincount(numbered.ravel())
    areas[0] = 0
    return mask & (numbered == areas.argmax())


def _inside(curve: Float[np.ndarray, "samples 2"], mask: Mask) -> bool:
    pixels = np.rint(curve).astype(np.int64)
    if (pixels < 0).any() or (pixels >= mask.shape).any():
        return False
    return bool(mask[pixels[:, 0], pixels[:, 1]].all())


def _draw(curve: Float[np.ndarray, "_ 2"] | Pixels, shape: tuple[int, ...], pen: int) -> Mask:
    """The pixels of a line of ``pen`` pixels' thickness through (row, column) knots."""
    canvas = np.zeros(shape, np.uint8)
    cv2.polylines(canvas, [np.rint(curve[:, ::-1]).astype(np.int32)], False, 1, pen)
    return canvas > 0

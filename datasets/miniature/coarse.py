"""Coarse annotation as a person draws it in a minute: few corners, inside the outline, thin things left out."""

import cv2
import numpy as np
from jaxtyping import Int, Int32, UInt8

Rng = np.random.Generator


def draw(rng: Rng, labels: UInt8[np.ndarray, "h w"], instances: Int[np.ndarray, "h w"], skip: tuple[int, ...]
         ) -> tuple[UInt8[np.ndarray, "h w"], Int32[np.ndarray, "h w"]]:  # fmt: skip
    """Coarse versions of a label image and its instance image, 0 where nothing was drawn.

    Args:
        rng: Decides how the annotator's hand moves.
        labels: Ids, each region of which gets a polygon.
        instances: Values that tell regions of one id apart.
        skip: Ids that nobody draws.
    """
    coarse = np.zeros(labels.shape, np.uint8)
    coarse_instances = np.zeros(labels.shape, np.int32)
    regions = []
    for value in np.unique(instances):
        mask = instances == value
        label = int(labels[mask][0])
        if label in skip:
            continue
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
        areas = stats[:, cv2.CC_STAT_AREA].tolist()
        regions += [(areas[piece], label, int(value), pieces == piece) for piece in range(1, count)]
    scale = labels.shape[1] / 256
    regions.sort(key=lambda region: (-region[0], region[2]))
    for area, label, value, mask in regions:
        if area < 14 * scale**2:
            continue
        painted = _polygon(rng, mask, scale)
        if painted is not None:
            coarse[painted] = label
            coarse_instances[painted] = value
    return coarse, coarse_instances


def _polygon(rng: Rng, mask: np.ndarray, scale: float) -> np.ndarray | None:
    """The area inside a rough outline drawn within a region; None for what is too thin to bother."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth = float(inside.max())
    margin = min(2.3 * scale, 0.4 * depth) * rng.uniform(0.7, 1.2)
    if depth < 1.5 * max(scale, 0.7):
        return None
    contours, _ = cv2.findContours((inside > margin).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    drawn = []
    for contour in contours:
        corners = cv2.approxPolyDP(contour, 1.8 * scale, True)[:, 0].astype(np.float64)
        if len(corners) >= 3:
            drawn.append(np.round(corners + rng.normal(0, 1.1 * scale, corners.shape)).astype(np.int32))
    if not drawn:
        return None
    area = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(area, drawn, 1)
    return area.astype(bool)

"""Weak labels derived from dense masks: points, scribbles and coarse polygons, seeded and torch-free.

Every kind works on the 8-connected components of a class, split by instance where instances are known. Sizes
are stated in pixels of a 1024 x 2048 image (Cityscapes) and scale with the square root of the area, so that
the same scene at another size receives the same supervision; no line is thinner than one pixel.

Sources: one click per object after Bearman et al., "What's the Point" (ECCV 2016); scribbles after Boettcher
et al., "Scribbles for All" (NeurIPS 2024 Datasets and Benchmarks), see ``strokes.py``; coarse polygons at the
density that Cordts et al., "The Cityscapes Dataset" (CVPR 2016) report for theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt

import cv2
import numpy as np
from jaxtyping import Bool, Int, Int64, Integer, UInt8
from scipy import ndimage

from wsss.benchmark.errors import unknown_name
from wsss.benchmark.randomness import stream
from wsss.benchmark.strokes import depth_of, mark, number_pieces, stroke
from wsss.benchmark.types import IGNORE, WEAK_KINDS

VERSION = 1
"""Raise it when the same mask and seed give other labels."""

Labels = UInt8[np.ndarray, "h w"]
Ids = Int[np.ndarray, "h w"]

_REFERENCE_AREA = 1024 * 2048
_MINIMUM_AREA = 300
"""Smaller components receive no label, as in the published generator for Cityscapes."""
_PEN = 5
"""Thickness of a scribble."""


@dataclass(frozen=True, slots=True)
class _Component:
    """One connected region of one class; ``mask`` covers ``window``, its bounding box in the image."""

    category: int
    window: tuple[slice, ...]
    mask: Bool[np.ndarray, "rows columns"]
    area: int


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """How much of one image its weak labels reach.

    The coverage of a class is the mean of its ``labelled`` over the images where it is ``present``.
    """

    share: float
    """Labelled share of the pixels that have a dense label; 0 where none has."""
    correct: float
    """Share of those labelled pixels whose weak label is the dense one; 1 where nothing is labelled."""
    present: Bool[np.ndarray, " classes"]
    """Whether the dense mask holds the class."""
    labelled: Bool[np.ndarray, " classes"]
    """Whether at least one pixel of the class carries it as weak label."""


def derive(kind: str, dense: Labels, instances: Ids | None, *, seed: int, key: str) -> Labels:
    """Weak labels of one image: the same for the same arguments, whatever was derived before.

    Args:
        kind: ``points`` (one pixel per component), ``scribbles`` (about 2 to 5 % of the pixels, all right)
            or ``coarse`` (about two thirds of the pixels, nearly all right).
        dense: Train ids (H, W), IGNORE where none applies.
        instances: Ids (H, W) that tell touching objects of one class apart, or None.
        seed: Another seed is another annotator.
        key: Names the image: the frame's id.

    Returns:
        Train ids (H, W), IGNORE where nothing is labelled.

    Raises:
        UsageError: Unknown kind.
    """
    rng = stream(seed, "labels", kind, key)
    if kind == "points":
        return rasterise(*points(dense, instances, rng), shape=dense.shape)
    if kind == "scribbles":
        return scribbles(dense, instances, rng)
    if kind == "coarse":
        return coarse(dense, instances, rng)
    raise unknown_name("label kind", kind, WEAK_KINDS)


def points(
    dense: Labels, instances: Ids | None, rng: np.random.Generator
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], UInt8[np.ndarray, " n"]]:
    """One click per component, uniform where the depth inside it is at least 0.7 of the largest.

    That is as central as a person's click, and inside rings and crescents, whose centre of mass is not.

    Returns:
        Rows, columns and train ids, N each.
    """
    clicks = []
    for component in _components(dense, instances):
        depth = depth_of(component.mask)
        central = np.argwhere(depth >= 0.7 * depth.max())
        row, column = central[rng.integers(len(central))]
        rows, columns = component.window
        clicks.append((rows.start + row, columns.start + column, component.category))
    table = np.array(clicks, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2].astype(np.uint8)


def rasterise(
    rows: Integer[np.ndarray, " n"],
    columns: Integer[np.ndarray, " n"],
    classes: Integer[np.ndarray, " n"],
    shape: tuple[int, ...],
) -> Labels:
    """Points as an image of ``shape`` (H, W), one labelled pixel each."""
    weak = np.full(shape, IGNORE, np.uint8)
    weak[rows, columns] = classes
    return weak


def scribbles(dense: Labels, instances: Ids | None, rng: np.random.Generator) -> Labels:
    """Strokes of a pen, one or more per component, no pixel of which leaves it.

    A component is first eroded, the deeper the larger it is, and each piece that remains gets a curved
    stroke; what is too thin to hold one (poles) gets a straight mark along its length instead.
    """
    scale = _scale(dense)
    pen = ceil(_PEN * scale)
    length = 0.95 * _PEN * scale / pen  # a pen that cannot get thinner draws shorter: the share of pixels stays
    weak = np.full(dense.shape, IGNORE, np.uint8)
    for component in _components(dense, instances):
        mask, depth = component.mask, depth_of(component.mask)
        margin = np.interp(component.area / dense.size, (0.007, 0.07), (2, 40)) * scale
        core = depth > min(margin, 0.5 * depth.max())
        drawn = []
        if depth.max() >= 2 * pen:
            numbered = number_pieces(core)
            large = np.flatnonzero(np.bincount(numbered.ravel())[1:] >= _minimum(dense)) + 1
            drawn = [
                stroke(numbered == n, mask, depth, pen=pen, length=length, erosion=_PEN * scale, rng=rng) for n in large
            ]
        drawn = [line for line in drawn if line is not None] or [mark(mask, depth, pen=pen, rng=rng)]
        for line in drawn:
            weak[component.window][line] = component.category
    return weak


def coarse(dense: Labels, instances: Ids | None, rng: np.random.Generator) -> Labels:
    """Shrunk polygons with few vertices, small ones over large ones; a pixel without dense label gets none.

    Cleaner than a person's: a substitute for official coarse labels, not an imitation of their errors.
    """
    scale = _scale(dense)
    weak = np.full(dense.shape, IGNORE, np.uint8)
    for component in sorted(_components(dense, instances), key=lambda found: -found.area):
        radius = np.clip(0.05 * sqrt(component.area), max(1, 7 * scale), max(1, 70 * scale))
        shrunk = (depth_of(component.mask) > radius).astype(np.uint8)
        outlines, _ = cv2.findContours(shrunk, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        polygons = np.zeros_like(shrunk)
        for outline in outlines:
            vertices = cv2.approxPolyDP(outline, 0.02 * cv2.arcLength(outline, True), True)
            vertices = vertices + rng.normal(0, 0.25 * radius, vertices.shape)
            cv2.fillPoly(polygons, [np.rint(vertices).astype(np.int32)], 1)
        weak[component.window][polygons > 0] = component.category
    weak[dense == IGNORE] = IGNORE
    return weak


def share(weak: Labels) -> float:
    """Share of all pixels of an image that carry a label."""
    return float(np.mean(weak != IGNORE))


def statistics(weak: Labels, dense: Labels, number_of_classes: int) -> Statistics:
    """How much of an image, and which of its classes, the weak labels reach."""
    valid = dense != IGNORE
    chosen = valid & (weak != IGNORE)
    right = chosen & (weak == dense)
    return Statistics(
        share=float(chosen.sum() / max(valid.sum(), 1)),
        correct=float(right.sum() / chosen.sum()) if chosen.any() else 1.0,
        present=np.bincount(dense[valid], minlength=number_of_classes) > 0,
        labelled=np.bincount(dense[right], minlength=number_of_classes) > 0,
    )


def _scale(dense: Labels) -> float:
    """Length of a pixel of the reference image in pixels of this one."""
    return sqrt(dense.size / _REFERENCE_AREA)


def _minimum(dense: Labels) -> float:
    """Smallest area of a component that receives labels."""
    return max(4.0, _MINIMUM_AREA * dense.size / _REFERENCE_AREA)


def _components(dense: Labels, instances: Ids | None) -> Iterator[_Component]:
    """Components of at least the minimum area, in an order that depends on the mask alone."""
    windows = ndimage.find_objects(dense.astype(np.int32) + 1, max_label=IGNORE)
    for category, window in enumerate(windows):
        if window is None:
            continue
        mask = dense[window] == category
        objects = mask.astype(np.int32)
        if instances is not None:
            objects[mask] = np.unique(instances[window][mask], return_inverse=True)[1] + 1
        for number, outer in enumerate(ndimage.find_objects(objects), start=1):
            numbered = number_pieces(objects[outer] == number)
            areas = np.bincount(numbered.ravel())
            for piece, inner in enumerate(ndimage.find_objects(numbered), start=1):
                if areas[piece] >= _minimum(dense):
                    place = _nested(window, outer, inner)
                    yield _Component(category, place, numbered[inner] == piece, int(areas[piece]))


def _nested(*windows: tuple[slice, ...]) -> tuple[slice, ...]:
    """The window of the image that windows within windows, outermost first, end up at."""
    starts = np.sum([[axis.start for axis in window] for window in windows], axis=0)
    sizes = [axis.stop - axis.start for axis in windows[-1]]
    return tuple(slice(int(start), int(start) + size) for start, size in zip(starts, sizes, strict=True))

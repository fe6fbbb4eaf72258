"""Which numbers are stored of every scored image, for those who read them: what they mean stands in measures.py."""

from collections.abc import Mapping

import numpy as np

WIDTHS = (1, 2, 4)
"""Pixels from a contour: of Boundary IoU, and of the trimap."""
RANGES = (0, 2, 4, 8, 16, 32, 64)
"""Metres at which a bin of depth begins; the last has no end."""
BINS = 15
"""Equal bins of the predicted class's probability, as many as in Guo et al."""


def shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """The shape of the statistics of one image, by the name under which they are stored."""
    return {
        "counts": (classes, 3),
        "boundary": (len(WIDTHS), classes, 3),
        "trimap": (len(WIDTHS), classes, 3),
        "ranges": (len(RANGES), classes, 3),
        "calibration": (BINS, 3),
        "views": (2,),
    }


def by_predictor(arrays: Mapping[str, np.ndarray], images: int) -> dict[str, dict[str, np.ndarray]]:
    """Arrays that are named ``<measure>_<predictor>``, as they are stored, by predictor and then by measure.

    Raises:
        ValueError: One of them has a shape that it cannot have, or belongs to no predictor with ``counts``.
    """
    names = [key.removeprefix("counts_") for key in arrays if key.startswith("counts_")]
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    for key, array in arrays.items():
        measure, _, name = key.partition("_")
        classes = arrays[f"counts_{name}"].shape[1:2] if name in found else ()
        allowed = shapes(*classes or (0,))
        if name not in found or measure not in allowed or array.shape != (images, *allowed[measure]):
            raise ValueError(
                f"array {key} of shape {array.shape} does not fit {images} images and the classes of counts_{name}"
            )
        found[name][measure] = array
    return found

"""The true depth of a miniature's pictures, which lies beside its data: for checks, measurements and ablations.

No adapter knows of it, so that nothing that learns can see it.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import DatasetError
from wsss.benchmark.types import Frame

Depth = Callable[[Frame], Float[np.ndarray, "h w"] | None]
"""The true depth of a frame's picture in metres, infinite where there is nothing; None where nobody knows it."""

UNITS = 256
"""Per metre in the files, which are 16-bit pictures as KITTI's; 0 says that there is nothing."""


def truth_path(root: Path, frame: str) -> Path:
    """Where the true depth of a picture is, by the id that its adapter gives it."""
    return root / "truth" / f"{frame}.png"


def read_truth(root: Path, frame: str) -> Float[np.ndarray, "h w"] | None:
    """True depth in metres, infinite in the sky and beyond 255 m; None where there is none of this picture.

    Raises:
        DatasetError: The file is damaged.
    """
    path = truth_path(root, frame)
    if not path.is_file():
        return None
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16:
        raise DatasetError(f"{path} is missing or damaged; delete the miniature and build it again")
    return np.where(stored > 0, stored / UNITS, np.inf)


def is_miniature(root: Path) -> bool:
    """Whether a dataset's folder holds a finished miniature."""
    return (root / "miniature.json").is_file()


def of(dataset: Dataset) -> Depth | None:
    """The true depth of a dataset's frames; None for real data."""
    return (lambda frame: read_truth(dataset.root, frame.id)) if is_miniature(dataset.root) else None

"""The nouns of a training step: what the loader makes and a method sees. Conventions stand in ``types.py``."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """The points of a whole batch as one table of columns; ``image`` says whose each point is."""

    xyz: Float[Tensor, "n 3"]
    rgb: Float[Tensor, "n 3"]
    confidence: Float[Tensor, " n"]
    labels: Int64[Tensor, " n"]
    """The weak label of the pixel that made the point, IGNORE elsewhere."""
    image: Int64[Tensor, " n"]
    """In [0, B)."""
    pixel: Int64[Tensor, "n 2"]
    """(row, column) after this step's crop and flip; -1 where the point is not visible."""

    def to(self, device: torch.device) -> "Points":
        """The same points on a device."""
        return _to(self, device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a method sees in one step. Every tensor shares this step's scale, crop and flip."""

    image: Float[Tensor, "b 3 h w"]
    """The weak view, normalised for the network: a teacher's input."""
    strong: Float[Tensor, "b 3 h w"]
    """The same pixels under strong photometric changes and cutout: the student's input."""
    labels: Int64[Tensor, "b h w"]
    """IGNORE where nobody labelled, in the padding, and under the holes of the strong view."""
    valid: Bool[Tensor, "b h w"]
    """False in the padding and on void pixels, which belong to no class: no loss may use them."""
    points: Points | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return _to(self, device)


def _to(table: "Batch | Points", device: torch.device) -> "Batch | Points":
    moved = {field.name: getattr(table, field.name) for field in fields(table)}
    moved = {name: value if value is None else value.to(device) for name, value in moved.items()}
    return replace(table, **moved)

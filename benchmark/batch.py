"""The nouns of a training step: what the loader makes and a method sees. Conventions stand in ``types.py``."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """The points of a whole batch as one table of columns; ``image`` says whose each point is."""

    xyz: Float[Tensor, "n 3"]
    """In the network's frame, see ``geometry/network_frame.py``: a teacher's input."""
    strong: Float[Tensor, "n 3"]
    """The same under a random turn about the vertical, scale, mirror and jitter: the student's input."""
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
        return _map(self, lambda column: column.to(device, non_blocking=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a method sees in one step. Every tensor shares this step's scale, crop and flip."""

    image: Float[Tensor, "b 3 h w"]
    """The weak view, RGB in [0, 1], never colour-jittered: a teacher's input."""
    strong: Float[Tensor, "b 3 h w"]
    """The same pixels in [0, 1] under strong photometric changes and cutout: the student's input."""
    labels: Int64[Tensor, "b h w"]
    """IGNORE where nobody labelled, in the padding, and under the holes of the strong view."""
    valid: Bool[Tensor, "b h w"]
    """False in the padding and on void pixels, which belong to no class: no loss may use them."""
    points: Points | None = None
    prepared: Shaped[Tensor, "b ..."] | None = None
    """What the method's ``preparation`` made of the fields above while the batch was loaded; None if it has none."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return _map(self, lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory; DataLoader asks for it by this name."""
        return _map(self, Tensor.pin_memory)


Preparation = Callable[[Batch], Shaped[Tensor, "b ..."]]
"""Makes ``Batch.prepared`` of a batch that has none yet."""


_Table = TypeVar("_Table", Batch, Points)


def _map(table: _Table, change: Callable[[Tensor], Tensor]) -> _Table:
    """The table with every tensor changed, those of the table inside it too."""
    columns = {field.name: getattr(table, field.name) for field in fields(table)}
    tensors = {name: change(value) for name, value in columns.items() if isinstance(value, Tensor)}
    tables = {name: _map(value, change) for name, value in columns.items() if isinstance(value, Points)}
    return replace(table, **tensors, **tables)

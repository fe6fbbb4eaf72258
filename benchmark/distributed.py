"""What the processes of one run must know of each other. In a run of one process every function here does nothing.

Each of ``world()`` processes, a rank, has an equal part of every batch, and gradients are averaged over ranks. So that
the result is that of the joined batch, a loss divides by what all ranks count, not by what its own part holds:

    total / count.clamp(min=1)   becomes   mean_over(total, count)

Every rank must come to each of these calls, and in the same order: whether a term exists must not hang on a rank's own
part of the batch, for which there is ``anywhere``.
"""

from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor
from torch import distributed as processes
from torch.autograd.function import once_differentiable

from wsss.benchmark.errors import UsageError

_Value = TypeVar("_Value")


def rank() -> int:
    """The number of this process, from 0."""
    return processes.get_rank() if _joined() else 0


def world() -> int:
    """How many processes execute the run."""
    return processes.get_world_size() if _joined() else 1


def part(number: int) -> range:
    """The positions of a batch of ``number`` images that are this rank's.

    Raises:
        UsageError: The ranks cannot have equally many.
    """
    check_divides(number, world())
    own = number // world()
    return range(rank() * own, (rank() + 1) * own)


def check_divides(batch: int, devices: int) -> None:
    """Whether every device can have as many images of a batch as any other.

    Raises:
        UsageError: It cannot.
    """
    if batch % devices:
        raise UsageError(
            f"a batch of {batch} images cannot be shared equally by {devices} devices: choose --devices or "
            f"--train.batch so that the former divides the latter"
        )


def mean_over(total: Float[Tensor, ""], count: Num[Tensor, ""], least: float = 1) -> Float[Tensor, ""]:
    """``total / count`` of the joined batch, as this rank's share in an average over ranks.

    Args:
        total: Sum over this rank's part of the batch.
        count: What it is divided by, likewise; without gradient.
        least: The joined count is raised to this, so that nothing is divided by 0.
    """
    return total / divisor(count, least)


def divisor(count: Num[Tensor, ""], least: float = 1) -> Num[Tensor, ""]:
    """What ``mean_over`` divides by, for a loss that divides by itself."""
    if world() == 1:
        return count.clamp(min=least)
    return total_of(count).clamp(min=least) / world()


def total_of(x: Num[Tensor, "..."]) -> Num[Tensor, "..."]:
    """The sum over ranks, without gradient."""
    if world() == 1:
        return x
    summed = x.detach().clone(memory_format=torch.contiguous_format)
    processes.all_reduce(summed)
    return summed


def mean_of(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The mean over ranks, without gradient."""
    return x if world() == 1 else total_of(x) / world()


def sum_of(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The sum over ranks; its gradient is that of all ranks' losses together."""
    return x if world() == 1 else _Sum.apply(x)  # pyright: ignore[reportReturnType]  (apply has no types)


def number_of(own: int) -> int:
    """The sum over ranks of something that each has counted."""
    return own if world() == 1 else int(total_of(torch.tensor(own)))


def anywhere(flag: bool | Bool[Tensor, ""]) -> bool:
    """Whether it holds for any rank."""
    if world() == 1:
        return bool(flag)
    return number_of(int(flag)) > 0


def gathered(value: _Value) -> list[_Value]:
    """Every rank's value, by rank."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    processes.all_gather_object(values, value)
    return values


def _joined() -> bool:
    return processes.is_available() and processes.is_initialized()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return total_of(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return total_of(gradients[0].contiguous())

"""Batch normalisation over the joined batch of all ranks, of which each has its part.

On GPUs torch's own SyncBatchNorm takes the place of its plain layers. It refuses CPU tensors and knows no layer but
those; the others, and every layer on a CPU, share their statistics in plain torch here. Names of parameters and buffers
stay, so that a checkpoint fits any number of processes.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from wsss.benchmark.distributed import sum_of
from wsss.benchmark.errors import Unsupported

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class SharedBatchNorm(_BatchNorm):
    """Batch normalisation of any number of dimensions, with timm's activation behind it where a layer holds one."""

    shares_statistics = True

    def forward(self, input: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        """Normalise in training by the statistics of all ranks, else by the running ones."""
        output = normalise(self, input, input)
        for name in ("drop", "act"):
            if hasattr(self, name):
                output = self.get_submodule(name)(output)
        return output


def share_statistics(module: nn.Module, device: torch.device) -> None:
    """Let every batch normalisation of a module, in place, see the joined batch.

    Raises:
        Unsupported: One is of a kind that nobody here knows.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if not isinstance(child, _BatchNorm) or getattr(child, "shares_statistics", False):
                continue
            if type(child) in _PLAIN and device.type == "cuda":
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
            elif type(child) in _PLAIN or type(child).__name__ == "BatchNormAct2d":  # timm's, which is no dependency
                child.__class__ = SharedBatchNorm  # keeps whatever else it holds
            else:
                raise Unsupported(
                    f"several devices cannot share the statistics of a {type(child).__name__}: choose another encoder, "
                    f"or --devices 1"
                )


def normalise(
    norm: _BatchNorm, x: Float[Tensor, "b c ..."], counted: Float[Tensor, "n c ..."]
) -> Float[Tensor, "b c ..."]:
    """What a layer makes of its input.

    Args:
        norm: Whose parameters and running statistics are used, and moved in training.
        x: To be normalised.
        counted: What of it counts in the statistics; may be empty.
    """
    if not norm.training and norm.running_mean is not None:
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    others, shape = [i for i in range(x.ndim) if i != 1], [1, -1, *[1] * (x.ndim - 2)]
    wide = counted.to(torch.promote_types(x.dtype, torch.float32))
    own = wide.new_full((1,), counted.numel() // counted.shape[1])
    *_, total, number = sum_of(torch.cat([wide.sum(others), own])).split([x.shape[1], 1])
    number = number.detach()
    mean = total / number
    variance = sum_of((wide - mean.view(shape)).square().sum(others)) / number
    _follow(norm, mean.detach(), variance.detach() * number / (number - 1).clamp(min=1))
    y = (x.to(wide.dtype) - mean.view(shape)) * torch.rsqrt(variance + norm.eps).view(shape)
    if norm.affine:
        y = y * norm.weight.view(shape) + norm.bias.view(shape)
    return y.to(x.dtype)


@torch.no_grad()
def _follow(norm: _BatchNorm, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"]) -> None:
    """Move the running statistics, if the layer has any."""
    if not norm.track_running_stats or norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    for running, value in ((norm.running_mean, mean), (norm.running_var, variance)):
        running.mul_(1 - share).add_(value, alpha=share)

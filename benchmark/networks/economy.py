"""How networks are computed, not what they compute: compiled, or with activations made twice.

Activations that are made twice give, on a CPU, the same bits. A compiled network adds in another order: losses of a
step agree to about 1e-5 of their size.
"""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from wsss.benchmark.errors import Unsupported
from wsss.benchmark.networks.image import ImageNetwork
from wsss.benchmark.networks.point_transformer import PointTransformer


@contextmanager
def compiled(method: nn.Module, device: torch.device, wanted: bool) -> Iterator[None]:
    """Within it the trained image networks run through torch.compile, if that is wanted.

    Networks of points do not, whose shapes are others in every step; nor do teachers, nor what is scored later.

    Raises:
        Unsupported: The compiler does not work on this machine.
    """
    networks = [one for one in method.modules() if isinstance(one, ImageNetwork)] if wanted else []
    if networks:
        _try_compiler(device)
    trained = [one for one in networks if any(p.requires_grad for p in one.parameters())]
    for network in trained:
        network.compile(options={"fallback_random": True})  # dropout draws what it draws without
    try:
        yield
    finally:
        for network in trained:
            network._compiled_call_impl = None


def _try_compiler(device: torch.device) -> None:
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.zeros(2, device=device))
    except Exception as error:  # each of its many parts has errors of its own
        raise Unsupported(
            f"torch.compile does not work on {device} here ({type(error).__name__}): install a C++ compiler, and on a "
            f"GPU triton, or leave out --compile"
        ) from error


def recompute(method: nn.Module) -> None:
    """Keep no activations inside the blocks of image encoders and point networks: they are made again going back."""
    for module in list(method.modules()):
        if isinstance(module, PointTransformer):
            module.checkpointing = True
        elif isinstance(module, ImageNetwork):
            for block in blocks(module.encoder):
                block.forward = partial(_twice, block, block.forward)


def blocks(encoder: nn.Module) -> list[nn.Module]:
    """The composite modules that an encoder strings together in lists and sequences, the outermost of each."""
    found = []
    for child in encoder.children():
        strung = isinstance(encoder, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        if strung and not isinstance(child, nn.Sequential | nn.ModuleList) and len(list(child.children())) > 1:
            found.append(child)
        else:
            found += blocks(child)
    return found


def _twice(block: nn.Module, forward: Any, *inputs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs)
    contexts: tuple[AbstractContextManager, AbstractContextManager] = (nullcontext(), _statistics_kept(block))
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=lambda: contexts)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Within it running statistics do not move: they have been moved by the first pass."""
    norms = [one for one in block.modules() if isinstance(one, _BatchNorm)]
    before = [(one.momentum, copy.deepcopy(one.num_batches_tracked)) for one in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and batches is not None:
                norm.num_batches_tracked.copy_(batches)

"""Initial weights of the point network from a checkpoint of Pointcept or Rewis3d. What was asked for or an error."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsss.benchmark.errors import UsageError

_CONTAINERS = ("state_dict", "model_state_dict", "model")
"""Where training programs keep the state dict beside epoch and optimiser."""
_FIRST = "embedding.stem.conv.weight"
_TEACHERS = ("teacher", "ema")


def load(network: nn.Module, path: Path) -> None:
    """Load a checkpoint into a network that has a ``backbone`` and a ``seg_head``.

    Whatever stands before ``embedding.stem.conv.weight`` in the file (``module.backbone.``, ``student.``, ...) is the
    prefix of the backbone; of a student and its teacher the student is taken. Every weight of the backbone must be
    there and fit. The head is taken over where it has as many classes, and else keeps its initial weights.

    Args:
        network: Changed in place, or not at all.
        path: Of a state dict, alone or inside a training checkpoint of tensors and plain values.

    Raises:
        UsageError: The file is missing or damaged, or its weights are not those of this backbone.
    """
    stored = _state_dict(path)
    prefix = _prefix(stored, path)
    backbone, head = network.get_submodule("backbone"), network.get_submodule("seg_head")
    own = backbone.state_dict()
    chosen = {name: _fitting(stored, prefix, name, tensor, path) for name, tensor in own.items()}
    before = prefix.removesuffix("backbone.") + "seg_head."
    heads = {name: stored.get(before + name) for name in head.state_dict()}
    backbone.load_state_dict(chosen)
    if all(found is not None and found.shape == head.state_dict()[name].shape for name, found in heads.items()):
        head.load_state_dict(heads)


def _state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name."""
    if not path.is_file():
        raise UsageError(f"weights {str(path)!r}: no such file; give the path of a checkpoint, or none")
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, unpickling and end-of-file errors have no common base
        raise UsageError(
            f"weights {path}: not a readable state dict ({type(error).__name__}); store it with torch.save as tensors "
            f"and plain values alone"
        ) from error
    for container in _CONTAINERS:
        if isinstance(stored, dict) and isinstance(stored.get(container), dict):
            stored = stored[container]
    tensors = stored.items() if isinstance(stored, dict) else ()
    return {name: tensor for name, tensor in tensors if isinstance(tensor, Tensor)}


def _prefix(stored: dict[str, Tensor], path: Path) -> str:
    """What stands before the names of the backbone."""
    found = [name.removesuffix(_FIRST) for name in stored if name.endswith(_FIRST)]
    students = [prefix for prefix in found if not set(prefix.split(".")) & set(_TEACHERS)] or found
    if not students:
        raise UsageError(
            f"weights {path}: no name ends in {_FIRST}; give a Point Transformer V3 with Pointcept's names"
        )
    if len(students) > 1:
        raise UsageError(
            f"weights {path}: several backbones, {', '.join(map(repr, sorted(students)))}; store the one to use alone"
        )
    return students[0]


def _fitting(stored: dict[str, Tensor], prefix: str, name: str, own: Tensor, path: Path) -> Tensor:
    """The stored weight of a name, which must have the shape of the network's own."""
    found = stored.get(prefix + name)
    if found is None and name.endswith("num_batches_tracked"):  # counts; nothing here reads it
        return own
    if found is None:
        raise UsageError(f"weights {path}: {prefix}{name} is missing; choose the size of network that was stored")
    if found.shape == own.shape:
        return found
    if name == _FIRST and found.shape[:-1] == own.shape[:-1]:
        raise UsageError(
            f"weights {path}: the first layer takes {found.shape[-1]} channels, this network's {own.shape[-1]}; give a "
            "checkpoint that was trained on coordinates and colours alone"
        )
    raise UsageError(
        f"weights {path}: {prefix}{name} has the shape {tuple(found.shape)}, not {tuple(own.shape)}; choose the size "
        "of network that was stored"
    )

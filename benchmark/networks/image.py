"""The image segmenter: any architecture and encoder of segmentation-models-pytorch behind one small interface."""

import wsss.benchmark.torchvision_on_cpu  # noqa: F401  (before anything that imports torchvision)

# isort: split
import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from jaxtyping import Float
from segmentation_models_pytorch.base import SegmentationModel
from segmentation_models_pytorch.encoders.mix_transformer import MixVisionTransformerEncoder
from torch import Tensor, nn

from wsss.benchmark.errors import Unsupported, UsageError, unknown_name
from wsss.benchmark.networks import weights
from wsss.benchmark.randomness import seed_of
from wsss.benchmark.spec import NetworkConfig

ARCHITECTURES: dict[str, Callable[..., SegmentationModel]] = {
    name: cls for name, cls in vars(smp).items() if isinstance(cls, type) and issubclass(cls, SegmentationModel)
}
_WIDTH_ARGUMENTS = {  # what segmentation-models-pytorch calls the width of a decoder that has one
    "FPN": ("decoder_pyramid_channels", "decoder_segmentation_channels"),
    "Segformer": ("decoder_segmentation_channels",),
    "DeepLabV3": ("decoder_channels",),
    "DeepLabV3Plus": ("decoder_channels",),
    "UPerNet": ("decoder_channels",),
    "PAN": ("decoder_channels",),
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of a batch of images."""

    low: Float[Tensor, "b c h w"]
    """Logits at the decoder's own stride, over the padded image."""
    features: Float[Tensor, "b d h w"]
    """The decoder's last features, which ``low`` is a 1x1 or 3x3 convolution of."""
    padded: tuple[int, int]
    size: tuple[int, int]

    @property
    def logits(self) -> Float[Tensor, "b c H W"]:
        """Logits at image resolution, bilinear."""
        full = F.interpolate(self.low, self.padded, mode="bilinear", align_corners=False)
        return full[..., : self.size[0], : self.size[1]]

    def pad(self, maps: Float[Tensor, "b d H W"], value: float) -> Float[Tensor, "b d P Q"]:
        """Maps at image resolution over the padded image, ``value`` where the network padded."""
        below, right = (padded - side for padded, side in zip(self.padded, self.size, strict=True))
        return F.pad(maps, (0, right, 0, below), value=value)


@dataclass(frozen=True, slots=True)
class Attention:
    """Where one stage of a transformer encoder looks: the mean over its blocks and heads."""

    weights: Float[Tensor, "b q k"]
    """Of every key for a query; each row sums to 1."""
    queries: tuple[int, int]
    """(rows, columns) of the queries' grid over the padded image."""
    keys: tuple[int, int]
    """(rows, columns) of the keys' grid, which is coarser or the same."""


class ImageNetwork(nn.Module):
    """A segmenter of RGB images in [0, 1]; normalises by itself and takes any size.

    Args:
        model: A model of segmentation-models-pytorch whose head starts with a convolution.
        mean: Per channel, of the encoder's training images.
        std: Per channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: SegmentationModel, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        head = model.segmentation_head
        if not isinstance(head, nn.Sequential) or not isinstance(head[0], nn.Conv2d):
            raise UsageError(
                f"{type(model).__name__} has a head that is not a convolution: choose another architecture"
            )
        self.encoder, self.decoder, self.classifier = _module(model.encoder), _module(model.decoder), head[0]
        self.stride = max(32, int(getattr(model.encoder, "output_stride", 32)))
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Prediction:
        """Segment images of any size; sides are padded to a multiple of the stride by repeating the border."""
        height, width = image.shape[-2:]
        x = (image - self.mean) / self.std
        x = F.pad(x, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        features = self.decoder(self.encoder(x.contiguous(memory_format=torch.channels_last)))
        return Prediction(self.classifier(features), features, (x.shape[-2], x.shape[-1]), (height, width))

    def attend(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Prediction, tuple[Attention, ...]]:
        """Segment as ``forward`` does, and say where each stage of the encoder looked, the finest first.

        Raises:
            Unsupported: The encoder has no self-attention, of which ``has_attention`` tells beforehand, or hides it.
        """
        stages = _attention_modules(self.encoder)
        if not stages:
            raise Unsupported(f"{type(self.encoder).__name__} has no self-attention: choose an encoder of mit_b0 to b5")
        maps: list[list[Tensor]] = [[] for _ in stages]
        handles = [
            module.register_forward_pre_hook(_keep_mean_over_heads(found))
            for found, modules in zip(maps, stages, strict=True)
            for module in modules
        ]
        try:
            prediction = self.forward(image)  # not compiled, which would pass over the hooks
        finally:
            for handle in handles:
                handle.remove()
        if not any(maps):
            raise Unsupported(
                f"{type(self.encoder).__name__} computes no attention maps in this version of "
                f"segmentation-models-pytorch: install the one in constraints.txt"
            )
        return prediction, tuple(_mean_attention(found, prediction.padded) for found in maps if found)


def image_network(config: NetworkConfig, classes: int, seed: int) -> ImageNetwork:
    """Build the segmenter with initial weights that depend on ``config``, ``classes`` and ``seed`` alone.

    Raises:
        UsageError: Unknown architecture or encoder, or weights that cannot be had; never another set of weights.
    """
    if config.architecture not in ARCHITECTURES:
        raise unknown_name("architecture", config.architecture, ARCHITECTURES)
    if not config.encoder.startswith("tu-") and config.encoder not in smp.encoders.encoders:
        raise unknown_name("encoder", config.encoder, smp.encoders.encoders)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "initial weights"))
        model = _build(config, classes)
    mean, std = weights.load(_module(model.encoder), config)
    network = ImageNetwork(model, mean, std)
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  (torch has no overload)


def has_attention(config: NetworkConfig) -> bool:
    """Whether the encoder has self-attention whose maps ``ImageNetwork.attend`` can give."""
    entry = smp.encoders.encoders.get(config.encoder)
    return entry is not None and issubclass(entry["encoder"], MixVisionTransformerEncoder)


def _attention_modules(encoder: nn.Module) -> list[list[nn.Module]]:
    """Per stage of a Mix Transformer the modules that its attention maps enter."""
    if not isinstance(encoder, MixVisionTransformerEncoder):
        return []
    stages = (encoder.block1, encoder.block2, encoder.block3, encoder.block4)
    return [[_module(block.get_submodule("attn.attn_drop")) for block in stage] for stage in stages]


def _keep_mean_over_heads(found: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor]], None]:
    """A hook of the dropout behind the softmax: what enters it is the map itself, so that nothing is computed twice."""

    def keep(_: nn.Module, inputs: tuple[Tensor]) -> None:
        found.append(inputs[0].mean(1))

    return keep


def _mean_attention(maps: list[Tensor], padded: tuple[int, int]) -> Attention:
    """The mean over blocks, and the grids, whose cells are squares that tile the padded image."""
    mean = functools.reduce(torch.add, maps) / len(maps)
    sides = [math.isqrt(padded[0] * padded[1] // tokens) for tokens in mean.shape[1:]]
    queries, keys = [(padded[0] // side, padded[1] // side) for side in sides]
    return Attention(mean, queries, keys)


def _module(value: Tensor | nn.Module) -> nn.Module:
    assert isinstance(value, nn.Module)
    return value


def _build(config: NetworkConfig, classes: int) -> SegmentationModel:
    architecture = ARCHITECTURES[config.architecture]
    width = dict.fromkeys(_WIDTH_ARGUMENTS.get(config.architecture, ()), config.channels)
    assert set(width) <= set(inspect.signature(architecture).parameters)
    try:
        return architecture(config.encoder, encoder_weights=None, classes=classes, **width)
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"segmentation-models-pytorch cannot build {config.architecture} on {config.encoder}: {error}"
        ) from error

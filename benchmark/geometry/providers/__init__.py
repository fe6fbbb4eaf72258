"""Where the points of a scene come from: one file, one provider, found by name.

A module of this folder defines one frozen dataclass that satisfies ``Geometry``; its fields are the provider's settings
and its file name is the provider's name everywhere.
"""

import hashlib
import importlib
import json
import pkgutil
from typing import Any, ClassVar, Protocol, runtime_checkable

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import unknown_name
from wsss.benchmark.spec import to_plain
from wsss.benchmark.types import PointCloud, Scene


@runtime_checkable
class Geometry(Protocol):
    """A source of points with its settings."""

    VERSION: ClassVar[int]
    """Raised when the same settings come to give other points: cached clouds of other versions no longer count."""

    def points(self, dataset: Dataset, scene: Scene) -> PointCloud:
        """The points of a scene.

        Frames that could not be placed have no points; a scene without any gives an empty cloud.

        Raises:
            Unsupported: The dataset lacks what the provider needs, or a package or weights are not installed; the text
                says what to do.
            DatasetError: A file is damaged or missing.
        """
        ...


@runtime_checkable
class Measuring(Protocol):
    """A provider whose points are those of the range sensor, so that other sweeps are other points."""

    MEASURES: ClassVar[bool]


@runtime_checkable
class Traced(Protocol):
    """A provider whose points come from weights and a package, which the record of each cloud names."""

    def provenance(self) -> dict[str, str]:
        """Facts by name.

        Raises:
            Unsupported: The weights are missing.
        """
        ...


def names() -> list[str]:
    """The providers there are."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))


def load(name: str) -> type[Any]:
    """The class of the provider of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in names():
        raise unknown_name("geometry", name, names())
    module = importlib.import_module(f"{__name__}.{name}")
    found: list[Any] = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "points")
    ]
    (provider,) = found
    return provider


def name_of(geometry: Geometry) -> str:
    """The provider's file name."""
    return type(geometry).__module__.rpartition(".")[2]


def digest(geometry: Geometry) -> str:
    """Identity of a provider with its settings: what its points depend on beside the scene."""
    facts = {"name": name_of(geometry), "version": geometry.VERSION, "settings": to_plain(geometry)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

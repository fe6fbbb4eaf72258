"""What a grid of runs consists of: columns are datasets, rows are methods, and seeds repeat them."""

from dataclasses import dataclass, field
from typing import Any, Literal

from wsss.benchmark.spec import EvalConfig, NetworkConfig, PointsConfig, TrainConfig
from wsss.benchmark.types import WeakKind


@dataclass(frozen=True, kw_only=True)
class Column:
    """One dataset of a suite."""

    dataset: str
    labels: tuple[WeakKind, ...]
    train: TrainConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    evaluate: EvalConfig = field(default_factory=EvalConfig)
    points: PointsConfig = field(default_factory=PointsConfig)
    """For methods that learn from points."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table: a method, in an ablation with settings of its own."""

    name: str
    """Key of the row, and its results' folder."""
    method: str
    title: str | None = None
    """As printed; None for the method's own."""
    config: dict[str, Any] = field(default_factory=dict)
    """Fields of the method's Config that are not its defaults."""
    points: PointsConfig | None = None
    """In place of the column's."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One table: columns, seeds, and a title that says which data it is."""

    name: str
    title: str
    data: Literal["miniature", "real"]
    columns: tuple[Column, ...]
    seeds: tuple[int, ...]
    without: tuple[str, ...] = ()
    """Methods that it leaves out, to be short."""
    rows: tuple[Row, ...] = ()
    """In place of a row for every method there is: an ablation."""
    size: Literal["full", "half", "tiny"] = "full"
    """Of the miniature."""
    grows: bool = False
    """Whether runs of earlier calls stay in the plan: for single runs that a user collects in one table."""

    @property
    def kind(self) -> str:
        """Which data it is made of: ``real``, ``miniature-full``, ..."""
        return self.data if self.data == "real" else f"{self.data}-{self.size}"

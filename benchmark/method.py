"""The contract of a method: one row of the table, written as the losses it minimises.

The harness owns data, network, optimiser, precision, schedule, checkpoints and evaluation, so that two methods can
only differ in what this contract lets them say.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from wsss.benchmark.batch import Batch, Preparation
from wsss.benchmark.networks import ImageNetwork, PointNetwork
from wsss.benchmark.spec import NetworkConfig
from wsss.benchmark.types import Classes

Predictor = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b c h w"]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the harness gives every method: the label space and the same networks with the same initial weights."""

    classes: Classes
    image_network: Callable[[], ImageNetwork]
    """Each call builds the network anew with identical initial weights."""
    point_network: Callable[[], PointNetwork] | None = None
    """Likewise, with an output for each of ``classes.on_surfaces``; None for a method of images alone."""


class Method(nn.Module, ABC):
    """One row of the table. State lives in parameters and buffers, so checkpoints and resume need no code here.

    A module in ``methods/`` defines one subclass and one frozen dataclass ``Config`` whose fields have defaults and
    docstrings; the file name is the method's name everywhere.
    """

    title: ClassVar[str]
    """As printed in tables."""
    paper: ClassVar[str]
    """Who proposed it, and where."""
    url: ClassVar[str]
    Config: ClassVar[type]
    supervision: ClassVar[Literal["weak", "dense"]] = "weak"
    """``dense`` marks a ceiling: it trains on the dense labels and appears once, not once per kind of weak label."""
    geometry: ClassVar[Literal["reconstruction", "sensor"] | None] = None
    """Where ``batch.points`` comes from; None for a method of images alone."""
    version: ClassVar[int] = 1
    """Raise it when the method's mathematics change: stored results of other versions no longer count."""

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__()
        self.config = config
        self.task = task

    @classmethod
    def obstacle(cls, network: NetworkConfig) -> str | None:
        """Why the method cannot train such a network, as tables print it beside ``n/a``; None if it can."""
        return None

    @abstractmethod
    def losses(self, batch: Batch, progress: float) -> Mapping[str, Tensor]:
        """Named, already weighted, scalar terms; their sum is minimised.

        Every term must move a trainable weight. ``progress`` runs from 0 to 1 over training. On several devices each
        has its part of the batch: a mean is taken with ``distributed.mean_over``, and whether a term exists must not
        hang on one part alone (``distributed.anywhere``).
        """

    @abstractmethod
    def predict(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Logits at image resolution from RGB in [0, 1] alone: geometry is a training signal, never a test input."""

    def predictors(self) -> Mapping[str, Predictor]:
        """The networks to score, by name; the first is the one in the tables."""
        return {"student": self.predict}

    def preparation(self) -> Preparation | None:
        """What the loader's processes shall do for every batch, so that a training step need not; by default nothing.

        It must be a function of the batch alone and picklable, for example a frozen dataclass with ``__call__`` in a
        helper module that does not import the networks: every process of the loader gets a copy. Its result is
        ``batch.prepared``, which is None where a batch was made without it, as in tests: ``losses`` then calls it
        itself and comes to the same values.
        """
        return None

    def after_step(self, step: int) -> None:
        """Called after the optimiser's step number ``step`` (from 1), for example to move a teacher."""

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Optimiser groups; by default every trainable parameter at ``lr``."""
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": lr}]

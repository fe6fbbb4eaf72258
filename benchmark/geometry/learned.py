"""What providers that run a reconstruction network share: their settings, and the way from a scene to its points."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.geometry import pretrained, views, worlds
from wsss.benchmark.geometry.views import Chunk, Selection
from wsss.benchmark.geometry.worlds import Reconstruction
from wsss.benchmark.types import Camera, PointCloud, Scene

Cameras = Sequence[Camera | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned(ABC):
    """Points of a network that sees the images of a scene chunk by chunk, and cameras if it is to."""

    VERSION: ClassVar[int]
    DISTRIBUTION: ClassVar[str]
    """The package's name where it is installed from."""

    weights: str
    """A repository of the Hugging Face hub, or a folder."""
    revision: str | None = None
    """Commit of the repository."""
    sha256: str | None = None
    """What the weights must hash to; pins them in the digest of the points."""
    selection: Selection | None = None
    """None: the dataset's row of ``views.SELECTIONS``."""
    posed: bool = False
    """Hand over intrinsics and poses where the dataset has them; implies ``align``."""
    align: bool = False
    """Lay every chunk onto the dataset's poses; otherwise chunks are kept apart, as in the paper."""
    dropped: float = 10
    """Percent of every view's points to drop, the least confident ones."""

    def points(self, dataset: Dataset, scene: Scene) -> PointCloud:
        """The points of a scene's chunks, each one pass of the network; ``worlds.together`` says in which world.

        Raises:
            Unsupported: Package, weights or what the network needs of the dataset are missing, or one image alone is
                too large.
            DatasetError: An image is damaged or missing.
        """
        cameras: Cameras = dataset.cameras(scene) if self.posed else (None,) * len(scene.frames)
        self._check(dataset, scene, cameras)
        chunks = views.chunks(scene, self.selection or views.SELECTIONS.get(dataset.name, views.OTHERWISE))
        network = self._network()
        found = worlds.reconstruct(
            scene.frames, chunks, lambda chunk: self._reconstruct(network, dataset, scene, chunk, cameras)
        )
        return worlds.together(dataset, scene, found, align=self.align or self.posed)

    def provenance(self) -> dict[str, str]:
        """For the record: package, its version, the weights' name and their SHA-256.

        Raises:
            Unsupported: The weights are missing.
        """
        return {"weights": self.weights, **pretrained.provenance(self.DISTRIBUTION, self._folder())}

    def _folder(self) -> Path:
        return pretrained.folder(self.weights, self.revision, self.sha256)

    def _check(self, dataset: Dataset, scene: Scene, cameras: Cameras) -> None:
        """Raise Unsupported where the network cannot do what the settings ask for; most can."""
        return

    @abstractmethod
    def _network(self) -> Any:
        """The network with its weights, on the device."""

    @abstractmethod
    def _reconstruct(
        self, network: Any, dataset: Dataset, scene: Scene, chunk: Chunk, cameras: Cameras
    ) -> Reconstruction:
        """One pass over a chunk; ``cameras`` has one entry per frame of the scene, None where it is not handed over."""

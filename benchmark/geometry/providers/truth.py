"""The rendered depth of a miniature as points: what a perfect reconstruction would give. For ablations alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import DatasetError, Unsupported, UsageError
from wsss.benchmark.geometry.clouds import FRAMES, around_labels, assemble, from_depth
from wsss.benchmark.geometry.poses import placed
from wsss.benchmark.geometry.true_depth import is_miniature, read_truth, truth_path
from wsss.benchmark.randomness import stream
from wsss.benchmark.types import PointCloud, Scene


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The true surface behind every pixel of the labelled frames of a scene and of the video around them."""

    VERSION: ClassVar[int] = 1

    noise: float = 0.0
    """Standard deviation of the depth's error, relative; each pixel draws its own."""
    frames_per_scene: int = FRAMES
    """Frames of a scene that give points: the labelled ones, however many, and then those nearest to them."""

    def __post_init__(self) -> None:
        if not 0 <= self.noise < 1:
            raise UsageError(f"Truth: noise must be at least 0 and below 1, not {self.noise}")

    def points(self, dataset: Dataset, scene: Scene) -> PointCloud:
        """The points of a scene, with confidence 1.

        Where the dataset gives no poses, those that are estimated from the images place the true depth.

        Raises:
            Unsupported: The data is no miniature, or its poses have no scale.
            DatasetError: A file is damaged or missing.
        """
        if not is_miniature(dataset.root):
            raise Unsupported(
                f"{dataset.title}: {dataset.root} is not a miniature, and only a miniature knows its true depth; "
                "choose another geometry, or build one with `wsss data --miniature`"
            )
        used = around_labels(scene, self.frames_per_scene)
        placement = placed(dataset, scene, used)
        if not placement.metric:
            raise Unsupported(f"{dataset.title}: the poses of scene {scene.id} have no scale that fits the true depth")
        views = []
        for index in used:
            camera = placement.cameras[index]
            if camera is None or camera.world_from_camera is None:
                continue
            depth = self._depth(dataset.root, scene.frames[index].id)
            views.append(from_depth(index, depth, np.ones_like(depth), camera))
        return assemble(dataset, scene, views, up=placement.up, metric=True)

    def _depth(self, root: Path, frame: str) -> Float[np.ndarray, "h w"]:
        depth = read_truth(root, frame)
        if depth is None:
            raise DatasetError(
                f"{truth_path(root, frame)} is missing or damaged; delete the miniature and build it again"
            )
        if self.noise:
            # Errors of several deviations would otherwise put points behind the camera.
            error = np.clip(stream(0, "truth", frame).normal(size=depth.shape), -3, 3)
            depth = depth * np.maximum(1 + self.noise * error, 0.1)
        return depth

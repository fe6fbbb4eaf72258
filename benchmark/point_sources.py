"""From what a suite says of points to the clouds that a run learns from."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Literal

from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.geometry import providers
from wsss.benchmark.geometry.cache import Clouds, Failure
from wsss.benchmark.networks import point_network, weights
from wsss.benchmark.spec import PointNetworkConfig, PointsConfig, from_plain, to_plain
from wsss.benchmark.types import Classes


def resolve(geometry: Literal["reconstruction", "sensor"] | None, points: PointsConfig) -> PointsConfig | None:
    """What a method of that geometry sees, every setting of the provider present; None if it learns from no points.

    Raises:
        UsageError: There is no such provider or setting.
    """
    if geometry is None:
        return None
    if geometry == "sensor" and points.geometry != "sensor":
        points = replace(points, geometry="sensor", settings={})
    return replace(points, settings=to_plain(provider(points)))


def provider(points: PointsConfig) -> providers.Geometry:
    """The provider with its settings.

    Raises:
        UsageError: There is no such provider or setting.
    """
    cls = providers.load(points.geometry)
    return from_plain(cls, {**to_plain(cls()), **points.settings}, f"settings of {points.geometry}")


@cache
def initial_weights(network: PointNetworkConfig, classes: Classes, seed: int) -> str:
    """Digest of the weights that the network of points starts from."""
    return weights.digest(point_network(network, len(classes.on_surfaces), seed))


def prepare(clouds: Clouds, jobs: int, progress: Callable[[int, int], None]) -> BenchmarkError | None:
    """Make the clouds of the training scenes that are missing; the reason why nothing can be trained if one failed."""
    dataset = clouds.dataset
    scenes = [scene for scene in dataset.scenes("train") if any(frame.labelled for frame in scene.frames)]
    results = clouds.prepare(scenes, jobs, progress)
    failed = [(result.scene, result.outcome.error) for result in results if isinstance(result.outcome, Failure)]
    if not failed:
        return None
    scene, error = failed[0]
    what = f"points of {providers.name_of(clouds.geometry)}"
    return BenchmarkError(
        f"{len(failed)} of {len(scenes)} scenes of {dataset.name} have no {what}; the first is {scene}: {error}"
    )

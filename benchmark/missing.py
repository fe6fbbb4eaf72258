"""What the runs of a suite need and this disk does not hold: data, sensors, poses, weights. Nothing is fetched."""

from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from wsss.benchmark import point_sources
from wsss.benchmark.dataset import Dataset, DatasetMissing
from wsss.benchmark.errors import BenchmarkError, Unsupported
from wsss.benchmark.geometry import pretrained, providers
from wsss.benchmark.geometry.learned import Learned
from wsss.benchmark.networks import presence
from wsss.benchmark.planning import Run
from wsss.benchmark.spec import PointsConfig


def missing(runs: Iterable[Run]) -> list[str]:
    """One sentence per thing that stands in the way of planned runs, without repetition, in the order of the tables."""
    wanted = [run for run in runs if not run.cell.skip]
    found = [*_data(wanted), *_weights(wanted), *_points(wanted)]
    return list(dict.fromkeys(found))


def _data(runs: list[Run]) -> Iterator[str]:
    for run in runs:
        name, obstacle = run.cell.dataset, run.obstacle
        if isinstance(obstacle, DatasetMissing):
            yield f"{name}: {obstacle.missing} does not exist; `wsss data {name}` says where to get it"
        elif obstacle is not None:
            yield str(obstacle)
        elif run.dataset is None:
            yield f"{name}: the miniature is not built yet; `wsss run` builds it"


def _weights(runs: list[Run]) -> Iterator[str]:
    """Of the networks that training starts from."""
    for run in runs:
        if reason := presence.missing(run.column.network):
            yield reason
        points = run.row.points or run.column.points
        path = points.network.weights
        if run.method.geometry is not None and path != "none" and not Path(path).is_file():
            yield f"weights {path!r} of the point network: no such file"


def _points(runs: list[Run]) -> Iterator[str]:
    """What the sources of points need beside the images."""
    for run in runs:
        points = point_sources.resolve(run.method.geometry, run.row.points or run.column.points)
        if points is None:
            continue
        if points.geometry != "sensor":
            yield from _reconstructor(points)
        elif run.dataset is not None and (reason := _sensor(run.dataset)):
            yield reason


def _reconstructor(points: PointsConfig) -> Iterator[str]:
    """Package and weights of a reconstruction network."""
    source = point_sources.provider(points)
    if not isinstance(source, Learned):
        return
    try:
        metadata.version(source.DISTRIBUTION)
    except metadata.PackageNotFoundError:
        how = f"`wsss points DATASET --geometry {providers.name_of(source)}` says how to install it"
        yield f"the package {source.DISTRIBUTION} is not installed; {how}"
    try:
        pretrained.folder(source.weights, source.revision, None)
    except Unsupported as error:
        yield str(error)


def _sensor(dataset: Dataset) -> str | None:
    """Why the first labelled training frame has no sweep, or none that a pose places."""
    scene, index = next(
        (scene, index)
        for scene in dataset.scenes("train")
        for index, frame in enumerate(scene.frames)
        if frame.labelled
    )
    try:
        dataset.sweep(scene, index)
        cameras = dataset.cameras(scene)
    except BenchmarkError as error:
        return f"{dataset.name}, range sensor: {error}"
    if "poses" in dataset.sources and not any(camera and camera.world_from_camera is not None for camera in cameras):
        return f"{dataset.name}: scene {scene.id} has no poses on this disk; `wsss data {dataset.name}` shows the tree"
    return None

"""What the verb points does: make the clouds of a dataset, say how good they are, and draw them."""

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from wsss.benchmark.console import Display
from wsss.benchmark.data_commands import Where
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import BenchmarkError, UsageError, unknown_name
from wsss.benchmark.geometry import open3d, providers, quality, rerun_export, true_depth
from wsss.benchmark.geometry.cache import Clouds, Failure, Result
from wsss.benchmark.geometry.clouds import FRAMES, around_labels
from wsss.benchmark.geometry.poses import placed
from wsss.benchmark.geometry.rerun_scene import Content, Predictions
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import PointCloud, Scene, Split, WeakKind

FOLDER = Path("build/points")
SHOWN = Path("build/shown")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which clouds are meant, and what to do with them."""

    geometry: str
    """A provider of geometry."""
    scenes: tuple[str, ...]
    """All of the split if none is named."""
    split: Split
    labels: WeakKind
    seed: int
    """Of the weak labels."""
    show: bool
    """Draw a figure and write a PLY file per scene."""
    view: bool
    """Open a window per scene."""
    rrd: bool
    """Write a recording of rerun per scene."""
    predictions: Path | None
    """Folder of a finished run whose predictions stand in the recordings."""
    jobs: int
    """Processes; 0 for one per core."""


def make_points(console: Console, where: Where, wanted: Wanted) -> int:
    """Make what is missing, print a summary, and draw what is asked for; an exit code of 1 if a scene failed."""
    provider = providers.load(wanted.geometry)
    (name,) = where.names()
    if wanted.predictions is not None and not wanted.rrd:
        raise UsageError("--predictions are shown in recordings alone: name --rrd too")
    if wanted.rrd:
        rerun_export.module()  # before anything is made
    dataset = where.open(name, console)
    scenes, predictions = _scenes(dataset, wanted), {}
    if wanted.predictions is not None:
        predictions = rerun_export.read_predictions(wanted.predictions, dataset)
        scenes = _predicted(scenes, predictions, wanted)
    clouds = Clouds(dataset, provider(), FOLDER)
    with where.making(name, console), Display(0, console) as display:
        tell = lambda done, total: display.stage(f"points {name} {wanted.geometry}", done, total, "")  # noqa: E731
        results = clouds.prepare(scenes, wanted.jobs or os.cpu_count() or 1, tell)
    failed = {one.scene: one.outcome for one in results if isinstance(one.outcome, Failure)}
    for scene, failure in failed.items():
        console.print(f"{scene}: FAILED: {failure.error}", markup=False, highlight=False)
    made = [scene for scene in scenes if scene.id not in failed]
    if made:
        _summarise(console, dataset, clouds, made, results, wanted, predictions)
    console.print(f"{clouds.folder}", markup=False, highlight=False)
    return BenchmarkError.exit_code if failed else 0


def _scenes(dataset: Dataset, wanted: Wanted) -> list[Scene]:
    """The scenes meant, which have a labelled frame.

    Raises:
        UsageError: One that is named does not exist.
    """
    every = {scene.id: scene for scene in dataset.scenes(wanted.split)}
    for id in wanted.scenes:
        if id not in every:
            raise unknown_name("scene", id, every)
    chosen = [every[id] for id in wanted.scenes] if wanted.scenes else list(every.values())
    if not chosen:
        raise UsageError(f"{dataset.title} has no scene in {wanted.split}")
    return chosen


def _predicted(scenes: list[Scene], predictions: Predictions, wanted: Wanted) -> list[Scene]:
    """The scenes that hold a predicted frame.

    Raises:
        UsageError: None does.
    """
    found = [scene for scene in scenes if any(frame.id in predictions for frame in scene.frames)]
    if not found:
        raise UsageError(
            f"{wanted.predictions} has predictions of {', '.join(predictions) or 'no frame'}, none of them in these "
            f"scenes of {wanted.split}: choose another --split or --scene"
        )
    return found


def _summarise(
    console: Console,
    dataset: Dataset,
    clouds: Clouds,
    scenes: list[Scene],
    results: list[Result],
    wanted: Wanted,
    predictions: Predictions,
) -> None:
    """Print the quality of all scenes together, and draw them one by one."""
    supervision = None
    if wanted.split == "train":
        supervision = Supervision(dataset, wanted.labels, wanted.seed, Path("build/labels"))
        supervision.prepare(wanted.jobs or os.cpu_count() or 1)
    truth, parts = true_depth.of(dataset), []
    for scene in scenes:
        cloud = clouds.open(scene)
        labels = None if supervision is None else clouds.labels(scene, supervision)
        placement = placed(dataset, scene, around_labels(scene, FRAMES))
        parts.append(quality.measure(dataset, scene, cloud, labels, placement, truth))
        if wanted.show or wanted.rrd:
            content = Content(
                dataset=dataset, scene=scene, geometry=wanted.geometry, cloud=cloud, placement=placement,
                frames=around_labels(scene, FRAMES), labels=labels, weak=supervision.read if supervision else None,
                sensor=_sensed(dataset, scene, wanted.geometry), predictions=predictions,
            )  # fmt: skip
            _draw(console, content, wanted)
        if wanted.view:
            open3d.view(cloud, f"{dataset.title} {scene.id}")
    found = quality.total(parts)
    seconds = sum(one.outcome.seconds for one in results if not isinstance(one.outcome, Failure))
    points = sum(one.outcome.points for one in results if not isinstance(one.outcome, Failure))
    against = "true depth" if truth else "the range sensor"
    rows = {
        "scenes": f"{len(scenes)}, made in {seconds:.0f} s of work",
        "points": f"{points:,}, {found.labelled / max(points, 1):.2%} with a weak label",
        "coverage": f"{found.covered} of {found.frames} labelled frames have points, {found.density:.1%} of the pixels",
    }
    if found.right is not None:
        rows["depth"] = (
            f"{found.right:.1%} within {quality.CLOSE:.0%} of {against}, mean relative error {found.absrel:.3f}, "
            f"over {len(found.error):,}"
        )
    table = Table(show_header=False, box=None)
    for name, text in rows.items():
        table.add_row(name, text)
    console.print(table, highlight=False)


def _draw(console: Console, content: Content, wanted: Wanted) -> None:
    """Write what is asked for of a scene: a figure and a PLY file, a recording."""
    stem = SHOWN / f"points-{content.dataset.name}-{content.geometry}-{content.scene.id}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    if wanted.show:
        stem.with_name(stem.name + ".png").write_bytes(_figure(content))
        open3d.write_ply(stem.with_name(stem.name + ".ply"), content.cloud, content.labels)
        console.print(f"{stem}.png, .ply", markup=False, highlight=False)
    if wanted.rrd:
        rerun_export.write_rrd(stem.with_name(stem.name + ".rrd"), content)
        console.print(f"{stem}.rrd: look at it with rerun {stem}.rrd", markup=False, highlight=False)


def _figure(content: Content) -> bytes:
    """A PNG of the labelled frame with the most points."""
    from wsss.benchmark.report.cloud import draw
    from wsss.benchmark.report.style import paper_style, render

    dataset, scene, cloud = content.dataset, content.scene, content.cloud
    frames = [index for index, frame in enumerate(scene.frames) if frame.labelled]
    index = max(frames, key=lambda one: cloud.view(one).stop - cloud.view(one).start)
    image = dataset.image(scene.frames[index])
    depth = quality.depth_of(cloud, index, content.placement, (image.shape[0], image.shape[1]))
    title = f"{dataset.title}  {scene.frames[index].id}  {content.geometry}"
    with paper_style():
        colors = dataset.classes.colors
        figure = draw(title, image, index, depth, cloud, content.labels, colors, content.sensor)
        return render(figure)["png"]


def _sensed(dataset: Dataset, scene: Scene, geometry: str) -> PointCloud | None:
    """The range sensor's points, to stand beside a reconstruction."""
    if geometry == "sensor" or not dataset.sources & {"lidar", "depth", "stereo"}:
        return None
    return providers.load("sensor")().points(dataset, scene)

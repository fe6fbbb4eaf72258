"""What a run leaves for figures and page: one scene's points, and how good its points are. The report has no data.

    <results>/<suite>/points/<dataset>-<provider>.npz     points of one scene around a labelled frame, and its image
                                                  .json   what they are, and the quality over a sample of scenes

Both are written once per dataset and source of points, by whichever run comes first, and again if they are taken away;
nobody's result depends on them.
A source with other settings than its defaults has their digest in its name.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from wsss.benchmark import planning, samples
from wsss.benchmark.atomic import replacing, write_text
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.geometry import providers
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.quality import CLOSE
from wsss.benchmark.planning import Run
from wsss.benchmark.showcase_points import Look, arrays_of, look_at
from wsss.benchmark.spec import to_plain
from wsss.benchmark.types import IGNORE, Scene
from wsss.benchmark.workplace import OnProgress, Workplace

SCENES = 8
"""Scenes, evenly spaced over the training split, whose points are measured at their middle labelled frame."""


def write(run: Run, results: Path) -> Path | None:
    """Leave one scene's points and their quality beside the results, unless they are there.

    Args:
        run: That was or will be executed; its points are made.
        results: Folder of the results of all suites.

    Returns:
        The ``.npz`` file; None for a run that learns from no points.

    Raises:
        BenchmarkError: The dataset has no labelled training frame, its points were not made, or the disk is full.
    """
    if run.clouds is None or run.dataset is None or run.supervision is None:
        return None
    clouds, dataset = run.clouds, run.dataset
    path = _path(run, clouds, results)
    if _there(path):
        return path
    frames = _sample(dataset)
    looks = [look_at(clouds, scene, index) for scene, index in frames]
    # The same frame for every source of points: of those whose camera is known the one that shows the most classes.
    best = max(range(len(looks)), key=lambda place: (looks[place].placed, _classes(dataset, *frames[place])))
    arrays = arrays_of(clouds, run.supervision, looks[best])
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
    about = {
        "dataset": dataset.name,
        "provider": providers.name_of(clouds.geometry),
        "settings": to_plain(clouds.geometry),
        "digest": providers.digest(clouds.geometry),
        "metric": looks[best].cloud.metric,
        "scene": looks[best].scene.id,
        "frame": looks[best].scene.frames[looks[best].index].id,
        "points": len(arrays["xyz"]),
        **_quality(looks),
    }
    write_text(path.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
    return path


def complete(finished: list[Run], workplace: Workplace, on_progress: OnProgress) -> None:
    """Make again what finished runs left for figures and page and is gone; the points too, where that needs them.

    Raises:
        BenchmarkError: A scene has no points, or the disk is full.
    """
    for run in finished:
        samples.write_shared(run, workplace.results)
        if run.clouds is not None and not _there(_path(run, run.clouds, workplace.results)):
            write(planning.require(planning.with_points(run, workplace, on_progress)), workplace.results)


def source_name(clouds: Clouds) -> str:
    """``plane_sweep``; with other settings than the defaults also the first digits of their digest."""
    name, ours = providers.name_of(clouds.geometry), providers.digest(clouds.geometry)
    return name if ours == providers.digest(type(clouds.geometry)()) else f"{name}-{ours[:8]}"


def _path(run: Run, clouds: Clouds, results: Path) -> Path:
    return results / run.suite.name / "points" / f"{run.cell.dataset}-{source_name(clouds)}.npz"


def _there(path: Path) -> bool:
    """Whether the points and what is said of them exist."""
    return path.is_file() and path.with_suffix(".json").is_file()


def _sample(dataset: Dataset) -> list[tuple[Scene, int]]:
    """The middle labelled frame of some training scenes, evenly spaced."""
    scenes = [scene for scene in dataset.scenes("train") if any(frame.labelled for frame in scene.frames)]
    if not scenes:
        raise BenchmarkError(f"{dataset.root}: no labelled training frame; `wsss data {dataset.name}` shows the tree")
    number = min(SCENES, len(scenes))
    chosen = [scenes[int((place + 0.5) / number * len(scenes))] for place in range(number)]
    labelled = [[index for index, frame in enumerate(scene.frames) if frame.labelled] for scene in chosen]
    return [(scene, found[len(found) // 2]) for scene, found in zip(chosen, labelled, strict=True)]


def _classes(dataset: Dataset, scene: Scene, index: int) -> int:
    dense = dataset.dense(scene.frames[index])
    return 0 if dense is None else len(np.setdiff1d(np.unique(dense), IGNORE))


def _quality(looks: list[Look]) -> dict[str, Any]:
    """Coverage, accuracy and what confidence is worth, over the frames looked at; None for what nobody can know."""
    errors, areas, covered, pixels, points = [], [], 0, 0, 0
    for look in looks:
        own = look.cloud.pixel[look.own]
        pixels += look.image.shape[0] * look.image.shape[1]
        covered, points = covered + len(np.unique(own, axis=0)), points + len(own)
        error, confidence = _errors(look)
        errors.append(error)
        area = _area(confidence, error < CLOSE)
        areas += [] if area is None else [area]
    every = np.concatenate(errors)
    return {
        "scenes": len({look.scene.id for look in looks}),
        "frames": len(looks),
        "coverage": covered / pixels,
        "points_per_frame": points / len(looks),
        "against": next((look.against for look in looks if look.against), None),
        "compared": len(every),
        f"within_{round(100 * CLOSE)}": float((every < CLOSE).mean()) if len(every) else None,
        "abs_rel": float(every.mean()) if len(every) else None,
        "auroc": float(np.mean(areas)) if areas else None,
    }


def _errors(look: Look) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Relative errors of the depth of a frame's points that can be compared, and their confidence."""
    if look.depth is None or look.known is None:
        return np.zeros(0), np.zeros(0)
    there = look.known[tuple(look.cloud.pixel[look.own].T)]
    use = np.isfinite(there) & (look.depth > 0)
    depth, there, confidence = look.depth[use], there[use], look.cloud.confidence[look.own][use]
    if len(depth) and not look.cloud.metric:
        depth = depth * np.median(there / depth)
    return np.abs(depth - there) / there, confidence.astype(np.float64)


def _area(confidence: Float[np.ndarray, " k"], right: np.ndarray) -> float | None:
    """Area under the ROC curve of confidence for being right, ties counting half; None if nothing is to be told."""
    good, bad = int(right.sum()), int((~right).sum())
    if not good or not bad or np.ptp(confidence) == 0:
        return None
    return float((rankdata(confidence)[right].sum() - good * (good + 1) / 2) / (good * bad))

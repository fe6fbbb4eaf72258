"""What passes over Rewis3d's bridge: whose labels are right where points and pixels meet.

`python docs/findings/bridge.py DATASET MINIATURES [--steps N] [--seed S] [--config FIELD=JSON ...]` trains on four
fifths of the training scenes of a miniature and asks on the others, so that the validation split stays unseen. It
prints one row of Markdown.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsss.benchmark import IGNORE, Dataset, discovery, point_sources
from wsss.benchmark.devices import fabric_of
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.samples import sample
from wsss.benchmark.grid import Column
from wsss.benchmark.loader import TrainingSet
from wsss.benchmark.measures import count
from wsss.benchmark.randomness import stream
from wsss.benchmark.records import RunFolder
from wsss.benchmark.runner import build
from wsss.benchmark.spec import RunSpec, to_plain
from wsss.benchmark.statistics import iou
from wsss.benchmark.suites import FULL_MINIATURE
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.trainer import Runtime, train
from wsss.benchmark.types import Scene, Split

WORK = Path("build/findings")
HELD_OUT = 5
"""One scene in so many is asked and not trained on."""
COLUMNS = ("2D mIoU", "3D mIoU", "2D right", "3D right", "3D right where 2D is wrong", "2D right where 3D is wrong")


def held_out(name: str, root: Path) -> Dataset:
    """A dataset whose validation scenes are some of its training scenes."""
    cls = discovery.dataset(name)

    def scenes(self: Dataset, split: Split) -> tuple[Scene, ...]:
        found = enumerate(cls.scenes(self, "train"))
        return tuple(scene for i, scene in found if (i % HELD_OUT == 0) == (split == "val"))

    return type(cls.__name__, (cls,), {"scenes": scenes, "__module__": cls.__module__})(root)


def trained(
    dataset: Dataset, column: Column, method: str, seed: int, config: dict[str, Any], folder: Path
) -> tuple[Any, Clouds | None]:
    """A method trained on the column's scribbles, or a ceiling on dense labels, and the clouds that it learned from."""
    cls = discovery.method(method)
    labels = "full" if cls.supervision == "dense" else "scribbles"
    points = point_sources.resolve(cls.geometry, column.points)
    run = RunSpec(
        dataset=column.dataset, data="miniature", labels=labels, method=method, seed=seed, train=column.train,
        network=column.network, config=to_plain(cls.Config(**config)), points=points,
    )  # fmt: skip
    supervision = Supervision(dataset, labels, seed, WORK / "labels")
    supervision.prepare(1)
    clouds = None
    if points is not None:
        clouds = Clouds(dataset, point_sources.provider(points), WORK / "points")
        scenes = [*dataset.scenes("train"), *dataset.scenes("val")]
        clouds.prepare(scenes, 1)
    made = build(cls, run, dataset)
    data = TrainingSet(supervision, run.train, seed, made.preparation(), clouds, points.sampling if points else None)
    fabric = fabric_of(Runtime(device="cpu"), "32-true")
    train(made, data, run, RunFolder(folder), fabric, Runtime(), lambda *news: None)
    return made.eval(), clouds


@torch.no_grad()
def asked(method: Any, clouds: Clouds, dataset: Dataset, column: Column, seed: int) -> dict[str, float]:
    """Shares over the pixels of held-out frames that points lie on, by the teachers' hard labels."""
    supervision = Supervision(dataset, "scribbles", seed, WORK / "labels", "val")
    supervision.prepare(1)
    sampling = replace(column.points.sampling, kind="view")
    counts = {name: np.zeros((len(dataset.classes), 3), np.int64) for name in ("2D", "3D")}
    both = np.zeros((2, 2), np.int64)
    for scene in dataset.scenes("val"):
        for number, frame in enumerate(scene.frames):
            if not frame.labelled:
                continue
            points = sample(clouds, supervision, scene, number, sampling, stream(seed, "bridge", frame.id))
            dense, image = dataset.dense(frame), torch.from_numpy(dataset.image(frame)).permute(2, 0, 1)[None] / 255
            assert dense is not None
            pixels = method.teacher(image).logits.argmax(1)[0].numpy().astype(np.uint8)
            counts["2D"] += count(pixels, dense, len(dataset.classes))
            shown = points.pixel[:, 0] >= 0
            if not bool(shown.any()):
                continue
            row, column_ = points.pixel[shown].T.numpy()
            logits = method.point_teacher(points.xyz, points.rgb, points.image)[shown]
            said = method.train_id_of[logits.argmax(1)].numpy().astype(np.uint8)
            truth = dense[row, column_]
            counts["3D"] += count(said[None], truth[None], len(dataset.classes))
            known = truth != IGNORE
            right = np.stack([pixels[row, column_] == truth, said == truth])[:, known].astype(int)
            np.add.at(both, tuple(right), 1)
    total = both.sum()
    return {
        "2D mIoU": float(np.nanmean(iou(counts["2D"]))),
        "3D mIoU": float(np.nanmean(iou(counts["3D"]))),
        "2D right": both[1].sum() / total,
        "3D right": both[:, 1].sum() / total,
        "3D right where 2D is wrong": both[0, 1] / max(both[0].sum(), 1),
        "2D right where 3D is wrong": both[1, 0] / max(both[:, 0].sum(), 1),
    }


def main() -> None:
    """Train, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("miniatures", type=Path)
    parser.add_argument("--method", default="rewis3d")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--geometry", default="plane_sweep")
    parser.add_argument("--config", nargs="*", default=[])
    given = parser.parse_args()
    config = {name: json.loads(value) for name, value in (pair.split("=") for pair in given.config)}
    (column,) = (one for one in FULL_MINIATURE.columns if one.dataset == given.dataset)
    steps = given.steps or column.train.steps
    points = replace(column.points, geometry=given.geometry)
    column = replace(column, train=replace(column.train, steps=steps), points=points)
    dataset = held_out(given.dataset, given.miniatures / given.dataset)
    name = f"{given.dataset}-{given.method}-{given.geometry}-{steps}-{given.seed}-{'-'.join(given.config)}"
    method, clouds = trained(dataset, column, given.method, given.seed, config, WORK / name.replace("=", "_"))
    assert clouds is not None, f"{given.method} learns from no points"
    found = asked(method, clouds, dataset, column, given.seed)
    cells = [given.dataset, given.geometry, str(steps), str(given.seed), " ".join(given.config) or "default"]
    print("| " + " | ".join([*cells, *(f"{100 * found[name]:.1f}" for name in COLUMNS)]) + " |", flush=True)


if __name__ == "__main__":
    main()

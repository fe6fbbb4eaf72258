"""How well a method does on training scenes that it does not see: for choices that must not see the validation split.

`python docs/findings/held_out.py DATASET MINIATURES METHOD [--steps N] [--seed S] [--batch B] [--crop R C]` trains on
four fifths of the training scenes of a miniature and scores every predictor on the others, per class.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bridge import WORK, held_out, trained

from wsss.benchmark.evaluate import evaluate
from wsss.benchmark.spec import EvalConfig
from wsss.benchmark.statistics import iou
from wsss.benchmark.suites import FULL_MINIATURE


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("miniatures", type=Path)
    parser.add_argument("method")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, nargs=2)
    parser.add_argument("--budget", type=int, default=2048)
    parser.add_argument("--config", nargs="*", default=[], metavar="FIELD=JSON")
    given = parser.parse_args()
    config = {name: json.loads(value) for name, value in (pair.split("=") for pair in given.config)}
    (column,) = (one for one in FULL_MINIATURE.columns if one.dataset == given.dataset)
    crop = tuple(given.crop or column.train.crop)
    points = replace(column.points, sampling=replace(column.points.sampling, budget=given.budget))
    train = replace(column.train, steps=given.steps, batch=given.batch, crop=crop)
    dataset = held_out(given.dataset, given.miniatures / given.dataset)
    settings = (given.dataset, given.method, given.steps, given.batch, *crop, given.seed, given.budget, *given.config)
    folder = WORK / "-".join(map(str, settings)).replace("=", "_")
    column = replace(column, train=train, points=points)
    method, _ = trained(dataset, column, given.method, given.seed, config, folder)
    counts, _ = evaluate(method.predictors(), dataset, EvalConfig(), torch.device("cpu"), set(), lambda *news: None)
    for predictor, table in counts.tables.items():
        scores = 100 * iou(table.sum(0))
        print(f"{given.method} {predictor}, seed {given.seed}: mIoU {np.nanmean(scores):.1f}")
        for name, score in zip(dataset.classes.names, scores, strict=True):
            print(f"  {name:20} {score:5.1f}")


if __name__ == "__main__":
    main()

"""What the page's slider shows: image, weak labels, predictions and truth of every stored frame."""

from typing import Any

import numpy as np
from PIL import Image

from wsss.benchmark.report.embedded import NARROWEST, base64_text, png, run_lengths
from wsss.benchmark.report.pictures import Sample, read_samples, shown_column
from wsss.benchmark.report.results import Results

BUDGET = 1_300_000
"""Bytes of all frames before base64 adds a third."""
WIDEST = 960
"""Pixels of a frame on the page."""


def frames(results: Results) -> list[dict[str, Any]]:
    """By dataset: title, classes, colours and frames; datasets without stored pictures are left out.

    A frame's image is a PNG, its label maps are run lengths of train ids that the page paints: that is smaller, and the
    page can name the class under the pointer. All are scaled down alike until they fit ``BUDGET`` together.

    Raises:
        BenchmarkError: A stored picture is damaged.
    """
    read = []
    for name in results.plan.datasets:
        column = shown_column(results, name)
        samples = [s for s in read_samples(results, column) if s.predictions] if column else []
        if column and samples:
            read.append((name, column.labels, samples))
    widest = WIDEST
    while True:
        found = [_dataset(results, name, labels, samples, widest) for name, labels, samples in read]
        if sum(_size(dataset) for dataset in found) <= BUDGET * 4 / 3 or widest < NARROWEST:
            return found
        widest = round(widest * 0.8)


def _dataset(results: Results, name: str, labels: str, samples: list[Sample], widest: int) -> dict[str, Any]:
    about = results.plan.datasets[name]
    return {
        "title": results.dataset_title(name),
        "labels": labels,
        "classes": about["classes"],
        "colors": about["colors"],
        "frames": [_frame(results, sample, widest) for sample in samples],
    }


def _frame(results: Results, sample: Sample, widest: int) -> dict[str, Any]:
    height, width = sample.truth.shape
    scale = min(1.0, widest / width)
    rows, columns = round(height * scale), round(width * scale)
    image = Image.fromarray(sample.image)
    if scale < 1:
        image = image.resize((columns, rows), Image.Resampling.LANCZOS)
    # The nearest pixel: an average of train ids would be another class.
    down = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    across = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    ordered = [name for name in results.plan.methods if name in sample.predictions]

    def ids(array: np.ndarray) -> str:
        return base64_text(run_lengths(array[down[:, None], across]))

    return {
        "title": sample.frame,
        "width": columns,
        "height": rows,
        "image": base64_text(png(image)),
        "weak": ids(sample.weak),
        "truth": ids(sample.truth),
        "predictions": [[results.method_title(name), ids(sample.predictions[name])] for name in ordered],
    }


def _size(dataset: dict[str, Any]) -> int:
    return sum(
        len(frame["image"])
        + len(frame["weak"])
        + len(frame["truth"])
        + sum(len(ids) for _, ids in frame["predictions"])
        for frame in dataset["frames"]
    )

"""The stored pictures of one frame, and what the qualitative figure makes of them. Arrays only, no drawing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageFilter

from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.report.results import Column, Results
from wsss.benchmark.types import IGNORE

IGNORE_GREY = (64, 64, 64)
"""Where nobody annotated the truth."""
RIGHT, WRONG, IGNORED = 0, 1, 2
ERROR_COLORS = ((222, 235, 247), (213, 94, 0), IGNORE_GREY)
"""Of right, wrong and ignored pixels: apart in lightness, for colour-blind readers and prints in grey."""
LEAST = 0.002
"""A class counts as visible in a picture from this share of its pixels."""
FINEST = 800
"""Columns of a picture in a figure, at most; insets are cut from the picture itself."""
REACH = {"points": 1 / 60, "scribbles": 1 / 250, "coarse": 0.0}
"""How far weak labels are grown to be seen, as a share of the image's height."""
ZOOM = 5
"""The inset shows a window of this fraction of the image."""
LABEL_ORDER = ("scribbles", "points", "coarse")
"""The first kind that a dataset was trained with is the one that is shown."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One frame as stored: train ids throughout, IGNORE where there are none."""

    frame: str
    image: UInt8[np.ndarray, "h w 3"]
    weak: UInt8[np.ndarray, "h w"]
    truth: UInt8[np.ndarray, "h w"]
    predictions: dict[str, UInt8[np.ndarray, "h w"]]
    """By method; a method without a picture of this frame is absent."""


def shown_column(results: Results, dataset: str) -> Column | None:
    """The column of a dataset whose predictions are shown; None without a finished weakly-supervised run."""
    done = [
        column
        for column in results.columns
        if column.dataset == dataset and any(results.done(column, name) for name in results.weak_methods)
    ]
    known = [column for kind in LABEL_ORDER for column in done if column.labels == kind]
    return known[0] if known else None


def read_samples(results: Results, column: Column) -> list[Sample]:
    """Every frame whose image, truth and weak labels are stored, in order of name.

    Raises:
        BenchmarkError: A picture is damaged, or not of the image's size.
    """
    samples = []
    runs = {}
    for name in (*results.weak_methods, *results.ceilings):
        done = results.done(column, name)
        if done:
            runs[name] = done[min(done)]
    seeds = sorted({run.cell.seed for run in runs.values()})
    root = results.folder / "samples" / column.dataset
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        weak = [folder / f"weak-{column.labels}-{seed}.png" for seed in seeds]
        weak = [path for path in weak if path.is_file()]
        if not weak or not (folder / "image.png").is_file() or not (folder / "truth.png").is_file():
            continue
        image = _read(folder / "image.png", "RGB")
        stored = {name: run.folder / "samples" / f"{folder.name}.png" for name, run in runs.items()}
        samples.append(
            Sample(
                frame=folder.name,
                image=image,
                weak=_read(weak[0], "L", image.shape[:2]),
                truth=_read(folder / "truth.png", "L", image.shape[:2]),
                predictions={n: _read(p, "L", image.shape[:2]) for n, p in stored.items() if p.is_file()},
            )
        )
    return samples


def _read(path: Path, mode: str, size: tuple[int, ...] | None = None) -> UInt8[np.ndarray, "..."]:
    try:
        with Image.open(path) as picture:
            # A palette image's indices are the train ids; converting would turn them into shades of grey.
            array = np.asarray(picture.convert(mode) if mode == "RGB" else picture)
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: not a picture ({error}); delete it and rerun") from error
    if mode == "L" and (array.ndim != 2 or array.dtype != np.uint8):
        raise BenchmarkError(f"{path}: not an 8-bit picture of train ids; delete it and rerun")
    if size is not None and array.shape[:2] != size:
        raise BenchmarkError(f"{path}: {array.shape[:2]} pixels where its image has {size}; delete it and rerun")
    return array


def paint(ids: UInt8[np.ndarray, "h w"], colors: UInt8[np.ndarray, "classes 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Train ids in the dataset's colours, anything else in dark grey."""
    table = np.tile(np.array(IGNORE_GREY, dtype=np.uint8), (256, 1))
    table[: len(colors)] = colors
    return table[ids]


def overlay_weak(
    image: UInt8[np.ndarray, "h w 3"],
    weak: UInt8[np.ndarray, "h w"],
    kind: str,
    colors: UInt8[np.ndarray, "classes 3"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Weak labels in full colour over the image, dimmed and greyed; thin labels are grown to be seen."""
    reach = int(np.ceil(REACH.get(kind, 0.0) * weak.shape[0]))
    grown = Image.fromarray(weak)
    for _ in range(reach):
        grown = grown.filter(ImageFilter.MinFilter(3))  # IGNORE is the largest id, so labels spread into it
    ids = np.where(weak == IGNORE, np.asarray(grown), weak)
    dimmed = 0.3 * image + 0.3 * image.mean(axis=-1, keepdims=True) + 60
    return np.where((ids == IGNORE)[..., None], dimmed.clip(0, 255).astype(np.uint8), paint(ids, colors))


def errors(prediction: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Per pixel RIGHT, WRONG, or IGNORED where the truth is unknown."""
    found = np.where(prediction == truth, RIGHT, WRONG)
    return np.where(truth == IGNORE, IGNORED, found).astype(np.uint8)


def accuracy(prediction: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"]) -> float:
    """Share of right pixels among those whose truth is known; NaN if none is."""
    found = errors(prediction, truth)
    known = np.count_nonzero(found != IGNORED)
    return np.count_nonzero(found == RIGHT) / known if known else float("nan")


def visible(pictures: Iterable[UInt8[np.ndarray, "_ _"]], classes: int) -> list[int]:
    """The classes that a reader can see in at least one picture of train ids, in order."""
    shares = [np.bincount(ids.ravel(), minlength=256)[:classes] / ids.size for ids in pictures]
    return np.flatnonzero(np.max(shares, axis=0) >= LEAST).tolist() if shares else []


def reduced(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Every so many-th pixel of a picture that is finer than print."""
    step = -(-picture.shape[1] // FINEST)
    return picture[::step, ::step]


def disagreement(sample: Sample) -> Float64[np.ndarray, "h w"]:
    """Per pixel, 1 minus the share of the most frequent prediction; 0 where the truth is unknown.

    With a single prediction, whether it is wrong.
    """
    predictions = np.stack(list(sample.predictions.values()))
    if len(predictions) == 1:
        spread = (predictions[0] != sample.truth).astype(np.float64)
    else:
        votes = np.stack([(predictions == p).sum(axis=0) for p in predictions]).max(axis=0)
        spread = 1 - votes / len(predictions)
    return np.where(sample.truth == IGNORE, 0.0, spread)


def zoom_window(sample: Sample) -> tuple[int, int, int, int]:
    """The window with the largest summed disagreement: (first row, first column, rows, columns).

    The uppermost and leftmost of several equal ones; the centre if all methods agree.
    """
    height, width = sample.truth.shape
    rows, columns = max(1, height // ZOOM), max(1, width // ZOOM)
    spread = disagreement(sample)
    if not spread.any():
        return (height - rows) // 2, (width - columns) // 2, rows, columns
    table = np.zeros((height + 1, width + 1))
    table[1:, 1:] = spread.cumsum(0).cumsum(1)
    sums = table[rows:, columns:] - table[:-rows, columns:] - table[rows:, :-columns] + table[:-rows, :-columns]
    # Rounding merges sums that differ only by the order of addition, so that ties stay ties on every machine.
    row, column = np.unravel_index(np.argmax(sums.round(6)), sums.shape)
    return int(row), int(column), rows, columns

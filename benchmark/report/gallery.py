"""The gallery of points: per dataset a frame's image, depth and confidence, and the points seen from behind and above.

Drawn from what ``showcase.py`` leaves beside a suite's results; the datasets themselves are not needed.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.report.pictures import paint, visible
from wsss.benchmark.report.raised_view import Outlook, render
from wsss.benchmark.report.results import Results
from wsss.benchmark.report.sheet import Sheet, draw_legend, legend_height
from wsss.benchmark.report.style import hide_ticks, plain_text, remark

SENSOR = "sensor"
"""The source that stands beside the reconstructions."""
COLUMNS = ("Image", "Depth", "Confidence", "Points", "Points by class", "Sensor by class")
NEAREST, FARTHEST = 0.5, 80.0
"""Ends of the colour bar of depth, metres."""
NOTHING = (0.86, 0.86, 0.86)
"""Where no point is."""
UNLABELLED = (214, 214, 214)
"""Points whose pixel has no class, or whose frame no annotation."""


NEEDED = ("xyz", "rgb", "label", "image", "camera")
MAPS = ("depth", "depth_confidence")
"""Pictures that a source may lack."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One scene's points as stored; ``showcase_points.arrays_of`` explains the arrays."""

    source: str
    """Where the points come from, as in the file's name."""
    metric: bool
    """Whether their lengths are metres."""
    arrays: dict[str, np.ndarray]


def read(results: Results, dataset: str) -> list[Shown]:
    """Every source of points that a dataset's runs left, the range sensor last.

    Raises:
        BenchmarkError: A file is damaged, or one of the two that belong together is missing.
    """
    mine = results.point_files(dataset, ".npz")
    found = [_read(path, path.stem.removeprefix(f"{dataset}-")) for path in mine]
    return sorted(found, key=lambda one: one.source == SENSOR)


def _read(path: Path, source: str) -> Shown:
    try:
        facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in (*NEEDED, *stored.files)}
        nothing = np.full(arrays["image"].shape[:2], np.nan, np.float16)
        arrays = {**dict.fromkeys(MAPS, nothing), "pixel": np.full((len(arrays["xyz"]), 2), -1, np.int16), **arrays}
        lengths = {len(arrays[name]) for name in ("xyz", "rgb", "label", "pixel")}
        pictures = {arrays[name].shape[:2] for name in ("image", *MAPS)}
        if len(lengths) > 1 or len(pictures) > 1 or arrays["camera"].shape != (4, 4):
            raise ValueError("its arrays do not fit each other")
        return Shown(source=source, metric=bool(facts["metric"]), arrays=arrays)
    except Exception as error:  # a damaged archive raises nearly anything
        raise BenchmarkError(f"{path}: cannot be read with its .json ({error}); delete both and rerun") from error


def gallery(results: Results) -> Figure | None:
    """A row per dataset and reconstruction; None where no run left points."""
    rows: list[tuple[str, Shown, Shown | None]] = []
    for dataset in results.plan.datasets:
        shown = read(results, dataset)
        sensor = next((one for one in shown if one.source == SENSOR), None)
        others = [one for one in shown if one.source != SENSOR] or shown
        rows += [(dataset, one, sensor if one is not sensor else None) for one in others]
    if not rows:
        return None
    legends = [_classes(results, dataset, one, sensor) for dataset, one, sensor in rows]
    shapes = [one.arrays["image"].shape[0] / one.arrays["image"].shape[1] for _, one, _ in rows]
    sheet = Sheet(shapes, len(COLUMNS), [legend_height(names) for names, _ in legends], below=0.42)
    for axes, title in zip(sheet.grid[0], COLUMNS, strict=True):
        axes.set_title(title, fontsize=7.5, pad=3)
    for place, (dataset, one, sensor) in enumerate(rows):
        title = results.dataset_title(dataset)
        several = sum(other == dataset for other, _, _ in rows) > 1
        sheet.name_row(place, f"{title}\n{one.source}" if several else title)
        _row(sheet.grid[place], results, dataset, one, sensor)
        draw_legend(sheet.figure, *legends[place], top=sheet.bottoms[place])
    _bars(sheet)
    return sheet.figure


def _classes(
    results: Results, dataset: str, one: Shown, sensor: Shown | None
) -> tuple[list[str], list[tuple[int, int, int]]]:
    """Names and colours of the classes that the points of a row have."""
    about = results.plan.datasets[dataset]
    ids = [shown.arrays["label"][None] for shown in (one, sensor) if shown and len(shown.arrays["label"])]
    kept = visible(ids, len(about["classes"]))
    names, colors = [about["classes"][i] for i in kept], [tuple(about["colors"][i]) for i in kept]
    return [*names, "no class known"], [*colors, UNLABELLED]


def _row(line: list[Axes], results: Results, dataset: str, one: Shown, sensor: Shown | None) -> None:
    arrays = one.arrays
    for axes in line:
        hide_ticks(axes)
    for axes in line[3:]:  # white pictures on white paper
        for spine in axes.spines.values():
            spine.set(visible=True, edgecolor="#C8C8C8", linewidth=0.5)
    line[0].imshow(arrays["image"], aspect="auto")
    depth, confidence = arrays["depth"].astype(float), arrays["depth_confidence"].astype(float)
    _values(line[1], depth, "viridis_r", LogNorm(NEAREST, FARTHEST))
    _values(line[2], confidence, "cividis", Normalize(0, 1))
    if not np.isfinite(depth).any():
        for axes in line[1:3]:
            remark(axes, "not known")
    colors = np.array(results.plan.datasets[dataset]["colors"], np.uint8)
    outlook = Outlook.behind(arrays)
    size = (2 * arrays["image"].shape[0], 2 * arrays["image"].shape[1])
    line[3].imshow(render(arrays["xyz"], arrays["rgb"], outlook, size), aspect="auto")
    line[4].imshow(render(arrays["xyz"], _by_class(arrays, colors), outlook, size), aspect="auto")
    if sensor is None:
        remark(line[5], "none")
        return
    beside = sensor.arrays
    # Each cloud stands in axes of its own; what both share is the camera.
    theirs = Outlook.behind(beside)
    if one.metric and sensor.metric:
        theirs = Outlook.behind(beside, outlook)
    line[5].imshow(render(beside["xyz"], _by_class(beside, colors), theirs, size), aspect="auto")


def _values(axes: Axes, values: Float[np.ndarray, "h w"], name: str, norm: Normalize) -> None:
    picture = matplotlib.colormaps[name](norm(values))[..., :3]
    picture = np.where(np.isfinite(values)[..., None], picture, NOTHING)
    axes.imshow(picture, aspect="auto", interpolation="antialiased")


def _by_class(arrays: dict[str, np.ndarray], colors: UInt8[np.ndarray, "classes 3"]) -> UInt8[np.ndarray, "n 3"]:
    ids = arrays["label"]
    painted = paint(ids[None], colors)[0]
    return np.where((ids >= len(colors))[:, None], np.array(UNLABELLED, np.uint8), painted)


def _bars(sheet: Sheet) -> None:
    """One colour bar under the column of depth and one under that of confidence."""
    depth = ScalarMappable(LogNorm(NEAREST, FARTHEST), "viridis_r")
    rank = ScalarMappable(Normalize(0, 1), "cividis")
    for column, mappable, ticks, label in ((1, depth, (1, 3, 10, 30), "metres"), (2, rank, (0, 0.5, 1), "rank")):
        axes = sheet.under(column, height=0.07, gap=0.06)
        bar = sheet.figure.colorbar(mappable, cax=axes, orientation="horizontal")
        bar.set_ticks(list(ticks), labels=[plain_text(f"{tick:g}") for tick in ticks])
        bar.minorticks_off()
        bar.ax.tick_params(labelsize=6, length=2, pad=1)
        bar.set_label(label, fontsize=6.5, labelpad=0.5)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]

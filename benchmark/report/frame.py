"""One frame of a dataset as a picture: image, dense labels, the weak labels, and the range sensor's points."""

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry.sweeps import Seen, seen
from wsss.benchmark.report.pictures import overlay_weak, paint
from wsss.benchmark.report.style import remark
from wsss.benchmark.types import WEAK_KINDS, Frame, Scene, WeakKind

ACROSS = 3
INCHES = 3.4
"""Width of a panel."""


def draw(dataset: Dataset, scene: Scene, index: int, seed: int = 0) -> Figure:
    """A sheet of six panels for frame ``index`` of a scene; a panel that cannot be drawn says why.

    Args:
        dataset: Whose frame it is.
        scene: The frame's scene.
        index: The frame's place in it.
        seed: Of derived weak labels.
    """
    frame = scene.frames[index]
    image, dense = dataset.image(frame), dataset.dense(frame)
    colors = np.array(dataset.classes.colors, np.uint8)
    height = INCHES * image.shape[0] / image.shape[1] + 0.25
    figure = Figure(figsize=(ACROSS * INCHES, 2 * height + 0.5), layout="constrained", dpi=200)
    panels = figure.subplots(2, ACROSS).ravel()
    _panel(panels[0], "image", image)
    _panel(panels[1], "dense labels", image if dense is None else paint(dense, colors))
    if dense is None:
        remark(panels[1], "not labelled")
    for axes, kind in zip(panels[2:5], WEAK_KINDS, strict=True):
        _weak(axes, dataset, frame, kind, seed, image, colors)
    _points(panels[5], dataset, scene, index, image)
    figure.suptitle(f"{dataset.title}  {frame.id}")
    return figure


def _panel(axes: Axes, title: str, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()


def _weak(
    axes: Axes,
    dataset: Dataset,
    frame: Frame,
    kind: WeakKind,
    seed: int,
    image: UInt8[np.ndarray, "h w 3"],
    colors: UInt8[np.ndarray, "classes 3"],
) -> None:
    if kind not in dataset.labels or not frame.labelled:
        _panel(axes, kind, image)
        remark(axes, "not labelled" if kind in dataset.labels else f"{dataset.title} has no {kind}")
        return
    weak = dataset.weak(frame, kind, seed)
    _panel(axes, f"{kind}: {dataset.weak_source(kind)}", overlay_weak(image, weak, kind, colors))


def _points(axes: Axes, dataset: Dataset, scene: Scene, index: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Points coloured by depth over a dimmed image, nearest on top."""
    camera, reason, found = dataset.cameras(scene)[index], "", None
    try:
        sweep = dataset.sweep(scene, index)
        if sweep is None or camera is None:
            reason = "no sweep at this frame" if sweep is None else "no calibration"
        else:
            found = seen(sweep, camera, (image.shape[0], image.shape[1]))
    except Unsupported as error:
        reason = str(error)
    grey = np.repeat(image.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    name = next((source for source in ("lidar", "depth", "stereo") if source in dataset.sources), "range sensor")
    _panel(axes, name if found is None else f"{name}: {len(found.depth):,} points", grey)
    if found is None:
        remark(axes, reason)
        return
    _scatter(axes, found, image.shape[1])


def _scatter(axes: Axes, found: Seen, columns: int) -> None:
    order = np.argsort(-found.depth, kind="stable")
    size = (INCHES * 72 / columns) ** 2  # one pixel of the image in square points
    near, far = np.quantile(found.depth, (0.02, 0.98)) if len(order) else (0.0, 1.0)
    dots = axes.scatter(
        found.pixel[order, 1], found.pixel[order, 0], s=max(size, 0.3), c=found.depth[order], cmap="turbo_r",
        vmin=near, vmax=far, marker="s", linewidths=0,
    )  # fmt: skip
    bar = axes.figure.colorbar(dots, ax=axes, fraction=0.03, pad=0.01)
    bar.set_label("depth, m")

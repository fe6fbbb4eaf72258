"""What points from images look like: `python docs/figures/geometry.py MINIATURES OUT [KITTI_RAW]`.

Writes three pictures into the folder ``OUT``: ``geometry_miniatures.png`` of the first validation scene of every
miniature below ``MINIATURES``, ``geometry_motorcycle.png`` of scikit-image's stereo pair, and, where ``KITTI_RAW`` has
a drive of that dataset, ``geometry_kitti.png``. All are made by plane-sweep stereo with its default settings.
"""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from PIL import Image

from wsss.benchmark import IGNORE, Dataset, Scene, discovery
from wsss.benchmark.geometry import quality, true_depth
from wsss.benchmark.geometry.cache import lift
from wsss.benchmark.geometry.clouds import around_labels
from wsss.benchmark.geometry.poses import Placement, placed
from wsss.benchmark.geometry.providers.plane_sweep import PlaneSweep
from wsss.benchmark.geometry.sweep_stereo import Settings, View, reconstruct
from wsss.benchmark.geometry.sweeps import seen
from wsss.benchmark.report.pictures import paint
from wsss.benchmark.report.style import hide_ticks, paper_style
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import PointCloud

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from kitti_raw import MATRIX, KittiRaw  # pyright: ignore[reportMissingImports]

DATASETS = ("waymo", "kitti360", "nyuv2", "cityscapes")
TITLES = ("Image", "Depth", "Confidence", "True depth", "Error of the depth")
WORST = 0.2
"""Relative error at the end of the colour bar."""
NOTHING = "0.92"
"""Grey of pixels without a value, and of points without a label."""
REACH = 1.2
"""How far the pictures from above reach, in depths below which 95 % of the view are."""
METRES = (1, 2, 5, 10, 20, 50, 100, 200)
"""Ticks of depth."""
SMALL = 6.5
"""Points of the text below panels."""
DPI = 165
"""Dots per inch of the pictures."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One view of a scene with the points that it saw."""

    dataset: Dataset
    scene: Scene
    frame: int
    image: UInt8[np.ndarray, "h w 3"]
    cloud: PointCloud
    placement: Placement
    scale: float
    """Metres per unit of the cloud."""
    depth: Float[np.ndarray, "h w"]
    """Along the optical axis, NaN where there is no point; in metres or, scaled to fit, nearly so."""
    confidence: Float[np.ndarray, "h w"]
    truth: Float[np.ndarray, "h w"]
    """NaN where nobody knows."""

    @property
    def error(self) -> Float[np.ndarray, "h w"]:
        """Relative error of the depth."""
        return np.abs(self.depth - self.truth) / self.truth


def seen_from(
    dataset: Dataset,
    scene: Scene,
    frame: int,
    truth: Float[np.ndarray, "h w"],
    cloud: PointCloud,
    placement: Placement,
) -> Shown:
    """A scene's points by plane-sweep stereo, seen from one of its frames; scaled if their scale is unknown."""
    image = dataset.image(scene.frames[frame])
    own, size = cloud.view(frame), (image.shape[0], image.shape[1])
    pixel, scale = tuple(cloud.pixel[own].T), 1.0
    depth, confidence = np.full(size, np.nan), np.full(size, np.nan)
    if own.stop > own.start:
        along = quality.depth_of(cloud, frame, placement, size)
        assert along is not None  # the placement is the one that the points were made with
        depth[pixel], confidence[pixel] = along, cloud.confidence[own]
        scale = 1.0 if cloud.metric else float(np.nanmedian(truth / depth))
    return Shown(
        dataset=dataset, scene=scene, frame=frame, image=image, cloud=cloud, placement=placement, scale=scale,
        depth=scale * depth, confidence=confidence, truth=truth,
    )  # fmt: skip


def miniature(root: Path, name: str) -> Shown:
    """The middle labelled frame of a miniature's first validation scene in which it is placed among others."""
    dataset, provider = discovery.dataset(name)(root / name), PlaneSweep()
    for scene in dataset.scenes("val"):
        labelled = [index for index, frame in enumerate(scene.frames) if frame.labelled]
        frame = labelled[len(labelled) // 2]
        placement = placed(dataset, scene, around_labels(scene, provider.frames_per_scene))
        if placement.piece.count(placement.piece[frame]) > 1:
            break
    else:
        raise SystemExit(f"no middle labelled frame of {name}'s validation scenes is placed among others")
    truth = true_depth.read_truth(dataset.root, scene.frames[frame].id)
    assert truth is not None
    truth = np.where(np.isfinite(truth), truth, np.nan)
    return seen_from(dataset, scene, frame, truth, provider.points(dataset, scene), placement)


def miniatures(shown: Sequence[Shown]) -> Figure:
    """One row per dataset, five panels of the view and two from above."""
    heights = [max(one.image.shape[0] / one.image.shape[1], 0.45) for one in shown]
    figure = Figure(figsize=(11.5, 1.75 * sum(heights) + 0.3 * len(shown) + 0.3), layout="constrained")
    grid = figure.subplots(len(shown), 7, squeeze=False, width_ratios=(1.75,) * 5 + (1.0,) * 2, height_ratios=heights)
    for axes, title in zip(grid[0], (*TITLES, "From above", "Dense labels"), strict=True):
        axes.set_title(title)
    for line, one in zip(grid, shown, strict=True):
        _view(line[:5], one)
        ids = lift(one.cloud, one.scene, Supervision(one.dataset, "full", 0, Path(), "val"))
        known = ids != IGNORE  # video between the labelled frames has none
        painted = paint(ids[None], np.array(one.dataset.classes.colors, np.uint8))[0] / 255
        _above(line[5], one, one.cloud.rgb / 255)
        _above(line[6], one, np.where(known[:, None], painted, float(NOTHING)))
        line[0].set_ylabel(one.dataset.title)
    return figure


def _view(line: Sequence[Axes], one: Shown) -> None:
    """Image, depth, confidence, true depth and error."""
    near, far = np.nanquantile(one.truth, (0.02, 0.98))
    line[0].imshow(one.image)
    hide_ticks(line[0])
    _values(line[1], one.depth, _depths(near, far))
    low, high = np.nanquantile(one.confidence, (0.02, 0.98)) if np.isfinite(one.confidence).any() else (0.0, 1.0)
    _values(line[2], one.confidence, Scale("viridis", Normalize(low, high), ""))
    _values(line[3], one.truth, _depths(near, far, "m"))
    _values(line[4], 100 * one.error, ERRORS)
    error = one.error[np.isfinite(one.error)]
    line[1].set_xlabel(f"{np.isfinite(one.depth).mean():.0%} of the pixels", fontsize=SMALL, labelpad=2)
    if len(error):
        right = f"{(error < quality.CLOSE).mean():.0%} within {quality.CLOSE:.0%}"
        line[4].set_xlabel(right, fontsize=SMALL, labelpad=2)


@dataclass(frozen=True)
class Scale:
    """How values become colours."""

    colours: str
    norm: Normalize
    unit: str | None = None
    """Of the colour bar; None for no bar."""


ERRORS = Scale("inferno", Normalize(0, 100 * WORST), "%")


def _depths(near: float, far: float, unit: str | None = None) -> Scale:
    return Scale("turbo_r", LogNorm(near, far), unit)


def _values(axes: Axes, picture: np.ndarray, scale: Scale, side: int = 1) -> None:
    """Values per pixel on grey; sparse ones each on ``side`` x ``side`` pixels, the lowest on top."""
    filled = np.nan_to_num(picture, nan=np.inf).astype(np.float32)
    window = np.ones((side, side), np.uint8)
    filled = cv2.erode(filled, window, borderType=cv2.BORDER_CONSTANT, borderValue=float("inf"))
    axes.set_facecolor(NOTHING)
    drawn = axes.imshow(np.where(np.isfinite(filled), filled, np.nan), cmap=scale.colours, norm=scale.norm)
    hide_ticks(axes)
    if scale.unit is None:
        return
    bar = axes.figure.colorbar(drawn, cax=axes.inset_axes((1.015, 0, 0.025, 1)))
    if isinstance(scale.norm, LogNorm):
        assert scale.norm.vmin is not None and scale.norm.vmax is not None
        bar.set_ticks([tick for tick in METRES if scale.norm.vmin <= tick <= scale.norm.vmax], minor=False)
        bar.set_ticks([], minor=True)
        bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(labelsize=5.5, length=1.5, pad=1)
    bar.ax.set_title(scale.unit, fontsize=5.5, fontweight="normal", pad=2)


def _above(axes: Axes, one: Shown, colours: np.ndarray, beside: np.ndarray | None = None) -> None:
    """Points from above: the camera is at the middle of the lower edge and looks up the picture.

    Args:
        axes: Of the panel.
        one: Whose points.
        colours: Per point, in [0, 1].
        beside: Other points in the camera's axes, in metres, drawn in grey below.
    """
    camera = one.placement.cameras[one.frame]
    hide_ticks(axes)
    if camera is None or camera.world_from_camera is None:
        return
    pose, up = camera.world_from_camera, one.cloud.up
    ahead = pose[:3, 2] - (pose[:3, 2] @ up) * up
    axis = np.stack([np.cross(ahead, up), ahead]).T / np.linalg.norm(ahead)
    far = float(np.nanquantile(one.truth, 0.95)) * REACH
    xy = one.scale * ((one.cloud.xyz + (one.cloud.origin - pose[:3, 3])) @ axis)
    if beside is not None:
        axes.scatter(*beside[:, [0, 2]].T, s=0.5, linewidths=0, c="0.75")
    inside = np.flatnonzero((np.abs(xy[:, 0]) < 0.5 * far) & (xy[:, 1] > 0) & (xy[:, 1] < far))
    order = inside[np.argsort(one.cloud.xyz[inside] @ up, kind="stable")]
    axes.scatter(*xy[order].T, s=0.9, linewidths=0, c=colours[order])
    axes.set(xlim=(-0.5 * far, 0.5 * far), ylim=(0, far), aspect="equal", facecolor="white")
    for spine in axes.spines.values():
        spine.set(visible=True, color="0.8", linewidth=0.5)


def motorcycle() -> Figure:
    """The pair at the size of the wheel: image, depth, confidence, true depth, and which pixels are right."""
    left, right, disparity = skimage.data.stereo_motorcycle()
    focal, offset, baseline = 994.978, 31.086, 0.193001  # of the wheel's calibration, in its pixels and metres
    first = np.array([[focal, 0, 311.193], [0, focal, 254.877], [0, 0, 1]])
    second, aside = first.copy(), np.eye(4)
    second[0, 2] += offset
    aside[0, 3] = baseline
    pair = [
        View(image=np.ascontiguousarray(left), intrinsics=first, world_from_camera=np.eye(4)),
        View(image=np.ascontiguousarray(right), intrinsics=second, world_from_camera=aside),
    ]
    found = reconstruct(pair, Settings())[0]
    assert found is not None
    disparity = np.where(np.isfinite(disparity), disparity, np.nan)
    truth = focal * baseline / (disparity + offset)
    off = np.abs(focal * baseline / found.depth - offset - disparity) >= 2
    near, far = np.nanquantile(truth, (0.01, 0.99))
    figure = Figure(figsize=(10.2, 1.75), layout="constrained")
    line = figure.subplots(1, 5)
    line[0].imshow(left)
    _values(line[1], np.where(found.mask, found.depth, np.nan), _depths(near, far))
    _values(line[2], found.confidence, Scale("viridis", Normalize(*np.quantile(found.confidence, (0.02, 0.98))), ""))
    _values(line[3], truth, _depths(near, far, "m"))
    _verdict(line[4], found.mask & np.isfinite(truth), off, np.isfinite(truth))
    for axes, title in zip(line, (*TITLES[:4], "Off by 2 pixels: red"), strict=True):
        axes.set_title(title)
        hide_ticks(axes)
    return figure


def _verdict(axes: Axes, kept: Bool[np.ndarray, "h w"], off: np.ndarray, known: np.ndarray) -> None:
    """Red where a kept pixel is off, green where it is right, grey where none is kept, white where none is known."""
    picture = np.where(~known, 0, np.where(~kept, 1, np.where(off, 2, 3)))
    axes.imshow(picture, cmap=ListedColormap(["white", NOTHING, "#D55E00", "#009E73"]), vmin=0, vmax=3)
    shares = kept.sum() / known.sum(), off[kept].mean()
    axes.set_xlabel(f"{shares[0]:.0%} kept, {shares[1]:.1%} of these off", fontsize=6.5, labelpad=2)


class Unscaled(KittiRaw):
    """Without the camera's height above the road: the LiDAR gives the scale."""

    camera_height = None


def lidar_depth(dataset: KittiRaw, index: int, size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """What the LiDAR measured of a frame's image where nothing hides it, NaN elsewhere."""
    sweep = dataset.sweep(dataset.drive, index)
    assert sweep is not None
    found = seen(sweep, dataset.cameras(dataset.drive)[index], size)
    depth = np.full(size, np.inf)
    np.minimum.at(depth, tuple(found.pixel.T), found.depth)
    return np.where(np.isfinite(depth), depth, np.nan)


def kitti(root: Path) -> Figure:
    """The frame with the most points of those with a scan; poses are estimated, their scale is the LiDAR's."""
    dataset = Unscaled(root)
    scene = dataset.drive
    scanned = [index for index, frame in enumerate(scene.frames) if frame.labelled]
    cloud, placement = PlaneSweep().points(dataset, scene), placed(dataset, scene)
    index = max(scanned, key=lambda one: cloud.view(one).stop - cloud.view(one).start)
    size = dataset.image(scene.frames[index]).shape
    truth = lidar_depth(dataset, index, (size[0], size[1]))
    one = seen_from(dataset, scene, index, truth, cloud, placement)
    near, far = np.nanquantile(truth, (0.02, 0.98))
    figure = Figure(figsize=(10.2, 3.0), layout="constrained")
    grid = figure.subplot_mosaic([["image", "depth", "above"], ["lidar", "error", "above"]], width_ratios=(4, 4, 2.2))
    grid["image"].imshow(one.image)
    hide_ticks(grid["image"])
    _values(grid["depth"], one.depth, _depths(near, far), 3)
    _values(grid["lidar"], truth, _depths(near, far, "m"), 5)
    _values(grid["error"], 100 * one.error, ERRORS, 7)
    row, column = np.nonzero(np.isfinite(truth))
    rays = np.stack([column, row, np.ones(len(row))], -1) @ np.linalg.inv(MATRIX).T
    _above(grid["above"], one, one.cloud.rgb / 255, rays * truth[row, column, None])
    error = one.error[np.isfinite(one.error)]
    titles = {
        "image": "Image",
        "depth": "Depth, scaled to the LiDAR's",
        "lidar": "LiDAR",
        "error": f"Error: mean {error.mean():.1%}, {(error < 0.25).mean():.1%} below 25 %",
        "above": "From above; LiDAR grey",
    }
    for name, title in titles.items():
        grid[name].set_title(title)
    return figure


def write(figure: Figure, path: Path) -> None:
    """As PNG of 256 colours, which takes a third of the space."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    with Image.open(buffer) as picture:
        picture.convert("RGB").quantize(256, kmeans=1, dither=Image.Dither.NONE).save(path, optimize=True)


def main(root: str, out: str, raw: str = "") -> None:
    """Write the pictures into a folder."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in DATASETS if (Path(root) / name).is_dir()]
    with paper_style():
        shown = [miniature(Path(root), name) for name in names]
        figures = {"miniatures": miniatures(shown), "motorcycle": motorcycle()}
        if raw:
            figures["kitti"] = kitti(Path(raw))
        for name, figure in figures.items():
            write(figure, folder / f"geometry_{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])

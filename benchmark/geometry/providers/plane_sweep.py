"""Points from images and poses alone: plane-sweep stereo, which needs no weights, no sensor and no labels.

What moves, has no texture or shows no parallax has no points; see ``docs/geometry.md`` for what to expect.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import Bool, Float

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import UsageError
from wsss.benchmark.geometry.cameras import project, unproject
from wsss.benchmark.geometry.clouds import FRAMES, ViewPoints, around_labels, assemble
from wsss.benchmark.geometry.poses import Placement, placed
from wsss.benchmark.geometry.sweep_stereo import Depth, Device, Settings, View, reconstruct
from wsss.benchmark.geometry.views import Grid
from wsss.benchmark.types import Camera, PointCloud, Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """A frame as the matcher takes it, and where its pixels are in the stored image."""

    view: View
    pixel: Float[np.ndarray, "h w 2"]
    """(row, column) of the stored image, with fractions."""
    inside: Bool[np.ndarray, "h w"]
    size: tuple[int, int]
    """Rows and columns of the stored image."""


@dataclass(frozen=True, kw_only=True)
class PlaneSweep:
    """Multi-view stereo over the labelled frames of a scene and the video around them."""

    VERSION: ClassVar[int] = 2

    planes: int = 64
    """Depth hypotheses for an image 320 pixels wide; wider ones get more in proportion."""
    window: int = 5
    """Side of the window that is correlated, pixels, odd."""
    sources: int = 4
    """Views that each view is compared with: those of the same camera with the best overlap and parallax."""
    confidence: float = 0.86
    """Least probability, as estimated, that a depth is right to 5 %: less gives more points, and more wrong ones."""
    width: int = 640
    """Pixels across at which images are matched; larger ones are made smaller. Points keep their own pixels."""
    frames_per_scene: int = FRAMES
    """Frames of a scene that are reconstructed: the labelled ones, however many, and then those nearest to them."""

    def __post_init__(self) -> None:
        least = {
            "planes": 8,
            "window": 3,
            "sources": 1,
            "confidence": 0,
            "width": 32,
            "frames_per_scene": 2,
        }
        for name, low in least.items():
            if not getattr(self, name) >= low:
                raise UsageError(f"PlaneSweep: {name} must be at least {low}, not {getattr(self, name)}")
        if self.window % 2 == 0:
            raise UsageError(f"PlaneSweep: window must be odd, not {self.window}")

    def points(self, dataset: Dataset, scene: Scene) -> PointCloud:
        """The points of a scene, in metres where its poses are; empty where nothing could be reconstructed.

        Sources are frames of the same camera: those of the other cameras of a rig show little of the same, and expose
        their lines at other times. A rolling shutter moves both images of a match alike, so that the depth holds for
        the time at which the pixel was exposed; the point is placed from where the camera stood then.

        Raises:
            Unsupported: The dataset has neither poses nor what it takes to estimate them.
            DatasetError: A file is damaged or missing.
        """
        used = around_labels(scene, self.frames_per_scene)
        placement = placed(dataset, scene, used)
        views: list[ViewPoints] = []
        for group in _groups(scene, placement, used):
            pictures = [self._picture(dataset, scene, placement, index) for index in group]
            depths = reconstruct([picture.view for picture in pictures], self._settings(), _device())
            for index, picture, depth in zip(group, pictures, depths, strict=True):
                camera = placement.cameras[index]
                if depth is not None and camera is not None:
                    views.append(_points(index, picture, depth, camera))
        return assemble(dataset, scene, views, up=placement.up, metric=placement.metric)

    def _settings(self) -> Settings:
        return Settings(planes=self.planes, window=self.window, sources=self.sources, confidence=self.confidence)

    def _picture(self, dataset: Dataset, scene: Scene, placement: Placement, index: int) -> _Picture:
        """A frame in the size at which it is matched, without the lens's distortion."""
        camera = placement.cameras[index]
        assert camera is not None and camera.world_from_camera is not None
        image = dataset.image(scene.frames[index])
        size = image.shape[:2]
        shrink = min(1.0, self.width / size[1])
        small = (round(size[0] * shrink), round(size[1] * shrink))
        grid = Grid(source=size, resized=small, offset=(0, 0), size=small)
        if shrink < 1:
            image = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA)
        pixel = grid.to_source(np.argwhere(np.ones(small, bool)).astype(np.float64))
        inside = np.ones(small, bool)
        if camera.distortion is not None:
            pixel, shown = _bent(pixel, camera, size)
            inside = shown.reshape(small)
            place = np.nan_to_num(grid.to_grid(pixel), nan=-1.0).astype(np.float32).reshape(*small, 2)
            image = cv2.remap(image, place[..., 1], place[..., 0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        intrinsics = grid.intrinsics(camera.intrinsics)
        view = View(image=image, intrinsics=intrinsics, world_from_camera=camera.world_from_camera)
        return _Picture(view=view, pixel=pixel.reshape(*small, 2), inside=inside, size=size)


def _bent(
    pixel: Float[np.ndarray, "n 2"], camera: Camera, size: tuple[int, int]
) -> tuple[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """Where the lens shows what a pinhole would show at some pixels, and which of those the image has."""
    pinhole = Camera(intrinsics=camera.intrinsics)
    rays = unproject(pixel, np.ones(len(pixel)), pinhole, size)
    found = project(rays, replace(pinhole, distortion=camera.distortion), size)
    return found.pixel, found.inside


def _groups(scene: Scene, placement: Placement, used: Sequence[int]) -> list[list[int]]:
    """Frames that are compared with each other: of one camera and one piece of the world, with a pose of numbers."""
    groups: dict[tuple[str, int], list[int]] = {}
    for index in used:
        camera = placement.cameras[index]
        if camera is None or camera.world_from_camera is None or not np.isfinite(camera.world_from_camera).all():
            continue
        groups.setdefault((scene.frames[index].camera, placement.piece[index]), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _points(index: int, picture: _Picture, depth: Depth, camera: Camera) -> ViewPoints:
    kept = depth.mask & picture.inside
    pixel = picture.pixel[kept]
    return ViewPoints(
        frame=index,
        xyz=unproject(pixel, depth.depth[kept].astype(np.float64), camera, picture.size),
        pixel=np.clip(np.round(pixel), 0, np.array(picture.size) - 1).astype(np.int32),
        confidence=depth.confidence[kept],
    )


def _device() -> Device:
    import torch  # a second or two, which those who only list providers need not wait

    return "cuda" if torch.cuda.is_available() else "cpu"

"""Reconstruction by MapAnything (Keetha et al., arXiv 2509.13414): the reconstructor of the Rewis3d paper.

The network sees the stored images alone, as in the paper, or the dataset's intrinsics and poses with them. It takes
every camera for a pinhole, exposed at once: lens distortion and rolling shutter stay in its points.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry import pretrained, views
from wsss.benchmark.geometry.cameras import inverse
from wsss.benchmark.geometry.clouds import ViewPoints
from wsss.benchmark.geometry.learned import Cameras, Learned
from wsss.benchmark.geometry.views import Chunk, Grid, Size
from wsss.benchmark.geometry.worlds import Reconstruction
from wsss.benchmark.types import Camera, Scene

COMMIT = "f7ebafb4d8349776705aaa686cf928988d1bd7f4"
INSTALL = (
    "pip install hydra-core huggingface_hub natsort orjson pillow-heif plyfile python-box safetensors termcolor "
    "timm trimesh && pip install --no-deps uniception==0.1.7 "
    f"git+https://github.com/facebookresearch/map-anything@{COMMIT}"
)
ENCODER = "python -c \"import torch; torch.hub.load('facebookresearch/dinov2', 'dinov2_vitg14')\""
"""Downloads what MapAnything's constructor asks torch.hub for."""

GRIDS: dict[float, Size] = {
    1.000: (518, 518),
    1.321: (392, 518),
    1.542: (336, 518),
    1.762: (294, 518),
    2.056: (252, 518),
    3.083: (168, 518),
    0.757: (518, 392),
    0.649: (518, 336),
    0.567: (518, 294),
    0.486: (518, 252),
}
"""Rows and columns that the network was trained for, by width over height: the package's resolution set 518."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapAnything(Learned):
    """Points of MapAnything, in metres by its own estimate.

    Its mask drops the sky, other surfaces without a depth, and the edges of things. A confidence is at least 1 and has
    no upper bound.
    """

    VERSION: ClassVar[int] = 1
    DISTRIBUTION: ClassVar[str] = "mapanything"

    weights: str = "facebook/map-anything-v1"
    """``facebook/map-anything`` was replaced after the paper; these are the weights of September 2025, CC-BY-NC-4.0.
    ``facebook/map-anything-apache-v1`` is free for any use."""

    def _check(self, dataset: Dataset, scene: Scene, cameras: Cameras) -> None:
        if self.posed and not any(map(_placed, cameras)):
            raise Unsupported(f"{dataset.title} gives no poses of scene {scene.id}; use map_anything with posed=False")

    def _network(self) -> Any:
        module = pretrained.package("mapanything.models", INSTALL)
        path = self._folder()
        try:
            return pretrained.network(module.MapAnything, path, pretrained.device())
        except OSError as error:  # urllib's errors among them
            raise Unsupported(
                f"MapAnything's encoder cannot be built ({error}); download it with: {ENCODER}"
            ) from error

    def _reconstruct(
        self, network: Any, dataset: Dataset, scene: Scene, chunk: Chunk, cameras: Cameras
    ) -> Reconstruction:
        # The first view is the reference: if any view has a pose, it must.
        order = tuple(sorted(chunk, key=lambda index: not _placed(cameras[index])))
        images = [dataset.image(scene.frames[index]) for index in order]
        grids = _grids([(image.shape[0], image.shape[1]) for image in images])
        inputs = [_input(image, grid) for image, grid in zip(images, grids, strict=True)]
        for view, grid, index in zip(inputs, grids, order, strict=True):
            view.update(_known(cameras[index], cameras[order[0]], grid))
        return self._reconstruction(order, grids, _infer(network, inputs))

    def _reconstruction(self, order: Chunk, grids: list[Grid], outputs: list[dict[str, Any]]) -> Reconstruction:
        if any("mask" not in output or "conf" not in output for output in outputs):
            raise Unsupported(
                f"the weights {self.weights} predict no mask or no confidence; take facebook/map-anything-v1"
            )
        found = [
            _points(index, grid, output, self.dropped)
            for index, grid, output in zip(order, grids, outputs, strict=True)
        ]
        poses = np.stack([_numpy(output["camera_poses"][0]) for output in outputs]).astype(np.float64)
        return Reconstruction(frames=order, world_from_camera=poses, views=tuple(found), metric=True)


def _placed(camera: Camera | None) -> bool:
    return camera is not None and camera.world_from_camera is not None


def _grids(sizes: list[Size]) -> list[Grid]:
    """One network size for all images of a chunk, by their mean ratio of width to height."""
    ratio = float(np.mean([columns / rows for rows, columns in sizes]))
    size = GRIDS[min(GRIDS, key=lambda known: abs(known - ratio))]
    return [views.covering(source, size) for source in sizes]


def _input(image: np.ndarray, grid: Grid) -> dict[str, Any]:
    values = (grid.image(image).astype(np.float32) / 255 - MEAN) / DEVIATION
    return {"img": torch.from_numpy(values.transpose(2, 0, 1).copy())[None], "data_norm_type": ["dinov2"]}


def _known(camera: Camera | None, reference: Camera | None, grid: Grid) -> dict[str, Any]:
    """What the network is told of a camera; poses relative to the reference's, because worlds reach 40 km."""
    if camera is None:
        return {}
    told: dict[str, Any] = {"intrinsics": torch.from_numpy(grid.intrinsics(camera.intrinsics)).float()[None]}
    if camera.world_from_camera is not None and reference is not None and reference.world_from_camera is not None:
        pose = inverse(reference.world_from_camera) @ camera.world_from_camera
        told |= {"camera_poses": torch.from_numpy(pose).float()[None], "is_metric_scale": torch.tensor([True])}
    return told


def _infer(network: Any, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One pass with the release's settings; mixed precision on a GPU alone, because on a CPU the package fails."""
    return network.infer(
        inputs,
        memory_efficient_inference=True,
        use_amp=pretrained.device().type == "cuda",
        amp_dtype="bf16",
        apply_mask=True,
        mask_edges=True,
        apply_confidence_mask=False,
    )


def _points(frame: int, grid: Grid, output: dict[str, Any], dropped: float) -> ViewPoints:
    xyz, confidence = _numpy(output["pts3d"][0]), _numpy(output["conf"][0])
    valid = output["mask"][0, ..., 0].cpu().numpy() & np.isfinite(xyz).all(-1) & np.isfinite(confidence)
    found = ViewPoints(
        frame=frame,
        xyz=xyz[valid].astype(np.float64),
        pixel=grid.pixels()[valid],
        confidence=confidence[valid],
    )
    return views.best(found, dropped)


def _numpy(tensor: torch.Tensor) -> Float[np.ndarray, "..."]:
    return tensor.detach().float().cpu().numpy()

"""Reconstruction by Depth Anything 3 (Lin et al., arXiv 2511.10647): a second opinion on the paper's reconstructor.

The network gives depth, cameras and confidence; here the depth is placed by the cameras (the Rewis3d release forgets
their poses, so that its views share no frame). It takes every camera for a pinhole, exposed at once. The package
chooses its own precision, bf16 where the device has it.
"""

import logging
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float32

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import Unsupported
from wsss.benchmark.geometry import pretrained, views, worlds
from wsss.benchmark.geometry.cameras import inverse, unproject
from wsss.benchmark.geometry.clouds import ViewPoints
from wsss.benchmark.geometry.learned import Cameras, Learned
from wsss.benchmark.geometry.views import Chunk, Grid
from wsss.benchmark.geometry.worlds import Reconstruction
from wsss.benchmark.types import Camera, Scene

LOGGER = logging.getLogger(__name__)
INSTALL = (
    "pip install addict e3nn einops evo huggingface_hub imageio moviepy==1.0.3 omegaconf plyfile pycolmap safetensors "
    "tqdm trimesh && pip install --no-deps depth-anything-3==0.1.1"
)
PATCH = 14
FEWEST = 3
"""Poses that determine a similarity."""
SKY = 1.0
"""The confidence that the nested networks give the sky, of which they make a wall; real ones are above it."""
_Known = tuple[Float32[np.ndarray, "f 4 4"], Float32[np.ndarray, "f 3 3"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthAnything3(Learned):
    """Points of Depth Anything 3; in metres by its own estimate with the nested weights, else up to scale.

    A confidence is above 1 and has no upper bound. All images of a scene must have one size.
    """

    VERSION: ClassVar[int] = 1
    DISTRIBUTION: ClassVar[str] = "depth-anything-3"

    weights: str = "depth-anything/DA3NESTED-GIANT-LARGE"
    """These, which the Rewis3d release names, are CC-BY-NC-4.0."""
    longest: int = 504
    """Pixels of the longer side of what the network sees."""

    def _network(self) -> Any:
        module = pretrained.package("depth_anything_3.api", INSTALL)
        return pretrained.network(module.DepthAnything3, self._folder(), pretrained.device())

    def _reconstruct(
        self, network: Any, dataset: Dataset, scene: Scene, chunk: Chunk, cameras: Cameras
    ) -> Reconstruction:
        images = [dataset.image(scene.frames[index]) for index in chunk]
        sizes = {(image.shape[0], image.shape[1]) for image in images}
        if len(sizes) > 1:  # the package would crop some of them without saying where
            raise Unsupported(f"scene {scene.id} has images of {len(sizes)} sizes; select cameras of one size")
        grid = views.stretched(sizes.pop(), self.longest, PATCH)
        known = _known(scene, chunk, cameras, grid) if self.posed else None
        extrinsics, intrinsics = known or (None, None)
        prediction = network.inference(
            images,
            extrinsics=extrinsics,
            intrinsics=intrinsics,
            process_res=self.longest,
            process_res_method="upper_bound_resize",
        )
        return self._reconstruction(chunk, grid, prediction, metric=known is not None)

    def _reconstruction(self, chunk: Chunk, grid: Grid, prediction: Any, *, metric: bool) -> Reconstruction:
        if prediction.conf is None or prediction.extrinsics is None or prediction.intrinsics is None:
            raise Unsupported(f"the weights {self.weights} predict depth alone; take those of an any-view network")
        if prediction.depth.shape[1:] != grid.size:
            shape = tuple(prediction.depth.shape[1:])
            raise Unsupported(f"depth_anything_3 returned {shape} pixels instead of {grid.size}; use its version 0.1.1")
        poses = np.stack([_inverted(matrix) for matrix in prediction.extrinsics])
        found = []
        for place, index in enumerate(chunk):
            camera = Camera(
                intrinsics=grid.source_intrinsics(prediction.intrinsics[place]), world_from_camera=poses[place]
            )
            sky = None if prediction.sky is None else prediction.sky[place]
            view = _points(index, grid, camera, prediction.depth[place], prediction.conf[place], sky)
            found.append(views.best(view, self.dropped))
        metric = metric or bool(prediction.is_metric)
        return Reconstruction(frames=chunk, world_from_camera=poses, views=tuple(found), metric=metric)


def _known(scene: Scene, chunk: Chunk, cameras: Cameras, grid: Grid) -> _Known | None:
    """Extrinsics, relative to the first camera, and intrinsics of a chunk; None where the network cannot use them.

    It needs all of them, and fits its own path to theirs, which a path without extent leaves open.
    """
    given = [(c.world_from_camera, c.intrinsics) for i in chunk if (c := cameras[i]) is not None]
    placed = [(pose, matrix) for pose, matrix in given if pose is not None]
    centres = np.array([pose[:3, 3] for pose, _ in placed])
    if len(placed) < max(FEWEST, len(chunk)) or centres.std(0).max() < worlds.STANDSTILL:
        LOGGER.warning(
            "scene %s: %d frames from %s on lack poses, or stand still: reconstructed from their images alone",
            *(scene.id, len(chunk), scene.frames[chunk[0]].id),
        )
        return None
    extrinsics = np.stack([inverse(pose) @ placed[0][0] for pose, _ in placed])
    # The package scales intrinsics without the half-pixel term: divided by that scale, they come out as they should.
    scale = np.array([[grid.size[1] / grid.source[1]], [grid.size[0] / grid.source[0]], [1]])
    intrinsics = np.stack([grid.intrinsics(matrix) / scale for _, matrix in placed])
    return extrinsics.astype(np.float32), intrinsics.astype(np.float32)


def _inverted(camera_from_world: Float[np.ndarray, "r 4"]) -> Float[np.ndarray, "4 4"]:
    """world_from_camera of 3x4 or 4x4 extrinsics, whose rotation has the accuracy of half precision at worst."""
    pose = np.eye(4)
    pose[:3] = camera_from_world[:3]
    u, _, vt = np.linalg.svd(pose[:3, :3])
    pose[:3, :3] = u @ vt
    return inverse(pose)


def _points(
    frame: int,
    grid: Grid,
    camera: Camera,
    depth: Float[np.ndarray, "h w"],
    confidence: Float[np.ndarray, "h w"],
    sky: np.ndarray | None,
) -> ViewPoints:
    valid = np.isfinite(depth) & (depth > 0) & np.isfinite(confidence) & (confidence > SKY)
    if sky is not None:
        valid &= ~sky
    # Rays go through the grid's own positions; rounding them to pixels first would bend the surfaces.
    exact = grid.to_source(np.argwhere(valid).astype(np.float64))
    xyz = unproject(exact, depth[valid].astype(np.float64), camera, grid.source)
    return ViewPoints(frame=frame, xyz=xyz, pixel=grid.pixels()[valid], confidence=confidence[valid])

"""A frame with the points that it saw, and what is kept of them where neither data nor clouds are at hand."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from scipy.stats import rankdata

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.geometry import true_depth
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.clouds import FRAMES, around_labels
from wsss.benchmark.geometry.index import Extent
from wsss.benchmark.geometry.network_frame import to_network, upright, within
from wsss.benchmark.geometry.poses import placed
from wsss.benchmark.geometry.providers import Measuring
from wsss.benchmark.geometry.quality import depth_of
from wsss.benchmark.geometry.sampling import Sampling, draw
from wsss.benchmark.geometry.surfaces import SENSORS
from wsss.benchmark.geometry.sweeps import depth_image
from wsss.benchmark.randomness import stream
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import IGNORE, Camera, PointCloud, Scene

POINTS = 20_000
"""Points kept: half of them the frame's own where it has as many, the rest from around it."""
LARGEST = 320
"""Columns of the pictures kept, at most: a file stays below 400 kB."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A frame and the points that it saw."""

    scene: Scene
    index: int
    image: UInt8[np.ndarray, "h w 3"]
    cloud: PointCloud
    camera: Camera | None
    depth: Float[np.ndarray, " m"] | None
    """Of the frame's own points."""
    known: Float[np.ndarray, "h w"] | None
    """What their depth should be; None where nobody knows."""
    against: str | None
    """``truth`` or ``sensor``."""

    @property
    def placed(self) -> bool:
        """Whether anybody knows where the camera stands."""
        return self.camera is not None and self.camera.world_from_camera is not None

    @property
    def own(self) -> slice:
        """The rows of the frame's own points."""
        return self.cloud.view(self.index)


def look_at(clouds: Clouds, scene: Scene, index: int) -> Look:
    """Look at a frame's points.

    Args:
        clouds: In which the scene's points were made.
        scene: Which.
        index: Of the frame in it.

    Raises:
        BenchmarkError: The points were not made.
    """
    dataset, cloud = clouds.dataset, clouds.open(scene)
    image = dataset.image(scene.frames[index])
    size = (image.shape[0], image.shape[1])
    placement = placed(dataset, scene, around_labels(scene, FRAMES))
    truth, known, against = true_depth.of(dataset), None, None
    if truth is not None:
        known, against = truth(scene.frames[index]), "truth"
    elif not isinstance(clouds.geometry, Measuring) and dataset.sources & SENSORS:
        # A sensor is not measured against itself.
        known, against = depth_image(dataset, scene, index, dataset.cameras(scene)[index], size), "sensor"
    return Look(
        scene=scene,
        index=index,
        image=image,
        cloud=cloud,
        camera=placement.cameras[index],
        depth=depth_of(cloud, index, placement, size),
        known=known,
        against=None if known is None else against,
    )


def arrays_of(clouds: Clouds, supervision: Supervision, look: Look) -> dict[str, np.ndarray]:
    """What is kept of one frame, in the network's frame: z up, metres if the cloud is metric.

    Args:
        clouds: That it was looked up in.
        supervision: Of the weak labels; prepared.
        look: Which frame.

    Returns:
        ``xyz`` float16 (n, 3), ``rgb`` uint8 (n, 3), ``label`` and ``weak`` uint8 (n) train ids by the dense and the
        weak labels of the points' own pixels, ``confidence`` float16 (n) in [0, 1] by rank, ``pixel`` int16 (n, 2) in
        ``image`` or -1; ``image`` uint8 (h, w, 3), ``depth`` float16 (h, w) of all the frame's own points,
        ``depth_confidence`` float16 (h, w) their rank, both NaN elsewhere; ``camera`` float32 (4, 4) the points from
        the camera and ``focal`` float32 in pixels of ``image``, NaN where unknown.
    """
    cloud, index = look.cloud, clouds.stored(look.scene).index
    rng = stream(0, "showcase", clouds.dataset.name, look.scene.id)
    rows = draw(cloud, index, look.index, Sampling(budget=POINTS), rng)
    xyz = np.take(cloud.xyz, rows, axis=0)
    extent = index.extent(look.index) or (Extent.of(xyz, cloud.up) if len(rows) else None)
    if extent is not None:
        xyz = to_network(xyz, extent, cloud.up, cloud.metric)
        kept = within(xyz, Sampling().box)
        rows, xyz = rows[kept], xyz[kept]
    pixel = np.where((cloud.frame[rows] == look.index)[:, None], cloud.pixel[rows], -1)
    scale = min(1.0, LARGEST / look.image.shape[1])
    size = (round(look.image.shape[0] * scale), round(look.image.shape[1] * scale))
    depth, confidence = _maps(look, size)
    return {
        "xyz": xyz.astype(np.float16),
        "rgb": cloud.rgb[rows],
        "label": _labels(clouds.dataset, look.scene, cloud, rows),
        "weak": clouds.labels(look.scene, supervision)[rows],
        "confidence": _ranks(cloud.confidence[rows]).astype(np.float16),
        "pixel": np.where(pixel < 0, -1, pixel * scale).astype(np.int16),
        "image": cv2.resize(look.image, size[::-1], interpolation=cv2.INTER_AREA),
        "depth": depth.astype(np.float16),
        "depth_confidence": confidence.astype(np.float16),
        "camera": _pose(look, extent),
        "focal": np.array(np.nan if look.camera is None else look.camera.intrinsics[0, 0] * scale, np.float32),
    }


def _labels(dataset: Dataset, scene: Scene, cloud: PointCloud, rows: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, " n"]:
    """The dense label of the pixel that each point comes from, IGNORE where its frame has none."""
    found = np.full(len(rows), IGNORE, np.uint8)
    for number in np.unique(cloud.frame[rows]):
        dense = dataset.dense(scene.frames[number]) if number >= 0 and scene.frames[number].labelled else None
        if dense is not None:
            mine = cloud.frame[rows] == number
            found[mine] = dense[tuple(cloud.pixel[rows[mine]].T)]
    return found


def _ranks(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """From 0 for the least to 1 for the largest, equal ones alike; 1 where all are equal."""
    if not len(values) or np.ptp(values) == 0:
        return np.ones(len(values))
    return (rankdata(values) - 1) / (len(values) - 1)


def _maps(look: Look, size: tuple[int, int]) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Depth and rank of confidence of the nearest of the frame's own points per pixel of a smaller picture."""
    depth, ranks = np.full(size, np.nan, np.float32), np.full(size, np.nan, np.float32)
    if look.depth is None:
        return depth, ranks
    order = np.argsort(-look.depth, kind="stable")  # the nearest is written last
    order = order[look.depth[order] > 0]
    scale = np.array(size) / look.image.shape[:2]
    row, column = (look.cloud.pixel[look.own][order] * scale).astype(int).T
    depth[row, column] = look.depth[order]
    ranks[row, column] = _ranks(look.cloud.confidence[look.own])[order]
    return depth, ranks


def _pose(look: Look, extent: Extent | None) -> Float32[np.ndarray, "4 4"]:
    """``network_from_camera``: where the camera stands among the points, NaN if nobody knows."""
    pose = np.full((4, 4), np.nan, np.float32)
    world = None if look.camera is None else look.camera.world_from_camera
    if world is None or extent is None or look.depth is None:
        return pose
    cloud = look.cloud
    centre = (world[:3, 3] - cloud.origin)[None]
    pose[:3, 3] = to_network(centre.astype(np.float32), extent, cloud.up, cloud.metric)[0]
    pose[:3, :3], pose[3] = upright(cloud.up) @ world[:3, :3], (0, 0, 0, 1)
    return pose

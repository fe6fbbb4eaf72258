"""What a recording of rerun shows of a scene; ``rerun_export.py`` says where each thing lies in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, Int, UInt8
from matplotlib import colormaps
from scipy.stats import rankdata

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.geometry.network_frame import upright
from wsss.benchmark.geometry.poses import Placement
from wsss.benchmark.geometry.quality import depth_of
from wsss.benchmark.types import IGNORE, Camera, Frame, PointCloud, Scene

MOST = 2_000_000
"""Points of a cloud that are written, evenly chosen: what a viewer turns without stutter."""
QUALITY = 85
"""Of the pictures' JPEG, in per cent."""
DOT = 1.5
"""Radius of a point on the screen, in the viewer's pixels."""
CORNER = 0.5
"""The viewer counts pixels from the corner of the first, we from its centre (rerun-io/rerun issue 3896)."""
UNLABELLED = (64, 64, 64)
PLANE = 1.0
"""How far in front of a camera its picture is drawn, metres where the cloud's are."""
WAY = (230, 120, 0)
"""Colour of the cameras' way."""


Predictions = Mapping[str, UInt8[np.ndarray, "_ _"]]
"""Predicted train ids by the frame's id."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is shown of a scene."""

    dataset: Dataset
    scene: Scene
    geometry: str
    """Name of the source of points."""
    cloud: PointCloud
    placement: Placement
    """Where the cameras stand; one that does not show the cloud's points at their pixels is left out."""
    frames: Sequence[int]
    """Of the scene, whose pictures are shown."""
    labels: UInt8[np.ndarray, " n"] | None = None
    """One weak label per point, IGNORE where unlabelled."""
    weak: Callable[[Frame], UInt8[np.ndarray, "_ _"]] | None = None
    """The weak labels of a labelled frame."""
    sensor: PointCloud | None = None
    """The range sensor's points."""
    predictions: Predictions = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """What lies below a camera, in some frame at least."""
        weak = ("weak",) if self.weak is not None else ()
        return ("picture", "depth", *weak, *(("prediction",) if self.predictions else ()), "truth")


def log_scene(rerun: Any, stream: Any, content: Content) -> list[str]:
    """Record a scene.

    Args:
        rerun: The module.
        stream: Of the recording.
        content: What to show.

    Returns:
        The paths of the cameras that are shown.

    Raises:
        DatasetError: A picture is missing or damaged.
    """
    rows = evenly(len(content.cloud.xyz))
    _log_axes(rerun, stream, content)
    _log_points(rerun, stream, content, rows)
    shown = _log_frames(rerun, stream, content)
    stream.log("about", rerun.TextDocument(_about(content, len(rows), shown), media_type="text/markdown"), static=True)
    return list(shown)


def evenly(number: int) -> Int[np.ndarray, " k"]:
    """At most ``MOST`` of so many rows."""
    return np.linspace(0, number - 1, min(MOST, number)).astype(np.int64)


def _log_axes(rerun: Any, stream: Any, content: Content) -> None:
    """Which way is up, and the classes with their colours."""
    classes = content.dataset.classes
    stream.log("/", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    known = [(i, name, color) for i, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True))]
    stream.log("/", rerun.AnnotationContext([*known, (IGNORE, "unlabelled", UNLABELLED)]), static=True)
    stream.log("world", rerun.Transform3D(mat3x3=upright(content.cloud.up)), static=True)


def _log_points(rerun: Any, stream: Any, content: Content, rows: Int[np.ndarray, " k"]) -> None:
    """The cloud in three ways, and the range sensor's beside it."""
    cloud, radius = content.cloud, rerun.Radius.ui_points(DOT)
    xyz = cloud.xyz[rows]
    if len(rows):
        rank = (rankdata(cloud.confidence[rows]) - 1) / max(len(rows) - 1, 1)
        ramp = (255 * colormaps["viridis"](rank)[:, :3]).astype(np.uint8)
        stream.log("world/points/picture", rerun.Points3D(xyz, colors=cloud.rgb[rows], radii=radius), static=True)
        stream.log("world/points/confidence", rerun.Points3D(xyz, colors=ramp, radii=radius), static=True)
    if content.labels is not None:  # few points have one: all of them
        there = np.flatnonzero(content.labels != IGNORE)
        points = rerun.Points3D(cloud.xyz[there], class_ids=content.labels[there], radii=radius)
        stream.log("world/points/weak", points, static=True)
    if content.sensor is not None:
        sensor = content.sensor
        every = max(1, -(-len(sensor.xyz) // MOST))
        moved = (sensor.xyz[::every] + (sensor.origin - cloud.origin)).astype(np.float32)
        stream.log("world/sensor", rerun.Points3D(moved, colors=sensor.rgb[::every], radii=radius), static=True)


def _log_frames(rerun: Any, stream: Any, content: Content) -> dict[str, list[str]]:
    """Cameras with what they show, frame by frame; the frames' ids by the path of their camera."""
    shown: dict[str, list[str]] = {}
    ways: dict[str, dict[int, list[np.ndarray]]] = {}
    for index in content.frames:
        frame, camera = content.scene.frames[index], content.placement.cameras[index]
        stream.set_time("frame", sequence=index)
        if frame.time is not None:
            stream.set_time("time", duration=frame.time)
        path = rerun.new_entity_path(["world", "camera", frame.camera or "camera"])
        image = content.dataset.image(frame)
        pose = None if camera is None else camera.world_from_camera
        depth = None if pose is None else _depth(content, index, (image.shape[0], image.shape[1]))
        if camera is None or pose is None or depth is None:
            stream.log(path, rerun.Clear(recursive=True))  # else it would stay where the frame before had it
            continue
        centre = (pose[:3, 3] - content.cloud.origin).astype(np.float32)
        matrix = camera.intrinsics + CORNER * np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
        stands = rerun.Transform3D(translation=centre, mat3x3=pose[:3, :3])
        lens = rerun.Pinhole(
            image_from_camera=matrix, resolution=depth.shape[::-1], camera_xyz=rerun.ViewCoordinates.RDF,
            image_plane_distance=PLANE,
        )  # fmt: skip
        stream.log(path, stands, lens)
        layers = _layers(rerun, content, frame, camera, image, depth)
        for layer in content.layers:  # what this frame lacks would stay from the one before
            stream.log(f"{path}/{layer}", layers.get(layer) or rerun.Clear(recursive=False))
        shown.setdefault(path, []).append(frame.id)
        ways.setdefault(frame.camera or "camera", {}).setdefault(content.placement.piece[index], []).append(centre)
    for name, pieces in ways.items():
        lines = [np.stack(centres) for centres in pieces.values()]
        strips = rerun.LineStrips3D(lines, colors=WAY, radii=rerun.Radius.ui_points(DOT))
        stream.log(rerun.new_entity_path(["world", "path", name]), strips, static=True)
    return shown


def _depth(content: Content, index: int, size: tuple[int, int]) -> Float32[np.ndarray, "h w"] | None:
    """Depth of the nearest of a frame's own points per pixel, 0 without; None where they do not fit to the camera."""
    image = np.zeros(size, np.float32)
    rows = content.cloud.view(index)
    if rows.start == rows.stop:
        return image
    depth = depth_of(content.cloud, index, content.placement, size)
    if depth is None:
        return None
    ahead = np.flatnonzero(depth > 0)
    order = ahead[np.argsort(-depth[ahead], kind="stable")]  # the nearest is written last
    row, column = content.cloud.pixel[rows][order].T
    image[row, column] = depth[order]
    return image


def _layers(
    rerun: Any,
    content: Content,
    frame: Frame,
    camera: Camera,
    image: UInt8[np.ndarray, "h w 3"],
    depth: Float32[np.ndarray, "h w"],
) -> dict[str, Any]:
    """What lies below a camera for one frame, by ``Content.layers``."""
    straight = _straightener(camera, depth.shape)
    jpeg = cv2.imencode(".jpg", straight(image, 0)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    found = {"picture": rerun.EncodedImage(contents=jpeg, media_type="image/jpeg")}
    if depth.any():
        found["depth"] = rerun.DepthImage(straight(depth, 0), meter=1.0)
    ids = {
        "weak": content.weak(frame) if content.weak is not None and frame.labelled else None,
        "prediction": content.predictions.get(frame.id),
        "truth": content.dataset.dense(frame),
    }
    for layer, labels in ids.items():
        if labels is not None:
            found[layer] = rerun.SegmentationImage(straight(labels, IGNORE))
    return found


def _straightener(camera: Camera, size: tuple[int, int]) -> Callable[[np.ndarray, int], np.ndarray]:
    """Takes the lens' distortion out of a picture, or of ids or depths, which are not mixed; told what lies outside."""
    if camera.distortion is None:
        return lambda image, outside: image
    matrix = camera.intrinsics
    maps = cv2.initUndistortRectifyMap(matrix, camera.distortion, np.eye(3), matrix, size[::-1], cv2.CV_32FC1)

    def straight(image: np.ndarray, outside: int) -> np.ndarray:
        how = cv2.INTER_LINEAR if image.ndim == 3 else cv2.INTER_NEAREST
        return cv2.remap(image, *maps, how, borderMode=cv2.BORDER_CONSTANT, borderValue=(outside,) * 4)

    return straight


def _about(content: Content, written: int, shown: Mapping[str, Sequence[str]]) -> str:
    """What the recording holds and lacks, for whoever opens it."""
    cloud, origin = content.cloud, ", ".join(f"{value:.3f}" for value in content.cloud.origin)
    frames = sum(map(len, shown.values()))
    seen = {id for ids in shown.values() for id in ids}
    unit = "metres" if cloud.metric else "of unknown scale"
    lines = [
        f"# {content.dataset.title}, scene {content.scene.id}, points of {content.geometry}",
        f"- {written:,} of {len(cloud.xyz):,} points, evenly chosen; lengths are {unit}",
        f"- zero is ({origin}) in the scene's world",
        f"- {frames} of {len(content.frames)} pictures; others have no pose, or one that does not fit to the points",
    ]
    if content.labels is not None:
        lines.append(f"- {int((content.labels != IGNORE).sum()):,} points have a weak label")
    if content.sensor is not None:
        lines.append(f"- beside it {len(content.sensor.xyz):,} points of the range sensor")
    if content.predictions:
        lines.append(f"- predictions of {len(seen & content.predictions.keys())} of the pictures")
    return "\n".join(lines) + "\n"

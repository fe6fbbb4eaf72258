"""A scene as a recording of rerun (rerun.io): pictures at their cameras, points by colour, label and confidence.

    /                       z up, metres where the cloud's lengths are; ``about`` says what was written
    world                   the cloud's own axes, turned upright; the cloud's origin is zero, as float32 must do
    world/points/picture    points in the colours of the pixels that they come from
    world/points/weak       those with a weak label, in the dataset's colours
    world/points/confidence points from the least confident (dark) to the most, by rank
    world/sensor            what the range sensor measured, beside a reconstruction
    world/path/<camera>     the way of a camera
    world/camera/<camera>   its pose, OpenCV axes; below it the picture, depth of the frame's own points, weak labels,
                            truth and predictions, all of one frame at a time on the timeline ``frame``

Pictures are straightened, because the viewer's cameras have no distortion. For eyes alone: nothing reads these files.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wsss.benchmark.atomic import replacing
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import BenchmarkError, UsageError
from wsss.benchmark.geometry.network_frame import upright
from wsss.benchmark.geometry.rerun_scene import Content, Predictions, log_scene
from wsss.benchmark.records import RunFolder

BEHIND, ABOVE = 8.0, 3.0
"""From where a scene is first seen: so far behind and above its first camera, metres where the cloud's are."""


def module() -> Any:
    """The module ``rerun``.

    Raises:
        UsageError: It is not installed; the text names the extra that brings it.
    """
    try:
        return importlib.import_module("rerun")
    except ImportError as error:
        raise UsageError(
            f"--rrd needs a missing package ({error}); `pip install 'wsss-benchmark[rerun]'` brings it"
        ) from error


def read_predictions(folder: Path, dataset: Dataset) -> Predictions:
    """The predictions that a finished run kept: train ids by the frame's id.

    Raises:
        UsageError: The folder holds no finished run, or one of another dataset.
        BenchmarkError: A file is damaged.
    """
    run = RunFolder(folder)
    if not run.finished:
        raise UsageError(f"{folder} holds no run.json: name the folder of a finished run, <seed>-<fingerprint>")
    if (other := run.read_record().spec.dataset) != dataset.name:
        raise UsageError(f"{folder} is a run on {other}, not on {dataset.name}: name one of the same dataset")
    found = {}
    for path in sorted(run.samples.glob("*.png")):
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if ids is None or ids.dtype != np.uint8 or ids.ndim != 2:
            raise BenchmarkError(f"{path}: not an 8-bit picture of train ids; delete {folder} and run again")
        found[path.stem] = ids
    return found


def write_rrd(path: Path, content: Content) -> None:
    """Write a scene as a recording that the viewer opens: ``rerun FILE``.

    Args:
        path: Of the file.
        content: What to show.

    Raises:
        UsageError: rerun is not installed.
        BenchmarkError: The file cannot be written.
        DatasetError: A picture is missing or damaged.
    """
    rerun = module()
    rerun.set_strict_mode(True)  # else it leaves out what it cannot record, with a warning
    name = f"{content.dataset.name} {content.scene.id} {content.geometry}"
    stream = rerun.RecordingStream("wsss", recording_id=name)
    recorded = stream.binary_stream()  # in memory: a file of rerun's own says nothing of a full disk
    cameras = log_scene(rerun, stream, content)
    stream.send_blueprint(_layout(content, cameras))
    data = recorded.read()
    if not data:
        raise BenchmarkError("rerun recorded nothing: unset RERUN in the environment and run again")
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    stream.disconnect()


def _layout(content: Content, cameras: Sequence[str]) -> Any:
    """The scene with one colouring of its points, the others a click away; beside it what the cameras show."""
    blueprint: Any = importlib.import_module("rerun.blueprint")
    hidden = ["/world/points/weak", "/world/points/confidence", "/world/sensor"]
    hidden += [f"/{camera}/{layer}" for camera in cameras for layer in content.layers if layer != "picture"]
    overrides = {path: blueprint.EntityBehavior(visible=False) for path in hidden}
    views = [
        blueprint.Vertical(
            *(
                blueprint.Spatial2DView(origin=camera, contents=f"/{camera}/{layer}", name=layer)
                for layer in content.layers
            ),
            name=camera.rpartition("/")[2],
        )
        for camera in cameras
    ]
    about = blueprint.TextDocumentView(origin="/about", name="about")
    eye = _eye(blueprint, content) if cameras else None
    scene = blueprint.Spatial3DView(origin="/", name="scene", overrides=overrides, eye_controls=eye)
    return blueprint.Blueprint(
        blueprint.Horizontal(scene, blueprint.Tabs(*views, about), column_shares=[2, 1]), collapse_panels=True
    )


def _eye(blueprint: Any, content: Content) -> Any:
    """The first look at a scene: over the shoulder of its first camera."""
    placed = (content.placement.cameras[index] for index in content.frames)
    pose = next(one.world_from_camera for one in placed if one is not None and one.world_from_camera is not None)
    turn = upright(content.cloud.up)
    centre, forward = turn @ (pose[:3, 3] - content.cloud.origin), turn @ pose[:3, 2]
    return blueprint.EyeControls3D(
        position=centre - BEHIND * forward + (0, 0, ABOVE), look_target=centre + BEHIND * forward, eye_up=(0, 0, 1)
    )

"""The frames of the qualitative figure: their pictures, once for all runs of a suite, and what each run predicts.

    <results>/<suite>/samples/<dataset>/<frame>/{image,truth,weak-<labels>-<seed>}.png
    <results>/<suite>/runs/.../samples/<frame>.png

All but the image hold train ids, 8 bit.
"""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from wsss.benchmark.atomic import replacing
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.evaluate import frames_of
from wsss.benchmark.planning import Run
from wsss.benchmark.records import RunFolder
from wsss.benchmark.spec import EvalConfig, RunSpec
from wsss.benchmark.types import Frame

SAMPLES = 3
"""Frames per dataset whose predictions are kept."""
Predicted = dict[str, UInt8[np.ndarray, "h w"]]
"""Train ids by frame."""


def sample_frames(dataset: Dataset, config: EvalConfig) -> list[Frame]:
    """The frames of the figure: evenly spaced over the split, whatever the results."""
    frames = [frame for _, frame in frames_of(dataset, config)]
    places = np.unique(((np.arange(SAMPLES) + 0.5) / SAMPLES * len(frames)).astype(int))
    return [frames[i] for i in places]


def write_predicted(folder: RunFolder, predicted: Predicted) -> None:
    """Store what a run predicts of the frames."""
    for name, image in predicted.items():
        _write_png(folder.samples / f"{name}.png", image)


def write_shared(run: Run, results: Path) -> None:
    """Store the frames' pictures that are missing: image, truth and the weak labels they would carry in training."""
    assert run.spec is not None and run.dataset is not None
    weak = [] if run.spec.labels == "full" else [f"weak-{run.spec.labels}-{run.spec.seed}"]
    for frame in sample_frames(run.dataset, run.spec.evaluate):
        for name in ("image", "truth", *weak):
            path = results / run.suite.name / "samples" / run.spec.dataset / frame.id / f"{name}.png"
            if not path.is_file():
                _write_png(path, _picture(run.dataset, frame, name, run.spec))


def _picture(dataset: Dataset, frame: Frame, name: str, spec: RunSpec) -> UInt8[np.ndarray, "h w ..."]:
    if name == "image":
        return dataset.image(frame)[..., ::-1]
    if name == "truth":
        dense = dataset.dense(frame)
        assert dense is not None  # frames that are scored have it
        return dense
    assert spec.labels != "full"
    return dataset.weak(frame, spec.labels, spec.seed)


def _write_png(path: Path, image: UInt8[np.ndarray, "..."]) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes())

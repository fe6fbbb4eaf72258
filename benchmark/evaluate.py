"""Counting: the sufficient statistics of a prediction, and nothing else. Scores are made from them in statistics.py and
measure_statistics.py; what is counted stands in measures.py.

Single scale, no flip, the label's native size: logits are upsampled, labels are never touched.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from wsss.benchmark import distributed, measures
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import BenchmarkError, DatasetError
from wsss.benchmark.geometry.surfaces import Surfaces
from wsss.benchmark.method import Predictor
from wsss.benchmark.records import Counts
from wsss.benchmark.spec import EvalConfig
from wsss.benchmark.types import Frame, Scene

REMEMBERED = 16
"""Predictions of frames that are kept for their neighbours in time, one byte per pixel."""


def frames_of(dataset: Dataset, config: EvalConfig) -> list[tuple[Scene, Frame]]:
    """The frames that are scored.

    Raises:
        DatasetError: There is none.
    """
    frames = list(dataset.labelled(config.split))
    if not frames:
        raise DatasetError(f"{dataset.title}: no labelled frame in {config.split} under {dataset.root}")
    return frames


def rows_of_rank(scenes: list[str], rank: int, ranks: int) -> list[int]:
    """Which rows of a table a rank fills: whole scenes, since frames are compared with others of theirs.

    Args:
        scenes: Of every row. The largest scene goes to the rank that has the fewest rows so far, then the next.
        rank: Whose rows.
        ranks: How many share them; each row is one rank's.
    """
    load, owner = [0] * ranks, {}
    for scene, number in Counter(scenes).most_common():
        owner[scene] = load.index(min(load))
        load[owner[scene]] += number
    return [row for row, scene in enumerate(scenes) if owner[scene] == rank]


@torch.no_grad()
def evaluate(
    predictors: Mapping[str, Predictor],
    dataset: Dataset,
    config: EvalConfig,
    device: torch.device,
    keep: set[str],
    on_image: Callable[[int, int], None],
) -> tuple[Counts, dict[str, UInt8[np.ndarray, "h w"]]]:
    """Score every predictor on a split. Each rank scores its own scenes, and has the result of all.

    Args:
        predictors: Networks in eval mode, by name. The first is the one in the tables, and the only one whose agreement
            between views is measured, because that takes a second prediction.
        dataset: Read one frame at a time.
        config: Split, tiles, input scale.
        device: Where the networks are.
        keep: Ids of frames whose predicted train ids (of the first predictor) are returned too.
        on_image: Told (done, images), those of this rank.

    Raises:
        BenchmarkError: A prediction is not finite, there is no frame to score, or one has no dense labels.
    """
    frames, surfaces = frames_of(dataset, config), Surfaces(dataset)
    rows = {name: _Rows(len(frames)) for name in predictors}
    first, looked = next(iter(predictors), ""), _Looked()
    kept: dict[str, UInt8[np.ndarray, "h w"]] = {}
    own = rows_of_rank([scene.id for scene, _ in frames], distributed.rank(), distributed.world())
    for done, row in enumerate(own, 1):
        scene, frame = frames[row]
        dense = dataset.dense(frame)
        if dense is None:
            raise DatasetError(f"{dataset.title}: frame {frame.id} has no dense labels to be scored against")
        pixels, index, size = _pixels(dataset, frame, device), scene.frames.index(frame), dense.shape
        depth = surfaces.depth(scene, index, (size[0], size[1]))
        for name, predictor in predictors.items():
            scores = scores_of(predictor, pixels, config, size)
            predicted, probability = winners(scores), _sure(scores, name, frame)
            rows[name].put(row, _measured(predicted, probability, dense, depth, len(dataset.classes)))
            if name == first:
                looked.add(frame, predicted)
                if frame.id in keep:
                    kept[frame.id] = predicted
        match = None if depth is None or not predictors else surfaces.match(scene, index, depth)
        if match is not None:
            other = scene.frames[match.other]
            if other not in looked.at:
                scores = scores_of(predictors[first], _pixels(dataset, other, device), config, size)
                looked.add(other, winners(scores))
            views = measures.views(looked.at[frame], looked.at[other], dense, match.here, match.there)
            rows[first].put(row, {"views": views})
        on_image(done, len(own))
    kept = {name: image for some in distributed.gathered(kept) for name, image in some.items()}
    for found in rows.values():
        found.join(own)
    tables = {name: found.arrays.pop("counts") for name, found in rows.items()}
    found = {name: found.arrays for name, found in rows.items()}
    source = surfaces.source if any("ranges" in arrays for arrays in found.values()) else None
    ids, scenes = [frame.id for _, frame in frames], [scene.id for scene, _ in frames]
    return Counts(image_ids=ids, scene_ids=scenes, tables=tables, measures=found, depth_source=source), kept


class _Rows:
    """Arrays with a row per image, which begin when a measure is first found; rows without it stay 0."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.arrays: dict[str, np.ndarray] = {}

    def put(self, row: int, values: Mapping[str, np.ndarray]) -> None:
        for name, value in values.items():
            if name not in self.arrays:
                self.arrays[name] = np.zeros((self.images, *value.shape), value.dtype)
            self.arrays[name][row] = value

    def join(self, own: list[int]) -> None:
        """Fill in the rows of the other ranks, which are all those that are not ``own``."""
        for theirs, arrays in distributed.gathered((own, {name: array[own] for name, array in self.arrays.items()})):
            for name, values in arrays.items():
                if name not in self.arrays:
                    self.arrays[name] = np.zeros((self.images, *values.shape[1:]), values.dtype)
                self.arrays[name][theirs] = values


class _Looked:
    """What was lately predicted, because the other view of a scored frame is often a scored frame too."""

    def __init__(self) -> None:
        self.at: dict[Frame, UInt8[np.ndarray, "h w"]] = {}

    def add(self, frame: Frame, predicted: UInt8[np.ndarray, "h w"]) -> None:
        self.at.pop(frame, None)  # what is scored now shall not be what is forgotten next
        self.at[frame] = predicted
        if len(self.at) > REMEMBERED:
            del self.at[next(iter(self.at))]


def _sure(scores: Float[Tensor, "c h w"], name: str, frame: Frame) -> Float32[np.ndarray, "h w"]:
    """The probability of what wins, which is a number everywhere."""
    probability = probability_of_winners(scores)
    wrong = float(np.mean(~np.isfinite(probability)))
    if wrong:
        raise BenchmarkError(
            f"{name} predicts no number in {wrong:.1%} of {frame.id}: train with a lower --train.lr, or with "
            f"--train.precision 32-true if it was a half one"
        )
    return probability


def _pixels(dataset: Dataset, frame: Frame, device: torch.device) -> Float[Tensor, "1 3 h w"]:
    return torch.from_numpy(dataset.image(frame)).to(device).permute(2, 0, 1)[None].float() / 255


def _measured(
    predicted: UInt8[np.ndarray, "h w"],
    probability: Float[np.ndarray, "h w"],
    dense: UInt8[np.ndarray, "h w"],
    depth: Float[np.ndarray, "h w"] | None,
    classes: int,
) -> dict[str, np.ndarray]:
    """The sufficient statistics of one image, by the name of the measure."""
    found = {
        "counts": measures.count(predicted, dense, classes),
        "boundary": measures.boundary(predicted, dense, classes),
        "trimap": measures.trimap(predicted, dense, classes),
        "calibration": measures.calibration(predicted, probability, dense),
    }
    return found if depth is None else {**found, "ranges": measures.ranges(predicted, dense, depth, classes)}


def scores_of(
    predictor: Predictor, image: Float[Tensor, "1 3 h w"], config: EvalConfig, size: tuple[int, ...]
) -> Float[Tensor, "c H W"]:
    """Scores at the label's size, from the whole image or from tiles with averaged probabilities; the largest wins."""
    if config.scale != 1.0:
        image = F.interpolate(image, scale_factor=config.scale, mode="bilinear", antialias=True)
    scores = predictor(image) if config.tile is None else tiled(predictor, image, config.tile)
    if tuple(scores.shape[-2:]) != tuple(size):
        scores = F.interpolate(scores, tuple(size), mode="bilinear", align_corners=False)
    return scores[0]


def winners(scores: Float[Tensor, "c h w"]) -> UInt8[np.ndarray, "h w"]:
    """Predicted train ids."""
    return scores.argmax(0).to(torch.uint8).cpu().numpy()


def probability_of_winners(scores: Float[Tensor, "c h w"]) -> Float32[np.ndarray, "h w"]:
    """The softmax of the scores at the predicted class."""
    scores = scores.float()
    return (scores.amax(0) - scores.logsumexp(0)).exp().cpu().numpy()


def tiled(predictor: Predictor, image: Float[Tensor, "1 3 h w"], tile: tuple[int, int]) -> Float[Tensor, "1 c h w"]:
    """Log-probabilities averaged over tiles that overlap by at least a third and cover every pixel."""
    height, width = image.shape[-2:]
    total: Tensor | None = None
    hits = image.new_zeros(height, width)
    for top in _starts(height, tile[0]):
        for left in _starts(width, tile[1]):
            part = (..., slice(top, top + tile[0]), slice(left, left + tile[1]))
            probabilities = predictor(image[part]).float().softmax(1)
            if total is None:
                total = probabilities.new_zeros(1, probabilities.shape[1], height, width)
            total[part] += probabilities
            hits[part[1:]] += 1
    assert total is not None
    return (total / hits).log()


def _starts(length: int, tile: int) -> list[int]:
    if length <= tile:
        return [0]
    number = int(np.ceil((length - tile) / (tile * 2 / 3))) + 1
    return np.linspace(0, length - tile, number).round().astype(int).tolist()

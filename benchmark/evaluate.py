"""Counting: the sufficient statistics of a prediction, and nothing else. Scores are made from them in statistics.py.

Single scale, no flip, the label's native size: logits are upsampled, labels are never touched.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import DatasetError
from wsss.benchmark.method import Predictor
from wsss.benchmark.records import Counts
from wsss.benchmark.spec import EvalConfig
from wsss.benchmark.types import IGNORE, Frame, Scene


def frames_of(dataset: Dataset, config: EvalConfig) -> list[tuple[Scene, Frame]]:
    """The frames that are scored.

    Raises:
        DatasetError: There is none.
    """
    frames = list(dataset.labelled(config.split))
    if not frames:
        raise DatasetError(f"{dataset.title}: no labelled frame in {config.split} under {dataset.root}")
    return frames


@torch.no_grad()
def evaluate(
    predictors: Mapping[str, Predictor],
    dataset: Dataset,
    config: EvalConfig,
    device: torch.device,
    keep: set[str],
    on_image: Callable[[int, int], None],
) -> tuple[Counts, dict[str, UInt8[np.ndarray, "h w"]]]:
    """Score every predictor on a split.

    Args:
        predictors: Networks in eval mode, by name; the first is the one in the tables.
        dataset: Read one frame at a time.
        config: Split, tiles, input scale.
        device: Where the networks are.
        keep: Ids of frames whose predicted train ids (of the first predictor) are returned too.
        on_image: Told (done, images).
    """
    frames = frames_of(dataset, config)
    classes = len(dataset.classes)
    tables = {name: np.zeros((len(frames), classes, 3), np.int64) for name in predictors}
    kept: dict[str, UInt8[np.ndarray, "h w"]] = {}
    for row, (_, frame) in enumerate(frames):
        dense = dataset.dense(frame)
        if dense is None:
            raise DatasetError(f"{dataset.title}: frame {frame.id} has no dense labels to be scored against")
        pixels = torch.from_numpy(dataset.image(frame)).to(device).permute(2, 0, 1)[None].float() / 255
        for name, predictor in predictors.items():
            predicted = predict(predictor, pixels, config, dense.shape)
            tables[name][row] = count(predicted, dense, classes)
            if frame.id in keep:
                kept.setdefault(frame.id, predicted)
        on_image(row + 1, len(frames))
    ids, scenes = [frame.id for _, frame in frames], [scene.id for scene, _ in frames]
    return Counts(image_ids=ids, scene_ids=scenes, tables=tables), kept


def predict(
    predictor: Predictor, image: Float[Tensor, "1 3 h w"], config: EvalConfig, size: tuple[int, ...]
) -> UInt8[np.ndarray, "H W"]:
    """Predicted train ids at the label's size, from the whole image or from tiles with averaged probabilities."""
    if config.scale != 1.0:
        image = F.interpolate(image, scale_factor=config.scale, mode="bilinear", antialias=True)
    scores = predictor(image) if config.tile is None else tiled(predictor, image, config.tile)
    if tuple(scores.shape[-2:]) != tuple(size):
        scores = F.interpolate(scores, tuple(size), mode="bilinear", align_corners=False)
    return scores[0].argmax(0).to(torch.uint8).cpu().numpy()


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


def count(predicted: UInt8[np.ndarray, "h w"], dense: UInt8[np.ndarray, "h w"], classes: int) -> Int[np.ndarray, "c 3"]:
    """Per class the intersection, predicted and labelled pixels, all among pixels that have a class."""
    known = dense != IGNORE
    truth, guess = dense[known], predicted[known]
    if guess.size and guess.max() >= classes:
        raise ValueError(f"predicted class {guess.max()} of {classes}: predictions must lie in 0..{classes - 1}")
    hits = np.bincount(truth[truth == guess], minlength=classes)
    return np.stack([hits, np.bincount(guess, minlength=classes), np.bincount(truth, minlength=classes)], 1)

"""The labels that runs train on: made once, kept on disk, and digested byte by byte.

    <cache>/<dataset>-<digest of the split>/<kind>-<seed>/<frame>.png     weak train ids
                                                         /labels.json     written last: digest and statistics

Dense labels are not copied; for them only ``labels.json`` is kept.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from wsss.benchmark import labels
from wsss.benchmark.atomic import replacing, write_text
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import DatasetError, Unsupported
from wsss.benchmark.orphans import end_with_parent
from wsss.benchmark.spec import to_plain
from wsss.benchmark.types import Frame, LabelKind, Split

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What a kind of label offers on a split, for the table of labels and for the fingerprint."""

    source: str
    """``dense``, ``derived (...)`` or the name of an official set."""
    digest: str
    """First 16 hex digits of the SHA-256 over every frame's id and label bytes."""
    images: int
    share: float
    """Labelled pixels among the pixels that belong to a class, mean over images."""
    correct: float
    """Share of the labelled pixels whose label is the dense one, mean over images."""
    coverage: list[float | None]
    """Per class: share of the images that hold it in which it is labelled; None where no image holds it."""


class Supervision:
    """The labels of one dataset, kind and seed on one split.

    Args:
        dataset: Where dense and official labels come from.
        kind: Of label; ``full`` stands for the dense ones.
        seed: Of derived labels.
        cache: Folder for labels of all datasets.
        split: Normally ``train``.
    """

    def __init__(self, dataset: Dataset, kind: LabelKind, seed: int, cache: Path, split: Split = "train") -> None:
        if kind != "full" and kind not in dataset.labels:
            raise Unsupported(f"{dataset.title} has no {kind}")
        self.dataset, self.seed = dataset, seed
        self.kind: LabelKind = kind
        self.split: Split = split
        name = "full" if kind == "full" else f"{kind}-{seed}-v{labels.VERSION}"
        self.folder = cache / f"{dataset.name}-{dataset.digest(split)}" / name

    @property
    def ready(self) -> bool:
        """Whether the labels were made already."""
        return (self.folder / "labels.json").is_file()

    def read(self, frame: Frame) -> UInt8[np.ndarray, "h w"]:
        """The labels of a frame, IGNORE where there are none.

        Raises:
            DatasetError: A cached file is missing or damaged.
        """
        if self.kind == "full":
            return _dense(self.dataset, frame)
        path = self._path(frame)
        data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
        if image is None:
            raise DatasetError(f"{path} is missing or damaged; delete {self.folder} and it will be made again")
        return image

    def prepare(self, jobs: int = 1, progress: Progress | None = None) -> Statistics:
        """Make the labels that are missing and return what they offer; at once if all were made before.

        Raises:
            DatasetError: A label file is missing or damaged.
        """
        if self.ready:
            return _statistics(self.folder / "labels.json")
        frames = [frame for _, frame in self.dataset.labelled(self.split)]
        if not frames:
            raise DatasetError(f"{self.dataset.title}: no labelled frame in {self.split} under {self.dataset.root}")
        sha = hashlib.sha256()
        found = []
        for done, (frame, (digest, statistics)) in enumerate(zip(frames, self._rows(frames, jobs), strict=True), 1):
            sha.update(f"{frame.id}:{digest}\n".encode())
            found.append(statistics)
            if progress:
                progress(done, len(frames))
        summary = self._summarise(sha.hexdigest()[:16], found)
        write_text(self.folder / "labels.json", json.dumps(to_plain(summary)) + "\n")
        return summary

    def _rows(self, frames: list[Frame], jobs: int) -> Iterator[tuple[str, labels.Statistics]]:
        if jobs == 1 or len(frames) < 300:  # starting processes costs seconds
            yield from map(self._make, frames)
            return
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
            yield from pool.map(self._make, frames, chunksize=16)

    def _make(self, frame: Frame) -> tuple[str, labels.Statistics]:
        """Make and store one frame's labels; returns their digest and what they reach."""
        dense = _dense(self.dataset, frame)
        weak = dense
        if self.kind != "full":
            weak = self.dataset.weak(frame, self.kind, self.seed)
            with replacing(self._path(frame)) as temporary:
                temporary.write_bytes(cv2.imencode(".png", weak)[1].tobytes())
        digest = hashlib.sha256(weak.tobytes()).hexdigest()
        return digest, labels.statistics(weak, dense, len(self.dataset.classes))

    def _summarise(self, digest: str, found: list[labels.Statistics]) -> Statistics:
        present = np.sum([one.present for one in found], axis=0)
        both = np.sum([one.present & one.labelled for one in found], axis=0)
        return Statistics(
            source="dense" if self.kind == "full" else self.dataset.weak_source(self.kind),
            digest=digest,
            images=len(found),
            share=float(np.mean([one.share for one in found])),
            correct=float(np.mean([one.correct for one in found])),
            coverage=[float(b / p) if p else None for b, p in zip(both, present, strict=True)],
        )

    def _path(self, frame: Frame) -> Path:
        return self.folder / f"{frame.id}.png"


def stored(cache: Path) -> Iterator[tuple[tuple[str, str], Statistics]]:
    """Every set of labels made so far: (dataset and digest of its split, kind and seed), statistics."""
    for path in sorted(cache.glob("*/*/labels.json")):
        yield (path.parts[-3], path.parts[-2]), _statistics(path)


def _statistics(path: Path) -> Statistics:
    try:
        return Statistics(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(f"{path} is damaged ({error}); delete {path.parent}, they are made again") from error


def _dense(dataset: Dataset, frame: Frame) -> UInt8[np.ndarray, "h w"]:
    dense = dataset.dense(frame)
    if dense is None:
        raise Unsupported(f"{dataset.title}: frame {frame.id} has no dense labels")
    return dense

"""Frames -> samples -> batches, each a function of (seed, step, position) alone."""

import signal
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from wsss.benchmark import distributed
from wsss.benchmark.augment import Augment, Views
from wsss.benchmark.batch import Batch, Points, Preparation
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.samples import sample
from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.randomness import stream
from wsss.benchmark.spec import TrainConfig
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import IGNORE

Key = tuple[int, int, int]
"""(step, position in the batch, index of the frame)."""


class TrainingSet(TorchDataset):
    """The labelled frames of a split as augmented samples; indexed by Key, so that workers share no state.

    Args:
        supervision: Which frames and labels.
        config: Size and strength of the augmentation.
        seed: Of the augmentation.
        preparation: What ``Method.preparation`` returned: applied to every batch by the process that makes it.
        clouds: Of every scene of the split, for a method that learns from points; prepared.
        sampling: Which of their points a sample gets.
    """

    def __init__(
        self,
        supervision: Supervision,
        config: TrainConfig,
        seed: int,
        preparation: Preparation | None = None,
        clouds: Clouds | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        self.supervision = supervision
        self.seed = seed
        self.preparation = preparation
        self.clouds = clouds
        self.sampling = Sampling() if sampling is None else sampling
        self.dataset = supervision.dataset
        self.views = [
            (scene, number)
            for scene in self.dataset.scenes(supervision.split)
            for number, frame in enumerate(scene.frames)
            if frame.labelled
        ]
        self.frames = [scene.frames[number] for scene, number in self.views]
        self.augment = Augment(config, seed)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, key: Key) -> Views:
        step, position, index = key
        frame = self.frames[index]
        labels = self.supervision.read(frame)
        dense = labels if self.supervision.kind == "full" else self.dataset.dense(frame)
        return self.augment(
            torch.from_numpy(self.dataset.image(frame)).permute(2, 0, 1),
            torch.from_numpy(labels),
            torch.from_numpy(dense == IGNORE),
            points=self.supervision.kind == "points",
            step=step,
            position=position,
            cloud=self._cloud(*key),
        )

    def _cloud(self, step: int, position: int, index: int) -> Points | None:
        """The points of a sample, before its augmentation."""
        if self.clouds is None:
            return None
        rng = stream(self.seed, "sampling", step, position)
        return sample(self.clouds, self.supervision, *self.views[index], self.sampling, rng)


class Steps:
    """The keys of every step from ``start`` on: each pass over the frames in an order of its own.

    They are those of this rank's positions, so that the batches of all ranks are the one of a single process.

    Raises:
        UsageError: The ranks cannot have equally many positions.
    """

    def __init__(self, frames: int, config: TrainConfig, seed: int, start: int) -> None:
        self.frames, self.config, self.seed, self.start = frames, config, seed, start
        self.positions = distributed.part(config.batch)

    def __len__(self) -> int:
        return self.config.steps - self.start

    def __iter__(self) -> Iterator[list[Key]]:
        orders: dict[int, np.ndarray] = {}
        for step in range(self.start, self.config.steps):
            keys = []
            for position in self.positions:
                epoch, place = divmod(step * self.config.batch + position, self.frames)
                if epoch not in orders:
                    orders = {k: v for k, v in orders.items() if k == epoch - 1}
                    orders[epoch] = stream(self.seed, "order", epoch).permutation(self.frames)
                keys.append((step, position, int(orders[epoch][place])))
            yield keys


def collate(samples: list[Views], preparation: Preparation | None = None) -> Batch:
    """Samples of one size as one batch, prepared for the method that wants it."""
    batch = Batch(
        image=torch.stack([s.image for s in samples]),
        strong=torch.stack([s.strong for s in samples]),
        labels=torch.stack([s.labels for s in samples]),
        valid=torch.stack([s.valid for s in samples]),
        points=_joined([s.points for s in samples if s.points is not None]),
    )
    return batch if preparation is None else replace(batch, prepared=preparation(batch))


def _joined(samples: list[Points]) -> Points | None:
    """The points of all images as one table; None where there are no points at all."""
    if not samples:
        return None
    columns = {field.name: torch.cat([getattr(one, field.name) for one in samples]) for field in fields(Points)}
    counts = torch.tensor([len(one.xyz) for one in samples])
    return replace(Points(**columns), image=torch.repeat_interleave(torch.arange(len(samples)), counts))


def batches(training: TrainingSet, config: TrainConfig, seed: int, start: int, workers: int, pin: bool) -> DataLoader:
    """The batches of steps ``start`` to ``config.steps``, made ahead by ``workers`` processes."""
    return DataLoader(
        training,
        batch_sampler=Steps(len(training), config, seed, start),
        collate_fn=partial(collate, preparation=training.preparation),
        num_workers=workers,
        pin_memory=pin,
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_ignore_announcements if workers else None,
    )


def _ignore_announcements(worker: int) -> None:
    """SLURM announces the end of a job to all its processes; the one that trains answers and still needs loaders."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)

"""A dataset and networks small enough for unit tests: no files but one byte per frame, no pretrained weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from toy_points import pointwise, table

from wsss.benchmark import IGNORE, Batch, Classes, Dataset, Frame, Scene, Task
from wsss.benchmark.networks import Attention, ImageNetwork, Prediction
from wsss.benchmark.randomness import stream
from wsss.benchmark.spec import EvalConfig, NetworkConfig, RunSpec, TrainConfig

SIZE = (48, 64)
NETWORK = NetworkConfig(architecture="FPN", encoder="resnet18", weights="none", channels=32)
TRANSFORMER = NetworkConfig(architecture="Segformer", encoder="mit_b0", weights="none", channels=16)
"""For methods to which NETWORK is an obstacle."""
TRAIN = TrainConfig(steps=6, batch=2, crop=(32, 32), lr=1e-3)


class Toy(Dataset):
    """Coloured rectangles on a ground, two scenes a split."""

    title = "Toy"
    classes = Classes(
        names=("ground", "red thing", "blue thing"),
        colors=((90, 120, 90), (220, 40, 40), (40, 60, 220)),
        things=frozenset({"red thing", "blue thing"}),
    )
    labels = frozenset({"points", "scribbles", "coarse"})
    sources = frozenset()
    homepage = "https://example.org"
    license = "none"
    layout = "<frame>"

    def scenes(self, split):
        return [
            Scene(id=f"{split}{s}", frames=tuple(self._frame(f"{split}{s}-{f}") for f in range(3))) for s in range(2)
        ]

    def _frame(self, name):
        path = self.root / name
        if not path.is_file():  # another process may be reading its size
            path.write_bytes(b"x")
        return Frame(id=name, image=path, labelled=True)

    def _draw(self, frame):
        rng = stream(0, "toy", frame.id)
        image = np.full((*SIZE, 3), (90, 120, 90), np.uint8)
        dense = np.zeros(SIZE, np.uint8)
        for category in (1, 2, 1):
            top, left = int(rng.integers(0, 30)), int(rng.integers(0, 44))
            height, width = int(rng.integers(10, 18)), int(rng.integers(12, 20))
            image[top : top + height, left : left + width] = self.classes.colors[category]
            dense[top : top + height, left : left + width] = category
        dense[:3] = IGNORE
        noise = rng.integers(-20, 20, image.shape)
        return (image.astype(int) + noise).clip(0, 255).astype(np.uint8), dense

    def image(self, frame):
        return self._draw(frame)[0]

    def dense(self, frame: Frame) -> np.ndarray | None:
        return self._draw(frame)[1]


class Pixelwise(ImageNetwork):
    """A network in which no pixel sees another, so that a test can tell whose content reached a loss."""

    def __init__(self, classes: int) -> None:
        nn.Module.__init__(self)
        self.hidden = nn.Conv2d(3, 8, 1)
        self.classifier = nn.Conv2d(8, classes, 1)

    def forward(self, image: Tensor) -> Prediction:
        features = self.hidden(image).tanh()
        size = (image.shape[-2], image.shape[-1])
        return Prediction(self.classifier(features), features, size, size)

    def attend(self, image: Tensor) -> tuple[Prediction, tuple[Attention, ...]]:
        """Every pixel looks everywhere alike, so that attention itself tells nothing of any pixel."""
        prediction = self(image)
        keys = (-(-prediction.size[0] // 4), -(-prediction.size[1] // 4))
        number = keys[0] * keys[1]
        weights = torch.full((image.shape[0], prediction.size[0] * prediction.size[1], number), 1 / number)
        return prediction, (Attention(weights, prediction.size, keys),)


def pixelwise_task(classes: Classes = Toy.classes, sharpness: float = 1.0) -> Task:
    """A task whose network is Pixelwise; a high ``sharpness`` makes it sure of itself."""

    def network() -> ImageNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = Pixelwise(len(classes))
        with torch.no_grad():
            made.classifier.weight.mul_(sharpness)
        return made

    return Task(classes=classes, image_network=network, point_network=pointwise(len(classes.on_surfaces), sharpness))


def batch(
    seed: int = 0, size: tuple[int, int] = (24, 32), images: int = 2, classes: int = 3, points: bool = False
) -> Batch:
    """Random pixels; a fifth labelled, the right margin invalid; with ``points`` random points too."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(images, 3, *size, generator=generator)
    labels = torch.randint(0, classes, (images, *size), generator=generator)
    labels[torch.rand(images, *size, generator=generator) > 0.2] = IGNORE
    valid = torch.ones(images, *size, dtype=torch.bool)
    valid[..., -4:] = False
    labels[~valid] = IGNORE
    strong = (image * 0.8 + 0.1 * torch.rand(images, 3, *size, generator=generator)).clamp(0, 1)
    there = table(seed, size, images, classes) if points else None
    return Batch(image=image, strong=strong, labels=labels, valid=valid, points=there)


def spec(**changes) -> RunSpec:
    """A run on Toy."""
    values = {
        "dataset": "toy",
        "data": "miniature",
        "labels": "scribbles",
        "method": "partial",
        "seed": 0,
        "train": TRAIN,
        "network": NETWORK,
        "evaluate": EvalConfig(),
    }
    return RunSpec(**{**values, **changes})


def toy(folder: Path) -> Toy:
    """The dataset in a folder of its own."""
    root = folder / "toy"
    root.mkdir(parents=True, exist_ok=True)
    return Toy(root)


@dataclass(frozen=True)
class Brightness:
    """A preparation: any function of the batch that can be sent to another process, which imports it from here."""

    factor: float

    def __call__(self, batch):
        assert batch.prepared is None
        return self.factor * batch.image.mean(1)

"""The positive control of Rewis3d: where appearance is ambiguous and geometry is not, the bridge must carry it over.

Two kinds of thing have the same colour and differ in height. The picture does tell them apart, by faint stripes within
as strong a noise, but a few labelled pixels are not enough to learn that; they are enough to learn heights. What the
points say of every pixel then is enough to learn the stripes.
"""

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn

from wsss.benchmark import IGNORE, Batch, Classes, Points, Task
from wsss.benchmark.networks import ImageNetwork, PointNetwork, Prediction
from wsss.methods.rewis3d import Config, Rewis3d

CLASSES = Classes(names=("ground", "low", "tall"), colors=((90, 90, 90), (160, 160, 160), (200, 200, 200)))
HEIGHT = torch.tensor([0.0, 0.5, 2.0])
SIZE = (24, 32)
STRIPES = NOISE = 0.08
STEPS = 100


class Convolutions(ImageNetwork):
    """Three of them: sees seven pixels, of which a stripe takes two."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        layers = [(3, 16), (16, 16), (16, 16)]
        self.body = nn.Sequential(*(nn.Sequential(nn.Conv2d(*io, 3, padding=1), nn.ReLU()) for io in layers))
        self.classifier = nn.Conv2d(16, len(CLASSES), 1)

    def forward(self, image: Tensor) -> Prediction:
        features, size = self.body(4 * (image - 0.5)), (image.shape[-2], image.shape[-1])
        return Prediction(self.classifier(features), features, size, size)


class Perceptron(PointNetwork):
    """Sees where a point lies."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, len(CLASSES)))

    def forward(self, xyz: Tensor, rgb: Tensor, image: Tensor) -> Tensor:
        return self.layers(xyz)


def classes_of(images: int, generator: torch.Generator) -> Tensor:
    """Four things on the ground of every picture, each low or tall."""
    dense = torch.zeros(images, *SIZE, dtype=torch.long)
    for picture in dense:
        for row, column in ((0, 0), (0, 16), (12, 0), (12, 16)):
            top, left, more, wider, kind = torch.randint(0, 3, (5,), generator=generator).tolist()
            picture[row + top : row + top + 7 + more, column + left : column + left + 9 + wider] = 1 + kind % 2
    return dense


def pictures(images: int, labelled: int, generator: torch.Generator) -> tuple[Batch, Tensor]:
    """Pictures with a point on half of their pixels and ``labelled`` labels each, and their classes."""
    dense = classes_of(images, generator)
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in SIZE), indexing="ij")
    stripes = (torch.where(dense == 1, rows, columns) // 2 % 2 * 2 - 1) * STRIPES
    grey = torch.where(dense > 0, 0.6 + stripes, 0.4)[:, None]
    image = (grey + NOISE * torch.randn(images, 3, *SIZE, generator=generator)).clamp(0, 1)
    labels = torch.full_like(dense, IGNORE)
    for picture, truth in zip(labels.flatten(1), dense.flatten(1), strict=True):
        where = torch.randperm(truth.numel(), generator=generator)[:labelled]
        picture[where] = truth[where]

    whose, row, column = torch.nonzero(torch.rand(dense.shape, generator=generator) < 0.5).unbind(1)
    height = HEIGHT[dense[whose, row, column]] + 0.2 * torch.randn(len(whose), generator=generator)
    xyz = torch.stack([column / 8 - 2, row / 8 - 1.5, height], 1)
    points = Points(
        xyz=xyz, strong=xyz + 0.01 * torch.randn(xyz.shape, generator=generator), rgb=image[whose, :, row, column],
        confidence=torch.ones(len(whose)), labels=labels[whose, row, column], image=whose,
        pixel=torch.stack([row, column], 1),
    )  # fmt: skip
    strong = (image + 0.05 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    return Batch(image=image, strong=strong, labels=labels, valid=labels == labels, points=points), dense


@cache
def score(seed: int, bridge: float, wrong_pairs: bool = False) -> float:
    """The mIoU of the image network on new pictures, trained with that weight of the bridge."""
    generator = torch.Generator().manual_seed(seed)
    given, _ = pictures(4, 10, generator)
    seen, dense = pictures(12, 0, generator)
    assert given.points is not None
    if wrong_pairs:
        shuffled = torch.randperm(len(given.points.pixel), generator=generator)
        given = replace(given, points=replace(given.points, pixel=given.points.pixel[shuffled]))
    torch.manual_seed(seed)
    method = Rewis3d(
        Config(to_image=bridge, to_points=bridge, cross_start=0.2, momentum=0.9, point_lr=5.0),
        Task(classes=CLASSES, image_network=Convolutions, point_network=Perceptron),
    )
    optimiser = torch.optim.Adam(method.parameter_groups(0.01))
    for step in range(STEPS):
        loss = torch.stack(list(method.losses(given, step / STEPS).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        method.after_step(step + 1)
    with torch.no_grad():
        predicted = method.predict(seen.image).argmax(1)
    pairs = torch.bincount((3 * dense + predicted).flatten(), minlength=9).view(3, 3)
    return float((pairs.diag() / (pairs.sum(0) + pairs.sum(1) - pairs.diag())).mean())


def test_ambiguous_appearance_is_learned_better_with_the_bridge():
    without, across = ([score(seed, bridge) for seed in range(5)] for bridge in (0.0, 0.1))
    gains = [one - other for one, other in zip(across, without, strict=True)]
    assert min(gains) > 0 and sum(gains) / 5 > 0.1, (without, across)


def test_pairs_that_are_wrong_carry_nothing():
    """The negative control: the gain is what the pairs know, not one more loss."""
    without, wrong = score(0, 0.0), score(0, 0.1, wrong_pairs=True)
    assert wrong < without + 0.03, (without, wrong)

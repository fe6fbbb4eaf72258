"""A network of points and a table of points small enough for unit tests."""

from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor, nn

from wsss.benchmark import IGNORE, Points
from wsss.benchmark.networks import PointNetwork


class Pointwise(PointNetwork):
    """A network in which no point sees another, so that a test can tell whose content reached a loss."""

    def __init__(self, classes: int) -> None:
        nn.Module.__init__(self)
        self.hidden = nn.Linear(6, 16)
        self.classifier = nn.Linear(16, classes)

    def forward(self, xyz: Tensor, rgb: Tensor, image: Tensor) -> Tensor:
        return self.classifier(self.hidden(torch.cat([xyz, rgb], 1)).tanh())


def pointwise(classes: int, sharpness: float = 1.0) -> Callable[[], PointNetwork]:
    """Builds Pointwise anew at each call; a high ``sharpness`` makes it sure of itself."""

    def network() -> PointNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = Pointwise(classes)
        with torch.no_grad():
            made.classifier.weight.mul_(sharpness)
        return made

    return network


def table(
    seed: int = 0, size: tuple[int, int] = (24, 32), images: int = 2, classes: int = 3, number: int = 300
) -> Points:
    """Random points, a third of them on no pixel, some on one pixel, a fifth labelled."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, images, (number,), generator=generator)
    pixel = torch.stack([torch.randint(0, side, (number,), generator=generator) for side in size], 1)
    pixel[: number // 10] = pixel[0]
    pixel[torch.rand(number, generator=generator) < 0.33] = -1
    labels = torch.randint(0, classes, (number,), generator=generator)
    labels[torch.rand(number, generator=generator) > 0.2] = IGNORE
    xyz = 3 * torch.randn(number, 3, generator=generator)
    return Points(
        xyz=xyz, strong=xyz + 0.1 * torch.randn(number, 3, generator=generator),
        rgb=torch.rand(number, 3, generator=generator), labels=labels, image=image, pixel=pixel,
        confidence=(1 + 8 * torch.rand(number, generator=generator)).round(decimals=1),
    )  # fmt: skip


def rows(points: Points, chosen: Tensor) -> Points:
    """Some rows of a table, by their numbers or a mask."""
    return Points(**{field.name: getattr(points, field.name)[chosen] for field in fields(Points)})

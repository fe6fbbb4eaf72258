"""Two views of one image that share their geometry, and labels that follow every move of it.

The weak view is scaled, cropped and flipped; the strong view has the same pixels under colour jitter, greyscale, blur
and a hole. Point labels are moved as coordinates and drawn last, because resizing a mask loses most of them; the pixels
that made the points of a cloud are moved in the same way. The points themselves have two views too.
"""

import wsss.benchmark.torchvision_on_cpu  # noqa: F401  (before anything that imports torchvision)

# isort: split
import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from wsss.benchmark.batch import Points
from wsss.benchmark.randomness import seed_of
from wsss.benchmark.spec import TrainConfig
from wsss.benchmark.types import IGNORE

HOLE = 0.5
"""Grey of the hole, in [0, 1]."""
JITTER, FARTHEST = 0.005, 0.02
"""Deviation of the noise on points and its bound, metres: those of Rewis3d's release, as are the ranges below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """One training sample: the fields of a Batch without the batch axis."""

    image: Float[Tensor, "3 h w"]
    strong: Float[Tensor, "3 h w"]
    labels: Int64[Tensor, "h w"]
    valid: Bool[Tensor, "h w"]
    points: Points | None = None
    """All of image 0."""


class Augment:
    """Image and labels as stored -> two views of the crop's size.

    Every draw is a function of the four integers that ``__call__`` takes, so a resumed run sees what an uninterrupted
    one would have seen, with any number of workers.
    """

    def __init__(self, config: TrainConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        # Masks are filled with IGNORE: what lies outside the image is neither labelled nor valid.
        self.crop = v2.Compose(
            [
                v2.RandomCrop(config.crop, pad_if_needed=True, fill={tv_tensors.Mask: IGNORE, "others": 0}),
                v2.RandomHorizontalFlip(0.5),
            ]
        )
        jitter = config.jitter
        self.photometric = v2.Compose(
            [
                v2.RandomApply([v2.ColorJitter(jitter, jitter, jitter, jitter / 4)], p=0.8),
                v2.RandomGrayscale(p=0.2),
                v2.RandomApply([v2.GaussianBlur(kernel_size=5, sigma=(0.1, 1.5))], p=0.5),
            ]
        )

    def __call__(
        self,
        image: UInt8[Tensor, "3 h w"],
        labels: UInt8[Tensor, "h w"],
        void: Bool[Tensor, "h w"],
        *,
        points: bool,
        step: int,
        position: int,
        cloud: Points | None = None,
    ) -> Views:
        """Augment one image.

        Args:
            image: RGB as stored.
            labels: Weak train ids, IGNORE elsewhere.
            void: Pixels that belong to no class.
            points: Whether ``labels`` holds single pixels that are to be moved as coordinates.
            step: Of the optimiser, from 0.
            position: In the batch.
            cloud: Points whose pixels are those of the stored image.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, "augmentation", step, position))
            return self._augment(image, labels, void, points, cloud)

    def _augment(self, image: Tensor, labels: Tensor, void: Tensor, points: bool, cloud: Points | None) -> Views:
        size = self._size(image.shape[-2:])
        masks = torch.stack([labels, torch.where(void, IGNORE, 0).to(torch.uint8)])
        marked = torch.nonzero(labels != IGNORE) if points else torch.empty(0, 2, dtype=torch.long)
        ids = labels[marked[:, 0], marked[:, 1]]
        if points:
            masks[0] = IGNORE
        shown = None if cloud is None else torch.nonzero(cloud.pixel[:, 0] >= 0)[:, 0]
        pixels = marked if cloud is None else torch.cat([marked, cloud.pixel[shown]])
        centres = pixels.flip(1) + 0.5  # resizing scales about the corner of the image
        keypoints = F.resize_keypoints(centres, list(size), canvas_size=(labels.shape[0], labels.shape[1]))[0] - 0.5

        resized = F.resize(image, list(size), interpolation=v2.InterpolationMode.BILINEAR, antialias=True)
        masks = F.resize(masks, list(size), interpolation=v2.InterpolationMode.NEAREST_EXACT)
        tracked = tv_tensors.KeyPoints(keypoints, canvas_size=size)  # pyright: ignore[reportCallIssue]
        cropped, masks, keypoints = self.crop(tv_tensors.Image(resized), tv_tensors.Mask(masks), tracked)

        weak = cropped.as_subclass(Tensor).float() / 255
        masks = masks.as_subclass(Tensor)
        labels, keypoints = masks[0].long(), keypoints.as_subclass(Tensor)
        if points:
            draw_points(labels, keypoints[: len(ids)], ids)
        if cloud is not None:
            moved = torch.full_like(cloud.pixel, -1)
            moved[shown] = landed(keypoints[len(ids) :], self.config.crop)
            cloud = replace(cloud, pixel=moved)
        strong = self.photometric(weak).clone()  # some transforms return a view, or their input
        self._cut_out(strong, labels)
        if cloud is not None:  # drawn last, so that a method that learns from points sees the images that others see
            cloud = replace(cloud, strong=moved_about(cloud.xyz))
        return Views(image=weak, strong=strong, labels=labels, valid=masks[1] != IGNORE, points=cloud)

    def _size(self, stored: torch.Size) -> tuple[int, int]:
        low, high = self.config.scale
        scale = low + (high - low) * torch.rand(()).item()
        return max(1, round(stored[0] * scale)), max(1, round(stored[1] * scale))

    def _cut_out(self, strong: Tensor, labels: Tensor) -> None:
        """Make a hole in the strong view and forget the labels under it, in place."""
        side = round(self.config.cutout * min(self.config.crop))
        if side == 0:
            return
        height, width = labels.shape
        top = int(torch.randint(0, height - side + 1, ()))
        left = int(torch.randint(0, width - side + 1, ()))
        strong[:, top : top + side, left : left + side] = HOLE
        labels[top : top + side, left : left + side] = IGNORE


def moved_about(xyz: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Points of the network's frame turned about the vertical half of the time, scaled, mirrored and jittered."""
    angle, scale = (2 * torch.rand(2) - 1).tolist()
    turned, *mirrored = (torch.rand(3) < 0.5).tolist()
    sine, cosine = (math.sin(math.pi * angle), math.cos(math.pi * angle)) if turned else (0.0, 1.0)
    move = torch.tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    move *= (1 + 0.1 * scale) * torch.tensor([[-1.0 if mirrored[0] else 1.0], [-1.0 if mirrored[1] else 1.0], [1.0]])
    jitter = torch.randn(xyz.shape).mul_(JITTER).clamp_(-FARTHEST, FARTHEST)  # in place: 120,000 points are many
    return jitter.add_(xyz @ move.T)


def draw_points(labels: Int64[Tensor, "h w"], keypoints: Float[Tensor, "n 2"], ids: UInt8[Tensor, " n"]) -> None:
    """Set the pixel of every keypoint (column, row) that lies inside to its train id, in place."""
    rows, columns = landed(keypoints, (labels.shape[0], labels.shape[1])).unbind(1)
    inside = rows >= 0
    labels[rows[inside], columns[inside]] = ids[inside].long()


def landed(keypoints: Float[Tensor, "n 2"], size: tuple[int, int]) -> Int64[Tensor, "n 2"]:
    """The pixels (row, column) on which keypoints (column, row) lie, -1 where that is outside an image of ``size``."""
    columns, rows = keypoints.round().long().unbind(1)
    inside = (rows >= 0) & (columns >= 0) & (rows < size[0]) & (columns < size[1])
    return torch.stack([torch.where(inside, rows, -1), torch.where(inside, columns, -1)], 1)

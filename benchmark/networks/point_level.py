"""The voxels of a batch of clouds at one resolution, and what the network looks up among them."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from wsss.benchmark.errors import UsageError
from wsss.benchmark.networks.point_convolution import Pairs, add_rows, find_pairs
from wsss.benchmark.networks.point_order import ORDERS, order_code

_MAX_DEPTH = 15
"""Levels of the curves: 32,768 voxels a side, and room for as many images in 63 bits."""


@dataclass(frozen=True, slots=True)
class Patches:
    """Runs of voxels along a curve that attend to each other."""

    voxel: Int64[Tensor, " places"]
    """Of each place in each patch."""
    place: Int64[Tensor, " n"]
    """The one place of each voxel whose result counts."""
    real: Bool[Tensor, "p 1 1 k"] | None
    """Which places hold a voxel, as keys; None where all do."""
    size: int
    """Places in a patch."""


@dataclass(eq=False)
class Level:
    """Voxels in Morton order, image by image; every image has at least one."""

    cells: Int64[Tensor, "n 3"]
    image: Int64[Tensor, " n"]
    code: Int64[Tensor, " n"]
    """In order "z", rising."""
    depth: int
    """Of the curves: cells are in [0, 2**depth)."""
    orders: tuple[str, ...] = ORDERS
    """What attention calls its first, second, ... order; shuffled in training."""
    _pairs: dict[int, Pairs] = field(default_factory=dict)
    _curves: dict[str, Tensor] = field(default_factory=dict)
    _patches: dict[tuple[str, int], Patches] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.code)

    @torch.no_grad()
    def pairs(self, kernel: int) -> Pairs:
        """The pairs of voxels that a convolution joins."""
        if kernel not in self._pairs:
            self._pairs[kernel] = find_pairs(self.cells, self.image, kernel)
        return self._pairs[kernel]

    @torch.no_grad()
    def patches(self, place: int, size: int) -> Patches:
        """The voxels along the curve at ``place`` in ``orders``, cut into patches of ``size``.

        The last patch of an image is filled up from the one before it. An image with fewer voxels than a patch is one
        patch whose other keys are masked, as in the reference's path through FlashAttention.
        """
        key = self.orders[place % len(self.orders)], size
        if key not in self._patches:
            self._patches[key] = self._cut(self._curve(key[0]), size)
        return self._patches[key]

    @torch.no_grad()
    def shuffle(self) -> None:
        """Draw which order is the first, the second, ... from torch's generator."""
        self.orders = tuple(ORDERS[i] for i in torch.randperm(len(ORDERS)).tolist())

    @torch.no_grad()
    def pool(self, bits: int) -> tuple["Level", Int64[Tensor, " n"]]:
        """The level with voxels of 2**bits the side, and the voxel of it that each one of this level falls into."""
        bits = min(bits, self.depth)
        code, cluster, counts = torch.unique_consecutive(self.code >> 3 * bits, return_inverse=True, return_counts=True)
        first = counts.cumsum(0) - counts
        return Level(self.cells[first] >> bits, self.image[first], code, self.depth - bits), cluster

    def _curve(self, order: str) -> Int64[Tensor, " n"]:
        """The voxels along a curve."""
        if order not in self._curves:
            self._curves[order] = order_code(self.cells, self.image, self.depth, order).argsort()
        return self._curves[order]

    def _cut(self, curve: Int64[Tensor, " n"], size: int) -> Patches:
        counts = torch.bincount(self.image)
        known = counts.tolist()
        size = min(size, max(known))  # the same result with less padding
        padded = (counts + size - 1) // size * size
        start, padded_start = counts.cumsum(0) - counts, padded.cumsum(0) - padded
        total = sum(-(-count // size) * size for count in known)
        image = torch.repeat_interleave(padded, output_size=total)
        inside = torch.arange(total, device=curve.device) - padded_start[image]
        filler = (inside - size).clamp(min=0)
        inside_image = torch.where(inside < counts[image], inside, filler)
        voxel = curve[start[image] + inside_image]
        place = torch.empty_like(curve)
        place[curve] = torch.arange(len(curve), device=curve.device) + (padded_start - start)[self.image]
        real = None
        if min(known) < size:
            real = ((inside < counts[image]) | (counts[image] >= size)).view(-1, 1, 1, size)
        return Patches(voxel, place, real, size)


@dataclass(frozen=True, slots=True)
class Voxels:
    """Points joined in voxels."""

    level: Level
    of_point: Int64[Tensor, " n"]
    """The voxel of each point."""
    share: Float[Tensor, " n"]
    """Of each point in the mean of its voxel."""

    def mean(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "v d"]:
        """The mean over the points of each voxel."""
        return add_rows(x.new_zeros(len(self.level), x.shape[1]), self.of_point, x * self.share[:, None])


@torch.no_grad()
def voxelise(xyz: Float[Tensor, "n 3"], image: Int64[Tensor, " n"], side: float) -> Voxels:
    """Join the points of each image that share a cube of a grid through the origin of its axes.

    Voxels are counted from the image's own least coordinates, and the curves' depth is a multiple of three, to which
    Hilbert's curve is blind: an image is ordered alike whatever else is in the batch. (Pointcept counts from the
    batch's and takes the least depth, so that a cloud's order depends on its neighbours.)

    Args:
        xyz: Metres, at least one point.
        image: Any numbers that tell the images apart.
        side: Of a voxel, metres.

    Raises:
        UsageError: A coordinate is not finite, or an image is wider than 32,767 voxels.
    """
    image = torch.unique(image, return_inverse=True)[1]
    cells = torch.floor(xyz / side)
    images = int(image.max()) + 1
    least = cells.new_full((images, 3), torch.inf)
    least = least.scatter_reduce(0, image[:, None].expand_as(cells), cells, "amin")
    cells = cells - least[image]
    widest = float(cells.max())
    if not widest < 1 << _MAX_DEPTH:  # also where it is not a number
        raise UsageError(
            f"the points of an image span {widest:.0f} voxels of {side} m, or are not finite; at most "
            f"{1 << _MAX_DEPTH} are possible: drop stray points or raise PointNetworkConfig.voxel"
        )
    cells = cells.long()
    depth = max(6, -(-int(widest).bit_length() // 3) * 3)
    codes = order_code(cells, image, depth, "z")
    code, of_point, counts = torch.unique(codes, return_inverse=True, return_counts=True)
    some = torch.empty_like(code).scatter_(0, of_point, torch.arange(len(codes), device=codes.device))
    level = Level(cells[some], image[some], code, depth)
    return Voxels(level, of_point, counts.to(xyz.dtype).reciprocal()[of_point])

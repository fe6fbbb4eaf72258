"""Space-filling curves: the order in which voxels stand in a row, so that neighbours in it are near in space.

Morton's curve (z) interleaves the bits of the three coordinates; Hilbert's never leaves a voxel but to one that shares
a face, after J. Skilling, "Programming the Hilbert curve", AIP Conference Proceedings 707, 2004. The curves and the
names of the four orders are those of Point Transformer V3 (Wu et al., CVPR 2024, section 4.1; arXiv 2312.10035).
"""

import torch
from jaxtyping import Int64
from torch import Tensor

ORDERS = ("z", "z-trans", "hilbert", "hilbert-trans")
"""Two curves, each also with the first two axes exchanged."""


def morton_code(cells: Int64[Tensor, "n 3"]) -> Int64[Tensor, " n"]:
    """Position on Morton's curve: bits x, y, z of each level, the first axis the most significant.

    Args:
        cells: Coordinates of voxels, in [0, 2**21).
    """
    x, y, z = _spread(cells).unbind(1)
    return x << 2 | y << 1 | z


def hilbert_code(cells: Int64[Tensor, "n 3"], depth: int) -> Int64[Tensor, " n"]:
    """Position on Hilbert's curve through the cube of 2**depth voxels a side.

    One level more turns the curve's axes in a ring, so that three levels more leave all positions as they are.

    Args:
        cells: Coordinates of voxels, in [0, 2**depth).
        depth: Levels of the curve, at most 21.
    """
    axes = list(cells.unbind(1))
    for level in reversed(range(1, depth)):  # undo the rotations and reflections, from the largest cube
        below = (1 << level) - 1
        for i in range(3):
            inverted = -(axes[i] >> level & 1)  # all bits set where this half of the cube is reflected
            exchanged = (axes[0] ^ axes[i]) & below & ~inverted
            axes[0] = axes[0] ^ exchanged ^ (inverted & below)
            if i:
                axes[i] = axes[i] ^ exchanged
    x, y, z = axes[0], axes[1] ^ axes[0], axes[2] ^ axes[1] ^ axes[0]
    flips = torch.zeros_like(z)
    for level in range(1, depth):  # a level's last bit says whether all levels below it are inverted
        flips ^= -(z >> level & 1) & ((1 << level) - 1)
    return morton_code(torch.stack([x ^ flips, y ^ flips, z ^ flips], 1))


def order_code(cells: Int64[Tensor, "n 3"], image: Int64[Tensor, " n"], depth: int, order: str) -> Int64[Tensor, " n"]:
    """Position in one of ``ORDERS``, the clouds of a batch one after the other.

    Args:
        cells: Coordinates of voxels, in [0, 2**depth).
        image: Whose cloud each voxel belongs to, from 0.
        depth: Levels of the curve; 3 * depth bits and those of ``image`` must fit into 63.
        order: One of ``ORDERS``.
    """
    if order.endswith("-trans"):
        cells = cells[:, [1, 0, 2]]
    code = hilbert_code(cells, depth) if order.startswith("hilbert") else morton_code(cells)
    return image << 3 * depth | code


def _spread(x: Int64[Tensor, "n 3"]) -> Int64[Tensor, "n 3"]:
    """Bits 0, 1, 2, ... of a number to places 0, 3, 6, ..."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        x = (x | x << shift) & mask
    return x

"""The curves against their definitions, bit by bit."""

import pytest
import torch

from wsss.benchmark.networks.point_order import ORDERS, hilbert_code, morton_code, order_code


def cube(depth):
    """Every voxel of a cube of 2**depth a side."""
    side = torch.arange(2**depth)
    return torch.cartesian_prod(side, side, side)


def scattered(depth, count=400):
    return torch.randint(0, 2**depth, (count, 3), generator=torch.Generator().manual_seed(depth))


@pytest.mark.parametrize("depth", [1, 4, 15, 21])
def test_morton_interleaves_bits(depth):
    cells = scattered(depth)
    expected = [
        sum(
            (x >> bit & 1) << 3 * bit + 2 | (y >> bit & 1) << 3 * bit + 1 | (z >> bit & 1) << 3 * bit
            for bit in range(21)
        )
        for x, y, z in cells.tolist()
    ]
    assert morton_code(cells).tolist() == expected


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_hilbert_visits_every_voxel_once_and_always_steps_over_a_face(depth):
    cells = cube(depth)
    codes = hilbert_code(cells, depth)
    assert sorted(codes.tolist()) == list(range(8**depth))
    steps = cells[codes.argsort()].diff(dim=0).abs()
    assert (steps.sum(1) == 1).all()


@pytest.mark.parametrize("depth", [2, 5, 9, 14])
def test_hilbert_of_a_larger_voxel_is_the_prefix(depth):
    """What pooling relies on: the coarse level's own codes are those of the fine one, shortened."""
    cells = scattered(depth)
    assert torch.equal(hilbert_code(cells, depth) >> 3, hilbert_code(cells >> 1, depth - 1))


def test_three_levels_more_leave_hilbert_as_it_is_and_one_does_not():
    cells = scattered(6)
    assert torch.equal(hilbert_code(cells, 6), hilbert_code(cells, 9))
    assert not torch.equal(hilbert_code(cells, 6), hilbert_code(cells, 7))


@pytest.mark.parametrize("order", ORDERS)
def test_orders_keep_images_apart_and_exchange_axes(order):
    cells, image = scattered(5), torch.arange(400) % 3
    codes = order_code(cells, image, 5, order)
    assert torch.equal(codes >> 15, image)
    exchanged = order_code(cells[:, [1, 0, 2]], image, 5, order.removesuffix("-trans"))
    assert torch.equal(codes, exchanged if order.endswith("-trans") else order_code(cells, image, 5, order))
    assert len(codes.unique()) == len(torch.cat([image[:, None], cells], 1).unique(dim=0))


def test_known_positions():
    """The curve of the first cube, walked by hand: a Gray code of the three axes."""
    corners = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1], [1, 0, 0]])
    assert hilbert_code(corners, 1).tolist() == list(range(8))
    assert morton_code(corners).tolist() == [0, 1, 3, 2, 6, 7, 5, 4]

"""Sparse convolution against a dense one on the same voxels, and its pairs against a loop."""

import pytest
import torch
import torch.nn.functional as F

from wsss.benchmark.networks import point_convolution
from wsss.benchmark.networks.point_convolution import SparseConvolution, add_rows, find_pairs, sparse_convolution


def voxels(side=6, images=2, share=0.3, seed=0):
    """Random voxels of a grid: coordinates and image, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    there = torch.rand(images, side, side, side, generator=generator) < share
    found = there.nonzero()
    found = found[torch.randperm(len(found), generator=generator)]
    return found[:, 1:].contiguous(), found[:, 0].contiguous()


def dense(x, weight, cells, image, kernel):
    """The same by conv3d over the grid that holds the voxels."""
    side, images = int(cells.max()) + 1, int(image.max()) + 1
    grid = x.new_zeros(images, side, side, side, x.shape[1])
    grid = grid.index_put((image, *cells.unbind(1)), x).permute(0, 4, 1, 2, 3)
    cubic = weight.unflatten(1, (kernel, kernel, kernel)).permute(0, 4, 1, 2, 3)
    out = F.conv3d(grid, cubic, padding=kernel // 2)
    return out.permute(0, 2, 3, 4, 1)[(image, *cells.unbind(1))]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_pairs_are_those_of_a_loop(kernel, share):
    cells, image = voxels(side=4, share=share, seed=3)
    pairs = find_pairs(cells, image, kernel)
    found = set()
    for tap, (begin, end) in enumerate(zip(pairs.bounds, pairs.bounds[1:], strict=False)):
        found |= {
            (tap, *pair)
            for pair in zip(pairs.source[begin:end].tolist(), pairs.target[begin:end].tolist(), strict=True)
        }
    radius, expected = kernel // 2, set()
    for a in range(len(cells)):
        for b in range(len(cells)):
            x, y, z = (cells[b] - cells[a]).tolist()
            if a != b and image[a] == image[b] and max(abs(x), abs(y), abs(z)) <= radius:
                expected.add((((x + radius) * kernel + y + radius) * kernel + z + radius, b, a))
    assert found == expected
    assert len(pairs.bounds) == kernel**3 + 1 and pairs.bounds[-1] == len(pairs.source) == len(expected)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_equals_a_dense_convolution_in_value_and_gradients(kernel):
    cells, image = voxels()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(len(cells), 4, dtype=torch.float64, generator=generator).requires_grad_()
    weight = torch.randn(3, kernel**3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    ours = sparse_convolution(x, weight, find_pairs(cells, image, kernel))
    theirs = dense(x, weight, cells, image, kernel)
    torch.testing.assert_close(ours, theirs)
    g = torch.randn(ours.shape, dtype=torch.float64, generator=generator)
    for mine, true in zip(
        torch.autograd.grad(ours, (x, weight), g), torch.autograd.grad(theirs, (x, weight), g), strict=True
    ):
        torch.testing.assert_close(mine, true)


def test_gradients_are_those_of_finite_differences():
    cells, image = voxels(side=3)
    pairs = find_pairs(cells, image, 3)
    x = torch.randn(len(cells), 2, dtype=torch.float64).requires_grad_()
    weight = torch.randn(3, 27, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, weight: sparse_convolution(x, weight, pairs), (x, weight))


def test_little_memory_gives_the_same(monkeypatch):
    """Few taps at a time, down to one that does not fit at all."""
    cells, image = voxels(seed=5)
    pairs, x = find_pairs(cells, image, 3), torch.randn(len(cells), 4)
    convolution = SparseConvolution(4, 4, 3)
    whole = convolution(x, pairs)
    runs = []
    for elements in (1 << 30, 2000, 1):
        monkeypatch.setattr(point_convolution, "_SLAB", elements)
        torch.testing.assert_close(convolution(x, pairs), whole)
        runs.append(len(list(pairs.slabs(8))))
    assert runs[0] == 1 < runs[1] < runs[2] == 26


def test_a_line_of_voxels_does_not_reach_the_next_row_or_image():
    """Voxels at the far end of one row, column and image and at the near end of the next."""
    cells = torch.tensor([[0, 0, 7], [0, 1, 0], [0, 7, 7], [1, 0, 0], [7, 7, 7], [0, 0, 0]])
    pairs = find_pairs(cells, torch.tensor([0, 0, 0, 0, 0, 1]), 5)
    assert sorted(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == [(1, 3), (3, 1)]


def test_sums_in_float32_under_autocast():
    cells, image = voxels(share=1.0)
    pairs, x = find_pairs(cells, image, 3), torch.randn(len(cells), 8, requires_grad=True)
    convolution = SparseConvolution(8, 8, 3)
    exact = convolution(x, pairs)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = convolution(x, pairs)
    assert rounded.dtype == torch.float32
    assert 0 < float((rounded - exact).detach().abs().max()) < 0.03
    rounded.sum().backward()
    assert all(tensor.grad is not None and tensor.grad.dtype == torch.float32 for tensor in (x, convolution.weight))


def test_one_voxel_meets_only_the_centre():
    pairs = find_pairs(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, dtype=torch.long), 3)
    convolution, x = SparseConvolution(2, 3, 3), torch.randn(1, 2)
    torch.testing.assert_close(convolution(x, pairs), x @ convolution.weight[:, 1, 1, 1].T)


def test_adding_rows_counts_every_repetition():
    out = add_rows(torch.ones(3, 2), torch.tensor([2, 0, 2]), torch.tensor([[1.0, 2], [3, 4], [5, 6]]))
    assert out.tolist() == [[4, 5], [1, 1], [7, 9]]

"""The tree filter against all-pairs sums along SciPy's spanning trees, and its gradients against differences."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

from wsss.benchmark import BenchmarkError, UsageError
from wsss.methods import _tree_kernels
from wsss.methods._tree_filter import grid_distances, spanning_tree, tree_filter

ALGORITHMS = pytest.mark.parametrize("algorithm", ["sweeps", "doubling"])
SIGMA = 0.3


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def tied(*shape, seed=0):
    """A guide of few values, so that most edges are as long as others."""
    return torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(seed)).double()


def grid_edges(height, width):
    index = np.arange(height * width).reshape(height, width)
    vertical = np.stack([index[:-1].ravel(), index[1:].ravel()], 1)
    return np.concatenate([vertical, np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], 1)])


def scipy_edges(distances, edges, nodes):
    """The edges of SciPy's tree: of equal distances the lower index is shorter."""
    rank = np.empty(len(edges))
    rank[np.argsort(distances, kind="stable")] = np.arange(1, len(edges) + 1)  # SciPy reads 0 as no edge
    ranks = minimum_spanning_tree(csr_array((rank, edges.T), shape=(nodes, nodes))).data
    return set(np.flatnonzero(np.isin(rank, ranks)))


def brute_force(x, guide, sigma=SIGMA, valid=None):
    """Path lengths between all pairs of pixels by Floyd and Warshall on SciPy's tree, image by image."""
    height, width = x.shape[-2:]
    nodes, edges = height * width, grid_edges(height, width)
    filtered = []
    for image, distances in zip(x.flatten(2).numpy(), grid_distances(guide, valid).numpy(), strict=True):
        length = np.full((nodes, nodes), np.inf)
        np.fill_diagonal(length, 0)
        for e in scipy_edges(distances, edges, nodes):
            u, v = edges[e]
            length[u, v] = length[v, u] = distances[e]
        for k in range(nodes):
            length = np.minimum(length, length[:, k, None] + length[k])
        affinity = np.exp(-length / sigma)
        filtered.append(image @ affinity / affinity.sum(1))
    return torch.from_numpy(np.stack(filtered)).view_as(x)


@ALGORITHMS
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (5, 6)])
@pytest.mark.parametrize("guide", [normal, tied], ids=["normal", "tied"])
def test_is_the_all_pairs_sum(algorithm, size, guide):
    x, given_guide = normal(2, 4, *size), guide(2, 3, *size, seed=1)
    torch.testing.assert_close(
        tree_filter(x, given_guide, SIGMA, algorithm=algorithm), brute_force(x, given_guide), rtol=0, atol=1e-10
    )


@ALGORITHMS
def test_invalid_pixels_are_cut_off(algorithm):
    x, guide = normal(2, 3, 5, 6), normal(2, 2, 5, 6, seed=1)
    valid = normal(2, 5, 6, seed=2) > -0.5
    valid[0, 2] = False  # cuts the image in two
    filtered = tree_filter(x, guide, SIGMA, valid=valid, algorithm=algorithm)
    torch.testing.assert_close(filtered, brute_force(x, guide, valid=valid), rtol=0, atol=1e-10)
    outside = ~valid[:, None]
    other = tree_filter(x + outside, guide.masked_fill(outside, torch.nan), SIGMA, valid=valid, algorithm=algorithm)
    assert torch.equal(other[valid[:, None].expand_as(x)], filtered[valid[:, None].expand_as(x)])
    assert not torch.equal(other[:, :, 2], filtered[:, :, 2])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**31))
def test_tree_is_scipys(height, width, values, seed):
    guide = torch.randint(0, values, (2, 2, height, width), generator=torch.Generator().manual_seed(seed)).float()
    edges, nodes = grid_edges(height, width), height * width
    for tree, distances in zip(spanning_tree(guide).numpy(), grid_distances(guide, None).numpy(), strict=True):
        order, parent, edge = tree
        assert sorted(order) == list(range(nodes)) and order[0] == 0 == parent[0] and edge[0] == len(edges)
        assert set(edge[1:]) == scipy_edges(distances, edges, nodes)
        place = np.argsort(order)
        for node in range(1, nodes):
            assert {node, parent[node]} == set(edges[edge[node]]) and place[parent[node]] < place[node]


@pytest.mark.parametrize("guide", [normal, tied], ids=["normal", "tied"])
def test_the_root_changes_nothing(guide):
    x, given_guide = normal(1, 3, 6, 7), guide(1, 2, 6, 7, seed=1)
    expected = tree_filter(x, given_guide, SIGMA)
    for root in (1, 20, 41):
        tree = spanning_tree(given_guide, root=root)
        assert tree[0, 0, 0] == root == tree[0, 1, root]
        torch.testing.assert_close(tree_filter(x, given_guide, SIGMA, tree=tree), expected, rtol=0, atol=1e-12)


@ALGORITHMS
def test_a_constant_stays_and_mass_is_shared(algorithm):
    guide = normal(2, 3, 20, 31, dtype=torch.float32)
    ones = torch.ones(2, 1, 20, 31)
    torch.testing.assert_close(tree_filter(ones, guide, SIGMA, algorithm=algorithm), ones, rtol=0, atol=1e-6)
    flat = torch.full_like(guide, 0.5)
    x = torch.rand(2, 4, 20, 31, generator=torch.Generator().manual_seed(0))
    mean = x.mean((2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(tree_filter(x, flat, SIGMA, algorithm=algorithm), mean, rtol=0, atol=1e-6)


@ALGORITHMS
@pytest.mark.parametrize("cut", [False, True])
def test_gradients_are_those_of_differences(algorithm, cut):
    x, guide = normal(2, 2, 3, 4).requires_grad_(), (0.5 * normal(2, 3, 3, 4, seed=1)).requires_grad_()
    valid = torch.ones(2, 3, 4, dtype=torch.bool)
    valid[:, 1, 1] = not cut
    run = lambda x, guide: tree_filter(x, guide, 0.8, valid=valid, algorithm=algorithm)  # noqa: E731
    assert torch.autograd.gradcheck(run, (x, guide))
    assert torch.autograd.gradcheck(lambda x: run(x, guide.detach()), (x,))
    assert torch.autograd.gradcheck(lambda guide: run(x.detach(), guide), (guide,))
    twice = lambda x, guide: run(run(x, guide[:, :1]), guide[:, 1:]).abs()  # noqa: E731
    assert torch.autograd.gradcheck(twice, (x, guide))


def gradients(x, guide, **arguments):
    x, guide = x.clone().requires_grad_(), guide.clone().requires_grad_()
    filtered = tree_filter(x, guide, SIGMA, **arguments)
    return filtered.detach(), *torch.autograd.grad(filtered.square().sum(), (x, guide))


def test_repeats_bit_for_bit_on_any_number_of_threads():
    x, guide = normal(3, 5, 24, 40, dtype=torch.float32), normal(3, 4, 24, 40, seed=1, dtype=torch.float32)
    first = gradients(x, guide)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        again = gradients(x, guide)
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    for one, other in zip(first, gradients(x, guide, algorithm="doubling"), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_memory_order_does_not_matter():
    x, guide = normal(2, 5, 8, 9), normal(2, 4, 8, 9, seed=1)
    expected = gradients(x, guide)
    other = gradients(x.to(memory_format=torch.channels_last), guide.to(memory_format=torch.channels_last))
    for one, two in zip(expected, other, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def test_distances_are_taken_in_float32_under_autocast():
    guide = 100 * normal(1, 64, 5, 6, dtype=torch.float32)
    x = normal(1, 3, 5, 6, seed=1, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.float16):
        half = guide.half()  # of which a sum of 64 squares overflows
        assert grid_distances(half, None).dtype == torch.float32
        assert bool(torch.isfinite(grid_distances(half, None)).all())
        under = tree_filter(x.half(), half, 1e5)
    assert under.dtype == torch.float32
    assert torch.equal(under, tree_filter(x.half().float(), half.float(), 1e5))


@pytest.mark.parametrize("value", [torch.nan, -torch.nan])
def test_nan_in_the_guide_is_an_error_and_infinity_cuts(value):
    guide = normal(2, 3, 4, 5)
    guide[1, 2, 3, 4] = value
    with pytest.raises(BenchmarkError, match="holds NaN"):
        tree_filter(normal(2, 1, 4, 5), guide, SIGMA)
    guide[1, 2, 3, 4] = torch.inf
    x = normal(2, 1, 4, 5)
    assert tree_filter(x, guide, SIGMA)[1, 0, 3, 4] == x[1, 0, 3, 4]


def test_wrong_arguments_are_named():
    x, guide = normal(1, 2, 4, 5), normal(1, 3, 4, 5)
    with pytest.raises(UsageError, match="sigma must be positive, not 0"):
        tree_filter(x, guide, 0)
    with pytest.raises(UsageError, match=r"tree must be \(1, 3, 20\) on cpu, .* not \(1, 3, 24\) on cpu"):
        tree_filter(x, guide, SIGMA, tree=spanning_tree(normal(1, 3, 4, 6)))
    with pytest.raises(UsageError, match=r"tree must be .* not \(1, 3, 20\) on meta"):
        tree_filter(x, guide, SIGMA, tree=spanning_tree(guide).to("meta"))
    with pytest.raises(UsageError, match=r"guide must be \(1, 3, 4, 5\) on cpu, .* on meta"):
        tree_filter(x, guide.to("meta"), SIGMA)
    with pytest.raises(UsageError, match="root must be one of the 20 pixels, not 20"):
        spanning_tree(guide, root=20)


def test_tree_of_a_large_plane_is_a_tree():
    """Equal distances everywhere make the longest chains of components that Boruvka has to follow."""
    order, parent, edge = spanning_tree(torch.zeros(1, 1, 200, 300))[0].numpy()
    assert len(np.unique(edge)) == len(order) == 200 * 300
    depth = np.zeros(len(order), int)
    for node in order[1:]:
        depth[node] = depth[parent[node]] + 1
    assert depth.max() < len(order)


def test_importing_the_method_imports_no_numba():
    code = "import sys, wsss.methods.tel; assert 'numba' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr


def test_a_machine_without_a_writable_cache_compiles_anyway(tmp_path):
    """Neither the kernels' own folder nor the user's: files stand where the folders would be made."""
    module = Path(_tree_kernels.__file__)
    for name in ("__pycache__", "home"):
        (tmp_path / name).write_text("in the way")
    shutil.copy(module, tmp_path / "kernels.py")
    code = (
        "import numpy as np, kernels\n"
        "flat, n = np.ones((3, 1)), np.arange(3, dtype=np.int32)\n"
        "kernels.smooth_back(flat, np.array([0.0, 1, 1]), n, np.array([0, 0, 1], np.int32), 3 * flat[:, 0], flat)\n"
        "assert np.allclose(flat, 1) and not kernels.smooth_back.stats.cache_path, kernels.smooth_back.stats"
    )
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path)}
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**kept, **home})
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu():
    x, guide = normal(3, 5, 24, 40), normal(3, 4, 24, 40, seed=1)
    for one, other in zip(gradients(x, guide), gradients(x.cuda(), guide.cuda()), strict=True):
        torch.testing.assert_close(one, other.cpu(), rtol=0, atol=1e-10)
    with pytest.raises(UsageError, match="sweeps run on a CPU alone"):
        tree_filter(x.cuda(), guide.cuda(), SIGMA, algorithm="sweeps")

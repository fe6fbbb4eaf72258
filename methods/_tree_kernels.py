"""The loops of the tree filter, compiled by numba; imported only where a tree is built or a filter runs on a CPU.

Every kernel works on one image and releases the interpreter's lock; ``each_image`` runs one thread per image. The
kernels' threads are torch's number of threads, so that a process started with OMP_NUM_THREADS=1 stays on one core.
"""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from jaxtyping import Float, Int32

Distances = Float[np.ndarray, " e"]
Column = Float[np.ndarray, " n"]
Table = Float[np.ndarray, "n c"]
Nodes = Int32[np.ndarray, " n"]


def _compiled(function: Callable) -> Callable:
    function = inspect.unwrap(function)  # numba cannot compile the type check that the tests put around a function
    try:
        return numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})(function)
    except RuntimeError:  # neither the folder of this file nor the user's cache can be written: compile every time
        return numba.njit(nogil=True, fastmath={"contract", "reassoc"})(function)


def each_image(kernel: Callable[..., object], images: int, *arrays: np.ndarray) -> list[object]:
    """Call ``kernel(*(array[i] for array in arrays))`` for every image ``i``, on torch's number of threads.

    Returns:
        What each call returned.
    """
    call = lambda i: kernel(*[array[i] for array in arrays])  # noqa: E731
    threads = min(torch.get_num_threads(), images)
    if threads < 2:
        return [call(i) for i in range(images)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, range(images)))


@_compiled
def span(distances: Distances, shape: Int32[np.ndarray, "3"], order: Nodes, parent: Nodes, edge: Nodes) -> bool:
    """Write the minimum spanning tree of one image's grid, rooted, to ``order``, ``parent`` and ``edge``.

    Args:
        distances: Of the grid's edges: all vertical ones by row, then all horizontal ones by row.
        shape: (rows, columns, root).
        order: The nodes, every parent before its children.
        parent: Of every node; the root is its own.
        edge: The grid edge from every node to its parent; the number of edges at the root.

    Returns:
        Whether all distances are numbers; nothing is written otherwise.
    """
    height, width, root = shape
    for distance in distances:
        if np.isnan(distance):
            return False
    _walk(_boruvka(distances, height, width), height, width, root, order, parent, edge)
    return True


@_compiled
def _boruvka(distances: Distances, height: int, width: int) -> np.ndarray:
    """Whether each edge belongs to the tree. Of equal edges the lower index counts as shorter."""
    count = distances.size
    nodes = height * width
    vertical = (height - 1) * width
    a = np.empty(count, np.int32)  # the components that an edge joins
    b = np.empty(count, np.int32)
    for e in range(vertical):
        a[e], b[e] = e, e + width
    e = vertical
    for row in range(height):
        for node in range(row * width, row * width + width - 1):
            a[e], b[e] = node, node + 1
            e += 1
    index = np.arange(count).astype(np.int32)
    weight = distances.copy()
    chosen = np.zeros(count, np.bool_)
    shortest = np.empty(nodes, np.int32)  # of the edges that leave a component
    above = np.empty(nodes, np.int32)
    label = np.empty(nodes, np.int32)
    components = nodes
    while components > 1:
        shortest[:components] = -1
        for k in range(count):  # by rising index, so that a tie stays with the lower one
            if shortest[a[k]] < 0 or weight[k] < weight[shortest[a[k]]]:
                shortest[a[k]] = k
            if shortest[b[k]] < 0 or weight[k] < weight[shortest[b[k]]]:
                shortest[b[k]] = k
        for c in range(components):
            k = shortest[c]
            chosen[index[k]] = True
            other = b[k] if a[k] == c else a[k]
            above[c] = c if shortest[other] == k and c < other else other
        merged = 0
        for c in range(components):
            if above[c] == c:
                label[c] = merged
                merged += 1
        for c in range(components):
            top = c
            while above[top] != top:
                above[top] = above[above[top]]
                top = above[top]
            label[c] = label[top]
        components = merged
        kept = 0
        for k in range(count):
            left, right = label[a[k]], label[b[k]]
            if left != right:
                a[kept], b[kept], weight[kept], index[kept] = left, right, weight[k], index[k]
                kept += 1
        count = kept
    return chosen


@_compiled
def _walk(chosen: np.ndarray, height: int, width: int, root: int, order: Nodes, parent: Nodes, edge: Nodes) -> None:
    """Visit the tree in preorder from its root: most parents are then still in the cache at their children."""
    vertical = (height - 1) * width
    stack = np.empty(height * width, np.int32)
    stack[0], waiting = root, 1
    parent[root], edge[root] = root, chosen.size
    visited = 0
    while waiting > 0:
        waiting -= 1
        node = stack[waiting]
        order[visited] = node
        visited += 1
        row = node // width
        column = node - row * width
        right = vertical + node - row
        for side in range(4):
            if side == 0:
                inside, step, e = row > 0, -width, node - width
            elif side == 1:
                inside, step, e = column < width - 1, 1, right
            elif side == 2:
                inside, step, e = row < height - 1, width, node
            else:
                inside, step, e = column > 0, -1, right - 1
            child = node + step
            if inside and chosen[e] and child != parent[node]:
                parent[child], edge[child] = node, e
                stack[waiting] = child
                waiting += 1


@_compiled
def smooth(x: Table, weight: Column, order: Nodes, parent: Nodes, up: Table, ups: Column, y: Table, z: Column) -> None:
    """Forward: y = F(x) / F(1), z = F(1), and the sums of the upward sweep, up = U(x) and ups = U(1)."""
    nodes, channels = x.shape
    up[:] = x
    ups[:] = 1
    for k in range(nodes - 1, 0, -1):
        i = order[k]
        p, w = parent[i], weight[i]
        ups[p] += w * ups[i]
        for c in range(channels):
            up[p, c] += w * up[i, c]
    root = order[0]
    y[root], z[root] = up[root], ups[root]
    for k in range(1, nodes):
        i = order[k]
        p, w = parent[i], weight[i]
        rest = 1 - w * w
        z[i] = rest * ups[i] + w * z[p]
        for c in range(channels):
            y[i, c] = rest * up[i, c] + w * y[p, c]
    for i in range(nodes):
        scale = 1 / z[i]
        for c in range(channels):
            y[i, c] *= scale


@_compiled
def smooth_back(g: Table, weight: Column, order: Nodes, parent: Nodes, z: Column, gx: Table) -> None:
    """Backward with fixed weights: gx = F(g / z), since the affinity matrix is symmetric."""
    nodes, channels = g.shape
    for i in range(nodes):
        scale = 1 / z[i]
        for c in range(channels):
            gx[i, c] = g[i, c] * scale
    for k in range(nodes - 1, 0, -1):
        i = order[k]
        p, w = parent[i], weight[i]
        for c in range(channels):
            gx[p, c] += w * gx[i, c]
    for k in range(1, nodes):
        i = order[k]
        p, w = parent[i], weight[i]
        rest = 1 - w * w
        for c in range(channels):
            gx[i, c] = rest * gx[i, c] + w * gx[p, c]


@_compiled
def smooth_back_both(
    g: Table, weight: Column, order: Nodes, parent: Nodes,
    up: Table, ups: Column, y: Table, z: Column, gx: Table, gw: Column,
) -> None:  # fmt: skip
    """Backward to the input, gx = F(g / z), and to the weights, gw: one more filter pass and a product per edge."""
    nodes, channels = g.shape
    h = np.empty_like(z)  # the gradient of -1 / z, a signal like any other
    for i in range(nodes):
        scale, total = 1 / z[i], z.dtype.type(0)
        for c in range(channels):
            gx[i, c] = g[i, c] * scale
            total += gx[i, c] * y[i, c]
        h[i] = total
    for k in range(nodes - 1, 0, -1):
        i = order[k]
        p, w = parent[i], weight[i]
        h[p] += w * h[i]
        for c in range(channels):
            gx[p, c] += w * gx[i, c]
    gw[order[0]] = 0
    for k in range(1, nodes):
        i = order[k]
        p, w = parent[i], weight[i]
        rest = 1 - w * w
        total = -h[i] * (z[p] - w * ups[i]) - ups[i] * (h[p] - w * h[i])
        for c in range(channels):
            from_below, above = gx[i, c], gx[p, c]
            total += from_below * (y[p, c] * z[p] - w * up[i, c]) + up[i, c] * (above - w * from_below)
            gx[i, c] = rest * from_below + w * above
        gw[i] = total
        h[i] = rest * h[i] + w * h[p]

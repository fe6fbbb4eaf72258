"""The points of one training sample: drawn around the target view, labelled, and in the network's frame."""

import numpy as np
import torch

from wsss.benchmark.batch import Points
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.index import Extent
from wsss.benchmark.geometry.network_frame import to_network, within
from wsss.benchmark.geometry.sampling import Sampling, draw
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import Scene


def sample(
    clouds: Clouds,
    supervision: Supervision,
    scene: Scene,
    frame: int,
    sampling: Sampling,
    rng: np.random.Generator,
) -> Points:
    """Points for one image; all belong to image 0 and their pixels are those of the stored image.

    A frame that could not be placed has no pairs: its points come from the whole scene and are centred at their mean.

    Args:
        clouds: Prepared.
        supervision: Whose labels the points take over; prepared.
        scene: The image's.
        frame: The image's index in it.
        sampling: Which points.
        rng: Of this sample.

    Raises:
        BenchmarkError: There is no cloud of this scene; the text says why.
    """
    stored = clouds.stored(scene)
    cloud, index = stored.cloud, stored.index
    rows = draw(cloud, index, frame, sampling, rng)
    xyz, extent = np.take(cloud.xyz, rows, axis=0), index.extent(frame)  # three times as fast as cloud.xyz[rows]
    if len(rows):
        extent = Extent.of(xyz, cloud.up) if extent is None else extent
        xyz = to_network(xyz, extent, cloud.up, cloud.metric)
        kept = np.flatnonzero(within(xyz, sampling.box))
        if len(kept) < len(rows):
            rows, xyz = rows[kept], np.take(xyz, kept, axis=0)
    pixel = np.full((len(rows), 2), -1, np.int64)
    view = index.rows(frame)
    own = slice(*np.searchsorted(rows, (view.start, view.stop)).tolist())
    pixel[own] = np.take(cloud.pixel, rows[own], axis=0)
    there = torch.from_numpy(xyz)
    return Points(
        xyz=there,
        strong=there,
        rgb=torch.from_numpy(np.take(cloud.rgb, rows, axis=0)).float().div_(255),
        confidence=torch.from_numpy(cloud.confidence[rows]),
        labels=torch.from_numpy(clouds.labels(scene, supervision)[rows]).long(),
        image=torch.zeros(len(rows), dtype=torch.long),
        pixel=torch.from_numpy(pixel),
    )

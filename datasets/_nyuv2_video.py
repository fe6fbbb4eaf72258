"""Which raw pictures of NYU Depth v2 belong to a scene: those around its labelled frames, with their depth images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wsss.datasets._files import listing
from wsss.datasets._nyuv2_toolbox import SLACK, nearest, seconds

WINDOW = 2.0
"""Seconds of video before and after a labelled frame: 80 to 120 pictures, through which a hand moves 0.5 to 2 m."""
KNOWN_BAD = frozenset({"d-1315166703.129542-2466101449.pgm"})
"""Damaged in the official release."""

Video = list[tuple[int, str, float, str]]
"""Per picture: which labelled frame is nearest, stem, time, stem of the depth image or nothing."""


def windows(
    folder: Path, labelled: Float[np.ndarray, " n"], stems: frozenset[str], size: tuple[int, int]
) -> tuple[Video, list[str]]:
    """The raw pictures of a folder within WINDOW of one of its labelled frames, each moment once.

    Args:
        folder: Of the release; none is there for some rooms.
        labelled: Times of the labelled frames.
        stems: The raw pictures that the labelled frames are; they are not given again.
        size: Rows and columns of the pictures.

    Returns:
        The pictures in order of time, and the names of files that are left out: shorter than their pixels, or of a
        name without a time.
    """
    names = listing(folder)
    order = np.argsort(labelled)
    moments = labelled[order]

    def near(time: float, reach: float) -> bool:
        return bool(np.min(np.abs(moments - time)) <= reach)

    pixels = size[0] * size[1]
    colors, damaged = _usable(folder, _named(names, "r-", ".ppm"), lambda t: near(t, WINDOW), 3 * pixels)
    depths, lost = _usable(folder, _named(names, "d-", ".pgm"), lambda t: near(t, WINDOW + SLACK), 2 * pixels)
    depth_times = np.array([time for time, _ in depths], np.float64)
    video: Video = []
    seen = {time for time, stem in colors if stem in stems}
    for time, stem in colors:
        if time in seen:
            continue
        seen.add(time)
        depth = ""
        if depths:
            place = int(nearest(np.array([time]), depth_times)[0])
            if abs(depth_times[place] - time) <= SLACK:
                depth = depths[place][1]
        video.append((int(order[nearest(np.array([time]), moments)[0]]), stem, time, depth))
    return video, sorted(damaged + lost)


def _named(names: list[str], prefix: str, suffix: str) -> list[str]:
    return [name for name in names if name.startswith(prefix) and name.endswith(suffix)]


def _usable(
    folder: Path, names: list[str], wanted: Callable[[float], bool], least: int
) -> tuple[list[tuple[float, str]], list[str]]:
    """Time and stem of the wanted files in order of time, and the names of those that cannot hold a picture."""
    good, bad = [], []
    for name in names:
        stem = name[:-4]
        time = seconds(stem)
        if time is None:
            bad.append(name)
        elif wanted(time):
            usable = name not in KNOWN_BAD and (folder / name).stat().st_size > least
            (good.append((time, stem)) if usable else bad.append(name))
    return sorted(good), bad

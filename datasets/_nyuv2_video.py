"""Which raw pictures of NYU Depth v2 belong to a scene: those around its labelled frames, with their depth images."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float

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
    order = np.argsort(labelled)
    moments = labelled[order]
    files, pixels = _files(folder), size[0] * size[1]
    colors, damaged = _usable([file for file in files if _is(file, "r-", ".ppm")], moments, WINDOW, 3 * pixels)
    depths, lost = _usable([file for file in files if _is(file, "d-", ".pgm")], moments, WINDOW + SLACK, 2 * pixels)
    first: dict[float, str] = {}
    for time, stem in colors:
        first.setdefault(time, stem)
    for time in (time for time, stem in colors if stem in stems):
        first.pop(time, None)
    times = np.array(list(first), np.float64)
    beside = [""] * len(times)
    if depths:
        depth_times = np.array([time for time, _ in depths], np.float64)
        place = nearest(times, depth_times)
        at_once = np.abs(depth_times[place] - times) <= SLACK
        beside = [depths[k][1] if near else "" for k, near in zip(place.tolist(), at_once.tolist(), strict=True)]
    labelled_frame = order[nearest(times, moments)].tolist()
    return list(zip(labelled_frame, first.values(), first, beside, strict=True)), sorted(damaged + lost)


def _files(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing where it is absent or a file."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is(file: os.DirEntry[str], prefix: str, suffix: str) -> bool:
    return file.name.startswith(prefix) and file.name.endswith(suffix)


def _size(file: os.DirEntry[str]) -> int:
    """Bytes of a file; 0 of what can hold none, such as a folder or a link that leads nowhere."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:
        return 0


def _usable(
    files: list[os.DirEntry[str]], moments: Float[np.ndarray, " n"], reach: float, least: int
) -> tuple[list[tuple[float, str]], list[str]]:
    """Time and stem of the files near a moment, in order of time, and the names of those that cannot hold a picture."""
    every = [(seconds(file.name[:-4]), file) for file in files]
    bad = [file.name for time, file in every if time is None]
    timed = [(time, file) for time, file in every if time is not None]
    times = np.array([time for time, _ in timed], np.float64)
    near = np.abs(moments[nearest(times, moments)] - times) <= reach
    good = []
    for place in np.flatnonzero(near).tolist():
        time, file = timed[place]
        if file.name not in KNOWN_BAD and _size(file) > least:
            good.append((time, file.name[:-4]))
        else:
            bad.append(file.name)
    return sorted(good), bad

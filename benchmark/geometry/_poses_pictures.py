"""The pictures of a scene made ready for matching: features of every frame in one plane, and which frames to match."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.geometry._poses_tracks import Features, changing, describe
from wsss.benchmark.geometry.cameras import unproject
from wsss.benchmark.types import Camera, Scene

WINDOW = 4
"""Frames after each one that it is matched with."""
ANCHORS = 8
"""Frames, spread evenly, that are matched with each other however far apart they are: the camera may come back."""
LARGEST = 1280
"""Longer side to which larger pictures are reduced before features are sought."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a scene made ready: features in one plane."""

    features: list[Features]
    focal: float
    """Of the plane; a unit for guesses where intrinsics are unknown."""
    known: bool
    sizes: list[tuple[int, int]]


def prepared(dataset: Dataset, scene: Scene, cameras: tuple[Camera | None, ...], chosen: Sequence[int]) -> Pictures:
    """Features of the chosen frames, in one plane."""
    known = all(cameras[i] is not None for i in chosen)
    greys, sizes, shrunk = [], [], []
    for i in chosen:
        grey = cv2.cvtColor(dataset.image(scene.frames[i]), cv2.COLOR_RGB2GRAY)
        sizes.append((grey.shape[0], grey.shape[1]))
        shrunk.append(min(1.0, LARGEST / max(grey.shape)))
        greys.append(_reduced(grey, shrunk[-1]))
    masks = {}
    for key in {(scene.frames[i].camera, grey.shape) for i, grey in zip(chosen, greys, strict=True)}:
        same = [grey for i, grey in zip(chosen, greys, strict=True) if (scene.frames[i].camera, grey.shape) == key]
        masks[key] = changing(same)
    focals = [_focal(camera) * scale for i, scale in zip(chosen, shrunk, strict=True) if (camera := cameras[i])]
    focal = float(np.median(focals)) if known and focals else float(max((s[1] for s in sizes), default=1))
    features = []
    for i, grey, scale, size in zip(chosen, greys, shrunk, sizes, strict=True):
        pixel, descriptor = describe(grey, masks[scene.frames[i].camera, grey.shape])
        pixel = (pixel + 0.5) / scale - 0.5
        camera = cameras[i] if known else None
        features.append(Features(pixel=pixel, plane=_plane(pixel, camera, size, focal), descriptor=descriptor))
    return Pictures(features, focal, known, sizes)


def _reduced(grey: UInt8[np.ndarray, "h w"], scale: float) -> UInt8[np.ndarray, "k l"]:
    return grey if scale == 1 else np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _focal(camera: Camera) -> float:
    return float(camera.intrinsics[0, 0] + camera.intrinsics[1, 1]) / 2


def _plane(
    pixel: Float[np.ndarray, "n 2"], camera: Camera | None, size: tuple[int, int], focal: float
) -> Float[np.ndarray, "n 2"]:
    """Pixels as positions in the scene's plane; from the picture's centre where there is no calibration."""
    if camera is None:
        return (pixel - (np.array(size) - 1) / 2)[:, ::-1].copy()
    return unproject(pixel, np.ones(len(pixel)), replace(camera, shutter=None), size)[:, :2] * focal


def pairs(scene: Scene, chosen: Sequence[int]) -> list[tuple[int, int]]:
    """Which frames are matched, as places in ``chosen``: neighbours in time of one camera, and anchors."""
    tracks: dict[str, list[int]] = {}
    for place, i in enumerate(chosen):
        tracks.setdefault(scene.frames[i].camera, []).append(place)
    found = {(a, b) for places in tracks.values() for k, a in enumerate(places) for b in places[k + 1 : k + 1 + WINDOW]}
    spread = np.unique(np.linspace(0, len(chosen) - 1, min(ANCHORS, len(chosen))).astype(int)) if chosen else []
    found |= {(int(a), int(b)) for a in spread for b in spread if a < b}
    return sorted(found)

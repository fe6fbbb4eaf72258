"""The miniature Cityscapes: its files, written one by one; what they show is in ``cityscapes_views``."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt16

from wsss.benchmark.errors import DatasetError
from wsss.benchmark.randomness import stream
from wsss.datasets.miniature import coarse
from wsss.datasets.miniature.cityscapes_views import (
    FRAMES,
    IDS,
    LABELLED,
    SHAPES,
    Calibration,
    Rendered,
    Snippet,
    Spec,
    calibration,
    motion,
    render_view,
    spec,
)
from wsss.datasets.miniature.files import SizeName, Unit, png, truth_path, write_truth
from wsss.datasets.miniature.files import write as write_file
from wsss.datasets.miniature.streets import drive

VERSION = 2

FAR = 90.0
"""Metres beyond which the stereo matcher finds nothing."""

_COLORS = {
    7: (128, 64, 128), 8: (244, 35, 232), 9: (250, 170, 160), 11: (70, 70, 70), 12: (102, 102, 156),
    13: (190, 153, 153), 17: (153, 153, 153), 19: (250, 170, 30), 20: (220, 220, 0), 21: (107, 142, 35),
    22: (152, 251, 152), 23: (70, 130, 180), 24: (220, 20, 60), 25: (255, 0, 0), 26: (0, 0, 142), 27: (0, 0, 70),
    28: (0, 60, 100), 30: (0, 0, 110), 31: (0, 80, 100), 32: (0, 0, 230), 33: (119, 11, 32), 5: (111, 74, 0),
}  # fmt: skip
PALETTE = np.array([_COLORS.get(label, (0, 0, 0)) for label in range(34)], np.uint8)
"""Official colours of the label ids."""


def _path(snippet: Snippet, kind: str, suffix: str, index: int = LABELLED) -> str:
    return f"{kind}/{snippet.split}/{snippet.city}/{snippet.name(index)}_{suffix}"


def _paths(spec: Spec, snippet: Snippet) -> list[str]:
    """Every file of a snippet, relative to the root."""
    paths = [_path(snippet, "leftImg8bit", "leftImg8bit.png"), _path(snippet, "disparity", "disparity.png"),
             _path(snippet, "camera", "camera.json"), _path(snippet, "vehicle", "vehicle.json")]  # fmt: skip
    paths += [_path(snippet, "gtFine", f"gtFine_{what}.png") for what in ("labelIds", "instanceIds", "color")]
    paths += [_path(snippet, "gtCoarse", f"gtCoarse_{what}.png") for what in ("labelIds", "instanceIds", "color")]
    for index in SHAPES[spec.size].views:
        paths += [_path(snippet, "leftImg8bit_sequence", "leftImg8bit.png", index),
                  _path(snippet, "disparity_sequence", "disparity.png", index),
                  truth_path(Path(), snippet.name(index)).as_posix()]  # fmt: skip
    for index in range(FRAMES):
        paths += [_path(snippet, "vehicle_sequence", "vehicle.json", index),
                  _path(snippet, "timestamp_sequence", "timestamp.txt", index)]  # fmt: skip
    return paths


def units(size: SizeName, seed: int) -> tuple[Unit, ...]:
    """The cities."""
    snippets = spec(size, seed).snippets
    cities = dict.fromkeys(snippet.city for snippet in snippets)
    return tuple(Unit(city, sum(snippet.city == city for snippet in snippets)) for city in cities)


def write(root: Path, size: SizeName, seed: int, unit: str) -> str:
    """Write what is missing of a city's snippets; returns digests of the pixels of each."""
    plan, digests = spec(size, seed), []
    for snippet in (s for s in plan.snippets if s.city == unit):
        if not all((root / path).is_file() for path in _paths(plan, snippet)):
            for path, content in _files(root, plan, snippet):
                write_file(root / path, content)
        digests.append(_digest(root, plan, snippet))
    return "".join(digests)


def finish(root: Path, size: SizeName, seed: int) -> None:
    """Nothing: no file of Cityscapes speaks of several cities."""


def facts(size: SizeName) -> dict[str, Any]:
    """For ``miniature.json``."""
    shape = SHAPES[size]
    return {
        "width": shape.width,
        "height": shape.height,
        "train": shape.train * shape.stops,
        "val": shape.val * shape.stops,
        "views": list(shape.views),
    }


def _digest(root: Path, spec: Spec, snippet: Snippet) -> str:
    sha = hashlib.sha256()
    for path in sorted(p for p in _paths(spec, snippet) if p.endswith(".png") and not p.startswith("truth/")):
        pixels = cv2.imread(str(root / path), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise DatasetError(f"{root / path} is damaged; delete it and build the miniature again")
        sha.update(f"{path} {pixels.shape} {pixels.dtype}\n".encode())
        sha.update(pixels.tobytes())
    return sha.hexdigest()


def _json(value: dict) -> bytes:
    return (json.dumps(value, indent=4) + "\n").encode()


def _files(root: Path, spec: Spec, snippet: Snippet) -> Iterator[tuple[str, bytes]]:
    """Relative path and content of every file of a snippet; the true depth is written on the way."""
    camera, moved = calibration(spec, snippet.city), motion(spec, snippet)
    for index in SHAPES[spec.size].views:
        seen = render_view(spec, snippet, index)
        write_truth(root, snippet.name(index), seen.depth)
        picture = png(seen.rgb)
        depth = png(disparity(stream(spec.seed, "miniature disparity", snippet.name(index)), seen, camera))
        yield _path(snippet, "leftImg8bit_sequence", "leftImg8bit.png", index), picture
        yield _path(snippet, "disparity_sequence", "disparity.png", index), depth
        if index == LABELLED:
            yield _path(snippet, "leftImg8bit", "leftImg8bit.png"), picture
            yield _path(snippet, "disparity", "disparity.png"), depth
            yield from _annotations(spec, snippet, seen)
    place = stream(spec.seed, "miniature place", snippet.city)
    latitude, longitude, warmth = (
        place.uniform(47.5, 54.0),
        place.uniform(7.0, 13.5),
        round(float(place.uniform(4, 26)), 1),
    )
    for index in range(FRAMES):
        vehicle = _json(_vehicle(moved, index, latitude, longitude, warmth))
        yield _path(snippet, "vehicle_sequence", "vehicle.json", index), vehicle
        yield _path(snippet, "timestamp_sequence", "timestamp.txt", index), str(moved.time[index]).encode()
        if index == LABELLED:
            yield _path(snippet, "vehicle", "vehicle.json"), vehicle
    yield _path(snippet, "camera", "camera.json"), _json({
        "extrinsic": {name: getattr(camera, name) for name in ("baseline", "pitch", "roll", "x", "y", "yaw", "z")},
        "intrinsic": {name: getattr(camera, name) for name in ("fx", "fy", "u0", "v0")},
    })  # fmt: skip


def _annotations(spec: Spec, snippet: Snippet, seen: Rendered) -> Iterator[tuple[str, bytes]]:
    rng = stream(spec.seed, "miniature coarse", snippet.name())
    rough = coarse.draw(
        rng, seen.label_ids, seen.instance_ids, skip=(IDS["ego vehicle"], IDS["static"], IDS["dynamic"])
    )
    for kind, labels, instances in (("gtFine", seen.label_ids, seen.instance_ids), ("gtCoarse", *rough)):
        color = np.dstack([PALETTE[labels], np.full(labels.shape, 255, np.uint8)])
        for what, image in (("labelIds", labels), ("instanceIds", instances.astype(np.uint16)), ("color", color)):
            yield _path(snippet, kind, f"{kind}_{what}.png"), png(image)


def _vehicle(moved: drive.Motion, index: int, latitude: float, longitude: float, warmth: float) -> dict[str, float]:
    pose = moved.world_from_vehicle[index]
    heading = np.degrees(np.arctan2(pose[1, 0], pose[0, 0]))
    return {
        "gpsHeading": round(float((90 - heading) % 360), 3),
        "gpsLatitude": round(float(latitude + pose[1, 3] / 111_320), 8),
        "gpsLongitude": round(float(longitude + pose[0, 3] / (111_320 * np.cos(np.radians(latitude)))), 8),
        "outsideTemperature": warmth,
        "speed": float(moved.speed[index]),
        "yawRate": float(moved.yaw_rate[index]),
    }


def disparity(rng: np.random.Generator, seen: Rendered, camera: Calibration) -> UInt16[np.ndarray, "h w"]:
    """What a stereo matcher makes of the true depth, to a sixteenth of a pixel, encoded as 256 d + 1.

    0, invalid, are the sky, what is far, the own bonnet, what the right camera cannot see, and a few failures.
    """
    exact = camera.fx * camera.baseline / np.maximum(seen.depth, 1e-3)
    height, width = exact.shape
    column = np.arange(width)[None].repeat(height, 0)
    row = np.arange(height)[:, None].repeat(width, 1)
    target = np.round(column - exact).astype(int)
    inside = (target >= 0) & (target < width)
    nearest = np.zeros_like(exact)
    np.maximum.at(nearest, (row[inside], target[inside]), exact[inside])
    hidden = ~inside | (exact < nearest[row, np.clip(target, 0, width - 1)] - 0.75)
    failed = cv2.GaussianBlur(rng.standard_normal(exact.shape), (0, 0), 1.5) > 0.36
    valid = (seen.depth < FAR) & (seen.label_ids != IDS["ego vehicle"]) & ~hidden & ~failed
    noisy = np.maximum(exact + rng.normal(0, 0.04, exact.shape), 0)
    return np.where(valid, np.minimum(16 * np.round(16 * noisy) + 1, 65535), 0).astype(np.uint16)

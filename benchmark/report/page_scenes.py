"""What the page's 3D view shows: one scene of each dataset, as every source of points saw it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from PIL import Image

from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.report.embedded import base64_text, png
from wsss.benchmark.report.results import Results

BUDGET = 1_100_000
"""Bytes of all points before base64 adds a third."""
POINT = 12
"""Bytes of a point: place 6, colour 3, label, weak label and confidence."""
WIDEST = 480
"""Pixels of the picture beside the points."""
COLUMNS = {"xyz": 2, "rgb": 2, "label": 1, "confidence": 1}
"""What a file of points must hold, with the number of dimensions."""


def scenes(results: Results) -> list[dict[str, Any]]:
    """By dataset: title, classes, colours, image and the clouds of all sources; datasets without points are left out.

    A cloud is its columns as base64: ``xyz`` int16 in units of ``unit`` metres (of unknown length where not
    ``metric``), seen from the camera: x right, y ahead, z up; ``rgb``, ``label``, ``weak`` and ``confidence`` uint8.

    Raises:
        BenchmarkError: A file of points is damaged.
    """
    files = {name: results.point_files(name, ".npz") for name in results.plan.datasets}
    limit = BUDGET // (POINT * max(1, sum(map(len, files.values()))))
    found = []
    for name, about in results.plan.datasets.items():
        read = [(path, _read(path)) for path in files[name]]
        # The sensor comes last: the reconstruction is what the page is about.
        clouds = [_cloud(path.stem.removeprefix(f"{name}-"), _facts(path), arrays, limit) for path, arrays in read]
        clouds.sort(key=lambda cloud: cloud["source"].startswith("sensor"))
        if clouds:
            image = next((arrays["image"] for _, arrays in read if "image" in arrays), None)
            found.append(
                {
                    "title": results.dataset_title(name),
                    "classes": about["classes"],
                    "colors": about["colors"],
                    "image": None if image is None else base64_text(_small(image)),
                    "clouds": clouds,
                }
            )
    return found


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # a damaged archive raises nearly anything
        raise BenchmarkError(f"{path}: not a file of points ({error}); delete it and rerun") from error
    for name, dimensions in COLUMNS.items():
        if name not in arrays or arrays[name].ndim != dimensions or len(arrays[name]) != len(arrays["xyz"]):
            raise BenchmarkError(f"{path}: {name} is missing or has another length than xyz; delete it and rerun")
    return arrays


def _facts(path: Path) -> dict[str, Any]:
    """What is known of a file of points; nothing if nobody wrote it down."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        facts = json.loads(beside.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{beside}: cannot be read ({error}); delete it and rerun") from error
    if not isinstance(facts, dict):
        raise BenchmarkError(f"{beside}: not a JSON object; delete it and rerun")
    return facts


def _cloud(source: str, facts: dict[str, Any], arrays: dict[str, np.ndarray], limit: int) -> dict[str, Any]:
    every = np.linspace(0, len(arrays["xyz"]) - 1, min(limit, len(arrays["xyz"]))).astype(int)
    camera = arrays.get("camera")
    known = camera is not None and bool(np.isfinite(camera).all())
    xyz = _from_camera(arrays["xyz"][every].astype(np.float64), camera if known else None)
    unit = max(0.001, float(np.abs(xyz).max(initial=0.0)) / 32_000)
    weak = arrays.get("weak", np.full(len(arrays["xyz"]), 255, np.uint8))
    columns = {
        "xyz": (xyz / unit).round().astype("<i2"),
        "rgb": arrays["rgb"][every].astype(np.uint8),
        "label": arrays["label"][every].astype(np.uint8),
        "weak": weak[every].astype(np.uint8),
        "confidence": (arrays["confidence"][every].astype(np.float64).clip(0, 1) * 255).round().astype(np.uint8),
    }
    return {
        "source": source,
        "title": "Range sensor" if source.startswith("sensor") else source.replace("_", " ").capitalize(),
        "facts": quality(facts),
        "metric": bool(facts.get("metric", True)),
        "camera": known,
        "unit": unit,
        "points": len(every),
        **{name: base64_text(column.tobytes()) for name, column in columns.items()},
    }


def _from_camera(xyz: Float64[np.ndarray, "n 3"], camera: np.ndarray | None) -> Float64[np.ndarray, "n 3"]:
    """The points as seen from the camera's place: x right, y ahead, z up. So the sources lie over each other.

    Without a camera the middle of the points takes its place.
    """
    if camera is None:
        return xyz - (np.median(xyz, axis=0) if len(xyz) else 0.0)
    ahead = camera[:2, 2].astype(np.float64)
    ahead /= max(float(np.linalg.norm(ahead)), 1e-9)
    turn = np.array([[ahead[1], -ahead[0], 0], [ahead[0], ahead[1], 0], [0, 0, 1]])
    return (xyz - camera[:3, 3]) @ turn.T


def quality(facts: dict[str, Any]) -> str:
    """The quality of a source in one line; what nobody could measure is left out."""
    against = {"truth": "true", "sensor": "measured"}.get(str(facts.get("against")), "known")
    texts = {
        "coverage": "{:.0f} % of the pixels",
        "within_5": f"{{:.0f}} % within 5 % of the {against} depth",
        "auroc": "AUROC of confidence {:.2f}",
    }
    shown = {name: facts[name] * (1 if name == "auroc" else 100) for name in texts if _number(facts.get(name))}
    known = [texts[name].format(value) for name, value in shown.items()]
    scenes = facts.get("scenes")
    if known and isinstance(scenes, int):
        known.append(f"over {scenes} training scene{'s' * (scenes != 1)}")
    return ", ".join(known)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _small(image: np.ndarray) -> bytes:
    picture = Image.fromarray(image)
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    return png(picture)

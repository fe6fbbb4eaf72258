"""How bytes and values stand inside the page: pictures as data URIs, arrays as base64, scripts by their hash."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from PIL import Image

WIDEST = 1800
"""Pixels of an inlined picture; the files in ``figures/`` are larger."""
NARROWEST = 300
"""Nothing is scaled below this width, whatever the budget says."""


def base64_text(data: bytes) -> str:
    """Bytes as text for a page."""
    return base64.b64encode(data).decode("ascii")


def data_uri(png: bytes) -> str:
    """A PNG that needs no file beside the page."""
    return f"data:image/png;base64,{base64_text(png)}"


def png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file without metadata."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def run_lengths(ids: UInt8[np.ndarray, "h w"]) -> bytes:
    """Train ids row by row as pairs (id, repetitions - 1), both one byte.

    As small as a PNG for label maps, and read back exactly: a browser that guards against fingerprinting falsifies the
    pixels that a script reads from a picture.
    """
    flat = ids.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])) if len(flat) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(flat)))
    pieces = -(-lengths // 256)  # a run longer than a byte can say is cut
    values = np.repeat(flat[starts], pieces)
    counts = np.full(len(values), 256)
    counts[pieces.cumsum() - 1] = lengths - 256 * (pieces - 1)
    return np.stack([values, counts - 1], axis=-1).astype(np.uint8).tobytes()


def fitting(pictures: Sequence[bytes], budget: int) -> list[tuple[bytes, int, int]]:
    """PNG files with width and height that fit a budget together: as they are, else in 256 colours and smaller.

    Args:
        pictures: PNG files.
        budget: Bytes of all of them; exceeded only where ``NARROWEST`` demands it.
    """
    if sum(map(len, pictures)) <= budget:
        return [(data, *_size(data)) for data in pictures]
    widest = WIDEST
    while True:
        found = [_reduced(data, widest) for data in pictures]
        total = sum(len(data) for data, _, _ in found)
        if total <= budget or widest <= NARROWEST:
            return found
        # Bytes grow about as the area; a little less, so that the next attempt is the last.
        widest = max(NARROWEST, int(widest * min(0.9, 0.95 * (budget / total) ** 0.5)))


def _size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.size


def _reduced(data: bytes, widest: int) -> tuple[bytes, int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        small = picture.convert("RGB")
    if small.width > widest:
        small = small.resize((widest, round(small.height * widest / small.width)), Image.Resampling.LANCZOS)
    return png(small.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)), *small.size


def values(plain: Any) -> Markup:
    """Plain values as JSON that may stand inside a ``<script>`` element: no text in it can end the element."""
    text = json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def inlined(name: str) -> Markup:
    """A script or a style sheet of this package, to stand inside its element as it is.

    Raises:
        ValueError: It would end its own element.
    """
    text = (files("wsss.benchmark.report") / name).read_text("utf-8")
    if "</" in text or "<!--" in text:
        raise ValueError(f"{name}: '</' and '<!--' cannot stand inside a page's element; write '<' + '/'")
    return Markup(text)


def script_hash(text: str) -> str:
    """How a content security policy names a script that may run."""
    return f"'sha256-{base64_text(hashlib.sha256(text.encode()).digest())}'"

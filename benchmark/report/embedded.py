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


COLOURS_SAVE = 0.4
"""What is left of a picture's bytes in 256 colours, at a guess."""


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

    The smallest ones come first; each may fill an equal part of what is left, and what it does not need is the others'.

    Args:
        pictures: PNG files.
        budget: Bytes of all of them; exceeded only where ``NARROWEST`` demands it.
    """
    if sum(map(len, pictures)) <= budget:
        return [(data, *_size(data)) for data in pictures]
    found: dict[int, tuple[bytes, int, int]] = {}
    for done, place in enumerate(sorted(range(len(pictures)), key=lambda place: len(pictures[place]))):
        found[place] = _within(pictures[place], budget // (len(pictures) - done))
        budget -= len(found[place][0])
    return [found[place] for place in range(len(pictures))]


def _within(data: bytes, limit: int) -> tuple[bytes, int, int]:
    """A picture as it is if it fits, else in 256 colours and as wide as it may be."""
    if len(data) <= limit:
        return data, *_size(data)
    with Image.open(io.BytesIO(data)) as picture:
        whole = picture.convert("RGB")
    # At a guess: bytes grow about as the area.
    widest = max(NARROWEST, min(WIDEST, whole.width, int(whole.width * (limit / (COLOURS_SAVE * len(data))) ** 0.5)))
    while True:
        small = whole
        if whole.width > widest:
            small = whole.resize((widest, round(whole.height * widest / whole.width)), Image.Resampling.LANCZOS)
        found = png(_rough(small))
        if len(found) <= limit or widest <= NARROWEST:
            found = png(small.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE))
            if len(found) <= limit or widest <= NARROWEST:
                return found, *small.size
        widest = max(NARROWEST, int(widest * min(0.95, 0.97 * (limit / len(found)) ** 0.5)))


def _rough(picture: Image.Image) -> Image.Image:
    """In colours of every fourth pixel: about the same bytes as in its best ones, in a tenth of the time."""
    few = picture.resize((max(1, picture.width // 4), max(1, picture.height // 4)), Image.Resampling.NEAREST)
    return picture.quantize(palette=few.quantize(256, dither=Image.Dither.NONE), dither=Image.Dither.NONE)


def _size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.size


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

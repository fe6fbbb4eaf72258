"""MATLAB files of version 5: numbers, texts and cells of texts, read with every length checked.

``scipy.io.loadmat`` reads far more, but a flipped bit in a file can crash it, and the process with it. Format:
MathWorks, "MAT-File Format", chapter 1.
"""

import math
import struct
import zlib
from pathlib import Path

import numpy as np

Value = np.ndarray | str | list[str]

_KINDS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
"""How numbers are stored, by the type of an element; MATLAB stores them as small as they fit."""
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le", 18: "utf-32-le"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _CHARACTERS, _NUMBERS = 1, 4, range(6, 16)


def read(path: Path) -> dict[str, Value]:
    """The variables of a file: arrays of numbers, texts, and cell arrays of texts as lists in MATLAB's order.

    Variables of other classes are passed over.

    Raises:
        ValueError: The bytes are no such file, or damaged.
        OSError: The file cannot be read.
    """
    content = path.read_bytes()
    if content[124:128] != b"\x00\x01IM":
        raise ValueError("not a MATLAB file of version 5")
    values: dict[str, Value] = {}
    place = 128
    while place + 8 <= len(content):
        kind, data, place = _element(content, place)
        if kind == _COMPRESSED:
            try:
                kind, data, _ = _element(zlib.decompress(data), 0)
            except zlib.error as error:
                raise ValueError(f"compressed data are damaged, {error}") from error
        if kind != _MATRIX:
            raise ValueError(f"element of type {kind} in the place of a variable")
        name, value = _variable(data)
        if value is not None:
            values[name] = value
    return values


def _element(content: bytes, place: int) -> tuple[int, bytes, int]:
    """Type and data of the element at a place, and the place of the next."""
    if place + 8 > len(content):
        raise ValueError("truncated")
    kind, size = struct.unpack_from("<II", content, place)
    if kind >> 16:  # a small element: length, type and up to four bytes in eight
        kind, size, start, after = kind & 0xFFFF, kind >> 16, place + 4, place + 8
    else:
        start = place + 8
        after = start + size + (0 if kind == _COMPRESSED else -size % 8)
    if start + size > min(len(content), max(after, start)):
        raise ValueError("truncated")
    return kind, content[start : start + size], after


def _variable(data: bytes) -> tuple[str, Value | None]:
    """Name and value of a matrix; None where its class is none of those that are read."""
    _, flags, place = _element(data, 0)
    _, dimensions, place = _element(data, place)
    _, name, place = _element(data, place)
    shape = np.frombuffer(dimensions, "<i4").tolist()
    if not flags or not shape or min(shape) < 0:
        raise ValueError("a variable without class or shape")
    what, count = flags[0], math.prod(shape)
    if what == _CELL:
        texts = []
        for _ in range(count):
            _, inner, place = _element(data, place)
            text = _variable(inner)[1]
            if not isinstance(text, str):
                raise ValueError("a cell that holds no text")
            texts.append(text)
        return name.decode("latin-1"), texts
    if what != _CHARACTERS and what not in _NUMBERS:
        return name.decode("latin-1"), None
    kind, stored, _ = _element(data, place)
    if what == _CHARACTERS:
        return name.decode("latin-1"), stored.decode(_TEXTS.get(kind, "ascii"))
    if kind not in _KINDS:
        raise ValueError(f"numbers of unknown type {kind}")
    return name.decode("latin-1"), np.frombuffer(stored, _KINDS[kind]).reshape(shape, order="F")

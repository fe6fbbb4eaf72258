"""Tfrecords and the wire format of protocol buffers, as far as reading Waymo Open needs them.

A tfrecord is a row of records: length (8 bytes), its masked CRC32C (4), message, its masked CRC32C (4). Sources: the
encoding page of the protocol buffers documentation, TensorFlow's record writer. Values stay views of their message.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import numpy as np

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}

_HEADER, _CRC = 12, 4

Value = int | memoryview


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of every field in order: an integer, or the bytes of anything else.

    Raises:
        ValueError: The bytes are no message.
    """
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            length, position = _varint(message, position)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f"field {tag >> 3} has the unknown wire type {kind}")
        if position + length > end:
            raise ValueError(f"field {tag >> 3} runs beyond its message")
        yield tag >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """An integer of 7 bits per byte, lowest first, and where it ends."""
    value = shift = 0
    for byte in message[position : position + 10]:
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("an integer has no end")


class Message:
    """A message as its fields by number; repeated fields need not stand together.

    Raises:
        ValueError: The bytes are no message; methods: a field has another type.
    """

    def __init__(self, data: memoryview) -> None:
        self._fields: dict[int, list[Value]] = {}
        for number, value in fields(data):
            self._fields.setdefault(number, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def integer(self, number: int) -> int:
        """An integer or enum; the format leaves out zero."""
        value = self._fields.get(number, [0])[-1]
        if not isinstance(value, int):
            raise ValueError(f"field {number} is no integer")
        return value

    def bytes(self, number: int) -> memoryview:
        """Bytes or a string; empty where the field is absent."""
        value = self._fields.get(number, [memoryview(b"")])[-1]
        if isinstance(value, int):
            raise ValueError(f"field {number} is an integer, expected bytes")
        return value

    def message(self, number: int) -> "Message":
        """One message; empty where the field is absent."""
        return Message(self.bytes(number))

    def messages(self, number: int) -> "list[Message]":
        """A repeated message."""
        values = self._fields.get(number, [])
        if any(isinstance(value, int) for value in values):
            raise ValueError(f"field {number} is an integer, expected a message")
        return [Message(value) for value in values if isinstance(value, memoryview)]

    def number(self, number: int, kind: str) -> float:
        """A float (``<f``) or double (``<d``); the format leaves out zero."""
        data = self.bytes(number)
        if not data:
            return 0.0
        if len(data) != struct.calcsize(kind):
            raise ValueError(f"field {number} has {len(data)} bytes, expected {struct.calcsize(kind)}")
        return struct.unpack(kind, data)[0]

    def numbers(self, number: int, dtype: str) -> np.ndarray:
        """Repeated floats (``<f4``) or doubles (``<f8``), packed or one by one."""
        values = self._fields.get(number, [])
        if any(isinstance(value, int) for value in values):
            raise ValueError(f"field {number} is an integer, expected floats")
        if len(values) == 1 and isinstance(values[0], memoryview):
            return np.frombuffer(values[0], dtype)
        return np.frombuffer(b"".join(bytes(value) for value in values), dtype)

    def integers(self, number: int) -> list[int]:
        """Repeated integers, packed or one by one."""
        found: list[int] = []
        for value in self._fields.get(number, []):
            if isinstance(value, int):
                found.append(value)
                continue
            position = 0
            while position < len(value):
                integer, position = _varint(value, position)
                found.append(integer)
        return found


def mapped(path: Path) -> memoryview:
    """A file whose bytes are read from disk when they are looked at, and only those.

    Raises:
        ValueError: The file is empty.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):  # no reading ahead: what follows is mostly skipped
        mapped.madvise(mmap.MADV_RANDOM)
    return memoryview(mapped)


def records(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Offset and message of every record; proves the checksums of the lengths alone.

    Raises:
        ValueError: A length is wrong, or runs beyond the file.
    """
    position = 0
    while position < len(data):
        length = _length(bytes(data[position : position + _HEADER]), position)
        start, position = position, position + _HEADER + length + _CRC
        if position > len(data):
            raise ValueError(f"the record at byte {start} is cut off")
        yield start, data[start + _HEADER : position - _CRC]


def whole(path: Path, offset: int) -> memoryview:
    """The message of one record, its checksum proved.

    Raises:
        ValueError: The record is cut off, or its checksum wrong.
    """
    with path.open("rb") as file:
        file.seek(offset)
        length = _length(file.read(_HEADER), offset)
        data, crc = file.read(length), file.read(_CRC)
    if len(crc) < _CRC:
        raise ValueError(f"the record at byte {offset} is cut off")
    if _masked_crc(data) != int.from_bytes(crc, "little"):
        raise ValueError(f"wrong checksum of the record at byte {offset}")
    return memoryview(data)


def _length(header: bytes, offset: int) -> int:
    if len(header) < _HEADER:
        raise ValueError(f"the record at byte {offset} is cut off")
    if _masked_crc(header[:8]) != int.from_bytes(header[8:], "little"):
        raise ValueError(f"wrong checksum of the record's length at byte {offset}")
    return int.from_bytes(header[:8], "little")


def _masked_crc(data: bytes) -> int:
    """TensorFlow's form of a CRC32C, which keeps checksums of checksums apart."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

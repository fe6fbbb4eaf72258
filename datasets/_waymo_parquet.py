"""Reading parquet files of Waymo Open: rows by key, columns by name, and nothing that a file does not promise.

Columns are found by name, because published files begin with one more (``index``). Rows may stand in any order.
Page checksums are verified where a file has them; without them a flipped bit inside an image can stay unnoticed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wsss.datasets._waymo_records import CAMERAS, LASERS, finite, image_grid, numbered, reading, rigid

SEGMENT, TIME, CAMERA, LASER = (
    f"key.{name}" for name in ("segment_context_name", "frame_timestamp_micros", "camera_name", "laser_name")
)
_NUMBERS: Mapping[str, tuple[Mapping[str, int], str]] = {CAMERA: (CAMERAS, "camera"), LASER: (LASERS, "LiDAR")}

Place = dict[tuple[int, ...], tuple[int, int]]
"""Row group, and row within it, of each key."""
Row = dict[str, Any]
"""Per column a number, bytes, or an array; None where the file has null."""


@dataclass(frozen=True, slots=True)
class _Opened:
    path: Path
    file: pq.ParquetFile
    place: Place


class Component:
    """The files of one component: finds rows by key, keeps one file open and one row group decoded.

    Args:
        tag: The component's folder.
        prefix: Of its columns: the name of its class in the official code.
        keys: Key columns beyond the segment's.
        columns: What ``row`` reads.
    """

    def __init__(self, tag: str, prefix: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> None:
        self.tag = tag
        self.keys = keys
        self.prefix = f"[{prefix}]."
        self.columns = columns
        self._opened: _Opened | None = None
        self._decoded: tuple[_Opened, int, pa.Table] | None = None

    def path(self, folder: Path, segment: str) -> Path:
        """The file of a segment."""
        return folder / self.tag / f"{segment}.parquet"

    def opened(self, folder: Path, segment: str) -> _Opened:
        """A segment's file and where its rows stand; reads key columns alone."""
        path = self.path(folder, segment)
        if self._opened is None or self._opened.path != path:
            with _reading(path):
                file = _open(path)
                self._opened = _Opened(path, file, _place(file, segment, self.keys))
        return self._opened

    def row(self, folder: Path, segment: str, key: tuple[int, ...]) -> Row:
        """The columns of the one row with a key."""
        opened = self.opened(folder, segment)
        with _reading(opened.path):
            if key not in opened.place:
                raise ValueError(f"no row for {spelled(self.keys, key)}")
            group, row = opened.place[key]
            table = self._group(opened, group)
            return {name: _value(table.column(self.prefix + name)[row]) for name in self.columns}

    def rows(self, folder: Path, segment: str, columns: tuple[str, ...]) -> Iterator[tuple[tuple[int, ...], Row]]:
        """Some columns of all rows."""
        opened = self.opened(folder, segment)
        with _reading(opened.path):
            table = _columns(opened.file, [self.prefix + name for name in columns], None)
            cells = {name: [_value(cell) for cell in table.column(self.prefix + name)] for name in columns}
        for number, key in enumerate(opened.place):  # whose order is that of the rows
            yield key, {name: values[number] for name, values in cells.items()}

    def _group(self, opened: _Opened, group: int) -> pa.Table:
        if self._decoded is None or self._decoded[0] is not opened or self._decoded[1] != group:
            self._decoded = None  # never two at a time
            table = _columns(opened.file, [self.prefix + name for name in self.columns], group)
            self._decoded = (opened, group, table)
        return self._decoded[2]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """``reading``, for blocks that call pyarrow, some of whose errors are no ValueError."""
    with reading(path):
        try:
            yield
        except MemoryError:  # one of pyarrow's is both
            raise
        except pa.ArrowException as error:
            raise ValueError(str(error)) from error


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, page_checksum_verification=True)


def _columns(file: pq.ParquetFile, columns: list[str], group: int | None) -> pa.Table:
    """Columns of one row group or of all, each with as many rows as the file promises."""
    if absent := set(columns) - set(file.schema_arrow.names):
        raise ValueError(f"no column {min(absent)}")
    if group is None:
        table, rows = file.read(columns, use_threads=False), file.metadata.num_rows
    else:
        table = file.read_row_group(group, columns, use_threads=False)
        rows = file.metadata.row_group(group).num_rows
    if any(len(column) != rows for column in table.columns):
        raise ValueError(f"fewer or more than {rows} rows")
    return table


def _place(file: pq.ParquetFile, segment: str, keys: tuple[str, ...]) -> Place:
    """Where the row of every key stands; an empty table may lack its columns."""
    metadata = file.metadata
    if not metadata.num_rows:
        return {}
    table = _columns(file, [SEGMENT, *keys], None)  # of all row groups at once: one call each takes 0.1 ms
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if sum(sizes) != metadata.num_rows:
        raise ValueError(f"fewer or more than {metadata.num_rows} rows")
    if strange := set(table.column(SEGMENT).to_pylist()) - {segment}:
        raise ValueError(f"rows of segment {strange.pop()!r}")
    values = [_key_column(table.column(name), name) for name in keys]
    places = ((group, row) for group, size in enumerate(sizes) for row in range(size))
    place = dict(zip(zip(*values, strict=True), places, strict=True))
    if len(place) != metadata.num_rows:
        raise ValueError("several rows with one key")
    return place


def _key_column(column: pa.ChunkedArray, name: str) -> list[int]:
    values = column.to_pylist()
    if name not in _NUMBERS:
        if any(not isinstance(value, int) for value in values):
            raise ValueError(f"{name} holds {column.type}, expected integers")
        return values
    table, what = _NUMBERS[name]
    number = {value: numbered(value, table, what) for value in set(values)}
    return [number[value] for value in values]


def _value(cell: pa.Scalar) -> Any:
    """A cell as number, bytes or array; None for null."""
    if not cell.is_valid:
        return None
    if isinstance(cell, pa.ListScalar | pa.FixedSizeListScalar | pa.LargeListScalar):
        if cell.values.null_count:
            raise ValueError("a list holds null")
        return cell.values.to_numpy(zero_copy_only=False)
    return cell.as_py()


def of(kind: type, value: Any, column: str) -> Any:
    """``value`` if it is a ``kind``.

    Raises:
        ValueError: It is something else, or null; the text names ``column``.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{column} holds {type(value).__name__}, expected {kind.__name__}")
    return value


def floats(row: Row, columns: tuple[str, ...], what: str) -> np.ndarray:
    """Numbers of several columns as one float64 array.

    Raises:
        ValueError: One is null or not finite; the text names ``what``.
    """
    values = [row[name] for name in columns]
    if any(not isinstance(value, int | float) for value in values):
        raise ValueError(f"{what} is incomplete: {values}")
    return finite(np.array(values, np.float64), len(columns), what)


def transform(row: Row, column: str) -> np.ndarray:
    """A rigid transform, 4 x 4, float64 whatever the file holds.

    Raises:
        ValueError: It is none.
    """
    return rigid(of(np.ndarray, row[column], column), column)


def grid(row: Row, name: str, channels: int) -> np.ndarray:
    """An image of a LiDAR, (H, W, channels), from its columns ``values`` and ``shape``.

    Raises:
        ValueError: They do not fit each other.
    """
    shape = of(np.ndarray, row[f"{name}.shape"], f"{name}.shape").tolist()
    return image_grid(of(np.ndarray, row[f"{name}.values"], f"{name}.values"), shape, channels, name)


def spelled(keys: tuple[str, ...], key: tuple[int, ...]) -> str:
    """A key in words, for an error."""
    return ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))

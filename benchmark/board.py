"""A run as TensorBoard shows it: losses, learning rate and speed while it trains, predictions when it is scored.

For eyes alone: no score depends on it, no report reads it, and none of its files is committed.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import BenchmarkError, UsageError
from wsss.benchmark.report.pictures import overlay_weak, paint, reduced, visible
from wsss.benchmark.types import Frame, LabelKind

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "board"
"""Below a run's folder."""
PICTURES = ".pictures"
"""How the names of event files with pictures end: apart from the curves, so that a second scoring can replace them."""
NAME = "events.out.tfevents."
"""How TensorBoard's own names of event files begin."""
FLUSH_SECONDS = 10
"""Between two writes to disk, which is how late a watcher sees a value."""
TEXT, GAP = 14, 6
"""Height of letters, and space around things, in pixels."""
LINE = TEXT + GAP
PAPER, INK = (255, 255, 255), (20, 20, 20)


def require() -> None:
    """See that TensorBoard is there, before the first of many runs finds out.

    Raises:
        UsageError: It is not; the text names the extra that brings it.
    """
    _writer_class()


def _writer_class() -> type["SummaryWriter"]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            f"--tensorboard needs a missing package ({error}); `pip install 'wsss-benchmark[watch]'` brings it"
        ) from error
    return SummaryWriter


class Board:
    """The event files of one run, as a context manager.

    A run that goes on after an interruption continues its curves: what the killed process drew beyond the checkpoint
    is purged.

    Args:
        folder: Of the run; the event files lie in its ``board``.
        batch: Images in a step, over all devices.

    Raises:
        UsageError: The package tensorboard is missing.
    """

    def __init__(self, folder: Path, batch: int) -> None:
        self._class = _writer_class()
        self.folder, self.batch = folder / FOLDER, batch
        self._writer: SummaryWriter | None = None
        self._last: tuple[int, float] | None = None

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write what is left; an error that is already on its way is not hidden by one of writing."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            with self._telling():
                writer.close()
        except BenchmarkError as failed:
            if error is None:
                raise
            error.add_note(str(failed))

    def scalars(self, step: int, steps: int, losses: Mapping[str, float], lr: float) -> None:
        """Add a point to every curve.

        Args:
            step: Steps done.
            steps: Of the whole run.
            losses: Every term as minimised, and ``total``.
            lr: Learning rate.

        Raises:
            BenchmarkError: The disk is full or the folder cannot be written.
        """
        with self._telling():
            if self._writer is None:
                resumed = self._age()
                purge = step if resumed else None
                self._writer = self._class(str(self.folder), purge_step=purge, flush_secs=FLUSH_SECONDS)
            for name, value in losses.items():
                self._writer.add_scalar(f"loss/{name}", value, step)
            values = {"learning_rate": lr, "progress": step / steps, **self._speed(step)}
            for name, value in values.items():
                self._writer.add_scalar(f"training/{name}", value, step)

    def _speed(self, step: int) -> dict[str, float]:
        """Images a second since the point before; nothing at the first."""
        now, last = time.monotonic(), self._last
        self._last = (step, now)
        if last is None:
            return {}
        return {"images_per_second": (step - last[0]) * self.batch / max(now - last[1], 1e-9)}

    def images(self, step: int, pictures: Mapping[str, UInt8[np.ndarray, "_ _ 3"]]) -> None:
        """Show pictures by name, instead of those that were shown before.

        Args:
            step: Steps done.
            pictures: RGB, of any sizes; ``predictions`` makes them.

        Raises:
            BenchmarkError: The disk is full or the folder cannot be written.
        """
        with self._telling():
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            for old in self.folder.glob(f"*{PICTURES}"):
                old.unlink()
            self._age()
            writer = self._class(str(self.folder), filename_suffix=PICTURES)
            for name, picture in pictures.items():
                writer.add_image(f"predictions/{name}", picture, step, dataformats="HWC")
            writer.close()

    def _age(self) -> bool:
        """See that a new file comes after those that are there, and tell whether there are any.

        TensorBoard reads files by name, which begins with the time to the second, and clocks may jump backwards.
        """
        files = sorted(self.folder.glob(f"{NAME}*"))
        if files and files[-1].name >= f"{NAME}{int(time.time()):010d}":
            for place, path in enumerate(files):
                path.rename(path.with_name(f"{NAME}{0:010d}.{place:06d}{PICTURES * path.name.endswith(PICTURES)}"))
        return bool(files)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise BenchmarkError(
                f"{self.folder} cannot be written ({reason}); free some space, or run again without --tensorboard"
            ) from error


def predictions(
    dataset: Dataset,
    frames: Sequence[Frame],
    predicted: Mapping[str, UInt8[np.ndarray, "_ _"]],
    kind: LabelKind,
    seed: int,
) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """What a watcher compares, a sheet per frame: picture, weak labels, prediction and truth in the dataset's colours.

    Args:
        dataset: Whose frames.
        frames: Labelled ones.
        predicted: Train ids by the frame's id; a frame without is left out.
        kind: Of the labels that the run learned from; ``full`` shows none, as they are the truth.
        seed: Of the labels.
    """
    colors, sheets = np.array(dataset.classes.colors, np.uint8), {}
    for frame in frames:
        dense = dataset.dense(frame)
        if frame.id not in predicted or dense is None:
            continue
        image, ids = dataset.image(frame), predicted[frame.id]
        panels = {"picture": image}
        if kind != "full":
            panels[kind] = overlay_weak(image, dataset.weak(frame, kind, seed), kind, colors)
        panels |= {"prediction": paint(ids, colors), "truth": paint(dense, colors)}
        shown = visible([ids, dense], len(colors))
        legend = {dataset.classes.names[one]: dataset.classes.colors[one] for one in shown}
        sheets[frame.id] = sheet(panels, legend)
    return sheets


def sheet(
    panels: Mapping[str, UInt8[np.ndarray, "h w 3"]], legend: Mapping[str, tuple[int, int, int]]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Pictures of one size side by side, each under its name, and below them what the colours mean."""
    small = {name: reduced(picture) for name, picture in panels.items()}
    height, width = next(iter(small.values())).shape[:2]
    font = ImageFont.load_default(TEXT)
    across, top = len(small) * (width + GAP) - GAP, TEXT + 2 * GAP
    places = _places(legend, across, font)
    below = top + height + GAP
    page = Image.new("RGB", (across, below + (max((row for row, _ in places), default=-1) + 1) * LINE), PAPER)
    pen = ImageDraw.Draw(page)
    for number, (name, picture) in enumerate(small.items()):
        pen.text((number * (width + GAP), GAP), name, INK, font)
        page.paste(Image.fromarray(np.ascontiguousarray(picture)), (number * (width + GAP), top))
    for (name, color), (row, left) in zip(legend.items(), places, strict=True):
        line = below + row * LINE
        pen.rectangle((left, line, left + TEXT, line + TEXT), color, INK)
        pen.text((left + TEXT + GAP, line), name, INK, font)
    return np.asarray(page)


def _places(
    names: Iterable[str], across: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[tuple[int, int]]:
    """Line and left end of every name with its colour, as many to a line as go into it."""
    places, row, left = [], 0, 0
    for name in names:
        length = TEXT + 3 * GAP + int(font.getlength(name))
        if left and left + length > across:
            row, left = row + 1, 0
        places.append((row, left))
        left += length
    return places

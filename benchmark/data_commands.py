"""What the verb data does: is a dataset there and whole, is its geometry right, what does a frame look like."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from wsss.benchmark import discovery
from wsss.benchmark.console import Display, tell_maker
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import DatasetError, UsageError, unknown_name
from wsss.benchmark.suites import QUICK
from wsss.benchmark.types import Scene, Split
from wsss.benchmark.workplace import Workplace

SPLITS: tuple[Split, ...] = ("train", "val")
SHOWN = Path("build/shown")


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which datasets a command means, and where they are."""

    name: str | None
    """All if None."""
    miniature: bool
    data_root: Path | None

    def names(self) -> list[str]:
        """The datasets meant.

        Raises:
            UsageError: There is none of that name, or no miniature of it.
        """
        if self.miniature:
            from wsss.datasets import miniature

            if self.name is not None and self.name not in miniature.DATASETS:
                raise unknown_name("miniature", self.name, miniature.DATASETS)
            return [self.name] if self.name else list(miniature.DATASETS)
        if self.name is not None:
            discovery.dataset(self.name)
        return [self.name] if self.name else discovery.names("datasets")

    def open(self, name: str, console: Console) -> Dataset:
        """The dataset; a miniature is built if it is missing.

        Raises:
            UsageError: Nobody said where it is.
            DatasetMissing: It is not there.
        """
        if self.miniature:
            with self.making(name, console), Display(0, console) as display:
                return Workplace().open(name, QUICK, display.stage)
        if self.folder is None:
            raise UsageError("name the folder that holds the datasets with --data-root or WSSS_DATA, or --miniature")
        return discovery.dataset(name)(self.folder / name)

    def making(self, name: str, console: Console) -> AbstractContextManager[None]:
        """Nobody else makes data, labels or points of the dataset meanwhile; the console tells who is waited for."""
        return Workplace().making(QUICK.kind if self.miniature else "real", [name], partial(tell_maker, console))

    @property
    def folder(self) -> Path | None:
        """Of the real datasets; None where nobody said."""
        folder = self.data_root or os.environ.get("WSSS_DATA")
        return Path(folder) if folder else None


def show_data(console: Console, where: Where) -> int:
    """Print the state of datasets; miniatures are built."""
    missing = without_root = 0
    for name in where.names():
        adapter = discovery.dataset(name)
        console.rule(f"{adapter.title} ({name})", align="left")
        console.print(f"{adapter.homepage}  ({adapter.license})", markup=False, highlight=False)
        if not where.miniature and where.folder is None:
            tree = adapter.layout.strip()
            console.print(f"expected tree below <data root>/{name}:\n{tree}", markup=False, highlight=False)
            without_root += 1
            continue
        try:
            dataset = where.open(name, console)
            _show_splits(console, dataset)
            console.print(f"{dataset.root}", markup=False, highlight=False)
        except DatasetError as error:
            console.print(str(error), markup=False, highlight=False)
            missing += 1
    if without_root:
        console.print("no data root: pass --data-root or set WSSS_DATA to a folder that holds a folder per dataset")
    return DatasetError.exit_code if missing or without_root else 0


def _show_splits(console: Console, dataset: Dataset) -> None:
    """Read every labelled frame of a dataset once, so that «whole» means whole."""
    for split in SPLITS:
        frames = list(dataset.labelled(split))
        unknown: Counter[int] = Counter()
        for _, frame in frames:
            unknown.update(dataset.unknown_ids(frame))
            dense, image = dataset.dense(frame), dataset.image(frame)
            if dense is None or dense.shape != image.shape[:2]:
                raise DatasetError(f"{frame.image}: its label is missing or of another size than the image")
        for found, pixels in sorted(unknown.items()):
            console.print(f"{split}: {pixels} pixels carry the unknown id {found} and are ignored", highlight=False)
        scenes = {scene.id for scene, _ in frames}
        console.print(f"{split}: {len(frames)} labelled images in {len(scenes)} scenes, all readable", highlight=False)


def check_data(console: Console, where: Where) -> int:
    """Print what the geometry checks find; an error code if one fails."""
    from wsss.benchmark.geometry import true_depth
    from wsss.benchmark.geometry.check import check

    failed = 0
    for name in where.names():
        dataset = where.open(name, console)
        console.rule(f"{dataset.title} ({name})", align="left")
        for split in SPLITS:
            table = Table(split, "found", "wanted", "", box=None)
            for one in check(dataset, split, truth=true_depth.of(dataset)):
                verdict = {True: "good", False: "[bold]WRONG[/bold]", None: "not checked"}[one.good]
                table.add_row(one.check, one.found, one.wanted, verdict)
                failed += one.good is False
            console.print(table, highlight=False)
    if failed:
        console.print(f"{failed} checks failed: calibration, poses or sensor files do not belong to these images")
    return DatasetError.exit_code if failed else 0


def show_frame(console: Console, where: Where, id: str | None) -> int:
    """Draw one frame of each dataset meant and print where the picture is."""
    from wsss.benchmark.report.frame import draw
    from wsss.benchmark.report.style import paper_style, render

    if id is not None and where.name is None:
        raise UsageError(f"name the dataset that has the frame {id}: wsss data DATASET --show --frame {id}")
    for name in where.names():
        dataset = where.open(name, console)
        scene, index = find(dataset, id)
        path = SHOWN / f"{name}-{scene.frames[index].id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with paper_style():
            path.write_bytes(render(draw(dataset, scene, index))["png"])
        console.print(f"{path}", markup=False, highlight=False)
    return 0


def find(dataset: Dataset, id: str | None) -> tuple[Scene, int]:
    """The scene of a frame and its place there; the first labelled frame if ``id`` is None.

    Raises:
        UsageError: There is no such frame.
    """
    ids: list[str] = []
    for scene, index in _places(dataset):
        frame = scene.frames[index]
        if frame.id == id or (id is None and frame.labelled):
            return scene, index
        ids.append(frame.id)
    raise unknown_name("frame", str(id), ids)


def _places(dataset: Dataset) -> Iterator[tuple[Scene, int]]:
    for split in SPLITS:
        for scene in dataset.scenes(split):
            for index in range(len(scene.frames)):
                yield scene, index

"""The clouds of a dataset's scenes, made once and kept on disk.

    <folder>/<dataset>-<provider>-<its digest>/<scene>-<digest of its contents>/    see stored.py

A folder's name says all that its content depends on, so that nothing is ever overwritten by something else. It is
filled under another name and renamed when it is whole; several processes may fill one cache.
"""

import hashlib
import json
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from wsss.benchmark.atomic import FULL, new_folder, tidy, write_text
from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import BenchmarkError, Unsupported
from wsss.benchmark.geometry import poses, stored
from wsss.benchmark.geometry.providers import Geometry, Measuring, Traced, digest, name_of
from wsss.benchmark.geometry.remarks import remarks
from wsss.benchmark.geometry.scene_contents import contents, file_name
from wsss.benchmark.geometry.stored import Facts, Manifest, Stored
from wsss.benchmark.orphans import end_with_parent
from wsss.benchmark.spec import to_plain
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.types import IGNORE, PointCloud, Scene

Progress = Callable[[int, int], None]
"""Told how many scenes are done, and of how many."""
_MAKING = ".making-"
KEPT = 128
"""Scenes that stay open; each has eight memory maps."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why there is no cloud of a scene."""

    kind: str
    """The exception's class."""
    error: str
    """One sentence."""
    traceback: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a scene."""

    scene: str
    made: bool
    """Whether it was made just now."""
    outcome: Manifest | Failure


class Clouds:
    """The clouds of one dataset from one provider.

    Args:
        dataset: Whose scenes.
        geometry: Where the points come from.
        folder: Of the clouds of all datasets and providers.
    """

    def __init__(self, dataset: Dataset, geometry: Geometry, folder: Path) -> None:
        self.dataset, self.geometry = dataset, geometry
        self.folder = folder / f"{dataset.name}-{name_of(geometry)}-{digest(geometry)}"
        self._places: dict[str, Path] = {}
        self._opened: dict[str, Stored] = {}
        self._labels: dict[tuple[str, str], UInt8[np.ndarray, " n"]] = {}
        self._digests: dict[Path, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open: a memory map would be sent to another process as its whole content."""
        return {**self.__dict__, "_opened": {}, "_labels": {}}

    def place(self, scene: Scene) -> Path:
        """The folder of a scene's cloud, whether it exists or not.

        Raises:
            DatasetError: An image is missing.
        """
        if scene.id not in self._places:
            measured = isinstance(self.geometry, Measuring) and self.geometry.MEASURES
            found = contents(self.dataset, scene, measured=measured)
            text = found.text if found.posed else f"{found.text}\n{poses.identity(self.dataset)}"
            hexed = hashlib.sha256(text.encode()).hexdigest()[:16]
            self._places[scene.id] = self.folder / f"{file_name(scene.id)}-{hexed}"
        return self._places[scene.id]

    def prepare(self, scenes: Sequence[Scene], jobs: int = 1, progress: Progress | None = None) -> list[Result]:
        """Make the clouds that are missing, damaged or failed before; one result per scene, in their order.

        A scene that fails does not stop the others: its result says why.

        Raises:
            BenchmarkError: The disk is full, or a process was killed.
        """
        results = {scene.id: found for scene in scenes if (found := self._found(scene)) is not None}
        missing = [scene for scene in scenes if scene.id not in results]
        tidy(self.folder, _MAKING)
        for path in self.folder.glob(f"{stored.REMOVING}*"):
            shutil.rmtree(path, ignore_errors=True)
        if progress:
            progress(len(results), len(scenes))
        for result in self._make_all(missing, jobs):
            results[result.scene] = result
            if progress:
                progress(len(results), len(scenes))
        return [results[scene.id] for scene in scenes]

    def verify(self, scenes: Sequence[Scene], progress: Progress | None = None) -> dict[str, str]:
        """Read every cloud that exists and compare checksums; what is damaged is removed.

        Returns:
            What was wrong, by scene; ``prepare`` makes these scenes again.
        """
        wrong = {}
        for done, scene in enumerate(scenes, 1):
            place = self.place(scene)
            fault = stored.fault(place, checksums=True) if (place / "manifest.json").is_file() else None
            if fault is not None:
                wrong[scene.id] = fault
                self._forget(scene.id)
                stored.remove(place)
            if progress:
                progress(done, len(scenes))
        return wrong

    def open(self, scene: Scene) -> PointCloud:
        """The cloud of a scene, its arrays memory maps.

        Raises:
            BenchmarkError: It was not made yet, or is damaged.
            Unsupported: It could not be made because something is lacking.
        """
        return self.stored(scene).cloud

    def stored(self, scene: Scene) -> Stored:
        """The cloud of a scene with its index and manifest; raises what ``open`` raises."""
        if scene.id not in self._opened:
            place = self.place(scene)
            failure = _read_failure(place)
            if failure is not None:
                kind = Unsupported if failure.kind == Unsupported.__name__ else BenchmarkError
                raise kind(f"scene {scene.id} has no points: {failure.error}")
            if not place.is_dir():
                raise BenchmarkError(f"the points of scene {scene.id} were not made yet: run `wsss points` first")
            opened = stored.read(place)
            while len(self._opened) >= KEPT:
                self._forget(next(iter(self._opened)))
            self._opened[scene.id] = opened
        return self._opened[scene.id]

    def labels(self, scene: Scene, supervision: Supervision) -> UInt8[np.ndarray, " n"]:
        """One weak label per point of a scene: that of the pixel that made it, IGNORE without one.

        Those of all labelled views together are all that a scene's points know. Kept beside the cloud, by the digest
        of the labels.

        Args:
            scene: Which.
            supervision: Of the same dataset, and prepared.
        """
        if supervision.folder not in self._digests:
            self._digests[supervision.folder] = supervision.prepare().digest
        name = f"labels-{supervision.kind}-{supervision.seed}-{self._digests[supervision.folder]}"
        if (scene.id, name) not in self._labels:
            cloud, path = self.open(scene), self.place(scene) / f"{name}.npy"
            found = stored.read_labels(path, len(cloud.xyz))
            if found is None:
                found = lift(cloud, scene, supervision)
                stored.write_labels(path, found, int((found != IGNORE).sum()))
            self._labels[scene.id, name] = found
        return self._labels[scene.id, name]

    def _forget(self, scene: str) -> None:
        self._opened.pop(scene, None)
        self._labels = {key: labels for key, labels in self._labels.items() if key[0] != scene}

    def _found(self, scene: Scene) -> Result | None:
        place = self.place(scene)
        manifest = stored.read_manifest(place) if stored.fault(place) is None else None
        return None if manifest is None else Result(scene=scene.id, made=False, outcome=manifest)

    def _make_all(self, scenes: Sequence[Scene], jobs: int) -> Iterator[Result]:
        for scene in scenes:
            self._forget(scene.id)
        if jobs == 1 or len(scenes) < 2:
            yield from map(self._make, scenes)
            return
        workers = min(jobs, len(scenes))
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=end_with_parent) as pool:
            waiting = [pool.submit(self._make, scene) for scene in scenes]
            try:
                yield from (done.result() for done in as_completed(waiting))
            except BrokenProcessPool as error:
                raise BenchmarkError(
                    "a process that made points was killed, probably for want of memory: run again with fewer jobs"
                ) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _make(self, scene: Scene) -> Result:
        """Make one cloud, or the record of its failure, and put it in its place."""
        place, started = self.place(scene), time.monotonic()
        outcome: Manifest | Failure
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with new_folder(self.folder, _MAKING) as temporary:
                try:
                    with remarks() as said:
                        cloud = self.geometry.points(self.dataset, scene)
                    facts = self._facts(scene, said)
                except Exception as error:
                    text = str(error) if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {error}"
                    outcome = Failure(kind=type(error).__name__, error=text, traceback=traceback.format_exc())
                    write_text(temporary / "failure.json", json.dumps(asdict(outcome), indent=1) + "\n")
                else:
                    outcome = stored.write(temporary, cloud, facts, time.monotonic() - started)
                stored.install(temporary, place)
        except OSError as error:
            what = "no space left while writing" if error.errno in FULL else f"{error.strerror or error}, writing"
            raise BenchmarkError(f"{what} {place}; mend that and run the same command again") from error
        return Result(scene=scene.id, made=True, outcome=outcome)

    def _facts(self, scene: Scene, said: Sequence[str] = ()) -> Facts:
        return Facts(
            dataset=self.dataset.name,
            scene=scene.id,
            geometry=name_of(self.geometry),
            version=self.geometry.VERSION,
            settings=to_plain(self.geometry),
            digest=digest(self.geometry),
            frames=tuple(frame.id for frame in scene.frames),
            provenance=self.geometry.provenance() if isinstance(self.geometry, Traced) else {},
            remarks=tuple(said),
        )


def lift(cloud: PointCloud, scene: Scene, supervision: Supervision) -> UInt8[np.ndarray, " n"]:
    """One weak label per point: that of the pixel that made it, IGNORE where it has none."""
    result = np.full(len(cloud.xyz), IGNORE, np.uint8)
    for number, frame in enumerate(scene.frames):
        rows = cloud.view(number)
        if frame.labelled and rows.stop > rows.start:
            row, column = cloud.pixel[rows].T
            result[rows] = supervision.read(frame)[row, column]
    return result


def _read_failure(place: Path) -> Failure | None:
    path = place / "failure.json"
    if not path.is_file():
        return None
    try:
        return Failure(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BenchmarkError(f"{path} is damaged ({error}); delete {place} and run again") from error

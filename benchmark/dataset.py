"""The contract of a dataset adapter: the only code that knows a dataset's folders, file names and class ids."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import ClassVar

import numpy as np
from jaxtyping import Int32, UInt8

from wsss.benchmark import labels
from wsss.benchmark.errors import DatasetError, Unsupported
from wsss.benchmark.names import is_safe
from wsss.benchmark.types import Camera, Classes, Frame, Scene, Split, Sweep, WeakKind


class DatasetMissing(DatasetError):
    """The root of a dataset, or a part that everything needs, is not there."""

    def __init__(self, dataset: type["Dataset"], missing: Path) -> None:
        self.dataset, self.missing = dataset, missing
        name = dataset.__module__.rpartition(".")[2]
        tree = "\n".join(f"    {line}" for line in dataset.layout.strip("\n").splitlines())
        super().__init__(
            f"{dataset.title}: {missing} does not exist. Get the data from {dataset.homepage} ({dataset.license}) "
            f"and unpack it as\n{tree}\nin a folder named {name}, then name the folder above it with --data-root or "
            f"WSSS_DATA; `wsss data --miniature` builds small data of the same format without a download."
        )

    def __reduce__(self) -> tuple[type, tuple[type["Dataset"], Path]]:  # else it could not leave its process
        return type(self), (self.dataset, self.missing)


class Dataset(ABC):
    """One on-disk dataset. Subclass it in ``datasets/<name>.py``; the file name is the name everywhere.

    Args:
        root: Folder that holds the tree in ``layout``.

    Raises:
        DatasetMissing: ``root`` or a part that everything needs is absent.
    """

    title: ClassVar[str]
    """As printed in tables: ``KITTI-360``."""
    classes: ClassVar[Classes]
    labels: ClassVar[frozenset[WeakKind]]
    """The weak kinds it ships or that we derive."""
    sources: ClassVar[frozenset[str]]
    """What it offers beyond labelled images: a subset of ``{"video", "poses", "stereo", "lidar", "depth"}``."""
    camera_height: ClassVar[float | None] = None
    """Of every camera above the road in metres, where it is published: the scale of poses that are estimated."""
    homepage: ClassVar[str]
    license: ClassVar[str]
    layout: ClassVar[str]
    """The tree we expect, printed when it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._digests: dict[str, str] = {}
        if not self.root.is_dir():
            raise DatasetMissing(type(self), self.root)

    @property
    def name(self) -> str:
        """The module's file name: the key on the command line and in the results."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def scenes(self, split: Split) -> Sequence[Scene]:
        """The scenes of a split, sorted by id; splits share no scene.

        Raises:
            DatasetMissing: The split's folder is absent.
            UsageError: The dataset has no such split.
        """

    @abstractmethod
    def image(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        """The RGB image as stored.

        Raises:
            DatasetError: The file is missing, damaged, or of the wrong size.
        """

    @abstractmethod
    def dense(self, frame: Frame) -> UInt8[np.ndarray, "h w"] | None:
        """The dense train ids, IGNORE where no class applies; None for an unlabelled frame.

        Raises:
            DatasetError: The file is missing, damaged, or of another size than the image.
        """

    def instances(self, frame: Frame) -> Int32[np.ndarray, "h w"] | None:
        """Instance ids that tell touching things of one class apart; None where the dataset has none."""
        return None

    def weak(self, frame: Frame, kind: WeakKind, seed: int) -> UInt8[np.ndarray, "h w"]:
        """Weak labels of a labelled frame: official ones where they exist, else derived from the dense labels.

        Points occupy one pixel each, so that the array is also the list of their coordinates.

        Raises:
            Unsupported: The frame has no dense labels to derive from.
        """
        dense = self.dense(frame)
        if dense is None:
            raise Unsupported(f"{self.title}: frame {frame.id} has no annotation to derive {kind} from")
        return labels.derive(kind, dense, self.instances(frame), seed=seed, key=frame.id)

    def weak_source(self, kind: WeakKind) -> str:
        """Where the weak labels of a kind come from, for the record: ``derived`` or the name of an official set."""
        return f"derived (labels.py version {labels.VERSION})"

    def unknown_ids(self, frame: Frame) -> dict[int, int]:
        """Pixels per id of a frame's annotation that the format does not define; they are read as IGNORE."""
        return {}

    def cameras(self, scene: Scene) -> tuple[Camera | None, ...]:
        """One camera per frame of the scene, None where calibration is unknown."""
        return (None,) * len(scene.frames)

    def sweep(self, scene: Scene, index: int) -> Sweep | None:
        """What the range sensor measured at frame ``index`` of a scene; None where it did not.

        A LiDAR's points are in the world and free of the sensor's own motion; those of a depth camera or a stereo
        pair carry the pixel they belong to.

        Raises:
            Unsupported: The dataset has no range sensor; the text says so in tables.
            DatasetError: A file is damaged.
        """
        raise Unsupported(f"{self.title} has no range sensor")

    def labelled(self, split: Split) -> Iterator[tuple[Scene, Frame]]:
        """Every labelled frame of a split, with the scene that the bootstrap resamples it by."""
        for scene in self.scenes(split):
            for frame in scene.frames:
                if frame.labelled:
                    yield scene, frame

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """The files that hold a labelled frame's image and annotations."""
        return (frame.image,)

    def digest(self, split: Split) -> str:
        """Identity of a split: its scenes, frames and the sizes of their files, independent of machine and path.

        It is taken once: a dataset that changes on disk must be opened anew.

        Raises:
            DatasetError: One of the files is missing, or the id of a frame cannot be a file's name.
        """
        if split in self._digests:
            return self._digests[split]
        sha = hashlib.sha256()
        for scene, frame in self.labelled(split):
            if not is_safe(frame.id):  # labels and samples are written under it
                raise DatasetError(
                    f"{frame.image}: {frame.id[:80]!r} cannot be a file's name; rename what it is read from"
                )
            sizes = [self._size(path) for path in self.files(frame)]
            sha.update(f"{scene.id}\x1f{frame.id}\x1f{sizes}\n".encode())
        self._digests[split] = sha.hexdigest()[:16]
        return self._digests[split]

    def _size(self, path: Path) -> int:
        try:
            found = path.stat()
        except OSError:
            found = None
        if found is None or not S_ISREG(found.st_mode):
            raise DatasetError(f"{path} is missing; `wsss data {self.name}` shows the tree that is expected")
        return found.st_size

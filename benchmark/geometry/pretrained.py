"""Packages and weights of reconstruction networks: used if they are there, told how to get if they are not.

Nothing is downloaded here. The packages are no dependencies of the benchmark, so they are imported by name.
"""

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from wsss.benchmark import torchvision_on_cpu  # noqa: F401  the packages import torchvision
from wsss.benchmark.errors import Unsupported

WEIGHTS = "model.safetensors"
_HEX = 64


def package(module: str, install: str) -> ModuleType:
    """An optional package's module.

    Args:
        module: What to import, dotted.
        install: The command that installs it, for the error.

    Raises:
        Unsupported: It, or a package that it imports, is not installed.
    """
    importlib.import_module("cv2")  # first: after pycolmap, which some of the packages import, it can abort the process
    try:
        with _numerics_kept():
            return importlib.import_module(module)
    except ImportError as error:
        raise Unsupported(f"{module} cannot be imported ({error}); install it with: {install}") from error


@contextmanager
def _numerics_kept() -> Iterator[None]:
    """Undo what a package's import changes for the whole process: UniCeption switches TF32 on."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    benchmark = torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn
        torch.backends.cudnn.benchmark = benchmark


def folder(weights: str, revision: str | None, sha256: str | None) -> Path:
    """The folder that holds the weights' ``config.json`` and ``model.safetensors``.

    Args:
        weights: A folder, or a repository of the Hugging Face hub that was downloaded before.
        revision: Commit, tag or branch of the repository; None is the main branch as it was downloaded.
        sha256: What ``model.safetensors`` must hash to; None takes any.

    Raises:
        Unsupported: It is not there, or is another file than ``sha256`` says.
    """
    path = Path(weights)
    command = f"hf download {weights}" + (f" --revision {revision}" if revision else "")
    if not path.is_dir():
        hub = package("huggingface_hub", "pip install huggingface_hub")
        try:
            path = Path(hub.snapshot_download(weights, revision=revision, local_files_only=True))
        except (OSError, ValueError) as error:  # the hub's own errors are of these kinds
            raise Unsupported(
                f"the weights {weights} are not on this machine; download them with: {command}"
            ) from error
    if not (path / WEIGHTS).is_file():
        raise Unsupported(f"{path} holds no {WEIGHTS}; download the weights with: {command}")
    if sha256 is not None and (found := digest(path)) != sha256:
        raise Unsupported(f"{path / WEIGHTS} has SHA-256 {found}, the settings say {sha256}; download with: {command}")
    return path


def digest(path: Path) -> str:
    """SHA-256 of a folder's ``model.safetensors``; the hub's cache names its files by it."""
    file = (path / WEIGHTS).resolve()
    named = len(file.name) == _HEX and set(file.name) <= set("0123456789abcdef")
    return file.name if named else _hash(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _hash(file: Path, changed: int) -> str:
    """Of a file that was last changed at a time, so that gigabytes are read once."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@lru_cache(maxsize=1)
def network(kind: Any, path: Path, device: torch.device) -> Any:
    """A network with the weights of a folder, on a device; the last one is kept for the next scene.

    Args:
        kind: A class with the hub's ``from_pretrained``.
        path: Of the weights.
        device: Where it is to run.
    """
    return kind.from_pretrained(str(path)).to(device).eval()


def release() -> None:
    """Let go of the network and its memory, once all points are made."""
    network.cache_clear()
    torch.cuda.empty_cache()


def provenance(distribution: str, path: Path) -> dict[str, str]:
    """What a record says of a network: package, version, and the digest of its weights."""
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        version = "not installed as a distribution"
    return {"package": distribution, "version": version, "weights_sha256": digest(path)}


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")

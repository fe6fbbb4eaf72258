"""Where a result comes from: code, versions and hardware; never a host's or a person's name."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "torchvision",
    "segmentation-models-pytorch",
    "timm",
    "numpy",
    "opencv-python-headless",
    "scipy",
)


def provenance(device: str, threads: int) -> dict[str, Any]:
    """Git state, versions and hardware of this process, as plain data."""
    return {
        "version": _version("wsss-benchmark"),
        **_git(Path(__file__).parents[1]),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "threads": threads,
        "packages": {name: _version(name) for name in PACKAGES},
    }


def environment() -> str:
    """Every installed package with its version, one a line, sorted."""
    found = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any]:
    """Commit and whether the working tree differs from it; None outside a checkout (an installed wheel)."""

    def ask(*arguments: str) -> str | None:
        command = ["git", "-C", str(folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    sha = ask("rev-parse", "HEAD")
    # Results, being written at this very moment, do not make the code another one.
    changed = ask("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results") if sha else None
    return {"git": sha, "dirty": bool(changed) if sha else None}

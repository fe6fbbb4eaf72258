#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.5"]
# ///
"""Everything this repository does, as sessions; `nox -l` lists them.

All heavy sessions share one environment, installed anew only when pyproject.toml or constraints.txt change.
`nox --no-venv -s benchmark` uses the environment it is called from: for machines that have a torch of their own.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["tests", "lint", "types"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml("pyproject.toml")
SHARED: list[str] = []
"""The folder of the shared environment's programs, once its session has run; empty to use what is on PATH."""


def group(*names: str) -> list[str]:
    """The requirements of dependency groups in pyproject.toml."""
    return list(nox.project.dependency_groups(PYPROJECT, *names))


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the shared environment, with that environment first on PATH for what the program starts."""
    # basedpyright looks on PATH for the Python whose packages it reads.
    path = os.pathsep.join([*SHARED, os.environ["PATH"]])
    session.run(shutil.which(program, path=path) or program, *arguments, external=True, env={"PATH": path})


@nox.session(reuse_venv=True, default=False)
def environment(session: nox.Session) -> None:
    """Install the package with everything it needs, for the other sessions to share."""
    if session.venv_backend == "none":
        return
    wanted = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt", "noxfile.py"))
    wanted += sys.version.encode() + str(ROOT).encode()
    stamp = Path(session.virtualenv.location) / "installed.sha256"
    digest = hashlib.sha256(wanted).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        session.install("--constraint", "constraints.txt", "--editable", ".", *group("test"))
        stamp.write_text(digest)
    SHARED[:] = [session.bin]


@nox.session(venv_backend="none", default=False, requires=["environment"])
def benchmark(session: nox.Session) -> None:
    """Run what is missing of a suite (default: quick), then its report; arguments go to `wsss run`."""
    run(session, "wsss", "run", *session.posargs)
    run(session, "wsss", "report", *report_arguments(session.posargs))


def report_arguments(arguments: list[str]) -> list[str]:
    """Those arguments of `wsss run` that `wsss report` takes too."""
    kept: list[str] = []
    for place, argument in enumerate(arguments):
        option = argument.split("=", 1)[0]
        if option in ("--suite", "--results"):
            kept += [argument] if "=" in argument else arguments[place : place + 2]
    return kept


@nox.session(venv_backend="none", requires=["environment"])
def tests(session: nox.Session) -> None:
    """Run the tests; arguments go to pytest."""
    run(session, "pytest", *(session.posargs or ["-n", "auto"]))


@nox.session(reuse_venv=True)
def lint(session: nox.Session) -> None:
    """Check style and formatting; `nox -s lint -- --fix` mends what can be mended."""
    if session.venv_backend != "none":
        session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs, ".")
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]), ".")


@nox.session(venv_backend="none", requires=["environment"])
def types(session: nox.Session) -> None:
    """Check types; arguments go to basedpyright."""
    run(session, "basedpyright", *session.posargs)


@nox.session(venv_backend="none", default=False, requires=["environment"])
def smoke(session: nox.Session) -> None:
    """Run a whole tiny suite end to end, from no data to the page."""
    for made in ("build/smoke", "build/data/miniature-tiny"):
        shutil.rmtree(ROOT / made, ignore_errors=True)
    run(session, "wsss", "run", "--suite", "smoke", "--results", "build/smoke", *session.posargs)
    run(session, "wsss", "report", "--suite", "smoke", "--results", "build/smoke")
    run(session, "wsss", "report", "--suite", "smoke", "--results", "build/smoke", "--check")


@nox.session(reuse_venv=True, default=False)
def report(session: nox.Session) -> None:
    """Rebuild a suite's report in an environment without torch; arguments go to `wsss report`."""
    if session.venv_backend != "none":
        session.install("--constraint", "constraints.txt", *group("report"))
        session.install("--no-deps", "--editable", ".")
    session.run("wsss", "report", *session.posargs)


@nox.session(reuse_venv=True, default=False, requires=["environment"])
def wheel(session: nox.Session) -> None:
    """Run the tests against the built wheel instead of the working tree; arguments go to pytest."""
    built = Path(session.create_tmp()) / "wheel"
    shutil.rmtree(built, ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(built), ".", silent=True)
    session.run(
        "python", "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", *map(str, built.glob("*.whl"))
    )
    # The dependencies come from the shared environment; its editable install of the package does not come along.
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    shared = session.run(f"{SHARED[0]}/python", "-c", ask, external=True, silent=True)
    own = session.run("python", "-c", ask, silent=True)
    assert isinstance(shared, str) and isinstance(own, str)
    (Path(own.strip()) / "dependencies.pth").write_text(shared.strip() + "\n")
    session.run("python", "-P", "-m", "pytest", *(session.posargs or ["-n", "auto"]))


@nox.session(venv_backend="none", default=False, requires=["environment"])
def perf(session: nox.Session) -> None:
    """Measure the hot paths and print a table; arguments choose benchmarks by name."""
    session.env["OMP_NUM_THREADS"] = "1"  # processor time counts the waiting of idle threads too
    run(session, "python", "tests/perf.py", *session.posargs)


@nox.session(venv_backend="none", default=False, requires=["environment"])
def perf_gpu(session: nox.Session) -> None:
    """Measure every method on a GPU at the paper's sizes; arguments choose methods."""
    run(session, "python", "tests/perf_gpu.py", *session.posargs)


@nox.session(venv_backend="none", default=False, requires=["environment"])
def chaos(session: nox.Session) -> None:
    """Kill, fill disks, damage files, and see that nothing is lost; arguments are `--kills`, `--seed`, `--minutes`."""
    session.env["OMP_NUM_THREADS"] = "1"
    run(session, "python", "tests/chaos.py", *session.posargs)
    run(session, "python", "tests/corruption.py", "--number", "500")


if __name__ == "__main__":
    nox.main()

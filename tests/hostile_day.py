"""A desk at which `wsss` is used on a hostile day: commands that are killed, disks that are full, clocks that jump.

A server imports everything once and forks for each command, so that a kill costs no start of an interpreter. What a
child changes before it begins (a smaller suite, a limit, a clock) is said by its order; the code it runs is ours.
"""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial, partialmethod
from pathlib import Path

RUN = ("run", "--suite", "chaos", "--jobs", "1")
REPORT = ("report", "--suite", "chaos")
SUITE = Path("build") / "results" / "chaos"
TIMES = ("seconds", "peak_memory_mb", "provenance", "started")
"""What of run.json tells of the machine and the moment."""


def prepare(order):
    """What is different for this command."""
    import torch

    from wsss.benchmark import run_commands
    from wsss.benchmark.console import Display
    from wsss.benchmark.geometry.sampling import Sampling
    from wsss.benchmark.grid import Column, Suite
    from wsss.benchmark.records import RunFolder
    from wsss.benchmark.spec import PointNetworkConfig, PointsConfig, TrainConfig
    from wsss.benchmark.suites import SUITES
    from wsss.benchmark.trainer import Runtime
    from wsss.benchmark.workplace import Workplace

    column = Column(
        dataset="cityscapes",
        labels=("scribbles",),
        train=TrainConfig(steps=4, batch=2, crop=(48, 80)),
        points=PointsConfig(sampling=Sampling(budget=256), network=PointNetworkConfig(voxel=0.3)),
    )
    every = ("gated_crf", "sasformer", "tel", "rewis3d_lidar", "full", "partial", "ema", "rewis3d")
    methods = order.get("methods", ["ema", "full", "rewis3d"])
    SUITES["chaos"] = Suite(
        name="chaos", title="A hostile day", data=order.get("data", "miniature"), size="tiny", columns=(column,),
        seeds=(0,), without=tuple(name for name in every if name not in methods),
    )  # fmt: skip
    torch.set_num_threads(1)
    run_commands.Runtime = partial(Runtime, checkpoint_seconds=0.0)  # a checkpoint at every chance
    setattr(Workplace, "makers", property(lambda self: order.get("makers", 1)))  # noqa: B010
    finish = RunFolder.finish

    def finished(folder, record):
        """Tell the weights that the run ended with, and that it ended."""
        weights = torch.load(folder.checkpoint, weights_only=True)["method"]
        sha = hashlib.sha256()
        for name, tensor in sorted(weights.items()):
            sha.update(name.encode() + tensor.numpy().tobytes())
        (folder.path / "weights.sha256").write_text(sha.hexdigest())
        finish(folder, record)
        with open("finished.log", "a") as file:  # noqa: PTH123
            file.write(f"{folder.path.name}\n")

    setattr(RunFolder, "finish", finished)  # noqa: B010
    if "vanish" in order:
        Display.stage = partialmethod(vanishing, Display.stage, *order["vanish"])  # pyright: ignore
    if "file_limit" in order:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"], order["file_limit"]))
    if "clock" in order:
        now, jumps = time.time, iter(range(10**9))
        time.time = lambda: now() - 3600 * next(jumps)


def vanishing(display, tell, stage, root, name, done, total, note):
    """Display.stage, which takes the data away when a stage begins."""
    if stage in name and Path(root).exists():
        Path(root).rename(f"{root}-gone")
    tell(display, name, done, total, note)


def child(order):
    """Run one command in a session of its own; never returns."""
    os.setsid()
    os.chdir(order["folder"])
    handles = [os.open(os.devnull, os.O_RDONLY)]
    handles += [os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for name in order["said"]]
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
    code = 70
    try:
        from wsss.benchmark.cli import main

        prepare(order)
        main(order["arguments"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve():
    """Fork for every order that is read; tell the child's number, then its exit code."""
    from wsss.benchmark import run_commands
    from wsss.benchmark.geometry.providers import plane_sweep
    from wsss.benchmark.report import command
    from wsss.datasets.miniature import cityscapes

    assert run_commands and command and cityscapes and plane_sweep
    print("ready", flush=True)
    for line in sys.stdin:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            child(json.loads(line))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


@dataclass(frozen=True)
class Done:
    """How a command ended; a negative code is a signal."""

    code: int
    out: str
    err: str

    @property
    def complaint(self):
        """The one sentence of a command that failed as documented."""
        said = self.out + self.err
        assert self.code in (1, 2, 3), said
        assert "Traceback" not in said and 'File "' not in said, said
        failed = re.findall(r"FAILED: (.*)", self.out)
        lines = self.err.strip().splitlines()
        assert (len(lines) == 1 and lines[0].startswith("wsss: ")) or (failed and not lines), said
        return lines[0] if lines else failed[0]


class Server:
    """The process that forks; one command at a time."""

    def __init__(self):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        environment.pop("WSSS_DATA", None)
        self.process = subprocess.Popen(
            [sys.executable, __file__, "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._said = ("", "")
        assert self._line() == "ready"

    def _line(self):
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, folder, *arguments, **order):
        """Begin a command in a folder; the number of its process, which is that of its group."""
        assert self.process.stdin is not None
        self._said = tuple(str(folder) + f".{self.process.pid}.{name}" for name in ("out", "err"))
        order = {**order, "folder": str(folder), "arguments": list(arguments), "said": self._said}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def wait(self):
        """How the command ended."""
        code = int(self._line())
        return Done(code, *(Path(name).read_text("utf-8", "replace") for name in self._said))

    def run(self, folder, *arguments, **order):
        """A command from beginning to end."""
        self.start(folder, *arguments, **order)
        return self.wait()

    def close(self):
        """End the server."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def kill(pid):
    """Kill a command with all its processes; nothing if it has ended."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def forget_times(folder):
    """Give every run the same moment and machine, so that reports of two folders can be compared byte by byte."""
    for path in (folder / SUITE / "runs").rglob("run.json"):
        try:
            record = json.loads(path.read_text())
        except ValueError:  # damaged on purpose: the report is to say so
            continue
        for name in TIMES:
            value = record[name]
            record[name] = dict.fromkeys(value, 1.0) if name == "seconds" else type(value)()
        path.write_text(json.dumps(record, indent=1) + "\n")


def contents(folder):
    """The bytes of every file that a command left below build/, hidden ones too; manifests without their seconds."""
    found = {}
    for path in sorted((folder / "build").rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if path.name == "manifest.json":
                content = re.sub(rb'"seconds": [0-9.]+', b"", content)
            found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def desk(folder, data=None):
    """An empty folder to work in, with the miniature if it was built before."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if data is not None:
        shutil.copytree(data, folder / "build" / "data" / "miniature-tiny")
    return folder


if __name__ == "__main__":
    serve()

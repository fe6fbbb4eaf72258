"""What befalls a finished or half-finished suite on a hostile day, and what must come of it.

Every case ends with the bytes of an undisturbed pass: at once, or after one sentence and the step that it names.
"""

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from hostile_day import REPORT, RUN, SUITE, Server, contents, forget_times, kill

RUNS = SUITE / "runs" / "cityscapes"
POINTS = Path("build") / "points"

TRUNCATED = {
    "checkpoint": "last.pt",
    "counts": f"{RUNS}/scribbles/ema/*/counts.npz",
    "record": f"{RUNS}/scribbles/ema/*/run.json",
    "plan": f"{SUITE}/plan.json",
    "labels": "build/labels/*/scribbles-*/*_*.png",
    "list of labels": "build/labels/*/scribbles-*/labels.json",
    "points": f"{POINTS}/*/*/xyz.npy",
    "labels of points": f"{POINTS}/*/*/labels-*.npy",
    "manifest": f"{POINTS}/*/*/manifest.json",
    "points shown": f"{SUITE}/points/*.npz",
    "facts shown": f"{SUITE}/points/*.json",
    "shared sample": f"{SUITE}/samples/*/*/truth.png",
    "sample": f"{RUNS}/scribbles/ema/*/samples/*.png",
    "curve": f"{RUNS}/scribbles/ema/*/curve.csv",
    "data": "build/data/*/cityscapes/.miniature",
}
"""What is cut in half, as a pattern below the desk."""
READ_IN_TRAINING = ("checkpoint", "labels", "points", "labels of points", "manifest")
"""What nobody looks at once the runs that need it are done, so that these are taken away first."""
NOT_REPORTED = (*READ_IN_TRAINING, "plan", "list of labels", "data")
BOTH, ALONE = (RUN, REPORT), (RUN,)


@dataclass(frozen=True)
class Bench:
    """A server, a finished desk, and what stands on it."""

    server: Server
    finished: Path
    right: dict[str, str]
    methods: tuple[str, ...] = ("ema", "full", "rewis3d")

    def copy(self, folder):
        """A desk like the finished one."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.finished, folder, symlinks=True)
        return folder

    def settle(self, folder, commands=BOTH, **order):
        """Run and report; the first that fails, or None."""
        for command in commands:
            done = self.server.run(folder, *command, **{"methods": self.methods, **order})
            if done.code:
                return done
            forget_times(folder)
        return None

    def ends_right(self, folder, commands=BOTH, **order):
        """The commands succeed, and every byte is as it would have been."""
        done = self.settle(folder, commands, **order)
        assert done is None, done
        differing = dict(contents(folder).items() ^ self.right.items())
        assert not differing, sorted(differing)
        finished_once(folder)


def finished_once(folder):
    """No run was done twice."""
    runs = [path.parent.name for path in (folder / SUITE / "runs").rglob("run.json")]
    log = folder / "finished.log"
    told = log.read_text().split() if log.is_file() else []
    assert len(runs) == len(set(runs)) and len(told) <= len(runs) + len(set(told)), told
    return runs


def unfinish(folder, *methods):
    """Take the results of some methods away."""
    for path in (folder / RUNS).glob("*/*"):
        if path.name in methods:
            shutil.rmtree(path)
    (folder / "finished.log").unlink(missing_ok=True)


def cut(path):
    """Leave the first half of a file, at least a byte less."""
    os.truncate(path, path.stat().st_size // 2)


def truncated(bench, folder, what):
    """One file is cut in half: it's made again, or a sentence names it and what to do."""
    bench.copy(folder)
    if what in READ_IN_TRAINING:
        unfinish(folder, "rewis3d" if "points" in what or what == "manifest" else "ema")
    if what == "checkpoint":
        half_trained(bench, folder)
        (path,) = (folder / RUNS).rglob("last.pt")
    else:
        path = sorted(folder.glob(TRUNCATED[what]))[0]
    cut(path)
    commands = ALONE if what in NOT_REPORTED else BOTH
    done = bench.settle(folder, commands)
    said = None if done is None else done.complaint
    if said is not None:
        assert str(path.relative_to(folder).with_suffix("")) in said, said
        follow(folder, said, path)
        if "runs" in path.parts:
            (folder / "finished.log").unlink(missing_ok=True)
    bench.ends_right(folder, commands)
    return said


def half_trained(bench, folder):
    """Kill a run that has a checkpoint and is not done."""
    pid = bench.server.start(folder, *RUN, methods=bench.methods)
    while not list((folder / RUNS).rglob("last.pt")):
        time.sleep(0.005)
    kill(pid)
    bench.server.wait()
    for path in (folder / RUNS).rglob("counts.npz"):
        assert (path.parent / "run.json").exists() or (path.parent / "last.pt").exists()


def follow(folder, said, path):
    """Do what a sentence asks for."""
    step = re.search(r"delete (both|it|\S+)", said)
    assert step, said
    named = {"it": [path], "both": [path.with_suffix(".npz"), path.with_suffix(".json")]}
    for one in named.get(step[1], [folder / step[1].rstrip(";,")]):
        if one.is_dir():
            shutil.rmtree(one)
        else:
            one.unlink()


def killed(bench, folder, rng, longest, most, until=float("inf"), commands=BOTH, **order):
    """The commands are killed at random moments, so often at most, and then left to end; how often that was."""
    kills, order = 0, {"methods": bench.methods, **order}
    for command in commands:
        for _ in range(most):
            pid = bench.server.start(folder, *command, **order)
            last = kills >= most or time.monotonic() > until
            ended = last or waited(pid, float(rng.uniform(0, longest)))
            if not ended:
                kill(pid)
            done = bench.server.wait()
            if done.code >= 0:
                assert done.code == 0, done
                break
            kills += 1
        else:
            assert bench.server.run(folder, *command, **order).code == 0
        forget_times(folder)
    return kills


def waited(pid, seconds):
    """Wait for a process that is not ours; whether it ended in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]:
            return True
        time.sleep(0.02)
    return False


@contextmanager
def small_disk(folder, size):
    """A disk of so many bytes in the place of a folder; yields a function that remounts it with other options.

    Raises:
        PermissionError: Who runs this may not mount.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        if done.returncode:
            raise PermissionError(done.stderr.decode().strip())

    mount(f"size={size}")
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(bench, folder, size):
    """The disk is full in the middle: one sentence, and after a larger one came everything is as it would have been."""
    with small_disk(folder, size) as remount:
        done = bench.settle(folder)
        assert done is not None, f"{size} bytes were enough"
        said = done.complaint
        assert "no space left" in said, said
        remount("size=2G")
        bench.ends_right(folder)
    return said


def read_only(bench, folder):
    """Nothing can be written: one sentence."""
    with small_disk(folder, 2 << 30) as remount:
        shutil.copytree(bench.finished, folder, dirs_exist_ok=True)
        unfinish(folder, "ema")
        remount("ro")
        done = bench.settle(folder, ALONE)
        assert done is not None
        said = done.complaint
        assert "cannot be written" in said, said
        remount("rw")
        bench.ends_right(folder, ALONE)
    return said


def file_limit(bench, folder, size):
    """No file may be larger than so many bytes."""
    folder.mkdir(parents=True)
    done = bench.settle(folder, file_limit=size)
    assert done is not None
    said = done.complaint
    assert "no space left" in said, said
    bench.ends_right(folder)
    return said


def clock(bench, folder):
    """Every look at the clock shows an hour less."""
    bench.copy(folder)
    unfinish(folder, "ema", "rewis3d")
    bench.ends_right(folder, ALONE, clock=True)


def vanishing(bench, folder, stage):
    """A root of data disappears when a stage begins; back again, the same command ends as if nothing had happened."""
    source = bench.finished / "build" / "data" / "miniature-tiny" / "cityscapes"
    root = folder / "data" / "cityscapes"
    shutil.copytree(source, root)
    order = {"data": "real", "methods": ["ema"]}
    command = (*RUN, "--data-root", "data")
    done = bench.server.run(folder, *command, **order, vanish=[stage, str(root)])
    said = done.complaint
    assert str(Path("data") / "cityscapes") in said, said
    Path(f"{root}-gone").rename(root)
    done = bench.server.run(folder, *command, **order)
    assert done.code == 0, done
    (path,) = (folder / SUITE / "runs").rglob("counts.npz")
    (other,) = (bench.finished / RUNS / "scribbles" / "ema").rglob("counts.npz")
    assert unpacked(path) == unpacked(other)
    return said


def unpacked(path):
    """The members of an archive of arrays by name, whatever their order."""
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def two_at_once(bench, folder, other):
    """Two commands on one folder: both end well, and no run is done twice."""
    bench.copy(folder)
    unfinish(folder, "ema", "rewis3d", "full")
    bench.server.start(folder, *RUN, methods=bench.methods)
    other.start(folder, *RUN, methods=bench.methods)
    ends = [server.wait() for server in (bench.server, other)]
    assert [done.code for done in ends] == [0, 0], ends
    told = (folder / "finished.log").read_text().split()
    assert sorted(told) == sorted(set(told)), f"a run was done twice: {told}"
    bench.ends_right(folder, ALONE)


def as_json(value):
    """One line for the log."""
    return json.dumps(value, default=str)

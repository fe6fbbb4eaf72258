"""The suite on a real SLURM cluster of one node: an array, a job that is cancelled, jobs that are requeued."""

import json
import subprocess
import sys
import time
from functools import partial

import pytest
import slurm_cluster
import torch

from wsss.benchmark import run_commands, slurm_queue
from wsss.benchmark.cli import main
from wsss.benchmark.errors import BenchmarkError, UsageError
from wsss.benchmark.options import Slurm
from wsss.benchmark.records import RunFolder
from wsss.benchmark.trainer import Runtime

SELECTION = ("--suite", "smoke", "--dataset", "cityscapes", "--labels", "scribbles")
ON_SLURM = ("--launcher", "slurm", "--device", "cpu", "--cpus", "1", "--hours", "0.5")
PATIENCE = 240
"""Seconds; each task starts a Python with torch on a machine that others use too."""
BRAKED = '''
"""The floor, which stops in the middle of its training for as long as there is a file called brake."""

import time
from pathlib import Path

from wsss.methods.partial import Config, Partial

__all__ = ["Braked", "Config"]


class Braked(Partial):
    """The floor with a brake."""

    title = "Braked"
    paper = "Nobody et al."
    url = "https://example.org"

    def losses(self, batch, progress):
        while progress >= 0.5 and Path("brake").exists():
            time.sleep(0.1)
        return super().losses(batch, progress)
'''


@pytest.fixture(scope="module")
def environment():
    """A cluster, or the reason why there is none."""
    pytest.importorskip("submitit")
    try:
        with slurm_cluster.cluster(cpus=2) as environment:
            yield {**environment, "OMP_NUM_THREADS": "1"}
    except slurm_cluster.CannotStart as reason:
        pytest.skip(str(reason))


class Desk:
    """A folder to work in, from which commands are called as on a cluster's front end."""

    def __init__(self, folder, environment, tiny_miniature):
        self.folder = folder
        self.environment = {**environment, "WSSS_METHODS": str(folder / "mine")}
        (folder / "build/data").mkdir(parents=True)
        (folder / "build/data/miniature-tiny").symlink_to(tiny_miniature.parent)
        (folder / "mine").mkdir()
        (folder / "mine/braked.py").write_text(BRAKED)
        self.suite = folder / "build/results/smoke"

    def wsss(self, *arguments):
        command = [sys.executable, __file__, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, *methods):
        chosen = [part for method in methods for part in ("--method", method)]
        printed = self.wsss("run", *SELECTION, *chosen, *ON_SLURM)
        return printed, sorted(set(slurm_queue.read(self.suite).values()))

    def slurm(self, *command):
        subprocess.run(command, env=self.environment, check=True, capture_output=True)

    def until(self, condition, what):
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < PATIENCE, f"{what}: {self.logs()}"
            time.sleep(0.2)

    def idle(self):
        return not slurm_cluster.ask(self.environment, "squeue", "--noheader")

    def found(self, name):
        return list((self.suite / "runs").rglob(name))

    def braked(self):
        """Whether a run stands in the middle of its training, with a checkpoint of all that is behind it."""
        paths = self.found("last.pt")
        return any(torch.load(path, weights_only=True)["state"]["step"] == 2 for path in paths)

    def logs(self):
        return "\n".join(path.read_text() for path in sorted((self.suite / "slurm").glob("*.out")))


@pytest.fixture
def desk(tmp_path, environment, tiny_miniature):
    yield Desk(tmp_path, environment, tiny_miniature)
    subprocess.run(["scancel", "--me"], env=environment, check=False, capture_output=True)


def test_an_array_executes_every_run_once_and_the_plan_tells_of_it(desk):
    (desk.folder / "brake").touch()
    printed, jobs = desk.submit("partial", "braked")
    assert "2 runs submitted as job " in printed and len(jobs) == 2 and jobs[0].endswith("_0")
    desk.until(lambda: desk.braked() and len(desk.found("run.json")) == 1, "one done, one in the middle")
    printed, again = desk.submit("partial", "braked")
    assert "0 runs submitted; 1 are queued or running already" in printed and set(again) <= set(jobs)
    plan = desk.wsss("plan", *SELECTION)
    assert "1 running" in plan and "1 done" in plan and "step 2/4, pid" in " ".join(plan.split())
    (desk.folder / "brake").unlink()
    desk.until(lambda: len(desk.found("run.json")) == 2 and desk.idle(), "both done")
    assert not desk.found("lock*") and not desk.found("failure.json")
    assert desk.logs().count("is finished\n") == 2
    assert "2 of 2 runs are done" in desk.wsss("run", *SELECTION, "--method", "partial", "--method", "braked")


def test_a_cancelled_job_is_finished_by_the_next_command_from_its_checkpoint(desk):
    (desk.folder / "brake").touch()
    _, (job,) = desk.submit("braked")
    desk.until(desk.braked, "in the middle")
    desk.slurm("scancel", job)
    desk.until(desk.idle, "cancelled")
    assert "1 resumable" in desk.wsss("plan", *SELECTION, "--method", "braked")
    (desk.folder / "brake").unlink()
    printed = desk.wsss("run", *SELECTION, "--method", "braked", "--device", "cpu")
    assert "braked/0 train: 3/4" in printed and "train: 1/4" not in printed, "it did not go on from its checkpoint"
    desk.wsss("run", *SELECTION, "--method", "braked", "--device", "cpu", "--results", "undisturbed")
    one, other = [path.parent for path in sorted(desk.folder.rglob("run.json"))]
    assert RunFolder(one).read_record().scores == RunFolder(other).read_record().scores
    assert (one / "counts.npz").read_bytes() == (other / "counts.npz").read_bytes()


@pytest.mark.parametrize("command", [("scontrol", "requeue"), ("scancel", "--signal=USR2")], ids=["requeued", "warned"])
def test_a_job_that_loses_its_node_goes_on_when_it_is_given_another(desk, command):
    (desk.folder / "brake").touch()
    _, (job,) = desk.submit("braked")
    desk.until(desk.braked, "in the middle")
    desk.slurm(*command, job)
    desk.until(lambda: not desk.found("lock.json") or desk.logs().count("Starting with") > 1, "ended")
    (desk.folder / "brake").unlink()
    desk.until(lambda: desk.found("run.json") and desk.idle(), "done")
    logs = desk.logs()
    assert logs.count("Starting with JobEnvironment") == 2
    assert logs.count("train: 1/4") == 1 and "train: 3/4" in logs, "it did not go on from its checkpoint"
    assert "braked/0 is finished" in logs and not desk.found("failure.json")


def test_without_submitit_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'wsss-benchmark\[slurm\]'"):
        run_commands.slurm.check()


def test_without_slurm_one_sentence_says_so(monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="there is no sbatch on this host"):
        run_commands.slurm.check()


def test_what_slurm_gets_is_what_the_options_say():
    given = run_commands.slurm._parameters(
        Slurm(partition="a,b", account="x", hours=1.5, memory=7.5, parameter=("constraint=a100", "--qos=low")),
        Runtime(devices=2), "paper",
    )  # fmt: skip
    assert given["time"] == 90 and given["mem"] == "7680MB" and given["gpus_per_node"] == 2
    assert given["additional_parameters"] == {"requeue": True, "constraint": "a100", "qos": "low"}
    assert "gpus_per_node" not in run_commands.slurm._parameters(Slurm(), Runtime(device="cpu"), "paper")
    with pytest.raises(UsageError, match="it must be key=value"):
        run_commands.slurm._parameters(Slurm(parameter=("exclusive",)), Runtime(), "paper")


def test_what_was_submitted_is_read_strictly_and_believed_where_nobody_can_be_asked(tmp_path, monkeypatch):
    assert slurm_queue.waiting(tmp_path) == {}
    monkeypatch.setenv("PATH", "")
    slurm_queue.write(tmp_path, {"runs/a": "7_0"})
    assert slurm_queue.waiting(tmp_path) == {"runs/a": "submitted (job 7_0)"}
    for damaged in ("{", "[]", json.dumps(["runs/a"])):
        (tmp_path / "slurm.json").write_text(damaged)
        with pytest.raises(BenchmarkError, match=r"slurm.json cannot be read .* delete it"):
            slurm_queue.waiting(tmp_path)


if __name__ == "__main__":
    run_commands.Runtime = partial(Runtime, checkpoint_seconds=0.0)  # a checkpoint at every chance
    main(sys.argv[1:])

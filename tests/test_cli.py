"""The command line as a user types it, over the smoke suite: help, mistakes, runs, reports, a new method."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest
from fake_results import write_suite

from wsss import methods
from wsss.benchmark import discovery, launch, lock_owner, locks, planning
from wsss.benchmark.cli import COMMANDS, main
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.planning import Filters
from wsss.benchmark.records import RunFolder, read_plan
from wsss.benchmark.suites import suite
from wsss.benchmark.trainer import Runtime
from wsss.benchmark.workplace import Workplace


@pytest.fixture
def desk(tmp_path, monkeypatch, tiny_miniature):
    """An empty folder to work in, with the tiny miniature at hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSSS_DATA", raising=False)
    monkeypatch.delenv("WSSS_METHODS", raising=False)
    (tmp_path / "build" / "data").mkdir(parents=True)
    (tmp_path / "build" / "data" / "miniature-tiny").symlink_to(tiny_miniature.parent)
    return tmp_path


SMOKE = ("--suite", "smoke", "--dataset", "cityscapes")


@pytest.fixture
def wsss(desk, capsys):
    """Run a command and return (exit code, what was printed)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as leaving:
            main(arguments)
        printed = capsys.readouterr()
        return leaving.value.code, printed.out + printed.err

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(wsss, command):
    code, text = wsss(command, "--help")
    assert code == 0 and f"usage: wsss {command}" in text


def test_no_arguments_print_the_help(wsss):
    code, text = wsss()
    assert code == 0 and "usage: wsss" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runn",), "unknown command 'runn': did you mean `wsss run`"),
        (("run", "--suite", "quik"), "unknown suite 'quik': did you mean 'quick'"),
        (("run", "--suite", "smoke", "--method", "emma"), "unknown method 'emma': did you mean 'ema'"),
        (("run", "--suite", "smoke", "--dataset", "cityscape"), "'cityscape': did you mean 'cityscapes'"),
        (("run", "--suite", "smoke", "--dataset", "camvid"), "suite smoke has no camvid"),
        (("run", "--suite", "smoke", "--labels", "point"), "unknown kind of label 'point': did you mean 'points'"),
        (("plan", "--suite", "smoke", "--method", "emma"), "unknown method 'emma': did you mean 'ema'"),
        (("run", "--suite", "camvid"), "--data-root or WSSS_DATA"),
        (("run", "--suite", "smoke", "--data-root", "x"), "suite smoke is made of miniature data"),
        (("train", "emma"), "unknown method 'emma': did you mean 'ema'"),
        (("train", "ema", "--dataset", "cityscape", "--labels", "points", "--train.steps", "1", "--train.crop", "8",
          "8"), "unknown dataset 'cityscape'"),
        (("train", "ema", "--dataset", "cityscapes", "--labels", "full"), "labels full are for methods with dense"),
        (("data", "cityscape"), "unknown dataset 'cityscape'"),
        (("data", "camvid", "--miniature"), "unknown miniature 'camvid'"),
        (("run", "--suit", "smoke"), "--suite"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_the_next_step_and_exit_code_2(wsss, arguments, message):
    code, text = wsss(*arguments)
    assert code == 2 and message in text.replace("\n", " ") and "Traceback" not in text


def test_missing_real_data_is_exit_code_3_and_shows_the_tree(wsss, tmp_path):
    code, text = wsss("run", "--suite", "camvid", "--data-root", str(tmp_path))
    assert code == 3 and "camvid does not exist. Get the data from https://" in text
    code, text = wsss("data", "cityscapes", "--data-root", str(tmp_path))
    assert code == 3 and "leftImg8bit" in text


def test_data_shows_what_is_whole_and_names_what_is_not(wsss, tmp_path, tiny_miniature):
    shutil.copytree(tiny_miniature, tmp_path / "real" / "cityscapes")
    code, text = wsss("data", "cityscapes", "--data-root", str(tmp_path / "real"))
    assert code == 0 and "train: 8 labelled images in 8 scenes, all readable" in text
    victim = next((tmp_path / "real" / "cityscapes" / "gtFine" / "val").rglob("*_labelIds.png"))
    victim.write_bytes(victim.read_bytes()[:40])
    code, text = wsss("data", "cityscapes", "--data-root", str(tmp_path / "real"))
    assert code == 3 and victim.name in text.replace("\n", "")


def test_data_checks_the_geometry(wsss, tmp_path, tiny_miniature):
    root = tmp_path / "real" / "cityscapes"
    shutil.copytree(tiny_miniature, root)
    code, text = wsss("data", "cityscapes", "--check", "--data-root", str(tmp_path / "real"))
    assert code == 0 and "consecutive sweeps coincide" in text and "WRONG" not in text
    for path in root.rglob("*_vehicle.json"):
        path.write_text(path.read_text().replace('"speed": ', '"speed": 9'))
    code, text = wsss("data", "cityscapes", "--check", "--data-root", str(tmp_path / "real"))
    assert code == 3 and "WRONG" in text


def test_data_draws_a_frame(wsss, tmp_path, tiny_miniature):
    shutil.copytree(tiny_miniature, tmp_path / "real" / "cityscapes")
    arguments = ("data", "cityscapes", "--show", "--data-root", str(tmp_path / "real"))
    code, text = wsss(*arguments)
    (picture,) = (tmp_path / "build/shown").glob("cityscapes-*.png")
    assert code == 0 and picture.name in text and picture.stat().st_size > 20_000
    video = sorted(path.name for path in (tmp_path / "real").rglob("leftImg8bit_sequence/*/*/*.png"))[0]
    id = video.removesuffix("_leftImg8bit.png")
    assert wsss(*arguments, "--frame", id)[0] == 0
    assert (tmp_path / f"build/shown/cityscapes-{id}.png").is_file(), "an unlabelled frame can be drawn too"
    code, text = wsss(*arguments, "--frame", id[:-1] + "x")
    assert code == 2 and "did you mean" in text


def test_list_names_everything_and_shows_a_broken_method_as_broken(wsss, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "broken_one.py").write_text("def (:\n")
    monkeypatch.setenv("WSSS_METHODS", str(folder))
    code, text = wsss("list")
    assert code == 0 and "broken_one" in text and "(broken:" in text
    for kind in ("methods", "datasets"):
        assert all(name in text for name in discovery.names(kind))
    forget("broken_one")


MY_METHOD = '''
"""Twice the floor's loss: a method in one file."""

from wsss.methods.partial import Config, Partial

__all__ = ["Config", "Mine"]


class Mine(Partial):
    """The floor, shouted."""

    title = "Mine & <co>"
    paper = "Nobody et al."
    url = "https://example.org"

    def losses(self, batch, progress):
        return {name: 2 * value for name, value in super().losses(batch, progress).items()}
'''


def forget(name):
    """Leave no trace of an out-of-tree method for other tests."""
    sys.modules.pop(f"wsss.methods.{name}", None)
    methods.__path__[:] = methods.__path__[:1]


def test_a_file_dropped_into_a_folder_is_listed_trained_and_in_the_table(wsss, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_method.py").write_text(MY_METHOD)
    monkeypatch.setenv("WSSS_METHODS", str(folder))
    try:
        assert "my_method" in wsss("list")[1]
        assert "usage: wsss train my_method" in wsss("train", "my_method", "--help")[1]
        code, text = wsss("run", *SMOKE, "--labels", "scribbles", "--method", "my_method", "--method", "partial")
        assert code == 0 and "cityscapes/scribbles/my_method/0: mIoU student" in text
        code, text = wsss("report", "--suite", "smoke")
        assert code == 0 and "Mine" in text
        table = (tmp_path / "build/results/smoke/tables/main.md").read_text()
        row = next(line for line in table.splitlines() if "Mine" in line)
        assert any(character.isdigit() for character in row)
    finally:
        forget("my_method")


def test_run_plan_report_and_rerun(wsss, tmp_path):
    code, text = wsss("plan", *SMOKE)
    rows = [line for line in text.splitlines() if line.split()[:1] == ["cityscapes"]]
    methods = {name for row in rows for name in row.split() if name in discovery.names("methods")}
    assert code == 0 and methods == set(discovery.names("methods"))
    assert f"{sum('to run' in row for row in rows)} to run" in text
    code, text = wsss("run", *SMOKE, "--labels", "scribbles", "--method", "ema")
    assert code == 0 and "mIoU student" in text and "teacher" in text
    first = (tmp_path / "build/results/smoke/plan.json").read_bytes()
    code, text = wsss("run", *SMOKE, "--labels", "scribbles", "--method", "ema")
    assert code == 0 and "1 of 1 runs are done" in text
    assert (tmp_path / "build/results/smoke/plan.json").read_bytes() == first
    code, text = wsss("plan", *SMOKE, "--method", "ema", "--labels", "scribbles")
    assert "1 done" in text
    assert wsss("report", "--suite", "smoke")[0] == 0
    assert (tmp_path / "build/results/smoke/index.html").stat().st_size > 10_000
    assert wsss("report", "--suite", "smoke", "--check")[0] == 0
    (tmp_path / "build/results/smoke/tables/main.md").write_text("tampered")
    code, text = wsss("report", "--suite", "smoke", "--check")
    assert code == 1 and "main.md is not what" in text
    code, text = wsss("list", "--labels")
    assert "derived" in text


def test_report_needs_neither_torch_nor_opencv(tmp_path):
    write_suite(tmp_path / "fake", seeds=(0,), samples=False)
    script = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision', 'cv2', 'embreex', 'lightning_fabric'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from wsss.benchmark.cli import main\n"
        "main(['report', '--suite', 'fake', '--results', '.'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "page: fake/index.html" in done.stdout


def test_train_takes_settings_of_method_training_and_network(wsss, tmp_path, monkeypatch):
    shutil.copytree(tmp_path / "build/data/miniature-tiny", tmp_path / "real")
    code, text = wsss(
        "train", "ema", "--dataset", "cityscapes", "--labels", "points", "--data-root", str(tmp_path / "real"),
        "--method.momentum", "0.5", "--train.steps", "2", "--train.crop", "32", "32", "--network.encoder", "resnet18",
        "--network.weights", "none", "--seed", "3",
    )  # fmt: skip
    assert code == 0 and "cityscapes/points/ema/3: mIoU" in text
    (run,) = (tmp_path / "build/results/custom-real/runs").rglob("run.json")
    spec = RunFolder(run.parent).read_record().spec
    assert spec.config["momentum"] == 0.5 and spec.train.steps == 2 and spec.network.encoder == "resnet18"
    assert [cell.seed for cell in read_plan(tmp_path / "build/results/custom-real").cells if cell.folder] == [3]


def test_a_failed_run_is_told_kept_and_tried_again(wsss, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    source = MY_METHOD.replace("2 * value", "value * float('nan')")
    (folder / "my_failure.py").write_text(source)
    monkeypatch.setenv("WSSS_METHODS", str(folder))
    arguments = ("run", *SMOKE, "--labels", "scribbles", "--method", "my_failure", "--method", "partial")
    try:
        code, text = wsss(*arguments)
        assert code == 1
        assert "cityscapes/scribbles/my_failure/0: FAILED: loss term supervised is not finite at step 0" in text
        assert "cityscapes/scribbles/partial/0: mIoU" in text
        (failure,) = (tmp_path / "build").rglob("failure.json")
        assert "Traceback" in json.loads(failure.read_text())["traceback"]
        assert "1 failed" in wsss("plan", *arguments[1:])[1]
        assert wsss("report", "--suite", "smoke")[0] == 0
        assert "not finite" in (tmp_path / "build/results/smoke/index.html").read_text()
        assert wsss(*arguments)[0] == 1, "a failure is retried, never cached"
    finally:
        forget("my_failure")


def test_interrupt_keeps_finished_runs_and_says_so(wsss, tmp_path, monkeypatch):
    from wsss.benchmark import launch

    real = launch.execute

    def interrupted(run, *rest):
        if run.cell.method == "ema":
            raise KeyboardInterrupt
        return real(run, *rest)

    monkeypatch.setattr(launch, "execute", interrupted)
    chosen = ("--labels", "scribbles", "--method", "partial", "--method", "ema", "--method", "full")
    code, text = wsss("run", *SMOKE, *chosen, "--jobs", "1")
    assert code == 130 and "goes on from the last checkpoint" in text
    assert len(list((tmp_path / "build").rglob("run.json"))) == 1
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "1 of 3 runs are done" in wsss("run", *SMOKE, *chosen)[1]


def test_two_jobs_give_what_one_gives(wsss, tmp_path):
    for jobs in ("1", "2"):
        code, _ = wsss(
            "run", *SMOKE, "--labels", "points", "--method", "ema", "--method", "partial", "--method", "full",
            "--jobs", jobs, "--results", f"out{jobs}",
        )  # fmt: skip
        assert code == 0
    runs = sorted(path.parent.relative_to(tmp_path / "out1") for path in (tmp_path / "out1").rglob("run.json"))
    assert len(runs) == 3
    for run in runs:
        one, two = (RunFolder(tmp_path / f"out{jobs}" / run) for jobs in (1, 2))
        assert one.read_record().scores == two.read_record().scores


def test_two_commands_side_by_side_share_the_work(desk):
    chosen = ("--labels", "scribbles", "--method", "partial", "--method", "tel", "--method", "full", "--jobs", "1")
    script = "import sys; from wsss.benchmark.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", script, "run", *SMOKE, *chosen]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    lines = [
        line for text in printed for line in text.splitlines() if "mIoU" in line and "executed elsewhere" not in line
    ]
    assert sorted(line.split()[1] for line in lines) == [
        "cityscapes/full/full/0:", "cityscapes/scribbles/partial/0:", "cityscapes/scribbles/tel/0:",
    ], printed  # fmt: skip
    assert len(list(desk.rglob("run.json"))) == 3
    assert not list(desk.rglob("lock*.json")) and not list(desk.rglob("failure.json"))


PARTIAL = (*SMOKE, "--labels", "scribbles", "--method", "partial")


@pytest.fixture
def unfinished(wsss, desk, monkeypatch):
    """The folder of a run whose record was put aside, so that it can be put back."""
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.1)
    assert wsss("run", *PARTIAL)[0] == 0
    (record,) = desk.rglob("run.json")
    record.rename(desk / "aside.json")
    return record.parent


def test_a_run_that_another_process_holds_is_left_out_and_told(wsss, desk, unfinished):
    with locks.held(unfinished):
        code, text = wsss("run", *PARTIAL)
        owner = f"pid {os.getpid()} on host"
        assert code == 0 and f"1 run is executed elsewhere: cityscapes/scribbles/partial/0 by {owner}" in text
        text = wsss("plan", *PARTIAL)[1]
        assert "1 running" in text and "evaluation," in text
        (desk / "aside.json").rename(unfinished / "run.json")
    code, text = wsss("run", *PARTIAL)
    assert code == 0 and "1 of 1 runs are done" in text and "next: wsss report --suite smoke  (makes" in text
    assert wsss("report", "--suite", "smoke")[0] == 0
    assert "page: build/results/smoke/index.html" in wsss("run", *PARTIAL)[1]


def test_the_plan_is_watched_until_nothing_is_left(wsss, desk, unfinished):
    with locks.held(unfinished):
        timer = threading.Timer(1.0, (desk / "aside.json").rename, [unfinished / "run.json"])
        timer.start()
        code, text = wsss("plan", *PARTIAL, "--watch", "--every", "0.2")
        timer.join()
    assert code == 0 and "1 done" in text
    assert wsss("plan", *PARTIAL, "--watch", "--every", "0")[0] == 2


def test_a_second_command_waits_while_the_first_makes_data(desk, monkeypatch):
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.1)
    waited = []
    with ExitStack() as first:
        first.enter_context(Workplace().making(suite("smoke").kind, ["nyuv2", "cityscapes"], lambda name, owner: None))

        def tell(name, owner):
            waited.append((name, owner.pid))
            first.close()  # the first command is done

        with Workplace().making(suite("smoke").kind, ["cityscapes", "waymo"], tell):
            assert {path.parent.name for path in desk.rglob("lock.json")} == {
                "miniature-tiny-cityscapes", "miniature-tiny-waymo",
            }  # fmt: skip
    assert waited == [("cityscapes", os.getpid())]
    assert not list(desk.rglob("lock.json"))


def test_a_run_taken_over_by_another_process_ends_without_a_word_in_its_folder(desk, monkeypatch):
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.05)
    workplace, chosen = Workplace(), Filters(method=("partial",), dataset=("cityscapes",), labels=("scribbles",))
    planned = planning.plan(suite("smoke"), workplace, chosen, lambda *news: None)
    (run,) = [run for run in planned if chosen.match(run.cell) and run.cell.labels == "scribbles"]
    assert run.cell.folder is not None
    folder = workplace.results / "smoke" / run.cell.folder
    other = lock_owner.to_bytes(lock_owner.here())

    def usurp(stage, done, total, note):
        (folder / "lock.json").write_bytes(other)
        time.sleep(0.2)

    with pytest.raises(BenchmarkError, match="was taken over while this process was suspended"):
        launch.execute_alone(run, workplace.results, Runtime(device="cpu"), usurp, "")
    assert (folder / "lock.json").read_bytes() == other, "it released a lock that is not its own"
    assert not (folder / "failure.json").exists() and not (folder / "run.json").exists()


def test_a_killed_worker_costs_its_own_run_alone(wsss, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    killer = MY_METHOD.replace(
        "        return {", "        __import__('os').kill(__import__('os').getpid(), 9)\n        return {"
    )
    (folder / "my_killer.py").write_text(killer)
    monkeypatch.setenv("WSSS_METHODS", str(folder))
    try:
        arguments = (
            "run",
            *SMOKE,
            "--labels",
            "scribbles",
            "--method",
            "my_killer",
            "--method",
            "partial",
            "--jobs",
            "2",
        )
        code, text = wsss(*arguments)
        assert code == 1 and "my_killer/0: FAILED: a process was killed, as one is that is out of memory" in text
    finally:
        forget("my_killer")


def test_gpus_are_dealt_out_in_turn(monkeypatch):
    assert launch.gpus_of("cpu") == []
    assert [launch.share_of(["3", "5"], job, 1) for job in range(3)] == ["3", "5", "3"]
    assert launch.share_of(["0"], 1, 2) == "0"


def test_results_of_another_protocol_are_refused(wsss, tmp_path):
    assert wsss("run", *SMOKE, "--labels", "scribbles", "--method", "partial")[0] == 0
    plan = tmp_path / "build/results/smoke/plan.json"
    plan.write_text(json.dumps({**json.loads(plan.read_text()), "protocol": 99}))
    for command in (("run", *SMOKE), ("report", "--suite", "smoke")):
        code, text = wsss(*command)
        assert code == 1 and "protocol 99, this version reads 1" in text

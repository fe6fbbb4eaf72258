"""Locks between real processes: one winner of a race, nobody stands in for the living, everybody for the dead."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from wsss.benchmark import lock_owner, locks
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.locks import Held, TakenOver, Watch, held, in_turn, owner_of, watch

FAST = 0.05
"""Seconds between two signs of life in these tests; the holder is silent after ten times that."""


def hurry():
    locks.BEAT_SECONDS, locks.SILENT_SECONDS = FAST, 10 * FAST


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(locks, "BEAT_SECONDS", FAST)
    monkeypatch.setattr(locks, "SILENT_SECONDS", 10 * FAST)


def work(mode, folder, *rest):
    """What a process of these tests does; it says so line by line, and does the next thing when it reads a line."""
    hurry()
    folder = Path(folder)
    if mode == "hold":
        with held(folder) as lock:
            print("held", flush=True)
            sys.stdin.readline()
            try:
                lock.check()
                print("still held", flush=True)
            except TakenOver as error:
                print(error, flush=True)
    elif mode == "race":
        print("ready", flush=True)
        for line in sys.stdin:
            contend(folder / line.strip(), line.strip())
    elif mode == "count":
        for _ in range(int(rest[0])):
            with in_turn(folder / "lock", lambda owner: None):
                number = int((folder / "number").read_text())
                (folder / "number").write_text(str(number + 1))


def contend(folder, line):
    """Try once to hold a folder; who does keeps it until told that all have tried."""
    owner = owner_of(folder)
    try:
        with held(folder, owner if owner is not None and not owner.pid else None):
            print("won", flush=True)
            assert sys.stdin.readline().strip() == f"{line} over"
    except Held:
        print("lost", flush=True)
        assert sys.stdin.readline().strip() == f"{line} over"


def start(mode, *arguments):
    command = [sys.executable, __file__, mode, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def hear(process):
    """The next line that a process says."""
    assert process.stdout is not None
    return process.stdout.readline()


def holder_of(folder):
    """The process id of who holds a folder that is held."""
    owner = owner_of(folder)
    assert owner is not None
    return owner.pid


def say(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()


@pytest.fixture
def holder(tmp_path):
    """A process that holds a folder."""
    process = start("hold", tmp_path)
    assert hear(process) == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def eight():
    """Eight processes that try what they are told, all at once."""
    with ExitStack() as stack, pytest.MonkeyPatch.context():
        processes = [start("race", sys.argv[0]) for _ in range(8)]
        for process in processes:
            stack.callback(process.communicate)
            stack.callback(process.kill)
        for process in processes:
            assert hear(process) == "ready\n"
        yield processes


def race(processes, folder):
    """What each of the processes says of an attempt on a folder."""
    for process in processes:
        say(process, str(folder))
    said = [hear(process).strip() for process in processes]
    for process in processes:
        say(process, f"{folder} over")
    return said


def put(folder, owner):
    """A lock that somebody left behind."""
    folder.mkdir(exist_ok=True)
    (folder / "lock.json").write_bytes(lock_owner.to_bytes(owner))


def dead(**fields):
    """An owner on this machine whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return replace(lock_owner.here(), pid=process.pid, **fields)


def test_one_of_eight_wins_and_leaves_nothing_behind(tmp_path, eight):
    for attempt in range(60):
        folder = tmp_path / str(attempt)
        assert sorted(race(eight, folder)) == ["lost"] * 7 + ["won"]
        until(lambda folder=folder: not list(folder.iterdir()))


def test_one_of_eight_takes_over_from_the_dead(tmp_path, eight):
    owner = dead()
    for attempt in range(60):
        folder = tmp_path / str(attempt)
        put(folder, replace(owner, token=f"{attempt:032x}"))
        assert sorted(race(eight, folder)) == ["lost"] * 7 + ["won"]
        until(lambda folder=folder: not list(folder.iterdir()))


def test_one_of_eight_takes_over_from_a_taker_that_died_half_way(tmp_path, eight):
    owner = dead()
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        put(folder, replace(owner, token="0" * 32))
        claim = lock_owner.to_bytes(replace(owner, token="1" * 32))
        (folder / f"lock-{'0' * 32}.json").write_bytes(claim)
        (folder / f"lock-{'1' * 32}.tmp").write_bytes(claim)
        assert sorted(race(eight, folder)) == ["lost"] * 7 + ["won"]
        until(lambda folder=folder: not list(folder.iterdir()))


def until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to be")


def test_nobody_is_in_the_middle_of_what_another_does(tmp_path):
    (tmp_path / "number").write_text("0")
    processes = [start("count", tmp_path, 10) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    for process in processes:
        process.communicate()
    assert (tmp_path / "number").read_text() == "40"


def test_the_holder_is_named(tmp_path, holder):
    with pytest.raises(Held, match=f"in the hands of pid {holder.pid} on host ") as error, held(tmp_path):
        pass
    assert error.value.owner.pid == holder.pid
    import pickle  # as a process pool does with what its workers raise

    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_a_killed_holder_is_followed_at_once_even_before_anybody_asked_how_it_ended(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(locks, "SILENT_SECONDS", 1e9)
    holder.send_signal(signal.SIGKILL)
    until(lambda: Path(f"/proc/{holder.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    with held(tmp_path):
        assert holder_of(tmp_path) == os.getpid()
    assert not list(tmp_path.iterdir())


def test_a_process_id_that_came_again_is_not_the_holder(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SILENT_SECONDS", 1e9)
    put(tmp_path, replace(lock_owner.here(), began="1"))
    with held(tmp_path):
        pass


def test_a_suspended_holder_is_silent_and_finds_that_it_was_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    (found,) = watch([tmp_path])
    assert found.silent and not found.alive and found.owner == owner_of(tmp_path)
    with held(tmp_path, found.owner) as ours:
        holder.send_signal(signal.SIGCONT)
        say(holder, "go on")
        time.sleep(3 * FAST)
        assert "was taken over while this process was suspended" in hear(holder)
        assert holder.wait(10) == 0
        ours.check()
        assert holder_of(tmp_path) == os.getpid(), "it removed a lock that is not its own"


def test_a_living_holder_is_seen_to_be_alive_and_keeps_its_lock(tmp_path, holder):
    folders = [tmp_path, tmp_path / "free"]
    busy, free = watch(folders)
    assert busy.alive and not busy.silent and free.owner is None
    time.sleep(12 * FAST)
    with pytest.raises(Held), held(tmp_path, busy.owner):  # what was seen once is no judgement on a later beat
        pass
    say(holder, "go on")
    assert hear(holder) == "still held\n"


def test_a_holder_on_another_host_is_given_up_by_our_own_clock_alone(tmp_path, monkeypatch):
    put(tmp_path, replace(dead(), machine="another", host="far", beat=7))
    os.utime(tmp_path / "lock.json", (4e9, 4e9))  # a clock that is a century ahead
    with pytest.raises(Held, match="on host far"), held(tmp_path):
        pass
    waited = []
    with in_turn(tmp_path, waited.append):
        pass
    assert [owner.host for owner in waited] == ["far"]


def test_a_looker_that_was_away_counts_anew(tmp_path, monkeypatch):
    put(tmp_path, replace(lock_owner.here(), machine="another"))
    view, now = Watch(tmp_path), itertools.count(0.0, 0.4)  # longer between two looks than a quarter of the limit
    monkeypatch.setattr(locks.time, "monotonic", lambda: next(now))
    for _ in range(9):
        view.look()
        assert not view.silent
    steady = itertools.count(100.0, 0.1)
    monkeypatch.setattr(locks.time, "monotonic", lambda: next(steady))
    for _ in range(7):
        view.look()
    assert view.silent


@pytest.mark.parametrize("content", [b"", b"{", b'{"beat":     ', b"[]", b'{"token": "../../x"}', b"\xff" * 40])
def test_a_damaged_lock_holds_until_it_is_silent(tmp_path, content):
    (tmp_path / "lock.json").write_bytes(content)
    with pytest.raises(Held, match="damaged lock"), held(tmp_path):
        pass
    with in_turn(tmp_path, lambda owner: None):
        pass
    assert not list(tmp_path.iterdir())


def test_a_token_cannot_lead_out_of_the_folder(tmp_path):
    put(tmp_path / "a", replace(lock_owner.here(), token="x/../../b"))
    assert holder_of(tmp_path / "a") == 0


def test_eight_processes_want_a_damaged_lock(tmp_path, eight):
    for attempt in range(10):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        (folder / "lock.json").write_bytes(b"{")
        assert race(eight, folder).count("won") == 1
        until(lambda folder=folder: not list(folder.iterdir()))


def test_a_lock_whose_folder_vanished_is_lost(tmp_path):
    with held(tmp_path / "run") as lock:
        (tmp_path / "run/lock.json").unlink()
        until(lambda: lock._lost)
        with pytest.raises(TakenOver):
            lock.check()


def test_signs_of_life_never_bring_a_lock_back(tmp_path):
    with held(tmp_path):
        until(lambda: json.loads((tmp_path / "lock.json").read_bytes())["beat"] >= 3)
    time.sleep(3 * FAST)
    assert not list(tmp_path.iterdir())


def test_without_hard_links_a_lock_holds_as_well(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    with held(tmp_path), pytest.raises(Held), held(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BenchmarkError, match=r"lock.json cannot be written \(.*\); .*--results"),
        held(tmp_path / "file/x"),
    ):
        pass


if __name__ == "__main__":
    work(*sys.argv[1:])

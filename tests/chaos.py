"""A hostile day, `nox -s chaos`: kills at random moments, full and read-only disks, truncated files, jumping clocks.

`--kills` and `--minutes` bound it: when the time is over no more is killed, and what was killed so far has to come out
right all the same. Every line is JSON; the exit code is 1 if anything came out otherwise than it must.
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import hostile_cases as cases
import numpy as np
from hostile_day import Server, contents, desk

MOST = 12
"""Kills of one pass over data, labels, points, training, evaluation and report, which is then left to end."""


def undisturbed(server, folder):
    """One pass without any disturbance."""
    began = time.monotonic()
    desk(folder)
    bench = cases.Bench(server, folder, {})
    done = bench.settle(folder)
    assert done is None, done
    print(cases.as_json({"undisturbed": round(time.monotonic() - began, 1)}), flush=True)
    return cases.Bench(server, folder, contents(folder)), time.monotonic() - began


def kill_often(bench, folder, kills, seed, seconds, until):
    """Passes that are killed at random moments; how many kills there were.

    The longest wait before a kill is half of an undisturbed pass, so that most stages are begun and not ended; from
    pass to pass data and points are made by one process or by two.
    """
    done = passes = 0
    while done < kills and time.monotonic() < until:
        desk(folder)
        rng = np.random.default_rng([seed, passes])
        order = {"makers": 1 + passes % 2}
        most = min(MOST, kills - done)
        found = cases.killed(bench, folder, rng, seconds / 2, most, until, **order)
        done, passes = done + found, passes + 1
        bench.ends_right(folder, **order)
        print(cases.as_json({"pass": passes, "kills": found, "in all": done}), flush=True)
    return done


def every_case(bench, other):
    """The other disturbances by name."""
    found = {f"truncated {what}": partial(cases.truncated, bench, what=what) for what in cases.TRUNCATED}
    total = sum(path.stat().st_size for path in (bench.finished / "build").rglob("*") if path.is_file())
    for share in (0.1, 0.5, 0.9):
        found[f"disk full at {share:.0%}"] = partial(cases.full_disk, bench, size=int(total * share))
    found["no large files"] = partial(cases.file_limit, bench, size=40_000)
    found["read-only"] = partial(cases.read_only, bench)
    found["clock"] = partial(cases.clock, bench)
    for stage in ("labels", "train", "evaluate"):
        found[f"no data at {stage}"] = partial(cases.vanishing, bench, stage=stage)
    found["two at once"] = partial(cases.two_at_once, bench, other=other)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=9.0, help="of killing; the other cases take about four")
    parser.add_argument("--only", action="append", help="cases whose name begins so; may be repeated")
    chosen = parser.parse_args()
    wrong = []
    server, other = Server(), Server()
    with tempfile.TemporaryDirectory() as place:
        bench, seconds = undisturbed(server, Path(place) / "undisturbed")
        until = time.monotonic() + 60 * chosen.minutes
        kills = kill_often(bench, Path(place) / "killed", chosen.kills, chosen.seed, seconds, until)
        for name, case in every_case(bench, other).items():
            if chosen.only and not name.startswith(tuple(chosen.only)):
                continue
            began = time.monotonic()
            try:
                said = case(folder=Path(place) / name.replace(" ", "-"))
                line = {"case": name, "said": said}
            except PermissionError as error:
                line = {"case": name, "skipped": f"no disk can be mounted here: {error}"}
            except AssertionError as error:
                wrong.append(name)
                line = {"case": name, "WRONG": str(error)[:4000]}
            print(cases.as_json({**line, "seconds": round(time.monotonic() - began, 1)}), flush=True)
    server.close()
    other.close()
    print(cases.as_json({"kills": kills, "wrong": wrong}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

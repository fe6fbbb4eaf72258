"""A fingerprint names everything that can change a score, and nothing else."""

import dataclasses
import subprocess
import sys
import typing
from dataclasses import replace
from pathlib import Path

import pytest
from toy import spec

from wsss.benchmark import UsageError
from wsss.benchmark.spec import PointsConfig, RunSpec, TrainConfig, canonical, fingerprint, from_plain, to_plain

DIGESTS = {"labels": "a", "train": "b", "evaluate": "c", "weights": "d"}


def leaves(value, path=()):
    """Every field of a dataclass, however deep."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), (*path, field.name))
    else:
        yield path, value


def changed(value, path):
    name, *rest = path
    old = getattr(value, name)
    if rest:
        return replace(value, **{name: changed(old, rest)})
    if isinstance(old, bool):
        new = not old
    elif isinstance(old, int):
        new = old + 1
    elif isinstance(old, float):
        new = 1.25 * old or 1.0
    elif isinstance(old, tuple):
        new = (*old[:-1], old[-1] + 1)
    elif isinstance(old, dict):
        new = {**old, "other": 1}
    elif old is None:
        new = PointsConfig() if name == "points" else (8, 8)
    else:
        legal = typing.get_args(typing.get_type_hints(type(value))[name])  # of a Literal
        new = next((other for other in legal if other != old), f"other {old}")
    return replace(value, **{name: new})


@pytest.mark.parametrize("path", [path for path, _ in leaves(spec())], ids=".".join)
def test_every_field_of_a_run_is_in_its_fingerprint(path):
    assert fingerprint(changed(spec(), path), DIGESTS, 1) != fingerprint(spec(), DIGESTS, 1)


@pytest.mark.parametrize("path", [path for path, _ in leaves(PointsConfig())], ids=".".join)
def test_every_setting_of_points_is_in_the_fingerprint(path):
    given = spec(points=PointsConfig())
    assert fingerprint(changed(given, ("points", *path)), DIGESTS, 1) != fingerprint(given, DIGESTS, 1)


def test_a_record_from_before_there_were_points_is_read_and_keeps_its_fingerprint():
    plain = to_plain(spec())
    del plain["points"]
    assert from_plain(RunSpec, plain) == spec()
    assert fingerprint(spec(), DIGESTS, 1) == "bde59a92"
    given = spec(points=PointsConfig(geometry="truth", settings={"noise": 0.1}))
    assert from_plain(RunSpec, to_plain(given)) == given


def test_digests_and_the_method_version_are_in_the_fingerprint():
    first = fingerprint(spec(), DIGESTS, 1)
    assert first != fingerprint(spec(), DIGESTS, 2)
    for name in DIGESTS:
        assert first != fingerprint(spec(), {**DIGESTS, name: "z"}, 1)
    assert first == fingerprint(spec(), dict(reversed(DIGESTS.items())), 1)


def test_fingerprint_does_not_hang_on_the_hash_seed():
    script = (
        "import sys; sys.path.insert(0, 'tests'); import test_spec as t; print(t.fingerprint(t.spec(), t.DIGESTS, 1))"
    )
    prints = {
        subprocess.run(
            [sys.executable, "-P", "-c", script], env={"PYTHONHASHSEED": seed, "PATH": ""}, check=True,
            capture_output=True, text=True, cwd=Path(__file__).parents[1],
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert prints == {fingerprint(spec(), DIGESTS, 1) + "\n"}


def test_plain_round_trip_is_exact_and_strict():
    given = spec(config={"momentum": 0.5})
    assert from_plain(RunSpec, to_plain(given)) == given
    plain = to_plain(given)
    with pytest.raises(UsageError, match=r"RunSpec\.train: unknown field 'stepz'; known are batch"):
        from_plain(RunSpec, {**plain, "train": {**plain["train"], "stepz": 1}})
    del plain["seed"]
    with pytest.raises(UsageError, match="RunSpec: field 'seed' is missing"):
        from_plain(RunSpec, plain)


def test_canonical_text_refuses_what_json_cannot_say():
    with pytest.raises(ValueError):
        canonical({"x": float("nan")})


@pytest.mark.parametrize(
    "bad", [{"steps": 0}, {"batch": 0}, {"crop": (0, 8)}, {"scale": (0.0, 1.0)}, {"scale": (2.0, 1.0)}]
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(UsageError, match="TrainConfig"):
        TrainConfig(**{"steps": 1, "crop": (8, 8), **bad})

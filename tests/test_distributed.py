"""Two processes do what one does with the joined batch; whatever ends one of them ends the run with one error."""

import multiprocessing
from dataclasses import replace

import failing
import numpy as np
import pytest
import several
import torch
from several import CASES, KILLED_AT, everything, losses, names, prepare, scored, trained

from wsss.benchmark import DatasetError, UsageError, discovery, distributed, planning
from wsss.benchmark.devices import check_devices
from wsss.benchmark.evaluate import rows_of_rank
from wsss.benchmark.loader import Steps
from wsss.benchmark.planning import Filters
from wsss.benchmark.processes import ProcessDied, on_each
from wsss.benchmark.records import RunFolder
from wsss.benchmark.runner import execute
from wsss.benchmark.suites import SMOKE
from wsss.benchmark.trainer import Runtime
from wsss.benchmark.workplace import Workplace

LOSS = 1e-5
"""Relative difference of a loss: two parts are rounded in another way than their sum."""
LATER = 2e-3
"""The same after some steps: single pixels, of which a teacher is just sure enough, may have changed sides."""
GRADIENT = 1e-4
"""Relative to the largest entry of a parameter's gradient."""
WEIGHT = 1e-3
"""Mean difference of all weights, as a share of what the same steps moved them by. AdamW divides every gradient by its
own size, so that where it is all but zero its rounding decides on the step's direction."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("several")
    prepare(made)
    trained("ema", made, "one-then-two", stop=True)
    return made


@pytest.fixture(scope="module")
def together(folder):
    """What two processes found, and what they told."""
    told = []
    found = on_each(2, everything, (folder,), told.append)
    assert told == names()
    return found


@pytest.fixture(scope="module")
def alone(folder):
    """The state and the curve of a method trained in this process, once for all tests."""
    known = {}

    def of(name):
        if name not in known:
            known[name] = trained(name, folder, f"one-{name}")
        return known[name]

    return of


def assert_close(found, expected, share):
    """Equal keys, and values that differ by no more than a share of the largest; next to nothing is nothing."""
    assert found.keys() == expected.keys()
    nothing = 1e-3 * max(np.abs(value).max(initial=0) for value in expected.values())
    for key, value in expected.items():
        most = share * np.abs(value).max(initial=max(nothing, 1e-6))
        assert np.abs(found[key] - value).max(initial=0) <= most, f"{key}: {np.abs(found[key] - value).max()} > {most}"


def assert_same_training(found, expected, start):
    """The losses of every step, and the weights as far as the optimiser lets them be compared."""
    (state, curve), (other, theirs) = found, expected
    assert curve.keys() == theirs.keys()
    for term, values in theirs.items():
        np.testing.assert_allclose(curve[term], values, rtol=LATER, atol=1e-6, err_msg=term)
    moved = sum(np.abs(value - start[key]).sum() for key, value in other.items())
    apart = sum(np.abs(value - state[key]).sum() for key, value in other.items())
    assert apart <= WEIGHT * moved, f"{apart / moved:.2%} of the way"


@pytest.mark.parametrize("name", names())
def test_losses_and_gradients_are_those_of_the_joined_batch(together, name):
    for which in CASES:
        (terms, gradients), (expected, theirs) = together[f"losses {name} {which}"], losses(name, which)
        assert_close(terms, expected, LOSS)
        assert_close(gradients, theirs, GRADIENT)


@pytest.mark.parametrize("name", discovery.names("methods"))
def test_trained_networks_are_those_of_one_process(together, alone, name, folder):
    start = several.initial(name, folder)
    assert_same_training(together[f"trained {name}"], alone(name), start)
    assert together["same"], "every process holds the same weights"


@pytest.mark.parametrize("empty", [False, True])
def test_a_network_of_points_sees_the_joined_batch_even_where_a_process_has_no_point(together, empty):
    assert_close(together[f"cloud {empty}"], several.cloud(empty), GRADIENT)


@pytest.mark.parametrize("name", several.ENCODERS)
def test_batch_normalisation_sees_the_joined_batch(together, name):
    assert_close(together[f"pixels {name}"], several.pixels(several.ENCODERS[name]), GRADIENT)


def test_a_run_resumes_with_another_number_of_processes(together, alone, folder):
    start = several.initial("ema", folder)
    state, curve = alone("ema")
    later = {term: values[KILLED_AT - 1 :] for term, values in curve.items()}
    assert_same_training(together["goes on"], (state, later), start)
    assert_same_training(trained("ema", folder, "two-then-one"), (state, later), start)


def test_counts_are_exactly_those_of_one_process(together, folder):
    (counts, kept, _), (expected, theirs, _) = together["scored"], scored(folder)
    assert (counts.image_ids, counts.scene_ids) == (expected.image_ids, expected.scene_ids)
    assert counts.depth_source == expected.depth_source == "sensor"
    for name, table in expected.tables.items():
        assert np.array_equal(counts.tables[name], table) and table[..., 0].sum() < table[..., 2].sum()
        assert counts.measures[name].keys() == expected.measures[name].keys()
        for measure, array in expected.measures[name].items():
            assert np.array_equal(counts.measures[name][measure], array), measure
    assert {"views", "ranges"} <= expected.measures["a"].keys()
    assert kept.keys() == theirs.keys() and all(np.array_equal(kept[key], theirs[key]) for key in theirs)
    assert [len(told) for told in together["told"]] == [2, 2], "no image is scored twice"


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_every_image_is_one_ranks_and_scenes_stay_whole(ranks):
    scenes = ["a"] * 5 + ["b"] * 3 + ["a"] + ["c"] * 2
    shares = [rows_of_rank(scenes, rank, ranks) for rank in range(ranks)]
    assert sorted(row for share in shares for row in share) == list(range(len(scenes)))
    for one, share in enumerate(shares):
        others = {scenes[row] for other, rows in enumerate(shares) if other != one for row in rows}
        assert not others & {scenes[row] for row in share}


def test_batches_of_all_ranks_are_that_of_one_process(monkeypatch):
    whole = list(Steps(5, several.CONFIG, 0, 0))
    monkeypatch.setattr(distributed, "world", lambda: 2)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(list(Steps(5, several.CONFIG, 0, 0)))
    assert [a + b for a, b in zip(*parts, strict=True)] == whole


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"devices": 3, "device": "cpu"},
            "batch of 4 images cannot be shared equally by 3 devices: choose --devices",
        ),
        ({"devices": 0}, "--devices must be positive, not 0"),
        ({"compile": True, "checkpointing": True}, "--compile and --checkpointing exclude each other"),
        ({"devices": 2, "device": "mps"}, "--devices 2 needs --device cpu or cuda"),
        ({"devices": 64, "device": "cuda"}, "--devices 64: this machine shows"),
    ],
)
def test_what_cannot_be_shared_is_said_before_anything_starts(changes, text):
    with pytest.raises(UsageError, match=text):
        check_devices(Runtime(**changes), 4)


def test_alone_nothing_is_asked_of_anybody():
    x = torch.tensor(3.0, requires_grad=True)
    assert (distributed.rank(), distributed.world(), distributed.gathered(x)) == (0, 1, [x])
    assert distributed.total_of(x) is x and distributed.sum_of(x) is x and distributed.mean_of(x) is x
    assert distributed.mean_over(x, torch.tensor(0)) == 3 and distributed.part(4) == range(4)


def test_one_failure_ends_all_with_its_own_error():
    with pytest.raises(DatasetError, match="picture 7 is damaged") as caught:
        on_each(2, failing.raises, (), lambda: None)
    assert "failing.py" in str(caught.value.__cause__), "where it happened"
    assert not multiprocessing.active_children()


def test_a_killed_process_ends_all_with_the_next_step():
    with pytest.raises(ProcessDied, match=r"process 1 of the run's 2 ended with exit code -9.*run the same command"):
        on_each(2, failing.dies, (), lambda: None)
    assert not multiprocessing.active_children()


def test_a_whole_run_on_two_devices_goes_on_where_one_was_stopped(tmp_path, tiny_miniature):
    place = Workplace(results=tmp_path / "results", work=tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "miniature-tiny").symlink_to(tiny_miniature.parent)
    chosen = Filters(method=("ema",), dataset=("cityscapes",), labels=("scribbles",))
    (run,) = (run for run in planning.plan(SMOKE, place, chosen, lambda *news: None) if chosen.match(run.cell))
    folder, runtime = run.folder(place.results), Runtime(device="cpu", checkpoint_seconds=0.0)
    assert folder is not None

    def interrupt(stage, done, total, note):
        if (stage, done) == ("train", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run, place.results, runtime, interrupt, "wsss ...")
    assert folder.checkpoint.is_file() and not folder.finished
    news = []
    record = execute(run, place.results, replace(runtime, devices=2), lambda *told: news.append(told), "wsss ...")
    assert folder.finished and folder.read_record() == record
    assert record.provenance["execution"]["devices"] == 2
    assert {stage for stage, *_ in news} == {"train", "evaluate", "finish"} and ("train", 1) not in {
        one[:2] for one in news
    }
    counts = RunFolder(folder.path).read_counts()
    assert len(counts.image_ids) == len(set(counts.image_ids)) and (counts.tables["student"].sum((1, 2)) > 0).all()
    assert len(list(folder.samples.glob("*.png"))) == 3
    assert not multiprocessing.active_children()

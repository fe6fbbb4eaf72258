"""A hostile day in short (`nox -s chaos` is the long one), and that nothing gets in by a file or a name."""

import html.parser
import json
import os
import pickle
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from corruption import Planted
from fake_results import write_suite
from hostile_cases import ALONE, Bench, finished_once, killed, read_only, truncated, vanishing, waited
from hostile_day import Server, contents, desk
from test_records import record
from toy import Toy, spec, toy
from toy_clouds import Scattered, driven

from wsss.benchmark import BenchmarkError, DatasetError, Frame, Scene, UsageError, discovery
from wsss.benchmark.atomic import new_folder, replacing, tidy, write_text
from wsss.benchmark.dataset import DatasetMissing
from wsss.benchmark.geometry import placement, stored
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.names import is_safe
from wsss.benchmark.networks import image_network
from wsss.benchmark.records import RunFolder, read_plan
from wsss.benchmark.report.build import build
from wsss.benchmark.report.gallery import _read as read_gallery
from wsss.benchmark.report.page_scenes import _read as read_scene
from wsss.benchmark.report.standing import STAMP
from wsss.benchmark.spec import NetworkConfig
from wsss.benchmark.supervision import Supervision
from wsss.datasets import _index, _matlab5, miniature
from wsss.datasets._nyuv2_mat import LabelledFrames
from wsss.datasets._waymo_v2 import Parquet

LONG, WIDE = "x" * 300, "é" * 150
NAMES = (
    "../x",
    "..",
    ".",
    "/etc/passwd",
    "a/b",
    "a\0b",
    "a\nb",
    "a b",
    "",
    ".hidden",
    LONG,
    "é" * 150,
    "a\u202eb",
    "<b>",
)
"""What is no name of a file of ours."""


# Kills, disks and damage --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory, tiny_miniature):
    """A finished suite, and a server that runs commands; it is started once, because it takes seconds."""
    server = Server()
    folder = desk(tmp_path_factory.mktemp("hostile") / "undisturbed", tiny_miniature.parent)
    done = Bench(server, folder, {}, ("ema",)).settle(folder)
    assert done is None, done
    yield Bench(server, folder, contents(folder), ("ema",))
    server.close()


def test_kills_at_random_moments_lose_and_double_nothing(bench, tmp_path, tiny_miniature):
    desk(tmp_path / "desk", tiny_miniature.parent)
    assert killed(bench, tmp_path / "desk", np.random.default_rng(0), longest=3.0, most=2, commands=ALONE)
    reported = ("index.html", "tables/", "figures/", STAMP)
    right = {name: value for name, value in bench.right.items() if not any(part in name for part in reported)}
    assert contents(tmp_path / "desk") == right
    assert len(finished_once(tmp_path / "desk")) == 1


@pytest.mark.parametrize("what", ["checkpoint", "counts", "plan", "sample", "shared sample"])
def test_a_truncated_file_is_made_again_or_named_with_the_next_step(bench, tmp_path, what):
    truncated(bench, tmp_path / "desk", what)


def test_a_root_of_data_that_disappears_is_named(bench, tmp_path):
    vanishing(bench, tmp_path / "desk", "train")


def test_read_only_results_are_one_sentence(bench, tmp_path):
    try:
        read_only(bench, tmp_path / "desk")
    except PermissionError as error:
        pytest.skip(f"no disk can be mounted here: {error}")


def test_damage_to_any_file_of_a_dataset_is_told_or_changes_a_value():
    """A sample of `python tests/corruption.py`; in a process of its own, as a crash would end this one."""
    command = [sys.executable, str(Path(__file__).parent / "corruption.py"), "--number", "48", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])["counts"]
    assert sum(counts.values()) == 48 and counts["told"] > 15


def test_what_a_killed_writer_left_is_taken_over(tmp_path):
    (tmp_path / ".x.json.part").write_text("half")
    write_text(tmp_path / "x.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"] and (tmp_path / "x.json").read_text() == "new"


def test_two_writers_of_one_file_wait_for_each_other(tmp_path):
    code = "import sys; from pathlib import Path; from wsss.benchmark.atomic import write_text\n"
    code += "for _ in range(60): write_text(Path(sys.argv[1]), sys.argv[2] * 50_000)"
    path = tmp_path / "x.txt"
    command = [sys.executable, "-c", code, str(path)]
    writers = [subprocess.Popen([*command, letter], stderr=subprocess.PIPE, text=True) for letter in "ab"]
    while any(writer.poll() is None for writer in writers):
        found = set(path.read_text()) if path.exists() else {"a"}
        assert len(found) == 1, "a reader saw two writers' text"
    assert [writer.communicate()[1] for writer in writers] == ["", ""]
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_folders_of_killed_makers_are_tidied_and_those_in_use_are_not(tmp_path):
    code = "import os, signal, sys; from pathlib import Path; from wsss.benchmark.atomic import new_folder\n"
    code += "with new_folder(Path(sys.argv[1]), '.making-') as path:\n"
    code += "    (path / 'half').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    assert done.returncode == -signal.SIGKILL and (left / "half").exists()
    with new_folder(tmp_path, ".making-") as ours:
        tidy(tmp_path, ".making-")
        assert list(tmp_path.iterdir()) == [ours]
        ours.rename(tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


POOL = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from wsss.benchmark.orphans import end_with_parent

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent) as pool:
        pool.submit(abs, 1).result()
        print(*pool._processes, flush=True)
        time.sleep(600)
"""


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    (tmp_path / "pool.py").write_text(POOL)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "pool.py")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert not waited(worker, 0.1)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert waited(worker, 60)


def test_a_miniature_whose_removal_was_killed_is_built_anew(tmp_path):
    wanted = {"version": 1, "dataset": "cityscapes", "size": "tiny", "seed": 0}
    root, aside = tmp_path / "cityscapes", tmp_path / ".cityscapes.removed"
    for folder in (root, aside):
        folder.mkdir()
        (folder / "half.png").write_text("x")
    (root / ".miniature").write_text('{"version":')
    assert not miniature._stands(root, wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["cityscapes"]
    assert [path.name for path in root.iterdir()] == [".miniature"]


def test_a_file_in_the_place_of_a_folder_is_one_sentence(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(BenchmarkError, match=r"results/x.json cannot be written \(.*--results"), \
            replacing(tmp_path / "results" / "x.json"):  # fmt: skip
        raise AssertionError("it cannot come to this")


# No pickle is read --------------------------------------------------------------------------------------------------


@pytest.fixture
def marker(tmp_path):
    """What a pickle makes that is executed; no reader may."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists(), "a pickle was executed"


def plant(path, marker, form):
    """Put a pickle in the place of a file: alone, or inside an array or an archive of arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.array([Planted(str(marker))], object)
    with path.open("wb") as file:
        if form == "npz":
            np.savez(file, image_ids=values, scene_ids=values, xyz=values, image=values)
        elif form == "npy":
            np.save(file, values, allow_pickle=True)
        else:
            pickle.dump(values[0], file)
    return path


def test_the_planted_pickle_works(tmp_path):
    path = plant(tmp_path / "x.pkl", tmp_path / "executed", "pickle")
    pickle.loads(path.read_bytes())
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("form", ["pickle", "npz", "npy"])
@pytest.mark.parametrize("reader", ["counts", "gallery", "scene", "record", "plan"])
def test_results_hold_no_pickles(tmp_path, marker, form, reader):
    name = {"counts": "counts.npz", "record": "run.json", "plan": "plan.json"}.get(reader, "town-sensor.npz")
    path = plant(tmp_path / "s" / name, marker, form)
    path.with_suffix(".json").write_text('{"metric": true}') if name.startswith("town") else None
    read = {
        "counts": lambda: RunFolder(path.parent).read_counts(),
        "record": lambda: RunFolder(path.parent).read_record(),
        "plan": lambda: read_plan(path.parent),
        "gallery": lambda: read_gallery(path, "sensor"),
        "scene": lambda: read_scene(path),
    }
    with pytest.raises(BenchmarkError, match=name) as raised:
        read[reader]()
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("form", ["pickle", "npz", "npy"])
def test_weights_by_path_hold_no_pickles(tmp_path, marker, form):
    path = plant(tmp_path / "weights.pt", marker, form)
    with pytest.raises(UsageError, match=r"weights\.pt: not a readable state dict"):
        image_network(NetworkConfig(architecture="FPN", encoder="resnet18", weights=str(path)), 3, 0)


@pytest.mark.parametrize("form", ["pickle", "npz", "npy"])
def test_what_is_kept_is_made_again_and_never_unpickled(tmp_path, marker, form, monkeypatch):
    """Index, poses, points and their labels: what can be made again needs no sentence where it is found damaged."""
    monkeypatch.setattr(_index, "FOLDER", tmp_path / "index")
    make = lambda: {"a": np.arange(3)}  # noqa: E731
    _index.cached("toy", [], make)
    (kept,) = _index.FOLDER.iterdir()
    plant(kept, marker, form)
    assert _index.cached("toy", [], make)["a"].tolist() == [0, 1, 2]
    assert placement._read(plant(tmp_path / "poses.npz", marker, form)) is None
    clouds = Clouds(driven(tmp_path), Scattered(), tmp_path / "clouds")
    scene = clouds.dataset.scenes("train")[0]
    clouds.prepare([scene])
    for name in ("xyz.npy", "manifest.json"):
        plant(clouds.place(scene) / name, marker, form)
        assert [one.made for one in clouds.prepare([scene])] == [True]
    assert stored.read_labels(plant(tmp_path / "labels.npy", marker, form), 1) is None


@pytest.mark.parametrize("form", ["pickle", "npy"])
def test_points_of_the_right_size_are_not_unpickled_either(tmp_path, marker, form):
    clouds = Clouds(driven(tmp_path), Scattered(), tmp_path / "clouds")
    scene = clouds.dataset.scenes("train")[0]
    clouds.prepare([scene])
    path = clouds.place(scene) / "xyz.npy"
    size = path.stat().st_size
    plant(path, marker, form)
    os.truncate(path, size)
    with pytest.raises(BenchmarkError, match=r"is damaged \(.*`wsss points` makes it again"):
        clouds.open(scene)


@pytest.mark.parametrize("form", ["pickle", "npz", "npy"])
def test_files_of_datasets_are_not_unpickled(tmp_path, marker, form):
    path = plant(tmp_path / "x.mat", marker, form)
    with pytest.raises(ValueError, match="not a MATLAB file"):
        _matlab5.read(path)
    with pytest.raises(DatasetError, match=r"x\.mat"):
        LabelledFrames(path)
    place = plant(tmp_path / "training" / "camera_segmentation" / "1_2_3.parquet", marker, form)
    with pytest.raises(DatasetError, match=place.name):
        Parquet().index(tmp_path / "training")


@pytest.mark.parametrize("form", ["pickle", "npz", "npy"])
def test_cached_labels_are_not_unpickled(tmp_path, marker, form):
    supervision = Supervision(toy(tmp_path), "scribbles", 0, tmp_path / "labels")
    supervision.prepare()
    _, frame = next(supervision.dataset.labelled("train"))
    plant(supervision.folder / f"{frame.id}.png", marker, form)
    with pytest.raises(DatasetError, match=f"{frame.id}.png is missing or damaged; delete"):
        supervision.read(frame)


# No name leaves its folder ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_none(name):
    assert not is_safe(name)


@pytest.mark.parametrize("name", ["ema", "waymo", "0-1a2b3c4d", "ulm_000000_000019", "Été-2", "0001TP_006690"])
def test_names_that_are_some(name):
    assert is_safe(name)


class Named(Toy):
    """Its first frame has an id that a file on disk suggested."""

    id = ""

    def scenes(self, split):
        good = super().scenes(split)
        frame = Frame(id=self.id, image=good[0].frames[0].image, labelled=True)
        return [Scene(id=f"{self.id}{split}", frames=(frame, *good[0].frames[1:])), *good[1:]]


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_cannot_leave_the_folder_of_labels(tmp_path, name):
    (tmp_path / "root").mkdir()
    dataset = type("Bad", (Named,), {"id": name, "__module__": Toy.__module__})(tmp_path / "root")
    with pytest.raises(DatasetError, match="cannot be a file's name") as raised:
        Supervision(dataset, "scribbles", 0, tmp_path / "labels").prepare()
    assert len(str(raised.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


@pytest.mark.parametrize("name", NAMES)
def test_a_scene_cannot_leave_the_folder_of_points(tmp_path, name):
    clouds = Clouds(driven(tmp_path), Scattered(), tmp_path / "clouds")
    scene = Scene(id=name, frames=clouds.dataset.scenes("train")[0].frames)
    place = clouds.place(scene)
    assert place.parent == clouds.folder and len(place.name.encode()) < 200 and "\0" not in place.name
    (result,) = clouds.prepare([scene])
    assert result.made and place.is_dir()


@pytest.mark.parametrize(
    "name", [name for name in NAMES if 0 < len(name) < 150 and name[0] != "." and not {"/", "\0"} & set(name)]
)
def test_a_method_cannot_have_a_name_that_no_folder_can(tmp_path, monkeypatch, name):
    (tmp_path / f"{name}.py").write_text('"""A method."""\n')
    package = import_module("wsss.methods")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    with pytest.raises(UsageError, match="cannot be a name; use letters") as raised:
        discovery.names("methods")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"\0", b"\xff\xfe", b"(" * 10_000, None])
def test_a_module_that_cannot_be_read_does_not_hide_the_others(tmp_path, monkeypatch, content):
    path = tmp_path / "unreadable.py"
    path.symlink_to("nowhere") if content is None else path.write_bytes(content)
    package = import_module("wsss.methods")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    assert {"unreadable", "ema"} <= set(discovery.names("methods"))
    assert discovery.summary("methods", "unreadable").startswith("(broken: ")


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a\nb", "..", "a/b"])
@pytest.mark.parametrize("field", ["dataset", "method", "folder", "datasets", "methods"])
def test_a_plan_cannot_lead_out_of_its_folder(tmp_path, name, field):
    folder = write_suite(tmp_path / "s", seeds=(0,), datasets=("town",), samples=False, measured=False)
    plan = json.loads((folder / "plan.json").read_text())
    if field in ("datasets", "methods"):
        plan[field][name] = next(iter(plan[field].values()))
    else:
        plan["cells"][0][field] = name
    (folder / "plan.json").write_text(json.dumps(plan))
    if (field, name) == ("folder", "a/b"):
        read_plan(folder)
        return
    with pytest.raises(BenchmarkError, match=r"plan\.json: .* cannot be a name; delete the file") as raised:
        read_plan(folder)
    assert len(str(raised.value).splitlines()) == 1


READ = """
import json, sys
from pathlib import Path
from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.records import RunFolder

folder = RunFolder(Path(sys.argv[1]))
plain = json.loads((folder.path / "run.json").read_text())
for field in ("spec", "scores", "seconds", "digests", "suite", "provenance", "started"):
    for value in ([], "x", 3, None, {"a": 1}):
        (folder.path / "run.json").write_text(json.dumps({**plain, field: value}))
        try:
            folder.read_record()
        except BenchmarkError as error:
            print(json.dumps([field, value, str(error)]))
        else:
            print(json.dumps([field, value, None]))
"""


def test_a_record_of_another_shape_is_one_sentence(tmp_path):
    """In a process where nothing checks types but we."""
    folder = RunFolder(tmp_path)
    folder.finish(record(spec=spec()))
    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    fine = [["provenance", {"a": 1}], ["seconds", {"a": 1}], ["started", "x"], ["suite", "x"]]
    assert sorted(line[:2] for line in lines if line[2] is None) == sorted(fine) and len(lines) == 35
    assert all("run.json" in said and len(said.splitlines()) == 1 for _, _, said in lines if said)


def test_missing_data_are_told_in_another_process_too(tmp_path):
    error = DatasetMissing(Toy, tmp_path / "gone")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# The page shows and does not do -------------------------------------------------------------------------------------

EVIL = "</script><img src=x onerror=alert(1)><script>alert(2)</script>\"' $\\frac{ &amp; {{ 7*7 }} \u202e"


class Elements(html.parser.HTMLParser):
    """Counts what would be executed."""

    def __init__(self):
        super().__init__()
        self.scripts, self.strange = 0, []

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.strange += [value for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]
        self.strange += [value for name, value in attrs if name == "src" and value == "x"]


def elements(page):
    found = Elements()
    found.feed(page)
    return found


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # titles so long leave no room for axes
def test_the_page_escapes_all_that_it_shows(tmp_path):
    folder = write_suite(tmp_path / "s", seeds=(0, 1), datasets=("town",), samples=False, measured=False)
    build(folder)
    benign = elements((folder / "index.html").read_text("utf-8"))
    plan = json.loads((folder / "plan.json").read_text())
    plan["title"] = EVIL
    for place, about in enumerate([*plan["methods"].values(), *plan["datasets"].values()]):
        for name in {"title", "paper"} & set(about):
            about[name] = f"{place}{EVIL}"
        about |= {"url": "javascript:alert(1)"} if "url" in about else {}
        if "classes" in about:
            about["classes"] = [f"{name}{EVIL}" for name in about["classes"]]
    (folder / "plan.json").write_text(json.dumps(plan))
    for path in folder.rglob("run.json"):
        record = json.loads(path.read_text())
        record |= {"command": EVIL, "started": EVIL, "provenance": {EVIL: EVIL}}
        record["labels"] |= {"source": EVIL}
        path.write_text(json.dumps(record))
    for path in folder.rglob("failure.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "error": EVIL, "traceback": EVIL}))
    build(folder)
    for path in (folder / "index.html", *folder.glob("tables/*.html")):
        found = elements(path.read_text("utf-8"))
        assert not found.strange, path.name
        assert "<img src=x" not in path.read_text("utf-8") and "<script>alert" not in path.read_text("utf-8")
    assert elements((folder / "index.html").read_text("utf-8")).scripts == benign.scripts

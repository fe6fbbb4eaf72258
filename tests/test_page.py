"""The page of an invented suite: what it holds, that nothing in it can do harm, and that it works in a browser."""

import base64
import io
import json
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_results import CLASSES, DATASETS, METHODS, SIZE, write_suite
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wsss.benchmark.errors import BenchmarkError
from wsss.benchmark.report import embedded, page_curves, page_frames, page_scenes
from wsss.benchmark.report.build import all_tables
from wsss.benchmark.report.page import Picture, page
from wsss.benchmark.report.results import Results

HOSTILE = "</script><img src=x onerror=alert(2)>"
"""Name of a class; a method of the invented suite is called as badly."""
VOID = {"meta", "img", "input", "br", "link"}
POINTS = 600


def write_points(folder, name, *, camera=True, seed=0):
    """A street in the axes of the network, seen by a camera that looks along x from (-5, 1, 1.5)."""
    rng = np.random.default_rng(seed)
    xyz = np.stack([rng.uniform(-4, 30, POINTS), rng.uniform(-6, 6, POINTS), rng.uniform(0, 4, POINTS)], -1)
    pose = np.eye(4, dtype=np.float32)
    pose[:3, :3] = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # x right, y down, z ahead in a world with z up
    pose[:3, 3] = (-5, 1, 1.5)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "xyz": xyz.astype(np.float16),
        "rgb": rng.integers(0, 256, (POINTS, 3), np.uint8),
        "label": rng.choice(np.array([0, 1, 2, 255], np.uint8), POINTS),
        "weak": rng.choice(np.array([0, 255], np.uint8), POINTS),
        "confidence": rng.random(POINTS).astype(np.float16),
        "image": rng.integers(0, 256, (40, 60, 3), np.uint8),
        "camera": pose if camera else np.full((4, 4), np.nan, np.float32),
    }
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    dataset, _, provider = name.partition("-")
    facts = {
        "dataset": dataset, "provider": provider, "settings": {}, "digest": "0123456789abcdef",
        "metric": True, "scene": "s00", "frame": "s00_1", "points": POINTS,
        "scenes": 8, "frames": 8, "coverage": 0.31, "points_per_frame": 4000.0, "against": "truth", "compared": 3000,
        "within_5": 0.87, "abs_rel": 0.03, "auroc": None,
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(facts))
    return arrays


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_suite(tmp_path_factory.mktemp("page") / "fake")
    plan = json.loads((folder / "plan.json").read_text())
    for about in plan["datasets"].values():
        about["classes"][2] = HOSTILE
    (folder / "plan.json").write_text(json.dumps(plan))
    for number, name in enumerate(("town-plane_sweep", "town-sensor", "room-plane_sweep")):
        write_points(folder / "points", name, seed=number)
    return folder


@pytest.fixture(scope="module")
def results(suite: Path) -> Results:
    return Results(suite)


def figures():
    buffer = io.BytesIO()
    Image.new("RGB", (500, 200), "white").save(buffer, format="PNG")
    names = {"summary": "Mean IoU", "curves-town": "Loss terms: Town", "curves-room": "Loss terms: Room"}
    return [Picture(name=n, title=t, caption="<b>", files={"png": buffer.getvalue()}) for n, t in names.items()]


@pytest.fixture(scope="module")
def text(results: Results) -> str:
    return page(results, all_tables(results, None), figures())


class Elements(HTMLParser):
    """Every element with its attributes, and the text of scripts; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at line {self.getpos()[0]} closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def elements(text: str) -> Elements:
    return Elements(text)


def stored(elements, name):
    """What a script of the page reads."""
    places = [attributes for tag, attributes in elements.found if tag == "script"]
    return json.loads(elements.scripts[[place.get("id") for place in places].index(name)])


def test_ids_are_unique_and_every_link_leads_somewhere(elements):
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = [a["href"][1:] for tag, a in elements.found if tag == "a" and a["href"].startswith("#")]
    assert set(inner) <= set(ids) and {"results", "predictions", "reconstruction", "training", "provenance"} <= set(
        inner
    )


def test_nothing_is_loaded_from_anywhere(text, elements):
    for tag, attributes in elements.found:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert attributes.get("src", "data:").startswith("data:image/png;base64,") or "src" not in attributes
    assert not re.search(r"@import|url\(|https?:", text[text.index("<style>") : text.index("</style>")])
    (policy,) = [a["content"] for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_policy_names_exactly_the_scripts_that_run(elements):
    (policy,) = [a["content"] for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"]
    kinds = [a["type"] for tag, a in elements.found if tag == "script"]
    running = [script for kind, script in zip(kinds, elements.scripts, strict=True) if kind == "module"]
    assert set(kinds) == {"module", "application/json"} and len(running) == 5
    assert re.findall(r"'sha256-[^']+'", policy) == [embedded.script_hash(script) for script in running]


def test_names_that_are_markup_stay_text(text, elements):
    assert "onerror" not in {name for _, attributes in elements.found for name in attributes}
    assert METHODS["script"][0] not in text and HOSTILE not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    shown = stored(elements, "frames")[0]
    assert shown["classes"][2] == HOSTILE
    assert METHODS["script"][0] in [title for title, _ in shown["frames"][0]["predictions"]]


def test_every_block_says_which_data_it_is_of(elements):
    number = sum(tag == "figure" for tag, _ in elements.found)
    badges = [a for _, a in elements.found if (a.get("class") or "").startswith("data ")]
    assert len(badges) == number + 1  # and the provenance
    assert {badge["class"] for badge in badges} == {"data miniature"}


def test_without_scripts_there_are_tables_and_pictures(elements):
    tags = [tag for tag, _ in elements.found]
    assert tags.count("img") - 1 == len(figures()) and tags.count("table") >= 5  # one more picture waits for its script
    waiting = [a for _, a in elements.found if "interactive" in (a.get("class") or "")]
    assert len(waiting) == 3 and all("hidden" in a for a in waiting)
    assert not any("folded" in (a.get("class") or "") for _, a in elements.found)


def test_the_same_results_give_the_same_bytes_and_few(suite, text):
    fresh = Results(suite)
    assert page(fresh, all_tables(fresh, None), figures()) == text
    assert len(text.encode()) < 6_000_000


def test_a_suite_without_anything_has_a_page_without_scripts_for_it(tmp_path):
    folder = write_suite(tmp_path / "empty", samples=False)
    shutil.rmtree(folder / "runs")
    results = Results(folder)
    found = Elements(page(results, all_tables(results, None), []))
    assert not [a for _, a in found.found if "interactive" in (a.get("class") or "")]
    assert [a["id"] for tag, a in found.found if tag == "script" and "id" in a] == ["vocabulary"]


def test_seconds_are_those_of_training_and_evaluation(text, results):
    (run,) = [
        run
        for run in results.dataset_runs("town")
        if (run.cell.method, run.cell.labels, run.cell.seed) == ("ema", "points", 1)
    ]
    assert run.record.seconds["train"] + run.record.seconds["evaluate"] == pytest.approx(36.75)
    assert re.search(r">town/points/ema/1</th>.*?data-value=\"36.750\">37</td>", text)


# What the scripts read


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 700)), max_size=8))
def test_run_lengths_give_the_ids_back(runs):
    ids = np.repeat(np.array([i for i, _ in runs], np.uint8), [n for _, n in runs]).reshape(1, -1)
    pairs = np.frombuffer(embedded.run_lengths(ids), np.uint8).reshape(-1, 2)
    assert np.array_equal(np.repeat(pairs[:, 0], pairs[:, 1].astype(int) + 1), ids[0])


def expand(text, shape):
    pairs = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, 2)
    return np.repeat(pairs[:, 0], pairs[:, 1].astype(int) + 1).reshape(shape)


def test_frames_hold_what_is_stored(results, suite):
    town = page_frames.frames(results)[0]
    assert (town["title"], town["labels"], len(town["frames"])) == ("Town", "scribbles", 3)
    frame = town["frames"][1]
    assert (frame["height"], frame["width"]) == SIZE
    truth = np.asarray(Image.open(suite / "samples/town/frame-1/truth.png"))
    assert np.array_equal(expand(frame["truth"], SIZE), truth)
    assert [title for title, _ in frame["predictions"]] == [METHODS[n][0] for n in ("partial", "ema", "script", "full")]
    (run,) = [
        r
        for r in results.dataset_runs("town")
        if (r.cell.method, r.cell.labels, r.cell.seed) == ("ema", "scribbles", 0)
    ]
    predicted = np.asarray(Image.open(run.folder / "samples/frame-1.png"))
    assert np.array_equal(expand(dict(frame["predictions"])["EMA"], SIZE), predicted)
    image = Image.open(io.BytesIO(base64.b64decode(frame["image"])))
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(suite / "samples/town/frame-1/image.png")))


def test_frames_shrink_until_they_fit(results, monkeypatch):
    monkeypatch.setattr(page_frames, "WIDEST", 80)
    monkeypatch.setattr(page_frames, "NARROWEST", 20)
    whole = page_frames.frames(results)[0]["frames"][0]
    monkeypatch.setattr(page_frames, "BUDGET", 30_000)
    frame = page_frames.frames(results)[0]["frames"][0]
    assert whole["width"] == 80 and 20 <= frame["width"] < 80
    ids = expand(frame["truth"], (frame["height"], frame["width"]))
    assert set(np.unique(ids)) <= {0, 1, 2, 3, 4, 255}  # no class appears by averaging


def test_figures_are_reduced_until_they_fit():
    rng = np.random.default_rng(0)
    noise = embedded.png(Image.fromarray(rng.integers(0, 256, (200, 600, 3), np.uint8)))
    plain = embedded.png(Image.new("RGB", (100, 50), "red"))
    assert embedded.fitting([noise, plain], 10_000_000) == [(noise, 600, 200), (plain, 100, 50)]
    found = embedded.fitting([noise, plain], 60_000)
    assert sum(len(data) for data, _, _ in found) <= 60_000
    for data, width, height in found:
        assert Image.open(io.BytesIO(data)).size == (width, height)
    assert found[1][1:] == (100, 50) and found[0][1] < 600


def columns(cloud):
    xyz = np.frombuffer(base64.b64decode(cloud["xyz"]), "<i2").reshape(-1, 3) * cloud["unit"]
    return xyz, np.frombuffer(base64.b64decode(cloud["rgb"]), np.uint8).reshape(-1, 3)


def test_points_are_seen_from_the_camera(results, suite):
    town, room = page_scenes.scenes(results)
    assert [cloud["title"] for cloud in town["clouds"]] == ["Plane sweep", "Range sensor"] and len(room["clouds"]) == 1
    with np.load(suite / "points/town-plane_sweep.npz") as arrays:
        x, y, z = arrays["xyz"].astype(np.float64).T
        xyz, rgb = columns(town["clouds"][0])
        # The camera looks along x, so what is ahead is x, and what is right is -y.
        assert np.allclose(xyz, np.stack([1 - y, x + 5, z - 1.5], -1), atol=2e-3)
        assert np.array_equal(rgb, arrays["rgb"]) and town["clouds"][0]["camera"]
    assert town["clouds"][0]["facts"] == "31 % of the pixels, 87 % within 5 % of the true depth, over 8 training scenes"


def test_points_without_a_camera_are_seen_from_their_middle(tmp_path):
    folder = write_suite(tmp_path / "fake", datasets=("town",), samples=False)
    write_points(folder / "points", "town-plane_sweep", camera=False)
    write_points(folder / "points", "village-plane_sweep")  # of no dataset of this suite
    (folder / "points/town-plane_sweep.json").unlink()
    (town,) = page_scenes.scenes(Results(folder))
    (cloud,) = town["clouds"]
    assert not cloud["camera"] and cloud["facts"] == ""
    assert np.abs(np.median(columns(cloud)[0], axis=0)).max() < 0.01


def test_points_are_thinned_to_their_budget(results, monkeypatch):
    monkeypatch.setattr(page_scenes, "BUDGET", 3 * 100 * page_scenes.POINT)
    assert [c["points"] for s in page_scenes.scenes(results) for c in s["clouds"]] == [100, 100, 100]


def test_damaged_points_are_named(tmp_path):
    folder = write_suite(tmp_path / "fake", datasets=("town",), samples=False)
    results, path = Results(folder), folder / "points/town-sensor.npz"
    arrays = write_points(folder / "points", "town-sensor")
    np.savez(path, **{**arrays, "label": arrays["label"][1:]})
    with pytest.raises(BenchmarkError, match=r"town-sensor\.npz: label .* delete it and rerun"):
        page_scenes.scenes(results)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BenchmarkError, match=r"town-sensor\.npz: not a file of points"):
        page_scenes.scenes(results)
    write_points(folder / "points", "town-sensor")
    path.with_suffix(".json").write_text("[")
    with pytest.raises(BenchmarkError, match=r"town-sensor\.json: cannot be read"):
        page_scenes.scenes(results)


def test_curves_are_means_with_their_range(results):
    (first, *_) = found = page_curves.curves(results)
    assert [one["title"] for one in found] == ["Town, scribbles", "Town, points", "Room, scribbles", "Room, points"]
    assert first["terms"][0]["name"] == "total"
    line = first["terms"][0]["lines"][0]
    known = [place for place, value in enumerate(line["mean"]) if value is not None]
    assert len(line["mean"]) == len(page_curves.progress()) and len(known) > 90 and line["seeds"] == 3
    assert all(line["low"][p] <= line["mean"][p] <= line["high"][p] for p in known)


def test_values_cannot_end_their_element():
    text = embedded.values({"<": "</script><!--&"})
    assert not set("<>&") & set(text) and json.loads(text) == {"<": "</script><!--&"}


# In a browser


def eventually(check, seconds=10):
    """Wait for a browser that works at its own pace."""
    end = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < end:
        time.sleep(0.05)
    assert found
    return found


@pytest.fixture(scope="module")
def driver():
    pytest.importorskip("selenium", reason="selenium is not installed (dependency group test)")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    server = shutil.which("chromedriver")
    if not chromium or not server:
        pytest.skip("no Chromium with chromedriver here; Debian: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "force-prefers-reduced-motion",
    ):
        options.add_argument(f"--{argument}")
    options.add_argument("--window-size=1280,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(server))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("browser") / "index.html"
    path.write_text(text, "utf-8")
    return path.as_uri()


@pytest.fixture
def browser(driver, address):
    """The page, freshly opened; whatever a test does, the page may not complain nor ask for anything."""
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get(address)
    eventually(lambda: driver.execute_script("return document.querySelector('.stage')?.style.aspectRatio"))
    yield driver
    assert [entry["message"] for entry in driver.get_log("browser")] == []
    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert {url.partition("#")[0] for url in asked if not url.startswith("data:")} <= {address}


def find(browser, selector):
    return browser.find_element("css selector", selector)


def choose(browser, selector, title):
    from selenium.webdriver.support.select import Select

    Select(find(browser, selector)).select_by_visible_text(title)


def rows(browser):
    """Titles of the visible rows of the main table's first body."""
    script = """return [...document.querySelector('#results table').tBodies[0].rows].filter(row => !row.hidden)
      .map(row => row.cells[0].textContent)"""
    return browser.execute_script(script)


def values(browser, column):
    script = """return [...document.querySelector('#results table').tBodies[0].rows]
      .map(row => row.cells[arguments[0]].dataset.value ?? null)"""
    return browser.execute_script(script, column)


def test_tables_sort_by_click_and_by_key(browser):
    from selenium.webdriver.common.keys import Keys

    before = rows(browser)
    head = browser.find_elements("css selector", "#results thead tr:last-child th")[1]
    head.find_element("css selector", "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    known = [float(value) for value in values(browser, 1) if value is not None]
    assert known == sorted(known, reverse=True) and rows(browser) != before
    head.find_element("css selector", "button").send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "ascending"
    now = values(browser, 1)
    assert [float(v) for v in now if v is not None] == sorted(known)
    assert None not in now[: len(known)]  # what has no value stays last
    head.find_element("css selector", "button").send_keys(Keys.SPACE)
    assert head.get_attribute("aria-sort") is None and rows(browser) == before


def test_the_main_table_filters_by_dataset_labels_and_text(browser):
    from selenium.webdriver.common.keys import Keys

    def heads():
        found = browser.find_elements("css selector", "#results thead tr:first-child th")
        return [head.text for head in found if head.is_displayed()]

    assert {head.split(",")[0] for head in heads()} == set(DATASETS.values())
    bar = "#results form.controls"
    choose(browser, f"{bar} label:nth-of-type(1) select", "Room")
    assert heads() == ["Room, scribbles", "Room, points"]
    choose(browser, f"{bar} label:nth-of-type(2) select", "points")
    assert heads() == ["Room, points"]
    shown = browser.execute_script("""return [...document.querySelectorAll('#results tbody tr:first-child')].map(
      row => [...row.cells].filter(cell => !cell.hidden).length)""")
    assert len(set(shown)) == 1 and shown[0] < len(values(browser, 0)) + 20
    find(browser, f"{bar} input").send_keys("alert(1)")
    assert rows(browser) == [METHODS["script"][0]]
    assert "1 of 5 rows" in find(browser, f"{bar} output").text
    find(browser, f"{bar} input").send_keys(Keys.ENTER)  # sends nothing anywhere
    find(browser, f"{bar} button").click()
    eventually(lambda: len(rows(browser)) == 4 and len(heads()) == 4)


def picture(browser, selector):
    return browser.execute_script("return document.querySelector(arguments[0]).toDataURL()", selector)


def test_the_divider_moves_by_pointer_and_by_key(browser):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    def clip():
        style = "getComputedStyle(document.querySelector('.stage .after')).clipPath"
        return float(re.findall(r"([\d.]+)%", browser.execute_script(f"return {style}"))[-1])

    stage = find(browser, ".stage")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    assert clip() == 50
    width = stage.size["width"]
    ActionChains(browser).move_to_element(stage).click_and_hold().move_by_offset(
        round(-0.3 * width), 5
    ).release().perform()
    assert clip() == pytest.approx(20, abs=0.5)
    divider = browser.switch_to.active_element
    assert divider.get_attribute("type") == "range"
    at = clip()
    divider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert at < clip() < at + 5
    divider.send_keys(Keys.END)
    assert clip() == 100


def test_the_two_pictures_are_what_is_chosen(browser):
    before = picture(browser, ".stage canvas")
    names = [option.text for option in find(browser, "[data-part=left]").find_elements("css selector", "option")]
    assert names[:3] == ["Image", "Weak labels (scribbles)", "Ground truth"]
    assert {METHODS["script"][0], f"Errors of {METHODS['script'][0]}"} <= set(names)
    seen = {before}
    for name in ("Image", "Weak labels (scribbles)", "Ground truth", "Errors of EMA"):
        choose(browser, "[data-part=left]", name)
        seen.add(picture(browser, ".stage canvas"))
        assert find(browser, "[data-part=left-title]").text == name
    assert len(seen) == 5
    assert HOSTILE in find(browser, "#comparison .legend").text
    choose(browser, "#comparison [data-part=dataset]", "Room")
    eventually(lambda: "Room" in find(browser, ".stage canvas").get_attribute("aria-label"))
    assert find(browser, "[data-part=left-title]").text == "Errors of EMA"  # the choice stays
    colours = """const canvas = document.querySelector('.stage .after'), context = canvas.getContext('2d');
      return [...context.getImageData(canvas.width / 2, 5, 1, 1).data]"""
    assert browser.execute_script(colours) == [70, 130, 180, 255]  # the truth's sky


def test_the_scene_turns_and_zooms(browser):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    canvas = find(browser, "canvas.points")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    first = eventually(lambda: picture(browser, "canvas.points"))

    def changes(before, act):
        act()
        eventually(lambda: picture(browser, "canvas.points") != before)
        return picture(browser, "canvas.points")

    assert len(browser.find_elements("css selector", "canvas.points")) == 2
    drag = ActionChains(browser).move_to_element(canvas).click_and_hold().move_by_offset(120, 30).release()
    now = changes(first, drag.perform)
    for key in (Keys.ARROW_LEFT, Keys.ARROW_UP, "+", "-"):
        now = changes(now, lambda key=key: canvas.send_keys(key))
    wheel = "arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: -50, cancelable: true, bubbles: true}))"
    now = changes(now, lambda: browser.execute_script(wheel, canvas))
    for colour in ("dense labels", "weak labels", "confidence"):
        now = changes(now, lambda colour=colour: choose(browser, "[data-part=colour]", colour))
    choose(browser, "[data-part=colour]", "image")
    canvas.send_keys(Keys.HOME)
    eventually(lambda: picture(browser, "canvas.points") == first)
    choose(browser, "[data-part=scene]", "Room")
    eventually(lambda: len(browser.find_elements("css selector", "canvas.points")) == 1)


def test_curves_answer_to_choice_and_cursor(browser):
    from selenium.webdriver.common.keys import Keys

    def lines():
        return browser.execute_script(
            "return [...document.querySelectorAll('.chart .line')].map(p => p.getAttribute('d'))"
        )

    before = lines()
    assert len(before) == 4  # of five methods one did not run
    find(browser, "[data-part=logarithmic]").click()
    assert lines() != before
    find(browser, "#training-chart .legend input").click()
    assert len(lines()) == 3
    at = find(browser, "[data-part=at]").text
    find(browser, ".chart").send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert (
        at == "Values at 100 % of training:" and find(browser, "[data-part=at]").text == "Values at 98 % of training:"
    )
    choose(browser, "[data-part=which]", "Room, points")
    choose(browser, "[data-part=term]", "labels")
    assert "labels against training progress, Room, points" in find(browser, ".chart").get_attribute("aria-label")


def test_figures_of_a_kind_are_chosen(browser):
    figures = browser.find_elements("css selector", "#training .figures figure")
    assert [figure.is_displayed() for figure in figures] == [True, False]
    choose(browser, "#training .figures select", "Room")
    assert [figure.is_displayed() for figure in figures] == [False, True]
    browser.execute_script("location.hash = 'figure-curves-town'")
    eventually(lambda: [figure.is_displayed() for figure in figures] == [True, False])


def test_a_command_is_copied_or_selected(browser):
    find(browser, "#provenance summary").click()
    button = find(browser, "#provenance tbody button.copy")
    button.click()
    eventually(lambda: button.text in ("Copied", "Selected"))


def test_dark_mode_follows_the_system(browser):
    def background():
        return browser.execute_script("return getComputedStyle(document.body).backgroundColor")

    for scheme, expected in (("dark", "rgb(20, 23, 27)"), ("light", "rgb(255, 255, 255)")):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        assert background() == expected


def test_motion_is_reduced_where_asked(browser):
    style = "return getComputedStyle(document.documentElement).scrollBehavior"
    for wish, expected in (("reduce", "auto"), ("no-preference", "smooth")):
        media = {"features": [{"name": "prefers-reduced-motion", "value": wish}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        assert browser.execute_script(style) == expected


def test_a_phone_needs_no_sideways_scrolling(browser):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.execute_script("for (const details of document.querySelectorAll('details')) details.open = true")
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        canvas = "return document.querySelector('canvas.points').getBoundingClientRect().right"
        assert browser.execute_script(canvas) <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_paper_gets_everything_but_what_needs_a_screen(browser):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    try:
        shown = [figure.is_displayed() for figure in browser.find_elements("css selector", "#training .figures figure")]
        assert shown == [True, True]
        assert not find(browser, "#comparison").is_displayed() and not find(browser, "nav").is_displayed()
        assert all(browser.execute_script("return [...document.querySelectorAll('details')].map(one => one.open)"))
        assert find(browser, "#classes table").is_displayed()
    finally:
        browser.execute_script("dispatchEvent(new Event('afterprint'))")
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert not all(browser.execute_script("return [...document.querySelectorAll('details')].map(one => one.open)"))


def test_without_scripts_the_browser_shows_tables_and_pictures(driver, address):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(address)
        assert all(figure.is_displayed() for figure in driver.find_elements("css selector", ".figures figure"))
        assert find(driver, "#results table").is_displayed() and not find(driver, "#comparison").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert len(CLASSES) == 6

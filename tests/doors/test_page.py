"""The page: its answers are those of the runs, its built files are those of its sources, and each
view works in a reader's browser, on a phone and on a desk, in a light and in a dark scheme.
"""

import asyncio
import base64
import hashlib
import io
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import polars
import pytest
from PIL import Image

import lowerbound
from lowerbound import doors
from lowerbound.report.comparison import measure

httpx = pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "page"
BUILT = Path(doors.__file__).parent / "server" / "page"
AXE = SOURCES / "node_modules" / "axe-core" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

QUICK = {"training.epochs": 2, "report.write": False}
ROWS = 400
ODD_ROWS = range(20, ROWS, 50)
"""The rows of the table whose `height` is as no other's; some of them are held out."""


# The built files ---------------------------------------------------------------------------------


def sources():
    """The files that the page is made from, by their names below `page/`."""
    found = {}
    for path in SOURCES.rglob("*"):
        name = path.relative_to(SOURCES).as_posix()
        hidden = any(part.startswith(".") or part == "node_modules" for part in Path(name).parts)
        if path.is_file() and not hidden:
            found[name] = path
    return found


def test_the_built_page_is_that_of_the_sources():
    digest = hashlib.sha256()
    for name, path in sorted(sources().items()):
        digest.update(f"{name}\0".encode())
        digest.update(path.read_bytes())
    recorded = (BUILT / "sources.sha256").read_text().strip()
    assert digest.hexdigest() == recorded, "the page's sources were changed: make page"


def test_the_built_page_asks_nobody_else():
    texts = [
        path.read_text() for path in BUILT.iterdir() if path.suffix in (".js", ".css", ".html")
    ]
    hosts = {host for text in texts for host in re.findall(r"https?://([\w.-]+)", text)}
    # Names of XML, and the addresses of explanations in messages of Svelte: nothing is fetched.
    assert hosts <= {"www.w3.org", "svelte.dev"}
    assert not any(re.search(r"\beval\(|new Function\(|@import|url\(http", text) for text in texts)


@pytest.mark.slow
def test_a_new_build_is_the_same(tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    copy = tmp_path / "page"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("node_modules"))
    installed = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=copy, capture_output=True, text=True
    )
    if installed.returncode:
        pytest.skip(f"the registry of npm is not reached: {installed.stderr[-200:]}")
    checked = subprocess.run(["npm", "run", "check"], cwd=copy, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    subprocess.run(["npm", "run", "build"], cwd=copy, check=True, capture_output=True)
    built = tmp_path / "src/lowerbound/doors/server/page"
    assert {path.name for path in built.iterdir()} == {path.name for path in BUILT.iterdir()}
    for path in built.iterdir():
        assert path.read_bytes() == (BUILT / path.name).read_bytes(), path.name


# What is served ----------------------------------------------------------------------------------


def write_table(folder):
    """A table of two kinds of columns and a row that is odd in one cell."""
    rng = np.random.default_rng(0)
    height = rng.normal(170, 8, ROWS)
    weight = 0.9 * height - 85 + rng.normal(0, 4, ROWS)
    group = np.where(height > 170, "tall", "short")
    height[list(ODD_ROWS)] = 260
    path = folder / "people.csv"
    polars.DataFrame({"height": height, "weight": weight, "group": group}).write_csv(path)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small run of each kind, and two that can be compared."""
    folder = tmp_path_factory.mktemp("page")

    def fit(name, recipe, data=None, **settings):
        given = {key.replace("__", "."): value for key, value in settings.items()}
        return lowerbound.fit(
            recipe, data=data, out=folder / name, settings=QUICK | given, progress=False
        )

    table = write_table(folder)
    return {
        "given": fit(
            "given", "digits", data__given=["label"], model__latent=[8], training__epochs=8
        ),
        "plane": fit("plane", "digits", model__latent=[2], training__epochs=15),
        "table": fit("table", "table", table, training__epochs=30, data__test=0.4),
        "films": fit("films", "multvae", training__epochs=1),
    }


@pytest.fixture(scope="module")
def address(runs):
    """Where a server serves the runs."""
    from lowerbound.doors.server import create_app
    from lowerbound.doors.server.launch import listen

    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(create_app(runs.values()), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    for _ in range(600):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                break
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    yield url
    server.should_exit = True
    thread.join()
    listening.close()


def test_an_answer_does_not_wait_for_an_acknowledgement(address):
    """Both pieces of an answer are sent at once: the second would else come 40 ms later."""
    seconds = []
    with httpx.Client(base_url=address) as client:
        for _ in range(30):
            begun = time.perf_counter()
            client.get("/healthz")
            seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.03


@pytest.fixture(scope="module")
def ask(address):
    """Asks the server, and returns the answer."""
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client.get


def waited(ask, path):
    """The answer to a question whose answer takes a while."""
    for _ in range(600):
        answer = ask(path)
        assert answer.status_code == 200, answer.text
        if answer.json()["ready"]:
            return answer.json()
        time.sleep(0.05)
    raise AssertionError(f"{path} was never ready: {answer.text}")


def columns_of(ask, run, facts, query=""):
    """The points of a map by the names of their columns."""
    numbers = np.frombuffer(ask(f"/runs/{run}/map/points{query}").content, "<f4")
    columns = numbers.reshape(-1, facts["count"])
    names = ["x", "y", *(colour["name"] for colour in facts["colours"])]
    return dict(zip(names, columns, strict=True))


def test_map_of_two_dimensions_shows_the_codes_themselves(ask, runs):
    run = runs["plane"]
    facts = waited(ask, "/runs/plane/map")
    own = run.data().split("all")
    assert facts["count"] == facts["of"] == len(own)
    assert facts["methods"] == ["codes"]
    columns = columns_of(ask, "plane", facts)
    codes = run.encode(own)[0].numpy()
    np.testing.assert_allclose(np.stack([columns["x"], columns["y"]], 1), codes, atol=1e-5)
    words = facts["colours"][0]["levels"]
    assert words == [str(digit) for digit in range(10)]
    np.testing.assert_array_equal(columns["label"].astype(int), own.labels)
    of_test = columns["split"] == facts["colours"][-1]["levels"].index("test")
    np.testing.assert_array_equal(own.rows[of_test], np.sort(run.data().test.rows))


def test_scores_of_the_map_are_bounds(ask, runs):
    facts = waited(ask, "/runs/plane/map")
    columns = columns_of(ask, "plane", facts)
    of_test = columns["split"] == facts["colours"][-1]["levels"].index("test")
    found = runs["plane"].evaluate(samples=2)
    scores = columns["score"][of_test].astype(float)
    error = np.hypot(scores.std() / len(scores) ** 0.5, found["elbo_se"])
    assert abs(scores.mean() - found["elbo"]) < 4 * error
    assert columns["rate"][of_test].mean() == pytest.approx(sum(found["rate"]), rel=0.02)


def test_more_dimensions_become_a_plane(ask, runs):
    facts = waited(ask, "/runs/given/map?level=0&method=PCA")
    columns = columns_of(ask, "given", facts, "?level=0&method=PCA")
    from sklearn.decomposition import PCA

    codes = runs["given"].encode(runs["given"].data().split("all"))[0].double().numpy()
    expected = PCA(2).fit_transform(codes)
    found = np.stack([columns["x"], columns["y"]], 1)
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-3)


def test_map_is_kept_and_known_again(ask, runs):
    from lowerbound.doors.server.views.layout import _read

    facts = waited(ask, "/runs/plane/map")
    (kept,) = (runs["plane"].folder / "page").iterdir()
    known = _read(kept, facts["count"])
    columns = columns_of(ask, "plane", facts)
    np.testing.assert_array_equal(known["points"][:, 0], columns["x"])
    assert _read(kept, facts["count"] - 1) is None
    damaged = kept.with_name("damaged.safetensors")
    damaged.write_bytes(kept.read_bytes()[:-100])
    assert _read(damaged, facts["count"]) is None
    damaged.unlink()


def test_small_pictures_are_those_of_the_points(ask, runs):
    facts = waited(ask, "/runs/plane/map")
    tile = facts["sprites"]["tile"]
    own = runs["plane"].data().split("all")
    for number in (0, 1):
        sheet = np.asarray(Image.open(io.BytesIO(ask(f"/runs/plane/map/sprites/{number}").content)))
        for place in (0, 33, 700):
            left = tile * (place % 32)
            top = tile * (place // 32)
            found = sheet[top : top + tile, left : left + tile]
            levels = own.values_at([1024 * number + place])[0, 0].astype(float)
            np.testing.assert_allclose(found, 255 * (levels / 16), atol=1)
    assert ask("/runs/plane/map/sprites/2").status_code == 404


def test_search_finds_rows_labels_words_and_titles(ask, runs):
    own = runs["plane"].data().split("all")
    found = ask("/runs/plane/map/search", params={"q": "7"}).json()["ids"]
    expected = set(np.flatnonzero(own.labels == 7).tolist()) | {7}
    assert set(found) == expected
    tall = ask("/runs/table/map/search", params={"q": "TALL"}).json()
    assert 0 < tall["found"] < ROWS
    titles = runs["films"].items.titles or [f"item {item}" for item in runs["films"].items.ids]
    part = titles[5][:6]
    found = ask("/runs/films/map/search", params={"q": part}).json()["ids"]
    assert found == [at for at, title in enumerate(titles) if part.lower() in title.lower()]


def test_map_of_a_recommender_is_of_its_items(ask, runs):
    facts = waited(ask, "/runs/films/map")
    assert facts["count"] == len(runs["films"].items.ids)
    columns = columns_of(ask, "films", facts)
    popularity = np.maximum(runs["films"].items.popularity, 1)
    np.testing.assert_allclose(columns["users, log10"], np.log10(popularity), rtol=1e-5)
    ids = runs["films"].items.ids.tolist()
    assert ask("/runs/films/map/places", params={"of": [ids[7], "no", ids[2]]}).json()["ids"] == [
        7,
        2,
    ]
    assert ask("/runs/plane/map/places", params={"of": ["5", "9999999"]}).json()["ids"] == [5]
    (row,) = ask("/runs/films/map/rows?ids=3").json()["rows"]
    assert row["values"]["item"] == ids[3]


def test_an_example_is_told_with_its_codes(ask, runs):
    own = runs["given"].data().split("all")
    told = ask("/runs/given/rows/12").json()
    codes = runs["given"].encode(own.take([12]))
    np.testing.assert_allclose(told["codes"][0], codes[0][0].numpy(), rtol=1e-5)
    np.testing.assert_allclose(told["picture"], own.values_at([12])[0] / 16, atol=1e-3)
    assert str(told["given"]["label"]) == str(own.labels[12])
    assert ask("/runs/given/rows/12/image").headers["content-type"] == "image/png"
    assert ask(f"/runs/given/rows/{len(own)}").status_code == 404
    assert ask("/runs/films/rows/0").status_code == 404


def test_oddest_row_is_the_one_that_was_made_odd(ask, runs):
    found = waited(ask, "/runs/table/rows?by=score&limit=5")
    first = found["rows"][0]
    held_out = set(runs["table"].data().test.rows.tolist()) & set(ODD_ROWS)
    assert first["id"] in held_out
    assert first["odd"][0]["column"] == "height"
    assert first["odd"][0]["below"] < -5
    likely = [row["log_likelihood"] for row in found["rows"]]
    assert likely == sorted(likely)
    assert ask("/runs/plane/rows").status_code == 404


def test_comparison_has_the_figures_of_compare(address, runs):
    body = {"runs": ["given", "plane"]}
    found = httpx.post(f"{address}/compare", json=body, timeout=60).json()
    expected = measure([runs["given"], runs["plane"]], samples=20).describe()
    for name in ("elbo", "log_likelihood"):
        ours = found["numbers"]["runs"][1]["differences"][name]
        assert ours == pytest.approx(expected["runs"][1]["differences"][name], rel=1e-4)
    assert [len(one["pictures"]) for one in found["samples"]] == [24, 24]
    for names, status in (
        (["given", "films"], 409),
        (["given", "given"], 409),
        (["no", "plane"], 404),
    ):
        answer = httpx.post(f"{address}/compare", json={"runs": names})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs/plane/map?level=1", 404),
        ("/runs/plane/map?method=t-SNE", 404),
        ("/runs/plane/map?method=other", 422),
        ("/runs/plane/map/rows?ids=1,x", 422),
        ("/runs/plane/map/rows?ids=99999", 404),
        ("/runs/plane/map/search?q=", 422),
        ("/runs/films/map/sprites/0", 404),
        ("/runs/plane/rows/-1", 422),
    ],
)
def test_mistakes_are_told(ask, path, status):
    answer = ask(path)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_landmarks_lead_the_others(monkeypatch):
    from lowerbound.doors.server.views import layout

    monkeypatch.setattr(layout, "LANDMARKS", 60)
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(300, 5)) + 30 * np.repeat(np.eye(5)[:3], 100, axis=0)
    points = layout._plane(codes, "t-SNE")
    groups = points.reshape(3, 100, 2)
    centres = groups.mean(1)
    apart = np.linalg.norm(groups[:, :, None] - centres, axis=-1)
    assert (apart.argmin(-1) == np.arange(3)[:, None]).mean() > 0.99


def test_work_aside_gives_its_result_or_its_error():
    from lowerbound.doors.server.views.jobs import aside

    async def both():
        assert await aside(lambda: threading.current_thread().daemon)
        with pytest.raises(ZeroDivisionError):
            await aside(lambda: 1 / 0)

    asyncio.run(both())


# In a browser ------------------------------------------------------------------------------------

SCHEMES = {"phone": "dark", "desk": "light"}
"""Each scheme is looked at on one device: axe-core takes a second for each view."""

DEVICES = {
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    "desk": {"viewport": {"width": 1280, "height": 900}},
}

VIEWS = {
    "given/decode": ".sliders input",
    "given/map": "canvas[data-drawn=true]",
    "given/reconstruct?id=3": "figure img",
    "given/compare": ".pictures canvas",
    "table/rows": "td.odd",
    "table/decode": ".seen td",
    "films/recommend": "#items",
    "plane/about": "pre",
}
"""The views, and what is there when one is whole."""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Reader:
    """A reader with a browser, who notes what is wrong."""

    def __init__(self, browser, address, **device):
        self.address = address
        self.wrong = []
        context = browser.new_context(**device)
        self.tab = context.new_page()
        self.tab.on("console", self._hear)
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.tab.on("request", self._see)

    def _hear(self, message):
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def _see(self, request):
        is_own = request.url.startswith((self.address, "data:", "blob:"))
        if not is_own:
            self.wrong.append(f"a request to {request.url}")

    def go(self, place, whole):
        """Goes to a view, and waits until it is whole."""
        self.tab.goto(f"{self.address}/#/{place}")
        self.tab.locator(whole).first.wait_for(timeout=40_000)

    def close(self):
        self.tab.context.close()


@pytest.fixture
def reader(browser, address):
    reader = Reader(browser, address, **DEVICES["desk"])
    yield reader
    reader.close()
    assert reader.wrong == []


@pytest.mark.parametrize("device", DEVICES)
def test_every_view_is_whole_and_for_everybody(browser, address, device):
    """No message in the console, no request off the host, nothing beyond the edge, and no serious
    fault by axe-core.
    """
    scheme = SCHEMES[device]
    reader = Reader(browser, address, color_scheme=scheme, **DEVICES[device])
    faults = []
    for place, whole in VIEWS.items():
        reader.go(place, whole)
        width = reader.tab.evaluate("document.documentElement.scrollWidth")
        if width > DEVICES[device]["viewport"]["width"]:
            faults.append(f"{place}: {width} pixels wide")
        if AXE.exists():
            reader.tab.evaluate(AXE.read_text())
            found = reader.tab.evaluate("axe.run({resultTypes: ['violations']})")
            for fault in found["violations"]:
                if fault["impact"] in ("serious", "critical"):
                    nodes = [node["html"][:120] for node in fault["nodes"][:3]]
                    faults.append(f"{place}: {fault['id']} {nodes}")
    reader.close()
    assert faults == []
    assert reader.wrong == []


def drawn(tab, query):
    """The pixels of a canvas in the page, (H, W, 4)."""
    return read_url(tab.locator(query).first.evaluate("(canvas) => canvas.toDataURL()"))


def read_url(url):
    """The pixels of a picture in a `data:` URL, (H, W, 4)."""
    content = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def test_slider_and_label_draw_what_the_run_decodes(reader, runs):
    reader.go("given/decode?given.label=3", ".seen canvas[width='8']")
    tab = reader.tab
    before = drawn(tab, ".seen canvas")
    slider = tab.locator(".sliders input").first
    slider.evaluate(
        "(one) => { one.value = one.max; one.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    tab.wait_for_timeout(400)
    after = drawn(tab, ".seen canvas")
    assert (before != after).any()
    query = dict(part.split("=") for part in tab.url.partition("?")[2].split("&"))
    z = np.array([[float(value) for value in query["z"].replace("%2C", ",").split(",")]])
    expected = runs["given"].decode(z, given={"label": 3}).numpy()[0, 0]
    np.testing.assert_allclose(after[..., 0], 255 * np.clip(expected, 0, 1), atol=2)
    tab.get_by_role("button", name="7", exact=True).click()
    tab.wait_for_timeout(400)
    expected = runs["given"].decode(z, given={"label": 7}).numpy()[0, 0]
    np.testing.assert_allclose(
        drawn(tab, ".seen canvas")[..., 0], 255 * np.clip(expected, 0, 1), atol=2
    )


def test_keyboard_moves_a_slider(reader):
    reader.go("plane/decode", ".seen canvas[width='8']")
    slider = reader.tab.locator(".sliders input").first
    before = float(slider.input_value())
    slider.focus()
    reader.tab.keyboard.press("ArrowRight")
    assert float(slider.input_value()) > before


def test_two_codes_give_the_line_between_them(reader, runs):
    reader.go("plane/decode?z=-1,0&a=-1,0&b=1,0.5", ".strip canvas[width='8']")
    strips = reader.tab.locator(".strip canvas")
    assert strips.count() == 9
    expected = runs["plane"].decode(np.array([[0, 0.25]])).numpy()[0, 0]
    url = strips.nth(4).evaluate("(canvas) => canvas.toDataURL()")
    middle = read_url(url)[..., 0]
    np.testing.assert_allclose(middle, 255 * np.clip(expected, 0, 1), atol=2)


def test_hover_shows_the_picture_of_the_point_and_a_lasso_chooses(reader, runs):
    reader.go("plane/map", "canvas[data-drawn=true]")
    tab = reader.tab
    box = tab.locator("canvas[data-drawn]").bounding_box()
    for right, down in ((0.5, 0.5), (0.42, 0.55), (0.55, 0.4)):
        tab.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"])
        tab.locator(".tip canvas[data-drawn]").wait_for()
        shown, url = tab.locator(".tip canvas").evaluate(
            "(canvas) => [Number(canvas.dataset.drawn), canvas.toDataURL()]"
        )
        levels = runs["plane"].data().split("all").values_at([shown])[0, 0]
        np.testing.assert_allclose(read_url(url)[..., 0], 255 * (levels / 16), atol=1)
    tab.get_by_role("button", name="Lasso").click()
    corners = ((0.2, 0.05), (0.8, 0.05), (0.8, 0.95), (0.2, 0.95), (0.2, 0.1))
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place)
    tab.mouse.up()
    tab.locator(".grid canvas[data-drawn]").first.wait_for()
    told = tab.locator("[role=status]").inner_text()
    assert int(told.split()[0].replace(",", "")) > 100
    tab.get_by_role("button", name="All in view").press("Enter")
    tab.get_by_text("examples in view").wait_for()
    everything = len(runs["plane"].data().split("all"))
    assert tab.locator("[role=status]").inner_text().startswith(f"{everything:,} ")
    tab.get_by_label("search the examples").fill("4")
    tab.get_by_text("match “4”").wait_for()
    number = int(re.match(r"[\d,]+", tab.locator("[role=status]").inner_text())[0].replace(",", ""))
    labels = runs["plane"].data().split("all").labels
    assert number == (labels == 4).sum() + (labels[4] != 4)


def test_two_points_of_the_map_give_the_line_between_them(reader, runs):
    codes = runs["plane"].encode(runs["plane"].data().split("all"))[0].numpy()
    for place, end in ((3, "A"), (11, "B")):
        reader.go(f"plane/map?id={place}", "section[aria-label='the point']")
        reader.tab.get_by_role("button", name=f"{end} of a line").click()
    reader.tab.locator(".strip canvas[width='8']").first.wait_for()
    url = reader.tab.locator(".strip canvas").nth(8).evaluate("(canvas) => canvas.toDataURL()")
    expected = runs["plane"].decode(codes[11:12]).numpy()[0, 0]
    np.testing.assert_allclose(read_url(url)[..., 0], 255 * np.clip(expected, 0, 1), atol=2)


def test_items_most_like_one_are_chosen_on_the_map(reader, runs):
    from lowerbound.recommend import Recommender

    item = runs["films"].items.ids.tolist()[4]
    reader.go("films/map?id=4", "section[aria-label='the point']")
    reader.tab.get_by_role("button", name="Most like it").click()
    reader.tab.locator(".grid li button").first.wait_for()
    shown = reader.tab.locator(".grid li button").all_inner_texts()
    best = Recommender(runs["films"]).similar(item, 24)
    assert shown == [one.title or f"item {one.item}" for one in best]


def test_a_dropped_image_is_reconstructed(reader, runs, tmp_path):
    reader.go("plane/reconstruct?id=3", "figure img")
    values = runs["plane"].data().split("all").values_at([20])[0, 0]
    path = tmp_path / "digit.png"
    Image.fromarray((values * 15.9375).astype(np.uint8)).save(path)
    tab = reader.tab
    tab.set_input_files("input[type=file]", path)
    tab.get_by_text("digit.png").wait_for()
    url = tab.get_by_alt_text("mean").get_attribute("src")
    found = read_url(url)[..., 0]
    expected = runs["plane"].reconstruct(values[None, None].astype(np.uint8)).numpy()[0, 0]
    np.testing.assert_allclose(found / 255, expected, atol=0.02)
    assert "percentile" in tab.locator("main").inner_text()


def test_titles_are_found_and_a_list_can_be_shared(reader, runs):
    reader.go("films/recommend", "#items")
    tab = reader.tab
    items = runs["films"].items
    names = items.titles or [str(item) for item in items.ids]
    tab.locator("#items").press_sequentially(str(names[3]))
    tab.locator("#found [role=option]").first.wait_for()
    tab.keyboard.press("Enter")
    tab.locator("section[aria-label=recommended] ol li").first.wait_for()
    expected = runs["films"]
    from lowerbound.recommend import Recommender

    best = Recommender(expected).recommend([items.ids.tolist()[3]], 10)
    lines = tab.locator("section[aria-label=recommended] ol .line > span:first-child")
    shown = lines.all_inner_texts()
    assert shown == [str(one.title or one.item) for one in best]
    tab.get_by_role("button", name=f"deny {shown[0]}", exact=True).click()
    tab.get_by_text("Not these").wait_for()
    lines.first.filter(has_not_text=shown[0]).wait_for()
    link = tab.url
    again = Reader(tab.context.browser, reader.address)
    again.tab.goto(link)
    again.tab.get_by_text("Not these").wait_for()
    again.tab.locator("section[aria-label=recommended] ol li").first.wait_for()
    texts = again.tab.locator(
        "section[aria-label=recommended] ol .line > span:first-child"
    ).all_inner_texts()
    assert shown[0] not in texts
    assert shown[1] in texts
    again.close()
    assert again.wrong == []


def test_what_if_fills_the_cells_that_are_not_kept(reader):
    reader.go(f"table/rows?id={ODD_ROWS[0]}", "td.odd")
    tab = reader.tab
    tab.get_by_label("keep height").uncheck()
    tab.get_by_role("button", name="Fill 1 cells").click()
    made = tab.locator("output .made")
    made.wait_for()
    assert 140 < float(made.inner_text()) < 220


def test_quantiles_of_the_sliders_are_those_of_the_codes(reader, runs):
    reader.go("plane/decode", ".seen canvas[width='8']")
    codes = runs["plane"].encode(runs["plane"].data().train)[0].numpy()
    spread = np.quantile(codes, 0.99, axis=0) - np.quantile(codes, 0.01, axis=0)
    widest = spread.argmax()
    slider = reader.tab.locator(f"#z{widest}")
    assert float(slider.get_attribute("max")) == pytest.approx(
        np.quantile(codes[:, widest], 0.99), rel=1e-3
    )

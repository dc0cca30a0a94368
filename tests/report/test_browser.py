"""The page as a reader's browser shows it: on a phone and on a desk, in a light and a dark scheme,
with no network.
"""
# ruff: noqa: E501 - the JavaScript that runs in the page

import base64
import csv
import shutil
from collections import defaultdict
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from lowerbound import fitting
from lowerbound.report import compare
from lowerbound.report.figures import distributions, images
from lowerbound.report.html import write
from lowerbound.report.records import Picture, Section, Table
from lowerbound.run import run

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason=f"no browser: none of {', '.join(NAMES)} is installed"
)

PAGES = ["levels", "plane", "table", "recommender", "comparison"]
DEVICES = {
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    "desk": {"viewport": {"width": 1280, "height": 900}},
}
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "a long name " + "x" * 150,
    "$\\frac{",
    "a & b",
    "é 中",
]

FAULTS = """(width) => {
  const found = [], html = document.documentElement, all = (query) => [...document.querySelectorAll(query)];
  const fault = (kind, element, what) => found.push([kind, `${element.tagName} '${(element.alt || element.textContent || "")
    .trim().slice(0, 40)}': ${what}`]);
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const scrolls = (element) => {
    for (let e = element.parentElement; e && e !== document.body; e = e.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(e).overflowX)) return true;
    return false;
  };
  all("details").forEach((element) => { element.open = true; });
  for (const image of all("img")) {
    const box = image.getBoundingClientRect(), squeeze = box.width / box.height / (image.naturalWidth / image.naturalHeight);
    if (!image.complete || !image.naturalWidth) fault("image", image, "did not load");
    else if (Math.abs(squeeze - 1) > 0.02) fault("squashed", image, squeeze);
    if (!image.alt.trim()) fault("alt", image, "no text for who does not see it");
  }
  for (const image of all("figure.photo img")) {
    const filter = getComputedStyle(image).filter;
    if (filter.includes("invert")) fault("inverted", image, filter);
  }
  if (html.clientWidth !== width || html.scrollWidth > width) fault("width", document.body, `${html.scrollWidth} of ${width}`);
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if ((box.right > width + 0.5 || box.left < -0.5) && !scrolls(element)) fault("edge", element, `${box.left} to ${box.right}`);
    if (![...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())) continue;
    const [low, high] = [getComputedStyle(element).color, ground(element)].map(light).sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) fault("contrast", element, (high + 0.05) / (low + 0.05));
  }
  for (const name of all(".scroll th[scope=row]"))
    if (name.offsetWidth > 0.6 * name.closest(".scroll").clientWidth) fault("name", name, "leaves no room for its row");
  for (const link of all("a"))
    if (!document.getElementById(link.getAttribute("href").slice(1))) fault("link", link, "leads nowhere");
  return found;
}"""
"""What is wrong with a page, [kind, which] each; contrast as in WCAG 2.2, 1.4.3."""

OUTSIDE = '<img src="https://example.org/a.png" alt="of another host">'

KINDS = [
    "image",
    "alt",
    "squashed",
    "inverted",
    "width",
    "edge",
    "contrast",
    "name",
    "link",
    "console",
    "request",
]

COLOURS = """async (address) => {
  const image = new Image(), canvas = document.createElement("canvas"), paper = canvas.getContext("2d");
  image.src = address;
  await image.decode();
  [canvas.width, canvas.height] = [200, 200];
  paper.drawImage(image, 0, 0, 200, 200);
  const pixels = new Uint32Array(paper.getImageData(0, 0, 200, 200).data.buffer);
  return [new Set(pixels).size, image.naturalWidth / image.naturalHeight];
}"""
"""How many colours an image has, and its width by its height."""


def _table(folder):
    rng, path = np.random.default_rng(0), folder / "table.csv"
    values = rng.normal(size=(200, 2)) @ rng.normal(size=(2, len(HOSTILE))) + 0.1 * rng.normal(
        size=(200, len(HOSTILE))
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HOSTILE, *values.tolist()])
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of a small run of each kind, whose folder has a name that HTML could take for a
    tag.
    """
    folder = tmp_path_factory.mktemp("pages")

    def fit(name, recipe, data=None, **settings):
        quick = {"training.epochs": 2, "report.points": 100} | {
            key.replace("__", "."): value for key, value in settings.items()
        }
        fitted = fitting.fit(
            recipe, data=data, out=folder / name / "a <b> run", settings=quick, progress=False
        )
        return fitted.folder / "report" / "index.html"

    made = {
        "levels": fit("levels", "digits", model__latent=[4, 2]),
        "plane": fit("plane", "digits", model__latent=[2]),
        "table": fit("table", "table", data=_table(folder)),
        "recommender": fit("recommender", "multvae"),
    }
    two = [run.load(made[name].parent.parent) for name in ("levels", "plane")]
    return made | {"comparison": compare(two, folder / "comparison", samples=2).page}


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def _own(address, path):
    parts = urlsplit(address)
    return parts.scheme == "data" or (
        parts.scheme == "file" and unquote(parts.path) == path.as_posix()
    )


def watched(browser, path, found, **device):
    """A tab without network that tells in `found` what it says, and each address that it asks for
    and should not.
    """
    context = browser.new_context(offline=True, **device)
    context.route(lambda address: not _own(address, path), lambda route: route.abort())
    tab = context.new_page()
    tab.on(
        "console",
        lambda message: (
            found.append(["console", message.text])
            if message.type in ("error", "warning")
            else None
        ),
    )
    tab.on("pageerror", lambda error: found.append(["console", str(error)]))
    tab.on(
        "dialog",
        lambda dialog: (found.append(["console", f"dialog: {dialog.message}"]), dialog.dismiss()),
    )
    tab.on(
        "request",
        lambda request: None if _own(request.url, path) else found.append(["request", request.url]),
    )
    tab.goto(path.as_uri())
    return tab


def faults(browser, path, devices=tuple(DEVICES)):
    """What is wrong with a page on some devices, in any scheme: {kind: [where and what]}."""
    kinds = defaultdict(list)
    for name in devices:
        found, device = [], DEVICES[name]
        tab = watched(browser, path, found, **device)
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            found += [
                [kind, f"{scheme}, {what}"]
                for kind, what in tab.evaluate(FAULTS, device["viewport"]["width"])
            ]
        tab.context.close()
        for kind, what in found:
            kinds[kind].append(f"{name}: {what}")
    return kinds


@pytest.fixture(scope="module")
def wrong(browser, pages):
    return {name: faults(browser, path) for name, path in pages.items()}


@pytest.fixture
def tab(browser, pages, request):
    found = []
    tab = watched(browser, pages[request.param], found, **DEVICES["desk"])
    yield tab
    tab.context.close()
    assert found == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_fault(wrong, name, kind):
    assert wrong[name].keys() <= set(KINDS)
    assert wrong[name][kind] == []


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A page with one of each: quick to break and to look at."""
    noise = np.random.default_rng(0).random((6, 1, 8, 8))
    plot = Picture(
        "plot",
        "Plot",
        "Of numbers.",
        lambda ax: distributions.histogram({"a": noise.ravel()}, "x", ax),
    )
    photo = Picture(
        "photo", "Photograph", "Of noise.", lambda ax: images.grid(noise, ax), photo=True
    )
    table = Table(("name", "value"), (("a", "1"),))
    sections = [
        Section(f"Part {i}", ("A sentence.",), ("A warning.",), (table,), (plot, photo))
        for i in (1, 2)
    ]
    return write(tmp_path_factory.mktemp("small"), "small", "with all", sections)


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("image", ";base64,", ";base64,AAAA"),
        ("alt", ' alt="', ' alt=" " title="'),
        ("squashed", "</style>", "figure img { height: 50px !important; }</style>"),
        ("inverted", "brightness(.9)", "invert(1)"),
        ("width", "<main>", '<main><div style="width: 1300px">x</div>'),
        ("width", '<meta name="viewport"', '<meta name="none"'),
        ("edge", "</style>", "html, body { overflow-x: hidden; } main { width: 1400px; }</style>"),
        ("contrast", "--text: #1b1b1b", "--text: #999"),
        ("contrast", "--warn: #ffbf80", "--warn: #805030"),
        (
            "name",
            "<tbody>",
            f'<tbody><tr><th scope="row" style="min-width: 60rem">{"x" * 300}</th></tr>',
        ),
        ("link", 'id="s2"', 'id="none"'),
        ("console", "<main>", "<main>" + OUTSIDE),
        ("console", "<main>", "<main><script>1</script>"),
        ("request", "default-src 'none'; img-src data:", "default-src *"),
    ],
)
def test_a_fault_is_found(browser, small, tmp_path, kind, old, new):
    text, path = small.read_text(encoding="utf-8"), tmp_path / "index.html"
    assert old in text
    text = text.replace("<main>", "<main>" + OUTSIDE) if kind == "request" else text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert faults(browser, path, ["phone"])[kind]


def test_a_page_without_fault_has_none(browser, small):
    assert faults(browser, small) == {}


@pytest.mark.parametrize("tab", ["table"], indirect=True)
def test_names_are_shown_as_they_are(tab):
    text = tab.inner_text("body")
    assert tab.inner_text("h1") == "a <b> run"
    assert all(name in text for name in HOSTILE)


@pytest.mark.parametrize("tab", ["plane"], indirect=True)
def test_in_the_dark_plots_turn_dark_and_photographs_stay(tab, tmp_path):
    def pixels(query, scheme):
        tab.emulate_media(color_scheme=scheme)
        picture = tab.locator(query).first
        # On a fraction of a pixel, by the lines of text above it, it would be drawn softer.
        picture.evaluate(
            "one => { one.style.position = 'fixed'; one.style.inset = '0 auto auto 0' }"
        )
        picture.screenshot(path=tmp_path / "part.png")
        return np.asarray(Image.open(tmp_path / "part.png").convert("L"), dtype=float)

    plots, photos = (
        [pixels(f"figure{kind} img", scheme) for scheme in ("light", "dark")]
        for kind in (":not(.photo)", ".photo")
    )
    assert np.median(plots[0]) > 240
    assert np.median(plots[1]) < 40
    assert np.corrcoef(photos[0].ravel(), photos[1].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("tab", PAGES, indirect=True)
def test_each_picture_is_beside_the_page_too(tab, pages, request):
    folder = pages[request.node.callspec.params["tab"]].parent
    drawn = {path.stem: path for path in folder.glob("*.svg")}
    images = {path.stem: path for path in folder.glob("*.png")}
    assert images.keys() - {"overview"} == drawn.keys()
    assert len(drawn) == tab.locator("img").count()
    tab.goto("about:blank")
    for name, path in drawn.items():
        colours, ratio = tab.evaluate(
            COLOURS, "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
        )
        with Image.open(images[name]) as image:
            assert ratio == pytest.approx(image.width / image.height, rel=0.02), name
        assert colours > 1, name
    for path in images.values():
        with Image.open(path) as image:
            assert any(low < high for low, high in image.convert("RGB").getextrema()), path.name


@pytest.mark.parametrize("tab", ["levels"], indirect=True)
def test_a_page_can_be_printed(tab):
    assert tab.pdf().count(b"/Type /Page\n") > 3

"""How fast the page of `lowerbound serve` answers in a real browser: from the slider to the
picture, from a letter to the titles that hold it, and a map of all codes moved and looked at.

    python benchmarks/browser.py --images RUN [--items 41000] [--moves 200] [--threads 1]

RUN is a run on images, such as one of MNIST with 70,000 examples. The titles are synthetic, and the
recommender behind them has random weights, which changes nothing for a search. Server and browser
(headless Chromium, no graphics card) are processes of this machine, and the network is its
loopback. Every time is taken in the page, from the event to the frame after the last change of the
picture or the list, so that it holds up to one frame (17 ms) of waiting; other work on the machine
counts in it, and how many processes wanted a core meanwhile is noted. Writes results/browser.json,
and the table of docs/page.md.
"""

import argparse
import multiprocessing
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Browser, Page, sync_playwright

from common import arguments, parser, write
from lowerbound import load
from lowerbound.data import Items
from serving import random_run

PAGE = Path(__file__).parents[1] / "docs" / "page.md"

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

FIRST = ("Silent", "Golden", "Last", "Hidden", "Broken", "Distant", "Crimson", "Little", "Lost")
SECOND = ("River", "Garden", "Winter", "Mirror", "Station", "Harbour", "Letter", "Shadow", "Season")
THIRD = ("of the North", "in Paris", "Returns", "and the Sea", "at Midnight", "for Two", "Again")

WATCH = """
window.painted = [];
const put = CanvasRenderingContext2D.prototype.putImageData;
CanvasRenderingContext2D.prototype.putImageData = function (...given) {
  put.apply(this, given);
  const canvas = this.canvas;
  requestAnimationFrame(() => window.painted.push([canvas, performance.now()]));
};
window.answered = [];
const ask = window.fetch;
window.fetch = async (...given) => {
  const answer = await ask(...given);
  const read = answer.json.bind(answer);
  answer.json = async () => {
    const value = await read();
    setTimeout(() => requestAnimationFrame(() =>
      window.answered.push([String(given[0]), performance.now()])), 0);
    return value;
  };
  return answer;
};
window.until = async (met) => {
  const late = performance.now() + 20000;
  for (;;) {
    const value = met();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > late) throw new Error("nothing came in 20 s");
    await new Promise((go) => setTimeout(go, 1));
  }
};
"""
"""What is noted in the page: each painting and each answer, with the frame after it."""

SLIDE = """async (moves) => {
  const canvas = document.querySelector(".seen canvas");
  const sliders = [...document.querySelectorAll(".sliders input")];
  const times = [];
  for (let move = 0; move < moves; move++) {
    const slider = sliders[move % sliders.length];
    const share = ((move * 0.618) % 1);
    window.painted = [];
    const begun = performance.now();
    slider.value = Number(slider.min) + share * (slider.max - slider.min);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    times.push(await until(() => window.painted.find(([one]) => one === canvas)?.[1]) - begun);
    await new Promise((go) => setTimeout(go, 20));
  }
  return times;
}"""

DRAG = """async (seconds) => {
  const canvas = document.querySelector(".seen canvas");
  const slider = document.querySelector(".sliders input");
  window.painted = [];
  const begun = performance.now();
  let moves = 0;
  while (performance.now() - begun < 1000 * seconds) {
    const share = 0.5 + 0.5 * Math.sin(performance.now() / 300);
    slider.value = Number(slider.min) + share * (slider.max - slider.min);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    moves++;
    await new Promise((go) => setTimeout(go, 16));
  }
  return [moves, window.painted.filter(([one]) => one === canvas).length];
}"""

TYPE = """async (words) => {
  const field = document.querySelector("#items");
  const times = [];
  for (const word of words) {
    for (let length = 1; length <= word.length; length++) {
      window.answered = [];
      const begun = performance.now();
      field.value = word.slice(0, length);
      field.dispatchEvent(new Event("input", { bubbles: true }));
      times.push(await until(() => window.answered.find(([path]) => path.includes("items?"))?.[1])
        - begun);
      await new Promise((go) => setTimeout(go, 10));
    }
  }
  return times;
}"""

PAN = """async (moves) => {
  const canvas = document.querySelector("canvas[data-drawn=true]");
  const times = [];
  for (let move = 0; move < moves; move++) {
    window.painted = [];
    const begun = performance.now();
    const key = ["ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown", "+", "-"][move % 6];
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    times.push(await until(() => window.painted.find(([one]) => one === canvas)?.[1]) - begun);
  }
  return times;
}"""

HOVER = """async (moves) => {
  const canvas = document.querySelector("canvas[data-drawn=true]");
  const box = canvas.getBoundingClientRect();
  const times = [];
  let last = null;
  for (let move = 0; move < moves; move++) {
    const angle = move * 2.4;
    const reach = 0.4 * Math.sqrt(move / moves) * Math.min(box.width, box.height);
    const place = {
      clientX: box.left + box.width / 2 + reach * Math.cos(angle),
      clientY: box.top + box.height / 2 + reach * Math.sin(angle),
      bubbles: true, pointerId: 1,
    };
    const begun = performance.now();
    canvas.dispatchEvent(new PointerEvent("pointermove", place));
    await new Promise((go) => setTimeout(go, 0));
    if (!document.querySelector(".tip canvas")) continue;
    await until(() => {
      const tip = document.querySelector(".tip canvas");
      return tip && tip.dataset.drawn && tip.dataset.drawn === tip.dataset.id;
    });
    await new Promise((go) => requestAnimationFrame(go));
    const shown = document.querySelector(".tip canvas")?.dataset.drawn;
    if (shown !== last) times.push(performance.now() - begun);
    last = shown;
  }
  return times;
}"""


def catalogue(count: int) -> Items:
    """Items with titles like those of films, no two of them equal."""
    rng = np.random.default_rng(0)
    titles = []
    for number in range(count):
        first, second, third = (rng.choice(words) for words in (FIRST, SECOND, THIRD))
        titles.append(f"The {first} {second} {third} {number // 100 + 1} ({1920 + number % 100})")
    return Items(np.arange(count), titles)


def serve(images: Path, items: int, threads: int, ready: Connection) -> None:
    """Serves a run on images and a recommender with so many titles, for ever."""
    import uvicorn

    from lowerbound.doors.server import create_app

    torch.set_num_threads(threads)
    films = random_run(items)
    films.folder = Path("films")
    films.items = catalogue(items)
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app([load(images), films])
    ready.send(listening.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([listening])


@contextmanager
def served(given: argparse.Namespace) -> Iterator[str]:
    """Starts the server in a process of its own, and gives its address when it is warm."""
    from urllib.error import URLError
    from urllib.request import urlopen

    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=serve, args=(given.images, given.items, given.threads, there))
    process.start()
    try:
        address = f"http://127.0.0.1:{here.recv()}"
        for _ in range(600):
            try:
                urlopen(f"{address}/readyz").close()
                break
            except URLError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.join()


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """The median, the 95th percentile and the greatest of times in milliseconds."""
    return {
        "median": float(np.median(times)),
        "p95": float(np.quantile(times, 0.95)),
        "greatest": float(np.max(times)),
        "count": len(times),
    }


def opened(browser: Browser, address: str, place: str, whole: str) -> Page:
    """Opens a view in a tab that takes times, and waits until it is whole."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.add_init_script(WATCH)
    tab.goto(f"{address}/#/{place}")
    tab.locator(whole).first.wait_for(timeout=600_000)
    return tab


def measure(browser: Browser, address: str, given: argparse.Namespace) -> dict[str, Any]:
    """Takes all times."""
    run = given.images.resolve().name
    found: dict[str, Any] = {}
    tab = opened(browser, address, f"{run}/decode", ".seen canvas:not(.empty)")
    tab.evaluate(SLIDE, 20)
    found["slider_to_picture"] = percentiles(tab.evaluate(SLIDE, given.moves))
    moves, pictures = tab.evaluate(DRAG, 5)
    found["drag"] = {"moves_per_second": moves / 5, "pictures_per_second": pictures / 5}
    tab.close()

    tab = opened(browser, address, "films/recommend", "#items")
    words = ["hidden gar", "the last", "winter in", "mirror 17", "crimsn", "1987", "paris 3", "sea"]
    tab.evaluate(TYPE, words[:2])
    found["letter_to_titles"] = percentiles(tab.evaluate(TYPE, words)) | {"items": given.items}
    tab.close()

    whole = "canvas[data-drawn=true]"
    begun = time.perf_counter()
    tab = opened(browser, address, f"{run}/map", whole)
    found["map_first"] = {"seconds": time.perf_counter() - begun}
    tab.close()
    begun = time.perf_counter()
    tab = opened(browser, address, f"{run}/map", whole)
    label = tab.locator(whole).get_attribute("aria-label") or ""
    found["map_again"] = {"seconds": time.perf_counter() - begun, "map": label.partition(".")[0]}
    found["map_moved"] = percentiles(tab.evaluate(PAN, given.moves))
    found["hover_new_sheet"] = percentiles(tab.evaluate(HOVER, 200))
    found["hover_known_sheet"] = percentiles(tab.evaluate(HOVER, 200))
    tab.close()
    return found


ROWS = {
    "slider_to_picture": "a slider moved: the picture follows",
    "letter_to_titles": "a letter typed: the titles of {items:,} that hold it",
    "map_moved": "a map of {count:,} points moved or zoomed",
    "hover_new_sheet": "a point under the pointer, sheets of thumbnails still to be fetched",
    "hover_known_sheet": "a point under the pointer, its sheet there",
}


def table(found: Mapping[str, Any]) -> str:
    """The table of the page, in Markdown."""
    points = int("".join(filter(str.isdigit, found["map_again"]["map"])))
    items = found["letter_to_titles"]["items"]
    lines = ["| from the event to the frame after it | median | 95th percentile |", "|---|---|---|"]
    for name, text in ROWS.items():
        times = found[name]
        said = text.format(items=items, count=points)
        lines.append(f"| {said} | {times['median']:.0f} ms | {times['p95']:.0f} ms |")
    seconds = found["map_again"]["seconds"]
    lines.append(f"| the view with this map opened and drawn | {seconds:.1f} s | |")
    drag = found["drag"]["pictures_per_second"]
    busy = found["load"]
    lines.append("")
    lines.append(
        f"A slider that is dragged shows {drag:.0f} pictures a second. One thread; on the 2 cores "
        f"{busy:.1f} processes wanted to run in the mean of these minutes."
    )
    return "\n".join(lines)


def fill(page: Path, found: Mapping[str, Any]) -> None:
    """Writes the table into a page between its marks."""
    text = page.read_text(encoding="utf-8")
    begin = "<!-- begin times -->\n"
    end = "<!-- end times -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    page.write_text(f"{head}{begin}{table(found)}\n{end}{tail}", encoding="utf-8")


def main() -> None:
    """Takes all times and writes them."""
    words = parser(__doc__)
    words.add_argument("--images", type=Path, required=True, help="a run on images")
    words.add_argument("--items", type=int, default=41_000, help="titles of the catalogue")
    words.add_argument("--moves", type=int, default=200, help="of sliders, and of the map")
    words.add_argument("--page", type=Path, default=PAGE, help="whose table is written")
    given = arguments(words)
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with served(given) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        found = measure(browser, address, given)
        browser.close()
    found["load"] = os.getloadavg()[0]
    fill(given.page, found)
    given.images = given.images.resolve().name
    del given.page
    write("browser", found, given)


if __name__ == "__main__":
    main()

"""The site of the documents builds without a warning, and its pages hang together."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


class Addresses(HTMLParser):
    """Collects what a page loads and where it leads."""

    def __init__(self):
        super().__init__()
        self.loaded = []
        self.led_to = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "a":
            self.led_to.append(values.get("href"))
        elif tag in ("img", "script", "iframe"):
            self.loaded.append(values.get("src"))
        elif tag == "link" and values.get("rel") != "canonical":
            self.loaded.append(values.get("href"))


def addresses(page):
    found = Addresses()
    found.feed(page.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_hangs_together(tmp_path):
    """`make docs`, and then: nothing is loaded from another host, and no link leads nowhere."""
    site = tmp_path / "site"
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", DOCS, site],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert (built.returncode, built.stderr) == (0, "")
    for page in site.rglob("*.html"):
        found = addresses(page)
        for address in filter(None, found.loaded):
            assert not re.match(r"(\w+:)?//", address), f"{page.name} loads {address}"
        for address in filter(None, found.led_to):
            target = address.partition("#")[0].partition("?")[0]
            if target and not re.match(r"\w+:", target):
                assert (page.parent / target).exists(), f"{page.name} leads to {address}"
    reference = {path.stem for path in (site / "api").glob("*.html")}
    assert {"lowerbound", "lowerbound.families", "lowerbound.errors"} <= reference
    front = (site / "api" / "lowerbound.html").read_text(encoding="utf-8")
    for name in ("fit", "load", "Run", "Recommender", "compare", "impute", "score"):
        assert f'id="lowerbound.{name}"' in front

"""The examples of the README run, as they stand, and what it says of the recipes is what the
recipes say.
"""

import re
from pathlib import Path

import pytest

from lowerbound import recipe
from lowerbound.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


RECOMMEND = (ROOT / "docs" / "recommend.md").read_text(encoding="utf-8")

GALLERY = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")

ANOMALIES = (ROOT / "docs" / "anomalies.md").read_text(encoding="utf-8")

TUNE = (ROOT / "docs" / "tune.md").read_text(encoding="utf-8")

PAGES = README + RECOMMEND + GALLERY + ANOMALIES + TUNE

EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")

PICTURES = 1.5e6
"""Bytes of all pictures in the repository, at most."""


@pytest.mark.parametrize(
    "code",
    [
        *re.findall(r"```python\n(.*?)```", PAGES, re.DOTALL),
        re.findall(r"```python\n(.*?)```", EXTENDING, re.DOTALL)[-1],
    ],
    ids=[
        "first",
        "tables",
        "recommend",
        "compose",
        "recommend.md",
        "figures",
        "compare",
        "anomalies",
        "tune",
        "extending",
    ],
)
def test_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_every_recipe_stands_in_the_table_with_its_own_words():
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|(.*)$", README, re.MULTILINE))
    assert rows.keys() == recipe.packaged().keys()
    for name, row in rows.items():
        about = recipe.load(name).about
        assert about.measured in row
        assert about.expected in row


def test_every_command_of_the_readme_exists():
    known = {command.name or command.callback.__name__ for command in app.app.registered_commands}
    used = set(re.findall(r"^lowerbound (\w+)", PAGES, re.MULTILINE))
    assert used
    assert used <= known


DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_the_documents_name_exists(document):
    """A file of Python may be named by the end of its path: `networks/conv.py`."""
    text = document.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:docs|tests|benchmarks)/[\w./]+)`", text):
        assert (ROOT / name).exists(), f"{document.name} names {name}"
    folders = ("src", "tests", "benchmarks", "docs")
    files = [f"/{path}" for folder in folders for path in (ROOT / folder).rglob("*.py")]
    for name in re.findall(r"`([\w./]+\.py)`", text):
        assert any(path.endswith(f"/{name}") for path in files), f"{document.name} names {name}"


def test_every_picture_is_there_and_small():
    shown = {ROOT / name for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)}
    shown |= {ROOT / "docs" / name for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", GALLERY)}
    kept = set((ROOT / "docs" / "gallery").iterdir())
    assert shown == kept
    assert sum(path.stat().st_size for path in kept) < PICTURES

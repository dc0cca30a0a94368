"""The documents keep their word: their examples run as they stand, their commands and settings
exist, and what they say of the recipes is what the recipes say.
"""

import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from lowerbound import fitting, recipe
from lowerbound.cli import app

ROOT = Path(__file__).parents[2]

README = (ROOT / "README.md").read_text(encoding="utf-8")

GALLERY = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")

PICTURES = 1.5e6
"""Bytes of all pictures in the repository, at most."""

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

DOCUMENTS = [
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *PAGES,
]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

NOT_RUN = re.compile(r"<!-- not run: .+ -->\n$")
"""Stands on the line before a block that cannot run, and says why."""

SHELLS = ("", "sh", "bash", "console")
"""The languages of blocks that hold commands."""

COMMANDS = typer.main.get_command(app.app).commands


class Block(NamedTuple):
    """A block of code in a document: its language, its text, the line above it counted from 1, and
    whether a comment says that it is not to be run.
    """

    language: str
    text: str
    line: int
    left_out: bool


def blocks(page):
    """Lists the blocks of code of a document."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()]
        left_out = NOT_RUN.search(before) is not None
        found.append(Block(match[1], match[2], before.count("\n") + 1, left_out))
    return found


def examples(page):
    """Lists the blocks of Python that are to be run."""
    return [block for block in blocks(page) if block.language == "python" and not block.left_out]


def of_pages(pages):
    return pytest.mark.parametrize("page", pages, ids=lambda path: path.name)


@pytest.fixture
def _mlflow_as_it_was():
    """Forgets the store that an example sets for the whole process."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)


SHORT = {"training.epochs": 1, "training.steps": None, "report.write": False}
"""Settings that take the place of those of an example."""


@pytest.fixture
def _short_fits(monkeypatch):
    """Lets each fit of an example take one epoch and write no report: what a reader does with the
    run is the same however good the model is. The settings are checked as they stand.
    """
    fit = fitting.fit

    def fit_shortly(name, *, settings=None, **options):
        settings = settings or {}
        if isinstance(name, str):
            recipe.load(name).replace(settings)
        return fit(name, settings={**settings, **SHORT}, **options)

    monkeypatch.setattr(fitting, "fit", fit_shortly)


@of_pages([page for page in PAGES if examples(page)])
@pytest.mark.usefixtures("_mlflow_as_it_was", "_short_fits")
def test_examples_run(page, tmp_path, monkeypatch):
    """The blocks of a page run one after the other in one folder, as a reader would paste them."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in examples(page):
        code = "\n" * block.line + block.text  # so that a traceback names the line of the page
        exec(compile(code, str(page), "exec"), names)


def words(line):
    """Splits a command line as a shell does, up to its comment or the next command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    found = []
    for word in lexer:
        if set(word) <= set(";|&<>"):
            break
        found.append(word)
    return found


def command_lines(text):
    """Lists the command lines of a block, each joined with the lines that it goes on in."""
    joined = text.replace("\\\n", " ")
    return re.findall(r"^(?:\$ )?(?:.* -m )?(lowerbound \w.*)$", joined, re.MULTILINE)


def complain(line, whole):
    """Says what is wrong with a command line of `lowerbound`, or returns None.

    Args:
        line: the command line.
        whole: whether it is to be one that could run, with all that the command requires.
    """
    _, name, *arguments = words(line)
    if name not in COMMANDS:
        return f"there is no command {name}"
    command = COMMANDS[name]
    try:
        if whole:
            values = command.make_context(name, arguments).params
            if name == "fit" and not values["allow_code"]:
                check_settings(values["recipe"], values["settings"])
        else:
            context = command.context_class(command, info_name=name)
            command.make_parser(context).parse_args(arguments)
    except Exception as error:
        return str(error)
    return None


def check_settings(name, changed):
    """Raises what a fit of a packaged recipe would say of its settings."""
    if name in recipe.packaged():
        recipe.load(name).replace(recipe.settings(changed or []))


@of_pages(DOCUMENTS)
def test_every_command_line_of_a_block_could_run(page):
    """Commands, options, what they require, and the settings of a fit."""
    for block in blocks(page):
        if block.language in SHELLS and not block.left_out:
            for line in command_lines(block.text):
                assert complain(line, whole=True) is None, f"{page.name}:{block.line}: {line}"


@of_pages(DOCUMENTS)
def test_every_command_line_within_the_text_exists(page):
    """Commands and options: such a line may be a part of one that could run."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for line in re.findall(r"`(lowerbound [a-z][^`]*)`", text):
        assert complain(line, whole=False) is None, f"{page.name}: {line}"


def test_a_wrong_command_line_is_found():
    """The tests above can fail."""
    assert complain("lowerbound fit digits --out runs/a  # a comment", whole=True) is None
    assert complain("lowerbound list | head", whole=True) is None
    wrong = {
        "lowerbound fitt digits": "no command fitt",
        "lowerbound fit digits --outt runs/a": "--outt",
        "lowerbound fit": "Missing parameter: recipe",
        "lowerbound fit digits --set model.latant=3": "latant",
    }
    for line, told in wrong.items():
        assert told in complain(line, whole=True)
    assert "--outt" in complain("lowerbound fit --outt", whole=False)
    assert complain("lowerbound fit", whole=False) is None


def test_every_recipe_stands_in_the_table_with_its_own_words():
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|(.*)$", README, re.MULTILINE))
    assert rows.keys() == recipe.packaged().keys()
    for name, row in rows.items():
        about = recipe.load(name).about
        said = row.replace("\\|", "|")
        assert about.measured in said
        assert about.expected in said


@of_pages(DOCUMENTS)
def test_every_row_of_a_table_has_the_cells_of_its_head(page):
    """A | within a cell is written \\|, also in code."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = table.splitlines()
        head = len(re.findall(r"(?<!\\)\|", rows[0]))
        for row in rows:
            assert len(re.findall(r"(?<!\\)\|", row)) == head, f"{page.name}: {row}"


@of_pages(DOCUMENTS)
def test_every_file_that_the_documents_name_exists(page):
    """A file of Python may be named by the end of its path: `networks/conv.py`."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:docs|tests|benchmarks)/[\w./]+)`", text):
        assert (ROOT / name).exists(), f"{page.name} names {name}"
    folders = ("src", "tests", "benchmarks", "docs")
    files = [f"/{path}" for folder in folders for path in (ROOT / folder).rglob("*.py")]
    for name in re.findall(r"`([\w./]+\.py)`", text):
        assert any(path.endswith(f"/{name}") for path in files), f"{page.name} names {name}"


def test_every_picture_is_there_and_small():
    shown = {ROOT / name for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)}
    shown |= {ROOT / "docs" / name for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", GALLERY)}
    kept = set((ROOT / "docs" / "gallery").iterdir())
    assert shown == kept
    assert sum(path.stat().st_size for path in kept) < PICTURES

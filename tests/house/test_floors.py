"""The floors of the house: a module imports only from floors below its own, read from the source,
wherever the import stands.
"""

import ast
from pathlib import Path

import pytest

import lowerbound

ROOT = Path(lowerbound.__file__).parent

# From the ground up. On one line: units that may not know each other. A unit is a module, or a
# package whose files may import each other, but never in a circle. docs/architecture.md is drawn
# from these lines, and a test below holds it to them.
ORDER = (
    ("errors", "sparse"),
    ("specs", "system"),
    ("networks",),
    ("distributed", "tracking", "hub"),
    ("schedules", "optimizers", "baselines"),
    ("batch", "columns"),
    ("noise", "families"),
    ("data", "priors"),
    ("latents",),
    ("model",),
    ("objectives", "evaluation"),
    ("recipe", "recipes", "testing"),
    ("training",),
    ("run",),
    ("recommend", "anomalies", "imputation"),
    ("neighbours",),
    ("report",),
    ("fitting",),
    ("doors", "sklearn"),
    ("cli",),
    ("__main__",),
)
RANK = {unit: rank for rank, units in enumerate(ORDER) for unit in units}

DOORS = {
    "recommend": {"neighbours", "report", "doors", "sklearn", "cli"},
    "anomalies": {"report", "fitting", "doors", "sklearn", "cli"},
    "imputation": {"report", "fitting", "doors", "sklearn", "cli"},
    "neighbours": {"doors", "sklearn", "cli"},
    "report": {"fitting", "doors", "sklearn", "cli"},
    "fitting": {"doors", "sklearn", "cli"},
    "hub": {"run", "doors", "cli"},
    "doors": {"cli"},
    "sklearn": set(),
    "testing": {"cli"},
    "cli": {"__main__"},
    "__main__": set(),
}
"""Who may import them, beside the tests."""

UNSEEN = {
    "objectives": {"networks", "families"},
    "evaluation": {"networks", "families"},
}
"""Lower units that are not seen all the same: losses and measures work on records."""


def unit(path):
    """The unit that a file belongs to; "" for the root of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def module(path):
    """The dotted name of the package that a file's relative imports start from, as a list."""
    return ["lowerbound", *path.relative_to(ROOT).parts[:-1]]


def imported_nodes(path, tree):
    """Every import of a file, absolute or relative, wherever it stands: its node, and its parts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module(path)[: len(module(path)) - node.level + 1] if node.level else []
            start = [*above, *(node.module or "").split(".")] if node.module else above
            yield from ((node, [*start, alias.name]) for alias in node.names)


def imported(path):
    """Every name that a file imports, as parts."""
    for _, parts in imported_nodes(path, ast.parse(path.read_text(encoding="utf-8"))):
        yield parts


def units_imported(path):
    """Units that a file imports; "" for a name of the root itself, but the version, which is a mere
    string, is free.
    """
    for parts in imported(path):
        if parts[0] == "lowerbound" and parts[1:] != ["__version__"]:
            known = len(parts) > 1 and (
                (ROOT / parts[1]).is_dir() or (ROOT / f"{parts[1]}.py").is_file()
            )
            yield parts[1] if known else ""


FILES = sorted(ROOT.rglob("*.py"))
by_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))


@by_file
def test_every_file_has_a_floor(path):
    assert unit(path) in {"", *RANK}, (
        f"{path.name} has no floor; give it one in {Path(__file__).name}"
    )


@by_file
def test_imports_go_down(path):
    own = unit(path)
    if own == "":
        return  # the root names what is public
    for other in set(units_imported(path)) - {own}:
        assert other, f"{own} imports from the root of the package, which stands above it"
        assert RANK.get(other, -1) < RANK.get(own, 99), (
            f"{own} imports {other}, which is not below it"
        )
        assert own in DOORS.get(other, {own}), f"{own} imports {other}, a door"
        assert other not in UNSEEN.get(own, ()), f"{own} imports {other}; it works on records alone"


def file_of(parts):
    """The file that an imported dotted name stands in, or None for a name of another library."""
    for length in range(len(parts), 0, -1):
        path = ROOT.parent.joinpath(*parts[:length])
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
        if (path / "__init__.py").is_file():
            return path / "__init__.py"
    return None


def imports_by_file(files):
    """For each file the files that it imports when it is read, or for the sake of types.

    Imports inside functions happen later and tie no knot. What a package re-exports lazily for the
    reader of types (an `if TYPE_CHECKING` in an `__init__.py`) ties none either.
    """
    found = {}
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        late = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                late.update(ast.walk(node))
            is_typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            if is_typing and path.name == "__init__.py":
                late.update(ast.walk(node))
        early = [parts for node, parts in imported_nodes(path, tree) if node not in late]
        # `from . import part` reads the package itself first, which may import this very file.
        early += [parts[:-1] for parts in early if len(parts) > 1]
        targets = {file_of(parts) for parts in early if parts[0] == "lowerbound"}
        found[path] = targets - {None, path}
    return found


def cycle(graph):
    """A circle of files that import each other, as a list, or None."""
    done, way = set(), []

    def visit(path):
        if path in way:
            return [*way[way.index(path) :], path]
        if path in done:
            return None
        way.append(path)
        for other in sorted(graph.get(path, ())):
            if found := visit(other):
                return found
        way.pop()
        done.add(path)
        return None

    for path in sorted(graph):
        if found := visit(path):
            return found
    return None


def test_no_files_import_each_other_in_a_circle():
    found = cycle(imports_by_file(FILES))
    names = [str(path.relative_to(ROOT)) for path in found or ()]
    assert found is None, f"an import cycle: {' -> '.join(names)}"


def test_a_circle_is_found(tmp_path, monkeypatch):
    """A test of this test: a circle within a package, one half of it for the sake of types."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path / "lowerbound")
    package = tmp_path / "lowerbound" / "data"
    package.mkdir(parents=True)
    for path in (tmp_path / "lowerbound" / "__init__.py", package / "__init__.py"):
        path.touch()
    one, two = package / "one.py", package / "two.py"
    one.write_text("from .two import a\n")
    two.write_text("def f():\n    from .one import b\n")
    assert cycle(imports_by_file([one, two])) is None
    two.write_text("if TYPE_CHECKING:\n    from .one import b\n")
    assert cycle(imports_by_file([one, two])) == [one, two, one]
    whole = package / "__init__.py"
    whole.write_text("from .one import a\n")
    one.write_text("from . import two\n")
    assert cycle(imports_by_file([whole, one])) == [whole, one, whole]


def test_the_architecture_is_drawn_from_this_order():
    page = (ROOT.parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = "\n".join("  ".join(units) for units in ORDER)
    assert f"```text\n{lines}\n```" in page


def test_the_architecture_names_every_room():
    page = (ROOT.parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in ROOT.iterdir():
        if path.suffix == ".py" and not path.name.startswith("__"):
            assert f"{path.name}" in page, f"the tree lacks {path.name}"
        if (path / "__init__.py").is_file():
            assert f"{path.name}/" in page, f"the tree lacks {path.name}/"


def test_few_stand_at_the_front_door():
    modules = [path for path in ROOT.glob("*.py") if path.name != "__init__.py"]
    packages = [path for path in ROOT.iterdir() if (path / "__init__.py").is_file()]
    assert len(modules) + len(packages) <= 35


def test_the_reader_sees_every_way_to_import(tmp_path, monkeypatch):
    """A test of this test: relative and absolute, of modules and of names, from a package's file
    and inside a function.
    """
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    for name in ("model", "latents", "noise", "run", "cli"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "set.py"
    path.write_text(
        "import lowerbound.model\nfrom lowerbound import latents\nfrom ..noise import x\nfrom "
        ".other import y\nfrom . import z\n"
        "import os\nfrom .. import __version__\ndef f():\n    from lowerbound.run import g\n    "
        "from .. import cli, thing\n"
    )
    assert sorted(units_imported(path)) == [
        "",
        "cli",
        "data",
        "data",
        "latents",
        "model",
        "noise",
        "run",
    ]

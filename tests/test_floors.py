"""The floors of the house: a module imports only from floors below its own, read from the source,
wherever the import stands.
"""

import ast
from pathlib import Path

import pytest

import lowerbound

ROOT = Path(lowerbound.__file__).parent

# From the ground up. On one line: units that may not know each other. A unit is a module, or a
# package whose files may
# import each other. Within a floor the order of the lines is allowed too.
ORDER = (
    ("errors", "later", "listing", "tiling"),
    ("catalogue", "files", "interrupts", "machine", "progress", "shares", "sparse", "workers"),
    ("affine",),
    ("schedules", "tracking"),
    ("families", "noise", "networks", "data"),
    ("conditionals", "priors"),
    ("latents",),
    ("model",),
    ("objectives", "evaluation", "baselines", "optimizers", "execution", "sharding"),
    ("recipe", "recipes"),
    ("checkpoint",),
    ("training",),
    ("run",),
    ("recommend",),
    ("anomalies", "outputs"),
    ("report",),
    ("fitting",),
    ("cli",),
    ("__main__",),
)
RANK = {unit: rank for rank, units in enumerate(ORDER) for unit in units}
RANK["testing"] = RANK["objectives"] + 0.5

DOORS = {
    "recommend": {"outputs", "report", "cli"},
    "anomalies": {"report", "cli"},
    "outputs": {"report", "cli"},
    "report": {"fitting", "cli"},
    "fitting": {"cli"},
    "testing": {"cli"},
    "cli": {"__main__"},
    "__main__": set(),
}
"""Who may import them, beside the tests."""

UNSEEN = {
    "objectives": {"networks", "conditionals", "families"},
    "evaluation": {"networks", "conditionals", "families"},
}
"""Lower units that are not seen all the same: losses and measures work on records."""


def unit(path):
    """The unit that a file belongs to; "" for the root of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def module(path):
    """The dotted name of the package that a file's relative imports start from, as a list."""
    return ["lowerbound", *path.relative_to(ROOT).parts[:-1]]


def imported(path):
    """Every name below `lowerbound` that a file imports, absolute or relative, at the top or inside
    a function, as parts.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module(path)[: len(module(path)) - node.level + 1] if node.level else []
            start = [*above, *(node.module or "").split(".")] if node.module else above
            yield from ([*start, alias.name] for alias in node.names)


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

"""The contents of the catalogues, read from source files without importing them.

`lowerbound list` answers from here before torch could be imported. `registry.members` decides what
a part is. This module finds the same classes as long as they are written as the package writes
them: at the top of a module, with their bases by name.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.parent
"""The folder of this package."""

BASES = {
    "networks": "Network",
    "networks.ladders": "Ladder",
    "families": "Family",
    "columns.families": "ColumnFamily",
    "noise": "Noise",
    "priors": "Prior",
    "objectives": "Objective",
    "schedules": "Schedule",
    "baselines.linear": "LinearBaseline",
}
"""The modules that define parts, each with the base class of all its parts."""


@dataclass(frozen=True)
class Class:
    """A class as its source describes it.

    Attributes:
        bases: the names of its base classes, without their modules.
        summary: the first paragraph of the docstring, on one line; "" without a docstring.
        abstract: the names of its abstract methods.
        concrete: all other names that its body binds.
    """

    bases: tuple[str, ...]
    summary: str
    abstract: frozenset[str]
    concrete: frozenset[str]


def parts(module: str, base: str) -> dict[str, str]:
    """Lists the public final classes below `base` in a module, each with its summary.

    They are those that `registry.members` finds, in the same order.
    """
    known = classes(module)
    summaries = {}
    for name, described in known.items():
        is_public_part = name != base and not name.startswith("_")
        if is_public_part and base in _ancestry(name, known) and not _missing(name, known):
            summaries[name] = described.summary
    return summaries


def classes(module: str) -> dict[str, Class]:
    """Reads the classes of a module of this package, or of all files of a package in it."""
    found = {}
    for path in _source_files(module):
        for node in _parse(path).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = _read_class(node)
    return found


def _source_files(module: str) -> list[Path]:
    """Gives the file of a module of this package, or the files of a package in listed order."""
    folder = HERE.joinpath(*module.split("."))
    package = folder / "__init__.py"
    if not package.is_file():
        return [folder.with_suffix(".py")]
    listed_first = _read_constant(package, "LISTED_FIRST", ())
    first = [package.with_name(f"{name}.py") for name in listed_first]
    others = sorted(set(package.parent.glob("*.py")) - {package, *first})
    return [package, *first, *others]


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _read_constant(path: Path, name: str, default: Any) -> Any:
    """Gives the literal value that a source file assigns to a name, or the default."""
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Assign) and name in map(_last_name, node.targets):
            return ast.literal_eval(node.value)
    return default


def _last_name(expression: ast.expr) -> str:
    """Gives `Adam` for `torch.optim.Adam`, `Imputer` for `Imputer[Fitted]`, and "" for an
    expression that is not a name.
    """
    if isinstance(expression, ast.Subscript):
        return _last_name(expression.value)
    if isinstance(expression, ast.Attribute):
        return expression.attr
    if isinstance(expression, ast.Name):
        return expression.id
    return ""


def _read_class(node: ast.ClassDef) -> Class:
    abstract: set[str] = set()
    concrete: set[str] = set()
    for statement in node.body:
        names = _bound_names(statement)
        if _is_abstract(statement):
            abstract.update(names)
        else:
            concrete.update(names)
    docstring = cleandoc(ast.get_docstring(node) or "")
    first_paragraph = docstring.partition("\n\n")[0]
    return Class(
        bases=tuple(map(_last_name, node.bases)),
        summary=" ".join(first_paragraph.split()),
        abstract=frozenset(abstract),
        concrete=frozenset(concrete),
    )


def _is_abstract(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.FunctionDef):
        return False
    return "abstractmethod" in map(_last_name, statement.decorator_list)


def _bound_names(statement: ast.stmt) -> list[str]:
    """Lists the names that a statement in the body of a class binds.

    An annotation without a value binds nothing.
    """
    if isinstance(statement, ast.Assign):
        return [_last_name(target) for target in statement.targets]
    if isinstance(statement, ast.AnnAssign) and statement.value:
        return [_last_name(statement.target)]
    return [getattr(statement, "name", "")]


def _ancestry(name: str, known: dict[str, Class]) -> Iterator[str]:
    """Yields a class and all that it derives from, as far as they are known."""
    yield name
    if name in known:
        for base in known[name].bases:
            yield from _ancestry(base, known)


def _missing(name: str, known: dict[str, Class]) -> frozenset[str]:
    """Gives the abstract methods that a class does not implement."""
    if name not in known:
        return frozenset()
    described = known[name]
    inherited: set[str] = set()
    for base in described.bases:
        inherited |= _missing(base, known)
    return frozenset(inherited - described.concrete) | described.abstract


def optimizers() -> dict[str, str]:
    """Lists the optimisers that `optimizers.optimizers` offers, each with a line on it."""
    spec = find_spec("torch")
    (torch_folder,) = spec.submodule_search_locations  # type: ignore[union-attr, misc]
    torch_names = set()
    for node in _parse(Path(torch_folder, "optim", "__init__.py")).body:
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            torch_names |= {name for name in names if name[0].isupper()}
    left_out = _read_constant(HERE / "optimizers.py", "special", set())
    listed = {name: "torch.optim" for name in sorted(torch_names) if name not in left_out}
    for name, described in classes("optimizers").items():
        if torch_names.intersection(described.bases):
            listed[name] = described.summary
    return listed


GROUPS = {
    "first": "for a first run",
    "images": "for images of your own (--data FOLDER or FILE)",
    "table": "for a table of your own (--data FILE)",
    "interactions": "for interactions of your own, users and items (--data FILE)",
    "published": "published systems and data sets, to reproduce and to compare with",
}
"""The groups of recipes by what a user has, in the order in which they are listed."""


def recipes() -> dict[str, str]:
    """Lists the recipes that come with the package, each with its title."""
    return {name: about["title"] for name, about in _abouts().items()}


def recipes_by_group() -> dict[str, dict[str, str]]:
    """Lists the recipes that come with the package by what they are for, each with its title.

    Returns:
        For each of `GROUPS`, by its words, the recipes of the group.
    """
    groups: dict[str, dict[str, str]] = {words: {} for words in GROUPS.values()}
    for name, about in _abouts().items():
        groups[GROUPS[about["group"]]][name] = about["title"]
    return groups


def _abouts() -> dict[str, dict[str, str]]:
    """Reads the table `about` of each recipe that comes with the package."""
    abouts = {}
    for path in sorted((HERE / "recipes").glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        abouts[path.stem] = tables["about"]
    return abouts


ENTRY_POINT_GROUPS = "lowerbound."
"""The groups of entry points by which an installed package announces its parts begin with this; the
name of a catalogue follows, as in `lowerbound.priors`.
"""


def installed_parts(catalogue: str) -> dict[str, str]:
    """Lists the parts that installed packages announce for a catalogue, without importing them.

    Returns:
        The name and version of the distribution, by the name of the part in a recipe.
    """
    return dict(sorted(_entry_points().get(catalogue, {}).items()))


@cache
def _entry_points() -> dict[str, dict[str, str]]:
    """Reads the entry points of all installed packages, by catalogue.

    Importing `importlib.metadata` takes a fifth of the time of `lowerbound list`, so that it is
    done only where a package announces anything. Of a distribution that is installed twice the
    first one on `sys.path` counts, as it does for imports.
    """
    by_catalogue: dict[str, dict[str, str]] = {}
    seen = set()
    for file in _announcing_files():
        from importlib.metadata import Distribution

        distribution = Distribution.at(file.parent)
        name = distribution.metadata["Name"]
        if name in seen:
            continue
        seen.add(name)
        for entry in distribution.entry_points:
            if entry.group.startswith(ENTRY_POINT_GROUPS):
                catalogue = entry.group.removeprefix(ENTRY_POINT_GROUPS)
                part = entry.value.partition("[")[0].strip()
                line = f"{name} {distribution.version}"
                by_catalogue.setdefault(catalogue, {})[part] = line
    return by_catalogue


def _announcing_files() -> Iterator[Path]:
    """Yields each `entry_points.txt` on `sys.path` that names a group of this package."""
    marker = f"[{ENTRY_POINT_GROUPS}".encode()
    for folder in dict.fromkeys(sys.path):
        for file in Path(folder).glob("*.*-info/entry_points.txt"):
            if marker in file.read_bytes():
                yield file

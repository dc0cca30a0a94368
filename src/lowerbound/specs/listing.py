"""What there is, by name, read from source files that are not imported: `lowerbound list` answers
before torch would be there.

What a part is, `catalogue.members` decides; this says the same of classes that are written as those
of the house are: at the top of a module, their bases by name.
"""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.parent


BASES = {
    "networks": "Network",
    "families": "Family",
    "noise": "Noise",
    "priors": "Prior",
    "objectives": "Objective",
    "schedules": "Schedule",
}
"""The modules of the parts, each with the class that all of its parts are below."""


@dataclass(frozen=True)
class Class:
    """A class as its source says.

    Attributes:
        bases: their names, without the modules that they are in.
        summary: first paragraph of the docstring, on one line, "" without one.
        abstract: names of its methods that are to be written by others.
        given: all other names in its body.
    """

    bases: tuple[str, ...]
    summary: str
    abstract: frozenset[str]
    given: frozenset[str]


def _files(module: str) -> list[Path]:
    """Gives the file of a module of this package, or the files of a package in its order."""
    package = HERE / module / "__init__.py"
    if not package.is_file():
        return [HERE / f"{module}.py"]
    first = _constant(package, "LISTED_FIRST", ())
    listed = [package.with_name(f"{name}.py") for name in first]
    others = sorted(set(package.parent.glob("*.py")) - {package, *listed})
    return [package, *listed, *others]


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _last(expression: ast.expr) -> str:
    """`Adam` of `torch.optim.Adam`; "" of what is no name."""
    return getattr(expression, "attr", getattr(expression, "id", ""))


def _abstract(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and "abstractmethod" in map(_last, node.decorator_list)


def _names(node: ast.stmt) -> list[str]:
    """The names that a statement in the body of a class binds."""
    if isinstance(node, ast.Assign):
        return [_last(target) for target in node.targets]
    return (
        [_last(node.target)]
        if isinstance(node, ast.AnnAssign) and node.value
        else [getattr(node, "name", "")]
    )


def _read(node: ast.ClassDef) -> Class:
    abstract = frozenset(name for each in node.body if _abstract(each) for name in _names(each))
    given = frozenset(name for each in node.body if not _abstract(each) for name in _names(each))
    first_paragraph = cleandoc(ast.get_docstring(node) or "").partition("\n\n")[0]
    summary = " ".join(first_paragraph.split())
    return Class(tuple(map(_last, node.bases)), summary, abstract, given)


def classes(module: str) -> dict[str, Class]:
    """The classes of a module of this package, or of all files of a package in it, by name."""
    return {
        node.name: _read(node)
        for path in _files(module)
        for node in _parsed(path).body
        if isinstance(node, ast.ClassDef)
    }


def _line(name: str, known: dict[str, Class]) -> Iterator[str]:
    """A class and all that it derives from, as far as they are known."""
    yield name
    for base in known[name].bases if name in known else ():
        yield from _line(base, known)


def _missing(name: str, known: dict[str, Class]) -> frozenset[str]:
    """Abstract methods that a class has not written."""
    if name not in known:
        return frozenset()
    inherited = frozenset[str]().union(*(_missing(base, known) for base in known[name].bases))
    return (inherited - known[name].given) | known[name].abstract


def parts(module: str, base: str) -> dict[str, str]:
    """The public final classes below `base` in a module, as `catalogue.members` finds them, each
    with a line on it.
    """
    known = classes(module)
    return {
        name: found.summary
        for name, found in known.items()
        if name != base
        and not name.startswith("_")
        and base in _line(name, known)
        and not _missing(name, known)
    }


def optimizers() -> dict[str, str]:
    """The optimisers that a recipe can name, as `optimizers.optimizers` finds them, each with a
    line on it.
    """
    (folder,) = find_spec("torch").submodule_search_locations  # type: ignore[union-attr, misc]
    imports = [
        node
        for node in _parsed(Path(folder, "optim", "__init__.py")).body
        if isinstance(node, ast.ImportFrom)
    ]
    names = sorted(
        alias.name for node in imports for alias in node.names if alias.name[0].isupper()
    )
    own = {
        name: found.summary
        for name, found in classes("optimizers").items()
        if set(found.bases) & set(names)
    }
    left_out = _constant(HERE / "optimizers.py", "special", set())
    return {name: "torch.optim" for name in names if name not in left_out} | own


def _constant(path: Path, name: str, otherwise: Any) -> Any:
    """Gives the literal that a source file writes down under a name, or something else."""
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Assign) and name in map(_last, node.targets):
            return ast.literal_eval(node.value)
    return otherwise


def recipes() -> dict[str, str]:
    """The recipes that come with the package, each with its title."""
    files = sorted((HERE / "recipes").glob("*.toml"))
    return {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["about"]["title"]
        for path in files
    }

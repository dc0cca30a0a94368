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
        summary: first line of the docstring, "" without one.
        abstract: names of its methods that are to be written by others.
        given: all other names in its body.
    """

    bases: tuple[str, ...]
    summary: str
    abstract: frozenset[str]
    given: frozenset[str]


def _files(module: str) -> list[Path]:
    """The file of a module of this package, or the files of a package in it."""
    first = HERE / module / "__init__.py"
    return (
        [first, *sorted(set(first.parent.glob("*.py")) - {first})]
        if first.is_file()
        else [HERE / f"{module}.py"]
    )


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
    summary = cleandoc(ast.get_docstring(node) or "").partition("\n")[0]
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
    left_out = _constant("optimizers", "special")
    return {name: "torch.optim" for name in names if name not in left_out} | own


def _constant(module: str, name: str) -> set[str]:
    """A set of texts that a module writes down under a name."""
    assigned = (
        node for node in ast.walk(_parsed(HERE / f"{module}.py")) if isinstance(node, ast.Assign)
    )
    return next(
        ast.literal_eval(node.value) for node in assigned if name in map(_last, node.targets)
    )


def recipes() -> dict[str, str]:
    """The recipes that come with the package, each with its title."""
    files = sorted((HERE / "recipes").glob("*.toml"))
    return {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["about"]["title"]
        for path in files
    }

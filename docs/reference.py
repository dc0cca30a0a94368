"""The pages of the reference: one for each module whose names are public, written from what the
modules say of themselves.
"""

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from sphinx.pycode import ModuleAnalyzer

import lowerbound

PROGRAMS = ("lowerbound.cli", "lowerbound.__main__")
"""What is run and not imported."""

LONGEST = 60
"""Characters of the value of a constant that is shown, at most."""


def public_modules() -> list[ModuleType]:
    """Finds the package, its packages with public names, and the modules on its first floor."""
    modules: list[ModuleType] = [lowerbound]
    for found in pkgutil.walk_packages(lowerbound.__path__, "lowerbound."):
        if found.name in PROGRAMS or not (found.ispkg or found.name.count(".") == 1):
            continue
        module = importlib.import_module(found.name)
        if public_names(module):
            modules.append(module)
    return modules


def public_names(module: ModuleType) -> list[str]:
    """Lists the public names: those of `__all__`; of a single file what it defines itself."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not name.startswith("_")]
    if hasattr(module, "__path__"):
        return []
    return [name for name in vars(module) if is_defined_here(module, name)]


def is_defined_here(module: ModuleType, name: str) -> bool:
    """Whether a module defines a public class or function of that name."""
    value = getattr(module, name)
    if name.startswith("_") or not (inspect.isclass(value) or inspect.isfunction(value)):
        return False
    return value.__module__ == module.__name__


def pages() -> Iterator[tuple[str, str]]:
    """Gives the name and the text of each page.

    A name that several modules export is told of once, where it comes first.
    """
    told: dict[int, str] = {}
    rows = []
    for module in public_modules():
        name = module.__name__
        rows.append(f"| [{name}]({name}.md) | {first_sentence(module)} |")
        here = []
        elsewhere = []
        for each in public_names(module):
            value = getattr(module, each)
            home = told.get(id(value))
            if home:
                elsewhere.append(f"{each}: see {{py:obj}}`{home}.{each}`")
            else:
                told[id(value)] = name
                here.append(each)
        yield name, page_of(module, here, elsewhere)
    yield "index", index_of(rows)


def first_sentence(module: ModuleType) -> str:
    """Gives the first sentence that a module says of itself, on one line."""
    text = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
    return text.replace("|", "\\|").replace("->", "→")


def page_of(module: ModuleType, here: list[str], elsewhere: list[str]) -> str:
    """Words the page of a module."""
    name = module.__name__
    lines = [f"# {name}", "", "```{eval-rst}", f".. automodule:: {name}", "   :no-members:", ""]
    lines += [f".. py:currentmodule:: {name}", ""]
    for each in here:
        lines += [*directive(module, each), ""]
    lines += ["```", ""]
    if elsewhere:
        lines += ["Also here, and told of elsewhere:", ""]
        lines += [f"- {line}" for line in elsewhere]
        lines += [""]
    return "\n".join(lines)


def directive(module: ModuleType, name: str) -> list[str]:
    """Words what Sphinx is to tell of a name."""
    value = getattr(module, name)
    if inspect.isclass(value):
        lines = [f".. autoclass:: {name}", "   :members:"]
        if value.__bases__ != (object,):
            lines += ["   :show-inheritance:"]
        return lines
    if inspect.isroutine(value):
        return [f".. autofunction:: {name}"]
    lines = [f".. py:data:: {name}"]
    if len(repr(value)) <= LONGEST and "0x" not in repr(value):
        lines += [f"   :value: {value!r}"]
    return [*lines, "", *(f"   {line}" for line in as_rst(constant_docstring(module, name)))]


def constant_docstring(module: ModuleType, name: str) -> list[str]:
    """Finds what stands below the assignment of a constant, in the file that assigns it."""
    value = getattr(module, name)
    for path in sorted(sys.modules):
        inside = path == module.__name__ or path.startswith(f"{module.__name__}.")
        if inside and getattr(sys.modules[path], name, None) is value:
            documented = ModuleAnalyzer.for_module(path).find_attr_docs()
            if ("", name) in documented:
                return documented["", name]
    return []


def as_rst(lines: Iterable[str]) -> list[str]:
    """Writes plain text with names in backticks as reStructuredText, in which more signs mean
    something.
    """
    return [line if line.lstrip().startswith(">>>") else escape(line) for line in lines]


def escape(line: str) -> str:
    """Escapes the signs of reStructuredText in a line, but for those between backticks."""
    pieces = line.split("`")
    for outside in range(0, len(pieces), 2):
        pieces[outside] = re.sub(r"[*|]|(?<=\w)_(?!\w)", r"\\\g<0>", pieces[outside])
    return "`".join(pieces)


INDEX = """\
# Reference

What can be imported, as the docstrings tell it. Shapes stand in parentheses, K samples first, then
B examples; figures are nats per example; every exception is below
{py:obj}`lowerbound.errors.LowerboundError`.

| module | what |
|---|---|
ROWS

```{toctree}
:hidden:
:glob:

lowerbound
*
```
"""


def index_of(rows: list[str]) -> str:
    """Words the first page of the reference."""
    return INDEX.replace("ROWS", "\n".join(rows))


def write_pages(folder: Path) -> None:
    """Writes the pages that have changed, and removes those of modules that are gone."""
    folder.mkdir(exist_ok=True)
    wanted = {f"{name}.md": text for name, text in pages()}
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")

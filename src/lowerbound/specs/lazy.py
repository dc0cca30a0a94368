"""Packages that import their public names when these are first used, so that importing the package
itself takes little time.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def exports(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Makes the `__getattr__` and the `__dir__` of a package (PEP 562).

    Its public names stand in its modules. `dir` shows those of `__all__`, whether they were used
    already or not, and nothing that the package has for itself.

    Args:
        package: the name of the package.
        homes: the public names that each module defines.
    """

    def list_names() -> list[str]:
        return sorted(sys.modules[package].__all__)

    return attributes(package, homes), list_names


def attributes(package: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Makes the `__getattr__` of a package whose public names stand in its modules.

    No public name may equal the name of a module of the package: once that module is imported,
    Python finds it first and does not call `__getattr__`.

    Args:
        package: the name of the package.
        homes: the public names that each module defines.
    """
    module_of = {}
    for module, names in homes.items():
        for name in names:
            module_of[name] = module

    def import_attribute(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f".{module_of[name]}", package)
        return getattr(module, name)

    return import_attribute

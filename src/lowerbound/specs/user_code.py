"""Parts that users define in modules of their own, and the rule by which a recipe may name them.

A recipe names such a part as `package.module:Class`. The class can only be found by importing its
module, and importing a module runs it. A module is imported only within `allowing_code()`, or where
the environment variable `LOWERBOUND_ALLOW_CODE` names its package. A module that this process has
imported already needs no permission, since looking up a class in it runs nothing.
"""

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..errors import ConfigError, one_line, unknown
from .checked import is_checked

ENVIRONMENT_VARIABLE = "LOWERBOUND_ALLOW_CODE"
"""The environment variable that names the packages whose modules may be imported, with commas
between them.
"""

OWN_PACKAGE = __name__.partition(".")[0]
"""The package whose classes a recipe names without their module."""

_is_code_allowed: ContextVar[bool] = ContextVar("is_code_allowed", default=False)


@contextmanager
def allowing_code(allow: bool = True) -> Iterator[None]:
    """Lets the recipes that are read within this block import the modules that they name.

    Args:
        allow: False changes nothing, so that a caller can pass on an option of its own.
    """
    token = _is_code_allowed.set(allow is True or _is_code_allowed.get())
    try:
        yield
    finally:
        _is_code_allowed.reset(token)


def is_user_name(name: str) -> bool:
    """Says whether a recipe means a class of a user's module by this name."""
    return ":" in name


def is_own(cls: type) -> bool:
    """Says whether a class is defined in this package, and not by a user."""
    return cls.__module__.partition(".")[0] == OWN_PACKAGE


def type_name(cls: type) -> str:
    """Gives the name of a class in a recipe: `MLP`, or `package.module:Class` for a user's."""
    if is_own(cls):
        return cls.__name__
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(name: str, base: type, *, is_part: bool = True) -> type:
    """Finds the class of a user that a recipe names.

    Args:
        name: `package.module:Class`.
        base: the class that it must derive from.
        is_part: whether it must be declared with `@checked`, as every part of a model is.

    Raises:
        ConfigError: the name is malformed, the module may not or cannot be imported, or there is no
            fitting class in it.
    """
    kind = base.__name__.lower()
    shown = f"{kind} {one_line(repr(name), 120)}"
    module_name, _, class_name = name.partition(":")
    words = [*module_name.split("."), class_name]
    if not all(word.isidentifier() for word in words):
        raise ConfigError(f"{shown} is not of the form package.module:Class")
    names = _names_in(_import_module(module_name, shown))
    if class_name not in names:
        fitting = [key for key, value in names.items() if _misfit(value, base, is_part) is None]
        raise ConfigError(unknown(kind, class_name, fitting, f" in {module_name}"))
    cls: type = names[class_name]
    misfit = _misfit(cls, base, is_part)
    if misfit is not None:
        declared = ""
        if is_part:
            declared = " that is declared with @checked"
        raise ConfigError(
            f"{shown}: a final class below {base.__name__}{declared} is needed, got {misfit}"
        )
    refuse_unfindable(cls)
    return cls


def _import_module(name: str, shown: str) -> Any:
    """Gives a module that is imported already, or imports it if that is allowed."""
    if sys.modules.get(name) is not None:
        return sys.modules[name]
    if not _may_import(name):
        package = name.partition(".")[0]
        raise ConfigError(
            f"{shown} is code outside {OWN_PACKAGE}, which importing runs: allow it with "
            f"--allow-code (allow_code=True in Python) or {ENVIRONMENT_VARIABLE}={package}"
        )
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{shown}: {_word_import_error(name, error)}") from None


def _word_import_error(module: str, error: BaseException) -> str:
    """Words in one line why a module could not be imported."""
    if isinstance(error, ModuleNotFoundError):
        missing = error.name or ""
        # The missing module may also be another one, which this one needs.
        if _is_within(module, missing):
            return f"there is no module {missing!r}; install it, or put its folder on PYTHONPATH"
    reason = one_line(f"{type(error).__name__}: {error}", 240)
    return f"importing {module} failed: {reason}"


def _may_import(module: str) -> bool:
    """Says whether the caller or the environment allows this module to be imported."""
    if _is_code_allowed.get():
        return True
    packages = os.environ.get(ENVIRONMENT_VARIABLE, "").split(",")
    return any(_is_within(module, package.strip()) for package in packages)


def _is_within(module: str, package: str) -> bool:
    """Says whether a module is this package, or a module inside it."""
    return module == package or module.startswith(f"{package}.")


def _names_in(module: object) -> dict[str, Any]:
    """Gives the names that stand in a module, without running anything of it.

    `vars(module)` would import a module that was registered to be imported on its first use.
    """
    try:
        names: dict[str, Any] = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return names


def _misfit(value: Any, base: type, is_part: bool) -> str | None:
    """Says what a value is, where it is not a final class below `base`; None where it is one."""
    if not issubclass(type(value), type):  # `isinstance` would ask the object, which may be a proxy
        return f"an object of the type {type(value).__name__}"
    if not issubclass(value, base):
        return f"a class that is not below {base.__name__}"
    if inspect.isabstract(value):
        return f"an abstract class without {', '.join(sorted(value.__abstractmethods__))}"
    if is_part and not is_checked(value):
        return "a class without it"
    return None


def refuse_unfindable(cls: type) -> None:
    """Refuses a class that another process could not find by the name that a recipe has for it.

    Raises:
        ConfigError: says why the class could not be found.
    """
    if is_own(cls):
        return
    module = cls.__module__
    if module == "__main__":
        reason = "the module __main__ is another one in every program"
    elif cls.__qualname__ != cls.__name__:
        reason = "the class does not stand at the top of its module"
    elif _names_in(sys.modules.get(module)).get(cls.__name__) is not cls:
        reason = f"{module} has no such class under this name"
    elif not _is_importable(module):
        reason = f"the module {module} cannot be imported by its name"
    else:
        return
    raise ConfigError(
        f"a run with {type_name(cls)} could not be loaded again: {reason}; define the class at the "
        "top of a module that can be imported"
    )


def _is_importable(module: str) -> bool:
    """Says whether an import would find a module of this name, without importing it."""
    parent = module.rpartition(".")[0]
    path = None
    if parent:
        path = _names_in(sys.modules.get(parent)).get("__path__")
        if path is None:
            return False
    return any(finder.find_spec(module, path) is not None for finder in sys.meta_path)

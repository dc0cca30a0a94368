"""Catalogues: the parts that a recipe can name, found in the modules that define them.

A *part* (a network, a family, a noise, a prior, an objective, a schedule) is a frozen dataclass
that derives from one abstract base. `members` finds all parts in a module, so a public class that
is added to the module is in its catalogue. `part` makes the pydantic type of "one part of this
catalogue", which a recipe writes as `{ type = "MLP", hidden = [500] }`, or as `"MLP"` with all
defaults. A user's own part is named as `package.module:Class`, by the rule of `user_code`.
"""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import tomli_w
from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from ..errors import ConfigError, unknown
from .checked import is_checked
from .user_code import find_class, is_own, is_user_name, refuse_unfindable, type_name
from .wording import field_names, simplified, unknown_key


def members(module: str, base: type) -> dict[str, type]:
    """Finds the public final classes below `base` that a module, or a file of a package, defines.

    Returns:
        The classes by name, in the order of the files and of the classes in each.
    """
    classes = {}
    for source in _modules(importlib.import_module(module)):
        for name, value in vars(source).items():
            is_defined_here = inspect.isclass(value) and value.__module__ == source.__name__
            if is_defined_here and not name.startswith("_") and _is_final_below(value, base):
                classes[name] = value
    return classes


def _modules(module: ModuleType) -> Iterator[ModuleType]:
    """Yields a module and, of a package, its files: those of `LISTED_FIRST`, then the others."""
    yield module
    search_path = getattr(module, "__path__", [])
    names = [info.name for info in pkgutil.iter_modules(search_path)]
    listed_first = getattr(module, "LISTED_FIRST", ())
    first = [name for name in listed_first if name in names]
    for name in dict.fromkeys([*first, *names]):
        yield importlib.import_module(f"{module.__name__}.{name}")


def _is_final_below(cls: type, base: type) -> bool:
    return issubclass(cls, base) and cls is not base and not inspect.isabstract(cls)


def from_mapping(cls: type, value: Any) -> Any:
    """Makes `cls(**value)` of a mapping whose keys are checked by name first.

    Anything but a mapping is passed on unchanged.
    """
    if not isinstance(value, Mapping):
        return value
    line = unknown_key(cls, value)
    if line:
        raise PydanticCustomError("unknown_key", "{line}", {"line": line})
    try:
        return TypeAdapter(cls).validate_python(dict(value))
    except ValidationError as error:
        raise simplified(error) from None


def _resolve(module: str, base: type, value: Any) -> Any:
    """Makes the part that a recipe names: by its name, or by a table whose `type` is the name."""
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, Mapping):
        return value
    name = value.get("type")
    if isinstance(name, str) and is_user_name(name):
        cls = find_class(name, base)
    else:
        cls = _member(module, base, name)
    settings = {key: setting for key, setting in value.items() if key != "type"}
    return from_mapping(cls, settings)


def _member(module: str, base: type, name: Any) -> type:
    """Gives one class of a catalogue by its name."""
    known = members(module, base)
    if isinstance(name, str) and name in known:
        return known[name]
    kind = re.sub("(?<=[a-z])(?=[A-Z])", " ", base.__name__).lower()
    if name:
        line = unknown(kind, name, known)
    else:
        line = f"a {kind} needs a type; allowed: {', '.join(known)}"
    raise PydanticCustomError("unknown_part", "{line}", {"line": line})


def values(table: Any) -> dict[str, Any]:
    """Gives the fields of a part or a table as a recipe holds them.

    Fields that are None are left out, since TOML has no null.
    """
    plain_values = {}
    for name in field_names(table):
        value = getattr(table, name)
        if value is not None:
            plain_values[name] = plain(value)
    return plain_values


def describe(part: Any) -> dict[str, Any]:
    """Gives the table that a recipe holds for this part."""
    return {"type": type_name(type(part))} | values(part)


def is_table(value: Any) -> bool:
    """Says whether a dataclass is a recipe table, whose class is fixed, and not a part."""
    return type(value).__bases__ == (object,)


def plain(value: Any) -> Any:
    """Gives a value of a field as plain tables, lists, texts and numbers."""
    if dataclasses.is_dataclass(value):
        if is_table(value):
            return values(value)
        return describe(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def part(module: str, base: type) -> BeforeValidator:
    """Makes the validator of `Annotated[Base, part(module, Base)]`: one part of a catalogue.

    It takes the name of the part, its table, or the part itself.
    """
    return BeforeValidator(lambda value: _resolve(module, base, value))


def table(cls: type) -> BeforeValidator:
    """Makes the validator of `Annotated[Cls, table(Cls)]`: a recipe table of this one class.

    It checks the keys of the table by name.
    """
    return BeforeValidator(lambda value: from_mapping(cls, value))


def refuse_unloadable(value: Any) -> None:
    """Refuses a table that holds a part which could not be made again from the written recipe.

    Parts of this package always can. A part of a user's own must be declared with `@checked`, be
    found by the name of its module and class, and come back equal from its own description.

    Raises:
        ConfigError: says which part, and why.
    """
    if isinstance(value, Mapping):
        for item in value.values():
            refuse_unloadable(item)
    elif isinstance(value, tuple | list):
        for item in value:
            refuse_unloadable(item)
    elif value is not None and not isinstance(value, str | int | float):
        if not is_own(type(value)):
            _refuse_unloadable_part(value)
            return
        for name in field_names(value):
            refuse_unloadable(getattr(value, name))


def _refuse_unloadable_part(part: Any) -> None:
    """Refuses a part of a user's own that the written recipe would not bring back."""
    cls = type(part)
    problem = f"a run with {type_name(cls)} could not be loaded again"
    if not is_checked(cls):
        raise ConfigError(f"{problem}: the class is not declared with @checked")
    refuse_unfindable(cls)
    try:
        written = tomli_w.dumps(values(part))
        is_equal = bool(from_mapping(cls, tomllib.loads(written)) == part)
    except Exception:  # whatever the code of a user raises: the part does not come back
        is_equal = False
    if not is_equal:
        raise ConfigError(
            f"{problem}: its settings do not come back equal from the recipe that is written; "
            "allowed: numbers, texts, lists, tables and other parts"
        )

"""Names -> things. A catalogue is read from the modules themselves: whoever adds a public class to
a module has added it here.

A *part* (a network, a family, a noise, a prior, an objective, a schedule) is a frozen dataclass
that derives from one abstract base. `members` finds all of them; `part` makes the pydantic type of
"one of them", written in a recipe as `{ type = "MLP", hidden = [500] }`, or as `"MLP"` where its
defaults will do.
"""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from ..errors import unknown
from .wording import field_names, simplified, unknown_key


def _modules(module: ModuleType) -> Iterator[ModuleType]:
    """Yields a module or, of a package, its files: those of its `LISTED_FIRST`, then the others."""
    yield module
    names = [info.name for info in pkgutil.iter_modules(getattr(module, "__path__", []))]
    first = [name for name in getattr(module, "LISTED_FIRST", ()) if name in names]
    for name in dict.fromkeys([*first, *names]):
        yield importlib.import_module(f"{module.__name__}.{name}")


def members(module: str, base: type) -> dict[str, type]:
    """The public final classes below `base` that are defined in `module` (or, for a package, in its
    files), by name.
    """
    found = (
        (name, thing)
        for m in _modules(importlib.import_module(module))
        for name, thing in vars(m).items()
        if inspect.isclass(thing) and thing.__module__ == m.__name__
    )
    return {
        name: thing
        for name, thing in found
        if issubclass(thing, base)
        and thing is not base
        and not name.startswith("_")
        and not inspect.isabstract(thing)
    }


def from_mapping(cls: type, value: Any) -> Any:
    """`cls(**value)` for a mapping, after its keys were checked by name; anything else is passed on
    unchanged.
    """
    if not isinstance(value, Mapping):
        return value
    if line := unknown_key(cls, value):
        raise PydanticCustomError("unknown_key", "{line}", {"line": line})
    try:
        return TypeAdapter(cls).validate_python(dict(value))
    except ValidationError as error:
        raise simplified(error) from None


def _resolve(module: str, base: type, value: Any) -> Any:
    """A part from what a recipe says: a name, or a table whose `type` is the name."""
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, Mapping):
        return value
    known = members(module, base)
    kind, name = base.__name__.lower(), value.get("type")
    if name not in known:
        missing = f"a {kind} needs a type; allowed: {', '.join(known)}"
        raise PydanticCustomError(
            "unknown_part", "{line}", {"line": unknown(kind, name, known) if name else missing}
        )
    return from_mapping(known[name], {k: v for k, v in value.items() if k != "type"})


def values(table: Any) -> dict[str, Any]:
    """The fields of a part or table as a recipe would hold them; those that are None are left out
    (TOML has no null).
    """
    fields = {name: getattr(table, name) for name in field_names(table)}
    return {k: _plain(v) for k, v in fields.items() if v is not None}


def describe(part: Any) -> dict[str, Any]:
    """The table that a recipe would hold for this part."""
    return {"type": type(part).__name__} | values(part)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):  # a table is always of one class, a part one of several
        return values(value) if type(value).__bases__ == (object,) else describe(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def part(module: str, base: type) -> BeforeValidator:
    """For `Annotated[Base, part(module, Base)]`: one member of this catalogue, by name, as a table,
    or as it is.
    """
    return BeforeValidator(lambda value: _resolve(module, base, value))


def table(cls: type) -> BeforeValidator:
    """For `Annotated[Cls, table(Cls)]`: a recipe table that is always of this class, its keys
    checked by name.
    """
    return BeforeValidator(lambda value: from_mapping(cls, value))

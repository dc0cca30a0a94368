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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, wraps
from types import ModuleType
from typing import Any, TypeVar, cast, dataclass_transform

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function

from .errors import ConfigError, one_line, unknown

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
"""The pydantic configuration of every part and every recipe table: unknown keys and non-finite
numbers are refused.
"""

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, Field))
def checked(cls: type[_T]) -> type[_T]:
    """A part or a recipe table of this class: a frozen dataclass whose values are checked however
    it is made.

    In a recipe, wrong values are pydantic's ValidationError, which `recipe.parse` words; in Python,
    `MLP(hidden=(0,))` raises ConfigError with the same words.
    """
    cls.__get_pydantic_core_schema__ = classmethod(_schema)  # type: ignore[attr-defined]
    made: Any = dataclass(frozen=True, config=STRICT)(cls)
    made.__init__ = _worded(made.__init__)
    return cast(type[_T], made)


def _schema(cls: type, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """What pydantic makes of a checked class; true is no number in it, though pydantic (and Python)
    would take it for 1.
    """
    made = vars(cls).get("__pydantic_core_schema__")
    return cast(CoreSchema, made or _without_bools(handler(source)))


WITHIN = ("schema", "fields", "choices", "items_schema", "values_schema")
"""Where a schema of pydantic holds others."""


def _without_bools(schema: Any) -> Any:
    """The same schema with a look before each whole number and each number."""
    if isinstance(schema, list):
        return [_without_bools(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if (kind := schema["type"]) in ("int", "float"):
        return no_info_before_validator_function(partial(_no_bool, f"{kind}_type"), schema)
    return {key: _without_bools(value) if key in WITHIN else value for key, value in schema.items()}


def _no_bool(kind: Any, value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticKnownError(kind)
    return value


def _worded(init: Callable[..., None]) -> Callable[..., None]:
    """The `__init__` of a checked class with ConfigError for pydantic's ValidationError."""

    @wraps(init)
    def worded(self: Any, /, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except ValidationError as error:
            line = _unknown_key(type(self), kwargs) or explain(_plainly(error, _keys(type(self))))
            raise ConfigError(one_line(f"{type(self).__name__}: {line}", 560)) from None

    return worded


def _keys(cls: Any) -> list[str]:
    """What a table of this class may hold, in the order of the arguments of the class."""
    return [f.name for f in dataclasses.fields(cls) if f.init]


def _unknown_key(cls: type, keys: Iterable[Any]) -> str | None:
    """The line for the first of these keys that a table of this class does not have."""
    allowed = _keys(cls)
    return next((unknown("key", key, allowed) for key in keys if key not in allowed), None)


def _modules(module: ModuleType) -> Iterator[ModuleType]:
    yield module
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        yield importlib.import_module(f"{module.__name__}.{info.name}")


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
    if line := _unknown_key(cls, value):
        raise PydanticCustomError("unknown_key", "{line}", {"line": line})
    try:
        return TypeAdapter(cls).validate_python(dict(value))
    except ValidationError as error:
        raise _plainly(error) from None


WORDS = {
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "string_type": "should be text",
    "tuple_type": "should be a list in square brackets",
    "list_type": "should be a list in square brackets",
    "dict_type": "should be a table of keys and values",
    "dataclass_type": "should be a table of keys and values",
    "missing": "is missing",
}
"""What pydantic's types of error are in a recipe; of the others its own words are used."""


def wording(error: Mapping[str, Any]) -> str:
    """One error of pydantic in the words of a recipe, not those of Python."""
    kind, ctx = error["type"], error.get("ctx", {})
    if kind == "is_instance_of":
        return f"should be the name or the table of a {ctx['class'].lower()}"
    if kind == "too_short":
        return f"should have {ctx['min_length']} or more entries, got {ctx['actual_length']}"
    return WORDS.get(
        kind, error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    )


def _plainly(error: ValidationError, arguments: Sequence[str] = ()) -> ValidationError:
    """The same mistakes, each told once, in plain words, and at the key that a recipe has for it.

    Args:
        error: what pydantic found.
        arguments: the names of those of a call, which pydantic numbers where they were given by
            position.
    """
    found: dict[tuple[Any, ...], list[Any]] = {}
    for each in error.errors(include_url=False):
        place = [
            arguments[key] if isinstance(key, int) and key < len(arguments) else key
            for key in each["loc"][:1]
        ]
        found.setdefault(
            (*place, *(key for key in each["loc"][1:] if not _branch(key))), []
        ).append(each)
    lines: list[InitErrorDetails] = []
    for key, errors in found.items():
        if not any(
            len(other) > len(key) and other[: len(key)] == key for other in found
        ):  # what is within says more
            lines += [_line(key, text, errors[0]["input"]) for text in _alternatives(errors)]
    return ValidationError.from_exception_data(error.title, lines)


QUOTES = """; texts within brackets have quotes, which a shell takes away: '["a", "b"]'"""
"""Said of a text that was meant as a list or a table."""


def explain(error: ValidationError) -> str:
    """One line for all that pydantic found, each with its key."""
    found = (
        ((".".join(map(str, e["loc"])) + ": ") if e["loc"] else "", e)
        for e in error.errors(include_url=False)
    )
    return "; ".join(where + _sentence(e) for where, e in found)


def _sentence(error: Any) -> str:
    text = error["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    value = error["input"]
    if not isinstance(value, str | int | float | bool) or not text.startswith("should"):
        return text
    return f"{text}, got {value!r}{QUOTES if isinstance(value, str) and value[:1] in ('[', '{') else ''}"


def _line(key: tuple[Any, ...], text: str, value: Any) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("plain", "{line}", {"line": text}), loc=key, input=value
    )


def _branch(key: Any) -> bool:
    """Whether pydantic means an alternative of a type by this, and not a key."""
    return isinstance(key, str) and (
        "[" in key or key in ("bool", "int", "float", "str", "constrained-float", "constrained-int")
    )


def _alternatives(errors: list[Any]) -> list[str]:
    """What was found at one key: all that it "should be" in one sentence, unless something says
    what is wrong within.
    """
    texts = list(dict.fromkeys(map(wording, errors)))
    should = [text for text in texts if text.startswith("should be ")]
    others = [text for text in texts if text not in should]
    if len(errors) > 1 and others and not isinstance(errors[0]["input"], str | int | float):
        return others
    return (
        [" or ".join([should[0], *(text.removeprefix("should be ") for text in should[1:])])]
        if should
        else []
    ) + others


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
    fields = {name: getattr(table, name) for name in _keys(table)}
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

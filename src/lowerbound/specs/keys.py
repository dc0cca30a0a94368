"""The keys of a recipe one by one: value, default, meaning and allowed values, read from the specs.

What a key means is told by the docstring of its table or part, in the section `Args` or
`Attributes`; what is allowed by the type of its field.
"""

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as limits
from pydantic.fields import FieldInfo

from .listing import BASES, parts
from .registry import describe, is_table, plain
from .user_code import type_name
from .wording import field_names


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a recipe.

    Attributes:
        name: with its tables, such as "model.network.hidden".
        value: as a recipe holds it; None where it is not set.
        default: what it is where a recipe leaves it out.
        is_required: whether a recipe may not leave it out.
        meaning: a phrase or some sentences.
        allowed: the values that it may have, in words.
    """

    name: str
    value: Any
    default: Any
    is_required: bool
    meaning: str
    allowed: str

    @property
    def table(self) -> str:
        """The first table of the name."""
        return self.name.partition(".")[0]


def keys_of(table: Any, above: str = "", default_table: Any = None) -> Iterator[Key]:
    """Yields all keys of a table or a part, those of inner tables and parts behind their own.

    Args:
        table: a recipe, one of its tables, or a part.
        above: the name of the table, with a dot behind it.
        default_table: what stands there where a recipe says nothing. Its values are the defaults,
            if it is of the same class.
    """
    cls = type(table)
    meanings = meanings_of(cls)
    for name in field_names(table):
        value = getattr(table, name)
        default = default_of(cls, name)
        if type(default_table) is cls:
            default = getattr(default_table, name)
        is_inner = dataclasses.is_dataclass(value)
        if not (is_inner and is_table(value)):
            yield Key(
                name=above + name,
                value=_short(value),
                default=_short(default),
                is_required=default is dataclasses.MISSING,
                meaning=meanings.get(name, ""),
                allowed=allowed_values(_field(cls, name)),
            )
        if is_inner:
            yield from keys_of(value, f"{above}{name}.", default)


def _short(value: Any) -> Any:
    """Gives a value as a recipe holds it, and a part by its name alone; None for `MISSING`."""
    if value is dataclasses.MISSING:
        return None
    if dataclasses.is_dataclass(value):
        if is_table(value):
            return plain(value)
        return type_name(type(value))
    if isinstance(value, tuple):
        return [_as_entry(item) for item in value]
    return plain(value)


def _as_entry(value: Any) -> Any:
    """Gives an entry of a list: a part of a list has no keys of its own, so it is given whole."""
    if dataclasses.is_dataclass(value) and not is_table(value):
        return describe(value)
    return plain(value)


def default_of(cls: type, name: str) -> Any:
    """Gives the default value of a key of a table or part; `MISSING` where it has none."""
    field = _field(cls, name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if isinstance(field.default, FieldInfo):
        return field.default.get_default(call_default_factory=True)
    return field.default


def _field(cls: type, name: str) -> "dataclasses.Field[Any]":
    (found,) = [field for field in dataclasses.fields(cls) if field.name == name]
    return found


# What a key means -------------------------------------------------------------------------------

SECTION = re.compile(r"^(?:Args|Attributes):\n((?:[ ]{4}.*\n?|\n)*)", re.MULTILINE)
"""This finds the section of a docstring that describes the fields of a class."""

ENTRY = re.compile(r"^[ ]{4}(\w+): (.*(?:\n[ ]{5,}.*)*)", re.MULTILINE)
"""This finds an entry of such a section: a name, and what it means."""


def meanings_of(cls: type) -> dict[str, str]:
    """Reads from the docstring of a class what each of its fields means, on one line each."""
    docstring = inspect.getdoc(cls) or ""
    found = {}
    for section in SECTION.findall(docstring):
        for name, text in ENTRY.findall(section):
            line = " ".join(text.split())
            found[name] = re.sub(r"\bNone\b", "none", line)  # as the command line has it
    return found


# What is allowed --------------------------------------------------------------------------------

PLAIN_TYPES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    types.NoneType: "none",
}
"""The words for the plain types."""

LIMITS: dict[type, tuple[str, str]] = {
    limits.Gt: ("gt", "above"),
    limits.Ge: ("ge", "at least"),
    limits.Lt: ("lt", "below"),
    limits.Le: ("le", "at most"),
}
"""The limits of a number, each with its attribute and its word."""


def allowed_values(field: "dataclasses.Field[Any]") -> str:
    """Says in words which values a field allows: "a whole number, or none"."""
    return words_of(field.type, _limits_in([field.default]))


def words_of(annotation: Any, within: str = "") -> str:
    """Says in words which values a type allows.

    >>> words_of(int | None)
    'a whole number, or none'

    Args:
        annotation: the type.
        within: the limits of its numbers, in words.
    """
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        inner, *metadata = arguments
        return words_of(inner, _limits_in(metadata) or within)
    if origin in (Union, types.UnionType):
        return ", or ".join(words_of(argument, within) for argument in arguments)
    if origin is Literal:
        return ", ".join(map(_word, arguments))
    if origin in (tuple, list):
        return f"a list of {_entries(arguments)}"
    if origin in (dict, Mapping):
        return "a table of names and values"
    return _words_of_class(annotation, within)


def _limits_in(metadata: list[Any]) -> str:
    """Words the limits in what annotates a type: " above 0 and below 1"."""
    found = []
    for item in metadata:
        if isinstance(item, FieldInfo):
            inner = item.metadata
        else:
            inner = [item]
        for limit in inner:
            if type(limit) in LIMITS:
                attribute, word = LIMITS[type(limit)]
                found.append(f" {word} {getattr(limit, attribute):g}")
    return " and".join(found)


def _word(value: Any) -> str:
    """Writes a text that is allowed; a mark in quotes, so that it is seen among commas."""
    text = str(value)
    if any(map(str.isalnum, text)):
        return text
    return f'"{text}"'


def _entries(arguments: tuple[Any, ...]) -> str:
    """Says what the entries of a list are."""
    kinds = [words_of(argument) for argument in arguments if argument is not Ellipsis]
    words = " and ".join(dict.fromkeys(kinds))
    if Ellipsis not in arguments and len(arguments) > 1:
        return f"{len(arguments)} entries, each {words}"
    return f"entries, each {words}"


def _words_of_class(cls: Any, within: str) -> str:
    """Says what a class allows: a plain type, one part of a catalogue, or a table."""
    if cls in (int, float):
        return PLAIN_TYPES[cls] + within
    if cls in PLAIN_TYPES:
        return PLAIN_TYPES[cls]
    for module, base in BASES.items():
        if cls.__name__ == base:
            return f"one of {', '.join(parts(module, base))}, by its name or a table"
    return f"a table of {', '.join(field_names(cls))}"

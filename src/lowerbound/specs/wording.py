"""What pydantic found wrong, in the words of a recipe."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from ..errors import unknown


def field_names(cls: Any) -> list[str]:
    """What a table of this class may hold, in the order of the arguments of the class."""
    return [f.name for f in dataclasses.fields(cls) if f.init]


def unknown_key(cls: type, keys: Iterable[Any]) -> str | None:
    """The line for the first of these keys that a table of this class does not have."""
    allowed = field_names(cls)
    return next((unknown("key", key, allowed) for key in keys if key not in allowed), None)


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


def simplified(error: ValidationError, arguments: Sequence[str] = ()) -> ValidationError:
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

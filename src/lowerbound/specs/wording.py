"""Pydantic's errors in the words of a recipe."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from ..errors import unknown

LONGEST_MESSAGE = 560
"""A message about a recipe is cut beyond this number of characters."""


def field_names(cls: Any) -> list[str]:
    """Lists the keys that a table of this class may hold, in the order of the class's arguments."""
    return [field.name for field in dataclasses.fields(cls) if field.init]


def unknown_key(cls: type, keys: Iterable[Any]) -> str | None:
    """Words the first of these keys that a table of this class lacks; None if it has all.

    The class may have `OTHER_NAMES`: what is meant by names that elsewhere are usual.
    """
    allowed = field_names(cls)
    others: Mapping[str, str] = getattr(cls, "OTHER_NAMES", {})
    for key in keys:
        if key not in allowed:
            return unknown("key", key, allowed, meant=others.get(key))
    return None


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
"""The words of a recipe for pydantic's types of error; other types keep pydantic's own words."""

PREFIX = "Value error, "
"""Pydantic puts this before the message of a ValueError."""


def wording(error: Mapping[str, Any]) -> str:
    """Words one error of pydantic as people say it of a recipe, not of Python."""
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "is_instance_of":
        return f"should be the name or the table of a {context['class'].lower()}"
    if kind == "too_short":
        shortest = context["min_length"]
        return f"should have {shortest} or more entries, got {context['actual_length']}"
    if kind in WORDS:
        return WORDS[kind]
    message = error["msg"].removeprefix(PREFIX)
    return message.replace("Input should", "should")


def simplified(error: ValidationError, arguments: Sequence[str] = ()) -> ValidationError:
    """Gives the same mistakes, each once, in plain words, and at the key that a recipe has for it.

    Args:
        error: what pydantic raised.
        arguments: the names of the arguments of a call, which pydantic numbers where they were
            given by position.
    """
    by_key: dict[tuple[Any, ...], list[Any]] = {}
    for details in error.errors(include_url=False):
        key = _recipe_key(details["loc"], arguments)
        by_key.setdefault(key, []).append(details)
    lines: list[InitErrorDetails] = []
    for key, errors in by_key.items():
        # A mistake within a table says more than one about the table itself.
        if not any(_is_within(other, key) for other in by_key):
            for text in _distinct_sentences(errors):
                lines.append(_error_details(key, text, errors[0]["input"]))
    return ValidationError.from_exception_data(error.title, lines)


def _recipe_key(location: tuple[Any, ...], arguments: Sequence[str]) -> tuple[Any, ...]:
    """Gives the path of keys in a recipe for the location that pydantic gives for a mistake."""
    if not location:
        return ()
    first, *inner = location
    if isinstance(first, int) and first < len(arguments):
        first = arguments[first]
    keys = [key for key in inner if not _is_union_branch(key)]
    return (first, *keys)


def _is_within(key: tuple[Any, ...], table: tuple[Any, ...]) -> bool:
    return len(key) > len(table) and key[: len(table)] == table


QUOTES = """; texts within brackets have quotes, which a shell takes away: '["a", "b"]'"""
"""This is added for a text that was meant as a list or a table."""


def explain(error: ValidationError) -> str:
    """Words all mistakes that pydantic found in one line, each with its key."""
    sentences = []
    for details in error.errors(include_url=False):
        sentence = _sentence(details)
        if details["loc"]:
            key = ".".join(map(str, details["loc"]))
            sentence = f"{key}: {sentence}"
        sentences.append(sentence)
    return "; ".join(sentences)


def _sentence(error: Any) -> str:
    """Words one mistake, with the value that was given where that helps."""
    text = error["msg"].removeprefix(PREFIX)
    text = text.replace("Input should be", "should be")
    value = error["input"]
    if not isinstance(value, str | int | float | bool) or not text.startswith("should"):
        return text
    sentence = f"{text}, got {value!r}"
    if isinstance(value, str) and value.startswith(("[", "{")):
        sentence += QUOTES
    return sentence


def _error_details(key: tuple[Any, ...], text: str, value: Any) -> InitErrorDetails:
    message = PydanticCustomError("plain", "{line}", {"line": text})
    return InitErrorDetails(type=message, loc=key, input=value)


LIMITS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
"""Pydantic's types of error for a number of the right type that is too small or too large."""

SEVERAL = ("tuple_type", "list_type", "dict_type")
"""Pydantic's types of error for a value that should be several."""

SCALAR_BRANCHES = ("bool", "int", "float", "str", "constrained-float", "constrained-int")
"""Pydantic names the alternatives of a union of plain types by these words."""


def _is_union_branch(key: Any) -> bool:
    """Says whether pydantic means an alternative of a union by this, and not a key."""
    return isinstance(key, str) and ("[" in key or key in SCALAR_BRANCHES)


def _distinct_sentences(errors: list[Any]) -> list[str]:
    """Words the mistakes at one key, each once.

    All alternatives of "should be" become one sentence. They are left out where the value is a
    table or a list and another mistake says what is wrong within it.
    """
    if any(error["type"] in LIMITS for error in errors):
        # It is a number as it should be, but for its size: no list is asked for.
        errors = [error for error in errors if error["type"] not in SEVERAL]
    texts = list(dict.fromkeys(map(wording, errors)))
    alternatives = [text for text in texts if text.startswith("should be ")]
    others = [text for text in texts if not text.startswith("should be ")]
    is_plain = isinstance(errors[0]["input"], str | int | float)
    if len(errors) > 1 and others and not is_plain:
        return others
    if not alternatives:
        return others
    first, *more = alternatives
    joined = " or ".join([first, *(text.removeprefix("should be ") for text in more)])
    return [joined, *others]

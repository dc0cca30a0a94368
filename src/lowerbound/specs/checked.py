"""Frozen dataclasses whose values are checked: the parts and the tables of a recipe."""

import dataclasses
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast, dataclass_transform

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema, PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function

from ..errors import ConfigError, one_line
from .wording import LONGEST_MESSAGE, explain, field_names, simplified, unknown_key

_T = TypeVar("_T")

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
"""The pydantic configuration of every part and every recipe table: unknown keys and non-finite
numbers are refused.
"""


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, Field))
def checked(cls: type[_T]) -> type[_T]:
    """Makes a class a part or a recipe table: a frozen dataclass whose values are always checked.

    In a recipe, a wrong value raises pydantic's ValidationError, which `recipe.parse` words. In
    Python, `MLP(hidden=(0,))` raises ConfigError with the same words.
    """
    cls.__get_pydantic_core_schema__ = classmethod(_core_schema)  # type: ignore[attr-defined]
    made: Any = dataclass(frozen=True, config=STRICT)(cls)
    made.__init__ = _raising_config_error(made.__init__)
    return cast(type[_T], made)


def is_checked(cls: type) -> bool:
    """Says whether `checked` made this very class, and not only a class that it derives from."""
    method = vars(cls).get("__get_pydantic_core_schema__")
    return isinstance(method, classmethod) and method.__func__ is _core_schema


def _core_schema(cls: type, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Gives pydantic's schema of a checked class, in which true and false are not numbers.

    Pydantic, like Python, would take true for 1.
    """
    finished = vars(cls).get("__pydantic_core_schema__")
    if finished:
        return cast(CoreSchema, finished)
    return cast(CoreSchema, _without_bools(handler(source)))


INNER_SCHEMAS = ("schema", "fields", "choices", "items_schema", "values_schema")
"""These keys of a pydantic schema hold further schemas."""


def _without_bools(schema: Any) -> Any:
    """Gives the same schema with a check that refuses booleans before each int and each float."""
    if isinstance(schema, list):
        return [_without_bools(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kind = schema["type"]
    if kind in ("int", "float"):
        refuse = partial(_refuse_bool, f"{kind}_type")
        return no_info_before_validator_function(refuse, schema)
    copy = dict(schema)
    for key in INNER_SCHEMAS:
        if key in schema:
            copy[key] = _without_bools(schema[key])
    return copy


def _refuse_bool(error_type: Any, value: Any) -> Any:
    """Passes on any value but a boolean."""
    if isinstance(value, bool):
        raise PydanticKnownError(error_type)
    return value


def _raising_config_error(init: Callable[..., None]) -> Callable[..., None]:
    """Wraps the `__init__` of a checked class: ConfigError replaces pydantic's ValidationError."""

    @wraps(init)
    def checked_init(self: Any, /, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except ValidationError as error:
            cls = type(self)
            line = unknown_key(cls, kwargs)
            if not line:
                line = explain(simplified(error, field_names(cls)))
            raise ConfigError(one_line(f"{cls.__name__}: {line}", LONGEST_MESSAGE)) from None

    return checked_init

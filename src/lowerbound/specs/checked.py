"""Frozen dataclasses whose values are checked however they are made: the parts and the tables of a recipe."""

import dataclasses
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast, dataclass_transform

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema, PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function

from ..errors import ConfigError, one_line
from .wording import explain, field_names, simplified, unknown_key

_T = TypeVar("_T")

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
"""The pydantic configuration of every part and every recipe table: unknown keys and non-finite
numbers are refused.
"""


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
            line = unknown_key(type(self), kwargs) or explain(
                simplified(error, field_names(type(self)))
            )
            raise ConfigError(one_line(f"{type(self).__name__}: {line}", 560)) from None

    return worded

"""What a model must know of its data: a record of plain values, stored in the run folder."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns import Coding, ColumnSchema
from ..errors import ConfigError, DataError, one_line, unknown
from .levels import type_of_levels

if TYPE_CHECKING:
    from torch import Tensor

KINDS = {"image": 3, "table": 1, "vector": 1, "interactions": 1}
"""Each kind of source, with the number of axes that an example of it has."""


@dataclasses.dataclass(frozen=True)
class Schema:
    """What a model must know of its data.

    Attributes:
        shape: the shape of one example: (C, H, W) for images, (D,) for tables and vectors.
        kind: "image", "table", "vector" or "interactions".
        levels: the values lie on {0, 1/(levels-1), ..., 1}: 256 for 8-bit images, 2 for
            binary data; None for real numbers.
        low: the least value of the training split as the model sees it.
        high: the greatest value of the training split as the model sees it.
        columns: the names of the columns of a table, else empty.
        mean: value = (raw - mean) / scale; empty where nothing is standardised.
        scale: see `mean`.
        table: what is known of each column of a table with columns of several kinds, else empty.
            Such a table has no `mean` and `scale`; its columns have.
        given: what is known of each condition of a conditional model, else empty.
    """

    shape: tuple[int, ...]
    kind: str
    levels: int | None
    low: float
    high: float
    columns: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    table: tuple[ColumnSchema, ...] = ()
    given: tuple[ColumnSchema, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Converts the schema to a dict of plain values, from which `from_json` makes it again."""
        fields = dataclasses.asdict(self)
        for key, value in fields.items():
            if isinstance(value, tuple):
                fields[key] = list(value)
        for key in ("table", "given"):
            if not fields[key]:
                del fields[key]
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Schema":
        """Makes the schema that `to_json` wrote.

        Raises:
            DataError: a key is missing or not known, or no source has such a value.
        """
        _refuse_wrong_keys(cls, fields)
        values = {}
        for key, value in fields.items():
            if key in ("table", "given"):
                value = _read_columns(key, value)
            elif isinstance(value, list):
                value = tuple(value)
            values[key] = value
        schema = cls(**values)
        for name, is_sound in _checks(schema):
            if not is_sound:
                shown = one_line(repr(getattr(schema, name)), 100)
                raise DataError(f"a data schema cannot have {name}={shown}")
        return schema

    @cached_property
    def coding(self) -> Coding:
        """The codes of a table with columns of several kinds."""
        return Coding(self.table)

    @cached_property
    def coding_of_conditions(self) -> Coding:
        """The codes of the conditions of a conditional model."""
        return Coding(self.given)

    def codes_of_conditions(
        self, conditions: np.ndarray | None, index: np.ndarray | slice
    ) -> "Tensor | None":
        """Returns the codes (B, G) of the conditions at `index` of a split; None without.

        Args:
            conditions: of the split, (n, G).
            index: positions in it.
        """
        import torch  # a description of files does without it

        if not self.given:
            return None
        assert conditions is not None
        codes = self.coding_of_conditions.encode(conditions[index])
        return torch.from_numpy(np.ascontiguousarray(codes, dtype=np.float32))

    def add_conditions(self, digest: Any, conditions: np.ndarray | None) -> None:
        """Adds the conditions of a split (n, G) to a hash, if there are any."""
        if not self.given or conditions is None:
            return
        for column in self.given:
            digest.update(f" {column.name!r} {column.kind} {column.levels}".encode())
        digest.update(np.ascontiguousarray(conditions).tobytes())

    @property
    def names_of_conditions(self) -> tuple[str, ...]:
        """The names of the conditions of a conditional model."""
        return tuple(column.name for column in self.given)

    @property
    def unit(self) -> str:
        """What the rows of these data are: "users" or "examples"."""
        if self.kind == "interactions":
            return "users"
        return "examples"

    @property
    def is_sparse(self) -> bool:
        """Whether the rows of these data are sparse."""
        return self.kind == "interactions"

    def refuse_interactions(self, message: str) -> None:
        """Raises ConfigError with this message if the data are interactions."""
        if self.kind == "interactions":
            raise ConfigError(message)

    def refuse_dense(self, message: str) -> None:
        """Raises ConfigError with this message if the data are images, tables or vectors."""
        if self.kind != "interactions":
            raise ConfigError(message)

    def scaled(self, raw: np.ndarray, levels: int | None) -> np.ndarray:
        """Converts values in the source's units, (..., *shape), to what the model sees.

        Args:
            raw: the values.
            levels: the levels of the source itself, before any binarisation.
        """
        if self.table:
            return self.coding.encode(raw)
        if self.mean:
            deviations = raw - np.asarray(self.mean)
            return deviations / np.asarray(self.scale)
        if levels is None:
            return raw
        greatest = np.float32(levels - 1)
        return np.divide(raw, greatest, dtype=np.float32)

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Converts values as the model sees them, (..., *shape), to the source's units.

        Codes of a table with columns of several kinds become the values of its columns, see
        `columns`. Standardised values become float64 `value * scale + mean`. Values on levels
        become whole numbers 0 .. levels - 1, rounded and clipped: uint8, or uint16 where there are
        more than 256. Others come back as they are.
        """
        values = np.asarray(values)
        if self.table:
            return self.coding.decode(values)
        if self.mean:
            deviations = values.astype(np.float64) * np.asarray(self.scale)
            return deviations + np.asarray(self.mean)
        if self.levels is None:
            return values
        greatest = self.levels - 1
        rounded = np.rint(values * greatest)
        return np.clip(rounded, 0, greatest).astype(type_of_levels(self.levels))


def _refuse_wrong_keys(schema_class: type[Schema], keys: Mapping[str, Any]) -> None:
    """Raises DataError for a key that a schema has not, or that it needs and does not get."""
    fields = dataclasses.fields(schema_class)
    known = [field.name for field in fields]
    for key in keys:
        if key not in known:
            raise DataError(one_line(unknown("key", key, known, " in a data schema")))
    missing = []
    for field in fields:
        is_required = field.default is dataclasses.MISSING
        if is_required and field.name not in keys:
            missing.append(field.name)
    if missing:
        got = ", ".join(keys) or "nothing"
        raise DataError(f"a data schema lacks {', '.join(missing)}; got: {got}")


def _read_columns(key: str, columns: Any) -> tuple[ColumnSchema, ...]:
    """Makes what is known of the columns of a table. DataError if it is none."""
    if not isinstance(columns, list):
        raise DataError(f"a data schema cannot have {key}={one_line(repr(columns), 100)}")
    return tuple(map(ColumnSchema.from_json, columns))


def _checks(schema: Schema) -> Iterator[tuple[str, bool]]:
    """Yields the name of each field, and whether a source can have its value.

    A check may rely on those before it: whoever reads them stops at the first that fails.
    """
    axes = None
    if isinstance(schema.kind, str):
        axes = KINDS.get(schema.kind)
    yield "kind", axes is not None

    shape = schema.shape
    has_lengths = _is_tuple_of(_is_length, shape)
    yield "shape", has_lengths and len(shape) == axes
    yield "levels", schema.levels is None or _is_integer_within(schema.levels, 2, 2**16)
    yield "low", _is_finite(schema.low)
    yield "high", _is_finite(schema.high)

    columns = schema.columns
    has_names = _is_tuple_of(_is_text, columns) and _fits_width(columns, shape)
    yield "columns", has_names and len(set(columns)) == len(columns)

    mean = schema.mean
    has_means = _is_tuple_of(_is_finite, mean)
    yield "mean", has_means and _fits_width(mean, shape)

    table = schema.table
    table_names = tuple(column.name for column in table)
    yield "table", not table or (schema.kind == "table" and table_names == columns and not mean)

    given = schema.names_of_conditions
    yield "given", len(set(given)) == len(given) and not set(given) & set(columns)

    scale = schema.scale
    has_scales = _is_tuple_of(_is_positive, scale)
    yield "scale", has_scales and len(scale) == len(mean)


def _is_integer_within(value: Any, least: int, greatest: int) -> bool:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return is_integer and least <= value <= greatest


def _is_length(value: Any) -> bool:
    return _is_integer_within(value, 1, 2**40)


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < float(np.finfo(np.float64).max)


def _is_positive(value: Any) -> bool:
    return _is_finite(value) and value > 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_tuple_of(is_sound: Callable[[Any], bool], values: Any) -> bool:
    return isinstance(values, tuple) and all(map(is_sound, values))


def _fits_width(values: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    """Says whether there are no values, or one for each column of the examples."""
    return not values or (len(values),) == shape[:1]

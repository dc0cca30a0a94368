"""What a model must know of one column of a table: a record of plain values."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from ..errors import DataError, one_line, unknown

KINDS = ("real", "positive", "count", "ordinal", "categorical", "binary", "datetime")
"""The kinds of columns that a model reads."""

LEFT_OUT = ("text", "id")
"""The kinds of columns that a model does not read."""

NUMBERS = ("real", "positive", "count", "datetime")
"""The kinds whose values are numbers."""

LEVELLED = ("ordinal", "categorical", "binary")
"""The kinds whose values are levels, of which there are few."""

DISCRETE = ("count", *LEVELLED)
"""The kinds whose values have probabilities; the others have densities."""

TYPES = ("float", "integer", "boolean", "text", "date", "datetime")
"""The types that the values of a column have in its source."""

DATE_FORMAT = re.compile(r"(%-?[YymdHIMSpPbBa]|%\.?[369]?f|[A-Za-z0-9 ,.:/+-])*")
"""A form in which dates are written as texts, as by `strftime`."""

MOMENT = re.compile(r"(ms|us|ns)?( [A-Za-z][A-Za-z0-9_+/-]*)?")
"""The unit of a moment in its source, and the name of its zone."""

GROUPED_FORMATS = ("1,234.5", "1.234,5", "1 234.5", "1 234,5", "1'234.5", "1'234,5", "1234,5")
"""Numbers in a text may be written as 1234.5 is here."""

FRAME_TYPES = re.compile(
    r"U?Int(8|16|32|64|128)|Float32|Decimal\(\d+,\d+\)|Categorical|Enum|String"
)
"""The types of a frame of Polars that a column may have beside the usual ones."""

LONGEST_FORMAT = 60
"""A form has at most so many characters."""


@dataclasses.dataclass(frozen=True)
class ColumnSchema:
    """What a model must know of one column.

    Attributes:
        name: of the column.
        kind: one of `KINDS`.
        type: of its values in the source, one of `TYPES`.
        levels: the words or numbers of the levels, as texts, in their order; empty for numbers.
        decimals: the decimals that numbers of the source have at most; None: as many as there are.
        mean: of the observed training values; of their logs where they are positive, and of
            log(1 + x) where they are counts. 0 for levels.
        scale: the standard deviation of the same; 1 for levels.
        low: the least observed training value.
        high: the greatest observed training value.
        quantiles: of the observed training values that are no atoms, at equal steps from the least
            to the greatest; empty for levels.
        atoms: the numbers that so many rows have that they have a probability of their own, beside
            the density or the probabilities of the others.
        shares: the share of the observed training values that each level has, or each atom.
        observed: how many training values are observed.
        format: how the values are written in the source, where it is not as usual: of dates in a
            text a form of `strftime`, of moments their unit and zone ("ms Europe/Berlin"), of
            numbers in a text one of `GROUPED_FORMATS`, else the type in a frame of Polars.
    """

    name: str
    kind: str = "real"
    type: str = "float"
    levels: tuple[str, ...] = ()
    decimals: int | None = None
    mean: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0
    quantiles: tuple[float, ...] = ()
    atoms: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    observed: int = 0
    format: str = ""

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers, and no levels."""
        return self.kind in NUMBERS

    @property
    def has_density(self) -> bool:
        """Whether values that are no atoms have a density, and no probability."""
        return self.kind not in DISCRETE

    @classmethod
    def from_json(cls, fields: Any) -> "ColumnSchema":
        """Makes the record of its fields, with lists in place of tuples.

        Raises:
            DataError: a field is not known, or no column has such a value.
        """
        if not isinstance(fields, Mapping):
            raise DataError(f"a column must be a table of fields, got {one_line(repr(fields), 60)}")
        known = [field.name for field in dataclasses.fields(cls)]
        values = {}
        for key, value in fields.items():
            if key not in known:
                raise DataError(one_line(unknown("key", key, known, " in a column")))
            if isinstance(value, list):
                value = tuple(value)
            values[key] = value
        if "name" not in values:
            raise DataError("a column lacks its name")
        column = cls(**values)
        for key, is_sound in column._checks().items():
            if not is_sound:
                shown = one_line(repr(values.get(key)), 100)
                raise DataError(f"a column cannot have {key}={shown}")
        return column

    def _checks(self) -> dict[str, bool]:
        """Says of each field whether a column can have its value."""
        numbers = (*_tuple(self.quantiles), *_tuple(self.atoms), *_tuple(self.shares))
        are_numbers = all(map(_is_finite, numbers))
        levels = _tuple(self.levels)
        needs_levels = self.kind in LEVELLED
        named = all(isinstance(level, str) for level in levels)
        shared = len(levels)
        if not needs_levels:
            shared = len(_tuple(self.atoms))
        return {
            "name": isinstance(self.name, str),
            "kind": self.kind in KINDS,
            "type": self.type in TYPES,
            "levels": named and bool(levels) == needs_levels and len(set(levels)) == len(levels),
            "decimals": self.decimals is None or self.decimals in range(20),
            "mean": _is_finite(self.mean),
            "scale": _is_finite(self.scale) and self.scale > 0,
            "low": _is_finite(self.low),
            "high": _is_finite(self.high),
            "quantiles": are_numbers and isinstance(self.quantiles, tuple),
            "atoms": isinstance(self.atoms, tuple),
            "shares": isinstance(self.shares, tuple) and len(self.shares) in (0, shared),
            "observed": isinstance(self.observed, int) and self.observed >= 0,
            "format": self._has_known_format(),
        }

    def _has_known_format(self) -> bool:
        """Says whether values of this kind and type can be written so."""
        if not isinstance(self.format, str) or len(self.format) > LONGEST_FORMAT:
            return False
        if self.kind == "datetime" and self.type == "text":
            return bool(self.format) and DATE_FORMAT.fullmatch(self.format) is not None
        if self.kind == "datetime":
            return MOMENT.fullmatch(self.format) is not None
        is_frame_type = FRAME_TYPES.fullmatch(self.format) is not None
        return self.format in ("", *GROUPED_FORMATS) or is_frame_type


def _tuple(value: Any) -> tuple[Any, ...]:
    """Returns a tuple as it is, and an empty one for anything else."""
    if isinstance(value, tuple):
        return value
    return ()


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)

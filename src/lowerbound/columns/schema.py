"""What a model must know of one column of a table: a record of plain values."""

import dataclasses
import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

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

TAIL_RANKS = (0.001, 0.004, 0.016, 0.984, 0.996, 0.999)
"""Quantiles of these ranks tell how the values near the ends of a column are spread."""

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
        tails: of the same values, at the ranks `TAIL_RANKS`; empty where `quantiles` are.
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
    tails: tuple[float, ...] = ()
    atoms: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    observed: int = 0
    format: str = ""

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers, and no levels."""
        return self.kind in NUMBERS

    def ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns all ranks of which a quantile is known, ascending, and these quantiles."""
        ranks = np.linspace(0, 1, len(self.quantiles))
        numbers = np.asarray(self.quantiles, np.float64)
        if not self.tails:
            return ranks, numbers
        ranks = np.concatenate([ranks, TAIL_RANKS])
        order = np.argsort(ranks, kind="stable")
        numbers = np.concatenate([numbers, self.tails])
        return ranks[order], np.maximum.accumulate(numbers[order])

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
        is_whole = isinstance(self.observed, int) and not isinstance(self.observed, bool)
        return {
            "name": isinstance(self.name, str),
            "kind": self.kind in KINDS,
            "type": self.type in TYPES,
            "levels": self._has_sound_levels(),
            "decimals": self.decimals is None or _is_digits(self.decimals),
            "mean": _is_finite(self.mean),
            "scale": _is_finite(self.scale) and self.scale > 0,
            "low": _is_finite(self.low),
            "high": _is_finite(self.high),
            "quantiles": self._are_values(self.quantiles) and _is_rising(self.quantiles),
            "tails": self._has_sound_tails(),
            "atoms": self._are_values(self.atoms) and len(set(self.atoms)) == len(self.atoms),
            "shares": self._has_sound_shares(),
            "observed": is_whole and self.observed >= 0,
            "format": self._has_known_format(),
        }

    def _has_sound_levels(self) -> bool:
        """Whether the levels are different texts, and there are some only where they are needed."""
        levels = _tuple(self.levels)
        if bool(levels) != (self.kind in LEVELLED):
            return False
        are_texts = all(isinstance(level, str) for level in levels)
        return are_texts and len(set(levels)) == len(levels)

    def _are_values(self, numbers: Any) -> bool:
        """Whether these are numbers that a column of this kind can have."""
        if not isinstance(numbers, tuple) or not all(map(_is_finite, numbers)):
            return False
        if not numbers:
            return True
        if self.kind in ("positive", "count"):
            return min(numbers) >= 0
        return self.kind in NUMBERS

    def _has_sound_tails(self) -> bool:
        """Whether there is a quantile of each rank of the tails, or none."""
        if not self._are_values(self.tails) or not _is_rising(self.tails):
            return False
        return len(self.tails) in (0, len(TAIL_RANKS))

    def _has_sound_shares(self) -> bool:
        """Whether there is a share of each level or atom, or none at all."""
        shares = self.shares
        if not isinstance(shares, tuple) or not all(map(_is_finite, shares)):
            return False
        parts = _tuple(self.levels) or _tuple(self.atoms)
        if shares and len(shares) != len(parts):
            return False
        return all(share >= 0 for share in shares) and sum(shares) <= 1 + 1e-6

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


def _is_digits(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 20


def _is_rising(numbers: tuple[float, ...]) -> bool:
    return all(first <= second for first, second in pairwise(numbers))

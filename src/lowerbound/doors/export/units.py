"""The units of the data in a graph: from raw rows to what the model sees, and back.

They are those of `Schema.scaled` and `Schema.restore`, in PyTorch: a graph cannot call NumPy.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ...batch import Batch
from ...columns import DISCRETE, Coding, ColumnSchema
from ...columns.coding import CODE_OF_ZERO
from ...data import Schema


class Codes(nn.Module):
    """Makes the codes (B, D) of values of columns, as `Coding.encode` does.

    What a column cannot hold is a gap, NaN, as it is for other data of a run: an infinite number, a
    negative one among positive numbers or counts, a zero among positive numbers that have none, a
    count that is not whole, the position of no level.

    Args:
        columns: the D columns.
    """

    def __init__(self, columns: Sequence[ColumnSchema]) -> None:
        super().__init__()
        coding = Coding(columns)
        self._keep("mean", coding.mean)
        self._keep("scale", coding.scale)
        self._keep("is_log", coding.is_log)
        self._keep("is_whole", np.array([column.kind in DISCRETE for column in columns]))
        self._keep("has_zero", np.array([0 in column.atoms for column in columns]))
        self._keep("least", np.array([_least(column) for column in columns]))
        self._keep("greatest", np.array([_greatest(column) for column in columns]))

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.tensor(values.tolist(), dtype=_type_of(values)))

    def forward(self, values: Tensor) -> Tensor:
        """Returns the codes of values (B, D), float64; NaN are gaps."""
        is_log = self.get_buffer("is_log")
        is_zero = is_log & (values == 0)
        logs = torch.where(is_log & (values > 0), values, 1).log()
        numbers = torch.where(is_log, logs, values)
        codes = (numbers - self.get_buffer("mean")) / self.get_buffer("scale")
        codes = torch.where(is_zero, CODE_OF_ZERO, codes)
        return torch.where(self._is_there(values, is_zero), codes, torch.nan)

    def _is_there(self, values: Tensor, is_zero: Tensor) -> Tensor:
        """Says which values their columns can hold, (B, D); no comparison holds for NaN."""
        is_within = (values >= self.get_buffer("least")) & (values <= self.get_buffer("greatest"))
        is_exact = ~self.get_buffer("is_whole") | (values == values.floor())
        has_code = ~is_zero | self.get_buffer("has_zero")
        return is_within & is_exact & has_code


def _type_of(values: np.ndarray) -> torch.dtype:
    if values.dtype == bool:
        return torch.bool
    return torch.float64


def _least(column: ColumnSchema) -> float:
    """Returns the least value that a column can hold."""
    if column.kind in ("real", "datetime"):
        return -float(np.finfo(np.float64).max)
    return 0.0


def _greatest(column: ColumnSchema) -> float:
    """Returns the greatest value that a column can hold."""
    if column.levels:
        return len(column.levels) - 1.0
    return float(np.finfo(np.float64).max)


class FromData(nn.Module):
    """Makes the batch that a model sees of raw rows (B, *shape), and of their conditions.

    Args:
        schema: of the data of the run.
    """

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.levels: int | None = schema.levels
        self.codes: nn.Module | None = None
        self.conditions: nn.Module | None = None
        self.is_standardised: bool = bool(schema.mean)
        if schema.table:
            self.codes = Codes(schema.table)
        if schema.given:
            self.conditions = Codes(schema.given)
        self.register_buffer("mean", torch.tensor(schema.mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(schema.scale, dtype=torch.float64))

    def forward(self, raw: Tensor, given: Tensor | None = None) -> Batch:
        """Returns the batch of raw rows (B, *shape) and the values of conditions (B, G)."""
        codes = self.codes_of_conditions(given)
        if self.codes is None:
            return Batch(self._scaled(raw), codes)
        values = self.codes(raw)
        observed = ~values.isnan()
        return Batch(torch.where(observed, values, 0).float(), codes, observed)

    def codes_of_conditions(self, given: Tensor | None) -> Tensor | None:
        """Returns the codes (B, G) of the values of conditions; None stays None."""
        if given is None or self.conditions is None:
            return None
        return self.conditions(given).float()

    def _scaled(self, raw: Tensor) -> Tensor:
        """Returns numbers, or values on levels, as the model sees them."""
        if self.is_standardised:
            return ((raw - self.get_buffer("mean")) / self.get_buffer("scale")).float()
        if self.levels is None:
            return raw
        return raw / (self.levels - 1)


class ToData(nn.Module):
    """Makes of p(x | z) its means in the units of the data, (..., *shape).

    They are not rounded: of a table with columns of several kinds the means of numbers, and the
    positions of the most probable levels.

    Args:
        schema: of the data of the run.
    """

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.levels: int | None = schema.levels
        self.is_table: bool = bool(schema.table)
        self.is_standardised: bool = bool(schema.mean)
        self.register_buffer("mean", torch.tensor(schema.mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(schema.scale, dtype=torch.float64))

    def forward(self, p: Distribution) -> Tensor:
        """Returns the means of p(x | z)."""
        if self.is_table:
            table: Any = getattr(p, "base_dist", p)
            return table.data_mean.double()
        if self.is_standardised:
            return p.mean.double() * self.get_buffer("scale") + self.get_buffer("mean")
        if self.levels is None:
            return p.mean
        return p.mean * (self.levels - 1)


def log_stretch(schema: Schema) -> float:
    """Returns what to add to a log-density of standardised values for that of the values."""
    return -sum(math.log(scale) for scale in schema.scale)

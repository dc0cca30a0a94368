"""What an encoder sees of the rows of a table with columns of several kinds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..columns import Coding, ColumnSchema
from ..networks.limits import bounded

FREQUENT = 0.05
"""A count that so large a share of the rows has, has an indicator."""

LARGEST = 5.0
"""Numbers further from the mean than so many deviations are seen as closer ones, by logarithms."""

PERIODS = (7.0, 365.2425, 1.0)
"""The days of a week, of a year in the mean of the Gregorian calendar, and of a day."""


class LinearFeatures(NamedTuple):
    """Numbers of rows that a Gaussian may be fitted to.

    Attributes:
        values: (B, F), NaN where a column is not observed.
        owner: the place of the column that each is of, (F,).
    """

    values: Tensor
    owner: np.ndarray


class TableFeatures(nn.Module):
    """Makes features (B, F) of the codes of rows (B, D) and of which of them are observed.

    A number has its standardised value and whether it is observed, and an indicator of each of its
    atoms (of counts, of the frequent ones), at which its value is 0 unless it is a count. A date
    has the cyclic parts of its week, year and day beside. A level has an indicator. What is not
    observed is 0 everywhere, so that its code cannot matter.

    Args:
        columns: the D columns.

    Attributes:
        width: the number of features, F.
    """

    def __init__(self, columns: Sequence[ColumnSchema]) -> None:
        super().__init__()
        numbers = [i for i, column in enumerate(columns) if column.is_number]
        levelled = [i for i, column in enumerate(columns) if not column.is_number]
        dates = [i for i in numbers if columns[i].kind == "datetime"]
        codes = _frequent_atoms(columns)
        with_atoms = [i for i in numbers for _ in codes[i]]
        sizes = np.array([len(columns[i].levels) for i in levelled], np.int64)
        is_count = [columns[i].kind == "count" for i in numbers]
        atoms = [atom for i in numbers for atom in codes[i].tolist()]
        self._keep("numbers", torch.tensor(numbers, dtype=torch.long))
        self._keep("is_count", torch.tensor(is_count, dtype=torch.bool))
        self._keep("mean", torch.tensor([columns[i].mean for i in numbers]))
        self._keep("scale", torch.tensor([columns[i].scale for i in numbers]))
        self._keep("atom_columns", torch.tensor(with_atoms, dtype=torch.long))
        self._keep("atoms", torch.tensor(atoms))
        self._keep("dates", torch.tensor(dates, dtype=torch.long))
        # Where the mean stands in each period, reduced in float64: a float32 of days since 1970
        # would be off by minutes, and by hours for dates far away.
        phases = [[columns[i].mean / period % 1.0 for i in dates] for period in PERIODS]
        self._keep("date_phases", torch.tensor(phases))
        self._keep("date_scale", torch.tensor([columns[i].scale for i in dates]))
        self._keep("levelled", torch.tensor(levelled, dtype=torch.long))
        self._keep("starts", torch.tensor((sizes.cumsum() - sizes).tolist(), dtype=torch.long))
        ordered = [i for i in levelled if columns[i].kind == "ordinal"]
        self._keep("ordered", torch.tensor(ordered, dtype=torch.long))
        owners = [i for i in levelled for _ in columns[i].levels]
        self._keep("level_columns", torch.tensor(owners, dtype=torch.long))
        self.level_count: int = int(sizes.sum())
        self.width: int = 2 * len(numbers) + len(atoms) + self.level_count
        self.width += 2 * len(PERIODS) * len(dates)

    def _keep(self, name: str, values: Tensor) -> None:
        """Keeps a tensor that moves with the module and is no weight."""
        self.register_buffer(name, values, persistent=False)

    def forward(self, codes: Tensor, observed: Tensor) -> Tensor:
        """Returns the features of a batch.

        Args:
            codes: (B, D); those that are not observed are 0.
            observed: (B, D) bool.
        """
        known = observed.to(codes.dtype)
        parts = [
            *self._numbers(codes, known),
            self._dates(codes, known),
            self._levels(codes, observed),
        ]
        return torch.cat(parts, dim=-1)

    def linear(self, codes: Tensor, observed: Tensor) -> LinearFeatures:
        """Returns numbers of rows that a Gaussian may be fitted to.

        Of a number its standardised value (NaN at its atoms), and an indicator of each of its
        atoms; of a level with an order its position; of another level the indicators but for
        the first, which the others tell.

        Args:
            codes: (B, D); those that are not observed are 0.
            observed: (B, D) bool.
        """
        numbers = self.get_buffer("numbers")
        values, known, is_atom = self._numbers(codes, observed.to(codes.dtype))
        atom_columns = self.get_buffer("atom_columns")
        at_atom = torch.zeros_like(codes).index_add(1, atom_columns, is_atom)[:, numbers]
        values = torch.where((known > 0) & (at_atom == 0), values, torch.nan)
        atoms = torch.where(observed[:, atom_columns], is_atom, torch.nan)
        ordered = self.get_buffer("ordered")
        positions = torch.where(observed[:, ordered], codes[:, ordered], torch.nan)
        owners = self.get_buffer("level_columns")
        is_first = torch.zeros_like(owners, dtype=torch.bool)
        is_first[self.get_buffer("starts")] = True
        is_plain = ~torch.isin(owners, ordered) & ~is_first
        levels = torch.where(observed[:, owners], self._levels(codes, observed), torch.nan)
        parts = [values, atoms, positions, levels[:, is_plain]]
        owner = torch.cat([numbers, atom_columns, ordered, owners[is_plain]])
        return LinearFeatures(torch.cat(parts, dim=-1), owner.cpu().numpy())

    def _numbers(self, codes: Tensor, known: Tensor) -> list[Tensor]:
        """Returns the values of numbers, whether they are observed, and their atoms."""
        numbers = self.get_buffer("numbers")
        values = codes[:, numbers]
        observed = known[:, numbers]
        logs = torch.log1p(values.clamp(min=0))
        standardised = (logs - self.get_buffer("mean")) / self.get_buffer("scale")
        values = torch.where(self.get_buffer("is_count"), standardised, values)
        columns = self.get_buffer("atom_columns")
        # The codes of atoms are rounded to float32, as batches of data are.
        is_atom = codes[:, columns].float() == self.get_buffer("atoms").float()
        is_atom = is_atom.to(codes.dtype) * known[:, columns]
        at_atom = torch.zeros_like(codes).index_add(1, columns, is_atom)[:, numbers]
        # The value of a count tells as much where it is an atom.
        at_atom = torch.where(self.get_buffer("is_count"), 0, at_atom)
        values = bounded(values, LARGEST) * observed * (1 - at_atom)
        return [values, observed, is_atom]

    def _dates(self, codes: Tensor, known: Tensor) -> Tensor:
        """Returns where dates stand in their week, their year and their day, as sines and cosines.

        Days are counted from 1 January 1970, which was a Thursday.
        """
        positions = self.get_buffer("dates")
        days_from_mean = codes[:, positions] * self.get_buffer("date_scale")
        parts = []
        phases = self.get_buffer("date_phases")
        for period, phase in zip(PERIODS, phases, strict=True):
            angle = 2 * torch.pi * (torch.frac(days_from_mean / period) + phase)
            parts.append(torch.sin(angle) * known[:, positions])
            parts.append(torch.cos(angle) * known[:, positions])
        return torch.cat(parts, dim=-1)

    def _levels(self, codes: Tensor, observed: Tensor) -> Tensor:
        """Returns the indicators of the levels of all columns, side by side."""
        levelled = self.get_buffer("levelled")
        places = codes[:, levelled].long() + self.get_buffer("starts")
        indicators = codes.new_zeros(codes.shape[0], self.level_count)
        return indicators.scatter(1, places, observed[:, levelled].to(codes.dtype))


def _frequent_atoms(columns: Sequence[ColumnSchema]) -> list[np.ndarray]:
    """Returns the codes of the atoms of each column; of counts, of which all values may be atoms,
    those of the frequent ones.
    """
    pairs = zip(columns, Coding(columns).atoms(), strict=True)
    return [codes[are_frequent(column)] for column, codes in pairs]


def are_frequent(column: ColumnSchema) -> np.ndarray:
    """Says which of the atoms of a column have an indicator, (A,)."""
    if column.kind == "count" and column.shares:
        return np.array(column.shares) >= FREQUENT
    return np.ones(len(column.atoms), dtype=bool)

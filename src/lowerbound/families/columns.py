"""The likelihood of a table whose columns are of several kinds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint

from ..columns import KINDS, ColumnSchema
from ..columns.families import (
    AnyColumnFamily,
    ColumnDistribution,
    ColumnFamily,
    Histogram,
    NegativeBinomial,
    Softmax,
    StudentT,
)
from ..columns.families.inflated import InflatedHead
from ..columns.families.units import InDataUnits
from ..errors import ConfigError
from ..specs.checked import checked
from .base import Family, FamilyWithHead
from .place import Place

MANY_COUNTS = 5_000
"""A column of counts with so many observed training values is told by a histogram.

Of fewer values, the bins of a histogram are told apart by chance more than by the other columns.
"""

MANY_NUMBERS = 20_000
"""A column of real or positive numbers with so many observed training values is told by a
histogram: measured on 5,200 rows a Student distribution is better, on 24,000 the histogram is.
"""


@dataclass(frozen=True)
class Group:
    """Columns that are computed together: they have one family and as many parameters.

    Attributes:
        family: of these columns.
        positions: of these columns in the table.
        columns: the n columns.
        parameters: the numbers that the network gives for each of them, P.
        atoms: the most atoms that one of them has.
    """

    family: ColumnFamily
    positions: tuple[int, ...]
    columns: tuple[ColumnSchema, ...]
    parameters: int
    atoms: int

    @property
    def features(self) -> int:
        """The numbers that the network gives for the group."""
        numbers = self.parameters
        if self.atoms:
            numbers += 1 + self.atoms
        return numbers * len(self.columns)


class TableDistribution(Distribution):
    """The distributions of the D cells of a row, each by itself: batch shape (..., D).

    `log_prob` has one value for each cell, in nats in the units of the data.

    Attributes:
        groups: the distributions of columns that are computed together, each after the positions
            of its columns.

    Args:
        groups: see above.
        order: the place of each column among those of all groups, one after another, (D,).
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, groups: Sequence[tuple[Tensor, ColumnDistribution]], order: Tensor) -> None:
        self.groups: tuple[tuple[Tensor, ColumnDistribution], ...] = tuple(groups)
        self.order = order
        first = self.groups[0][1].batch_shape
        super().__init__(torch.Size([*first[:-1], len(order)]), validate_args=False)

    def _join(self, parts: Sequence[Tensor]) -> Tensor:
        """Puts the columns of all groups in the order of the table."""
        return torch.cat(list(parts), dim=-1)[..., self.order]

    def log_prob(self, value: Tensor) -> Tensor:
        parts = []
        for positions, distribution in self.groups:
            parts.append(distribution.log_prob(value[..., positions]))
        return self._join(parts)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        shape = torch.Size(sample_shape)
        return self._join([distribution.sample(shape) for _, distribution in self.groups])

    @property
    def mean(self) -> Tensor:
        """The mean of the codes of numbers, the most probable position of levels, (..., D)."""
        return self._join([distribution.mean for _, distribution in self.groups])

    @property
    def data_mean(self) -> Tensor:
        """The mean of numbers in the units of the data, the most probable position of levels,
        (..., D).
        """
        return self._join([distribution.data_mean for _, distribution in self.groups])


class ColumnsHead(nn.Module):
    """Makes the distribution of a row of a network's output (..., F).

    Args:
        groups: the columns that are computed together.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        super().__init__()
        self.groups: tuple[Group, ...] = tuple(groups)
        self.heads: nn.ModuleList = nn.ModuleList(map(_make_head, groups))
        positions = [position for group in groups for position in group.positions]
        order = torch.argsort(torch.tensor(positions))
        self.register_buffer("order", order, persistent=False)
        self.order: Tensor
        for number, group in enumerate(groups):
            places = torch.tensor(group.positions)
            self.register_buffer(f"positions_{number}", places, persistent=False)

    def forward(self, features: Tensor) -> Distribution:
        # A number of 16 bits has too few digits for a density in many deviations or in many counts.
        if features.element_size() < 4:
            features = features.float()
        parts = features.split([group.features for group in self.groups], dim=-1)
        distributions = []
        for number, (group, part) in enumerate(zip(self.groups, parts, strict=True)):
            parameters = part.reshape(*part.shape[:-1], len(group.columns), -1)
            positions = self.get_buffer(f"positions_{number}")
            distributions.append((positions, self.heads[number](parameters)))
        return Independent(TableDistribution(distributions, self.order), 1, validate_args=False)


def _make_head(group: Group) -> nn.Module:
    """Makes the head of a group: of its codes, in the units of the data, beside its atoms."""
    head = group.family.head(group.columns)
    if any(column.has_density for column in group.columns):
        head = InDataUnits(head, group.columns)
    if group.atoms:
        head = InflatedHead(head, group.columns, group.atoms)
    return head


@checked
class Columns(FamilyWithHead):
    """The likelihood of a table: each column has the family of its kind, given z.

    The log-likelihood of a row is the sum over its observed cells, in nats, in the units of the
    data: a density of numbers (the Jacobian of their standardising is in it), a probability of
    counts, levels and atoms. Numbers that many rows share have a probability of their own.

    Args:
        real: family of real numbers; None: `Histogram` of a column with at least 20,000 observed
            training values, else `StudentT`.
        positive: family of the logs of positive numbers; None: as of real numbers.
        count: family of counts; None: `Histogram` of a column with at least 5,000 observed training
            values, else `NegativeBinomial`.
        ordinal: family of levels with an order.
        categorical: family of levels without an order.
        binary: family of two levels.
        datetime: family of dates and times; None: as of real numbers.
    """

    real: AnyColumnFamily | None = None
    positive: AnyColumnFamily | None = None
    count: AnyColumnFamily | None = None
    ordinal: AnyColumnFamily = Softmax()
    categorical: AnyColumnFamily = Softmax()
    binary: AnyColumnFamily = Softmax()
    datetime: AnyColumnFamily | None = None

    def __post_init__(self) -> None:
        for kind in KINDS:
            family = getattr(self, kind)
            if family is not None and kind not in family.kinds:
                allowed = ", ".join(family.kinds)
                raise ValueError(
                    f"{kind} cannot be {type(family).__name__}, which is for {allowed}"
                )

    def family_of(self, column: ColumnSchema) -> ColumnFamily:
        """Returns the family of a column."""
        family: ColumnFamily | None = getattr(self, column.kind)
        if family is not None:
            return family
        if column.kind == "count" and column.observed < MANY_COUNTS:
            return NegativeBinomial()
        if column.kind != "count" and column.observed < MANY_NUMBERS:
            return StudentT()
        return Histogram()

    def of_columns(self, columns: Sequence[ColumnSchema]) -> Family:
        """Returns the likelihood of a table with these columns.

        Raises:
            ConfigError: nothing is known of them.
        """
        if not columns:
            raise ConfigError(
                "model.likelihood Columns is for tables whose columns have kinds: set data.kinds "
                "(data.kinds={} finds them), or take another likelihood, such as Normal"
            )
        return _BoundColumns(self, tuple(columns))

    def features(self, event: tuple[int, ...]) -> tuple[int, ...]:
        return self._of_reals(event).features(event)

    def head(self, place: Place) -> nn.Module:
        return self._of_reals(place.event).head(place)

    def _of_reals(self, event: tuple[int, ...]) -> "_BoundColumns":
        """Returns the likelihood of a vector of real numbers (D,) of which nothing is known."""
        (size,) = event
        columns = [ColumnSchema(f"x{position}") for position in range(1, size + 1)]
        return _BoundColumns(self, tuple(columns))


@dataclass(frozen=True)
class _BoundColumns(FamilyWithHead):
    """The likelihood of a table with certain columns."""

    families: Columns
    columns: tuple[ColumnSchema, ...]

    def features(self, event: tuple[int, ...]) -> tuple[int, ...]:
        return (sum(group.features for group in self._groups()),)

    def head(self, place: Place) -> nn.Module:
        return ColumnsHead(self._groups())

    def natural(self, mean: Tensor) -> Tensor | None:
        """Refuses to be told a mean.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "model.output_bias='data' is not for Columns, whose families start about the training "
            "values by themselves; leave it out"
        )

    def _groups(self) -> list[Group]:
        """Groups the columns by family, parameters and about how many atoms they have."""
        members: dict[tuple[str, int, int, bool], list[int]] = {}
        for position, column in enumerate(self.columns):
            family = self.families.family_of(column)
            key = (
                repr(family),
                family.parameters(column),
                len(column.atoms).bit_length(),
                column.has_density,
            )
            members.setdefault(key, []).append(position)
        groups = []
        for positions in members.values():
            columns = tuple(self.columns[position] for position in positions)
            family = self.families.family_of(columns[0])
            parameters = family.parameters(columns[0])
            atoms = max(len(column.atoms) for column in columns)
            groups.append(Group(family, tuple(positions), columns, parameters, atoms))
        return groups

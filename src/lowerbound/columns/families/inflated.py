"""Atoms: numbers that have a probability of their own beside the distribution of the others."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..coding import Coding
from ..schema import ColumnSchema
from .base import ColumnDistribution
from .starts import LEAST_SHARE


class Inflated(ColumnDistribution):
    """Mixtures of atoms and of a distribution of the other numbers.

    A column with a density has none at an atom. Of counts, the others may be equal to an atom too,
    as in a zero-inflated distribution.

    Args:
        others: the distributions of the other numbers.
        log_shares: log-probabilities of the others, then of each atom, (..., n, 1 + A).
        atoms: the codes of the atoms, (n, A); NaN where a column has fewer than A.
        values: the atoms themselves, (n, A); 0 where a column has fewer than A.
        has_density: whether the others have a density, (n,).
    """

    def __init__(
        self,
        others: ColumnDistribution,
        log_shares: Tensor,
        atoms: Tensor,
        values: Tensor,
        has_density: Tensor,
    ) -> None:
        self.others = others
        self.log_shares = log_shares
        self.atoms = atoms
        self.values = values
        self.has_density = has_density
        super().__init__(others.batch_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        # The codes of atoms are rounded to float32, as batches of data are.
        is_atom = value.float().unsqueeze(-1) == self.atoms.float()
        # A density is not asked at an atom, which may be far outside, such as the code of a zero.
        asked = torch.where(is_atom.any(-1) & self.has_density, 0, value)
        of_others = self.log_shares[..., 0] + self.others.log_prob(asked)
        log_shares = self.log_shares[..., 1:]
        shape = torch.broadcast_shapes(is_atom.shape, log_shares.shape)
        is_atom = is_atom.expand(shape)
        of_atom = torch.where(is_atom, log_shares, 0).sum(-1)
        either = torch.logaddexp(of_atom, of_others)
        found = torch.where(self.has_density, of_atom, either)
        return torch.where(is_atom.any(-1), found, of_others)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            count = self.log_shares.shape[-1]
            table = self.log_shares.exp().expand(*shape, count)
            drawn = torch.multinomial(table.reshape(-1, count), 1).reshape(*shape, 1)
            others = self.others.sample(torch.Size(sample_shape))
            atoms = self.atoms.nan_to_num().expand(*shape, count - 1)
            chosen = atoms.gather(-1, (drawn - 1).clamp(min=0)).squeeze(-1)
            return torch.where(drawn.squeeze(-1) == 0, others, chosen)

    @property
    def mean(self) -> Tensor:
        """The code of an atom that is more probable than all else, or the mean of the others; of
        counts, whose codes are their values, the mean of all.

        The code of a zero among positive numbers is no number to take a mean with.
        """
        shares = self.log_shares[..., 1:].exp()
        greatest, position = shares.max(-1)
        atoms = self.atoms.nan_to_num().expand(shares.shape)
        likeliest = atoms.gather(-1, position.unsqueeze(-1)).squeeze(-1)
        guess = torch.where(greatest > 0.5, likeliest, self.others.mean)
        return torch.where(self.has_density, guess, self.data_mean)

    @property
    def data_mean(self) -> Tensor:
        shares = self.log_shares.exp()
        of_atoms = (shares[..., 1:] * self.values).sum(-1)
        return shares[..., 0] * self.others.data_mean + of_atoms


class InflatedHead(nn.Module):
    """Makes mixtures of atoms and others of (..., n, 1 + A + P).

    Args:
        head: makes the distributions of the others, of the last P numbers.
        columns: the n columns.
        most: the most atoms that a column has, A.
    """

    def __init__(self, head: nn.Module, columns: Sequence[ColumnSchema], most: int) -> None:
        super().__init__()
        self.head = head
        self.most = most
        atoms = torch.full((len(columns), most), torch.nan)
        values = torch.zeros(len(columns), most)
        start = torch.full((len(columns), 1 + most), -torch.inf)
        for row, codes in enumerate(Coding(columns).atoms()):
            count = len(codes)
            atoms[row, :count] = torch.from_numpy(codes)
            values[row, :count] = torch.tensor(columns[row].atoms)
            shares = torch.full((count,), 1 / (1 + count))
            if columns[row].shares:
                shares = torch.tensor(columns[row].shares)
            start[row, 0] = (1 - shares.sum()).clamp(min=LEAST_SHARE).log()
            start[row, 1 : 1 + count] = shares.clamp(min=LEAST_SHARE).log()
        has_density = torch.tensor([column.has_density for column in columns])
        self.register_buffer("atoms", atoms, persistent=False)
        self.register_buffer("values", values, persistent=False)
        self.register_buffer("start", start, persistent=False)
        self.register_buffer("has_density", has_density, persistent=False)
        self.atoms: Tensor
        self.values: Tensor
        self.start: Tensor
        self.has_density: Tensor

    def forward(self, parameters: Tensor) -> Inflated:
        scores = parameters[..., : 1 + self.most] + self.start
        log_shares = torch.log_softmax(scores, dim=-1)
        others = self.head(parameters[..., 1 + self.most :])
        return Inflated(others, log_shares, self.atoms, self.values, self.has_density)

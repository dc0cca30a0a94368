"""The best items for histories: bounds for all of them, and exact scores where the bounds say that
it matters.
"""

import copy
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..baselines.partner import LOWEST_SCORE, Partner
from ..evaluation.ranking import TopK, top_k
from ..model import VAE
from ..sparse import SparseRows
from .bounds import FEW_USERS, FLOAT_SLACK, ItemTable
from .exact import Trunk, last_layer, on_grid, steady_log
from .new_items import ItemLayer


class Exclusion:
    """The items that are not to be recommended.

    Attributes:
        columns: those for nobody.
        histories: those of each user, or None.
        allowed: the only items that each user may get, or None.
    """

    def __init__(
        self, columns: Tensor, histories: SparseRows | None, allowed: SparseRows | None = None
    ) -> None:
        self.columns = columns
        self.histories = histories
        self.allowed = allowed

    def apply(self, scores: Tensor, rows: Tensor | None = None) -> Tensor:
        """Sets the scores (B, I) of these items to minus infinity, in place or in a copy.

        Args:
            scores: the scores of all users, or of a few.
            rows: which users these are; None for all.
        """
        if len(self.columns):
            scores.index_fill_(1, self.columns, -torch.inf)
        if self.allowed is not None:
            scores = _keep_alone(scores, self.allowed, rows)
        histories = self.histories
        if histories is None:
            return scores
        if len(scores) == 1 and rows is None:  # one index alone takes less time
            return scores.index_fill_(1, histories.columns, -torch.inf)
        if rows is None:
            scores[histories.rows, histories.columns] = -torch.inf
            return scores
        for position, row in enumerate(rows.tolist()):
            start = histories.offsets[row]
            stop = histories.offsets[row + 1]
            scores[position, histories.columns[start:stop]] = -torch.inf
        return scores


def _keep_alone(scores: Tensor, allowed: SparseRows, rows: Tensor | None) -> Tensor:
    """Returns the scores (B, I) of the items of each row, and minus infinity for all others.

    Args:
        scores: the scores of all users, or of a few.
        allowed: the items that are kept of each user.
        rows: which users the scores are of; None for all.
    """
    kept = torch.full_like(scores, -torch.inf)
    if rows is None:
        places = (allowed.rows, allowed.columns)
        kept[places] = scores[places]
        return kept
    for position, row in enumerate(rows.tolist()):
        columns = allowed.columns[allowed.offsets[row] : allowed.offsets[row + 1]]
        kept[position, columns] = scores[position, columns]
    return kept


class Scores(Protocol):
    """The scores of all items for B users, of which only what is asked for is computed."""

    def __len__(self) -> int:
        """The number of users, B."""

    def upper(self) -> Tensor:
        """Computes bounds for all items, up to `margin`, (B, I)."""

    def margin(self, bounds: Tensor) -> Tensor:
        """Returns what no score of an item with such a bound can exceed, (B,) float32."""

    def exact(self, columns: Tensor, rows: Tensor | None = None) -> Tensor:
        """Computes the scores of a few items of each user, (b, c) float32.

        Args:
            columns: the items, (b, c).
            rows: which users these are, (b,); None for all.
        """

    def all(self, rows: Tensor | None = None) -> Tensor:
        """Computes the scores of all items of all users, or of those at `rows`, (b, I) float32."""


class _LayerScores:
    """The scores <h, w_i> + b_i of a linear layer.

    Args:
        table: the layer.
        h: its input on a grid, (B, K) float64.
    """

    def __init__(self, table: ItemTable, h: Tensor) -> None:
        self.table = table
        self.h = h

    def __len__(self) -> int:
        return len(self.h)

    def upper(self) -> Tensor:
        return self.table.upper(self.h)

    def margin(self, bounds: Tensor) -> Tensor:
        return self.table.margin(bounds)

    def exact(self, columns: Tensor, rows: Tensor | None = None) -> Tensor:
        return self.table.exact(_taken(self.h, rows), columns)

    def all(self, rows: Tensor | None = None) -> Tensor:
        return self.table.all(_taken(self.h, rows))


class _BlendedScores:
    """The scores of a network and of its partner, see `Partner`.

    Args:
        network: of the network.
        partner: the linear method.
        full: its scores without the term of low rank, (B, I) float32.
        low_rank: those of the term of low rank, or None.
    """

    def __init__(
        self, network: _LayerScores, partner: Partner, full: Tensor, low_rank: _LayerScores | None
    ) -> None:
        self.network = network
        self.weight = partner.weight
        self.full = full
        self.low_rank = low_rank

    def __len__(self) -> int:
        return len(self.full)

    def upper(self) -> Tensor:
        linear = self.full
        if self.low_rank is not None:
            linear = self.low_rank.table.upper_with_margin(self.low_rank.h).add_(linear)
            linear.add_(linear.abs(), alpha=FLOAT_SLACK)
        else:
            linear = linear.clone()
        upper = linear.clamp_(min=LOWEST_SCORE).log_().mul_(self.weight)
        slack = FLOAT_SLACK * (1 + upper.abs().amax(1, keepdim=True))
        network = self.network.table.upper_with_margin(self.network.h)
        upper.add_(network).add_(slack)
        return upper.add_(upper.abs(), alpha=FLOAT_SLACK)

    def margin(self, bounds: Tensor) -> Tensor:
        return bounds

    def exact(self, columns: Tensor, rows: Tensor | None = None) -> Tensor:
        linear = _taken(self.full, rows).gather(1, columns)
        if self.low_rank is not None:
            linear = linear + self.low_rank.exact(columns, rows)
        return self._join(self.network.exact(columns, rows), linear)

    def all(self, rows: Tensor | None = None) -> Tensor:
        linear = _taken(self.full, rows)
        if self.low_rank is not None:
            linear = linear + self.low_rank.all(rows)
        return self._join(self.network.all(rows), linear)

    def _join(self, network: Tensor, linear: Tensor) -> Tensor:
        """Returns network + weight x log linear, rounded alike wherever an item stands."""
        log = steady_log(linear.double().clamp_(min=LOWEST_SCORE))
        return log.mul_(self.weight).add_(network.double()).float()


class _RaisedScores:
    """Scores to which something is added, the same for all users.

    A sum in float32 rounds no smaller number above a greater one, so that the bound of a score,
    with its margin and with what is added, bounds the sum.

    Args:
        scores: without it.
        added: to the score of each item, (I,) float32.
    """

    def __init__(self, scores: Scores, added: Tensor) -> None:
        self.scores = scores
        self.added = added

    def __len__(self) -> int:
        return len(self.scores)

    def upper(self) -> Tensor:
        return self.scores.margin(self.scores.upper()) + self.added

    def margin(self, bounds: Tensor) -> Tensor:
        return bounds

    def exact(self, columns: Tensor, rows: Tensor | None = None) -> Tensor:
        return self.scores.exact(columns, rows) + self.added[columns]

    def all(self, rows: Tensor | None = None) -> Tensor:
        return self.scores.all(rows) + self.added


def _taken(values: Tensor, rows: Tensor | None) -> Tensor:
    if rows is None:
        return values
    return values[rows]


class ItemRanker:
    """Ranks the items of a model for histories; see `recommender` for what it promises.

    Args:
        model: a model of interactions, on the CPU.
    """

    def __init__(self, model: VAE) -> None:
        self._trunk = Trunk(model)
        layer = last_layer(model)
        self._layer = (layer.weight.detach(), layer.bias.detach())
        self._table = ItemTable(*self._layer)
        self._take_partner(model.partner)

    def _take_partner(self, partner: Partner | None) -> None:
        """Takes a linear method, or none, whose scores join those of the network."""
        self._partner: Partner | None = partner
        self._linear: ItemTable | None = None
        if partner is not None and partner.scorer.right is not None:
            self._linear = ItemTable(partner.scorer.right)

    def with_partner(self, partner: Partner | None) -> "ItemRanker":
        """Returns a ranker of the same network with another linear method, or none."""
        other = copy.copy(self)
        other._take_partner(partner)
        return other

    @property
    def is_small(self) -> bool:
        """Whether all items are scored exactly at once, quicker than by bounds."""
        return self._table.is_small and (self._linear is None or self._linear.is_small)

    def vectors(self) -> Tensor | None:
        """Returns the vectors of the items, whose inner products with `queries` are the scores, (I,
        K + 1) float32; None where scores are no such products.
        """
        if self._partner is not None:
            return None
        return torch.cat([self._table.weight, self._table.bias.float()[:, None]], dim=1)

    def queries(self, history: SparseRows, given: Tensor | None) -> Tensor:
        """Returns the vectors of users, see `vectors`, (B, K + 1) float32."""
        _, h = self._encode(history, given)
        h = on_grid(h, h.shape[1]).float()
        return torch.cat([h, torch.ones(len(h), 1)], dim=1)

    @property
    def exact(self) -> "ItemRanker":
        """What ranks exactly: itself."""
        return self

    def with_items(self, layer: ItemLayer) -> "ItemRanker":
        """Returns a ranker of these items too, which the network does not know: it leaves them out
        of histories. A linear partner, which has no scores for them, is left out of all.
        """
        weight, bias = self._layer
        wider = self.with_partner(None)
        vectors = torch.from_numpy(layer.vectors).to(weight.dtype)
        biases = torch.from_numpy(layer.biases).to(bias.dtype)
        wider._table = ItemTable(torch.cat([weight, vectors]), torch.cat([bias, biases]))
        return wider

    @property
    def layer(self) -> ItemLayer:
        """The vectors and the biases of the items that the network knows."""
        weight, bias = self._layer
        return ItemLayer(weight.double().cpu().numpy(), bias.double().cpu().numpy())

    def last_inputs(self, history: SparseRows, given: Tensor | None) -> np.ndarray:
        """Returns the input of the last layer for each user, (B, K) float64."""
        return self._encode(history, given)[1].numpy()

    def _encode(self, history: SparseRows, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns the codes and the input of the last layer, by what the network knows."""
        return self._trunk(history.first_columns(len(self._layer[1])), given)

    def codes(self, history: SparseRows, given: Tensor | None) -> Tensor:
        """Returns the posterior means of z1, (B, d) float64."""
        z, _ = self._encode(history, given)
        return z

    def scores(self, history: SparseRows, given: Tensor | None) -> Scores:
        """Returns the scores of users, of which nothing is computed yet.

        Args:
            history: the histories of the users, (B, I).
            given: the codes of their conditions, (B, G), of a model that has some.
        """
        _, h = self._encode(history, given)
        network = _LayerScores(self._table, on_grid(h, h.shape[1]))
        if self._partner is None:
            return network
        scorer = self._partner.scorer
        low_rank = None
        if self._linear is not None:
            reduced = scorer.reduced(history).double()
            low_rank = _LayerScores(self._linear, on_grid(reduced, reduced.shape[1]))
        return _BlendedScores(network, self._partner, scorer.full(history), low_rank)

    def best(
        self,
        history: SparseRows,
        given: Tensor | None,
        exclusion: Exclusion,
        k: int,
        added: Tensor | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the k best items of each user: columns and scores, (B, k).

        They are -1 and nan where nothing is left.

        Args:
            history: as in `scores`.
            given: as in `scores`.
            exclusion: what is not to be found.
            k: the length of the lists.
            added: what is added to the scores of the items, (I,) float32.
        """
        scores = self.scores(history, given)
        if added is not None:
            scores = _RaisedScores(scores, added)
        if self.is_small:
            return best_of_all(exclusion.apply(scores.all()), k)
        upper = exclusion.apply(scores.upper())
        users, width = upper.shape
        items = torch.empty(users, k, dtype=torch.int64)
        values = torch.empty(users, k)
        open_users = torch.arange(users)
        for candidates in (2 * k + 12, 16 * k + 96):
            if candidates >= width or not len(open_users):
                continue
            open_upper = upper
            if len(open_users) < users:
                open_upper = upper[open_users]
            best, is_proven = _rank_candidates(scores, open_users, open_upper, k, candidates)
            proven_users = open_users[is_proven]
            items[proven_users] = best.indices[is_proven]
            values[proven_users] = best.values[is_proven]
            open_users = open_users[~is_proven]
        if len(open_users):
            for rows in open_users.split(FEW_USERS):
                best = top_k(exclusion.apply(scores.all(rows), rows), k)
                items[rows] = best.indices
                values[rows] = best.values
        return without_empty(items, values)


def _rank_candidates(
    scores: Scores, rows: Tensor, upper: Tensor, k: int, candidates: int
) -> tuple[TopK, Tensor]:
    """Ranks the items with the highest bounds by their exact scores.

    Args:
        scores: of all users.
        rows: the users to rank for, (b,).
        upper: their bounds, (b, I).
        k: the length of the lists.
        candidates: how many items are scored exactly.

    Returns:
        The k best, and for which users it is proven that nothing better was left out, (b,).
    """
    chosen = top_k(upper, candidates)
    columns, order = chosen.indices.sort(1)
    bounds = chosen.values.gather(1, order)
    exact = scores.exact(columns, rows)
    exact.masked_fill_(bounds == -torch.inf, -torch.inf)
    best = top_k(exact, k)
    least_bound = chosen.values[:, -1]
    least_score = best.values[:, -1]
    nothing_left_out = least_bound == -torch.inf
    is_proven = (scores.margin(least_bound) < least_score) | nothing_left_out
    best_columns = columns.gather(1, best.indices)
    return TopK(best.values, best_columns), is_proven


def best_of_all(scores: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the lists of the users by the scores (B, I) of all items, as `ItemRanker.best`
    does.
    """
    if len(scores) == 1 and not scores.isnan().any():
        best = scores[0].sort(descending=True, stable=True)
        return without_empty(best.indices[None, :k].clone(), best.values[None, :k].clone())
    chosen = top_k(scores, k)
    return without_empty(chosen.indices, chosen.values)


def without_empty(items: Tensor, scores: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Marks places (B, k) where nothing is left: columns of -1, scores of nan."""
    is_empty = scores == -torch.inf
    items.masked_fill_(is_empty, -1)
    scores.masked_fill_(is_empty, torch.nan)
    return items.numpy(), scores.numpy()

"""The best items for histories: bounds for all of them, and exact scores where the bounds say that
it matters.
"""

import numpy as np
import torch
from torch import Tensor

from ..evaluation.ranking import TopK, top_k
from ..model import VAE
from ..sparse import SparseRows
from .bounds import FEW_USERS, ItemTable
from .exact import Trunk, last_layer, on_grid


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


class ItemRanker:
    """Ranks the items of a model for histories; see `recommender` for what it promises.

    Args:
        model: a model of interactions, on the CPU.
    """

    def __init__(self, model: VAE) -> None:
        self._trunk = Trunk(model)
        self._table = ItemTable(last_layer(model))

    def codes(self, history: SparseRows, given: Tensor | None) -> Tensor:
        """Returns the posterior means of z1, (B, d) float64."""
        z, _ = self._trunk(history, given)
        return z

    def scores(self, history: SparseRows, given: Tensor | None, columns: Tensor) -> Tensor:
        """Scores a few items exactly for each user, (B, m) float32.

        Args:
            history: (B, I).
            given: as in `best`.
            columns: the items, (m,), the same for all users.
        """
        h = self._last_input(history, given)
        return self._table.exact(h, columns.expand(len(h), -1))

    def _last_input(self, history: SparseRows, given: Tensor | None) -> Tensor:
        """Returns the input of the last layer on a grid, (B, K) float64."""
        _, h = self._trunk(history, given)
        return on_grid(h, h.shape[1])

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
            history: the histories of the users, (B, I).
            given: the codes of their conditions, (B, G), of a model that has some.
            exclusion: what is not to be found.
            k: the length of the lists.
            added: what is added to the scores of the items, (I,) float32.
        """
        h = self._last_input(history, given)
        if self._table.is_small:
            return best_of_all(exclusion.apply(_plus(self._table.all(h), added)), k)
        upper = self._upper(h, exclusion, added)
        users, width = upper.shape
        items = torch.empty(users, k, dtype=torch.int64)
        scores = torch.empty(users, k)
        open_users = torch.arange(users)
        for candidates in (2 * k + 12, 16 * k + 96):
            if candidates >= width or not len(open_users):
                continue
            open_upper = upper
            if len(open_users) < users:
                open_upper = upper[open_users]
            best, is_proven = self._rank_candidates(h[open_users], open_upper, k, candidates, added)
            proven_users = open_users[is_proven]
            items[proven_users] = best.indices[is_proven]
            scores[proven_users] = best.values[is_proven]
            open_users = open_users[~is_proven]
        if len(open_users):
            for rows in open_users.split(FEW_USERS):
                all_scores = exclusion.apply(_plus(self._table.all(h[rows]), added), rows)
                best = top_k(all_scores, k)
                items[rows] = best.indices
                scores[rows] = best.values
        return _without_empty(items, scores)

    def _upper(self, h: Tensor, exclusion: Exclusion, added: Tensor | None) -> Tensor:
        """Computes upper bounds (B, I) of what may be found: up to the margin of the table, or, of
        scores to which something is added, as they are.

        A sum in float32 rounds no smaller number above a greater one, so that a bound of a score
        with the addend is a bound of their sum.
        """
        upper = self._table.upper(h)
        if added is not None:
            upper = self._table.margin(upper).add_(added)
        return exclusion.apply(upper)

    def _rank_candidates(
        self, h: Tensor, upper: Tensor, k: int, candidates: int, added: Tensor | None
    ) -> tuple[TopK, Tensor]:
        """Ranks the items with the highest bounds by their exact scores.

        Returns:
            The k best, and for which users it is proven that nothing better was left out, (B,).
        """
        chosen = top_k(upper, candidates)
        columns, order = chosen.indices.sort(1)
        bounds = chosen.values.gather(1, order)
        scores = self._table.exact(h, columns)
        if added is not None:
            scores = scores + added[columns]
        scores.masked_fill_(bounds == -torch.inf, -torch.inf)
        best = top_k(scores, k)
        least_bound = chosen.values[:, -1]
        least_score = best.values[:, -1]
        nothing_left_out = least_bound == -torch.inf
        largest_left_out = least_bound
        if added is None:
            largest_left_out = self._table.margin(least_bound)
        is_proven = (largest_left_out < least_score) | nothing_left_out
        best_columns = columns.gather(1, best.indices)
        return TopK(best.values, best_columns), is_proven


def _plus(scores: Tensor, added: Tensor | None) -> Tensor:
    """Adds to the scores (B, I) of all items what is added to each, (I,)."""
    if added is None:
        return scores
    return scores + added


def best_of_all(scores: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the lists of the users by the scores (B, I) of all items, see `_find_best`."""
    if len(scores) == 1 and not scores.isnan().any():
        best = scores[0].sort(descending=True, stable=True)
        return _without_empty(best.indices[None, :k].clone(), best.values[None, :k].clone())
    chosen = top_k(scores, k)
    return _without_empty(chosen.indices, chosen.values)


def _without_empty(items: Tensor, scores: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Marks places (B, k) where nothing is left: columns of -1, scores of nan."""
    is_empty = scores == -torch.inf
    items.masked_fill_(is_empty, -1)
    scores.masked_fill_(is_empty, torch.nan)
    return items.numpy(), scores.numpy()

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
    """

    def __init__(self, columns: Tensor, histories: SparseRows | None) -> None:
        self.columns = columns
        self.histories = histories

    def apply(self, scores: Tensor, rows: Tensor | None = None) -> Tensor:
        """Sets the scores (B, I) of these items to minus infinity.

        Args:
            scores: the scores of all users, or of a few.
            rows: which users these are; None for all.
        """
        if len(self.columns):
            scores.index_fill_(1, self.columns, -torch.inf)
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
        self, history: SparseRows, given: Tensor | None, exclusion: Exclusion, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the k best items of each user: columns and scores, (B, k).

        They are -1 and nan where nothing is left.

        Args:
            history: the histories of the users, (B, I).
            given: the codes of their conditions, (B, G), of a model that has some.
            exclusion: what is not to be found.
            k: the length of the lists.
        """
        h = self._last_input(history, given)
        if self._table.is_small:
            return _best_of_all(exclusion.apply(self._table.all(h)), k)
        upper = exclusion.apply(self._table.upper(h))
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
            best, is_proven = self._rank_candidates(h[open_users], open_upper, k, candidates)
            proven_users = open_users[is_proven]
            items[proven_users] = best.indices[is_proven]
            scores[proven_users] = best.values[is_proven]
            open_users = open_users[~is_proven]
        if len(open_users):
            for rows in open_users.split(FEW_USERS):
                all_scores = exclusion.apply(self._table.all(h[rows]), rows)
                best = top_k(all_scores, k)
                items[rows] = best.indices
                scores[rows] = best.values
        return _without_empty(items, scores)

    def _rank_candidates(
        self, h: Tensor, upper: Tensor, k: int, candidates: int
    ) -> tuple[TopK, Tensor]:
        """Ranks the items with the highest bounds by their exact scores.

        Returns:
            The k best, and for which users it is proven that nothing better was left out, (B,).
        """
        chosen = top_k(upper, candidates)
        columns, order = chosen.indices.sort(1)
        bounds = chosen.values.gather(1, order)
        scores = self._table.exact(h, columns)
        scores.masked_fill_(bounds == -torch.inf, -torch.inf)
        best = top_k(scores, k)
        least_bound = chosen.values[:, -1]
        least_score = best.values[:, -1]
        nothing_left_out = least_bound == -torch.inf
        is_proven = (self._table.margin(least_bound) < least_score) | nothing_left_out
        best_columns = columns.gather(1, best.indices)
        return TopK(best.values, best_columns), is_proven


def _best_of_all(scores: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
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

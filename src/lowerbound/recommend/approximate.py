"""The best items of a large catalogue, most of the time: an index of the items' vectors proposes
candidates, and these are scored exactly.

A list may lack an item that is among the best; what is in it has its exact score, and is in the
right order. The index is a navigable graph for the largest inner products (Malkov and Yashunin
2020, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small
world graphs"; for inner products Morozov and Babenko 2018), built by hnswlib. The vector of an item
has its bias as a further number, and that of a user a one.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError, unknown
from ..evaluation.ranking import top_k
from ..model import VAE
from ..sparse import SparseRows
from ..system.extras import require
from .bounds import FEW_USERS
from .ranker import Exclusion, ItemRanker, Scores, without_empty

INDEXES = ("hnsw",)
"""The names of all indexes."""

LINKS = 16
"""Each item of the graph is linked to so many others."""

BUILD_WIDTH = 200
"""So many candidates are looked at to link an item."""

SEARCH_WIDTH = 400
"""So many candidates are looked at for a list: more find more of the best items, and take longer.

The lists of users whose history and list are longer are found exactly.
"""

STEP = 64
"""The number of items that are proposed beside the list is a multiple of this one."""


def make_ranker(model: VAE, index: str | None = None) -> "ItemRanker | ApproximateRanker":
    """Makes what ranks the items of a model.

    Args:
        model: a model of interactions, on the CPU.
        index: the name of an index of the items; None ranks exactly.

    Raises:
        ConfigError: there is no such index, its library is not installed, or the scores of the
            model are no inner products.
    """
    exact = ItemRanker(model)
    if index is None:
        return exact
    if index not in INDEXES:
        raise ConfigError(unknown("index", index, INDEXES))
    return ApproximateRanker(exact)


class ApproximateRanker:
    """Ranks items as `ItemRanker` does, among those that an index proposes.

    Where something is added to the scores, many items are excluded, or a history is long, it ranks
    exactly. A user gets the same list alone and among others, as long as the index is the same.

    Args:
        exact: what scores the items.
        links: see `LINKS`.
        search_width: see `SEARCH_WIDTH`.

    Attributes:
        exact: what scores the items.
        width: the number of items, I.
        search_width: see `SEARCH_WIDTH`.

    Raises:
        ConfigError: hnswlib is not installed, or the scores are no inner products.
    """

    def __init__(
        self, exact: ItemRanker, links: int = LINKS, search_width: int = SEARCH_WIDTH
    ) -> None:
        require("an index of items", "ann", "hnswlib")
        vectors = exact.vectors()
        if vectors is None:
            raise ConfigError(
                "an index of items is for scores that are inner products; this run blends them "
                "with those of a linear partner: rank without an index"
            )
        self.exact = exact
        self.search_width = search_width
        self.width: int = len(vectors)
        self._index = _build(vectors, links, search_width)

    def codes(self, history: SparseRows, given: Tensor | None) -> Tensor:
        """Returns the posterior means of z1, see `ItemRanker.codes`."""
        return self.exact.codes(history, given)

    def scores(self, history: SparseRows, given: Tensor | None) -> Scores:
        """Returns the exact scores of users, see `ItemRanker.scores`."""
        return self.exact.scores(history, given)

    def best(
        self,
        history: SparseRows,
        given: Tensor | None,
        exclusion: Exclusion,
        k: int,
        **options: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds k of the best items of each user: columns and scores, (B, k).

        They are -1 and nan where nothing is left.

        Args:
            history: as in `ItemRanker.best`.
            given: as in `ItemRanker.best`.
            exclusion: as in `ItemRanker.best`.
            k: as in `ItemRanker.best`.
            options: further arguments of `ItemRanker.best`.
        """
        is_other = any(value is not None for value in options.values())
        is_other = is_other or exclusion.allowed is not None
        if is_other or len(exclusion.columns) > self.width // 100:
            return self.exact.best(history, given, exclusion, k, **options)
        scores = self.exact.scores(history, given)
        queries = self.exact.queries(history, given)
        items = torch.empty(len(queries), k, dtype=torch.int64)
        values = torch.full((len(queries), k), -torch.inf)
        counts = self._counts(exclusion.histories, len(queries), k)
        for count in counts.unique().tolist():
            rows = (counts == count).nonzero()[:, 0]
            if count > min(self.search_width, self.width):
                continue
            columns = self._propose(queries[rows], count)
            found = scores.exact(columns, rows)
            found.masked_fill_(_is_excluded(columns, rows, exclusion, self.width), -torch.inf)
            best = top_k(found, k)
            items[rows] = columns.gather(1, best.indices)
            values[rows] = best.values
        open_users = (values[:, -1] == -torch.inf).nonzero()[:, 0]
        if len(open_users):  # which would be split into one part, without anybody
            for rows in open_users.split(FEW_USERS):
                best = top_k(exclusion.apply(scores.all(rows), rows), k)
                items[rows] = best.indices
                values[rows] = best.values
        return without_empty(items, values)

    def _counts(self, histories: SparseRows | None, users: int, k: int) -> Tensor:
        """Returns how many items are proposed for each user, (B,) int64: more than the list and the
        history have, which the history of that user alone decides.
        """
        seen = torch.zeros(users, dtype=torch.int64)
        if histories is not None:
            seen = histories.counts
        steps = (seen + STEP - 1) // STEP
        return 2 * k + 12 + STEP * steps

    def _propose(self, queries: Tensor, count: int) -> Tensor:
        """Proposes items for each query, (B, count) int64, ascending."""
        labels, _ = self._index.knn_query(queries.numpy(), k=count, num_threads=1)
        return torch.from_numpy(np.sort(labels.astype(np.int64), axis=1))


def _build(vectors: Tensor, links: int, search_width: int) -> Any:
    """Builds the graph of the items, in as many threads as PyTorch has.

    One thread gives the same graph each time; several link the items in an order of their own.
    """
    import hnswlib

    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(len(vectors), M=links, ef_construction=BUILD_WIDTH, random_seed=0)
    index.add_items(vectors.numpy(), np.arange(len(vectors)), num_threads=torch.get_num_threads())
    index.set_ef(search_width)
    return index


def _is_excluded(columns: Tensor, rows: Tensor, exclusion: Exclusion, width: int) -> Tensor:
    """Says which items (b, c) of the users at `rows` are not to be found, (b, c) bool."""
    is_excluded = torch.isin(columns, exclusion.columns)
    histories = exclusion.histories
    if histories is not None:
        places = rows[:, None] * width + columns
        is_excluded |= torch.isin(places, histories.rows * width + histories.columns)
    return is_excluded

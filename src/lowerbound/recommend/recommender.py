"""Recommending from a fitted run: the best items for a history, for many of them, and the items
most like one.

A user gets the same items with the same scores, bit for bit, alone or among any others, whatever
the number of threads. Floating point does not give that by itself: a matrix product adds up in
another order for another number of rows. So everything that is added up here lies on a grid that is
coarse enough for float64 to hold every sum exactly, and sums without rounding have no order.

Scores are those of `VAE.item_scores`, up to the rounding of float32. They are found in two steps: a
product in bfloat16 gives an upper bound for every item, and what could be among the best by that is
scored exactly. Where the bounds do not prove that nothing better was left out, more is scored, in
the end everything.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data import History
from ..errors import ConfigError, DataError, one_line
from ..evaluation.ranking import top_k
from ..run import Run, load
from ..sparse import SparseRows
from .bounds import FEW_USERS, ItemTable
from .exact import Trunk, item_vectors, last_layer, on_grid
from .histories import Histories, check_matrix, items_and_weights
from .items import Catalogue

if TYPE_CHECKING:
    from polars import DataFrame
    from scipy.sparse import csr_matrix

TILE_USERS, TILE_BOUNDS = 512, 2**25
"""Users whose bounds are computed at a time, and how many bounds these may be."""


def _side_by_side(act: Callable[[np.ndarray], None], parts: list[np.ndarray]) -> None:
    """`act` on each part, as many at a time as PyTorch has threads, each in one thread: then none
    waits for another.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(parts) == 1:
        for part in parts:
            act(part)
        return
    with ThreadPoolExecutor(
        min(threads, len(parts)), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        try:
            list(pool.map(act, parts))
        finally:
            torch.set_num_threads(threads)  # of what all threads share


# What comes back


class Recommendation(NamedTuple):
    """One item of a list.

    Attributes:
        item: its id.
        title: what it is called; None in a run without titles.
        score: by which it was ranked: the natural parameter of p(x | z), or a cosine; higher is
            better.
    """

    item: Any
    title: str | None
    score: float


@dataclass(frozen=True, eq=False)
class Recommendations:
    """Lists of many users, the best first. Where a user has fewer than k, the rest of the row is -1
    and nan.

    Attributes:
        users: (n,) the users' own ids.
        items: (n, k) int64, columns of the catalogue.
        scores: (n, k) float32.
        catalogue: what the columns stand for.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    catalogue: Catalogue

    def __len__(self) -> int:
        """n."""
        return len(self.users)

    @property
    def counts(self) -> np.ndarray:
        """How many items each user got, (n,)."""
        return (self.items >= 0).sum(1)

    def to_frame(self) -> "DataFrame":
        """A Polars frame with the columns user, rank (from 1), item, title (where known) and score,
        by user, then rank.
        """
        import polars

        row, rank = np.nonzero(self.items >= 0)
        column = self.items[row, rank]
        titles = (
            {}
            if self.catalogue.titles is None
            else {"title": polars.Series(self.catalogue.titles).gather(column)}
        )
        columns = {
            "user": polars.Series(self.users.tolist()).gather(row),
            "rank": rank + 1,
            "item": polars.Series(self.catalogue.ids.tolist()).gather(column),
        }
        return polars.DataFrame(columns | titles | {"score": self.scores[row, rank]})


class Recommender:
    """A fitted run on interactions, made ready for recommending. It takes about six bytes for each
    weight of the last layer.

    Args:
        run: a run on interactions.

    Attributes:
        run: the run.
        catalogue: its items by name.
        item_vectors: (I, d) float32, rows of the weight of the decoder's last layer.

    Raises:
        ConfigError: the run is not on interactions.
    """

    def __init__(self, run: Run) -> None:
        if run.items is None:
            raise ConfigError(
                "only a run on interactions recommends; this one was fitted to dense examples"
            )
        self.run, self.catalogue = run, Catalogue(run.items)
        with torch.no_grad():
            self._trunk = Trunk(
                copy.deepcopy(run.model).cpu()
                if next(run.model.parameters()).is_cuda
                else run.model
            )
            self._table = ItemTable(last_layer(run.model))

    @classmethod
    def load(cls, folder: str | Path, *, allow_code: bool = False) -> "Recommender":
        """From a run folder, by `lowerbound.load`. RunError if it is none."""
        return cls(load(folder, allow_code=allow_code))

    @cached_property
    def item_vectors(self) -> np.ndarray:
        """(I, d) float32."""
        return item_vectors(self.run.model)

    def recommend(
        self,
        history: Iterable[Any] | Mapping[Any, float],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> list[Recommendation]:
        """The best items for a user of whom only this history is known, the best first; fewer than
        k where no more are left.

        Args:
            history: items by id or title, or a mapping of them to weights.
            k: how many.
            exclude_seen: nothing of the history.
            allow: nothing but these items.
            deny: none of these items.

        Raises:
            DataError: the history is empty, an item is not known, or nothing is left to recommend.
            ConfigError: k is not from 1 to the number of items that may be recommended.
        """
        histories = self._histories({0: history})
        if histories.matrix.nnz == 0:
            raise DataError("the history is empty: give one item or more")
        found = self._many(histories, k, exclude_seen, allow, deny)
        if not found.counts[0]:
            raise DataError(
                "nothing is left to recommend: the history holds every item that may be recommended"
            )
        return self._listed(found.items[0], found.scores[0])

    def recommend_many(
        self,
        histories: Any,
        k: int = 20,
        *,
        exclude_seen: bool = True,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> Recommendations:
        """The best items for each of many users: what `recommend` gives each, to the last bit.

        A user with an empty history gets nothing.

        Args:
            histories: a SciPy matrix (n, I) over the catalogue; a Polars frame with the columns
                user, item and perhaps weight; a mapping of users to histories; or a `History`.
            k: how many for each.
            exclude_seen: nothing of the user's history.
            allow: nothing but these items.
            deny: none of these items.

        Raises:
            DataError: no user has a history, an item is not known, or a weight is not above 0.
            ConfigError: k is not from 1 to the number of items that may be recommended.
        """
        found = self._histories(histories)
        if found.matrix.nnz == 0:
            which = (
                f"all {len(found.users)} histories are empty"
                if len(found.users)
                else "there are no histories"
            )
            raise DataError(f"{which}: there is nothing to recommend by")
        return self._many(found, k, exclude_seen, allow, deny)

    def similar(
        self,
        item: Any,
        k: int = 10,
        *,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> list[Recommendation]:
        """The items most like one, by the cosine of the angle between their vectors (see
        `item_vectors`), without itself.
        """
        column, vectors = self.catalogue.column(item), torch.from_numpy(self.item_vectors)
        excluded = np.union1d(self._excluded(allow, deny), [column])
        self._refuse_k(k, len(vectors) - len(excluded))
        norms = vectors.norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
        scores = (torch.mv(vectors, vectors[column] / norms[column]) / norms).clamp_(-1, 1)
        scores[torch.from_numpy(excluded)] = -torch.inf
        best = top_k(scores.unsqueeze(0), k)
        return self._listed(best.indices[0].numpy(), best.values[0].numpy())

    def codes(self, histories: Any) -> np.ndarray:
        """The posterior means of z1 of many users, (n, d) float32; `histories` as in
        `recommend_many`. DataError for no user.
        """
        found = self._histories(histories)
        if not len(found.users):
            raise DataError("there are no histories: there is nothing to encode")
        with torch.inference_mode():
            return self._trunk(SparseRows.of(found.matrix))[0].float().numpy()

    def _listed(self, columns: np.ndarray, scores: np.ndarray) -> list[Recommendation]:
        ids, pairs = self.catalogue.ids, zip(columns.tolist(), scores.tolist(), strict=True)
        return [
            Recommendation(ids[c : c + 1].tolist()[0], self.catalogue.title(c), score)
            for c, score in pairs
            if c >= 0
        ]

    # Histories

    def _histories(self, given: Any) -> Histories:
        """What was given, as users and a matrix."""
        from scipy.sparse import issparse

        if isinstance(given, History):
            return Histories(given.users, self._checked(given.matrix))
        if issparse(given):
            return Histories(np.arange(given.shape[0]), self._checked(given))
        if isinstance(given, Mapping):
            return self._of_mapping(given)
        if hasattr(given, "get_column"):
            return self._of_frame(given)
        what = "a SciPy matrix, a Polars frame of user and item, or a mapping of users to items"
        raise DataError(f"histories are {what}; got {type(given).__name__}")

    def _checked(self, matrix: Any) -> "csr_matrix":
        return check_matrix(matrix, len(self.catalogue.ids), self.run.schema.levels == 2)

    def _of_mapping(self, given: Mapping[Any, Any]) -> Histories:
        rows, columns, weights = [], [], []
        for row, history in enumerate(given.values()):
            items, own = items_and_weights(history)
            rows += [row] * len(items)
            columns += self.catalogue.columns(items).tolist()
            weights += own or [1.0] * len(items)
        users = np.empty(len(given), dtype=object)
        users[:] = list(given)
        return Histories(
            users,
            self._matrix(
                np.array(rows, np.int64), np.array(columns, np.int64), weights, len(given)
            ),
        )

    def _of_frame(self, frame: "DataFrame") -> Histories:
        import polars

        missing = [name for name in ("user", "item") if name not in frame.columns]
        if missing:
            raise DataError(
                "a frame of histories needs the columns user and item, got: "
                f"{', '.join(frame.columns) or 'none'}"
            )
        if frame.select("user", "item").null_count().sum_horizontal().item():
            raise DataError("a frame of histories must have a user and an item in every row")
        users = frame["user"].unique(maintain_order=True)
        known = frame["item"].unique(maintain_order=True)
        columns = polars.Series(self.catalogue.columns(known.to_list()), dtype=polars.Int64)
        row = frame["user"].replace_strict(
            users, polars.int_range(len(users), eager=True), return_dtype=polars.Int64
        )
        column = frame["item"].replace_strict(known, columns, return_dtype=polars.Int64)
        weights = frame["weight"].to_numpy() if "weight" in frame.columns else np.ones(len(frame))
        return Histories(
            users.to_numpy(), self._matrix(row.to_numpy(), column.to_numpy(), weights, len(users))
        )

    def _matrix(
        self, rows: np.ndarray, columns: np.ndarray, weights: Any, users: int
    ) -> "csr_matrix":
        """Of interactions; where each counts 1, repeating one changes nothing."""
        from scipy.sparse import csr_matrix

        try:
            weights = np.asarray(weights, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"weights of a history must be real numbers: {one_line(error, 160)}"
            ) from None
        if self.run.schema.levels == 2 and (weights == 1).all():
            rows, columns = np.unique(np.stack([rows, columns]), axis=1)
            weights = np.ones(len(rows))
        return self._checked(
            csr_matrix((weights, (rows, columns)), shape=(users, len(self.catalogue.ids)))
        )

    def _excluded(self, allow: Iterable[Any] | None, deny: Iterable[Any]) -> np.ndarray:
        """Columns that nobody is recommended, ascending."""
        allowed = np.full(len(self.catalogue.ids), allow is None)
        if allow is not None:
            allowed[self.catalogue.columns(allow)] = True
        allowed[self.catalogue.columns(deny)] = False
        return np.flatnonzero(~allowed)

    def _refuse_k(self, k: int, available: int) -> None:
        if available < 1:
            raise ConfigError("nothing may be recommended: allow and deny leave none of the items")
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= available:
            raise ConfigError(
                f"k must be from 1 to {available}, the number of items that may be recommended, "
                f"got {k}"
            )

    # Ranking

    def _many(
        self,
        histories: Histories,
        k: int,
        exclude_seen: bool,
        allow: Iterable[Any] | None,
        deny: Iterable[Any],
    ) -> Recommendations:
        excluded = torch.from_numpy(self._excluded(allow, deny))
        width, users = len(self.catalogue.ids), len(histories.users)
        self._refuse_k(k, width - len(excluded))
        items, scores = np.full((users, k), -1, np.int64), np.full((users, k), np.nan, np.float32)
        known = np.flatnonzero(np.diff(histories.matrix.indptr))
        tile = max(1, min(TILE_USERS, TILE_BOUNDS // width, len(known)))

        def fill(rows: np.ndarray) -> None:
            seen = SparseRows.of(histories.matrix if len(rows) == users else histories.matrix[rows])
            with torch.inference_mode():
                items[rows], scores[rows] = self._best(
                    self._trunk(seen)[1], _Hidden(excluded, seen if exclude_seen else None), k
                )

        _side_by_side(fill, [known[start : start + tile] for start in range(0, len(known), tile)])
        return Recommendations(histories.users, items, scores, self.catalogue)

    def _best(self, h: Tensor, hidden: "_Hidden", k: int) -> tuple[np.ndarray, np.ndarray]:
        """The lists of the users of h (B, K): columns and scores, (B, k), -1 and nan where nothing
        is left.
        """
        h = on_grid(h, h.shape[1])
        upper = hidden.apply(self._table.upper(h))
        items, scores = torch.empty(len(h), k, dtype=torch.int64), torch.empty(len(h), k)
        left = torch.arange(len(h))
        for some in (2 * k + 12, 16 * k + 96):
            if some < upper.shape[1] and len(left):
                found, proven = self._among(
                    h[left], upper if len(left) == len(h) else upper[left], k, some
                )
                items[left[proven]], scores[left[proven]] = (
                    found.indices[proven],
                    found.values[proven],
                )
                left = left[~proven]
        for rows in left.split(FEW_USERS) if len(left) else ():
            best = top_k(hidden.apply(self._table.all(h[rows]), rows), k)
            items[rows], scores[rows] = best.indices, best.values
        nothing = scores == -torch.inf
        return items.masked_fill_(nothing, -1).numpy(), scores.masked_fill_(
            nothing, torch.nan
        ).numpy()

    def _among(self, h: Tensor, upper: Tensor, k: int, some: int) -> tuple[Any, Tensor]:
        """The k best of the `some` items with the highest bounds, and for which users nothing
        better can be left out.
        """
        chosen = top_k(upper, some)
        columns, order = chosen.indices.sort(1)
        scores = self._table.exact(h, columns)
        scores.masked_fill_(chosen.values.gather(1, order) == -torch.inf, -torch.inf)
        best = top_k(scores, k)
        least = chosen.values[:, -1]
        proven = (self._table.margin(least) < best.values[:, -1]) | (least == -torch.inf)
        return best._replace(indices=columns.gather(1, best.indices)), proven


class _Hidden:
    """What is not to be recommended: columns for everybody, and what each user has seen."""

    def __init__(self, columns: Tensor, seen: SparseRows | None) -> None:
        self.columns, self.seen = columns, seen

    def apply(self, scores: Tensor, rows: Tensor | None = None) -> Tensor:
        """Minus infinity there, in scores (B, I) of all users or of some rows."""
        if len(self.columns):
            scores.index_fill_(1, self.columns, -torch.inf)
        if self.seen is not None and rows is None:
            scores[self.seen.rows, self.seen.columns] = -torch.inf
        elif self.seen is not None and rows is not None:
            for at, row in enumerate(rows.tolist()):
                scores[
                    at, self.seen.columns[self.seen.offsets[row] : self.seen.offsets[row + 1]]
                ] = -torch.inf
        return scores

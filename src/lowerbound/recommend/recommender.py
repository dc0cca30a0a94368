"""Recommending from a fitted run: the best items for a history, for many of them, and the items
most like one.

A user gets the same items with the same scores, bit for bit, alone or among any others, whatever
the number of threads. Floating point does not give that by itself: a matrix product adds up in
another order for another number of rows. So all terms of a sum here lie on a grid that is coarse
enough for float64 to hold every sum exactly, and sums without rounding have no order.

Scores are those of `VAE.item_scores`, up to the rounding of float32. They are found in two steps: a
product in bfloat16 gives an upper bound for every item, and the items whose bounds are among the
best are scored exactly. Where the bounds do not prove that nothing better was left out, more items
are scored, in the end all of them.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data import Interactions
from ..data.interactions.users import users_of_frame
from ..data.memory import to_frame
from ..errors import ConfigError, DataError, NothingAllowedError, NothingLeftError, UnknownItemError
from ..evaluation.ranking import top_k
from ..run import Run, load
from ..run.display import as_html, as_text
from ..run.given import Given, fill_given, refuse_unknown_conditions, to_codes
from ..sparse import SparseRows
from .exact import item_vectors
from .histories import Histories, HistoryReader, each_once
from .items import Catalogue
from .ranker import Exclusion, ItemRanker

if TYPE_CHECKING:
    from polars import DataFrame

TILE_USERS = 512
"""The bounds of up to this many users are computed at a time."""


TILE_BOUNDS = 2**25
"""Up to this many bounds are computed at a time."""


UNKNOWN = ("leave-out", "error")
"""What may become of items of a request that the run does not know."""


def _bound_k(k: int, available: int) -> int:
    """Returns k, or the number of available items if that is less.

    Raises:
        ConfigError: k is no whole number from 1.
    """
    is_integer = isinstance(k, int | np.integer) and not isinstance(k, bool)
    if not is_integer or k < 1:
        raise ConfigError(f"k must be a whole number from 1, got {k}")
    return min(int(k), available)


def _run_in_threads(act: Callable[[np.ndarray], None], parts: list[np.ndarray]) -> None:
    """Calls `act` on each part, in as many threads as PyTorch has.

    PyTorch uses one thread within each of them, so that none waits for another.
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
            torch.set_num_threads(threads)  # all threads share part of this setting


# What comes back


class Recommendation(NamedTuple):
    """One item of a list.

    Attributes:
        item: its id.
        title: its title; None in a run without titles.
        score: the number it was ranked by, higher is better: the natural parameter of p(x | z), or
            a cosine.
    """

    item: Any
    title: str | None
    score: float


class RecommendedItems(list[Recommendation]):
    """The list of one user, the best first.

    Attributes:
        unknown: what the request named and the run does not know, each once. It was left out.
    """

    def __init__(
        self, recommendations: Iterable[Recommendation], unknown: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(recommendations)
        self.unknown = unknown

    def to_frame(self) -> "DataFrame":
        """Makes a Polars frame with the columns rank (from 1), item, title (where known) and
        score.
        """
        import polars

        columns: dict[str, Any] = {
            "rank": range(1, len(self) + 1),
            "item": [each.item for each in self],
        }
        if any(each.title is not None for each in self):
            columns["title"] = [each.title for each in self]
        columns["score"] = [each.score for each in self]
        return polars.DataFrame(columns, strict=False)

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the list as a table."""
        return self.to_frame()._repr_html_()


class Reason(NamedTuple):
    """An item of a history that speaks for a recommended one.

    Attributes:
        item: its id.
        title: its title; None in a run without titles.
        share: by how much the score of the recommended item is lower without it.
    """

    item: Any
    title: str | None
    share: float


@dataclass(frozen=True, eq=False)
class ListRequest:
    """What one user asks for, read and checked: items are columns of the catalogue.

    Attributes:
        columns: (n,) int64, the history, ascending, each once.
        weights: (n,) float32.
        k: the length of the list, at most; no more than may be recommended.
        exclude_seen: recommend nothing of the history.
        excluded: (m,) int64, the items that nobody is recommended, ascending.
        unknown: the items of the request that the run does not know.
        conditions: (G,) float64, the features of the user, of a run that asks for some; NaN where
            one is not known.
    """

    columns: np.ndarray
    weights: np.ndarray
    k: int
    exclude_seen: bool = True
    excluded: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    unknown: tuple[Any, ...] = ()
    conditions: np.ndarray | None = None

    @property
    def kind(self) -> tuple[Any, ...]:
        """Requests of one kind differ in their histories alone, and are answered together."""
        return self.k, self.exclude_seen, self.excluded.tobytes()


@dataclass(frozen=True, eq=False)
class Recommendations:
    """Lists of many users, the best first. Where a user has fewer than k, the row ends with -1 and
    nan.

    Attributes:
        users: (n,) the users' own ids.
        items: (n, k) int64, columns of the catalogue; k is at most the number of items that may be
            recommended.
        scores: (n, k) float32.
        catalogue: the items that the columns stand for.
        unknown: the items of the request that the run does not know, each once. They were left out.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    catalogue: Catalogue
    unknown: tuple[Any, ...] = ()

    def __len__(self) -> int:
        """The number of users, n."""
        return len(self.users)

    def __repr__(self) -> str:
        """Returns how many lists there are, and the first and last rows of them."""
        return f"Recommendations for {len(self):,} users\n{self.to_frame()}"

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the rows of all lists as a table."""
        return self.to_frame()._repr_html_()

    @property
    def counts(self) -> np.ndarray:
        """The number of items that each user got, (n,)."""
        return (self.items >= 0).sum(1)

    def to_frame(self) -> "DataFrame":
        """Makes a Polars frame with the columns user, rank (from 1), item, title (where known) and
        score, by user, then rank.
        """
        import polars

        row, position = np.nonzero(self.items >= 0)
        column = self.items[row, position]
        users = polars.Series(self.users.tolist())
        ids = polars.Series(self.catalogue.ids.tolist())
        columns: dict[str, Any] = {
            "user": users.gather(row),
            "rank": position + 1,
            "item": ids.gather(column),
        }
        if self.catalogue.titles is not None:
            columns["title"] = polars.Series(self.catalogue.titles).gather(column)
        columns["score"] = self.scores[row, position]
        return polars.DataFrame(columns)


class Recommender:
    """A fitted run on interactions, made ready for recommending.

    It takes about six bytes for each weight of the last layer.

    Args:
        run: a run on interactions.
        unknown: what becomes of items of a request that the run does not know, such as those
            younger than it: "leave-out" (they are told of), or "error".

    Attributes:
        run: the run.
        catalogue: its items by name.
        item_vectors: (I, d) float32, rows of the weight of the decoder's last layer.

    Raises:
        ConfigError: the run is not on interactions, or `unknown` is none of the two.
    """

    def __init__(self, run: Run, unknown: str = "leave-out") -> None:
        if run.items is None:
            raise ConfigError(
                "only a run on interactions recommends; this one was fitted to dense examples"
            )
        if unknown not in UNKNOWN:
            raise ConfigError(f"unknown must be one of {', '.join(UNKNOWN)}, got {unknown!r}")
        self.run = run
        self.catalogue: Catalogue = Catalogue(run.items)
        self._how = run.recipe.data.interactions or Interactions()
        is_binary = run.schema.levels == 2
        columns = self._how.columns
        self._reader = HistoryReader(self.catalogue, is_binary, columns, unknown == "error")
        model = run.model
        if next(model.parameters()).device.type != "cpu":
            model = copy.deepcopy(model).cpu()
        with torch.no_grad():
            self._ranker: ItemRanker = ItemRanker(model)

    @classmethod
    def load(
        cls, folder: str | Path, *, allow_code: bool = False, unknown: str = "leave-out"
    ) -> "Recommender":
        """Loads the run of a folder, as `lowerbound.load` does. RunError if there is none."""
        return cls(load(folder, allow_code=allow_code), unknown)

    def __repr__(self) -> str:
        """Returns what recommends, and the figures of its run, one a line."""
        return as_text(self._title, self.run.facts())

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the same as a table."""
        return as_html(self._title, self.run.facts())

    @property
    def _title(self) -> str:
        return f"Recommender of {len(self.catalogue.ids):,} items, run {self.run.folder}"

    @cached_property
    def item_vectors(self) -> np.ndarray:
        """The vectors of the items, (I, d) float32."""
        return item_vectors(self.run.model)

    def recommend(
        self,
        history: Iterable[Any] | Mapping[Any, float],
        k: int = 10,
        *,
        given: Given | None = None,
        exclude_seen: bool = True,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> "RecommendedItems":
        """Recommends the best items to a user of whom only this history is known, the best first.

        There are fewer than k where no more are left.

        Args:
            history: items by id or title, or a mapping of them to weights, or of what
                `recommend_many` takes a matrix of one row or a frame of one user. Items that the
                run does not know are left out, and stand in `unknown` of the result. It may be
                empty where a feature of the user is given.
            k: the length of the list, at most.
            given: features of the user by name, in the words of the data, for a run that was fitted
                with some (`data.given`). What is not named is not known.
            exclude_seen: recommend nothing of the history.
            allow: recommend nothing but these items.
            deny: recommend none of these items.

        Raises:
            DataError: nothing is known of the user, neither items nor features, or nothing is left
                to recommend.
            ConfigError: k is no whole number from 1, `allow` and `deny` leave nothing, or the run
                has no such feature, or the feature no such value.
        """
        request = self.prepare(
            history, k, given=given, exclude_seen=exclude_seen, allow=allow, deny=deny
        )
        (found,) = self.answer([request])
        if not found:
            raise NothingLeftError(
                "nothing is left to recommend: the history holds every item that may be recommended"
            )
        return found

    def prepare(
        self,
        history: Iterable[Any] | Mapping[Any, float],
        k: int = 10,
        *,
        given: Given | None = None,
        exclude_seen: bool = True,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> ListRequest:
        """Reads and checks what one user asks for, as `recommend` does; no model is used.

        Raises:
            DataError: nothing is known of the user.
            ConfigError: k is no whole number from 1, `allow` and `deny` leave nothing, or the run
                has no such feature, or the feature no such value.
        """
        columns, weights, unknown = self._reader.read_one(history)
        conditions = self._conditions_of_one(given)
        if not len(columns) and (conditions is None or np.isnan(conditions).all()):
            raise self._nothing_known(unknown)
        excluded, unknown_limits = self._find_excluded(allow, deny)
        k = _bound_k(k, len(self.catalogue.ids) - len(excluded))
        unknown = each_once(unknown + unknown_limits)
        return ListRequest(columns, weights, k, exclude_seen, excluded, unknown, conditions)

    def answer(self, requests: Sequence[ListRequest]) -> "list[RecommendedItems]":
        """Answers requests together, each as `recommend` alone does, to the last bit.

        Returns:
            The list of each request, empty where nothing is left to recommend.
        """
        answers: list[RecommendedItems | None] = [None] * len(requests)
        kinds: dict[tuple[Any, ...], list[int]] = {}
        for position, request in enumerate(requests):
            kinds.setdefault(request.kind, []).append(position)
        for positions in kinds.values():
            alike = [requests[position] for position in positions]
            items, scores = self._rank_alike(alike)
            for row, position in enumerate(positions):
                unknown = requests[position].unknown
                answers[position] = self._name_items(items[row], scores[row], unknown)
        return [answer for answer in answers if answer is not None]

    def _rank_alike(self, requests: Sequence[ListRequest]) -> tuple[np.ndarray, np.ndarray]:
        """Ranks the items for requests of one kind: columns and scores, (B, k)."""
        first = requests[0]
        history = rows_of_requests(requests, len(self.catalogue.ids))
        exclusion = Exclusion(
            torch.from_numpy(first.excluded), history if first.exclude_seen else None
        )
        known = [each.conditions for each in requests if each.conditions is not None]
        codes = None
        if known:
            codes = self._codes_of(np.stack(known))
        with torch.inference_mode():
            return self._ranker.best(history, codes, exclusion, first.k)

    def explain(
        self,
        history: Iterable[Any] | Mapping[Any, float],
        items: Iterable[Any],
        *,
        given: Given | None = None,
        most: int | None = None,
    ) -> list[list[Reason]]:
        """Says which items of a history speak for recommended ones: for each of `items`, those
        without which its score would be lower, the weightiest first.

        They are left out one at a time, and the model scores the rest of the history: exact for
        any model, in one batch.

        Args:
            history: as in `recommend`.
            items: by id or title.
            given: features of the user, as in `recommend`.
            most: so many reasons for each at most; None gives all.

        Raises:
            DataError: the history is empty, none of its items is known, or an item is not known.
        """
        request = self.prepare(history, 1, given=given, exclude_seen=False)
        columns = self.catalogue.columns(items)
        return self.reasons(request, columns, most)

    def reasons(
        self, request: ListRequest, columns: np.ndarray, most: int | None = None
    ) -> list[list[Reason]]:
        """Explains the items at some columns (m,) by a request, see `explain`."""
        shares = self._shares(request, columns)
        found = []
        for row in shares:
            order = np.argsort(-row, kind="stable")
            reasons = []
            for position in order[: most or len(order)].tolist():
                if row[position] <= 0:
                    break
                column = int(request.columns[position])
                item = self.catalogue.ids[column : column + 1].tolist()[0]
                share = float(row[position])
                reasons.append(Reason(item, self.catalogue.title(column), share))
            found.append(reasons)
        return found

    def _shares(self, request: ListRequest, columns: np.ndarray) -> np.ndarray:
        """Measures by how much the scores of items (m,) fall without each item of a history, (m,
        n).
        """
        history = leave_each_out(request, len(self.catalogue.ids))
        codes = None
        if request.conditions is not None:
            codes = self._codes_of(np.tile(request.conditions, (len(history), 1)))
        with torch.inference_mode():
            asked = torch.from_numpy(columns).expand(len(history), -1)
            scores = self._ranker.scores(history, codes).exact(asked).double().numpy()
        return np.asarray((scores[0] - scores[1:]).T)

    def _nothing_known(self, unknown: tuple[Any, ...]) -> DataError:
        """Returns the error for a history of which no item is known."""
        if not unknown and self.run.schema.given:
            names = ", ".join(self.run.schema.names_of_conditions)
            return DataError(
                f"nothing is known of the user: give one item or more, or a feature of {names}"
            )
        if not unknown:
            return DataError("the history is empty: give one item or more")
        return UnknownItemError(self._describe_nothing_known(unknown))

    def _describe_nothing_known(self, unknown: tuple[Any, ...]) -> str:
        """Words the message for a history of items of which none is known."""
        message = self.catalogue.describe_unknown(unknown[0])
        if len(unknown) > 1:
            message += f" (nor is one of the other {len(unknown) - 1} of the history known)"
        return message

    def recommend_many(
        self,
        histories: Any,
        k: int = 20,
        *,
        given: Any = None,
        exclude_seen: bool = True,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> Recommendations:
        """Recommends to each of many users what `recommend` gives each, to the last bit.

        A user of whom no item and no feature is known gets nothing.

        Args:
            histories: a matrix (n, I) over the catalogue, of SciPy, NumPy or torch, or a wider one
                whose columns are numbered by the items' ids; a Polars or pandas frame with the
                columns user, item (or as in the recipe of the run) and perhaps weight; a mapping of
                users to histories; or a `History`. Items that the run does not know are left out,
                and stand in `unknown` of the result (but not the other columns of a wider matrix).
            k: the length of each list, at most.
            given: features of the users, for a run that was fitted with some (`data.given`): by
                name a value for all of them, or one for each; or a frame with a row for each user,
                found by the user's id. Without it a `History` has its own, and of other users
                nothing is known.
            exclude_seen: recommend nothing of the user's history.
            allow: recommend nothing but these items.
            deny: recommend none of these items.

        Raises:
            DataError: no user has a history with a known item or a known feature, a weight is not
                above 0, or a frame of features has not one row for each user.
            ConfigError: k is no whole number from 1, `allow` and `deny` leave nothing, or the run
                has no such feature, or the feature no such value.
        """
        known = self._conditioned(self._reader.read(histories), given)
        users = len(known.users)
        if users == 0:
            raise DataError("there are no histories: there is nothing to recommend by")
        if not known.is_known.any():
            message = f"all {users} histories are empty: there is nothing to recommend by"
            if known.unknown:
                message += f"; none of their items is known, such as {known.unknown[0]!r}"
            raise DataError(message)
        return self._rank(known, k, exclude_seen, allow, deny)

    def similar(
        self,
        item: Any,
        k: int = 10,
        *,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> "RecommendedItems":
        """Finds the other items most like one, by the cosine of the angle between their vectors
        (see `item_vectors`).

        There are fewer than k where no more are left.

        Raises:
            DataError: the item is not known.
            ConfigError: k is no whole number from 1, or `allow` and `deny` leave nothing.
        """
        column = self.catalogue.column(item)
        vectors = torch.from_numpy(self.item_vectors)
        limits, unknown = self._find_excluded(allow, deny)
        excluded = np.union1d(limits, [column])
        k = _bound_k(k, len(vectors) - len(excluded))
        smallest = torch.finfo(torch.float32).tiny
        norms = vectors.norm(dim=1).clamp(min=smallest)
        direction = vectors[column] / norms[column]
        products = torch.mv(vectors, direction)
        scores = (products / norms).clamp_(-1, 1)
        scores[torch.from_numpy(excluded)] = -torch.inf
        best = top_k(scores.unsqueeze(0), k)
        return self._name_items(best.indices[0].numpy(), best.values[0].numpy(), unknown)

    def codes(self, histories: Any, *, given: Any = None) -> np.ndarray:
        """Returns the posterior means of z1 of many users, (n, d) float32.

        Args:
            histories: as in `recommend_many`.
            given: features of the users, as in `recommend_many`.

        Raises:
            DataError: there is no user.
        """
        known = self._conditioned(self._reader.read(histories), given)
        if not len(known.users):
            raise DataError("there are no histories: there is nothing to encode")
        with torch.inference_mode():
            codes = self._codes_of(known.conditions)
            return self._ranker.codes(SparseRows.of(known.matrix), codes).float().numpy()

    def _name_items(
        self, columns: np.ndarray, scores: np.ndarray, unknown: tuple[Any, ...]
    ) -> "RecommendedItems":
        """Makes the list of one user of columns and scores; a column of -1 ends it."""
        count = int(np.count_nonzero(columns >= 0))
        columns = columns[:count]
        items = self.catalogue.ids[columns].tolist()
        titles = map(self.catalogue.title, columns.tolist())
        recommendations = map(Recommendation, items, titles, scores[:count].tolist())
        return RecommendedItems(recommendations, unknown)

    # Requests

    def _conditioned(self, histories: Histories, given: Any) -> Histories:
        """Returns histories with what is known of their users, of a run that asks for it.

        Args:
            histories: with the conditions that they bring, if they do.
            given: see `recommend_many`.
        """
        columns = self.run.schema.given
        own = histories.conditions
        if not columns and given is None:
            return replace(histories, conditions=None)
        if not columns or given is None or isinstance(given, Mapping):
            refuse_unknown_conditions(given or {}, columns)
            conditions = fill_given(given, columns, len(histories.users))
            if own is not None:
                is_given = np.isin(self.run.schema.names_of_conditions, list(given or ()))
                conditions = np.where(is_given, conditions, own)
            return replace(histories, conditions=conditions)
        return replace(histories, conditions=self._read_features(given, histories.users))

    def _conditions_of_one(self, given: Given | None) -> np.ndarray | None:
        """Reads the features of one user, (G,); None for a run that has none."""
        columns = self.run.schema.given
        refuse_unknown_conditions(given or {}, columns)
        if not columns:
            return None
        (conditions,) = fill_given(given, columns, 1)
        return np.asarray(conditions)

    def _read_features(self, frame: Any, users: np.ndarray) -> np.ndarray:
        """Reads the features of users from a frame, (n, G).

        Raises:
            DataError: it is no frame, or has not one row for each of these users.
        """
        found = to_frame(frame)
        if found is None:
            raise DataError(
                "given is a mapping of features to values, or a frame with a row for each user; "
                f"got {type(frame).__name__}"
            )
        data = self.run.recipe.data
        table = users_of_frame(found, data.text_format(), "the frame of features")
        wanted = replace(data.wanted(), conditions=self.run.schema.given, is_run=True)
        return table.conditions(users, self._how, wanted).values

    def _codes_of(
        self, conditions: np.ndarray | None, rows: np.ndarray | None = None
    ) -> Tensor | None:
        """Returns the codes of conditions (n, G), or of some rows of them."""
        if conditions is None:
            return None
        if rows is not None:
            conditions = conditions[rows]
        return to_codes(conditions, self.run.schema)

    def _find_excluded(
        self, allow: Iterable[Any] | None, deny: Iterable[Any]
    ) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Finds the columns that nobody is recommended, ascending, and the unknown items.

        Raises:
            ConfigError: nothing may be recommended.
        """
        if allow is None and isinstance(deny, list | tuple) and not deny:
            return np.empty(0, np.int64), ()
        is_allowed = np.full(len(self.catalogue.ids), allow is None)
        allowed, unknown_allowed = self._reader.find(allow or ())
        denied, unknown_denied = self._reader.find(deny)
        is_allowed[allowed[allowed >= 0]] = True
        is_allowed[denied[denied >= 0]] = False
        if not is_allowed.any():
            cause = ""
            if unknown_allowed:
                cause = f"; {self.catalogue.describe_unknown(unknown_allowed[0])}"
            raise NothingAllowedError(
                f"nothing may be recommended: allow and deny leave none of the items{cause}"
            )
        return np.flatnonzero(~is_allowed), each_once(unknown_allowed + unknown_denied)

    # Ranking

    def _rank(
        self,
        histories: Histories,
        k: int,
        exclude_seen: bool,
        allow: Iterable[Any] | None,
        deny: Iterable[Any],
    ) -> Recommendations:
        """Ranks the items for each user that has a history, tile by tile."""
        columns, unknown = self._find_excluded(allow, deny)
        excluded = torch.from_numpy(columns)
        width = len(self.catalogue.ids)
        users = len(histories.users)
        k = _bound_k(k, width - len(excluded))
        items = np.full((users, k), -1, np.int64)
        scores = np.full((users, k), np.nan, np.float32)

        def rank_tile(rows: np.ndarray) -> None:
            matrix = histories.matrix
            if len(rows) < users:
                matrix = matrix[rows]
            history = SparseRows.of(matrix)
            exclusion = Exclusion(excluded, history if exclude_seen else None)
            with torch.inference_mode():
                codes = self._codes_of(histories.conditions, rows)
                items[rows], scores[rows] = self._ranker.best(history, codes, exclusion, k)

        active = np.flatnonzero(histories.is_known)
        size = max(1, min(TILE_USERS, TILE_BOUNDS // width, len(active)))
        tiles = []
        for start in range(0, len(active), size):
            tiles.append(active[start : start + size])
        _run_in_threads(rank_tile, tiles)
        unknown = each_once(histories.unknown + unknown)
        return Recommendations(histories.users, items, scores, self.catalogue, unknown)


def rows_of_requests(requests: Sequence[ListRequest], width: int) -> SparseRows:
    """Returns the histories of requests as sparse rows (B, width)."""
    offsets = np.zeros(len(requests) + 1, np.int64)
    np.cumsum([len(request.columns) for request in requests], out=offsets[1:])
    columns = np.concatenate([request.columns for request in requests])
    weights = np.concatenate([request.weights for request in requests])
    return SparseRows(
        torch.from_numpy(offsets), torch.from_numpy(columns), torch.from_numpy(weights), width
    )


def leave_each_out(request: ListRequest, width: int) -> SparseRows:
    """Returns the history of a request, then the same without each of its items, (n + 1, width)."""
    count = len(request.columns)
    stays = np.ones((count + 1, count), bool)
    stays[np.arange(1, count + 1), np.arange(count)] = False
    offsets = np.concatenate([[0], np.cumsum(stays.sum(1))])
    columns = np.broadcast_to(request.columns, stays.shape)[stays]
    weights = np.broadcast_to(request.weights, stays.shape)[stays]
    return SparseRows(
        torch.from_numpy(offsets), torch.from_numpy(columns), torch.from_numpy(weights), width
    )

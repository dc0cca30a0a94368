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

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from torch import Tensor

from ..data import Dataset, History, Interactions, Items
from ..data.interactions.decay import check_half_life, faded
from ..data.interactions.logs import Writing
from ..data.interactions.titles import titled
from ..data.interactions.users import users_of_frame
from ..data.memory import DataSource, source_text, to_frame
from ..data.opening import open_log
from ..errors import ConfigError, DataError, NothingLeftError, RunError, UnknownItemError
from ..evaluation.ranking import top_k
from ..run import Run, load
from ..run.contents import is_refitted
from ..run.display import as_html, as_text
from ..run.given import Given, fill_given, refuse_unknown_conditions, to_codes
from ..sparse import SparseRows
from ..training.blending import fitted_to
from .approximate import make_ranker
from .calibration import Calibration, digest_of_weights, fit_calibration, log_shares
from .exact import item_vectors
from .histories import Histories, HistoryReader, each_once
from .items import Catalogue
from .limits import own_limits, refuse_frames
from .lists import ListRequest, Reason, Recommendation, Recommendations, RecommendedItems
from .new_items import ItemRegression, NewItems, join_items, select_new
from .people import SimilarUser, SimilarUsers, nearest_codes, shared_items, take_users
from .ranker import Exclusion, best_of_all
from .rerank import best_spread, likeness
from .wishes import Rules, Wishes, WishReader

if TYPE_CHECKING:
    from polars import DataFrame
    from scipy.sparse import csr_matrix

TILE_USERS = 512
"""The bounds of up to this many users are computed at a time."""


TILE_BOUNDS = 2**25
"""Up to this many bounds are computed at a time."""


ENCODED_AT_ONCE = 8192
"""The codes of so many users are computed at a time."""


PROBES = 2000
"""So many items, each as a whole history, tell how users differ."""


ROOM_FOR_ADDING = 8
"""Where something is added to scores, the bounds need this many times the memory."""


UNKNOWN = ("leave-out", "error")
"""What may become of items of a request that the run does not know."""


NOTHING_KNOWN = ("popular", "nothing")
"""What a user may get of whom nothing is known."""


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


class Recommender:
    """A fitted run on interactions, made ready for recommending.

    It takes about six bytes for each weight of the last layer.

    Args:
        run: a run on interactions.
        unknown: what becomes of items of a request that the run does not know, such as those
            younger than it: "leave-out" (they are told of), or "error".
        index: "hnsw" for an index of the items, which finds the best of a large catalogue most of
            the time, and sooner (see `approximate`); None ranks exactly.
        nothing_known: what a user gets of whom nothing is known, neither items nor features: the
            most "popular" items (the list says so; a run of an older version does not know them),
            or "nothing".

    Attributes:
        run: the run.
        catalogue: its items by name.
        item_vectors: (I, d) float32, rows of the weight of the decoder's last layer.
        knows_popular: whether a user of whom nothing is known gets the most popular items.
        new: the items that the run does not know, where there are some (`with_items`); else None.

    Raises:
        ConfigError: the run is not on interactions, or an option is none of the two.
    """

    def __init__(
        self,
        run: Run,
        unknown: str = "leave-out",
        index: str | None = None,
        nothing_known: str = "popular",
    ) -> None:
        if run.items is None:
            raise ConfigError(
                "only a run on interactions recommends; this one was fitted to dense examples"
            )
        if unknown not in UNKNOWN:
            raise ConfigError(f"unknown must be one of {', '.join(UNKNOWN)}, got {unknown!r}")
        if nothing_known not in NOTHING_KNOWN:
            allowed = ", ".join(NOTHING_KNOWN)
            raise ConfigError(f"nothing_known must be one of {allowed}, got {nothing_known!r}")
        self.run = run
        self._how = run.recipe.data.interactions or Interactions()
        self.new: NewItems | None = None
        self._take_items(run.items, unknown == "error")
        self.knows_popular: bool = nothing_known == "popular" and run.items.popularity is not None
        model = run.model
        if next(model.parameters()).device.type != "cpu":
            model = copy.deepcopy(model).cpu()
        with torch.no_grad():
            self._ranker = make_ranker(model, index)

    def _take_items(self, items: Items, refuses_unknown: bool) -> None:
        """Takes the items that requests may name and lists may hold."""
        assert self.run.items is not None
        self._items = items
        self.catalogue: Catalogue = Catalogue(items)
        self._reader = HistoryReader(
            self.catalogue,
            self.run.schema.levels == 2,
            self._how.columns,
            refuses_unknown,
            len(self.run.items),
        )
        self._wishes = WishReader(items, self.catalogue, self._reader.find)

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
    def refuses_unknown(self) -> bool:
        """Whether an item of a request that the run does not know is an error."""
        return self._reader.refuses_unknown

    @property
    def _title(self) -> str:
        return f"Recommender of {len(self.catalogue.ids):,} items, run {self.run.folder}"

    @cached_property
    def item_vectors(self) -> np.ndarray:
        """The vectors of the items, (I, d) float32."""
        vectors = item_vectors(self.run.model)
        if self.new is not None:
            vectors = np.concatenate([vectors, self.new.layer.vectors])
        return vectors

    def with_items(self, table: Any) -> "Recommender":
        """Returns a recommender that knows new items too, by what a table says of them.

        Their vectors are predicted from the columns that the run keeps of its own items: titles,
        genres, and whatever else stood in `data.interactions.items` (see `new_items`). New items
        are listed and limited as all others are. Histories may hold them: they are not recommended
        again, and say nothing of the user. A run with a linear partner then ranks by the network
        alone, and one with an index exactly.

        Args:
            table: a Polars or pandas frame of items, as the run has been given one; items that the
                run knows are left out.

        Raises:
            DataError: it is no such frame, it has no new item, or nothing is known of the items.
        """
        frame = to_frame(table)
        if frame is None:
            raise DataError(f"new items are a frame with one a row, got {type(table).__name__}")
        known = self.run.items
        assert known is not None
        new = select_new(titled(frame, self._how.item, "the table of new items"), known)
        regression = self._regression
        columns = tuple(name for name in regression.features.names if name in new.columns)
        wider = copy.copy(self)
        wider.new = NewItems(
            join_items(known, new),
            regression.predict(new),
            columns,
            regression.ridge.explained,
            self.run.model.partner is not None,
        )
        wider._take_items(wider.new.items, self.refuses_unknown)
        wider._ranker = self._ranker.exact.with_items(wider.new.layer)
        vars(wider).pop("item_vectors", None)
        return wider

    @cached_property
    def _regression(self) -> ItemRegression:
        """The regression of the vectors of the items on what is known of them.

        Errors are measured by how users differ, and each of the most popular items alone stands for
        a user: the data of the run need not be there.
        """
        items = self.run.items
        assert items is not None
        width = len(items)
        order = np.arange(width)
        if items.popularity is not None:
            order = np.argsort(-items.popularity, kind="stable")
        chosen = torch.from_numpy(np.sort(order[:PROBES]))
        users = len(chosen)
        histories = SparseRows(torch.arange(users + 1), chosen, torch.ones(users), width)
        conditions = None
        if self.run.schema.given:
            conditions = np.full((users, len(self.run.schema.given)), np.nan)
        with torch.inference_mode():
            inputs = self._ranker.exact.last_inputs(histories, self._codes_of(conditions))
        return ItemRegression.fit(items, self._ranker.exact.layer, inputs)

    def other_data(self, source: DataSource) -> Dataset:
        """Opens a source as other data than the run's own, over the items of this recommender, see
        `Run.other_data`.
        """
        if self.new is None:
            return self.run.other_data(source)
        wider = copy.copy(self.run)
        wider.items = self.new.items
        wider.schema = replace(self.run.schema, shape=(len(wider.items),))
        return wider.other_data(source)

    @property
    def table(self) -> "DataFrame":
        """The items with all that is known of them: the columns that `where`, `boost` and `per` may
        name.
        """
        return self._wishes.table

    def likeness(self, items: Iterable[Any]) -> float | None:
        """Returns the mean cosine between the vectors of some items, by id or title, over all
        pairs; None for fewer than two.

        Raises:
            DataError: an item is not known.
        """
        return likeness(self.item_vectors[self.catalogue.columns(items)])

    def recommend(
        self,
        history: Any,
        k: int = 10,
        *,
        given: Given | None = None,
        **wishes: Unpack[Wishes],
    ) -> RecommendedItems:
        """Recommends the best items to a user of whom only this history is known, the best first.

        There are fewer than k where no more are left. Where nothing is known of the user, neither
        an item nor a feature, they are the most popular ones, and `popular` of the result is true.

        Args:
            history: items by id or title, or a mapping of them to weights, or of what
                `recommend_many` takes a matrix of one row, a frame of one user or a `History` of
                one (see `history_of`). Items that the run does not know are left out, and stand in
                `unknown` of the result.
            k: the length of the list, at most.
            given: features of the user by name, in the words of the data, for a run that was fitted
                with some (`data.given`). What is not named is not known.
            wishes: what may be recommended, and how it is ordered, see `Wishes`.

        Raises:
            DataError: nothing is left to recommend, or nothing is known of the user, and neither is
                what is popular.
            ConfigError: k is no whole number from 1, a wish is none or leaves nothing, or the run
                has no such feature, or the feature no such value.
        """
        request = self.prepare(history, k, given=given, **wishes)
        (found,) = self.answer([request])
        if not found:
            raise NothingLeftError(
                "nothing is left to recommend: the history holds every item that may be recommended"
            )
        return found

    def prepare(
        self,
        history: Any,
        k: int = 10,
        *,
        given: Given | None = None,
        **wishes: Unpack[Wishes],
    ) -> ListRequest:
        """Reads and checks what one user asks for, as `recommend` does; no model is used.

        Raises:
            DataError: nothing is known of the user, and neither is what is popular.
            ConfigError: k is no whole number from 1, a wish is none or leaves nothing, or the run
                has no such feature, or the feature no such value.
        """
        columns, weights, unknown, own = self._reader.read_one(history)
        conditions = self._conditions_of_one(given, own)
        refuse_frames(wishes)
        rules = self._wishes.read(**wishes)
        k = _bound_k(k, len(self.catalogue.ids) - len(rules.excluded))
        request = ListRequest(
            columns, weights, k, rules, each_once(unknown + rules.unknown), conditions
        )
        if not request.is_known and not self.knows_popular:
            raise self._nothing_known(unknown)
        return request

    def answer(self, requests: Sequence[ListRequest]) -> list[RecommendedItems]:
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
                request = requests[position]
                answers[position] = self._name_items(
                    items[row], scores[row], request.unknown, popular=not request.is_known
                )
        return [answer for answer in answers if answer is not None]

    def _rank_alike(self, requests: Sequence[ListRequest]) -> tuple[np.ndarray, np.ndarray]:
        """Ranks the items for requests of one kind: columns and scores, (B, k)."""
        first = requests[0]
        history = rows_of_requests(requests, len(self.catalogue.ids))
        seen = None
        if first.rules.exclude_seen:
            seen = history
        exclusion = Exclusion(torch.from_numpy(first.rules.excluded), seen)
        known = [each.conditions for each in requests if each.conditions is not None]
        conditions = None
        if known:
            conditions = np.stack(known)
        return self._best(history, conditions, exclusion, first.k, first.rules, first.is_known)

    def _best(
        self,
        history: SparseRows,
        conditions: np.ndarray | None,
        exclusion: Exclusion,
        k: int,
        rules: Rules,
        is_known: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the best items of each user: columns and scores, (B, k).

        Args:
            history: of the users, (B, I).
            conditions: their features, (B, G), or None.
            exclusion: what is not to be found.
            k: the length of the lists.
            rules: what is added to scores, and how lists are spread.
            is_known: whether something is known of the users; else they get what is popular.
        """
        with torch.inference_mode():
            if is_known:
                codes = self._codes_of(conditions)
                rank = partial(self._ranker.best, history, codes, exclusion, added=rules.addend)
            else:
                rank = partial(self._rank_popular, len(history), exclusion, rules)
            if rules.spread is None:
                return rank(k)
            width = len(self.catalogue.ids)
            return best_spread(rank, width, k, rules.spread, self.item_vectors)

    def _rank_popular(
        self, users: int, exclusion: Exclusion, rules: Rules, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the most popular items for each of some users: columns and scores, (B, k)."""
        popularity = self._wishes.log_popularity
        assert popularity is not None
        scores = torch.from_numpy(popularity.astype(np.float32))
        if rules.addend is not None:
            scores = scores + rules.addend
        return best_of_all(exclusion.apply(scores.repeat(users, 1)), k)

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
        if not request.is_known:
            raise self._nothing_known(request.unknown)
        columns = self.catalogue.columns(items)
        return self.reasons(request, columns, most)

    @cached_property
    def calibration(self) -> Calibration:
        """How scores become probabilities, see `probabilities`. It is fitted to the validation
        users when it is first asked for, and kept in the folder of the run.

        Raises:
            DataError: there are too few validation users, or the data of the run are gone.
        """
        digest = digest_of_weights(self.run.folder)
        kept = Calibration.read(self.run.folder, digest)
        if kept is not None:
            return kept
        data = self.run.data()
        validation = data.validation
        test = data.test
        assert isinstance(validation, History | None)
        assert isinstance(test, History | None)
        unseen = None
        if is_refitted(self.run.summary):
            unseen = self._before_refit(data)._score_all
        found = fit_calibration(self._score_all, validation, test, unseen)
        with contextlib.suppress(RunError):  # a folder that nothing can be written into
            found.write(self.run.folder, digest)
        return found

    def _before_refit(self, data: Dataset) -> "Recommender":
        """Returns a recommender whose linear partner has seen the training split alone."""
        partner = self.run.model.partner
        blend = self.run.recipe.blend
        train = data.users("train")
        assert partner is not None
        assert blend is not None
        assert train is not None
        earlier = copy.copy(self)
        partner = fitted_to(partner, blend, train.matrix)
        earlier._ranker = self._ranker.exact.with_partner(partner)
        return earlier

    def _score_all(self, users: History) -> np.ndarray:
        """Scores all items for users, (B, I) float32; minus infinity for those that they have."""
        known = self._conditioned(self._reader.read(users), None)
        return self._unseen_scores(SparseRows.of(known.matrix), known.conditions)

    def _unseen_scores(self, history: SparseRows, conditions: np.ndarray | None) -> np.ndarray:
        """Scores all items for users; minus infinity for what they have, (B, I) float32."""
        with torch.inference_mode():
            scores = self._ranker.scores(history, self._codes_of(conditions)).all()
            return Exclusion(torch.empty(0, dtype=torch.int64), history).apply(scores).numpy()

    def probabilities(
        self, history: Any, items: Iterable[Any], *, given: Given | None = None
    ) -> list[float]:
        """Returns for items the probability that the next interaction of the user is with each, by
        their scores without wishes; see `calibration`.

        Args:
            history: as in `recommend`.
            items: by id or title; one that the history holds has 0.
            given: features of the user, as in `recommend`.

        Raises:
            DataError: nothing is known of the user, an item is not known, there are too few
                validation users, or the data of the run are gone.
            ConfigError: there are new items, for which nothing is calibrated.
        """
        if self.new is not None:
            raise ConfigError(
                "probabilities are calibrated for the items that the run knows: leave the new ones "
                "out"
            )
        request = self.prepare(history, 1, given=given, exclude_seen=False)
        if not request.is_known:
            raise self._nothing_known(request.unknown)
        columns = self.catalogue.columns(items)
        rows = rows_of_requests([request], len(self.catalogue.ids))
        conditions = None
        if request.conditions is not None:
            conditions = request.conditions[None]
        shares = log_shares(self._unseen_scores(rows, conditions))[0, columns]
        found = np.where(np.isfinite(shares), self.calibration(shares), 0.0)
        return [float(probability) for probability in found]

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
                share = float(row[position])
                title = self.catalogue.title(column)
                reasons.append(Reason(self.catalogue.id(column), title, share))
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
        **wishes: Unpack[Wishes],
    ) -> Recommendations:
        """Recommends to each of many users what `recommend` gives each, to the last bit.

        A user of whom no item and no feature is known gets the most popular items, and `popular` of
        the result says who; nothing, where the run does not know what is popular.

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
            wishes: what may be recommended, and how it is ordered, see `Wishes`. `allow` and `deny`
                may also be frames of a user and an item a row: a user is recommended nothing but
                the items of the own rows of `allow`, and none of those of `deny`.

        Raises:
            DataError: no user has a history with a known item or a known feature and what is
                popular is not known either, a weight is not above 0, or a frame of features has not
                one row for each user.
            ConfigError: k is no whole number from 1, a wish is none or leaves nothing, or the run
                has no such feature, or the feature no such value.
        """
        known = self._conditioned(self._reader.read(histories), given)
        users = len(known.users)
        if users == 0:
            raise DataError("there are no histories: there is nothing to recommend by")
        if not known.is_known.any() and not self.knows_popular:
            message = f"all {users} histories are empty: there is nothing to recommend by"
            if known.unknown:
                message += f"; none of their items is known, such as {known.unknown[0]!r}"
            raise DataError(message)
        return self._rank(known, k, wishes)

    def similar(
        self,
        item: Any,
        k: int = 10,
        *,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
        where: str | None = None,
    ) -> RecommendedItems:
        """Finds the other items most like one, by the cosine of the angle between their vectors
        (see `item_vectors`).

        There are fewer than k where no more are left.

        Raises:
            DataError: the item is not known.
            ConfigError: k is no whole number from 1, or `allow`, `deny` and `where` (see `Wishes`)
                leave nothing.
        """
        column = self.catalogue.column(item)
        vectors = torch.from_numpy(self.item_vectors)
        rules = self._wishes.read(allow=allow, deny=deny, where=where)
        excluded = np.union1d(rules.excluded, [column])
        k = _bound_k(k, len(vectors) - len(excluded))
        smallest = torch.finfo(torch.float32).tiny
        norms = vectors.norm(dim=1).clamp(min=smallest)
        direction = vectors[column] / norms[column]
        products = torch.mv(vectors, direction)
        scores = (products / norms).clamp_(-1, 1)
        scores[torch.from_numpy(excluded)] = -torch.inf
        best = top_k(scores.unsqueeze(0), k)
        return self._name_items(best.indices[0].numpy(), best.values[0].numpy(), rules.unknown)

    def history_of(
        self, user: Any, data: DataSource | None = None, *, half_life: float | None = None
    ) -> History:
        """Looks up all that is known of a user of the run's own data, for `recommend` and
        `similar_users`; see `histories_of`.
        """
        return self.histories_of([user], data, half_life=half_life)

    def histories_of(
        self,
        users: Iterable[Any],
        data: DataSource | None = None,
        *,
        half_life: float | None = None,
    ) -> History:
        """Looks up all that is known of some users, the held-out part of their interactions and
        their features too, for `recommend_many`.

        Args:
            users: their ids, in any type or spelling.
            data: the data that they are users of, see `Run.data`; None takes the run's own.
            half_life: see `users_of`.

        Raises:
            DataError: there is no such user, or the data of the run are gone.
        """
        source = data
        if source is None:
            source = self.run.recipe.data.source
        whole = self.users_of(data, half_life=half_life)
        return take_users(list(users), whole, source_text(source), self.catalogue.suggests)

    def users_of(
        self, data: DataSource | None = None, *, half_life: float | None = None
    ) -> History:
        """Returns all users of some data, with all that is known of them.

        Args:
            data: the data, see `Run.data`; None takes the run's own.
            half_life: in days: an interaction counts half as much as one that is so much younger,
                and the last one of each user in full, see `data.interactions.decay`. The data need
                times. None: all count alike.

        Raises:
            DataError: the data of the run are gone, or have no times.
            ConfigError: the half-life is no number above 0.
        """
        whole = self._users(data)
        if half_life is None:
            return whole
        return self.fade(whole, data, half_life)

    def fade(self, history: History, data: DataSource | None, half_life: float) -> History:
        """Returns the users of a history, all of whom are of these data, with interactions that
        fade; see `users_of`.
        """
        days = check_half_life(half_life)
        source = data
        if source is None:
            source = self.run.held
        if source is None:
            source = self.run.recipe.data.source
        asked = self.run.recipe.data
        how = Writing(asked.text_format(), asked.wanted().columns, is_other=data is not None)
        log = open_log(source, how, self._items)
        return faded(history, log, self._how, self._items, days)

    def similar_users(
        self,
        history: Any,
        k: int = 10,
        *,
        given: Given | None = None,
        data: DataSource | None = None,
    ) -> SimilarUsers:
        """Finds the users of the run's own data who are most like one, by the cosine of the angle
        between their codes (see `codes`), and says which items they share.

        Args:
            history: as in `recommend`; of a `History` the user is not found again.
            k: how many, at most.
            given: features of the user, as in `recommend`.
            data: the data whose users are searched, see `Run.data`; None takes the run's own.

        Raises:
            DataError: nothing is known of the user, or the data of the run are gone.
            ConfigError: k is no whole number from 1, or the run has no such feature.
        """
        request = self.prepare(history, 1, given=given, exclude_seen=False)
        if not request.is_known:
            raise self._nothing_known(request.unknown)
        whole = self._users(data)
        conditions = None
        if request.conditions is not None:
            conditions = request.conditions[None]
        code = self._codes_of_rows(rows_of_requests([request], len(self.catalogue.ids)), conditions)
        similarity = nearest_codes(self._codes_of_users(data), code[0])
        if isinstance(history, History):
            similarity[whole.users == history.users[0]] = -np.inf
        order = np.argsort(-similarity, kind="stable")[: _bound_k(k, len(whole))]
        assert self.run.items is not None
        popularity = self.run.items.popularity
        found = []
        for row in order[similarity[order] > -np.inf].tolist():
            others = whole.matrix[row].indices
            shared = shared_items(request.columns, others, self.catalogue, popularity)
            user = whole.users[row : row + 1].tolist()[0]
            found.append(SimilarUser(user, float(similarity[row]), shared))
        return SimilarUsers(found, request.unknown, len(whole))

    def _users(self, data: DataSource | None) -> History:
        """Returns all users of some data with all that is known of them; those of the run's own
        data are kept.
        """
        if data is None:
            return self._own_users
        return self._open_users(data)

    @cached_property
    def _own_users(self) -> History:
        return self._open_users(None)

    def _open_users(self, data: DataSource | None) -> History:
        whole = self.run.data(data).whole
        assert isinstance(whole, History)
        return whole

    def _codes_of_users(self, data: DataSource | None) -> np.ndarray:
        """Returns the codes of all users of some data; those of the run's own data are kept."""
        if data is None:
            return self._own_codes
        return self.codes(self._users(data))

    @cached_property
    def _own_codes(self) -> np.ndarray:
        return self.codes(self._own_users)

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
        parts = []
        for start in range(0, len(known.users), ENCODED_AT_ONCE):
            rows = slice(start, start + ENCODED_AT_ONCE)
            conditions = known.conditions
            if conditions is not None:
                conditions = conditions[rows]
            parts.append(self._codes_of_rows(SparseRows.of(known.matrix[rows]), conditions))
        return np.concatenate(parts)

    def _codes_of_rows(self, history: SparseRows, conditions: np.ndarray | None) -> np.ndarray:
        """Returns the posterior means of z1 of some users, (B, d) float32."""
        with torch.inference_mode():
            return self._ranker.codes(history, self._codes_of(conditions)).float().numpy()

    def _name_items(
        self,
        columns: np.ndarray,
        scores: np.ndarray,
        unknown: tuple[Any, ...],
        popular: bool = False,
    ) -> RecommendedItems:
        """Makes the list of one user of columns and scores; a column of -1 ends it."""
        count = int(np.count_nonzero(columns >= 0))
        columns = columns[:count]
        items = self.catalogue.ids[columns].tolist()
        titles = map(self.catalogue.title, columns.tolist())
        recommendations = map(Recommendation, items, titles, scores[:count].tolist())
        return RecommendedItems(recommendations, unknown, popular)

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
            conditions = self._filled(given, own, len(histories.users))
            return replace(histories, conditions=conditions)
        return replace(histories, conditions=self._read_features(given, histories.users))

    def _conditions_of_one(self, given: Given | None, own: np.ndarray | None) -> np.ndarray | None:
        """Reads the features of one user, (G,); None for a run that has none.

        Args:
            given: by name.
            own: (1, G) what the history brings; `given` comes before it.
        """
        columns = self.run.schema.given
        refuse_unknown_conditions(given or {}, columns)
        if not columns:
            return None
        (conditions,) = self._filled(given, own, 1)
        return np.asarray(conditions)

    def _filled(self, given: Given | None, own: np.ndarray | None, users: int) -> np.ndarray:
        """Returns the features of users, (n, G): those given by name, or else their own."""
        conditions = fill_given(given, self.run.schema.given, users)
        if own is None:
            return conditions
        is_given = np.isin(self.run.schema.names_of_conditions, list(given or ()))
        return np.where(is_given, conditions, own)

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

    def _codes_of(self, conditions: np.ndarray | None) -> Tensor | None:
        """Returns the codes of conditions (n, G)."""
        if conditions is None:
            return None
        return to_codes(conditions, self.run.schema)

    # Ranking

    def _rank(self, histories: Histories, k: int, wishes: Wishes) -> Recommendations:
        """Ranks the items for each user, tile by tile."""
        own = own_limits(self._reader, wishes, histories.users)
        rules = self._wishes.read(**own.wishes)
        width = len(self.catalogue.ids)
        users = len(histories.users)
        k = _bound_k(k, width - len(rules.excluded))
        items = np.full((users, k), -1, np.int64)
        scores = np.full((users, k), np.nan, np.float32)
        excluded = torch.from_numpy(rules.excluded)
        matrix = histories.matrix
        seen = None
        if rules.exclude_seen:
            seen = matrix
        denied = own.denied_beside(seen)
        is_known = histories.is_known

        def rank_tile(rows: np.ndarray) -> None:
            history = _rows(matrix, rows)
            never: SparseRows | None = history
            if denied is not matrix:
                never = _rows_if_any(denied, rows)
            exclusion = Exclusion(excluded, never, _rows_if_any(own.allow, rows))
            conditions = histories.conditions
            if conditions is not None:
                conditions = conditions[rows]
            found = self._best(
                history, conditions, exclusion, k, rules, is_known=bool(is_known[rows[0]])
            )
            items[rows], scores[rows] = found

        size = max(1, min(TILE_USERS, TILE_BOUNDS // width))
        if rules.added is not None:
            size = max(1, size // ROOM_FOR_ADDING)
        is_popular = None
        same_kinds = [np.flatnonzero(is_known)]
        if self.knows_popular:
            is_popular = ~is_known
            same_kinds.append(np.flatnonzero(is_popular))
        tiles = []
        for same in same_kinds:
            tile = max(1, min(size, len(same)))
            for start in range(0, len(same), tile):
                tiles.append(same[start : start + tile])
        _run_in_threads(rank_tile, tiles)
        unknown = each_once(histories.unknown + own.unknown + rules.unknown)
        return Recommendations(histories.users, items, scores, self.catalogue, unknown, is_popular)


def _rows(matrix: "csr_matrix", rows: np.ndarray) -> SparseRows:
    """Returns some rows of a matrix."""
    if len(rows) < matrix.shape[0]:
        matrix = matrix[rows]
    return SparseRows.of(matrix)


def _rows_if_any(matrix: "csr_matrix | None", rows: np.ndarray) -> SparseRows | None:
    """Returns some rows of a matrix, or None of none."""
    if matrix is None:
        return None
    return _rows(matrix, rows)


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

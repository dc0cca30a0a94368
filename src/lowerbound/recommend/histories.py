"""The histories that a user of `Recommender` gives, read and checked.

There is one rule for items that the run does not know, whatever the form: they are left out, and
told of; a `HistoryReader` that `refuses_unknown` raises an error instead.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import History
from ..data.interactions.columns import ITEMS, USERS, Columns, find_named, find_usual
from ..data.interactions.matrices import check_matrix
from ..data.memory import is_matrix, to_frame, to_sparse
from ..errors import DataError, one_line
from .items import Catalogue

if TYPE_CHECKING:
    from polars import DataFrame
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Histories:
    """The histories of n users.

    Attributes:
        users: (n,) the users' own ids.
        matrix: (n, I) float32, the weights of their items.
        unknown: the items that the run does not know, each once. They are left out.
        conditions: (n, G) what is known of the users beside their items, of a run that asks for it;
            NaN where it is not known.
    """

    users: np.ndarray
    matrix: "csr_matrix"
    unknown: tuple[Any, ...] = ()
    conditions: np.ndarray | None = None

    @property
    def is_known(self) -> np.ndarray:
        """Of which users anything is known, an item or a condition, (n,) bool."""
        has_items = np.diff(self.matrix.indptr) > 0
        if self.conditions is None:
            return has_items
        return has_items | ~np.isnan(self.conditions).all(axis=1)


@dataclass(frozen=True)
class HistoryReader:
    """Reads the histories of users of a run, in any of the forms that `recommend_many` takes.

    Attributes:
        catalogue: the items of the run.
        is_binary: the run was fitted to interactions that count 1 each.
        columns: the columns of frames, as the recipe of the run names them.
        refuses_unknown: an item that the run does not know is an error.
        own_width: of a catalogue with new items, the number of those that the run knows. They stand
            first, and matrices may be over them alone.
    """

    catalogue: Catalogue
    is_binary: bool
    columns: Columns
    refuses_unknown: bool = False
    own_width: int | None = None

    def read(self, histories: Any) -> Histories:
        """Reads the histories.

        Raises:
            DataError: they are of no known form, or a weight is not above 0.
        """
        if isinstance(histories, History):
            # One of weights may be given on purpose, such as one that fades.
            is_binary = self.is_binary and histories.levels is not None
            matrix = self._check_matrix(histories.matrix, is_binary)
            return Histories(histories.users, matrix, conditions=histories.conditions)
        if is_matrix(histories):
            matrix = self._check_matrix(to_sparse(histories), self.is_binary)
            return Histories(np.arange(matrix.shape[0]), matrix)
        if isinstance(histories, Mapping):
            return self._read_mapping(histories)
        frame = to_frame(histories)
        if frame is not None:
            return self._read_frame(frame)
        raise DataError(
            "histories are a SciPy matrix, a Polars or pandas frame of user and item, or a "
            f"mapping of users to items; got {type(histories).__name__}"
        )

    def read_pairs(self, frame: "DataFrame", name: str) -> Histories:
        """Reads the users and items of a frame, whatever else it has.

        Args:
            frame: a user and an item a row.
            name: the frame as it appears in messages.

        Raises:
            DataError: it has no such columns.
        """
        return self._read_frame(frame.drop("weight", strict=False), name=name)

    def read_one(
        self, history: Any
    ) -> tuple[np.ndarray, np.ndarray, tuple[Any, ...], np.ndarray | None]:
        """Reads the history of one user: its columns, ascending, (n,) int64, their weights, (n,)
        float32, the items that the run does not know, and the features (1, G) that it brings, or
        None.

        Raises:
            DataError: it is no history, or one of several users, or a weight is not above 0.
        """
        read = self._read_one_of_many(history)
        if read is not None:
            columns = read.matrix.indices.astype(np.int64)
            return columns, read.matrix.data, read.unknown, read.conditions
        items, _ = items_and_weights(history)
        found, unknown = self.find(items)
        counts = Counter(found.tolist())
        counts.pop(-1, None)
        known = sorted(counts)
        weights = np.ones(len(known), np.float32)
        if not self.is_binary and len(known) < len(found):
            weights = np.array([counts[column] for column in known], np.float32)
        return np.array(known, np.int64), weights, unknown, None

    def _read_one_of_many(self, history: Any) -> Histories | None:
        """Reads a history in a form that may hold many: a mapping, a `History` or a matrix of one
        row, or a frame with a column item, where all rows are of one user; None for other forms.
        """
        if isinstance(history, Mapping):
            return self._read_mapping({0: history})
        if isinstance(history, History) or is_matrix(history):
            return _of_one_user(self.read(history))
        if hasattr(history, "columns"):
            frame = to_frame(history)
            if frame is not None:
                return _of_one_user(self._read_frame(frame, needs_users=False))
        return None

    def find(self, items: Iterable[Any]) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Finds the columns of items, (n,) int64, -1 for those that are not known.

        Returns:
            The columns, and the unknown items, each once.

        Raises:
            DataError: an item is not known, and unknown ones are refused.
        """
        columns, unknown = self.catalogue.known(items)
        if not unknown:
            return columns, ()
        if self.refuses_unknown:
            raise DataError(self.catalogue.describe_unknown(unknown[0]))
        return columns, each_once(unknown)

    def _check_matrix(self, matrix: Any, is_binary: bool) -> "csr_matrix":
        width = len(self.catalogue.ids)
        if matrix.shape[1] == self.own_width != width:
            matrix = matrix.tocsr(copy=True)
            matrix.resize(matrix.shape[0], width)
        return check_matrix(matrix, self.catalogue.ids, is_binary)

    def _read_mapping(self, histories: Mapping[Any, Any]) -> Histories:
        """Reads a mapping of users to lists of items, or to mappings of items to weights."""
        rows: list[int] = []
        all_items: list[Any] = []
        weights: list[Any] = []
        for row, history in enumerate(histories.values()):
            items, item_weights = items_and_weights(history)
            rows += [row] * len(items)
            all_items += items
            weights += item_weights
        columns, unknown = self.find(all_items)
        users = np.empty(len(histories), dtype=object)
        users[:] = list(histories)
        matrix = self._make_matrix(np.array(rows, np.int64), columns, weights, len(users))
        return Histories(users, matrix, unknown)

    def _read_frame(
        self, frame: "DataFrame", needs_users: bool = True, name: str = "a frame of histories"
    ) -> Histories:
        """Reads a frame with columns of users and items and perhaps a column weight.

        Where no column is of users and none is needed, all rows are of one user.
        """
        import polars

        users_column = find_named(frame.columns, self.columns.user)
        if not needs_users and not (users_column or find_usual(frame.columns, USERS)):
            frame = frame.with_columns(polars.lit(0).alias(self.columns.user or "user"))
        names = []
        for asked, usual in ((self.columns.user, USERS), (self.columns.item, ITEMS)):
            named = find_named(frame.columns, asked)
            names += [*filter(None, [named]), *find_usual(frame.columns, usual)][:1]
        if len(names) < 2:
            raise DataError(
                f"{name} needs the columns user and item, got: "
                f"{one_line(', '.join(frame.columns) or 'none', 200)}"
            )
        pairs = frame.select(polars.col(names[0]).alias("user"), polars.col(names[1]).alias("item"))
        if pairs.null_count().sum_horizontal().item():
            raise DataError(f"{name} must have a user and an item in every row")
        users = pairs["user"].unique(maintain_order=True)
        items = pairs["item"].unique(maintain_order=True)
        numbering = polars.int_range(len(users), eager=True)
        found, unknown = self.find(items.to_list())
        columns = polars.Series(found, dtype=polars.Int64)
        row = pairs["user"].replace_strict(users, numbering, return_dtype=polars.Int64)
        column = pairs["item"].replace_strict(items, columns, return_dtype=polars.Int64)
        weights = np.ones(len(frame))
        if "weight" in frame.columns:
            weights = frame["weight"].to_numpy()
        matrix = self._make_matrix(row.to_numpy(), column.to_numpy(), weights, len(users))
        return Histories(users.to_numpy(), matrix, unknown)

    def _make_matrix(
        self, rows: np.ndarray, columns: np.ndarray, weights: Any, users: int
    ) -> "csr_matrix":
        """Makes the matrix of the interactions with known items.

        Where each counts 1, repeating one changes nothing.
        """
        from scipy.sparse import csr_matrix

        try:
            weights = np.asarray(weights, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"weights of a history must be real numbers: {one_line(error, 160)}"
            ) from None
        is_known = columns >= 0
        rows = rows[is_known]
        columns = columns[is_known]
        weights = weights[is_known]
        if self.is_binary and (weights == 1).all():
            pairs = np.stack([rows, columns])
            rows, columns = np.unique(pairs, axis=1)
            weights = np.ones(len(rows))
        shape = (users, len(self.catalogue.ids))
        return self._check_matrix(
            csr_matrix((weights, (rows, columns)), shape=shape), self.is_binary
        )


def _of_one_user(histories: Histories) -> Histories:
    """Refuses the histories of several users where one is needed. DataError says how many."""
    count = len(histories.users)
    if count != 1:
        raise DataError(f"one history is needed, got those of {count:,} users: take recommend_many")
    return histories


def each_once(items: Iterable[Any]) -> tuple[Any, ...]:
    """Returns the items without those that were there before, told apart by their texts."""
    return tuple({str(item): item for item in items}.values())


def items_and_weights(history: Any) -> tuple[list[Any], list[float]]:
    """Returns the items and the weights of one history; without weights every item counts 1.

    Raises:
        DataError: it is neither a list of items nor a mapping of items to weights.
    """
    if isinstance(history, str):
        raise DataError(
            f"a history is a list of items, got the text {history!r}; write [{history!r}]"
        )
    if not isinstance(history, Iterable):
        raise DataError(f"a history is a list of items, got {type(history).__name__}")
    if hasattr(history, "tolist"):
        history = history.tolist()  # plain numbers of an array, a tensor or a series
    items = list(history)
    if isinstance(history, Mapping):
        return items, list(history.values())
    return items, [1.0] * len(items)

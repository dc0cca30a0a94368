"""What is asked of a recommender, and the lists that come back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .items import Catalogue
from .wishes import ANYTHING, Rules

if TYPE_CHECKING:
    from polars import DataFrame


@dataclass(frozen=True, eq=False)
class ListRequest:
    """What one user asks for, read and checked: items are columns of the catalogue.

    Attributes:
        columns: (n,) int64, the history, ascending, each once.
        weights: (n,) float32.
        k: the length of the list, at most; no more than may be recommended.
        rules: what may be recommended, and how it is ordered.
        unknown: the items of the request that the run does not know.
        conditions: (G,) float64, the features of the user, of a run that asks for some; NaN where
            one is not known.
    """

    columns: np.ndarray
    weights: np.ndarray
    k: int
    rules: Rules = ANYTHING
    unknown: tuple[Any, ...] = ()
    conditions: np.ndarray | None = None

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the user, an item or a feature."""
        if len(self.columns):
            return True
        return self.conditions is not None and not bool(np.isnan(self.conditions).all())

    @property
    def kind(self) -> tuple[Any, ...]:
        """Requests of one kind differ in their histories alone, and are answered together."""
        return self.k, self.is_known, self.rules.key


class Recommendation(NamedTuple):
    """One item of a list.

    Attributes:
        item: its id.
        title: its title; None in a run without titles.
        score: the number it was ranked by, higher is better: the natural parameter of p(x | z) with
            what was added to it, a cosine, or the log of the number of its training users in a
            list of the most popular items.
    """

    item: Any
    title: str | None
    score: float


class RecommendedItems(list[Recommendation]):
    """The list of one user, the best first.

    Attributes:
        unknown: what the request named and the run does not know, each once. It was left out.
        popular: whether nothing is known of the user, so that these are the most popular items.
    """

    def __init__(
        self,
        recommendations: Iterable[Recommendation],
        unknown: tuple[Any, ...] = (),
        popular: bool = False,
    ) -> None:
        super().__init__(recommendations)
        self.unknown = unknown
        self.popular = popular

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
        popular: (n,) bool, of which users nothing is known, so that they got the most popular
            items; None where the run does not know what is popular.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    catalogue: Catalogue
    unknown: tuple[Any, ...] = ()
    popular: np.ndarray | None = None

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

    def count_popular(self) -> int:
        """Counts the users of whom nothing is known, and who got the most popular items."""
        if self.popular is None:
            return 0
        return int(self.popular.sum())

    def to_frame(self) -> "DataFrame":
        """Makes a Polars frame with the columns user, rank (from 1), item, title (where known),
        score and popular (of a run that knows what is), by user, then rank.
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
        if self.popular is not None:
            columns["popular"] = self.popular[row]
        return polars.DataFrame(columns)

"""Users of the data of a run: their histories by id, and those who are most like one."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..data import History
from ..data.interactions.ids import positions
from ..errors import UnknownUserError, one_line
from .items import Catalogue, near

if TYPE_CHECKING:
    from polars import DataFrame

COMPARED_AT_ONCE = 2**16
"""So many users are compared with one at a time."""

SUGGESTED_AMONG = 100_000
"""Ids that are like an unknown one are looked for among so many users at most."""


class SharedItem(NamedTuple):
    """An item that two users have.

    Attributes:
        item: its id.
        title: its title; None in a run without titles.
    """

    item: Any
    title: str | None


class SimilarUser(NamedTuple):
    """A user who is like another one.

    Attributes:
        user: the id.
        similarity: the cosine of the angle between the codes of the two.
        shared: the items that both have, those that the fewest users have first: they say most.
    """

    user: Any
    similarity: float
    shared: list[SharedItem]


class SimilarUsers(list[SimilarUser]):
    """The users that are most like one, the nearest first.

    Attributes:
        unknown: the items of the history that the run does not know, each once.
        searched: among how many users they were found.
    """

    def __init__(
        self, users: Iterable[SimilarUser], unknown: tuple[Any, ...] = (), searched: int = 0
    ) -> None:
        super().__init__(users)
        self.unknown = unknown
        self.searched = searched

    def to_frame(self) -> "DataFrame":
        """Makes a Polars frame with the columns rank (from 1), user, similarity and shared, the
        number of items that both have.
        """
        import polars

        columns: dict[str, Any] = {
            "rank": range(1, len(self) + 1),
            "user": [each.user for each in self],
            "similarity": [each.similarity for each in self],
            "shared": [len(each.shared) for each in self],
        }
        return polars.DataFrame(columns, strict=False)

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the users as a table."""
        return self.to_frame()._repr_html_()


def take_users(users: Sequence[Any], whole: History, source: str, suggests: bool = True) -> History:
    """Takes users by their ids, in this order.

    Args:
        users: their ids, in any type or spelling.
        whole: all users of the data.
        source: the data as they appear in messages.
        suggests: whether a message names ids that are like an unknown one.

    Raises:
        UnknownUserError: there is no such user.
    """
    asked = np.empty(len(users), dtype=object)
    asked[:] = [str(user) for user in users]
    at = positions(asked, whole.users)
    if (at < 0).any():
        missing = asked[int(np.argmax(at < 0))]
        message = f"no user {one_line(missing, 80)!r} among the {len(whole):,} of {source}"
        if suggests:
            message += _suggest(missing, whole.users)
        raise UnknownUserError(message)
    return whole.take(at)


def _suggest(missing: str, users: np.ndarray) -> str:
    """Names the ids that are like an unknown one, for the end of a message."""
    suggestions = near(missing, [str(user) for user in users[:SUGGESTED_AMONG].tolist()])
    if not suggestions:
        return ""
    return f"; did you mean {', '.join(map(repr, suggestions))}?"


def nearest_codes(codes: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Returns the cosines of the angles between codes (n, d) and one code (d,), (n,) float64; 0 for
    a code of zeros.
    """
    direction = code.astype(np.float64)
    cosines = np.zeros(len(codes))
    for start in range(0, len(codes), COMPARED_AT_ONCE):
        part = codes[start : start + COMPARED_AT_ONCE].astype(np.float64)
        lengths = np.linalg.norm(part, axis=1) * np.linalg.norm(direction)
        products = part @ direction
        np.divide(products, lengths, out=cosines[start : start + len(part)], where=lengths > 0)
    return np.clip(cosines, -1, 1)


def shared_items(
    columns: np.ndarray, others: np.ndarray, catalogue: Catalogue, popularity: np.ndarray | None
) -> list[SharedItem]:
    """Lists the items of two histories, the least popular first.

    Args:
        columns: (n,) the items of the one.
        others: (m,) the items of the other.
        catalogue: names them.
        popularity: (I,) the number of users of each item, or None.
    """
    both = np.intersect1d(columns, others)
    if popularity is not None:
        both = both[np.argsort(popularity[both], kind="stable")]
    return [SharedItem(catalogue.id(column), catalogue.title(column)) for column in both.tolist()]

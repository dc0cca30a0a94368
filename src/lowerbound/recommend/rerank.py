"""The choice of a list from a longer one: at most so many of each group, and unlike each other.

All of it is of one user, so that it does not depend on who else is asked for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from .exact import on_grid

LEAST_CANDIDATES = 100
"""A list is chosen among so many of the best items, or more."""

CANDIDATES_PER_PLACE = 10
"""A long list is chosen among so many times its length."""

GROWTH = 4
"""Where the groups leave too few candidates, so many times as many are looked at."""

Rank = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""It finds the n best items of each user: columns and scores, (B, n), -1 and nan where none are
left.
"""


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups that each item belongs to, any number of them.

    Attributes:
        offsets: (I + 1,) int64; the groups of item i are `members[offsets[i] : offsets[i + 1]]`.
        members: numbers of groups, int64.
        count: how many groups there are.
    """

    offsets: np.ndarray
    members: np.ndarray
    count: int

    @classmethod
    def of(cls, names: Iterable[Sequence[Any]]) -> "Groups":
        """Numbers the groups that each item belongs to by name."""
        numbers: dict[Any, int] = {}
        members: list[int] = []
        offsets = [0]
        for names_of_item in names:
            for name in dict.fromkeys(names_of_item):
                members.append(numbers.setdefault(name, len(numbers)))
            offsets.append(len(members))
        return cls(np.array(offsets, np.int64), np.array(members, np.int64), len(numbers))

    def of_item(self, item: int) -> np.ndarray:
        """Returns the groups of an item."""
        return self.members[self.offsets[item] : self.offsets[item + 1]]


@dataclass(frozen=True, eq=False)
class Spread:
    """How a list is spread over groups, and over the space of the items.

    The items are chosen one after another among the best candidates: each time the one of the
    highest (1 - d) r - d s whose groups are not full. r is its score, scaled so that the best of
    the candidates has 1 and the last of them 0; s is the largest cosine of its vector to that of an
    item chosen before, 0 for the first one (maximal marginal relevance, Carbonell and Goldstein
    1998). With d = 0 that is the order of the scores.

    Attributes:
        diversity: d, from 0 to 1.
        at_most: so many items of each group; None: any number.
        per: the column that the groups are of.
        groups: of the items.
    """

    diversity: float = 0.0
    at_most: int | None = None
    per: str | None = None
    groups: Groups | None = None

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Equal spreads over the items of one run have equal keys."""
        return self.diversity, self.at_most, self.per

    def candidates(self, k: int) -> int:
        """Returns among how many of the best items a list of k is chosen."""
        return max(LEAST_CANDIDATES, CANDIDATES_PER_PLACE * k)

    def choose(
        self, items: np.ndarray, scores: np.ndarray, k: int, vectors: np.ndarray
    ) -> np.ndarray:
        """Chooses up to k places of a list of candidates, in the order in which they are chosen.

        Args:
            items: (n,) int64, the columns of the candidates, the best first.
            scores: (n,) their scores, falling.
            k: how many, at most.
            vectors: (I, d) of all items.
        """
        if self.diversity:
            return self._choose_unlike(items, scores, k, vectors)
        counts = self._no_members()
        chosen: list[int] = []
        for place, item in enumerate(items.tolist()):
            if len(chosen) == k:
                break
            if self._has_room(item, counts):
                self._join(item, counts)
                chosen.append(place)
        return np.array(chosen, np.int64)

    def _choose_unlike(
        self, items: np.ndarray, scores: np.ndarray, k: int, vectors: np.ndarray
    ) -> np.ndarray:
        """Chooses by maximal marginal relevance."""
        relevance = (1 - self.diversity) * scaled(scores)
        directions = directions_of(vectors[items])
        nearest = np.full(len(items), -np.inf)
        is_open = np.ones(len(items), bool)
        counts = self._no_members()
        chosen: list[int] = []
        while len(chosen) < k and is_open.any():
            gains = relevance
            if chosen:
                gains = relevance - self.diversity * nearest
            place = int(np.argmax(np.where(is_open, gains, -np.inf)))
            is_open[place] = False
            item = int(items[place])
            if not self._has_room(item, counts):
                continue
            self._join(item, counts)
            chosen.append(place)
            nearest = np.maximum(nearest, directions @ directions[place])
        return np.array(chosen, np.int64)

    def _no_members(self) -> np.ndarray:
        """Returns the numbers of items of the groups before any is chosen."""
        if self.groups is None:
            return np.empty(0, np.int64)
        return np.zeros(self.groups.count, np.int64)

    def _has_room(self, item: int, counts: np.ndarray) -> bool:
        """Says whether none of the groups of an item is full."""
        if self.groups is None:
            return True
        return bool((counts[self.groups.of_item(item)] < self.at_most).all())

    def _join(self, item: int, counts: np.ndarray) -> None:
        """Counts an item in its groups."""
        if self.groups is not None:
            counts[self.groups.of_item(item)] += 1


def scaled(scores: np.ndarray) -> np.ndarray:
    """Scales falling scores (n,) to numbers from 1, for the first, to 0, for the last; all are 1
    where they are equal.
    """
    values = scores.astype(np.float64)
    span = values[:1] - values[-1:]
    if not span.any():
        return np.ones(len(values))
    return np.asarray((values - values[-1]) / span)


def directions_of(vectors: np.ndarray) -> np.ndarray:
    """Scales vectors (n, d) to the length 1, and rounds them so that their products, which are
    cosines, are exact: they do not depend on how they are computed.
    """
    values = torch.from_numpy(vectors).double()
    norms = values.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    return on_grid(values / norms, values.shape[1]).numpy()


def likeness(vectors: np.ndarray) -> float | None:
    """Returns the mean cosine between the pairs of some vectors (n, d); None for fewer than two."""
    count = len(vectors)
    if count < 2:
        return None
    directions = directions_of(vectors)
    cosines = directions @ directions.T
    return float(cosines[np.triu_indices(count, 1)].mean())


def best_spread(
    rank: Rank, width: int, k: int, spread: Spread, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the list of each user among the best items: columns and scores, (B, k).

    Where the groups leave fewer than k of the candidates, more are looked at, in the end all items.

    Args:
        rank: finds the best items.
        width: the number of all items, I.
        k: the length of the lists.
        spread: how they are chosen.
        vectors: (I, d) of all items.
    """
    count = min(width, spread.candidates(k))
    items, scores = rank(count)
    users = len(items)
    chosen_items = np.full((users, k), -1, np.int64)
    chosen_scores = np.full((users, k), np.nan, np.float32)
    open_users = np.arange(users)
    while True:
        still_open = []
        for user in open_users.tolist():
            found = int((items[user] >= 0).sum())
            own_items = items[user, :found]
            own_scores = scores[user, :found]
            places = spread.choose(own_items, own_scores, k, vectors)
            chosen_items[user, : len(places)] = own_items[places]
            chosen_scores[user, : len(places)] = own_scores[places]
            if len(places) < k and found == count < width:
                still_open.append(user)
        if not still_open:
            return chosen_items, chosen_scores
        open_users = np.array(still_open)
        count = min(width, GROWTH * count)
        items, scores = rank(count)

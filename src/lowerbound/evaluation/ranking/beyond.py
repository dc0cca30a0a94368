"""Metrics of lists that need to know the items: how novel, diverse and surprising lists are, and
what they find beside the most popular items.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...data import Items
from ...data.interactions.titles import genres_of
from ...errors import ConfigError, ShapeError
from ...sparse import SparseRows

SHORT_HEAD = 1 / 3
"""The most popular items that have this part of all interactions are the short head; the others
are the long tail (Cremonesi, Koren & Turrin 2010, section 3, with 33 % of the ratings).
"""


@dataclass(frozen=True, eq=False)
class ItemFacts:
    """What is known of the items of a catalogue, beside which users they are recommended to.

    Attributes:
        popularity: how many users of the training set have each item, (I,).
        users: the number of users of the training set.
        vectors: of the items, (I, d), by whose angles lists are diverse, such as their genres; None
            where there are none.
        vectors_of: what the vectors say of the items, for people.
    """

    popularity: np.ndarray
    users: int
    vectors: np.ndarray | Tensor | None = None
    vectors_of: str = "vectors"

    def __post_init__(self) -> None:
        if self.users < 1:
            raise ConfigError(f"users must be 1 or more, got {self.users}")
        if self.vectors is not None and len(self.vectors) != len(self.popularity):
            raise ShapeError(
                f"there must be one vector for each of {len(self.popularity)} items, got "
                f"{len(self.vectors)}"
            )

    @cached_property
    def information(self) -> Tensor:
        """The self-information of each item, (I,) float64 in bits: -log2 of the part of the users
        who have it. An item without users counts as one with a single user.
        """
        counts = np.maximum(np.asarray(self.popularity, np.float64), 1)
        return torch.from_numpy(np.log2(self.users / counts))

    @cached_property
    def popular_first(self) -> np.ndarray:
        """The items, the most popular first, (I,) int64; equals by their index."""
        return np.argsort(-np.asarray(self.popularity, np.float64), kind="stable")

    @cached_property
    def place(self) -> Tensor:
        """The place 0... of each item in `popular_first`, (I,) int64."""
        places = np.empty(len(self.popularity), np.int64)
        places[self.popular_first] = np.arange(len(places))
        return torch.from_numpy(places)

    @cached_property
    def in_tail(self) -> Tensor:
        """Which items are in the long tail, (I,) bool: all but the fewest of the most popular items
        that have a third of the interactions.
        """
        counts = np.asarray(self.popularity, np.float64)[self.popular_first]
        before = counts.cumsum() - counts
        is_head = before < SHORT_HEAD * counts.sum()
        in_tail = np.empty(len(counts), bool)
        in_tail[self.popular_first] = ~is_head
        return torch.from_numpy(in_tail)

    @cached_property
    def directions(self) -> Tensor | None:
        """The vectors divided by their lengths, (I, d) float32; those of zeros stay."""
        if self.vectors is None:
            return None
        vectors = torch.as_tensor(self.vectors).float()
        return F.normalize(vectors, dim=1).contiguous()


class Lists(NamedTuple):
    """The lists of B users.

    Attributes:
        items: (B, k).
        is_listed: false where there was nothing left to recommend, (B, k).
        hits: whether an item is a target, (B, k).
        unwanted: what is recommended to none of the users, (B, I).
        targets: what was to be found, (B, I).
    """

    items: Tensor
    is_listed: Tensor
    hits: Tensor
    unwanted: SparseRows
    targets: SparseRows


def _mean_of_first(values: Tensor, lists: Lists, ks: Sequence[int]) -> Tensor:
    """Means values (B, k) over the first of each list, (B, cuts); 0 for an empty list."""
    listed = torch.where(lists.is_listed, values, 0).cumsum(1)
    counts = lists.is_listed.cumsum(1).clamp(min=1)
    last = torch.tensor(ks) - 1
    return listed[:, last] / counts[:, last]


def _novelty(lists: Lists, facts: ItemFacts, ks: Sequence[int]) -> Tensor:
    return _mean_of_first(facts.information[lists.items], lists, ks)


def _diversity(lists: Lists, facts: ItemFacts, ks: Sequence[int]) -> Tensor:
    """Sums the vectors of each list: the squared length of the sum is the sum over all pairs of
    cosines, those of an item with itself among them.

    Each cut is summed by itself, so that no figure depends on which others are asked for.
    """
    directions = facts.directions
    assert directions is not None
    own = directions.square().sum(1)  # 1, but 0 of an item without a vector
    measures = []
    for k in ks:
        items = lists.items[:, :k].contiguous()
        listed = lists.is_listed[:, :k].float()
        sums = F.embedding_bag(items, directions, mode="sum", per_sample_weights=listed)
        cosines = sums.square().sum(1) - (own[items] * listed).sum(1)
        counts = listed.sum(1)
        pairs = counts * (counts - 1)
        distances = 1 - cosines.double() / pairs.clamp(min=1)
        measures.append(torch.where(pairs > 0, distances, 0))
    return torch.stack(measures, 1)


def _serendipity(lists: Lists, facts: ItemFacts, ks: Sequence[int]) -> Tensor:
    """Finds the place that each item of a list has in the list by popularity of the same user,
    which holds nothing unwanted: its place among all items, less the unwanted ones before it.
    """
    unwanted = lists.unwanted
    rows = torch.arange(len(lists.items))
    taken = unwanted.rows * unwanted.width + facts.place[unwanted.columns]
    taken = taken.sort().values
    places = facts.place[lists.items]
    first = unwanted.offsets[:-1]
    before = torch.searchsorted(taken, rows[:, None] * unwanted.width + places) - first[:, None]
    places = places - before
    measures = []
    for k in ks:
        is_surprising = lists.hits[:, :k] & (places[:, :k] >= k)
        measures.append(is_surprising.double().sum(1) / k)
    return torch.stack(measures, 1)


def _recall_tail(lists: Lists, facts: ItemFacts, ks: Sequence[int]) -> Tensor:
    targets = lists.targets
    in_tail = facts.in_tail[targets.columns].double()
    wanted = torch.zeros(len(targets), dtype=torch.float64).index_add_(0, targets.rows, in_tail)
    found = (lists.hits & facts.in_tail[lists.items]).double().cumsum(1)
    last = torch.tensor(ks) - 1
    return found[:, last] / wanted[:, None]


BEYOND: dict[str, Callable[[Lists, ItemFacts, Sequence[int]], Tensor]] = {
    "recall_tail": _recall_tail,
    "serendipity": _serendipity,
    "novelty": _novelty,
    "diversity": _diversity,
}
"""The functions that measure lists by what is known of the items, by name. They give each user a
number for each cut, (B, cuts) float64.

- recall_tail: hits in the long tail / targets in the long tail, nan for a user without such a
  target: the recall that recommending the most popular items cannot have (Cremonesi, Koren & Turrin
  2010, "Performance of recommender algorithms on top-n recommendation tasks").
- serendipity: hits that are not in the list of the k most popular items of the same user, / k (Ge,
  Delgado-Battenfeld & Jannach 2010, "Beyond accuracy", section 3.2, where the primitive model is
  popularity).
- novelty: the mean of -log2 (users who have the item / users), in bits (Zhou et al. 2010, "Solving
  the apparent diversity-accuracy dilemma of recommender systems").
- diversity: the mean over pairs of the list of 1 - the cosine of their vectors (Ziegler et al.
  2005, and Castells, Hurley & Vargas 2015, section 26.3.1); 0 where there is no pair.
"""


def measurable(facts: ItemFacts | None) -> tuple[str, ...]:
    """Lists the metrics of `BEYOND` that can be measured by what is known of the items."""
    if facts is None:
        return ()
    names = []
    for name in BEYOND:
        if name != "diversity" or facts.vectors is not None:
            names.append(name)
    return tuple(names)


def gini(counts: Tensor) -> float:
    """Measures how unequally items are recommended: the Gini index of how many lists hold each, 0
    where all are in as many, near 1 where few are in all; 0 where nothing was recommended.

    Args:
        counts: (I,), those of items in no list too.
    """
    total = counts.sum().item()
    if not total:
        return 0.0
    ascending = counts.double().sort().values
    items = len(counts)
    ranks = torch.arange(1, items + 1, dtype=torch.float64)
    weights = 2 * ranks - items - 1
    return (weights @ ascending).item() / (items * total)


def facts_of_items(items: Items, users: int) -> ItemFacts | None:
    """Returns what a catalogue says of its items, of `users` training users; None where it does not
    say how many of them have each.
    """
    if items.popularity is None:
        return None
    vectors = None
    if items.genres is not None:
        vectors = genre_vectors(items.genres)
    if vectors is None:
        return ItemFacts(items.popularity, users)
    return ItemFacts(items.popularity, users, vectors, "genres")


def genre_vectors(genres: Sequence[str | None]) -> np.ndarray | None:
    """Makes vectors of items of the texts of their genres, (I, different genres) float32: 1 for
    each genre of an item; None where no item has one.

    Genres are parted as `genres_of` does.
    """
    lists = [genres_of(text) for text in genres]
    columns: dict[str, int] = {}
    for names in lists:
        for name in names:
            columns.setdefault(name, len(columns))
    if not columns:
        return None
    vectors = np.zeros((len(lists), len(columns)), np.float32)
    for row, names in enumerate(lists):
        for name in names:
            vectors[row, columns[name]] = 1
    return vectors

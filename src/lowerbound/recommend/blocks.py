"""The lists of many users, block after block, so that they are never in memory all at once."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..data import History
from .histories import Histories
from .lists import Recommendations
from .recommender import Recommender

USERS_OF_BLOCK = 2**14
"""The lists of this many users are in memory at a time."""


def recommend_in_blocks(
    recommender: Recommender,
    history: History,
    k: int = 20,
    *,
    users_of_block: int = USERS_OF_BLOCK,
    may_know_nobody: bool = False,
    **options: Any,
) -> Iterator[Recommendations]:
    """Yields what `Recommender.recommend_many` gives, the lists of some users after those of
    others, in the order of the users.

    Each user gets the same list as among all, to the last bit.

    Args:
        recommender: what recommends.
        history: the users.
        k: the length of each list, at most.
        users_of_block: the number of users in each block but the last.
        may_know_nobody: where nothing is known of any user, and neither is what is popular, all
            lists are empty; else that is an error.
        options: further arguments of `recommend_many`, the same for all users.

    Raises:
        DataError: as `recommend_many`, such as where no user has a history.
        ConfigError: as `recommend_many`.
    """
    allows_no_lists = may_know_nobody or _is_anything_known(history, options)
    for start in range(0, max(len(history), 1), users_of_block):
        block = history.take(slice(start, start + users_of_block))
        gets_lists = recommender.knows_popular or _is_anything_known(block, options)
        if (gets_lists and len(block)) or not allows_no_lists:
            yield recommender.recommend_many(block, k, **options)
        else:
            yield no_lists(recommender, block.users)


def _is_anything_known(history: History, options: dict[str, Any]) -> bool:
    """Says whether an item or a feature of any of these users is known."""
    if options.get("given"):
        return len(history) > 0
    known = Histories(history.users, history.matrix, conditions=history.conditions)
    return bool(known.is_known.any())


def no_lists(recommender: Recommender, users: np.ndarray) -> Recommendations:
    """Returns an empty list for each of these users, who may be none."""
    items = np.full((len(users), 1), -1, np.int64)
    scores = np.full((len(users), 1), np.nan, np.float32)
    popular = None
    if recommender.knows_popular:
        popular = np.zeros(len(users), bool)
    return Recommendations(users, items, scores, recommender.catalogue, popular=popular)

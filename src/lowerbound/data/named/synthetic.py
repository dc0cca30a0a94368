"""Interactions from a process that is known: what a model can find in them is there by
construction.

Each of eight tastes is a distribution over the items: most of its weight lies on the items of its
own, by a Zipf law, and a little on all. Each user is a mixture of few tastes (a Dirichlet draw),
and takes 30 to 60 different items from it.
"""

from typing import TYPE_CHECKING

import numpy as np

from ..interactions.logs import RawLog

if TYPE_CHECKING:
    from polars import DataFrame

USERS, ITEMS, TASTES = 2000, 500, 8


CONCENTRATION = 0.15
"""Of the users' mixtures: the smaller, the fewer tastes a user has."""


ELSEWHERE = 0.1
"""Share of a taste that lies on all items alike."""


def mixtures(rng: np.random.Generator) -> np.ndarray:
    """The tastes of each user, (USERS, TASTES), rows of sum 1."""
    return rng.dirichlet(np.full(TASTES, CONCENTRATION), USERS)


def tastes() -> np.ndarray:
    """The items of each taste, (TASTES, ITEMS), rows of sum 1: item i is one of taste i % TASTES,
    of rank i // TASTES.
    """
    zipf = 1 / (1 + np.arange(ITEMS) // TASTES)
    own = np.where(np.arange(ITEMS) % TASTES == np.arange(TASTES)[:, None], zipf, 0.0)
    return (1 - ELSEWHERE) * own / own.sum(1, keepdims=True) + ELSEWHERE / ITEMS


def interactions(seed: int = 0) -> "DataFrame":
    """The log, with the columns user, item and timestamp: users one after the other, what each
    wants most first.
    """
    import polars

    rng = np.random.default_rng(seed)
    chance = mixtures(rng) @ tastes()
    counts = rng.integers(30, 61, USERS)
    # The largest of log p + Gumbel noise are a draw without replacement, the most wanted first.
    order = np.argsort(-(np.log(chance) + rng.gumbel(size=chance.shape)), axis=1)
    taken = order[np.arange(ITEMS) < counts[:, None]]
    users = np.repeat(np.arange(USERS), counts)
    times = rng.integers(0, 1_000_000, len(users))
    return polars.DataFrame({"user": users, "item": taken, "timestamp": times}).select(
        polars.format("user-{}", polars.col("user").cast(polars.String).str.zfill(4)).alias("user"),
        polars.format("item-{}", polars.col("item").cast(polars.String).str.zfill(3)).alias("item"),
        "timestamp",
    )


def titles() -> "DataFrame":
    """What the items are called: their taste, and their rank in it."""
    import polars

    each = range(ITEMS)
    return polars.DataFrame(
        {
            "item": [f"item-{i:03}" for i in each],
            "title": [f"taste-{i % TASTES} item {i // TASTES}" for i in each],
            "genres": [f"taste-{i % TASTES}" for i in each],
        }
    )


def read_synthetic(_: object = None) -> RawLog:
    """The set as a source."""
    return RawLog("synthetic-interactions", {0: interactions().lazy()}, titles())

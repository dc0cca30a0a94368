"""Interactions from a known process: what a model can find in them is there by construction.

Each of eight tastes is a distribution over the items: most of its weight lies on the items of its
own, by a Zipf law, and a little on all. Each user is a mixture of few tastes (a Dirichlet draw),
and takes 30 to 60 different items from it.
"""

from typing import TYPE_CHECKING

import numpy as np

from ..interactions.logs import RawLog

if TYPE_CHECKING:
    from polars import DataFrame

USERS = 2000
"""The set has this many users."""

ITEMS = 500
"""The set has this many items."""

TASTES = 8
"""The set has this many tastes."""

CONCENTRATION = 0.15
"""The users' mixtures have this concentration: the smaller it is, the fewer tastes a user has."""

UNIFORM_SHARE = 0.1
"""This share of a taste lies on all items alike."""


def mixtures(rng: np.random.Generator) -> np.ndarray:
    """Draws the tastes of each user, (USERS, TASTES), rows of sum 1."""
    return rng.dirichlet(np.full(TASTES, CONCENTRATION), USERS)


def tastes() -> np.ndarray:
    """Computes the items of each taste, (TASTES, ITEMS), rows of sum 1.

    Item i belongs to taste i % TASTES, where it has the rank i // TASTES.
    """
    items = np.arange(ITEMS)
    zipf = 1 / (1 + items // TASTES)
    belongs = items % TASTES == np.arange(TASTES)[:, None]
    weights = np.where(belongs, zipf, 0.0)
    totals = weights.sum(1, keepdims=True)
    return (1 - UNIFORM_SHARE) * weights / totals + UNIFORM_SHARE / ITEMS


def interactions(seed: int = 0) -> "DataFrame":
    """Draws the log, with the columns user, item and timestamp.

    Users stand one after the other. The items of each are in the order in which they are drawn.
    """
    import polars

    rng = np.random.default_rng(seed)
    probabilities = mixtures(rng) @ tastes()
    counts = rng.integers(30, 61, USERS)
    # The largest of log p + Gumbel noise are a draw without replacement, in the order of the draw.
    noise = rng.gumbel(size=probabilities.shape)
    order = np.argsort(-(np.log(probabilities) + noise), axis=1)
    items = order[np.arange(ITEMS) < counts[:, None]]
    users = np.repeat(np.arange(USERS), counts)
    times = rng.integers(0, 1_000_000, len(users))
    numbers = polars.DataFrame({"user": users, "item": items, "timestamp": times})
    user_digits = polars.col("user").cast(polars.String).str.zfill(4)
    item_digits = polars.col("item").cast(polars.String).str.zfill(3)
    return numbers.select(
        polars.format("user-{}", user_digits).alias("user"),
        polars.format("item-{}", item_digits).alias("item"),
        "timestamp",
    )


def titles() -> "DataFrame":
    """Names the items by their taste, and their rank in it."""
    import polars

    ids = []
    names = []
    genres = []
    for item in range(ITEMS):
        taste = f"taste-{item % TASTES}"
        ids.append(f"item-{item:03}")
        names.append(f"{taste} item {item // TASTES}")
        genres.append(taste)
    return polars.DataFrame({"item": ids, "title": names, "genres": genres})


def read_synthetic(_: object = None) -> RawLog:
    """Makes the set as a source."""
    return RawLog("synthetic-interactions", {0: interactions().lazy()}, titles())

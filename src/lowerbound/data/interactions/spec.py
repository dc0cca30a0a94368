"""The [data.interactions] table of a recipe."""

from typing import Annotated, Literal

from pydantic import Field

from ...specs.checked import checked
from ...specs.registry import table
from .logs import Columns

KIND = "interactions"
"""The kind of a `Schema` of interactions."""


TIMED_SPLITS = ("leave-one-out", "temporal")
"""The splits that need times."""


@checked
class Interactions:
    """The [data.interactions] table of a recipe: which columns to read, what to keep, and what to
    hold out.

    Attributes:
        user: the column of users; in place of "user" also user_id, userId or uid.
        item: the column of items; in place of "item" also item_id, itemId, movie_id or movieId.
        rating: the column of ratings or weights; None: rating or weight, if there is one.
        timestamp: the column of times, numbers or dates; None: timestamp, if there is one.
        threshold: interactions with a rating below it are dropped.
        binary: every kept interaction counts 1 (a rating of 0 too); else its rating is its weight
            (and 0 is nothing), and a source without ratings has its repetitions counted.
        min_user_items: users with fewer items are dropped, after the items were.
        min_item_users: items with fewer users are dropped, in one pass before the users (Liang et
            al. 2018).
        split: what `validation` and `test` hold out: "given" takes the source's own files, "strong"
            users (the model sees a `fold_in` of each), "random", "leave-one-out" and "temporal"
            interactions of all users; "auto" is "given" for a source with its own files, else
            "strong". See `holdout`.
        fold_in: the fraction of a held-out user's interactions that the model sees, in "strong".
        items: path of a file with the items' ids, title and perhaps genres.
    """

    user: Annotated[str, Field(min_length=1)] = "user"
    item: Annotated[str, Field(min_length=1)] = "item"
    rating: str | None = None
    timestamp: str | None = None
    threshold: float | None = None
    binary: bool = True
    min_user_items: Annotated[int, Field(ge=1)] = 1
    min_item_users: Annotated[int, Field(ge=1)] = 1
    split: Literal["auto", "given", "strong", "random", "leave-one-out", "temporal"] = "auto"
    fold_in: Annotated[float, Field(gt=0, lt=1)] = 0.8
    items: str | None = None

    @property
    def columns(self) -> Columns:
        """The columns to read; times only where the split needs them."""
        timed = self.split in TIMED_SPLITS
        return Columns(self.user, self.item, self.rating, self.timestamp, timed)


InteractionsTable = Annotated[Interactions | None, table(Interactions)]
"""The type of `Data.interactions`: the table of a recipe, its keys checked by name."""

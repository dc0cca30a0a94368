"""The [data.interactions] table of a recipe."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ...specs.checked import checked
from ...specs.registry import table
from ..files.dates import DAY_FIRST, MONTH_FIRST
from .columns import Columns

KIND = "interactions"
"""The kind of a `Schema` of interactions."""


TIMED_SPLITS = ("leave-one-out", "temporal")
"""The splits that need times."""


@checked
class Interactions:
    """The [data.interactions] table of a recipe: which columns to read, what to keep, and what to
    hold out.

    Attributes:
        user: the column of users; in place of "user" also one of the usual names, such as User-ID
            or customer_id (see `columns`). The columns of a file without a header are "1", "2" ...
        item: the column of items; in place of "item" also one of the usual names, such as movieId,
            ISBN or sku.
        rating: the column of ratings or weights; None: rating, stars, plays or another usual name,
            if there is one.
        timestamp: the column of times, numbers or dates; None: timestamp, date or another usual
            name, if there is one. The splits by time need one.
        time_format: how times are written: "day-first", "month-first", or a format of strftime such
            as "%m/%d/%Y"; None: found from the times (see `times`).
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
        users: path of a file with a row for each user: the id, and features that `data.given`
            names as what the model is conditioned on.
        keep_split: the run keeps its users, their interactions and the parts of these in `split/`,
            so that it is measured again on the same whatever becomes of the log. They never travel
            to a hub. If false, every command reads the log again.
    """

    user: Annotated[str, Field(min_length=1)] = "user"
    item: Annotated[str, Field(min_length=1)] = "item"
    rating: str | None = None
    timestamp: str | None = None
    time_format: str | None = None
    threshold: float | None = None
    binary: bool = True
    min_user_items: Annotated[int, Field(ge=1)] = 1
    min_item_users: Annotated[int, Field(ge=1)] = 1
    split: Literal["auto", "given", "strong", "random", "leave-one-out", "temporal"] = "auto"
    fold_in: Annotated[float, Field(gt=0, lt=1)] = 0.8
    items: str | None = None
    users: str | None = None
    keep_split: bool = True

    @field_validator("user", "item", "rating", "timestamp", mode="before")
    @classmethod
    def _read_place(cls, column: Any) -> Any:
        """Makes a name of a number: a column without one is named by its place."""
        if isinstance(column, int) and not isinstance(column, bool):
            return str(column)
        return column

    @field_validator("time_format")
    @classmethod
    def _check_time_format(cls, form: str | None) -> str | None:
        if form is not None and form not in (DAY_FIRST, MONTH_FIRST) and "%" not in form:
            raise ValueError(
                f"{form!r} is no form of times; allowed: {DAY_FIRST}, {MONTH_FIRST}, or a format "
                "such as '%m/%d/%Y'"
            )
        return form

    @property
    def columns(self) -> Columns:
        """The columns to read; times only where the split needs them."""
        timed = self.split in TIMED_SPLITS
        return Columns(self.user, self.item, self.rating, self.timestamp, timed, self.time_format)


InteractionsTable = Annotated[Interactions | None, table(Interactions)]
"""The type of `Data.interactions`: the table of a recipe, its keys checked by name."""

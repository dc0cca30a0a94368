"""The [data.interactions] table of a recipe."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ...errors import one_line
from ...specs.checked import checked
from ...specs.registry import table
from ..files.dates import DAY_FIRST, MONTH_FIRST
from .columns import Columns, TimeFormat

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
            as "%m/%d/%Y", or several formats, of which the first that fits a time counts; None:
            found from the times (see `times`).
        event: the column of kinds of events; None: event, event_type, action, behavior or another
            usual name. It is read only if `events` weighs them.
        events: the weight of each kind of event that counts, such as {view=1, addtocart=3}; others
            are dropped. It takes the place of a rating. None: all rows count alike.
        threshold: interactions with a rating below it are dropped.
        binary: every kept interaction counts 1 (a rating of 0 too); else its rating is its weight
            (and 0 is nothing), and a source without ratings has its repetitions counted. Events
            whose weights are not all 1 keep these.
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
    time_format: str | list[str] | None = None
    event: str | None = None
    events: dict[str, Annotated[float, Field(gt=0)]] | None = None
    threshold: float | None = None
    binary: bool = True
    min_user_items: Annotated[int, Field(ge=1)] = 1
    min_item_users: Annotated[int, Field(ge=1)] = 1
    split: Literal["auto", "given", "strong", "random", "leave-one-out", "temporal"] = "auto"
    fold_in: Annotated[float, Field(gt=0, lt=1)] = 0.8
    items: str | None = None
    users: str | None = None
    keep_split: bool = True

    @field_validator("user", "item", "rating", "timestamp", "event", mode="before")
    @classmethod
    def _read_place(cls, column: Any) -> Any:
        """Makes a name of a number: a column without one is named by its place."""
        if isinstance(column, int) and not isinstance(column, bool):
            return str(column)
        return column

    @field_validator("time_format")
    @classmethod
    def _check_time_format(cls, form: str | list[str] | None) -> str | list[str] | None:
        if isinstance(form, list):
            unfit = [one for one in form if "%" not in one]
            if unfit or not form:
                raise ValueError(
                    f"{one_line(form, 80)} are no forms of times; allowed: formats such as "
                    "['%m/%d/%Y %H:%M', '%m/%d/%Y']"
                )
        elif form is not None and form not in (DAY_FIRST, MONTH_FIRST) and "%" not in form:
            raise ValueError(
                f"{form!r} is no form of times; allowed: {DAY_FIRST}, {MONTH_FIRST}, or a format "
                "such as '%m/%d/%Y'"
            )
        return form

    @model_validator(mode="after")
    def _check_events(self) -> "Interactions":
        """Refuses keys of events that contradict others."""
        if self.event is not None and self.events is None:
            raise ValueError(
                f"event={self.event!r} names the column of kinds of events, and events none that "
                "count; allowed: such as events = { view = 1, purchase = 5 }"
            )
        if self.events is not None and not self.events:
            raise ValueError("events names no kind; allowed: such as { view = 1, purchase = 5 }")
        if self.events is not None and self.rating is not None:
            raise ValueError(
                f"events weighs the interactions, and so does rating={self.rating!r}; allowed: one "
                "of the two"
            )
        return self

    @property
    def is_binary(self) -> bool:
        """Whether every kept interaction counts 1."""
        return self.binary and set((self.events or {}).values()) <= {1.0}

    @property
    def columns(self) -> Columns:
        """The columns to read; times only where the split needs them."""
        timed = self.split in TIMED_SPLITS
        needed = {}
        if self.threshold is not None:
            needed["rating"] = f"data.interactions.threshold={self.threshold:g}"
        if self.events is not None:
            needed["event"] = "data.interactions.events"
        if timed:
            needed["timestamp"] = f"data.interactions.split={self.split}"
        time_format: TimeFormat = None
        if isinstance(self.time_format, str):
            time_format = self.time_format
        elif self.time_format is not None:
            time_format = tuple(self.time_format)
        return Columns(
            self.user,
            self.item,
            self.rating,
            self.timestamp,
            timed,
            time_format,
            event=self.event,
            events=self.events,
            needed=needed,
        )


InteractionsTable = Annotated[Interactions | None, table(Interactions)]
"""The type of `Data.interactions`: the table of a recipe, its keys checked by name."""

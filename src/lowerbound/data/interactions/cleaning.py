"""From a source of interactions to a clean log of (user, item) pairs.

The rules of cleaning, in this order; each counts what it drops:

1. a row without a user or an item is dropped (`ids` says when two ids are one);
2. a row whose kind of event does not count, or whose rating is below the threshold, is dropped;
3. rows of one user with one item become one, at the earliest of their times; its weight is the sum
   of theirs. Where a source brings its own parts, a pair belongs to the first part that has it
   (train, valid, test);
4. items with too few users are dropped, and after them the users with too few of the items left:
   one pass, as `filter_triplets` of Liang et al. (2018) does, so that an item may have fewer users
   in the end.

What comes of it depends on the rows, and not on their order.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, one_line
from ..files.dialect import MISSING
from .columns import Columns
from .events import weigh_events
from .forms import guarded
from .logs import RawLog, join_parts
from .packing import HALF, Pairs, Rows, count, halves, merge, read_rows, spans
from .times import times_as_numbers

if TYPE_CHECKING:
    from polars import Expr, LazyFrame

LONGEST_TEXT = 2**10
"""The text of an id or of a time may have this many bytes."""


@dataclass(frozen=True, eq=False)
class Log:
    """Clean interactions, ascending by user and then by item, each pair of both once.

    Interaction k is that of user `users[user[k]]` with item `items[item[k]]`.

    Attributes:
        name: the source as it appears in messages.
        users: (U,) ids, ascending.
        items: (I,) ids, ascending.
        user: (n,) int32.
        item: (n,) int32.
        weight: (n,) float32, or None where every interaction counts 1.
        time: (n,), or None where there are no timestamps or nobody asked for them.
        since: what the times are counted from, in their own unit.
        part: (n,), where the source brings its own parts: 0 train, 1 valid, 2 test. Else None.
        order: (n,) the positions of the interactions in the order in which draws see them; None
            where they see them as they stand.
        facts: counts of what was read and dropped.
        notes: sentences on how the source was read.
    """

    name: str
    users: np.ndarray
    items: np.ndarray
    user: np.ndarray
    item: np.ndarray
    weight: np.ndarray | None = None
    time: np.ndarray | None = None
    part: np.ndarray | None = None
    order: np.ndarray | None = None
    since: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of interactions, n."""
        return len(self.user)

    def count_by_user(self, mask: np.ndarray) -> np.ndarray:
        """Counts the interactions of each user in a mask (n,), (U,) int64."""
        return count(self.user, len(self.users), mask)

    def count_by_item(self, mask: np.ndarray) -> np.ndarray:
        """Counts the interactions of each item in a mask (n,), (I,) int64."""
        return count(self.item, len(self.items), mask)

    def select(self, mask: np.ndarray) -> "Log":
        """Selects the interactions of a mask (n,); all users and items stay."""
        order = self.order
        if order is not None:
            new_positions = np.cumsum(mask) - 1
            order = new_positions[order[mask[order]]]
        return replace(self._take(mask), order=order)

    def _take(self, rows: np.ndarray) -> "Log":
        """Takes interactions by a mask (n,) or by their positions, and forgets the order of draws.

        All users and items stay.
        """
        time = self.time
        if time is not None:
            time = time[rows]
        part = self.part
        if part is not None:
            part = part[rows]
        weight = self.weight
        if weight is not None:
            weight = weight[rows]
        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            weight=weight,
            time=time,
            part=part,
            order=None,
        )

    def sorted(self) -> "Log":
        """Returns the same log ascending by user and item, after its items got other numbers.

        Draws see it in this order.
        """
        order = np.lexsort((self.item, self.user))
        return self._take(order)

    def keep(self, mask: np.ndarray) -> "Log":
        """Keeps the interactions where `mask`, and the users and items that still have any.

        Raises:
            DataError: nothing is left.
        """
        if not mask.any():
            raise DataError(
                f"{self.name} holds no interactions that are kept: {describe_counts(self.facts)}"
            )
        kept = self.select(mask)
        has_user = count(kept.user, len(self.users)) > 0
        has_item = count(kept.item, len(self.items)) > 0
        return replace(
            kept,
            users=self.users[has_user],
            items=self.items[has_item],
            user=_renumber(has_user)[kept.user],
            item=_renumber(has_item)[kept.item],
        )


def _renumber(is_kept: np.ndarray) -> np.ndarray:
    """Returns for each position its position among those that are kept, (n,) int32."""
    return np.cumsum(is_kept, dtype=np.int32) - np.int32(1)


def describe_counts(facts: dict[str, Any]) -> str:
    """Describes the counts among facts that are not 0, for a message."""
    counts = []
    for name, number in facts.items():
        if isinstance(number, int) and number:
            counts.append(f"{number:,} {name.replace('_', ' ')}")
    return ", ".join(counts)


def _refuse_types(frame: "LazyFrame", schema: Any, name: str) -> None:
    """DataError for ids and times that are lists, bytes or the like, and for ratings that are not
    numbers.
    """
    import polars

    for column, plural in (("user", "users"), ("item", "items"), ("time", "timestamps")):
        dtype = schema.get(column, polars.Int64())
        if dtype.is_nested() or dtype.is_object() or dtype == polars.Binary:
            raise DataError(
                f"{name}: the {plural} are of type {dtype}; allowed: numbers, texts, dates"
            )
    rating = schema.get("rating")
    if rating == polars.String:
        raise DataError(
            f"{name} has ratings that are no numbers, such as {_first_word(frame)}; allowed: plain "
            "numbers; data.interactions.rating names another column, and data.missing words for a "
            "missing value"
        )
    if rating is not None and not rating.is_numeric():
        raise DataError(f"{name}: the ratings are of type {rating}; allowed: numbers")


def _first_word(frame: "LazyFrame") -> str:
    """Shows the first rating of a column of texts that is no number."""
    import polars
    from polars import col

    is_word = (
        col("rating").is_not_null() & col("rating").cast(polars.Float64, strict=False).is_null()
    )
    words = frame.select("rating").filter(is_word).head(1).collect()["rating"]
    return one_line(", ".join(map(repr, words)), 60)


def _refuse_long_texts(frame: "LazyFrame", schema: Any, name: str) -> None:
    """DataError for ids and times beyond `LONGEST_TEXT`.

    A file may store a text once, and yet it is looked at in every row that has it.
    """
    import polars
    from polars import col

    texts = []
    categories = []
    for column in ("user", "item", "time"):
        dtype = schema.get(column)
        if dtype == polars.String:
            texts.append(col(column).str.len_bytes().max())
        elif dtype in (polars.Categorical, polars.Enum):
            categories.append(col(column).cat.len_bytes().max())
    sizes = frame.select(*texts, *categories).collect(engine="streaming")
    if not sizes.width:
        return
    for column, size in sizes.row(0, named=True).items():
        if size is not None and size > LONGEST_TEXT:
            raise DataError(f"{name} has a {column} of {size} bytes; allowed: {LONGEST_TEXT}")


def _mark_missing_ids(frame: "LazyFrame", schema: Any) -> "LazyFrame":
    """Makes missing ids of NaN and of blank texts."""
    import polars
    from polars import col

    for column in ("user", "item"):
        if schema[column].is_float():
            frame = frame.with_columns(col(column).fill_nan(None))
        if schema[column] == polars.String:
            is_blank = col(column).str.strip_chars() == ""
            marked = polars.when(is_blank).then(None).otherwise(col(column))
            frame = frame.with_columns(marked.alias(column))
    return frame


def _note_words(rows: Rows) -> tuple[str, ...]:
    """Notes how many rows have an id that is a word for a missing value, and is kept as an id."""
    notes: tuple[str, ...] = ()
    for ids, positions_of, plural in (
        (rows.users, rows.user, "users"),
        (rows.items, rows.item, "items"),
    ):
        words: list[str] = []
        if ids.dtype == object:
            words = sorted(set(ids.tolist()) & set(MISSING))
        if words:
            places = [int(np.flatnonzero(ids == word)[0]) for word in words]
            named = int(np.isin(positions_of(), places).sum())
            shown = ", ".join(map(repr, words))
            note = (
                f"rows of {plural} called {shown}, which count as any other id: {named:,}; where "
                f"they are missing ones drop these rows, in a text by data.missing=[{shown}]"
            )
            notes += (note,)
    return notes


def _collect_rows(
    frame: "LazyFrame",
    threshold: float | None,
    name: str,
    *,
    are_events: bool,
    needs_rating: bool,
    needs_part: bool,
) -> tuple[Rows, dict[str, int]]:
    """Collects the rows with ids and with a rating of at least the threshold, and the counts.

    Without ratings every rating is 1. The rating of an event is null where its kind does not count.

    Args:
        frame: all rows.
        threshold: see `clean`.
        name: the source as it appears in messages.
        are_events: whether the ratings are those of kinds of events.
        needs_rating: whether the ratings are weights.
        needs_part: whether the source brings parts.

    Raises:
        DataError: a rating that is kept is negative, or one is missing, NaN or infinite, or no row
            is left.
    """
    import polars
    from polars import col

    schema = frame.collect_schema()
    rating = polars.lit(1.0)
    if "rating" in schema:
        rating = col("rating").cast(polars.Float64)
    rated = frame.with_columns(rating.alias("rating"))
    has_ids = col("user").is_not_null() & col("item").is_not_null()
    present = has_ids
    if are_events:
        present = has_ids & col("rating").is_not_null()
    valid, low = judge_ratings(threshold)
    masks = {
        "missing_ids": ~has_ids,
        "bad": present & ~valid,
        "below_threshold": present & valid & low,
        "other_events": has_ids & ~present,
    }
    sums = [polars.len().alias("read")]
    for key, mask in masks.items():
        number = mask.cast(polars.Int64).sum()
        sums.append(number.alias(key))
    found = rated.select(sums + spans(schema)).collect(engine="streaming").row(0, named=True)
    if found["bad"]:
        raise DataError(
            f"{name} has {found['bad']} ratings that are missing, negative, NaN or infinite; "
            "allowed: 0 and above, and below it what data.interactions.threshold drops"
        )
    facts = {key: int(found[key]) for key in ("read", "missing_ids", "below_threshold")}
    if are_events:
        facts["other_events"] = int(found["other_events"])
    dropped_rows = sum(facts.values()) - facts["read"]
    kept_rows = facts["read"] - dropped_rows
    if not kept_rows:
        counts = describe_counts(facts) or "it is empty"
        raise DataError(f"{name} holds no interactions that are kept: {counts}")
    columns = [col("user"), col("item")]
    if needs_rating:
        columns.append(col("rating"))
    if "time" in schema:
        columns.append(col("time"))
    if needs_part:
        columns.append(col("part"))
    kept = rated
    if dropped_rows:
        kept = rated.filter(present & ~low)
    return read_rows(kept.select(columns), kept_rows, found), facts


def rate_rows(
    frame: "LazyFrame", threshold: float | None, columns: Columns, name: str
) -> "tuple[LazyFrame, float | None, tuple[str, ...]]":
    """Puts a rating in the place of a kind of event, null where it does not count.

    Data that a run reads later may lack what its own rows were chosen by: all their rows count.

    Returns:
        The interactions, the threshold that their ratings must reach, and sentences on both.

    Raises:
        DataError: none of the kinds of events is there.
    """
    notes: tuple[str, ...] = ()
    if columns.events is not None and has_events(frame, columns):
        frame, notes = weigh_events(frame, columns.events, name, columns.of_run)
        return frame, threshold, notes
    if not columns.of_run or "rating" in frame.collect_schema():
        return frame, threshold, notes
    if columns.events is not None:
        notes = (f"{name} has no column of kinds of events, so all its rows count alike",)
    elif threshold is not None:
        notes = (
            f"{name} has no ratings, so all its rows count as those of {threshold:g} and above",
        )
    return frame, None, notes


def has_events(frame: "LazyFrame", columns: Columns) -> bool:
    """Says whether the rows of a log have kinds of events, which are to be weighed."""
    return columns.events is not None and "event" in frame.collect_schema()


def judge_ratings(threshold: float | None) -> "tuple[Expr, Expr]":
    """Says of the column rating which are numbers that a log may have, and which are too low.

    A rating below 0 is one only where the threshold drops it.
    """
    import polars

    rating = polars.col("rating").cast(polars.Float64)
    low = polars.lit(False)
    if threshold is not None:
        low = ((rating < threshold) & rating.is_finite()).fill_null(False)
    valid = (rating.is_finite() & ((rating >= 0) | low)).fill_null(False)
    return valid, low


def _order_of(pairs: Pairs) -> np.ndarray | None:
    """Returns the order in which draws see the pairs: that of their first rows, or of parts, users
    and items; None where the last is that in which they stand.
    """
    if pairs.first is not None:
        return np.argsort(pairs.first)
    if pairs.part is not None:
        return np.argsort(pairs.part, kind="stable")
    return None


def _read_times(rows: Rows, columns: Columns, name: str) -> tuple[int, tuple[str, ...]]:
    """Reads the times of rows as numbers, in place of those of the source.

    Whole numbers that lie close together take half of the memory, counted from the earliest.

    Returns:
        What they are counted from, and sentences on how they were read.
    """
    times = rows.times
    rows.times = None
    if times is None:
        return 0, ()
    read = partial(times_as_numbers, times, name, columns.time_format)
    time, notes = guarded(name, read)
    rows.time = time
    if time.dtype != np.int64 or int(time.max()) - int(time.min()) >= 2**32:
        return 0, notes
    since = int(time.min())
    rows.time = np.empty(len(time), np.uint32)
    np.subtract(time, since, out=rows.time, casting="unsafe")
    return since, notes


def _float32_weights(log: Log) -> np.ndarray:
    """Returns the weights as the model sees them, (n,) float32. DataError for weights beyond it."""
    assert log.weight is not None
    largest = float(np.finfo(np.float32).max)
    beyond = int((log.weight > largest).sum())
    if beyond:
        raise DataError(
            f"{log.name} has {beyond} ratings, or sums of those of a user for an item, beyond "
            f"float32, such as {log.weight.max():g}; allowed: up to {largest:.3g}"
        )
    return log.weight.astype(np.float32)


def _drop_rare(log: Log, min_user_items: int, min_item_users: int) -> Log:
    """Drops rare items and then rare users, by rule 4."""
    item_users = count(log.item, len(log.items))
    is_popular = item_users >= min_item_users
    kept = is_popular[log.item]
    is_active = log.count_by_user(kept) >= min_user_items
    log.facts["rare_items"] = int((~is_popular).sum())
    log.facts["rare_users"] = int((~is_active).sum())
    if is_popular.all() and is_active.all():
        return log
    return log.keep(kept & is_active[log.user])


def clean(
    source: RawLog,
    columns: Columns,
    threshold: float | None = None,
    binary: bool = True,
    min_user_items: int = 1,
    min_item_users: int = 1,
) -> Log:
    """Cleans the log of a source by the rules above.

    With `binary` every weight is 1; else an interaction of weight 0 is dropped too.

    Raises:
        DataError: a column is missing or of the wrong type, a rating is bad, or nothing is left.
    """
    name = source.name
    frame, notes = guarded(name, lambda: join_parts(source, columns))
    schema = guarded(name, frame.collect_schema)
    guarded(name, lambda: _refuse_types(frame, schema, name))
    are_events = has_events(frame, columns)
    rate = partial(rate_rows, frame, threshold, columns, name)
    frame, threshold, how_rated = guarded(name, rate)
    schema = guarded(name, frame.collect_schema)
    notes += how_rated
    if threshold is not None and "rating" not in schema:
        raise DataError(
            f"{name} has no ratings for the threshold {threshold:g}; name their column by "
            "data.interactions.rating"
        )
    guarded(name, lambda: _refuse_long_texts(frame, schema, name))
    marked = _mark_missing_ids(frame, schema)
    has_parts = len(source.parts) > 1
    rows, facts = guarded(
        name,
        lambda: _collect_rows(
            marked,
            threshold,
            name,
            are_events=are_events,
            needs_rating=not binary,
            needs_part=has_parts,
        ),
    )
    notes += _note_words(rows)
    since, how_times = _read_times(rows, columns, name)
    notes += how_times
    pairs = merge(rows, source.keeps_order)
    facts["duplicates"] = pairs.duplicates
    log = Log(
        name,
        rows.users,
        rows.items,
        halves(pairs.keys, HALF),
        halves(pairs.keys, 0),
        pairs.weight,
        pairs.time,
        pairs.part,
        _order_of(pairs),
        since,
        facts=facts,
        notes=source.notes + notes,
    )
    del rows, pairs  # the memory is needed
    if not binary:
        weights = _float32_weights(log)
        log = replace(log, weight=weights)
        is_zero = weights == 0
        if is_zero.any():
            facts["zero_weights"] = int(is_zero.sum())
            log = log.keep(~is_zero)
    return _drop_rare(log, min_user_items, min_item_users)

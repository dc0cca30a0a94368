"""From a source of interactions to a clean log of (user, item) pairs.

The rules of cleaning, in this order; each counts what it drops:

1. a row without a user or an item is dropped;
2. a row whose rating is below the threshold is dropped;
3. rows of one user with one item become one, at the place of the first and at the earliest of their
   times; its weight is the sum of theirs. Where a source brings its own parts, a pair belongs to
   the first part that has it (train, valid, test);
4. items with too few users are dropped, and after them the users with too few of the items left:
   one pass, as `filter_triplets` of Liang et al. (2018) does, so that an item may have fewer users
   in the end.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, one_line
from .logs import Columns, RawLog, guarded, joined

if TYPE_CHECKING:
    from polars import DataFrame, LazyFrame, Series

LONGEST = 2**10
"""Most bytes of the text of an id or of a time."""


@dataclass(frozen=True, eq=False)
class Log:
    """Clean interactions in the order of the source: user `users[user[k]]` with item
    `items[item[k]]`, each pair once.

    Attributes:
        name: the source as it appears in messages.
        users: (U,) ids, ascending.
        items: (I,) ids, ascending.
        user: (n,) int64.
        item: (n,) int64.
        weight: (n,) float64.
        time: (n,), or None where there are no timestamps or nobody asked for them.
        part: (n,) of PARTS, where the source brings its own, else None.
        facts: what was read and dropped, in counts.
    """

    name: str
    users: np.ndarray
    items: np.ndarray
    user: np.ndarray
    item: np.ndarray
    weight: np.ndarray
    time: np.ndarray | None = None
    part: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """n."""
        return len(self.user)

    def keep(self, mask: np.ndarray) -> "Log":
        """The interactions where `mask`, and the users and items that still have any. DataError if
        nothing is left.
        """
        if not mask.any():
            raise DataError(
                f"{self.name} holds no interactions that are kept: {spoken(self.facts)}"
            )
        users, user = np.unique(self.user[mask], return_inverse=True)
        items, item = np.unique(self.item[mask], return_inverse=True)
        time, part = (None if a is None else a[mask] for a in (self.time, self.part))
        ids = {"users": self.users[users], "items": self.items[items]}
        return replace(
            self, **ids, user=user, item=item, weight=self.weight[mask], time=time, part=part
        )


def spoken(facts: dict[str, Any]) -> str:
    """The counts among facts that are not 0, in words."""
    counts = ((name, n) for name, n in facts.items() if isinstance(n, int) and n)
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts)


def _refuse_types(schema: Any, name: str) -> None:
    """DataError for ids and times that are lists, bytes or the like, and for ratings that are not
    numbers.
    """
    import polars

    for column, called in (("user", "users"), ("item", "items"), ("time", "timestamps")):
        kind = schema.get(column, polars.Int64())
        if kind.is_nested() or kind.is_object() or kind == polars.Binary:
            raise DataError(
                f"{name}: the {called} are of type {kind}; allowed: numbers, texts, dates"
            )
    rating = schema.get("rating")
    if rating is not None and not rating.is_numeric():
        raise DataError(f"{name}: the ratings are of type {rating}; allowed: numbers")


def _refuse_long(frame: "LazyFrame", schema: Any, name: str) -> None:
    """DataError for ids and times of any length: one that is there once in a file is looked at in
    every row that has it.
    """
    import polars
    from polars import col

    kinds = {column: schema[column] for column in ("user", "item", "time") if column in schema}
    sizes = {c: col(c).str.len_bytes() for c, kind in kinds.items() if kind == polars.String}
    sizes |= {
        c: col(c).cat.len_bytes()
        for c, kind in kinds.items()
        if kind in (polars.Categorical, polars.Enum)
    }
    found = frame.select(size.max().alias(c) for c, size in sizes.items()).collect(
        engine="streaming"
    )
    for column, longest in found.row(0, named=True).items() if sizes else ():
        if longest is not None and longest > LONGEST:
            raise DataError(f"{name} has a {column} of {longest} bytes; allowed: {LONGEST}")


def _ids(frame: "LazyFrame", schema: Any) -> "LazyFrame":
    """NaN as a missing id; categories as texts."""
    import polars

    for column in ("user", "item"):
        if schema[column].is_float():
            frame = frame.with_columns(polars.col(column).fill_nan(None))
        if schema[column] in (polars.Categorical, polars.Enum):
            frame = frame.with_columns(polars.col(column).cast(polars.String))
    return frame


def _collected(
    frame: "LazyFrame", threshold: float | None, name: str
) -> "tuple[DataFrame, dict[str, int]]":
    """The rows with ids and with a rating of at least the threshold, and the counts. DataError for
    bad ratings.
    """
    import polars
    from polars import col

    rated = "rating" in frame.collect_schema().names()
    present = col("user").is_not_null() & col("item").is_not_null()
    rating = col("rating").cast(polars.Float64) if rated else polars.lit(1.0)
    good = (rating.is_finite() & (rating >= 0)).fill_null(False)
    low = rating < threshold if threshold is not None else polars.lit(False)
    sums = {
        "missing_ids": ~present,
        "bad": present & ~good,
        "below_threshold": present & good & low,
    }
    counts = frame.select(
        polars.len().alias("read"), *(s.cast(polars.Int64).sum().alias(k) for k, s in sums.items())
    )
    found = counts.collect(engine="streaming").row(0, named=True)
    if found["bad"]:
        raise DataError(
            f"{name} has {found['bad']} ratings that are missing, negative, NaN or infinite; "
            "allowed: 0 and above"
        )
    kept = (
        frame.with_columns(rating.alias("rating"))
        .filter(present & ~low)
        .collect(engine="streaming")
    )
    return kept, {key: int(found[key]) for key in ("read", "missing_ids", "below_threshold")}


def _codes(column: "Series") -> tuple[np.ndarray, np.ndarray]:
    """The distinct ids, ascending, and the position of each entry's among them. Numbers too long
    for NumPy become texts.
    """
    import polars

    if column.dtype in (polars.Int128, polars.UInt128):
        short = column.cast(polars.Int64, strict=False)
        column = column.cast(polars.String) if short.null_count() else short
    ids = column.unique().sort()
    codes = column.replace_strict(
        ids, polars.int_range(len(ids), eager=True), return_dtype=polars.Int64
    )
    return ids.to_numpy(), codes.to_numpy()


def _times(column: "Series", name: str) -> np.ndarray:
    """Times as numbers: numbers as they are, dates and texts that are dates in microseconds.
    DataError for others.
    """
    import polars
    from polars.exceptions import PolarsError

    missing = (
        len(column) - int(column.is_finite().sum())
        if column.dtype.is_float()
        else column.null_count()
    )
    if missing:
        raise DataError(
            f"{name} has {missing} interactions without a timestamp; give each one, or another "
            "split"
        )
    if column.dtype.is_numeric():
        return column.to_numpy()
    try:
        dates = column.str.to_datetime(time_zone="UTC") if column.dtype == polars.String else column
        return dates.cast(polars.Datetime("us")).cast(polars.Int64).to_numpy()
    except PolarsError:
        first = one_line(repr(column[0]), 60)
        raise DataError(
            f"{name}: timestamps such as {first} are neither numbers nor dates, not all of them"
        ) from None


def _once(log: Log) -> Log:
    """Each pair of user and item once, by rule 3."""
    key = log.user * len(log.items) + log.item
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    log.facts["duplicates"] = len(log) - len(first)
    if len(first) == len(log):
        return log
    own = np.ones(len(log), bool) if log.part is None else log.part == log.part[first][inverse]
    weight, order, time = np.bincount(inverse, log.weight * own), np.argsort(first), log.time
    if time is not None:
        earliest = time[first]
        np.minimum.at(earliest, inverse[own], time[own])
        time = earliest[order]
    first, part = first[order], log.part
    part = None if part is None else part[first]
    return replace(
        log, user=log.user[first], item=log.item[first], weight=weight[order], time=time, part=part
    )


def _single(log: Log) -> np.ndarray:
    """The weights as the model sees them, (n,) float32. DataError for some beyond that."""
    most = float(np.finfo(np.float32).max)
    if beyond := int((log.weight > most).sum()):
        what = "ratings, or sums of those of a user for an item,"
        raise DataError(
            f"{log.name} has {beyond} {what} beyond float32, such as {log.weight.max():g}; "
            f"allowed: up to {most:.3g}"
        )
    return log.weight.astype(np.float32)


def _common(log: Log, min_user_items: int, min_item_users: int) -> Log:
    """Without rare items and then rare users, by rule 4."""
    popular = np.bincount(log.item, minlength=len(log.items)) >= min_item_users
    kept = popular[log.item]
    active = np.bincount(log.user[kept], minlength=len(log.users)) >= min_user_items
    log.facts.update(rare_items=int((~popular).sum()), rare_users=int((~active).sum()))
    return log if popular.all() and active.all() else log.keep(kept & active[log.user])


def clean(
    tables: RawLog,
    wanted: Columns,
    threshold: float | None = None,
    binary: bool = True,
    min_user_items: int = 1,
    min_item_users: int = 1,
) -> Log:
    """The clean log of a source, by the rules above. With `binary` every weight is 1; else a weight
    of 0 is dropped too.

    Raises:
        DataError: a column is missing or of the wrong type, a rating is bad, or nothing is left.
    """
    name = tables.name
    frame = guarded(name, lambda: joined(tables, wanted))
    schema = guarded(name, frame.collect_schema)
    _refuse_types(schema, name)
    if threshold is not None and "rating" not in schema:
        raise DataError(
            f"{name} has no ratings for the threshold {threshold:g}; name their column by rating"
        )
    guarded(name, lambda: _refuse_long(frame, schema, name))
    rows, facts = guarded(name, lambda: _collected(_ids(frame, schema), threshold, name))
    if not len(rows):
        raise DataError(
            f"{name} holds no interactions that are kept: {spoken(facts) or 'it is empty'}"
        )
    (users, user), (items, item) = guarded(
        name, lambda: (_codes(rows["user"]), _codes(rows["item"]))
    )
    time = guarded(name, lambda: _times(rows["time"], name)) if "time" in rows.columns else None
    part = rows["part"].to_numpy() if len(tables.parts) > 1 else None
    weight = np.ones(len(rows)) if binary else rows["rating"].to_numpy()
    log = _once(Log(name, users, items, user, item, weight, time, part, facts))
    if binary:
        log = replace(log, weight=np.ones(len(log)))
    elif (nothing := _single(log) == 0).any():
        facts["zero_weights"] = int(nothing.sum())
        log = log.keep(~nothing)
    return _common(log, min_user_items, min_item_users)

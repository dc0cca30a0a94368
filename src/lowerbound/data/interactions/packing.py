"""The rows of a log as numbers of 64 bits: the user in the upper half, the item in the lower one.

A log is read piece by piece, and of each row no more is kept than 8 bytes, and 8 more for a time or
a weight where these are asked for. Such numbers are sorted in place, which sorts a log by user and
item, and equal ones are the rows of one pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .batches import ROWS_AT_ONCE, batches_of
from .ids import unify

if TYPE_CHECKING:
    from polars import Expr, LazyFrame, Series

HALF = 32
"""The number of bits of a half."""

LOWER = 2**HALF - 1
"""The lower half of a number."""

CHUNK = 2**21
"""Numbers are worked on in place, this number of them at a time."""

ROWS_OF_NAMES = 2**22
"""Rows that are read at a time where ids are looked up, each time among all that are known."""

LEAST_SPAN = 2**22
"""Whole numbers that span no more than this are counted from the least of them; and those that span
no more than `SPAN_BY_ROWS` times the number of rows.
"""

SPAN_BY_ROWS = 4


class _Ids(Protocol):
    """The ids of one column, numbered while the rows come."""

    size: int

    def number(self, column: "Series") -> np.ndarray:
        """Returns a number in 0 ... size - 1 for each entry, (n,) int64."""
        ...

    def finish(self, is_there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the ids, ascending, and for each number (size,) the position of its id.

        Args:
            is_there: (size,) which numbers stand in some row.
        """
        ...


class _WholeNumbers:
    """Whole numbers that lie close together: each is numbered from the least of them."""

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.size = high - low + 1

    def number(self, column: "Series") -> np.ndarray:
        import polars

        return column.cast(polars.Int64).to_numpy() - self.low

    def finish(self, is_there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = np.flatnonzero(is_there) + self.low
        return ids, np.cumsum(is_there, dtype=np.int64) - 1


class _Names:
    """Any ids: each is numbered when it comes for the first time."""

    def __init__(self) -> None:
        self.known: Series | None = None
        self.size = 0

    def number(self, column: "Series") -> np.ndarray:
        import polars

        names = column.unique()
        if self.known is None:
            self.known = names
        else:
            is_new = ~names.is_in(self.known.implode())
            self.known = self.known.append(names.filter(is_new))
        self.size = len(self.known)
        numbers = polars.int_range(self.size, dtype=polars.Int64, eager=True)
        return column.replace_strict(self.known, numbers, return_dtype=polars.Int64).to_numpy()

    def finish(self, is_there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import polars

        assert self.known is not None
        unified = unify(self.known)
        ids = unified.unique().sort()
        numbers = polars.int_range(len(ids), eager=True)
        positions = unified.replace_strict(ids, numbers, return_dtype=polars.Int64)
        return ids.to_numpy(), positions.to_numpy(writable=True)


@dataclass(eq=False)
class Rows:
    """Rows of a log.

    Attributes:
        keys: (n,) int64: 2^32 times the position of the user in `users`, plus that of the item in
            `items`.
        users: (U,) the ids of the users, ascending.
        items: (I,) the ids of the items, ascending.
        weight: (n,) float64, or None where every row counts 1.
        times: the times as the source has them, or None.
        time: (n,) the times as numbers, or None.
        part: (n,) uint8, or None where the source brings no parts.
    """

    keys: np.ndarray
    users: np.ndarray
    items: np.ndarray
    weight: np.ndarray | None = None
    times: "Series | None" = None
    time: np.ndarray | None = None
    part: np.ndarray | None = None

    def user(self) -> np.ndarray:
        """Returns the position of the user of each row, (n,) int32."""
        return halves(self.keys, HALF)

    def item(self) -> np.ndarray:
        """Returns the position of the item of each row, (n,) int32."""
        return halves(self.keys, 0)


def halves(keys: np.ndarray, shift: int) -> np.ndarray:
    """Returns the upper (a shift of 32) or the lower (0) half of numbers, (n,) int32."""
    found = np.empty(len(keys), np.int32)
    for chunk in chunks(len(keys)):
        found[chunk] = (keys[chunk] >> shift) & LOWER
    return found


def count(numbers: np.ndarray, size: int, mask: np.ndarray | None = None) -> np.ndarray:
    """Counts how often each number stands in an array, (size,) int64.

    NumPy's function makes a copy of 64 bits of all of them first.

    Args:
        numbers: (n,) from 0 to size - 1.
        size: how many there are.
        mask: (n,) which of them are counted; None: all.
    """
    found = np.zeros(size, np.int64)
    for chunk in chunks(len(numbers)):
        counted = numbers[chunk]
        if mask is not None:
            counted = counted[mask[chunk]]
        found += np.bincount(counted, minlength=size)
    return found


def chunks(length: int) -> Iterator[slice]:
    """Yields the parts of an array of some length, one after another."""
    for start in range(0, length, CHUNK):
        yield slice(start, min(start + CHUNK, length))


def spans(schema: Any) -> "list[Expr]":
    """Returns what must be known of the ids before the rows are read: the least and the greatest
    of those that are whole numbers.
    """
    from polars import col

    found = []
    for column in ("user", "item"):
        if schema[column].is_integer():
            found.append(col(column).min().alias(f"{column} low"))
            found.append(col(column).max().alias(f"{column} high"))
    if type_of_times(schema) is not None:
        found.append(col("time").null_count().alias("time gaps"))
    return found


def type_of_times(schema: Any) -> Any:
    """Returns the NumPy type of times that are numbers of 64 bits; None of others, or of none."""
    import polars

    types = {polars.Int64: np.int64, polars.Float64: np.float64}
    return types.get(schema.get("time"))


def read_rows(frame: "LazyFrame", count: int, known: dict[str, Any]) -> Rows:
    """Reads the rows of a log.

    Args:
        frame: the columns user and item, and those of rating, time and part that are of use. No id
            is missing.
        count: the number of its rows, n.
        known: what `spans` told.

    Raises:
        ValueError: it has another number of rows.
    """
    schema = frame.collect_schema()
    names = schema.names()
    users = _choose(known, "user", count)
    items = _choose(known, "item", count)
    keys = np.empty(count, np.int64)
    weight = None
    if "rating" in names:
        weight = np.empty(count, np.float64)
    part = None
    if "part" in names:
        part = np.empty(count, np.uint8)
    type_of_array = None
    if not known.get("time gaps"):
        type_of_array = type_of_times(schema)
    times = _Times(count, type_of_array)
    start = 0
    for batch in batches_of(frame, _rows_at_once(users, items)):
        place = slice(start, start + len(batch))
        keys[place] = users.number(batch["user"])
        keys[place] <<= HALF
        keys[place] |= items.number(batch["item"])
        if weight is not None:
            weight[place] = batch["rating"].to_numpy()
        if part is not None:
            part[place] = batch["part"].to_numpy()
        if "time" in names:
            times.add(place, batch["time"])
        start += len(batch)
    if start != count:
        raise ValueError(f"it had {count} rows, and then {start}: is it being written?")
    user_ids, item_ids = _number_again(keys, users, items)
    return Rows(keys, user_ids, item_ids, weight, times.joined(), part=part)


def _rows_at_once(users: _Ids, items: _Ids) -> int:
    """Returns the number of rows to read at a time."""
    if isinstance(users, _Names) or isinstance(items, _Names):
        return ROWS_OF_NAMES
    return ROWS_AT_ONCE


def _choose(known: dict[str, Any], column: str, count: int) -> _Ids:
    """Chooses how the ids of a column are numbered."""
    low = known.get(f"{column} low")
    high = known.get(f"{column} high")
    if low is None or high is None:
        return _Names()
    most = min(max(SPAN_BY_ROWS * count, LEAST_SPAN), 2 ** (HALF - 1))
    if low < -(2**63) or high >= 2**63 or high - low >= most:
        return _Names()
    return _WholeNumbers(low, high)


def _number_again(keys: np.ndarray, users: _Ids, items: _Ids) -> tuple[np.ndarray, np.ndarray]:
    """Puts positions among the sorted ids in place of the numbers in keys, and returns the ids."""
    has_user = np.zeros(users.size, bool)
    has_item = np.zeros(items.size, bool)
    for chunk in chunks(len(keys)):
        has_user[keys[chunk] >> HALF] = True
        has_item[keys[chunk] & LOWER] = True
    user_ids, position_of_user = users.finish(has_user)
    item_ids, position_of_item = items.finish(has_item)
    position_of_user <<= HALF
    for chunk in chunks(len(keys)):
        number = keys[chunk]
        keys[chunk] = position_of_user[number >> HALF] | position_of_item[number & LOWER]
    return user_ids, item_ids


class _Times:
    """The times of a log: those that are 64-bit numbers, without gaps, lie in one array from the
    start.

    Args:
        count: the number of rows, n.
        dtype: of such numbers; None of other times.
    """

    def __init__(self, count: int, dtype: Any) -> None:
        self.array: np.ndarray | None = None
        if dtype is not None:
            self.array = np.empty(count, dtype)
        self.others: list[Series] = []

    def add(self, place: slice, column: "Series") -> None:
        """Adds the times of some rows."""
        if self.array is None:
            self.others.append(column)
        else:
            self.array[place] = column.to_numpy()

    def joined(self) -> "Series | None":
        """Returns all times; None where there are none."""
        import polars

        if self.array is not None:
            return polars.Series("time", self.array)
        if self.others:
            return polars.concat(self.others, rechunk=True)
        return None


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of users and items of a log, ascending, each once.

    Attributes:
        keys: (n,) as those of `Rows`.
        duplicates: how many rows were those of a pair that is there already.
        weight: (n,) the sums of the weights, or None.
        time: (n,) the earliest times, or None.
        part: (n,) the first part that has the pair, or None.
        first: (n,) the first row of each pair; None where nobody asks for it.
    """

    keys: np.ndarray
    duplicates: int
    weight: np.ndarray | None = None
    time: np.ndarray | None = None
    part: np.ndarray | None = None
    first: np.ndarray | None = None


def merge(rows: Rows, needs_first: bool) -> Pairs:
    """Sorts rows by user and item, and merges those of each pair.

    Of a pair the rows in its first part count: their weights add up, and the earliest of their
    times is its time. The order of the rows changes nothing.

    Args:
        rows: of a log. They are used up, so that their memory serves what is made of them.
        needs_first: whether the first row of each pair is asked for.
    """
    has_part = rows.part is not None
    if rows.part is not None:
        rows.keys <<= 2  # a number of a user has far fewer than 29 bits
        rows.keys |= rows.part
        rows.part = None
    if rows.weight is None and rows.time is None and not needs_first:
        rows.keys.sort()
        return _without_repeated(rows.keys, has_part)
    return _merge_others(rows, has_part, needs_first)


def _without_repeated(keys: np.ndarray, has_part: bool) -> Pairs:
    """Takes repeated pairs out of ascending keys, in place: of each the first one stays."""
    count = len(keys)
    shift = 2 * int(has_part)
    kept = 0
    last = -1
    part = None
    if has_part:
        part = np.empty(count, np.uint8)
    for chunk in chunks(count):
        numbers = keys[chunk] >> shift
        is_first = np.empty(len(numbers), bool)
        is_first[0] = numbers[0] != last
        np.not_equal(numbers[1:], numbers[:-1], out=is_first[1:])
        last = numbers[-1]
        place = slice(kept, kept + int(is_first.sum()))
        if part is not None:
            part[place] = keys[chunk][is_first] & 3
        keys[place] = numbers[is_first]
        kept = place.stop
    if part is not None:
        part = part[:kept]
    return Pairs(keys[:kept], count - kept, part=part)


def _merge_others(rows: Rows, has_part: bool, needs_first: bool) -> Pairs:
    """Merges the rows of each pair with what belongs to them.

    Args:
        rows: of a log, which are used up. Their keys end with the part where there is one.
        has_part: whether there is one.
        needs_first: whether the first row of each pair is asked for.
    """
    keys = rows.keys
    if rows.weight is None:
        order = np.argsort(keys)
    else:
        # Rows of one pair ascend by weight, since the rounding of a sum depends on its order.
        order = np.lexsort((rows.weight, keys))
    keys.sort()
    if rows.weight is not None:
        rows.weight = rows.weight[order]
    if rows.time is not None:
        rows.time = rows.time[order]
    if not needs_first:
        del order
    parts = None
    if has_part:
        parts = (keys & 3).astype(np.uint8)
        keys >>= 2
    is_first = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    is_late = None
    part = None
    if parts is not None:
        part = parts[starts]
        is_late = parts != np.repeat(part, np.diff(starts, append=len(keys)))
    first = None
    if needs_first:
        first = np.minimum.reduceat(order, starts)
    time = _earliest(rows, starts, is_late)
    weight = _sums(rows, starts, is_late)
    del starts
    rows.keys = keys[is_first]
    return Pairs(rows.keys, len(keys) - len(rows.keys), weight, time, part, first)


def _earliest(rows: Rows, starts: np.ndarray, is_late: np.ndarray | None) -> np.ndarray | None:
    """Returns the earliest time of each pair, and uses up the times.

    Args:
        rows: in the order of their keys.
        starts: the first row of each pair.
        is_late: (n,) which rows do not count; None: all do.
    """
    time = rows.time
    rows.time = None
    if time is None:
        return None
    if is_late is not None:
        time[is_late] = time.max()
    found: np.ndarray = np.minimum.reduceat(time, starts)
    return found


def _sums(rows: Rows, starts: np.ndarray, is_late: np.ndarray | None) -> np.ndarray | None:
    """Returns the sum of the weights of each pair, and uses up the weights; see `_earliest`."""
    weight = rows.weight
    rows.weight = None
    if weight is None:
        return None
    if is_late is not None:
        weight[is_late] = 0
    with np.errstate(over="ignore"):  # infinite sums are refused with those beyond float32
        found: np.ndarray = np.add.reduceat(weight, starts)
    return found

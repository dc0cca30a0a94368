"""A log in shards: files that hold all rows of some users each.

A shard is a source as any other, and small enough to be read whole. Which of them has a user is
said by the user's id alone: its CRC-32 modulo the number of shards. The log is read piece by piece,
once; rows that no run would keep are dropped on the way, by the rules of `cleaning`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ...errors import DataError
from ...system.files import write_frame
from .batches import batches_of
from .cleaning import has_events, judge_ratings, rate_rows
from .columns import Columns
from .folders import PART_STEMS
from .forms import guarded
from .history import Items
from .ids import as_texts, encode, positions, unify
from .logs import RawLog, join_parts

if TYPE_CHECKING:
    from polars import DataFrame, LazyFrame, Series

ROWS_HELD = 2**22
"""Rows that wait in memory to be written, at most."""


@dataclass
class Scattered:
    """What a log held that was scattered into shards.

    Attributes:
        read: rows of the log.
        missing_ids: rows without a user or an item, which were dropped.
        below_threshold: rows with a rating below the threshold, which were dropped.
        kept: rows in the shards.
        unknown_items: items that the catalogue of the run lacks. They are in the shards.
        user_type: the name of the Polars type of all users, as a log read whole has it.
        notes: sentences on how the log was read.
    """

    read: int = 0
    missing_ids: int = 0
    below_threshold: int = 0
    kept: int = 0
    unknown_items: int = 0
    user_type: str = ""
    notes: list[str] = field(default_factory=list)


def shard_of(user: str, shards: int) -> int:
    """Returns the number of the shard that has a user, from 0.

    Args:
        user: the text of the id, as `ids.id_text` gives it.
        shards: how many shards there are.
    """
    return crc32(user.encode()) % shards


def shard_path(folder: Path, number: int) -> Path:
    """Returns where a shard is: a Parquet file, or a folder of them if the log brings parts."""
    in_parts = folder / f"shard-{number:05d}"
    if in_parts.is_dir():
        return in_parts
    return in_parts.with_suffix(".parquet")


class Scattering:
    """Scatters one log.

    Args:
        source: the log.
        columns: which columns to read.
        threshold: rows with a rating below it are dropped.
        binary: every row counts 1; else those with a rating of 0 are dropped.
        folder: an empty folder for the shards.
        shards: how many there are to be.
    """

    def __init__(
        self,
        source: RawLog,
        columns: Columns,
        threshold: float | None,
        binary: bool,
        folder: Path,
        shards: int,
    ) -> None:
        self.source = source
        self.threshold: float | None = threshold
        self.binary = binary
        self.folder = folder
        self.shards = shards
        self.found: Scattered = Scattered()
        self._columns = columns
        self._held: dict[int, list[DataFrame]] = {}
        self._rows_held: int = 0
        self._pieces: dict[int, list[Path]] = {}
        self._types: dict[str, Any] = {}
        self._items: Series | None = None
        self._are_events: bool = False

    def run(self, catalogue: Items, tell: Callable[[int], None]) -> Scattered:
        """Reads the log and writes the shards.

        Args:
            catalogue: the items of the run.
            tell: is told how many rows have been read, now and then.

        Raises:
            DataError: a column is missing or of a wrong type, a rating is bad, nothing is left, or
                the run knows none of the items.
        """
        name = self.source.name
        frame, notes = guarded(name, lambda: join_parts(self.source, self._columns))
        self._are_events = has_events(frame, self._columns)
        rate = partial(rate_rows, frame, self.threshold, self._columns, name)
        rated: tuple[LazyFrame, float | None, tuple[str, ...]] = guarded(name, rate)
        frame, threshold, how_rated = rated
        self.threshold = threshold
        self.found.notes = [*self.source.notes, *notes, *how_rated]
        self._refuse_unfit(guarded(name, frame.collect_schema))
        batches = guarded(name, lambda: batches_of(frame))
        while (batch := guarded(name, lambda: next(batches, None))) is not None:
            guarded(name, partial(self._scatter, batch))
            tell(self.found.read)
        self._flush()
        if self._items is None:
            raise DataError(f"{name} holds no interactions that are kept: it has {self._counts()}")
        self._count_unknown(self._items, catalogue)
        self._write_shards()
        return self.found

    def _refuse_unfit(self, schema: Any) -> None:
        """Refuses columns that hold no ids, and a threshold without ratings."""
        import polars

        for column, plural in (("user", "users"), ("item", "items")):
            dtype = schema[column]
            if dtype.is_nested() or dtype.is_object() or dtype == polars.Binary:
                raise DataError(
                    f"{self.source.name}: the {plural} are of type {dtype}; allowed: numbers, "
                    "texts, dates"
                )
        if self.threshold is not None and "rating" not in schema:
            raise DataError(
                f"{self.source.name} has no ratings for the threshold {self.threshold:g}; name "
                "their column by data.interactions.rating"
            )

    def _scatter(self, batch: "DataFrame") -> None:
        """Gives the rows of a piece of the log to their shards."""
        import polars

        rows = self._clean(batch)
        if not len(rows):
            return
        given = rows["user"].unique()
        users = unify(given)
        self._types[str(users.dtype)] = users.dtype
        texts = as_texts(users).to_list()
        shards = polars.Series([shard_of(text, self.shards) for text in texts])
        placed = rows.with_columns(
            rows["user"].replace_strict(given, users, return_dtype=users.dtype).alias("user"),
            rows["user"].replace_strict(given, shards, return_dtype=polars.Int64).alias("shard"),
        )
        items = rows["item"].unique()
        if self._items is not None:
            items = polars.concat([self._items, items]).unique()
        self._items = items
        for key, part in placed.partition_by("shard", as_dict=True, include_key=False).items():
            self._held.setdefault(int(key[0]), []).append(part)
        self._rows_held += len(rows)
        self.found.kept += len(rows)
        if self._rows_held >= ROWS_HELD:
            self._flush()

    def _clean(self, batch: "DataFrame") -> "DataFrame":
        """Drops and counts the rows that no run keeps.

        Raises:
            DataError: a rating is bad.
        """
        import polars
        from polars import col

        self.found.read += len(batch)
        for column in ("user", "item"):
            if batch.schema[column].is_float():
                batch = batch.with_columns(col(column).fill_nan(None))
            if batch.schema[column] == polars.String:
                text = col(column)
                is_blank = text.str.strip_chars() == ""
                batch = batch.with_columns(polars.when(~is_blank).then(text).alias(column))
        rows = batch.drop_nulls(["user", "item"])
        self.found.missing_ids += len(batch) - len(rows)
        if "rating" not in rows.columns:
            return rows
        if self._are_events:
            rows = rows.drop_nulls("rating")  # other kinds of events
        valid, _ = judge_ratings(self.threshold)
        bad = rows.select((~valid).sum()).item()
        if bad:
            raise DataError(
                f"{self.source.name} has {bad} ratings that are missing, negative, NaN or infinite "
                f"in {len(batch):,} rows that were looked at; allowed: 0 and above"
            )
        rating = col("rating").cast(polars.Float64)
        kept = rows
        if self.threshold is not None:
            kept = rows.filter(rating >= self.threshold)
        self.found.below_threshold += len(rows) - len(kept)
        if not self.binary:
            kept = kept.filter(rating > 0)
        return kept

    def _flush(self) -> None:
        """Writes the rows that wait in memory, a piece of each shard."""
        import polars

        for number, frames in self._held.items():
            pieces = self._pieces.setdefault(number, [])
            path = self.folder / f"piece-{number:05d}-{len(pieces)}.parquet"
            with path.open("wb") as file:
                polars.concat(frames).write_parquet(file, compression="lz4")
            pieces.append(path)
        self._held = {}
        self._rows_held = 0

    def _counts(self) -> str:
        found = self.found
        return (
            f"{found.read:,} rows, {found.missing_ids:,} without a user or an item and "
            f"{found.below_threshold:,} below the threshold"
        )

    def _count_unknown(self, items: "Series", catalogue: Items) -> None:
        """Counts the items that the run does not know.

        Raises:
            DataError: it knows none.
        """
        ids, _ = encode(items)
        is_unknown = positions(ids, catalogue.ids) < 0
        if is_unknown.all():
            raise DataError(
                f"{self.source.name} has no item that the model was trained on: its items are such "
                f"as {ids.tolist()[0]!r}, the model's such as {catalogue.ids.tolist()[0]!r}"
            )
        self.found.unknown_items = int(is_unknown.sum())

    def _write_shards(self) -> None:
        """Joins the pieces of each shard, in the order of the log."""
        import polars

        kind = common_type(self._types)
        self.found.user_type = str(kind)
        empty = None
        for pieces in self._pieces.values():
            empty = polars.read_parquet(pieces[0], n_rows=0)
        assert empty is not None
        for number in range(self.shards):
            frames = [empty.cast({"user": kind})]
            for path in self._pieces.get(number, ()):
                frames.append(polars.read_parquet(path).cast({"user": kind}))
                path.unlink()
            self._write_shard(number, polars.concat(frames))

    def _write_shard(self, number: int, rows: "DataFrame") -> None:
        """Writes a shard; of a log that brings parts, as a folder of them."""
        from polars import col

        if len(self.source.parts) == 1:
            write_frame(shard_path(self.folder, number), rows.drop("part"))
            return
        folder = self.folder / f"shard-{number:05d}"
        folder.mkdir()
        for part in self.source.parts:
            frame = rows.filter(col("part") == part).drop("part")
            write_frame(folder / f"{PART_STEMS[part][0]}.parquet", frame)


def common_type(types: dict[str, Any]) -> Any:
    """Returns the type of all ids of a log, of those of its pieces by their names: where some
    pieces hold whole numbers alone, the others decide.
    """
    import polars

    for name, dtype in types.items():
        if name != str(polars.Int64):
            return dtype
    return polars.Int64

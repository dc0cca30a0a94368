"""The [data.interactions] table of a recipe, and how a source of interactions becomes a `Dataset`
of `History` splits.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
from pydantic import Field

from ..errors import ConfigError, DataError, LowerboundError, ShapeError
from ..specs.checked import checked
from ..specs.registry import table
from ..system.files import expand_home
from .cleaning import Log, clean
from .dataset import Dataset, Examples
from .history import History, Items
from .holdout import Cut, Shares, Side, given, hold_out
from .named import NAMED, place, short
from .plays import Columns, Tables, guarded
from .plays import tables as read_tables
from .schema import Schema
from .titles import names_of, positions, read_titles, titled

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from .spec import Data

KIND = "interactions"
TIMED = ("leave-one-out", "temporal")


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
            users (of whom `fold_in` is shown), "random", "leave-one-out" and "temporal"
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
        """What is to be read; times only where the split needs them."""
        return Columns(self.user, self.item, self.rating, self.timestamp, self.split in TIMED)


InteractionsTable = Annotated[Interactions | None, table(Interactions)]
"""The type of `Data.interactions`: the table of a recipe, its keys checked by name."""


def settings(data: "Data", schema: Schema | None = None) -> Interactions | None:
    """How to read the source as interactions, or None if it is not one: by its table, its name, or
    the run's schema.
    """
    named = data.source in NAMED and NAMED[data.source].kind == KIND
    if data.interactions is None and not named and (schema is None or schema.kind != KIND):
        return None
    return data.interactions or Interactions()


def opened(
    data: "Data",
    how: Interactions,
    schema: Schema | None = None,
    items: Items | None = None,
    other: bool = False,
) -> Dataset:
    """The source as a `Dataset`. The arguments are those of `Data.open`, and `how` to read it."""
    _refuse_options(data)
    if data.source in NAMED and NAMED[data.source].kind != KIND:
        raise ConfigError(
            f"data.interactions is for sources of interactions; {data.source} is none"
        )
    source = NAMED[data.source].open() if data.source in NAMED else read_tables(place(data.source))
    shares = Shares(data.validation, data.test, data.seed, how.fold_in)
    return replace(
        _dataset(source, how, shares, schema, items, other),
        name=short(data.source),
        source=data.source,
    )


def _refuse_options(data: "Data") -> None:
    """ConfigError for an option that is for images or tables."""
    options = {
        name: getattr(data, name) for name in ("binarize", "size", "grey", "standardize", "columns")
    }
    for name, value in options.items():
        if value and value != "none":
            raise ConfigError(
                f"data.{name} is for images, vectors or tables; {data.source} is of kind {KIND}"
            )


def from_frame(
    frame: Any,
    how: Interactions | None = None,
    *,
    titles: Any = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    name: str = "frame",
    schema: Schema | None = None,
    items: Items | None = None,
    other: bool = False,
) -> Dataset:
    """A Polars (eager or lazy) or pandas frame of interactions as a `Dataset`.

    Args:
        frame: one interaction a row.
        how: as in a recipe; its `items` is the path of a file, which `titles` replaces.
        titles: a frame with the items' ids, title and perhaps genres.
        validation: how much is held out, as in `Data`.
        test: likewise.
        seed: of the splits.
        name: of the data, in messages and in the fingerprint.
        schema: a run's.
        items: a run's catalogue, see `Data.open`.
        other: likewise.

    Raises:
        DataError: it is no frame, or the data are not as they should be.
    """
    how = how or Interactions()
    known = None if titles is None else titled(_polars(titles, "titles").collect(), how.item)
    source = Tables(name, {0: _polars(frame, name)}, known)
    return _dataset(source, how, Shares(validation, test, seed, how.fold_in), schema, items, other)


def _polars(frame: Any, name: str) -> Any:
    """A Polars LazyFrame of what may be another frame."""
    import polars

    if isinstance(frame, polars.LazyFrame | polars.DataFrame):
        return frame.lazy()
    try:
        return guarded(name, lambda: polars.from_pandas(frame).lazy())
    except ImportError as error:
        raise DataError(f"{name} cannot be read as a frame: {error}") from None


def _dataset(
    source: Tables,
    how: Interactions,
    shares: Shares,
    schema: Schema | None,
    items: Items | None,
    other: bool,
) -> Dataset:
    """The source, cleaned and split, over its own catalogue or a run's."""
    cut = (
        _own(source, how, shares) if items is None else _for_run(source, how, shares, items, other)
    )
    full = Side(np.arange(len(cut.log.users)), np.ones(len(cut.log), bool))
    matrix = _matrix(cut.log, cut.train.users, cut.train.seen)
    schema = _schema(source.name, matrix, how, schema)
    catalogue = items or _catalogue(source, how, cut.log.items, matrix)
    train, whole = (cast(Examples, _history(cut.log, side, schema)) for side in (cut.train, full))
    held, test = (
        cast(Examples, _history(cut.log, s, schema)) if s else None
        for s in (cut.validation, cut.test)
    )
    facts = cut.log.facts | _size(cut.log)
    return Dataset(
        source.name, schema, train, held, test, whole, source.name, shares.seed, catalogue, facts
    )


def _own(source: Tables, how: Interactions, shares: Shares) -> Cut:
    """The source by its own rules."""
    log = clean(
        source, how.columns, how.threshold, how.binary, how.min_user_items, how.min_item_users
    )
    return hold_out(log, how.split, shares)


def _for_run(source: Tables, how: Interactions, shares: Shares, items: Items, other: bool) -> Cut:
    """The source over the catalogue of a run: if it has this very catalogue by its own rules, it is
    split by them.

    Else, or if it was asked for as `other` data: neither its rare users nor its rare items are
    dropped, only (and counted) the items that the run does not know; of splits it has only those
    that it brings, and times are of no use.
    """
    own = None if other else _perhaps_own(source, how, shares)
    if own is not None and [*own.log.items] == [*items.ids]:
        return own
    log = _mapped(
        clean(source, replace(how.columns, timed=False), how.threshold, how.binary), items
    )
    if log.part is not None:
        return given(log, replace(shares, validation=0))
    return Cut(log, Side(np.arange(len(log.users)), np.ones(len(log), bool)), None, None)


def _perhaps_own(source: Tables, how: Interactions, shares: Shares) -> Cut | None:
    """The source by its own rules; None if they make no sense for these data: what is wrong with
    the data shows later.
    """
    try:
        return _own(source, how, shares)
    except LowerboundError:
        return None


def _mapped(log: Log, items: Items) -> Log:
    """The log over another catalogue; users stay, items that it lacks go. DataError if it has none
    of them.
    """
    at = positions(log.items, items.ids)
    if (at < 0).all():
        theirs, known = (
            f"{ids[:1].tolist()[0]!r}, ... ({len(ids)})" for ids in (log.items, items.ids)
        )
        raise DataError(
            f"{log.name} has no item that the model was trained on: its items are {theirs}, the "
            f"model's {known}"
        )
    log.facts["unknown_items"] = int((at < 0).sum())
    kept = at[log.item] >= 0
    time, part = (None if a is None else a[kept] for a in (log.time, log.part))
    place = at[log.item[kept]]
    return replace(
        log,
        items=items.ids,
        user=log.user[kept],
        item=place,
        weight=log.weight[kept],
        time=time,
        part=part,
    )


def _matrix(log: Log, users: np.ndarray, mask: np.ndarray) -> "csr_matrix":
    """The interactions in `mask` of these users, one row for each, (n, I) float32."""
    from scipy.sparse import csr_matrix

    row = np.full(len(log.users), -1)
    row[users] = np.arange(len(users))
    chosen = mask & (row[log.user] >= 0)
    entries = (log.weight[chosen].astype(np.float32), (row[log.user[chosen]], log.item[chosen]))
    matrix = csr_matrix(entries, shape=(len(users), len(log.items)))
    matrix.sort_indices()
    return matrix


def _schema(name: str, matrix: "csr_matrix", how: Interactions, schema: Schema | None) -> Schema:
    """What a model must know, or the schema of the run if the data fit it. DataError or ShapeError
    if they do not.
    """
    own = Schema(
        (matrix.shape[1],),
        KIND,
        2 if how.binary else None,
        0.0,
        float(matrix.data.max(initial=0.0)),
    )
    if schema is None:
        return own
    if schema.kind != KIND:
        raise DataError(f"{name} is of kind {KIND}, the model was trained on kind {schema.kind}")
    if schema.shape != own.shape:
        raise ShapeError(
            f"{name} has {own.shape[0]} items, the model was trained on {schema.shape[0]}"
        )
    return schema


def _catalogue(source: Tables, how: Interactions, ids: np.ndarray, train: "csr_matrix") -> Items:
    """The items with their names and the number of their training users."""
    named = source.items if how.items is None else read_titles(expand_home(how.items), how.item)
    return Items(ids, *names_of(ids, named), np.bincount(train.indices, minlength=len(ids)))


def _history(log: Log, side: Side, schema: Schema) -> History:
    seen = _matrix(log, side.users, side.seen)
    wanted = None if side.wanted is None else _matrix(log, side.users, side.wanted)
    return History(schema, seen, wanted, log.users[side.users], side.users, schema.levels)


def _size(log: Log) -> dict[str, Any]:
    users, items = len(log.users), len(log.items)
    return {"kept": len(log), "users": users, "items": items, "density": len(log) / (users * items)}


def described(facts: Mapping[str, Any]) -> str:
    """One line for the facts of a data set of interactions: what it holds, and what was dropped of
    what was read.
    """
    held = (
        f"{facts['kept']:,} interactions of {facts['users']:,} users with {facts['items']:,} items"
    )
    dropped = {
        k: n
        for k, n in facts.items()
        if n and k not in ("read", "kept", "users", "items", "density")
    }
    rest = "".join(f"; {n:,} {name.replace('_', ' ')}" for name, n in dropped.items())
    return f"{held} (density {facts['density']:.3%}), of {facts['read']:,} read{rest}"

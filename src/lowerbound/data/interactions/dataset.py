"""How a log of interactions becomes a `Dataset` of `History` splits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, LowerboundError, ShapeError
from ...system.files import expand_home
from ..dataset import Dataset
from ..schema import Schema
from .cleaning import Log, clean
from .history import History, Items
from .holdout import HeldOut, Split, SplitPart, given, hold_out
from .logs import RawLog, guarded
from .spec import KIND, Interactions
from .titles import names_of, positions, read_titles, titled

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


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
    source = RawLog(name, {0: _polars(frame, name)}, known)
    return split_log(
        source, how, HeldOut(validation, test, seed, how.fold_in), schema, items, other
    )


def _polars(frame: Any, name: str) -> Any:
    """A Polars LazyFrame of what may be another frame."""
    import polars

    if isinstance(frame, polars.LazyFrame | polars.DataFrame):
        return frame.lazy()
    try:
        return guarded(name, lambda: polars.from_pandas(frame).lazy())
    except ImportError as error:
        raise DataError(f"{name} cannot be read as a frame: {error}") from None


def split_log(
    source: RawLog,
    how: Interactions,
    shares: HeldOut,
    schema: Schema | None,
    items: Items | None,
    other: bool,
) -> Dataset:
    """The source, cleaned and split, over its own catalogue or a run's."""
    cut = (
        _own(source, how, shares) if items is None else _for_run(source, how, shares, items, other)
    )
    full = SplitPart(np.arange(len(cut.log.users)), np.ones(len(cut.log), bool))
    matrix = _matrix(cut.log, cut.train.users, cut.train.seen)
    schema = _schema(source.name, matrix, how, schema)
    catalogue = items or _catalogue(source, how, cut.log.items, matrix)
    train, whole = (_history(cut.log, side, schema) for side in (cut.train, full))
    held, test = (
        _history(cut.log, s, schema) if s else None
        for s in (cut.validation, cut.test)
    )
    facts = cut.log.facts | _size(cut.log)
    return Dataset(
        source.name, schema, train, held, test, whole, source.name, shares.seed, catalogue, facts
    )


def _own(source: RawLog, how: Interactions, shares: HeldOut) -> Split:
    """The source by its own rules."""
    log = clean(
        source, how.columns, how.threshold, how.binary, how.min_user_items, how.min_item_users
    )
    return hold_out(log, how.split, shares)


def _for_run(
    source: RawLog, how: Interactions, shares: HeldOut, items: Items, other: bool
) -> Split:
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
    return Split(log, SplitPart(np.arange(len(log.users)), np.ones(len(log), bool)), None, None)


def _perhaps_own(source: RawLog, how: Interactions, shares: HeldOut) -> Split | None:
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


def _catalogue(source: RawLog, how: Interactions, ids: np.ndarray, train: "csr_matrix") -> Items:
    """The items with their names and the number of their training users."""
    named = source.items if how.items is None else read_titles(expand_home(how.items), how.item)
    return Items(ids, *names_of(ids, named), np.bincount(train.indices, minlength=len(ids)))


def _history(log: Log, side: SplitPart, schema: Schema) -> History:
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

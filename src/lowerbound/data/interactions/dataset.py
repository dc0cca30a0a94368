"""How a log of interactions becomes a `Dataset` of `History` splits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, LowerboundError, ShapeError
from ...system.files import expand_home
from ..dataset import Dataset
from ..files.conditions import fit_conditions
from ..memory import to_frame
from ..schema import Schema
from .cleaning import Log, clean
from .forms import guarded
from .history import Items
from .holdout import Assigned, HeldOut, Split, split_by_rule, split_given
from .ids import positions
from .logs import RawLog
from .packing import count
from .parts import ConditionsOf, cut, to_dataset
from .spec import KIND, Interactions
from .titles import describe_titles, features_of, names_of, read_titles, titled

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
    """Makes a `Dataset` of a Polars (eager or lazy) or pandas frame of interactions.

    Args:
        frame: one interaction a row.
        how: as in a recipe; its `items` is the path of a file, which `titles` replaces.
        titles: a frame with the items' ids, title and perhaps genres and other columns.
        validation: how much is held out, as in `Data`.
        test: how much is held out, as in `Data`.
        seed: the seed of the splits.
        name: the name of the data, in messages and in the fingerprint.
        schema: the schema of a run.
        items: the catalogue of a run, see `Data.open`.
        other: whether these are other data than the run's, see `Data.open`.

    Raises:
        DataError: it is no frame, or the data are not as they should be.
    """
    how = how or Interactions()
    named_items = None
    if titles is not None:
        named_items = titled(to_polars(titles, "titles").collect(), how.item)
    source = RawLog(name, {0: to_polars(frame, name)}, named_items)
    held_out = HeldOut(validation, test, seed, how.fold_in)
    return split_log(source, how, held_out, schema, items, other)


def to_polars(frame: Any, name: str) -> Any:
    """Makes a Polars LazyFrame of a frame of Polars, pandas, or a library that speaks Arrow."""
    import polars

    if isinstance(frame, polars.LazyFrame):
        return frame
    found = guarded(name, lambda: to_frame(frame), "a frame")
    if found is None:
        raise DataError(f"{name} cannot be read as a frame: it is a {type(frame).__name__}")
    return found.lazy()


def split_log(
    source: RawLog,
    how: Interactions,
    held_out: HeldOut,
    schema: Schema | None,
    items: Items | None,
    other: bool,
    conditions_of: ConditionsOf | None = None,
) -> Dataset:
    """Cleans and splits a source, over its own catalogue or that of a run.

    Args:
        source: the interactions.
        how: how to clean and split them.
        held_out: how much to hold out.
        schema: the schema of a run, or None.
        items: the catalogue of a run, or None.
        other: whether these are other data than the run's.
        conditions_of: reads what a conditional model is given of users; None of another model.
    """
    if items is None:
        split = _split_by_own_rules(source, how, held_out)
    else:
        split = _split_for_run(source, how, held_out, items, other)
    log = split.log
    parts = cut(matrix_of(log), split.assigned, log.weight is None)
    train = parts.train.history
    is_fit = schema is None
    schema = _make_schema(source.name, train, how, schema)
    notes = log.notes
    conditions = None
    if conditions_of is not None:
        found = conditions_of(log.users)
        conditions = found.values
        notes += found.notes
        if is_fit:
            given = fit_conditions(found, parts.train.users, source.name)
            schema = replace(schema, given=given)
    catalogue = items
    if catalogue is None:
        catalogue, how_titles = _make_catalogue(source, how, log.items, train)
        notes += how_titles
    return to_dataset(
        source.name,
        log.users,
        parts,
        schema,
        catalogue,
        conditions=conditions,
        seed=held_out.seed,
        facts=log.facts | _describe_size(log),
        notes=notes,
    )


def _split_by_own_rules(source: RawLog, how: Interactions, held_out: HeldOut) -> Split:
    """Cleans and splits a source by its own rules."""
    log = clean(
        source, how.columns, how.threshold, how.is_binary, how.min_user_items, how.min_item_users
    )
    return split_by_rule(log, how.split, held_out)


def _split_for_run(
    source: RawLog, how: Interactions, held_out: HeldOut, items: Items, other: bool
) -> Split:
    """Cleans and splits a source over the catalogue of a run.

    If its own rules lead to this very catalogue, they split it. Else, or if it was asked for as
    `other` data, only the items that the run does not know are dropped, and counted. Rare users and
    items stay then, the only splits are those that the source brings, and times are not read.
    """
    if not other:
        own_split = _try_own_rules(source, how, held_out)
        if own_split is not None and [*own_split.log.items] == [*items.ids]:
            return own_split
    columns = how.columns.for_run(other)
    log = map_to_catalogue(clean(source, columns, how.threshold, how.is_binary), items)
    if log.part is not None:
        return split_given(log, replace(held_out, validation=0))
    return Split(log, Assigned.everything(log))


def _try_own_rules(source: RawLog, how: Interactions, held_out: HeldOut) -> Split | None:
    """Splits a source by its own rules; None if they make no sense for these data.

    What is wrong with the data themselves shows later.
    """
    try:
        return _split_by_own_rules(source, how, held_out)
    except LowerboundError:
        return None


def map_to_catalogue(log: Log, items: Items) -> Log:
    """Maps a log to another catalogue: items that it lacks are dropped, and all users stay.

    Raises:
        DataError: the catalogue has none of the items.
    """
    columns = positions(log.items, items.ids)
    is_unknown = columns < 0
    if is_unknown.all():
        raise DataError(
            f"{log.name} has no item that the model was trained on: its items are "
            f"{_describe_ids(log.items)}, the model's {_describe_ids(items.ids)}"
        )
    log.facts["unknown_items"] = int(is_unknown.sum())
    kept = log.select(~is_unknown[log.item])
    notes = log.notes + _note_left_out(log)
    mapped = replace(kept, items=items.ids, item=columns[kept.item].astype(np.int32), notes=notes)
    return mapped.sorted()


def _note_left_out(log: Log) -> tuple[str, ...]:
    """Notes the items and the rows of other data that a run leaves out."""
    notes = []
    unknown_items = log.facts["unknown_items"]
    if unknown_items:
        notes.append(
            f"{unknown_items:,} items of {log.name} are not known to the run and were left out"
        )
    missing_ids = log.facts["missing_ids"]
    if missing_ids:
        notes.append(f"{missing_ids:,} rows of {log.name} without a user or an item were left out")
    return tuple(notes)


def _describe_ids(ids: np.ndarray) -> str:
    """Describes ids by the first of them and their number."""
    first = ids[:1].tolist()[0]
    return f"{first!r}, ... ({len(ids)})"


def matrix_of(log: Log) -> "csr_matrix":
    """Makes the matrix (U, I) float32 of a log, one row a user."""
    from scipy.sparse import csr_matrix

    shape = (len(log.users), len(log.items))
    offsets = np.zeros(len(log.users) + 1, np.int64)
    np.cumsum(count(log.user, len(log.users)), out=offsets[1:])
    weights = log.weight
    if weights is None:
        weights = np.ones(len(log), np.float32)
    weights = weights.astype(np.float32, copy=False)
    return csr_matrix((weights, log.item, offsets), shape=shape)


def _make_schema(
    name: str, matrix: "csr_matrix", how: Interactions, schema: Schema | None
) -> Schema:
    """Makes the schema of the training matrix; that of a run stays, if the data fit it.

    Raises:
        DataError: the run was trained on another kind of data.
        ShapeError: the run was trained on another number of items.
    """
    items = matrix.shape[1]
    if schema is None:
        levels = 2 if how.is_binary else None
        high = float(matrix.data.max(initial=0.0))
        return Schema((items,), KIND, levels, 0.0, high)
    if schema.kind != KIND:
        raise DataError(f"{name} is of kind {KIND}, the model was trained on kind {schema.kind}")
    if schema.shape != (items,):
        raise ShapeError(f"{name} has {items} items, the model was trained on {schema.shape[0]}")
    return schema


def _make_catalogue(
    source: RawLog, how: Interactions, ids: np.ndarray, train: "csr_matrix"
) -> tuple[Items, tuple[str, ...]]:
    """Makes the catalogue: the items with their names and the number of their training users.

    Returns:
        The catalogue, and sentences on how its titles were read.
    """
    named_items = source.items
    notes: tuple[str, ...] = ()
    if how.items is not None:
        path = expand_home(how.items)
        named_items = read_titles(path, how.item)
        notes = describe_titles(path, ids, named_items)
    titles, genres = names_of(ids, named_items)
    popularity = count(train.indices, len(ids))
    features = features_of(ids, named_items)
    return Items(ids, titles, genres, popularity, features), notes


def _describe_size(log: Log) -> dict[str, Any]:
    """Describes how much was kept; the density is the fraction of all pairs that interact."""
    users = len(log.users)
    items = len(log.items)
    density = len(log) / (users * items)
    return {"kept": len(log), "users": users, "items": items, "density": density}


def described(facts: Mapping[str, Any]) -> str:
    """Describes in one line what a data set of interactions holds, and what was dropped of it."""
    line = (
        f"{facts['kept']:,} interactions of {facts['users']:,} users with {facts['items']:,} items "
        f"(density {facts['density']:.3%}), of {facts['read']:,} read"
    )
    for name, number in facts.items():
        is_dropped = name not in ("read", "kept", "users", "items", "density")
        if is_dropped and number:
            line += f"; {number:,} {name.replace('_', ' ')}"
    return line

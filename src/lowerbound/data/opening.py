"""How a source becomes a `Dataset`: it is read, chosen, split, scaled and encoded.

`open_examples` and `open_interactions` hold the steps for the two kinds of data. They take values;
the [data] table of a recipe, which calls them, is in `spec`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..columns import fit_columns
from ..errors import ConfigError, DataError, ShapeError
from ..system.files import expand_home
from . import memory
from .checks import (
    leave_out_constant,
    match_kind,
    match_levels,
    match_shape,
    refuse_beyond_one,
    refuse_constant_columns,
    refuse_misplaced_options,
    refuse_narrow_columns,
)
from .dataset import Dataset, Examples
from .files.conditions import Conditions, fit_conditions, with_label
from .files.sizes import AUTO, choose_size, tell_choice
from .files.sources import AS_IT_IS, Raw, Wanted, find_reader, reason
from .files.tables import table_of_vectors
from .interactions.dataset import split_log
from .interactions.folders import matches
from .interactions.history import Items
from .interactions.holdout import HeldOut
from .interactions.logs import RawLog, Writing, name_columns, read_log
from .interactions.spec import KIND, Interactions
from .interactions.stored import read_split
from .interactions.users import find_users
from .levels import extremes
from .memory import DataSource, InMemory, is_in_memory, refuse_absent, source_text
from .named.entries import NAMED, find_path, short_name
from .prepare import is_constant, moments, span, to_grey, to_size
from .schema import Schema
from .splits import OwnParts, Rows, SplitSizes, cut

Binarize = Literal["none", "dynamic", "static"]
"""How pixels are drawn from their probabilities, see `Data`."""


@dataclass(frozen=True)
class Preparation:
    """How examples are prepared for a model. `Data` explains each option.

    Attributes:
        binarize: see `Data`.
        standardize: see `Data`.
        wanted: what is asked of the reader of the source.
        hide: see `Data`.
        atoms: see `Data`.
    """

    binarize: Binarize = "none"
    standardize: bool | None = None
    wanted: Wanted = AS_IT_IS
    hide: float = 0.0
    atoms: bool = True

    @property
    def is_binarized(self) -> bool:
        """Whether pixels are drawn from their probabilities."""
        return self.binarize != "none"

    def standardizes(self, kind: str) -> bool:
        """Says whether sources of a kind are standardised: by default only tables are."""
        if self.standardize is None:
            return kind == "table"
        return self.standardize


def open_examples(
    source: DataSource, preparation: Preparation, sizes: SplitSizes, schema: Schema | None = None
) -> Dataset:
    """Reads a source of images, tables or vectors, splits it, and prepares it.

    Args:
        source: the name of a set, the path of a file or folder, or data in memory.
        preparation: how the examples are prepared.
        sizes: how the source is split.
        schema: the schema of a run: the data are read as that run's were. None: the schema comes
            from the training split.

    Raises:
        DataError: the source is missing, damaged, or does not fit the schema.
        ShapeError: its examples do not have the shape of the schema.
        ConfigError: an option makes no sense for this source.
    """
    wanted = preparation.wanted
    if schema is not None:
        _refuse_one_example(source, schema)
        wanted = _wanted_by_run(wanted, schema, preparation)
    raw = _read(source, wanted)
    if wanted.is_mixed and raw.kind == "vector":
        raw = table_of_vectors(raw, wanted)
    if schema is not None:
        raw = match_kind(raw, schema)
    raw = with_label(raw, wanted)
    _refuse_unfit_options(raw, preparation)
    raw = _resize(raw, wanted)
    rows = cut(len(raw.values), OwnParts(raw.train, raw.validation), sizes, raw.name)
    if schema is None and raw.table:
        raw = leave_out_constant(raw, is_constant(raw.values, rows.train), sizes.seed)
    elif schema is None and raw.kind == "table":
        low, high = span(raw.values, rows.train)
        raw = leave_out_constant(raw, low == high, sizes.seed)
    if schema is None:
        schema = _fit_schema(raw, rows.train, preparation)
        if raw.conditions is not None:
            conditions = Conditions(raw.given, raw.conditions)
            schema = replace(schema, given=fit_conditions(conditions, rows.train, raw.name))
    else:
        raw = _conform(raw, schema, preparation)
    dataset = _split(raw, rows, schema, preparation, sizes.seed)
    return replace(dataset, name=_short_name(source), source=source_text(source))


def _wanted_by_run(wanted: Wanted, schema: Schema, preparation: Preparation) -> Wanted:
    """Asks a reader for what the run with this schema reads."""
    if schema.columns:
        wanted = replace(wanted, columns=schema.columns, exclude=(), is_run=True)
    wanted = _asking_for_conditions(wanted, schema)
    if schema.table:
        wanted = replace(wanted, like=schema)
    if schema.kind == "image":
        wanted = replace(wanted, like=_before_drawing(schema, preparation))
        if wanted.size == AUTO:
            _, height, width = schema.shape
            wanted = replace(wanted, size=(height, width))
    return wanted


def _asking_for_conditions(wanted: Wanted, schema: Schema) -> Wanted:
    """Asks for the conditions of the run with this schema."""
    return replace(wanted, given=schema.names_of_conditions, conditions=schema.given)


def _split(raw: Raw, rows: Rows, schema: Schema, preparation: Preparation, seed: int) -> Dataset:
    """Makes the splits of a source, of these rows each."""
    whole = Examples(
        schema,
        raw.values,
        rows=np.arange(len(raw.values)),
        labels=raw.labels,
        levels=raw.levels,
        seed=seed,
        names=raw.names,
        conditions=raw.conditions,
    )
    # Only the training split may be drawn anew in each batch. The splits that are measured keep
    # their draw, so that no number depends on the size of a batch.
    if preparation.is_binarized:
        whole = replace(whole, draw="fixed")
    train = whole.take(rows.train)
    if preparation.binarize == "dynamic":
        train = replace(train, draw="keyed")
    if preparation.hide and schema.table:
        train = replace(train, draw="keyed", hide=preparation.hide)
    return Dataset(
        name=raw.name,
        schema=schema,
        train=train,
        validation=_take_if_any(whole, rows.validation),
        test=_take_if_any(whole, rows.test),
        whole=whole,
        source=raw.name,
        seed=seed,
        notes=raw.notes,
    )


def open_shares(source: InMemory, schema: Schema) -> Examples | None:
    """Reads images or vectors in memory that are shares of white, for a run on levels.

    Such a model sees levels as their shares k / (levels - 1), so that floats from 0 to 1 are what
    it sees already, on its levels or between them.

    Args:
        source: the data.
        schema: of the run.

    Returns:
        The examples, or None where the data or the run are of another kind.

    Raises:
        DataError: the data cannot be read.
        ShapeError: the examples do not have the shape of the schema.
    """
    if schema.levels is None or schema.mean or schema.is_sparse:
        return None
    _refuse_one_example(source, schema)
    raw = memory.read_examples(source, AS_IT_IS)
    if raw.levels is not None or raw.kind != schema.kind:
        return None
    low, high = extremes(raw.values)
    if low < 0 or high > 1:
        return None
    raw = match_shape(raw, schema)
    raw = with_label(raw, _asking_for_conditions(AS_IT_IS, schema))
    rows = np.arange(len(raw.values))
    return Examples(schema, raw.values, rows, raw.labels, conditions=raw.conditions)


def open_interactions(
    source: DataSource,
    how: Interactions,
    held_out: HeldOut,
    wanted: Wanted,
    schema: Schema | None = None,
    items: Items | None = None,
    other: bool = False,
    keeps_order: bool = False,
) -> Dataset:
    """Reads a source of interactions, cleans it, and splits it.

    Args:
        source: the name of a set, the path of a file or folder, or data in memory.
        how: how the log is read and cleaned.
        held_out: how much of it is held out.
        wanted: how its text files are written and its columns are called, where the user has said
            so, and which features of users are conditions.
        schema: the schema of a run, see `Data.open`.
        items: the catalogue of a run, see `Data.open`.
        other: the data are other data than the run's, see `Data.open`.
        keeps_order: the splits depend on the order of the rows, see `Data.open`.

    Raises:
        DataError: the source is missing, damaged, or does not fit the run.
        ConfigError: the source holds no interactions, or an option makes no sense for it.
    """
    log = open_log(source, Writing(wanted.text, wanted.columns, other), items)
    if keeps_order:
        log = replace(log, keeps_order=True)
    if schema is not None:
        wanted = replace(_asking_for_conditions(wanted, schema), is_run=True)
    users = find_users(log, how, wanted)
    conditions_of = None
    if users is not None:
        conditions_of = partial(users.conditions, how=how, wanted=wanted)
    dataset = split_log(log, how, held_out, schema, items, other, conditions_of)
    return replace(dataset, name=_short_name(source), source=source_text(source))


def open_stored(
    folder: Path,
    source: str,
    how: Interactions,
    seed: int,
    wanted: Wanted,
    *,
    schema: Schema,
    items: Items,
    facts: Mapping[str, Any],
    other_users: bool = False,
) -> Dataset:
    """Opens the split that a run on interactions keeps, without its log.

    Args:
        folder: of the run.
        source: the name of a set or path that the run was fitted to.
        how: how the log was read.
        seed: of the split.
        wanted: what was asked of the reader.
        schema: of the run.
        items: the catalogue of the run.
        facts: counts of what was read, dropped and kept.
        other_users: the features of users are read once more, of the table that `how` names.

    Raises:
        DataError: the files are damaged, or the table of users cannot be read.
    """
    name = "data in memory"
    if source != memory.MEMORY:
        name = short_name(source)
    conditions_of = None
    if other_users:
        wanted = replace(_asking_for_conditions(wanted, schema), is_run=True)
        users = find_users(RawLog(source, {}), how, wanted)
        if users is not None:
            conditions_of = partial(users.conditions, how=how, wanted=wanted)
    dataset = read_split(
        folder, schema, items, name=name, seed=seed, facts=facts, conditions_of=conditions_of
    )
    return replace(dataset, source=source)


def holds_interactions(source: DataSource) -> bool:
    """Says whether a source is a named set of interactions."""
    name = source_text(source)
    return name in NAMED and NAMED[name].kind == KIND


def _short_name(source: DataSource) -> str:
    """Shortens a source to a few words, for titles."""
    if is_in_memory(source):
        return "data in memory"
    return short_name(source_text(source))


def open_log(source: DataSource, how: Writing, items: Items | None) -> RawLog:
    """Reads the interactions of a named set, at a path, in memory, or of the files of a pattern.

    Args:
        source: where they are.
        how: how their files are written, and how their columns are called.
        items: the catalogue of a run, or None.

    Raises:
        DataError: the source is none of these, or cannot be read.
        ConfigError: the named set holds no interactions.
    """
    return name_columns(_read_log(source, how, items), how)


def _read_log(source: DataSource, how: Writing, items: Items | None) -> RawLog:
    """Reads interactions, whose columns are called as in the source."""
    if is_in_memory(source):
        return memory.read_log(source, items)
    name = source_text(source)
    refuse_absent(name)
    if matches(name):
        return read_log(expand_home(name), how)
    if name not in NAMED:
        return read_log(find_path(name), how)
    if NAMED[name].kind != KIND:
        raise ConfigError(f"data.interactions is for sources of interactions; {name} is none")
    log: RawLog = NAMED[name].open()
    # Published sets are split as they always were, since their rows come in one order alone.
    return replace(log, keeps_order=True)


def _read(source: DataSource, wanted: Wanted) -> Raw:
    """Reads a named set, or what is at a path or in memory.

    Raises:
        DataError: the source is none of these, or cannot be read.
    """
    if is_in_memory(source):
        return memory.read_examples(source, wanted)
    name = source_text(source)
    refuse_absent(name)
    if name in NAMED:
        raw: Raw = NAMED[name].open()
        return raw
    path = find_path(name)
    try:
        return find_reader(path).read(path, wanted)
    # A folder may not be looked into, or holds paths that are too long to be looked at.
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}") from None


def _refuse_unfit_options(raw: Raw, preparation: Preparation) -> None:
    """Refuses options that are for sources of another kind, or that exclude each other.

    Raises:
        ConfigError: there are such options.
    """
    wanted = preparation.wanted
    options: dict[str, tuple[object, str]] = {
        "size": (wanted.size, "image"),
        "grey": (wanted.grey, "image"),
        "skip_broken": (wanted.skip_broken, "image"),
        "columns": (wanted.columns, "table"),
        "kinds": (wanted.kinds is not None, "table"),
        "hide": (preparation.hide, "table"),
        "atoms": (not preparation.atoms, "table"),
        "exclude": (wanted.exclude, "table"),
        "ids": (wanted.ids, "table"),
        "labels": (wanted.labels, "image or table"),
        "standardize": (preparation.standardize, "table or vector"),
    }
    kinds_of_texts = "table"
    if wanted.labels is not None:
        kinds_of_texts = "image or table"
    for name, value in vars(wanted.text).items():
        options[name] = (value is not None, kinds_of_texts)
    refuse_misplaced_options(raw, options)
    if raw.table and preparation.standardize is False:
        raise ConfigError(
            "data.standardize=false is for tables of numbers alone: leave it out, or data.kinds"
        )
    if preparation.is_binarized and preparation.standardizes(raw.kind):
        raise ConfigError(
            f"data.binarize={preparation.binarize} needs values in [0, 1]; {raw.name} is "
            "standardised"
        )


def _resize(raw: Raw, wanted: Wanted) -> Raw:
    """Makes images grey and gives them their size, where that is asked for."""
    values = raw.values
    if wanted.grey:
        values = to_grey(values)
    size = wanted.size
    notes = raw.notes
    if size == AUTO:
        own_size = values.shape[2:]
        size = choose_size([own_size])
        notes += tell_choice([own_size], size)
    if size is not None:
        notes += _tell_fitting(raw, size, wanted)
        values = to_size(values, size)
    return replace(raw, values=values, notes=notes)


def _tell_fitting(raw: Raw, size: tuple[int, int], wanted: Wanted) -> tuple[str, ...]:
    """Says that images are resized for a model; files of pictures have their size already."""
    own_size = raw.values.shape[2:]
    if wanted.like is None or own_size == size:
        return ()
    written = ["x".join(map(str, lengths)) for lengths in (own_size, size)]
    return (f"images of {written[0]} are resized to {written[1]}, the model's size",)


def _refuse_one_example(source: DataSource, schema: Schema) -> None:
    """Refuses one picture in colour in the place of many: it has the axes of grey ones.

    Raises:
        ShapeError: the data in memory have the very shape of an example with three channels.
    """
    shape = tuple(getattr(source, "shape", ()))
    if len(shape) == 3 and shape[0] == 3 and shape == schema.shape:
        raise ShapeError(
            f"data of shape {shape} may be one picture or three grey ones: give the one as "
            f"{(1, *shape)}, x[None] in Python, and grey ones as {(3, 1, *shape[1:])}"
        )


def _fit_schema(raw: Raw, train_rows: np.ndarray, preparation: Preparation) -> Schema:
    """Finds what a model must know of a source, from the training rows alone.

    Raises:
        DataError: columns are constant or too narrow, or values cannot be probabilities.
    """
    if raw.table:
        table = fit_columns(raw.table, raw.values, train_rows, atoms=preparation.atoms)
        return Schema(raw.values.shape[1:], raw.kind, None, 0.0, 1.0, raw.columns, table=table)
    low, high = span(raw.values, train_rows)
    schema = Schema(raw.values.shape[1:], raw.kind, raw.levels, 0.0, 1.0, raw.columns)
    standardizes = preparation.standardizes(raw.kind)
    if standardizes:
        refuse_constant_columns(raw, low == high)
        mean, scale = moments(raw.values, train_rows)
        refuse_narrow_columns(raw, scale)
        schema = replace(
            schema, levels=None, mean=tuple(mean.tolist()), scale=tuple(scale.tolist())
        )
    if preparation.is_binarized:
        refuse_beyond_one(raw)
        return replace(schema, levels=2)
    least = schema.scaled(low, raw.levels).min()
    greatest = schema.scaled(high, raw.levels).max()
    # They are rounded as the batches are, so that they bound these.
    return replace(schema, low=float(np.float32(least)), high=float(np.float32(greatest)))


def _before_drawing(schema: Schema, preparation: Preparation) -> Schema:
    """Returns the schema of images before pixels are drawn of them, which may have any levels."""
    if preparation.is_binarized:
        return replace(schema, levels=None)
    return schema


def _conform(raw: Raw, schema: Schema, preparation: Preparation) -> Raw:
    """Changes a source of the kind of a schema to what the model with this schema reads.

    Raises:
        DataError: it does not fit; the message names both.
        ShapeError: its examples are of another shape.
    """
    raw = match_shape(raw, schema)
    if preparation.is_binarized:
        refuse_beyond_one(raw)
    if schema.mean or schema.table:
        return raw
    return match_levels(raw, schema, preparation.is_binarized)


def _take_if_any(examples: Examples, rows: np.ndarray) -> Examples | None:
    if not len(rows):
        return None
    return examples.take(rows)

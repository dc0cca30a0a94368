"""The [data] table of a recipe, and how it becomes a `Dataset`."""

import re
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from ..errors import ConfigError, DataError, one_line
from ..specs.checked import checked
from .checks import (
    of_kind,
    on_levels,
    refuse_beyond_one,
    refuse_constant,
    refuse_narrow,
    refuse_unfit,
)
from .dataset import Dataset, Examples
from .files.sources import Raw, Wanted, reader, reason
from .interactions.dataset import split_log
from .interactions.history import Items
from .interactions.holdout import HeldOut
from .interactions.logs import read_log
from .interactions.spec import KIND, Interactions, InteractionsTable
from .named.entries import NAMED, place, short
from .prepare import moments, span, to_grey, to_size
from .schema import Schema
from .splits import cut


def interactions_of(data: "Data", schema: Schema | None = None) -> Interactions | None:
    """How to read the source as interactions, or None if it is not one: by its table, its name, or
    the run's schema.
    """
    named = data.source in NAMED and NAMED[data.source].kind == KIND
    if data.interactions is None and not named and (schema is None or schema.kind != KIND):
        return None
    return data.interactions or Interactions()


def open_interactions(
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
    source = NAMED[data.source].open() if data.source in NAMED else read_log(place(data.source))
    shares = HeldOut(data.validation, data.test, data.seed, how.fold_in)
    return replace(
        split_log(source, how, shares, schema, items, other),
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


SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


def _refuse_broken_count(number: float) -> float:
    if number >= 1 and number != int(number):
        raise ValueError(f"{number:g} examples; allowed: a fraction below 1, or a whole number")
    return number


@checked
class Data:
    """The [data] table of a recipe: what to read, and how to cut and prepare it.

    Attributes:
        source: name of a set, or path of a file or folder.
        binarize: draw each pixel from its probability (its value, which must lie in [0, 1]):
            "dynamic" draws the training split anew in every batch and the others once by `seed`;
            "static" draws all once.
        size: "64x64", height x width: images are resized to it, whatever their proportions.
        grey: colour images become grey.
        validation: a fraction (below 1) or a number of examples, cut at random from the training
        part; 0 for none.
        test: likewise, used only where the source brings no test part of its own.
        seed: of the splits and of the fixed binarisation.
        standardize: subtract the training split's mean and divide by its deviation, column by
            column; None: for tables yes, for the rest no.
        columns: of a table, in this order; None: all.
        interactions: the source is a log of users and items, read and split as this table says.
            `validation` and `test` then count users or interactions, by its `split`.
    """

    source: str
    binarize: Literal["none", "dynamic", "static"] = "none"
    size: str | None = None
    grey: bool = False
    validation: Annotated[float, Field(ge=0)] = 0.1
    test: Annotated[float, Field(ge=0)] = 0.1
    seed: Annotated[int, Field(ge=0)] = 0
    standardize: bool | None = None
    columns: list[str] | None = None
    interactions: InteractionsTable = None

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: str | None) -> str | None:
        if size is not None and not SIZE.fullmatch(size):
            raise ValueError(f"{size!r} is no size; allowed: HEIGHTxWIDTH, such as 64x64")
        return size

    @field_validator("validation", "test")
    @classmethod
    def _check_count(cls, number: float) -> float:
        return _refuse_broken_count(number)

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: list[str] | None) -> list[str] | None:
        if columns is not None and (not columns or len(set(columns)) < len(columns)):
            raise ValueError(
                f"{one_line(columns, 200)} is no choice of columns; allowed: one or more names, each "
                "once"
            )
        return columns

    def open(
        self, schema: Schema | None = None, items: Items | None = None, other: bool = False
    ) -> Dataset:
        """Read the source, split it, and prepare it.

        Args:
            schema: a run's. The data then is read as that run's was (its columns, mean and scale);
                the dataset has this very schema.
            items: the catalogue of a run on interactions. Other data than the run's are mapped to
                it: items that it lacks are dropped and counted, rare ones are not, and only the
                    splits that the source itself brings are made.
            other: interactions are other data than the run's even where they have its very
                catalogue. Without it, such data are the run's own, cleaned and split by its rules.

        Raises:
            DataError: the source is missing, damaged, or does not fit the schema: one line that
            names both.
            ConfigError: an option makes no sense for this source.
        """
        if (how := interactions_of(self, schema)) is not None:
            return open_interactions(self, how, schema, items, other)
        raw = self._prepared(_read(self.source, self._wanted(schema)))
        rows = cut(len(raw.values), raw.train, self.validation, self.test, self.seed, raw.name)
        raw, schema = (
            (raw, self._schema(raw, rows.train))
            if schema is None
            else (self._conform(raw, schema), schema)
        )
        every = np.arange(len(raw.values))
        # The splits that are measured keep their draw, so that no number depends on the size of a
        # batch.
        fixed = Examples(
            schema, raw.values, every, raw.labels, raw.levels, self._draw("fixed"), self.seed
        )
        train = replace(
            fixed, draw=self._draw("keyed" if self.binarize == "dynamic" else "fixed")
        ).take(rows.train)
        held, test = (
            fixed.take(part) if len(part) else None for part in (rows.validation, rows.test)
        )
        return Dataset(short(self.source), schema, train, held, test, fixed, self.source, self.seed)

    def _draw(self, draw: Literal["keyed", "fixed"]) -> Literal["none", "keyed", "fixed"]:
        return "none" if self.binarize == "none" else draw

    def _wanted(self, schema: Schema | None) -> Wanted:
        chosen = self.columns if schema is None or not schema.columns else schema.columns
        match = SIZE.fullmatch(self.size or "")
        size = (int(match[1]), int(match[2])) if match else None
        return Wanted(size, None if chosen is None else tuple(chosen))

    def _prepared(self, raw: Raw) -> Raw:
        """Grey and sized. ConfigError for an option that is for sources of another kind."""
        image, tabular = "image", "table or vector"
        options = {
            "size": (self.size, image),
            "grey": (self.grey, image),
            "columns": (self.columns, "table"),
        }
        refuse_unfit(raw, {**options, "standardize": (self.standardize, tabular)})
        if self.binarize != "none" and self._standardizes(raw):
            raise ConfigError(
                f"data.binarize={self.binarize} needs values in [0, 1]; {raw.name} is standardised"
            )
        size = self._wanted(None).size
        values = to_grey(raw.values) if self.grey else raw.values
        return replace(raw, values=to_size(values, size) if size else values)

    def _schema(self, raw: Raw, rows: np.ndarray) -> Schema:
        """What a model must know, from the training rows alone."""
        low, high = span(raw.values, rows)
        schema = Schema(raw.values.shape[1:], raw.kind, raw.levels, 0.0, 1.0, raw.columns)
        if self._standardizes(raw):
            refuse_constant(raw, low == high)
            mean, scale = moments(raw.values, rows)
            refuse_narrow(raw, scale)
            schema = replace(
                schema, levels=None, mean=tuple(mean.tolist()), scale=tuple(scale.tolist())
            )
        elif raw.kind == "table":
            refuse_constant(raw, low == high)
        if self.binarize != "none":
            refuse_beyond_one(raw)
            return replace(schema, levels=2)
        least, greatest = (
            schema.scaled(low, raw.levels).min(),
            schema.scaled(high, raw.levels).max(),
        )
        # Rounded as the batches are, so that these bound them.
        return replace(schema, low=float(np.float32(least)), high=float(np.float32(greatest)))

    def _standardizes(self, raw: Raw) -> bool:
        return raw.kind == "table" if self.standardize is None else self.standardize

    def _conform(self, raw: Raw, schema: Schema) -> Raw:
        """The source as the model of this schema reads it. DataError, naming both, if it does not
        fit.
        """
        raw = of_kind(raw, schema)
        if self.binarize != "none":
            refuse_beyond_one(raw)
        return raw if schema.mean else on_levels(raw, schema, self.binarize != "none")


def _read(source: str, wanted: Wanted) -> Raw:
    """A named set, or what is at a path. DataError if it is neither."""
    if source in NAMED:
        return NAMED[source].open()
    path = place(source)
    try:
        return reader(path).read(path, wanted)
    except (
        OSError
    ) as error:  # of a folder that may not be looked into, or with paths too long to be looked at
        raise DataError(f"{path} cannot be read: {reason(error)}") from None

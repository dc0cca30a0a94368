"""The [data] table of a recipe: its options, their checks, and how it is opened."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from ..errors import ConfigError, one_line
from ..specs.checked import checked
from .dataset import Dataset
from .files.dialect import TextFormat
from .files.sizes import AUTO, Size
from .files.sources import MAX_PIXELS, Wanted
from .interactions.history import Items
from .interactions.holdout import HeldOut
from .interactions.spec import KIND, Interactions, InteractionsTable
from .memory import MEMORY, DataSource, source_text
from .named.entries import NAMED
from .opening import (
    Binarize,
    Preparation,
    holds_interactions,
    open_examples,
    open_interactions,
    open_stored,
)
from .schema import Schema
from .splits import SplitSizes

SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
"""A size of images is written so: height x width."""


DENSE_OPTIONS = (
    "binarize",
    "size",
    "grey",
    "standardize",
    "kinds",
    "hide",
    "exclude",
    "ids",
    "labels",
    "skip_broken",
)
"""The options that are for images, vectors or tables, and not for interactions."""


@checked
class Data:
    """The [data] table of a recipe: what to read, and how to cut and prepare it.

    Attributes:
        source: name of a set (see `lowerbound list data`), or path of a file or folder.
        binarize: draw each pixel from its probability (its value, which must lie in [0, 1]):
            "dynamic" draws the training split anew in every batch and the others once by `seed`;
            "static" draws all once.
        size: "64x64", height x width: images are resized to it, whatever their proportions. "auto"
            keeps images of one size up to 64 pixels, and else takes the median size, reduced so
            that the longer side has 64; None: as they are.
        grey: colour images become grey.
        validation: a fraction (below 1) or a number of examples, cut at random from the training
            part; 0 for none.
        test: likewise, used only where the source brings no test part of its own.
        seed: the seed of the splits and of the fixed binarisation.
        standardize: subtract the training split's mean and divide by its deviation, column by
            column; None: for tables yes, for the rest no.
        columns: the columns of a table to read, in this order; None: all. Of a log these alone are
            looked at; of a log in a text without a header they are the names of its columns.
        kinds: the columns of a table may be of several kinds and may have gaps, for the likelihood
            `Columns`; the kinds are found from the values, but for those that are named here, such
            as {age="count"}, {joined="datetime %d/%m/%Y"}. {} finds all; None: a table of numbers
            alone, without gaps.
        unseen: what a cell of other data is that its column cannot hold (a level that the run does
            not know, a word for a number or a date, a number below 0 in a column of counts):
            "missing" takes it for a gap, and counts it; "error" refuses it.
        hide: in each training batch half of the rows have cells hidden, a share of up to this many
            of them: from the encoder and from the likelihood. A model that fills gaps learns so
            from rows without any.
        atoms: numbers of a table of kinds that many rows share have a probability of their own
            beside the density of the others; if false, zeros of positive numbers alone have.
        exclude: columns of a table to leave out: names, or patterns such as "note_*".
        ids: columns of a table that name its rows: no values, but passed on to codes and scores.
        labels: the column of labels of a table, or a file of labels beside a folder of images;
            None: what the source brings.
        given: what the model is conditioned on: columns of a table, which are then none that it
            models, "label", the labels of images or vectors, or of interactions columns of the
            table of users, `interactions.users`. Encoder, decoder and the priors between levels see
            it: q(z | x, y), p(x | z, y).
        skip_broken: files of a folder that cannot be used are passed over and counted.
        max_pixels: an image may have this many pixels. Larger ones are refused before they are
            decoded, as a small file may hide billions.
        encoding: of a text file, such as "utf-8", "utf-16" or "latin-1"; None: found from the file.
        separator: of the fields of a text file, such as ";"; None: found from the file.
        decimal: the decimal mark of a text file, "." or ","; None: found from the file.
        quote: the quotation mark of a text file, "" for none; None: found from the file.
        comment: lines of a text file that begin so are passed over; None: found from the file.
        header: whether the first line of a text file has the names of its columns; None: found
            from the file.
        missing: the words that stand for a missing value in a text file, and in the texts of a
            table with columns of several kinds; None: the usual ones.
        interactions: the source is a log of users and items, read and split as this table says.
            `validation` and `test` then count users or interactions, by its `split`.
    """

    OTHER_NAMES: ClassVar[dict[str, str]] = {
        "drop": "exclude",
        "keep": "columns",
        "types": "kinds",
        "na_values": "missing",
        "sep": "separator",
        "users": "interactions.users",
    }

    source: str
    binarize: Binarize = "none"
    size: str | None = None
    grey: bool = False
    validation: Annotated[float, Field(ge=0)] = 0.1
    test: Annotated[float, Field(ge=0)] = 0.1
    seed: Annotated[int, Field(ge=0)] = 0
    standardize: bool | None = None
    columns: list[str] | None = None
    kinds: dict[str, str] | None = None
    unseen: Literal["missing", "error"] = "missing"
    hide: Annotated[float, Field(ge=0, lt=1)] = 0.0
    atoms: bool = True
    exclude: list[str] | None = None
    ids: list[str] | None = None
    labels: str | None = None
    given: list[str] | None = None
    skip_broken: bool = False
    max_pixels: Annotated[int, Field(ge=1)] = MAX_PIXELS
    encoding: str | None = None
    separator: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    decimal: Literal[".", ","] | None = None
    quote: Annotated[str, Field(max_length=1)] | None = None
    comment: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    header: bool | None = None
    missing: list[str] | None = None
    interactions: InteractionsTable = None

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: str | None) -> str | None:
        if size is not None and size != AUTO and not SIZE.fullmatch(size):
            raise ValueError(
                f"{size!r} is no size; allowed: HEIGHTxWIDTH, such as 64x64, or {AUTO}"
            )
        return size

    @field_validator("validation", "test")
    @classmethod
    def _check_count(cls, number: float) -> float:
        if number >= 1 and number != int(number):
            raise ValueError(f"{number:g} examples; allowed: a fraction below 1, or a whole number")
        return number

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: list[str] | None) -> list[str] | None:
        if columns is None:
            return None
        is_repeated = len(set(columns)) < len(columns)
        if not columns or is_repeated:
            raise ValueError(
                f"{one_line(columns, 200)} is no choice of columns; allowed: one or more names, "
                "each once"
            )
        return columns

    @field_validator("given")
    @classmethod
    def _check_given(cls, given: list[str] | None) -> list[str] | None:
        if given is not None and len(set(given)) < len(given):
            raise ValueError(f"{one_line(given, 200)} names a condition twice; allowed: each once")
        return given or None

    def open(
        self,
        schema: Schema | None = None,
        items: Items | None = None,
        other: bool = False,
        source: DataSource | None = None,
        keeps_order: bool = False,
    ) -> Dataset:
        """Reads the source, splits it, and prepares it.

        Args:
            schema: the schema of a run. The data are then read as that run's were (its columns,
                mean and scale), and the dataset has this very schema.
            items: the catalogue of a run on interactions. Other data than the run's are mapped to
                it: items that it lacks are dropped and counted, rare ones are not, and only the
                splits that the source itself brings are made.
            other: the interactions are other data than the run's even where they have its very
                catalogue. Without it, such data are the run's own, cleaned and split by its rules.
            source: another source, which may be in memory, in place of the table's.
            keeps_order: the splits of interactions depend on the order of the rows, as those of
                runs of earlier versions did.

        Raises:
            DataError: the source is missing, damaged, or does not fit the schema: one line that
                names both.
            ShapeError: its examples do not have the shape of the schema.
            ConfigError: an option makes no sense for this source.
        """
        if source is None:
            source = self.source
        how = self._choose_interactions(source, schema)
        if how is None:
            sizes = SplitSizes(self.validation, self.test, self.seed)
            return open_examples(source, self._preparation(), sizes, schema)
        self._refuse_dense_options(source)
        held_out = HeldOut(self.validation, self.test, self.seed, how.fold_in)
        return open_interactions(
            source, how, held_out, self.wanted(), schema, items, other, keeps_order
        )

    def open_stored(
        self,
        folder: Path,
        schema: Schema,
        items: Items,
        facts: Mapping[str, Any],
        other_users: bool = False,
    ) -> Dataset:
        """Opens the split that a run on interactions keeps, whatever has become of its log.

        Args:
            folder: of the run.
            schema: of the run.
            items: the catalogue of the run.
            facts: counts of what the fit read, dropped and kept.
            other_users: the features of users are read once more, of the table that is named here.

        Raises:
            DataError: the files are damaged, or the table of users cannot be read.
        """
        return open_stored(
            folder,
            self.source,
            self.interactions or Interactions(),
            self.seed,
            self.wanted(),
            schema=schema,
            items=items,
            facts=facts,
            other_users=other_users,
        )

    @property
    def log_files(self) -> tuple[str | None, str | None]:
        """Where the log and its table of users are; None for what is in no file that may change."""
        log = None
        if self.source not in (MEMORY, *NAMED):
            log = self.source
        users = None
        if self.interactions is not None:
            users = self.interactions.users
        return log, users

    @property
    def keeps_split(self) -> bool:
        """Whether a run on interactions keeps its split."""
        return self.interactions is None or self.interactions.keep_split

    def _choose_interactions(
        self, source: DataSource, schema: Schema | None
    ) -> Interactions | None:
        """Returns how to read the source as interactions, or None if it holds none.

        It holds some by this table, by the name of the set, or by the schema of the run.
        """
        if self.interactions is not None:
            return self.interactions
        is_run_on_interactions = schema is not None and schema.kind == KIND
        if is_run_on_interactions or holds_interactions(source):
            return Interactions()
        return None

    def _refuse_dense_options(self, source: DataSource) -> None:
        """Raises ConfigError for an option that is for images, vectors or tables."""
        for name in DENSE_OPTIONS:
            value = getattr(self, name)
            if name == "kinds" and self.given:  # they are those of features of users
                continue
            if value and value != "none":
                raise ConfigError(
                    f"data.{name} is for images, vectors or tables; {source_text(source)} is of "
                    f"kind {KIND}"
                )

    def _preparation(self) -> Preparation:
        """Returns the options that say how examples are prepared."""
        return Preparation(self.binarize, self.standardize, self.wanted(), self.hide, self.atoms)

    def wanted(self) -> Wanted:
        """Returns what is asked of the reader of examples."""
        size: Size | Literal["auto"] | None = None
        if self.size == AUTO:
            size = AUTO
        elif self.size is not None:
            height, width = self.size.split("x")
            size = (int(height), int(width))
        columns = None
        if self.columns is not None:
            columns = tuple(self.columns)
        return Wanted(
            size,
            self.grey,
            columns,
            exclude=tuple(self.exclude or ()),
            ids=tuple(self.ids or ()),
            labels=self.labels,
            skip_broken=self.skip_broken,
            max_pixels=self.max_pixels,
            text=self.text_format(),
            kinds=self.kinds,
            unseen=self.unseen,
            given=tuple(self.given or ()),
        )

    def text_format(self) -> TextFormat:
        """Returns what the recipe says of the way a text file is written."""
        missing = None
        if self.missing is not None:
            missing = tuple(self.missing)
        return TextFormat(
            self.encoding,
            self.separator,
            self.decimal,
            self.quote,
            self.comment,
            self.header,
            missing,
        )

"""Imputation of a table: a frame with gaps -> frames without."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns import ColumnSchema
from ..data.memory import DataSource, source_text
from ..errors import ConfigError, unknown
from ..evaluation.batches import positive, refuse_seed
from ..run import Run
from .cells import Cells, fill_series, places_in, read_cells
from .completion import BLOCK, IMPUTATION_SAMPLES, Completed, Completer, Mode
from .sources import read_source

if TYPE_CHECKING:
    import polars

CHUNK = 16 * BLOCK
"""So many rows are filled at a time."""

LEAST_EFFECTIVE = 10
"""A row of fewer effective draws is filled poorly, and told of."""

MODES = ("mean", "median")
"""What single imputations of numbers may be."""


@dataclass(frozen=True, eq=False)
class Imputation:
    """A table whose gaps are filled.

    Attributes:
        frame: the source with single imputations in its gaps: its columns, names, order and types.
        frames: M copies of the source with draws in its gaps; empty unless they were asked for.
        rows: the places of the rows with gaps, (n,).
        effective: the effective number of draws of each of them, (n,).
        filled: how many cells were filled, by column.
        source: what was filled.
        samples: draws for each row.
        notes: sentences on what was read, and on what was left as it is.
    """

    frame: "polars.DataFrame"
    frames: "list[polars.DataFrame]"
    rows: np.ndarray
    effective: np.ndarray
    filled: dict[str, int]
    source: str
    samples: int
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.frame)

    def __repr__(self) -> str:
        """Returns what was filled, and the first and last rows."""
        return f"{self.headline()}\n{self.frame}"

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the rows as a table."""
        return self.frame._repr_html_()

    def headline(self) -> str:
        """Says in a line how many cells were filled."""
        return describe_filled(self.filled, len(self.rows), len(self), self.source)

    def to_pandas(self) -> Any:
        """Returns the frame as one of pandas, which must be installed."""
        return self.frame.to_pandas()

    @property
    def warning(self) -> str | None:
        """Says of how many rows the imputations are poor, or None."""
        return warn_of_few(self.effective, self.samples)


def describe_filled(filled: dict[str, int], rows: int, total: int, source: str) -> str:
    """Says how many cells of how many rows were filled."""
    cells = sum(filled.values())
    if not cells:
        return f"{source} has no gaps in the columns that the run knows: nothing was filled"
    return f"{cells:,} cells filled in {rows:,} of {total:,} rows of {source}"


def warn_of_few(effective: np.ndarray, samples: int) -> str | None:
    """Says of how many rows the draws are worth few draws, or None."""
    few = int((effective < LEAST_EFFECTIVE).sum())
    if not few:
        return None
    return (
        f"{few:,} of {len(effective):,} rows with gaps have fewer than {LEAST_EFFECTIVE} effective "
        f"draws of {samples:,}: their imputations are uncertain beyond what they say; take more "
        "samples"
    )


def impute(
    run: Run,
    source: DataSource | None = None,
    *,
    multiple: int | None = None,
    samples: int = IMPUTATION_SAMPLES,
    mode: Mode = "mean",
    seed: int = 0,
) -> Imputation:
    """Fills the gaps of a table by what a run has learned.

    What was observed is not touched. A gap is a cell that is missing, NaN, infinite, or one of the
    words for missing values in a text file, in a column that the run reads; other columns stay as
    they are. `Imputation.frame` has the best single value in each gap: the mean of a number, the
    most probable level. These have too little spread to be analysed as if they had been seen; for
    that are the `multiple` frames, which are draws (Rubin 1987).

    Args:
        run: of the likelihood `Columns`, as of the recipe `table`.
        source: a path, a frame of Polars or pandas, an array (N, D) with NaN for gaps; None takes
            the run's own data.
        multiple: so many completed frames are drawn beside the one of single values.
        samples: draws of the latent variables for each row with gaps.
        mode: "mean" or "median", of numbers; with "median", levels with an order are filled by
            their median too.
        seed: of the draws; the same seed and the same source give the same frames.

    Raises:
        ConfigError: the run does not know the kinds of columns, or an argument has no such value.
        DataError: the source cannot be read, has none of the columns of the run, or has cells that
            are no values of their columns.
    """
    completer = make_completer(run, multiple=multiple, samples=samples, mode=mode, seed=seed)
    given = run.recipe.data.source if source is None else source
    table = read_source(run, source)
    filler = Filler(completer, places_in(table.frame.columns, completer.columns))
    parts = []
    for start in range(0, max(len(table.frame), 1), CHUNK):
        parts.append(filler.fill(table.frame[start : start + CHUNK]))
    return joined(parts, filler, source_text(given), table.notes)


def make_completer(
    run: Run, *, multiple: int | None, samples: int, mode: Mode, seed: int
) -> Completer:
    """Makes what fills the gaps of rows, for a run that can.

    Raises:
        ConfigError: the run cannot, or an argument has no such value.
    """
    refuse_unfit(run)
    positive(samples)
    refuse_seed(seed)
    if multiple is not None:
        positive(multiple, what="multiple")
    if mode not in MODES:
        raise ConfigError(unknown("mode", mode, MODES))
    return Completer(
        run.model,
        run.schema.table,
        samples=samples,
        multiple=multiple or 0,
        mode=mode,
        seed=seed,
    )


def refuse_unfit(run: Run) -> None:
    """Refuses runs that know no gaps.

    Raises:
        ConfigError: the run is of other data, or has no likelihood.
    """
    if not run.schema.table:
        raise ConfigError(
            f"impute needs a run that knows the kinds of its columns; {run.folder} is none: fit "
            "the recipe table, or set data.kinds={} and model.likelihood=Columns"
        )
    if not run.recipe.objective.has_bound:
        raise ConfigError(
            f"impute needs a likelihood; {run.folder} is an autoencoder, which has none"
        )


class Part:
    """Some rows of a table, filled.

    Attributes:
        frame: with single imputations.
        frames: with draws.
        rows: the places of the rows with gaps in the source, (n,).
        effective: of these rows, (n,).
    """

    def __init__(
        self,
        frame: "polars.DataFrame",
        frames: "list[polars.DataFrame]",
        rows: np.ndarray,
        effective: np.ndarray,
    ) -> None:
        self.frame = frame
        self.frames = frames
        self.rows = rows
        self.effective = effective


class Filler:
    """Fills the frames of a source, one after another, and counts what it fills.

    Args:
        completer: fills their values.
        names: the names by which the source has the columns of the run, by their places.

    Attributes:
        read: the number of rows so far.
        filled: how many cells were filled so far, by column.
        unseen: how many cells have levels that the run does not know, by column.
    """

    def __init__(self, completer: Completer, names: dict[int, str]) -> None:
        self.completer = completer
        self.names = names
        self.read = 0
        self.filled: dict[str, int] = {}
        self.unseen: dict[str, int] = {}

    def fill(self, frame: "polars.DataFrame") -> Part:
        """Fills the next rows, as many as a multiple of `BLOCK` but for the last ones."""
        columns = self.completer.columns
        cells = read_cells(frame, columns, self.names)
        chosen = np.flatnonzero(cells.is_gap.any(axis=1))
        completed = self._complete(cells, chosen)
        self._count(cells)
        place = self.read
        self.read += len(frame)
        frames = []
        for table in completed.tables:
            frames.append(put_values(frame, columns, self.names, cells.is_gap, table))
        single = put_values(frame, columns, self.names, cells.is_gap, completed.values)
        return Part(single, frames, chosen + place, completed.effective[chosen])

    def _complete(self, cells: Cells, chosen: np.ndarray) -> Completed:
        """Completes the values of the chosen rows; the others lack nothing that can be seen."""
        values = np.zeros_like(cells.values)
        values[chosen] = cells.values[chosen]
        return self.completer.complete(values, self.read)

    def _count(self, cells: Cells) -> None:
        """Counts gaps and unknown levels."""
        for place, name in self.names.items():
            count = int(cells.is_gap[:, place].sum())
            if count:
                self.filled[name] = self.filled.get(name, 0) + count
        for name, count in cells.unseen.items():
            self.unseen[name] = self.unseen.get(name, 0) + count


def put_values(
    frame: "polars.DataFrame",
    columns: Sequence[ColumnSchema],
    names: dict[int, str],
    is_gap: np.ndarray,
    values: np.ndarray,
) -> "polars.DataFrame":
    """Puts values (N, D) in the place of the gaps of a frame."""
    filled = []
    for place, name in names.items():
        cells = is_gap[:, place]
        if cells.any():
            filled.append(fill_series(frame[name], columns[place], values[:, place], cells))
    return frame.with_columns(filled)


def joined(parts: list[Part], filler: Filler, source: str, notes: tuple[str, ...]) -> Imputation:
    """Joins the parts of a table."""
    import polars

    frames = []
    for copies in zip(*(part.frames for part in parts), strict=True):
        frames.append(polars.concat(copies, how="vertical_relaxed"))
    return Imputation(
        polars.concat([part.frame for part in parts], how="vertical_relaxed"),
        frames,
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.effective for part in parts]),
        filler.filled,
        source,
        filler.completer.samples,
        notes,
    )

"""Imputation of a table in memory: a frame with gaps -> frames without."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.memory import DataSource
from ..errors import ConfigError, unknown
from ..evaluation.batches import positive, refuse_seed
from ..run import Run
from ..system.progress import stages
from .completion import BLOCK, IMPUTATION_SAMPLES, MODES, Completer
from .filling import CHUNK, Filler, describe_filled, rows_of_a_piece, warn_of_few
from .sources import open_table

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, eq=False)
class Imputation:
    """A table whose gaps are filled.

    Attributes:
        frame: the source with single imputations in its gaps: its columns, names, order and types.
        frames: M copies of the source with draws in its gaps; empty unless they were asked for.
        rows: the places of the rows with gaps, (n,).
        effective: the effective number of draws of each of them, (n,).
        filled: how many cells were filled, by column.
        source: what was filled, as it appears in messages.
        samples: draws for each row.
        notes: sentences on how the source was read, and on what was left as it is.
    """

    frame: "polars.DataFrame"
    frames: "list[polars.DataFrame]"
    rows: np.ndarray
    effective: np.ndarray
    filled: dict[str, int]
    source: str
    samples: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.frame)

    def __repr__(self) -> str:
        """Returns what was filled, and the first and last rows."""
        return f"{self.headline}\n{self.frame}"

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the rows as a table."""
        return self.frame._repr_html_()

    @property
    def headline(self) -> str:
        """How many cells were filled, in a sentence."""
        return describe_filled(self.filled, len(self.rows), len(self), self.source)

    @property
    def warning(self) -> str | None:
        """Of how many rows the imputations are poor, in a sentence, or None."""
        return warn_of_few(self.effective, self.samples)

    def to_pandas(self) -> Any:
        """Returns the frame as one of pandas, which must be installed."""
        return self.frame.to_pandas()


def impute(
    run: Run,
    source: DataSource | None = None,
    *,
    multiple: int | None = None,
    samples: int = IMPUTATION_SAMPLES,
    mode: str = "mean",
    seed: int = 0,
    progress: bool = True,
) -> Imputation:
    """Fills the gaps of a table by what a run has learned.

    What was observed is not touched. A gap is a cell that is missing, NaN, infinite, or a text that
    is one of the words for missing values, in a column that the run reads; other columns stay as
    they are, and so do cells that their column cannot hold, such as levels that the run does not
    know (`data.unseen`). `Imputation.frame` has the best single value in each gap: the mean of a
    number, the most probable level. These have too little spread to be analysed as if they had been
    seen; for that are the `multiple` frames, which are draws (Rubin 1987).

    Args:
        run: of the likelihood `Columns`, as of the recipe `table`.
        source: a path, a frame of Polars or pandas, an array (N, D) with NaN for gaps; None takes
            the run's own data.
        multiple: so many completed frames are drawn beside the one of single values.
        samples: draws of the latent variables for each row with gaps.
        mode: "mean" or "median", of numbers; with "median", levels with an order are filled by
            their median too.
        seed: of the draws; the same seed and the same source give the same frames.
        progress: whether long work shows how far it is.

    Raises:
        ConfigError: the run does not know the kinds of columns, or an argument has no such value.
        DataError: the source cannot be read, has none of the columns of the run, or has cells that
            are no values of their columns.
    """
    import polars

    completer = make_completer(run, multiple=multiple, samples=samples, mode=mode, seed=seed)
    table = open_table(run, source)
    filler = Filler(
        completer, table.name, table.columns, table.cells, unseen=run.recipe.data.unseen
    )
    parts = []
    with stages("impute", -(-table.rows // BLOCK), show=progress) as begin:
        filler.begin = lambda row: begin(f"row {row:,}")
        for frame in table.pieces(rows_of_a_piece(CHUNK, completer.multiple)):
            parts.append(filler.fill(frame))
    frames = []
    for copies in zip(*(part.frames for part in parts), strict=True):
        frames.append(polars.concat(copies, how="vertical_relaxed"))
    return Imputation(
        polars.concat([part.frame for part in parts], how="vertical_relaxed"),
        frames,
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.effective for part in parts]),
        filler.filled,
        table.name,
        completer.samples,
        (*table.notes, *filler.notes()),
    )


def make_completer(
    run: Run,
    *,
    multiple: int | None,
    samples: int,
    mode: str,
    seed: int,
    interval: float | None = None,
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
        interval=interval,
        seed=seed,
        given=run.schema.given,
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

"""Imputation of files: a table is read, filled and written piece by piece."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.files.texts import is_text
from ..errors import ConfigError, DataError
from ..run import Run
from ..system.files import exists, replacing_all
from ..system.progress import stages
from .completion import BLOCK, IMPUTATION_SAMPLES
from .filling import (
    CHUNK,
    LEAST_EFFECTIVE,
    Filler,
    Part,
    describe_filled,
    rows_of_a_piece,
    warn_of_few,
)
from .imputation import make_completer
from .sources import SourceTable, open_table
from .writing import Writer, refuse_other_endings, table_writer, tell_layout


@dataclass(frozen=True, eq=False)
class WrittenImputation:
    """What was filled in a file, and where it was written.

    Attributes:
        outs: the file of single imputations, then those of draws.
        rows: the number of rows.
        effective: the effective number of draws of each row with gaps, (n,).
        filled: how many cells were filled, by column.
        left: how many gaps there are in columns that the run does not fill, by column.
        source: what was filled.
        samples: draws for each row.
        notes: sentences on how the source was read and written.
    """

    outs: tuple[Path, ...]
    rows: int
    effective: np.ndarray
    filled: dict[str, int]
    left: dict[str, int]
    source: str
    samples: int
    notes: tuple[str, ...]

    @property
    def headline(self) -> str:
        """How many cells were filled, in a sentence."""
        return describe_filled(self.filled, len(self.effective), self.rows, self.source)

    @property
    def warning(self) -> str | None:
        """Of how many rows the imputations are poor, in a sentence, or None."""
        return warn_of_few(self.effective, self.samples)

    def describe(self) -> dict[str, Any]:
        """Returns what `impute --json` prints."""
        return {
            "out": str(self.outs[0]),
            "draws": [str(out) for out in self.outs[1:]],
            "source": self.source,
            "rows": self.rows,
            "rows_with_gaps": len(self.effective),
            "cells": sum(self.filled.values()),
            "filled": self.filled,
            "left": self.left,
            "samples": self.samples,
            "effective": self._effective(),
            "notes": list(self.notes),
            "warning": self.warning,
        }

    def _effective(self) -> dict[str, Any] | None:
        """Describes the effective numbers of draws; None without gaps."""
        if not len(self.effective):
            return None
        return {
            "median": float(np.median(self.effective)),
            "least": float(self.effective.min()),
            f"below_{LEAST_EFFECTIVE}": int((self.effective < LEAST_EFFECTIVE).sum()),
        }


def impute_file(
    run: Run,
    source: str | None,
    out: Path,
    *,
    multiple: int | None = None,
    samples: int = IMPUTATION_SAMPLES,
    mode: str = "mean",
    seed: int = 0,
    progress: bool = True,
) -> WrittenImputation:
    """Fills the gaps of a file into other files, in memory that does not grow with its rows.

    A text file has its observed cells as they are written in the source, and its separator,
    decimal mark, line of names and line ends. Files of draws, `NAME-1.ENDING` and so on, lie beside
    the one of single imputations. All are written whole, or none is.

    Args:
        run: see `impute`.
        source: the path of a table; None takes the run's own data.
        out: the file to write, a text file or a Parquet file by its ending.
        multiple: so many files of draws are written.
        samples: see `impute`.
        mode: see `impute`.
        seed: see `impute`.
        progress: whether long work shows how far it is.

    Raises:
        ConfigError: the run or an argument does not allow it, or a file to write is the source.
        DataError: the source cannot be read or does not fit the run.
        RunError: a file cannot be written.
    """
    refuse_other_endings(out)
    completer = make_completer(run, multiple=multiple, samples=samples, mode=mode, seed=seed)
    table = open_table(run, source)
    outs = (out, *draw_paths(out, completer.multiple))
    for path in outs:
        _refuse_source(path, table.path)
    filler = Filler(
        completer,
        table.name,
        table.columns,
        table.cells,
        as_texts=table.dialect is not None and is_text(out),
        unseen=run.recipe.data.unseen,
    )
    with replacing_all(outs) as temporaries, ExitStack() as files:
        writers = []
        for path, temporary in zip(outs, temporaries, strict=True):
            writers.append(files.enter_context(table_writer(path, temporary, table.dialect)))
        effective = _fill(table, filler, writers, progress)
    return WrittenImputation(
        outs,
        filler.read,
        effective,
        filler.filled,
        filler.left,
        table.name,
        samples,
        (*table.notes, *filler.notes(), *tell_layout(out, table.dialect)),
    )


def _fill(table: SourceTable, filler: Filler, writers: list[Writer], progress: bool) -> np.ndarray:
    """Fills and writes all pieces; returns the effective numbers of draws of rows with gaps."""
    effective = []
    with stages("impute", -(-table.rows // BLOCK), show=progress) as begin:
        filler.begin = lambda row: begin(f"row {row:,} of {table.rows:,}")
        for frame in table.pieces(rows_of_a_piece(CHUNK, filler.completer.multiple)):
            part = filler.fill(frame)
            _write(part, writers)
            effective.append(part.effective.astype(np.float32))
    if filler.read != table.rows:
        raise DataError(
            f"{table.name} has {table.rows} lines of values, and {filler.read} rows were read; see "
            "data.quote and data.separator"
        )
    return np.concatenate(effective)


def _write(part: Part, writers: list[Writer]) -> None:
    for writer, frame in zip(writers, (part.frame, *part.frames), strict=True):
        writer.write(frame)


def draw_paths(out: Path, count: int) -> list[Path]:
    """Names the files of draws: `name-1.csv`, `name-2.csv` beside `name.csv`."""
    ending = out.suffix
    if out.suffix.lower() == ".gz":
        ending = "".join(out.suffixes[-2:])
    stem = out.name.removesuffix(ending)
    return [out.with_name(f"{stem}-{number}{ending}") for number in range(1, count + 1)]


def _refuse_source(path: Path, source: Path | None) -> None:
    """Refuses to write over the table that is filled.

    Raises:
        ConfigError: the two are the same file.
    """
    if source is not None and exists(path) and path.samefile(source):
        raise ConfigError(f"--out {path} is the table that is filled; allowed: another file")

"""The laws of data sources: what every kind of file keeps."""

from pathlib import Path

import numpy as np

from ..data.files.sources import Source, Wanted
from ..data.schema import KINDS
from ..errors import DataError
from .spec import require


def check_source(source: Source, path: Path, *, wanted: Wanted | None = None) -> None:
    """Checks a kind of source on a file or folder that it reads.

    It claims the path by its name alone, says in `summary` what it reads, gives the same values
    twice, keeps the promises of `Raw` on kinds, levels, labels and the training part, and refuses
    an empty file of that name with one line that names it.

    Raises:
        AssertionError: says which law was broken.
    """
    name = type(source).__name__
    wanted = wanted or Wanted()
    require(isinstance(source.summary, str) and source.summary, f"{name} has no summary")
    require(source.claims(path), f"{name} does not claim {path.name}")
    raw = source.read(path, wanted)
    again = source.read(path, wanted)
    require(raw.kind in KINDS, f"{name} gave the kind {raw.kind!r}")
    require(
        raw.values.ndim == 1 + KINDS[raw.kind],
        f"{name} gave values of shape {raw.values.shape} for the kind {raw.kind}",
    )
    require(np.array_equal(raw.values, again.values), f"{name} gives other values the second time")
    if raw.levels is not None:
        least = raw.values.min()
        greatest = raw.values.max()
        require(
            least >= 0 and greatest <= raw.levels - 1,
            f"{name} gave values from {least} to {greatest} on {raw.levels} levels",
        )
    if raw.train is not None:
        require(0 < raw.train < len(raw.values), f"{name} gave a training part of {raw.train}")
    if raw.columns:
        require(
            len(raw.columns) == raw.values.shape[1],
            f"{name} gave {len(raw.columns)} names for {raw.values.shape[1]} columns",
        )
    if path.is_file():
        _check_empty(source, path, wanted)


def _check_empty(source: Source, path: Path, wanted: Wanted) -> None:
    """An empty file is one line that names it."""
    name = type(source).__name__
    empty = path.with_name(f"empty-{path.name}")
    empty.write_bytes(b"")
    try:
        source.read(empty, wanted)
    except DataError as error:
        require(empty.name in str(error), f"{name} refuses an empty file without its name: {error}")
        require("\n" not in str(error), f"{name} refuses an empty file in several lines")
    else:
        raise AssertionError(f"{name} reads an empty file")
    finally:
        empty.unlink()

"""The laws of data sources: what every kind of file keeps."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..data.files.sources import Raw, Source, Wanted
from ..data.schema import KINDS
from ..errors import DataError
from .spec import require

STRANGE = "x.lowerbound-no-such-kind"
"""The name of a file that no kind of source reads."""


def check_source(source: Source, path: Path, *, wanted: Wanted | None = None) -> None:
    """Checks a kind of source on a file or folder that it reads.

    The laws: its `summary` says what it reads; it claims the path by name alone, and no others; it
    gives the same values twice and leaves the files as they are; it keeps the promises of `Raw`; it
    gives the columns that are wanted, in the order wanted; empty files are refused, with one line
    that names the path; files that were cut off are read or refused so.

    Args:
        source: the kind of source.
        path: a small file or folder, of which copies are damaged; it is left as it is.
        wanted: what is asked of the source.

    Raises:
        AssertionError: says which law was broken.
    """
    name = type(source).__name__
    wanted = wanted or Wanted()
    require(isinstance(source.summary, str) and source.summary, f"{name} has no summary")
    require(source.claims(path), f"{name} does not claim {path.name}")
    before = _read_bytes(path)
    raw = source.read(path, wanted)
    _check_promises(name, raw, path)
    if raw.columns:
        _check_columns(source, path, wanted, raw)
    _check_repeated(name, raw, source.read(path, wanted))
    require(_read_bytes(path) == before, f"{name} changes what it reads")
    with tempfile.TemporaryDirectory() as folder:
        _check_claims(source, path, Path(folder))
        _check_damaged(source, path, wanted, Path(folder))


def _files_of(path: Path) -> list[Path]:
    """Returns the file, or all files of the folder."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _read_bytes(path: Path) -> dict[Path, bytes]:
    """Returns what is in each file."""
    return {file: file.read_bytes() for file in _files_of(path)}


def _check_promises(name: str, raw: Raw, path: Path) -> None:
    """Checks what a source says of its values against the values."""
    values = raw.values
    require(path.name in raw.name, f"{name} names the source {raw.name!r}")
    require(
        raw.kind in KINDS and raw.kind != "interactions",
        f"{name} gave the kind {raw.kind!r}",
    )
    require(
        values.ndim == 1 + KINDS[raw.kind],
        f"{name} gave values of shape {values.shape} for the kind {raw.kind}",
    )
    require(values.dtype.kind in "buif", f"{name} gave values of type {values.dtype}")
    require(np.isfinite(values).all(), f"{name} gave values that are not finite")
    if raw.levels is not None:
        least = values.min()
        greatest = values.max()
        require(
            least >= 0 and greatest <= raw.levels - 1,
            f"{name} gave values from {least} to {greatest} on {raw.levels} levels",
        )
        require(
            np.array_equal(values, np.round(values)),
            f"{name} gave values between {raw.levels} levels",
        )
    if raw.train is not None:
        require(0 < raw.train < len(values), f"{name} gave a training part of {raw.train}")
    require(
        bool(raw.columns) == (raw.kind == "table"),
        f"{name} gave {len(raw.columns)} names of columns for the kind {raw.kind}",
    )


def _check_columns(source: Source, path: Path, wanted: Wanted, raw: Raw) -> None:
    """Checks the names of the columns of a table, and that they come as they are asked for."""
    name = type(source).__name__
    require(
        len(raw.columns) == raw.values.shape[1],
        f"{name} gave {len(raw.columns)} names for {raw.values.shape[1]} columns",
    )
    chosen = raw.columns[::-1]
    turned = source.read(path, replace(wanted, columns=chosen))
    require(
        turned.columns == chosen and np.array_equal(turned.values, raw.values[:, ::-1]),
        f"{name} gave the columns {turned.columns} where {chosen} were wanted",
    )


def _check_repeated(name: str, raw: Raw, again: Raw) -> None:
    """Checks that a second reading gives the same."""
    require(
        np.array_equal(raw.values, again.values),
        f"{name} gives other values the second time",
    )
    if raw.labels is not None and again.labels is not None:
        is_same = np.array_equal(raw.labels, again.labels)
    else:
        is_same = raw.labels is again.labels
    require(is_same, f"{name} gives other labels the second time")
    for field in ("name", "kind", "levels", "train", "columns"):
        require(
            getattr(raw, field) == getattr(again, field),
            f"{name} gives another value of {field} the second time",
        )


def _check_claims(source: Source, path: Path, folder: Path) -> None:
    """Checks that names decide: an empty file of the name is claimed, another name is not.

    A source that is a `fallback` may claim every folder.
    """
    name = type(source).__name__
    empty = _copy(path, folder / "named", keep=0.0)
    require(source.claims(empty), f"{name} does not claim {path.name} by its name alone")
    strange = folder / STRANGE
    if path.is_file():
        strange.write_bytes(path.read_bytes())
    else:
        strange.mkdir()
    if path.is_file() or not source.fallback:
        require(not source.claims(strange), f"{name} claims {STRANGE}, which is of no kind")


def _check_damaged(source: Source, path: Path, wanted: Wanted, folder: Path) -> None:
    """Checks that empty files are refused, and files without their second half read or refused."""
    name = type(source).__name__
    empty = _copy(path, folder / "empty", keep=0.0)
    is_read = _read_or_refuse(source, empty, wanted, "an empty file")
    require(not is_read, f"{name} reads an empty file")
    half = _copy(path, folder / "half", keep=0.5)
    _read_or_refuse(source, half, wanted, "half a file")


def _copy(path: Path, folder: Path, keep: float) -> Path:
    """Copies a file or folder into a new folder, a fraction of the bytes of each file."""
    folder.mkdir()
    copied = folder / path.name
    if path.is_file():
        shutil.copyfile(path, copied)
    else:
        shutil.copytree(path, copied)
    for file in _files_of(copied):
        content = file.read_bytes()
        file.write_bytes(content[: int(keep * len(content))])
    return copied


def _read_or_refuse(source: Source, path: Path, wanted: Wanted, what: str) -> bool:
    """Says whether a damaged file is read; one that is refused must be refused in one line."""
    name = type(source).__name__
    try:
        source.read(path, wanted)
    except DataError as error:
        message = str(error)
    except Exception as error:
        problem = f"{type(error).__name__}, not with DataError"
        raise AssertionError(f"{name} refuses {what} with {problem}: {error}") from error
    else:
        return True
    require(path.name in message, f"{name} refuses {what} without its name: {message}")
    require("\n" not in message, f"{name} refuses {what} in several lines")
    return False

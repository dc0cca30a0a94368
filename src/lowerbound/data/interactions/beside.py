"""Tables beside a log: of its items, or of its users."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError
from ...system.files import is_file
from ..files.dialect import PACKED
from ..files.limits import refuse_bomb
from ..files.tables import scan_parquet, text_bytes
from ..files.texts import TEXTS, is_text, scan_texts
from .columns import find_named, find_usual
from .forms import guarded
from .logs import find_log_dialect

if TYPE_CHECKING:
    from polars import DataFrame


def refuse_no_table(path: Path, key: str, rows: str) -> None:
    """Refuses a path that cannot be a table beside a log.

    Args:
        path: of a file.
        key: the key of a recipe that names it.
        rows: what its rows are, "items" or "users".

    Raises:
        DataError: there is no such file, or its ending is not that of a table.
    """
    if not is_text(path) and path.suffix.lower() != ".parquet":
        raise DataError(
            f"{key}={path} is no file of {rows}; allowed: {', '.join(TEXTS)} (also with "
            f"{', '.join(PACKED)}), .parquet"
        )
    if not is_file(path):
        raise DataError(f"{key}={path}: there is no such file")


def is_nested(dtype: Any) -> bool:
    """Says whether a type is one of lists, structures or bytes, which are not unpacked: in a file,
    few bytes may stand for any number of them.
    """
    import polars

    return bool(dtype.is_nested() or dtype == polars.Binary)


def read_parquet(path: Path) -> "DataFrame":
    """Reads the columns of a Parquet file that hold plain values.

    Raises:
        DataError: it claims more than its size warrants.
    """
    frame = scan_parquet(path)
    flat = [name for name, dtype in frame.collect_schema().items() if not is_nested(dtype)]
    collected = frame.select(flat).collect()
    refuse_bomb(path, text_bytes(collected), path.stat().st_size)
    return collected


def read_beside(path: Path, read_text: "Callable[[Path], DataFrame]") -> "DataFrame":
    """Reads a table: a text file by `read_text`, or a Parquet file."""
    if is_text(path):
        return read_text(path)
    return read_parquet(path)


def read_pairs(path: Path, option: str) -> "DataFrame":
    """Reads a text or Parquet file of users and items, one pair a row, with all its columns.

    Args:
        path: the file.
        option: what the path was given as, for messages.

    Raises:
        DataError: it cannot be read.
    """
    refuse_no_table(path, option, "users and items")

    def read_text(path: Path) -> "DataFrame":
        return scan_texts(path, find_log_dialect(path)).collect()

    return guarded(str(path), lambda: read_beside(path, read_text), "users and items")


def find_ids(names: list[str], asked: str, usual: tuple[str, ...]) -> str | None:
    """Finds the column of ids: called as that of the log, by a usual name, or "id"; or None."""
    named = find_named(names, asked)
    if named is not None:
        return named
    return next(iter(find_usual(names, (*usual, "id"))), None)

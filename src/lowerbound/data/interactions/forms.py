"""The forms of files of interactions: texts, and those whose columns have types."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, LowerboundError
from ...system.files import refuse_special
from ..files.arrow import scan_arrow
from ..files.copies import unpack
from ..files.dialect import PACKED, is_packed
from ..files.limits import refuse_bomb, refuse_packed, refuse_zip_bomb
from ..files.sources import reason
from ..files.tables import scan_parquet
from ..files.texts import TEXTS
from .matrices import matrix_frame

if TYPE_CHECKING:
    from polars import LazyFrame

MOST_KEYS = 1000
"""The objects of a JSON file may have this many different keys."""


def _scan_json(path: Path) -> "LazyFrame":
    """Scans a file of JSON objects, whose keys are columns: one object on each line, or one array
    of them.

    Raises:
        DataError: it is compressed though its name does not say so, unpacks to too much, or there
            are more than `MOST_KEYS` keys.
    """
    import polars

    plain = path
    if is_packed(path):
        plain = unpack(path)
    refuse_packed(plain)
    if _begins_array(plain):
        frame = polars.read_json(plain, infer_schema_length=None).lazy()
    else:
        frame = polars.scan_ndjson(plain, infer_schema_length=None)
    width = len(frame.collect_schema())
    if width > MOST_KEYS:
        raise DataError(f"{path} has lines with {width} keys in all; allowed: {MOST_KEYS}")
    return frame


def _begins_array(path: Path) -> bool:
    """Says whether the first character of a JSON file that is no blank begins an array."""
    refuse_special(path)
    with path.open("rb") as file:
        return file.read(1000).lstrip().startswith(b"[")


def _scan_npz(path: Path) -> "LazyFrame":
    """Reads a SciPy matrix: rows are users, columns are items, and values are weights."""
    from scipy.sparse import load_npz

    refuse_zip_bomb(path)
    stored = load_npz(path)  # which reads no pickles
    # SciPy follows a matrix's offsets out of bounds, so they are checked before any use.
    if hasattr(stored, "check_format"):
        stored.check_format(full_check=True)
    # A matrix by rows needs this memory even if it holds nothing.
    refuse_bomb(path, 8 * stored.shape[0], path.stat().st_size)
    return matrix_frame(stored).lazy()


JSON = (".jsonl", ".ndjson", ".json")
"""Files of JSON objects have one of these endings, also with one of `PACKED` after it."""


def _packed(endings: tuple[str, ...]) -> list[str]:
    """Lists some endings with each of `PACKED` after them."""
    return [f"{ending}{packed}" for ending in endings for packed in PACKED]


SCANS: "dict[str, Callable[[Path], LazyFrame]]" = {
    ".parquet": scan_parquet,
    ".feather": scan_arrow,
    ".arrow": scan_arrow,
    ".ipc": scan_arrow,
    ".npz": _scan_npz,
    **dict.fromkeys((*JSON, *_packed(JSON)), _scan_json),
}
"""The function that scans a file that is no text, by the file's ending."""


ENDINGS = (*TEXTS, *_packed(TEXTS), *SCANS)
"""Files of interactions have one of these endings."""


ALLOWED = (
    f"{', '.join((*TEXTS, *JSON))} (also with {', '.join(PACKED)}), .parquet, .feather, .arrow, "
    ".ipc, .npz"
)
"""The endings of files of interactions, for messages."""


def find_ending(path: Path) -> str | None:
    """Finds the ending of a file among `ENDINGS`, whatever its case; None for others."""
    name = path.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), None)


def guarded(name: str, read: Callable[[], Any], content: str = "interactions") -> Any:
    """Returns what `read` returns, and makes a `DataError` of any error of a library.

    Args:
        name: the source as it appears in messages.
        read: a function that reads the source, or a part of it.
        content: what the source should hold, as the message says it.

    Raises:
        DataError: a library cannot read the source. The message is one line that names it.
    """
    from polars.exceptions import PanicException

    try:
        return read()
    except LowerboundError:
        raise
    # The readers raise many kinds of errors for a damaged file.
    except (Exception, PanicException) as error:
        raise DataError(f"{name} cannot be read as {content}: {reason(error)}") from None

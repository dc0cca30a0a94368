"""A file of labels beside a folder of pictures: a text with a column of files and one of labels."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from ...errors import DataError, one_line
from ...system.files import expand_home, is_file
from .dialect import TextFormat
from .folders import Listing, composed, readable, shown
from .sources import reason
from .texts import find_dialect, scan_texts

FILE_COLUMNS = (
    "file",
    "filename",
    "file_name",
    "image",
    "image_name",
    "image_id",
    "imagename",
    "path",
    "filepath",
    "file_path",
    "img",
    "name",
    "id",
)
"""A column of one of these names, in any case, names the pictures. The first that is there does."""

LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "y", "species")
"""A column of one of these names has the labels."""


def find_labels(root: Path, labels: str) -> Path:
    """Finds a file of labels by its path, or by its path below the folder of pictures.

    Raises:
        DataError: there is none.
    """
    for path in (expand_home(labels), root / labels):
        if is_file(path):
            return path
    raise DataError(
        f"there is no file of labels {labels!r}, nor in {one_line(root, 160)}; data.labels is the "
        "path of a .csv with a column of files and one of labels"
    )


def add_labels(listing: Listing, path: Path, text: TextFormat) -> Listing:
    """Gives pictures the labels that a file has for them, in place of the names of their folders.

    A picture is named by its path below the folder, or by its name alone where no other has it,
    with or without the suffix. One that is not named has the empty label.

    Raises:
        DataError: the file cannot be read, names a picture twice, or names none of them.
    """
    header, rows, notes = _read_rows(path, text)
    if _names_picture(header, listing):
        rows.insert(0, tuple(header))
        header = [f"column_{place + 1}" for place in range(len(header))]
    file_place, label_place = _choose_columns(header)
    if not rows:
        raise DataError(f"{_show(path)} holds no labels: it has its header and no other line")
    label_of = _to_mapping(rows, file_place, label_place, path)
    keys = [_first_known(keys, label_of) for keys in _keys(listing)]
    used = {key for key in keys if key is not None}
    if not used:
        raise DataError(
            f"{_show(path)} names none of the {len(listing.names):,} images of "
            f"{_show(listing.root)} in its column {one_line(header[file_place], 60)!r}, which "
            f"begins with {one_line(rows[0][file_place], 80)!r}; the first image is "
            f"{shown(listing.names[:1])}"
        )
    labels = np.array([label_of.get(key or "", "") for key in keys])
    missing = [name for name, key in zip(listing.names, keys, strict=True) if key is None]
    note = (
        f"labels are those of {_show(path)}, column {one_line(header[label_place], 60)!r} by "
        f"{one_line(header[file_place], 60)!r}"
    )
    if missing:
        note += f"; {len(missing):,} images are not in it and have none: {shown(missing)}"
    if len(label_of) > len(used):
        note += f"; {len(label_of) - len(used):,} of its rows name no image that is there"
    return replace(listing, labels=labels, notes=(*listing.notes, note, *notes))


def _first_known(keys: Sequence[str], known: Mapping[str, str]) -> str | None:
    """Returns the first key that is known, or None."""
    return next((key for key in keys if key in known), None)


def _show(path: Path) -> str:
    """Writes a path for a message."""
    return one_line(readable(str(path)), 160)


def _read_rows(
    path: Path, text: TextFormat
) -> tuple[Sequence[str], list[tuple[str, ...]], tuple[str, ...]]:
    """Reads the names of the columns and the fields of all lines.

    Returns:
        The names, the rows, and sentences on how the file is written.

    Raises:
        DataError: the file cannot be read, or has fewer than two columns.
    """
    from polars.exceptions import PanicException, PolarsError

    try:
        dialect = find_dialect(path, text)
        frame = scan_texts(path, dialect).fill_null("").collect()
    except DataError:
        raise
    except (OSError, ValueError, PolarsError, PanicException) as error:
        raise DataError(f"{_show(path)} cannot be read as labels: {reason(error)}") from None
    if frame.width < 2:
        raise DataError(
            f"{_show(path)} cannot be read as labels: it needs a column of files and one of "
            "labels; data.separator names what parts them"
        )
    return frame.columns, frame.rows(), dialect.notes()


def _names_picture(row: Sequence[str], listing: Listing) -> bool:
    """Says whether a row, which may be a header, names a picture."""
    known = {key for keys in _keys(listing) for key in keys}
    return _to_key(row[0]) in known


def _choose_columns(header: Sequence[str]) -> tuple[int, int]:
    """Returns the positions of the column of files and of that of labels: by name, or else the
    first two.
    """
    words = [word.strip().lower() for word in header]
    file_place = next((words.index(name) for name in FILE_COLUMNS if name in words), None)
    label_place = next((words.index(name) for name in LABEL_COLUMNS if name in words), None)
    others = [place for place in range(len(words)) if place not in (file_place, label_place)]
    if file_place is None:
        file_place = others.pop(0)
    if label_place is None:
        label_place = others.pop(0)
    return file_place, label_place


def _to_mapping(
    rows: Sequence[Sequence[str]], file_place: int, label_place: int, path: Path
) -> dict[str, str]:
    """Returns the label of each file that is named.

    Raises:
        DataError: a file has two labels.
    """
    label_of: dict[str, str] = {}
    for row in rows:
        if len(row) <= max(file_place, label_place):
            continue
        key = _to_key(row[file_place])
        label = composed(row[label_place].strip())
        if label_of.setdefault(key, label) != label:
            raise DataError(
                f"{_show(path)} has two labels for {one_line(key, 100)}: "
                f"{one_line(label_of[key], 60)!r} and {one_line(label, 60)!r}; allowed: one"
            )
    return label_of


def _to_key(name: str) -> str:
    """Writes the name of a file as it is compared: with "/", without "./", accents in one way."""
    return composed(name.strip().replace("\\", "/").removeprefix("./"))


def _keys(listing: Listing) -> Iterator[list[str]]:
    """Yields the names by which each picture may be known, the fullest first."""
    paths = [PurePosixPath(composed(readable(name))) for name in listing.names]
    names = Counter(path.name for path in paths)
    stems = Counter(path.stem for path in paths)
    for path in paths:
        keys = [str(path), f"{listing.root.name}/{path}", str(path.with_suffix(""))]
        if names[path.name] == 1:
            keys.append(path.name)
        if stems[path.stem] == 1:
            keys.append(path.stem)
        yield keys

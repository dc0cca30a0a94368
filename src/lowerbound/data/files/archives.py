"""Files of several arrays by name, `.npz` and HDF5: which array is what is found from the names.

Members whose names say nothing are not read, and neither are pickles.
"""

import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, one_line
from ...system.machine import refuse_beyond_memory
from .arrays import PARTS, from_array, join_parts, refuse_other_file
from .limits import refuse_bomb, refuse_zip_bomb
from .sources import Raw, Source, Wanted, reason

VALUE_WORDS = (
    "images",
    "data",
    "x",
    "values",
    "image",
    "imgs",
    "img",
    "arr_0",
    "inputs",
    "features",
    "samples",
    "pixels",
)
"""A member with one of these names holds the values; of several the first in this order counts."""

LABEL_WORDS = ("labels", "label", "y", "targets", "target", "classes", "arr_1")
"""A member with one of these names holds the labels."""

PART_WORDS = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""A name that begins or ends with one of these words is of a part of the source."""

WORD_ENDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[ ./-]+")
"""A name of a member is parted into words here, and at underscores."""

SHOWN = 8
"""A message shows this many members."""


@dataclass(frozen=True)
class Member:
    """An array by its name, of which nothing but its header was read.

    Attributes:
        shape: of the array.
        dtype: of the array; that of objects where nothing can be read.
        read: returns the array.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def holds_numbers(self) -> bool:
        """Whether the array may be the values of examples."""
        return self.dtype.kind in "buif" and len(self.shape) >= 2


class Name:
    """What the name of a member says of it.

    Attributes:
        part: "train", "validation" or "test"; None where the name says nothing of parts.
        word: a word of `VALUE_WORDS` or `LABEL_WORDS`, "" for a name that is nothing but a part,
            and None for a name that says nothing.
    """

    def __init__(self, name: str) -> None:
        words = [word for word in WORD_ENDS.sub("_", name).lower().split("_") if word]
        self.part: str | None = None
        for place in (0, -1):
            if self.part is None and words and words[place] in PART_WORDS:
                self.part = PART_WORDS[words.pop(place)]
        rest = "_".join(words)
        self.word: str | None = None
        if rest in VALUE_WORDS or rest in LABEL_WORDS or (self.part and not rest):
            self.word = rest

    @property
    def is_values(self) -> bool:
        """Whether the member holds the values of examples."""
        return self.word is not None and self.word not in LABEL_WORDS

    @property
    def is_labels(self) -> bool:
        """Whether the member holds labels."""
        return self.word in LABEL_WORDS


def read_members(members: Mapping[str, Member], name: str, may_have_gaps: bool = False) -> Raw:
    """Reads those of some arrays that are the examples and their labels.

    Args:
        members: arrays by their names.
        name: the source as it appears in messages.
        may_have_gaps: see `from_array`.

    Raises:
        DataError: no array is known to hold the examples, or it cannot be used.
        ShapeError: an array has another number of axes, or parts do not fit each other.
    """
    chosen = _choose_values(members, name)
    notes = []
    if not any(Name(key).is_values for key in chosen.values()):
        notes.append(f"the examples are read from {next(iter(chosen.values()))!r}")
    arrays = {}
    for part, key in chosen.items():
        arrays[part] = _read(members[key], key, name)
    if len(arrays) == 1:
        values = {"values": next(iter(arrays.values()))}
    else:
        values = join_parts(arrays, name)
    labels, note = _read_labels(members, arrays, name)
    if note:
        notes.append(note)
    notes += _tell_others(members, chosen)
    return from_array(name=name, labels=labels, notes=notes, may_have_gaps=may_have_gaps, **values)


def _read(member: Member, key: str, name: str) -> np.ndarray:
    """Reads the array of a member.

    Raises:
        DataError: it holds Python objects, which only a pickle holds.
    """
    if member.dtype.kind == "O":
        raise DataError(
            f"{name} holds Python objects as {key!r}, in a pickle, which is never read; save it as "
            "texts or numbers (.astype(str) in NumPy)"
        )
    return member.read()


def _choose_values(members: Mapping[str, Member], name: str) -> dict[str, str]:
    """Chooses the members that hold the examples: their names by parts, or one as "all"."""
    named = {key: member for key, member in members.items() if Name(key).is_values}
    usable = {key: member for key, member in named.items() if member.holds_numbers}
    parts: dict[str | None, dict[str, str]] = {}
    for key in usable or named:
        found = Name(key)
        parts.setdefault(found.part, {})[str(found.word)] = key
    if None in parts:
        return {"all": _first_by_word(parts[None])}
    by_part: dict[str, str] = {}
    for part in PARTS:
        if part in parts:
            by_part[part] = _first_by_word(parts[part])
    if "train" in by_part or len(by_part) == 1:
        return by_part
    return {"all": _guess_values(members, name)}


def _first_by_word(keys: Mapping[str, str]) -> str:
    """Returns the key whose word stands first in `VALUE_WORDS`; a bare part stands before all."""
    order = ("", *VALUE_WORDS)
    return keys[min(keys, key=order.index)]


def _guess_values(members: Mapping[str, Member], name: str) -> str:
    """Finds the one member that may be images, or else vectors, where no name says so.

    Raises:
        DataError: there is none, or there are several.
    """
    for axes in ((3, 4), (2,)):
        fitting = []
        for key, member in members.items():
            if member.holds_numbers and len(member.shape) in axes and not Name(key).is_labels:
                fitting.append(key)
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            break
    held = []
    for key, member in list(members.items())[:SHOWN]:
        held.append(f"{key} {member.shape}")
    if len(members) > SHOWN:
        held.append(f"... ({len(members)})")
    shown = one_line(", ".join(held) or "nothing", 300)
    raise DataError(
        f"{name} holds {shown}; allowed: the examples as one of {', '.join(VALUE_WORDS[:4])}, "
        "arr_0, or as train and test (x_train, train_images, ...), and labels (y, y_train, ...); "
        "or one array alone"
    )


def _read_labels(
    members: Mapping[str, Member], values: Mapping[str, np.ndarray], name: str
) -> tuple[np.ndarray | None, str | None]:
    """Reads the labels of the examples, where each part has some or one member has all.

    Args:
        members: arrays by their names.
        values: the values by the parts of the source, or those of "all".
        name: the source as it appears in messages.

    Returns:
        The labels (N,), or None; and what must be said of labels that are left out, or None.

    Raises:
        DataError: there are more or fewer than examples.
    """
    keys: dict[str | None, str] = {}
    for key in members:
        found = Name(key)
        if found.is_labels:
            keys.setdefault(found.part, key)
    if not keys:
        return None, None
    total = sum(len(part) for part in values.values())
    if None in keys:
        return _as_column(_read(members[keys[None]], keys[None], name), total, keys[None], name)
    columns = []
    for part, examples in values.items():
        if part not in keys:
            return None, f"labels are left out: the part {part} has none"
        key = keys[part]
        labels, note = _as_column(_read(members[key], key, name), len(examples), key, name)
        if labels is None:
            return None, note
        columns.append(labels)
    return np.concatenate(columns), None


def _tell_others(members: Mapping[str, Member], chosen: Mapping[str, str]) -> list[str]:
    """Names the members that are neither the examples nor labels."""
    others = []
    for key, member in members.items():
        if key not in chosen.values() and not Name(key).is_labels:
            others.append(f"{key} {member.shape}")
    if not others:
        return []
    shown = ", ".join(others[:SHOWN])
    if len(others) > SHOWN:
        shown += f", ... ({len(others)})"
    return [f"arrays that are not read: {one_line(shown, 300)}"]


def _as_column(
    labels: np.ndarray, count: int, key: str, name: str
) -> tuple[np.ndarray | None, str | None]:
    """Returns labels (N,) or (N, 1) as (N,); or None, and why they are left out.

    Raises:
        DataError: there is another number of them than `count`.
    """
    if labels.ndim == 0 or len(labels) != count:
        raise DataError(
            f"{name} has labels of shape {labels.shape} as {key!r}; allowed: ({count},), one an "
            "example"
        )
    if labels.size != count:
        return None, f"{key!r} of shape {labels.shape} is left out: labels are one an example"
    return labels.reshape(count), None


class Npz(Source):
    """Arrays in a `.npz` file, found by their names."""

    summary = (
        "a .npz file with images, data, x or values (or x_train and x_test, train and test), and "
        "perhaps labels"
    )

    def claims(self, path: Path) -> bool:
        """Says whether the file has the suffix .npz."""
        return path.is_file() and path.suffix.lower() == ".npz"

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Loads those arrays of the file that are needed.

        Raises:
            DataError: it is no archive, has no known array, or holds objects.
        """
        try:
            refuse_other_file(path, ".npz")
            refuse_zip_bomb(path)
            # An NpzFile decompresses an array when it is asked for: the errors of that are caught
            # here too.
            with (
                warnings.catch_warnings(action="ignore"),
                np.load(path, allow_pickle=False) as arrays,
            ):
                return read_members(_members_of_zip(arrays), str(path), wanted.is_mixed)
        except DataError:
            raise
        # NumPy and what it calls raise many kinds of errors for a file that is damaged.
        except Exception as error:
            raise DataError(
                f"{path} cannot be read as an .npz file of numbers: {reason(error)}"
            ) from None


def _members_of_zip(arrays: Any) -> dict[str, Member]:
    """Reads the headers of the arrays in an archive; other members are left out."""
    members = {}
    for key in arrays.files:
        try:
            shape, dtype = _read_header(arrays.zip, f"{key}.npy")
        except (KeyError, ValueError):
            continue
        members[key] = Member(shape, dtype, _reader(arrays, key))
    return members


def _read_header(archive: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], np.dtype]:
    """Reads the shape and the type of an array in an archive.

    Raises:
        KeyError: there is no such member.
        ValueError: it is no array.
    """
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype


def _reader(arrays: Mapping[str, Any], key: str) -> Callable[[], np.ndarray]:
    """Returns a function that reads an array of an archive or of a group."""

    def read() -> np.ndarray:
        return np.asarray(arrays[key])

    return read


HDF5_ENDINGS = (".h5", ".hdf5", ".hdf")
"""Files with these suffixes are HDF5 files."""


class Hdf5(Source):
    """Arrays in an HDF5 file, found by their names; one that lies in one piece is memory-mapped."""

    summary = "an HDF5 file (.h5, .hdf5) with arrays as a .npz file has them"

    def claims(self, path: Path) -> bool:
        """Says whether the file has one of the suffixes `HDF5_ENDINGS`."""
        return path.is_file() and path.suffix.lower() in HDF5_ENDINGS

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Reads those arrays of the file that are needed.

        Raises:
            DataError: h5py is not installed, it is no HDF5 file, or has no known array.
        """
        refuse_other_file(path, "HDF5")
        try:
            with _open_hdf5(path) as file:
                return read_members(_members_of_hdf5(file, path), str(path), wanted.is_mixed)
        except DataError:
            raise
        # h5py raises many kinds of errors for a file that is damaged.
        except Exception as error:
            raise DataError(f"{path} cannot be read as an HDF5 file: {reason(error)}") from None


def _open_hdf5(path: Path) -> AbstractContextManager[Any]:
    """Opens an HDF5 file.

    Raises:
        DataError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise DataError(
            f'{path} is an HDF5 file, which h5py reads: pip install "lowerbound[hdf5]"'
        ) from None
    file: AbstractContextManager[Any] = h5py.File(path, "r")
    return file


def _members_of_hdf5(file: Any, path: Path) -> dict[str, Member]:
    """Lists the arrays of all groups of a file, by names such as train/images.

    Links are not followed, so that nothing outside the file is read.
    """
    members: dict[str, Member] = {}

    def add(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and item.shape is not None:
            members[name] = Member(item.shape, item.dtype, lambda: _read_dataset(item, name, path))

    file.visititems(add)
    return members


def _read_dataset(dataset: Any, name: str, path: Path) -> np.ndarray:
    """Maps an array of an HDF5 file where it lies in one piece, and reads it elsewhere.

    Raises:
        DataError: its values lie in other files, or it claims more than the file can hold.
    """
    if dataset.external or dataset.is_virtual:
        raise DataError(f"{path} has {one_line(repr(name), 80)} in other files, which are not read")
    offset = dataset.id.get_offset()
    is_plain = dataset.dtype.kind in "buif" and dataset.size
    if offset is not None and is_plain:
        return np.memmap(path, dataset.dtype, "r", offset, dataset.shape)
    refuse_bomb(path, dataset.nbytes, path.stat().st_size)
    refuse_beyond_memory(-(-dataset.nbytes // 4), f"the values of {path}")
    return np.asarray(dataset[()])

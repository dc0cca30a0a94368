"""What lies in a folder of pictures: the files in their order, their parts and their classes."""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from ...errors import DataError, one_line

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".webp",
    ".tif",
    ".tiff",
    ".bmp",
    ".dib",
    ".gif",
    ".pgm",
    ".ppm",
    ".pbm",
    ".pnm",
)
"""The names of pictures end in one of these."""

OTHER_PICTURES = (
    ".heic",
    ".heif",
    ".avif",
    ".jp2",
    ".jxl",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".dng",
    ".raf",
    ".orf",
    ".rw2",
)
"""Pictures whose names end so are not read. Some begin as a TIFF file, which holds a thumbnail."""

NO_PICTURES = (
    ".csv",
    ".tsv",
    ".txt",
    ".md",
    ".json",
    ".jsonl",
    ".xml",
    ".html",
    ".yaml",
    ".yml",
    ".toml",
    ".ini",
    ".log",
    ".py",
    ".db",
    ".npy",
    ".npz",
    ".parquet",
    ".zip",
    ".pdf",
)
"""Files whose names end so are no pictures, and are not looked into."""

BEGINNINGS = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*", re.DOTALL
)
"""A file of any other name is a picture if it begins so."""

SYSTEM_FILES = ("thumbs.db", "desktop.ini")
"""Systems leave these files in folders; names that begin with a dot are passed over too."""

PARTS: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""Folders of these names, in any case, are the parts of a source."""

SHOWN = 3
"""A message names this many files."""


@dataclass(frozen=True, eq=False)
class Listing:
    """The pictures of a source, before any is opened.

    Attributes:
        root: the folder.
        names: the path of each picture below the folder, parted by "/". The source's own parts
            stand in this order: train, validation, test; within each the order is natural.
        labels: the class of each, (N,), or None.
        train: see `Raw`.
        validation: see `Raw`.
        notes: sentences on what was found.
    """

    root: Path
    names: tuple[str, ...]
    labels: np.ndarray | None = None
    train: int | None = None
    validation: int | None = None
    notes: tuple[str, ...] = ()

    def paths(self) -> list[Path]:
        """Returns the path of each picture."""
        return [self.root / name for name in self.names]

    def take(self, rows: np.ndarray) -> "Listing":
        """Returns the pictures at `rows`, which ascend."""
        labels = self.labels
        if labels is not None:
            labels = labels[rows]
        train = self.train
        validation = self.validation
        if validation is not None:
            before = len(self.names) - validation
            if train is not None:
                before = train
            validation = int(np.sum((rows >= before) & (rows < before + validation)))
        if train is not None:
            train = int(np.sum(rows < train))
        names = tuple(self.names[row] for row in rows)
        return replace(self, names=names, labels=labels, train=train, validation=validation)


def natural_key(name: str) -> tuple[object, ...]:
    """Returns the key by which paths are sorted: numbers by their value, frame_2 before frame_10.

    How accents are encoded does not matter.
    """
    parts = []
    for part in PurePosixPath(composed(name)).parts:
        # Texts and numbers alternate, so that only like is compared with like.
        pieces: list[str | int] = list(re.split(r"([0-9]+)", part))
        pieces[1::2] = map(int, pieces[1::2])
        parts.append(tuple(pieces))
    return (tuple(parts), name)


def composed(name: str) -> str:
    """Writes the accents of a name in one way, which systems differ in."""
    return unicodedata.normalize("NFC", name)


def readable(name: str) -> str:
    """Returns the name of a file as a text; bytes that are no UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def list_pictures(source: Path, beside: Path | None = None) -> Listing:
    """Lists the pictures of a folder, or the one at a path, without opening them.

    Args:
        source: the folder, or the picture.
        beside: a file in the folder that is no picture and is not missed.

    Raises:
        DataError: there are none.
        OSError: a folder cannot be looked into.
    """
    if source.is_file():
        return Listing(source.parent, (source.name,))
    names: list[str] = []
    others: list[str] = []
    for name in _walk(source):
        if is_picture(source, name):
            names.append(name)
        elif source / name != beside:
            others.append(name)
    names.sort(key=natural_key)
    notes = _describe_others(sorted(others, key=natural_key))
    if not names:
        found = "".join(f"; {note}" for note in notes)
        raise DataError(
            f"{one_line(source, 240)} holds no images{found}; allowed: files that end in "
            f"{', '.join(SUFFIXES)}"
        )
    return _with_parts(Listing(source, tuple(names), notes=notes))


def has_pictures(root: Path) -> bool:
    """Says whether a folder holds a picture, as far as names and first bytes tell."""
    return any(is_picture(root, name) for name in _walk(root))


def _describe_others(names: Sequence[str]) -> tuple[str, ...]:
    """Says what in a folder is passed over: files, and links to folders."""
    links = [name for name in names if name.endswith("/")]
    files = [name for name in names if not name.endswith("/")]
    notes: tuple[str, ...] = ()
    if files:
        notes += (f"files that are no images and passed over: {len(files):,} ({shown(files)})",)
    if links:
        notes += (f"links to folders, which are not followed: {len(links):,} ({shown(links)})",)
    return notes


def shown(names: Sequence[str]) -> str:
    """Names the first few files for a message."""
    more = ""
    if len(names) > SHOWN:
        more = ", ..."
    return ", ".join(one_line(readable(name), 100) for name in names[:SHOWN]) + more


def _walk(root: Path) -> Iterator[str]:
    """Yields the paths of the visible files below a folder, and of links to folders, with a "/".

    What is behind such a link is not looked into: it may be the folder itself.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}{entry.name}"
                if entry.name.startswith(".") or entry.name.lower() in SYSTEM_FILES:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{name}/")
                elif entry.is_dir():
                    yield f"{name}/"
                elif entry.is_file():
                    yield name


def is_picture(root: Path, name: str) -> bool:
    """Says whether a file is to be read as a picture: its name decides, or else its first bytes."""
    if name.endswith("/"):
        return False
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SUFFIXES or suffix in OTHER_PICTURES:
        return True
    if suffix in NO_PICTURES:
        return False
    with suppress(OSError), (root / name).open("rb") as file:
        return BEGINNINGS.match(file.read(12)) is not None
    return False


def _with_parts(listing: Listing) -> Listing:
    """Finds the parts and the classes of the pictures of a folder."""
    tops = {PurePosixPath(name).parts[0] for name in listing.names}
    parts = {top: _part_of(listing.root / top) for top in tops}
    if "train" in parts.values() and None not in parts.values():
        return _parted(listing)
    named = sorted(top for top, part in parts.items() if part is not None)
    notes = listing.notes
    if named:
        words = ", ".join(map(readable, named))
        notes += (f"beside the others, or without train, {words} are classes and no parts",)
    else:
        notes += _describe_deeper_parts(listing.names)
    return replace(listing, labels=_classes(listing.names), notes=notes)


def _describe_deeper_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Says that folders named as parts are classes where they do not lie at the top."""
    found = set()
    for name in names:
        folders = PurePosixPath(name).parts[:-1]
        for depth, folder in enumerate(folders):
            if any(folder.lower() in words for words in PARTS.values()):
                found.add("/".join(folders[: depth + 1]))
    if not found:
        return ()
    words = shown(sorted(found, key=natural_key))
    return (f"parts lie at the top of a source; below it these folders are classes: {words}",)


def _part_of(path: Path) -> str | None:
    """Returns the part that a folder of this name holds: train, validation or test; else None."""
    for part, names in PARTS.items():
        if path.name.lower() in names and path.is_dir():
            return part
    return None


def _parted(listing: Listing) -> Listing:
    """Puts the parts of a folder in their order: train, validation, test."""
    members: dict[str, list[str]] = {part: [] for part in PARTS}
    for name in listing.names:
        part = _part_of(listing.root / PurePosixPath(name).parts[0])
        members[part or "train"].append(name)
    names = tuple(name for part in PARTS for name in members[part])
    counts = {part: len(names) for part, names in members.items() if names}
    held = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    train = None
    if "test" in counts:
        train = counts["train"]
    return Listing(
        listing.root,
        names,
        labels=_classes([_below_top(name) for name in names], is_parted=True),
        train=train,
        validation=counts.get("validation"),
        notes=(*listing.notes, f"the folder brings its own parts: {held}"),
    )


def _below_top(name: str) -> str:
    """Returns a path without its first folder."""
    return name.partition("/")[2]


def _classes(names: Sequence[str], is_parted: bool = False) -> np.ndarray | None:
    """Returns the class of each picture, the path of its folder, such as "cats/tabby".

    A picture that is in no folder has none. Where there is one, none has a class; but in a folder
    with parts, where a test part often is without classes, its class is the empty text.
    """
    classes = [composed(name.rpartition("/")[0]) for name in names]
    if not any(classes):
        return None
    if not all(classes) and not is_parted:
        return None
    return np.array([readable(name) for name in classes])

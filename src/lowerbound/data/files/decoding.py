"""Decodes the pictures of a source to one array: in memory, or in a file if they are too many."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...system.console import is_first_process
from ...system.files import is_file, read_json, replacing, write_json
from ...system.progress import stages
from ..named.fetch import cache
from .folders import Listing
from .limits import usable_memory
from .pictures import BYTES_PER_PIXEL, Form, Header, decode, read_header, reading_pictures

RULES = 1
"""The number of the rules by which pictures are decoded; what was kept by others is made anew."""

MOST_THREADS = 8
"""Pictures are decoded in at most this many threads."""

MANY = 2000
"""Reading this many pictures shows how far it is."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """The pictures of a source.

    Attributes:
        values: (n, C, H, W) uint8 or uint16, of those that could be used, in their order.
        faults: why each of the others could not, by its row in the listing.
        transparent: how many have transparent pixels.
        kept: the file that holds the values; None: the memory does.
    """

    values: np.ndarray
    faults: Mapping[int, str]
    transparent: int
    kept: Path | None = None


def read_headers(listing: Listing, max_pixels: int) -> tuple[list[Header | None], dict[int, str]]:
    """Reads the headers of the pictures, and decodes none.

    Returns:
        The header of each picture, None where it could not be read; and why, by its row.
    """
    headers: list[Header | None] = []
    faults = {}
    with reading_pictures():
        for row, path in enumerate(listing.paths()):
            header = None
            try:
                header = read_header(path, max_pixels)
            except DataError as error:
                faults[row] = str(error)
            headers.append(header)
    return headers, faults


def decode_pictures(
    listing: Listing, headers: list[Header | None], form: Form, max_pixels: int
) -> Decoded:
    """Decodes those pictures of a source that have a header.

    They are held in memory, or, where they would take more of it than a source may, in a file of
    the user's cache, from which they are read as they are needed, also by later runs.

    Raises:
        DataError: the disk has no room for them.
    """
    count = len(headers) - headers.count(None)
    needed = count * int(np.prod(form.shape)) * form.dtype.itemsize
    if needed <= usable_memory():
        values = np.empty((count, *form.shape), form.dtype)
        faults, transparent = _fill(values, listing, headers, form, max_pixels)
        return Decoded(values[: count - len(faults)], faults, transparent)
    return _decode_to_file(listing, headers, form, max_pixels)


def _decode_to_file(
    listing: Listing, headers: list[Header | None], form: Form, max_pixels: int
) -> Decoded:
    """Decodes to a file of the cache, or takes the file that an earlier run has made.

    Raises:
        DataError: the disk has no room for it.
        RunError: the cache cannot be written.
    """
    count = len(headers) - headers.count(None)
    path = cache() / "images" / f"{_key(listing, form)}.npy"
    facts = path.with_suffix(".json")
    if not (is_file(path) and is_file(facts)):
        _refuse_full_disk(path.parent, listing.root, count, form)
        with replacing(path) as temporary:
            values = np.lib.format.open_memmap(
                temporary, "w+", dtype=form.dtype, shape=(count, *form.shape)
            )
            faults, transparent = _fill(values, listing, headers, form, max_pixels)
            values.flush()
            write_json(facts, {"faults": faults, "transparent": transparent})
    found = read_json(facts)
    faults = {int(row): text for row, text in found["faults"].items()}
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    return Decoded(values[: count - len(faults)], faults, found["transparent"], path)


def _key(listing: Listing, form: Form) -> str:
    """Returns the name under which decoded pictures are kept.

    It depends on where the files are, on their names, sizes and times, and on what they become.
    """
    digest = hashlib.sha256(f"{RULES} {form} {listing.root.resolve()}".encode(errors="replace"))
    for name, path in zip(listing.names, listing.paths(), strict=True):
        facts = path.stat()
        digest.update(os.fsencode(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\0"))
    return digest.hexdigest()[:32]


def _refuse_full_disk(folder: Path, root: Path, count: int, form: Form) -> None:
    """Refuses to decode to a disk that has no room.

    Raises:
        DataError: the pictures need more than is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    needed = count * int(np.prod(form.shape)) * form.dtype.itemsize
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{root}: {count:,} images of shape {form.shape} need {needed / 2**30:,.2f} GiB, more "
            f"than memory may take and than {folder} has free ({free / 2**30:,.2f} GiB); make them "
            "smaller with data.size=HEIGHTxWIDTH or data.grey=true"
        )


def _fill(
    values: np.ndarray,
    listing: Listing,
    headers: list[Header | None],
    form: Form,
    max_pixels: int,
) -> tuple[dict[int, str], int]:
    """Decodes the pictures that have a header into `values`, those that can be used first.

    Returns:
        Why the others cannot be used, by their row in the listing; and how many of those that can
        have transparent pixels.
    """
    paths = listing.paths()
    rows = [row for row, header in enumerate(headers) if header is not None]

    def read(row: int) -> tuple[np.ndarray | None, str, bool]:
        try:
            pixels, is_transparent = decode(paths[row], form, max_pixels)
        except DataError as error:
            return None, str(error), False
        return pixels, "", is_transparent

    faults = {}
    used = 0
    transparent = 0
    with reading_pictures(), _showing(len(rows)) as move:
        largest = max((h.height * h.width for h in headers if h is not None), default=0)
        for row, (pixels, fault, is_transparent) in zip(
            rows, _mapped(read, rows, _threads(largest)), strict=True
        ):
            move("")
            if pixels is None:
                faults[row] = fault
                continue
            values[used] = pixels
            used += 1
            transparent += is_transparent
    return faults, transparent


def _mapped(
    read: Callable[[int], tuple[np.ndarray | None, str, bool]], rows: list[int], threads: int
) -> Iterator[tuple[np.ndarray | None, str, bool]]:
    """Yields the result for each row in their order, a few of them made ahead in threads."""
    if threads < 2:
        yield from map(read, rows)
        return
    ahead = 4 * threads
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(rows), ahead):
            yield from pool.map(read, rows[start : start + ahead])


def _threads(largest: int) -> int:
    """Returns how many pictures are decoded at a time: as many as processors, and as memory allows.

    Args:
        largest: the pixels of the largest picture.
    """
    at_once = usable_memory() // max(1, BYTES_PER_PIXEL * largest)
    processors = os.cpu_count() or 1
    return int(max(1, min(processors, MOST_THREADS, at_once)))


@contextmanager
def _showing(count: int) -> Iterator[Callable[[str], None]]:
    """Shows how far the reading of many pictures is, where someone looks."""
    show = count >= MANY and is_first_process()
    with stages("reading images", count, show=show) as move:
        yield move

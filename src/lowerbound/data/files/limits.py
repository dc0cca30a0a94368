"""Limits on what a file may cost. Nobody vouches for the files that are opened here.

What a file claims is weighed before it is believed. Images and arrays may be as large as the
memory allows, of which one source may take `MEMORY_SHARE`: plain ones compress well, and a small
file is no sign of a bomb. A deflated file cannot hold more than `DEFLATE_RATIO` times its size, so
that a claim beyond it is a lie. Texts and tables may unpack to `FREE_BYTES` whatever their size,
and beyond them to `RATIO` times their size: real ones stay far below that, a bomb of some kilobytes
lies far above.
"""

import zipfile
from pathlib import Path

from ...errors import DataError
from ...system.files import refuse_special
from ...system.machine import available_memory

MEMORY_SHARE = 0.5
"""A source may take this share of the memory that is available.

The rest is for the model, and for what is made of the values.
"""

DEFLATE_RATIO = 1032
"""A deflated file (gzip, zip) unpacks to at most this many times its size: 258 bytes for 2 bits."""

FREE_BYTES = 2**26
"""A file of any size may unpack to this many bytes."""

RATIO = 100
"""A file may unpack to this many times its own size."""

COMPRESSED_BEGINNINGS = (
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"x\x01",
    b"x\x9c",
    b"x\xda",
    b"BZh",
    b"\xfd7zXZ",
)
"""Compressed files begin with these bytes: gzip, zstd, zlib (three levels), bzip2, xz."""

ALLOWED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The members of an archive may be compressed by these methods.

The decompressors of the others cannot be stopped half-way: five kilobytes may become as many
gigabytes.
"""


def refuse_bomb(name: object, claimed: int, held: int) -> None:
    """Refuses a source that claims far more bytes than it has.

    Args:
        name: the source as it appears in the message.
        claimed: the bytes of values that it claims to hold.
        held: its size in bytes.

    Raises:
        DataError: it claims more than `FREE_BYTES` and more than `RATIO` times its size.
    """
    if claimed > max(FREE_BYTES, RATIO * held):
        raise DataError(
            f"{name} has {held} bytes and claims {claimed} bytes of values, which are not "
            "allocated; "
            f"allowed: {FREE_BYTES}, or {RATIO} times its size"
        )


def usable_memory() -> float:
    """Returns the bytes that a source may take, infinity where the system does not tell."""
    return MEMORY_SHARE * available_memory()


def refuse_beyond_memory(name: object, needed: int, advice: str) -> None:
    """Refuses a source that needs more memory than it may take, before it is allocated.

    Args:
        name: the source as it appears in the message.
        needed: the bytes that it needs at once.
        advice: what the user can do, which ends the message.

    Raises:
        DataError: it needs more than `usable_memory`.
    """
    usable = usable_memory()
    if needed > usable:
        raise DataError(
            f"{name} needs {_in_gibibytes(needed)} of memory, which are not allocated; allowed: "
            f"{_in_gibibytes(usable)}, {MEMORY_SHARE:.0%} of what is available; {advice}"
        )


def _in_gibibytes(count: float) -> str:
    """Writes a number of bytes for a message."""
    return f"{count / 2**30:,.2f} GiB"


def refuse_deflated(name: object, claimed: int, held: int) -> None:
    """Refuses a deflated source that claims more than can be in it, or than the memory holds.

    Args:
        name: the source as it appears in the message.
        claimed: the bytes of values that it claims to hold.
        held: its size in bytes.

    Raises:
        DataError: the source is refused.
    """
    if claimed > max(FREE_BYTES, DEFLATE_RATIO * held):
        raise DataError(
            f"{name} has {held} bytes and claims {claimed} bytes of values, which are not "
            f"allocated: at most {DEFLATE_RATIO} times its size can be in it"
        )
    refuse_beyond_memory(name, claimed, "save the values as a .npy file, which is read in pieces")


def refuse_zip_bomb(path: Path) -> None:
    """Refuses an archive that claims too much, or that is compressed as no archive of arrays is.

    Raises:
        DataError: the archive is refused.
        OSError: it is no regular file.
        zipfile.BadZipFile: it is no archive (or another error of that module).
    """
    refuse_special(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    claimed = sum(member.file_size for member in members)
    refuse_deflated(path, claimed, path.stat().st_size)
    for member in members:
        if member.compress_type not in ALLOWED_METHODS:
            raise DataError(
                f"{path} is compressed by method {member.compress_type} of zip; allowed: 0 "
                "(stored), 8 (deflated)"
            )


def refuse_packed(path: Path) -> None:
    """Refuses a compressed file where a text is expected.

    Polars would unpack it, however large it became.

    Raises:
        DataError: the file is compressed.
        OSError: it is no regular file.
    """
    refuse_special(path)
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(COMPRESSED_BEGINNINGS):
        raise DataError(f"{path} is a compressed file, not a text; unpack it first")

"""Limits on what a file may cost. Nobody vouches for the files that are opened here.

What a file claims is weighed before it is believed. A file may unpack to `FREE_BYTES` whatever its
size, and beyond them to `RATIO` times its size. Real data, even binary images, stay far below that;
a bomb of some kilobytes lies far above.
"""

import zipfile
from pathlib import Path

from ...errors import DataError
from ...system.files import refuse_special

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
    refuse_bomb(path, claimed, path.stat().st_size)
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

"""What a file may cost. Nobody vouches for the files that are opened here: what one claims is
weighed before it is believed.

A file may unpack to `FREE` bytes whatever its size, and beyond them to `RATIO` times its size: real
data, even binary images, stay far below that, and a bomb of some kilobytes far above.
"""

import zipfile
from pathlib import Path

from ...errors import DataError
from ...system.files import refuse_special

FREE_BYTES = 2**26


RATIO = 100


PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"x\x01", b"x\x9c", b"x\xda", b"BZh", b"\xfd7zXZ")
"""How compressed files begin: gzip, zstd, zlib, bzip2, xz."""


def refuse_bomb(name: object, claimed: int, held: int) -> None:
    """DataError for a source of `held` bytes that claims to be `claimed` bytes of values."""
    if claimed > max(FREE_BYTES, RATIO * held):
        raise DataError(
            f"{name} has {held} bytes and claims {claimed} bytes of values, which are not "
            "allocated; "
            f"allowed: {FREE_BYTES}, or {RATIO} times its size"
        )


def refuse_zip_bomb(path: Path) -> None:
    """DataError for an archive that claims too much, or is packed in a way that no array is.

    Raises:
        OSError: it is no regular file.
        zipfile.BadZipFile: it is no archive (or another error of that module).
    """
    refuse_special(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    refuse_bomb(path, sum(member.file_size for member in members), path.stat().st_size)
    # The decompressors of the others cannot be stopped half-way: five kilobytes may become as many
    # gigabytes.
    odd = [
        m.compress_type
        for m in members
        if m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    ]
    if odd:
        raise DataError(
            f"{path} is compressed by method {odd[0]} of zip; allowed: 0 (stored), 8 (deflated)"
        )


def refuse_packed(path: Path) -> None:
    """DataError for a compressed file where a text is expected, as Polars would unpack it, however
    large it became.

    Raises:
        OSError: it is no regular file.
    """
    refuse_special(path)
    with path.open("rb") as file:
        if file.read(6).startswith(PACKED):
            raise DataError(f"{path} is a compressed file, not a text; unpack it first")

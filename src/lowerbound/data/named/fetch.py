"""Named sets: where they are looked for, and how they are downloaded and checked."""

import os
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...errors import DownloadError
from ...system.files import expand_home

VARIABLE = "LOWERBOUND_DATA"
"""The environment variable that names the user's own folder of data sets."""


TIMEOUT = (5.0, 30.0)
"""Seconds to wait for a connection, and for the next bytes: without a network the answer must come
soon.
"""


def cache() -> Path:
    """The folder that downloads go to, one sub-folder for each set."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("lowerbound"))


Ways = tuple[tuple[str, ...], ...]
"""What a folder that holds a set has in it: in one of these ways a file for each regular
expression.
"""


def holds(folder: Path, ways: Ways) -> bool:
    """Whether a folder has the files of a set, by their names; one that cannot be looked into has
    none.
    """
    try:
        names = [path.name for path in folder.iterdir() if path.is_file()]
    except OSError:
        return False
    return any(
        all(any(re.fullmatch(pattern, name) for name in names) for pattern in way) for way in ways
    )


@dataclass(frozen=True)
class Named:
    """A named set.

    Attributes:
        name: as in a recipe; also the name of its folder.
        summary: one line for listings.
        read: from the folder that holds it to its values: a `Raw`, or the `Tables` of interactions.
        held: by which files a folder holds it; none for a set that comes with a library (`inside`).
        files: the files that make it up, by name, each with the sha256 of the original download (""
        if unknown).
        mirrors: addresses that end in a slash, tried in turn for each file.
        inside: the library that brings the set along.
        kind: what its splits hold.
        folders: other names that its folder may have under LOWERBOUND_DATA.
        archive: the address of a .zip file that holds the files, in place of mirrors; only they are
        unpacked.
        sha256: of the archive.
    """

    name: str
    summary: str
    read: Callable[[Path], Any]
    held: Ways = ()
    files: Mapping[str, str] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    inside: str = ""
    kind: Literal["examples", "interactions"] = "examples"
    folders: tuple[str, ...] = ()
    archive: str = ""
    sha256: str = ""

    def found(self) -> Path | str | None:
        """The folder that holds the set, the library that brings it along, or None if it would have
        to be fetched.
        """
        if self.inside:
            return self.inside
        own = os.environ.get(VARIABLE)
        mine = [expand_home(own) / name for name in (self.name, *self.folders)] if own else []
        places = [*mine, cache() / self.name]
        return next((place for place in places if holds(place, self.held)), None)

    def open(self) -> Any:
        """The set, fetched into the cache if it is nowhere. DownloadError says what to put where."""
        place = self.found()
        if place is None or (self.mirrors and place == cache() / self.name):
            # Single files are checked on every opening, archives when they come; files under
            # LOWERBOUND_DATA are the user's own.
            place = self._fetch()
        return self.read(Path(place))

    def _fetch(self) -> Path:
        if self.archive:
            return self._unpack()
        if not self.mirrors:
            raise DownloadError(self._help("no mirror of it is known"))
        for file, sha256 in self.files.items():
            self._fetch_one(file, sha256)
        return cache() / self.name

    def _fetch_one(self, file: str, sha256: str) -> None:
        failures = []
        for mirror in self.mirrors:
            try:
                return _retrieve(mirror + file, sha256, cache() / self.name, file)
            except (OSError, ValueError) as error:
                failures.append(f"{mirror}: {_why(error)}")
        raise DownloadError(self._help(f"{file} could not be fetched ({'; '.join(failures)})"))

    def _unpack(self) -> Path:
        """Fetch the archive, take the files out of it, and remove it."""
        folder, file = cache() / self.name, self.archive.rpartition("/")[2]
        try:
            _retrieve(self.archive, self.sha256, folder, file)
            _extract(folder / file, list(self.files))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DownloadError(
                self._help(f"{file} could not be fetched ({self.archive}: {_why(error)})")
            ) from None
        (folder / file).unlink()
        return folder

    def _help(self, why: str) -> str:
        wanted = ", ".join(f"{self.name}/{file}" for file in self.files)
        return f"{self.name} is not here and {why}; set {VARIABLE} to a folder that holds {wanted}"


def _retrieve(url: str, sha256: str, folder: Path, file: str) -> None:
    """Fetch one file, unless it is there with the right sha256. It appears under its name only when
    it is whole.
    """
    import pooch

    # Without this header a server may send the .gz file as a compressed stream, which would arrive
    # unpacked.
    plain = pooch.HTTPDownloader(
        timeout=TIMEOUT, chunk_size=2**16, headers={"Accept-Encoding": "identity"}
    )
    pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=file, path=folder, downloader=plain)


def _extract(path: Path, names: list[str]) -> None:
    """Take files out of a .zip file, from whatever folder in it, to stand beside it; each appears
    when it is whole.
    """
    with zipfile.ZipFile(path) as archive:
        inside = {Path(member).name: member for member in archive.namelist()}
        for name in names:
            with archive.open(inside[name]) as member, path.with_name(f".{name}").open("wb") as out:
                shutil.copyfileobj(member, out)
            path.with_name(f".{name}").replace(path.with_name(name))


def _why(error: Exception) -> str:
    """A few words on why a mirror failed."""
    import requests

    from ..files.sources import reason

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "cut off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return "wrong checksum" if isinstance(error, ValueError) else reason(error)

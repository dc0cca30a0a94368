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
"""This environment variable names the user's own folder of data sets."""

TIMEOUT = (5.0, 30.0)
"""A download waits this many seconds for a connection, and for the next bytes.

Without a network the answer must come soon.
"""

FilePatterns = tuple[tuple[str, ...], ...]
"""The files by which a folder holds a set: alternatives, each with regular expressions for names.

The folder holds the set if for one alternative each expression matches the name of a file.
"""


def cache() -> Path:
    """Returns the folder that downloads go to, with one sub-folder for each set."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("lowerbound"))


def holds(folder: Path, alternatives: FilePatterns) -> bool:
    """Says whether a folder has the files of a set, by their names.

    A folder that cannot be looked into has none.
    """
    try:
        names = [path.name for path in folder.iterdir() if path.is_file()]
    except OSError:
        return False

    def has_match(pattern: str) -> bool:
        return any(re.fullmatch(pattern, name) for name in names)

    return any(all(map(has_match, patterns)) for patterns in alternatives)


@dataclass(frozen=True)
class Named:
    """A named set.

    Attributes:
        name: the name as in a recipe, which is also the name of its folder.
        summary: one line for listings.
        read: reads the set from the folder that holds it: a `Raw`, or the `RawLog` of interactions.
        held: the files by which a folder holds the set; none for one that comes with a library
            (`inside`).
        files: the names of its files, each with the sha256 of the original download ("" if
            unknown).
        mirrors: addresses that end in a slash, tried in turn for each file.
        inside: the library that brings the set along.
        kind: what its splits hold.
        folders: other names that its folder may have under LOWERBOUND_DATA.
        archive: the address of a .zip file that holds the files, in place of mirrors; only they
            are unpacked.
        sha256: the sha256 of the archive.
    """

    name: str
    summary: str
    read: Callable[[Path], Any]
    held: FilePatterns = ()
    files: Mapping[str, str] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    inside: str = ""
    kind: Literal["examples", "interactions"] = "examples"
    folders: tuple[str, ...] = ()
    archive: str = ""
    sha256: str = ""

    def found(self) -> Path | str | None:
        """Looks for the set on this machine.

        Returns:
            The folder that holds it, the library that brings it along, or None if it would have to
            be fetched.
        """
        if self.inside:
            return self.inside
        folders = []
        user_folder = os.environ.get(VARIABLE)
        if user_folder:
            for name in (self.name, *self.folders):
                folders.append(expand_home(user_folder) / name)
        folders.append(cache() / self.name)
        for folder in folders:
            if holds(folder, self.held):
                return folder
        return None

    def open(self) -> Any:
        """Reads the set, and fetches it into the cache if it is nowhere.

        Raises:
            DownloadError: it could not be fetched; the message says what to put where.
        """
        location = self.found()
        # Single files in the cache are checked on every opening, archives when they come. Files
        # under LOWERBOUND_DATA are the user's own.
        must_check = self.mirrors and location == cache() / self.name
        if location is None or must_check:
            location = self._fetch()
        return self.read(Path(location))

    def _fetch(self) -> Path:
        """Fetches the set into the cache, and returns its folder."""
        if self.archive:
            self._fetch_archive()
        elif self.mirrors:
            for file, sha256 in self.files.items():
                self._fetch_file(file, sha256)
        else:
            raise DownloadError(self._advise("no mirror of it is known"))
        return cache() / self.name

    def _fetch_file(self, file: str, sha256: str) -> None:
        """Fetches one file from the first mirror that gives it."""
        failures = []
        for mirror in self.mirrors:
            try:
                return _retrieve(mirror + file, sha256, cache() / self.name, file)
            except (OSError, ValueError) as error:
                failures.append(f"{mirror}: {_describe_failure(error)}")
        raise DownloadError(self._advise(f"{file} could not be fetched ({'; '.join(failures)})"))

    def _fetch_archive(self) -> None:
        """Fetches the archive, takes the files out of it, and removes it."""
        folder = cache() / self.name
        file = self.archive.rpartition("/")[2]
        try:
            _retrieve(self.archive, self.sha256, folder, file)
            _extract(folder / file, list(self.files))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            failure = _describe_failure(error)
            raise DownloadError(
                self._advise(f"{file} could not be fetched ({self.archive}: {failure})")
            ) from None
        (folder / file).unlink()

    def _advise(self, failure: str) -> str:
        paths = ", ".join(f"{self.name}/{file}" for file in self.files)
        advice = f"set {VARIABLE} to a folder that holds {paths}"
        return f"{self.name} is not here and {failure}; {advice}"


def _retrieve(url: str, sha256: str, folder: Path, file: str) -> None:
    """Fetches one file, unless it is there with the right sha256.

    It appears under its name only when it is whole.
    """
    import pooch

    # Without this header a server may send the .gz file as a compressed stream, which would arrive
    # unpacked.
    headers = {"Accept-Encoding": "identity"}
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT, chunk_size=2**16, headers=headers)
    pooch.retrieve(
        url, known_hash=f"sha256:{sha256}", fname=file, path=folder, downloader=downloader
    )


def _extract(path: Path, names: list[str]) -> None:
    """Takes files out of a .zip file, from whatever folder in it, and puts them beside it.

    Each appears under its name only when it is whole.
    """
    with zipfile.ZipFile(path) as archive:
        members = {Path(member).name: member for member in archive.namelist()}
        for name in names:
            unfinished = path.with_name(f".{name}")
            with archive.open(members[name]) as member, unfinished.open("wb") as file:
                shutil.copyfileobj(member, file)
            unfinished.replace(path.with_name(name))


def _describe_failure(error: Exception) -> str:
    """Describes in a few words why a mirror failed."""
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
    if isinstance(error, ValueError):
        return "wrong checksum"
    return reason(error)

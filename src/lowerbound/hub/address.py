"""Addresses of runs on a hub: `hf://OWNER/NAME`, or `hf://OWNER/NAME@REVISION`."""

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, one_line

START = re.compile(r"hf:/{1,2}")
"""An address begins so; a `Path` of one has lost a slash."""

PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
"""The name of an owner or of a repository."""

REPOSITORY = re.compile(rf"{PART}/{PART}")
"""An owner and a repository of theirs."""

REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
"""The name of a branch or a tag, or the digits of a commit."""


@dataclass(frozen=True)
class Address:
    """A repository on a hub, at one of its revisions.

    Attributes:
        repository: "OWNER/NAME".
        revision: a branch, a tag or a commit; None is the hub's default branch.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        """Returns the address as it is written."""
        if self.revision is None:
            return f"hf://{self.repository}"
        return f"hf://{self.repository}@{self.revision}"


def is_address(place: str | Path) -> bool:
    """Says whether a place is on a hub, and no folder."""
    return START.match(str(place)) is not None


def read_address(text: str | Path) -> Address:
    """Reads an address.

    Raises:
        ConfigError: it is none.
    """
    start = START.match(str(text))
    if start is None:
        raise ConfigError(f"an address is hf://OWNER/NAME@REVISION, got {_quoted(text)}")
    repository, at, revision = str(text)[start.end() :].partition("@")
    is_right = is_repository(repository)
    if at:
        is_right = is_right and REVISION.fullmatch(revision) is not None and ".." not in revision
    if not is_right:
        raise ConfigError(
            f"an address is hf://OWNER/NAME, or hf://OWNER/NAME@REVISION (a branch, a tag or a "
            f"commit), got {_quoted(text)}"
        )
    return Address(repository, revision or None)


def is_repository(name: str) -> bool:
    """Says whether a hub may have a repository of this name."""
    doubled = ".." in name or "--" in name
    return REPOSITORY.fullmatch(name) is not None and not doubled


def refuse_no_repository(name: object) -> str:
    """Returns the name of a repository.

    Raises:
        ConfigError: it is none.
    """
    text = str(name)
    if not is_repository(text):
        raise ConfigError(
            f"a repository is OWNER/NAME, of letters, digits, '-', '_' and '.', got {_quoted(text)}"
        )
    return text


def _quoted(text: object) -> str:
    return repr(one_line(text, 120))

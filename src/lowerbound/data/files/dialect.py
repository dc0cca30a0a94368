"""How a text file of a table or a log is written: its encoding, separator, quotes and header."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TextFormat:
    """What the user has said of the way a text file is written. `Data` explains each option.

    An attribute that is None is found from the file.
    """

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    quote: str | None = None
    comment: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] | None = None


AS_FOUND = TextFormat()
"""Everything is found from the file."""

"""The exception tree: every mistake that a user can make ends in one of these, with a message of
one line.

A message names what was wrong, what was got and what is allowed. `exit_code` is what the command
line returns.
"""

import difflib
from collections.abc import Iterable


class LowerboundError(Exception):
    """Root of the tree. `exit_code` is 2 for bad input, 1 for a run that went wrong by itself."""

    exit_code = 2


class ConfigError(LowerboundError, ValueError):
    """A recipe, an option or an argument has a wrong name or value."""


class DataError(LowerboundError, ValueError):
    """A data source is missing, malformed, or does not fit the model."""


class DownloadError(DataError):
    """A named data set could not be fetched, or what came is not what was expected."""


class ShapeError(DataError):
    """An array has another shape than the model or the source needs."""


class RunError(LowerboundError):
    """A run folder cannot be read, written, or resumed."""


class NonFiniteError(LowerboundError, ArithmeticError):
    """The loss became NaN or infinite during training."""

    exit_code = 1


class WorkerError(RunError):
    """One of several processes of a run ended, and so the run did."""

    exit_code = 1


class Interrupted(LowerboundError):
    """Training was stopped from outside after its checkpoint was written. `exit_code` is 128 + the
    signal's number.
    """

    def __init__(self, message: str, signal_number: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def unknown(kind: str, got: object, allowed: Iterable[str], where: str = "") -> str:
    """One line for a name that is not known: what was got, the nearest known name, and all that is
    allowed.

    >>> unknown("network", "MLQ", ["MLP", "Conv"])
    "unknown network 'MLQ'; did you mean 'MLP'? Allowed: MLP, Conv"
    """
    names = list(allowed)
    near = difflib.get_close_matches(str(got), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? Allowed" if near else "allowed"
    return f"unknown {kind} {got!r}{where}; {hint}: {', '.join(names) or 'none'}"


def one_line(text: object, most: int = 480) -> str:
    """Text as one line of printable characters, cut where it is too long for a message."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 4]} ..."

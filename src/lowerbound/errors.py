"""The exception tree: every mistake that a user can make raises one of these exceptions.

The message is one line, which names what was wrong, what was given and what is allowed. The command
line exits with the `exit_code` of the exception.
"""

import difflib
from collections.abc import Iterable


class LowerboundError(Exception):
    """The root of the tree. `exit_code` is 2 for bad input, 1 for a run that failed by itself."""

    exit_code = 2


class ConfigError(LowerboundError, ValueError):
    """A recipe, an option or an argument has a wrong name or value."""


class DataError(LowerboundError, ValueError):
    """A data source is missing, malformed, or does not fit the model."""


class UnknownItemError(DataError):
    """A request names items alone that a recommender does not know."""


class UnknownUserError(DataError):
    """A request names a user whom the data of a recommender do not have."""


class NothingLeftError(DataError):
    """Nothing is left that may be recommended."""


class NothingAllowedError(ConfigError):
    """What is allowed and denied leaves nothing that may be recommended."""


class ConditionError(ConfigError):
    """A condition on items cannot be read, or is over columns that there are not."""


class DownloadError(DataError):
    """A named data set could not be fetched, or the download is not the expected file."""


class ShapeError(DataError):
    """An array has another shape than the model or the source needs."""


class RunError(LowerboundError):
    """A run folder cannot be read, written, or resumed."""


class NonFiniteError(LowerboundError, ArithmeticError):
    """The loss became NaN or infinite during training."""

    exit_code = 1


class WorkerError(RunError):
    """One of several processes of a run ended, and therefore the whole run ended."""

    exit_code = 1


class Interrupted(LowerboundError):
    """Training was stopped from outside after its checkpoint was written.

    `exit_code` is 128 + the number of the signal.
    """

    def __init__(self, message: str, signal_number: int = 2) -> None:
        super().__init__(message)
        self.signal_number: int = signal_number
        self.exit_code: int = 128 + signal_number

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython shows below a cell that was interrupted: one line, no traceback."""
        return [str(self)]


def unknown(
    kind: str, got: object, allowed: Iterable[str], where: str = "", meant: str | None = None
) -> str:
    """Words the message for a name that is not known, on one line.

    It says what was given, what was meant (the nearest known name, where that is not given), and
    all allowed names.

    >>> unknown("network", "MLQ", ["MLP", "Conv"])
    "unknown network 'MLQ'; did you mean 'MLP'? Allowed: MLP, Conv"
    """
    names = list(allowed)
    similar_names = difflib.get_close_matches(str(got), names, n=1, cutoff=0.5)
    if meant is not None:
        similar_names = [meant]
    hint = f"did you mean {similar_names[0]!r}? Allowed" if similar_names else "allowed"
    allowed_names = ", ".join(names) or "none"
    return f"unknown {kind} {got!r}{where}; {hint}: {allowed_names}"


def counted(count: int, noun: str) -> str:
    """Returns a number with what is counted: "1 row", "2,000 rows".

    Args:
        count: how many there are.
        noun: one of them.
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}s"


def one_line(text: object, limit: int = 480) -> str:
    """Returns the text as one line of printable characters, cut to `limit` characters."""
    # Only the beginning is looked at: a message may quote a very long text.
    characters = []
    for character in str(text)[: 4 * limit]:
        if not character.isprintable():
            character = " "
        characters.append(character)
    line = " ".join("".join(characters).split())
    if len(line) > limit:
        return f"{line[: limit - 4]} ..."
    return line

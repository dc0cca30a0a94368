"""Lines for the user on standard error; of several processes one speaks."""

import os
import sys
from contextlib import suppress

from ..errors import one_line


def is_first_process() -> bool:
    """Whether this process is the one of several that speaks: the first on its machine."""
    rank = os.environ.get("LOCAL_RANK", "0")
    return not rank.isdecimal() or int(rank) == 0


def print_line(line: object) -> None:
    """One line for the user on standard error; of several processes the first tells it."""
    if is_first_process() and sys.stderr is not None:
        with suppress(OSError):  # nobody listens
            print(f"lowerbound: {one_line(line, 4000)}", file=sys.stderr, flush=True)

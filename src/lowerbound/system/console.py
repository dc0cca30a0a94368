"""Lines for the user on standard error. Of several processes only the first one speaks."""

import os
import sys
from contextlib import suppress

from ..errors import one_line


def is_first_process() -> bool:
    """Says whether this process is the first on its machine, and so the one that prints."""
    local_rank = os.environ.get("LOCAL_RANK", "0")
    return not local_rank.isdecimal() or int(local_rank) == 0


def print_line(line: object) -> None:
    """Prints one line for the user on standard error, in the first process only."""
    if is_first_process() and sys.stderr is not None:
        with suppress(OSError):  # nobody listens
            print(f"lowerbound: {one_line(line, 4000)}", file=sys.stderr, flush=True)

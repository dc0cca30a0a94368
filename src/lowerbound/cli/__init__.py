"""The command line. Each command calls the Python interface once, and prints the result for people
or as JSON.

With `--json` the last line of standard output is one JSON object; progress and errors go to
standard error. Exit codes: 0 done, 1 the run went wrong by itself, 2 wrong input, 130 and 143
stopped by Ctrl-C and SIGTERM.
"""

# The order of these imports is the order of the commands in `lowerbound --help`.
# isort: off
from . import describe as describe
from . import fit as fit
from . import measure as measure
from . import use as use
from . import recommend as recommend
from . import similar as similar
from . import tune as tune
from . import export as export
from . import serve as serve
from . import push as push
from . import inspect as inspect

# isort: on
from .main import main

__all__ = ["main"]

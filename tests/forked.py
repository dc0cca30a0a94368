"""Commands in processes of their own, forked from a server that has imported the package: each of
them starts in no time, where an interpreter takes seconds for the imports.

They begin and end as processes that `multiprocessing` forks: how an interpreter starts, and what it
writes at its very end, is seen in those that are started by `python -m lowerbound` alone.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import sys
import time
from pathlib import Path

import torch

LIMIT = 100
"""Seconds after which a process hangs."""

_context = multiprocessing.get_context("forkserver")

_PRELOADED = ["torch", "lowerbound.cli", "lowerbound.fitting", __name__]


def _start_server():
    """Starts the server, if there is none; it finds this module where this process does."""
    _context.set_forkserver_preload(_PRELOADED)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _serve(words, log, folder, spoil):
    """Runs the command line in this process, which writes to a file; `spoil` makes something go
    wrong.
    """
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if folder is not None:
        os.chdir(folder)
    torch.set_num_threads(1)
    if spoil is not None:
        spoil()
    from lowerbound.cli import main

    sys.argv = ["lowerbound", *words]
    main()


class Command:
    """A command that runs by itself; what it says is in the file `log`.

    Args:
        logs: the folder of this file.
        words: the command.
        spoil: what is called first; a function of a module.
        folder: where it runs; None is here.
    """

    def __init__(self, logs, words, spoil=None, folder=None):
        _start_server()
        self.log = Path(logs) / f"log-{time.monotonic_ns()}"
        words = [*map(str, words)]
        self.process = _context.Process(target=_serve, args=(words, self.log, folder, spoil))
        self.process.start()

    def wait(self, seconds=LIMIT):
        """Returns the exit code, or None where it has not ended after so many seconds."""
        self.process.join(seconds)
        return self.process.exitcode

    def ended(self):
        """Returns the exit code; a command that hangs is killed, and fails the test."""
        code = self.wait()
        if code is None:
            self.process.kill()
        assert code is not None, "it hangs"
        return code

    def send(self, number):
        """Sends a signal."""
        os.kill(self.process.pid, number)


# What becomes of standard error, for `spoil`


def errors_find_no_room():
    """Lets standard error be a device that is full."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)


def errors_find_no_reader():
    """Lets standard error be a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 2)


def errors_are_closed():
    """Closes standard error, as `2>&-` does."""
    os.close(2)
    sys.stderr = None

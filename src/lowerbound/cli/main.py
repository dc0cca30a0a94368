"""The console script: one line for every mistake, and the exit codes."""

import errno
import os
import sys
from io import TextIOWrapper
from typing import Any

import typer

from ..errors import LowerboundError, one_line, unknown
from ..system.console import print_line
from .app import app

UsageError: Any = typer.BadParameter.__bases__[0]
"""What Typer raises for a command line that it does not understand. It has no public name of its
own.
"""


def usage(error: Any) -> str:
    """What is wrong with a command line, in one line."""
    context = error.ctx
    where = f"; see {context.command_path} --help" if context else "; see lowerbound --help"
    words = error.format_message().rstrip(".")
    if name := getattr(error, "option_name", None) if words.startswith("No such option") else None:
        known = (
            [option for parameter in context.command.params for option in parameter.opts]
            if context
            else []
        )
        return (
            unknown(
                "option", name, [*(option for option in known if option.startswith("-")), "--help"]
            )
            + where
        )
    if words.startswith("No such command"):
        return unknown("command", words.split("'")[1], context.command.commands) + where
    if error.__cause__ is not None and hasattr(error.__cause__, "errors"):
        return _value(error) + where
    return words[0].lower() + words[1:] + where


def _value(error: Any) -> str:
    """What is wrong with the value of an option, as pydantic found."""
    from ..specs.wording import wording

    found = error.__cause__.errors()[0]
    return f"{error.param.opts[-1]} {wording(found)}, got {found['input']!r}"


STOPPED = 130
"""The exit code after Ctrl-C."""


def main() -> None:
    """The console script: one line for every mistake, and never a traceback for a user's."""
    if isinstance(
        sys.stdout, TextIOWrapper
    ):  # what it cannot show is no reason to fail after the work
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_done())
    except UsageError as error:
        print_line(usage(error))
        sys.exit(error.exit_code)
    except LowerboundError as error:
        print_line(error)
        sys.exit(error.exit_code)
    except OSError as error:
        _tell_of(error)
        sys.exit(2)
    except KeyboardInterrupt:
        print_line("stopped")
        sys.exit(STOPPED)


def _done() -> int:
    """The exit code of a command that ran."""
    try:
        code = _ran()
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as ended:  # by which Typer hides this one, too
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return _unheard()
    except BrokenPipeError:
        return _unheard()
    if code == STOPPED:
        print_line("stopped")
    return code


def _ran() -> int:
    try:
        return app(prog_name="lowerbound", standalone_mode=False)
    except UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            raise
        print(error.format_message())  # which is the help
        return error.exit_code


def _unheard() -> int:
    """Who read the output has seen enough, as `head` does: what is still to be written goes
    nowhere, and nothing went wrong.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _tell_of(error: OSError) -> None:
    """One line for a file that cannot be used, or standard output; anything else is a fault of
    ours.
    """
    if error.filename is None and error.errno not in (errno.ENOSPC, errno.EIO):
        raise error
    if error.filename is None:
        _unheard()
    where = "standard output" if error.filename is None else one_line(error.filename)
    print_line(f"{where} cannot be used: {error.strerror}")

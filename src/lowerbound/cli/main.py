"""The console script: every mistake ends in one line on standard error and an exit code."""

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
"""Typer raises this for a command line that it does not understand. Typer has no public name for
it.
"""

STOPPED = 130
"""The exit code after Ctrl-C."""


def main() -> None:
    """Runs the command of this process, and exits with its code.

    A mistake of the user is printed as one line, never as a traceback.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # A character that the terminal cannot show is no reason to fail after the work is done.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(run_to_exit_code())
    except UsageError as error:
        print_line(word_usage_error(error))
        sys.exit(error.exit_code)
    except LowerboundError as error:
        print_line(error)
        sys.exit(error.exit_code)
    except OSError as error:
        print_unusable_file(error)
        sys.exit(2)
    except KeyboardInterrupt:
        print_line("stopped")
        sys.exit(STOPPED)


def run_to_exit_code() -> int:
    """Runs the command and gives its exit code; a closed pipe behind its output is no mistake."""
    try:
        code = run_command()
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as exit_:
        # Typer turns a broken pipe into an exit, too.
        if not isinstance(exit_.__context__, BrokenPipeError):
            raise
        discard_output()
        return 0
    except BrokenPipeError:
        discard_output()
        return 0
    if code == STOPPED:
        print_line("stopped")
    return code


def run_command() -> int:
    """Lets Typer run the command, and gives its exit code; without arguments it prints the help."""
    try:
        return app(prog_name="lowerbound", standalone_mode=False)
    except UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            raise
        print(error.format_message())  # the message is the help
        return error.exit_code


def discard_output() -> None:
    """Discards the rest of standard output, whose reader, such as `head`, has closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_unusable_file(error: OSError) -> None:
    """Prints one line on a file, or on standard output, that cannot be used.

    Raises:
        OSError: the error concerns neither, so that it is a fault of this package.
    """
    if error.filename is not None:
        name = one_line(error.filename)
    elif error.errno in (errno.ENOSPC, errno.EIO):
        discard_output()
        name = "standard output"
    else:
        raise error
    print_line(f"{name} cannot be used: {error.strerror}")


def word_usage_error(error: Any) -> str:
    """Words in one line what is wrong with a command line."""
    context = error.ctx
    program = "lowerbound"
    if context:
        program = context.command_path
    see_help = f"; see {program} --help"
    message = error.format_message().rstrip(".")
    if message.startswith("No such option"):
        option = getattr(error, "option_name", None)
        if option:
            return unknown("option", option, option_names(context)) + see_help
    if message.startswith("No such command"):
        name = message.split("'")[1]
        return unknown("command", name, context.command.commands) + see_help
    if error.__cause__ is not None and hasattr(error.__cause__, "errors"):
        return word_wrong_value(error) + see_help
    return message[0].lower() + message[1:] + see_help


def option_names(context: Any) -> list[str]:
    """Lists the options of the command that is being parsed."""
    names = []
    if context:
        for parameter in context.command.params:
            names += [name for name in parameter.opts if name.startswith("-")]
    return [*names, "--help"]


def word_wrong_value(error: Any) -> str:
    """Words what pydantic found wrong with the value of an option."""
    from ..specs.wording import wording

    details = error.__cause__.errors()[0]
    return f"{error.param.opts[-1]} {wording(details)}, got {details['input']!r}"

"""Options that take every value up to the next option."""

import re
from typing import Any

from ..errors import ConfigError
from .app import Command

NEGATIVE_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
"""Such a text begins as an option does, and is none."""

LIST_OPTIONS = ("--history", "--user", "--allow", "--deny", "--boost", "--search")
"""These options take every value up to the next option."""


def repeat_list_options(arguments: list[str]) -> list[str]:
    """Writes each value of a list option behind an option of its own, as the parser expects it.

    A negative number among them is a value.

    >>> repeat_list_options(["runs/r", "--history", "Fargo", "Alien", "-k", "5"])
    ['runs/r', '--history', 'Fargo', '--history', 'Alien', '-k', '5']
    """
    repeated: list[str] = []
    list_option = None
    for argument in arguments:
        is_option = argument.startswith("-") and argument != "-"
        if list_option is not None and NEGATIVE_NUMBER.fullmatch(argument):
            is_option = False
        if is_option and argument in LIST_OPTIONS:
            list_option = argument
        elif is_option:
            list_option = None
            repeated.append(argument)
        elif list_option is None:
            repeated.append(argument)
        else:
            repeated += [list_option, argument]
    return repeated


class CommandWithLists(Command):
    """A command whose `LIST_OPTIONS` take several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        following_arguments = [*args[1:], "-"]
        for argument, following in zip(args, following_arguments, strict=True):
            if argument in LIST_OPTIONS and following.startswith("-"):
                raise ConfigError(f"{argument} needs one value or more")
        return super().parse_args(ctx, repeat_list_options(args))

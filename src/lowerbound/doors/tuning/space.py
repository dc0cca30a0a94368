"""What a search varies: keys of a recipe, each with a list of values or a range, written so:

    KEY=[V, V, ...]     one of these values
    KEY=uniform(A, B)   a number between A and B
    KEY=log(A, B)       a number between A and B, whose logarithm is uniform
    KEY=int(A, B, STEP) a whole number A, A + STEP, ... up to B; STEP is 1 where it is left out

Values are TOML. As for `--set`, the text "none" stands for no value.
"""

import math
import re
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...errors import ConfigError, one_line, unknown
from ...recipe import Recipe
from ...report.text import format_setting

EXAMPLE = "'training.learning_rate=log(1e-4, 1e-2)'"
"""What a search looks like, for messages."""

CALL = re.compile(r"(\w*)\s*\((.*)\)\s*", re.DOTALL)
"""This finds the name and the arguments of a range."""

LONGEST_LIST = 1_000
"""A list of values has at most this many."""


WITHIN = (math.sqrt(5) - 1) / 2
"""The number within an interval that stands for it is here. It is no whole number, for any ends."""


class Domain(ABC):
    """The values that a key may have in a search."""

    @property
    @abstractmethod
    def count(self) -> int | None:
        """The number of values; None where they are not counted."""

    @abstractmethod
    def samples(self) -> list[Any]:
        """Returns values that stand for all: every one of a list, the ends of a range and a number
        within it.
        """

    @abstractmethod
    def suggest(self, trial: Any, key: str) -> Any:
        """Lets a trial of Optuna choose a value."""

    def value_of(self, parameter: Any) -> Any:
        """Returns the value that Optuna has by this name or number."""
        return parameter

    def parameters(self) -> list[Any]:
        """Returns all values as Optuna names them, where they are counted."""
        raise NotImplementedError


@dataclass(frozen=True)
class Choices(Domain):
    """One of several values without an order."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        """Returns the list as a search has it."""
        return f"[{', '.join(self.parameters())}]"

    @property
    def count(self) -> int:
        return len(self.values)

    def samples(self) -> list[Any]:
        return list(self.values)

    def suggest(self, trial: Any, key: str) -> Any:
        # Optuna keeps texts and numbers alone, and a list of sizes is neither.
        return self.value_of(trial.suggest_categorical(key, self.parameters()))

    def value_of(self, parameter: Any) -> Any:
        return self.values[self.parameters().index(parameter)]

    def parameters(self) -> list[str]:
        return [write_value(value) for value in self.values]


@dataclass(frozen=True)
class Interval(Domain):
    """A number of an interval, uniform itself or by its logarithm."""

    low: float
    high: float
    is_log: bool = False

    def __str__(self) -> str:
        """Returns the range as a search has it."""
        name = "uniform"
        if self.is_log:
            name = "log"
        return f"{name}({self.low!r}, {self.high!r})"

    @property
    def count(self) -> None:
        return None

    def samples(self) -> list[float]:
        within = self.low + WITHIN * (self.high - self.low)
        if self.is_log:
            within = self.low * (self.high / self.low) ** WITHIN
        return [self.low, within, self.high]

    def suggest(self, trial: Any, key: str) -> float:
        return float(trial.suggest_float(key, self.low, self.high, log=self.is_log))


@dataclass(frozen=True)
class Whole(Domain):
    """A whole number of a range."""

    low: int
    high: int
    step: int = 1

    def __str__(self) -> str:
        """Returns the range as a search has it."""
        return f"int({self.low}, {self.high}, {self.step})"

    @property
    def count(self) -> int:
        return (self.high - self.low) // self.step + 1

    def samples(self) -> list[int]:
        return [self.low, self.high]

    def suggest(self, trial: Any, key: str) -> int:
        return int(trial.suggest_int(key, self.low, self.high, step=self.step))

    def parameters(self) -> list[int]:
        return list(range(self.low, self.high + 1, self.step))


Space = Mapping[str, Domain]
"""The keys that a search varies, with the values of each."""


def count_of(space: Space) -> int | None:
    """Returns how many combinations of values there are; None where they are not counted."""
    product = 1
    for domain in space.values():
        if domain.count is None:
            return None
        product *= domain.count
    return product


def write_value(value: Any) -> str:
    """Writes a value as a search has it, on one line: texts with quotes."""
    if isinstance(value, str):
        return format_setting([value])[1:-1]
    if isinstance(value, Mapping):
        entries = [f"{key} = {write_value(inner)}" for key, inner in value.items()]
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(write_value, value))}]"
    return format_setting(value)


# Reading -----------------------------------------------------------------------------------------


def read_space(search: Mapping[str, Any] | Iterable[str]) -> dict[str, Domain]:
    """Reads what is to be searched.

    Args:
        search: texts `KEY=VALUES`, or the values by key: a list, or the text of a list or range.

    Raises:
        ConfigError: there is nothing, or a text is not right; says what is and what is allowed.
    """
    if isinstance(search, str):
        search = [search]
    if not isinstance(search, Mapping):
        search = dict(_pairs(search))
    space = {}
    for key, values in search.items():
        space[key] = read_domain(key, values)
    if not space:
        raise ConfigError(
            f"there is nothing to search: name a key and its values, such as --search {EXAMPLE}"
        )
    return space


def _pairs(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Splits texts `KEY=VALUES`. ConfigError for one without a key, or a key that comes twice."""
    pairs: list[tuple[str, str]] = []
    for text in texts:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(
                f"--search needs KEY=VALUES, got {one_line(text, 80)!r}; for example --search "
                f"{EXAMPLE}"
            )
        if key in dict(pairs):
            raise ConfigError(f"search of {key}: it is given twice; allowed: each key once")
        pairs.append((key, values))
    return pairs


def read_domain(key: str, values: Any) -> Domain:
    """Reads the values of one key.

    Args:
        key: for messages.
        values: a list, or the text of a list or a range.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(values, list | tuple):
        return _choices(key, values)
    if not isinstance(values, str):
        raise ConfigError(f"search of {key}: {_needed(values)}")
    text = values.strip()
    if text.startswith("["):
        return _choices(key, _read_toml(key, text))
    call = CALL.fullmatch(text)
    if call is None:
        raise ConfigError(f"search of {key}: {_needed(text)}")
    name, arguments = call.groups()
    if name not in RANGES:
        raise ConfigError(f"search of {key}: {unknown('range', name, RANGES)}, or a list [A, B]")
    return RANGES[name](key, text, _read_toml(key, f"[{arguments}]", text))


def _needed(values: Any) -> str:
    got = one_line(repr(values), 80)
    return (
        f"a list of values or a range is needed, got {got}; for example [8, 16], log(1e-4, 1e-2), "
        "uniform(0, 1) or int(1, 8, 1); one value alone is a setting (--set)"
    )


def _read_toml(key: str, text: str, whole: str | None = None) -> list[Any]:
    """Reads a list in TOML.

    Args:
        key: for messages.
        text: of the list.
        whole: what the user wrote, where that is another text.

    Raises:
        ConfigError: it is no TOML.
    """
    try:
        # A line break would begin another key.
        tables = tomllib.loads(f"value = {' '.join(text.splitlines())}")
    except (tomllib.TOMLDecodeError, RecursionError):
        raise ConfigError(
            f"search of {key}: {one_line(whole or text, 80)} is not a list of TOML values; texts "
            """within brackets have quotes, which a shell takes away: '["a", "b"]'"""
        ) from None
    values = tables["value"]
    if not isinstance(values, list):
        raise ConfigError(f"search of {key}: {_needed(whole or text)}")
    return values


def _choices(key: str, values: Sequence[Any]) -> Choices:
    """Makes the choice of a list. ConfigError where it is empty, or a value is there twice."""
    if not values:
        raise ConfigError(f"search of {key}: the list has no values; allowed: one or more")
    if len(values) > LONGEST_LIST:
        raise ConfigError(
            f"search of {key}: the list has {len(values):,} values; allowed: {LONGEST_LIST:,}"
        )
    chosen = Choices(tuple(values))
    names = chosen.parameters()
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"search of {key}: {name} is there twice; allowed: each value once")
    return chosen


def _interval(key: str, text: str, arguments: Sequence[Any], *, is_log: bool) -> Interval:
    """Makes the range of `uniform(A, B)` or `log(A, B)`."""
    form = "uniform(A, B) needs two numbers, A < B"
    if is_log:
        form = "log(A, B) needs two numbers, 0 < A < B"
    is_right = len(arguments) == 2 and all(map(_is_number, arguments))
    if is_right:
        low, high = map(float, arguments)
        is_right = math.isfinite(high - low) and low < high and (low > 0 or not is_log)
    if not is_right:
        raise ConfigError(f"search of {key}: {form}, got {one_line(text, 80)}")
    return Interval(low, high, is_log)


def _whole(key: str, text: str, arguments: Sequence[Any]) -> Whole:
    """Makes the range of `int(A, B)` or `int(A, B, STEP)`."""
    is_right = len(arguments) in (2, 3) and all(type(number) is int for number in arguments)
    if is_right:
        low, high, step = (*arguments, 1)[:3]
        is_right = low < high and step >= 1 and max(abs(low), abs(high)) < 2**53
    if not is_right:
        raise ConfigError(
            f"search of {key}: int(A, B, STEP) needs whole numbers, A < B, and STEP (1 where it "
            f"is left out) above 0, got {one_line(text, 80)}"
        )
    last = low + (high - low) // step * step
    return Whole(low, last, step)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


RANGES: dict[str, Callable[[str, str, Sequence[Any]], Domain]] = {
    "log": partial(_interval, is_log=True),
    "uniform": partial(_interval, is_log=False),
    "int": _whole,
}
"""What makes a range of its arguments, by its name."""


# Holding it against a recipe ---------------------------------------------------------------------


def fit_to(recipe: Recipe, space: Space) -> dict[str, Domain]:
    """Holds a search against its recipe: each of its values must make a recipe.

    A number or text for a key that takes a list becomes a list of one entry, so that
    `model.latent=[8, 16]` is [8] or [16].

    Args:
        recipe: what the trials have in common.
        space: the keys and their values.

    Returns:
        The space, the keys that choose a part before the keys of parts.

    Raises:
        ConfigError: there is no such key, or it does not allow a value.
    """
    # A part's own keys are allowed once the part is chosen.
    keys = sorted(space, key=lambda key: not key.endswith(".type"))
    settled: dict[str, Any] = {}
    fitted: dict[str, Domain] = {}
    for key in keys:
        domain = space[key]
        values = [_fit_value(recipe, settled, key, value, domain) for value in domain.samples()]
        if isinstance(domain, Choices):
            domain = _choices(key, values)
        fitted[key] = domain
        settled[key] = setting(values[0])
    return fitted


def _fit_value(
    recipe: Recipe, settled: Mapping[str, Any], key: str, value: Any, domain: Domain
) -> Any:
    """Returns a value as its key takes it. ConfigError if it does not, beside those settled."""
    try:
        recipe.replace({**settled, key: setting(value)})
    except ConfigError as error:
        if isinstance(value, int | float | str) and _is_allowed(recipe, settled, key, [value]):
            return [value]
        advice = ""
        if isinstance(domain, Interval) and "whole number" in str(error):
            advice = f"; whole numbers are int({math.ceil(domain.low)}, {math.floor(domain.high)})"
        raise ConfigError(f"search of {key}: {error}{advice}") from None
    return value


def _is_allowed(recipe: Recipe, settled: Mapping[str, Any], key: str, value: Any) -> bool:
    try:
        recipe.replace({**settled, key: value})
    except ConfigError:
        return False
    return True


def setting(value: Any) -> Any:
    """Returns a value as a recipe's settings have it: None for the text "none"."""
    if value == "none":
        return None
    return value

"""Numbers, names and lists as people read them: on pages, on pictures and in a terminal.

Nothing here needs matplotlib or torch, so that commands can print without importing them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..evaluation import Estimate

METRIC_TITLES = {
    "ndcg": "nDCG",
    "recall": "recall",
    "recall_capped": "capped recall",
    "precision": "precision",
    "hit_rate": "hit rate",
    "mrr": "MRR",
    "map": "MAP",
    "auc": "AUC",
    "recall_tail": "tail recall",
}
"""The titles of the ranking metrics, by the name that a recipe uses."""


def plain_number(value: float | None, digits: int = 2) -> str:
    """Writes a number in ASCII, as a terminal shows it; "-" for None and for nan."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.{digits}f}"


def format_number(value: float, digits: int = 4) -> str:
    """Writes a number with so many decimals, as a page shows it; "–" if it is not finite."""
    if not math.isfinite(value):
        return "–"
    return _with_minus_signs(plain_number(value, digits))


def format_significant(value: float, digits: int = 4) -> str:
    """Writes a number with so many significant digits, as a page shows it."""
    return _with_minus_signs(f"{value:,.{digits}g}")


def format_plain(value: float, digits: int = 4) -> str:
    """Writes a number with so many significant digits, and one with more digits before its point as
    a whole number, with "," at the thousands.
    """
    if 10.0**digits <= abs(value) < 1e15:
        return _with_minus_signs(f"{value:,.0f}")
    return format_significant(value, digits)


def format_tick(value: float) -> str:
    """Writes the short number of a tick; zero has no sign, and neither has what is nearly zero."""
    if abs(value) <= 1e-9:
        return "0"
    return format_significant(value, 2)


def format_estimate(estimate: "Estimate", digits: int = 4, sign: bool = False) -> str:
    """Writes an estimate and its standard error: "0.1234 ± 0.0012".

    Args:
        estimate: the mean and its standard error.
        digits: decimals of both.
        sign: a positive mean gets a plus sign, as differences have one.
    """
    value = format_number(estimate.value, digits)
    if sign and estimate.value > 0:
        value = f"+{value}"
    error = format_number(estimate.standard_error, digits)
    return f"{value} ±\u00a0{error}"


def _with_minus_signs(number: str) -> str:
    return number.replace("-", "−")


def to_ascii(text: str) -> str:
    """Writes the numbers of a text as a terminal shows them: "-0.12 +- 0.01" for "−0.12 ± 0.01"."""
    replacements = {"±\u00a0": "+- ", "±": "+-", "−": "-", "–": "-", "≥": ">=", "≤": "<="}
    for typographic, plain in replacements.items():
        text = text.replace(typographic, plain)
    return text


def format_share(share: float) -> str:
    """Writes a share as a percentage, with a decimal where it is small or nearly all; "–" for 0.

    >>> format_share(0.2), format_share(0.0123), format_share(0.9987), format_share(0)
    ('20 %', '1.2 %', '99.9 %', '–')
    """
    if share == 0:
        return "–"
    if share < 0.0995 or 0.9949 < share < 1:
        return f"{100 * share:.1f} %"
    return f"{100 * share:.0f} %"


def metric_title(name: str) -> str:
    """Returns the title of a metric: "nDCG@100" for "ndcg@100"."""
    kind, at, k = name.partition("@")
    title = METRIC_TITLES.get(kind, kind.replace("_", " "))
    return f"{title}{at}{k}"


NAMED_MEASURES = {
    "elbo": "ELBO",
    "log_likelihood": "log p(x)",
    "log_likelihood_term": "log-likelihood term",
}
"""The names of the measures in nats."""


def name_measure(measure: str) -> str:
    """Names a measure in nats, or a ranking metric, for people."""
    return NAMED_MEASURES.get(measure) or metric_title(measure)


def bound_sign(measure: str) -> str:
    """Returns the sign before the estimate of a measure: log p(x) is estimated from below."""
    if measure == "log_likelihood":
        return "≥ "
    return ""


def format_setting(value: Any) -> str:
    """Writes a value of a recipe; "–" for None."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def join_names(names: Sequence[str]) -> str:
    """Joins names as a sentence lists them: "a, b and c"."""
    if len(names) == 1:
        return names[0]
    first = ", ".join(names[:-1])
    return f"{first} and {names[-1]}"


def name_level(level: int, count: int) -> str:
    """Names a level of several: "level 1 (next to the data)", "level 2", "level 3 (top)".

    Args:
        level: from 0, the one next to the data.
        count: how many levels there are.
    """
    if level == count - 1:
        return f"level {level + 1} (top)"
    if level == 0:
        return "level 1 (next to the data)"
    return f"level {level + 1}"


def tell_splits(sizes: Mapping[str, int], unit: str, source: str) -> str:
    """Says what a fit trains, validates and tests on.

    >>> tell_splits({"train": 96, "validation": 12, "test": 0}, "examples", "photos")
    'trains on 96, validates on 12, tests on no examples of photos'

    Args:
        sizes: the number of rows of each split.
        unit: what the rows are: "examples" or "users".
        source: the name of the data.
    """
    counts = {split: _count_or_no(size) for split, size in sizes.items()}
    return (
        f"trains on {counts['train']}, validates on {counts['validation']}, tests on "
        f"{counts['test']} {unit} of {source}"
    )


HIDDEN_IN_TRAINING = (
    "half of the rows have cells hidden (data.hide), which count neither for the encoder "
    "nor for the likelihood: the figures of the training split are of fewer cells than those of "
    "the validation split, and differ from them for this alone"
)
"""What is to be known where training rows stand beside others that have all their cells."""


def _count_or_no(number: int) -> str:
    if number:
        return f"{number:,}"
    return "no"


def column_names(names: Sequence[str], count: int, prefix: str = "value ") -> list[str]:
    """Returns the names of the columns of a table, or numbered ones where it has none.

    Args:
        names: those of the schema; empty for a source without names.
        count: how many columns there are.
        prefix: what stands before the number: "value 1", or "x1" in files.
    """
    if names:
        return list(names)
    return [f"{prefix}{i + 1}" for i in range(count)]


def shorten(text: str, longest: int = 40) -> str:
    """Puts any text on one line of at most `longest` characters; what is cut off ends in "…"."""
    characters = []
    for character in text:
        if not character.isprintable():
            character = " "
        characters.append(character)
    line = "".join(characters)
    if len(line) <= longest:
        return line
    return line[: longest - 1].rstrip() + "…"

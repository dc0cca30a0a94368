"""Kinds of events, such as view and purchase, and what an interaction of each weighs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import DataError, one_line

if TYPE_CHECKING:
    from polars import DataFrame, Expr, LazyFrame

MOST_SHOWN = 8
"""A sentence shows so many kinds of events."""


def weigh_events(
    frame: "LazyFrame", events: Mapping[str, float], name: str, is_other: bool
) -> "tuple[LazyFrame, tuple[str, ...]]":
    """Puts a rating in the place of the kind of each event, null for kinds that do not count.

    Blanks around a kind and its case do not matter.

    Args:
        frame: interactions with the column event.
        events: the weight of each kind that counts.
        name: the source as it appears in messages.
        is_other: a run reads other data than its own, which may lack kinds.

    Returns:
        The interactions, and sentences on how often each kind is there.

    Raises:
        DataError: none of the kinds is there.
    """
    import polars

    weights = {plain_kind(kind): weight for kind, weight in events.items()}
    counts = _count_kinds(frame)
    there = dict(counts.iter_rows())
    known = [kind for kind in weights if kind in there]
    others = [kind for kind in there if kind not in weights]
    if not known and not is_other:
        raise DataError(
            f"{name} has no events of the kinds {_list_kinds(weights)}, which "
            f"data.interactions.events weighs; its kinds: {_list_kinds(others) or 'none'}"
        )
    rating = _kind_of_event().replace_strict(
        list(weights), list(weights.values()), default=None, return_dtype=polars.Float64
    )
    weighed = frame.with_columns(rating.alias("rating")).drop("event")
    return weighed, _tell_kinds(weights, there, others)


def plain_kind(kind: str) -> str:
    """Returns the name of a kind of events as it is compared."""
    return kind.strip().lower()


def _kind_of_event() -> "Expr":
    """Returns the kind of each event as it is compared; whole numbers as texts."""
    import polars

    text = polars.col("event").cast(polars.String).str.strip_chars().str.to_lowercase()
    return text.str.replace(r"^(-?\d+)\.0+$", "$1").fill_null("")


def _count_kinds(frame: "LazyFrame") -> "DataFrame":
    """Counts the rows of each kind of events, the most frequent first."""
    kinds = frame.select(_kind_of_event().alias("event")).group_by("event").len("rows")
    return kinds.sort("rows", "event", descending=[True, False]).collect(engine="streaming")


def _tell_kinds(
    weights: Mapping[str, float], there: Mapping[str, int], others: list[str]
) -> tuple[str, ...]:
    """Says how often each kind of events is there, and which are dropped."""
    counted = []
    for kind, weight in weights.items():
        counted.append(f"{kind} {there.get(kind, 0):,} (weight {weight:g})")
    note = f"rows by kind of event: {', '.join(counted)}"
    if others:
        dropped = [f"{kind!r} {there[kind]:,}" for kind in others[:MOST_SHOWN]]
        if len(others) > MOST_SHOWN:
            dropped.append("...")
        note += f"; dropped: {', '.join(dropped)} (data.interactions.events)"
    return (one_line(note, 400),)


def _list_kinds(kinds: "Mapping[str, float] | list[str]") -> str:
    """Lists some kinds for a message."""
    shown = list(map(repr, list(kinds)[:MOST_SHOWN]))
    if len(kinds) > MOST_SHOWN:
        shown.append("...")
    return ", ".join(shown)

"""What may be recommended and how it is ordered, as it is asked for, and as it is ranked by."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from ..data import Items
from ..errors import ConfigError, NothingAllowedError, one_line, unknown
from .expressions import holds
from .items import Catalogue
from .rerank import Groups, Spread

if TYPE_CHECKING:
    from polars import DataFrame

Boosts = Mapping[str, float] | Iterable[tuple[str | Iterable[Any], float]]
"""Nats that are added to scores, by expressions, items, or lists of items."""

Find = Callable[[Iterable[Any]], tuple[np.ndarray, tuple[Any, ...]]]
"""It finds the columns of items, -1 for unknown ones, and gives the unknown ones."""

MOST_ADDED = 1e4
"""A boost, and a strength, is at most so large."""


MOST_KEPT = 32
"""For so many expressions a reader keeps which items they hold of."""


class Wishes(TypedDict, total=False):
    """What a request may say of the items, beside the history.

    Attributes:
        exclude_seen: recommend nothing of the history; true unless said otherwise.
        allow: recommend nothing but these items; None allows all.
        deny: recommend none of these items.
        where: recommend nothing but the items for which this expression is true; it is over the
            columns of the items (`Recommender.table`), such as "year > 1990 AND genres LIKE
            '%Comedy%'".
        boost: what is added to the scores of some items, in nats: a mapping of expressions (or of
            the ids or titles of single items) to numbers, or pairs of such a text or a list of
            items and a number.
        less_popular: the strength s of a correction: s log n is taken off the score of an item that
            n training users have (one at least).
        at_most: so many items of each group of `per`.
        per: the column that groups the items. A text such as "Crime|Drama" stands for several
            groups, and an item without a value for none.
        diversity: from 0 to 1, how much unlikeness to the items before it counts in the choice of
            the next one, see `rerank.Spread`.
    """

    exclude_seen: bool
    allow: Any
    deny: Any
    where: str | None
    boost: Boosts
    less_popular: float
    at_most: int | None
    per: str | None
    diversity: float


def _none() -> np.ndarray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Rules:
    """Wishes that were read and checked: items are columns of the catalogue.

    Attributes:
        exclude_seen: recommend nothing of the history.
        excluded: (m,) int64, the items that nobody is recommended, ascending.
        added: (I,) float32, what is added to the scores of the items; None: nothing.
        spread: how lists are spread over groups, or made diverse; None: not at all.
        unknown: the items of the wishes that the run does not know.
    """

    exclude_seen: bool = True
    excluded: np.ndarray = field(default_factory=_none)
    added: np.ndarray | None = None
    spread: Spread | None = None
    unknown: tuple[Any, ...] = ()

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Equal rules have equal keys."""
        added = None
        if self.added is not None:
            added = self.added.tobytes()
        spread = None
        if self.spread is not None:
            spread = self.spread.key
        return self.exclude_seen, self.excluded.tobytes(), added, spread

    @property
    def addend(self) -> Tensor | None:
        """What is added to the scores, as a tensor."""
        if self.added is None:
            return None
        return torch.from_numpy(self.added)


ANYTHING = Rules()
"""Everything may be recommended that the history does not hold."""


class WishReader:
    """Reads wishes over the items of a run.

    Args:
        items: of the run.
        catalogue: the same by name.
        find: finds items, or refuses unknown ones.
    """

    def __init__(self, items: Items, catalogue: Catalogue, find: Find) -> None:
        self._items = items
        self._catalogue = catalogue
        self._find = find
        self._known_groups: dict[str, Groups] = {}
        self._known_holds: dict[str, np.ndarray] = {}

    @cached_property
    def table(self) -> "DataFrame":
        """The items with all that is known of them, one row each."""
        return self._items.to_frame()

    @cached_property
    def log_popularity(self) -> np.ndarray | None:
        """The logs of the numbers of training users, (I,) float64, of one at least; None where the
        run does not know them.
        """
        if self._items.popularity is None:
            return None
        return np.log(np.maximum(self._items.popularity, 1))

    def read(
        self,
        *,
        exclude_seen: bool = True,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
        where: str | None = None,
        boost: Boosts = (),
        less_popular: float = 0.0,
        at_most: int | None = None,
        per: str | None = None,
        diversity: float = 0.0,
    ) -> Rules:
        """Reads wishes, see `Wishes`.

        Raises:
            ConfigError: one cannot be met by any item, or has a value that is not allowed.
            DataError: an item is not known, and unknown ones are refused.
        """
        rules = Rules(exclude_seen)
        if allow is not None or where is not None or not _is_empty(deny):
            rules = self._limit(rules, allow, deny, where)
        added, unknown_boosted = self._added(boost, less_popular)
        return replace(
            rules,
            added=added,
            spread=self._spread(at_most, per, diversity),
            unknown=rules.unknown + unknown_boosted,
        )

    def _limit(
        self, rules: Rules, allow: Iterable[Any] | None, deny: Iterable[Any], where: str | None
    ) -> Rules:
        """Finds the items that nobody is recommended.

        Raises:
            ConfigError: no item is left.
        """
        is_allowed = np.full(len(self._items), allow is None)
        allowed, unknown_allowed = self._find(allow or ())
        denied, unknown_denied = self._find(deny)
        is_allowed[allowed[allowed >= 0]] = True
        is_allowed[denied[denied >= 0]] = False
        if where is not None:
            is_allowed &= self._holds(where, "where")
        if not is_allowed.any():
            cause = ""
            if unknown_allowed:
                cause = f"; {self._catalogue.describe_unknown(unknown_allowed[0])}"
            options = "allow and deny leave"
            if where is not None:
                options = f"allow, deny and where {one_line(repr(where), 120)} leave"
            raise NothingAllowedError(
                f"nothing may be recommended: {options} none of the items{cause}"
            )
        excluded = np.flatnonzero(~is_allowed)
        return replace(rules, excluded=excluded, unknown=unknown_allowed + unknown_denied)

    def _holds(self, expression: str, option: str) -> np.ndarray:
        """Finds the items for which an expression is true, (I,) bool, or recalls them: a server is
        asked the same again and again.
        """
        known = None
        if isinstance(expression, str):
            known = self._known_holds.get(expression)
        if known is None:
            known = holds(self.table, expression, option)
            if len(self._known_holds) >= MOST_KEPT:
                self._known_holds.clear()
            self._known_holds[expression] = known
        return known

    def _added(
        self, boost: Boosts, less_popular: float
    ) -> tuple[np.ndarray | None, tuple[Any, ...]]:
        """Sums up what is added to the score of each item, (I,) float32, or None for nothing.

        Returns:
            The sums, and the items of boosts that the run does not know.
        """
        strength = _number(less_popular, "less_popular", least=0)
        pairs: list[tuple[Any, float]]
        if isinstance(boost, Mapping):
            pairs = list(boost.items())
        else:
            pairs = list(boost)
        added = np.zeros(len(self._items))
        missing: tuple[Any, ...] = ()
        for what, nats in pairs:
            amount = _number(nats, "a boost", least=-MOST_ADDED)
            if isinstance(what, str) and not self._catalogue.find_all(what):
                added += amount * self._holds(what, "boost")
                continue
            if isinstance(what, str):
                what = [what]
            columns, unknown_items = self._find(what)
            added[np.unique(columns[columns >= 0])] += amount
            missing += unknown_items
        if strength:
            if self.log_popularity is None:
                raise ConfigError(
                    "less_popular needs the number of users of each item, which this run has not "
                    "kept; fit it again"
                )
            added -= strength * self.log_popularity
        if not added.any():
            return None, missing
        return added.astype(np.float32), missing

    def _spread(self, at_most: int | None, per: str | None, diversity: float) -> Spread | None:
        """Reads how lists are spread over groups, or made diverse."""
        trade = _number(diversity, "diversity", least=0, most=1)
        if (at_most is None) != (per is None):
            raise ConfigError(
                "at_most=N and per=COLUMN go together: at most N items of each group of the column"
            )
        groups = None
        if at_most is not None and per is not None:
            is_whole = isinstance(at_most, int | np.integer) and not isinstance(at_most, bool)
            if not is_whole or at_most < 1:
                raise ConfigError(f"at_most must be a whole number from 1, got {at_most}")
            groups = self._groups(per)
        if groups is None and not trade:
            return None
        return Spread(trade, at_most, per, groups)

    def _groups(self, per: str) -> Groups:
        """Reads the groups of the items from a column of their table."""
        if per not in self.table.columns:
            raise ConfigError(unknown("column", per, self.table.columns, " in per"))
        if per in self._known_groups:
            return self._known_groups[per]
        names: list[Sequence[Any]] = []
        for value in self.table[per].to_list():
            parts: Sequence[Any] = [value]
            if isinstance(value, str):
                parts = [part.strip() for part in value.split("|")]
            names.append([part for part in parts if part is not None and part != ""])
        groups = Groups.of(names)
        self._known_groups[per] = groups
        return groups


def _is_empty(deny: Any) -> bool:
    """Says whether nothing is denied; what may be iterated over once alone is not looked into."""
    return isinstance(deny, list | tuple) and not deny


def _number(value: Any, name: str, least: float, most: float = MOST_ADDED) -> float:
    """Returns a number of a request.

    Raises:
        ConfigError: it is none, or is out of its range.
    """
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not least <= value <= most:
        raise ConfigError(
            f"{name} must be a number from {least:g} to {most:g}, got {one_line(repr(value), 60)}"
        )
    return float(value)

"""The items of a run by id and title."""

import difflib
import heapq
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..data import Items
from ..errors import DataError

# The catalogue by name


def _pieces(text: str) -> set[str]:
    return {text[i : i + 3] for i in range(max(1, len(text) - 2))}


def near(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """The known names nearest to one that is not known, the nearest first; only those that share
    most with it are compared.
    """
    folded = name.casefold()
    pieces = _pieces(folded)
    likely = {
        t.casefold(): t
        for t in heapq.nlargest(50, names, key=lambda t: len(pieces & _pieces(t.casefold())))
    }
    return [likely[t] for t in difflib.get_close_matches(folded, likely, n=n, cutoff=0.5)]


class Catalogue:
    """The items of a run, found by their ids or titles."""

    def __init__(self, items: Items) -> None:
        self.ids, self.titles = items.ids, items.titles

    @cached_property
    def _by_id(self) -> dict[Any, int]:
        return {i: column for column, i in enumerate(self.ids.tolist())}

    @cached_property
    def _by_text(self) -> dict[str, int]:
        return {str(i): column for i, column in self._by_id.items()}

    @cached_property
    def _by_title(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for column, title in enumerate(self.titles or ()):
            found.setdefault(title, []).append(column)
        return found

    @cached_property
    def _by_folded(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for title, columns in self._by_title.items():
            found.setdefault(title.casefold(), []).extend(columns)
        return found

    def column(self, item: Any) -> int:
        """The column of an item, by its id, its id as text, its title, or its title in other case.

        Raises:
            DataError: there is no such item, or there are several.
        """
        item = item.item() if isinstance(item, np.generic) else item
        columns = self._columns(item)
        if not columns:
            raise DataError(self._unknown(str(item)))
        if len(columns) > 1:
            ids = ", ".join(str(self.ids[c]) for c in columns[:5]) + (
                ", ..." if len(columns) > 5 else ""
            )
            raise DataError(f"{len(columns)} items are called {item!r}; take one by its id: {ids}")
        return columns[0]

    def _columns(self, item: Any) -> Sequence[int]:
        if isinstance(item, str | int | float) and item in self._by_id:
            return [self._by_id[item]]
        text = str(item)
        if text in self._by_text:
            return [self._by_text[text]]
        return self._by_title.get(text, self._by_folded.get(text.casefold(), []))

    def _unknown(self, item: str) -> str:
        found = near(item, [*self._by_title, *self._by_text])
        hint = f"; did you mean {', '.join(map(repr, found))}?" if found else ""
        return f"no item {item!r} among the {len(self.ids)} of this run, neither by id nor by title{hint}"

    def columns(self, items: Iterable[Any]) -> np.ndarray:
        """The columns of several items, (n,) int64."""
        return np.array([self.column(i) for i in items], dtype=np.int64)

    def title(self, column: int) -> str | None:
        """What an item is called, or None where the run has no titles."""
        return None if self.titles is None else self.titles[column]

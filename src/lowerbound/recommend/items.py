"""The items of a run by id and title."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from ..data import Items
from ..errors import DataError

WORD_WEIGHT = 0.9
"""Sharing all words counts this much of being equal, so that an equal name comes first."""


LEAST_SIMILARITY = 50
"""Names that are less alike, from 0 to 100, are no suggestion."""


def near(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """Finds the known names nearest to one that is not known, the nearest first.

    Two names are alike by their letters, or by the words that they share, whichever is more. The
    first finds a name in spite of typing errors, and the second in spite of missing words. Case and
    punctuation do not matter.

    Args:
        name: the unknown name.
        names: the known names.
        n: at most this many are returned.
    """
    # Only an unknown name needs it, and the import takes 30 ms.
    from rapidfuzz import fuzz, process, utils

    asked = utils.default_process(name)
    if not asked:
        return []
    known = list(dict.fromkeys(names))
    choices = [utils.default_process(choice) for choice in known]
    by_letters = process.cdist([asked], choices, scorer=fuzz.ratio)[0]
    by_words = process.cdist([asked], choices, scorer=fuzz.token_set_ratio)[0]
    similarity = np.maximum(by_letters, WORD_WEIGHT * by_words)
    nearest = np.argsort(-similarity, kind="stable")[:n]
    return [known[k] for k in nearest if similarity[k] >= LEAST_SIMILARITY]


class Catalogue:
    """The items of a run, found by their ids or titles."""

    def __init__(self, items: Items) -> None:
        self.ids: np.ndarray = items.ids
        self.titles: list[str] | None = items.titles

    @cached_property
    def _by_id(self) -> dict[Any, int]:
        return {item: column for column, item in enumerate(self.ids.tolist())}

    @cached_property
    def _by_text(self) -> dict[str, int]:
        return {str(item): column for item, column in self._by_id.items()}

    @cached_property
    def _by_title(self) -> dict[str, list[int]]:
        columns: dict[str, list[int]] = {}
        for column, title in enumerate(self.titles or ()):
            columns.setdefault(title, []).append(column)
        return columns

    @cached_property
    def _by_folded_title(self) -> dict[str, list[int]]:
        columns: dict[str, list[int]] = {}
        for title, of_title in self._by_title.items():
            columns.setdefault(title.casefold(), []).extend(of_title)
        return columns

    def column(self, item: Any) -> int:
        """Finds the column of an item by its id, its id as text, its title, or its title in other
        case.

        Raises:
            DataError: there is no such item, or there are several.
        """
        if isinstance(item, np.generic):
            item = item.item()
        columns = self._find_columns(item)
        if not columns:
            self._refuse_unknown(str(item))
        if len(columns) > 1:
            ids = [str(self.ids[column]) for column in columns[:5]]
            if len(columns) > 5:
                ids.append("...")
            raise DataError(
                f"{len(columns)} items are called {item!r}; take one by its id: {', '.join(ids)}"
            )
        return columns[0]

    def _find_columns(self, item: Any) -> Sequence[int]:
        if isinstance(item, str | int | float) and item in self._by_id:
            return [self._by_id[item]]
        text = str(item)
        if text in self._by_text:
            return [self._by_text[text]]
        if text in self._by_title:
            return self._by_title[text]
        return self._by_folded_title.get(text.casefold(), [])

    def _refuse_unknown(self, item: str) -> NoReturn:
        """Raises a DataError that names the items nearest to an unknown one."""
        message = (
            f"no item {item!r} among the {len(self.ids)} of this run, neither by id nor by title"
        )
        suggestions = near(item, [*self._by_title, *self._by_text])
        if suggestions:
            message += f"; did you mean {', '.join(map(repr, suggestions))}?"
        raise DataError(message)

    def columns(self, items: Iterable[Any]) -> np.ndarray:
        """Finds the columns of several items, (n,) int64."""
        return np.array([self.column(item) for item in items], dtype=np.int64)

    def title(self, column: int) -> str | None:
        """Returns the title of an item, or None where the run has no titles."""
        if self.titles is None:
            return None
        return self.titles[column]

"""The items of a run by id and title."""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..data import Items
from ..data.interactions.ids import id_text
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
    """The items of a run, found by their ids or titles.

    Two spellings of an id are one by the rule of `data.interactions.ids`; titles are told apart by
    neither the encoding of their accents nor the blanks around them.

    Attributes:
        ids: (I,) the ids.
        titles: of the items, or None.
        suggests: whether messages on unknown items name similar ones, for which all are looked at.
    """

    def __init__(self, items: Items) -> None:
        self.ids: np.ndarray = items.ids
        self.titles: list[str] | None = items.titles
        self.suggests = True

    @cached_property
    def _by_id(self) -> dict[str, int]:
        columns: dict[str, int] = {}
        for column, item in enumerate(self.ids.tolist()):
            columns.setdefault(id_text(item), column)
        return columns

    @cached_property
    def _by_title(self) -> dict[str, list[int]]:
        columns: dict[str, list[int]] = {}
        for column, title in enumerate(self.titles or ()):
            columns.setdefault(_title_text(title), []).append(column)
        return columns

    @cached_property
    def _by_folded_title(self) -> dict[str, list[int]]:
        columns: dict[str, list[int]] = {}
        for title, of_title in self._by_title.items():
            columns.setdefault(title.casefold(), []).extend(of_title)
        return columns

    def column(self, item: Any) -> int:
        """Finds the column of an item by its id, its title, or its title in other case.

        Raises:
            DataError: there is no such item, or there are several.
        """
        column = self.find(item)
        if column is None:
            raise DataError(self.describe_unknown(item))
        return column

    def find(self, item: Any) -> int | None:
        """Finds the column of an item as `column` does; None if there is no such item.

        Raises:
            DataError: there are several.
        """
        columns = self._find_columns(item)
        if not columns:
            return None
        if len(columns) > 1:
            ids = [str(self.ids[column]) for column in columns[:5]]
            if len(columns) > 5:
                ids.append("...")
            raise DataError(
                f"{len(columns)} items are called {item!r}; take one by its id: {', '.join(ids)}"
            )
        return columns[0]

    def find_all(self, item: Any) -> list[int]:
        """Finds the columns of all items of an id or a title, as `column` does."""
        return list(self._find_columns(item))

    def _find_columns(self, item: Any) -> Sequence[int]:
        is_missing = item is None or item != item
        if is_missing:
            return []
        text = id_text(item)
        if text in self._by_id:
            return [self._by_id[text]]
        title = _title_text(str(item))
        if title in self._by_title:
            return self._by_title[title]
        return self._by_folded_title.get(title.casefold(), [])

    def describe_unknown(self, item: Any) -> str:
        """Describes an item that is not known, with the nearest ones."""
        count = len(self.ids)
        message = f"no item {str(item)!r} among the {count} of this run, neither by id nor by title"
        if not self.suggests:
            return message
        suggestions = near(str(item), [*self._by_title, *self._by_id])
        if suggestions:
            message += f"; did you mean {', '.join(map(repr, suggestions))}?"
        return message

    def columns(self, items: Iterable[Any]) -> np.ndarray:
        """Finds the columns of several items, (n,) int64, as `column` does."""
        return np.array([self.column(item) for item in items], dtype=np.int64)

    def known(self, items: Iterable[Any]) -> tuple[np.ndarray, list[Any]]:
        """Finds the columns of several items, (n,) int64, -1 for those that are not known.

        Returns:
            The columns, and the items that are not known.

        Raises:
            DataError: several items have one of the names.
        """
        columns = []
        unknown = []
        by_id = self._by_id
        for item in items:
            # Whole numbers, and ids as they are spelt here, are the most of what is asked for.
            column: int | None = None
            if type(item) is int:
                column = by_id.get(str(item))
            elif type(item) is str:
                column = by_id.get(item)
            if column is None:
                column = self.find(item)
            if column is None:
                unknown.append(item)
                column = -1
            columns.append(column)
        return np.array(columns, dtype=np.int64), unknown

    def id(self, column: int) -> Any:
        """Returns the id of an item as a plain value."""
        return self.ids[column : column + 1].tolist()[0]

    def title(self, column: int) -> str | None:
        """Returns the title of an item, or None where the run has no titles."""
        if self.titles is None:
            return None
        return self.titles[column]


def _title_text(title: str) -> str:
    """Returns a title in the spelling by which it is found."""
    return unicodedata.normalize("NFC", title).strip()

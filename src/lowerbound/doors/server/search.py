"""Finding items as somebody types."""

import unicodedata

import numpy as np

from ...recommend import Catalogue

LEAST_ALIKE = 75
"""Titles that are less alike to what was typed, from 0 to 100, are not found."""

LEAST_TYPED = 3
"""Similar titles are looked for from so many characters on."""


def fold(text: str) -> str:
    """Returns a text without case and accents, by which it is found.

    >>> fold("Amélie")
    'amelie'
    """
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


class ItemSearch:
    """Finds items by parts of their titles, or of their ids in a run without titles.

    An item is found that has every word that was typed, anywhere in its title; where none has, the
    titles that are most alike. Those that begin with what was typed come first, then those of which
    a word does, then the others; of equals the more popular first.

    Args:
        catalogue: the items.
        popularity: (I,) how many users have each, or None.
    """

    def __init__(self, catalogue: Catalogue, popularity: np.ndarray | None) -> None:
        import polars

        self.catalogue = catalogue
        count = len(catalogue.ids)
        if popularity is None:
            popularity = np.zeros(count, np.int64)
        self.popularity: np.ndarray = popularity
        texts = catalogue.titles
        if texts is None:
            texts = [str(item) for item in catalogue.ids.tolist()]
        self._folded = [fold(text) for text in texts]
        # What is found first stands first: all orders that follow are stable.
        order = np.argsort(-popularity, kind="stable")
        self._frame = polars.DataFrame(
            {"column": order, "text": [self._folded[column] for column in order.tolist()]}
        )

    def find(self, typed: str, limit: int) -> list[int]:
        """Finds the columns of the best `limit` items at most."""
        words = fold(typed).split()
        if not words:
            return self._columns(self._frame, limit)
        own = self.catalogue.find_all(typed)[:limit]
        found = own + [column for column in self._with_words(words, limit) if column not in own]
        if not found and len(typed) >= LEAST_TYPED:
            found = self._alike(" ".join(words), limit)
        return found[:limit]

    def _with_words(self, words: list[str], limit: int) -> list[int]:
        """Finds the items whose texts have all words."""
        import polars

        text = polars.col("text")
        has_all = polars.all_horizontal(text.str.contains(word, literal=True) for word in words)
        whole = " ".join(words)
        rank = (
            polars.when(text.str.starts_with(whole))
            .then(0)
            .when(text.str.contains(f" {whole}", literal=True))
            .then(1)
            .otherwise(2)
        )
        found = self._frame.filter(has_all).sort(rank, maintain_order=True)
        return self._columns(found, limit)

    def _alike(self, typed: str, limit: int) -> list[int]:
        """Finds the items whose texts, or a part of them, are most alike to what was typed."""
        from rapidfuzz import fuzz, process

        found = process.extract(
            typed,
            self._folded,
            scorer=fuzz.partial_ratio,
            processor=None,
            limit=limit,
            score_cutoff=LEAST_ALIKE,
        )
        return [column for _, _, column in found]

    def _columns(self, frame: object, limit: int) -> list[int]:
        """Returns the columns of the first rows of a frame."""
        columns: list[int] = frame["column"].head(limit).to_list()  # type: ignore[index]
        return columns

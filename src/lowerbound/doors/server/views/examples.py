"""The examples of a run's own data, and the items of its catalogue, as the page shows them."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ....columns import ColumnSchema
from ....data import Examples, Items, Schema
from ....data.frames import to_frame
from ....recommend import Catalogue
from ....report.text import column_names
from ....system.image_grid import to_unit_interval
from ....training.seeds import derive_seed
from ..problems import Problem
from ..served import Served
from .jobs import in_turn

MOST_POINTS = 100_000
"""A map has at most so many points; of more examples they are drawn by a fixed seed."""

MOST_LEVELS = 30
"""A column of at most so many different words or labels has a colour for each."""

MOST_COLUMNS = 24
"""At most so many columns of a table are colours of the map."""

LABEL = "label"


class Colour:
    """What points are coloured by.

    Attributes:
        name: of the colour.
        values: of each point, (N,) float32; positions of `levels` where there are some, and nan
            where nothing is known.
        levels: words, or None for numbers.
    """

    def __init__(self, name: str, values: np.ndarray, levels: Sequence[str] | None = None) -> None:
        self.name = name
        self.values: np.ndarray = np.asarray(values, np.float32)
        self.levels: list[str] | None = None
        if levels is not None:
            self.levels = list(levels)

    def describe(self) -> dict[str, Any]:
        """Describes the colour; its scale goes from the 1st to the 99th percentile."""
        known = self.values[np.isfinite(self.values)]
        low = 0.0
        high = 1.0
        if len(known):
            low, high = np.quantile(known, [0.01, 0.99]).astype(float).tolist()
        return {"name": self.name, "levels": self.levels, "low": low, "high": high}


class OwnExamples:
    """The points of the map of a run on images, vectors or a table: its own examples.

    Attributes:
        examples: all of them that have points.
        rows: their places among all of the data, (N,).
        of: how many examples the data have.
    """

    def __init__(self, served: Served) -> None:
        whole = served.data.split("all")
        assert isinstance(whole, Examples)
        self.served = served
        self.of: int = len(whole)
        self.rows: np.ndarray = np.arange(self.of)
        if self.of > MOST_POINTS:
            drawn = np.random.default_rng(derive_seed(0, 1)).choice(self.of, MOST_POINTS, False)
            self.rows = np.sort(drawn)
            whole = whole.take(self.rows)
        self.examples = whole
        self.schema: Schema = served.run.schema

    def __len__(self) -> int:
        """Returns the number of points."""
        return len(self.rows)

    @property
    def tile(self) -> int | None:
        """The length of a side of a small picture in pixels; None where there are no pictures."""
        if self.schema.kind != "image":
            return None
        return min(TILE, max(self.schema.shape[1:]))

    @cached_property
    def _names(self) -> dict[str, np.ndarray]:
        names = self.examples.names_of_rows()
        return {name: np.asarray(values) for name, values in names.items()}

    @cached_property
    def labels(self) -> np.ndarray | None:
        """The labels as words, (N,), or None."""
        if LABEL not in self._names:
            return None
        return self._names[LABEL].astype(str)

    def colours(self) -> list[Colour]:
        """Lists what is known of the points beside what the model says of them."""
        colours = []
        labels = self.labels
        if labels is not None:
            levels = _in_order(labels)
            if len(levels) <= MOST_LEVELS:
                at = {word: place for place, word in enumerate(levels)}
                places = np.array([at[word] for word in labels.tolist()])
                colours.append(Colour(LABEL, places, levels))
        colours += self._columns()
        colours.append(self._split())
        return colours

    def _columns(self) -> list[Colour]:
        """Lists the columns of a table with columns of several kinds, and the conditions."""
        colours = []
        values = self.examples.values
        for place, column in enumerate(self.schema.table[:MOST_COLUMNS]):
            if len(column.levels) <= MOST_LEVELS and column.kind != "datetime":
                colours.append(_colour_of(column, values[self.examples.rows, place]))
        conditions = self.examples.conditions
        for place, column in enumerate(self.schema.given):
            is_known = conditions is not None and column.name != LABEL
            if is_known and len(column.levels) <= MOST_LEVELS:
                assert conditions is not None
                colours.append(_colour_of(column, conditions[:, place]))
        return colours

    def _split(self) -> Colour:
        """Returns which split each point is of."""
        data = self.served.data
        places = np.full(self.of, np.nan, np.float32)
        names = [name for name in ("train", "validation", "test") if getattr(data, name)]
        own = data.split("all")
        assert isinstance(own, Examples)
        order = np.argsort(own.rows, kind="stable")
        for place, name in enumerate(names):
            part = getattr(data, name)
            places[order[np.searchsorted(own.rows[order], part.rows)]] = place
        return Colour("split", places[self.rows], names)

    def row_of(self, place: int) -> int:
        """Returns the row of a point in the data."""
        return int(self.examples.rows[place])

    def titles(self, ids: np.ndarray) -> list[str]:
        """Names points: by the file where there is one, else by the row, and by the label."""
        titles = []
        for at in ids.tolist():
            title = f"row {self._names['row'][at]}"
            if "file" in self._names:
                title = str(self._names["file"][at])
            if self.labels is not None:
                title += f" · label {self.labels[at]}"
            titles.append(title)
        return titles

    def values(self, ids: np.ndarray) -> list[dict[str, Any]]:
        """Returns the values of rows of tables and vectors by column; nothing of images."""
        if self.schema.kind == "image":
            return [{} for _ in ids]
        values = self.examples.values_at(ids)
        if self.schema.table:
            return to_frame(self.schema.table, values).to_dicts()
        names = column_names(self.schema.columns, self.schema.shape[0], "x")
        rows = []
        for row in np.asarray(values, np.float64).tolist():
            rows.append(dict(zip(names, row, strict=True)))
        return rows

    def given(self, ids: np.ndarray) -> list[dict[str, Any] | None]:
        """Returns the conditions of points by name, in the words of the data."""
        conditions = self.examples.conditions
        if not self.schema.given or conditions is None:
            return [None for _ in ids]
        return list(to_frame(self.schema.given, conditions[ids]).to_dicts())

    def pictures(self, ids: np.ndarray) -> np.ndarray:
        """Returns the images of points as shares of white, (n, C, H, W), before any
        binarisation.
        """
        values = np.asarray(self.examples.values_at(ids))
        scaled = np.asarray(self.schema.scaled(values, self.examples.levels), np.float32)
        images = to_unit_interval(scaled, self.schema.low, self.schema.high)
        return np.clip(np.nan_to_num(images), 0, 1)

    @cached_property
    def _place_of_row(self) -> dict[str, int]:
        return {str(row): at for at, row in enumerate(self.examples.rows.tolist())}

    def places(self, rows: Sequence[str]) -> list[int]:
        """Finds the points of rows of the data by their numbers."""
        return [self._place_of_row[row] for row in rows if row in self._place_of_row]

    def search(self, text: str) -> np.ndarray:
        """Finds the points of a row, a label, a part of a name, or a word of a table."""
        asked = text.casefold()
        found = np.zeros(len(self), bool)
        found[self.places([asked])] = True
        for name, values in self._names.items():
            if name == LABEL:
                assert self.labels is not None
                found |= np.char.lower(self.labels) == asked
            elif name != "row":
                found |= _holding(values, asked)
        for place, column in enumerate(self.schema.table):
            fitting = [at for at, word in enumerate(column.levels) if asked in word.casefold()]
            if fitting:
                found |= np.isin(self.examples.values[self.examples.rows, place], fitting)
        return np.flatnonzero(found)


class OwnItems:
    """The points of the map of a recommender: the items of its catalogue.

    Attributes:
        items: the catalogue.
        of: how many items there are.
    """

    tile: int | None = None

    def __init__(self, served: Served) -> None:
        items = served.run.items
        assert isinstance(items, Items)
        self.items = items
        self.of: int = len(items.ids)

    def __len__(self) -> int:
        """Returns the number of points."""
        return self.of

    def colours(self) -> list[Colour]:
        """Returns how popular items are."""
        popularity = self.items.popularity
        if popularity is None:
            return []
        return [Colour("users, log10", np.log10(np.maximum(popularity, 1)))]

    def row_of(self, place: int) -> int:
        """Returns the place of an item in the catalogue."""
        return place

    def titles(self, ids: np.ndarray) -> list[str]:
        """Names items by their titles, else by their ids."""
        titles = self.items.titles
        if titles is None:
            return [f"item {self.items.ids[at]}" for at in ids.tolist()]
        return [titles[at] for at in ids.tolist()]

    def values(self, ids: np.ndarray) -> list[dict[str, Any]]:
        """Returns the ids of items, and how many training users have them."""
        rows = []
        popularity = self.items.popularity
        for at, item in zip(ids.tolist(), self.items.ids[ids].tolist(), strict=True):
            row = {"item": item}
            if popularity is not None:
                row["users"] = int(popularity[at])
            rows.append(row)
        return rows

    def places(self, items: Sequence[str]) -> list[int]:
        """Finds the points of items by their ids."""
        places = [self._catalogue.find(item) for item in items]
        return [place for place in places if place is not None]

    @cached_property
    def _catalogue(self) -> Catalogue:
        return Catalogue(Items(self.items.ids))

    @cached_property
    def _texts(self) -> np.ndarray:
        return np.array(self.titles(np.arange(self.of)))

    def search(self, text: str) -> np.ndarray:
        """Finds the items whose titles hold a text."""
        return np.flatnonzero(_holding(self._texts, text.casefold()))


TILE = 32
"""The length of a side of a small picture, at most."""


_OF_RUNS: "WeakKeyDictionary[Served, OwnExamples | OwnItems]" = WeakKeyDictionary()


async def points_of(served: Served) -> OwnExamples | OwnItems:
    """Returns what has points on the map of a run; it is made once.

    Raises:
        Problem: the data of the run are not there.
    """
    if served not in _OF_RUNS:
        _OF_RUNS[served] = await in_turn(served, lambda: _make_points(served))
    return _OF_RUNS[served]


def _make_points(served: Served) -> OwnExamples | OwnItems:
    if served.kind == "recommender":
        return OwnItems(served)
    return OwnExamples(served)


def places_in(ids: Sequence[int], count: int) -> np.ndarray:
    """Returns the places of points.

    Raises:
        Problem: there is no such point.
    """
    places = np.array(ids, np.int64)
    if len(places) and (places.min() < 0 or places.max() >= count):
        raise Problem(404, f"points have the numbers 0 to {count - 1}")
    return places


def _colour_of(column: ColumnSchema, values: np.ndarray) -> Colour:
    """Makes a colour of a column of a table."""
    return Colour(column.name, values, column.levels or None)


def _in_order(words: np.ndarray) -> list[str]:
    """Lists different words in order; whole numbers as numbers."""
    different = np.unique(words).tolist()
    try:
        return sorted(different, key=int)
    except ValueError:
        return list(different)


def _holding(texts: np.ndarray, asked: str) -> np.ndarray:
    """Says which texts hold another one, in whatever case."""
    import polars

    column = polars.Series(texts.astype(str), dtype=polars.String)
    holds = column.str.to_lowercase().str.contains(asked, literal=True)
    return holds.to_numpy()

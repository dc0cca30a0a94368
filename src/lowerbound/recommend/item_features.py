"""What is known of items beside who had them, as numbers: words of titles, genres and other
categories, numbers and dates.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.interactions.titles import genres_of
from ..errors import DataError, one_line

if TYPE_CHECKING:
    from polars import DataFrame, Series
    from scipy.sparse import csr_matrix

WORDS = 1000
"""So many words of a column of texts, the most frequent ones, are features at most."""

CATEGORIES = 1000
"""So many categories of a column, the most frequent ones, are features at most."""

LEAST_ITEMS = 2
"""A word or a category of fewer items is no feature: nothing is learned from it."""

NO_FEATURES = ("item", "popularity")
"""Columns of a catalogue that say nothing of what an item is."""


@dataclass(frozen=True, eq=False)
class _Counted:
    """A column whose words or categories are counted.

    Attributes:
        name: of the column.
        vectorizer: of scikit-learn, fitted.
    """

    name: str
    vectorizer: Any

    @property
    def width(self) -> int:
        return len(self.vectorizer.vocabulary_)

    def code(self, column: "Series") -> "csr_matrix":
        from scipy.sparse import csr_matrix

        return csr_matrix(self.vectorizer.transform(_texts(column)))


@dataclass(frozen=True, eq=False)
class _Scaled:
    """A column of numbers, standardised; a gap is the mean.

    Attributes:
        name: of the column.
        mean: of the numbers.
        deviation: of the numbers.
    """

    name: str
    mean: float
    deviation: float

    width = 1

    def code(self, column: "Series") -> "csr_matrix":
        from scipy.sparse import csr_matrix

        values = (_numbers(column) - self.mean) / self.deviation
        return csr_matrix(np.nan_to_num(values)[:, None])


@dataclass(frozen=True, eq=False)
class ItemFeatures:
    """Makes features of the columns of a table of items, as it was fitted to one.

    - Titles, and other texts that mostly differ, are words: weighted by how rare they are (tf-idf),
      each text of length 1.
    - Genres, and other texts, are categories; several in one text are parted by "|" or by commas.
    - Numbers, truth values and dates are standardised; a gap is the mean.

    Attributes:
        columns: of the table, each with what is counted or scaled.
    """

    columns: tuple[_Counted | _Scaled, ...]

    @classmethod
    def fit(cls, frame: "DataFrame") -> "ItemFeatures":
        """Finds the features of a catalogue.

        Args:
            frame: the items, one a row, as `Items.to_frame` gives them.

        Raises:
            DataError: nothing is known of the items.
        """
        columns = []
        for name in frame.columns:
            if name in NO_FEATURES:
                continue
            column = _fit_column(frame[name])
            if column is not None:
                columns.append(column)
        if not columns:
            raise DataError(
                "the run knows nothing of its items that would tell of new ones: fit it with "
                "data.interactions.items=FILE, a table with their titles, genres or other columns"
            )
        return cls(tuple(columns))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are used."""
        return tuple(column.name for column in self.columns)

    @property
    def width(self) -> int:
        """The number of features, F."""
        return sum(column.width for column in self.columns)

    def code(self, frame: "DataFrame") -> "csr_matrix":
        """Makes the features of items, (n, F) float64. A column that is not there says nothing.

        Raises:
            DataError: none of the columns is there, or a column has another type.
        """
        from scipy.sparse import csr_matrix, hstack

        known = [column.name for column in self.columns if column.name in frame.columns]
        if not known:
            raise DataError(
                "nothing is known of the new items; the run knows of items "
                f"{one_line(', '.join(self.names), 200)}, and the table has "
                f"{one_line(', '.join(frame.columns), 200)}"
            )
        parts = []
        for column in self.columns:
            if column.name in known:
                parts.append(column.code(frame[column.name]))
            else:
                parts.append(csr_matrix((len(frame), column.width)))
        return csr_matrix(hstack(parts, format="csr"))


def _fit_column(column: "Series") -> _Counted | _Scaled | None:
    """Finds the features of one column; None where it tells items in no groups."""
    import polars

    if column.null_count() == len(column):
        return None
    if column.dtype != polars.String:
        values = _numbers(column)
        deviation = float(np.nanstd(values))
        if not deviation > 0:
            return None
        return _Scaled(column.name, float(np.nanmean(values)), deviation)
    vectorizer = _make_vectorizer(column)
    try:
        vectorizer.fit(_texts(column))
    except ValueError:  # there is no word, or each is of one item alone
        return None
    return _Counted(column.name, vectorizer)


def _make_vectorizer(column: "Series") -> Any:
    """Chooses whether the texts of a column are words or categories."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    lists = [genres_of(text) for text in _texts(column)]
    names = [name for listed in lists for name in listed]
    if column.name == "title" or 2 * len(set(names)) > len(names):
        return TfidfVectorizer(min_df=LEAST_ITEMS, max_features=WORDS, sublinear_tf=True)
    return CountVectorizer(
        analyzer=genres_of, min_df=LEAST_ITEMS, max_features=CATEGORIES, binary=True
    )


def _texts(column: "Series") -> list[str]:
    import polars

    return column.cast(polars.String).fill_null("").to_list()


def _numbers(column: "Series") -> np.ndarray:
    """Returns a column as numbers, (n,) float64; dates are counted in days.

    Raises:
        DataError: it holds no numbers.
    """
    import polars

    if column.dtype == polars.String:
        raise DataError(
            f"the column {column.name!r} of the new items must hold numbers, as that of the run "
            f"does, got texts such as {one_line(repr(column.drop_nulls().to_list()[:1]), 80)}"
        )
    if column.dtype.is_temporal():
        column = column.cast(polars.Datetime("ms")).dt.epoch("d")
    return column.cast(polars.Float64).to_numpy()

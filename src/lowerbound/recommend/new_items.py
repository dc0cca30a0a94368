"""Vectors of items that a model never saw, from what is known of them.

The last layer of a recommender has a vector w and a bias b for each item, and the score of the item
is <h, w> + b, where h is what the network makes of a user. Vectors and biases are regressed on the
features of the items that the model knows (`item_features`), and so are predicted for others.

What counts of an error e of a vector is the error <h, e> of the scores. So the penalty of the
regression is chosen by the variance of that error over users, e' C e with the covariance C of h.
The length of e alone would be the wrong measure: most of a vector stands in directions in which no
two users differ.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..data import Items
from ..data.interactions.ids import as_texts, positions
from ..errors import DataError, one_line
from .item_features import ItemFeatures

if TYPE_CHECKING:
    from polars import DataFrame
    from scipy.sparse import csr_matrix

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""The penalties that are tried, beside weights of items whose mean is 1."""

HELD_OUT = 0.2
"""This part of the items is held out to choose the penalty by."""

LEAST_ITEMS = 20
"""A regression takes this many items."""


class ItemLayer(NamedTuple):
    """Vectors and biases of n items.

    Attributes:
        vectors: (n, d).
        biases: (n,).
    """

    vectors: np.ndarray
    biases: np.ndarray


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear regression with a penalty on the squares of its coefficients (Hoerl & Kennard 1970),
    of several outputs, in closed form. The intercept has no penalty.

    Attributes:
        coefficients: (F, m).
        intercept: (m,).
        penalty: the weight of the squares.
        explained: the part of the variance of items that were held out, when the penalty was
            chosen, that the regression explained by the best of `PENALTIES`.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    penalty: float
    explained: float

    @classmethod
    def fit(
        cls,
        x: "csr_matrix",
        y: np.ndarray,
        weights: np.ndarray,
        metric: np.ndarray,
        *,
        seed: int = 0,
    ) -> "Ridge":
        """Fits a regression, by the penalty that is best on items that are held out for that.

        Args:
            x: the features, (n, F).
            y: the outputs, (n, m) float64.
            weights: of the items, (n,).
            metric: C, (m, m), by which errors e of the outputs are measured: e' C e.
            seed: of the choice of the items that are held out.
        """
        weights = weights / weights.mean()
        order = np.random.default_rng(seed).permutation(len(y))
        held_out = order[: round(HELD_OUT * len(y))]
        kept = order[len(held_out) :]
        sums = _Sums.of(x[kept], y[kept], weights[kept])

        def measure(errors: np.ndarray) -> float:
            return float(weights[held_out] @ ((errors @ metric) * errors).sum(1))

        errors = []
        for penalty in PENALTIES:
            coefficients, intercept = sums.solve(penalty)
            errors.append(measure(y[held_out] - x[held_out] @ coefficients - intercept))
        best = int(np.argmin(errors))
        variance = measure(y[held_out] - sums.y_mean)
        explained = 0.0
        if variance > 0:
            explained = 1 - errors[best] / variance
        coefficients, intercept = _Sums.of(x, y, weights).solve(PENALTIES[best])
        return cls(coefficients, intercept, PENALTIES[best], explained)

    def predict(self, x: "csr_matrix") -> np.ndarray:
        """Predicts the outputs, (n, m)."""
        return np.asarray(x @ self.coefficients + self.intercept)


@dataclass(frozen=True, eq=False)
class _Sums:
    """The weighted sums of a regression, from which the coefficients of any penalty follow.

    Attributes:
        gram: weighted sums of products of the centred features, (F, F).
        products: of the features with the outputs, (F, m).
        x_mean: the weighted means of the features, (F,).
        y_mean: of the outputs, (m,).
    """

    gram: np.ndarray
    products: np.ndarray
    x_mean: np.ndarray
    y_mean: np.ndarray

    @classmethod
    def of(cls, x: "csr_matrix", y: np.ndarray, weights: np.ndarray) -> "_Sums":
        """Sums up; the features stay sparse."""
        total = weights.sum()
        weighted = x.multiply(weights[:, None]).tocsr()
        x_mean = np.asarray(weighted.sum(0)).ravel() / total
        y_mean = weights @ y / total
        gram = (x.T @ weighted).toarray() - total * np.outer(x_mean, x_mean)
        products = weighted.T @ y - total * np.outer(x_mean, y_mean)
        return cls(gram, products, x_mean, y_mean)

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns the coefficients (F, m) and the intercept (m,)."""
        from scipy.linalg import solve

        penalised = self.gram + penalty * np.eye(len(self.gram))
        coefficients = solve(penalised, self.products, assume_a="pos")
        return coefficients, self.y_mean - self.x_mean @ coefficients


@dataclass(frozen=True, eq=False)
class ItemRegression:
    """Predicts the vector and the bias that an item would have, by what is known of it.

    An item counts as much as it has users: the vectors of rare items are mostly where training
    began. The bias of a new item is that which items like it have in the mean over their users,
    since nothing is known of how popular it is.

    Attributes:
        features: of items.
        ridge: from features to vectors, with the biases as the last output.
    """

    features: ItemFeatures
    ridge: Ridge

    @classmethod
    def fit(cls, items: Items, layer: ItemLayer, codes: np.ndarray) -> "ItemRegression":
        """Fits the regression to the items of a run.

        Args:
            items: the catalogue, with what is known of the items.
            layer: their vectors and biases.
            codes: h of some users, (n, d), by whose covariance errors are measured.

        Raises:
            DataError: nothing is known of the items, or they are too few.
        """
        if len(items) < LEAST_ITEMS:
            raise DataError(
                f"new items need a run with {LEAST_ITEMS} items or more to learn from, got "
                f"{len(items)}"
            )
        frame = items.to_frame()
        features = ItemFeatures.fit(frame)
        weights = np.ones(len(items))
        if items.popularity is not None:
            weights = np.maximum(items.popularity, 1).astype(np.float64)
        outputs = np.concatenate([layer.vectors, layer.biases[:, None]], 1).astype(np.float64)
        width = outputs.shape[1]
        metric = np.zeros((width, width))  # a bias is the same for all users
        metric[:-1, :-1] = np.cov(codes, rowvar=False)
        return cls(features, Ridge.fit(features.code(frame), outputs, weights, metric))

    def predict(self, frame: "DataFrame") -> ItemLayer:
        """Predicts vectors and biases of the items of a table, one a row, as float32.

        Raises:
            DataError: nothing is known of them, or a column has another type.
        """
        outputs = self.ridge.predict(self.features.code(frame)).astype(np.float32)
        return ItemLayer(outputs[:, :-1].copy(), outputs[:, -1].copy())


@dataclass(frozen=True, eq=False)
class NewItems:
    """Items that the model of a run never saw, beside those that it knows.

    Attributes:
        items: the catalogue of both, those that the model knows first.
        layer: the vectors and biases of the new ones.
        columns: of their table, by which these were predicted.
        explained: by how much the regression explains, for items held out of it, how their scores
            differ from user to user, as a part of the variance.
        are_of_network_alone: whether a linear partner, which has no scores for new items, is left
            out of the ranking.
    """

    items: Items
    layer: ItemLayer
    columns: tuple[str, ...]
    explained: float
    are_of_network_alone: bool = False

    def __len__(self) -> int:
        """Returns the number of new items."""
        return len(self.layer.biases)

    def describe(self) -> str:
        """Says in a line what the new items are known by."""
        columns = one_line(", ".join(self.columns), 120)
        line = (
            f"{len(self):,} new items by {columns}, which explain {self.explained:.0%} of how the "
            "scores of items held out of the regression differ from user to user"
        )
        if self.are_of_network_alone:
            line += (
                "; the linear method beside the network has no scores for new items, so that all "
                "items are ranked by the network alone"
            )
        return line


def select_new(table: "DataFrame", known: Items) -> "DataFrame":
    """Returns the rows of a table of items that a catalogue does not have, each id once.

    Raises:
        DataError: it has all of them.
    """
    import polars

    rows = table.unique("item", keep="first", maintain_order=True)
    is_new = positions(rows["item"].to_numpy(), known.ids) < 0
    found = rows.filter(polars.Series(is_new))
    if not len(found):
        raise DataError(f"there is no new item: the run knows all {len(rows):,} items of the table")
    return found


def join_items(known: Items, new: "DataFrame") -> Items:
    """Puts the items of a table behind those of a catalogue; they have no users yet."""
    import polars

    own = known.to_frame()
    ids = [own["item"], new["item"]]
    if ids[0].dtype != ids[1].dtype:
        ids = [as_texts(each) for each in ids]
    frames = [
        own.with_columns(ids[0].alias("item")),
        new.with_columns(ids[1].alias("item")).select(
            [name for name in own.columns if name in new.columns]
        ),
    ]
    joined = polars.concat(frames, how="diagonal_relaxed")
    if known.titles is not None:
        joined = joined.with_columns(
            polars.col("title").fill_null(polars.col("item").cast(polars.String))
        )
    if known.genres is not None:
        joined = joined.with_columns(polars.col("genres").fill_null(""))
    if known.popularity is not None:
        joined = joined.with_columns(polars.col("popularity").fill_null(0))
    return Items.from_frame(joined)

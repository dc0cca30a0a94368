"""Which level holds the label: linear probes of each level, beside PCA of the same size."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import Examples
from ..errors import DataError
from ..model import VAE
from .latent import ACTIVE, own_codes
from .statistics import CLEAR_ERRORS, Estimate

SPLITS = 5
"""The examples are divided this many times, by chance, into one half to train a probe on and
another to test it on.
"""

PROBED_EXAMPLES = 3_000
"""At most this many examples are probed, so that it takes seconds."""

LEAST_OF_CLASS = 10
"""A class of fewer examples than this is left out."""

ITERATIONS = 200
"""A regression takes at most this many steps; one that takes more has long been as good."""


@dataclass(frozen=True, eq=False)
class Probe:
    """How well a linear probe of some features finds the label.

    Attributes:
        size: how many features there are.
        hits: for each example, in what share of the splits that test it the probe is right, (N,).
        accuracy: the mean of these and its standard error over the examples.
    """

    size: int
    hits: np.ndarray

    @property
    def accuracy(self) -> Estimate:
        return Estimate.of(torch.from_numpy(self.hits))

    def more_than(self, other: "Probe") -> Estimate:
        """Estimates by how much more often this probe is right than another, on the same
        examples.
        """
        return Estimate.of(torch.from_numpy(self.hits - other.hits))


@dataclass(frozen=True, eq=False)
class Probes:
    """Linear probes of the levels of a model.

    Attributes:
        levels: one for each level, the one next to the data first.
        together: of all levels side by side; that of the level where there is one.
        components: of the principal components of the examples, by their number: as many as each
            level has dimensions, and as all have together, as far as there are so many.
        most_frequent: the share of the most frequent label, which is the accuracy of no features.
        examples: how many examples were probed.
        classes: how many labels they have.
        left_out: how many examples were left out, because too few have their label.
    """

    levels: tuple[Probe, ...]
    together: Probe
    components: dict[int, Probe]
    most_frequent: float
    examples: int
    classes: int
    left_out: int = 0

    @property
    def best(self) -> int:
        """The level that tells the label best, from 0."""
        accuracies = [level.accuracy.value for level in self.levels]
        return int(np.argmax(accuracies))

    @property
    def holders(self) -> tuple[int, ...]:
        """The levels that tell the label as well as the best one, within two standard errors of the
        paired difference; none where even the best does not tell it better than the most frequent
        label does.
        """
        best = self.levels[self.best]
        value, error = best.accuracy
        if not value - self.most_frequent > CLEAR_ERRORS * error:
            return ()
        near = []
        for number, level in enumerate(self.levels):
            if number == self.best or not best.more_than(level).is_clearly_above:
                near.append(number)
        return tuple(near)

    def components_of(self, probe: Probe) -> Probe:
        """Returns the probe of as many principal components as a probe has features, or of all."""
        sizes = [size for size in self.components if size <= probe.size]
        return self.components[max(sizes, default=min(self.components))]

    def describe(self) -> dict[str, Any]:
        """Returns all numbers, as `lowerbound evaluate --probe --json` has them."""
        return {
            "levels": [_describe(level) for level in self.levels],
            "all_levels": _describe(self.together),
            "principal_components": [_describe(probe) for probe in self.components.values()],
            "most_frequent": self.most_frequent,
            "holders": [level + 1 for level in self.holders],
            "examples": self.examples,
            "classes": self.classes,
            "left_out": self.left_out,
            "splits": SPLITS,
        }


def _describe(probe: Probe) -> dict[str, Any]:
    value, standard_error = probe.accuracy
    return {"size": probe.size, "accuracy": value, "accuracy_se": standard_error}


def chosen_rows(count: int, seed: int = 0) -> np.ndarray:
    """Chooses at most `PROBED_EXAMPLES` of so many examples by chance; their places, ascending."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[:PROBED_EXAMPLES])


def probe_labels(
    codes: Sequence[np.ndarray],
    labels: Sequence[Any] | np.ndarray,
    values: np.ndarray,
    *,
    seed: int = 0,
) -> Probes:
    """Measures how well a linear probe of each level finds the label of an example.

    A probe is a multinomial logistic regression on standardised features. It is trained on one half
    of the examples, with the labels in the same shares, and tested on the other, for `SPLITS`
    random halvings; each probe has the same ones. Principal components are those of the half that a
    probe is trained on.

    Args:
        codes: features of each level, (N, d), the level next to the data first.
        labels: one for each example, (N,); None, nan and "" are none.
        values: the examples themselves, (N, ...).
        seed: of the halvings.

    Raises:
        DataError: there are fewer than two labels with `LEAST_OF_CLASS` examples.
    """
    kept, classes = _frequent(labels)
    target = classes[kept]
    counts = np.bincount(target)
    halvings = _halvings(target, seed)
    levels = [np.asarray(level, np.float64)[kept] for level in codes]
    probes = tuple(_probe(level, target, halvings) for level in levels)
    together = probes[0]
    if len(levels) > 1:
        together = _probe(np.concatenate(levels, axis=1), target, halvings)
    flat = np.asarray(values, np.float64).reshape(len(classes), -1)[kept]
    sizes = [probe.size for probe in (*probes, together)]
    return Probes(
        probes,
        together,
        _probe_components(flat, target, halvings, sizes),
        most_frequent=float(counts.max() / counts.sum()),
        examples=len(target),
        classes=len(counts),
        left_out=len(classes) - len(target),
    )


def _frequent(labels: Sequence[Any] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the examples whose label is known and has enough examples.

    Returns:
        Which they are, (N,) bool, and the number of the class of each example, from 0, (N,).
    """
    words = np.array([_as_word(label) for label in labels])
    names, counts = np.unique(words, return_counts=True)
    is_class = (counts >= LEAST_OF_CLASS) & (names != "")
    if is_class.sum() < 2:
        raise DataError(
            f"a probe needs two labels or more of {LEAST_OF_CLASS} examples each, got "
            f"{int(is_class.sum())} among {len(words):,} examples"
        )
    number_of = np.cumsum(is_class) - 1
    places = np.searchsorted(names, words)
    return is_class[places], number_of[places]


def _as_word(label: Any) -> str:
    """Returns a label as text; "" for none."""
    if label is None or (isinstance(label, float | np.floating) and math.isnan(label)):
        return ""
    return str(label)


def probe_model(model: VAE, examples: Examples, *, seed: int = 0) -> Probes:
    """Measures which level of a model tells the label of an example, by `probe_labels`.

    Each level is probed for what it tells by itself, see `latent.own_means`: the mean of a level of
    a ladder also says what the levels above it say. Dimensions that are not active are zeros: their
    means are known to any precision here, and drown in the noise of a draw.

    Args:
        model: put in evaluation mode for the while.
        examples: images or rows of numbers, with labels; of many, `PROBED_EXAMPLES` are chosen.
        seed: of this choice, and of the halvings.

    Raises:
        DataError: the examples are others, or have no labels, or not two with enough examples.
    """
    if examples.schema.table:
        raise DataError("probes are for images and tables of numbers alone, with labels")
    chosen = examples.take(chosen_rows(len(examples), seed))
    if chosen.labels is None:
        raise DataError(
            "a probe is to find labels, and these examples have none; data.labels names their file "
            "or column"
        )
    codes = [_active_alone(level) for level in own_codes(model, chosen)]
    return probe_labels(codes, chosen.labels, chosen.tensor(slice(None)).numpy(), seed=seed)


def _active_alone(codes: Tensor) -> np.ndarray:
    """Returns codes (N, d) with zeros for the dimensions that are not active."""
    values = codes.double().numpy()
    return np.where(values.var(axis=0) > ACTIVE, values, 0.0)


Halving = tuple[np.ndarray, np.ndarray]
"""The places of the examples that a probe is trained on, and of those that it is tested on."""


def _halvings(target: np.ndarray, seed: int) -> list[Halving]:
    """Divides the examples into two halves, with the classes in the same shares, several times."""
    from sklearn.model_selection import StratifiedShuffleSplit

    splitter = StratifiedShuffleSplit(n_splits=SPLITS, test_size=0.5, random_state=seed % 2**32)
    return list(splitter.split(np.zeros(len(target)), target))


def _probe(features: np.ndarray, target: np.ndarray, halvings: Sequence[Halving]) -> Probe:
    """Probes features (N, d)."""
    right = [
        _is_right(features[first], features[second], target[first], target[second])
        for first, second in halvings
    ]
    return Probe(features.shape[1], _mean_hits(right, halvings, len(target)))


def _probe_components(
    values: np.ndarray, target: np.ndarray, halvings: Sequence[Halving], sizes: Sequence[int]
) -> dict[int, Probe]:
    """Probes the first principal components of examples (N, D), for each of some numbers of them.

    There are no more of them than examples in a half, or values of an example.
    """
    from sklearn.decomposition import PCA

    most = min(len(halvings[0][0]), values.shape[1])
    wanted = sorted({min(size, most) for size in sizes})
    right: dict[int, list[np.ndarray]] = {size: [] for size in wanted}
    for first, second in halvings:
        components = PCA(wanted[-1], svd_solver="full").fit(values[first])
        known = components.transform(values[first])
        others = components.transform(values[second])
        for size in wanted:
            hits = _is_right(known[:, :size], others[:, :size], target[first], target[second])
            right[size].append(hits)
    return {
        size: Probe(size, _mean_hits(hits, halvings, len(target))) for size, hits in right.items()
    }


def _is_right(
    known: np.ndarray, others: np.ndarray, known_target: np.ndarray, other_target: np.ndarray
) -> np.ndarray:
    """Trains a regression on the first features and tests it on the others; says where it is
    right.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(known)
    regression = LogisticRegression(max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the steps are bounded
        regression.fit(scaler.transform(known), known_target)
    return regression.predict(scaler.transform(others)) == other_target


def _mean_hits(right: Sequence[np.ndarray], halvings: Sequence[Halving], count: int) -> np.ndarray:
    """Averages over the splits that test an example; those that none tests are left out."""
    hits = np.zeros(count)
    tests = np.zeros(count)
    for is_right, (_, second) in zip(right, halvings, strict=True):
        hits[second] += is_right
        tests[second] += 1
    is_tested = tests > 0
    return hits[is_tested] / tests[is_tested]

"""The simple imputers and those of scikit-learn, and what an imputer is told of columns."""

import numpy as np
import pytest

from lowerbound.baselines import (
    IMPUTERS,
    KNN,
    NUMBER,
    GaussianEM,
    Iterative,
    Kind,
    MeanMode,
)
from lowerbound.baselines.features import Features
from lowerbound.errors import ConfigError, DataError, LowerboundError

NAN = float("nan")

KINDS = (NUMBER, Kind(3, ordered=True), Kind(3), Kind(2))

TABLE = np.array(
    [
        [1.0, 0, 2, 1],
        [2.0, 2, 2, NAN],
        [NAN, 2, 0, 0],
        [6.0, NAN, NAN, 1],
    ]
)


def test_the_catalogue():
    assert list(IMPUTERS) == ["MeanMode", "GaussianEM", "KNN", "Iterative"]


def test_mean_and_mode():
    filled = MeanMode().fit(TABLE, KINDS).impute(TABLE)
    expected = [[1, 0, 2, 1], [2, 2, 2, 1], [3, 2, 0, 0], [6, 2, 2, 1]]
    np.testing.assert_array_equal(filled, expected)
    np.testing.assert_array_equal(
        MeanMode().fit(TABLE, KINDS).impute(np.full((2, 4), NAN)), [[3, 2, 2, 1]] * 2
    )


def test_the_nearest_row_is_found_in_standard_deviations_and_levels():
    """The first number decides although its unit is small; between equal numbers a level does."""
    table = np.array(
        [
            [0.001, 5000.0, 0, 10.0],
            [0.009, 5100.0, 1, 20.0],
            [0.009, 5100.0, 2, 30.0],
            [0.001, 9000.0, 0, NAN],
            [0.009, 5100.0, 2, NAN],
        ]
    )
    filled = KNN(1).fit(table, [NUMBER, NUMBER, Kind(3), NUMBER]).impute(table)
    assert filled[4, 3] == 30.0
    assert filled[3, 3] == 10.0


def test_neighbours_vote_on_levels():
    table = np.array([[0.0, 1], [0.1, 1], [0.2, 0], [5.0, 2], [5.1, 2], [0.05, NAN]])
    assert KNN(3).fit(table, [NUMBER, Kind(3)]).impute(table)[5, 1] == 1


def test_few_donors_are_a_random_part_of_the_rows():
    random = np.random.default_rng(0)
    table = np.column_stack([np.arange(300.0), np.arange(300.0)])
    table[random.permutation(300)[:100], 1] = NAN
    gaps = np.isnan(table[:, 1])
    all_rows = KNN(1).fit(table).impute(table)[gaps, 1]
    few = KNN(1, donors=60).fit(table).impute(table)[gaps, 1]
    assert len(np.unique(few)) <= 60 < len(np.unique(all_rows)) + 20
    assert np.abs(few - table[gaps, 0]).mean() < 30
    np.testing.assert_array_equal(few, KNN(1, donors=60).fit(table).impute(table)[gaps, 1])
    other = KNN(1, donors=60, seed=1).fit(table).impute(table)[gaps, 1]
    assert not np.array_equal(few, other)
    np.testing.assert_array_equal(KNN(1, donors=300).fit(table).impute(table)[gaps, 1], all_rows)


def linear(rows=300, seed=0):
    """Two numbers of which one is linear in the other, and a level that they decide."""
    random = np.random.default_rng(seed)
    first = random.normal(size=rows)
    second = 1000 - 50 * first + random.normal(size=rows)
    level = np.array([2.0, 0.0, 1.0])[np.digitize(first, [-0.4, 0.4])]
    return np.column_stack([first, second, level])


@pytest.mark.parametrize("imputer", [Iterative(), Iterative("trees", rounds=3, trees=20)], ids=repr)
def test_chained_regressions_find_what_columns_tell(imputer):
    truth = linear()
    hidden = np.random.default_rng(1).random(truth.shape) < 0.2
    values = np.where(hidden, np.nan, truth)
    filled = imputer.fit(values, [NUMBER, NUMBER, Kind(3)]).impute(values)
    told = hidden[:, 1] & ~hidden[:, 0]
    error = np.sqrt(np.mean((filled[told, 1] - truth[told, 1]) ** 2))
    assert error < 10 < truth[:, 1].std() / 4
    told = hidden[:, 2] & ~hidden[:, 0]
    assert np.mean(filled[told, 2] == truth[told, 2]) > 0.7


def test_indicators_of_a_column_do_not_confirm_their_first_guess():
    """With two levels each indicator decides the other, which is missing whenever it is."""
    random = np.random.default_rng(0)
    number = random.normal(size=400)
    level = (number > 0.3).astype(float)
    values = np.column_stack([number, level])
    values[:150, 1] = np.nan
    filled = Iterative().fit(values, [NUMBER, Kind(2)]).impute(values)
    assert np.mean(filled[:150, 1] == level[:150]) > 0.9


@pytest.mark.parametrize("kind", [NUMBER, Kind(3), Kind(3, ordered=True)], ids=repr)
def test_a_column_alone_gets_its_mean_or_mode(kind):
    values = np.array([[1.0], [1.0], [2.0], [np.nan], [0.0], [1.0]])
    for imputer in (MeanMode(), GaussianEM(), KNN(5), Iterative()):
        assert imputer.fit(values, [kind]).impute(values)[3, 0] == pytest.approx(1.0), imputer


def test_a_table_without_a_value_does_no_harm_to_what_comes_after():
    """`IterativeImputer` of scikit-learn cannot be used after it has seen one."""
    values = linear()
    values[::3, 1] = np.nan
    fitted = Iterative().fit(values, [NUMBER, NUMBER, Kind(3)])
    before = fitted.impute(values)
    assert np.isfinite(fitted.impute(np.full((2, 3), NAN))).all()
    np.testing.assert_array_equal(fitted.impute(values), before)


# Features


@pytest.mark.parametrize("independent", [False, True])
def test_a_table_comes_back_from_its_features(independent):
    random = np.random.default_rng(0)
    table = np.column_stack(
        [
            random.normal(50, 9, 40),
            random.integers(0, 3, 40),
            random.integers(0, 3, 40),
            random.integers(0, 2, 40),
        ]
    ).astype(float)
    features = Features.of(table, KINDS, independent=independent)
    encoded = features.encode(table)
    assert encoded.shape == (40, 5 if independent else 7)
    assert len(features.columns()) == encoded.shape[1]
    np.testing.assert_allclose(features.decode(encoded), table, rtol=1e-12)
    standardised = slice(None) if independent else slice(0, 2)
    np.testing.assert_allclose(encoded[:, standardised].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(encoded[:, standardised].std(0), 1)
    if not independent:
        np.testing.assert_array_equal(encoded[:, 2:5].sum(1), 1)


@pytest.mark.parametrize("independent", [False, True])
def test_a_column_may_have_one_level(independent):
    table = np.array([[0.0, 1.0], [np.nan, 2.0], [0.0, 4.0]])
    features = Features.of(table, (Kind(1), NUMBER), independent=independent)
    assert features.encode(table).shape == (3, 1 if independent else 2)
    np.testing.assert_array_equal(features.decode(features.encode(table))[:, 0], 0)
    for imputer in (GaussianEM(), KNN(1), Iterative()):
        assert imputer.fit(table, [Kind(1), NUMBER]).impute(table)[1, 0] == 0


def test_features_of_a_gap_are_gaps():
    features = Features.of(TABLE, KINDS, independent=False)
    missing = np.isnan(features.encode(TABLE))
    np.testing.assert_array_equal(missing, np.isnan(TABLE)[:, features.columns()])


def test_features_outside_of_the_levels_become_the_nearest_level():
    features = Features(KINDS[1:3], False, np.zeros(4), np.ones(4))
    found = features.decode(np.array([[-3.0, 0.2, 0.1, 0.3], [9.0, -1.0, -2.0, -3.0]]))
    np.testing.assert_array_equal(found, [[0, 2], [2, 0]])


# What is refused


def fit(values, kinds=None):
    return MeanMode().fit(np.array(values), kinds)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (lambda: fit([1.0, 2.0]), r"a table has rows and columns, (N, D); got an array of shape"),
        (lambda: fit([[1.0, 2.0]], [NUMBER]), "got 1 kinds for a table of 2 columns"),
        (lambda: fit([[1.0, np.inf]]), "column 1 has an infinite value; allowed: numbers, NaN"),
        (lambda: fit([[NAN, 1.0], [NAN, 2.0]]), "column 0 has no value at all; leave it out"),
        (
            lambda: fit([[0.0], [3.0]], [Kind(3)]),
            "column 0 has the value 3; allowed: its levels, whole numbers from 0 to 2, and NaN",
        ),
        (lambda: fit([[0.5]], [Kind(3)]), "column 0 has the value 0.5; allowed: its levels"),
        (lambda: fit([[-1.0]], [Kind(3)]), "column 0 has the value -1; allowed: its levels"),
        (lambda: Kind(0), "levels must be 1 or more, or None for numbers, got 0"),
        (lambda: Kind(ordered=True), "ordered is for levels; a column of numbers has none"),
        (lambda: KNN(0), "neighbours and donors must be 1 or more, got 0 and None"),
        (lambda: KNN(donors=0), "neighbours and donors must be 1 or more, got 15 and 0"),
        (lambda: KNN(weights="far"), "weights must be one of uniform, distance; got 'far'"),
        (lambda: Iterative("forest"), "regression must be one of ridge, trees; got 'forest'"),
        (lambda: Iterative(candidates="log2"), "candidates must be one of sqrt, all; got 'log2'"),
        (lambda: Iterative(rounds=0), "rounds must be 1 or more, got 0"),
        (lambda: Iterative(trees=0), "trees must be 1 or more, got 0"),
        (lambda: Iterative(leaf=0), "leaf must be 1 or more, got 0"),
    ],
)
def test_mistakes_are_told_in_one_line(wrong, line):
    with pytest.raises(LowerboundError) as error:
        wrong()
    assert isinstance(error.value, (ConfigError, DataError))
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_a_level_that_is_none_is_refused_when_gaps_are_filled():
    fitted = MeanMode().fit(TABLE, KINDS)
    with pytest.raises(DataError, match="column 2 has the value 7"):
        fitted.impute(np.array([[NAN, 0, 7, 1]]))

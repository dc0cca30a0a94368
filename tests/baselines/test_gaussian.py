"""The Gaussian with gaps, against formulas that are written down without its precision."""

import itertools

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from lowerbound.baselines import NUMBER, GaussianEM, Kind, gaussian
from lowerbound.baselines.features import Features
from lowerbound.baselines.gaussian import FittedGaussian, Normal, choose_ridge, gap_blocks
from lowerbound.errors import ConfigError, DataError

MASKS = [np.array(mask) for mask in itertools.product([False, True], repeat=4)]
"""Every way in which 4 columns can be missing."""

MEAN = np.array([0.5, -1.0, 2.0, 0.0])

COVARIANCE = np.array(
    [[2.0, 0.6, -0.4, 0.1], [0.6, 1.0, 0.3, 0.0], [-0.4, 0.3, 1.5, 0.7], [0.1, 0.0, 0.7, 0.8]]
)

SHIFT = np.array([10.0, 0.0, -3.0, 0.1])

SCALE = np.array([100.0, 1.0, 0.01, 2.0])


def fitted(kinds=(NUMBER,) * 4):
    """A Gaussian whose parameters are known, in units of the data that are not its own."""
    return FittedGaussian(
        kinds, Features(kinds, True, SHIFT, SCALE), Normal(MEAN, COVARIANCE), objectives=()
    )


def in_units():
    """The mean and the covariance in the units of the data."""
    return MEAN * SCALE + SHIFT, COVARIANCE * np.outer(SCALE, SCALE)


def table_of_all_masks(rows_each=3, seed=0):
    mean, covariance = in_units()
    complete = np.random.default_rng(seed).multivariate_normal(mean, covariance, 16 * rows_each)
    values = complete.copy()
    values[np.repeat(MASKS, rows_each, axis=0)] = np.nan
    return values


def conditional(row):
    """The textbook formula, by the covariance of the known values."""
    mean, covariance = in_units()
    gaps = np.isnan(row)
    weights = covariance[np.ix_(gaps, ~gaps)] @ np.linalg.inv(covariance[np.ix_(~gaps, ~gaps)])
    expected = mean[gaps] + weights @ (row[~gaps] - mean[~gaps])
    spread = covariance[np.ix_(gaps, gaps)] - weights @ covariance[np.ix_(~gaps, gaps)]
    return expected, spread


def simulated(rows=400, columns=5, share=0.3, seed=0):
    random = np.random.default_rng(seed)
    weights = random.normal(size=(columns, 2))
    complete = random.normal(size=(rows, 2)) @ weights.T + 0.6 * random.normal(size=(rows, columns))
    values = complete * random.uniform(0.1, 50, columns) + random.normal(size=columns) * 10
    return np.where(random.random(values.shape) < share, np.nan, values)


# Every mask of four columns


def test_log_prob_is_that_of_the_known_columns():
    values = table_of_all_masks()
    mean, covariance = in_units()
    found = fitted().log_prob(values)
    for row, told in zip(values, found, strict=True):
        known = ~np.isnan(row)
        expected = 0.0
        if known.any():
            marginal = multivariate_normal(mean[known], covariance[np.ix_(known, known)])
            expected = marginal.logpdf(row[known])
        assert told == pytest.approx(expected, abs=1e-9)


def test_moments_are_those_given_the_known_columns():
    values = table_of_all_masks()
    means, variances = fitted().moments(values)
    for row, mean, variance in zip(values, means, variances, strict=True):
        gaps = np.isnan(row)
        expected, spread = conditional(row)
        np.testing.assert_allclose(mean[gaps], expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(variance[gaps], np.diag(spread), rtol=1e-9)
        assert (mean[~gaps] == row[~gaps]).all()
        assert (variance[~gaps] == 0).all()


def test_the_conditional_of_a_row_has_its_covariance():
    for row in table_of_all_masks(rows_each=1):
        mean, covariance = fitted().conditional(row)
        expected, spread = conditional(row)
        np.testing.assert_allclose(mean, expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(covariance, spread, rtol=1e-9, atol=1e-12)


def test_single_imputation_is_the_conditional_mean():
    values = table_of_all_masks()
    means, _ = fitted().moments(values)
    gaps = np.isnan(values)
    filled = fitted().impute(values)
    np.testing.assert_allclose(filled[gaps], means[gaps], rtol=1e-12)
    assert filled[~gaps].tobytes() == values[~gaps].tobytes()


def test_draws_have_the_moments_of_the_conditional():
    """Of each mask, within 5 standard errors, the covariances too."""
    values = table_of_all_masks(rows_each=1, seed=3)
    count = 4000
    draws = np.stack(list(fitted().draws(values, count, seed=1)))
    for number, row in enumerate(values):
        gaps = np.isnan(row)
        assert (draws[:, number, ~gaps] == row[~gaps]).all()
        if not gaps.any():
            continue
        expected, spread = conditional(row)
        drawn = draws[:, number, gaps]
        deviations = np.sqrt(np.diag(spread))
        errors = np.abs(drawn.mean(0) - expected) / deviations
        assert errors.max() < 5 / np.sqrt(count)
        found = np.atleast_2d(np.cov(drawn.T))
        scaled = np.abs(found - spread) / np.outer(deviations, deviations)
        assert scaled.max() < 5 * np.sqrt(2 / count)


def test_draws_are_those_of_their_seed():
    values = table_of_all_masks(seed=4)
    first = list(fitted().draws(values, 3, seed=5))
    again = list(fitted().draws(values, 2, seed=5))
    np.testing.assert_array_equal(first[:2], again)
    assert not np.array_equal(first[0], first[1], equal_nan=True)
    assert not np.array_equal(first[0], next(fitted().draws(values, 1, seed=6)))


# The fit


@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_of_a_table_without_gaps_the_fit_is_the_closed_form(ridge):
    values = simulated(share=0.0)
    found = GaussianEM(ridge=ridge).fit(values)
    mean = found.normal.mean * found.features.scale + found.features.shift
    units = np.outer(found.features.scale, found.features.scale)
    np.testing.assert_allclose(mean, values.mean(0), rtol=1e-10)
    variances = np.diag(values.var(0))
    np.testing.assert_allclose(
        found.normal.covariance * units,
        np.cov(values.T, bias=True) + ridge * variances,
        rtol=1e-9,
    )
    assert len(found.objectives) == 3


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_objective_never_falls(ridge, seed):
    values = simulated(rows=60, share=0.5, seed=seed)
    objectives = np.array(GaussianEM(ridge, tolerance=0.0, rounds=80).fit(values).objectives)
    assert len(objectives) > 10
    assert (np.diff(objectives[:-1]) > -1e-12).all()


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_the_objective_is_the_log_likelihood_less_the_penalty(ridge):
    """The fit ended before its last maximisation, so that the last objective is that of its
    parameters.
    """
    values = simulated()
    found = GaussianEM(ridge, tolerance=1e-9).fit(values)
    known_rows = ~np.isnan(values).all(1)
    likelihood = found.feature_log_prob(values)[known_rows].mean()
    penalty = 0.5 * ridge * np.trace(np.linalg.inv(found.normal.covariance))
    assert found.objectives[-1] == pytest.approx(likelihood - penalty, abs=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_no_parameters_nearby_are_better(ridge):
    """The objective, by the densities of SciPy, falls in every direction from the fit."""
    values = simulated(rows=150, columns=3)
    found = GaussianEM(ridge, tolerance=1e-13, rounds=5000).fit(values)
    features = found.features.encode(values)

    def objective(mean, covariance):
        total = 0.0
        for row in features:
            known = ~np.isnan(row)
            if known.any():
                part = multivariate_normal(mean[known], covariance[np.ix_(known, known)])
                total += part.logpdf(row[known])
        rows = (~np.isnan(features).all(1)).sum()
        return total / rows - 0.5 * ridge * np.trace(np.linalg.inv(covariance))

    best = objective(found.normal.mean, found.normal.covariance)
    random = np.random.default_rng(0)
    for _ in range(20):
        step = 0.02 * random.normal(size=(3, 3))
        mean = found.normal.mean + 0.02 * random.normal(size=3)
        other = (np.eye(3) + step) @ found.normal.covariance @ (np.eye(3) + step).T
        assert objective(mean, other) < best


def test_two_columns_of_which_one_has_gaps_have_a_closed_form():
    """Anderson 1957: the mean and variance of the first from all rows, and the regression of the
    second on it from the rows that have both.
    """
    values = simulated(rows=200, columns=2, share=0.0, seed=7)
    values[120:, 1] = np.nan
    found = GaussianEM(ridge=0.0, tolerance=1e-14, rounds=5000).fit(values)
    both = values[:120]
    slope = np.cov(both.T, bias=True)[0, 1] / both[:, 0].var()
    rest = (both[:, 1] - slope * both[:, 0]).var()
    mean = both[:, 1].mean() + slope * (values[:, 0].mean() - both[:, 0].mean())
    variance = rest + slope**2 * values[:, 0].var()
    scale, shift = found.features.scale, found.features.shift
    np.testing.assert_allclose(
        found.normal.mean * scale + shift, [values[:, 0].mean(), mean], rtol=1e-5
    )
    covariance = found.normal.covariance * np.outer(scale, scale)
    expected = slope * values[:, 0].var()
    np.testing.assert_allclose(
        covariance, [[values[:, 0].var(), expected], [expected, variance]], rtol=1e-5
    )


def test_it_recovers_what_the_table_was_drawn_from():
    random = np.random.default_rng(11)
    mean, covariance = in_units()
    values = random.multivariate_normal(mean, covariance, 20_000)
    values[random.random(values.shape) < 0.4] = np.nan
    found = GaussianEM(ridge=0.0).fit(values)
    scale, shift = found.features.scale, found.features.shift
    deviations = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(
        (found.normal.mean * scale + shift - mean) / deviations, 0, atol=0.05
    )
    correlations = found.normal.covariance * np.outer(scale / deviations, scale / deviations)
    np.testing.assert_allclose(
        correlations, covariance / np.outer(deviations, deviations), atol=0.05
    )


def test_rows_without_a_value_change_nothing():
    values = simulated()
    empty = np.full((300, values.shape[1]), np.nan)
    alone = GaussianEM().fit(values)
    beside = GaussianEM().fit(np.concatenate([empty, values]))
    np.testing.assert_allclose(beside.normal.mean, alone.normal.mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(beside.normal.covariance, alone.normal.covariance, atol=1e-12)
    np.testing.assert_allclose(beside.impute(empty[:1])[0], alone.moments(empty[:1])[0][0])
    np.testing.assert_allclose(beside.log_prob(empty), 0, atol=1e-12)


@pytest.mark.parametrize("numbers", [1, 30, 10**6])
def test_the_size_of_blocks_changes_nothing(numbers, monkeypatch):
    values = simulated(rows=80, share=0.4)
    expected = GaussianEM().fit(values)
    monkeypatch.setattr(gaussian, "BLOCK_NUMBERS", numbers)
    found = GaussianEM().fit(values)
    np.testing.assert_allclose(found.normal.covariance, expected.normal.covariance, rtol=1e-9)
    np.testing.assert_allclose(found.impute(values), expected.impute(values), rtol=1e-9)
    np.testing.assert_allclose(found.log_prob(values), expected.log_prob(values), rtol=1e-9)


@pytest.mark.parametrize("numbers", [1, 40, 10**6])
def test_each_row_with_gaps_is_in_one_block(numbers, monkeypatch):
    monkeypatch.setattr(gaussian, "BLOCK_NUMBERS", numbers)
    missing = np.random.default_rng(0).random((70, 9)) < 0.3
    missing[:20] = missing[20:40]
    missing[5] = False
    seen = np.zeros(70, dtype=int)
    for block in gap_blocks(missing):
        seen[block.rows] += 1
        assert (block.counts == np.bincount(block.owner)).all()
        for row, owner in zip(block.rows, block.owner, strict=True):
            np.testing.assert_array_equal(np.flatnonzero(missing[row]), block.gaps[owner])
    np.testing.assert_array_equal(seen, missing.any(1).astype(int))


# Levels


def test_levels_are_told_by_the_other_columns():
    """Three unordered and five ordered levels, which a number decides, without noise."""
    random = np.random.default_rng(2)
    number = random.normal(size=600)
    unordered = np.array([1.0, 0.0, 2.0])[np.digitize(number, [-0.5, 0.5])]
    ordered = np.clip(np.rint(number + 2), 0, 4)
    extra = (unordered == 0) + 0.1 * random.normal(size=600)
    truth = np.column_stack([number, unordered, ordered, extra])
    hidden = np.zeros(truth.shape, dtype=bool)
    hidden[:200, 1] = True
    hidden[200:400, 2] = True
    kinds = (NUMBER, Kind(3), Kind(5, ordered=True), NUMBER)
    values = np.where(hidden, np.nan, truth)
    found = GaussianEM().fit(values, kinds)
    filled = found.impute(values)
    assert (filled[:200, 1] == truth[:200, 1]).mean() > 0.9
    assert np.abs(filled[200:400, 2] - truth[200:400, 2]).mean() < 0.25
    for drawn in found.draws(values, 2):
        assert set(drawn[:, 1]) == {0, 1, 2}
        assert set(drawn[:, 2]) == {0, 1, 2, 3, 4}
        assert (drawn[:200, 1] == truth[:200, 1]).mean() > 0.6


def test_a_level_that_nobody_has_is_allowed():
    values = np.array([[0.0, 1.0], [2.0, np.nan], [0.0, 3.0], [np.nan, 2.0]])
    found = GaussianEM().fit(values, [Kind(4), NUMBER])
    assert np.isfinite(found.impute(values)).all()


@pytest.mark.parametrize("method", ["log_prob", "moments"])
def test_unordered_levels_have_no_density_and_no_mean(method):
    values = np.array([[0.0, 1.0], [2.0, np.nan], [1.0, 3.0]])
    found = GaussianEM().fit(values, [Kind(3), NUMBER])
    with pytest.raises(ConfigError, match=r"column 0 has unordered levels, which have neither"):
        getattr(found, method)(values)


# The ridge


def test_a_covariance_without_an_inverse_asks_for_a_ridge():
    values = simulated(share=0.0)
    values[:, 2] = 7.0
    with pytest.raises(ConfigError, match="singular in float64; take a larger ridge"):
        GaussianEM(ridge=0.0).fit(values)
    values[0, 2] = np.nan
    assert GaussianEM().fit(values).impute(values)[0, 2] == 7.0


def test_the_ridge_is_chosen_by_hidden_cells():
    """Many rows with columns that nearly determine each other want none; few rows without any
    connection want much.
    """
    random = np.random.default_rng(0)
    factor = random.normal(size=(3000, 1))
    near = factor + 0.01 * random.normal(size=(3000, 4))
    assert choose_ridge(GaussianEM(), near).ridge == gaussian.RIDGES[0]
    apart = random.normal(size=(20, 12))
    assert choose_ridge(GaussianEM(), apart).ridge == gaussian.RIDGES[-1]
    chosen = choose_ridge(GaussianEM(tolerance=0.1, rounds=3), near, ridges=[0.5, 0.25], seed=1)
    assert chosen == GaussianEM(ridge=0.25, tolerance=0.1, rounds=3)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"ridge": -1e-3}, "ridge and tolerance must be 0 or more, got -0.001 and 1e-05"),
        ({"ridge": float("nan")}, "ridge and tolerance must be 0 or more"),
        ({"tolerance": -1}, "ridge and tolerance must be 0 or more"),
        ({"rounds": 0}, "rounds must be 1 or more, got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, line):
    with pytest.raises(ConfigError, match=line):
        GaussianEM(**settings)


def test_a_table_of_other_columns_is_refused():
    with pytest.raises(DataError, match="got 4 kinds for a table of 3 columns"):
        fitted().impute(np.zeros((2, 3)))

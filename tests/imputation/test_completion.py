"""Imputation of values against what is known in closed form, or by quadrature."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from table_truths import LatentClass, LinearGaussian, masks

from lowerbound.columns import Coding
from lowerbound.evaluation.proposal import ABOUT_MODES, DEFENSIVE, POSTERIOR_ALONE
from lowerbound.imputation import completion
from lowerbound.imputation.completion import BLOCK, Completer, weighted_quantiles

ROW = np.array([12.0, -3.4, 4.0, 3.0])


@pytest.fixture(scope="module")
def gaussian():
    return LinearGaussian()


@pytest.fixture(scope="module")
def classes():
    return LatentClass()


def completer(world, **settings):
    return Completer(world.model, world.columns, **{"samples": 2000, **settings})


def with_gaps(row, observed):
    return np.where(observed, row, np.nan)


# The linear Gaussian model ------------------------------------------------------------------------


def check_single(world, found, observed, samples):
    """The single imputations are the conditional means, to within the error of so many draws."""
    codes = Coding(world.columns).encode(ROW)
    mean, covariance = world.conditional(codes, observed)
    places = np.flatnonzero(~np.array(observed))
    means, variances = world.in_units(mean, covariance.diagonal(), places)
    for place, expected, variance in zip(places, means, variances, strict=True):
        error = math.sqrt(variance / samples)
        assert abs(found[place] - expected) < 5 * error, (observed, place)


@pytest.mark.parametrize("proposal", [ABOUT_MODES, DEFENSIVE, POSTERIOR_ALONE])
def test_single_imputations_are_conditional_means_for_every_mask(gaussian, proposal):
    rows = np.array([with_gaps(ROW, observed) for observed in masks(4)])
    found = completer(gaussian, samples=4000, proposal=proposal).complete(rows)
    for row, observed, effective in zip(found.values, masks(4), found.effective, strict=True):
        check_single(gaussian, row, observed, effective)


def test_means_are_not_those_of_logs(gaussian):
    """The mean of a log-normal number is well above its median, which is the mean of its log."""
    rows = np.array([[12.0, -3.4, np.nan, 3.0]])
    mean = completer(gaussian).complete(rows).values[0, 2]
    median = completer(gaussian, mode="median").complete(rows).values[0, 2]
    assert mean > 1.02 * median


def test_the_mean_of_logs_is_at_most_the_greatest_value_that_was_seen(gaussian):
    """A draw of no weight may have a log-normal mean that no number can hold."""
    low = [replace(column, observed=10, high=1.5) for column in gaussian.columns]
    unknown = completer(gaussian)
    known = replace(unknown, columns=tuple(low))
    rows = np.array([[12.0, -3.4, np.nan, 3.0], [np.nan, -3.4, 4.0, 3.0]])
    assert unknown.complete(rows).values[0, 2] > 1.5
    assert known.complete(rows).values[0, 2] <= 1.5
    assert known.complete(rows).values[1, 0] == unknown.complete(rows).values[1, 0]


def check_multiple(world, tables, observed):
    """Draws have the mean, the variance and the covariance of the cells given the observed ones."""
    codes = Coding(world.columns).encode(tables)
    count = len(codes)
    mean, covariance = world.conditional(Coding(world.columns).encode(ROW), observed)
    drawn = torch.from_numpy(codes[:, ~np.array(observed)])
    deviation = covariance.diagonal().sqrt()
    # Some draws of z are chosen again: they count for about half as many.
    few = count / 2
    assert ((drawn.mean(0) - mean).abs() < 5 * deviation / math.sqrt(few)).all(), observed
    found = drawn.T.cov().reshape(covariance.shape)
    error = torch.outer(deviation, deviation) * math.sqrt(2 / few)
    assert ((found - covariance).abs() < 5 * error).all(), observed


def draws(world, observed, **settings):
    settings = {"samples": 4000, "multiple": 2000, **settings}
    found = completer(world, **settings).complete(with_gaps(ROW, observed)[None])
    return found.tables[:, 0]


@pytest.mark.parametrize("observed", masks(4))
def test_multiple_imputations_have_the_posterior_predictive_spread(gaussian, observed):
    check_multiple(gaussian, draws(gaussian, observed), observed)


WEIGHED = [mask for mask in masks(4) if sum(mask) == 2]


def test_draws_without_weights_would_be_found_out(gaussian, monkeypatch):
    """A test of the one above: draws of the proposal itself are none of the posterior."""
    monkeypatch.setattr(completion, "normalised", lambda logs: torch.full_like(logs, 1 / len(logs)))
    for observed in WEIGHED:
        with pytest.raises(AssertionError):
            check_multiple(gaussian, draws(gaussian, observed, proposal=DEFENSIVE), observed)
        plain = completer(gaussian, proposal=DEFENSIVE)
        found = plain.complete(with_gaps(ROW, observed)[None])
        with pytest.raises(AssertionError):
            check_single(gaussian, found.values[0], observed, 2000)


def test_draws_at_the_mean_of_z_would_be_found_out(gaussian, monkeypatch):
    """A test of the one above: cells drawn at one z lack the spread of z."""
    real = torch.multinomial

    def one(weights, count, replacement):
        return real(weights, 1, replacement=True).expand(-1, count)

    monkeypatch.setattr(torch, "multinomial", one)
    for observed in WEIGHED:
        with pytest.raises(AssertionError):
            check_multiple(gaussian, draws(gaussian, observed), observed)


def test_intervals_and_medians_are_those_of_the_posterior_predictive(gaussian):
    observed = (True, False, False, True)
    settings = {"samples": 20_000, "mode": "median", "interval": 0.9}
    found = completer(gaussian, **settings).complete(with_gaps(ROW, observed)[None])
    coding = Coding(gaussian.columns)
    mean, covariance = gaussian.conditional(coding.encode(ROW), observed)
    deviation = covariance.diagonal().sqrt().numpy()
    for values, z in ((found.low, -1.645), (found.values, 0.0), (found.high, 1.645)):
        codes = coding.encode(values)[0, 1:3]
        assert codes == pytest.approx(mean.numpy() + z * deviation, abs=0.1 * deviation.min())
    assert np.isnan(found.low[0, [0, 3]]).all()


def test_draws_in_several_portions_give_the_same_means(gaussian, monkeypatch):
    rows = with_gaps(ROW, (True, True, False, False))[None]
    whole = completer(gaussian, samples=4000, multiple=5).complete(rows)
    monkeypatch.setattr(completion, "CHUNK_NUMBERS", 128 * 300)
    found = completer(gaussian, samples=4000, multiple=2000).complete(rows)
    check_single(gaussian, found.values[0], (True, True, False, False), found.effective[0])
    check_multiple(gaussian, found.tables[:, 0], (True, True, False, False))
    assert found.effective == pytest.approx(whole.effective, rel=0.2)


# Levels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observed", masks(3))
def test_levels_are_drawn_by_their_probabilities(classes, observed):
    row = with_gaps(np.array([1.0, 1.0, 3.0]), observed)
    found = completer(classes, samples=4000, multiple=4000).complete(row[None])
    for place in np.flatnonzero(~np.array(observed)):
        expected = np.array(classes.probabilities(row, place))
        count = len(expected)
        share = np.bincount(found.tables[:, 0, place].astype(int), minlength=count) / 4000
        error = np.sqrt(expected * (1 - expected) / 2000)
        assert (abs(share - expected) < 5 * error).all()
        ordered = np.sort(expected)
        if ordered[-1] - ordered[-2] > 0.05:
            assert found.values[0, place] == expected.argmax()


def test_levels_with_an_order_are_filled_by_their_median_where_it_is_asked_for(classes):
    row = np.array([np.nan, 1.0, np.nan])
    found = completer(classes, mode="median").complete(row[None]).values[0]
    expected = np.cumsum(classes.probabilities(row, 2))
    assert abs(expected - 0.5).min() > 0.02
    assert found[2] == (expected > 0.5).argmax()
    assert found[0] == np.argmax(classes.probabilities(row, 0))


# Weights -----------------------------------------------------------------------------------------


def test_the_effective_number_is_that_of_the_weights():
    weights = torch.tensor([[1, 1, 3], [1, 0, 1], [1, 0, 0], [1, 0, 0]]).double()
    found = completion.effective_draws(weights.log() + 500.0)
    assert found == pytest.approx([4.0, 1.0, 16 / 10])


def test_weights_that_are_all_zero_are_worth_nothing():
    logs = torch.full((4, 1), -torch.inf)
    assert completion.effective_draws(logs) == pytest.approx([0.0])
    assert completion.normalised(logs).flatten().tolist() == [0.25] * 4


def test_weighted_quantiles_of_equal_weights_are_those_of_a_sample():
    cells = torch.randn(101, 3, 2)
    weights = torch.full((101, 3), 1 / 101)
    found = weighted_quantiles(cells, weights, [0.05, 0.5, 0.95])
    ordered = cells.sort(0).values
    assert torch.equal(found, ordered[[5, 50, 95]])
    one = torch.zeros(101, 3)
    one[7] = 1
    assert torch.equal(weighted_quantiles(cells, one, [0.3])[0], cells[7])


def test_a_row_without_anything_is_filled_from_the_prior(gaussian):
    """Its draws are of the prior alone, so that all weigh the same."""
    found = completer(gaussian, samples=500).complete(np.full((1, 4), np.nan))
    assert found.effective[0] == pytest.approx(500)


# Order and seeds ---------------------------------------------------------------------------------


def some_rows(count):
    generator = np.random.default_rng(0)
    rows = ROW + generator.normal(size=(count, 4)) * [1, 0.2, 0.5, 2]
    return np.where(generator.random(rows.shape) < 0.2, np.nan, rows)


def same(first, second):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))


def test_the_same_seed_gives_the_same_table_and_another_another(gaussian):
    rows = some_rows(30)
    settings = {"samples": 20, "multiple": 2}
    first = completer(gaussian, **settings).complete(rows)
    torch.manual_seed(5)
    assert same(first, completer(gaussian, **settings).complete(rows))
    other = completer(gaussian, seed=1, **settings).complete(rows)
    is_gap = np.isnan(rows)
    assert (first.values[is_gap] != other.values[is_gap]).all()
    assert np.array_equal(first.values[~is_gap], rows[~is_gap])


def test_nothing_depends_on_how_many_rows_are_given_at_a_time(gaussian):
    rows = some_rows(2 * BLOCK + 10)
    filler = completer(gaussian, samples=5, multiple=1)
    whole = filler.complete(rows)
    parts = []
    for start in range(0, len(rows), BLOCK):
        parts.append(filler.complete(rows[start : start + BLOCK], start))
    assert np.array_equal(whole.values, np.concatenate([part.values for part in parts]))
    tables = np.concatenate([part.tables for part in parts], axis=1)
    assert np.array_equal(whole.tables, tables)
    assert not np.array_equal(
        whole.values[:BLOCK][np.isnan(rows[:BLOCK])],
        filler.complete(rows[:BLOCK], BLOCK).values[np.isnan(rows[:BLOCK])],
    )


def test_rows_without_gaps_cost_nothing(gaussian, monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(gaussian.model, "joint", refuse)
    found = completer(gaussian, multiple=2).complete(np.array([ROW]))
    assert np.array_equal(found.tables, [[ROW], [ROW]])
    assert np.isnan(found.effective).all()


def test_values_that_the_model_cannot_compute_with_are_told_by_their_weights(gaussian):
    rows = np.array([[1e300, np.nan, np.nan, np.nan]])
    settings = {"samples": 50, "multiple": 1}
    model = gaussian.model.float()
    world = replace_model(gaussian, model)
    found = completer(world, **settings).complete(rows)
    gaussian.model.double()
    assert np.isfinite(found.values).all()
    assert found.effective[0] < 2


def replace_model(world, model):
    copied = object.__new__(type(world))
    copied.__dict__ = world.__dict__ | {"model": model}
    return copied


def test_numbers_are_rounded_as_their_source(gaussian):
    columns = tuple(replace(column, decimals=1) for column in gaussian.columns)
    filler = Completer(gaussian.model, columns, samples=50, multiple=3)
    found = filler.complete(with_gaps(ROW, (False, False, False, False))[None])
    assert np.array_equal(found.values, np.round(found.values, 1))
    assert np.array_equal(found.tables, np.round(found.tables, 1))
    assert (found.tables[..., 2] > 0).all()

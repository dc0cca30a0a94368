"""The start at a factor analysis: against densities and posteriors in closed form."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from lowerbound.batch import Batch
from lowerbound.columns import Coding, ColumnSchema
from lowerbound.columns.families import CumulativeLogits, Gaussian, NegativeBinomial, StudentT
from lowerbound.columns.families.factors import FollowedFactors, scores_of_numbers
from lowerbound.columns.statistics import fit_columns
from lowerbound.errors import ConfigError
from lowerbound.families.columns import Columns
from lowerbound.model import Architecture
from lowerbound.model.factors import find_factors, start_from_factors, take_apart
from lowerbound.networks import MLP

LINEAR = MLP((8,), linear_path=True)

SHARED = Columns(real=Gaussian("shared"), ordinal=CumulativeLogits())


def random_numbers(rows: int) -> np.ndarray:
    """Rows of five numbers that follow two factors."""
    random = np.random.default_rng(0)
    loadings = random.normal(size=(5, 2))
    noise = random.normal(size=(rows, 5)) * 0.5
    return random.normal(size=(rows, 2)) @ loadings.T + noise


def batch_of(values: np.ndarray, columns: tuple[ColumnSchema, ...]) -> Batch:
    """Codes of values with NaN for gaps."""
    codes = Coding(columns).encode(values)
    observed = ~np.isnan(codes)
    numbers = torch.from_numpy(np.where(observed, codes, 0)).float()
    return Batch(numbers, observed=torch.from_numpy(observed))


def with_gaps(values: np.ndarray) -> np.ndarray:
    """Hides a fifth of the cells."""
    hidden = np.random.default_rng(1).random(values.shape) < 0.2
    return np.where(hidden, np.nan, values)


def test_a_covariance_of_factors_is_taken_apart() -> None:
    random = np.random.default_rng(2)
    loadings = random.normal(size=(8, 2))
    noise = random.uniform(0.2, 1, 8)
    covariance = loadings @ loadings.T + np.diag(noise)
    found, left = take_apart(covariance, 2)
    assert np.allclose(found @ found.T, loadings @ loadings.T, atol=1e-3)
    assert np.allclose(left, noise, atol=1e-3)


def test_the_factors_are_in_the_units_of_the_features() -> None:
    values = random_numbers(2000) * np.array([1.0, 10.0, 0.1, 3.0, 100.0]) + 7.0
    factors = find_factors(values, 2)
    found = factors.loadings @ factors.loadings.T + np.diag(factors.noise)
    deviations = values.std(0)
    assert np.allclose(factors.mean, values.mean(0), rtol=0, atol=0.02 * deviations)
    apart = (found - np.cov(values.T, ddof=0)) / np.outer(deviations, deviations)
    assert np.abs(apart).max() < 0.02


def test_the_encoder_starts_at_the_variances_of_the_posteriors() -> None:
    values = random_numbers(600)
    plain = tuple(ColumnSchema(f"x{place}") for place in range(5))
    columns = fit_columns(plain, values, np.arange(600))
    model = Architecture((2,), LINEAR, likelihood=SHARED).build((5,), columns=columns)
    rows = batch_of(values, columns)
    start_from_factors(model, rows, columns)
    codes = Coding(columns).encode(values)
    _, variances = find_factors(codes, 2).posterior(codes)
    with torch.no_grad():
        (posterior,) = model.latents.posteriors
        seen = model.features(rows.x, rows.observed)
        found = posterior(seen).base_dist.variance
    assert np.abs(np.log(found.numpy() / variances)).max() < 0.5


def test_more_factors_than_features_are_zero() -> None:
    found, _ = take_apart(np.eye(2) + 0.5, 4)
    assert found.shape == (2, 4)
    assert (found[:, 2:] == 0).all()


def test_the_posterior_is_that_of_the_joint_normal() -> None:
    values = random_numbers(400)
    factors = find_factors(with_gaps(values), 2)
    row = values[:1].copy()
    row[0, [1, 3]] = np.nan
    known = ~np.isnan(row[0])
    covariance = factors.loadings @ factors.loadings.T + np.diag(factors.noise)
    gain = factors.loadings[known].T @ np.linalg.inv(covariance[np.ix_(known, known)])
    means, variances = factors.posterior(row)
    assert np.allclose(means[0], gain @ (row[0] - factors.mean)[known])
    left = np.eye(2) - gain @ factors.loadings[known]
    assert np.allclose(variances[0], np.diag(left))


def test_the_decoder_starts_at_the_factor_analysis() -> None:
    values = random_numbers(600)
    plain = tuple(ColumnSchema(f"x{place}") for place in range(5))
    columns = fit_columns(plain, values, np.arange(600))
    model = Architecture((2,), LINEAR, likelihood=SHARED).build((5,), columns=columns)
    start_from_factors(model, batch_of(values, columns), columns)
    codes = Coding(columns).encode(values)
    # What the encoder sees is a little nearer to the mean where it is far from it.
    assert (np.abs(codes) < 5).all()
    factors = find_factors(codes, 2)
    draws = torch.randn(20_000, 2)
    with torch.no_grad():
        table = model.decode(draws).base_dist
        mean = table.mean
        scales = table.groups[0][1].codes.log_scale.exp()
    wanted = factors.mean + draws.numpy() @ factors.loadings.T
    assert np.allclose(mean, wanted, atol=1e-4)
    assert np.allclose(scales[0] ** 2, factors.noise, atol=1e-4)


def test_the_bound_starts_near_the_density_of_the_normal() -> None:
    values = random_numbers(600)
    plain = tuple(ColumnSchema(f"x{place}") for place in range(5))
    columns = fit_columns(plain, values, np.arange(600))
    model = Architecture((2,), LINEAR, likelihood=SHARED).build((5,), columns=columns)
    rows = batch_of(values, columns)
    start_from_factors(model, rows, columns)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        terms = model.terms(rows, 200, "sampled")
    bound = (torch.logsumexp(terms.log_weight, 0) - np.log(200)).mean().item()
    scale = np.array([column.scale for column in columns])
    factors = find_factors(Coding(columns).encode(values), 2)
    covariance = factors.loadings @ factors.loadings.T + np.diag(factors.noise)
    normal = MultivariateNormal(torch.from_numpy(factors.mean), torch.from_numpy(covariance))
    exact = normal.log_prob(torch.from_numpy(Coding(columns).encode(values))).mean().item()
    assert bound == pytest.approx(exact - np.log(scale).sum(), abs=0.02)


def test_tilted_shares_are_those_of_the_normal_given_factors() -> None:
    grid = np.linspace(-6, 6, 2001)
    followed = FollowedFactors(np.array([0.3]), np.array([[0.8, -0.4]]), np.array([0.2]))
    variance = 0.2 + 0.8**2 + 0.4**2
    marginal = np.exp(-0.5 * (grid - 0.3) ** 2 / variance)
    z = np.array([0.7, 0.5])
    weights, biases = scores_of_numbers(grid, followed, len(grid))
    tilted = marginal * np.exp(weights @ z + biases)
    tilted /= tilted.sum()
    mean = (tilted * grid).sum()
    assert mean == pytest.approx(0.3 + 0.8 * 0.7 - 0.4 * 0.5, abs=1e-6)
    assert (tilted * (grid - mean) ** 2).sum() == pytest.approx(0.2, abs=1e-6)


def test_a_family_of_numbers_follows_by_its_location_and_scale() -> None:
    """Learned scales of Student's t start at the noise, log-means of counts at the loadings."""
    column = ColumnSchema("x", mean=2.0, scale=0.5)
    followed = FollowedFactors(np.array([0.1]), np.array([[0.8, -0.4]]), np.array([0.2]))
    weights, biases = StudentT().follow(column, followed)
    head = StudentT().head([column])
    z = np.array([0.7, 0.5])
    made = head(torch.from_numpy(weights @ z + biases).float()[None])
    start = head(torch.zeros(1, 3))
    assert made.location.item() == pytest.approx(0.1 + 0.8 * 0.7 - 0.4 * 0.5, abs=1e-5)
    narrowing = (made.log_scale - start.log_scale).item()
    assert narrowing == pytest.approx(0.5 * np.log(0.2), abs=0.05)
    counts = replace(column, kind="count")
    weights, _ = NegativeBinomial().follow(counts, followed)
    # The feature is log(1 + x), standardised.
    assert weights[0] == pytest.approx(0.5 * np.array([0.8, -0.4]))


@pytest.mark.parametrize("kind", ["ordinal", "categorical", "binary"])
def test_levels_follow_the_numbers_that_tell_them(kind: str) -> None:
    numbers = random_numbers(500)[:, :3]
    level = (numbers[:, 0] > 0).astype(float)
    values = np.concatenate([numbers, level[:, None]], axis=1)
    plain = (*(ColumnSchema(f"x{place}") for place in range(3)),)
    plain = (*plain, ColumnSchema("level", kind, levels=("0", "1")))
    columns = fit_columns(plain, values, np.arange(500))
    likelihood = replace(SHARED, ordinal=CumulativeLogits("learned"))
    model = Architecture((2,), LINEAR, likelihood=likelihood).build((4,), columns=columns)
    start_from_factors(model, batch_of(values, columns), columns)
    gaps = values.copy()
    gaps[:, 3] = np.nan
    with torch.no_grad():
        told = model.reconstruct(batch_of(gaps, columns))[:, 3].numpy()
    assert (told == level).mean() > 0.8


def test_a_frequent_count_among_rare_ones_follows_the_numbers_that_tell_it() -> None:
    numbers = random_numbers(3000)[:, :3]
    is_told = numbers[:, 0] > 0
    rare = np.random.default_rng(3).integers(0, 30, 3000)
    values = np.column_stack([numbers, np.where(is_told, 5, rare)])
    plain = (*(ColumnSchema(f"x{place}") for place in range(3)), ColumnSchema("n", "count"))
    columns = fit_columns(plain, values, np.arange(3000))
    assert len(columns[3].atoms) == 30
    model = Architecture((2,), LINEAR, likelihood=SHARED).build((4,), columns=columns)
    start_from_factors(model, batch_of(values, columns), columns)
    gaps = values.copy()
    gaps[:, 3] = np.nan
    told = {}
    for count in (0, 5):
        with torch.no_grad():
            likelihood = model.reconstruction(batch_of(gaps, columns)).base_dist
            cells = batch_of(np.where(np.isnan(gaps), count, gaps), columns).x
            told[count] = likelihood.log_prob(cells)[:, 3].exp().numpy()
    # The probability of each is about the share that it has among such rows.
    assert told[5][is_told].mean() > 0.75
    assert told[5][~is_told].mean() < 0.4
    assert told[0][is_told].mean() < 0.02
    assert told[0][~is_told].mean() < 0.05


def test_a_constant_column_and_gaps_do_no_harm() -> None:
    values = with_gaps(random_numbers(100))
    values[:, 2] = 7.0
    plain = tuple(ColumnSchema(f"x{place}") for place in range(5))
    columns = fit_columns(plain, values, np.arange(100))
    model = Architecture((3,), LINEAR, likelihood=SHARED).build((5,), columns=columns)
    start_from_factors(model, batch_of(values, columns), columns)
    for parameter in model.parameters():
        assert parameter.isfinite().all()


def test_other_models_are_refused() -> None:
    columns = tuple(ColumnSchema(f"x{place}") for place in range(5))
    rows = batch_of(random_numbers(20), columns)
    levels = Architecture((2, 2), LINEAR, likelihood=SHARED).build((5,), columns=columns)
    curved = Architecture((2,), MLP((8,)), likelihood=SHARED).build((5,), columns=columns)
    images = Architecture((2,)).build((5,))
    mistakes = {"for one level, got 2": levels, "linear_path=true": curved, "data.kinds": images}
    for words, model in mistakes.items():
        with pytest.raises(ConfigError, match=words):
            start_from_factors(model, rows, columns)

"""Tables with columns of several kinds: likelihoods and imputations that are known in closed form
or by quadrature, and cells that are not observed, which nothing may depend on.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from lowerbound.batch import Batch
from lowerbound.columns import Coding, ColumnSchema, fit_columns
from lowerbound.columns.families import (
    CumulativeLogits,
    Gaussian,
    Histogram,
    Poisson,
    StudentT,
)
from lowerbound.evaluation import bound, importance_log_likelihood
from lowerbound.families import Columns
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.objectives import Elbo, Iwae
from lowerbound.testing import set_linear

MASKS = list(itertools.product([False, True], repeat=4))


class Observed:
    """Rows of which some cells are observed, as examples that every measure takes."""

    def __init__(self, codes, observed):
        self.codes = codes
        self.observed = observed

    def __len__(self):
        return len(self.codes)

    def batch(self, index, key=0):
        return Batch(self.codes[index], observed=self.observed[index])


def hermite(dimensions, order=100):
    """Points (Q, dimensions) and log-weights (Q,) of the mean over a standard normal z."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    logs = np.log(weights) - 0.5 * math.log(2 * math.pi)
    points = np.array(list(itertools.product(nodes, repeat=dimensions)))
    totals = np.array(list(itertools.product(logs, repeat=dimensions))).sum(1)
    return torch.tensor(points), torch.tensor(totals)


def log_evidence(model, batch, order=100):
    """log p(x_obs) of each row, (B,), by quadrature over z; the weights of its points, (Q, B)."""
    points, logs = hermite(model.latents.sizes[0], order)
    z = points.unsqueeze(1).expand(-1, len(batch), -1)
    with torch.no_grad():
        log_likelihood = model.log_joint(batch, [z]) - model.latents.priors_at(
            [z], batch
        ).distributions[0].log_prob(z)
    joint = log_likelihood + logs.unsqueeze(1)
    total = torch.logsumexp(joint, 0)
    return total, (joint - total).exp()


# Factor analysis


class FactorAnalysis:
    """Codes W z + b + N(0, diag(s^2)) of four columns, as a model of recipes, and in numpy."""

    def __init__(self):
        random = np.random.default_rng(5)
        self.columns = tuple(
            ColumnSchema(f"x{i}", mean=mean, scale=scale)
            for i, (mean, scale) in enumerate([(3.0, 0.5), (-100.0, 40.0), (0.0, 1e-3), (7.0, 2.0)])
        )
        self.w = random.normal(size=(4, 2))
        self.b = random.normal(size=4)
        likelihood = Columns(real=Gaussian(scale="shared"))
        architecture = Architecture((2,), MLP(()), likelihood=likelihood)
        self.model = architecture.build((4,), columns=self.columns).double()
        set_linear(self.model.decoder, torch.tensor(self.w), torch.tensor(self.b))
        scales = self.model.decoder.head.heads[0].head.log_scale
        with torch.no_grad():
            scales.shared.copy_(torch.tensor([-0.5, 0.2, -1.0, 0.0]))
        parameters = torch.zeros(4, 1).double()
        self.variances = torch.exp(2 * scales(parameters)).detach().numpy()
        self.covariance = self.w @ self.w.T + np.diag(self.variances)
        self.means = np.array([column.mean for column in self.columns])
        self.scales = np.array([column.scale for column in self.columns])

    def rows(self, n):
        random = np.random.default_rng(6)
        return random.multivariate_normal(self.b, self.covariance, n)


@pytest.fixture(scope="module")
def analysis():
    return FactorAnalysis()


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: "".join("01"[seen] for seen in mask))
def test_factor_analysis_with_any_cells_observed(analysis, mask):
    """log p(x_obs) and E[x_mis | x_obs] in closed form, in the units of the data, of each of the 16
    sets of observed cells.
    """
    codes = analysis.rows(5)
    seen = np.array(mask)
    observed = torch.tensor(np.tile(seen, (5, 1)))
    batch = Batch(torch.tensor(np.where(seen, codes, np.nan)), observed=observed)
    got, weights = log_evidence(analysis.model, batch)
    expected = np.zeros(5)
    gain = np.zeros((4, 0))
    if seen.any():
        inner = analysis.covariance[np.ix_(seen, seen)]
        marginal = stats.multivariate_normal(analysis.b[seen], inner)
        expected = marginal.logpdf(codes[:, seen]) - np.log(analysis.scales[seen]).sum()
        gain = analysis.covariance[:, seen] @ np.linalg.inv(inner)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    conditional = analysis.b + (codes[:, seen] - analysis.b[seen]) @ gain.T
    values = analysis.means + analysis.scales * conditional
    points, _ = hermite(2)
    with torch.no_grad():
        p = analysis.model.decode(points).base_dist
        imputed = torch.einsum("qb,qd->bd", weights, p.data_mean)
    np.testing.assert_allclose(imputed[:, ~seen], values[:, ~seen], rtol=1e-6, atol=1e-6)


def test_estimates_of_factor_analysis(analysis):
    """The importance-sampled log p(x_obs) is the closed form, and the bounds stand below it, the
    one of many draws nearer (MIWAE's bound is `Iwae` of observed cells).
    """
    codes = analysis.rows(40)
    observed = np.random.default_rng(0).random((40, 4)) < 0.6
    rows = Observed(torch.tensor(np.where(observed, codes, np.inf)), torch.tensor(observed))
    expected = log_evidence(analysis.model, rows.batch(slice(None)))[0].mean().item()
    measured = importance_log_likelihood(analysis.model, rows, samples=4000)
    assert measured.log_likelihood.value == pytest.approx(expected, abs=0.05)
    elbo = bound(analysis.model, rows, samples=64).elbo.value
    terms = analysis.model.terms(rows.batch(slice(None)), 64)
    miwae = -Iwae()(terms).item()
    assert elbo < miwae < expected + 0.05
    assert expected - miwae < (expected - elbo) / 2


# One latent dimension, by quadrature


def levels(count):
    return tuple(f"l{place}" for place in range(count))


DISCRETE = (
    ColumnSchema("b", "binary", "text", levels(2), shares=(0.3, 0.7)),
    ColumnSchema("c", "categorical", "text", levels(3), shares=(0.2, 0.5, 0.3)),
    ColumnSchema("o", "ordinal", "text", levels(4), shares=(0.1, 0.4, 0.4, 0.1)),
    ColumnSchema("n", "count", "integer", mean=1.2, scale=0.5),
    ColumnSchema("m", "count", "integer", mean=1.0, scale=0.5, atoms=(0.0, 2.0), shares=(0.3, 0.2)),
)
LIKELIHOODS = [
    Columns(),
    Columns(ordinal=CumulativeLogits(), count=Poisson(), binary=CumulativeLogits()),
    Columns(ordinal=CumulativeLogits(scale="learned"), count=Histogram()),
]


def build(likelihood, columns, latent=(1,), seed=0):
    """A model in float64 whose decoder depends on z."""
    torch.manual_seed(seed)
    network = MLP((6,), "tanh", linear_path=True)
    model = Architecture(latent, network, likelihood=likelihood).build(
        (len(columns),), columns=columns
    )
    return model.double()


def every_row(columns, counts):
    """All rows of codes of discrete columns; counts up to a number."""
    spaces = []
    for column in columns:
        spaces.append(range(len(column.levels) or counts))
    return torch.tensor(list(itertools.product(*spaces))).double()


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_a_table_of_discrete_kinds_sums_to_one(likelihood):
    """Over the whole product of its columns: p(x | z) at some z, and p(x) by quadrature."""
    columns = (*DISCRETE[:3], DISCRETE[4])
    model = build(likelihood, columns)
    rows = every_row(columns, 400)
    with torch.no_grad():
        for z in (-2.0, 0.0, 1.5):
            p = model.decode(torch.tensor([z]).double())
            assert p.log_prob(rows).exp().sum().item() == pytest.approx(1, abs=1e-6)
    total = log_evidence(model, Batch(rows), order=30)[0].exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_the_cells_that_are_not_observed_are_summed_out(likelihood):
    """log p(x_obs) is the log of the sum of p over all values of the others, which is what makes
    leaving them out of the likelihood right.
    """
    columns = DISCRETE[:3]
    model = build(likelihood, columns)
    rows = every_row(columns, 0)
    whole = log_evidence(model, Batch(rows))[0].numpy()
    for mask in itertools.product([False, True], repeat=3):
        observed = torch.tensor(mask).expand(rows.shape)
        got = log_evidence(model, Batch(rows, observed=observed))[0].numpy()
        keys = [tuple(row) for row in rows[:, list(mask)].tolist()]
        for key, value in zip(keys, got, strict=True):
            members = [other == key for other in keys]
            assert value == pytest.approx(logsumexp(whole[members]), abs=1e-9)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_estimates_of_levels_and_counts(likelihood):
    """A categorical and a count column with one latent dimension: the importance-sampled log
    p(x_obs) against quadrature.
    """
    columns = (DISCRETE[1], DISCRETE[4])
    model = build(likelihood, columns)
    rows = torch.tensor([[0, 0], [1, 2], [2, 7], [0, 25], [2, 0]]).double()
    observed = torch.tensor([[1, 1], [1, 1], [0, 1], [1, 1], [1, 0]]).bool()
    expected = log_evidence(model, Batch(rows, observed=observed))[0]
    measured = importance_log_likelihood(model, Observed(rows, observed), samples=20_000)
    torch.testing.assert_close(measured.per_example, expected, atol=0.03, rtol=0)


# Cells that are not observed

MIXED = (
    ColumnSchema("r", "real", mean=5.0, scale=2.0),
    ColumnSchema("a", "real", mean=1.0, scale=2.0, atoms=(0.0,), shares=(0.5,)),
    ColumnSchema("p", "positive", mean=0.5, scale=0.7, atoms=(0.0,), shares=(0.3,)),
    ColumnSchema("q", "positive", mean=0.5, scale=0.7),
    ColumnSchema("d", "datetime", "date", mean=18_000.0, scale=500.0),
    *DISCRETE,
)
ROWS = [
    [5.5, 0.0, 0.0, 2.0, 18_100.0, 1, 2, 3, 4, 0],
    [1.5, 3.0, 4.0, 0.1, 17_000.0, 0, 1, 0, 0, 2],
    [9.0, -1.0, 0.5, 9.0, 19_000.0, 1, 0, 2, 9, 5],
    [5.0, 0.0, 1.0, 1.0, 18_001.0, 0, 0, 1, 2, 1],
]
OTHER_FAMILIES = Columns(
    real=StudentT(), positive=StudentT(), ordinal=CumulativeLogits(), count=Poisson()
)
HISTOGRAMS = Columns(
    real=Histogram(), positive=Histogram(), count=Histogram(), datetime=Histogram()
)


def mixed_codes():
    return torch.tensor(Coding(MIXED).encode(np.array(ROWS)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "likelihood", [Columns(), OTHER_FAMILIES, HISTOGRAMS], ids=["usual", "others", "histograms"]
)
@pytest.mark.parametrize("filling", [math.nan, 1e30, -1e30, math.inf, 1.0, -1000.0])
def test_a_masked_cell_changes_nothing(filling, likelihood, dtype):
    """The terms, the features, the codes of the encoder and all gradients have the same bits,
    whatever stands in a cell that is not observed.
    """
    codes = mixed_codes().to(dtype)
    observed = torch.rand(codes.shape) < 0.5
    observed[0] = True
    observed[1] = False
    found = []
    for other in (0.0, filling):
        model = build(likelihood, MIXED, (3, 2)).to(dtype)
        batch = Batch(torch.where(observed, codes, other), observed=observed)
        torch.manual_seed(1)
        terms = model.terms(batch, 3)
        Elbo()(terms).backward()
        seen = torch.where(observed, codes, 0)
        results = [terms.log_likelihood, terms.rate, terms.log_weight, *model.encode(batch)]
        results.append(model.features(seen, observed))
        gradients = [parameter.grad for parameter in model.parameters()]
        found.append([*results, *gradients])
    for ours, theirs in zip(*found, strict=True):
        assert ours.isfinite().all()
        assert torch.equal(ours, theirs)


def test_every_gradient_reaches_a_weight_of_a_mixed_table():
    for likelihood in (Columns(), OTHER_FAMILIES, HISTOGRAMS):
        model = build(likelihood, MIXED)
        Elbo()(model.terms(mixed_codes(), 2)).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any() or not parameter.numel(), name


# The units of the data


def test_the_log_likelihood_is_that_of_a_change_of_variables():
    """Written out: densities of the values themselves, masses of atoms, and density beside mass."""
    normal = Columns(real=Gaussian(), positive=Gaussian(), datetime=Gaussian())
    model = build(normal, MIXED)
    z = torch.zeros(1).double()
    with torch.no_grad():
        p = model.decode(z)
        got = p.base_dist.log_prob(mixed_codes())
    distributions = {}
    for positions, distribution in p.base_dist.groups:
        for place, position in enumerate(positions.tolist()):
            distributions[MIXED[position].name] = (distribution, place)

    def parts(name):
        distribution, place = distributions[name]
        shares = None
        if hasattr(distribution, "others"):
            shares = distribution.log_shares[place].tolist()
            distribution = distribution.others
        codes = distribution.codes
        return codes.location[place].item(), codes.log_scale[place].exp().item(), shares

    for row, values in enumerate(ROWS):
        for position, column in enumerate(MIXED[:5]):
            location, scale, shares = parts(column.name)
            center = column.mean + column.scale * location
            spread = column.scale * scale
            value = values[position]
            if value in column.atoms:
                expected = shares[1]
            elif column.kind == "positive":
                expected = stats.lognorm.logpdf(value, spread, scale=math.exp(center))
            else:
                expected = stats.norm.logpdf(value, center, spread)
            if shares is not None and value not in column.atoms:
                expected += shares[0]
            assert got[row, position].item() == pytest.approx(expected, abs=1e-5), column.name


def densities_of(values, likelihood):
    """log p(x_obs) of each cell of a table of densities with gaps, at the same weights."""
    kinds = ("real", "positive", "real", "positive")
    columns = [ColumnSchema(f"x{i}", kind) for i, kind in enumerate(kinds)]
    columns = fit_columns(columns, values, np.arange(len(values)))
    model = build(likelihood, columns)
    codes = torch.tensor(Coding(columns).encode(values))
    observed = ~codes.isnan()
    torch.manual_seed(3)
    with torch.no_grad():
        inference = model.infer(Batch(codes, observed=observed))
        p = model.decode(inference.context).base_dist
        log_prob = p.log_prob(torch.where(observed, codes, 0))
        terms = model.terms_of(inference, Batch(codes, observed=observed))
    return columns, torch.where(observed, log_prob, 0)[0], observed, terms.log_likelihood[0]


@pytest.mark.parametrize("factor", [1e3, 0.37])
@pytest.mark.parametrize(
    "likelihood", [Columns(), Columns(real=StudentT(), positive=StudentT())], ids=repr
)
def test_another_unit_shifts_the_log_likelihood_by_its_logarithm(likelihood, factor):
    """Rescaling columns by c changes log p by exactly -log c for each observed cell that is no
    atom, and atoms, codes and posteriors not at all.
    """
    random = np.random.default_rng(0)
    values = np.stack(
        [
            random.normal(5, 2, 300),
            random.lognormal(0, 1, 300),
            np.where(random.random(300) < 0.4, 0.25, random.normal(0, 1, 300)),
            np.where(random.random(300) < 0.4, 0.0, random.lognormal(0, 1, 300)),
        ],
        axis=1,
    )
    values[random.random(values.shape) < 0.2] = np.nan
    columns, ours, observed, total = densities_of(values, likelihood)
    scaled_columns, theirs, _, scaled_total = densities_of(values * factor, likelihood)
    assert [len(column.atoms) for column in columns] == [0, 0, 1, 1]
    assert [len(column.atoms) for column in scaled_columns] == [0, 0, 1, 1]
    is_atom = torch.zeros_like(observed)
    is_atom[:, 2] = torch.tensor(values[:, 2] == 0.25)
    is_atom[:, 3] = torch.tensor(values[:, 3] == 0.0)
    expected = torch.where(observed & ~is_atom, -math.log(factor), 0.0).double()
    torch.testing.assert_close(theirs - ours, expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(total, torch.where(observed, ours, 0).sum(-1))
    torch.testing.assert_close(scaled_total, torch.where(observed, theirs, 0).sum(-1))

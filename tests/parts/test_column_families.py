"""Families of columns against SciPy, closed forms and limits. The laws that all of them keep are in
`lowerbound.testing.columns`, run by tests/laws.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from lowerbound.columns import ColumnSchema
from lowerbound.columns.families import (
    ColumnFamily,
    CumulativeLogits,
    Gaussian,
    Histogram,
    NegativeBinomial,
    Poisson,
    Softmax,
    StudentT,
)
from lowerbound.columns.families.counts import (
    log_negative_binomial,
    log_poisson,
    stirling_correction,
)
from lowerbound.columns.families.inflated import InflatedHead
from lowerbound.columns.families.scales import LEAST_LOG_SCALE, LogScale, least_log_scale
from lowerbound.columns.families.units import InDataUnits
from lowerbound.columns.statistics import fit_column
from lowerbound.specs.registry import members

# Counts

MEANS = [1e-3, 0.5, 7.0, 300.0, 1e5]
SIZES = [1e-3, 0.3, 5.0, 1e3, 1e5]


def counts_about(mean):
    """Small counts, and those up to five deviations from the mean."""
    near = np.round(mean + math.sqrt(mean) * np.linspace(-5, 5, 21))
    return np.unique(np.concatenate([np.arange(30.0), near.clip(min=0)]))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
@pytest.mark.parametrize("mean", MEANS)
def test_counts_against_scipy(mean, dtype, tolerance):
    """In float32 too, where the logarithms of factorials of these counts have no digit left for
    their difference.
    """
    counts = counts_about(mean)
    values = torch.tensor(counts, dtype=dtype)
    log_mean = torch.tensor(math.log(mean), dtype=dtype)
    expected = stats.poisson.logpmf(counts, mean)
    got = log_poisson(values, log_mean).double().numpy()
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    for size in SIZES:
        log_size = torch.tensor(math.log(size), dtype=dtype)
        expected = stats.nbinom.logpmf(counts, size, size / (size + mean))
        got = log_negative_binomial(values, log_mean, log_size).double().numpy()
        loss = tolerance * max(1, size / 1e3)
        np.testing.assert_allclose(got, expected, rtol=loss, atol=loss)


def test_textbook_forms_lose_the_digits_that_ours_keep():
    """Of a size of three millions a float32 has steps of 4 nats in the textbook form."""
    value = torch.tensor(40.0)
    log_mean = torch.tensor(math.log(35.0))
    size = torch.tensor(math.exp(15.0))
    expected = stats.nbinom.logpmf(40, size.item(), size.item() / (size.item() + 35))
    textbook = torch.lgamma(value + size) - torch.lgamma(size) - torch.lgamma(value + 1)
    total = torch.logaddexp(log_mean, size.log())
    textbook = textbook + size * (size.log() - total) + value * (log_mean - total)
    ours = log_negative_binomial(value, log_mean, size.log())
    assert abs(textbook.item() - expected) > 0.5
    assert ours.item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_large_size_is_a_poisson_distribution(dtype):
    """The difference falls like (x - mean)^2 / size."""
    values = torch.arange(200, dtype=dtype)
    log_mean = torch.tensor(math.log(60.0), dtype=dtype)
    poisson = log_poisson(values, log_mean)
    for log_size in (12.0, 20.0, 25.0):
        limit = log_negative_binomial(values, log_mean, torch.tensor(log_size, dtype=dtype))
        most = 140**2 / math.exp(log_size) + 2e-5 * poisson.abs().max().item()
        assert (limit - poisson).abs().max() < most


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_of_counts_are_those_in_closed_form(dtype):
    """d log p / d log mean = size (x - mean) / (size + mean), and x - mean of Poisson."""
    values = torch.tensor([0.0, 1.0, 9.0, 4000.0], dtype=dtype)
    log_mean = torch.full((4,), math.log(20.0), dtype=dtype, requires_grad=True)
    log_size = torch.full((4,), math.log(3.0), dtype=dtype)
    (gradient,) = torch.autograd.grad(log_poisson(values, log_mean).sum(), log_mean)
    torch.testing.assert_close(gradient, values - 20, rtol=1e-4, atol=1e-4)
    log_prob = log_negative_binomial(values, log_mean, log_size)
    (gradient,) = torch.autograd.grad(log_prob.sum(), log_mean)
    torch.testing.assert_close(gradient, 3 * (values - 20) / 23, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_the_size_against_differences():
    values = torch.tensor([0.0, 1.0, 9.0, 300.0]).double()
    log_mean = torch.tensor(1.3).double()
    log_size = torch.tensor([-6.0, -0.5, 2.0, 9.0]).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda size: log_negative_binomial(values, log_mean, size), log_size
    )


def test_stirlings_correction():
    """log Gamma(x + 1) by it, on both sides of the place where the series takes over."""
    numbers = torch.tensor([1e-6, 0.3, 1.0, 14.999, 15.001, 80.0, 1e6]).double()
    base = (numbers + 0.5) * numbers.log() - numbers + 0.5 * math.log(2 * math.pi)
    expected = torch.lgamma(numbers + 1)
    torch.testing.assert_close(
        base + stirling_correction(numbers), expected, rtol=1e-14, atol=1e-12
    )


@pytest.mark.parametrize("family", [Poisson(), NegativeBinomial()], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_gradient_of_counts_dies(family, dtype):
    """Wherever the parameters are, there is a way back: a clamp has none."""
    numbers = np.random.default_rng(0).poisson(20, 500).astype(float)
    column = fit_column(ColumnSchema("n", "count"), numbers)
    head = family.head([column]).to(dtype)
    size = family.parameters(column)
    for extreme in (-1e4, 1e4):
        parameters = torch.full((1, size), extreme, dtype=dtype, requires_grad=True)
        value = torch.tensor([17.0], dtype=dtype)
        head(parameters).log_prob(value).sum().backward()
        assert parameters.grad.isfinite().all()
        assert (parameters.grad[..., 0] != 0).all()


def test_counts_start_at_their_mean_and_variance():
    numbers = np.random.default_rng(0).negative_binomial(2.0, 0.05, 5000).astype(float)
    column = fit_column(ColumnSchema("n", "count"), numbers)
    assert not column.atoms
    d = NegativeBinomial().head([column])(torch.zeros(1, 2))
    assert d.mean.item() == pytest.approx(numbers.mean(), rel=0.05)
    samples = d.sample((20_000,))
    assert samples.std().item() == pytest.approx(numbers.std(), rel=0.15)


# Levels


def levels_of(counts, kind="ordinal"):
    columns = []
    for place, shares in enumerate(counts):
        levels = tuple(map(str, range(len(shares))))
        columns.append(ColumnSchema(f"c{place}", kind, "text", levels, shares=tuple(shares)))
    return columns


SHARES = [[0.2, 0.5, 0.3], [0.1, 0.2, 0.3, 0.4], [0.6, 0.4], [1.0]]


@pytest.mark.parametrize("scale", ["shared", "learned"])
def test_cumulative_logits_by_their_definition(scale):
    """P(level <= k) = sigmoid((threshold_k - location) / scale), and the thresholds start where
    P(level <= k) are the training shares; columns of other numbers of levels stand beside.
    """
    family = CumulativeLogits(scale=scale)
    columns = levels_of(SHARES)
    head = family.head(columns).double()
    parameters = torch.randn(6, 4, family.parameters(columns[0])).double()
    with torch.no_grad():
        d = head(parameters)
        started = head(torch.zeros(1, 4, family.parameters(columns[0])).double())
    for place, shares in enumerate(SHARES):
        count = len(shares)
        np.testing.assert_allclose(started.probabilities[0, place, :count], shares, atol=1e-6)
        thresholds = stats.logistic.ppf(np.cumsum(shares)[:-1])
        location = parameters[:, place, :1].numpy()
        spread = 1.0
        if scale == "learned":
            spread = parameters[:, place, 1:].exp().numpy()
        below = stats.logistic.cdf((thresholds - location) / spread)
        expected = np.diff(below, axis=1, prepend=0, append=1)
        np.testing.assert_allclose(d.probabilities[:, place, :count], expected, atol=1e-6)
        assert (d.probabilities[:, place, count:] == 0).all()


@pytest.mark.parametrize("location", [-60.0, 60.0])
def test_far_differences_of_logistic_functions_do_not_cancel(location):
    """sigmoid(u) - sigmoid(l) is 0 in float32 where both round to 1; its log is not -inf, and was
    clipped at log 1e-6 in published code.
    """
    columns = levels_of([[0.2, 0.5, 0.3]])
    head = CumulativeLogits().head(columns)
    parameters = torch.tensor([[location]]).requires_grad_()
    middle = head(parameters).log_prob(torch.tensor([1.0]))
    if location > 0:
        # For u, l far below 0: sigmoid(u) - sigmoid(l) = e^u - e^l.
        expected = -60 + math.log(0.7 / 0.3 - 0.2 / 0.8)
    else:
        expected = -60 + math.log(0.8 / 0.2 - 0.3 / 0.7)
    assert middle.item() == pytest.approx(expected, rel=1e-5)
    middle.backward()
    assert parameters.grad.item() == pytest.approx(-math.copysign(1, location), rel=1e-4)


def test_a_level_without_training_rows_is_possible():
    column = levels_of([[0.5, 0.0, 0.5]])
    for family in (Softmax(), CumulativeLogits()):
        size = family.parameters(column[0])
        d = family.head(column)(torch.zeros(1, size))
        assert -12 < d.log_prob(torch.tensor([1.0])).item() < -8


# Densities


def test_student_t_against_scipy():
    column = fit_column(ColumnSchema("x"), np.random.default_rng(0).normal(0, 1, 5000))
    head = StudentT().head([column]).double()
    parameters = torch.tensor([[[0.7, -0.4, 1.5]]]).double()
    d = head(parameters)
    freedom = 3 + math.log1p(math.exp(1.5))
    assert d.freedom.item() == pytest.approx(freedom)
    values = torch.linspace(-40, 40, 9).double()[:, None, None]
    expected = stats.t.logpdf(
        values, freedom, d.location.detach().numpy(), d.log_scale.exp().detach().numpy()
    )
    np.testing.assert_allclose(d.log_prob(values).detach(), expected, rtol=1e-9)


def test_an_outlier_does_not_widen_the_start_of_student_t():
    """It starts with the quartiles of the training values."""
    random = np.random.default_rng(0)
    numbers = np.concatenate([random.normal(5, 1, 2000), [1e6]])
    column = fit_column(ColumnSchema("x"), numbers)
    d = InDataUnits(StudentT().head([column]), [column])(torch.zeros(1, 3))
    narrow = d.log_prob(torch.tensor([(5 - column.mean) / column.scale]))
    assert narrow.item() == pytest.approx(stats.norm.logpdf(0), abs=0.6)


def test_what_is_t_distributed_in_its_logarithm_has_no_mean():
    """The median of the values stands for it, which is finite whatever the scale is."""
    numbers = np.random.default_rng(0).lognormal(2.0, 0.5, 4000)
    column = fit_column(ColumnSchema("x", "positive"), numbers)
    head = InDataUnits(StudentT().head([column]), [column])
    for raw_scale in (0.0, 100.0):
        d = head(torch.tensor([[0.0, raw_scale, 0.0]]))
        assert not d.codes.knows_mean_exponential
        assert d.data_mean.item() == pytest.approx(np.median(numbers), rel=0.02)


def test_a_log_normal_mean():
    """exp(m + s^2 / 2) in the units of the data."""
    column = ColumnSchema("x", "positive", mean=1.2, scale=0.7)
    d = InDataUnits(Gaussian().head([column]), [column])(torch.tensor([[0.3, -0.5]]))
    log_scale = d.codes.log_scale.item()
    assert log_scale == pytest.approx(-0.5, abs=0.05)
    expected = math.exp(1.2 + 0.7 * 0.3 + (0.7 * math.exp(log_scale)) ** 2 / 2)
    assert d.data_mean.item() == pytest.approx(expected, rel=1e-5)


def test_scales_start_where_they_are_told_and_stay_inside_their_limits():
    coarse = ColumnSchema("x", decimals=0, scale=50.0)
    columns = [ColumnSchema("x"), coarse, ColumnSchema("x")]
    scales = LogScale(columns, "learned", [0.0, -1.5, 2.0])
    for raw, expected in ((0.0, [0.0, -1.5, 2.0]), (-1e4, None), (1e4, [4.0, 4.0, 4.0])):
        if expected is None:
            expected = [LEAST_LOG_SCALE, least_log_scale(coarse), LEAST_LOG_SCALE]
        parameters = torch.full((3, 2), raw)
        torch.testing.assert_close(scales(parameters), torch.tensor(expected), atol=1e-3, rtol=0)
    rising = scales(torch.linspace(-30, 30, 200)[:, None, None].expand(200, 3, 2))
    assert (rising.diff(dim=0) >= 0).all()


@pytest.mark.parametrize(
    ("column", "step"),
    [
        (ColumnSchema("x", decimals=0, scale=50.0), 1.0),
        (ColumnSchema("x", decimals=2, scale=0.5), 0.01),
        (ColumnSchema("x", "datetime", "date", scale=300.0), 1.0),
        (ColumnSchema("x", "positive", decimals=1, mean=3.0, scale=0.8), 0.1),
    ],
    ids=["whole", "decimals", "date", "logs"],
)
def test_no_number_on_a_grid_has_a_probability_above_one(column, step):
    """However far a fit drives the scale down: density times step is at most one."""
    d = InDataUnits(Gaussian().head([column]), [column])(torch.tensor([[0.0, -1e4]]))
    assert d.log_prob(torch.zeros(1)).item() + math.log(step) == pytest.approx(0, abs=2e-3)


# Atoms


def test_atoms_take_mass_from_a_density():
    """Mass plus density: log share at an atom, log (1 - shares) + log density elsewhere."""
    column = ColumnSchema("x", atoms=(0.0, 3.0), shares=(0.5, 0.2), mean=1.0, scale=2.0)
    head = InflatedHead(InDataUnits(Gaussian().head([column]), [column]), [column], 2)
    d = head(torch.zeros(1, 5))
    values = torch.tensor([[0.0], [3.0], [2.0]])
    log_prob = d.log_prob((values - 1.0) / 2.0).squeeze(-1)
    density = stats.norm.logpdf(2.0, 1.0, 2.0)
    expected = [math.log(0.5), math.log(0.2), math.log(0.3) + density]
    np.testing.assert_allclose(log_prob.detach(), expected, atol=1e-5)
    assert d.data_mean.item() == pytest.approx(0.2 * 3 + 0.3 * 1.0, abs=1e-5)


def test_other_counts_may_be_equal_to_an_atom():
    """Zero-inflated: share + (1 - share) p(0)."""
    column = ColumnSchema("n", "count", atoms=(0.0,), shares=(0.4,), mean=math.log1p(2.0))
    head = InflatedHead(Poisson().head([column]), [column], 1)
    d = head(torch.zeros(1, 3).double())
    masses = d.log_prob(torch.arange(60.0).double()[:, None]).exp().squeeze(-1)
    assert masses[0].item() == pytest.approx(0.4 + 0.6 * math.exp(-2), rel=1e-5)
    assert masses.sum().item() == pytest.approx(1, abs=1e-6)
    assert d.data_mean.item() == pytest.approx(0.6 * 2, rel=1e-5)
    samples = d.sample((20_000,))
    assert (samples == 0).double().mean().item() == pytest.approx(masses[0].item(), abs=0.02)


def test_a_density_is_not_asked_at_an_atom_far_away():
    """The code of a zero among logs is far outside; its gradient is that of the shares alone."""
    column = ColumnSchema("x", "positive", atoms=(0.0,), shares=(0.5,), mean=1.0, scale=1e-3)
    head = InflatedHead(InDataUnits(Gaussian().head([column]), [column]), [column], 1)
    parameters = torch.zeros(1, 4).requires_grad_()
    d = head(parameters)
    d.log_prob(torch.tensor([-1000.0])).sum().backward()
    torch.testing.assert_close(parameters.grad, torch.tensor([[-0.5, 0.5, 0.0, 0.0]]))


@pytest.mark.parametrize(("share", "expected"), [(0.45, 1.0), (0.55, 3.0)])
def test_an_atom_is_the_guess_only_where_it_is_likelier_than_all_else(share, expected):
    """With .45 at the atom 3 the mean of the others, 1, is the guess; with .55 the atom is."""
    column = ColumnSchema("x", atoms=(0.0, 3.0), shares=(0.1, share), mean=1.0, scale=2.0)
    head = InflatedHead(InDataUnits(Gaussian().head([column]), [column]), [column], 2)
    guess = head(torch.zeros(1, 5)).mean.item() * 2.0 + 1.0
    assert guess == pytest.approx(expected, abs=1e-5)


def test_atoms_of_which_no_share_is_known():
    column = ColumnSchema("x", atoms=(0.0,))
    head = InflatedHead(Gaussian().head([column]), [column], 1)
    d = head(torch.zeros(1, 4))
    assert d.log_prob(torch.zeros(1)).item() == pytest.approx(math.log(0.5))


# The contract


@pytest.mark.parametrize("family", members("lowerbound.columns.families", ColumnFamily).values())
def test_a_column_of_which_only_the_kind_is_known(family):
    """Nothing was measured of it: the distributions are finite all the same."""
    for kind in family.kinds:
        levels = ()
        if kind in ("ordinal", "categorical", "binary"):
            levels = ("a", "b")
        column = ColumnSchema("x", kind, levels=levels)
        part = family()
        d = part.head([column])(torch.zeros(3, 1, part.parameters(column)))
        assert d.log_prob(torch.ones(3, 1)).isfinite().all()


def test_counts_drawn_above_a_histogram_begin_with_the_next_one():
    column = fit_column(ColumnSchema("n", "count", "integer"), np.arange(200.0) % 10)
    bins = Histogram(4).head([column]).bins
    assert bins.high.item() == 9.5
    drawn = bins.draw_above(torch.rand(4000, 1))
    assert drawn.min() == 10
    # The share of the first is that which its probability says.
    chance = (bins.above(torch.tensor([10.0])) - bins.log_tails[:, 1]).exp().item()
    assert (drawn == 10).float().mean().item() == pytest.approx(chance, abs=0.05)


def test_numbers_drawn_beyond_a_histogram_are_beyond_it():
    column = fit_column(ColumnSchema("x"), np.linspace(0.0, 1.0, 101))
    bins = Histogram(4).head([column]).bins
    uniform = torch.rand(4000, 1)
    below = bins.low - bins.draw_below(uniform)
    above = bins.draw_above(uniform) - bins.high
    for distances in (below, above):
        assert (distances >= 0).all()
        assert distances.mean().item() == pytest.approx(bins.tail_scale.item(), rel=0.1)

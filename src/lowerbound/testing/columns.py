"""The laws of the families of columns."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor, nn

from ..columns import LEVELLED, Coding, ColumnSchema
from ..columns.families import ColumnDistribution, ColumnFamily
from ..columns.families.units import InDataUnits
from ..columns.statistics import fit_column
from .spec import (
    DRAWS,
    check_spec,
    require,
    require_close,
    require_gradients,
    require_shape,
)

EXTREME = 1e4
"""The greatest size of a parameter at which a family must still give a number."""

MOST_COUNTED = 20_000
"""The probabilities of counts are summed up to this one."""

MOST_EXTREMES = 16
"""So many combinations of extreme parameters are tried."""

LEAST_P_VALUE = 1e-6
"""Samples are less probable than this under the law only by a mistake."""

STEPS = 20_001
"""The points of the integral of a density."""


def make_columns(kind: str, seed: int = 0) -> list[ColumnSchema]:
    """Makes columns of a kind, with the statistics of training values that are drawn for them."""
    random = np.random.default_rng(seed)
    if kind in LEVELLED:
        return _make_levelled(kind, random)
    drawn: dict[str, list[np.ndarray]] = {
        "real": [
            random.normal(10.0, 3.0, 2000),
            random.standard_t(4, 2000) * 1e-3,
            random.normal(0.0, 1.0, 2000).round(1),
        ],
        "positive": [random.lognormal(1.0, 0.6, 2000), random.lognormal(-8.0, 0.2, 2000)],
        "count": [random.negative_binomial(2.0, 0.02, 2000), random.poisson(30.0, 2000)],
        "datetime": [random.uniform(15_000, 18_000, 2000).round(), random.normal(0, 900, 2000)],
    }
    columns = []
    for place, numbers in enumerate(drawn[kind]):
        column = ColumnSchema(f"{kind}{place}", kind)
        columns.append(fit_column(column, numbers.astype(np.float64)))
    return columns


def _make_levelled(kind: str, random: np.random.Generator) -> list[ColumnSchema]:
    """Makes columns of levels; of some levels the first is rare."""
    columns = []
    counts = (4, 3, 8)
    if kind == "binary":
        counts = (2, 2, 2)
    for place, count in enumerate(counts):
        levels = tuple(map(str, range(count)))
        weights = random.dirichlet(np.ones(count))
        positions = random.choice(count, 2000, p=weights).astype(np.float64)
        columns.append(fit_column(ColumnSchema(f"{kind}{place}", kind, "text", levels), positions))
    return columns


def check_column_family(family: ColumnFamily, *, seed: int = 0) -> None:
    """Checks a family of columns, for each of its kinds, in float32 and in float64.

    The laws: batches, samples and densities have the promised shapes and type, also of values
    without the dimension of the draws; gradients reach what the network gives and each weight;
    everything is a number at extreme parameters; probabilities sum to one; samples, means and
    probabilities agree with `log_prob`; where the network gives zero, the distributions are about
    those of the training values; float32 agrees with float64.

    Raises:
        AssertionError: says which law was broken.
    """
    check_spec(family)
    name = type(family).__name__
    require(family.kinds, f"{name}.kinds is empty: it is the family of no column")
    with torch.random.fork_rng(devices=[]):
        for kind in family.kinds:
            torch.manual_seed(seed)
            for columns in _groups(family, make_columns(kind, seed)):
                _check_group(f"{name} of {kind}", family, columns)


def _groups(family: ColumnFamily, columns: Sequence[ColumnSchema]) -> Iterator[list[ColumnSchema]]:
    """Yields the columns that have one number of parameters, which are computed together."""
    groups: dict[int, list[ColumnSchema]] = {}
    for column in columns:
        groups.setdefault(family.parameters(column), []).append(column)
    yield from groups.values()


def _check_group(name: str, family: ColumnFamily, columns: Sequence[ColumnSchema]) -> None:
    """Checks the distributions of columns that are computed together."""
    size = family.parameters(columns[0])
    for dtype in (torch.float64, torch.float32):
        head = family.head(columns).to(dtype)
        _check_shapes(name, head, columns, size, dtype)
        _check_gradients(name, head, columns, size, dtype)
        _check_extremes(name, head, columns, size, dtype)
    _check_precision(name, family, columns, size)
    head = family.head(columns).double()
    shape = (3, len(columns), size)
    with torch.no_grad():
        d = head(torch.randn(shape).double())
        points, masses = column_masses(name, d, columns)
        _check_means(name, d, columns, points, masses)
        _check_samples(name, d, points, masses)
        _check_start(name, head(torch.zeros(shape).double()), columns)
        if columns[0].has_density:
            _check_units(name, head, columns, size)


def _training_codes(columns: Sequence[ColumnSchema], dtype: torch.dtype) -> Tensor:
    """Returns codes of training values of n columns, (9, n), from the least to the greatest."""
    if columns[0].levels:
        counts = torch.tensor([len(column.levels) for column in columns], dtype=dtype)
        return (torch.linspace(0, 0.999, 9, dtype=dtype)[:, None] * counts).floor()
    values = np.array([column.quantiles[::8] for column in columns]).T
    if columns[0].kind == "count":
        values = values.round()
    return torch.tensor(Coding(columns).encode(values)).float().to(dtype)


def _check_shapes(
    name: str, head: nn.Module, columns: Sequence[ColumnSchema], size: int, dtype: torch.dtype
) -> None:
    """Checks the shapes and the type of all that a distribution gives."""
    count = len(columns)
    codes = _training_codes(columns, dtype)[:5]
    for batch in ((5,), (2, 5)):
        d = head(torch.randn((*batch, count, size), dtype=dtype))
        shape = (*batch, count)
        require(
            isinstance(d, ColumnDistribution) and d.batch_shape == shape and not d.event_shape,
            f"{name}: batch {tuple(d.batch_shape)}, event {tuple(d.event_shape)}",
        )
        samples = d.sample(torch.Size([7]))
        results = {
            "a sample": (samples, (7, *shape)),
            "log_prob": (d.log_prob(samples), (7, *shape)),
            "log_prob of one value of the draws": (d.log_prob(codes), shape),
            "mean": (d.mean, shape),
            "data_mean": (d.data_mean, shape),
        }
        require(
            (d.probabilities is not None) == bool(columns[0].levels),
            f"{name}: probabilities are for levels, and for all of them",
        )
        if d.probabilities is not None:
            most = d.probabilities.shape[-1]
            results["probabilities"] = (d.probabilities, (*shape, most))
        for what, (result, wanted) in results.items():
            require_shape(f"{name}: {what}", result, wanted)
            require(result.dtype == dtype, f"{name}: {what} does not keep the type {dtype}")


def _check_gradients(
    name: str, head: nn.Module, columns: Sequence[ColumnSchema], size: int, dtype: torch.dtype
) -> None:
    """Checks that gradients reach each number that the network gives, and each weight."""
    codes = _training_codes(columns, dtype)
    leaves = []
    weights = [weight for weight in head.parameters() if weight.numel()]
    for _ in range(size):
        leaves.append(torch.randn((9, len(columns)), dtype=dtype, requires_grad=True))
    log_prob = head(torch.stack(leaves, dim=-1)).log_prob(codes)
    require_gradients(f"{name}: log_prob", log_prob.sum(), [*leaves, *weights])


def _check_extremes(
    name: str, head: nn.Module, columns: Sequence[ColumnSchema], size: int, dtype: torch.dtype
) -> None:
    """Checks that log_prob, its gradients and means are numbers whatever the network gives."""
    codes = _training_codes(columns, dtype)
    if 2**size <= MOST_EXTREMES:
        choices = list(itertools.product((-EXTREME, EXTREME), repeat=size))
    else:
        choices = (EXTREME * (2 * torch.randint(2, (MOST_EXTREMES, size)) - 1)).tolist()
    for signs in choices:
        row = torch.tensor(signs, dtype=dtype).expand(9, len(columns), size)
        parameters = row.clone().requires_grad_()
        d = head(parameters)
        log_prob = d.log_prob(codes)
        where = f"at parameters {signs[:8]} in {dtype}"
        require(log_prob.isfinite().all(), f"{name}: log_prob is not finite {where}")
        leaves = [parameters, *head.parameters()]
        for gradient in torch.autograd.grad(log_prob.sum(), leaves):
            require(gradient.isfinite().all(), f"{name}: a gradient is not finite {where}")
        require(not d.mean.isnan().any(), f"{name}: mean is NaN {where}")
        require(not d.sample().isnan().any(), f"{name}: a sample is NaN {where}")


def _check_precision(
    name: str, family: ColumnFamily, columns: Sequence[ColumnSchema], size: int
) -> None:
    """Checks that float32 has the log-probabilities of float64, also at large parameters."""
    for scale in (1.0, 5.0):
        parameters = scale * torch.randn(9, len(columns), size)
        codes = _training_codes(columns, torch.float32)
        with torch.no_grad():
            single = family.head(columns)(parameters).log_prob(codes).double()
            double = family.head(columns).double()(parameters.double()).log_prob(codes.double())
        difference = (single - double) / (1 + double.abs())
        where = f"{name}: log_prob in float32 against float64, relative"
        require_close(difference, torch.zeros_like(difference), 2e-4, where)


def column_masses(
    name: str, d: ColumnDistribution, columns: Sequence[ColumnSchema]
) -> tuple[Tensor, Tensor]:
    """Returns codes (m, ..., n) that cover the support, and the probability of each.

    Raises:
        AssertionError: the probabilities do not sum to one.
    """
    if columns[0].has_density:
        points, weights = _real_line(d)
        masses = d.log_prob(points).exp() * weights
        missing = torch.zeros_like(masses[0])
        tolerance = 2e-4
    else:
        most = MOST_COUNTED
        if columns[0].levels:
            most = max(len(column.levels) for column in columns)
        points = torch.arange(most).double().reshape(-1, *[1] * len(d.batch_shape))
        points = points.expand(most, *d.batch_shape)
        masses = d.log_prob(points).exp()
        missing = torch.zeros_like(masses[0])
        if not columns[0].levels:
            missing = _tail(masses)
        tolerance = 1e-6
    total = masses.sum(0)
    require((total <= 1 + tolerance).all(), f"{name}: probabilities sum to {float(total.max())}")
    least = total + missing
    require((least >= 1 - tolerance).all(), f"{name}: probabilities sum to {float(least.min())}")
    return points, masses


def _tail(masses: Tensor) -> Tensor:
    """Bounds the probability of the counts that are not summed by a geometric series.

    A family whose tail is heavier than geometric needs a law of its own.
    """
    ratio = (masses[-1] / masses[-2].clamp(min=1e-300)).clamp(max=1 - 1e-9)
    return masses[-1] * ratio / (1 - ratio)


def _real_line(d: ColumnDistribution) -> tuple[Tensor, Tensor]:
    """Makes the trapezoidal rule at the points median + (distance of quartiles) sinh(t), and on
    both sides of each jump of the densities.
    """
    shape = (-1, *[1] * len(d.batch_shape))
    t = torch.linspace(-12, 12, STEPS, dtype=torch.float64).reshape(shape)
    samples = d.sample(torch.Size([1001]))
    quartiles = samples.quantile(torch.tensor([0.25, 0.5, 0.75]).double(), dim=0)
    spread = (quartiles[2] - quartiles[0]).clamp(min=1e-12)
    points = quartiles[1] + spread * t.sinh()
    if d.jumps is not None:
        jumps = d.jumps.double().T
        jumps = jumps.reshape(len(jumps), *[1] * (points.dim() - 2), -1)
        jumps = jumps.expand(len(jumps), *d.batch_shape)
        sides = [torch.nextafter(jumps, jumps.new_tensor(end)) for end in (-math.inf, math.inf)]
        points = torch.cat([points, *sides]).sort(dim=0).values
    steps = points.diff(dim=0)
    ends = torch.zeros_like(points[:1])
    return points, (torch.cat([ends, steps]) + torch.cat([steps, ends])) / 2


def _check_means(
    name: str,
    d: ColumnDistribution,
    columns: Sequence[ColumnSchema],
    points: Tensor,
    masses: Tensor,
) -> None:
    """Checks means and probabilities against `log_prob`."""
    if d.probabilities is not None:
        expected = masses.movedim(0, -1)
        require_close(d.probabilities, expected, 1e-9, f"{name}: probabilities against log_prob")
        likeliest = expected.argmax(-1).double()
        require((d.mean == likeliest).all(), f"{name}: mean is not the most probable level")
        return
    mean = (points * masses).sum(0)
    size = (points.abs() * masses).sum(0)
    difference = (d.mean - mean) / size
    require_close(
        difference, torch.zeros_like(mean), 1e-3, f"{name}: mean against log_prob, relative"
    )
    factor = torch.full((len(columns),), 0.05).double()
    exponential = d.mean_exponential(factor)
    require((exponential > 0).all(), f"{name}: mean_exponential is not positive")
    if not d.knows_mean_exponential:
        return
    expected = (masses * (factor * points.clamp(max=1e4)).exp()).sum(0)
    difference = exponential / expected - 1
    where = f"{name}: mean_exponential against log_prob, relative"
    require_close(difference, torch.zeros_like(mean), 1e-3, where)


def _check_units(name: str, head: nn.Module, columns: Sequence[ColumnSchema], size: int) -> None:
    """Checks mean and density in the units of the data against those of the codes."""
    # Narrow distributions of logs have a mean that a sum finds.
    parameters = 0.3 * torch.randn(3, len(columns), size).double()
    d = InDataUnits(head, columns).double()(parameters)
    codes = head(parameters)
    points, weights = _real_line(codes)
    mean = torch.tensor([column.mean for column in columns]).double()
    scale = torch.tensor([column.scale for column in columns]).double()
    values = mean + scale * points
    expected = codes.log_prob(points) - scale.log()
    if columns[0].kind == "positive":
        expected = expected - values
        values = values.clamp(max=600).exp()
    difference = (d.log_prob(points) - expected) / (1 + expected.abs())
    where = f"{name}: density in the units of the data"
    require_close(difference, torch.zeros_like(difference), 1e-6, where)
    if columns[0].kind == "positive" and not codes.knows_mean_exponential:
        return
    masses = codes.log_prob(points).exp() * weights
    expected = (masses * values).sum(0)
    size_of_values = (masses * values.abs()).sum(0)
    where = f"{name}: data_mean against log_prob, relative"
    difference = (d.data_mean - expected) / size_of_values
    require_close(difference, torch.zeros_like(difference), 2e-3, where)


def _check_samples(name: str, d: ColumnDistribution, points: Tensor, masses: Tensor) -> None:
    """Checks the frequencies of samples in bins against their probabilities."""
    samples = d.sample(torch.Size([DRAWS])).reshape(DRAWS, -1).T
    codes = points.reshape(len(points), -1).T
    probabilities = masses.reshape(len(points), -1).T
    for drawn, code, mass in zip(samples, codes, probabilities, strict=True):
        p_value = _p_value(drawn.contiguous(), code.contiguous(), mass)
        require(
            p_value > LEAST_P_VALUE,
            f"{name}: frequencies of samples differ from log_prob, p = {p_value:.1g}",
        )


def _p_value(samples: Tensor, points: Tensor, masses: Tensor, bins: int = 20) -> float:
    """Returns how probable frequencies are that differ from these probabilities as much."""
    below = masses.cumsum(0)
    edges = torch.unique((below / below[-1] * bins * (1 - 1e-12)).floor(), return_inverse=True)[1]
    place = torch.searchsorted(points, samples).clamp(max=len(points) - 1)
    count = int(edges.max()) + 1
    observed = torch.bincount(edges[place], minlength=count).double()
    expected = torch.zeros(count).double().index_add(0, edges, masses) * len(samples)
    kept = expected >= 5
    statistic = float(((observed - expected).square() / expected)[kept].sum())
    return float(chi2.sf(statistic, max(int(kept.sum()) - 1, 1)))


def _check_start(name: str, d: ColumnDistribution, columns: Sequence[ColumnSchema]) -> None:
    """Checks that the distributions are about those of the training values."""
    if columns[0].levels:
        assert d.probabilities is not None
        for place, column in enumerate(columns):
            shares = torch.tensor(column.shares).double()
            started = d.probabilities[0, place, : len(shares)]
            require_close(started, shares, 0.02, f"{name}: the start against the training shares")
        return
    samples = d.sample(torch.Size([DRAWS]))[:, 0]
    quartiles = torch.tensor([0.25, 0.5, 0.75]).double()
    low, middle, high = samples.quantile(quartiles, dim=0)
    trained = []
    for column in columns:
        codes = np.asarray(column.quantiles)
        if column.kind == "positive":
            codes = np.log(codes)
        if column.has_density:
            codes = (codes - column.mean) / column.scale
        trained.append(np.quantile(codes, [0.25, 0.5, 0.75]))
    wanted_low, wanted_middle, wanted_high = torch.tensor(np.array(trained)).T
    wanted_spread = wanted_high - wanted_low
    off = ((middle - wanted_middle) / wanted_spread).abs()
    require(
        (off < 0.75).all(),
        f"{name}: the median at the start is {float(off.max()):.2f} distances of the quartiles "
        "from that of the training values",
    )
    ratio = (high - low) / wanted_spread
    require(
        ((ratio > 0.1) & (ratio < 4)).all(),
        f"{name}: the quartiles at the start are {ratio.tolist()} times as far apart as those of "
        "the training values",
    )

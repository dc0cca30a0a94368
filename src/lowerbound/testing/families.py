"""The laws of families."""

import itertools
import math

import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.distributions import constraints, kl_divergence

from ..errors import ConfigError
from ..evaluation.proposal import support_of
from ..families import Family, FamilyWithHead, Normal
from ..sparse import DeferredLinear, SparseRows
from .heads import check_head, check_shared_draws
from .quadrature import MOST_ERRORS, check_moments, check_total, point_masses
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


def check_family(family: Family, *, seed: int = 0) -> None:
    """Checks a family of distributions, in float32 and in float64.

    The laws: batch, event and samples have the promised shapes and type; gradients reach every
    parameter, also at extreme values; probabilities sum to one; samples and mean agree with
    `log_prob`; sparse rows have the likelihood of the same dense rows; several processes draw the
    rows of one. A family without a density is a point mass. For one that owns modules, `check_head`
    takes the place of the laws on parameters.

    Raises:
        AssertionError: says which law was broken.
    """
    check_spec(family)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(family, FamilyWithHead):
            check_head(family)
        if family.reparameterised:
            check_shared_draws(family)
        if isinstance(family, FamilyWithHead):
            return
        torch.manual_seed(seed)
        _check_parameters(family)


def _check_parameters(family: Family) -> None:
    """Checks a family whose distributions are made of parameters."""
    for dtype in (torch.float64, torch.float32):
        _check_shapes(family, dtype)
        _check_gradients(family, dtype)
    if not family.has_density:
        _check_point(family)
        return
    for dtype in (torch.float64, torch.float32):
        _check_extremes(family, dtype)
    _check_rows(family)
    support = support_of(family(_random_values(family, (5, 3), torch.float64), 1))
    if type(support) is type(constraints.one_hot):
        _check_categories(family)
        return
    if family.real_density:
        is_real = type(support) is type(constraints.real)
        require(is_real, f"{type(family).__name__}.real_density, but its support is {support}")
    _check_samples(family)
    _check_density(family, torch.float64, 100.0, 1e-6)
    _check_density(family, torch.float32, 20.0, 5e-3)


def _random_values(family: Family, shape: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    """Draws parameters of a family, for a batch and an event that have this shape together."""
    values = [torch.randn(shape, dtype=dtype) for _ in range(family.parameters)]
    for _ in range(family.free):
        values.append(torch.randn((), dtype=dtype))
    return values


def _leaf_values(family: Family, dtype: torch.dtype) -> list[Tensor]:
    """Draws parameters for a batch of five events (3,) that take gradients; free ones are zero."""
    values = _random_values(family, (5, 3), dtype)
    for i in range(family.parameters, len(values)):
        values[i] = torch.zeros((), dtype=dtype)
    return [value.requires_grad_() for value in values]


def _check_shapes(family: Family, dtype: torch.dtype) -> None:
    """Checks that the event counts as one: densities have the shape of the batch."""
    name = type(family).__name__
    for event in ((3,), (2, 4, 3)):
        d = family(_random_values(family, (5, *event), dtype), len(event))
        require(
            d.batch_shape == (5,) and d.event_shape == event,
            f"{name}: batch {d.batch_shape}, event {d.event_shape}",
        )
        x = d.sample(torch.Size([7, 2]))
        require_shape(f"{name}: a sample", x, (7, 2, 5, *event))
        log_prob = d.log_prob(x)
        require_shape(f"{name}: log_prob", log_prob, (7, 2, 5))
        require_shape(f"{name}: log_prob of one value of the batch", d.log_prob(x[0, 0]), (5,))
        require_shape(f"{name}: mean", d.mean, (5, *event))
        for result in (x, d.mean, log_prob):
            require(result.dtype == dtype, f"{name}: the type {dtype} is not kept")


def _check_gradients(family: Family, dtype: torch.dtype) -> None:
    """Checks that the gradients of a density, and of a draw that has some, reach all parameters."""
    name = type(family).__name__
    values = _leaf_values(family, dtype)
    d = family(values, 1)
    if family.has_density:
        require_gradients(f"{name}.log_prob", d.log_prob(d.sample()).sum(), values)
    require(
        d.has_rsample or not family.reparameterised,
        f"{name}.reparameterised, but its draws carry no gradients",
    )
    if d.has_rsample:
        values = _leaf_values(family, dtype)
        require_gradients(f"{name}.rsample", family(values, 1).rsample().sum(), values)


def _check_extremes(family: Family, dtype: torch.dtype) -> None:
    """Checks that log_prob is a number whatever a network gives, with a way back for log-scales.

    Parameters after the first, which are log-scales, must have a gradient that is not zero.
    """
    name = type(family).__name__
    levels = getattr(family, "levels", None)
    data = [0.0, 1.0]
    if levels is not None:
        data.insert(1, (levels // 2) / (levels - 1))
    x = torch.tensor(data, dtype=dtype).unsqueeze(-1)
    sizes = [x.shape] * family.parameters + [torch.Size()] * family.free
    for signs in itertools.product((-EXTREME, EXTREME), repeat=len(sizes)):
        values = []
        for size, sign in zip(sizes, signs, strict=True):
            values.append(torch.full(size, sign, dtype=dtype, requires_grad=True))
        log_prob = family(values, 1).log_prob(x)
        require(
            log_prob.isfinite().all(),
            f"{name}: log_prob is {log_prob.tolist()} at parameters {signs} in {dtype}",
        )
        gradients = torch.autograd.grad(
            log_prob.sum(), values, allow_unused=True, materialize_grads=True
        )
        for i, gradient in enumerate(gradients):
            require(
                gradient.isfinite().all(),
                f"{name}: parameter {i} has a gradient of NaN at {signs}",
            )
            require(
                i == 0 or (gradient != 0).any(),
                f"{name}: the gradient of parameter {i} is dead at {signs} in {dtype}",
            )


def _check_density(family: Family, dtype: torch.dtype, largest: float, tolerance: float) -> None:
    """Checks that probabilities sum to one at ordinary and at large values of each parameter."""
    name = type(family).__name__
    sizes = []
    for size in (0, 1e-3, 1, 5, largest):
        sizes += [-size, size]
    grid = torch.tensor(sizes, dtype=dtype).unsqueeze(-1)
    for place in range(family.parameters):
        values = [torch.zeros_like(grid) for _ in range(family.parameters)]
        values[place] = grid
        free = [torch.zeros((), dtype=dtype) for _ in range(family.free)]
        d = family([*values, *free], 1)
        masses = point_masses(d, getattr(family, "levels", None), dtype)[1]
        worst = int((masses.sum(0) - 1).abs().argmax())
        where = f"in {dtype} at parameter {place} = {grid[worst].item():g}"
        check_total(f"{name}: probability of everything {where}", masses, tolerance)


def _check_samples(family: Family) -> None:
    """Checks the mean and the moments of samples against `log_prob`."""
    name = type(family).__name__
    d = family(_random_values(family, (8, 1), torch.float64), 1)
    points, masses = point_masses(d, getattr(family, "levels", None), torch.float64)
    samples = d.sample(torch.Size([DRAWS])).squeeze(-1)
    check_moments(name, samples, points, masses)
    mean = (points * masses).sum(0)
    require_close(d.mean.squeeze(-1), mean, 1e-6, f"{name}: mean against log_prob")


def _check_categories(family: Family) -> None:
    """Checks one draw among categories: the sum of probabilities, the mean, and the samples."""
    name = type(family).__name__
    d = family(_random_values(family, (8, 6), torch.float64), 1)
    one_hot = torch.eye(6).double().unsqueeze(1).expand(6, 8, 6)
    masses = d.log_prob(one_hot).exp()
    check_total(f"{name}: probability of everything", masses, 1e-9)
    probabilities = masses.T
    require_close(d.mean, probabilities, 1e-9, f"{name}: mean against log_prob")
    frequencies = d.sample(torch.Size([DRAWS])).mean(0)
    standard_error = (probabilities * (1 - probabilities) / DRAWS).sqrt()
    errors = ((frequencies - probabilities).abs() / standard_error).max()
    require(
        errors < MOST_ERRORS,
        f"{name}: the samples are {errors:.1f} standard errors from log_prob",
    )


def _check_rows(family: Family) -> None:
    """Checks sparse rows against the same rows when dense: log_prob, mean and gradients.

    A family that takes no sparse rows keeps this law by refusing them.
    """
    name = type(family).__name__
    h = torch.randn(3, 5, 4).double().requires_grad_()
    weight = torch.randn(30, 4).double().requires_grad_()
    bias = torch.randn(30).double().requires_grad_()
    free = [torch.randn(()).double() for _ in range(family.free)]
    try:
        sparse = family.of_rows(DeferredLinear(h, weight, bias), free)
    except ConfigError:
        return
    x = torch.bernoulli(torch.full((5, 30), 0.2)).double()
    x[0] = 0.0
    rows = SparseRows.of(csr_matrix(x.numpy()))
    dense = family([torch.nn.functional.linear(h, weight, bias), *free], 1)
    log_prob = sparse.log_prob(rows)  # type: ignore[arg-type]
    expected = dense.log_prob(x)
    against = "of sparse rows against dense ones"
    require_close(log_prob.detach(), expected.detach(), 1e-9, f"{name}: log_prob {against}")
    require_close(sparse.mean.detach(), dense.mean.detach(), 1e-9, f"{name}: mean {against}")
    factor = torch.randn_like(log_prob)
    leaves = (h, weight, bias)
    sparse_gradients = torch.autograd.grad((log_prob * factor).sum(), leaves)
    dense_gradients = torch.autograd.grad((expected * factor).sum(), leaves)
    for gradient, wanted in zip(sparse_gradients, dense_gradients, strict=True):
        require_close(gradient, wanted, 1e-8, f"{name}: gradient by sparse rows against dense ones")


def _check_point(family: Family) -> None:
    """Checks a family without a density: a point mass, infinitely far from any density."""
    name = type(family).__name__
    require(
        family.refuses(0.0, 1.0, None) is not None,
        f"{name}: has no density, but takes data as a likelihood",
    )
    d = family(_random_values(family, (5, 3), torch.float64), 1)
    samples = d.sample(torch.Size([4]))
    require((samples == d.mean).all(), f"{name}: has no density, but its samples vary")
    require(
        (d.log_prob(d.mean) == math.inf).all(),
        f"{name}: log_prob at the point must be infinite",
    )
    require(
        (d.log_prob(d.mean + 1) == -math.inf).all(),
        f"{name}: log_prob off the point must be minus infinity",
    )
    prior = Normal(variance=1.0)((torch.zeros(3).double(),), 1)
    require(
        (kl_divergence(d, prior) == math.inf).all(),
        f"{name}: its KL divergence from a density must be infinite",
    )

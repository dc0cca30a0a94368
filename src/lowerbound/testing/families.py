"""The laws of families."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence

from ..errors import ConfigError
from ..families import Family, FamilyWithHead, Normal
from ..sparse import DeferredLinear, SparseRows
from .heads import check_head, check_shared_draws
from .spec import DRAWS, check_spec, require, require_close

# Families
# ----------------------------------------------------------------------------------------------------------


def _has_density(family: Family) -> bool:
    """Whether there are data on [0, 1] that the family takes as a likelihood."""
    levels = (None, 2, getattr(family, "levels", 2))
    return any(family.refuses(0.0, 1.0, n) is None for n in levels)


def _values(
    family: Family, shape: Sequence[int], dtype: torch.dtype, scale: float = 1.0
) -> list[Tensor]:
    """Random parameters of a family, for a batch and event of this shape together."""
    per_element = [scale * torch.randn(tuple(shape), dtype=dtype) for _ in range(family.parameters)]
    return [*per_element, *(scale * torch.randn((), dtype=dtype) for _ in range(family.free))]


def _support(d: Distribution) -> Any:
    """Returns the support of a distribution; one that does not say is taken for one of reals."""
    try:
        support: Any = d.support
    except NotImplementedError:
        return constraints.real
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support


def _legendre(low: float, high: float, panels: int = 40, order: int = 20) -> tuple[Tensor, Tensor]:
    """Nodes and weights of a Gauss-Legendre rule on each of many panels."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    width = (high - low) / panels
    left = low + width * np.arange(panels)
    points = left[:, None] + width * (nodes + 1) / 2
    return torch.from_numpy(points.ravel()), torch.from_numpy(np.tile(weights * width / 2, panels))


def quadrature(d: Distribution, levels: int | None = None) -> tuple[Tensor, Tensor]:
    """Points (n, *batch, 1) and weights (n, *batch) that sum or integrate over the support of
    scalar events (1,).
    """
    support, shape = _support(d), (-1, *(1 for _ in d.batch_shape))
    if levels is not None or getattr(support, "is_discrete", False):
        require(
            levels is not None or type(support) is type(constraints.boolean),
            f"no sum over the support {support} is known",
        )
        points = torch.linspace(0, 1, levels or 2, dtype=torch.float64)
        weights = torch.ones_like(points)
    elif type(support) is type(constraints.real):
        t = torch.linspace(-8, 8, 6001, dtype=torch.float64).reshape(shape)
        quarters = (
            d.sample(torch.Size([1001]))
            .double()
            .squeeze(-1)
            .quantile(torch.tensor([0.25, 0.5, 0.75]).double(), dim=0)
        )
        spread = quarters[2] - quarters[0]
        return (quarters[1] + spread * t.sinh()).unsqueeze(-1), spread * t.cosh() * (16 / 6000)
    else:
        require(
            hasattr(support, "lower_bound"), f"no quadrature over the support {support} is known"
        )
        points, weights = _legendre(float(support.lower_bound), float(support.upper_bound))
    full = (len(points), *d.batch_shape)
    return points.reshape(shape).expand(full).unsqueeze(-1), weights.reshape(shape).expand(full)


def point_masses(d: Distribution, levels: int | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Points (n, *batch) of a scalar event and the probability that belongs to each."""
    points, weights = quadrature(d, levels)
    return points.squeeze(-1), d.log_prob(points.to(dtype)).double().exp() * weights


def _check_shapes(family: Family, dtype: torch.dtype) -> None:
    name = type(family).__name__
    for event in ((3,), (2, 4, 3)):
        d = family(_values(family, (5, *event), dtype), len(event))
        x = d.sample(torch.Size([7, 2]))
        require(
            d.batch_shape == (5,) and d.event_shape == event,
            f"{name}: batch {d.batch_shape}, event {d.event_shape}",
        )
        require(x.shape == (7, 2, 5, *event), f"{name}: a sample has shape {tuple(x.shape)}")
        require(
            d.log_prob(x).shape == (7, 2, 5),
            f"{name}: log_prob has shape {tuple(d.log_prob(x).shape)}, wanted (7, 2, 5)",
        )
        require(
            d.log_prob(x[0, 0]).shape == (5,),
            f"{name}: log_prob of one example each must have the shape of the batch",
        )
        require(d.mean.shape == (5, *event), f"{name}: mean has shape {tuple(d.mean.shape)}")
        require(
            x.dtype == d.mean.dtype == d.log_prob(x).dtype == dtype,
            f"{name}: the type {dtype} is not kept",
        )


def _learned(family: Family, dtype: torch.dtype) -> list[Tensor]:
    return [v.requires_grad_() for v in _values(family, (5, 3), dtype)[: family.parameters]] + [
        torch.zeros((), dtype=dtype, requires_grad=True) for _ in range(family.free)
    ]


def require_gradients(name: str, loss: Tensor, values: Sequence[Tensor]) -> None:
    loss.backward()
    for i, value in enumerate(values):
        require(
            value.grad is not None and value.grad.isfinite().all(),
            f"{name}: parameter {i} has no finite gradient",
        )
        require(
            value.grad is not None and (value.grad != 0).any(),
            f"{name}: no gradient reaches parameter {i}",
        )


def _check_gradients(family: Family, dtype: torch.dtype) -> None:
    name = type(family).__name__
    values = _learned(family, dtype)
    d = family(values, 1)
    if _has_density(family):
        require_gradients(f"{name}.log_prob", d.log_prob(d.sample()).sum(), values)
    if d.has_rsample:
        values = _learned(family, dtype)
        require_gradients(f"{name}.rsample", family(values, 1).rsample().sum(), values)


def _check_extremes(family: Family, dtype: torch.dtype) -> None:
    """A network may say anything: +-1e4 in any parameter must give a number, and a way back for the
    log-scales.
    """
    name, levels = type(family).__name__, getattr(family, "levels", None)
    count = family.parameters + family.free
    x = torch.tensor(
        [0.0, 1.0] if levels is None else [0.0, (levels // 2) / (levels - 1), 1.0], dtype=dtype
    )
    for signs in itertools.product((-1e4, 1e4), repeat=count):
        values = [torch.full((len(x), 1), s, dtype=dtype) for s in signs[: family.parameters]]
        values = [
            v.requires_grad_()
            for v in [*values, *(torch.tensor(s, dtype=dtype) for s in signs[family.parameters :])]
        ]
        log_prob = family(values, 1).log_prob(x.unsqueeze(-1))
        require(
            log_prob.isfinite().all(),
            f"{name}: log_prob is {log_prob.tolist()} at parameters {signs} in {dtype}",
        )
        log_prob.sum().backward()
        for i, value in enumerate(values):
            require(
                value.grad is not None and value.grad.isfinite().all(),
                f"{name}: parameter {i} has a gradient of NaN at {signs}",
            )
            alive = i == 0 or (value.grad is not None and (value.grad != 0).any())
            require(alive, f"{name}: the gradient of parameter {i} is dead at {signs} in {dtype}")


def _check_density(family: Family, dtype: torch.dtype, largest: float, tolerance: float) -> None:
    """Sums or integrates to one at ordinary and at large parameters, first and second in turn."""
    name, levels = type(family).__name__, getattr(family, "levels", None)
    grid = torch.tensor(
        [s * m for m in (0, 1e-3, 1, 5, largest) for s in (-1, 1)], dtype=dtype
    ).unsqueeze(-1)
    for place in range(family.parameters):
        values = [grid if i == place else torch.zeros_like(grid) for i in range(family.parameters)]
        d = family([*values, *(torch.zeros((), dtype=dtype) for _ in range(family.free))], 1)
        total = point_masses(d, levels, dtype)[1].sum(0)
        worst = int((total - 1).abs().argmax())
        where = f"{name}: probability of everything in {dtype} at parameter {place} = {grid[worst].item():g}"
        require_close(total, torch.ones_like(total), tolerance, where)


def _check_samples(family: Family) -> None:
    """Samples and log_prob tell of the same distribution, by its mean and its second moment, within
    5 standard errors.
    """
    name = type(family).__name__
    d = family(_values(family, (8, 1), torch.float64), 1)
    points, masses = point_masses(d, getattr(family, "levels", None), torch.float64)
    drawn = d.sample(torch.Size([DRAWS])).squeeze(-1)
    for power in (1, 2):
        expected = (points**power * masses).sum(0)
        error = ((points ** (2 * power) * masses).sum(0) - expected**2).clamp(
            min=0
        ).sqrt() / math.sqrt(DRAWS)
        off = ((drawn**power).mean(0) - expected).abs() / error.clamp(min=1e-9)
        require(
            off.max() < 5,
            f"{name}: moment {power} of the samples is {off.max():.1f} standard errors from "
            "log_prob's",
        )
    require_close(
        d.mean.squeeze(-1), (points * masses).sum(0), 1e-6, f"{name}: mean against log_prob"
    )


def _check_categories(family: Family) -> None:
    """Of a family of one draw among categories: the probabilities sum to one, and samples and mean
    have them.
    """
    name = type(family).__name__
    d = family(_values(family, (8, 6), torch.float64), 1)
    masses = d.log_prob(torch.eye(6).double().unsqueeze(1).expand(6, 8, 6)).exp().T
    require_close(masses.sum(1), torch.ones(8).double(), 1e-9, f"{name}: probability of everything")
    require_close(d.mean, masses, 1e-9, f"{name}: mean against log_prob")
    off = (d.sample(torch.Size([DRAWS])).mean(0) - masses).abs() / (
        masses * (1 - masses) / DRAWS
    ).sqrt()
    require(off.max() < 5, f"{name}: the samples are {off.max():.1f} standard errors from log_prob")


def _check_rows(family: Family) -> None:
    """What a family says of sparse rows is what it says of the same rows when they are dense, and
    so are the gradients.
    """
    h, weight, bias = (
        torch.randn(s).double().requires_grad_() for s in ((3, 5, 4), (30, 4), (30,))
    )
    free = [torch.randn(()).double() for _ in range(family.free)]
    try:
        sparse = family.of_rows(DeferredLinear(h, weight, bias), free)
    except ConfigError:
        return
    x = torch.bernoulli(torch.full((5, 30), 0.2)).double()
    x[0] = 0.0
    dense = family([torch.nn.functional.linear(h, weight, bias), *free], 1)
    got, expected = sparse.log_prob(SparseRows.of(csr_matrix(x.numpy()))), dense.log_prob(x)  # type: ignore[arg-type]
    require_close(
        got.detach(),
        expected.detach(),
        1e-9,
        f"{type(family).__name__}: log_prob of sparse rows against dense ones",
    )
    require_close(
        sparse.mean.detach(),
        dense.mean.detach(),
        1e-9,
        f"{type(family).__name__}: mean of sparse rows against dense ones",
    )
    factor = torch.randn_like(got)
    ours, theirs = (
        torch.autograd.grad((v * factor).sum(), (h, weight, bias)) for v in (got, expected)
    )
    for one, other in zip(ours, theirs, strict=True):
        require_close(
            one, other, 1e-8, f"{type(family).__name__}: gradient by sparse rows against dense ones"
        )


def _check_point(family: Family) -> None:
    """A family that no data can have as a likelihood is a point mass: infinitely far from any
    density.
    """
    name = type(family).__name__
    d = family(_values(family, (5, 3), torch.float64), 1)
    require(
        (d.sample(torch.Size([4])) == d.mean).all(), f"{name}: has no density, but its samples vary"
    )
    require(
        (d.log_prob(d.mean) == math.inf).all(), f"{name}: log_prob at the point must be infinite"
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


def check_family(family: Family, *, seed: int = 0) -> None:
    """Shapes, gradients, extreme parameters, normalisation, and samples against log_prob, in
    float32 and float64.
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
        for dtype in (torch.float64, torch.float32):
            _check_shapes(family, dtype)
            _check_gradients(family, dtype)
        if not _has_density(family):
            _check_point(family)
            return
        for dtype in (torch.float64, torch.float32):
            _check_extremes(family, dtype)
        _check_rows(family)
        if type(_support(family(_values(family, (5, 3), torch.float64), 1))) is type(
            constraints.one_hot
        ):
            _check_categories(family)
            return
        _check_samples(family)
        _check_density(family, torch.float64, 100.0, 1e-6)
        _check_density(family, torch.float32, 20.0, 5e-3)

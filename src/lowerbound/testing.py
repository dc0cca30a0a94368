"""Conformance checks: any part, of this package or of yours, can be run through them.

    from lowerbound.testing import check_family
    check_family(MyFamily())

Each check raises `AssertionError` with a line that says which law was broken. The package's own
tests run them over the whole catalogue, so that a new class is tested the day it exists. `truths`
are numbers that are known in closed form; the command `lowerbound doctor` compares this
installation with them.
"""

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal, constraints, kl_divergence

from .errors import ConfigError
from .evaluation import importance_log_likelihood
from .families import ContinuousBernoulli, DiscretizedLogistic, Family, Normal
from .latents import Chain
from .model import VAE, Terms, conditionals
from .networks import MLP
from .networks.base import Network
from .noise import Noise
from .objectives import Elbo, Iwae, Objective
from .priors import Prior, StandardNormal
from .schedules import Schedule
from .sparse import DeferredLinear, SparseRows
from .specs.registry import describe, from_mapping

TOLERANCE = 1e-6
"""What `truths` may be off by, in nats: they are computed in float64."""

DRAWS = 4000


def _require(condition: Any, message: str) -> None:
    if not bool(condition):
        raise AssertionError(message)


def _close(got: Tensor, expected: Tensor, tolerance: float, message: str) -> None:
    error = float((got - expected).abs().max())
    _require(error <= tolerance, f"{message}: off by {error:.3g}, allowed {tolerance:.3g}")


def check_spec(spec: Any) -> None:
    """A part is a frozen, hashable value that a recipe can hold: it comes back equal from its own
    description.
    """
    name = type(spec).__name__
    _require(dataclasses.is_dataclass(spec), f"{name} must be a dataclass")
    _require(
        spec == copy.deepcopy(spec) and hash(spec) == hash(copy.deepcopy(spec)),
        f"{name} must compare and hash by value",
    )
    for field in dataclasses.fields(spec):
        try:
            setattr(spec, field.name, getattr(spec, field.name))
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError(f"{name}.{field.name} can be assigned; the dataclass must be frozen")
    written = describe(spec)
    kept = copy.deepcopy(written)
    again = from_mapping(type(spec), {k: v for k, v in written.items() if k != "type"})
    _require(
        written["type"] == name and again == spec,
        f"{name} does not come back from its description: {spec} became {again}",
    )
    _require(
        written == kept, f"{name} changed the table that it was read from: {kept} became {written}"
    )


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
    support: Any = d.support
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


def _quadrature(d: Distribution, levels: int | None = None) -> tuple[Tensor, Tensor]:
    """Points (n, *batch, 1) and weights (n, *batch) that sum or integrate over the support of
    scalar events (1,).
    """
    support, shape = _support(d), (-1, *(1 for _ in d.batch_shape))
    if levels is not None or getattr(support, "is_discrete", False):
        _require(
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
        _require(
            hasattr(support, "lower_bound"), f"no quadrature over the support {support} is known"
        )
        points, weights = _legendre(float(support.lower_bound), float(support.upper_bound))
    full = (len(points), *d.batch_shape)
    return points.reshape(shape).expand(full).unsqueeze(-1), weights.reshape(shape).expand(full)


def _masses(d: Distribution, levels: int | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Points (n, *batch) of a scalar event and the probability that belongs to each."""
    points, weights = _quadrature(d, levels)
    return points.squeeze(-1), d.log_prob(points.to(dtype)).double().exp() * weights


def _check_shapes(family: Family, dtype: torch.dtype) -> None:
    name = type(family).__name__
    for event in ((3,), (2, 4, 3)):
        d = family(_values(family, (5, *event), dtype), len(event))
        x = d.sample(torch.Size([7, 2]))
        _require(
            d.batch_shape == (5,) and d.event_shape == event,
            f"{name}: batch {d.batch_shape}, event {d.event_shape}",
        )
        _require(x.shape == (7, 2, 5, *event), f"{name}: a sample has shape {tuple(x.shape)}")
        _require(
            d.log_prob(x).shape == (7, 2, 5),
            f"{name}: log_prob has shape {tuple(d.log_prob(x).shape)}, wanted (7, 2, 5)",
        )
        _require(
            d.log_prob(x[0, 0]).shape == (5,),
            f"{name}: log_prob of one example each must have the shape of the batch",
        )
        _require(d.mean.shape == (5, *event), f"{name}: mean has shape {tuple(d.mean.shape)}")
        _require(
            x.dtype == d.mean.dtype == d.log_prob(x).dtype == dtype,
            f"{name}: the type {dtype} is not kept",
        )


def _learned(family: Family, dtype: torch.dtype) -> list[Tensor]:
    return [v.requires_grad_() for v in _values(family, (5, 3), dtype)[: family.parameters]] + [
        torch.zeros((), dtype=dtype, requires_grad=True) for _ in range(family.free)
    ]


def _reaches(name: str, loss: Tensor, values: Sequence[Tensor]) -> None:
    loss.backward()
    for i, value in enumerate(values):
        _require(
            value.grad is not None and value.grad.isfinite().all(),
            f"{name}: parameter {i} has no finite gradient",
        )
        _require(
            value.grad is not None and (value.grad != 0).any(),
            f"{name}: no gradient reaches parameter {i}",
        )


def _check_gradients(family: Family, dtype: torch.dtype) -> None:
    name = type(family).__name__
    values = _learned(family, dtype)
    d = family(values, 1)
    if _has_density(family):
        _reaches(f"{name}.log_prob", d.log_prob(d.sample()).sum(), values)
    if d.has_rsample:
        values = _learned(family, dtype)
        _reaches(f"{name}.rsample", family(values, 1).rsample().sum(), values)


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
        _require(
            log_prob.isfinite().all(),
            f"{name}: log_prob is {log_prob.tolist()} at parameters {signs} in {dtype}",
        )
        log_prob.sum().backward()
        for i, value in enumerate(values):
            _require(
                value.grad is not None and value.grad.isfinite().all(),
                f"{name}: parameter {i} has a gradient of NaN at {signs}",
            )
            alive = i == 0 or (value.grad is not None and (value.grad != 0).any())
            _require(alive, f"{name}: the gradient of parameter {i} is dead at {signs} in {dtype}")


def _check_density(family: Family, dtype: torch.dtype, largest: float, tolerance: float) -> None:
    """Sums or integrates to one at ordinary and at large parameters, first and second in turn."""
    name, levels = type(family).__name__, getattr(family, "levels", None)
    grid = torch.tensor(
        [s * m for m in (0, 1e-3, 1, 5, largest) for s in (-1, 1)], dtype=dtype
    ).unsqueeze(-1)
    for place in range(family.parameters):
        values = [grid if i == place else torch.zeros_like(grid) for i in range(family.parameters)]
        d = family([*values, *(torch.zeros((), dtype=dtype) for _ in range(family.free))], 1)
        total = _masses(d, levels, dtype)[1].sum(0)
        worst = int((total - 1).abs().argmax())
        where = f"{name}: probability of everything in {dtype} at parameter {place} = {grid[worst].item():g}"
        _close(total, torch.ones_like(total), tolerance, where)


def _check_samples(family: Family) -> None:
    """Samples and log_prob tell of the same distribution, by its mean and its second moment, within
    5 standard errors.
    """
    name = type(family).__name__
    d = family(_values(family, (8, 1), torch.float64), 1)
    points, masses = _masses(d, getattr(family, "levels", None), torch.float64)
    drawn = d.sample(torch.Size([DRAWS])).squeeze(-1)
    for power in (1, 2):
        expected = (points**power * masses).sum(0)
        error = ((points ** (2 * power) * masses).sum(0) - expected**2).clamp(
            min=0
        ).sqrt() / math.sqrt(DRAWS)
        off = ((drawn**power).mean(0) - expected).abs() / error.clamp(min=1e-9)
        _require(
            off.max() < 5,
            f"{name}: moment {power} of the samples is {off.max():.1f} standard errors from "
            "log_prob's",
        )
    _close(d.mean.squeeze(-1), (points * masses).sum(0), 1e-6, f"{name}: mean against log_prob")


def _check_categories(family: Family) -> None:
    """Of a family of one draw among categories: the probabilities sum to one, and samples and mean
    have them.
    """
    name = type(family).__name__
    d = family(_values(family, (8, 6), torch.float64), 1)
    masses = d.log_prob(torch.eye(6).double().unsqueeze(1).expand(6, 8, 6)).exp().T
    _close(masses.sum(1), torch.ones(8).double(), 1e-9, f"{name}: probability of everything")
    _close(d.mean, masses, 1e-9, f"{name}: mean against log_prob")
    off = (d.sample(torch.Size([DRAWS])).mean(0) - masses).abs() / (
        masses * (1 - masses) / DRAWS
    ).sqrt()
    _require(
        off.max() < 5, f"{name}: the samples are {off.max():.1f} standard errors from log_prob"
    )


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
    _close(
        got.detach(),
        expected.detach(),
        1e-9,
        f"{type(family).__name__}: log_prob of sparse rows against dense ones",
    )
    _close(
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
        _close(
            one, other, 1e-8, f"{type(family).__name__}: gradient by sparse rows against dense ones"
        )


def _check_point(family: Family) -> None:
    """A family that no data can have as a likelihood is a point mass: infinitely far from any
    density.
    """
    name = type(family).__name__
    d = family(_values(family, (5, 3), torch.float64), 1)
    _require(
        (d.sample(torch.Size([4])) == d.mean).all(), f"{name}: has no density, but its samples vary"
    )
    _require(
        (d.log_prob(d.mean) == math.inf).all(), f"{name}: log_prob at the point must be infinite"
    )
    _require(
        (d.log_prob(d.mean + 1) == -math.inf).all(),
        f"{name}: log_prob off the point must be minus infinity",
    )
    prior = Normal(variance=1.0)((torch.zeros(3).double(),), 1)
    _require(
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


# Networks, noise, priors
# -------------------------------------------------------------------------------------------


def _saved(module: nn.Module) -> dict[str, Tensor]:
    """The weights of a module, as they come back from a safetensors file."""
    return load(save({key: value.contiguous() for key, value in module.state_dict().items()}))


def _check_module(
    name: str, build: Callable[[], nn.Module], x: Tensor, wanted: tuple[int, ...]
) -> None:
    """One module: shape, repeatability, examples apart from each other, gradient to every
    parameter, saved and loaded.
    """
    reached: dict[str, bool] = {}
    for _ in range(
        5
    ):  # one random start may have a dead unit; no start may leave a parameter outside
        module = build().double()
        out = module(x)
        _require(
            tuple(out.shape) == wanted,
            f"{name}: output has shape {tuple(out.shape)}, wanted {wanted}",
        )
        (out * torch.randn_like(out)).sum().backward()
        for key, p in module.named_parameters():
            _require(
                p.grad is None or p.grad.isfinite().all(),
                f"{name}: the gradient of {key} is not finite",
            )
            reached[key] = reached.get(key, False) or (
                p.grad is not None and bool((p.grad != 0).any())
            )
        if all(reached.values()):
            break
    dead = [key for key, alive in reached.items() if not alive]
    _require(not dead, f"{name}: no gradient reaches {', '.join(dead)}")
    with torch.no_grad():
        _require(torch.equal(module(x), out), f"{name}: two calls on the same input differ")
        _close(
            module(x[:1]),
            out[:1],
            1e-9,
            f"{name}: the output for an example depends on the others in its batch",
        )
        again = build().double()
        again.load_state_dict(_saved(module))
        _require(
            torch.equal(again(x), out),
            f"{name}: after saving and loading its weights the output differs",
        )


def _check_sparse(name: str, spec: Network, width: int, features: int, heads: int) -> None:
    """The encoder of sparse rows gives what it gives for the same rows when they are dense, where
    there is one.
    """
    try:
        module = spec.sparse_encoder(width, features, heads).double()
    except ConfigError:
        return
    x = torch.bernoulli(torch.full((5, width), 0.5)).double()
    got = module(SparseRows.of(csr_matrix(x.numpy())))
    _require(tuple(got.shape) == (5, features), f"{name}: output has shape {tuple(got.shape)}")
    _close(got.detach(), module(x).detach(), 1e-9, f"{name}: against dense rows")


def check_network(
    spec: Network, shape: tuple[int, ...], *, features: int = 6, seed: int = 0
) -> None:
    """Encoder and decoder for events of this shape, with one head and with two."""
    check_spec(spec)
    before = copy.deepcopy(spec)
    doubled = (2 * shape[0], *shape[1:])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x, z = torch.rand(3, *shape).double(), torch.randn(3, features).double()
        for heads in (1, 2):
            name = f"{type(spec).__name__} with {heads} head(s) for {shape}"
            _check_module(
                f"{name}, encoder",
                partial(spec.encoder, shape, features, heads),
                x,
                (3, features),
            )
            _check_module(
                f"{name}, decoder",
                partial(spec.decoder, features, doubled, heads),
                z,
                (3, *doubled),
            )
            if len(shape) == 1:
                _check_sparse(f"{name}, sparse encoder", spec, shape[0], features, heads)
    _require(
        spec == before, f"{type(spec).__name__} changed while it built: {before} became {spec}"
    )


def check_noise(noise: Noise, shape: tuple[int, ...] = (2, 4, 3), *, seed: int = 0) -> None:
    """Keeps shape and type, never writes on its input, and is silent and example by example outside
    training.
    """
    check_spec(noise)
    name = type(noise).__name__
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for dtype in (torch.float64, torch.float32):
            x = torch.rand(6, *shape, dtype=dtype)
            kept = x.clone()
            for training, given in itertools.product((True, False), (x, torch.zeros_like(x))):
                out = noise(given, training)
                _require(
                    out.shape == x.shape and out.dtype == dtype,
                    f"{name}: gave {tuple(out.shape)} of {out.dtype}",
                )
                _require(out.isfinite().all(), f"{name}: gave values that are not finite")
            _require(torch.equal(x, kept), f"{name}: wrote on its input, which is also the target")
            state = torch.get_rng_state()
            quiet = noise(x, False)
            _require(
                torch.equal(state, torch.get_rng_state()),
                f"{name}: draws random numbers outside training",
            )
            _require(
                torch.equal(noise(x, False), quiet), f"{name}: two calls outside training differ"
            )
            _close(
                noise(x[:1], False),
                quiet[:1],
                1e-6,
                f"{name}: an example depends on the others in its batch",
            )
        _check_noise_of_rows(noise)


def _check_noise_of_rows(noise: Noise) -> None:
    """Outside training sparse rows become what the same rows become when they are dense; the places
    are kept always.
    """
    name, x = type(noise).__name__, torch.bernoulli(torch.full((6, 20), 0.3)).double()
    rows = SparseRows.of(csr_matrix(x.numpy())).to(dtype=torch.float64)
    _close(
        noise(rows, False).dense(), noise(x, False), 1e-9, f"{name}: sparse rows against dense ones"
    )
    noisy = noise(rows, True)
    _require(
        torch.equal(noisy.columns, rows.columns) and noisy.values.isfinite().all(),
        f"{name}: entries were moved or lost",
    )
    _require(torch.equal(rows.dense(), x), f"{name}: wrote on its sparse input")


def check_prior(prior: Prior, *, size: int = 3, seed: int = 0) -> None:
    """Shapes, normalisation, samples against log_prob, gradients, and weights that can be saved."""
    check_spec(prior)
    name = type(prior).__name__
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        posterior = conditionals.encoder(MLP(()), Normal(), (4,), size)
        module = prior.build(size, posterior).double()
        d = module(None)
        z = d.sample(torch.Size([5, 4]))
        _require(
            d.batch_shape == () and d.event_shape == (size,),
            f"{name}: batch {d.batch_shape}, event {d.event_shape}",
        )
        _require(
            z.shape == (5, 4, size) and d.log_prob(z).shape == (5, 4),
            f"{name}: log_prob must have the shape of the batch",
        )
        _require(
            torch.equal(module().log_prob(z), d.log_prob(z)),
            f"{name}: forward() and forward(None) differ",
        )
        if parameters := [p for p in module.parameters() if p.requires_grad]:
            _reaches(f"{name}.log_prob", d.log_prob(z).square().sum(), parameters)
        again = prior.build(size, posterior).double()
        again.load_state_dict(_saved(module))
        _require(
            torch.equal(again(None).log_prob(z), d.log_prob(z)),
            f"{name}: after saving and loading it differs",
        )
        with torch.no_grad():
            line = prior.build(1, conditionals.encoder(MLP(()), Normal(), (4,), 1)).double()(None)
            points, masses = _masses(line, None, torch.float64)
            _close(masses.sum(), torch.ones(()).double(), 1e-6, f"{name}: integral of the density")
            drawn = line.sample(torch.Size([DRAWS])).squeeze(-1)
        for power in (1, 2):
            expected = (points**power * masses).sum(0)
            error = ((points ** (2 * power) * masses).sum(0) - expected**2).sqrt() / math.sqrt(
                DRAWS
            )
            off = float(((drawn**power).mean() - expected).abs() / error)
            _require(
                off < 5,
                f"{name}: moment {power} of the samples is {off:.1f} standard errors from "
                "log_prob's",
            )


# Objectives and schedules
# ------------------------------------------------------------------------------------------


def random_terms(samples: int = 4, batch: int = 6, levels: int = 2) -> Terms:
    """Terms as of some model, in float64: log-likelihoods below zero, rates above, and weights that
    agree in the mean.
    """
    log_likelihood = -10 - torch.rand(samples, batch).double()
    rate = 1 + torch.rand(samples, batch, levels).double()
    return Terms(
        log_likelihood, rate, log_likelihood - rate.sum(-1) + torch.randn(samples, batch).double()
    )


def _over(terms: Terms, change: Callable[[Tensor], Tensor]) -> Terms:
    return Terms(*(change(t) for t in terms if t is not None))


def check_objective(objective: Objective, *, seed: int = 0) -> None:
    """A mean over examples in nats: one nat more of log-likelihood is one nat less of loss; order
    and batch size are nothing.
    """
    check_spec(objective)
    name = type(objective).__name__
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        terms = random_terms()
    loss = objective(terms)
    _require(
        loss.shape == () and loss.isfinite(),
        f"{name}: the loss must be a finite scalar, got shape {tuple(loss.shape)}",
    )
    better = Terms(terms.log_likelihood + 1, terms.rate, terms.log_weight + 1)
    _close(
        objective(better),
        loss - 1,
        1e-9,
        f"{name}: one nat more of log p(x|z) must lower the loss by one nat",
    )
    _close(
        objective(_over(terms, lambda t: torch.cat([t, t], 1))),
        loss,
        1e-9,
        f"{name}: twice the same batch must give the same loss",
    )
    _close(
        objective(_over(terms, lambda t: t.flip(1))),
        loss,
        1e-9,
        f"{name}: the order of examples must not matter",
    )
    _close(
        objective(_over(terms, lambda t: t.flip(0))),
        loss,
        1e-9,
        f"{name}: the order of samples must not matter",
    )
    learned = _over(terms, lambda t: t.clone().requires_grad_())
    objective(learned).backward()
    grads = [t.grad for t in learned if t is not None and t.grad is not None]
    _require(
        grads and all(g.isfinite().all() for g in grads), f"{name}: the loss has no finite gradient"
    )
    _require(objective.kl in ("valid", "sampled", "everywhere"), f"{name}.kl is {objective.kl!r}")
    _require(isinstance(objective.bound, bool), f"{name}.bound must be true or false")
    _require(
        math.isfinite(objective.weight()),
        f"{name}.weight must be a finite number at the end of training",
    )
    _close(
        objective(terms, 10**15, 1),
        loss,
        1e-9,
        f"{name}: without a step the schedules must have come to their end",
    )


def check_schedule(schedule: Schedule, *, total: int = 1000) -> None:
    """A finite pure function of the step that comes to rest."""
    check_spec(schedule)
    name, steps = type(schedule).__name__, range(0, 2 * total, max(1, total // 50))
    forward = [schedule(step, total) for step in steps]
    backward = [schedule(step, total) for step in reversed(steps)]
    _require(
        all(isinstance(v, float) and math.isfinite(v) for v in forward),
        f"{name}: a value is no finite float",
    )
    _require(
        forward == backward[::-1],
        f"{name}: the value depends on what was asked before, not on the step alone",
    )
    _require(
        schedule(math.inf, total) == schedule(1e15, total),
        f"{name}: step = math.inf must give the value in the end",
    )


# Models whose log-likelihood is known
# ------------------------------------------------------------------------------


class Rows:
    """Rows of a tensor as examples that every measure of `lowerbound.evaluation` takes."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, index: slice, key: int = 0) -> Tensor:
        """The rows at `index`."""
        return self.values[index]


class LinearGaussian(NamedTuple):
    """A VAE that is a linear-Gaussian chain with its exact posteriors: x ~ N(mean, covariance) in
    closed form.
    """

    model: VAE
    mean: Tensor
    covariance: Tensor

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) of each row."""
        return MultivariateNormal(self.mean, self.covariance).log_prob(x)

    def sample(self, n: int) -> Tensor:
        """Rows of the marginal distribution."""
        return MultivariateNormal(self.mean, self.covariance).sample(torch.Size([n]))


def set_linear(module: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Give the only linear layer of `module` these weights."""
    (layer,) = (m for m in module.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def _posterior(inputs: int, weight: Tensor, bias: Tensor, variance: Tensor) -> nn.Module:
    """q = N(weight @ context + bias, diag(variance)), whatever the context."""
    size = len(bias)
    q = conditionals.encoder(MLP(()), Normal(), (inputs,), size).double()
    set_linear(q, torch.cat([weight, torch.zeros_like(weight)]), torch.cat([bias, variance.log()]))
    return q


def _linear(inputs: int, weight: Tensor, bias: Tensor, variance: float) -> nn.Module:
    """p = N(weight @ context + bias, variance I)."""
    p = conditionals.decoder(MLP(()), Normal(variance=variance), inputs, (len(bias),)).double()
    set_linear(p, weight, bias)
    return p


def linear_gaussian(
    levels: int = 1, size: int = 2, data: int = 5, noise: float = 0.3, seed: int = 0
) -> LinearGaussian:
    """A chain of `levels` whose dimensions do not mix, so that its exact posteriors are diagonal
    and can be written down.

    z_T ~ N(0, I), z_i = diag(a_i) z_{i+1} + b_i + N(0, v_i I), x = W z_1 + b + N(0, noise I) with
    orthogonal columns of W.
    """
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).double()

    slopes, shifts = (
        [draw(size) for _ in range(levels - 1)],
        [draw(size) for _ in range(levels - 1)],
    )
    variances = [0.3 + 0.4 * i for i in range(levels - 1)]
    means, spreads = (
        [torch.zeros(size).double()],
        [torch.ones(size).double()],
    )  # of p(z_i), from the top down
    for a, b, v in reversed(list(zip(slopes, shifts, variances, strict=True))):
        means.insert(0, a * means[0] + b)
        spreads.insert(0, a**2 * spreads[0] + v)
    w = torch.linalg.qr(draw(data, size))[0] * (1 + draw(size).abs())
    offset = draw(data)
    precision = 1 / spreads[0] + (w**2).sum(0) / noise
    posteriors = [
        _posterior(
            data,
            w.T / noise / precision[:, None],
            (means[0] / spreads[0] - w.T @ offset / noise) / precision,
            1 / precision,
        )
    ]
    for a, b, v, mean, spread in zip(
        slopes, shifts, variances, means[1:], spreads[1:], strict=True
    ):
        precision = 1 / spread + a**2 / v
        posteriors.append(
            _posterior(
                size,
                torch.diag(a / v / precision),
                (mean / spread - a * b / v) / precision,
                1 / precision,
            )
        )
    priors = [
        _linear(size, torch.diag(a), b, v)
        for a, b, v in zip(slopes, shifts, variances, strict=True)
    ]
    chain = Chain(posteriors, [*priors, StandardNormal().build(size).double()], [size] * levels)
    model = VAE(chain, _linear(size, w, offset, noise), (data,))
    covariance = w @ torch.diag(spreads[0]) @ w.T + noise * torch.eye(data).double()
    return LinearGaussian(model, w @ means[0] + offset, covariance)


def _exact_posterior(levels: int) -> float:
    truth = linear_gaussian(levels)
    x = truth.sample(8)
    return float(
        (truth.model.terms(x, samples=5).log_weight - truth.log_evidence(x)).abs().max().detach()
    )


def _measured_log_likelihood() -> float:
    truth = linear_gaussian()
    x = truth.sample(8)
    return abs(
        importance_log_likelihood(truth.model, Rows(x), samples=3).log_likelihood.value
        - float(truth.log_evidence(x).mean())
    )


def _closed_form_kl() -> float:
    q = Normal()((torch.tensor([0.7]).double(), torch.tensor([-1.2]).double()), 1)
    p = Normal(variance=1.0)((torch.zeros(1).double(),), 1)
    points, weights = _quadrature(q)
    log_q = q.log_prob(points)
    return float(
        (kl_divergence(q, p) - (log_q.exp() * (log_q - p.log_prob(points)) * weights).sum()).abs()
    )


def _sum_of_grid() -> float:
    d = DiscretizedLogistic()(
        (
            torch.tensor([-3.0, 0.0, 2.0]).double()[:, None],
            torch.tensor([-4.0, 0.0, 3.0]).double()[:, None],
        ),
        1,
    )
    return float((_masses(d, 256, torch.float64)[1].sum(0) - 1).abs().max())


def _integral_of_grey() -> float:
    d = ContinuousBernoulli()((torch.tensor([-12.0, 0.0, 1e-4, 3.0]).double()[:, None],), 1)
    return float((_masses(d, None, torch.float64)[1].sum(0) - 1).abs().max())


def _order_of_bounds() -> float:
    truth = linear_gaussian()
    set_linear(truth.model.get_submodule("latents.posteriors.0"), torch.zeros(4, 5), torch.zeros(4))
    terms = truth.model.terms(truth.sample(8), samples=16, kl="sampled")
    return float((Iwae()(terms) - Elbo(kl="sampled")(terms)).detach().clamp(min=0))


def _alone(truth: Callable[[], float]) -> Callable[[], float]:
    """The same number whenever it is asked for, and the caller's random stream untouched."""

    def measured() -> float:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return truth()

    return measured


def truths() -> dict[str, Callable[[], float]]:
    """What is known in closed form: a name -> a function that gives how far this installation is
    off, at most `TOLERANCE`.
    """
    found: dict[str, Callable[[], float]] = {
        "exact posterior: every log weight is log p(x)": lambda: _exact_posterior(1),
        "the same on a chain of three levels": lambda: _exact_posterior(3),
        "importance-sampled log p(x) of that model": _measured_log_likelihood,
        "closed-form KL against quadrature": _closed_form_kl,
        "DiscretizedLogistic sums to one": _sum_of_grid,
        "ContinuousBernoulli integrates to one": _integral_of_grey,
        "IWAE is not below the ELBO": _order_of_bounds,
    }
    return {name: _alone(truth) for name, truth in found.items()}

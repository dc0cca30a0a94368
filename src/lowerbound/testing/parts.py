"""The laws of networks, noise, objectives and schedules."""

import copy
import math
from collections.abc import Callable
from functools import partial
from inspect import signature

import torch
from safetensors.torch import load, save
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from ..errors import ConfigError
from ..model import Terms
from ..networks.base import Network
from ..noise import Noise
from ..objectives import Objective
from ..schedules import Schedule
from ..sparse import RowsBeside, SparseRows
from .spec import check_spec, require, require_close, require_shape

STARTS = 5
"""Random starts of a module within which a gradient must reach each parameter."""


def saved_and_loaded(module: nn.Module) -> dict[str, Tensor]:
    """Returns the weights of a module as they come back from a safetensors file."""
    weights = {key: value.contiguous() for key, value in module.state_dict().items()}
    return load(save(weights))


def check_network(
    spec: Network, shape: tuple[int, ...], *, features: int = 6, seed: int = 0
) -> None:
    """Checks the encoder and the decoder of a network for events of this shape.

    With one head and with two, the laws are: the output has the promised shape and is repeatable;
    examples do not depend on each other; gradients reach every parameter; saved weights give the
    same output; sparse rows give what the same dense rows give; building changes nothing.

    Raises:
        AssertionError: says which law was broken.
    """
    check_spec(spec)
    before = copy.deepcopy(spec)
    doubled = (2 * shape[0], *shape[1:])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x = torch.rand(3, *shape).double()
        z = torch.randn(3, features).double()
        for heads in (1, 2):
            name = f"{type(spec).__name__} with {heads} head(s) for {shape}"
            encoder = partial(spec.encoder, shape, features, heads)
            _check_module(f"{name}, encoder", encoder, x, (3, features))
            decoder = partial(spec.decoder, features, doubled, heads)
            _check_module(f"{name}, decoder", decoder, z, (3, *doubled))
            if len(shape) == 1:
                _check_sparse(f"{name}, sparse encoder", spec, shape[0], features, heads)
    require(spec == before, f"{type(spec).__name__} changed while it built: {before} became {spec}")


def _check_module(
    name: str, build: Callable[[], nn.Module], x: Tensor, wanted: tuple[int, ...]
) -> None:
    """Checks one module that makes an output of the `wanted` shape of a batch."""
    reached: dict[str, bool] = {}
    # One random start may have a dead unit; no start may leave a parameter outside.
    for _ in range(STARTS):
        module = build().double()
        out = module(x)
        require_shape(f"{name}: output", out, wanted)
        (out * torch.randn_like(out)).sum().backward()
        for key, parameter in module.named_parameters():
            gradient = parameter.grad
            reached.setdefault(key, False)
            if gradient is not None:
                require(gradient.isfinite().all(), f"{name}: the gradient of {key} is not finite")
                reached[key] |= bool((gradient != 0).any())
        if all(reached.values()):
            break
    dead = [key for key, is_reached in reached.items() if not is_reached]
    require(not dead, f"{name}: no gradient reaches {', '.join(dead)}")
    with torch.no_grad():
        require(torch.equal(module(x), out), f"{name}: two calls on the same input differ")
        require_close(
            module(x[:1]),
            out[:1],
            1e-9,
            f"{name}: the output for an example depends on the others in its batch",
        )
        again = build().double()
        again.load_state_dict(saved_and_loaded(module))
        require(
            torch.equal(again(x), out),
            f"{name}: after saving and loading its weights the output differs",
        )


def _check_sparse(name: str, spec: Network, width: int, features: int, heads: int) -> None:
    """Checks that the encoder of sparse rows, if there is one, gives what dense rows give."""
    try:
        module = spec.sparse_encoder(width, features, heads).double()
    except ConfigError:
        return
    x = torch.bernoulli(torch.full((5, width), 0.5)).double()
    out = module(SparseRows.of(csr_matrix(x.numpy()))).detach()
    require_shape(f"{name}: output", out, (5, features))
    require_close(out, module(x).detach(), 1e-9, f"{name}: against dense rows")
    if "beside" in signature(spec.sparse_encoder).parameters:
        _check_beside(name, spec, x, features, heads)


def _check_beside(name: str, spec: Network, x: Tensor, features: int, heads: int) -> None:
    """Checks the encoder of sparse rows with numbers beside them: it sees these, and zeros of them
    are as good as none.
    """
    width = x.shape[1]
    torch.manual_seed(0)
    alone = spec.sparse_encoder(width, features, heads).double()
    module = spec.sparse_encoder(width, features, heads, beside=3).double()
    rows = SparseRows.of(csr_matrix(x.numpy()))
    beside = torch.randn(len(x), 3).double()
    out = module(RowsBeside(rows, beside)).detach()
    require_shape(f"{name}: output beside numbers", out, (len(x), features))
    dense = module(RowsBeside(x, beside)).detach()
    require_close(out, dense, 1e-9, f"{name}: with numbers beside, against dense rows")
    require_close(
        module(RowsBeside(x[:1], beside[:1])).detach(),
        out[:1],
        1e-9,
        f"{name}: with numbers beside, an example depends on the others in its batch",
    )
    nothing = module(RowsBeside(rows, torch.zeros_like(beside))).detach()
    require(not torch.equal(nothing, out), f"{name}: does not see the numbers beside its rows")
    shared = {key: value for key, value in module.state_dict().items() if key in alone.state_dict()}
    alone.load_state_dict(shared)
    require_close(
        nothing, alone(rows).detach(), 1e-9, f"{name}: zeros beside its rows change its output"
    )


def check_noise(noise: Noise, shape: tuple[int, ...] = (2, 4, 3), *, seed: int = 0) -> None:
    """Checks a noise on dense examples of this shape and on sparse rows.

    The laws: it keeps shape and type; its values are finite; it never writes on its input, which is
    also the target; outside training it draws nothing, is repeatable, and treats each example by
    itself; sparse rows become what the same dense rows become, and keep their places in training.

    Raises:
        AssertionError: says which law was broken.
    """
    check_spec(noise)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for dtype in (torch.float64, torch.float32):
            x = torch.rand(6, *shape, dtype=dtype)
            before = x.clone()
            for training in (True, False):
                _check_noisy(noise, x, training)
                _check_noisy(noise, torch.zeros_like(x), training)
            require(
                torch.equal(x, before),
                f"{type(noise).__name__}: wrote on its input, which is also the target",
            )
            _check_evaluation(noise, x)
        _check_noise_of_rows(noise)


def _check_noisy(noise: Noise, x: Tensor, training: bool) -> None:
    """Checks the shape, the type and the values of one output."""
    name = type(noise).__name__
    out = noise(x, training)
    require(
        out.shape == x.shape and out.dtype == x.dtype,
        f"{name}: gave {tuple(out.shape)} of {out.dtype}",
    )
    require(out.isfinite().all(), f"{name}: gave values that are not finite")


def _check_evaluation(noise: Noise, x: Tensor) -> None:
    """Checks that nothing is random outside training, where each example stands by itself."""
    name = type(noise).__name__
    state = torch.get_rng_state()
    out = noise(x, False)
    require(
        torch.equal(state, torch.get_rng_state()),
        f"{name}: draws random numbers outside training",
    )
    require(torch.equal(noise(x, False), out), f"{name}: two calls outside training differ")
    require_close(
        noise(x[:1], False),
        out[:1],
        1e-6,
        f"{name}: an example depends on the others in its batch",
    )


def _check_noise_of_rows(noise: Noise) -> None:
    """Checks sparse rows: equal to dense ones outside training, in the same places always."""
    name = type(noise).__name__
    x = torch.bernoulli(torch.full((6, 20), 0.3)).double()
    rows = SparseRows.of(csr_matrix(x.numpy())).to(dtype=torch.float64)
    quiet = noise(rows, False).dense()
    require_close(quiet, noise(x, False), 1e-9, f"{name}: sparse rows against dense ones")
    noisy = noise(rows, True)
    require(
        torch.equal(noisy.columns, rows.columns) and noisy.values.isfinite().all(),
        f"{name}: entries were moved or lost",
    )
    require(torch.equal(rows.dense(), x), f"{name}: wrote on its sparse input")


def random_terms(samples: int = 4, batch: int = 6, levels: int = 2) -> Terms:
    """Draws terms as some model could give them, in float64.

    Log-likelihoods are below zero and rates above; the weights agree with both in the mean.
    """
    log_likelihood = -10 - torch.rand(samples, batch).double()
    rate = 1 + torch.rand(samples, batch, levels).double()
    noise = torch.randn(samples, batch).double()
    return Terms(log_likelihood, rate, log_likelihood - rate.sum(-1) + noise)


def check_objective(objective: Objective, *, seed: int = 0) -> None:
    """Checks that an objective is a mean over examples in nats.

    The laws: the loss is a finite scalar with finite gradients; one nat more of log-likelihood is
    one nat less of loss; the size of the batch, the order of examples and the order of samples do
    not matter; where it says that it is a mean over examples it is one; its settings are known;
    without a step its schedules are at their end.

    Raises:
        AssertionError: says which law was broken.
    """
    check_spec(objective)
    name = type(objective).__name__
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        terms = random_terms()
    loss = objective(terms)
    require(
        loss.shape == () and loss.isfinite(),
        f"{name}: the loss must be a finite scalar, got shape {tuple(loss.shape)}",
    )
    _check_mean(objective, terms, loss)
    _check_mean_of_parts(objective, terms)
    leaves = terms.map(lambda t: t.clone().requires_grad_())
    objective(leaves).backward()
    gradients = []
    for leaf in leaves.known().values():
        if leaf.grad is not None:
            gradients.append(leaf.grad)
    require(
        gradients and all(gradient.isfinite().all() for gradient in gradients),
        f"{name}: the loss has no finite gradient",
    )
    require(objective.kl in ("valid", "sampled", "everywhere"), f"{name}.kl is {objective.kl!r}")
    require(isinstance(objective.has_bound, bool), f"{name}.has_bound must be true or false")
    require(
        math.isfinite(objective.weight()),
        f"{name}.weight must be a finite number at the end of training",
    )
    require_close(
        objective(terms, 10**15, 1),
        loss,
        1e-9,
        f"{name}: without a step the schedules must have come to their end",
    )


def _check_mean_of_parts(objective: Objective, terms: Terms) -> None:
    """Checks that an objective that says it is a mean over examples is one."""
    examples = terms.log_weight.shape[1]
    for step in (0, math.inf):
        if not objective.is_mean(step):
            continue
        total = torch.zeros(())
        for rows in (slice(0, 1), slice(1, examples)):
            part = terms.map(lambda values, rows=rows: values[:, rows])  # type: ignore[misc]
            total = total + objective(part, step) * part.log_weight.shape[1] / examples
        require_close(
            total,
            objective(terms, step),
            1e-6,
            f"{type(objective).__name__}: is_mean is true, but the loss of a batch is not the mean "
            "of those of its parts",
        )


def _check_mean(objective: Objective, terms: Terms, loss: Tensor) -> None:
    """Checks that the loss is a mean over examples, in nats of the likelihood."""
    name = type(objective).__name__
    better = terms._replace(
        log_likelihood=terms.log_likelihood + 1,
        log_weight=terms.log_weight + 1,
    )
    require_close(
        objective(better),
        loss - 1,
        1e-9,
        f"{name}: one nat more of log p(x|z) must lower the loss by one nat",
    )
    twice = terms.map(lambda t: torch.cat([t, t], 1))
    require_close(
        objective(twice), loss, 1e-9, f"{name}: twice the same batch must give the same loss"
    )
    other_examples = terms.map(lambda t: t.flip(1))
    require_close(
        objective(other_examples), loss, 1e-9, f"{name}: the order of examples must not matter"
    )
    other_samples = terms.map(lambda t: t.flip(0))
    require_close(
        objective(other_samples), loss, 1e-9, f"{name}: the order of samples must not matter"
    )


def check_schedule(schedule: Schedule, *, total: int = 1000) -> None:
    """Checks that a schedule is a finite pure function of the step that comes to rest.

    Raises:
        AssertionError: says which law was broken.
    """
    check_spec(schedule)
    name = type(schedule).__name__
    steps = range(0, 2 * total, max(1, total // 50))
    forward = [schedule(step, total) for step in steps]
    backward = [schedule(step, total) for step in reversed(steps)]
    for value in forward:
        is_number = isinstance(value, float) and math.isfinite(value)
        require(is_number, f"{name}: a value is no finite float")
    require(
        forward == backward[::-1],
        f"{name}: the value depends on what was asked before, not on the step alone",
    )
    require(
        schedule(math.inf, total) == schedule(1e15, total),
        f"{name}: step = math.inf must give the value in the end",
    )

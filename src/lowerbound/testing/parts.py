"""The laws of networks, noise, priors, objectives and schedules."""

import copy
import itertools
import math
from collections.abc import Callable
from functools import partial

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
from ..sparse import SparseRows
from .spec import check_spec, require, require_close

# Networks, noise, priors
# -------------------------------------------------------------------------------------------


def saved_and_loaded(module: nn.Module) -> dict[str, Tensor]:
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
        require(
            tuple(out.shape) == wanted,
            f"{name}: output has shape {tuple(out.shape)}, wanted {wanted}",
        )
        (out * torch.randn_like(out)).sum().backward()
        for key, p in module.named_parameters():
            require(
                p.grad is None or p.grad.isfinite().all(),
                f"{name}: the gradient of {key} is not finite",
            )
            reached[key] = reached.get(key, False) or (
                p.grad is not None and bool((p.grad != 0).any())
            )
        if all(reached.values()):
            break
    dead = [key for key, alive in reached.items() if not alive]
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
    """The encoder of sparse rows gives what it gives for the same rows when they are dense, where
    there is one.
    """
    try:
        module = spec.sparse_encoder(width, features, heads).double()
    except ConfigError:
        return
    x = torch.bernoulli(torch.full((5, width), 0.5)).double()
    got = module(SparseRows.of(csr_matrix(x.numpy())))
    require(tuple(got.shape) == (5, features), f"{name}: output has shape {tuple(got.shape)}")
    require_close(got.detach(), module(x).detach(), 1e-9, f"{name}: against dense rows")


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
    require(spec == before, f"{type(spec).__name__} changed while it built: {before} became {spec}")


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
                require(
                    out.shape == x.shape and out.dtype == dtype,
                    f"{name}: gave {tuple(out.shape)} of {out.dtype}",
                )
                require(out.isfinite().all(), f"{name}: gave values that are not finite")
            require(torch.equal(x, kept), f"{name}: wrote on its input, which is also the target")
            state = torch.get_rng_state()
            quiet = noise(x, False)
            require(
                torch.equal(state, torch.get_rng_state()),
                f"{name}: draws random numbers outside training",
            )
            require(
                torch.equal(noise(x, False), quiet), f"{name}: two calls outside training differ"
            )
            require_close(
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
    require_close(
        noise(rows, False).dense(), noise(x, False), 1e-9, f"{name}: sparse rows against dense ones"
    )
    noisy = noise(rows, True)
    require(
        torch.equal(noisy.columns, rows.columns) and noisy.values.isfinite().all(),
        f"{name}: entries were moved or lost",
    )
    require(torch.equal(rows.dense(), x), f"{name}: wrote on its sparse input")


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
    require(
        loss.shape == () and loss.isfinite(),
        f"{name}: the loss must be a finite scalar, got shape {tuple(loss.shape)}",
    )
    better = Terms(terms.log_likelihood + 1, terms.rate, terms.log_weight + 1)
    require_close(
        objective(better),
        loss - 1,
        1e-9,
        f"{name}: one nat more of log p(x|z) must lower the loss by one nat",
    )
    require_close(
        objective(_over(terms, lambda t: torch.cat([t, t], 1))),
        loss,
        1e-9,
        f"{name}: twice the same batch must give the same loss",
    )
    require_close(
        objective(_over(terms, lambda t: t.flip(1))),
        loss,
        1e-9,
        f"{name}: the order of examples must not matter",
    )
    require_close(
        objective(_over(terms, lambda t: t.flip(0))),
        loss,
        1e-9,
        f"{name}: the order of samples must not matter",
    )
    learned = _over(terms, lambda t: t.clone().requires_grad_())
    objective(learned).backward()
    grads = [t.grad for t in learned if t is not None and t.grad is not None]
    require(
        grads and all(g.isfinite().all() for g in grads), f"{name}: the loss has no finite gradient"
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


def check_schedule(schedule: Schedule, *, total: int = 1000) -> None:
    """A finite pure function of the step that comes to rest."""
    check_spec(schedule)
    name, steps = type(schedule).__name__, range(0, 2 * total, max(1, total // 50))
    forward = [schedule(step, total) for step in steps]
    backward = [schedule(step, total) for step in reversed(steps)]
    require(
        all(isinstance(v, float) and math.isfinite(v) for v in forward),
        f"{name}: a value is no finite float",
    )
    require(
        forward == backward[::-1],
        f"{name}: the value depends on what was asked before, not on the step alone",
    )
    require(
        schedule(math.inf, total) == schedule(1e15, total),
        f"{name}: step = math.inf must give the value in the end",
    )

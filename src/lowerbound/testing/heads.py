"""The laws of families that own modules, such as flows, and of draws that processes share."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..distributed.processes import Share, noise_of
from ..families import Family, FamilyWithHead, Place
from ..latents import code, draw
from .quadrature import check_moments, check_total, point_masses
from .spec import DRAWS, moved, require, require_close, require_shape

EVENT = (3,)
"""The shape of the events that the checks use."""


def check_head(family: FamilyWithHead) -> None:
    """Checks the distributions that the head of a family makes of features.

    The laws: batch, event, samples and densities have the promised shapes; densities are finite.
    Where draws carry gradients, these reach the features and every weight, log q of the draw is
    that of the value, and there is a point that stands for the distribution. Elsewhere the
    gradients of the density reach them. Of a family with `levels`, the probabilities of the values
    on the grid sum to one, and samples and mean agree with them.

    Raises:
        AssertionError: says which law was broken.
    """
    name = type(family).__name__
    head = moved(family.head(Place(EVENT, (4,))).double())
    for batch_shape in ((5,), (2, 5)):
        shape = (*batch_shape, *family.features(EVENT))
        features = torch.randn(shape).double().requires_grad_()
        d = head(features)
        require(
            d.batch_shape == batch_shape and d.event_shape == EVENT,
            f"{name}: batch {tuple(d.batch_shape)}, event {tuple(d.event_shape)}",
        )
        x = d.sample(torch.Size([7]))
        require_shape(f"{name}: a sample", x, (7, *batch_shape, *EVENT))
        log_prob = d.log_prob(x)
        require_shape(f"{name}: log_prob", log_prob, (7, *batch_shape))
        require(log_prob.isfinite().all(), f"{name}: log_prob of a sample is not finite")
        if family.reparameterised:
            _check_draws(name, head, d, features)
        else:
            _check_reach(f"{name}: no gradient of log_prob", log_prob.sum(), head, features)
    levels = getattr(family, "levels", None)
    if levels is not None:
        _check_levels(family, levels)


def _check_levels(family: FamilyWithHead, levels: int) -> None:
    """Checks the probabilities of the values of a grid, and the samples and the mean of them."""
    name = type(family).__name__
    event = (1,)
    head = family.head(Place(event, (4,))).double()
    for size in (0.3, 1.0, 10.0, 100.0):
        d = head(size * torch.randn(8, *family.features(event)).double())
        points, masses = point_masses(d, levels, torch.float64)
        check_total(f"{name}: probability of everything at features of {size}", masses, 1e-9)
        mean = (points * masses).sum(0)
        require_close(d.mean.squeeze(-1), mean, 1e-6, f"{name}: mean against log_prob")
        if size < 1:  # a value that is drawn once in many times has no standard error
            samples = d.sample(torch.Size([DRAWS])).squeeze(-1)
            check_moments(name, samples, points, masses)


def _check_draws(name: str, head: nn.Module, d: Distribution, features: Tensor) -> None:
    """Checks the draws of a posterior and the point that stands for it."""
    z, log_q = draw(d, torch.Size([7]))
    if log_q is not None:
        expected = d.log_prob(z).detach()
        where = f"{name}: log q of the draw against log q of the value"
        require_close(log_q.detach(), expected, 1e-6, where)
    require_shape(f"{name}: its code", code(d), tuple(z.shape[1:]))
    _check_reach(f"{name}: no gradient of a draw", z.square().sum(), head, features)


def _check_reach(what: str, loss: Tensor, head: nn.Module, features: Tensor) -> None:
    """Checks that a loss depends on the features and on each weight of a head."""
    weights = {}
    for key, parameter in head.named_parameters():
        if parameter.requires_grad:
            weights[key] = parameter
    leaves = [features, *weights.values()]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    for key, gradient in zip(["the features", *weights], gradients, strict=True):
        require(gradient is not None, f"{what} reaches {key}")


def check_shared_draws(family: Family) -> None:
    """Checks that the draws of one of several processes are its rows of the whole batch's.

    Raises:
        AssertionError: the process draws noise of its own.
    """
    batch_size = 5
    share = Share(rank=1, world=2, whole=batch_size)
    head = family.head(Place(EVENT, (4,)))
    shapes: list[tuple[int, ...]] = [(batch_size, *EVENT)] * family.parameters
    if head is not None:
        head = moved(head.double())
        shapes = [(batch_size, *family.features(EVENT))]
    values = [torch.randn(shape).double() for shape in shapes]
    free = [torch.randn(()).double() for _ in range(family.free)]

    def draw_rows(rows: Tensor) -> Tensor:
        torch.manual_seed(7)
        chosen = [value[rows] for value in values]
        if head is None:
            return draw(family([*chosen, *free], len(EVENT)), torch.Size([4]))[0]
        return draw(head(*chosen), torch.Size([4]))[0]

    with torch.no_grad():
        all_draws = draw_rows(torch.arange(batch_size))
        with noise_of(share):
            draws = draw_rows(share.rows)
    require_close(
        draws,
        all_draws[:, share.rows],
        1e-9,
        f"{type(family).__name__}: the draws of a process against those of the whole batch; a "
        "posterior draws its noise by distributed.processes.draw_shared",
    )

"""The laws of families that own modules, such as flows."""

import torch
from torch import Tensor

from ..distributed.processes import Share, noise_of
from ..families import Family, FamilyWithHead, Place
from ..latents import code, draw
from .spec import require, require_close

_EVENT = (3,)
"""The shape of the events of the checks."""


def check_head(family: FamilyWithHead) -> None:
    """Checks that a head gives distributions of the shapes that a model wants.

    Where draws carry gradients it also checks that they reach the features and the weights, that
    log q of the draw is that of the value, and that there is a point that stands for it.
    """
    name = type(family).__name__
    features = family.features(_EVENT)
    head = family.head(Place(_EVENT, (4,))).double()
    for batch_shape in ((5,), (2, 5)):
        values = torch.randn(*batch_shape, *features).double().requires_grad_()
        d = head(values)
        require(
            d.batch_shape == batch_shape and d.event_shape == _EVENT,
            f"{name}: batch {tuple(d.batch_shape)}, event {tuple(d.event_shape)}",
        )
        x = d.sample(torch.Size([7]))
        require(x.shape == (7, *batch_shape, *_EVENT), f"{name}: a sample has {tuple(x.shape)}")
        log_prob = d.log_prob(x)
        require(
            log_prob.shape == (7, *batch_shape), f"{name}: log_prob has {tuple(log_prob.shape)}"
        )
        require(log_prob.isfinite().all(), f"{name}: log_prob of a sample is not finite")
        if family.reparameterised:
            _check_draws(name, head, d, values)


def _check_draws(name: str, head: torch.nn.Module, d: object, features: Tensor) -> None:
    z, log_q = draw(d, torch.Size([7]))
    if log_q is not None:
        require_close(
            log_q.detach(),
            d.log_prob(z).detach(),  # type: ignore[attr-defined]
            1e-6,
            f"{name}: log q of the draw against log q of the value",
        )
    require(code(d).shape == z.shape[1:], f"{name}: its code has shape {tuple(code(d).shape)}")
    weights = [p for p in head.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(z.square().sum(), [features, *weights], allow_unused=True)
    require(gradients[0] is not None, f"{name}: no gradient of a draw reaches the features")


def check_shared_draws(family: Family) -> None:
    """Checks that the draws of one of several processes are its rows of the whole batch's."""
    name = type(family).__name__
    whole = 5
    share = Share(rank=1, world=2, whole=whole)
    head = None
    if isinstance(family, FamilyWithHead):
        head = family.head(Place(_EVENT, (4,))).double()
        shapes = [(whole, *family.features(_EVENT))]
    else:
        shapes = [(whole, *_EVENT)] * family.parameters
    values = [torch.randn(shape).double() for shape in shapes]
    free = [torch.randn(()).double() for _ in range(family.free)]

    def sample(rows: Tensor) -> Tensor:
        torch.manual_seed(7)
        if head is not None:
            return draw(head(values[0][rows]), torch.Size([4]))[0].detach()
        q = family([*(value[rows] for value in values), *free], len(_EVENT))
        return draw(q, torch.Size([4]))[0].detach()

    everyone = sample(torch.arange(whole))
    with noise_of(share):
        own = sample(share.rows)
    require_close(
        own,
        everyone[:, share.rows],
        1e-9,
        f"{name}: the draws of a process against those of the whole batch; a posterior draws its "
        "noise by distributed.processes.draw_shared",
    )

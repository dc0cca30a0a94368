"""The laws of latent variables: what every topology of levels keeps, a chain or one of yours."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..batch import Batch
from ..distributed.processes import Share, noise_of
from ..latents import Inference, Latents, log_posterior
from .spec import require, require_close

SAMPLES = 3
"""The draws of each example that the checks make."""


def _point(d: Distribution) -> Tensor:
    """Returns a fixed point to look at a distribution from, of the shape of its events."""
    return torch.linspace(-1, 1, d.event_shape[0], dtype=torch.float64).expand(
        *d.batch_shape, *d.event_shape
    )


def _densities(d: Distribution) -> Tensor:
    """Returns the log density at a fixed point, by which a change of the distribution shows."""
    return d.log_prob(_point(d)).detach()


def _check_shapes(name: str, latents: Latents, inference: Inference, size: int) -> None:
    require(
        len(inference.levels) == len(latents.sizes),
        f"{name}: infer gave {len(inference.levels)} levels, sizes has {len(latents.sizes)}",
    )
    for i, (level, width) in enumerate(zip(inference.levels, latents.sizes, strict=True)):
        where = f"{name}, level {i}"
        wanted = (SAMPLES, size, width)
        require(level.z.shape == wanted, f"{where}: z has shape {tuple(level.z.shape)}")
        require(level.q.event_shape == (width,), f"{where}: q has events {level.q.event_shape}")
        require(level.p.event_shape == (width,), f"{where}: p has events {level.p.event_shape}")
        log_q = log_posterior(level)
        require(log_q.shape == wanted[:2], f"{where}: log q has shape {tuple(log_q.shape)}")
        require_close(
            log_q.detach(),
            level.q.log_prob(level.z).detach(),
            1e-6,
            f"{where}: log q of the draw against log q of the value",
        )
    context = (SAMPLES, size, *latents.context_shape)
    require(
        inference.context.shape == context,
        f"{name}: the context has shape {tuple(inference.context.shape)}, wanted {context}",
    )


def _check_given_values(name: str, latents: Latents, batch: Batch, inference: Inference) -> None:
    """At the values that were drawn the levels are those that were inferred; nothing is drawn."""
    zs = [level.z for level in inference.levels]
    state = torch.get_rng_state()
    again = latents.at(batch, zs)
    priors = latents.priors_at(zs, batch)
    require(torch.equal(state, torch.get_rng_state()), f"{name}: at or priors_at draws")
    for i, (level, other) in enumerate(zip(inference.levels, again.levels, strict=True)):
        where = f"{name}, level {i}, at the values that were drawn"
        ours = (_densities(level.q), _densities(level.p))
        theirs = (_densities(other.q), _densities(other.p))
        require_close(theirs[0], ours[0], 1e-9, f"{where}: the posterior")
        require_close(theirs[1], ours[1], 1e-9, f"{where}: the prior")
        p = _densities(priors.distributions[i])
        require_close(p, ours[1], 1e-9, f"{where}: the prior of priors_at")
    require_close(
        again.context.detach(), inference.context.detach(), 1e-9, f"{name}: the context of at"
    )
    require_close(
        priors.context.detach(),
        inference.context.detach(),
        1e-9,
        f"{name}: the context of priors_at",
    )


def _parents(latents: Latents, batch: Batch, zs: list[Tensor]) -> list[tuple[set[int], set[int]]]:
    """Finds the levels on which the posterior and the prior of each level depend."""
    before = latents.at(batch, zs).levels
    parents: list[tuple[set[int], set[int]]] = [(set(), set()) for _ in zs]
    for moved in range(len(zs)):
        others = list(zs)
        others[moved] = zs[moved] + 1
        after = latents.at(batch, others).levels
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            if not torch.equal(_densities(old.q), _densities(new.q)):
                parents[i][0].add(moved)
            if not torch.equal(_densities(old.p), _densities(new.p)):
                parents[i][1].add(moved)
    return parents


def _check_shared(name: str, latents: Latents, batch: Batch, inference: Inference) -> None:
    """A level is `shared` exactly where all parents of its prior are parents of its posterior.

    Only then is KL(q || p) at the drawn parents an unbiased estimate of the rate.
    """
    zs = [level.z.detach() for level in inference.levels]
    for i, (of_posterior, of_prior) in enumerate(_parents(latents, batch, zs)):
        may_share = of_prior <= of_posterior
        require(
            inference.levels[i].shared == may_share,
            f"{name}, level {i}: shared is {inference.levels[i].shared}, but the prior depends on "
            f"the levels {sorted(of_prior)} and the posterior on {sorted(of_posterior)}",
        )


def _check_share(name: str, latents: Latents, batch: Batch, seed: int) -> None:
    """The draws of one of several processes are the rows that one process would have drawn."""
    torch.manual_seed(seed)
    whole = latents.infer(batch, SAMPLES)
    share = Share(rank=1, world=2, whole=len(batch))
    torch.manual_seed(seed)
    with noise_of(share):
        own = latents.infer(batch.take(share.rows), SAMPLES)
    for i, (level, all_draws) in enumerate(zip(own.levels, whole.levels, strict=True)):
        require_close(
            level.z.detach(),
            all_draws.z[:, share.rows].detach(),
            1e-9,
            f"{name}, level {i}: the draws of a process against those of the whole batch",
        )


def _check_generation(name: str, latents: Latents, batch: Batch) -> None:
    size = len(batch)
    given = batch.given
    values = latents.generate(size, given=given)
    top = values.zs[-1] + 1
    from_top = latents.generate(size, top=top, given=given)
    require(torch.equal(from_top.zs[-1], top), f"{name}: generate changed the given top level")
    context = (size, *latents.context_shape)
    for what, drawn in (("generate", values), ("means", latents.means(batch))):
        shapes = [tuple(z.shape) for z in drawn.zs]
        wanted = [(size, width) for width in latents.sizes]
        require(shapes == wanted, f"{name}: {what} gave values of shapes {shapes}")
        require(
            drawn.context.shape == context,
            f"{name}: {what} gave a context of shape {tuple(drawn.context.shape)}",
        )
    for level in range(len(latents.sizes)):
        below = latents.descend(values.zs[level], level, given)
        require(
            below.shape == context,
            f"{name}: descend from level {level} gave shape {tuple(below.shape)}",
        )
        groups = given
        if given is not None:
            groups = given[:2]
        varied = latents.vary(level, 2, 3, groups)
        require(
            varied.shape == (6, *latents.context_shape),
            f"{name}: vary of level {level} gave shape {tuple(varied.shape)}",
        )


def check_latents(latents: Latents, batch: Batch, *, seed: int = 0) -> None:
    """Checks a topology on a batch of dense examples, two or more, in float64.

    It checks the shapes of everything; that log q is that of the draw; that the levels at given
    values are those that were inferred, without a draw; that a level is `shared` exactly where its
    KL divergence is the rate; that examples do not depend on each other; that the draws of a
    process are its rows of the whole batch's; and samples from the top down.

    Raises:
        AssertionError: says which law was broken.
    """
    name = type(latents).__name__
    latents = latents.double().eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        inference = latents.infer(batch, SAMPLES)
        _check_shapes(name, latents, inference, len(batch))
        _check_given_values(name, latents, batch, inference)
        _check_shared(name, latents, batch, inference)
        _check_share(name, latents, batch, seed)
        _check_generation(name, latents, batch)
        alone = latents.means(batch.take(torch.tensor([0])))
        together = latents.means(batch)
        for one, all_means in zip(alone.zs, together.zs, strict=True):
            require_close(
                one, all_means[:1], 1e-9, f"{name}: an example depends on others in its batch"
            )
    torch.manual_seed(seed)
    inference = latents.infer(batch, SAMPLES)
    loss = inference.context.square().sum()
    for level in inference.levels:
        loss = loss + log_posterior(level).sum() - level.p.log_prob(level.z).sum()
    loss.backward()
    for key, parameter in latents.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, f"{name}: no gradient reaches {key}")
    latents.zero_grad()

"""The laws of latent variables: what every topology of levels keeps, a chain or one of yours."""

import copy
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from ..batch import Batch, as_batch
from ..distributed.processes import Share, common_noise, noise_of
from ..latents import Inference, Latents, LatentValues, code, log_posterior
from .spec import require, require_close, require_shape

SAMPLES = 3
"""The draws of each example that the checks make."""


def check_latents(latents: Latents, batch: Batch | Tensor, *, seed: int = 0) -> None:
    """Checks a topology on a batch of dense examples, two or more, in float64.

    It checks a copy. The laws: everything has the promised shape; log q is that of the draw; the
    levels at given values are those that were inferred, and nothing is drawn; a level is `shared`
    exactly where its KL divergence is the rate; a process draws its rows of the whole batch's;
    equal examples that share their noise have equal draws, and so have samples from the top down;
    else the draws of an example differ, and so do samples, which keep what they are given;
    a temperature multiplies the distance of samples from the means of normal priors; the means from
    a level up are those of all levels, with prior means below;
    contexts are those of the values beside them; means and contexts of given values are not drawn;
    examples do not depend on each other; gradients reach every parameter.

    It does not see whether `vary` keeps the levels above the one that varies within a group.

    Raises:
        AssertionError: says which law was broken.
    """
    name = type(latents).__name__
    latents = copy.deepcopy(latents).double().eval()
    batch = as_batch(batch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with torch.no_grad():
            inference = latents.infer(batch, SAMPLES)
            _check_shapes(name, latents, inference, len(batch))
            _check_draws(name, inference)
            _check_given_values(name, latents, batch, inference)
            _check_shared(name, latents, batch, inference)
            _check_share(name, latents, batch, seed)
            _check_common_noise(name, latents, batch, seed)
            _check_generation(name, latents, batch)
            _check_temperature(name, latents, batch, seed)
            _check_lowest(name, latents, batch)
            _check_contexts(name, latents, batch)
            _check_examples(name, latents, batch)
        torch.manual_seed(seed)
        _check_gradients(name, latents, batch)


def _density_at_a_point(d: Distribution) -> Tensor:
    """Returns the log density at a fixed point, by which a change of the distribution shows."""
    size = d.event_shape[0]
    point = torch.linspace(-1, 1, size, dtype=torch.float64)
    return d.log_prob(point.expand(*d.batch_shape, size)).detach()


def _check_shapes(name: str, latents: Latents, inference: Inference, size: int) -> None:
    """Checks the shapes of what is inferred for `size` examples, and log q of the draws."""
    require(
        len(inference.levels) == len(latents.sizes),
        f"{name}: infer gave {len(inference.levels)} levels, sizes has {len(latents.sizes)}",
    )
    for i, (level, width) in enumerate(zip(inference.levels, latents.sizes, strict=True)):
        where = f"{name}, level {i}"
        require_shape(f"{where}: z", level.z, (SAMPLES, size, width))
        require(level.q.event_shape == (width,), f"{where}: q has events {level.q.event_shape}")
        require(level.p.event_shape == (width,), f"{where}: p has events {level.p.event_shape}")
        log_q = log_posterior(level)
        require_shape(f"{where}: log q", log_q, (SAMPLES, size))
        expected = level.q.log_prob(level.z)
        require_close(
            log_q, expected, 1e-6, f"{where}: log q of the draw against log q of the value"
        )
    context_shape = (SAMPLES, size, *latents.context_shape)
    require_shape(f"{name}: the context", inference.context, context_shape)


def _check_draws(name: str, inference: Inference) -> None:
    """Checks that the draws of an example differ, unless its posterior is one point."""
    for i, level in enumerate(inference.levels):
        is_point = torch.equal(level.q.sample(), level.q.sample())
        is_repeated = torch.equal(level.z[0], level.z[1])
        require(
            is_point or not is_repeated,
            f"{name}, level {i}: infer gives the same draw of an example twice",
        )


def _check_given_values(name: str, latents: Latents, batch: Batch, inference: Inference) -> None:
    """Checks that the levels at the drawn values are those that were inferred, without a draw."""
    zs = [level.z for level in inference.levels]
    state = torch.get_rng_state()
    again = latents.at(batch, zs)
    priors = latents.priors_at(zs, batch)
    require(torch.equal(state, torch.get_rng_state()), f"{name}: at or priors_at draws")
    for i, (level, other) in enumerate(zip(inference.levels, again.levels, strict=True)):
        where = f"{name}, level {i}, at the values that were drawn"
        q = _density_at_a_point(level.q)
        p = _density_at_a_point(level.p)
        require_close(_density_at_a_point(other.q), q, 1e-9, f"{where}: the posterior")
        require_close(_density_at_a_point(other.p), p, 1e-9, f"{where}: the prior")
        prior = _density_at_a_point(priors.distributions[i])
        require_close(prior, p, 1e-9, f"{where}: the prior of priors_at")
    context = inference.context
    require_close(again.context, context, 1e-9, f"{name}: the context of at")
    require_close(priors.context, context, 1e-9, f"{name}: the context of priors_at")


def _find_parents(
    latents: Latents, batch: Batch, zs: list[Tensor]
) -> tuple[list[set[int]], list[set[int]]]:
    """Finds the levels on which the posterior, and the prior, of each level depend."""
    before = latents.at(batch, zs).levels
    posterior_parents: list[set[int]] = [set() for _ in zs]
    prior_parents: list[set[int]] = [set() for _ in zs]
    for moved in range(len(zs)):
        moved_zs = list(zs)
        moved_zs[moved] = zs[moved] + 1
        after = latents.at(batch, moved_zs).levels
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            if not torch.equal(_density_at_a_point(old.q), _density_at_a_point(new.q)):
                posterior_parents[i].add(moved)
            if not torch.equal(_density_at_a_point(old.p), _density_at_a_point(new.p)):
                prior_parents[i].add(moved)
    return posterior_parents, prior_parents


def _check_shared(name: str, latents: Latents, batch: Batch, inference: Inference) -> None:
    """Checks that a level is `shared` exactly where its posterior sees all parents of its prior.

    Only then is KL(q || p) at the drawn parents an unbiased estimate of the rate.
    """
    zs = [level.z for level in inference.levels]
    posterior_parents, prior_parents = _find_parents(latents, batch, zs)
    for i, level in enumerate(inference.levels):
        sees_all = prior_parents[i] <= posterior_parents[i]
        require(
            level.shared == sees_all,
            f"{name}, level {i}: shared is {level.shared}, but the prior depends on "
            f"the levels {sorted(prior_parents[i])} and the posterior on "
            f"{sorted(posterior_parents[i])}",
        )


def _check_share(name: str, latents: Latents, batch: Batch, seed: int) -> None:
    """Checks that one of several processes draws the rows that one process would have drawn."""
    torch.manual_seed(seed)
    whole = latents.infer(batch, SAMPLES)
    share = Share(rank=1, world=2, whole=len(batch))
    torch.manual_seed(seed)
    with noise_of(share):
        part = latents.infer(batch.take(share.rows), SAMPLES)
    for i, (level, whole_level) in enumerate(zip(part.levels, whole.levels, strict=True)):
        require_close(
            level.z,
            whole_level.z[:, share.rows],
            1e-9,
            f"{name}, level {i}: the draws of a process against those of the whole batch",
        )


def _check_common_noise(name: str, latents: Latents, batch: Batch, seed: int) -> None:
    """Checks that equal examples have equal draws where they share their noise: those of levels by
    `latents.draw`, those from the top down by `latents.sample`.
    """
    equal = batch.take(torch.zeros(3, dtype=torch.long))
    with common_noise(seed):
        levels = latents.infer(equal, SAMPLES).levels
        samples = latents.generate(3, given=equal.given).zs
    for i, (level, sample) in enumerate(zip(levels, samples, strict=True)):
        where = f"{name}, level {i}, of examples that share their noise"
        require_close(level.z, level.z[:, :1].expand(level.z.shape), 1e-9, f"{where}: the draws")
        require_close(sample, sample[:1].expand(sample.shape), 1e-9, f"{where}: the samples")


def _check_generation(name: str, latents: Latents, batch: Batch) -> None:
    """Checks samples from the top down, and contexts from each level down."""
    size = len(batch)
    given = batch.given
    values = latents.generate(size, given=given)
    _check_values(f"{name}: generate", latents, values, size)
    _check_values(f"{name}: means", latents, latents.means(batch), size)
    top = values.zs[-1] + 1
    from_top = latents.generate(size, top=top, given=given)
    require(torch.equal(from_top.zs[-1], top), f"{name}: generate changed the given top level")
    for i, (z, others) in enumerate(zip(values.zs, from_top.zs, strict=True)):
        require(not torch.equal(z[0], z[1]), f"{name}, level {i}: generate repeats a sample")
        if i < len(values.zs) - 1:
            again = latents.generate(size, top=top, given=given).zs[i]
            require(not torch.equal(others, again), f"{name}, level {i}: generate draws nothing")


def _check_temperature(name: str, latents: Latents, batch: Batch, seed: int) -> None:
    """Checks that a temperature multiplies the distance of samples from the means of their priors.

    It is checked of the levels whose prior is normal, on the same noise.
    """
    size = len(batch)
    distances = []
    choices: list[dict[str, Any]] = [{}, {"temperature": 1.0}, {"temperature": 0.5}]
    for options in choices:
        torch.manual_seed(seed)
        zs = latents.generate(size, given=batch.given, **options).zs
        priors = latents.priors_at([z.unsqueeze(0) for z in zs], batch).distributions
        distances.append([_distance(z, p) for z, p in zip(zs, priors, strict=True)])
    for i, (plain, warm, cool) in enumerate(zip(*distances, strict=True)):
        where = f"{name}, level {i}: generate"
        require(torch.equal(plain, warm), f"{where} at the temperature 1 gives other samples")
        if torch.isfinite(plain).all():
            require_close(cool, plain / 2, 1e-9, f"{where} at half the temperature")


def _distance(z: Tensor, p: Distribution) -> Tensor:
    """Returns how far values (N, d) are from the mean of a normal prior, in its scales.

    Of a prior of another kind the distances are nan, but where the values are 0.
    """
    base = getattr(p, "base_dist", None)
    if not isinstance(base, Normal):
        return z / 0
    return (z - base.loc) / base.scale


def _check_lowest(name: str, latents: Latents, batch: Batch) -> None:
    """Checks that the means from a level up are those of all levels, with prior means below."""
    whole = latents.means(batch).zs
    for lowest in range(1, len(whole)):
        values = latents.means(batch, lowest)
        where = f"{name}: means from level {lowest} up"
        _check_context_of(where, latents, values, batch)
        zs = [z.unsqueeze(0) for z in values.zs]
        priors = latents.priors_at(zs, batch).distributions
        for level in range(lowest):
            expected = code(priors[level]).squeeze(0)
            require_close(values.zs[level], expected, 1e-9, f"{where}: level {level}")
        for level in range(lowest, len(whole)):
            require_close(values.zs[level], whole[level], 1e-9, f"{where}: level {level}")


def _check_contexts(name: str, latents: Latents, batch: Batch) -> None:
    """Checks what the decoder sees: of values of all levels, of one level, and where one varies."""
    size = len(batch)
    given = batch.given
    groups = given
    if given is not None:
        groups = given[:2]
    values = latents.generate(size, given=given)
    _check_context_of(f"{name}: generate", latents, values, batch)
    state = torch.get_rng_state()
    _check_context_of(f"{name}: means", latents, latents.means(batch), batch)
    for level, z in enumerate(values.zs):
        where = f"level {level}"
        below = latents.descend(z, level, given)
        require_shape(f"{name}: descend from {where}", below, (size, *latents.context_shape))
        again = latents.descend(z, level, given)
        require_close(again, below, 1e-9, f"{name}: descend twice from {where}")
        moved = latents.descend(z + 1, level, given)
        require(not torch.equal(moved, below), f"{name}: descend does not see {where}")
    require(torch.equal(state, torch.get_rng_state()), f"{name}: means or descend draws")
    for level in range(len(values.zs)):
        varied = latents.vary(level, 2, 3, groups)
        require_shape(f"{name}: vary of level {level}", varied, (6, *latents.context_shape))
        for one, other in ((0, 1), (4, 5)):
            require(
                not torch.equal(varied[one], varied[other]),
                f"{name}: vary of level {level} gives one sample of a group twice",
            )


def _check_context_of(source: str, latents: Latents, values: LatentValues, batch: Batch) -> None:
    """Checks that a context is the one of the values beside it."""
    zs = [z.unsqueeze(0) for z in values.zs]
    expected = latents.priors_at(zs, batch).context.squeeze(0)
    require_close(values.context, expected, 1e-9, f"{source}: the context against priors_at")


def _check_values(source: str, latents: Latents, values: LatentValues, size: int) -> None:
    """Checks the shapes of values of all levels of `size` examples."""
    for level, (z, width) in enumerate(zip(values.zs, latents.sizes, strict=True)):
        require_shape(f"{source}: level {level}", z, (size, width))
    require_shape(f"{source}: the context", values.context, (size, *latents.context_shape))


def _check_examples(name: str, latents: Latents, batch: Batch) -> None:
    """Checks that the posterior means of an example do not depend on the others in its batch."""
    alone = latents.means(batch.take(torch.tensor([0])))
    together = latents.means(batch)
    for mean, all_means in zip(alone.zs, together.zs, strict=True):
        require_close(
            mean, all_means[:1], 1e-9, f"{name}: an example depends on others in its batch"
        )


def _check_gradients(name: str, latents: Latents, batch: Batch) -> None:
    """Checks that the context and the rates of a batch reach every parameter."""
    inference = latents.infer(batch, SAMPLES)
    loss = inference.context.square().sum()
    for level in inference.levels:
        loss = loss + log_posterior(level).sum() - level.p.log_prob(level.z).sum()
    loss.backward()
    for key, parameter in latents.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, f"{name}: no gradient reaches {key}")

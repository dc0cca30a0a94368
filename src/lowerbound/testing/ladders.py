"""The laws of ladders: what the networks of every top-down hierarchy keep."""

import copy
import math
from typing import Any

import torch
from torch import Tensor

from ..batch import Batch
from ..errors import LowerboundError
from ..families import Normal
from ..latents import TopDown
from ..model import VAE, Architecture
from ..networks.ladders import Ladder
from .latents import check_latents
from .spec import check_spec, require, require_close, require_shape

BATCH = 4
"""The examples that the checks make."""


def check_ladder(
    spec: Ladder, shape: tuple[int, ...], latent: tuple[int, ...], *, seed: int = 0
) -> None:
    """Checks a ladder for events of a shape, in float64.

    The laws: those of `check_latents` for the hierarchy that it makes; the sizes are those of its
    levels; the decoder gives what a likelihood wants; the way up is walked once, however many draws
    there are; a posterior of the merge "residual" starts as its prior; the bound of an example does
    not depend on the others in its batch; with another number of levels it fits or says so in one
    line; building changes nothing.

    Args:
        spec: the ladder.
        shape: of an example.
        latent: of the levels, as in `Architecture.latent`.
        seed: of the weights and the examples.

    Raises:
        AssertionError: says which law was broken.
    """
    check_spec(spec)
    name = f"{type(spec).__name__} for {shape}"
    before = copy.deepcopy(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _build(spec, shape, latent)
        latents: Any = model.latents
        require(isinstance(latents, TopDown), f"{name}: made {type(latents).__name__}")
        require(len(latents.rungs) == len(latent) - 1, f"{name}: has {len(latents.rungs)} rungs")
        x = torch.rand(BATCH, *shape).double()
        if spec.merge == "residual":
            _check_birth(name, model, x)
        _stir(model)
        check_latents(model.latents, x, seed=seed)
        _check_one_way_up(name, model, x)
        _check_decoder(name, model, x)
        _check_examples(name, model, x)
        _check_other_levels(name, spec, shape, latent)
    require(spec == before, f"{name}: changed while it built: {before} became {spec}")


def _build(spec: Ladder, shape: tuple[int, ...], latent: tuple[int, ...]) -> VAE:
    """Builds a model with this ladder and a normal likelihood."""
    return Architecture(latent=latent, ladder=spec, likelihood=Normal()).build(shape).double()


@torch.no_grad()
def _stir(model: VAE) -> None:
    """Moves every weight, so that what starts at zero does something.

    A weight moves by less where it belongs to more inputs, so that features stay of their size.
    """
    for parameter in model.parameters():
        inputs = max(parameter[0].numel(), 1)
        parameter.add_(torch.randn_like(parameter), alpha=0.3 / math.sqrt(inputs))


def _check_birth(name: str, model: VAE, x: Tensor) -> None:
    """Checks that new posteriors below the top are their priors."""
    rates = model.terms(x, 2).rate[..., :-1]
    require(not rates.any(), f"{name}: a new residual posterior is not its prior")


def _check_one_way_up(name: str, model: VAE, x: Tensor) -> None:
    """Checks that the way up sees each example once."""
    seen = []
    latents: Any = model.latents
    hook = latents.top.bottom_up.register_forward_pre_hook(
        lambda module, inputs: seen.append(len(inputs[0]))
    )
    model.infer(x, 5)
    hook.remove()
    require(seen == [len(x)], f"{name}: the way up saw {seen} examples, wanted [{len(x)}]")


def _check_decoder(name: str, model: VAE, x: Tensor) -> None:
    """Checks the shape of what the decoder gives."""
    p = model.decode(model.infer(x, 3).context)
    require_shape(f"{name}: the mean", p.mean, (3, *x.shape))


def _check_examples(name: str, model: VAE, x: Tensor) -> None:
    """Checks that the bound of an example does not depend on the others in its batch."""
    with torch.no_grad():
        inference = model.infer(x, 2)
        whole = model.terms_of(inference, x)
        alone = Batch(x[:1])
        zs = [level.z[:, :1] for level in inference.levels]
        part = model.terms_of(model.at(alone, zs), alone)
    require_close(
        part.log_weight, whole.log_weight[:, :1], 1e-8, f"{name}: log weights of one example alone"
    )
    require_close(part.rate, whole.rate[:, :1], 1e-8, f"{name}: rates of one example alone")


def _check_other_levels(
    name: str, spec: Ladder, shape: tuple[int, ...], latent: tuple[int, ...]
) -> None:
    """Checks that one level more is built, or refused in one line."""
    try:
        model = _build(spec, shape, (latent[0], *latent))
    except LowerboundError as error:
        require("\n" not in str(error), f"{name}: a refusal of several lines: {error}")
        return
    require(
        len(model.latents.sizes) == len(latent) + 1,
        f"{name}: has {len(model.latents.sizes)} levels for {len(latent) + 1}",
    )

"""The optimiser of a fit."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ..distributed.sharding import is_part
from ..errors import ConfigError
from ..optimizers import optimizers
from ..recipe import Training
from ..sparse import SparseLinear, Transposed


def make_optimizer(settings: Training, model: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimiser that the settings name, fused where torch has a fused one.

    Raises:
        ConfigError: it does not take these options.
    """
    kind = optimizers()[settings.optimizer]
    own = {"fused", "foreach", "differentiable"} & settings.optimizer_options.keys()
    fused = (
        {"fused": True}
        if "fused" in inspect.signature(kind).parameters and not own and _fusible(kind, model)
        else {}
    )
    try:
        options: dict[str, Any] = {
            "lr": settings.learning_rate,
            **fused,
            **settings.optimizer_options,
        }
        return kind(model.parameters(), **options)
    except Exception as error:  # the optimisers raise many kinds, all about these options
        raise ConfigError(f"training.optimizer_options: {settings.optimizer}: {error}") from error


def state_of(settings: Training, parameters: list[torch.nn.Parameter]) -> dict[int, dict[str, Any]]:
    """What the optimiser holds of each of these parameters after a step; only names, shapes and
    types are of use.
    """
    options = {
        k: v
        for k, v in settings.optimizer_options.items()
        if k not in ("fused", "foreach", "capturable", "differentiable")
    }
    kind = partial(optimizers()[settings.optimizer], lr=settings.learning_rate, **options)  # type: ignore[call-arg, arg-type]
    try:
        return _stepped(kind, parameters, "meta")
    except RuntimeError:  # some read a number of their state
        return _stepped(kind, parameters, "cpu")


def _stepped(
    kind: Callable[..., Any], parameters: list[torch.nn.Parameter], device: str
) -> dict[int, dict[str, Any]]:
    like = [
        torch.nn.Parameter(torch.zeros(p.shape, dtype=p.dtype, device=device)) for p in parameters
    ]
    optimizer = kind(like)
    for parameter in like:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return {i: optimizer.state[parameter] for i, parameter in enumerate(like)}


def _fusible(kind: type, model: torch.nn.Module) -> bool:
    """Of weights that are kept in parts, torch fuses the steps of Adam and AdamW alone."""
    return issubclass(kind, torch.optim.Adam) or not any(is_part(p) for p in model.parameters())


def by_rows(model: torch.nn.Module, lazy: bool, processes: int) -> list[torch.nn.Parameter]:
    """Of layers for sparse rows, the weights of which a `lazy` optimiser changes only the rows that
    a step saw.

    A decoder that is tied to them uses all of their rows. The gradient is sparse in one process;
    the mean over several is not.
    """
    tied = {
        id(of) for layer in model.modules() if isinstance(layer, Transposed) for of in layer.reads
    }
    layers = [layer for layer in model.modules() if isinstance(layer, SparseLinear)]
    for layer in layers:
        layer.sparse_gradient = lazy and processes == 1 and id(layer) not in tied
    return [layer.weight for layer in layers if lazy and id(layer) not in tied]

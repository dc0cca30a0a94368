"""The optimiser of a fit, its state in a checkpoint, and the rows that a lazy one updates."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from ..distributed.sharding import is_part, laid_out
from ..errors import ConfigError
from ..optimizers import LazyAdam, optimizers
from ..recipe import Training
from ..sparse import SparseLinear, Transposed, sparse_update_pays
from .checkpoint import flatten, unflatten

IMPLEMENTATIONS = ("fused", "foreach", "capturable", "differentiable")
"""Options of torch's optimisers that choose how a step is computed, not what it computes."""


def make_optimizer(settings: Training, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Makes the optimiser that the settings name, fused where torch has a fused one.

    Raises:
        ConfigError: it does not take these options.
    """
    kind = optimizers()[settings.optimizer]
    options: dict[str, Any] = {"lr": settings.learning_rate}
    if _can_fuse(kind, settings.optimizer_options, model):
        options["fused"] = True
    options |= settings.optimizer_options
    try:
        return kind(model.parameters(), **options)
    except Exception as error:  # the optimisers raise many kinds, all about these options
        raise ConfigError(f"training.optimizer_options: {settings.optimizer}: {error}") from error


def _can_fuse(kind: type, options: Mapping[str, Any], model: torch.nn.Module) -> bool:
    """Says whether torch fuses the steps of this optimiser, and the options leave it the choice.

    For weights that are kept in parts, torch fuses the steps of Adam and AdamW alone.
    """
    if "fused" not in inspect.signature(kind).parameters:
        return False
    if {"fused", "foreach", "differentiable"} & options.keys():
        return False
    return issubclass(kind, torch.optim.Adam) or not any(is_part(p) for p in model.parameters())


# State ------------------------------------------------------------------------------------------


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, settings: Training, tensors: Mapping[str, Tensor]
) -> None:
    """Gives an optimiser the state that a checkpoint holds of it.

    The tensors are laid out in memory as their parameters are, because fused optimisers go through
    both as they lie there.

    Raises:
        ValueError: the state is not one of this optimiser for these weights. A fused step would go
            through memory that is not there.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    # A parameter that was never used has no state.
    known = {_parameter_of(name) for name in tensors}
    expected = {
        name: tensor
        for name, tensor in flatten(state_of(settings, parameters)).items()
        if _parameter_of(name) in known
    }
    if _forms(tensors) != _forms(expected):
        raise ValueError(
            f"its optimiser's state is not that of {settings.optimizer} for these weights"
        )
    state = {}
    for i, entry in unflatten(tensors).items():
        state[i] = {name: laid_out(t, parameters[i]) for name, t in entry.items()}
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _parameter_of(name: str) -> str:
    """Returns the number of the parameter in the name of a tensor of the optimiser's state."""
    number, _, _ = name.partition(".")
    return number


def _forms(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def state_of(settings: Training, parameters: list[torch.nn.Parameter]) -> dict[int, dict[str, Any]]:
    """Returns a state of the optimiser as it is after a step.

    Only its names, shapes and types are of use; the values are those of zero weights.
    """
    options = dict(settings.optimizer_options)
    for name in IMPLEMENTATIONS:
        options.pop(name, None)
    kind = partial(optimizers()[settings.optimizer], lr=settings.learning_rate, **options)  # type: ignore[call-arg, arg-type]
    try:
        return _state_after_step(kind, parameters, "meta")
    except RuntimeError:  # some optimisers read a number of their state
        return _state_after_step(kind, parameters, "cpu")


def _state_after_step(
    kind: Callable[..., Any], parameters: list[torch.nn.Parameter], device: str
) -> dict[int, dict[str, Any]]:
    zeros = [
        torch.nn.Parameter(torch.zeros(p.shape, dtype=p.dtype, device=device)) for p in parameters
    ]
    optimizer = kind(zeros)
    for parameter in zeros:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return {i: optimizer.state[parameter] for i, parameter in enumerate(zeros)}


# Lazy rows --------------------------------------------------------------------------------------


def lazy_weights(
    model: torch.nn.Module, settings: Training, shares: int
) -> list[torch.nn.Parameter]:
    """Returns the weights of which a lazy optimiser updates only the rows that a step saw.

    They belong to the layers for sparse rows, except those whose weights a tied decoder reads: it
    uses all of their rows. Where a batch is computed as a whole, these layers are told to give a
    sparse gradient. Where it is shared among processes or computed in parts, `shares` in all, its
    gradient is dense; there the optimiser is told their rows.
    """
    is_lazy = getattr(optimizers()[settings.optimizer], "takes_sparse", False)
    read: set[int] = set()
    for layer in model.modules():
        if isinstance(layer, Transposed):
            read.update(id(source) for source in layer.reads)
    weights = []
    for layer in model.modules():
        if isinstance(layer, SparseLinear):
            by_rows = is_lazy and id(layer) not in read
            layer.sparse_gradient = by_rows and shares == 1
            if by_rows:
                weights.append(layer.weight)
    return weights


def note_seen_rows(
    optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], rows: Tensor
) -> None:
    """Tells a lazy optimiser which rows of these weights a batch saw, (C,), in any process.

    Weights whose gradient would be dense in one process are left out.
    """
    noted = cast(LazyAdam, optimizer).seen
    noted.clear()
    for weight in weights:
        if sparse_update_pays(rows, len(weight)):
            noted[weight] = rows

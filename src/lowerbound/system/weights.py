"""Weights as safetensors, and modules that take them. Nothing that is loaded can execute code."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import RunError, one_line
from .files import replacing


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors as safetensors, whole or not at all.

    Raises:
        RunError: the file cannot be written.
    """
    with replacing(path) as temporary:
        try:
            save_file(
                {k: v.detach().contiguous() for k, v in tensors.items()},
                temporary,
                dict(metadata) if metadata else None,
            )
        except SafetensorError as error:  # a full disk, too
            raise RunError(f"cannot write {path}: {error}") from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(one_line(f"cannot read {path}: {error}")) from error


def refuse_other_weights(
    model: torch.nn.Module, tensors: Mapping[str, Tensor], where: object
) -> None:
    """Looks whether the tensors are those of the model, by name and shape.

    Raises:
        RunError: they are those of another model.
    """
    own = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    got = {name: tuple(t.shape) for name, t in tensors.items()}
    different = sorted(name for name in own.keys() | got.keys() if own.get(name) != got.get(name))
    if different:
        name = different[0]
        needed = f"{one_line(name, 100)} is {got.get(name)}, but the recipe needs {own.get(name)}"
        raise RunError(f"{where}: not the weights of this model: {needed}")


def load_weights(model: torch.nn.Module, tensors: Mapping[str, Tensor], where: object) -> None:
    """Puts the tensors into the model.

    Raises:
        RunError: they are those of another model.
    """
    refuse_other_weights(model, tensors, where)
    model.load_state_dict(dict(tensors))

"""Weights as safetensors files, and modules that take them. Nothing that is loaded can run code."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import RunError, one_line
from .files import replacing


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors as a safetensors file, whole or not at all.

    Raises:
        RunError: the file cannot be written.
    """
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    header = dict(metadata) if metadata else None
    with replacing(path) as temporary:
        try:
            save_file(contiguous, temporary, header)
        except SafetensorError as error:  # this covers a full disk, too
            raise RunError(f"cannot write {path}: {error}") from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a safetensors file onto the CPU.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(one_line(f"cannot read {path}: {error}")) from error


def load_metadata(path: Path) -> dict[str, str]:
    """Reads the texts that a safetensors file holds beside its tensors.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise RunError(one_line(f"cannot read {path}: {error}")) from error


def refuse_other_weights(
    model: torch.nn.Module, tensors: Mapping[str, Tensor], where: object
) -> None:
    """Checks that the tensors are those of the model, by name and shape.

    Raises:
        RunError: they belong to another model.
    """
    refuse_other_tensors(model.state_dict(), tensors, where)


def refuse_other_tensors(
    needed_tensors: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: object
) -> None:
    """Checks that the tensors are those of a model whose tensors are given, by name and shape.

    Raises:
        RunError: they belong to another model.
    """
    needed_shapes = _shapes(needed_tensors)
    given_shapes = _shapes(tensors)
    names = needed_shapes.keys() | given_shapes.keys()
    for name in sorted(names):
        needed = needed_shapes.get(name)
        given = given_shapes.get(name)
        if given != needed:
            difference = f"{one_line(name, 100)} is {given}, but the recipe needs {needed}"
            raise RunError(f"{where}: not the weights of this model: {difference}")


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def load_weights(model: torch.nn.Module, tensors: Mapping[str, Tensor], where: object) -> None:
    """Puts the tensors into the model.

    Raises:
        RunError: they belong to another model.
    """
    refuse_other_weights(model, tensors, where)
    model.load_state_dict(dict(tensors))

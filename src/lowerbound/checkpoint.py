"""Checkpoints: safetensors and JSON in one folder, written whole or not at all. Nothing that is loaded can execute code.

`checkpoint/step-00001234/` holds one safetensors file per group of tensors (model, best, optimizer) and `state.json`. A folder
appears by one rename, so that the newest one is always whole; the last two are kept.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .errors import RunError
from .files import read_json, replacing, write_text

KEPT = 2


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors as safetensors, whole or not at all."""
    with replacing(path) as temporary:
        save_file({k: v.detach().contiguous() for k, v in tensors.items()}, temporary, dict(metadata) if metadata else None)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot read {path}: {error}") from error


def load_weights(model: torch.nn.Module, tensors: Mapping[str, Tensor], where: object) -> None:
    """Puts the tensors into the model.

    Raises:
        RunError: they are those of another model.
    """
    own = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    got = {name: tuple(t.shape) for name, t in tensors.items()}
    different = sorted(name for name in own.keys() | got.keys() if own.get(name) != got.get(name))
    if different:
        name = different[0]
        raise RunError(f"{where}: not the weights of this model: {name} is {got.get(name)}, but the recipe needs {own.get(name)}")
    model.load_state_dict(dict(tensors))


def flatten(state: Mapping[int, Mapping[str, Any]]) -> dict[str, Tensor]:
    """The state of an optimiser, parameter by parameter, as named tensors."""
    return {f"{i}.{name}": torch.as_tensor(v) for i, entry in state.items() for name, v in entry.items() if v is not None}


def unflatten(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The inverse of `flatten`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    return state


def _steps(folder: Path) -> Iterator[Path]:
    """The whole checkpoints in a folder, oldest first."""
    return iter(sorted(p for p in folder.glob("step-*") if p.is_dir()))


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint."""
    return next(iter(reversed(list(_steps(folder)))), None)


def save(folder: Path, step: int, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Path:
    """Writes a checkpoint and removes all but the last two.

    Raises:
        RunError: the folder cannot be written.
    """
    target = folder / f"step-{step:08d}"
    if target.exists():  # it is whole, and the same step has the same state
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".writing-*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
        temporary.chmod(0o755)
        for name, tensors in groups.items():
            save_tensors(temporary / f"{name}.safetensors", tensors)
        write_text(temporary / "state.json", json.dumps(state))  # unlike strict JSON this keeps infinities
        os.replace(temporary, target)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}") from error
    for old in list(_steps(folder))[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def load(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The groups of tensors and the state of the newest checkpoint in `folder`.

    Raises:
        RunError: there is none, or it is damaged.
    """
    found = latest(folder)
    if found is None:
        raise RunError(f"there is no checkpoint in {folder} to resume from")
    groups = {path.stem: load_tensors(path) for path in sorted(found.glob("*.safetensors"))}
    return groups, read_json(found / "state.json")

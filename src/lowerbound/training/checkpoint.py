"""Checkpoints: safetensors and JSON in one folder, written whole or not at all. Nothing that is
loaded can execute code.

`checkpoint/step-00001234/` holds one safetensors file per group of tensors (model, best, optimizer,
sums), `state.json`, and `manifest.json` with the size and the sha256 of each. A folder appears by
one rename when all of it is on the disk; the last two are kept, and one that is not what its
manifest says is passed over.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import RunError, one_line
from ..system.console import print_line
from ..system.files import (
    UNFINISHED,
    apply_umask,
    read_json,
    remove_unfinished,
    sync,
    write_text,
    writing,
)
from ..system.lock import refuse_moved
from ..system.weights import load_tensors, save_tensors

KEPT_CHECKPOINTS = 2


MANIFEST = "manifest.json"


def flatten(state: Mapping[int, Mapping[str, Any]]) -> dict[str, Tensor]:
    """The state of an optimiser, parameter by parameter, as named tensors."""
    return {
        f"{i}.{name}": torch.as_tensor(v)
        for i, entry in state.items()
        for name, v in entry.items()
        if v is not None
    }


def unflatten(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The inverse of `flatten`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    return state


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _steps(folder: Path) -> Iterator[Path]:
    """The checkpoints in a folder, newest first."""
    return iter(
        sorted(
            (p for p in folder.glob("step-*") if p.is_dir() and not p.is_symlink()), reverse=True
        )
    )


def latest(folder: Path) -> Path | None:
    """The newest checkpoint."""
    return next(_steps(folder), None)


def _contents(folder: Path) -> dict[str, dict[str, Any]]:
    """What a manifest says of the files in a folder."""
    files = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    return {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files}


def _refuse_damage(folder: Path) -> None:
    """Raises RunError for a checkpoint that is not what its manifest says."""
    if not (folder / MANIFEST).is_file():
        raise RunError(f"{folder}: {MANIFEST} is missing")
    strange = [path.name for path in folder.iterdir() if path.is_symlink() or not path.is_file()]
    if strange:
        raise RunError(f"{folder}: {strange[0]} is not a plain file")
    said, found = read_json(folder / MANIFEST), _contents(folder)
    if said != found:
        names = said.keys() | found.keys() if isinstance(said, dict) else {MANIFEST}
        wrong = sorted(
            name
            for name in names
            if not isinstance(said, dict) or said.get(name) != found.get(name)
        )
        raise RunError(f"{folder}: {wrong[0]} is not what {MANIFEST} says")


def _whole(folder: Path) -> bool:
    try:
        _refuse_damage(folder)
    except (OSError, RunError):
        return False
    return True


def save(
    folder: Path, step: int, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> Path:
    """Writes a checkpoint and removes all but the last two.

    Raises:
        RunError: the folder cannot be written; the checkpoints before it stay.
    """
    refuse_moved(folder.parent)
    target = folder / f"step-{step:08d}"
    if target.exists():
        if _whole(target):  # the same step has the same state
            return target
        shutil.rmtree(target, ignore_errors=True)
    with writing(target):
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        _write(target, groups, state)
    _thin(folder, target)
    return target


def _write(
    target: Path, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> None:
    """A new checkpoint, whole or not at all."""
    temporary = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=target.parent))
    try:
        apply_umask(temporary)
        for name, tensors in groups.items():
            save_tensors(temporary / f"{name}.safetensors", tensors)
        write_text(
            temporary / "state.json", json.dumps(state)
        )  # unlike strict JSON this keeps infinities
        write_text(temporary / MANIFEST, json.dumps(_contents(temporary), indent=1))
        sync(temporary)
        os.replace(temporary, target)
        sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _thin(folder: Path, last: Path) -> None:
    """Removes the checkpoints that are newer than the last one, which this fit has passed over as
    damaged, and all old ones.
    """
    found = list(_steps(folder))
    damaged = [newer for newer in found[: found.index(last)] if not _whole(newer)]
    for old in damaged + [path for path in found if path not in damaged][KEPT_CHECKPOINTS:]:
        _drop(old)


def _drop(path: Path) -> None:
    """Removes a checkpoint; its name goes first, so that one of which a part is gone is never seen."""
    gone = path.with_name(f"{UNFINISHED}{path.name}")
    with suppress(OSError):
        os.replace(path, gone)
        shutil.rmtree(gone, ignore_errors=True)


def _read(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    _refuse_damage(folder)
    groups = {path.stem: load_tensors(path) for path in sorted(folder.glob("*.safetensors"))}
    state = read_json(folder / "state.json")
    if not isinstance(state, dict):
        raise RunError(f"{folder / 'state.json'}: not the state of a fit")
    return groups, state


def load(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The groups of tensors and the state of the newest whole checkpoint in `folder`; tells of
    those it passes over.

    Raises:
        RunError: there is none, or all are damaged.
    """
    damaged: list[str] = []
    for found in _steps(folder):
        try:
            read = _read(found)
        except (OSError, RunError) as error:
            damaged.append(str(error))
            continue
        if damaged:
            print_line(f"damaged: {'; '.join(damaged)}; going on from {found.name}")
        return read
    if damaged:
        raise RunError(one_line(f"no checkpoint in {folder} is whole: {'; '.join(damaged)}"))
    raise RunError(f"there is no checkpoint in {folder} to resume from")

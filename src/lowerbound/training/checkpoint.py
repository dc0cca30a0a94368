"""Checkpoints: safetensors and JSON in one folder, written whole or not at all. Nothing that is
loaded can execute code.

`checkpoint/step-00001234/` holds one safetensors file per group of tensors (model, best, optimizer,
sums, and average where the weights are averaged), `state.json`, and `manifest.json` with the size
and the sha256 of each. A folder appears by one rename when all of it is on the disk. The last two
are kept. One that is not what its manifest says is passed over.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
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
"""Checkpoints that stay when a new one is written, itself included."""

MANIFEST = "manifest.json"
"""The file that says what the other files of a checkpoint are."""

UPDATES = "updates"
"""The name, among the tensors of an average in a checkpoint, of the number of its updates. Names of
weights have a dot.
"""


# The state of an optimiser as named tensors -----------------------------------------------------


def flatten(state: Mapping[int, Mapping[str, Any]]) -> dict[str, Tensor]:
    """Turns the state of an optimiser, parameter by parameter, into named tensors."""
    tensors = {}
    for i, entry in state.items():
        for name, value in entry.items():
            if value is not None:
                tensors[f"{i}.{name}"] = torch.as_tensor(value)
    return tensors


def unflatten(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Turns named tensors into the state of an optimiser. It is the inverse of `flatten`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        entry = state.setdefault(int(index), {})
        entry[name] = tensor
    return state


def averages_in(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the averaged weights in the group "average" of a checkpoint, by name."""
    return {name: tensor for name, tensor in tensors.items() if name != UPDATES}


# Writing ----------------------------------------------------------------------------------------


def save_checkpoint(
    folder: Path, step: int, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> Path:
    """Writes a checkpoint and removes all but the last two.

    Raises:
        RunError: the folder cannot be written; the checkpoints before it stay.
    """
    refuse_moved(folder.parent)
    target = folder / f"step-{step:08d}"
    if target.exists():
        if is_whole(target):  # the same step has the same state
            return target
        shutil.rmtree(target, ignore_errors=True)
    with writing(target):
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        _write(target, groups, state)
    _remove_old(folder, target)
    return target


def _write(
    target: Path, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> None:
    """Writes a new checkpoint, whole or not at all."""
    temporary = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=target.parent))
    try:
        apply_umask(temporary)
        for name, tensors in groups.items():
            save_tensors(temporary / f"{name}.safetensors", tensors)
        # Unlike `write_json`, this keeps infinities.
        write_text(temporary / "state.json", json.dumps(state))
        manifest = json.dumps(_describe_files(temporary), indent=1)
        write_text(temporary / MANIFEST, manifest)
        sync(temporary)
        os.replace(temporary, target)
        sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_old(folder: Path, last: Path) -> None:
    """Removes old checkpoints, and those newer than `last` that the fit passed over as damaged."""
    kept = []
    is_newer = True
    for path in _newest_first(folder):
        if path == last:
            is_newer = False
        if is_newer and not is_whole(path):
            _remove(path)
        else:
            kept.append(path)
    for path in kept[KEPT_CHECKPOINTS:]:
        _remove(path)


def remove_checkpoints(folder: Path) -> None:
    """Removes all checkpoints in a folder, of a fit that is not to go on."""
    for path in _newest_first(folder):
        _remove(path)


def _remove(path: Path) -> None:
    """Removes a checkpoint. Its name goes first, so that a part of one is never seen."""
    renamed = path.with_name(f"{UNFINISHED}{path.name}")
    with suppress(OSError):
        os.replace(path, renamed)
        shutil.rmtree(renamed, ignore_errors=True)


# Reading ----------------------------------------------------------------------------------------


def load_checkpoint(
    folder: Path, wanted: Collection[str] | None = None
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Reads the newest whole checkpoint in `folder`. A line on standard error names damaged ones.

    Args:
        folder: of the checkpoints.
        wanted: names of the groups of tensors that are read; None reads all.

    Returns:
        The groups of tensors by name, and the state.

    Raises:
        RunError: there is none, or all are damaged.
    """
    damages: list[str] = []
    for path in _newest_first(folder):
        try:
            groups, state = _read(path, wanted)
        except (OSError, RunError) as error:
            if path.exists():  # else a fit that goes on has removed it, as it does with old ones
                damages.append(str(error))
            continue
        if damages:
            print_line(f"damaged: {'; '.join(damages)}; going on from {path.name}")
        return groups, state
    if damages:
        raise RunError(one_line(f"no checkpoint in {folder} is whole: {'; '.join(damages)}"))
    raise RunError(f"there is no checkpoint in {folder} to resume from")


def _read(
    folder: Path, wanted: Collection[str] | None
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    _refuse_damage(folder)
    groups = {}
    for path in sorted(folder.glob("*.safetensors")):
        if wanted is None or path.stem in wanted:
            groups[path.stem] = load_tensors(path)
    state = read_json(folder / "state.json")
    if not isinstance(state, dict):
        raise RunError(f"{folder / 'state.json'}: not the state of a fit")
    return groups, state


def latest_checkpoint(folder: Path) -> Path | None:
    """Returns the newest checkpoint in a folder, whole or not, or None."""
    return next(iter(_newest_first(folder)), None)


def _newest_first(folder: Path) -> list[Path]:
    """Lists the checkpoints in a folder."""
    paths = [p for p in folder.glob("step-*") if p.is_dir() and not p.is_symlink()]
    return sorted(paths, reverse=True)


def is_whole(folder: Path) -> bool:
    """Says whether a checkpoint is what its manifest says."""
    try:
        _refuse_damage(folder)
    except (OSError, RunError):
        return False
    return True


def _refuse_damage(folder: Path) -> None:
    """Raises RunError for a checkpoint that is not what its manifest says."""
    if not (folder / MANIFEST).is_file():
        raise RunError(f"{folder}: {MANIFEST} is missing")
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            raise RunError(f"{folder}: {path.name} is not a plain file")
    manifest = read_json(folder / MANIFEST)
    files = _describe_files(folder)
    if manifest == files:
        return
    wrong = MANIFEST
    if isinstance(manifest, dict):
        names = manifest.keys() | files.keys()
        wrong = min(name for name in names if manifest.get(name) != files.get(name))
    raise RunError(f"{folder}: {wrong} is not what {MANIFEST} says")


def _describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the size and the sha256 of each file of a checkpoint, as its manifest holds them."""
    description = {}
    for path in sorted(folder.iterdir()):
        if path.name != MANIFEST:
            size = path.stat().st_size
            description[path.name] = {"bytes": size, "sha256": sha256(path)}
    return description


def sha256(path: Path) -> str:
    """Returns the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""The start of a fit at the weights of another run: a refit to a log that has grown.

Which rows of which weights belong to items the model itself says: drafts of it for two items and
for three have other shapes there. These rows are matched by the ids of the items, and so a refit
may have new items, in any order, and may have lost others. Users have no weights, and may be any.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..data import Dataset, Items, Schema
from ..data.interactions.ids import positions
from ..errors import RunError, one_line
from ..hub import is_address
from ..model import VAE
from ..recipe import Recipe
from ..system.files import expand_home
from ..system.weights import load_weights
from .contents import build
from .run import load


def found_from_anywhere(run: str) -> str:
    """Returns the folder of a run as an absolute path; an address on a hub stays as it is."""
    if is_address(run):
        return run
    return str(expand_home(run).resolve())


def start_at_run(model: VAE, plan: Recipe, dataset: Dataset, folder: str | Path) -> str:
    """Gives a model the weights of a run as its first ones.

    An item that the run does not know gets the mean of the rows of those that it knows.

    Args:
        model: as it was built by the recipe.
        plan: the recipe of the fit.
        dataset: what is fitted to.
        folder: of the run.

    Returns:
        A sentence on what was taken.

    Raises:
        RunError: there is no run, or it is one of another model or another kind of data, or it has
            none of the items.
    """
    run = load(folder)
    told = f"training.start_from={one_line(folder, 200)}"
    if run.schema.kind != dataset.schema.kind:
        raise RunError(
            f"{told} is a run on data of kind {run.schema.kind}, got data of kind "
            f"{dataset.schema.kind}"
        )
    weights = dict(run.model.state_dict())
    note = f"the weights start at those of {folder}"
    if run.items is not None and dataset.items is not None:
        at = torch.tensor(positions(dataset.items.ids, run.items.ids))
        if not (at >= 0).any():
            raise RunError(
                f"{told} has none of the {len(at):,} items of {dataset.name}: its items are "
                f"{_first_of(run.items)}, those of the data {_first_of(dataset.items)}"
            )
        weights = moved_rows(weights, item_axes(plan, dataset.schema), at)
        new = int((at < 0).sum())
        gone = len(run.items) - (len(at) - new)
        note += f": {len(at) - new:,} items are known, {new:,} are new, {gone:,} are gone"
    dtype = next(model.parameters()).dtype
    load_weights(model, {name: tensor.to(dtype) for name, tensor in weights.items()}, told)
    return note


def _first_of(items: Items) -> str:
    return f"{items.ids[:1].tolist()[0]!r}, ... ({len(items):,})"


def item_axes(plan: Recipe, schema: Schema) -> dict[str, int]:
    """Finds the axis along which a weight has one row for each item, by the names of the weights
    that have one.

    Args:
        plan: a recipe of a model of interactions.
        schema: of its data.
    """
    with torch.random.fork_rng(devices=[]):
        model = build(plan, replace(schema, shape=(2,))).state_dict()
        wider = build(plan, replace(schema, shape=(3,))).state_dict()
    axes = {}
    for name, tensor in model.items():
        for axis, (size, wider_size) in enumerate(
            zip(tensor.shape, wider[name].shape, strict=True)
        ):
            if size != wider_size:
                axes[name] = axis
    return axes


def moved_rows(
    weights: Mapping[str, Tensor], axes: Mapping[str, int], at: Tensor
) -> dict[str, Tensor]:
    """Puts the rows of items where another catalogue has them.

    Args:
        weights: by name, those of a run.
        axes: of the items, by the names of the weights that have one.
        at: the position of each item of the other catalogue among those of the run, (I,) int64; -1
            where the run does not know it. It gets the mean of the rows of those that are known.

    Returns:
        All weights; those without an axis of items as they are.
    """
    known = at[at >= 0]
    found = {}
    for name, tensor in weights.items():
        if name not in axes:
            found[name] = tensor
            continue
        rows = tensor.movedim(axes[name], 0)
        moved = rows[at.clamp(min=0)].clone()
        moved[at < 0] = rows[known].mean(0)
        found[name] = moved.movedim(0, axes[name]).contiguous()
    return found

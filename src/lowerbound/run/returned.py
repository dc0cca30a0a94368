"""What a run gives back of p(x | z): tensors as the model sees them, or the data's own units; rows
of a table with columns of several kinds are frames there.
"""

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from ..data import Schema
from ..data.frames import to_frame
from ..errors import ConfigError, one_line, unknown
from ..evaluation.batches import chunk_size, evaluating
from ..families.columns import TableDistribution
from ..model import VAE
from ..training.seeds import derive_seed

if TYPE_CHECKING:
    from polars import DataFrame

Units = Literal["data", "model"]
"""The units of what a run gives back: those of the data, or as the model sees them."""

CHUNKS_SEEDED = 32
"""So many chunks of samples are drawn from one random stream; the next ones from another."""

LEAST_DRAWN = 16
"""So many samples are drawn at least; fewer are the first of them.

PyTorch draws fewer than 16 normal numbers in another way than more of them.
"""


def refuse_units(units: str) -> None:
    """Refuses units that there are not.

    Raises:
        ConfigError: there are no such units.
    """
    if units not in ("data", "model"):
        raise ConfigError(unknown("units", str(units), ("data", "model")))


def refuse_temperature(temperature: object) -> None:
    """Refuses what is no temperature of priors.

    Raises:
        ConfigError: it is no number above 0.
    """
    is_number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    if not is_number or not 0 < temperature < math.inf:  # type: ignore[operator]
        got = one_line(temperature, 60)
        raise ConfigError(
            f"temperature must be a number above 0, got {got}; 1 leaves the priors as they are"
        )


def are_rows(schema: Schema, units: Units) -> bool:
    """Says whether what is given back in these units are rows of a frame."""
    return bool(schema.table) and units == "data"


def means_of(p: Distribution, schema: Schema, units: Units) -> Tensor:
    """Returns the means of p(x | z), (..., *shape) on the CPU, in the units that are asked for.

    Of a table with columns of several kinds they are the means of numbers, in their own units and
    with the decimals that they have there, and the positions of the most probable levels.
    """
    table = getattr(p, "base_dist", p)
    if are_rows(schema, units) and isinstance(table, TableDistribution):
        means = table.data_mean.cpu().numpy()
        return torch.from_numpy(schema.coding.rounded(means))
    return in_units(p.mean.cpu(), schema, units)


def in_units(values: Tensor, schema: Schema, units: Units) -> Tensor:
    """Returns values as the model sees them, (..., *shape), in the units that are asked for.

    Raises:
        ConfigError: there are no such units.
    """
    refuse_units(units)
    if units == "model" or not (schema.mean or schema.table):
        return values
    return torch.from_numpy(schema.restore(values.numpy()))


def presented(
    parts: Iterable[Tensor], schema: Schema, units: Units, conditions: np.ndarray | None = None
) -> Any:
    """Joins values in these units, (..., *shape) each: a tensor, or a frame of rows, behind which
    stand their conditions (N, G), where there are some.
    """
    values = torch.cat(list(parts))
    if not are_rows(schema, units):
        return values
    return rows_of(values.flatten(end_dim=-2).numpy(), schema, conditions)


def rows_of(values: np.ndarray, schema: Schema, conditions: np.ndarray | None) -> "DataFrame":
    """Makes a frame of rows (N, D) in the units of the data, and of their conditions (N, G)."""
    frame = to_frame(schema.table, values)
    if conditions is None:
        return frame
    return frame.hstack(to_frame(schema.given, conditions))


def drawn(
    model: VAE,
    schema: Schema,
    n: int,
    *,
    mean: bool,
    seed: int,
    units: Units,
    given: Tensor | None = None,
    temperature: float = 1.0,
) -> Iterator[Tensor]:
    """Yields `n` samples in pieces (m, *shape) of bounded size: means of p(x | z), or draws.

    Those of a conditional model have the conditions `given`, codes (n, G). The temperature is that
    of the priors, see `latents.cooled`. Each `CHUNKS_SEEDED` pieces have a random stream of their
    own, the first that of the seed itself. Fewer than `LEAST_DRAWN` samples are the first of so
    many.
    """
    size = chunk_size(model)
    at_once = size * CHUNKS_SEEDED
    count = max(n, LEAST_DRAWN)
    if given is not None and len(given) < count:
        others = given[-1:].expand(count - len(given), -1)
        given = torch.cat([given, others])
    left = n
    for number, start in enumerate(range(0, count, at_once)):
        stream = seed
        if number:
            stream = derive_seed(seed, number)
        part = None
        if given is not None:
            part = given[start : start + at_once].to(next(model.parameters()))
        with evaluating(model, stream):
            of_stream = min(at_once, count - start)
            pieces = list(_draw(model, schema, of_stream, size, mean, units, part, temperature))
        for piece in pieces:
            if left > 0:
                yield piece[:left]
            left -= len(piece)


def _draw(
    model: VAE,
    schema: Schema,
    n: int,
    size: int,
    mean: bool,
    units: Units,
    given: Tensor | None,
    temperature: float,
) -> Iterator[Tensor]:
    """Yields `n` samples from the present random stream, `size` at a time."""
    for start in range(0, n, size):
        part = None
        if given is not None:
            part = given[start : start + size]
        p = model.generate(min(size, n - start), part, temperature)
        if mean:
            yield means_of(p, schema, units)
        else:
            yield in_units(p.sample().cpu(), schema, units)

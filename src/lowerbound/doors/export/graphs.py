"""The graphs that are exported: what each takes, what it gives, and how it is computed.

A graph is a module of tensors alone, around the model of a run. It is computed by the very code of
the model, so that there is no second definition of it.
"""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...batch import Batch
from ...data import Schema
from ...errors import ConfigError
from ...latents import TopDown
from ...model import VAE
from ...run import Run
from .padded import NO_ITEM, PaddedRows
from .ports import Port
from .units import FromData, ToData

BATCH = "batch"
"""The name of the dimension of examples."""

LENGTH = "length"
"""The name of the dimension of the items of a list."""


class Graph(nn.Module):
    """What is exported of a run.

    Attributes:
        takes: the inputs, in the order of the arguments of `forward`.
        gives: the outputs, in the order of what `forward` returns.
    """

    takes: tuple[Port, ...]
    gives: tuple[Port, ...]

    @abstractmethod
    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Computes the outputs of a batch of inputs."""


class Rows(nn.Module):
    """Makes the batch that a model sees of what a graph is given: raw rows and their conditions, or
    lists of items.

    Attributes:
        takes: the inputs.
    """

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema
        self.is_binary: bool = schema.levels == 2
        self.from_data: FromData = FromData(schema)
        self.takes: tuple[Port, ...] = _ports_of_rows(schema)

    def forward(self, *inputs: Tensor) -> Batch:
        """Returns the batch of the inputs."""
        if not self.schema.is_sparse:
            return self.from_data(*inputs)
        if not self.schema.given:
            return Batch(self.histories(*inputs))
        *lists, given = inputs
        return Batch(self.histories(*lists), self.from_data.codes_of_conditions(given))

    def histories(self, items: Tensor, weights: Tensor | None = None) -> PaddedRows:
        """Returns lists of items (B, L) as rows, without the items that the run does not know.

        Where every item counts 1, one that is listed twice counts once; elsewhere its weights add
        up.
        """
        width = self.schema.shape[0]
        is_known = (items >= 0) & (items < width)
        columns = torch.where(is_known, items, 0)
        if weights is None:
            values = (is_known & self._is_first(columns, is_known)).float()
        else:
            values = torch.where(is_known, weights, 0)
        return PaddedRows(columns, values, width)

    def _is_first(self, columns: Tensor, is_known: Tensor) -> Tensor:
        """Says which places have an item for the first time in their list, (B, L)."""
        batch, length = columns.shape
        places = torch.arange(length).expand(batch, length)
        target = torch.where(is_known, columns, self.schema.shape[0])
        none = torch.full((batch, self.schema.shape[0] + 1), -1)
        # The last of equal items stands for all of them.
        last = none.scatter_reduce(1, target, places, "amax")
        return last.gather(1, target) == places


def _ports_of_rows(schema: Schema) -> tuple[Port, ...]:
    """Returns the inputs of a graph that takes examples."""
    if schema.is_sparse:
        meaning = f"positions of the items that a user has, 0 to {schema.shape[0] - 1}; -1 is none"
        ports = [Port("history", (BATCH, LENGTH), torch.int64, meaning)]
        if schema.levels != 2:
            meaning = "the weight of each of these items, above 0"
            ports.append(Port("weights", (BATCH, LENGTH), torch.float32, meaning))
        return (*ports, *port_of_conditions(schema))
    rows = Port("x", (BATCH, *schema.shape), type_of(schema), meaning_of(schema))
    return (rows, *port_of_conditions(schema))


def type_of(schema: Schema) -> torch.dtype:
    """Returns the type of raw rows: that of a table has room for dates and for money."""
    if schema.table or schema.mean:
        return torch.float64
    return torch.float32


def meaning_of(schema: Schema) -> str:
    """Says what the numbers of raw rows are."""
    if schema.table:
        return "numbers of the columns in their own units, positions of levels; NaN is a gap"
    if schema.mean:
        return "numbers in the units of the data"
    if schema.levels is None:
        return "numbers as in the data"
    if schema.levels == 2:
        return "pixels, 0 or 1"
    return f"grey levels, 0 to {schema.levels - 1}"


def port_of_conditions(schema: Schema) -> tuple[Port, ...]:
    """Returns the input for conditions, if a run has some."""
    if not schema.given:
        return ()
    names = ", ".join(schema.names_of_conditions)
    meaning = f"conditions ({names}): numbers, or positions of levels; NaN is not known"
    return (Port("given", (BATCH, len(schema.given)), torch.float64, meaning),)


def ports_of_latents(model: VAE, of: str) -> list[Port]:
    """Returns an input or output for each level of latent variables, the one next to the data
    first.
    """
    sizes = model.latents.sizes
    if len(sizes) == 1:
        return [Port("z", (BATCH, sizes[0]), torch.float32, of)]
    ports = []
    for number, size in enumerate(sizes, start=1):
        meaning = f"{of} at level {number}"
        ports.append(Port(f"z{number}", (BATCH, size), torch.float32, meaning))
    return ports


class Encode(Graph):
    """Posterior means of all levels."""

    def __init__(self, run: Run, model: VAE) -> None:
        super().__init__()
        self.model = model
        self.rows: Rows = Rows(run.schema)
        self.takes: tuple[Port, ...] = self.rows.takes
        self.gives: tuple[Port, ...] = tuple(ports_of_latents(model, "posterior means of z"))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.encode(self.rows(*inputs)))


class Means(nn.Module):
    """The means of p(x | z) as a graph gives them.

    Attributes:
        gives: the output.
    """

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.to_data: ToData = ToData(schema)
        meaning = f"means of p(x | z): {meaning_of(schema)}"
        if schema.is_sparse:
            meaning = "means of p(x | z) for each item"
        if schema.table:
            meaning = (
                "means of numbers under p(x | z) in the units of the columns, not rounded; "
                "positions of the most probable levels"
            )
        if schema.levels == 2 and not schema.is_sparse:
            meaning = "means of p(x | z): probabilities that pixels are 1"
        name = "reconstruction"
        self.gives: tuple[Port, ...] = (
            Port(name, (BATCH, *schema.shape), type_of(schema), meaning),
        )

    def forward(self, p: Any) -> tuple[Tensor, ...]:
        return (self.to_data(p),)


class Reconstruct(Graph):
    """Means of p(x | z) at the posterior means."""

    def __init__(self, run: Run, model: VAE) -> None:
        super().__init__()
        self.model = model
        self.rows: Rows = Rows(run.schema)
        self.means: Means = Means(run.schema)
        self.takes: tuple[Port, ...] = self.rows.takes
        self.gives: tuple[Port, ...] = self.means.gives

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.means(self.model.reconstruction(self.rows(*inputs)))


class Decode(Graph):
    """Means of p(x | z) for values of z: of z1 where the decoder sees nothing else, as in a chain,
    and of all levels of a ladder.
    """

    def __init__(self, run: Run, model: VAE) -> None:
        super().__init__()
        self.model = model
        self.from_data: FromData = FromData(run.schema)
        self.means: Means = Means(run.schema)
        levels = ports_of_latents(model, "values of z")
        if not isinstance(model.latents, TopDown):
            levels = levels[:1]
        self.levels: int = len(levels)
        self.takes: tuple[Port, ...] = (*levels, *port_of_conditions(run.schema))
        self.gives: tuple[Port, ...] = self.means.gives

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        zs = list(inputs[: self.levels])
        given = None
        if len(inputs) > self.levels:
            given = self.from_data.codes_of_conditions(inputs[-1])
        return self.means(self._decoded(zs, given))

    def _decoded(self, zs: list[Tensor], given: Tensor | None) -> Any:
        """Returns p(x | z)."""
        if isinstance(self.model.latents, TopDown):
            return self.model.decode_levels(zs, Batch(zs[0], given))
        return self.model.decode(zs[0], given)


FOLDED_BYTES = 10**9
"""A graph holds a table of items x items of up to this many bytes."""


def _with_folded_partner(model: VAE) -> VAE:
    """Returns a model whose linear partner, if there is one, is made of dense tables alone: ONNX
    multiplies no sparse matrices.

    Raises:
        ConfigError: the tables would be too large.
    """
    partner = model.partner
    if partner is None or partner.scorer.shared is None:
        return model
    items = model.shape[0]
    size = 4 * items**2
    if size > FOLDED_BYTES:
        raise ConfigError(
            f"the file would hold a table of {items:,} x {items:,} items ({size / 1e9:.1f} GB) for "
            f"the {partner.method['type']} beside the network; allowed: up to "
            f"{FOLDED_BYTES / 1e9:g} GB; serve the run by lowerbound serve, or fit it without "
            "[blend]"
        )
    shallow = copy.copy(model)
    shallow.partner = replace(partner, scorer=partner.scorer.folded())
    return shallow


class Recommend(Graph):
    """The best items for lists of items, without those that are listed."""

    def __init__(self, run: Run, model: VAE, k: int) -> None:
        super().__init__()
        self.model: VAE = _with_folded_partner(model)
        self.rows: Rows = Rows(run.schema)
        self.k: int = min(k, run.schema.shape[0])
        self.takes: tuple[Port, ...] = self.rows.takes
        shape = (BATCH, self.k)
        items = "positions of the best items, the best first; -1 where none is left"
        scores = "what they are ranked by, higher is better: natural parameters of p(x | z)"
        if model.partner is not None:
            scores += f", plus {model.partner.weight:g} x the logarithm of linear scores"
        self.gives: tuple[Port, ...] = (
            Port("items", shape, torch.int64, items),
            Port("scores", shape, torch.float32, scores),
        )

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        batch = self.rows(*inputs)
        histories: Any = batch.x
        scores = self.model.item_scores(batch)
        best = torch.topk(self._without_seen(scores, histories), self.k)
        is_known = histories.counts > 0
        if batch.given is not None:
            is_known = is_known | ~batch.given.isnan().all(1)
        is_left = (best.values > -torch.inf) & is_known.unsqueeze(1)
        items = torch.where(is_left, best.indices, NO_ITEM)
        return items, torch.where(is_left, best.values, torch.nan)

    @staticmethod
    def _without_seen(scores: Tensor, histories: PaddedRows) -> Tensor:
        """Sets the scores (B, I) of items that are listed to minus infinity."""
        width = scores.shape[1]
        # What is no entry goes to one more column, which is cut off.
        target = torch.where(histories.values != 0, histories.columns, width)
        seen = torch.zeros(scores.shape[0], width + 1, dtype=torch.bool)
        seen = seen.scatter(1, target, True)
        return torch.where(seen[:, :width], -torch.inf, scores)


def example_of(ports: Sequence[Port], batch: int, length: int) -> tuple[Tensor, ...]:
    """Makes inputs of zeros.

    Args:
        ports: what the graph takes.
        batch: the number of examples.
        length: the length of lists of items.
    """
    lengths = {BATCH: batch, LENGTH: length}
    inputs = []
    for port in ports:
        shape = [size if isinstance(size, int) else lengths[size] for size in port.shape]
        inputs.append(torch.zeros(shape, dtype=port.dtype))
    return tuple(inputs)

"""Examples with their codes, which can be searched many times."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..data import Split
from ..errors import DataError
from ..recommend import Catalogue
from ..run import Run
from .found import Similar
from .items import describe_item, names_of_items
from .metrics import nearest, refuse_metric, spreads_of_posteriors
from .query import Query, find_query

ENCODED_AT_ONCE = 8192
"""So many examples are encoded between two signs of progress."""


def default_metric(run: Run) -> str:
    """Returns the metric of a run where none is asked for: "mahalanobis", or "cosine" for an
    autoencoder, whose posterior has no spread.
    """
    if run.recipe.objective.has_bound:
        return "mahalanobis"
    return "cosine"


def pieces_of(examples: Split) -> int:
    """Counts the signs of progress while examples are encoded."""
    return -(-len(examples) // ENCODED_AT_ONCE)


@dataclass(frozen=True, eq=False)
class Encoded:
    """Examples with their codes.

    Attributes:
        run: what encodes.
        examples: what is searched.
        codes: (N, D) on the CPU, for `mahalanobis` divided by the spreads.
        metric: see `metrics.Metric`.
        level: whose codes they are, 0 for z1; None for all levels side by side.
        spreads: of the posteriors, (D,); None where the metric is another one.
        source: what the examples are from.
        whole: all examples of the source, of which some may be searched; None where all are.
        catalogue: names the examples where they are items, see `items.histories_of_items`.
    """

    run: Run
    examples: Split
    codes: Tensor
    metric: str
    level: int | None
    spreads: Tensor | None
    source: str
    whole: Split | None = None
    catalogue: Catalogue | None = None

    @classmethod
    def of(
        cls,
        run: Run,
        examples: Split,
        *,
        metric: str | None = None,
        level: int | None = None,
        source: str = "",
        begin: Callable[[str], None] = lambda name: None,
    ) -> "Encoded":
        """Encodes examples.

        Args:
            run: what encodes.
            examples: what is to be searched.
            metric: see `metrics.Metric`; None takes `default_metric`.
            level: the level whose codes are compared, 0 for z1; None for all.
            source: the name of what the examples are from.
            begin: is told of each piece of the work when it begins.

        Raises:
            ConfigError: there is no such metric or level, or the posterior has no spread.
        """
        metric = metric or default_metric(run)
        refuse_metric(metric)
        if level is not None:
            run.refuse_level(level)
        # What an encoder sees of binarised pixels is a function of the image alone.
        examples = examples.drawn_alike()
        parts = []
        for start in range(0, len(examples), ENCODED_AT_ONCE):
            begin(f"row {start:,} of {len(examples):,}")
            part = examples.take(slice(start, start + ENCODED_AT_ONCE))
            parts.append(_codes(run, part, level))
        codes = torch.cat(parts)
        spreads = None
        if metric == "mahalanobis":
            begin("spreads")
            spreads = _of_level(run, spreads_of_posteriors(run.model, examples), level)
            codes = codes / spreads
        return cls(run, examples, codes, metric, level, spreads, source)

    def nearest_to(self, to: Any, k: int) -> Similar:
        """Finds the k examples nearest to one, see `neighbours.similar`; itself is not among them.

        Raises:
            DataError: there is no such example, or no other one.
        """
        query = self._find(to)
        if query.position is not None and len(self.examples) < 2:
            raise DataError("there is no other example to be like this one")
        example = query.example.drawn_alike()
        code = _codes(self.run, example, self.level)[0]
        if self.spreads is not None:
            code = code / self.spreads
        best = nearest(self.codes, code, k, self.metric, query.position)
        neighbours = self.examples.take(best.positions)
        names = neighbours.names_of_rows()
        if self.catalogue is not None:
            names = names_of_items(self.catalogue, best.positions)
        return Similar(
            to=query.text,
            names=names,
            values=best.values,
            metric=self.metric,
            source=self.source,
            searched=len(self.examples),
            query=example,
            found=neighbours,
            caveat=self.run.unfinished,
        )

    def _find(self, to: Any) -> Query:
        """Finds the example, or the item, that `to` stands for."""
        if self.catalogue is None:
            return find_query(self.run, to, self.examples, self.whole)
        position = self.catalogue.column(to)
        example = self.examples.take(slice(position, position + 1))
        return Query(describe_item(self.catalogue, position), example, position)


def _codes(run: Run, examples: Split, level: int | None) -> Tensor:
    """Encodes examples, all levels side by side or one of them, (N, D)."""
    return _of_level(run, torch.cat(run.encode(examples), 1), level)


def _of_level(run: Run, values: Tensor, level: int | None) -> Tensor:
    """Takes the part (..., d) of one level out of values (..., D) of all; None takes all."""
    if level is None:
        return values
    return values.split(run.model.latents.sizes, -1)[level]

"""What is measured of the examples of a request."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...anomalies.cells import OddCells, find_odd_cells, usual_of_gaps
from ...data import Examples
from ...evaluation import percentile
from ...evaluation.likelihood import LIKELIHOOD_SAMPLES
from ...evaluation.measure import MeasureSettings, draws_for, measure_split
from .problems import Problem
from .served import Served

MOST_DRAWS = 2**18
"""A request may ask for so many importance samples, over all its examples."""


@dataclass(frozen=True, eq=False)
class Scored:
    """What was measured of N examples.

    Attributes:
        columns: the measures by name, (N,) each.
        odd: the odd cells of rows of a table, or None.
        samples: importance samples for each example.
        reference: how many held-out examples the percentiles are of.
        reference_split: their split, or None where there are none.
    """

    columns: dict[str, np.ndarray]
    odd: OddCells | None
    samples: int
    reference: int
    reference_split: str | None

    def lines(self) -> list[dict[str, Any]]:
        """Returns what is told of each example."""
        names = list(self.columns)
        lines: list[dict[str, Any]] = []
        for numbers in zip(*self.columns.values(), strict=True):
            lines.append(dict(zip(names, map(float, numbers), strict=True)))
        if self.odd is not None:
            for row, line in enumerate(lines):
                line |= describe_odd_cells(self.odd, row)
        return lines


def describe_odd_cells(odd: OddCells, row: int) -> dict[str, Any]:
    """Returns the odd cells of one row."""
    found = odd.columns_of(slice(row, row + 1))
    cells = []
    for place in range(odd.positions.shape[1]):
        name = f"odd_{place + 1}"
        column = found[name][0]
        if column is not None:
            value = found[f"{name}_value"][0]
            cells.append({"column": column, "value": value, "below": found[f"{name}_below"][0]})
    return {"gaps": int(odd.gaps[row]), "odd": cells}


def refuse_without_likelihood(served: Served) -> None:
    """Refuses runs that give no likelihood.

    Raises:
        Problem: the run is a recommender or an autoencoder.
    """
    served.refuse_kinds("recommender")
    if not served.run.recipe.objective.has_bound:
        raise Problem(404, f"{served.name} is an autoencoder, which has no likelihood")


def score(served: Served, examples: Examples, samples: int | None, seed: int) -> Scored:
    """Measures examples: the bound, the log-likelihood and, where the run has kept what held-out
    examples score by as many samples, the percentile among them.

    Args:
        served: the run.
        examples: as its model sees them.
        samples: importance samples for each; None: as many as the run has kept scores of.
        seed: of the draws.

    Raises:
        Problem: more draws are asked for than one request may have.
    """
    kept = served.reference
    if samples is None:
        samples = LIKELIHOOD_SAMPLES
        if kept is not None:
            samples = kept.samples
    if samples * len(examples) > MOST_DRAWS:
        raise Problem(
            422,
            f"{len(examples)} examples of {samples} samples are {samples * len(examples)} draws; "
            f"allowed: {MOST_DRAWS}",
        )
    run = served.run
    settings = MeasureSettings(seed=seed, samples=samples, draws=draws_for(len(examples)))
    measured = measure_split(examples, run.model, settings)
    columns = {name: measured.per_row(name).numpy() for name in ("elbo", "log_likelihood")}
    judged = columns["log_likelihood"]
    odd = None
    if kept is not None and kept.usual is not None and run.schema.table:
        columns["adjusted"] = judged + usual_of_gaps(examples, kept.usual)
        judged = columns["adjusted"]
        odd = find_odd_cells(run.model, examples, kept.usual, seed)
    if kept is None or kept.samples != samples:
        return Scored(columns, odd, samples, 0, None)
    held_out = kept.reference
    likely = held_out.get("adjusted", held_out["log_likelihood"])
    columns["percentile"] = percentile(judged, likely)
    return Scored(columns, odd, samples, len(likely), kept.reference_split)

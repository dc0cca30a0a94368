"""What the draws of an imputation are best drawn from: how many of them the weights leave, and how
far single imputations are from those of many draws.

    python benchmarks/imputation_proposals.py RUN [--hide 0.5] [--rows 120] [--samples 1000]

RUN is a fitted run of the recipe `table`, such as of adult. Known cells of the first rows of its
validation split are hidden at random (seed 0). The posterior of the lowest level is as it is, and
then half, 0.7 and one and a half times as wide: an encoder that is wrong about gaps. The reference
is of 20,000 draws of `ABOUT_MODES` of the model as it is; stretched posteriors leave what is to be
found as it is. Errors of numbers are in standard deviations of their columns.
"""

from typing import Any

import numpy as np
from torch import nn
from torch.distributions import Distribution, Independent, Normal

from common import arguments, parser, write
from lowerbound import load
from lowerbound.evaluation.proposal import (
    ABOUT_MODES,
    DEFENSIVE,
    POSTERIOR_ALONE,
    Proposal,
    Stretch,
)
from lowerbound.imputation.completion import Completer
from lowerbound.imputation.errors import deviations
from lowerbound.imputation.hiding import draw_hidden

FACTORS = (0.5, 0.7, 1.0, 1.5)
"""The width of the posterior over that of the fitted one."""

PROPOSALS = {
    "posterior": POSTERIOR_ALONE,
    "lighter": Proposal((Stretch(0.2, 2.0),), 0.1),
    "defensive": DEFENSIVE,
    "about modes": ABOUT_MODES,
}
"""What is compared; `lighter` has seven draws in ten from the posterior."""

REFERENCE = 20_000
"""Draws of the reference."""


class Scaled(nn.Module):
    """A posterior that is Normal, stretched about its mean."""

    def __init__(self, posterior: nn.Module, factor: float) -> None:
        super().__init__()
        self.posterior = posterior
        self.factor = factor

    def forward(self, *context: Any) -> Distribution:
        """Gives the stretched posterior."""
        q = self.posterior(*context).base_dist
        return Independent(Normal(q.mean, q.stddev * self.factor), 1)


def main() -> None:
    """Measures, prints a table in Markdown and writes the figures."""
    words = parser(__doc__)
    words.add_argument("run", help="folder of a run of the recipe table")
    words.add_argument("--hide", type=float, default=0.5)
    words.add_argument("--rows", type=int, default=120)
    words.add_argument("--samples", type=int, default=1000)
    given = arguments(words)
    run = load(given.run)
    columns = run.schema.table
    values = run.data().validation.values_at(slice(0, given.rows))
    hidden = draw_hidden(values, given.hide, seed=0)
    gaps = np.where(hidden, np.nan, values)
    is_number = np.array([column.is_number for column in columns])
    deviation = deviations(run.data().train.values_at(slice(None)))
    reference = Completer(run.model, columns, samples=REFERENCE, seed=99).complete(gaps).values
    fitted = run.model.latents.posteriors[0]
    rows = []
    print("| width | proposal | RMS of numbers | levels equal | effective: 1 %, 10 %, median |")
    print("|---|---|---|---|---|")
    for factor in FACTORS:
        run.model.latents.posteriors[0] = Scaled(fitted, factor)
        for name, proposal in PROPOSALS.items():
            filler = Completer(run.model, columns, samples=given.samples, proposal=proposal, seed=1)
            found = filler.complete(gaps)
            errors = ((found.values - reference) / deviation)[hidden & is_number]
            equal = (found.values == reference)[hidden & ~is_number].mean()
            worth = np.nanquantile(found.effective, [0.01, 0.1, 0.5])
            rows.append(
                {
                    "factor": factor,
                    "proposal": name,
                    "rms": float(np.sqrt((errors**2).mean())),
                    "levels_equal": float(equal),
                    "effective": worth.tolist(),
                }
            )
            shown = ", ".join(f"{number:.0f}" for number in worth)
            print(
                f"| {factor} | {name} | {rows[-1]['rms']:.3f} | {equal:.3f} | {shown} |", flush=True
            )
    write("imputation-proposals", {"rows": rows}, given)


if __name__ == "__main__":
    main()

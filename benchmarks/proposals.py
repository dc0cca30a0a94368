"""How far below the truth log p(x) comes out by importance sampling, for encoders that are too
narrow or too wide, by what the samples are drawn from.

    python benchmarks/proposals.py [--examples 300] [--sizes 2 8 20 50] [--levels 1]

The models are linear and Gaussian, so that log p(x) is known. Their posteriors are exact, and then
stretched by a factor, which leaves p(x) as it is: whatever differs between the columns is of the
estimate alone. `DEFENSIVE` of `lowerbound.evaluation.proposal` was chosen by this table.
"""

import argparse
import math
from typing import Any

import torch
from torch import Tensor, nn

from common import arguments, parser, write
from lowerbound.evaluation import importance_log_likelihood
from lowerbound.evaluation.proposal import DEFENSIVE, POSTERIOR_ALONE, Proposal, Stretch
from lowerbound.testing import LinearGaussian, Rows, linear_gaussian

FACTORS = (0.4, 0.6, 0.8, 1.0, 1.5)
"""The scale of the posterior over that of the true one."""

SAMPLES = (20, 100, 1_000)
"""Numbers of importance samples."""


def three_times(size: int) -> Proposal:
    """Half of the posterior, 0.3 of three times its scale in any number of dimensions, 0.2 of the
    prior.
    """
    return Proposal((Stretch(0.3, 2 * math.sqrt(size)),), 0.2)


def proposals(size: int) -> dict[str, Proposal]:
    """What is compared on a model with so many latent dimensions in all."""
    return {
        "posterior": POSTERIOR_ALONE,
        "0.5 / 0.3 of 3 times / 0.2 prior": three_times(size),
        "0.5 / 0.3 of 1 + 2 / sqrt(d) / 0.2 prior": Proposal((Stretch(0.3, 2.0),), 0.2),
        "defensive": DEFENSIVE,
    }


def stretched(factor: float, levels: int, size: int) -> LinearGaussian:
    """A model whose posteriors have this factor times the scale of the true ones."""
    truth = linear_gaussian(levels, size=size, data=size + 3)
    for posterior in truth.model.latents.get_submodule("posteriors").children():
        (layer,) = (part for part in posterior.modules() if isinstance(part, nn.Linear))
        with torch.no_grad():
            layer.bias[len(layer.bias) // 2 :] += 2 * math.log(factor)
    return truth


def bias(truth: LinearGaussian, x: Tensor, samples: int, proposal: Proposal) -> dict[str, float]:
    """The mean error of log p(x) in nats, and what the estimate says of itself."""
    found = importance_log_likelihood(truth.model, Rows(x), samples=samples, proposal=proposal)
    exact = truth.log_evidence(x).mean().item()
    return {
        "bias": found.log_likelihood.value - exact,
        "looseness": found.looseness,
        "median_effective_samples": found.median_effective_samples,
        "pareto_k_above": found.unreliable or 0.0,
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Prints and returns the errors by size, number of samples, proposal and factor."""
    rows = []
    for size in given.sizes:
        torch.manual_seed(0)
        truths = [stretched(factor, given.levels, size) for factor in FACTORS]
        examples = [truth.sample(given.examples) for truth in truths]
        for samples in SAMPLES:
            print(f"{size} dimensions, {samples} samples; posteriors of {FACTORS} times the scale")
            for name, proposal in proposals(size * given.levels).items():
                pairs = zip(truths, examples, strict=True)
                found = [bias(truth, x, samples, proposal) for truth, x in pairs]
                told = "  ".join(f"{each['bias']:+8.3f}" for each in found)
                print(f"  {name:42}  {told}")
                rows.append({"size": size, "samples": samples, "proposal": name, "found": found})
    return {"factors": FACTORS, "rows": rows}


def main() -> None:
    """Writes results/proposals.json."""
    words = parser(__doc__)
    words.add_argument("--examples", type=int, default=300)
    words.add_argument("--sizes", type=int, nargs="+", default=[2, 8, 20, 50])
    words.add_argument("--levels", type=int, default=1)
    given = arguments(words)
    write("proposals", measure(given), given)


if __name__ == "__main__":
    main()

"""Learned priors and flow posteriors, each against the same model with N(0, I) and a Normal.

    python benchmarks/priors.py [--rows vamp ...] [--seeds 0 1 2] [--epochs N] [--samples K]
    [--images N] [--choose] [--results FOLDER]

The rows are pairs of fits with the same steps, the same batches in the same order and the same
network, latents and learning rate: the recipe `vamp-mnist` with the prior N(0, I) and the posterior
Normal, and the same with one part changed. For each seed the plain model is fitted once, and every
row is compared with it.

All is measured on the test images of dynamically binarised MNIST, binarised in one way for all:
the ELBO, by one draw for each image and with the rates as the model has them, and log p(x) by K
importance samples, a lower bound. What is told is the difference of the pair, image by image:
`value`, its mean over images and seeds; `images`, the standard error over images, which more seeds
do not make smaller since they share the images; `seeds`, that over seeds. Seconds are of CPU.

The settings are those of the recipe. They were chosen on validation images alone, by `--choose`:
it fits each of `LEARNING_RATES` for every row with the first seed, prints and writes the ELBO and
log p(x) of the validation split (results/priors-choice.json), and does not look at the test images.

results/priors.json is written after each seed. It keeps the seeds that an earlier run left, if its
options were the same, so that seeds can be measured in processes of their own.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from torch import Tensor

import lowerbound
from common import arguments, parser, write
from lowerbound.evaluation import bound, importance_log_likelihood
from lowerbound.evaluation.statistics import Estimate

RECIPE = "vamp-mnist"

PLAIN = "plain"

SETTINGS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "vamp": {"model.prior": "VampPrior"},
    "flow prior": {"model.prior": "FlowPrior"},
    "flow posterior": {"model.posterior": "FlowPosterior"},
    "both flows": {"model.prior": "FlowPrior", "model.posterior": "FlowPosterior"},
}
"""What each row changes of the plain model."""

ROWS = [name for name in SETTINGS if name != PLAIN]

WANTED = {"vamp": 1.0, "flow prior": 0.8, "flow posterior": 0.3}
"""The nats by which each is to be better."""

LEARNING_RATES = (1e-3, 2e-3)

MEASURES = ("elbo", "log_likelihood")

COMPARED = ("epochs", "samples", "images", "data")
"""The options by which two runs of this script measure the same."""


class Measured(NamedTuple):
    """What a fit reached on some images.

    Attributes:
        elbo: of each image, (N,).
        log_likelihood: of each of the first images, (n,).
        looseness: how far log p(x) may be below the truth, in nats.
        rate: KL(q || p), nats.
        seconds: of CPU of the fit.
        steps: of the optimiser.
    """

    elbo: Tensor
    log_likelihood: Tensor
    looseness: float
    rate: float
    seconds: float
    steps: int

    def describe(self) -> dict[str, Any]:
        """Returns the means with their standard errors over images."""
        return {
            "elbo": Estimate.of(self.elbo)._asdict(),
            "log_likelihood": Estimate.of(self.log_likelihood)._asdict(),
            "looseness": self.looseness,
            "rate": self.rate,
            "seconds": self.seconds,
            "steps": self.steps,
        }

    def minus(self, plain: "Measured") -> dict[str, dict[str, float]]:
        """Returns the differences to the plain model, image by image."""
        return {
            "elbo": Estimate.of(self.elbo - plain.elbo)._asdict(),
            "log_likelihood": Estimate.of(self.log_likelihood - plain.log_likelihood)._asdict(),
        }


def fit_and_measure(
    name: str, seed: int, split: str, given: argparse.Namespace, **changed: Any
) -> Measured:
    """Fits one row, and measures it on a split.

    Args:
        name: of the row, or `PLAIN`.
        seed: of the fit.
        split: "test" or "validation".
        given: the options.
        changed: further settings of the training.
    """
    settings = {"model.prior": "StandardNormal", "model.posterior": "Normal"} | SETTINGS[name]
    settings |= {f"training.{key}": value for key, value in changed.items()}
    settings |= {"report.write": False, "training.accelerator": "cpu"}
    settings["training.threads"] = given.threads
    if given.epochs:
        settings["training.epochs"] = given.epochs
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = lowerbound.fit(
            RECIPE,
            data=given.data,
            out=Path(folder) / "run",
            seed=seed,
            settings=settings,
            progress=False,
        )
        seconds = time.process_time() - started
        images = run.data().split(split)
    found = bound(run.model, images)
    first = images.take(slice(0, given.images))
    likelihood = importance_log_likelihood(run.model, first, samples=given.samples)
    batches = math.ceil(len(run.data().split("train")) / run.recipe.training.batch_size)
    measured = Measured(
        found.per_example,
        likelihood.per_example,
        likelihood.looseness,
        sum(found.rate),
        seconds,
        batches * run.recipe.training.epochs,
    )
    print(f"{name}, seed {seed}: {told(measured)}", file=sys.stderr, flush=True)
    return measured


def told(measured: Measured) -> str:
    """Says what a fit reached in a line."""
    elbo = Estimate.of(measured.elbo).value
    likelihood = Estimate.of(measured.log_likelihood).value
    return (
        f"ELBO {elbo:.2f}, log p(x) >= {likelihood:.2f}, rate {measured.rate:.1f}, "
        f"{measured.seconds:.0f} s"
    )


def measure_seed(seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Fits the plain model and every row with one seed, and compares them on the test images."""
    plain = fit_and_measure(PLAIN, seed, "test", given)
    found: dict[str, Any] = {"seed": seed, PLAIN: plain.describe()}
    for name in given.rows:
        measured = fit_and_measure(name, seed, "test", given)
        found[name] = measured.describe() | {"difference": measured.minus(plain)}
    return found


def choose(given: argparse.Namespace) -> dict[str, Any]:
    """Fits every row with each learning rate, and measures them on the validation images."""
    found: dict[str, Any] = {}
    for rate in LEARNING_RATES:
        for name in (PLAIN, *given.rows):
            measured = fit_and_measure(
                name, given.seeds[0], "validation", given, learning_rate=rate
            )
            found.setdefault(name, {})[f"{rate:g}"] = measured.describe()
    return found


def pooled(seeds: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Returns the differences of a row over all seeds that have it."""
    rows = [each[name]["difference"] for each in seeds if name in each]
    found: dict[str, Any] = {"wanted": WANTED.get(name), "seeds": len(rows)}
    for measure in MEASURES:
        values = [row[measure]["value"] for row in rows]
        over_seeds = None
        if len(values) > 1:
            over_seeds = stdev(values) / math.sqrt(len(values))
        found[measure] = {
            "value": fmean(values),
            "images": fmean(row[measure]["standard_error"] for row in rows),
            "seeds": over_seeds,
            "each": values,
        }
    return found


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the differences of all rows."""
    names = [name for name in ROWS if any(name in each for each in seeds)]
    return {name: pooled(seeds, name) for name in names}


def kept(path: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Reads the seeds that an earlier run with the same options left, but for those asked for."""
    if not path.is_file():
        return []
    earlier = json.loads(path.read_text(encoding="utf-8"))
    options = vars(given)
    if any(earlier["options"].get(key) != options[key] for key in COMPARED):
        return []
    return [each for each in earlier["seeds"] if each["seed"] not in given.seeds]


def cell(found: dict[str, Any]) -> str:
    """Writes a difference with its errors."""
    error = f"{found['images']:.2f}"
    if found["seeds"] is not None:
        error += f", {found['seeds']:.2f}"
    return f"{found['value']:+.2f} ({error})"


def markdown(seeds: list[dict[str, Any]]) -> str:
    """Makes the table of the result."""
    lines = [
        "| row | ELBO, difference (error over images, over seeds) | log p(x) | wanted | CPU |",
        "|---|---|---|---|---|",
    ]
    for name, found in summary(seeds).items():
        own = fmean(each[name]["seconds"] for each in seeds if name in each)
        plain = fmean(each[PLAIN]["seconds"] for each in seeds if name in each)
        wanted = "-"
        if found["wanted"] is not None:
            wanted = f"{found['wanted']:+.1f}"
        cells = " | ".join(cell(found[measure]) for measure in MEASURES)
        lines.append(f"| {name} | {cells} | {wanted} | {own / plain:.1f} times |")
    reached = [each[PLAIN] for each in seeds]
    for measure in MEASURES:
        value = fmean(each[measure]["value"] for each in reached)
        error = fmean(each[measure]["standard_error"] for each in reached)
        lines.append(f"\nThe plain model: {measure} {value:.2f} ± {error:.2f}")
    return "\n".join(lines)


def main() -> None:
    """Measures every seed, writes the result after each, and prints the table."""
    words = parser(__doc__, threads=1)
    words.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    words.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    words.add_argument("--epochs", type=int, help="of each fit (default: those of the recipe)")
    words.add_argument("--samples", type=int, default=200, help="importance samples of log p(x)")
    words.add_argument("--images", type=int, default=10_000, help="whose log p(x) is estimated")
    words.add_argument("--data", help="another source of images")
    words.add_argument("--choose", action="store_true", help="on the validation images")
    given = arguments(words)
    if given.choose:
        write("priors-choice", {"learning_rates": choose(given)}, given)
        return
    path = given.results / "priors.json"
    measured: list[dict[str, Any]] = []
    for seed in given.seeds:
        measured.append(measure_seed(seed, given))
        seeds = sorted([*kept(path, given), *measured], key=lambda each: each["seed"])
        write("priors", {"summary": summary(seeds), "seeds": seeds}, given)
    print(markdown(seeds))


if __name__ == "__main__":
    main()

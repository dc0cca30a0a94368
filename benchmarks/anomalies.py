"""How well do the scores of `lowerbound score` tell Fashion-MNIST from MNIST, each way round?

The same small model is fitted to the one set and scores the test split of the other beside its own;
then the reverse. For each set three models: with a true likelihood of the 256 grey levels; the same
on images of which a tenth of the pixels are replaced by uniformly drawn values, as the background
model of Ren et al. 2019; and one with the Bernoulli cross entropy, which is no likelihood of grey
levels though many use it (so its ratio to a code length means nothing, and is not given).

Nothing is chosen by AUROC: the settings are those of the recipe `digits` with a wider network, and
the best epoch is that of the validation split. The complexity alone, low for anomalous, is printed
too: it uses no model, and shows how much of a ratio's success is the compressor's.

    python benchmarks/anomalies.py [--runs runs/anomalies] [--epochs 12] [--samples 20] [--examples
    10000] [--seed 0] [--out FILE]

Needs the sets mnist and fashion-mnist. Six fits of a few minutes each on one core; those that are
in the folder already are used again, so give another seed a folder of its own. Prints a table in
Markdown, and writes the figures as JSON.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lowerbound
from lowerbound.anomalies import ANOMALOUS
from lowerbound.data import Data
from lowerbound.evaluation import Estimate, auroc
from lowerbound.system.files import write_json

SETS = ("fashion-mnist", "mnist")

RATE = 0.1
"""Probability that a pixel of the background model's training data is replaced."""

SETTINGS = {
    "model.latent": [32],
    "model.network.hidden": [512],
    "model.likelihood.levels": 256,
    "training.batch_size": 100,
    "training.learning_rate": 1e-3,
    "data.validation": 5000,
    "data.test": 0,
    "report.write": False,
}


def mutated(name: str, folder: Path) -> Path:
    """The training images of a set with each pixel replaced with probability RATE, as (N, H, W)
    uint8 in a .npy file.
    """
    path = folder / f"{name}-mutated.npy"
    if not path.is_file():
        train = Data(name, validation=0).open().train
        images, random = train.values[train.rows][:, 0], np.random.default_rng(0)
        drawn = random.integers(0, 256, images.shape, dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.where(random.random(images.shape) < RATE, drawn, images))
    return path


def fitted(
    name: str, data: str | Path, folder: Path, epochs: int, seed: int, **more: Any
) -> lowerbound.Run:
    """The run of that name in the folder, fitted if it is not there."""
    if (folder / name / "model.safetensors").is_file():
        return lowerbound.load(folder / name)
    settings = SETTINGS | {"training.epochs": epochs} | more
    return lowerbound.fit("digits", data=data, out=folder / name, settings=settings, seed=seed)


def rows(run: lowerbound.Run, other: str, **options: Any) -> Iterator[dict[str, Any]]:
    """One for each score of a run for telling another set's test split from its own."""
    scores = lowerbound.score(run, other, **options)
    found = scores.auroc()
    if scores.own is not None and "log_ratio" in found:
        found["complexity alone"] = auroc(-scores.own["complexity"], -scores.columns["complexity"])
    means, own = scores.means(), scores.summary()["own_test_means"]
    for name, area in found.items():
        column = name.split()[0]
        yield {
            "score": name,
            "anomalous": ANOMALOUS.get(name, "low"),
            "auroc": area.value,
            "standard_error": area.standard_error,
            "mean_other": means[column].value,
            "mean_own": own[column]["value"],
        }


def direction(
    own: str, other: str, folder: Path, epochs: int, samples: int, examples: int, seed: int
) -> list[dict[str, Any]]:
    """The rows of models fitted to `own`, with both likelihoods."""
    run = fitted(own, own, folder, epochs, seed)
    background = fitted(f"{own}-background", mutated(own, folder), folder, epochs, seed)
    cross = fitted(
        f"{own}-bernoulli", own, folder, epochs, seed, **{"model.likelihood": "Bernoulli"}
    )
    found = []
    for likelihood, model, against in (
        ("DiscretizedLogistic", run, background),
        ("Bernoulli", cross, None),
    ):
        facts = {"fitted_to": own, "other": other, "likelihood": likelihood}
        facts["validation_elbo"] = model.summary["validation"]["elbo"]
        options = {
            "split": "test",
            "samples": samples,
            "reference": examples,
            "against": against,
            "seed": seed,
        }
        found += [facts | row for row in rows(model, other, **options)]
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """In Markdown: a line for each likelihood and score, a column for each direction."""
    directions = [f"fitted to {own}, against {other}" for own, other in (SETS, SETS[::-1])]
    lines = [f"| likelihood | score | {' | '.join(directions)} |", "|---|---|---|---|"]
    for likelihood, score in dict.fromkeys((row["likelihood"], row["score"]) for row in found):
        same = [row for row in found if (row["likelihood"], row["score"]) == (likelihood, score)]
        areas = [
            Estimate(row["auroc"], row["standard_error"]) for row in same
        ]  # in the order of the directions
        lines.append(
            f"| {likelihood} | {score} | "
            + " | ".join(f"{a.value:.4f} ± {a.standard_error:.4f}" for a in areas)
            + " |"
        )
    return lines


def main() -> None:
    """Fits what is missing, scores, prints the table and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/anomalies"), help="folder of the fits"
    )
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--samples", type=int, default=20, help="importance samples for each example"
    )
    parser.add_argument(
        "--examples",
        type=int,
        default=10_000,
        help="training and test examples to compare with, at most",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the fits and of the importance samples"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "anomalies.json"
    )
    arguments = parser.parse_args()
    numbers = arguments.epochs, arguments.samples, arguments.examples, arguments.seed
    found = [
        row
        for own, other in (SETS, SETS[::-1])
        for row in direction(own, other, arguments.runs, *numbers)
    ]
    asked = {name: getattr(arguments, name) for name in ("epochs", "samples", "examples", "seed")}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out, {"settings": SETTINGS | asked | {"rate": RATE}, "rows": found})
    print("\n".join(table(found)))
    print(json.dumps({"out": str(arguments.out)}))


if __name__ == "__main__":
    main()

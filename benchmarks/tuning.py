"""What ending worse trials early saves, and what it costs: the same search with each pruner.

    python benchmarks/tuning.py [--recipe digits] [--trials 16] [--epochs 30] [--seeds 0 1]

Each search has the same first trials, by its seed, on the validation split alone. Printed are the
epochs that were fitted, the seconds of this process on the CPU, and the best value found.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import lowerbound

SEARCH = {"training.learning_rate": "log(1e-4, 2e-2)", "model.latent": [2, 4, 8, 16]}
"""Keys that a recipe of images or of a table has."""

PRUNERS = ("none", "median", "halving")


def measure(recipe: str, pruner: str, seed: int, trials: int, epochs: int) -> dict[str, Any]:
    """Runs one search in a folder that is removed, and returns what it took and found."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = lowerbound.tune(
            recipe,
            search=SEARCH,
            trials=trials,
            out=Path(folder) / "search",
            settings={"training.epochs": epochs},
            seed=seed,
            pruner=pruner,
            progress=False,
        )
    seconds = time.process_time() - started
    assert found.best is not None
    return {
        "pruner": pruner,
        "seed": seed,
        "epochs": sum(trial.epochs or 0 for trial in found.trials),
        "seconds": seconds,
        "pruned": sum(trial.state == "pruned" for trial in found.trials),
        "best": found.best.value,
        "settings": dict(found.best.settings),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    asked = parser.parse_args()
    print("seed  pruner   epochs  pruned  CPU, s     best  settings")
    for seed in asked.seeds:
        for pruner in PRUNERS:
            row = measure(asked.recipe, pruner, seed, asked.trials, asked.epochs)
            print(
                f"{seed:>4}  {pruner:<7}  {row['epochs']:>6}  {row['pruned']:>6}  "
                f"{row['seconds']:>6.1f}  {row['best']:>7.2f}  {row['settings']}",
                flush=True,
            )


if __name__ == "__main__":
    main()

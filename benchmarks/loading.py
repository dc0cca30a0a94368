"""Training throughput: our loop against the published way of feeding a model, the same model in the same run.

The published loop draws images one by one through a `DataLoader`, converts each with a `ToTensor` of its own (uint8 to float32 in
[0, 1], channels first), steps an ordinary Adam on the same loss, and calls `.item()` on it each time. Ours is `Fit` with a whole array
cut batch by batch. Both train the same architecture from the same weights by the same objective; only the loop differs.

    python benchmarks/loading.py [--recipe hierarchical-mnist] [--rounds 5] [--steps 200]

Rounds are paired (published, ours, published, ours ...); the ratio of each pair is printed, and their median. The data are MNIST where
it is found, and random images of the same shape and type otherwise.
"""

import argparse
import copy
import json
import statistics
import time

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lowerbound import recipe as recipes
from lowerbound.data import Data, named_sets
from lowerbound.training import Fit


class PerItem(Dataset):
    """uint8 images (H, W) that are converted one at a time, as torchvision's MNIST with `ToTensor` does."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        picture = torch.from_numpy(self.images[index].copy()).contiguous()
        return picture.to(torch.float32).div(255)


def published(model: torch.nn.Module, objective, loader: DataLoader, steps: int, lr: float) -> float:
    """Examples per second of the published loop over `steps` steps."""
    optimizer, seen, total = torch.optim.Adam(model.parameters(), lr=lr), 0, 0.0
    batches, started = iter(loader), time.perf_counter()
    for _ in range(steps):
        x = next(batches)
        optimizer.zero_grad()
        loss = objective(model.terms(x, 1, objective.kl))
        loss.backward()
        optimizer.step()
        total += loss.item()
        seen += len(x)
    return seen / (time.perf_counter() - started)


def ours(model: torch.nn.Module, objective, data, settings, steps: int) -> float:
    """Examples per second of our loop over `steps` steps."""
    fit = Fit(model, data, objective, settings)
    order = fit._order(0)
    started = time.perf_counter()
    for _ in range(steps):
        fit._step(order)
    fit._look()
    return steps * settings.batch_size / (time.perf_counter() - started)


def images() -> Data:
    """MNIST, or a file of random images like it."""
    if named_sets()["mnist"].found():
        return Data("mnist", validation=0)
    path = "/tmp/lowerbound-random-images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (20_000, 28, 28), dtype=np.uint8))
    return Data(path, validation=0, test=0)


def main() -> None:
    """Prints one line per round and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="hierarchical-mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    plan = recipes.load(arguments.recipe)
    data, settings = images().open(), plan.training
    steps = min(arguments.steps, len(data.train) // settings.batch_size)
    torch.manual_seed(0)
    start = plan.model.build(data.schema.shape)
    whole = PerItem(data.train.values[data.train.rows].reshape(-1, *data.schema.shape))
    loader = DataLoader(whole, batch_size=settings.batch_size, shuffle=True)
    rates = []
    for number in range(arguments.rounds + 1):
        a = published(copy.deepcopy(start), plan.objective, loader, steps, settings.learning_rate)
        b = ours(copy.deepcopy(start), plan.objective, data, settings, steps)
        if number:  # the first round warms up
            rates.append((a, b))
            print(f"round {number}: published {a:,.0f}, ours {b:,.0f} examples/s, ratio {b / a:.2f}", flush=True)
    ratio = statistics.median(b / a for a, b in rates)
    medians = [statistics.median(side) for side in zip(*rates, strict=True)]
    print(
        json.dumps(
            {
                "recipe": arguments.recipe,
                "published": medians[0],
                "ours": medians[1],
                "ratio": ratio,
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
            }
        )
    )


if __name__ == "__main__":
    main()

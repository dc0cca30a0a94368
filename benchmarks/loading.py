"""Training throughput: our loop against the published way of feeding a model, the same model in the same run.

The published loop draws MNIST through a `DataLoader` that converts image by image: the steps of torchvision's data set and
of its `ToTensor` (array -> Pillow image -> array -> float32 in [0, 1], channels first), written out here because torchvision
is not needed for anything else. It steps PyTorch's ordinary optimiser and calls `.item()` on each loss. Ours is `Fit`, with
batches cut from the whole array. Both train the same architecture from the same weights by the same objective.

    python benchmarks/loading.py [--recipe hierarchical-mnist] [--batch-size 64] [--compile] [--rounds 5] [--steps 200]

Rounds are paired (published, ours, published, ours ...); the ratio of each pair is printed, and their median. The data are
MNIST where it is found, and random images of the same shape and type otherwise.
"""

import argparse
import copy
import json
import statistics
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from lowerbound import recipe as recipes
from lowerbound.data import Data, named_sets
from lowerbound.training import Fit


class PerItem(Dataset):
    """uint8 images (N, H, W) with labels, converted one at a time as torchvision does."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = torch.from_numpy(images.copy()), torch.from_numpy(labels.copy())

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.images[index].numpy())
        return to_tensor(picture), int(self.labels[index])


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """What torchvision's `ToTensor` does with a grey Pillow image: (1, H, W), float32 in [0, 1]."""
    array = torch.from_numpy(np.array(picture, copy=True))
    array = array.view(picture.size[1], picture.size[0], 1).permute((2, 0, 1)).contiguous()
    return array.to(dtype=torch.float32).div(255)


def published(model: torch.nn.Module, objective, loader: DataLoader, steps: int, settings) -> float:
    """Examples per second of the published loop over `steps` steps."""
    kind = getattr(torch.optim, settings.optimizer)
    optimizer, seen, total = kind(model.parameters(), lr=settings.learning_rate), 0, 0.0
    batches, started = iter(loader), time.perf_counter()
    for _ in range(steps):
        x, _ = next(batches)
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


def images(folder: str) -> Data:
    """MNIST, or a file of random images like it in `folder`."""
    if named_sets()["mnist"].found():
        return Data("mnist", validation=0)
    path = f"{folder}/images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (20_000, 28, 28), dtype=np.uint8))
    return Data(path, validation=0, test=0)


def main() -> None:
    """Prints one line per round and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="hierarchical-mnist")
    parser.add_argument("--batch-size", type=int, help="instead of the recipe's")
    parser.add_argument("--compile", action="store_true", help="ours with training.compile")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    plan = recipes.load(arguments.recipe)
    with tempfile.TemporaryDirectory() as folder:
        data, settings = images(folder).open(), replace(plan.training, patience=None)
    settings = replace(settings, batch_size=arguments.batch_size or settings.batch_size, compile=arguments.compile)
    steps = min(arguments.steps, len(data.train) // settings.batch_size)
    torch.manual_seed(0)
    start = plan.model.build(data.schema.shape)
    labels = data.train.labels if data.train.labels is not None else np.zeros(len(data.train), np.int64)
    whole = PerItem(data.train.values[data.train.rows][:, 0], labels)
    loader = DataLoader(whole, batch_size=settings.batch_size, shuffle=True)
    rates = []
    for number in range(arguments.rounds + 1):
        a = published(copy.deepcopy(start), plan.objective, loader, steps, settings)
        b = ours(copy.deepcopy(start), plan.objective, data, settings, steps)
        if number:  # the first round warms up
            rates.append((a, b))
            print(f"round {number}: published {a:,.0f}, ours {b:,.0f} examples/s, ratio {b / a:.2f}", flush=True)
    ratio = statistics.median(b / a for a, b in rates)
    medians = [statistics.median(side) for side in zip(*rates, strict=True)]
    facts = {
        "recipe": arguments.recipe,
        "batch_size": settings.batch_size,
        "compile": settings.compile,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(facts | {"published": medians[0], "ours": medians[1], "ratio": ratio}))


if __name__ == "__main__":
    main()

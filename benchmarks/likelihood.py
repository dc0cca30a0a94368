"""The importance-sampled log-likelihood of 10,000 test images of MNIST, 200-200-50, beside its
floor, and its peak memory.

    python benchmarks/likelihood.py [--samples 500] [--images 1000] [--rounds 5] [--threads N]
    [--device cuda]

The network is that of the recipe `iwae-mnist` (784-200-200-50, tanh, Bernoulli) with random
weights: its time does not depend on them. Each round measures `--images` images with `--samples`
samples each, and in the same round the rates that the floor is made of. The time of 10,000 images
with 5,000 samples is that of a pair of image and sample times their number.

The floor of a pair: the operations of the decoder over the rate of matrix products, and torch's own
kernels on an array that fits in the cache for what cannot be left out: a tanh for each hidden unit,
a normal number for each latent dimension, and for each pixel the softplus of its logit. As softplus
can be had for less, the floor with one exponential for each pixel stands beside it.

The peak memory is that of a process which does the work of one round and nothing else, `--once`.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from common import (
    Machine,
    Work,
    arguments,
    clocked,
    fastest,
    in_turn,
    measured,
    parser,
    ratios,
    spread,
    write,
)
from loops import random_images
from lowerbound import recipe as recipes
from lowerbound.data import Examples, named_sets
from lowerbound.evaluation import importance_log_likelihood
from lowerbound.model import VAE

WHOLE = 10_000 * 5_000
"""Pairs of image and sample in what is wanted."""

HIDDEN, LATENT, PIXELS = (200, 200), 50, 784

OPERATIONS = 2 * (LATENT * HIDDEN[1] + HIDDEN[1] * HIDDEN[0] + HIDDEN[0] * PIXELS)
"""Multiplications and additions of the decoder for one pair; the encoder is needed once for an
image.
"""

CHUNK = 2**18
"""Numbers in the cache."""

KERNELS: dict[str, tuple[int, Callable[[torch.Tensor, torch.Tensor], Any]]] = {
    "tanh": (sum(HIDDEN), lambda x, out: torch.tanh(x, out=out)),
    "normal": (LATENT, lambda x, out: out.normal_()),
    "softplus": (PIXELS, lambda x, out: F.softplus(x)),
    "exponential": (PIXELS, lambda x, out: torch.exp(x, out=out)),
}
"""How often a pair needs each kernel, and the kernel."""


def images(count: int) -> Examples:
    """Binarised test images of MNIST, or random ones."""
    if named_sets()["mnist"].found():
        return recipes.load("iwae-mnist").data.open().split("test").take(slice(0, count))
    with tempfile.TemporaryDirectory() as folder:
        return random_images(folder, 28, count).train


def model(device: str) -> VAE:
    """With random weights."""
    torch.manual_seed(0)
    return recipes.load("iwae-mnist").model.build((1, 28, 28)).to(device)


def kernels(device: str) -> dict[str, Work]:
    """Seconds that each kernel takes for one pair, on both sides of zero."""
    x, out = torch.randn(CHUNK, device=device), torch.empty(CHUNK, device=device)

    def work(count: int, kernel: Callable) -> float:
        return fastest(lambda: kernel(x, out), device) * count / CHUNK

    return {name: lambda c=count, k=kernel: work(c, k) for name, (count, kernel) in KERNELS.items()}


def floors(machine: Machine, seconds: dict[str, list[float]]) -> dict[str, list[float]]:
    """Seconds of a pair at the least, by round: the products, with softplus, and with one
    exponential for each pixel.
    """
    products = machine.floor(OPERATIONS, 0, seconds)["product fp32"]
    rows = list(zip(products, *(seconds[name] for name in KERNELS), strict=True))
    return {
        "products": products,
        "floor": [
            product + tanh + normal + softplus for product, tanh, normal, softplus, _ in rows
        ],
        "floor with exponentials": [
            product + tanh + normal + least for product, tanh, normal, _, least in rows
        ],
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a pair in each round, its floors, and the same for the whole."""
    machine, network, examples = Machine(given.device), model(given.device), images(given.images)
    pairs = len(examples) * given.samples

    def ours() -> float:
        return (
            clocked(
                lambda: importance_log_likelihood(network, examples, samples=given.samples),
                given.device,
            )
            / pairs
        )

    seconds, _ = in_turn({"ours": ours} | kernels(given.device) | machine.work(), given.rounds)
    least = floors(machine, seconds)
    return {
        "pairs": pairs,
        "operations": OPERATIONS,
        "nanoseconds_of_a_pair": {
            name: spread(1e9 * s for s in each)
            for name, each in ({"ours": seconds["ours"]} | least).items()
        },
        "kernel_nanoseconds": {name: spread(1e9 * s for s in seconds[name]) for name in KERNELS},
        "seconds_for_10000_images_5000_samples": spread(WHOLE * s for s in seconds["ours"]),
        "ratio_to": {name: ratios(seconds["ours"], each) for name, each in least.items()},
        "rates": machine.rates(seconds),
        "seconds": seconds,
    }


def main() -> None:
    """Writes results/likelihood.json."""
    words = parser(__doc__)
    words.add_argument("--samples", type=int, default=500)
    words.add_argument("--images", type=int, default=1000)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--device", default="cpu", help="cpu or cuda")
    words.add_argument(
        "--once", action="store_true", help="do the work of one round, and measure nothing"
    )
    given = arguments(words)
    if given.once:
        importance_log_likelihood(model(given.device), images(given.images), samples=given.samples)
        return
    command = [
        sys.executable,
        str(Path(__file__)),
        "--once",
        "--images",
        str(given.images),
        "--samples",
        str(given.samples),
    ]
    memory = measured(
        [*command, "--threads", str(given.threads), "--device", given.device], given.threads
    )
    device = "" if given.device == "cpu" else f"-{given.device.partition(':')[0]}"
    write(f"likelihood{device}", measure(given) | {"process": memory}, given)


if __name__ == "__main__":
    main()

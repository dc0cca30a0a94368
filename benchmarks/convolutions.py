"""The convolutions of `lowerbound.networks.convolutions` against PyTorch's own, forward and
backward, on a batch of 100.

    python benchmarks/convolutions.py [--rounds 7] [--threads N]

Prints the median ratio of the pairs for each layer, above 1 where ours is faster: transposed
convolutions in both precisions, and convolutions of stride 1 with few outputs as a matrix product,
up to numbers at which they are slower (FEW is set from these).
"""

from collections.abc import Callable

import torch
from torch import nn

from common import arguments, clocked, in_turn, parser, ratios
from lowerbound.networks import kernels
from lowerbound.system.machine import keep_freed_memory

UP = [(64, 64, 3, 7), (64, 32, 3, 15), (64, 32, 4, 14), (8, 4, 3, 15), (64, 32, 3, 4)]
LAST = [(32, 4), (64, 4), (32, 2)]


def step(layer: nn.Module, x: torch.Tensor, autocast: bool) -> Callable[[], float]:
    """Seconds of four passes forward and backward."""
    x = x.clone(memory_format=torch.channels_last).requires_grad_()

    def work() -> None:
        for _ in range(4):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                out = layer(x)
            out.sum().backward()

    return lambda: clocked(work, "cpu")


def compare(
    plain: nn.Module, ours: nn.Module, x: torch.Tensor, rounds: int, autocast: bool = False
) -> str:
    """The ratio of pairs, as text."""
    both = {"plain": plain, "ours": ours}
    work = {
        name: step(layer.to(memory_format=torch.channels_last), x, autocast)
        for name, layer in both.items()
    }
    seconds, _ = in_turn(work, rounds)
    found = ratios(seconds["plain"], seconds["ours"])
    return f"{found['median']:.2f} ({found['least']:.2f} to {found['greatest']:.2f})"


def main() -> None:
    """One line a layer."""
    words = parser(__doc__)
    words.add_argument("--rounds", type=int, default=7)
    given = arguments(words)
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    for inputs, outputs, kernel, size in UP:
        shape, x = (inputs, outputs, kernel, 2), torch.randn(100, inputs, size, size)
        for autocast in (False, True):
            told = compare(
                nn.ConvTranspose2d(*shape), kernels.Up(*shape), x, given.rounds, autocast
            )
            print(
                f"up   {inputs:>3} -> {outputs:>2}, kernel {kernel}, {size:>2} wide, "
                f"{'bf16' if autocast else 'fp32'}: {told}"
            )
    kernels.FEW_OUTPUTS = 8  # so that the slower ones are measured too
    for inputs, kernel in LAST:
        for outputs in (1, 2, 3, 4, 8):
            shape, x = (inputs, outputs, kernel), torch.randn(100, inputs, 31, 31)
            told = compare(nn.Conv2d(*shape), kernels.Last(*shape), x, given.rounds)
            print(f"last {inputs:>3} -> {outputs:>2}, kernel {kernel}, 31 wide, fp32: {told}")


if __name__ == "__main__":
    main()

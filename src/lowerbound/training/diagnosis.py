"""What went wrong where a loss is not finite."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def worst(values: Tensor) -> str:
    """What is not finite among some values."""
    return "NaN" if values.isnan().any() else "infinity"


@contextmanager
def outputs(model: torch.nn.Module) -> Iterator[dict[str, float]]:
    """The largest absolute output of each layer of a model, by name and kind, of what is computed
    in this block.
    """
    largest: dict[str, float] = {}

    def note(name: str) -> Callable:
        def hook(module: torch.nn.Module, given: object, out: object) -> None:
            if isinstance(out, Tensor):
                largest[f"{name} ({type(module).__name__})"] = out.detach().abs().max().item()

        return hook

    layers = [
        (name, module) for name, module in model.named_modules() if not list(module.children())
    ]
    hooks = [module.register_forward_hook(note(name)) for name, module in layers]
    try:
        yield largest
    finally:
        for hook in hooks:
            hook.remove()

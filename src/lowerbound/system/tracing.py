"""Whether PyTorch is writing a model down as a graph that another program computes."""

import torch

_ask_torch = getattr(torch.compiler, "is_exporting", None)
"""Says it in PyTorch from 2.7 on, which `lowerbound export` needs."""


def is_exporting() -> bool:
    """Says whether `torch.export` is tracing a model.

    A graph has to hold for any number of examples and for any values. So what chooses a way to
    compute by sizes or by values goes the general way then.
    """
    return _ask_torch is not None and _ask_torch()

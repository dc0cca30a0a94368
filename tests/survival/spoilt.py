"""What goes wrong in the fits of `test_survival`: functions that a process calls before its fit."""

import math
import time

WORSE = 30
"""The step in which something goes wrong."""


def take_long():
    """Lets each step take long, and those from `WORSE` on ten seconds."""
    from lowerbound.training import Fit

    step = Fit._step
    Fit._step = lambda self, order: (
        step(self, order),
        time.sleep(0.05 if self.state.step < WORSE else 10),
    )


def spoil_batch():
    """Makes the examples of step `WORSE` no numbers."""
    from lowerbound.training.loader import Loader

    read = Loader.read

    def spoilt(self, order, batch, step):
        examples, share = read(self, order, batch, step)
        if step == WORSE:
            examples = examples.with_values(examples.x * math.nan)
        return examples, share

    Loader.read = spoilt


def spoil_gradient():
    """Makes the gradient of step `WORSE` no number."""
    from lowerbound.objectives import Elbo

    loss = Elbo.__call__

    def spoilt(self, terms, step=math.inf, total=math.inf):
        return loss(self, terms, step, total) + (
            (terms.rate.sum() * 0).abs().sqrt() if step == WORSE else 0
        )

    Elbo.__call__ = spoilt

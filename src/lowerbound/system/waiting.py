"""How long the threads of PyTorch spin while they wait for each other. It is set before PyTorch is
loaded, which is why this module imports nothing of it.
"""

import os
import sys

SPINS = 1000
"""A thread looks this often whether the others are done before it sleeps.

This takes about as long as falling asleep and being woken. With libgomp's own 300,000, a thread
whose core another process uses makes the threads that wait for it use up their cores
(`benchmarks/neighbours.py`).
"""

SETTINGS = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")
"""Whoever has set one of these has chosen how threads wait."""


def spin_briefly() -> None:
    """Makes the threads of libgomp sleep soon where they wait.

    libgomp, which PyTorch brings on Linux, reads the environment once, when it is loaded. Where
    PyTorch is there already, or the user has chosen, this changes nothing. Processes that are
    started from this one inherit it.
    """
    is_too_late = "torch" in sys.modules
    is_chosen = any(name in os.environ for name in SETTINGS)
    if not is_too_late and not is_chosen:
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)

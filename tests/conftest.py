"""What every test starts from: one seed for each, and hypothesis that gives the same examples on
every machine.
"""

import os
import sys

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")

# The tests' tensors are tiny: threads that wait for each other on a busy machine cost twenty times
# what they bring. The processes that tests start inherit the variable.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["POLARS_MAX_THREADS"] = "1"


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk():
    """What tests write need not outlive a loss of power, and a fit waits for the disk 28 times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """No test may hang on the order in which the tests run."""
    torch.manual_seed(0)


@pytest.fixture
def command(monkeypatch, capfd):
    """Runs a command of the command line in this process: (exit code, standard output, standard
    error).
    """
    from lowerbound.cli import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lowerbound", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capfd.readouterr()
        return stopped.value.code or 0, out, err

    return call

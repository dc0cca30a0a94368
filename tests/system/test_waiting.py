"""How long threads spin is set before PyTorch is there, whichever way lowerbound is started."""

import os
import subprocess
import sys

import pytest

from lowerbound.system.waiting import SETTINGS, SPINS

REPORT = "import os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"


def spin_count_after(statements: str, **variables: str) -> list[str]:
    """Runs statements in a fresh interpreter. It returns the spin count there, and whether PyTorch
    was imported.
    """
    environment = {k: v for k, v in os.environ.items() if k not in SETTINGS} | variables
    done = subprocess.run(
        [sys.executable, "-c", f"{statements}; {REPORT}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[-2:]


@pytest.mark.parametrize("statement", ["import lowerbound", "from lowerbound.cli import main"])
def test_the_spin_count_is_set_before_torch_is_imported(statement):
    assert spin_count_after(statement) == [str(SPINS), "False"]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_user_has_chosen_stays(name):
    expected = "None"
    if name == "GOMP_SPINCOUNT":
        expected = "7"
    assert spin_count_after("import lowerbound", **{name: "7"}) == [expected, "False"]


def test_where_torch_was_imported_before_nothing_is_set():
    pretend = "import sys, types; sys.modules['torch'] = types.ModuleType('torch')"
    assert spin_count_after(f"{pretend}; import lowerbound") == ["None", "True"]

"""Runs that the doors are tested on, fitted once."""

import pytest

import lowerbound

QUICK = {"training.epochs": 1, "report.write": False}


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A run on images, which has learned little."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    return lowerbound.fit("digits", out=out, settings=QUICK, progress=False)

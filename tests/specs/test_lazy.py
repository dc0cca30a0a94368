"""Packages whose names are imported late show them, and nothing else, to `dir` and to Tab."""

import importlib
import subprocess
import sys

import pytest

LAZY = ("lowerbound", "lowerbound.data", "lowerbound.report", "lowerbound.training")


@pytest.mark.parametrize("name", LAZY)
def test_dir_shows_the_public_names(name):
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    assert all(hasattr(package, entry) for entry in dir(package))


def test_dir_and_completion_show_the_names_before_they_are_used():
    statements = """
import rlcompleter, sys, lowerbound
assert {"fit", "load", "Run"} <= set(dir(lowerbound))
assert "TYPE_CHECKING" not in dir(lowerbound)
assert "torch" not in sys.modules
completer = rlcompleter.Completer({"lowerbound": lowerbound})
assert completer.complete("lowerbound.fi", 0).startswith("lowerbound.fit")
"""
    subprocess.run([sys.executable, "-c", statements], check=True)


def test_a_name_that_is_not_there_is_an_attribute_error():
    package = importlib.import_module("lowerbound")
    with pytest.raises(AttributeError, match="module 'lowerbound' has no attribute 'fitt'"):
        _ = package.fitt

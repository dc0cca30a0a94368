"""Scikit-learn's own suite of checks, all of it, with no check that is expected to fail."""

import os
import subprocess
import sys

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from lowerbound.sklearn import (
    MultVAERecommender,
    VAEDensity,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
)

SMALL = {"latent": 2, "hidden": 8, "epochs": 1, "random_state": 0}
DENSE = {**SMALL, "n_samples": 8, "settings": {"model.prior": "StandardNormal"}}

ESTIMATORS = [
    VAETransformer(**DENSE),
    VAEDensity(**DENSE),
    VAEOutlierDetector(**DENSE),
    VAEImputer(**DENSE),
    MultVAERecommender(**SMALL),
]


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: {})
def test_suite(estimator, check):
    check(estimator)


ARRAY_API = """
import sys
sys.path.insert(0, sys.argv[1])
from test_estimator_checks import ESTIMATORS
from sklearn.utils.estimator_checks import check_array_api_input
for estimator in ESTIMATORS:
    check_array_api_input(
        type(estimator).__name__, estimator, array_namespace="numpy",
        expect_only_array_outputs=False,
    )
print("passed", len(ESTIMATORS))
"""


@pytest.mark.slow
def test_the_check_that_needs_the_array_api_of_scipy():
    """SciPy must be told before it is imported; in this process the check skips itself."""
    here = os.path.dirname(__file__)
    done = subprocess.run(
        [sys.executable, "-c", ARRAY_API, here],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["passed 5"], done.stderr


def test_all_public_estimators_are_checked():
    from lowerbound import sklearn

    assert {type(estimator).__name__ for estimator in ESTIMATORS} == set(sklearn.__all__)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_nothing_is_left_behind_and_nothing_is_said(estimator, tmp_path, monkeypatch, capfd):
    import tempfile

    import numpy as np

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    estimator.fit(np.random.default_rng(0).integers(0, 3, (30, 6)))
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")

"""One run on a table of all kinds of columns."""

import pytest
from sample_tables import made

import lowerbound

SETTINGS = {
    "report.write": False,
    "training.epochs": 2,
    "model.latent": [2],
    "model.network.hidden": [8],
    "data.ids": ["id"],
    "data.kinds": {"level": "ordinal"},
}


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("impute") / "run"
    return lowerbound.fit("table", data=made(200), out=out, progress=False, settings=SETTINGS)

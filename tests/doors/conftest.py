"""Runs that the doors are tested on, fitted once."""

import time

import numpy as np
import polars
import pytest
import torch
from starlette.testclient import TestClient

import lowerbound
from lowerbound.columns import ColumnSchema, fit_columns
from lowerbound.data import Data, Items, Schema
from lowerbound.doors.server import create_app
from lowerbound.families import Multinomial
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.noise import L2Normalize
from lowerbound.recipe import Recipe
from lowerbound.run import Run

QUICK = {"training.epochs": 1, "report.write": False}


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A run on images, which has learned little."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    return lowerbound.fit("digits", out=out, settings=QUICK, progress=False)


TITLES = ["Alien", "Aliens", "Brazil", "Amélie", "Fargo", "Solaris", "Stalker", "Heat"]


@pytest.fixture(scope="session")
def films_run(tmp_path_factory):
    """A recommender of eight films and some numbered ones, with random weights."""
    torch.manual_seed(1)
    items = 40
    architecture = Architecture(
        latent=(6,), network=MLP((20,), "tanh"), likelihood=Multinomial(), noise=(L2Normalize(),)
    )
    model = architecture.build((items,), sparse=True)
    titles = TITLES + [f"Film number {number}" for number in range(items - len(TITLES))]
    folder = tmp_path_factory.mktemp("server") / "films0"  # the name of the run in addresses
    folder.mkdir()
    return Run(
        folder,
        Recipe(data=Data("nowhere"), model=architecture),
        Schema((items,), "interactions", 2, 0.0, 1.0),
        model,
        {},
        Items(np.arange(100, 100 + items), titles, popularity=np.arange(items)[::-1].copy()),
    )


@pytest.fixture(scope="session")
def people_run(tmp_path_factory):
    """A run on a small table with columns of several kinds and gaps."""
    rng = np.random.default_rng(0)
    count = 240
    ages = rng.integers(18, 80, count)
    jobs = np.where(ages > 50, "retired", rng.choice(["baker", "nurse"], count))
    frame = polars.DataFrame(
        {
            "age": ages,
            "job": jobs,
            "pay": np.round(1000 + 20 * ages + rng.normal(0, 50, count), 2),
            "member": rng.random(count) < 0.5,
        }
    )
    is_hidden = polars.Series(rng.random(count) < 0.1)
    frame = frame.with_columns(age=polars.when(is_hidden).then(None).otherwise(frame["age"]))
    settings = QUICK | {"training.epochs": 3}
    out = tmp_path_factory.mktemp("runs") / "people"
    return lowerbound.fit("table", data=frame, out=out, settings=settings, progress=False)


def ready(app):
    """A client of an application whose runs are warm."""
    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    client.__enter__()
    for _ in range(600):
        if client.get("/readyz").status_code == 200:
            return client
        time.sleep(0.02)
    raise AssertionError(client.get("/readyz").text)


@pytest.fixture(scope="session")
def conditional_run(tmp_path_factory):
    """A recommender of thirty items that sees the age of users, with random weights."""
    torch.manual_seed(2)
    items = 30
    ages = np.arange(18.0, 80.0)[:, None]
    given = fit_columns((ColumnSchema("age", "count", "integer"),), ages, np.arange(len(ages)))
    architecture = Architecture(latent=(5,), network=MLP((12,)), likelihood=Multinomial())
    return Run(
        tmp_path_factory.mktemp("conditional"),
        Recipe(data=Data("nowhere"), model=architecture),
        Schema((items,), "interactions", 2, 0.0, 1.0, given=given),
        architecture.build((items,), sparse=True, given=given),
        {},
        Items(np.arange(items)),
    )


@pytest.fixture(scope="session")
def conditional(conditional_run):
    """A client of a server of one conditional recommender."""
    client = ready(create_app([conditional_run]))
    yield client
    client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def digits(digits_run):
    """A client of a server of one run on images."""
    client = ready(create_app([digits_run]))
    yield client
    client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def several(digits_run, films_run, people_run):
    """A client of a server of three runs, of images, of a recommender and of a table."""
    client = ready(create_app([digits_run, films_run, people_run]))
    yield client
    client.__exit__(None, None, None)

"""Cells of training rows that are hidden, so that a model learns to fill gaps."""

import numpy as np
import polars
import pytest
import torch

from lowerbound.data import Data
from lowerbound.data.memory import MEMORY
from lowerbound.distributed.processes import Processes
from lowerbound.recipe import Training
from lowerbound.training.loader import Loader

ROWS = 400


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    numbers = random.normal(size=(ROWS, 4)).round(3)
    numbers[random.random(numbers.shape) < 0.1] = np.nan
    frame = polars.DataFrame({f"x{i}": numbers[:, i] for i in range(4)})
    return frame.with_columns(
        polars.Series("c", random.choice(["a", "b", "c"], ROWS)), polars.all().fill_nan(None)
    )


@pytest.fixture(scope="module")
def dataset(table):
    return Data(MEMORY, kinds={}, hide=0.6, validation=0.2, test=0.2).open(source=table)


def test_the_same_key_hides_the_same_cells(dataset):
    first = dataset.train.batch(np.arange(100), 7)
    again = dataset.train.batch(np.arange(100), 7)
    other = dataset.train.batch(np.arange(100), 8)
    assert torch.equal(first.observed, again.observed)
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.observed, other.observed)


def test_cells_of_half_of_the_rows_are_hidden(dataset):
    """Of a row of which some are hidden, up to the share; on average half of it."""
    everything = dataset.train.drawn_once().batch(slice(None)).observed
    shares = []
    touched = []
    for key in range(60):
        observed = dataset.train.batch(slice(None), key).observed
        assert not (observed & ~everything).any(), "a gap became a value"
        hidden = (everything & ~observed).sum(1) / everything.sum(1)
        shares.append(hidden)
        touched.append(hidden > 0)
    shares = torch.stack(shares)
    # Half of the rows draw a share s, uniform up to 0.6, and hide each of about 4.6 cells with it.
    assert shares.mean().item() == pytest.approx(0.6 / 4, abs=0.01)
    count = everything.sum(1).mean(dtype=torch.float64).item()
    expected = 0.5 * (1 - (1 - 0.4 ** (count + 1)) / (0.6 * (count + 1)))
    assert torch.stack(touched).double().mean().item() == pytest.approx(expected, abs=0.02)


def test_hidden_cells_hold_nothing(dataset):
    batch = dataset.train.batch(slice(None), 3)
    assert not batch.x[~batch.observed].any()


@pytest.mark.parametrize("name", ["validation", "test"])
def test_nothing_is_hidden_in_what_is_measured(dataset, name):
    split = getattr(dataset, name)
    for key in range(5):
        batch = split.batch(slice(None), key)
        assert torch.equal(batch.observed, split.batch(slice(None)).observed)
    gaps = np.isnan(split.values_at(slice(None)))
    np.testing.assert_array_equal(~batch.observed.numpy(), gaps)


def test_nothing_is_hidden_where_the_training_split_is_measured(dataset):
    """A split is measured as it is, whatever the key."""
    split = dataset.split("train")
    first = split.batch(slice(None), 1)
    assert torch.equal(first.observed, split.batch(slice(None), 2).observed)
    np.testing.assert_array_equal(~first.observed, np.isnan(split.values_at(slice(None))))


def test_nothing_is_hidden_unless_it_is_asked_for(table):
    plain = Data(MEMORY, kinds={}, validation=0.2, test=0.2).open(source=table)
    gaps = np.isnan(plain.train.values_at(slice(None)))
    for key in range(3):
        np.testing.assert_array_equal(~plain.train.batch(slice(None), key).observed.numpy(), gaps)


def test_several_processes_see_the_rows_of_one_batch(dataset):
    """Each takes its rows of the whole batch, with the cells that one process hides."""
    settings = Training(batch_size=31, seed=4)
    device = torch.device("cpu")
    alone = Loader(dataset.train, settings, Processes(), device)
    order = alone.order(2)
    whole, _ = alone.read(order, 1, 9)
    assert (~whole.observed).any()
    found = torch.zeros_like(whole.observed)
    for rank in range(3):
        loader = Loader(dataset.train, settings, Processes(rank, 3), device)
        part, share = loader.read(order, 1, 9)
        assert torch.equal(part.x, whole.x[share.rows])
        found[share.rows] = part.observed
    assert torch.equal(found, whole.observed)

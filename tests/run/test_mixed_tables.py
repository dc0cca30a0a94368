"""Whole fits of tables with columns of several kinds."""

import math

import numpy as np
import polars
import pytest
import torch

import lowerbound
from lowerbound.batch import Batch
from lowerbound.columns import Coding, ColumnSchema
from lowerbound.errors import LowerboundError
from lowerbound.families import Columns
from lowerbound.model import Architecture
from lowerbound.networks import MLP

SMALL = {
    "training.epochs": 2,
    "training.batch_size": 64,
    "model.latent": [2],
    "model.network": {"type": "MLP", "hidden": [8], "linear_path": True},
    "report.write": False,
    "training.threads": 1,
}
OTHER_FAMILIES = {
    "type": "Columns",
    "real": "StudentT",
    "positive": {"type": "StudentT", "scale": "shared"},
    "count": "Poisson",
    "ordinal": "CumulativeLogits",
    "binary": {"type": "CumulativeLogits", "scale": "learned"},
    "datetime": {"type": "Gaussian", "scale": "shared"},
}
HISTOGRAMS = {"type": "Columns", "real": "Histogram", "positive": "Histogram", "count": "Histogram"}


def make_table(rows=300, seed=0):
    """A frame with a column of each kind, with atoms and with gaps."""
    random = np.random.default_rng(seed)
    z = random.normal(size=rows)
    income = np.where(random.random(rows) < 0.3, 0, np.exp(z + random.normal(size=rows))).round(2)
    frame = polars.DataFrame(
        {
            "height": (170 + 8 * z).round(1) - 200,
            "income": income,
            "children": random.poisson(np.exp(1 + z / 2)) * 3,
            "grade": random.integers(1, 6, rows),
            "job": random.choice(["cook", "smith", "nurse"], rows),
            "member": z + random.normal(size=rows) > 0,
            "since": polars.Series(random.integers(15_000, 19_000, rows)).cast(polars.Date),
        }
    )
    gaps = random.random((rows, 7)) < 0.1
    for place, name in enumerate(frame.columns):
        keep = polars.Series(~gaps[:, place])
        frame = frame.with_columns(polars.when(keep).then(polars.col(name)).alias(name))
    return frame


@pytest.fixture(scope="module")
def table():
    return make_table()


def fit(table, folder, settings=None, **options):
    settings = SMALL | (settings or {})
    return lowerbound.fit(
        "table", data=table, out=folder, settings=settings, progress=False, seed=3, **options
    )


def weights_of(run):
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def test_the_kinds_that_are_found(table, tmp_path):
    run = fit(table, tmp_path / "run")
    kinds = {column.name: column.kind for column in run.data(table).schema.table}
    assert kinds == {
        "height": "real",
        "income": "positive",
        "children": "count",
        "grade": "ordinal",
        "job": "categorical",
        "member": "binary",
        "since": "datetime",
    }


@pytest.mark.parametrize(
    "likelihood", ["Columns", OTHER_FAMILIES, HISTOGRAMS], ids=["usual", "others", "histograms"]
)
@pytest.mark.parametrize(
    "settings",
    [
        {
            "model.latent": [3, 2],
            "model.prior": {"type": "Mixture", "components": 3},
            "objective": "Iwae",
            "training.samples": 4,
        },
        {"training.precision": "bf16-mixed"},
    ],
    ids=["chain", "half"],
)
def test_a_table_is_fitted_and_measured(table, tmp_path, likelihood, settings):
    """Chains, other priors, many draws and half precision do for tables what they do for others."""
    run = fit(table, tmp_path / "run", {"model.likelihood": likelihood} | settings)
    measured = run.evaluate(source=table, split="validation", samples=16)
    assert math.isfinite(measured["elbo"])
    assert math.isfinite(measured["log_likelihood"])
    assert measured["elbo"] <= measured["log_likelihood"] + 1.0
    for name, weight in run.model.named_parameters():
        assert weight.isfinite().all(), name


def test_a_fit_goes_on_where_it_stopped(table, tmp_path):
    """Thresholds and shared scales, which no network has, are saved and loaded as weights are."""
    # The schedule of the recipe falls over the planned steps, which the parts plan otherwise.
    settings = {"model.likelihood": OTHER_FAMILIES, "training.schedule": "Constant"}
    whole = fit(table, tmp_path / "whole", settings | {"training.epochs": 4})
    fit(table, tmp_path / "parts", settings)
    parts = fit(table, tmp_path / "parts", settings | {"training.epochs": 4}, resume=True)
    ours = weights_of(whole)
    assert any("steps" in name for name in ours)
    for name, weight in weights_of(parts).items():
        assert torch.equal(weight, ours[name]), name
    loaded = lowerbound.load(tmp_path / "parts")
    for name, weight in weights_of(loaded).items():
        assert torch.equal(weight, ours[name]), name


def test_atoms_are_equal_in_half_precision():
    """Codes stay in float32 under autocast: an atom has its mass, and nothing near it has."""
    columns = (
        ColumnSchema("x", mean=0.3, scale=0.7, atoms=(0.1,), shares=(0.6,)),
        ColumnSchema("y", "positive", mean=0.3, scale=0.7, atoms=(0.0,), shares=(0.6,)),
        ColumnSchema("n", "count", mean=3.0, scale=0.7, atoms=(40_001.0,), shares=(0.6,)),
    )
    torch.manual_seed(0)
    model = Architecture((2,), MLP((4,)), likelihood=Columns()).build((3,), columns=columns)
    values = np.array([[0.1, 0.0, 40_001.0], [0.1001, 1e-3, 40_002.0]])
    codes = torch.tensor(Coding(columns).encode(values)).float()
    z = torch.zeros(2, 2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        p = model.decode(z).base_dist
        log_prob = p.log_prob(codes)
        features = model.features(codes, torch.ones_like(codes, dtype=torch.bool))
    assert log_prob.dtype == torch.float32
    whole = model.decode(z).base_dist.log_prob(codes)
    torch.testing.assert_close(log_prob, whole, atol=0.1, rtol=0.02)
    assert (log_prob[0] > math.log(0.3)).all()
    assert features[0, 6:9].tolist() == [1.0, 1.0, 1.0]
    assert features[1, 6:9].tolist() == [0.0, 0.0, 0.0]


def test_a_batch_without_a_mask_is_one_of_observed_cells(table, tmp_path):
    run = fit(table, tmp_path / "run")
    batch = run.data(table).train.drawn_once().batch(slice(0, 50))
    complete = batch.take(batch.observed.all(1).nonzero().flatten())
    bare = Batch(complete.x)
    torch.manual_seed(1)
    ours = run.model.terms(complete, 3).log_weight
    torch.manual_seed(1)
    theirs = run.model.terms(bare, 3).log_weight
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"model.likelihood": "Normal"},
            (
                "model.likelihood Normal is for real numbers, and the column 'income' is of kind "
                "positive; allowed for tables with columns of several kinds: Columns"
            ),
        ),
        (
            {"model.likelihood": {"type": "Columns", "real": "Gausian"}},
            (
                "recipe: model.likelihood.real: unknown column family 'Gausian'; did you mean "
                "'Gaussian'? Allowed: Gaussian, StudentT, Histogram, Poisson, NegativeBinomial, "
                "Softmax, CumulativeLogits"
            ),
        ),
        (
            {"model.likelihood": {"type": "Columns", "count": "Gaussian"}},
            (
                "recipe: model.likelihood: count cannot be Gaussian, which is for real, positive, "
                "datetime"
            ),
        ),
        (
            {"model.likelihood": {"type": "Columns", "numbers": "Gaussian"}},
            (
                "recipe: model.likelihood: unknown key 'numbers'; allowed: real, positive, count, "
                "ordinal, categorical, binary, datetime"
            ),
        ),
        (
            {"model.likelihood": {"type": "Columns", "real": {"type": "Gaussian", "scale": 1}}},
            "recipe: model.likelihood.real.scale: should be 'learned' or 'shared', got 1",
        ),
        (
            {"model.posterior": "Columns"},
            "recipe: model: posterior must have draws with gradients (Normal, Delta), got Columns",
        ),
        (
            {"model.noise": [{"type": "Binarize"}]},
            (
                "model.noise does not fit the data in memory: Binarize needs values in [0, 1], got "
                "[-inf, inf]"
            ),
        ),
        (
            {"data.kinds": None, "data.hide": 0.0},
            "columns that are not numbers",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_recipe_that_does_not_fit_a_table_says_so(table, tmp_path, settings, line):
    with pytest.raises(LowerboundError) as error:
        fit(table, tmp_path / "run", settings)
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_columns_are_no_likelihood_of_images(tmp_path):
    settings = {"model.likelihood": "Columns", "training.epochs": 1}
    with pytest.raises(LowerboundError) as error:
        lowerbound.fit("digits", out=tmp_path / "run", settings=settings, progress=False)
    assert str(error.value) == (
        "model.likelihood Columns is for tables whose columns have kinds: set data.kinds "
        "(data.kinds={} finds them), or take another likelihood, such as Normal"
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's compiler, and of processes that are forked
@pytest.mark.parametrize(
    "settings",
    [{"training.devices": 2, "training.accelerator": "cpu"}, {"training.compile": True}],
    ids=["two processes", "compiled"],
)
def test_the_same_curve_in_another_way(table, tmp_path, settings):
    """Two processes hide the cells and draw the noise of one; compiled or not, steps are equal."""
    source = tmp_path / "table.parquet"
    table.write_parquet(source)
    usual = {"model.likelihood": OTHER_FAMILIES, "data.hide": 0.5}
    ours = weights_of(fit(source, tmp_path / "one", usual))
    theirs = weights_of(fit(source, tmp_path / "other", usual | settings))
    for name, weight in theirs.items():
        torch.testing.assert_close(weight, ours[name], atol=1e-5, rtol=0)

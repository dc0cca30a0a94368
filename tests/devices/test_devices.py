"""Models, fits and measures on another device than the CPU: on a GPU where there is one, and
everywhere on a device that is not there (`elsewhere`).
"""

import contextlib

import numpy as np
import polars
import pytest
import torch
from elsewhere import DEVICE, Elsewhere, MixedDevicesError, elsewhere
from lightning_fabric import Fabric

import lowerbound
from lowerbound import fitting
from lowerbound import recipe as recipes
from lowerbound.batch import Batch
from lowerbound.data import Data
from lowerbound.evaluation import batches
from lowerbound.evaluation.batches import chunk_size, restart, streams_kept
from lowerbound.evaluation.likelihood import importance_log_likelihood
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.run import build
from lowerbound.sparse import SparseRows
from lowerbound.training import loader

SIZES = {"aevb-freyfaces": (28, 20), "digits": (8, 8), "images": (16, 16, 3)}


class Place:
    """A device that tests run on.

    Attributes:
        device: the device.
        log: what happens on a device that is not there; None on a GPU.
    """

    def __init__(self, device, log=None):
        self.device = device
        self.log = log


class ThereFabric(Fabric):
    """Lightning Fabric on the device that is not there."""

    @property
    def device(self):
        return DEVICE

    def to_device(self, obj):
        return obj.to(DEVICE)

    def _validate_setup_optimizers(self, optimizers):
        """Lets the weights be on it; Fabric takes them for weights without numbers."""


@pytest.fixture(params=["elsewhere", "cuda"])
def place(request, monkeypatch):
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no GPU")
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
        yield Place(torch.device("cuda:0"))
        return
    made = ThereFabric(accelerator="cpu", devices=1)
    monkeypatch.setattr(fitting, "make_fabric", lambda settings, all_used: made)
    with elsewhere() as log:
        yield Place(DEVICE, log)


def settings_for(place, **changed):
    """Settings of a short fit on a device."""
    found = {"training.epochs": 2, "training.steps": None, "training.threads": 1}
    found |= {"report.write": False, "training.patience": None}
    if place.log is not None:  # no kernels are fused there
        found["training.optimizer_options"] = {"foreach": False}
    return found | changed


# The device that is not there --------------------------------------------------------------------


def test_the_device_that_is_not_there_refuses_what_a_gpu_refuses():
    with elsewhere() as log:
        there = torch.arange(6.0).to(DEVICE)
        assert isinstance(there, Elsewhere)
        assert log.uploads == [(6,)]
        with pytest.raises(MixedDevicesError):
            there + torch.ones(6)
        with pytest.raises(MixedDevicesError):
            there.index_select(0, torch.tensor([1]))
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()
        assert log.waits == 0
        assert there[torch.tensor([1])].item() == 1
        assert (there * torch.tensor(2.0)).sum().cpu() == 30
        assert log.waits == 2


def test_the_device_that_is_not_there_has_gradients():
    with elsewhere():
        layer = torch.nn.Linear(3, 2).to(DEVICE)
        layer(torch.ones(4, 3, device=DEVICE)).sum().backward()
        assert layer.weight.grad.device == DEVICE
        assert torch.equal(layer.weight.grad.cpu(), torch.full((2, 3), 4.0))


# Models ------------------------------------------------------------------------------------------


def dense_recipes():
    names = []
    for name in sorted(recipes.packaged()):
        likelihood = recipes.load(name).model.likelihood
        if type(likelihood).__name__ not in ("Multinomial", "Columns"):
            names.append(name)
    return names


def numbers_at(plan, model, batch, zs):
    """The terms at given draws, and the gradient of the objective."""
    model.zero_grad()
    terms = model.terms_of(model.at(batch, zs), batch, plan.objective.kl)
    plan.objective(terms, 0, 1).backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return [terms.log_likelihood, terms.rate, terms.log_weight, *gradients]


@pytest.mark.parametrize("name", [n for n in dense_recipes() if n != "ladder-mnist-gpu"])
def test_a_step_on_another_device_is_that_of_the_cpu_and_waits_for_nothing(name, place):
    plan = recipes.load(name).replace({"data.validation": 0, "data.test": 0})
    images = np.random.default_rng(0).integers(0, 256, (6, *SIZES.get(name, (28, 28))), np.uint8)
    data = plan.data.open(source=(images, np.arange(6)))
    torch.manual_seed(0)
    model = build(plan, data.schema).train()
    batch = batches.placed(model, data.train.batch(slice(0, 4)))
    model.eval()
    zs = [level.z.detach() for level in model.infer(batch, 2).levels]
    wanted = [t.detach().clone() for t in numbers_at(plan, model, batch, zs)]
    model.to(place.device)
    there = batch.to(place.device)
    zs_there = [z.to(place.device) for z in zs]
    if place.log is not None:
        place.log.uploads.clear()
    found = numbers_at(plan, model, there, zs_there)
    model.train()
    plan.objective(model.terms(there, 1, plan.objective.kl), 0, 1).backward()
    if place.log is not None:
        assert place.log.waits == 0
        assert place.log.uploads == []
    for got, expected in zip(found, wanted, strict=True):
        if not expected.isfinite().all():  # the rates of an autoencoder
            assert torch.equal(got.detach().cpu(), expected)
            continue
        apart = (got.detach().cpu() - expected).norm()
        assert apart <= 1e-4 * expected.norm() + 1e-6


def test_importance_samples_on_another_device_are_draws_of_the_same_mixture(place):
    data = Data("digits", validation=0, test=8).open()
    torch.manual_seed(0)
    model = Architecture(latent=(3, 2), network=MLP((8,))).build(data.schema.shape)
    wanted = importance_log_likelihood(model, data.test, samples=500)
    found = importance_log_likelihood(model.to(place.device), data.test, samples=500)
    assert found.log_likelihood.value == pytest.approx(wanted.log_likelihood.value, abs=0.2)


def test_chunks_are_larger_where_operations_are_started_from_afar():
    model = Architecture(latent=(2,), network=MLP((8,))).build((784,))
    here = chunk_size(model)
    assert here == batches.CHUNK_NUMBERS // 784
    assert chunk_size(model.to("meta")) == batches.DEVICE_CHUNK_NUMBERS // 784


# Fits --------------------------------------------------------------------------------------------


# PyTorch takes weights on the device that is not there for weights without numbers.
@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")
def test_images_are_fitted_and_measured_and_go_on(place, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (80, 8, 8), dtype=np.uint8)
    changed = {
        "model.ladder.width": 4,
        "model.ladder.grids": [1],
        "model.latent": [1, 3],
        "data.validation": 16,
        "data.test": 8,
        "training.batch_size": 32,
        "training.checkpoint_steps": 3,
        "training.precision": "32-true",
        "training.ema": 0.9,
    }
    settings = settings_for(place, **changed)

    def fit(epochs, resume):
        wanted = settings | {"training.epochs": epochs}
        out = tmp_path / "run"
        return lowerbound.fit(
            "ladder-mnist", data=images, out=out, settings=wanted, resume=resume, progress=False
        )

    fit(1, False)
    run = fit(2, True)
    assert next(run.model.parameters()).device == place.device
    assert np.isfinite(run.evaluate(split="validation", samples=4)["log_likelihood"])
    assert run.sample(3).shape == (3, 1, 8, 8)
    assert run.vary(0, 2, 2).shape == (2, 2, 1, 8, 8)
    loaded = lowerbound.load(tmp_path / "run")
    assert torch.allclose(loaded.encode(images[:4])[0], run.encode(images[:4])[0], atol=1e-4)


def test_a_mixed_table_is_fitted_filled_and_scored(place, tmp_path):
    random = np.random.default_rng(0)
    numbers = random.normal(3.0, 1.0, 120)
    frame = polars.DataFrame(
        {
            "town": random.choice(["a", "b"], 120),
            "number": numbers,
            "income": random.lognormal(0.0, 1.0, 120),
            "count": random.poisson(2.0, 120),
            "atom": np.where(random.random(120) < 0.5, 0.0, numbers),
        }
    )
    changed = {"model.network.hidden": [8], "model.latent": [3]}
    run = lowerbound.fit(
        "table",
        data=frame,
        out=tmp_path / "run",
        settings=settings_for(place, **changed),
        progress=False,
    )
    assert next(run.model.parameters()).device == place.device
    assert run.sample(4).schema == frame.schema
    assert np.isfinite(run.evaluate(samples=5)["log_likelihood"])
    gaps = frame.head(6).with_columns(number=None, town=None).cast(dict(frame.schema))
    assert lowerbound.impute(run, gaps, samples=4).frame.null_count().sum_horizontal().sum() == 0
    assert len(lowerbound.score(run, frame.head(6))) == 6


def test_interactions_are_fitted_and_ranked(place, tmp_path):
    changed = {
        "model.network.hidden": [8],
        "model.latent": [4],
        "data.validation": 50,
        "data.test": 50,
        "training.epochs": 1,
    }
    run = lowerbound.fit(
        "multvae",
        data="synthetic-interactions",
        out=tmp_path / "run",
        settings=settings_for(place, **changed),
        progress=False,
    )
    assert next(run.model.parameters()).device == place.device
    assert 0 < run.summary["test"]["ndcg@100"] < 1
    assert len(lowerbound.Recommender(run).recommend(["item-001"], 3)) == 3


# Streams and batches -----------------------------------------------------------------------------


def test_only_the_device_in_use_has_its_stream_kept(monkeypatch):
    asked = []

    def fork(devices):
        asked.append(list(devices))
        return contextlib.nullcontext()

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    with streams_kept(torch.device("cpu")), streams_kept(torch.device("cuda:1")):
        pass
    assert asked == [[], [1]]


def test_a_stream_starts_anew(place):
    restart(5, place.device)
    first = torch.rand(4, device=place.device).cpu()
    with streams_kept(place.device):
        restart(6, place.device)
        assert not torch.equal(torch.rand(4, device=place.device).cpu(), first)
    restart(5, place.device)
    assert torch.equal(torch.rand(4, device=place.device).cpu(), first)


def batch_of(x):
    return Batch(x, given=torch.tensor([1, 2]), observed=torch.ones(2, 3, dtype=torch.bool))


def test_all_parts_of_a_batch_are_uploaded(monkeypatch):
    device = torch.device("cuda:0")
    if not torch.cuda.is_available():
        device = torch.device("cpu")
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self.clone())
    dense = batch_of(torch.rand(2, 3))
    found = loader.upload(dense, device)
    assert torch.equal(found.x.cpu(), dense.x)
    assert torch.equal(found.given.cpu(), dense.given)
    assert torch.equal(found.observed.cpu(), dense.observed)
    rows = SparseRows(torch.tensor([0, 1, 2]), torch.tensor([0, 2]), torch.ones(2), 3)
    sparse = loader.upload(Batch(rows), device)
    assert sparse.x.columns.device == device
    assert torch.equal(sparse.x.dense().cpu(), rows.dense())
    assert sparse.given is None

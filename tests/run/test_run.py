"""Runs: from a recipe to a folder, and from the folder alone back to the same numbers."""

import json
import math

import numpy as np
import polars
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import lowerbound
from lowerbound import recipe as recipes
from lowerbound.errors import ConfigError, DataError, RunError, ShapeError
from lowerbound.evaluation import bound
from lowerbound.run import check

FAST = {
    "report.write": False,
    "training.epochs": 3,
    "training.accelerator": "cpu",
    "model.network.hidden": [32],
    "model.latent": [3, 2],
}


NUMBERS = {
    "data.kinds": None,
    "data.hide": 0.0,
    "model.latent": [8],
    "model.network.hidden": [128, 128],
    "model.network.linear_path": False,
    "model.likelihood": "Normal",
    "model.prior": "StandardNormal",
    "objective": "Elbo",
    "training.steps": None,
    "training.samples": 1,
    "training.batch_size": 128,
    "training.learning_rate": 1e-3,
    "training.schedule": "Constant",
}
"""What makes the recipe of tables one for numbers alone, by a likelihood of standardised ones."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return lowerbound.fit(
        "digits", out=tmp_path_factory.mktemp("runs") / "a", settings=FAST, progress=False
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of four columns made from two factors, in units far from 0 and 1, and a run on it."""
    folder = tmp_path_factory.mktemp("table")
    random = np.random.default_rng(0)
    values = random.normal(size=(400, 2)) @ random.normal(size=(2, 4)) * 50 + 1000
    polars.DataFrame({f"c{i}": values[:, i] for i in range(4)}).write_csv(folder / "t.csv")
    settings = NUMBERS | {
        "report.write": False,
        "training.epochs": 30,
        "training.accelerator": "cpu",
    }
    return lowerbound.fit(
        "table", data=folder / "t.csv", out=folder / "run", settings=settings, progress=False
    ), values


def test_the_folder_holds_what_it_should(run):
    names = {p.name for p in run.folder.iterdir()}
    assert names == {
        "recipe.toml",
        "data.json",
        "metrics.csv",
        "model.safetensors",
        "summary.json",
        "reference.json",
        "checkpoint",
    }
    assert recipes.load(run.folder / "recipe.toml") == run.recipe
    assert (
        json.loads((run.folder / "summary.json").read_text())["test"]["elbo"]
        == run.summary["test"]["elbo"]
    )


def test_a_run_is_reloaded_from_its_folder_alone(run):
    again = lowerbound.load(run.folder)
    assert again.evaluate(samples=7) == run.evaluate(samples=7)
    assert torch.equal(again.sample(5), run.sample(5))
    assert again.summary["parameters"] == run.summary["parameters"]


def test_nothing_in_the_folder_is_a_pickle(run):
    for path in run.folder.rglob("*"):
        assert path.suffix in {"", ".toml", ".json", ".csv", ".safetensors"}
        assert path.is_dir() or not path.read_bytes().startswith(
            (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK")
        )


def test_the_summary_measures_the_test_split_once_with_the_best_weights(run):
    found = bound(run.model, run.data().test, seed=5)
    # Other draws, the same model: within a few standard errors of the difference, which is Monte
    # Carlo noise alone.
    assert run.summary["test"]["elbo"] == pytest.approx(found.elbo.value, abs=1.0)
    assert run.summary["test"]["objective"] == pytest.approx(-run.summary["test"]["elbo"], rel=1e-5)
    assert len(run.summary["test"]["rate"]) == 2


def test_the_terms_of_the_summary_add_up(run):
    for split in ("train", "validation", "test"):
        found = run.summary[split]
        assert found["elbo"] == pytest.approx(
            found["log_likelihood_term"] - sum(found["rate"]), abs=1e-4
        )


def test_evaluation_gives_a_likelihood_above_the_bound(run):
    found = run.evaluate(samples=50)
    assert found["log_likelihood"] > found["elbo"]
    assert found["samples"] == 50
    assert 1 <= found["effective_samples"] <= 50
    assert found["examples"] == len(run.data().test)
    assert found["bits_per_dim"] == pytest.approx(-found["log_likelihood"] / 64 / np.log(2))
    assert len(found["rate"]) == len(found["active_units"]) == 2


def test_codes_of_a_split_are_those_of_its_batches(run):
    examples = run.data().test
    whole = run.encode(examples)
    first = run.encode(examples.batch(slice(0, 9)))
    assert [z.shape for z in whole] == [(len(examples), 3), (len(examples), 2)]
    for a, b in zip(whole, first, strict=True):
        assert torch.allclose(a[:9], b, atol=1e-6)


def test_samples_come_by_the_number_and_the_seed(run):
    assert run.sample(70).shape == (70, 1, 8, 8)
    assert torch.equal(run.sample(4, seed=1), run.sample(4, seed=1))
    assert not torch.equal(run.sample(4, seed=1), run.sample(4, seed=2))
    drawn = run.sample(20, mean=False) * 16
    assert torch.allclose(drawn, drawn.round(), atol=1e-4)  # draws lie on the grid of the data
    with pytest.raises(ConfigError, match="1 or more, got 0"):
        run.sample(0)


@pytest.mark.parametrize("mean", [True, False])
def test_few_samples_are_the_first_of_sixteen(run, mean):
    """PyTorch draws fewer than 16 numbers in another way; z1 has three and z2 two."""
    sixteen = run.sample(16, mean=mean, seed=4)
    for n in (1, 5, 15):
        assert torch.equal(run.sample(n, mean=mean, seed=4), sixteen[:n])


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(
        RunError, match=r"not a fitted run: recipe\.toml, data\.json, model\.safetensors missing"
    ):
        lowerbound.load(tmp_path)


def copied(run, tmp_path):
    for name in ("recipe.toml", "data.json", "model.safetensors"):
        (tmp_path / name).write_bytes((run.folder / name).read_bytes())
    return tmp_path


def test_a_run_of_another_format_is_refused(run, tmp_path):
    folder = copied(run, tmp_path)
    (folder / "data.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="format 1 is needed, got 99"):
        lowerbound.load(folder)


def test_weights_of_another_recipe_are_refused(run, tmp_path):
    folder = copied(run, tmp_path)
    (folder / "recipe.toml").write_text(run.recipe.replace({"model.latent": [5, 2]}).to_toml())
    with pytest.raises(RunError, match="not the weights of this model"):
        lowerbound.load(folder)


def test_a_fit_never_overwrites_a_run(run):
    before = (run.folder / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="holds a run already; --resume continues it"):
        lowerbound.fit("digits", out=run.folder, progress=False)
    assert (run.folder / "model.safetensors").read_bytes() == before


def test_the_default_folder_is_the_next_free_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = FAST | {"training.epochs": 1}
    folders = [
        str(lowerbound.fit("digits", settings=settings, progress=False).folder) for _ in range(2)
    ]
    assert folders == ["runs/digits", "runs/digits-2"]


def test_resuming_a_finished_run_changes_nothing(run):
    before = {
        name: (run.folder / name).read_bytes() for name in ("model.safetensors", "metrics.csv")
    }
    again = lowerbound.fit("digits", out=run.folder, settings=FAST, resume=True, progress=False)
    assert {name: (run.folder / name).read_bytes() for name in before} == before
    assert again.summary["test"] == run.summary["test"]


def test_resuming_with_another_recipe_names_the_difference(run):
    with pytest.raises(RunError, match=r"another recipe, different in training\.learning_rate"):
        lowerbound.fit(
            "digits", out=run.folder, settings=FAST | {"training.learning_rate": 1.0}, resume=True
        )


def test_resuming_nothing_is_refused(tmp_path):
    with pytest.raises(RunError, match="no run in"):
        lowerbound.fit("digits", out=tmp_path / "x", resume=True)


def test_wrong_settings_leave_no_folder_behind(tmp_path):
    for settings in (
        {"training.optimizer_options": {"foo": 1}},
        {"model.likelihood": "DiscretizedLogistic"},
    ):
        with pytest.raises((ConfigError, DataError)):
            lowerbound.fit("digits", out=tmp_path / "x", settings=settings, progress=False)
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("likelihood", "source", "reason"),
    [
        ("Bernoulli", "table", r"Bernoulli needs values in \[0, 1\]"),
        ("ContinuousBernoulli", "table", r"ContinuousBernoulli needs values in \[0, 1\]"),
        ("DiscretizedLogistic", "table", "needs values on a grid of 256 levels, got real numbers"),
        ("DiscretizedLogistic", "digits", "needs values on a grid of 256 levels, got 17 levels"),
    ],
)
def test_a_likelihood_that_does_not_fit_the_data_is_refused_with_a_reason(
    run, table, likelihood, source, reason
):
    examples = {"table": table[0], "digits": run}[source].data().train
    plan = recipes.load("digits").replace({"model.likelihood": likelihood})
    with pytest.raises(DataError, match=reason):
        check(plan, examples)


@pytest.mark.parametrize(
    ("likelihood", "binarize", "says"),
    [
        ("Bernoulli", "none", "not a likelihood"),
        ("Bernoulli", "static", None),
        ("ContinuousBernoulli", "none", "density"),
        ({"type": "DiscretizedLogistic", "levels": 17}, "none", None),
    ],
)
def test_a_report_says_where_a_likelihood_is_none(likelihood, binarize, says):
    plan = recipes.load("digits").replace(
        {"model.likelihood": likelihood, "data.binarize": binarize}
    )
    caveat = check(plan, plan.data.open().train)
    assert (caveat is None) if says is None else (says in caveat)


def test_a_table_is_standardised_as_in_training_and_sampled_in_its_own_units(table):
    run, values = table
    samples = run.sample(4000, mean=False).numpy()
    assert np.allclose(samples.mean(0), values.mean(0), atol=0.25 * values.std(0).max())
    assert np.allclose(samples.std(0), values.std(0), rtol=0.35)


def test_a_report_says_that_a_table_is_measured_in_standard_units(table):
    """log p(x) of x = mean + scale * u is log p(u) - sum log scale."""
    run, _ = table
    offset = -np.log(run.schema.scale).sum()
    assert f"add {offset:.4g} nats" in run.evaluate(samples=2)["caveat"]


def test_another_file_is_measured_whole_with_the_training_scale(table, tmp_path):
    run, values = table
    polars.DataFrame({f"c{i}": values[:50, i] for i in (2, 0, 3, 1)}).write_parquet(
        tmp_path / "new.parquet"
    )
    found = run.evaluate(tmp_path / "new.parquet", samples=5)
    assert found["split"] == "all"
    assert found["examples"] == 50
    batch = run.data(tmp_path / "new.parquet").split("all").batch(slice(None)).numpy()
    assert np.allclose(run.schema.restore(batch), values[:50], rtol=1e-5)


def test_a_run_finds_its_data_from_any_folder(tmp_path, monkeypatch):
    polars.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": [2.0, 1, 4, 3, 6, 5]}).write_csv(
        tmp_path / "t.csv"
    )
    monkeypatch.chdir(tmp_path)
    settings = {
        "report.write": False,
        "training.epochs": 1,
        "data.validation": 1,
        "data.test": 1,
        "training.accelerator": "cpu",
    }
    run = lowerbound.fit("table", data="t.csv", out="run", settings=settings, progress=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(lowerbound.load(tmp_path / run.folder).data().train) == 4


def test_a_table_without_one_of_the_columns_is_refused(table, tmp_path):
    polars.DataFrame({"c0": [1.0, 2.0], "c1": [3.0, 4.0]}).write_csv(tmp_path / "less.csv")
    with pytest.raises(DataError, match="c2"):
        table[0].evaluate(tmp_path / "less.csv")


def test_images_of_an_odd_size_and_colour_are_fitted_and_measured(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "png").mkdir()
    for i in range(40):
        Image.fromarray(random.integers(0, 256, (13, 9, 3), dtype=np.uint8)).save(
            tmp_path / "png" / f"{i}.png"
        )
    settings = {
        "report.write": False,
        "training.epochs": 1,
        "data.validation": 5,
        "data.test": 5,
        "training.accelerator": "cpu",
    }
    run = lowerbound.fit(
        "conv-mnist", data=tmp_path / "png", out=tmp_path / "run", settings=settings, progress=False
    )
    assert run.schema.shape == (3, 13, 9)
    assert run.evaluate(samples=3)["examples"] == 5
    assert run.sample(2).shape == (2, 3, 13, 9)


def test_a_recipe_without_data_asks_for_them():
    with pytest.raises(ConfigError, match="give --data SOURCE"):
        lowerbound.fit("table")


def test_the_test_objective_has_the_samples_of_the_training(tmp_path):
    """The importance-weighted bound of 50 samples is not that of one, which is the ELBO."""
    settings = FAST | {"objective": "Iwae", "training.samples": 50}
    found = lowerbound.fit("digits", out=tmp_path / "x", settings=settings, progress=False).summary
    assert found["test"]["objective"] < -found["test"]["elbo"] - 0.5
    assert found["validation"]["objective"] < -found["validation"]["elbo"] - 0.5


def changed(tmp_path):
    """A run on a table that gets one more row after the fit."""
    random = np.random.default_rng(0)
    polars.DataFrame({name: random.normal(size=60) for name in "ab"}).write_csv(tmp_path / "t.csv")
    settings = {"report.write": False, "training.epochs": 1, "training.accelerator": "cpu"}
    run = lowerbound.fit(
        "table", data=tmp_path / "t.csv", out=tmp_path / "run", settings=settings, progress=False
    )
    with (tmp_path / "t.csv").open("a") as file:
        file.write("0.5,0.5\n")
    return run, settings


def test_changed_data_are_noticed(tmp_path):
    """Other rows make other splits: what was trained on would be tested on."""
    run, settings = changed(tmp_path)
    with pytest.raises(DataError, match=r"is not what .* was fitted to"):
        run.evaluate(samples=2)
    with pytest.raises(RunError, match=r"is not what .* was fitted to"):
        lowerbound.fit(
            "table",
            data=tmp_path / "t.csv",
            out=run.folder,
            settings=settings,
            resume=True,
            progress=False,
        )
    assert run.evaluate(tmp_path / "t.csv", samples=2)["examples"] == 61


def test_values_that_the_likelihood_cannot_have_are_refused_in_every_split(tmp_path):
    random = np.random.default_rng(0)
    np.save(tmp_path / "good.npy", random.random((60, 3)))
    np.save(tmp_path / "bad.npy", random.random((60, 3)) * 300)
    np.savez(tmp_path / "half.npz", train=random.random((60, 3)), test=random.random((9, 3)) * 300)
    settings = NUMBERS | {
        "report.write": False,
        "data.standardize": False,
        "model.likelihood": "Bernoulli",
        "training.epochs": 1,
        "training.accelerator": "cpu",
    }
    run = lowerbound.fit(
        "table", data=tmp_path / "good.npy", out=tmp_path / "run", settings=settings, progress=False
    )
    with pytest.raises(DataError, match=r"needs values in \[0, 1\]"):
        run.evaluate(tmp_path / "bad.npy")
    with pytest.raises(DataError, match=r"needs values in \[0, 1\]"):
        lowerbound.fit(
            "table",
            data=tmp_path / "half.npz",
            out=tmp_path / "x",
            settings=settings,
            progress=False,
        )


def test_noise_that_does_not_fit_the_values_is_refused(table, tmp_path):
    source = table[0].recipe.data.source
    with pytest.raises(DataError, match="Binarize needs values in"):
        lowerbound.fit(
            "table",
            data=source,
            out=tmp_path / "x",
            settings={"model.noise": ["Binarize"]},
            progress=False,
        )


def test_measuring_the_training_split_has_one_draw(tmp_path):
    settings = FAST | {
        "data.binarize": "dynamic",
        "model.likelihood": "Bernoulli",
        "training.epochs": 1,
    }
    run = lowerbound.fit("digits", out=tmp_path / "x", settings=settings, progress=False)
    train = run.data().split("train")
    assert torch.equal(train.batch(slice(0, 100))[50:], train.batch(slice(50, 100)))
    assert not torch.equal(
        run.data().train.batch(slice(0, 9), 1), run.data().train.batch(slice(0, 9), 2)
    )


def test_double_precision_is_kept_from_the_fit_to_the_reloaded_run(tmp_path):
    run = lowerbound.fit(
        "digits",
        out=tmp_path / "x",
        settings=FAST | {"training.precision": "64-true"},
        progress=False,
    )
    again = lowerbound.load(tmp_path / "x")
    assert next(again.model.parameters()).dtype == torch.float64
    assert again.evaluate(samples=3) == run.evaluate(samples=3)
    assert run.sample(2).dtype == torch.float64


def test_resuming_with_more_epochs_goes_on(tmp_path):
    short = lowerbound.fit("digits", out=tmp_path / "x", settings=FAST, progress=False)
    longer = lowerbound.fit(
        "digits",
        out=tmp_path / "x",
        settings=FAST | {"training.epochs": 5},
        resume=True,
        progress=False,
    )
    assert (short.summary["epochs"], longer.summary["epochs"]) == (3, 5)
    assert lowerbound.load(tmp_path / "x").recipe.training.epochs == 5


def test_a_run_that_ended_before_its_first_checkpoint_starts_again(tmp_path):
    broken = {"training.optimizer": "SGD", "training.learning_rate": 1e12}
    with pytest.raises(ArithmeticError):
        lowerbound.fit("digits", out=tmp_path / "x", settings=FAST | broken, progress=False)
    assert (
        lowerbound.fit("digits", out=tmp_path / "x", settings=FAST, progress=False).summary[
            "epochs"
        ]
        == 3
    )


def test_a_loss_that_cannot_be_had_is_told_before_anything_is_written(tmp_path):
    settings = FAST | {"model.prior": "Mixture", "objective": {"type": "Elbo", "kl": "everywhere"}}
    with pytest.raises(ConfigError, match="closed-form KL at every level"):
        lowerbound.fit("digits", out=tmp_path / "x", settings=settings, progress=False)
    assert not (tmp_path / "x").exists()


def test_codes_can_be_trained_on(run):
    codes = run.encode(run.data().test.batch(slice(0, 4)))[0]
    torch.nn.Linear(codes.shape[1], 1)(codes).sum().backward()  # an inference tensor would refuse


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_weights_of_half_precision_are_used_in_single(run, tmp_path, kind):
    folder = copied(run, tmp_path)
    weights = load_file(run.folder / "model.safetensors")
    save_file(
        {name: tensor.to(kind) for name, tensor in weights.items()}, folder / "model.safetensors"
    )
    again = lowerbound.load(folder)
    assert {p.dtype for p in again.model.parameters()} == {torch.float32}
    assert again.evaluate(samples=3)["elbo"] == pytest.approx(
        run.evaluate(samples=3)["elbo"], rel=0.05
    )
    assert again.sample(2).numpy().shape == (2, 1, 8, 8)


def summarised(run, tmp_path, **change):
    """A run whose summary was changed."""
    folder = copied(run, tmp_path)
    summary = json.loads((run.folder / "summary.json").read_text()) | change
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


COUNTS = {"read": 9, "kept": 8, "users": 4, "items": 2, "density": 1.0}


@pytest.mark.parametrize(
    "change",
    [
        *(
            {name: odd}
            for name in ("epochs", "best_epoch", "seconds")
            for odd in (None, "<b>x", [1], {"a": 1}, 10**400, True, -1)
        ),
        *({"examples_per_second": odd} for odd in ("x", [1], math.nan, math.inf)),
        *(
            {name: odd}
            for name in ("facts", "versions")
            for odd in (None, "x", 4, [1], {"a": None}, {"a": [1]})
        ),
        *(
            {"facts": odd}
            for odd in ({"users": 1}, COUNTS | {"density": 10**400}, COUNTS | {"items": "x"})
        ),
        *({"hardware": odd} for odd in (3, ["x"])),
        *({"validation": odd} for odd in (3, "x", [1])),
        {"epochs": 2, "best_epoch": 3},
    ],
    ids=lambda change: str(change)[:60],
)
def test_a_summary_that_no_fit_wrote_is_refused(run, tmp_path, change):
    with pytest.raises(RunError, match=r"summary\.json does not hold what a run wrote") as told:
        lowerbound.load(summarised(run, tmp_path, **change))
    assert "\n" not in str(told.value)


def test_a_summary_may_hold_more_and_know_less(run, tmp_path):
    change = {
        "examples_per_second": None,
        "validation": None,
        "facts": COUNTS | {"duplicates": 1},
        "more": [None],
    }
    assert lowerbound.load(summarised(run, tmp_path, **change)).summary == run.summary | change


@pytest.mark.parametrize("fingerprint", [None, 5, [1], {"train": "x"}, {"test": 1.5}])
def test_a_fingerprint_that_no_fit_wrote_is_refused(run, tmp_path, fingerprint):
    folder = copied(run, tmp_path)
    facts = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(facts | {"fingerprint": fingerprint}))
    with pytest.raises(RunError, match=r"data\.json does not hold what a run wrote: fingerprint"):
        lowerbound.load(folder)


@pytest.mark.parametrize("folder", ["x" * 5000, "a\0b", "none"])
def test_a_path_of_no_run_is_one_line(folder):
    with pytest.raises(RunError) as told:
        lowerbound.load(folder)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 1000


ARRAY = np.zeros((2, 1, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("act", "kind", "line"),
    [
        (lambda r: r.vary(5, 2, 2), ConfigError, "this model has the levels 0, 1, got 5"),
        (lambda r: r.vary(-1, 2, 2), ConfigError, "the levels 0, 1, got -1"),
        (lambda r: r.vary(0, 0, 2), ConfigError, "groups must be 1 or more, got 0"),
        (lambda r: r.vary(0, 2, 1.5), ConfigError, r"draws must be a whole number, got 1\.5"),
        (lambda r: r.vary(0, 2, 2**70), ConfigError, "more memory than this machine has"),
        (lambda r: r.sample(2.5), ConfigError, r"must be a whole number, got 2\.5"),
        (lambda r: r.sample(2**70), ConfigError, "more memory than this machine has"),
        (
            lambda r: r.sample(2, seed=2**70),
            ConfigError,
            r"from 0 to 2\^63 - 1, got 1180591620717411303424",
        ),
        (lambda r: r.evaluate(seed=-1), ConfigError, r"from 0 to 2\^63 - 1, got -1"),
        (
            lambda r: r.evaluate(samples=1.5),
            ConfigError,
            r"samples must be a whole number, got 1\.5",
        ),
        (lambda r: r.evaluate(samples=10**23), ConfigError, "more memory than this machine has"),
        (lambda r: r.encode(ARRAY[:, 0, :7]), ShapeError, r"shape \(1, 7, 8\), the model was"),
        (lambda r: r.encode([1]), ShapeError, r"the array has 1 axes, shape \(1,\)"),
        (lambda r: r.encode(1), DataError, "data of type int are not read; allowed: a path or"),
        (lambda r: r.reconstruct(ARRAY + 17), DataError, "256 levels, the model was trained on 17"),
        (lambda r: r.reconstruct(ARRAY - 0.5), DataError, "real numbers, the model was trained on"),
        (
            lambda r: r.decode([[0.0, 0.0, 0.0]]),
            DataError,
            r"latents of shape \(\.\.\., 3\), got list",
        ),
        (
            lambda r: r.decode(np.zeros((2, 2))),
            DataError,
            r"latents of shape \(\.\.\., 3\), got \(2, 2\)",
        ),
        (lambda r: r.sample(2, units="levels"), ConfigError, "unknown units 'levels'"),
        (
            lambda r: r.decode(torch.zeros(2, 3), 1),
            DataError,
            r"\(\.\.\., 2\) at level 1, got \(2, 3\)",
        ),
        (lambda r: r.decode(torch.zeros(2, 3), 2), ConfigError, "the levels 0, 1, got 2"),
        (lambda r: r.data("~nobody-of-this-name/x.npy"), DataError, "there is no file or folder"),
    ],
)
def test_a_mistake_in_python_is_one_line(run, act, kind, line):
    with pytest.raises(kind, match=line) as told:
        act(run)
    assert "\n" not in str(told.value)

"""Recommenders that see features of users: the model, the exact lists, a taste that a feature
decides, users without a history, the command, and a fit that goes on.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from scipy.sparse import csr_matrix

import lowerbound
from lowerbound.batch import Batch
from lowerbound.columns import ColumnSchema, fit_columns
from lowerbound.data import Data, Items, Schema
from lowerbound.errors import ConfigError, DataError, RunError
from lowerbound.evaluation.measure import MeasureSettings, RankedMeasures
from lowerbound.evaluation.ranking import difference
from lowerbound.families import Multinomial
from lowerbound.model import Architecture
from lowerbound.networks import MLP, DenseMLP
from lowerbound.noise import Dropout, L2Normalize
from lowerbound.priors import Composite
from lowerbound.recipe import Recipe
from lowerbound.recommend import Recommender, exact
from lowerbound.report.findings.recommender import compare
from lowerbound.report.sections.recommender import features, quality
from lowerbound.run import Run, load
from lowerbound.run.given import to_codes
from lowerbound.sparse import RowsBeside, SparseRows

WIDTH = 203
NOISE = (L2Normalize(), Dropout())
COLUMNS = (
    ColumnSchema("age", "count", "integer"),
    ColumnSchema("taste", "categorical", "text", levels=("folk", "jazz", "rock")),
    ColumnSchema("since", "datetime", "date"),
    ColumnSchema("town", "categorical", "text", levels=tuple(f"t{k:02d}" for k in range(70))),
)


def conditions(users, seed=0, gaps=0.1):
    """Random conditions of users, (users, 4), some of which are not known."""
    rng = np.random.default_rng(seed)
    values = np.stack(
        [
            rng.integers(18, 80, users),
            rng.integers(0, 3, users),
            rng.integers(15_000, 20_000, users),
            rng.integers(0, 70, users),
        ],
        axis=1,
    ).astype(float)
    values[rng.random(values.shape) < gaps] = np.nan
    return values


def fitted(count):
    return fit_columns(COLUMNS[:count], conditions(400, 9)[:, :count], np.arange(400))


MODELS = {
    "multvae": (
        Architecture((30,), MLP((70,), "tanh"), likelihood=Multinomial(), noise=NOISE),
        2,
    ),
    "dates": (
        Architecture(
            (12,), MLP((40, 21), "silu"), likelihood=Multinomial(), conditional_prior=True
        ),
        3,
    ),
    "embedded": (
        Architecture(
            (10,),
            DenseMLP(48, 3),
            MLP((), "tanh"),
            likelihood=Multinomial(),
            prior=Composite(),
            noise=NOISE,
        ),
        4,
    ),
    "chain": (Architecture((6, 3), MLP((33,)), likelihood=Multinomial(), heads="separate"), 1),
}


def made(name):
    """A conditional run with random weights, in no folder."""
    architecture, count = MODELS[name]
    given = fitted(count)
    torch.manual_seed(1)
    model = architecture.build((WIDTH,), sparse=True, given=given)
    with torch.no_grad():
        exact.last_layer(model).bias.copy_(-torch.log1p(torch.arange(WIDTH) / 50))
    schema = Schema((WIDTH,), "interactions", 2, 0.0, 1.0, given=given)
    recipe = Recipe(data=Data("nowhere"), model=architecture)
    return Run(Path("nowhere"), recipe, schema, model, {}, Items(np.arange(WIDTH)))


def histories(users, seed=0):
    """Random histories (users, WIDTH), every fifth of them empty."""
    rng = np.random.default_rng(seed)
    matrix = (rng.random((users, WIDTH)) < 0.05).astype(np.float32)
    matrix[::5] = 0
    return csr_matrix(matrix)


# The model ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_encoder_and_decoder_see_the_conditions(name):
    run = made(name)
    rows = SparseRows.of(histories(6))
    first = to_codes(conditions(6, gaps=0)[:, : len(run.schema.given)], run.schema)
    second = to_codes(conditions(6, 1, gaps=0)[:, : len(run.schema.given)], run.schema)
    encoded = [run.model.encode(Batch(rows, given))[0] for given in (first, second)]
    assert not torch.equal(*encoded)
    z = torch.zeros(6, *run.model.latents.context_shape)
    decoded = [run.model.decode(z, given).natural.tensor() for given in (first, second)]
    assert not torch.equal(*decoded)
    run.model.train()
    terms = run.model.terms(Batch(rows, first))
    terms.log_weight.sum().backward()
    for parameter_name, parameter in run.model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all()


def test_what_is_beside_the_rows_is_one_more_input_of_the_first_layer():
    torch.manual_seed(0)
    network = MLP((8,), "tanh").sparse_encoder(WIDTH, 3, beside=2)
    torch.manual_seed(0)
    dense = MLP((8,), "tanh").encoder((WIDTH + 2,), 3)
    rows = histories(5)
    beside = torch.randn(5, 2)
    found = network(RowsBeside(SparseRows.of(rows), beside))
    wanted = dense(torch.cat([torch.from_numpy(rows.toarray()), beside], 1))
    assert torch.allclose(found, wanted, atol=1e-5)


def test_the_earlier_posterior_of_a_composite_prior_sees_the_conditions():
    run = made("embedded")
    batch = Batch(SparseRows.of(histories(6)), to_codes(conditions(6), run.schema))
    embedded = replace(batch, given=run.model.embed(batch.given))
    q = run.model.latents.infer(embedded, 1).levels[0]
    earlier = run.model.latents.priors[-1]._earlier(batch.x, embedded.given)
    run.model.refresh()
    renewed = run.model.latents.priors[-1]._earlier(batch.x, embedded.given)
    assert torch.equal(earlier.mean, renewed.mean)  # it was copied when the prior was built
    assert torch.allclose(renewed.mean, q.q.mean, atol=1e-6)


def test_a_network_that_takes_nothing_beside_its_rows_is_refused():
    class Old(MLP):
        def sparse_encoder(self, width, features, heads=1):
            return super().sparse_encoder(width, features, heads)

    architecture = Architecture((4,), Old((8,)), likelihood=Multinomial())
    architecture.build((WIDTH,), sparse=True)
    with pytest.raises(ConfigError, match="Old takes no features of users"):
        architecture.build((WIDTH,), sparse=True, given=fitted(1))


# Exact lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_lists_are_the_same_alone_and_among_many(name):
    run = made(name)
    recommender = Recommender(run)
    names = run.schema.names_of_conditions
    matrix = histories(700)
    values = conditions(700)[:, : len(names)]
    words = {}
    for column, numbers in zip(run.schema.given, values.T, strict=True):
        words[column.name] = [word_of(column, number) for number in numbers]
    many = recommender.recommend_many(matrix, 20, given=words)
    for row in (0, 1, 5, 52, 53, 54, 255, 511, 512, 513, 695, 699):
        given = {each: entries[row] for each, entries in words.items()}
        if matrix[row].nnz == 0 and all(value is None for value in given.values()):
            assert many.counts[row] == 0
            continue
        alone = recommender.recommend(matrix[row].indices.tolist(), 20, given=given)
        assert [r.item for r in alone] == many.items[row].tolist()
        assert [r.score for r in alone] == many.scores[row].tolist()
    codes = to_codes(values, run.schema)
    with torch.no_grad():
        scores = run.model.item_scores(Batch(SparseRows.of(matrix), codes))
    best = scores[torch.arange(700)[:, None], torch.from_numpy(many.items).clamp(min=0)]
    known = torch.from_numpy(many.items >= 0)
    assert torch.allclose(best[known], torch.from_numpy(many.scores)[known], atol=1e-3)


def word_of(column, number):
    """Returns the value of a condition as a user writes it."""
    if np.isnan(number):
        return None
    if column.levels:
        return column.levels[int(number)]
    if column.kind == "datetime":
        return str(np.datetime64(int(number), "D"))
    return int(number)


def test_what_speaks_for_an_item_is_told_beside_the_features():
    recommender = Recommender(made("multvae"))
    history = [3, 50, 120]
    given = {"age": 30, "taste": "jazz"}
    (best,) = recommender.recommend(history, 1, given=given)
    (reasons,) = recommender.explain(history, [best.item], given=given)
    for reason in reasons:
        rest = [item for item in history if item != reason.item]
        everything = recommender.recommend(rest, WIDTH, given=given, exclude_seen=False)
        score = next(each.score for each in everything if each.item == best.item)
        assert reason.share == pytest.approx(best.score - score, abs=1e-5)


def test_features_come_by_name_by_frame_or_with_a_history():
    recommender = Recommender(made("multvae"))
    matrix = histories(4)
    mapping = {f"u{row}": matrix[row].indices.tolist() for row in range(4)}
    ages = [30, 40, None, 50]
    wanted = recommender.recommend_many(mapping, 5, given={"age": ages, "taste": "jazz"})
    frame = pl.DataFrame({"user": ["u3", "u1", "u0"], "age": [50, 40, 30]})
    frame = frame.with_columns(taste=pl.lit("jazz"))
    found = recommender.recommend_many(mapping, 5, given=frame)
    for row in (0, 1, 3):
        assert found.items[row].tolist() == wanted.items[row].tolist()
    # of u2 the frame has no row
    assert found.scores[2].tolist() != wanted.scores[2].tolist()
    assert np.array_equal(
        recommender.recommend_many(mapping, 5).scores[2], found.scores[2], equal_nan=True
    )
    assert recommender.codes(mapping, given={"age": 30}).shape == (4, 30)
    with pytest.raises(DataError, match="given is a mapping of features to values, or a frame"):
        recommender.recommend_many(mapping, 5, given=3)
    with pytest.raises(DataError, match="give one item or more, or a feature of age, taste"):
        recommender.recommend([], given={"age": None})
    with pytest.raises(ConfigError, match="unknown condition 'sex'"):
        recommender.recommend([3], given={"sex": "f"})


# A taste that a feature decides -------------------------------------------------------------------

TASTES = ("folk", "jazz", "opera", "rock")
ITEMS = 40
FAST = {
    "training.epochs": 12,
    "training.batch_size": 100,
    "training.learning_rate": 5e-3,
    "training.threads": 1,
    "model.latent": [6],
    "model.network.hidden": [24],
    "report.write": False,
}


def world(users=500, seed=0):
    """Makes a log and a table of users whose taste says which quarter of the items they like.

    Each has five items, of which the model sees one of a held-out user: it says little.
    """
    rng = np.random.default_rng(seed)
    taste = rng.integers(0, len(TASTES), users)
    pairs = []
    for user in range(users):
        weights = np.where(np.arange(ITEMS) % len(TASTES) == taste[user], 8.0, 1.0)
        chosen = rng.choice(ITEMS, 5, replace=False, p=weights / weights.sum())
        pairs += [(f"u{user}", f"i{item}") for item in chosen]
    log = pl.DataFrame(pairs, schema=["user", "item"], orient="row")
    words = [TASTES[k] for k in taste]
    table = pl.DataFrame({"user": [f"u{user}" for user in range(users)], "taste": words})
    return log, table.with_columns(age=pl.Series(rng.integers(18, 80, users)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the log and the table, and a run that was fitted with and one without it."""
    made_folder = tmp_path_factory.mktemp("features")
    log, table = world()
    log.write_csv(made_folder / "log.csv")
    table.write_csv(made_folder / "users.csv")
    shares = {"data.validation": 0.15, "data.test": 0.3, "data.interactions.fold_in": 0.2}
    with_features = {
        "data.interactions.users": str(made_folder / "users.csv"),
        "data.given": ["taste", "age"],
    }
    for name, settings in (("with", FAST | with_features), ("without", FAST)):
        lowerbound.fit(
            "multvae",
            data=made_folder / "log.csv",
            out=made_folder / name,
            settings=settings | shares,
            progress=False,
        )
    return made_folder


def measured(run):
    data = run.data()
    settings = MeasureSettings(popularity=run.items.popularity)
    return RankedMeasures(run.model, data.test, settings)


def test_a_model_that_sees_the_feature_is_far_better(folder):
    with_features = measured(load(folder / "with"))
    without = measured(load(folder / "without"))
    gain = difference(with_features.ranking, without.ranking, "ndcg@10")
    assert gain.value > 0.1
    assert gain.value > 4 * gain.standard_error


def test_users_without_a_history_are_ranked_by_their_features(folder):
    measures = measured(load(folder / "with"))
    cold = measures.more_than_popularity(measures.cold)["ndcg@10"]
    assert cold.value > 0.1
    assert cold.value > 4 * cold.standard_error
    assert measured(load(folder / "without")).cold is None
    recommender = Recommender.load(folder / "with")
    for place, taste in enumerate(TASTES):
        items = [r.item for r in recommender.recommend([], 6, given={"taste": taste})]
        liked = [item for item in items if int(item[1:]) % len(TASTES) == place]
        assert len(liked) >= 5
    table = pl.read_csv(folder / "users.csv")
    users = dict.fromkeys(table["user"].to_list()[:50], ())
    lists = recommender.recommend_many(users, 3, given=table)
    assert (lists.counts == 3).all()


def test_evaluate_measures_both(command, folder):
    code, out, _ = command("evaluate", folder / "with", "--json")
    assert code == 0
    found = json.loads(out)
    cold = found["cold_start"]
    assert cold["metrics"].keys() == found["metrics"].keys()
    assert cold["more_than_popularity"]["ndcg@10"]["value"] > 0.1
    assert "taste" in found["caveat"]
    code, out, _ = command("evaluate", folder / "with")
    assert code == 0
    assert "features alone, without a history: NDCG@" in out
    code, out, _ = command("evaluate", folder / "without", "--json")
    assert "cold_start" not in json.loads(out)


def test_runs_with_and_without_features_compare(command, folder, tmp_path):
    code, out, _ = command(
        "compare", folder / "without", folder / "with", "--out", tmp_path / "page", "--json"
    )
    assert code == 0
    assert json.loads(out)["comparable"]


def test_the_command_takes_features(command, folder, tmp_path):
    code, out, _ = command(
        "recommend",
        folder / "with",
        "--given",
        "taste=jazz",
        "--given",
        "age=30",
        "-k",
        3,
        "--json",
    )
    assert code == 0
    wanted = Recommender.load(folder / "with").recommend([], 3, given={"taste": "jazz", "age": 30})
    assert [each["item"] for each in json.loads(out)["items"]] == [r.item for r in wanted]
    new = tmp_path / "new.csv"
    pl.DataFrame({"user": ["a", "b"], "item": ["i1", "i2"]}).write_csv(new)
    told = tmp_path / "told.csv"
    pl.DataFrame({"user": ["b", "a"], "taste": ["rock", "folk"]}).write_csv(told)
    code, _, err = command(
        "recommend",
        folder / "with",
        "--users",
        new,
        "--features",
        told,
        "--out",
        tmp_path / "r.csv",
    )
    assert code == 0
    assert "columns that are not there are gaps: 'age'" in err
    lists = pl.read_csv(tmp_path / "r.csv").group_by("user", maintain_order=True).first()
    recommender = Recommender.load(folder / "with")
    for user, item, taste in (("a", "i1", "folk"), ("b", "i2", "rock")):
        best = recommender.recommend([item], 1, given={"taste": taste})[0]
        assert lists.filter(pl.col("user") == user)["item"].item() == best.item


def test_codes_need_the_features_and_take_them(folder):
    run = load(folder / "with")
    split = run.data().split("test")
    codes = run.encode(split)[0]
    own = {"taste": None, "age": None}
    assert not torch.equal(run.encode(split, given=own)[0], codes)
    matrix = split.matrix
    table = pl.read_csv(folder / "users.csv")
    rows = {user: row for row, user in enumerate(table["user"].to_list())}
    order = [rows[user] for user in split.users.tolist()]
    given = {"taste": table["taste"][order], "age": table["age"][order]}
    assert torch.equal(run.encode(matrix, given=given)[0], codes)
    with pytest.raises(ConfigError, match="samples are of images and tables"):
        run.sample(3)


def test_a_run_whose_table_of_users_is_elsewhere_is_told_so(command, folder, tmp_path):
    table = tmp_path / "users.csv"
    shutil.copy(folder / "users.csv", table)
    shutil.copytree(folder / "with", tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(str(folder / "users.csv"), "/nowhere/users.csv"))
    code, out, _ = command("evaluate", tmp_path / "run", "--json")
    assert code == 0  # the run keeps the features of its users
    shutil.rmtree(tmp_path / "run" / "split")
    code, out, err = command("evaluate", tmp_path / "run", "--json")
    assert (code, out) == (2, "")
    assert "/nowhere/users.csv, which the run was fitted to, is not there; --features FILE" in err
    code, out, err = command("evaluate", tmp_path / "run", "--features", table, "--json")
    assert code == 0
    assert json.loads(out)["metrics"] == load(folder / "with").evaluate()["metrics"]
    code, _, err = command("encode", folder / "without", "--features", table, "--out", "c.csv")
    assert code == 2
    assert "this run was fitted without features of users" in err


def test_encode_names_all_columns_of_its_file(command, folder, tmp_path):
    out = tmp_path / "codes.csv"
    code, text, _ = command("encode", folder / "with", "--out", out, "--json")
    assert code == 0
    assert json.loads(text)["columns"] == pl.read_csv(out).columns
    assert json.loads(text)["columns"][:2] == ["user", "z1_1"]


def test_the_report_shows_what_features_recommend(folder):
    run = load(folder / "with")
    popularity = run.items.popularity
    section = features(run, SimpleNamespace(popularity=popularity))
    assert [table.head[0] for table in section.tables] == ["taste", "age"]
    jazz = next(row for row in section.tables[0].rows if row[0] == "jazz")
    assert sum(int(item[1:]) % len(TASTES) == 1 for item in jazz[1:]) >= 4
    compared = compare(run, run.data(), popularity)
    shown = quality(run, SimpleNamespace(compared=compared))
    assert any("The ranking by features alone" in sentence for sentence in shown.sentences)
    assert features(load(folder / "without"), SimpleNamespace(popularity=popularity)) is None


def test_a_fit_goes_on_as_if_it_had_not_stopped(folder, tmp_path):
    table = tmp_path / "users.csv"
    shutil.copy(folder / "users.csv", table)
    settings = {
        "training.epochs": 3,
        "training.checkpoint_every": 1,
        "data.interactions.users": str(table),
    }
    recipe = load(folder / "with").recipe.replace(settings)
    whole = lowerbound.fit(recipe, out=tmp_path / "whole", progress=False)
    part = recipe.replace({"training.epochs": 2})
    lowerbound.fit(part, out=tmp_path / "part", progress=False)
    again = lowerbound.fit(recipe, out=tmp_path / "part", resume=True, progress=False)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
    changed = pl.read_csv(table).with_columns(taste=pl.col("taste").reverse())
    changed.write_csv(table)
    longer = recipe.replace({"training.epochs": 4})
    assert load(tmp_path / "part").evaluate() == again.evaluate()  # by what the run keeps
    shutil.rmtree(tmp_path / "part" / "split")
    with pytest.raises(RunError, match="is not what"):
        lowerbound.fit(longer, out=tmp_path / "part", resume=True, progress=False)
    with pytest.raises(DataError, match="is not what"):
        load(tmp_path / "part").data()

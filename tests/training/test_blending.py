"""The linear method beside the network of a recommender: how it is chosen, kept and used."""

import json
import shutil

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

import lowerbound
from lowerbound.baselines import LinearScorer
from lowerbound.data import Data
from lowerbound.errors import ConfigError, DataError, RunError
from lowerbound.evaluation.ranking import rank
from lowerbound.recipe import parse
from lowerbound.recommend.calibration import fit_calibration
from lowerbound.sparse import SparseRows
from lowerbound.system import machine
from lowerbound.training import blending

CHOICE = {
    "partners": ["Ease", {"type": "Ease", "l2": 50.0}, {"type": "GraphFilter", "rank": 16}],
    "weights": [1.0, 4.0],
    "users": 60,
}


def settings(**others):
    return {
        "training.epochs": 1,
        "training.monitor": "ndcg@20",
        "model.network": {"type": "MLP", "hidden": [16]},
        "model.latent": [8],
        "report.write": False,
    } | others


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blend") / "run"
    return lowerbound.fit("multvae", out=folder, settings=settings(blend=CHOICE), progress=False)


def test_the_best_on_validation_users_is_taken(run):
    told = run.summary["blend"]
    values = [trial["value"] for trial in told["trials"]]
    assert len(values) == 1 + 3 * 2
    assert told["trials"][0]["partner"] is None
    best = told["trials"][int(np.argmax(values))]
    assert (best["partner"], best["weight"]) == (told["partner"], told["weight"])
    assert max(values) > values[0] + 0.05  # the network has seen one epoch
    assert told["metric"] == "ndcg@20"
    assert run.model.partner.weight == told["weight"]
    users = blending.evenly_chosen(run.data().users("validation"), 60)
    measured = rank(run.model.item_scores, users, metrics=["ndcg@20"])["ndcg@20"]
    assert measured.value == pytest.approx(max(values), abs=1e-6)
    assert told["users"] == len(users) == 60


def test_what_was_chosen_ranks_by_every_door(run):
    again = lowerbound.load(run.folder)
    found = again.evaluate()
    assert found["metrics"] == run.evaluate()["metrics"]
    assert found["metrics"]["ndcg@20"] == pytest.approx(run.summary["test"]["ndcg@20"], abs=1e-6)
    users = again.data().users("test").take(slice(0, 5))
    with torch.no_grad():
        scores = again.model.item_scores(SparseRows.of(users.matrix))
    scores[torch.from_numpy(users.matrix.toarray() > 0)] = -torch.inf
    lists = lowerbound.Recommender(again).recommend_many(users, 10)
    best = scores.topk(10)
    np.testing.assert_allclose(lists.scores, best.values, rtol=1e-5)
    assert (lists.items == best.indices.numpy()).mean() > 0.95
    network = lowerbound.load(run.folder)
    network.model.partner = None
    assert network.evaluate()["metrics"] != found["metrics"]


def test_a_run_without_its_partner_is_told_so(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    (folder / "partner.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"cannot read .*partner\.safetensors"):
        lowerbound.load(folder)
    (folder / "partner.safetensors").unlink()
    with pytest.raises(RunError, match=r"partner\.safetensors is missing: the run ranks by it"):
        lowerbound.load(folder)


def test_a_finished_run_gets_another_partner_without_training(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    one = {"partners": [{"type": "GraphFilter", "rank": 4}], "weights": [2.0]}
    options = {"out": folder, "resume": True, "progress": False}
    again = lowerbound.fit("multvae", settings=settings(blend=one), **options)
    assert again.summary["blend"]["partner"]["rank"] == 4
    assert again.summary["blend"]["metric"] is None
    assert again.model.partner.scorer.left.shape[1] == 4
    weights = again.model.state_dict()
    assert all(torch.equal(weights[name], each) for name, each in run.model.state_dict().items())


def test_a_finished_run_loses_its_partner_with_the_table(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    options = {"out": folder, "resume": True, "progress": False}
    again = lowerbound.fit(folder / "recipe.toml", settings={"blend": None}, **options)
    assert again.model.partner is None
    assert not (folder / "partner.safetensors").exists()
    assert lowerbound.load(folder).model.partner is None
    assert again.summary["test"] != run.summary["test"]


def test_the_network_alone_may_win(tmp_path, monkeypatch):
    def worse(self, history):
        return -self.scorer(history)

    monkeypatch.setattr(blending.Partner, "__call__", worse)
    told = settings(blend=CHOICE | {"weights": [50.0]})
    folder = tmp_path / "run"
    run = lowerbound.fit("multvae", out=folder, settings=told, progress=False)
    assert run.model.partner is None
    assert run.summary["blend"]["partner"] is None
    assert not (folder / "partner.safetensors").exists()
    assert "blend" in json.loads((folder / "summary.json").read_text())


def opened(**interactions):
    plan = {"source": "synthetic-interactions", "interactions": interactions}
    return parse({"data": plan | {"validation": 0.2, "test": 0.1}}).data.open()


@pytest.mark.parametrize("split", ["strong", "random"])
def test_known_rows_hold_all_but_the_test(split):
    data = opened(split=split)
    found = blending.known_rows(data)
    train = data.users("train").matrix
    targets = data.users("validation").targets
    assert found.sum() == pytest.approx(
        train.sum() + targets.sum() + (split == "strong") * data.users("validation").matrix.sum()
    )
    assert found.max() == 1
    if split == "random":
        assert (found.multiply(data.users("test").targets)).nnz == 0


@pytest.fixture(scope="module")
def refitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refitted") / "run"
    told = settings(blend=CHOICE | {"refit": True})
    return lowerbound.fit("multvae", out=folder, settings=told, progress=False)


def test_the_partner_is_fitted_to_validation_too(refitted):
    run = refitted
    assert run.summary["blend"]["refitted"]
    told = blending.Chosen(run.model.partner, is_refitted=True).describe()
    assert told.endswith("; the linear method is now fitted to the validation split too")
    blend = run.recipe.blend
    expected = blending.fitted_to(run.model.partner, blend, blending.known_rows(run.data()))
    users = run.data().users("test").batch(slice(0, 3))
    assert torch.equal(run.model.partner.scorer(users), expected.scorer(users))
    assert "fitted to this split too" in run.evaluate(split="validation")["caveat"]
    assert run.evaluate()["caveat"] is None


def test_probabilities_are_calibrated_by_what_has_not_seen_the_validation_users(refitted, run):
    """Else the held-out items of these users would look too probable."""
    found = lowerbound.Recommender(refitted).calibration
    earlier = lowerbound.load(refitted.folder)
    train = earlier.data().users("train").matrix
    earlier.model.partner = blending.fitted_to(earlier.model.partner, earlier.recipe.blend, train)
    recommender = lowerbound.Recommender(earlier)
    data = earlier.data()
    expected = fit_calibration(recommender._score_all, data.validation, data.test)
    np.testing.assert_array_equal(found.knots, expected.knots)
    np.testing.assert_array_equal(found.values, expected.values)
    leaking = lowerbound.Recommender(refitted)
    seen = fit_calibration(leaking._score_all, data.validation, data.test)
    assert seen.facts["probability"] > found.facts["probability"]
    assert found.facts["error"] < seen.facts["error"]


def test_a_method_that_the_recipe_has_not():
    partner = blending.Partner({"type": "Ease", "l2": 7.0}, LinearScorer(), 1.0)
    blend = parse({"data": {"source": "x"}, "blend": CHOICE}).blend
    with pytest.raises(ConfigError, match="has not the method that the run ranks by"):
        blending.fitted_to(partner, blend, csr_matrix((2, 2)))


def test_what_there_is_no_memory_for_is_left_out(tmp_path, monkeypatch):
    data = Data("synthetic-interactions", validation=0.1).open()
    recipe = parse({"data": {"source": "x"}, "blend": CHOICE})
    torch.manual_seed(0)
    model = recipe.model.build(data.schema.shape, sparse=True)
    monkeypatch.setattr(machine, "available_memory", lambda: 1_000_000)
    chosen = blending.choose_partner(model, data, recipe)
    assert len(chosen.left_out) == 2
    assert chosen.describe().count("left out: EASE over") == 1  # both say the same
    alone = parse({"data": {"source": "x"}, "blend": {"partners": ["Ease"], "weights": [1.0]}})
    with pytest.raises(ConfigError, match="EASE over"):
        blending.choose_partner(model, data, alone)


def test_wrong_use(tmp_path):
    with pytest.raises(ConfigError, match="blend is for interactions"):
        lowerbound.fit("digits", out=tmp_path / "a", settings={"blend": CHOICE}, progress=False)
    told = settings(blend=CHOICE) | {"data.validation": 0, "training.patience": 3}
    line = (
        "needs one; set training.monitor=objective and training.patience=none and blend=none, "
        "raise data.validation, or take another data.interactions.split"
    )
    with pytest.raises(ConfigError, match=line):
        lowerbound.fit("multvae", out=tmp_path / "b", settings=told, progress=False)
    assert not (tmp_path / "b").exists()


def test_short_histories_hold_nothing_out(tmp_path):
    """One line says all that is to be set, and what it says is enough."""
    rows = [f"u{user},i{item}" for user in range(40) for item in (user % 7, 7 + user % 5)]
    (tmp_path / "few.csv").write_text("user,item\n" + "\n".join(rows))
    few = {"data": tmp_path / "few.csv", "out": tmp_path / "run", "progress": False}
    with pytest.raises(DataError, match="users have too few items") as told:
        lowerbound.fit("recommend", settings={"training.epochs": 1}, **few)
    changes = str(told.value).partition("; set ")[2].partition(", or")[0].split(" and ")
    assert len(changes) == 5
    asked = dict(change.split("=") for change in changes)
    plain = {key: None if value == "none" else value for key, value in asked.items()}
    plain |= {"data.validation": 0, "data.test": 0, "training.epochs": 1, "report.write": False}
    assert lowerbound.fit("recommend", settings=plain, **few).model.partner is None

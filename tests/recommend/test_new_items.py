"""Items that a model never saw: the features of items, the regression of vectors on them, and lists
that hold new items.
"""

import json
from datetime import date

import numpy as np
import polars
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge as Reference

import lowerbound
from lowerbound.baselines import Ease
from lowerbound.baselines.partner import Partner
from lowerbound.batch import Batch
from lowerbound.data import Items
from lowerbound.errors import ConfigError, DataError
from lowerbound.model.last import last_layer
from lowerbound.recommend import Recommender
from lowerbound.recommend.item_features import ItemFeatures
from lowerbound.recommend.new_items import PENALTIES, ItemLayer, ItemRegression, Ridge, _Sums
from lowerbound.sparse import SparseRows
from lowerbound.system.weights import save_tensors

FILMS = 60
GENRES = ("Comedy", "Drama|Romance", "Horror", "Comedy|Romance")


def films(numbers):
    """A table of films, whose genres and years follow from their numbers."""
    return polars.DataFrame(
        {
            "item": list(numbers),
            "title": [f"Film {number}" for number in numbers],
            "genres": [GENRES[number % 4] for number in numbers],
            "made": [1960 + number % 7 for number in numbers],
        }
    )


def truth(numbers):
    """The vectors (n, 16) and biases that films have: sums over their genres, and of their year."""
    rng = np.random.default_rng(3)
    of_genre = {name: rng.normal(size=17) for name in ("Comedy", "Drama", "Romance", "Horror")}
    of_year = rng.normal(size=17) / 5
    rows = []
    for number in numbers:
        genres = GENRES[number % 4].split("|")
        rows.append(sum(of_genre[name] for name in genres) + of_year * (number % 7))
    found = np.array(rows, np.float32)
    return found[:, :-1], found[:, -1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on 40 users of the films, whose last layer is the truth."""
    place = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    rows = []
    for user in range(40):
        rows += [(user, int(film)) for film in rng.permutation(FILMS)[:9]]
    log = polars.DataFrame(rows, schema=["user", "item"], orient="row")
    films(range(FILMS)).write_csv(place / "films.csv")
    settings = {
        "data.interactions.items": str(place / "films.csv"),
        "model.latent": [6],
        "model.network.hidden": [16],
        "training.epochs": 1,
        "data.validation": 0,
        "data.test": 0,
        "training.monitor": "objective",
        "report.write": False,
    }
    run = lowerbound.fit("multvae", data=log, out=place / "run", settings=settings, progress=False)
    layer = last_layer(run.model)
    vectors, biases = truth(run.items.ids.tolist())
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(vectors))
        layer.bias.copy_(torch.from_numpy(biases))
    save_tensors(run.folder / "model.safetensors", run.model.state_dict(), {"format": "1"})
    return run.folder


@pytest.fixture(scope="module")
def known(folder):
    return Recommender.load(folder)


@pytest.fixture(scope="module")
def wider(known):
    """It knows ten more films, and is told of one that it knows already."""
    return known.with_items(films([5, *range(100, 110)]))


def ids(found):
    return [each.item for each in found]


# --- features


def test_features_by_hand():
    table = polars.DataFrame(
        {
            "item": [1, 2, 3, 4],
            "title": ["Red House", "Red Car", "The House", None],
            "genres": ["War|Drama", "War", "", "Drama, War"],
            "popularity": [9, 8, 7, 6],
            "price": [1.0, 3.0, None, 2.0],
            "new": [True, False, False, True],
            "seen": [date(2020, 1, 1), date(2020, 1, 3), None, None],
            "studio": ["A", "B", "A", "A"],
            "same": [1, 1, 1, 1],
            "text": ["one of a kind", "another", "third thing", "none"],
        }
    )
    features = ItemFeatures.fit(table)
    assert features.names == ("title", "genres", "price", "new", "seen", "studio")
    found = features.code(table).toarray()
    half = 1 / np.sqrt(2)
    assert found[:, :2] == pytest.approx(np.array([[half, half], [0, 1], [1, 0], [0, 0]]))
    assert found[:, 2:4].tolist() == [[1, 1], [0, 1], [0, 0], [1, 1]]  # Drama, War
    assert found[:, 4] == pytest.approx(np.array([-1, 1, 0, 0]) / np.std([1, 3, 2]))
    assert found[:, 5].tolist() == [1, -1, -1, 1]
    assert found[:, 6].tolist() == [-1, 1, 0, 0]
    assert found[:, 7].tolist() == [1, 0, 1, 1]  # B is of one item alone
    assert features.width == 8


def test_a_column_that_new_items_lack_says_nothing():
    table = films(range(8))
    features = ItemFeatures.fit(table)
    found = features.code(table.select("item", "made")).toarray()
    assert (found[:, :-1] == 0).all()
    assert found[:, -1].tolist() == features.code(table).toarray()[:, -1].tolist()


def test_features_are_refused():
    with pytest.raises(DataError, match=r"knows nothing of its items .* data\.interactions\.items"):
        ItemFeatures.fit(polars.DataFrame({"item": [1, 2], "popularity": [3, 4]}))
    features = ItemFeatures.fit(films(range(8)))
    with pytest.raises(DataError, match="knows of items title, genres, made, and the table has x"):
        features.code(polars.DataFrame({"x": [1]}))
    with pytest.raises(DataError, match=r"'made' of the new items must hold numbers, .*'long ago'"):
        features.code(polars.DataFrame({"made": ["long ago"]}))


# --- the regression


def test_the_regression_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6)) * (rng.random((50, 6)) < 0.5)
    y = rng.normal(size=(50, 3)) + x[:, :3] @ rng.normal(size=(3, 3))
    weights = rng.integers(1, 20, 50) / 1.0
    root = rng.normal(size=(3, 2))
    found = Ridge.fit(csr_matrix(x), y, weights, root @ root.T)
    reference = Reference(alpha=found.penalty).fit(x, y, sample_weight=weights / weights.mean())
    assert pytest.approx(reference.coef_) == found.coefficients.T
    assert found.intercept == pytest.approx(reference.intercept_)
    assert found.predict(csr_matrix(x)) == pytest.approx(reference.predict(x))


def test_the_penalty_is_that_of_the_least_error_of_scores():
    """Noise in a direction in which no two users differ decides nothing."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 30))
    y = np.stack([x[:, 0], 50 * rng.normal(size=200)], 1)
    by_scores = Ridge.fit(csr_matrix(x), y, np.ones(200), np.diag([1.0, 0.0]))
    by_length = Ridge.fit(csr_matrix(x), y, np.ones(200), np.eye(2))
    assert by_scores.penalty == PENALTIES[0]
    assert by_scores.explained > 0.999
    assert by_length.penalty > 100
    held_out = np.random.default_rng(0).permutation(200)[:40]
    kept = np.setdiff1d(np.arange(200), held_out)
    sums = _Sums.of(csr_matrix(x[kept]), y[kept], np.ones(160))
    errors = []
    for penalty in PENALTIES:
        coefficients, intercept = sums.solve(penalty)
        errors.append(np.square(y[held_out] - x[held_out] @ coefficients - intercept).sum())
    assert by_length.penalty == PENALTIES[int(np.argmin(errors))]


def test_vectors_that_follow_from_features_are_found(known):
    """The regression finds a truth that it can express, whatever the popularity of items."""
    found = known.with_items(films(range(100, 130))).new
    vectors, biases = truth(range(100, 130))
    assert found.explained > 0.97
    assert np.abs(found.layer.vectors - vectors).max() < 0.35
    assert np.corrcoef(found.layer.vectors.ravel(), vectors.ravel())[0, 1] > 0.995
    assert np.corrcoef(found.layer.biases, biases)[0, 1] > 0.99


def test_few_items_are_refused():
    with pytest.raises(DataError, match="20 items or more to learn from, got 3"):
        ItemRegression.fit(Items(np.arange(3)), ItemLayer(np.ones((3, 2)), np.ones(3)), np.eye(2))


# --- lists


def test_new_items_have_the_scores_of_their_vectors(known, wider):
    history = [3, 11, 20]
    found = wider.recommend(history, 100)
    assert len(found) == FILMS + 10 - 3
    columns = [int(column) for column in known.catalogue.columns(history)]
    rows = SparseRows(torch.tensor([0, 3]), torch.tensor(sorted(columns)), torch.ones(3), FILMS)
    with torch.no_grad():
        natural = known.run.model.decode(known.run.model.latents.means(Batch(rows)).context)
    h = natural.natural.h.double().numpy().ravel()
    new = wider.new
    expected = new.layer.vectors @ h + new.layer.biases
    scores = {each.item: each.score for each in found}
    assert [scores[number] for number in range(100, 110)] == pytest.approx(expected, rel=1e-4)
    before = {each.item: each.score for each in known.recommend(history, 100)}
    assert {item: scores[item] for item in before} == before


def test_without_the_new_items_the_lists_are_as_before(known, wider):
    without = wider.recommend([3, 11], 12, deny=range(100, 110))
    assert list(without) == list(known.recommend([3, 11], 12))


def test_alone_and_among_others_the_lists_are_the_same(wider):
    histories = {0: [3, 104], 1: [20], 2: [100, 101], 3: [7, 9, 30]}
    many = wider.recommend_many(histories, 15)
    for user, history in histories.items():
        alone = wider.recommend(history, 15)
        assert ids(alone) == many.catalogue.ids[many.items[user]].tolist()
        assert [each.score for each in alone] == many.scores[user].tolist()


def test_a_new_item_of_a_history_is_not_recommended_and_says_nothing(wider):
    with_it = wider.recommend([3, 11, 104], 100)
    without = wider.recommend([3, 11], 100)
    assert 104 not in ids(with_it)
    assert list(with_it) == [each for each in without if each.item != 104]
    assert with_it.unknown == ()


def test_a_matrix_over_the_known_items_is_taken(known, wider):
    matrix = csr_matrix(([1.0, 1.0], ([0, 0], [2, 9])), shape=(1, FILMS), dtype=np.float32)
    expected = wider.recommend([2, 9], 9)
    assert wider.catalogue.ids[wider.recommend_many(matrix, 9).items[0]].tolist() == ids(expected)


def test_users_of_the_run_are_recommended_new_items(folder, tmp_path):
    """By what they had; the data of the run know nothing of the new items."""
    rng = np.random.default_rng(0)
    rows = [(user, int(film)) for user in range(40) for film in rng.permutation(FILMS)[:9]]
    log = polars.DataFrame(rows, schema=["user", "item"], orient="row")
    recommender = Recommender.load(folder).with_items(films(range(100, 110)))
    history = recommender.history_of(7, log)
    had = log.filter(polars.col("user") == 7)["item"].to_list()
    assert list(recommender.recommend(history, 70)) == list(recommender.recommend(had, 70))
    assert recommender.similar_users(history, 3, data=log).searched == 40


def test_new_items_are_found_limited_and_explained(wider):
    assert wider.catalogue.title(wider.catalogue.column(104)) == "Film 104"
    horror = wider.recommend([3], 100, where="genres = 'Horror' AND item >= 100")
    assert sorted(ids(horror)) == [102, 106]
    assert wider.similar(104, 3)[0].item % 4 == 0
    (reasons,) = wider.explain([3, 11], [104])
    assert {reason.item for reason in reasons} <= {3, 11}
    assert len(wider.new) == 10
    assert wider.new.describe().startswith("10 new items by title, genres, made, which explain")


def test_ids_that_are_texts_stand_beside_numbers(known):
    table = films(range(100, 102)).with_columns(polars.Series("item", ["b", "a"]))
    found = known.with_items(table)
    assert ids(found.recommend(["3"], 2, allow=["a", "b"])) in (["a", "b"], ["b", "a"])
    assert found.catalogue.column(3) == known.catalogue.column(3)


def test_a_linear_partner_is_left_out(known):
    run = known.run
    matrix = csr_matrix(np.random.default_rng(0).random((30, FILMS)) < 0.2, dtype=np.float32)
    run.model.partner = Partner({"type": "Ease", "l2": 9.0}, Ease(9.0).fit(matrix), 2.0)
    try:
        blended = Recommender(run)
    finally:
        run.model.partner = None
    assert list(blended.recommend([3], 5)) != list(known.recommend([3], 5))
    found = blended.with_items(films(range(100, 110)))
    assert list(found.recommend([3], 5)) == list(
        known.with_items(films(range(100, 110))).recommend([3], 5)
    )


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (films([1, 2]), "there is no new item: the run knows all 2 items of the table"),
        ([1, 2], "new items are a frame with one a row, got list"),
        (polars.DataFrame({"item": [900]}), "the table of new items has no column of titles"),
    ],
)
def test_tables_are_refused(known, table, line):
    with pytest.raises(DataError, match=line):
        known.with_items(table)


def test_probabilities_are_for_known_items(wider):
    with pytest.raises(ConfigError, match="calibrated for the items that the run knows"):
        wider.probabilities([3], [104])


# --- the command


def test_the_command_takes_a_table(folder, command, tmp_path):
    path = tmp_path / "new.csv"
    films([5, *range(100, 110)]).write_csv(path)
    code, out, err = command(
        "recommend", folder, "--history", 3, 11, "--new-items", path, "-k", 70, "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["new_items"] == 10
    assert {100, 109} <= {each["item"] for each in found["items"]}


def test_the_command_knows_the_new_items_of_a_log(folder, command, tmp_path):
    path = tmp_path / "new.csv"
    films(range(100, 110)).write_csv(path)
    users = tmp_path / "users.csv"
    users.write_text("user,item\n1,3\n1,104\n2,11\n")
    lists = tmp_path / "lists.csv"
    words = ("--users", users, "--new-items", path, "-k", 70, "--out", lists)
    code, out, err = command("recommend", folder, *words)
    assert code == 0, err
    assert "10 new items by title, genres, made" in out
    found = polars.read_csv(lists)
    of_first = found.filter(polars.col("user") == 1)["item"].to_list()
    assert 104 not in of_first
    assert 105 in of_first
    words = ("--users", users, "--new-items", path, "--out", tmp_path / "parts", "--shards", 2)
    code, _, err = command("recommend", folder, *words)
    assert code == 2
    assert "--new-items does not go with --engine and --shards" in err

"""What estimators give: the numbers of the command line, frames, pickles, folders, pipelines."""

import io
import json
import pickle
import pickletools

import joblib
import numpy as np
import pandas
import polars
import pytest
from polars.testing import assert_frame_equal
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lowerbound
from lowerbound.errors import ConfigError, DataError, Interrupted, RunError, ShapeError
from lowerbound.sklearn import (
    MultVAERecommender,
    VAEDensity,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
    base,
)

SETTINGS = {"model.prior": "StandardNormal"}
SMALL = {"latent": 2, "hidden": 16, "epochs": 3, "settings": SETTINGS, "random_state": 7}
GOOD = SMALL | {"epochs": 30, "batch_size": 50, "learning_rate": 0.02}
FLAGS = [
    *("--set", "data.test=0", "--set", "model.latent=[2]", "--set", "model.network.hidden=[16]"),
    *("--set", "training.epochs=30", "--set", "training.steps=none"),
    *("--set", "training.batch_size=50", "--set", "training.learning_rate=0.02"),
    *("--set", "model.prior=StandardNormal", "--set", "report.write=false", "--seed", "7"),
]
"""The good ones for the command line."""


def numbers(rows, seed=0):
    """Two factors behind four columns, and a column of counts."""
    stream = np.random.default_rng(seed)
    z = stream.normal(size=(rows, 2))
    mixed = z @ np.array([[1.0, 0.5, -1.0, 0.2], [0.3, -1.0, 0.4, 1.5]])
    counts = stream.poisson(np.exp(1 + 0.5 * z[:, 0]))
    return np.column_stack([mixed + 0.1 * stream.normal(size=(rows, 4)), counts])


def with_gaps(values, seed=1):
    """A fifth of the cells are gaps, but none in whole rows."""
    is_gap = np.random.default_rng(seed).random(values.shape) < 0.2
    is_gap[is_gap.all(axis=1)] = False
    return np.where(is_gap, np.nan, values)


def words(rows, seed=0):
    """A frame of Polars with numbers, words and truth values, and gaps."""
    stream = np.random.default_rng(seed)
    size = stream.normal(size=rows)
    kind = np.where(size + 0.2 * stream.normal(size=rows) > 0, "big", "small")
    frame = polars.DataFrame({"size": size, "kind": kind, "heavy": size > 0.5})
    gaps = stream.random(rows) < 0.2
    return frame.with_columns(
        polars.when(polars.Series(~gaps)).then("kind").otherwise(None).alias("kind")
    )


TRAIN = numbers(300)
TEST = numbers(40, seed=5)


@pytest.fixture(scope="module")
def transformer():
    return VAETransformer(**GOOD).fit(TRAIN)


@pytest.fixture(scope="module")
def imputer():
    return VAEImputer(n_samples=200, **GOOD).fit(with_gaps(TRAIN))


def matrix(users=120, items=30, seed=0):
    """Users who like items near their own place on a circle."""
    stream = np.random.default_rng(seed)
    own = stream.random(users)[:, None]
    distance = np.abs(own - np.arange(items) / items)
    distance = np.minimum(distance, 1 - distance)
    likes = stream.random((users, items)) < 0.8 * np.exp(-((distance / 0.15) ** 2))
    likes[:, 3] = False  # an item that nobody has
    return csr_matrix(likes.astype(float))


@pytest.fixture(scope="module")
def recommender():
    return MultVAERecommender(
        8, hidden=32, epochs=15, batch_size=20, learning_rate=1e-2, random_state=0
    ).fit(matrix())


# The command line -------------------------------------------------------------------------------


def test_numbers_are_those_of_the_command_line(transformer, imputer, command, tmp_path):
    names = [f"x{i}" for i in range(1, 6)]
    polars.DataFrame(TRAIN, schema=names).write_csv(tmp_path / "train.csv")
    polars.DataFrame(TEST, schema=names).write_csv(tmp_path / "test.csv")
    run = tmp_path / "run"
    code, _, err = command("fit", "table", "--data", tmp_path / "train.csv", "--out", run, *FLAGS)
    assert code == 0, err
    fitted = lowerbound.load(run).model.state_dict()
    for name, weights in transformer.run_.model.state_dict().items():
        assert weights.equal(fitted[name]), name
    out = tmp_path / "out.csv"
    command("score", run, "--data", tmp_path / "test.csv", "--out", out)
    scores = polars.read_csv(out)["log_likelihood"].to_numpy()
    np.testing.assert_allclose(transformer.score_samples(TEST), scores, rtol=1e-5)
    command("encode", run, "--data", tmp_path / "test.csv", "--out", tmp_path / "codes.npy")
    codes = np.load(tmp_path / "codes.npy")
    np.testing.assert_allclose(transformer.transform(TEST), codes, rtol=1e-4, atol=1e-6)

    gapped = with_gaps(TEST)
    polars.DataFrame(gapped, schema=names).fill_nan(None).write_csv(tmp_path / "gaps.csv")
    imputer.save(tmp_path / "imputer")
    filled = tmp_path / "filled.csv"
    code, _, err = command(
        *("impute", tmp_path / "imputer", "--data", tmp_path / "gaps.csv", "--out", filled),
        *("--samples", 200),
    )
    assert code == 0, err
    found = polars.read_csv(filled).to_numpy()
    np.testing.assert_allclose(imputer.transform(gapped), found, rtol=1e-6, atol=1e-6)


def test_recommendations_are_those_of_the_command_line(recommender, command, tmp_path):
    log = matrix().tocoo()
    polars.DataFrame({"user": log.row, "item": log.col}).write_csv(tmp_path / "log.csv")
    code, _, err = command(
        *("fit", "multvae", "--data", tmp_path / "log.csv", "--out", tmp_path / "run"),
        *("--set", "data.test=0", "--set", "model.latent=[8]", "--set", "training.epochs=15"),
        *("--set", "model.network.hidden=[32]", "--set", "training.batch_size=20"),
        *("--set", "training.learning_rate=1e-2", "--set", "report.write=false"),
    )
    assert code == 0, err
    fitted = lowerbound.load(tmp_path / "run").model.state_dict()
    for name, weights in recommender.run_.model.state_dict().items():
        assert weights.equal(fitted[name]), name
    users = matrix(20, seed=3)
    entries = users.tocoo()
    frame = polars.DataFrame({"user": entries.row, "item": entries.col})
    frame.write_csv(tmp_path / "users.csv")
    code, _, err = command(
        *("recommend", tmp_path / "run", "--users", tmp_path / "users.csv", "-k", 5),
        *("--out", tmp_path / "out.csv"),
    )
    assert code == 0, err
    found = polars.read_csv(tmp_path / "out.csv")
    columns, scores = recommender.recommend(users, k=5, return_scores=True)
    for user in range(20):
        mine = found.filter(polars.col("user") == user)
        assert columns[user].tolist() == mine["item"].to_list()
        np.testing.assert_allclose(scores[user], mine["score"], rtol=1e-6)


# Likelihoods ------------------------------------------------------------------------------------


def test_scores_are_functions_of_the_row_alone(transformer):
    scores = transformer.score_samples(TEST)
    codes = transformer.transform(TEST)
    for row in (0, 17):
        alone = TEST[row : row + 1]
        np.testing.assert_allclose(transformer.score_samples(alone)[0], scores[row], rtol=1e-9)
        np.testing.assert_allclose(transformer.transform(alone)[0], codes[row], rtol=1e-9)
    assert transformer.score(TEST) == pytest.approx(scores.mean())


def test_density_is_in_the_units_of_the_data():
    """Ten times the numbers have a tenth of the density in each column, of either likelihood."""
    values = numbers(200)[:, :4]
    for likelihood in (None, "Normal"):
        density = VAEDensity(likelihood=likelihood, **SMALL)
        small = density.fit(values).score_samples(values)
        large = clone(density).fit(10 * values).score_samples(10 * values)
        np.testing.assert_allclose(small - large, 4 * np.log(10), atol=1e-3)
        assert density.score(values) == pytest.approx(small.sum())


def test_held_out_rows_have_a_mean_and_a_standard_error(transformer):
    folder_free = transformer._loaded.own.reference["log_likelihood"]
    assert len(folder_free) == 30
    assert transformer.log_likelihood_ == pytest.approx(folder_free.mean())
    expected = folder_free.std(ddof=1) / np.sqrt(30)
    assert transformer.standard_error_ == pytest.approx(expected)


def test_samples_look_like_the_rows(transformer):
    values = transformer.sample(2000, random_state=0)
    assert values.shape == (2000, 5)
    np.testing.assert_allclose(values.mean(0), TRAIN.mean(0), atol=0.6)
    assert (values[:, 4] >= 0).all()
    np.testing.assert_array_equal(values[:, 4], np.round(values[:, 4]))
    np.testing.assert_array_equal(values, transformer.sample(2000, random_state=0))


def test_codes_tell_the_rows(transformer):
    again = transformer.inverse_transform(transformer.transform(TEST))
    error = ((again - TEST)[:, :4] ** 2).mean()
    assert error < 0.5 * TEST[:, :4].var()


def test_outliers_are_found_and_have_the_sign_of_scikit_learn():
    values = numbers(300)[:, :4]
    odd = values.copy()
    odd[:15, 0] += 6.0  # against the factor
    detector = VAEOutlierDetector(contamination=0.05, n_samples=20, **GOOD).fit(odd)
    labels = detector.predict(odd)
    assert (labels == -1).sum() == 15
    assert (labels[:15] == -1).mean() > 0.8
    assert (detector.decision_function(odd) < 0).tolist() == (labels == -1).tolist()
    automatic = VAEOutlierDetector(n_samples=20, **SMALL).fit(odd)
    assert 0 < (automatic.predict(odd) == -1).sum() < 60
    low, high = np.percentile(automatic.score_samples(odd), [25, 75])
    assert automatic.offset_ == pytest.approx(low - 1.5 * (high - low))


def test_rows_with_gaps_are_scored_as_if_these_were_as_usual():
    detector = VAEOutlierDetector(n_samples=20, **SMALL).fit(with_gaps(TRAIN))
    values = TRAIN[:50].copy()
    values[:, 0] = np.nan
    difference = detector.score_samples(values) - detector.score_samples(TRAIN[:50])
    assert abs(np.median(difference)) < 2.0
    density = VAEDensity(n_samples=20, **SMALL).fit(with_gaps(TRAIN))
    usual = detector.score_samples(values) - density.score_samples(values)
    np.testing.assert_allclose(usual, usual[0], rtol=1e-6)


# Imputation -------------------------------------------------------------------------------------


def test_gaps_are_filled_by_what_is_known_of_the_row(imputer):
    gapped = with_gaps(TEST)
    filled = imputer.transform(gapped)
    is_gap = np.isnan(gapped)
    assert not np.isnan(filled).any()
    np.testing.assert_array_equal(filled[~is_gap], gapped[~is_gap])
    mean = np.broadcast_to(np.nanmean(with_gaps(TRAIN), axis=0), TEST.shape)
    is_gap[:, 4] = False
    error = ((filled - TEST)[is_gap] ** 2).mean()
    assert error < 0.7 * ((mean - TEST)[is_gap] ** 2).mean()


def test_draws_have_the_spread_of_what_is_not_known(imputer):
    gapped = with_gaps(TEST)
    is_gap = np.isnan(gapped)
    tables = imputer.impute(gapped, m=8, random_state=1)
    assert len(tables) == 8
    draws = np.stack(tables)
    np.testing.assert_array_equal(draws[:, ~is_gap], np.tile(gapped[~is_gap], (8, 1)))
    assert (draws.std(0)[is_gap] > 0).mean() > 0.8
    again = imputer.impute(gapped, m=8, random_state=1)
    np.testing.assert_array_equal(draws, np.stack(again))


def test_a_column_that_no_model_reads_is_filled_by_its_mean():
    values = np.column_stack([with_gaps(TRAIN[:, :4]), np.full(300, 3.0), np.full(300, np.nan)])
    values[::7, 4] = np.nan
    filled = VAEImputer(n_samples=20, **SMALL).fit(values).transform(values)
    assert (filled[:, 4] == 3.0).all()
    assert np.isnan(filled[:, 5]).all()
    assert not np.isnan(filled[:, :4]).any()


# Frames -----------------------------------------------------------------------------------------


def test_frames_with_words_come_back_as_frames():
    frame = words(200)
    imputer = VAEImputer(n_samples=20, **GOOD).fit(frame)
    filled = imputer.transform(frame)
    assert isinstance(filled, polars.DataFrame)
    assert filled.schema == frame.schema
    assert filled["kind"].null_count() == 0
    gaps = frame["kind"].is_null()
    assert_frame_equal(filled.filter(~gaps), frame.filter(~gaps))
    right = numpy_of(filled, gaps)
    assert right.mean() > 0.8

    pandas_frame = pandas.DataFrame(
        {name: frame[name].to_list() for name in frame.columns}, index=range(10, 210)
    )
    pandas_frame["kind"] = pandas_frame["kind"].astype("category")
    of_pandas = VAEImputer(n_samples=20, **GOOD).fit(pandas_frame).transform(pandas_frame)
    assert of_pandas.index.tolist() == list(range(10, 210))
    assert of_pandas.dtypes.tolist() == pandas_frame.dtypes.tolist()
    assert of_pandas["kind"].tolist() == filled["kind"].to_list()
    assert pandas_frame["kind"].isna().any()
    imputer.set_output(transform="pandas")
    assert isinstance(imputer.transform(frame), pandas.DataFrame)
    with pytest.raises(ValueError, match="was fitted to a frame with columns that are no numbers"):
        imputer.transform(np.zeros((3, 3)))


def numpy_of(filled, gaps):
    """Whether the words in the gaps are those of the sign of the size."""
    some = filled.filter(gaps)
    return ((some["size"] > 0) == (some["kind"] == "big")).to_numpy()


def test_words_are_encoded_scored_and_sampled():
    frame = words(200)
    transformer = VAETransformer(n_samples=20, **SMALL).fit(frame)
    assert transformer.transform(frame).shape == (200, 2)
    assert transformer.score_samples(frame).shape == (200,)
    assert transformer.sample(5, random_state=0).columns == ["size", "kind", "heavy"]
    codes = transformer.transform(frame)
    assert transformer.inverse_transform(codes).columns == ["size", "kind", "heavy"]


def test_set_output_and_names(transformer):
    names = ["a", "b", "c", "d", "e"]
    frame = pandas.DataFrame(TRAIN, columns=names)
    fitted = clone(transformer).set_output(transform="pandas").fit(frame)
    codes = fitted.transform(frame)
    assert list(codes.columns) == ["vaetransformer0", "vaetransformer1"]
    assert fitted.feature_names_in_.tolist() == names
    assert fitted.run_.schema.columns == tuple(names)
    np.testing.assert_allclose(codes.to_numpy(), transformer.transform(TRAIN), rtol=1e-6)
    fitted.set_output(transform="polars")
    assert isinstance(fitted.transform(frame), polars.DataFrame)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        fitted.transform(TRAIN)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.transform(frame.rename(columns={"a": "z"}))


def test_images_are_rows_of_pixels():
    stream = np.random.default_rng(0)
    pixels = stream.integers(0, 256, (60, 6 * 5)).astype(np.uint8)
    settings = {"model.network": {"type": "MLP", "hidden": [8]}}
    transformer = VAETransformer(
        2, recipe="images", shape=(6, 5), epochs=2, settings=settings, random_state=0, n_samples=5
    ).fit(pixels)
    assert transformer.run_.schema.shape == (1, 6, 5)
    assert transformer.run_.schema.levels == 256
    means = transformer.inverse_transform(transformer.transform(pixels))
    assert means.shape == (60, 30)
    assert 100 < means.mean() < 155
    assert transformer.score_samples(pixels).shape == (60,)
    with pytest.raises(ShapeError, match=r"images of shape=\(6, 6\) have 36 pixels, X has 30"):
        clone(transformer).set_params(shape=(6, 6)).fit(pixels)
    colour = pixels.reshape(30, 5, 4, 3).reshape(30, -1)
    fitted = clone(transformer).set_params(shape=(5, 4, 3)).fit(colour)
    assert fitted.run_.schema.shape == (3, 5, 4)
    means = fitted.inverse_transform(fitted.transform(colour))
    assert means.shape == colour.shape


# Use with scikit-learn --------------------------------------------------------------------------


def search(jobs):
    """Searches the size of the codes that tell a label."""
    pipeline = make_pipeline(StandardScaler(), VAETransformer(**SMALL), LogisticRegression())
    sizes = {"vaetransformer__latent": [1, 2]}
    return GridSearchCV(pipeline, sizes, cv=2, n_jobs=jobs).fit(TRAIN, TRAIN[:, 0] > 0)


def test_pipelines_are_searched():
    found = search(None)
    assert found.best_score_ > 0.7
    assert found.predict(TEST).shape == (40,)


@pytest.mark.slow
def test_two_processes_find_what_one_finds():
    alone = search(None).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(search(2).cv_results_["mean_test_score"], alone)


def test_density_is_searched_by_its_own_score():
    found = GridSearchCV(VAEDensity(n_samples=10, **SMALL), {"learning_rate": [1e-9, 0.02]}, cv=2)
    found.fit(TRAIN)
    assert found.best_params_ == {"learning_rate": 0.02}


def test_seeds():
    first = VAETransformer(**SMALL).fit(TRAIN).transform(TEST)
    np.testing.assert_array_equal(VAETransformer(**SMALL).fit(TRAIN).transform(TEST), first)
    for random_state in (8, None, np.random.RandomState(7)):
        other = VAETransformer(**SMALL).set_params(random_state=random_state).fit(TRAIN)
        assert not np.allclose(other.transform(TEST), first)


def test_parameters_reach_the_recipe():
    estimator = VAETransformer(
        latent=3,
        hidden=[8, 4],
        beta=0.5,
        epochs=1,
        batch_size=50,
        learning_rate=0.01,
        validation_fraction=0,
        settings={"training.clip": 5.0},
    ).fit(TRAIN[:60])
    recipe = estimator.run_.recipe
    assert recipe.model.latent == (3,)
    assert recipe.model.network.hidden == (8, 4)
    assert recipe.objective.beta == 0.5
    training = recipe.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (1, 50, 0.01)
    assert (training.clip, training.steps, training.patience) == (5.0, None, None)
    assert estimator.run_.summary["sizes"]["train"] == 60
    assert estimator.n_iter_ == 1


def test_a_fit_that_is_stopped_stops_a_search(monkeypatch):
    def stop(*arguments, **options):
        raise Interrupted("stopped")

    monkeypatch.setattr(base, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(VAEDensity(**SMALL), {"latent": [1, 2]}, cv=2).fit(TRAIN)


# Pickles and folders ----------------------------------------------------------------------------


def test_pickles_name_no_class_of_torch(transformer, recommender):
    for estimator, rows in ((transformer, TEST), (recommender, matrix(10))):
        written = pickle.dumps(estimator)
        texts = [str(argument) for _, argument, _ in pickletools.genops(written)]
        modules = [text for text in texts if text.startswith("torch") and "\n" not in text]
        assert not modules
        again = pickle.loads(written)
        np.testing.assert_array_equal(again.transform(rows), estimator.transform(rows))
        file = io.BytesIO()
        joblib.dump(estimator, file)
        file.seek(0)
        np.testing.assert_array_equal(joblib.load(file).transform(rows), again.transform(rows))


def test_skops_trusts_our_own_class_alone(transformer):
    from skops import io as skops

    written = skops.dumps(transformer)
    named = skops.get_untrusted_types(data=written)
    assert named == ["lowerbound.sklearn.transformer.VAETransformer"]
    again = skops.loads(written, trusted=named)
    np.testing.assert_array_equal(again.transform(TEST), transformer.transform(TEST))


def test_folders_are_run_folders(transformer, imputer, recommender, tmp_path):
    transformer.save(tmp_path / "transformer")
    run = lowerbound.load(tmp_path / "transformer")
    np.testing.assert_allclose(run.encode(TEST)[0], transformer.transform(TEST), atol=1e-5)
    again = VAETransformer.load(tmp_path / "transformer")
    np.testing.assert_array_equal(again.transform(TEST), transformer.transform(TEST))
    assert again.n_iter_ == transformer.n_iter_
    assert again.log_likelihood_ == transformer.log_likelihood_
    refitted = clone(again).set_params(random_state=7).fit(TRAIN)
    np.testing.assert_allclose(refitted.transform(TEST), transformer.transform(TEST))

    detector = VAEOutlierDetector.load(tmp_path / "transformer", contamination=0.1, n_samples=50)
    held_out = detector._loaded.own.reference["log_likelihood"]
    assert detector.offset_ == pytest.approx(np.percentile(held_out, 10))
    assert set(detector.predict(TEST)) <= {-1, 1}
    detector.save(tmp_path / "detector")
    loaded = VAEOutlierDetector.load(tmp_path / "detector")
    assert loaded.get_params()["contamination"] == 0.1
    assert loaded.offset_ == detector.offset_

    recommender.save(tmp_path / "recommender")
    users = matrix(20, seed=3)
    same = MultVAERecommender.load(tmp_path / "recommender")
    np.testing.assert_array_equal(same.recommend(users), recommender.recommend(users))
    with pytest.raises(ConfigError, match="is for interactions; the run is on other data"):
        MultVAERecommender.load(tmp_path / "transformer")
    with pytest.raises(ConfigError, match="take MultVAERecommender"):
        VAEDensity.load(tmp_path / "recommender")
    with pytest.raises(RunError, match="is not an empty folder; choose another one"):
        transformer.save(tmp_path / "transformer")
    broken = tmp_path / "transformer" / "estimator.json"
    broken.write_text(json.dumps({"columns": "five"}))
    with pytest.raises(RunError, match="does not hold what a run wrote"):
        VAETransformer.load(tmp_path / "transformer")


# Recommenders -----------------------------------------------------------------------------------


def test_recommendations_leave_out_what_is_seen(recommender):
    users = matrix(20, seed=3).tolil()
    users[4] = 0
    users = users.tocsr()
    lists = recommender.recommend(users, k=7)
    assert lists.shape == (20, 7)
    assert (lists[4] == -1).all()
    dense = users.toarray()
    for user in range(20):
        items = lists[user][lists[user] >= 0]
        assert not dense[user, items].any()
    assert 3 not in lists
    assert 3 not in recommender.items_
    np.testing.assert_array_equal(recommender.recommend(dense, k=7), lists)


def test_score_is_ndcg_of_what_is_held_out(recommender):
    users = matrix(40, seed=4).toarray()
    seen = users.copy()
    hidden = np.zeros_like(users)
    for user, row in enumerate(users):
        items = np.flatnonzero(row)[::3]
        seen[user, items] = 0
        hidden[user, items] = 1
    gains = []
    lists = recommender.recommend(seen, k=10)
    for user in range(40):
        wanted = np.flatnonzero(hidden[user])
        if not len(wanted):
            continue
        hits = np.isin(lists[user], wanted)
        discount = 1 / np.log2(np.arange(10) + 2)
        gains.append((hits * discount).sum() / discount[: min(10, len(wanted))].sum())
    found = recommender.score(csr_matrix(seen), held_out=csr_matrix(hidden), k=10)
    assert found == pytest.approx(np.mean(gains), rel=1e-6)
    assert recommender.score(users) > 0.4
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(recommender.score(np.eye(30)[:4]))
    with pytest.raises(ShapeError, match="held_out has 3 users, X has 40"):
        recommender.score(users, held_out=users[:3])


# Wrong use --------------------------------------------------------------------------------------

MISTAKES = [
    (VAETransformer(recipe="tabel"), TRAIN, ConfigError, "did you mean 'table'"),
    (VAETransformer(settings={"model.latnet": 3}), TRAIN, ConfigError, "latnet"),
    (VAETransformer(latent=0), TRAIN, ValueError, "latent"),
    (VAEImputer(recipe="digits"), TRAIN, ConfigError, "VAEImputer needs a recipe of tables"),
    (VAEDensity(recipe="multvae"), TRAIN, ConfigError, "take MultVAERecommender"),
    (VAEDensity(recipe="images"), TRAIN, ConfigError, r"give shape=\(H, W\)"),
    (
        VAEOutlierDetector(**SMALL).set_params(
            recipe="autoencoder-mnist", shape=(1, 5), settings={}
        ),
        TRAIN.astype(int) % 2,
        ConfigError,
        "is an autoencoder, which has none",
    ),
    (MultVAERecommender(recipe="table"), matrix(), ConfigError, "needs a recipe of interactions"),
    (VAEImputer(mode="best"), TRAIN, ValueError, "mode"),
    (VAEOutlierDetector(contamination=0.7), TRAIN, ValueError, "contamination"),
    (VAEDensity(likelihood="Normal"), with_gaps(TRAIN), ValueError, "contains NaN"),
    (VAEDensity(), np.full((20, 3), 2.0), DataError, "one value only|constant|no column"),
    (VAEDensity(validation_fraction=1.5), TRAIN, ValueError, "validation_fraction"),
    (MultVAERecommender(), -matrix(), ValueError, "Negative values"),
    (MultVAERecommender(), csr_matrix((20, 5)), DataError, "no interactions"),
]


@pytest.mark.parametrize(("estimator", "rows", "error", "message"), MISTAKES)
def test_mistakes_have_one_line(estimator, rows, error, message):
    with pytest.raises(error, match=message) as raised:
        estimator.fit(rows)
    assert isinstance(raised.value, ValueError)
    if issubclass(error, ConfigError | DataError):
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("method", ["transform", "score_samples", "sample", "save"])
def test_nothing_is_done_before_a_fit(method):
    with pytest.raises(NotFittedError):
        getattr(VAETransformer(), method)(TRAIN)

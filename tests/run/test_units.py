"""What a run is given in Python, and what it gives back, is in the units of the data.

The truth is what the run's own splits, which are as the model sees them, give.
"""

import numpy as np
import polars
import pytest
import torch
from scipy.sparse import csr_matrix

import lowerbound
from lowerbound.batch import Batch
from lowerbound.errors import ConfigError, DataError, ShapeError
from lowerbound.sparse import SparseRows

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 3)) * (2.0, 30.0, 0.01) + (1000.0, -4.0, 0.0)
FRAME = polars.DataFrame(ROWS, schema=["a", "b", "c"])
GREY = RNG.integers(0, 256, (60, 6, 5), dtype=np.uint8)
TASTES = RNG.random((80, 30)) < 0.3
TASTES[:, [4, 11]] = False
TASTES[9] = False
MATRIX = csr_matrix(TASTES.astype(float))
FAST = {
    "training.epochs": 2,
    "training.accelerator": "cpu",
    "report.write": False,
    "model.network": {"type": "MLP", "hidden": [8]},
}


STANDARDISED = {"data.kinds": None, "data.hide": 0, "model.likelihood": "Normal"}
"""These settings make `table` a recipe of numbers alone, which are standardised."""


def fitted(recipe, folder, data, **settings):
    return lowerbound.fit(
        recipe, data=data, out=folder / "run", settings=FAST | settings, progress=False
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return fitted("table", tmp_path_factory.mktemp("table"), FRAME, **STANDARDISED)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    settings = {"data.validation": 0.1, "data.test": 0.2}
    return fitted("aevb-mnist", tmp_path_factory.mktemp("image"), GREY, **settings)


@pytest.fixture(scope="module")
def recommender(tmp_path_factory):
    return fitted("multvae", tmp_path_factory.mktemp("users"), MATRIX)


def codes_of(run, x):
    return run.encode(x)[0]


# Tables


@pytest.mark.parametrize(
    "form",
    [
        lambda folder: FRAME,
        lambda folder: ROWS,
        lambda folder: torch.from_numpy(ROWS),
        lambda folder: ROWS.tolist(),
        lambda folder: FRAME.select("c", "a", "b").with_columns(other=polars.lit("x")),
        lambda folder: write(folder / "rows.csv"),
        lambda folder: str(write(folder / "rows.parquet")),
        lambda folder: write(folder / "rows.npy"),
    ],
    ids=["frame", "array", "tensor", "list", "wider frame", "csv", "parquet", "npy"],
)
def test_rows_of_a_table_are_read_in_its_own_units(table, tmp_path, form):
    own = codes_of(table, table.data().split("all"))
    assert torch.equal(codes_of(table, form(tmp_path)), own)


def write(path):
    if path.suffix == ".npy":
        np.save(path, ROWS)
    elif path.suffix == ".csv":
        FRAME.write_csv(path)
    else:
        FRAME.write_parquet(path)
    return path


def test_a_batch_is_what_the_model_sees(table):
    test = table.data().test
    batch = Batch(test.batch(slice(0, 4)))
    assert torch.equal(codes_of(table, batch), codes_of(table, test.take(slice(0, 4))))
    assert not torch.allclose(codes_of(table, batch), codes_of(table, batch.x))


def test_what_comes_back_of_a_table_is_in_its_own_units(table):
    """value = mean + scale * standardised, column by column."""
    mean, scale = np.array(table.schema.mean), np.array(table.schema.scale)
    z = torch.zeros(2, *table.model.latents.sizes)
    for back in (
        lambda **units: table.sample(50, mean=False, seed=3, **units),
        lambda **units: table.reconstruct(ROWS[:7], **units),
        lambda **units: table.decode(z, **units),
        lambda **units: table.vary(0, 2, 3, **units),
    ):
        seen = back(units="model").double().numpy()
        np.testing.assert_allclose(back().numpy(), mean + scale * seen, rtol=1e-12)
        assert abs(seen).max() < 20
    assert torch.equal(table.decode(z), table.decode(z.numpy()))
    assert abs(table.sample(500).mean(0)[0] - 1000) < 2


def test_a_reconstruction_of_a_split_is_that_of_its_rows(table):
    again = table.reconstruct(table.data().split("all"))
    assert torch.allclose(again, table.reconstruct(FRAME))


# Images


@pytest.mark.parametrize(
    "images",
    [
        GREY,
        GREY[:, None],
        GREY[..., None],
        torch.from_numpy(GREY),
        torch.from_numpy(GREY)[:, None],
        GREY.astype(np.int64),
        GREY.astype(np.float32),
        torch.from_numpy(GREY).float(),
        list(GREY),
        GREY / np.float32(255),
        torch.from_numpy(GREY)[:, None].float() / 255,
        (GREY, np.arange(60)),
    ],
    ids=[
        "uint8",
        "first",
        "last",
        "tensor",
        "tensor first",
        "int64",
        "float32",
        "tensor of floats",
        "list",
        "shares",
        "tensor of shares",
        "pair",
    ],
)
def test_pixels_are_levels_or_shares_of_white(image, images):
    own = codes_of(image, image.data().split("all"))
    assert torch.allclose(codes_of(image, images), own, atol=1e-6)


def test_shares_between_the_levels_are_encoded_but_not_measured(image):
    """What a model draws can be encoded again; it has no probability of levels."""
    drawn = image.sample(5)
    assert 0 < drawn.min() < drawn.max() < 1
    assert codes_of(image, drawn).shape == (5, 2)
    with pytest.raises(DataError, match=r"real numbers, the model was trained on 256 levels"):
        image.evaluate(drawn)


def test_shares_on_the_levels_are_measured_as_levels(image):
    assert image.evaluate(GREY / 255, samples=3) == image.evaluate(GREY, samples=3)


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (GREY / 100, "divide by the value of white"),
        (GREY / 127.5 - 1, r"\(x \+ 1\) / 2"),
        (GREY.astype(np.uint16) * 257, "65536 levels, the model was trained on 256 levels"),
        (GREY[0], "of one image its first axis must be 1"),
    ],
)
def test_pixels_beyond_their_range_are_refused(image, images, line):
    for act in (image.encode, image.reconstruct, image.evaluate):
        with pytest.raises(DataError, match=line) as told:
            act(images)
        assert "\n" not in str(told.value)


def test_what_is_changed_in_images_in_memory_is_told_of_once(tmp_path, capsys):
    settings = {"data.validation": 0.1, "data.test": 0.2, "data.size": "auto"}
    run = fitted("aevb-mnist", tmp_path, GREY, **settings)
    capsys.readouterr()
    for _ in range(2):
        assert codes_of(run, np.zeros((4, 8, 9, 1), np.uint8)).shape == (4, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("images of 8x9 are resized to 6x5, the model's size")


def test_one_picture_in_colour_is_not_three_grey_ones(tmp_path):
    colours = RNG.integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
    run = fitted("aevb-mnist", tmp_path, colours, **{"data.validation": 2, "data.test": 2})
    with pytest.raises(ShapeError, match=r"may be one picture .* \(1, 3, 8, 8\)"):
        run.encode(colours[0])
    with pytest.raises(ShapeError, match="may be one picture"):
        run.encode(torch.from_numpy(colours[0] / 255))
    assert codes_of(run, colours[:1]).shape == (1, 2)


def test_a_run_on_shares_takes_no_levels_silently(tmp_path):
    settings = {"data.validation": 0.1, "data.test": 0.2}
    run = fitted("aevb-mnist", tmp_path, GREY / 255, **settings)
    assert run.schema.levels is None
    with pytest.raises(DataError, match=r"256 levels.*real numbers in \[0, 1\]; divide by 255"):
        run.encode(GREY)
    assert codes_of(run, torch.from_numpy(GREY / 255)).shape == (60, 2)


def test_levels_of_a_binarised_run_are_drawn_as_its_source_is(tmp_path):
    settings = {"data.validation": 0.1, "data.test": 0.2, "data.binarize": "dynamic"}
    run = fitted("aevb-mnist", tmp_path, GREY, **settings)
    own = codes_of(run, run.data().split("all"))
    assert torch.equal(codes_of(run, GREY), own)
    bits = run.data().split("all").batch(slice(None))
    assert torch.allclose(codes_of(run, bits), own, atol=1e-6)


# Interactions


def test_a_matrix_keeps_a_row_for_each_user(recommender):
    """Columns without users are no items of the run; users without items keep their row."""
    items = recommender.items.ids
    assert len(items) == 28
    own = codes_of(recommender, SparseRows.of(csr_matrix(MATRIX[:, items], dtype=np.float32)))
    assert len(own) == 80
    for form in (MATRIX, MATRIX[:, items], TASTES, torch.from_numpy(TASTES), MATRIX.tocoo()):
        assert torch.equal(codes_of(recommender, form), own)


def test_recommendations_are_the_same_for_every_form_of_histories(recommender):
    users, columns = np.nonzero(TASTES)
    frame = polars.DataFrame({"user": users, "item": columns})
    recommend = lowerbound.Recommender(recommender).recommend_many
    lists = recommend(MATRIX, k=3)
    again = recommend(MATRIX[:, recommender.items.ids], k=3)
    np.testing.assert_array_equal(lists.items, again.items)
    dense = recommend(TASTES, k=3)
    np.testing.assert_array_equal(lists.items, dense.items)
    by_frame = recommend(frame, k=3)
    np.testing.assert_array_equal(lists.items[by_frame.users.astype(int)], by_frame.items)


# A run whose data were in memory


def test_data_in_memory_are_there_while_the_run_is(table, image, recommender):
    for run in (table, image, recommender):
        assert run.recipe.data.source == "<memory>"
        assert run.data().source == "<memory>"
        assert len(run.data().test) > 0


def test_a_loaded_run_says_that_its_data_must_be_given_again(table):
    again = lowerbound.load(table.folder)
    with pytest.raises(DataError, match=r"fitted to data in memory, which no file has") as told:
        again.evaluate()
    assert "\n" not in str(told.value)
    assert again.sample(2).shape == (2, 3)


@pytest.mark.parametrize("form", [FRAME, ROWS, torch.from_numpy(ROWS)])
def test_the_same_data_given_again_are_the_run_s_own(table, form):
    """They come in its own splits, whatever form they have."""
    again = lowerbound.load(table.folder)
    assert again.data(form).fingerprint() == table.data().fingerprint()
    assert again.evaluate(form, samples=3) == table.evaluate(samples=3)


def test_other_data_are_not_cut(table):
    other = table.data(ROWS + 1)
    assert (len(other.train), other.validation, other.test) == (60, None, None)


def test_a_fit_goes_on_with_the_same_data_in_memory_alone(tmp_path):
    fitted("table", tmp_path, ROWS)
    more = {"settings": FAST | {"training.epochs": 3}, "resume": True, "progress": False}
    longer = lowerbound.fit("table", data=ROWS, out=tmp_path / "run", **more)
    assert longer.summary["epochs"] == 3
    with pytest.raises(lowerbound.errors.RunError, match=r"is not what .* was fitted to"):
        lowerbound.fit("table", data=ROWS + 1, out=tmp_path / "run", **more)


def test_a_recipe_of_a_run_on_memory_is_fitted_to_data_given_again(table, tmp_path):
    recipe = table.folder / "recipe.toml"
    with pytest.raises(DataError, match="given in memory"):
        lowerbound.fit(recipe, out=tmp_path / "x", progress=False)
    again = lowerbound.fit(recipe, data=FRAME, out=tmp_path / "y", progress=False)
    assert torch.equal(again.sample(3), table.sample(3))


def test_scores_of_data_in_memory(table):
    """The truth may be a column of the frame that the model does not read."""
    strange = FRAME.with_columns(a=polars.col("a") + 99, wrong=polars.Series([True, False] * 30))
    scores = lowerbound.score(table, strange, samples=5, truth="wrong")
    assert scores.source == "<memory>"
    assert len(scores) == 60
    assert scores.means()["log_likelihood"].value < -100
    np.testing.assert_array_equal(scores.truth, [True, False] * 30)


def test_units_and_types_that_there_are_not_are_refused(table):
    with pytest.raises(ConfigError, match="unknown units 'raw'; allowed: data, model"):
        table.sample(2, units="raw")
    with pytest.raises(DataError, match="data of type set are not read"):
        table.encode({1, 2})

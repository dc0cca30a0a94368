"""Conditional runs: fitted, loaded, sampled from, and seen under other conditions."""

import json
import shutil

import numpy as np
import polars
import pytest
import torch

import lowerbound
from lowerbound.batch import Batch
from lowerbound.errors import ConfigError, DataError, RunError
from lowerbound.report import page
from lowerbound.run.given import tell_drawn

SETTINGS = {
    "data.given": ["label"],
    "model.latent": [3],
    "model.network.hidden": [32],
    "training.epochs": 12,
    "training.batch_size": 32,
    "training.schedule": "Constant",
    "training.learning_rate": 5e-3,
    "training.threads": 1,
    "report.write": False,
}
TABLE = {
    "data.given": ["job", "age"],
    "model.latent": [2],
    "model.network.hidden": [12],
    "training.epochs": 15,
    "training.steps": 300,
    "training.batch_size": 64,
    "training.learning_rate": 1e-2,
    "training.threads": 1,
    "report.write": False,
}


def make_table(rows=400):
    """Smiths are tall, and the old ones have many children."""
    random = np.random.default_rng(0)
    job = random.choice(["cook", "smith"], rows)
    age = random.integers(20, 70, rows)
    return polars.DataFrame(
        {
            "height": (160 + 25 * (job == "smith") + random.normal(size=rows)).round(1),
            "children": random.poisson(np.where(age > 45, 6, 0.3)),
            "job": job,
            "age": age,
        }
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    out = tmp_path_factory.mktemp("images") / "run"
    return lowerbound.fit("digits", out=out, settings=SETTINGS, progress=False)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    out = tmp_path_factory.mktemp("rows") / "run"
    return lowerbound.fit("table", data=make_table(), out=out, settings=TABLE, progress=False)


def test_a_run_is_loaded_with_its_conditions(images):
    again = lowerbound.load(images.folder)
    assert again.schema == images.schema
    assert again.schema.names_of_conditions == ("label",)
    wanted = {"given": {"label": 3}, "seed": 5}
    assert torch.equal(again.sample(4, **wanted), images.sample(4, **wanted))
    assert again.evaluate()["elbo"] == images.evaluate()["elbo"]
    written = json.loads((images.folder / "data.json").read_text())
    assert written["schema"]["given"][0]["levels"] == list("0123456789")


def test_samples_look_like_the_class_that_is_given(images):
    """The class of the nearest mean image is the class that was asked for, mostly."""
    data = images.data()
    x = data.train.tensor(slice(None))
    means = torch.stack([x[data.train.labels == c].mean(0) for c in range(10)]).flatten(1)
    asked = np.arange(200) % 10
    samples = images.sample(200, given={"label": asked}).flatten(1)
    found = torch.cdist(samples, means).argmin(1).numpy()
    assert (found == asked).mean() > 0.7
    assert (
        torch.cdist(images.sample(200).flatten(1), means).argmin(1).numpy() == asked
    ).mean() < 0.4


def test_values_are_given_in_any_form(images):
    first = images.sample(3, given={"label": "7"})
    for value in (7, 7.0, np.int64(7), [7, 7, 7], np.array([7, 7, 7]), polars.Series([7] * 3)):
        assert torch.equal(images.sample(3, given={"label": value}), first)
    assert not torch.equal(images.sample(3, given={"label": None}), first)
    assert images.sample(3, given={"label": None}).isfinite().all()


def test_the_first_samples_do_not_hang_on_their_number(images, rows):
    assert torch.allclose(images.sample(32)[:16], images.sample(16), atol=1e-6)
    assert np.array_equal(images.draw_conditions(20)[:5], images.draw_conditions(5))
    assert rows.sample(30)["job", "age"].head(7).equals(rows.sample(7)["job", "age"])


def test_what_is_not_given_is_drawn_from_the_training_rows(rows):
    frame = rows.sample(2000, given={"job": "smith"})
    train = make_table()[rows.data().train.rows]
    assert set(frame["age"]) <= set(train.filter(polars.col("job") == "smith")["age"])
    share = (rows.sample(2000)["job"] == "smith").mean()
    assert abs(share - (train["job"] == "smith").mean()) < 0.05
    assert tell_drawn({"job": "smith"}, rows.schema.given).endswith("rows: 'age'")
    assert tell_drawn({"job": "smith", "age": 3}, rows.schema.given) is None


def test_a_run_without_the_conditions_of_its_rows_is_of_use(rows, tmp_path):
    """They may be private: whoever deletes them gives all conditions of samples."""
    shutil.copytree(rows.folder, tmp_path / "run")
    (tmp_path / "run" / "conditions.safetensors").unlink()
    run = lowerbound.load(tmp_path / "run")
    given = {"job": "smith", "age": 40}
    assert run.sample(20, given=given, seed=3).equals(rows.sample(20, given=given, seed=3))
    with pytest.raises(RunError, match="conditions"):
        run.sample(20, given={"age": 40})


def test_rows_of_a_table_have_their_conditions(rows):
    frame = rows.sample(600, given={"job": "cook", "age": 30})
    assert frame.columns == ["height", "children", "job", "age"]
    assert set(frame["job"]) == {"cook"}
    assert set(frame["age"]) == {30}
    assert frame.schema["age"] == polars.Int64
    other = rows.sample(600, given={"job": "smith", "age": 65})
    assert other["height"].mean() - frame["height"].mean() > 15
    assert other["children"].mean() - frame["children"].mean() > 3
    parts = polars.concat(rows.sample_frames(600, given={"job": "cook", "age": 30}))
    assert parts.equals(frame)


def test_a_swap_changes_the_class_and_keeps_the_rest(images):
    examples = images.data().test.take(slice(0, 40))
    assert torch.equal(
        images.swap(examples, {"label": examples.labels}), images.reconstruct(examples)
    )
    swapped = images.swap(examples, {"label": 7})
    (z,) = images.encode(examples)
    torch.testing.assert_close(swapped, images.decode(z, given={"label": 7}))
    in_memory = (examples.values_at(slice(None))[:, 0], examples.labels)
    torch.testing.assert_close(images.swap(in_memory, {"label": 7}), swapped)


def test_a_swap_of_rows_keeps_the_conditions_that_are_not_named(rows):
    frame = make_table().head(50)
    swapped = rows.swap(frame, {"job": "smith"})
    assert set(swapped["job"]) == {"smith"}
    assert swapped["age"].to_list() == frame["age"].to_list()
    assert swapped["height"].mean() > 175


def test_examples_without_conditions_are_given_them(images):
    examples = images.data().test.take(slice(0, 9))
    pixels = examples.values_at(slice(None))[:, 0]
    labels = examples.labels
    (own,) = images.encode(examples)
    torch.testing.assert_close(images.encode(pixels, given={"label": labels})[0], own)
    torch.testing.assert_close(images.encode((pixels, labels))[0], own)
    torch.testing.assert_close(images.encode((pixels / 16.0, labels))[0], own)
    batch = examples.batch(slice(None))
    torch.testing.assert_close(images.encode(batch)[0], own)
    torch.testing.assert_close(images.encode(Batch(batch.x), given={"label": labels})[0], own)
    assert not torch.allclose(images.encode(pixels, given={"label": None})[0], own)
    shares = pixels / 16.0
    torch.testing.assert_close(
        images.reconstruct(shares, given={"label": labels}), images.reconstruct(examples)
    )
    with pytest.raises(DataError, match="has no labels, which the run is conditioned on"):
        images.encode(pixels)


def test_levels_are_varied_and_decoded_under_conditions(images):
    found = images.vary(0, 2, 3, given={"label": [3, 8]})
    assert found.shape == (2, 3, 1, 8, 8)
    assert torch.equal(found, images.vary(0, 2, 3, given={"label": [3, 8]}))
    assert images.vary(0, 2, 3).shape == (2, 3, 1, 8, 8)
    z = torch.zeros(2, 3)
    both = images.decode(z, given={"label": [3, 8]})
    torch.testing.assert_close(both[1:], images.decode(z[:1], given={"label": 8}))


def test_each_group_varies_under_its_own_conditions(images):
    found = images.vary(0, 2, 3, given={"label": [3, 8]})
    for group, digit in enumerate([3, 8]):
        alone = images.vary(0, 2, 3, given={"label": digit})
        torch.testing.assert_close(found[group], alone[group])


def test_conditions_go_with_their_examples_through_several_chunks(images, monkeypatch):
    labels = [place % 10 for place in range(20)]
    given = {"label": labels}
    examples = images.data().test.take(slice(0, 20))
    z = torch.randn(20, 3)

    def use():
        return (
            images.swap(examples, given),
            images.decode(z, given=given),
            images.decode_levels([z], given=given),
            images.vary(0, 20, 2, given=given),
        )

    whole = use()
    monkeypatch.setattr("lowerbound.evaluation.batches.CHUNK_NUMBERS", 3 * 512)
    for found, expected in zip(use(), whole, strict=True):
        torch.testing.assert_close(found, expected)
    # Samples in chunks have other noise than whole ones, but the same whatever is given.
    monkeypatch.setattr("lowerbound.run.returned.CHUNKS_SEEDED", 2)
    mixed = images.sample(20, given=given)
    sevens = images.sample(20, given={"label": 7})
    torch.testing.assert_close(mixed[7::10], sevens[7::10])
    assert not torch.allclose(mixed[6], sevens[6])


def test_the_bound_is_better_with_the_conditions(images, tmp_path):
    settings = SETTINGS | {"data.given": None}
    plain = lowerbound.fit("digits", out=tmp_path / "plain", settings=settings, progress=False)
    assert not (plain.folder / "conditions.safetensors").exists()
    assert images.evaluate()["elbo"] > plain.evaluate()["elbo"] + 2
    assert "log p(x | label)" in images.evaluate()["caveat"]


def test_a_run_that_was_stopped_goes_on_exactly(tmp_path):
    """The weights are those of a fit that was not stopped, with the conditional prior too."""
    settings = SETTINGS | {"training.epochs": 3, "model.conditional_prior": True}
    whole = lowerbound.fit("digits", out=tmp_path / "whole", settings=settings, progress=False)
    half = settings | {"training.epochs": 1}
    lowerbound.fit("digits", out=tmp_path / "half", settings=half, progress=False)
    again = lowerbound.fit(
        "digits", out=tmp_path / "half", settings=settings, resume=True, progress=False
    )
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])


def test_other_labels_are_other_data_when_a_run_goes_on(tmp_path):
    x = np.random.default_rng(0).integers(0, 17, (60, 4, 4)).astype(np.uint8)
    x[0, 0, 0] = 16
    y = np.arange(60) % 3
    settings = SETTINGS | {"training.epochs": 1, "model.likelihood": "DiscretizedLogistic"}
    lowerbound.fit("digits", data=(x, y), out=tmp_path / "r", settings=settings, progress=False)
    with pytest.raises(RunError, match=r"is not what .* was fitted to"):
        lowerbound.fit(
            "digits",
            data=(x, y[::-1]),
            out=tmp_path / "r",
            settings=settings,
            resume=True,
            progress=False,
        )


def test_gaps_are_filled_under_the_conditions_of_their_row(rows):
    from lowerbound.imputation import impute

    frame = make_table().head(40).with_columns(height=polars.lit(None, polars.Float64))
    filled = impute(rows, frame, samples=50, multiple=2, progress=False)
    by_job = filled.frame.group_by("job").agg(polars.col("height").mean())
    heights = dict(by_job.iter_rows())
    assert heights["smith"] - heights["cook"] > 15
    assert filled.frame["age"].to_list() == frame["age"].to_list()
    unknown = frame.with_columns(job=polars.Series([None, None, *frame["job"][2:]]))
    filled = impute(rows, unknown, samples=50, progress=False)
    assert filled.frame["height"].null_count() == 0
    assert any("2 gaps in 'job' stay gaps" in note for note in filled.notes)
    with pytest.raises(DataError, match="lacks 'job', which the run is conditioned on"):
        impute(rows, frame.drop("job"), samples=50, progress=False)


def test_the_report_shows_what_conditions_do(images, rows):
    for run, words in (
        (images, ["Samples by label", "Swaps of label"]),
        (rows, ["cook: data", "smith: samples", "Of the 60 "]),
    ):
        text = page(run, examples=60).read_text()
        assert "Conditions" in text
        assert "With the conditions of another example in place of its own" in text
        assert all(word in text for word in words)
    assert (images.folder / "report" / "swap_1.png").exists()


def test_scores_are_given_the_conditions(images):
    scored = lowerbound.score(images)
    assert len(scored) == len(images.data().test)


def test_the_command_line_takes_conditions(images, rows, command, tmp_path):
    out = tmp_path / "s.csv"
    code, text, _ = command("sample", rows.folder, "--given", "job=smith", "-n", 20, "--out", out)
    assert code == 0
    assert "drawn from the training rows: 'age'" in text
    frame = polars.read_csv(out)
    assert frame.columns == ["height", "children", "job", "age"]
    assert set(frame["job"]) == {"smith"}
    code, text, _ = command(
        "sample",
        images.folder,
        "--given",
        "label=3",
        "-n",
        9,
        "--out",
        tmp_path / "s.png",
        "--json",
    )
    assert code == 0
    assert json.loads(text)["given"] == {"label": "3"}


# Refusals


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lable": 3}, "unknown condition 'lable'; did you mean 'label'"),
        ({"label": 12}, "'label' .categorical. has no value 12; allowed: 0, 1, 2, 3"),
        ({"label": [1, 2]}, "'label' has 2 values; allowed: one, or one for each of 4"),
    ],
)
def test_conditions_that_there_are_not_are_refused(images, given, message):
    for ask in (images.sample, lambda n, given: images.decode(torch.zeros(n, 3), given=given)):
        with pytest.raises(ConfigError, match=message):
            ask(4, given=given)


def test_a_decoder_needs_all_conditions(images):
    with pytest.raises(ConfigError, match="is conditional: given= lacks 'label'"):
        images.decode(torch.zeros(1, 3))


def test_damaged_conditions_are_no_conditions_of_a_run(images, tmp_path):
    from lowerbound.run.given import read_conditions
    from lowerbound.system.weights import save_tensors

    path = tmp_path / "conditions.safetensors"
    for values in (torch.zeros(3, 2), torch.zeros(0, 1), torch.full((3, 1), 11.0), torch.zeros(3)):
        save_tensors(path, {"conditions": values})
        with pytest.raises(RunError, match="conditions"):
            read_conditions(path, images.schema)
    path.write_bytes(b"nothing")
    with pytest.raises(RunError, match="cannot read"):
        read_conditions(path, images.schema)

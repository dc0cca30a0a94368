"""Wrong use of conditions: what each mistake gets, word for word, and nothing is left behind.

In messages HERE is the folder in which the command runs.
"""
# ruff: noqa: E501 - a message is one line here as it is on the screen, so that it can be searched for

import shlex

import numpy as np
import polars as pl
import pytest

import lowerbound
from lowerbound.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 17, (30, 4, 4)).astype(np.uint8)
LABELS = np.arange(30) % 3
TABLE = {
    "age": RNG.integers(20, 70, 40),
    "city": ["Bonn", "Ulm"] * 20,
    "income": ["low", "low", "high", "high"] * 10,
    "note": [f"a long note {k}" for k in range(40)],
}
FAST = "--set training.epochs=1 --set report.write=false --set model.latent=[2] --set model.network.hidden=[4]"


def make(folder):
    """Writes the sources of the mistakes into a folder."""
    np.save(folder / "grey.npy", GREY)
    np.savez(folder / "labelled.npz", x=GREY, y=LABELS)
    np.savez(folder / "one.npz", x=GREY, y=np.zeros(30, int))
    pl.DataFrame(TABLE).write_csv(folder / "t.csv")
    pl.DataFrame(TABLE).drop("income").write_csv(folder / "poor.csv")
    pairs = [(f"u{k // 5}", f"i{k % 7}") for k in range(60)]
    pl.DataFrame(pairs, schema=["user", "item"], orient="row").write_csv(folder / "plays.csv")
    users = pl.DataFrame(
        {
            "user": [f"u{k}" for k in range(12)],
            "age": range(20, 32),
            "taste": ["folk", "jazz", "rock"] * 4,
            "zip": [f"Z{k}-{k * k}" for k in range(12)],
            "land": ["D"] * 12,
        }
    )
    users.write_csv(folder / "users.csv")
    users.with_columns(user=pl.lit("x") + pl.col("user")).write_csv(folder / "others.csv")
    pl.concat([users, users.tail(1)]).write_csv(folder / "twice.csv")


AT_A_FIT = [
    (
        "a label where the set has none",
        "fit digits --data grey.npy --set 'data.given=[\"label\"]'",
        "HERE/grey.npy has no labels that a model could be conditioned on (data.given); allowed: images in folders of classes, a file of labels (data.labels), or (x, y)",
    ),
    (
        "a label that is the same everywhere",
        "fit digits --data one.npz --set 'data.given=[\"label\"]'",
        "HERE/one.npz: a model cannot be conditioned on 'label': one value only in the training split; take it out of data.given",
    ),
    (
        "a column of images",
        "fit digits --data labelled.npz --set 'data.given=[\"income\"]'",
        "HERE/labelled.npz is of kind image and has no 'income' (data.given); allowed: 'label', where there are labels, and the columns of a table",
    ),
    (
        "an unknown column",
        "fit table --data t.csv --set 'data.given=[\"incone\"]'",
        "unknown column 'incone' in HERE/t.csv (data.given); did you mean 'income'? Allowed: age, city, income, note",
    ),
    (
        "a condition twice",
        'fit table --data t.csv --set \'data.given=["age", "age"]\'',
        "recipe: data.given: ['age', 'age'] names a condition twice; allowed: each once",
    ),
    (
        "a column for two uses",
        'fit table --data t.csv --set \'data.given=["age"]\' --set \'data.columns=["age", "city"]\'',
        "data.columns names 'age', which data.given names too; allowed: one use of a column",
    ),
    (
        "a column of texts",
        "fit table --data t.csv --set 'data.given=[\"note\"]'",
        "HERE/t.csv: a model cannot be conditioned on 'note' (id: a word of its own in each row); take it out of data.given, or name its kind in data.kinds",
    ),
    (
        "features of users, and no table of them",
        "fit multvae --data plays.csv --set 'data.given=[\"age\"]'",
        "data.given names what is known of users, and data.interactions.users no table of them: name the file with a row for each user (in Python, data=(log, users) takes frames)",
    ),
    (
        "a table of users of which nothing is used",
        "fit multvae --data plays.csv --set data.interactions.users=users.csv",
        'data.interactions.users names a table of users, and data.given none of its columns; name some, such as data.given=["age"], or leave both out',
    ),
    (
        "a table of users that is not there",
        "fit multvae --data plays.csv --set data.interactions.users=usrs.csv --set 'data.given=[\"age\"]'",
        "data.interactions.users=HERE/usrs.csv: there is no such file",
    ),
    (
        "a table of users that is none",
        "fit multvae --data plays.csv --set data.interactions.users=grey.npy --set 'data.given=[\"age\"]'",
        "data.interactions.users=HERE/grey.npy is no file of users; allowed: .csv, .tsv, .txt, .dat, .data, .tab (also with .gz, .zst), .parquet",
    ),
    (
        "a table without users",
        "fit multvae --data plays.csv --set data.interactions.users=t.csv --set 'data.given=[\"age\"]'",
        "HERE/t.csv has no column of users (as data.interactions.user, or a usual name); its columns: age, city, income, note",
    ),
    (
        "a table of other users",
        "fit multvae --data plays.csv --set data.interactions.users=others.csv --set 'data.given=[\"age\"]'",
        "HERE/others.csv has a row for none of the 12 users of the log: its users are such as 'xu0', those of the log such as 'u0'",
    ),
    (
        "a user in two rows",
        "fit multvae --data plays.csv --set data.interactions.users=twice.csv --set 'data.given=[\"age\"]'",
        "HERE/twice.csv has 2 rows for the user 'u11'; allowed: one row for each user",
    ),
    (
        "a feature that is not there",
        "fit multvae --data plays.csv --set data.interactions.users=users.csv --set 'data.given=[\"agee\"]'",
        "unknown column 'agee' in HERE/users.csv (data.given); did you mean 'age'? Allowed: age, taste, zip, land",
    ),
    (
        "the users themselves as a feature",
        "fit multvae --data plays.csv --set data.interactions.users=users.csv --set 'data.given=[\"user\"]'",
        "data.given names 'user', which tells the users of HERE/users.csv apart; allowed: age, taste, zip, land",
    ),
    (
        "the kind of a column that is no feature",
        "fit multvae --data plays.csv --set data.interactions.users=users.csv --set 'data.given=[\"age\"]' --set 'data.kinds={taste=\"ordinal\"}'",
        "data.kinds names 'taste'; of a log with features of users, allowed: the columns of data.given, age",
    ),
    (
        "a kind that there is not, of a feature",
        "fit multvae --data plays.csv --set data.interactions.users=users.csv --set 'data.given=[\"age\"]' --set 'data.kinds={age=\"cuont\"}'",
        "unknown kind 'cuont' (data.kinds); did you mean 'count'? Allowed: real, positive, count, ordinal, categorical, binary, datetime, text, id",
    ),
    (
        "a feature with a word of its own for each user",
        "fit multvae --data plays.csv --set data.interactions.users=users.csv --set 'data.given=[\"zip\"]' --set 'data.kinds={zip=\"id\"}'",
        "HERE/users.csv: a model cannot be conditioned on 'zip' (id: told by data.kinds); take it out of data.given, or name its kind in data.kinds",
    ),
    (
        "a feature that is the same for all",
        "fit multvae --data plays.csv --set data.interactions.users=users.csv --set 'data.given=[\"land\"]'",
        "HERE/users.csv: a model cannot be conditioned on 'land' (one value only: 'D'); take it out of data.given, or name its kind in data.kinds",
    ),
    (
        "the key of another place",
        "fit multvae --data plays.csv --set data.users=users.csv --set 'data.given=[\"age\"]'",
        "recipe: data: unknown key 'users'; did you mean 'interactions.users'? Allowed: source, binarize, size, grey, validation, test, seed, standardize, columns, kinds, unseen, hide, atoms, exclude, ids, labels, given, skip_broken, max_pixels, encoding, separator, decimal, quote, comment, header, missing, interactions",
    ),
    (
        "tied weights beside features of users",
        "fit multvae --data plays.csv --set data.interactions.users=users.csv --set 'data.given=[\"age\"]' --set model.decoder_network=tied",
        "model.decoder_network='tied' is for models without conditions (data.given); set it to none, or name no conditions",
    ),
    (
        "a conditional prior without conditions",
        "fit digits --data labelled.npz --set model.likelihood.levels=256 --set model.conditional_prior=true",
        'model.conditional_prior=true is for models with conditions: name them in data.given, such as ["label"], or set it to false',
    ),
    (
        "a conditional prior beside another one",
        "fit table --data t.csv --set 'data.given=[\"income\"]' --set model.conditional_prior=true",
        "model.conditional_prior=true takes the place of model.prior, which must then be StandardNormal, got Mixture",
    ),
    (
        "a start at factors",
        "fit table --data t.csv --set 'data.given=[\"income\"]' --set model.start=factors",
        "model.start='factors' is for models without conditions (data.given); set it to 'random', or name no conditions",
    ),
]

AT_A_RUN = [
    (
        "a value that is no class",
        "sample image --given label=7 --out s.png",
        "given: 'label' (categorical) has no value '7'; allowed: 0, 1, 2",
    ),
    (
        "a class of a table that there is not",
        "sample table --given income=middling --out s.csv",
        "given: 'income' (binary) has no value 'middling'; allowed: high, low",
    ),
    (
        "a class with a slip",
        "sample table --given income=hihg --out s.csv",
        "given: 'income' (binary) has no value 'hihg'; did you mean 'high'? Allowed: high, low",
    ),
    (
        "a word for a number",
        "sample table --given age=old --out s.csv",
        "given: 'age' (count) has no value 'old'; allowed: whole numbers from 0 on, such as those of the training rows from LOW to HIGH",
    ),
    (
        "an unknown condition",
        "sample image --given lable=2 --out s.png",
        "unknown condition 'lable'; did you mean 'label'? Allowed: label",
    ),
    (
        "a column that is no condition",
        "sample table --given city=Bonn --out s.csv",
        "unknown condition 'city'; allowed: income, age",
    ),
    (
        "a condition without a value",
        "sample image --given label --out s.png",
        "--given label: NAME=VALUE is needed, such as label=3; NAME= with nothing behind it is not known",
    ),
    (
        "a condition twice",
        "sample image --given label=1 --given label=2 --out s.png",
        "--given names label twice; allowed: once",
    ),
    (
        "a condition of a run that has none",
        "sample plain --given label=2 --out s.png",
        "this run is not conditional, so that it cannot be given label; fit one with data.given, such as --set data.given='[\"label\"]'",
    ),
    (
        "images without labels",
        "evaluate image --data grey.npy",
        "grey.npy has no labels, which the run is conditioned on (data.given); give them beside the examples, as (x, y) in Python, or given={'label': ...} there",
    ),
    (
        "a table without the column",
        "evaluate table --data poor.csv",
        "poor.csv lacks 'income', which the run is conditioned on (data.given); a column of gaps says that it is not known",
    ),
    (
        "a table without the column, to be filled",
        "impute table --data poor.csv --out full.csv",
        "poor.csv lacks 'income', which the run is conditioned on (data.given); a column of gaps says that it is not known",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with sources, and runs that were fitted to them."""
    made = tmp_path_factory.mktemp("given")
    make(made)
    settings = {
        "training.epochs": 1,
        "report.write": False,
        "model.latent": [2],
        "model.network.hidden": [4],
        "training.threads": 1,
    }
    pixels = settings | {"model.likelihood.levels": 256}
    given = pixels | {"data.given": ["label"]}
    columns = settings | {"data.given": ["income", "age"], "data.exclude": ["note"]}
    for name, recipe, source, chosen in (
        ("image", "digits", "labelled.npz", given),
        ("plain", "digits", "labelled.npz", pixels),
        ("table", "table", "t.csv", columns),
    ):
        lowerbound.fit(recipe, data=made / source, out=made / name, settings=chosen, progress=False)
    return made


@pytest.mark.parametrize(
    ("line", "message"), [row[1:] for row in AT_A_FIT], ids=[row[0] for row in AT_A_FIT]
)
def test_a_mistake_at_a_fit_gets_one_line(command, folder, monkeypatch, line, message):
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    code, out, err = command(*shlex.split(f"{line} --out new {FAST}"))
    assert (code, out) == (2, "")
    assert err == f"lowerbound: {message.replace('HERE', str(folder))}\n"
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("line", "message"), [row[1:] for row in AT_A_RUN], ids=[row[0] for row in AT_A_RUN]
)
def test_a_mistake_in_use_gets_one_line(command, folder, monkeypatch, line, message):
    monkeypatch.chdir(folder)
    age = lowerbound.load(folder / "table").schema.given[1]
    message = message.replace("LOW", f"{age.low:g}").replace("HIGH", f"{age.high:g}")
    before = sorted(path.name for path in folder.iterdir())
    code, out, err = command(*shlex.split(line))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == f"lowerbound: {message}"
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_level_that_the_run_does_not_know_is_told_of(command, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    other = pl.DataFrame(TABLE).with_columns(income=pl.lit("middling"))
    other.write_csv(tmp_path / "other.csv")
    code, _, err = command("evaluate", "table", "--data", tmp_path / "other.csv", "--samples", "2")
    assert code == 0
    assert "40 cells of 'income' (binary) have levels that the run does not know" in err


IN_PYTHON = [
    (
        "a swap of a run without conditions",
        "plain",
        lambda run: run.swap(GREY, {"label": 1}),
        ConfigError,
        "this run is not conditional, so that it cannot be given label; fit one with data.given, such as --set data.given='[\"label\"]'",
    ),
    (
        "a swap to nothing",
        "image",
        lambda run: run.swap((GREY, LABELS), {}),
        ConfigError,
        "given: no condition is named; allowed: label",
    ),
    (
        "codes without conditions",
        "image",
        lambda run: run.decode(np.zeros((1, 2), np.float32)),
        ConfigError,
        "this run is conditional: given= lacks 'label'; give {'label': ...}, where None is not known",
    ),
    (
        "some of the conditions",
        "table",
        lambda run: run.encode(pl.DataFrame(TABLE), given={"age": 3}),
        ConfigError,
        "this run is conditional: given= lacks 'income'; give {'income': ...}, where None is not known",
    ),
    (
        "another number of conditions",
        "image",
        lambda run: run.encode(GREY, given={"label": [1, 2]}),
        ConfigError,
        "given: 'label' has 2 values; allowed: one, or one for each of 30 examples",
    ),
    (
        "images without labels",
        "image",
        lambda run: run.encode(GREY),
        DataError,
        "the array has no labels, which the run is conditioned on (data.given); give them beside the examples, as (x, y) in Python, or given={'label': ...} there",
    ),
]


@pytest.mark.parametrize(
    ("name", "call", "kind", "message"),
    [row[1:] for row in IN_PYTHON],
    ids=[row[0] for row in IN_PYTHON],
)
def test_a_mistake_in_python_gets_one_line_too(folder, name, call, kind, message):
    with pytest.raises(kind) as raised:
        call(lowerbound.load(folder / name))
    assert str(raised.value) == message

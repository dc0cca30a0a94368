"""What a model is conditioned on: labels and columns, as they are read, kept and put in batches."""

import json

import numpy as np
import polars
import pytest
import torch
from PIL import Image

from lowerbound.data import Data, Schema
from lowerbound.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 6, 6)).astype(np.uint8)
LABELS = np.arange(40) % 4 + 3
FRAME = polars.DataFrame(
    {
        "age": RNG.integers(20, 70, 60),
        "city": ["Bonn", "Ulm", "Jena"] * 20,
        "income": ["low", "high", "high", "low", None, "low"] * 10,
        "height": RNG.normal(170, 8, 60).round(1),
    }
)


def opened(source, **settings):
    return Data("<memory>", **settings).open(source=source)


def values_of(batch, schema):
    """Returns the values of the conditions of a batch."""
    return schema.coding_of_conditions.decode(batch.given.double().numpy())


def test_labels_of_images_are_levels():
    data = opened((IMAGES, LABELS), given=["label"])
    (column,) = data.schema.given
    assert column.name == "label"
    assert column.kind == "categorical"
    assert column.levels == ("3", "4", "5", "6")
    batch = data.train.batch(slice(0, 8))
    assert batch.x.shape == (8, 1, 6, 6)
    assert torch.equal(batch.given[:, 0] + 3, torch.from_numpy(data.train.labels[:8]).float())
    plain = opened((IMAGES, LABELS))
    assert torch.equal(plain.train.batch(slice(0, 8)), batch.x)
    assert not plain.schema.given


@pytest.mark.parametrize("draw", ["static", "dynamic"])
def test_binarised_images_keep_their_conditions(draw):
    data = opened((IMAGES / 255.0, LABELS), given=["label"], binarize=draw)
    batch = data.train.batch(torch.tensor([5, 1, 3]), key=7)
    assert set(batch.x.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(batch.given[:, 0] + 3, torch.tensor(data.train.labels[[5, 1, 3]]).float())


def test_classes_are_the_folders_of_images(tmp_path):
    for place, name in enumerate(["cats", "dogs"]):
        (tmp_path / name).mkdir()
        for number in range(6):
            pixels = np.full((4, 4), 40 * place + number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    data = Data(str(tmp_path), given=["label"]).open()
    assert data.schema.given[0].levels == ("cats", "dogs")
    batch = data.whole.batch(slice(None))
    assert torch.equal(batch.given[:, 0], torch.tensor([0.0] * 6 + [1.0] * 6))


def test_labels_that_are_no_classes_are_numbers():
    heights = RNG.normal(size=40)
    data = opened((IMAGES, heights), given=["label"])
    assert data.schema.given[0].kind == "real"
    found = values_of(data.whole.batch(slice(None)), data.schema)[:, 0]
    np.testing.assert_allclose(found, heights, atol=1e-6)


def test_an_empty_label_is_not_known():
    labels = np.array(["a", "b", "", "a"] * 10)
    data = opened((IMAGES, labels), given=["label"])
    assert data.schema.given[0].levels == ("a", "b")
    assert torch.equal(
        data.whole.batch(slice(0, 4)).given.isnan()[:, 0], torch.tensor([False, False, True, False])
    )


@pytest.mark.parametrize("settings", [{"kinds": {}}, {}])
def test_columns_of_a_table_are_conditions_and_none_of_x(settings):
    frame = FRAME
    if not settings:
        frame = FRAME.drop("city")
    data = opened(frame, given=["income", "age"], **settings)
    assert data.schema.names_of_conditions == ("income", "age")
    assert not {"income", "age"} & set(data.schema.columns)
    income, age = data.schema.given
    assert income.kind == "binary"
    assert age.kind == "count"
    batch = data.whole.batch(slice(None))
    found = values_of(batch, data.schema)
    assert np.isnan(found[:, 0]).sum() == 10
    assert [income.levels[int(v)] for v in found[[0, 1, 2], 0]] == ["low", "high", "high"]
    np.testing.assert_array_equal(found[:, 1], FRAME["age"].to_numpy())
    if settings:
        assert batch.observed.shape == batch.x.shape


def test_a_file_has_the_conditions_of_the_frame(tmp_path):
    FRAME.write_csv(tmp_path / "t.csv")
    FRAME.write_parquet(tmp_path / "t.parquet")
    parts = []
    for source in (tmp_path / "t.csv", tmp_path / "t.parquet"):
        data = Data(str(source), given=["income", "age"], kinds={}).open()
        parts.append(data.whole.batch(slice(None)))
        assert data.schema.given[0].levels == ("high", "low")
    assert torch.equal(parts[0].given.nan_to_num(nan=-9), parts[1].given.nan_to_num(nan=-9))
    assert torch.equal(parts[0].x, parts[1].x)
    plain = Data(str(tmp_path / "t.csv"), given=["income"], exclude=["city"]).open()
    assert plain.schema.columns == ("age", "height")
    assert torch.equal(
        plain.whole.batch(slice(None)).given[:, 0].nan_to_num(nan=-9),
        parts[0].given[:, 0].nan_to_num(nan=-9),
    )


def test_a_kind_that_is_named_is_that_of_the_condition():
    data = opened(FRAME, given=["age"], kinds={"age": "real", "height": "positive"})
    assert data.schema.given[0].kind == "real"
    assert data.schema.table[-1].kind == "positive"


def test_the_column_of_labels_is_a_condition():
    for name in ("label", "income"):
        data = opened(FRAME, given=[name], labels="income", kinds={})
        assert data.schema.names_of_conditions == ("income",)
        assert data.train.labels is not None


def test_splits_and_subsets_keep_conditions_beside_their_rows():
    data = opened((IMAGES, LABELS), given=["label"])
    for split in (data.train, data.validation, data.test, data.whole.take(np.array([7, 2, 30]))):
        found = values_of(split.batch(slice(None)), data.schema)[:, 0] + 3
        np.testing.assert_array_equal(found, LABELS[split.rows])
        np.testing.assert_array_equal(found, split.labels)


def test_a_batch_that_several_processes_share_has_its_conditions():
    data = opened((IMAGES, LABELS), given=["label"])
    batch = data.train.batch(slice(0, 9)).take(torch.tensor([1, 4]))
    assert torch.equal(batch.given[:, 0] + 3, torch.tensor(data.train.labels[[1, 4]]).float())


def test_the_schema_of_a_run_knows_its_conditions():
    data = opened(FRAME, given=["income", "age"], kinds={})
    written = json.loads(json.dumps(data.schema.to_json()))
    assert Schema.from_json(written) == data.schema
    assert "given" not in opened(FRAME, kinds={}).schema.to_json()
    with pytest.raises(DataError, match="cannot have given="):
        Schema.from_json(written | {"given": written["given"] * 2})
    with pytest.raises(DataError, match="cannot have given='age'"):
        Schema.from_json(written | {"given": "age"})
    column = written["given"][0] | {"name": "height"}
    with pytest.raises(DataError, match="cannot have given="):
        Schema.from_json(written | {"given": [column]})


def test_other_conditions_are_other_data():
    digests = set()
    for labels in (LABELS, LABELS[::-1], np.roll(LABELS, 1)):
        digests.add(opened((IMAGES, labels), given=["label"]).fingerprint()["sha256"])
    digests.add(opened((IMAGES, LABELS)).fingerprint()["sha256"])
    assert len(digests) == 4
    assert len({opened((IMAGES, x)).fingerprint()["sha256"] for x in (LABELS, LABELS[::-1])}) == 1


# Other data of a run


def test_other_data_are_read_by_the_levels_of_the_run():
    schema = opened((IMAGES, LABELS), given=["label"]).schema
    other = Data("<memory>", given=["label"], validation=0, test=0)
    found = other.open(schema, source=(IMAGES[:4], np.array(["6", "3", "", "8"])))
    codes = found.whole.batch(slice(None)).given[:, 0]
    assert torch.equal(codes.nan_to_num(nan=-9), torch.tensor([3.0, 0.0, -9, -9]))
    assert any("has a level that the run does not know: '8'; it is a gap" in n for n in found.notes)
    strict = Data("<memory>", given=["label"], validation=0, test=0, unseen="error")
    with pytest.raises(DataError, match=r"does not know: '8'; data\.unseen=missing"):
        strict.open(schema, source=(IMAGES[:4], np.array(["6", "3", "", "8"])))


def test_columns_of_other_data_may_stand_in_any_order():
    schema = opened(FRAME, given=["income", "age"], kinds={}).schema
    data = Data("<memory>", given=["income", "age"], kinds={}, validation=0, test=0)
    found = data.open(schema, source=FRAME.select(sorted(FRAME.columns)).head(7))
    whole = opened(FRAME, given=["income", "age"], kinds={}).whole.batch(slice(0, 7))
    batch = found.whole.batch(slice(None))
    assert torch.equal(batch.given.nan_to_num(nan=-9), whole.given.nan_to_num(nan=-9))
    assert torch.equal(batch.x, whole.x)


# Refusals


@pytest.mark.parametrize(
    ("source", "settings", "error", "message"),
    [
        (IMAGES, {"given": ["label"]}, DataError, "has no labels that a model could be cond"),
        ((IMAGES, LABELS), {"given": ["age"]}, DataError, r"is of kind image and has no 'age'"),
        ((IMAGES, LABELS * 0), {"given": ["label"]}, DataError, "on 'label': one value only"),
        (
            FRAME,
            {"given": ["agee"], "kinds": {}},
            DataError,
            "unknown column 'agee' in",
        ),
        (
            FRAME,
            {"given": ["age"], "columns": ["age", "city"], "kinds": {}},
            ConfigError,
            "data.columns names 'age', which data.given names too",
        ),
        (
            FRAME.with_columns(note=polars.Series([f"note {i} is long" for i in range(60)])),
            {"given": ["note"], "kinds": {}},
            DataError,
            r"cannot be conditioned on 'note' \((text|id): ",
        ),
        (
            FRAME.with_columns(one=polars.lit(3)),
            {"given": ["one"], "kinds": {}},
            DataError,
            "cannot be conditioned on 'one'",
        ),
    ],
)
def test_conditions_that_cannot_be_are_refused(source, settings, error, message):
    with pytest.raises(error, match=message):
        opened(source, **settings)


def test_a_condition_is_named_once():
    with pytest.raises(ValueError, match="names a condition twice; allowed: each once"):
        Data("digits", given=["label", "label"])


def test_other_data_without_the_conditions_are_refused():
    schema = opened((IMAGES, LABELS), given=["label"]).schema
    data = Data("<memory>", given=["label"], validation=0, test=0)
    with pytest.raises(DataError, match="has no labels, which the run is conditioned on"):
        data.open(schema, source=IMAGES)
    schema = opened(FRAME, given=["income"], kinds={}).schema
    data = Data("<memory>", given=["income"], kinds={}, validation=0, test=0)
    with pytest.raises(DataError, match="lacks 'income', which the run is conditioned on"):
        data.open(schema, source=FRAME.drop("income"))

"""Features of users: found in a table beside a log, put beside their histories, kept in splits."""

import numpy as np
import polars as pl
import pytest

from lowerbound.batch import Batch
from lowerbound.data import Data, Schema
from lowerbound.data.interactions.spec import Interactions
from lowerbound.sparse import SparseRows

USERS = 40
LOG = pl.DataFrame(
    [(u, f"i{(3 * u + k) % 9}") for u in range(USERS) for k in range(4)],
    schema=["user", "item"],
    orient="row",
)
TABLE = pl.DataFrame(
    {
        "user": range(USERS),
        "age": [None if u % 10 == 3 else 20 + u for u in range(USERS)],
        "taste": [("folk", "jazz", "rock")[u % 3] for u in range(USERS)],
        "born": ["1980-01-02", "1975-06-07"] * (USERS // 2),
    }
)


def opened(users, given=("age", "taste"), log=LOG, **settings):
    """Opens a log with a table of users: a frame, or the path of a file."""
    how = Interactions()
    source = (log, users)
    if not isinstance(users, pl.DataFrame):
        how = Interactions(users=str(users))
        source = log
    data = Data("<memory>", interactions=how, given=list(given), **settings)
    return data.open(source=source)


def features(split):
    """Returns the features of the users of a split, by their ids."""
    decoded = split.schema.coding_of_conditions.decode(
        split.batch(slice(None)).given.double().numpy()
    )
    return dict(zip(split.users.tolist(), decoded.tolist(), strict=True))


def test_each_split_has_the_features_of_its_own_users():
    data = opened(TABLE)
    assert [column.name for column in data.schema.given] == ["age", "taste"]
    assert data.schema.given[1].levels == ("folk", "jazz", "rock")
    for split in (data.train, data.validation, data.test, data.whole):
        batch = split.batch(np.array([1, 0]))
        assert isinstance(batch, Batch)
        assert isinstance(batch.x, SparseRows)
        for user, (age, taste) in features(split).items():
            assert taste == user % 3
            if user % 10 == 3:
                assert np.isnan(age)
            else:
                assert age == pytest.approx(20 + user)
    ages = [20 + u for u in data.train.users.tolist() if u % 10 != 3]
    assert (data.schema.given[0].low, data.schema.given[0].high) == (min(ages), max(ages))
    taken = data.train.take(np.array([4, 2]))
    assert features(taken) == {u: features(data.train)[u] for u in taken.users.tolist()}
    plain = data.train.without_conditions()
    assert isinstance(plain.batch(slice(0, 2)), SparseRows)
    assert plain.holds_same_rows(data.train)
    assert Schema.from_json(data.schema.to_json()) == data.schema


@pytest.mark.parametrize("form", ["csv", "semicolons", "parquet", "texts", "gz"])
def test_every_form_of_a_table_gives_the_same(form, tmp_path):
    wanted = opened(TABLE)
    path = tmp_path / "users.csv"
    if form == "csv":
        TABLE.write_csv(path)
    elif form == "semicolons":
        TABLE.rename({"user": "Customer-ID"}).write_csv(path, separator=";", null_value="?")
    elif form == "gz":
        import gzip

        path = tmp_path / "users.csv.gz"
        path.write_bytes(gzip.compress(TABLE.write_csv().encode()))
    elif form == "parquet":
        path = tmp_path / "users.parquet"
        listed = TABLE.with_columns(tags=pl.lit([1, 2], pl.List(pl.Int64)))
        listed.write_parquet(path)
    else:
        turned = TABLE.reverse().with_columns(pl.col("user").cast(pl.String) + ".0")
        turned.write_csv(path)
    found = opened(path)
    assert found.schema == wanted.schema
    assert found.whole.digest() == wanted.whole.digest()


def test_of_a_user_without_a_row_nothing_is_known():
    data = opened(TABLE.filter(pl.col("user") >= 5))
    assert np.isnan(data.whole.conditions[:5]).all()
    assert not np.isnan(data.whole.conditions[5:, 1]).any()
    assert any("no row for 5 of 40 users" in note for note in data.notes)
    more = pl.concat([TABLE, TABLE.with_columns(user=pl.col("user") + 1000)])
    assert opened(more).whole.digest() == opened(TABLE).whole.digest()


def test_kinds_can_be_named_and_gaps_be_told():
    data = opened(TABLE, given=["age", "born"], kinds={"age": "ordinal"}, missing=["25"])
    assert [column.kind for column in data.schema.given] == ["ordinal", "datetime"]
    assert "25" not in data.schema.given[0].levels


def test_a_run_reads_the_table_by_its_own_schema():
    data = Data("<memory>", interactions=Interactions(), given=["age", "taste"])
    schema = data.open(source=(LOG, TABLE)).schema
    items = data.open(source=(LOG, TABLE)).items
    other = TABLE.drop("age").with_columns(
        taste=pl.when(pl.col("user") == 7).then(pl.lit("opera")).otherwise("taste")
    )
    found = data.open(schema, items, other=True, source=(LOG.filter(pl.col("user") < 9), other))
    assert found.schema == schema
    assert np.isnan(found.whole.conditions[:, 0]).all()
    assert np.flatnonzero(np.isnan(found.whole.conditions[:, 1])).tolist() == [7]
    assert any("level that the run does not know: 'opera'" in note for note in found.notes)


def test_the_digest_tells_other_features_from_these():
    changed = TABLE.with_columns(taste=pl.col("taste").reverse())
    assert opened(changed).whole.digest() != opened(TABLE).whole.digest()
    assert opened(changed).whole.holds_same_rows(opened(TABLE).whole)

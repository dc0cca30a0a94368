"""A refit that starts from a run: rows of items are matched by their ids."""

import numpy as np
import polars
import pytest
import torch

import lowerbound
from lowerbound import recipe
from lowerbound.data import Schema
from lowerbound.errors import RunError
from lowerbound.run.starting import item_axes, moved_rows, start_at_run
from lowerbound.sparse import SparseRows

SMALL = {
    "training.epochs": 1,
    "training.batch_size": 30,
    "model.latent": [3],
    "model.network.hidden": [5],
    "report.write": False,
}


def log(items, users=60):
    """Users with items of some ids."""
    rng = np.random.default_rng(0)
    rows = [(user, item) for user in range(users) for item in rng.permutation(items)[:6].tolist()]
    return polars.DataFrame(rows, schema=["user", "item"], orient="row")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run on the items 10 to 29."""
    out = tmp_path_factory.mktemp("runs") / "earlier"
    return lowerbound.fit(
        "multvae", data=log(range(10, 30)), out=out, settings=SMALL, progress=False
    )


def opened(settings, frame):
    """A model with drawn weights, its recipe and its data."""
    plan = recipe.load("multvae").replace(settings | {"data.source": "memory"})
    dataset = plan.data.open(source=frame)
    model = plan.model.build(dataset.schema.shape, sparse=True).eval()
    return model, plan, dataset


def scores(model, ids, history):
    """The scores of all items by their ids, for a history of some ids."""
    column = {item: place for place, item in enumerate(ids)}
    places = sorted(column[item] for item in history)
    rows = SparseRows(
        torch.tensor([0, len(places)]), torch.tensor(places), torch.ones(len(places)), len(ids)
    )
    with torch.no_grad():
        (found,) = model.item_scores(rows)
    return dict(zip(ids, found.tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "width"),
    [("multvae", {"hidden": [5]}), ("multdae", {"hidden": [5]}), ("recvae", {"width": 5})],
)
def test_the_weights_of_items_are_those_that_grow_with_the_catalogue(name, width):
    small = {f"model.network.{key}": value for key, value in width.items()}
    plan = recipe.load(name).replace(small | {"model.latent": [3]})
    axes = item_axes(plan, Schema((7,), "interactions", 2, 0.0, 1.0))
    model = plan.model.build((7,), sparse=True)
    with_seven = {key for key, tensor in model.state_dict().items() if 7 in tensor.shape}
    assert set(axes) == with_seven
    assert len(axes) >= 3


def test_items_keep_their_scores_in_another_catalogue(earlier):
    """Items that are gone, new ones, and other places: what is left is scored as it was."""
    model, plan, dataset = opened(SMALL, log([*range(4, 10), *range(15, 33)]))
    note = start_at_run(model, plan, dataset, earlier.folder)
    assert note.endswith(": 15 items are known, 9 are new, 5 are gone")
    before = scores(earlier.model, earlier.items.ids.tolist(), [15, 20, 29])
    after = scores(model, dataset.items.ids.tolist(), [15, 20, 29])
    shared = before.keys() & after.keys()
    assert len(shared) == 15
    assert {item: after[item] for item in shared} == pytest.approx(
        {item: before[item] for item in shared}, abs=1e-6
    )
    new = [after[item] for item in after.keys() - shared]
    assert new == pytest.approx([np.mean([after[item] for item in shared])] * len(new), abs=1e-5)


def test_rows_move_along_their_axis():
    weights = {
        "a": torch.arange(6.0).view(3, 2),
        "b": torch.arange(6.0).view(2, 3),
        "c": torch.ones(3),
    }
    found = moved_rows(weights, {"a": 0, "b": 1}, torch.tensor([2, -1, 0]))
    assert found["a"].tolist() == [[4, 5], [2, 3], [0, 1]]
    assert found["b"].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert found["c"] is weights["c"]


def test_a_refit_from_the_command_line(earlier, command, tmp_path):
    """Without a step that changes anything the refit is the run itself."""
    path = tmp_path / "log.csv"
    log(range(10, 30)).write_csv(path)
    still = [f"{key}={value}" for key, value in SMALL.items()]
    still += ["training.learning_rate=1e-30", "model.latent=[3]", "model.network.hidden=[5]"]
    words = [word for setting in still for word in ("--set", setting)]
    out = tmp_path / "refit"
    code, _, err = command(
        "fit", "multvae", "--data", path, "--from", earlier.folder, "--out", out, *words
    )
    assert code == 0, err
    assert "20 items are known, 0 are new, 0 are gone" in err
    refit = lowerbound.load(out)
    assert refit.recipe.training.start_from == str(earlier.folder)
    for key, tensor in refit.model.state_dict().items():
        assert torch.equal(tensor, earlier.model.state_dict()[key]), key


@pytest.mark.parametrize(
    ("settings", "items", "line"),
    [
        ({"model.latent": [4]}, range(10, 30), "not the weights of this model: .* recipe needs"),
        ({}, range(40, 60), r"has none of the 20 items of data in memory: its items are 10, "),
    ],
)
def test_another_run_is_refused(earlier, settings, items, line):
    model, plan, dataset = opened(SMALL | settings, log(items))
    with pytest.raises(RunError, match=line):
        start_at_run(model, plan, dataset, earlier.folder)


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(RunError, match="is not a fitted run"):
        lowerbound.fit(
            "multvae",
            data=log(range(10, 30)),
            out=tmp_path / "a",
            settings=SMALL | {"training.start_from": str(tmp_path / "nothing")},
            progress=False,
        )
    assert not (tmp_path / "a" / "recipe.toml").exists()


def test_a_run_on_other_data_is_refused(earlier):
    plan = recipe.load("digits").replace({"data.source": "digits"})
    dataset = plan.data.open()
    model = plan.model.build(dataset.schema.shape)
    with pytest.raises(
        RunError, match="is a run on data of kind interactions, got data of kind image"
    ):
        start_at_run(model, plan, dataset, earlier.folder)

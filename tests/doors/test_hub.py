"""Run folders to a hub and back, against a hub on this machine."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, close_session, constants
from loopback_hub import running

import lowerbound
from lowerbound import recipe
from lowerbound.errors import ConfigError, RunError
from lowerbound.hub import KNOWN, transfer
from lowerbound.hub.address import Address, is_address, read_address
from lowerbound.system import extras

# The library itself calls its HTTP client in a way that this one will drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

RECIPE = {
    "data": {"source": "", "validation": 0.2, "test": 0.2, "standardize": True},
    "model": {
        "latent": [3],
        "network": {"type": "MLP", "hidden": [8]},
        "likelihood": {"type": "Normal", "variance": "learned"},
    },
    "training": {"epochs": 2, "batch_size": 16, "accelerator": "cpu"},
    "report": {"write": False},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data whose name nobody is to know."""
    folder = tmp_path_factory.mktemp("secret-folder")
    rng = np.random.default_rng(0)
    np.save(folder / "rows.npy", rng.normal(size=(80, 5)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def run(place):
    fitted = lowerbound.fit(
        recipe.parse(RECIPE), data=place / "rows.npy", out=place / "run", progress=False
    )
    for name in ("tracking/ids.json", "report/index.html", "note.txt", "weights.pkl"):
        path = fitted.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("not for others")
    return fitted


@pytest.fixture(scope="module")
def measures(run):
    return run.evaluate(samples=20)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(transfer, "cache", lambda: tmp_path / "fetched")
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        close_session()
        yield hub
        close_session()


# Addresses ---------------------------------------------------------------------------------------


def test_an_address_is_read():
    assert read_address("hf://me/digits") == Address("me/digits")
    assert read_address("hf://me/digits@v1.0") == Address("me/digits", "v1.0")
    assert read_address(Path("hf://me/my-run@refs/pr/1")) == Address("me/my-run", "refs/pr/1")
    assert str(read_address("hf://me/digits@v1")) == "hf://me/digits@v1"
    assert not is_address("runs/digits")
    assert not is_address(Path("hf/digits"))


@pytest.mark.parametrize(
    "text",
    [
        "hf://me",
        "hf://me/",
        "hf://a/b/c",
        "hf://me/x@",
        "hf://me/../x",
        "hf://me/x@../y",
        "hf://-a/b",
        "hf:///x/y",
        "hf://me/x y",
        "hf://me/x@a\nb",
    ],
)
def test_what_is_no_address_is_one_line(text):
    with pytest.raises(ConfigError) as raised:
        lowerbound.load(text)
    assert str(raised.value).startswith(
        "an address is hf://OWNER/NAME, or hf://OWNER/NAME@REVISION (a branch, a tag or a commit), "
        "got 'hf:"
    )
    assert "\n" not in str(raised.value)


# What is written ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(run, measures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "rows"
    run.save_pretrained(folder, measures=measures, license="mit")
    return folder


def test_only_known_files_are_copied(run, saved):
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    assert names == {
        "model.safetensors",
        "recipe.toml",
        "data.json",
        "summary.json",
        "metrics.csv",
        "reference.json",
        "README.md",
        "config.json",
    }
    assert names <= set(KNOWN)
    for name in ("model.safetensors", "metrics.csv", "reference.json"):
        assert (saved / name).read_bytes() == (run.folder / name).read_bytes()


def test_no_file_names_a_folder_of_this_machine(saved, place):
    for path in saved.iterdir():
        assert str(place).encode() not in path.read_bytes(), path.name
        assert b"secret-folder" not in path.read_bytes(), path.name
    assert recipe.load(saved / "recipe.toml").data.source == "rows.npy"


def test_what_was_saved_is_the_run(run, saved):
    again = lowerbound.load(saved)
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])
    assert torch.equal(run.sample(5, units="model"), again.sample(5, units="model"))
    assert again.summary["test"] == run.summary["test"]


def test_the_card_is_whole(run, saved, measures, place):
    card = ModelCard.load(saved / "README.md")
    data = card.data
    assert data.library_name == "lowerbound"
    assert data.license == "mit"
    by_measure = {result.metric_type: result for result in data.eval_results}
    assert by_measure["elbo"].metric_value == measures["elbo"]
    assert by_measure["elbo"].metric_args == {"standard_error": measures["elbo_se"]}
    assert by_measure["log_likelihood"].dataset_split == "test"
    header = yaml.safe_load(card.content.split("---")[1])
    assert header["model-index"][0]["name"] == "rows"
    text = card.text
    assert f"{measures['elbo']:,.2f} ± {measures['elbo_se']:,.2f}" in text
    assert 'run = lowerbound.load("rows")' in text
    assert run.summary["hardware"] in text
    fingerprint = json.loads((run.folder / "data.json").read_text())["fingerprint"]
    assert fingerprint["sha256"] in text
    tables = recipe.load(saved / "recipe.toml").describe()
    told = tomllib.loads(text.partition("```toml\n")[2].partition("```")[0])
    assert told == {name: table for name, table in tables.items() if name != "about"}
    assert "there is no pickle" in text
    assert measures["caveat"][1:] in text
    assert "latent dimensions carry information" in text
    config = json.loads((saved / "config.json").read_text())
    assert config["library_name"] == "lowerbound"
    assert config["latent"] == [3]


def test_the_card_is_measured_where_the_data_are(run, tmp_path, monkeypatch, capsys):
    asked = []
    evaluate = lowerbound.Run.evaluate

    def counted(self, *sources, **options):
        asked.append(options)
        return evaluate(self, *sources, **options, samples=2)

    monkeypatch.setattr(lowerbound.Run, "evaluate", counted)
    run.save_pretrained(tmp_path / "a")
    assert asked == [{"split": "test"}]
    moved = lowerbound.load(tmp_path / "a")  # whose data are no longer where they were
    moved.save_pretrained(tmp_path / "b")
    assert len(asked) == 1
    assert "the card has no standard errors, for the data of the run are not here" in (
        capsys.readouterr().err
    )
    text = (tmp_path / "b" / "README.md").read_text()
    assert "These are the figures of the fit itself, without standard errors." in text
    assert "somewhat too good" not in text
    assert f"{run.summary['test']['elbo']:,.2f} |" in text


def test_a_folder_that_holds_something_is_left_alone(run, tmp_path):
    (tmp_path / "letter.txt").touch()
    with pytest.raises(RunError, match=r" is not an empty folder; choose another$"):
        run.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_files_may_stay_and_others_may_not(run, tmp_path, measures):
    run.save_pretrained(
        tmp_path / "a", measures=measures, leave_out=["reference.json", "metrics.csv"]
    )
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert not names & {"reference.json", "metrics.csv"}
    lowerbound.load(tmp_path / "a")
    with pytest.raises(ConfigError) as raised:
        run.save_pretrained(tmp_path / "b", leave_out=["recipe.toml"])
    assert str(raised.value) == (
        "unknown file 'recipe.toml' to leave out; allowed: conditions.safetensors, "
        "reference.json, metrics.csv"
    )
    assert not (tmp_path / "b").exists()


def test_conditions_that_stay_must_be_named(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "rows.npz",
        x=rng.normal(size=(60, 4)).astype(np.float32),
        y=rng.integers(0, 3, 60),
    )
    tables = {**RECIPE, "data": {**RECIPE["data"], "given": ["label"]}}
    fitted = lowerbound.fit(
        recipe.parse(tables), data=tmp_path / "rows.npz", out=tmp_path / "run", progress=False
    )
    fitted.save_pretrained(tmp_path / "all")
    again = lowerbound.load(tmp_path / "all")
    assert torch.equal(fitted.sample(4, units="model"), again.sample(4, units="model"))
    assert "The model is conditional: it is told label." in (tmp_path / "all/README.md").read_text()
    fitted.save_pretrained(tmp_path / "some", leave_out=["conditions.safetensors"])
    less = lowerbound.load(tmp_path / "some")
    given = {"label": [0, 1, 2, 1]}
    expected = fitted.sample(4, given=given, units="model")
    assert torch.equal(less.sample(4, given=given, units="model"), expected)
    with pytest.raises(RunError) as raised:
        less.sample(4)
    assert str(raised.value) == (
        f"{tmp_path / 'some'} holds no conditions of training rows to draw from "
        "(conditions.safetensors is not there): give all of label"
    )


def test_a_link_out_of_the_run_does_not_travel(run, tmp_path, measures):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    (tmp_path / "passwords").write_text("secret")
    (folder / "metrics.csv").unlink()
    (folder / "metrics.csv").symlink_to(tmp_path / "passwords")
    other = lowerbound.load(folder)
    with pytest.raises(RunError, match=r"metrics.csv leads out of its folder"):
        other.save_pretrained(tmp_path / "saved", measures=measures)
    assert not (tmp_path / "saved").exists()


# To the hub and back -----------------------------------------------------------------------------


def test_there_and_back_again(run, hub, measures, capfd, tmp_path, command):
    url = run.push_to_hub("me/rows", measures=measures)
    assert url == f"{hub.url}/me/rows"
    told = capfd.readouterr().err
    assert "what goes to the hub:" in told
    assert "data.json" in told
    assert hub.private["me/rows"]
    sent = hub.files("me/rows")
    assert set(sent) - {".gitattributes"} <= set(KNOWN)
    assert not any(b"not for others" in content for content in sent.values())
    assert sent["model.safetensors"] == (run.folder / "model.safetensors").read_bytes()
    assert b'run = lowerbound.load("hf://me/rows")' in sent["README.md"]

    again = lowerbound.load("hf://me/rows")
    assert not any(path.is_symlink() for path in again.folder.iterdir())
    assert again.folder.parent == tmp_path / "fetched" / "me"
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])
    assert torch.equal(run.sample(5, units="model"), again.sample(5, units="model"))
    source = run.recipe.data.source
    assert again.evaluate(source, samples=2) == run.evaluate(source, samples=2)

    # By its commit, from the command line; what the folder of the cache was given stays there.
    (commit,) = [name for name in hub.commits["me/rows"] if name.startswith(again.folder.name[5:])]
    code, _, err = command("sample", f"hf://me/rows@{commit}", "--out", tmp_path / "s.npy")
    assert code == 0, err
    assert len(np.load(tmp_path / "s.npy"))

    # A file that is left out the second time is not there any more.
    run.push_to_hub("me/rows", measures=measures, leave_out=["reference.json"])
    assert "reference.json" in sent
    assert "reference.json" not in hub.files("me/rows")
    assert lowerbound.load("hf://me/rows").folder != again.folder


def test_the_command_writes_what_would_be_sent_or_sends_it(run, hub, tmp_path, command):
    code, out, err = command("push", run.folder, "--out", tmp_path / "seen", "--json")
    assert code == 0, err
    told = json.loads(out.splitlines()[-1])
    assert told == {
        "out": str(tmp_path / "seen"),
        "files": sorted(path.name for path in (tmp_path / "seen").iterdir()),
    }
    assert hub.asked == []
    code, out, err = command("push", run.folder, "me/rows", "--leave-out", "metrics.csv")
    assert code == 0, err
    assert out == f"sent to {hub.url}/me/rows\nnext     lowerbound evaluate hf://me/rows\n"
    sent = hub.files("me/rows")
    assert "metrics.csv" not in sent
    assert set(sent) - {".gitattributes"} == set(told["files"]) - {"metrics.csv"}
    for words in (["push", run.folder], ["push", run.folder, "me/rows", "--out", tmp_path / "x"]):
        code, out, err = command(*words)
        assert code == 2
        assert err == (
            "lowerbound: push needs one of OWNER/NAME, of a hub, and --out FOLDER, which sends "
            "nothing\n"
        )


def test_offline_takes_what_was_fetched_or_is_one_line(run, hub, measures, monkeypatch):
    run.push_to_hub("me/rows", measures=measures)
    folder = lowerbound.load("hf://me/rows").folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    hub.asked.clear()
    assert lowerbound.load("hf://me/rows").folder == folder
    with pytest.raises(RunError) as raised:
        lowerbound.load("hf://me/other")
    assert str(raised.value) == (
        "hf://me/other cannot be fetched: HF_HUB_OFFLINE is set, and it was not fetched before"
    )
    with pytest.raises(RunError, match=r"^me/rows cannot be pushed: HF_HUB_OFFLINE is set, and it"):
        run.push_to_hub("me/rows", measures=measures)
    assert hub.asked == []


def test_a_hub_that_is_not_there_is_one_line(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RunError) as raised:
        lowerbound.load("hf://me/rows")
    assert str(raised.value).startswith(
        "hf://me/rows cannot be fetched: http://127.0.0.1:9 is not reached ("
    )
    assert "\n" not in str(raised.value)


def test_what_the_hub_refuses_is_one_line(run, hub, measures):
    with pytest.raises(RunError) as raised:
        lowerbound.load("hf://me/none")
    assert str(raised.value) == (
        f"hf://me/none cannot be fetched: there is no such repository on {hub.url}, or it is "
        "private and needs a token: hf auth login, or HF_TOKEN"
    )
    hub.add("me/rows", {"a.txt": b""})
    with pytest.raises(RunError, match=r"^hf://me/rows@v9 cannot be fetched: it has no such revi"):
        lowerbound.load("hf://me/rows@v9")
    hub.status = 403
    with pytest.raises(RunError) as raised:
        run.push_to_hub("me/rows", measures=measures)
    assert str(raised.value).startswith("me/rows cannot be pushed: ")
    assert str(raised.value).endswith(
        "; a token with the right to write is needed: hf auth login, or HF_TOKEN"
    )


def test_pickles_are_not_even_fetched(hub, tmp_path):
    hub.add("me/old", {"pytorch_model.bin": b"\x80\x04.", "config.json": b"{}", "run.pkl": b"."})
    with pytest.raises(RunError) as raised:
        lowerbound.load("hf://me/old")
    assert str(raised.value) == (
        "hf://me/old is no run of lowerbound: it has no model.safetensors, recipe.toml, data.json; "
        "other files, such as pickles, are never fetched"
    )
    assert not any("bin" in path or "pkl" in path for path in hub.asked)
    assert not list(tmp_path.rglob("*.bin"))


def test_other_files_of_a_repository_are_not_fetched(run, hub, measures, tmp_path):
    run.push_to_hub("me/rows", measures=measures)
    hub.add("me/rows", hub.files("me/rows") | {"evil.py": b"import os", "checkpoint/x.pt": b"."})
    folder = lowerbound.load("hf://me/rows").folder
    assert {path.name for path in folder.rglob("*")} <= set(KNOWN)
    assert not any("evil" in path or "checkpoint" in path for path in hub.asked)


def test_a_damaged_run_from_the_hub_is_one_line(run, hub, measures):
    run.push_to_hub("me/rows", measures=measures)
    hub.add("me/rows", hub.files("me/rows") | {"model.safetensors": b"\x80\x04pickle"})
    with pytest.raises(RunError, match=r"model.safetensors"):
        lowerbound.load("hf://me/rows")


def test_what_is_to_be_private_does_not_go_to_a_public_repository(run, hub, measures):
    hub.add("me/open", {"a.txt": b""}, private=False)
    with pytest.raises(ConfigError) as raised:
        run.push_to_hub("me/open", measures=measures)
    assert str(raised.value) == (
        "me/open exists already and is public: push_to_hub(..., private=False) says that everybody "
        "may see the run"
    )
    assert set(hub.files("me/open")) == {"a.txt"}
    run.push_to_hub("me/open", private=False, measures=measures)
    assert "model.safetensors" in hub.files("me/open")


def test_what_is_no_repository_is_one_line(run, measures):
    with pytest.raises(ConfigError) as raised:
        run.push_to_hub("rows", measures=measures)
    assert str(raised.value) == (
        "a repository is OWNER/NAME, of letters, digits, '-', '_' and '.', got 'rows'"
    )


def test_a_missing_library_is_one_line(run, tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as raised:
        lowerbound.load("hf://me/rows")
    assert str(raised.value) == (
        "hf://me/rows needs huggingface_hub, which is not installed: pip install 'lowerbound[hub]'"
    )
    with pytest.raises(ConfigError, match=r"^a model card needs huggingface_hub, which is not "):
        run.save_pretrained(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_recommender_travels_with_its_items(tmp_path):
    rng = np.random.default_rng(0)
    plays = [f"u{u:02},i{i}" for u in range(40) for i in rng.choice(12, 6, replace=False)]
    (tmp_path / "plays.csv").write_text("\n".join(["user,item", *plays]) + "\n")
    fitted = lowerbound.fit(
        "multvae",
        data=tmp_path / "plays.csv",
        out=tmp_path / "run",
        settings={
            "training.epochs": 1,
            "model.latent": [4],
            "model.network.hidden": [8],
            "training.accelerator": "cpu",
            "report.write": False,
        },
        progress=False,
    )
    fitted.save_pretrained(tmp_path / "saved")
    again = lowerbound.load(tmp_path / "saved")
    ours = lowerbound.Recommender(fitted).recommend(["i1", "i2"], k=5)
    assert lowerbound.Recommender(again).recommend(["i1", "i2"], k=5) == ours
    card = ModelCard.load(tmp_path / "saved" / "README.md")
    assert "ndcg@10" in {result.metric_type for result in card.data.eval_results}
    assert all(result.metric_args["standard_error"] > 0 for result in card.data.eval_results)
    assert "the ids and titles of all items" in card.text
    assert not any(
        f"u{u:02}".encode() in path.read_bytes()
        for path in (tmp_path / "saved").iterdir()
        for u in range(3, 40)
        if path.name in ("data.json", "summary.json", "README.md")
    )

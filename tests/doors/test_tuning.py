"""The search over settings: how it is written, what it fits, and that it goes on where it was."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import polars
import pytest

import lowerbound
from lowerbound import fitting, recipe
from lowerbound.data import Examples
from lowerbound.doors.tuning import search as searching
from lowerbound.doors.tuning.space import Choices, Interval, Whole, count_of, fit_to, read_space
from lowerbound.doors.tuning.trials import lines_of
from lowerbound.errors import ConfigError, DataError, Interrupted, RunError
from lowerbound.system import extras

RECIPE = {
    "data": {"source": "", "validation": 0.3, "test": 0.2},
    "model": {
        "latent": [2],
        "network": {"type": "MLP", "hidden": [8]},
        "likelihood": {"type": "Normal", "variance": "learned"},
    },
    "training": {"epochs": 4, "batch_size": 16, "checkpoint_every": 1, "accelerator": "cpu"},
}

SEARCH = {"model.latent": [1, 2, 3], "training.learning_rate": "log(1e-3, 1e-1)"}


def rows():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(60, 2))
    return (codes @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(60, 6))).astype(np.float32)


ROWS = rows()


def tune(out, search=SEARCH, trials=7, **options):
    return lowerbound.tune(
        recipe.parse(RECIPE),
        data=ROWS,
        search=search,
        trials=trials,
        out=out,
        progress=False,
        **options,
    )


def found(tuning):
    """What a search found, but for its folder and its times."""
    told = []
    for trial in tuning.trials:
        described = trial.describe()
        told.append({key: described[key] for key in described if key not in ("run", "seconds")})
    return told


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that nothing stopped."""
    return tune(tmp_path_factory.mktemp("tuning") / "whole")


# How it is written -------------------------------------------------------------------------------


def test_a_search_is_read():
    space = read_space(
        [
            "training.learning_rate=log(1e-4, 1e-2)",
            "training.clip = ['none', 1, 2.5]",
            "objective.beta=uniform(0,1)",
            "training.batch_size=int(16, 100, 32)",
            "model.network=[{type='MLP', hidden=[8]}, {type='MLP', hidden=[8, 8]}]",
        ]
    )
    assert space == {
        "training.learning_rate": Interval(1e-4, 1e-2, is_log=True),
        "training.clip": Choices(("none", 1, 2.5)),
        "objective.beta": Interval(0.0, 1.0),
        "training.batch_size": Whole(16, 80, 32),
        "model.network": Choices(
            ({"type": "MLP", "hidden": [8]}, {"type": "MLP", "hidden": [8, 8]})
        ),
    }
    assert count_of(space) is None
    assert space["training.batch_size"].parameters() == [16, 48, 80]
    assert count_of({key: space[key] for key in ("training.clip", "training.batch_size")}) == 9


def test_what_is_read_is_written_so_that_it_is_read_again():
    texts = ["a=log(0.0001, 0.01)", 'b=[1, "x", [8, 8], true]', "c=int(1, 9, 2)"]
    space = read_space(texts)
    assert [f"{key}={domain}" for key, domain in space.items()] == texts
    assert read_space([f"{key}={domain}" for key, domain in space.items()]) == space


ONE_VALUE = (
    "a list of values or a range is needed, got {}; for example [8, 16], log(1e-4, 1e-2), "
    "uniform(0, 1) or int(1, 8, 1); one value alone is a setting (--set)"
)
QUOTES = """texts within brackets have quotes, which a shell takes away: '["a", "b"]'"""
EXAMPLE = "for example --search 'training.learning_rate=log(1e-4, 1e-2)'"

MISTAKES = {
    "training.learning_rate": f"--search needs KEY=VALUES, got 'training.learning_rate'; {EXAMPLE}",
    "=[1]": f"--search needs KEY=VALUES, got '=[1]'; {EXAMPLE}",
    "a=0.1": "search of a: " + ONE_VALUE.format("'0.1'"),
    "a=log": "search of a: " + ONE_VALUE.format("'log'"),
    "a=": "search of a: " + ONE_VALUE.format("''"),
    "a=lgo(1,2)": "search of a: unknown range 'lgo'; did you mean 'log'? Allowed: log, uniform, "
    "int, or a list [A, B]",
    "a=(1,2)": "search of a: unknown range ''; allowed: log, uniform, int, or a list [A, B]",
    "a=log(0, 1)": "search of a: log(A, B) needs two numbers, 0 < A < B, got log(0, 1)",
    "a=log(1)": "search of a: log(A, B) needs two numbers, 0 < A < B, got log(1)",
    "a=log(1e-2,1e-4)": "search of a: log(A, B) needs two numbers, 0 < A < B, got log(1e-2,1e-4)",
    "a=uniform(1, 1)": "search of a: uniform(A, B) needs two numbers, A < B, got uniform(1, 1)",
    "a=uniform(0, inf)": "search of a: uniform(A, B) needs two numbers, A < B, got uniform(0, inf)",
    "a=uniform(0, 'x')": "search of a: uniform(A, B) needs two numbers, A < B, got uniform(0, 'x')",
    "a=uniform(0, x)": f"search of a: uniform(0, x) is not a list of TOML values; {QUOTES}",
    "a=int(1, 2.5)": "search of a: int(A, B, STEP) needs whole numbers, A < B, and STEP (1 where "
    "it is left out) above 0, got int(1, 2.5)",
    "a=int(1, 8, 0)": "search of a: int(A, B, STEP) needs whole numbers, A < B, and STEP (1 where "
    "it is left out) above 0, got int(1, 8, 0)",
    "a=[]": "search of a: the list has no values; allowed: one or more",
    "a=[8, 8]": "search of a: 8 is there twice; allowed: each value once",
    "a=[MLP, Conv]": f"search of a: [MLP, Conv] is not a list of TOML values; {QUOTES}",
    "a=[1": f"search of a: [1 is not a list of TOML values; {QUOTES}",
    "a=[1]\nb=[2]": f"search of a: [1] b=[2] is not a list of TOML values; {QUOTES}",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_gets_its_line(text):
    with pytest.raises(ConfigError) as raised:
        read_space([text])
    assert str(raised.value) == MISTAKES[text]


def test_a_key_comes_once_and_there_is_one():
    with pytest.raises(ConfigError, match=r"^search of a: it is given twice; allowed: each key on"):
        read_space(["a=[1]", "a=[2]"])
    with pytest.raises(ConfigError, match=r"^there is nothing to search: name a key and its value"):
        read_space({})
    with pytest.raises(ConfigError, match=r"^search of a: a list of values or a range is needed, "):
        read_space({"a": 3})


# What it is held against -------------------------------------------------------------------------


def test_one_entry_is_enough_for_a_list():
    fitted = fit_to(recipe.parse(RECIPE), read_space(["model.latent=[8, [4, 2]]"]))
    assert fitted == {"model.latent": Choices(([8], [4, 2]))}


UNFIT = {
    "training.lerning_rate=[1]": "search of training.lerning_rate: recipe: training: unknown key "
    "'lerning_rate'; did you mean 'learning_rate'? Allowed: ",
    "training.learning_rate=[-1, 1]": "search of training.learning_rate: recipe: "
    "training.learning_rate: should be greater than 0, got -1",
    "training.batch_size=log(4, 64)": "search of training.batch_size: recipe: training.batch_size: "
    "should be a whole number, got 22.",
    "model.network.type=['MLP', 'MLQ']": "search of model.network.type: recipe: model.network: "
    "unknown network 'MLQ'; did you mean 'MLP'? Allowed: ",
    "data.validation=[0.1, 0.2]": "search of data.validation: trials are compared on the same "
    "validation examples, which the table data decides; allowed of it: data.hide",
    "training.monitor=['objective']": "search of training.monitor: it says which trial is the "
    "better one; allowed: one for all (--by)",
    "training.devices=[1, 2]": "search of training.devices: each trial is fitted by one process",
    "report.write=[true, false]": "search of report.write: the table report changes nothing of a "
    "model",
    "objective.beta=uniform(0, 1)": "search of objective.beta: it changes the objective, so that "
    "trials cannot be compared by it; allowed: --by elbo, --by log_likelihood_term",
    "model.likelihood=[{type='Normal'}, {type='Multinomial'}]": "",
}


@pytest.mark.parametrize("text", UNFIT)
def test_a_search_that_does_not_fit_its_recipe_is_refused(text, tmp_path):
    with pytest.raises((ConfigError, DataError)) as raised:
        tune(tmp_path / "s", search=[text])
    assert str(raised.value).startswith(UNFIT[text])
    assert not (tmp_path / "s").exists()


def test_other_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"^unknown pruner 'medain'; did you mean 'median'\?"):
        tune(tmp_path / "s", pruner="medain")
    with pytest.raises(ConfigError, match=r"^unknown measure 'ndcg@10'; allowed: objective, elbo,"):
        tune(tmp_path / "s", by="ndcg@10")
    with pytest.raises(ConfigError, match=r"^trials must be 1 or more, got 0"):
        tune(tmp_path / "s", trials=0)
    with pytest.raises(DataError, match=r"^trials are compared on the validation split, and data "):
        tune(tmp_path / "s", settings={"data.validation": 0})
    with pytest.raises(ConfigError, match=r"^each trial of a search is fitted by one process, got"):
        tune(tmp_path / "s", settings={"training.devices": 2})
    with pytest.raises(RunError, match=r"^there is no search in .*/s to resume$"):
        tune(tmp_path / "s", resume=True)
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as raised:
        tune(tmp_path / "s")
    assert str(raised.value) == (
        "`lowerbound tune` needs optuna, which is not installed: pip install 'lowerbound[tune]'"
    )


# What it finds -----------------------------------------------------------------------------------


def test_the_best_trial_is_the_best_and_an_ordinary_run(whole):
    complete = [trial for trial in whole.trials if trial.state == "complete"]
    assert len(whole.trials) == 7
    assert whole.best.value == min(trial.value for trial in complete)
    run = whole.load()
    assert run.folder == whole.best.folder
    metrics = polars.read_csv(run.folder / "metrics.csv")
    assert metrics["validation_objective"].min() == pytest.approx(whole.best.value, rel=1e-12)
    assert recipe.load(run.folder / "recipe.toml").model.latent == tuple(
        whole.best.settings["model.latent"]
    )
    measured = run.evaluate(ROWS, split="all", samples=2)
    assert np.isfinite(measured["elbo"])


def test_the_test_split_is_not_looked_at(tmp_path, monkeypatch):
    seen = set()
    batch = Examples.batch

    def watched(self, index, key=0):
        seen.update(self.rows[index].tolist())
        return batch(self, index, key)

    monkeypatch.setattr(Examples, "batch", watched)
    tune(tmp_path / "s", trials=2)
    data = recipe.parse(RECIPE).data.open(source=ROWS)
    assert seen == {*data.train.rows.tolist(), *data.validation.rows.tolist()}
    run = lowerbound.load(tmp_path / "s" / "trial-000")
    assert run.summary["test"] is None
    names = {path.name for path in run.folder.iterdir()}
    assert not names & {"report", "reference.json"}


def test_a_pruned_trial_is_a_run_of_fewer_epochs(whole):
    pruned = [trial for trial in whole.trials if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.epochs < RECIPE["training"]["epochs"]
        assert trial.why == f"worse than others at epoch {trial.epochs}"
        assert whole.load(trial.number).summary["epochs"] == trial.epochs


def test_only_the_best_keeps_its_checkpoints(whole):
    kept = sorted(path.parts[-3] for path in whole.folder.glob("trial-*/checkpoint/step-*"))
    assert set(kept) == {whole.best.name}


def test_the_files_hold_what_was_found(whole):
    described = json.loads((whole.folder / "trials.json").read_text())
    assert described["best"]["trial"] == whole.best.number
    assert described["trials"] == json.loads(json.dumps(whole.describe()["trials"]))
    table = polars.read_csv(whole.folder / "trials.csv")
    assert table["value"].to_list() == pytest.approx([trial.value for trial in whole.trials])
    assert set(SEARCH) <= set(table.columns)
    assert lines_of(whole)[0].startswith("trials 7: ")
    assert whole.best.name in repr(whole)


def test_each_combination_is_tried_once(tmp_path):
    found = tune(
        tmp_path / "s",
        search={"model.latent": [1, 2], "training.batch_size": "int(8, 16, 8)"},
        trials=50,
        pruner="none",
        settings={"training.epochs": 1},
    )
    settings = {
        (trial.settings["model.latent"][0], trial.settings["training.batch_size"])
        for trial in found.trials
    }
    assert settings == {(1, 8), (1, 16), (2, 8), (2, 16)}
    assert len(found.trials) == 4
    assert [trial.state for trial in found.trials] == ["complete"] * 4


def test_settings_that_diverge_or_do_not_go_together_end_their_trial_alone(tmp_path):
    search = {"training.clip": ["none", 1.0], "training.optimizer": ["Adam", "LazyAdam"]}
    found = tune(tmp_path / "s", search=search, seed=1, settings={"training.epochs": 1})
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert [dict(trial.settings) for trial in failed] == [
        {"training.clip": 1.0, "training.optimizer": "LazyAdam"}
    ]
    assert failed[0].why.startswith("training.clip needs the gradient of all rows")
    assert any(line.startswith(f"note: {failed[0].name} failed:") for line in lines_of(found))
    search = {"training.learning_rate": [1e-2, 1e30]}
    found = tune(tmp_path / "t", search=search)
    states = {trial.settings["training.learning_rate"]: trial.state for trial in found.trials}
    assert states == {1e-2: "complete", 1e30: "diverged"}


def test_a_search_over_the_objective_is_compared_by_the_bound(tmp_path):
    found = tune(
        tmp_path / "s", search={"objective.beta": [0.01, 1.0, 100.0]}, by="elbo", pruner="halving"
    )
    best = found.best
    assert best.value == max(trial.value for trial in found.trials if trial.state == "complete")
    assert best.value == found.load().summary["validation"]["elbo"]
    assert found.describe()["direction"] == "maximize"


def test_settings_that_come_again_are_not_fitted_again(tmp_path):
    search = {"model.latent": [1, 2, 3, 4]}
    found = tune(tmp_path / "s", search=search, trials=3, seed=9, settings={"training.epochs": 1})
    repeated = [trial for trial in found.trials if trial.same_as is not None]
    assert repeated
    for trial in repeated:
        first = found.trials[trial.same_as]
        assert trial.settings == first.settings
        assert trial.value == first.value
        assert not (tmp_path / "s" / trial.name).exists()
        assert trial not in found.ranked


# That it goes on ---------------------------------------------------------------------------------


class Killed(BaseException):
    """What nobody catches, as nobody catches SIGKILL."""


@pytest.fixture
def stopping(monkeypatch):
    """Lets something happen at the end of an epoch of a trial."""
    epoch_done = searching._Reporter.epoch_done

    def at(number, epoch, happen):
        def told(self, history):
            epoch_done(self, history)
            if self.trial.number == number and len(history) == epoch:
                happen()

        monkeypatch.setattr(searching._Reporter, "epoch_done", told)

    yield at
    monkeypatch.undo()


def kill():
    raise Killed


def test_a_killed_search_goes_on_as_if_nothing_had_been(whole, tmp_path, stopping, monkeypatch):
    folder = tmp_path / "s"
    stopping(2, 3, kill)
    with pytest.raises(Killed):
        tune(folder)
    states = [
        trial["state"] for trial in json.loads((folder / "trials.json").read_text())["trials"]
    ]
    assert states == ["complete", "complete", "running"]
    with (folder / "journal.log").open("ab") as journal:
        journal.write(b'{"op_code":6,"wor')  # and the kill came in the midst of a line
    monkeypatch.undo()
    assert found(tune(folder, resume=True)) == found(whole)
    # A search that is done is read, and more trials may follow.
    assert found(tune(folder, resume=True)) == found(whole)
    longer = tune(folder, resume=True, trials=8)
    assert found(longer)[:7] == found(whole)


def test_ctrl_c_stops_in_order(whole, tmp_path, stopping, monkeypatch):
    folder = tmp_path / "s"
    stopping(1, 2, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted) as stopped:
        tune(folder)
    assert stopped.value.exit_code == 130
    assert str(stopped.value) == (
        f"stopped in trial-001 of {folder}, after 1 of 7 trials; the same command with --resume "
        f"(and --out {folder}) goes on"
    )
    assert list((folder / "trial-001" / "checkpoint").glob("step-*"))
    monkeypatch.undo()
    assert found(tune(folder, resume=True)) == found(whole)


def test_another_search_is_not_gone_on_with(whole):
    with pytest.raises(RunError, match=r" holds a search already; --resume continues it; choose"):
        tune(whole.folder)
    before = {path: path.read_bytes() for path in whole.folder.glob("*.*")}
    changes = {
        "model.latent": {"search": SEARCH | {"model.latent": [1, 2]}},
        "training.epochs": {"settings": {"training.epochs": 9}},
        "by": {"by": "elbo"},
        "pruner": {"pruner": "none"},
        "training.seed": {"seed": 3},
    }
    for key, options in changes.items():
        with pytest.raises(RunError, match=f"is another search, different in {key}; give what it"):
            tune(whole.folder, resume=True, **options)
    with pytest.raises(RunError, match=r"different in the values of the data; give what it was be"):
        lowerbound.tune(
            recipe.parse(RECIPE),
            data=ROWS + 1,
            search=SEARCH,
            out=whole.folder,
            resume=True,
            progress=False,
        )
    assert {path: path.read_bytes() for path in whole.folder.glob("*.*")} == before


def test_a_damaged_search_is_one_line(whole, tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "study.json").write_bytes((whole.folder / "study.json").read_bytes())
    (folder / "journal.log").write_text('{"op_code": 99}\n[]\n')
    with pytest.raises(RunError, match=r"journal.log is not the journal of a search: "):
        tune(folder, resume=True)
    (folder / "study.json").write_text("[]")
    with pytest.raises(RunError, match=r"study.json does not describe a search of format 1$"):
        tune(folder, resume=True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "letter.txt").touch()
    with pytest.raises(RunError, match=r"own is not an empty folder; choose another --out$"):
        tune(tmp_path / "own")


# On the command line -----------------------------------------------------------------------------


def test_the_command(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", ROWS)
    fitting.write_text(Path("small.toml"), recipe.parse(RECIPE).to_toml())
    words = ["tune", "small.toml", "--data", "rows.npy", "--search", "model.latent=[1,2]"]
    words += ["training.batch_size=int(8,16,8)", "--trials", 3, "--epochs", 1, "--json"]
    code, out, err = command(*words)
    assert code == 0, err
    told = json.loads(out.splitlines()[-1])
    assert Path(told["study"]) == Path("runs/tune-small")
    assert len(told["trials"]) == 3
    assert {trial["epochs"] for trial in told["trials"]} == {1}
    assert "trial-000, 1 of 3: model.latent=" in err
    Path("rows.npy").rename("moved.npy")
    words[words.index("rows.npy")] = "moved.npy"
    code, out, err = command(*words[:-1], "--resume")
    assert code == 0, err
    assert "next     lowerbound compare runs/tune-small/trial-00" in out
    code, out, err = command("tune", "small.toml", "--data", "moved.npy", "--search")
    assert code == 2
    assert err == "lowerbound: --search needs one value or more\n"

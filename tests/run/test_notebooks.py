"""What a notebook needs: a cell that is interrupted keeps the run, the page opens in a frame, and
results show themselves.
"""

import os
import signal
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

import lowerbound
from lowerbound import fitting
from lowerbound.doors import exploring
from lowerbound.doors.exploring import Explorer
from lowerbound.errors import ConfigError, Interrupted, RunError
from lowerbound.recommend.recommender import Recommendation, RecommendedItems

FAST = {
    "report.write": False,
    "training.epochs": 3,
    "training.accelerator": "cpu",
    "model.network.hidden": [8],
    "model.latent": [2],
    "model.likelihood": "Bernoulli",
}


def fit(folder, recipe="digits", **options):
    pixels = (load_digits().images[:300] * 15).astype(np.uint8)
    return lowerbound.fit(recipe, data=pixels, out=folder, progress=False, **options)


# Interrupting a cell


def test_a_cell_that_is_interrupted_keeps_the_run(tmp_path, monkeypatch):
    """It says in one line how a fit to data in memory goes on: they must be given again."""
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(
            fitting._RunFollower,
            "epoch_done",
            lambda self, history: os.kill(os.getpid(), signal.SIGINT),
        )
        with pytest.raises(Interrupted) as stopped:
            fit(folder, settings=FAST)
    (line,) = stopped.value._render_traceback_()
    assert line.startswith("stopped at epoch 2, step ")
    assert "the run can be used as far as it has come; the checkpoint is written" in line
    recipe = folder / "recipe.toml"
    way = f"lowerbound.fit({str(recipe)!r}, data=..., out={str(folder)!r}, resume=True)"
    assert way in line
    usable = lowerbound.load(folder)
    assert usable.encode(load_digits().images[:2].astype(np.uint8))[0].shape == (2, 2)
    assert fit(folder, recipe, resume=True).summary["epochs"] == 3


def test_an_interrupt_after_the_last_epoch_keeps_the_run(tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def interrupt(self, state, chosen):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitting.Session, "measure", interrupt)
        with pytest.raises(Interrupted, match=r"after the last epoch.*data=...,") as stopped:
            fit(folder, settings=FAST)
    assert (stopped.value.exit_code, "\n" in str(stopped.value)) == (130, False)
    assert lowerbound.load(folder).unfinished is not None
    finished = fit(folder, folder / "recipe.toml", resume=True)
    assert finished.summary["epochs"] == 3
    assert lowerbound.load(folder).unfinished is None


def test_an_interrupt_of_the_report_keeps_the_finished_run(tmp_path, monkeypatch):
    def interrupt(run, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "page", interrupt)
    with pytest.raises(Interrupted, match=r"lowerbound report .* writes the report"):
        fit(tmp_path / "run", settings=FAST | {"report.write": True})
    assert lowerbound.load(tmp_path / "run").unfinished is None


# The page


def server(text):
    """The command line of a process that stands in for the server."""
    return [sys.executable, "-c", text]


ADDRESS = "print('a note', flush=True); print('serving at http://127.0.0.1:1234/', flush=True)"


def test_the_page_is_a_frame_until_it_is_closed(monkeypatch):
    monkeypatch.delenv("LOWERBOUND_TOKEN", raising=False)
    url, process = exploring._start(server(f"{ADDRESS}; input(); import time; time.sleep(60)"))
    with Explorer(url, process, 300) as page:
        assert page.url == "http://127.0.0.1:1234/"
        assert '<iframe src="http://127.0.0.1:1234/"' in page._repr_html_()
        assert "height: 300px" in page._repr_html_()
    assert process.returncode is not None
    assert not page.is_open
    assert "closed" in repr(page)
    assert "iframe" not in page._repr_html_()
    page.close()


def test_the_page_has_the_token_of_the_server(monkeypatch):
    monkeypatch.setenv("LOWERBOUND_TOKEN", "a secret & more")
    url, process = exploring._start(server(f"{ADDRESS}; import time; time.sleep(60)"))
    Explorer(url, process).close()
    assert url == "http://127.0.0.1:1234/?token=a%20secret%20%26%20more"


def test_a_server_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(exploring, "LONGEST_END", 0.05)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    url, process = exploring._start(server(f"{deaf}; {ADDRESS}; time.sleep(60)"))
    Explorer(url, process).close()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit('lowerbound: serve needs fastapi')", "^serve needs fastapi$"),
        ("import time; time.sleep(60)", "did not say within 0 seconds where it listens"),
    ],
)
def test_a_server_that_does_not_start_says_why(text, message, monkeypatch):
    if "sleep" in text:
        monkeypatch.setattr(exploring, "LONGEST_START", 0.1)
    with pytest.raises(RunError, match=message):
        exploring._start(server(text))


def test_data_in_memory_cannot_be_explored(tmp_path):
    run = fit(tmp_path / "run", settings=FAST | {"training.epochs": 1})
    with pytest.raises(ConfigError, match="another process, which cannot read data in memory"):
        run.explore(np.zeros((2, 8, 8), np.uint8))


# Results


def test_a_list_of_recommendations_is_a_table():
    items = RecommendedItems([Recommendation(3, "Alien", 0.5), Recommendation(7, "Fargo", 0.25)])
    assert items.to_frame().rows() == [(1, 3, "Alien", 0.5), (2, 7, "Fargo", 0.25)]
    assert "<td>&quot;Alien&quot;</td>" in items._repr_html_()
    plain = RecommendedItems([Recommendation("a", None, 0.5)])
    assert plain.to_frame().columns == ["rank", "item", "score"]

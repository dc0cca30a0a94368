"""Where a report is made and shown: of data that moved, of other data, on fewer examples, in a
notebook.
"""

import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import lowerbound
from lowerbound.errors import ConfigError
from lowerbound.report import inline, page
from lowerbound.report.findings.dense import DRAWN_NUMBERS, DenseFindings


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Digits whose file has moved since the fit."""
    folder = tmp_path_factory.mktemp("place")
    images = load_digits().images.astype(np.uint8) * 15
    np.save(folder / "digits.npy", images)
    np.save(folder / "new.npy", images[:150, ::-1].copy())
    settings = {"report.write": False, "training.epochs": 1, "model.likelihood.levels": 256}
    run = lowerbound.fit(
        "digits",
        data=folder / "digits.npy",
        out=folder / "run",
        settings=settings,
        progress=False,
    )
    (folder / "digits.npy").rename(folder / "moved.npy")
    return run


def text_of(path):
    return html.unescape(re.sub(r"<[^>]+>", " ", path.read_text(encoding="utf-8")))


def test_the_report_of_data_that_moved_is_the_own_one(run, command):
    place = run.folder.parent / "moved.npy"
    code, printed, _ = command("report", run.folder, "--data", place, "--examples", 60)
    assert code == 0
    assert str(run.folder / "report" / "index.html") in printed
    text = text_of(run.folder / "report" / "index.html")
    assert "The first 60 of 359 test examples" in text
    assert "and of 60 training examples" in text
    assert "was not fitted to" not in text


def test_the_report_of_other_data_says_so_and_leaves_the_own_one_alone(run):
    path = page(run, run.folder.parent / "new.npy", examples=60)
    assert path == run.folder / "report-new" / "index.html"
    text = text_of(path)
    assert "new.npy, which the run was not fitted to" in text
    assert "The first 60 of 150 all examples" in text
    assert "training examples" not in text
    assert "overfits" not in text


@pytest.mark.parametrize("examples", [0, -3, 2.5])
def test_no_number_of_examples(run, examples):
    with pytest.raises(ConfigError, match="examples must be"):
        page(run, run.folder.parent / "moved.npy", examples=examples)


def test_a_notebook_shows_the_page(run, monkeypatch):
    """As a frame that holds the page itself and runs nothing, or as its overview where it is
    large."""
    shown = run.report(run.folder.parent / "moved.npy", examples=30)
    path = run.folder / "report" / "index.html"
    assert (shown.path, Path(shown)) == (path, path)
    frame = shown._repr_html_()
    document = re.search(r'srcdoc="([^"]*)"', frame)
    assert html.unescape(document[1]) == path.read_text()
    assert 'sandbox=""' in frame
    written = path.stat().st_mtime_ns
    assert run.report()._repr_html_() == frame  # what is there is shown
    assert path.stat().st_mtime_ns == written
    monkeypatch.setattr(inline, "MOST_INLINE", 1000)
    small = shown._repr_html_()
    assert f'href="{path}"' in small
    assert "data:image/png;base64," in small
    assert str(path) in repr(shown)


def test_what_a_report_draws_is_bounded(run, monkeypatch):
    """Estimates beside the bound are on fewer examples where an example is large; the bound of the
    split is on all of them, as everywhere.
    """
    findings = DenseFindings(run.looking_at(run.data(run.folder.parent / "moved.npy")))
    assert findings._affordable(1000, 20) == 1000
    assert len(findings.examples) == 359
    size = 3 * 64 * 64
    monkeypatch.setattr(findings.run.model.latents, "widest", size)
    assert findings._affordable(1000, 20) == DRAWN_NUMBERS // (20 * size)
    assert findings._affordable(50, 20) == 50
    assert findings._affordable_draws(findings.examples) == DRAWN_NUMBERS // (359 * size)


def test_the_scores_of_a_map_are_those_of_the_examples(run, monkeypatch):
    """They are not measured a second time."""
    monkeypatch.setattr("lowerbound.report.findings.dense.MAPPED_EXAMPLES", 100)
    recipe = replace(run.recipe, report=replace(run.recipe.report, points=200))
    looked_at = run.looking_at(run.data(run.folder.parent / "moved.npy"))
    looked_at.recipe = recipe
    findings = DenseFindings(looked_at)
    chosen = np.isin(findings.examples.rows, findings.mapped.rows)
    assert findings.mapped_name == "200 of 359 test examples"
    scores = findings.scores[chosen]
    monkeypatch.setattr(DenseFindings, "_measures", None)
    assert np.array_equal(findings.mapped_scores, scores)

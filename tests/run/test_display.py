"""What Python and a notebook show of a run: what it is and its figures."""

import pytest

import lowerbound
from lowerbound.recommend import Recommender

FAST = {"training.epochs": 2, "training.accelerator": "cpu", "model.network.hidden": [16]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("display") / "<run>"
    settings = FAST | {"report.write": False, "about.title": "A <small> model"}
    return lowerbound.fit("digits", out=folder, settings=settings, progress=False)


def test_a_run_shows_what_it_is_and_its_test_figures(run):
    lines = repr(run).splitlines()
    assert lines[0] == f"Run {run.folder}"
    facts = dict(line.split(maxsplit=1) for line in lines[1:])
    assert list(facts) == ["recipe", "data", "model", "fit", "train", "validation", "test"]
    test = run.summary["test"]
    assert facts["test"].startswith(f"ELBO {test['elbo']:,.2f}, log-likelihood term ")
    assert facts["data"] == "digits"
    assert "MLP 16, 8 latent" in facts["model"]
    assert facts["fit"].startswith(f"2 epochs, the best was {run.summary['best_epoch']}, ")
    assert repr(lowerbound.load(run.folder)) == repr(run)


def test_a_notebook_gets_the_same_as_a_table(run):
    page = run._repr_html_()
    assert page.count("<tr") == len(run.facts())
    assert "A &lt;small&gt; model" in page
    assert "<small>" not in page
    assert "<run>" not in page


def test_a_run_without_a_summary_shows_what_is_known(run, tmp_path):
    bare = lowerbound.Run(run.folder, run.recipe, run.schema, run.model, {})
    assert [name for name, _ in bare.facts()] == ["recipe", "data", "model"]
    assert "digits" in repr(bare)


def test_a_recommender_shows_its_items_and_the_ranking_metrics(tmp_path):
    settings = FAST | {"report.write": False}
    run = lowerbound.fit("multvae", out=tmp_path / "run", settings=settings, progress=False)
    text = repr(Recommender(run))
    assert text.startswith(f"Recommender of {len(run.items.ids):,} items, run {run.folder}\n")
    assert f"ndcg@100 {run.summary['test']['ndcg@100']:.4f}" in text
    assert "Recommender of" in Recommender(run)._repr_html_()

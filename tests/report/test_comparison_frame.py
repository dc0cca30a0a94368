"""A comparison as a frame, as CSV and as LaTeX: the numbers are those of the comparison."""

import io
import re

import polars
import pytest

import lowerbound
from lowerbound.report.comparison.frame import escape, to_frame, to_latex

FAST = {
    "training.epochs": 2,
    "model.network.hidden": [16],
    "training.threads": 1,
    "training.compile": False,
    "report.write": False,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("runs")
    for name, latent in (("one_a", 2), ("two_b", 4)):
        settings = FAST | {"model.latent": [latent]}
        lowerbound.fit("digits", out=home / name, settings=settings, progress=False)
    return [home / "one_a", home / "two_b"]


@pytest.fixture(scope="module")
def found(folders):
    return lowerbound.compare(folders, samples=4)


def test_folders_and_runs_are_compared_alike(folders, found):
    runs = [lowerbound.load(folder) for folder in folders]
    again = lowerbound.compare(runs, samples=4)
    assert again.to_frame().equals(found.to_frame())


def test_the_frame_has_the_measures_and_the_paired_differences(found):
    frame = found.to_frame()
    assert isinstance(frame, polars.DataFrame)
    assert repr(found).startswith("Comparison on test examples of digits")
    assert repr(found).endswith(repr(frame))
    assert frame["run"].to_list() == ["one_a", "two_b"]
    first, second = frame.iter_rows(named=True)
    entry = found.entries[1]
    assert {"elbo", "log_likelihood"} <= set(found.shown)
    for name in found.shown:
        assert second[name] == entry.measures[name].value
        assert second[f"{name}_se"] == entry.measures[name].standard_error
        assert second[f"{name}_difference"] == entry.differences[name].value
        assert second[f"{name}_difference_se"] == entry.differences[name].standard_error
        assert first[f"{name}_difference"] is None
        assert first[f"{name}_difference_se"] is None
    # Of the same examples the difference of the means is the mean of the differences.
    apart = second["elbo"] - first["elbo"]
    assert apart == pytest.approx(second["elbo_difference"], abs=1e-3)
    assert second["elbo_difference_se"] < second["elbo_se"]
    assert second["parameters"] > first["parameters"]


def test_csv_is_the_frame_and_lies_beside_the_page(found):
    again = polars.read_csv(io.StringIO(found.to_csv()))
    assert again["elbo"].to_list() == pytest.approx(found.to_frame()["elbo"].to_list())
    assert (found.page.parent / "comparison.csv").read_text() == found.to_csv()


def test_latex_has_a_row_for_each_run(found):
    lines = found.to_latex().splitlines()
    assert lines[0] == r"\begin{tabular}{l" + "rr" * len(found.shown) + "}"
    assert lines[-1] == r"\end{tabular}"
    rows = [line for line in lines if line.endswith(r"\\")]
    assert [row.count("&") for row in rows] == [2 * len(found.shown)] * 3
    assert rows[1].startswith(r"one\_a & $-")
    assert "& -- " in rows[1]  # the first run has no difference to itself
    elbo = found.entries[1].measures["elbo"]
    numbers = rf"${elbo.value:.2f} \pm {elbo.standard_error:.2f}$"
    assert numbers in rows[2]
    assert not re.search(r"(?<!\\)_", "".join(rows))


def described(name, **measures):
    estimates = {name: {"value": v, "standard_error": e} for name, (v, e) in measures.items()}
    return {"name": name, "run": name, "measures": estimates, "differences": {}} | dict.fromkeys(
        ("parameters", "epochs", "seconds")
    )


def test_what_a_run_lacks_is_null_and_a_dash():
    """An autoencoder has no bound; a measure may be there in a later run alone."""
    runs = [described("a", recall=(0.25, 0.01)), described("b", elbo=(-1234.5, 2.0))]
    frame = to_frame(runs, ["elbo", "recall"])
    assert frame["elbo"].to_list() == [None, -1234.5]
    assert frame["recall"].to_list() == [0.25, None]
    table = to_latex(runs, ["elbo", "recall"], 4)
    assert r"a & -- & -- & $0.2500 \pm 0.0100$ & -- \\" in table
    assert r"b & $-1{,}234.5000 \pm 2.0000$ & -- & -- & -- \\" in table


def test_names_are_set_as_they_are():
    assert escape(r"50%_\x~^{}&#$") == (
        r"50\%\_\textbackslash{}x\textasciitilde{}\textasciicircum{}\{\}\&\#\$"
    )

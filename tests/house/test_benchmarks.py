"""The scripts of `benchmarks/`: that they measure what they say, and that the page of their tables
is made from results alone.
"""

import ast
import importlib
import json
import re
import sys
from pathlib import Path

import pytest
import torch

from lowerbound import recipe

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(
    path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
)
PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="memory of processes as Linux counts it"
)


def script(name):
    """A module of `benchmarks/`, which is no part of the package; they import each other by
    name.
    """
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)


common, published, loops, page, runner, peers, neighbours = map(
    script, ("common", "published", "loops", "page", "all", "peers", "neighbours")
)


# The published systems


@pytest.mark.parametrize(
    ("name", "count"),
    [("hierarchical-mnist", 174_084), ("aevb-mnist", 788_788), ("conv-mnist", 96_677)],
)
def test_the_published_models_have_the_published_parameters(name, count):
    assert sum(p.numel() for p in published.SYSTEMS[name].model().parameters()) == count


def joined(model):
    """The weights of a published model, with the two heads of an encoder as one layer."""
    for part in model.children():
        if isinstance(part, published.Heads):
            yield from part.body.parameters()
            yield torch.cat([part.mean.weight, part.log_variance.weight])
            yield torch.cat([part.mean.bias, part.log_variance.bias])
        else:
            yield from part.parameters()


@pytest.mark.parametrize("name", sorted(published.SYSTEMS))
def test_our_recipe_is_the_published_loss(name):
    plan, theirs = recipe.load(name), published.SYSTEMS[name].model().double()
    ours = plan.model.build((1, 28, 28)).double()
    with torch.no_grad():
        for own, other in zip(ours.parameters(), joined(theirs), strict=True):
            own.copy_(other)
    x = torch.rand(5, 1, 28, 28, dtype=torch.float64)
    torch.manual_seed(3)
    wanted = theirs.loss(x).item()
    torch.manual_seed(3)
    assert plan.objective(ours.terms(x, 1, plan.objective.kl)).item() == pytest.approx(
        wanted, rel=1e-6
    )


@pytest.mark.parametrize("name", sorted(published.SYSTEMS))
def test_the_published_settings_are_those_of_the_recipe(name):
    system, training = published.SYSTEMS[name], recipe.load(name).training
    assert (system.optimizer, system.learning_rate, system.batch_size) == (
        training.optimizer,
        training.learning_rate,
        training.batch_size,
    )


# What a step costs


def test_the_operations_of_an_mlp_are_those_of_its_products():
    first, rest = 784 * 500, 500 * 4 + 2 * 500 + 500 * 784
    wanted = 2 * 10 * (2 * first + 3 * rest)  # nobody needs the gradient of the images
    assert loops.operations(published.mlp(), torch.rand(10, 1, 28, 28)) == wanted


def test_the_operations_of_convolutions_are_those_of_their_products():
    down = [14 * 14 * 32 * 9, 7 * 7 * 64 * 32 * 9, 64 * 49 * 4]
    up = [2 * 64 * 49, 7 * 7 * 64 * 64 * 9, 15 * 15 * 64 * 32 * 9, 28 * 28 * 32 * 16]
    wanted = 2 * 3 * (3 * sum(down + up) - down[0])
    assert loops.operations(published.conv(), torch.rand(3, 1, 28, 28)) == wanted


@pytest.mark.parametrize(("name", "passes"), [("Adam", 10), ("Adagrad", 8), ("SGD", 6)])
def test_the_traffic_of_a_step_counts_the_averages_of_the_optimiser(name, passes):
    layer = torch.nn.Linear(30, 20)
    optimizer = getattr(torch.optim, name)(layer.parameters())
    layer(torch.rand(4, 30)).sum().backward()
    optimizer.step()
    assert loops.traffic(optimizer) == passes * 4 * (30 * 20 + 20)


# Rounds and processes


def test_rounds_take_turns_and_the_first_does_not_count():
    calls = []

    def work(name):
        return lambda: calls.append(name) or float(len(calls))

    seconds, errors = common.in_turn({name: work(name) for name in "abc"}, 2)
    assert "".join(calls) == "abcbcacab"
    assert seconds == {"a": [6.0, 8.0], "b": [4.0, 9.0], "c": [5.0, 7.0]}
    assert errors == {}


def test_a_process_that_does_not_answer_is_left_out_with_its_error_line():
    failing = common.Peer([sys.executable, "-c", "raise ValueError('no such layer')"], 1)
    seconds, errors = common.in_turn({"peer": failing, "ours": lambda: 1.0}, 3)
    failing.close()
    assert errors == {"peer": "ValueError: no such layer"}
    assert seconds == {"ours": [1.0, 1.0, 1.0]}


def test_a_process_that_ends_between_rounds_is_an_error_line():
    peer = common.Peer(
        [sys.executable, "-c", "print('{}', flush=True); raise SystemExit('enough')"], 1
    )
    with pytest.raises(common.PeerError, match=r"^enough$"):
        peer()
    peer.process.wait()
    with pytest.raises(common.PeerError, match=r"^enough$"):
        peer()
    peer.close()


def test_an_interpreter_that_is_not_there_is_an_error_line(tmp_path):
    absent = common.Peer([str(tmp_path / "python")], 1)
    with pytest.raises(
        common.PeerError,
        match=r"^python: No such file or directory; `make peers` installs the peers",
    ):
        absent()
    absent.close()
    assert "No such file" in common.answer([str(tmp_path / "python")], 1)["error"]


def test_a_process_serves_each_line_that_it_is_given():
    lines = "import json, sys\nprint('hello')\nprint(json.dumps({'torch': '1'}), flush=True)\n"
    lines += "for n, _ in enumerate(sys.stdin): print(json.dumps({'seconds': n + 0.5}), flush=True)"
    peer = common.Peer([sys.executable, "-c", lines], 1)
    assert [peer(), peer(), peer()] == [0.5, 1.5, 2.5]
    assert peer.facts == {"torch": "1"}
    peer.close()


def test_ratios_are_those_of_pairs():
    assert common.ratios([2.0, 9.0, 8.0], [1.0, 3.0, 2.0]) == {
        "median": 3.0,
        "least": 2.0,
        "greatest": 4.0,
    }


@needs_linux
def test_the_memory_of_a_process_is_its_own():
    small, large = (
        common.measured([sys.executable, "-c", f"b'1' * {n}"], 1) for n in (1, 300_000_000)
    )
    assert 0 < small["megabytes"] < 60  # this process has far more
    assert 300 < large["megabytes"] < 360
    assert common.measured([sys.executable, "-c", "raise ValueError('no')"], 1) == {
        "error": "ValueError: no"
    }


def test_the_floor_is_the_work_over_the_rate_of_each_round():
    machine = common.Machine("cpu", size=8, numbers=100)
    seconds = {"product fp32": [1.0, 2.0], "product bf16": [0.5, 0.5], "copy": [4.0, 8.0]}
    assert machine.floor(2 * 8**3 * 10, 8 * 100 * 10, seconds) == {
        "product fp32": [10.0, 20.0],
        "product bf16": [5.0, 5.0],
        "copy": [40.0, 80.0],
    }
    assert machine.rates(seconds)["copy"] == {"median": 150.0, "least": 100.0, "greatest": 200.0}
    assert all(work() > 0 for work in machine.work().values())


# The page


def spread(value):
    return {"median": value, "least": value / 2, "greatest": value * 2}


def result(**found):
    facts = {
        "hardware": "a machine",
        "threads": 2,
        "system": "Linux",
        "lowerbound": "1",
        "torch": "2",
        "python": "3",
    }
    return {
        "facts": facts,
        "options": {"rounds": 5, "steps": 7, "images": 10, "samples": 20},
    } | found


@pytest.fixture
def results(tmp_path):
    """A folder with a result of every kind."""
    works = ("product fp32", "product bf16", "copy")
    one = {
        "examples_per_second": spread(4321.0),
        "milliseconds": spread(1.5),
        "ratio_to": {"published": spread(3.25)},
    }
    one["share_of_floor"] = dict.fromkeys(works, spread(0.25))
    least = {
        "floor_milliseconds": dict.fromkeys(works, spread(2.0)),
        "rates": dict.fromkeys(works, spread(1e9)),
    }
    about = {"recipe": "aevb-mnist", "batch_size": 100, "operations": 1e6, "bytes": 1e6, **least}
    errors, fast = (
        {"pythae": "ImportError: gone"},
        {"fast": {"settings": {"training.compile": True}}},
    )
    quality = {"target": 163.6, "loss": spread(160.0), "reached": 1, "each": [{}, {}]}
    row = {"value": 1, "milliseconds": spread(3.0), "floor_milliseconds": spread(1.0)}
    pair = {name: spread(5.0) for name in ("ours", "floor", "floor with exponentials", "products")}
    process = {"seconds": 1.0, "megabytes": 456.0}
    write = {
        "training-aevb-mnist": result(
            measured={"ours": one}, errors=errors, processes=fast, **about
        ),
        "quality-aevb-mnist-published": result(seconds=spread(300.0), **quality),
        "quality-aevb-mnist-fast": result(seconds=spread(4.0), **quality),
        "likelihood": result(
            nanoseconds_of_a_pair=pair,
            ratio_to=pair,
            seconds_for_10000_images_5000_samples=spread(9.0),
            process=process,
        ),
        "startup": result(
            measured={"list": {"seconds": spread(0.3), "megabytes": spread(20.0)}},
            errors={},
            fit={
                "recipe": "conv-mnist",
                "epochs": 1,
                "with its report": process,
                "without a report": {"error": "killed"},
            },
        ),
        "neighbours": result(
            cores=2,
            measured={
                "MLP": {
                    "1000": {
                        "one neighbour": {
                            "seconds": spread(4.0),
                            "free_cores": 1.0,
                            "per_free_core": spread(1.1),
                        }
                    }
                }
            },
            errors={"recommender, 1000 spins, quiet": "no such data"},
        ),
        "growth": result(axes={"levels": {"rows": [row, row | {"value": 2}], "errors": {}}}),
        "recommend-step": result(
            dense_seconds=spread(3.0), ours_seconds=spread(1.0), ratio=spread(3.0)
        ),
        "recommend-peers": result(
            measured={"ours": {"epoch": 1.0, "ranking": 2.0}, "cornac": {"error": "no wheel"}}
        ),
        "serving": result(
            one_user_ms={"median": 1.0, "p95": 2.0}, users=10, users_per_second=20.0, k=20, items=30
        ),
    }
    for name, found in write.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("situation", "cores", "free"),
    [
        ("quiet", 2, 2.0),
        ("one neighbour", 2, 1.0),
        ("two neighbours", 2, 2 / 3),
        ("two neighbours", 8, 6.0),
        ("one CPU", 8, 1.0),
    ],
)
def test_free_cores_are_those_of_no_neighbour_or_a_share(situation, cores, free):
    assert neighbours.SITUATIONS[situation].free_cores(cores) == pytest.approx(free)


def test_what_a_fit_loses_to_neighbours_is_counted_per_free_core():
    lost = neighbours.lost({"quiet": [2.0, 4.0], "one neighbour": [6.0, 8.0]}, cores=2)
    assert lost["quiet"]["per_free_core"]["median"] == 1.0
    ratio = lost["one neighbour"]["per_free_core"]
    assert (ratio["least"], ratio["greatest"]) == (1.0, 1.5)


def test_the_page_has_a_place_for_every_table(tmp_path):
    text = page.rendered(PAGE, tmp_path)
    assert text.count("Not measured yet: `python benchmarks/") == len(page.TABLES)


@pytest.mark.parametrize(
    "said",
    [
        (
            "| ours, as packaged | 4,321 (2,160 to 8,642) | 1.50 (0.75 to 3.00) | 3.25 "
            "(1.62 to 6.50) | - | 25 % | 25 % |"
        ),
        "| Pythae's trainer | ImportError: gone |",
        "Fast settings: compile true.",
        (
            "| 300 (150 to 600) s, loss 160.0 (80.0 to 320.0); 1 of 2 seeds reached it | 4.00 "
            "(2.00 to 8.00) s,"
        ),
        "1 of 2 seeds reached it | 75.0 |",
        "without a report | killed |",
        "| MLP, one neighbour | 1 | 4.00 (2.00 to 8.00) | 1.10 (0.55 to 2.20) |",
        "| recommender, 1000 spins, quiet | - | no such data | - |",
        "| cornac | no wheel |",
        "a machine; Linux; lowerbound 1, torch 2, python 3",
    ],
)
def test_the_tables_hold_what_was_measured(said, results):
    assert said in page.rendered(PAGE, results)


def test_a_second_rendering_changes_nothing_and_the_first_only_the_tables(results):
    once = page.rendered(PAGE, results)
    assert once != PAGE
    assert page.rendered(once, results) == once
    assert page.MARKERS.sub("", once) == page.MARKERS.sub("", PAGE)


@pytest.mark.parametrize(
    "broken",
    [
        PAGE.replace("<!-- begin startup -->", ""),
        PAGE.replace("<!-- end startup -->", ""),
        PAGE + "\n<!-- begin startup -->\n<!-- end startup -->\n",
        PAGE + "\n<!-- begin weather -->\n<!-- end weather -->\n",
    ],
    ids=["no begin", "no end", "twice", "unknown"],
)
def test_a_page_without_its_markers_is_refused(broken, results):
    with pytest.raises(page.PageError, match="the page needs `<!-- begin"):
        page.rendered(broken, results)


def test_page_writes_the_file_and_a_small_picture(results, tmp_path, monkeypatch, capsys):
    target = tmp_path / "page" / "performance.md"
    target.parent.mkdir()
    target.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["page.py", "--page", str(target), "--results", str(results)])
    assert page.main() == 0
    assert target.read_text(encoding="utf-8") == page.rendered(PAGE, results)
    assert 1_000 < target.with_name(page.PICTURE).stat().st_size < 150_000
    target.write_text("no markers", encoding="utf-8")
    assert page.main() == 2
    assert "the page needs" in capsys.readouterr().err


def test_a_gain_is_told_only_of_one_machine():
    slow, fast = result(seconds=spread(30.0)), result(seconds=spread(3.0))
    assert page.gain(slow, fast) == "10.0"
    fast["facts"]["threads"] = 1
    assert page.gain(slow, fast) == "measured on different machines"


def test_no_figure_stands_in_the_prose():
    prose = page.MARKERS.sub("", PAGE)
    assert (
        re.findall(
            r"\d[\d.,]*\s*(?:x|times|%|ms|s|seconds|minutes|hours|[kMG]B|GFLOP/s)(?!\w)", prose
        )
        == []
    )


def test_every_file_that_the_page_names_exists():
    named = re.findall(r"(?:docs|benchmarks|tests)/[\w-]+\.\w+", page.MARKERS.sub("", PAGE))
    assert len(named) > 3
    assert [name for name in named if not (ROOT / name).exists()] == []


# The scripts


def helped(name, monkeypatch, capsys):
    """What a script says of itself."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as stopped:
        script(name).main()
    assert stopped.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_says_what_it_does(name, monkeypatch, capsys):
    assert script(name).__doc__.splitlines()[0] in helped(name, monkeypatch, capsys)


@pytest.mark.parametrize(
    "name",
    sorted({job.script.removesuffix(".py") for jobs in runner.JOBS.values() for job in jobs}),
)
def test_all_gives_each_script_options_that_it_has(name, monkeypatch, capsys):
    text = helped(name, monkeypatch, capsys)
    jobs = [job for jobs in runner.JOBS.values() for job in jobs if job.script == f"{name}.py"]
    given = {
        word
        for job in jobs
        for long in (False, True)
        for word in job.words(long)
        if word.startswith("--")
    }
    given |= {
        word for job in jobs for word in runner.peers(job, Path("peers")) if word.startswith("--")
    }
    assert [
        word for word in given | {"--threads", "--results"} if not re.search(rf"{word}\b", text)
    ] == []


def test_the_peers_are_pinned():
    found = peers.sections(peers.PINS.read_text(encoding="utf-8"))
    assert {name: pins[:2] for name, pins in found.items()} == {
        "pythae": ["torch==2.13.0", "pythae==0.1.2"],
        "cornac": ["torch==2.13.0", "cornac==3.0.1"],
        "recbole": ["torch==2.13.0", "recbole==1.2.1"],
        "pyod": ["pyod==3.6.7", "ISLP==0.6.0"],
    }
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pins in found.values() for pin in pins)


@pytest.mark.parametrize("name", ["pythae_peer", "published", "common"])
def test_the_script_for_pythae_imports_nothing_of_ours(name):
    tops = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8")).body
    imported = {alias.name for top in tops if isinstance(top, ast.Import) for alias in top.names}
    imported |= {top.module for top in tops if isinstance(top, ast.ImportFrom)}
    assert "torch" in imported
    assert {name.partition(".")[0] for name in imported} <= {
        "torch",
        "common",
        "published",
    } | sys.stdlib_module_names

"""Parts that a user defines in modules of their own: when a recipe may name them, what is refused,
and that nothing is ever written that cannot be loaded again.
"""

import importlib
import json
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

import forked
import lowerbound
from lowerbound import recipe as recipes
from lowerbound.cli import inspect
from lowerbound.errors import ConfigError
from lowerbound.families import Normal
from lowerbound.model import Architecture
from lowerbound.noise import Noise
from lowerbound.priors import Prior
from lowerbound.recipe import Recipe
from lowerbound.report import compare
from lowerbound.schedules import Schedule
from lowerbound.specs import listing
from lowerbound.specs.checked import checked
from lowerbound.specs.registry import describe
from lowerbound.specs.user_code import allowing_code, find_class

PRIORS = '''
"""Priors of a user; importing them leaves a trace."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from lowerbound.families import Normal
from lowerbound.priors import Prior
from lowerbound.specs.checked import checked

Path(__file__).with_name("imported").touch()
scale = 3


class _Wide(nn.Module):
    def __init__(self, event, width):
        super().__init__()
        self.location = nn.Parameter(torch.zeros(event))
        self.width = width

    def forward(self, context: Any = None):
        return Normal(variance=self.width**2)((self.location,), 1)


@checked
class Mine(Prior):
    """A normal prior with a learned mean."""

    width: float = 2.0

    def build(self, place):
        return _Wide(place.event, self.width)


class Abstract(Prior):
    """A prior without `build`."""


class Unchecked(Mine):
    """A prior that was not declared."""


class Outer:
    @checked
    class Inner(Mine):
        """A prior that is not at the top of its module."""


@checked
class Forgetful(Mine):
    """A prior that does not come back from its description."""

    secret: Any = None
'''

NOISE = '''
"""A noise of a user, and a tracker."""

import torch

from lowerbound.noise import Noise
from lowerbound.specs.checked import checked
from lowerbound.tracking import Tracker


@checked
class Salt(Noise):
    """Some values become 1."""

    probability: float = 0.1

    def __call__(self, x, training):
        if not training:
            return x
        return torch.where(torch.rand_like(x) < self.probability, torch.ones_like(x), x)


class Lines(Tracker):
    """A tracker that writes a line an epoch."""

    needs = ()

    def __init__(self, folder, project, config, known):
        self.file_ = folder / "lines.txt"

    def scalars(self, values, epoch):
        with self.file_.open("a") as file:
            file.write(f"{epoch}\\n")

    def picture(self, name, image, epoch): ...
    def file(self, path): ...
    def close(self, status): ...
'''

RECIPE = """
[data]
source = "digits"

[model]
latent = [2]
network = { type = "MLP", hidden = [8] }
prior = { type = "my_package.priors:Mine", width = 1.5 }
noise = [{ type = "my_package.noise:Salt", probability = 0.2 }]

[training]
epochs = 1
accelerator = "cpu"

[report]
write = false
"""

NAME = "my_package.priors:Mine"

REFUSED = (
    f"prior '{NAME}' is code outside lowerbound, which importing runs: allow it with --allow-code "
    "(allow_code=True in Python) or LOWERBOUND_ALLOW_CODE=my_package"
)


def forget():
    """Takes the package of the user out of the modules that are imported."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "my_package":
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a user on the path, which is not imported yet, and a recipe that names it."""
    folder = tmp_path / "site" / "my_package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "priors.py").write_text(PRIORS)
    (folder / "noise.py").write_text(NOISE)
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    (folder / "needing.py").write_text("import not_there_at_all\n")
    (tmp_path / "mine.toml").write_text(RECIPE)
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setenv("PYTHONPATH", str(folder.parent), prepend=":")
    monkeypatch.delenv("LOWERBOUND_ALLOW_CODE", raising=False)
    monkeypatch.chdir(tmp_path)
    forget()
    yield folder
    forget()


def is_imported(package):
    return (package / "imported").exists()


def test_fit_load_evaluate_and_compare(package, tmp_path):
    fitted = lowerbound.fit("mine.toml", out="run", allow_code=True, progress=False)
    written = recipes.tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())
    assert written["model"]["prior"] == {"type": NAME, "width": 1.5}
    assert written["model"]["noise"] == [{"type": "my_package.noise:Salt", "probability": 0.2}]
    before = fitted.evaluate(samples=2)
    forget()
    (package / "imported").unlink()
    with pytest.raises(ConfigError, match=re.escape(REFUSED)):
        lowerbound.load("run")
    assert not is_imported(package)
    run = lowerbound.load("run", allow_code=True)
    assert run.evaluate(samples=2) == before
    assert run.recipe.model.prior.width == 1.5
    assert describe(run.recipe.model.prior) == {"type": NAME, "width": 1.5}
    shutil.copytree("run", "copy")
    copy = lowerbound.load("copy")  # its parts are imported by now
    found = compare([run, copy], "page", samples=2)
    assert (tmp_path / "page" / "index.html").is_file()
    assert len(found.describe()["runs"]) == 2


def test_the_recipe_in_python_is_that_of_the_file(package):
    with allowing_code():
        read = recipes.load("mine.toml")
    prior = importlib.import_module("my_package.priors").Mine(width=1.5)
    noise = importlib.import_module("my_package.noise").Salt(probability=0.2)
    model = Architecture((2,), read.model.network, prior=prior, noise=(noise,))
    assert read.replace({}) == read
    assert Recipe(read.data, model=model, training=read.training, report=read.report) == read
    assert recipes.parse(read.describe()) == read
    assert read.replace({"model.prior": NAME}).model.prior.width == 2.0


def test_an_object_fits_and_is_loaded(package):
    prior = importlib.import_module("my_package.priors").Mine(width=1.5)
    plan = recipes.load("digits").replace({"training.epochs": 1, "report.write": False})
    model = Architecture((2,), prior=prior)
    plan = Recipe(plan.data, model=model, training=plan.training, report=plan.report)
    lowerbound.fit(plan, out="run", progress=False)
    forget()
    assert lowerbound.load("run", allow_code=True).recipe.model.prior.width == 1.5


def test_the_commands(package, command, tmp_path):
    """Each command refuses without the option, and works with it."""
    message = f"lowerbound: mine.toml: model.prior: {REFUSED}"
    code, out, err = command("fit", "mine.toml", "--out", "run", "--json")
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()
    code, out, _ = command("fit", "mine.toml", "--out", "run", "--allow-code")
    assert code == 0
    assert out.endswith("next     lowerbound evaluate run --allow-code\n")
    shutil.copytree("run", "copy")
    message = f"lowerbound: run/recipe.toml: model.prior: {REFUSED}"
    commands = (
        ("evaluate", "run", "--samples", "2"),
        ("report", "run"),
        ("compare", "run", "copy", "--samples", "2", "--out", "page"),
        ("sample", "run", "--out", "a.npy"),
        ("encode", "run", "--out", "z.npy"),
        ("score", "run", "--out", "s.csv", "--samples", "2", "--against", "copy"),
    )
    for words in commands:
        forget()
        code, _, err = command(*words)
        assert code == 2
        assert err.startswith(message)
        assert err.count("\n") == 1
        assert command(*words, "--allow-code")[0] == 0, words
    forget()
    assert command("recommend", "run", "--history", "x")[2].startswith(message)
    assert "my_package" not in command("recommend", "run", "--history", "x", "--allow-code")[2]


@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [
        ("my_package", True),
        ("other, my_package.priors ,my_package.noise", True),
        ("my_package.priors", False),  # the noise is not allowed
        ("my_pack", False),
        ("my_package.priors.deeper", False),
        ("", False),
        (",", False),
    ],
)
def test_the_environment_names_packages(package, command, monkeypatch, value, is_allowed):
    monkeypatch.setenv("LOWERBOUND_ALLOW_CODE", value)
    code, _, err = command("fit", "mine.toml", "--out", "run")
    assert code == (0 if is_allowed else 2), err
    assert is_allowed or "code outside lowerbound" in err


def test_a_resumed_run_and_a_fresh_process(package, tmp_path):
    """As a user does it, each command by itself: with the option, and without it."""
    words = ["fit", "mine.toml", "--out", "run", "--allow-code"]
    fit = forked.Command(tmp_path, words, folder=tmp_path)
    assert fit.ended() == 0, fit.log.read_text()
    more = ["--resume", "--set", "training.epochs=2", "--json"]
    resumed = subprocess.run(
        [sys.executable, "-m", "lowerbound", *words, *more],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout.splitlines()[-1])["epochs"] == 2
    plain = forked.Command(tmp_path, ["evaluate", "run"], folder=tmp_path)
    assert plain.ended() == 2
    told = plain.log.read_text()
    assert REFUSED in told
    assert told.count("\n") == 1


def refusal(name, base=Prior):
    with pytest.raises(ConfigError) as caught:
        find_class(name, base)
    assert "\n" not in str(caught.value)
    return str(caught.value)


NEEDED = "a final class below Prior that is declared with @checked is needed, got"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "my_package.priors:Mime",
            (
                "unknown prior 'Mime' in my_package.priors; did you mean 'Mine'? Allowed: Mine, "
                "Forgetful"
            ),
        ),
        (
            "my_package.nothing:Mine",
            (
                "prior 'my_package.nothing:Mine': there is no module 'my_package.nothing'; "
                "install it, or put its folder on PYTHONPATH"
            ),
        ),
        (
            "not_there_at_all.priors:Mine",
            (
                "prior 'not_there_at_all.priors:Mine': there is no module 'not_there_at_all'; "
                "install it, or put its folder on PYTHONPATH"
            ),
        ),
        (
            "my_package.needing:Mine",
            (
                "prior 'my_package.needing:Mine': importing my_package.needing failed: "
                "ModuleNotFoundError: No module named 'not_there_at_all'"
            ),
        ),
        (
            "my_package.broken:Mine",
            (
                "prior 'my_package.broken:Mine': importing my_package.broken failed: "
                "ZeroDivisionError: division by zero"
            ),
        ),
        (
            "my_package.leaving:Mine",
            "prior 'my_package.leaving:Mine': importing my_package.leaving failed: SystemExit: 0",
        ),
        ("my_package.priors:scale", f"{NEEDED} an object of the type int"),
        ("my_package.priors:_Wide", f"{NEEDED} a class that is not below Prior"),
        ("my_package.noise:Salt", f"{NEEDED} a class that is not below Prior"),
        ("my_package.priors:Prior", f"{NEEDED} an abstract class without build"),
        ("my_package.priors:Abstract", f"{NEEDED} an abstract class without build"),
        ("my_package.priors:Unchecked", f"{NEEDED} a class without it"),
        ("my_package.priors:Outer.Inner", "is not of the form package.module:Class"),
        ("a:b:c", "prior 'a:b:c' is not of the form package.module:Class"),
        (":Mine", "prior ':Mine' is not of the form package.module:Class"),
        ("os:", "prior 'os:' is not of the form package.module:Class"),
        ("..os:system", "prior '..os:system' is not of the form package.module:Class"),
        ("os\n:x", "prior 'os\\n:x' is not of the form package.module:Class"),
    ],
)
def test_wrong_names(package, command, name, message):
    with allowing_code():
        line = refusal(name)
    assert line.endswith(message)
    words = ("fit", "mine.toml", "--out", "run", "--set", f"model.prior={name}", "--allow-code")
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"model.prior: {line}" in err


def test_other_places_want_other_classes(package):
    with allowing_code():
        assert find_class("my_package.noise:Salt", Noise).__name__ == "Salt"
        assert "schedule 'my_package.noise:Salt': a final class below Schedule" in refusal(
            "my_package.noise:Salt", Schedule
        )
        with pytest.raises(
            ConfigError, match=r"objective\.beta: schedule 'my_package\.noise:Salt'"
        ):
            recipes.load("mine.toml").replace({"objective.beta": {"type": "my_package.noise:Salt"}})


def test_wrong_keys_of_a_users_part(package):
    with allowing_code(), pytest.raises(ConfigError) as caught:
        recipes.load("mine.toml").replace({"model.prior.widht": 3})
    assert str(caught.value) == (
        "recipe: model.prior: unknown key 'widht'; did you mean 'width'? Allowed: width"
    )


@pytest.mark.parametrize("allow", [False, "true", 1])
def test_nothing_else_allows_code(package, allow):
    with allowing_code(allow):
        assert refusal(NAME) == REFUSED
    assert not is_imported(package)


def test_permission_ends_with_its_block(package):
    with allowing_code(), allowing_code(False):
        assert find_class(NAME, Prior)
    forget()
    assert refusal(NAME) == REFUSED


def test_an_imported_module_needs_no_permission(package):
    importlib.import_module("my_package.priors")
    assert recipes.parse({"data": {"source": "digits"}, "model": {"prior": NAME}})


def test_a_module_that_imports_itself_when_it_is_asked_is_not_asked(package, monkeypatch):
    spec = importlib.util.find_spec("my_package.priors")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "my_package.priors", module)
    spec.loader.exec_module(module)
    (package / "imported").unlink(missing_ok=True)
    assert refusal(NAME) == "unknown prior 'Mine' in my_package.priors; allowed: none"
    assert not is_imported(package)


def made_in(module, monkeypatch=None):
    """A prior whose class says that it stands in this module."""
    cls = type("Homeless", (Prior,), {"__module__": module, "build": lambda self, *arguments: None})
    return checked(cls)


def recipe_with(prior):
    return Recipe(recipes.Data("digits"), model=Architecture(prior=prior))


@checked
class Known(Prior):
    """A prior at the top of this module."""

    def build(self, *arguments):
        raise NotImplementedError


def test_objects_that_could_not_be_found_again(monkeypatch):
    @checked
    class Local(Prior):
        def build(self, *arguments): ...

    main = made_in("__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Homeless", main, raising=False)
    by_hand = types.ModuleType("made_by_hand")
    unimportable = by_hand.Homeless = made_in("made_by_hand")
    monkeypatch.setitem(sys.modules, "made_by_hand", by_hand)
    place = "; define the class at the top of a module that can be imported"
    reasons = {
        main: "__main__:Homeless could not be loaded again: the module __main__ is another one in "
        "every program",
        Local: f"{Local.__module__}:{Local.__qualname__} could not be loaded again: the class does "
        "not stand at the top of its module",
        made_in(__name__): f"{__name__}:Homeless could not be loaded again: {__name__} has no such "
        "class under this name",
        unimportable: "made_by_hand:Homeless could not be loaded again: the module made_by_hand "
        "cannot be imported by its name",
    }
    for cls, reason in reasons.items():
        Architecture(prior=cls())  # without a recipe nothing has to be loaded
        with pytest.raises(ConfigError) as caught:
            recipe_with(cls())
        assert str(caught.value) == f"Recipe: a run with {reason}{place}"
    assert recipe_with(Known()).describe()["model"]["prior"] == {"type": f"{__name__}:Known"}


class Undeclared(Known):
    """A part without `@checked`."""


@checked
class Holding(Known):
    """A part with a setting that no recipe can hold."""

    value: object = None


@checked
class Nested(Known):
    """A part with another part in it, which is read as such."""

    schedule: recipes.AnySchedule = recipes.Constant()
    names: tuple[str, ...] = ("a", "b")


@checked
class Unread(Known):
    """A part with another part in it, which is not read again."""

    family: object = Normal()


@pytest.mark.parametrize(
    ("prior", "reason"),
    [
        (Undeclared(), f"{__name__}:Undeclared could not be loaded again: the class is not"),
        (Holding(torch.zeros(2)), f"{__name__}:Holding could not be loaded again: its settings do"),
        (Holding(Path("x")), f"{__name__}:Holding could not be loaded again: its settings do"),
        (Unread(), f"{__name__}:Unread could not be loaded again: its settings do"),
    ],
)
def test_objects_that_would_not_come_back(prior, reason):
    with pytest.raises(ConfigError) as caught:
        recipe_with(prior)
    assert str(caught.value).startswith(f"Recipe: a run with {reason}")


@pytest.mark.parametrize("prior", [Holding(3), Holding("x"), Holding(), Nested(), Known()])
def test_objects_that_come_back(prior):
    plan = recipe_with(prior)
    assert recipes.parse(recipes.tomllib.loads(plan.to_toml())) == plan


def test_a_tracker_of_a_user(package, tmp_path):
    settings = {"tracking.to": "my_package.noise:Lines"}
    lowerbound.fit("mine.toml", out="run", settings=settings, allow_code=True, progress=False)
    assert (tmp_path / "run" / "lines.txt").read_text() == "1\n"
    forget()
    with pytest.raises(ConfigError, match=r"tracker 'my_package\.noise:Lines' is code"):
        recipes.parse({"data": {"source": "digits"}, "tracking": {"to": "my_package.noise:Lines"}})


# Entry points


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution that announces parts, as `pip install` leaves it; its package is not there."""
    folder = tmp_path / "installed" / "my_package-1.2.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.2\n")
    (folder / "entry_points.txt").write_text(
        "[console_scripts]\nmine = my_package:main\n\n"
        "[lowerbound.priors]\nwide = my_package.priors:Mine\nother = my_package.priors:Also [x]\n\n"
        "[lowerbound.trackers]\nlines = my_package.noise:Lines\n"
    )
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setenv("PYTHONPATH", str(folder.parent), prepend=":")
    listing._entry_points.cache_clear()
    yield folder
    listing._entry_points.cache_clear()


def test_installed_parts_are_listed(installed, command):
    code, out, _ = command("list", "--json")
    found = json.loads(out)
    assert code == 0
    assert list(found["priors"].items())[-2:] == [
        ("my_package.priors:Also", "my-package 1.2"),
        ("my_package.priors:Mine", "my-package 1.2"),
    ]
    assert found["trackers"]["my_package.noise:Lines"] == "my-package 1.2"
    assert not any(":" in name for name in (*found["families"], *found["noise"]))
    _, out, _ = command("list", "priors")
    assert out.endswith("  my_package.priors:Mine  my-package 1.2\n")


def test_listing_installed_parts_imports_nothing_heavy(installed):
    code = """
import sys
from lowerbound.cli import main
sys.argv = ["lowerbound", "list"]
try:
    main()
except SystemExit:
    print({"torch", "pydantic", "numpy", "my_package"} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "my_package.priors:Mine" in done.stdout
    assert done.stderr == "set()\n"


def test_without_entry_points_nothing_is_added():
    assert listing.installed_parts("priors") == {}
    assert inspect.CATALOGUES["priors"]() == listing.parts("priors", "Prior")


def test_the_first_of_two_distributions_counts(installed, tmp_path, monkeypatch):
    newer = tmp_path / "newer" / "my_package-2.0.dist-info"
    newer.mkdir(parents=True)
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 2.0\n")
    (newer / "entry_points.txt").write_text("[lowerbound.priors]\nwide = my_package.priors:Mine\n")
    monkeypatch.syspath_prepend(newer.parent)
    assert listing.installed_parts("priors") == {"my_package.priors:Mine": "my-package 2.0"}


# The document


EXTENDING = Path(__file__).parents[2] / "docs" / "extending.md"


def test_the_example_of_the_document_works(tmp_path, monkeypatch, command):
    text = EXTENDING.read_text(encoding="utf-8")
    (module,) = re.findall(r"```python\n(# my_package/noise\.py\n.*?)```", text, re.DOTALL)
    (tables,) = re.findall(r"```toml\n(.*?type = \"my_package.*?)```", text, re.DOTALL)
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "noise.py").write_text(module)
    (tmp_path / "mine.toml").write_text(tables)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    forget()
    fast = ("--set", "training.epochs=1", "--set", "report.write=false", "--out", "run")
    assert command("fit", "mine.toml", *fast)[0] == 2
    assert command("fit", "mine.toml", *fast, "--allow-code")[0] == 0
    forget()
    assert command("evaluate", "run", "--samples", "2", "--allow-code")[0] == 0
    forget()

"""What is listed without imports is what there is, and nothing heavy is imported for it."""

import importlib
import inspect
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.datasets import load_digits

from lowerbound import recipe
from lowerbound.cli import inspect as inspect_commands
from lowerbound.data import named_sets
from lowerbound.data.files.idx import parts
from lowerbound.data.interactions.folders import parts_of
from lowerbound.data.interactions.forms import ENDINGS
from lowerbound.data.named.entries import HELD_FILMS, HELD_IDX, HELD_PARTS
from lowerbound.data.named.fetch import holds
from lowerbound.data.named.movielens import FORMATS
from lowerbound.errors import DataError
from lowerbound.evaluation.statistics import kolmogorov_smirnov
from lowerbound.optimizers import optimizers
from lowerbound.specs import listing
from lowerbound.specs.registry import members

HEAVY = {
    "torch",
    "numpy",
    "polars",
    "pydantic",
    "matplotlib",
    "lightning_fabric",
    "scipy",
    "sklearn",
    "rich",
    "pooch",
}


def first_paragraph(thing):
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def first_lines(classes):
    return [(name, first_paragraph(found)) for name, found in classes.items()]


PARTS = [
    *listing.BASES.items(),
    ("tracking", "Tracker"),
    ("baselines", "Baseline"),
    ("baselines", "Imputer"),
]


@pytest.mark.parametrize(("module", "base"), PARTS)
def test_the_parts_are_those_of_the_catalogue_in_its_order(module, base):
    found = importlib.import_module(f"lowerbound.{module}")
    expected = first_lines(members(found.__name__, getattr(found, base)))
    assert expected
    assert list(listing.parts(module, base).items()) == expected


def test_the_optimizers_are_those_that_a_recipe_can_name():
    assert list(listing.optimizers()) == list(optimizers())
    own = {name for name, line in listing.optimizers().items() if line != "torch.optim"}
    assert (
        own
        == {
            name
            for name, found in optimizers().items()
            if not found.__module__.startswith("torch.")
        }
        != set()
    )


def test_the_recipes_have_their_titles():
    assert listing.recipes() == {name: recipe.load(name).about.title for name in recipe.packaged()}
    assert list(listing.recipes()) == list(recipe.packaged())


def test_each_recipe_stands_in_the_group_of_what_it_is_for():
    """Each once, in one of the groups, and no group is empty."""
    groups = listing.recipes_by_group()
    assert list(groups) == list(listing.GROUPS.values())
    assert all(groups.values())
    listed = [name for entries in groups.values() for name in entries]
    assert sorted(listed) == sorted(recipe.packaged())
    for name in listed:
        words = listing.GROUPS[recipe.load(name).about.group]
        assert groups[words][name] == listing.recipes()[name]
    assert "images" in groups[listing.GROUPS["images"]]
    assert list(groups[listing.GROUPS["table"]]) == ["table"]


def test_the_command_lists_recipes_by_what_one_has(capsys):
    """What is for everybody stands above what reproduces papers; `--json` has names and titles."""
    inspect_commands.list_("recipes")
    lines = capsys.readouterr().out.splitlines()
    heads = [line.strip() for line in lines if line.strip() in listing.GROUPS.values()]
    assert heads == list(listing.GROUPS.values())
    names = [line.split()[0] for line in lines if line.startswith("    ")]
    assert sorted(names) == sorted(recipe.packaged())
    assert names.index("images") < names.index("conv-mnist")
    inspect_commands.list_("recipes", json=True)
    assert json.loads(capsys.readouterr().out) == {"recipes": listing.recipes()}


def test_the_data_sets_are_those_that_there_are():
    assert inspect_commands.CATALOGUES["data"]().keys() == named_sets().keys()


TRICKY = {
    "__init__.py": '"""A package."""\nfrom .base import Base\n',
    "base.py": '''
from abc import ABC, abstractmethod
import abc

class Base(ABC):
    """The base itself."""
    @abstractmethod
    def one(self): ...
    @property
    @abc.abstractmethod
    def two(self): ...

class Half(Base):
    """One of two methods: still abstract."""
    def one(self): ...
''',
    "parts.py": '''
from abc import abstractmethod
from collections import OrderedDict
from typing import Generic, TypeVar
from . import base
from .base import Base, Half

T = TypeVar("T")

class Whole(Half):
    """By way of Half.

    More."""
    two = 2

class Both(base.Base):
    """Both at once."""
    one: int = 1
    def two(self): ...

class _Hidden(Whole):
    """Not public."""

class Again(_Hidden):
    """Below one that is hidden."""

class Undone(Whole):
    """Abstract again."""
    @abstractmethod
    def one(self): ...

class Noted(Half):
    """A note alone writes nothing."""
    two: int

class Open(Half, Generic[T]):
    """A base with a parameter."""

class Filled(Open[int]):
    """By way of a base with a parameter."""
    two = 2

class Other(OrderedDict):
    """Something else."""
''',
}


def test_it_reads_classes_as_python_does(tmp_path, monkeypatch):
    """Indirect and hidden bases, other files, abstract classes of all kinds: the same as of the
    imported modules.
    """
    folder = tmp_path / "tricky"
    folder.mkdir()
    for name, text in TRICKY.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(listing, "HERE", tmp_path)
    expected = first_lines(members("tricky", importlib.import_module("tricky.base").Base))
    assert [name for name, _ in expected] == ["Whole", "Both", "Again", "Filled"]
    assert list(listing.parts("tricky", "Base").items()) == expected


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["fit", "--help"], ["list"], ["list", "networks", "--json"]],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(arguments):
    code = f"""
import sys
from lowerbound.cli import main
sys.argv = ["lowerbound", *{arguments}]
try:
    main()
except SystemExit as stopped:
    print(sorted({HEAVY} & set(sys.modules)), stopped.code, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() in ("[] 0", "[] None")
    assert done.stdout


# The named sets, by the names of their files


def files(folder: Path, names) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def readable(folder: Path) -> bool:
    try:
        return bool(parts_of(folder))
    except DataError:
        return False


IDX = [
    f"{part}-{what}-idx{n}-ubyte"
    for part in ("train", "t10k")
    for what, n in (("images", 3), ("labels", 1))
]


@pytest.mark.parametrize(
    "names",
    [
        IDX,
        [f"{name}.gz" for name in IDX],
        [name.replace("-idx", ".idx").replace("t10k", "test") for name in IDX],
        IDX[:3],
        [*IDX[:3], f"{IDX[3]}.bz2"],
        [*IDX[:3], f"old-{IDX[3]}"],
    ],
    ids=["plain", "compressed", "dotted", "three", "bz2", "old"],
)
def test_an_mnist_is_held_where_its_reader_finds_four_files(tmp_path, names):
    folder = files(tmp_path / "set", names)
    assert holds(folder, HELD_IDX) == (len(parts(folder)) == 4)


def test_films_are_held_in_each_format_that_is_read(tmp_path):
    every = sorted({name for pair in FORMATS for name in pair} | {"README"})
    for i, pair in enumerate(itertools.combinations(every, 2)):
        folder = files(tmp_path / str(i), pair)
        assert holds(folder, HELD_FILMS) == (set(pair) in map(set, FORMATS)), pair


def test_parts_are_held_in_each_format_that_is_read(tmp_path):
    endings = [*ENDINGS, ".CSV", ".doc", ""]
    pairs = [*zip(endings, reversed(endings), strict=True), *zip(endings, endings, strict=True)]
    for i, (train, test) in enumerate([*pairs, *itertools.product(endings, [".csv", ".doc"])]):
        folder = files(tmp_path / str(i), [f"train{train}", f"test{test}"])
        assert holds(folder, HELD_PARTS) == readable(folder), (train, test)


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "train.csv").mkdir()
    (tmp_path / "test.csv").mkdir()
    assert not holds(tmp_path, HELD_PARTS)


# What takes the place of a library that is slow to import


def test_the_digits_are_those_of_scikit_learn():
    raw, bunch = named_sets()["digits"].open(), load_digits()
    assert raw.values.dtype == np.uint8
    assert np.array_equal(raw.values[:, 0], bunch.images)
    assert np.array_equal(raw.labels, bunch.target)


@pytest.mark.parametrize("kind", ["reals", "ties", "apart", "one"])
def test_the_distance_of_distributions_is_that_of_scipy(kind):
    random = np.random.default_rng(3)
    sets = {
        "reals": (random.normal(size=50), random.normal(0.3, 2, 70)),
        "ties": (
            random.integers(0, 5, 40).astype(np.float32),
            random.integers(0, 6, 33).astype(np.float32),
        ),
        "apart": (np.zeros(4), np.ones(7)),
        "one": (np.array([0.5]), random.normal(size=9)),
    }
    first, second = sets[kind]
    assert kolmogorov_smirnov(first, second) == ks_2samp(first, second, method="asymp").statistic
    assert kolmogorov_smirnov(second, first) == kolmogorov_smirnov(first, second)

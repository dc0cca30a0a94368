"""Names -> things: what is found, and the one line that a wrong name or key gets."""

import re
from copy import deepcopy
from dataclasses import FrozenInstanceError, fields, replace
from inspect import signature
from typing import get_args, get_type_hints

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from lowerbound import errors, noise
from lowerbound.data import Data, Interactions
from lowerbound.errors import ConfigError
from lowerbound.families import AnyFamily, Family, Normal
from lowerbound.model import Architecture
from lowerbound.networks import MLP, AnyNetwork, Conv, ResNet
from lowerbound.networks.base import Network
from lowerbound.noise import AnyNoise, Dropout, L2Normalize, Noise
from lowerbound.objectives import AnyObjective, Elbo, Objective
from lowerbound.priors import AnyPrior, Mixture, Prior
from lowerbound.recipe import About, Phase, Recipe, Reporting, Training, parse
from lowerbound.schedules import Linear, Schedule
from lowerbound.specs.registry import describe, from_mapping, members
from lowerbound.tracking import Tracking


def read(kind):
    return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))


def test_members_are_the_public_final_classes_of_a_module():
    """Neither the base, nor what was imported from elsewhere, nor a name with an underscore."""
    found = members("lowerbound.families", Family)
    assert {
        "Normal",
        "Bernoulli",
        "ContinuousBernoulli",
        "Delta",
        "DiscretizedLogistic",
    } <= found.keys()
    assert "Family" not in found
    assert not any(name.startswith("_") for name in found)
    assert members("lowerbound.model", Family) == {}


def test_members_of_a_package_come_from_all_its_files():
    assert {"MLP": MLP, "Conv": Conv, "ResNet": ResNet}.items() <= members(
        "lowerbound.networks", Network
    ).items()


def test_a_new_class_is_found_where_it_stands(monkeypatch):
    """Whoever adds a class to a module has added it to the catalogue: no list, no decorator."""
    fresh = type(
        "Fresh", (Noise,), {"__module__": noise.__name__, "__call__": lambda self, x, training: x}
    )
    hidden = type(
        "_Hidden", (Noise,), {"__module__": noise.__name__, "__call__": lambda self, x, training: x}
    )
    unfinished = type("Unfinished", (Noise,), {"__module__": noise.__name__})
    for cls in (fresh, hidden, unfinished):
        monkeypatch.setattr(noise, cls.__name__, cls, raising=False)
    found = members("lowerbound.noise", Noise)
    assert found["Fresh"] is fresh
    assert not {"_Hidden", "Unfinished"} & found.keys()


@pytest.mark.parametrize(
    ("kind", "said", "part"),
    [
        (AnyNetwork, "MLP", MLP()),
        (AnyNetwork, {"type": "MLP", "hidden": [3, 2], "activation": "tanh"}, MLP((3, 2), "tanh")),
        (AnyNetwork, MLP((4,)), MLP((4,))),
        (AnyFamily, {"type": "Normal", "variance": 0.5}, Normal(variance=0.5)),
        (AnyFamily, {"type": "Normal", "variance": "shared"}, Normal(variance="shared")),
        (AnyNoise, {"type": "Dropout", "probability": 0.2}, Dropout(0.2)),
        (AnyPrior, {"type": "Mixture", "components": 3}, Mixture(3)),
        (AnyObjective, {"type": "Elbo", "beta": 4}, Elbo(beta=4.0)),
        (
            AnyObjective,
            {"type": "Elbo", "beta": {"type": "Linear", "stop": 0.2, "steps": 9}},
            Elbo(beta=Linear(stop=0.2, steps=9)),
        ),
    ],
)
def test_a_part_from_what_a_recipe_says(kind, said, part):
    assert read(kind).validate_python(said) == part
    assert read(kind).validate_python(describe(part)) == part


def test_an_architecture_survives_being_written_down():
    """Nested parts, lists of them, and values that are None, which a recipe cannot hold."""
    spec = Architecture(
        (3, 2),
        Conv((4,)),
        MLP((7,)),
        noise=(L2Normalize(), Dropout(0.1)),
        prior=Mixture(4),
        heads="separate",
    )
    written = describe(spec)
    assert "None" not in str(written)
    assert from_mapping(Architecture, {k: v for k, v in written.items() if k != "type"}) == spec
    assert "decoder_network" not in describe(Architecture())


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("MLQ", "unknown network 'MLQ'; did you mean 'MLP'? Allowed: "),
        ({"type": "Convv"}, "unknown network 'Convv'; did you mean 'Conv'? Allowed: "),
        ({"hidden": [3]}, "a network needs a type; allowed: "),
        (
            {"type": "MLP", "hiden": [3]},
            "unknown key 'hiden'; did you mean 'hidden'? Allowed: hidden, activation, init",
        ),
        ({"type": "Network"}, "unknown network 'Network'; allowed: "),
    ],
)
def test_a_wrong_name_gets_one_line(said, line):
    with pytest.raises(ValidationError) as caught:
        read(AnyNetwork).validate_python(said)
    (error,) = caught.value.errors()
    assert error["msg"].startswith(line)
    assert "\n" not in error["msg"]


CHECKED = [
    *(
        cls
        for base in (Network, Family, Noise, Prior, Objective, Schedule)
        for cls in members(base.__module__, base).values()
    ),
    *(Recipe, About, Data, Interactions, Architecture, Training, Phase, Reporting, Tracking),
]
"""Every part, and every table of a recipe."""


def leaves(kind):
    """The plain types that an annotation is made of."""
    return set().union(*map(leaves, get_args(kind))) if get_args(kind) else {kind}


NUMBERS = [
    (cls, name, kind)
    for cls in CHECKED
    for name, kind in get_type_hints(cls).items()
    if name in {f.name for f in fields(cls)} and {int, float} & leaves(kind)
]


@pytest.mark.parametrize(
    ("cls", "name", "kind"), NUMBERS, ids=lambda x: getattr(x, "__name__", None) or str(x)[:20]
)
def test_true_is_no_number(cls, name, kind):
    """In any field of any part or table, in Python and in a recipe, alone or in a list; where truth
    is allowed it stays that.
    """
    given = {f.name: "x" for f in fields(cls) if f.default is f.default_factory} | {name: True}
    if bool in leaves(kind):
        kept = cls(**{name: {"a": True, "b": 1, "c": 2.5}}).optimizer_options
        assert [type(value) for value in kept.values()] == [bool, int, float]
        return
    for value in (True, (False,)):
        with pytest.raises(ConfigError, match=rf"^{cls.__name__}: {name}.* should be ") as caught:
            cls(**given | {name: value})
        assert "\n" not in str(caught.value)
    with pytest.raises(ValidationError):
        from_mapping(cls, given)


@pytest.mark.parametrize("cls", CHECKED)
def test_wrong_values_in_python_are_config_errors(cls):
    with pytest.raises(ConfigError, match=rf"^{cls.__name__}: unknown key 'nonsense'"):
        cls(nonsense=3)


@pytest.mark.parametrize(
    ("make", "tables"),
    [
        (lambda: Training(epochs=0), {"training": {"epochs": 0}}),
        (lambda: Training(0, "many"), {"training": {"epochs": 0, "batch_size": "many"}}),
        (lambda: Training(phases=(3,)), {"training": {"phases": [3]}}),
        (lambda: MLP((4, 0)), {"model.network": {"type": "MLP", "hidden": [4, 0]}}),
        (lambda: Elbo(beta=-1), {"objective": {"type": "Elbo", "beta": -1}}),
        (lambda: Elbo("x"), {"objective": {"type": "Elbo", "beta": "x"}}),
        (
            lambda: Architecture(network={"type": "MLP", "hiden": 3}),
            {"model": {"network": {"type": "MLP", "hiden": 3}}},
        ),
        (lambda: Data("digits", size="4"), {"data": {"source": "digits", "size": "4"}}),
        (lambda: Data(), {"data": {}}),
    ],
)
def test_python_and_recipe_use_the_same_words(make, tables):
    (path, table), *_ = tables.items()
    recipe = {"data": {"source": "digits"}} | (
        {"model": {"network": table}} if "." in path else {path: table}
    )
    with pytest.raises(ConfigError) as in_python:
        make()
    with pytest.raises(ConfigError) as in_recipe:
        parse(recipe)
    assert type(in_python.value) is type(in_recipe.value)
    words = str(in_python.value).partition(": ")[2]
    told = re.sub(
        rf"(recipe: |; ){re.escape(path)}(\.|: )", r"\1", str(in_recipe.value)
    ).removeprefix("recipe: ")
    assert words == told


def test_a_checked_class_is_a_frozen_dataclass_with_its_signature():
    assert list(signature(MLP).parameters) == [f.name for f in fields(MLP)]
    part = MLP((3,), activation="tanh")
    assert replace(part, hidden=[4]) == MLP((4,), "tanh")
    assert deepcopy(part) == part
    assert len({part, MLP((3,), "tanh")}) == 1
    with pytest.raises(FrozenInstanceError):
        part.hidden = (5,)


@pytest.mark.parametrize("said", [7, None, Normal(), MLP])
def test_what_is_no_part_is_refused(said):
    with pytest.raises(ValidationError):
        read(AnyNetwork).validate_python(said)


def test_unknown_without_a_near_name_gives_no_hint():
    assert (
        errors.unknown("split", "zzz", ["train", "test"])
        == "unknown split 'zzz'; allowed: train, test"
    )
    assert (
        errors.unknown("split", "tran", ["train"], " of x")
        == "unknown split 'tran' of x; did you mean 'train'? Allowed: train"
    )
    assert errors.unknown("split", 3, []) == "unknown split 3; allowed: none"


@pytest.mark.parametrize(
    ("error", "base", "code"),
    [
        (errors.ConfigError("x"), ValueError, 2),
        (errors.ShapeError("x"), errors.DataError, 2),
        (errors.DownloadError("x"), ValueError, 2),
        (errors.RunError("x"), errors.LowerboundError, 2),
        (errors.NonFiniteError("x"), ArithmeticError, 1),
        (errors.Interrupted("x"), errors.LowerboundError, 130),
        (errors.Interrupted("x", 15), errors.LowerboundError, 143),
    ],
)
def test_exit_codes(error, base, code):
    assert isinstance(error, base)
    assert isinstance(error, errors.LowerboundError)
    assert error.exit_code == code
    assert str(error) == "x"

"""Names -> things: what is found, and the one line that a wrong name or key gets."""

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from lowerbound import errors, noise
from lowerbound.catalogue import describe, from_mapping, members
from lowerbound.families import AnyFamily, Family, Normal
from lowerbound.model import Architecture
from lowerbound.networks import MLP, AnyNetwork, Conv, Network, ResNet
from lowerbound.noise import AnyNoise, Dropout, L2Normalize, Noise
from lowerbound.objectives import AnyObjective, Elbo
from lowerbound.priors import AnyPrior, Mixture
from lowerbound.schedules import Linear


def read(kind):
    return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))


def test_members_are_the_public_final_classes_of_a_module():
    """Neither the base, nor what was imported from elsewhere, nor a name with an underscore."""
    found = members("lowerbound.families", Family)
    assert {"Normal", "Bernoulli", "ContinuousBernoulli", "Delta", "DiscretizedLogistic"} <= found.keys()
    assert "Family" not in found
    assert not any(name.startswith("_") for name in found)
    assert members("lowerbound.model", Family) == {}


def test_members_of_a_package_come_from_all_its_files():
    assert {"MLP": MLP, "Conv": Conv, "ResNet": ResNet}.items() <= members("lowerbound.networks", Network).items()


def test_a_new_class_is_found_where_it_stands(monkeypatch):
    """Whoever adds a class to a module has added it to the catalogue: no list, no decorator."""
    fresh = type("Fresh", (Noise,), {"__module__": noise.__name__, "__call__": lambda self, x, training: x})
    hidden = type("_Hidden", (Noise,), {"__module__": noise.__name__, "__call__": lambda self, x, training: x})
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
    spec = Architecture((3, 2), Conv((4,)), MLP((7,)), noise=(L2Normalize(), Dropout(0.1)), prior=Mixture(4), heads="separate")
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
        ({"type": "MLP", "hiden": [3]}, "unknown key 'hiden'; did you mean 'hidden'? Allowed: hidden, activation, init"),
        ({"type": "Network"}, "unknown network 'Network'; allowed: "),
    ],
)
def test_a_wrong_name_gets_one_line(said, line):
    with pytest.raises(ValidationError) as caught:
        read(AnyNetwork).validate_python(said)
    (error,) = caught.value.errors()
    assert error["msg"].startswith(line)
    assert "\n" not in error["msg"]


@pytest.mark.parametrize("said", [7, None, Normal(), MLP])
def test_what_is_no_part_is_refused(said):
    with pytest.raises(ValidationError):
        read(AnyNetwork).validate_python(said)


def test_unknown_without_a_near_name_gives_no_hint():
    assert errors.unknown("split", "zzz", ["train", "test"]) == "unknown split 'zzz'; allowed: train, test"
    assert (
        errors.unknown("split", "tran", ["train"], " of x") == "unknown split 'tran' of x; did you mean 'train'? Allowed: train"
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

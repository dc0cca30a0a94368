"""Recipes: typed, refused by name when wrong, and the same after a round trip through TOML."""

import tomllib

import pytest

from lowerbound import recipe as recipes
from lowerbound.errors import ConfigError
from lowerbound.families import Normal
from lowerbound.networks import MLP, Conv
from lowerbound.objectives import Elbo
from lowerbound.schedules import Linear

MINIMAL = {"data": {"source": "digits"}}


@pytest.mark.parametrize("name", recipes.packaged())
def test_packaged_recipes_survive_a_round_trip(name):
    plan = recipes.load(name)
    assert recipes.parse(tomllib.loads(plan.to_toml())) == plan


@pytest.mark.parametrize("name", recipes.packaged())
def test_packaged_recipes_say_what_they_reproduce(name):
    about = recipes.load(name).about
    assert about.title
    assert about.source
    assert about.measured


def test_defaults_fill_what_is_left_out():
    plan = recipes.parse(MINIMAL)
    assert plan.model.network == MLP()
    assert plan.objective == Elbo()


def test_parts_are_given_by_name_or_as_a_table():
    plan = recipes.parse(
        MINIMAL
        | {
            "model": {
                "network": {"type": "Conv", "channels": [8]},
                "likelihood": {"type": "Normal", "variance": 0.5},
            }
        }
    )
    assert plan.model.network == Conv(channels=(8,))
    assert plan.model.likelihood == Normal(variance=0.5)
    assert recipes.parse(MINIMAL | {"model": {"network": "Conv"}}).model.network == Conv()


def test_schedules_are_parts_inside_parts():
    plan = recipes.parse(
        MINIMAL
        | {"objective": {"type": "Elbo", "beta": {"type": "Linear", "stop": 0.2, "steps": 100}}}
    )
    assert plan.objective == Elbo(beta=Linear(stop=0.2, steps=100))
    assert recipes.parse(tomllib.loads(plan.to_toml())) == plan


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.netwerk": 3}, "model: unknown key 'netwerk'; did you mean 'network'?"),
        ({"modell.latent": [2]}, "unknown key 'modell'; did you mean 'model'?"),
        (
            {"model.network": "MLQ"},
            "model.network: unknown network 'MLQ'; did you mean 'MLP'? Allowed: Conv",
        ),
        (
            {"model.network.hiden": [3]},
            "model.network: unknown key 'hiden'; did you mean 'hidden'?",
        ),
        ({"model.latent": [0]}, "model.latent.0: should be greater than 0, got 0"),
        ({"model.latent": []}, "model.latent"),
        ({"training.epochs": 0}, "training.epochs: should be greater than 0, got 0"),
        ({"training.learning_rate": float("nan")}, "training.learning_rate"),
        (
            {"training.optimizer": "Adm"},
            "training.optimizer: unknown optimizer 'Adm'; did you mean 'Adam'?",
        ),
        (
            {"model.posterior": "Delta"},
            "a Delta posterior has no bound: the objective must be Reconstruction, got Elbo",
        ),
        ({"model.likelihood": "Delta"}, "likelihood must have a density"),
        ({"model.likelihood": {"type": "Normal", "variance": -1.0}}, "variance must be"),
        ({"data.size": "12"}, "data.size"),
        ({"training.optimizer_options.lr": 1.0}, "lr is training.learning_rate"),
        ({"training.seed": 2**64}, "training.seed"),
        ({"objective.free_bits": -1.0}, "objective.free_bits"),
        (
            {"training.schedule": "Liner"},
            "training.schedule: unknown schedule 'Liner'; did you mean 'Linear'?",
        ),
    ],
)
def test_wrong_values_are_refused_by_name_in_one_line(settings, message):
    with pytest.raises(ConfigError) as caught:
        recipes.parse(MINIMAL).replace(settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigError, match=r"training\.epochs.*training\.batch_size"):
        recipes.parse(MINIMAL).replace({"training.epochs": 0, "training.batch_size": 0})


def test_setting_the_type_of_a_part_leaves_the_keys_of_the_old_one_behind():
    assert (
        recipes.load("aevb-mnist").replace({"model.network.type": "Conv"}).model.network == Conv()
    )


def test_another_type_keeps_the_keys_that_are_set_beside_it_in_any_order():
    keys = {"model.network.channels": [3, 5], "model.network.type": "Conv", "model.latent": [4]}
    for order in (list(keys), list(reversed(keys))):
        changed = recipes.load("aevb-mnist").replace({key: keys[key] for key in order})
        assert changed.model.network == Conv(channels=(3, 5))
        assert changed.model.latent == (4,)


def test_setting_a_key_of_a_part_keeps_the_rest_of_it():
    network = recipes.load("aevb-mnist").replace({"model.network.hidden": [7]}).model.network
    assert network == MLP(hidden=(7,), activation="tanh", init=0.1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.latent=[4]", ("model.latent", [4])),
        ("data.size=64x64", ("data.size", "64x64")),
        ("training.learning_rate=1e-3", ("training.learning_rate", 1e-3)),
        ("training.patience=none", ("training.patience", None)),
        ("model.likelihood=Normal", ("model.likelihood", "Normal")),
        ("data.grey=true", ("data.grey", True)),
        ("about.title=a=b", ("about.title", "a=b")),
    ],
)
def test_settings_of_the_command_line(text, expected):
    assert recipes.setting(text) == expected


def test_none_takes_a_key_away():
    assert recipes.load("aevb-mnist").replace({"training.patience": None}).training.patience is None


@pytest.mark.parametrize("text", ["training.epochs", "=3", ""])
def test_a_setting_needs_a_key_and_a_value(text):
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        recipes.setting(text)


def test_a_file_that_is_not_toml_is_one_line(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("data = [")
    with pytest.raises(ConfigError, match="not a TOML file") as caught:
        recipes.load(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'digits'"):
        recipes.load("digit")


def test_replacing_leaves_the_original_alone():
    plan = recipes.load("iwae-mnist")
    before = plan.to_toml()
    plan.replace({"training.optimizer_options.eps": 7.0})
    assert plan.to_toml() == before


# Counts that are for the recipe's own source


COUNTED = sorted(
    name
    for name in recipes.packaged()
    if max(recipes.load(name).data.validation, recipes.load(name).data.test) >= 1
)


def test_some_recipes_have_counts():
    """Without them the tests below would hold nothing."""
    assert {"conv-mnist", "aevb-mnist", "iwae-mnist", "hierarchical-mnist"} <= set(COUNTED)


@pytest.mark.parametrize("name", COUNTED)
def test_a_count_does_not_apply_to_another_source(name):
    """The default fractions take its place: 1,000 examples of MNIST are none of 120 photographs."""
    plan = recipes.load(name)
    fractions = plan.fractions_for_other_data({"data.source": "photos"})
    changed = plan.replace(fractions | {"data.source": "photos"}).data
    assert (changed.validation, changed.test) == (0.1, 0.1)


@pytest.mark.parametrize("settings", [{}, {"data.source": "mnist"}, {"data.grey": True}], ids=str)
def test_a_count_applies_to_the_own_source(settings):
    assert recipes.load("conv-mnist").fractions_for_other_data(settings) == {}


def test_a_count_that_was_typed_applies_to_any_source():
    plan = recipes.load("conv-mnist").replace({"data.test": 7})
    typed = {"data.source": "photos", "data.validation": 20}
    assert plan.fractions_for_other_data(typed) == {"data.test": 0.1}


def test_fractions_of_a_recipe_apply_to_any_source():
    assert recipes.load("digits").data.test == 0.2
    assert recipes.load("digits").fractions_for_other_data({"data.source": "photos"}) == {}


def test_the_own_source_may_be_named_in_two_ways(tmp_path, monkeypatch):
    """A path from here and the same path from the root are one source."""
    monkeypatch.chdir(tmp_path)
    plan = recipes.parse({"data": {"source": "photos", "validation": 5}})
    assert plan.fractions_for_other_data({"data.source": str(tmp_path / "photos")}) == {}
    other = {"data.source": str(tmp_path / "more")}
    assert plan.fractions_for_other_data(other) == {"data.validation": 0.1}


def test_a_number_that_is_too_small_is_asked_for_no_list():
    plan = recipes.load("ladder-mnist")
    with pytest.raises(ConfigError) as error:
        plan.replace({"model.ladder.width": 0})
    assert str(error.value).endswith("model.ladder.width: should be greater than 0, got 0")
    with pytest.raises(ConfigError, match="should be a whole number or a list"):
        plan.replace({"model.ladder.width": "wide"})

"""Whether a model is compiled changes no figure."""

import warnings

import pytest
import torch

from lowerbound.errors import ConfigError
from lowerbound.model import Architecture
from lowerbound.networks import MLP, Conv
from lowerbound.training import execution
from lowerbound.training.execution import Compiled, compiled, compiler

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # torch's own, where it compiles

LONG = execution.COMPILED_STEPS


@pytest.mark.parametrize(
    ("network", "choice", "steps", "expected"),
    [
        (MLP((8,)), "auto", LONG, True),
        (MLP((8,)), "auto", LONG - 1, False),
        (MLP((8,)), True, 1, True),
        (MLP((8,)), "graphs", 1, True),
        (MLP((8,)), False, LONG, False),
        (Conv((4,)), "auto", LONG, False),
        (Conv((4,)), True, 1, True),
    ],
)
def test_what_is_compiled(network, choice, steps, expected, monkeypatch):
    monkeypatch.setattr(execution, "compiler", lambda: "g++")
    model = Architecture(latent=(2,), network=network).build((1, 8, 8))
    assert isinstance(compiled(model, choice, steps, 10), Compiled) is expected


def test_without_a_compiler_auto_is_the_model_and_true_is_one_line(monkeypatch):
    monkeypatch.setattr(execution.shutil, "which", lambda name: None)
    model = Architecture(latent=(2,), network=MLP((8,))).build((4,))
    assert compiled(model, "auto", LONG, 10) is model
    with pytest.raises(ConfigError, match=r"training\.compile needs a C\+\+ compiler"):
        compiled(model, True, LONG, 10)


@pytest.fixture
def uncompilable():
    from torch._inductor import config

    with config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        yield


@pytest.mark.parametrize("needed", [True, False])
def test_a_model_that_cannot_be_compiled_is_one_line_or_goes_on_as_it_is(
    needed, uncompilable, capsys
):
    model = Architecture(latent=(2,), network=MLP((5,))).build((3,))
    fast, x = Compiled(model, 6, needed=needed), torch.rand(6, 3)
    if needed:
        with pytest.raises(
            ConfigError, match=r"^training\.compile: the model cannot be compiled here: .*ompiler"
        ):
            fast(x)
        return
    torch.manual_seed(1)
    got = fast(x, 1, "valid").log_weight
    torch.manual_seed(1)
    assert torch.equal(got, model(x, 1, "valid").log_weight)
    assert "cannot be compiled here" in capsys.readouterr().err
    fast(x)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
def test_a_compiled_model_draws_the_same_numbers_and_gives_the_same_gradients():
    torch.manual_seed(0)
    model = Architecture(latent=(3, 2), network=MLP((8,)), level_network=MLP((6,))).build((4,))
    fast, found = Compiled(model, 10), []
    for module, size in ((model, 10), (fast, 10), (model, 3), (fast, 3)):
        model.zero_grad()
        torch.manual_seed(1)
        with warnings.catch_warnings(action="ignore"):  # torch's own, while it compiles
            terms = module(torch.linspace(0, 1, 4 * size).view(size, 4), 2, "valid")
        (-terms.log_weight.mean()).backward()
        found.append(
            [
                terms.log_likelihood.detach(),
                terms.rate.detach(),
                *(p.grad.clone() for p in model.parameters()),
            ]
        )
    for plain, other in (found[:2], found[2:]):
        for wanted, got in zip(plain, other, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("choice", "expected"), [(True, None), ("graphs", True)])
def test_only_graphs_asks_for_cuda_graphs(choice, expected, monkeypatch):
    asked = {}
    monkeypatch.setattr(execution, "compiler", lambda: "g++")
    monkeypatch.setattr(torch, "compile", lambda model, **options: asked.update(options) or model)
    compiled(Architecture(latent=(2,), network=MLP((8,))).build((4,)), choice, 1, 10)
    assert asked["options"].get("triton.cudagraphs") is expected
    assert asked["options"]["fallback_random"] is True

"""Top-down hierarchies: what varies, what stands still, and what they refuse."""

import math
import re
from dataclasses import replace

import pytest
import torch

import lowerbound
from lowerbound.batch import Batch
from lowerbound.columns import ColumnSchema
from lowerbound.errors import ConfigError, ShapeError
from lowerbound.families import DiscretizedLogistic, Normal
from lowerbound.latents import stretched
from lowerbound.model import Architecture
from lowerbound.networks import Conv
from lowerbound.networks.ladders import ConvLadder, MLPLadder
from lowerbound.noise import Dropout
from lowerbound.priors import Mixture
from lowerbound.testing import check_latents

LATENT = (3, 2, 2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Architecture(latent=LATENT, ladder=MLPLadder(8, merge="free")).build((5,))


def entering(model):
    """Notes the z that enters each rung, by level."""
    seen = {}
    for level, rung in enumerate(model.latents.rungs):
        step = rung.step

        def noted(state, z, level=level, step=step):
            seen[level] = z
            return step(state, z)

        rung.step = noted
    return seen


def test_levels_above_one_that_varies_are_those_of_its_group(model):
    seen = entering(model)
    with torch.no_grad():
        model.latents.vary(0, 2, 3)
    above = seen[1]
    assert torch.equal(above[0], above[1])
    assert torch.equal(above[3], above[5])
    assert not torch.equal(above[2], above[3])
    assert len(seen[0].unique(dim=0)) == 6


def test_levels_below_one_that_varies_are_at_their_prior_means(model):
    seen = entering(model)
    with torch.no_grad():
        context = model.latents.vary(2, 2, 2)
        top = model.latents.generate(4).zs[-1]
        below = model.latents.descend(top, 2)
    assert context.shape == (4, 8)
    state = model.latents.start(top)
    mean, _ = model.latents.rungs[1].prior(state)
    torch.testing.assert_close(seen[1], mean)
    assert torch.equal(below, model.latents.descend(top, 2))


def test_shapes_of_maps_whose_size_no_stride_divides():
    ladder = ConvLadder((4, 6), (1, 2), 4, 1)
    latents = Architecture(latent=(1, 2, 3, 5), ladder=ladder).build((3, 30, 21)).latents
    assert latents.sizes == (8 * 6, 2 * 4 * 3, 3 * 4 * 3, 5)
    assert latents.context_shape == (4, 8, 6)


def test_every_likelihood_of_images_stands_on_a_ladder():
    for likelihood in (DiscretizedLogistic(), Normal(variance="shared"), Normal()):
        spec = Architecture(latent=(2, 2, 4), ladder=ConvLadder(8), likelihood=likelihood)
        model = spec.build((3, 10, 9))
        x = torch.randint(0, 256, (2, 3, 10, 9)) / 255
        assert model.terms(x, 2).log_weight.isfinite().all()
        assert model.reconstruct(x).shape == x.shape


def test_noise_stands_before_the_way_up():
    spec = Architecture(latent=(2, 2), ladder=MLPLadder(8), noise=(Dropout(0.5),))
    model = spec.build((20,))
    x = torch.rand(4, 20)
    torch.manual_seed(0)
    noisy = model.latents.top(x).mean
    clean = model.latents.top.clean(x).mean
    assert not torch.equal(noisy, clean)
    model.eval()
    torch.testing.assert_close(model.latents.top(x).mean, clean)


def test_a_learned_prior_stands_on_top():
    spec = Architecture(latent=(2, 3), ladder=MLPLadder(8), prior=Mixture(components=4))
    model = spec.build((6,))
    terms = model.terms(torch.rand(3, 6), 2)
    terms.log_weight.sum().backward()
    assert model.latents.prior.location.grad is not None
    assert model.sample(4).shape == (4, 6)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"network": Conv()}, "network is for a chain of levels, and model.ladder is MLPLadder"),
        ({"decoder_network": "tied"}, "decoder_network is for a chain"),
        ({"heads": "separate"}, "heads is for a chain"),
        ({"start": "factors"}, "start is for a chain"),
    ],
)
def test_settings_of_a_chain_are_refused_beside_a_ladder(settings, line):
    with pytest.raises(ValueError, match=re.escape(line)):
        Architecture(latent=(2, 2), ladder=MLPLadder(), **settings)


def test_a_ladder_of_maps_says_how_many_levels_it_has():
    spec = Architecture(latent=(2, 2), ladder=ConvLadder(grids=(2,)))
    with pytest.raises(ConfigError, match=r"model.latent must have 3 numbers .* got \[2, 2\]"):
        spec.build((1, 8, 8))


def test_a_ladder_of_maps_takes_images_alone():
    spec = Architecture(latent=(2, 2, 2), ladder=ConvLadder())
    with pytest.raises(ShapeError, match=r"ConvLadder needs images.*MLPLadder for vectors"):
        spec.build((20,))


def test_a_ladder_takes_no_interactions():
    spec = Architecture(latent=(2, 2), ladder=MLPLadder())
    with pytest.raises(ConfigError, match=r"model\.ladder is for images and tables"):
        spec.build((20,), sparse=True)


def test_a_table_with_gaps_is_fitted_on_a_ladder(tmp_path):
    rows = [{"height": 150.0 + i, "colour": ["red", "blue", None][i % 3]} for i in range(60)]
    settings = {
        "model.network": None,
        "model.ladder": {"type": "MLPLadder", "width": 8},
        "model.latent": [2, 2],
        "training.steps": 4,
        "report.write": False,
    }
    run = lowerbound.fit("table", data=rows, out=tmp_path / "run", settings=settings)
    assert run.model.latents.sizes == (2, 2)
    assert len(run.sample(5)) == 5


def label(levels):
    """The schema of a label."""
    return ColumnSchema("label", "categorical", levels=tuple(map(str, range(levels))))


@pytest.mark.parametrize(
    ("ladder", "latent", "shape"),
    [
        (MLPLadder(8), (2, 2), (5,)),
        (MLPLadder(8), (2, 2), (1, 4, 4)),
        (ConvLadder(4, (1, 1), 2), (1, 2, 3), (1, 6, 5)),
    ],
    ids=["vectors", "flat images", "maps"],
)
@pytest.mark.parametrize("conditional_prior", [False, True])
def test_a_conditional_ladder_keeps_the_laws(ladder, latent, shape, conditional_prior):
    spec = Architecture(latent=latent, ladder=ladder, conditional_prior=conditional_prior)
    model = spec.build(shape, given=[label(3)]).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    given = torch.tensor([[0.0], [1.0], [2.0], [math.nan]]).double()
    batch = Batch(torch.rand(4, *shape).double(), given)
    check_latents(model.latents, replace(batch, given=model.embed(given)))
    terms = model.terms(batch, 3)
    assert terms.log_weight.isfinite().all()
    other = model.terms(replace(batch, given=given.flip(0)), 3)
    assert not torch.equal(other.log_weight, terms.log_weight)
    samples = model.generate(4, given).mean
    assert samples.shape == (4, *shape)


@pytest.mark.parametrize("merge", ["residual", "free", "precision"])
def test_stretched_draws_of_all_levels_are_made_in_one_walk(merge):
    """Each level is as far from the centre of its posterior as the factor says."""
    model = Architecture(latent=LATENT, ladder=MLPLadder(8, merge=merge)).build((5,)).double()
    x = torch.rand(3, 5).double()
    torch.manual_seed(1)
    with torch.no_grad(), stretched(4.0) as stretching:
        wide = model.infer(x, 2000)
    assert stretching.levels == 3
    for level in wide.levels:
        distance = (level.z - level.q.mean) / level.q.base_dist.scale
        torch.testing.assert_close(
            distance.std(0), torch.full_like(level.z[0], 4.0), atol=0.4, rtol=0
        )
        assert level.log_q is None

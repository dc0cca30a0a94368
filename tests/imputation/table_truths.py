"""Models of tables whose imputations are known in closed form, or by quadrature."""

import math
from itertools import product

import torch
from torch import nn
from torch.distributions import Independent, Normal

from lowerbound.columns import ColumnSchema
from lowerbound.families.columns import Columns
from lowerbound.families.place import Place
from lowerbound.latents import Chain
from lowerbound.model import VAE
from lowerbound.model.inputs import TableFeatures
from lowerbound.priors import StandardNormal

REAL_COLUMNS = (
    ColumnSchema("a", mean=10.0, scale=2.0),
    ColumnSchema("b", mean=-3.0, scale=0.5),
    ColumnSchema("c", "positive", mean=1.0, scale=0.4),
    ColumnSchema("d", mean=0.0, scale=5.0),
)
"""Three real columns and one of positive numbers, whose log is what the model sees."""

LEVEL_COLUMNS = (
    ColumnSchema("u", "categorical", "text", ("p", "q", "r")),
    ColumnSchema("v", "binary", "text", ("no", "yes")),
    ColumnSchema("w", "ordinal", "integer", ("1", "2", "3", "4")),
)


class Linear(nn.Module):
    """p(x | z) whose parameters are weight @ z + bias."""

    def __init__(self, columns, weight, bias):
        super().__init__()
        likelihood = Columns(
            real={"type": "Gaussian", "scale": "shared"},
            positive={"type": "Gaussian", "scale": "shared"},
        )
        bound = likelihood.of_columns(columns)
        self.head = bound.head(Place((len(columns),)))
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        (self.width,) = bound.features((len(columns),))

    def forward(self, z):
        return self.head(z @ self.weight.T + self.bias)


class Rough(nn.Module):
    """q(z | x), which is not the posterior: too wide, and beside it."""

    def __init__(self, features, size):
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(size, features))

    def forward(self, features):
        mean = 0.3 + features @ self.weight.T
        return Independent(Normal(mean, torch.full_like(mean, 1.2)), 1)


def make_model(columns, size, width, seed=0):
    """A VAE with a linear decoder of these columns, and an encoder that is not right."""
    torch.manual_seed(seed)
    features = TableFeatures(columns)
    prior = StandardNormal().build(Place((size,)))
    latents = Chain([Rough(features.width, size)], [prior], [size])
    decoder = Linear(columns, torch.randn(width, size), 0.3 * torch.randn(width))
    return VAE(latents, decoder, (len(columns),), features=features).double().eval()


class LinearGaussian:
    """The model of `REAL_COLUMNS` with two latent variables: its codes are jointly Gaussian."""

    def __init__(self):
        self.columns = REAL_COLUMNS
        self.model = make_model(REAL_COLUMNS, 2, 4)
        with torch.no_grad():
            found = self.model.decode(torch.zeros(1, 2).double()).base_dist
        order = found.order
        scale = torch.cat([each.codes.log_scale[0] for _, each in found.groups])[order].exp()
        weight = self.model.decoder.weight[order]
        self.mean = self.model.decoder.bias[order].detach()
        self.covariance = (weight @ weight.T + torch.diag(scale**2)).detach()

    def conditional(self, codes, observed):
        """Mean and covariance of the codes that are not observed, given the others."""
        o = torch.as_tensor(observed)
        to_known = torch.linalg.solve(self.covariance[o][:, o], self.covariance[o][:, ~o]).T
        mean = self.mean[~o] + to_known @ (torch.as_tensor(codes)[o] - self.mean[o])
        return mean, self.covariance[~o][:, ~o] - to_known @ self.covariance[o][:, ~o]

    def in_units(self, mean, variance, places):
        """Means and variances of values, of those of codes: log-normal where codes are logs."""
        means = []
        variances = []
        for m, v, place in zip(mean.tolist(), variance.tolist(), places, strict=True):
            column = self.columns[place]
            m = m * column.scale + column.mean
            v = v * column.scale**2
            if column.kind == "positive":
                log_mean = m
                m = math.exp(log_mean + v / 2)
                v = math.expm1(v) * m**2
            means.append(m)
            variances.append(v)
        return means, variances


class LatentClass:
    """The model of `LEVEL_COLUMNS` with one latent variable, by quadrature."""

    def __init__(self):
        self.columns = LEVEL_COLUMNS
        width = sum({3: 4, 2: 2, 4: 4}[len(column.levels)] for column in LEVEL_COLUMNS)
        self.model = make_model(LEVEL_COLUMNS, 1, width)
        with torch.no_grad():
            self.model.decoder.weight.mul_(2)
        self.grid = torch.linspace(-8, 8, 4001).double()

    def probabilities(self, values, place):
        """p(x_place | the values that are no NaN), (L,)."""
        with torch.no_grad():
            table = self.model.decode(self.grid[:, None]).base_dist
            log_prior = -0.5 * self.grid**2
            for other, value in enumerate(values):
                if not math.isnan(value):
                    rows = torch.full((len(self.grid), 3), 0.0).double()
                    rows[:, other] = value
                    log_prior = log_prior + table.log_prob(rows)[:, other]
            weights = torch.softmax(log_prior, 0)
            found = []
            for level in range(len(self.columns[place].levels)):
                rows = torch.full((len(self.grid), 3), 0.0).double()
                rows[:, place] = level
                found.append((weights * table.log_prob(rows)[:, place].exp()).sum().item())
        return found


def masks(size):
    """All choices of observed columns but that of all of them."""
    return [mask for mask in product([True, False], repeat=size) if not all(mask)]

"""A start of the model of a table: the factor analysis of its training rows.

A Gaussian with a full covariance is fitted to the features of the rows, with their gaps, by
expectation maximisation. Its covariance S is taken apart into W W' + Psi, with as many factors as
the model has latent variables (Bartholomew, Knott & Moustaki 2011, "Latent Variable Models and
Factor Analysis", chapter 3). Then z ~ N(0, I) and features = mean + W z + noise of the variances
Psi: this is where the linear path of the decoder starts, while its other layers say nothing. The
posterior given the observed features o has

    precision = I + W_o' Psi_o^-1 W_o,  mean = precision^-1 W_o' Psi_o^-1 (x_o - mean_o),

which no linear map of what the encoder sees can give for every set of gaps; its linear path starts
at the least squares of it.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..baselines import GaussianEM
from ..baselines.gaussian import FittedGaussian
from ..batch import Batch
from ..columns import ColumnSchema
from ..columns.families import FollowedFactors
from ..columns.families.scales import LogScale
from ..errors import ConfigError
from ..families.columns import ColumnsHead, Group
from ..networks.layers import WithLinearPath
from .conditionals import Conditional
from .inputs import LinearFeatures, TableFeatures, are_frequent
from .vae import VAE

ROWS = 3000
"""The factor analysis is of at most so many training rows."""

ROUNDS = 200
"""Expectation maximisation, and then the search for the factors, end after so many rounds."""

LEAST_NOISE = 0.005
"""The least variance of the noise of a standardised feature."""

MOST_HIDDEN = 0.5
"""The encoder starts from rows as they are, and from rows with up to this share of cells hidden."""


class Factors(NamedTuple):
    """A factor analysis of F features.

    Attributes:
        mean: of the features, (F,).
        loadings: W, (F, k).
        noise: Psi, (F,).
    """

    mean: np.ndarray
    loadings: np.ndarray
    noise: np.ndarray

    def posterior(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes means and variances of z given features (N, F) with NaN for gaps, (N, k)."""
        weights = np.where(np.isnan(features), 0.0, 1 / self.noise)
        residuals = np.nan_to_num(features - self.mean) * weights
        precisions = np.einsum(
            "nf,fj,fk->njk", weights, self.loadings, self.loadings, optimize=True
        )
        precisions += np.eye(self.loadings.shape[1])
        covariances = np.linalg.inv(precisions)
        means = np.einsum("njk,nk->nj", covariances, residuals @ self.loadings)
        return means, np.diagonal(covariances, axis1=1, axis2=2)


def start_from_factors(model: VAE, batch: Batch, columns: Sequence[ColumnSchema]) -> None:
    """Starts a model at the factor analysis of training rows.

    Args:
        model: of one level, whose networks have linear paths.
        batch: training rows.
        columns: of the table.

    Raises:
        ConfigError: the model is another one.
    """
    decoder = model.decoder
    features = model.features
    refuse_unfit(model)
    encoder = _encoder_of(model)
    assert isinstance(decoder, Conditional)
    assert isinstance(features, TableFeatures)
    seen = features.linear(*_codes_of(batch))
    factors = find_factors(seen.values.double().numpy(), model.latents.sizes[0])
    _start_decoder(decoder, factors, seen, columns)
    _start_encoder(encoder, factors, features, batch)


def refuse_unfit(model: VAE) -> None:
    """Refuses models that cannot start at a factor analysis.

    Raises:
        ConfigError: says what they lack.
    """
    if not isinstance(model.features, TableFeatures):
        raise ConfigError(
            "model.start='factors' is for tables whose columns have kinds: set data.kinds "
            "(data.kinds={} finds them), or model.start='random'"
        )
    if len(model.latents.sizes) > 1:
        raise ConfigError(
            f"model.start='factors' is for one level, got {len(model.latents.sizes)} in "
            "model.latent; take one, or model.start='random'"
        )
    for part in (_encoder_of(model), model.decoder):
        if not any(isinstance(module, WithLinearPath) for module in part.modules()):
            raise ConfigError(
                "model.start='factors' needs linear paths: set linear_path=true in model.network, "
                "or model.start='random'"
            )


def _encoder_of(model: VAE) -> Conditional:
    """Returns the posterior of the first level."""
    posteriors = cast("nn.ModuleList", model.latents.posteriors)
    return cast("Conditional", posteriors[0])


def _codes_of(batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns the codes of rows and which of them are observed."""
    codes = cast("Tensor", batch.x)
    if batch.observed is None:
        return codes, torch.ones_like(codes, dtype=torch.bool)
    return codes, batch.observed


def find_factors(features: np.ndarray, count: int) -> Factors:
    """Finds the factors of features (N, F), NaN for gaps.

    Features without two different values have no loadings.
    """
    shape = (features.shape[1], count)
    found = Factors(np.zeros(shape[0]), np.zeros(shape), np.ones(shape[0]))
    varies = _vary(features)
    if not varies.any():
        return found
    fitted = GaussianEM(rounds=ROUNDS).fit(features[:, varies])
    assert isinstance(fitted, FittedGaussian)
    scale = fitted.features.scale
    loadings, noise = take_apart(fitted.normal.covariance, count)
    found.mean[varies] = fitted.normal.mean * scale + fitted.features.shift
    found.loadings[varies] = loadings * scale[:, None]
    found.noise[varies] = noise * scale**2
    return found


def _vary(features: np.ndarray) -> np.ndarray:
    """Says which features (N, F) have two different values, (F,)."""
    low = np.where(np.isnan(features), np.inf, features).min(axis=0)
    high = np.where(np.isnan(features), -np.inf, features).max(axis=0)
    return high > low


def take_apart(covariance: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds W (F, k) and Psi (F,) whose W W' + Psi is most likely, given a covariance (F, F)."""
    variances = np.diag(covariance)
    noise = variances / 2
    for _ in range(ROUNDS):
        loadings = _loadings(covariance, noise, count)
        noise = np.maximum(variances - (loadings**2).sum(1), LEAST_NOISE)
    return loadings, noise


def _loadings(covariance: np.ndarray, noise: np.ndarray, count: int) -> np.ndarray:
    """Returns the most likely W (F, k), given Psi; zeros where there are fewer factors."""
    root = np.sqrt(noise)
    scaled = covariance / np.outer(root, root)
    values, vectors = np.linalg.eigh(scaled)
    # The eigenvalues ascend: the factors are the last ones.
    greatest = values[::-1][:count]
    directions = vectors[:, ::-1][:, :count]
    lengths = np.sqrt(np.maximum(greatest - 1, 0))
    found = directions * lengths * root[:, None]
    loadings = np.zeros((len(noise), count))
    loadings[:, : found.shape[1]] = found
    return loadings


# Decoder -----------------------------------------------------------------------------------------


@torch.no_grad()
def _start_decoder(
    decoder: Conditional, factors: Factors, seen: LinearFeatures, columns: Sequence[ColumnSchema]
) -> None:
    """Starts the decoder where the distributions of the columns follow the factors."""
    assert isinstance(decoder.head, ColumnsHead)
    weights = []
    biases = []
    for group, head in zip(decoder.head.groups, decoder.head.heads, strict=True):
        followed = [_followed(factors, seen.owner == place) for place in group.positions]
        for column, each in zip(group.columns, followed, strict=True):
            weight, bias = _outputs(group, column, each)
            weights.append(weight)
            biases.append(bias)
        _start_scales(head, group, followed)
    _start_linear(decoder, np.concatenate(weights), np.concatenate(biases))


def _followed(factors: Factors, mine: np.ndarray) -> FollowedFactors:
    """Returns how the features of one column follow the factors."""
    return FollowedFactors(factors.mean[mine], factors.loadings[mine], factors.noise[mine])


def _outputs(
    group: Group, column: ColumnSchema, followed: FollowedFactors
) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights (P, k) and biases (P,) of what the network gives for one column.

    Those of its atoms come first, see `columns.families.inflated`.
    """
    numbers = group.features // len(group.columns)
    weight = np.zeros((numbers, followed.loadings.shape[1]))
    bias = np.zeros(numbers)
    own = numbers - group.parameters
    weight[own:], bias[own:] = group.family.follow(column, followed.of_column(column))
    if own:
        weight[:own], bias[:own] = followed.of_atoms(are_frequent(column), own)
    return weight, bias


def _start_scales(head: nn.Module, group: Group, followed: Sequence[FollowedFactors]) -> None:
    """Starts scales that are learned numbers at the deviations of the noise."""
    for module in head.modules():
        if isinstance(module, LogScale):
            module.start_at([0.5 * np.log(each.noise[0]) for each in followed])


# Encoder -----------------------------------------------------------------------------------------


@torch.no_grad()
def _start_encoder(
    encoder: Conditional, factors: Factors, features: TableFeatures, batch: Batch
) -> None:
    """Starts the encoder at the least squares of the means and log-variances of the posteriors."""
    codes, observed = _codes_of(batch)
    random = np.random.default_rng(0)
    hidden = random.random(codes.shape) < random.uniform(0, MOST_HIDDEN, (len(codes), 1))
    observed = torch.cat([observed, observed & ~torch.from_numpy(hidden)])
    codes = torch.where(observed, torch.cat([codes, codes]), 0)
    inputs = features(codes, observed).double().numpy()
    seen = features.linear(codes, observed).values.double().numpy()
    means, variances = factors.posterior(seen)
    wanted = np.concatenate([means, np.log(variances)], axis=1)
    weight, bias = _least_squares(inputs, wanted)
    outputs = cast("nn.Linear", _linear_path(encoder).path).out_features
    _start_linear(encoder, weight[:outputs], bias[:outputs])


def _least_squares(inputs: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights (P, F) and biases (P,) of the least squares, with a ridge of one row."""
    shift = inputs.mean(0)
    mean = wanted.mean(0)
    centred = inputs - shift
    moments = centred.T @ centred + np.eye(len(shift))
    weight = np.linalg.solve(moments, centred.T @ (wanted - mean)).T
    return weight, mean - weight @ shift


def _linear_path(part: Conditional) -> WithLinearPath:
    """Returns the layers of a network and its linear path."""
    found = [module for module in part.modules() if isinstance(module, WithLinearPath)]
    return found[0]


def _start_linear(network: Conditional, weight: np.ndarray, bias: np.ndarray) -> None:
    """Lets a network start as a linear map: its last layer gives the bias alone."""
    module = _linear_path(network)
    *_, last = module.layers.children()
    layers = [layer for layer in last.modules() if isinstance(layer, nn.Linear)]
    widths = [layer.out_features for layer in layers]
    for layer, part in zip(layers, torch.from_numpy(bias).split(widths), strict=True):
        layer.weight.zero_()
        layer.bias.copy_(part)
    path = cast("nn.Linear", module.path)
    path.weight.copy_(torch.from_numpy(weight))

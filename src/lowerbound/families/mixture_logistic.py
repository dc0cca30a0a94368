"""Mixtures of logistic distributions on a grid of levels, for grey and colour pixels."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, constraints

from ..networks.limits import bounded
from ..specs.checked import checked
from ..system.tracing import is_exporting
from .base import FamilyWithHead
from .logistic import (
    LARGEST_LOG_SCALE,
    mean_of_rounded,
    not_on_grid,
    rounded,
    standard_logistic,
)
from .mixture_density import Layout, LogProb, Parts, log_prob_at_once
from .place import Place

PIECE = 2**22
"""Features whose means are computed, or whose values are drawn, at a time."""

IMAGE_DIMS = 3
"""Events of so many dimensions or more have channels, which are the first."""


class _Pixels:
    """Mixtures of rounded logistic variables at places, one mixture for all channels of a place.

    Args:
        features: what a network gives, (*batch, F, *places).
        start: is added to the features, (F, 1).
        layout: what the features are.
        place_dims: the number of dimensions of the places.
    """

    def __init__(self, features: Tensor, start: Tensor, layout: Layout, place_dims: int) -> None:
        self.features = features
        self.start = start
        self.layout = layout
        batch_dims = features.dim() - place_dims - 1
        self.batch_shape: torch.Size = features.shape[:batch_dims]
        self.places: torch.Size = features.shape[batch_dims + 1 :]

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes log p(x) of values (..., C, *places): (..., *places), in nats."""
        channels = self.layout.channels
        pixels = math.prod(self.places)
        leading = value.shape[: value.dim() - len(self.places) - 1]
        batch = torch.broadcast_shapes(leading, self.batch_shape)
        features = self.features.expand(*batch, self.layout.features, *self.places)
        x = value.expand(*batch, channels, *self.places)
        compute = LogProb.apply
        if is_exporting():
            compute = log_prob_at_once
        log_prob = compute(
            features.reshape(-1, self.layout.features, pixels),
            x.reshape(-1, channels, pixels),
            self.start,
            self.layout,
        )
        return log_prob.reshape(*batch, *self.places)

    @property
    def mean(self) -> Tensor:
        """The means of the components in the mean, (*batch, C, *places)."""
        return self._in_pieces(torch.Size(), self._means_of)

    def sample(self, shape: torch.Size) -> Tensor:
        """Draws values on the grid, (*shape, *batch, C, *places)."""
        with torch.no_grad():
            return self._in_pieces(shape, self._draws_of)

    def _means_of(self, parts: Parts) -> Tensor:
        """Computes the mean of each channel, (N, C, P)."""
        probabilities = torch.softmax(parts.logits, -2)
        means = self._by_channel(parts, self._mean_of_rounded)
        return (probabilities.unsqueeze(-3) * means).sum(-2)

    def _draws_of(self, parts: Parts) -> Tensor:
        """Draws a component of each pixel, and then one channel after the other, (N, C, P)."""
        return self._by_channel(_drawn_component(parts), self._draw_rounded).squeeze(-2)

    def _by_channel(self, parts: Parts, value_of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Computes a value of each channel from its location and scale, given those before it.

        Returns:
            Values (N, C, K, P).
        """
        scales = torch.exp(bounded(parts.log_scales, LARGEST_LOG_SCALE)).unbind(1)
        locations = list(parts.means.unbind(1))
        couplings = torch.tanh(parts.couplings).unbind(1)
        values: list[Tensor] = []
        for scale in scales:
            channel = len(values)
            for coupling, (moved, earlier) in zip(couplings, self.layout.pairs, strict=True):
                if moved == channel:
                    locations[channel] = locations[channel] + coupling * (values[earlier] - 0.5)
            values.append(value_of(locations[channel], scale))
        return torch.stack(values, 1)

    def _mean_of_rounded(self, location: Tensor, scale: Tensor) -> Tensor:
        return mean_of_rounded(location, scale, self.layout.levels)

    def _draw_rounded(self, location: Tensor, scale: Tensor) -> Tensor:
        standard = standard_logistic(location, location.shape)
        return rounded(location + scale * standard, self.layout.levels)

    def _in_pieces(self, shape: torch.Size, compute: Callable[[Parts], Tensor]) -> Tensor:
        """Computes (n, C, P) of the features of some examples after the others.

        Args:
            shape: every example is taken so many times.
            compute: what is computed.

        Returns:
            (*shape, *batch, C, *places).
        """
        pixels = math.prod(self.places)
        features = self.features.reshape(-1, self.layout.features, pixels)
        if is_exporting():
            values = compute(self.layout.split(features + self.start))
            return values.reshape(*self.batch_shape, self.layout.channels, *self.places)
        rows = torch.arange(len(features), device=features.device).repeat(math.prod(shape))
        pieces = []
        for chosen in rows.split(max(1, PIECE // (self.layout.features * pixels))):
            piece = features[chosen]
            started = piece.to(torch.promote_types(piece.dtype, torch.float32)) + self.start
            pieces.append(compute(self.layout.split(started)))
        values = torch.cat(pieces)
        return values.reshape(*shape, *self.batch_shape, self.layout.channels, *self.places)


def _drawn_component(parts: Parts) -> Parts:
    """Draws one of the K components of each of the pixels (N, ..., K, P): (N, ..., 1, P)."""
    examples, _, pixels = parts.logits.shape
    probabilities = torch.softmax(parts.logits, 1).transpose(1, 2)
    drawn = torch.multinomial(probabilities.flatten(0, 1), 1)
    index = drawn.view(examples, 1, 1, pixels)
    kinds = []
    for kind in (parts.means, parts.log_scales, parts.couplings):
        kinds.append(kind.gather(2, index.expand(-1, kind.shape[1], -1, -1)))
    return Parts(parts.logits.gather(1, index.squeeze(1)), *kinds)


class _GreyPixels(Distribution):
    """Mixtures of rounded logistic variables for values of one channel, each by itself."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.unit_interval

    def __init__(self, pixels: _Pixels) -> None:
        self.pixels = pixels
        self.channel_dim = -len(pixels.places) - 1
        super().__init__(pixels.batch_shape + pixels.places, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.pixels.log_prob(value.unsqueeze(self.channel_dim))

    @property
    def mean(self) -> Tensor:
        return self.pixels.mean.squeeze(self.channel_dim)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        return self.pixels.sample(torch.Size(sample_shape)).squeeze(self.channel_dim)


class _ColourPixels(Distribution):
    """Mixtures of rounded logistic variables for pixels of several channels, as one event."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.unit_interval

    def __init__(self, pixels: _Pixels) -> None:
        self.pixels = pixels
        event = torch.Size((pixels.layout.channels, *pixels.places))
        super().__init__(pixels.batch_shape, event, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.pixels.log_prob(value).flatten(-len(self.pixels.places)).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.pixels.mean

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        return self.pixels.sample(torch.Size(sample_shape))


class MixtureLogisticHead(nn.Module):
    """Makes the distribution of an event of what a network gives for it.

    Args:
        event: shape of what is distributed.
        layout: what the features of a pixel are.
    """

    def __init__(self, event: tuple[int, ...], layout: Layout) -> None:
        super().__init__()
        self.event = event
        self.layout = layout
        self.places: tuple[int, ...] = event
        if layout.channels > 1:
            self.places = event[1:]
        self.register_buffer("start", layout.start(), persistent=False)
        self.start: Tensor

    def forward(self, features: Tensor) -> Distribution:
        batch = features.shape[: features.dim() - len(self.event)]
        by_place = features.reshape(*batch, self.layout.features, *self.places)
        pixels = _Pixels(by_place, self.start, self.layout, len(self.places))
        if self.layout.channels > 1:
            return _ColourPixels(pixels)
        return Independent(_GreyPixels(pixels), len(self.event), validate_args=False)


@checked
class MixtureLogistic(FamilyWithHead):
    """A true probability for pixels of `levels` values, of all channels together: a mixture of
    logistic distributions, rounded (Salimans et al. 2017, PixelCNN++).

    The means of a channel follow the values of those before it. An event (C, H, W) has C channels,
    one of fewer dimensions has one. `mean` of a distribution is exact of one channel; of a later
    one it is that of each component where those before it are at their means, which neglects that
    values are held at the ends of the grid.

    Args:
        components: number of the distributions that are mixed.
        levels: number of values that a channel of a pixel can have, 256 for pictures of 8 bits.
    """

    components: PositiveInt = 10
    levels: int = Field(default=256, ge=2)

    def features(self, event: tuple[int, ...]) -> tuple[int, ...]:
        layout = self._layout(event)
        if len(event) < IMAGE_DIMS:
            return (layout.features * event[0], *event[1:])
        return (layout.features, *event[1:])

    def head(self, place: Place) -> nn.Module:
        return MixtureLogisticHead(place.event, self._layout(place.event))

    def _layout(self, event: tuple[int, ...]) -> Layout:
        """Returns what the features of a pixel of an event are."""
        channels = 1
        if len(event) >= IMAGE_DIMS:
            channels = event[0]
        return Layout(self.components, channels, self.levels)

    def refuses(self, low: float, high: float, levels: int | None) -> str | None:
        return not_on_grid(self, self.levels, levels)

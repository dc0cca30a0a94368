"""The density of mixtures of logistic variables at pixels, and its gradient.

log p(x) = logsumexp_k(log pi_k + sum_c log P_k(x_c | x_{<c})), where P_k is the probability of the
cell of a logistic variable, as in `DiscretizedLogistic`, and the mean of a channel is moved by
tanh(r_cj) (x_j - 1/2) for each channel j before it (Salimans et al. 2017, PixelCNN++, section 2; on
[-1, 1], as there, that is tanh(r_cj) x_j).
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..networks.limits import bounded
from .logistic import LARGEST_LOG_SCALE, ends_of_grid

START_SCALE = 0.1
"""The scale of all components where training starts, with pixels in [0, 1]."""

BLOCK = 2**17
"""Numbers of one kind, such as means, in a block of pixels whose density is computed at a time.

They are few enough for the cache, and enough for the work to be more than that of calling it.
"""

DEVICE_BLOCK = 2**23
"""The same on a device that is no CPU, for which many small calls are slow."""

FAR = 1e30
"""The distance, in scales, of the edge of a level behind which there is no other."""


class Parts(NamedTuple):
    """The features of pixels by what they are.

    Attributes:
        logits: of the components, (..., K, P).
        means: of the components where the channels before are 1/2, (..., C, K, P).
        log_scales: (..., C, K, P).
        couplings: before tanh, one for each pair of channels, (..., C (C - 1) / 2, K, P).
    """

    logits: Tensor
    means: Tensor
    log_scales: Tensor
    couplings: Tensor


class Layout(NamedTuple):
    """What the features of a pixel are.

    Attributes:
        components: K.
        channels: C.
        levels: number of values of the grid on [0, 1].
    """

    components: int
    channels: int
    levels: int

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The channels with each of those before them, on which their means depend."""
        pairs = []
        for channel in range(self.channels):
            for earlier in range(channel):
                pairs.append((channel, earlier))
        return pairs

    @property
    def features(self) -> int:
        """The numbers that a network gives for a pixel, F."""
        return self.components * (1 + 2 * self.channels + len(self.pairs))

    @property
    def step(self) -> float:
        """The distance between two levels."""
        return 1 / (self.levels - 1)

    def split(self, features: Tensor) -> Parts:
        """Splits features (..., F, P) into views."""
        counts = [1, self.channels, self.channels, len(self.pairs)]
        kinds = features.split([self.components * count for count in counts], -2)
        logits, means, log_scales, couplings = [
            kind.unflatten(-2, (count, self.components))
            for kind, count in zip(kinds, counts, strict=True)
        ]
        return Parts(logits.squeeze(-3), means, log_scales, couplings)

    def start(self) -> Tensor:
        """Returns the features of a pixel where training starts, (F, 1).

        The components are equally probable, their means are spread over [0, 1], and the channels of
        each do not depend on each other.
        """
        start = torch.zeros(self.features, 1)
        parts = self.split(start)
        means = (torch.arange(self.components) + 0.5) / self.components
        parts.means.copy_(means.unsqueeze(-1))
        parts.log_scales.fill_(math.log(START_SCALE))
        return start


class LogProb(torch.autograd.Function):
    """log p(x) of pixels, whose gradient is computed with it, a block at a time.

    So a block is in the cache for both, and nothing but the gradient is kept for the backward pass.
    x is on a grid, and has no gradient.

    Args:
        features: of N examples, without the start, (N, F, P).
        x: (N, C, P).
        start: is added to the features, (F, 1).
        layout: what the features are.

    Returns:
        Nats, (N, P), in float32 or in float64.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, x: Tensor, start: Tensor, layout: Layout) -> Tensor:
        # A number of 16 bits has too few digits for the place of a pixel in a narrow component.
        dtype = torch.promote_types(features.dtype, torch.float32)
        log_prob = torch.empty(len(x), x.shape[-1], dtype=dtype, device=x.device)
        gradient = None
        if ctx.needs_input_grad[0]:
            gradient = _empty_gradient(features)
        for rows, places in _blocks(features, layout):
            block = _Block(
                _by_feature(features[rows, :, places], dtype).add_(start),
                _by_feature(x[rows, :, places], dtype),
                layout,
            )
            target = log_prob[rows, places]
            target.copy_(block.log_prob().view(target.shape))
            if gradient is not None:
                _put(block.gradient(), gradient[rows, :, places])
        ctx.save_for_backward(gradient)
        return log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return (gradient * upstream.unsqueeze(1)).to(gradient.dtype), None, None, None


def log_prob_at_once(features: Tensor, x: Tensor, start: Tensor, layout: Layout) -> Tensor:
    """Computes what `LogProb` does, of all examples in one block and without a gradient.

    A graph has no blocks, whose number would hang on that of the examples.
    """
    dtype = torch.promote_types(features.dtype, torch.float32)
    started = features.to(dtype) + start
    by_feature = started.transpose(0, 1).flatten(1)
    block = _Block(by_feature, x.to(dtype).transpose(0, 1).flatten(1), layout)
    return block.log_prob().reshape(-1, x.shape[-1])


class _Block:
    """The densities of n pixels, with what their gradient is made of.

    Both are written by hand because they are the largest elementwise work of a model of images:
    with the functions and gradients of `DiscretizedLogistic` they take three times as long.

    Args:
        features: (F, n).
        x: (C, n).
        layout: what the features are.
    """

    def __init__(self, features: Tensor, x: Tensor, layout: Layout) -> None:
        self.layout = layout
        parts = layout.split(features)
        self.x = x.unsqueeze(1)
        self.logits = parts.logits
        self.tanh = torch.sigmoid(2 * parts.couplings).mul_(2).sub_(1)  # faster than tanh
        self.inverse_scale, self.slope = _inverse_scale(parts.log_scales)
        self.deviation = self._deviation(parts.means).mul_(self.inverse_scale)
        self.half_width = self.inverse_scale * (layout.step / 2)
        self.upper, self.lower, self.surplus = self._edges()
        self.joint = self._log_masses().sum(0).add_(self.logits)
        self.evidence = torch.logsumexp(self.joint, 0)
        self.norm = torch.logsumexp(self.logits, 0)

    def _deviation(self, means: Tensor) -> Tensor:
        """Subtracts the means, moved by the channels before, from x, (C, K, n)."""
        deviation = self.x - means
        for pair, (channel, earlier) in enumerate(self.layout.pairs):
            deviation[channel].addcmul_(self.tanh[pair], self.x[earlier] - 0.5, value=-1)
        return deviation

    def _edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Computes u and -l, the edges of cells in scales, and exp(l - u) - 1; (C, K, n).

        The cells of the first and of the last level have no edge on one side.
        """
        is_first, is_last = ends_of_grid(self.x, self.layout.levels)
        below = is_first * FAR
        above = is_last * FAR
        upper = (self.half_width + self.deviation).add_(above)
        lower = (self.half_width - self.deviation).add_(below)
        width = (2 * self.half_width).add_(below + above)
        return upper, lower, torch.expm1(width.neg_())

    def _log_masses(self) -> Tensor:
        """Computes log(sigmoid(u) sigmoid(-l) (1 - exp(l - u))), (C, K, n)."""
        # log sigmoid(u) = log sigmoid(|u|) + min(u, 0), where the sigmoid is no less than a half.
        product = torch.sigmoid(self.upper.abs())
        product.mul_(torch.sigmoid(self.lower.abs())).mul_(self.surplus)
        log_masses = product.neg_().log_()
        return log_masses.add_(self.upper.clamp(max=0)).add_(self.lower.clamp(max=0))

    def log_prob(self) -> Tensor:
        """Returns log p(x), (n,) nats."""
        return self.evidence - self.norm

    def gradient(self) -> Tensor:
        """Returns the gradient of log p(x) by the features, (F, n)."""
        gradient = self.x.new_empty(self.layout.features, self.x.shape[-1])
        parts = self.layout.split(gradient)
        responsibility = torch.exp(self.joint - self.evidence)
        torch.sub(responsibility, torch.exp(self.logits - self.norm), out=parts.logits)
        by_deviation, by_log_scale = self._mass_gradients()
        torch.mul(by_deviation.neg_(), responsibility, out=parts.means)
        parts.means.mul_(self.inverse_scale)
        torch.mul(by_log_scale, responsibility, out=parts.log_scales)
        for pair, (channel, earlier) in enumerate(self.layout.pairs):
            torch.mul(parts.means[channel], self.x[earlier] - 0.5, out=parts.couplings[pair])
        parts.couplings.mul_(self.tanh.square().neg_().add_(1))
        return gradient

    def _mass_gradients(self) -> tuple[Tensor, Tensor]:
        """Computes the gradients of the log-masses by the deviation and by the log-scale."""
        by_upper = torch.sigmoid(-self.upper)
        by_lower = torch.sigmoid(-self.lower)
        by_width = (self.surplus + 1).div_(self.surplus)  # times -1, as the surplus is negative
        by_deviation = by_upper - by_lower
        by_half_width = by_upper.add_(by_lower).sub_(by_width, alpha=2)
        # The deviation and the half width both are proportional to exp(-log_scale).
        by_log_scale = by_half_width.mul_(self.half_width).addcmul_(self.deviation, by_deviation)
        by_log_scale.neg_()
        if self.slope is not None:
            by_log_scale.mul_(self.slope)
        return by_deviation, by_log_scale


def _inverse_scale(log_scale: Tensor) -> tuple[Tensor, Tensor | None]:
    """Returns 1 / scale, and the derivative of the bounded log-scale by the number itself.

    The derivative is None on a CPU where no number is beyond the bounds, as is usual.
    """
    is_asked = log_scale.device.type == "cpu" and not torch.compiler.is_compiling()
    if is_asked and log_scale.abs().max() <= LARGEST_LOG_SCALE:
        return torch.exp(-log_scale), None
    beyond = log_scale - log_scale.clamp(-LARGEST_LOG_SCALE, LARGEST_LOG_SCALE)
    slope = beyond.square_().add_(1).rsqrt_()
    return torch.exp(-bounded(log_scale, LARGEST_LOG_SCALE)), slope


def _blocks(features: Tensor, layout: Layout) -> Iterator[tuple[slice, slice]]:
    """Yields the examples and places of features (N, F, P) that are computed together."""
    examples, _, places = features.shape
    size = BLOCK
    if features.device.type != "cpu":
        size = DEVICE_BLOCK
    pixels = max(1, size // (layout.channels * layout.components))
    rows = max(1, pixels // places)
    for first in range(0, examples, rows):
        for place in range(0, places, pixels):
            yield slice(first, first + rows), slice(place, place + pixels)


def _channels_last(values: Tensor) -> bool:
    """Says whether the features of a pixel lie side by side, as after a convolution on a CPU."""
    return values.stride(1) == 1


def _by_feature(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Copies values (N, F, P) to (F, N * P)."""
    examples, size, places = values.shape
    copy = torch.empty(size, examples * places, dtype=dtype, device=values.device)
    if _channels_last(values):
        # The transposed copy of a matrix is several times as fast as one of a permuted array.
        copy.copy_(values.transpose(1, 2).reshape(-1, size).to(dtype).t())
    else:
        copy.view(size, examples, places).copy_(values.transpose(0, 1))
    return copy


def _empty_gradient(features: Tensor) -> Tensor:
    """Makes an array (N, F, P) in the order of the features."""
    examples, size, places = features.shape
    if _channels_last(features):
        return features.new_empty(examples, places, size).transpose(1, 2)
    return features.new_empty(examples, size, places)


def _put(values: Tensor, target: Tensor) -> None:
    """Copies values (F, N * P) to (N, F, P), the opposite of `_by_feature`."""
    examples, size, places = target.shape
    if _channels_last(target):
        target.transpose(1, 2).view(-1, size).copy_(values.t())
    else:
        target.copy_(values.view(size, examples, places).transpose(0, 1))

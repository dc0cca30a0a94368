"""A user's own topology: a top-down ladder with deterministic state (Sonderby et al. 2016).

p(x, z) = p(z2) p(z1 | s) p(x | s', with s' made of s and z1): the decoder sees features, not z1.
q(z1 | x, s) and p(z1 | s) have the same parents, so the closed form is the rate at every level.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lowerbound.batch import Batch
from lowerbound.families import Normal
from lowerbound.latents import (
    Inference,
    Latents,
    LatentValues,
    Level,
    Priors,
    code,
    cooled,
    draw,
    sample,
)

NORMAL = Normal()


class Ladder(Latents):
    """Two levels; `state` numbers are the deterministic features that the decoder sees."""

    markov = False

    def __init__(self, inputs: int, sizes: tuple[int, int], state: int = 6) -> None:
        super().__init__()
        self.sizes = sizes
        self.context_shape = (state,)
        below, top = sizes
        self.bottom_up = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh())
        self.top_posterior = nn.Linear(8, 2 * top)
        self.posterior = nn.Linear(8 + state, 2 * below)
        self.prior = nn.Linear(state, 2 * below)
        self.start = nn.Sequential(nn.Linear(top, state), nn.Tanh())
        self.step = nn.Sequential(nn.Linear(state + below, state), nn.Tanh())

    def normal(self, values: Tensor):
        mean, log_variance = values.chunk(2, dim=-1)
        return NORMAL((mean, log_variance), 1)

    def top_prior(self, like: Tensor):
        zeros = like.new_zeros(self.sizes[1])
        return NORMAL((zeros, zeros), 1)

    def next_state(self, state: Tensor, z: Tensor) -> Tensor:
        return self.step(torch.cat([state, z], -1))

    def walk(self, batch: Batch, choose) -> Inference:
        """Goes from the top down; `choose(i, q, leading shape)` gives z and log q of level i."""
        features = self.bottom_up(batch.x)
        q2 = self.normal(self.top_posterior(features))
        z2, log_q2 = choose(1, q2)
        state = self.start(z2)
        seen = torch.cat([features.expand(*state.shape[:-1], -1), state], -1)
        q1 = self.normal(self.posterior(seen))
        z1, log_q1 = choose(0, q1)
        levels = [
            Level(z1, q1, self.normal(self.prior(state)), True, log_q1),
            Level(z2, q2, self.top_prior(z2), True, log_q2),
        ]
        return Inference(levels, self.next_state(state, z1))

    def infer(self, batch: Batch, samples: int) -> Inference:
        shapes = {1: torch.Size([samples]), 0: torch.Size()}
        return self.walk(batch, lambda i, q: draw(q, shapes[i]))

    def at(self, batch: Batch, zs: Sequence[Tensor]) -> Inference:
        return self.walk(batch, lambda i, q: (zs[i], None))

    def priors_at(self, zs: Sequence[Tensor], batch: Batch | None = None) -> Priors:
        state = self.start(zs[1])
        priors = [self.normal(self.prior(state)), self.top_prior(zs[1])]
        return Priors(priors, self.next_state(state, zs[0]))

    def means(self, batch: Batch, lowest=0) -> LatentValues:
        inference = self.walk(batch, lambda i, q: (code(q), None))
        zs = [level.z for level in inference.levels]
        if lowest == 1:
            zs[0] = inference.levels[0].p.mean
        return LatentValues(zs, self.next_state(self.start(zs[1]), zs[0]))

    def generate(self, n, top=None, given=None, temperature=1.0) -> LatentValues:
        if top is None:
            weight = next(self.parameters())
            top = sample(cooled(self.top_prior(weight), temperature), torch.Size([n]))
        state = self.start(top)
        z1 = sample(cooled(self.normal(self.prior(state)), temperature))
        return LatentValues([z1, top], self.next_state(state, z1))

    def descend(self, z, level, given=None) -> Tensor:
        if level == 1:
            state = self.start(z)
            return self.next_state(state, self.normal(self.prior(state)).mean)
        top = z.new_zeros(len(z), self.sizes[1])
        return self.next_state(self.start(top), z)

    def vary(self, level, groups, draws, given=None) -> Tensor:
        if level == 1:
            return self.descend(self.generate(groups * draws).zs[1], 1)
        top = self.generate(groups).zs[1].repeat_interleave(draws, 0)
        return self.generate(groups * draws, top=top).context

"""The one model class."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..baselines.partner import Partner
from ..batch import Batch, Values, as_batch
from ..errors import ConfigError, DataError, ShapeError
from ..latents import KL, Inference, Latents, rates
from ..priors import Snapshot, StartsFromData
from ..sparse import DeferredLinear, SparseRows
from .conditionals import Conditional
from .given import Unconditional
from .observed import observed_log_prob, without_unobserved
from .terms import Terms


class Joint(NamedTuple):
    """log p(x, z) of a batch at values of its latent variables.

    Attributes:
        log_prob: nats, (K, B).
        likelihood: p(x | z), of batch shape (K, B).
    """

    log_prob: Tensor
    likelihood: Distribution


class VAE(nn.Module):
    """A variational autoencoder: latent variables and a decoder.

    Wherever a method takes a batch it takes a `Batch`, or bare values (B, *shape) of which nothing
    else is known.

    Args:
        latents: the levels of z, with their posteriors and priors.
        decoder: p(x | context), where the latents say what the context is: z1 of a chain. The
            decoder of a conditional model is called with the conditions too.
        shape: shape of one example.
        sparse: whether examples are sparse rows.
        conditions: shape of the conditions of one example, () for a class; None for a model that
            takes none.
        features: makes what the encoder sees of the codes (B, D) of a table and of which of them
            are observed; None where it sees the examples themselves.
        embedding: makes what the parts of the model see of the conditions; None where they see the
            conditions themselves.

    Attributes:
        partner: of a model of interactions, the linear method whose scores join those of
            `item_scores`, or None. It is no module: it is fitted when training is over, does not
            move with the model, and is no part of its state.
    """

    def __init__(
        self,
        latents: Latents,
        decoder: nn.Module,
        shape: tuple[int, ...],
        sparse: bool = False,
        conditions: tuple[int, ...] | None = None,
        features: nn.Module | None = None,
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.latents = latents
        self.decoder = decoder
        self.shape: tuple[int, ...] = tuple(shape)
        self.sparse = sparse
        self.conditions = conditions
        self.features = features
        self.embedding = embedding
        self.partner: Partner | None = None

    def embed(self, given: Tensor | None) -> Tensor | None:
        """Returns what the latents see of conditions (B, ...); None stays None."""
        if given is None or self.embedding is None:
            return given
        return self.embedding(given)

    @property
    def widest(self) -> int:
        """How many numbers the widest row of one example has, for the size of chunks."""
        return max(math.prod(self.shape), self.latents.widest)

    def infer(self, batch: Batch | Values, samples: int = 1) -> Inference:
        """Draws the latent levels of a batch (B, *shape), with `samples` draws of each."""
        if samples < 1:
            raise ConfigError(f"samples must be 1 or more, got {samples}")
        return self.latents.infer(self._encoder_input(batch), samples)

    def at(self, batch: Batch | Values, zs: list[Tensor]) -> Inference:
        """Returns the latent levels of a batch at given values (K, B, d) of each; draws nothing."""
        return self.latents.at(self._encoder_input(batch), zs)

    def refresh(self) -> None:
        """Lets the parts that remember an earlier state of the model take the present one.

        It is called between phases of training.
        """
        for part in self.latents.modules():
            if isinstance(part, Snapshot):
                part.refresh()

    def parts_from_data(self) -> list[StartsFromData]:
        """Returns the parts whose parameters are to start from training examples."""
        return [part for part in self.latents.modules() if isinstance(part, StartsFromData)]

    @torch.no_grad()
    def draw_below_top(self, batch: Batch | Values) -> Values:
        """Draws what the posterior of the top level sees of a batch, (B, *context).

        It is the examples as the encoder sees them, or of several levels a draw of the one below
        the top.
        """
        return self.latents.draw_below_top(self._encoder_input(batch))

    def terms(self, batch: Batch | Values, samples: int = 1, kl: KL = "valid") -> Terms:
        """Computes the terms of every objective for a batch (B, *shape)."""
        return self.terms_of(self.infer(batch, samples), batch, kl)

    def terms_of(self, inference: Inference, batch: Batch | Values, kl: KL = "valid") -> Terms:
        """Computes the terms of a batch (B, *shape) from its latent variables, as inferred."""
        batch = as_batch(batch)
        log_likelihood = _log_likelihood(self.decode(inference.context, batch.given), batch)
        pairs = [rates(level, kl) for level in inference.levels]
        rate = torch.stack([pair[0] for pair in pairs], dim=-1)
        sampled = torch.stack([pair[1] for pair in pairs], dim=-1)
        entries = None
        if isinstance(batch.x, SparseRows):
            entries = batch.x.counts.unsqueeze(0)
        log_weight = log_likelihood - sampled.sum(-1)
        return Terms(log_likelihood, rate, log_weight, entries, inference.extra)

    def forward(
        self,
        x: Values,
        samples: int = 1,
        kl: KL = "valid",
        given: Tensor | None = None,
        observed: Tensor | None = None,
    ) -> Terms:
        """Computes `terms` of a batch that is given as plain tensors.

        A wrapper for several processes or for compilation sees only calls of the module itself, and
        is to see tensors alone.
        """
        return self.terms(Batch(x, given, observed), samples, kl)

    def log_joint(self, batch: Batch | Values, zs: list[Tensor]) -> Tensor:
        """Computes log p(x, z) of a batch at any values of its latent variables, in nats.

        Args:
            batch: B examples.
            zs: values of each level, (K, B, d), the one next to the data first.

        Returns:
            log p(x | z) + the sum over the levels of log p(z_i | parents), (K, B).
        """
        return self.joint(batch, zs).log_prob

    def joint(self, batch: Batch | Values, zs: list[Tensor]) -> Joint:
        """Computes log p(x, z) as `log_joint` does, and gives p(x | z) with it."""
        batch = self._as_checked(batch)
        priors = self.latents.priors_at(zs, self._embedded(batch))
        likelihood = self.decode(priors.context, batch.given)
        return self._join(likelihood, batch, priors.distributions, zs)

    def joint_of(self, inference: Inference, batch: Batch | Values) -> Joint:
        """Computes log p(x, z) as `joint` does, at the values of levels that were inferred."""
        batch = self._as_checked(batch)
        likelihood = self.decode(inference.context, batch.given)
        priors = [level.p for level in inference.levels]
        zs = [level.z for level in inference.levels]
        return self._join(likelihood, batch, priors, zs)

    @staticmethod
    def _join(
        likelihood: Distribution,
        batch: Batch,
        priors: Sequence[Distribution],
        zs: Sequence[Tensor],
    ) -> Joint:
        """Adds up log p(x, z)."""
        total = _log_likelihood(likelihood, batch)
        for p, z in zip(priors, zs, strict=True):
            total = total + p.log_prob(z)
        return Joint(total, likelihood)

    def encode(self, batch: Batch | Values) -> list[Tensor]:
        """Returns the posterior mean of each level of a batch, (B, d).

        The level next to the data is the first. A posterior without a mean, such as a flow, is
        represented by its `latents.code`.
        """
        return self.latents.means(self._encoder_input(batch)).zs

    def decode(self, context: Tensor, given: Tensor | None = None) -> Distribution:
        """Returns p(x | context) for what the decoder sees of z, (..., *context): z1 of a chain.

        Args:
            context: what the decoder sees of z.
            given: conditions (B, ...) of the examples of a conditional model.

        Raises:
            ShapeError: the context has another shape.
        """
        shape = self.latents.context_shape
        if not isinstance(context, Tensor) or context.shape[-len(shape) :] != shape:
            raise ShapeError(self._wrong_latents(context, shape))
        if given is None:
            return self.decoder(context)
        return self.decoder(context, self.embed(given))

    def refuse_latents(self, z: object, level: int = 0) -> None:
        """Refuses what are no values (..., d) of a level.

        Raises:
            ShapeError: `z` is no tensor, or of another shape.
        """
        shape = (self.latents.sizes[level],)
        if isinstance(z, Tensor) and z.shape[-1:] == shape:
            return
        where = ""
        if level:
            where = f" at level {level}"
        raise ShapeError(self._wrong_latents(z, shape, where))

    @staticmethod
    def _wrong_latents(got: object, shape: tuple[int, ...], where: str = "") -> str:
        """Words the mistake of latents that have another shape."""
        described: object = type(got).__name__
        if isinstance(got, Tensor):
            described = tuple(got.shape)
        wanted = ", ".join(map(str, shape))
        return f"this model decodes latents of shape (..., {wanted}){where}, got {described}"

    def reconstruct(self, batch: Batch | Values) -> Tensor:
        """Returns the mean of p(x | z) at the posterior means of z, (B, *shape)."""
        return self.reconstruction(batch).mean

    def reconstruction(self, batch: Batch | Values, lowest: int = 0) -> Distribution:
        """Returns p(x | z) at the posterior means of z, of batch shape (B).

        Args:
            batch: the examples.
            lowest: the lowest level that is inferred; those below it are at their prior means.
        """
        batch = as_batch(batch)
        means = self.latents.means(self._encoder_input(batch), lowest)
        return self.decode(means.context, batch.given)

    def swap(self, batch: Batch | Values, given: Tensor) -> Distribution:
        """Returns p(x | z) under other conditions, at the posterior means of z under their own.

        Args:
            batch: B examples with their own conditions.
            given: the other conditions, (B, ...).
        """
        other = replace(self._as_checked(batch), given=given)
        self._refuse_conditions(other)
        return self.decode_levels(self.encode(batch), other)

    def decode_levels(self, zs: list[Tensor], batch: Batch) -> Distribution:
        """Returns p(x | z) at values (..., d) of all levels, under the conditions of a batch."""
        priors = self.latents.priors_at(zs, self._embedded(batch))
        return self.decode(priors.context, batch.given)

    def start_at(self, mean: Tensor) -> None:
        """Sets the bias of the decoder's last layer so that it gives a mean of the data.

        A decoder whose other weights say nothing then gives this mean, (*shape).

        Raises:
            ConfigError: the decoder has no such bias.
        """
        decoder = self.decoder
        if isinstance(decoder, Unconditional):  # that of a ladder, whose state knows the conditions
            decoder = decoder.conditional
        if not isinstance(decoder, Conditional):
            raise ConfigError(
                f"model.output_bias='data' is for decoders of recipes, got {type(decoder).__name__}"
            )
        decoder.start_at(mean)

    def item_scores(self, history: SparseRows | Batch) -> Tensor:
        """Scores each column for each sparse row of a batch, (B, I).

        A score is the natural parameter of p(x | z) at the posterior mean: it ranks the columns as
        the mean of p(x | z) does. A `partner` adds its own scores. The rows may be on another
        device than the model. Those of a conditional model come with their conditions.

        Raises:
            ConfigError: this is not a model of sparse rows.
        """
        scores = self.network_scores(history)
        if self.partner is None:
            return scores
        rows = as_batch(history).x
        assert isinstance(rows, SparseRows)
        return scores + self.partner(rows.to("cpu")).to(scores)

    def network_scores(self, history: SparseRows | Batch) -> Tensor:
        """Scores as `item_scores` does, without the `partner`."""
        weight = next(self.parameters())
        batch = as_batch(history)
        batch = replace(batch, x=batch.x.to(weight.device))
        if batch.given is not None:
            batch = replace(batch, given=batch.given.to(weight))
        context = self.latents.means(self._encoder_input(batch)).context
        p = self.decode(context, batch.given)
        natural = getattr(p, "natural", None)
        if not isinstance(natural, DeferredLinear):
            raise ConfigError(
                "only a model of interactions ranks items; this one was built for dense examples"
            )
        return natural.tensor()

    @torch.no_grad()
    def sample(self, n: int, mean: bool = True, given: Tensor | None = None) -> Tensor:
        """Draws `n` values of z by ancestral sampling, and decodes them.

        Returns:
            The means of p(x | z), or draws from it; (n, *shape).
        """
        p = self.generate(n, given)
        if mean:
            return p.mean
        return p.sample()

    @torch.no_grad()
    def generate(
        self, n: int, given: Tensor | None = None, temperature: float = 1.0
    ) -> Distribution:
        """Draws `n` values of z by ancestral sampling, and returns p(x | z) of batch shape (n).

        Args:
            n: how many.
            given: conditions (n, ...) of a conditional model.
            temperature: of the priors, see `latents.cooled`.
        """
        values = self.latents.generate(n, given=self.embed(given), temperature=temperature)
        return self.decode(values.context, given)

    def _encoder_input(self, batch: Batch | Values) -> Batch:
        """Checks a batch, and makes of it what the encoder sees: nothing that was not observed."""
        batch = self._embedded(without_unobserved(self._as_checked(batch)))
        if self.features is None:
            return batch
        observed = batch.observed
        if observed is None:
            observed = torch.ones_like(batch.x, dtype=torch.bool)  # type: ignore[arg-type]
        return replace(batch, x=self.features(batch.x, observed), observed=None)

    def _embedded(self, batch: Batch) -> Batch:
        """Returns a batch with what the latents see of its conditions."""
        return replace(batch, given=self.embed(batch.given))

    def _as_checked(self, batch: Batch | Values) -> Batch:
        """Returns what was given as a batch, if the model takes it.

        Raises:
            DataError: its values are of another kind or type.
            ShapeError: its values or its conditions have another shape.
        """
        batch = as_batch(batch)
        x = batch.x
        if isinstance(x, SparseRows) and not self.sparse:
            raise DataError("this model takes dense batches, got sparse rows")
        if tuple(x.shape[1:]) != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise ShapeError(
                f"this model takes batches of shape (B, {wanted}), got {tuple(x.shape)}"
            )
        if isinstance(x, Tensor) and not x.is_floating_point():
            raise DataError(f"this model takes batches of floating-point numbers, got {x.dtype}")
        self._refuse_conditions(batch)
        return batch

    def _refuse_conditions(self, batch: Batch) -> None:
        """Refuses conditions that the model does not take, and a batch without those it needs.

        Raises:
            ShapeError: the batch has none or others.
        """
        if batch.given is None and self.conditions is None:
            return
        if self.conditions is None:
            raise ShapeError("this model takes no conditions, got a batch with some")
        if batch.given is None:
            raise ShapeError("this model is conditional, got a batch without conditions")
        wanted = (batch.x.shape[0], *self.conditions)
        if tuple(batch.given.shape) != wanted:
            raise ShapeError(
                f"this model takes conditions of shape {wanted}, got {tuple(batch.given.shape)}"
            )


def _log_likelihood(p: Distribution, batch: Batch) -> Tensor:
    """Computes log p(x | z) of the observed values, (K, B)."""
    if batch.observed is None:
        return p.log_prob(batch.x)  # type: ignore[arg-type]
    return observed_log_prob(p, batch)

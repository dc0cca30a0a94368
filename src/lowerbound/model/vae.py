"""The one model class."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..errors import ConfigError, DataError, ShapeError
from ..latents import KL, Latents, Level, rates
from ..noise import Batch
from ..priors import Snapshot
from ..sparse import DeferredLinear, SparseRows
from . import conditionals
from .terms import Terms


class VAE(nn.Module):
    """A variational autoencoder: latent variables and a decoder.

    Args:
        latents: the levels of z, with their posteriors and priors.
        decoder: p(x | z1).
        shape: shape of one example.
        sparse: whether examples are sparse rows.
    """

    def __init__(
        self, latents: Latents, decoder: nn.Module, shape: tuple[int, ...], sparse: bool = False
    ) -> None:
        super().__init__()
        self.latents, self.decoder, self.shape, self.sparse = latents, decoder, tuple(shape), sparse

    def infer(self, x: Batch, samples: int = 1) -> list[Level]:
        """The latent levels of a batch x (B, *shape), with `samples` draws of each."""
        if samples < 1:
            raise ConfigError(f"samples must be 1 or more, got {samples}")
        return self.latents.infer(self._checked(x), samples)

    def refresh(self) -> None:
        """Lets the parts that remember an earlier state of the model take the present one, between
        phases of training.
        """
        for part in self.latents.modules():
            if isinstance(part, Snapshot):
                part.refresh()

    def terms(self, x: Batch, samples: int = 1, kl: KL = "valid") -> Terms:
        """The terms of every objective for a batch x (B, *shape)."""
        return self.terms_of(self.infer(x, samples), x, kl)

    def terms_of(self, levels: list[Level], x: Batch, kl: KL = "valid") -> Terms:
        """The terms of x (B, *shape) under latent variables that were inferred already."""
        log_likelihood = self.decode(levels[0].z).log_prob(x)  # type: ignore[arg-type]
        pairs = [rates(level, kl) for level in levels]
        rate, sampled = (torch.stack(each, dim=-1) for each in zip(*pairs, strict=True))
        entries = x.counts.unsqueeze(0) if isinstance(x, SparseRows) else None
        return Terms(log_likelihood, rate, log_likelihood - sampled.sum(-1), entries)

    # A wrapper for several processes or for compilation sees only calls of the module itself.
    forward = terms

    def encode(self, x: Batch) -> list[Tensor]:
        """The posterior mean of each level for x (B, *shape), (B, d) each, the one next to the data
        first.
        """
        return self.latents.means(self._checked(x))

    def decode(self, z: Tensor) -> Distribution:
        """p(x | z1) for z1 (..., d). ShapeError for another d."""
        self.refuse_latents(z)
        return self.decoder(z)

    def refuse_latents(self, z: object, level: int = 0) -> None:
        """ShapeError for what are no values (..., d) of a level."""
        size = self.latents.sizes[level]
        if not isinstance(z, Tensor) or z.shape[-1:] != (size,):
            where, got = (
                f" at level {level}" if level else "",
                tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__,
            )
            raise ShapeError(f"this model decodes latents of shape (..., {size}){where}, got {got}")

    def reconstruct(self, x: Batch) -> Tensor:
        """The mean of p(x | z1) at the posterior mean of z1, (B, *shape)."""
        return self.decode(self.encode(x)[0]).mean

    def start_at(self, mean: Tensor) -> None:
        """Sets the bias of the decoder's last layer so that, saying nothing else, it gives this
        mean, (*shape).

        Raises:
            ConfigError: it has no such bias.
        """
        if not isinstance(self.decoder, conditionals.Conditional):
            raise ConfigError(
                "model.output_bias='data' is for decoders of recipes, got "
                f"{type(self.decoder).__name__}"
            )
        self.decoder.start_at(mean)

    def item_scores(self, history: SparseRows) -> Tensor:
        """A score of each column for each sparse row of a batch, (B, I), which ranks the columns as
        the mean of p(x | z1) does.

        It is the natural parameter of p(x | z1) at the posterior mean.

        Raises:
            ConfigError: this is not a model of sparse rows.
        """
        p = self.decode(self.encode(history)[0])
        if not isinstance(natural := getattr(p, "natural", None), DeferredLinear):
            raise ConfigError(
                "only a model of interactions ranks items; this one was built for dense examples"
            )
        return natural.tensor()

    @torch.no_grad()
    def sample(self, n: int, mean: bool = True) -> Tensor:
        """`n` draws of z by ancestral sampling, decoded: the means of p(x | z1), or draws from it;
        (n, *shape).
        """
        p = self.decode(self.latents.generate(n)[0])
        return p.mean if mean else p.sample()

    def _checked(self, x: Batch) -> Batch:
        if isinstance(as_batch(x), SparseRows) and not self.sparse:
            raise DataError("this model takes dense batches, got sparse rows")
        if tuple(x.shape[1:]) != self.shape:
            raise ShapeError(
                f"this model takes batches of shape (B, {', '.join(map(str, self.shape))}), got "
                f"{tuple(x.shape)}"
            )
        if isinstance(x, Tensor) and not x.is_floating_point():
            raise DataError(f"this model takes batches of floating-point numbers, got {x.dtype}")
        return x


def as_batch(x: object) -> Batch:
    """The batch itself. DataError for what is none, such as an array of NumPy."""
    if not isinstance(x, Tensor | SparseRows):
        raise DataError(
            f"this model takes batches as tensors or sparse rows, got {type(x).__name__}"
        )
    return x

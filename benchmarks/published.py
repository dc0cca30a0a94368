"""The published systems R1, R2 and R3 as plain PyTorch, written as they are published; nothing of
lowerbound takes part.

Each model has an `encoder`, x -> (mean, log variance), a `decoder`, z -> probabilities of the
pixels, and `loss(x)`: nats, the mean over the batch. All of them end in a sigmoid and score it by
`binary_cross_entropy`, as the published code does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGE = (1, 28, 28)
PIXELS = 28 * 28


def drawn(mean: Tensor, log_variance: Tensor) -> Tensor:
    """mean + sigma * noise."""
    return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


def cross_entropy(probabilities: Tensor, x: Tensor) -> Tensor:
    """Sum over pixels, mean over the batch."""
    return F.binary_cross_entropy(probabilities, x, reduction="sum") / len(x)


class Heads(nn.Module):
    """A body, then two linear heads: mean and log variance."""

    def __init__(self, body: nn.Module, features: int, latent: int) -> None:
        super().__init__()
        self.body, self.mean, self.log_variance = (
            body,
            nn.Linear(features, latent),
            nn.Linear(features, latent),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x)
        return self.mean(h), self.log_variance(h)


class Halves(nn.Module):
    """A body whose output is split into mean and log variance."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.body(x).chunk(2, dim=1)
        return mean, log_variance


class OneLevel(nn.Module):
    """-ELBO with the closed-form KL of N(mean, variance) to N(0, I)."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encoder(x)
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp()) / len(x)
        return cross_entropy(self.decoder(drawn(mean, log_variance)), x) + kl


def mlp(latent: int = 2, hidden: int = 500) -> OneLevel:
    """R1: Kingma & Welling 2013 with a Bernoulli decoder; weights from N(0, 0.1)."""
    encoder = Heads(
        nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, hidden), nn.Tanh()), hidden, latent
    )
    steps = (nn.Linear(latent, hidden), nn.Tanh(), nn.Linear(hidden, PIXELS), nn.Sigmoid())
    model = OneLevel(encoder, nn.Sequential(*steps, nn.Unflatten(1, IMAGE)))
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.1)
    return model


def conv(latent: int = 2) -> OneLevel:
    """R2: two strided convolutions down; two transposed ones up, and one that fits the size."""
    down = (nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU())
    encoder = Halves(nn.Sequential(*down, nn.Flatten(), nn.Linear(64 * 7 * 7, 2 * latent)))
    start = (nn.Linear(latent, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)))
    up = (nn.ConvTranspose2d(64, 64, 3, 2), nn.ReLU(), nn.ConvTranspose2d(64, 32, 3, 2), nn.ReLU())
    return OneLevel(encoder, nn.Sequential(*start, *up, nn.Conv2d(32, 1, 4), nn.Sigmoid()))


class Hierarchical(nn.Module):
    """R3: two levels under the published loss, which is beta = 2 with the closed form at both
    levels, not the bound.
    """

    def __init__(self, latent: int = 20, hidden: int = 100) -> None:
        super().__init__()
        self.encoder = Heads(
            nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, hidden), nn.ReLU()), hidden, latent
        )
        self.encoder_above = Heads(
            nn.Sequential(nn.Linear(latent, hidden), nn.ReLU()), hidden, latent
        )
        self.decoder_above = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, latent)
        )
        steps = (nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, PIXELS), nn.Sigmoid())
        self.decoder = nn.Sequential(*steps, nn.Unflatten(1, IMAGE))

    def loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encoder(x)
        z = drawn(mean, log_variance)
        top, top_log_variance = self.encoder_above(z)
        below = self.decoder_above(drawn(top, top_log_variance))
        kl = (mean - below).pow(2) + log_variance.exp() - 1 - log_variance
        top_kl = top.pow(2) + top_log_variance.exp() - 1 - top_log_variance
        return cross_entropy(self.decoder(z), x) + (kl.sum() + top_kl.sum()) / len(x)


@dataclass(frozen=True)
class System:
    """A published system with its settings.

    Attributes:
        model: makes one.
        optimizer: name in torch.optim; unfused and with its other settings at their defaults.
        learning_rate: of it.
        batch_size: examples in one step.
        target: its published quality, the loss on the test set in nats.
        epochs: after which it should have reached that; it is given twice as many.
    """

    model: Callable[[], nn.Module]
    optimizer: str
    learning_rate: float
    batch_size: int
    target: float
    epochs: int

    def optimize(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of a model."""
        return getattr(torch.optim, self.optimizer)(model.parameters(), lr=self.learning_rate)


SYSTEMS = {
    "hierarchical-mnist": System(Hierarchical, "Adam", 1e-3, 64, 126.2, 30),
    "aevb-mnist": System(mlp, "Adagrad", 1e-2, 100, 163.6, 30),
    "conv-mnist": System(conv, "Adam", 1e-3, 100, 155.8, 5),
}
"""By the packaged recipe that describes the same."""

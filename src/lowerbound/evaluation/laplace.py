"""Normal distributions about the modes of p(z | x), found for each example by Newton's method.

An encoder gives one normal distribution without correlations for every set of observed cells. Where
it is far from p(z | x), few of many importance samples have nearly all the weight. Laplace's
approximation is of the model alone: with the mode z* of log p(x, z) and the curvature
H = -d2/dz2 log p(x, z*), p(z | x) is about N(z*, H^-1) (Tierney & Kadane 1986, "Accurate
Approximations for Posterior Moments and Marginal Densities"). It is exact where p(x, z) is normal.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..batch import Batch
from ..distributed.processes import draw_shared
from ..model import VAE

STEPS = 10
"""The search for a mode ends after so many steps of Newton's method."""

LENGTHS = (1.0, 0.5, 0.2, 0.05)
"""The parts of a step that are compared; the best of them is taken, or none."""

CLOSE = 0.05
"""The search ends where a step raises log p(x, z) by less than so many nats."""

LEAST_CURVATURE = 0.25
"""The curvature counts as at least this much in each direction, as if there the distribution had
twice the deviation of a standard normal prior.
"""


class Normals(NamedTuple):
    """A normal distribution of the latent variables of each of B examples, all levels together.

    Attributes:
        mean: (B, d).
        curvature: the inverse of the covariance, by its eigenvalues (B, d), float64.
        directions: its eigenvectors, in columns (B, d, d), float64.
    """

    mean: Tensor
    curvature: Tensor
    directions: Tensor

    def draw(self, count: int, factor: float = 1.0) -> Tensor:
        """Draws values (count, B, d), their distances from the mean stretched by a factor."""
        empty = torch.empty((count, *self.mean.shape), device=self.mean.device)
        noise = draw_shared(torch.randn_like, empty, -2)
        scaled = factor * noise / self.curvature.sqrt()
        distances = torch.einsum("bij,kbj->kbi", self.directions, scaled)
        return self.mean + distances.to(self.mean.dtype)

    def log_prob(self, z: Tensor, factor: float = 1.0) -> Tensor:
        """Computes the log densities of values (K, B, d) in float64, (K, B)."""
        along = torch.einsum("bij,kbi->kbj", self.directions, (z - self.mean).double())
        squares = (along / factor).square() * self.curvature
        scale = self.curvature.log() - torch.tensor(2 * torch.pi * factor**2).double().log()
        return 0.5 * (scale - squares).sum(-1)

    def take(self, index: Tensor | slice) -> "Normals":
        """Returns those of some examples."""
        return Normals(self.mean[index], self.curvature[index], self.directions[index])


def find_modes(model: VAE, batch: Batch, zs: Sequence[Tensor]) -> Normals:
    """Finds the normal distributions about the modes of p(z | x).

    Args:
        model: in evaluation mode, with a density p(x, z) that is smooth in z.
        batch: B examples.
        zs: values of each level where the search may start, (K, B, d); it starts at the best.
    """
    z = _best(model, batch, torch.cat(list(zs), -1))
    active = torch.arange(len(z), device=z.device)
    for _ in range(STEPS):
        raised = _step(model, batch.take(active.to("cpu")), z[active])
        z[active] = raised.z
        active = active[raised.gain > CLOSE]
        if not len(active):
            break
    slopes = _derivatives(model, batch, z)
    curvature, directions = _eigen(slopes.curvature)
    return Normals(z, curvature, directions)


class _Raised(NamedTuple):
    """Values (B, d) after a step, and by how much the log joint density rose, (B,)."""

    z: Tensor
    gain: Tensor


class _Derivatives(NamedTuple):
    """The gradient of log p(x, z) by z, (B, d), and the matrix of its curvature, (B, d, d)."""

    gradient: Tensor
    curvature: Tensor


def log_joint(model: VAE, batch: Batch, z: Tensor) -> Tensor:
    """Computes log p(x, z) of values of all levels, one beside the other (K, B, d): (K, B)."""
    return model.joint(batch, list(z.split(model.latents.sizes, -1))).log_prob


def _best(model: VAE, batch: Batch, candidates: Tensor) -> Tensor:
    """Returns the candidate (K, B, d) of each example with the greatest density, (B, d)."""
    values = log_joint(model, batch, candidates).nan_to_num(nan=-torch.inf)
    return _chosen(candidates, values.argmax(0))


def _chosen(candidates: Tensor, places: Tensor) -> Tensor:
    """Returns the candidate (K, B, d) of each example at its place (B,), (B, d)."""
    index = places[None, :, None].expand(1, *candidates.shape[1:])
    return candidates.gather(0, index).squeeze(0)


def _step(model: VAE, batch: Batch, z: Tensor) -> _Raised:
    """Takes one step of Newton's method, as long as it raises the density most."""
    found = _derivatives(model, batch, z)
    curvature, directions = _eigen(found.curvature)
    along = torch.einsum("bij,bi->bj", directions, found.gradient.double()) / curvature
    step = torch.einsum("bij,bj->bi", directions, along).to(z.dtype).nan_to_num(0.0, 0.0, 0.0)
    lengths = torch.tensor((0.0, *LENGTHS), dtype=z.dtype, device=z.device)
    candidates = z + lengths[:, None, None] * step
    values = log_joint(model, batch, candidates).nan_to_num(nan=-torch.inf)
    best, places = values.max(0)
    return _Raised(_chosen(candidates, places), best - values[0])


def _derivatives(model: VAE, batch: Batch, z: Tensor) -> _Derivatives:
    """Computes the gradient and the curvature of log p(x, z) at values (B, d)."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        total = log_joint(model, batch, leaf[None]).sum()
        (gradient,) = torch.autograd.grad(total, leaf, create_graph=True)
        rows = [_gradient_of(gradient[:, place], leaf) for place in range(z.shape[-1])]
    return _Derivatives(gradient.detach(), -torch.stack(rows, 1))


def _gradient_of(slope: Tensor, leaf: Tensor) -> Tensor:
    """Returns how the slopes (B,) of the examples change with their values, (B, d)."""
    (found,) = torch.autograd.grad(slope.sum(), leaf, retain_graph=True, allow_unused=True)
    if found is None:
        return torch.zeros_like(leaf)
    return found


def _eigen(curvature: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the eigenvalues (B, d) and eigenvectors (B, d, d) of symmetric matrices, in float64.

    Where the density is convex its curvature is taken as positive (saddle-free Newton: Dauphin et
    al. 2014), and it is at least `LEAST_CURVATURE`.
    """
    matrices = curvature.double().nan_to_num(0.0, 0.0, 0.0)
    values, vectors = torch.linalg.eigh(0.5 * (matrices + matrices.mT))
    return values.abs().clamp(min=LEAST_CURVATURE), vectors

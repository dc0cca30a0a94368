"""The contract of priors."""

from abc import ABC, abstractmethod

from torch import nn


class Prior(ABC):
    """A frozen spec of p(z)."""

    @abstractmethod
    def build(self, size: int, posterior: nn.Module | None = None) -> nn.Module:
        """A module whose distribution has event shape (size,), and batch shape () if it has no use
        for the context.
        """


class Snapshot(nn.Module, ABC):
    """A module that keeps an earlier state of another."""

    @abstractmethod
    def refresh(self) -> None:
        """Takes the present state for the earlier one; called between phases of training."""

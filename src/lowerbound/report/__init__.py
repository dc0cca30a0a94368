"""Pictures of a run. Nothing imports this floor but the command line."""

from .overview import overview

__all__ = ["overview"]

"""Imputation: the gaps of a table, filled by what a run has learned."""

from .completion import IMPUTATION_SAMPLES
from .files import WrittenImputation, impute_file
from .imputation import Imputation, impute

__all__ = ["IMPUTATION_SAMPLES", "Imputation", "WrittenImputation", "impute", "impute_file"]

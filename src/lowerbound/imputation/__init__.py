"""Imputation: the gaps of a table, filled by what a run has learned."""

from .completion import IMPUTATION_SAMPLES
from .errors import MEASURES
from .files import WrittenImputation, impute_file
from .hiding import HiddenMeasures, measure_hidden
from .imputation import Imputation, impute

__all__ = [
    "IMPUTATION_SAMPLES",
    "MEASURES",
    "HiddenMeasures",
    "Imputation",
    "WrittenImputation",
    "impute",
    "impute_file",
    "measure_hidden",
]

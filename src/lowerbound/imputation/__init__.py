"""Imputation: the gaps of a table, filled by what a run has learned."""

from .imputation import Imputation, impute

__all__ = ["Imputation", "impute"]

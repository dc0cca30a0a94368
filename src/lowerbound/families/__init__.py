"""Families: parameters -> Distribution, one file each.

Posteriors, likelihoods and the priors between levels are all made of these.
"""

from typing import Annotated

from ..specs.registry import part
from .base import Family, FamilyWithHead
from .bernoulli import Bernoulli
from .columns import Columns, TableDistribution
from .continuous_bernoulli import ContinuousBernoulli
from .delta import Delta
from .flow import FlowPosterior
from .logistic import DiscretizedLogistic
from .mixture_logistic import MixtureLogistic
from .multinomial import Multinomial
from .normal import Normal
from .place import Place

LISTED_FIRST = (
    "normal",
    "bernoulli",
    "multinomial",
    "continuous_bernoulli",
    "delta",
    "logistic",
    "mixture_logistic",
    "columns",
    "flow",
)
"""The order in which families are listed; files that are not named here follow by their names."""

AnyFamily = Annotated[Family, part(__name__, Family)]

__all__ = [
    "AnyFamily",
    "Bernoulli",
    "Columns",
    "ContinuousBernoulli",
    "Delta",
    "DiscretizedLogistic",
    "Family",
    "FamilyWithHead",
    "FlowPosterior",
    "MixtureLogistic",
    "Multinomial",
    "Normal",
    "Place",
    "TableDistribution",
]

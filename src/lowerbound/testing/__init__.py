"""Conformance checks for any part, of this package or of yours.

    from lowerbound.testing import check_family
    check_family(MyFamily())

Each check raises `AssertionError` with a line that says which law was broken. The tests of this
package run them over its whole catalogue, so that a new class is tested the day it exists. `truths`
are numbers that are known in closed form; the command `lowerbound doctor` compares this
installation with them.
"""

from .baselines import check_baseline
from .columns import check_column_family
from .families import check_family
from .imputers import check_imputer
from .ladders import check_ladder
from .latents import check_latents
from .parts import check_network, check_noise, check_objective, check_schedule, random_terms
from .priors import check_prior
from .sources import check_source
from .spec import check_spec
from .trackers import check_tracker
from .truths import TOLERANCE, LinearGaussian, Rows, linear_gaussian, set_linear, truths

__all__ = [
    "TOLERANCE",
    "LinearGaussian",
    "Rows",
    "check_baseline",
    "check_column_family",
    "check_family",
    "check_imputer",
    "check_ladder",
    "check_latents",
    "check_network",
    "check_noise",
    "check_objective",
    "check_prior",
    "check_schedule",
    "check_source",
    "check_spec",
    "check_tracker",
    "linear_gaussian",
    "random_terms",
    "set_linear",
    "truths",
]

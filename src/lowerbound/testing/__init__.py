"""Conformance checks: any part, of this package or of yours, can be run through them.

    from lowerbound.testing import check_family
    check_family(MyFamily())

Each check raises `AssertionError` with a line that says which law was broken. The package's own
tests run them over the whole catalogue, so that a new class is tested the day it exists. `truths`
are numbers that are known in closed form; the command `lowerbound doctor` compares this
installation with them.
"""

from .families import check_family
from .latents import check_latents
from .parts import check_network, check_noise, check_objective, check_schedule, random_terms
from .priors import check_prior
from .sources import check_source
from .spec import check_spec
from .truths import TOLERANCE, LinearGaussian, Rows, linear_gaussian, set_linear, truths

__all__ = [
    "LinearGaussian",
    "Rows",
    "TOLERANCE",
    "check_family",
    "check_latents",
    "check_network",
    "check_noise",
    "check_objective",
    "check_prior",
    "check_schedule",
    "check_source",
    "check_spec",
    "linear_gaussian",
    "random_terms",
    "set_linear",
    "truths",
]

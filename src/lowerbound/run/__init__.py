"""Runs: a fitted model from its folder alone.

A run folder holds `recipe.toml`, `data.json` (what the data were), `metrics.csv` (one row per
epoch), `model.safetensors` (the best weights), `summary.json` (what `fit --json` prints),
`reference.json` (what held-out examples score, of a run with a likelihood), `split/` (the users and
their interactions, of a run on these), `checkpoint/` and `report/`.
"""

from .caveats import check, units
from .contents import FORMAT, build
from .run import LATENT_USERS, Run, digest_of, load, open_as_fitted, unchanged

__all__ = [
    "FORMAT",
    "LATENT_USERS",
    "Run",
    "build",
    "check",
    "digest_of",
    "load",
    "open_as_fitted",
    "unchanged",
    "units",
]

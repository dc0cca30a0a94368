"""Runs: a fitted model from its folder alone.

A run folder holds `recipe.toml`, `data.json` (what the data were), `metrics.csv` (one row per
epoch), `model.safetensors` (the best weights), `summary.json` (what `fit --json` prints),
`checkpoint/` and `report/`.
"""

from .contents import FORMAT, build
from .run import LATENT_USERS, Run, check, load, unchanged, units

__all__ = ["FORMAT", "LATENT_USERS", "Run", "build", "check", "load", "unchanged", "units"]

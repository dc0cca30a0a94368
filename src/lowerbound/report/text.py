"""Numbers and lists for people."""

import json
import math
from collections.abc import Sequence
from typing import Any

from ..evaluation import Estimate

TITLES = {
    "ndcg": "nDCG",
    "recall": "recall",
    "recall_capped": "capped recall",
    "precision": "precision",
    "hit_rate": "hit rate",
    "mrr": "MRR",
    "map": "MAP",
}


def metric(name: str) -> str:
    """The name of a metric for people."""
    kind, at, k = name.partition("@")
    return TITLES.get(kind, kind.replace("_", " ")) + at + k


def figure(value: float, digits: int = 4) -> str:
    """A number for people."""
    return f"{value:,.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def spread(estimate: Estimate, digits: int = 4, sign: bool = False) -> str:
    """An estimate and its standard error for people."""
    plus = "+" if sign and estimate.value > 0 else ""
    return (
        f"{plus}{figure(estimate.value, digits)} ±\u00a0{figure(estimate.standard_error, digits)}"
    )


def listed(parts: Sequence[str]) -> str:
    """Names as a sentence has them: "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def setting(value: Any) -> str:
    """A value of a recipe for people."""
    return (
        "–"
        if value is None
        else value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False)
    )

"""What can be exported of every packaged recipe, and of other models: the largest difference
between ONNX Runtime and the run at batches of 1, 3 and 17, and the size of the file.

    python benchmarks/export.py [--only NAME ...] [--what WHAT ...] [--samples 20] [--page]

The runs have the networks of the recipes with random weights that are different from zero
everywhere (`random_runs.py`): what a file computes does not depend on a fit. Each row is written
to results/export.json when it is done, beside those that are there; `--page` prints the table of
docs/export.md.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import arguments, parser
from lowerbound import recipe
from lowerbound.doors.export import WHATS, export, possible
from lowerbound.errors import LowerboundError
from random_runs import random_run

NAME = "export.json"

PLAIN = {"model.prior": "StandardNormal", "model.latent": [8]}

NSF = {"type": "FlowPrior", "flow": "NSF"}

REAL_NVP = {"type": "FlowPosterior", "flow": "RealNVP"}

VAMP = {"type": "VampPrior", "components": 50}

OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "table with a VampPrior": ("table", {"model.prior": VAMP}),
    "table with an MLPLadder": (
        "table",
        {
            **PLAIN,
            "model.latent": [4, 4],
            "model.network": {"type": "MLP"},
            "model.ladder": {"type": "MLPLadder", "width": 32, "merge": "precision"},
        },
    ),
    "table of ordered levels": ("table", {"model.likelihood.ordinal": "CumulativeLogits"}),
    "digits with a flow (NSF) as the prior": ("digits", {"model.prior": NSF}),
    "digits with a flow (RealNVP) as the posterior": ("digits", {"model.posterior": REAL_NVP}),
    "conditional-mnist, prior given the label": (
        "conditional-mnist",
        {"model.conditional_prior": True},
    ),
}
"""Other models: a recipe, and what is set in it."""


def measured(name: str, whats: Sequence[str], samples: int) -> dict[str, Any]:
    """What comes of a recipe or of another model, for each thing that is asked for and that can be
    exported.
    """
    base, settings = OTHERS.get(name, (name, {}))
    run = random_run(base, **settings)
    found: dict[str, Any] = {}
    for what in possible(run):
        if what not in whats:
            continue
        options: dict[str, Any] = {"progress": False, "check": True}
        if what == "score":
            options["samples"] = samples
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            try:
                done = export(run, Path(folder) / "x.onnx", what=what, **options)
            except LowerboundError as error:
                found[what] = {"refused": str(error)}
                continue
        found[what] = {
            "bytes": done.size,
            "difference": max(done.differences.values()),
            "cpu_seconds": round(time.process_time() - started, 1),
        }
    return found


def saved(file: Path) -> dict[str, Any]:
    """All rows that were measured."""
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    return {}


def names() -> list[str]:
    """All rows that there should be."""
    return [*recipe.packaged(), *OTHERS]


def cell(found: dict[str, Any] | None) -> str:
    """One cell of the table."""
    if found is None:
        return "not measured"
    if "refused" in found:
        return f"refused: {found['refused']}"
    return f"{found['difference']:.0e}, {found['bytes'] / 1e6:.1f} MB"


def page(rows: dict[str, Any]) -> str:
    """The table of the page."""
    lines = [f"| | {' | '.join(WHATS)} |", "|---" * (len(WHATS) + 1) + "|"]
    for name, row in rows.items():
        base, settings = OTHERS.get(name, (name, {}))
        offered = possible(random_run(base, **settings))
        cells = []
        for what in WHATS:
            if what in offered:
                cells.append(cell(row.get(what)))
            else:
                cells.append("refused")
        shown = name
        if name not in OTHERS:
            shown = f"`{name}`"
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measures what was asked for."""
    words = parser(__doc__, threads=1)
    words.add_argument("--only", nargs="*", default=names(), help="rows (default: all)")
    words.add_argument("--what", nargs="*", default=WHATS, help="columns (default: all)")
    words.add_argument("--samples", type=int, default=20, help="importance samples of scores")
    words.add_argument("--page", action="store_true", help="print the table of docs/export.md")
    given = arguments(words)
    file = given.results / NAME
    if given.page:
        print(page(saved(file)))
        return
    for name in given.only:
        found = measured(name, given.what, given.samples)
        rows = saved(file)
        rows[name] = rows.get(name, {}) | found
        file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(name, {what: cell(one) for what, one in found.items()}, flush=True)


if __name__ == "__main__":
    main()

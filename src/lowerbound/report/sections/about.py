"""What a run is, and how it is made again."""

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...columns import ColumnSchema
from ...data import described
from ...data.memory import MEMORY
from ...run import Run, units
from ...run.display import Fact, describe_model, latent_sizes, source_name
from ...system.files import is_file, read_json
from ..records import Section, Table
from ..text import metric_title


def subtitle(run: Run) -> str:
    """Says in one line what was fitted to what."""
    model = run.recipe.model
    title = run.recipe.about.title
    if not title:
        network = type(model.ladder or model.network).__name__
        likelihood = type(model.likelihood).__name__
        sizes = latent_sizes(run.recipe)
        dimensions = "dimension" if sizes == "1" else "dimensions"
        title = f"{network} with {sizes} latent {dimensions}, {likelihood} likelihood"
    return f"{title}, on {source_name(run.recipe)}"


def about(run: Run) -> Section:
    """Says what a run is, and gives the command that makes it again."""
    schema = run.schema
    sentences = []
    standardisation = units(schema)
    if standardisation:
        sentences.append(f"Of the likelihood: {standardisation}.")
    warnings = []
    if run.unfinished:
        warnings.append(f"{run.unfinished}.")
    caveat = run.recipe.model.likelihood.caveat(schema.low, schema.high, schema.levels)
    if caveat:
        warnings.append(f"Of the likelihood: {caveat}.")
    return Section(
        "This run",
        tuple(sentences),
        tuple(warnings),
        tables=(Table((), _facts(run), numbers=False),),
        commands=_commands(run),
        folded=(("The whole recipe, every default written out", run.recipe.to_toml()),),
    )


def _commands(run: Run) -> tuple[str, str]:
    """Says how the same run is made again."""
    name = run.folder.resolve().name
    recipe = f"{name}/recipe.toml"
    out = f"{name}-again"
    if run.recipe.data.source == MEMORY:
        return (
            "# the same run again, in Python, with the same data in memory",
            f"lowerbound.fit({recipe!r}, data=data, out={out!r})",
        )
    return (
        "# the same run again, from the folder that holds this one",
        f"lowerbound fit {shlex.quote(recipe)} --out {shlex.quote(out)}",
    )


def _facts(run: Run) -> tuple[Fact, ...]:
    """Lists what a run is and how it was made."""
    recipe = run.recipe
    summary = run.summary
    facts = [("data", _data(run))]
    if is_file(run.folder / "data.json"):
        facts.append(("splits", _split_sizes(run)))
    if run.schema.table:
        facts.append(("columns", _kinds_of_columns(run.schema.table)))
    facts.append(("model", describe_model(run.recipe)))
    if recipe.model.ladder is not None:
        sizes = [f"{size:,}" for size in run.model.latents.sizes]
        facts.append(("levels", f"{' + '.join(sizes)} dimensions, from the data up"))
    objective = type(recipe.objective).__name__
    monitor = metric_title(recipe.training.monitor)
    facts.append(("objective", f"{objective}; the best weights by {monitor}"))
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    facts.append(("parameters", f"{parameters:,}"))
    if "epochs" in summary:
        facts += _duration(summary)
    facts.append(("seed", f"{recipe.training.seed} (data: {recipe.data.seed})"))
    if summary.get("versions"):
        versions = [f"{library} {version}" for library, version in summary["versions"].items()]
        facts.append(("versions", ", ".join(versions)))
    if summary.get("hardware"):
        facts.append(("hardware", summary["hardware"]))
    return tuple(facts)


def _data(run: Run) -> str:
    """Names the source of a run and, as far as the summary tells, what it holds."""
    facts = run.summary.get("facts")
    if not facts:
        return source_name(run.recipe)
    return f"{source_name(run.recipe)}: {described(facts)}"


def _kinds_of_columns(columns: Sequence[ColumnSchema]) -> str:
    """Says how many columns there are of each kind: "3: 2 count, 1 binary"."""
    counts = Counter(column.kind for column in columns)
    kinds = [f"{count} {kind}" for kind, count in counts.most_common()]
    return f"{len(columns)}: {', '.join(kinds)}"


def _split_sizes(run: Run) -> str:
    """Says how many examples each split has."""
    sizes = read_json(run.folder / "data.json").get("fingerprint", {})
    counts = []
    for name in ("train", "validation", "test"):
        if sizes.get(name):
            counts.append(f"{sizes[name]:,} {name}")
    return f"{', '.join(counts)} {run.schema.unit}"


def _duration(summary: dict[str, Any]) -> list[Fact]:
    """Says how many epochs a fit had, and how long it took."""
    epochs = f"{summary['epochs']:,}"
    if summary.get("validation"):
        epochs = f"{epochs}, of which the best was {summary['best_epoch']:,}"
    speed = summary.get("examples_per_second") or math.nan
    return [
        ("epochs", epochs),
        ("time", f"{summary['seconds']:,.1f} s, {speed:,.0f} examples/s"),
    ]


def broken(run: Run) -> Section | None:
    """Warns of weights that are not finite: then there is no more to say of a model.

    Returns:
        The section, or None for a model that can be measured.
    """
    warning = (
        "The weights of the model hold values that are not finite numbers: nothing can be measured."
    )
    for name, parameter in run.model.named_parameters():
        if not bool(parameter.isfinite().all()):
            return Section("The weights", (f"The first of them: {name}.",), (warning,))
    return None

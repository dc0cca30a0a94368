"""What a run is, and how it is made again."""

import math
import shlex

from ...data import described
from ...run import Run, units
from ...system.files import is_file, read_json
from ..records import Section, Table
from ..text import metric


def subtitle(run: Run) -> str:
    """One line of what was fitted."""
    model, source = run.recipe.model, run.recipe.data.source
    sizes = " + ".join(map(str, model.latent))
    network = type(model.network).__name__
    what = (
        run.recipe.about.title
        or f"{network} with {sizes} latent dimension{'' if sizes == '1' else 's'}, {type(model.likelihood).__name__} likelihood"
    )
    return f"{what}, on {source.rsplit('/', 1)[-1]}"


def _sizes(run: Run) -> str:
    """How many examples each split has."""
    path = run.folder / "data.json"
    held = read_json(path).get("fingerprint", {}) if is_file(path) else {}
    unit = "users" if run.schema.kind == "interactions" else "examples"
    return (
        ", ".join(
            f"{held[name]:,} {name}" for name in ("train", "validation", "test") if held.get(name)
        )
        + f" {unit}"
    )


def _model(run: Run) -> str:
    """The model in one line."""
    model = run.recipe.model
    layers = getattr(model.network, "hidden", ())
    inner = f" {' × '.join(map(str, layers))}" if layers else ""
    latent = " + ".join(map(str, model.latent))
    families = (
        f"{type(model.posterior).__name__} posterior, {type(model.likelihood).__name__} likelihood"
    )
    return f"{type(model.network).__name__}{inner}, {latent} latent, {families}"


def _made(run: Run) -> list[tuple[str, str]]:
    """How the fit went and where, as far as its summary tells."""
    summary, rows = run.summary, []
    if "epochs" in summary:
        best = (
            f", of which the best was {summary['best_epoch']:,}"
            if summary.get("validation")
            else ""
        )
        speed = summary.get("examples_per_second") or math.nan
        rows = [
            ("epochs", f"{summary['epochs']:,}{best}"),
            ("time", f"{summary['seconds']:,.1f} s, {speed:,.0f} examples/s"),
        ]
    rows.append(("seed", f"{run.recipe.training.seed} (data: {run.recipe.data.seed})"))
    if summary.get("versions"):
        rows.append(
            (
                "versions",
                ", ".join(f"{name} {version}" for name, version in summary["versions"].items()),
            )
        )
    return rows + ([("hardware", summary["hardware"])] if summary.get("hardware") else [])


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    """What the run is, a name and a value each."""
    recipe, facts = run.recipe, run.summary.get("facts") or {}
    rows = [
        ("data", recipe.data.source.rsplit("/", 1)[-1] + (f": {described(facts)}" if facts else ""))
    ]
    if is_file(run.folder / "data.json"):
        rows.append(("splits", _sizes(run)))
    rows.append(("model", _model(run)))
    rows.append(
        (
            "objective",
            f"{type(recipe.objective).__name__}; the best weights by "
            f"{metric(recipe.training.monitor)}",
        )
    )
    rows.append(("parameters", f"{sum(p.numel() for p in run.model.parameters()):,}"))
    return (*rows, *_made(run))


def about(run: Run) -> Section:
    """What this run is, and the command that makes it again."""
    schema, name = run.schema, run.folder.resolve().name
    again = (
        f"lowerbound fit {shlex.quote(f'{name}/recipe.toml')} --out {shlex.quote(f'{name}-again')}"
    )
    told, caveat = (
        units(schema),
        run.recipe.model.likelihood.caveat(schema.low, schema.high, schema.levels),
    )
    return Section(
        "This run",
        (f"Of the likelihood: {told}.",) if told else (),
        (f"Of the likelihood: {caveat}.",) if caveat else (),
        tables=(Table((), _facts(run), numbers=False),),
        commands=("# the same run again, from the folder that holds this one", again),
        folded=(("The whole recipe, every default written out", run.recipe.to_toml()),),
    )


def broken(run: Run) -> Section | None:
    """All there is to say beside that of a model whose weights are no numbers; None for any other."""
    bad = [name for name, p in run.model.named_parameters() if not bool(p.isfinite().all())]
    told = (
        "The weights of the model hold values that are not finite numbers: nothing can be measured."
    )
    return Section("The weights", (f"The first of them: {bad[0]}.",), (told,)) if bad else None

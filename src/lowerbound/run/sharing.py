"""Runs for others: copied, with a card, into a folder, to a hub of models, or to MLflow.

What travels is listed in `hub.contents`. Folders of the machine on which a run was fitted are taken
out of what is written: `patients.csv` is all that is left of a path.
"""

import json
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from .. import __version__
from ..errors import DataError, RunError
from ..hub import registry
from ..hub.address import Address, refuse_no_repository
from ..hub.card import Facts, Figure, write_card
from ..hub.contents import Known, copy_run, tell
from ..hub.transfer import push
from ..system.console import print_line
from ..system.extras import require
from ..system.files import exists, is_file, read_json
from .contents import FORMAT
from .display import describe_model, source_name

if TYPE_CHECKING:
    from .run import Run

RANKING = ("ndcg@10", "ndcg@100", "recall@20", "recall@50")
"""The ranking metrics on a card."""


def save_pretrained(
    run: "Run",
    folder: str | Path,
    *,
    address: str | None = None,
    measures: Mapping[str, Any] | None = None,
    leave_out: Collection[str] = (),
    license: str | None = None,  # noqa: A002 - the word of the hub
) -> list[Known]:
    """Writes a run with its card into a new or empty folder, see `Run.save_pretrained`.

    Args:
        run: the run.
        folder: where it is written.
        address: by which the card says that the run is loaded; None is the folder.
        measures: what `evaluate` returned; None measures the held-out split where the data are.
        leave_out: names of files that are to stay.
        license: of the weights.

    Returns:
        The files that are there beside the card.
    """
    require("a model card", "hub", "huggingface_hub")
    _refuse_unfinished(run)
    target = Path(folder)
    files = copy_run(run.folder, target, replaced=_without_folders(run), leave_out=leave_out)
    if measures is None:
        measures = _measured(run)
    write_card(target, facts_of(run, measures), files, address or target.name, license)
    return files


def push_to_hub(
    run: "Run",
    repository: str,
    *,
    private: bool = True,
    revision: str | None = None,
    message: str = "",
    token: str | None = None,
    measures: Mapping[str, Any] | None = None,
    leave_out: Collection[str] = (),
    license: str | None = None,  # noqa: A002 - the word of the hub
) -> str:
    """Sends a run with its card to a hub, and says what went, see `Run.push_to_hub`."""
    name = refuse_no_repository(repository)
    address = str(Address(name, revision))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        files = save_pretrained(
            run, folder, address=address, measures=measures, leave_out=leave_out, license=license
        )
        for line in ("what goes to the hub:", *tell(files)):
            print_line(line)
        return push(folder, name, private=private, revision=revision, message=message, token=token)


def log_model(run: "Run", name: str = "model", **options: Any) -> Any:
    """Logs a run as a model of MLflow, see `Run.log_model`."""
    _refuse_unfinished(run)
    usual = "encode"
    if run.items is not None:
        usual = "recommend"
    elif run.recipe.objective.has_bound:
        usual = "score"
    replaced = _without_folders(run)
    return registry.log_model(run.folder, name, usual=usual, replaced=replaced, **options)


def _refuse_unfinished(run: "Run") -> None:
    if run.unfinished is not None:
        raise RunError(f"{run.folder}: {run.unfinished}; finish it by fit --resume first")


def _measured(run: "Run") -> dict[str, Any] | None:
    """Measures the split that was held out; None where the data of the run are not there."""
    sizes = run.split_sizes()
    for split in ("test", "validation"):
        if sizes[split]:
            break
    else:
        return None
    try:
        run.data()
    except DataError:
        print_line("the card has no standard errors, for the data of the run are not here")
        return None
    print_line(f"measuring the {split} split for the card")
    return run.evaluate(split=split)


# What is written anew ----------------------------------------------------------------------------


def _without_folders(run: "Run") -> dict[str, bytes]:
    """Returns the files of a run that name folders of this machine, without these folders."""
    tables = run.recipe.describe()
    paths = [text for text in _texts(tables["data"]) if _is_path(text)]
    replaced = {}
    if paths:
        replaced["recipe.toml"] = tomli_w.dumps(_renamed(tables, paths)).encode()
    for name in ("data.json", "summary.json"):
        if not is_file(run.folder / name):
            continue
        content = read_json(run.folder / name)
        short = _renamed(content, paths)
        if isinstance(short, dict) and "run" in short:
            short["run"] = run.folder.name
        if short != content:
            replaced[name] = (json.dumps(short, indent=1) + "\n").encode()
    return replaced


def _texts(value: Any) -> list[str]:
    """Lists the texts in nested tables and lists."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    found: list[str] = []
    if isinstance(value, list | tuple):
        for item in value:
            found += _texts(item)
    return found


def _is_path(text: str) -> bool:
    """Says whether a text of a recipe names a file or folder of this machine by its folders."""
    return os.sep in text and (Path(text).is_absolute() or exists(Path(text)))


def _renamed(value: Any, paths: Sequence[str]) -> Any:
    """Returns nested tables and lists in whose texts the last part of each path is left of it."""
    if isinstance(value, Mapping):
        return {key: _renamed(item, paths) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, paths) for item in value]
    if isinstance(value, str):
        for path in paths:
            value = value.replace(path, Path(path).name)
    return value


# What the card says ------------------------------------------------------------------------------


def facts_of(run: "Run", measures: Mapping[str, Any] | None) -> Facts:
    """Returns what a card tells of a run.

    Args:
        run: the run.
        measures: what `evaluate` returned; None takes what the fit found, without standard errors.
    """
    summary = run.summary
    split = "test"
    if not summary.get("test"):
        split = "validation"
    if measures is not None:
        split = measures["split"]
        figures = _figures(run, measures)
    else:
        figures = _figures_of_fit(run, summary.get(split) or {})
    # What a recipe says about itself is of its own data, and need not be true of these.
    recipe = _renamed(run.recipe.describe(), _paths(run))
    about = recipe.pop("about")
    return Facts(
        title=f"A variational autoencoder fitted to {source_name(run.recipe)}",
        model=describe_model(run.recipe),
        kind=run.schema.kind,
        parameters=sum(p.numel() for p in run.model.parameters()),
        source=source_name(run.recipe),
        sizes=run.split_sizes(),
        unit=run.schema.unit,
        digest=str(_digest(run)),
        split=split,
        figures=figures,
        caveats=_caveats(run, measures, split),
        recipe=tomli_w.dumps(recipe),
        origin=about.get("title", ""),
        fit=_fit(run),
        uses=_uses(run),
        limits=_limits(run, measures or {}),
        config=_config(run),
    )


def _paths(run: "Run") -> list[str]:
    return [text for text in _texts(run.recipe.describe()["data"]) if _is_path(text)]


def _digest(run: "Run") -> str | None:
    content = read_json(run.folder / "data.json")
    return content.get("fingerprint", {}).get("sha256")


def _figures(run: "Run", measures: Mapping[str, Any]) -> list[Figure]:
    """Lists the figures of `evaluate`, each with its standard error."""
    if "metrics" in measures:
        return _ranking(measures)
    figures = []
    if run.recipe.objective.has_bound:
        figures = [
            Figure("ELBO, nats per example", "elbo", measures["elbo"], measures["elbo_se"]),
            Figure(
                f"log p(x), nats per example ({measures['samples']} importance samples)",
                "log_likelihood",
                measures["log_likelihood"],
                measures["log_likelihood_se"],
                sign="≥ ",
            ),
            Figure(
                f"bits per dimension (each {measures['dimension']})",
                "bits_per_dimension",
                measures["bits_per_dim"],
                None,
                digits=4,
                sign="≤ ",
            ),
        ]
    term = measures["log_likelihood_term"]
    figures.append(
        Figure("log-likelihood term, nats per example", "log_likelihood_term", term, None)
    )
    return figures


def _ranking(measures: Mapping[str, Any]) -> list[Figure]:
    errors = measures["standard_errors"]
    figures = []
    for name, value in measures["metrics"].items():
        if name in RANKING:
            figures.append(Figure(name, name, value, errors[name], digits=4))
    return figures


def _figures_of_fit(run: "Run", found: Mapping[str, Any]) -> list[Figure]:
    """Lists the figures that the fit itself measured, without standard errors."""
    figures = []
    wanted = {"log_likelihood_term": "log-likelihood term, nats per example"}
    if run.recipe.objective.has_bound:
        wanted = {"elbo": "ELBO, nats per example"} | wanted
    if run.items is None:
        for name, words in wanted.items():
            if found.get(name) is not None:
                figures.append(Figure(words, name, found[name], None))
    for name in RANKING:
        if found.get(name) is not None:
            figures.append(Figure(name, name, found[name], None, digits=4))
    return figures


def _caveats(run: "Run", measures: Mapping[str, Any] | None, split: str) -> list[str]:
    """Lists what must be known before the figures are believed."""
    caveats = []
    if measures is None:
        caveats.append("These are the figures of the fit itself, without standard errors.")
        measures = {"caveat": run.summary.get("caveat")}
    if split == "validation":
        caveats.append(
            "There is no test split. The validation split chose the weights: figures on it are "
            "somewhat too good."
        )
    for name in ("caveat", "log_likelihood_doubt"):
        if measures.get(name):
            text = str(measures[name])
            caveats.append(f"{text[0].upper()}{text[1:].rstrip('.')}.")
    return caveats


def _fit(run: "Run") -> str:
    """Says how long the fit was, on what, and with what versions."""
    summary = run.summary
    parts = []
    if "epochs" in summary:
        parts.append(
            f"{summary['epochs']:,} epochs (the weights are those of epoch "
            f"{summary['best_epoch']:,}), {summary['seconds']:,.1f} seconds"
        )
    if summary.get("hardware"):
        parts.append(f"on {summary['hardware']}")
    versions = summary.get("versions") or {}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    text = " ".join(parts) or "Nothing is known of the fit"
    if named:
        text = f"{text}; {named}"
    return f"{text}."


def _uses(run: "Run") -> list[str]:
    """Returns a line of code or two for what a run of this kind is for."""
    if run.items is not None:
        item = run.items.ids.tolist()[0]
        if run.items.titles is not None:
            item = str(run.items.titles[0])
        return [f"lowerbound.Recommender(run).recommend([{item!r}], k=10)"]
    return ["run.sample(16)  # new examples; run.encode(data) and run.evaluate(data) take yours"]


def _limits(run: "Run", measures: Mapping[str, Any]) -> list[str]:
    """Says what the model is for, and what it does not, or not well."""
    limits = [_intended(run)]
    active = measures.get("active_units")
    if active:
        sizes = run.model.latents.sizes
        idle = sum(sizes) - sum(active)
        told = f"{sum(active)} of its {sum(sizes)} latent dimensions carry information"
        if idle:
            told += f"; {idle} have collapsed to the prior"
        limits.append(f"{told}.")
    if run.items is not None:
        return limits + _limits_of_recommender(measures)
    if run.recipe.objective.has_bound:
        limits.append(
            "A high likelihood does not make an example usual: simple examples of other data may "
            "have a higher one."
        )
    if run.schema.given:
        names = ", ".join(run.schema.names_of_conditions)
        limits.append(f"The model is conditional: it is told {names}.")
    return limits


def _intended(run: "Run") -> str:
    """Says what a run of this kind is for."""
    data = source_name(run.recipe)
    if run.items is not None:
        return (
            f"It recommends items of {data} for histories of such items, of users that it has not "
            "seen too. It knows no other items."
        )
    return (
        f"It is for data like {data}: codes, reconstructions, samples and likelihoods. It has not "
        "been checked for decisions about people."
    )


def _limits_of_recommender(measures: Mapping[str, Any]) -> list[str]:
    limits = []
    for name, lead in list((measures.get("more_than_popularity") or {}).items()):
        if name == "ndcg@100":
            limits.append(
                f"Its {name} is {lead['value']:+.4f} ± {lead['standard_error']:.4f} to that of "
                "recommending the most popular items to everybody."
            )
    for name, share in (measures.get("coverage") or {}).items():
        if name == "coverage@100":
            limits.append(
                f"{share:.1%} of the items are in a list of 100 for any of these users: the others "
                "are never recommended to them."
            )
    return limits


def _config(run: "Run") -> dict[str, Any]:
    """Returns what `config.json` holds: enough to tell runs apart without reading their recipes."""
    model = run.recipe.model
    return {
        "lowerbound_version": __version__,
        "format": FORMAT,
        "kind": run.schema.kind,
        "shape": list(run.schema.shape),
        "latent": list(model.latent),
        "likelihood": type(model.likelihood).__name__,
        "objective": type(run.recipe.objective).__name__,
    }

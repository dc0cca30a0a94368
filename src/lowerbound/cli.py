"""The command line. Each command does one thing through the Python interface, and prints it for
people or as JSON.

With `--json` the last line of standard output is one JSON object; progress and errors go to
standard error. Exit codes: 0 done, 1 the run went wrong by itself, 2 wrong input, 130 and 143
stopped by Ctrl-C and SIGTERM.
"""

import errno
import json as jsonlib
import os
import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from . import __version__
from .errors import ConfigError, DataError, LowerboundError, one_line, unknown
from .specs import listing
from .system.console import is_first_process, print_line


class Flagged:
    """A command, or all of them. Typer imports pydantic to read a `--help` that nobody gave; here
    that is false at once.
    """

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None and "process_value" not in vars(option):
            read = option.process_value
            option.process_value = lambda ctx, value: read(ctx, bool(value))
        return option


class Commands(Flagged, TyperGroup):
    """The commands."""


class Command(Flagged, TyperCommand):
    """A command whose line in the help is whole, however wide the terminal."""

    def get_short_help_str(self, limit: int = 45) -> str:
        return super().get_short_help_str(limit=1000)


app = typer.Typer(
    cls=Commands,
    help="Variational autoencoders for images, tables and interactions: fit, measure, look, use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the coloured help takes longer to import than all else that it needs
)


command = partial(app.command, cls=Command)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
Source = Annotated[
    str | None, typer.Option("--data", metavar="SOURCE", help="Name of a data set, or a path.")
]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")]


def show(result: dict[str, Any], lines: list[str], json: bool) -> None:
    """The result as one line of JSON, or as text for people."""
    from .system.files import jsonable

    print(
        jsonlib.dumps(jsonable(result), allow_nan=False) if json else "\n".join(lines), flush=True
    )


def number(value: float | None, digits: int = 2) -> str:
    """A figure for people."""
    return "-" if value is None or value != value else f"{value:,.{digits}f}"


def figures_table(summary: dict[str, Any]) -> list[str]:
    """The bound of each split, or the ranking metrics of those that hold items out, as text."""
    splits = {split: summary[split] for split in ("train", "validation", "test") if summary[split]}
    rows = [
        f"{'nats per example':<17}{'ELBO':>10}{'log-lik. term':>15}{'objective':>11}  rate of each "
        "level"
    ]
    for split, found in splits.items():
        if "rate" in found:
            rates = " ".join(number(r) for r in found["rate"])
            values = f"{number(found['elbo']):>10}{number(found['log_likelihood_term']):>15}{number(found['objective']):>11}"
            rows.append(f"{split:<17}{values}  {rates}")
    ranked = {
        split: {k: v for k, v in found.items() if "@" in k} for split, found in splits.items()
    }
    return rows + ranking_table({split: found for split, found in ranked.items() if found})


def ranking_table(columns: dict[str, dict[str, float]]) -> list[str]:
    """Ranking metrics, one a line, with a column for each split."""
    names = dict.fromkeys(name for found in columns.values() for name in found)
    head = [f"{'ranking':<17}" + "".join(f"{split:>12}" for split in columns)] if columns else []
    return head + [
        f"{name:<17}" + "".join(f"{number(found.get(name), 4):>12}" for found in columns.values())
        for name in names
    ]


def following(run: Any) -> str:
    """The command that one would take next."""
    if run.summary["test"]:
        return f"lowerbound evaluate {run.folder}"
    if run.items is None:
        return f"lowerbound evaluate {run.folder} --split train"
    return f"lowerbound recommend {run.folder} --history ITEM"


def report_lines(run: Path) -> list[str]:
    """Where the report of a run is, if it has one."""
    parts = {"picture": "overview.png", "page": "index.html"}
    return [
        f"{name:<9}{run / 'report' / file}"
        for name, file in parts.items()
        if (run / "report" / file).is_file()
    ]


@command()
def fit(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Packaged name or TOML file.")],
    data: Source = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN", help="Folder for the run [default: runs/RECIPE]."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the weights, the order of the data and the noise.")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="Number of processes, each with its device.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run.")
    ] = False,
    json: Json = False,
) -> None:
    """Fit a recipe and write a run folder."""
    from . import fitting
    from . import recipe as recipes
    from .data import described

    chosen = recipes.settings(settings or [])
    found = fitting.fit(
        recipe, data=data, out=out, settings=chosen, seed=seed, devices=devices, resume=resume
    )
    if not is_first_process():
        return  # of several processes one prints
    summary = found.summary
    held = [described(summary["facts"])] if summary["facts"] else []
    speed = f"{summary['seconds']:.1f} s, {summary['examples_per_second']:,.0f} examples/s"
    lines = [
        *held,
        f"{summary['parameters']:,} parameters, {summary['epochs']} epochs (the best was "
        f"{summary['best_epoch']}), {speed}",
        *figures_table(summary),
        *([f"note: {summary['caveat']}"] if summary["caveat"] else []),
        f"run      {found.folder}",
        *report_lines(found.folder),
        f"next     {following(found)}",
    ]
    show(summary, lines, json)


@command()
def evaluate(
    run: RunFolder,
    data: Source = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all [default: test].")
    ] = None,
    samples: Annotated[int, typer.Option(help="Importance samples for each example.")] = 100,
    json: Json = False,
) -> None:
    """Measure a run: the bound and the importance-sampled log-likelihood, or how well a recommender
    ranks.
    """
    from .evaluation.batches import positive
    from .run import run as runs

    found = runs.load(run).evaluate(data, split=split, samples=positive(samples))
    if "metrics" in found:
        show(found, ranking_lines(found), json)
        return
    drawn = f"{samples} importance samples, {found['effective_samples']:.1f} effective"
    lines = [
        f"{found['examples']:,} {found['split']} examples; nats per example",
        f"ELBO                 {number(found['elbo'])} +- {number(found['elbo_se'])}",
        f"log-likelihood       {number(found['log_likelihood'])} +- "
        f"{number(found['log_likelihood_se'])}  ({drawn})",
        f"log-likelihood term  {number(found['log_likelihood_term'])}",
        f"rate of each level   {' '.join(map(number, found['rate']))}",
        f"active units         {' '.join(map(str, found['active_units']))}",
        f"bits per dimension   {number(found['bits_per_dim'], 4)}",
        *([f"note: {found['caveat']}"] if found["caveat"] else []),
    ]
    show(found, lines, json)


def ranking_lines(found: dict[str, Any]) -> list[str]:
    """What was measured of a recommender, as text: a line for each metric, with its values at
    several k.
    """
    names, errors, above = found["metrics"], found["standard_errors"], found["more_than_popularity"]
    cuts = [k for k in ("10", "20", "50", "100") if f"ndcg@{k}" in names]
    rows = [
        f"{found['users']:,} {found['split']} users; {found['users_without_targets']:,} without "
        "held-out items are left out"
    ]
    rows.append(f"{'':<15}" + "".join(f"{'@' + k:>18}" for k in cuts))
    for kind in dict.fromkeys(name.partition("@")[0] for name in names):
        cells = [f"{names[f'{kind}@{k}']:.4f} +- {errors[f'{kind}@{k}']:.4f}" for k in cuts]
        rows.append(f"{kind:<15}" + "".join(f"{cell:>18}" for cell in cells))
    rows.append(
        f"{'coverage':<15}" + "".join(f"{found['coverage'][f'coverage@{k}']:>18.1%}" for k in cuts)
    )
    rows += [
        f"active units {' '.join(map(str, found['active_units']))}, rate "
        f"{' '.join(map(number, found['rate']))} nats"
    ]
    return rows + (
        [versus_popularity(above[f"ndcg@{cuts[-1]}"], f"NDCG@{cuts[-1]}")] if above and cuts else []
    )


def versus_popularity(difference: dict[str, float], metric: str) -> str:
    """A plain sentence on whether a model is better than the same list for everybody."""
    value, error = difference["value"], difference["standard_error"]
    if value > 2 * error:
        return f"{metric} is {value:.4f} +- {error:.4f} above that of popularity"
    return f"this model does not beat popularity: {metric} is {value:+.4f} +- {error:.4f} to it"


@command()
def report(run: RunFolder, json: Json = False) -> None:
    """Write the report of a run: one page that needs no other file, and its pictures as PNG and
    SVG.
    """
    from .report import page
    from .run import run as runs

    path = page(runs.load(run), progress=True)
    show(
        {"page": str(path), "picture": str(path.with_name("overview.png"))}, report_lines(run), json
    )


@command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of two runs or more.")
    ],
    data: Source = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all [default: test].")
    ] = None,
    samples: Annotated[int, typer.Option(help="Importance samples for each example.")] = 20,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Of the page [default: beside RUN]."),
    ] = None,
    json: Json = False,
) -> None:
    """Compare runs on the same examples: one table, and one page with their curves and samples side
    by side.
    """
    from .report import compare as compared
    from .report.comparison.text import as_text
    from .run import run as runs

    found = compared(
        [runs.load(folder) for folder in folders],
        out,
        data=data,
        split=split,
        samples=samples,
        progress=True,
    )
    show(found.describe(), as_text(found), json)


@command()
def score(
    run: RunFolder,
    out: Out,
    data: Source = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all [default: test].")
    ] = None,
    samples: Annotated[int, typer.Option(help="Importance samples for each example.")] = 20,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Also the likelihood ratio to this run.")
    ] = None,
    json: Json = False,
) -> None:
    """Score each example, to find anomalies: its bound, log-likelihood, percentile and likelihood
    ratios, as .csv or .parquet.
    """
    from . import anomalies
    from .outputs import TABLES, suffix, write_table
    from .run import run as runs

    suffix(out, TABLES)
    found = anomalies.score(runs.load(run), data, split=split, samples=samples, against=against)
    write_table(out, found.to_frame())
    show({"out": str(out)} | found.summary(), [*score_lines(found), f"all scores in {out}"], json)


def score_lines(scores: Any) -> list[str]:
    """The mean of each score, how well it tells the source from the run's own test split, and the
    least likely examples.
    """
    found = scores.summary()
    own, area = found["own_test_means"], found["auroc"]
    rows = [
        f"{found['examples']:,} {found['split']} examples of {found['source']}, {found['samples']} "
        "importance samples each"
    ]
    rows.append(f"{'mean':<22}{'of these':>14}" + (f"{'own test split':>16}  AUROC" if own else ""))
    for name, mean in found["means"].items():
        beside = f"{number(own[name]['value']):>16}" if own else ""
        told = (
            f"  {area[name]['value']:.4f} +- {area[name]['standard_error']:.4f}"
            if name in area
            else ""
        )
        rows.append(f"{name:<22}{number(mean['value']):>14}{beside}{told}")
    split = f"own test split ({found['own_test_examples']:,} examples)"
    rows += (
        [f"AUROC: the probability that one of these looks more anomalous than one of the {split}"]
        if own
        else []
    )
    rows += ["the least likely:"]
    for row in scores.least_likely().iter_rows(named=True):
        label = f"  label {row['label']}" if "label" in row else ""
        value = number(row["log_likelihood"])
        rows.append(
            f"row {row['row']:>7}  log p(x) {value:>12}  percentile {row['percentile']:.2f}{label}"
        )
    return rows + ([f"note: {found['caveat']}"] if found["caveat"] else [])


@command()
def sample(
    run: RunFolder,
    out: Out,
    n: Annotated[int, typer.Option("-n", help="How many.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0, max=2**63 - 1)] = 0,
    json: Json = False,
) -> None:
    """Draw from the model: a PNG grid (means of p(x|z)), or .npy, .csv, .parquet (draws from it)."""
    from .outputs import write_samples
    from .run import run as runs

    count = write_samples(runs.load(run), n, out, seed)
    show({"out": str(out), "samples": count}, [f"{count} samples in {out}"], json)


@command()
def encode(
    run: RunFolder,
    out: Out,
    data: Source = None,
    json: Json = False,
) -> None:
    """Write the posterior means of all examples, of interactions also the items' vectors: .npy,
    .csv or .parquet.
    """
    from .outputs import write_codes
    from .run import run as runs

    fitted = runs.load(run)
    found = write_codes(fitted, fitted.data(data).split("all"), out)
    line = f"{found['examples']:,} codes in {out}: {', '.join(found['columns'][:4])}{' ...' if len(found['columns']) > 4 else ''}"
    beside = (
        [f"{found['items']:,} vectors of items in {found['items_out']}"] if "items" in found else []
    )
    show({"out": str(out)} | found, [line, *beside], json)


SEVERAL = ("--history", "--allow", "--deny")
"""Options that take every value up to the next option."""


def spread(arguments: list[str]) -> list[str]:
    """Each value of an option of `SEVERAL` behind an option of its own, as the parser wants it.

    >>> spread(["runs/r", "--history", "Fargo", "Alien", "-k", "5"])
    ['runs/r', '--history', 'Fargo', '--history', 'Alien', '-k', '5']
    """
    found: list[str] = []
    option = None
    for argument in arguments:
        starts = argument.startswith("-") and argument != "-"
        if starts:
            option = argument if argument in SEVERAL else None
            found += [] if option else [argument]
        else:
            found += [option, argument] if option else [argument]
    return found


class Spread(Command):
    """A command whose options of `SEVERAL` take several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for option, following in zip(args, [*args[1:], "-"], strict=True):
            if option in SEVERAL and following.startswith("-"):
                raise ConfigError(f"{option} needs one value or more")
        return super().parse_args(ctx, spread(args))


def items_of(values: list[str] | None) -> list[str] | None:
    """Items that were named, or that stand in text files, one a line. DataError for a file that is
    no text.
    """
    from .system.files import exists

    if values is None:
        return None
    return [
        item
        for value in values
        for item in (
            _lines(Path(value)) if exists(Path(value)) and Path(value).is_file() else [value]
        )
    ]


def _lines(path: Path) -> list[str]:
    try:
        return [
            line.strip()
            for line in path.read_text(encoding="utf-8-sig").splitlines()
            if line.strip()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of items: {error}") from None


def recommendation_table(found: list[Any]) -> list[str]:
    """Recommendations as text, aligned; titles where the run has them."""
    rows = [["rank", "title", "item", "score"]]
    rows += [[str(i), r.title or "", str(r.item), f"{r.score:.4f}"] for i, r in enumerate(found, 1)]
    rank, title, item, score = (max(map(len, column)) for column in zip(*rows, strict=True))
    titled = any(r.title for r in found)
    return [
        f"{a:>{rank}}  {f'{b:<{title}}  ' if titled else ''}{c:<{item}}  {d:>{score}}"
        for a, b, c, d in rows
    ]


@app.command(cls=Spread)
def recommend(
    run: RunFolder,
    history: Annotated[
        list[str] | None, typer.Option(metavar="ITEM...", help="What one user had, by id or title.")
    ] = None,
    users: Annotated[
        str | None, typer.Option(metavar="FILE", help="Interactions of many users; needs --out.")
    ] = None,
    similar: Annotated[
        str | None, typer.Option(metavar="ITEM", help="Find the items most like this one.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many, for each user.")] = 10,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="FILE|ITEM...", help="Nothing but these items.")
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option(metavar="FILE|ITEM...", help="None of these items.")
    ] = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also what the history holds.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="With --users: .csv or .parquet.")
    ] = None,
    json: Json = False,
) -> None:
    """Recommend items for a history, or for many users into a file; or find the items most like
    one.
    """
    refuse_unclear({"--history": history, "--users": users, "--similar": similar}, out)
    from .recommend import Recommender

    recommender = Recommender.load(run)
    limits: dict[str, Any] = {"allow": items_of(allow), "deny": items_of(deny) or ()}
    if users is not None and out is not None:
        data = recommender.run.data(users)
        found = recommender.recommend_many(data.whole, k, exclude_seen=not include_seen, **limits)
        result, lines = write_recommendations(found, out)
        unknown_items = data.facts.get("unknown_items", 0)
        lines += (
            [f"{unknown_items:,} items of {users} are not known to the run and were left out"]
            if unknown_items
            else []
        )
        show(result | {"unknown_items": unknown_items}, lines, json)
        return
    if similar is not None:
        listed = recommender.similar(similar, k, **limits)
    else:
        listed = recommender.recommend(history or [], k, exclude_seen=not include_seen, **limits)
    show({"items": [r._asdict() for r in listed]}, recommendation_table(listed), json)


def refuse_unclear(asked: dict[str, Any], out: Path | None) -> None:
    """ConfigError unless one thing is asked for, and a file is named where one is to be written."""
    from .outputs import TABLES, suffix

    given = [name for name, value in asked.items() if value is not None]
    if len(given) != 1:
        raise ConfigError(
            f"recommend needs one of {', '.join(asked)}; got {' and '.join(given) or 'none'}"
        )
    if given == ["--users"] and out is None:
        raise ConfigError("--users needs --out FILE")
    if given != ["--users"] and out is not None:
        raise ConfigError(f"--out goes with --users; what {given[0]} finds is printed")
    if out is not None:
        suffix(out, TABLES)


def write_recommendations(found: Any, out: Path) -> tuple[dict[str, Any], list[str]]:
    """Write the lists of many users, and say what was written: as JSON, and as text."""
    from .outputs import write_table

    write_table(out, found.to_frame())
    rows, without = int(found.counts.sum()), int((found.counts == 0).sum())
    rest = (
        f"; {without:,} users get nothing: none of their items is known, or none is left"
        if without
        else ""
    )
    line = f"{rows:,} recommendations for {len(found):,} users in {out}{rest}"
    return {"out": str(out), "users": len(found), "rows": rows, "users_without": without}, [line]


def _data() -> dict[str, str]:
    from .data import named_sets

    return {
        name: f"{entry.summary}; {entry.found() or 'not here yet'}"
        for name, entry in named_sets().items()
    }


def _trackers() -> dict[str, str]:
    return {name.lower(): told for name, told in listing.parts("tracking", "Tracker").items()}


CATALOGUES: dict[str, Any] = {
    "recipes": listing.recipes,
    "data": _data,
    **{module: partial(listing.parts, module, base) for module, base in listing.BASES.items()},
    "optimizers": listing.optimizers,
    "trackers": _trackers,
}


class AsTyped(Command):
    """A command whose arguments are texts as they were typed: to read them as anything else, Typer
    would import pydantic.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                parameter.process_value = lambda ctx, value: value  # type: ignore[method-assign]


@app.command(name="list", cls=AsTyped)
def list_(
    what: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(CATALOGUES)}; all of them without it.")
    ] = None,
    json: Json = False,
) -> None:
    """List what there is: recipes, data sets and the parts that recipes are made of."""
    if what is not None and what not in CATALOGUES:
        raise ConfigError(unknown("catalogue", what, CATALOGUES))
    found = {name: CATALOGUES[name]() for name in CATALOGUES if what in (None, name)}
    width = max(len(name) for entries in found.values() for name in entries)
    lines = [
        line
        for name, entries in found.items()
        for line in ("", name, *(f"  {k:<{width}}  {v}" for k, v in entries.items()))
    ]
    show(found, lines[1:], json)


@command()
def doctor(json: Json = False) -> None:
    """Versions, devices, data found, and a self-check of the numerics on closed-form truths."""
    import platform
    from importlib import metadata

    import torch

    from . import testing

    names = (
        "torch",
        "numpy",
        "lightning-fabric",
        "pydantic",
        "safetensors",
        "polars",
        "scikit-learn",
    )
    versions = {"lowerbound": __version__, "python": platform.python_version()} | {
        n: metadata.version(n) for n in names
    }
    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    checks = {name: truth() for name, truth in testing.truths().items()}
    healthy = all(error <= testing.TOLERANCE for error in checks.values())
    lines = [
        *(f"{name:<18}{version}" for name, version in versions.items()),
        *(f"{'device':<18}{name}" for name in devices),
        *(f"{'data':<18}{name}: {text}" for name, text in _data().items()),
        *(
            f"{'truth':<18}{name}: off by {e:.1e} {'ok' if e <= testing.TOLERANCE else 'WRONG'}"
            for name, e in checks.items()
        ),
        "all is well" if healthy else "the numerics are wrong on this machine",
    ]
    show(
        {
            "versions": versions,
            "devices": devices,
            "data": _data(),
            "truths": checks,
            "healthy": healthy,
        },
        lines,
        json,
    )
    if not healthy:
        raise typer.Exit(1)


UsageError: Any = typer.BadParameter.__bases__[0]
"""What Typer raises for a command line that it does not understand. It has no public name of its
own.
"""


def usage(error: Any) -> str:
    """What is wrong with a command line, in one line."""
    context = error.ctx
    where = f"; see {context.command_path} --help" if context else "; see lowerbound --help"
    words = error.format_message().rstrip(".")
    if name := getattr(error, "option_name", None) if words.startswith("No such option") else None:
        known = (
            [option for parameter in context.command.params for option in parameter.opts]
            if context
            else []
        )
        return (
            unknown(
                "option", name, [*(option for option in known if option.startswith("-")), "--help"]
            )
            + where
        )
    if words.startswith("No such command"):
        return unknown("command", words.split("'")[1], context.command.commands) + where
    if error.__cause__ is not None and hasattr(error.__cause__, "errors"):
        return _value(error) + where
    return words[0].lower() + words[1:] + where


def _value(error: Any) -> str:
    """What is wrong with the value of an option, as pydantic found."""
    from .specs.wording import wording

    found = error.__cause__.errors()[0]
    return f"{error.param.opts[-1]} {wording(found)}, got {found['input']!r}"


STOPPED = 130
"""The exit code after Ctrl-C."""


def main() -> None:
    """The console script: one line for every mistake, and never a traceback for a user's."""
    if isinstance(
        sys.stdout, TextIOWrapper
    ):  # what it cannot show is no reason to fail after the work
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_done())
    except UsageError as error:
        print_line(usage(error))
        sys.exit(error.exit_code)
    except LowerboundError as error:
        print_line(error)
        sys.exit(error.exit_code)
    except OSError as error:
        _tell_of(error)
        sys.exit(2)
    except KeyboardInterrupt:
        print_line("stopped")
        sys.exit(STOPPED)


def _done() -> int:
    """The exit code of a command that ran."""
    try:
        code = _ran()
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as ended:  # by which Typer hides this one, too
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return _unheard()
    except BrokenPipeError:
        return _unheard()
    if code == STOPPED:
        print_line("stopped")
    return code


def _ran() -> int:
    try:
        return app(prog_name="lowerbound", standalone_mode=False)
    except UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            raise
        print(error.format_message())  # which is the help
        return error.exit_code


def _unheard() -> int:
    """Who read the output has seen enough, as `head` does: what is still to be written goes
    nowhere, and nothing went wrong.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _tell_of(error: OSError) -> None:
    """One line for a file that cannot be used, or standard output; anything else is a fault of
    ours.
    """
    if error.filename is None and error.errno not in (errno.ENOSPC, errno.EIO):
        raise error
    if error.filename is None:
        _unheard()
    where = "standard output" if error.filename is None else one_line(error.filename)
    print_line(f"{where} cannot be used: {error.strerror}")

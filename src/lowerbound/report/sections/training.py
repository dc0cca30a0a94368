"""The curves of training, and whether it came to its end."""

import csv
import math
import shlex
from collections.abc import Sequence

from ...errors import RunError, one_line
from ...run import Run
from ...system.files import is_file, within
from ..figures import lines
from ..records import Picture, Section
from ..text import metric

MetricRows = list[dict[str, float]]


def metric_rows(run: Run) -> MetricRows:
    """The rows of metrics.csv; what an epoch did not measure is not in its row."""
    path = within(run.folder, "metrics.csv")
    if not is_file(path):
        return []
    try:
        with path.open(encoding="utf-8") as file:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise RunError(one_line(f"{path} is not what a run wrote: {error}")) from None


def _some(columns: Sequence[str], first: str) -> list[str]:
    """At most four ranking metrics of those measured, the one that chose the weights first."""
    wanted = [first, "ndcg@100", "recall@20", "recall@50", *columns]
    return [name for name in dict.fromkeys(wanted) if name in columns][:4]


def _ranking(run: Run, columns: Sequence[str], rows: MetricRows, best: int | None) -> list[Picture]:
    ranked = [
        name.removeprefix("validation_")
        for name in columns
        if name.startswith("validation_") and "@" in name
    ]
    if not ranked:
        return []
    monitor = run.recipe.training.monitor
    chosen = f" The weights are those of the epoch with the best {metric(monitor)}." if best else ""
    labels = {f"validation_{name}": metric(name) for name in _some(ranked, monitor)}
    return [
        Picture(
            "validation",
            "Ranking of the validation users",
            f"By epoch.{chosen}",
            lambda ax: lines(rows, labels, "mean over users", ax, best_epoch=best),
        )
    ]


CURVES = {
    "elbo": ("ELBO", "The evidence lower bound of each epoch."),
    "objective": ("Objective", "The loss that is minimised; it is not minus the ELBO here."),
    "log_likelihood_term": (
        "Log-likelihood term",
        "The mean of log p(x | z), z drawn from the posterior.",
    ),
    "rate": ("Rate", "KL(q(z | x) ‖ p(z)): what the codes tell of their example."),
}
"""Columns of the metrics that are drawn, of each split that has them: title and caption."""


def _known(rows: MetricRows, name: str) -> bool:
    return any(math.isfinite(row.get(name, math.nan)) for row in rows)


def _labels(rows: MetricRows, columns: Sequence[str], stem: str) -> dict[str, str]:
    """The columns of one curve that hold numbers, of both splits and of all levels, with their
    labels.
    """
    found: dict[str, str] = {}
    for split in ("train", "validation"):
        own = [
            name
            for name in columns
            if name == f"{split}_{stem}" or name.startswith(f"{split}_{stem}_")
        ]
        many = len(own) > 1
        found |= {
            n: f"level {n.rpartition('_')[2]}, {split}" if many else split
            for n in own
            if _known(rows, n)
        }
    return {
        name: label for name, label in found.items() if stem == "rate" or name.endswith(f"_{stem}")
    }


def _same(rows: MetricRows) -> bool:
    """Whether the objective is minus the ELBO in all epochs."""
    return all(
        abs(row.get("train_objective", 0) + row.get("train_elbo", math.nan)) < 1e-3 for row in rows
    )


def _curves(run: Run, rows: MetricRows) -> list[Picture]:
    best = run.summary.get("best_epoch") if run.summary.get("validation") else None
    columns = list(dict.fromkeys(name for row in rows for name in row))
    pictures = _ranking(run, columns, rows, best)
    stems = [stem for stem in CURVES if stem != "objective" or not _same(rows)]
    return pictures + [
        _curve(rows, stem, labels, best)
        for stem in stems
        if (labels := _labels(rows, columns, stem))
    ]


def _curve(rows: MetricRows, stem: str, labels: dict[str, str], best: int | None) -> Picture:
    title, told = CURVES[stem]
    early = " The first epochs may leave the picture." if len(rows) > 10 else ""
    return Picture(
        stem,
        title,
        told + early,
        lambda ax: lines(rows, labels, "nats per example", ax, best_epoch=best, trim=True),
    )


def _weight(run: Run, rows: MetricRows) -> tuple[tuple[str, ...], tuple[Picture, ...]]:
    """The weight of the KL term: a sentence where it is one number, a picture where it changes."""
    weights = [row["kl_weight"] for row in rows if math.isfinite(row.get("kl_weight", math.nan))]
    if not weights:
        return (), ()
    if max(weights) - min(weights) < 1e-12:
        return (f"The KL term has the weight {weights[0]:g} in every epoch.",), ()
    told = f"The factor of the rate in the objective; it ends at {weights[-1]:g}."
    draw = Picture(
        "kl_weight",
        "Weight of the KL term",
        told,
        lambda ax: lines(rows, {"kl_weight": "KL weight"}, "weight", ax),
    )
    return (), (draw,)


def training(run: Run) -> Section | None:
    """How training went, epoch by epoch."""
    rows = metric_rows(run)
    if not rows:
        return None
    sentences, weight = _weight(run, rows)
    return Section(
        "Training",
        (*_ended(run), *sentences),
        _unfinished(run, rows),
        pictures=(*_curves(run, rows), *weight),
    )


def _ended(run: Run) -> tuple[str, ...]:
    summary = run.summary
    if "epochs" not in summary:
        return ()
    if not summary.get("validation"):
        return (
            "There is no validation split: the weights of the last epoch were kept, and nothing "
            "says whether more would help.",
        )
    by = metric(run.recipe.training.monitor)
    early = " Training stopped early." if summary["epochs"] < run.recipe.training.epochs else ""
    return (
        f"Of {summary['epochs']:,} epochs the best by {by} on the validation split was "
        f"{summary['best_epoch']:,}.{early}",
    )


def _improving(values: Sequence[float]) -> bool:
    """Whether the last tenth of the epochs still brought more than a hundredth of all that was
    gained.
    """
    back = max(1, len(values) // 10)
    return len(values) < 3 or values[-1 - back] - values[-1] > 0.01 * (values[0] - values[-1])


def _unfinished(run: Run, rows: MetricRows) -> tuple[str, ...]:
    """What a reader must know of the training."""
    summary, told = run.summary, []
    values = [
        row["validation_objective"]
        for row in rows
        if math.isfinite(row.get("validation_objective", math.nan))
    ]
    last = bool(summary.get("validation")) and summary.get("best_epoch") == summary.get("epochs")
    if last and (not values or _improving(values)):
        n, name = summary["epochs"], run.folder.resolve().name
        again = f"lowerbound fit {shlex.quote(f'{name}/recipe.toml')} --set training.epochs={2 * n}"
        told.append(
            f"The run has not converged: its best epoch is its last ({n:,}). More epochs may give "
            f"a better model: {again}"
        )
    losses = [row["train_objective"] for row in rows if "train_objective" in row]
    if any(not math.isfinite(value) for value in losses):
        told.append("The training objective was not a finite number in some epochs.")
    return tuple(told)

"""The curves of training, and whether it came to its end."""

import csv
import math
import shlex
from collections.abc import Sequence

from ...errors import RunError, one_line
from ...run import Run
from ...system.files import is_file, within
from ..figures import lines, stacked
from ..records import Picture, Section
from ..text import HIDDEN_IN_TRAINING, metric_title, name_level

MetricRows = list[dict[str, float]]
"""The rows of metrics.csv: the numbers of each epoch, by column."""


CURVES = {
    "elbo": ("ELBO", "The evidence lower bound of each epoch."),
    "objective": ("Objective", "The loss that is minimised; it is not minus the ELBO here."),
    "log_likelihood_term": (
        "Log-likelihood term",
        "The mean of log p(x | z), z drawn from the posterior.",
    ),
    "rate": ("Rate", "KL(q(z | x) ‖ p(z)): what the codes tell of their example."),
}
"""The title and the caption of each column of the metrics that is drawn, for the splits that have
it.
"""


CURVES_OF_RANKING = 4
"""The picture of the ranking metrics has at most this many curves."""


MINUS_ELBO_TOLERANCE = 1e-3
"""The objective is minus the ELBO if in no epoch they are further apart than this, in nats."""


def training(run: Run) -> Section | None:
    """Shows how training went, epoch by epoch; None for a run without metrics."""
    rows = metric_rows(run)
    if not rows:
        return None
    pictures = _curves(run, rows)
    sentences = list(_outcome(run))
    if run.schema.table and run.recipe.data.hide:
        sentences.append(f"In training, {HIDDEN_IN_TRAINING}.")
    weights = _finite_column(rows, "kl_weight")
    if weights:
        if max(weights) - min(weights) < 1e-12:
            sentences.append(f"The KL term has the weight {weights[0]:g} in every epoch.")
        else:
            pictures.append(_weight_curve(rows, weights[-1]))
    free_bits = _finite_column(rows, "free_bits")
    if free_bits:
        pictures.append(_free_bits_curve(rows, free_bits[-1]))
    return Section("Training", tuple(sentences), _warnings(run, rows), pictures=tuple(pictures))


def metric_rows(run: Run) -> MetricRows:
    """Reads metrics.csv; what an epoch did not measure is not in its row.

    Returns:
        The rows; none for a run without the file.

    Raises:
        RunError: the file is not what a run wrote.
    """
    path = within(run.folder, "metrics.csv")
    if not is_file(path):
        return []
    rows = []
    try:
        with path.open(encoding="utf-8") as file:
            for cells in csv.DictReader(file):
                rows.append({column: float(cell) for column, cell in cells.items() if cell})
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise RunError(one_line(f"{path} is not what a run wrote: {error}")) from None
    return rows


def _finite_column(rows: MetricRows, column: str) -> list[float]:
    """Returns the finite numbers of a column, in the order of the epochs."""
    values = [row.get(column, math.nan) for row in rows]
    return [value for value in values if math.isfinite(value)]


def _curves(run: Run, rows: MetricRows) -> list[Picture]:
    """Draws the ranking metrics first, then each of `CURVES` that has numbers."""
    best_epoch = run.summary.get("best_epoch") if run.summary.get("validation") else None
    columns = list(dict.fromkeys(column for row in rows for column in row))
    pictures = []
    ranking = _ranking_curves(run, columns, rows, best_epoch)
    if ranking is not None:
        pictures.append(ranking)
    for name in CURVES:
        if name == "objective" and _is_minus_elbo(rows):
            continue
        labels = _curve_labels(rows, columns, name)
        if name == "rate" and not run.model.latents.markov:
            stack = _stacked_rates(rows, list(labels), best_epoch)
            if stack is not None:
                pictures.append(stack)
                continue
        if labels:
            pictures.append(_curve(rows, name, labels, best_epoch))
    return pictures


def _ranking_curves(
    run: Run, columns: Sequence[str], rows: MetricRows, best_epoch: int | None
) -> Picture | None:
    """Draws the ranking metrics of the validation users; None where none was measured."""
    metrics = []
    for column in columns:
        if column.startswith("validation_") and "@" in column:
            metrics.append(column.removeprefix("validation_"))
    if not metrics:
        return None
    monitor = run.recipe.training.monitor
    caption = "By epoch."
    if best_epoch:
        best = metric_title(monitor)
        caption += f" The weights are those of the epoch with the best {best}."
    # The metric that chose the weights comes first.
    preferred = dict.fromkeys([monitor, "ndcg@100", "recall@20", "recall@50", *metrics])
    drawn = [name for name in preferred if name in metrics][:CURVES_OF_RANKING]
    labels = {f"validation_{name}": metric_title(name) for name in drawn}
    return Picture(
        "validation",
        "Ranking of the validation users",
        caption,
        lambda ax: lines(rows, labels, "mean over users", ax, best_epoch=best_epoch),
    )


def _is_minus_elbo(rows: MetricRows) -> bool:
    """Says whether the objective is minus the ELBO in all epochs."""
    for row in rows:
        distance = abs(row.get("train_objective", 0) + row.get("train_elbo", math.nan))
        if not distance < MINUS_ELBO_TOLERANCE:
            return False
    return True


def _curve_labels(rows: MetricRows, columns: Sequence[str], curve: str) -> dict[str, str]:
    """Labels the columns of a curve that hold numbers, of both splits and, of a rate, all levels.

    A rate has a column for each level: `train_rate_1`, `train_rate_2`.
    """
    labels = {}
    for split in ("train", "validation"):
        whole = f"{split}_{curve}"
        related = [name for name in columns if name == whole or name.startswith(f"{whole}_")]
        for column in related:
            is_drawn = curve == "rate" or column == whole
            if not is_drawn or not _finite_column(rows, column):
                continue
            label = split
            if len(related) > 1:
                level = column.rpartition("_")[2]
                label = f"level {level}, {split}"
            labels[column] = label
    return labels


def _stacked_rates(
    rows: MetricRows, columns: Sequence[str], best_epoch: int | None
) -> Picture | None:
    """Draws the rates of the levels of a ladder, none of which is below 0, one on the other.

    They are those of the validation split, or else of training.

    Returns:
        The picture, or None where no split has the rates.
    """
    split = "train"
    if any(column.startswith("validation_rate_") for column in columns):
        split = "validation"
    count = sum(column.startswith(f"{split}_rate_") for column in columns)
    if count == 0:
        return None
    # The top level is drawn first: what the others add lies on it.
    labels = {
        f"{split}_rate_{level + 1}": name_level(level, count) for level in reversed(range(count))
    }
    title, caption = CURVES["rate"]
    return Picture(
        "rate",
        f"{title} by level, {split}",
        f"{caption} The levels lie one on the other, the top one below.",
        lambda ax: stacked(rows, labels, "nats per example", ax, best_epoch=best_epoch),
    )


def _curve(rows: MetricRows, name: str, labels: dict[str, str], best_epoch: int | None) -> Picture:
    title, caption = CURVES[name]
    if len(rows) > 10:
        caption += " The first epochs may leave the picture."
    return Picture(
        name,
        title,
        caption,
        lambda ax: lines(rows, labels, "nats per example", ax, best_epoch=best_epoch, trim=True),
    )


def _weight_curve(rows: MetricRows, last: float) -> Picture:
    """Draws the weight of the KL term by epoch; `last` is that of the last epoch."""
    return Picture(
        "kl_weight",
        "Weight of the KL term",
        f"The factor of the rate in the objective; it ends at {last:g}.",
        lambda ax: lines(rows, {"kl_weight": "KL weight"}, "weight", ax),
    )


def _free_bits_curve(rows: MetricRows, last: float) -> Picture:
    """Draws the free bits by epoch, where they follow a schedule; `last` is of the last epoch."""
    return Picture(
        "free_bits",
        "Free bits",
        "The rate below which the objective does not reduce a level further. In the last epoch it "
        f"is {last:g}; the validation objective has the value at the end of the schedule.",
        lambda ax: lines(rows, {"free_bits": "free bits"}, "nats per level", ax),
    )


def _outcome(run: Run) -> tuple[str, ...]:
    """Says which epoch was the best; nothing where the summary does not tell."""
    summary = run.summary
    if "epochs" not in summary:
        return ()
    if not summary.get("validation"):
        sentence = (
            "There is no validation split: the weights of the last epoch were kept, and nothing "
            "says whether more would help."
        )
        return (sentence,)
    epochs = summary["epochs"]
    monitor = metric_title(run.recipe.training.monitor)
    sentence = (
        f"Of {epochs:,} epochs the best by {monitor} on the validation split was "
        f"{summary['best_epoch']:,}."
    )
    if epochs < run.recipe.training.epochs and not run.unfinished:
        sentence += " Training stopped early."
    return (sentence,)


def _warnings(run: Run, rows: MetricRows) -> tuple[str, ...]:
    """Warns of a run that has not converged, and of losses that are not finite."""
    summary = run.summary
    messages = []
    losses = _finite_column(rows, "validation_objective")
    best_is_last = summary.get("best_epoch") == summary.get("epochs") and not run.unfinished
    if summary.get("validation") and best_is_last and (not losses or _is_improving(losses)):
        epochs = summary["epochs"]
        name = run.folder.resolve().name
        recipe = shlex.quote(f"{name}/recipe.toml")
        messages.append(
            f"The run has not converged: its best epoch is its last ({epochs:,}). More epochs may "
            f"give a better model: lowerbound fit {recipe} --set training.epochs={2 * epochs}"
        )
    if not all(math.isfinite(row.get("train_objective", 0)) for row in rows):
        messages.append("The training objective was not a finite number in some epochs.")
    if any("train_objective" not in row for row in rows):
        messages.append("In some epochs each training step was left out, so that nothing changed.")
    return tuple(messages)


def _is_improving(losses: Sequence[float]) -> bool:
    """Says whether the last tenth of the epochs brought over a hundredth of all that was gained."""
    back = max(1, len(losses) // 10)
    if len(losses) < 3:
        return True
    gain = losses[0] - losses[-1]
    late_gain = losses[-1 - back] - losses[-1]
    return late_gain > 0.01 * gain

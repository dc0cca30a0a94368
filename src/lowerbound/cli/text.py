"""The text that the commands print for people."""

import math
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import counted, one_line
from ..report.text import format_setting, plain_number

SPLITS = ("train", "validation", "test")
"""The splits in the order in which they are printed."""

CUTS = ("10", "20", "50", "100")
"""The lengths k of recommended lists whose metrics are printed."""


def figures_table(summary: dict[str, Any]) -> list[str]:
    """Lays out the bound of each split, then the ranking metrics of splits that hold items out."""
    values = f"{'ELBO':>10}{'log-lik. term':>15}{'objective':>11}"
    lines = [f"{'nats per example':<17}{values}  rate of each level"]
    ranking = {}
    for split in SPLITS:
        measures = summary[split]
        if not measures:
            continue
        if "rate" in measures:
            lines.append(bound_row(split, measures))
        metrics = {name: value for name, value in measures.items() if "@" in name}
        if metrics:
            ranking[split] = metrics
    return lines + ranking_table(ranking)


def bound_row(split: str, measures: dict[str, Any]) -> str:
    """Lays out the bound of one split and its terms as one row."""
    elbo = plain_number(measures["elbo"])
    likelihood = plain_number(measures["log_likelihood_term"])
    objective = plain_number(measures["objective"])
    rates = " ".join(map(plain_number, measures["rate"]))
    if measures["elbo"] == -math.inf:
        elbo = "no bound"  # that of an autoencoder, whose codes have no density
        rates = ""
    values = f"{elbo:>10}{likelihood:>15}{objective:>11}"
    return f"{split:<17}{values}  {rates}".rstrip()


def ranking_table(splits: dict[str, dict[str, float]]) -> list[str]:
    """Lays out ranking metrics, one a row, with a column for each split."""
    if not splits:
        return []
    heads = [f"{split:>12}" for split in splits]
    lines = [f"{'ranking':<17}" + "".join(heads)]
    names = dict.fromkeys(name for metrics in splits.values() for name in metrics)
    for name in names:
        cells = [f"{plain_number(metrics.get(name), 4):>12}" for metrics in splits.values()]
        lines.append(f"{name:<17}" + "".join(cells))
    return lines


def next_command(run: Any) -> str:
    """Gives the command that people usually run after a fit."""
    if run.summary["test"]:
        return f"lowerbound evaluate {run.folder}"
    if run.items is None:
        return f"lowerbound evaluate {run.folder} --split train"
    return f"lowerbound recommend {run.folder} --history ITEM"


def report_lines(folder: Path) -> list[str]:
    """Says where a report is, if there is one in the folder."""
    lines = []
    for name, file in (("picture", "overview.png"), ("page", "index.html")):
        path = folder / file
        if path.is_file():
            lines.append(f"{name:<9}{path}")
    return lines


def ranking_lines(measures: dict[str, Any]) -> list[str]:
    """Lays out the measures of a recommender: a row for each metric, a column for each k."""
    metrics = measures["metrics"]
    errors = measures["standard_errors"]
    above_popularity = measures["more_than_popularity"]
    cuts = [k for k in CUTS if f"ndcg@{k}" in metrics]
    users = f"{measures['users']:,} {measures['split']} users"
    left_out = f"{measures['users_without_targets']:,} without held-out items are left out"
    heads = [f"{'@' + k:>18}" for k in cuts]
    lines = [f"{users}; {left_out}", f"{'':<15}" + "".join(heads)]
    kinds = dict.fromkeys(name.partition("@")[0] for name in metrics if "@" in name)
    for kind in kinds:
        row = f"{kind:<15}"
        for k in cuts:
            name = f"{kind}@{k}"
            cell = f"{plain_number(metrics[name], 4)} +- {plain_number(errors[name], 4)}"
            row += f"{cell:>18}"
        lines.append(row)
    for name, form in (("coverage", ".1%"), ("gini", ".4f")):
        row = f"{name:<15}"
        for k in cuts:
            row += f"{measures[name][f'{name}@{k}']:>18{form}}"
        lines.append(row)
    lines += beyond_lines(measures)
    active_units = " ".join(map(str, measures["active_units"]))
    rates = " ".join(map(plain_number, measures["rate"]))
    lines.append(f"active units {active_units}, rate {rates} nats")
    if above_popularity and cuts:
        longest = cuts[-1]
        difference = above_popularity[f"ndcg@{longest}"]
        lines.append(versus_popularity(difference, f"NDCG@{longest}"))
    if "cold_start" in measures and cuts:
        lines += cold_lines(measures["cold_start"], cuts[-1])
    if measures["caveat"]:
        lines.append(f"note: {measures['caveat']}")
    return lines


def beyond_lines(measures: dict[str, Any]) -> list[str]:
    """Says what has no column of its own: the area under the curve, and what diversity is of."""
    lines = []
    if "auc" in measures["metrics"]:
        value = plain_number(measures["metrics"]["auc"], 4)
        error = plain_number(measures["standard_errors"]["auc"], 4)
        lines.append(f"{'auc':<15}{f'{value} +- {error}':>18}  (all items that were not seen)")
    if "diversity_by" in measures:
        lines.append(f"novelty is in bits; diversity is by the {measures['diversity_by']}")
    return lines


def cold_lines(cold: dict[str, Any], k: str) -> list[str]:
    """Says how well the features of users rank alone, as for new users without a history."""
    name = f"ndcg@{k}"
    value = f"{cold['metrics'][name]:.4f} +- {cold['standard_errors'][name]:.4f}"
    lines = [f"features alone, without a history: NDCG@{k} {value}"]
    above_popularity = cold["more_than_popularity"]
    if above_popularity:
        compared = versus_popularity(
            above_popularity[name], f"their NDCG@{k}", "the ranking by features alone"
        )
        lines.append(compared)
    return lines


def versus_popularity(
    difference: dict[str, float], metric: str, ranking: str = "this model"
) -> str:
    """Says in a sentence whether a ranking, that of a model or by features alone, is better than
    recommending the same list to everybody.
    """
    from ..evaluation import Estimate

    lead = Estimate(**difference)
    value, error = lead
    if lead.is_clearly_above:
        return f"{metric} is {value:.4f} +- {error:.4f} above that of popularity"
    return f"{ranking} does not beat popularity: {metric} is {value:+.4f} +- {error:.4f} to it"


WIDEST = 100
"""Lines that are wrapped have at most this many characters, on a wide terminal too."""


def key_lines(keys: Sequence[Any]) -> list[str]:
    """Lays out the keys of a recipe by tables: each with its value, then what is known of it."""
    width = min(WIDEST, shutil.get_terminal_size().columns)
    lines = []
    table = None
    for key in keys:
        if key.table != table:
            table = key.table
            lines += ["", f"[{table}]"]
        lines.append(f"{key.name} = {setting_text(key.value)}{default_text(key)}")
        for text in (key.meaning, f"allowed: {key.allowed}"):
            lines += textwrap.wrap(text, width, initial_indent=INDENT, subsequent_indent=INDENT)
    return lines[1:]


INDENT = "    "
"""What is known of a key stands this far to the right of it."""


def default_text(key: Any) -> str:
    """Says what the default of a key is, where its value is another."""
    if key.default == key.value:
        return "  (the default)"
    if key.is_required:
        return "  (has no default)"
    return f"  (default: {setting_text(key.default)})"


def setting_text(value: Any) -> str:
    """Writes a value as `--set` takes it: "none" for None."""
    if value is None:
        return "none"
    return format_setting(value) or '""'


def recommendation_table(
    recommendations: list[Any],
    reasons: list[Any] | None = None,
    probabilities: list[float] | None = None,
) -> list[str]:
    """Lays out recommendations in aligned columns; titles are shown where the run has them.

    Args:
        recommendations: the list.
        reasons: the reasons of each, which stand below it; None: they are not told.
        probabilities: of each; None: they are not told.
    """
    columns = {"rank": [str(rank) for rank in range(1, len(recommendations) + 1)]}
    if any(entry.title for entry in recommendations):
        columns["title"] = [entry.title or "" for entry in recommendations]
    columns["item"] = [str(entry.item) for entry in recommendations]
    columns["score"] = [f"{entry.score:.4f}" for entry in recommendations]
    if probabilities is not None:
        columns["probability"] = [f"{probability:.3f}" for probability in probabilities]
    cells = []
    for head, texts in columns.items():
        width = max(map(len, (head, *texts)))
        side = ">"
        if head in ("title", "item"):
            side = "<"
        cells.append([f"{text:{side}{width}}" for text in (head, *texts)])
    rows = ["  ".join(row) for row in zip(*cells, strict=True)]
    if reasons is None:
        return rows
    lines = rows[:1]
    indent = " " * (len(cells[0][0]) + 2)
    for row, of_item in zip(rows[1:], reasons, strict=True):
        lines += [row, f"{indent}{because(of_item)}"]
    return lines


def because(reasons: list[Any]) -> str:
    """Says which items of a history speak for a recommended one, each with its share of nats."""
    if not reasons:
        return "no item of the history speaks for it"
    named = []
    for reason in reasons:
        named.append(f"{one_line(reason.title or reason.item, 60)} ({reason.share:.2f})")
    return f"because you liked {', '.join(named)}"


SHARED_SHOWN = 3
"""So many of the items that two users share are named."""


def similar_users_table(users: Any) -> list[str]:
    """Lays out users that are like one, with the items that they share."""
    lines = [f"the most similar of {users.searched:,} users, by the cosine of their codes"]
    width = max((len(str(each.user)) for each in users), default=0)
    for rank, each in enumerate(users, 1):
        names = []
        for item in each.shared[:SHARED_SHOWN]:
            names.append(one_line(item.title or item.item, 60))
        shared = counted(len(each.shared), "shared item")
        if len(each.shared) > SHARED_SHOWN:
            names.append("...")
        if names:
            shared += f": {', '.join(names)}"
        lines.append(f"{rank:>4}  {each.user!s:<{width}}  {each.similarity:.4f}  {shared}")
    return lines

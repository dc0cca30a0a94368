"""The text that `score` prints for people."""

from typing import Any

from ..errors import one_line
from ..report.text import plain_number


def score_lines(scores: Any) -> list[str]:
    """Lays out the mean and the median of each score, what was asked for, and the least likely
    examples.

    Where the source is not the run's own data, each score also has its mean and median over the
    run's own test split.
    """
    summary = scores.summary()
    examples = f"{summary['examples']:,} {summary['split']} examples of {summary['source']}"
    reference = f"{summary['reference']:,} {summary['reference_split']} examples of the run"
    every = ""
    if summary["split"] != "all":
        every = " (--split all scores every one)"
    lines = [
        f"{examples}{every}, {summary['samples']} importance samples each",
        f"percentiles and typicality are among {reference}",
        "all have the same noise, so that no score depends on other rows; evaluate measures means",
    ]
    lines += _score_table(summary)
    lines += _own_test_lines(summary)
    lines += _threshold_lines(summary)
    lines += _truth_lines(summary)
    lines.append("the least likely:")
    lines += [least_likely_row(row, scores.names) for row in _least_likely(scores)]
    if summary["not_numbers"]:
        lines.append(
            f"note: log p(x) of {summary['not_numbers']:,} examples is no number (nan): their "
            "values are beyond what the model can compute with; no AUROC is given"
        )
    for note in (summary["left_out"], summary["caveat"]):
        if note:
            lines.append(f"note: {note}")
    return lines


def _least_likely(scores: Any) -> list[dict[str, Any]]:
    return list(scores.least_likely().iter_rows(named=True))


def _score_table(summary: dict[str, Any]) -> list[str]:
    """Lays out the mean and the median of each score."""
    has_own = bool(summary["own_test_means"])
    head = f"{'':<22}{'mean':>14}{'median':>14}"
    if has_own:
        head += f"{'own test mean':>16}{'own test median':>17}"
    lines = [head]
    for name, mean in summary["means"].items():
        row = f"{name:<22}{_bounded(name, mean['value']):>14}"
        row += f"{_bounded(name, summary['medians'][name]):>14}"
        if name in summary["own_test_means"]:
            row += f"{_bounded(name, summary['own_test_means'][name]['value']):>16}"
            row += f"{_bounded(name, summary['own_test_medians'][name]):>17}"
        lines.append(row)
    return lines


def _bounded(name: str, value: float) -> str:
    """Writes a figure of a score; that of log p(x), by importance samples, is a lower bound."""
    if name in ("log_likelihood", "adjusted"):
        return f">= {plain_number(value)}"
    return plain_number(value)


def _own_test_lines(summary: dict[str, Any]) -> list[str]:
    """Says how well each score tells these examples, all of them, from the run's own test split."""
    areas = summary["auroc_against_own_test"]
    if not areas:
        return []
    own = f"the run's own test split ({summary['own_test_examples']:,} examples)"
    lines = [
        f"do these examples as a whole look like {own}?",
        "  AUROC 0.5: they look alike; 1: each of these looks more anomalous than all of the split",
        "  (how well anomalies among these are found is another question: --truth COLUMN)",
    ]
    for name, area in areas.items():
        lines.append(f"  {name:<20}{_with_error(area)}")
    return lines


def _with_error(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.4f} +- {estimate['standard_error']:.4f}"


def _threshold_lines(summary: dict[str, Any]) -> list[str]:
    """Lays out the cut on each score, with the false alarms to expect and what lies beyond it."""
    thresholds = summary["thresholds"]
    if thresholds is None:
        return []
    by = thresholds["by"]
    lines = [
        f"cuts from {summary['reference']:,} {summary['reference_split']} examples of the run:",
        f"  {'':<20}{'anomalous':>16}{'these':>10}{'own test':>10}  expected false alarms (95 %)",
    ]
    for name, threshold in thresholds["cuts"].items():
        lines.append(_threshold_row(name, threshold))
    count = thresholds["cuts"][by]["flagged"]
    among = f"{summary['examples']:,} examples"
    lines.append(f"anomalous by {by}, which the column says: {count:,} of {among}")
    return lines


def _threshold_row(name: str, threshold: dict[str, Any]) -> str:
    """Lays out the cut on one score."""
    side = "above"
    if threshold["anomalous"] == "low":
        side = "below"
    cut = f"{side} {plain_number(threshold['cut'])}"
    own = "-"
    if threshold["own_test_flagged"] is not None:
        own = f"{threshold['own_test_flagged']:,}"
    low, high = threshold["interval"]
    expected = f"{threshold['false_alarms']:.2%} ({low:.2%} to {high:.2%})"
    return f"  {name:<20}{cut:>16}{threshold['flagged']:>10,}{own:>10}  {expected}"


def _truth_lines(summary: dict[str, Any]) -> list[str]:
    """Lays out how well each score finds the anomalies that the user's own labels name."""
    truth = summary["truth"]
    if truth is None:
        return []
    among = f"{truth['anomalies']:,} of {summary['examples']:,} examples"
    lines = [
        f"by your own labels {among} are anomalies; how well each score finds them:",
        f"  {'':<20}{'AUROC':<18}  average precision",
    ]
    for name, measures in truth["found"].items():
        area = _with_error(measures["auroc"])
        lines.append(f"  {name:<20}{area:<18}  {measures['average_precision']:.4f}")
    share = truth["anomalies"] / summary["examples"]
    lines.append(f"  {'chance':<20}{'0.5':<18}  {share:.4f}")
    return lines


def least_likely_row(row: dict[str, Any], names: dict[str, Any]) -> str:
    """Lays out one of the least likely examples.

    Args:
        row: its columns.
        names: the columns that name the rows: `file` or those of the user's own come before `row`.
    """
    log_likelihood = plain_number(row["log_likelihood"])
    own_names = [name for name in names if name not in ("row", "label")]
    if "file" in names:
        own_names = ["file"]
    identity = "  ".join(f"{name} {row[name]}" for name in own_names or ["row"])
    line = f"{identity:<11}  log p(x) >= {log_likelihood:>10}  percentile {row['percentile']:.2f}"
    if "label" in row:
        line += f"  label {row['label']}"
    odd = _odd_cells(row)
    if odd:
        line += f"  odd: {', '.join(odd)}"
    return line


def _odd_cells(row: dict[str, Any]) -> list[str]:
    """Lays out the cells that make a row odd."""
    cells = []
    place = 1
    while row.get(f"odd_{place}") is not None:
        cells.append(_odd_cell(row, place))
        place += 1
    return cells


def _odd_cell(row: dict[str, Any], place: int) -> str:
    """Lays out one of the cells that make a row odd, with its nats below what is usual."""
    name = row[f"odd_{place}"]
    value = row[f"odd_{place}_value"]
    below = plain_number(row[f"odd_{place}_below"], 1)
    return one_line(f"{name}={value} ({below})", 60)

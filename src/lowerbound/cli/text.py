"""What the commands print for people."""

from pathlib import Path
from typing import Any


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

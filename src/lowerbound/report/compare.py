"""Runs beside each other, measured on the very same examples: a record of numbers, a table for the terminal, and a page."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import ks_2samp
from torch import Tensor

from ..data import Examples, History
from ..data.prepare import chunks
from ..errors import ConfigError, LowerboundError, RunError
from ..evaluation import Estimate, Ranking, bound, difference, importance_log_likelihood, latent_statistics, rank
from ..evaluation.batches import positive
from ..evaluation.ranking import METRICS, cuts
from ..families import Multinomial
from ..files import read_json, there, write_json
from ..progress import stages
from ..run import LATENT_USERS, Run, check
from ..training import monitored
from .figures import bars, grid, histogram, lines, marginals, strips
from .look import Look
from .page import Picture, Section, Table, write
from .sections import CURVES, figure, history, metric, spread, subtitle

DRAWS, WEIGHED = 20, 1_000
"""Importance samples for each example, unless told otherwise, and examples whose log-likelihood is estimated, at most."""

SHOWN = 3
"""Ranking metrics of the tables."""

ORIGINALS, PANELS, CROWD = 12, 12, 2_000
"""Examples that are reconstructed, columns whose marginals are drawn, and examples and samples behind these."""

NAMED = {"elbo": "ELBO", "log_likelihood": "log p(x)", "log_likelihood_term": "log-likelihood term"}
"""Measures in nats, for people."""

SEEN = {
    "train": "Every run was trained on these examples: the figures say nothing of new ones.",
    "validation": "The validation split chose the weights of the runs: their figures on it are somewhat too good.",
    "all": "These are the examples of all splits: the runs were trained on most of them.",
}
"""What must be known of a split that is not the test split."""

MARK = "lowerbound comparison"
"""What `comparison.json` says it is, so that a page is only ever written over an earlier one."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One of the runs that are compared.

    Attributes:
        name: its folder's, with as much of the path as tells it from the others.
        run: the run.
        examples: the common examples, as this run sees them.
        each: for each measure one value per example, (n,): nats, or ranking metrics.
        differences: the mean of this run's values minus the first run's, example by example, with the standard error of these
            pairs; empty for the first run.
        rate: mean rate of each level in nats (None where it does not factorise); empty for an autoencoder.
        caveat: what a report must say of the likelihood on these examples.
        effective_samples: of the importance samples, their mean effective number.
        ranking: of a run on interactions.
    """

    name: str
    run: Run
    examples: Examples | History
    each: Mapping[str, Tensor]
    rate: tuple[float | None, ...] = ()
    caveat: str | None = None
    effective_samples: float | None = None
    ranking: Ranking | None = None
    differences: Mapping[str, Estimate] | None = None

    @property
    def measures(self) -> dict[str, Estimate]:
        """The mean of each measure, and its standard error."""
        return {name: Estimate.of(values) for name, values in self.each.items()}

    @property
    def parameters(self) -> int:
        """Numbers that the model consists of."""
        return sum(p.numel() for p in self.run.model.parameters())

    def describe(self) -> dict[str, Any]:
        """All numbers, as JSON has them."""
        return {
            "name": self.name,
            "run": str(self.run.folder),
            "measures": {name: estimate._asdict() for name, estimate in self.measures.items()},
            "differences": {name: estimate._asdict() for name, estimate in (self.differences or {}).items()},
            "rate": list(self.rate),
            "effective_samples": self.effective_samples,
            "parameters": self.parameters,
            **{key: self.run.summary.get(key) for key in ("epochs", "best_epoch", "seconds")},
            "caveat": self.caveat,
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs on the same examples.

    Attributes:
        entries: the runs in the order they were given; differences are to the first.
        source: what the examples are of.
        split: the split that was measured.
        headline: the measure that decides: "elbo"; "log_likelihood_term" if one of the runs is an autoencoder; or the ranking
            metric that chose the weights of the first run.
        shown: the measures of the tables.
        settings: dotted keys of the recipes that are not equal in all, with the value of each run (None: it has no such key).
        warnings: what must be known before the figures are believed.
        comparable: whether the likelihoods are of one kind.
        samples: importance samples for each of the first `weighed` examples; 0 where there is no log-likelihood.
        weighed: how many examples these are.
        seed: of the draws, the same for all.
        page: path of the page, if one was written.
    """

    entries: tuple[Entry, ...]
    source: str
    split: str
    headline: str
    shown: tuple[str, ...]
    settings: Mapping[str, tuple[Any, ...]]
    warnings: tuple[str, ...]
    comparable: bool
    samples: int
    weighed: int
    seed: int
    page: Path | None = None

    @property
    def first(self) -> Entry:
        """The run that the others are compared to."""
        return self.entries[0]

    @property
    def ranked(self) -> bool:
        """Whether these are runs on interactions."""
        return self.first.ranking is not None

    @property
    def examples(self) -> int:
        """How many examples, or users with a held-out item, were measured."""
        return len(self.first.each[self.headline])

    def describe(self) -> dict[str, Any]:
        """All numbers, as JSON has them."""
        plain = ("source", "split", "examples", "headline", "samples", "weighed", "seed", "comparable")
        found = {"kind": MARK} | {name: getattr(self, name) for name in plain}
        found |= {"runs": [entry.describe() for entry in self.entries]}
        found |= {"settings": {key: list(values) for key, values in self.settings.items()}, "warnings": list(self.warnings)}
        return found | {"page": None if self.page is None else str(self.page)}


def names(folders: Sequence[Path]) -> list[str]:
    """What to call different folders: each by the end of its path that no other one has."""
    parts = [folder.resolve().parts for folder in folders]

    def own(at: int) -> str:
        others = [p for i, p in enumerate(parts) if i != at]
        ends = (parts[at][-n:] for n in range(1, len(parts[at]) + 1))
        return str(Path(*next(end for end in ends if all(end != other[-len(end) :] for other in others))))

    return ["".join(c if c.isprintable() else " " for c in own(i)) for i in range(len(parts))]


def _flat(tables: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def settings(runs: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """The dotted keys of the recipes that are not equal in all runs, with the value of each; None where a recipe lacks the key.

    What a recipe says about itself is left out.
    """
    flat = [dict(_flat(run.recipe.describe())) for run in runs]
    known = dict.fromkeys(key for tables in flat for key in tables if not key.startswith("about."))
    parents = list(dict.fromkeys(key.rpartition(".")[0] for key in known))
    keys = sorted(known, key=lambda key: parents.index(key.rpartition(".")[0]))
    found = {key: tuple(tables.get(key) for tables in flat) for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def _refuse(runs: Sequence[Run]) -> None:
    """Raises ConfigError for runs that no figure can compare."""
    if len(runs) < 2:
        raise ConfigError(f"compare needs two runs or more, got {len(runs)}")
    folders = [run.folder.resolve() for run in runs]
    twice = [run.folder for i, run in enumerate(runs) if folders[i] in folders[:i]]
    if twice:
        raise ConfigError(f"{twice[0]} is given twice; allowed: different runs")
    first = runs[0]
    for run in runs[1:]:
        for what, ours, theirs in (
            ("of one kind of data", first.schema.kind, run.schema.kind),
            ("of examples of one shape", first.schema.shape, run.schema.shape),
        ):
            if ours != theirs:
                raise ConfigError(f"only runs {what} can be compared, got {ours} ({first.folder}) and {theirs} ({run.folder})")


def _values_equal(a: Examples, b: Examples) -> bool:
    """Whether two splits hold the same values of their sources, in the same order."""
    if len(a) != len(b) or a.levels != b.levels or a.values.dtype != b.values.dtype:
        return False
    pieces = zip(chunks(a.values, a.rows), chunks(b.values, b.rows), strict=True)
    return all(np.array_equal(ours, theirs) for (_, ours), (_, theirs) in pieces)


def _equal(a: Run, ours: Examples | History, b: Run, theirs: Examples | History) -> bool:
    if isinstance(ours, History) and isinstance(theirs, History):
        same_items = a.items is not None and b.items is not None and a.items.digest() == b.items.digest()
        return same_items and ours.digest() == theirs.digest()
    return isinstance(ours, Examples) and isinstance(theirs, Examples) and _values_equal(ours, theirs)


UNCONCERNED = ("data.binarize", "data.standardize")
"""Settings that do not decide which examples a split has."""

REPLACED = ("data.source", "data.seed", "data.validation", "data.test")
"""Settings that have no say where the source is given."""


def _differ(a: Run, b: Run, split: str, data: str | Path | None) -> ConfigError:
    """The error for two runs whose examples are not the same, with what may be the cause."""
    skip = UNCONCERNED if data is None else (*UNCONCERNED, *REPLACED)
    causes = {k: v for k, v in settings([a, b]).items() if k.startswith("data.") and k not in skip}
    told = ", ".join(f"{key} is {_setting(ours)} and {_setting(theirs)}" for key, (ours, theirs) in causes.items())
    if data is not None:
        return ConfigError(f"{a.folder} and {b.folder} do not read the same examples from {data}: {told or 'the values differ'}")
    return ConfigError(
        f"the {split} splits of {a.folder} and {b.folder} are not the same examples ({told or 'their values differ'}): one "
        "may have been trained on what the other is measured on; give one source for all by --data (data= in Python)"
    )


def common(runs: Sequence[Run], data: str | Path | None = None, split: str | None = None) -> tuple[str, list[Examples | History]]:
    """The name of a split and the very same examples of it as each run sees them: standardised, or binarised, as in its fit.

    Where pixels are drawn, they are drawn by the seed of the first run for all.

    Raises:
        ConfigError: the runs' own splits are not the same examples, or they read other examples from `data`.
        DataError: there is no such split, or the data have changed since a fit.
    """
    split, first = runs[0].examples(data, split)
    found: list[Examples | History] = [first]
    for run in runs[1:]:
        own = run.examples(data, split)[1]
        if not _equal(runs[0], first, run, own):
            raise _differ(runs[0], run, split, data)
        found.append(replace(first, schema=own.schema, draw=own.draw) if isinstance(first, Examples) else own)
    return split, found


def _hashes(run: Run, examples: Examples) -> list[int]:
    """A hash of each example as this run sees it before any binarisation."""
    pieces = (run.schema.scaled(piece, examples.levels) for _, piece in chunks(examples.values, examples.rows))
    return [hash(x.tobytes()) for piece in pieces for x in np.ascontiguousarray(piece, np.float32)]


def _trained_on(entry: Entry) -> str | None:
    """How many of the examples are in the training split of a run, for people; None for none."""
    if isinstance(entry.examples, History):
        return None
    try:
        train = set(_hashes(entry.run, entry.run.data().train))
    except LowerboundError:
        return f"an unknown number in that of {entry.name} (its data cannot be read as they were)"
    count = sum(x in train for x in _hashes(entry.run, entry.examples))
    return f"{count:,} in that of {entry.name}" if count else None


def _kind(entry: Entry) -> str:
    """What the log-likelihoods of a run are, so far as it decides with which others they can be compared."""
    drawn = "of pixels drawn by data.binarize" if entry.examples.draw != "none" else None
    # A distribution over the places of the event, not over its values: its figures are of another kind than all others.
    counts = "Multinomial, of counts" if isinstance(entry.run.recipe.model.likelihood, Multinomial) else None
    return "; ".join(filter(None, (entry.caveat, counts, drawn))) or "a normalised likelihood of the values"


def _warnings(entries: Sequence[Entry], split: str, given: bool) -> tuple[list[str], bool]:
    """What must be known before the figures are believed, and whether the likelihoods are of one kind."""
    told = []
    if not given:
        told += [SEEN[split]] if split in SEEN else []
    elif seen := [text for entry in entries if (text := _trained_on(entry))]:
        told.append(f"Some of these examples are in the training split of a run: {', '.join(seen)}.")
    if entries[0].ranking is not None:
        return told, True
    return told + _of_likelihoods(entries), len({_kind(entry) for entry in entries}) == 1


def _of_likelihoods(entries: Sequence[Entry]) -> list[str]:
    told = []
    if len({_kind(entry) for entry in entries}) > 1:
        kinds = "; ".join(f"{entry.name}: {_kind(entry)}" for entry in entries)
        told.append(f"The runs' likelihoods are of different kinds, so that their figures cannot be compared: {kinds}.")
    elif entries[0].caveat:
        told.append(f"Of the likelihood of all runs: {entries[0].caveat}.")
    without = [entry.name for entry in entries if "elbo" not in entry.each]
    if without and len(without) < len(entries):
        several = "are autoencoders" if len(without) > 1 else "is an autoencoder"
        told.append(
            f"{_listed(without)} {several}, without a bound: only the log-likelihood term, which no rate limits, is common."
        )
    return told


def _dense(name: str, run: Run, examples: Examples, samples: int, seed: int) -> Entry:
    found, caveat = bound(run.model, examples, seed=seed), check(run.recipe, examples)
    if not run.recipe.objective.bound:
        return Entry(name, run, examples, {"log_likelihood_term": found.terms}, caveat=caveat)
    weighed = importance_log_likelihood(run.model, examples.take(slice(0, WEIGHED)), samples=samples, seed=seed)
    each = {"elbo": found.per_example, "log_likelihood": weighed.per_example, "log_likelihood_term": found.terms}
    return Entry(name, run, examples, each, found.rate, caveat, weighed.effective_samples)


def _ranked(name: str, run: Run, users: History, headline: str, seed: int) -> Entry:
    asked = list(dict.fromkeys([*METRICS, headline]))
    ranking = rank(run.model.rank, users, ks=cuts(run.schema.shape[0]), metrics=asked)
    rate: tuple[float | None, ...] = ()
    if run.recipe.objective.bound:
        latent = latent_statistics(run.model, users.take(slice(0, LATENT_USERS)), seed=seed)
        rate = tuple(None if r is None else r.sum().item() for r in latent.rate_per_dimension)
    return Entry(name, run, users, ranking.per_user, rate, check(run.recipe, users), ranking=ranking)


def _paired(entry: Entry, first: Entry) -> Entry:
    """The entry with its differences to the first, of the measures that both have."""
    if entry.ranking is not None and first.ranking is not None:
        return replace(entry, differences={name: difference(entry.ranking, first.ranking, name) for name in entry.each})
    both = [name for name in entry.each if name in first.each]
    return replace(entry, differences={name: Estimate.of(entry.each[name] - first.each[name]) for name in both})


def _headline(run: Run) -> str:
    """The ranking metric that chose the weights of a run, or else nDCG."""
    items = run.schema.shape[0]
    chosen = monitored(run.recipe.training.monitor, items)
    return chosen if "@" in chosen else f"ndcg@{cuts(items)[-1]}"


def _deciding(entries: Sequence[Entry], headline: str) -> tuple[str, tuple[str, ...]]:
    """The measure that decides, and those of the tables."""
    if entries[0].ranking is not None:
        wanted = dict.fromkeys([headline, "ndcg@100", "recall@20", "recall@50", *entries[0].each])
        return headline, tuple(name for name in wanted if name in entries[0].each)[:SHOWN]
    bounds = ["elbo" in entry.each for entry in entries]
    some = ("elbo", "log_likelihood") if any(bounds) else ()
    return ("elbo", some) if all(bounds) else ("log_likelihood_term", ("log_likelihood_term", *some))


def _ready(runs: Sequence[Run], data: str | Path | None, split: str | None, samples: int) -> tuple[str, list[Examples | History]]:
    """The common examples, after all that could be wrong with what was asked; raises as `measure` does."""
    _refuse(runs)
    positive(samples)
    split, seen = common(runs, data, split)
    for run, examples in zip(runs, seen, strict=True):
        check(run.recipe, examples)
    return split, seen


def measure(
    runs: Sequence[Run],
    *,
    data: str | Path | None = None,
    split: str | None = None,
    samples: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Runs measured on the very same examples, with the same seed of the draws, and their differences to the first run.

    Of images and tables: the ELBO and the log-likelihood term (one draw for each example), and the importance-sampled
    log-likelihood of the first 1,000 examples; of interactions: the ranking metrics of the same users.

    Args:
        runs: two or more, all different.
        data: a source that all runs are measured on; None takes their own splits, which must be the same examples.
        split: "train", "validation", "test" or "all"; None is "test", or "all" for a source that brings no test part.
        samples: importance samples for each example.
        seed: of the draws.

    Raises:
        ConfigError: there are fewer than two runs, one of them is there twice, they are of different kinds or shapes, or their
            splits are not the same examples.
        DataError: there is no such split, or the data do not fit a run.
    """
    return _measured(runs, *_ready(runs, data, split, samples), data, samples, seed, lambda name: None)


def _measured(
    runs: Sequence[Run],
    split: str,
    seen: Sequence[Examples | History],
    data: str | Path | None,
    samples: int,
    seed: int,
    begins: Callable[[str], None],
) -> Comparison:
    """`measure` of these examples; `begins` is told the name of each run as its turn comes."""
    headline, found = _headline(runs[0]) if isinstance(seen[0], History) else "elbo", []
    for name, run, examples in zip(names([run.folder for run in runs]), runs, seen, strict=True):
        begins(name)
        if isinstance(examples, History):
            found.append(_ranked(name, run, examples, headline, seed))
        else:
            found.append(_dense(name, run, examples, samples, seed))
    entries = (found[0], *(_paired(entry, found[0]) for entry in found[1:]))
    headline, shown = _deciding(entries, headline)
    warnings, comparable = _warnings(entries, split, data is not None)
    weighed = max(len(entry.each.get("log_likelihood", ())) for entry in entries)
    source = str(data or runs[0].recipe.data.source).rstrip("/").rsplit("/", 1)[-1]
    draws = samples if weighed else 0
    return Comparison(entries, source, split, headline, shown, settings(runs), tuple(warnings), comparable, draws, weighed, seed)


# What is told of it: tables, sentences, and the text for a terminal.


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _setting(value: Any) -> str:
    """A value of a recipe for people."""
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _named(measure: str) -> str:
    return NAMED.get(measure) or metric(measure)


def _sizes(found: Comparison) -> str:
    return f"{found.examples:,} {found.split} {'users' if found.ranked else 'examples'} of {found.source}"


def _caption(found: Comparison) -> str:
    """What the figures of the table are."""
    unit = "Means over users" if found.ranked else "Nats per example"
    told = f"{unit}, ± standard error. Differences are to {found.first.name}, with the standard error of the pairs."
    if found.weighed:
        whose = f"of the first {found.weighed:,}" if found.weighed < found.examples else "of all"
        told += f" log p(x) is {whose}, with {found.samples} importance samples each."
    if found.ranked and (out := found.first.ranking.left_out if found.first.ranking else 0):
        told += f" {out:,} users without a held-out item are left out."
    return told


def _measures(found: Comparison, entry: Entry) -> tuple[str, ...]:
    digits, cells = 4 if found.ranked else 2, [entry.name]
    for name in found.shown:
        for estimates, sign in ((entry.measures, False), (entry.differences or {}, True)):
            cells.append(spread(estimates[name], digits, sign) if name in estimates else "–")
    return tuple(cells)


def figures_table(found: Comparison) -> Table:
    """A row for each run: its measures, and their paired differences to the first run."""
    measured = (part for name in found.shown for part in (_named(name), "difference"))
    return Table(("run", *measured), tuple(_measures(found, entry) for entry in found.entries), _caption(found))


def _cost(entry: Entry) -> tuple[str, ...]:
    summary = entry.run.summary
    rate = " + ".join(figure(math.nan if r is None else r, 2) for r in entry.rate) or "–"
    epochs = f"{summary['epochs']:,}" if "epochs" in summary else "–"
    return entry.name, rate, f"{entry.parameters:,}", epochs, figure(summary.get("seconds", math.nan), 1)


def models_table(found: Comparison) -> Table:
    """A row for each run: what its latents carry, how large the model is, and what the fit cost."""
    caption = "Rate in nats; seconds of the fit, each on its own machine."
    head = ("run", "rate by level", "parameters", "epochs", "seconds")
    return Table(head, tuple(map(_cost, found.entries)), caption)


def _joined(left: Table, right: Table) -> Table:
    """Two tables of the same rows as one."""
    rows = zip((left.head, *left.rows), (right.head, *right.rows), strict=True)
    head, *rest = ((*ours, *theirs[1:]) for ours, theirs in rows)
    return replace(left, head=head, rows=tuple(rest))


def settings_table(found: Comparison) -> Table:
    """A row for each setting that differs, a column for each run."""
    rows = ((key, *map(_setting, values)) for key, values in found.settings.items())
    return Table(("setting", *(entry.name for entry in found.entries)), tuple(rows), numbers=False)


def verdicts(found: Comparison) -> list[str]:
    """For each run whether it is better or worse than the first, in a sentence; nothing where the figures cannot be compared."""
    return [_verdict(found, entry) for entry in found.entries[1:]] if found.comparable else []


def _verdict(found: Comparison, entry: Entry) -> str:
    value, error = (entry.differences or {})[found.headline]
    digits, unit = (4, "") if found.ranked else (2, " nats")
    told = f"The {_named(found.headline)} of {entry.name}"
    if not value:
        return f"{told} is equal to that of {found.first.name}."
    size = f"{figure(abs(value), digits)}{unit} {'above' if value > 0 else 'below'} that of {found.first.name}"
    clear = "" if abs(value) > 2 * error else ", which is within twice the standard error"
    return f"{told} is {size} (±\u00a0{figure(error, digits)}){clear}."


def _aligned(table: Table) -> list[str]:
    """A table as text: names on the left, all else on the right where it is numbers."""
    rows = [table.head, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    side = ">" if table.numbers else "<"
    return ["  ".join(f"{cell:{side if i else '<'}{widths[i]}}" for i, cell in enumerate(row)).rstrip() for row in rows]


def _typed(text: str) -> str:
    """As the other commands write figures."""
    return text.replace("±\u00a0", "+- ").replace("±", "+-").replace("−", "-").replace("–", "-")


def as_text(found: Comparison) -> list[str]:
    """The comparison as lines for a terminal."""
    notes = [f"note: {warning}" for warning in found.warnings]
    figures = [
        _typed(line)
        for line in (_caption(found), *_aligned(_joined(figures_table(found), models_table(found))), *verdicts(found))
    ]
    differ = ["", *_aligned(settings_table(found))] if found.settings else ["all settings are equal"]
    page = [] if found.page is None else ["", f"page     {found.page}"]
    return [_sizes(found), *notes, *figures, *differ, *page]


# The page.


def _series(run: Run, stem: str) -> tuple[str, list[tuple[float, float]]] | None:
    """A curve of the validation or else the training split: its name, epochs and finite numbers; levels are added up."""
    rows = history(run)
    for split in ("validation", "train"):
        whole = f"{split}_{stem}"
        columns = dict.fromkeys(k for row in rows for k in row if k == whole or k.startswith(f"{whole}_"))
        points = [(row["epoch"], sum(row.get(k, math.nan) for k in columns)) for row in rows] if columns else []
        if finite := [point for point in points if math.isfinite(point[1])]:
            return split, finite
    return None


def overlaid(curves: Mapping[str, Sequence[tuple[float, float]]], ylabel: str, ax: Axes | None = None) -> Figure:
    """Numbers by epoch of several runs on one scale; of a long curve its first epochs may leave the picture."""
    rows = [{"epoch": epoch, name: value} for name, points in curves.items() for epoch, value in points]
    drawn = lines(rows, {name: name for name in curves}, ylabel, ax)
    axes = drawn.axes[0] if ax is None else ax
    later = [value for points in curves.values() for _, value in points[len(points) // 12 :]]
    low, high = min(later), max(later)
    margin = 0.07 * (high - low) + 1e-9
    axes.set_ylim(low - margin, high + margin)
    return drawn


def _curve(found: Comparison, stem: str, title: str, ylabel: str, file: str) -> Picture | None:
    known = {entry.name: series for entry in found.entries if (series := _series(entry.run, stem))}
    splits = {split for split, _ in known.values()}
    labels = {name: name if len(splits) == 1 else f"{name} ({split})" for name, (split, _) in known.items()}
    curves = {labels[name]: points for name, (_, points) in known.items()}
    if not curves:
        return None
    whose = f"the {splits.pop()} split" if len(splits) == 1 else "the split in brackets"
    told = f"By epoch, of {whose} of each run; the first epochs may leave the picture."
    return Picture(file, title, told, lambda ax: overlaid(curves, ylabel, ax))


def training(found: Comparison) -> Section | None:
    """The curves of all runs on the same axes."""
    if found.ranked:
        pictures = [_curve(found, found.headline, metric(found.headline), "mean over users", "curve_ranking")]
    else:
        stems = ("elbo", "log_likelihood_term", "rate")
        pictures = [_curve(found, stem, CURVES[stem][0], "nats per example", f"curve_{stem}") for stem in stems]
    drawn = tuple(picture for picture in pictures if picture is not None)
    return Section("Training", pictures=drawn) if drawn else None


def _spread_out(values: np.ndarray, xlabel: str, ax: Axes | None) -> Figure:
    """A histogram of differences, with a line at none."""
    drawn = histogram({"": values}, xlabel, ax)
    (drawn.axes[0] if ax is None else ax).axvline(0, color="0.2", linewidth=1, linestyle="--")
    return drawn


def _differences(found: Comparison, at: int) -> Picture:
    entry, first, name = found.entries[at], found.first, found.headline
    values = (entry.each[name] - first.each[name]).numpy()
    what = f"{_named(name)} of {entry.name} minus that of {first.name}"
    unit, whom = ("", "user") if found.ranked else (" (nats)", "example")
    told = f"The {what}, by {whom}; above 0 for {(values > 0).mean():.0%} of them, below 0 for {(values < 0).mean():.0%}."
    xlabel = f"difference of the {_named(name)}{unit}"
    title = f"{entry.name} and {first.name}"
    return Picture(f"difference_{at}", title, told, lambda ax: _spread_out(values, xlabel, ax))


def _quality(found: Comparison) -> Picture:
    """Bars of the ranking metrics."""
    series = {
        entry.name: ([entry.measures[m].value for m in found.shown], [entry.measures[m].standard_error for m in found.shown])
        for entry in found.entries
    }
    told = "The whiskers are standard errors over users; whether two runs differ is told by those of the pairs, in the table."
    titles = [metric(name) for name in found.shown]
    return Picture("quality", "Ranking", told, lambda ax: bars(titles, series, "mean over users", ax))


def measured(found: Comparison) -> Section:
    """The measures, their paired differences, and how these are spread over the examples."""
    title = "How well they rank" if found.ranked else f"The {'bound' if found.headline == 'elbo' else 'log-likelihood term'}"
    pictures = [_differences(found, at) for at in range(1, len(found.entries))]
    pictures = [_quality(found), *pictures] if found.ranked else pictures
    tables = (figures_table(found), models_table(found))
    return Section(title, tuple(verdicts(found)), found.warnings, tables, tuple(pictures))


def differing(found: Comparison) -> Section:
    """What the runs are, and the settings that are not equal in all."""
    what = Table((), tuple((entry.name, subtitle(entry.run)) for entry in found.entries), numbers=False)
    if not found.settings:
        return Section("Settings that differ", ("All settings are equal.",), tables=(what,))
    return Section("Settings that differ", tables=(what, settings_table(found)))


def _pictured(found: Comparison) -> list[Entry]:
    """The runs that have a prior to sample from."""
    return [entry for entry in found.entries if entry.run.recipe.objective.bound]


def _grid(file: str, entry: Entry, seed: int) -> Picture:
    images = Look(entry.run).shown(entry.run.sample(64, seed=seed))
    told = "64 means of p(x | z), z from the prior."
    return Picture(file, entry.name, told, lambda ax: grid(images, ax, columns=8), photo=True)


def images(found: Comparison) -> Section | None:
    """Samples of each run, drawn with the same seed."""
    pictures = tuple(_grid(f"samples_{i}", entry, found.seed) for i, entry in enumerate(_pictured(found), 1))
    return Section("Samples", pictures=pictures) if pictures else None


def reconstructions(found: Comparison) -> Section:
    """The same examples, and below them what each run makes of them."""
    some = np.random.default_rng(found.seed).permutation(len(found.first.examples))[:ORIGINALS]

    def again(entry: Entry) -> np.ndarray:
        return Look(entry.run).shown(entry.run.reconstruct(entry.examples.batch(some)))

    originals = Look(found.first.run).shown(found.first.examples.batch(some))  # type: ignore[arg-type]
    rows = np.stack([originals, *map(again, found.entries)])
    labels = ["original", *(entry.name for entry in found.entries)]
    told = f"{len(some)} random {found.split} examples, and below each the mean of p(x | z) at the mean of q(z | x) of each run."
    picture = Picture("reconstructions", "The same examples", told, lambda ax: strips(rows, ax, rows=labels), True, True)
    return Section("Reconstructions", pictures=(picture,))


def columns(found: Comparison) -> Section | None:
    """How far the samples of each run are from the examples, column by column."""
    entries, schema = _pictured(found), found.first.run.schema
    if not entries:
        return None
    data = schema.restore(found.first.examples.batch(slice(0, CROWD)).numpy())  # type: ignore[union-attr]
    drawn = [e.run.schema.restore(e.run.sample(CROWD, mean=False, seed=found.seed).numpy()) for e in entries]
    names = list(schema.columns) or [f"value {i + 1}" for i in range(schema.shape[0])]
    apart = np.array([[ks_2samp(data[:, i], part[:, i]).statistic for part in drawn] for i in range(len(names))])
    order = np.argsort(-apart.mean(1), kind="stable")[:PANELS]
    which = "All columns" if len(names) <= PANELS else f"The {PANELS} columns of {len(names)} that differ most"
    behind = f"{len(data):,} {found.split} examples and {CROWD:,} samples of each run"
    caption = f"{which}: the greatest difference of the distribution functions (Kolmogorov and Smirnov) of {behind}."
    rows = [("mean of all columns", *(figure(v, 3) for v in apart.mean(0)))]
    rows += [(names[i], *(figure(v, 3) for v in apart[i])) for i in order]
    table = Table(("column", *(entry.name for entry in entries)), tuple(rows), caption)
    shown = [names[i] for i in order]
    pictures = [
        _marginals(f"columns_{n}", entry.name, data[:, order], part[:, order], shown)
        for n, (entry, part) in enumerate(zip(entries, drawn, strict=True), 1)
    ]
    return Section("Columns of samples", tables=(table,), pictures=tuple(pictures))


def _marginals(file: str, name: str, data: np.ndarray, drawn: np.ndarray, columns: list[str]) -> Picture:
    told = "Examples (filled) and samples from the model (line)."
    return Picture(file, name, told, lambda ax: marginals(data, drawn, columns, ax), wide=True)


def _sections(found: Comparison) -> list[Section]:
    parts: tuple[Callable[[Comparison], Section | None], ...] = (measured, differing, training)
    if found.first.run.schema.kind == "image":
        parts = (*parts, images, reconstructions)
    elif not found.ranked:
        parts = (*parts, columns)
    return [section for part in parts if (section := part(found)) is not None]


def _earlier(folder: Path) -> bool:
    """Whether a folder holds a page of this command and may be written again."""
    try:
        held = read_json(folder / "comparison.json")
    except RunError:
        return False
    return isinstance(held, dict) and held.get("kind") == MARK


def place(runs: Sequence[Run], out: str | Path | None = None) -> Path:
    """The folder of a comparison: `out`, or `compare-A-B` beside the first run.

    Raises:
        RunError: something else than an earlier comparison is there.
    """
    called = [name.replace("/", "-") for name in names([run.folder for run in runs])]
    called = called if len(called) < 5 else [called[0], f"and-{len(called) - 1}-more"]
    folder = Path(out) if out is not None else runs[0].folder.resolve().parent / "-".join(["compare", *called])
    if there(folder) and not (folder.is_dir() and (_earlier(folder) or not any(folder.iterdir()))):
        raise RunError(f"{folder} is not an empty folder, and holds no earlier comparison; choose another --out")
    return folder


def compare(
    runs: Sequence[Run],
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    samples: int = DRAWS,
    seed: int = 0,
    progress: bool = False,
) -> Comparison:
    """Measures runs on the very same examples (see `measure`) and writes one page of it that needs no other file.

    The folder gets `index.html`, each picture as PNG and SVG, and `comparison.json` with all numbers.

    Args:
        runs: two or more; differences are to the first.
        out: the folder of the page; by default `compare-A-B` beside the first run.
        data: see `measure`.
        split: see `measure`.
        samples: see `measure`.
        seed: of all draws, those of the pictures too.
        progress: show a bar on standard error.

    Raises:
        ConfigError, DataError: see `measure`.
        RunError: the folder holds something else than an earlier comparison, or cannot be written.
    """
    _refuse(runs)
    folder = place(runs, out)
    split, seen = _ready(runs, data, split, samples)
    with stages("compare", len(runs) + 1, show=progress) as begins:
        found = _measured(runs, split, seen, data, samples, seed, begins)
        begins("pictures")
        found = replace(found, page=folder / "index.html")
        sections = _sections(found)
        write_json(folder / "comparison.json", found.describe())  # first: it says whose folder this is
        told = f"{_sizes(found)}; differences are to {found.first.name}"
        write(folder, _listed([entry.name for entry in found.entries]), told, sections)
    return found

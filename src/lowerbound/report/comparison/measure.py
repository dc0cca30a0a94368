"""Runs measured on the very same examples: a record of numbers, with paired differences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ...data import Examples, History
from ...data.prepare import chunks
from ...errors import ConfigError, LowerboundError
from ...evaluation import Estimate, bound, importance_log_likelihood, latent_statistics
from ...evaluation.batches import positive
from ...evaluation.ranking import METRICS, Ranking, cuts, difference, rank
from ...families import Multinomial
from ...run import LATENT_USERS, Run, check
from ...training import monitored
from ..findings.dense import DenseFindings
from ..text import listed, setting

DRAWS, WEIGHED = 20, 1_000
"""Importance samples for each example, unless told otherwise, and examples whose log-likelihood is
estimated, at most.
"""


SHOWN = 3
"""Ranking metrics of the tables."""


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
        differences: the mean of this run's values minus the first run's, example by example, with
            the standard error of these pairs; empty for the first run.
        rate: mean rate of each level in nats (None where it does not factorise); empty for an
        autoencoder.
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
            "differences": {
                name: estimate._asdict() for name, estimate in (self.differences or {}).items()
            },
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
        headline: the measure that decides: "elbo"; "log_likelihood_term" if one of the runs is an
            autoencoder; or the ranking metric that chose the weights of the first run.
        shown: the measures of the tables.
        settings: dotted keys of the recipes that are not equal in all, with the value of each run
        (None: it has no such key).
        warnings: what must be known before the figures are believed.
        comparable: whether the likelihoods are of one kind.
        samples: importance samples for each of the first `weighed` examples; 0 where there is no
        log-likelihood.
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
        plain = (
            "source",
            "split",
            "examples",
            "headline",
            "samples",
            "weighed",
            "seed",
            "comparable",
        )
        found = {"kind": MARK} | {name: getattr(self, name) for name in plain}
        found |= {"runs": [entry.describe() for entry in self.entries]}
        found |= {
            "settings": {key: list(values) for key, values in self.settings.items()},
            "warnings": list(self.warnings),
        }
        return found | {"page": None if self.page is None else str(self.page)}


def names(folders: Sequence[Path]) -> list[str]:
    """What to call different folders: each by the end of its path that no other one has."""
    parts = [folder.resolve().parts for folder in folders]

    def own(at: int) -> str:
        others = [p for i, p in enumerate(parts) if i != at]
        ends = (parts[at][-n:] for n in range(1, len(parts[at]) + 1))
        return str(
            Path(*next(end for end in ends if all(end != other[-len(end) :] for other in others)))
        )

    return ["".join(c if c.isprintable() else " " for c in own(i)) for i in range(len(parts))]


def _flat(tables: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def settings(runs: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """The dotted keys of the recipes that are not equal in all runs, with the value of each; None
    where a recipe lacks the key.

    What a recipe says about itself is left out.
    """
    flat = [dict(_flat(run.recipe.describe())) for run in runs]
    known = dict.fromkeys(
        key
        for tables in flat
        for key in tables
        if not key.startswith(("about.", "report.", "tracking."))
    )
    parents = list(dict.fromkeys(key.rpartition(".")[0] for key in known))
    keys = sorted(known, key=lambda key: parents.index(key.rpartition(".")[0]))
    found = {key: tuple(tables.get(key) for tables in flat) for key in keys}
    return {
        key: values for key, values in found.items() if any(value != values[0] for value in values)
    }


def refuse(runs: Sequence[Run]) -> None:
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
                raise ConfigError(
                    f"only runs {what} can be compared, got {ours} ({first.folder}) and {theirs} "
                    f"({run.folder})"
                )


def _values_equal(a: Examples, b: Examples) -> bool:
    """Whether two splits hold the same values of their sources, in the same order."""
    if len(a) != len(b) or a.levels != b.levels or a.values.dtype != b.values.dtype:
        return False
    pieces = zip(chunks(a.values, a.rows), chunks(b.values, b.rows), strict=True)
    return all(np.array_equal(ours, theirs) for (_, ours), (_, theirs) in pieces)


def _equal(a: Run, ours: Examples | History, b: Run, theirs: Examples | History) -> bool:
    if isinstance(ours, History) and isinstance(theirs, History):
        same_items = (
            a.items is not None and b.items is not None and a.items.digest() == b.items.digest()
        )
        return same_items and ours.digest() == theirs.digest()
    return (
        isinstance(ours, Examples) and isinstance(theirs, Examples) and _values_equal(ours, theirs)
    )


UNCONCERNED = ("data.binarize", "data.standardize")
"""Settings that do not decide which examples a split has."""


REPLACED = ("data.source", "data.seed", "data.validation", "data.test")
"""Settings that have no say where the source is given."""


def _differ(a: Run, b: Run, split: str, data: str | Path | None) -> ConfigError:
    """The error for two runs whose examples are not the same, with what may be the cause."""
    skip = UNCONCERNED if data is None else (*UNCONCERNED, *REPLACED)
    causes = {k: v for k, v in settings([a, b]).items() if k.startswith("data.") and k not in skip}
    told = ", ".join(
        f"{key} is {setting(ours)} and {setting(theirs)}" for key, (ours, theirs) in causes.items()
    )
    if data is not None:
        return ConfigError(
            f"{a.folder} and {b.folder} do not read the same examples from {data}: "
            f"{told or 'the values differ'}"
        )
    return ConfigError(
        f"the {split} splits of {a.folder} and {b.folder} are not the same examples "
        f"({told or 'their values differ'}): one "
        "may have been trained on what the other is measured on; give one source for all by --data "
        "(data= in Python)"
    )


def common(
    runs: Sequence[Run], data: str | Path | None = None, split: str | None = None
) -> tuple[str, list[Examples | History]]:
    """The name of a split and the very same examples of it as each run sees them: standardised, or
    binarised, as in its fit.

    Where pixels are drawn, they are drawn by the seed of the first run for all.

    Raises:
        ConfigError: the runs' own splits are not the same examples, or they read other examples
        from `data`.
        DataError: there is no such split, or the data have changed since a fit.
    """
    split, first = runs[0].examples(data, split)
    found: list[Examples | History] = [first]
    for run in runs[1:]:
        own = run.examples(data, split)[1]
        if not _equal(runs[0], first, run, own):
            raise _differ(runs[0], run, split, data)
        found.append(
            replace(first, schema=own.schema, draw=own.draw) if isinstance(first, Examples) else own
        )
    return split, found


def _hashes(run: Run, examples: Examples) -> list[int]:
    """A hash of each example as this run sees it before any binarisation."""
    pieces = (
        run.schema.scaled(piece, examples.levels)
        for _, piece in chunks(examples.values, examples.rows)
    )
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
    """What the log-likelihoods of a run are, so far as it decides with which others they can be
    compared.
    """
    drawn = "of pixels drawn by data.binarize" if entry.examples.draw != "none" else None
    # A distribution over the places of the event, not over its values: its figures are of another
    # kind than all others.
    counts = (
        "Multinomial, of counts"
        if isinstance(entry.run.recipe.model.likelihood, Multinomial)
        else None
    )
    return (
        "; ".join(filter(None, (entry.caveat, counts, drawn)))
        or "a normalised likelihood of the values"
    )


def _warnings(entries: Sequence[Entry], split: str, given: bool) -> tuple[list[str], bool]:
    """What must be known before the figures are believed, and whether the likelihoods are of one
    kind.
    """
    told = []
    if not given:
        told += [SEEN[split]] if split in SEEN else []
    elif seen := [text for entry in entries if (text := _trained_on(entry))]:
        told.append(
            f"Some of these examples are in the training split of a run: {', '.join(seen)}."
        )
    if entries[0].ranking is not None:
        return told, True
    return told + _of_likelihoods(entries), len({_kind(entry) for entry in entries}) == 1


def _of_likelihoods(entries: Sequence[Entry]) -> list[str]:
    told = []
    if len({_kind(entry) for entry in entries}) > 1:
        kinds = "; ".join(f"{entry.name}: {_kind(entry)}" for entry in entries)
        told.append(
            "The runs' likelihoods are of different kinds, so that their figures cannot be "
            f"compared: {kinds}."
        )
    elif entries[0].caveat:
        told.append(f"Of the likelihood of all runs: {entries[0].caveat}.")
    without = [entry.name for entry in entries if "elbo" not in entry.each]
    if without and len(without) < len(entries):
        several = "are autoencoders" if len(without) > 1 else "is an autoencoder"
        told.append(
            f"{listed(without)} {several}, without a bound: only the log-likelihood term, which no "
            "rate limits, is common."
        )
    return told


def _dense(name: str, run: Run, examples: Examples, samples: int, seed: int) -> Entry:
    found, caveat = (
        bound(run.model, examples, samples=DenseFindings.draws_each(examples), seed=seed),
        check(run.recipe, examples),
    )
    if not run.recipe.objective.has_bound:
        return Entry(name, run, examples, {"log_likelihood_term": found.terms}, caveat=caveat)
    weighed = importance_log_likelihood(
        run.model, examples.take(slice(0, WEIGHED)), samples=samples, seed=seed
    )
    each = {
        "elbo": found.per_example,
        "log_likelihood": weighed.per_example,
        "log_likelihood_term": found.terms,
    }
    return Entry(name, run, examples, each, found.rate, caveat, weighed.effective_samples)


def _ranked(name: str, run: Run, users: History, headline: str, seed: int) -> Entry:
    asked = list(dict.fromkeys([*METRICS, headline]))
    ranking = rank(run.model.item_scores, users, ks=cuts(run.schema.shape[0]), metrics=asked)
    rate: tuple[float | None, ...] = ()
    if run.recipe.objective.has_bound:
        latent = latent_statistics(run.model, users.take(slice(0, LATENT_USERS)), seed=seed)
        rate = tuple(None if r is None else r.sum().item() for r in latent.rate_per_dimension)
    return Entry(
        name, run, users, ranking.per_user, rate, check(run.recipe, users), ranking=ranking
    )


def _paired(entry: Entry, first: Entry) -> Entry:
    """The entry with its differences to the first, of the measures that both have."""
    if entry.ranking is not None and first.ranking is not None:
        return replace(
            entry,
            differences={
                name: difference(entry.ranking, first.ranking, name) for name in entry.each
            },
        )
    both = [name for name in entry.each if name in first.each]
    return replace(
        entry, differences={name: Estimate.of(entry.each[name] - first.each[name]) for name in both}
    )


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
    return (
        ("elbo", some) if all(bounds) else ("log_likelihood_term", ("log_likelihood_term", *some))
    )


def ready(
    runs: Sequence[Run], data: str | Path | None, split: str | None, samples: int
) -> tuple[str, list[Examples | History]]:
    """The common examples, after all that could be wrong with what was asked; raises as `measure`
    does.
    """
    refuse(runs)
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
    """Runs measured on the very same examples, with the same seed of the draws, and their
    differences to the first run.

    Of images and tables: the ELBO and the log-likelihood term (one draw for each example), and the
    importance-sampled log-likelihood of the first 1,000 examples; of interactions: the ranking
    metrics of the same users.

    Args:
        runs: two or more, all different.
        data: a source that all runs are measured on; None takes their own splits, which must be the
        same examples.
        split: "train", "validation", "test" or "all"; None is "test", or "all" for a source that
        brings no test part.
        samples: importance samples for each example.
        seed: of the draws.

    Raises:
        ConfigError: there are fewer than two runs, one of them is there twice, they are of
            different kinds or shapes, or their splits are not the same examples.
        DataError: there is no such split, or the data do not fit a run.
    """
    return measured_runs(
        runs, *ready(runs, data, split, samples), data, samples, seed, lambda name: None
    )


def measured_runs(
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
    return Comparison(
        entries,
        source,
        split,
        headline,
        shown,
        settings(runs),
        tuple(warnings),
        comparable,
        draws,
        weighed,
        seed,
    )

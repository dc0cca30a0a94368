"""Runs measured on the very same examples: a record of numbers, with paired differences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ...data import Split
from ...data.memory import DataSource, source_text
from ...errors import ConfigError, LowerboundError
from ...evaluation import Estimate
from ...evaluation.batches import positive
from ...evaluation.likelihood import LIKELIHOOD_SAMPLES
from ...evaluation.measure import LIKELIHOOD_EXAMPLES, Measured, MeasureSettings, measure_split
from ...families import Family
from ...run import Run
from ..text import format_setting, join_names
from .frame import to_frame, to_latex

if TYPE_CHECKING:
    import polars

CAUTIONS = {
    "train": ("Every run was trained on these examples: the figures say nothing of new ones."),
    "validation": (
        "The validation split chose the weights of the runs: their figures on it are somewhat too "
        "good."
    ),
    "all": ("These are the examples of all splits: the runs were trained on most of them."),
}
"""What must be known of a split that is not the test split."""

LEAST_LOOSENESS = 0.01
"""Estimates of log p(x) that are nearer than this to the truth, in nats, are told without a word.
"""

MARK = "lowerbound comparison"
"""What `comparison.json` says it is, so that a page is only ever written over an earlier one."""

NATS_DIGITS = 2
"""Digits after the point of a number of nats."""

METRIC_DIGITS = 4
"""Digits after the point of a ranking metric."""

UNTOLD_TABLES = ("about.", "report.", "tracking.")
"""Tables of a recipe that say nothing of the model."""

UNCONCERNED = ("data.binarize", "data.standardize")
"""Settings that do not decide which examples a split has."""

REPLACED = ("data.source", "data.seed", "data.validation", "data.test")
"""Settings that have no say where the source is given."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One of the runs that are compared.

    Attributes:
        name: its folder's, with as much of the path as tells it from the others.
        run: the run.
        examples: the common examples, as this run sees them.
        measured: its measures on these examples.
        caveat: what a report must say of the likelihood on these examples.
        differences: the mean of this run's values minus the first run's, example by example, with
            the standard error of these pairs (see `Measured.difference`); empty for the first run.
    """

    name: str
    run: Run
    examples: Split
    measured: Measured
    caveat: str | None = None
    differences: Mapping[str, Estimate] | None = None

    @cached_property
    def each(self) -> Mapping[str, Tensor]:
        """For each measure one value per example, (n,): nats, or ranking metrics."""
        return {name: self.measured.per_row(name) for name in self.measured.names}

    @property
    def measures(self) -> dict[str, Estimate]:
        """The mean of each measure, and its standard error."""
        return {name: Estimate.of(values) for name, values in self.each.items()}

    @property
    def rate(self) -> tuple[float | None, ...]:
        """The mean rate of each level in nats (None where it does not factorise); empty for an
        autoencoder.
        """
        return self.measured.rate

    @property
    def parameters(self) -> int:
        """The number of numbers that the model consists of."""
        return sum(p.numel() for p in self.run.model.parameters())

    def describe(self) -> dict[str, Any]:
        """Returns all numbers, as JSON has them."""
        differences = self.differences or {}
        summary = self.run.summary
        return {
            "name": self.name,
            "run": str(self.run.folder),
            "measures": {name: estimate._asdict() for name, estimate in self.measures.items()},
            "differences": {name: estimate._asdict() for name, estimate in differences.items()},
            "rate": list(self.rate),
            **self._diagnosis(),
            "parameters": self.parameters,
            "epochs": summary.get("epochs"),
            "best_epoch": summary.get("best_epoch"),
            "seconds": summary.get("seconds"),
            "caveat": self.caveat,
        }

    def _diagnosis(self) -> dict[str, Any]:
        """Returns what tells how far the log-likelihood may be believed, as JSON has it."""
        if self.measured.importance is None:
            return {"effective_samples": None}
        return self.measured.importance.diagnosis()


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
    def in_nats(self) -> bool:
        """Whether the measures are log-likelihoods and bounds, not ranking metrics."""
        return self.first.measured.in_nats

    @property
    def digits(self) -> int:
        """The digits after the point that the measures are told with."""
        if self.in_nats:
            return NATS_DIGITS
        return METRIC_DIGITS

    @property
    def unit(self) -> str:
        """What is measured: "examples" or "users"."""
        return self.first.measured.unit

    @property
    def examples(self) -> int:
        """The number of examples, or users with a held-out item, that were measured."""
        return len(self.first.each[self.headline])

    def describe(self) -> dict[str, Any]:
        """Returns all numbers, as JSON has them."""
        page = None
        if self.page is not None:
            page = str(self.page)
        return {
            "kind": MARK,
            "source": self.source,
            "split": self.split,
            "examples": self.examples,
            "headline": self.headline,
            "samples": self.samples,
            "weighed": self.weighed,
            "seed": self.seed,
            "comparable": self.comparable,
            "runs": [entry.describe() for entry in self.entries],
            "settings": {key: list(values) for key, values in self.settings.items()},
            "warnings": list(self.warnings),
            "page": page,
        }

    def __repr__(self) -> str:
        """Returns what was compared, what must be known of it, and the frame."""
        notes = "".join(f"note: {warning}\n" for warning in self.warnings)
        return f"Comparison on {self.split} examples of {self.source}\n{notes}{self.to_frame()}"

    def to_frame(self) -> "polars.DataFrame":
        """Returns a frame with one row for each run: its measures with their standard errors, and
        the paired differences to the first run with those of the pairs.
        """
        return to_frame(self.describe()["runs"], self.shown)

    def to_csv(self) -> str:
        """Writes the frame as CSV."""
        return self.to_frame().write_csv()

    def to_latex(self) -> str:
        """Writes the measures and the paired differences as a table in LaTeX (with booktabs)."""
        return to_latex(self.describe()["runs"], self.shown, self.digits)


@dataclass(frozen=True)
class Request:
    """What a comparison is asked for.

    Attributes:
        data: a source that all runs are measured on, as `Run.data` takes it; None takes their own
            splits, which must be the same examples.
        split: "train", "validation", "test" or "all"; None is "test", or "all" for a source that
            brings no test part.
        samples: importance samples for each example.
        seed: of the draws.
    """

    data: DataSource | None = None
    split: str | None = None
    samples: int = LIKELIHOOD_SAMPLES
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Candidate:
    """A run that is to be measured, of which everything has been checked.

    Attributes:
        name: what the run is called.
        run: the run.
        examples: the common examples, as this run sees them.
        caveat: what a report must say of its likelihood on these examples.
    """

    name: str
    run: Run
    examples: Split
    caveat: str | None


def measure(
    runs: Sequence[Run],
    *,
    data: DataSource | None = None,
    split: str | None = None,
    samples: int = LIKELIHOOD_SAMPLES,
    seed: int = 0,
) -> Comparison:
    """Measures runs on the very same examples, with the same seed of the draws, and their
    differences to the first run.

    Of images and tables these are the ELBO and the log-likelihood term (see `evaluation.measure`
    for the draws of each example), and the importance-sampled log-likelihood of the first 1,000
    examples; of interactions the ranking metrics of the same users.

    Args:
        runs: two or more, all different.
        data: a source that all runs are measured on, as `Run.data` takes it; None takes their own
            splits, which must be the same examples.
        split: "train", "validation", "test" or "all"; None is "test", or "all" for a source that
            brings no test part.
        samples: importance samples for each example.
        seed: of the draws.

    Raises:
        ConfigError: there are fewer than two runs, one of them is there twice, they are of
            different kinds or shapes, or their splits are not the same examples.
        DataError: there is no such split, or the data do not fit a run.
    """
    refuse(runs)
    request = Request(data, split, samples, seed)
    run_names = names([run.folder for run in runs])
    split, candidates = prepare(runs, run_names, request)
    return measure_candidates(candidates, split, request)


def refuse(runs: Sequence[Run]) -> None:
    """Raises ConfigError for runs that no figure can compare."""
    if len(runs) < 2:
        raise ConfigError(f"compare needs two runs or more, got {len(runs)}")
    folders: set[Path] = set()
    for run in runs:
        folder = run.folder.resolve()
        if folder in folders:
            raise ConfigError(f"{run.folder} is given twice; allowed: different runs")
        folders.add(folder)
    first = runs[0]
    for run in runs[1:]:
        _refuse_different("of one kind of data", first, first.schema.kind, run, run.schema.kind)
        _refuse_different(
            "of examples of one shape", first, first.schema.shape, run, run.schema.shape
        )


def _refuse_different(likeness: str, first: Run, ours: object, run: Run, theirs: object) -> None:
    if ours != theirs:
        raise ConfigError(
            f"only runs {likeness} can be compared, got {ours} ({first.folder}) and {theirs} "
            f"({run.folder})"
        )


def names(folders: Sequence[Path]) -> list[str]:
    """Names different folders: each by the end of its path that no other one has."""
    paths = [folder.resolve().parts for folder in folders]
    ends = []
    for at, path in enumerate(paths):
        others = paths[:at] + paths[at + 1 :]
        end = str(Path(*_shortest_end(path, others)))
        ends.append("".join(c if c.isprintable() else " " for c in end))
    return ends


def _shortest_end(path: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Returns the fewest last parts of a path that none of the others ends with."""
    for length in range(1, len(path)):
        end = path[-length:]
        if all(other[-length:] != end for other in others):
            return end
    return path


def prepare(
    runs: Sequence[Run], run_names: Sequence[str], request: Request
) -> tuple[str, list[Candidate]]:
    """Opens the common examples, and checks all that could be wrong with what was asked.

    Returns:
        The name of the split, and a candidate for each run.

    Raises:
        ConfigError, DataError: as `measure` does.
    """
    positive(request.samples)
    split, views = common(runs, request.data, request.split)
    candidates = []
    for run, name, examples in zip(runs, run_names, views, strict=True):
        candidates.append(Candidate(name, run, examples, run.caveat(examples)))
    return split, candidates


def common(
    runs: Sequence[Run], data: DataSource | None = None, split: str | None = None
) -> tuple[str, list[Split]]:
    """Opens the very same examples as each run sees them: standardised, or binarised, as in its
    fit.

    Where pixels are drawn, they are drawn by the seed of the first run for all.

    Returns:
        The name of the split, and its examples as each run sees them.

    Raises:
        ConfigError: the runs' own splits are not the same examples, or they read other examples
            from `data`.
        DataError: there is no such split, or the data have changed since a fit.
    """
    first_run = runs[0]
    split, first = _open_split(first_run, data, split)
    views = [first]
    for run in runs[1:]:
        _, own = _open_split(run, data, split)
        if _catalogue(run) != _catalogue(first_run) or not first.holds_same_rows(own):
            raise _other_examples(first_run, run, split, data)
        views.append(first.seen_by(own))
    return split, views


def _open_split(run: Run, data: DataSource | None, split: str | None) -> tuple[str, Split]:
    """Opens a split of a source that is given for all runs, or else of the run's own data."""
    if data is None:
        return run.examples(split=split)
    return run.other_examples(data, split)


def _catalogue(run: Run) -> str | None:
    """Returns what tells whether two runs know the same items; None for runs that have no items."""
    if run.items is None:
        return None
    return run.items.digest()


def _other_examples(first: Run, run: Run, split: str, data: DataSource | None) -> ConfigError:
    """Returns the error for two runs whose examples are not the same, with what may be the
    cause.
    """
    without_say: tuple[str, ...] = UNCONCERNED
    if data is not None:
        without_say = (*UNCONCERNED, *REPLACED)
    causes = []
    for key, (ours, theirs) in settings([first, run]).items():
        if key.startswith("data.") and key not in without_say:
            causes.append(f"{key} is {format_setting(ours)} and {format_setting(theirs)}")
    cause = ", ".join(causes)
    if data is not None:
        return ConfigError(
            f"{first.folder} and {run.folder} do not read the same examples from "
            f"{source_text(data)}: {cause or 'the values differ'}"
        )
    return ConfigError(
        f"the {split} splits of {first.folder} and {run.folder} are not the same examples "
        f"({cause or 'their values differ'}): one "
        "may have been trained on what the other is measured on; give one source for all by --data "
        "(data= in Python)"
    )


def settings(runs: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """Returns the dotted keys of the recipes that are not equal in all runs, with the value of
    each; None where a recipe lacks the key.

    What a recipe says about itself is left out, and so are the settings of a chain of levels where
    a ladder stands in their place.
    """
    recipes = [_told_settings(run) for run in runs]
    known = []
    for recipe in recipes:
        known += [key for key in recipe if not key.startswith(UNTOLD_TABLES)]
    # Keys of one table stand together, the tables in the order in which they first come.
    tables = list(dict.fromkeys(_table_of(key) for key in known))
    differing = {}
    for key in sorted(dict.fromkeys(known), key=lambda key: tables.index(_table_of(key))):
        values = tuple(recipe.get(key) for recipe in recipes)
        if any(value != values[0] for value in values):
            differing[key] = values
    return differing


def _told_settings(run: Run) -> dict[str, Any]:
    """Returns the settings of a run by their dotted keys, without those that it has no use for."""
    described = dict(_dotted(run.recipe.describe()))
    unused = tuple(f"model.{name}" for name in run.recipe.model.unused)
    told = {}
    for key, value in described.items():
        if not any(key == name or key.startswith(f"{name}.") for name in unused):
            told[key] = value
    return told


def _dotted(tables: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{above}{key}.")
        else:
            yield above + key, value


def _table_of(key: str) -> str:
    return key.rpartition(".")[0]


def measure_candidates(
    candidates: Sequence[Candidate],
    split: str,
    request: Request,
    begins: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """Measures runs of which everything has been checked.

    Args:
        candidates: the runs.
        split: the name of the split.
        request: what was asked for.
        begins: is called with the name of each run as its turn comes.
    """
    entries: list[Entry] = []
    for candidate in candidates:
        begins(candidate.name)
        entries.append(_measured_entry(candidate, candidates[0].run, request, entries[:1]))
    first = entries[0]
    headline, shown = _deciding(entries)
    kinds = _kinds(entries)
    weighed = max(len(entry.each.get("log_likelihood", ())) for entry in entries)
    samples = 0
    if weighed:
        samples = request.samples
    source = first.run.recipe.data.source
    if request.data is not None:
        source = source_text(request.data)
    return Comparison(
        entries=tuple(entries),
        source=source.rstrip("/").rsplit("/", 1)[-1],
        split=split,
        headline=headline,
        shown=shown,
        settings=settings([entry.run for entry in entries]),
        warnings=tuple(_warnings(entries, split, kinds, request.data is not None)),
        comparable=len(set(kinds)) <= 1,
        samples=samples,
        weighed=weighed,
        seed=request.seed,
    )


def _measured_entry(
    candidate: Candidate, first_run: Run, request: Request, first: Sequence[Entry]
) -> Entry:
    """Measures a run, and its differences to the first entry if there is one."""
    run = candidate.run
    how = MeasureSettings(
        seed=request.seed,
        samples=request.samples,
        likelihood_examples=LIKELIHOOD_EXAMPLES,
        has_bound=run.recipe.objective.has_bound,
        monitor=first_run.recipe.training.monitor,
    )
    measured = measure_split(candidate.examples, run.model, how)
    entry = Entry(candidate.name, run, candidate.examples, measured, candidate.caveat)
    # All numbers are measured when they are first read: now, while the bar of progress shows it.
    entry.describe()
    if not first:
        return entry
    differences = {}
    for name in measured.names:
        if name in first[0].measured.names:
            differences[name] = measured.difference(first[0].measured, name)
    return replace(entry, differences=differences)


def _deciding(entries: Sequence[Entry]) -> tuple[str, tuple[str, ...]]:
    """Returns the measure that decides, which all runs have, and the measures of the tables."""
    common_to_all = [
        name
        for name in entries[0].measured.deciding
        if all(name in entry.measured.names for entry in entries)
    ]
    headline = common_to_all[0]
    shown = [headline]
    for entry in entries:
        shown += entry.measured.main
    return headline, tuple(dict.fromkeys(shown))


def _kinds(entries: Sequence[Entry]) -> list[str]:
    """Says for each run what its log-likelihoods are, so far as that decides with which others they
    can be compared; nothing for rankings, which always can.
    """
    if not entries[0].measured.in_nats:
        return []
    kinds = []
    for entry in entries:
        likelihood = entry.run.recipe.model.likelihood
        kinds.append(likelihood_kind(likelihood, entry.examples, entry.caveat))
    return kinds


def likelihood_kind(likelihood: Family, examples: Split, caveat: str | None) -> str:
    """Says what the log-likelihoods of a model are: those of one kind can be compared.

    Args:
        likelihood: of the model.
        examples: what is measured.
        caveat: what a report must say of this likelihood on these examples, or None.
    """
    parts = []
    if caveat:
        parts.append(caveat)
    # A distribution over the places of the event, not over its values: its figures are of another
    # kind than all others.
    if likelihood.over_places:
        parts.append(f"{type(likelihood).__name__}, of counts")
    if examples.draw != "none":
        parts.append("of pixels drawn by data.binarize")
    return "; ".join(parts) or "a normalised likelihood of the values"


def _warnings(
    entries: Sequence[Entry], split: str, kinds: Sequence[str], source_is_given: bool
) -> list[str]:
    """Lists what must be known before the figures are believed."""
    warnings = []
    if source_is_given:
        counts = [_count_trained_on(entry) for entry in entries]
        trained_on = ", ".join(count for count in counts if count)
        if trained_on:
            warnings.append(
                f"Some of these examples are in the training split of a run: {trained_on}."
            )
    elif split in CAUTIONS:
        warnings.append(CAUTIONS[split])
    if not kinds:
        return warnings
    if len(set(kinds)) > 1:
        pairs = zip(entries, kinds, strict=True)
        told = "; ".join(f"{entry.name}: {kind}" for entry, kind in pairs)
        warnings.append(
            "The runs' likelihoods are of different kinds, so that their figures cannot be "
            f"compared: {told}."
        )
    elif entries[0].caveat:
        warnings.append(f"Of the likelihood of all runs: {entries[0].caveat}.")
    return warnings + _autoencoder_warnings(entries) + _looseness_warnings(entries)


def _count_trained_on(entry: Entry) -> str | None:
    """Says how many of the examples are in the training split of a run; None where none are, or
    where they are not told apart by their values.
    """
    examples = entry.examples.hashes(entry.run.schema)
    if not examples:
        return None
    try:
        train = set(entry.run.data().train.hashes(entry.run.schema))
    except LowerboundError:
        return f"an unknown number in that of {entry.name} (its data cannot be read as they were)"
    count = sum(example in train for example in examples)
    if not count:
        return None
    return f"{count:,} in that of {entry.name}"


def _autoencoder_warnings(entries: Sequence[Entry]) -> list[str]:
    """Warns of autoencoders among models that have a bound."""
    without = [entry.name for entry in entries if "elbo" not in entry.measured.names]
    if not without or len(without) == len(entries):
        return []
    verb = "is an autoencoder"
    if len(without) > 1:
        verb = "are autoencoders"
    warning = (
        f"{join_names(without)} {verb}, without a bound: only the log-likelihood term, which no "
        "rate limits, is common."
    )
    return [warning]


def _looseness_warnings(entries: Sequence[Entry]) -> list[str]:
    """Warns of estimates of log p(x) that are not to be relied on, and of differences which may be
    nothing but that one estimate is further below the truth than the other.
    """
    warnings = []
    for entry in entries:
        importance = entry.measured.importance
        if importance is not None and importance.doubt is not None:
            warnings.append(f"Of {entry.name}: {importance.doubt}.")
    for entry in entries[1:]:
        if _may_be_of_estimates(entries[0], entry):
            warnings.append(
                f"The difference in log p(x) of {entry.name} may be one of the estimates alone: "
                f"that of {entry.name} is about {_looseness(entry):.2f} nats below the truth, that "
                f"of {entries[0].name} about {_looseness(entries[0]):.2f}; take more samples."
            )
    return warnings


def _looseness(entry: Entry) -> float:
    """Returns about how many nats the estimate of log p(x) is below the truth."""
    assert entry.measured.importance is not None
    return entry.measured.importance.looseness


def _may_be_of_estimates(first: Entry, entry: Entry) -> bool:
    """Says whether the difference in log p(x) is clear by the spread over the examples, and is not
    where the looseness of the two estimates is held against it.
    """
    widened = (entry.differences or {}).get("log_likelihood")
    if widened is None:
        return False
    spread = Estimate.of(entry.each["log_likelihood"] - first.each["log_likelihood"])
    is_worth_saying = _looseness(first) + _looseness(entry) >= LEAST_LOOSENESS  # nan is not
    return is_worth_saying and spread.is_clear and not widened.is_clear

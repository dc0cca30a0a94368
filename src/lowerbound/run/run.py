"""Runs: a fitted model from its folder alone.

A run folder holds `recipe.toml`, `data.json` (what the data were), `metrics.csv` (one row per
epoch), `model.safetensors` (the best weights), `summary.json` (what `fit --json` prints),
`reference.json` (what held-out examples score, of a run with a likelihood), `split/` (the users and
their interactions, of a run on these), `checkpoint/` and `report/`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from .. import recipe as recipes
from ..batch import Batch
from ..data import Data, Dataset, History, Items, Schema, Split, named_sets
from ..data.dataset import PARTS
from ..data.dataset import Examples as DenseExamples
from ..data.interactions.folders import matches
from ..data.interactions.matrices import check_matrix
from ..data.interactions.origin import tell_changed
from ..data.interactions.stored import FOLDER as SPLIT
from ..data.interactions.stored import holds_split
from ..data.memory import (
    MEMORY,
    DataSource,
    InMemory,
    is_in_memory,
    is_matrix,
    to_sparse,
)
from ..data.opening import open_shares
from ..errors import ConfigError, DataError, LowerboundError, RunError, ShapeError, one_line
from ..evaluation.batches import chunk_size, chunks, evaluating, placed, positive
from ..evaluation.likelihood import LIKELIHOOD_SAMPLES, log_likelihoods
from ..evaluation.measure import LATENT_USERS, MeasureSettings, measure_split
from ..evaluation.probe import Probes, probe_model
from ..evaluation.ranking.beyond import ItemFacts, facts_of_items
from ..hub import fetch, is_address, read_address
from ..model import VAE
from ..recipe import Recipe
from ..sparse import SparseRows
from ..specs import lazy
from ..specs.user_code import allowing_code
from ..system.console import print_line
from ..system.files import exists, expand_home, is_file, within
from ..system.machine import refuse_beyond_memory
from ..training.checkpoint import latest_checkpoint
from .caveats import check
from .contents import (
    FORMAT,
    Facts,
    is_refitted,
    read_model,
    read_partner,
    read_schema,
    read_stopped,
    read_summary,
    read_table,
    read_weights,
    refuse_mistyped,
)
from .display import as_html, as_text, facts_of_run
from .given import FILE as CONDITIONS_FILE
from .given import (
    Given,
    KnownConditions,
    complete_given,
    read_conditions,
    read_given,
    refuse_none_given,
    refuse_unknown_conditions,
    to_codes,
)
from .returned import (
    Units,
    drawn,
    means_of,
    presented,
    refuse_temperature,
    refuse_units,
    rows_of,
)

if TYPE_CHECKING:
    from polars import DataFrame

Examples = Batch | SparseRows | Split | DataSource
"""Examples that a run encodes: as the model sees them, or in the units of the data."""

__all__ = ["LATENT_USERS", "Run", "digest_of", "load", "open_as_fitted", "unchanged"]


class Run:
    """A fitted model with its recipe and its folder.

    Attributes:
        folder: of the run.
        recipe: how it was made.
        schema: of the data it was made from.
        model: with its best weights, in evaluation mode.
        summary: what `fit` found, as `fit --json` prints it.
        items: the catalogue of a run on interactions, else None.
        looked_at: what `data()` gives without a source; None opens the run's own data.
        unfinished: says what the weights are of a run that was stopped before its end, else None.
        held: the run's own data where they were given in memory to the `fit` that made it.
        has_other_users: whether the features of users are read of another table than at the fit.
        tell: is told how other data were read; it prints, unless it is replaced.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        schema: Schema,
        model: VAE,
        summary: dict[str, Any],
        items: Items | None = None,
        unfinished: str | None = None,
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.schema = schema
        self.model: VAE = model.eval()
        self.summary = summary
        self.items = items
        self.looked_at: Dataset | None = None
        self.held: InMemory | None = None
        self.unfinished = unfinished
        self.has_other_users = False
        self.told: set[str] = set()
        self.tell: Callable[[str], None] = print_line

    def __repr__(self) -> str:
        """Returns what the run is and its figures, one a line."""
        return as_text(f"Run {self.folder}", self.facts())

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the same as a table."""
        return as_html(f"Run {self.folder}", self.facts())

    def facts(self) -> list[tuple[str, str]]:
        """Lists what the run is and what it has come to, as names and values for people."""
        return facts_of_run(self.folder, self.recipe, self.summary, self.unfinished)

    def caveat(self, examples: Split, source: DataSource | None = None) -> str | None:
        """Returns what must be said beside figures of these examples, or None.

        Args:
            examples: a split.
            source: where the examples are from; None: from the run's own source.

        Raises:
            DataError: the likelihood or the noise does not fit the values; says why.
        """
        caveats = (self.unfinished, check(self.recipe, examples, source))
        return "; ".join(caveat for caveat in caveats if caveat) or None

    def data(self, source: DataSource | None = None) -> Dataset:
        """Opens the data of the run in its own splits, or another source, standardised as in
        training and not cut further.

        A source that holds the very values that the run was fitted to, such as a file that has been
        moved, is the run's own data, in its own splits.

        Args:
            source: the name of a set, a path, or data in memory (see `lowerbound.data.memory`), in
                the units of the data: levels of pixels, the columns of a table as they are. None
                takes the run's own data.

        Raises:
            DataError: the data of the run are gone, or have changed since, so that their splits are
                not those of the fit.
        """
        if source is None and self.looked_at is not None:
            return self.looked_at
        if source is None:
            return self._own_data()
        dataset = self.other_data(source)
        if not self._may_be_own(dataset):
            return dataset
        moved = self._open_own_from(source)
        if self.is_own(moved):
            return moved
        return dataset

    def other_data(self, source: DataSource) -> Dataset:
        """Opens a source as other data than the run's own, whatever it holds: no split is cut from
        it, and no user is left out. How it was read is printed, as `fit` does.
        """
        dataset = self.open_other(source)
        for note in dataset.notes:
            # Batches in memory come one after another, and would tell the same of each.
            if not (is_in_memory(source) and note in self.told):
                self.tell(note)
            self.told.add(note)
        return dataset

    def open_other(self, source: DataSource) -> Dataset:
        """Opens a source as `other_data` does, and prints nothing: `Dataset.notes` says how it was
        read.
        """
        other = replace(self.recipe.data, validation=0, test=0)
        return other.open(self.schema, self.items, other=True, source=source)

    def _own_data(self) -> Dataset:
        """Opens what the run was fitted to: the split that it keeps, or where it looks for the
        data.
        """
        if self.items is not None and holds_split(self.folder):
            return self._stored_data(self.items)
        source = self.recipe.data.source
        if self.held is not None:
            return self._open_own_from(self.held)
        is_there = exists(expand_home(source)) or matches(source)
        if source not in named_sets() and not is_there:
            missing = f"there is no file or folder {source!r}, which {self.folder} was fitted to"
            if source == MEMORY:
                missing = f"{self.folder} was fitted to data in memory, which no file has"
            raise DataError(
                f"{missing}; --data SOURCE takes the same data from another place, or other data "
                "(data= in Python)"
            )
        dataset = self._open_own_from(source)
        if is_file(self.folder / "data.json"):
            unchanged(dataset, self.folder, DataError)
        return dataset

    def _stored_data(self, items: Items) -> Dataset:
        """Opens the split that the run keeps, and says if the log has changed since."""
        facts = read_table(self.folder, "data.json").get("facts", {})
        data = self.recipe.data
        dataset = data.open_stored(self.folder, self.schema, items, facts, self.has_other_users)
        if not self.is_own(dataset):
            if self.has_other_users:
                unchanged(dataset, self.folder, DataError)
            raise DataError(
                f"{self.folder / SPLIT} does not hold what {self.folder} was fitted to; without "
                "this folder the log is read again"
            )
        changed = tell_changed(self.folder, *data.log_files)
        if changed is not None and changed not in self.told:
            self.told.add(changed)
            self.tell(changed)
        return dataset

    def _open_own_from(self, source: DataSource) -> Dataset:
        """Opens a source in the splits of the run's own data."""
        return open_as_fitted(self.recipe.data, self.folder, self.schema, self.items, source)

    def _may_be_own(self, dataset: Dataset) -> bool:
        """Says whether a source holds as much as the run was fitted to.

        Only such a source is read once more and compared by its digest.
        """
        if not is_file(self.folder / "data.json"):
            return False
        if self.items is not None:
            facts = read_table(self.folder, "data.json").get("facts", {})
            return dataset.facts.get("read") == facts.get("read")
        return len(dataset.whole) == sum(self.split_sizes().values())

    def split_sizes(self) -> dict[str, int]:
        """Returns how many examples or users each split of the run's own data has."""
        fingerprint = read_table(self.folder, "data.json").get("fingerprint", {})
        return {part: fingerprint.get(part, 0) for part in PARTS}

    def is_own(self, dataset: Dataset) -> bool:
        """Says whether a dataset is what the run was fitted to, by the digest of its values."""
        return digest_of(self.folder) == dataset.fingerprint()["sha256"]

    def looking_at(self, dataset: Dataset) -> "Run":
        """Returns the same run, whose `data()` is what was opened here."""
        run = copy(self)
        run.looked_at = dataset
        return run

    def with_users(self, path: str | Path | None) -> "Run":
        """Returns the same run, which looks for the features of users in this file; None: in that
        of its fit.

        Raises:
            ConfigError: the run has no features of users.
        """
        if path is None:
            return self
        if not self.schema.given:
            raise ConfigError(
                "this run was fitted without features of users; fit one with "
                "data.interactions.users=FILE and data.given='[\"NAME\"]'"
            )
        run = copy(self)
        run.recipe = self.recipe.replace({"data.interactions.users": str(path)})
        run.has_other_users = True
        return run

    def examples(
        self, source: DataSource | None = None, split: str | None = None
    ) -> tuple[str, Split]:
        """Opens a split: by default the test split, or all of a source that brings none.

        Returns:
            The name of the split, and its examples.
        """
        return _choose_split(self.data(source), split, is_given=source is not None)

    def other_examples(self, source: DataSource, split: str | None = None) -> tuple[str, Split]:
        """Opens a split of a source as `examples` does, but as other data than the run's own.

        All runs of one kind have the same examples of it, whatever they were fitted to.
        """
        return _choose_split(self.other_data(source), split, is_given=True)

    def evaluate(
        self,
        source: DataSource | None = None,
        *,
        split: str | None = None,
        samples: int = LIKELIHOOD_SAMPLES,
        probe: bool = False,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Measures what the model makes of a split.

        Of images and tables these are the bound, the importance-sampled log-likelihood and what the
        latents carry, in nats per example; of interactions the ranking metrics, those of popularity
        beside them, and what the latents carry.

        Args:
            source: other data, see `data`; None takes those of the run.
            split: "train", "validation", "test" or "all"; None is "test", or "all" for a source
                that brings no test part.
            samples: importance samples for each example.
            probe: whether linear probes of each level are to find the label, see `probe`.
            seed: of the draws.

        Raises:
            DataError: there are no labels to probe.
        """
        samples = positive(samples)
        split, examples = self.examples(source, split)
        caveat = self.caveat(examples, source)
        if split == "validation" and source is None and is_refitted(self.summary):
            told = "the linear method beside the network was fitted to this split too"
            caveat = "; ".join(filter(None, [caveat, told]))
        settings = MeasureSettings(
            split=split,
            seed=seed,
            samples=samples,
            popularity=self._popularity,
            facts=self.item_facts,
        )
        found: dict[str, Any] = {}
        if probe:
            found["probe"] = self._probe(examples, seed).describe()
        numbers = measure_split(examples, self.model, settings).describe()
        return numbers | {"split": split, "caveat": caveat} | found

    def log_likelihood(
        self,
        x: Examples,
        *,
        given: Given | None = None,
        samples: int = LIKELIHOOD_SAMPLES,
        seed: int = 0,
    ) -> np.ndarray:
        """Estimates log p(x) of each example by importance sampling, as a function of the example
        alone: it is the same in any order, and whatever stands beside it, up to the rounding of
        sums (about 1e-6 of it; 1e-14 of the run that `in_float64` gives).

        All examples have the same noise, and so their errors have something in common; `evaluate`
        measures means. Where the run standardises, it is the density of the standardised values.

        Args:
            x: examples, see `encode`.
            given: their conditions, see `encode`.
            samples: importance samples for each example.
            seed: of the draws.

        Returns:
            Nats, (N,) float64.

        Raises:
            ConfigError: the run gives no likelihood.
            LowerboundError: another of its kinds, as `encode` does.
        """
        self.refuse_without_likelihood("log_likelihood")
        seen: Batch | Split
        if given is None and not isinstance(x, Batch | Split | SparseRows):
            seen = self._read_all(x)  # pixels are drawn where the run draws them, as in scores
        else:
            seen = self.seen(x, given)
        if isinstance(seen, Split):
            seen = seen.drawn_alike()
        return log_likelihoods(self.model, seen, samples=samples, seed=seed).numpy()

    def refuse_without_likelihood(self, what: str) -> None:
        """Refuses what needs p(x) of dense examples.

        Args:
            what: the name of it, for the message.

        Raises:
            ConfigError: the run is on interactions, or is an autoencoder.
        """
        self.schema.refuse_interactions(
            f"{what} is for images and tables; {self.folder} is a run on interactions"
        )
        if not self.recipe.objective.has_bound:
            raise ConfigError(
                f"{what} needs a likelihood; {self.folder} is an autoencoder, which has none"
            )

    def in_float64(self) -> "Run":
        """Returns the same run, whose model computes in float64: twice as precise as it was fitted,
        for results that do not depend on how examples are batched. It takes about twice the time.
        """
        run = copy(self)
        run.model = deepcopy(self.model).double().eval()
        return run

    def probe(
        self, source: DataSource | None = None, *, split: str | None = None, seed: int = 0
    ) -> Probes:
        """Measures which level tells the label of an example, by linear probes.

        Args:
            source: other data, see `data`; None takes those of the run.
            split: see `evaluate`. Of many examples `evaluation.probe.PROBED_EXAMPLES` are chosen.
            seed: of this choice, and of the halves that probes are trained and tested on.

        Raises:
            DataError: there are no labels, or not two of them with enough examples.
        """
        _, examples = self.examples(source, split)
        return self._probe(examples, seed)

    def _probe(self, examples: Split, seed: int) -> Probes:
        """Probes the levels for the labels of a split."""
        if not isinstance(examples, DenseExamples):
            raise DataError("probes are for images and tables of numbers alone, with labels")
        return probe_model(self.model, examples, seed=seed)

    @property
    def _popularity(self) -> np.ndarray | None:
        """How many training users have each item, (I,), or None if that is not known."""
        if self.items is None:
            return None
        return self.items.popularity

    @property
    def item_facts(self) -> ItemFacts | None:
        """What is known of the items, for metrics that need it; None where it is too little."""
        users = self.split_sizes()["train"]
        if self.items is None or not users:
            return None
        return facts_of_items(self.items, users)

    def report(
        self,
        source: DataSource | None = None,
        *,
        examples: int | None = None,
        again: bool = False,
    ) -> Any:
        """Shows the report of the run in a notebook; it is written where there is none yet.

        Args:
            source: the data that it is measured on; None takes those of the run.
            examples: the most examples that it is measured on, the first of them.
            again: whether a report that is there is written again.

        Returns:
            A page that a notebook shows, and that can be opened as a file.
        """
        show = _from_above("report", "inline", "show")
        return show(self, source, examples=examples, again=again)

    def explore(self, source: str | Path | None = None, **options: Any) -> Any:
        """Opens the page of the run: a notebook shows it, elsewhere its address is printed.

        A server on this machine answers it until `close()` of what is returned, or until this
        process ends. It needs `pip install "lowerbound[serve]"`.

        Args:
            source: where the run's own data are, if they are not where they were.
            options: `height` of the page in pixels, and `allow_code` as `lowerbound.load` takes it.

        Raises:
            RunError: the server does not start; says why.
        """
        return _from_above("doors", "exploring", "explore")(self, source, **options)

    def similar(
        self,
        to: Any,
        source: DataSource | None = None,
        *,
        k: int = 10,
        metric: str | None = None,
        **options: Any,
    ) -> Any:
        """Finds the examples that are most like one by their codes, see `lowerbound.similar`, which
        takes the same arguments and knows the other options.
        """
        return _from_above("neighbours", "search", "similar")(
            self, to, source, k=k, metric=metric, **options
        )

    def encode(self, x: Examples, *, given: Given | None = None) -> list[Tensor]:
        """Encodes examples.

        Args:
            x: a source as `data` takes it, in the units of the data: an array, a tensor, a frame, a
                path. Images may also be floats in [0, 1], shares of white, as batches of a split
                are; rows of a table are read in the table's own units, and a matrix has a row for
                each user. A split (`run.data().test`, or some of it by `take`), a `Batch` and
                `SparseRows` are taken as the model sees them.
            given: the conditions of a conditional run, by name: a value for all examples, or one
                for each, in the words of the data; None is not known. Without it `x` has them, as
                labels beside images (x, y) or as columns of a table.

        Returns:
            The posterior means of each level, (N, d) each, on the CPU.

        Raises:
            ConfigError: there is no such condition, or it has no such value.
            DataError: `x` is nothing that can be read, or its values are not those of such data.
            ShapeError: the examples have another shape than those of the run.
        """
        with evaluating(self.model, 0):
            parts = [self.model.encode(batch) for batch in self._batches(x, given)]
        levels = zip(*parts, strict=True)
        return [torch.cat(level).cpu() for level in levels]

    @overload
    def reconstruct(
        self,
        x: Examples,
        *,
        given: Given | None = None,
        lowest: int = 0,
        units: Literal["model"],
    ) -> Tensor: ...

    @overload
    def reconstruct(
        self,
        x: Examples,
        *,
        given: Given | None = None,
        lowest: int = 0,
        units: Units = "data",
    ) -> Any: ...

    def reconstruct(
        self,
        x: Examples,
        *,
        given: Given | None = None,
        lowest: int = 0,
        units: Units = "data",
    ) -> Any:
        """Returns the mean of p(x | z) at the posterior mean, (N, *shape).

        Args:
            x: examples, see `encode`.
            given: their conditions, see `encode`.
            lowest: the lowest level that is inferred, 0 for all. Those below it are at their prior
                means, so that the reconstruction shows what the levels from it up know.
            units: "data": columns of a table in the table's own units (float64), and pixels as
                shares of white in [0, 1]; of a table with columns of several kinds, a Polars frame
                of the means of numbers and the most probable levels, in the types of the source,
                without gaps. "model": as the model sees them, standardised where the run
                standardises, codes of columns of several kinds.
        """
        refuse_units(units)
        self.refuse_level(lowest)
        parts = []
        with evaluating(self.model, 0):
            for batch in self._batches(x, given):
                p = self.model.reconstruction(batch, lowest)
                parts.append(means_of(p, self.schema, units))
        return presented(parts, self.schema, units)

    def swap(self, x: Examples, given: Given, *, units: Units = "data") -> Any:
        """Returns what examples would be under other conditions: this digit as a 7.

        They are encoded with their own conditions, and the posterior mean is decoded with those
        that are given; conditions that are not named stay their own.

        Args:
            x: examples with their conditions, see `encode`.
            given: the other conditions, by name: a value for all examples, or one for each.
            units: those of `reconstruct`; a frame has the conditions behind the columns.

        Raises:
            ConfigError: the run is not conditional, or has no such condition or value.
        """
        refuse_units(units)
        refuse_none_given(given, self.schema.given)
        seen = self._seen(x)
        named = read_given(given, self.schema.given, len(seen))
        parts = []
        swapped = []
        start = 0
        with evaluating(self.model, 0):
            for batch in self._in_batches(seen):
                conditions = self._changed(batch, named, start)
                codes = to_codes(conditions, self.schema)
                assert codes is not None
                p = self.model.swap(batch, codes.to(next(self.model.parameters())))
                parts.append(means_of(p, self.schema, units))
                swapped.append(conditions)
                start += len(batch)
        return presented(parts, self.schema, units, np.concatenate(swapped))

    def _changed(self, batch: Batch, named: Mapping[str, np.ndarray], start: int) -> np.ndarray:
        """Returns the conditions of a batch (B, G), where those that are named are others.

        Args:
            batch: with its own conditions.
            named: values by name, of all examples.
            start: the place of the first example of the batch.
        """
        if batch.given is None:
            raise ShapeError("this model is conditional, got a batch without conditions")
        own = batch.given.double().cpu().numpy()
        conditions = self.schema.coding_of_conditions.decode(own)
        for position, name in enumerate(self.schema.names_of_conditions):
            if name in named:
                conditions[:, position] = named[name][start : start + len(batch)]
        return conditions

    def _batches(self, x: Examples, given: Given | None = None) -> Iterator[Batch]:
        """Yields examples in batches as the model sees them, see `encode`."""
        yield from self._in_batches(self.seen(x, given))

    def seen(self, x: Examples, given: Given | None = None) -> Batch | Split:
        """Returns examples as the model sees them: a split, of what is read; or a batch.

        Args:
            x: examples, see `encode`.
            given: their conditions, see `encode`.
        """
        if given is None:
            return self._seen(x)
        return self._seen_given(x, given)

    def _in_batches(self, seen: Batch | Split) -> Iterator[Batch]:
        """Yields examples as the model sees them, in batches on its device."""
        if isinstance(seen, Split):
            yield from chunks(self.model, seen, chunk_size(self.model))
        else:
            yield placed(self.model, seen)

    def _seen_given(self, x: Examples, given: Given) -> Batch | Split:
        """Returns examples as the model sees them, with these conditions in place of their own."""
        refuse_none_given(given, self.schema.given)
        if isinstance(x, Batch):
            values = complete_given(given, self.schema.given, len(x))
            return replace(x, given=to_codes(values, self.schema))
        plain = copy(self)
        plain.schema = replace(self.schema, given=())
        plain.recipe = self.recipe.replace({"data.given": None})
        seen: Batch | Split
        if isinstance(x, Split):
            seen = x
        else:
            seen = plain._seen(x)
        values = complete_given(given, self.schema.given, len(seen))
        if isinstance(seen, Batch):
            return replace(seen, given=to_codes(values, self.schema))
        assert isinstance(seen, DenseExamples | History)
        return seen.conditioned(self.schema, values)

    def _seen(self, x: Examples) -> Batch | Split:
        """Returns examples as the model sees them, see `encode`."""
        if isinstance(x, Batch | Split):
            return x
        if isinstance(x, SparseRows):
            return Batch(x)
        if is_in_memory(x):
            if self.items is not None and is_matrix(x):
                matrix = check_matrix(to_sparse(x), self.items.ids, self.schema.levels == 2)
                return Batch(SparseRows.of(matrix))
            shares = open_shares(x, self.schema)
            if shares is not None:
                return shares
        return self._read_all(x)

    def _read_all(self, source: DataSource) -> Split:
        """Returns all examples of a source, if the likelihood and the noise fit their values."""
        examples = self.other_data(source).split("all")
        check(self.recipe, examples, source)
        return examples

    @overload
    def decode(
        self,
        z: Tensor | np.ndarray,
        level: int = 0,
        *,
        given: Given | None = None,
        units: Literal["model"],
    ) -> Tensor: ...

    @overload
    def decode(
        self,
        z: Tensor | np.ndarray,
        level: int = 0,
        *,
        given: Given | None = None,
        units: Units = "data",
    ) -> Any: ...

    def decode(
        self,
        z: Tensor | np.ndarray,
        level: int = 0,
        *,
        given: Given | None = None,
        units: Units = "data",
    ) -> Any:
        """Returns the mean of p(x | z1), (n, *shape), for values z (n, d) of a level, 0 for z1.

        Levels between are at their means. `units` are those of `reconstruct`. A conditional run
        needs the conditions `given`, by name: a value for all, or one for each.

        Raises:
            ConfigError: conditions are missing, or there is no such one, or it has no such value.
        """
        refuse_units(units)
        refuse_unknown_conditions(given or {}, self.schema.given)
        latents = self.model.latents
        self.refuse_level(level)
        if isinstance(z, np.ndarray):
            z = torch.from_numpy(z)
        self.model.refuse_latents(z, level)
        conditions = self._conditions_of(given, len(z))
        means = []
        with evaluating(self.model, 0):
            weight = next(self.model.parameters())
            for part, codes in self._pieces(z.to(weight), conditions):
                context = latents.descend(part, level, self.model.embed(codes))
                means.append(means_of(self.model.decode(context, codes), self.schema, units))
        return presented(means, self.schema, units)

    def decode_levels(
        self,
        zs: Sequence[Tensor | np.ndarray],
        *,
        given: Given | None = None,
        units: Units = "data",
    ) -> Any:
        """Returns the mean of p(x | z), (n, *shape), for values (n, d) of every level.

        Args:
            zs: values of each level, as `encode` gives them: the level next to the data first.
            given: their conditions, see `decode`.
            units: those of `reconstruct`.

        Raises:
            ConfigError: there are more or fewer levels.
            ShapeError: the values of one have another shape.
        """
        refuse_units(units)
        refuse_unknown_conditions(given or {}, self.schema.given)
        levels = len(self.model.latents.sizes)
        if len(zs) != levels:
            raise ConfigError(f"values of all {levels} levels are needed, got those of {len(zs)}")
        weight = next(self.model.parameters())
        values = []
        for level, z in enumerate(zs):
            tensor = torch.as_tensor(z)
            self.model.refuse_latents(tensor, level)
            values.append(tensor.to(weight))
        conditions = self._conditions_of(given, len(values[0]))
        sizes = [z.shape[-1] for z in values]
        means = []
        with evaluating(self.model, 0):
            for part, codes in self._pieces(torch.cat(values, dim=-1), conditions):
                # Priors of images and tables do not look at the examples, only at the conditions.
                batch = Batch(part, codes)
                p = self.model.decode_levels(list(part.split(sizes, dim=-1)), batch)
                means.append(means_of(p, self.schema, units))
        return presented(means, self.schema, units)

    def _conditions_of(self, given: Given | None, count: int) -> Tensor | None:
        """Returns the codes of conditions that must all be given; None for a run that has none."""
        if not self.schema.given:
            return None
        return to_codes(complete_given(given, self.schema.given, count), self.schema)

    def _pieces(
        self, values: Tensor, codes: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yields some values after others, with the codes of their conditions on their device."""
        size = chunk_size(self.model)
        for start in range(0, len(values), size):
            part = values[start : start + size]
            of_part = None
            if codes is not None:
                of_part = codes[start : start + size].to(part)
            yield part, of_part

    @overload
    def vary(
        self,
        level: int,
        groups: int,
        draws: int,
        *,
        given: Given | None = None,
        seed: int = 0,
        units: Literal["model"],
    ) -> Tensor: ...

    @overload
    def vary(
        self,
        level: int,
        groups: int,
        draws: int,
        *,
        given: Given | None = None,
        seed: int = 0,
        units: Units = "data",
    ) -> Any: ...

    def vary(
        self,
        level: int,
        groups: int,
        draws: int,
        *,
        given: Given | None = None,
        seed: int = 0,
        units: Units = "data",
    ) -> Any:
        """Returns means of p(x | z1) that show what a level does, (groups, draws, *shape).

        In each group the level varies and those above it are fixed, with the conditions of a
        conditional run; `given` has a value for all groups, or one for each, and the others are
        drawn as those of `sample`. `units` are those of `reconstruct`; a frame has the rows of each
        group one after another.
        """
        refuse_units(units)
        count = positive(groups, what="groups") * positive(draws, what="draws")
        numbers = count * math.prod(self.schema.shape)
        refuse_beyond_memory(numbers, f"{groups:,} groups of {draws:,} draws")
        self.refuse_level(level)
        codes = self._codes_drawn(groups, given, seed)
        weight = next(self.model.parameters())
        if codes is not None:
            codes = codes.to(weight)
        means = []
        with evaluating(self.model, seed):
            embedded = self.model.embed(codes)
            contexts = self.model.latents.vary(level, groups, draws, embedded)
        if codes is not None:
            codes = codes.repeat_interleave(draws, 0)
        with evaluating(self.model, 0):
            for part, of_part in self._pieces(contexts, codes):
                means.append(means_of(self.model.decode(part, of_part), self.schema, units))
        joined = torch.cat(means)
        return presented([joined.reshape(groups, draws, *joined.shape[1:])], self.schema, units)

    def refuse_level(self, level: int) -> None:
        """Raises ConfigError if there is no such level; 0 is that of z1."""
        known = range(len(self.model.latents.sizes))
        if isinstance(level, bool) or level not in known:
            raise ConfigError(
                f"this model has the levels {', '.join(map(str, known))}, got {level!r}"
            )

    @overload
    def sample(
        self,
        n: int,
        *,
        given: Given | None = None,
        mean: bool | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        units: Literal["model"],
    ) -> Tensor: ...

    @overload
    def sample(
        self,
        n: int,
        *,
        given: Given | None = None,
        mean: bool | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        units: Units = "data",
    ) -> Any: ...

    def sample(
        self,
        n: int,
        *,
        given: Given | None = None,
        mean: bool | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        units: Units = "data",
    ) -> Any:
        """Returns `n` samples (n, *shape), or a Polars frame of `n` rows.

        Args:
            n: how many.
            given: conditions of a conditional run by name, in the words of the data: a value for
                all samples, or one for each; None is not known. Those that are not named are drawn
                from the training rows (that have the levels that are named).
            mean: whether they are the means of p(x | z), or else draws from it. None: draws of a
                table with columns of several kinds, the means of all other data.
            temperature: by which the scale of the prior of every level is multiplied, see
                `latents.cooled`: below 1 samples are more typical and less diverse. What is drawn
                from p(x | z) is not changed.
            seed: of the draws. Fewer than 16 samples are the first of 16. The first of more do not
                depend on how many there are where they are means and z has one level, apart from
                the last 16 numbers of z.
            units: those of `reconstruct`: a table's samples are in the table's own units. Of a
                table with columns of several kinds, "data" gives a frame in the types of its
                source: whole numbers are whole, levels are words, dates are dates. The conditions
                stand behind the other columns.

        Raises:
            ConfigError: the run has no such condition, or the condition no such value.
        """
        numbers = positive(n, what="the number of samples") * math.prod(self.schema.shape)
        refuse_beyond_memory(numbers, f"{n:,} samples")
        self._refuse_samples_of_items()
        conditions = self.draw_conditions(n, given, seed)
        parts = self._drawn(n, mean, seed, units, conditions, temperature)
        return presented(parts, self.schema, units, conditions)

    @cached_property
    def known_conditions(self) -> KnownConditions:
        """The conditions of training rows, from which those that nobody names are drawn.

        Raises:
            RunError: the folder of the run does not hold them, or they are damaged.
        """
        path = within(self.folder, CONDITIONS_FILE)
        if not exists(path):
            raise RunError(
                f"{self.folder} holds no conditions of training rows to draw from ({path.name} is "
                f"not there): give all of {', '.join(self.schema.names_of_conditions)}"
            )
        return KnownConditions(self.schema.given, read_conditions(path, self.schema))

    def draw_conditions(
        self, n: int, given: Given | None = None, seed: int = 0
    ) -> np.ndarray | None:
        """Draws the conditions of `n` samples, (n, G), see `sample`; None for a run without."""
        refuse_unknown_conditions(given or {}, self.schema.given)
        if not self.schema.given:
            return None
        if given and set(given) == set(self.schema.names_of_conditions):
            return complete_given(given, self.schema.given, n)  # nothing is left to be drawn
        return self.known_conditions.draw(n, given or {}, seed)

    def _codes_drawn(self, n: int, given: Given | None, seed: int) -> Tensor | None:
        """Draws the conditions of `n` samples as codes; None for a run without."""
        conditions = self.draw_conditions(n, given, seed)
        if conditions is None:
            return None
        return to_codes(conditions, self.schema)

    def sample_frames(
        self,
        n: int,
        *,
        given: Given | None = None,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Iterator["DataFrame"]:
        """Yields `n` draws from p(x | z) of a table with columns of several kinds, as `sample`
        gives them, in frames of some thousands of rows: millions need no more memory than these.

        Raises:
            ConfigError: the run is on other data.
        """
        if not self.schema.table:
            raise ConfigError(
                f"frames of samples are for tables with columns of several kinds; {self.folder} "
                "was fitted to other data: take sample"
            )
        conditions = self.draw_conditions(positive(n, what="the number of samples"), given, seed)
        start = 0
        for part in self._drawn(n, False, seed, "data", conditions, temperature):
            of_part = None
            if conditions is not None:
                of_part = conditions[start : start + len(part)]
            start += len(part)
            yield rows_of(part.numpy(), self.schema, of_part)

    def _refuse_samples_of_items(self) -> None:
        """Raises ConfigError if the run is on interactions."""
        self.schema.refuse_interactions(
            "samples are of images and tables; a run on interactions recommends: lowerbound "
            "recommend RUN"
        )

    def _drawn(
        self,
        n: int,
        mean: bool | None,
        seed: int,
        units: Units,
        conditions: np.ndarray | None = None,
        temperature: float = 1.0,
    ) -> Iterator[Tensor]:
        """Yields samples in pieces, see `sample`."""
        refuse_units(units)
        refuse_temperature(temperature)
        n = positive(n, what="the number of samples")
        self._refuse_samples_of_items()
        if mean is None:
            mean = not self.schema.table
        codes = None
        if conditions is not None:
            codes = to_codes(conditions, self.schema)
        return drawn(
            self.model,
            self.schema,
            n,
            mean=mean,
            seed=seed,
            units=units,
            given=codes,
            temperature=temperature,
        )

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Writes the run with a model card into a new or empty folder, which `load` takes.

        Only known files are copied: no checkpoints, trackers or reports. Folders of this machine
        are taken out of the recipe.

        Args:
            folder: where it is written.
            options: `measures=`, what `evaluate` returned, for the card (None measures the test
                split, where the data are here); `leave_out=`, names of files that are to stay, such
                as `["conditions.safetensors"]`; `license=` of the weights.

        Raises:
            RunError: the folder holds something, or the run is not finished.
        """
        from .sharing import save_pretrained

        save_pretrained(self, folder, **options)

    def push_to_hub(self, repository: str, *, private: bool = True, **options: Any) -> str:
        """Sends the run with a model card to the Hugging Face hub, and prints what goes there.

        Args:
            repository: "OWNER/NAME", which is made where there is none.
            private: whether only the owner is to see it.
            options: those of `save_pretrained`; `revision=`, a branch; `message=` of the commit;
                `token=` of the hub.

        Returns:
            The URL of the repository; `lowerbound.load("hf://OWNER/NAME")` loads it.

        Raises:
            RunError: the hub cannot be reached, or refuses.
            ConfigError: the repository is public already, and was to be private.
        """
        from .sharing import push_to_hub

        return push_to_hub(self, repository, private=private, **options)

    def log_model(self, name: str = "model", **options: Any) -> Any:
        """Logs the run as a model of MLflow, in MLflow's active run, or else in a new one.

        `mlflow.pyfunc.load_model(info.model_uri).predict(data, params={"what": "encode"})` then
        scores, encodes or recommends (`what`), with `samples` importance samples or `k` items. The
        model is code and a copy of the run without checkpoints; nothing is pickled.

        Args:
            name: of the model.
            options: `leave_out=`, see `save_pretrained`; all others are those of
                `mlflow.pyfunc.log_model`, such as `registered_model_name=`.

        Returns:
            MLflow's `ModelInfo`.

        Raises:
            RunError: the run is not finished, or MLflow refuses.
        """
        from .sharing import log_model

        return log_model(self, name, **options)


def _from_above(package: str, module: str, name: str) -> Any:
    """Returns what stands above runs in the house, by its name: nothing here depends on it."""
    above = f"{__package__.rpartition('.')[0]}.{package}"
    return lazy.attributes(above, {module: (name,)})(name)


def _choose_split(dataset: Dataset, split: str | None, *, is_given: bool) -> tuple[str, Split]:
    """Returns the name of a split and its examples; by default the test split, or all of a source
    that was given and brings none.
    """
    name = split
    if not name:
        name = "test"
        if is_given and dataset.test is None:
            name = "all"
    return name, dataset.split(name)


def digest_of(folder: Path) -> str | None:
    """Reads the digest of what the run in a folder was fitted to; None if it has none."""
    fingerprint = read_table(folder, "data.json").get("fingerprint")
    if not isinstance(fingerprint, dict):
        return None
    return fingerprint.get("sha256")


def open_as_fitted(
    data: Data,
    folder: Path,
    schema: Schema | None = None,
    items: Items | None = None,
    source: DataSource | None = None,
) -> Dataset:
    """Opens the data of a run in the splits of its fit, where these are the values of the fit.

    The splits of a run of an earlier version may depend on the order of the rows of its log. They
    are tried where those that do not are not the run's.

    Args:
        data: the table of the recipe.
        folder: of the run.
        schema: of the run, see `Data.open`.
        items: the catalogue of the run, see `Data.open`.
        source: takes the place of the table's.

    Raises:
        LowerboundError: one of its kinds, as `Data.open` does.
    """
    dataset = data.open(schema, items, source=source)
    if dataset.items is None or not is_file(folder / "data.json"):
        return dataset
    fitted = digest_of(folder)
    if dataset.fingerprint()["sha256"] == fitted:
        return dataset
    in_order = data.open(schema, items, source=source, keeps_order=True)
    if in_order.fingerprint()["sha256"] == fitted:
        return in_order
    return dataset


NEW_VALUES = (
    "its splits would not be those of the fit; give the new values by --data (data= in Python)"
)
"""The way out of data that have changed since a fit."""


def unchanged(
    dataset: Dataset, folder: Path, error: type[LowerboundError], advice: str = NEW_VALUES
) -> None:
    """Raises `error` if these are not the values that the run in the folder was fitted to.

    Args:
        dataset: what was opened.
        folder: of the run.
        error: the kind of the error.
        advice: the way out, for its message.
    """
    if digest_of(folder) != dataset.fingerprint()["sha256"]:
        raise error(f"{dataset.source} is not what {folder} was fitted to: {advice}")


def load(folder: str | Path, *, allow_code: bool = False) -> Run:
    """Loads a run from its folder alone.

    Of a run that was stopped, or that is still being fitted, the newest whole checkpoint gives the
    best weights so far, and one line says so.

    Args:
        folder: the run folder, or the address `hf://OWNER/NAME@REVISION` of a run on a hub.
        allow_code: whether the parts that the recipe names as `package.module:Class` may be
            imported, which runs their modules.

    Raises:
        RunError: the folder is no run, is damaged, is of another version, or has a link that leads
        out of it.
        LowerboundError: another of its kinds, where its recipe or its catalogue are not right.
    """
    if is_address(folder):
        folder = fetch(read_address(folder))
    folder = Path(folder)
    is_finished = _refuse_no_run(folder)
    facts = read_table(folder, "data.json")
    version = facts.get("format")
    if version != FORMAT:
        raise RunError(
            f"{folder}: a run of format {FORMAT} is needed, got {one_line(repr(version), 60)}"
        )
    refuse_mistyped(Facts, facts, folder / "data.json")
    with allowing_code(allow_code):
        plan = recipes.load(folder / "recipe.toml")
    schema = read_schema(facts, folder)
    note = None
    summary: dict[str, Any] = {}
    if is_finished:
        path = folder / "model.safetensors"
        tensors = read_weights(path)
        if is_file(within(folder, "summary.json")):
            summary = read_summary(folder)
    else:
        path = folder / "checkpoint"
        tensors, summary, note = read_stopped(folder, plan.training.epochs)
    model = read_model(plan, schema, tensors, path)
    items = None
    if model.sparse:
        items = Items.read(within(folder, "items.parquet"), schema.shape[0])
        if is_finished:
            model.partner = read_partner(folder, schema.shape[0], summary)
    if note:
        print_line(f"{one_line(folder)}: {note}; fit --resume goes on")
    return Run(folder, plan, schema, model, summary, items, note)


def _refuse_no_run(folder: Path) -> bool:
    """Raises RunError for a folder that holds no run.

    Returns:
        Whether the run is finished; else it has a checkpoint.
    """
    known = ("recipe.toml", "data.json", "model.safetensors")
    missing = [name for name in known if not is_file(within(folder, name))]
    is_stopped = missing == ["model.safetensors"]
    if is_stopped and latest_checkpoint(within(folder, "checkpoint")) is not None:
        return False
    if missing:
        advice = ""
        if is_stopped:
            advice = "; it was not finished: go on with fit --resume"
        raise RunError(
            f"{one_line(folder)} is not a fitted run: {', '.join(missing)} missing{advice}"
        )
    return True

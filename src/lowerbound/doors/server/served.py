"""Runs as the server has them: by name, each with what is made ready once."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...anomalies.reference import OwnScores
from ...anomalies.reference import read as read_reference
from ...data import Dataset, Split, named_sets
from ...data.memory import DataSource
from ...errors import DataError, LowerboundError, one_line
from ...run import Run
from .batching import Batcher
from .problems import Problem
from .search import ItemSearch
from .work import Result, Work

if TYPE_CHECKING:
    from ...neighbours.encoded import Encoded
    from ...recommend import Recommender

KINDS = {"image": "images", "vector": "vectors", "table": "table", "interactions": "recommender"}
"""The kinds of runs, by those of their data."""

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Posterior means are described by their quantiles of these ranks."""

ENCODED = 2000
"""The posterior means of so many examples give the quantiles."""


class Served:
    """One run that is served.

    What uses the model (all but `name`, `kind` and what is plain about the run) is called in the
    thread that owns the models, by `await served.work(function)`.

    Attributes:
        name: in paths.
        run: the run.
        source: where its own data are, if not where the run looks for them.
        note_batch: is told how many requests of a recommender are answered together.
        notes: what is to be known of how the examples of the present request were read.
    """

    def __init__(
        self,
        name: str,
        run: Run,
        thread: Work,
        lookups: Work,
        source: DataSource | None = None,
    ) -> None:
        self.name = name
        self.run: Run = copy(run)
        self.source = source
        self.notes: list[str] = []
        self.run.tell = self.notes.append
        self.run.told = set()
        self._thread = thread
        self._lookups = lookups
        self.note_batch: Callable[[int], None] = lambda size: None

    async def work(self, function: Callable[[], Result]) -> Result:
        """Runs a function in the thread that owns the models, and returns what it returns.

        Raises:
            Problem: too many wait already, or it takes too long.
        """

        def begin() -> Result:
            self.notes.clear()
            self.run.told.clear()
            return function()

        return await self._thread(begin)

    @property
    def kind(self) -> str:
        """What is served: "images", "vectors", "table" or "recommender"."""
        return KINDS[self.run.schema.kind]

    @property
    def title(self) -> str:
        """What was fitted, in a line."""
        return self.run.recipe.about.title or self.name

    @cached_property
    def _opened(self) -> "Dataset | str":
        """The run's own data, or why they are not there."""
        if self._would_be_fetched():
            return (
                f"{self.run.recipe.data.source} is not on this machine, and a server downloads "
                "nothing; fetch it before, by `lowerbound evaluate`, or give --data"
            )
        try:
            return self.run.data(self.source)
        except LowerboundError as error:
            return one_line(error, 300)

    def _would_be_fetched(self) -> bool:
        """Says whether the run's own data are a named set that has to be downloaded first."""
        if self.source is not None or self.run.held is not None:
            return False
        entry = named_sets().get(self.run.recipe.data.source)
        return entry is not None and entry.found() is None

    @property
    def data(self) -> Dataset:
        """The run's own data, in its own splits.

        Raises:
            Problem: they are not where the run looks for them.
        """
        if isinstance(self._opened, str):
            raise Problem(404, self._opened)
        return self._opened

    @property
    def has_data(self) -> bool:
        """Whether the run's own data are there."""
        return not isinstance(self._opened, str)

    @cached_property
    def reference(self) -> OwnScores | None:
        """What held-out examples of the run score, where it has kept them."""
        return read_reference(self.run.folder)

    @cached_property
    def recommender(self) -> "Recommender":
        """The run made ready for recommending.

        Raises:
            Problem: it is no recommender.
        """
        self.refuse_kinds("images", "vectors", "table")
        from ...recommend import Recommender

        recommender = Recommender(self.run)
        # To name similar items all are looked at: too much work for a request that is wrong.
        recommender.catalogue.suggests = False
        return recommender

    @cached_property
    def batcher(self) -> Batcher:
        """Answers the requests of a recommender together."""
        return Batcher(self._thread, self.recommender.answer, lambda size: self.note_batch(size))

    @cached_property
    def search(self) -> ItemSearch:
        """Finds the items of a recommender."""
        popularity = None
        if self.run.items is not None:
            popularity = self.run.items.popularity
        return ItemSearch(self.recommender.catalogue, popularity)

    @cached_property
    def neighbours(self) -> "Encoded":
        """The codes of all of the run's own examples, among which similar ones are found.

        Raises:
            Problem: its data are not where the run looks for them.
        """
        from ...neighbours.encoded import Encoded

        return Encoded.of(self.run, self.data.split("all"))

    @property
    def queued(self) -> int:
        """How many requests of a recommender wait for their batch."""
        if "batcher" not in self.__dict__:
            return 0
        return self.batcher.queued

    async def look_up(self, function: Callable[[], Result]) -> Result:
        """Runs a function that needs no model in a thread of its own, and returns what it returns.

        Raises:
            Problem: too many wait already, or it takes too long.
        """
        return await self._lookups(function)

    def refuse_kinds(self, *kinds: str) -> None:
        """Refuses what is asked of a run of one of these kinds.

        Raises:
            Problem: the run is of such a kind.
        """
        if self.kind in kinds:
            raise Problem(404, f"{self.name} is a run of kind {self.kind}, which has no such thing")

    @cached_property
    def quantiles(self) -> list[np.ndarray]:
        """The quantiles `QUANTILES` of the posterior means of each level, (d, q) each: those of
        the run's own training data, or of N(0, 1) where these are not there.
        """
        sizes = self.run.model.latents.sizes
        if not self.has_data:
            from scipy.special import ndtri

            return [np.tile(ndtri(QUANTILES), (size, 1)) for size in sizes]
        codes = self.run.encode(_evenly(self.data.split("train"), ENCODED))
        return [np.quantile(level.numpy(), QUANTILES, axis=0).T for level in codes]

    def warm_up(self) -> None:
        """Makes ready what requests use, so that no first request waits for it."""
        _ = self.quantiles
        _ = self.reference
        if self.kind == "recommender":
            first = self.recommender.catalogue.ids[:1].tolist()
            self.recommender.answer([self.recommender.prepare(first, 1, exclude_seen=False)])
            self.search.find("a", 1)
            _ = self.batcher
        else:
            self.run.decode_levels([level[:, [3]].T for level in self.quantiles], **self._given())

    def _given(self) -> dict[str, Any]:
        """Returns conditions that are all unknown, for a run that has some."""
        if not self.run.schema.given:
            return {}
        return {"given": dict.fromkeys(self.run.schema.names_of_conditions)}


def _evenly(split: Split, most: int) -> Split:
    """Takes at most so many examples of a split, at even steps."""
    if len(split) <= most:
        return split
    return split.take(np.linspace(0, len(split) - 1, most).astype(np.int64))


class Shelf(Mapping[str, Served]):
    """The runs that are served, by name."""

    def __init__(self, runs: Iterable[Run], thread: Work, sources: Iterable[Any] = ()) -> None:
        self._by_name: dict[str, Served] = {}
        self.thread = thread
        self.lookups: Work = Work("lookups")
        own_sources = list(sources)
        for position, run in enumerate(runs):
            name = self._free_name(run)
            source = None
            if position < len(own_sources):
                source = own_sources[position]
            self._by_name[name] = Served(name, run, thread, self.lookups, source)

    def _free_name(self, run: Run) -> str:
        """Returns a name for a run that no other has, of characters that paths may have."""
        base = re.sub(r"[^A-Za-z0-9_.~-]+", "-", run.folder.resolve().name).strip(".-") or "run"
        name = base
        number = 1
        while name in self._by_name:
            number += 1
            name = f"{base}-{number}"
        return name

    def __getitem__(self, name: str) -> Served:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: str) -> Served:
        """Returns the run of a name.

        Raises:
            Problem: there is none.
        """
        if name not in self._by_name:
            raise Problem(404, f"no run is called {one_line(name, 80)!r}; there are: {self._names}")
        return self._by_name[name]

    @property
    def only(self) -> Served:
        """The run, where there is one alone."""
        if len(self) != 1:
            raise DataError(f"there are {len(self)} runs; one is needed")
        return next(iter(self.values()))

    @property
    def _names(self) -> str:
        return one_line(", ".join(self), 200)

    def close(self) -> None:
        """Waits for what runs."""
        self.thread.close()
        self.lookups.close()

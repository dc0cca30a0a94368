"""The examples of a source, or the items of a catalogue, that are most like one."""

from dataclasses import replace
from typing import Any

from ..data.memory import DataSource, source_text
from ..errors import ConfigError
from ..evaluation.batches import positive
from ..recommend import Catalogue
from ..run import Run
from ..system.progress import stages
from .encoded import Encoded, pieces_of
from .found import Similar
from .items import histories_of_items
from .metrics import refuse_metric


def similar(
    run: Run,
    to: Any,
    source: DataSource | None = None,
    *,
    k: int = 10,
    metric: str | None = None,
    level: int | None = None,
    users: bool = False,
    split: str = "all",
    progress: bool = False,
) -> Similar:
    """Finds the examples that are most like one by their codes, the posterior means of all levels
    side by side. An item of a recommender has the code of a user who has had this item alone.

    Every code is compared with that of the example, in float64: nothing is approximated.

    Args:
        run: what encodes them.
        to: the number of a row (the column `row`), the path of a file with one example (an image, a
            CSV of one row), the name of a file of the source, or an example in memory: an array, a
            picture of Pillow, a dict of cells, a frame of one row. Of a run on interactions an item
            by id or title, and with `users` the id of a user.
        source: what is searched, as `Run.data` takes it; None takes the run's own data.
        k: how many neighbours, at most.
        metric: "cosine", "euclidean" or "mahalanobis", see `metrics.Metric`. None is "mahalanobis";
            "cosine" for items, and for an autoencoder, whose posterior has no spread.
        level: compares the codes of this level alone, 0 for z1; None compares all.
        users: of a run on interactions, whether users are looked for, by their histories.
        split: what part of the source is searched.
        progress: whether a bar on standard error shows the progress.

    Raises:
        ConfigError: an argument has no such value.
        DataError: there is no such example, or the data of the run are needed and are gone.
    """
    k = positive(k, what="k")
    if metric is not None:
        refuse_metric(metric)
    if users and run.items is None:
        raise ConfigError(f"users are those of a run on interactions; {run.folder} has none")
    name = source_text(run.recipe.data.source if source is None else source)
    if run.items is not None and not users:
        if source is not None:
            raise ConfigError(
                "items are those of the run: give no data, or compare users (users=True, --users)"
            )
        encoded = encode_items(run, metric=metric, level=level, progress=progress)
        return encoded.nearest_to(to, k)
    data = run.data(source)
    examples = data.split(split)
    with stages("encode", pieces_of(examples) + 1, show=progress) as begin:
        encoded = Encoded.of(run, examples, metric=metric, level=level, source=name, begin=begin)
    return replace(encoded, whole=data.split("all")).nearest_to(to, k)


def encode_items(
    run: Run, *, metric: str | None = None, level: int | None = None, progress: bool = False
) -> Encoded:
    """Encodes the items of a run on interactions, each as a user who has had this item alone.

    Args:
        run: the run.
        metric: see `Encoded.of`; None is "cosine".
        level: see `Encoded.of`.
        progress: whether a bar on standard error shows the progress.

    Raises:
        ConfigError: the run is on other data.
    """
    if run.items is None:
        raise ConfigError(f"items are those of a run on interactions; {run.folder} has none")
    examples = histories_of_items(run)
    with stages("encode", pieces_of(examples) + 1, show=progress) as begin:
        encoded = Encoded.of(
            run,
            examples,
            metric=metric or "cosine",
            level=level,
            source=f"the catalogue of {run.folder}",
            begin=begin,
        )
    return replace(encoded, catalogue=Catalogue(run.items))

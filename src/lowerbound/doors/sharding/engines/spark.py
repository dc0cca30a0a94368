"""The engine of Spark: a partition for each shard, through `mapInArrow`.

As for Ray, all machines see the same folders by the same paths and have `lowerbound`. Spark needs
Java 17 or newer.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ....errors import LowerboundError, WorkerError, one_line
from ....system.extras import require
from ....system.machine import allowed_cores
from ..job import Job
from ..work import do_shard_of_text

RESULT = "found string"
"""The schema of what comes back of each shard: JSON."""


def make(job: Job, numbers: Sequence[int], workers: int | None = None) -> None:
    """Makes shards as partitions of a frame of Spark.

    Args:
        job: the job.
        numbers: of the shards.
        workers: processors of this machine, where Spark is started there; None leaves one free.

    Raises:
        ConfigError: PySpark is not installed.
        LowerboundError: a shard cannot be made, as it says.
        WorkerError: a partition failed again and again, or Spark did not start.
    """
    require("--engine spark", "spark", "pyspark", "pyarrow")
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = SparkSession.getActiveSession()
    is_ours = session is None
    try:
        if session is None:
            session = _start(workers)
        found = collect(session, job, numbers)
    except (PySparkException, OSError) as error:
        raise WorkerError(
            f"Spark did not make the shards: {one_line(error, 300)}; what is done stays, and the "
            "same command goes on"
        ) from None
    finally:
        if is_ours and session is not None:
            session.stop()
    refuse_failed(found)


def _start(workers: int | None) -> Any:
    """Starts a session: on the cluster that spark-submit has chosen, else on this machine."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("lowerbound")
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        cores = workers or max(1, allowed_cores() - 1)
        builder = builder.master(f"local[{cores}]").config("spark.ui.enabled", "false")
    return builder.getOrCreate()


def collect(session: Any, job: Job, numbers: Sequence[int]) -> list[str]:
    """Has the shards made, one to a partition, and returns what was found of each."""
    frame = session.range(0, len(numbers), 1, len(numbers))
    mapped = frame.mapInArrow(mapping(job, numbers), RESULT)
    return [row.found for row in mapped.collect()]


def mapping(job: Job, numbers: Sequence[int]) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Returns the function of Arrow batches that `mapInArrow` calls in each partition.

    A batch has the positions of shards among `numbers`, in its column `id`.
    """
    text = job.to_text()
    all_numbers = list(numbers)

    def make_shards(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow

        for batch in batches:
            found = []
            for position in batch.column("id").to_pylist():
                found.append(result_of(text, all_numbers[position]))
            yield pyarrow.RecordBatch.from_pydict({"found": found})

    return make_shards


def result_of(text: str, number: int) -> str:
    """Makes a shard, and returns what was found as JSON; of a mistake of the user its line.

    Spark would begin a shard again that cannot be made, and hide its message in a trace.
    """
    try:
        return json.dumps(do_shard_of_text(text, number))
    except LowerboundError as error:
        return json.dumps({"error": type(error).__name__, "message": str(error)})


def refuse_failed(found: Iterable[str]) -> None:
    """Raises the first mistake among what came back.

    Raises:
        LowerboundError: of the kind that the shard raised.
    """
    from .... import errors

    for each in found:
        result = json.loads(each)
        if "error" in result:
            kind = getattr(errors, result["error"], LowerboundError)
            raise kind(result["message"])

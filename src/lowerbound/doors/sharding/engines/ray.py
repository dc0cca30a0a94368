"""The engine of Ray: a task for each shard, on this machine or on a cluster.

The tasks see the folders of the run, of the source and of the results by the same paths, so that on
a cluster these lie on storage that all machines share, and `lowerbound` is installed on each. A
task whose process ends is begun again.
"""

import os
from collections.abc import Sequence
from typing import Any

from ....errors import LowerboundError, WorkerError, one_line
from ....system.extras import require
from ....system.machine import allowed_cores
from ..job import Job
from ..work import do_shard_of_text

RETRIES = 3
"""A task is begun again so many times after its process or machine ended."""


def make(job: Job, numbers: Sequence[int], workers: int | None = None) -> None:
    """Makes shards as tasks of Ray.

    Args:
        job: the job.
        numbers: of the shards.
        workers: processors that tasks may have on this machine; None leaves one of them free, since
            Ray itself hangs where its tasks hold all. A cluster (RAY_ADDRESS) has its own.

    Raises:
        ConfigError: Ray is not installed.
        WorkerError: a task failed again and again.
    """
    require("--engine ray", "ray", "ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    is_ours = not ray.is_initialized()
    if is_ours:
        ray.init(**_settings(workers))
    try:
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(do_shard_of_text)
        text = job.to_text()
        _await(ray, [task.remote(text, number) for number in numbers])
    finally:
        if is_ours:
            ray.shutdown()


def _settings(workers: int | None) -> dict[str, Any]:
    """Returns how Ray is started: on this machine, or as a client of a cluster that runs."""
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if "RAY_ADDRESS" in os.environ:
        return settings
    settings["num_cpus"] = workers or max(1, allowed_cores() - 1)
    settings["include_dashboard"] = False
    return settings


def _await(ray: Any, pending: list[Any]) -> None:
    """Waits for all tasks, and raises the first error at once, as the task raised it.

    Raises:
        WorkerError: the processes of a task ended, so often that Ray has given it up.
    """
    while pending:
        done, pending = ray.wait(pending, num_returns=1)
        try:
            ray.get(done)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, LowerboundError):
                raise error.cause from None
            raise
        except ray.exceptions.RayError as error:
            raise WorkerError(
                f"a task of Ray ended {RETRIES + 1} times: {one_line(error, 200)}; what is done "
                "stays, and the same command goes on"
            ) from None

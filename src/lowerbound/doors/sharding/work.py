"""The work on one shard: a function of the job and a number, the same in every process.

It writes one file, whole or not at all, and notes that it is done; what is done already is left as
it is.
"""

from collections.abc import Callable
from typing import Any

from ...data.interactions.scatter import shard_path
from ...errors import DataError
from .job import Job
from .rows import encode_rows, score_rows
from .users import encode_users, recommend_to_users

WORK_OF: dict[str, Callable[[Job, int], dict[str, Any]]] = {
    "recommend": recommend_to_users,
    "encode users": encode_users,
    "encode": encode_rows,
    "score": score_rows,
}
"""What makes the file of a shard and returns what was found, by what the job is."""


def do_shard(job: Job, number: int) -> dict[str, Any]:
    """Makes the file of one shard, unless it is done.

    Args:
        job: what is to be made.
        number: of the shard, from 0.

    Returns:
        What was found: counts, and the size and digest of the file.

    Raises:
        LowerboundError: of any kind, where the shard or the request cannot be used.
    """
    found = job.found(number)
    if found is not None:
        return found
    try:
        return job.mark_done(number, WORK_OF[job.what](job, number))
    except DataError as error:
        # The user knows the log, and not its shards.
        shard = str(shard_path(job.log, number))
        if shard not in str(error):
            raise
        raise DataError(str(error).replace(shard, job.source)) from None


def do_shard_of_text(text: str, number: int) -> dict[str, Any]:
    """Makes the file of one shard of a job that was written as text, see `do_shard`."""
    return do_shard(Job.from_text(text), number)

"""Lists, codes and scores of more users or rows than one process holds: in shards, by an engine.

Names are imported when they are first used, so that a command line without an engine needs none.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...specs import lazy

if TYPE_CHECKING:
    from .requests import encode_in_shards, recommend_in_shards, score_in_shards
    from .sharding import SHARDS, Sharded

__getattr__: Callable[[str], Any]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        "requests": ("encode_in_shards", "recommend_in_shards", "score_in_shards"),
        "sharding": ("SHARDS", "Sharded"),
    },
)

__all__ = [
    "SHARDS",
    "Sharded",
    "encode_in_shards",
    "recommend_in_shards",
    "score_in_shards",
]

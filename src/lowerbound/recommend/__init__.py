"""Recommending from a fitted run: the best items for one history or for many of them, and the items
most like one.
"""

from .blocks import recommend_in_blocks
from .exact import item_vectors, last_layer
from .items import Catalogue, near
from .recommender import (
    ListRequest,
    Reason,
    Recommendation,
    Recommendations,
    RecommendedItems,
    Recommender,
)

__all__ = [
    "Catalogue",
    "ListRequest",
    "Reason",
    "Recommendation",
    "Recommendations",
    "RecommendedItems",
    "Recommender",
    "item_vectors",
    "last_layer",
    "near",
    "recommend_in_blocks",
]
